"""Arrays that come one after the other: iterators, and files that are read so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import chain, starmap
from typing import Any

import numpy as np

from parsum.sources.base import Array, DType, Place, Source, parted, without_infinite

Pair = tuple[Array, Array | None]


class Chunks(Source):
    """Arrays that come one after the other, along the first axis, as one array.

    Its shape is that of the first chunk with any elements: how many follow is not known.

    Attributes
    ----------
    lasting : bool
        Whether chunks stay as they are for good; if not, some may only until the next one is asked
        for.
    """

    __slots__ = ("_chunks", "_name", "lasting")

    sequential = True
    may_leave_out = True

    def __init__(
        self,
        dtype: DType,
        shape: Place,
        name: str,
        chunks: Callable[[], Iterator[Pair]],
        *,
        lasting: bool,
    ) -> None:
        super().__init__(dtype, shape)
        self._chunks = chunks
        self._name = name
        self.lasting = lasting

    def named(self) -> str:
        """Return what the source is called in messages."""
        return self._name

    def chunks(self) -> Iterator[Pair]:
        """Begin: give each chunk and which of its elements are left out, if any."""
        return self._chunks()

    def finite(self) -> Chunks:
        """Return the same without elements that are infinite or not a number."""
        return Chunks(
            self.dtype, self.shape, self._name, lambda: starmap(without_infinite, self._chunks()),
            lasting=self.lasting,
        )  # fmt: skip


def chunks_of(iterator: Iterator[Any]) -> Chunks:
    """Return what an iterator gives as a source, which can be reduced once."""
    begun = [_pair(chunk) for chunk in _until_elements(iterator)]
    if not begun:
        raise ValueError("a must be an iterator of arrays, got one that gives none")
    # Of chunks that are all without elements, one that is of some length along the first axis.
    first = max((array for array, _ in begun), key=lambda array: (array.size, array.shape[:1]))
    rest = [chain(begun, map(_pair, iterator))]

    def once() -> Iterator[Pair]:
        if not rest:
            raise ValueError("a must be an iterator that was not reduced yet, got a used one")
        return rest.pop()

    return Chunks(first.dtype, first.shape, f"of {type(iterator).__name__}", once, lasting=False)


def _references(pair: Pair) -> tuple[int, int]:
    return sys.getrefcount(pair[0]), sys.getrefcount(pair[1])


_OURS = _references((np.empty(0), np.empty(0)))


def is_ours(pair: Pair) -> bool:
    """Tell whether nobody else can change a chunk that an iterator gave, wherever it goes on.

    A generator may fill one buffer again and again: whoever holds on to it has a reference to the
    array, or to what its memory belongs to.
    """
    held = _references(pair)
    return all(
        array is None or (array.base is None and array.flags.owndata and count <= ours)
        for array, count, ours in zip(pair, held, _OURS, strict=True)
    )


def _until_elements(iterator: Iterator[Any]) -> Iterator[Any]:
    for chunk in iterator:
        yield chunk
        if np.size(chunk):
            return


def _pair(chunk: Any) -> Pair:
    if isinstance(chunk, np.ma.MaskedArray):
        return parted(chunk)
    return np.asarray(chunk), None
