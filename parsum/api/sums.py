"""Sums and means: exact, of all or along axes, with or without NaN."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from parsum.api.arguments import (
    NO_VALUE,
    Axis,
    DType,
    Method,
    Progress,
    as_array,
    check_dtype,
    check_options,
    check_out_type,
    located,
    wanted_dtype,
)
from parsum.api.call import Operation, native, part_of, reduce
from parsum.api.documents import documented
from parsum.api.lean import Lean, is_lean

_KINDS = "biufcm"
SUM = Operation("sum", "sum", _KINDS, by_parts=True, converts=True, ufunc="add", casting="unsafe")
NANSUM = Operation(
    "nansum", "sum", _KINDS, by_parts=True, converts=True, ufunc="add", casting="unsafe"
)
_INT64 = np.dtype(np.int64)
_UINT64 = np.dtype(np.uint64)
_FLOAT64 = np.dtype(np.float64)


def sum_dtype(dtype: DType) -> DType:
    """Return NumPy's dtype of a sum: that of the elements, but small integers are widened."""
    if dtype.kind in "bi" and dtype.itemsize < _INT64.itemsize:
        return _INT64
    if dtype.kind == "u" and dtype.itemsize < _UINT64.itemsize:
        return _UINT64
    return native(dtype)


#: By kernels that leave NaN out themselves, without a look for it first.
NANSUM_OF_FLOATS = replace(NANSUM, row="nansum")
_lean_sum = Lean(SUM, sum_dtype)
_lean_nansum = Lean(NANSUM, sum_dtype, not_nan=True)


def sum_rule(dtype: Any, out: Any) -> Callable[[DType], DType]:
    """Return the rule that gives a sum's or product's dtype, by NumPy's own on an empty array."""
    if dtype is None and out is None:
        return sum_dtype

    def rule(given: DType) -> DType:
        if dtype is None:
            if given.kind == "m":
                return native(given)
            check_out_type(out)
            check_dtype(out.dtype, "out", _KINDS)
            if out.dtype.kind == "m":
                raise TypeError(
                    f"out must be of a type that {given} can be cast to, got {out.dtype}"
                )
            wanted_by_out: DType = out.dtype
            # Floats are not truncated one by one on their way to an integer `out`.
            exact = given.kind in "fc" and wanted_by_out.kind in "iu"
            return native(given) if exact else wanted_by_out
        wanted = wanted_dtype(dtype, _KINDS)
        # Of the parts of complex numbers where those are to be real, as a probe would warn of it.
        probed = native(given) if wanted.kind == "c" else part_of(native(given))
        probe: Any = np.add.reduce(np.empty(0, probed), dtype=dtype)
        result: DType = probe.dtype
        return result

    return rule


def parallel_sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = NO_VALUE,
    where: Any = True,
    *,
    workers: int | None = None,
    method: str = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: bool | Callable[[int, int], object] | None = None,
) -> Any:
    """Sum of array elements over given axes: correctly rounded, by all cores, without the GIL.

    The result has the same bits for any number of workers, memory layout and CPU.

    Parameters
    ----------
    a : array_like
        Elements to sum: bool, integers, floats, complex numbers or timedelta64, of any shape,
        strides, alignment and byte order. Nothing is copied. A masked array gives the sum of its
        unmasked elements; a Dask array gives a lazy one, of the same bits for all chunks. A path, a
        :class:`parsum.Source` or an iterator of arrays is read piece by piece; a
        :class:`parsum.Fused` is computed so.
    axis : None, int or tuple of ints, optional
        Axes to sum along; None for all of them.
    dtype : dtype_like, optional
        The type of the result. By default that of `a`, but at least the platform's 64-bit
        integers for bool and smaller integers. Floats are summed as they are and rounded once to
        this type; an integer type truncates every float first, as NumPy does.
    out : ndarray, optional
        Where to put the result; its shape must fit, its dtype is the default of `dtype`.
    keepdims : bool, optional
        Whether summed axes are left in the result with length 1.
    initial : scalar, optional
        A number to add to every sum, converted to the result's type.
    where : array_like of bool, optional
        Elements to include; broadcasts to the shape of `a`.
    workers : int, optional
        At most so many threads, the calling one among them; -1 for all CPUs that the process may
        use. By default as many as pay (see :func:`parsum.set_workers`).
    method : {"exact", "fast"}, optional
        "exact" gives the real-number sum of the elements, rounded once, half to even: overflow
        in between cannot happen. "fast" adds in double precision in a tree that depends on the
        number of elements alone, with the error bound of pairwise summation; it pays for data in
        cache. Integers are exact by both. longdouble and clongdouble are compensated by both:
        deterministic and nearly exact, but not correctly rounded.
    executor : concurrent.futures.ThreadPoolExecutor, optional
        Whose threads to use besides the calling one, in place of parsum's own.
    progress : bool or callable, optional
        True draws a progress bar in bytes (needs tqdm); a function is called with
        ``(done, total)`` bytes, in the calling thread.

    Returns
    -------
    ndarray or scalar
        The sum along `axis`: a scalar of the result's type if all axes are summed, `out` if given.

    Raises
    ------
    TypeError
        If the dtype of `a` is not supported (object, strings, structured, datetime64), or an
        argument is of the wrong type.
    ValueError
        If an argument has the wrong value or shape. ``numpy.exceptions.AxisError`` is one.
    FloatingPointError
        If :func:`numpy.errstate` asks for it: `over` if the sum, also of integers, does not fit
        the result's type, `invalid` for inf - inf.

    Notes
    -----
    A NaN, or +inf and -inf, give NaN; a sum of only -0.0 is -0.0; an empty one is 0. Integers
    that do not fit wrap around as NumPy's do, and are reported through ``np.errstate(over=...)``.
    NaT gives NaT.

    The exact method cuts every element at a fixed place by error-free transformations (after
    Rump, Ogita and Oishi 2008 and Demmel and Nguyen 2013) and keeps the sums of the parts in a
    superaccumulator (after Neal 2015).

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_sum
    >>> parallel_sum(np.array([1e308, 1e308, -1e308]))
    np.float64(1e+308)
    >>> parallel_sum(np.array([1.0, 1e100, 1.0, -1e100]))
    np.float64(2.0)
    >>> parallel_sum(np.array([[1, 2], [3, 4]]), axis=0, workers=2)
    array([4, 6])
    """
    # The lean path: a small contiguous array and no questions. Anything unusual falls through.
    if (
        axis is None
        and dtype is None
        and out is None
        and keepdims is False
        and initial is NO_VALUE
        and where is True
        and executor is None
        and (progress is None or progress is False)
    ):
        small = _lean_sum(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return reduce(SUM, a, axis, sum_rule(dtype, out), out, keepdims, initial, where, options)


@documented
def parallel_nansum(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = False,
    initial: Any = NO_VALUE,
    where: ArrayLike = True,
    *,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Sum of the elements that are not NaN, as :func:`numpy.nansum`: correctly rounded.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers or timedelta64 (NaT is no NaN here, as in NumPy).
    {axis}
    {sum_dtype}
    {out}
    {keepdims}
    {initial}
    {where}
    {running_floats}

    Returns
    -------
    ndarray or scalar
        The sum along `axis`, 0 where nothing is left; `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    See Also
    --------
    parallel_sum : the same with NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_nansum
    >>> parallel_nansum(np.array([1e308, np.nan, 1e308, -1e308]))
    np.float64(1e+308)
    """
    if dtype is None and is_lean(axis, out, keepdims, initial, where, executor, progress):
        small = _lean_nansum(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    a = located(a)
    given, rule = as_array(a)[0].dtype, sum_rule(dtype, out)
    by_kernels = given.char in "efd" and options.method == "exact" and rule(given).kind in "fc"
    return reduce(
        NANSUM_OF_FLOATS if by_kernels else NANSUM,
        a, axis, rule, out, keepdims, initial, where, options,
        skip_nan=given.kind in "fc" and not by_kernels,
    )  # fmt: skip
