"""The kernels bound in four ways, behind one signature: what each has to be told, and checks.

Each way takes NumPy arrays; the address goes to C and nothing is copied. What the array's owner
must not do meanwhile is the same for all (docs/gil-safety.md).
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from build_all import BUILD
from numpy.ctypeslib import ndpointer

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Way:
    name: str
    releases: bool  # whether other Python threads run on while C works
    sum: Callable[..., float]  # of (a, times=1)
    scale: Callable[..., None]  # of (out, a, factor, times=1)


class Visit(ctypes.Structure):
    """What a kernel was given and when it ran, as C itself noted it."""

    data: int
    out: int | None
    begin: float
    end: float
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("begin", ctypes.c_double),
        ("end", ctypes.c_double),
    ]


def check_places(out: Array, a: Array) -> None:
    """Make sure that an array to write to is as long as the other, and elsewhere."""
    if out.size != a.size:
        raise ValueError(f"out must have {a.size} elements, as a has, got {out.size}")
    if np.may_share_memory(out, a):
        raise ValueError("out must not overlap a, got the same memory")


def by_ctypes(name: str, library: ctypes.CDLL, releases: bool) -> Way:
    """ctypes, whose ndpointer checks arrays and keeps them while the call lasts.

    CDLL and PyDLL differ in one thing: PyDLL does not release the GIL around the call.
    """
    readable = ndpointer(np.float64, flags=("C_CONTIGUOUS", "ALIGNED"))
    writable = ndpointer(np.float64, flags=("C_CONTIGUOUS", "ALIGNED", "WRITEABLE"))
    library.four_ways_sum.argtypes = [readable, ctypes.c_size_t, ctypes.c_int]
    library.four_ways_sum.restype = ctypes.c_double
    library.four_ways_scale.argtypes = [
        writable, readable, ctypes.c_size_t, ctypes.c_double, ctypes.c_int,
    ]  # fmt: skip
    library.four_ways_scale.restype = None

    def sum_(a: Array, times: int = 1) -> float:
        return float(library.four_ways_sum(a, a.size, times))

    def scale(out: Array, a: Array, factor: float, times: int = 1) -> None:
        check_places(out, a)
        library.four_ways_scale(out, a, a.size, factor, times)

    return Way(name, releases, sum_, scale)


def by_cffi(binding: ModuleType) -> Way:
    """cffi, whose from_buffer holds the buffer, but looks neither at dtype nor at alignment."""
    ffi, lib = binding.ffi, binding.lib

    def pointer(a: Array, name: str, writable: bool = False) -> Any:
        if a.dtype != np.float64 or not a.flags.aligned:
            raise TypeError(f"{name} must be an aligned array of float64, got {a.dtype}")
        return ffi.from_buffer("double[]", a, require_writable=writable)

    def sum_(a: Array, times: int = 1) -> float:
        with pointer(a, "a") as data:
            return float(lib.four_ways_sum(data, a.size, times))

    def scale(out: Array, a: Array, factor: float, times: int = 1) -> None:
        check_places(out, a)
        with pointer(out, "out", writable=True) as target, pointer(a, "a") as data:
            lib.four_ways_scale(target, data, a.size, factor, times)

    return Way("cffi", True, sum_, scale)


def load(folder: Path = BUILD) -> tuple[list[Way], Callable[[], Visit]]:
    """The four ways, and what gives the calling thread's last visit to C, by whichever way."""
    library = folder / "libfour_ways.so"
    if not library.exists():
        sys.exit(f"four_ways: {library} is not there yet: python examples/four_ways/build_all.py")
    sys.path.insert(0, str(folder))
    try:
        extension = importlib.import_module("four_ways_extension")
        binding = importlib.import_module("_four_ways_cffi")
    finally:
        sys.path.remove(str(folder))
    ways = [
        Way("extension by hand", True, extension.sum, extension.scale),
        by_ctypes("ctypes.CDLL", ctypes.CDLL(str(library)), releases=True),
        by_ctypes("ctypes.PyDLL", ctypes.PyDLL(str(library)), releases=False),
        by_cffi(binding),
    ]
    last_visit = ctypes.PyDLL(str(library)).four_ways_last_visit
    last_visit.restype = Visit
    return ways, last_visit
