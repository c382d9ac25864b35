"""Products: of all elements, inner products of two arrays, and the norms that come of them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from parsum.api.arguments import (
    NO_VALUE,
    Array,
    Axis,
    DType,
    Method,
    Options,
    Progress,
    as_array,
    check_axis,
    check_dtype,
    check_in_memory,
    check_keepdims,
    check_options,
    check_out,
    check_out_type,
    kept_shapes,
    located,
)
from parsum.api.call import Operation, native, part_of, reduce, reduce_pairs, report
from parsum.api.documents import documented
from parsum.api.lean import Lean, LeanPair, is_lean
from parsum.api.sums import sum_dtype, sum_rule
from parsum.under_dask import is_lazy

_KINDS = "biufc"
_FLOAT64 = np.dtype(np.float64)
_INT64 = np.dtype(np.int64)
_UINT64 = np.dtype(np.uint64)

PROD = Operation("prod", "prod", _KINDS, converts=True, ufunc="multiply", casting="unsafe")
NANPROD = Operation("nanprod", "prod", _KINDS, converts=True, ufunc="multiply", casting="unsafe")
_lean_prod = Lean(PROD, sum_dtype)
_lean_nanprod = Lean(NANPROD, sum_dtype, not_nan=True)


@documented
def parallel_prod(
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
    """Product of elements, as :func:`numpy.prod`, without overflow or underflow in between.

    Exponents are carried apart and the roundings are compensated, in a tree that depends on the
    number of elements alone: the same bits for any workers, and nearly always the correctly rounded
    product, but for complex numbers and long doubles. Integers wrap, and report it through
    ``np.errstate(over=...)``.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    {axis}
    {sum_dtype}
    {out}
    {keepdims}
    {initial}
    {where}
    {running}

    Returns
    -------
    ndarray or scalar
        The product along `axis`, 1 of no elements; `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_prod
    >>> parallel_prod(np.array([2.0**1000, 2.0**1000, 2.0**-1000, 2.0**-1000]))
    np.float64(1.0)
    """
    if dtype is None and is_lean(axis, out, keepdims, initial, where, executor, progress):
        small = _lean_prod(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return reduce(PROD, a, axis, sum_rule(dtype, out), out, keepdims, initial, where, options)


@documented
def parallel_nanprod(
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
    """Product of the elements that are not NaN, as :func:`numpy.nanprod`.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats or complex numbers.
    {axis}
    {sum_dtype}
    {out}
    {keepdims}
    {initial}
    {where}
    {running}

    Returns
    -------
    ndarray or scalar
        The product along `axis`, 1 where nothing is left; `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    See Also
    --------
    parallel_prod : how it is found.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_nanprod
    >>> parallel_nanprod(np.array([2.0, np.nan, 3.0]))
    np.float64(6.0)
    """
    if dtype is None and is_lean(axis, out, keepdims, initial, where, executor, progress):
        small = _lean_nanprod(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    a = located(a)
    return reduce(
        NANPROD, a, axis, sum_rule(dtype, out), out, keepdims, initial, where, options,
        skip_nan=as_array(a)[0].dtype.kind in "fc",
    )  # fmt: skip


# ---- inner products ----


_lean_dot = LeanPair("dot", most=1, name="parallel_dot")
_lean_vdot = LeanPair("vdot", name="parallel_vdot")
_lean_vecdot = LeanPair("vdot", least=1, most=1, name="parallel_vecdot")


def operand(a: Any, name: str) -> tuple[Array, Array | None]:
    """Return one of two arrays of numbers, in memory or Dask's, and its mask."""
    array, mask = as_array(a)
    check_in_memory(array, name, lazy=True)
    check_dtype(array.dtype, name, _KINDS)
    return array, mask


def kernel_dtype(a: DType, b: DType) -> DType:
    """Return the dtype that elements of two arrays are converted to, which loses nothing."""
    common = np.result_type(a, b)
    if native(a) == native(b):
        return common
    if common.kind in "iu":
        return _UINT64 if common.kind == "u" else _INT64
    return _FLOAT64 if common == np.float16 else common


def _inner(
    row: str,
    name: str,
    a: Array,
    b: Array,
    mask: Array | None,
    axis: int,
    out: Any,
    keepdims: bool,
    options: Options,
) -> Any:
    """Return the inner products of two arrays of one shape along an axis."""
    if is_lazy(a, b):
        return _lazy_inner(row, name, a, b, mask, (axis,), out, keepdims, options)
    dtype = native(np.result_type(a.dtype, b.dtype))
    kept, full = kept_shapes(a.shape, (axis,))
    shape = full if keepdims else kept
    check_out_type(out)
    if out is not None:
        check_out(name, out, shape, keepdims)
        if not np.can_cast(dtype, out.dtype, "same_kind"):
            raise TypeError(
                f"out must be of a dtype that {dtype} can be cast to (same_kind), got {out.dtype}"
            )
    result: Array = np.empty(kept, dtype)
    flags = 0
    if result.size:
        flags = reduce_pairs(
            row, a, b, (axis,), result, mask, kernel_dtype(a.dtype, b.dtype), options
        )
    if flags:
        report(f"parallel_{name}", flags, dtype)
    if out is not None:
        np.copyto(out, result.reshape(shape), casting="unsafe")
        return out
    return result.reshape(shape)[()]


def _lazy_inner(
    row: str,
    name: str,
    a: Any,
    b: Any,
    mask: Array | None,
    axes: tuple[int, ...],
    out: Any,
    keepdims: bool,
    options: Options,
) -> Any:
    from parsum.api.lazy import reduce_lazy_pair

    dtype = native(np.result_type(a.dtype, b.dtype))
    operation = Operation(name, row, _KINDS)
    kernel = kernel_dtype(a.dtype, b.dtype)
    return reduce_lazy_pair(operation, a, b, axes, kernel, dtype, mask, out, keepdims, options)


def _either(a: Array | None, b: Array | None) -> Array | None:
    return b if a is None else a if b is None else a | b


@documented
def parallel_dot(
    a: ArrayLike,
    b: ArrayLike,
    out: NDArray[Any] | None = None,
    *,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Dot product of two vectors, as :func:`numpy.dot`: exact, rounded once.

    Subnormal products keep all their bits and products beyond the range of floats do no harm, as
    long as the result is in range. Arrays of two dtypes are converted to their common one first.
    Integers wrap as NumPy's, and report it through ``np.errstate(over=...)``. Long doubles alone
    are not correctly rounded.

    Parameters
    ----------
    a, b : array_like
        Vectors of one length, or scalars: bool, integers, floats or complex numbers.
    {out}
    {running}

    Returns
    -------
    scalar
        The sum of ``a[i] * b[i]``; `out` if given.

    Raises
    ------
    {raises}
        So it is for arrays of more dimensions: see :func:`parallel_vecdot`.
    {float_errors}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_dot
    >>> parallel_dot(np.array([1e200, 1.0, -1e200]), np.array([1e200, 2.0, 1e200]))
    np.float64(2.0)
    """
    if out is None and executor is None and (progress is None or progress is False):
        small = _lean_dot(a, b, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    first, first_mask = operand(a, "a")
    second, second_mask = operand(b, "b")
    if first.ndim > 1 or second.ndim > 1:
        raise ValueError(
            f"a and b must have at most 1 dimension, got {first.ndim} and {second.ndim}: "
            "parallel_vecdot takes more"
        )
    if first.ndim != second.ndim:
        raise ValueError(
            f"a and b must both be vectors or both scalars, got shapes {first.shape} and "
            f"{second.shape}"
        )
    first, second = np.atleast_1d(first), np.atleast_1d(second)
    if first.shape != second.shape:
        raise ValueError(
            f"a and b must have the same length, got shapes {first.shape} and {second.shape}"
        )
    mask = _either(first_mask, second_mask)
    return _inner("dot", "dot", first, second, mask, 0, out, False, options)


@documented
def parallel_vdot(
    a: ArrayLike,
    b: ArrayLike,
    *,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Dot product of two flattened arrays, the first conjugated, as :func:`numpy.vdot`.

    Parameters
    ----------
    a, b : array_like
        Arrays of one size: bool, integers, floats or complex numbers.
    {running}

    Returns
    -------
    scalar
        The sum of ``conj(a[i]) * b[i]``, exact and rounded once.

    Raises
    ------
    {raises}
    {float_errors}

    See Also
    --------
    parallel_dot : without conjugation.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_vdot
    >>> parallel_vdot(np.array([1 + 2j]), np.array([3 + 4j]))
    np.complex128(11-2j)
    """
    if executor is None and (progress is None or progress is False):
        small = _lean_vdot(a, b, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    first, first_mask = operand(a, "a")
    second, second_mask = operand(b, "b")
    if first.size != second.size:
        raise ValueError(f"a and b must have the same size, got {first.size} and {second.size}")
    if first_mask is not None:
        first_mask = first_mask.ravel()
    if second_mask is not None:
        second_mask = second_mask.ravel()
    mask = _either(first_mask, second_mask)
    if first.shape == second.shape and mask is None:
        return _flat_inner(first, second, options)
    row = "vdot" if first.dtype.kind == "c" else "dot"
    return _inner(row, "vdot", first.ravel(), second.ravel(), mask, 0, None, False, options)


def _flat_inner(a: Array, b: Array, options: Options) -> Any:
    """Return the inner product over all axes of two arrays of one shape, without copies."""
    row = "vdot" if a.dtype.kind == "c" else "dot"
    if is_lazy(a, b):
        axes = tuple(range(a.ndim))
        return _lazy_inner(row, "vdot", a, b, None, axes, None, False, options)
    result: Array = np.empty((), native(np.result_type(a.dtype, b.dtype)))
    axes = tuple(range(a.ndim))
    kernel = kernel_dtype(a.dtype, b.dtype)
    flags = reduce_pairs(row, a, b, axes, result, None, kernel, options)
    if flags:
        report("parallel_vdot", flags, result.dtype)
    return result[()]


@documented
def parallel_vecdot(
    x1: ArrayLike,
    x2: ArrayLike,
    /,
    out: NDArray[Any] | None = None,
    *,
    axis: int = -1,
    keepdims: bool = False,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Dot products of vectors along an axis, the first conjugated, as ``numpy.vecdot``.

    Parameters
    ----------
    x1, x2 : array_like
        Arrays of bool, integers, floats or complex numbers, whose shapes broadcast.
    {out}
    axis : int, optional
        The axis along which the vectors lie, by default the last.
    {keepdims}
    {running}

    Returns
    -------
    ndarray or scalar
        The sums of ``conj(x1) * x2`` along `axis`, exact and rounded once; `out` if given.

    Raises
    ------
    {raises}
    {float_errors}

    See Also
    --------
    parallel_dot : of two vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_vecdot
    >>> parallel_vecdot(np.array([[1, 2], [3, 4]]), np.array([1, 10]))
    array([21, 43])
    """
    if (
        out is None
        and keepdims is False
        and executor is None
        and (progress is None or progress is False)
        and type(axis) is int
        and (axis == -1 or axis == 0)
    ):
        small = _lean_vecdot(x1, x2, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    first, first_mask = operand(x1, "x1")
    second, second_mask = operand(x2, "x2")
    keepdims = check_keepdims(keepdims)
    number = check_axis(axis)
    for name, array in (("x1", first), ("x2", second)):
        if array.ndim == 0:
            raise ValueError(f"{name} must have at least 1 dimension, got 0")
        if not -array.ndim <= number < array.ndim:
            raise np.exceptions.AxisError(number, array.ndim, "axis")
    if first.shape[number] != second.shape[number]:
        raise ValueError(
            f"x1 and x2 must have the same length along axis {number}, got shapes {first.shape} "
            f"and {second.shape}"
        )
    row = "vdot" if first.dtype.kind == "c" else "dot"
    # The axis counts in each array by itself; all others broadcast.
    first, second = np.moveaxis(first, number, -1), np.moveaxis(second, number, -1)
    try:
        shape = np.broadcast_shapes(first.shape, second.shape)
    except ValueError:
        raise ValueError(
            f"x1 and x2 must have shapes that broadcast, got {first.shape} and {second.shape} "
            f"with axis {number} last"
        ) from None
    masks = [
        None if k is None else np.broadcast_to(np.moveaxis(k, number, -1), shape)
        for k in (first_mask, second_mask)
    ]
    first, second = np.broadcast_to(first, shape), np.broadcast_to(second, shape)
    last = len(shape) - 1
    target = out
    if keepdims and isinstance(out, np.ndarray) and out.ndim == len(shape):
        target = np.squeeze(out, number)
    result = _inner(row, "vecdot", first, second, _either(*masks), last, target, False, options)
    if out is not None:
        return out
    return np.expand_dims(result, number) if keepdims else result


# ---- norms ----

NORMS = {
    2.0: Operation("norm", "norm2", _KINDS),
    1.0: Operation("norm", "abs_sum", _KINDS),
    math.inf: Operation("norm", "max_abs", _KINDS),
    -math.inf: Operation("norm", "min_abs", _KINDS, identity=False, ufunc="minimum"),
    0.0: Operation("norm", "count_nonzero", _KINDS),
}
NORM_P = Operation("norm", "norm_p", _KINDS)


def norm_dtype(dtype: DType) -> DType:
    """Return the dtype of norms: that of the elements' parts, float64 of integers."""
    return _FLOAT64 if dtype.kind in "biu" else part_of(native(dtype))


_lean_norm = Lean(NORMS[2.0], norm_dtype)
# ... of vectors, by ord; other orders have no lean path.
_lean_norms: dict[float, Lean] = {
    order: Lean(operation, norm_dtype) for order, operation in NORMS.items() if order != 0
}
_lean_norms[0.0] = Lean(NORMS[0.0], lambda _: np.dtype(np.intp), fixed=True)
_lean_norms[3.0] = Lean(NORM_P, norm_dtype, parameter=3.0)


@documented
def parallel_norm(
    x: ArrayLike,
    ord: float | None = None,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Norm of vectors, as :func:`numpy.linalg.norm`, without overflow or underflow in between.

    ======  ==========================================================
    `ord`   norm
    ======  ==========================================================
    None    2, of the flattened array if `axis` is None
    2       the correctly rounded root of the exact sum of squares
    1       the correctly rounded sum of absolute values
    inf     the greatest absolute value
    -inf    the least absolute value
    0       the number of elements that are not zero
    other   ``sum(abs(x)**ord)**(1 / ord)``, deterministic, not exact
    ======  ==========================================================

    Absolute values of complex numbers are correctly rounded before they are added or compared.
    Norms 1 and 2 of long doubles are not correctly rounded.

    Parameters
    ----------
    x : array_like
        Bool, integers, floats or complex numbers.
    ord : float, optional
        The order of the norm.
    axis : None, int or tuple of ints, optional
        The axes along which the vectors lie; None for the whole of a vector, or of an array of any
        dimensions where `ord` is None. Norms of matrices are not offered, but for the Frobenius
        norm, which is that of the flattened matrix.
    {keepdims}
    {running}

    Returns
    -------
    ndarray or scalar
        The norms, of the dtype of the elements' parts, float64 for integers.

    Raises
    ------
    {raises}
        So it is for the norm of ord -inf of no elements.
    {float_errors}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_norm
    >>> parallel_norm(np.array([3e300, 4e300]))
    np.float64(5e+300)
    """
    if (
        axis is None
        and keepdims is False
        and executor is None
        and (progress is None or progress is False)
    ):
        if ord is None:
            lean: Lean | None = _lean_norm
        elif type(ord) in (int, float) and type(x) is np.ndarray and x.ndim == 1 and x.size:
            lean = _lean_norms.get(ord)
        else:
            lean = None
        small = None if lean is None else lean(x, workers, method)
        if small is not None:
            return small if ord != 0 else norm_dtype(np.asarray(x).dtype).type(small)
    options = check_options(workers, method, executor, progress)
    x = located(x)
    array = as_array(x)[0]
    ndim = array.ndim
    matrix = isinstance(axis, tuple) and len(axis) == 2
    if (isinstance(axis, tuple) and len(axis) > 2) or (ndim == 0 and ord is not None):
        raise ValueError(
            "axis must stand for vectors, or for matrices where ord is None, got "
            f"axis={axis!r} for an array of {ndim} dimensions"
        )
    if ord is None or (isinstance(ord, str) and ord == "fro" and (ndim == 2 or matrix)):
        order = 2.0
    else:
        order = norm_order(ord)
        if matrix or (axis is None and ndim > 1):
            raise ValueError(
                f"axis must be one axis for ord={ord!r}, as norms of matrices are not offered, "
                f"got axis={axis!r} for an array of {ndim} dimensions"
            )
    if order == math.inf and array.size == 0:
        order = 1.0  # 0 too, where max_abs has nothing to take
    if order == 0:
        counts = reduce(
            NORMS[0.0], x, axis, lambda _: np.dtype(np.intp), None, keepdims, NO_VALUE, True,
            options,
        )  # fmt: skip
        return counts.astype(norm_dtype(array.dtype))
    operation = NORMS.get(order, NORM_P)
    return reduce(
        operation, x, axis, norm_dtype, None, keepdims, NO_VALUE, True, options, parameter=order
    )


def norm_order(ord: Any) -> float:
    """Return the order of a norm of vectors as a number."""
    try:
        order = float(ord)
    except (TypeError, ValueError):
        raise ValueError(f"ord must be a number or None for vectors, got {ord!r}") from None
    if math.isnan(order):
        raise ValueError(f"ord must be a number, got {ord!r}")
    return order
