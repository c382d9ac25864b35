"""Expressions in place of arrays: the bits of the reduction of what NumPy computes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out
from oracle import bits, exact_sum
from reference import COMPLEX, FLOATS, INTEGERS, examples, masks, outcome, values
from schedules import scheduled
from test_accumulator import assert_same, assert_same_results

import parsum
from parsum import Fused, parallel_reduce, parallel_sum
from parsum.api.named import FUNCTIONS

#: Expressions whose elements are NumPy's to the bit, and the kinds of dtype of x and y.
EXPRESSIONS = [
    ("x + y", "biufc"), ("x - y", "iufc"), ("x * 2 + y", "biuf"), ("abs(x - y)**2", "iuf"),
    ("where(x > y, x, y)", "biuf"), ("x > y", "biuf"), ("minimum(x, 3)", "iuf"),
    ("x / 2", "iuf"), ("sqrt(abs(x))", "f"), ("-x", "iufc"), ("x == y", "biufc"),
    ("(x > 0) & (y < 5)", "biuf"), ("x * x - 1", "iuf"), ("isnan(x) | isinf(y)", "f"),
]  # fmt: skip
DTYPES = ["?", *INTEGERS, *FLOATS, *COMPLEX, "g"]
SHAPES = [
    ((4000,), (4000,)), ((40, 50), (50,)), ((40, 1), (1, 50)), ((3, 700, 2), (700, 1)), ((), (9,)),
    ((5,), ()), ((0, 3), (1, 3)), ((1,), (1,)), ((2, 3, 4), (2, 3, 4)), ((2000, 3), (2000, 1)),
]  # fmt: skip


def evaluated(text: str, **arrays: Any) -> Any:
    names = {k: getattr(np, k) for k in ("where", "minimum", "sqrt", "isnan", "isinf")}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(eval(text, {"abs": np.abs, **names}, arrays))


@examples(300)
@given(data=st.data())
def test_any_reduction_of_any_expression(data):
    text, kinds = data.draw(st.sampled_from(EXPRESSIONS), "text")
    codes = [code for code in DTYPES if np.dtype(code).kind in kinds]
    dtypes = [data.draw(st.sampled_from(codes), name) for name in "xy"]
    shapes = data.draw(st.sampled_from(SHAPES), "shapes")
    style = data.draw(st.sampled_from(["random", "ties", "nans"]), "style")
    x, y = (
        lay_out(
            values(style, int(np.prod(shape)), dtype, k).reshape(shape),
            data.draw(st.sampled_from(LAYOUTS)),
        )
        if shape
        else values(style, 1, dtype, k)[0]
        for k, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True))
    )
    expected = evaluated(text, x=x, y=y)
    arrays = {name: array for name, array in (("x", x), ("y", y)) if name in text}
    fused = Fused(text, arrays)
    assert (fused.shape, fused.dtype) == (expected.shape, expected.dtype)
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)), "name")
    keywords: dict[str, Any] = {
        "axis": data.draw(st.sampled_from([None, *range(expected.ndim)]), "axis"),
        "method": data.draw(st.sampled_from(["exact", "fast"]), "method"),
    }
    if data.draw(st.booleans(), "keepdims"):
        keywords["keepdims"] = True
    if data.draw(st.integers(0, 3)) == 0 and name in ("sum", "mean", "var", "prod", "any"):
        keywords["where"] = data.draw(masks(expected.shape), "where")
    whole = outcome(FUNCTIONS[name], np.ascontiguousarray(expected).reshape(expected.shape),
                    **keywords)  # fmt: skip
    # In the order of memory, which is that of the array with the most axes.
    in_order = name in ("prod", "nanprod") or keywords["method"] == "fast" or "g" in dtypes
    with scheduled(data.draw(st.integers(1, 5), "workers"), 4096, 1):
        actual = outcome(FUNCTIONS[name], fused, **keywords)
    note = f"{text} {dtypes} {shapes} {name} {keywords}"
    if in_order and whole.error is None:
        assert actual.error is None, note + actual.message
        same = np.allclose(
            np.asarray(flat(actual.value), complex), np.asarray(flat(whole.value), complex),
            1e-2 if np.dtype(fused.dtype).char in "eF" else 1e-3, 1e-3, equal_nan=True,
        )  # fmt: skip
        assert same or not np.all(np.isfinite(np.asarray(flat(whole.value), complex))), note
        return
    assert_same_results(actual, whole, note)


def flat(result: Any) -> np.ndarray:
    if isinstance(result, parsum.Description):
        result = (result.sum, result.mean)
    parts = result if isinstance(result, tuple) else (result,)
    return np.concatenate([np.ravel(part) for part in parts])


def test_sums_are_those_of_rationals():
    x, y = values("finite hard", 5000, "d", 1), values("finite hard", 5000, "d", 2)
    with np.errstate(all="ignore"):
        expected = exact_sum(x - y, np.float64)
        actual = parallel_reduce("x - y", "sum", x=x, y=y)
    assert bits(actual) == bits(expected)


def test_workers_and_levels_do_not_show(level):
    x, y = values("random", 700_000, "d", 1), values("random", 700_000, "d", 2)
    expected = parallel_sum(np.abs(x - y) ** 2)
    for workers in (1, 2, 3, 7):
        assert parallel_reduce("abs(x - y)**2", "sum", x=x, y=y, workers=workers) == expected
    fast = {
        parallel_reduce("x * y", "sum", x=x, y=y, workers=k, method="fast") for k in range(1, 5)
    }
    assert fast == {parallel_sum(x * y, method="fast")}


def test_arguments():
    x, y = values("random", 6000, "f", 1).reshape(60, 100), values("random", 100, "f", 2)
    whole = x * y
    for keywords in (
        {"axis": 0, "dtype": "d"}, {"initial": 3}, {"axis": 1, "initial": -1}, {"dtype": complex},
    ):  # fmt: skip
        assert_same(
            parallel_reduce("x * y", "sum", x=x, y=y, **keywords), parallel_sum(whole, **keywords)
        )
    out = np.empty(60)
    assert parallel_reduce("x * y", "sum", 1, out=out, x=x, y=y) is out
    assert_same(out, parallel_sum(whole, 1, out=np.empty(60)))
    # `out` that is one of the arrays
    z = np.ones((60, 60))
    expected = parallel_sum(z * 2, 0)
    parallel_reduce("z * 2", "sum", 0, out=z[0], z=z)
    assert_same(z[0], expected)
    # Python's numbers adapt, NumPy's do not.
    assert parallel_reduce("x * a", "sum", x=x, a=2).dtype == np.float32
    assert parallel_reduce("x * a", "sum", x=x, a=np.float64(2)).dtype == np.float64
    assert parallel_reduce("x + a", "sum", x=np.int8([1, 2]), a=100) == parallel_sum(
        np.int8([1, 2]) + np.int8(100)
    )
    assert parallel_reduce("abs(x)", ("max", "argmax", "sum"), x=x) == (
        np.abs(x).max(), np.abs(x).argmax(), parallel_sum(np.abs(x)),
    )  # fmt: skip
    assert_same(parallel_reduce("x", "var", x=x, ddof=1), parsum.parallel_var(x, ddof=1))
    assert_same(parallel_reduce("x", "norm", x=y, ord=3), parsum.parallel_norm(y, 3))


def test_byte_orders_and_alignment():
    x = values("random", 3000, "d", 1)
    swapped = x.astype(">f8")
    packed = np.zeros(3000, np.dtype([("a", "u1"), ("x", "<f8")]))
    packed["x"] = x
    for other in (swapped, packed["x"], swapped[::-1][::-1], x[::-1][::-1]):
        assert parallel_reduce("x + y", "sum", x=x, y=other) == parallel_sum(x + x)
    table = swapped.reshape(30, 100).T
    for axis in (0, 1):
        actual = parallel_reduce("x * y", "sum", axis, x=table, y=np.arange(30.0))
        assert_same(actual, parallel_sum(table * np.arange(30.0), axis))


def test_masked_arrays():
    x = np.ma.array(np.arange(12.0).reshape(3, 4), mask=np.eye(3, 4) > 0)
    y = np.ma.array(np.arange(4.0), mask=[False, False, False, True])
    for axis in (None, 0, 1):
        actual = parallel_reduce("x + y", "sum", axis, x=x, y=y)
        assert_same(actual, parallel_sum(x + y, axis))
    assert parallel_reduce("x + 1", "sum", x=np.ma.array([1.0], mask=True)) is np.ma.masked


def test_what_is_refused():
    x = np.arange(4.0)
    for error, message, call in (
        (ValueError, "y must be given, as 'x . y' names it", lambda: Fused("x + y", {"x": x})),
        (TypeError, "y must be named by the expression", lambda: Fused("x", {"x": x, "y": x})),
        (ValueError, "the expression must name an array", lambda: Fused("1 + 1", {})),
        (TypeError, "an expression must be a str, got int", lambda: Fused(5, {})),
        (ValueError, "arrays must have shapes that broadcast, got x .4,., y .3,.",
         lambda: Fused("x + y", {"x": x, "y": x[:3]})),
        (TypeError, "x must be of bool, integers, floats or complex numbers, got dtype object",
         lambda: Fused("x", {"x": np.array([{}])})),
        (TypeError, "x must be of bool", lambda: Fused("x", {"x": np.array(["a"])})),
        (ValueError, "a must fit 64 bits if it is a Python integer",
         lambda: Fused("x + a", {"x": x, "a": 1 << 70})),
        (ValueError, "a must be from -128 to 127",
         lambda: Fused("x + a", {"x": np.int8([1]), "a": 300})),
        (ValueError, "at most 16 arrays, got 17",
         lambda: Fused(" + ".join(f"x{k}" for k in range(17)), {f"x{k}": x for k in range(17)})),
        (TypeError, "a must be an array in memory, got Fused",
         lambda: parsum.parallel_cumsum(Fused("x", {"x": x}))),
        (TypeError, "a must be an array in memory",
         lambda: parsum.parallel_dot(Fused("x", {"x": x}), x)),
        (TypeError, "dtype must be complex for Fused",
         lambda: parallel_sum(Fused("x", {"x": x + 1j}), dtype=float)),
        (TypeError, "y must be an argument of parallel_sum",
         lambda: parallel_reduce("x", "sum", x=x, y=x)),
        (ValueError, "__import__", lambda: parallel_reduce("__import__('os')", "sum", x=x)),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()


def test_it_says_what_it_is():
    fused = Fused("x + y", {"x": np.zeros((2, 3), "f"), "y": np.zeros(3)})
    assert repr(fused) == "Fused('x + y', shape=(2, 3), dtype=float64)"
    assert (fused.ndim, fused.size, fused.nbytes) == (2, 6, 24 + 48)
