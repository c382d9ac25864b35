"""The command bench: its figures agree with each other, it is honest about who is left out."""

from __future__ import annotations

import json
import math
import signal
import struct
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from children import environment, output

import parsum
from parsum.bench import command, contestants, machine, timing
from parsum.bench.contestants import OPERATIONS, Contestant
from parsum.bench.peers import PEERS
from parsum.cli import main

QUICK = ("bench", "--seconds", "0", "--workers", "1,2")
OURS = {"read limit", "np.sum", "threads, np.sum", "parsum exact", "parsum fast"}


def said(capsys, *arguments: str, status: int = 0) -> tuple[str, str]:
    """What a command prints to stdout and stderr."""
    assert main(arguments) == status
    return tuple(capsys.readouterr())


def figures(capsys, *arguments: str) -> dict:
    """What a quick run gives as JSON."""
    out, err = said(capsys, *QUICK, "--json", *arguments)
    assert err == ""
    return json.loads(out)


# ---- figures ----


def test_figures_agree_with_each_other(capsys):
    content = figures(capsys, "--no-peers", "--sizes", "1e3,3e5", "--dtype", "float32")
    assert content["operation"] == "sum" and content["dtype"] == "float32"
    assert content["machine"]["versions"]["numpy"] == np.__version__
    entries = {(e["contestant"], e["workers"], e["bytes"]): e for e in content["entries"]}
    assert len(entries) == len(content["entries"])
    with_both = OURS - {"np.sum", "threads, np.sum"}
    assert set(entries) == {
        (name, n, size)
        for size in (1000, 300_000)
        for name, n in [("np.sum", 1), ("threads, np.sum", 2)]
        + [(name, n) for name in with_both for n in (1, 2)]
    }
    for (name, n, size), e in entries.items():
        assert 0 < e["seconds"] <= e["median seconds"] and e["rounds"] >= 1
        assert e["GB/s"] == pytest.approx(size / e["seconds"] / 1e9)
        numpys = entries["np.sum", 1, size]["seconds"]
        assert e["ratio to NumPy"] == pytest.approx(numpys / e["seconds"])
        read = min(entries["read limit", k, size]["seconds"] for k in range(1, n + 1))
        assert e["ratio to read limit"] == pytest.approx(read / e["seconds"])
        if name == "parsum exact":
            assert e["error in ulps"] == 0 and e["distinct results"] == 1
        if name == "parsum fast":
            assert e["distinct results"] == 1
        if name == "np.sum":
            assert e["distinct results"] is None


def test_the_table_agrees_with_itself(capsys):
    out, err = said(capsys, *QUICK, "--no-peers", "--sizes", "64e3,1e6")
    assert err == ""
    titles = [line for line in out.splitlines() if line.split("  ")[0] in ("64 kB", "1 MB")]
    assert len(titles) == 2
    for size, part in zip((64e3, 1e6), out.split("\n\n")[1:], strict=True):
        rows = [line.rsplit(None, 8) for line in part.splitlines()[1:] if "disturbed" not in line]
        assert {row[0].strip() for row in rows} == OURS
        (numpys,) = [float(row[2]) for row in rows if row[0].strip() == "np.sum"]
        for _, _, least, median, rate, of_numpy, of_read, _, _ in rows:
            assert float(least) <= float(median)
            slack = 0.01 / float(least) + 0.01  # of rounding to hundredths and to three digits
            assert float(rate) == pytest.approx(size / float(least) / 1e3, rel=slack)
            assert float(of_numpy) == pytest.approx(numpys / float(least), rel=slack)
            assert float(of_read) <= 1.5  # the limit is one, but for noise


def test_errors_are_in_ulps_of_the_exact_sum_and_results_are_counted():
    a = np.random.default_rng(0).standard_normal(1001)
    exact = math.fsum(a)

    def off(_, threads):
        return lambda: np.float64(exact + 3 * threads * np.spacing(abs(exact)))

    several, one = Contestant("off", off), Contestant("np.sum", off, (1,))
    took = timing.Timing(1e-6, 2e-6, 3)
    entries = command._entries(
        a, {(one, 1): took, (several, 2): took, (several, 4): took}, "sum", (2, 4), 0.25
    )
    assert command.disturbance(entries) == "other processes took 0.2 CPUs meanwhile"
    assert command.disturbance([replace(entry, others=0.09) for entry in entries]) == ""
    assert command.disturbance([replace(entry, others=None) for entry in entries]) == ""
    assert [entry.ulps for entry in entries] == [3, 6, 12]
    assert [entry.results for entry in entries] == [None, 3, 3]  # of 1, 2 and 4 threads
    assert [entry.of_read for entry in entries] == [None] * 3


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_that_numpy_has(capsys, operation):
    content = figures(capsys, "--no-peers", "--sizes", "8e3", "--operation", operation)
    names = {e["contestant"] for e in content["entries"]}
    assert {f"np.{operation}", "parsum exact", "read limit"} <= names
    assert content["left out"] == {}


@pytest.mark.parametrize("dtype", ["float16", "bool", "int8", "complex64", ">i4"])
def test_dtypes(capsys, dtype):
    content = figures(capsys, "--no-peers", "--sizes", "16,4000", "--dtype", dtype)
    assert {e["bytes"] for e in content["entries"]} == {16, 4000}
    assert content["dtype"] == np.dtype(dtype).newbyteorder("=").name


def test_slices_joined_are_what_numpy_gives():
    for operation, join in contestants.JOINS.items():
        a = contestants.data_for(operation, "float64", 8000)
        function = getattr(np, operation)
        for threads in (1, 2, 3, 7, 5000):
            parts = contestants.slices(a, threads)
            assert len(parts) <= threads and np.array_equal(np.concatenate(parts), a)
            got = join(contestants.shared(function, parts))
            assert np.isclose(got, function(a), rtol=1e-12), (operation, threads)


def test_the_read_limit_reads_every_word():
    prepare = contestants.read_limit()
    for size in (1, 7, 8, 31, 32, 33, 100, 5003):
        words = np.random.default_rng(size).integers(0, 2**64, size, np.uint64)
        expected = sum(map(int, words))
        for threads in (1, 2, 3):
            assert prepare(words, threads)() == expected % 2**64
            assert prepare(words, threads, 5)() == 5 * expected % 2**64


# ---- other libraries ----


def fakes(monkeypatch, **modules) -> None:
    """Put modules in place of the peers, of which all others are not installed."""
    for name in PEERS:
        monkeypatch.setitem(sys.modules, name, modules.get(name))


def others(*names: str) -> list[str]:
    """The packages of all peers but these; math.fsum comes with Python."""
    return [name for name in PEERS if name not in (*names, "fsum")]


def test_peers_that_are_installed_are_told_their_threads(capsys, monkeypatch):
    told = []

    def evaluate(text, names):
        assert text == "sum(a)"
        return np.array(np.sum(names["a"]) * (1 + told[-1] * 1e-12))

    fakes(
        monkeypatch,
        numexpr=types.SimpleNamespace(evaluate=evaluate, set_num_threads=told.append),
        bottleneck=types.SimpleNamespace(nansum=np.nansum),
    )
    content = figures(capsys, "--sizes", "8e3")
    assert content["not installed"] == others("numexpr", "bottleneck")
    entries = {(e["contestant"], e["workers"]): e for e in content["entries"]}
    assert {1, 2} == {n for name, n in entries if name == "numexpr"} == set(told)
    assert entries["numexpr", 2]["distinct results"] == 2
    assert entries["numexpr", 2]["error in ulps"] > 100
    assert entries["bottleneck nansum", 1]["distinct results"] is None


def test_peers_that_fail_or_give_something_else_are_left_out_by_name(capsys, monkeypatch):
    def fail(_):
        raise RuntimeError("not on this machine\nand more")

    fakes(
        monkeypatch,
        bottleneck=types.SimpleNamespace(nanmax=np.min),
        torch=types.SimpleNamespace(max=fail, from_numpy=lambda a: a, set_num_threads=int),
    )
    out, _ = said(capsys, *QUICK, "--operation", "max", "--sizes", "8e3")
    assert f"not installed: {', '.join(others('bottleneck', 'torch'))}\n" in out
    assert "left out: torch: not on this machine\n" in out
    assert "left out: bottleneck nanmax: gives -" in out and "where np.max gives 3" in out
    assert "\ntorch" not in out and "\nbottleneck" not in out
    monkeypatch.setitem(sys.modules, "bottleneck", types.SimpleNamespace())
    out, _ = said(capsys, *QUICK, "--operation", "prod", "--sizes", "8e3")
    assert "left out: bottleneck: has no prod\n" in out


def test_new_peers_as_their_libraries_want_to_be_called(monkeypatch):
    a = np.random.default_rng(3).standard_normal(5000)
    expected = math.fsum(a)
    for name in ("numbagg", "duckdb", "numkong", "fsum", "xsum", "bitrep"):
        try:
            made = PEERS[name]("sum", 2)
        except ImportError:
            continue
        assert made, name
        for one in made:
            for n in (1, 2) if one.choose else (1,):
                if one.choose:
                    one.choose(n)
                for size in (1, 999, 1000, 5000):
                    got = one.prepare(a[:size], n)()
                    assert math.isclose(got, math.fsum(a[:size]), rel_tol=1e-9), one.name
            if one.name in ("math.fsum", "xsum", "bitrep"):
                assert one.prepare(a, 1)() == expected
        for operation in OPERATIONS:
            assert isinstance(PEERS[name](operation, 2), list)


class Xsum:
    """What the package has, for the tests that run where it is not installed."""

    def __init__(self):
        self.added = 0.0

    def add(self, a):
        self.added += math.fsum(a)

    def round(self):
        return self.added


def test_exact_peers_are_called_right(capsys, monkeypatch):
    def fast():
        own = Xsum()
        return types.SimpleNamespace(
            extend=own.add, finish=lambda: types.SimpleNamespace(value=own.round)
        )

    fakes(
        monkeypatch,
        xsum=types.SimpleNamespace(xsum_small=Xsum, xsum_large=Xsum),
        bitrep=types.SimpleNamespace(FastSumF64=fast),
        numkong=types.SimpleNamespace(sum=np.sum),
    )
    content = figures(capsys, "--sizes", "80,8e4", "--dtype", "float32")
    for name in ("math.fsum", "xsum", "bitrep"):
        errors = [e["error in ulps"] for e in content["entries"] if e["contestant"] == name]
        assert errors == [0, 0], name
    assert {"numkong"} <= {e["contestant"] for e in content["entries"]}
    assert content["left out"] == {} and content["too slow"] == []


def test_who_makes_bits_of_bool_is_left_out(capsys, monkeypatch):
    def made(*_):
        pytest.fail("converted")

    series = types.SimpleNamespace(Series=made, Expr=types.SimpleNamespace(sum=len))
    arrow = types.SimpleNamespace(array=made, set_cpu_count=int)
    fakes(monkeypatch, polars=series, pyarrow=arrow)
    compute = types.SimpleNamespace(sum=len)
    monkeypatch.setitem(sys.modules, "pyarrow.compute", compute)
    content = figures(capsys, "--sizes", "8e3", "--dtype", "bool")
    assert set(content["left out"]) == {"polars", "pyarrow"}
    assert all("keeps bits" in why for why in content["left out"].values())


def test_peers_that_would_take_too_long_are_left_out_by_name(capsys, monkeypatch):
    def slow(a):
        time.sleep(1e-8 * a.nbytes)
        return np.nansum(a)

    fakes(monkeypatch, bottleneck=types.SimpleNamespace(nansum=slow))
    monkeypatch.setattr(command, "_CALL_SECONDS", 0.15)
    sizes = ("--sizes", "8e6,24e6")
    content = figures(capsys, *sizes)
    took = {(e["contestant"], e["bytes"]) for e in content["entries"]}
    assert ("bottleneck nansum", 8e6) in took and ("bottleneck nansum", 24e6) not in took
    assert ("np.sum", 24e6) in took
    (late,) = [e for e in content["too slow"] if e["contestant"] == "bottleneck nansum"]
    assert late["bytes"] == 24e6 and 0.2 < late["expected seconds"] < 0.6
    out, _ = said(capsys, *QUICK, *sizes)
    assert "left out of 24 MB: bottleneck nansum (0." in out and " s a call)" in out


def test_without_a_compiler_there_is_no_read_limit(capsys, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    out, _ = said(capsys, *QUICK, "--no-peers", "--sizes", "8e3")
    assert "left out: read limit: CC must name a C compiler, got 'no-such-compiler'" in out
    rows = [line.rsplit(None, 8) for line in out.splitlines() if line.startswith("parsum")]
    assert [row[6] for row in rows] == ["-"] * 4 and "\nread limit" not in out


def test_exact_sums_are_held_against_fsum(capsys, monkeypatch):
    monkeypatch.setattr(parsum, "parallel_sum", lambda a: math.fsum(a) + 1)
    _, err = said(capsys, *QUICK, status=1)
    assert err.startswith("parsum: parallel_sum must give what math.fsum does, ")


# ---- the picture ----


def test_the_picture(capsys, tmp_path):
    from matplotlib import image

    path = tmp_path / "bench.png"
    out, err = said(capsys, *QUICK, "--no-peers", "--sizes", "1e3,1e5", "--plot", str(path))
    assert "parsum exact" in out and err == ""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">2I", data[16:24]) == (1600, 900)
    pixels = np.rint(image.imread(path)[:, :, :3] * 255).astype(np.uint8).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    shown = dict(zip(map(tuple, colours.tolist()), counts.tolist(), strict=True))
    for red, green, blue in [(0xD7, 0x26, 0x3D), (0xF5, 0x8A, 0x07), (0x2F, 0x6F, 0xB0)]:
        assert shown[red, green, blue] > 100  # exact, fast, NumPy
    assert shown[255, 255, 255] > 0.5 * 1600 * 900


def test_the_picture_of_many_threads_and_one_size(tmp_path):
    from parsum.bench.picture import draw

    took = timing.Timing(1e-6, 2e-6, 3)
    entries = [
        command.Entry(name, n, 1000, took, 1.0 * n, 1.0, None, None, None, None)
        for name in ("np.max", "parsum exact", "numexpr")
        for n in (1, 2, 4, 8, 16)
    ]
    about = machine.machine(("numpy",))
    for name in ("many.png", "many.svg", "one.pdf"):
        draw(str(tmp_path / name), entries, about, "the max of int8")
        assert (tmp_path / name).stat().st_size > 1000


@pytest.fixture
def _no_time_is_spent(monkeypatch):
    for name in ("field_for", "in_time", "measure", "data_for"):
        monkeypatch.setattr(command, name, lambda *_: pytest.fail("time was spent"))


@pytest.mark.usefixtures("_no_time_is_spent")
def test_a_picture_that_cannot_be_is_an_error_before_any_time_is_spent(
    capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    _, err = said(capsys, "bench", "--plot", "none/bench.png", status=1)
    assert err == "parsum: none/bench.png: No such file or directory\n"
    _, err = said(capsys, "bench", "--plot", ".png", status=1)
    assert err.startswith("parsum: plot must end in one of ") and err.endswith("got '.png'\n")
    _, err = said(capsys, "bench", "--plot", "bench.txt", status=1)
    assert ", .png, " in err and err.endswith("got 'bench.txt'\n")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    _, err = said(capsys, "bench", "--plot", "bench.png", status=1)
    assert err == "parsum: plot needs matplotlib: pip install matplotlib\n"


def test_a_picture_is_kept_while_it_is_checked(tmp_path):
    from parsum.bench.picture import check_picture

    path = tmp_path / "old.png"
    path.write_bytes(b"a picture")
    check_picture(str(path))
    assert path.read_bytes() == b"a picture"
    check_picture(str(tmp_path / "new.png"))
    assert not (tmp_path / "new.png").exists()


# ---- the command ----


@pytest.mark.usefixtures("_no_time_is_spent")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--operation", "minmax"], "operation must be one of all, any, argmax, "),
        (["--dtype", "what"], "dtype must be of bool, integers, floats or complex numbers, got"),
        (["--dtype", "longdouble"], "dtype must be of bool, integers, "),
        (["--dtype", "O"], "dtype must be of bool, integers, floats or complex numbers, got 'O'"),
        (["--workers", "0"], "workers must be -1 or at least 1, got 0\n"),
        (["--sizes", "7"], "sizes must be at least one element, 8 bytes, got 7\n"),
        (["--sizes", "nan"], "sizes must be at least one element, 8 bytes, got nan\n"),
        (["--sizes", "inf"], "sizes must be at least one element, 8 bytes, got inf\n"),
        (["--sizes", "1e18"], "sizes must fit in memory, "),
        (["--seconds", "-1"], "seconds must be at least 0, got -1.0\n"),
        (["--seconds", "nan"], "seconds must be at least 0, got nan\n"),
    ],
    ids=str,
)
def test_errors_are_a_sentence(capsys, arguments, message):
    out, err = said(capsys, "bench", *arguments, status=1)
    assert out == "" and err.startswith(f"parsum: {message}") and err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--sizes", "1e3,x"], ["--sizes", ""], ["--workers", "1.5"], ["--seconds", "x"], ["file"]],
    ids=str,
)
def test_wrong_usage_has_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as done:
        main(["bench", *arguments])
    err = capsys.readouterr().err
    assert done.value.code == 2 and "usage: parsum" in err
    if arguments[0] == "--sizes":
        assert f"must be bytes, such as 1e3,1e6, got {arguments[1]!r}" in err


def test_defaults_fit_the_machine(monkeypatch):
    monkeypatch.setattr(command, "available_cpus", lambda: 6)
    assert command._workers(None) == (1, 2, 4, 6)
    assert command._workers((3, -1, 1)) == (1, 3, 6)
    monkeypatch.setattr(command, "available_cpus", lambda: 8)
    assert command._workers(None) == (1, 2, 4, 8)
    monkeypatch.setattr(command, "free_memory", lambda: 10**12)
    assert command._sizes(None, 8)[0] == 1000 and command._sizes(None, 8)[-1] == 10**9
    monkeypatch.setattr(command, "free_memory", lambda: 400 * 10**6)
    assert command._sizes(None, 8)[-1] == 64 * 10**6
    assert command._sizes((100.0, 20.0), 16) == (16, 96)


def test_in_a_process_of_its_own_where_no_peer_can_be_imported():
    printed = output(
        """
        import sys
        import parsum
        PEERS = {
            "numba", "numexpr", "bottleneck", "numbagg", "torch", "polars", "pyarrow", "duckdb",
            "numkong", "xsum", "bitrep",
        }
        assert not {"matplotlib", "parsum.bench", "parsum.cli", *PEERS} & {*sys.modules}

        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name in PEERS:
                    raise ImportError(name)

        sys.meta_path.insert(0, Blocker())
        from parsum.cli import main
        sys.exit(main(["bench", "--sizes", "1e4", "--seconds", "0"]))
        """
    )
    assert f"not installed: {', '.join(others())}\n" in printed and "\nmath.fsum " in printed
    assert "\nparsum exact " in printed and "\n10 kB " in printed


@pytest.mark.parametrize("size", ["1e3", "1e9"])  # while calls are timed, while data is made
def test_ctrl_c_ends_it_at_once(size):
    running = subprocess.Popen(
        [sys.executable, "-m", "parsum", "bench", "--no-peers", "--seconds=60", f"--sizes={size}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stdout.readline().startswith("sum of float64 on ")
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (130, "")
    assert time.monotonic() - start < 5


# ---- the machine ----


def test_caches(monkeypatch, tmp_path):
    described = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2M"),
                 ("3", "Unified", "1G"), ("4", "Unified", "what")]  # fmt: skip
    for number, (level, kind, size) in enumerate(described):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(text + "\n")
    (tmp_path / "index9").mkdir()
    monkeypatch.setattr(machine, "_CACHES", tmp_path)
    assert machine.caches() == {"L1": 48 * 1024, "L2": 2 << 20, "L3": 1 << 30}
    monkeypatch.setattr(machine, "_CACHES", Path("/nowhere"))
    assert machine.caches() == {}


def test_free_memory_of_a_container(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    of_machine = machine.free_memory()
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert of_machine is not None and machine.free_memory() > 5000
    (tmp_path / "memory.max").write_text("5000\n")
    assert machine.free_memory() == 4000
    (tmp_path / "memory.max").write_text("500\n")
    assert machine.free_memory() == 0
