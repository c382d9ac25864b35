"""Two- and three-dimensional sizes at which tiles, blocks and slices of the walker cross."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import assert_same_bits, exact_sum, expected_along, expected_sum
from strategies import COMPLEX, FAMILIES, FLOATS, generate

from parsum import parallel_sum

SIMPLE = [
    np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64,
    *FLOATS, *COMPLEX, np.longdouble,
]  # fmt: skip
ROWS = [511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049]
COLUMNS = [*range(1, 71), 255, 256, 257, 511, 512, 513, 1023, 1024, 1025]


def _sparse_whole(shape, dtype, seed=0):
    """Mostly zeros, and whole numbers that keep every sum exact in every dtype, float16 too."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, shape, dtype=np.int8)
    if np.dtype(dtype) == np.bool_:
        return values > 0
    if np.dtype(dtype).kind not in "u":
        values -= 1
    if np.dtype(dtype) == np.float16:
        values[rng.random(shape) < 0.9] = 0
    values = values.astype(dtype)
    if np.dtype(dtype).kind == "c":
        values += 1j * values[::-1]
    return values


def _check(values, **kwargs):
    expected = np.sum(values, **{k: v for k, v in kwargs.items() if k != "workers"})
    assert_same_bits(parallel_sum(values, **kwargs), expected, f"{values.shape} {kwargs}")


@pytest.mark.parametrize("dtype", SIMPLE, ids=str)
@pytest.mark.parametrize("width", range(1, 10))
def test_narrow(dtype, width):
    """(N, 1..9) down its columns, (1..9, N) along its rows, and both the other way."""
    for n in (0, 1, 2, 31, 64, 513, 2049, 20_011):
        tall = _sparse_whole((n, width), dtype)
        for workers in (1, 3):
            _check(tall, axis=0, workers=workers)
            _check(tall, axis=1, workers=workers)
            _check(np.ascontiguousarray(tall.T), axis=1, workers=workers)
            _check(np.ascontiguousarray(tall.T), axis=0, workers=workers)


@pytest.mark.parametrize("dtype", SIMPLE, ids=str)
@pytest.mark.parametrize("rows", ROWS)
def test_rows(dtype, rows):
    for columns in (1, 3, 8, 65, 300):
        values = _sparse_whole((rows, columns), dtype)
        _check(values, axis=0, workers=3)
        _check(values, axis=1, workers=3)
        _check(values.T, axis=0, workers=2)


@pytest.mark.parametrize("dtype", SIMPLE, ids=str)
def test_columns(dtype):
    for columns in COLUMNS:
        for rows in (3, 70):
            values = _sparse_whole((rows, columns), dtype)
            _check(values, axis=0)
            _check(values, axis=1)
            _check(values[:, ::-1], axis=0, workers=2)


@pytest.mark.parametrize("dtype", SIMPLE, ids=str)
@pytest.mark.parametrize(
    "shape", [(3, 2000, 5), (600, 3, 70), (70, 600, 3), (2, 130, 520), (5, 1025, 9)]
)
def test_middle_axes(dtype, shape):
    values = _sparse_whole(shape, dtype)
    for axis in (0, 1, 2, (0, 1), (0, 2), (1, 2)):
        for workers in (1, 3):
            _check(values, axis=axis, workers=workers)


def _hard_columns(dtype, rows, columns, seed):
    """Each column of another family, so that a tile meets all of them side by side."""
    values = np.empty((rows, columns), dtype)
    for k in range(columns):
        values[:, k] = generate(sorted(FAMILIES)[k % len(FAMILIES)], rows, dtype, seed + k)
    return values


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize(
    ("rows", "columns"), [(5, 40), (513, 23), (1030, 41), (2049, 5), (70, 260)]
)
def test_hard_columns(dtype, rows, columns):
    values = _hard_columns(dtype, rows, columns, rows)
    with np.errstate(all="ignore"):
        expected = expected_along(values, 0)
        for workers in (1, 2, 5):
            assert_same_bits(parallel_sum(values, axis=0, workers=workers), expected)
        turned = np.ascontiguousarray(values.T)
        for workers in (1, 3):
            assert_same_bits(parallel_sum(turned, axis=1, workers=workers), expected)
        assert_same_bits(parallel_sum(turned.T, axis=0), expected)
        assert_same_bits(parallel_sum(values, workers=4), expected_sum(values))
        assert_same_bits(parallel_sum(values[::-1, ::-1], axis=0), expected[::-1].copy())


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("columns", [1, 2, 3, 7, 8, 9, 16, 17, 33, 64, 65])
def test_one_odd_column(dtype, columns):
    """A column that needs the long way leaves its neighbours as they are."""
    rows = 700
    calm = generate("integers", rows * columns, dtype).reshape(rows, columns)
    info = np.finfo(dtype)
    for odd in {0, columns // 2, columns - 1}:
        for column in (
            [np.nan], [np.inf], [-np.inf], [np.inf, -np.inf], [info.max, info.max, -info.max],
            [info.max, info.max], [info.smallest_subnormal] * 5, [-0.0] * rows,
        ):  # fmt: skip
            values = calm.copy()
            values[:, odd] = 0 if column[0] else -0.0
            values[100 : 100 + len(column), odd] = column[: rows - 100]
            with np.errstate(all="ignore"):
                expected = np.sum(calm, axis=0, dtype=np.float64).astype(dtype)
                expected[odd] = exact_sum(values[:, odd])
                for workers in (1, 3):
                    actual = parallel_sum(values, axis=0, workers=workers)
                    assert_same_bits(actual, expected, f"{odd} {column[:3]}")
                turned = np.ascontiguousarray(values.T)
                assert_same_bits(parallel_sum(turned, axis=1), expected, f"{odd} {column[:3]}")


@pytest.mark.parametrize("dtype", FLOATS)
def test_zero_columns(dtype):
    values = np.full((600, 67), -0.0, dtype)
    assert_same_bits(parallel_sum(values, axis=0), np.full(67, -0.0, dtype))
    assert_same_bits(parallel_sum(values, axis=1), np.full(600, -0.0, dtype))
    values[599, 5] = 0.0
    expected = np.full(67, -0.0, dtype)
    expected[5] = 0.0
    assert_same_bits(parallel_sum(values, axis=0), expected)
    assert_same_bits(parallel_sum(values, axis=0, workers=4), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_ranges_that_drift(dtype):
    """Blocks of very different size one after the other, where an old range no longer fits."""
    precision = np.finfo(dtype).nmant
    blocks = []
    for k, exponent in enumerate([0, 10, -10, 14, -14, 5, -24, 15]):
        scale = 1.0 if dtype is np.float16 else (8.0 if dtype is np.float32 else 60.0)
        with np.errstate(all="ignore"):
            block = generate("uniform", 3000, np.float64, k) * 2.0 ** (exponent * scale - 1)
        blocks.append(np.minimum(block, np.finfo(dtype).max / 8).astype(dtype))
    values = np.concatenate(blocks) * dtype(0.125)
    values[::2] *= -1
    assert precision > 0
    with np.errstate(all="ignore"):
        for workers in (1, 2, 3):
            assert_same_bits(parallel_sum(values, workers=workers), exact_sum(values))
        grid = values.reshape(-1, 6)
        assert_same_bits(parallel_sum(grid, axis=0), expected_along(grid, 0))
        grid = values.reshape(6, -1)
        assert_same_bits(parallel_sum(grid, axis=1), expected_along(grid, 1))


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_many_results(method):
    """More results than one slice of work has."""
    values = _sparse_whole((3, 400_000), np.float64)
    for workers in (1, 2):
        actual = parallel_sum(values, axis=0, method=method, workers=workers)
        assert_same_bits(actual, np.sum(values, axis=0))
        turned = np.ascontiguousarray(values.T)
        actual = parallel_sum(turned, axis=1, method=method, workers=workers)
        assert_same_bits(actual, np.sum(turned, axis=1))
        actual = parallel_sum(values, axis=(), method=method, workers=workers)
        assert_same_bits(actual, values + 0.0)


def test_nothing_is_summed_over():
    """axis=() gives the elements, each rounded to the result dtype."""
    values = np.array([[-0.0, 1.0], [np.nan, np.inf]])
    assert_same_bits(parallel_sum(values, axis=()), values)
    with np.errstate(over="ignore"):
        assert_same_bits(
            parallel_sum(np.array([1e300, 1.1]), axis=(), dtype=np.float32),
            np.array([np.inf, 1.1], np.float32),
        )
