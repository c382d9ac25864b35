"""method="fast": within a pairwise error bound, and one tree whatever workers and layout are."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS_OF_ONE_ORDER, lay_out
from oracle import SCALE, assert_same_bits, bits, scaled_integer
from strategies import AROUND, COMPLEX, FAMILIES, FLOATS, LONG, SHORT, generate

from parsum import parallel_mean, parallel_sum

BOUNDED = ["normal", "uniform", "cancelling", "many zeros", "edges", "subnormal", "wide"]


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


def _assert_within_bound(values, actual):
    """|error| <= (log2 n + c) u sum|v|: c covers the additions that one lane makes in a leaf."""
    dtype = values.dtype
    exact = Fraction(scaled_integer(values), 2**SCALE)
    size = Fraction(scaled_integer(np.abs(values)), 2**SCALE)
    if size > Fraction(float(np.finfo(dtype).max)) / 2:
        return  # may overflow on the way, as any tree may
    unit = Fraction(float(np.finfo(dtype).eps)) / 2
    depth = math.log2(max(len(values), 1)) + 64
    subnormal = Fraction(float(np.finfo(dtype).smallest_subnormal)) if dtype != np.float64 else 0
    assert abs(Fraction(float(actual)) - exact) <= Fraction(depth) * unit * size + subnormal


@pytest.mark.parametrize("n", [*SHORT, *AROUND, *LONG[::3]])
@pytest.mark.parametrize("dtype", FLOATS)
def test_error_bound(dtype, n):
    for family in BOUNDED:
        values = generate(family, n, dtype)
        _assert_within_bound(values, parallel_sum(values, method="fast"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_error_bound_where_plain_addition_fails(dtype):
    """Like values, whose errors add up: 2**21 of them take addition in order far past the bound."""
    values = np.full(2**21, 0.1, dtype)
    _assert_within_bound(values, parallel_sum(values, method="fast"))
    # The control: the bound tells the tree from addition one by one.
    plain = np.cumsum(values)[-1]
    with pytest.raises(AssertionError):
        _assert_within_bound(values, plain)


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("n", [3, 4097, 1_000_003, 2_500_001])
def test_workers_have_the_same_bits(dtype, n):
    for family in ("normal", "wide", "cancelling"):
        values = generate(family, n, dtype)
        first = bits(parallel_sum(values, workers=1, method="fast"), strict=True)
        for workers in [*range(2, 10), None, -1]:
            actual = parallel_sum(values, workers=workers, method="fast")
            assert bits(actual, strict=True) == first, f"{family} workers={workers}"


@given(
    dtype=st.sampled_from(FLOATS + COMPLEX),
    family=st.sampled_from(sorted(FAMILIES)),
    n=st.integers(0, 200_000),
    seed=st.integers(0, 2**32 - 1),
    start=st.integers(0, 9),
)
def test_alignment_and_workers_do_not_show(dtype, family, n, seed, start):
    values = generate(family, n, dtype, seed)
    first = bits(parallel_sum(values, workers=1, method="fast"))
    shifted = np.empty(n + start, values.dtype)[start:]
    shifted[:] = values
    for workers in (1, 2, 5):
        assert bits(parallel_sum(shifted, workers=workers, method="fast")) == first


@pytest.mark.parametrize("layout", LAYOUTS_OF_ONE_ORDER)
@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
def test_layouts_of_one_order_have_the_same_bits(dtype, layout):
    for n in (1, 8, 65, 1000, 5001, 70_001):
        values = generate("normal", n, dtype)
        first = bits(parallel_sum(values, method="fast"))
        for workers in (1, 3):
            actual = parallel_sum(lay_out(values, layout), method="fast", workers=workers)
            assert bits(actual) == first, f"{n} {workers}"


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
def test_shape_does_not_show(dtype):
    values = generate("normal", 60_000, dtype)
    first = bits(parallel_sum(values, method="fast"))
    for shape in [(60, 1000), (1000, 60), (10, 20, 300), (1, 60_000), (60_000, 1)]:
        assert bits(parallel_sum(values.reshape(shape), method="fast")) == first
        assert bits(parallel_sum(values.reshape(shape, order="F"), method="fast")) == first


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("shape", [(3, 5), (100, 7), (7, 5000), (3000, 64), (2049, 3), (513, 300)])
def test_axes_are_rows_of_the_same_tree(dtype, shape):
    """A row's sum is what the row alone gives: it depends on its number of elements only."""
    values = generate("normal", math.prod(shape), dtype).reshape(shape)
    for axis in (0, 1):
        lanes = values if axis == 1 else values.T
        pick = {0, len(lanes) // 2, len(lanes) - 1}
        for workers in (1, 4):
            actual = parallel_sum(values, axis=axis, method="fast", workers=workers)
            for k in pick:
                alone = parallel_sum(np.ascontiguousarray(lanes[k]), method="fast")
                assert bits(actual[k]) == bits(alone), f"axis {axis}, {k}, {workers} workers"


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 7, 64, 1000, 100_000])
def test_specials(dtype, n):
    values = generate("normal", n, dtype)
    for special in (np.nan, np.inf, -np.inf):
        for place in {0, n // 2, n - 1}:
            changed = values.copy()
            changed[place] = special
            actual = parallel_sum(changed, method="fast")
            assert np.isnan(actual) if np.isnan(special) else actual == special
    if n > 1:
        values[0], values[-1] = np.inf, -np.inf
        assert np.isnan(parallel_sum(values, method="fast"))
    zeros = np.full(n, -0.0, dtype)
    assert_same_bits(parallel_sum(zeros, method="fast"), dtype(-0.0))
    zeros[-1] = 0.0
    assert_same_bits(parallel_sum(zeros, method="fast"), dtype(0.0))
    assert_same_bits(parallel_sum(zeros[:0], method="fast"), dtype(0.0))


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("n", [0, 1, 9, 1000, 3001])
def test_whole_numbers_are_exact(dtype, n):
    values = generate("integers", n, dtype)
    expected = np.sum(values, dtype=np.complex128 if values.dtype.kind == "c" else np.float64)
    assert_same_bits(parallel_sum(values, method="fast"), expected.astype(dtype))


def test_axis_where_initial_and_out():
    values = generate("integers", 6000, np.float64).reshape(20, 300)
    where = values > 0
    for axis in (None, 0, 1):
        for kwargs in ({}, {"where": where}, {"initial": 3.0}, {"keepdims": True}):
            actual = parallel_sum(values, axis=axis, method="fast", **kwargs)
            assert_same_bits(actual, np.sum(values, axis=axis, **kwargs), f"{axis} {kwargs}")
    out = np.empty(300)
    assert parallel_sum(values, axis=0, method="fast", out=out) is out
    assert_same_bits(out, np.sum(values, axis=0))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("function", [parallel_sum, parallel_mean])
def test_short_rows_and_columns_have_the_bits_of_runs(dtype, function):
    """About the lanes, the rows that are turned into columns, and what is taken in at once."""
    rng = np.random.default_rng(8)
    for n in (1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 100, 511, 512, 513, 1024, 1025):
        for count in (1, 3, 63, 64, 65, 130, 1100):
            if n * count > 80_000:
                continue
            a = (rng.standard_normal((count, n)) * 10.0 ** rng.integers(-3, 3, (count, n))).astype(
                dtype
            )
            a[0] = -0.0
            a[-1, n // 2] = -0.0
            with np.errstate(all="ignore"):
                expected = [function(row.copy(), method="fast") for row in a]
            columns = np.ascontiguousarray(a.T)
            wider = np.pad(columns, ((0, 0), (1, 2)))[:, 1:-2]
            for laid, axis in ((a, 1), (a.T, 0), (columns, 0), (wider, 0), (columns.T, 1)):
                actual = function(laid, axis=axis, method="fast")
                assert actual.dtype == dtype
                assert actual.tobytes() == np.array(expected).tobytes(), (n, count, axis)


def test_short_rows_and_columns_report_what_happens():
    for shape in ((5, 100), (100, 5), (40, 40)):
        for axis in (0, 1):
            a = np.ones(shape, "f4")
            a[tuple(k // 2 for k in shape)] = 3e38
            a[shape[0] // 2, shape[1] // 2 - 1] = a[shape[0] // 2 - 1, shape[1] // 2] = 3e38
            with np.errstate(all="warn"), pytest.warns(RuntimeWarning, match="overflow"):
                actual = parallel_sum(a, axis=axis, method="fast")
            assert np.isinf(actual).sum() == 1
            a[...] = 1
            a[0, 0], a[0, 1], a[1, 0] = np.inf, -np.inf, -np.inf
            with np.errstate(all="warn"), pytest.warns(RuntimeWarning, match="invalid"):
                actual = parallel_sum(a, axis=axis, method="fast")
            assert np.isnan(actual).sum() == 1
