"""The parts of docstrings that many functions share, and the decorator that puts them in."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import indent
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

#: By the names that stand in braces, on lines of their own, in docstrings.
PARTS = {
    "axis": """\
axis : None, int or tuple of ints, optional
    Axes to reduce along; None for all of them.""",
    "one_axis": """\
axis : None or int, optional
    The axis to reduce along; None for the flattened array.""",
    "out": """\
out : ndarray, optional
    Where to put the result; of its shape, and of a dtype that it can be cast to.""",
    "keepdims": """\
keepdims : bool, optional
    Whether reduced axes are left in the result with length 1.""",
    "initial": """\
initial : scalar, optional
    A number to start every result from, converted to the result's dtype.""",
    "where": """\
where : array_like of bool, optional
    Elements to include; broadcasts to the shape of `a`.""",
    "ddof": """\
ddof : float, optional
    The sum of squares is divided by N - `ddof`, with N the number of elements.""",
    "correction": """\
correction : float, optional
    Another name of `ddof`, the array API's; only one of the two may be given.""",
    "mean": """\
mean : array_like, optional
    The means to take deviations from, with the shape that `keepdims` gives, in place of those of
    the elements. A wider dtype than that of the elements makes the result's so.""",
    "mean_dtype": """\
dtype : dtype_like, optional
    The dtype of the result. By default that of the elements, float64 for integers and bool. Means
    of an integer dtype are sums of it, divided by their counts and truncated, as NumPy's.""",
    "spread_dtype": """\
dtype : dtype_like, optional
    The dtype of the result, floating or complex. By default that of the elements' parts, float64
    for integers and bool. Elements are taken as they are, complex ones whole with a real dtype.""",
    "sum_dtype": """\
dtype : dtype_like, optional
    The dtype of the result. By default that of the elements, but at least 64-bit for bool and
    smaller integers.""",
    "running": """\
workers : int, optional
    At most so many threads, the calling one among them; -1 for all CPUs that the process may use.
    By default as many as pay (see :func:`parsum.set_workers`).
method : {"exact", "fast"}, optional
    For this function both are the same.
executor : concurrent.futures.ThreadPoolExecutor, optional
    Whose threads to use besides the calling one, in place of parsum's own.
progress : bool or callable, optional
    True draws a progress bar in bytes (needs tqdm); a function is called with ``(done, total)``
    bytes, in the calling thread.""",
    "running_floats": """\
workers : int, optional
    At most so many threads, the calling one among them; -1 for all CPUs that the process may use.
    By default as many as pay (see :func:`parsum.set_workers`).
method : {"exact", "fast"}, optional
    "exact" rounds the exact result once, half to even. "fast" adds in double precision in a tree
    that depends on the number of elements alone, with the error bound of pairwise summation.
    longdouble is compensated by both: deterministic and nearly exact.
executor : concurrent.futures.ThreadPoolExecutor, optional
    Whose threads to use besides the calling one, in place of parsum's own.
progress : bool or callable, optional
    True draws a progress bar in bytes (needs tqdm); a function is called with ``(done, total)``
    bytes, in the calling thread.""",
    "raises": """\
TypeError
    If a dtype is not supported, or an argument is of the wrong type.
ValueError
    If an argument has the wrong value or shape. ``numpy.exceptions.AxisError`` is one.""",
    "float_errors": """\
FloatingPointError
    If :func:`numpy.errstate` asks for it: on results that do not fit, or are not valid.""",
}


def documented(function: Function) -> Function:
    """Put the shared parts in place of their names in braces."""
    text = function.__doc__ or ""
    for name, part in PARTS.items():
        text = text.replace(f"    {{{name}}}\n", indent(part, "    ") + "\n")
    function.__doc__ = text
    return function
