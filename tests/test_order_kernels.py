"""Least and greatest elements, their places and magnitudes, as states and as whole arrays.

The oracles look at an array as a whole: what is NaN, what is least, which zeros have a sign. They
know nothing of blocks, vectors, keys or the order in which elements arrive.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from parsum._native import ffi, lib

from parsum.plan import Plan
from parsum.reduction import EMPTY, OVERFLOW, Job, View, find, reduce_small, type_of

INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
FLOATS = ["f2", "f4", "f8", "longdouble"]
TIMES = ["M8[s]", "m8[ns]"]
COMPLEX = ["c8", "c16", "clongdouble"]
DTYPES = ["bool", *INTEGERS, *FLOATS, *TIMES, *COMPLEX]

ENDS = ["min", "max"]
PAIRS = ["minmax"]
NAN_ENDS = ["nanmin", "nanmax"]
NAN_PAIRS = ["nanminmax"]
PLACES = ["argmin", "argmax"]
NAN_PLACES = ["nanargmin", "nanargmax"]
MAGNITUDES = ["min_abs", "max_abs"]

LENGTHS = [*range(1, 10), 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 257, 1000, 2047, 2049]


def operations(dtype):
    kind = np.dtype(dtype).kind
    found = ENDS + PLACES
    if kind != "c":
        found = found + PAIRS
    if kind in "fcmM":
        found = found + NAN_ENDS + NAN_PLACES
    if kind in "fmM":
        found = found + NAN_PAIRS
    if kind not in "mM":
        found = found + MAGNITUDES
    return found


def result_dtype(operation, dtype):
    dtype = np.dtype(dtype)
    if "arg" in operation:
        return np.dtype(np.int64)
    if operation in MAGNITUDES:
        return np.dtype("f8") if dtype.kind in "biu" else np.empty(0, dtype).real.dtype
    return dtype


def reduction(operation, dtype):
    to = result_dtype(operation, dtype)
    row = find(operation, "exact", type_of(np.dtype(dtype)), type_of(to))
    assert row is not None, f"no {operation} of {dtype}"
    assert not row.ordered
    return row


# ---- arrays ----


def _signs(rng, values):
    return np.where(rng.random(values.shape) < 0.5, values, -values)


def _special(rng, shape, dtype, choices):
    return np.array(choices, dtype)[rng.integers(0, len(choices), shape)]


def _bits(rng, shape, dtype):
    dtype = np.dtype(dtype)
    if dtype == np.longdouble:
        return (rng.standard_normal(shape) * 10.0 ** rng.integers(-300, 300, shape)).astype(dtype)
    count = int(np.prod(shape)) * dtype.itemsize
    values = rng.integers(0, 256, count, dtype=np.uint8).view(dtype).reshape(shape)
    return values % 2 == 1 if dtype.kind == "b" else values


def real_families(dtype):
    """Arrays of a real dtype, by name: functions of a generator and a shape."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return {
            "bits": lambda rng, shape: rng.random(shape) < 0.5,
            "false": lambda rng, shape: np.zeros(shape, bool),
            "true": lambda rng, shape: np.ones(shape, bool),
            "one": lambda rng, shape: rng.random(shape) < 1 / np.prod(shape),
            "bytes": lambda rng, shape: rng.integers(0, 256, shape, np.uint8).view(bool),
        }
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return {
            "bits": lambda rng, shape: _bits(rng, shape, dtype),
            "ties": lambda rng, shape: rng.integers(0, 3, shape).astype(dtype),
            "one": lambda rng, shape: np.full(shape, 7, dtype),
            "ends": lambda rng, shape: _special(
                rng, shape, dtype, [info.min, info.max, 0, 1, info.min + 1]
            ),
            "up": lambda rng, shape: np.sort(_bits(rng, shape, dtype), 0),
            "down": lambda rng, shape: np.sort(_bits(rng, shape, dtype), 0)[::-1],
        }
    if dtype.kind in "mM":
        least, nat = np.iinfo(np.int64).min + 1, np.iinfo(np.int64).min

        def times(rng, shape, rate):
            values = _bits(rng, shape, np.int64)
            values[rng.random(shape) < rate] = nat
            return values.view(dtype)

        return {
            "bits": lambda rng, shape: times(rng, shape, 0),
            "nats": lambda rng, shape: times(rng, shape, 0.5),
            "few nats": lambda rng, shape: times(rng, shape, 2 / np.prod(shape)),
            "all nat": lambda rng, shape: times(rng, shape, 1),
            "ends": lambda rng, shape: np.array([least, -least, 0])[rng.integers(0, 3, shape)].view(
                dtype
            ),
            "ends, nats": lambda rng, shape: np.array([least, -least, 0, nat])[
                rng.integers(0, 4, shape)
            ].view(dtype),
        }
    inf, nan = np.inf, np.nan
    info = np.finfo(dtype)

    def with_nans(rng, shape, rate):
        values = rng.standard_normal(shape).astype(dtype)
        values[rng.random(shape) < rate] = nan
        # NaNs of both signs
        return _signs(rng, values)

    return {
        "normal": lambda rng, shape: rng.standard_normal(shape).astype(dtype),
        "positive": lambda rng, shape: rng.random(shape).astype(dtype),
        "negative": lambda rng, shape: -rng.random(shape).astype(dtype),
        "bits": lambda rng, shape: _bits(rng, shape, dtype),
        "ties": lambda rng, shape: rng.integers(-1, 2, shape).astype(dtype),
        "zeros": lambda rng, shape: _special(rng, shape, dtype, [0.0, -0.0]),
        "plus zeros": lambda rng, shape: np.zeros(shape, dtype),
        "minus zeros": lambda rng, shape: -np.zeros(shape, dtype),
        "not below 0": lambda rng, shape: _special(rng, shape, dtype, [0.0, -0.0, 1, 2, inf]),
        "not above 0": lambda rng, shape: _special(rng, shape, dtype, [0.0, -0.0, -1, -inf]),
        "one zero": lambda rng, shape: _special(rng, shape, dtype, [0.0] * 99 + [-0.0, 1]),
        "infinite": lambda rng, shape: _special(rng, shape, dtype, [inf, -inf, 0]),
        "inf": lambda rng, shape: np.full(shape, inf, dtype),
        "-inf": lambda rng, shape: np.full(shape, -inf, dtype),
        "inf, nan": lambda rng, shape: _special(rng, shape, dtype, [inf, nan, nan, -nan]),
        "-inf, nan": lambda rng, shape: _special(rng, shape, dtype, [-inf, nan, nan, -nan]),
        "zero, nan": lambda rng, shape: _special(rng, shape, dtype, [0.0, -0.0, -nan, nan]),
        "nans": lambda rng, shape: with_nans(rng, shape, 0.5),
        "few nans": lambda rng, shape: with_nans(rng, shape, 2 / np.prod(shape)),
        "all nan": lambda rng, shape: with_nans(rng, shape, 1),
        "subnormal": lambda rng, shape: (
            rng.integers(-9, 10, shape) * info.smallest_subnormal
        ).astype(dtype),
        "up": lambda rng, shape: np.sort(rng.standard_normal(shape), 0).astype(dtype),
        "down": lambda rng, shape: np.sort(rng.standard_normal(shape), 0)[::-1].astype(dtype),
    }


def families(dtype):
    dtype = np.dtype(dtype)
    if dtype.kind != "c":
        return real_families(dtype)
    part = np.empty(0, dtype).real.dtype

    def join(real, imaginary):
        def make(rng, shape):
            values = np.empty(shape, dtype)
            values.real = real(rng, shape)
            values.imag = imaginary(rng, shape)
            return values

        return make

    parts = real_families(part)
    alike = {name: join(make, make) for name, make in parts.items()}
    mixed = [
        ("ties", "normal"), ("ties", "zeros"), ("zeros", "zeros"), ("zeros", "ties"),
        ("normal", "plus zeros"), ("plus zeros", "normal"), ("normal", "few nans"),
        ("few nans", "normal"), ("inf", "ties"), ("ties", "inf"), ("one zero", "one zero"),
        ("infinite", "few nans"), ("inf, nan", "ties"), ("ties", "-inf, nan"),
    ]  # fmt: skip
    return alike | {f"{a} + {b}": join(parts[a], parts[b]) for a, b in mixed}


# ---- oracles: of each column of a two-dimensional array ----


def is_missing(values):
    return np.isnat(values) if values.dtype.kind in "mM" else np.isnan(values)


def _greatest_of(values, take):
    """The greatest float of each column's `take`, +0.0 above -0.0; there is one in each."""
    greatest = np.where(take, values, -np.inf).max(0)
    zeros = take & (values == 0) & (greatest == 0)
    plus = (zeros & ~np.signbit(values)).any(0)
    return np.where(zeros.any(0), np.where(plus, values.dtype.type(0), -values.dtype.type(0)),
                    greatest)  # fmt: skip


def _greatest(values, take):
    kind = values.dtype.kind
    if kind == "b":
        return (values & take).any(0)
    if kind in "iu":
        return np.where(take, values, np.iinfo(values.dtype).min).max(0)
    if kind in "mM":
        numbers = values.view(np.int64)
        return np.where(take, numbers, np.iinfo(np.int64).min).max(0).view(values.dtype)
    if kind == "f":
        return _greatest_of(values, take)
    result = np.empty(values.shape[1], values.dtype)
    real = np.where(take, values.real, -np.inf).max(0)
    take = take & (values.real == real)
    imaginary = np.where(take, values.imag, -np.inf).max(0)
    take = take & (values.imag == imaginary)
    # among equal ones, the sign of the real part, then that of the imaginary part
    result.real = _greatest_of(values.real, take)
    take = take & (np.signbit(values.real) == np.signbit(result.real))
    result.imag = _greatest_of(values.imag, take)
    return result


def _turned(values):
    """An array whose order is the other way around, and which turns back the same way."""
    if values.dtype.kind in "biu":
        return ~values
    if values.dtype.kind in "mM":
        return (-values.view(np.int64)).view(values.dtype)  # NaT stays NaT
    return -values


def expected_end(operation, values):
    greatest = operation.endswith("max")
    turned = values if greatest else _turned(values)
    missing = is_missing(values) if values.dtype.kind in "fcmM" else np.zeros(values.shape, bool)
    with np.errstate(all="ignore"):
        result = _greatest(turned, ~missing)
        result = result if greatest else _turned(result)
    nothing = missing.all(0) if operation.startswith("nan") else missing.any(0)
    if nothing.any():
        nan = complex(np.nan, np.nan) if values.dtype.kind == "c" else np.nan
        result[nothing] = "NaT" if values.dtype.kind in "mM" else nan
    return result


def expected_place(operation, values):
    if operation.startswith("nan"):
        # NumPy takes infinities for NaNs that it left out, and keeps NaT.
        end = expected_end(operation.replace("arg", ""), values)
        with np.errstate(invalid="ignore"):
            return np.argmax(values == end, 0)
    return getattr(np, operation)(values, axis=0)


def exact_magnitude(value, dtype):
    """The magnitude of a finite complex number, rounded once, half to even."""
    square = Fraction(float(value.real)) ** 2 + Fraction(float(value.imag)) ** 2
    info = np.finfo(dtype)
    # as a whole number of half units in the last place, and whether something is left over
    exponent = (square.numerator.bit_length() - square.denominator.bit_length()) // 2
    unit = max(exponent - info.nmant - 1, info.minexp - info.nmant)
    for place in (unit, unit + 1, unit + 2):
        scaled = square / Fraction(2) ** (2 * (place - 1))
        halves = math.isqrt(scaled.numerator // scaled.denominator)
        if halves < 2 << (info.nmant + 1):
            break
    exact = Fraction(halves) ** 2 == scaled
    whole, half = divmod(halves, 2)
    whole += half and (not exact or whole % 2 == 1)
    with np.errstate(all="ignore"):
        return np.ldexp(dtype.type(whole), place) if square else dtype.type(0)


def magnitudes(values):
    if values.dtype.kind in "biu":
        return np.abs(values.astype(np.float64))
    if values.dtype.kind == "f":
        return np.abs(values)
    part = values.real.dtype
    if part == np.longdouble:
        with np.errstate(all="ignore"):
            return np.hypot(values.real, values.imag)
    result = np.empty(values.shape, part)
    for place, value in np.ndenumerate(values):
        if np.isinf(value.real) or np.isinf(value.imag):
            result[place] = np.inf
        elif np.isnan(value):
            result[place] = np.nan
        else:
            result[place] = exact_magnitude(value, part)
    return result


def expected(operation, values):
    """Return what the operation is to give for each column, and whether any is empty."""
    empty = operation.startswith("nan") and bool(is_missing(values).all(0).any())
    if "arg" in operation:
        return expected_place(operation, values), empty
    if operation in MAGNITUDES:
        return expected_end(operation.replace("_abs", ""), magnitudes(values))[:], empty
    if operation.endswith("minmax"):
        both = [expected_end(operation[:-6] + end, values) for end in ENDS]
        return np.stack(both, -1), empty
    return expected_end(operation, values), empty


def assert_same(actual, wanted, message):
    __tracebackhide__ = True
    actual, wanted = np.asarray(actual), np.asarray(wanted)
    assert actual.dtype == wanted.dtype, message
    assert actual.shape == wanted.shape, message
    if actual.dtype in (np.longdouble, np.clongdouble):
        parts = [(actual.real, wanted.real), (actual.imag, wanted.imag)]
        same = all(
            ((a == w) & (np.signbit(a) == np.signbit(w)) | np.isnan(a) & np.isnan(w)).all()
            for a, w in parts
        )
    else:
        same = np.ascontiguousarray(actual).tobytes() == np.ascontiguousarray(wanted).tobytes()
    assert same, f"{message}: got {actual!r}, expected {wanted!r}"


# ---- running ----


def finish(row, state, dtype):
    """Return result and flags of a state."""
    out = np.zeros(row.values, dtype)
    flags = row.finish(state, out)
    return (out if row.values > 1 else out[0]), flags


def place(state, number, step):
    """Say which numbers the next elements have: the first two words of such a state."""
    words = ffi.cast("int64_t *", state.pointer)
    words[0], words[1] = number, step


def reduce_axis(operation, array, axis, workers=1, block=0):
    """Reduce a whole array along axes by the walker, as the public functions do."""
    row = reduction(operation, array.dtype)
    axes = (axis,) if isinstance(axis, int) else axis
    shape = tuple(n for k, n in enumerate(array.shape) if k not in axes)
    to = result_dtype(operation, array.dtype)
    result = np.zeros(shape + ((row.values,) if row.values > 1 else ()), to)
    plan = Plan(array, axes, result, numbered="arg" in operation)
    view = View(
        plan.addresses, plan.first, len(plan.kept), len(plan.reduced), plan.rows(),
        type_of(array.dtype), type_of(to),
    )  # fmt: skip
    job = Job(row, view, workers, (array, result), block)
    for worker in range(workers):
        while job.work(worker, 10**9) == lib.PARSUM_AGAIN:
            pass
    return result, job.finish()


def seed_of(*parts):
    return [sum(map(ord, str(part))) * 7919 + len(str(part)) for part in parts]


# ---- tests ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_identity_has_no_result(dtype):
    for operation in operations(dtype):
        row = reduction(operation, dtype)
        _, flags = finish(row, row.identity(), result_dtype(operation, dtype))
        assert flags == EMPTY, operation
        left, right = row.identity(), row.identity()
        row.combine(left, right)
        row.accumulate(left, np.zeros(0, dtype))
        assert finish(row, left, result_dtype(operation, dtype))[1] == EMPTY, operation


@pytest.mark.parametrize("dtype", DTYPES)
def test_runs(level, dtype):
    """Contiguous runs of every length, in one call."""
    for name, make in families(dtype).items():
        rng = np.random.default_rng(seed_of(dtype, name))
        lengths = LENGTHS if np.dtype(dtype).char not in "gG" else [1, 2, 3, 70]
        for n in rng.choice(lengths, 6, replace=False) if len(lengths) > 6 else lengths:
            values = make(rng, (int(n), 1))
            for operation in operations(dtype):
                if operation in MAGNITUDES and np.dtype(dtype).kind == "c" and n > 70:
                    continue
                row = reduction(operation, dtype)
                state = row.identity()
                row.accumulate(state, values[:, 0])
                wanted, empty = expected(operation, values)
                result, flags = finish(row, state, result_dtype(operation, dtype))
                message = f"{operation} {name} {n}"
                assert_same(result, wanted[0], message)
                assert bool(flags & EMPTY) == empty, message
                # and by the C function for a whole array
                out = np.zeros(row.values, result_dtype(operation, dtype))
                reduce_small(row, 0.0, np.ascontiguousarray(values[:, 0]), out)
                assert_same(out if row.values > 1 else out[0], wanted[0], message)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_place_of_the_extreme(level, dtype):
    """One element that counts, anywhere in a vector, block or tail."""
    dtype = np.dtype(dtype)
    for n in (1, 2, 7, 8, 9, 16, 33, 64, 65, 100, 130, 260):
        values = np.zeros((n, 1), dtype) if dtype.kind in "mM" else np.full((n, 1), 1, dtype)
        for k in {0, 1, n // 3, n // 2, n - 2, n - 1, *range(0, n, 13)} & set(range(n)):
            for extreme in [0, 1] if dtype.kind == "b" else [0, 1, 2]:
                old = values[k, 0]
                values[k, 0] = extreme
                for operation in (*ENDS, *PLACES):
                    row = reduction(operation, dtype)
                    state = row.identity()
                    row.accumulate(state, values[:, 0])
                    result, _ = finish(row, state, result_dtype(operation, dtype))
                    wanted, _ = expected(operation, values)
                    assert_same(result, wanted[0], f"{operation} {n} {k} {extreme}")
                values[k, 0] = old


@pytest.mark.parametrize("dtype", DTYPES)
def test_strides_and_alignment(level, dtype):
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(seed_of(dtype))
    for name, make in families(dtype).items():
        n = int(rng.choice([5, 40, 300, 1500]))
        if dtype.char in "G" or (dtype.kind == "c" and n == 1500):
            n = 40
        whole = make(rng, (3 * n, 1))[:, 0]
        shifted = np.zeros(whole.nbytes + 1, np.uint8)[1:].view(np.uint8)
        shifted[:] = np.ascontiguousarray(whole).view(np.uint8)
        views = [
            whole[::3], whole[::-1], whole[::-2], np.broadcast_to(whole[:1], (n,)),
            np.ndarray(3 * n, dtype, shifted.data), np.ndarray(3 * n, dtype, shifted.data)[::-3],
        ]  # fmt: skip
        for k, view in enumerate(views):
            values = np.array(view).reshape(-1, 1)
            for operation in operations(dtype):
                if operation in MAGNITUDES and dtype.kind == "c" and n > 40:
                    continue
                row = reduction(operation, dtype)
                state = row.identity()
                row.accumulate(state, view)
                result, _ = finish(row, state, result_dtype(operation, dtype))
                wanted, _ = expected(operation, values)
                assert_same(result, wanted[0], f"{operation} {name} view {k}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_states_made_apart_combine_in_any_order(level, dtype):
    """Runs with numbers of their own, up or down, in random states and a random tree."""
    for name, make in families(dtype).items():
        rng = np.random.default_rng(seed_of(dtype, name, "apart"))
        n = int(rng.choice([9, 200, 900]))
        if np.dtype(dtype).kind == "c" or np.dtype(dtype).char == "g":
            n = min(n, 150)
        if name == "bits" and dtype in ("i2", "f4", "c8"):
            n = 40_000
        values = make(rng, (n, 1))
        cuts = np.sort(rng.integers(0, n + 1, 7))
        pieces = [(a, b) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
        rng.shuffle(pieces)
        for operation in operations(dtype):
            if operation in MAGNITUDES and np.dtype(dtype).kind == "c" and n > 200:
                continue
            row = reduction(operation, dtype)
            states = [row.identity() for _ in range(3)]
            for a, b in pieces:
                state = states[rng.integers(3)]
                run = values[a:b, 0]
                down = rng.random() < 0.5
                if "arg" in operation:
                    place(state, b - 1 if down else a, -1 if down else 1)
                row.accumulate(state, run[::-1] if down else run)
            order = rng.permutation(3)
            for k in order[1:]:
                row.combine(states[order[0]], states[k])
            result, _ = finish(row, states[order[0]], result_dtype(operation, dtype))
            wanted, _ = expected(operation, values)
            assert_same(result, wanted[0], f"{operation} {name}")


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "m8[s]", "c16", "longdouble"])
def test_a_state_counts_by_itself(dtype):
    rng = np.random.default_rng(1)
    values = np.array([5, 3, 3, 1, 4, 1, 1, 7], np.int64).astype(dtype)
    for operation, wanted in (("argmin", 3), ("argmax", 7)):
        row = reduction(operation, dtype)
        state = row.identity()
        for part in np.split(values, sorted(rng.integers(0, 9, 3))):
            row.accumulate(state, part)
        assert finish(row, state, np.int64)[0] == wanted
        state = row.identity()
        place(state, 1000, -10)
        for part in np.split(values, [2, 5]):
            row.accumulate(state, part)
        # of equal ones the least number
        assert finish(row, state, np.int64)[0] == 1000 - 10 * {3: 6, 7: 7}[wanted]


SHAPES = [
    (1, 1), (2, 1), (700, 1), (1, 5), (2, 3), (3, 2), (17, 2), (300, 2), (1000, 3), (64, 5),
    (40, 31), (9, 33), (5, 64), (12, 65), (33, 100), (600, 9), (2, 300), (7, 1030),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_and_rows(level, dtype):
    """Both axes of small arrays, by whatever short cut there is for their shape."""
    dtype = np.dtype(dtype)
    made = families(dtype)
    for k, shape in enumerate(SHAPES):
        if dtype.char in "gG" and shape[0] * shape[1] > 300:
            continue
        rng = np.random.default_rng([k, 5])
        for name in rng.choice(sorted(made), min(5, len(made)), replace=False):
            values = made[name](rng, shape)
            for operation in operations(dtype):
                if operation in MAGNITUDES and dtype.kind == "c" and values.size > 100:
                    continue
                wanted, empty = expected(operation, values)
                turned = np.ascontiguousarray(values.T)
                padded = np.zeros((shape[0], shape[1] + 3), dtype)
                padded[:, 1:-2] = values
                layouts = {
                    "down": (values, 0),
                    "along": (turned, 1),
                    "padded": (padded[:, 1:-2], 0),
                    "padded rows": (padded[:, 1:-2].T, 1),
                    "up": (np.ascontiguousarray(values[::-1])[::-1], 0),
                    "both": (np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1], 0),
                }
                for layout, (array, axis) in layouts.items():
                    result, flags = reduce_axis(operation, array, axis)
                    message = f"{operation} {name} {shape} {layout}"
                    assert_same(result, wanted, message)
                    assert bool(flags & EMPTY) == empty, message


@pytest.mark.parametrize("dtype", ["bool", "i1", "i8", "f2", "f8", "m8[s]", "c8"])
def test_large_columns(level, dtype):
    """More than one block of rows, tiles of columns, and workers with states of their own."""
    dtype = np.dtype(dtype)
    made = families(dtype)
    rng = np.random.default_rng(seed_of(dtype, "large"))
    for shape in [(3000, 70), (6000, 5), (1500, 33), (50, 1500), (40_000, 2)]:
        for name in rng.choice(sorted(made), 3, replace=False):
            values = made[name](rng, shape)
            for operation in operations(dtype):
                if operation in MAGNITUDES:
                    continue
                wanted, empty = expected(operation, values)
                for array, axis in [(values, 0), (np.asfortranarray(values), 0)]:
                    result, flags = reduce_axis(operation, array, axis, 3, 1 << 14)
                    message = f"{operation} {name} {shape} {array.strides}"
                    assert_same(result, wanted, message)
                    assert bool(flags & EMPTY) == empty, message


@pytest.mark.parametrize("dtype", ["i2", "f4", "f8", "M8[s]", "c16"])
def test_places_of_whole_arrays(level, dtype):
    """Numbers count in C order, whatever the order in memory."""
    rng = np.random.default_rng(3)
    made = families(dtype)
    for name, make in made.items():
        values = make(rng, (30, 40, 7)) if np.dtype(dtype).kind != "c" else make(rng, (9, 5, 7))
        for array in (values, np.asfortranarray(values), values[::-1, :, ::-1], values[:, ::-1]):
            order = np.ascontiguousarray(array).reshape(-1, 1)
            for operation in operations(dtype):
                if "arg" not in operation:
                    continue
                result, _ = reduce_axis(operation, array, (0, 1, 2), 2, 1 << 12)
                wanted, _ = expected(operation, order)
                assert result[()] == wanted[0], f"{operation} {name} {array.strides}"


def test_what_has_come_first_wins():
    """Elements after the first NaN or True are not read, but those with lesser numbers are."""
    values = np.zeros(100_000, bool)
    values[[70_000, 90_000]] = True
    row = reduction("argmax", bool)
    state = row.identity()
    place(state, 50_000, 1)
    row.accumulate(state, values[50_000:])
    place(state, 0, 1)
    row.accumulate(state, values[:50_000])
    assert finish(row, state, np.int64)[0] == 70_000
    values[3] = True
    place(state, 0, 1)
    row.accumulate(state, values[:50_000])
    assert finish(row, state, np.int64)[0] == 3


# ---- magnitudes of complex numbers ----


def _complex(real, imaginary, dtype):
    values = np.empty(len(real), dtype)
    values.real, values.imag = real, imaginary
    return values


def _phasors(rng, dtype):
    angle = rng.random(60) * 2 * np.pi
    return _complex(np.cos(angle), np.sin(angle), dtype)


def _around(exponent):
    def make(rng, dtype):
        with np.errstate(all="ignore"):
            parts = [np.ldexp(rng.standard_normal(60), exponent(rng, np.finfo(dtype)))] * 2
            parts[1] = np.ldexp(rng.standard_normal(60), exponent(rng, np.finfo(dtype)))
            return _complex(*parts, dtype)

    return make


# Pythagorean triples with an odd hypotenuse of one bit too many lie on ties.
def _ties(rng, dtype):
    bits = np.finfo(dtype).nmant + 1
    found = []
    while len(found) < 20:
        m, n = (int(v) for v in rng.integers(1, int(2 ** (bits / 2 + 0.5)), 2))
        a, b, c = abs(m * m - n * n), 2 * m * n, m * m + n * n
        if c % 2 and c.bit_length() == bits + 1 and max(a, b).bit_length() <= bits:
            found.append((a, b))
    pairs = np.array(found, np.int64)
    with np.errstate(all="ignore"):
        values = _complex(pairs[:, 0].astype(float), pairs[:, 1].astype(float), dtype)
    return values[(values.real == pairs[:, 0]) & (values.imag == pairs[:, 1])]


MAGNITUDE_FAMILIES = {
    "normal": _around(lambda rng, info: 0),
    "phasors": _phasors,
    "huge": _around(lambda rng, info: info.maxexp - 2),
    "overflowing": _around(lambda rng, info: info.maxexp - 1),
    "tiny": _around(lambda rng, info: info.minexp),
    "subnormal": _around(lambda rng, info: info.minexp - info.nmant + 3),
    "spread": _around(lambda rng, info: rng.integers(info.minexp, info.maxexp, 60)),
    "near": _around(lambda rng, info: rng.integers(-info.nmant, info.nmant, 60)),
    "ties": _ties,
}


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("family", MAGNITUDE_FAMILIES)
def test_magnitudes_are_rounded_once(level, dtype, family):
    rng = np.random.default_rng(seed_of(dtype, family))
    part = np.dtype(f"f{np.dtype(dtype).itemsize // 2}")
    values = MAGNITUDE_FAMILIES[family](rng, np.dtype(dtype))
    if family == "ties":
        assert len(values) > 10
    exact = magnitudes(values.reshape(-1, 1))[:, 0]
    for operation, end in (("min_abs", np.min), ("max_abs", np.max)):
        row = reduction(operation, dtype)
        total = row.identity()
        for k in range(len(values)):
            state = row.identity()
            row.accumulate(state, values[k : k + 1])
            result, flags = finish(row, state, part)
            assert_same(result, exact[k], f"{values[k]!r}")
            assert flags == (OVERFLOW if np.isinf(exact[k]) and np.isfinite(values[k]) else 0)
            row.combine(total, state)
        state = row.identity()
        row.accumulate(state, np.tile(values, 40))
        assert_same(finish(row, state, part)[0], end(exact), operation)
        assert_same(finish(row, total, part)[0], end(exact), operation)


def test_magnitude_of_infinity_is_no_overflow():
    row = reduction("max_abs", "c16")
    for value in (complex(np.inf, np.nan), complex(np.nan, -np.inf), complex(1, np.inf)):
        state = row.identity()
        row.accumulate(state, np.array([1e308 + 1.7e308j, value, 1]))
        assert finish(row, state, np.float64) == (np.inf, 0)
    state = row.identity()
    row.accumulate(state, np.array([complex(np.inf, 0), complex(np.nan, 0)]))
    assert np.isnan(finish(row, state, np.float64)[0])
