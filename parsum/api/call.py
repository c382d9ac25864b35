"""One call: from checked arguments to a job for the engine, from its flags to NumPy's warnings."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, field, fields
from types import FrameType
from typing import Any

import numpy as np
from numpy.exceptions import ComplexWarning

from parsum import engine
from parsum.api.arguments import (
    NO_VALUE,
    Array,
    DType,
    Options,
    as_array,
    check_axes,
    check_dtype,
    check_keepdims,
    check_out,
    check_out_type,
    check_where,
    is_masked,
    kept_shapes,
)
from parsum.api.passes import reduce_pass
from parsum.api.streaming import Reduced
from parsum.api.views import SMALL_BYTES, view_of
from parsum.fused import Fused
from parsum.reduction import (
    COPY_BYTES,
    DIVIDE,
    EMPTY,
    INVALID,
    OVERFLOW,
    TYPES,
    Row,
    buffer_of,
    find,
    reduce_axis,
    reduce_small,
    reduce_two,
    type_of,
)
from parsum.sources import Source
from parsum.under_dask import is_lazy

_INT64 = np.dtype(np.int64)
_UINT64 = np.dtype(np.uint64)
_BOOL = np.dtype(np.bool_)
_FLOAT64 = np.dtype(np.float64)
_LONGDOUBLE = np.dtype(np.longdouble)

#: A reduction of the middle axis of (outer, n, inner): the reduction, its type of result, and how
#: many elements of the kernel's there are to one of the array's, side by side.
_AxisRow = tuple[Row, int, int]


@dataclass(frozen=True, slots=True)
class Operation:
    """What is particular to an operation, besides its rows in the C library's table.

    Attributes
    ----------
    name : str
        Of the public function, without "parallel_".
    public : str
        What warnings call it, if that is another name.
    row : str
        Of the rows in the table.
    kinds : str
        The dtype kinds that it takes (a key of ``arguments.KINDS``).
    by_parts : bool
        Whether a complex number is two real ones, each with a result of its own.
    converts : bool
        Whether a bool or integer `dtype` is that of the elements too, not of the result alone.
    numbered : bool
        Whether the result depends on the places of elements.
    identity : bool
        Whether it has a result of no elements; if not, NumPy's ufunc is named `ufunc`.
    nan : bool
        Whether NaN elements are left out.
    casting : str
        How results are cast to an `out` of another dtype; "back" if that must be safe the other
        way round, as for NumPy's indices.
    empty : str
        What is said of results that had no elements to take in, by an error if `empty_error`,
        else a warning.
    """

    name: str
    row: str
    kinds: str
    by_parts: bool = False
    converts: bool = False
    numbered: bool = False
    identity: bool = True
    ufunc: str = ""
    nan: bool = False
    casting: Any = "same_kind"
    empty: str = ""
    empty_error: bool = False
    public: str = ""
    #: What was found for small arrays: see _AxisRow.
    axis_rows: dict[Any, _AxisRow | None] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> Any:
        # Rows are addresses, which mean nothing in another process.
        given = [getattr(self, one.name) for one in fields(self) if one.name != "axis_rows"]
        return Operation, tuple(given)


def part_of(dtype: DType) -> DType:
    """Return the real dtype of a complex one's parts; any other as it is."""
    return np.empty(0, dtype).real.dtype if dtype.kind == "c" else dtype


def native(dtype: DType) -> DType:
    """Return the dtype in the machine's byte order."""
    return dtype.newbyteorder("=")


def reduce(
    operation: Operation,
    a: Any,
    axis: Any,
    result_dtype: Any,
    out: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
    options: Options,
    *,
    skip_nan: bool = False,
    parameter: float = 0.0,
    values: int = 1,
    presets: tuple[Any, ...] | None = None,
) -> Any:
    """Reduce an array and return what the public function is to return.

    ``result_dtype`` is a function of the array's dtype. With ``values`` above 1, results have so
    many values along a last axis. ``presets`` are what the operation is to find where each of its
    values goes; they broadcast to the shape with ``keepdims``, and the first value is the result.
    Public functions call this themselves, so that warnings point at their callers.
    """
    array, mask = (a, None) if type(a) is np.ndarray else as_array(a)
    if (
        out is None
        and initial is NO_VALUE
        and where is True
        and presets is None
        and (type(axis) is int or axis is None)
        and (keepdims is False or keepdims is True)
        and mask is None
        and type(array) is np.ndarray
        and not is_masked(a)
    ):
        given = _reduce_at_once(
            operation, array, axis, result_dtype, keepdims, options, skip_nan, parameter, values
        )
        if given is not None:
            result, flags = given
            if flags:
                tell(operation, flags, result.dtype, False)
            return result if result.ndim else result[()]
    if is_lazy(array, where, *(presets or ())):
        from parsum.api.lazy import reduce_lazy

        return reduce_lazy(
            operation, a, axis, result_dtype, out, keepdims, initial, where, options,
            skip_nan=skip_nan, parameter=parameter, values=values, presets=presets,
        )  # fmt: skip
    check_dtype(array.dtype, "a", operation.kinds)
    check_out_type(out)
    dtype: DType = result_dtype(array.dtype)
    axes = check_axes(axis, array.ndim)
    keepdims = check_keepdims(keepdims)
    included = check_where(where, array)
    kept_shape, full_shape = kept_shapes(array.shape, axes)
    shape = full_shape if keepdims else kept_shape
    if out is not None:
        check_out(operation.name, out, shape, keepdims)
    start = start_of(operation, initial, included is not None, array.shape, axes, dtype)

    # The kernels write into `out` unless it is of another type or shares memory with what they
    # read.
    direct = out is not None and out.dtype == dtype and values == 1 and presets is None
    direct = direct and not isinstance(array, Source)
    for other in (*(array.arrays if isinstance(array, Fused) else (array,)), included, mask):
        if direct and other is not None and np.may_share_memory(out, other):
            direct = False
    if out is not None and not direct:
        if operation.casting == "back":
            if not np.can_cast(out.dtype, dtype, "safe"):
                raise TypeError(
                    f"out must be of a dtype that can be cast to {dtype} (safe), got {out.dtype}"
                )
        elif not np.can_cast(dtype, out.dtype, operation.casting):
            raise TypeError(
                f"out must be of a dtype that {dtype} can be cast to ({operation.casting}), "
                f"got {out.dtype}"
            )
    if presets is not None:
        values = len(presets)
    extra = (values,) if values > 1 else ()
    result = out if direct else np.empty(shape + extra, dtype)
    for k, preset in enumerate(presets or ()):
        try:
            wide = np.broadcast_to(preset, full_shape)
        except ValueError:
            raise ValueError(
                f"mean must broadcast to the shape {full_shape}, got shape {np.shape(preset)}"
            ) from None
        result[..., k] = wide.reshape(shape)
    flags = 0
    if result.size:
        kept = result.reshape(kept_shape + extra) if not keepdims else drop_axes(result, axes)
        run = _Run(operation, axes, included, mask, options, skip_nan, parameter)
        flags = run.parts(array, kept, start)
    if flags & EMPTY and not operation.identity and not operation.empty and mask is None:
        raise zero_size(operation)  # a source that leaves out all
    if flags:
        tell(operation, flags, dtype, mask is not None)
    if presets is not None:
        result = result[..., 0]
        values = 1
    if out is not None:
        if not direct:
            np.copyto(out, result, casting="unsafe")
        result = out
    if is_masked(a):
        return masked_result(a, mask, axes, keepdims, result, out)
    return result if out is not None else result[()]


def start_of(
    operation: Operation,
    initial: Any,
    filtered: bool,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    dtype: DType,
) -> Array | None:
    """Return the number that results start from; ValueError if there are none without."""
    if is_lazy(initial):
        raise TypeError(f"initial must be a number in memory, got {initial!r}")
    if not operation.identity and initial is NO_VALUE:
        initial = None
        if filtered:
            raise ValueError(
                f"reduction operation '{operation.ufunc}' does not have an identity, so to use a "
                "where mask one has to specify 'initial'"
            )
    if initial is None and any(shape[k] == 0 for k in axes):
        raise zero_size(operation)
    start = None
    if initial is not NO_VALUE and initial is not None:
        start = np.empty((), dtype)
        start[()] = initial
    return start


def zero_size(operation: Operation) -> ValueError:
    """Return what is to be raised of no elements by what has no result of them."""
    return ValueError(
        f"zero-size array to reduction operation {operation.ufunc} which has no identity"
    )


def _reduce_at_once(
    operation: Operation,
    a: Array,
    axis: int | None,
    result_dtype: Any,
    keepdims: bool,
    options: Options,
    skip_nan: bool,
    parameter: float,
    values: int,
) -> tuple[Array, int] | None:
    """Reduce a small array along one axis or all by one C call; return the result and flags.

    None means that the arguments are to be looked at more closely.
    """
    dtype, shape, nbytes = a.dtype, a.shape, a.nbytes
    if (
        not 0 < nbytes <= SMALL_BYTES
        or dtype.kind not in operation.kinds
        or options.progress
        or options.executor is not None
    ):
        return None
    to: DType = result_dtype(dtype)
    key = (options.method, dtype, to, skip_nan)
    try:
        row = operation.axis_rows[key]
    except KeyError:
        row = operation.axis_rows[key] = _axis_row(operation, options.method, dtype, to, skip_nan)
    if row is None:
        return None
    reduction, type_, inner = row
    outer, n = 1, a.size
    kept: tuple[int, ...] = (1,) * len(shape) if keepdims else ()
    if axis is not None:
        if not -len(shape) <= axis < len(shape):
            return None
        axis %= len(shape)
        n = shape[axis]
        before, after = shape[:axis], shape[axis + 1 :]
        for length in before:
            outer *= length
        inner *= a.size // (outer * n)
        kept = (*before, 1, *after) if keepdims else before + after
    data: Any
    if nbytes <= COPY_BYTES and (not reduction.ordered or a.flags.c_contiguous):
        data = a.tobytes()
    elif a.flags.c_contiguous:
        data = buffer_of(a.view(_INT64) if dtype.kind in "mM" else a)
    else:
        return None
    result: Array = np.empty((*kept, values) if values > 1 else kept, to)
    pointer = buffer_of(result.view(_INT64) if to.kind in "mM" else result)
    flags = reduce_axis(
        reduction.pointer, parameter, skip_nan, data, outer, n, inner, type_, pointer
    )
    return (result, flags) if flags >= 0 else None


def _axis_row(
    operation: Operation, method: str, dtype: DType, to: DType, skip_nan: bool
) -> _AxisRow | None:
    """Return the row for elements that need no conversion, nor more than one job; else None."""
    if dtype.names is not None or not (dtype.isnative and to.isnative):
        return None
    width = 1
    if operation.by_parts:
        if (dtype.kind == "c") != (to.kind == "c") or (dtype.kind == "c" and skip_nan):
            return None
        if dtype.kind == "c":
            width, dtype, to = 2, part_of(dtype), part_of(to)
    elif operation.converts and dtype.kind == "c" and to.kind != "c":
        return None
    if operation.converts and _kernel_dtype(dtype, to) != dtype:
        return None
    reduction = find(operation.row, method, type_of(dtype), type_of(to))
    return None if reduction is None else (reduction, type_of(to), width)


def tell(operation: Operation, flags: int, dtype: DType, masked: bool) -> None:
    """Raise or warn of what a reduction's flags say, for the caller of the public function."""
    if flags & EMPTY and (masked or operation.nan):
        flags &= ~(INVALID | DIVIDE)  # what is masked, or warned of below
    report(operation.public or f"parallel_{operation.name}", flags, dtype)
    if flags & EMPTY and not masked:
        if operation.empty_error:
            raise ValueError(operation.empty)
        warnings.warn(operation.empty, RuntimeWarning, stacklevel=outside())


def outside() -> int:
    """Return the ``stacklevel`` of the first frame outside of the package, for whoever calls this.

    Public functions call each other, parallel_reduce those of the family: that frame may be at any
    depth.
    """
    level = 1
    frame: FrameType | None = sys._getframe(level)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("parsum."):
        frame = frame.f_back
        level += 1
    return level


def discard_imaginary() -> None:
    """Warn that real parts alone are reduced."""
    warnings.warn(
        "Casting complex values to real discards the imaginary part",
        ComplexWarning,
        stacklevel=outside(),
    )


def drop_axes(array: Array, axes: tuple[int, ...]) -> Array:
    """Return a view without axes of length 1 (reshape may copy; this never does)."""
    return array[(*(0 if k in axes else slice(None) for k in range(array.ndim)), ...)]


class _Run:
    """What the jobs of one call have in common."""

    __slots__ = ("axes", "mask", "operation", "options", "parameter", "skip_nan", "where")

    def __init__(
        self,
        operation: Operation,
        axes: tuple[int, ...],
        where: Array | None,
        mask: Array | None,
        options: Options,
        skip_nan: bool,
        parameter: float,
    ) -> None:
        self.operation = operation
        self.axes = axes
        self.where = where
        self.mask = mask
        self.options = options
        self.skip_nan = skip_nan
        self.parameter = parameter

    def parts(self, array: Array, result: Array, start: Array | None) -> int:
        """Reduce to ``result``, real parts and imaginary ones at once where they are alike."""
        is_complex = array.dtype.kind == "c"
        in_parts = not isinstance(array, (Fused, Source))
        by_parts = self.operation.by_parts
        if not by_parts and not (self.operation.converts and result.dtype.kind != "c"):
            return self.whole(array, result, start)
        if not is_complex and not (by_parts and result.dtype.kind == "c"):
            return self.whole(array, result, start)
        if result.dtype.kind == "c":
            if is_complex and (self.skip_nan or not in_parts):
                # A number is left out if either of its parts is NaN. One that is not in memory has
                # no parts to be read apart.
                return self.whole(array, result, start, unit=True)
            if is_complex and start is None:
                return self.whole(array, result, None)
            starts = (None, None) if start is None else (start.real, start.imag)
            if is_complex:
                flags = self.whole(array.real, result.real, starts[0])
                return flags | self.whole(array.imag, result.imag, starts[1])
            result.imag = 0 if starts[1] is None else starts[1]
            flags = self.whole(array, result.real, starts[0])
            if flags & EMPTY:
                result.imag[np.isnan(result.real)] = np.nan
            return flags
        if result.dtype.kind != "b":
            if not in_parts:
                raise TypeError(f"dtype must be complex for {array!r}, got {result.dtype}")
            discard_imaginary()
            array = array.real
        return self.whole(array, result, start)

    def whole(self, array: Array, result: Array, start: Array | None, unit: bool = False) -> int:
        """Reduce to ``result`` by one job; complex numbers as units even if by parts."""
        operation, options = self.operation, self.options
        parts = None
        dtype, result_dtype = array.dtype, result.dtype
        if operation.by_parts and dtype.kind == "c" and not unit:
            # A complex number is two real ones side by side.
            dtype, result_dtype = part_of(dtype), part_of(result_dtype)
            parts = (dtype.itemsize, result_dtype.itemsize if result.dtype.kind == "c" else 0)
        element, to = type_of(dtype), type_of(result_dtype)
        reduction, kernel_type = row_for(operation, options.method, dtype, result_dtype)
        if reduction is None:
            raise no_row(operation, array.dtype, result.dtype)
        plain = self.where is None and self.mask is None and start is None and parts is None
        if (
            type(array) is np.ndarray
            and plain
            and result.ndim == (reduction.values > 1)
            and array.nbytes <= SMALL_BYTES
            and element == kernel_type
            and not self.skip_nan
            and dtype.isnative
            and result_dtype.isnative
            and array.flags.c_contiguous
            and array.flags.aligned
            and (options.progress is None or options.progress is False)
        ):
            return reduce_small(reduction, self.parameter, array, result)
        initial = None
        if start is not None:
            initial = start_state(operation, reduction, options.method, kernel_type, start)
            if initial is None:
                flags = self.whole(array, result, None, unit)
                multiply_by(result, start)
                return flags
        reduced = Reduced(reduction, to, self.parameter, operation.numbered, self.skip_nan, initial)
        return reduce_pass(
            array, self.axes, result, reduced, options,
            where=self.where, mask=self.mask, element=element, parts=parts,
        )  # fmt: skip


def reduce_pairs(
    row: str,
    a: Array,
    b: Array,
    axes: tuple[int, ...],
    result: Array,
    mask: Array | None,
    kernel_dtype: DType,
    options: Options,
) -> int:
    """Reduce two arrays of one shape to ``result``; return flags.

    Elements are converted to ``kernel_dtype`` block by block on their way to the kernels.
    """
    element, other, to = type_of(a.dtype), type_of(b.dtype), type_of(result.dtype)
    reduction = find(row, options.method, type_of(kernel_dtype), to)
    if reduction is None:
        raise TypeError(
            f"a and b must have a common dtype that {row} takes, got {a.dtype} and {b.dtype}"
        )
    if (
        mask is None
        and len(axes) == a.ndim
        and a.nbytes <= SMALL_BYTES
        and element == other == type_of(kernel_dtype)
        and a.dtype.isnative
        and b.dtype.isnative
        and result.dtype.isnative
        and not options.progress
    ):
        flags = _pair_at_once(reduction, a, b, to, result)
        if flags is not None:
            return flags
    view = view_of(a, axes, result, element, to, mask=mask, other=b)
    view.swap_result = not result.dtype.isnative
    return engine.run(
        reduction,
        view,
        a.nbytes + b.nbytes,
        (a, b, result, mask),
        options.workers,
        options.executor,
        options.progress,
    )


def _pair_at_once(reduction: Row, a: Array, b: Array, to: int, result: Array) -> int | None:
    """Reduce two small arrays of one shape to one result by one C call; None if it cannot be."""
    data: tuple[Any, Any]
    in_order = a.flags.c_contiguous and b.flags.c_contiguous
    if a.nbytes <= COPY_BYTES and (in_order or not reduction.ordered):
        data = a.tobytes(), b.tobytes()
    elif in_order:
        data = buffer_of(a), buffer_of(b)
    else:
        return None
    flags: int = reduce_two(reduction.pointer, 0.0, *data, a.size, to, buffer_of(result))
    return flags if flags >= 0 else None


def row_for(
    operation: Operation, method: str, dtype: DType, result: DType
) -> tuple[Row | None, int]:
    """Return the row for such elements and results, if any, and the type of its elements."""
    element, to = type_of(dtype), type_of(result)
    if not operation.converts:
        return find(operation.row, method, element, to), element
    element = type_of(_kernel_dtype(dtype, result))
    row = find(operation.row, method, element, to)
    if row is None:
        element = type_of(_wide_dtype(dtype, result))
        row = find(operation.row, method, element, to)
    return row, element


def no_row(operation: Operation, dtype: DType, result: DType) -> TypeError:
    """Return what is to be raised where there is no row."""
    return TypeError(
        f"dtype must be one that {dtype} can be reduced to by {operation.name}, got {result}"
    )


def _kernel_dtype(dtype: DType, result: DType) -> DType:
    """Return the type that elements are converted to before they are taken in."""
    if result.kind == "b" and dtype.kind != "b":
        return _BOOL
    if dtype.kind == "f" and result.kind in "iu":
        return _UINT64 if result.kind == "u" else _INT64
    return dtype


def _wide_dtype(dtype: DType, result: DType) -> DType:
    """Return the floating type that numbers of a kind without rows of their own become."""
    if result.kind == "c":
        return np.dtype(np.clongdouble if "g" in (dtype.char, result.char) else np.complex128)
    return _LONGDOUBLE if result == _LONGDOUBLE else _FLOAT64


def _of_kernel(start: Array, kernel_type: int) -> Array | None:
    """Return a number as an element of the kernel's, if it is one."""
    dtype = next(dtype for dtype, number in TYPES.items() if number == kernel_type)
    with np.errstate(all="ignore"):
        number = start.astype(dtype).reshape(1)
        same = number.astype(native(start.dtype))[0] == start[()]
    return number if same else None


def start_state(
    operation: Operation, reduction: Row, method: str, kernel_type: int, start: Array
) -> Any:
    """Return the state of the number that results start from.

    None means that no state of the kernel's holds it: it comes last, by ``multiply_by``.
    """
    if operation.row != "prod":
        return initial_state(operation.row, method, kernel_type, start)
    number = _of_kernel(start, kernel_type)
    if number is None:
        return None
    state = reduction.identity()
    reduction.accumulate(state, number)
    return state


def multiply_by(result: Array, start: Array) -> None:
    """Multiply products by the number that they were to start from."""
    with np.errstate(all="ignore"):
        np.multiply(result, start, out=result, casting="unsafe")


def initial_state(row: str, method: str, kernel_type: int, start: Array) -> Any:
    """Return the state of one number, of the kind that the kernel's elements make."""
    number = start.astype(native(start.dtype)).reshape(1)
    parts: Array
    if row == "nansum":
        row = "sum"  # a NaN to start from stays
    if number.dtype.kind == "f" and row == "sum":
        if kernel_type == type_of(_LONGDOUBLE):
            parts = number.astype(_LONGDOUBLE)
        else:
            # A longdouble is two doubles; anything smaller is one.
            with np.errstate(all="ignore"):
                high = number.astype(_FLOAT64)
                low = (number - high).astype(_FLOAT64)
            exact = not np.isfinite(high[0]) or low[0] == 0
            parts = high if exact else np.concatenate([high, low])
    elif number.dtype.kind == "c" and row == "sum":
        wide = kernel_type == type_of(np.dtype(np.clongdouble))
        parts = number.astype(np.clongdouble if wide else np.complex128)
    else:
        parts = number
    reduction = find(row, method, type_of(parts.dtype), type_of(start.dtype))
    assert reduction is not None
    state = reduction.identity()
    reduction.accumulate(state, parts)
    return state


_ERRORS = {
    OVERFLOW: ("over", "overflow", 2),
    INVALID: ("invalid", "invalid value", 8),
    DIVIDE: ("divide", "divide by zero", 1),
}


def report(name: str, flags: int, dtype: DType) -> int:
    """Do what np.errstate asks for, in the caller's thread, as NumPy does; return the flags."""
    if not flags & (OVERFLOW | INVALID | DIVIDE):
        return flags
    settings = np.geterr()
    for flag, (kind, text, number) in _ERRORS.items():
        if not flags & flag:
            continue
        action = settings[kind]  # type: ignore[literal-required]
        message = f"{text} encountered in {name}"
        if dtype.kind in "biu":
            message += f": the result does not fit {dtype} and wrapped around"
        if action == "warn":
            warnings.warn(message, RuntimeWarning, stacklevel=outside())
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
    return flags


def masked_result(
    a: np.ma.MaskedArray[Any, Any] | Fused,
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
        if result.ndim > nothing.ndim:  # several values each
            nothing = np.broadcast_to(nothing[..., None], result.shape)
    if out is not None:
        if isinstance(out, np.ma.MaskedArray):
            out[...] = np.ma.array(result, mask=nothing)
        return out
    if result.ndim == 0:
        return np.ma.masked if mask is not None and nothing else result[()]
    masked: Any = np.ma.array(result, mask=nothing)
    fill_value: Any = getattr(a, "_fill_value", None)  # fill_value makes one, and may warn
    if a.dtype == result.dtype and fill_value is not None:
        masked.fill_value = fill_value
    return masked
