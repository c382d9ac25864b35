"""prod against exact products of integers, at the level of the monoid and along axes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from oracle import assert_same_bits
from parsum._native import ffi, lib

from parsum import parallel_prod
from parsum.reduction import INVALID, OVERFLOW, find, type_of

FLOATS = [np.dtype(k) for k in (np.float16, np.float32, np.float64)]
INTEGERS = [np.dtype(f"{sign}int{bits}") for bits in (8, 16, 32, 64) for sign in ("", "u")]
LENGTHS = [*range(1, 20), 31, 32, 33, 63, 64, 65, 100, 255, 256, 257, 511, 512, 513, 1023, 1024]
LONGER = [1025, 2047, 2048, 3000, 5000]


def _reduction(element, result):
    found = find("prod", "exact", type_of(np.dtype(element)), type_of(np.dtype(result)))
    assert found is not None, f"no prod of {element} to {result}"
    return found


def _prod(values, result):
    """The product by the monoid's functions, leaf by leaf, and its flags."""
    reduction = _reduction(values.dtype, result)
    out = np.zeros((), result)
    state = reduction.identity()
    reduction.accumulate(state, values)
    return out, reduction.finish(state, out)


def _whole(values, result):
    """The same by the tree that all arrays have."""
    out = np.zeros((), result)
    pointer = ffi.cast("void *", out.__array_interface__["data"][0])
    data = ffi.cast("void *", values.__array_interface__["data"][0])
    row = _reduction(values.dtype, result).pointer
    flags = lib.parsum_reduce(row, 0, data, values.size, type_of(out.dtype), pointer)
    return out[()], flags


# ---- integers ----


def _expected_integer(values, result):
    product = math.prod(int(v) for v in values)
    if result == np.bool_:
        return product != 0, 0
    info = np.iinfo(result)
    wrapped = product % 2**info.bits
    wrapped -= 2**info.bits if wrapped > info.max else 0
    return wrapped, 0 if info.min <= product <= info.max else OVERFLOW


def _integers(dtype, n, kind, rng):
    """Kinds of which the products stay small, just fit, just do not, or wrap many times."""
    info = np.iinfo(dtype)
    minus = -1 if info.min else 1
    values = np.ones(n, object)
    if kind == "any":
        return rng.integers(info.min, info.max, n, dtype, endpoint=True)
    if kind == "odd":
        return (2 * rng.integers(0, 50, n) + 1).astype(dtype)
    if kind == "units":
        return rng.choice(np.array([1, minus]), n).astype(dtype)
    if kind == "zero":
        values[:] = 3
        values[rng.integers(0, n)] = 0
    if kind == "powers":  # 2^62 to 2^65, of either sign
        values[rng.permutation(n)[: rng.integers(61, 66)]] = 2
        values[rng.integers(0, n)] *= minus
    if kind == "factors":  # 2^64 - 1 and its divisors
        for factor in (3, 5, 17, 257, 641, 65537, 6700417):
            if factor <= info.max and rng.random() < 0.9:
                values[rng.integers(0, n)] = factor
    return values.astype(dtype)


@pytest.mark.parametrize("kind", ["any", "odd", "units", "zero", "powers", "factors"])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_wrap_and_say_so(level, dtype, kind):
    rng = np.random.default_rng([dtype.num, len(kind)])
    for n in (1, 2, 8, 16, 17, 33, 64, 66, 100, 511, 513, 2049, 3000):
        values = _integers(dtype, n, kind, rng)
        for result in {np.dtype(np.int64), np.dtype(np.uint64), dtype, np.dtype(np.bool_)}:
            expected, flags = _expected_integer(values, result)
            reduction = _reduction(dtype, result)
            assert not reduction.ordered
            states = []
            for part in np.split(values, np.sort(rng.integers(0, n + 1, 3))):
                state = reduction.identity()
                copy = np.repeat(part, 2)[::2] if rng.random() < 0.5 else part[::-1]
                reduction.accumulate(state, copy)
                states.append(state)
            rng.shuffle(states)
            for other in states[1:]:
                reduction.combine(states[0], other)
            out = np.zeros((), result)
            assert reduction.finish(states[0], out) == flags, (n, result)
            assert out == expected, (n, result)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_along_axes(level, dtype):
    rng = np.random.default_rng(5)
    result = np.dtype(np.int64 if dtype.kind == "i" else np.uint64)
    for shape in ((2, 70), (3, 9), (20, 33), (64, 5), (600, 3), (1, 4)):
        for kind in ("any", "odd", "units", "zero", "powers", "factors"):
            columns = [_integers(dtype, shape[0], kind, rng) for _ in range(shape[1])]
            expected = [_expected_integer(column, result) for column in columns]
            array = np.stack(columns, axis=1)
            over = any(flags for _, flags in expected)
            for axis, view in ((0, array), (1, np.ascontiguousarray(array.T))):
                with np.errstate(over="raise" if not over else "ignore"):
                    got = parallel_prod(view, axis=axis)
                assert got.tolist() == [value for value, _ in expected], (shape, kind, axis)
                if over:
                    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
                        parallel_prod(view, axis=axis)


def test_bool_is_logical_and():
    values = np.ones(100, np.uint8)
    values[7] = 200
    for result in (np.bool_, np.int64, np.int8, np.float64):
        assert _prod(values.view(bool), result)[0] == 1
        assert _prod(np.append(values, 0).astype(np.uint8).view(bool), result)[0] == 0
    grid = np.ones((40, 30), bool)
    grid[5, 6] = False
    assert np.array_equal(parallel_prod(grid, axis=0), np.prod(grid, axis=0))
    assert np.array_equal(parallel_prod(grid, axis=1), np.prod(grid, axis=1))


# ---- floats ----

BITS = {np.dtype(np.float16): 11, np.dtype(np.float32): 24, np.dtype(np.float64): 53}


PLACES = 400  # bits that are kept of a product: it is off by 2^-390, which no bound here is near


def _exact(values):
    """The product as an integer and an exponent of two."""
    product, exponent = 1, 0
    for value in values.tolist():
        top, bottom = value.as_integer_ratio()
        spare = max(0, product.bit_length() - PLACES)
        product = (product >> spare) * top
        exponent += spare - (bottom.bit_length() - 1)
    return product, exponent


def _scaled(number, exponent):
    return number * 2**exponent if exponent >= 0 else Fraction(number, 2**-exponent)


def _assert_near(got, values, rounding):
    """Whether the result is the product but for its own rounding and n times `rounding`."""
    product, exponent = _exact(values)
    bits = BITS[got.dtype]
    info = np.finfo(got.dtype)
    top = abs(product).bit_length() + exponent
    if top > info.maxexp + 1:
        assert np.isinf(got)
    elif top < info.minexp - info.nmant - 1:
        assert got == 0
    elif np.isinf(got):
        assert abs(_scaled(product, exponent)) > 2**info.maxexp * (1 - Fraction(1, 2**bits))
    else:
        exact = Fraction(_scaled(product, exponent))
        error = abs(Fraction(float(got)) - exact)
        half = Fraction(2) ** (max(top - bits, info.minexp - info.nmant) - 1)
        assert error <= half + abs(exact) * values.size * rounding, (got, float(error / half))
    assert np.signbit(got) == (product < 0)


def _floats(dtype, n, kind, rng):
    info = np.finfo(dtype)
    signs = rng.choice([-1.0, 1.0], n)
    if kind == "near":
        values = rng.uniform(0.5, 2, n)
    elif kind == "close":
        values = 1 + rng.uniform(-8, 8, n) * info.eps
    elif kind == "spread":
        values = np.ldexp(rng.uniform(1, 2, n), rng.integers(-13, 14, n))
    elif kind == "far":  # any exponent, subnormals too
        least, most = info.minexp - info.nmant, info.maxexp
        values = np.ldexp(rng.uniform(1, 2, n), rng.integers(least, most, n))
    else:  # pairs that cancel, each of them far from 1
        exponents = np.resize(np.array([info.maxexp - 2, -(info.maxexp - 2)]), n)
        values = np.ldexp(rng.uniform(1, 2, n), exponents + (exponents < 0))
    with np.errstate(over="ignore", under="ignore"):
        values = (signs * values).astype(dtype)
    return np.where(values == 0, info.smallest_subnormal, values).astype(dtype)


# the roundings of lanes and joins, for each element
WIDE, NARROW = Fraction(1, 2**98), Fraction(1, 2**53)


@pytest.mark.parametrize("kind", ["near", "close", "spread", "far", "pairs"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_floats_are_within_the_bound(level, dtype, kind):
    rng = np.random.default_rng([dtype.num, len(kind)])
    for n in LENGTHS[::2] + LONGER[::2]:
        values = _floats(dtype, n, kind, rng)
        for result in FLOATS:
            got, flags = _whole(values, result)
            narrow = dtype.itemsize < 8 and result.itemsize < 8
            _assert_near(got, values, NARROW if narrow else WIDE)
            assert flags == (OVERFLOW if np.isinf(got) else 0)


def test_products_that_come_back():
    """What overflows or vanishes in between does not show."""
    values = np.array([1e300, 1e300, 1e-300, 1e-300])
    for order in (values, values[::-1], values[[0, 2, 1, 3]]):
        got, flags = _whole(np.ascontiguousarray(order), np.float64)
        _assert_near(got, order, WIDE)
        assert abs(got - 1) < 4e-16 and flags == 0
    many = np.concatenate([np.full(3000, 1e-200), np.full(3000, 1e200)])
    got, flags = _whole(many, np.float64)
    _assert_near(got, many, WIDE)
    assert flags == 0
    assert _whole(np.array([5e-324, 5e-324, 2.0**1000, 2.0**1000]), np.float64)[0] == 2.0**-148
    assert _whole(np.array([2.0**-1074, 0.5]), np.float64)[0] == 0  # a tie, to even
    assert _whole(np.array([3 * 2.0**-1074, 0.5]), np.float64)[0] == 2 * 2.0**-1074
    assert _whole(np.array([2.0**-1000, 2.0**-74, 0.75]), np.float64)[0] == 2.0**-1074


def test_ties_are_decided_by_what_was_lost():
    """(1 + e)(1 - e) is just below 1, and so is not the float between."""
    e = 2.0**-30
    got, _ = _whole(np.array([1 + e, 1 - e]), np.float64)
    assert got == 1 - e * e
    tie = 1 + 2.0**-24  # between two float32
    for other, expected in ((1 + 2.0**-52, 1 + 2.0**-23), (1 - 2.0**-53, 1.0), (1.0, 1.0)):
        values = np.array([tie, other])
        assert _whole(values, np.float32)[0] == np.float32(expected)
    assert _whole(np.array([1 + 2.0**-11, 1 + 2.0**-52]), np.float16)[0] == 1 + 2.0**-10
    assert _whole(np.array([1 + 2.0**-11, 1.0]), np.float16)[0] == 1
    assert _whole(np.array([65519.0, 1.0]), np.float16) == (65504, 0)
    assert _whole(np.array([65520.0, 1.0]), np.float16) == (np.inf, OVERFLOW)
    assert _whole(np.array([2.0**-25, 1.0]), np.float16)[0] == 0
    assert _whole(np.array([2.0**-25, 1 + 2.0**-52]), np.float16)[0] == 2.0**-24


@pytest.mark.parametrize("result", FLOATS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_special_values(level, dtype, result):
    inf, nan = np.inf, np.nan
    cases = [
        ([0.0], 0.0, 0),
        ([-0.0], -0.0, 0),
        ([-0.0, -2.0], 0.0, 0),
        ([0.0, -2.0], -0.0, 0),
        ([inf], inf, 0),
        ([-inf, 2.0], -inf, 0),
        ([-inf, -inf], inf, 0),
        ([nan], nan, 0),
        ([nan, inf, 0.0], nan, 0),
        ([0.0, inf], nan, INVALID),
        ([inf, -0.0], nan, INVALID),
        ([inf, 1e-5, -3.0], -inf, 0),
        ([], 1.0, 0),
    ]
    for given, expected, flags in cases:
        for filler in (0, 5, 40, 1100, 2100):
            values = np.array([*given, *[1.5, 2 / 3] * (filler // 2)], dtype)
            if filler and not given:
                continue
            for order in (values, values[::-1].copy(), np.roll(values, filler // 3)):
                got, found = _whole(order, result)
                assert_same_bits(got, result.type(expected), f"{given} {filler}")
                assert found == flags


@pytest.mark.parametrize("kind", ["near", "far", "zeros", "infinities"])
@pytest.mark.parametrize("dtype", [*FLOATS, np.dtype("c8"), np.dtype("c16")], ids=str)
def test_layouts_and_levels_do_not_show(dtype, kind):
    """Runs, rows, columns, packed or not, on all levels: the same bits."""
    rng = np.random.default_rng([dtype.num, len(kind)])
    best = lib.parsum_level()
    part = np.finfo(dtype).dtype

    def numbers(n):
        values = _floats(part, n, "far" if kind == "far" else "spread", rng)
        if kind == "zeros":
            values[rng.random(n) < 0.01] = -0.0
        if kind == "infinities":
            values[rng.random(n) < 0.003] = np.inf
        return values

    for n, width in (
        (2, 9),
        (3, 130),
        (8, 17),
        (9, 8),
        (16, 33),
        (17, 9),
        (33, 20),
        (70, 5),
        (257, 3),
        (600, 40),
        (1100, 10),
        (3000, 2),
    ):
        columns = numbers(n * width).reshape(n, width)
        if dtype.kind == "c":
            pair = np.stack([columns, numbers(n * width).reshape(n, width)], axis=2)
            columns = pair.view(dtype)[..., 0]
        expected = None
        for level in range(lib.parsum_levels()):
            if not lib.parsum_level_usable(level):
                continue
            assert lib.parsum_use_level(level) == 0
            try:
                with np.errstate(all="ignore"):
                    runs = np.array(
                        [_whole(np.ascontiguousarray(c), dtype)[0] for c in columns.T], dtype
                    )
                    wide = np.zeros((n, width + 5), dtype)
                    wide[:, 2:-3] = columns
                    found = {
                        "columns": parallel_prod(columns, axis=0),
                        "rows": parallel_prod(np.ascontiguousarray(columns.T), axis=1),
                        "wide": parallel_prod(wide[:, 2:-3], axis=0),
                        "strided": parallel_prod(np.repeat(columns, 2, axis=1)[:, ::2], axis=0),
                    }
            finally:
                assert lib.parsum_use_level(best) == 0
            expected = runs if expected is None else expected
            assert_same_bits(runs, expected, f"level {level}, {n} elements")
            for name, got in found.items():
                assert_same_bits(got, expected, f"{name}, level {level}, {n} by {width}")


def test_one_array_has_one_product(level):
    """Workers and blocks do not show; nor does how many elements one call takes in."""
    values = _floats(np.dtype(np.float64), 300_001, "close", np.random.default_rng(3))
    expected = parallel_prod(values, workers=1)
    for workers in (2, 3):
        assert parallel_prod(values, workers=workers) == expected
    assert _whole(values, np.float64)[0] == expected


# ---- integers as floats ----


@pytest.mark.parametrize("dtype", [np.dtype(bool), *INTEGERS], ids=str)
def test_integers_to_floats(level, dtype):
    rng = np.random.default_rng(11)
    for n in (1, 2, 3, 20, 40, 1000, 1500):
        values = rng.integers(1, 2, n) if dtype.kind == "b" else _integers(dtype, n, "any", rng)
        values = np.where(values == 0, 1, values).astype(dtype)
        exact = math.prod(int(v) for v in values)
        reduction = _reduction(dtype, np.float64)
        for result in (np.dtype(np.float64), np.dtype(np.float32)):
            out = np.zeros((), result)
            state = reduction.identity()
            for first in range(0, n, 1024):
                leaf = reduction.identity()
                reduction.accumulate(leaf, values[first : first + 1024])
                reduction.combine(state, leaf)
            reduction.finish(state, out)
            if abs(exact) < 2 ** np.finfo(result).maxexp * (1 - Fraction(1, 2**24)):
                bound = Fraction(1, 2 ** BITS[result]) + n * Fraction(1, 2**96)
                assert abs(Fraction(float(out)) - exact) <= bound * abs(exact)
            else:
                assert np.isinf(out)
        grid = values.reshape(n, 1).repeat(3, axis=1)
        with np.errstate(over="ignore"):
            whole = _whole(values, np.float64)[0]
            assert (parallel_prod(grid, axis=0, dtype=np.float64) == whole).all()
            assert (parallel_prod(grid.T.copy(), axis=1, dtype=np.float64) == whole).all()


def test_integers_beyond_the_significand_become_floats_first():
    """As NumPy's do, which has them converted to the dtype that it multiplies in."""
    for values in (
        np.array([2**53 + 1, 2**53 - 1]),
        np.array([2**63 - 1, 2**63 - 1, -(2**63)]),
        np.array([2**64 - 1, 2**64 - 2**10 - 1], np.uint64),
    ):
        product = math.prod(int(float(v)) for v in values.tolist())
        assert _prod(values, np.float64)[0] == float(product) == np.prod(values, dtype=float)


# ---- complex numbers and long double ----


# sqrt(5) half units of double for each multiplication (Brent, Percival and Zimmermann, 2007)
COMPLEX_ROUNDING = Fraction(9, 4) / 2**53


def _exact_complex(values):
    re, im, exponent = 1, 0, 0
    for value in values.tolist():
        a, b = Fraction(value.real), Fraction(value.imag)
        scale = max(a.denominator, b.denominator)
        x, y = int(a * scale), int(b * scale)
        spare = max(0, re.bit_length() - PLACES, im.bit_length() - PLACES)
        re, im = re >> spare, im >> spare
        re, im = re * x - im * y, re * y + im * x
        exponent += spare - (scale.bit_length() - 1)
    return re, im, exponent


@pytest.mark.parametrize("kind", ["near", "spread", "far"])
@pytest.mark.parametrize("dtype", [np.dtype("c8"), np.dtype("c16")], ids=str)
def test_complex_is_within_the_bound(level, dtype, kind):
    part = np.finfo(dtype).dtype
    rng = np.random.default_rng([dtype.num, len(kind)])
    for n in (1, 2, 3, 7, 8, 9, 16, 17, 63, 64, 65, 500, 1024, 1025, 2100):
        values = (_floats(part, n, kind, rng) + 1j * _floats(part, n, kind, rng)).astype(dtype)
        re, im, exponent = _exact_complex(values)
        top = max(abs(re), abs(im)).bit_length() + exponent
        for result in (np.dtype("c8"), np.dtype("c16")):
            got, flags = _whole(values, result)
            info = np.finfo(result)
            if top > info.maxexp + 1:
                assert (np.isinf(got.real) or np.isinf(got.imag)) and flags == OVERFLOW
            elif flags == 0:
                error_re = Fraction(float(got.real)) - Fraction(_scaled(re, exponent))
                error_im = Fraction(float(got.imag)) - Fraction(_scaled(im, exponent))
                square = Fraction(_scaled(re * re + im * im, 2 * exponent))
                bound = Fraction(3, 2 ** (BITS[np.finfo(result).dtype] + 1)) + n * COMPLEX_ROUNDING
                least = Fraction(float(info.smallest_subnormal))
                assert error_re**2 + error_im**2 <= bound**2 * square + least**2


def test_complex_without_overflow_in_between():
    values = np.array([1e200 + 1e200j, 1e200 - 1e200j, 1e-200 + 0j, 1e-200j])
    got, flags = _whole(values, np.complex128)
    assert abs(got - 2j) < 1e-15 and flags == 0
    # a rotation by an eighth of a turn, 8000 times
    turn = np.full(8000, (1 + 1j) * np.sqrt(0.5))
    exact = (2 * Fraction(float(np.sqrt(0.5))) ** 2) ** 4000
    got, _ = _whole(turn, np.complex128)
    error = abs(Fraction(float(got.real)) / exact - 1)
    assert abs(got.imag) < 1e-12 and float(error) <= 8000 * float(COMPLEX_ROUNDING)


def test_one_complex_element_is_numpys():
    """Which is 1 times it, so that an infinite part may make a NaN of the other.

    A part that is 2^-1000 of the other may vanish.
    """
    parts = [0.0, -0.0, 1.0, -3.5, 5e-324, 1e-300, -1e300, np.inf, -np.inf, np.nan]
    for re in parts:
        for im in parts:
            value = np.empty(1, np.complex128)
            value.real, value.imag = re, im
            grid = np.repeat(value.reshape(1, 1), 20, axis=1)
            with np.errstate(invalid="ignore"):
                expected = np.prod(value)
                down = parallel_prod(grid, axis=0)
            got, flags = _whole(value, np.complex128)
            invalid = np.isnan([expected.real, expected.imag]).any() and not np.isnan(value[0])
            assert flags == (INVALID if invalid else 0)
            for found in (got, *down[[0, 7, 19]]):
                pair = np.array([found.real, found.imag])
                right = np.array([expected.real, expected.imag])
                if np.isfinite(right).all():
                    assert (np.abs(pair - right) <= 2.0**-1000 * np.abs(right).max()).all()
                else:
                    np.testing.assert_array_equal(pair, right)


def test_complex_special_values(level):
    """As (ac - bd) + i(ad + bc) has them, begun with 1 as NumPy begins."""
    parts = [0.0, 1.0, -2.0, np.inf, -np.inf, np.nan]
    numbers = []
    for re in parts:
        for im in parts:
            value = np.empty(1, np.complex128)
            value.real, value.imag = re, im
            numbers.append(value)
    for a in numbers:
        for b in numbers:
            x, y = a[0], b[0]
            re, im = 1.0, 0.0
            with np.errstate(all="ignore"):
                for k in (x, y):
                    re, im = re * k.real - im * k.imag, re * k.imag + im * k.real
            got, flags = _whole(np.concatenate([a, b]), np.complex128)
            expected = np.array([re, im])
            found = np.array([got.real, got.imag])
            assert np.array_equal(found, expected, equal_nan=True), (a, b)
            invalid = np.isnan(expected).any() and not (np.isnan(x) or np.isnan(y))
            assert flags == (INVALID if invalid else 0)
    many = np.full(3000, 1 + 0j)
    many[1500] = complex(np.inf, 0)
    assert not np.isfinite(_whole(many, np.complex128)[0])
    many[1500] = 0
    assert _whole(many, np.complex128) == (0, 0)
    many[2000] = complex(np.inf, 0)
    assert np.isnan(_whole(many, np.complex128)[0])


def test_long_double():
    assert _whole(np.array([], np.longdouble), np.longdouble)[0] == 1
    huge = np.array([1.5, 2 / 3], np.longdouble)
    values = np.ldexp(np.resize(huge, 3000), np.resize(np.array([16000, -16000]), 3000))
    if np.finfo(np.longdouble).maxexp < 16000:
        values = np.ldexp(np.resize(huge, 3000), np.resize(np.array([1000, -1000]), 3000))
    got, flags = _whole(values, np.longdouble)
    product, exponent = 1, 0
    for value in values:
        mantissa, power = np.frexp(value)
        product *= int(np.ldexp(mantissa, 64))
        exponent += int(power) - 64
    high = Fraction(_scaled(product, exponent))
    value = Fraction(float(got)) + Fraction(float(got - np.longdouble(float(got))))
    assert abs(value / high - 1) < 3000 * Fraction(1, 2**52) and flags == 0
    if np.finfo(np.longdouble).nmant >= 63:
        assert abs(value / high - 1) < 3000 * Fraction(1, 2**64)
    for given, expected, flags in (
        ([np.inf, 0], np.nan, INVALID),
        ([np.nan], np.nan, 0),
        ([-0.0, 3], -0.0, 0),
        ([-np.inf, 3], -np.inf, 0),
    ):
        got, found = _whole(np.array(given, np.longdouble), np.longdouble)
        assert found == flags
        assert_same_bits(np.float64(got), np.float64(expected))
    most = np.array([np.finfo(np.longdouble).max, 2], np.longdouble)
    assert _whole(most, np.longdouble) == (np.inf, OVERFLOW)
    assert _whole(most, np.float64) == (np.inf, OVERFLOW)


def test_pairs_of_long_double():
    values = np.array([3 + 4j, 1j, 2, -1 - 1j], np.clongdouble)
    assert _whole(values, np.clongdouble)[0] == np.prod(values)
    assert _whole(values, np.complex64)[0] == np.prod(values)
    for count in (7, 1000, 2500):
        turn = np.full(count * 8, 0.6 + 0.8j, np.clongdouble)
        assert abs(abs(_whole(turn, np.clongdouble)[0]) - 1) < 1e-12
    most = np.longdouble(2) ** (np.finfo(np.longdouble).maxexp // 2)
    far = np.full(1000, np.clongdouble(1 + 1j) * most)
    far = np.concatenate([far, 1 / far])
    assert abs(_whole(far, np.clongdouble)[0] - 1) < 1e-10
    assert np.isnan(_whole(np.array([np.inf, 0], np.clongdouble), np.clongdouble)[0])
