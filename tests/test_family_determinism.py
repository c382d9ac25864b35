"""One answer: the same bits from any workers in any order, in any memory layout, by any method."""

from __future__ import annotations

import numpy as np
import pytest
from layouts import LAYOUTS, LAYOUTS_OF_ONE_ORDER, lay_out
from reference import FUNCTIONS, ROUNDED, Outcome, assert_same_outputs, dtypes_of, outcome, values
from schedules import scheduled

import parsum

INNER = {
    "dot": parsum.parallel_dot,
    "vdot": parsum.parallel_vdot,
    "vecdot": parsum.parallel_vecdot,
}


# Trees of a fixed shape, over the elements in the order of memory.
ORDERED = ["prod", "nanprod", "norm 3", "norm 0.5"]


def _same(actual: Outcome, expected: Outcome, note: str) -> None:
    # A slice of nothing but NaN has no index.
    assert expected.error is None or "All-NaN" in expected.message, f"{note}\n{expected}"
    assert (actual.error, actual.warned) == (expected.error, expected.warned), (
        f"{note}\n{actual}\n{expected}"
    )
    if expected.error is None:
        assert_same_outputs(actual.value, expected.value, note)


def _axes(function, ndim):
    if function.name.startswith("norm") and ndim > 1:
        return list(range(ndim))
    return [None, *(range(ndim) if ndim > 1 else [])]


# One of each kind of kernel.
CODES = ["?", "b", "Q", "e", "f", "d", "D", "g", "M8[ms]"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_workers(name):
    """From 1 to 9 of them, each with a share of small blocks, in an order of their own."""
    function = FUNCTIONS[name]
    for code in sorted(set(CODES) & set(dtypes_of(function.kinds))):
        for style, shape in [
            ("hard", (20_011,)), ("ties", (9000,)), ("nans", (5000,)), ("random", (37, 900)),
            ("extremes", (3000, 5)), ("ties", (5, 3, 1100)),
        ]:  # fmt: skip
            array = values(style, int(np.prod(shape)), code, 5).reshape(shape)
            for axis in _axes(function, array.ndim):
                expected = outcome(function.ours, array, axis=axis, workers=1)
                for workers in range(1, 10):
                    note = f"{name} {code} {style} {shape} {axis} {workers}"
                    with scheduled(workers, 64 << workers % 5, workers):
                        # With progress nothing takes the lean path.
                        actual = outcome(
                            function.ours, array, axis=axis, progress=lambda done, total: None
                        )
                    _same(actual, expected, note)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_layouts(name):
    """All layouts of the same values; those of one order where the order of elements shows."""
    function = FUNCTIONS[name]
    for code in sorted(set(CODES) & set(dtypes_of(function.kinds))):
        for style, shape in [("hard", (2500,)), ("ties", (12, 35)), ("nans", (3, 5, 40))]:
            array = values(style, int(np.prod(shape)), code, 3).reshape(shape)
            where = np.random.default_rng(1).random(shape) < 0.8
            ordered = name in ORDERED or (code == "g" and name in ROUNDED)
            if ordered and len(shape) > 1:
                continue
            for axis in _axes(function, array.ndim):
                kwargs = {"axis": axis}
                if "where" in function.keywords and "initial" not in function.keywords:
                    kwargs["where"] = where
                expected = outcome(function.ours, array, **kwargs)
                for layout in LAYOUTS_OF_ONE_ORDER if ordered else LAYOUTS:
                    note = f"{name} {code} {style} {shape} {axis} {layout}"
                    actual = outcome(function.ours, lay_out(array, layout), **kwargs)
                    _same(actual, expected, note)


@pytest.mark.parametrize("name", INNER)
def test_inner_products(name):
    """Workers, and layouts of both arrays."""
    function = INNER[name]
    rng = np.random.default_rng(0)
    for code in ("?", "b", "Q", "e", "f", "d", "F", "D", "g"):
        for style in ("hard", "random"):
            a, b = (values(style, 6000, code, seed) for seed in (1, 2))
            expected = outcome(function, a, b, workers=1)
            for workers in range(1, 10):
                with scheduled(workers, 64, workers):
                    actual = outcome(function, a, b)
                _same(actual, expected, f"{name} {code} {style} {workers}")
            for layout in LAYOUTS:
                other = str(rng.choice(LAYOUTS))
                actual = outcome(function, lay_out(a, layout), lay_out(b, other))
                _same(actual, expected, f"{name} {code} {style} {layout} {other}")


@pytest.mark.parametrize("name", [*FUNCTIONS, *INNER])
def test_threads(name):
    """The same by real threads on arrays that several take up."""
    n = 1_300_000
    for code in ("d", "f"):
        array = values("random", n, code, 1)
        array[::1000] *= 1e30
        if name in INNER:
            function, arguments = INNER[name], (array, array[::-1])
        else:
            function, arguments = FUNCTIONS[name].ours, (array,)
        with np.errstate(all="ignore"):
            expected = function(*arguments, workers=1)
            for workers in (2, 3, 7):
                actual = function(*arguments, workers=workers)
                assert_same_outputs(actual, expected, f"{name} {code} {workers}")
