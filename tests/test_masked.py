"""Masked arrays: the unmasked elements are summed, with the type and the mask np.ma gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out
from oracle import assert_same_bits, expected_along, expected_sum
from strategies import FAMILIES, FLOATS, generate

from parsum import parallel_sum


def check(values, **kwargs):
    """parallel_sum against np.ma.sum: type, dtype, shape, mask, and data where not masked."""
    expected = np.ma.sum(values, **kwargs)
    actual = parallel_sum(values, **kwargs)
    assert type(actual) is type(expected)
    assert actual.dtype == expected.dtype
    assert np.shape(actual) == np.shape(expected)
    assert (actual is np.ma.masked) == (expected is np.ma.masked)
    assert_same_bits(np.ma.getmaskarray(actual), np.ma.getmaskarray(expected))
    if expected is not np.ma.masked:
        keep = ~np.ma.getmaskarray(expected)
        left, right = np.ma.getdata(actual)[keep], np.ma.getdata(expected)[keep]
        assert_same_bits(left, right, f"{kwargs}")
    return actual


def _values(dtype, mask):
    values = np.arange(1, 25).reshape(4, 6).astype(dtype)
    return np.ma.array(values, mask=mask)


_MASKS = {
    "nomask": np.ma.nomask,
    "none": np.zeros((4, 6), bool),
    "all": np.ones((4, 6), bool),
    "some": np.arange(24).reshape(4, 6) % 5 == 0,
    "one column": np.arange(24).reshape(4, 6) % 6 == 2,
    "one row": np.arange(24).reshape(4, 6) // 6 == 3,
    "all but one": np.arange(24).reshape(4, 6) != 13,
}


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), ()])
@pytest.mark.parametrize("mask", _MASKS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8, np.complex128, np.bool_])
def test_masks_and_axes(dtype, mask, axis):
    values = _values(dtype, _MASKS[mask])
    for keepdims in (False, True):
        check(values, axis=axis, keepdims=keepdims)
        check(values.T, axis=axis, keepdims=keepdims)
        check(values[::-1, ::2], axis=axis, keepdims=keepdims)
    check(values, axis=axis, dtype=np.complex128 if dtype is np.complex128 else np.float64)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_masked_data(layout):
    data = generate("integers", 60 * 70, np.float64).reshape(60, 70)
    mask = np.random.default_rng(0).random((60, 70)) < 0.3
    mask[:, 5] = True
    mask[7] = True
    for mask_layout in ("contiguous", "fortran", "reversed", "stepped"):
        values = np.ma.array(lay_out(data, layout), mask=lay_out(mask, mask_layout), copy=False)
        for axis in (None, 0, 1):
            check(values, axis=axis)


def test_masked_specials_do_not_count():
    values = np.ma.array([1.0, np.nan, np.inf, -np.inf, 2.0], mask=[0, 1, 1, 1, 0])
    with np.errstate(all="raise"):
        assert parallel_sum(values) == 3
        assert np.isnan(parallel_sum(np.ma.array([1.0, np.nan], mask=[0, 0])))


@given(
    dtype=st.sampled_from(FLOATS),
    family=st.sampled_from(sorted(FAMILIES)),
    n=st.integers(0, 3000),
    density=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    seed=st.integers(0, 2**32 - 1),
    workers=st.integers(1, 5),
)
def test_exact_sum_of_the_unmasked(dtype, family, n, density, seed, workers):
    data = generate(family, n, dtype, seed)
    mask = np.random.default_rng(seed).random(n) < density
    with np.errstate(all="ignore"):
        actual = parallel_sum(np.ma.array(data, mask=mask), workers=workers)
    if mask.all():  # of nothing too: so says np.ma
        assert actual is np.ma.masked
    else:
        assert_same_bits(actual, expected_sum(data[~mask]))


def test_hard_masks_stay_hard():
    values = np.ma.array([[1.0, 2], [3, 4]], mask=[[1, 0], [1, 0]], hard_mask=True)
    actual = check(values, axis=0)
    assert actual.hardmask == np.ma.sum(values, axis=0).hardmask
    assert values.hardmask
    assert values.mask.tolist() == [[True, False], [True, False]]


def test_the_input_is_left_alone():
    values = np.ma.array([[1.0, 2], [3, 4]], mask=[[1, 0], [0, 0]], fill_value=-9.0)
    parallel_sum(values, axis=0)
    assert values.fill_value == -9
    assert np.ma.getdata(values).tolist() == [[1, 2], [3, 4]]
    assert values.mask.tolist() == [[True, False], [False, False]]


def test_masked_empty():
    check(np.ma.array([], dtype=float))
    check(np.ma.array(np.ones((2, 0)), mask=np.ones((2, 0), bool)), axis=0)
    check(np.ma.array(np.ones((2, 0))), axis=1)
    assert parallel_sum(np.ma.masked) is np.ma.masked


def test_masked_out():
    values = _values(np.float64, _MASKS["one column"])
    for axis in (0, 1):
        shape = np.ma.sum(values, axis=axis).shape
        expected, out = np.ma.zeros(shape), np.ma.zeros(shape)
        np.ma.sum(values, axis=axis, out=expected)
        assert parallel_sum(values, axis=axis, out=out) is out
        assert_same_bits(np.ma.getmaskarray(out), np.ma.getmaskarray(expected))
        keep = ~np.ma.getmaskarray(expected)
        assert_same_bits(out.data[keep], expected.data[keep])


@pytest.mark.parametrize("workers", [1, 4])
def test_large_masked_array(workers):
    data = generate("spread", 1000 * 800, np.float64).reshape(1000, 800)
    mask = np.random.default_rng(3).random((1000, 800)) < 0.5
    values = np.ma.array(data, mask=mask)
    assert_same_bits(parallel_sum(values, workers=workers), expected_sum(data[~mask]))
    actual = parallel_sum(values, axis=0, workers=workers)
    for k in (0, 399, 799):
        assert_same_bits(actual[k], expected_sum(data[~mask[:, k], k]))
    actual = parallel_sum(values, axis=1, workers=workers)
    for k in (0, 500, 999):
        assert_same_bits(actual[k], expected_sum(data[k, ~mask[k]]))


def test_fast_method():
    values = np.ma.array(np.arange(100_000.0), mask=np.arange(100_000) % 3 == 0)
    assert parallel_sum(values, method="fast") == np.ma.sum(values)
    grid = values.reshape(100, 1000)
    assert_same_bits(
        np.ma.getdata(parallel_sum(grid, axis=0, method="fast")), np.ma.sum(grid, axis=0).data
    )


def test_where_and_mask():
    """What np.ma does not offer: both leave elements out."""
    data = generate("spread", 3000, np.float64).reshape(30, 100)
    mask = np.random.default_rng(1).random(data.shape) < 0.3
    where = np.random.default_rng(2).random(data.shape) < 0.6
    values = np.ma.array(data, mask=mask)
    assert_same_bits(parallel_sum(values, where=where), expected_sum(data[where & ~mask]))
    actual = parallel_sum(values, axis=0, where=where)
    assert_same_bits(np.ma.getdata(actual), expected_along(data, 0, where=where & ~mask))
