"""Checks of the arguments that all functions share: each gives the argument in its usual form."""

from __future__ import annotations

import operator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.exceptions import AxisError
from numpy.lib.array_utils import normalize_axis_tuple

from parsum import engine
from parsum.fused import Fused
from parsum.reduction import METHODS
from parsum.sources import Source, source_of
from parsum.sources.base import parted
from parsum.under_dask import is_lazy

Array: TypeAlias = np.ndarray[Any, Any]
DType: TypeAlias = np.dtype[Any]
Axis: TypeAlias = int | tuple[int, ...] | None
Method: TypeAlias = Literal["exact", "fast"]
Progress: TypeAlias = bool | engine.Progress | None

#: What stands for an argument that is not given, where None is a value.
NO_VALUE: Any = np._NoValue

_BOOL = np.dtype(np.bool_)

#: Kinds of dtype in words.
KINDS = {
    "biufc": "bool, integers, floats and complex numbers",
    "biuf": "bool, integers and floats",
    "biufcm": "bool, integers, floats, complex numbers and timedelta64",
    "biufmM": "bool, integers, floats, datetime64 and timedelta64",
    "biufcmM": "bool, integers, floats, complex numbers, datetime64 and timedelta64",
}


class Options(NamedTuple):
    """How a call is to run."""

    workers: int | None
    method: str
    executor: ThreadPoolExecutor | None
    progress: Progress


#: As the worker of another job runs what it has to.
ALONE = Options(1, "exact", None, None)


def check_options(workers: Any, method: Any, executor: Any, progress: Any) -> Options:
    """Refuse what is not a way to run a call."""
    engine.check_workers(workers)
    engine.check_executor(executor)
    engine.check_progress(progress)
    if not isinstance(method, str):
        raise TypeError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    return Options(workers, method, executor, progress)


def as_array(a: Any) -> tuple[Array, Array | None]:
    """Return any array_like as a plain ndarray, and its mask if it is a masked array.

    Fused expressions, sources and Dask's arrays stay what they are, with what all arrays have: see
    ``check_in_memory``. An iterator is begun: see ``located``.
    """
    if isinstance(a, Fused):
        return cast(Array, a), a.mask
    if is_lazy(a):
        return cast(Array, a), None
    if isinstance(a, np.ma.MaskedArray):
        return parted(a)
    a = located(a)
    if isinstance(a, Source):
        return cast(Array, a), None
    if not isinstance(a, np.ndarray) and hasattr(a, "__dlpack__") and not hasattr(a, "__array__"):
        return np.from_dlpack(a), None
    return np.asarray(a), None


def located(a: Any) -> Any:
    """Return the source that a path, an object of another library or an iterator stands for.

    Anything else is returned as it is. Whoever looks at an argument twice calls this first, as a
    file would be opened twice, and an iterator's first array be gone.
    """
    if isinstance(a, (np.ndarray, Fused, Source, list, tuple)):
        return a
    found = source_of(a)
    return a if found is None else found


def check_in_memory(array: Array, name: str, lazy: bool = False) -> None:
    """Refuse what has no elements in memory; with ``lazy``, arrays of Dask's are let through."""
    if isinstance(array, (Fused, Source)) or (not lazy and is_lazy(array)):
        raise TypeError(f"{name} must be an array in memory, got {array!r}")


def check_dtype(dtype: DType, name: str, kinds: str) -> None:
    """Refuse a dtype whose kind is none of those."""
    if dtype.kind not in kinds or dtype.names is not None:
        raise TypeError(f"{name} must be of {KINDS[kinds]}, got dtype {dtype}")


def check_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes to reduce, sorted; None stands for all."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, tuple):
        given = tuple(check_axis(k) for k in axis)
    else:
        given = (check_axis(axis),)
        if ndim == 0 and given[0] in (0, -1):
            return ()  # as NumPy has it
    try:
        return tuple(sorted(normalize_axis_tuple(given, ndim, "axis")))
    except AxisError:
        bad = next(k for k in given if not -ndim <= k < ndim)
        raise AxisError(bad, ndim, "axis") from None
    except ValueError:
        raise ValueError(
            f"duplicate value in 'axis': each axis may stand once, got {axis}"
        ) from None


def check_axis(axis: Any) -> int:
    """Return one axis as an integer."""
    if isinstance(axis, (bool, np.bool_)):
        raise TypeError(f"axis must be None, an integer or a tuple of integers, got {axis!r}")
    try:
        return operator.index(axis)
    except TypeError:
        raise TypeError(
            f"axis must be None, an integer or a tuple of integers, got {axis!r}"
        ) from None


def check_where(where: Any, array: Array) -> Array | None:
    """Return the elements of an array to include, in its shape; None for all."""
    if where is True or where is NO_VALUE:
        return None
    if isinstance(array, Source):
        raise TypeError(f"where must be left out for {array!r}")
    if is_lazy(where):
        raise TypeError(f"where must be an array in memory here, got {where!r}")
    shape = array.shape
    if isinstance(where, (np.ndarray, np.generic)):
        mask = np.asarray(where)
        if mask.dtype != _BOOL:
            raise TypeError(f"where must be of dtype bool, got {mask.dtype}")
    else:
        mask = np.asarray(where, dtype=bool)
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(
            f"where must broadcast to the shape of a, {shape}, got shape {mask.shape}"
        ) from None


def is_masked(a: Any) -> bool:
    """Tell whether results are to be masked where nothing was taken in."""
    return isinstance(a, np.ma.MaskedArray) or (type(a) is Fused and a.masked)


def without(mask: Array | None, included: Array | None) -> Array | None:
    """Return which elements are included and not masked; None for all."""
    if mask is None:
        return included
    return ~mask if included is None else included & ~mask


def converted(chunk: Array, dtype: DType) -> Array:
    """Return a chunk as elements that are taken in as those of a dtype are."""
    given = chunk.dtype.newbyteorder("=")
    if given == dtype.newbyteorder("="):
        return chunk
    if not np.can_cast(given, dtype, "safe"):
        raise TypeError(f"chunks must be of a dtype that {dtype} can hold, got {chunk.dtype}")
    if isinstance(chunk, Fused):
        raise TypeError(f"chunks must be of dtype {dtype}, got {chunk!r}")
    return chunk.astype(dtype)


def kept_shapes(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape of results without the reduced axes, and with these of length 1."""
    kept = tuple(n for k, n in enumerate(shape) if k not in axes)
    return kept, tuple(1 if k in axes else n for k, n in enumerate(shape))


def check_keepdims(keepdims: Any) -> bool:
    """Return the switch as a bool."""
    if keepdims is NO_VALUE:
        return False
    return bool(operator.index(keepdims))


def check_out(name: str, out: Any, shape: tuple[int, ...], keepdims: bool) -> None:
    """Refuse an `out` that results of that shape cannot be put into."""
    if out.ndim != len(shape):
        more = " (must match the operand's when keepdims=True)" if keepdims else ""
        raise ValueError(
            f"out must have {len(shape)} dimensions for this {name}, got {out.ndim}{more}"
        )
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")


def check_out_type(out: Any) -> None:
    """Refuse an `out` that is no array."""
    if out is not None and not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, got {type(out).__name__}")


def wanted_dtype(dtype: Any, kinds: str) -> DType:
    """Return a `dtype` argument as a dtype."""
    try:
        wanted: DType = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype must be a data type, got {dtype!r}: {error}") from None
    check_dtype(wanted, "dtype", kinds)
    return wanted
