"""The public functions: NumPy's signatures over the monoid's reductions."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.exceptions import AxisError, ComplexWarning
from numpy.lib.array_utils import normalize_axis_tuple

from parsum import engine
from parsum.plan import Array, Plan
from parsum.reduction import (
    INVALID,
    METHODS,
    OVERFLOW,
    Reduction,
    View,
    find,
    lean_rows,
    reduce_float64,
    reduce_lean,
    reduce_small,
    type_of,
)

_NO_VALUE: Any = np._NoValue
_INT64 = np.dtype(np.int64)
_UINT64 = np.dtype(np.uint64)
_BOOL = np.dtype(np.bool_)
_FLOAT64 = np.dtype(np.float64)
_LONGDOUBLE = np.dtype(np.longdouble)

#: Arrays up to this many bytes take one C call, if they are contiguous and nothing is asked for: a
#: second worker would not pay, and the call is too short to interrupt.
SMALL_BYTES = 2 * engine.BYTES_PER_WORKER - 1
_ndarray = np.ndarray
_float64 = np.float64
_empty = np.empty
_LEAN_SUMS = lean_rows("sum")

SUPPORTED = "bool, integers, floats, complex numbers and timedelta64"


def parallel_sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = _NO_VALUE,
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
        unmasked elements.
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
        type(a) is _ndarray
        and axis is None
        and dtype is None
        and out is None
        and keepdims is False
        and initial is _NO_VALUE
        and where is True
        and type(method) is str
        and (progress is None or progress is False)
        and executor is None
        and (workers is None or (type(workers) is int and (workers > 0 or workers == -1)))
        and a.nbytes <= SMALL_BYTES
    ):
        if a.dtype is _FLOAT64 and method == "exact":
            try:
                value = reduce_float64(a)
            except (ValueError, BufferError):
                value = np.nan  # not contiguous
            if value - value == 0:  # else there may be something to report
                return _float64(value)
        else:
            row = _LEAN_SUMS.get((a.dtype, method))
            if row is not None:
                small = _empty((), row[3] or a.dtype)
                if reduce_lean(row[0], row[1], row[2], a, small) == 0:
                    return small[()]
    return _reduce(
        "sum", a, axis, dtype, out, keepdims, initial, where, workers, method, executor, progress
    )


def _reduce(
    operation: str,
    a: Any,
    axis: Any,
    dtype: Any,
    out: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
    workers: Any,
    method: Any,
    executor: Any,
    progress: Any,
) -> Any:
    engine.check_workers(workers)
    engine.check_executor(executor)
    engine.check_progress(progress)
    if not isinstance(method, str):
        raise TypeError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    array, mask = _as_array(a)
    _check_dtype(array.dtype, "a")
    if out is not None and not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, got {type(out).__name__}")
    result_dtype = _result_dtype(operation, array.dtype, dtype, out)
    axes = _axes(axis, array.ndim)
    keepdims = bool(operator.index(keepdims))
    where = _where(where, array.shape)
    kept_shape = tuple(n for k, n in enumerate(array.shape) if k not in axes)
    full_shape = tuple(1 if k in axes else n for k, n in enumerate(array.shape))
    shape = full_shape if keepdims else kept_shape
    if out is not None:
        _check_out(operation, out, shape, keepdims)
    if initial is None and any(array.shape[k] == 0 for k in axes) and 0 not in kept_shape:
        raise ValueError(
            f"zero-size array to reduction operation {operation} which has no identity: "
            "initial must be a number, got None"
        )
    start = None
    if initial is not _NO_VALUE and initial is not None:
        start = np.empty((), result_dtype)
        start[()] = initial

    # The kernels write into `out` unless it is of another type or shares memory with what they
    # read.
    direct = out is not None and out.dtype == result_dtype
    for other in (array, where, mask):
        if direct and other is not None and np.may_share_memory(out, other):
            direct = False
    result: Array = out if direct and out is not None else np.empty(shape, result_dtype)
    flags = 0
    if result.size:
        kept = result.reshape(kept_shape) if not keepdims else _drop_axes(result, axes)
        flags = _run_parts(
            operation, method, array, axes, kept, where, mask, start, workers, executor, progress
        )
    if flags:
        _report(operation, flags, result_dtype)
    if out is not None:
        if not direct:
            np.copyto(out, result, casting="unsafe")
        result = out
    if isinstance(a, np.ma.MaskedArray):
        return _masked_result(a, mask, axes, keepdims, result, out)
    return result if out is not None else result[()]


def _drop_axes(array: Array, axes: tuple[int, ...]) -> Array:
    """Return a view without axes of length 1 (reshape may copy; this never does)."""
    return array[(*(0 if k in axes else slice(None) for k in range(array.ndim)), ...)]


def _run_parts(
    operation: str,
    method: str,
    array: Array,
    axes: tuple[int, ...],
    result: Array,
    where: Array | None,
    mask: Array | None,
    start: Array | None,
    workers: int | None,
    executor: ThreadPoolExecutor | None,
    progress: Any,
) -> int:
    """Reduce to ``result``, real parts and imaginary ones at once where they are alike."""
    arguments = (where, mask, workers, executor, progress)
    is_complex = array.dtype.kind == "c"
    if result.dtype.kind == "c":
        if is_complex and start is None:
            return _run(operation, method, array, axes, result, *arguments)
        starts = (None, None) if start is None else (start.real, start.imag)
        flags = 0
        if is_complex:
            parts: list[tuple[Array, Array, Array | None]] = [
                (array.real, result.real, starts[0]),
                (array.imag, result.imag, starts[1]),
            ]
        else:
            parts = [(array, result.real, starts[0])]
            result.imag = 0 if starts[1] is None else starts[1]
        for part, part_result, part_start in parts:
            flags |= _run(operation, method, part, axes, part_result, *arguments, start=part_start)
        return flags
    if is_complex and result.dtype.kind != "b":
        warnings.warn(
            "Casting complex values to real discards the imaginary part",
            ComplexWarning,
            stacklevel=4,
        )
        array = array.real
    return _run(operation, method, array, axes, result, *arguments, start=start)


def _run(
    operation: str,
    method: str,
    array: Array,
    axes: tuple[int, ...],
    result: Array,
    where: Array | None,
    mask: Array | None,
    workers: int | None,
    executor: ThreadPoolExecutor | None,
    progress: Any,
    start: Array | None = None,
) -> int:
    parts = None
    dtype, result_dtype = array.dtype, result.dtype
    if dtype.kind == "c":
        # A complex number is two real ones side by side.
        dtype = np.empty(0, dtype).real.dtype
        result_dtype = np.empty(0, result_dtype).real.dtype
        parts = (dtype.itemsize, result_dtype.itemsize if result.dtype.kind == "c" else 0)
    element, kernel_type = type_of(dtype), type_of(_kernel_dtype(dtype, result_dtype))
    reduction = find(operation, method, kernel_type, type_of(result_dtype))
    if reduction is None:
        raise TypeError(f"dtype must be one that {array.dtype} sums up to, got {result.dtype}")
    plain = where is None and mask is None and start is None and parts is None
    if (
        plain
        and result.ndim == 0
        and array.nbytes <= SMALL_BYTES
        and element == kernel_type
        and dtype.isnative
        and result_dtype.isnative
        and array.flags.c_contiguous
        and array.flags.aligned
        and (progress is None or progress is False)
    ):
        return reduce_small(reduction, array, result)
    plan = Plan(array, axes, result, where, mask, parts)
    view = View(
        data=plan.addresses[0],
        where=plan.addresses[1],
        mask=plan.addresses[2],
        result=plan.addresses[3],
        kept=len(plan.kept),
        reduced=len(plan.reduced),
        dims=plan.rows(),
        element=element,
        type=type_of(result_dtype),
        swap_element=not dtype.isnative,
        swap_result=not result_dtype.isnative,
    )
    if start is not None:
        view.initial = _initial_state(operation, method, kernel_type, start)
    keep = (array, result, where, mask)
    return engine.run(reduction, view, array.nbytes, keep, workers, executor, progress)


def _kernel_dtype(dtype: np.dtype[Any], result: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that elements are converted to before they are taken in."""
    if result.kind == "b" and dtype.kind != "b":
        return _BOOL
    if dtype.kind == "f" and result.kind in "iu":
        return _UINT64 if result.kind == "u" else _INT64
    return dtype


def _initial_state(operation: str, method: str, kernel_type: int, start: Array) -> Any:
    """Return the state of one number, of the kind that the kernel's elements make."""
    number = start.astype(start.dtype.newbyteorder("=")).reshape(1)
    if kernel_type == type_of(_LONGDOUBLE):
        parts: Array = number.astype(_LONGDOUBLE)
    elif number.dtype.kind == "f":
        # A longdouble is two doubles; anything smaller is one.
        with np.errstate(all="ignore"):
            high = number.astype(_FLOAT64)
            low = (number - high).astype(_FLOAT64)
        exact = not np.isfinite(high[0]) or low[0] == 0
        parts = high if exact else np.concatenate([high, low])
    else:
        parts = number
    reduction = find(operation, method, type_of(parts.dtype), type_of(start.dtype))
    assert reduction is not None
    state = reduction.identity()
    reduction.accumulate(state, parts)
    return state


def _as_array(a: Any) -> tuple[Array, Array | None]:
    """Return any array_like as a plain ndarray, and its mask if it is a masked array."""
    if isinstance(a, np.ma.MaskedArray):
        mask = np.ma.getmask(a)
        return np.asarray(a.data), None if mask is np.ma.nomask else np.asarray(mask)
    if not isinstance(a, np.ndarray) and hasattr(a, "__dlpack__") and not hasattr(a, "__array__"):
        return np.from_dlpack(a), None
    return np.asarray(a), None


def _check_dtype(dtype: np.dtype[Any], name: str) -> None:
    if dtype.kind not in "biufcm" or dtype.names is not None:
        raise TypeError(f"{name} must be of {SUPPORTED}, got dtype {dtype}")


def _result_dtype(
    operation: str, dtype: np.dtype[Any], wanted: Any, out: Array | None
) -> np.dtype[Any]:
    """Return NumPy's result dtype: its own rules find it, on an empty array."""
    native: np.dtype[Any] = dtype.newbyteorder("=")
    if wanted is None and out is None:
        if dtype.kind in "bi" and dtype.itemsize < _INT64.itemsize:
            return _INT64
        if dtype.kind == "u" and dtype.itemsize < _UINT64.itemsize:
            return _UINT64
        return native
    if wanted is None:
        assert out is not None
        if dtype.kind == "m":
            return native
        _check_dtype(out.dtype, "out")
        if out.dtype.kind == "m":
            raise TypeError(f"out must be of a type that {dtype} can be cast to, got {out.dtype}")
        wanted_by_out: np.dtype[Any] = out.dtype
        return wanted_by_out
    try:
        wanted_dtype = np.dtype(wanted)
    except TypeError as error:
        raise TypeError(f"dtype must be a data type, got {wanted!r}: {error}") from None
    _check_dtype(wanted_dtype, "dtype")
    probe: Any = np.add.reduce(np.empty(0, native), dtype=wanted)
    result: np.dtype[Any] = probe.dtype
    return result


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, tuple):
        given = tuple(_axis(k) for k in axis)
    else:
        given = (_axis(axis),)
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


def _axis(axis: Any) -> int:
    if isinstance(axis, (bool, np.bool_)):
        raise TypeError(f"axis must be None, an integer or a tuple of integers, got {axis!r}")
    try:
        return operator.index(axis)
    except TypeError:
        raise TypeError(
            f"axis must be None, an integer or a tuple of integers, got {axis!r}"
        ) from None


def _where(where: Any, shape: tuple[int, ...]) -> Array | None:
    if where is True:
        return None
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


def _check_out(operation: str, out: Array, shape: tuple[int, ...], keepdims: bool) -> None:
    if out.ndim != len(shape):
        more = " (must match the operand's when keepdims=True)" if keepdims else ""
        raise ValueError(
            f"out must have {len(shape)} dimensions for this {operation}, got {out.ndim}{more}"
        )
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")


_ERRORS = {
    OVERFLOW: ("over", "overflow", 2),
    INVALID: ("invalid", "invalid value", 8),
}


def _report(operation: str, flags: int, dtype: np.dtype[Any]) -> None:
    """Do what np.errstate asks for, in the caller's thread, as NumPy does."""
    settings = np.geterr()
    for flag, (kind, text, number) in _ERRORS.items():
        if not flags & flag:
            continue
        action = settings[kind]  # type: ignore[literal-required]
        message = f"{text} encountered in parallel_{operation}"
        if dtype.kind in "iu":
            message += f": the result does not fit {dtype} and wrapped around"
        if action == "warn":
            warnings.warn(message, RuntimeWarning, stacklevel=4)
        elif action == "raise":
            raise FloatingPointError(message)
        elif action == "print":
            print(f"Warning: {message}")
        elif action == "call":
            handler: Any = np.geterrcall()
            if handler is not None:
                handler(text, number)
        elif action == "log":
            log: Any = np.geterrcall()
            if log is not None:
                log.write(f"Warning: {message}\n")


def _masked_result(
    a: np.ma.MaskedArray[Any, Any],
    mask: Array | None,
    axes: tuple[int, ...],
    keepdims: bool,
    result: Array,
    out: Array | None,
) -> Any:
    """Mask the results that had no unmasked element to take in, as numpy.ma does."""
    nothing: Any = np.ma.nomask
    if mask is not None:
        nothing = np.all(mask, axis=axes, keepdims=keepdims)
    if out is not None:
        if isinstance(out, np.ma.MaskedArray):
            out[...] = np.ma.array(result, mask=nothing)
        return out
    if result.ndim == 0:
        return np.ma.masked if mask is not None and nothing else result[()]
    return np.ma.array(result, mask=nothing, fill_value=a.fill_value)


__all__ = ["Reduction", "parallel_sum"]
