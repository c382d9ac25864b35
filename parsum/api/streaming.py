"""Reductions of sources: blocks are read by every worker for itself, and taken in as they come."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from parsum import engine
from parsum.api.arguments import (
    ALONE,
    Array,
    DType,
    Options,
    Progress,
    converted,
    kept_shapes,
    without,
)
from parsum.api.states import Chunk, Kind, States, Tree, count_of, state_of, store_of
from parsum.api.tasks import CANCELLED, Tasks
from parsum.api.views import view_of
from parsum.reduction import AGAIN, DONE, LEAF, Job, Row, type_of
from parsum.sources import Chunks, Reader, Source
from parsum.sources.iterators import is_ours

#: Bytes that a worker reads at a time. A call of the system costs as much as to read 100 KB, and
#: what is read is taken in from the cache: 1 MB at a time gave 13.3 GB/s, 2 MB 14.5, 8 MB no more.
BLOCK_BYTES = 2 << 20
#: Most bytes that the states of all workers take; results are cut in tiles of fewer.
STATES_BYTES = 16 << 20
#: As many for what is stored in pieces, of which each is read once for every tile.
STORED_STATES_BYTES = 128 << 20
#: Results whose elements have more bytes are found piece by piece.
ROW_BYTES = 8 << 20
#: Bytes that a worker reads at a time where blocks are leaves of the trees of many results.
LEAVES_BYTES = 8 << 20
#: Reads of fewer bytes cost more than to keep states for results.
RUN_BYTES = 64 << 10
#: A share of a chunk has at least so many: waking a worker up for less takes longer.
SHARE_BYTES = 4 << 20
#: Most blocks that a worker takes into states of its own before it joins them to others'.
_RUN = 16


@dataclass(frozen=True, slots=True)
class Reduced:
    """A row of the table and all that a reduction by it needs besides elements and results."""

    row: Row
    to: int  # the type of results
    parameter: float
    numbered: bool
    skip_nan: bool = False
    initial: Any = None
    #: Whether elements are to be taken in one after the other, in C order.
    in_order: bool = False

    def kind(self, shape: tuple[int, ...], dtype: DType) -> Kind:
        """Return what states of results of that shape have in common."""
        return Kind(
            self.row, self.parameter, shape, (dtype.newbyteorder("="),), self.numbered,
            self.skip_nan, self.row.ordered or self.in_order,
        )  # fmt: skip


def reduce_source(
    source: Source, axes: tuple[int, ...], result: Array, reduced: Reduced, options: Options
) -> int:
    """Reduce a source along axes into an array of the kept ones; return flags."""
    if isinstance(source, Chunks):
        return _reduce_chunks(source, axes, result, reduced, options)
    numbers = numbers_along(source.shape, axes) if reduced.numbered else None
    if source.order == "F" and not reduced.in_order:
        # The same elements in C order, with the axes the other way round.
        last, kept = source.ndim - 1, source.ndim - len(axes)
        result = result.transpose((*reversed(range(kept)), *range(kept, result.ndim)))
        axes = tuple(sorted(last - k for k in axes))
        source = source.transposed()
        numbers = None if numbers is None else numbers[::-1]
        in_c_order = False
    else:
        in_c_order = source.order == "C"
    if len(axes) == source.ndim != 1 and (numbers is None or in_c_order) and source.order == "C":
        flat = source.flat()
        if flat is not None:
            source, axes = flat, (0,)
            numbers = None if numbers is None else (1,)
    if source.sequential:
        options = options._replace(workers=1)
    workers = engine.resolve_workers(options.workers, source.nbytes)
    blocks = _Blocks(source, axes, reduced, numbers, workers)
    with closing(source.reader()) as reader:
        if blocks.pieces == 1:
            job: _Task = _Whole(blocks, result, reduced, reader)
        elif reduced.row.ordered or reduced.in_order:
            job = _InTurn(blocks, result, reduced, reader)
        else:
            job = _Gathered(blocks, result, reduced, reader)
        workers = max(1, min(workers, job.count))
        return engine.run_job(job, workers, options.executor, options.progress)


def numbers_along(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return what a step along each axis adds to the number of an element; 0 for kept axes."""
    numbers = [0] * len(shape)
    step = 1
    for k in reversed(axes):
        numbers[k] = step
        step *= shape[k]
    return tuple(numbers)


# ---- blocks ----


class _Blocks:
    """How a source is cut into blocks: tiles of results, and pieces of the elements of each.

    Blocks are counted in C order, those along the kept axes before those along the reduced ones.
    Where elements are to be taken in order, the pieces of a tile follow each other in C order:
    whole along all axes after one, and single steps along those before.
    """

    def __init__(
        self,
        source: Source,
        axes: tuple[int, ...],
        reduced: Reduced,
        numbers: tuple[int, ...] | None,
        workers: int,
    ) -> None:
        self.source = source
        self.axes = axes
        self.kept = tuple(k for k in range(source.ndim) if k not in axes)
        self.numbers = numbers
        #: Of the fixed tree, if pieces are complete subtrees of it.
        self.level: int | None = None
        lengths = self._lengths(reduced, workers)
        # Along an axis of length 0 there is one block, whose results are those of no elements.
        self.begins: list[Sequence[int]] = [
            range(0, max(n, 1), step) for n, step in zip(source.shape, lengths, strict=True)
        ]
        if source.cuts and axes:
            self.begins = [_merged(source.cuts, lengths[0])]
        self.tiles = math.prod(len(self.begins[k]) for k in self.kept)
        self.pieces = math.prod(len(self.begins[k]) for k in axes)

    def _lengths(self, reduced: Reduced, workers: int) -> list[int]:
        """Return how long blocks are along each axis."""
        source, axes, kept = self.source, self.axes, self.kept
        shape, itemsize = source.shape, source.dtype.itemsize
        grid = source.grid or (1,) * source.ndim
        grid = tuple(max(1, min(n, g)) for n, g in zip(shape, grid, strict=True))
        in_order = reduced.row.ordered or reduced.in_order
        lengths = list(grid)
        for k in axes:
            lengths[k] = shape[k]
        if count_of(tuple(lengths)) * itemsize <= ROW_BYTES or count_of(tuple(lengths)) == count_of(
            grid
        ):
            # All the elements of some results, if those lie together and there are enough.
            lengths = self._grown(lengths, grid, None, False)
            if source.grid is not None or self._lie_together(lengths, workers):
                return lengths
        if in_order and source.ndim == 1 and source.grid is None and source.cuts is None:
            self.level = max(0, (BLOCK_BYTES // (itemsize * LEAF)).bit_length() - 1)
            return [LEAF << self.level]
        lengths = [1 if in_order and k in axes else grid[k] for k in range(source.ndim)]
        stored = source.grid is not None
        most = (STORED_STATES_BYTES if stored else STATES_BYTES) // reduced.row.state_size
        most = max(1, most // workers)
        for k in kept:
            outputs = count_of(tuple(lengths[j] for j in kept))
            if outputs > most:
                lengths[k] = max(1, lengths[k] // -(-outputs // most))
        if reduced.row.ordered and len(axes) == 1 and not stored:
            # Whole leaves, as rows that do not make one have to wait as copies.
            lengths[axes[0]] = min(shape[axes[0]], LEAF)
            return self._grown(lengths, grid, most, in_order, LEAVES_BYTES)
        return self._grown(lengths, grid, most, in_order)

    def _lie_together(self, lengths: list[int], workers: int) -> bool:
        """Tell whether blocks are read in long runs, and there are enough of them."""
        source, run = self.source, 1
        nbytes = source.nbytes
        if nbytes <= BLOCK_BYTES:
            return True
        for length, n in zip(reversed(lengths), reversed(source.shape), strict=True):
            run *= length
            if length < n:
                break
        blocks = math.prod(-(-n // k) for n, k in zip(source.shape, lengths, strict=True))
        return run * source.dtype.itemsize >= min(RUN_BYTES, BLOCK_BYTES // 4) and (
            blocks >= 4 * workers
        )

    def _grown(
        self,
        lengths: list[int],
        grid: tuple[int, ...],
        most: int | None,
        in_order: bool,
        nbytes: int | None = None,
    ) -> list[int]:
        """Return blocks as large as a worker reads at a time, of at most so many results."""
        source, axes, kept = self.source, self.axes, self.kept
        lengths = lengths.copy()
        nbytes = BLOCK_BYTES if nbytes is None else nbytes
        for k in reversed(range(source.ndim)):
            if in_order and k in axes and any(lengths[j] < source.shape[j] for j in axes if j > k):
                continue
            times = nbytes // max(1, count_of(tuple(lengths)) * source.dtype.itemsize)
            if most is not None and k in kept:
                times = min(times, most // count_of(tuple(lengths[j] for j in kept)))
            length = lengths[k] * max(1, times)
            if length < grid[k]:
                length = grid[k] if k in axes else length  # a chunk is read once
            elif grid[k] > 1:
                length -= length % grid[k]
            lengths[k] = max(1, min(source.shape[k], length))
        return lengths

    def bounds(self, tile: int, piece: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return where a piece of a tile begins and ends."""
        begin, end = [0] * self.source.ndim, [0] * self.source.ndim
        for axes, number in ((self.kept, tile), (self.axes, piece)):
            for k in reversed(axes):
                places = self.begins[k]
                number, place = divmod(number, len(places))
                begin[k] = places[place]
                last = place + 1 == len(places)
                end[k] = self.source.shape[k] if last else places[place + 1]
        return tuple(begin), tuple(end)

    def first(self, begin: tuple[int, ...]) -> int:
        """Return the number of the element where a block begins."""
        if self.numbers is None:
            return 0
        return sum(a * b for a, b in zip(begin, self.numbers, strict=True))

    def results(self, result: Array, begin: tuple[int, ...], end: tuple[int, ...]) -> Array:
        """Return the results of a block, a view also if there is but one."""
        where: Any = (*(slice(begin[k], end[k]) for k in self.kept), ...)
        view: Array = result[where]
        return view


def _merged(cuts: tuple[int, ...], length: int) -> list[int]:
    """Return those of the cuts that are at least a length apart."""
    begins: list[int] = []
    for cut in cuts:
        if not begins or cut - begins[-1] >= length:
            begins.append(cut)
    return begins


def _finish(whole: States, reduced: Reduced, result: Array) -> int:
    """Write the results of states; return flags."""
    native = result.dtype.newbyteorder("=")
    flat: Array = np.empty((whole.kind.outputs, reduced.row.values), native)
    flat[...] = result.reshape(flat.shape)  # some find parameters there
    if reduced.initial is not None:
        whole.states.combine_each(reduced.initial)
    flags = whole.values(reduced.to, flat)
    result[...] = flat.reshape(result.shape)
    return flags


# ---- jobs ----


class _Task(Tasks):
    """Tasks that read blocks of a source."""

    def __init__(
        self, count: int, blocks: _Blocks, result: Array, reduced: Reduced, reader: Reader
    ) -> None:
        super().__init__(count, blocks.source.nbytes)
        self._blocks = blocks
        self._result = result
        self._reduced = reduced
        self._reader = reader
        self._flags = 0

    def _read(
        self, worker: int, begin: tuple[int, ...], end: tuple[int, ...]
    ) -> tuple[Array, Array | None]:
        """Return a block and which of its elements are left out; it has the axes of the source."""
        array, mask = self._reader.read(worker, begin, end)
        shape = tuple(b - a for a, b in zip(begin, end, strict=True))
        array = np.asarray(array)
        if array.shape != shape or array.dtype != self._blocks.source.dtype:
            raise ValueError(
                f"{self._blocks.source!r} must not change while it is read: got a block of shape "
                f"{array.shape} and dtype {array.dtype} where {shape} was to be"
            )
        return array, mask

    def _tell(self, flags: int) -> None:
        with self._lock:
            self._flags |= flags

    def _finish_tile(self, states: States | Tree, begin: Any, end: Any) -> int:
        """Write the results of a tile; return flags."""
        whole, flags = states.joined() if isinstance(states, Tree) else (states, 0)
        return flags | _finish(whole, self._reduced, self._blocks.results(self._result, begin, end))

    def finish(self) -> int:
        """Return the flags of all blocks."""
        return self._flags


class _Whole(_Task):
    """Blocks with all the elements of their results, which are written at once."""

    def __init__(self, blocks: _Blocks, result: Array, reduced: Reduced, reader: Reader) -> None:
        super().__init__(blocks.tiles, blocks, result, reduced, reader)

    def take(self, worker: int, number: int) -> int:
        """Reduce a block to its results."""
        blocks, reduced = self._blocks, self._reduced
        begin, end = blocks.bounds(number, 0)
        array, mask = self._read(worker, begin, end)
        result = blocks.results(self._result, begin, end)
        view = view_of(
            array, blocks.axes, result, type_of(array.dtype), reduced.to, numbers=blocks.numbers,
            in_order=reduced.in_order, mask=mask,
        )  # fmt: skip
        view.swap_result = not result.dtype.isnative
        view.skip_nan = reduced.skip_nan
        view.parameter = reduced.parameter
        view.initial = reduced.initial
        job = Job(reduced.row, view, 1, (array, mask, result))
        while job.work(0, engine.OTHER_SLICE) == AGAIN:
            pass
        self._tell(job.finish())
        return array.nbytes


def _taken(
    states: States, array: Array, mask: Array | None, axes: tuple[int, ...], first: int,
    numbers: tuple[int, ...] | None,
) -> int:  # fmt: skip
    """Take a block into states; return flags."""
    if mask is None and states.kind.as_they_are and array.ndim == 1 and array.dtype.isnative:
        states.count_on(first)
        if states.take_buffer(array, None):
            return 0
    return states.take(Chunk((array,), axes, without(mask, None)), first, ALONE, numbers)


class _Gathered(_Task):
    """Runs of pieces, each taken into states of its own, which are combined as they are done."""

    def __init__(self, blocks: _Blocks, result: Array, reduced: Reduced, reader: Reader) -> None:
        self._run = max(1, min(_RUN, blocks.pieces // 8))
        self._runs = -(-blocks.pieces // self._run)
        super().__init__(blocks.tiles * self._runs, blocks, result, reduced, reader)
        #: By tile that is begun: its states, and how many runs are left.
        self._begun: dict[int, tuple[States, int]] = {}

    def take(self, worker: int, number: int) -> int:
        """Take a run of pieces in."""
        blocks = self._blocks
        tile, run = divmod(number, self._runs)
        done = flags = 0
        own: States | None = None
        for piece in range(run * self._run, min(blocks.pieces, (run + 1) * self._run)):
            if self._cancelled:
                return done
            begin, end = blocks.bounds(tile, piece)
            array, mask = self._read(worker, begin, end)
            if own is None:
                kept = tuple(end[k] - begin[k] for k in blocks.kept)
                own = States(self._reduced.kind(kept, array.dtype))
            flags |= _taken(own, array, mask, blocks.axes, blocks.first(begin), blocks.numbers)
            done += array.nbytes
        assert own is not None
        with self._lock:
            whole, left = self._begun.pop(tile, (None, self._runs))
            if whole is not None:
                flags |= own.states.combine(whole.states)
            self._flags |= flags
            if left > 1:
                self._begun[tile] = own, left - 1
                return done
        self._tell(self._finish_tile(own, begin, end))
        return done


class _InTurn(_Task):
    """Pieces that are taken in one after the other; while one is, the next are read."""

    def __init__(self, blocks: _Blocks, result: Array, reduced: Reduced, reader: Reader) -> None:
        super().__init__(blocks.tiles * blocks.pieces, blocks, result, reduced, reader)
        self._changed = threading.Condition(self._lock)
        #: By tile that is begun: the piece whose turn it is, and what was taken in before.
        self._begun: dict[int, tuple[int, States | Tree]] = {}

    def take(self, worker: int, number: int) -> int:
        """Take a piece in when it is its turn."""
        blocks = self._blocks
        tile, piece = divmod(number, blocks.pieces)
        begin, end = blocks.bounds(tile, piece)
        array, mask = self._read(worker, begin, end)
        kind = self._reduced.kind(tuple(end[k] - begin[k] for k in blocks.kept), array.dtype)
        where = without(mask, None)
        chunk = Chunk((array,), blocks.axes, where)
        first = blocks.first(begin)
        states, flags = None, 0
        if blocks.level is not None:
            # A complete subtree, whose state does not depend on what comes before.
            states, flags = state_of(kind, chunk.arrays, where, ALONE)
        store = self._wait(tile, piece, kind)
        if store is None:
            return 0
        if states is not None and isinstance(store, Tree):
            assert blocks.level is not None
            flags |= store.with_state(states, blocks.level, piece + 1 == blocks.pieces)
        else:
            store, more = store.with_chunk(chunk, first, ALONE)
            flags |= more
        last = piece + 1 == blocks.pieces
        with self._changed:
            self._flags |= flags
            if last:
                del self._begun[tile]
            else:
                self._begun[tile] = piece + 1, store
            self._changed.notify_all()
        if last:
            self._tell(self._finish_tile(store, begin, end))
        return array.nbytes

    def _wait(self, tile: int, piece: int, kind: Kind) -> States | Tree | None:
        """Wait until it is the turn of a piece: return what was taken in, None if cancelled."""
        with self._changed:
            if piece == 0:
                self._begun[tile] = 0, store_of(kind)(kind)
            while not self._cancelled:
                # Tasks are begun in order: whoever has the turn is at work.
                turn, store = self._begun.get(tile, (-1, None))
                if turn == piece:
                    return store
                self._changed.wait(0.1)
        return None


# ---- arrays that come one after the other ----


def _reduce_chunks(
    source: Chunks, axes: tuple[int, ...], result: Array, reduced: Reduced, options: Options
) -> int:
    if source.ndim and 0 not in axes:
        raise TypeError(
            f"axis must have axis 0 for {source!r}, whose arrays follow each other along it, got "
            f"{axes}"
        )
    if reduced.numbered and len(axes) > 1 and len(axes) < source.ndim:
        raise TypeError(f"axis must be None or 0 for {source!r}, got {axes}")
    workers = engine.resolve_workers(options.workers, 1 << 62)
    job = _Feed(source, axes, result, reduced, workers)
    return engine.run_job(job, workers, options.executor, options.progress)


class _Feed:
    """Chunks that the calling thread fetches, and that whoever is free takes in.

    No more are fetched ahead than there are workers. A chunk that its iterator may change is shared
    out among them, and taken in before the next one is asked for: a copy would take longer.
    """

    settles = False

    def __init__(
        self, source: Chunks, axes: tuple[int, ...], result: Array, reduced: Reduced, workers: int
    ) -> None:
        self._source = source
        self._chunks = source.chunks()
        self._all = len(axes) == source.ndim
        self._axes = axes
        self._result = result
        self._reduced = reduced
        self._kept = kept_shapes(source.shape, axes)[0]
        self._kind = reduced.kind(self._kept, source.dtype)
        self._in_order = self._kind.in_order
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, int, Array, Array | None]] = deque()
        self._workers = workers
        self._put = 0  # how many chunks, or shares of them, were put there to wait
        self._left = 0  # how many of them are not taken in yet
        self._lent = False  # whether these are the iterator's
        self._turn = 0  # the one that is to be taken in next, if that is to be in order
        self._first = 0  # the number of the next chunk's first element
        self._over = False
        self._cancelled = False
        self._flags = 0
        self._done = 0
        self._stores: list[States | Tree] = [
            store_of(self._kind)(self._kind) for _ in range(1 if self._in_order else workers)
        ]
        self.total = 0

    def work(self, worker: int, nanoseconds: int) -> int:
        """Fetch chunks and take them in until there are no more."""
        try:
            while not self._cancelled:
                if worker == 0 and self._may_fetch():
                    self._fetch()
                elif not self._take(worker):
                    return CANCELLED if self._cancelled else DONE
                if worker == 0:
                    return AGAIN
        except BaseException:
            self.cancel()
            raise
        return CANCELLED

    def _may_fetch(self) -> bool:
        with self._changed:
            waits = self._left > 0 if self._lent else len(self._waiting) >= self._workers
            return not self._over and not waits

    def _fetch(self) -> None:
        pair = next(self._chunks, None)
        if pair is None:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            return
        lasting = self._source.lasting or is_ours(pair)
        array, mask = self._checked(*pair)
        width = array.size // max(1, len(array) * self._kind.outputs)
        shares = [slice(None)] if lasting or self._in_order else self._shares(array)
        with self._changed:
            for share in shares:
                part, left_out = array[share], None if mask is None else mask[share]
                self._waiting.append((self._put, self._first, part, left_out))
                self._put += 1
                self._first += width * len(part)
            self._left += len(shares)
            self._lent = not lasting
            self.total += array.nbytes
            if lasting or len(shares) > 1:
                self._changed.notify_all()  # else the calling thread takes it in by itself

    def _shares(self, array: Array) -> list[slice]:
        """Return where a chunk is cut along its first axis for each worker to take in a part."""
        length = len(array)
        count = max(1, min(self._workers, length, array.nbytes // SHARE_BYTES))
        return [slice(length * k // count, length * (k + 1) // count) for k in range(count)]

    def _checked(self, array: Array, mask: Array | None) -> tuple[Array, Array | None]:
        array = converted(array, self._source.dtype)
        if self._all:
            if array.ndim != 1:
                array = array.reshape(-1)
                mask = None if mask is None else mask.reshape(-1)
        elif (
            array.ndim != self._source.ndim or kept_shapes(array.shape, self._axes)[0] != self._kept
        ):
            raise ValueError(
                f"chunks must have the shape {self._kept} without the reduced axes {self._axes}, "
                f"got shape {array.shape}"
            )
        return array, mask

    def _take(self, worker: int) -> bool:
        """Take a chunk in as soon as there is one; False if there are no more."""
        with self._changed:
            while not self._waiting:
                if self._over or self._cancelled:
                    return False
                if worker == 0 and self._may_fetch():
                    return True
                self._changed.wait(0.1)
            number, first, array, mask = self._waiting.popleft()
            while self._in_order and self._turn != number:
                if self._cancelled:
                    return False
                self._changed.wait(0.1)
        flags = 0
        if array.size:
            axes = (0,) if self._all else self._axes
            if self._in_order:
                chunk = Chunk((array,), axes, without(mask, None))
                self._stores[0], flags = self._stores[0].with_chunk(chunk, first, ALONE)
            else:
                states = self._stores[worker]
                assert isinstance(states, States)
                flags = _taken(states, array, mask, axes, first, None)
        with self._changed:
            self._flags |= flags
            self._done += array.nbytes
            self._left -= 1
            self._turn = number + 1
            if self._in_order or worker != 0:  # for whoever waits for the turn, or to fetch
                self._changed.notify_all()
        return True

    def cancel(self) -> None:
        """Make every worker stop after its chunk."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def bytes_done(self) -> int:
        """Return how many bytes were taken in so far."""
        return self._done

    def finish(self) -> int:
        """Combine the states and write the results; return flags."""
        whole, flags = self._stores[0], self._flags
        if isinstance(whole, Tree):
            whole, more = whole.joined()
            flags |= more
        for other in self._stores[1:]:
            assert isinstance(other, States)
            flags |= whole.states.combine(other.states)
        return flags | _finish(whole, self._reduced, self._result)


# ---- sources as chunks ----


def read_through(
    source: Source,
    axes: tuple[int, ...],
    progress: Progress,
    take: Callable[[Array, Array | None], None],
) -> None:
    """Give a source, piece by piece, to a function."""
    with engine.reporting(progress, source.nbytes) as report:
        done = 0
        for array, mask in pieces_of(source, axes):
            take(array, mask)
            done += array.nbytes
            if report:
                report(done, max(done, source.nbytes))


def pieces_of(source: Source, axes: tuple[int, ...]) -> Iterator[tuple[Array, Array | None]]:
    """Give a source as chunks that follow each other along the first of the axes.

    Each is good until the next one is asked for.
    """
    if isinstance(source, Chunks):
        yield from source.chunks()
        return
    if len(axes) == source.ndim != 1 and source.order == "C" and source.size:
        flat = source.flat()
        if flat is not None:
            source, axes = flat, (0,)
    whole = (0,) * source.ndim, source.shape
    with closing(source.reader()) as reader:
        for bounds in _in_c_order(source, axes, *whole) if axes and source.size else [whole]:
            yield reader.read(0, *bounds)


def _in_c_order(
    source: Source, axes: tuple[int, ...], begin: tuple[int, ...], end: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Give the bounds of blocks along the first of the axes, and the next ones if all are given."""
    axis = axes[0]
    width = source.dtype.itemsize * count_of(
        tuple(b - a for k, (a, b) in enumerate(zip(begin, end, strict=True)) if k != axis)
    )
    chunk = 1 if source.grid is None else source.grid[axis]
    step = max(BLOCK_BYTES // width, 1)
    step = max(step - step % chunk, chunk)
    inner = len(axes) > 1 and axis + len(axes) == source.ndim and width > ROW_BYTES
    for place in range(begin[axis], end[axis], 1 if inner else step):
        stop = min(place + (1 if inner else step), end[axis])
        bounds = (*begin[:axis], place, *begin[axis + 1 :]), (*end[:axis], stop, *end[axis + 1 :])
        if inner:
            yield from _in_c_order(source, axes[1:], *bounds)
        else:
            yield bounds
