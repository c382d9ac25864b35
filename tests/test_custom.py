"""Reductions of users' C text: results against oracles, the promised tree, layouts, refusals."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import shutil
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from unittest import mock

import kernels
import numpy as np
import pytest
from children import output, run
from hypothesis import given
from hypothesis import strategies as st
from kernels import LANES, LEAF, REAL_DTYPES, sum_by_tree
from layouts import LAYOUTS, LAYOUTS_OF_ONE_ORDER, lay_out
from oracle import bits
from reference import along, arrays, axes, examples, masks
from schedules import scheduled

import parsum
from parsum import Reduction, parallel_reduce
from parsum.api import toolkit

SIZES = [*range(10), 31, 32, 33, 1023, 1024, 1025, 100_000]

DEVIATIONS = kernels.sum_of_deviations()
PLAIN = kernels.plain_sum()
LOG_SUM_EXP = kernels.log_sum_exp()
WELFORD = kernels.welford()
HISTOGRAM = kernels.histogram()
GEOMETRIC = kernels.geometric_mean()
RUNS = kernels.runs()


def normal(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


# ---- the examples, against oracles ----


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_sum_of_deviations_of_every_dtype(dtype):
    """Of small integers and halves the sum is exact, whatever the order."""
    for n in SIZES:
        a = np.random.default_rng(n).integers(0, 100, n).astype(dtype)
        for about in (0.0, 20.5, -3.0):
            actual = parallel_reduce(a, DEVIATIONS, parameter=about)
            assert type(actual) is np.float64
            assert Fraction(actual) == kernels.deviations_of(a, about), (n, about)


def test_sum_of_deviations_of_floats():
    for n in SIZES:
        a = normal(n, n) * 1e3
        exact = kernels.deviations_of(a, 0.7)
        actual = parallel_reduce(a, DEVIATIONS, parameter=0.7)
        assert abs(Fraction(actual) - exact) <= exact * Fraction(2.0**-52) * 64, n


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_log_sum_exp(scale):
    """Of numbers whose exponentials overflow and underflow."""
    for n in SIZES:
        a = normal(n, n) * scale
        actual = parallel_reduce(a, LOG_SUM_EXP)
        if not n:
            assert actual == -math.inf
        else:
            assert actual == pytest.approx(kernels.log_sum_exp_of(a), rel=1e-14, abs=1e-14), n
    holes = np.where(normal(5000) > 0, -np.inf, normal(5000, 1))
    assert parallel_reduce(holes, LOG_SUM_EXP) == pytest.approx(kernels.log_sum_exp_of(holes))
    assert parallel_reduce(np.full(3000, -np.inf), LOG_SUM_EXP) == -math.inf


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_welford(offset):
    for n in SIZES[2:]:
        a = offset + normal(n, n)
        for ddof in (0, 1):
            if n <= ddof:
                continue
            record = parallel_reduce(a, WELFORD, parameter=ddof)
            count, mean, var = kernels.welford_of(a, ddof)
            assert record["n"] == count
            assert record["mean"] == pytest.approx(mean, rel=1e-12, abs=1e-13)
            assert record["var"] == pytest.approx(var, rel=1e-9)


def test_welford_gives_records():
    record = parallel_reduce(normal(10), WELFORD)
    assert type(record) is np.void
    assert record.dtype.names == ("n", "mean", "var")
    assert [record.dtype[k] for k in range(3)] == [np.int64, np.float64, np.float64]
    columns = parallel_reduce(normal(60).reshape(4, 5, 3), WELFORD, axis=1)
    assert columns.shape == (4, 3)
    assert (columns["n"] == 5).all()


def test_histogram():
    for n in SIZES:
        a = np.random.default_rng(n).integers(0, 256, n).astype(np.uint8)
        counts = parallel_reduce(a, HISTOGRAM)
        assert counts.dtype == np.int64
        assert counts.shape == (256,)
        assert counts.tolist() == kernels.histogram_of(a), n


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), (2, 0), (0, 1, 2), None, ()])
def test_histogram_along_axes(axis):
    """Values of their own stand after the kept axes, also with keepdims."""
    a = np.random.default_rng(1).integers(0, 5, (6, 50, 4)).astype(np.uint8)
    for keepdims in (False, True):
        counts = parallel_reduce(a, HISTOGRAM, axis=axis, keepdims=keepdims)
        one_hot = (a[..., None] == np.arange(256)).astype(np.int64)
        where = {None: (0, 1, 2), -1: 2}.get(axis, axis)
        assert np.array_equal(counts, np.sum(one_hot, axis=where, keepdims=keepdims)), keepdims
        out = np.empty(counts.shape, np.int64)
        assert parallel_reduce(a, HISTOGRAM, axis=axis, keepdims=keepdims, out=out) is out
        assert np.array_equal(out, counts)


def test_ordered_or_not_makes_no_difference_to_counts():
    a = np.random.default_rng(2).integers(0, 256, 300_000).astype(np.uint8)
    ordered = kernels.histogram(ordered=True)
    for workers in (1, 5):
        with scheduled(workers, 4096, workers):
            assert parallel_reduce(a, ordered).tolist() == kernels.histogram_of(a)
            assert parallel_reduce(a, HISTOGRAM).tolist() == kernels.histogram_of(a)


def test_geometric_mean():
    for n in SIZES[1:]:
        a = np.exp(normal(n, n))
        actual = parallel_reduce(a, GEOMETRIC)
        assert actual == pytest.approx(kernels.geometric_mean_of(a), rel=1e-12), n


def test_no_elements_where_there_is_no_result_of_none():
    with pytest.raises(ValueError, match=r"^geometric mean has no result of no elements$"):
        parallel_reduce([], GEOMETRIC)
    with pytest.raises(ValueError, match=r"^geometric mean has no result of no elements$"):
        parallel_reduce(np.ones((3, 0)), GEOMETRIC, axis=1)
    with pytest.raises(ValueError, match=r"^geometric mean has no result of no elements$"):
        parallel_reduce(np.ones(4), GEOMETRIC, where=False)
    assert parallel_reduce(np.ones((0, 3)), GEOMETRIC, axis=1).shape == (0,)
    masked = np.ma.array([1.0, 2.0], mask=True)
    assert parallel_reduce(masked, GEOMETRIC) is np.ma.masked


def test_complex_numbers_long_doubles_and_halves():
    """Every C type of an element and of a result."""
    total = Reduction.from_c(
        state={"sum": "T"},
        accumulate="s->sum += x;",
        combine="s->sum += o->sum;",
        finish="*r = s->sum;",
        dtypes=["float16", "float32", "longdouble", "complex64", "complex128", "clongdouble"],
    )
    for dtype in ("float16", "float32", "longdouble", "complex64", "complex128", "clongdouble"):
        for n in (0, 1, 9, 1025):
            a = np.random.default_rng(n).integers(-3, 4, n).astype(dtype)
            if a.dtype.kind == "c":
                a = a * (1 - 2j)
            assert parallel_reduce(a.astype(dtype), total) == a.sum()
            assert parallel_reduce(a.astype(dtype), total).dtype == dtype


@pytest.mark.parametrize("to", kernels.ALL_DTYPES)
def test_every_dtype_of_results(to):
    count = Reduction.from_c(
        state={"n": "int64_t"}, accumulate="s->n++;", combine="s->n += o->n;",
        finish="*r = s->n;", result=to,
    )  # fmt: skip
    actual = parallel_reduce(np.zeros((3, 100)), count, axis=1)
    assert actual.dtype == to
    assert actual.tolist() == np.full(3, 100).astype(to).tolist()


# ---- the same bits ----


@pytest.mark.parametrize("lanes", [None, 1, 2, 16, 64])
def test_the_tree_to_the_bit(lanes):
    """The order of additions is that which is promised: an independent model gives the bits."""
    total = kernels.plain_sum(lanes=lanes)
    for n in [*SIZES, LEAF * 3 + 1, LEAF * 7 + 40, LEAF * 8]:
        a = normal(n, n) * 10.0 ** np.random.default_rng(n).integers(-8, 8, n)
        assert parallel_reduce(a, total) == sum_by_tree(a, lanes or LANES), n


def test_lanes_show_in_the_bits():
    """Or the test above would tell nothing."""
    a = normal(5000)
    found = {parallel_reduce(a, kernels.plain_sum(lanes=k)) for k in (1, 2, 16, 64)}
    assert len(found) > 1


@pytest.mark.parametrize("workers", range(1, 10))
def test_workers_in_any_order(workers):
    """A schedule in one thread, where each worker takes a small block at a time."""
    a = normal(50_021) * np.exp(10 * normal(50_021, 1))
    expected = sum_by_tree(a)
    columns = a[:50_000].reshape(5000, 10)
    for seed in range(3):
        with scheduled(workers, 8192 << seed, seed) as turns:
            assert parallel_reduce(a, PLAIN) == expected
            by_column = parallel_reduce(columns, PLAIN, axis=0)
            record = parallel_reduce(a, WELFORD)
        assert turns[0] >= workers
        assert [by_column[k] for k in range(10)] == [sum_by_tree(columns[:, k]) for k in range(10)]
        assert bits(record) == bits(parallel_reduce(a, WELFORD, workers=1))


def test_workers_in_threads():
    """More than one thread, on an array for which several pay."""
    a = normal(2_500_000)
    expected = parallel_reduce(a, LOG_SUM_EXP, workers=1), parallel_reduce(a, WELFORD, workers=1)
    for workers in range(2, 10):
        assert parallel_reduce(a, LOG_SUM_EXP, workers=workers) == expected[0]
        assert bits(parallel_reduce(a, WELFORD, workers=workers)) == bits(expected[1])


def test_levels(level):
    """A reduction anew, as kernels are compiled for a level once."""
    a = normal(30_011) * np.exp(10 * normal(30_011, 1))
    assert parallel_reduce(a, kernels.plain_sum()) == sum_by_tree(a)
    for make in (kernels.log_sum_exp, kernels.welford):
        assert bits(parallel_reduce(a[:9000], make())) == _AT_FIRST.setdefault(
            make, bits(parallel_reduce(a[:9000], make()))
        )
    b = (np.arange(9999) * 37).astype(np.uint8)
    assert parallel_reduce(b, kernels.histogram()).tolist() == kernels.histogram_of(b)


_AT_FIRST: dict[object, object] = {}


@pytest.mark.parametrize("layout", LAYOUTS_OF_ONE_ORDER)
def test_layouts_of_one_order_have_the_bits(layout):
    """What matters is which element comes when, not where it lies."""
    for n in (1, 33, 1025, 10_007):
        a = normal(n, n) * np.exp(10 * normal(n, 1))
        assert parallel_reduce(lay_out(a, layout), PLAIN) == sum_by_tree(a), n
    rows = (normal(21_000) * np.exp(10 * normal(21_000, 1))).reshape(7, 3000)
    laid = lay_out(rows, layout)
    assert parallel_reduce(laid, PLAIN) == sum_by_tree(rows.ravel())
    assert parallel_reduce(laid, PLAIN, axis=1).tolist() == [sum_by_tree(row) for row in rows]
    assert parallel_reduce(laid, PLAIN, axis=0).tolist() == [sum_by_tree(col) for col in rows.T]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_one_axis_have_the_bits(layout):
    """Along one axis the order is that of the axis, if it is not turned round."""
    a = (normal(12_000) * np.exp(10 * normal(12_000, 1))).reshape(5, 1200, 2)
    laid = lay_out(a, layout)
    expected = np.apply_along_axis(sum_by_tree, 1, a)
    if "reversed" in layout or "backwards" in layout:
        return_order = np.apply_along_axis(lambda v: sum_by_tree(v[::-1]), 1, a)
        actual = parallel_reduce(laid, PLAIN, axis=1)
        assert np.array_equal(actual, expected) or np.array_equal(actual, return_order)
    else:
        assert np.array_equal(parallel_reduce(laid, PLAIN, axis=1), expected)


# ---- shapes, axes, keywords: by a sum that is exact in any order ----


def _deviations_along(a, axis, keepdims, where, about):
    whole = np.abs(np.asarray(a).astype(np.float64) - about)
    return np.sum(whole, axis=axis, keepdims=keepdims, where=where)


@examples(150)
@given(data=st.data())
def test_any_array_and_keywords(data):
    a = data.draw(arrays(["?", "b", "H", "i", "e", "f", "d"], ["constant"]), label="array")
    a = lay_out((np.arange(a.size) % 2).reshape(a.shape), "contiguous").astype(a.dtype)
    a = lay_out(a, data.draw(st.sampled_from(LAYOUTS)))
    axis = data.draw(axes(a.ndim))
    keepdims = data.draw(st.booleans())
    where = data.draw(st.just(True) | masks(a.shape), label="where")
    workers, block = data.draw(st.integers(1, 9)), data.draw(st.sampled_from([64, 512, 8192]))
    try:
        expected = _deviations_along(a, axis, keepdims, where, 0.25)
    except np.exceptions.AxisError:
        with pytest.raises(np.exceptions.AxisError):
            parallel_reduce(a, DEVIATIONS, axis, parameter=0.25)
        return
    with scheduled(workers, block, data.draw(st.integers(0, 99))):
        actual = parallel_reduce(
            a, DEVIATIONS, axis, keepdims=keepdims, where=where, parameter=0.25
        )
    assert type(actual) is type(expected)
    assert np.array_equal(actual, expected)
    plain = parallel_reduce(a, DEVIATIONS, axis, keepdims=keepdims, where=where, parameter=0.25)
    assert np.array_equal(plain, expected)


@examples(100)
@given(data=st.data())
def test_masked_arrays(data):
    a = data.draw(arrays(["b", "i", "d"], ["constant"]), label="array")
    values = (np.arange(a.size) % 7).reshape(a.shape).astype(a.dtype)
    mask = np.broadcast_to(data.draw(masks(a.shape)), a.shape)
    axis = data.draw(st.none() | st.integers(0, a.ndim - 1) if a.ndim else st.none())
    masked = np.ma.array(values, mask=mask)
    expected = np.ma.abs(masked.astype(np.float64) - 2.5).sum(axis)
    actual = parallel_reduce(masked, DEVIATIONS, axis, parameter=2.5)
    if a.size == 0:
        assert np.array_equal(np.ma.filled(actual, 0), np.ma.filled(expected, 0))
        return
    assert np.array_equal(np.ma.getmaskarray(actual), np.ma.getmaskarray(expected))
    assert np.array_equal(np.ma.filled(actual, -1), np.ma.filled(expected, -1))
    assert (actual is np.ma.masked) == (expected is np.ma.masked)


@examples(60)
@given(data=st.data())
def test_random_data_by_rows_against_the_tree(data):
    """With where, leaves are cut before elements are left out."""
    rows, n = data.draw(st.integers(1, 5)), data.draw(st.sampled_from([1, 33, 1024, 2050]))
    a = normal(rows * n, n).reshape(rows, n)
    keep = data.draw(masks((rows, n)))
    wide = np.broadcast_to(keep, a.shape)
    actual = parallel_reduce(a, PLAIN, axis=1, where=keep)
    for k in range(rows):
        leaves = [sum_by_tree(a[k, i : i + LEAF][wide[k, i : i + LEAF]]) for i in range(0, n, LEAF)]
        assert actual[k] == kernels.tree(leaves, lambda x, y: x + y)


def test_out():
    a = np.arange(12.0).reshape(3, 4)
    out = np.empty(3)
    assert parallel_reduce(a, DEVIATIONS, axis=1, out=out) is out
    assert out.tolist() == [6.0, 22.0, 38.0]
    single = np.empty((), np.float32)
    assert parallel_reduce(a, DEVIATIONS, out=single) is single
    assert single == 66
    kept = np.empty((1, 4), "complex128")
    parallel_reduce(a, DEVIATIONS, axis=0, out=kept, keepdims=True)
    assert kept.tolist() == [[12, 15, 18, 21]]
    with pytest.raises(TypeError, match="out must be of a dtype that float64 can be"):
        parallel_reduce(a, DEVIATIONS, axis=1, out=np.empty(3, int))
    with pytest.raises(ValueError, match="out"):
        parallel_reduce(a, DEVIATIONS, axis=1, out=np.empty(4))
    with pytest.raises(TypeError, match="out"):
        parallel_reduce(a, DEVIATIONS, axis=1, out=[0, 0, 0])


def test_out_may_be_the_array_itself():
    a = np.arange(12.0).reshape(3, 4)
    parallel_reduce(a, DEVIATIONS, axis=1, out=a[:, 0])
    assert a[:, 0].tolist() == [6.0, 22.0, 38.0]


def test_repeated_elements():
    a = np.broadcast_to(np.array([1.0, 2.0]), (5000, 2))
    assert parallel_reduce(a, DEVIATIONS) == 15000
    assert parallel_reduce(a, DEVIATIONS, axis=0).tolist() == [5000, 10000]
    assert parallel_reduce(np.broadcast_to(3.0, (7, 2000)), DEVIATIONS) == 42000


def test_progress_and_executor():
    seen = []
    a = np.ones(3_000_000)
    total = parallel_reduce(a, DEVIATIONS, progress=lambda *args: seen.append(args))
    assert total == 3_000_000
    assert seen[-1] == (a.nbytes, a.nbytes)
    with ThreadPoolExecutor(2) as executor:
        assert parallel_reduce(a, DEVIATIONS, executor=executor, workers=3) == 3_000_000


# ---- the order of elements ----


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_c_order_if_not_commutative(layout):
    rng = np.random.default_rng(3)
    for shape in [(1,), (40,), (5000,), (70, 90), (5, 1100), (1100, 5), (9, 8, 70)]:
        a = rng.integers(0, 3, shape)
        laid = lay_out(a, layout)
        assert tuple(parallel_reduce(laid, RUNS).tolist()) == kernels.runs_of(a.ravel()), shape
        for axis in range(a.ndim) if a.ndim > 1 else []:
            actual = parallel_reduce(laid, RUNS, axis=axis)
            expected = along(kernels.runs_of, actual.dtype, a, axis)
            assert np.array_equal(actual, expected), (shape, axis)


def test_not_commutative_by_workers():
    a = np.random.default_rng(4).integers(0, 3, (300, 500))
    for workers in (1, 2, 9):
        for laid in (a, a.T.copy().T, a[::-1].copy()[::-1]):
            with scheduled(workers, 1024, workers):
                record = parallel_reduce(laid, RUNS)
            assert tuple(record.tolist()) == kernels.runs_of(a.ravel())
    large = np.random.default_rng(5).integers(0, 2, 2_000_000)
    changes = 1 + np.count_nonzero(np.diff(large))
    for workers in (1, 2, 3):
        assert parallel_reduce(large[::-1], RUNS, workers=workers)["runs"] == changes
    assert parallel_reduce(large[::-1], RUNS)["first"] == large[-1]


def test_several_axes_in_c_order_if_not_commutative():
    a = np.random.default_rng(6).integers(0, 3, (6, 5, 7))
    for axis in [(0, 1), (2, 0), (1, 2), (2, 1, 0)]:
        for laid in (a, np.asfortranarray(a), a[:, ::-1].copy()[:, ::-1]):
            actual = parallel_reduce(laid, RUNS, axis=axis)
            assert np.array_equal(actual, along(kernels.runs_of, actual.dtype, a, axis))


def test_where_and_masks_keep_the_order():
    a = np.random.default_rng(7).integers(0, 2, 5000)
    keep = np.random.default_rng(8).random(5000) < 0.3
    expected = kernels.runs_of(a[keep])
    assert tuple(parallel_reduce(a, RUNS, where=keep).tolist()) == expected
    assert tuple(parallel_reduce(a[::-1], RUNS, where=keep[::-1]).tolist()) == kernels.runs_of(
        a[::-1][keep[::-1]]
    )
    masked = np.ma.array(a, mask=~keep)
    assert tuple(parallel_reduce(masked, RUNS).tolist()) == expected


def test_the_tree_of_several_leaves_if_not_commutative():
    """It is of the order of elements, not of memory."""
    total = kernels.plain_sum(commutative=False)
    a = (normal(30_000) * np.exp(10 * normal(30_000, 1))).reshape(100, 300)
    expected = sum_by_tree(a.ravel(), 1)
    for layout in LAYOUTS:
        assert parallel_reduce(lay_out(a, layout), total) == expected, layout


# ---- results and states ----


def test_a_result_of_several_values():
    ends = Reduction.from_c(
        state={"low": "double", "high": "double"},
        identity="s->low = INFINITY; s->high = -INFINITY;",
        accumulate="if (x < s->low) s->low = x; if (x > s->high) s->high = x;",
        combine="if (o->low < s->low) s->low = o->low; if (o->high > s->high) s->high = o->high;",
        finish="r[0] = s->low; r[1] = s->high;",
        result=("float32", 2),
        dtypes=["float32", "float64"],
        ordered=False,
    )
    a = normal(6000).reshape(20, 300)
    actual = parallel_reduce(a, ends, axis=1)
    assert actual.dtype == np.float32
    assert actual.shape == (20, 2)
    assert np.array_equal(actual, np.stack([a.min(1), a.max(1)], 1).astype(np.float32))
    square = Reduction.from_c(
        state={"n": "int32_t"}, accumulate="s->n++;", combine="s->n += o->n;",
        finish="for (int k = 0; k < 6; k++) r[k] = s->n * (k + 1);", result=("int16", (2, 3)),
    )  # fmt: skip
    assert parallel_reduce([0.0] * 10, square).tolist() == [[10, 20, 30], [40, 50, 60]]
    assert parallel_reduce(np.zeros((4, 10)), square, axis=1).shape == (4, 2, 3)


def test_a_record_of_fields_that_need_padding():
    kind = Reduction.from_c(
        state={"n": "int64_t"},
        accumulate="s->n++;",
        combine="s->n += o->n;",
        finish="r->flag = s->n > 3; r->n = s->n; r->small = -s->n; r->part = s->n * 1.0i;",
        result={"flag": "bool", "n": "int64", "small": "int16", "part": "complex128"},
    )
    record = parallel_reduce(np.zeros(7), kind)
    assert record.tolist() == (True, 7, -7, 7j)
    aligned = np.dtype([("flag", "?"), ("n", "i8"), ("small", "i2"), ("part", "D")], align=True)
    assert record.dtype == aligned
    out = np.zeros(2, aligned)
    parallel_reduce(np.zeros((2, 3)), kind, axis=1, out=out)
    assert out.tolist() == [(False, 3, -3, 3j)] * 2


def test_a_state_of_the_largest_size():
    """And one that is a byte larger is refused, at its first use."""

    def counting(nbytes: int) -> Reduction:
        return Reduction.from_c(
            state={"n": "int64_t", "bins": f"uint8_t[{nbytes - 16}]"},
            accumulate="s->n++; s->bins[sizeof s->bins - 1] = 1;",
            combine="s->n += o->n; s->bins[sizeof s->bins - 1] |= o->bins[sizeof o->bins - 1];",
            finish="*r = s->n + s->bins[sizeof s->bins - 1];",
            ordered=False,
            name="counting",
        )

    largest = counting(1 << 20)
    assert parallel_reduce(np.zeros(5000), largest) == 5001
    assert parallel_reduce(np.zeros((3, 400)), largest, axis=1).tolist() == [401] * 3
    assert parallel_reduce(np.zeros((400, 3)), largest, axis=0).tolist() == [401] * 3
    with scheduled(3, 1024, 0):
        assert parallel_reduce(np.zeros(5000), largest) == 5001
    with pytest.raises(ValueError, match=r"^state must be of at most 1048576 bytes, got 1048584$"):
        parallel_reduce(np.zeros(3), counting((1 << 20) + 8))


def test_a_large_state_in_the_tree():
    """Whose nodes are as many as levels."""
    order = Reduction.from_c(
        state={"sum": "double", "rest": "double[9999]"},
        accumulate="s->sum += x; s->rest[9998] += 1;",
        combine="s->sum += o->sum; s->rest[9998] += o->rest[9998];",
        finish="r[0] = s->sum; r[1] = s->rest[9998];",
        result=("float64", 2),
    )
    a = normal(40_000) * np.exp(10 * normal(40_000, 1))
    expected = [sum_by_tree(a, 1), 40_000]
    assert parallel_reduce(a, order).tolist() == expected
    for workers in (2, 5):
        with scheduled(workers, 8192, workers):
            assert parallel_reduce(a, order).tolist() == expected


def test_an_identity_of_its_own_and_a_header():
    product = Reduction.from_c(
        header="#include <float.h>\nstatic double twice(double v)\n{\n    return 2 * v;\n}",
        state={"product": "double", "most": "double"},
        identity="s->product = 1; s->most = parameter;",
        accumulate="s->product *= twice(x); s->most = fmax(s->most, x);",
        combine="s->product *= o->product; s->most = fmax(s->most, o->most);",
        finish="r[0] = s->product; r[1] = s->most;",
        result=("float64", 2),
    )
    assert parallel_reduce([1.0, 2.0, 0.5], product, parameter=1.5).tolist() == [8.0, 2.0]
    assert parallel_reduce([1.0, 2.0, 0.5], product, parameter=7).tolist() == [8.0, 7.0]
    assert parallel_reduce([], product, parameter=-1).tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    ("parameter", "shown"), [("x", "'x'"), (None, "None"), ([1, 2], r"\[1, 2\]"), (1j, "1j")]
)
def test_parameters_that_are_no_numbers(parameter, shown):
    with pytest.raises(TypeError, match=f"^parameter must be a number, got {shown}$"):
        parallel_reduce([1.0], DEVIATIONS, parameter=parameter)


# ---- dtypes ----


def test_conversion_to_the_first_dtype_that_is_safe():
    which = Reduction.from_c(
        state={"sum": "int64_t"},
        accumulate="s->sum += (int64_t)x;",
        combine="s->sum += o->sum;",
        finish="*r = s->sum;",
        dtypes=["int32", "float64"],
    )
    for given_, taken in {
        "bool": "int32", "int8": "int32", "uint16": "int32", "int32": "int32", ">i4": "int32",
        ">u2": "int32",
        "uint32": "float64", "int64": "float64", "float16": "float64", "float32": "float64",
        "float64": "float64", ">f8": "float64",
    }.items():  # fmt: skip
        a = np.random.default_rng(0).integers(0, 2, (40, 150)).astype(given_)
        actual = parallel_reduce(a, which)
        assert actual.dtype == taken, given_
        assert actual == np.count_nonzero(a), given_
        for layout in ("fortran", "stepped", "unaligned", "reversed"):
            assert parallel_reduce(lay_out(a, layout), which) == actual


_WHOLE = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize("to", _WHOLE)
def test_integers_as_wider_integers(to):
    """Each value arrives as it is; what does not always fit is refused."""
    last = Reduction.from_c(
        state={"last": "T", "any": "_Bool"}, accumulate="s->last = x; s->any = 1;",
        combine="if (o->any) *s = *o;", finish="*r = s->last;",
        dtypes=to, commutative=False, name="last",
    )  # fmt: skip
    for source in _WHOLE:
        ends = (0, 1) if source == "bool" else (np.iinfo(source).min, np.iinfo(source).max, 1)
        for k in ends:
            for a in (np.array([0, k], source), np.array([0, k], np.dtype(source).newbyteorder())):
                if np.can_cast(source, to, "safe"):
                    assert int(parallel_reduce(a, last)) == k
                    assert parallel_reduce(a, last).dtype == to
                else:
                    with pytest.raises(TypeError, match="a must be of a dtype that last takes"):
                        parallel_reduce(a, last)


def test_int32_as_float64():
    a = np.random.default_rng(1).integers(-(2**31), 2**31, 5000).astype(np.int32)
    assert parallel_reduce(a, PLAIN) == sum_by_tree(a.astype(float))


@pytest.mark.parametrize(
    "dtype",
    ["complex128", "longdouble", "M8[s]", "m8[s]", "O", "U3", "S3", "V8", "i4,f4", "clongdouble"],
)
def test_refused_dtypes(dtype):
    a = np.zeros(3, dtype)
    with pytest.raises(TypeError) as error:
        parallel_reduce(a, PLAIN)
    assert str(error.value) == (
        f"a must be of a dtype that plain sum takes (float64), got {a.dtype}"
    )


def test_refused_dtypes_name_all_that_are_taken():
    both = kernels.plain_sum(dtypes=["float32", "int16"])
    with pytest.raises(TypeError) as error:
        parallel_reduce(np.zeros(3, "int64"), both)
    assert str(error.value) == (
        "a must be of a dtype that plain sum takes (float32, int16), got int64"
    )


# ---- what finish returns ----


def _flagging(flags: str) -> Reduction:
    return Reduction.from_c(
        state={"n": "double"}, accumulate="s->n += x;", combine="s->n += o->n;",
        finish=f"*r = s->n; if (s->n > 10) return {flags};", name="flagging",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "kind", "text"),
    [
        ("PARSUM_OVERFLOW", "over", "overflow"),
        ("PARSUM_INVALID", "invalid", "invalid value"),
        ("PARSUM_DIVIDE", "divide", "divide by zero"),
    ],
)
def test_flags(flag, kind, text):
    reduction = _flagging(flag)
    message = f"^{text} encountered in flagging$"
    with np.errstate(all="raise"):
        assert parallel_reduce([9.0], reduction) == 9
        with pytest.raises(FloatingPointError, match=message):
            parallel_reduce([9.0, 2.0], reduction)
        with pytest.raises(FloatingPointError, match=message):
            parallel_reduce([[9.0, 2.0], [1.0, 1.0]], reduction, axis=1)
        with np.errstate(**{kind: "ignore"}):
            assert parallel_reduce([9.0, 2.0], reduction) == 11
    with np.errstate(all="warn"), pytest.warns(RuntimeWarning, match=message) as caught:
        assert parallel_reduce([9.0, 2.0], reduction) == 11
    assert [w.filename for w in caught] == [__file__]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_reduce([9.0, 2.0], reduction)


def test_flags_together():
    with np.errstate(all="warn"), pytest.warns(RuntimeWarning) as caught:
        parallel_reduce([11.0], _flagging("PARSUM_OVERFLOW | PARSUM_INVALID | PARSUM_DIVIDE"))
    assert sorted(str(w.message).split(" encountered")[0] for w in caught) == [
        "divide by zero", "invalid value", "overflow",
    ]  # fmt: skip


# ---- refusals ----

_GOOD = {
    "state": {"sum": "double"},
    "accumulate": "s->sum += x;",
    "combine": "s->sum += o->sum;",
    "finish": "*r = s->sum;",
}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"accumulate": 1}, TypeError, "accumulate must be a str, got 1"),
        ({"combine": None}, TypeError, "combine must be a str, got None"),
        ({"finish": b"x"}, TypeError, "finish must be a str, got b'x'"),
        ({"identity": 0}, TypeError, "identity must be a str, got 0"),
        ({"header": ["a"]}, TypeError, r"header must be a str, got ['a']"),
        ({"name": 3}, TypeError, "name must be a str, got 3"),
        ({"finish": "a\0b"}, ValueError,
         r"finish must be text without null bytes, got 'a\x00b'"),
        ({"name": "\0"}, ValueError, r"name must be text without null bytes, got '\x00'"),
        ({"state": "double"}, TypeError,
         "state must map names of fields to C types, got 'double'"),
        ({"state": [("sum", "double")]}, TypeError,
         "state must map names of fields to C types, got [('sum', 'double')]"),
        ({"state": {}}, ValueError, "state must have at least one field, got none"),
        ({"state": {"a b": "int"}}, ValueError,
         "state must have C identifiers as names of fields, got 'a b'"),
        ({"state": {"1a": "int"}}, ValueError,
         "state must have C identifiers as names of fields, got '1a'"),
        ({"state": {"parameter_": "int"}}, ValueError,
         "state must have C identifiers as names of fields, got 'parameter_'"),
        ({"state": {3: "int"}}, ValueError,
         "state must have C identifiers as names of fields, got 3"),
        ({"state": {"sum\n": "int"}}, ValueError,
         "state must have C identifiers as names of fields, got 'sum\\n'"),
        ({"state": {"p": "double *"}}, ValueError,
         "state must give each field a C type, or one and a length in brackets, got "
         "'double *' for p"),
        ({"state": {"p": "int[2][3]"}}, ValueError,
         "state must give each field a C type, or one and a length in brackets, got "
         "'int[2][3]' for p"),
        ({"state": {"p": "int; int q"}}, ValueError,
         "state must give each field a C type, or one and a length in brackets, got "
         "'int; int q' for p"),
        ({"state": {"p": ""}}, ValueError,
         "state must give each field a C type, or one and a length in brackets, got '' for p"),
        ({"state": {"p": 8}}, ValueError,
         "state must give each field a C type, or one and a length in brackets, got 8 for p"),
        ({"state": {"p": "int[0]"}}, ValueError,
         "state must give arrays at least 1 element, got 'int[0]' for p"),
        ({"dtypes": ()}, ValueError, "dtypes must name at least one dtype, got none"),
        ({"dtypes": "M8[s]"}, TypeError,
         "dtypes must be of bool, integers, floats or complex numbers, got datetime64[s]"),
        ({"dtypes": ["float64", "U4"]}, TypeError,
         "dtypes must be of bool, integers, floats or complex numbers, got <U4"),
        ({"dtypes": object}, TypeError,
         "dtypes must be of bool, integers, floats or complex numbers, got object"),
        ({"result": "m8[s]"}, TypeError,
         "result must be of bool, integers, floats or complex numbers of this machine's byte "
         "order, got timedelta64[s]"),
        ({"result": ("U2", 3)}, TypeError,
         "result must be of bool, integers, floats or complex numbers of this machine's byte "
         "order, got <U2"),
        ({"result": {"a": "O"}}, TypeError,
         "result must be of bool, integers, floats or complex numbers of this machine's byte "
         "order, got object"),
        ({"result": np.dtype("f8").newbyteorder()}, TypeError,
         "result must be of bool, integers, floats or complex numbers of this machine's byte "
         f"order, got {np.dtype('f8').newbyteorder()}"),
        ({"result": {"a b": "i4"}}, ValueError,
         "result must have C identifiers as names, got 'a b'"),
        ({"result": ("float64", 1 << 18)}, ValueError,
         "result must be of at most 1048576 bytes, got 2097152"),
        ({"result": np.dtype([("a", "i1"), ("b", "f8")])}, ValueError,
         "result must be an aligned record, got [('a', 'i1'), ('b', '<f8')]"),
        ({"lanes": 3}, ValueError, "lanes must be a power of two up to 64, got 3"),
        ({"lanes": 0}, ValueError, "lanes must be a power of two up to 64, got 0"),
        ({"lanes": 128}, ValueError, "lanes must be a power of two up to 64, got 128"),
        ({"lanes": True}, ValueError, "lanes must be a power of two up to 64, got True"),
        ({"lanes": 2.0}, ValueError, "lanes must be a power of two up to 64, got 2.0"),
        ({"lanes": 4, "commutative": False}, ValueError,
         "lanes must be 1 where commutative is False, as they take elements in turn, got 4"),
    ],
)  # fmt: skip
def test_arguments_of_from_c(changed, error, message):
    with pytest.raises(error) as caught:
        Reduction.from_c(**{**_GOOD, **changed})
    assert str(caught.value) == message


def test_positions_are_not_arguments():
    with pytest.raises(TypeError):
        Reduction.from_c({"sum": "double"}, "", "", "")
    with pytest.raises(TypeError, match=r"^Reduction must be made by Reduction.from_c"):
        Reduction()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": "f8"}, TypeError, "dtype must be left out for a reduction of one's own"),
        ({"initial": 1}, TypeError, "initial must be left out for a reduction of one's own"),
        ({"ddof": 1}, TypeError,
         "ddof must be an argument of Reduction\\('plain sum'\\), which has no such"),
        ({"keepdims": "yes"}, TypeError, "integer"),
        ({"axis": 1}, np.exceptions.AxisError, "axis"),
        ({"axis": (0, 0)}, ValueError, "axis"),
        ({"where": np.ones(5, bool)}, ValueError, "where|broadcast"),
        ({"where": np.ones(3)}, TypeError, "where"),
        ({"workers": 0}, ValueError, "workers must be -1 or at least 1, got 0"),
        ({"method": "best"}, ValueError, "method"),
        ({"progress": 1}, TypeError, "progress"),
        ({"executor": 3}, TypeError, "executor"),
    ],
)  # fmt: skip
def test_arguments_of_the_call(arguments, error, message):
    with pytest.raises(error, match=message):
        parallel_reduce(np.ones(3), PLAIN, **arguments)


def test_method_is_of_no_matter():
    a = normal(5000)
    assert parallel_reduce(a, PLAIN, method="fast") == parallel_reduce(a, PLAIN)


# ---- what the compiler says ----


@pytest.mark.parametrize("text", ["header", "identity", "accumulate", "combine", "finish"])
def test_a_compile_error_shows_the_line(text):
    good = {"header": "", "identity": "", **_GOOD}
    for lines in (["no_such y;"], ["", "/* two */", "    no_such y;", good[text]]):
        reduction = Reduction.from_c(**{**good, text: "\n".join(lines), "name": "faulty"})
        with pytest.raises(parsum.CompileError) as error:
            parallel_reduce([1.0], reduction)
        message = str(error.value)
        assert message.startswith("faulty for float64 does not compile:\n")
        number = 1 + next(k for k, line in enumerate(lines) if "no_such" in line)
        shown = message.splitlines()
        (place,) = [k for k, line in enumerate(shown) if line.startswith(f"{text}:{number}:")
                    and "error:" in line]  # fmt: skip
        assert "no_such" in shown[place]
        assert shown[place + 1] == "    no_such y;"


def test_a_compile_error_of_a_field():
    reduction = Reduction.from_c(**{**_GOOD, "state": {"n": "int64_t", "sum": "dubble"}})
    with pytest.raises(parsum.CompileError, match=r"state:2:.*dubble"):
        parallel_reduce([1.0], reduction)


def test_a_text_that_breaks_out_of_its_function_is_an_error_or_what_it_says():
    """Whatever it does, messages are of the user's text, and the next one is not spoilt."""
    with pytest.raises(parsum.CompileError):
        parallel_reduce([1.0], Reduction.from_c(**{**_GOOD, "accumulate": "} {{"}))
    with pytest.raises(parsum.CompileError):
        parallel_reduce([1.0], Reduction.from_c(**{**_GOOD, "accumulate": "/* not closed"}))
    assert parallel_reduce([1.0], Reduction.from_c(**_GOOD)) == 1


def test_braces_and_percent_signs_are_text():
    a = np.arange(10.0)
    reduction = Reduction.from_c(
        header="struct pair { double a, b; };",
        state={"sum": "double"},
        accumulate="{ struct pair p = {x, 2}; s->sum += (int64_t)p.a % 2 ? p.b : 0; } // end",
        combine="s->sum += o->sum;",
        finish="*r = s->sum; // %s {state}",
    )
    assert parallel_reduce(a, reduction) == 10


def test_an_error_comes_again_and_leaves_nothing_behind():
    reduction = Reduction.from_c(**{**_GOOD, "finish": "*r = nothing;"})
    for _ in range(2):
        with pytest.raises(parsum.CompileError, match="nothing"):
            parallel_reduce([1.0], reduction)


# ---- equality and pickling ----


def test_equality():
    assert kernels.plain_sum() == kernels.plain_sum()
    assert hash(kernels.plain_sum()) == hash(kernels.plain_sum())
    assert kernels.plain_sum() != kernels.plain_sum(lanes=1)
    assert kernels.plain_sum() != 3
    assert repr(kernels.plain_sum()) == "Reduction('plain sum')"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol):
    a = normal(3000)
    for reduction in (PLAIN, WELFORD, RUNS):
        again = pickle.loads(pickle.dumps(reduction, protocol))
        assert again == reduction
        assert again.commutative == reduction.commutative
        assert bits(parallel_reduce(a, again)) == bits(parallel_reduce(a, reduction))


def _of(reduction: Reduction, a: np.ndarray) -> tuple[int, bytes]:
    return os.getpid(), parallel_reduce(a, reduction).tobytes()


def test_pickles_across_spawned_processes():
    a = normal(3000)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for reduction in (PLAIN, WELFORD):
            place, result = pool.submit(_of, reduction, a).result(120)
            assert place != os.getpid()
            assert result == parallel_reduce(a, reduction).tobytes()


def test_a_pickle_that_says_something_else_is_refused():
    from parsum.custom import _remake

    with pytest.raises(ValueError, match="must be of C or Python functions, got 'from_pointers'"):
        _remake("from_pointers", {})
    with pytest.raises(TypeError):
        _remake("from_c", {"state": {"a": "int"}, "nonsense": 1})


# ---- compilers ----

_USE = """
    import numpy as np, parsum
    total = parsum.Reduction.from_c(state={"sum": "double"}, accumulate="s->sum += x;",
        combine="s->sum += o->sum;", finish="*r = s->sum;")
    try:
        print(parsum.parallel_reduce(np.arange(5.0), total))
    except parsum.CompileError as error:
        print(f"CompileError: {error}")
"""


def test_no_compiler(tmp_path):
    said = output(_USE, PATH=str(tmp_path), CC=None, PARSUM_CACHE_DIR=str(tmp_path / "kernels"))
    assert said == (
        "CompileError: a C compiler is needed for kernels made at run time, and none was found: "
        "install GCC or Clang, or set the environment variable CC to the one to use"
    )


def test_cc_that_names_nothing(tmp_path):
    said = output(_USE, CC="no-such-cc -O2", PARSUM_CACHE_DIR=str(tmp_path))
    assert said == (
        "CompileError: CC must name a C compiler, got 'no-such-cc -O2', which was not found"
    )


def test_cc_with_quotes_that_do_not_close(tmp_path):
    done = run(_USE, CC="cc '-O2", PARSUM_CACHE_DIR=str(tmp_path))
    assert 'CompileError: CC must name a C compiler, got "cc \'-O2"' in done.stdout, done.stderr


def test_cc_with_arguments(tmp_path):
    said = output(_USE, CC="cc -DPARSUM_TEST=1", PARSUM_CACHE_DIR=str(tmp_path))
    assert said == "10.0"
    code = _USE.replace("s->sum += x;", "s->sum += x * PARSUM_TEST;")
    assert output(code, CC="cc -DPARSUM_TEST=3", PARSUM_CACHE_DIR=str(tmp_path)) == "30.0"
    assert output(code, CC="cc -DPARSUM_TEST=2", PARSUM_CACHE_DIR=str(tmp_path)) == "20.0"


def test_a_compiler_that_is_no_compiler(tmp_path):
    for command, text in {"false": "could not be run", "/": "which was not found"}.items():
        assert text in output(_USE, CC=command, PARSUM_CACHE_DIR=str(tmp_path))


def test_the_library_works_without_a_compiler(tmp_path):
    code = "import parsum; print(parsum.parallel_reduce([1.0, 2.0], ('sum', 'max')))"
    assert output(code, PATH=str(tmp_path), CC=None) == "(np.float64(3.0), np.float64(2.0))"


@pytest.mark.parametrize("compiler", [k for k in ("cc", "gcc", "clang") if shutil.which(k)])
def test_all_compilers_give_the_same_bits(compiler, tmp_path):
    code = """
        import numpy as np, parsum, kernels
        a = np.random.default_rng(0).standard_normal(20_000)
        print(parsum.parallel_reduce(a, kernels.plain_sum()).hex(),
              parsum.parallel_reduce(a, kernels.sum_of_deviations(), parameter=0.3).hex())
    """
    a = np.random.default_rng(0).standard_normal(20_000)
    assert output(code, CC=compiler, PARSUM_CACHE_DIR=str(tmp_path)).split() == [
        sum_by_tree(a).hex(), parallel_reduce(a, DEVIATIONS, parameter=0.3).hex(),
    ]  # fmt: skip


# ---- small arrays ----


@pytest.mark.parametrize(
    "make",
    [
        kernels.plain_sum,
        kernels.welford,
        kernels.log_sum_exp,
        kernels.geometric_mean,
        kernels.runs,
        kernels.histogram,
        kernels.sum_of_deviations,
    ],
)
def test_small_arrays_have_the_bits_of_the_general_way(make):
    """One call of C does for them what a job does."""
    reduction = make()
    dtype = "uint8" if make is kernels.histogram else "float64"
    itemsize = np.dtype(dtype).itemsize
    for n in (1, 2, 31, 33, 1024, 1025, 5000, toolkit._SMALL // itemsize):
        a = (np.abs(normal(n, n)) * 10.0 ** np.random.default_rng(n).integers(-3, 2, n)).astype(
            dtype
        )
        for laid in (
            a,
            a[::-1],
            a.reshape(-1, 1),
            np.asfortranarray(a[: n // 2 * 2].reshape(-1, 2)),
        ):
            if not laid.size:
                continue
            with mock.patch.object(toolkit, "_SMALL", 0):
                expected = parallel_reduce(laid, reduction, parameter=0.5)
            actual = parallel_reduce(laid, reduction, parameter=0.5)
            assert type(actual) is type(expected)
            assert bits(actual) == bits(expected), (n, laid.shape)


def test_small_arrays_are_no_jobs():
    total, a = kernels.plain_sum(), normal(100)
    first = parallel_reduce(a, total)  # compiled here
    with mock.patch.object(toolkit, "reduce_custom", side_effect=AssertionError):
        for options in ({}, {"workers": 2}, {"method": "fast"}, {"parameter": 3}):
            assert parallel_reduce(a, total, **options) == first
        for array, options in (
            (a, {"axis": 0}),
            (a, {"keepdims": True}),
            (a[::2], {}),
            ([1.0], {}),
        ):
            with pytest.raises(AssertionError):
                parallel_reduce(array, total, **options)
        for array in (a.astype(">f8"), a.astype("f4"), np.ma.array(a), a[:0], normal(8193)):
            with pytest.raises(AssertionError):
                parallel_reduce(array, total)
    with pytest.raises(ValueError, match="workers must be -1 or at least 1, got 0"):
        parallel_reduce(a, total, workers=0)


def test_flags_of_small_arrays():
    flagging = _flagging("PARSUM_OVERFLOW")
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="overflow encountered in flagging"):
            parallel_reduce(np.full(3, 9.0), flagging)
        with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
            parallel_reduce(np.full(3, 9.0), flagging)
