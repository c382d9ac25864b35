"""Scans: where the lines of an array and their prefixes are, and the job that writes them.

A line is what a cumulative function runs along: one axis of the array, or all of its elements in C
order. The other axes tell lines apart, so those may be taken in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from parsum.plan import Array, address
from parsum.reduction import Scan, type_of

_BOOL = np.dtype(np.bool_)
_INT64 = np.dtype(np.int64)
_UINT64 = np.dtype(np.uint64)
_FLOAT64 = np.dtype(np.float64)
_LONGDOUBLE = np.dtype(np.longdouble)
_COMPLEX128 = np.dtype(np.complex128)
_CLONGDOUBLE = np.dtype(np.clongdouble)

#: Places in a dimension: its length, then the strides of data, mask and result.
_DATA, _MASK, _RESULT = 1, 2, 3


@dataclass(slots=True)
class ScanView:
    """Strided lines and where their prefixes go, in the terms of ``parsum_scan_view``."""

    data: int
    mask: int
    result: int
    kept: int
    scanned: int
    dims: list[int]
    element: int
    type: int
    swap_element: bool
    swap_result: bool
    in_place: bool


def scan(
    operation: str,
    method: str,
    array: Array,
    axis: int | None,
    result: Array,
    workers: int,
    mask: Array | None = None,
    block: int = 0,
) -> Scan:
    """Return the job that writes the prefixes of ``array`` along ``axis`` to ``result``.

    ``axis`` is not negative, or None to scan all elements in C order to a one-dimensional result;
    else the result has the array's shape. ``mask`` has it too, and is true for elements to leave
    out. ``result`` may be the array itself, or overlap it. ``block`` bytes are one unit of work, 0
    for the default.

    An "exact" sum is rounded to the result's type once. The number types that kernels have not are
    converted first: floats are truncated for an integer result, anything is a truth for a bool
    one, complex numbers lose their imaginary part for a real one.
    """
    if array.ndim == 0:
        array, axis = array.reshape(1), 0
        result = result.reshape(1)
        mask = None if mask is None else mask.reshape(1)
    parts = None
    if array.dtype.kind == "c" and result.dtype.kind != "c":
        array = array.real
    elif result.dtype.kind == "c" and operation == "sum":
        # The parts are sums of their own.
        if array.dtype.kind == "c":
            parts = (array.itemsize // 2, result.itemsize // 2)
        else:
            result.imag = 0
            result = result.real
    dtype, result_dtype = array.dtype, result.dtype
    if parts is not None:
        dtype, result_dtype = array.real.dtype, result.real.dtype
    kernel = _kernel_dtype(operation, dtype, result_dtype)
    row = Scan.find(operation, method, type_of(kernel), type_of(result_dtype))
    if row is None:
        raise TypeError(f"there is no {method} cumulative {operation} of {dtype} to {result_dtype}")
    view = _view(array, axis, result, mask, parts)
    if not view.in_place:
        # Something may be written before it is read.
        if np.may_share_memory(array, result):
            array = array.copy()
        if mask is not None and np.may_share_memory(mask, result):
            mask = mask.copy()
        view = _view(array, axis, result, mask, parts)
    view.element = type_of(dtype)
    view.type = type_of(result_dtype)
    view.swap_element = not dtype.isnative
    view.swap_result = not result_dtype.isnative
    return Scan(row, view, workers, block, (array, result, mask))


def _kernel_dtype(operation: str, dtype: np.dtype[Any], result: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that elements are converted to before they are taken in."""
    if result.kind == "b":
        return _BOOL
    if dtype.kind == "f" and result.kind in "iu":
        return _UINT64 if result.kind == "u" else _INT64
    if operation == "sum":
        return dtype
    if result.kind == "f" and result.itemsize > dtype.itemsize > 0 and result.char == "g":
        return _LONGDOUBLE
    if result.kind == "f" and dtype.kind in "biu":
        return _FLOAT64
    if result.kind == "c":
        if "G" in (result.char, dtype.char) or dtype.char == "g":
            return _CLONGDOUBLE
        if dtype.kind != "c":
            return _COMPLEX128
    return dtype


def _view(
    array: Array,
    axis: int | None,
    result: Array,
    mask: Array | None,
    parts: tuple[int, int] | None,
) -> ScanView:
    """Return the dimensions and addresses of a scan; the types are still to be filled in."""
    ndim = array.ndim
    masks = (0,) * ndim if mask is None else mask.strides
    kept: list[list[int]] = []
    scanned: list[list[int]] = []
    if axis is None:
        along = result.strides[0] * array.size
        for k, length in enumerate(array.shape):
            along = along // length if length else 0
            scanned.append([length, array.strides[k], masks[k], along])
    else:
        for k, length in enumerate(array.shape):
            dim = [length, array.strides[k], masks[k], result.strides[k]]
            (scanned if k == axis else kept).append(dim)
    if parts is not None:
        kept.append([2, parts[0], 0, parts[1]])
    addresses = [address(array), address(mask), address(result)]
    # Lines may be taken in any order: from low addresses to high ones.
    for dim in kept:
        if dim[_DATA] < 0:
            for k in (_DATA, _MASK, _RESULT):
                addresses[k - 1] += (dim[0] - 1) * dim[k]
                dim[k] = -dim[k]
    kept.sort(key=lambda dim: -dim[_DATA])
    kept, scanned = _joined(kept), _joined(scanned) or [[1, 0, 0, 0]]
    dims = kept + scanned
    in_place = (
        addresses[_DATA - 1] == addresses[_RESULT - 1]
        and array.itemsize == result.itemsize
        and all(dim[_DATA] == dim[_RESULT] for dim in dims)
    )
    return ScanView(
        data=addresses[0],
        mask=addresses[1],
        result=addresses[2],
        kept=len(kept),
        scanned=len(scanned),
        dims=[dim[k] for k in range(4) for dim in dims],
        element=0,
        type=0,
        swap_element=False,
        swap_result=False,
        in_place=in_place,
    )


def _joined(dims: list[list[int]]) -> list[list[int]]:
    """Join dimensions that follow each other in memory; those of length 1 go."""
    if any(dim[0] == 0 for dim in dims):
        return [[0, 0, 0, 0]]
    joined: list[list[int]] = []
    for dim in dims:
        if dim[0] == 1:
            continue
        if joined and all(joined[-1][k] == dim[0] * dim[k] for k in (_DATA, _MASK, _RESULT)):
            joined[-1] = [joined[-1][0] * dim[0], *dim[1:]]
        else:
            joined.append(dim)
    return joined


__all__ = ["ScanView", "scan"]
