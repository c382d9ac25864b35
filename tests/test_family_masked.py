"""Masked arrays through the whole family: what numpy.ma makes of their unmasked elements."""

from __future__ import annotations

import numpy as np
import pytest
from reference import (
    FUNCTIONS,
    assert_equal,
    dtypes_of,
    lanes,
    mean_of,
    outcome,
    std_of,
    values,
    var_of,
)
from schedules import scheduled

import parsum

# numpy.ma has methods of these names.
METHODS = ["any", "all", "min", "max", "mean", "var", "std", "prod", "argmin", "argmax", "sum"]


def _masks(shape):
    rng = np.random.default_rng(4)
    some = rng.random(shape) < 0.4
    lane = some.copy()
    lane[1] = True
    lane[:, 2] = True
    return {
        "nomask": np.ma.nomask,
        "none": np.zeros(shape, bool),
        "some": some,
        "lanes": lane,
        "all": np.ones(shape, bool),
    }


def _expected(name, array, axis, keepdims):
    """What numpy.ma's method gives; None if it has no answer to compare with."""
    if name in ("argmin", "argmax"):
        mask = np.ma.getmaskarray(array)
        if mask.all(axis=axis).any() or array.dtype.kind == "b":
            return None  # it says 0, or where something is masked
        return getattr(array, name)(axis=axis, keepdims=keepdims)
    return getattr(array, name)(axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", ["nomask", "none", "some", "lanes", "all"])
def test_as_numpy_ma(name, kind):
    function = FUNCTIONS[name]
    shape = (5, 7)
    mask = _masks(shape)[kind]
    for code in dtypes_of(function.kinds.replace("m", "").replace("M", "")):
        data = values("ties", 35, code, 2).reshape(shape)
        array = np.ma.array(data, mask=mask)
        for axis in (None, 0, 1):
            for keepdims in (False, True):
                note = f"{name} {kind} {code} {axis} {keepdims}"
                if keepdims and axis is None and kind == "all":
                    continue  # numpy.ma drops the dimensions
                with np.errstate(all="ignore"):
                    expected = _expected(name, array, axis, keepdims)
                if expected is None:
                    continue
                with scheduled(3, 64, 1), np.errstate(all="ignore"):
                    actual = function.ours(array, axis=axis, keepdims=keepdims)
                plain = function.numpys(data, axis=axis, keepdims=keepdims)
                _check(actual, expected, plain.dtype, note)


def _check(actual, expected, dtype, note):
    """The values and the mask of numpy.ma, whose means of float32 are float64 at times."""
    assert (actual is np.ma.masked) == (expected is np.ma.masked), note
    if expected is np.ma.masked:
        return
    assert np.shape(actual) == np.shape(expected), note
    assert np.ma.getdata(actual).dtype == dtype, note
    hidden = np.ma.getmaskarray(expected)
    assert_equal(np.ma.getmaskarray(actual), hidden, note)
    left, right = np.ma.getdata(actual)[~hidden], np.ma.getdata(expected)[~hidden]
    if left.dtype.kind in "fc":
        eps = np.finfo(left.dtype).eps
        np.testing.assert_allclose(left, right, 8 * eps, 8 * eps, err_msg=note)
    else:
        assert_equal(left, right, note)


@pytest.mark.parametrize("code", ["e", "f", "d", "F", "D", "h"])
@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_rounded(name, code):
    """The unmasked elements' exact result, rounded once."""
    oracle = {"mean": mean_of, "var": var_of, "std": std_of}[name]
    data = values("random", 40 * 30, code, 1).reshape(40, 30)
    mask = np.random.default_rng(0).random(data.shape) < 0.5
    mask[:, 3] = True
    array = np.ma.array(data, mask=mask)
    for axis in (None, 0, 1):
        actual = FUNCTIONS[name].ours(array, axis=axis)
        for index, (flat, hidden) in lanes(data.shape, axis, data, mask):
            if hidden.all():
                assert actual.mask[index]
            else:
                found = np.ma.getdata(actual)[index]
                assert found == oracle(flat[~hidden], found.dtype)


def test_counts():
    """numpy.ma counts what is not masked; here it must not be zero either."""
    data = np.array([[0, 1, 2], [3, 0, 4]])
    array = np.ma.array(data, mask=[[1, 0, 1], [0, 0, 1]])
    assert parsum.parallel_count_nonzero(array) == 2
    actual = parsum.parallel_count_nonzero(array, axis=0)
    assert np.ma.getdata(actual)[:2].tolist() == [1, 1]
    assert np.ma.getmaskarray(actual).tolist() == [False, False, True]


@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanmin", "nanmax", "nanvar", "nanprod"])
def test_neither_masked_nor_nan(name):
    """What numpy.ma does not offer: both leave elements out."""
    data = values("nans", 400, "d", 1).reshape(20, 20)
    mask = np.random.default_rng(0).random(data.shape) < 0.3
    array = np.ma.array(data, mask=mask)
    left = np.where(mask, np.nan, data)
    for axis in (None, 0, 1):
        actual = outcome(FUNCTIONS[name].ours, array, axis=axis)
        expected = outcome(FUNCTIONS[name].numpys, left, axis=axis)
        assert actual.error is None, actual.message
        np.testing.assert_allclose(np.ma.getdata(actual.value), expected.value, 1e-12)


def test_minmax():
    array = np.ma.array([[3, 1, 9], [2, 5, 7]], mask=[[0, 1, 1], [0, 0, 1]])
    both = parsum.parallel_minmax(array)
    assert (both.min, both.max) == (2, 5)
    both = parsum.parallel_minmax(array, axis=0)
    assert both.min[:2].tolist() == [2, 5] and both.max[:2].tolist() == [3, 5]
    assert both.min.mask.tolist() == both.max.mask.tolist() == [False, False, True]
    both = parsum.parallel_minmax(np.ma.array([1, 2], mask=True))
    assert both.min is both.max is np.ma.masked


def test_inner_products_and_norms():
    """Pairs count where neither is masked."""
    a = np.ma.array([1.0, 2.0, 3.0, 4.0], mask=[0, 1, 0, 0])
    b = np.ma.array([5.0, np.nan, 7.0, np.inf], mask=[0, 0, 0, 1])
    assert parsum.parallel_dot(a, b) == 26
    assert parsum.parallel_vdot(a.reshape(2, 2), b.reshape(2, 2)) == 26
    assert parsum.parallel_vecdot(a, b) == 26
    assert parsum.parallel_norm(np.ma.array([3.0, np.nan, 4.0], mask=[0, 1, 0])) == 5
