"""States that are filled piece by piece: those of exact reductions, and those in fixed trees.

Both have the same methods. What changes them gives a new one instead, so that whoever is
interrupted still has the old one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from parsum import engine
from parsum.api.arguments import ALONE, Array, DType, Options
from parsum.api.views import SMALL_BYTES, view_of
from parsum.fused import Fused
from parsum.reduction import LEAF, NULL, Row, StateArray, buffer_of, type_of

#: Bytes of the pieces in which chunks that are not contiguous are copied for a fixed tree.
_PIECE = 1 << 22

#: Most numbers that a damaged file may make a tree count with.
_MOST_LEVELS = 60


class Chunk(NamedTuple):
    """Arrays of one shape, the axes to reduce, and which elements to take."""

    arrays: tuple[Array, ...]
    axes: tuple[int, ...]
    where: Array | None


@dataclass(frozen=True, slots=True)
class Kind:
    """What all states of an accumulator have in common."""

    row: Row
    parameter: float
    shape: tuple[int, ...]  # of the outputs
    dtypes: tuple[DType, ...]  # of the elements
    numbered: bool
    skip_nan: bool
    in_order: bool
    #: How many results there are.
    outputs: int = field(init=False)
    #: Whether a single C call takes contiguous elements in.
    as_they_are: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", count_of(self.shape))
        as_they_are = (
            self.outputs == 1
            and not self.skip_nan
            and all(type_of(dtype) == self.row.element for dtype in self.dtypes)
        )
        object.__setattr__(self, "as_they_are", as_they_are)


class States:
    """One state for each output: for reductions to which the order of elements is nothing."""

    __slots__ = ("kind", "states")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.states = StateArray(kind.row, kind.outputs, kind.parameter)

    def take(
        self, chunk: Chunk, first: int, options: Options, numbers: tuple[int, ...] | None = None
    ) -> int:
        """Take in a chunk whose elements are numbered from ``first`` on; return flags.

        ``numbers`` says what a step along each axis adds, if that is not so in C order.
        """
        a, *others = chunk.arrays
        kind = self.kind
        records: Array = self.states.rows.reshape(*kind.shape, kind.row.state_size)
        view = view_of(
            a, chunk.axes, records, type_of(a.dtype), 0, where=chunk.where,
            numbered=kind.numbered, in_order=kind.in_order, other=others[0] if others else None,
            numbers=numbers,
        )  # fmt: skip
        view.first += first if kind.numbered else 0
        view.skip_nan = kind.skip_nan
        view.parameter = kind.parameter
        view.into_states = True
        nbytes = sum(array.nbytes for array in chunk.arrays)
        return engine.run(
            kind.row, view, nbytes, (chunk, self.states), options.workers, options.executor,
            options.progress,
        )  # fmt: skip

    def take_buffer(self, a: Array, b: Array | None) -> bool:
        """Take in contiguous arrays of the kernels' dtype by one C call; False if it cannot be."""
        try:
            data = buffer_of(a)
            if b is None:
                self.states.accumulate(data, a.size, a.itemsize)
            else:
                self.states.accumulate_pairs(data, buffer_of(b), a.size, a.itemsize)
        except (ValueError, BufferError):
            return False
        return True

    def with_chunk(self, chunk: Chunk, first: int, options: Options) -> tuple[States, int]:
        """Return new states with a chunk that comes after, and flags; these stay as they are."""
        new = States(self.kind)
        flags = new.take(chunk, first, options)
        return self._before(new, flags)

    def count_on(self, number: int) -> None:
        """Tell the states the number of the element that comes next, for ``take_buffer``."""
        if self.kind.numbered:
            self.states.place(number)

    def with_other(self, other: States, first: int) -> tuple[States, int]:
        """Return new states with those of elements that come after, numbered from ``first`` on."""
        new = other.copy()
        if self.kind.numbered:
            new.states.shift(first)
        return self._before(new, 0)

    def _before(self, later: States, flags: int) -> tuple[States, int]:
        if self.kind.in_order:
            new = self.copy()
            return new, flags | new.states.combine(later.states)
        return later, flags | later.states.combine(self.states)

    def copy(self) -> States:
        """Return equal states."""
        copy = States.__new__(States)
        copy.kind, copy.states = self.kind, self.states.copy()
        return copy

    def values(self, type_: int, results: Array) -> int:
        """Write the results of all outputs; return flags."""
        return self.states.finish(type_, results)

    def dump(self) -> list[bytes]:
        """Return what ``loaded`` makes equal states of."""
        return [self.states.dump(self.kind.parameter)]

    @classmethod
    def loaded(cls, kind: Kind, data: list[bytes]) -> States | None:
        """Return states equal to those that ``dump`` was of; None if the bytes are none."""
        width = kind.row.state_size - kind.row.header
        # No memory is asked for that the bytes do not fill.
        if len(data) != 1 or len(data[0]) != kind.outputs * width:
            return None
        states = cls(kind)
        return states if states.states.load(data[0]) else None


class Tree:
    """Leaves of LEAF elements and their tree, for reductions whose order of combination shows.

    It is the tree of the walker: complete subtrees stand on a stack, each less high than the one
    before, and equal ones are joined at once. Elements that do not yet make a leaf wait as they
    are. A merge is no part of that tree: what was there is joined and stands before all that comes.
    No state is changed once it is on the stack.
    """

    __slots__ = ("before", "kind", "leaves", "stack", "waiting", "waiting_where")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.leaves = 0
        self.stack: list[tuple[int, States]] = []
        self.waiting: tuple[Array, ...] = ()
        self.waiting_where: Array | None = None
        self.before: States | None = None

    def copy(self) -> Tree:
        """Return an equal tree."""
        copy = Tree(self.kind)
        copy.leaves = self.leaves
        copy.stack = self.stack.copy()
        copy.waiting, copy.waiting_where = self.waiting, self.waiting_where
        copy.before = self.before
        return copy

    def with_chunk(self, chunk: Chunk, first: int, options: Options) -> tuple[Tree, int]:
        """Return a new tree with a chunk that comes after, and flags; this one stays as it is."""
        new = self.copy()
        flags = 0
        for arrays, where in _pieces(chunk):
            flags |= new._append(arrays, where, options)
        return new, flags

    def with_buffers(self, a: Array, b: Array | None, options: Options) -> tuple[Tree, int]:
        """Do what with_chunk does, of contiguous vectors of the kernels' dtype."""
        leaves, rest = divmod(a.size, LEAF)
        if rest or self.waiting or leaves & (leaves - 1) or self.leaves & (leaves - 1):
            return self.with_chunk(Chunk((a,) if b is None else (a, b), (0,), None), 0, options)
        # One complete subtree.
        new, states = self.copy(), States(self.kind)
        data, other = buffer_of(a), NULL if b is None else buffer_of(b)
        flags = states.states.become(self.kind.parameter, data, other, a.size)
        return new, flags | new._join(states, leaves.bit_length() - 1)

    def _append(self, arrays: tuple[Array, ...], where: Array | None, options: Options) -> int:
        """Take in elements along the first axis of arrays."""
        flags = 0
        n = len(arrays[0])
        begin = 0
        missing = LEAF - len(self.waiting[0]) if self.waiting else 0
        if missing:
            begin = min(missing, n)
            self._wait(arrays, where, 0, begin)
            if begin < missing:
                return flags
            flags |= self._push(self.waiting, self.waiting_where, 0, options)
            self.waiting, self.waiting_where = (), None
        while n - begin >= LEAF:
            # The largest complete subtree that begins here and that there are elements for.
            level = ((n - begin) // LEAF).bit_length() - 1
            if self.leaves:
                level = min(level, (self.leaves & -self.leaves).bit_length() - 1)
            end = begin + (LEAF << level)
            part = tuple(array[begin:end] for array in arrays)
            flags |= self._push(part, None if where is None else where[begin:end], level, options)
            begin = end
        if begin < n:
            self._wait(arrays, where, begin, n)
        return flags

    def _wait(self, arrays: tuple[Array, ...], where: Array | None, begin: int, end: int) -> None:
        parts = tuple(array[begin:end] for array in arrays)
        before = len(self.waiting[0]) if self.waiting else 0
        if where is not None or self.waiting_where is not None:
            new = np.ones(parts[0].shape, bool) if where is None else where[begin:end]
            old = self.waiting_where
            if old is None:
                old = np.ones((before, *parts[0].shape[1:]), bool)
            self.waiting_where = np.concatenate([old, new])
        # Of the dtype that all have, whatever the byte order of a chunk.
        parts = tuple(
            np.array(part, dtype, order="C")
            for part, dtype in zip(parts, self.kind.dtypes, strict=True)
        )
        if before:
            pairs = zip(self.waiting, parts, strict=True)
            parts = tuple(np.concatenate(pair) for pair in pairs)
        self.waiting = parts

    def _push(
        self, arrays: tuple[Array, ...], where: Array | None, level: int, options: Options
    ) -> int:
        states, flags = state_of(self.kind, arrays, where, options)
        return flags | self._join(states, level)

    def _join(self, states: States, level: int) -> int:
        """Put the state of so high a subtree on the stack; return flags."""
        flags = 0
        self.leaves += 1 << level
        while self.stack and self.stack[-1][0] == level:
            left = self.stack.pop()[1].copy()
            flags |= left.states.combine(states.states)
            states = left
            level += 1
        self.stack.append((level, states))
        return flags

    def with_state(self, states: States, level: int, last: bool) -> int:
        """Put the state of so high a subtree on the stack, or of what is left at the end."""
        if not last:
            return self._join(states, level)
        self.stack.append((-1, states))
        return 0

    def joined(self) -> tuple[States, int]:
        """Return the state of all elements; nothing changes."""
        whole, flags = None, 0
        if self.waiting:
            whole, flags = state_of(self.kind, self.waiting, self.waiting_where, ALONE)
        rest = [states for _, states in self.stack]
        if self.before is not None:
            rest.insert(0, self.before)
        for states in reversed(rest):
            if whole is None:
                whole = states.copy()
            else:
                left = states.copy()
                flags |= left.states.combine(whole.states)
                whole = left
        return States(self.kind) if whole is None else whole, flags

    def with_other(self, other: Tree, first: int) -> tuple[Tree, int]:
        """Return a new tree with another, whose elements come after, and flags."""
        if not (other.stack or other.waiting or other.before):
            return self.copy(), 0
        if not (self.stack or self.waiting or self.before):
            return other.copy(), 0
        new = Tree(self.kind)
        whole, flags = self.joined()
        later, more = other.joined()
        new.before = whole
        return new, flags | more | whole.states.combine(later.states)

    def count_on(self, number: int) -> None:
        """Do nothing: places of elements and a fixed tree do not go together."""

    def values(self, type_: int, results: Array) -> int:
        """Write the results of all outputs; return flags."""
        whole, flags = self.joined()
        return flags | whole.values(type_, results)

    def dump(self) -> list[bytes]:
        """Return what ``loaded`` makes an equal tree of."""
        levels = np.array([level for level, _ in self.stack], "<i8").tobytes()
        where = b"" if self.waiting_where is None else self.waiting_where.tobytes()
        before = b"" if self.before is None else self.before.dump()[0]
        arrays = [array.tobytes() for array in self.waiting]
        return [
            levels, before, where, len(arrays).to_bytes(1, "little"), *arrays,
            *(states.dump()[0] for _, states in self.stack),
        ]  # fmt: skip

    @classmethod
    def loaded(cls, kind: Kind, data: list[bytes]) -> Tree | None:
        """Return a tree equal to that which ``dump`` was of; None if the bytes are none."""
        counts = (b"\0", bytes([len(kind.dtypes)]))
        if len(data) < 4 or len(data[0]) % 8 or data[3] not in counts:
            return None
        levels = [int(level) for level in np.frombuffer(data[0], "<i8")]
        arrays, nodes = data[4 : 4 + data[3][0]], data[4 + data[3][0] :]
        if len(nodes) != len(levels) or not all(a > b for a, b in pairwise(levels)):
            return None
        if levels and not 0 <= levels[-1] <= levels[0] <= _MOST_LEVELS:
            return None
        tree = cls(kind)
        tree.leaves = sum(1 << level for level in levels)
        for level, node in zip(levels, nodes, strict=True):
            states = States.loaded(kind, [node])
            if states is None:
                return None
            tree.stack.append((level, states))
        if data[1]:
            tree.before = States.loaded(kind, [data[1]])
            if tree.before is None:
                return None
        whole = tree._load_waiting(arrays, data[2]) if arrays else not data[2]
        return tree if whole else None

    def _load_waiting(self, arrays: list[bytes], where: bytes) -> bool:
        waiting: list[Array] = []
        for text, dtype in zip(arrays, self.kind.dtypes, strict=True):
            row = self.kind.outputs * dtype.itemsize
            if not row or len(text) % row or not 0 < len(text) // row < LEAF:
                return False
            array: Array = np.frombuffer(text, dtype).reshape(-1, *self.kind.shape).copy()
            if waiting and len(array) != len(waiting[0]):
                return False
            waiting.append(array)
        self.waiting = tuple(waiting)
        if where:
            if len(where) != waiting[0].size or max(where) > 1:
                return False
            self.waiting_where = np.frombuffer(where, bool).reshape(waiting[0].shape).copy()
        return True


def state_of(
    kind: Kind, arrays: tuple[Array, ...], where: Array | None, options: Options
) -> tuple[States, int]:
    """Return the state of elements along the first axis of arrays, and flags."""
    states = States(kind)
    a, b = arrays[0], arrays[1] if len(arrays) > 1 else None
    if (
        where is None
        and kind.row.on_stack
        and kind.as_they_are
        and a.nbytes <= SMALL_BYTES
        and all(k.dtype.isnative and k.flags.aligned for k in arrays)
    ):
        try:
            data, other = buffer_of(a), NULL if b is None else buffer_of(b)
            return states, states.states.become(kind.parameter, data, other, a.size)
        except (ValueError, BufferError):
            pass  # not contiguous
    return states, states.take(Chunk(arrays, (0,), where), 0, options)


def store_of(kind: Kind) -> type[States | Tree]:
    """Return what keeps states of a kind."""
    return Tree if kind.row.ordered else States


def _pieces(chunk: Chunk) -> Iterator[tuple[tuple[Array, ...], Array | None]]:
    """Give a chunk with its reduced axes joined as the first axis, in C order, piece by piece.

    An expression is computed a piece at a time.
    """
    if chunk.where is None and all(
        type(array) is np.ndarray and array.ndim == 1 for array in chunk.arrays
    ):
        yield chunk.arrays, None
        return
    arrays: list[Any] = [*chunk.arrays, *(() if chunk.where is None else (chunk.where,))]
    fused = any(isinstance(array, Fused) for array in arrays)
    ndim, axes = arrays[0].ndim, chunk.axes
    kept = [k for k in range(ndim) if k not in axes]
    arrays = [each(array, lambda a: a.transpose((*axes, *kept))) for array in arrays]
    count = len(axes)
    if count == 0:
        arrays = [each(array, lambda a: a[None]) for array in arrays]
        count = 1
    shape = arrays[0].shape
    last = tuple(shape[count:])
    whole = not fused and (count == 1 or all(array.flags.c_contiguous for array in arrays))
    length = shape[0]
    size = max(1, arrays[0].dtype.itemsize * count_of(shape[1:]))
    step = length if whole else max(1, _PIECE // size)
    for begin in range(0, length, max(step, 1)):
        part = slice(begin, begin + step)
        parts = tuple(
            _computed(each(array, itemgetter(part))).reshape(-1, *last) for array in arrays
        )
        if chunk.where is None:
            yield parts, None
        else:
            yield parts[:-1], parts[-1]


def each(array: Any, change: Callable[[Array], Array]) -> Any:
    """Change an array, or all those of an expression alike."""
    return array.each(change) if isinstance(array, Fused) else change(array)


def _computed(array: Any) -> Array:
    result: Array = array.computed() if isinstance(array, Fused) else array
    return result


def layout() -> list[Any]:
    """Return what must agree between machines for states to mean the same."""
    return [sys.byteorder, int(np.finfo(np.longdouble).nmant), np.dtype(np.longdouble).itemsize]


def count_of(shape: tuple[int, ...]) -> int:
    """Return how many elements an array of that shape has."""
    count = 1
    for length in shape:
        count *= length
    return count
