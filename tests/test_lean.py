"""The short ways of small arrays: the same bits and reports as the general way, and taken."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
from oracle import bits
from reference import outcome
from schedules import general, large

import parsum
from parsum import engine
from parsum.api import call, lean

REALS = "?bBhHiIlLqQefdg"
COMPLEX = "FDG"
TIMES = ["m8[s]", "M8[s]"]
#: Function and the dtypes that it takes.
NUMBERS = [*REALS, *COMPLEX]
ANY = [*NUMBERS, *TIMES]
ONE = {
    "sum": [*NUMBERS, "m8[s]"],
    "nansum": [*NUMBERS, "m8[s]"],
    "mean": [*NUMBERS, "m8[s]"],
    "nanmean": NUMBERS,
    "var": NUMBERS,
    "std": NUMBERS,
    "nanvar": NUMBERS,
    "nanstd": NUMBERS,
    "prod": NUMBERS,
    "nanprod": NUMBERS,
    "min": ANY,
    "max": ANY,
    "minmax": ANY,
    "nanmin": ANY,
    "nanmax": ANY,
    "argmin": ANY,
    "argmax": ANY,
    "nanargmin": ANY,
    "nanargmax": ANY,
    "any": ANY,
    "all": ANY,
    "count_nonzero": ANY,
    "norm": NUMBERS,
    "cumsum": [*NUMBERS, "m8[s]"],
    "cumprod": NUMBERS,
}
TWO = {"dot": NUMBERS, "vdot": NUMBERS, "vecdot": NUMBERS}
LENGTHS = [*range(10), 63, 64, 65, 513, 1000]
ORDERS = [0, 1, 2, 3, np.inf, -np.inf, 0.0, 2.5]


def function(name):
    return getattr(parsum, f"parallel_{name}")


def arrays(char, n, seed):
    """Arrays of n elements: moderate ones, and wild ones with all that is special."""
    rng = np.random.default_rng([seed, n])
    dtype = np.dtype(char)
    if dtype.kind == "b":
        return [rng.random(n) < 0.5, np.zeros(n, bool), np.ones(n, bool)]
    if dtype.kind in "iumM":
        wide = np.dtype("i8") if dtype.kind in "mM" else dtype
        info = np.iinfo(wide)
        small = rng.integers(0, 7, n).astype(wide)
        large = rng.integers(info.min // 2, info.max, n, wide, endpoint=True)
        lists = [small.astype(dtype), large.view(dtype) if wide != dtype else large]
        if dtype.kind in "mM" and n:
            nat = lists[0].copy()
            nat[n // 2] = "NaT"
            lists.append(nat)
        return lists
    lists = []
    if dtype.kind == "c":
        parts = [arrays(np.empty(0, dtype).real.dtype, 2 * n, seed)]
        return [k.view(dtype) for k in parts[0]]
    lists.append(rng.standard_normal(n).astype(dtype))
    with np.errstate(all="ignore"):
        lists.append((rng.standard_normal(n) * 2.0 ** rng.integers(-30, 16, n)).astype(dtype))
    limits = np.finfo(dtype)
    lists.append(rng.choice(np.array([limits.max, -limits.max, limits.tiny, 1], dtype), n))
    lists.append(rng.choice(np.array([0.0, -0.0], dtype), n))
    for special in ([np.nan], [np.inf], [np.inf, -np.inf, np.nan]):
        wild = lists[0].copy()
        if n:
            wild[rng.integers(0, n, len(special))] = special
        lists.append(wild)
    lists.append(np.full(n, np.nan, dtype))
    return lists


def assert_same(actual, expected, note):
    assert actual.message == expected.message, note
    assert actual.warned == expected.warned, note
    ours, theirs = actual.value, expected.value
    if expected.error is not None:
        return
    assert type(ours) is type(theirs), note
    if isinstance(ours, tuple):
        pairs = list(zip(ours, theirs, strict=True))
    else:
        pairs = [(ours, theirs)]
    for one, other in pairs:
        assert type(one) is type(other), note
        assert one.dtype.char == other.dtype.char, note
        assert bits(one) == bits(other), f"{note}\n{one!r}\n{other!r}"


def reporting(function_, *args, **kwargs):
    """What a call does under errors that warn, and whether it raises under errors that raise."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn"):
        warnings.simplefilter("always")
        try:
            function_(*args, **kwargs)
        except (ValueError, TypeError, ZeroDivisionError) as error:
            return str(error)
    try:
        with np.errstate(all="raise"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function_(*args, **kwargs)
        raised = ""
    except FloatingPointError as error:
        raised = str(error)
    assert {w.filename for w in caught} <= {__file__}  # the caller's line
    return raised, [str(w.message) for w in caught]


def check(function_, args, kwargs, note):
    with general():
        expected = outcome(function_, *args, **kwargs)
        reported = reporting(function_, *args, **kwargs)
    assert_same(outcome(function_, *args, **kwargs), expected, note)
    assert reporting(function_, *args, **kwargs) == reported, note
    with large():
        assert_same(outcome(function_, *args, **kwargs), expected, f"{note}, as a large array")
        assert reporting(function_, *args, **kwargs) == reported, note


@pytest.mark.parametrize(
    ("name", "char"), [(name, char) for name in ONE for char in ONE[name]], ids=str
)
def test_same_bits(name, char):
    for n in LENGTHS:
        for k, array in enumerate(arrays(char, n, 1)):
            for method in ("exact", "fast"):
                check(
                    function(name), (array,), {"method": method}, f"{name} {char} {n} {k} {method}"
                )


@pytest.mark.parametrize("char", NUMBERS)
def test_norms(char):
    for n in (*range(6), 65, 513):
        for k, array in enumerate(arrays(char, n, 2)):
            for order in ORDERS:
                check(parsum.parallel_norm, (array, order), {}, f"norm {order} {char} {n} {k}")


@pytest.mark.parametrize(
    ("name", "char"), [(name, char) for name in TWO for char in TWO[name]], ids=str
)
def test_same_bits_of_two(name, char):
    for n in LENGTHS:
        pairs = zip(arrays(char, n, 3), arrays(char, n, 4), strict=True)
        for k, (a, b) in enumerate(pairs):
            for method in ("exact", "fast"):
                note = f"{name} {char} {n} {k} {method}"
                check(function(name), (a, b), {"method": method}, note)


@pytest.mark.parametrize("char", NUMBERS)
def test_two_without_lean_path(char):
    """What LeanPair does not take, but one call does: weights, other layouts, `out`."""
    for n in (1, 2, 9, 65, 513, 1000):
        pairs = zip(arrays(char, 2 * n, 7), arrays(char, 2 * n, 8), strict=True)
        for k, (a, b) in enumerate(pairs):
            for method in ("exact", "fast"):
                kwargs = {"method": method}
                note = f"{char} {n} {k} {method}"
                for one, other in ((a[:n], b[n:]), (a[::2], b[::2]), (a[::-2], b[:n])):
                    weights = {"weights": other, **kwargs}
                    check(parsum.parallel_weighted_mean, (one,), weights, note)
                    check(parsum.parallel_vdot, (one, other), kwargs, note)
                    for out in (np.zeros((), char), np.zeros((), "G")):
                        check(parsum.parallel_dot, (one, other), {"out": out, **kwargs}, note)
                table = (a.reshape(2, n), b.reshape(2, n)[::-1])
                check(parsum.parallel_vdot, table, kwargs, note)


@pytest.mark.parametrize(
    ("name", "char"), [(name, char) for name in ONE for char in ONE[name]], ids=str
)
def test_axes(name, char):
    """Along an axis, of arrays of 0 to 4 dimensions."""
    for shape in [(), (3,), (1, 1), (5, 1), (1, 5), (4, 6), (20, 30), (0, 3), (3, 0), (2, 3, 4, 2)]:
        size = int(np.prod(shape))
        for k, flat in enumerate(arrays(char, size, 5)):
            array = flat.reshape(shape)
            for axis in [None, *range(-len(shape), len(shape))]:
                for kwargs in ({}, {"keepdims": True}, {"method": "fast"}):
                    if "cum" in name and "keepdims" in kwargs:
                        continue
                    if name == "norm" and (axis is None or "method" in kwargs):
                        continue
                    note = f"{name} {char} {shape} {k} axis={axis} {kwargs}"
                    check(function(name), (array,), {"axis": axis, **kwargs}, note)


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_layouts(name):
    """Strided, turned round, transposed, misaligned, byte-swapped, read-only, masked."""
    base = np.random.default_rng(6).standard_normal(2 * 700)
    odd = np.frombuffer(b"x" + base.tobytes(), np.uint8)[1:].view(np.float64)
    fixed = base[:9].copy()
    fixed.setflags(write=False)
    square = base[:36].reshape(6, 6)
    cases = {
        "strided": [base[::2], base[:18:2], base[:800:2]],
        "backwards": [base[::-1], base[8::-1], base[400::-1]],
        "misaligned": [odd, odd[:9]],
        "swapped": [base.astype(">f8"), base[:9].astype(">f8")],
        "read-only": [fixed],
        "masked": [np.ma.array(base[:9], mask=base[:9] > 1), np.ma.array(base[:9])],
        "repeated": [np.broadcast_to(base[0], (9,))],
    }
    if name not in TWO:
        cases["transposed"] = [square.T, square[::-1, ::-2], square[:, :3]]
        cases["scalar"] = [base[0], np.array(base[0])]
    for layout, given in cases.items():
        for k, array in enumerate(given):
            for method in ("exact", "fast"):
                args = (array, array[::-1]) if name in TWO else (array,)
                note = f"{name} {layout} {k} {method}"
                check(function(name), args, {"method": method}, note)
                if np.ndim(array) == 2 and name != "norm":
                    for axis in (0, 1):
                        kwargs = {"axis": axis, "method": method}
                        check(function(name), args, kwargs, f"{note} {axis}")


def refuse(*_, **__):
    raise AssertionError("the general way was taken")


@pytest.mark.parametrize("name", [*ONE, *TWO])
@pytest.mark.parametrize("char", ["d", "f", "l", "?", "D"])
def test_taken(name, char):
    """Plain small arrays take the short way: nothing is planned, no job is made."""
    array = np.ones(5, char)
    args = (array, array) if name in TWO else (array,)
    with mock.patch.object(engine, "run", refuse), mock.patch.object(engine, "run_job", refuse):
        function(name)(*args)
        function(name)(*args, workers=2)
        # A complex number with NaN in one of its parts is left out as a whole.
        if name in ONE and (char != "D" or name not in ("nansum", "nanmean")):
            function(name)(*args, workers=-1, method="fast")
            square = np.ones((4, 5), char)
            function(name)(square, axis=0)
            function(name)(square, axis=-1)


def test_not_taken():
    """Large arrays are jobs; what wants an executor or reports goes the general way."""
    array = np.ones(call.SMALL_BYTES // 8 + 1)
    for name in ("sum", "argmin", "cumsum", "dot"):
        args = (array, array) if name in TWO else (array,)
        with (
            mock.patch.object(engine, "run_job", refuse),
            mock.patch.object(lean, "run_job", refuse),
            pytest.raises(AssertionError, match="general way"),
        ):
            function(name)(*args)
    with mock.patch.object(lean, "_large", refuse), ThreadPoolExecutor(1) as pool:
        for kwargs in ({"executor": pool}, {"progress": print}, {"where": array > 0}):
            assert parsum.parallel_sum(array, **kwargs) == array.size


#: Those that have to leave something out, or a result for each element, have plans.
PLANNED = [name for name in ONE if name.startswith(("nan", "cum"))]


@pytest.mark.parametrize("name", [name for name in [*ONE, *TWO] if name not in PLANNED])
def test_large_arrays_are_not_planned(name):
    array = np.random.default_rng(3).standard_normal(call.SMALL_BYTES // 8 + 1)
    args = (array, array[::-1].copy()) if name in TWO else (array,)
    with general():
        expected = outcome(function(name), *args)
    with mock.patch.object(engine, "run", refuse):
        assert_same(outcome(function(name), *args), expected, name)


def test_large_arrays_are_reduced_once_if_there_is_something_to_report():
    array = np.full(call.SMALL_BYTES // 8 + 1, 2**62)
    halves = np.resize([np.inf, -np.inf], array.size)
    for name, args, what in (
        ("sum", (array,), "overflow"),
        ("sum", (halves,), "invalid value"),
        ("prod", (array,), "overflow"),
        ("dot", (array, array), "overflow"),
        ("vecdot", (halves, np.ones(array.size)), "invalid value"),
    ):
        with general(), np.errstate(all="ignore"):
            expected = function(name)(*args)
        with (
            mock.patch.object(engine, "run", refuse),
            pytest.warns(RuntimeWarning, match=f"{what} encountered in parallel_{name}"),
        ):
            given = function(name)(*args)
        np.testing.assert_array_equal(given, expected, strict=True)


def test_progress_is_told_of_small_arrays():
    seen = []
    parsum.parallel_cumsum(np.ones(5), progress=lambda done, total: seen.append(total))
    parsum.parallel_sum(np.ones((5, 2)), axis=0, progress=lambda done, total: seen.append(total))
    assert set(seen) == {40, 80}


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_arguments_are_checked(name):
    """Wrong arguments are found on the short way too, whatever was called before."""
    array = np.ones(3)
    args = (array, array) if name in TWO else (array,)
    call_ = function(name)
    call_(*args)
    for workers, error in ((0, ValueError), (-2, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="workers must be"):
            call_(*args, workers=workers)
    for method, error in (("best", ValueError), (None, TypeError), (["exact"], TypeError)):
        with pytest.raises(error, match="method must be"):
            call_(*args, method=method)
    with pytest.raises(TypeError, match="executor must be"):
        call_(*args, executor=3)
    with pytest.raises(TypeError, match="progress must be"):
        call_(*args, progress=3)
    for bad in (np.array(["x"]), np.array([None]), np.zeros(2, "i4,i4"), np.zeros(2, "V8")):
        with pytest.raises(TypeError, match="must be of"):
            call_(*((bad, bad) if name in TWO else (bad,)))


def test_axis_is_checked():
    for name in ("cumsum", "cumprod", "sum", "argmax"):
        for axis in (1, -2, 7):
            with pytest.raises(np.exceptions.AxisError):
                function(name)(np.ones(3), axis=axis)
        for axis in (True, 1.0, "0"):
            with pytest.raises(TypeError):
                function(name)(np.ones((3, 3)), axis=axis)


def test_results_are_their_own():
    """Memory for results is used again, results are not."""
    for name in ("min", "argmax", "norm", "sum", "minmax", "any"):
        for char in ("f", "l", "D"):
            call_ = function(name)
            kept = [call_(np.array([k, k + 1], char)) for k in range(20)]
            again = [call_(np.array([k, k + 1], char)) for k in range(20)]
            assert kept == again
    running = parsum.parallel_cumsum(np.ones(3))
    parsum.parallel_cumsum(np.full(3, 7.0))
    assert running.tolist() == [1, 2, 3]
    down = parsum.parallel_sum(np.ones((3, 2)), axis=0)
    parsum.parallel_sum(np.full((3, 2), 7.0), axis=0)
    assert down.tolist() == [3, 3]


def test_units_of_time():
    """Dtypes that are equal but for their unit or name do not lend each other results."""
    for unit in ("s", "ms", "D", "s"):
        for kind in "mM":
            array = np.array([3, 1, 2], f"{kind}8[{unit}]")
            assert parsum.parallel_min(array) == array[1]
            assert parsum.parallel_min(array).dtype == array.dtype
            assert parsum.parallel_minmax(array).max.dtype == array.dtype
    for char in "lqlq":
        assert parsum.parallel_max(np.ones(3, char)).dtype.char == char
        assert parsum.parallel_cumsum(np.ones(3, char)).dtype.char == char
        assert parsum.parallel_sum(np.ones((3, 2), char), axis=0).dtype.char == char


def test_threads():
    """Threads that find the same row at once do not get each other's results."""
    wrong = []

    def work(k):
        array = np.full(40, k, np.float32)
        for _ in range(3000):
            both = parsum.parallel_minmax(array)
            if parsum.parallel_max(array) != k or both != (k, k):
                wrong.append(both)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_bounds():
    """The ways meet without a seam where arrays are copied no more, and where NumPy's way ends."""
    for name in ("sum", "argmin", "count_nonzero", "cumsum", "dot", "minmax"):
        for limit in (lean.NUMPY_BYTES, lean.COPY_BYTES):
            for n in (limit // 8 - 1, limit // 8, limit // 8 + 1):
                array = np.random.default_rng(n).standard_normal(n)
                args = (array, array) if name in TWO else (array,)
                check(function(name), args, {}, f"{name} {n}")
