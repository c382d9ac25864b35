"""Descriptions and weighted means: every field against rationals, and the functions alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out
from oracle import assert_same_bits, expected_sum, nearest
from reference import (
    BOOL,
    COMPLEX,
    FLOATS,
    INTEGERS,
    LONG,
    arrays,
    assert_equal,
    assert_same_outputs,
    axes,
    lanes,
    masks,
    mean_of,
    not_nan,
    outcome,
    rounded_root,
    scaled,
    std_of,
    values,
    var_of,
)
from schedules import scheduled

import parsum
from parsum import parallel_describe, parallel_weighted_mean

REAL = [*BOOL, *INTEGERS, *FLOATS]
FIELDS = ["count", "nans", "min", "max", "sum", "mean", "var", "std", "skew", "kurtosis"]


def shape_of(flat):
    """The exact skewness and excess kurtosis of finite numbers, rounded once."""
    whole, _ = scaled(flat)  # both are free of scale
    n = len(whole)
    if n == 0 or len(set(whole)) == 1:
        return np.float64(np.nan), np.float64(np.nan)
    total = sum(whole)
    m2, m3, m4 = (Fraction(sum((n * v - total) ** p for v in whole), n) for p in (2, 3, 4))
    skew = rounded_root(m3 * m3 / m2**3, np.float64)
    return -skew if m3 < 0 else skew, nearest(m4 / (m2 * m2) - 3, np.float64)


def described(flat, ddof, moments):
    """The fields of one description."""
    left = not_nan(flat)
    finite = left.dtype.kind != "f" or bool(np.isfinite(left).all())
    least = left.min() if left.size else flat.dtype.type(0 if flat.dtype.kind in "biu" else np.nan)
    most = left.max() if left.size else least
    double = np.dtype(np.float64)
    spread = [var_of(left, double, ddof), std_of(left, double, ddof)]
    if left.size <= ddof:
        spread = [np.float64(np.nan)] * 2
    if left.dtype.kind in "biu":
        total = nearest(Fraction(sum(map(int, left.tolist()))), double)
    else:
        total = expected_sum(left, double)
    fields = [left.size, flat.size - left.size, least, most, total, mean_of(left, double), *spread]
    if moments == 4:
        fields += shape_of(left) if finite else [np.float64(np.nan)] * 2
    return fields


@settings(max_examples=150)
@given(data=st.data())
def test_describe(data):
    """Each field is exact, and rounded once to float64."""
    array = data.draw(arrays(REAL))
    axis = data.draw(axes(array.ndim).filter(lambda k: not isinstance(k, int) or k < array.ndim))
    where = data.draw(st.just(True) | masks(array.shape))
    keepdims = data.draw(st.booleans())
    ddof = data.draw(st.sampled_from([0, 1, 1.5, 4]))
    moments = data.draw(st.sampled_from([2, 4]))
    with (
        scheduled(data.draw(st.integers(1, 5)), data.draw(st.sampled_from([64, 1 << 20])), 1),
        np.errstate(all="ignore"),
    ):
        actual = parallel_describe(
            array, axis, ddof=ddof, moments=moments, keepdims=keepdims, where=where
        )
        note = f"{array.dtype} {array.shape} {array.strides} {axis} {ddof}\n{array!r}\n{actual!r}"
        wide = np.broadcast_to(where, array.shape)
        number = 0
        for _, (flat, included) in lanes(array.shape, axis, array, wide):
            expected = described(flat[included], ddof, moments)
            for name, right in zip(FIELDS, expected, strict=False):
                left = np.asarray(getattr(actual, name)).ravel()[number]
                if name in ("min", "max"):
                    assert left.dtype == array.dtype.newbyteorder("="), note
                    assert_equal(left, right, f"{name} {note}")
                elif name in ("count", "nans"):
                    assert left == right, f"{name} {note}"
                else:
                    assert_same_bits(left, np.float64(right), f"{name} {note}")
            number += 1
    like = np.any(array, axis=axis, keepdims=keepdims)
    for name in FIELDS[: len(expected) if number else 0]:
        found = getattr(actual, name)
        assert np.shape(found) == np.shape(like), f"{name} {note}"
        assert isinstance(found, np.ndarray) == isinstance(like, np.ndarray), f"{name} {note}"
    if moments == 2:
        assert actual.skew is None and actual.kurtosis is None


def test_describe_agrees_with_the_functions():
    """By real threads, of an array that several take up; any layout."""
    array = values("nans", 1_200_000, "d", 3).reshape(1200, 1000) * 1e10
    array += values("random", array.size, "d", 4).reshape(array.shape)
    for axis in (None, 0, 1):
        alone = {
            "count": np.count_nonzero(~np.isnan(array), axis),
            "nans": np.count_nonzero(np.isnan(array), axis),
            "min": parsum.parallel_nanmin(array, axis),
            "max": parsum.parallel_nanmax(array, axis),
            "sum": parsum.parallel_nansum(array, axis),
            "mean": parsum.parallel_nanmean(array, axis),
            "var": parsum.parallel_nanvar(array, axis, ddof=1),
            "std": parsum.parallel_nanstd(array, axis, ddof=1),
        }
        for layout in ("contiguous", "fortran", "byte-swapped"):
            for workers in (1, 3):
                found = parallel_describe(lay_out(array, layout), axis, ddof=1, workers=workers)
                for name, expected in alone.items():
                    left, right = np.asarray(getattr(found, name)), np.asarray(expected)
                    assert_equal(left, right, f"{name} {axis} {layout} {workers}")


@pytest.mark.parametrize("code", ["b", "Q", "e", "f", "d"])
def test_describe_is_one_answer(code):
    for style in ("hard", "ties", "random"):
        array = values(style, 9000, code, 1)
        with np.errstate(all="ignore"):
            expected = parallel_describe(array, moments=4)
            for workers in range(1, 8):
                with scheduled(workers, 64, workers):
                    found = parallel_describe(array, moments=4, progress=lambda done, total: None)
                for name in FIELDS:
                    assert_same_outputs(getattr(found, name), getattr(expected, name), name)
            for layout in LAYOUTS:
                found = parallel_describe(lay_out(array, layout), moments=4)
                for name in FIELDS:
                    assert_same_outputs(getattr(found, name), getattr(expected, name), name)


def test_describe_prints_a_table():
    text = str(parallel_describe(np.array([1.0, 2.0, np.nan, 4.0])))
    assert text.splitlines()[0].split() == ["count", "3"]
    assert text.splitlines()[-1].split() == ["std", "1.247219128924647"]
    table = str(parallel_describe(np.arange(6).reshape(2, 3), axis=0, moments=4)).splitlines()
    assert table[0].split() == FIELDS
    assert [line.split()[0] for line in table[1:]] == ["0", "1", "2"]
    assert str(parallel_describe(np.zeros((2, 1000)), axis=0)).startswith("count: ")


def test_describe_refuses():
    for bad in (["a"], np.array([None]), np.zeros(2, "D"), np.zeros(2, "M8[s]")):
        with pytest.raises(TypeError, match="dtype"):
            parallel_describe(bad)
    for error, kwargs in [
        (ValueError, {"moments": 3}), (TypeError, {"ddof": "x"}), (ValueError, {"axis": 1}),
        (ValueError, {"workers": 0}), (TypeError, {"axis": 0.5}),
    ]:  # fmt: skip
        assert outcome(parallel_describe, np.ones(3), **kwargs).error is not None
        with pytest.raises(error):
            parallel_describe(np.ones(3), **kwargs)


def test_describe_masked():
    array = np.ma.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]], mask=[[0, 1], [0, 0], [1, 1]])
    found = parallel_describe(array)
    assert (found.count, found.nans, found.sum) == (2, 1, 4)
    found = parallel_describe(array, axis=1)
    assert found.count.tolist() == [1, 1, 0]


# ---- weighted means ----


def test_weighted_mean_as_numpy():
    a = np.arange(24.0).reshape(2, 3, 4)
    w = np.arange(1.0, 13.0).reshape(3, 4)
    for args, kwargs in [
        ((a,), {}), ((a, 1), {}), ((a, (0, 2)), {"keepdims": True}), ((a,), {"returned": True}),
        ((a, (1, 2), w), {}), ((a, (2, 1), w.T), {}), ((a, 1, [1, 2, 3]), {"returned": True}),
        ((a, 1, [0, 0, 0]), {}), ((a, 1, [1, 2]), {}), ((a, None, [1, 2]), {}),
        ((a, 3, [1, 2]), {}), ((a, 2, [1, -1, 2, 3j]), {}), ((a.astype("q"), 0, [1, 3]), {}),
    ]:  # fmt: skip
        expected = outcome(np.average, *args, **kwargs)
        actual = outcome(parallel_weighted_mean, *args, **kwargs)
        assert actual.error is expected.error, f"{args[1:]} {kwargs} {actual} {expected}"
        if expected.error is None:
            left = actual.value if isinstance(actual.value, tuple) else (actual.value,)
            right = expected.value if isinstance(expected.value, tuple) else (expected.value,)
            for found, like in zip(left, right, strict=True):
                assert found.dtype == like.dtype and np.shape(found) == np.shape(like)
                np.testing.assert_allclose(found, like, 1e-14)


@pytest.mark.parametrize("code", [*FLOATS, *COMPLEX, *LONG, "b"])
def test_weighted_mean_is_one_answer(code):
    array, weights = values("random", 9000, code, 1), values("random", 9000, "f", 2) + 3
    expected = parallel_weighted_mean(array, weights=weights)
    for workers in range(1, 8):
        with scheduled(workers, 64, workers):
            assert_same_outputs(parallel_weighted_mean(array, weights=weights), expected)
    for layout in LAYOUTS if code not in LONG else []:
        found = parallel_weighted_mean(lay_out(array, layout), weights=weights)
        assert_same_outputs(found, expected, layout)


def test_large_weighted_mean():
    rng = np.random.default_rng(2)
    a, w = rng.integers(-9, 10, (2, 1_500_000))
    w = np.abs(w) + 1
    for workers in (1, 4):
        mean = parallel_weighted_mean(a.astype(float), weights=w, workers=workers)
        assert mean == nearest(Fraction(int((a * w).sum()), int(w.sum())), "d")
