"""Least and greatest elements and where they are: min, max, both at once, argmin and argmax."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from parsum.api.arguments import (
    NO_VALUE,
    Axis,
    DType,
    Method,
    Progress,
    as_array,
    check_axis,
    check_options,
    located,
)
from parsum.api.call import Operation, native, reduce
from parsum.api.documents import documented
from parsum.api.lean import Lean, is_lean

_KINDS = "biufcmM"
_INTP = np.dtype(np.intp)

_ALL_NAN = "All-NaN slice encountered"
MIN = Operation("min", "min", _KINDS, identity=False, ufunc="minimum", casting="unsafe")
MAX = Operation("max", "max", _KINDS, identity=False, ufunc="maximum", casting="unsafe")
MINMAX = Operation("minmax", "minmax", _KINDS, identity=False, ufunc="minmax")
NANMIN = Operation(
    "nanmin", "nanmin", _KINDS, identity=False, ufunc="fmin", casting="unsafe", empty=_ALL_NAN
)
NANMAX = Operation(
    "nanmax", "nanmax", _KINDS, identity=False, ufunc="fmax", casting="unsafe", empty=_ALL_NAN
)
ARGMIN = Operation(
    "argmin", "argmin", _KINDS, identity=False, numbered=True, ufunc="argmin", casting="back"
)
ARGMAX = Operation(
    "argmax", "argmax", _KINDS, identity=False, numbered=True, ufunc="argmax", casting="back"
)
NANARGMIN = Operation(
    "nanargmin", "nanargmin", "biufc", identity=False, numbered=True, ufunc="nanargmin",
    casting="back", empty=_ALL_NAN, empty_error=True,
)  # fmt: skip
NANARGMAX = Operation(
    "nanargmax", "nanargmax", "biufc", identity=False, numbered=True, ufunc="nanargmax",
    casting="back", empty=_ALL_NAN, empty_error=True,
)  # fmt: skip


def index_dtype(_: DType) -> DType:
    """Return the dtype of places."""
    return _INTP


_lean_min = Lean(MIN, native)
_lean_max = Lean(MAX, native)
_lean_minmax = Lean(MINMAX, native)
_lean_nanmin = Lean(NANMIN, native, no_nan=(MIN, "biu"))
_lean_nanmax = Lean(NANMAX, native, no_nan=(MAX, "biu"))
# The first least element is the same place whoever finds it.
_lean_argmin = Lean(ARGMIN, index_dtype, fixed=True, numpy=(np.ndarray.argmin, _KINDS))
_lean_argmax = Lean(ARGMAX, index_dtype, fixed=True, numpy=(np.ndarray.argmax, _KINDS))
_lean_nanargmin = Lean(
    NANARGMIN, index_dtype, fixed=True, no_nan=(ARGMIN, "biumM"), numpy=(np.ndarray.argmin, "biu")
)
_lean_nanargmax = Lean(
    NANARGMAX, index_dtype, fixed=True, no_nan=(ARGMAX, "biumM"), numpy=(np.ndarray.argmax, "biu")
)


@documented
def parallel_min(
    a: ArrayLike,
    axis: Axis = None,
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
    """Minimum of an array or along axes, as :func:`numpy.min`.

    NaN and NaT propagate; -0.0 counts as less than 0.0. Complex numbers are compared by their real
    parts, then by the imaginary ones.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {axis}
    {out}
    {keepdims}
    {initial}
    {where}
    {running}

    Returns
    -------
    ndarray or scalar
        The minimum along `axis`, of the dtype of `a`; `out` if given.

    Raises
    ------
    {raises}
        So it is if there are no elements and no `initial`, or a `where` without `initial`.

    See Also
    --------
    parallel_nanmin : leaves NaN out.
    parallel_minmax : both ends in one pass.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_min
    >>> parallel_min(np.array([[3, 1], [2, 5]]), axis=1)
    array([1, 2])
    """
    if is_lean(axis, out, keepdims, initial, where, executor, progress):
        small = _lean_min(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return reduce(MIN, a, axis, native, out, keepdims, initial, where, options)


@documented
def parallel_max(
    a: ArrayLike,
    axis: Axis = None,
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
    """Maximum of an array or along axes, as :func:`numpy.max`.

    NaN and NaT propagate; 0.0 counts as greater than -0.0. Complex numbers are compared by their
    real parts, then by the imaginary ones.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {axis}
    {out}
    {keepdims}
    {initial}
    {where}
    {running}

    Returns
    -------
    ndarray or scalar
        The maximum along `axis`, of the dtype of `a`; `out` if given.

    Raises
    ------
    {raises}
        So it is if there are no elements and no `initial`, or a `where` without `initial`.

    See Also
    --------
    parallel_nanmax : leaves NaN out.
    parallel_minmax : both ends in one pass.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_max
    >>> parallel_max(np.array([[3, 1], [2, 5]]), axis=0)
    array([3, 5])
    """
    if is_lean(axis, out, keepdims, initial, where, executor, progress):
        small = _lean_max(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    return reduce(MAX, a, axis, native, out, keepdims, initial, where, options)


class MinMax(NamedTuple):
    """What :func:`parallel_minmax` gives: a named tuple.

    Attributes
    ----------
    min, max : scalar or ndarray
        What :func:`parallel_min` and :func:`parallel_max` give.
    """

    min: Any
    max: Any


@documented
def parallel_minmax(
    a: ArrayLike,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> MinMax:
    """Minimum and maximum in one pass over memory.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {axis}
    {keepdims}
    {running}

    Returns
    -------
    MinMax
        A named tuple ``(min, max)``, as :func:`parallel_min` and :func:`parallel_max` give them.

    Raises
    ------
    {raises}
        So it is if there are no elements.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_minmax
    >>> parallel_minmax(np.array([[3, 1], [2, 5]]), axis=0)
    MinMax(min=array([2, 1]), max=array([3, 5]))
    """
    if is_lean(axis, None, keepdims, NO_VALUE, True, executor, progress):
        small = _lean_minmax(a, workers, method)
        if small is not None:
            return MinMax(*small)
    options = check_options(workers, method, executor, progress)
    both = reduce(MINMAX, a, axis, native, None, keepdims, NO_VALUE, True, options, values=2)
    return both_ends(both)


def both_ends(both: Any) -> MinMax:
    """Take pairs of ends apart."""
    return MinMax(both[..., 0][()], both[..., 1][()])


@documented
def parallel_nanmin(
    a: ArrayLike,
    axis: Axis = None,
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
    """Minimum of the elements that are not NaN, as :func:`numpy.nanmin`.

    NaN elements, and NaT, are left out; where nothing is left the result is NaN (NaT), with a
    RuntimeWarning.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {axis}
    {out}
    {keepdims}
    {initial}
    {where}
    {running}

    Returns
    -------
    ndarray or scalar
        The minimum along `axis`, of the dtype of `a`; `out` if given.

    Raises
    ------
    {raises}
        So it is if there are no elements and no `initial`, or a `where` without `initial`.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_nanmin
    >>> parallel_nanmin(np.array([3.0, np.nan, 2.0]))
    np.float64(2.0)
    """
    if is_lean(axis, out, keepdims, initial, where, executor, progress):
        small = _lean_nanmin(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    a = located(a)
    return reduce(_nan(NANMIN, MIN, a), a, axis, native, out, keepdims, initial, where, options)


@documented
def parallel_nanmax(
    a: ArrayLike,
    axis: Axis = None,
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
    """Maximum of the elements that are not NaN, as :func:`numpy.nanmax`.

    NaN elements, and NaT, are left out; where nothing is left the result is NaN (NaT), with a
    RuntimeWarning.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {axis}
    {out}
    {keepdims}
    {initial}
    {where}
    {running}

    Returns
    -------
    ndarray or scalar
        The maximum along `axis`, of the dtype of `a`; `out` if given.

    Raises
    ------
    {raises}
        So it is if there are no elements and no `initial`, or a `where` without `initial`.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_nanmax
    >>> parallel_nanmax(np.array([3.0, np.nan, 2.0]))
    np.float64(3.0)
    """
    if is_lean(axis, out, keepdims, initial, where, executor, progress):
        small = _lean_nanmax(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    a = located(a)
    return reduce(_nan(NANMAX, MAX, a), a, axis, native, out, keepdims, initial, where, options)


def _nan(with_nan: Operation, without: Operation, a: Any, none: str = "biu") -> Operation:
    """Return the operation for a dtype that has NaN, or that for kinds that have none."""
    return without if as_array(a)[0].dtype.kind in none else with_nan


@documented
def parallel_argmin(
    a: ArrayLike,
    axis: int | None = None,
    out: NDArray[np.intp] | None = None,
    *,
    keepdims: bool = False,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Index of the first minimum, as :func:`numpy.argmin`.

    Of equal elements the first in C order counts, whatever the memory layout; the first NaN or NaT
    is less than all numbers.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {one_axis}
    {out}
    {keepdims}
    {running}

    Returns
    -------
    ndarray of intp or intp
        Indices into the array along `axis`; `out` if given.

    Raises
    ------
    {raises}
        So it is if there are no elements.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_argmin
    >>> parallel_argmin(np.array([[3, 1], [1, 5]]))
    np.int64(1)
    """
    if is_lean(axis, out, keepdims, NO_VALUE, True, executor, progress):
        small = _lean_argmin(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    axis = None if axis is None else check_axis(axis)
    return reduce(ARGMIN, a, axis, index_dtype, out, keepdims, NO_VALUE, True, options)


@documented
def parallel_argmax(
    a: ArrayLike,
    axis: int | None = None,
    out: NDArray[np.intp] | None = None,
    *,
    keepdims: bool = False,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Index of the first maximum, as :func:`numpy.argmax`.

    Of equal elements the first in C order counts, whatever the memory layout; the first NaN or NaT
    is greater than all numbers.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {one_axis}
    {out}
    {keepdims}
    {running}

    Returns
    -------
    ndarray of intp or intp
        Indices into the array along `axis`; `out` if given.

    Raises
    ------
    {raises}
        So it is if there are no elements.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_argmax
    >>> parallel_argmax(np.array([[3, 1], [2, 5]]), axis=1)
    array([0, 1])
    """
    if is_lean(axis, out, keepdims, NO_VALUE, True, executor, progress):
        small = _lean_argmax(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    axis = None if axis is None else check_axis(axis)
    return reduce(ARGMAX, a, axis, index_dtype, out, keepdims, NO_VALUE, True, options)


@documented
def parallel_nanargmin(
    a: ArrayLike,
    axis: int | None = None,
    out: NDArray[np.intp] | None = None,
    *,
    keepdims: bool = False,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Index of the first minimum of the elements that are not NaN, as :func:`numpy.nanargmin`.

    As there, NaT is not left out.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {one_axis}
    {out}
    {keepdims}
    {running}

    Returns
    -------
    ndarray of intp or intp
        Indices into the array along `axis`; `out` if given.

    Raises
    ------
    {raises}
        So it is if there are no elements, or nothing but NaN in a slice.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_nanargmin
    >>> parallel_nanargmin(np.array([np.nan, 3.0, 2.0]))
    np.int64(2)
    """
    if is_lean(axis, out, keepdims, NO_VALUE, True, executor, progress):
        small = _lean_nanargmin(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    axis = None if axis is None else check_axis(axis)
    a = located(a)
    operation = _nan(NANARGMIN, ARGMIN, a, "biumM")
    return reduce(operation, a, axis, index_dtype, out, keepdims, NO_VALUE, True, options)


@documented
def parallel_nanargmax(
    a: ArrayLike,
    axis: int | None = None,
    out: NDArray[np.intp] | None = None,
    *,
    keepdims: bool = False,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Any:
    """Index of the first maximum of the elements that are not NaN, as :func:`numpy.nanargmax`.

    As there, NaT is not left out.

    Parameters
    ----------
    a : array_like
        Bool, integers, floats, complex numbers, datetime64 or timedelta64.
    {one_axis}
    {out}
    {keepdims}
    {running}

    Returns
    -------
    ndarray of intp or intp
        Indices into the array along `axis`; `out` if given.

    Raises
    ------
    {raises}
        So it is if there are no elements, or nothing but NaN in a slice.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_nanargmax
    >>> parallel_nanargmax(np.array([np.nan, 3.0, 2.0]))
    np.int64(1)
    """
    if is_lean(axis, out, keepdims, NO_VALUE, True, executor, progress):
        small = _lean_nanargmax(a, workers, method)
        if small is not None:
            return small
    options = check_options(workers, method, executor, progress)
    axis = None if axis is None else check_axis(axis)
    a = located(a)
    operation = _nan(NANARGMAX, ARGMAX, a, "biumM")
    return reduce(operation, a, axis, index_dtype, out, keepdims, NO_VALUE, True, options)
