"""Means, variances and standard deviations: exact, rounded once, with or without NaN."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from parsum.api.arguments import (
    NO_VALUE,
    Axis,
    DType,
    Method,
    Options,
    Progress,
    as_array,
    check_axes,
    check_keepdims,
    check_options,
    check_out,
    check_out_type,
    check_where,
    located,
    wanted_dtype,
    without,
)
from parsum.api.call import Operation, native, outside, part_of, reduce
from parsum.api.documents import documented
from parsum.api.lean import Lean, is_lean
from parsum.api.logic import parallel_count_nonzero
from parsum.api.sums import parallel_sum
from parsum.sources import Source
from parsum.under_dask import is_lazy

_FLOAT64 = np.dtype(np.float64)
_NO_MEAN = "Mean of empty slice."
_NO_FREEDOM = "Degrees of freedom <= 0 for slice"

MEAN = Operation("mean", "mean", "biufcm", by_parts=True, casting="unsafe", empty=_NO_MEAN)
NANMEAN = Operation(
    "nanmean",
    "mean",
    "biufcm",
    by_parts=True,
    nan=True,
    casting="unsafe",
    empty="Mean of empty slice",
)
VAR = Operation("var", "var", "biufc", casting="unsafe", empty=_NO_FREEDOM)
STD = Operation("std", "std", "biufc", empty=_NO_FREEDOM)
NANVAR = Operation("nanvar", "nanvar", "biufc", nan=True, casting="unsafe", empty=_NO_FREEDOM)
NANSTD = Operation("nanstd", "nanstd", "biufc", nan=True, empty=_NO_FREEDOM)
_VAR_ABOUT, _STD_ABOUT, _NANVAR_ABOUT, _NANSTD_ABOUT = (
    Operation(
        name,
        f"{name}_about",
        "biufc",
        nan=name.startswith("nan"),
        casting="unsafe" if name.endswith("var") else "same_kind",
        empty=_NO_FREEDOM,
    )
    for name in ("var", "std", "nanvar", "nanstd")
)
#: By function that leaves NaN out: what it is for elements that have none, as in NumPy.
_OF_WHOLE = {
    left_out: replace(plain, name=left_out.name)
    for left_out, plain in (
        (NANMEAN, MEAN),
        (NANVAR, VAR),
        (NANSTD, STD),
        (_NANVAR_ABOUT, _VAR_ABOUT),
        (_NANSTD_ABOUT, _STD_ABOUT),
    )
}


def mean_dtype(dtype: DType) -> DType:
    """Return the dtype of means: that of the elements, float64 of integers."""
    return _FLOAT64 if dtype.kind in "biu" else native(dtype)


def spread_dtype(dtype: DType) -> DType:
    """Return the dtype of variances: that of the elements' parts, float64 of integers."""
    return _FLOAT64 if dtype.kind in "biu" else part_of(native(dtype))


_lean_mean = Lean(MEAN, mean_dtype)
_lean_var = Lean(VAR, spread_dtype)
_lean_std = Lean(STD, spread_dtype)
_lean_nanmean = Lean(NANMEAN, mean_dtype, not_nan=True)
_lean_nanvar = Lean(NANVAR, spread_dtype, not_nan=True)
_lean_nanstd = Lean(NANSTD, spread_dtype, not_nan=True)


def _mean_rule(dtype: Any, out: Any) -> Callable[[DType], DType]:
    if dtype is None:
        return lambda given: _by_out(mean_dtype(given), out)
    wanted = wanted_dtype(dtype, "biufcm")

    def rule(given: DType) -> DType:
        if given.kind == "m" or wanted.kind == "m":
            return native(given)
        return native(wanted)

    return rule


def _is_whole(dtype: Any, a: Any) -> bool:
    """Tell whether means are to be integers, which have a rule of their own."""
    if dtype is None or wanted_dtype(dtype, "biufcm").kind not in "biu":
        return False
    return bool(as_array(a)[0].dtype.kind != "m")


def _whole_mean(
    a: Any, axis: Any, dtype: Any, out: Any, keepdims: Any, where: Any, options: Any
) -> Any:
    """Return NumPy's means of an integer dtype: such a sum, divided and truncated."""
    array, mask = as_array(a)
    if isinstance(array, Source) and array.may_leave_out:
        raise TypeError(f"dtype must not be that of integers for {array!r}, got {dtype}")
    if is_lazy(array, where):
        return _lazy_whole_mean(a, axis, dtype, out, keepdims, where, options)
    axes = check_axes(axis, array.ndim)
    keepdims = check_keepdims(keepdims)
    taken = check_where(where, array)
    check_out_type(out)
    total = parallel_sum(
        a, axes, dtype, None, keepdims, where=where, workers=options.workers,
        method=options.method, executor=options.executor, progress=options.progress,
    )  # fmt: skip
    if out is not None:
        check_out("mean", out, np.shape(total), keepdims)
    taken = without(mask, taken)
    count: Any = array.size // max(np.size(total), 1)
    if taken is not None:
        count = np.sum(taken, axes, keepdims=keepdims)
    mean = _quotient(total, count, mask is not None)
    with np.errstate(invalid="ignore"):  # NaN, which is told already
        if out is not None:
            np.copyto(out, mean, casting="unsafe")
            return out
        if isinstance(a, np.ma.MaskedArray):
            return mean
        return mean.astype(native(np.dtype(dtype)))[()]


def _quotient(total: Any, count: Any, masked: bool) -> Any:
    if not masked and np.size(total) and not np.all(count):
        warnings.warn(_NO_MEAN, RuntimeWarning, stacklevel=outside())
    return total / count  # of masked arrays, division is theirs


def _lazy_whole_mean(
    a: Any, axis: Any, dtype: Any, out: Any, keepdims: Any, where: Any, options: Options
) -> Any:
    """Do what _whole_mean does, of an array of Dask's: return a lazy array."""
    from parsum.api.lazy import check_running, included_elements, map_results

    check_running(out, options)
    total = parallel_sum(
        a, axis, dtype, None, keepdims, where=where, workers=options.workers, method=options.method
    )
    count = parallel_count_nonzero(
        included_elements(a, where), axis, keepdims=keepdims, workers=options.workers
    )
    return map_results(partial(_whole_of_block, dtype), total, count, native(np.dtype(dtype)))


def _whole_of_block(dtype: Any, total: Any, count: Any) -> Any:
    if isinstance(total, np.ma.MaskedArray):
        return _quotient(total, count, True)
    with np.errstate(invalid="ignore"):  # NaN, which is told already
        return _quotient(total, count, False).astype(native(np.dtype(dtype)))[()]


def without_nan(operation: Operation, dtype: DType) -> Operation:
    """Return what a function that leaves NaN out does with elements of a dtype."""
    return operation if dtype.kind in "fc" else _OF_WHOLE.get(operation, operation)


def _leaves_out(operation: Operation, a: Any, dtype: Any, out: Any) -> tuple[Operation, bool]:
    """Return the operation for such elements, and whether they may be NaN."""
    if not has_nan(a):
        return without_nan(operation, as_array(a)[0].dtype), False
    if dtype is not None and wanted_dtype(dtype, "biufcm").kind not in "fc":
        raise TypeError(
            f"dtype must be a floating or complex dtype where that of a is one, got {dtype}"
        )
    if isinstance(out, np.ndarray) and out.dtype.kind not in "fc":
        raise TypeError(f"out must be of a floating or complex dtype where a is, got {out.dtype}")
    return operation, True


def _as_wanted(result: Any, dtype: Any, out: Any) -> Any:
    """Return real results as complex numbers where those were asked for."""
    if dtype is None or out is not None or result is np.ma.masked:
        return result
    wanted = np.dtype(dtype)
    return result.astype(native(wanted)) if wanted.kind == "c" else result


def _by_out(dtype: DType, out: Any) -> DType:
    """Results go to an `out` of another floating dtype by one rounding."""
    if not isinstance(out, np.ndarray):
        return dtype
    if dtype.kind == "f" and out.dtype.kind in "fc":
        return native(part_of(out.dtype))
    return native(out.dtype) if dtype.kind == out.dtype.kind == "c" else dtype


def _spread_rule(dtype: Any, out: Any) -> Callable[[DType], DType]:
    if dtype is None:
        return lambda given: _by_out(spread_dtype(given), out)
    wanted = wanted_dtype(dtype, "biufc")
    if wanted.kind not in "fc":
        raise TypeError(f"dtype must be a floating or complex dtype, got {wanted}")
    return lambda given: part_of(native(wanted))


def _about_rule(dtype: Any, out: Any, mean: Any) -> Callable[[DType], DType]:
    """Deviations from means of a wider dtype are of that dtype too."""
    rule = _spread_rule(dtype, out)
    wide = part_of(_numbers(mean).dtype)
    return lambda given: np.promote_types(rule(given), wide if wide.kind == "f" else _FLOAT64)


def _parts(mean: Any) -> tuple[Any, Any]:
    number = _numbers(mean)
    return number.real, number.imag


def _numbers(mean: Any) -> Any:
    return mean if is_lazy(mean) else np.asarray(mean)


def divisor(ddof: Any, correction: Any = NO_VALUE) -> float:
    """Return what is subtracted from the number of elements, under either name."""
    if correction is not NO_VALUE:
        if ddof != 0:
            raise ValueError(
                "ddof and correction can't be provided simultaneously: one must be left out, "
                f"got {ddof!r} and {correction!r}"
            )
        ddof = correction
    try:
        return float(ddof)
    except (TypeError, ValueError):
        raise TypeError(f"ddof must be a number, got {ddof!r}") from None


@documented
def parallel_mean(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Arithmetic mean, as :func:`numpy.mean`, of the exact sum: correctly rounded.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers or timedelta64 (whose mean is truncated).
    {axis}
    {mean_dtype}
    {out}
    {keepdims}
    {where}
    {running_floats}

    Returns
    -------
    ndarray or scalar
        The mean along `axis`, NaN with a RuntimeWarning where there are no elements; `out` if
        given.

    Raises
    ------
    {raises}
    {float_errors}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_mean
    >>> parallel_mean(np.array([1e308, 1e308, -1e308, 4.0]))
    np.float64(2.5e+307)
    >>> parallel_mean(np.full(100_000, 0.1, np.float32))
    np.float32(0.1)
    """
    if dtype is None and is_lean(axis, out, keepdims, NO_VALUE, where, executor, progress):
        small = _lean_mean(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    a = located(a)
    if _is_whole(dtype, a):
        return _whole_mean(a, axis, dtype, out, keepdims, where, options)
    return reduce(MEAN, a, axis, _mean_rule(dtype, out), out, keepdims, NO_VALUE, where, options)


@documented
def parallel_nanmean(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Mean of the elements that are not NaN, as :func:`numpy.nanmean`: correctly rounded.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    {axis}
    {mean_dtype}
    {out}
    {keepdims}
    {where}
    {running_floats}

    Returns
    -------
    ndarray or scalar
        The mean along `axis`, NaN with a RuntimeWarning where nothing is left; `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_nanmean
    >>> parallel_nanmean(np.array([1.0, np.nan, 2.0]))
    np.float64(1.5)
    """
    if dtype is None and is_lean(axis, out, keepdims, NO_VALUE, where, executor, progress):
        small = _lean_nanmean(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    a = located(a)
    operation, skip = _leaves_out(NANMEAN, a, dtype, out)
    if _is_whole(dtype, a):
        return _whole_mean(a, axis, dtype, out, keepdims, where, options)
    return reduce(
        operation, a, axis, _mean_rule(dtype, out), out, keepdims, NO_VALUE, where, options,
        skip_nan=skip,
    )  # fmt: skip


def has_nan(a: Any) -> bool:
    """Tell whether the dtype has NaN."""
    return as_array(a)[0].dtype.kind in "fc"


def _spread(
    plain: Operation,
    about: Operation,
    a: Any,
    axis: Any,
    dtype: Any,
    out: Any,
    ddof: Any,
    keepdims: Any,
    where: Any,
    mean: Any,
    correction: Any,
    options: Options,
) -> Any:
    """Return what a function of that family does: about the elements' own mean, or a given one."""
    number = divisor(ddof, correction)
    operation, skip, presets = plain, False, None
    if mean is not NO_VALUE:
        operation, presets = about, _parts(mean)
    if operation.nan:
        a = located(a)
        operation, skip = _leaves_out(operation, a, dtype, out)
    rule = _spread_rule(dtype, out) if presets is None else _about_rule(dtype, out, mean)
    result = reduce(
        operation, a, axis, rule, out, keepdims, NO_VALUE, where, options,
        skip_nan=skip, parameter=number, presets=presets,
    )  # fmt: skip
    return _as_wanted(result, dtype, out)


@documented
def parallel_var(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Variance, as :func:`numpy.var`, in one pass from exact sums of powers: correctly rounded.

    It is never negative, and that of equal elements is 0. That of complex numbers is the mean of
    ``abs(a - mean)**2``, a real number. That of long doubles alone is not correctly rounded.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    {axis}
    {spread_dtype}
    {out}
    {ddof}
    {keepdims}
    {where}
    {mean}
    {correction}
    {running}

    Returns
    -------
    ndarray or scalar
        The variance along `axis`, NaN or infinity with a RuntimeWarning where N is at most `ddof`;
        `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_var
    >>> parallel_var(np.array([1e9, 1e9 + 1, 1e9 + 2]), ddof=1)
    np.float64(1.0)
    """
    if (
        dtype is None
        and type(ddof) is int
        and ddof == 0
        and correction is NO_VALUE
        and mean is NO_VALUE
        and is_lean(axis, out, keepdims, NO_VALUE, where, executor, progress)
    ):
        small = _lean_var(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return _spread(
        VAR, _VAR_ABOUT, a, axis, dtype, out, ddof, keepdims, where, mean, correction, options
    )


@documented
def parallel_std(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Standard deviation, as :func:`numpy.std`: the correctly rounded root of the exact variance.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    {axis}
    {spread_dtype}
    {out}
    {ddof}
    {keepdims}
    {where}
    {mean}
    {correction}
    {running}

    Returns
    -------
    ndarray or scalar
        The standard deviation along `axis`, NaN or infinity with a RuntimeWarning where N is at
        most `ddof`; `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    See Also
    --------
    parallel_var : its square, and how it is found.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_std
    >>> parallel_std(np.array([1e200, 3e200]))
    np.float64(1e+200)
    """
    if (
        dtype is None
        and type(ddof) is int
        and ddof == 0
        and correction is NO_VALUE
        and mean is NO_VALUE
        and is_lean(axis, out, keepdims, NO_VALUE, where, executor, progress)
    ):
        small = _lean_std(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return _spread(
        STD, _STD_ABOUT, a, axis, dtype, out, ddof, keepdims, where, mean, correction, options
    )


@documented
def parallel_nanvar(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Variance of the elements that are not NaN, as :func:`numpy.nanvar`: correctly rounded.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    {axis}
    {spread_dtype}
    {out}
    {ddof}
    {keepdims}
    {where}
    {mean}
    {correction}
    {running}

    Returns
    -------
    ndarray or scalar
        The variance along `axis`, NaN with a RuntimeWarning where at most `ddof` elements are
        left (of integers, which have no NaN, what :func:`parallel_var` gives); `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_nanvar
    >>> parallel_nanvar(np.array([1.0, np.nan, 2.0]))
    np.float64(0.25)
    """
    if (
        dtype is None
        and type(ddof) is int
        and ddof == 0
        and correction is NO_VALUE
        and mean is NO_VALUE
        and is_lean(axis, out, keepdims, NO_VALUE, where, executor, progress)
    ):
        small = _lean_nanvar(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return _spread(
        NANVAR, _NANVAR_ABOUT, a, axis, dtype, out, ddof, keepdims, where, mean, correction, options
    )


@documented
def parallel_nanstd(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Standard deviation of the elements that are not NaN, as :func:`numpy.nanstd`.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    {axis}
    {spread_dtype}
    {out}
    {ddof}
    {keepdims}
    {where}
    {mean}
    {correction}
    {running}

    Returns
    -------
    ndarray or scalar
        The standard deviation along `axis`, correctly rounded; NaN with a RuntimeWarning where at
        most `ddof` elements are left (of integers, which have no NaN, what :func:`parallel_std`
        gives); `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_nanstd
    >>> parallel_nanstd(np.array([1.0, np.nan, 2.0]))
    np.float64(0.5)
    """
    if (
        dtype is None
        and type(ddof) is int
        and ddof == 0
        and correction is NO_VALUE
        and mean is NO_VALUE
        and is_lean(axis, out, keepdims, NO_VALUE, where, executor, progress)
    ):
        small = _lean_nanstd(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return _spread(
        NANSTD, _NANSTD_ABOUT, a, axis, dtype, out, ddof, keepdims, where, mean, correction, options
    )
