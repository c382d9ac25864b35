"""Where the elements are and where the results go: an array and axes as the walker's dimensions.

A full reduction does not depend on order, so dimensions are sorted by stride, made to run upwards
and joined where they follow each other in memory: most arrays become a single run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Rows of a dimension: its length, then the strides of the arrays, and what a step along it adds to
#: an element's number.
DATA, OTHER, WHERE, MASK, RESULT, NUMBER = 1, 2, 3, 4, 5, 6
MORE = 7  # and from here on, the strides of what a map reads


def address(array: Array | None) -> int:
    """Return the address of an array's first element; 0 for None."""
    return 0 if array is None else int(array.__array_interface__["data"][0])


class Plan:
    """The addresses and joined dimensions of one reduction."""

    __slots__ = ("addresses", "first", "kept", "more", "reduced")

    def __init__(
        self,
        array: Array,
        axes: tuple[int, ...],
        result: Array,
        other: Array | None = None,
        where: Array | None = None,
        mask: Array | None = None,
        parts: tuple[int, int] | None = None,
        numbered: bool = False,
        more: tuple[Array, ...] = (),
        numbers: tuple[int, ...] | None = None,
        in_order: bool = False,
    ) -> None:
        """Plan the reduction of ``array`` along ``axes`` into ``result``.

        ``result`` has the kept axes only, in order, and maybe more after them; ``other``, ``where``
        and ``mask`` have the array's shape. ``parts`` are the sizes in bytes of the two parts of a
        complex element and of those of a complex result, 0 if both go into one number. If
        ``numbered``, elements have numbers: their places in C order along the reduced axes; or
        ``numbers`` says what a step along each axis adds to them. ``more`` are arrays of the same
        shape that a map reads. If ``in_order``, elements are taken in C order whatever their
        layout.
        """
        self.addresses = [address(k) for k in (array, other, where, mask, result)]
        self.more = [address(k) for k in more]
        self.first = 0
        shape = array.shape
        nothing = (0,) * array.ndim
        data = array.strides
        others = nothing if other is None else other.strides
        wheres = nothing if where is None else where.strides
        masks = nothing if mask is None else mask.strides
        results = iter(result.strides)
        kept: list[list[int]] = []
        reduced: list[list[int]] = []
        number = 1 if numbered else 0
        for axis in range(array.ndim - 1, -1, -1):
            length = shape[axis]
            if axis in axes:
                steps = [k.strides[axis] for k in more]
                reduced.append(
                    [
                        length,
                        data[axis],
                        others[axis],
                        wheres[axis],
                        masks[axis],
                        0,
                        number if numbers is None else numbers[axis],
                        *steps,
                    ]
                )
                number *= length
        for axis, length in enumerate(shape):
            if axis not in axes:
                steps = [k.strides[axis] for k in more]
                kept.append(
                    [length, data[axis], others[axis], wheres[axis], masks[axis], next(results), 0,
                     *steps]
                )  # fmt: skip
        reduced.reverse()
        if parts is not None:
            (kept if parts[1] else reduced).append([2, parts[0], 0, 0, 0, parts[1], 0])
        self.kept = self._joined(kept)
        self.reduced = self._joined(reduced, in_order)

    def _joined(self, dims: list[list[int]], in_order: bool = False) -> list[list[int]]:
        if len(dims) > 1:
            for dim in dims:
                if dim[0] == 0:
                    return [[0] * len(dim)]
            dims = [dim for dim in dims if dim[0] != 1]
        for dim in dims:
            if dim[DATA] < 0 and not in_order:
                for k in (DATA, OTHER, WHERE, MASK, RESULT):
                    self.addresses[k - 1] += (dim[0] - 1) * dim[k]
                    dim[k] = -dim[k]
                for k in range(len(self.more)):
                    self.more[k] += (dim[0] - 1) * dim[MORE + k]
                    dim[MORE + k] = -dim[MORE + k]
                self.first += (dim[0] - 1) * dim[NUMBER]
                dim[NUMBER] = -dim[NUMBER]
        if len(dims) < 2:
            return dims
        if not in_order:
            # Repeated elements (stride 0) go outermost: the run inside is read again from cache.
            dims.sort(key=lambda dim: (dim[DATA] != 0, -dim[DATA]))
        joined = [dims[0]]
        for dim in dims[1:]:
            outer, length = joined[-1], dim[0]
            if outer[1:] == [length * step for step in dim[1:]]:
                joined[-1] = [outer[0] * length, *dim[1:]]
            else:
                joined.append(dim)
        return joined

    def rows(self) -> list[int]:
        """Return the dimensions as parsum.h wants them: row by row, kept axes first."""
        dims = self.kept + self.reduced
        return [dim[k] for k in range(MORE + len(self.more)) for dim in dims]
