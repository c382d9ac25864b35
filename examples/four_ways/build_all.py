"""Builds all there is here into one folder: `python examples/four_ways/build_all.py [FOLDER]`.

libparsum.so and parsum.h      the C code of parsum as a library of its own
libfour_ways.so                the two kernels of four_ways.c, over it
four_ways_extension.*.so       the extension written by hand
_four_ways_cffi.*.so           the binding made by cffi
sum                            the C program

FOLDER is build/ beside this file by default. It takes GCC or Clang (CC names another), Python's
headers and cffi, on Linux or another system of ELF libraries. CFLAGS are added to the flags.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
BUILD = HERE / "build"

# Those of build_ffi.py: results must not depend on who built it.
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-fast-math", "-fPIC", "-pthread"]
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


def compiler() -> list[str]:
    """The command of the C compiler; an error in words if there is none."""
    given = shlex.split(os.environ.get("CC", ""))
    for command in [given] if given else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    if given:
        sys.exit(f"build_all: CC must name a C compiler, got {given[0]!r}, which was not found")
    sys.exit("build_all: a C compiler is needed, and none was found: install GCC or Clang")


def run(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"build_all: {shlex.join(map(str, command))}\n{done.stderr}")


def older(made: Path, sources: Sequence[Path]) -> bool:
    """Whether a file has to be made, or made anew."""
    return not made.exists() or made.stat().st_mtime < max(k.stat().st_mtime for k in sources)


def build(folder: Path = BUILD) -> None:
    """Build everything into the folder; what is newer than its sources is left as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    cc, flags = compiler(), [*FLAGS, *shlex.split(os.environ.get("CFLAGS", ""))]
    # Libraries are found beside those that need them, wherever the folder is moved to.
    beside = [f"-L{folder}", "-Wl,-rpath,$ORIGIN"]

    headers = [*CSRC.glob("*.h"), Path(__file__)]
    objects = [folder / f"{source.stem}.o" for source in sorted(CSRC.glob("*.c"))]
    stale = [k for k in objects if older(k, [CSRC / f"{k.stem}.c", *headers])]
    # The largest first, so that no core ends up alone with one.
    stale.sort(key=lambda k: (not k.stem.startswith("level_"), k.stem))

    def compile_to(made: Path) -> None:
        run(*cc, *flags, "-c", CSRC / f"{made.stem}.c", "-o", made)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_to, stale))
    libparsum, libfour_ways = folder / "libparsum.so", folder / "libfour_ways.so"
    run(*cc, *flags, "-shared", *objects, "-o", libparsum, "-lm")
    shutil.copy(CSRC / "parsum.h", folder)

    flags.append(f"-I{folder}")
    run(*cc, *flags, "-shared", HERE / "four_ways.c", "-o", libfour_ways, *beside, "-lparsum")
    run(*cc, *flags, HERE / "sum.c", "-o", folder / "sum", *beside, "-lparsum")

    include = sysconfig.get_paths()["include"]
    if not Path(include, "Python.h").exists():
        sys.exit(f"build_all: the extensions need Python's headers, and {include} has no Python.h")
    flags += [f"-I{include}", f"-I{HERE}", "-shared"]
    links = [*beside, "-lfour_ways"]
    module = folder / f"four_ways_extension{SUFFIX}"
    run(*cc, *flags, HERE / "extension.c", "-o", module, *links)
    binding = write_cffi_binding(folder)
    run(*cc, *flags, binding, "-o", binding.with_suffix(SUFFIX), *links)


def write_cffi_binding(folder: Path) -> Path:
    """Let cffi write the C file of its binding.

    In API mode: the C compiler checks the declarations against the header, where ABI mode would
    call a function of another signature and crash, and calls are direct, where it goes by libffi.
    """
    try:
        from cffi import FFI
    except ImportError:
        sys.exit("build_all: the binding by cffi needs cffi: pip install cffi")
    header = (HERE / "four_ways.h").read_text(encoding="utf-8")
    ffi = FFI()
    ffi.cdef(header.split("/* cffi begin */")[1].split("/* cffi end */")[0])
    ffi.set_source("_four_ways_cffi", '#include "four_ways.h"')
    path = folder / "_four_ways_cffi.c"
    with redirect_stdout(io.StringIO()):  # it says what it does
        ffi.emit_c_code(str(path))
    return path


if __name__ == "__main__":
    if len(sys.argv) > 2 or "-h" in sys.argv or "--help" in sys.argv:
        sys.exit(__doc__)
    target = Path(sys.argv[1]).resolve() if len(sys.argv) == 2 else BUILD
    build(target)
    print(f"built in {target}")
