"""Weighted means: two exact sums, each rounded once, and their quotient."""

from fractions import Fraction

import numpy as np
import pytest
from oracle import nearest

import parsum


def of_exact_sums(a, w):
    dtype = np.result_type(a.dtype, w.dtype)
    products = sum(
        (Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a, w, strict=True)), Fraction()
    )
    weights = sum((Fraction(float(y)) for y in w), Fraction())
    return nearest(products, dtype) / nearest(weights, dtype)


@pytest.mark.parametrize("code", ["f4", "f8"])
@pytest.mark.parametrize("n", [1, 2, 9, 1000, 4099])
def test_of_exact_sums(code, n):
    rng = np.random.default_rng(n)
    a = (rng.standard_normal(n) * 1e3).astype(code)
    w = rng.random(n).astype(code) + np.dtype(code).type(0.1)
    for workers in (1, 3):
        result = parsum.parallel_weighted_mean(a, weights=w, workers=workers)
        assert result == of_exact_sums(a, w)
        assert result.dtype == a.dtype


@pytest.mark.parametrize(
    "codes", [("i4", "i2"), ("f2", "i1"), ("c8", "f8"), ("c16", "c16"), ("g", "f8")]
)
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), -1])
def test_as_numpy(codes, axis):
    rng = np.random.default_rng(5)
    a = rng.integers(-9, 9, (4, 5, 6)).astype(codes[0])
    w = rng.integers(1, 9, (4, 5, 6)).astype(codes[1])
    for keepdims in (False, True):
        mean, total = parsum.parallel_weighted_mean(a, axis, w, True, keepdims=keepdims)
        expected, sums = np.average(a, axis, w, True, keepdims=keepdims)
        assert mean.dtype == expected.dtype and mean.shape == expected.shape
        np.testing.assert_allclose(mean, expected, rtol=2e-3 if codes[0] == "f2" else 1e-6)
        np.testing.assert_allclose(total, sums, rtol=2e-3)


def test_weights_along_axes():
    a = np.arange(24.0).reshape(2, 3, 4)
    for axis, shape in ((1, (3,)), ((0, 2), (2, 4)), ((2, 0), (4, 2))):
        w = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
        expected = np.average(a, axis, w)
        np.testing.assert_allclose(parsum.parallel_weighted_mean(a, axis, w), expected, rtol=1e-14)


def test_errors():
    a = np.ones((2, 3))
    with pytest.raises(TypeError, match="axis must be given"):
        parsum.parallel_weighted_mean(a, weights=np.ones(3))
    with pytest.raises(ValueError, match="weights must have the shape"):
        parsum.parallel_weighted_mean(a, 1, np.ones(2))
    with pytest.raises(ZeroDivisionError, match="weights must not sum to zero"):
        parsum.parallel_weighted_mean(a, 1, np.array([1.0, 0.0, -1.0]))
