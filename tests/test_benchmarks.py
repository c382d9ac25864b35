"""The benchmarks time what they say, judge it rightly, and run: not how fast anything is."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from children import script

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

import beside
import compare
import distinct
import family
import harness
import program
import report
import toolkit

import parsum
from parsum.bench import field as bench_field
from parsum.bench import timing
from parsum.bench.contestants import EXACT, FAST, Contestant, parsums


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


@pytest.mark.parametrize("name", ["sum", "family", "toolkit", "sources", "compare"])
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
        "own along an axis/count of positives float64 (N, 8) axis=1",
        "expression/sum abs(x - y)**2, 1 worker",
        "expression along an axis/sum (x - y)**2 (N, 8) axis=0",
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


def test_contestants_are_told_before_each_sample_and_share_what_they_repeat(monkeypatch, capsys):
    state = []

    def prepare(a):
        def call():
            assert state[-1] == "told"
            state.append("called")
            time.sleep(0.02)
            return a.sum()

        return call

    monkeypatch.setattr(sys, "argv", ["program", "--quick", "--seconds", "0"])
    run = program.Run(program.command_line(None))
    ways = {
        "np.sum": lambda a: a.sum,
        "four 2": harness.Way(prepare, lambda: state.append("told"), times=lambda _: 4, threads=2),
        "read 1": lambda a: lambda: time.sleep(0.02),
        "read 2": lambda a: lambda: time.sleep(0.01),
    }
    row = harness.Row(
        "group", "row", lambda: np.ones(4), lambda: harness.Entrants(ways, {"x": "why"}),
        columns={"sums": lambda a, calls: {"four 2": calls["four 2"]()}},
    )  # fmt: skip
    run.time([row], {"group": "title"})
    (told,) = run._report
    assert 0.004 < told["seconds"]["four 2"]["least"] < 0.02
    assert told["figures"]["four 2"]["sums"] == 4
    # The limit of as many threads as it has.
    reads = told["seconds"]["read 2"]["least"]
    least = told["seconds"]["four 2"]["least"]
    assert told["figures"]["four 2"]["x read"] == pytest.approx(reads / least)
    output = capsys.readouterr().out
    assert "    left out: x: why\n" in output and "sums" in output


# ---- sources.py ----


def test_sources_prints_a_table_and_writes_json(tmp_path):
    path = tmp_path / "figures.json"
    done = script("benchmarks/sources.py", "--quick", "--folder", tmp_path, "--json", path)
    content = json.loads(path.read_text())
    groups = [row["group"] for row in content["rows"]]
    assert [groups.count(k) for k in ("files", "stores", "columns", "iterators")] == [3, 4, 2, 1]
    check_figures(content, done.stdout, ("dd", "np", "read", "pyarrow"))
    assert os.listdir(tmp_path) == ["figures.json"]


# ---- compare.py ----

COMPARED = [
    "sizes/8 B",
    "dtypes/int8",
    "operations/dot",
    "operations/norm 2",
    "axes/var (8, N) axis=1",
    "workers/float64",
    "hard/cancelling",
    "hog/sum, 1.049 MB",
    "processes/sum, 1.049 MB each",
    "distinct/float32 normal",
]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """What a quick run prints and writes."""
    path = tmp_path_factory.mktemp("compare") / "figures.json"
    pattern = "^(" + "|".join(map(re.escape, COMPARED)) + ")$"
    done = script("benchmarks/compare.py", "--quick", "--only", pattern, "--json", path)
    return path, json.loads(path.read_text()), done.stdout


def test_compare_prints_tables_and_writes_json(compared):
    _, content, output = compared
    rows = {f"{row['group']}/{row['row']}": row for row in content["rows"]}
    assert list(rows) == COMPARED
    assert set(compare.GROUPS) == {row["group"] for row in content["rows"]}
    assert content["quick"] is True and content["failures"] == []
    assert content["machine"]["cpus allowed"] == compare.CPUS
    assert "left out: sizes/1 GB (quick)" in output
    for name in compare.PEERS:
        there = name == "fsum" or importlib.util.find_spec(name) is not None
        assert there or content["absent"][name] == "not installed"
        assert there or f"left out: {name} (not installed)" in output
    for row in content["rows"]:
        assert row["row"] in output
        numpys = [t["least"] for who, t in row["seconds"].items() if who.startswith("np.")]
        for who, took in row["seconds"].items():
            own = row["figures"][who]
            assert 0 < took["least"] <= took["median"] and took["rounds"] >= 1
            assert own["GB/s"] == pytest.approx(row["bytes"] / took["least"] / 1e9)
            assert own["x NumPy"] == pytest.approx(numpys[0] / took["least"])
            assert row["contestants"][who]["threads"] >= 1
    for name in ("sizes/8 B", "workers/float64", "hard/cancelling"):
        told = rows[name]["figures"]
        assert told["parsum 1"]["ulps"] == told["math.fsum"]["ulps"] == 0
        assert "ulps" not in told["read 1"] and 0 < told["parsum 1"]["x read"] < 2
    assert rows["hard/cancelling"]["figures"]["np.sum"]["ulps"] > 1e6
    assert {"parsum 1", "parsum 2", "parsum 3", "parsum 4", "threads 4"} <= set(
        rows["workers/float64"]["seconds"]
    )


def test_compare_tells_of_hogs_processes_and_different_results(compared):
    _, content, output = compared
    rows = {row["group"]: row for row in content["rows"]}
    states = {who.partition(", ")[2] for who in rows["hog"]["seconds"]}
    assert states == {"alone", "+ thread", "+ process"}
    subjects = [bound["subject"] for bound in rows["hog"]["bounds"]]
    assert subjects == [f"parsum {n}, + thread" for n in compare.ONE_AND_ALL]
    assert {"np.sum, one", "np.sum, two"} <= set(rows["processes"]["seconds"])
    told = rows["distinct"]["figures"]
    assert told["parsum"] == {"threads": 1, "chunkings": 1, "together": 1, "ulps": 0}
    assert told["np.sum"]["chunkings"] > 1 and "threads" not in told["np.sum"]
    assert rows["distinct"]["pieces"]["parsum"] == "Accumulator.update"
    assert "each piece, then + in order" in output


def test_two_processes_count_twice_and_hogs_are_gone(compared):
    _, content, _ = compared
    (row,) = [row for row in content["rows"] if row["group"] == "processes"]
    for who in ("np.sum", "parsum 1"):
        one, two = (row["seconds"][f"{who}, {k}"]["least"] for k in ("one", "two"))
        assert two > 0.3 * one  # of two arrays: hardly twice as fast for each


def test_different_results_are_counted():
    def unstable(a, n):
        return lambda: np.float64(math.fsum(a) + (a.size % 3 + n) * 1e-9)

    a = np.random.default_rng(0).standard_normal(5000)
    exact = np.float64(math.fsum(a))
    cut = distinct.chunkings(a)
    assert len(cut) == distinct.CHUNKINGS
    assert all(np.array_equal(np.concatenate(pieces), a) for pieces in cut)
    assert len({tuple(map(len, pieces)) for pieces in cut}) == distinct.CHUNKINGS
    told, how = distinct.tally(Contestant("unstable", unstable), a, exact, cut, {})
    assert told["threads"] == 8 and told["chunkings"] > 5 and told["ulps"] > 1e3
    assert told["together"] >= told["chunkings"] and how == distinct.IN_ORDER
    told, _ = distinct.tally(Contestant("one", unstable, (1,)), a, exact, cut, {})
    assert "threads" not in told
    told, _ = distinct.tally(
        Contestant("told", unstable, (2,)), a, exact, cut, {"told": [1.0, 2.0, 2.0, 3.0]}
    )
    assert told["threads"] == 3
    for name, method in ((EXACT, "exact"), (FAST, "fast")):
        told, how = distinct.tally(parsums("sum", name, method), a, exact, cut, {})
        assert told["threads"] == told["chunkings"] == told["together"] == 1
        assert how == "Accumulator.update"
    assert distinct.count([1.0, np.float32(1.0), 1, 1 + 2**-52]) == 2


def test_a_peer_that_is_not_installed_or_too_slow_is_left_out_by_name(monkeypatch, capsys):
    def slow(operation, most):
        def prepare(a, n):
            return lambda: (time.sleep(1e-7 * a.nbytes), a.sum())[1]

        return [Contestant("slow", prepare, (1,))]

    def missing(operation, most):
        raise ImportError("no module named missing")

    monkeypatch.setattr(bench_field, "PEERS", {"slow": slow, "missing": missing})
    monkeypatch.setattr(compare, "field", compare.field.__wrapped__)
    monkeypatch.setattr(compare, "PEERS", {"slow": slow, "missing": missing})
    monkeypatch.setattr(compare, "SIZES", (80, 5 * 2**20))
    monkeypatch.setattr(program, "QUICK_BIG", 16 * 5 * 2**20)
    monkeypatch.setattr(sys, "argv", ["compare.py", "--quick", "--only", "^sizes/"])
    compare.main()
    output = capsys.readouterr().out
    assert "left out: missing (not installed)\n" in output
    assert re.search(r"left out: slow: a call would take 0\.[56]\S* s\n", output)
    assert len(re.findall(r"^.* slow +\d", output, re.MULTILINE)) == 1  # of the small array


def test_contestants_of_compare_compute_the_same():
    seen = set()
    rows = [*compare.operation_rows(2**16), *compare.axis_rows(2**16), *compare.dtype_rows(2**16)]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in rows:
            a = row.data()
            ways = row.entrants().ways
            calls = {who: way.prepare(a, **row.options) for who, way in ways.items()}
            label = next(who for who in calls if who.startswith("np."))
            expected = np.array(calls[label]())
            for who in [who for who in calls if not who.startswith(("np.", "read"))]:
                if ways[who].before:
                    ways[who].before()
                got = calls[who]()
                if row.name == "cumsum" and who in ("polars", "pyarrow"):
                    got = got.to_numpy().ravel()
                got = np.asarray(got)
                rtol = 1e-2 if row.name == "float16" else 1e-4
                assert np.allclose(got, expected, rtol, 1e-3), (row.group, row.name, who)
            seen.add(f"{row.group}/{row.name}")
    assert len(seen) == len(compare.OPERATIONS) + 18 + len(compare.DTYPES)


def test_exact_sums_are_held_against_fractions(monkeypatch):
    for make in compare.hard_rows(2**16):
        compare.check_exact(make.data())
    a = np.random.default_rng(0).standard_normal(100)
    monkeypatch.setattr(parsum, "parallel_sum", lambda a: np.nextafter(math.fsum(a), np.inf))
    with pytest.raises(ArithmeticError, match="parallel_sum must give"):
        compare.check_exact(a)


def test_hard_arrays_are_what_their_names_say():
    data = {row.name: row.data() for row in compare.hard_rows(2**16)}
    size = np.abs(data["cancelling"]).sum()
    assert 0 < abs(parsum.parallel_sum(data["cancelling"])) < 1e-8 < 1 < size
    narrow = data["ill-conditioned float32"]
    assert narrow.dtype == np.float32
    wide = narrow.astype(np.float64)
    assert abs(parsum.parallel_sum(wide)) < 1e-4 * np.abs(wide).sum()
    assert np.ptp(np.frexp(data["exponents over 600 bits"])[1]) > 590
    assert 0.85 < (data["90% zeros"] == 0).mean() < 0.95


def test_hogs_go_and_wait():
    with beside.Hogs() as hogs:
        process, thread = hogs._process.pid, hogs._thread
        for state in (hogs.THREAD, hogs.PROCESS, hogs.ALONE):
            hogs.be(state)
            own = os.times()
            other = hog_ticks(process)
            time.sleep(0.3)
            now = os.times()
            assert (now.user - own.user > 0.1) == (state == hogs.THREAD)
            if sys.platform.startswith("linux"):
                assert (hog_ticks(process) > other) == (state == hogs.PROCESS)
                assert timing.busy_seconds() is not None
    assert not thread.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def hog_ticks(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return sum(map(int, stat.rpartition(")")[2].split()[11:13]))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells of children")
def test_time_of_children_is_not_that_of_others(monkeypatch):
    with beside.Hogs() as hogs:
        ticks = hog_ticks(hogs._process.pid)
        hogs.be(hogs.PROCESS)
        while hog_ticks(hogs._process.pid) < ticks + 40:
            time.sleep(0.01)
        hogs.be(hogs.ALONE)
        seen = timing.busy_seconds()
        with monkeypatch.context() as patched:
            patched.setattr(timing, "_ticks_of_children", lambda: 0)
            all_others = timing.busy_seconds()
        assert all_others - seen > 0.3
        seen = timing.busy_seconds()
    # When it has ended it is still not another's.
    assert timing.busy_seconds() - seen < 0.3


def test_a_contestant_is_told_its_threads_wherever_it_takes_part():
    told = []

    def prepare(a, n, *repeats):
        return lambda: (a.size, n, *repeats)

    several = Contestant("some nansum", prepare, None, told.append, 0.5, library="some")
    label, way = compare.way((several, 3))
    way.before()
    assert (label, told) == ("some nansum 3", [3])
    assert (way.threads, way.library, way.settle) == (3, "some", 0.5)
    assert way.prepare(np.ones(4))() == (4, 3)
    assert compare.way((several, 1))[1].settle == 0
    label, way = compare.way((Contestant(EXACT, prepare), 2))
    assert (label, way.name, way.before) == ("parsum 2", "parsum", None)
    assert compare.way((Contestant("bottleneck nansum", prepare, (1,)), 1))[0] == "bottleneck"
    assert compare.way((Contestant("threads, np.sum", prepare), 4))[0] == "threads 4"
    label, way = compare.way((Contestant(compare.READ, prepare, repeats=True), 1))
    times = way.times(10**6)
    assert (label, times) == ("read 1", 100) and way.prepare(np.ones(125_000))()[2] == times


# ---- report.py ----

PICTURES = {"sizes", "dtypes", "errors", "workers", "hog"}


def test_the_report_draws_all_pictures_with_the_names_of_contestants(compared, tmp_path):
    pytest.importorskip("matplotlib")
    done = script("benchmarks/report.py", compared[0], "--out", tmp_path)
    paths = {Path(line) for line in done.stdout.splitlines()}
    assert paths == {tmp_path / f"compare-{name}.svg" for name in PICTURES}
    texts = {path.stem.removeprefix("compare-"): path.read_text() for path in paths}
    for name in ("sizes", "errors", "workers"):
        for who in ("parsum", "np.sum", "math.fsum"):
            assert f">{who}</text>" in texts[name], (name, who)
    assert ">read limit</text>" in texts["sizes"]
    assert ">NumPy  " in texts["dtypes"] and ">int8</text>" in texts["dtypes"]
    assert "the GIL" in texts["hog"]
    cpu = compared[1]["machine"]["cpu"].split()[0]
    for text in texts.values():
        assert cpu in text and "a quick run" in text
    script("benchmarks/report.py", compared[0], "--out", tmp_path, "--format", "png")
    assert len(list(tmp_path.glob("*.png"))) == len(PICTURES)


def test_the_report_prints_tables(compared):
    done = script("benchmarks/report.py", compared[0], "--table")
    tables = done.stdout.split("\n\n")
    assert len(tables) == 5
    for text in tables:
        assert len({line.count("|") for line in text.splitlines()}) == 1
    assert "| parsum | 0 | 1 | 1 | " in tables[0]
    assert "| parsum |" in tables[1] and "| int8 |" in tables[2]
    assert "(0)" in next(line for line in tables[3].splitlines() if line.startswith("| parsum"))
    assert "| parsum | 1 | 1 | 0 | Accumulator.update |" in tables[4]
    threads = next(line for line in tables[0].splitlines() if line.startswith("| threads "))
    figures = compared[1]["rows"][-1]["figures"]["threads"]
    assert threads.split(" | ")[2:4] == [f"{figures[k]:g}" for k in ("threads", "chunkings")]
    assert "| np.sum |" in tables[0] and "| one thread |" in tables[0]


def test_the_report_draws_what_there_is(compared, tmp_path):
    pytest.importorskip("matplotlib")
    content = dict(compared[1])
    content["rows"] = [row for row in content["rows"] if row["group"] == "distinct"]
    content["machine"] = {**content["machine"], "cpus allowed": 1}
    path = tmp_path / "some.json"
    path.write_text(json.dumps(content))
    done = script("benchmarks/report.py", path, "--out", tmp_path)
    assert done.stdout == f"{tmp_path / 'compare-errors.svg'}\n"
    content["rows"] = []
    path.write_text(json.dumps(content))
    assert "must have rows" in script("benchmarks/report.py", path, status=2).stderr


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"machine": {}, "quick": false, "rows": [{"group": "sizes"}]}'],
    ids=repr,
)  # fmt: skip
def test_the_report_refuses_what_compare_has_not_written(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    done = script("benchmarks/report.py", path, status=2)
    assert "must be what compare.py --json has written" in done.stderr
    assert "Traceback" not in done.stderr
    missing = script("benchmarks/report.py", tmp_path / "none.json", status=2)
    assert "No such file" in missing.stderr


def test_disturbed_reports_say_so(compared):
    content = report.Content(compared[0])
    for row in content.rows:
        row["cpus taken by others"] = 0.7 if row["group"] == "sizes" else 0.0
    assert content.disturbed(("sizes",)) == "; disturbed: other processes took 0.7 CPUs"
    assert content.disturbed(("hard",)) == ""
