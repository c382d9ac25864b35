"""C text made at run time into functions: compiled once by the system's compiler, kept on disk.

What is compiled is plain C without Python's headers, loaded by cffi; a thread that runs it has no
need of the GIL. Environment variables:

CC                how to call the compiler (by default cc, gcc or clang, the first there is)
PARSUM_CACHE_DIR  where compiled kernels are kept (by default parsum/ in the user's cache directory)
"""

from __future__ import annotations

import atexit
import hashlib
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from cffi import FFI

from parsum.reduction import cpu_level

# Those of the library's own kernels. Nothing reads errno or the exception flags of what is compiled
# here, and without both loops with square roots and comparisons become vector instructions; neither
# changes a result.
FLAGS = [
    "-std=c11",
    "-O3",
    "-ffp-contract=off",
    "-fno-fast-math",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-shared",
]

#: The instructions of each CPU level, as csrc/level_*.c have them.
_AVX2 = ["-mavx2", "-mbmi2", "-mfma", "-mf16c"]
_AVX512 = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mprefer-vector-width=512"]
LEVEL_FLAGS = {"avx2": _AVX2, "avx512": [*_AVX2, *_AVX512]}

#: Part of every key: what is compiled from equal text before and after a change of it may differ.
FORMAT = 2

_lock = threading.Lock()
_loaded: dict[str, tuple[object, FFI]] = {}
_private: list[Path] = []


class CompileError(RuntimeError):
    """C text could not be compiled, or there is nothing to compile it with."""


class _Refused(Exception):
    """What the compiler says of a text."""


def load(
    source: str, names: tuple[str, ...], what: str, texts: Mapping[str, str] | None = None
) -> tuple[int, ...]:
    """Return the addresses of functions of a C text, compiling it if nobody has yet.

    ``what`` says in messages what the text is of, and ``texts`` are the parts that the user wrote,
    by the names that ``#line`` gives them: messages show their lines. The functions stay as long as
    the process.
    """
    command = _compiler()
    flags = [*FLAGS, *LEVEL_FLAGS.get(cpu_level(), [])]
    parts = [str(FORMAT), _version(command), platform.machine(), *flags, source]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    with _lock:
        library, ffi = _loaded.get(key) or (None, FFI())
    if library is None:
        for name in names:
            ffi.cdef(f"void {name}(void);")
        try:
            library = _library(ffi, key, source, [*command, *flags], what)
        except _Refused as error:
            raise CompileError(
                f"{what} does not compile:\n{_with_lines(str(error), texts or {})}"
            ) from None
        with _lock:
            library, ffi = _loaded.setdefault(key, (library, ffi))
    return tuple(int(ffi.cast("uintptr_t", getattr(library, name))) for name in names)


def _library(ffi: FFI, key: str, source: str, command: list[str], what: str) -> object:
    folder = cache_folder()
    path = folder / f"{key}.so"
    if _is_whole(path):
        try:
            return ffi.dlopen(str(path))
        except OSError:
            pass  # of another machine: made anew
    _make(source, path, command)
    try:
        return ffi.dlopen(str(path))
    except OSError as error:
        private = _private_folder()
        if folder == private:
            raise CompileError(f"{what} was compiled but cannot be loaded: {error}") from error
    # A directory from which nothing may be run (mounted noexec).
    _make(source, private / path.name, command)
    try:
        return ffi.dlopen(str(private / path.name))
    except OSError as error:
        raise CompileError(f"{what} was compiled but cannot be loaded: {error}") from error


def _digest(path: Path, contents: bytes) -> bytes:
    return hashlib.sha256(path.stem.encode() + contents).digest()


def _is_whole(path: Path) -> bool:
    """Tell whether a library is what was put there: one that is cut off may load, and then crash.

    A digest stands at its end, where no loader looks.
    """
    try:
        contents = path.read_bytes()
    except OSError:
        return False
    size = hashlib.sha256().digest_size
    return contents[-size:] == _digest(path, contents[:-size])


def _make(source: str, path: Path, command: list[str]) -> None:
    # Several processes may be here at once. Each writes a file of its own, and puts it in place as
    # a whole; a file that is in use lives on while another takes its name.
    handle, name = tempfile.mkstemp(prefix=f"{path.stem}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    made = Path(name)
    try:
        _compile(source, made, command)
        with made.open("r+b") as file:
            file.write(_digest(path, file.read()))
        made.chmod(0o700)  # whatever the umask would let others write to
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def _compile(source: str, to: Path, command: list[str]) -> None:
    try:
        done = subprocess.run(
            [*command, "-x", "c", "-", "-o", str(to), "-lm"],
            input=source.encode(),
            capture_output=True,
            cwd=to.parent,
            check=False,
        )
    except OSError as error:
        raise CompileError(f"the C compiler {command[0]!r} could not be run: {error}") from error
    if done.returncode != 0:
        raise _Refused(done.stderr.decode(errors="replace").strip())


_PLACE = re.compile(r"(?P<text>[a-z]+):(?P<line>[0-9]+):(?:[0-9]+:)? (?:fatal )?error: ")


def _with_lines(message: str, texts: Mapping[str, str]) -> str:
    """Put under each error the line that it is of, which the compiler has no file of."""
    lines = []
    for line in message.splitlines():
        lines.append(line)
        place = _PLACE.match(line)
        if place is not None and place["text"] in texts:
            own = texts[place["text"]].splitlines()
            number = int(place["line"])
            if 1 <= number <= len(own):
                lines.append(f"    {own[number - 1].strip()}")
    return "\n".join(lines)


# ---- the compiler ----


def _compiler() -> list[str]:
    given = os.environ.get("CC", "").strip()
    if given:
        try:
            command = shlex.split(given)
        except ValueError as error:
            raise CompileError(f"CC must name a C compiler, got {given!r}: {error}") from None
        place = shutil.which(command[0]) if command else None
        if place is None:
            raise CompileError(f"CC must name a C compiler, got {given!r}, which was not found")
        # It is called in another directory.
        return [os.path.abspath(place) if os.sep in command[0] else command[0], *command[1:]]
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name) is not None:
            return [name]
    raise CompileError(
        "a C compiler is needed for kernels made at run time, and none was found: install GCC or "
        "Clang, or set the environment variable CC to the one to use"
    )


def version() -> str:
    """Return what the compiler says that it is; CompileError if there is none."""
    command = _compiler()
    _version(command)
    done = subprocess.run([*command, "--version"], capture_output=True, check=True)
    return done.stdout.decode(errors="replace").split("\n", 1)[0]


def _version(command: list[str]) -> str:
    return _version_of(tuple(command), shutil.which(command[0]) or "")


@lru_cache(maxsize=8)
def _version_of(command: tuple[str, ...], place: str) -> str:
    """Return what tells a compiler from others, and from what stood in its place before."""
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, check=True)
        changed = os.stat(place).st_mtime_ns
    except (OSError, subprocess.CalledProcessError) as error:
        raise CompileError(f"the C compiler {command[0]!r} could not be run: {error}") from error
    return f"{' '.join(command)} {place} {changed} {done.stdout.decode(errors='replace')}"


# ---- the cache on disk ----


def cache_folder() -> Path:
    """Return the directory of compiled kernels, or one of this process's where that cannot be used.

    What lies there is loaded into the process: nobody else may be able to write to it.
    """
    given = os.environ.get("PARSUM_CACHE_DIR", "").strip()
    home = os.environ.get("XDG_CACHE_HOME", "").strip()
    try:
        if given:
            folder = Path(given).absolute()
        else:
            folder = (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "parsum"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        ours = status.st_uid == os.geteuid()
        closed = not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if ours and closed and os.access(folder, os.W_OK | os.X_OK):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: there is no home directory
        pass
    return _private_folder()


def _private_folder() -> Path:
    with _lock:
        if not _private:
            folder = Path(tempfile.mkdtemp(prefix="parsum-"))
            _private.append(folder)
            atexit.register(_remove, folder, os.getpid())
        return _private[0]


def _renew_lock() -> None:
    """Only the forking thread lives on in a child: a lock that another one held has no owner."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child leaves it to its parent
        shutil.rmtree(folder, ignore_errors=True)
