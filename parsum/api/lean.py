"""The lean path: full reductions of small contiguous arrays by one C call, without plan or job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parsum.api.arguments import NO_VALUE, DType
from parsum.api.call import SMALL_BYTES, Operation
from parsum.reduction import (
    LeanRow,
    lean_row,
    pair_row,
    reduce_float64,
    reduce_lean,
    reduce_pair,
    reduce_pair_float64,
    type_of,
)

_ndarray = np.ndarray
_empty = np.empty
_isfinite = np.isfinite
_float64 = np.float64
_FLOAT64 = type_of(np.dtype(np.float64))
_INT64 = np.dtype(np.int64)


class Lean:
    """The lean path of an operation: called with an array, gives its result or None.

    None means that the general path is to be taken: it finds out why, and reports.
    """

    __slots__ = ("_fixed", "_not_nan", "_operation", "_result_dtype", "_rows")

    def __init__(
        self,
        operation: Operation,
        result_dtype: Callable[[DType], DType],
        not_nan: bool = False,
        fixed: bool = False,
    ) -> None:
        """Find rows as they are asked for.

        With ``not_nan``, a NaN or infinite result is None too: the operation is to leave NaN out,
        and did not. ``fixed`` says that the result's dtype is the same for all.
        """
        self._fixed = fixed
        self._not_nan = not_nan
        self._operation = operation
        self._result_dtype = result_dtype
        self._rows: dict[tuple[DType, str], LeanRow | None] = {}

    def __call__(self, a: Any, workers: Any, method: Any) -> Any:
        """Return the reduction of all of a small contiguous array, or None."""
        if (
            type(a) is not _ndarray
            or a.nbytes > SMALL_BYTES
            or not (workers is None or (type(workers) is int and (workers > 0 or workers == -1)))
        ):
            return None
        try:
            row = self._rows[a.dtype, method]
        except (KeyError, TypeError):
            row = self._find(a.dtype, method)
        if row is None or (a.size == 0 and not self._operation.identity):
            return None
        if row[3] == _FLOAT64 and a.dtype.kind != "c":
            # A result that is no finite number may have something to report.
            try:
                value = reduce_float64(row[1], a)
                if value - value == 0:
                    return _float64(value)
            except (ValueError, BufferError):
                return None  # not contiguous
        small: Any = _empty((), row[4] or a.dtype)
        if a.dtype.kind in "mM":  # which NumPy exports no buffers of
            wide = small.view(_INT64) if row[4] is None else small
            return small[()] if reduce_lean(row, a.view(_INT64), wide) == 0 else None
        if reduce_lean(row, a, small) != 0:
            return None
        result = small[()]
        return None if self._not_nan and not _isfinite(result) else result

    def _find(self, dtype: DType, method: Any) -> LeanRow | None:
        if method not in ("exact", "fast") or dtype.kind not in self._operation.kinds:
            return None
        operation = self._operation
        row = lean_row(
            operation.row,
            method,
            dtype,
            self._result_dtype(dtype),
            operation.by_parts,
            self._fixed,
        )
        self._rows[dtype, method] = row
        return row


class LeanPair:
    """The lean path of an inner product: called with two arrays, gives its result or None."""

    __slots__ = ("_row", "_rows")

    def __init__(self, row: str) -> None:
        self._row = row
        self._rows: dict[tuple[DType, str], tuple[Any, int] | None] = {}

    def __call__(self, a: Any, b: Any, workers: Any, method: Any) -> Any:
        """Return the inner product of two small contiguous arrays of one shape, or None."""
        if (
            type(a) is not _ndarray
            or type(b) is not _ndarray
            or a.nbytes > SMALL_BYTES
            or a.dtype is not b.dtype  # equal ones may differ in name, as long and long long do
            or a.shape != b.shape
            or not (workers is None or (type(workers) is int and (workers > 0 or workers == -1)))
        ):
            return None
        try:
            row = self._rows[a.dtype, method]
        except (KeyError, TypeError):
            if method not in ("exact", "fast") or a.dtype.kind not in "biufc":
                return None
            row = self._rows[a.dtype, method] = pair_row(self._row, method, a.dtype, a.dtype)
        if row is None:
            return None
        if row[1] == _FLOAT64:
            try:
                value = reduce_pair_float64(row[0], a, b)
                if value - value == 0:
                    return _float64(value)
            except (ValueError, BufferError):
                return None
        small: Any = _empty((), a.dtype)
        return small[()] if reduce_pair(row, a, b, small) == 0 else None


def is_lean(
    axis: Any, out: Any, keepdims: Any, initial: Any, where: Any, executor: Any, progress: Any
) -> bool:
    """Tell whether a call asks for nothing but the reduction of all elements."""
    return (
        axis is None
        and out is None
        and keepdims is False
        and initial is NO_VALUE
        and where is True
        and executor is None
        and (progress is None or progress is False)
    )
