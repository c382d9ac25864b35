"""Arrays of many chunks by real threads: segments, early stops, and where the first one is."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from oracle import nearest
from reference import FUNCTIONS, MinMax, assert_equal, parts, rounded_root

import parsum
from parsum import parallel_dot, parallel_vdot, parallel_vecdot

N = 3_000_000
SHAPES = [(N,), (3, 1_000_000), (1_000_000, 3), (300, 64, 200)]
CASES = [
    (shape, order, axis)
    for shape in SHAPES
    for order in ("C", "F")
    for axis in ([None] if len(shape) == 1 else [*range(len(shape)), None])
    if not (len(shape) == 1 and order == "F")
]
WORKERS = (1, 4)


@cache
def _whole(shape, order):
    """Small whole numbers: sums of them and of their squares are exact in int64 and float64."""
    rng = np.random.default_rng(7)
    return np.asarray(rng.integers(-9, 10, shape), order=order, dtype=np.int64)


@cache
def _data(shape, order, nans=False):
    values = _whole(shape, order).astype(np.float64)
    if nans:
        rng = np.random.default_rng(8)
        values[rng.random(shape) < 0.3] = np.nan
    return values


@cache
def _numpys(name, shape, order, axis):
    with np.errstate(all="ignore"):
        return FUNCTIONS[name].numpys(_data(shape, order, "nan" in name), axis=axis)


@pytest.mark.parametrize(("shape", "order", "axis"), CASES)
def test_compared(shape, order, axis):
    """What is found by comparison: NumPy's answer."""
    for name in ("min", "max", "minmax", "argmin", "argmax", "any", "all", "count_nonzero",
                 "nanmin", "nanmax", "nanargmin", "nanargmax"):  # fmt: skip
        if "nanarg" in name and axis is not None and shape[axis] < 8:
            continue  # some slices are nothing but NaN
        data = _data(shape, order, "nan" in name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = _numpys(name, shape, order, axis)
        for workers in WORKERS:
            with warnings.catch_warnings():  # slices of nothing but NaN: test_family_edges.py
                warnings.simplefilter("ignore", RuntimeWarning)
                actual = FUNCTIONS[name].ours(data, axis=axis, workers=workers)
            for left, right in zip(parts(actual), parts(expected), strict=True):
                assert_equal(left, right, f"{name} {workers}")


@pytest.mark.parametrize(("shape", "order", "axis"), CASES)
def test_rounded(shape, order, axis):
    """Quotients and roots of whole numbers, which float64 rounds once."""
    whole, data = _whole(shape, order), _data(shape, order)
    n = whole.size if axis is None else shape[axis]
    s, q = whole.sum(axis), (whole * whole).sum(axis)
    assert n * np.max(q) < 2**53
    expected = {
        "sum": s.astype(float),
        "mean": s / n,
        "var": (n * q - s * s) / (n * n),
        "norm 2": np.sqrt(q),
        "norm 1": np.abs(whole).sum(axis).astype(float),
        "norm inf": np.abs(whole).max(axis).astype(float),
        "norm -inf": np.abs(whole).min(axis).astype(float),
        "norm 0": np.count_nonzero(whole, axis).astype(float),
    }
    for name, right in expected.items():
        if name.startswith("norm") and axis is None and data.ndim > 1:
            continue
        for workers in WORKERS:
            actual = FUNCTIONS[name].ours(data, axis=axis, workers=workers)
            assert_equal(actual, right, f"{name} {workers}")
    for workers in WORKERS:
        left, right = (
            np.ravel(parsum.parallel_std(data, axis, workers=workers)),
            np.sqrt(expected["var"]),
        )
        np.testing.assert_allclose(left, np.ravel(right), 1e-15)
        for k in range(0, left.size, left.size // 50 + 1):
            value = Fraction(int(n * np.ravel(q)[k] - np.ravel(s)[k] ** 2), n * n)
            assert left[k] == rounded_root(value, np.float64)
        assert_equal(parallel_vdot(data, data, workers=workers), float((whole * whole).sum()))
        if axis is not None:
            dots = parallel_vecdot(data, data[::-1, ...], axis=axis, workers=workers)
            assert_equal(dots, (whole * whole[::-1]).sum(axis).astype(float))


@pytest.mark.parametrize(("shape", "order", "axis"), CASES)
def test_without_nan(shape, order, axis):
    data = _data(shape, order, True)
    there = ~np.isnan(data)
    whole = np.where(there, _whole(shape, order), 0)
    n, s, q = there.sum(axis), whole.sum(axis), (whole * whole).sum(axis)
    with np.errstate(all="ignore"):
        expected = {
            "nansum": s.astype(float),
            "nanmean": s / n,
            "nanvar": (n * q - s * s) / (n * n),
        }
    for name, right in expected.items():
        for workers in WORKERS:
            with (
                pytest.warns(RuntimeWarning)
                if not np.min(n) and name != "nansum"
                else nullcontext()
            ):
                actual = FUNCTIONS[name].ours(data, axis=axis, workers=workers)
            assert_equal(actual, right, f"{name} {workers}")


@pytest.mark.parametrize("code", ["?", "b", "H", "i", "Q", "e", "f", "g", "F", "D", "m8[s]", ">f8"])
def test_dtypes(code):
    """One long run of every kind of element, forwards and backwards."""
    whole = _whole((N,), "C")
    if np.dtype(code).kind == "u":
        whole = np.abs(whole)
    data = whole.astype(code)
    for name, function in FUNCTIONS.items():
        if np.dtype(code).kind not in function.kinds or "prod" in name or name[5:] in ("3", "0.5"):
            continue
        if name in ("var", "std", "nanvar", "nanstd", "mean", "nanmean", "sum", "nansum") or (
            name in ("norm 1", "norm 2")
        ):
            continue
        with warnings.catch_warnings():  # NumPy sums float16 in float16
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = function.numpys(data)
        for view in (data, data[::-1]):
            if "arg" in name and view is not data:
                expected = function.numpys(view)
            for workers in WORKERS:
                with np.errstate(over="ignore"):  # the count of a float16 norm
                    actual = function.ours(view, workers=workers)
                for left, right in zip(parts(actual), parts(expected), strict=True):
                    assert_equal(left, right, f"{name} {workers}")
    if np.dtype(code).kind in "fc" and code != "g":
        real = np.abs(whole).astype(object) if np.dtype(code).kind == "u" else whole
        s, q = int(real.sum()), int((real * real).sum())
        out = np.empty(0, code).real.dtype.newbyteorder("=")
        for workers in WORKERS:
            mean = parsum.parallel_mean(data, workers=workers)
            assert mean == nearest(Fraction(s, N), out)
            var = parsum.parallel_var(data, workers=workers)
            assert var == nearest(Fraction(N * q - s * s, N * N), out)
            norm = parsum.parallel_norm(data, workers=workers)
            assert norm == rounded_root(Fraction(q), out)


@pytest.mark.parametrize("name", ["argmin", "argmax", "nanargmin", "nanargmax", "min", "max"])
def test_the_first_of_many(name):
    """Ties in all segments: the first in C order, wherever it is and whoever finds one."""
    function = FUNCTIONS[name]
    extreme = -5.0 if name.endswith("min") else 5.0
    rng = np.random.default_rng(3)
    for shape, order in [((N,), "C"), ((1500, 2000), "C"), ((1500, 2000), "F"), ((3, N // 3), "F")]:
        base = np.asarray(rng.random(shape), order=order)
        for first in (0, 1, 999_999, N // 2, N - 1):
            data = base.copy(order="K")
            later = rng.integers(first, N, 100)
            data[np.unravel_index(np.append(later, first), shape)] = extreme
            for workers in WORKERS:
                actual = function.ours(data, workers=workers)
                assert actual == (first if "arg" in name else extreme)
                if data.ndim == 1:
                    actual = function.ours(data[::-1], workers=workers)
                    last = N - 1 - int(max(later.max(), first))
                    assert actual == (last if "arg" in name else extreme)


@pytest.mark.parametrize("name", ["min", "max", "argmin", "argmax", "minmax"])
def test_one_nan_in_any_segment(name):
    """It wins, the first of them, though everybody could stop at theirs."""
    function = FUNCTIONS[name]
    base = np.random.default_rng(4).random(N)
    for places in ([0], [N - 1], [N // 2], [700_000, 2_100_000], [5, N - 5], range(1000, N, 1000)):
        data = base.copy()
        data[list(places)] = np.nan
        for workers in WORKERS:
            actual = function.ours(data, workers=workers)
            if "arg" in name:
                assert actual == places[0]
            else:
                assert all(np.isnan(k) for k in parts(actual))
            if "arg" not in name:
                continue
            backwards = function.ours(data[::-1], workers=workers)
            assert backwards == N - 1 - places[-1]


@pytest.mark.parametrize("code", ["?", "b", "i", "e", "f", "d", "D"])
def test_early_stops(code):
    """One element that decides, in any place; and none."""
    for name, filling, other in (("any", 0, 1), ("all", 1, 0)):
        function = FUNCTIONS[name].ours
        data = np.full(N, filling).astype(code)
        for workers in WORKERS:
            assert function(data, workers=workers) == filling
            for place in (0, 1, 4097, N // 3, N // 2 + 1, N - 1):
                data[place] = other
                assert function(data, workers=workers) == other
                assert function(data[::-1], workers=workers) == other
                wide = function(data.reshape(-1, 3), axis=0, workers=workers)
                assert wide.tolist() == [
                    bool(other if k == place % 3 else filling) for k in (0, 1, 2)
                ]
                data[place] = filling


@pytest.mark.parametrize(
    "name", ["min", "max", "any", "all", "mean", "var", "count_nonzero", "sum"]
)
def test_masks_and_where(name):
    """Elements left out, by a mask that changes all along."""
    function = FUNCTIONS[name]
    data = _data((N,), "C")
    where = np.random.default_rng(5).random(N) < 0.5
    where[: N // 2] &= np.arange(N // 2) % 7 == 0
    kwargs = {"initial": 100.0} if "initial" in function.keywords else {}
    expected = function.numpys(data, where=where, **kwargs)
    for workers in WORKERS:
        actual = function.ours(data, where=where, workers=workers, **kwargs)
        np.testing.assert_allclose(actual, expected, 1e-12)
        masked = function.ours(np.ma.array(data, mask=~where), workers=workers, **kwargs)
        assert masked == actual


def test_dot_of_long_vectors():
    """Hard data: products beyond the range, and cancelling."""
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((2, 1_000_000))
    a = np.concatenate([a, [1e300, 3.0], -a])
    b = np.concatenate([b, [1e300, 5.0], b])
    a[0], a[-1000_000] = 1e200, -1e200
    b[0] = b[-1000_000] = 1e200
    a[1_000_000], b[1_000_000] = 0.0, 1e308
    for workers in WORKERS:
        assert parallel_dot(a, b, workers=workers) == 15
    with np.errstate(over="ignore"):
        a[1_000_000] = 1e308
        assert parallel_dot(a, b) == np.inf


def test_products_of_long_vectors():
    """Every factor has its inverse, a power of two."""
    rng = np.random.default_rng(9)
    exponents = rng.integers(-1000, 1000, 1_000_000)
    data = np.ldexp(1.0, np.concatenate([exponents, -exponents, [10]]))
    data[rng.integers(0, data.size, 1)] *= -1
    for workers in WORKERS:
        assert parsum.parallel_prod(data, workers=workers) == -1024
        grid = parsum.parallel_prod(data[:-1].reshape(2, -1).T, axis=1, workers=workers)
        assert np.abs(grid).max() == np.abs(grid).min() == 1


def test_minmax_is_both():
    both = parsum.parallel_minmax(_data((N,), "C"), workers=3)
    assert isinstance(both, parsum.MinMax) and not isinstance(both, MinMax)
    assert tuple(both) == (-9, 9)
