"""Cumulative sums and products: every prefix, by a parallel scan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.exceptions import AxisError
from numpy.typing import ArrayLike, DTypeLike, NDArray

from parsum import engine
from parsum.api.arguments import (
    Array,
    DType,
    Method,
    Options,
    Progress,
    as_array,
    check_axis,
    check_dtype,
    check_in_memory,
    check_options,
    check_out_type,
    wanted_dtype,
)
from parsum.api.call import native, report
from parsum.api.documents import documented
from parsum.api.lean import LeanScan
from parsum.api.sums import sum_dtype
from parsum.scan import scan

_lean_cumsum = LeanScan("sum", "biufcm", sum_dtype)
_lean_cumprod = LeanScan("prod", "biufc", sum_dtype)


@documented
def parallel_cumsum(
    a: ArrayLike,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    *,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Cumulative sum, as :func:`numpy.cumsum`: every prefix the exact sum, rounded once.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers or timedelta64.
    axis : int, optional
        The axis to sum along; None for the flattened array, in C order.
    {sum_dtype}
    out : ndarray, optional
        Where to put the result; of its shape, and of a dtype that it can be cast to. It may be `a`.
    {running_floats}

    Returns
    -------
    ndarray
        Of the shape of `a`, or of one dimension if `axis` is None; `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    Notes
    -----
    A prefix that is too large for floats is infinite, reported through ``np.errstate(over=...)``,
    but later ones are right again. Integers wrap, and report it likewise.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_cumsum
    >>> parallel_cumsum(np.array([1e100, 1.0, -1e100, 1.0]))
    array([1.e+100, 1.e+100, 1.e+000, 2.e+000])
    """
    if dtype is None and executor is None and (progress is None or progress is False):
        small = _lean_cumsum(a, axis, out, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return _cumulate("sum", "cumsum", "biufcm", a, axis, dtype, out, options)


@documented
def parallel_cumprod(
    a: ArrayLike,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    *,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Cumulative product, as :func:`numpy.cumprod`, without overflow or underflow in between.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    axis : int, optional
        The axis to multiply along; None for the flattened array, in C order.
    {sum_dtype}
    out : ndarray, optional
        Where to put the result; of its shape, and of a dtype that it can be cast to. It may be `a`.
    {running}

    Returns
    -------
    ndarray
        Of the shape of `a`, or of one dimension if `axis` is None; `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    Notes
    -----
    Exponents are carried apart: a prefix that is out of range is infinite or 0, but later ones that
    are in range again are not spoilt. Each multiplication is rounded, in double precision at least:
    prefixes of float64 are about as far off as NumPy's, and the last one may differ from
    :func:`parallel_prod`, which compensates. The same bits for any number of workers.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_cumprod
    >>> parallel_cumprod(np.array([[1, 2, 3], [4, 5, 6]]), axis=1)
    array([[  1,   2,   6],
           [  4,  20, 120]])
    """
    if dtype is None and executor is None and (progress is None or progress is False):
        small = _lean_cumprod(a, axis, out, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return _cumulate("prod", "cumprod", "biufc", a, axis, dtype, out, options)


def _cumulate(
    operation: str,
    name: str,
    kinds: str,
    a: Any,
    axis: Any,
    dtype: Any,
    out: Any,
    options: Options,
) -> Any:
    """Scan an array and return what the public function is to return."""
    array, mask = as_array(a)
    check_in_memory(array, "a")
    check_dtype(array.dtype, "a", kinds)
    check_out_type(out)
    result_dtype = _result_dtype(array.dtype, dtype, out, kinds)
    number = None
    if axis is not None:
        number = check_axis(axis)
        if not -max(array.ndim, 1) <= number < max(array.ndim, 1):
            raise AxisError(number, array.ndim, "axis")
        number %= max(array.ndim, 1)
    shape: tuple[int, ...] = (array.size,) if number is None else array.shape
    if array.ndim == 0:
        shape = (1,)  # as NumPy has it, along axis 0 too
    if out is not None and out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, got {out.shape}")
    if out is not None and not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")
    direct = out is not None and out.dtype == result_dtype
    result: Array = out if direct else np.empty(shape, result_dtype)
    if array.size:
        workers = engine.resolve_workers(options.workers, array.nbytes)
        job = scan(operation, options.method, array, number, result, workers, mask)
        flags = engine.run_job(job, workers, options.executor, options.progress)
        if flags:
            report(f"parallel_{name}", flags, result_dtype)
    if out is not None:
        if not direct:
            np.copyto(out, result, casting="unsafe")
        result = out
    if isinstance(a, np.ma.MaskedArray) and out is None:
        hidden: Any = np.ma.nomask if mask is None else mask.reshape(shape)
        return np.ma.array(result, mask=hidden)
    return result


def _result_dtype(given: DType, dtype: Any, out: Any, kinds: str) -> DType:
    """Return NumPy's dtype of a cumulative sum or product."""
    if dtype is not None:
        wanted_dtype(dtype, kinds)
        probe: Any = np.add.reduce(np.empty(0, native(given)), dtype=dtype)
        result: DType = native(probe.dtype)
        return result
    if out is not None and given.kind != "m":
        check_dtype(out.dtype, "out", kinds)
        to: DType = out.dtype
        return native(given) if given.kind in "fc" and to.kind in "iu" else to
    return sum_dtype(given)
