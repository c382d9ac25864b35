"""Truth: whether any or all elements are true, and how many are not zero."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from parsum.api.arguments import NO_VALUE, Array, Axis, DType, Method, Progress, check_options
from parsum.api.call import Operation, reduce
from parsum.api.documents import documented
from parsum.api.lean import NUMPY_BYTES, Lean, is_lean

_KINDS = "biufcmM"
ANY = Operation("any", "any", _KINDS, casting="unsafe")
ALL = Operation("all", "all", _KINDS, casting="unsafe")
COUNT = Operation("count_nonzero", "count_nonzero", _KINDS)


def truth_dtype(_: DType) -> DType:
    """Return the dtype of truth."""
    return np.dtype(np.bool_)


def count_dtype(_: DType) -> DType:
    """Return the dtype of counts."""
    return np.dtype(np.intp)


_lean_any = Lean(ANY, truth_dtype)
_lean_all = Lean(ALL, truth_dtype)
#: The counts that the smallest arrays may have: to look one up is less work than to make it.
_COUNTS = tuple(map(np.intp, range(NUMPY_BYTES + 1)))


def _count_small(a: Array) -> np.intp:
    return _COUNTS[np.count_nonzero(a)]


_lean_count = Lean(COUNT, count_dtype, fixed=True, numpy=(_count_small, _KINDS))


@documented
def parallel_any(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Whether any element is true, as :func:`numpy.any`.

    All workers stop at the first true element of a full reduction. NaN and NaT are true.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {axis}
    {out}
    {keepdims}
    {where}
    {running}

    Returns
    -------
    ndarray of bool or bool
        False where there are no elements; `out` if given.

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_any
    >>> parallel_any(np.array([[0, 0], [0, 5]]), axis=1)
    array([False,  True])
    """
    if is_lean(axis, out, keepdims, NO_VALUE, where, executor, progress):
        small = _lean_any(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return reduce(ANY, a, axis, truth_dtype, out, keepdims, NO_VALUE, where, options)


@documented
def parallel_all(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Whether all elements are true, as :func:`numpy.all`.

    All workers stop at the first false element of a full reduction. NaN and NaT are true.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {axis}
    {out}
    {keepdims}
    {where}
    {running}

    Returns
    -------
    ndarray of bool or bool
        True where there are no elements; `out` if given.

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_all
    >>> parallel_all(np.array([[1, 0], [4, 5]]), axis=1)
    array([False,  True])
    """
    if is_lean(axis, out, keepdims, NO_VALUE, where, executor, progress):
        small = _lean_all(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return reduce(ALL, a, axis, truth_dtype, out, keepdims, NO_VALUE, where, options)


@documented
def parallel_count_nonzero(
    a: ArrayLike,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    where: ArrayLike = True,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Number of elements that are not zero, as :func:`numpy.count_nonzero`.

    NaN and NaT are not zero, -0.0 is.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {axis}
    {keepdims}
    {where}
    {running}

    Returns
    -------
    intp or ndarray of intp
        The counts along `axis`.

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_count_nonzero
    >>> parallel_count_nonzero(np.array([[0, 1], [4, 5]]))
    np.int64(3)
    """
    if (
        axis is None
        and keepdims is False
        and where is True
        and executor is None
        and (progress is None or progress is False)
    ):
        small = _lean_count(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return reduce(COUNT, a, axis, count_dtype, None, keepdims, NO_VALUE, where, options)
