"""Integer, bool and timedelta sums: exact, wrapped as NumPy wraps, and reported when wrapped."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import SCALE, assert_same_bits, integer_sum, round_integer
from strategies import AROUND, INTEGERS, SHORT, integers

from parsum import parallel_dot, parallel_mean, parallel_sum

METHODS = ["exact", "fast"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [*INTEGERS, np.bool_])
@given(data=st.data())
def test_any_integers(dtype, method, data):
    n = data.draw(st.integers(0, 9) | st.sampled_from(AROUND) | st.integers(0, 20_000))
    values = integers(n, dtype, data.draw(st.integers(0, 2**32 - 1)))
    result = np.sum(values[:0]).dtype
    expected, wrapped = integer_sum(values, result)
    with np.errstate(over="ignore"):
        assert_same_bits(parallel_sum(values, method=method), expected)
        assert_same_bits(parallel_sum(values, method=method), np.sum(values))
        for workers in (1, 2, 3, 9):
            assert_same_bits(parallel_sum(values, workers=workers), expected)
    if wrapped:
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            parallel_sum(values, method=method)
    else:
        with np.errstate(over="raise"):
            assert_same_bits(parallel_sum(values, method=method), expected)


@pytest.mark.parametrize("n", [*SHORT, *AROUND, 100_003])
@pytest.mark.parametrize("dtype", [*INTEGERS, np.bool_])
def test_extremes(dtype, n):
    """All the largest and all the least, on which a narrow accumulator would overflow."""
    ends = [False, True] if dtype is np.bool_ else [np.iinfo(dtype).min, np.iinfo(dtype).max]
    for end in ends:
        values = np.full(n, end, dtype)
        with np.errstate(over="ignore"):
            expected = integer_sum([], np.sum(values[:0]).dtype, initial=int(end) * n)[0]
            assert_same_bits(parallel_sum(values), expected, f"{end}")


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32])
def test_many_extremes(dtype):
    """Enough of them to overflow 32-bit and, in blocks, any too rare widening."""
    for end in (np.iinfo(dtype).min, np.iinfo(dtype).max):
        values = np.full(2**20 + 17, end, dtype)
        for workers in (1, 2):
            assert int(parallel_sum(values, workers=workers)) == int(end) * len(values)


@pytest.mark.parametrize("n", [1, 7, 8, 63, 64, 65, 255, 256, 1000, 4097, 100_000])
def test_bools_of_other_bytes(n):
    """Any byte but 0 is one True: NumPy's views can hold such bools."""
    raw = integers(n, np.uint8, seed=n)
    raw[::3] = 0
    values = raw.view(np.bool_)
    assert parallel_sum(values) == np.count_nonzero(raw)
    assert parallel_sum(values, method="fast") == np.count_nonzero(raw)
    assert parallel_sum(values[::-3]) == np.count_nonzero(raw[::-3])
    assert parallel_sum(np.full(n, 255, np.uint8).view(np.bool_)) == n
    assert bool(parallel_sum(values, dtype=bool)) == bool(raw.any())
    assert parallel_sum(np.ones(n), where=values) == np.count_nonzero(raw)
    with np.errstate(over="ignore"):
        assert_same_bits(parallel_sum(values, dtype=np.int8), integer_sum(raw != 0, np.int8)[0])


def test_bools_of_other_bytes_along_axes():
    raw = integers(64 * 48, np.uint8, seed=5).reshape(64, 48)
    raw[::3] = 0
    values = raw.view(np.bool_)
    for axis in (0, 1, None):
        assert_same_bits(parallel_sum(values, axis=axis), np.sum(raw != 0, axis=axis))


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (np.array([2**63 - 1, 1], np.int64), None, -(2**63)),
        (np.array([-(2**63), -1], np.int64), None, 2**63 - 1),
        (np.array([2**64 - 1, 1], np.uint64), None, 0),
        (np.array([100, 100], np.int8), np.int8, -56),
        (np.array([200, 100], np.uint8), np.uint8, 44),
        (np.array([2**31 - 1, 1], np.int32), np.int32, -(2**31)),
        (np.array([2**15, 2**15], np.uint16), np.uint16, 0),
        (np.full(1000, 2**63 - 1, np.int64), None, -1000),
    ],
)
def test_overflow_wraps_and_is_reported(values, dtype, expected):
    with pytest.warns(RuntimeWarning, match="overflow"):
        actual = parallel_sum(values, dtype=dtype)
    assert int(actual) == expected
    assert actual.dtype == (dtype or np.sum(values[:0]).dtype)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        parallel_sum(values, dtype=dtype)
    with np.errstate(over="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert int(parallel_sum(values, dtype=dtype)) == expected


def test_overflow_that_comes_back_is_none():
    """The sum is what must fit, not the way to it."""
    values = np.array([2**63 - 1, 2**63 - 1, -(2**63), -(2**63), 7], np.int64)
    with np.errstate(over="raise"):
        assert parallel_sum(values) == 5
        assert parallel_sum(np.tile(values, 50_000), workers=4) == 250_000
        assert parallel_sum(np.array([127, 127, -127], np.int8), dtype=np.int8) == 127


def test_overflow_in_one_column():
    values = np.ones((3, 5), np.int64)
    values[:, 2] = 2**62
    with pytest.warns(RuntimeWarning, match="overflow"):
        actual = parallel_sum(values, axis=0)
    assert actual.tolist() == [3, 3, 3 * 2**62 - 2**64, 3, 3]
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        parallel_sum(values, axis=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("element", [*INTEGERS, np.bool_])
@given(data=st.data())
def test_to_floats_rounds_the_sum_once(element, dtype, data):
    n = data.draw(st.integers(0, 9) | st.sampled_from(AROUND))
    values = integers(n, element, data.draw(st.integers(0, 2**32 - 1)))
    expected = round_integer(sum(values.tolist()) << SCALE, dtype)
    with np.errstate(over="ignore"):
        assert_same_bits(parallel_sum(values, dtype=dtype), expected)


def test_to_floats_does_not_round_elements():
    values = np.full(3, 2**53 + 1, np.int64)
    assert int(parallel_sum(values, dtype=np.float64)) == 3 * 2**53 + 4
    values = np.full(3, 2**24 + 1, np.int32)
    assert int(parallel_sum(values, dtype=np.float32)) == 3 * 2**24 + 4
    # by way of a double the 1 is lost, and with it the way off the tie
    values = np.array([2**60, 2**36, 1])
    assert int(parallel_sum(values, dtype=np.float32)) == 2**60 + 2**37


@pytest.mark.parametrize("result", INTEGERS)
@pytest.mark.parametrize("element", [*INTEGERS, np.bool_])
def test_to_other_integers(element, result):
    for n in (0, 1, 5, 64, 1000):
        values = integers(n, element, seed=n)
        with np.errstate(over="ignore"):
            actual = parallel_sum(values, dtype=result)
            assert_same_bits(actual, integer_sum(values, result)[0])
            assert_same_bits(actual, np.sum(values, dtype=result))


@pytest.mark.parametrize("element", [np.float16, np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("result", [np.int8, np.int32, np.int64, np.uint8, np.uint64])
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_floats_to_integers_truncate_each_element(element, result):
    rng = np.random.default_rng(1)
    for n in (0, 1, 3, 8, 100, 5000):
        low = -9 if np.dtype(result).kind == "i" else 0
        values = rng.uniform(low, 9, n).astype(element)
        with np.errstate(over="ignore"):
            actual = parallel_sum(values, dtype=result)
            expected = integer_sum(np.trunc(values.real).astype(np.int64), result)[0]
            assert_same_bits(actual, expected, f"{n}")
            assert_same_bits(actual, np.sum(values, dtype=result), f"{n}")


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0],
        [0, 0.0, -0.0],
        [0, 3],
        [np.nan],
        [0, 0, np.inf],
        [5e-324],
        [1, -1],
        [0j],
        [0, 1j],
        [True, False],
        [256],
        np.zeros(100_000),
        np.eye(1, 100_000, 77_777)[0],
    ],
)
def test_to_bool_is_logical_or(values):
    values = np.asarray(values)
    actual = parallel_sum(values, dtype=bool)
    assert_same_bits(actual, np.any(values != 0))
    assert_same_bits(actual, np.sum(values, dtype=bool))


@pytest.mark.parametrize("initial", [0, 7, -3, 2**62, True])
def test_initial(initial):
    values = np.arange(1000)
    assert_same_bits(parallel_sum(values, initial=initial), np.sum(values, initial=initial))
    assert_same_bits(parallel_sum([], dtype=int, initial=initial), np.int64(initial))


def test_initial_can_overflow():
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert parallel_sum(np.array([1]), initial=2**63 - 1) == -(2**63)


def _timedeltas(n, seed=0):
    values = np.random.default_rng(seed).integers(-(2**40), 2**40, n)
    return values.astype("m8[ns]")


@pytest.mark.parametrize("n", [0, 1, 7, 64, 65, 1000, 4097, 300_000])
def test_timedeltas(n):
    values = _timedeltas(n)
    for method in METHODS:
        actual = parallel_sum(values, method=method)
        assert type(actual) is np.timedelta64
        assert_same_bits(actual, np.sum(values))


@pytest.mark.filterwarnings("ignore:The 'generic' unit:DeprecationWarning")  # NumPy 2.5
@pytest.mark.parametrize("unit", ["m8", "m8[s]", "m8[25us]", "m8[Y]", ">m8[ms]"])
def test_timedelta_units(unit):
    values = np.arange(7).astype(unit)
    assert_same_bits(parallel_sum(values), np.sum(values))
    assert parallel_sum(values).dtype == np.sum(values).dtype
    assert parallel_sum(values.reshape(7, 1), axis=0).dtype == np.sum(values.reshape(7, 1), 0).dtype


@pytest.mark.parametrize("n", [1, 2, 9, 64, 1000, 5000])
def test_nat_propagates(n):
    values = _timedeltas(n)
    for place in {0, n // 3, n - 1}:
        changed = values.copy()
        changed[place] = "NaT"
        assert np.isnat(parallel_sum(changed))
        assert np.isnat(parallel_sum(changed, method="fast"))
        # two NaT are not zero, though their integers add to it
        changed[0] = changed[-1] = "NaT"
        assert np.isnat(parallel_sum(changed))
        where = ~np.isnat(changed)
        assert_same_bits(parallel_sum(changed, where=where), np.sum(changed[where]))


def test_nat_stays_in_its_column():
    values = _timedeltas(300).reshape(100, 3)
    values[42, 1] = "NaT"
    for axis in (0, 1):
        assert_same_bits(parallel_sum(values, axis=axis), np.sum(values, axis=axis))
    swapped = values.astype(">m8[ns]")
    assert_same_bits(parallel_sum(swapped, axis=0), np.sum(values, axis=0))


def test_timedelta_initial_and_out():
    values = np.array([1, 2, 3], "m8[s]")
    assert parallel_sum(values, initial=np.timedelta64(1, "m")) == np.timedelta64(66, "s")
    assert parallel_sum(values, initial=5) == np.timedelta64(11, "s")
    assert np.isnat(parallel_sum(values, initial=np.timedelta64("NaT", "s")))
    out = np.zeros((), "m8[s]")
    assert parallel_sum(values, out=out) is out
    assert out == np.timedelta64(6, "s")


def test_timedelta_dtypes():
    values = np.array([1, 2, 3], "m8[s]")
    for dtype in ("m8", np.timedelta64, int, float):
        assert_same_bits(parallel_sum(values, dtype=dtype), np.sum(values, dtype=dtype))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.uint64])
def test_products_of_views_that_begin_together(dtype):
    """The same first element, and other strides: two arrays all the same."""
    values = np.arange(1, 41).astype(dtype)
    for n in (1, 2, 20):
        a, b = values[:n], values[::2][:n]
        with np.errstate(over="ignore"):
            assert parallel_dot(a, b) == np.dot(a, b)


@pytest.mark.parametrize("dtype", [np.int8, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("shape", [(2, 700), (3, 5), (8, 4100), (500, 9)])
def test_short_columns_and_rows(dtype, shape):
    """Sums and means of numbers whose sums fit, and of some that do not."""
    rng = np.random.default_rng(shape[0])
    info = np.iinfo(dtype)
    for most in (info.max // 1000, info.max):
        array = rng.integers(-most if info.min else 0, most, shape, dtype, endpoint=True)
        for view, axis in ((array, 0), (np.ascontiguousarray(array.T), 1)):
            with np.errstate(over="ignore"):
                sums = parallel_sum(view, axis=axis)
            means = parallel_mean(view, axis=axis)
            whole = array.astype(object).sum(axis=0)
            wide = np.dtype(np.uint64 if info.min == 0 else np.int64)
            assert sums.dtype == wide
            assert sums.tolist() == [
                int(np.array(int(v) % 2**64, np.uint64).astype(wide)) for v in whole
            ]
            assert means.tolist() == [  # Fraction divides with one rounding
                float(Fraction(int(v), shape[0])) for v in whole
            ]
            fits = all(np.iinfo(wide).min <= int(v) <= np.iinfo(wide).max for v in whole)
            with np.errstate(over="raise"):
                if fits:
                    parallel_sum(view, axis=axis)
                else:
                    with pytest.raises(FloatingPointError):
                        parallel_sum(view, axis=axis)
