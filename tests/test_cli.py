"""The command line: results, options, errors in a sentence, the terminal, exit statuses."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import zarr
from children import environment

import parsum
from parsum.api.named import FUNCTIONS
from parsum.cli import main


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.array([[1.5, 2.0, np.nan], [4.0, 5.0, 6.0]]))
    return "a.npy"


def said(capsys, *arguments: str, status: int = 0) -> tuple[str, str]:
    """What a command prints to stdout and stderr."""
    assert main(arguments) == status
    return tuple(capsys.readouterr())


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "parsum", *arguments]


def test_results(capsys, file):
    assert said(capsys, "nansum", file) == ("18.5\n", "")
    assert said(capsys, "sum", file)[0] == "nan\n"
    assert said(capsys, "sum", file, "--axis", "1")[0] == "nan\n15.0\n"
    assert said(capsys, "sum", file, "--axis", "-2")[0] == "5.5\n7.0\nnan\n"
    assert said(capsys, "max", file, "--axis", "0,1")[0] == "nan\n"
    assert said(capsys, "nanmin", file)[0] == "1.5\n"
    assert said(capsys, "nanargmax", file)[0] == "5\n"
    assert said(capsys, "minmax", file, "--axis=0")[0] == "1.5\n2.0\nnan\n4.0\n5.0\nnan\n"
    assert said(capsys, "nanvar", file, "--ddof", "1")[0] == f"{np.float64(3.7)!s}\n"
    assert said(capsys, "count_nonzero", file, "--workers", "2")[0] == "6\n"
    table = said(capsys, "describe", file)[0]
    assert table.startswith("count  5\nnans   1\nmin    1.5\n")
    np.save("cube.npy", np.arange(24).reshape(2, 3, 4))
    assert said(capsys, "sum", "cube.npy", "--axis", "0")[0].split("\n")[0] == "12 14 16 18"


def test_every_function_is_a_command(capsys, file):
    np.save("vector.npy", np.array([3.0, 4.0]))
    for name in FUNCTIONS:
        assert said(capsys, name, "vector.npy")[0]
    assert said(capsys, "norm", "vector.npy")[0] == "5.0\n"
    assert said(capsys, "norm", "vector.npy", "--ord", "1")[0] == "7.0\n"
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0 and all(name in text for name in [*FUNCTIONS, "info"])


def test_json(capsys, file):
    content = json.loads(said(capsys, "sum", file, "--axis=0", "--json")[0])
    assert content == {
        "file": "a.npy", "operation": "sum", "dtype": "float64", "shape": [2, 3],
        "result": [5.5, 7.0, "nan"],
    }  # fmt: skip
    content = json.loads(said(capsys, "describe", file, "--json")[0])
    assert content["result"]["count"] == 5 and "skew" not in content["result"]
    assert json.loads(said(capsys, "minmax", file, "--json")[0])["result"] == {
        "min": "nan", "max": "nan",
    }  # fmt: skip
    np.save("c.npy", np.array([1 + 2j]))
    assert json.loads(said(capsys, "sum", "c.npy", "--json")[0])["result"] == [1.0, 2.0]
    np.save("t.npy", np.array([5], "m8[s]"))
    assert json.loads(said(capsys, "max", "t.npy", "--json")[0])["result"] == "5 seconds"


def test_raw_elements(capsys, file):
    np.arange(6, dtype=">i4").tofile("raw")
    assert said(capsys, "sum", "raw", "--dtype", ">i4")[0] == "15\n"
    raw = ("--dtype=>i4", "--shape=2,-1")
    assert said(capsys, "sum", "raw", *raw, "--axis=1")[0] == "3\n12\n"
    assert said(capsys, "sum", "raw", *raw, "--axis=1", "--order=F")[0] == "6\n9\n"
    assert said(capsys, "sum", "raw", "--dtype=>i4", "--offset=20")[0] == "5\n"
    apart = ("--dtype", ">i4", "--shape", "-1,3", "--axis", "-2,-1")
    assert said(capsys, "sum", "raw", *apart)[0] == "15\n"


def test_members(capsys, file):
    np.savez("two.npz", a=np.arange(3), b=np.arange(4))
    assert said(capsys, "sum", "two.npz", "--member", "b")[0] == "6\n"
    err = said(capsys, "sum", "two.npz", status=1)[1]
    assert err == "parsum: member must be one of 'a', 'b' of two.npz, got None\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sum", "none.npy"], "parsum: none.npy: No such file or directory\n"),
        (["sum", "."], "parsum: .: Is a directory\n"),
        (["sum", "text"], "parsum: text must be a .npy file, or dtype be given for raw elements: "
         "it does not begin as such files do\n"),
        (["sum", "short.npy"], "parsum: short.npy must have 208 bytes for shape (10,) of "
         "float64, got 150: it is truncated\n"),
        (["sum", "objects.npy"], "parsum: objects.npy must be of bool, integers, floats, complex "
         "numbers or times, got dtype object\n"),
        (["sum", "a.npy", "--axis", "7"], "parsum: axis: axis 7 is out of bounds for array of "
         "dimension 2\n"),
        (["argmin", "a.npy", "--axis", "0,1"], None),
        (["sum", "a.npy", "--shape", "3"], "parsum: dtype must be given where shape, offset or "
         "order are, got None\n"),
        (["sum", "a.npy", "--dtype", "what"], None),
        (["sum", "a.npy", "--workers", "0"], "parsum: workers must be -1 or at least 1, got 0\n"),
        (["min", "empty.npy"], "parsum: zero-size array to reduction operation minimum which has "
         "no identity\n"),
    ],
    ids=lambda k: " ".join(k) if isinstance(k, list) else "",
)  # fmt: skip
def test_errors_are_a_sentence(capsys, file, arguments, message):
    Path("text").write_text("not an array")
    np.save("short.npy", np.arange(10.0))
    os.truncate("short.npy", 150)
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    np.save("empty.npy", np.empty(0))
    out, err = said(capsys, *arguments, status=1)
    assert out == "" and err.startswith("parsum: ") and err.count("\n") == 1
    assert message is None or err == message


@pytest.mark.parametrize(
    "arguments",
    [[], ["what", "a.npy"], ["sum"], ["sum", "a.npy", "--axis", "x"], ["sum", "a", "--order", "K"],
     ["sum", "a.npy", "b.npy"], ["sum", "a.npy", "--ddof", "1"]],
    ids=str,
)  # fmt: skip
def test_wrong_usage_has_status_2(capsys, file, arguments):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2 and "usage: parsum" in capsys.readouterr().err


def test_warnings_are_a_line(capsys, file):
    np.save("inf.npy", np.array([np.inf, -np.inf]))
    out, err = said(capsys, "sum", "inf.npy")
    assert out == "nan\n" and err == "parsum: warning: invalid value encountered in parallel_sum\n"


def test_info(capsys):
    out, _ = said(capsys, "info")
    assert f"cpu level             {parsum.cpu_level()}\n" in out
    about = json.loads(said(capsys, "info", "--json")[0])
    assert about["numpy"] == np.__version__ and about["parsum"] == parsum.__version__
    assert int(about["cpus allowed"]) == parsum.engine.available_cpus()
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"parsum {parsum.__version__}\n"


def test_the_command_and_a_reader_that_goes_away(file):
    done = subprocess.run(
        command("nansum", file), capture_output=True, text=True, env=environment(), check=True
    )
    assert (done.stdout, done.stderr) == ("18.5\n", "")
    np.save("many.npy", np.zeros((300_000, 2)))
    shell = f"{sys.executable} -m parsum sum many.npy --axis=1 | head -1"
    done = subprocess.run(
        shell, shell=True, capture_output=True, text=True, env=environment(), check=False
    )
    assert (done.stdout, done.stderr) == ("0.0\n", "")


def large(path: Path, count: int) -> None:
    """A file of zeros that takes no room."""
    with path.open("wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + 8 * count)


def is_large(descriptor: Path) -> bool:
    """Whether an open file of a process is the one that it is to read."""
    try:
        return descriptor.readlink().name == "large.npy"
    except FileNotFoundError:  # closed meanwhile
        return False


def test_ctrl_c_ends_it_at_once(tmp_path):
    large(tmp_path / "large.npy", 1 << 36)
    running = subprocess.Popen(
        command("sum", str(tmp_path / "large.npy")),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any(map(is_large, Path(f"/proc/{running.pid}/fd").iterdir())):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    start = time.monotonic()
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (130, "", "")
    assert time.monotonic() - start < 5


def in_terminal(*arguments: str) -> str:
    """What a command shows in a terminal, where stderr is one."""
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    running = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=writing, env=environment()
    )
    os.close(writing)
    shown = b""
    while select.select([reading], [], [], 60)[0]:
        try:
            shown += os.read(reading, 4096)
        except OSError:  # the other end is closed
            break
    assert running.wait() == 0 and running.stdout is not None
    os.close(reading)
    with running.stdout as stream:
        assert stream.read() == b"0.0\n"
    return shown.decode()


def test_a_bar_in_a_terminal(tmp_path):
    path = tmp_path / "large.npy"
    large(path, 1 << 28)
    bar = in_terminal("sum", str(path))
    assert "100%" in bar and "GB" in bar.replace("G/", "GB") and "B/s" in bar
    assert in_terminal("sum", str(path), "--quiet") == ""


def test_files_of_other_libraries(capsys, file):
    numbers = np.array([1.0, np.inf, np.nan, 4.0])
    zarr.create_array(store="a.zarr", data=numbers)
    with h5py.File("a.h5", "w") as stored:
        stored["x"] = numbers
    table = pa.table({"x": numbers, "y": pa.array([1, None, 3, None])})
    pa.parquet.write_table(table, "a.parquet")
    pa.feather.write_feather(table, "a.feather")
    for name, member in (
        ("a.zarr", []), ("a.h5", []), ("a.parquet", ["--member=x"]), ("a.feather", ["--member=x"]),
    ):  # fmt: skip
        assert said(capsys, "sum", name, *member)[0] == "nan\n"
        assert said(capsys, "sum", name, *member, "--where-finite")[0] == "5.0\n"
        assert said(capsys, "argmax", name, *member, "--where-finite")[0] == "3\n"
    assert said(capsys, "sum", "a.parquet", "--member=y")[0] == "4\n"
    assert said(capsys, "mean", "a.npy", "--where-finite")[0] == "3.7\n"
    assert said(capsys, "sum", "a.npy", "--where-finite", "--axis=0")[0] == "5.5\n7.0\n6.0\n"
    message = "member must be one of 'x', 'y' of a.parquet, got 'z'\n"
    assert said(capsys, "sum", "a.parquet", "--member=z", status=1)[1] == f"parsum: {message}"
    Path("bad.parquet").write_bytes(b"PAR1" + bytes(50))
    out, err = said(capsys, "sum", "bad.parquet", status=1)
    assert out == "" and err.startswith("parsum: ") and err.count("\n") == 1


def test_a_library_that_is_missing(capsys, file, monkeypatch):
    pa.parquet.write_table(pa.table({"x": [1]}), "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    err = said(capsys, "sum", "a.parquet", status=1)[1]
    assert err == "parsum: a.parquet needs pyarrow to be read: pip install parsum[arrow]\n"
