"""Weighted means: exact sums of products over exact sums of weights, rounded once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from parsum.api.arguments import (
    Array,
    Axis,
    DType,
    Method,
    Options,
    Progress,
    check_axes,
    check_keepdims,
    check_options,
    kept_shapes,
)
from parsum.api.call import Operation, native, part_of, reduce_pairs, report
from parsum.api.documents import documented
from parsum.api.lean import LeanPair
from parsum.api.moments import parallel_mean
from parsum.api.products import kernel_dtype, operand
from parsum.reduction import DIVIDE, OVERFLOW
from parsum.under_dask import is_lazy

_KINDS = "biufc"
_FLOAT64 = np.dtype(np.float64)
_lean_weighted_mean = LeanPair("weighted_mean", "fc")


@documented
def parallel_weighted_mean(
    a: ArrayLike,
    axis: Axis = None,
    weights: ArrayLike | None = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Weighted mean, as :func:`numpy.average`, of exact sums: correctly rounded.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    {axis}
    weights : array_like, optional
        A weight for each element, of the shape of `a`; or of the lengths of `a` along `axis`.
        Without it all are 1.
    returned : bool, optional
        Whether to return the sums of weights too.
    {keepdims}
    {running}

    Returns
    -------
    ndarray or scalar, or a tuple of two
        ``sum(a * weights) / sum(weights)`` along `axis`, of the common dtype of both, float64 at
        least for integers; and the sums of weights. Both sums are exact, and the quotient and the
        sum of weights are rounded once each (of complex numbers, so are both parts). Elements of
        two dtypes are converted to their common one first. Long doubles alone are not exact: their
        sums are compensated and rounded, and then divided.

    Raises
    ------
    {raises}
    {float_errors}
    ZeroDivisionError
        If the weights of a result sum to zero. Of masked arrays, such results are masked.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_weighted_mean
    >>> parallel_weighted_mean(np.array([1.0, 2.0, 4.0]), weights=np.array([1, 1, 2]))
    np.float64(2.75)
    """
    if weights is None and returned is False:
        return parallel_mean(
            a, axis, keepdims=keepdims, workers=workers, method=method, executor=executor,
            progress=progress,
        )  # fmt: skip
    if (
        axis is None
        and keepdims is False
        and executor is None
        and (progress is None or progress is False)
    ):
        both = _lean_weighted_mean(a, weights, workers, method)
        if both is not None:
            return both if returned else both[0]
    options = check_options(workers, method, executor, progress)
    array, mask = operand(a, "a")
    axes = check_axes(axis, array.ndim)
    keepdims = check_keepdims(keepdims)
    if weights is None:
        mean = parallel_mean(
            a, axis, keepdims=keepdims, workers=workers, method=method, executor=executor,
            progress=progress,
        )  # fmt: skip
        if mask is not None:
            return mean, np.sum(~mask, axes, mean.dtype, keepdims=keepdims)
        return mean, np.full_like(mean, array.size // max(mean.size, 1))[()]
    weight, weight_mask = operand(weights, "weights")
    weight = _like(array, weight, axis, axes)
    if weight_mask is not None:
        weight_mask = _like(array, weight_mask, axis, axes)
        mask = weight_mask if mask is None else mask | weight_mask
    dtype = native(np.result_type(array.dtype, weight.dtype))
    if array.dtype.kind in "biu":
        dtype = np.result_type(dtype, _FLOAT64)
    if is_lazy(array, weight):
        both = _lazy_weighted(array, weight, axes, mask, dtype, returned, keepdims, options)
        return (both[..., 0], both[..., 1]) if returned else both[..., 0]
    kept, full = kept_shapes(array.shape, axes)
    mean, total, flags = _weighted(array, weight, axes, mask, kept, dtype, options)
    masked = isinstance(a, np.ma.MaskedArray) or isinstance(weights, np.ma.MaskedArray)
    flags = _looked_at(mean, total, flags, masked, returned)
    if flags:
        report("parallel_weighted_mean", flags, dtype)
    if keepdims:
        mean, total = mean.reshape(full), total.reshape(full)
    if masked:
        nothing = total == 0
        if mask is not None:
            nothing |= np.all(mask, axis=axes, keepdims=keepdims)
        mean, total = np.ma.array(mean, mask=nothing), np.ma.array(total, mask=nothing)
    return (mean[()], total[()]) if returned else mean[()]


def _looked_at(mean: Array, total: Array, flags: int, masked: bool, returned: bool) -> int:
    """Return the flags that are to be told of; ZeroDivisionError if there is no mean."""
    if flags & DIVIDE:
        if not masked:
            raise ZeroDivisionError(
                "weights must not sum to zero, as they are divided by their sum"
            )
        flags &= ~DIVIDE
    if flags & OVERFLOW and not returned and not np.any(np.isinf(mean) & np.isfinite(total)):
        flags &= ~OVERFLOW  # of a sum of weights that nobody asked for
    return flags


def _lazy_weighted(
    a: Any,
    weights: Any,
    axes: tuple[int, ...],
    mask: Array | None,
    dtype: DType,
    returned: bool,
    keepdims: bool,
    options: Options,
) -> Any:
    """Return the lazy means and sums of weights, side by side along a last axis."""
    from parsum.api.lazy import map_results, reduce_lazy_pair

    def of(part: Any, dtype: DType) -> Any:
        return reduce_lazy_pair(
            Operation("weighted_mean", "weighted_mean", _KINDS), part, weights, axes,
            kernel_dtype(part.dtype, weights.dtype), dtype, mask, None, keepdims, options,
            look=partial(_look_at_both, returned),
        )  # fmt: skip

    if a.dtype.kind != "c" or weights.dtype.kind == "c":
        return of(a, dtype)
    real, imag = of(a.real, part_of(dtype)), of(a.imag, part_of(dtype))
    return map_results(partial(_whole_numbers, dtype), real, imag, dtype)


def _whole_numbers(dtype: DType, real: Array, imag: Array) -> Any:
    """Return means of complex numbers and sums of real weights, of those of both parts."""
    both: Any = real.astype(dtype)
    both[..., 0].imag = imag[..., 0]
    return both


def _look_at_both(
    returned: bool, both: Array, flags: int, masked: bool, nothing: Array
) -> tuple[int, Array]:
    """Do the same with results side by side, and tell which of them are to be masked."""
    mean, total = both[..., 0], both[..., 1]
    return _looked_at(mean, total, flags, masked, returned), nothing | (total == 0)


def _like(a: Array, weights: Array, axis: Any, axes: tuple[int, ...]) -> Array:
    """Return weights in the shape of the array."""
    if weights.shape == a.shape:
        return weights
    if axis is None:
        raise TypeError(
            "axis must be given where the shapes of a and weights differ, got shapes "
            f"{a.shape} and {weights.shape}"
        )
    order = [k % a.ndim for k in (axis if isinstance(axis, tuple) else (axis,))]
    lengths = tuple(a.shape[k] for k in order)
    if weights.shape != lengths:
        raise ValueError(
            f"weights must have the shape of a, {a.shape}, or its lengths along axis, {lengths}, "
            f"got shape {weights.shape}"
        )
    weights = weights.transpose(np.argsort(order))
    wide = weights.reshape([n if k in axes else 1 for k, n in enumerate(a.shape)])
    return np.broadcast_to(wide, a.shape)


def _weighted(
    a: Array,
    weights: Array,
    axes: tuple[int, ...],
    mask: Array | None,
    kept: tuple[int, ...],
    dtype: DType,
    options: Options,
) -> tuple[Array, Array, int]:
    """Return the weighted means, the sums of weights and flags."""
    if "g" in (a.dtype.char.lower(), weights.dtype.char.lower()):
        return _of_rounded_sums(a, weights, axes, mask, kept, dtype, options)
    if a.dtype.kind != "c" or weights.dtype.kind == "c":
        return _once(a, weights, axes, mask, kept, dtype, options)
    mean: Array = np.empty(kept, dtype)
    flags = 0
    for part, to in ((a.real, mean.real), (a.imag, mean.imag)):
        to[...], total, more = _once(part, weights, axes, mask, kept, part_of(dtype), options)
        flags |= more
    return mean, total.astype(dtype), flags


def _once(
    a: Array,
    weights: Array,
    axes: tuple[int, ...],
    mask: Array | None,
    kept: tuple[int, ...],
    dtype: DType,
    options: Options,
) -> tuple[Array, Array, int]:
    """Return what _weighted does, of numbers whose exact sums are rounded once."""
    both: Array = np.empty((*kept, 2), dtype)
    flags = 0
    if both.size:
        kernel = kernel_dtype(a.dtype, weights.dtype)
        flags = reduce_pairs("weighted_mean", a, weights, axes, both, mask, kernel, options)
    return both[..., 0], both[..., 1], flags


def _of_rounded_sums(
    a: Array,
    weights: Array,
    axes: tuple[int, ...],
    mask: Array | None,
    kept: tuple[int, ...],
    dtype: DType,
    options: Options,
) -> tuple[Array, Array, int]:
    """Return what _weighted does, of long doubles: of compensated sums."""
    ones = np.broadcast_to(np.ones((), weights.dtype), weights.shape)
    sums: list[Array] = []
    flags = 0
    for other in (a, ones):
        result: Array = np.empty(kept, dtype)
        if result.size:
            kernel = kernel_dtype(dtype, dtype)
            flags |= reduce_pairs("dot", other, weights, axes, result, mask, kernel, options)
        sums.append(result)
    flags |= 0 if np.all(sums[1]) else DIVIDE
    with np.errstate(all="ignore"):
        return sums[0] / sums[1], sums[1], flags
