"""A reduction by Python functions as work for the engine: slices of the array, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from parsum.api.arguments import Array
from parsum.api.tasks import Tasks
from parsum.custom import PythonFunctions


class PythonJob(Tasks):
    """Slices of an array, each a task.

    The states of an output are combined in the tree that the walker has too: node ``(level, k)`` is
    of slices ``k * 2**level`` up to ``(k + 1) * 2**level``, and has two equal halves. What is left
    over at the end is joined from the last (the least) to the first.
    """

    def __init__(
        self,
        functions: PythonFunctions,
        array: Array,
        axes: tuple[int, ...],
        included: Array | None,
    ) -> None:
        kept = [k for k in range(array.ndim) if k not in axes]
        order = (*kept, *axes)
        shape = tuple(array.shape[k] for k in kept)
        self._functions = functions
        self._array = array.transpose(order)
        self._included = None if included is None else included.transpose(order)
        self._outputs = list(np.ndindex(*shape))
        length = 1
        for k in axes:
            length *= array.shape[k]
        self._slices = max(1, -(-length // functions.chunk))
        self._nodes: dict[tuple[int, int, int], Any] = {}
        super().__init__(len(self._outputs) * self._slices, array.nbytes)
        #: One for each output, in C order, once the work is finished.
        self.results: list[Any] = []

    def take(self, worker: int, number: int) -> int:
        """Make the state of a slice, and join it to those that are its neighbours in the tree."""
        output, number = divmod(number, self._slices)
        functions = self._functions
        begin = number * functions.chunk
        elements = _slice(self._array[self._outputs[output]], begin, functions.chunk)
        size = elements.nbytes
        if self._included is not None:
            elements = elements[
                _slice(self._included[self._outputs[output]], begin, functions.chunk)
            ]
        state = functions.accumulate(functions.identity(), elements)
        level = 0
        while True:
            with self._lock:
                other = self._nodes.pop((output, level, number ^ 1), _NOTHING)
                if other is _NOTHING:
                    self._nodes[output, level, number] = state
                    return size
            state = (
                functions.combine(other, state) if number & 1 else functions.combine(state, other)
            )
            number >>= 1
            level += 1

    def finish(self) -> int:
        """Join what is left of each output's tree and make the results; return no flags."""
        left: dict[int, list[tuple[int, Any]]] = {}
        for (output, level, number), state in self._nodes.items():
            left.setdefault(output, []).append((number << level, state))
        for output in range(len(self._outputs)):
            # By place alone: states need not be comparable.
            states = [state for _, state in sorted(left[output], key=lambda node: node[0])]
            whole = states.pop()
            while states:
                whole = self._functions.combine(states.pop(), whole)
            finish = self._functions.finish
            self.results.append(whole if finish is None else finish(whole))
        self._nodes.clear()
        return 0


_NOTHING = object()


def _slice(array: Array, begin: int, count: int) -> Array:
    """Return elements in C order as a 1-D array, a view if that can be, read-only."""
    if array.flags.c_contiguous:
        part = array.reshape(-1)[begin : begin + count]
    elif array.ndim == 1:
        part = array[begin : begin + count]
    else:
        part = array.flat[begin : begin + count]
    part.flags.writeable = False
    return part
