"""Cumulative sums and products: each prefix against rationals, all else against NumPy."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out
from oracle import assert_same_bits, nearest, round_integer
from reference import (
    COMPLEX,
    FLOATS,
    arrays,
    assert_alike,
    assert_equal,
    assert_same_outcome,
    assert_same_outputs,
    bits,
    dtypes_of,
    examples,
    outcome,
    poison,
    scaled,
    values,
    wrapped,
)
from schedules import scheduled_scans

from parsum import parallel_cumprod, parallel_cumsum

BOTH = {"cumsum": (parallel_cumsum, np.cumsum), "cumprod": (parallel_cumprod, np.cumprod)}
KINDS = {"cumsum": "biufcm", "cumprod": "biufc"}


def prefix_sums(flat, dtype):
    """Every prefix of a flat array, exact and rounded once."""
    if dtype.kind == "m":
        # NumPy's own prefixes are NaT from where one wraps to NaT; here only after a NaT.
        whole = prefix_sums(flat.astype(np.int64), np.dtype(np.int64)).astype(dtype)
        whole[np.logical_or.accumulate(np.isnat(flat))] = np.timedelta64("NaT")
        return whole
    if dtype.kind == "c":
        pair = np.empty((flat.size, 2), np.empty(0, dtype).real.dtype)
        pair[:, 0] = prefix_sums(flat.real, pair.dtype)
        if flat.dtype.kind == "c":
            pair[:, 1] = prefix_sums(flat.imag, pair.dtype)
        else:
            pair[:, 1] = 0
        return pair.view(dtype)[:, 0]
    if dtype.kind in "iu":
        return np.array([wrapped(k, dtype)[0] for k in accumulate(flat.tolist())], dtype)
    result = np.empty(flat.size, dtype)
    finite = np.isfinite(flat) if flat.dtype.kind == "f" else np.ones(flat.size, bool)
    whole, shift = scaled(np.where(finite, flat, flat.dtype.type(0)))
    total, special, negative = 0, 0.0, True
    for k, value in enumerate(whole):
        with np.errstate(invalid="ignore"):
            special = special if finite[k] else special + flat[k]
        total += value
        negative = negative and bool(flat.dtype.kind == "f" and np.signbit(flat[k]))
        if special != 0:
            result[k] = special
        elif total == 0:
            result[k] = -0.0 if negative and not flat[: k + 1].any() else 0.0
        else:
            result[k] = round_integer(total << 1200, dtype, shift + 1200)
    return result


def along(function, array, axis, dtype):
    """The prefixes of every line of an array."""
    if axis is None:
        return function(array.ravel(), dtype)
    moved = np.moveaxis(array, axis, -1) if array.ndim else array.reshape(1)
    result = np.empty(moved.shape, dtype)
    for index in np.ndindex(*moved.shape[:-1]):
        result[index] = function(moved[index], dtype)
    return np.moveaxis(result, -1, axis) if array.ndim else result


@st.composite
def calls(draw, name):
    array = draw(arrays(dtypes_of(KINDS[name])))
    kwargs = {}
    if draw(st.integers(0, 3)):
        ndim = array.ndim
        kwargs["axis"] = draw(st.integers(-ndim, ndim - 1) if ndim else st.just(0))
    if draw(st.integers(0, 3)) == 0 and array.dtype.kind != "m":
        kwargs["dtype"] = np.dtype(
            draw(st.sampled_from("FD" if array.dtype.kind == "c" else "efd"))
        )
    return array, kwargs


def run_both(draw, name, array, kwargs):
    ours, numpys = BOTH[name]
    expected = outcome(numpys, array, **kwargs)
    note = f"{name} {array.dtype} {array.shape} {array.strides} {kwargs}\n{array!r}"
    out = None
    if draw(st.integers(0, 2)) == 0:
        like = expected.value
        wide = np.zeros((*like.shape, 2), like.dtype)
        out = draw(st.sampled_from([wide[..., 1], np.zeros_like(like, order="F")]))
        kwargs = {**kwargs, "out": out}
    poison(expected.value.nbytes)
    with scheduled_scans(
        draw(st.integers(1, 5)), draw(st.sampled_from([64, 4096])), draw(st.integers(0, 99))
    ):
        actual = outcome(ours, array, **kwargs)
    assert_same_outcome(actual, expected, note)
    assert_alike(actual.value, expected.value, note)
    assert out is None or actual.value is out
    return actual.value, note


@examples(200)
@given(data=st.data())
def test_sums(data):
    """Exact, and rounded once to the result's dtype."""
    array, kwargs = data.draw(calls("cumsum"))
    actual, note = run_both(data.draw, "cumsum", array, kwargs)
    if actual.dtype.char in "gG" or array.dtype.char in "gG":
        with np.errstate(all="ignore"):
            wide = array.astype("G" if array.dtype.kind == "c" else "g")
            expected = np.cumsum(wide, kwargs.get("axis"))
            size = np.cumsum(np.abs(wide), kwargs.get("axis"))
            info = np.finfo(actual.dtype)
            limit = 4 * info.eps * array.size * size + info.smallest_subnormal
            bad = ~(np.abs(actual - expected) <= limit) & (size < info.max / 4)
        assert not bad.any(), note
        return
    expected = along(prefix_sums, array, kwargs.get("axis"), actual.dtype)
    assert_same_bits(actual, expected, note)


def prefix_products(flat, dtype):
    """The least and the greatest of every prefix that the bound on products lets through."""
    result = np.empty((flat.size, 2), dtype)
    finite = np.isfinite(flat)
    whole, shift = scaled(np.where(finite, flat, np.ones((), flat.dtype)))
    product, nan, infinite, zero, sign = Fraction(1), False, False, False, 1
    for k, value in enumerate(whole):
        sign *= -1 if np.signbit(flat[k]) else 1
        nan |= bool(np.isnan(flat[k]))
        infinite |= bool(np.isinf(flat[k]))
        zero |= flat[k] == 0
        product *= Fraction(value or 1, 1 << shift if value else 1)
        if nan or (infinite and zero):
            result[k] = np.nan
        elif infinite or zero:
            result[k] = sign * (np.inf if infinite else 0.0)
        else:
            # Prefixes are multiplied in working precision: two roundings to a factor at most.
            off = product * (k + 2) / 2**52
            result[k] = nearest(product - off, dtype), nearest(product + off, dtype)
    return result


@examples(150)
@given(data=st.data())
def test_products(data):
    """Floats within the bound of a product, integers modulo a power of two."""
    array, kwargs = data.draw(calls("cumprod"))
    actual, note = run_both(data.draw, "cumprod", array, kwargs)
    axis = kwargs.get("axis")
    dtype = actual.dtype
    if dtype.kind in "iu":
        expected = outcome(np.cumprod, array, axis).value
        assert_equal(actual, expected, note)
    elif dtype.kind == "f" and "g" not in dtype.char + array.dtype.char:
        if array.size > 300:
            return  # so many fractions take too long
        pairs = along(lambda flat, _: list_of(prefix_products(flat, dtype)), array, axis, object)
        for found, pair in zip(actual.ravel(), pairs.ravel(), strict=True):
            assert bits(found) in map(bits, pair) or min(pair) <= found <= max(pair), note
    else:
        with np.errstate(all="ignore"):
            expected = np.cumprod(array.astype("G" if dtype.kind == "c" else "g"), axis)
            size = np.cumprod(np.abs(array).astype("g"), axis)
            small = np.minimum.accumulate(np.where(size == 0, 1, size).ravel()).min(initial=1)
        if (
            0 < array.size < 100
            and np.isfinite(expected).all()
            and small > 1e-30
            and size.max() < 1e30
        ):
            limit = 8 * np.finfo(dtype).eps * array.size * size
            assert np.all(np.abs(actual - expected) <= limit), note


def list_of(pairs):
    """An array of objects, each a pair."""
    result = np.empty(len(pairs), object)
    for k, pair in enumerate(pairs):
        result[k] = tuple(pair)
    return result


@pytest.mark.parametrize("name", BOTH)
def test_determinism(name):
    """The same bits from any workers, in any order, in all layouts."""
    function = BOTH[name][0]
    for code in ["b", "Q", "e", "f", "d", "D", "g"]:
        for style, shape in [("hard", (9000,)), ("random", (20, 700)), ("ties", (3000, 5))]:
            array = values(style, math.prod(shape), code, 2).reshape(shape)
            for axis in (None, *range(len(shape))):
                with np.errstate(all="ignore"):
                    expected = function(array, axis, workers=1)
                    for workers in (2, 3, 5, 9):
                        with scheduled_scans(workers, 64 << workers % 4, workers):
                            actual = function(array, axis)
                        note = f"{name} {code} {style} {shape} {axis} {workers}"
                        assert_same_outputs(actual, expected, note)
                    for layout in LAYOUTS:
                        actual = function(lay_out(array, layout), axis)
                        note = f"{name} {code} {style} {shape} {axis} {layout}"
                        assert_same_outputs(actual, expected, note)


@pytest.mark.parametrize("shape", [(3_000_000,), (3, 1_000_000), (1_000_000, 3), (300, 64, 200)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large(shape, order):
    """By real threads: whole numbers, whose prefixes NumPy has exactly."""
    whole = np.asarray(np.random.default_rng(1).integers(-9, 10, shape), order=order)
    for axis in (None, *range(len(shape))):
        expected = np.cumsum(whole, axis)
        for code in ("d", "q"):
            data = whole.astype(code)
            for workers in (1, 4):
                actual = parallel_cumsum(data, axis, workers=workers)
                assert_equal(actual, expected, f"{code} {axis} {workers}")
        signs = np.where(whole < 0, -1.0, 1.0)
        for workers in (1, 4):
            actual = parallel_cumprod(signs, axis, workers=workers)
            assert_equal(actual, np.cumprod(signs, axis), f"{axis} {workers}")


@pytest.mark.parametrize("name", BOTH)
def test_as_numpy(name):
    """Empty arrays, one element, axes that are not there, outputs that do not fit."""
    ours, numpys = BOTH[name]
    for code in dtypes_of(KINDS[name]):
        for shape in [(), (0,), (2, 0), (0, 2), (1,), (1, 1), (2, 3)]:
            array = values("ties", math.prod(shape), code, 1).reshape(shape)
            for axis in (None, 0, -1, 1, 2, -3):
                expected = outcome(numpys, array, axis)
                actual = outcome(ours, array, axis)
                assert_same_outcome(actual, expected, f"{code} {shape} {axis}")
                if expected.error is None:
                    assert_alike(actual.value, expected.value, f"{code} {shape} {axis}")
                    assert_equal(actual.value, expected.value)
    for array in ([1, 2, 3], 5, [[1.5], [2.5]], (True, False)):
        assert_equal(ours(array), numpys(array))
    for axis in (1.5, "0", (0,)):
        assert outcome(ours, np.ones(3), axis).error is TypeError
    for out in (np.zeros(2), np.zeros((3, 1)), np.zeros(())):
        assert outcome(ours, np.ones(3), out=out).error is ValueError
    assert outcome(ours, np.ones(3), out=[0, 0, 0]).error is TypeError
    for bad in (["a"], np.array([None]), np.zeros(2, "M8[s]")):
        assert outcome(ours, bad).error is TypeError
    for kwargs in ({"workers": 0}, {"method": "x"}):
        assert outcome(ours, np.ones(3), **kwargs).error is ValueError


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("code", ["b", "i", "Q", "f", "d", "D", ">f8"])
@pytest.mark.parametrize("of", ["h", "d"])
def test_outputs(name, code, of):
    """Of any dtype, as NumPy writes to them."""
    array = np.array([[1.5, 1.5, 2.0], [1.0, 2.0, 0.5]]).astype(of)
    for axis in (None, 0, 1):
        shape = (6,) if axis is None else (2, 3)
        ours, theirs = np.zeros(shape, code), np.zeros(shape, code)
        expected = outcome(BOTH[name][1], array, axis, out=theirs)
        actual = outcome(BOTH[name][0], array, axis, out=ours)
        assert_same_outcome(actual, expected)
        assert_equal(ours, theirs, f"{axis}")


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("code", ["q", "d", "D", "e"])
def test_in_place(name, code):
    """The results may go where the elements are, or overlap them."""
    function = BOTH[name][0]
    for shape in [(5000,), (70, 60), (4, 5, 30)]:
        array = values("ties", math.prod(shape), code, 4).reshape(shape)
        for axis in range(len(shape)):
            with np.errstate(all="ignore"):
                expected = function(array, axis)
                for workers in (1, 3):
                    copy = array.copy()
                    with scheduled_scans(workers, 64, 1):
                        assert function(copy, axis, out=copy) is copy
                    assert_same_outputs(copy, expected, f"{shape} {axis} {workers}")
                    copy = array.copy()
                    with scheduled_scans(workers, 64, 1):
                        function(copy, axis, out=copy[::-1])
                    assert_same_outputs(copy[::-1], expected, f"{shape} {axis} {workers}")
    line = values("ties", 5001, code, 4)
    with np.errstate(all="ignore"):
        expected = function(line[:-1])
        function(line[:-1], out=line[1:])
    assert_same_outputs(line[1:], expected)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("code", ["h", *FLOATS, *COMPLEX])
def test_masked(name, code):
    """As numpy.ma: what is masked is passed over, and masked in the result."""
    data = values("ties", 60, code, 4).reshape(5, 12)
    mask = np.random.default_rng(0).random(data.shape) < 0.3
    array = np.ma.array(data, mask=mask)
    for axis in (None, 0, 1):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            expected = getattr(array, name)(axis)
            actual = BOTH[name][0](array, axis)
        assert_equal(np.ma.getmaskarray(actual), np.ma.getmaskarray(expected))
        assert actual.dtype == expected.dtype
        hidden = np.ma.getmaskarray(expected)
        left, right = actual.data[~hidden], expected.data[~hidden]
        size = np.abs(right) if left.dtype.kind in "fc" else 0
        limit = 20 * np.finfo(left.dtype).eps * size if left.dtype.kind in "fc" else 0
        with np.errstate(invalid="ignore"):
            near = (np.abs(left - right) <= limit) | (left == right)
        assert near.all() or (left.dtype == np.float16 and name == "cumprod"), f"{axis}"


def test_prefixes_that_overflow():
    """Later ones are right again."""
    with np.errstate(over="ignore"):
        actual = parallel_cumsum(np.array([1e308, 1e308, -1e308, 1.0, -1e308]))
        assert actual.tolist() == [1e308, np.inf, 1e308, 1e308, 1.0]
        actual = parallel_cumprod(np.array([1e300, 1e300, 1e-300, 1e-300, 1e-300]))
        assert np.isinf(actual[1])
        np.testing.assert_allclose(actual[[0, 2, 3, 4]], [1e300, 1e300, 1, 1e-300], 1e-15)
        assert parallel_cumsum(np.array([100, 100, -50], "i1"), dtype="i1").tolist() == [
            100,
            -56,
            -106,
        ]
    with np.errstate(over="raise"):
        for array in (np.array([1.7e308, 1e308]), np.array([2**63 - 1, 1])):
            with pytest.raises(FloatingPointError):
                parallel_cumsum(array)
        with pytest.raises(FloatingPointError):
            parallel_cumprod(np.array([2**62, 4]))
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        parallel_cumsum(np.array([np.inf, -np.inf]))


def half_cases():
    """Lines of float16, and of what the short way through doubles is to notice."""
    rng = np.random.default_rng(24)
    for n in (1, 7, 8, 9, 63, 511, 512, 513, 1023, 1536, 5000):
        plain = rng.standard_normal(n).astype(np.float16)
        yield "plain", plain
        yield (
            "any bits",
            rng.integers(0, 0x7C00, n).astype(np.uint16).view(np.float16)
            * (rng.choice(np.array([-1, 1], np.float16), n)),
        )
        yield "subnormal", rng.integers(0, 1 << 11, n).astype(np.uint16).view(np.float16)
        yield "zeros", np.full(n, -0.0, np.float16)
        begun = np.full(n, -0.0, np.float16)
        begun[n // 2 :] = plain[n // 2 :]
        yield "begins late", begun
        # Sums beyond 2^25, and back: twice the short way ends and begins again.
        there = np.full(n, 65504, np.float16)
        yield "large", there
        yield "there and back", np.concatenate([there, -there, plain, -there, there, plain])
    for special in (np.nan, np.inf, -np.inf):
        for at in (0, 3, 511, 512, 1030):
            line = rng.standard_normal(1100).astype(np.float16)
            line[at] = special
            yield f"{special} at {at}", line
            yield f"{special} after -0.0", np.concatenate([np.full(9, -0.0, np.float16), line])
    both = rng.standard_normal(1100).astype(np.float16)
    both[[100, 700]] = np.inf, -np.inf
    yield "inf, then -inf", both


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_halves(method):
    """Sums of float16 are integers of 2^-24: NumPy's prefixes of int64 are the exact ones."""
    for name, line in half_cases():
        wide = line.astype(np.float64)
        finite = np.isfinite(line)
        units = np.cumsum(np.where(finite, wide, 0) * 2.0**24, dtype=np.int64)
        assert np.abs(units).max() < 1 << 53, name
        with np.errstate(all="ignore"):
            expected = (units * 2.0**-24).astype(np.float16)
            specials = np.cumsum(np.where(finite, 0, wide))
        over = np.isinf(expected)[: int(np.argmin(finite)) if not finite.all() else line.size].any()
        expected[specials != 0] = specials[specials != 0]
        alone = np.logical_and.accumulate(line.view(np.uint16) == 0x8000)
        expected[alone] = -0.0
        outcomes = [outcome(parallel_cumsum, line, method=method)]
        for workers, block, seed in ((1, 1024, 0), (3, 1024, 1), (4, 64, 2)):
            with scheduled_scans(workers, block, seed):
                outcomes.append(outcome(parallel_cumsum, line, method=method))
        for actual in outcomes:
            assert_same_bits(actual.value, expected, f"{name} {line.size}")
        with warnings.catch_warnings(), np.errstate(all="ignore", over="raise"):
            if over:
                with pytest.raises(FloatingPointError, match="overflow"):
                    parallel_cumsum(line, method=method)
            else:
                parallel_cumsum(line, method=method)
