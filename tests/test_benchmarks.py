"""The benchmarks time what they say, judge it rightly, and run: not how fast anything is."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from children import script

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

import family
import harness
import program
import toolkit


def check_figures(content, output, reference):
    for row in content["rows"]:
        assert row["row"] in output
        assert any(name.startswith(reference) for name in row["seconds"])
        assert all(0 < t["least"] <= t["median"] for t in row["seconds"].values())
        assert row["bounds"]
        for bound in row["bounds"]:
            assert (bound["met"] == "yes") == (bound["ratio"] >= bound["needed"])
    assert content["quick"] is True
    assert content["failures"] == []
    assert content["machine"]["versions"]["numpy"] == np.__version__


# ---- sum.py ----


def test_sum_prints_a_table_and_writes_json(tmp_path):
    path = tmp_path / "figures.json"
    pattern = r"^(main/|dtypes/int8|axis/float64 .*, 3\)|small/float64, 1 element|memory/)"
    done = script("benchmarks/sum.py", "--quick", "--only", pattern, "--json", path)
    content = json.loads(path.read_text())
    assert [f"{row['group']}/{row['row']}" for row in content["rows"]] == [
        "main/float64 normal",
        "dtypes/int8",
        "axis/float64 (699050, 3) axis=0",
        "axis/float64 (699050, 3) axis=1",
        "small/float64, 1 element",
    ]
    check_figures(content, done.stdout, "np.sum")
    if sys.platform.startswith("linux"):
        assert content["peaks"]["control: a copy of the array"] > 0.9 * 2**24


@pytest.mark.parametrize("name", ["sum", "family", "toolkit", "sources"])
def test_a_pattern_that_matches_nothing_is_refused(name):
    assert "--only" in script(f"benchmarks/{name}.py", "--only", "nothing", status=2).stderr


# ---- family.py ----


def test_family_prints_a_table_and_writes_json(tmp_path):
    path = tmp_path / "figures.json"
    names = [
        "read/argmax float64",
        "square/dot float32",
        "nan/nanmean float64, 5% NaN",
        "float16/max float16",
        "complex/min complex64",
        "describe/describe float64",
        "scan/cumsum float64",
        "axis/argmax float32 (N, 256, 512) C axis=1",
        "small/weighted_mean int64, 1 element",
    ]
    pattern = "^(" + "|".join(name.replace("(", r"\(").replace(")", r"\)") for name in names) + ")$"
    done = script("benchmarks/family.py", "--quick", "--only", pattern, "--json", path)
    content = json.loads(path.read_text())
    assert [f"{row['group']}/{row['row']}" for row in content["rows"]] == names
    assert set(family.GROUPS) == {row["group"] for row in content["rows"]}
    check_figures(content, done.stdout, ("np.", "var "))
    assert "left out" not in done.stdout


def values(result):
    return np.array(list(result) if isinstance(result, tuple) else result)


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
def test_contestants_of_the_family_compute_the_same():
    seen = set()
    for row in [row for make in family.MAKERS for row in make(2**20)]:
        if row.group == "describe":
            continue
        a = row.data()
        # NumPy's result of narrow floats may be far off, or overflow.
        wide = a.astype(np.float64) if a.dtype.kind == "f" else a
        with np.errstate(all="ignore"):
            calls = {name: call(a, **row.options) for name, call in row.contestants.items()}
            label = next(name for name in calls if name.startswith("np."))
            expected = values(row.contestants[label](wide, **row.options)())
            for name in [name for name in calls if not name.startswith(("np.", "read"))]:
                result = calls[name]()
                got = values(result)
                if isinstance(result, np.ndarray):
                    result.fill(0)  # the next one might put its own where this was
                assert got.shape == expected.shape, (row.name, name)
                eps = np.finfo(got.dtype).eps if got.dtype.kind in "fc" else 0
                rtol = max(1e-9, 4 * eps)
                wanted = expected.astype(got.dtype)
                assert np.allclose(got, wanted, rtol, 1e-9, equal_nan=True), (row.name, name)
                seen.add(row.group)
    assert seen == set(family.GROUPS) - {"describe"}


# ---- toolkit.py ----


def test_toolkit_prints_a_table_and_writes_json(tmp_path):
    path = tmp_path / "figures.json"
    names = [
        "own/max float32, 2 workers",
        "expression/sum abs(x - y)**2, 1 worker",
        "several/mean, var (N, 4096) axis=1",
        "accumulator/sum, fast float64, 1 MB chunks",
    ]
    pattern = "^(" + "|".join(map(re.escape, names)) + ")$"
    done = script("benchmarks/toolkit.py", "--quick", "--only", pattern, "--json", path)
    content = json.loads(path.read_text())
    assert [f"{row['group']}/{row['row']}" for row in content["rows"]] == names
    assert set(toolkit.GROUPS) == {row["group"] for row in content["rows"]}
    check_figures(content, done.stdout, ("np.", "one "))


def test_contestants_of_the_toolkit_compute_the_same():
    for row in [row for make in toolkit.MAKERS for row in make(2**20)]:
        if row.name.startswith(("count", "describe")):
            continue  # of positives, and of all that are not zero; a Description has fields
        a = row.data()
        results = [
            np.hstack([np.ravel(part) for part in np.atleast_1d(values(call(a, **row.options)()))])
            for name, call in row.contestants.items()
            if not name.startswith("read")
        ]
        for result in results[1:]:
            assert np.allclose(result, results[0], 1e-4), row.name


# ---- what they share ----


def test_bounds_are_judged_by_least_times_and_what_memory_allows():
    def timing(least):
        return harness.Timing(least, 9.0, 5)

    timings = {"ours": timing(0.5), "np.f": timing(1.0), "read": timing(0.25)}

    def word(factor, against="np.f", ceiling=None):
        verdict = harness.judge(harness.Bound("ours", factor, against, ceiling), timings, 10**9)
        return verdict and (verdict.ratio, verdict.word)

    assert word(2.0) == (2.0, "yes")
    assert word(2.02) == (2.0, "close")
    assert word(2.5) == (2.0, "NO")
    assert word(5.0, ceiling="read") == (2.0, "NO")
    timings["read"] = timing(0.5)
    assert word(5.0, ceiling="read") == (2.0, "yes")
    assert word(2.0, None) == (2.0, "yes")  # GB/s
    assert word(1.0, "absent") is None


def test_calls_that_raise_are_named_and_end_in_failure(monkeypatch, capsys):
    def broken(a):
        def call():
            raise TypeError("not of this dtype")

        return call

    monkeypatch.setattr(sys, "argv", ["program", "--quick", "--seconds", "0"])
    run = program.Run(program.command_line(None))
    row = harness.Row(
        "group",
        "row",
        lambda: np.ones(4),
        {"np.sum": lambda a: a.sum, "ours": broken},
        (harness.Bound("ours", 1.0, "np.sum"),),
    )
    run.time([row], {"group": "title"})
    with pytest.raises(SystemExit, match="1 calls failed"):
        run.conclude()
    output = capsys.readouterr().out
    assert "failed: group/row: ours: TypeError: not of this dtype" in output
    assert "0 met, 0 close (less than 3% short), 0 missed" in output


# ---- sources.py ----


def test_sources_prints_a_table_and_writes_json(tmp_path):
    path = tmp_path / "figures.json"
    done = script("benchmarks/sources.py", "--quick", "--folder", tmp_path, "--json", path)
    content = json.loads(path.read_text())
    groups = [row["group"] for row in content["rows"]]
    assert [groups.count(k) for k in ("files", "stores", "columns", "iterators")] == [3, 4, 2, 1]
    check_figures(content, done.stdout, ("dd", "np", "read", "pyarrow"))
    assert os.listdir(tmp_path) == ["figures.json"]
