"""Variances, deviations and norms of short columns and rows: the bounds decide, or a state does."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import assert_same_bits
from reference import dot_of, norm2_of, std_of, values, var_of

from parsum import parallel_nanvar, parallel_norm, parallel_std, parallel_var, parallel_vecdot

# Of overflow, of degrees of freedom that are not left, and of nothing but NaN.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

FLOATS = [np.float16, np.float32, np.float64]
# Around vectors, rows that stay in registers, rows that are turned, and tiles.
COLUMNS = [1, 2, 3, 7, 8, 9, 15, 17, 63, 65]
ROWS = [1, 2, 3, 4, 7, 8, 9, 16, 17, 33, 100]


def _random(rng, shape, dtype):
    return rng.standard_normal(shape)


def _near_constant(rng, shape, dtype):
    """Deviations of a few units in the last place: n S2 - S1^2 cancels almost all of it."""
    return 1000 + rng.integers(-2, 3, shape) * float(np.spacing(dtype(1000)))


def _constant(rng, shape, dtype):
    return np.broadcast_to(rng.standard_normal(shape[1]), shape)


def _integers(rng, shape, dtype):
    return rng.integers(-3, 4, shape)


def _outlier(rng, shape, dtype):
    array = rng.standard_normal(shape) * 1e-3
    array[rng.integers(shape[0]), :] = 1e4
    return array


def _far_apart(rng, shape, dtype):
    """Exponents over half of the range, so that squares cover all of it and more."""
    most = np.finfo(dtype).maxexp // 2
    return np.ldexp(rng.standard_normal(shape), rng.integers(-most, most, shape))


def _ends(rng, shape, dtype):
    """Squares that vanish or are infinite."""
    info = np.finfo(dtype)
    return rng.choice([info.max, -info.max, info.tiny, info.smallest_subnormal, 0.0], shape)


def _special(rng, shape, dtype):
    array = rng.standard_normal(shape)
    array[rng.random(shape) < 0.1] = np.nan
    array[rng.random(shape) < 0.05] = np.inf
    return array


DATA = [
    _random, _near_constant, _constant, _integers, _outlier, _far_apart, _ends, _special,
]  # fmt: skip


def _rows_of(data, rows, columns, dtype, seed=0):
    rng = np.random.default_rng([seed, rows, columns])
    with np.errstate(all="ignore"):
        return data(rng, (rows, columns), dtype).astype(dtype)


def _check(actual, oracle, lines, note):
    with np.errstate(all="ignore"):
        expected = np.array([oracle(line) for line in lines], actual.dtype)
    assert_same_bits(actual, expected, note)


@pytest.mark.parametrize("data", DATA, ids=lambda data: data.__name__.strip("_"))
@pytest.mark.parametrize("dtype", FLOATS)
def test_columns_and_rows(level, dtype, data):
    """By both orders of memory: down columns, and along rows."""
    for rows in ROWS:
        columns = COLUMNS[(rows * 7) % len(COLUMNS)]
        array = _rows_of(data, rows, columns, dtype)
        for view in (array, np.asfortranarray(array)):
            for ddof in (0, 1, 0.5):
                note = f"{data.__name__} {rows} {columns} {view.strides} {ddof}"
                var = parallel_var(view, axis=0, ddof=ddof)
                std = parallel_std(view, axis=0, ddof=ddof)
                _check(var, lambda line, d=ddof: var_of(line, dtype, d), array.T, f"var {note}")
                _check(std, lambda line, d=ddof: std_of(line, dtype, d), array.T, f"std {note}")
            norm = parallel_norm(view, axis=0)
            _check(norm, lambda line: norm2_of(line, dtype), array.T, f"norm {note}")


@pytest.mark.parametrize("style", ["ties", "random", "finite hard", "nans"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_inner_products(level, dtype, style):
    """Down columns and along rows, of layouts that are not alike too; some cancel to zero."""
    for rows in ROWS:
        columns = COLUMNS[(rows * 5) % len(COLUMNS)]
        a, b = (
            values(style, rows * columns, np.dtype(dtype).char, seed).reshape(rows, columns)
            for seed in (rows, rows + 1)
        )
        if rows > 1:
            a[-1, 0], b[-1, 0] = -a[0, 0], b[0, 0]
        for left in (a, np.asfortranarray(a)):
            for right in (b, np.asfortranarray(b)):
                note = f"{style} {rows} {columns} {left.strides} {right.strides}"
                with np.errstate(all="ignore"):
                    actual = parallel_vecdot(left, right, axis=0)
                    expected = [dot_of(x, y, dtype) for x, y in zip(a.T, b.T, strict=True)]
                assert_same_bits(actual, np.array(expected, dtype), note)


def test_products_that_cancel_near_the_least_number():
    """Between bounds that round to -0.0 and to 0.0 there are two results: it is 0.0."""
    for dtype in FLOATS:
        tiny = np.finfo(dtype).tiny
        a = np.array([[1, -1, 1] * 9, [-1, 1, 1] * 9], dtype)
        b = np.full((2, 27), tiny, dtype)
        actual = parallel_vecdot(a, b, axis=0)
        assert_same_bits(actual, np.array([0, 0, 2 * tiny] * 9, dtype), str(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sign", [1, -1])
def test_products_that_overflow(dtype, sign):
    """They are infinite, and reported."""
    a = np.full((2, 20), np.finfo(dtype).max, dtype)
    for left in (a, np.asfortranarray(a)):
        with np.errstate(over="ignore"):
            assert np.all(parallel_vecdot(left, sign * a, axis=0) == sign * np.inf)
        with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
            parallel_vecdot(left, sign * a, axis=0)


@pytest.mark.parametrize("to", FLOATS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_results_of_other_dtypes(level, dtype, to):
    """Rounded once to the result's dtype, narrower or wider than the elements'."""
    for data in (_random, _near_constant, _ends):
        array = _rows_of(data, 9, 40, dtype, seed=1)
        actual = parallel_var(array, axis=0, dtype=to)
        _check(actual, lambda line: var_of(line, to), array.T, f"{data.__name__} {dtype} {to}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("columns", [8, 1000, 1025, 4097, 5003])
def test_many_columns(dtype, columns):
    """More columns than a tile has: none is left out or taken twice."""
    array = _rows_of(_random, 3, columns, dtype)
    _check(parallel_var(array, axis=0), lambda line: var_of(line, dtype), array.T, "axis 0")
    rows = np.ascontiguousarray(array.T)
    _check(parallel_var(rows, axis=1), lambda line: var_of(line, dtype), array.T, "axis 1")


def test_deviation_of_pairs():
    """|a - b| / 2 is often half way between two doubles, where bounds decide nothing."""
    rng = np.random.default_rng(3)
    pairs = rng.standard_normal((2, 500)) * np.array([[1.0], [2.0**-30]])
    for dtype in (np.float32, np.float64):
        array = pairs.astype(dtype)
        _check(parallel_std(array, axis=0), lambda line, d=dtype: std_of(line, d), array.T, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_columns_with_nan(dtype, share):
    """Few columns with NaN are reduced again without; many go another way."""
    rng = np.random.default_rng(4)
    array = rng.standard_normal((6, 3000)).astype(dtype)
    array[rng.random(array.shape) < share] = np.nan

    def oracle(line):
        line = line[~np.isnan(line)]
        return var_of(line, dtype) if line.size else dtype(np.nan)

    for view, axis in ((array, 0), (np.ascontiguousarray(array.T), 1)):
        actual = parallel_nanvar(view, axis=axis)
        _check(actual, oracle, array.T, f"{dtype} {share} {axis}")
