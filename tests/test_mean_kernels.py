"""Means, sums of magnitudes and weighted means at the level of the monoid, and the short cuts for
short columns and rows: against exact integers, on every CPU level.
"""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest
from oracle import (
    SCALE,
    assert_same_bits,
    bits,
    exact_sum,
    round_integer,
    scaled_integer,
    sum_of_specials,
)
from parsum._native import lib
from strategies import FAMILIES, FLOATS, INTEGERS, generate, integers
from test_rational import FORMATS, some_integer

from parsum import parallel_mean
from parsum.plan import Plan
from parsum.reduction import DONE, EMPTY, INVALID, Job, View, find, type_of

FORMATS_BY_DTYPE = {form.dtype: form for form in FORMATS}
LENGTHS = [*range(10), 15, 16, 17, 63, 64, 65, 255, 256, 257, 1023, 2047, 2048, 2049, 5000]


def row(operation, element, result, method="exact"):
    found = find(operation, method, type_of(np.dtype(element)), type_of(np.dtype(result)))
    assert found is not None, f"no {operation} of {element} to {result}"
    return found


def state_of(reduction, *parts):
    state = reduction.identity()
    for part in parts:
        reduction.accumulate(state, part)
    return state


def finish(reduction, state, result):
    """Return the result and the flags; a second time gives the same."""
    out, again = np.empty(reduction.values, result), np.empty(reduction.values, result)
    flags = reduction.finish(state, out)
    assert reduction.finish(state, again) == flags
    assert bits(out) == bits(again)
    return (out if reduction.values > 1 else out[0]), flags


def whole(operation, values, result, method="exact"):
    reduction = row(operation, values.dtype, result, method)
    return finish(reduction, state_of(reduction, values), result)


def quotient(total, count, dtype):
    """total * 2^-SCALE / count, rounded once."""
    extra = 200  # bits below the least subnormal's, of which the last says whether there are more
    kept, rest = divmod(abs(total) << extra, count)
    kept = kept << 1 | (rest != 0)
    return round_integer(-kept if total < 0 else kept, dtype, SCALE + extra + 1)


def exact_mean(values, dtype):
    """The correctly rounded mean of real floats, with the rules for specials and signed zeros."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide = values.astype(np.float64).ravel()
    special = sum_of_specials(wide)
    if special is not None:
        return np.dtype(dtype).type(special)
    if np.signbit(wide).all() and not wide.any():
        return np.dtype(dtype).type(-0.0)
    return quotient(scaled_integer(wide), wide.size, dtype)


# ---- means ----


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("element", FLOATS)
def test_mean(element, family):
    for n in LENGTHS[1:]:
        values = generate(family, n, element, n)
        for result in FLOATS:
            actual, _ = whole("mean", values, result)
            assert_same_bits(actual, exact_mean(values, result), f"{n} to {np.dtype(result)}")


def test_mean_on_every_level(level):
    for family, element in itertools.product(FAMILIES, FLOATS):
        for n in (9, 1023, 4100):
            values = generate(family, n, element, n)
            assert_same_bits(whole("mean", values, element)[0], exact_mean(values, element))


@pytest.mark.parametrize("element", FLOATS)
def test_mean_in_long_double(element):
    for n in (1, 2, 3, 7, 10, 300):
        values = generate("normal", n, element, n)
        actual, _ = whole("mean", values, np.longdouble)
        mean = sum(map(Fraction, values.astype(np.float64).tolist())) / n
        ends = [np.nextafter(actual, np.longdouble(s * np.inf)) for s in (-1, 1)]
        error, *others = (abs(Fraction(*v.as_integer_ratio()) - mean) for v in (actual, *ends))
        assert error <= min(others)


@pytest.mark.parametrize("element", FLOATS)
def test_means_made_apart_combine_in_any_order(element):
    rng = random.Random(1)
    reduction = row("mean", element, element)
    for case in range(60):
        names = rng.sample(sorted(FAMILIES), 3)
        parts = [generate(rng.choice(names), rng.randrange(3000), element, k) for k in range(5)]
        values = np.concatenate(parts)
        cuts = sorted(rng.randrange(values.size + 1) for _ in range(6))
        states = [state_of(reduction, *np.array_split(part, 2)) for part in np.split(values, cuts)]
        while len(states) > 1:
            rng.shuffle(states)
            reduction.combine(states[-2], states.pop())
        assert_same_bits(
            finish(reduction, states[0], element)[0], exact_mean(values, element), str(case)
        )


@pytest.mark.parametrize("element", FLOATS)
def test_mean_of_any_stride(element):
    values = generate("spread", 9000, element, 1)
    memory = np.zeros(values.nbytes + 1, np.uint8)
    memory[1:] = values.view(np.uint8)
    unaligned = memory[1:].view(element)
    for view in (values[::-1], values[::3], values[100::-7], unaligned, unaligned[::-2]):
        assert_same_bits(whole("mean", view, element)[0], exact_mean(view, element))


@pytest.mark.parametrize("method", ["exact", "fast"])
@pytest.mark.parametrize("element", [*FLOATS, np.longdouble])
def test_mean_of_specials(element, method):
    for values, expected, flags in (
        ([np.nan, 1], np.nan, 0),
        ([np.nan, np.inf, -np.inf], np.nan, 0),
        ([np.inf, 1, 2], np.inf, 0),
        ([-np.inf] * 3, -np.inf, 0),
        ([-0.0] * 5, -0.0, 0),
        ([-0.0, 0.0], 0.0, 0),
        ([1, -1], 0.0, 0),
    ):
        actual, given = whole("mean", np.array(values, element), element, method)
        assert_same_bits(np.float64(actual), np.float64(expected), f"{values}")
        assert given == flags, values
    mixed = np.array([np.inf, -np.inf], element)
    assert np.isnan(whole("mean", mixed, element, method)[0])
    if method == "exact":  # the floating-point environment tells of it in the fast one
        assert whole("mean", mixed, element, method)[1] == INVALID


def test_mean_of_none():
    for element in (*FLOATS, np.longdouble, *INTEGERS, np.bool_):
        for method in ("exact", "fast"):
            result = element if np.dtype(element).kind == "f" else np.float64
            actual, flags = whole("mean", np.empty(0, element), result, method)
            assert np.isnan(actual)
            assert flags == INVALID | EMPTY
    actual, flags = whole("mean", np.empty(0, "m8[s]"), "m8[s]")
    assert np.isnat(actual)
    assert flags == INVALID | EMPTY


def test_the_sum_may_be_above_the_largest_number():
    for element in FLOATS:
        largest = np.finfo(element).max
        for n in (1, 2, 3, 1000, 5000):
            actual, flags = whole("mean", np.full(n, largest), element)
            assert_same_bits(actual, largest)
            assert flags == 0
    actual, flags = whole("mean", np.array([1e300, 1e300]), np.float32)
    assert actual == np.inf
    assert flags == lib.PARSUM_OVERFLOW


def test_mean_of_a_state_that_was_combined_often():
    """The count is that of all elements; carries are passed on."""
    reduction = row("mean", np.float64, np.float64)
    values = np.array([1e308, 1e-308, 3.0, 1e300])
    state, total = state_of(reduction, values), 1
    for _ in range(40):
        copy = reduction.identity()
        reduction.combine(copy, state)
        reduction.combine(state, copy)
        total *= 2
    actual, flags = finish(reduction, state, np.float64)
    assert_same_bits(actual, exact_mean(values, np.float64))
    assert flags == 0


@pytest.mark.parametrize("element", [*INTEGERS, np.bool_])
def test_mean_of_integers(element):
    for n in LENGTHS[1:]:
        values = integers(n, element, n)
        if n % 3 == 0 and element is not np.bool_:
            values[:] = np.iinfo(element).max if n % 2 else np.iinfo(element).min
        total = sum(int(v) for v in values)
        for result in FLOATS:
            actual, flags = whole("mean", values, result)
            assert_same_bits(actual, quotient(total << SCALE, n, result), f"{n} {result}")
            expected = lib.PARSUM_OVERFLOW if np.isinf(actual) else 0
            assert flags == expected


def test_mean_of_integers_near_ties():
    """The sum has no double next to it, or the quotient is just beside a tie."""
    for values in (
        [2**53, 2**53 + 1],
        [2**62 + 1, 2**62],
        [2**53 + 1] * 3,
        [2**53 + 1, 2**53 + 2, 2**53 + 3],
        [-(2**53), -(2**53) - 1],
        [2**63 - 1] * 7,
        [-(2**63)] * 7,
        [2**54 + 1, 0, 0],
    ):
        for result in FLOATS:
            actual, _ = whole("mean", np.array(values, np.int64), result)
            assert_same_bits(actual, quotient(sum(values) << SCALE, len(values), result))


def test_mean_of_times():
    rng = random.Random(2)
    for n in (1, 2, 3, 10, 1000):
        values = np.array([rng.randrange(-(2**63) + 1, 2**63) for _ in range(n)], np.int64)
        if n == 10:
            values[:] = -(2**63) + 1
        total = sum(values.tolist())
        expected = abs(total) // n * (1 if total >= 0 else -1)
        actual, flags = whole("mean", values.view("m8[ns]"), "m8[ns]")
        assert int(actual.astype(np.int64)) == expected
        assert flags == 0
        values[n // 2] = -(2**63)
        assert np.isnat(whole("mean", values.view("m8[ns]"), "m8[ns]")[0])


def test_fast_mean_on_every_level(level):
    """It is the fast sum's double over the number of elements, rounded to the result's type."""
    for element in FLOATS:
        for n in (1, 2, 31, 1000, 1024):
            values = generate("normal", n, element, n)
            total, _ = whole("sum", values, np.float64, "fast")
            actual, _ = whole("mean", values, element, "fast")
            assert_same_bits(actual, np.dtype(element).type(total / n))


def test_mean_of_long_doubles():
    for n in (1, 2, 3, 1000):
        values = generate("normal", n, np.float64, n).astype(np.longdouble)
        actual, _ = whole("mean", values, np.longdouble)
        mean = sum(map(Fraction, values.astype(np.float64).tolist())) / n
        assert abs(Fraction(*actual.as_integer_ratio()) - mean) <= abs(mean) / 2**62
        for result in FLOATS:
            narrow, _ = whole("mean", values, result)
            assert abs(float(narrow) - float(mean)) <= abs(float(mean)) * np.finfo(result).eps


# ---- short columns and rows: kernels without states ----


def along(values, axis, dtype=None):
    result = np.dtype(dtype or values.dtype)
    return np.array([exact_mean(lane, result) for lane in np.moveaxis(values, axis, -1)], result)


SHAPES = [(1, 9), (2, 33), (3, 64), (5, 7), (6, 40), (7, 3), (8, 1), (10, 70), (24, 9), (25, 20),
          (100, 17), (511, 9), (512, 5), (513, 4)]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_short_columns_and_rows(level, family):
    for k, (rows, columns) in enumerate(SHAPES):
        for element in FLOATS if k % 3 == 0 else [np.float64]:
            values = generate(family, rows * columns, element, k).reshape(rows, columns)
            with np.errstate(all="ignore"):
                down = parallel_mean(values, axis=0, workers=1)
                across = parallel_mean(values.T.copy(), axis=1, workers=1)
            expected = along(values, 0)
            assert_same_bits(down, expected, f"{rows} rows of {columns} {element}")
            assert_same_bits(across, expected, f"{columns} rows of {rows} {element}")


def near_ties(rng, n, lanes):
    """Columns of n numbers whose mean is a tie of a type, or next to one, or a power of two.

    The middle is m or m + 1/2 units of the last place of doubles, so that the sum is n times that,
    or one unit more or less.
    """
    columns = []
    for _ in range(lanes):
        narrow = (2 * rng.randrange(2**23, 2**24) + 1) << 28
        half = (2 * rng.randrange(2**10, 2**11) + 1) << 41
        m = rng.choice([2**52, 2**53 - 1, 2**52 + rng.randrange(2**52), 2**52 + 1, narrow, half])
        scale = rng.choice([0, -1074, 900, -52])
        halves = n * (2 * m + rng.choice([1, 1, 0, -1]))
        halves = Fraction(halves, 2) + rng.choice([-1, 0, 0, 1])
        parts = []
        for k in range(n - 1, 0, -1):
            part = Fraction(float(halves / (k + 1)) * (1 + rng.uniform(-1, 1) * 2.0**-30))
            part = Fraction(int(part))
            parts.append(part)
            halves -= part
        # The rest may need more bits than a double has; the mean is then a little beside.
        parts.append(Fraction(float(halves)))
        rng.shuffle(parts)
        with np.errstate(over="ignore"):
            columns.append([np.ldexp(float(p), scale) for p in parts])
    return np.array(columns).T.copy()


def test_means_near_ties(level):
    rng = random.Random(3)
    for n in (2, 3, 4, 5, 6, 7, 10, 12, 30, 98, 100, 206):
        values = near_ties(rng, n, 100)
        for result in FLOATS:
            with np.errstate(all="ignore"):
                down = parallel_mean(values, axis=0, dtype=result, workers=1)
                across = parallel_mean(values.T.copy(), axis=1, dtype=result, workers=1)
            expected = along(values, 0, result)
            assert_same_bits(down, expected, f"{n} rows to {np.dtype(result)}")
            assert_same_bits(across, expected, f"rows of {n} to {np.dtype(result)}")


def test_few_bits_have_many_ties(level):
    """Sums of numbers with few bits, where every other mean is a tie of the narrower types."""
    rng = np.random.default_rng(4)
    for element, most in ((np.float16, 2**11), (np.float32, 2**24), (np.float64, 2**53)):
        for n in (2, 3, 6, 8, 10, 40):
            values = rng.integers(most // 2, most, (n, 100)).astype(element)
            values[:, ::2] *= element(2.0**-9)
            for flip in (values, -values):
                assert_same_bits(parallel_mean(flip, axis=0, workers=1), along(flip, 0))


def test_mean_to_another_type_along_an_axis(level):
    for element, result in itertools.product(FLOATS, [*FLOATS, np.longdouble]):
        values = generate("normal", 60 * 7, element, 5).reshape(60, 7)
        actual = parallel_mean(values, axis=1, dtype=result, workers=1)
        for k in range(60):
            assert_same_bits(actual[k], whole("mean", values[k], result)[0])


def test_mean_of_subnormal_columns(level):
    """Quotients below 2^-1022 are rounded at 2^-1074, and left to the integers."""
    rng = np.random.default_rng(6)
    for n in (2, 3, 10, 30):
        words = rng.integers(0, 2**53, (n, 50)).astype(np.uint64)
        values = words.view(np.float64)
        values[:, ::3] *= -1
        assert_same_bits(parallel_mean(values, axis=0, workers=1), along(values, 0))


# ---- sums of magnitudes ----


def exact_abs_sum(values, dtype):
    """The correctly rounded sum of magnitudes of real floats, +0.0 of none."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return exact_sum(np.abs(values.astype(np.float64)), dtype)


@pytest.mark.parametrize("family", FAMILIES)
def test_sum_of_magnitudes(level, family):
    for element in FLOATS:
        for n in (0, 1, 2, 9, 64, 1023, 2049, 9000):
            values = generate(family, n, element, n)
            for result in FLOATS:
                actual, flags = whole("abs_sum", values, result)
                expected = exact_abs_sum(values, result)
                assert_same_bits(actual, expected, f"{n} {element} {result}")
                overflow = np.isinf(expected) and not np.isinf(values).any()
                assert flags == (lib.PARSUM_OVERFLOW if overflow else 0)


def test_sum_of_magnitudes_of_columns_and_rows(level):
    for k, (rows, columns) in enumerate([*SHAPES, (3000, 5), (2000, 8), (600, 100)]):
        family = sorted(FAMILIES)[k % len(FAMILIES)]
        for element in FLOATS:
            values = generate(family, rows * columns, element, k).reshape(rows, columns)
            for axis, array in ((0, values), (1, values.T.copy())):
                expected = [exact_abs_sum(lane, element) for lane in np.moveaxis(array, axis, -1)]
                actual = reduce_along("abs_sum", array, axis, element)
                assert_same_bits(actual, np.array(expected, element), f"{family} {rows} {element}")


def reduce_along(operation, array, axis, result):
    """Reduce along an axis by a job, as the public functions do."""
    out = np.empty(np.delete(array.shape, axis), result)
    reduction = row(operation, array.dtype, result)
    plan = Plan(array, (axis,), out, None, None, None, None, False)
    element, to = type_of(array.dtype), type_of(np.dtype(result))
    kept, reduced = len(plan.kept), len(plan.reduced)
    view = View(plan.addresses, plan.first, kept, reduced, plan.rows(), element, to)
    job = Job(reduction, view, 1, (array, out))
    while job.work(0, 10**9) != DONE:
        pass
    job.finish()
    return out


@pytest.mark.parametrize("element", [*INTEGERS, np.bool_])
def test_sum_of_magnitudes_of_integers(level, element):
    for n in (0, 1, 9, 64, 1023, 5000, 70_000):
        values = integers(n, element, n)
        if n % 2 and element is not np.bool_:
            values[:] = np.iinfo(element).min
        total = sum(abs(v) for v in values.tolist())
        for view in (values, values[::-1], np.repeat(values, 3)[::3]):
            for result in FLOATS:
                actual, _ = whole("abs_sum", view, result)
                assert_same_bits(actual, round_integer(total << SCALE, result))
    values = integers(700 * 30, element, 1).reshape(700, 30)
    totals = [sum(abs(v) for v in lane) for lane in values.T.tolist()]
    expected = np.array([round_integer(t << SCALE, np.float64) for t in totals])
    assert_same_bits(reduce_along("abs_sum", values, 0, np.float64), expected)


def test_sum_of_magnitudes_of_long_doubles():
    values = generate("normal", 3000, np.float64, 1).astype(np.longdouble)
    expected = exact_abs_sum(values, np.float64)
    assert whole("abs_sum", values, np.float64)[0] == expected
    assert whole("abs_sum", np.array([-0.0], np.longdouble), np.longdouble)[0] == 0
    pairs = values.view(np.clongdouble)
    sizes = np.hypot(pairs.real, pairs.imag)
    actual, _ = whole("abs_sum", pairs, np.longdouble)
    assert abs(actual - sizes.sum()) <= 1e-17 * actual
    assert whole("abs_sum", np.array([complex(np.nan, np.inf)], np.clongdouble), np.float64) == (
        np.inf,
        0,
    )


def exact_magnitudes(values):
    """|z| of complex numbers, each rounded to the type of the parts."""
    form = FORMATS_BY_DTYPE[values.real.dtype]
    result = np.empty(values.shape, values.real.dtype)
    for i, z in enumerate(values):
        x, y = float(z.real), float(z.imag)
        if math.isinf(x) or math.isinf(y):
            result[i] = np.inf
        elif math.isnan(x) or math.isnan(y):
            result[i] = np.nan
        else:
            result[i] = float(form.nearest_root(Fraction(x) ** 2 + Fraction(y) ** 2)[0])
    return result


def hard_pairs(rng, part):
    """Numbers whose magnitude is a tie or a number of the type, or next to one; or of any size."""
    form = FORMATS_BY_DTYPE[np.dtype(part)]
    p = form.precision
    pairs = []
    for _ in range(400):
        # (u^2 - v^2, 2 u v) has the magnitude u^2 + v^2
        bits = rng.choice([4, p // 2 - 2, p // 2, (p + 1) // 2])
        u, v = rng.randrange(1, 2**bits), rng.randrange(1, 2**bits)
        x, y = abs(u * u - v * v), 2 * u * v
        x += rng.choice([0, 0, 1, -1])
        size = rng.choice([0, form.least, form.overflow - p - 1, form.least + p, -form.least // 2])
        pairs.append((math.ldexp(x, size + rng.randrange(-3, 3)) if size < 900 else x,
                      math.ldexp(y, size) if size < 900 else y))  # fmt: skip
        # (3 h + 2)^2 + (4 h + 1)^2 = (5 h + 2)^2 + 1: just above a tie, if that is odd
        h = rng.randrange(2**p // 5 + 1, 2**p // 4) | 1
        pairs.append((3 * h + 2, 4 * h + 1))
        # a large part and a small one that just moves it
        large = some_integer(rng, p) * 2.0**-p
        shift = rng.randrange(p // 2 - 3, p // 2 + 3)
        pairs.append((large, large * 2.0**-shift * rng.choice([1, math.sqrt(2), 0.99])))
        pairs.append((large, 2.0 ** rng.randrange(-140, 0)))
    for x in (0.0, 5e-324, 2.0**-1022, 2.0**-149, 1e-200, 1.0, 2.0**1022, 1.7e308, 3.4e38):
        pairs += [(x, x), (x, 0.0), (-0.0, x), (x, 1.0), (x, 5e-324), (x, x * 0.75)]
    pairs += [(math.inf, math.nan), (math.nan, 1.0), (math.nan, -math.inf), (-math.inf, 0.0)]
    with np.errstate(over="ignore", under="ignore"):
        parts = np.array(pairs).astype(part)
    parts[::3] = parts[::3, ::-1]
    parts[::5, 0] *= -1
    return parts.reshape(-1).view(np.complex64 if part == np.float32 else np.complex128)


@pytest.mark.parametrize("part", [np.float32, np.float64])
def test_magnitudes_of_complex_numbers(level, part):
    """One by one, as sums of one; then all at once."""
    rng = random.Random(5)
    values = hard_pairs(rng, part)
    random_bits = np.frombuffer(rng.randbytes(values.nbytes), values.dtype)
    normal = generate("normal", 4000, part, 1).view(values.dtype)
    for numbers in (values, random_bits, normal):
        expected = exact_magnitudes(numbers)
        with np.errstate(all="ignore"):
            alone = reduce_along("abs_sum", numbers.reshape(-1, 1), 1, part)
        assert_same_bits(alone, expected)
        overflow = np.isinf(expected) & np.isfinite(numbers)
        assert overflow.any() or numbers is not values
        expected_flags = lib.PARSUM_OVERFLOW if overflow.any() else 0
        assert whole("abs_sum", numbers[overflow], part)[1] == expected_flags
        finite = np.isfinite(expected)
        for some in (numbers[finite], numbers[finite][::-2], numbers[~finite & ~overflow]):
            total, flags = whole("abs_sum", some, np.float64)
            assert_same_bits(total, exact_sum(exact_magnitudes(some), np.float64))
            too_large = np.isinf(total) and not np.isinf(some).any()
            assert flags == (lib.PARSUM_OVERFLOW if too_large else 0)
        table = numbers[: numbers.size // 30 * 30].reshape(-1, 30)
        sums = [exact_sum(lane, part) for lane in exact_magnitudes(table.ravel()).reshape(-1, 30).T]
        assert_same_bits(reduce_along("abs_sum", table, 0, part), np.array(sums))
