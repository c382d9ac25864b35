"""Every layout, axis, mask, output and container: values exact, all the rest as NumPy has it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out
from oracle import assert_same_bits, expected_along, expected_sum
from strategies import COMPLEX, FAMILIES, FLOATS, INTEGERS, generate, integers

from parsum import parallel_sum

DTYPES = [
    np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64,
    np.float16, np.float32, np.float64, np.complex64, np.complex128, np.longdouble,
    np.clongdouble, np.dtype("m8[s]"),
]  # fmt: skip


def whole(shape, dtype, seed=0):
    """Whole numbers so small that NumPy's sum of them is exact in every dtype."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    low = 0 if dtype.kind in "bu" else -2
    values = rng.integers(low, 3, shape).astype(dtype if dtype.kind != "c" else float)
    if dtype.kind == "c":
        values = (values + 1j * rng.integers(-2, 3, shape)).astype(dtype)
    return values


def _poison(nbytes):
    """Leaves garbage in the memory that the next arrays of that size get.

    Otherwise a result that was never written could be an earlier, right one.
    """
    _ = [np.full(nbytes, 0xA5, np.uint8) for _ in range(16)]


def check(values, **kwargs):
    """parallel_sum against np.sum: type, dtype, shape and bits."""
    expected = np.sum(values, **kwargs)
    _poison(np.asarray(expected).nbytes)
    actual = parallel_sum(values, **kwargs)
    assert type(actual) is type(expected)
    assert actual.dtype == expected.dtype
    assert actual.dtype.isnative == expected.dtype.isnative
    assert_same_bits(actual, expected, f"{values.shape} {values.strides} {kwargs}")


def axes_of(ndim):
    """None, () and every subset, some with negative axes and out of order."""
    subsets = [c for r in range(ndim + 1) for c in itertools.combinations(range(ndim), r)]
    single = [*range(ndim), *range(-ndim, 0)]
    return [None, *single, *subsets, *[tuple(d - ndim for d in reversed(s)) for s in subsets]]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_layouts_and_axes(dtype, layout):
    for shape in [(7,), (5, 3), (2, 9), (17, 33), (4, 5, 6), (2, 3, 4, 5)]:
        values = lay_out(whole(shape, dtype), layout)
        for axis in axes_of(len(shape)):
            for keepdims in (False, True):
                check(values, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
def test_layouts_of_hard_values(dtype, layout):
    for family in ("wide", "specials", "cancelling", "signed zeros", "subnormal"):
        values = lay_out(generate(family, 12 * 35, dtype).reshape(12, 35), layout)
        with np.errstate(all="ignore"):
            for axis in (None, 0, 1):
                expected = expected_along(values, axis)
                for workers in (1, 4):
                    actual = parallel_sum(values, axis=axis, workers=workers)
                    assert_same_bits(actual, expected, f"{family} {axis} {workers}")


@st.composite
def _views(draw):
    """A random view: axes cut, stepped, reversed, permuted, with axes of length 1 and 0."""
    ndim = draw(st.integers(0, 4))
    shape = tuple(draw(st.integers(0, 7) | st.integers(1, 40 // max(ndim, 1))) for _ in range(ndim))
    dtype = draw(st.sampled_from([*FLOATS, *COMPLEX, np.int32, np.int64, np.uint8]))
    size = int(np.prod(shape))
    seed = draw(st.integers(0, 2**32 - 1))
    if np.dtype(dtype).kind in "fc":
        values = generate(draw(st.sampled_from(sorted(FAMILIES))), size, dtype, seed)
    else:
        values = integers(size, dtype, seed)
    values = values.reshape(shape, order=draw(st.sampled_from("CF")))
    if draw(st.booleans()):
        values = lay_out(values, draw(st.sampled_from(LAYOUTS)))
    cuts = tuple(
        slice(
            draw(st.none() | st.integers(-9, 9)),
            draw(st.none() | st.integers(-9, 9)),
            draw(st.sampled_from([None, 1, 2, 3, -1, -2])),
        )
        for _ in range(ndim)
    )
    if draw(st.booleans()):
        values = values[cuts]
    values = values.transpose(draw(st.permutations(range(ndim))))
    if draw(st.booleans()):
        place = draw(st.integers(0, ndim))
        values = np.expand_dims(values, place)
        if draw(st.booleans()):
            repeated = list(values.shape)
            repeated[place] = draw(st.integers(0, 5))
            values = np.broadcast_to(values, repeated)
    axis = draw(st.none() | st.lists(st.integers(0, max(values.ndim - 1, 0)), unique=True))
    if axis is not None:
        axis = tuple(axis) if values.ndim else ()
    where = True
    if draw(st.booleans()):
        mask_shape = tuple(n if draw(st.booleans()) else 1 for n in values.shape)
        mask_shape = mask_shape[draw(st.integers(0, len(mask_shape))) :]
        where = np.random.default_rng(seed).random(mask_shape) < 0.6
    return values, axis, where


@given(view=_views(), keepdims=st.booleans(), workers=st.integers(1, 9))
def test_any_view(view, keepdims, workers):
    values, axis, where = view
    with np.errstate(all="ignore"):
        expected = expected_along(values, axis, keepdims, where)
        actual = parallel_sum(values, axis=axis, keepdims=keepdims, where=where, workers=workers)
        shape = np.sum(np.zeros(values.shape), axis=axis, keepdims=keepdims).shape
    assert np.shape(actual) == shape
    assert_same_bits(actual, expected, f"{values.shape} {values.strides} {axis}")


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 2), (0, 0), (3, 0, 2), (0, 3, 2), (3, 2, 0)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_empty(dtype, shape):
    values = np.empty(shape, dtype)
    for axis in axes_of(len(shape)):
        check(values, axis=axis)
        check(values, axis=axis, keepdims=True)
        check(values, axis=axis, where=np.zeros(shape, bool))
    if np.dtype(dtype).kind != "m":
        check(values, initial=3)
        check(values, axis=0, initial=3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_zero_dimensional(dtype):
    values = whole((), dtype, seed=3)
    for axis in (None, (), 0, -1):
        check(values, axis=axis)
        check(values, axis=axis, keepdims=True)
    check(values, where=False)
    check(values, where=np.array(True))
    assert_same_bits(parallel_sum(np.array(-0.0)), np.float64(-0.0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8, np.complex128])
def test_axes_of_length_one(dtype):
    for shape in [(1,), (1, 1), (1, 5), (5, 1), (1, 5, 1), (5, 1, 4), (1, 1, 1, 3)]:
        values = whole(shape, dtype)
        for axis in axes_of(len(shape)):
            check(values, axis=axis)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_broadcast(dtype):
    row = whole((1, 11), dtype)
    cases = [
        np.broadcast_to(row, (6, 11)),
        np.broadcast_to(row.T, (11, 6)),
        np.broadcast_to(row[0, :1], (500,)),
        np.broadcast_to(whole((), dtype, 1), (4, 5)),
        np.broadcast_to(row[:, None], (3, 1, 11)),
        np.broadcast_to(row, (6, 11))[:, ::-2],
        np.lib.stride_tricks.sliding_window_view(row[0], 4),
        np.lib.stride_tricks.sliding_window_view(row[0], 4).T,
    ]
    for values in cases:
        for axis in axes_of(values.ndim):
            check(values, axis=axis)


def test_broadcast_hard_values():
    values = np.broadcast_to(generate("wide", 50, np.float64), (77, 50))
    for axis in (None, 0, 1):
        assert_same_bits(parallel_sum(values, axis=axis), expected_along(values, axis))
    assert parallel_sum(np.broadcast_to(0.1, (10,))) == 1.0
    huge = np.broadcast_to(np.float64(1e308), (3, 4))
    with np.errstate(over="ignore"):
        assert np.all(parallel_sum(huge, axis=0) == np.inf)


def test_many_dimensions():
    values = whole((2,) * 12, np.float32)
    check(values)
    check(values, axis=(1, 3, 5, 7))
    check(values.transpose(range(11, -1, -1)), axis=tuple(range(0, 12, 2)))
    deep = np.ones((1,) * 60 + (2, 1, 1, 1))
    check(deep)
    check(deep, axis=60)
    check(deep, axis=tuple(range(64)), keepdims=True)
    wide = np.ones((2,) * 16)[::-1, :, ::-1].transpose([*range(15, -1, -2), *range(0, 16, 2)])
    check(wide, axis=tuple(range(8)))


# ---- containers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        [], [1, 2, 3], [1.5, 2.5], (1, 2), [[1, 2], [3, 4]], [True, False], 5, 2.5, 1j, True,
        [1, 2.5, 1j], np.float32(3), np.int8(100), np.bool_(True), np.complex64(1j), range(10),
        [np.float32(1), np.float32(2)], [np.array([1, 2]), np.array([3, 4])], [[]], [[], []],
        memoryview(b"abc"), np.timedelta64(3, "s"),
    ],
    ids=lambda values: "memory" if isinstance(values, memoryview) else repr(values),
)  # fmt: skip
def test_lists_and_scalars(values):
    expected = np.sum(values)
    actual = parallel_sum(values)
    assert type(actual) is type(expected)
    assert_same_bits(actual, expected)


def test_lists_along_axes():
    for axis in (None, 0, 1, -1, (0, 1), ()):
        assert_same_bits(
            parallel_sum([[1, 2], [3, 4]], axis=axis), np.sum([[1, 2], [3, 4]], axis=axis)
        )


def test_objects_with_array():
    class Box:
        def __array__(self, dtype=None, copy=None):
            return np.arange(10.0)

    assert parallel_sum(Box()) == 45
    assert parallel_sum(Box(), axis=0) == 45


def test_dlpack():
    """A library that has DLPack and nothing else."""

    class Tensor:
        def __init__(self, values):
            self.values = values

        def __dlpack__(self, **kwargs):
            return self.values.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return self.values.__dlpack_device__()

    values = generate("spread", 6000, np.float64).reshape(60, 100)
    assert_same_bits(parallel_sum(Tensor(values)), expected_sum(values))
    assert_same_bits(parallel_sum(Tensor(values.T), axis=0), expected_along(values, 1))


def test_the_buffer_protocol():
    import array

    assert parallel_sum(array.array("d", [1.5, 2.5])) == 4.0
    assert_same_bits(parallel_sum(memoryview(np.arange(6, dtype="u2"))), np.uint64(15))


def test_memory_maps(tmp_path):
    values = generate("wide", 10_000, np.float64)
    np.save(tmp_path / "a.npy", values)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    actual = parallel_sum(mapped)
    assert type(actual) is np.float64
    assert_same_bits(actual, expected_sum(values))


# ---- initial -------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX, np.int16, np.int64, np.bool_])
def test_initial(dtype, axis):
    values = whole((4, 6), dtype)
    for initial in (0, 1, -5, 2.0, np.int8(3), np.float32(4), True, np.array(7)):
        check(values, axis=axis, initial=initial)
    if np.dtype(dtype).kind == "c":
        check(values, axis=axis, initial=2 - 3j)
    check(values, axis=axis, initial=None)


def test_initial_of_a_float_sum():
    minus = np.full(4, -0.0)
    assert_same_bits(parallel_sum(minus, initial=-0.0), np.float64(-0.0))
    assert_same_bits(parallel_sum(minus, initial=0.0), np.float64(0.0))
    assert_same_bits(parallel_sum(minus[:0], initial=-0.0), np.float64(-0.0))
    assert parallel_sum([1e308, 1e308], initial=-1e308) == 1e308
    assert parallel_sum([1.0, 2.0**-53], initial=2.0**-1074) == 1 + 2.0**-52
    assert parallel_sum([1.0], initial=np.inf) == np.inf
    assert np.isnan(parallel_sum([1.0], initial=np.nan))
    with np.errstate(invalid="ignore"):
        assert np.isnan(parallel_sum([np.inf], initial=-np.inf))
    values = generate("cancelling", 600, np.float64).reshape(20, 30)
    for axis in (0, 1):
        assert_same_bits(
            parallel_sum(values, axis=axis, initial=1e300),
            expected_along(values, axis, initial=1e300),
        )


def test_initial_of_an_integer_sum_truncates_as_numpys():
    check(np.arange(5), initial=1.5)
    check(np.arange(5), initial=-2.9)


# ---- where ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.int16, np.bool_])
def test_where(dtype):
    values = whole((6, 10), dtype)
    rng = np.random.default_rng(1)
    full = rng.random((6, 10)) < 0.5
    masks = [
        True, False, np.array(True), np.array(False), [True] * 10, full, full[:1], full[:, :1],
        full[0], np.asfortranarray(full), np.zeros((6, 10), bool), np.ones(10, bool),
        (rng.random((12, 30)) < 0.5)[::2, ::3], (rng.random((6, 10)) < 0.5)[::-1, ::-1],
        full.T.copy().T, np.broadcast_to(full[:1], (6, 10)), np.broadcast_to(True, (6, 10)),
        [[1]] * 6, 1, 0,
    ]  # fmt: skip
    for where in masks:
        for axis in (None, 0, 1, (), (0, 1)):
            check(values, axis=axis, where=where)
            check(values.T, axis=axis, where=np.broadcast_to(np.array(where, bool), (6, 10)).T)
        check(values, axis=1, where=where, keepdims=True, initial=3)


def test_where_hides_specials():
    values = np.array([1.0, np.nan, np.inf, -np.inf, 2.0, 1e308, 1e308])
    where = np.array([1, 0, 0, 0, 1, 0, 0], bool)
    with np.errstate(all="raise"):
        assert parallel_sum(values, where=where) == 3.0
        assert parallel_sum(np.tile(values, 9999), where=np.tile(where, 9999)) == 3.0 * 9999
        columns = parallel_sum(np.tile(values, (50, 1)), axis=0, where=where)
    assert columns.tolist() == [50, 0, 0, 0, 100, 0, 0]


def test_where_of_minus_zeros():
    minus = np.full((3, 4), -0.0)
    where = np.zeros((3, 4), bool)
    assert_same_bits(parallel_sum(minus, where=where), np.float64(0.0))
    where[1, 2] = True
    assert_same_bits(parallel_sum(minus, where=where), np.float64(-0.0))
    expected = np.array([0.0, 0.0, -0.0, 0.0])
    assert_same_bits(parallel_sum(minus, axis=0, where=where), expected)
    assert_same_bits(parallel_sum(minus, axis=1, where=where), np.array([0.0, -0.0, 0.0]))


@given(
    dtype=st.sampled_from([*FLOATS, *COMPLEX, *INTEGERS]),
    n=st.integers(0, 5000),
    density=st.sampled_from([0.0, 0.001, 0.5, 0.999, 1.0]),
    seed=st.integers(0, 2**32 - 1),
    workers=st.integers(1, 9),
    step=st.sampled_from([1, 2, -1, -3]),
)
def test_where_is_the_sum_of_the_chosen(dtype, n, density, seed, workers, step):
    if np.dtype(dtype).kind in "fc":
        values = generate(sorted(FAMILIES)[seed % len(FAMILIES)], n, dtype, seed)
    else:
        values = integers(n, dtype, seed)
    where = (np.random.default_rng(seed).random(n * abs(step)) < density)[::step]
    with np.errstate(all="ignore"):
        actual = parallel_sum(values, where=where, workers=workers)
    assert_same_bits(actual, expected_sum(values[where]))


# ---- out -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("out_dtype", DTYPES[:-1], ids=str)
@pytest.mark.parametrize("dtype", DTYPES[:-1], ids=str)
def test_out_dtypes(dtype, out_dtype):
    """Whichever pairs NumPy allows, with its result; and its error for the others."""
    values = whole((5, 4), dtype)
    if np.dtype(dtype).kind in "ifc":
        values -= values.real.min()  # negative numbers have no unsigned cast
    for kwargs in ({"axis": None}, {"axis": 0}, {"axis": 1, "keepdims": True}):
        shape = np.sum(values, **kwargs).shape
        expected, out = np.empty(shape, out_dtype), np.empty(shape, out_dtype)
        try:
            np.sum(values, out=expected, **kwargs)
        except Exception as error:
            with pytest.raises(type(error)):
                parallel_sum(values, out=out, **kwargs)
            continue
        assert parallel_sum(values, out=out, **kwargs) is out
        assert_same_bits(out, expected)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "read-only"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.int64])
def test_out_layouts(dtype, layout):
    values = whole((6, 5, 7), dtype)
    for axis in (None, 0, 1, 2, (0, 2), (1, 2), ()):
        expected = np.sum(values, axis=axis)
        out = lay_out(np.zeros(expected.shape, expected.dtype), layout)
        returned = parallel_sum(values, axis=axis, out=out)
        assert returned is out
        assert_same_bits(np.array(out, dtype), expected, f"{axis}")


def test_out_leaves_its_neighbours_alone():
    values = whole((9, 4), np.float64)
    big = np.full((4, 6), 77.0)
    parallel_sum(values, axis=0, out=big[:, 3])
    assert_same_bits(big[:, 3].copy(), np.sum(values, axis=0))
    assert np.all(np.delete(big, 3, axis=1) == 77)


def test_out_of_another_float_is_rounded_once():
    """out= without dtype= is NumPy's rule: the sum is one of out's dtype."""
    values = np.array([1.0, 2.0**-24, 2.0**-60])
    out = np.zeros((), np.float32)
    parallel_sum(values, out=out)
    assert out == np.float32(1 + 2**-23)
    wide = np.zeros(())
    parallel_sum(np.float32([1, 2**-24]), out=wide)
    assert wide == 1 + 2.0**-24
    # with a dtype, the result is of that dtype and then cast
    parallel_sum(np.float32([1, 2**-24]), dtype=np.float32, out=wide)
    assert wide == 1


@pytest.mark.parametrize("workers", [1, 4])
def test_out_that_overlaps_the_input(workers):
    values = whole((300, 300), np.float64)
    for axis in (0, 1):
        expected = np.sum(values, axis=axis)
        for place in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, 150], np.s_[::-1, 7]):
            shared = values.copy()
            parallel_sum(shared, axis=axis, out=shared[place], workers=workers)
            assert_same_bits(shared[place].copy(), expected, f"{axis} {place}")
    cube = whole((40, 50, 40), np.float64)
    expected = np.sum(cube, axis=1)
    shared = cube.copy()
    parallel_sum(shared, axis=1, out=shared[:, 3, :], workers=workers)
    assert_same_bits(shared[:, 3, :].copy(), expected)
    shared = cube.copy()
    parallel_sum(shared, axis=(), out=shared.transpose(2, 1, 0), workers=workers)
    assert_same_bits(shared.transpose(2, 1, 0).copy(), cube)
    line = values[0].copy()
    parallel_sum(line, out=line[5:6].reshape(()), workers=workers)
    assert line[5] == np.sum(values[0])


def test_out_that_overlaps_where():
    values = whole((8, 8), np.int8)
    mask = values > 0
    expected = np.sum(values, axis=0, where=mask, dtype=bool)
    shared = mask.copy()
    parallel_sum(values, axis=0, where=shared, dtype=bool, out=shared[3])
    assert_same_bits(shared[3].copy(), expected)


def test_out_of_an_empty_sum():
    out = np.full(2, 9.0)
    assert parallel_sum(np.ones((2, 0)), axis=1, out=out) is out
    assert out.tolist() == [0, 0]
    out = np.empty(0)
    assert parallel_sum(np.ones((2, 0)), axis=0, out=out) is out


def test_out_positionally():
    out = np.zeros(3)
    assert parallel_sum(np.ones((2, 3)), 0, None, out, False, 5, True) is out
    assert out.tolist() == [7, 7, 7]


def test_input_is_left_alone():
    values = generate("normal", 5000, np.float64)
    before = values.tobytes()
    for layout in LAYOUTS:
        laid = lay_out(values.reshape(50, 100), layout)
        kept = laid.copy()
        for method in ("exact", "fast"):
            parallel_sum(laid, axis=0, method=method)
            parallel_sum(laid, method=method)
        assert_same_bits(laid, kept)
    assert values.tobytes() == before
