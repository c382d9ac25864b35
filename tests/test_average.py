"""Weighted means against exact rationals and NumPy: both sums exact, the quotient rounded once."""

from __future__ import annotations

import functools
import math
import warnings
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from layouts import LAYOUTS, lay_out
from oracle import assert_same_bits, nearest
from reference import BOOL, COMPLEX, FLOATS, INTEGERS, values
from strategies import generate

import parsum
from parsum import parallel_weighted_mean
from parsum.reduction import find, type_of

REAL = [*BOOL, *INTEGERS, *FLOATS]
KINDS = [*REAL, *COMPLEX]


# ---- exact results ----


def _fractions(flat: np.ndarray) -> list[Fraction]:
    return [Fraction(v) for v in flat.tolist()]


def _total(terms: list[Fraction]) -> Fraction:
    """Their sum, added as integers over a common denominator, which is a power of two."""
    common = max((t.denominator for t in terms), default=1)
    return Fraction(sum(t.numerator * (common // t.denominator) for t in terms), common)


def _result_dtype(a: np.dtype[Any], w: np.dtype[Any]) -> np.dtype[Any]:
    return np.result_type(a, w, "f8") if a.kind in "biu" else np.result_type(a, w)


def exactly(a: np.ndarray, w: np.ndarray) -> tuple[Any, Any]:
    """The weighted mean of finite numbers and the sum of weights, each rounded once."""
    dtype = _result_dtype(a.dtype, w.dtype)
    common = np.result_type(a.dtype, w.dtype)
    a, w = a.ravel().astype(common), w.ravel().astype(common)
    if common.kind != "c":
        x, u = _fractions(a), _fractions(w)
        weights = _total(u)
        mean = _total([p * q for p, q in zip(x, u, strict=True)]) / weights
        part = np.empty(0, dtype).real.dtype
        return dtype.type(nearest(mean, part)), dtype.type(nearest(weights, part))
    x, y, u, v = (_fractions(k) for k in (a.real, a.imag, w.real, w.imag))
    pairs = list(zip(x, y, u, v, strict=True))
    real = _total([t for p, q, r, s in pairs for t in (p * r, -q * s)])
    imag = _total([t for p, q, r, s in pairs for t in (p * s, q * r)])
    weight, turned = _total(u), _total(v)
    square = weight**2 + turned**2
    mean_parts = (real * weight + imag * turned) / square, (imag * weight - real * turned) / square
    result = np.empty((2, 2), np.empty(0, dtype).real.dtype)
    for k, parts in enumerate((mean_parts, (weight, turned))):
        result[k] = [nearest(part, result.dtype) for part in parts]
    for k, given in enumerate((w.real, w.imag)):
        if np.signbit(given).all() and not given.any():
            result[1, k] = -0.0  # as of any sum
    mean, total = result.view(dtype)[:, 0]
    return mean, total


def _along(a: np.ndarray, w: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """exactly() for every result along some axes; weights of the shape of a."""
    kept = [k for k in range(a.ndim) if k not in axes]
    shape = tuple(a.shape[k] for k in kept)
    order = [*kept, *axes]
    a, w = (k.transpose(order).reshape((*shape, -1)) for k in (a, w))
    dtype = _result_dtype(a.dtype, w.dtype)
    mean, total = np.empty(shape, dtype), np.empty(shape, dtype)
    for index in np.ndindex(*shape):
        mean[index], total[index] = exactly(a[index], w[index])
    return mean, total


def _check(a: np.ndarray, w: np.ndarray, note: str = "", **kwargs: Any) -> None:
    expected = exactly(a, w)
    with np.errstate(over="ignore"):
        actual = parallel_weighted_mean(a, weights=w, returned=True, **kwargs)
    for found, right in zip(actual, expected, strict=True):
        assert_same_bits(found, right, note)


def _weights(n: int, code: str, seed: int = 0) -> np.ndarray:
    """Weights whose sum is not zero."""
    rng = np.random.default_rng([seed, n])
    if code == "?":
        return np.arange(n) % 3 != 1
    if code in INTEGERS:
        info = np.iinfo(code)
        return rng.integers(1, info.max, n, code, endpoint=True)
    w = rng.random(n) + 0.125
    if code in COMPLEX:
        return (w + 1j * rng.standard_normal(n)).astype(code)
    return w.astype(code)


# ---- values ----


@pytest.mark.parametrize("code", FLOATS + COMPLEX)
@pytest.mark.parametrize(
    "family", ["normal", "wide", "spread", "subnormal", "cancelling", "edges", "patchwork"]
)
def test_every_family(level, family, code):
    for n in (1, 2, 9, 1025):
        a = generate(family, n, code)
        a = np.where(np.isfinite(a), a, 0)
        _check(a, _weights(n, code), f"{family} {n}")
        w = np.where(np.isfinite(a[::-1]), a[::-1], 0)
        if np.all(w == 0) or not any(_total(_fractions(k)) for k in (w.real, w.imag)):
            continue
        _check(_weights(n, code), w, f"weights {family} {n}")
        _check(a, w, f"both {family} {n}")


@pytest.mark.parametrize("codes", list(product(KINDS, KINDS)), ids="".join)
def test_every_pair_of_dtypes(codes):
    for n, style in ((1, "random"), (7, "finite extremes"), (100, "finite hard")):
        a, w = values(style, n, codes[0], 3), _weights(n, codes[1])
        for workers in (1, 3):
            _check(a, w, f"{style} {n}", workers=workers)


@functools.cache
def _long(code: str) -> tuple[np.ndarray, np.ndarray, tuple[Any, Any]]:
    n = 40_011
    a, w = values("finite hard", n, code, 1), _weights(n, code)
    return a, w, exactly(a, w)


@pytest.mark.parametrize("code", "?bHiLqQefdFD")
def test_every_level_and_number_of_workers(level, code):
    a, w, expected = _long(code)
    for workers in range(1, 10):
        found = parallel_weighted_mean(a, weights=w, returned=True, workers=workers)
        for k in range(2):
            assert_same_bits(found[k], expected[k], f"{workers}")


@pytest.mark.parametrize("codes", [("d", "d"), ("f", "f"), ("D", "d"), ("i", "d"), ("q", "q")])
def test_large_arrays(codes):
    """2^21 whole numbers of 30 bits, whose sums NumPy's integers have room for."""
    rng = np.random.default_rng(0)
    a, w = (rng.integers(0, 1 << 20, 1 << 21) for _ in range(2))
    x, y = a.astype(codes[0]), w.astype(codes[1])
    total = Fraction(int(np.sum(w)))
    mean = Fraction(int(np.sum(a * w))) / total
    for workers in (1, 2, 3):
        found = parallel_weighted_mean(x, weights=y, returned=True, workers=workers)
        assert found[0].real == nearest(mean, found[0].real.dtype)
        assert found[1].real == nearest(total, found[1].real.dtype)
    grid, weights = x.reshape(-1, 512), y.reshape(-1, 512)
    for axis in (0, 1):
        found = parallel_weighted_mean(grid, axis, weights, workers=2)
        sums = np.sum((a * w).reshape(-1, 512), axis), np.sum(w.reshape(-1, 512), axis)
        for k in range(0, found.size, 37):
            right = Fraction(int(sums[0][k]), int(sums[1][k]))
            assert found[k].real == nearest(right, found.real.dtype)


def test_two_roundings_are_not_enough():
    """Many of these are off by an ulp if the sums are rounded before they are divided."""
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        a, w = rng.random(9), rng.random(9)
        mean = parallel_weighted_mean(a, weights=w)
        assert mean == exactly(a, w)[0]
        rounded = parsum.parallel_dot(a, w) / parsum.parallel_sum(w)
        wrong += rounded != mean
    assert wrong > 20


def test_cancellation():
    a = np.array([1e300, 1.0, -1e300, 5e-324])
    assert parallel_weighted_mean(a, weights=np.array([1e8, 3.0, 1e8, 1.0])) == nearest(
        (3 + Fraction(5e-324)) / (2 * 10**8 + 4), np.float64
    )
    # Both sums cancel down to their last bits, far below where they began.
    w = np.array([1e300, 2e-300, -1e300])
    a = np.array([1e300, 4.0, 1e300])
    _check(a, w)
    assert parallel_weighted_mean(a, weights=w) == 4.0


def test_the_ends_of_the_range():
    huge = np.finfo(float).max
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parallel_weighted_mean(np.full(5, huge), weights=np.full(5, huge)) == huge
        tiny = np.full(5, 5e-324)
        assert parallel_weighted_mean(tiny, weights=tiny) == 5e-324
        assert parallel_weighted_mean(np.full(3, 1e300), weights=[1e-300, 1e300, 1.0]) == 1e300
        assert parallel_weighted_mean([1.0, 3.0], weights=[5e-324, 5e-324]) == 2.0
        found = parallel_weighted_mean(np.full(3, 6e4, "e"), weights=np.full(3, 6e4, "e"))
        assert found == np.float16(6e4) and found.dtype == np.float16
    with pytest.warns(RuntimeWarning, match="overflow encountered in parallel_weighted_mean"):
        mean, total = parallel_weighted_mean(np.ones(5), weights=np.full(5, huge), returned=True)
    assert mean == 1 and total == np.inf
    with pytest.warns(RuntimeWarning, match="overflow encountered in parallel_weighted_mean"):
        found = parallel_weighted_mean([huge, -huge], weights=[1.0, -0.5])
    assert found == np.inf


def test_integers_of_64_bits():
    most = np.iinfo(np.int64).max
    a = np.array([most, most, most - 1])
    assert parallel_weighted_mean(a, weights=np.array([most, -most, 1])) == float(most - 1)
    _check(a, np.array([most, most, 7]))
    _check(np.array([-most - 1] * 3), np.array([-most - 1] * 3))
    unsigned = np.full(3, np.iinfo(np.uint64).max, np.uint64)
    _check(unsigned, unsigned)


def test_complex_quotients():
    a, w = np.array([1 + 2j, 3 - 1j]), np.array([1e200 + 1e-200j, -1e200 + 3e-200j])
    _check(a, w)
    _check(a.real, w)
    _check(a, w.imag)
    _check(a, 1j * w.real + w.imag)


# ---- special values ----


@pytest.mark.parametrize("code", FLOATS + COMPLEX)
def test_special_values_are_those_of_the_quotient_of_sums(code):
    specials = [math.inf, -math.inf, math.nan, 1.0, 0.0]
    if code in COMPLEX:
        specials += [complex(1, math.inf), complex(math.nan, 1), complex(math.inf, -math.inf)]
    for x, y, u, v in product(specials, repeat=4):
        a, w = np.array([x, y, 1], code), np.array([u, v, 2], code)
        if np.isfinite(a).all() and np.isfinite(w).all():
            continue
        with np.errstate(all="ignore"):
            mean, total = parallel_weighted_mean(a, weights=w, returned=True)
            products = parsum.parallel_dot(a, w)
            expected = products / total
            assert_same_bits(total, parsum.parallel_sum(w))
        if code in COMPLEX:
            for found, right in ((mean.real, expected.real), (mean.imag, expected.imag)):
                assert np.isnan(found) == np.isnan(right) and np.isinf(found) == np.isinf(right)
                assert np.isnan(found) or np.signbit(found) == np.signbit(right) or found == 0
        else:
            assert mean == expected or (np.isnan(mean) and np.isnan(expected)), (a, w)


def test_special_values_report_what_numpy_does():
    inf, nan = math.inf, math.nan
    for a, w, kind in [
        ([inf, -inf], [1.0, 1.0], "invalid"),
        ([inf, 1.0], [0.0, 1.0], "invalid"),
        ([inf, 1.0], [inf, 1.0], "invalid"),
        ([1.0, 1.0], [inf, -inf], "invalid"),
        ([nan, inf], [1.0, 1.0], None),
        ([1.0, 2.0], [nan, 1.0], None),
        ([inf, 2.0], [1.0, 1.0], None),
        ([-1e300, -1e300], [1e300, inf], "invalid"),
    ]:
        with np.errstate(all="raise"):
            if kind:
                with pytest.raises(FloatingPointError, match=kind):
                    parallel_weighted_mean(np.array(a), weights=np.array(w))
            else:
                assert not np.isfinite(parallel_weighted_mean(a, weights=w))
    # Weights that sum to something beyond doubles are no infinity.
    huge = np.finfo(float).max
    with np.errstate(all="raise"):
        assert parallel_weighted_mean([inf, 1.0], weights=[huge, huge]) == inf


# ---- shapes ----


@functools.cache
def _grids(codes: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    n = math.prod(shape)
    a = values("finite hard", n, codes[0], 2).reshape(shape)
    w = _weights(n, codes[1]).reshape(shape)
    return a, w, [_along(a, w, (axis,)) for axis in range(len(shape))]


@pytest.mark.parametrize("codes", ["dd", "ff", "ee", "FF", "DD", "Dd", "hh", "qd", "??"])
@pytest.mark.parametrize("shape", [(2, 700), (300, 2), (40, 70), (3, 4, 50)])
def test_along_every_axis(level, codes, shape):
    a, w, along = _grids(codes, shape)
    for axis, expected in enumerate(along):
        for workers in (1, 3):
            with np.errstate(over="ignore"):
                found = parallel_weighted_mean(a, axis, w, True, workers=workers)
            assert_same_bits(found[0], expected[0])
            assert_same_bits(found[1], expected[1])


@pytest.mark.parametrize("codes", ["dd", "fd", "Dd", "DD", "ii"])
def test_weights_of_the_lengths_along_axes(codes):
    a = values("random", 360, codes[0], 4).reshape(5, 6, 12)
    for axis, shape in [
        (0, (5,)), (1, (6,)), (-1, (12,)), ((0, 2), (5, 12)), ((2, 0), (12, 5)), ((1, 2), (6, 12)),
    ]:  # fmt: skip
        w = _weights(math.prod(shape), codes[1]).reshape(shape)
        order = [k % 3 for k in (axis if isinstance(axis, tuple) else (axis,))]
        turned = w.transpose(np.argsort(order))
        wide = turned.reshape([a.shape[k] if k in order else 1 for k in range(3)])
        expected = _along(a, np.broadcast_to(wide, a.shape), tuple(sorted(order)))
        for keepdims in (False, True):
            mean, total = parallel_weighted_mean(a, axis, w, True, keepdims=keepdims)
            numpys = np.average(a, axis, w, keepdims=keepdims)
            assert mean.shape == total.shape == numpys.shape
            np.testing.assert_allclose(mean, numpys, rtol=1e-9, atol=np.abs(a).max() * 1e-9)
            assert_same_bits(np.squeeze(mean, tuple(order) if keepdims else ()), expected[0])
            assert_same_bits(np.squeeze(total, tuple(order) if keepdims else ()), expected[1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codes", ["dd", "DD", "Df", "iI", "ef"])
def test_layouts(codes, layout):
    a, w = values("finite hard", 35, codes[0], 5), _weights(35, codes[1])
    a, w = a.reshape(5, 7), w.reshape(5, 7)
    for first, second in ((layout, "contiguous"), ("contiguous", layout), (layout, layout)):
        x = a if first == "contiguous" else lay_out(a, first)
        y = w if second == "contiguous" else lay_out(w, second)
        for axes in ((0,), (1,), (0, 1)):
            found = parallel_weighted_mean(x, axes, y, True)
            for k, right in enumerate(_along(a, w, axes)):
                assert_same_bits(found[k], right if axes != (0, 1) else right[()])


@pytest.mark.parametrize(
    "codes", [("i4", "i2"), ("f2", "i1"), ("c8", "f8"), ("c16", "c16"), ("g", "f8"), ("f4", "G")]
)
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), -1])
def test_as_numpy(codes, axis):
    rng = np.random.default_rng(5)
    a = rng.integers(-9, 9, (4, 5, 6)).astype(codes[0])
    w = rng.integers(1, 9, (4, 5, 6)).astype(codes[1])
    for keepdims in (False, True):
        mean, total = parallel_weighted_mean(a, axis, w, True, keepdims=keepdims)
        expected, sums = np.average(a, axis, w, True, keepdims=keepdims)
        assert mean.dtype == expected.dtype and mean.shape == expected.shape
        assert total.dtype == sums.dtype and total.shape == sums.shape
        np.testing.assert_allclose(mean, expected, rtol=2e-3 if codes[0] == "f2" else 1e-6)
        np.testing.assert_allclose(total, sums, rtol=2e-3)


def test_without_weights():
    a = np.arange(12.0).reshape(3, 4)
    assert parallel_weighted_mean(a) == 5.5
    for axis in (None, 0, (0, 1)):
        found = parallel_weighted_mean(a, axis, returned=True)
        for k, right in enumerate(np.average(a, axis, returned=True)):
            assert_same_bits(found[k], right)
    masked = np.ma.array(a, mask=a < 3)
    found = parallel_weighted_mean(masked, 0, returned=True)
    for k, right in enumerate(np.ma.average(masked, 0, returned=True)):
        np.testing.assert_array_equal(found[k], right)


# ---- states ----


@pytest.mark.parametrize("code", "?bHiqQefdFD")
def test_states_combine(code):
    """Any cut of the pairs, whose states hold windows, limbs or both, in any order."""
    n = 5000
    a, w = values("finite hard", n, code, 6), _weights(n, code)
    to = np.dtype(code) if code in FLOATS + COMPLEX else np.dtype(float)
    reduction = find("weighted_mean", "exact", type_of(np.dtype(code)), type_of(to))
    assert reduction is not None and reduction.values == 2 and not reduction.ordered
    result = np.empty(2, to)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        cuts = np.sort(rng.integers(0, n, 6))
        states = []
        for x, y in zip(np.split(a, cuts), np.split(w, cuts), strict=True):
            state = reduction.identity()
            reduction.accumulate_pairs(state, x[::2], y[::2])
            reduction.accumulate_pairs(state, x[1::2], y[1::2])
            states.append(state)
        while len(states) > 1:
            one = states.pop(rng.integers(len(states)))
            reduction.combine(states[rng.integers(len(states))], one)
        assert reduction.finish(states[0], result) == 0
        for found, right in zip(result, exactly(a, w), strict=True):
            assert_same_bits(found, right)


# ---- errors and masks ----


def test_errors():
    a = np.ones((2, 3))
    with pytest.raises(TypeError, match="axis must be given"):
        parallel_weighted_mean(a, weights=np.ones(3))
    with pytest.raises(ValueError, match="weights must have the shape"):
        parallel_weighted_mean(a, 1, np.ones(2))


@pytest.mark.parametrize("code", [*KINDS, "g"])
def test_weights_that_sum_to_zero(code):
    w = np.array([[1, 1, 0], [0, 0, 0]], code)
    for weights, axis in ((w, 1), (np.zeros((2, 3), code), None), (np.zeros((2, 3), code), 0)):
        with pytest.raises(ZeroDivisionError, match="weights must not sum to zero"):
            parallel_weighted_mean(np.ones((2, 3), code), axis, weights)
    with pytest.raises(ZeroDivisionError):
        parallel_weighted_mean(np.zeros(0, code), weights=np.zeros(0, code))
    with pytest.raises(ZeroDivisionError):
        parallel_weighted_mean(np.zeros((0, 2), code), 0, np.zeros((0, 2), code))
    empty = parallel_weighted_mean(np.zeros((0, 2), code), 1, np.zeros((0, 2), code))
    assert empty.shape == (0,)
    if np.dtype(code).kind == "f":
        with pytest.raises(ZeroDivisionError):
            parallel_weighted_mean([np.inf, np.nan], weights=np.array([1, -1], code))
        # A sum that is not zero, though most of it cancels.
        least = np.array([1, np.finfo(code).smallest_subnormal, -1], code)
        assert parallel_weighted_mean(np.ones(3, code), weights=least) == 1 or code == "g"


def test_masked_arrays():
    rng = np.random.default_rng(8)
    data, w = rng.random((6, 7)), rng.random((6, 7))
    mask = rng.random((6, 7)) < 0.4
    mask[:, 2] = True
    a = np.ma.array(data, mask=mask)
    for weights in (w, np.ma.array(w, mask=rng.random((6, 7)) < 0.2)):
        for axis in (None, 0, 1):
            found = parallel_weighted_mean(a, axis, weights, True)
            with np.errstate(all="ignore"):
                expected = np.ma.average(a, axis, weights, True)
            for ours, numpys in zip(found, expected, strict=True):
                np.testing.assert_array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(numpys))
                np.testing.assert_allclose(np.ma.filled(ours, 0), np.ma.filled(numpys, 0), 1e-13)
    left = ~mask & (np.arange(7) == 4)
    one = parallel_weighted_mean(np.ma.array(data, mask=~left), weights=w)
    assert one == exactly(data[left], w[left])[0]
    zero = parallel_weighted_mean(np.ma.array([1.0, 2.0]), weights=[1.0, -1.0])
    assert zero is np.ma.masked
