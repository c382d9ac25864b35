"""Elements that an expression gives of named arrays: what reductions take in place of an array."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from parsum.expression import Expression, Kind, Typed
from parsum.reduction import ARRAYS_LIMIT, map_at, mapped
from parsum.under_dask import is_lazy

Array = np.ndarray[Any, Any]

#: Python's numbers, which adapt to the dtypes that they meet (NEP 50), and how maps read them.
_WEAK: dict[type, Any] = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}


@lru_cache(maxsize=1024)
def parsed(text: str) -> Expression:
    """Return an expression, which is parsed once."""
    return Expression(text)


@lru_cache(maxsize=1024)
def _map(expression: Expression, kinds: tuple[Kind, ...]) -> tuple[Typed, Any]:
    """Return the expression over such arrays, and the C function."""
    typed = expression.typed(kinds)
    from parsum import compiler

    (place,) = compiler.load(typed.source, ("map",), f"expression {expression.text!r}")
    return typed, map_at(place)


class Fused:
    """An expression over arrays, whose elements are computed where they are taken in.

    All ``parallel_`` functions of one array take it as one, but for cumulative ones. It has NumPy's
    dtype and shape of the expression, and holds the arrays, never the elements.

    Parameters
    ----------
    text : str
        Names, numbers, operators and functions as in NumPy: ``abs(x - y)**2``, ``where(m > 0, x,
        0)``. What there is is listed in docs/custom-kernels.md; anything else is an error.
    arrays : mapping of str to array_like
        What the names stand for: arrays that broadcast against each other, of bool, integers,
        floats or complex numbers. The result is masked where any masked array is.

    Raises
    ------
    TypeError, ValueError
        If the text is no such expression, its names are not those of `arrays`, dtypes do not go
        together or shapes do not broadcast.
    parsum.CompileError
        If there is no C compiler.

    Examples
    --------
    >>> import numpy as np
    >>> import parsum
    >>> x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 5.0])
    >>> parsum.parallel_max(parsum.Fused("abs(x - y)", {"x": x, "y": y}))
    np.float64(2.0)
    """

    __slots__ = ("arrays", "dtype", "map", "mask", "masked", "ndim", "shape", "size", "text")

    def __init__(self, text: str, arrays: Mapping[str, Any]) -> None:
        expression = parsed(text) if isinstance(text, str) else Expression(text)
        missing = [name for name in expression.names if name not in arrays]
        if missing:
            raise ValueError(f"{missing[0]} must be given, as {text!r} names it")
        unused = [name for name in arrays if name not in expression.names]
        if unused:
            raise TypeError(f"{unused[0]} must be named by the expression, got {text!r}")
        if not expression.names:
            raise ValueError(f"the expression must name an array, got {text!r}")
        if len(expression.names) > ARRAYS_LIMIT:
            raise ValueError(
                f"the expression must name at most {ARRAYS_LIMIT} arrays, got "
                f"{len(expression.names)}"
            )
        given, masks, kinds = [], [], []
        for name in expression.names:
            value = arrays[name]
            weak = _WEAK.get(type(value))
            if is_lazy(value):
                raise TypeError(f"{name} must be an array in memory, got {value!r}")
            if weak is not None:
                array = _number(name, value, weak)
            else:
                array = np.asarray(value)  # of a masked array, its data
            mask = np.ma.getmask(value) if isinstance(value, np.ma.MaskedArray) else np.ma.nomask
            masks.append(None if mask is np.ma.nomask else mask)
            given.append(array)
            if weak is None and (array.dtype.names is not None or array.dtype.kind not in "biufc"):
                raise TypeError(
                    f"{name} must be of bool, integers, floats or complex numbers, got dtype "
                    f"{array.dtype}"
                )
            kinds.append(array.dtype.newbyteorder("=") if weak is None else type(value))
        try:
            shapes = {array.shape for array in given}
            self.shape: tuple[int, ...] = (
                shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)
            )
        except ValueError:
            named = ", ".join(
                f"{name} {array.shape}" for name, array in zip(expression.names, given, strict=True)
            )
            raise ValueError(f"arrays must have shapes that broadcast, got {named}") from None
        self.text = text
        typed, self.map = _map(expression, tuple(kinds))
        self.dtype = typed.dtype
        for name, bounds in zip(expression.names, typed.bounds, strict=True):
            if bounds is not None and not bounds[0] <= arrays[name] <= bounds[1]:
                raise ValueError(
                    f"{name} must be from {bounds[0]} to {bounds[1]} where {text!r} has it, got "
                    f"{arrays[name]}"
                )
        #: In the order in which the map reads them.
        self.arrays = tuple(
            array if array.shape == self.shape else np.broadcast_to(array, self.shape)
            for array in given
        )
        self.ndim = len(self.shape)
        self.size = math.prod(self.shape)
        #: Whether results are masked arrays.
        self.masked = any(isinstance(arrays[name], np.ma.MaskedArray) for name in expression.names)
        #: The elements that are left out.
        self.mask: Array | None = None
        for left_out in masks:
            if left_out is not None:
                wide = np.broadcast_to(left_out, self.shape)
                self.mask = wide if self.mask is None else self.mask | wide

    def __repr__(self) -> str:
        return f"Fused({self.text!r}, shape={self.shape}, dtype={self.dtype})"

    def each(self, change: Callable[[Array], Array]) -> Fused:
        """Return the expression over arrays that are each changed alike: parts, other axes."""
        new = object.__new__(Fused)
        for name in ("dtype", "map", "masked", "text"):
            setattr(new, name, getattr(self, name))
        new.arrays = tuple(map(change, self.arrays))
        new.mask = None if self.mask is None else change(self.mask)
        new.shape, new.ndim, new.size = (
            new.arrays[0].shape, new.arrays[0].ndim, new.arrays[0].size
        )  # fmt: skip
        return new

    def computed(self) -> Array:
        """Return the elements as an array."""
        return mapped(self.map, self.arrays, self.shape, self.dtype)

    @property
    def nbytes(self) -> int:
        """How many bytes are read to compute all elements."""
        return sum(array.nbytes for array in self.arrays if any(array.strides))

    @property
    def leading(self) -> Array:
        """The array by whose layout elements are gone through: the one with the most of them."""
        return max(self.arrays, key=lambda array: sum(stride != 0 for stride in array.strides))


def _number(name: str, value: Any, dtype: Any) -> Array:
    try:
        return np.asarray(value, dtype)
    except OverflowError:
        raise ValueError(
            f"{name} must fit 64 bits if it is a Python integer, got {value}"
        ) from None
