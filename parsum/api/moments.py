"""Means, variances and standard deviations: exact, rounded once, with or without NaN."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    check_options,
    wanted_dtype,
)
from parsum.api.call import Operation, native, part_of, reduce
from parsum.api.documents import documented
from parsum.api.lean import Lean, is_lean

_FLOAT64 = np.dtype(np.float64)
_NO_MEAN = "Mean of empty slice."
_NO_FREEDOM = "Degrees of freedom <= 0 for slice"

_MEAN = Operation("mean", "mean", "biufcm", by_parts=True, casting="unsafe", empty=_NO_MEAN)
_NANMEAN = Operation(
    "nanmean",
    "mean",
    "biufcm",
    by_parts=True,
    nan=True,
    casting="unsafe",
    empty="Mean of empty slice",
)
_VAR = Operation("var", "var", "biufc", casting="unsafe", empty=_NO_FREEDOM)
_STD = Operation("std", "std", "biufc", empty=_NO_FREEDOM)
_NANVAR = Operation("nanvar", "nanvar", "biufc", nan=True, empty=_NO_FREEDOM)
_NANSTD = Operation("nanstd", "nanstd", "biufc", nan=True, empty=_NO_FREEDOM)
_VAR_ABOUT, _STD_ABOUT, _NANVAR_ABOUT, _NANSTD_ABOUT = (
    Operation(
        name,
        f"{name}_about",
        "biufc",
        nan=name.startswith("nan"),
        casting="unsafe" if name == "var" else "same_kind",
        empty=_NO_FREEDOM,
    )
    for name in ("var", "std", "nanvar", "nanstd")
)


def _mean_dtype(dtype: DType) -> DType:
    return _FLOAT64 if dtype.kind in "biu" else native(dtype)


def _spread_dtype(dtype: DType) -> DType:
    return _FLOAT64 if dtype.kind in "biu" else part_of(native(dtype))


_lean_mean = Lean(_MEAN, _mean_dtype)
_lean_var = Lean(_VAR, _spread_dtype)
_lean_std = Lean(_STD, _spread_dtype)
_lean_nanmean = Lean(_NANMEAN, _mean_dtype, not_nan=True)
_lean_nanvar = Lean(_NANVAR, _spread_dtype, not_nan=True)
_lean_nanstd = Lean(_NANSTD, _spread_dtype, not_nan=True)


def _mean_rule(dtype: Any, out: Any) -> Callable[[DType], DType]:
    if dtype is None:
        return lambda given: _by_out(_mean_dtype(given), out)
    wanted = wanted_dtype(dtype, "biufcm")

    def rule(given: DType) -> DType:
        if given.kind == "m" or wanted.kind == "m":
            return native(given)
        return native(wanted) if wanted.kind in "fc" else _FLOAT64

    return rule


def _by_out(dtype: DType, out: Any) -> DType:
    """Results go to an `out` of another floating dtype by one rounding."""
    if isinstance(out, np.ndarray) and out.dtype.kind in "fc" and dtype.kind == "f":
        return native(part_of(out.dtype))
    return dtype


def _spread_rule(dtype: Any, out: Any) -> Callable[[DType], DType]:
    if dtype is None:
        return lambda given: _by_out(_spread_dtype(given), out)
    wanted = wanted_dtype(dtype, "biufc")
    if wanted.kind not in "fc":
        raise TypeError(f"dtype must be a floating or complex dtype, got {wanted}")
    return lambda given: part_of(native(wanted))


def _about_rule(dtype: Any, out: Any, mean: Any) -> Callable[[DType], DType]:
    """Deviations from means of a wider dtype are of that dtype too."""
    rule = _spread_rule(dtype, out)
    wide = part_of(np.asarray(mean).dtype)
    return lambda given: np.promote_types(rule(given), wide if wide.kind == "f" else _FLOAT64)


def _parts(mean: Any) -> tuple[Any, Any]:
    number = np.asarray(mean)
    return number.real, number.imag


def _divisor(ddof: Any, correction: Any) -> float:
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
    {float_dtype}
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
    return reduce(_MEAN, a, axis, _mean_rule(dtype, out), out, keepdims, NO_VALUE, where, options)


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
    {float_dtype}
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
    return reduce(
        _NANMEAN, a, axis, _mean_rule(dtype, None), out, keepdims, NO_VALUE, where, options,
        skip_nan=has_nan(a),
    )  # fmt: skip


def has_nan(a: Any) -> bool:
    """Tell whether the dtype has NaN."""
    return as_array(a)[0].dtype.kind in "fc"


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
    ``abs(a - mean)**2``, a real number.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    {axis}
    {float_dtype}
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
    divisor = _divisor(ddof, correction)
    if mean is not NO_VALUE:
        rule = _about_rule(dtype, out, mean)
        return reduce(
            _VAR_ABOUT, a, axis, rule, out, keepdims, NO_VALUE, where, options,
            parameter=divisor, presets=_parts(mean),
        )  # fmt: skip
    return reduce(
        _VAR, a, axis, _spread_rule(dtype, out), out, keepdims, NO_VALUE, where, options,
        parameter=divisor,
    )  # fmt: skip


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
    {float_dtype}
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
    divisor = _divisor(ddof, correction)
    if mean is not NO_VALUE:
        rule = _about_rule(dtype, out, mean)
        return reduce(
            _STD_ABOUT, a, axis, rule, out, keepdims, NO_VALUE, where, options,
            parameter=divisor, presets=_parts(mean),
        )  # fmt: skip
    return reduce(
        _STD, a, axis, _spread_rule(dtype, out), out, keepdims, NO_VALUE, where, options,
        parameter=divisor,
    )  # fmt: skip


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
    {float_dtype}
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
        left; `out` if given.

    Raises
    ------
    {raises}

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
    divisor = _divisor(ddof, correction)
    skip = has_nan(a)
    if mean is not NO_VALUE:
        rule = _about_rule(dtype, None, mean)
        return reduce(
            _NANVAR_ABOUT, a, axis, rule, out, keepdims, NO_VALUE, where, options,
            skip_nan=skip, parameter=divisor, presets=_parts(mean),
        )  # fmt: skip
    return reduce(
        _NANVAR, a, axis, _spread_rule(dtype, None), out, keepdims, NO_VALUE, where, options,
        skip_nan=skip, parameter=divisor,
    )  # fmt: skip


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
    {float_dtype}
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
        most `ddof` elements are left; `out` if given.

    Raises
    ------
    {raises}

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
    divisor = _divisor(ddof, correction)
    skip = has_nan(a)
    if mean is not NO_VALUE:
        rule = _about_rule(dtype, None, mean)
        return reduce(
            _NANSTD_ABOUT, a, axis, rule, out, keepdims, NO_VALUE, where, options,
            skip_nan=skip, parameter=divisor, presets=_parts(mean),
        )  # fmt: skip
    return reduce(
        _NANSTD, a, axis, _spread_rule(dtype, None), out, keepdims, NO_VALUE, where, options,
        skip_nan=skip, parameter=divisor,
    )  # fmt: skip
