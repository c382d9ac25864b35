"""progress=: bytes done and in all, by a bar or a callable, which may also fail."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from children import output, run

from parsum import parallel_sum

_LARGE = np.ones(8_000_000)


def _calls(values, **kwargs):
    calls = []
    result = parallel_sum(values, progress=lambda *args: calls.append(args), **kwargs)
    return result, calls


@pytest.mark.parametrize(
    ("values", "kwargs"),
    [
        (_LARGE, {"workers": 1}),
        (_LARGE, {"workers": 3}),
        (_LARGE, {"method": "fast"}),
        (_LARGE.reshape(2000, 4000), {"axis": 0}),
        (_LARGE.reshape(2000, 4000), {"axis": 1}),
        (_LARGE.reshape(2000, 4000)[:, ::2], {}),
        (_LARGE.reshape(2000, 4000)[:, ::-2], {"axis": 0}),
        (_LARGE.reshape(2000, 4000).T, {"axis": (0, 1)}),
        (_LARGE[:3_000_000].astype(">f8"), {}),
        (_LARGE[:3_000_000].astype(np.float16), {"dtype": np.float32}),
        (np.ones(5_000_000, np.complex64), {}),
        (np.ones(5_000_000, np.int8), {}),
        (np.ones(2_000_000, np.longdouble), {}),
        (np.ones(10), {}),
        (np.ones((4, 5)), {"axis": 1}),
    ],
    ids=lambda v: str(v)[:30] if isinstance(v, dict) else f"{v.shape} {v.dtype}",
)
def test_callable(values, kwargs):
    result, calls = _calls(values, **kwargs)
    assert np.sum(result) == values.size
    total = values.size * values.itemsize
    assert calls
    assert all(len(call) == 2 and all(type(v) is int for v in call) for call in calls)
    assert {total_ for _, total_ in calls} == {total}
    done = [done_ for done_, _ in calls]
    assert done == sorted(done)
    assert done[0] >= 0
    assert done[-1] == total


def test_large_work_reports_on_the_way():
    """Not at the end alone: a second or so of work, some reports in between."""
    values = np.broadcast_to(np.arange(1000.0), (1_000_000, 1000))
    _, calls = _calls(values)
    between = [done for done, total in calls if 0 < done < total]
    assert len(between) >= 2


def test_an_empty_sum():
    result, calls = _calls(np.empty((0, 3)), axis=0)
    assert result.tolist() == [0, 0, 0]
    assert all(call == (0, 0) for call in calls)


def test_where_and_masks_still_end_at_the_total():
    where = np.arange(2_000_000) % 3 == 0
    result, calls = _calls(_LARGE[:2_000_000], where=where)
    assert result == np.count_nonzero(where)
    assert calls[-1][0] == calls[-1][1]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_exception_in_the_callable_propagates(error, workers):
    def callback(done, total):
        raise error("from the callback")

    with pytest.raises(error, match="from the callback"):
        parallel_sum(_LARGE, progress=callback, workers=workers)
    with pytest.raises(error, match="from the callback"):
        parallel_sum(_LARGE.reshape(2000, 4000), axis=0, progress=callback, workers=workers)
    assert parallel_sum(_LARGE, workers=workers) == len(_LARGE)


def test_an_exception_at_the_end_propagates_too():
    def callback(done, total):
        if done == total:
            raise RuntimeError("at the end")

    with pytest.raises(RuntimeError, match="at the end"):
        parallel_sum(_LARGE, progress=callback)
    assert parallel_sum(_LARGE) == len(_LARGE)


def test_a_failed_callback_stops_the_work():
    """An endless sum ends with its callback."""
    endless = np.broadcast_to(np.arange(3.0), (10**12, 3))

    def callback(done, total):
        if done:
            raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        parallel_sum(endless, progress=callback)


def test_the_callable_is_called_in_the_callers_thread():
    seen = set()
    parallel_sum(_LARGE, workers=4, progress=lambda done, total: seen.add(threading.get_ident()))
    assert seen == {threading.get_ident()}


def test_none_and_false_are_silent(capfd):
    parallel_sum(_LARGE, progress=None)
    parallel_sum(_LARGE, progress=False)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_bar(capfd):
    pytest.importorskip("tqdm")
    assert parallel_sum(_LARGE, progress=True) == len(_LARGE)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "100%" in captured.err
    assert "64.0M" in captured.err or "61.0M" in captured.err  # bytes, in powers of 1000 or 1024
    assert "B/s" in captured.err
    parallel_sum(np.ones(3), progress=True)
    assert "100%" in capfd.readouterr().err


def test_bar_is_closed_when_the_sum_fails(capfd):
    tqdm = pytest.importorskip("tqdm")
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        parallel_sum(np.full(3_000_000, 1e308), progress=True)
    capfd.readouterr()
    assert not getattr(tqdm.tqdm, "_instances", ())


def test_without_tqdm():
    """A sentence that says what to install, not a traceback from inside."""
    code = """
        import sys
        sys.modules["tqdm"] = None
        sys.modules["tqdm.auto"] = None
        from parsum import parallel_sum
        print(parallel_sum([1.0, 2.0], progress=False))
        calls = []
        parallel_sum([1.0, 2.0], progress=lambda done, total: calls.append(done))
        print(calls[-1])
        parallel_sum([1.0, 2.0], progress=True)
    """
    done = run(code)
    assert done.stdout.split() == ["3.0", "16"]
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    assert "tqdm" in last
    assert "parsum[progress]" in last


def test_tqdm_is_imported_only_for_a_bar():
    code = """
        import sys
        from parsum import parallel_sum
        parallel_sum([1.0, 2.0])
        print("tqdm" in sys.modules)
    """
    assert output(code) == "False"
