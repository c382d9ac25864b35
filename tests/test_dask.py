"""Dask arrays: lazy results with the bits of one call, whatever the chunks and the scheduler."""

from __future__ import annotations

import math
import os
import pickle
import signal
import time
from fractions import Fraction
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray
from children import output
from distributed import Client, LocalCluster
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_same_bits, exact_sum
from reference import DTYPES, STYLES, examples, outcome, values
from test_accumulator import assert_same, assert_same_results, fields

import parsum
from parsum import (
    Accumulator,
    Reduction,
    engine,
    parallel_argmin,
    parallel_dot,
    parallel_mean,
    parallel_minmax,
    parallel_norm,
    parallel_reduce,
    parallel_sum,
    parallel_var,
    parallel_vdot,
    parallel_vecdot,
    parallel_weighted_mean,
)
from parsum.api.lazy import Partial
from parsum.api.named import FUNCTIONS

#: Whose place in the tree shows in the bits, or, of these dtypes, that of everything but ends.
PRODUCTS = ("prod", "nanprod")
SUMMED = ("sum", "nansum", "mean", "nanmean", "norm")


def is_exact(name: str, dtype: np.dtype[Any]) -> bool:
    """Whether the result is the same for every order of combination."""
    if name in PRODUCTS:
        return dtype.kind in "biu"
    return dtype.char not in "gG" or name in (
        "any", "all", "count_nonzero", "min", "max", "minmax", "nanmin", "nanmax", "argmin",
        "argmax", "nanargmin", "nanargmax",
    )  # fmt: skip


def computed(result: Any, **how: Any) -> Any:
    """The result of a lazy one, all of its arrays at once; it must not have been computed yet."""
    lazy = [part for part in fields(result) if part is not None]
    assert all(isinstance(part, da.Array) for part in lazy), result
    (now,) = dask.compute(result, **{"scheduler": "synchronous", **how})
    for before, after in zip(fields(result), fields(now), strict=True):
        if before is not None and not any(math.isnan(n) for n in before.shape):
            assert before.shape == np.shape(after)
            if after is not np.ma.masked:
                assert before.dtype == after.dtype
    return now


def hard(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers whose sum in double precision depends on the order."""
    rng = np.random.default_rng(seed)
    n = math.prod(shape)
    array = rng.standard_normal(n) * 10.0 ** rng.integers(-20, 20, n)
    array[: n // 2] = -array[n - n // 2 :] * (1 + 2.0**-40)
    rng.shuffle(array)
    return array.reshape(shape)


@st.composite
def chunks(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Any chunks of a shape: none cut, alike, or of lengths that differ."""
    cut = []
    for n in shape:
        ends = draw(st.lists(st.integers(1, max(n - 1, 1)), max_size=4, unique=True)) if n else []
        ends = sorted(end for end in ends if end < n)
        cut.append(tuple(b - a for a, b in zip([0, *ends], [*ends, n], strict=True)))
    return tuple(cut)


SHAPES = [(), (0,), (1,), (50,), (7, 11), (0, 3), (3, 0), (3, 4, 5)]


@examples(500)
@given(data=st.data())
def test_any_chunks_give_the_bits_of_the_array(data):
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)), "name")
    codes = [code for code in DTYPES if is_exact(name, np.dtype(code))]
    dtype = np.dtype(data.draw(st.sampled_from(codes), "dtype"))
    shape = data.draw(st.sampled_from(SHAPES), "shape")
    style = data.draw(st.sampled_from(STYLES), "style")
    array = values(style, math.prod(shape), dtype, data.draw(st.integers(0, 99))).reshape(shape)
    array = np.asarray(array, order=data.draw(st.sampled_from("CF"), "order"))
    if data.draw(st.booleans(), "swapped"):
        array = array.astype(dtype.newbyteorder())
    axes = [None, *range(len(shape))]
    if len(shape) > 2 and not name.startswith(("arg", "nanarg", "norm")):
        axes += [(0, 2), (1, 2), (0, 1), ()]
    keywords: dict[str, Any] = {"axis": data.draw(st.sampled_from(axes), "axis")}
    if data.draw(st.booleans(), "keepdims"):
        keywords["keepdims"] = True
    if name in ("var", "std", "nanvar", "nanstd", "describe"):
        keywords["ddof"] = data.draw(st.sampled_from([0, 1]), "ddof")
    if name == "norm" and len(shape) == 1:
        keywords["ord"] = data.draw(st.sampled_from([None, 2, 1, math.inf, -math.inf, 0]))
    starts = name in ("sum", "nansum", "min", "max", "nanmin", "nanmax")
    if starts and dtype.kind not in "mM" and data.draw(st.booleans(), "initial"):
        keywords["initial"] = 3
    lazy_keywords = dict(keywords)
    if "arg" not in name and name not in ("minmax", "norm") and data.draw(st.booleans(), "where"):
        mask = values("random", math.prod(shape), "?", 5).reshape(shape)
        keywords["where"] = lazy_keywords["where"] = mask
        if data.draw(st.booleans(), "lazy where"):
            lazy_keywords["where"] = da.from_array(mask, data.draw(chunks(shape), "where chunks"))
    cut = data.draw(chunks(shape), "chunks")
    expected = outcome(FUNCTIONS[name], array, **keywords)

    def lazily() -> Any:
        return computed(FUNCTIONS[name](da.from_array(array, cut), **lazy_keywords))

    assert_same_results(outcome(lazily), expected, f"{name} {dtype} {shape} {cut} {keywords}")


@pytest.mark.parametrize("name", [*sorted(set(FUNCTIONS) - set(PRODUCTS))])
def test_every_function_and_scheduler(name):
    array = hard(40, 50)
    array[3, 4] = np.nan
    blocks = [da.from_array(array, cut) for cut in [(9, 50), (40, 17), (13, 17)]]
    for axis in (None, 0, 1):
        for keepdims in (False, True):
            expected = outcome(FUNCTIONS[name], array, axis=axis, keepdims=keepdims)
            assert expected.error is None
            for lazy in blocks:
                scheduler = "synchronous" if keepdims else "threads"
                result = FUNCTIONS[name](lazy, axis=axis, keepdims=keepdims)
                now = computed(result, scheduler=scheduler)
                assert_same(now, expected.value, f"{name} {axis} {lazy.chunks} {scheduler}")


def test_a_sum_is_the_exact_one():
    array = hard(3000)
    lazy = da.from_array(array, 101)
    assert_same_bits(computed(parallel_sum(lazy)), exact_sum(array, np.float64))
    assert computed(parallel_sum(lazy)) == math.fsum(array)
    small = da.from_array(array[:60] / 2.0**900, 7)
    mean = sum(map(Fraction, (array[:60] / 2.0**900).tolist())) / 60
    assert computed(parallel_mean(small)) == float(mean)


def test_dasks_own_sum_depends_on_chunks_and_this_does_not():
    array = hard(2000, seed=1)
    cuts = [3, 50, 77, 250, 999, 2000]
    theirs = {float(da.from_array(array, cut).sum().compute()) for cut in cuts}
    ours = {float(computed(parallel_sum(da.from_array(array, cut)))) for cut in cuts}
    assert len(theirs) > 1
    assert ours == {math.fsum(array)}


def test_the_tree_is_as_wide_as_dask_is_told():
    array = hard(640)
    lazy = da.from_array(array, 10)
    sizes = []
    for every in (2, 4, 64):
        with dask.config.set(split_every=every):
            result = parallel_sum(lazy)
        sizes.append(len(result.__dask_graph__()))
        assert computed(result) == math.fsum(array)
    assert sizes[0] > sizes[1] > sizes[2]


def test_names_of_equal_graphs_are_equal():
    lazy = da.ones((30, 30), chunks=7)
    assert parallel_var(lazy, ddof=1).name == parallel_var(lazy, ddof=1).name
    assert parallel_var(lazy, ddof=1).name != parallel_var(lazy).name
    assert parallel_sum(lazy).name != parallel_mean(lazy).name


# ---- arguments ----


def test_dtypes_and_initial():
    array = hard(30, 40) % 1000
    lazy = da.from_array(array, (7, 11))
    for keywords in (
        {"dtype": "f4"}, {"dtype": "i8", "axis": 0}, {"dtype": "c16", "axis": 0, "initial": 1 + 2j},
        {"initial": 0.1, "axis": 1}, {"axis": (0, 1), "keepdims": True},
    ):  # fmt: skip
        expected = parallel_sum(array, **keywords)
        assert_same(computed(parallel_sum(lazy, **keywords)), expected, str(keywords))
    whole = np.arange(1, 13).reshape(3, 4)
    for start in (3, 0.5):
        expected = parsum.parallel_prod(whole, 0, "f8", initial=start)
        actual = parsum.parallel_prod(da.from_array(whole, (2, 3)), 0, "f8", initial=start)
        assert_same(computed(actual), expected)
    with pytest.warns(np.exceptions.ComplexWarning):
        real = parallel_sum(lazy * 1j + lazy, dtype="f8")
    assert computed(real) == parallel_sum(array)
    whole = parallel_mean(array, dtype="i4", axis=0)
    assert_same(computed(parallel_mean(lazy, dtype="i4", axis=0)), whole)
    with (
        pytest.warns(RuntimeWarning, match="Mean of empty slice"),
        np.errstate(invalid="ignore"),
    ):
        nothing = computed(parallel_mean(lazy, dtype="c16", where=lazy > 1e9))
    assert np.isnan(nothing.real) and np.isnan(nothing.imag)


def test_spreads_about_means_that_are_given():
    array = values("random", 1200, "d").reshape(30, 40)
    lazy = da.from_array(array, (7, 11))
    mean = array.mean(0, keepdims=True)
    expected = parallel_var(array, 0, mean=mean)
    for given_mean in (mean, da.from_array(mean, (1, 9))):
        assert_same(computed(parallel_var(lazy, 0, mean=given_mean)), expected)
        assert_same(computed(parallel_var(lazy.rechunk((30, 7)), 0, mean=given_mean)), expected)
    assert_same(computed(parallel_var(array, 0, mean=da.from_array(mean))), expected)


def test_inner_products_and_weighted_means():
    a, b = hard(30, 40), hard(30, 40, seed=1)
    x, y = da.from_array(a, (7, 11)), da.from_array(b, (10, 40))
    assert_same(computed(parallel_dot(x[0], y[0])), parallel_dot(a[0], b[0]))
    assert_same(computed(parallel_dot(x[0], b[0])), parallel_dot(a[0], b[0]))
    assert_same(computed(parallel_dot(a[0], y[0])), parallel_dot(a[0], b[0]))
    assert_same(computed(parallel_vdot(x, y)), parallel_vdot(a, b))
    assert_same(computed(parallel_vdot(x.ravel(), y)), parallel_vdot(a, b))
    z, c = x + 1j * y, a + 1j * b
    for axis in (0, 1):
        for keepdims in (False, True):
            keywords = {"axis": axis, "keepdims": keepdims}
            expected = parallel_vecdot(a, b, **keywords)
            assert_same(computed(parallel_vecdot(x, y, **keywords)), expected)
            expected = parallel_vecdot(c, b, **keywords)
            assert_same(computed(parallel_vecdot(z, y, **keywords)), expected)
    assert_same(computed(parallel_vecdot(x, y[0])), parallel_vecdot(a, b[0]))
    weight = np.abs(b)
    for numbers, lazy in ((a, x), (c, z), (a.astype("f4"), x.astype("f4"))):
        for axis in (None, 0):
            expected = parallel_weighted_mean(numbers, axis, weight, True)
            actual = parallel_weighted_mean(lazy, axis, abs(y), True)
            assert_same(computed(actual), expected)
            assert_same(computed(parallel_weighted_mean(lazy, axis, weight)), expected[0])
    expected = parallel_weighted_mean(a, 0, weight[:, 0])
    assert_same(computed(parallel_weighted_mean(x, 0, weight[:, 0])), expected)
    expected = parallel_weighted_mean(a, 0, returned=True)
    assert_same(computed(parallel_weighted_mean(x, 0, returned=True)), expected)
    with pytest.raises(ZeroDivisionError, match="weights must not sum to zero"):
        computed(parallel_weighted_mean(x, weights=y * 0))
    with pytest.raises(TypeError, match="out must be left out for a Dask array"):
        parallel_vecdot(x, y, np.empty(30))


SUM_OF_LOGS = Reduction.from_c(
    state={"sum": "double"},
    accumulate="s->sum += x;",
    combine="s->sum += o->sum;",
    finish="*r = s->sum;",
)
LAST = Reduction.from_c(
    state={"last": "double"},
    accumulate="s->last = x;",
    combine="s->last = o->last;",
    finish="*r = s->last;",
    commutative=False,
)


def test_reductions_by_name_several_and_of_ones_own():
    array = np.arange(1200.0).reshape(30, 40)
    lazy = da.from_array(array, (7, 11))
    names = ("min", "sum", "argmax", "describe", SUM_OF_LOGS)
    assert_same(computed(parallel_reduce(lazy, names)), parallel_reduce(array, names))
    assert_same(computed(parallel_reduce(lazy, "std", 0, ddof=1)), np.std(array, 0, ddof=1))
    for axis in (None, 0, 1, (0, 1)):
        actual = computed(parallel_reduce(lazy, SUM_OF_LOGS, axis))
        assert_same(actual, array.sum(axis))  # of integers, which any order adds up to
        actual = computed(parallel_reduce(lazy, SUM_OF_LOGS, axis, where=lazy > 500, keepdims=True))
        assert_same(actual, array.sum(axis, where=array > 500, keepdims=True))
    assert_same(computed(parallel_reduce(lazy, LAST, 0)), array[-1])
    assert_same(computed(parallel_reduce(lazy, LAST, 1)), array[:, -1])
    assert computed(parallel_reduce(lazy.rechunk(-1), LAST)) == 1199
    upwards = np.asarray(array, order="F")[::-1]
    assert computed(parallel_reduce(da.from_array(upwards, chunks=-1), LAST)) == upwards[-1, -1]
    with pytest.raises(ValueError, match=r"axis must be one axis .* not commutative"):
        parallel_reduce(lazy, LAST)
    slow = Reduction.from_python(
        identity=lambda: 0.0, accumulate=lambda s, x: s + x.sum(), combine=lambda s, o: s + o,
        finish=lambda s: s,
    )  # fmt: skip
    with pytest.raises(TypeError, match="must not be of functions in Python"):
        parallel_reduce(lazy, slow)


def test_what_depends_on_the_order_is_near_and_the_same_each_time():
    array = np.random.default_rng(0).uniform(0.5, 2, (60, 70))
    lazy = da.from_array(array, (13, 17))
    for function, keywords in (
        (parsum.parallel_prod, {}), (parallel_norm, {"ord": 3}), (parallel_sum, {"method": "fast"}),
    ):  # fmt: skip
        for axis in (0, 1):
            result = function(lazy, axis=axis, **keywords)
            first = computed(result)
            np.testing.assert_allclose(first, function(array, axis=axis, **keywords), rtol=1e-14)
            for scheduler in ("synchronous", "threads", "threads"):
                assert_same(computed(result, scheduler=scheduler), first)
    wide = np.longdouble(array)
    near = computed(parallel_sum(da.from_array(wide, (13, 17))))
    np.testing.assert_allclose(near, parallel_sum(wide), rtol=1e-18)


def test_chunks_of_unknown_sizes():
    array = hard(30, 40)
    some = array[array[:, 0] > 0]
    lazy = da.from_array(array, (7, 11))
    lazy = lazy[lazy[:, 0] > 0]
    assert math.isnan(lazy.shape[0])
    for axis in (None, 0, 1):
        assert_same(computed(parallel_sum(lazy, axis)), parallel_sum(some, axis))
        assert_same(computed(parallel_minmax(lazy, axis)), parallel_minmax(some, axis))
        expected = parallel_sum(some, axis, where=some > 0)
        assert_same(computed(parallel_sum(lazy, axis, where=lazy > 0)), expected)
    assert_same(computed(parallel_argmin(lazy, 1)), parallel_argmin(some, 1))
    with pytest.raises(ValueError, match="a must have known chunk sizes for argmin"):
        parallel_argmin(lazy)
    with pytest.raises(ValueError, match="where must have the blocks of a"):
        parallel_sum(lazy, where=np.ones((3, 40), bool))
    with pytest.raises(ValueError, match="zero-size array to reduction operation minimum"):
        parsum.parallel_min(lazy[lazy[:, 0] > np.inf]).compute(scheduler="synchronous")


@pytest.mark.parametrize("name", ["sum", "mean", "var", "min", "argmax", "minmax", "nanmean"])
def test_masked_blocks(name):
    array = hard(30, 40)
    mask = (np.arange(1200) % 3 == 0).reshape(30, 40)
    mask[:, 3] = True
    masked = np.ma.array(array, mask=mask)
    for cut in [(7, 11), (30, 11), (30, 40)]:
        for axis in (None, 0, 1):
            expected = FUNCTIONS[name](masked, axis)
            (actual,) = dask.compute(
                FUNCTIONS[name](da.from_array(masked, cut), axis), scheduler="synchronous"
            )
            assert_same(actual, expected, f"{name} {cut} {axis}")
    mask[:7, 5] = mask[23:, 6] = True  # whole blocks, but not all there is
    expected = FUNCTIONS[name](np.ma.array(array, mask=mask), 0)
    lazy = da.from_array(np.ma.array(array, mask=mask), (7, 11))
    (actual,) = dask.compute(FUNCTIONS[name](lazy, 0), scheduler="synchronous")
    assert_same(actual, expected)
    nothing = da.from_array(np.ma.array(array, mask=True), (7, 11))
    assert FUNCTIONS["sum"](nothing).compute(scheduler="synchronous") is np.ma.masked


def test_blocks_of_another_dtype_than_dask_has_been_told():
    array = np.arange(100.0)
    for real, told in (("f4", "f8"), ("f8", "f4"), ("i2", "f4"), ("f8", "i2"), ("i8", "f2")):
        lazy = da.from_array(array, 9).map_blocks(lambda x, to=real: x.astype(to), dtype=told)
        for name in ("sum", "var", "max", "argmax", "norm", "prod"):
            for cut in (9, 100):
                actual = computed(FUNCTIONS[name](lazy.rechunk(cut)))
                assert_same(
                    actual,
                    FUNCTIONS[name](array.astype(real).astype(told)),
                    f"{real} {told} {name}",
                )


def test_warnings_and_errors_come_from_the_last_task():
    huge = da.full(100, 1e308, chunks=9)
    with pytest.warns(RuntimeWarning, match="overflow encountered in parallel_sum"):
        assert parallel_sum(huge).compute(scheduler="synchronous") == np.inf
    for at in (0, 50, 99):  # what wraps in a block, or where two are combined
        large = np.ones(100, np.int64)
        large[[at, (at + 3) % 100]] = 1 << 40
        with pytest.warns(RuntimeWarning, match="the result does not fit int64 and wrapped around"):
            parsum.parallel_prod(da.from_array(large, 9)).compute(scheduler="synchronous")
    for dtype in ("d", "g"):  # whose compensated sums overflow on the way
        for places in ([0, 1], [0, 3], [4, 5]):
            large = np.ones(6, dtype)
            large[places] = np.finfo(dtype).max
            sums = parallel_sum(da.from_array(large, 3), method="fast")
            with pytest.warns(RuntimeWarning, match="overflow encountered in parallel_sum"):
                assert sums.compute(scheduler="synchronous") == np.inf
    nothing = da.full(100, np.nan, chunks=9)
    with pytest.warns(RuntimeWarning, match="Mean of empty slice"):
        parsum.parallel_nanmean(nothing).compute(scheduler="synchronous")
    with pytest.raises(ValueError, match="All-NaN slice encountered"):
        parsum.parallel_nanargmin(nothing).compute(scheduler="synchronous")
    with pytest.raises(ValueError, match="zero-size array"):
        parallel_minmax(huge[:0])


LAZY = da.ones((6, 6), chunks=4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: parallel_sum(LAZY, out=np.empty(())), TypeError, "out must be left out for a Da"),
        (lambda: parallel_sum(LAZY, progress=True), TypeError, "progress must be left out"),
        (lambda: parsum.parallel_cumsum(LAZY), TypeError, "a must be an array in memory, got dask"),
        (lambda: parsum.parallel_cumprod(LAZY), TypeError, "a must be an array in memory"),
        (lambda: parallel_reduce("x + 1", "sum", x=LAZY), TypeError, "x must be an array in mem"),
        (lambda: parallel_sum(np.ones(3), initial=LAZY), TypeError, "initial must be a number in"),
        (lambda: parallel_sum(LAZY, where=np.ones(5, bool)), ValueError, "where must broadcast to"),
        (lambda: parallel_sum(LAZY, where=LAZY), TypeError, "where must be of dtype bool, got flo"),
        (lambda: parallel_sum(LAZY, axis=2), np.exceptions.AxisError, "axis 2 is out of bounds"),
        (lambda: parallel_var(LAZY, mean=np.ones(4)), ValueError, "mean must broadcast to the sha"),
        (lambda: parallel_sum(LAZY, workers=0), ValueError, "workers must be -1 or at least 1"),
        (lambda: parallel_sum(LAZY.astype("S3")), TypeError, "a must be of bool, integers"),
        (lambda: parsum.parallel_min(LAZY, where=LAZY > 0), ValueError, "specify 'initial'"),
        (
            lambda: parallel_reduce(np.ones(3), SUM_OF_LOGS, where=da.ones(3, dtype=bool), out=3),
            TypeError, "out must be left out for a Dask array, got 3",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- accumulators ----


@pytest.mark.parametrize("method", ["exact", "fast"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_an_accumulator_takes_in_blocks(axis, method):
    array = hard(30, 40)
    mask = array > 0
    lazy = da.from_array(array, (7, 11))
    names = [*sorted(FUNCTIONS), ("mean", "max", "prod", "argmin")]
    for name in names:
        for where in (True, mask):
            if where is not True and ("min" in str(name) or "max" in str(name)):
                continue  # an accumulator with such ends refuses results of nothing
            whole = Accumulator(name, axis=axis, method=method)
            parts = Accumulator(name, axis=axis, method=method)
            for _ in range(2):
                whole.update(array, where=where)
            parts.update(lazy, where=where if where is True else da.from_array(where, (9, 9)))
            parts.update(array, where=where)
            with np.errstate(all="ignore"):
                assert_same(parts.result(), whole.result(), f"{name} {axis}")
            assert parts.count == whole.count


def test_an_accumulator_of_two_arrays_masks_and_errors():
    a, b = hard(30, 40), np.abs(hard(30, 40, seed=2))
    x, y = da.from_array(a, (7, 11)), da.from_array(b, (11, 7))
    for name in ("dot", "vdot", "weighted_mean"):
        whole, parts = Accumulator(name, axis=0), Accumulator(name, axis=0)
        whole.update(a, b)
        parts.update(x, y)
        assert_same(parts.result(), whole.result())
    masked = np.ma.array(a, mask=a > 0)
    masked[3] = np.ma.masked
    whole, parts = Accumulator("mean", axis=1), Accumulator("mean", axis=1)
    whole.update(masked)
    parts.update(da.from_array(masked, (7, 11)))
    assert_same(parts.result(), whole.result())
    unknown = x[x[:, 0] > 0]
    total, first = Accumulator("sum"), Accumulator("argmin")
    total.update(unknown)
    first.update(unknown)
    assert total.result() == math.fsum(a[a[:, 0] > 0].ravel())
    assert first.result() == np.argmin(a[a[:, 0] > 0])
    columns = Accumulator("sum", axis=0)
    columns.update(x)
    for chunk, message in (
        (x[:, :3], r"chunks must have the shape \(40,\) without the reduced axes, got \(3,\)"),
        (x.T[x.T[:, 0] > 0].T, "chunks must have known chunk sizes along axes that are kept"),
        (x.astype("c16"), "chunks must be of a dtype that float64 can hold"),
    ):
        with (
            pytest.raises((ValueError, TypeError), match=message),
            dask.config.set(scheduler="synchronous"),
        ):
            columns.update(chunk)
        assert_same(columns.result(), parallel_sum(a, 0), "nothing of it is taken in")


# ---- other processes ----


def states_of(lazy: Any, name: str = "sum", **keywords: Any) -> Partial:
    """The states of a block: what tasks send each other."""
    result = fields(FUNCTIONS[name](lazy, **keywords))[0]
    for key, task in dict(result.__dask_graph__()).items():
        if "block" in str(key):
            found = dask.get(result.__dask_graph__(), key)
            assert isinstance(found, Partial), task
            return found
    raise AssertionError("no block")


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_states_are_pickled(name):
    lazy = da.from_array(hard(40, 6), (9, 6))
    part = states_of(lazy, name, axis=0)
    again = pickle.loads(pickle.dumps(part))
    assert pickle.dumps(again) == pickle.dumps(part)
    assert again.states.dump() == part.states.dump()
    assert (again.length, again.flags, again.shape) == (9, part.flags, (6,))


def test_a_damaged_pickle_is_an_error():
    remake, (recipe, head, about, data, digest) = states_of(da.from_array(hard(40), 9)).__reduce__()
    assert isinstance(remake(recipe, head, about, data, digest), Partial)
    for place in (0, len(data) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[place] ^= 0x40
        with pytest.raises(ValueError, match="must be what was pickled, got one that is damaged"):
            remake(recipe, head, about, bytes(damaged), digest)
    for changed in ((*about[:1], about[1] + 1, *about[2:]), ((2,), *about[1:])):
        with pytest.raises(ValueError, match="got one that is damaged"):
            remake(recipe, head, changed, data, digest)
    from parsum.api.lazy import digest_of

    short = data[:-8]
    with pytest.raises(ValueError, match="holds no states"):
        remake(recipe, head, about, short, digest_of(short, about))
    junk = b"\xff" * len(data)
    with pytest.raises(ValueError, match="holds no states"):
        remake(recipe, head, about, junk, digest_of(junk, about))
    other = (["middle", 52, 8], head[1])
    with pytest.raises(ValueError, match="another version or kind of machine"):
        remake(recipe, other, about, data, digest)


def test_the_process_scheduler():
    array = hard(60, 50)
    lazy = da.from_array(array, (13, 17))
    results = [
        FUNCTIONS[name](lazy, axis) for name in ("sum", "var", "argmin") for axis in (None, 0)
    ]
    expected = [
        FUNCTIONS[name](array, axis) for name in ("sum", "var", "argmin") for axis in (None, 0)
    ]
    actual = dask.compute(*results, scheduler="processes", num_workers=2)
    for one, other in zip(actual, expected, strict=True):
        assert_same(one, other)


@pytest.fixture(scope="module")
def client():
    """A cluster of three processes with two threads each."""
    with (
        # Those who ask a worker that was killed are not to wait for half a minute.
        dask.config.set({"distributed.comm.timeouts.connect": "5s"}),
        LocalCluster(
            n_workers=3, threads_per_worker=2, dashboard_address=":0", memory_limit=0,
            silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


def pids(client: Client) -> set[int]:
    return set(client.run(os.getpid, on_error="ignore").values())


def test_a_cluster_gives_the_same_bits(client):
    assert len(pids(client) - {os.getpid()}) == 3
    array = hard(80, 90)
    for cut in ((19, 23), (80, 31)):
        lazy = da.from_array(array, cut)
        names = ["sum", "mean", "var", "minmax", "argmax", "describe", "norm", "nanstd", "any"]
        keys = [(name, axis) for name in names for axis in (None, 0, 1)]
        lazies = [FUNCTIONS[name](lazy, axis=axis) for name, axis in keys]
        # client.compute of a list would mix up the order of tuples and arrays in it.
        results = dask.compute(*lazies, scheduler=client)
        for (name, axis), actual in zip(keys, results, strict=True):
            assert_same(actual, FUNCTIONS[name](array, axis=axis), f"{name} {axis} {cut}")
    lazy = da.from_array(array, (9, 11))
    pair, own = client.gather(
        client.compute([parallel_vdot(lazy, lazy), parallel_reduce(lazy, SUM_OF_LOGS, 0)])
    )
    assert_same(pair, parallel_vdot(array, array))
    np.testing.assert_allclose(own, array.sum(0), rtol=1e-9, atol=np.abs(array).max() * 1e-12)


def test_an_accumulator_is_filled_by_a_cluster(client):
    array = hard(80, 90)
    total = Accumulator("var", axis=0)
    with client.as_current(), dask.config.set(scheduler=client):
        total.update(da.from_array(array, (9, 11)))
    assert_same(total.result(), parallel_var(array, 0))


def test_a_worker_that_is_killed_changes_nothing(client, tmp_path):
    array = hard(6000, seed=3)

    def slow(block, folder=str(tmp_path)):
        import os
        import time
        import uuid

        time.sleep(0.1)
        open(f"{folder}/{os.getpid()}-{uuid.uuid4()}", "w").close()
        return block

    lazy = da.from_array(array, 100).map_blocks(slow, dtype="d", meta=np.empty(0))
    future = client.compute(parallel_sum(lazy))

    def done() -> list[int]:
        return [int(path.name.split("-")[0]) for path in tmp_path.iterdir()]

    end = time.monotonic() + 60
    while len(set(done())) < 3 or len(done()) < 15:
        assert time.monotonic() < end, "no work is done"
        time.sleep(0.01)
    victim = done()[0]
    assert not future.done()
    os.kill(victim, signal.SIGKILL)
    assert_same_bits(future.result(timeout=60), exact_sum(array, np.float64))
    client.wait_for_workers(3, timeout=60)
    assert victim not in pids(client)


def test_tasks_use_the_threads_of_their_worker(client):
    def inside():
        import threading

        import numpy as np

        import parsum
        from parsum import engine

        big = 1 << 30
        parsum.parallel_sum(np.ones(4 << 20))
        helpers = [k.name for k in threading.enumerate() if k.name.startswith("parsum")]
        asked = [engine.resolve_workers(k, big) for k in (None, 1, 2, 8, -1)]
        return helpers, parsum.get_workers(), asked

    for helpers, default, asked in client.gather(
        [client.submit(inside, pure=False, workers=[w]) for w in client.run(os.getpid)]
    ):
        assert helpers == []
        assert default == 1
        assert asked == [1, 1, 2, 2, 2]
    assert engine.resolve_workers(8, 1 << 30) == 8
    assert parsum.get_workers() == engine.available_cpus()


def test_tasks_use_one_thread_unless_more_are_asked_for():
    array = np.ones(3 << 20)
    lazy = da.from_array(array, 1 << 20)
    seen: list[int] = []

    def counted(job: Any, number: int, *rest: Any) -> int:
        seen.append(number)
        return run_job(job, number, *rest)

    run_job = engine.run_job
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "run_job", counted)
        assert computed(parallel_sum(lazy)) == array.size
        assert set(seen) == {1}
        assert computed(parallel_sum(lazy, workers=3)) == array.size
        assert max(seen) == 3


# ---- others' arrays ----


@pytest.mark.parametrize("dim", [None, "a", ("a", "b")])
def test_xarray(dim):
    array = hard(30, 40)
    plain = xarray.DataArray(array, dims=("a", "b"), coords={"b": np.arange(40)})
    blocks = plain.chunk({"a": 7, "b": 11})
    axis = {None: None, "a": 0, ("a", "b"): (0, 1)}[dim]
    for function in (parallel_sum, parallel_mean, parallel_var, parsum.parallel_nanmax):
        expected = function(array, axis=axis)
        one, lazy = plain.reduce(function, dim=dim), blocks.reduce(function, dim=dim)
        assert isinstance(lazy.data, da.Array)
        assert_same(np.asarray(one.data)[()], expected)
        assert_same(np.asarray(lazy.compute(scheduler="synchronous").data)[()], expected)
        assert set(one.coords) == set(lazy.coords) == ({"b"} if dim == "a" else set())


def test_dask_is_not_imported():
    code = """
        import sys
        import numpy, parsum
        parsum.parallel_sum(numpy.ones((300, 400)), axis=0, where=numpy.ones(400, bool))
        parsum.parallel_sum(numpy.ones(1 << 21))
        print([name for name in ("dask", "distributed", "xarray") if name in sys.modules])
    """
    assert output(code) == "[]"
