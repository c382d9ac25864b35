"""Bad input: NumPy's class of error, a message that says what was wrong, and no harm done."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import parsum
from parsum import parallel_sum


@pytest.fixture(autouse=True)
def _works_on():
    yield
    assert parallel_sum(np.ones(10)) == 10
    assert parallel_sum(np.ones(300_000), workers=3) == 300_000
    assert parallel_sum(np.ones((3, 4)), axis=0).tolist() == [3, 3, 3, 3]


_ONES = np.ones((2, 3))

# Calls that np.sum refuses: parallel_sum must refuse them with the same class of error.
_NUMPY_REFUSES = {
    "axis beyond": ((_ONES,), {"axis": 2}),
    "axis before": ((_ONES,), {"axis": -3}),
    "axis twice": ((_ONES,), {"axis": (0, 0)}),
    "axis twice, negative": ((_ONES,), {"axis": (1, -1)}),
    "axis in a tuple beyond": ((_ONES,), {"axis": (0, 5)}),
    "axis a float": ((_ONES,), {"axis": 1.0}),
    "axis a string": ((_ONES,), {"axis": "0"}),
    "axis a list": ((_ONES,), {"axis": [0]}),
    "axis a float in a tuple": ((_ONES,), {"axis": (0, 1.5)}),
    "axis an array": ((_ONES,), {"axis": np.array([0, 1])}),
    "axis None in a tuple": ((_ONES,), {"axis": (None,)}),
    "axis of a scalar": ((5.0,), {"axis": 1}),
    "axis tuple of a scalar": ((5.0,), {"axis": (0,)}),
    "axis beyond, empty": ((np.ones((0, 3)),), {"axis": 2}),
    "axis beyond, large": ((np.ones(200_000),), {"axis": 1}),
    "out of too many dimensions": ((_ONES,), {"axis": 0, "out": np.zeros((1, 3))}),
    "out of too few dimensions": ((_ONES,), {"axis": 0, "out": np.zeros(())}),
    "out too long": ((_ONES,), {"axis": 0, "out": np.zeros(4)}),
    "out too short": ((_ONES,), {"axis": 0, "out": np.zeros(2)}),
    "out of length one": ((_ONES,), {"axis": 0, "out": np.zeros(1)}),
    "out without keepdims": ((_ONES,), {"axis": 0, "keepdims": True, "out": np.zeros(3)}),
    "out a list": ((_ONES,), {"out": [0.0]}),
    "out a scalar": ((_ONES,), {"out": np.float64(0)}),
    "out a number": ((_ONES,), {"out": 5}),
    "out a tuple": ((_ONES,), {"out": (np.zeros(()),)}),
    "out of strings": ((_ONES,), {"out": np.zeros((), "U9")}),
    "where of another length": ((_ONES,), {"where": [True, False]}),
    "where with more dimensions": ((_ONES,), {"where": np.ones((2, 2, 3), bool)}),
    "where that would broadcast a": ((_ONES[:1],), {"where": np.ones((2, 3), bool)}),
    "where longer than a": ((np.ones(1),), {"where": [True, True]}),
    "where of integers": ((_ONES,), {"where": np.ones((2, 3), int)}),
    "where of floats": ((_ONES,), {"where": np.ones((2, 3))}),
    "where of a scalar": ((5.0,), {"where": [True, False]}),
    "initial a string": ((_ONES,), {"initial": "x"}),
    "initial a list": ((_ONES,), {"initial": [1, 2]}),
    "initial an array": ((_ONES,), {"axis": 0, "initial": np.ones(3)}),
    "initial complex": ((_ONES,), {"initial": 1j}),
    "keepdims a string": ((_ONES,), {"keepdims": "yes"}),
    "keepdims None": ((_ONES,), {"keepdims": None}),
    "keepdims a float": ((_ONES,), {"keepdims": 1.5}),
    "dtype unknown": ((_ONES,), {"dtype": "nope"}),
    "dtype a string": ((_ONES,), {"dtype": "U3"}),
    "dtype a date": ((_ONES,), {"dtype": "M8[s]"}),
    "dtype a timedelta with a unit": ((np.arange(3),), {"dtype": "m8[s]"}),
    "dtype another unit": ((np.array([1, 2], "m8[s]"),), {"dtype": "m8[ms]"}),
    "dtype of the other byte order": ((_ONES,), {"dtype": ">f8"}),
    "ragged lists": (([[1], [1, 2]],), {}),
    "strings": ((np.array(["a", "b"]),), {}),
    "dates": ((np.array([1, 2], "M8[s]"),), {}),
    "structured": ((np.zeros(3, "i4,f8"),), {}),
    "an unknown keyword": ((_ONES,), {"axes": 0}),
}  # fmt: skip


@pytest.mark.parametrize("case", _NUMPY_REFUSES)
def test_numpys_class_of_error(case):
    args, kwargs = _NUMPY_REFUSES[case]
    with pytest.raises(Exception) as expected:  # noqa: PT011 - which one is NumPy's to say
        np.sum(*args, **kwargs)
    kinds = (np.exceptions.AxisError, TypeError, ValueError)
    kind = next(k for k in kinds if issubclass(expected.type, k))
    with pytest.raises(kind) as actual:
        parallel_sum(*args, **kwargs)
    assert str(actual.value)
    if kind is not np.exceptions.AxisError:
        assert not isinstance(actual.value, np.exceptions.AxisError)


def test_read_only_out():
    out = np.zeros(())
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        np.sum(_ONES, out=out)
    with pytest.raises(ValueError, match=r"read-only|writeable|writable"):
        parallel_sum(_ONES, out=out)
    assert out == 0


def test_out_is_untouched_when_refused():
    out = np.full((1, 3), 7.0)
    with pytest.raises(ValueError, match="out"):
        parallel_sum(_ONES, axis=0, out=out)
    assert np.all(out == 7)


@pytest.mark.parametrize(
    ("workers", "kind"),
    [
        (0, ValueError), (-2, ValueError), (-100, ValueError),
        (1.5, TypeError), (2.0, TypeError), (True, TypeError), (False, TypeError),
        ("4", TypeError), ([2], TypeError), (np.float64(2), TypeError), (np.True_, TypeError),
        (object(), TypeError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 300_000])
def test_workers(workers, kind, size):
    for call in (
        lambda: parallel_sum(np.ones(size), workers=workers),
        lambda: parallel_sum(np.ones((size, 2)), axis=0, workers=workers),
        lambda: parsum.set_workers(workers),
        lambda: parsum.limit_workers(workers).__enter__(),
    ):
        with pytest.raises(kind) as caught:
            call()
        message = str(caught.value)
        assert "workers" in message
        assert repr(workers) in message or str(workers) in message
        assert "-1" in message or "integer" in message or "int" in message


def test_the_message_about_workers():
    with pytest.raises(ValueError, match=re.escape("workers must be -1 or at least 1, got 0")):
        parallel_sum([1.0], workers=0)


@pytest.mark.parametrize("workers", [np.int64(2), np.uint8(3), 1, -1, 10**6, None])
def test_workers_that_are_fine(workers):
    assert parallel_sum(np.ones(300_000), workers=workers) == 300_000


@pytest.mark.parametrize("method", ["Exact", "slow", "", None, 3, b"exact", ["exact"]])
def test_method(method):
    kinds = ValueError if isinstance(method, str) else (ValueError, TypeError)
    for size in (1, 300_000):
        with pytest.raises(kinds, match="method") as caught:
            parallel_sum(np.ones(size), method=method)
        message = str(caught.value)
        assert repr(method) in message
        assert "exact" in message
        assert "fast" in message


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (np.array([1, "a"], object), "object"),
        (np.array([2**70]), "object"),
        (np.array(["abc"]), "U3"),
        (np.array([b"abc"]), "S3"),
        (np.zeros(3, "i4,f8"), "f0"),
        (np.zeros(3, "V5"), "V5"),
        (np.array(["2020-01-01"], "M8[D]"), "datetime64"),
        (np.array([], object), "object"),
        (np.empty((0, 3), "U2"), "U2"),
        (["a", "b"], "U1"),
        (None, "object"),
        ({}, "object"),
        (object(), "object"),
    ],
    # without addresses, which differ between runs
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", repr(value)),
)
def test_unsupported_dtypes(values, name):
    for kwargs in ({}, {"axis": 0}) if np.ndim(values) else ({},):
        with pytest.raises(TypeError) as caught:
            parallel_sum(values, **kwargs)
        message = str(caught.value)
        assert name in message
        assert "float" in message  # what is supported
        assert re.search(r"\bbool|\bint", message)


@pytest.mark.parametrize("dtype", [object, "U3", "S", "M8[s]", "V8", "i4,f8"])
def test_unsupported_result_dtypes(dtype):
    with pytest.raises(TypeError, match="dtype"):
        parallel_sum([1.0, 2.0], dtype=dtype)


def test_object_out():
    with pytest.raises(TypeError, match=r"out|object"):
        parallel_sum([1.0], out=np.zeros((), object))


class _NoExecutor:
    def submit(self, *args):
        raise AssertionError("must not be used")


@pytest.mark.parametrize("executor", [_NoExecutor(), 4, "threads", True])
def test_executor(executor):
    for size in (1, 300_000):
        with pytest.raises(TypeError, match="executor") as caught:
            parallel_sum(np.ones(size), executor=executor)
        message = str(caught.value)
        assert "ThreadPoolExecutor" in message
        assert type(executor).__name__ in message or repr(executor) in message


def test_an_executor_of_processes():
    with (
        ProcessPoolExecutor(1) as executor,
        pytest.raises(TypeError, match=r"executor .*ThreadPoolExecutor.*ProcessPoolExecutor"),
    ):
        parallel_sum(np.ones(300_000), executor=executor)


@pytest.mark.parametrize("progress", ["yes", 1, 0, 2.5, [], object()])
def test_progress(progress):
    for size in (1, 300_000):
        with pytest.raises(TypeError, match="progress") as caught:
            parallel_sum(np.ones(size), progress=progress)
        message = str(caught.value)
        assert type(progress).__name__ in message or repr(progress) in message


def test_axis_errors_name_the_axis():
    with pytest.raises(np.exceptions.AxisError, match="axis 2 is out of bounds") as caught:
        parallel_sum(_ONES, axis=2)
    assert "2" in str(caught.value)
    with pytest.raises(ValueError, match="axis"):
        parallel_sum(_ONES, axis=(0, 0))
    with pytest.raises(TypeError):
        parallel_sum(_ONES, axis="x")


def test_nothing_to_sum():
    with pytest.raises(TypeError):
        parallel_sum()


def test_options_are_keywords():
    with pytest.raises(TypeError):
        parallel_sum(_ONES, None, None, None, False, 0, True, 4)


def test_cpu_levels():
    assert parsum.cpu_level() in parsum.cpu_levels()
    assert isinstance(parsum.cpu_levels(), tuple)
    assert "baseline" in parsum.cpu_levels()


def test_version():
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?([.\-+a-z0-9]+)?", parsum.__version__)
