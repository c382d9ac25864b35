"""np.errstate: invalid for inf - inf, over for what does not fit, in all of NumPy's modes."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

from parsum import parallel_sum

_INVALID = {
    "float64": np.array([np.inf, -np.inf]),
    "float32": np.float32([1, np.inf, 2, -np.inf]),
    "float16": np.float16([-np.inf, np.inf]),
    "complex real": np.array([complex(np.inf, 0), complex(-np.inf, 0)]),
    "complex imaginary": np.array([complex(0, np.inf), complex(0, -np.inf)]),
    "large": np.concatenate([[np.inf], np.ones(400_000), [-np.inf]]),
    "columns": (np.inf * np.array([[1, 0.5], [1, -1.0]])),
}
_OVER = {
    "float64": np.array([1e308, 1e308]),
    "float32": np.float32([3e38, 3e38]),
    "float16": np.float16([6e4, 6e4]),
    "complex": np.array([complex(0, 1e308), complex(0, 1e308)]),
    "negative": np.array([-1e308, -1e308]),
    "int64": np.array([2**62, 2**62]),
    "uint64": np.array([2**63, 2**63], np.uint64),
    "large": np.full(400_000, 1e308),
    "large int": np.full(400_000, 2**62),
    "columns": np.array([[1, 1e308], [1, 1e308]]),
    "tie": np.array([np.finfo(float).max, 2.0**970]),
}
_CASES = [("invalid", name, values) for name, values in _INVALID.items()]
_CASES += [("over", name, values) for name, values in _OVER.items()]
_IDS = [f"{kind} {name}" for kind, name, _ in _CASES]
_WORDS = {"invalid": "invalid value", "over": "overflow"}


def _axis(name):
    return 0 if name == "columns" else None


@pytest.mark.parametrize(("kind", "name", "values"), _CASES, ids=_IDS)
class TestModes:
    def test_warn(self, kind, name, values):
        with (
            np.errstate(all="ignore", **{kind: "warn"}),
            pytest.warns(RuntimeWarning, match=_WORDS[kind]) as caught,
        ):
            parallel_sum(values, axis=_axis(name))
        assert len(caught) == 1
        assert caught[0].filename == __file__  # points at the caller

    def test_warn_is_the_default(self, kind, name, values):
        with pytest.warns(RuntimeWarning, match=_WORDS[kind]):
            parallel_sum(values, axis=_axis(name))

    def test_raise(self, kind, name, values):
        for workers in (1, 4):
            with (
                np.errstate(all="ignore", **{kind: "raise"}),
                pytest.raises(FloatingPointError, match=_WORDS[kind]),
            ):
                parallel_sum(values, axis=_axis(name), workers=workers)

    def test_ignore(self, kind, name, values):
        with np.errstate(all="raise", **{kind: "ignore"}), warnings.catch_warnings():
            warnings.simplefilter("error")
            parallel_sum(values, axis=_axis(name))

    def test_call(self, kind, name, values):
        calls = []
        with np.errstate(
            all="ignore", call=lambda text, flag: calls.append((text, flag)), **{kind: "call"}
        ):
            parallel_sum(values, axis=_axis(name))
        assert len(calls) == 1
        assert _WORDS[kind].split()[0] in calls[0][0]
        assert calls[0][1] == {"invalid": 8, "over": 2}[kind]  # np.geterr's own flags

    def test_print(self, kind, name, values, capfd):
        with np.errstate(all="ignore", **{kind: "print"}):
            parallel_sum(values, axis=_axis(name))
        captured = capfd.readouterr()
        assert _WORDS[kind].split()[0] in captured.out + captured.err

    def test_log(self, kind, name, values):
        class Log:
            text = ""

            def write(self, text):
                self.text += text

        log = Log()
        with np.errstate(all="ignore", call=log, **{kind: "log"}):
            parallel_sum(values, axis=_axis(name))
        assert _WORDS[kind].split()[0] in log.text

    def test_another_threads_errstate_is_not_ours(self, kind, name, values):
        caught = []

        def run():
            try:
                parallel_sum(values, axis=_axis(name), workers=2)
            except FloatingPointError as error:
                caught.append(error)

        with np.errstate(all="ignore"):
            other = threading.Thread(target=_with_errstate, args=(run, kind))
            other.start()
            other.join()
        assert len(caught) == 1


def _with_errstate(run, kind):
    with np.errstate(all="ignore", **{kind: "raise"}):
        run()


@pytest.mark.parametrize(
    "values",
    [
        np.array([1e308, 1e308, -1e308]),
        np.array([np.inf, 1.0]),
        np.array([np.inf, np.inf]),
        np.array([np.nan, 1.0]),
        np.array([np.nan]),
        np.array([np.inf, 1e308, 1e308]),
        np.array([5e-324, 5e-324]),
        np.array([1e-300, -1e-300]),
        np.array([1.0, 2.0**-60]),
        np.float16([65504, 15.99]),
        np.array([2**63 - 1, 1, -1]),
        np.array([]),
    ],
    ids=repr,
)
def test_what_is_no_error(values):
    """Infinite and NaN inputs, inexact and subnormal results raise nothing."""
    with np.errstate(all="raise"):
        parallel_sum(values)
        parallel_sum(np.tile(values, (40, 1)), axis=1)


def test_narrowing_overflows():
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert parallel_sum([1e300], dtype=np.float32) == np.inf
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert parallel_sum(np.full(3, 65504.0), dtype=np.float16) == np.inf
    with np.errstate(all="raise"):
        assert parallel_sum([1e300, -1e300, 1.0], dtype=np.float32) == 1
        assert parallel_sum([np.inf], dtype=np.float32) == np.inf


def test_a_raise_leaves_out_unharmed_or_written():
    """As with NumPy the state of out is open, but the next call is not disturbed."""
    out = np.zeros(2)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        parallel_sum(_OVER["columns"], axis=0, out=out)
    assert parallel_sum([1.0, 2.0]) == 3


def test_fast_method_reports_too():
    for values, kind in [(_INVALID["large"], "invalid"), (_OVER["large"], "over")]:
        with np.errstate(**{kind: "raise"}), pytest.raises(FloatingPointError):
            parallel_sum(values, method="fast")
    with np.errstate(all="raise"):
        assert parallel_sum(np.array([np.inf, 1.0]), method="fast") == np.inf
        assert np.isnan(parallel_sum(np.array([np.nan, 1.0]), method="fast"))
