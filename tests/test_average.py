"""Weighted means: the quotient of two exact sums, rounded once."""

from fractions import Fraction

import numpy as np
import pytest
from oracle import nearest

import parsum

FLOATS = ["f2", "f4", "f8"]


def exact(values):
    return [Fraction(int(v)) if isinstance(v, np.integer) else Fraction(float(v)) for v in values]


def expected_mean(a, w, dtype):
    products = sum((x * y for x, y in zip(exact(a), exact(w), strict=True)), Fraction())
    return nearest(products / sum(exact(w)), dtype)


def data(code, n, seed, least=None):
    """Numbers of all sizes and both signs, or from `least` up."""
    rng = np.random.default_rng([seed, n])
    dtype = np.dtype(code)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low = info.min if least is None else least
        return rng.integers(low, info.max, n, dtype, endpoint=True)
    most = np.finfo(dtype).maxexp // 3
    values = np.ldexp(rng.standard_normal(n), rng.integers(-most, most, n))
    return (values if least is None else np.abs(values) + least).astype(dtype)


@pytest.mark.parametrize("codes", [(x, y) for x in FLOATS for y in FLOATS])
@pytest.mark.parametrize("n", [1, 2, 9, 1000, 4099])
def test_floats(level, codes, n):
    a, w = data(codes[0], n, 1), data(codes[1], n, 2, least=0.5)
    expected = expected_mean(a, w, np.result_type(*codes))
    for workers in (1, 3, 9):
        mean, total = parsum.parallel_weighted_mean(a, None, w, True, workers=workers)
        assert mean == expected and mean.dtype == expected.dtype
        assert total == nearest(sum(exact(w)), mean.dtype)
    wide = np.stack([a, -a, a], axis=1)
    for axis, array in ((0, wide), (1, np.ascontiguousarray(wide.T))):
        means = parsum.parallel_weighted_mean(array, axis, w)
        assert means.tolist() == [expected, -expected, expected]


@pytest.mark.parametrize("codes", [("i8", "i8"), ("u8", "u8"), ("i8", "i4"), ("i1", "u2")])
def test_integers(level, codes):
    """Those that no double holds, too."""
    for n in (1, 7, 3000):
        a, w = data(codes[0], n, 3), data(codes[1], n, 4, least=1)
        mean = parsum.parallel_weighted_mean(a, weights=w)
        assert mean.dtype == np.float64 and mean == expected_mean(a, w, np.float64)


def test_sums_that_would_round():
    """Products that cancel, overflow and vanish, and weights that do."""
    big, tiny = 1e300, 5e-324
    for a, w, mean in [
        ([1e200, 1.0, -1e200], [1e200, 2.0, 1e200], 2 / (2e200 + 2)),
        ([3.0, 3.0, 1.0], [big, -big, 1.0], 1.0),
        ([big, big, big], [big, big, 1.0], big),
        ([1.0, 3.0], [tiny, tiny], 2.0),
        ([tiny, tiny], [1.0, 1.0], tiny),
    ]:
        assert parsum.parallel_weighted_mean(np.array(a), weights=np.array(w)) == mean


def test_one_rounding():
    """Where both sums are rounded before they are divided, some results are off."""
    rng = np.random.default_rng(7)
    off = 0
    for _ in range(300):
        a, w = rng.standard_normal(5), rng.random(5)
        mean = parsum.parallel_weighted_mean(a, weights=w)
        assert mean == expected_mean(a, w, np.float64)
        products = sum((x * y for x, y in zip(exact(a), exact(w), strict=True)), Fraction())
        off += mean != nearest(products, np.float64) / nearest(sum(exact(w)), np.float64)
    assert off > 50


def test_complex_weights():
    """Rounded once in each part."""
    rng = np.random.default_rng(8)
    parts = rng.standard_normal((4, 50))
    a, w = parts[0] + 1j * parts[1], parts[2] + 1j * parts[3]
    (x, y), (u, v) = ((exact(z.real), exact(z.imag)) for z in (a, w))
    real = sum(p * r - q * s for p, q, r, s in zip(x, y, u, v, strict=True))
    imag = sum(p * s + q * r for p, q, r, s in zip(x, y, u, v, strict=True))
    right, left = sum(u), sum(v)
    square = right**2 + left**2
    mean = parsum.parallel_weighted_mean(a, weights=w)
    assert mean.real == nearest((real * right + imag * left) / square, np.float64)
    assert mean.imag == nearest((imag * right - real * left) / square, np.float64)


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
