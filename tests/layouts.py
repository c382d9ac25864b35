"""The same values laid out in memory in every way that NumPy knows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _contiguous(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="C")


def _fortran(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="F")


def _read_only(a: np.ndarray) -> np.ndarray:
    b = a.copy()
    b.flags.writeable = False
    return b


def _byte_swapped(a: np.ndarray) -> np.ndarray:
    return a.astype(a.dtype.newbyteorder())


def _unaligned(a: np.ndarray) -> np.ndarray:
    raw = np.zeros(a.nbytes + 1, np.uint8)
    b = raw[1:].view(a.dtype).reshape(a.shape)
    b[...] = a
    return b


def _packed_field(a: np.ndarray) -> np.ndarray:
    packed = np.zeros(a.shape, np.dtype([("tag", "i1"), ("value", a.dtype), ("end", "i2")]))
    packed["value"] = a
    return packed["value"]


def _packed_swapped_field(a: np.ndarray) -> np.ndarray:
    return _packed_field(_byte_swapped(a))


def _stepped(a: np.ndarray, factor: int = 3) -> np.ndarray:
    if a.ndim == 0:
        return a
    wide = np.full((*a.shape[:-1], a.shape[-1] * factor), 1, a.dtype)
    b = wide[..., 1::factor]
    b[...] = a
    return b


def _stepped_first(a: np.ndarray) -> np.ndarray:
    if a.ndim == 0:
        return a
    tall = np.full((a.shape[0] * 2, *a.shape[1:]), 1, a.dtype)
    b = tall[::2]
    b[...] = a
    return b


def _padded_rows(a: np.ndarray) -> np.ndarray:
    if a.ndim == 0:
        return a
    wide = np.full((*a.shape[:-1], a.shape[-1] + 3), 1, a.dtype)
    b = wide[..., 2:-1]
    b[...] = a
    return b


def _reversed(a: np.ndarray) -> np.ndarray:
    if a.ndim == 0:
        return a
    every = (slice(None, None, -1),) * a.ndim
    return a[every].copy()[every]


def _last_reversed(a: np.ndarray) -> np.ndarray:
    return a[..., ::-1].copy()[..., ::-1] if a.ndim else a


def _rolled_axes(a: np.ndarray) -> np.ndarray:
    if a.ndim < 2:
        return a
    axes = (*range(1, a.ndim), 0)
    return np.ascontiguousarray(a.transpose(axes)).transpose(np.argsort(axes))


def _stepped_backwards_fortran(a: np.ndarray) -> np.ndarray:
    if a.ndim == 0:
        return a
    tall = np.full((*a.shape[:-1], a.shape[-1] * 2), 1, a.dtype, order="F")
    b = tall[..., ::-2]
    b[...] = a
    return b


_ALL: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": _contiguous,
    "fortran": _fortran,
    "read-only": _read_only,
    "byte-swapped": _byte_swapped,
    "unaligned": _unaligned,
    "packed field": _packed_field,
    "packed swapped field": _packed_swapped_field,
    "stepped": _stepped,
    "stepped first axis": _stepped_first,
    "padded rows": _padded_rows,
    "reversed": _reversed,
    "last axis reversed": _last_reversed,
    "rolled axes": _rolled_axes,
    "stepped backwards fortran": _stepped_backwards_fortran,
}

LAYOUTS = list(_ALL)
# Those that keep a one-dimensional array in the order of memory.
LAYOUTS_OF_ONE_ORDER = [
    "contiguous",
    "read-only",
    "byte-swapped",
    "unaligned",
    "packed field",
    "packed swapped field",
    "stepped",
    "stepped first axis",
]


def lay_out(values: np.ndarray, layout: str) -> np.ndarray:
    """An array equal to `values`, of the same dtype but for byte order, in that layout."""
    return _ALL[layout](np.asarray(values))
