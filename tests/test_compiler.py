"""The compiler of run-time kernels and its cache on disk: keys, processes at once, hostile folders.

Tests run as any user, root included, for whom no directory is read-only: what only others meet is
simulated in a process of its own, by a file in the place of a directory, or by replacing os.access,
os.geteuid or Path.mkdir there.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from children import environment, output, run

import parsum
from parsum import compiler

# Prints a result of a kernel; the first argument is a number in its text, so that texts differ.
_USE = """
import sys
import numpy as np, parsum

def total(factor="1"):
    return parsum.Reduction.from_c(
        state={"sum": "double"}, accumulate=f"s->sum += x * {factor};",
        combine="s->sum += o->sum;", finish="*r = s->sum;")

print(parsum.parallel_reduce(np.arange(5.0), total(*sys.argv[1:])))
"""


class Cache:
    """A cache directory and a compiler that writes down when it is called to compile."""

    def __init__(self, folder: Path, delay: float = 0.0):
        self.kernels = folder / "kernels"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.log = folder / "log"
        self.log.touch()
        self.cc = folder / "logging-cc"
        self.write_compiler(delay)

    def write_compiler(self, delay: float = 0.0, last: str = "") -> None:
        """`last` is a shell command instead of the compiler's, when it is to compile."""
        real = os.environ.get("CC", "cc")
        self.cc.write_text(
            "#!/bin/sh\n"
            f'case "$*" in *-shared*) echo "$*" >> {shlex.quote(str(self.log))};\n'
            f"    sleep {delay}; {last};; esac\n"
            f'exec {real} "$@"\n'
        )
        self.cc.chmod(0o755)

    @property
    def environment(self) -> dict[str, str | None]:
        return {
            "CC": str(self.cc),
            "PARSUM_CACHE_DIR": str(self.kernels),
            "TMPDIR": str(self.temporary),
        }

    def use(self, *args: str, code: str = _USE, **changes: str | None) -> str:
        return output(code, *args, **{**self.environment, **changes})

    @property
    def compiled(self) -> int:
        return len(self.log.read_text().splitlines())

    @property
    def files(self) -> list[str]:
        return sorted(os.listdir(self.kernels)) if self.kernels.is_dir() else []


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path)


# ---- what is kept ----


def test_compiled_once_for_all_processes(cache):
    assert cache.use() == "10.0"
    assert cache.compiled == 1
    (name,) = cache.files
    assert name.endswith(".so")
    before = (cache.kernels / name).stat()
    for _ in range(2):
        assert cache.use() == "10.0"
    assert cache.compiled == 1
    assert cache.files == [name]
    assert (cache.kernels / name).stat().st_mtime_ns == before.st_mtime_ns


def test_compiled_once_in_a_process(cache):
    code = _USE + "for _ in range(3): parsum.parallel_reduce(np.arange(5.0), total())\n"
    cache.use(code=code)
    assert cache.compiled == 1


def test_the_directory_and_its_files_are_ours_alone(cache):
    """Even if the umask would let everybody write: what lies there is run."""
    cache.kernels.mkdir(mode=0o755)
    cache.use(code="import os; os.umask(0)\n" + _USE)
    (name,) = cache.files
    assert (cache.kernels / name).stat().st_mode & 0o077 == 0
    nested = cache.kernels / "a" / "b"
    cache.use(code="import os; os.umask(0)\n" + _USE, PARSUM_CACHE_DIR=str(nested))
    assert nested.stat().st_mode & 0o777 == 0o700


def test_keys(cache):
    """Of the text, the compiler with its arguments, its version, the level; of no names."""
    names = set()

    def another(*args, code=_USE, **changes):
        cache.use(*args, code=code, **changes)
        new = set(cache.files) - names
        names.update(new)
        return len(new)

    assert another() == 1
    assert another() == 0
    assert another("2") == 1
    assert another("1.0") == 1
    assert another(CC=f"{cache.cc} -DX") == 1
    assert another(CC=f"{cache.cc} -DX") == 0
    assert another(code=_USE.replace("state={", "name='another', state={")) == 0
    assert another(code=_USE.replace("state={", "ordered=False, state={")) == 1
    levels = parsum.cpu_levels()
    assert sum(another(PARSUM_CPU_LEVEL=level) for level in levels) == len(levels) - 1
    time.sleep(0.01)
    cache.write_compiler(delay=0.001)  # as an update of the compiler does
    assert another() == 1
    assert cache.compiled == len(names)


def test_levels_have_instructions_of_their_own(cache):
    flags = {"baseline": None, "avx2": "-mavx2", "avx512": "-mavx512f"}
    for level in parsum.cpu_levels():
        cache.use(PARSUM_CPU_LEVEL=level)
        (line,) = cache.log.read_text().splitlines()[-1:]
        for other, flag in flags.items():
            if flag:
                newer = list(flags).index(other) > list(flags).index(level)
                assert (flag in line.split()) == (not newer), (level, line)


def test_no_flag_changes_results(cache):
    cache.use()
    words = cache.log.read_text().split()
    assert "-ffp-contract=off" in words
    assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-march=native"} & {*words}


# ---- many at once ----


@pytest.mark.parametrize("number", [2, 8])
def test_processes_compile_the_same_text_at_once(tmp_path, number):
    """All have begun to compile before one has ended; each succeeds and one file is left."""
    cache = Cache(tmp_path, delay=1.5)
    gate = tmp_path / "gate"
    code = (
        f"""
import os, time
import numpy as np, parsum
print("ready", flush=True)
while not os.path.exists({str(gate)!r}):
    time.sleep(0.005)
"""
        + _USE
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**cache.environment),
        )
        for _ in range(number)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    gate.touch()
    for child in children:
        out, err = child.communicate(timeout=120)
        assert (child.returncode, out, err) == (0, "10.0\n", "")
    assert cache.compiled > 1, "nobody met"
    (name,) = cache.files
    assert name.endswith(".so")
    before = cache.compiled
    assert cache.use() == "10.0"
    assert cache.compiled == before


def test_threads_compile_the_same_text_at_once(cache):
    code = """
        import threading
        import numpy as np, parsum
        start = threading.Barrier(8)
        found = []

        def use():
            total = parsum.Reduction.from_c(
                state={"sum": "double"}, accumulate="s->sum += x;",
                combine="s->sum += o->sum;", finish="*r = s->sum;")
            start.wait()
            found.append(float(parsum.parallel_reduce(np.arange(5.0), total)))

        threads = [threading.Thread(target=use) for _ in range(8)]
        for k in threads: k.start()
        for k in threads: k.join()
        print(found == [10.0] * 8)
    """
    assert cache.use(code=code) == "True"
    assert len(cache.files) == 1


def test_one_reduction_is_used_by_threads_at_once(cache):
    code = _USE.replace("print", "shared = total()\nprint") + textwrap.dedent("""
        import threading
        shared = total("3")
        start, found = threading.Barrier(6), []
        def use(n):
            start.wait()
            found.append(parsum.parallel_reduce(np.ones(n), shared) == 3 * n)
        threads = [threading.Thread(target=use, args=(1 << k,)) for k in range(6)]
        for k in threads: k.start()
        for k in threads: k.join()
        print(all(found), len(found))
    """)
    assert cache.use(code=code).split() == ["10.0", "True", "6"]


# ---- what goes wrong ----


@pytest.mark.parametrize("contents", [b"", b"no library", b"\x7fELF" + bytes(60)])
def test_a_damaged_file_is_made_anew(cache, contents):
    cache.use()
    (name,) = cache.files
    (cache.kernels / name).write_bytes(contents)
    assert cache.use() == "10.0"
    assert cache.compiled == 2
    assert cache.files == [name]
    assert cache.use() == "10.0"
    assert cache.compiled == 2


def test_a_file_that_was_cut_off_is_made_anew(cache):
    """As a crash of the machine may leave it."""
    cache.use()
    (name,) = cache.files
    whole = (cache.kernels / name).read_bytes()
    for part in (0, 100, len(whole) // 4, len(whole) // 2, len(whole) - 100):
        (cache.kernels / name).write_bytes(whole[:part])
        assert cache.use() == "10.0", part


def test_a_directory_in_the_place_of_the_file(cache):
    """Nothing can be put there: an error, not a wrong result."""
    cache.use()
    (name,) = cache.files
    (cache.kernels / name).unlink()
    (cache.kernels / name).mkdir()
    done = run(_USE, **cache.environment)
    assert done.stdout.strip() == "10.0" or "Error" in done.stderr
    assert not [k for k in cache.files if k.endswith(".tmp")]


def test_nothing_is_left_of_a_text_that_does_not_compile(cache):
    done = run(_USE, "nonsense", **cache.environment)
    assert "CompileError: custom for float64 does not compile:" in done.stderr
    assert "nonsense" in done.stderr
    assert cache.files == []


def test_a_compiler_that_dies(cache):
    cache.write_compiler(last="kill -9 $$")
    done = run(_USE, **cache.environment)
    assert "CompileError: custom for float64 does not compile:" in done.stderr
    assert cache.files == []


def test_a_compiler_that_makes_no_library(cache):
    cache.write_compiler(last="exit 0")
    done = run(_USE, **cache.environment)
    assert "CompileError: custom for float64 was compiled but cannot be loaded" in done.stderr
    assert not [k for k in cache.files if k.endswith(".tmp")]


def test_an_interrupt_while_compiling(tmp_path):
    cache = Cache(tmp_path, delay=60)
    child = subprocess.Popen(
        [sys.executable, "-c", _USE],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**cache.environment),
        start_new_session=True,
    )
    while not cache.compiled and child.poll() is None:
        time.sleep(0.01)
    time.sleep(0.1)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does
    _, err = child.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert cache.files == []


# ---- where it is ----

_WHERE = """
import os, sys
import parsum
folder = parsum.cache_folder()
print(folder)
print(oct(folder.stat().st_mode & 0o777), parsum.cache_folder() == folder)
"""


def where(**env):
    folder, mode, same = output(_WHERE, **env).split()
    assert same == "True"
    return Path(folder), mode


def test_parsum_cache_dir(tmp_path):
    folder = tmp_path / "not-yet" / "kernels"
    assert where(PARSUM_CACHE_DIR=str(folder)) == (folder, "0o700")
    assert where(PARSUM_CACHE_DIR=f" {folder} ") == (folder, "0o700")


def test_xdg_cache_home(tmp_path):
    env = {"PARSUM_CACHE_DIR": None, "HOME": str(tmp_path / "home")}
    expected = tmp_path / "xdg" / "parsum"
    assert where(XDG_CACHE_HOME=str(tmp_path / "xdg"), **env) == (expected, "0o700")
    home = tmp_path / "home" / ".cache" / "parsum"
    for nothing in (None, "", "relative/path"):  # which its specification says to ignore
        assert where(XDG_CACHE_HOME=nothing, **env) == (home, "0o700")
    assert where(XDG_CACHE_HOME=str(tmp_path), **{**env, "PARSUM_CACHE_DIR": ""}) == (
        tmp_path / "parsum", "0o700",
    )  # fmt: skip


@pytest.mark.parametrize("given", [".", "kernels", "./a/../b"])
def test_a_relative_directory(cache, tmp_path, given):
    """It is of the directory that the process is in, and serves the next one there."""
    code = f"import os; os.chdir({str(tmp_path)!r})\n" + _USE
    for _ in range(2):
        assert cache.use(code=code, PARSUM_CACHE_DIR=given) == "10.0"
        assert cache.compiled == 1
    assert len(list((tmp_path / given).glob("*.so"))) == 1


def test_a_relative_compiler(cache, tmp_path):
    code = f"import os; os.chdir({str(tmp_path)!r})\n" + _USE
    assert cache.use(code=code, CC="./logging-cc") == "10.0"
    assert cache.compiled == 1


def _fallback(cache, before="", **changes):
    """A kernel is compiled and used in a directory of the process's own, which is gone after it."""
    code = (
        f"{before}\n"
        + _USE
        + textwrap.dedent("""
        import os, stat
        folder = parsum.cache_folder()
        status = folder.stat()
        print(folder.parent, len(os.listdir(folder)), oct(status.st_mode & 0o777))
        print(parsum.parallel_reduce(np.arange(5.0), total("2")), len(os.listdir(folder)))
    """)
    )
    result, parent, count, mode, second, both = cache.use(code=code, **changes).split()
    assert (result, second) == ("10.0", "20.0")
    assert (parent, count, mode, both) == (str(cache.temporary), "1", "0o700", "2")
    assert cache.compiled == 2
    assert list(cache.temporary.iterdir()) == []


def test_a_file_in_the_place_of_the_directory(cache):
    cache.kernels.write_text("a file")
    _fallback(cache)
    assert cache.kernels.read_text() == "a file"


def test_a_file_in_the_place_of_a_parent(cache):
    cache.kernels.write_text("a file")
    _fallback(cache, PARSUM_CACHE_DIR=str(cache.kernels / "deeper"))


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o775, 0o757, 0o1777])
def test_a_directory_that_others_can_write_to(cache, mode):
    """They could put code there that we would run."""
    cache.kernels.mkdir()
    cache.kernels.chmod(mode)
    _fallback(cache)
    assert cache.files == []


def test_a_directory_of_somebody_else(cache):
    cache.kernels.mkdir(mode=0o755)
    _fallback(cache, "import os; real = os.geteuid; os.geteuid = lambda: real() + 1")
    assert cache.files == []


def test_a_directory_that_cannot_be_written_to(cache):
    cache.kernels.mkdir(mode=0o755)
    before = f"""
import os
real = os.access
os.access = lambda path, *args, **kwargs: str(path) != {str(cache.kernels)!r} and real(path, *args)
"""
    _fallback(cache, before)
    assert cache.files == []


def test_a_file_system_that_is_read_only(cache):
    before = """
import errno, pathlib
real = pathlib.Path.mkdir
def mkdir(self, *args, **kwargs):
    if "kernels" in str(self):
        raise OSError(errno.EROFS, "Read-only file system", str(self))
    return real(self, *args, **kwargs)
pathlib.Path.mkdir = mkdir
"""
    _fallback(cache, before)


def test_no_home_directory(cache):
    before = """
import pathlib
def home():
    raise RuntimeError("Could not determine home directory.")
pathlib.Path.home = home
"""
    _fallback(cache, before, PARSUM_CACHE_DIR=None, XDG_CACHE_HOME=None)


def test_a_directory_from_which_nothing_may_be_run(cache):
    """Mounted noexec: compiled there, but loaded from elsewhere."""
    before = f"""
import cffi
class Refusing(cffi.FFI):
    def dlopen(self, name, *args):
        if str(name).startswith({str(cache.kernels)!r}):
            raise OSError(f"cannot load library {{name}}: failed to map segment from shared object")
        return super().dlopen(name, *args)
cffi.FFI = Refusing
"""
    code = before + _USE
    assert cache.use(code=code) == "10.0"
    assert list(cache.temporary.iterdir()) == []
    assert not [k for k in cache.files if k.endswith(".tmp")]


def test_the_private_directory_is_removed_after_an_error(cache):
    cache.kernels.write_text("a file")
    done = run(_USE + "raise SystemExit(3)", **cache.environment)
    assert done.returncode == 3
    assert list(cache.temporary.iterdir()) == []
    done = run(_USE + "raise KeyError", **cache.environment)
    assert "KeyError" in done.stderr
    assert list(cache.temporary.iterdir()) == []


# ---- fork ----


def test_a_fork_while_another_thread_compiles(tmp_path):
    """The child compiles for itself, whatever the parent's thread held."""
    cache = Cache(tmp_path, delay=0.5)
    code = _USE + textwrap.dedent("""
        import os, threading, time
        log = open(os.environ["CC"].replace("logging-cc", "log"))
        log.read()
        thread = threading.Thread(
            target=lambda: print(parsum.parallel_reduce(np.arange(5.0), total("2"))))
        thread.start()
        while not log.read():
            time.sleep(0.01)
        child = os.fork()
        if not child:
            same = parsum.parallel_reduce(np.arange(5.0), total("2")) == 20
            other = parsum.parallel_reduce(np.arange(5.0), total("3")) == 30
            os._exit(not (same and other))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        thread.join()
        print("child", code)
    """)
    assert cache.use(code=code).split() == ["10.0", "20.0", "child", "0"]
    assert not [k for k in cache.files if k.endswith(".tmp")]


def test_a_fork_while_the_lock_is_held(cache):
    code = _USE + textwrap.dedent("""
        import os
        from parsum import compiler
        with compiler._lock:
            child = os.fork()
            if not child:
                os._exit(int(parsum.parallel_reduce(np.arange(5.0), total("3")) != 30))
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert cache.use(code=code).split() == ["10.0", "child", "0"]


def test_a_forked_child_leaves_the_private_directory_to_its_parent(cache):
    cache.kernels.write_text("a file")
    code = _USE + textwrap.dedent("""
        import os, sys
        child = os.fork()
        if not child:
            sys.exit(0)  # which runs what is registered for the exit
        os.waitpid(child, 0)
        print(len(os.listdir(parsum.cache_folder())))
    """)
    assert cache.use(code=code).split() == ["10.0", "1"]
    assert list(cache.temporary.iterdir()) == []


# ---- load itself ----


def test_load_gives_addresses_of_functions():
    source = "int seven(void) { return 7; }\nint eight(void) { return 8; }\n"
    places = compiler.load(source, ("seven", "eight"), "a test")
    assert [ctypes.CFUNCTYPE(ctypes.c_int)(place)() for place in places] == [7, 8]
    assert compiler.load(source, ("eight",), "a test") == places[1:]


def test_load_of_nonsense_says_what_it_is_of():
    with pytest.raises(parsum.CompileError, match=r"^a test does not compile:\n"):
        compiler.load("int seven(void) { return seven8; }", ("seven",), "a test")


def test_text_that_is_not_ascii():
    source = 'const char *word(void) { return "ä€"; }'
    assert compiler.load(source, ("word",), "a test")


def test_nobody_waits_for_a_compilation_of_another_text(tmp_path):
    """The lock is not held while the compiler runs."""
    cache = Cache(tmp_path, delay=0)
    code = _USE + textwrap.dedent("""
        import threading
        from parsum import compiler
        begun, go = threading.Event(), threading.Event()
        real = compiler._compile
        def slow(source, to, command):
            if "* 5" in source:
                begun.set()
                assert go.wait(30)
            real(source, to, command)
        compiler._compile = slow
        thread = threading.Thread(
            target=lambda: print(parsum.parallel_reduce(np.arange(5.0), total("5"))))
        thread.start()
        begun.wait(30)
        print(parsum.parallel_reduce(np.arange(5.0), total("6")))
        go.set()
        thread.join()
    """)
    assert cache.use(code=code).split() == ["10.0", "60.0", "50.0"]
