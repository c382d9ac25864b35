"""any, all and count_nonzero against what the bits of elements say, at the level of the monoid."""

from __future__ import annotations

import numpy as np
import pytest

from parsum import parallel_all, parallel_any, parallel_count_nonzero
from parsum.reduction import find, type_of

DTYPES = [
    np.dtype(code)
    for code in [
        "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
        "float16", "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble",
        "m8[s]", "M8[ns]",
    ]
]  # fmt: skip
RESULTS = {"any": np.dtype(bool), "all": np.dtype(bool), "count_nonzero": np.dtype(np.int64)}
LENGTHS = [*range(10), 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1023, 4097]


def _specials(dtype):
    """False values, and true ones that are easily missed."""
    if dtype.kind == "b":
        return np.array([0], np.uint8).view(bool), np.array([1, 2, 128, 255], np.uint8).view(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.array([0], dtype), np.array([1, info.max, info.min or 1], dtype)
    if dtype.kind in "mM":
        return np.array([0]).view(dtype), np.array([1, -1, -(2**63)]).view(dtype)
    if dtype.kind == "f":
        least = np.finfo(dtype).smallest_subnormal
        true = [least, -least, 1, np.nan, -np.nan, np.inf, -np.inf]
        return np.array([0.0, -0.0], dtype), np.array(true, dtype)
    part = np.finfo(dtype).dtype
    false, true = _specials(part)
    zeros = np.zeros(4, dtype)
    zeros.real, zeros.imag = np.repeat(false, 2), np.tile(false, 2)
    numbers = np.zeros(2 * true.size, dtype)
    numbers.real[: true.size] = numbers.imag[true.size :] = true
    return zeros, numbers


def _expected(operation, truths):
    return {"any": truths.any, "all": truths.all, "count_nonzero": truths.sum}[operation]()


def _reduction(operation, dtype):
    found = find(operation, "exact", type_of(dtype), type_of(RESULTS[operation]))
    assert found is not None, f"no {operation} of {dtype}"
    assert not found.ordered
    return found


def _finish(operation, reduction, state):
    out = np.full((), 1, RESULTS[operation])
    assert reduction.finish(state, out) == 0
    return out[()]


def _mixed(dtype, n, share, seed):
    """Values of which about `share` are true, and which they are."""
    rng = np.random.default_rng(seed)
    false, true = _specials(dtype)
    truths = rng.random(n) < share
    values = np.where(truths, rng.choice(true, n), rng.choice(false, n)).astype(dtype)
    if dtype.kind == "b":  # np.where made ones of other bytes
        values = (truths * rng.choice(np.array([1, 2, 128, 255], np.uint8), n)).astype(np.uint8)
        values = values.view(bool)
    return values, truths


@pytest.mark.parametrize("operation", RESULTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_runs(level, dtype, operation):
    reduction = _reduction(operation, dtype)
    for n in LENGTHS:
        for share in (0, 0.01, 0.5, 0.99, 1):
            values, truths = _mixed(dtype, n, share, n)
            state = reduction.identity()
            reduction.accumulate(state, values)
            assert _finish(operation, reduction, state) == _expected(operation, truths), (n, share)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_element_of_many(level, dtype):
    """The only true one, and the only false one, wherever it stands."""
    false, true = _specials(dtype)
    for n in (1, 7, 64, 65, 700):
        for place in {0, n // 3, n - 2, n - 1} & set(range(n)):
            for lonely, others in ((true, false), (false, true)):
                values = np.resize(others, n)
                values[place : place + 1] = lonely[-1:]
                truths = np.full(n, lonely is false)
                truths[place] = lonely is true
                for operation in RESULTS:
                    reduction = _reduction(operation, dtype)
                    state = reduction.identity()
                    reduction.accumulate(state, values)
                    got = _finish(operation, reduction, state)
                    assert got == _expected(operation, truths), (operation, n, place)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_strides_alignment_and_merging(level, dtype):
    rng = np.random.default_rng(7)
    for n in (5, 300, 2000):
        for share in (0, 0.002, 0.998, 1):
            values, truths = _mixed(dtype, n, share, n)
            shifted = np.frombuffer(b"\1" + values.tobytes(), np.uint8)[1:].view(dtype)
            sparse = np.zeros(3 * n, dtype)
            sparse[::3] = values
            for view in (values[::-1], shifted, sparse[::3], sparse[::3][::-1]):
                for operation in RESULTS:
                    reduction = _reduction(operation, dtype)
                    cuts = np.sort(rng.integers(0, n + 1, 4))
                    states = []
                    for part in np.split(view, cuts):
                        state = reduction.identity()
                        reduction.accumulate(state, part)
                        states.append(state)
                    rng.shuffle(states)
                    for other in states[1:]:
                        reduction.combine(states[0], other)
                    got = _finish(operation, reduction, states[0])
                    assert got == _expected(operation, truths)


def test_padding_is_no_part_of_a_long_double(level):
    size = np.finfo(np.longdouble).nmant + 1
    if size != 64:
        pytest.skip("long double has no padding here")
    memory = np.full((100, 16), 255, np.uint8)
    memory[:, :10] = 0
    memory[::2, 9] = 0x80  # -0.0
    for dtype in (np.longdouble, np.clongdouble):
        values = memory.reshape(-1, np.dtype(dtype).itemsize).view(dtype).ravel()
        for operation in RESULTS:
            reduction = _reduction(operation, np.dtype(dtype))
            state = reduction.identity()
            reduction.accumulate(state, values)
            assert _finish(operation, reduction, state) == 0
    grid = memory.view(np.longdouble).reshape(20, 5)
    assert not parallel_any(grid, axis=0).any() and not parallel_any(grid, axis=1).any()


SHAPES = [
    (300, 2),
    (2, 300),
    (300, 3),
    (3, 1100),
    (70, 17),
    (17, 70),
    (700, 100),
    (100, 700),
    (9, 1),
]


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.kind != "M"], ids=str)
def test_columns_and_rows(level, dtype):
    for shape in SHAPES:
        for share in (0.01, 0.99):
            values, truths = _mixed(dtype, shape[0] * shape[1], share, shape[0])
            values, truths = values.reshape(shape), truths.reshape(shape)
            for array, expected in (
                (values, truths),
                (np.asfortranarray(values), truths),
                (np.ascontiguousarray(values)[:, ::-1], truths[:, ::-1]),
                (np.repeat(values, 2, axis=1)[:, ::2], truths),
            ):
                for axis in (0, 1):
                    got = parallel_any(array, axis=axis)
                    assert np.array_equal(got, expected.any(axis=axis)), (shape, axis)
                    got = parallel_all(array, axis=axis)
                    assert np.array_equal(got, expected.all(axis=axis)), (shape, axis)
                    got = parallel_count_nonzero(array, axis=axis)
                    assert np.array_equal(got, expected.sum(axis=axis)), (shape, axis)


def test_tall_columns_count_beyond_a_byte(level):
    """Kernels count in lanes of the element's width, which are emptied in time."""
    for dtype in (np.bool_, np.int16, np.float64):
        for columns in (1, 2, 5, 64, 300):
            ones = np.ones((1500, columns), dtype)
            ones[700, 0] = 0
            counts = parallel_count_nonzero(ones, axis=0)
            assert counts[0] == 1499 and (counts[1:] == 1500).all()
            assert parallel_all(ones, axis=0).tolist() == [False] + [True] * (columns - 1)


def test_results():
    for dtype in DTYPES:
        number = type_of(dtype)
        assert find("any", "fast", number, type_of(np.dtype(bool))) is not None
        assert find("count_nonzero", "exact", number, type_of(np.dtype(np.float64))) is None
