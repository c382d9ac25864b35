"""The oracles agree with each other, with math.fsum and with NumPy's own conversions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import reference as family
from hypothesis import given
from hypothesis import strategies as st
from oracle import (
    FORMATS,
    SCALE,
    assert_same_bits,
    bits,
    complex_sum,
    exact_sum,
    expected_along,
    fraction_sum,
    integer_sum,
    nearest,
    round_integer,
    scaled_integer,
)
from strategies import FLOATS, any_floats, finite_floats, rounding_traps


@given(finite_floats(np.float64))
def test_integer_sum_is_the_fraction_sum(values):
    total = sum((Fraction(float(v)) for v in values), Fraction(0))
    assert Fraction(scaled_integer(values), 2**SCALE) == total


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_both_oracles_round_alike(dtype, data):
    values = data.draw(finite_floats(dtype) | rounding_traps(dtype))
    expected = fraction_sum(values, dtype)
    actual = exact_sum(values, dtype)
    if expected == 0 and not np.asarray(values).any():
        expected = actual  # zeros alone: their signs are a rule, not a rounding
    assert_same_bits(actual, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@given(values=finite_floats(np.float64))
def test_both_oracles_narrow_alike(dtype, values):
    if np.any(values):
        assert_same_bits(exact_sum(values, dtype), fraction_sum(values, dtype))


@given(values=finite_floats(np.float64))
def test_double_sums_are_those_of_fsum(values):
    try:
        expected = math.fsum(values.tolist())
    except OverflowError:
        return  # fsum gives up on intermediate overflow
    actual = exact_sum(values)
    assert actual == expected
    if expected:
        assert math.copysign(1, actual) == math.copysign(1, expected)


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_one_value_is_itself(dtype, data):
    values = data.draw(any_floats(dtype, min_size=1, max_size=1))
    assert_same_bits(exact_sum(values), values[0])


@pytest.mark.parametrize("dtype", FORMATS)
@given(total=st.integers(-(2**2200), 2**2200) | st.integers(-(2**70), 2**70))
def test_rounding_integers_is_rounding_fractions(dtype, total):
    if total:
        assert_same_bits(round_integer(total, dtype), nearest(Fraction(total, 2**SCALE), dtype))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@given(value=st.floats(allow_nan=False))
def test_rounding_one_double_is_numpys_cast(dtype, value):
    with np.errstate(all="ignore"):
        assert_same_bits(exact_sum([value], dtype), np.float64(value).astype(dtype))


def test_known_values():
    maximum = np.finfo(np.float64).max
    assert exact_sum([1e308, 1e308, -1e308]) == 1e308
    assert exact_sum([maximum, 2.0**969]) == maximum
    assert exact_sum([maximum, 2.0**970]) == np.inf  # the tie goes to even, which is infinity
    assert exact_sum([maximum, 2.0**970, -5e-324]) == maximum
    assert exact_sum(np.float32([1, 2**-24, 2**-80])) == np.float32(1 + 2**-23)
    assert exact_sum(np.float32([1, 2**-24])) == 1
    assert exact_sum([1, 2.0**-53, 2.0**-1074]) == 1 + 2.0**-52
    assert exact_sum(np.float16([1, 2**-11, 2**-24])) == np.float16(1 + 2**-10)
    assert_same_bits(exact_sum([-0.0, -0.0]), np.float64(-0.0))
    assert_same_bits(exact_sum([-0.0, 0.0]), np.float64(0.0))
    assert_same_bits(exact_sum([1.0, -1.0]), np.float64(0.0))
    assert_same_bits(exact_sum([]), np.float64(0.0))
    assert_same_bits(exact_sum([-1e-300], np.float32), np.float32(-0.0))
    assert math.isnan(exact_sum([np.inf, -np.inf]))
    assert exact_sum([np.inf, 1.0]) == np.inf
    assert_same_bits(complex_sum([complex(1, -0.0), complex(-1, -0.0)]), complex(0.0, -0.0))


def test_integers_wrap_as_numpy_wraps():
    values = np.array([2**63 - 1, 1, 5], np.int64)
    assert integer_sum(values, np.int64) == (np.sum(values), True)
    assert integer_sum([1, 2, 3], np.int8) == (6, False)
    assert integer_sum([200, 100], np.uint8) == (np.uint8(44), True)


def test_along_axes_agrees_with_numpy():
    values = np.arange(24.0).reshape(2, 3, 4) - 7
    mask = (values % 3) == 0
    for axis in [None, 0, 1, -1, (0, 1), (0, -1), (1, 2), (0, 1, 2), ()]:
        for keepdims in (False, True):
            for where in (True, mask):
                assert_same_bits(
                    expected_along(values, axis, keepdims, where),
                    np.sum(values, axis=axis, keepdims=keepdims, where=where),
                    f"{axis} {keepdims}",
                )
    assert_same_bits(expected_along(np.ones((2, 0)), 1), np.zeros(2))
    assert_same_bits(expected_along(np.ones((2, 0)), 0), np.zeros(0))


def test_bits_tell_zeros_apart_but_not_nans():
    assert bits(np.float64(0.0)) != bits(np.float64(-0.0))
    assert bits(np.float32(1)) != bits(np.float64(1))
    assert bits(np.float64(np.nan)) == bits(-np.float64(np.nan))
    assert bits(np.float64(np.nan), strict=True) != bits(-np.float64(np.nan), strict=True)
    with pytest.raises(AssertionError):
        assert_same_bits(np.float64(0.0), np.float64(-0.0))
    with pytest.raises(AssertionError):
        assert_same_bits(np.zeros(1), np.zeros(2))


@pytest.mark.parametrize("code", "bQefdFD")
@pytest.mark.parametrize("style", ["ties", "random", "constant"])
def test_family_oracles_agree_with_numpy(code, style):
    """The rationals of means, variances, norms and products are near what NumPy finds."""
    if style == "constant" and code == "Q":
        return  # no 64-bit integer's square is near what NumPy finds
    for n in (1, 2, 30, 500):
        a, b = (family.values(style, n, code, seed) for seed in (n, n + 1))
        wide = a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)
        exact = np.result_type(a.dtype, np.float64)
        real = np.dtype(np.float64)
        scale = 1e-12 * np.abs(wide).max() ** 2 + 1e-12
        for actual, expected in [
            (family.mean_of(a, exact), wide.mean()),
            (family.var_of(a, real), wide.var()),
            (family.var_of(a, real, 0.5), wide.var(ddof=0.5)),
            (family.std_of(a, real) ** 2, wide.var()),
            (family.var_of(a, real, 0, 1.5), (np.abs(wide - 1.5) ** 2).mean()),
            (family.norm2_of(a, real), np.linalg.norm(wide)),
        ]:
            assert abs(actual - expected) <= scale * 4, f"{actual} {expected}"
        if a.dtype.kind not in "iu":
            both = b.astype(exact)
            assert abs(family.dot_of(wide, both, exact) - np.dot(wide, both)) <= scale * n
            assert abs(family.dot_of(wide, both, exact, True) - np.vdot(wide, both)) <= scale * n
        if a.dtype.kind != "c":
            assert abs(family.norm1_of(a, real) - np.abs(wide).sum()) <= scale * n
        for name in ("mean", "var", "std", "norm 2", "norm 1", "sum"):
            value, size = family.near_of(name, a, {})
            if name.startswith("norm"):
                expected = np.linalg.norm(wide, int(name[-1]))
            else:
                expected = getattr(np, name)(wide)
            if a.dtype.kind != "c" or name not in ("mean", "sum"):
                assert abs(float(value) - expected) <= scale * n
                assert size >= abs(value) or name in ("var", "std")


def test_known_roots():
    for value, root in [
        (4, 2.0),
        (2, 2**0.5),
        (Fraction(1, 4), 0.5),
        (0, 0.0),
        (2**2046, 2.0**1023),
    ]:
        assert family.rounded_root(Fraction(value), np.float64) == root
    # A root just above a tie, and one that is a tie.
    half = 1 + Fraction(1, 2**53)
    assert family.rounded_root(half**2, np.float64) == 1
    assert family.rounded_root(half**2 + Fraction(1, 2**1000), np.float64) == 1 + 2**-52
    assert family.rounded_root(Fraction(1, 2**2148), np.float64) == 2.0**-1074
    assert family.rounded_root(Fraction(1, 2**2150), np.float64) == 0
    assert (
        family.rounded_root(Fraction(1, 2**2150) + Fraction(1, 2**2300), np.float64) == 2.0**-1074
    )


def test_known_moments():
    assert family.var_of(np.array([1e9, 1e9 + 1, 1e9 + 2]), np.float64, 1) == 1
    assert family.std_of(np.array([1e200, 3e200]), np.float64) == 1e200
    assert family.var_of(np.array([1, 2], np.float16), np.float16) == 0.25
    assert math.isnan(family.var_of(np.array([1.0, np.inf]), np.float64))
    assert math.isnan(family.var_of(np.array([1.0]), np.float64, 1))
    assert family.var_of(np.array([1.0, 2.0]), np.float64, 2) == math.inf
    assert family.mean_of(np.array([1e308, 1e308]), np.float64) == 1e308
    assert_same_bits(family.mean_of(np.array([-0.0, -0.0]), np.float64), np.float64(-0.0))
    assert family.mean_of(np.array([-3, -4], "m8[s]"), "m8[s]") == np.timedelta64(-3, "s")
    assert family.dot_of(np.array([1e200, 1.0, -1e200]), np.array([1e200, 2.0, 1e200]), "d") == 2
    assert math.isnan(family.dot_of(np.array([np.inf]), np.array([0.0]), "d"))
    assert family.dot_of(np.array([100, 100], "b"), np.array([1, 1], "b"), "b") == -56
    assert family.dot_of(np.array([1 + 2j]), np.array([3 + 4j]), "D", True) == 11 - 2j
    assert family.dot_of(np.array([1 + 2j]), np.array([3 + 4j]), "D") == -5 + 10j
