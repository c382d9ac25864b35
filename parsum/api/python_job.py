"""A reduction by Python functions as work for the engine: slices of the array, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parsum.api.arguments import Array
from parsum.api.states import each
from parsum.api.tasks import Tasks
from parsum.custom import PythonFunctions
from parsum.fused import Fused

#: States by output, level and number: node ``(level, k)`` of an output's tree is of slices
#: ``k * 2**level`` up to ``(k + 1) * 2**level``, and has two equal halves. What a tree has of them
#: when so many slices are taken in are those of the bits of that number.
Nodes = dict[tuple[int, int, int], Any]


class Elements:
    """The elements of each output, one after the other in C order, in 1-D pieces."""

    def __init__(
        self, array: Array | Fused, axes: tuple[int, ...], included: Array | None, copies: bool
    ) -> None:
        """Take what is to be reduced; ``copies`` says that pieces must outlive it."""
        kept = [k for k in range(array.ndim) if k not in axes]
        order = (*kept, *axes)
        self._array = each(array, lambda a: a.transpose(order))
        self._included = None if included is None else included.transpose(order)
        self._copies = copies
        self.outputs = list(np.ndindex(*(array.shape[k] for k in kept)))
        #: How many each output has.
        self.length = 1
        for k in axes:
            self.length *= array.shape[k]
        self.nbytes = array.nbytes

    def piece(self, output: int, begin: int, count: int) -> Array:
        """Return elements of an output, those that are left out among them, read-only."""
        place = self.outputs[output]
        elements = each(self._array, lambda a: _slice(a[place], begin, count))
        part: Array = elements.computed() if isinstance(elements, Fused) else elements
        if self._copies and part is elements:
            part = part.copy()
        part.flags.writeable = False
        return part

    def included(self, output: int, begin: int, count: int) -> Array | None:
        """Return which of these elements to take."""
        if self._included is None:
            return None
        return _slice(self._included[self.outputs[output]], begin, count)


class PythonJob(Tasks):
    """Slices of the elements of outputs, each a task, whose states are joined as they are made."""

    def __init__(
        self, functions: PythonFunctions, elements: Elements, slices: int, first: int = 0
    ) -> None:
        """Take so many slices of each output, after ``first`` ones that were taken in before."""
        self._functions = functions
        self._elements = elements
        self._slices = slices
        self._first = first
        #: What is joined so far.
        self.nodes: Nodes = {}
        #: Elements of each output that stand before the others, and which of them to take.
        self.before: tuple[Array, Array | None] | None = None
        super().__init__(len(elements.outputs) * slices, elements.nbytes)

    def take(self, worker: int, number: int) -> int:
        """Make the state of a slice, and join it to those that are its neighbours in the tree."""
        output, number = divmod(number, self._slices)
        functions = self._functions
        values, size = self._values(output, number)
        state = functions.accumulate(functions.identity(), values)
        number += self._first
        level = 0
        while True:
            with self._lock:
                other = self.nodes.pop((output, level, number ^ 1), _NOTHING)
                if other is _NOTHING:
                    self.nodes[output, level, number] = state
                    return size
            state = (
                functions.combine(other, state) if number & 1 else functions.combine(state, other)
            )
            number >>= 1
            level += 1

    def _values(self, output: int, number: int) -> tuple[Array, int]:
        """Return the elements of a slice, without those that are left out, and their bytes."""
        begin = number * self._functions.chunk
        count = self._functions.chunk
        parts = []
        if self.before is not None:
            waited, where = self.before
            if number == 0:
                parts.append((waited[output], None if where is None else where[output]))
                count -= waited.shape[1]
            else:
                begin -= waited.shape[1]
        parts.append(
            (
                self._elements.piece(output, begin, count),
                self._elements.included(output, begin, count),
            )
        )
        size = sum(values.nbytes for values, _ in parts)
        return taken(parts), size

    def finish(self) -> int:
        """Return no flags."""
        return 0


_NOTHING = object()


def taken(parts: list[tuple[Array, Array | None]]) -> Array:
    """Return the elements of pieces in their order, without those that are left out, read-only."""
    kept = [values if where is None else values[where] for values, where in parts]
    values = kept[0] if len(kept) == 1 else np.concatenate(kept)
    values.flags.writeable = False
    return values


def joined(outputs: int, nodes: Nodes, copied: Callable[[Any], Any]) -> list[list[Any]]:
    """Return what each output's tree is of, in the order of its slices, as ``copied`` has it.

    By place alone: states need not be comparable.
    """
    left: list[list[tuple[int, Any]]] = [[] for _ in range(outputs)]
    for (output, level, number), state in nodes.items():
        left[output].append((number << level, state))
    return [[copied(state) for _, state in sorted(some, key=_place)] for some in left]


def _place(node: tuple[int, Any]) -> int:
    return node[0]


def results_of(functions: PythonFunctions, outputs: int, nodes: Nodes) -> list[Any]:
    """Return the result of each output, of trees that nobody needs any more."""
    finish = functions.finish
    states = joined(outputs, nodes, lambda state: state)
    wholes = [combined(functions, some) for some in states]
    return [whole if finish is None else finish(whole) for whole in wholes]


def combined(functions: PythonFunctions, states: list[Any]) -> Any:
    """Return the state of all slices: what is left over is joined from the last to the first."""
    whole = states.pop()
    while states:
        whole = functions.combine(states.pop(), whole)
    return whole


def _slice(array: Array, begin: int, count: int) -> Array:
    """Return elements in C order as a 1-D array, a view if that can be."""
    if array.flags.c_contiguous:
        return array.reshape(-1)[begin : begin + count]
    if array.ndim == 1:
        return array[begin : begin + count]
    return array.flat[begin : begin + count]
