"""Descriptions against exact rationals: every field and type, however elements are taken in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from oracle import SCALE, assert_same_bits, round_integer
from parsum._native import ffi, lib
from strategies import FAMILIES, FLOATS, generate

import parsum
from parsum import Description, parallel_describe
from parsum.reduction import find, type_of

OVERFLOW = lib.PARSUM_OVERFLOW
INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
NAMES = ["count", "nans", "min", "max", "sum", "mean", "var", "std", "skew", "kurtosis"]


def levels() -> Iterator[str]:
    """Each CPU level in turn: exact results take longer than all of them."""
    best = lib.parsum_level()
    built = [ffi.string(lib.parsum_level_name(k)).decode() for k in range(lib.parsum_levels())]
    try:
        for name in parsum.cpu_levels():
            assert lib.parsum_use_level(built.index(name)) == 0
            yield name
    finally:
        assert lib.parsum_use_level(best) == 0


# ---- exact descriptions ----


def _round(value: Fraction, root: bool = False) -> np.float64:
    """The number, or its square root, rounded once; a bit at the end says whether there is more."""
    p, q = abs(value.numerator), value.denominator
    if not p:
        return np.float64(0)
    scale = max(0, 512 - p.bit_length() + q.bit_length()) // 2 * 2
    whole, rest = divmod(p << scale, q)
    if root:
        square, whole = whole, math.isqrt(whole)
        rest += whole * whole != square
        scale //= 2
    result = round_integer(2 * whole + (rest != 0), np.float64, scale + 1)
    return -result if value < 0 else result


def _scaled(values: np.ndarray) -> list[int]:
    """Finite doubles times 2**SCALE."""
    fractions, exponents = np.frexp(values)
    whole = np.ldexp(fractions, 53).astype(np.int64).tolist()
    shifts = (exponents - 53 + SCALE).tolist()
    return [w << s if s >= 0 else w >> -s for w, s in zip(whole, shifts, strict=True)]


def _moments(numbers: list[int], unit: Fraction, ddof: float) -> list[Any]:
    """Sum, mean, var, std, skew and kurtosis of integers times a unit, from their deviations."""
    n, total = len(numbers), sum(numbers)
    apart = [n * x - total for x in numbers]  # n times the distance
    squares = [d * d for d in apart]
    d2, d4 = sum(squares), sum(s * s for s in squares)
    d3 = sum(s * d for s, d in zip(squares, apart, strict=True))
    nan = np.float64(np.nan)
    out = [_round(total * unit), _round(total * unit / n), nan, nan, nan, nan]
    if n > ddof:
        var = d2 * unit**2 / (n * n * (n - Fraction(ddof)))
        out[2:4] = [_round(var), _round(var, root=True)]
    if d2:
        skew = _round(Fraction(n * d3 * d3, d2**3), root=True)
        out[4:] = [-skew if d3 < 0 else skew, _round(Fraction(n * d4, d2 * d2) - 3)]
    return out


def expected(values: np.ndarray, ddof: float = 0) -> tuple[list[Any], int]:
    """All ten fields, and the flags."""
    nan = np.float64(np.nan)
    if values.dtype.kind != "f":
        if not values.size:
            return [0, 0, values.dtype.type(0), values.dtype.type(0), 0.0, *[nan] * 5], 0
        rest = _moments([int(v) for v in values.tolist()], Fraction(1), ddof)
        return [values.size, 0, values.min(), values.max(), *rest], 0
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide = values.astype(np.float64)
    nans = np.isnan(wide)
    wide = wide[~nans]
    counts = [wide.size, int(nans.sum())]
    if not wide.size:
        return [*counts, nan, nan, 0.0, *[nan] * 5], 0
    ends = [f(wide.tolist(), key=lambda v: (v, math.copysign(1, v))) for f in (min, max)]
    if not np.isfinite(wide).all():
        with np.errstate(invalid="ignore"):
            total = np.sum(wide[~np.isfinite(wide)])
        return [*counts, *ends, total, total, *[nan] * 4], 0
    rest = _moments(_scaled(wide), Fraction(1, 1 << SCALE), ddof)
    if np.signbit(wide).all() and not wide.any():
        rest[:2] = [-0.0, -0.0]
    return [*counts, *ends, *rest], OVERFLOW if np.isinf(rest[0]) or np.isinf(rest[2]) else 0


# ---- the reductions ----


class States:
    """States of one of the two rows of an element type."""

    def __init__(self, dtype: Any, shape: bool, ddof: float = 0) -> None:
        self.dtype, self.ddof = np.dtype(dtype), ddof
        row = "describe_shape" if shape else "describe"
        found = find(row, "exact", type_of(self.dtype), type_of(np.dtype(np.float64)))
        assert found is not None
        assert found.values == (10 if shape else 8)
        self.reduction = found

    def new(self, values: np.ndarray | None = None) -> Any:
        state = self.reduction.identity(self.ddof)
        if values is not None:
            self.reduction.accumulate(state, values)
        return state

    def finish(self, state: Any) -> tuple[np.ndarray, int]:
        out = np.full(self.reduction.values, 77.0)
        return out, self.reduction.finish(state, out)


def check(record: np.ndarray, fields: list[Any], dtype: np.dtype, note: str) -> None:
    for k, value in enumerate(record):
        if k in (2, 3) and dtype.kind != "f":
            value = record[k : k + 1].view(np.int64 if dtype.kind == "i" else np.uint64)[0]
            assert value == fields[k], f"{NAMES[k]} {note}"
        else:
            assert_same_bits(value, np.float64(fields[k]), f"{NAMES[k]} {note}")


def check_all(values: np.ndarray, note: str = "", ddof: float = 0) -> None:
    """Both rows at every CPU level."""
    fields, flags = expected(values, ddof)
    for level in levels():
        for shape in (False, True):
            states = States(values.dtype, shape, ddof)
            record, got = states.finish(states.new(values))
            check(record, fields, values.dtype, f"{note} {level}")
            assert got == flags, f"{note} {level}"


def whole_numbers(kind: str, n: int, dtype: Any, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, n])
    info = np.iinfo(dtype)
    if kind == "bits":
        return rng.integers(info.min, info.max, n, dtype, endpoint=True)
    if kind == "ends":
        return rng.choice(np.array([info.min, info.max, info.max - 1, info.min + 1], dtype), n)
    if kind == "least":
        return np.full(n, info.min, dtype)
    if kind == "most":
        return np.full(n, info.max, dtype)
    return rng.integers(0, 5, n).astype(dtype)


# ---- tests ----


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("family", FAMILIES)
def test_floats(dtype, family):
    for seed, n in enumerate([1, 2, 3, 9, 70, 700]):
        check_all(generate(family, n, dtype, seed), f"{n}", ddof=seed % 3)
    if family in ("normal", "wide", "patchwork", "ends"):
        check_all(generate(family, 9000, dtype), "9000", ddof=1)


@pytest.mark.parametrize("dtype", FLOATS)
def test_lengths(dtype):
    numbers = generate("normal", 4099, dtype)
    for n in [0, 4, 5, 6, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 511, 1025, 2047, 2048, 2049]:
        check_all(numbers[:n], f"{n}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("share", [0.001, 0.1, 0.9, 1])
def test_nan(dtype, share):
    rng = np.random.default_rng(3)
    for family in ["normal", "wide", "signed zeros", "specials"]:
        values = generate(family, 7000, dtype, 1)
        values[rng.random(values.size) < share] = np.nan
        values[2048:4096] = np.nan
        check_all(values, family)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(dtype):
    for seed, kind in enumerate(["bits", "ends", "least", "most", "small"]):
        for n in [0, 1, 2, 9, 70, 2500]:
            check_all(whole_numbers(kind, n, dtype, seed), f"{kind} {n}", ddof=n % 3)


def test_truth_values():
    rng = np.random.default_rng(4)
    for n in [0, 1, 2, 9, 2500]:
        for share in (0, 0.5, 1):
            check_all(rng.random(n) < share, f"{n} {share}", ddof=1)
    bytes_of_any_kind = rng.integers(0, 3, 500, np.uint8)
    states = States(np.bool_, True)
    record, _ = states.finish(states.new(bytes_of_any_kind.view(np.bool_)))
    assert record[4] == (bytes_of_any_kind != 0).sum()


def test_long_integers():
    """More blocks than limbs take additions."""
    values = np.full(2048 * 1100, np.iinfo(np.int64).min)
    values[0] += 1
    states = States(np.int64, True)
    record, _ = states.finish(states.new(values))
    n, x = values.size, 2**63
    assert_same_bits(record[4], _round(Fraction(1 - n * x)))
    # all but one the same: the distances to the mean are 1 - 1 / n and -1 / n
    assert_same_bits(record[6], _round(Fraction(n - 1, n * n)))
    assert_same_bits(record[8], _round(Fraction((n - 2) ** 2, n - 1), root=True))
    assert_same_bits(record[9], _round(Fraction(n * n - 3 * n + 3, n - 1) - 3))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, np.bool_])
@pytest.mark.parametrize("shape", [False, True])
def test_pieces_in_any_order(dtype, shape):
    """Cut anywhere, at any stride and alignment, merged in any order: the same bits."""
    rng = np.random.default_rng(5)
    states = States(dtype, shape, 1)
    for family in ["normal", "patchwork", "specials", "ends"]:
        if np.dtype(dtype).kind == "f":
            values = generate(family, 6000, dtype, 2)
        elif np.dtype(dtype).kind == "b":
            values = rng.random(6000) < 0.5
        else:
            values = whole_numbers("bits", 6000, dtype, 2)
        whole, flags = states.finish(states.new(values))
        for _ in levels():
            cuts = np.sort(rng.integers(0, values.size + 1, int(rng.integers(1, 12))))
            parts = [p for p in np.split(values, cuts) if p.size]
            made = []
            for part in parts:
                form = int(rng.integers(4))
                if form == 1:
                    part = part[::-1]
                elif form == 2:
                    wide = np.empty((part.size, 3), dtype)
                    wide[:, 1] = part
                    part = wide[:, 1]
                elif form == 3:
                    room = np.empty(part.nbytes + 1, np.uint8)[1:].view(dtype)
                    room[:] = part
                    part = room
                if made and rng.random() < 0.3:
                    states.reduction.accumulate(made[-1], part)
                else:
                    made.append(states.new(part))
            rng.shuffle(made)
            total = states.new()
            for state in made:
                states.reduction.combine(total, state)
            record, got = states.finish(total)
            assert_same_bits(record, whole, family)
            assert got == flags


def test_states_that_were_passed_on_many_times():
    """Merging a state with itself again and again fills limbs to the brim, and no further."""
    for dtype, value in [(np.float64, 1.5e300), (np.int64, -(2**63)), (np.float32, 3e-45)]:
        values = np.array([value, 0], dtype)
        states = States(dtype, True)
        state = states.new(values)
        for _ in range(40):
            states.reduction.combine(state, state)
        n = 2**40
        record, _ = states.finish(state)
        total = Fraction(float(values[0])) * n
        assert_same_bits(record[4], _round(total))
        assert_same_bits(record[5], _round(Fraction(float(values[0])) / 2))
        assert_same_bits(record[8:], np.array([0.0, -2.0]))


# ---- the function ----


def same(actual: Description, wanted: Description) -> None:
    for name in NAMES:
        assert_same_bits(np.asarray(getattr(actual, name)), np.asarray(getattr(wanted, name)), name)


def by_hand(a: np.ndarray, axis: Any, **options: Any) -> Description:
    """Each result on its own, from a contiguous copy of its elements."""
    axes = range(a.ndim) if axis is None else np.atleast_1d(axis) % a.ndim
    kept = [k for k in range(a.ndim) if k not in axes]
    rows = a.transpose(*kept, *axes).reshape(*(a.shape[k] for k in kept), -1)
    shape = rows.shape[:-1]
    parts = [parallel_describe(rows[k].copy(), workers=1, **options) for k in np.ndindex(shape)]
    fields = [np.array([getattr(p, name) for p in parts]).reshape(shape) for name in NAMES]
    return Description(*fields)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int16, np.uint64])
@pytest.mark.parametrize("shape", [(5, 7, 6), (3000, 3), (3, 3000), (700, 40), (90, 4, 30)])
def test_axes_and_layouts(dtype, shape):
    rng = np.random.default_rng(6)
    a = (rng.standard_normal(shape) * 50).astype(dtype)
    if a.dtype.kind == "f":
        a[rng.random(shape) < 0.01] = np.nan
    axes = [None, 0, -1, (0, -1)] if len(shape) == 2 else [None, 0, 1, 2, (0, 2), (0, 1), (1, 2)]
    for axis in axes:
        wanted = by_hand(a, axis, moments=4)
        wide = np.empty((*shape, 2), dtype)
        wide[..., 1] = a
        swapped = a.astype(a.dtype.newbyteorder())
        for form in (a, a.copy(order="F"), wide[..., 1], swapped, a[::-1].copy()[::-1]):
            for workers in (1, 2):
                same(parallel_describe(form, axis, moments=4, workers=workers), wanted)


def test_long_arrays_on_many_workers():
    a = np.concatenate(
        [generate(kind, 60_000, np.float32) for kind in ("patchwork", "normal", "ends")]
    )
    a[::97] = np.nan
    with np.errstate(over="ignore"):
        wanted = parallel_describe(a, moments=4, workers=1)
        for workers in (2, 3, -1):
            same(parallel_describe(a, moments=4, workers=workers), wanted)
    for name, value in zip(NAMES, expected(a)[0], strict=True):
        assert_same_bits(np.float64(getattr(wanted, name)), np.float64(value), name)


def test_fields():
    for dtype in [*FLOATS, *INTEGERS, np.bool_]:
        a = np.array([[1, 0, 1], [1, 1, 0]]).astype(dtype)
        for axis in (None, 0):
            d = parallel_describe(a, axis)
            assert d.count.dtype == d.nans.dtype == np.intp
            assert d.min.dtype == d.max.dtype == a.dtype
            assert all(
                getattr(d, name).dtype == np.float64 for name in ("sum", "mean", "var", "std")
            )
            assert d.skew is None
            assert d.kurtosis is None
            assert np.shape(d.max) == np.shape(d.sum) == (() if axis is None else (3,))
    d = parallel_describe(np.ones((2, 3, 4)), (0, 2), keepdims=True, moments=4)
    assert all(np.shape(getattr(d, name)) == (1, 3, 1) for name in NAMES)


def test_numbers_that_scipy_gives():
    """The definitions, by numbers worked out by hand: biased estimators, kurtosis less 3."""
    d = parallel_describe([1, 2, 3, 10], moments=4)
    # distances to the mean of 4: -3, -2, -1, 6
    assert (d.count, d.nans, d.min, d.max, d.sum, d.mean) == (4, 0, 1, 10, 16, 4)
    assert d.var == 12.5
    assert d.std == math.sqrt(12.5)
    assert d.skew == pytest.approx((180 / 4) / 12.5**1.5, rel=1e-15)
    assert d.kurtosis == pytest.approx((1394 / 4) / 12.5**2 - 3, rel=1e-15)
    assert parallel_describe([1, 2, 3, 10], ddof=1).var == 50 / 3


def test_where_and_masks():
    rng = np.random.default_rng(7)
    a = rng.standard_normal((300, 5))
    a[rng.random(a.shape) < 0.1] = np.nan
    where = rng.random(a.shape) < 0.5
    masked = np.ma.array(a, mask=~where)
    for axis in (None, 0):
        got = parallel_describe(a, axis, where=where, moments=4)
        columns = [a[where]] if axis is None else [a[:, k][where[:, k]] for k in range(5)]
        for k, column in enumerate(columns):
            for name, value in zip(NAMES, expected(column)[0], strict=True):
                field = np.atleast_1d(getattr(got, name))[k]
                assert_same_bits(np.float64(field), np.float64(value), name)
        same(parallel_describe(masked, axis, moments=4), got)


def test_nothing_is_warned_of_but_overflow(recwarn):
    with np.errstate(all="raise"):
        d = parallel_describe(np.array([]), moments=4)
        assert (d.count, d.nans, d.sum) == (0, 0, 0)
        assert all(np.isnan(getattr(d, name)) for name in NAMES if name not in [*NAMES[:2], "sum"])
        assert parallel_describe(np.zeros((0, 3), np.int8), 0).min.tolist() == [0, 0, 0]
        d = parallel_describe([[np.nan, np.nan], [1, 1]], 1, ddof=3, moments=4)
        assert d.count.tolist() == [0, 2]
        assert d.nans.tolist() == [2, 0]
        assert np.isnan(d.var).all()
        assert np.isnan(d.skew).all()
        d = parallel_describe([np.inf, 1, -np.inf], moments=4)
        assert (d.min, d.max) == (-np.inf, np.inf)
        assert np.isnan([d.sum, d.mean, d.var, d.std, d.skew, d.kurtosis]).all()
        d = parallel_describe([-0.0, np.nan, -0.0])
        assert_same_bits(np.array([d.min, d.max, d.sum, d.mean]), np.full(4, -0.0))
        with pytest.raises(FloatingPointError, match="overflow"):
            parallel_describe([1e308, 1e308])
        with pytest.raises(FloatingPointError, match="overflow"):
            parallel_describe([1e200, -1e200])
    assert not recwarn
    with np.errstate(over="ignore"):
        assert parallel_describe([1e308, 1e308, -1e308]).sum == 1e308
    with pytest.warns(RuntimeWarning, match="overflow encountered in parallel_describe"):
        d = parallel_describe([1e200, -1e200], moments=4)
    assert (d.var, d.std, d.skew, d.kurtosis) == (np.inf, 1e200, 0, -2)


def test_table():
    table = str(parallel_describe(np.array([1.0, 2.0, np.nan, 4.0]), moments=4))
    assert table.splitlines()[0].split() == ["count", "3"]
    assert [line.split()[0] for line in table.splitlines()] == NAMES
    assert str(parallel_describe(np.array([3, 5], np.uint8))).splitlines() == [
        "count  2", "nans   0", "min    3", "max    5", "sum    8.0", "mean   4.0", "var    1.0",
        "std    1.0",
    ]  # fmt: skip
    lines = str(parallel_describe(np.arange(12).reshape(3, 4), 1)).splitlines()
    assert lines[0].split() == NAMES[:8]
    assert [line.split()[0] for line in lines[1:]] == ["0", "1", "2"]
    assert lines[2].split() == ["1", "4", "0", "4", "7", "22", "5.5", "1.25", "1.118033989"]
    assert len({len(line) for line in lines}) == 1
    lines = str(parallel_describe(np.arange(8).reshape(2, 2, 2), 0)).splitlines()
    assert lines[3].startswith("1, 0")
    assert str(parallel_describe(np.zeros((21, 2)), 1)).startswith("count: [2 2")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1j],), {}, TypeError, "a must be of bool, integers and floats, got dtype complex128"),
        ((["x"],), {}, TypeError, "a must be of bool"),
        ((np.ones(2, np.longdouble),), {}, TypeError, "longdouble|float128|float96"),
        (([1.0],), {"moments": 3}, ValueError, "moments must be 2 or 4, got 3"),
        (([1.0],), {"ddof": "x"}, TypeError, "ddof must be a number, got 'x'"),
        (([1.0], 1), {}, np.exceptions.AxisError, "axis 1 is out of bounds"),
        (([1.0],), {"workers": 0}, ValueError, "workers must be -1 or at least 1, got 0"),
        (([1.0],), {"method": "slow"}, ValueError, "method must be one of"),
        (([1.0],), {"where": [1, 2.5]}, None, ""),
    ],
)
def test_errors(arguments, options, error, message):
    if error is None:
        with pytest.raises((TypeError, ValueError)):
            parallel_describe(*arguments, **options)
        return
    with pytest.raises(error, match=message):
        parallel_describe(*arguments, **options)
