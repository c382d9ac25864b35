"""Elements that kernels cannot read in place: results are those of a plain copy, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import plain_sum
from oracle import bits
from test_python_accumulators import spread

import parsum
from parsum import parallel_reduce

#: Lengths of rows about where they are gathered one by one, a tile at a time, or not.
LENGTHS = (1, 2, 15, 16, 17, 31, 32, 100, 255, 256, 257, 300)
#: Widths of tables about the tiles of columns.
WIDTHS = (1, 2, 7, 31, 32, 33, 64, 127, 128, 129, 300, 511, 513, 1025, 4095, 4097)

OWN = plain_sum(name="own")


def reversed_twice(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a[..., ::-1])[..., ::-1]


def apart(a: np.ndarray) -> np.ndarray:
    return np.repeat(a, 2, axis=-1)[..., ::2]


def wider(a: np.ndarray) -> np.ndarray:
    swapped = a.astype(a.dtype.newbyteorder())
    return np.pad(swapped, [(0, 0)] * (a.ndim - 1) + [(1, 2)])[..., 1:-2]


def longer(a: np.ndarray) -> np.ndarray:
    """Part of an array with more along the axis before the last."""
    swapped = a.astype(a.dtype.newbyteorder())
    more = [(0, 0)] * (a.ndim - 2) + [(1, 1), (0, 0)]
    return np.pad(swapped, more)[..., 1:-1, :]


LAYOUTS = {
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "apart": apart,
    "apart, swapped": lambda a: apart(a.astype(a.dtype.newbyteorder())),
    "reversed": reversed_twice,
    "wider, swapped": wider,
    "longer, swapped": longer,
    "other axes": lambda a: np.ascontiguousarray(a.swapaxes(0, -1)).swapaxes(0, -1),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, a.size, 1).reshape(a.shape),
}

REDUCTIONS = ("sum", "max", "argmax", "var", "prod", "any", "nansum", "minmax", OWN)


def results(a: np.ndarray, axis: int, ordered: bool = True) -> list[object]:
    found: list[object] = []
    # Backwards, a tree is another one.
    for k in REDUCTIONS if ordered else [k for k in REDUCTIONS if k not in ("prod", OWN)]:
        with np.errstate(all="ignore"):
            result = parallel_reduce(a, k, axis=axis)
        found += [bits(part) for part in result] if isinstance(result, tuple) else [bits(result)]
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows(layout):
    for n in LENGTHS:
        # Less than a tile, a tile, and a little more.
        for count in sorted({3, 8192 // n - 1, 8192 // n, 8192 // n + 5, 600}):
            if not 0 < count * n < 40_000:
                continue
            a, ordered = spread(count, n), layout != "reversed"
            found = results(LAYOUTS[layout](a), 1, ordered)
            assert found == results(a, 1, ordered), (count, n)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_columns(layout):
    for width in WIDTHS:
        for count in (2, 20, 33, 600, 1030):
            if count * width > 70_000:
                continue
            a = spread(count, width)
            assert results(LAYOUTS[layout](a), 0) == results(a, 0), (count, width)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(5, 70, 40), (70, 5, 40), (3, 40, 300), (40, 300, 3)])
def test_three_axes(layout, shape):
    a = spread(*shape)
    laid = LAYOUTS[layout](a)
    for axis in (0, 1, 2):
        ordered = layout != "reversed" or axis < 2
        assert results(laid, axis, ordered) == results(a, axis, ordered), axis
    for axis in ((0, 1), (0, 2), (1, 2)):
        for name in ("sum", "max", "var"):
            expected = bits(parallel_reduce(a, name, axis=axis))
            assert bits(parallel_reduce(laid, name, axis=axis)) == expected, (axis, name)
            found = parallel_reduce("x + x * 0", name, axis=axis, x=laid)
            assert bits(found) == expected, (axis, name)


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "complex128", "longdouble"])
def test_other_dtypes(dtype):
    for shape in ((700, 20), (20, 700), (90, 200), (1100, 129)):
        a = (np.random.default_rng(0).standard_normal(shape) * 50).astype(dtype)
        for laid in (a.astype(a.dtype.newbyteorder()), apart(a)):
            for axis in (0, 1):
                for name in ("sum", "max", "mean"):
                    expected = parallel_reduce(a, name, axis=axis)
                    assert bits(parallel_reduce(laid, name, axis=axis)) == bits(expected)


@pytest.mark.parametrize("workers", [1, 3])
def test_expressions(workers):
    """Of sources of other layouts: rows of some follow each other, of others not."""
    for shape in ((600, 7), (7, 600), (90, 40), (300, 100), (100, 300), (40, 1030), (3000, 33)):
        x, w, v = spread(*shape), spread(shape[1]), spread(shape[0], 1)
        for text, whole in (
            ("x * 2", x * 2),
            ("x * w", x * w),
            ("x * v - w", x * v - w),
            ("x - v * 0.5 + 1", x - v * 0.5 + 1),
        ):
            for laid in (x, np.asfortranarray(x), x.astype(">f8"), apart(x)):
                names = {"x": laid, "w": w, "v": v}
                used = {key: names[key] for key in names if key in text}
                for axis in (0, 1):
                    for k in ("sum", "max", "argmin", "var", OWN):
                        found = parallel_reduce(text, k, axis=axis, workers=workers, **used)
                        expected = parallel_reduce(whole, k, axis=axis)
                        assert bits(found) == bits(expected), (shape, text, axis, k)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_arrays(layout):
    for shape in ((600, 15), (600, 16), (90, 100), (30, 255), (10, 300), (3, 1030)):
        a, b = spread(*shape), spread(*shape)[::-1].copy()
        for x, y in ((LAYOUTS[layout](a), b), (a, LAYOUTS[layout](b))):
            for axis in (0, 1):
                found = parsum.parallel_vecdot(x, y, axis=axis)
                assert bits(found) == bits(parsum.parallel_vecdot(a, b, axis=axis))
                found = parsum.parallel_weighted_mean(x, axis=axis, weights=np.abs(y))
                expected = parsum.parallel_weighted_mean(a, axis=axis, weights=np.abs(b))
                assert bits(found) == bits(expected), (shape, axis)


def test_results_in_other_layouts():
    """Where the results go is not where the rows are."""
    a = spread(600, 20).astype(">f8")
    for name in ("sum", "max", "var"):
        expected = parallel_reduce(a, name, axis=1)
        for out in (np.empty(1200)[::2], np.empty(600)[::-1], np.empty(600, ">f8")):
            parallel_reduce(a, name, axis=1, out=out)
            assert np.array_equal(out, expected)
