"""Big binary numbers in C against Python's integers: products, and quotients and square roots
rounded once.

csrc/rational.c is no part of the library's interface, so it is compiled here, with a few lines of C
that make its functions callable by ctypes.
"""

from __future__ import annotations

import ctypes
import math
import random
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from parsum._native import lib

CSRC = Path(__file__).resolve().parent.parent / "csrc"
LIMBS = 420
OVERFLOW, INVALID, DIVIDE = lib.PARSUM_OVERFLOW, lib.PARSUM_INVALID, lib.PARSUM_DIVIDE

DRIVER = r"""
#include "rational.c"

#include "kernels.h"

_Static_assert(BIG_LIMBS == LIMBS_IN_PYTHON, "the structure is declared anew in Python");

/* exact.c names the kernels, but rounding needs none. */
const kernel_table *parsum_kernels(void)
{
    return 0;
}

void from_limbs(const int64_t *limbs, int count, int exponent, big *out)
{
    big_from_limbs(limbs, count, exponent, out);
}

void from_int128(int64_t high, uint64_t low, int exponent, big *out)
{
    big_from_int128((int128)((uint128)(uint64_t)high << 64 | low), exponent, out);
}

void from_uint64(uint64_t value, big *out)
{
    big_from_uint64(value, out);
}

void from_double(double value, big *out)
{
    big_from_double(value, out);
}

void add(const big *a, const big *b, big *out)
{
    big_add(a, b, out);
}

void subtract(const big *a, const big *b, big *out)
{
    big_subtract(a, b, out);
}

void multiply(const big *a, const big *b, big *out)
{
    big_multiply(a, b, out);
}

int round_big(const big *a, int type, void *result)
{
    return big_round(a, type, result);
}

int round_quotient(const big *a, const big *b, int type, void *result)
{
    return big_round_quotient(a, b, type, result);
}

int round_root(const big *a, const big *b, int type, void *result)
{
    return big_round_root(a, b, type, result);
}

/* Limbs of 32 bits, the least first: four to two, and eight to four. */
int root_of_128(const uint32_t *limbs, uint64_t *root)
{
    uint128 left;
    *root = big_root_128(joined(limbs), &left);
    return left != 0;
}

int root_of_256(const uint32_t *limbs, uint64_t *root)
{
    int inexact;
    const uint128 wide = root_256(joined(limbs + 4), joined(limbs), &inexact);
    root[0] = (uint64_t)wide;
    root[1] = (uint64_t)(wide >> 64);
    return inexact;
}

int round_variance(const big *s1, const big *s1_imaginary, const big *s2, uint64_t count,
                   double ddof, int root, int type, void *result)
{
    return big_round_variance(s1, s1_imaginary, s2, count, ddof, root, type, result);
}

int round_variance_about(const big *s1, const big *s1_imaginary, const big *s2, uint64_t count,
                         double mean, double mean_imaginary, double ddof, int root, int type,
                         void *result)
{
    return big_round_variance_about(s1, s1_imaginary, s2, count, mean, mean_imaginary, ddof, root,
                                    type, result);
}
"""


class Big(ctypes.Structure):
    """The C structure `big`."""

    _fields_ = (
        ("negative", ctypes.c_int),
        ("size", ctypes.c_int),
        ("exponent", ctypes.c_int),
        ("limb", ctypes.c_uint32 * LIMBS),
    )

    def value(self) -> Fraction:
        """Return the number, having checked that it is in its one form."""
        assert 0 <= self.size < LIMBS
        assert self.size == 0 or self.limb[self.size - 1] != 0
        assert self.size or not self.negative
        magnitude = int.from_bytes(bytes(memoryview(self.limb))[: 4 * self.size], sys.byteorder)
        return (-1) ** self.negative * magnitude * power(self.exponent)


def power(exponent):
    return Fraction(2) ** exponent


def big(value) -> Big:
    """Make a number from an integer, or a fraction whose denominator is a power of two."""
    value = Fraction(value)
    exponent = 1 - value.denominator.bit_length()
    assert value.denominator == 1 << -exponent, "not a binary number"
    integer = abs(value.numerator)
    while integer and integer % 2**32 == 0:
        integer >>= 32
        exponent += 32
    out = Big(negative=value < 0, size=-(-integer.bit_length() // 32), exponent=exponent)
    assert out.size < LIMBS, "the test asks for more than there is room for"
    for i in range(out.size):
        out.limb[i] = integer >> (32 * i) & 0xFFFFFFFF
    for i in range(out.size, LIMBS):
        out.limb[i] = 0xDEADBEEF  # what is beyond the size is of no matter
    return out


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    """The compiled functions."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "these tests need a C compiler"
    directory = tmp_path_factory.mktemp("rational")
    driver, library = directory / "driver.c", directory / "rational.so"
    driver.write_text(DRIVER.replace("LIMBS_IN_PYTHON", str(LIMBS)))
    sources = [driver, CSRC / "exact.c"]
    flags = ["-std=c11", "-O2", "-g", "-ffp-contract=off", "-fPIC", "-shared", f"-I{CSRC}"]
    flags += ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    command = [compiler, *flags, "-o", library, *sources, "-lm"]
    subprocess.run([str(part) for part in command], check=True)
    functions = ctypes.CDLL(str(library))
    number, pointer = ctypes.c_int, ctypes.POINTER(Big)
    double, uint64 = ctypes.c_double, ctypes.c_uint64
    sums = [pointer, pointer, pointer, uint64]
    rounded = [number, number, ctypes.c_void_p]
    functions.from_limbs.argtypes = [ctypes.c_void_p, number, number, pointer]
    functions.from_int128.argtypes = [ctypes.c_int64, uint64, number, pointer]
    functions.from_uint64.argtypes = [uint64, pointer]
    functions.from_double.argtypes = [double, pointer]
    for name in ("add", "subtract", "multiply"):
        getattr(functions, name).argtypes = [pointer] * 3
    functions.round_big.argtypes = [pointer, number, ctypes.c_void_p]
    functions.round_quotient.argtypes = [pointer, pointer, number, ctypes.c_void_p]
    functions.round_root.argtypes = [pointer, pointer, number, ctypes.c_void_p]
    functions.root_of_128.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    functions.root_of_256.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    functions.round_variance.argtypes = [*sums, double, *rounded]
    functions.round_variance_about.argtypes = [*sums, double, double, double, *rounded]
    return functions


# ---- the formats, and the two oracles: nearest to a fraction, and nearest to its root ----


class Format:
    """A binary format: how its values are read, and how a number is rounded to it."""

    def __init__(self, number, dtype, precision, least, overflow):
        self.number, self.dtype = number, np.dtype(dtype)
        self.precision, self.least, self.overflow = precision, least, overflow
        self.name = self.dtype.name

    def exponent(self, size):
        """Return the exponent of the last bit of results in [2^size, 2^(size + 1))."""
        return max(size - self.precision + 1, self.least)

    def rounded(self, kept, rest, exponent):
        """Return (value, flags) for kept + rest units, `rest` being compared with a half."""
        if rest > 0 or (rest == 0 and kept % 2):
            kept += 1
        value = kept * power(exponent)
        if value >= power(self.overflow):
            return math.inf, OVERFLOW
        return value, 0

    def nearest(self, value):
        """Return the value nearest to a fraction, and flags."""
        if value == 0:
            return Fraction(0), 0
        magnitude = abs(value)
        exponent = self.exponent(floor_log2(magnitude))
        units = magnitude / power(exponent)
        kept = math.floor(units)
        result, flags = self.rounded(kept, units - kept - Fraction(1, 2), exponent)
        return (-result if value < 0 else result), flags

    def nearest_root(self, value):
        """Return the value nearest to the root of a fraction, and flags."""
        if value == 0:
            return Fraction(0), 0
        exponent = self.exponent(floor_log2(value) // 2)
        units = value / power(2 * exponent)  # the root is sqrt(units) * 2^exponent
        kept = math.isqrt(math.floor(units))
        # sqrt(units) against kept + 1/2, by their squares
        return self.rounded(kept, units - (kept + Fraction(1, 2)) ** 2, exponent)

    def read(self, memory):
        """Return the value that was written, as a fraction, or a float if it is not finite."""
        value = np.frombuffer(memory, self.dtype, 1)[0]
        if not np.isfinite(value):
            return float(value)
        numerator, denominator = value.as_integer_ratio()
        return Fraction(int(numerator), int(denominator))


def floor_log2(value):
    """Return the integer e with 2^e <= value < 2^(e + 1)."""
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if power(guess) <= value else guess - 1


_wide = np.finfo(np.longdouble)
FORMATS = [
    Format(lib.PARSUM_FLOAT16, np.float16, 11, -24, 16),
    Format(lib.PARSUM_FLOAT32, np.float32, 24, -149, 128),
    Format(lib.PARSUM_FLOAT64, np.float64, 53, -1074, 1024),
    Format(
        lib.PARSUM_LONGDOUBLE,
        np.longdouble,
        _wide.nmant + 1,
        int(_wide.minexp) - _wide.nmant,
        int(_wide.maxexp),
    ),
]
formats = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)


def call(function, form, *arguments):
    memory = ctypes.create_string_buffer(b"\xa5" * 16, 16)
    flags = function(*arguments, form.number, memory)
    return form.read(memory), flags


def same(actual, expected, of=()):
    """Compare two pairs of a value and flags; the numbers they come from are shown in full."""
    if repr_of(actual) != repr_of(expected):
        raise AssertionError(f"{repr_of(actual)} is not {repr_of(expected)} of {repr_of(of)}")


def repr_of(what):
    """Return the text that equal numbers, and only those, have in common; NaN is like NaN."""
    if isinstance(what, Fraction | int):
        return f"{what.numerator:x}/{what.denominator:x}"
    if isinstance(what, tuple | list):
        return [repr_of(part) for part in what]
    return repr(what)


def some_integer(rng, bits):
    """Random bits, or runs of ones and zeros, which find carries."""
    if bits == 0:
        return 0
    kind = rng.randrange(4)
    if kind == 0:
        return 1 << (bits - 1)
    if kind == 1:
        return (1 << bits) - 1 - rng.choice([0, 1, 1 << rng.randrange(bits)]) or 1
    value = rng.getrandbits(bits) | 1 << (bits - 1)
    if kind == 2:
        for _ in range(rng.randrange(1, 4)):
            low, high = sorted((rng.randrange(bits), rng.randrange(bits)))
            run = (1 << high) - (1 << low)
            value = value | run if rng.random() < 0.5 else value & ~run
        value |= 1 << (bits - 1)
    return value


def some_size(rng, most):
    return rng.choice([rng.randrange(1, 70), rng.randrange(1, 300), rng.randrange(1, most)])


def some_big(rng, most=2150):
    value = some_integer(rng, some_size(rng, most))
    return rng.choice([1, 1, -1]) * value * power(rng.randrange(-most, 100))


# ---- making, adding and multiplying ----


def test_from_limbs(c):
    rng = random.Random(1)
    for case in range(2000):
        count = rng.choice([0, 1, 2, 3, 5, 9, 68, 136])
        size = rng.choice([1, 31, 32, 33, 53, 62])
        limbs = [rng.randrange(-(2**size), 2**size + 1) for _ in range(count)]
        for k in range(count):
            if rng.random() < 0.2 * (case % 4):
                limbs[k] = rng.choice([0, 0, 2**63 - 2**32 - 1, 2**32 - 2**63 + 1, -1, 2**32])
        exponent = rng.randrange(-2148, 100)
        array, out = np.array(limbs, np.int64), Big()
        c.from_limbs(array.ctypes.data, count, exponent, out)
        assert out.value() == sum(v << (32 * i) for i, v in enumerate(limbs)) * power(exponent)
        assert out.size == 0 or out.limb[0] != 0


def test_from_numbers(c):
    rng = random.Random(2)
    out = Big()
    wide = [0, 1, -1, 2**32, -(2**32), 2**64, 2**96, 2**127 - 1, -(2**127)]
    for value in wide + [rng.getrandbits(rng.randrange(1, 128)) * (-1) ** k for k in range(200)]:
        exponent = rng.randrange(-1100, 1100)
        c.from_int128(value >> 64, value % 2**64, exponent, out)
        assert out.value() == value * power(exponent)
    for value in [0, 1, 2**32 - 1, 2**32, 2**64 - 1, rng.getrandbits(64)]:
        c.from_uint64(value, out)
        assert out.value() == value
    doubles = np.frombuffer(rng.randbytes(8 * 500), np.float64)
    doubles = doubles[np.isfinite(doubles)].tolist()
    for value in [0.0, -0.0, 5e-324, -(2.0**-1022), 1.7976931348623157e308, 1.0, *doubles]:
        c.from_double(value, out)
        assert out.value() == Fraction(value)


def test_arithmetic(c):
    rng = random.Random(3)
    out = Big()
    for _ in range(3000):
        a, b = some_big(rng), some_big(rng)
        if rng.random() < 0.05:
            a = Fraction(0)
        c.multiply(big(a), big(b), out)
        assert out.value() == a * b
        if rng.random() < 0.2:
            b = a + rng.choice([0, 1, -1]) * power(rng.randrange(-2000, 0))
        c.add(big(a), big(b), out)
        assert out.value() == a + b
        c.subtract(big(a), big(b), out)
        assert out.value() == a - b


# ---- rounding ----


@formats
def test_round(c, form):
    rng = random.Random(4)
    for _ in range(500 if form.precision > 60 else 1500):
        bits = rng.choice([form.precision - 1, form.precision, form.precision + 1, 200, 2000])
        value = some_integer(rng, bits)
        top = rng.choice([form.least, form.least + form.precision, form.overflow, 0])
        value *= power(top + rng.randrange(-3, 3) - bits)
        assert bits // 32 < LIMBS
        same(call(c.round_big, form, big(value)), form.nearest(value), value)
        same(call(c.round_big, form, big(-value)), form.nearest(-value), -value)
    same(call(c.round_big, form, big(0)), (0, 0))


def nudged(rng, value):
    """The value and perhaps the smallest of steps to either side."""
    if not value:
        return value
    lowest = (value.numerator & -value.numerator).bit_length() - value.denominator.bit_length()
    return value + rng.choice([-1, 0, 1]) * power(lowest - rng.randrange(99))


def near_results(rng, form):
    """Values of the format, the ties between them, and what is next to a tie by very little."""
    size = rng.choice(
        [form.least - 2, form.least, form.least + form.precision, form.overflow - 1, 0, -3]
    )
    size += rng.randrange(-2, 3)
    exponent = form.exponent(size)
    kept = some_integer(rng, max(0, size - exponent) + 1)
    value = kept + rng.choice([Fraction(0), Fraction(1, 2)])
    value += rng.choice([-1, 0, 1]) * power(-rng.choice([2, 60, 64, 100, 128, 1000]))
    return max(value, Fraction(0)) * power(exponent)


@formats
def test_quotients(c, form):
    rng = random.Random(5)
    for case in range(3000):
        if case % 2:
            a, b = some_big(rng, 4300), some_big(rng, rng.choice([64, 2150, 4000]))
        else:
            # what the quotient is to be, times a denominator: exact, or off by the smallest bit
            b = Fraction(some_integer(rng, some_size(rng, 2000)))
            a = nudged(rng, near_results(rng, form) * b)
        expected = form.nearest(a / b)
        same(call(c.round_quotient, form, big(a), big(b)), expected, (a, b))


@formats
def test_roots(c, form):
    rng = random.Random(6)
    for case in range(1000 if form.precision > 60 else 3000):
        if case % 2:
            a, b = abs(some_big(rng, 4300)), abs(some_big(rng, rng.choice([64, 2150, 4000])))
        else:
            b = Fraction(some_integer(rng, some_size(rng, 1000)))
            a = nudged(rng, near_results(rng, form) ** 2 * b)
        expected = form.nearest_root(a / b)
        same(call(c.round_root, form, big(a), big(b)), expected, (a, b))
        same(call(c.round_root, form, big(-a), big(-b)), expected)


@pytest.mark.parametrize("bits", [128, 256])
def test_integer_roots(c, bits):
    """Every root, and next to squares, where estimates are one off."""
    rng = random.Random(9)
    function = getattr(c, f"root_of_{bits}")
    memory = np.zeros(2, np.uint64)
    half = bits // 2
    for case in range(20000):
        # at least 2^125 (2^253) is what the function asks for
        root = some_integer(rng, half) if case % 8 else math.isqrt(rng.randrange(8, 64) << bits - 6)
        square = root**2 + rng.choice([-2, -1, 0, 1, root, 2 * root, 2 * root + 1])
        value = square if case % 4 else rng.randrange(2 ** (bits - 3), 2**bits)
        value = min(max(value, 2 ** (bits - 3)), 2**bits - 1)
        limbs = np.array([value >> (32 * i) & 0xFFFFFFFF for i in range(bits // 32)], np.uint32)
        inexact = function(limbs.ctypes.data, memory.ctypes.data)
        actual = int(memory[0]) + (int(memory[1]) << 64) * (bits == 256)
        assert actual == math.isqrt(value), hex(value)
        assert bool(inexact) == (actual**2 != value), hex(value)


@formats
def test_roots_near_the_largest_quotient(c, form):
    """Quotients of all ones, and squares of roots of all ones, where estimates are one too large"""
    for bits in (11, 24, 53, 54, 63, 64, 65, 113, 114, 127, 128, 129):
        for offset in (-2, -1, 0, 1, 2):
            for exponent in (-260, -257, -129, -128, -3, -2, 0, 1):
                for value in (2**bits + offset, (2**bits - 1) ** 2 + offset, 4**bits + offset):
                    a = value * power(exponent)
                    same(call(c.round_root, form, big(a), big(1)), form.nearest_root(a))
                    same(call(c.round_quotient, form, big(a), big(1)), form.nearest(a))


@formats
def test_division_by_zero(c, form):
    one, zero = big(1), big(0)
    same(call(c.round_quotient, form, one, zero), (math.inf, DIVIDE))
    same(call(c.round_quotient, form, big(-1), zero), (-math.inf, DIVIDE))
    same(call(c.round_quotient, form, zero, zero), (math.nan, INVALID))
    same(call(c.round_quotient, form, zero, big(-3)), (0, 0))
    same(call(c.round_root, form, one, zero), (math.inf, DIVIDE))
    same(call(c.round_root, form, zero, zero), (math.nan, INVALID))
    same(call(c.round_root, form, zero, big(3)), (0, 0))
    same(call(c.round_root, form, big(-1), zero), (math.nan, INVALID))
    same(call(c.round_root, form, big(-1), big(3)), (math.nan, INVALID))
    same(call(c.round_root, form, big(1), big(-3)), (math.nan, INVALID))


def test_digits_of_the_quotient_that_are_estimated_too_large(c):
    """Knuth's step D6, rare among random numbers: the product is taken off once too often."""
    form = FORMATS[2]
    top = 2**31
    for low in (0, 1, 2**32 - 1):
        divisor = top << 64 | low << 32 | 2**32 - 1
        for digit in (2**32 - 1, 2**32 - 2, 2**31, 2**31 + 1):
            for less in (0, 1, 2, 2**32):
                value = divisor * (digit << 32 | 2**32 - 1) - less
                expected = form.nearest(Fraction(value, divisor))
                same(call(c.round_quotient, form, big(value), big(divisor)), expected)


# ---- variances ----


def variance(values, ddof):
    """The exact numerator and denominator."""
    n = len(values)
    s1, s2 = sum(values), sum(v * v for v in values)
    return n * s2 - s1 * s1, n * max(n - Fraction(ddof), 0)


def expected_quotient(form, numerator, denominator, root):
    if denominator == 0:
        return (math.inf, DIVIDE) if numerator else (math.nan, INVALID)
    return (form.nearest_root if root else form.nearest)(numerator / denominator)


def some_doubles(rng, n):
    """As fractions: alike, or of any exponents, or with a large mean."""
    kind = rng.randrange(5)
    if kind == 0:
        values = [rng.gauss(0, 1) for _ in range(n)]
    elif kind == 1:
        values = [rng.gauss(1e9, 1e-3) for _ in range(n)]
    elif kind == 2:
        values = [math.ldexp(rng.uniform(-1, 1), rng.randrange(-1080, 1024)) for _ in range(n)]
    elif kind == 3:
        values = [math.ldexp(rng.uniform(-1, 1), rng.randrange(-1074, -1040)) for _ in range(n)]
    else:
        values = [rng.choice([0.1, 1e300, 5e-324, 7.0])] * n
    return [Fraction(v) for v in values]


@formats
@pytest.mark.parametrize("root", [0, 1])
def test_variance(c, form, root):
    rng = random.Random(7)
    for _ in range(700):
        values = some_doubles(rng, rng.choice([0, 1, 2, 3, 10]))
        ddof = rng.choice([0, 1, 1.5, 0.1, -0.25, 2, 3, 11, 1e300, -5e-324, 1e-300, -(2.0**60)])
        n = len(values)
        s1, s2 = sum(values), sum(v * v for v in values)
        numerator, denominator = variance(values, ddof)
        expected = expected_quotient(form, numerator, denominator, root)
        actual = call(c.round_variance, form, big(s1), None, big(s2), n, ddof, root)
        same(actual, expected, (values, ddof))
        imaginary = some_doubles(rng, n)
        other = sum(imaginary)
        numerator += variance(imaginary, ddof)[0]
        expected = expected_quotient(form, numerator, denominator, root)
        s2 += sum(v * v for v in imaginary)
        actual = call(c.round_variance, form, big(s1), big(other), big(s2), n, ddof, root)
        same(actual, expected, (values, imaginary, ddof))


@formats
def test_variance_of_numbers_that_are_equal(c, form):
    for value in (0.1, 1e300, 5e-324, -3.0):
        for n in (2, 3, 10**9, 2**63, 2**64 - 1):
            s1, s2 = n * Fraction(value), n * Fraction(value) ** 2
            for root in (0, 1):
                actual = call(c.round_variance, form, big(s1), None, big(s2), n, 1.0, root)
                same(actual, (0, 0))


@formats
def test_variance_with_a_special_ddof(c, form):
    s1, s2 = big(3), big(5)  # of 1 and 2
    for ddof, expected in (
        (math.nan, (math.nan, 0)),
        (math.inf, (math.inf, DIVIDE)),
        (-math.inf, (0, 0)),
    ):
        same(call(c.round_variance, form, s1, None, s2, 2, ddof, 0), expected)
        same(call(c.round_variance_about, form, s1, None, s2, 2, 1.0, 0.0, ddof, 0), expected)


@formats
@pytest.mark.parametrize("root", [0, 1])
def test_variance_about_a_given_mean(c, form, root):
    rng = random.Random(8)
    for _ in range(700):
        values = some_doubles(rng, rng.choice([0, 1, 2, 3, 10]))
        ddof = rng.choice([0, 1, 1.5, 0.1, 11, -5e-324])
        n = len(values)
        mean = rng.choice([0.0, 1e300, 5e-324, rng.gauss(0, 1), 1e9])
        if values and rng.random() < 0.3:
            mean = float(values[0])
        s1, s2 = sum(values), sum(v * v for v in values)
        numerator = sum((v - Fraction(mean)) ** 2 for v in values)
        denominator = max(n - Fraction(ddof), Fraction(0))
        expected = expected_quotient(form, numerator, denominator, root)
        arguments = (big(s1), None, big(s2), n, mean, 9.0, ddof, root)
        same(call(c.round_variance_about, form, *arguments), expected, (values, mean, ddof))
        imaginary = some_doubles(rng, n)
        other = rng.choice([0.0, 1e-5, 2.0**1000])
        numerator += sum((v - Fraction(other)) ** 2 for v in imaginary)
        s2 += sum(v * v for v in imaginary)
        expected = expected_quotient(form, numerator, denominator, root)
        arguments = (big(s1), big(sum(imaginary)), big(s2), n, mean, other, ddof, root)
        same(call(c.round_variance_about, form, *arguments), expected)


@formats
def test_variance_about_a_mean_that_is_not_finite(c, form):
    for root in (0, 1):
        for mean, imaginary, expected in (
            (math.nan, 0.0, math.nan),
            (math.inf, 0.0, math.inf),
            (-math.inf, 0.0, math.inf),
            (1.0, math.inf, math.inf),
            (math.inf, math.nan, math.nan),
        ):
            arguments = (big(3), big(0), big(5), 2, mean, imaginary, 0.0, root)
            same(call(c.round_variance_about, form, *arguments), (expected, 0))
            arguments = (big(0), big(0), big(0), 0, mean, imaginary, 0.0, root)
            same(call(c.round_variance_about, form, *arguments), (math.nan, INVALID))


def test_sums_of_the_largest_and_the_most(c):
    """The widest numbers that can come: 2^64 doubles at both ends of the range."""
    n = 2**64 - 1
    largest, least = Fraction(1.7976931348623157e308), Fraction(5e-324)
    s1 = (n - 1) * largest + least
    s2 = (n - 1) * largest**2 + least**2
    for root in (0, 1):
        for form in FORMATS:
            expected = expected_quotient(form, n * s2 - s1 * s1, n * Fraction(n - 1), root)
            actual = call(c.round_variance, form, big(s1), None, big(s2), n, 1.0, root)
            same(actual, expected)
            about = n * n * s2 - 2 * n * n * least * s1 + n * n * n * least**2
            expected = expected_quotient(form, about, Fraction(n * n * n), root)
            arguments = (big(s1), None, big(s2), n, float(least), 0.0, 0.0, root)
            same(call(c.round_variance_about, form, *arguments), expected)
