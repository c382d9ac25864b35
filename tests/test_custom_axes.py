"""Reductions of users' C text along axes: rows and columns have the bits of runs, by other code."""

from __future__ import annotations

import warnings

import kernels
import numpy as np
import pytest
from children import output
from kernels import LANES, sum_by_tree
from oracle import bits

import parsum
from parsum import Reduction, parallel_reduce

#: About lanes, blocks of columns, the rows of short cuts, leaves and tiles.
ROWS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 64, 100, 511, 512, 513, 1023, 1024, 1025, 2100)
COLUMNS = (1, 2, 3, 8, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300)


def spread(shape: tuple[int, ...], dtype: str = "float64") -> np.ndarray:
    """Numbers of many magnitudes, whose sums show the order of additions."""
    rng = np.random.default_rng(sum(shape))
    return (rng.standard_normal(shape) * 10.0 ** rng.integers(-4, 4, shape)).astype(dtype)


def eight_sums(**arguments: object) -> Reduction:
    """Eight fields, of a state that has lanes; with nine it has none unless asked for."""
    fields = "abcdefgh"
    return Reduction.from_c(
        state=dict.fromkeys(fields, "double") | arguments.pop("more", {}),
        accumulate="".join(f"s->{k} += x * {n};" for n, k in enumerate(fields, 1)),
        combine="".join(f"s->{k} += o->{k};" for k in fields),
        finish="".join(f"r[{n}] = s->{k};" for n, k in enumerate(fields)),
        result=("float64", 8),
        **arguments,
    )


MAKERS = {
    "sum": kernels.plain_sum,
    "sum, 1 lane": lambda: kernels.plain_sum(lanes=1),
    "sum, 2 lanes": lambda: kernels.plain_sum(lanes=2),
    "sum, 64 lanes": lambda: kernels.plain_sum(lanes=64),
    "Welford": kernels.welford,
    "log-sum-exp": kernels.log_sum_exp,
    "eight sums": eight_sums,
    "nine fields": lambda: eight_sums(more={"i": "int64_t"}),
    "nine fields, 64 lanes": lambda: eight_sums(more={"i": "int64_t"}, lanes=64),
    "an array": lambda: Reduction.from_c(
        state={"sums": "double[2]"},
        accumulate="s->sums[0] += x; s->sums[1] += x * x;",
        combine="s->sums[0] += o->sums[0]; s->sums[1] += o->sums[1];",
        finish="*r = s->sums[0] + s->sums[1];",
    ),
    "more than 1024 bytes": lambda: Reduction.from_c(
        header="typedef struct { double of[150]; } many;",
        state={"sums": "many"},
        accumulate="s->sums.of[7] += x;",
        combine="s->sums.of[7] += o->sums.of[7];",
        finish="*r = s->sums.of[7];",
    ),
}


def by_runs(a: np.ndarray, reduction: Reduction, **options: object) -> np.ndarray:
    """Each row, as an array of its own."""
    return np.array([parallel_reduce(row.copy(), reduction, **options) for row in a])


def assert_bits(actual: np.ndarray, expected: np.ndarray, what: object) -> None:
    assert actual.dtype == expected.dtype and actual.shape == expected.shape, what
    assert bits(actual) == bits(expected), what


@pytest.mark.parametrize("name", MAKERS)
def test_rows_and_columns_have_the_bits_of_runs(name):
    reduction = MAKERS[name]()
    for rows in ROWS:
        for columns in (3, 130) if rows > 600 else COLUMNS:
            a = spread((rows, columns))
            expected = by_runs(a.T, reduction)
            assert_bits(parallel_reduce(a, reduction, axis=0), expected, (rows, columns))
            turned = np.ascontiguousarray(a.T)
            assert_bits(parallel_reduce(turned, reduction, axis=1), expected, (columns, rows))
            # Part of wider rows, and of elements two apart.
            wider = np.full((rows, columns + 5), np.nan)
            wider[:, 2:-3] = a
            assert_bits(parallel_reduce(wider[:, 2:-3], reduction, axis=0), expected, "wider")
            apart = np.full((columns, 2 * rows), np.nan)
            apart[:, ::2] = turned
            assert_bits(parallel_reduce(apart[:, ::2], reduction, axis=1), expected, "apart")


@pytest.mark.parametrize("lanes", [None, 1, 2, 64])
def test_rows_and_columns_have_the_promised_tree(lanes):
    """By an independent model of it."""
    total = kernels.plain_sum(lanes=lanes)
    for rows in ROWS:
        a = spread((rows, 70))
        expected = np.array([sum_by_tree(a[:, k], lanes or LANES) for k in range(70)])
        assert_bits(parallel_reduce(a, total, axis=0), expected, rows)
        assert_bits(parallel_reduce(np.ascontiguousarray(a.T), total, axis=1), expected, rows)


@pytest.mark.parametrize("workers", range(1, 10))
def test_workers(workers):
    """Of few columns and many rows, where columns are cut; and of many."""
    total = kernels.plain_sum()
    for shape in ((300_000, 4), (2100, 700), (5, 200_000)):
        a = spread(shape)
        actual = parallel_reduce(a, total, axis=0, workers=workers)
        some = range(0, shape[1], max(1, shape[1] // 5))
        assert [actual[k] for k in some] == [sum_by_tree(a[:, k]) for k in some]
        rows = parallel_reduce(np.ascontiguousarray(a.T), total, axis=1, workers=workers)
        assert_bits(rows, actual, shape)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "float16", "float32", "longdouble"])
@pytest.mark.parametrize("ordered", [True, False])
def test_exact_reductions_of_other_dtypes(dtype, ordered):
    """A sum of small integers: lanes or not, its bits are NumPy's."""
    total = Reduction.from_c(
        state={"sum": "double", "n": "int64_t"},
        accumulate="s->sum += x; s->n += x > parameter;",
        combine="s->sum += o->sum; s->n += o->n;",
        finish="r->sum = s->sum; r->n = s->n;",
        dtypes=dtype,
        result={"sum": "float64", "n": "int64"},
        ordered=ordered,
    )
    for shape in ((1, 7), (7, 1), (40, 33), (513, 130), (1030, 260), (3, 9000), (703, 4100)):
        a = np.random.default_rng(shape[0]).integers(0, 100, shape).astype(dtype)
        for axis in (0, 1):
            found = parallel_reduce(a, total, axis=axis, parameter=50)
            assert found["sum"].tolist() == a.sum(axis, dtype=np.float64).tolist(), shape
            assert found["n"].tolist() == np.count_nonzero(a > 50, axis=axis).tolist(), shape


@pytest.mark.parametrize("columns", [2047, 2048, 2061, 4096, 4097, 8200])
def test_wide_tables_in_any_order(columns):
    """Whose states of one field are more than the nearest cache holds."""
    total = kernels.plain_sum(ordered=False)
    for rows in (1, 3, 4, 5, 31, 131, 515):
        a = np.random.default_rng(rows).integers(0, 1000, (rows, columns)).astype(float)
        assert np.array_equal(parallel_reduce(a, total, axis=0), a.sum(0)), rows


def test_where_masks_and_other_layouts():
    total, a = kernels.plain_sum(), spread((200, 90))
    expected = by_runs(a.T, total)
    for laid in (a.astype(">f8"), np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2]):
        assert_bits(parallel_reduce(laid, total, axis=0), expected, laid.strides)
    where = np.random.default_rng(1).random(a.shape) < 0.5
    exact = parsum.parallel_sum(a, axis=0, where=where)
    np.testing.assert_allclose(
        parallel_reduce(a, total, axis=0, where=where), exact, rtol=1e-12, atol=1e-9
    )
    masked = parallel_reduce(np.ma.array(a, mask=~where), total, axis=0)
    np.testing.assert_allclose(masked, exact, rtol=1e-12, atol=1e-9)
    stacked = np.stack([a, 2 * a])
    assert_bits(parallel_reduce(stacked, total, axis=1), by_runs_of(stacked, total), "stacked")


def by_runs_of(a: np.ndarray, reduction: Reduction) -> np.ndarray:
    return np.array([by_runs(part.T, reduction) for part in a])


@pytest.mark.parametrize("shape", [(5, 200), (200, 5), (600, 200), (3000, 7)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_single_flag_among_many_results(shape, axis):
    total = kernels.plain_sum(
        finish="*r = s->sum; if (isnan(s->sum)) return PARSUM_INVALID;", name="flagging"
    )
    a = np.ones(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = parallel_reduce(a, total, axis=axis)
    a[tuple(n // 2 for n in shape)] = np.nan
    with pytest.warns(RuntimeWarning, match="invalid value encountered in flagging"):
        actual = parallel_reduce(a, total, axis=axis)
    assert np.isnan(actual).sum() == 1
    assert np.all(np.isnan(actual) | (actual == expected))


@pytest.mark.parametrize("shape", [(0, 3), (0, 300)])
def test_no_elements(shape):
    assert parallel_reduce(np.ones(shape), kernels.plain_sum(), axis=0).tolist() == [0.0] * shape[1]
    with pytest.raises(ValueError, match="geometric mean has no result of no elements"):
        parallel_reduce(np.ones(shape), kernels.geometric_mean(), axis=0)


def test_levels(level):
    """Reductions anew, as kernels are compiled for a level once."""
    a = spread((1030, 150))
    expected = np.array([sum_by_tree(a[:, k]) for k in range(150)])
    total = kernels.plain_sum()
    assert_bits(parallel_reduce(a, total, axis=0), expected, level)
    assert_bits(parallel_reduce(np.ascontiguousarray(a.T), total, axis=1), expected, level)


def test_names_in_a_header_are_the_users():
    """Whatever the text around them calls its own."""
    names = ("state", "identity", "accumulate", "combine", "finish", "begin", "lanes", "group")
    header = "".join(f"static double {name}(double a) {{ return 2 * a; }}\n" for name in names)
    header += "#define LANES 3\n#define GROUP 4\n#define ORDERED 5\n#define ALWAYS_INLINE 6\n"
    total = Reduction.from_c(
        header=header,
        state={"lanes": "double", "all": "double", "width": "double"},
        accumulate="s->lanes += combine(x); s->all += begin(x); s->width += LANES * x;",
        combine="s->lanes += o->lanes; s->all += o->all; s->width += o->width;",
        finish="*r = s->lanes + s->all + s->width;",
    )
    a = np.arange(60.0).reshape(12, 5)
    for axis in (None, 0, 1):
        assert np.array_equal(parallel_reduce(a, total, axis=axis), 7 * a.sum(axis))


def test_a_large_state_is_not_on_the_stack():
    """Of a type of the user's, whose size only the compiler knows. In a process that may crash."""
    code = """
import numpy as np, parsum
largest = parsum.Reduction.from_c(
    header="typedef struct { double of[131000]; } many;",
    state={"sums": "many"},
    accumulate="s->sums.of[7] += x;",
    combine="s->sums.of[7] += o->sums.of[7];",
    finish="*r = s->sums.of[7];",
    lanes=64,
)
a = np.ones((5, 3))
for axis in (None, 0, 1):
    print(parsum.parallel_reduce(a, largest, axis=axis))
"""
    assert output(code).split("\n")[:3] == ["15.0", "[5. 5. 5.]", "[3. 3. 3. 3. 3.]"]
