"""States of Python functions that are filled piece by piece, in the tree of one call over all."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from parsum import engine
from parsum.api.arguments import Array, DType, Options
from parsum.api.python_job import Elements, Nodes, PythonJob, combined, joined, taken
from parsum.api.states import Chunk, count_of
from parsum.custom import PythonFunctions


class PythonTree:
    """What ``Tree`` is for rows of the table: trees of slices, and elements that make none yet.

    What changes it gives a new one. As ``combine`` may change the state that comes first, states
    are copied (``copy.deepcopy``) before they are combined with later ones.
    """

    __slots__ = ("before", "dtype", "functions", "leaves", "nodes", "outputs", "waiting")

    #: Chunks are taken in one after the other, and never by one C call.
    in_order = True
    numbered = False
    as_they_are = False

    def __init__(self, functions: PythonFunctions, shape: tuple[int, ...], dtype: DType) -> None:
        self.functions = functions
        self.outputs = count_of(shape)
        self.dtype = dtype
        #: Slices of each output that are taken in.
        self.leaves = 0
        self.nodes: Nodes = {}
        #: Elements of each output along the second axis, and which of them to take.
        self.waiting: tuple[tuple[Array, Array | None], ...] = ()
        #: States of what was there before a merge, which is no part of the tree.
        self.before: list[Any] | None = None

    @property
    def kind(self) -> PythonTree:
        """What says how chunks may be taken in: for all but this, states of rows have it apart."""
        return self

    def copy(self) -> PythonTree:
        """Return an equal tree."""
        new = object.__new__(PythonTree)
        for name in PythonTree.__slots__:
            setattr(new, name, getattr(self, name))
        return new

    def with_chunk(self, chunk: Chunk, first: int, options: Options) -> tuple[PythonTree, int]:
        """Return a new tree with a chunk that comes after, and no flags; this one stays so."""
        functions = self.functions
        elements = Elements(chunk.arrays[0], chunk.axes, chunk.where, copies=True)
        waited = sum(values.shape[1] for values, _ in self.waiting)
        slices, rest = divmod(waited + elements.length, functions.chunk)
        new = self.copy()
        if slices:
            job = PythonJob(functions, elements, slices, self.leaves)
            job.nodes = copy.deepcopy(self.nodes)
            job.before = _side_by_side(self.waiting)
            workers = engine.resolve_workers(options.workers, elements.nbytes)
            engine.run_job(job, workers, options.executor, options.progress)
            new.nodes, new.leaves, new.waiting = job.nodes, self.leaves + slices, ()
        count = min(rest, elements.length)
        if count and self.outputs:
            new._wait(elements, elements.length - count, count)
        return new, 0

    def _wait(self, elements: Elements, begin: int, count: int) -> None:
        outputs = range(self.outputs)
        values = np.stack([elements.piece(k, begin, count) for k in outputs])
        wheres = (elements.included(k, begin, count) for k in outputs)
        included = [where for where in wheres if where is not None]
        where = np.stack(included) if included else None
        pieces = [*self.waiting, (values, where)]
        # Each at least twice as long as the next, so that an element is copied a few times only.
        while len(pieces) > 1 and pieces[-2][0].shape[1] < 2 * pieces[-1][0].shape[1]:
            last = _side_by_side(tuple(pieces[-2:]))
            assert last is not None
            pieces[-2:] = [last]
        self.waiting = tuple(pieces)

    def count_on(self, number: int) -> None:
        """Do nothing: functions in Python know nothing of the places of elements."""

    def _whole(self) -> list[Any]:
        """Return the state of all elements of each output, which nobody else holds."""
        functions = self.functions
        states = joined(self.outputs, self.nodes, copy.deepcopy)
        waited = _side_by_side(self.waiting)
        for k, some in enumerate(states):
            if self.before is not None:
                some.insert(0, copy.deepcopy(self.before[k]))
            if waited is not None:
                values, where = waited
                last = taken([(values[k], None if where is None else where[k])])
                some.append(functions.accumulate(functions.identity(), last))
            elif not some:
                empty = np.empty(0, self.dtype)
                some.append(functions.accumulate(functions.identity(), empty))
        return [combined(functions, some) for some in states]

    def with_other(self, other: PythonTree, first: int) -> tuple[PythonTree, int]:
        """Return a new tree with another, whose elements come after, and no flags."""
        if not other.is_begun:
            return self.copy(), 0
        if not self.is_begun:
            return other.copy(), 0
        new = self.copy()
        new.leaves, new.nodes, new.waiting = 0, {}, ()
        pairs = zip(self._whole(), other._whole(), strict=True)
        new.before = [self.functions.combine(mine, later) for mine, later in pairs]
        return new, 0

    @property
    def is_begun(self) -> bool:
        """Whether it has elements."""
        return bool(self.nodes or self.waiting or self.before is not None)

    def results(self) -> list[Any]:
        """Return the result of each output."""
        finish = self.functions.finish
        return [state if finish is None else finish(state) for state in self._whole()]

    # ---- for pickles ----

    def parts(self) -> tuple[Any, ...]:
        """Return what ``loaded`` makes an equal tree of."""
        return self.leaves, self.nodes, self.waiting, self.before

    def loaded(self, parts: Any) -> PythonTree | None:
        """Return a tree of this kind with such parts; None if they do not go together."""
        new = self.copy()
        try:
            new.leaves, new.nodes, new.waiting, new.before = parts
            complete = type(new.leaves) is int and set(new.nodes) == {
                (output, level, (new.leaves >> level) - 1)
                for output in range(self.outputs)
                for level in range(new.leaves.bit_length())
                if new.leaves >> level & 1
            }
            waited = all(
                values.dtype == self.dtype
                and values.ndim == 2
                and len(values) == self.outputs
                and (where is None or (where.dtype == bool and where.shape == values.shape))
                for values, where in new.waiting
            )
            few = sum(values.shape[1] for values, _ in new.waiting) < self.functions.chunk
            before = new.before is None or len(new.before) == self.outputs
        except (TypeError, ValueError, AttributeError):
            return None
        return new if complete and waited and few and before else None


def _side_by_side(
    pieces: tuple[tuple[Array, Array | None], ...],
) -> tuple[Array, Array | None] | None:
    """Return pieces of all outputs as one; None if there are none."""
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    values = np.concatenate([values for values, _ in pieces], axis=1)
    if all(where is None for _, where in pieces):
        return values, None
    wheres = [np.ones(v.shape, bool) if where is None else where for v, where in pieces]
    return values, np.concatenate(wheres, axis=1)
