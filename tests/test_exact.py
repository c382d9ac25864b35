"""Floating and complex sums are the exact sum rounded once, in every order and for any workers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import (
    FORMATS,
    SCALE,
    assert_same_bits,
    bits,
    complex_sum,
    exact_sum,
    expected_along,
    expected_sum,
    fraction_sum,
    round_integer,
)
from strategies import (
    AROUND,
    COMPLEX,
    FAMILIES,
    FINITE,
    FLOATS,
    LONG,
    SHORT,
    any_floats,
    finite_floats,
    generate,
    rounding_traps,
)

import parsum
from parsum import Accumulator, parallel_sum


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_any_floats(dtype, data):
    values = data.draw(any_floats(dtype))
    assert_same_bits(parallel_sum(values), exact_sum(values))


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_second_oracle(dtype, data):
    values = data.draw(finite_floats(dtype, max_size=200))
    actual = parallel_sum(values)
    expected = fraction_sum(values, dtype)
    assert actual.dtype == dtype
    assert actual == expected
    if expected:
        assert np.signbit(actual) == np.signbit(expected)


@given(values=finite_floats(np.float64))
def test_fsum(values):
    try:
        expected = math.fsum(values.tolist())
    except OverflowError:
        assume(False)
    assert parallel_sum(values) == expected


@pytest.mark.parametrize("dtype", COMPLEX)
@given(data=st.data())
def test_complex(dtype, data):
    part = np.dtype(f"f{np.dtype(dtype).itemsize // 2}").type
    real, imag = data.draw(any_floats(part)), data.draw(any_floats(part))
    pair = np.zeros((max(len(real), len(imag)), 2), part)
    pair[: len(real), 0] = real
    pair[: len(imag), 1] = imag
    values = pair.view(dtype)[:, 0]
    assert_same_bits(parallel_sum(values), complex_sum(values))


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_rounding_traps(dtype, data):
    values = data.draw(rounding_traps(dtype))
    assert_same_bits(parallel_sum(values), exact_sum(values))
    assert_same_bits(parallel_sum(values), fraction_sum(values, dtype))


_PAIRS = [(a, b) for a in FLOATS for b in FLOATS if np.dtype(a).itemsize >= np.dtype(b).itemsize]


@pytest.mark.parametrize(("element", "result"), _PAIRS)
@given(data=st.data())
def test_rounding_traps_in_short_columns_and_rows(element, result, data):
    """Sums of a few elements go other ways than long ones: each result a trap of its own."""
    traps = st.lists(rounding_traps(result, element, padding=3), min_size=1, max_size=20)
    columns = data.draw(traps)
    rows = max(map(len, columns)) + data.draw(st.integers(0, 40))
    grid = np.zeros((rows, len(columns)), element)
    for k, column in enumerate(columns):
        grid[: len(column), k] = column
    expected = expected_along(grid, 0, dtype=result)
    assert_same_bits(parallel_sum(grid, axis=0, dtype=result), expected)
    assert_same_bits(parallel_sum(np.ascontiguousarray(grid.T), axis=1, dtype=result), expected)
    wide = np.tile(grid, (1, 9))
    assert_same_bits(parallel_sum(wide, axis=0, dtype=result), np.tile(expected, 9))
    tall = np.tile(np.ascontiguousarray(grid.T), (30, 1))
    assert_same_bits(parallel_sum(tall, axis=1, dtype=result), np.tile(expected, 30))


@pytest.mark.parametrize(
    ("element", "result"),
    [
        (np.float64, np.float32),
        (np.float64, np.float16),
        (np.float32, np.float16),
        (np.float32, np.float64),
        (np.float16, np.float32),
        (np.float16, np.float64),
    ],
)
@given(data=st.data())
def test_another_float_dtype_rounds_once(element, result, data):
    """The sum of the inputs as given: neither they nor the double of their sum are rounded."""
    traps = finite_floats(element)
    if np.dtype(result).itemsize < np.dtype(element).itemsize:
        traps = rounding_traps(result, element)
    values = data.draw(traps | any_floats(element))
    assert_same_bits(parallel_sum(values, dtype=result), exact_sum(values, result))


@pytest.mark.parametrize(("element", "result"), [("f8", "f4"), ("f8", "f2"), ("f4", "f2")])
def test_ties_among_subnormals(element, result):
    """Half of the least subnormal, and odd multiples of it, on the tie and to both sides."""
    _, least, _ = FORMATS[np.dtype(result)]
    tiny = np.finfo(element).smallest_subnormal
    half = np.ldexp(1.0, least - 1)
    for k in (1, 3, 5, 7, 101, 1021, 1023):
        for sign in (1, -1):
            for off in (0, 1, -1):
                values = np.array([sign * k * half, sign * off * float(tiny)], element)
                for n in (2, 3000):
                    long = np.zeros(n, element)
                    long[[0, -1]] = values
                    actual = parallel_sum(long, dtype=result)
                    multiple = (k + off) // 2 if off else (k - 1) // 2 + ((k - 1) // 2) % 2
                    expected = np.dtype(result).type(sign * float(multiple) * 2 * half)
                    assert_same_bits(actual, expected, f"{k} {sign} {off}")
                    grid = np.ascontiguousarray(np.stack([long, long]).T)
                    assert_same_bits(parallel_sum(grid, axis=0, dtype=result)[1], expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([1, 2**-24, 2**-80]), np.float32(1 + 2**-23)),
        (np.float32([1, 2**-24, -(2.0**-80)]), np.float32(1)),
        (np.float32([1 + 2**-23, 2**-24, -(2.0**-149)]), np.float32(1 + 2**-23)),
        (np.float32([1 + 2**-23, 2**-24]), np.float32(1 + 2**-22)),
        (np.float16([2048, 1, 2**-24]), np.float16(2050)),
        (np.float16([2048, 1]), np.float16(2048)),
        (np.float16([2050, 1, -(2.0**-24)]), np.float16(2050)),
        (np.float16([65504, 15.99]), np.float16(65504)),
        (np.float16([65504, 16]), np.float16(np.inf)),
        (np.float16([65504, 16, -(2.0**-24)]), np.float16(65504)),
        (np.float64([1, 2**-53, 2.0**-1074]), np.float64(1 + 2**-52)),
        (np.float64([1, 2**-53, -(2.0**-1074)]), np.float64(1)),
        (np.float64([1e308, 1e308, -1e308]), np.float64(1e308)),
        (np.float64([1e308, 1e308, -1e308, -1e308, 5e-324]), np.float64(5e-324)),
        (np.float64([np.finfo(float).max, 2.0**970]), np.float64(np.inf)),
        (np.float64([np.finfo(float).max, 2.0**970, -5e-324]), np.finfo(float).max),
        (-np.float64([np.finfo(float).max, 2.0**970]), np.float64(-np.inf)),
        (np.float32([np.finfo("f4").max, 2.0**103]), np.float32(np.inf)),
        (np.float32([np.finfo("f4").max, 2.0**103, -(2.0**-149)]), np.finfo("f4").max),
        (np.float64([0.0, -0.0]), np.float64(0.0)),
        (np.float64([-0.0]), np.float64(-0.0)),
        (np.float64([1, -1, -0.0]), np.float64(0.0)),
        (np.float64([np.inf, 1e308, 1e308]), np.float64(np.inf)),
        (np.float64([-np.inf, 1e308, 1e308]), np.float64(-np.inf)),
        (np.float64([np.inf, -np.inf]), np.float64(np.nan)),
        (np.float64([np.nan, np.inf]), np.float64(np.nan)),
    ],
)
def test_known_values(values, expected):
    assert_same_bits(parallel_sum(values), expected)
    # the same in a long array, with zeros that change nothing
    if values.any():
        long = np.zeros(5000, values.dtype)
        long[:: 5000 // len(values)][: len(values)] = values
        assert_same_bits(parallel_sum(long), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("n", [*SHORT, 100, 5000, 300_000])
def test_zeros(dtype, zero, n):
    """Only a sum of -0.0 alone is -0.0; one of nothing is 0.0."""
    values = np.full(n, zero, dtype)
    assert_same_bits(parallel_sum(values), dtype(zero if n else 0.0))
    if n > 1:
        values[n // 2] = -zero
        assert_same_bits(parallel_sum(values), dtype(0.0))


@pytest.mark.parametrize("n", SHORT + AROUND)
@pytest.mark.parametrize("dtype", FLOATS)
def test_lengths(dtype, n):
    for family in ("normal", "wide", "specials", "cancelling"):
        for part in (0, 1, 3):  # starts that are aligned to elements only
            values = generate(family, n + part, dtype)[part:]
            assert_same_bits(parallel_sum(values), exact_sum(values), f"{family} {part}")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", FLOATS + COMPLEX)
def test_long_arrays(dtype, family):
    for n in LONG[::2] if np.dtype(dtype).kind == "f" else LONG[1::6]:
        values = generate(family, n, dtype)
        expected = expected_sum(values)
        for workers in (1, 3):
            assert_same_bits(parallel_sum(values, workers=workers), expected, f"{n} {workers}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("family", FINITE)
def test_every_place_of_an_outlier(dtype, family):
    """One odd element, wherever it stands in a lane, a block or a tail."""
    n = 1100
    values = generate("normal", n, dtype)
    odd = generate(family, 16, dtype)
    for place in [*range(70), *range(500, 530), *range(1010, 1040), *range(1080, n)]:
        changed = values.copy()
        changed[place] = odd[place % 16]
        assert_same_bits(parallel_sum(changed), exact_sum(changed), f"{place}")


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_place_of_a_special(dtype, special):
    values = generate("normal", 1100, dtype)
    for place in range(1100):
        changed = values.copy()
        changed[place] = special
        actual = parallel_sum(changed)
        assert np.isnan(actual) if np.isnan(special) else actual == special, place


@pytest.mark.parametrize("before", [1, 64, 1000, 1024, 2048, 2049, 4096, 8192, 100_000])
@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_after_zeros(dtype, before):
    for zero in (0.0, -0.0):
        for n in (1, 100, 3000, 9000):
            values = np.concatenate([np.full(before, zero), generate("normal", n, np.float64)])
            values = values.astype(dtype)
            assert_same_bits(parallel_sum(values), exact_sum(values), f"{n}")
            assert_same_bits(parallel_sum(values[::-1]), exact_sum(values), f"{n}")
            grid = np.stack([values, -values, values[::-1]])
            assert_same_bits(parallel_sum(grid, axis=1), expected_along(grid, 1), f"{n}")
            turned = np.ascontiguousarray(grid.T)
            assert_same_bits(parallel_sum(turned, axis=0), expected_along(grid, 1), f"{n}")


@pytest.mark.parametrize("dtype", FLOATS)
def test_infinities_of_both_signs_far_apart(dtype):
    values = generate("normal", 400_000, dtype)
    values[3], values[-3] = np.inf, -np.inf
    assert np.isnan(parallel_sum(values, workers=4))
    values[-3] = np.inf
    assert parallel_sum(values, workers=4) == np.inf


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n", [2**16, 2**20 + 1, 3 * 2**20 - 5])
def test_accumulators_do_not_overflow(dtype, sign, n):
    """Full mantissas of one sign in one place of the accumulator, many times over."""
    precision, least, over = FORMATS[np.dtype(dtype)]
    values = np.empty(n, dtype)
    for top in (least + precision + 1, 0, min(over - 1, 990)):
        values[:] = sign * np.nextafter(dtype(2.0**top), dtype(0))
        total = sign * n * ((1 << precision) - 1)  # in units of 2**(top - precision)
        expected = round_integer(total << (SCALE + top - precision), dtype)
        assert_same_bits(parallel_sum(values), expected, f"2**{top}")
        # mixed with the least subnormal, no simple block takes them
        values[1::2] = np.finfo(dtype).smallest_subnormal
        assert_same_bits(parallel_sum(values), exact_sum(values), f"2**{top} mixed")


@given(data=st.data(), dtype=st.sampled_from(FLOATS + COMPLEX))
def test_permutations_have_the_same_bits(data, dtype):
    family = data.draw(st.sampled_from(sorted(FAMILIES)))
    n = data.draw(st.integers(2, 3000))
    seed = data.draw(st.integers(0, 2**32 - 1))
    values = generate(family, n, dtype, seed)
    expected = bits(parallel_sum(values))
    for _ in range(5):
        values = np.random.default_rng(seed).permutation(values)
        assert bits(parallel_sum(values)) == expected
    assert bits(parallel_sum(values[np.argsort(values)])) == expected
    assert bits(parallel_sum(values[::-1])) == expected


@pytest.mark.parametrize("family", ["cancelling", "spread", "normal"])
@pytest.mark.parametrize("dtype", FLOATS + COMPLEX)
def test_workers_on_a_large_array(dtype, family):
    """Threads, on an array so large that each has a slice; test_slices.py has every other split."""
    values = generate(family, 20_000_003 // np.dtype(dtype).itemsize, dtype)
    expected = expected_sum(values)
    for workers in [*range(1, 10), None, -1]:
        assert_same_bits(parallel_sum(values, workers=workers), expected, f"workers={workers}")


@pytest.mark.parametrize("lowest", [-1074, -1060, 940])
def test_three_magnitudes_near_the_ends(lowest):
    """Where the range that an accumulator takes would reach beyond that of the exponents."""
    exponents = range(lowest, lowest + 90, 3 if lowest == -1074 else 2)
    triples = np.array(list(itertools.combinations(exponents, 3)))
    triples = triples[triples.max(axis=1) < 1023]
    values = np.ldexp(1.0, triples) * [1.0, -1.0, 1.0]
    expected = np.array([math.fsum(v) for v in values.tolist()])
    assert_same_bits(parallel_sum(values, axis=1), expected)
    assert_same_bits(parallel_sum(np.ascontiguousarray(values.T), axis=0), expected)
    for k in range(0, len(values), 7):
        assert parallel_sum(values[k]) == expected[k], triples[k]
    pairs = np.stack([values, -values], axis=-1).view(complex)[..., 0]
    for k in range(0, len(values), 70):
        assert parallel_sum(pairs[k]) == complex(expected[k], -expected[k]), triples[k]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("rise", [0, 1, 2, 3, 4])
def test_steps_up_and_down(dtype, sign, rise):
    """Blocks at both ends of, and just past, what the ranges chosen for the first block take."""
    _, least, over = FORMATS[np.dtype(dtype)]
    rng = np.random.default_rng(rise)
    largest = float(np.nextafter(dtype(2), dtype(0)))
    for base in (least + 5, least // 2, 0, over // 2, over - 14):
        low = base - rng.choice([10, 19, 20, 21, 22, 27, 28, 29, 30, 31, 32])
        levels = [base, base + rise, low, base, base + rise, max(low, least)]
        parts = []
        for exponent in levels:
            part = np.ldexp(rng.uniform(1, 2, 5000), exponent)
            part[::3] = np.ldexp(largest, exponent)  # the largest that may be
            part[1::3] = np.ldexp(1.0, exponent)  # the least
            parts.append(part)
        values = (sign * np.concatenate(parts)).astype(dtype)
        assert_same_bits(parallel_sum(values), exact_sum(values), f"2**{base}")
        for width in (1, 4, 5, 40):
            grid = values[: len(values) // width * width].reshape(-1, width)
            actual = parallel_sum(grid, axis=0)
            for k in {0, width // 2, width - 1}:
                assert_same_bits(actual[k], exact_sum(grid[:, k]), f"2**{base} {width} {k}")
            rows = np.ascontiguousarray(grid.T)
            assert_same_bits(parallel_sum(rows, axis=1), actual, f"2**{base} {width}")


@pytest.mark.parametrize("dtype", FLOATS + COMPLEX)
@given(data=st.data())
def test_strides(dtype, data):
    values = generate(
        data.draw(st.sampled_from(sorted(FAMILIES))),
        data.draw(st.integers(1, 3000)),
        dtype,
        data.draw(st.integers(0, 2**32 - 1)),
    )
    step = data.draw(st.integers(1, 40) | st.integers(-40, -1))
    start = data.draw(st.integers(0, len(values) - 1))
    part = values[start::step]
    assert_same_bits(parallel_sum(part), expected_sum(part), f"{start}::{step}")


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_initial_is_one_more_element(dtype, data):
    values = data.draw(any_floats(dtype, max_size=600))
    initial = data.draw(any_floats(dtype, min_size=1, max_size=1))[0]
    assert_same_bits(parallel_sum(values, initial=initial), exact_sum(values, dtype, initial))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_there_is_always_room_for_one_more_addition(level, sign):
    """Most elements add all they can to one limb, and to one bin; the rest keep out of windows."""
    n = 24_000
    values = np.full(n, sign * np.nextafter(4.0, 0.0))  # its last bit is the last of a limb
    values[::10] = np.resize([1e-300, 1e-200, 1e-100, 1e-50, 1e-30, 1e-20], n // 10)
    expected = math.fsum(values)
    assert parallel_sum(values) == expected
    assert parallel_sum(values[::-1], workers=3) == expected
    pairs = np.repeat(values[:, None], 2, axis=1)
    assert parallel_sum(pairs, axis=0).tolist() == [expected] * 2
    chunks, merged = Accumulator("sum"), Accumulator("sum")
    for chunk in np.split(values, 24):
        chunks.update(chunk)
        part = Accumulator("sum")
        part.update(chunk)
        merged = part + merged
    assert chunks.result() == merged.result() == expected
    for whole in (merged, chunks):
        doubled = whole.copy()
        for _ in range(12):
            doubled = doubled + doubled
        assert doubled.result() == 4096 * expected


def test_window_sums_have_room_for_one_more_merge(level):
    """The first block fixes the window; what follows is as large as that window takes."""
    values = np.full(64 * 2048, np.nextafter(2.0**32, 0.0))
    values[:2048] = 1.0
    for top in range(1, 33):
        scaled = np.where(values > 1, values * 2.0 ** (top - 32), values)
        part = Accumulator("sum")
        for chunk in np.split(scaled, 64):
            part.update(chunk)
        whole = part
        for _ in range(5):
            whole = whole + whole
        assert whole.result() == 32 * math.fsum(scaled)


# Blocks of 2048 elements: after two of all exponents come those that are binned unlooked-at.
_BINNED = 4 * 2048


def _what_bins_take(rng, dtype):
    """By name, arrays whose elements are, each time, another trial for a bin."""
    info, n = np.finfo(dtype), 140_000
    tiny = info.smallest_subnormal
    every = np.ldexp(rng.standard_normal(n).astype(dtype), rng.integers(info.minexp, 0, n))
    one = np.full(n, -np.nextafter(dtype(2), dtype(0)))  # every bit of the fraction, in one bin
    signs = np.where(rng.integers(0, 2, n), dtype(1), dtype(-1))
    zeros = np.where(rng.random(n) < 0.7, dtype(0), every) * signs
    subnormal = (rng.integers(-(2**20), 2**20, n) * tiny).astype(dtype)
    return {
        "all exponents": every,
        "one exponent": one,
        "zeros of both signs": zeros,
        "subnormals": subnormal,
        "the largest": np.full(n, info.max / (4 * n)) * signs,
        "mixed": np.concatenate([every, one, subnormal])[rng.permutation(3 * n)],
    }


@pytest.mark.parametrize("name", ["all exponents", "one exponent", "zeros of both signs",
                                  "subnormals", "the largest", "mixed"])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bins(dtype, name):
    rng = np.random.default_rng(7)
    values = _what_bins_take(rng, dtype)
    array = np.concatenate([values["all exponents"][:_BINNED], values[name]])
    expected = expected_sum(array)
    for part, whole in ((array, expected), (-array[::-1].copy(), -expected)):
        for workers in (1, 2):
            assert_same_bits(parallel_sum(part, workers=workers), whole)
    # Where the large ones cancel, what is left shows whether the small ones were counted right.
    left = np.concatenate([array, -array[:_BINNED]])
    assert_same_bits(parallel_sum(left, workers=1), expected_sum(values[name]))
    assert_same_bits(parsum.parallel_nansum(array, workers=1), expected)
    magnitudes = parsum.parallel_norm(array, ord=1, workers=1)
    assert_same_bits(magnitudes, expected_sum(np.abs(array)))


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bins_have_no_place_for_what_is_no_number(dtype, special):
    rng = np.random.default_rng(8)
    array = _what_bins_take(rng, dtype)["all exponents"]
    for place in (0, 2047, 2048, 3 * 2048 + 1, 17 * 2048 - 1, 17 * 2048, len(array) - 1):
        values = array.copy()
        values[place] = special
        assert_same_bits(parallel_sum(values, workers=1), dtype(special))
        both = values.copy()
        both[place - 1] = -special
        assert_same_bits(parallel_sum(both, workers=1), dtype(np.nan))
        left = values.copy()
        left[place] = 0 if np.isnan(special) else special
        assert_same_bits(parsum.parallel_nansum(values, workers=1), expected_sum(left))
