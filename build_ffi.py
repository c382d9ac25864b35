"""The cffi builder of parsum._native: csrc/parsum.h is the one source of its interface.

Environment variables for those who work on the C code:

PARSUM_WERROR=1      many compiler warnings, each of them an error
PARSUM_EXTRA_CFLAGS  more flags, split as a shell would, for compiling and linking
                     (such as "-O1 -fsanitize=address,undefined")
"""

import os
import shlex
from pathlib import Path

from cffi import FFI

# No -march=native, no contraction, and no -ffast-math even if CFLAGS has it: results must not
# depend on the machine or on who built it.
COMPILE_FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-fast-math"]

# Those that the file written by cffi passes too; .ci/compile_csrc asks more of csrc alone.
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wformat=2",
    "-Wold-style-definition",
    "-Wpointer-arith",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wundef",
    "-Wvla",
    "-Wwrite-strings",
    "-Werror",
]


def declarations(header: str) -> str:
    """Return the part of the C header that cffi is to parse."""
    begin, end = "/* cffi begin */", "/* cffi end */"
    if header.count(begin) != 1 or header.count(end) != 1:
        raise ValueError(f"csrc/parsum.h must hold one {begin!r} and one {end!r}")
    return header.split(begin)[1].split(end)[0]


# setuptools runs this file in the project's root and wants paths relative to it.
csrc = Path("csrc")
sources = sorted(path.as_posix() for path in csrc.glob("*.c"))
headers = sorted(path.as_posix() for path in csrc.glob("*.h"))
flags = list(COMPILE_FLAGS)
if os.environ.get("PARSUM_WERROR") == "1":
    flags += WARNINGS
extra = shlex.split(os.environ.get("PARSUM_EXTRA_CFLAGS", ""))

ffibuilder = FFI()
ffibuilder.cdef(declarations((csrc / "parsum.h").read_text(encoding="utf-8")))
ffibuilder.set_source(
    "parsum._native",
    '#include "parsum.h"',
    sources=sources,
    include_dirs=[csrc.as_posix()],
    libraries=["m"],
    depends=[*headers, "build_ffi.py"],
    extra_compile_args=flags + extra,
    extra_link_args=extra,
)
