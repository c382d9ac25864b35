"""Result dtypes are NumPy's, and so is what dtype= does to the elements; long doubles too."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_same_bits, bits, complex_sum, exact_sum
from strategies import COMPLEX, FLOATS, INTEGERS, generate

import parsum
from parsum import parallel_sum

LONG = [np.longdouble, np.clongdouble]
NUMERIC = [np.bool_, *INTEGERS, *FLOATS, *COMPLEX, *LONG]


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("method", ["exact", "fast"])
@pytest.mark.parametrize("dtype", [None, *NUMERIC])
@pytest.mark.parametrize("element", NUMERIC)
def test_result_dtype_and_small_integers(element, dtype, method):
    """Every pair of dtypes, on values for which NumPy's sum is exact."""
    for n in (0, 1, 5, 37):
        values = (np.arange(n) % 3).astype(element)
        if np.dtype(element).kind == "c":
            values += np.array(2j, element)
        expected = np.sum(values, dtype=dtype)
        actual = parallel_sum(values, dtype=dtype, method=method)
        assert type(actual) is type(expected)
        assert actual.dtype.char == expected.dtype.char
        assert_same_bits(actual, expected)
        square = np.resize(values, (n, 3))
        expected = np.sum(square, axis=0, dtype=dtype)
        actual = parallel_sum(square, axis=0, dtype=dtype, method=method)
        assert type(actual) is np.ndarray
        assert actual.dtype.char == expected.dtype.char
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("spelling", ["f4", "float32", np.float32, np.dtype("f4"), "<f4", "=f4"])
def test_spellings_of_dtype(spelling):
    assert_same_bits(parallel_sum([1, 2], dtype=spelling), np.float32(3))


@pytest.mark.parametrize("dtype", COMPLEX)
@given(data=st.data())
def test_complex_to_other_complex_rounds_once(dtype, data):
    other = np.complex128 if dtype is np.complex64 else np.complex64
    family = data.draw(st.sampled_from(["wide", "normal", "specials", "cancelling", "edges"]))
    values = generate(family, data.draw(st.integers(0, 300)), dtype, data.draw(st.integers(0, 99)))
    with np.errstate(all="ignore"):
        assert_same_bits(parallel_sum(values, dtype=other), complex_sum(values, other))


@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_to_real_discards_and_warns(dtype):
    values = generate("normal", 100, dtype)
    for real in FLOATS:
        with pytest.warns(np.exceptions.ComplexWarning):
            actual = parallel_sum(values, dtype=real)
        assert_same_bits(actual, exact_sum(values.real, real))
    # what is discarded raises nothing
    with pytest.warns(np.exceptions.ComplexWarning):
        assert parallel_sum([complex(1, np.inf), complex(2, -np.inf)], dtype=float) == 3


@pytest.mark.parametrize("element", [*FLOATS, np.int64])
@pytest.mark.parametrize("dtype", COMPLEX)
def test_real_to_complex(element, dtype):
    values = (np.arange(100) - 20).astype(element)
    assert_same_bits(parallel_sum(values, dtype=dtype), np.sum(values, dtype=dtype))
    assert_same_bits(parallel_sum(-np.zeros(3), dtype=complex).real, np.float64(-0.0))


def test_complex_parts_do_not_mix():
    values = np.array([complex(np.inf, 1), complex(1, np.nan), complex(-1, 2)])
    actual = parallel_sum(values)
    assert actual.real == np.inf
    assert np.isnan(actual.imag)
    values = np.array([complex(1e308, -0.0), complex(1e308, -0.0), complex(-1e308, -0.0)])
    assert_same_bits(parallel_sum(values), np.complex128(complex(1e308, -0.0)))


# ---- long doubles: compensated, so nearly exact, and always the same -------------------------


def _longdouble(family, n, seed=0):
    """A family widened, with bits below double's last where the format has them."""
    values = generate(family, n, np.float64, seed).astype(np.longdouble)
    return values + values * np.longdouble(2) ** -60


def _fraction(value):
    return Fraction(*value.as_integer_ratio())


@pytest.mark.parametrize("family", ["normal", "uniform", "cancelling", "many zeros", "edges"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 8, 9, 64, 1000, 4097])
def test_longdouble_error_bound(n, family):
    """Within a last bit, and a second-order term, of the exact sum (Ogita, Rump, Oishi 2005)."""
    values = _longdouble(family, n)
    exact = sum((_fraction(v) for v in values), Fraction(0))
    size = sum((abs(_fraction(v)) for v in values), Fraction(0))
    eps = _fraction(np.finfo(np.longdouble).eps)
    actual = _fraction(parallel_sum(values))
    assert abs(actual - exact) <= eps * abs(exact) + (n + 8) ** 2 * eps**2 * size


def test_longdouble_compensates():
    """Plain or merely pairwise addition fails all of these."""
    one, tiny = np.longdouble(1), np.finfo(np.longdouble).eps / 8
    for n in (10, 1000, 100_000):
        values = np.full(n, tiny)
        values[0] = one
        assert _fraction(parallel_sum(values)) >= 1 + _fraction(tiny) * (n - 1) * 7 / 8 - (
            _fraction(tiny) * 8
        )
    values = np.array([1, np.longdouble(2) ** 80, 1, -(np.longdouble(2) ** 80)])
    assert parallel_sum(values) == 2
    assert parallel_sum(np.tile(values, 25_000), workers=3) == 50_000


@pytest.mark.parametrize("dtype", LONG)
@pytest.mark.parametrize("n", [10, 5000, 1_000_001])
def test_longdouble_does_not_depend_on_workers(dtype, n):
    values = _longdouble("wide", n).astype(dtype)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * values[::-1]
    for method in ("exact", "fast"):
        first = bits(parallel_sum(values, workers=1, method=method))
        for workers in range(2, 10):
            assert bits(parallel_sum(values, workers=workers, method=method)) == first


def test_longdouble_specials():
    inf, nan = np.longdouble(np.inf), np.longdouble(np.nan)
    for n in (1, 5, 1000):
        padding = np.ones(n, np.longdouble)
        for special in (inf, -inf, nan):
            values = np.concatenate([padding, [special], padding])
            actual = parallel_sum(values)
            assert np.isnan(actual) if np.isnan(special) else actual == special
        with np.errstate(invalid="ignore"):
            assert np.isnan(parallel_sum(np.concatenate([[inf], padding, [-inf]])))
    minus = np.full(5, -0.0, np.longdouble)
    assert np.signbit(parallel_sum(minus))
    assert not np.signbit(parallel_sum(np.append(minus, np.longdouble(0))))
    assert not np.signbit(parallel_sum(minus[:0]))
    largest = np.finfo(np.longdouble).max
    assert parallel_sum([largest]) == largest
    with np.errstate(over="ignore"):
        assert parallel_sum([largest, largest]) == inf


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2)])
def test_longdouble_axes_and_orders(axis):
    values = _longdouble("normal", 6 * 7 * 8).reshape(6, 7, 8)
    expected = np.sum(values, axis=axis)
    bound = np.finfo(np.longdouble).eps * np.sum(np.abs(values), axis=axis) * 10
    for layout in (values, np.asfortranarray(values), values[:, ::-1][:, ::-1]):
        actual = parallel_sum(layout, axis=axis)
        assert actual.dtype == np.longdouble
        assert np.all(np.abs(actual - expected) <= bound)
    swapped = values.astype(values.dtype.newbyteorder())
    assert np.all(np.abs(parallel_sum(swapped, axis=axis) - expected) <= bound)


@pytest.mark.parametrize("dtype", FLOATS)
def test_longdouble_to_narrower_and_back(dtype):
    values = np.array([1, 2, 3.5], np.longdouble)
    assert_same_bits(parallel_sum(values, dtype=dtype), dtype(6.5))
    narrow = values.astype(dtype)
    assert_same_bits(parallel_sum(narrow, dtype=np.longdouble), np.longdouble(6.5))


@given(
    family=st.sampled_from(["normal", "wide", "cancelling", "finite bits"]),
    n=st.integers(0, 500),
    seed=st.integers(0, 999),
)
def test_double_to_longdouble(family, n, seed):
    """More bits than a double has: at least as near as the compensated sum."""
    values = generate(family, n, np.float64, seed)
    exact = sum((Fraction(float(v)) for v in values), Fraction(0))
    size = sum((abs(Fraction(float(v))) for v in values), Fraction(0))
    eps = _fraction(np.finfo(np.longdouble).eps)
    actual = _fraction(parallel_sum(values, dtype=np.longdouble))
    assert abs(actual - exact) <= eps * abs(exact) + (n + 8) ** 2 * eps**2 * size


def test_bools_of_other_bytes_are_converted():
    """Any byte but 0 is True, also where a bool is turned into another type on its way."""
    raw = np.random.default_rng(5).integers(0, 256, 3000, np.uint8)
    raw[::3] = 0
    true, numbers = raw.view(bool), np.arange(3000)
    ones = (raw != 0).astype(np.int64)
    for dtype in ("i4", "u8", "f", "d", "F", "D"):
        other = (numbers % 100).astype(dtype)
        assert parsum.parallel_dot(true, other) == parsum.parallel_dot(ones.astype(dtype), other)
    for function in (parsum.parallel_var, parsum.parallel_mean, parsum.parallel_norm):
        assert function(true) == function(ones)
        assert np.array_equal(
            function(true.reshape(60, 50), axis=0), function(ones.reshape(60, 50), axis=0)
        )
    assert parsum.parallel_sum(true, dtype="i2") == ones.sum()
    assert parsum.parallel_weighted_mean(numbers, weights=true) == np.average(numbers, weights=ones)
    assert np.array_equal(parsum.parallel_cumsum(true), np.cumsum(ones))
