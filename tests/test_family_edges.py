"""The edge cases that NumPy documents, for the whole family: empty, all-NaN, no freedom, errors."""

from __future__ import annotations

import math
import warnings
from functools import partial

import numpy as np
import pytest
from reference import (
    DTYPES,
    FUNCTIONS,
    assert_alike,
    assert_equal,
    assert_same_outcome,
    dtypes_of,
    outcome,
    parts,
    values,
)
from schedules import general

import parsum
from parsum import parallel_dot, parallel_norm, parallel_vdot, parallel_vecdot

nan, inf = np.nan, np.inf

VECTORS = [name for name in FUNCTIONS if name.startswith("norm")]
ONE_AXIS = [name for name, f in FUNCTIONS.items() if "axis" in f.keywords and name not in VECTORS]


def agree(name, *args, **kwargs):
    """The same outcome as NumPy's, and values that are as near as roundings let them be."""
    function = FUNCTIONS[name]
    expected = outcome(function.numpys, *args, **kwargs)
    actual = outcome(function.ours, *args, **kwargs)
    note = f"{name} {args} {kwargs}"
    if expected.error is None and np.size(parts(expected.value)[0]) == 0:
        # Of slices that are not there NumPy warns all the same, or not, by function.
        expected, actual = expected._replace(warned=()), actual._replace(warned=())
    assert_same_outcome(actual, expected, note)
    if expected.error is not None:
        return None
    for left, right in zip(parts(actual.value), parts(expected.value), strict=True):
        assert_alike(left, right, note)
        if left.dtype.kind in "fc":
            eps = float(np.finfo(left.dtype).eps)
            np.testing.assert_allclose(left, right, 8 * eps, err_msg=note)
        else:
            assert_equal(left, right, note)
    return actual.value


def axes_for(name, ndim):
    """The axes that the function takes for so many dimensions."""
    if name in VECTORS:
        return [*range(ndim)] if ndim > 1 else [None, *range(ndim)]
    single = [None, *range(-ndim, ndim)]
    return single if name in ONE_AXIS else [*single, (), tuple(range(ndim))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_empty(name):
    """Arrays of size zero: an identity, NaN with a warning, or a ValueError."""
    function = FUNCTIONS[name]
    for code in dtypes_of(function.kinds):
        for shape in [(0,), (2, 0), (0, 2), (0, 0), (3, 0, 2)]:
            array = np.empty(shape, code)
            for axis in axes_for(name, len(shape)):
                agree(name, array, axis=axis)
            if name not in VECTORS:
                agree(name, array, keepdims=True)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_element(name):
    """Of every dtype, as a vector, a matrix and a scalar."""
    function = FUNCTIONS[name]
    for code in dtypes_of(function.kinds):
        for k in (0, 1):
            one = np.full((1,), k).astype(code)
            agree(name, one)
            if name not in VECTORS:
                agree(name, one.reshape(()))
                agree(name, one.reshape(1, 1), axis=0, keepdims=True)
                agree(name, one[0])
        if np.dtype(code).kind in "fcmM":
            nothing = np.array(["NaT" if np.dtype(code).kind in "mM" else nan], code)
            agree(name, nothing)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_nan_slices(name):
    """A warning and NaN, a ValueError, or nothing at all: as NumPy's function of that name."""
    function = FUNCTIONS[name]
    for code in dtypes_of(function.kinds.replace("b", "").replace("i", "").replace("u", "")):
        none = "NaT" if np.dtype(code).kind in "mM" else nan
        for rows in ([[none, none], [1, none]], [[none, none], [none, none]], [[none], [none]]):
            array = np.array(rows, code)
            for axis in axes_for(name, 2):
                agree(name, array, axis=axis)
        for n in (1, 2, 40, 3000):
            agree(name, np.full(n, none, code))
        if name.startswith("nan") and np.dtype(code).kind == "c":
            half = np.array([complex(nan, 1), complex(1, nan)], code)
            agree(name, half)
            agree(name, np.append(half, np.array(5, code)))


@pytest.mark.parametrize("name", ["var", "std", "nanvar", "nanstd"])
def test_no_degrees_of_freedom(name):
    """With ddof >= n: a warning, and NaN or infinity as NumPy has it."""
    for code in dtypes_of("biufc"):
        for array in (
            values("ties", 3, code, 1), np.ones(3).astype(code), np.ones((1, 3)).astype(code),
            np.ones((3, 1)).astype(code), np.ones((0,), code),
        ):  # fmt: skip
            for ddof in (0, 1, 2, 2.5, 3, 3.5, 4, 100):
                for axis in axes_for(name, array.ndim):
                    agree(name, array, axis=axis, ddof=ddof)
    for array in ([1.0, nan], [nan, nan, 2.0], [1.0, inf]):
        for ddof in (0, 1, 2, 3, 4):
            agree(name, np.array(array), ddof=ddof)
    agree(name, np.array([1.0, 2.0]), correction=1)
    agree(name, np.array([1.0, 2.0]), correction=1.5)
    agree(name, np.array([1.0, 2.0]), correction=1, ddof=1)
    agree(name, np.array([1.0, 2.0]), correction=1, ddof=0)


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if "where" in f.keywords])
def test_where_leaves_nothing(name):
    """In all results, or in some of them."""
    function = FUNCTIONS[name]
    for code in dtypes_of(function.kinds):
        array = values("ties", 12, code, 2).reshape(3, 4)
        for where in (False, np.zeros(4, bool), np.zeros((3, 4), bool), np.eye(3, 4, 1) > 0):
            for axis in axes_for(name, 2):
                agree(name, array, axis=axis, where=where)
                if "initial" in function.keywords:
                    agree(name, array, axis=axis, where=where, initial=np.ones((), code)[()])


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if "initial" in f.keywords])
def test_initial(name):
    """Of another type, NaN, and too large."""
    for array in (np.array([2, 1]), np.array([2, 1], "i1"), np.array([2.0, nan]), np.array([])):
        for initial in (0, 5, 5.5, -3, nan, inf, True, None):
            if array.dtype.kind == "i" and initial is not None and not math.isfinite(initial):
                continue  # a cast whose value nobody defines
            if initial is None and "nan" not in name and name not in ("min", "max"):
                continue  # object arithmetic
            if initial is None and name in ("nansum", "nanprod", "sum", "prod"):
                continue
            agree(name, array, initial=initial)
    if name in ("min", "max", "nanmin", "nanmax"):
        agree(name, np.array([2, 1], "i1"), initial=500)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_array_likes(name):
    """Lists, scalars and read-only memory."""
    for array in ([3, 1, 2], [1.5, -2.5], (True, False), range(4), memoryview(b"abc")):
        agree(name, array)
    if name not in VECTORS:
        for array in ([[3, 1], [2, 2]], 7, 2.5, np.float32(3), np.int8(-2), True):
            agree(name, array)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_axes_that_are_not_there(name):
    for axis in (2, -3, (0, 2), (0, 0), (0, -2)):
        if name in [*ONE_AXIS, *VECTORS] and isinstance(axis, tuple):
            continue
        agree(name, np.ones((2, 3)), axis=axis)
    for axis in (1.5, "0", [0], (0.5,)):
        actual = outcome(FUNCTIONS[name].ours, np.ones((2, 3)), axis=axis)
        assert actual.error is TypeError, f"{axis}: {actual}"
    for name in ONE_AXIS:
        assert outcome(FUNCTIONS[name].ours, np.ones((2, 3)), axis=(0, 1)).error is TypeError


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtypes_that_are_not_taken(name):
    """A TypeError that names the dtype."""
    function = FUNCTIONS[name]
    kinds = function.kinds + ("mM" if name.startswith("nanarg") else "")
    refused = [code for code in DTYPES if code not in dtypes_of(kinds)]
    for code in [*refused, object, "U3", "S3", np.dtype([("x", "f8")])]:
        actual = outcome(function.ours, np.zeros(3, code))
        assert actual.error is not None, f"{code}: {actual}"
        assert issubclass(actual.error, TypeError), f"{code}: {actual}"
        assert str(np.dtype(code)) in actual.message, f"{code}: {actual}"


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if "out" in f.keywords])
def test_outputs_that_do_not_fit(name):
    function = FUNCTIONS[name]
    array = np.arange(6.0).reshape(2, 3)
    like = np.asarray(function.numpys(array, axis=0)).dtype
    for shape in [(), (2,), (4,), (1, 3), (3, 1)]:
        actual = outcome(function.ours, array, axis=0, out=np.zeros(shape, like))
        assert actual.error is ValueError, f"{shape}: {actual}"
    for out in ([0, 0, 0], 5, "x"):
        actual = outcome(function.ours, array, axis=0, out=out)
        assert actual.error is not None and issubclass(actual.error, TypeError), f"{out}: {actual}"
    locked = np.zeros(3, like)
    locked.flags.writeable = False
    assert outcome(function.ours, array, axis=0, out=locked).error is ValueError


@pytest.mark.parametrize("name", ["argmin", "argmax", "nanargmin", "nanargmax"])
@pytest.mark.parametrize("code", ["b", "i", "q", ">i8", "Q", "u4", "f", "d", "D", "?", "m8[s]"])
def test_outputs_of_indices(name, code):
    """Whatever can be cast to an index safely."""
    array = np.arange(6.0).reshape(2, 3)
    ours, theirs = np.zeros(2, code), np.zeros(2, code)
    expected = outcome(FUNCTIONS[name].numpys, array, 1, theirs)
    actual = outcome(FUNCTIONS[name].ours, array, 1, ours)
    assert_same_outcome(actual, expected, code)
    assert_equal(ours, theirs)


@pytest.mark.parametrize("name", ["min", "max", "nanmin", "nanmax", "any", "all", "mean", "var"])
@pytest.mark.parametrize("code", ["?", "b", "i", "Q", "e", "f", "d", "F", "D", ">f8", ">i2"])
def test_outputs_of_other_dtypes(name, code):
    """As a ufunc writes them: without a care for the kind."""
    array = np.array([[1.0, 2.0, 2.5], [3.0, 1.5, 0.0]], np.float32)
    for axis in (0, 1):
        shape = (3,) if axis == 0 else (2,)
        ours, theirs = np.zeros(shape, code), np.zeros(shape, code)
        expected = outcome(FUNCTIONS[name].numpys, array, axis, out=theirs)
        actual = outcome(FUNCTIONS[name].ours, array, axis, out=ours)
        assert_same_outcome(actual, expected._replace(warned=()), code)
        assert actual.value is ours
        # NumPy's variance is not better than float32.
        eps = np.finfo("f" if name == "var" else code).eps if np.dtype(code).kind in "fc" else 0
        np.testing.assert_allclose(ours, theirs, 4 * eps)


@pytest.mark.parametrize("name", ["sum", "nansum", "prod", "nanprod"])
@pytest.mark.parametrize("code", ["b", "i", "Q", "f", "d", "D"])
@pytest.mark.parametrize("of", ["h", "d"])
def test_outputs_of_sums_and_products(name, code, of):
    """The sum of floats is cast when it goes to integers, not its terms."""
    array = np.array([1.5, 1.5, 2.0]).astype(of)
    ours, theirs = np.zeros((), code), np.zeros((), code)
    FUNCTIONS[name].numpys(array, out=theirs)
    assert FUNCTIONS[name].ours(array, out=ours) is ours
    assert ours == theirs


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if "out" in f.keywords])
def test_output_that_is_the_input(name):
    """Results may go where the elements are."""
    function = FUNCTIONS[name]
    for code in "dq":
        if (code == "d" and "arg" in name) or (code == "q" and "arg" not in name and name != "sum"):
            continue
        array = values("ties", 400, code, 5).reshape(20, 20)
        expected = np.asarray(function.numpys(array, axis=0))
        for target in (lambda a: a[0], lambda a: a[:, 3], lambda a: a[::-1, 5]):
            copy = array.copy()
            out = target(copy)
            assert function.ours(copy, axis=0, out=out) is out
            np.testing.assert_allclose(target(copy), expected, 1e-13)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_how_to_run(name):
    """What all functions say of workers, method, executor and progress."""
    function = FUNCTIONS[name].ours
    array = np.ones(3)
    for error, kwargs in [
        (ValueError, {"workers": 0}), (ValueError, {"workers": -2}), (TypeError, {"workers": 1.5}),
        (TypeError, {"workers": True}), (TypeError, {"workers": "4"}),
        (ValueError, {"method": "exactly"}), (TypeError, {"method": 3}),
        (TypeError, {"executor": 3}), (TypeError, {"progress": 3}),
        (TypeError, {"nonsense": 3}),
    ]:  # fmt: skip
        actual = outcome(function, array, **kwargs)
        assert actual.error is error, f"{kwargs}: {actual}"
        assert next(iter(kwargs)) in actual.message
    seen = []
    plain = function(array)
    assert_equal(function(array, progress=lambda *k: seen.append(k)), plain)
    assert seen[-1][0] == seen[-1][1] > 0
    for kwargs in ({"workers": 3}, {"workers": -1}, {"method": "fast"}, {"progress": False}):
        assert_equal(function(array, **kwargs), plain)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help(name):
    """Every docstring is whole: its sections are there and no part is left out."""
    function = FUNCTIONS[name].ours
    function = function.func if isinstance(function, partial) else function
    text = function.__doc__
    for word in ("Parameters", "Returns", "Raises", "Examples", "workers", "axis"):
        assert word in text
    assert "{" not in text.split("Examples")[0].replace('{"exact", "fast"}', "")


# ---- warnings and errors of arithmetic ----


def _warned(function, *args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*args, **kwargs)
    return caught


@pytest.mark.parametrize(
    ("name", "array", "kwargs"),
    [
        ("nanmin", [nan], {}),
        ("nanmax", [nan], {}),
        ("mean", [], {}),
        ("nanmean", [nan], {}),
        ("var", [1.0], {"ddof": 1}),
        ("std", [1.0, 2.0], {"ddof": 2}),
        ("nanvar", [nan, 1.0], {"ddof": 1}),
        ("nanstd", [nan], {}),
        ("mean", [inf, -inf], {}),
        ("var", [inf, 1.0], {}),
        ("prod", [1e200, 1e200], {}),
        ("norm 2", [1.7e308, 1.7e308], {}),
    ],
)
def test_warnings_point_at_the_caller(name, array, kwargs):
    caught = _warned(FUNCTIONS[name].ours, np.array(array, float), **kwargs)
    assert caught
    assert {w.category for w in caught} == {RuntimeWarning}
    # A partial's caller is this file too.
    assert {w.filename for w in caught} == {__file__}


@pytest.mark.parametrize(
    ("name", "array", "kwargs"),
    [
        ("nanmin", [nan], {}),
        ("nanmean", [nan], {}),
        ("nanmean", [], {}),
        ("nanvar", [nan], {}),
        ("nanvar", [1.0, nan], {"ddof": 3}),
        ("nanstd", [], {}),
        ("min", [nan, 1.0], {}),
        ("argmax", [nan, 1.0], {}),
        ("mean", [nan, 1.0], {}),
        ("var", [nan, 1.0], {}),
        ("prod", [nan, 1.0], {}),
        ("nansum", [nan], {}),
        ("norm 2", [nan, inf], {}),
        ("norm inf", [nan, inf], {}),
        ("prod", [1e300, 1e300, 1e-300], {}),
        ("mean", [1e308, 1e308], {}),
        ("var", [1e-300, 2e-300], {}),
        ("norm 2", [1e300, 1e300], {}),
        ("norm 3", [1e300, 1e300], {}),
    ],
)
def test_nothing_to_raise(name, array, kwargs):
    """No floating-point error is reported for NaN, nor for what is left out or in between."""
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("ignore")
        FUNCTIONS[name].ours(np.array(array, float), **kwargs)


@pytest.mark.parametrize(
    ("kind", "name", "array", "kwargs"),
    [
        ("invalid", "mean", [inf, -inf], {}),
        ("invalid", "mean", [], {}),
        ("invalid", "var", [], {}),
        ("invalid", "var", [inf, 1.0], {}),
        ("invalid", "std", [-inf, 1.0], {}),
        ("invalid", "var", [1.0], {"ddof": 1}),
        ("divide", "var", [1.0, 2.0], {"ddof": 2}),
        ("divide", "std", [1.0, 2.0], {"ddof": 7}),
        ("invalid", "prod", [inf, 0.0], {}),
        ("over", "prod", [1e200, -1e200], {}),
        ("over", "var", [1e200, -1e200], {}),
        ("over", "norm 2", [1.7e308, 1.7e308], {}),
        ("over", "norm 1", [1.7e308, 1.7e308], {}),
        ("over", "nansum", [1.7e308, 1.7e308, nan], {}),
    ],
)
def test_errstate(kind, name, array, kwargs):
    """An error of that kind is raised if asked for, and none is if not."""
    function = FUNCTIONS[name].ours
    array = np.array(array, float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with np.errstate(**{"all": "ignore", kind: "raise"}), pytest.raises(FloatingPointError):
            function(array, **kwargs)
        with np.errstate(**{"all": "raise", kind: "ignore"}):
            function(array, **kwargs)


def test_errstate_of_integers():
    """What does not fit is reported."""
    most = np.array([2**62, 4])
    with np.errstate(over="raise"):
        assert parsum.parallel_prod(np.array([2**62, 1, -2])) == -(2**63)
        for call in (
            lambda: parsum.parallel_prod(most),
            lambda: parallel_dot(most, most),
            lambda: parallel_vdot(most.astype("u8"), most.astype("u8")),
            lambda: parallel_dot(np.array([100, 100], "i1"), np.array([1, 1], "i1")),
        ):
            with pytest.raises(FloatingPointError, match="wrapped around"):
                call()
        assert parallel_dot(np.array([100, 100], "i1"), np.array([1, -1], "i1")) == 0
    with np.errstate(over="ignore"):
        assert parallel_dot(np.array([100, 100], "i1"), np.array([1, 1], "i1")) == -56
        assert parsum.parallel_prod(most) == 0


# ---- documented differences ----


def test_zeros_are_in_order():
    """-0.0 is less than 0.0, wherever the two stand."""
    for code in "efdg":
        for n in (2, 3, 8, 33, 1000):
            for place in (0, n // 2, n - 1):
                zeros = np.zeros(n, code)
                zeros[place] = -0.0
                assert np.signbit(parsum.parallel_min(zeros))
                assert not np.signbit(parsum.parallel_max(zeros))
                both = parsum.parallel_minmax(zeros)
                assert np.signbit(both.min) and not np.signbit(both.max)
                assert not np.signbit(parsum.parallel_max(-zeros))
                assert np.signbit(parsum.parallel_nanmin(np.append(zeros, np.array(nan, code))))
                # Equal they are all the same.
                assert parsum.parallel_argmin(zeros) == parsum.parallel_argmax(zeros) == 0


def test_complex_order():
    """By real parts, then by imaginary ones; NaN in either part is NaN in both."""
    for code in "FDG":
        a = np.array([1 + 2j, 1 - 2j, -3 + 9j, -3 - 9j, 0j], code)
        assert parsum.parallel_min(a) == -3 - 9j and parsum.parallel_max(a) == 1 + 2j
        assert parsum.parallel_argmin(a) == 3 and parsum.parallel_argmax(a) == 0
        for bad in (complex(nan, 1), complex(1, nan), complex(nan, nan), complex(-inf, nan)):
            b = np.append(a, np.array(bad, code))
            for found in (parsum.parallel_min(b), parsum.parallel_max(b)):
                assert np.isnan(found.real) and np.isnan(found.imag)
            assert parsum.parallel_argmin(b) == parsum.parallel_argmax(b) == 5
            assert parsum.parallel_nanmax(b) == 1 + 2j and parsum.parallel_nanargmin(b) == 3


def test_no_time_is_left_out_or_comes_first():
    times = np.array([3, "NaT", 1, "NaT"], "m8[s]")
    assert np.isnat(parsum.parallel_max(times)) and np.isnat(parsum.parallel_min(times))
    assert parsum.parallel_nanmax(times) == times[0]
    assert parsum.parallel_nanmin(times) == times[2]
    assert parsum.parallel_argmin(times) == parsum.parallel_argmax(times) == 1


def test_dot_takes_vectors():
    with pytest.raises(ValueError, match="vecdot"):
        parallel_dot(np.ones((2, 2)), np.ones(2))
    with pytest.raises(ValueError, match="length"):
        parallel_dot(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="size"):
        parallel_vdot(np.ones((2, 2)), np.ones(3))
    assert parallel_dot(2, 3.5) == 7
    for bad in (["a"], np.array([None]), np.zeros(1, "m8[s]")):
        with pytest.raises(TypeError, match="dtype"):
            parallel_dot(bad, [1.0])


@pytest.mark.parametrize(
    ("first", "second", "axis"),
    [
        ((2, 2), (2,), 0), ((2, 3, 4), (2,), 0), ((2,), (2, 3, 4), 0), ((4, 2), (3, 4, 2), -1),
        ((2, 1), (2, 5), 0), ((2, 4), (3, 2, 4), -2), ((1, 3), (5, 3), 1), ((0, 3), (0, 3), 0),
        ((3, 0), (0,), -1), ((2, 3), (3,), 0), ((2, 1), (2,), -1), ((2, 3), (), -1),
        ((2, 3), (2, 3), 2), ((2, 3), (2, 4), 0), ((3, 2, 4), (2, 4), -2),
    ],
)  # fmt: skip
def test_vecdot_broadcasts(first, second, axis):
    """The axis is taken in each array, and the others broadcast."""
    a = np.arange(math.prod(first), dtype=float).reshape(first) + 1
    b = np.arange(math.prod(second), dtype=float).reshape(second) - 2
    for keepdims in (False, True):
        expected = outcome(np.vecdot, a, b, axis=axis, keepdims=keepdims)
        actual = outcome(parallel_vecdot, a, b, axis=axis, keepdims=keepdims)
        assert_same_outcome(actual, expected)
        if expected.error is None:
            assert_alike(actual.value, expected.value)
            assert_equal(actual.value, expected.value)


def test_inner_product_outputs():
    a = np.arange(6.0).reshape(2, 3)
    for code in ("d", "f", "D", ">f8"):
        out = np.zeros(2, code)
        assert parallel_vecdot(a, a, out) is out
        assert out.tolist() == [5, 50]
    for out, error in ((np.zeros(2, "i4"), TypeError), (np.zeros(3), ValueError), ([0], TypeError)):
        with pytest.raises(error, match="out"):
            parallel_vecdot(a, a, out)
    out = np.zeros(())
    parallel_dot(a[0], a[1], out)
    assert out == 14
    same = a.copy()
    parallel_vecdot(same, same, same[:, 0])
    assert same[:, 0].tolist() == [5, 50]


def test_norms_that_are_refused():
    """NumPy's errors, and those of norms of matrices, which are not offered."""
    matrix = np.ones((2, 3))
    for order in (None, 2, 1, inf):
        for array, kwargs in [(np.ones(()), {}), (np.ones((2, 2, 2)), {"axis": (0, 1, 2)})]:
            expected = outcome(np.linalg.norm, array, order, **kwargs)
            assert_same_outcome(outcome(parallel_norm, array, order, **kwargs), expected)
    for order in ("nuc", "fro", "x", nan):
        actual = outcome(parallel_norm, np.ones(3), order)
        assert actual.error is ValueError
    for kwargs in ({"ord": 2}, {"ord": 1, "axis": (0, 1)}, {"ord": "nuc"}):
        assert outcome(parallel_norm, matrix, **kwargs).error is ValueError
    for kwargs in ({}, {"ord": "fro"}, {"axis": (0, 1)}, {"axis": (1, 0), "keepdims": True}):
        expected = outcome(np.linalg.norm, matrix, **kwargs).value
        actual = outcome(parallel_norm, matrix, **kwargs).value
        assert_alike(actual, expected)
        np.testing.assert_allclose(actual, expected, 1e-15)
    assert parallel_norm(np.ones((2, 2, 2, 2))) == 4


@pytest.mark.parametrize("name", ["var", "std", "nanvar", "nanstd"])
def test_means_that_are_given(name):
    """Deviations from them, of the dtype and shape that NumPy gives."""
    for code in ["b", "Q", "e", "f", "d", "F", "D"]:
        array = values("ties", 24, code, 3).reshape(4, 6)
        for axis in (None, 0, 1):
            # NumPy's nanvar keeps to the dtype of the elements.
            for kind in ("same",) if "nan" in name else ("same", "d", "i"):
                mean = np.mean(array, axis=axis, keepdims=True)
                if kind != "same":
                    mean = mean.real.astype(kind)
                elif np.dtype(code).kind in "biu":
                    mean = mean.astype("d")
                agree(name, array, axis=axis, mean=mean)
                agree(name, array, axis=axis, mean=mean, ddof=1, keepdims=True)
    agree(name, np.array([1.0, nan, 4.0]), mean=np.array([2.0]))
    agree(name, np.array([1.0, 2.0, 4.0]), mean=np.array([nan]))
    agree(name, np.array([1.0, 2.0, 4.0]), mean=2.0)
    agree(name, np.array([1.0, 2.0]), mean=np.array([inf]))


@pytest.mark.parametrize("name", ["mean", "nanmean"])
def test_means_of_integer_dtypes(name):
    """Sums of that dtype, divided and truncated, as NumPy's; not of what may be NaN."""
    where = np.arange(12).reshape(3, 4) % 5 > 0
    for code in dtypes_of("biufc"):
        array = values("ties", 12, code, 5).reshape(3, 4)
        for dtype in ("i1", "i4", "i8", "u2", "?"):
            if array.dtype.kind in "fc" and dtype == "u2":
                continue  # of negative numbers, which is undefined in C
            for kwargs in ({}, {"axis": 0}, {"axis": (0, 1), "keepdims": True}, {"where": where}):
                with np.errstate(over="ignore"):
                    agree(name, array, dtype=dtype, **kwargs)
    for out in (np.zeros(3), np.zeros(3, "i4"), np.zeros(3, "?")):
        grid = np.arange(12).reshape(3, 4)
        expected = np.mean(grid, 1, "i8", out.copy())
        function = FUNCTIONS[name].ours
        assert function(grid, axis=1, dtype="i8", out=out) is out
        np.testing.assert_array_equal(out, expected)
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match="Mean of empty slice"):
        found = FUNCTIONS[name].ours(np.zeros((2, 0), int), axis=1, dtype="i4")
    assert found.dtype == np.int32 and found.shape == (2,)
    masked = np.ma.array([[1, 2], [4, 4]], mask=[[1, 0], [1, 0]])
    found = parsum.parallel_mean(masked, axis=0, dtype=int)
    expected = np.ma.mean(masked, axis=0, dtype=int)
    np.testing.assert_array_equal(found.filled(0), expected.filled(0))
    np.testing.assert_array_equal(found.mask, expected.mask)


@pytest.mark.parametrize("name", ["sum", "prod", "mean"])
def test_dropped_imaginary_parts_are_told_once(name):
    for dtype in ("f4", "i4"):
        if (name, dtype) == ("prod", "i4"):
            continue
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            FUNCTIONS[name].ours(np.array([1 + 2j, 3j]), dtype=dtype)
        assert [warning.category for warning in told] == [np.exceptions.ComplexWarning]


@pytest.mark.parametrize("name", ["var", "std", "nanvar", "nanstd"])
def test_spread_of_other_dtypes(name):
    function = FUNCTIONS[name].ours
    for array in (np.array([1 + 2j, 3 - 1j, 2]), np.array([1.0, 3.0, 4.0])):
        numbers = array.astype(np.complex64), array, array.astype(np.clongdouble)
        for given in (*numbers, np.stack([numbers[0]] * 2)):
            for code in "FDG":
                found = function(given, axis=-1, dtype=code)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    expected = FUNCTIONS[name].numpys(given, axis=-1, dtype=code)
                assert_alike(found, expected)
                np.testing.assert_allclose(found, expected, 1e-6)
                # Real ones are those of complex numbers too, where NumPy drops imaginary parts.
                real = function(given, axis=-1, dtype=code.lower().replace("f", "f4"))
                np.testing.assert_array_equal(real, found.real)
                assert real.dtype == found.real.dtype
    masked = np.ma.array([1.0, 2.0], mask=True)
    assert function(masked, dtype="D") is np.ma.masked
    for dtype in ("i4", "?"):
        for array in (np.array([1.0, 2.0]), np.array([1, 2])):
            with pytest.raises(TypeError, match="dtype must be a floating or complex dtype"):
                function(array, dtype=dtype)


@pytest.mark.parametrize("name", ["mean", "var", "std", "nanmean", "nanvar", "nanstd"])
def test_outputs_of_integers(name):
    """Refused or truncated where NumPy does."""
    for code in "?iefdFD":
        array = np.array([1, 4, 6, 9]).astype(code)
        for to in "bhilQ":
            out, theirs = np.zeros((), to), np.zeros((), to)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
                expected = outcome(FUNCTIONS[name].numpys, array, out=theirs)
                actual = outcome(FUNCTIONS[name].ours, array, out=out)
            if expected.error is None:
                assert actual.value is out and out == theirs, (code, to)
            else:
                assert actual.error is TypeError and issubclass(expected.error, TypeError)


@pytest.mark.parametrize("name", ["mean", "var", "std", "nanmean", "nanvar", "nanstd"])
def test_outputs_are_rounded_once(name):
    """From the exact result to the dtype of `out`, wider or narrower than the elements'."""
    function = FUNCTIONS[name].ours
    for code, to in [("f", "d"), ("e", "d"), ("e", "f"), ("d", "f"), ("d", "e"), ("f", "e"),
                     ("i", "f"), ("F", "D"), ("D", "F")]:  # fmt: skip
        differing = 0
        for seed in range(60):
            array = values("random", 5, code, seed)
            if "nan" in name and code not in "i":
                array = np.insert(array, 2, np.array(nan, code))
            out = np.zeros((), to)
            assert function(array, out=out) is out
            exact = np.longdouble if np.finfo(np.longdouble).nmant >= 63 else float
            wanted = np.clongdouble if to in "FD" and name.endswith("mean") else exact
            near = function(array, dtype=wanted)
            assert out == near.astype(to), (code, to, seed)
            differing += function(array).astype(to) != out
        if code + to in ("fd", "ed", "ef", "FD"):
            assert differing > 20  # by way of the elements' dtype it would be another


def test_means_of_wider_dtypes_widen_all():
    """NumPy's nanvar rounds deviations to the dtype of the elements."""
    array = np.array([1.0, 2.0, 4.0], np.float16)
    mean = np.array([2.0 + 1 / 3])
    for name in ("var", "std", "nanvar", "nanstd"):
        found = FUNCTIONS[name].ours(array, mean=mean)
        assert found.dtype == np.float64
        assert found == FUNCTIONS[name].ours(array.astype(float), mean=mean)


def test_nat_is_not_left_out_by_indices():
    for code in ("m8[s]", "M8[D]"):
        times = np.array([3, "NaT", 1], code)
        for name in ("nanargmin", "nanargmax"):
            assert agree(name, times) == 1


def test_complex_means_of_nothing():
    for shape, axis in (((0,), None), ((0, 2), 0), ((3, 0), 1)):
        for code in "dfF":
            found = agree("mean", np.zeros(shape, code), axis=axis, dtype="D")
            assert np.isnan(found.real).all() and np.isnan(found.imag).all()


@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanprod", "nanmin", "nanmax", "nanvar"])
def test_one_number_among_nans(name):
    """Wherever it stands in a block, and also if the blocks before have none."""
    for dtype in ("e", "f", "d", "D"):
        if dtype == "D" and name in ("nanmin", "nanmax"):
            continue
        for place in (0, 2047, 2048, 4095, 5000, 9999):
            a = np.full(10_000, np.nan, dtype)
            a[place] = 3
            expected = 0 if name == "nanvar" else 3
            for shaped in (a, a.reshape(2, -1), a[::-1]):
                function = getattr(parsum, f"parallel_{name}")
                assert function(shaped, workers=2) == expected, f"{dtype} {place}"
                with general():
                    assert function(shaped, workers=2) == expected, f"{dtype} {place}"
