"""Expressions over named arrays, typed by NumPy's rules and written as C that evaluates one block.

The text is parsed by Python's own parser and only what is listed here is taken from its tree, so
nothing of it is executed; nothing of it reaches the C text either, but for the values of its
numbers, printed anew. The C text calculates as NumPy does, to the bit, with these exceptions:

- exp, log, sin, ``**`` and the like are the C library's; NumPy's own vector versions may differ by
  an ulp or two. So may its product, square and abs of complex numbers, which depend on the CPU:
  here products are the formula, each operation rounded, and abs is within 1.3 ulp. The result is
  the same for any number of workers.
- The sign of a zero that ``minimum``, ``maximum``, ``fmin``, ``fmax`` or ``clip`` take from zeros
  of either sign is the second operand's; NumPy's depends on the CPU.
- Python scalars that are not written in the text are calculated with as int64, float64 and
  complex128 where they meet each other only; `Typed.bounds` says which integers may be given.
- An integer that does not fit its dtype is an error in ``where`` too, where NumPy wraps it around,
  and comparisons of bool with any integer are exact.
- Integers are raised to powers that are known not to be negative: written in the text, unsigned
  or a Python integer. A signed array of exponents is a TypeError, for a kernel has no way to fail.
- ``x**k`` of bool is int8 if the exponent is written as 2, as NumPy's, but int64 if it is a
  variable that is 2.
- Floating-point errors are not reported: ``np.errstate`` does not see those of the map.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from parsum.expression.operations import DType
from parsum.expression.parser import MAX_DEPTH, MAX_LENGTH, MAX_NAMES, Node, Parser
from parsum.expression.writer import Kind, Writer

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "MAX_NAMES", "Expression", "Kind", "Typed"]


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression for variables of given types.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the elements of the result: NumPy's for the same expression.
    source : str
        C11 text of ``void map(void *result, const void *const *arrays, const ptrdiff_t *strides,
        size_t n)``: arrays[k] points at the first of n elements of the k-th variable, strides[k]
        bytes apart, aligned and in native byte order; bool is one byte, 0 or 1, and a Python
        scalar one element of int64_t, double or two doubles. `result` is n elements side by side
        that overlap no input.
    bounds : tuple of (int, int) or None
        For each variable that is a Python integer, the least and the greatest that may be given:
        others do not fit the dtypes that they meet, or are no exponents. None for the rest.
    """

    dtype: DType
    source: str
    bounds: tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True)
class Expression:
    """An expression over named arrays, like ``abs(x - y)**2``.

    Parameters
    ----------
    text : str
        Numbers, names, the operators ``+ - * / // % ** ~ & | ^ << >> < <= == != >= >`` and
        calls of functions that NumPy has by the same names: abs, sqrt, exp, sin, where, clip...

    Attributes
    ----------
    names : tuple of str
        The variables, in the order of their first occurrence.

    Examples
    --------
    >>> expression = Expression("abs(x - y)**2")
    >>> expression.names
    ('x', 'y')
    >>> expression.typed((np.dtype(np.float32), np.dtype(np.int8))).dtype
    dtype('float32')
    """

    text: str
    names: tuple[str, ...] = field(init=False, compare=False)
    _root: Node = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"an expression must be a str, got {type(self.text).__name__}")
        parser = Parser(self.text)
        root = parser.parse()
        object.__setattr__(self, "names", tuple(parser.names))
        object.__setattr__(self, "_root", root)

    def typed(self, kinds: tuple[Kind, ...]) -> Typed:
        """Find the dtype of the result, and the C text, for variables of these types.

        Parameters
        ----------
        kinds : tuple of numpy.dtype or type
            Of each of `names`: the dtype of an array, or bool, int, float or complex for a Python
            scalar, which does not widen the dtype of an array that it meets (NEP 50).

        Raises
        ------
        TypeError
            If NumPy has no such operation on these types.
        ValueError
            If a number in the text does not fit the dtype that NumPy gives it, or the number of
            types is not that of names.
        """
        if len(kinds) != len(self.names):
            raise ValueError(f"kinds must be {len(self.names)} types, got {len(kinds)}")
        writer = Writer(self.text, self.names, kinds)
        value = writer.walk(self._root)
        code = writer.cast(self._root, value, value.dtype)
        dtype = np.dtype(value.dtype.type)
        return Typed(dtype, writer.source(code, dtype), tuple(writer.bounds))
