"""The monoid: the table of built-in reductions, and the jobs that run them, over the C library.

This is the only module that imports the cffi module. A reduction has four functions over a small
state of plain bytes: ``identity``, ``accumulate``, ``combine`` and ``finish``; everything that
parsum computes is states made in different places and combined.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from parsum._native import ffi, lib

DONE: int = lib.PARSUM_DONE
AGAIN: int = lib.PARSUM_AGAIN
OVERFLOW: int = lib.PARSUM_OVERFLOW
INVALID: int = lib.PARSUM_INVALID
DIVIDE: int = lib.PARSUM_DIVIDE
EMPTY: int = lib.PARSUM_EMPTY

METHODS = ("exact", "fast")

#: Elements of a leaf of the fixed tree.
LEAF: int = lib.parsum_leaf()

#: The element types of the C library by dtype.
TYPES: dict[np.dtype[Any], int] = {
    np.dtype(name): number
    for name, number in {
        "bool": lib.PARSUM_BOOL,
        "int8": lib.PARSUM_INT8,
        "uint8": lib.PARSUM_UINT8,
        "int16": lib.PARSUM_INT16,
        "uint16": lib.PARSUM_UINT16,
        "int32": lib.PARSUM_INT32,
        "uint32": lib.PARSUM_UINT32,
        "int64": lib.PARSUM_INT64,
        "uint64": lib.PARSUM_UINT64,
        "longlong": lib.PARSUM_INT64,
        "ulonglong": lib.PARSUM_UINT64,
        "float16": lib.PARSUM_FLOAT16,
        "float32": lib.PARSUM_FLOAT32,
        "float64": lib.PARSUM_FLOAT64,
        "longdouble": lib.PARSUM_LONGDOUBLE,
        "complex64": lib.PARSUM_COMPLEX64,
        "complex128": lib.PARSUM_COMPLEX128,
        "clongdouble": lib.PARSUM_CLONGDOUBLE,
    }.items()
}


def type_of(dtype: np.dtype[Any]) -> int:
    """Return the C library's number of a dtype, whatever its byte order or unit."""
    number = TYPES.get(dtype)
    if number is not None:
        return number
    if dtype.kind in "mM":
        return int(lib.PARSUM_TIME)
    return TYPES[dtype.newbyteorder("=")]


class Row:
    """One row of the table: an operation on one element type, with the monoid's four functions.

    States are writable buffers of :attr:`state_size` bytes; arrays are one-dimensional, of the
    element type, and in native byte order.
    """

    __slots__ = (
        "element", "flags_jobs", "header", "keep", "on_stack", "ordered", "pointer",
        "state_size", "values",
    )  # fmt: skip

    def __init__(self, pointer: Any, keep: object = None) -> None:
        #: The C library's row; it points at what ``keep`` holds.
        self.pointer = pointer
        self.keep = keep
        self.state_size: int = lib.parsum_state_size(pointer)
        #: The type of the elements that its kernels take.
        self.element: int = lib.parsum_element(pointer)
        #: Whether the order of combination shows in the result.
        self.ordered = bool(lib.parsum_is_ordered(pointer))
        #: How many values of the result type finish writes.
        self.values: int = lib.parsum_values(pointer)
        #: Whether the flags of a whole job tell of overflow, and those of its states do not.
        self.flags_jobs = bool(lib.parsum_flags_jobs(pointer))
        #: How many bytes at the start of a state are no part of its value.
        self.header: int = lib.parsum_state_header(pointer)
        #: Whether single C calls take it, which keep states on the stack.
        self.on_stack = bool(lib.parsum_fits_stack(pointer))

    def identity(self, parameter: float = 0) -> Any:
        """Return the state of no elements."""
        # room to align the state within; cffi keeps the memory while the state lives
        memory = ffi.new("char[]", self.state_size + 16)
        start = int(ffi.cast("uintptr_t", memory))
        state = _State(memory, ffi.cast("void *", (start + 15) // 16 * 16))
        lib.parsum_identity(self.pointer, parameter, state.pointer)
        return state

    def accumulate(self, state: Any, array: np.ndarray[Any, Any]) -> None:
        """Take the elements of a one-dimensional array into the state."""
        data = ffi.cast("void *", array.__array_interface__["data"][0])
        lib.parsum_accumulate(self.pointer, state.pointer, data, array.size, array.strides[0])

    def accumulate_pairs(
        self, state: Any, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]
    ) -> None:
        """Take pairs of elements of two one-dimensional arrays of one length into the state."""
        first = ffi.cast("void *", a.__array_interface__["data"][0])
        second = ffi.cast("void *", b.__array_interface__["data"][0])
        lib.parsum_accumulate_pairs(
            self.pointer, state.pointer, first, second, a.size, a.strides[0], b.strides[0]
        )

    def combine(self, state: Any, other: Any) -> None:
        """Merge another state into the state."""
        lib.parsum_combine(self.pointer, state.pointer, other.pointer)

    def finish(self, state: Any, result: np.ndarray[Any, Any]) -> int:
        """Write the state's result, rounded once, to a 0-d array; return flags."""
        address = ffi.cast("void *", result.__array_interface__["data"][0])
        return int(lib.parsum_finish(self.pointer, state.pointer, type_of(result.dtype), address))

    def valid(self, state: Any) -> bool:
        """Return whether the state's bytes, whatever they are, are one to work with."""
        return bool(lib.parsum_state_valid(self.pointer, state.pointer))

    def copy(self, state: Any, parameter: float = 0) -> Any:
        """Return an equal state of that parameter, all bytes of which come of its elements."""
        copy = self.identity(parameter)
        lib.parsum_state_copy(self.pointer, parameter, copy.pointer, state.pointer)
        return copy


#: Bytes that the address of a state is a multiple of, and so is its size.
STATE_ALIGNMENT = 16


class _State:
    """A state and the memory that it lies in."""

    __slots__ = ("memory", "pointer")

    def __init__(self, memory: Any, pointer: Any) -> None:
        self.memory = memory
        self.pointer = pointer


@cache
def find(operation: str, method: str, element: int, result: int) -> Row | None:
    """Return the reduction of that operation, method, element type and result type, if any."""
    row = lib.parsum_find(operation.encode(), method.encode(), element, result)
    return Row(row) if row else None


@dataclass(slots=True)
class View:
    """Strided arrays and how they are reduced, in the terms of ``parsum_view`` in parsum.h."""

    addresses: list[int]  # of data, other, where, mask and result; 0 for none
    first: int
    kept: int
    reduced: int
    dims: list[int]
    element: int
    type: int
    swap_element: bool = False
    swap_result: bool = False
    other_element: int = 0
    swap_other: bool = False
    skip_nan: bool = False
    parameter: float = 0.0
    initial: Any = None
    map: Any = None  # the C function that gives the elements
    arrays: tuple[tuple[int, int, bool], ...] = ()  # address, type and swap of each it reads
    into_states: bool = False


def reduce_bytes(row: Row, parameter: float, array: np.ndarray[Any, Any]) -> tuple[Any, int]:
    """Return the record of a contiguous array's reduction by one C call, and flags.

    ValueError or BufferError if it is not contiguous.
    """
    record: np.ndarray[Any, Any] = np.empty(row.values, np.uint8)
    data = buffer_of(array)
    flags = lib.parsum_reduce(row.pointer, parameter, data, array.size, BYTE, buffer_of(record))
    return record, check(flags)


class Job:
    """One reduction of a view by several workers; holds what it points at until it is finished."""

    __slots__ = ("_job", "_keep", "_reduction", "total")

    settles = True

    def __init__(
        self, reduction: Row, view: View, workers: int, keep: object, block: int = 0
    ) -> None:
        arrays = ffi.new("parsum_array[]", len(view.arrays))
        self._reduction = reduction
        self._keep: object = (keep, view.initial)
        dims = ffi.new("ptrdiff_t[]", view.dims)
        c_view = ffi.new("parsum_view *")
        data, other, where, mask, result = view.addresses
        c_view.data = ffi.cast("void *", data)
        c_view.other = ffi.cast("void *", other)
        c_view.where = ffi.cast("uint8_t *", where)
        c_view.mask = ffi.cast("uint8_t *", mask)
        c_view.result = ffi.cast("void *", result)
        c_view.initial = ffi.NULL if view.initial is None else view.initial.pointer
        c_view.dims = dims
        c_view.first = view.first
        c_view.parameter = view.parameter
        c_view.kept = view.kept
        c_view.reduced = view.reduced
        c_view.element = view.element
        c_view.other_element = view.other_element
        c_view.type = view.type
        c_view.swap_element = view.swap_element
        c_view.swap_other = view.swap_other
        c_view.swap_result = view.swap_result
        c_view.skip_nan = view.skip_nan
        if view.map is not None:
            for k, (place, element, swap) in enumerate(view.arrays):
                arrays[k].data = ffi.cast("void *", place)
                arrays[k].element = element
                arrays[k].swap = swap
            c_view.map = view.map
            c_view.array = arrays
            c_view.arrays = len(view.arrays)
        c_view.into_states = view.into_states
        pointer = ffi.new("parsum_job **")
        check(lib.parsum_job_create(reduction.pointer, c_view, workers, block, pointer))
        self._job = ffi.gc(pointer[0], lib.parsum_job_destroy)
        self.total = int(lib.parsum_job_bytes(self._job))

    def work(self, worker: int, nanoseconds: int) -> int:
        """Work without the GIL until all is done or the time is over: DONE, AGAIN or cancelled."""
        return check(lib.parsum_job_work(self._job, worker, nanoseconds))

    def cancel(self) -> None:
        """Make every worker stop at its next block."""
        lib.parsum_job_cancel(self._job)

    def finish(self) -> int:
        """Combine the workers' states and write the results; return flags."""
        flags = check(lib.parsum_job_finish(self._job))
        # A thread that is told only now that there is nothing to do must not keep an array alive.
        self._keep = None
        return flags

    def bytes_done(self) -> int:
        """Return how many bytes were taken in so far."""
        return int(lib.parsum_job_bytes_done(self._job))


class StateArray:
    """The states of so many outputs, one after the other, in memory of their own.

    ``accumulate`` and ``accumulate_pairs`` are for a single output, by one C call.
    """

    __slots__ = ("address", "memory", "pointer", "row", "size")

    def __init__(self, row: Row, size: int, parameter: float) -> None:
        self._allocate(row, size)
        lib.parsum_identities(row.pointer, parameter, self.pointer, size)

    def _allocate(self, row: Row, size: int) -> None:
        self.row = row
        self.size = size
        # Zeros at first, and room to align the states within.
        self.memory = ffi.new("char[]", size * row.state_size + STATE_ALIGNMENT)
        start = int(ffi.cast("uintptr_t", self.memory))
        self.address = -(-start // STATE_ALIGNMENT) * STATE_ALIGNMENT
        self.pointer = ffi.cast("void *", self.address)

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """The states as bytes, a row for each."""
        start = self.address - int(ffi.cast("uintptr_t", self.memory))
        length = self.size * self.row.state_size
        memory = np.frombuffer(ffi.buffer(self.memory), np.uint8)
        return memory[start : start + length].reshape(self.size, self.row.state_size)

    def place(self, number: int) -> None:
        """Tell the states the number of the element that comes next."""
        lib.parsum_place(self.row.pointer, self.pointer, self.size, number)

    def shift(self, by: int) -> None:
        """Add to the numbers of the elements that the states have kept."""
        lib.parsum_shift(self.row.pointer, self.pointer, self.size, by)

    def accumulate(self, data: Any, n: int, itemsize: int) -> None:
        """Take n elements of a buffer into the only state."""
        lib.parsum_accumulate(self.row.pointer, self.pointer, data, n, itemsize)

    def accumulate_pairs(self, a: Any, b: Any, n: int, itemsize: int) -> None:
        """Take n pairs of elements of two buffers into the only state."""
        lib.parsum_accumulate_pairs(self.row.pointer, self.pointer, a, b, n, itemsize, itemsize)

    def become(self, parameter: float, a: Any, b: Any, n: int) -> int:
        """Make the only state that of n elements of one buffer or two; return flags."""
        return check(lib.parsum_state_of(self.row.pointer, parameter, a, b, n, self.pointer))

    def copy(self) -> StateArray:
        """Return equal states."""
        copy = StateArray.__new__(StateArray)
        copy._allocate(self.row, self.size)
        ffi.memmove(copy.pointer, self.pointer, self.size * self.row.state_size)
        return copy

    def combine(self, other: StateArray) -> int:
        """Merge another array of states into this one; return flags."""
        return check(
            lib.parsum_combine_all(self.row.pointer, self.pointer, other.pointer, self.size)
        )

    def combine_each(self, other: _State) -> None:
        """Merge a single state into each of these."""
        for k in range(self.size):
            place = ffi.cast("void *", self.address + k * self.row.state_size)
            lib.parsum_combine(self.row.pointer, place, other.pointer)

    def finish(self, type_: int, results: np.ndarray[Any, Any]) -> int:
        """Write all results, one after the other; return flags."""
        to = ffi.cast("void *", results.__array_interface__["data"][0])
        return check(lib.parsum_finish_all(self.row.pointer, self.pointer, self.size, type_, to))

    def dump(self, parameter: float) -> bytes:
        """Return the states' values as bytes, equal ones of equal states of the same parameter."""
        copy = StateArray(self.row, self.size, parameter)
        lib.parsum_copy_all(self.row.pointer, parameter, copy.pointer, self.pointer, self.size)
        return copy.rows[:, self.row.header :].tobytes()

    def load(self, data: bytes) -> bool:
        """Take values from as many bytes as ``dump`` gives; False if they are no states."""
        values = np.frombuffer(data, np.uint8).reshape(self.size, -1)
        self.rows[:, self.row.header :] = values
        return bool(lib.parsum_valid_all(self.row.pointer, self.pointer, self.size))


# ---- reductions that are made at run time ----


def define(
    functions: tuple[int, ...],
    state_size: int,
    element: int,
    result: int,
    values: int,
    ordered: bool,
    keep: object,
) -> Row:
    """Return the row of functions at those addresses, whose memory ``keep`` holds.

    They are those of ``parsum_functions`` in parsum.h, in its order, the first four at least.
    """
    c_functions = ffi.new("parsum_functions *")
    c_functions.state_size = state_size
    c_functions.element = element
    c_functions.result = result
    c_functions.values = values
    c_functions.ordered = ordered
    for name, place in zip(_FUNCTIONS, functions, strict=False):
        setattr(c_functions, name, ffi.cast(ffi.typeof(getattr(c_functions, name)), place))
    pointer = ffi.new("parsum_reduction **")
    check(lib.parsum_define(c_functions, pointer))
    return Row(ffi.gc(pointer[0], lib.parsum_forget), keep)


_FUNCTIONS = (
    "identity", "accumulate", "combine", "finish", "accumulate_columns", "reduce_columns",
    "reduce_rows",
)  # fmt: skip

STATE_LIMIT: int = lib.PARSUM_STATE_LIMIT
VALUES_LIMIT: int = lib.PARSUM_VALUES_LIMIT
MEMBERS_LIMIT: int = lib.PARSUM_MEMBERS_LIMIT
ARRAYS_LIMIT: int = lib.PARSUM_ARRAYS_LIMIT
BYTE = int(lib.PARSUM_UINT8)

#: Bytes from the flags of a member's result to its values.
RECORD_HEAD = 16


@dataclass(frozen=True, slots=True)
class Member:
    """One of several reductions that read the same elements."""

    row: Row
    parameter: float
    type: int  # of its result
    skip_nan: bool


def join(members: list[Member]) -> tuple[Row, list[int]] | None:
    """Return the row of all at once, and where the record of each begins in its result.

    None means that they do not go together.
    """
    c_members = ffi.new("parsum_member[]", len(members))
    for c_member, member in zip(c_members, members, strict=True):
        c_member.reduction = member.row.pointer
        c_member.parameter = member.parameter
        c_member.type = member.type
        c_member.skip_nan = member.skip_nan
    offsets = ffi.new("size_t[]", len(members))
    pointer = ffi.new("parsum_reduction **")
    code = lib.parsum_join(c_members, len(members), offsets, pointer)
    if code == lib.PARSUM_BAD_ARGUMENT:
        return None
    check(code)
    return Row(ffi.gc(pointer[0], lib.parsum_forget), members), list(offsets)


def map_at(place: int) -> Any:
    """Return the function at an address as a map."""
    return ffi.cast("parsum_map", place)


def mapped(
    map_: Any,
    arrays: tuple[np.ndarray[Any, Any], ...],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> np.ndarray[Any, Any]:
    """Return the elements that a map gives of arrays of that shape."""
    out: np.ndarray[Any, Any] = np.empty(shape, dtype)
    if not out.size:
        return out
    pointers = ffi.new("void const *[]", len(arrays))
    strides = ffi.new("ptrdiff_t[]", len(arrays))
    keep = []
    for k, array in enumerate(arrays):
        single = not any(array.strides)
        elements = array[(0,) * array.ndim] if single else array
        plain = np.ascontiguousarray(elements, array.dtype.newbyteorder("="))
        keep.append(buffer_of(plain))
        pointers[k] = keep[-1]
        strides[k] = 0 if single else plain.itemsize
    map_(buffer_of(out), pointers, strides, out.size)
    return out


def can_convert(element: int, kernel: int) -> bool:
    """Tell whether elements of one type can be taken in by a kernel of another."""
    return element == kernel or bool(lib.parsum_can_convert(element, kernel))


class Scan:
    """One scan of a view by several workers; holds what it points at until it is gone.

    The view has the fields of ``parsum_scan_view`` in parsum.h, addresses as integers.
    """

    __slots__ = ("_job", "_keep", "total")

    settles = False

    def __init__(self, row: Any, view: Any, workers: int, block: int, keep: object) -> None:
        self._keep = keep
        dims = ffi.new("ptrdiff_t[]", view.dims)
        c_view = ffi.new("parsum_scan_view *")
        c_view.data = ffi.cast("void *", view.data)
        c_view.mask = ffi.cast("uint8_t *", view.mask)
        c_view.result = ffi.cast("void *", view.result)
        c_view.dims = dims
        c_view.kept = view.kept
        c_view.scanned = view.scanned
        c_view.element = view.element
        c_view.type = view.type
        c_view.swap_element = view.swap_element
        c_view.swap_result = view.swap_result
        c_view.in_place = view.in_place
        pointer = ffi.new("parsum_scan_job **")
        check(lib.parsum_scan_create(row, c_view, workers, block, pointer))
        self._job = ffi.gc(pointer[0], lib.parsum_scan_destroy)
        self.total = int(lib.parsum_scan_bytes(self._job))

    @staticmethod
    def find(operation: str, method: str, element: int, result: int) -> Any:
        """Return the C library's row for that element type and result type, or None."""
        row = lib.parsum_scan_find(operation.encode(), method.encode(), element, result)
        return row or None

    def work(self, worker: int, nanoseconds: int) -> int:
        """Work without the GIL until all is done or the time is over: DONE, AGAIN or cancelled."""
        return check(lib.parsum_scan_work(self._job, worker, nanoseconds))

    def cancel(self) -> None:
        """Make every worker stop at its next step."""
        lib.parsum_scan_cancel(self._job)

    def finish(self) -> int:
        """Return the flags of all prefixes; every worker is done."""
        return check(lib.parsum_scan_finish(self._job))

    def bytes_done(self) -> int:
        """Return how many bytes of elements have their prefixes so far."""
        return int(lib.parsum_scan_bytes_done(self._job))


def check(code: int) -> int:
    """Turn the C library's error codes into exceptions; pass other codes through."""
    if code >= 0:
        return code
    if code == lib.PARSUM_NO_MEMORY:
        raise MemoryError("no memory for the workers' buffers of a reduction")
    raise AssertionError(f"the C library refused its arguments (code {code})")


# ---- the lean path: one C call for a small array ----

#: What the lean path passes for an array: a view of its memory, for C-contiguous arrays of a dtype
#: that has buffers alone (else ValueError or BufferError), or a copy by ``tobytes()``.
buffer_of = ffi.from_buffer
reduce_two = lib.parsum_reduce_two
reduce_float64 = lib.parsum_reduce_float64
reduce_axis = lib.parsum_reduce_axis
scan_axis = lib.parsum_scan_axis
NULL = ffi.NULL

#: Arrays up to this many bytes are rather copied than viewed, which costs less than to ask for a
#: buffer, and knows no bounds of dtype or layout.
COPY_BYTES = 4096

_INT64 = np.dtype(np.int64)


class LeanRow:
    """What one C call needs to know of a reduction of arrays of one dtype."""

    __slots__ = (
        "any_order",
        "by_elements",
        "call",
        "dtype",
        "parameter",
        "real_double",
        "reduction",
        "row",
        "spare",
        "type",
        "values",
    )

    def __init__(
        self,
        call: Any,
        reduction: Row,
        parameter: float,
        type_: int,
        dtype: np.dtype[Any] | None,
    ) -> None:
        #: The C function, of (row, parameter, data, n, type, result).
        self.call = call
        self.reduction = reduction
        self.row: Any = reduction.pointer
        self.parameter = parameter
        self.type = type_
        #: That of the result; None where it is that of the array, as equal ones (int64 and
        #: longlong) may differ.
        self.dtype = dtype
        self.values = reduction.values
        #: Whether the elements' order in memory does not show in the result.
        self.any_order = not reduction.ordered
        #: Whether each element is one of the row's, not two.
        self.by_elements = call is not _reduce_pairs
        #: Whether reduce_float64 gives the result.
        self.real_double = (
            type_ == lib.PARSUM_FLOAT64
            and self.by_elements
            and not parameter
            and reduction.values == 1
        )
        #: Arrays for results that are not in use, and their buffers. To take one out and put it
        #: back is less work than to make one, and whoever has taken it has it alone.
        self.spare: list[tuple[np.ndarray[Any, Any], Any]] = []

    def new_result(self, dtype: np.dtype[Any]) -> tuple[np.ndarray[Any, Any], Any]:
        """Return a new array for the result of an array of that dtype, and its buffer."""
        to = self.dtype or dtype
        result: np.ndarray[Any, Any] = np.empty(self.values if self.values > 1 else (), to)
        # NumPy exports no buffers of times.
        return result, buffer_of(result.view(_INT64) if to.kind in "mM" else result)


_reduce = lib.parsum_reduce
_reduce_pairs = lib.parsum_reduce_pairs


def lean_row(
    operation: str,
    method: str,
    dtype: np.dtype[Any],
    result: np.dtype[Any],
    by_parts: bool,
    fixed: bool,
    parameter: float = 0.0,
) -> LeanRow | None:
    """Return how to reduce arrays of that dtype; None if they have no lean path."""
    if not dtype.isnative:
        return None
    to = None if result == dtype and not fixed else result
    if by_parts and dtype.kind == "c":
        part = np.empty(0, dtype).real.dtype
        reduction = find(operation, method, type_of(part), type_of(part))
        if reduction is None or reduction.ordered or part == np.longdouble or to is not None:
            return None
        return LeanRow(_reduce_pairs, reduction, parameter, type_of(part), None)
    reduction = find(operation, method, type_of(dtype), type_of(result))
    if reduction is None:
        return None
    return LeanRow(_reduce, reduction, parameter, type_of(result), to)


def pair_row(
    operation: str, method: str, dtype: np.dtype[Any], result: np.dtype[Any]
) -> LeanRow | None:
    """Return how to reduce two arrays of that dtype; None if there is no such row."""
    if not dtype.isnative:
        return None
    reduction = find(operation, method, type_of(dtype), type_of(result))
    if reduction is None:
        return None
    to = None if result == dtype else result
    return LeanRow(reduce_two, reduction, 0.0, type_of(result), to)


def reduce_small(
    reduction: Row,
    parameter: float,
    array: np.ndarray[Any, Any],
    result: np.ndarray[Any, Any],
) -> int:
    """Reduce a C-contiguous, aligned, native array to one result at once; return flags."""
    data = ffi.cast("void *", array.__array_interface__["data"][0])
    to = ffi.cast("void *", result.__array_interface__["data"][0])
    return check(
        lib.parsum_reduce(reduction.pointer, parameter, data, array.size, type_of(result.dtype), to)
    )


# ---- CPU levels ----


def cpu_levels() -> tuple[str, ...]:
    """Return the names of the CPU levels that this machine can run, the plainest first.

    Examples
    --------
    >>> import parsum
    >>> parsum.cpu_level() in parsum.cpu_levels()
    True
    """
    return tuple(
        ffi.string(lib.parsum_level_name(level)).decode()
        for level in range(lib.parsum_levels())
        if lib.parsum_level_usable(level)
    )


def cpu_level() -> str:
    """Return the name of the CPU level in use: the best one, or what PARSUM_CPU_LEVEL asks for.

    All levels give the same bits.
    """
    return str(ffi.string(lib.parsum_level_name(lib.parsum_level())).decode())


def _force_level(name: str) -> None:
    built = [
        ffi.string(lib.parsum_level_name(level)).decode() for level in range(lib.parsum_levels())
    ]
    if name not in built:
        raise ImportError(f"PARSUM_CPU_LEVEL must be one of {', '.join(built)}, got {name!r}")
    if name not in cpu_levels():
        raise ImportError(
            f"PARSUM_CPU_LEVEL must be a level that this CPU can run "
            f"({', '.join(cpu_levels())}), got {name!r}"
        )
    check(lib.parsum_use_level(built.index(name)))


if os.environ.get("PARSUM_CPU_LEVEL"):
    _force_level(os.environ["PARSUM_CPU_LEVEL"])
