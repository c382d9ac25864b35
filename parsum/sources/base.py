"""What all sources have: arrays that are not in memory, and how blocks of them are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]
Place = tuple[int, ...]

#: The kinds of dtype that sources may have.
KINDS = "biufcmM"


class Reader(Protocol):
    """An open source: each of several workers reads blocks, any number of times.

    ``close`` is called once, when no worker reads any more.
    """

    def read(self, worker: int, begin: Place, end: Place) -> tuple[Array, Array | None]:
        """Return the elements from ``begin`` to ``end``, and which are to be left out, if any.

        They stay as they are until the worker reads again.
        """

    def close(self) -> None:
        """Let go of what is open."""


class Source:
    """An array that is not in memory, which ``parallel_`` functions of one array take.

    Made by :func:`parsum.open`. It holds no elements and nothing open. They are read as they are
    taken in, block by block, by every worker for itself.

    Attributes
    ----------
    dtype : dtype
        Of the elements.
    shape : tuple of ints
        Of the array.
    ndim, size : int
        Its number of dimensions and of elements.
    """

    __slots__ = ("dtype", "ndim", "shape", "size")

    #: Whether elements are read one after the other, by one worker.
    sequential = False
    #: Whether the last axis ("C") or the first one is that along which elements are read best.
    order = "C"
    #: Lengths of the pieces in which it is stored, which are read as a whole; None if any block is
    #: read as well as any other.
    grid: Place | None = None
    #: Where pieces of different lengths begin, which are read as a whole; of vectors alone.
    cuts: tuple[int, ...] | None = None
    #: Whether some elements may be left out.
    may_leave_out = False

    def __init__(self, dtype: DType, shape: Place) -> None:
        self.dtype = dtype
        self.shape = shape
        self.ndim = len(shape)
        self.size = 1
        for length in shape:
            self.size *= length

    @property
    def nbytes(self) -> int:
        """How many bytes all elements have."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return (
            f"<parsum.{type(self).__name__} {self.named()}: shape {self.shape}, dtype {self.dtype}>"
        )

    def named(self) -> str:
        """Return what the source is called in messages."""
        raise NotImplementedError

    def reader(self) -> Reader:
        """Open it to be read."""
        raise NotImplementedError

    def flat(self) -> Source | None:
        """Return its elements as a vector in the order in which they lie, if they are read so."""
        return self if self.ndim == 1 else None

    def transposed(self) -> Source:
        """Return it with its axes the other way round; for those of order "F"."""
        raise NotImplementedError

    def finite(self) -> Source:
        """Return the same without the elements that are infinite, NaN or NaT.

        They are left out as a mask leaves them out: places still count them.
        """
        return Finite(self)


def check_dtype(dtype: Any, name: str) -> None:
    """Refuse a dtype whose elements cannot be reduced."""
    if (
        not isinstance(dtype, np.dtype)
        or dtype.kind not in KINDS
        or dtype.names is not None
        or dtype.subdtype is not None
    ):
        raise TypeError(
            f"{name} must be of bool, integers, floats, complex numbers or times, got dtype {dtype}"
        )


def without_library(path: str, library: str, extra: str) -> ImportError:
    """Return the error that a file needs a library that is not installed."""
    return ImportError(f"{path} needs {library} to be read: pip install parsum[{extra}]")


def no_member(path: str, member: str | None, names: Iterable[str]) -> ValueError:
    """Return the error that there is no array of that name."""
    known = ", ".join(map(repr, names)) or "(there is none)"
    return ValueError(f"member must be one of {known} of {path}, got {member!r}")


def parted(masked: np.ma.MaskedArray[Any, Any]) -> tuple[Array, Array | None]:
    """Return the elements of a masked array, and which of them are masked, if any may be."""
    mask = np.ma.getmask(masked)
    return np.asarray(masked.data), None if mask is np.ma.nomask else np.asarray(mask)


def without_infinite(array: Array, mask: Array | None) -> tuple[Array, Array | None]:
    """Return elements and which to leave out, with those that are infinite or not a number."""
    if array.dtype.kind not in "fcmM":
        return array, mask
    left_out = ~np.isfinite(array)
    return array, left_out if mask is None else left_out | mask


class Finite(Source):
    """A source whose elements that are infinite or not a number are left out."""

    __slots__ = ("_inner", "cuts", "grid", "order", "sequential")

    may_leave_out = True

    def __init__(self, inner: Source) -> None:
        super().__init__(inner.dtype, inner.shape)
        self._inner = inner
        self.order, self.grid, self.cuts = inner.order, inner.grid, inner.cuts
        self.sequential = inner.sequential

    def named(self) -> str:
        """Return what the source is called in messages."""
        return self._inner.named()

    def reader(self) -> Reader:
        """Open it to be read."""
        return _FiniteReader(self._inner.reader())

    def flat(self) -> Source | None:
        """Return its elements as a vector in the order in which they lie, if they are read so."""
        flat = self._inner.flat()
        return None if flat is None else Finite(flat)

    def transposed(self) -> Source:
        """Return it with its axes the other way round."""
        return Finite(self._inner.transposed())


class _FiniteReader:
    __slots__ = ("_inner",)

    def __init__(self, inner: Reader) -> None:
        self._inner = inner

    def read(self, worker: int, begin: Place, end: Place) -> tuple[Array, Array | None]:
        return without_infinite(*self._inner.read(worker, begin, end))

    def close(self) -> None:
        self._inner.close()
