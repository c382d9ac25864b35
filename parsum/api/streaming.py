"""Reductions of arrays in files: blocks are read by every worker into memory of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from parsum import engine
from parsum.api.arguments import Array, DType, Options
from parsum.api.states import Chunk, Kind, States, Tree, count_of
from parsum.api.tasks import Tasks
from parsum.api.views import view_of
from parsum.files import File, Inflater, Reader
from parsum.reduction import AGAIN, LEAF, Job, Row, type_of

#: Bytes that a worker reads at a time. A call of the system costs as much as to read 100 KB, and
#: what is read is taken in from the cache: 1 MB at a time gave 13.3 GB/s, 2 MB 14.5, 8 MB no more.
BLOCK_BYTES = 2 << 20
#: Most bytes that the states of all workers take; results are cut in tiles of fewer.
STATES_BYTES = 16 << 20
#: Rows that are longer are read in pieces.
ROW_BYTES = 8 << 20

_ALONE = Options(1, "exact", None, None)


@dataclass(frozen=True, slots=True)
class Reduced:
    """A row of the table and all that a reduction by it needs besides elements and results."""

    row: Row
    to: int  # the type of results
    parameter: float
    numbered: bool
    skip_nan: bool = False
    initial: Any = None
    #: Whether elements are to be taken in by one worker, one after the other.
    in_order: bool = False


def reduce_file(
    file: File, axes: tuple[int, ...], result: Array, reduced: Reduced, options: Options
) -> int:
    """Reduce a file along axes into an array of the kept ones; return flags."""
    numbers = numbers_along(file.shape, axes) if reduced.numbered else None
    shape = file.shape
    if file.order == "F":
        # The same elements in C order, with the axes the other way round.
        last, kept = file.ndim - 1, file.ndim - len(axes)
        result = result.transpose((*reversed(range(kept)), *range(kept, result.ndim)))
        axes = tuple(sorted(last - k for k in axes))
        shape = shape[::-1]
        numbers = None if numbers is None else numbers[::-1]
    elif len(axes) == file.ndim and file.ndim > 0:
        shape, axes = (file.size,), (0,)
        numbers = None if numbers is None else (1,)
    if not shape:
        shape, axes = (1,), (0,)
        numbers = None if numbers is None else (1,)
    if file.compressed:
        options = options._replace(workers=1)
    with file.reader() as reader:
        whole = _Region(file.dtype, shape, file.offset, numbers)
        return _reduce(whole, axes, result, reduced, options, reader)


def numbers_along(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return what a step along each axis adds to the number of an element; 0 for kept axes."""
    numbers = [0] * len(shape)
    step = 1
    for k in reversed(axes):
        numbers[k] = step
        step *= shape[k]
    return tuple(numbers)


@dataclass(frozen=True, slots=True)
class _Region:
    """Elements in C order from some place in the file on."""

    dtype: DType
    shape: tuple[int, ...]
    offset: int
    numbers: tuple[int, ...] | None

    @property
    def row_bytes(self) -> int:
        """How many bytes a step along the first axis is."""
        return count_of(self.shape[1:]) * self.dtype.itemsize

    def row(self, k: int) -> _Region:
        """Return element k along the first axis."""
        numbers = None if self.numbers is None else self.numbers[1:]
        return _Region(self.dtype, self.shape[1:], self.offset + k * self.row_bytes, numbers)


def _reduce(
    region: _Region,
    axes: tuple[int, ...],
    result: Array,
    reduced: Reduced,
    options: Options,
    reader: Reader | Inflater,
) -> int:
    """Reduce a region along axes; there is one at least."""
    if 0 in axes:
        return _reduce_columns(region, axes, result, reduced, options, reader)
    if region.row_bytes <= ROW_BYTES:
        job = _Rows(region, axes, result, reduced, options, reader)
        return engine.run_job(job, job.workers, options.executor, options.progress)
    inner = tuple(k - 1 for k in axes)
    flags = 0
    for k in range(region.shape[0]):
        # A view also of a single result, which has no axes left.
        part = result[k : k + 1].reshape(result.shape[1:])
        flags |= _reduce(region.row(k), inner, part, reduced, options, reader)
    return flags


class _Blocks(Tasks):
    """Blocks of rows along the first axis of a region, each read and taken in by one worker."""

    def __init__(
        self,
        region: _Region,
        axes: tuple[int, ...],
        result: Array,
        reduced: Reduced,
        options: Options,
        reader: Reader | Inflater,
        count: int,
        rows: int,
        width: int,
    ) -> None:
        total = count_of(region.shape) * region.dtype.itemsize
        super().__init__(count, total)
        self.workers = max(1, min(engine.resolve_workers(options.workers, total), count))
        self._region = region
        self._axes = axes
        self._result = result
        self._reduced = reduced
        self._reader = reader
        self._rows = rows
        self._bytes = rows * width
        self._buffers: list[Array | None] = [None] * self.workers
        self._flags = 0

    def _buffer(self, worker: int) -> Array:
        buffer = self._buffers[worker]
        if buffer is None:
            # Blocks of elements begin where any of them is aligned.
            room: Array = np.empty(self._bytes + 63, np.uint8)
            start = -room.__array_interface__["data"][0] % 64
            buffer = self._buffers[worker] = room[start : start + self._bytes]
        return buffer


class _Rows(_Blocks):
    """Blocks whose results are their own: the first axis is kept."""

    def __init__(
        self,
        region: _Region,
        axes: tuple[int, ...],
        result: Array,
        reduced: Reduced,
        options: Options,
        reader: Reader | Inflater,
    ) -> None:
        rows = max(1, BLOCK_BYTES // max(region.row_bytes, 1))
        count = -(-region.shape[0] // rows)
        super().__init__(
            region, axes, result, reduced, options, reader, count, rows, region.row_bytes
        )

    def take(self, worker: int, number: int) -> int:
        """Reduce a block of rows to its results."""
        region, begin = self._region, number * self._rows
        rows = min(self._rows, region.shape[0] - begin)
        size = rows * region.row_bytes
        data = self._buffer(worker)[:size]
        self._reader.read(data, region.offset + begin * region.row_bytes)
        array = data.view(region.dtype).reshape(rows, *region.shape[1:])
        result, reduced = self._result[begin : begin + rows], self._reduced
        view = view_of(
            array, self._axes, result, type_of(array.dtype), reduced.to, numbers=region.numbers,
            in_order=reduced.in_order,
        )  # fmt: skip
        view.swap_result = not result.dtype.isnative
        view.skip_nan = reduced.skip_nan
        view.parameter = reduced.parameter
        view.initial = reduced.initial
        job = Job(reduced.row, view, 1, (array, result))
        while job.work(0, engine.OTHER_SLICE) == AGAIN:
            pass
        flags = job.finish()
        with self._lock:
            self._flags |= flags
        return size

    def finish(self) -> int:
        """Return the flags of all blocks."""
        return self._flags


def _reduce_columns(
    region: _Region,
    axes: tuple[int, ...],
    result: Array,
    reduced: Reduced,
    options: Options,
    reader: Reader | Inflater,
) -> int:
    """Reduce a region along its first axis and maybe others."""
    kept = tuple(n for k, n in enumerate(region.shape) if k not in axes)
    outputs, values = count_of(kept), reduced.row.values
    flat: Array = np.empty((outputs, values), result.dtype.newbyteorder("="))
    flat[...] = result.reshape(outputs, values)  # some find parameters there
    leading = axes == tuple(range(len(axes)))
    if leading and (region.numbers is None or len(axes) == 1):
        numbers = None if region.numbers is None else (region.numbers[0], 0)
        n = count_of(region.shape[: len(axes)])
        region = _Region(region.dtype, (n, outputs), region.offset, numbers)
        workers = engine.resolve_workers(options.workers, n * region.row_bytes)
        tile = max(1, STATES_BYTES // (reduced.row.state_size * workers))
        axes = (0,)
    else:
        tile = outputs
    flags = 0
    for begin in range(0, outputs, tile):
        part = flat[begin : begin + tile]
        job = _Columns(region, axes, part, reduced, options, reader, begin, outputs)
        flags |= engine.run_job(job, job.workers, options.executor, options.progress)
    result[...] = flat.reshape(result.shape)
    return flags


class _Columns(_Blocks):
    """Blocks that go into the same states, those of some of the results: the first axis is reduced.

    Each worker has states of its own, which are combined at the end. In a fixed tree, the state of
    a block is a complete subtree; those of more than one result are filled block after block.
    """

    def __init__(
        self,
        region: _Region,
        axes: tuple[int, ...],
        result: Array,
        reduced: Reduced,
        options: Options,
        reader: Reader | Inflater,
        begin: int,
        outputs: int,
    ) -> None:
        self._whole = len(result) == outputs
        self._begin = begin * region.dtype.itemsize
        width = region.row_bytes if self._whole else len(result) * region.dtype.itemsize
        rows = max(1, BLOCK_BYTES // max(width, 1))
        shape = tuple(n for k, n in enumerate(region.shape) if k not in axes)
        if not self._whole:
            shape = (len(result),)
        self._ordered = reduced.row.ordered
        self._vector = self._whole and region.shape[1:] == (1,) and axes == (0,)
        if self._ordered and self._vector:
            self._level = max(0, (rows // LEAF).bit_length() - 1)
            rows = LEAF << self._level
        count = -(-region.shape[0] // rows)
        super().__init__(region, axes, result, reduced, options, reader, count, rows, width)
        if (self._ordered and not self._vector) or reduced.in_order:
            self.workers = 1
        self._kind = Kind(
            reduced.row, reduced.parameter, shape, (region.dtype.newbyteorder("="),),
            reduced.numbered, reduced.skip_nan, reduced.row.ordered or reduced.in_order,
        )  # fmt: skip
        self._states: list[States | None] = [None] * (count if self._vector else self.workers)
        self._tree = Tree(self._kind)

    def take(self, worker: int, number: int) -> int:
        """Take a block of rows into states."""
        region, begin = self._region, number * self._rows
        rows = min(self._rows, region.shape[0] - begin)
        size = rows * self._bytes // self._rows
        data = self._buffer(worker)[:size]
        place = region.offset + begin * region.row_bytes
        if self._whole:
            self._reader.read(data, place)
            array = data.view(region.dtype).reshape(rows, *region.shape[1:])
        else:
            pieces = data.reshape(rows, -1)
            for k in range(rows):
                self._reader.read(pieces[k], place + k * region.row_bytes + self._begin)
            array = pieces.view(region.dtype)
        if self._vector:
            array = array.reshape(-1)
        first = 0 if region.numbers is None else begin * region.numbers[0]
        flags = self._take_array(worker, number, array, first)
        with self._lock:
            self._flags |= flags
        return size

    def _take_array(self, worker: int, number: int, array: Array, first: int) -> int:
        kind, region = self._kind, self._region
        if self._ordered and self._vector:
            states = self._states[number] = States(kind)
            if kind.as_they_are and array.dtype.isnative and kind.row.on_stack:
                return states.become(array)
            return states.take(Chunk((array,), (0,), None), 0, _ALONE)
        if self._ordered:
            self._tree, flags = self._tree.with_chunk(Chunk((array,), self._axes, None), 0, _ALONE)
            return flags
        kept = self._states[worker]
        if kept is None:
            kept = self._states[worker] = States(kind)
        if self._vector and kind.as_they_are and array.dtype.isnative:
            kept.count_on(first)
            if kept.take_buffer(array, None):
                return 0
        axes = (0,) if self._vector else self._axes
        numbers = None if self._vector else region.numbers
        return kept.take(Chunk((array,), axes, None), first, _ALONE, numbers)

    def finish(self) -> int:
        """Combine the states and write the results; return flags."""
        flags = self._flags
        if self._ordered:
            for number, states in enumerate(self._states if self._vector else ()):
                if states is not None:
                    flags |= self._tree.with_state(states, self._level, number + 1 == self._count)
            whole, more = self._tree.joined()
            flags |= more
        else:
            whole = States(self._kind)
            for states in self._states:
                if states is not None:
                    flags |= whole.states.combine(states.states)
        if self._reduced.initial is not None:
            whole.states.combine_each(self._reduced.initial)
        return flags | whole.values(self._reduced.to, self._result)
