"""The lean path: small arrays by one C call, without plan or job; large ones by a job without plan.

Its work is a few hundred nanoseconds, so that each attribute that is looked up counts: what does
not depend on the elements is found once for each dtype and kept.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable
from typing import Any

import numpy as np

from parsum.api.arguments import NO_VALUE, DType
from parsum.api.call import Operation, report, tell
from parsum.api.views import SMALL_BYTES
from parsum.engine import resolve_workers, run_job
from parsum.plan import address
from parsum.reduction import (
    COPY_BYTES,
    EMPTY,
    METHODS,
    NULL,
    Job,
    LeanRow,
    Scan,
    View,
    buffer_of,
    lean_row,
    pair_row,
    reduce_float64,
    reduce_two,
    scan_axis,
    type_of,
)

_ndarray = np.ndarray
_empty = np.empty
_isfinite = cmath.isfinite
_float64 = np.float64
_INT64 = np.dtype(np.int64)
#: Arrays up to this many bytes are NumPy's, where it has the same result and the shorter way.
NUMPY_BYTES = 1024


class Lean:
    """The lean path of an operation: called with an array, gives its result or None.

    None means that the general path is to be taken: it finds out why, and reports.
    """

    __slots__ = (
        "_fixed", "_no_nan", "_not_nan", "_numpy", "_operation", "_parameter", "_result_dtype",
        "_rows",
    )  # fmt: skip

    def __init__(
        self,
        operation: Operation,
        result_dtype: Callable[[DType], DType],
        not_nan: bool = False,
        fixed: bool = False,
        no_nan: tuple[Operation, str] | None = None,
        parameter: float = 0.0,
        numpy: tuple[Callable[[Any], Any], str] | None = None,
    ) -> None:
        """Find rows as they are asked for.

        With ``not_nan``, a NaN or infinite result is None too: the operation is to leave NaN out,
        and did not. ``fixed`` says that the result's dtype is the same for all. ``no_nan`` is the
        operation for kinds of dtype that have no NaN, and those kinds. ``numpy`` is NumPy's
        function and the kinds of dtype for which it gives the very same by definition: with the
        smallest arrays it is done before C is called.
        """
        self._fixed = fixed
        self._no_nan = no_nan
        self._not_nan = not_nan
        self._numpy = numpy
        self._operation = operation
        self._parameter = parameter
        self._result_dtype = result_dtype
        self._rows: dict[str, dict[DType, _Found]] = {method: {} for method in METHODS}

    def __call__(self, a: Any, workers: Any, method: Any) -> Any:
        """Return the reduction of all of a small array, or None."""
        if type(a) is not _ndarray or not (
            workers is None or (type(workers) is int and (workers > 0 or workers == -1))
        ):
            return None
        dtype = a.dtype
        try:
            found = self._rows[method][dtype]
        except (KeyError, TypeError):
            found = self._find(dtype, method)
        row, needs_elements, check, numpy = found
        nbytes = a.nbytes
        if numpy is not None and 0 < nbytes <= NUMPY_BYTES:
            return numpy(a)
        if row is None or (needs_elements and nbytes == 0):
            return None
        if nbytes > SMALL_BYTES:
            large = None if check else _large(row, a, None, workers)
            if large is None:
                return None
            whole, flags = large
            if flags:
                tell(self._operation, flags, row.dtype or dtype, False)
            return whole
        data: Any
        if nbytes <= COPY_BYTES and (row.any_order or a.flags.c_contiguous):
            data = a.tobytes()
        else:
            try:
                data = buffer_of(a.view(_INT64) if dtype.kind in "mM" else a)
            except (ValueError, BufferError):
                return None  # not contiguous
        if row.real_double:
            # A result that is no finite number may have something to report.
            value = reduce_float64(row.row, data, NULL, a.size)
            if value - value == 0:
                return _float64(value)
        try:
            small, pointer = row.spare.pop()
            if row.dtype is None and small.dtype is not dtype:
                small, pointer = row.new_result(dtype)
        except IndexError:
            small, pointer = row.new_result(dtype)
        if row.call(row.row, row.parameter, data, a.size, row.type, pointer) != 0:
            return None
        result: Any = small[()] if row.values == 1 else tuple(small)
        row.spare.append((small, pointer))
        return None if check and not _isfinite(result) else result

    def _find(self, dtype: DType, method: Any) -> _Found:
        operation = self._operation
        if self._no_nan is not None and dtype.kind in self._no_nan[1]:
            operation = self._no_nan[0]
        if method not in METHODS or dtype.kind not in operation.kinds or dtype.names is not None:
            return _NOT_LEAN
        row = lean_row(
            operation.row,
            method,
            dtype,
            self._result_dtype(dtype),
            operation.by_parts,
            self._fixed,
            self._parameter,
        )
        numpy = None
        if row is not None and self._numpy is not None and dtype.kind in self._numpy[1]:
            numpy = self._numpy[0]
        check = self._not_nan and dtype.kind in "fc"
        found = (row, not operation.identity, check, numpy)
        self._rows[method][dtype] = found
        return found


def _large(row: LeanRow, a: Any, b: Any, workers: int | None) -> tuple[Any, int] | None:
    """Return the reduction of one array or two of one dtype, a single run of elements, and flags.

    By the general path, for which None stands, it takes 13 us more before C is called, 18 where the
    array has just driven all else out of the cache: a tenth of the time of 4 MB.
    """
    arrays = (a,) if b is None else (a, b)
    if not row.by_elements or not all(k.flags.c_contiguous and k.flags.aligned for k in arrays):
        return None
    dtype = a.dtype
    result: Any = _empty(row.values if row.values > 1 else (), row.dtype or dtype)
    element, step = row.reduction.element, dtype.itemsize
    other = 0 if b is None else address(b)
    view = View(
        [address(a), other, 0, 0, address(result)], 0, 0, 1,
        [a.size, step, 0 if b is None else step, 0, 0, 0, 1], element, row.type,
        other_element=element, parameter=row.parameter,
    )  # fmt: skip
    number = resolve_workers(workers, a.nbytes)
    flags = run_job(Job(row.reduction, view, number, arrays), number, None, None)
    if flags & EMPTY:
        return None  # as the result is another one then, or an error
    return result[()] if row.values == 1 else tuple(result), flags


#: A row, whether it needs elements, whether its results are to be finite, and NumPy's function.
_Found = tuple[LeanRow | None, bool, bool, Callable[[Any], Any] | None]
_NOT_LEAN: _Found = (None, False, False, None)


class LeanPair:
    """The lean path of an operation on two arrays: gives its result or None, as Lean does."""

    __slots__ = ("_kinds", "_least", "_most", "_name", "_row", "_rows")

    def __init__(
        self, row: str, kinds: str = "biufc", least: int = 0, most: int = 64, name: str = ""
    ) -> None:
        """Take arrays of those kinds of dtype and ``least`` to ``most`` dimensions.

        ``name`` is that of the public function in what is reported of large arrays; without it, to
        report is left to the general path.
        """
        self._name = name
        self._row = row
        self._kinds = kinds
        self._least = least
        self._most = most
        self._rows: dict[str, dict[DType, LeanRow | None]] = {method: {} for method in METHODS}

    def __call__(self, a: Any, b: Any, workers: Any, method: Any) -> Any:
        """Return the reduction of two small arrays of one shape and dtype, or None."""
        if (
            type(a) is not _ndarray
            or type(b) is not _ndarray
            or not (workers is None or (type(workers) is int and (workers > 0 or workers == -1)))
        ):
            return None
        dtype, shape = a.dtype, a.shape
        if (
            dtype is not b.dtype  # equal ones may differ in name, as long and long long do
            or shape != b.shape
            or not self._least <= len(shape) <= self._most
        ):
            return None
        try:
            row = self._rows[method][dtype]
        except (KeyError, TypeError):
            if method not in METHODS or dtype.kind not in self._kinds or dtype.names is not None:
                return None
            row = self._rows[method][dtype] = pair_row(self._row, method, dtype, dtype)
        nbytes = a.nbytes
        if row is None:
            return None
        if nbytes > SMALL_BYTES:
            large = _large(row, a, b, workers)
            if large is None or (large[1] and not self._name):
                return None
            whole, flags = large
            if flags:
                report(self._name, flags, dtype)
            return whole
        first: Any
        second: Any
        if nbytes <= COPY_BYTES and (
            row.any_order or (a.flags.c_contiguous and b.flags.c_contiguous)
        ):
            first, second = a.tobytes(), b.tobytes()
        else:
            try:
                first, second = buffer_of(a), buffer_of(b)
            except (ValueError, BufferError):
                return None
        if row.real_double:
            value = reduce_float64(row.row, first, second, a.size)
            if value - value == 0:
                return _float64(value)
        try:
            small, pointer = row.spare.pop()
            if row.dtype is None and small.dtype is not dtype:
                small, pointer = row.new_result(dtype)
        except IndexError:
            small, pointer = row.new_result(dtype)
        if reduce_two(row.row, 0.0, first, second, a.size, row.type, pointer) != 0:
            return None
        result: Any = small[()] if row.values == 1 else tuple(small)
        row.spare.append((small, pointer))
        return result


class LeanScan:
    """The lean path of a cumulative function: gives a new array of all prefixes, or None."""

    __slots__ = ("_kinds", "_result_dtype", "_row", "_rows")

    def __init__(self, row: str, kinds: str, result_dtype: Callable[[DType], DType]) -> None:
        self._row = row
        self._kinds = kinds
        self._result_dtype = result_dtype
        self._rows: dict[str, dict[DType, tuple[Any, int, DType | None, int] | None]]
        self._rows = {method: {} for method in METHODS}

    def __call__(self, a: Any, axis: Any, out: Any, workers: Any, method: Any) -> Any:
        """Return the prefixes along an axis, or of the flattened array, or None."""
        if type(a) is not _ndarray or not (
            workers is None or (type(workers) is int and (workers > 0 or workers == -1))
        ):
            return None
        dtype, shape, nbytes = a.dtype, a.shape, a.nbytes
        try:
            row = self._rows[method][dtype]
        except (KeyError, TypeError):
            row = self._find(dtype, method)
        if row is None or not 0 < nbytes <= SMALL_BYTES:
            return None
        scan, type_, to, inner = row
        outer = 1
        if axis is None:
            n = a.size
            result: Any = _empty(n, to or dtype)
        elif type(axis) is int and -len(shape) <= axis < len(shape):
            n = shape[axis]
            if len(shape) > 1:
                for length in shape[:axis]:
                    outer *= length
                inner *= a.size // (outer * n)
            result = _empty(shape, to or dtype)
        else:
            return None
        if out is not None:
            if (
                type(out) is not _ndarray
                or nbytes > COPY_BYTES  # it may be the array itself
                or out.dtype is not result.dtype
                or out.shape != result.shape
                or not out.flags.carray
            ):
                return None
            result = out
        is_time = dtype.kind == "m"
        data: Any
        if nbytes <= COPY_BYTES:
            data = a.tobytes()
        else:
            try:
                data = buffer_of(a.view(_INT64) if is_time else a)
            except (ValueError, BufferError):
                return None
        pointer = buffer_of(result.view(_INT64) if is_time else result)
        flags: int = scan_axis(scan, data, outer, n, inner, type_, pointer)
        return result if flags == 0 else None

    def _find(self, dtype: DType, method: Any) -> tuple[Any, int, DType | None, int] | None:
        if method not in METHODS or dtype.kind not in self._kinds or dtype.names is not None:
            return None
        row = None
        if dtype.isnative:
            result = self._result_dtype(dtype)
            to = None if result == dtype else result
            # The parts of complex numbers have sums of their own, side by side.
            by_parts = dtype.kind == "c" and self._row == "sum"
            element = np.empty(0, dtype).real.dtype if by_parts else dtype
            type_ = type_of(element if by_parts else result)
            scan = Scan.find(self._row, method, type_of(element), type_)
            row = None if scan is None else (scan, type_, to, 2 if by_parts else 1)
        self._rows[method][dtype] = row
        return row


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
