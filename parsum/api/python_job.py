"""A reduction by Python functions as work for the engine: slices of the array, one at a time."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from parsum.api.arguments import Array
from parsum.custom import PythonFunctions
from parsum.reduction import AGAIN, DONE

_CANCELLED = 2


class PythonJob:
    """Slices, numbered; whoever is free takes the next one.

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
        self._length = length
        self._slices = max(1, -(-length // functions.chunk))
        self._nodes: dict[tuple[int, int, int], Any] = {}
        self._lock = threading.Lock()
        self._next = 0
        self._done = 0
        self._cancelled = False
        self.total = array.nbytes
        #: One for each output, in C order, once the work is finished.
        self.results: list[Any] = []

    def work(self, worker: int, nanoseconds: int) -> int:
        """Take slices until none is left, the job is cancelled or the time is over."""
        end = time.monotonic_ns() + nanoseconds
        while True:
            with self._lock:
                number = self._next
                if number >= len(self._outputs) * self._slices:
                    return DONE
                self._next += 1
            try:
                self._take(*divmod(number, self._slices))
            except BaseException:
                self._cancelled = True
                raise
            if self._cancelled:
                return _CANCELLED
            if time.monotonic_ns() > end:
                return AGAIN

    def _take(self, output: int, number: int) -> None:
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
                    self._done += size
                    return
            state = (
                functions.combine(other, state) if number & 1 else functions.combine(state, other)
            )
            number >>= 1
            level += 1

    def cancel(self) -> None:
        """Make every worker stop at its next slice."""
        self._cancelled = True

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

    def bytes_done(self) -> int:
        """Return how many bytes were taken in so far."""
        return self._done


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
