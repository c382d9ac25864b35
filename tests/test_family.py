"""The whole family against NumPy and rationals: dtypes, layouts, axes, masks, outputs, workers."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out
from oracle import assert_same_bits, bits, expected_sum, nearest
from reference import (
    BOOL,
    COMPARED,
    COMPLEX,
    FLOATS,
    FUNCTIONS,
    INTEGERS,
    LONG,
    STYLES,
    along,
    arrays,
    assert_alike,
    assert_equal,
    assert_same_outcome,
    axes,
    dot_of,
    dtypes_of,
    examples,
    lanes,
    masks,
    mean_of,
    near_of,
    norm1_of,
    norm2_of,
    not_nan,
    outcome,
    parts,
    poison,
    real_parts,
    root,
    scaled,
    shapes,
    std_of,
    values,
    var_of,
    wrapped,
)
from schedules import scheduled

from parsum import parallel_dot, parallel_norm, parallel_prod, parallel_vdot, parallel_vecdot


@st.composite
def calls(draw, function):
    """Arguments that NumPy's function takes too, and some that it refuses."""
    array = draw(arrays(dtypes_of(function.kinds), min_ndim=function.name.startswith("norm")))
    ndim = array.ndim
    kwargs = {}
    if function.name.startswith("norm"):  # vectors alone: NumPy's has matrices too
        kwargs["axis"] = draw(st.integers(-ndim, ndim - 1))
    elif draw(st.integers(0, 3)):
        kwargs["axis"] = draw(axes(ndim, "one" in function.keywords))
    if draw(st.booleans()):
        kwargs["keepdims"] = draw(st.booleans())
    if "where" in function.keywords and draw(st.integers(0, 2)) == 0:
        kwargs["where"] = draw(masks(array.shape))
    if "initial" in function.keywords and draw(st.integers(0, 2)) == 0:
        kwargs["initial"] = draw(initials(array.dtype))
    if "ddof" in function.keywords and draw(st.booleans()):
        kwargs["ddof"] = draw(st.sampled_from([0, 1, 2, 0.5, 1.75, 7, -1]))
    codes = wider(function, array.dtype)
    if codes and draw(st.integers(0, 4)) == 0:
        kwargs["dtype"] = np.dtype(draw(st.sampled_from(codes)))
    return array, kwargs


def wider(function, dtype):
    """The floating dtypes that the results of elements of that dtype may be asked for in."""
    if "dtype" not in function.keywords or dtype.kind == "m":
        return ""
    if "ddof" in function.keywords:
        return "efd" if dtype.kind != "c" else ""
    if function.name.endswith("prod") and dtype.kind != "c":
        return "efd" if dtype.kind == "f" else ""  # others: test_products_of_other_dtypes
    return "FD" if dtype.kind == "c" else "efdD"


def initials(dtype):
    """Numbers to start from, of the array's dtype."""
    if dtype.kind in "mM":
        return st.sampled_from([np.array(k, dtype.newbyteorder("="))[()] for k in (0, 5, "NaT")])
    if dtype.kind == "f":
        return st.sampled_from([0, 2.5, -np.inf, np.nan])
    return st.sampled_from([0, 1] if dtype.kind == "b" else [0, 1, 2])


def outputs(draw, function, like):
    """None, or an array to put results like that in: of their dtype or another, in any order."""
    if "out" not in function.keywords or draw(st.integers(0, 2)):
        return None
    shape = np.shape(like)
    dtype = np.asarray(like).dtype
    if draw(st.booleans()):
        others = {"c": "D", "m": ["m8[s]"], "M": ["M8[ms]"]}.get(dtype.kind, "d")
        if function.name in ("any", "all"):
            others = "dDiQ"
        elif {"ddof", "dtype"} & function.keywords and dtype.kind == "f":
            others = "fd"  # integers are for test_outputs_of_other_dtypes
        dtype = np.dtype(draw(st.sampled_from(others)))
    out = np.zeros((*shape, 2), dtype)[..., 0]
    return out if draw(st.booleans()) else np.zeros(shape, dtype, order="F")


class Both(NamedTuple):
    """What parsum and NumPy gave, and the dtype of results before they are put into `out`."""

    actual: Any
    expected: Any
    dtype: Any
    note: str


def run_both(draw, function, array, kwargs):
    """What NumPy and parsum make of a call, by workers that take turns."""
    theirs = dict(kwargs)
    expected = outcome(function.numpys, array, **theirs)
    note = f"{function} {array.dtype} {array.shape} {array.strides} {kwargs}\n{array!r}"
    dtype = getattr(expected.value, "dtype", None)
    if expected.error is None:
        out = outputs(draw, function, expected.value)
        if out is not None:
            theirs = {**kwargs, "out": out.copy()}
            kwargs = {**kwargs, "out": out}
            expected = outcome(function.numpys, array, **theirs)
            note += f" out {out.dtype}"
            by_out = "initial" in function.keywords or (
                function.name.removeprefix("nan") in ("mean", "var", "std")
                and (dtype.kind == "f" or dtype.kind == out.dtype.kind == "c")
            )
            if "dtype" not in kwargs and by_out:
                dtype = out.dtype
        for part in parts(expected.value):
            poison(np.asarray(part).nbytes)
    workers = draw(st.integers(1, 5))
    block = draw(st.sampled_from([64, 4096, 1 << 20]))
    if draw(st.booleans()):
        kwargs = {**kwargs, "progress": lambda done, total: None}  # never the lean path
    with scheduled(workers, block, draw(st.integers(0, 99))):
        actual = outcome(function.ours, array, **kwargs, workers=workers)
    if expected.error is None and np.size(parts(expected.value)[0]) == 0:
        # Of slices that are not there NumPy warns all the same, or not, by function.
        expected, actual = expected._replace(warned=()), actual._replace(warned=())
    assert_same_outcome(actual, expected, note)
    if "out" in kwargs and expected.error is None:
        assert actual.value is kwargs["out"], note
    return Both(actual.value, expected.value, dtype, note)


@pytest.mark.parametrize("name", COMPARED)
@examples(100)
@given(data=st.data())
def test_compared(name, data):
    """What is found by comparison is what NumPy finds."""
    function = COMPARED[name]
    array, kwargs = data.draw(calls(function))
    actual, expected, _, note = run_both(data.draw, function, array, kwargs)
    if expected is None:
        return
    for left, right in zip(parts(actual), parts(expected), strict=True):
        assert_alike(left, right, note)
        if overflows(array, np.asarray(left)):
            continue
        assert_equal(left, right, note)


def overflows(array, result):
    """Whether elements are out of the range of a result in `out`, where NumPy compares them."""
    if array.dtype.kind not in "fc" or result.dtype.kind != array.dtype.kind:
        return False
    with np.errstate(all="ignore"):
        cast_first = array.astype(np.result_type(result.dtype, np.float16), casting="unsafe")
    narrow = result.dtype.itemsize < array.dtype.itemsize
    return narrow and not np.array_equal(np.isfinite(cast_first), np.isfinite(array))


# ---- what is rounded ----


def oracle(name, dtype, ddof=0, initial=None):
    """The function from the flat elements of one result to that result."""
    if name.startswith("nan"):
        inner = oracle(name[3:], dtype, ddof, initial)
        # Without degrees of freedom there is nothing but NaN, if the elements have it.
        spread = name in ("nanvar", "nanstd")

        def without_nan(flat):
            needed = ddof if spread and flat.dtype.kind in "fc" else -1
            flat = not_nan(flat)
            return inner(flat) if flat.size > needed else dtype.type(np.nan)

        return without_nan
    return {
        "sum": lambda flat: sum_of(flat, dtype, initial),
        "mean": lambda flat: mean_of(flat, dtype),
        "var": lambda flat: var_of(flat, dtype, ddof),
        "std": lambda flat: std_of(flat, dtype, ddof),
        "norm 2": lambda flat: norm2_of(flat, dtype),
        "norm 1": lambda flat: norm1_of(flat, dtype),
    }[name]


def sum_of(flat, dtype, initial):
    """The exact sum, of times too, of real numbers as complex ones and the other way about."""
    if flat.dtype.kind == "c" and dtype.kind == "f":
        flat = flat.real
    if dtype.kind == "m":
        # NumPy's own sum is NaT where a part of it on the way wraps to NaT.
        terms = [*flat, *([] if initial is None else [np.timedelta64(initial, unit_of(dtype))])]
        total = sum(int(np.int64(term)) for term in terms if not np.isnat(term))
        if len(terms) > sum(not np.isnat(term) for term in terms):
            total = NAT
        return np.int64((total + 2**63) % 2**64 - 2**63).view(dtype)
    if dtype.kind == "c" and flat.dtype.kind != "c":
        return dtype.type(expected_sum(flat, np.empty(0, dtype).real.dtype, initial))
    return expected_sum(flat, dtype, initial)


NAT = -(2**63)


def unit_of(dtype):
    return np.datetime_data(dtype)[0]


def cast(values, dtype):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        return values.astype(dtype)


EXACT = ["nansum", "mean", "nanmean", "var", "std", "nanvar", "nanstd", "norm 2", "norm 1"]


@pytest.mark.parametrize("name", EXACT)
@examples(120)
@given(data=st.data())
def test_rounded(name, data):
    """What is rounded is the exact result, rounded once; all else is as NumPy has it."""
    function = FUNCTIONS[name]
    array, kwargs = data.draw(calls(function))
    actual, like, dtype, note = run_both(data.draw, function, array, kwargs)
    if like is None:
        return
    assert_alike(actual, like, note)
    if array.dtype.char in "gG" or dtype.char in "gG" or (name == "norm 1" and is_complex(array)):
        assert_near(name, array, kwargs, actual, note)
        return
    wanted = {k: kwargs[k] for k in ("axis", "keepdims", "where") if k in kwargs}
    function_of = oracle(name, dtype, kwargs.get("ddof", 0), kwargs.get("initial"))
    with np.errstate(all="ignore"):
        expected = along(function_of, dtype, array, **wanted)
    if np.asarray(actual).dtype != dtype:  # in `out`
        if not np.isfinite(expected).all():
            return
        expected = cast(expected, actual.dtype)
    assert_same_bits(actual, expected, note)


def is_complex(array):
    return array.dtype.kind == "c"


def assert_near(name, array, kwargs, actual, note):
    """What is not correctly rounded is within a few units in the last place of its terms."""
    axis, where = kwargs.get("axis"), kwargs.get("where", True)
    where = np.broadcast_to(np.asarray(where, bool), array.shape)
    flat_results = np.asarray(actual).ravel()
    number = 0
    for _, (flat, included) in lanes(array.shape, axis, array, where):
        result = flat_results[number]
        number += 1
        flat = flat[included]
        if name.startswith("nan"):
            flat = not_nan(flat)
        pieces = [(flat, result, kwargs)]
        if np.asarray(result).dtype.kind == "c":
            plain = {**kwargs, "initial": None}
            pieces = [(flat.real, result.real, kwargs), (flat.imag, result.imag, plain)]
        for piece, found, options in pieces:
            if not is_tame(piece):
                continue
            value, scale = near_of(name.removeprefix("nan"), piece, options)
            if name in ("nanvar", "nanstd") and piece.size <= kwargs.get("ddof", 0):
                value = np.nan
            if isinstance(value, float):
                assert_equal(found, value, note)
                continue
            info = np.finfo(found.dtype)
            narrow = np.finfo(np.empty(0, kwargs.get("dtype") or found.dtype).real.dtype)
            limit = 8 * Fraction(max(float(info.eps), float(narrow.eps))) * scale
            limit += Fraction(*info.smallest_subnormal.as_integer_ratio())
            limit += Fraction(*narrow.smallest_subnormal.as_integer_ratio())
            if np.isinf(found):
                least_max = min(Fraction(*k.max.as_integer_ratio()) for k in (info, narrow))
                assert abs(value) + limit >= least_max, note
                continue
            assert abs(Fraction(*found.as_integer_ratio()) - value) <= limit, (
                f"{note}\n{found!r} is not {float(value)!r}"
            )
    assert number == flat_results.size


def is_tame(flat):
    """Whether squares are far from both ends of the range."""
    sizes = [np.abs(part[np.isfinite(part) & (part != 0)]) for part in real_parts(flat)]
    sizes = np.concatenate(sizes).astype(np.longdouble)
    return flat.dtype.kind in "biu" or bool(np.all((sizes < 1e100) & (sizes > 1e-100)))


@pytest.mark.parametrize("order", [3, 0.5, -1, 1])
@examples(50)
@given(data=st.data())
def test_norms_of_any_order(order, data):
    """Within a few units in the last place of sums in long double, without overflow in between."""
    codes = data.draw(st.sampled_from([FLOATS, COMPLEX, INTEGERS]))
    if order == 1:
        codes = COMPLEX
    array = data.draw(arrays(codes, ["ties", "random", "constant", "zeros"], min_ndim=1))
    axis = data.draw(st.integers(-array.ndim, array.ndim - 1))
    workers = data.draw(st.integers(1, 5))
    with scheduled(workers, 64, data.draw(st.integers(0, 99))):
        actual = outcome(parallel_norm, array, order, axis, workers=workers)
    assert actual.error is None, actual.message
    like = outcome(np.linalg.norm, array, order, axis).value
    assert_alike(actual.value, like)
    with np.errstate(all="ignore"):
        sizes = np.abs(array.astype(np.clongdouble if is_complex(array) else np.longdouble))
        expected = (sizes**order).sum(axis=axis) ** (1 / np.longdouble(order))
        error = np.abs(actual.value - expected)
        # A leaf of double precision is added one by one; the terms of others are added in double.
        units = 256 if like.dtype == np.float64 else 4
        limit = units / min(1, abs(order)) * np.finfo(like.dtype).eps * np.abs(expected)
        limit = np.maximum(limit, np.finfo(like.dtype).smallest_subnormal)
        fits = expected <= np.finfo(like.dtype).max
    note = f"{array.dtype} {array!r}\n{actual.value!r}\n{expected!r}\n{error / limit}"
    assert np.all((error <= limit) | ~fits), note


# ---- products of elements ----


def product_of(flat, dtype):
    """The least and the greatest product that the documented bound lets through."""
    if np.isnan(flat).any() or (np.isinf(flat).any() and not flat.all()):
        return dtype.type(np.nan), dtype.type(np.nan)
    sign = -1 if np.signbit(flat).sum() % 2 else 1
    if not flat.all():
        return dtype.type(sign * 0.0), dtype.type(sign * 0.0)
    if np.isinf(flat).any():
        return dtype.type(sign * np.inf), dtype.type(sign * np.inf)
    whole, shift = scaled(flat)
    exact = Fraction(math.prod(whole), 1 << (shift * len(whole)))
    off = exact * flat.size / 2**98
    return nearest(exact - off, dtype), nearest(exact + off, dtype)


@pytest.mark.parametrize("name", ["prod", "nanprod"])
@examples(120)
@given(data=st.data())
def test_products(name, data):
    """Floats within the bound and rounded once, integers modulo a power of two."""
    function = FUNCTIONS[name]
    array, kwargs = data.draw(calls(function))
    actual, like, dtype, note = run_both(data.draw, function, array, kwargs)
    if like is None:
        return
    assert_alike(actual, like, note)
    where = np.broadcast_to(kwargs.get("where", True), array.shape)
    results = np.asarray(actual).ravel()
    lanes_of = lanes(array.shape, kwargs.get("axis"), array, where)
    for result, (_, (flat, included)) in zip(results, lanes_of, strict=True):
        flat = flat[included]
        flat = not_nan(flat) if name == "nanprod" else flat
        initial = kwargs.get("initial", 1)
        if dtype.kind in "iu":
            whole = flat.astype(dtype).tolist()
            expected = wrapped(math.prod(whole, start=int(initial)), dtype)[0]
            if np.isfinite(expected.astype(result.dtype)):
                assert_same_bits(result, expected.astype(result.dtype), note)
        elif dtype.kind == "f" and "g" not in dtype.char + array.dtype.char:
            every = np.append(flat.astype(np.float64), np.float64(initial))
            least, greatest = product_of(every, dtype)
            with np.errstate(all="ignore"):
                least, greatest = least.astype(result.dtype), greatest.astype(result.dtype)
            if array.dtype.kind in "biu":  # integers are multiplied as they are, not as floats
                assert np.isclose(result, least, rtol=1e-3 if dtype == np.float16 else 1e-5), note
            elif bits(result) not in (bits(least), bits(greatest)):
                assert min(least, greatest) <= result <= max(least, greatest), note
        elif np.isfinite(flat).all():
            assert_near_product(flat, initial, result, dtype, note)


@pytest.mark.parametrize("code", [*BOOL, *INTEGERS, *FLOATS, *COMPLEX])
@pytest.mark.parametrize("wanted", ["?", "i", "Q", "e", "f", "d", "D"])
def test_products_of_other_dtypes(code, wanted):
    """Elements are converted first, as NumPy does; small whole numbers make no roundings."""
    array = values("ties", 60, code, 1).reshape(3, 20)
    array[1:] = np.where(array[1:] == 0, np.ones((), array.dtype), array[1:])
    for axis in (None, 0, 1):
        expected = outcome(np.prod, array, axis, dtype=wanted)
        actual = outcome(parallel_prod, array, axis, dtype=wanted)
        note = f"{code} {wanted} {axis}"
        assert_same_outcome(actual, expected, note)
        assert_alike(actual.value, expected.value, note)
        assert_equal(actual.value, expected.value, note)


def assert_near_product(flat, initial, result, dtype, note):
    """The product of complex numbers or long doubles, where nothing is lost at the ends."""
    values = [*np.atleast_1d(flat), np.clongdouble(initial)]
    sizes = [abs(np.clongdouble(v)) for v in values]
    if not all(1e-30 < size < 1e30 or size == 0 for size in sizes) or len(values) > 120:
        return
    real, imag, bound = Fraction(1), Fraction(0), Fraction(1)
    for v in values:
        x, y = Fraction(*v.real.as_integer_ratio()), Fraction(*v.imag.as_integer_ratio())
        real, imag = real * x - imag * y, real * y + imag * x
        bound *= root(x * x + y * y)
    if not 2**-1000 < bound < 2**1000 and bound:
        return
    info = np.finfo(result.dtype)
    eps = max(info.eps, np.finfo(dtype).eps)
    limit = 4 * len(values) * Fraction(float(eps)) * bound
    limit += Fraction(*info.smallest_subnormal.as_integer_ratio())
    for found, exact in ((result.real, real), (result.imag, imag)):
        if abs(exact) < Fraction(*info.max.as_integer_ratio()):
            error = abs(Fraction(*found.as_integer_ratio()) - exact)
            assert error <= limit, f"{note}\n{result!r} is not {float(exact)!r}"


# ---- two arrays ----


@st.composite
def pairs(draw, codes, ndim=None):
    """Two arrays of one shape, of any dtypes and layouts."""
    shape = draw(shapes(1) if ndim is None else st.tuples(st.integers(0, 300)))
    arrays = []
    for _ in range(2):
        dtype, style = draw(st.sampled_from(codes)), draw(st.sampled_from(STYLES))
        flat = values(style, int(np.prod(shape)), dtype, draw(st.integers(0, 2**16)))
        arrays.append(lay_out(flat.reshape(shape), draw(st.sampled_from(LAYOUTS))))
    return arrays


NUMBERS = [*BOOL, *INTEGERS, *FLOATS, *COMPLEX]


def inner(a, b, conjugate):
    """The oracle of two flat arrays of any dtypes."""
    dtype = np.result_type(a, b).newbyteorder("=")
    with np.errstate(all="ignore"):
        return dot_of(a.astype(dtype), b.astype(dtype), dtype, conjugate)


def check_inner(draw, function, theirs, oracle_of, a, b, **kwargs):
    expected = outcome(theirs, a, b, **kwargs)
    workers = draw(st.integers(1, 5))
    poison(np.asarray(expected.value).nbytes)
    with scheduled(workers, draw(st.sampled_from([64, 1 << 20])), draw(st.integers(0, 99))):
        actual = outcome(function, a, b, **kwargs, workers=workers)
    note = f"{a.dtype} {a.strides} {b.dtype} {b.strides} {kwargs}\n{a!r}\n{b!r}"
    assert_same_outcome(actual, expected, note)
    if expected.error is not None:
        return
    assert_alike(actual.value, expected.value, note)
    exact = np.empty(np.shape(actual.value), actual.value.dtype)
    for index, (left, right) in oracle_of:
        exact[index] = inner(left, right, function is not parallel_dot)
    assert_same_bits(actual.value, exact[()], note)


@examples(150)
@given(data=st.data())
def test_dot(data):
    """Exact and rounded once, for any two dtypes."""
    a, b = data.draw(pairs(NUMBERS, 1))
    check_inner(data.draw, parallel_dot, np.dot, [((), (a, b))], a, b)


@examples(150)
@given(data=st.data())
def test_vdot(data):
    """Of arrays of any shape, the first conjugated."""
    a, b = data.draw(pairs(NUMBERS))
    check_inner(data.draw, parallel_vdot, np.vdot, [((), (a.ravel(), b.ravel()))], a, b)


@examples(150)
@given(data=st.data())
def test_vecdot(data):
    """Along any axis of arrays whose other axes broadcast."""
    a, b = data.draw(pairs(NUMBERS))
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    if data.draw(st.booleans()):  # each other axis may be of length 1 in one of them
        keep = axis % a.ndim
        cut = [slice(0, 1) if k != keep and n else slice(None) for k, n in enumerate(b.shape)]
        b = b[tuple(cut)]
    wide = np.broadcast_to(b, a.shape)
    keepdims = data.draw(st.booleans())
    found = [
        (np.insert(index, axis % a.ndim, 0) if keepdims else index, pair)
        for index, pair in lanes(a.shape, axis, a, wide)
    ]
    found = [(tuple(int(k) for k in index), pair) for index, pair in found]
    check_inner(data.draw, parallel_vecdot, np.vecdot, found, a, b, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("code", LONG)
def test_inner_products_of_long_double(code):
    """Within a few units in the last place of the sum of the products' sizes."""
    for n in (0, 1, 2, 100, 3000):
        a, b = (values("random", n, code, seed) for seed in (n, n + 1))
        for actual, left in ((parallel_dot(a, b), a), (parallel_vdot(a, b), a.conj())):
            assert actual.dtype == np.dtype(code)
            for found, sign in ((actual.real, (1, -1)), (actual.imag, (1, 1))):
                x = np.concatenate([left.real, sign[1] * left.imag])
                y = [b.real, b.imag] if sign[1] < 0 else [b.imag, b.real]
                terms = [
                    Fraction(*p.as_integer_ratio()) * Fraction(*q.as_integer_ratio())
                    for p, q in zip(x, np.concatenate(y), strict=True)
                ]
                error = abs(Fraction(*found.as_integer_ratio()) - sum(terms))
                eps = Fraction(float(np.finfo(np.longdouble).eps))
                assert error <= 4 * eps * sum(map(abs, terms))
