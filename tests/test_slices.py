"""Any split of the work into slices, by any number of workers in any order, gives the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out
from oracle import assert_same_bits, bits, exact_sum, expected_along, expected_sum
from schedules import scheduled
from strategies import COMPLEX, FAMILIES, FLOATS, INTEGERS, generate, integers

from parsum import parallel_sum

BLOCKS = [1, 5000, 1 << 14, 1 << 17, 0]
LONGS = [np.longdouble, np.clongdouble]


@pytest.fixture(autouse=True, scope="module")
def _quiet():
    with np.errstate(all="ignore"):
        yield


def _values(family, n, dtype, seed):
    dtype = np.dtype(dtype)
    if dtype in LONGS:
        return generate(family, n, np.float64, seed).astype(dtype) / 3
    return generate(family, n, dtype, seed) if dtype.kind in "fc" else integers(n, dtype, seed)


_splits = st.tuples(st.integers(1, 9), st.sampled_from(BLOCKS), st.integers(0, 2**32 - 1))


@given(
    dtype=st.sampled_from([*FLOATS, *COMPLEX, *INTEGERS, np.bool_]),
    family=st.sampled_from(sorted(FAMILIES)),
    size=st.integers(2**20 + 1, 2**22),
    split=_splits,
)
def test_exact_sums(dtype, family, size, split):
    values = _values(family, size // np.dtype(dtype).itemsize, dtype, split[2])
    with scheduled(*split) as turns:
        actual = parallel_sum(values, progress=print)  # never the short cut for small arrays
    assert turns
    assert sum(turns) >= split[0]  # every worker had its turn
    assert_same_bits(actual, expected_sum(values))


@given(
    dtype=st.sampled_from([*FLOATS, *COMPLEX, *LONGS]),
    family=st.sampled_from(["normal", "spread", "cancelling", "specials", "signed zeros"]),
    size=st.integers(2**18, 2**21),
    method=st.sampled_from(["exact", "fast"]),
    splits=st.lists(_splits, min_size=2, max_size=4),
)
def test_splits_have_the_same_bits(dtype, family, size, method, splits):
    values = _values(family, size // np.dtype(dtype).itemsize, dtype, size)
    first = bits(parallel_sum(values, method=method, workers=1))
    for split in splits:
        with scheduled(*split):
            assert bits(parallel_sum(values, method=method)) == first, f"{split}"


@given(
    dtype=st.sampled_from([*FLOATS, *COMPLEX, *LONGS, np.int8, np.int64, np.uint16, np.bool_]),
    shape=st.sampled_from(
        [(70_000, 3), (3, 70_000), (700, 301), (301, 700), (40, 50, 60), (5, 3, 9000), (9000, 3, 5)]
    ),
    layout=st.sampled_from(LAYOUTS),
    method=st.sampled_from(["exact", "fast"]),
    masked=st.booleans(),
    split=_splits,
    data=st.data(),
)
def test_axes_have_the_same_bits(dtype, shape, layout, method, masked, split, data):
    """One turn of one worker against many: axes, layouts and masks in all their combinations."""
    size = int(np.prod(shape))
    values = lay_out(_values("spread", size, dtype, split[2]).reshape(shape), layout)
    axis = data.draw(st.sampled_from([None, *range(len(shape)), (0, -1)]))
    where = np.random.default_rng(split[2]).random(shape) < 0.7 if masked else True
    first = bits(parallel_sum(values, axis=axis, method=method, where=where, workers=1))
    with scheduled(*split) as turns:  # progress: never the short cut for small arrays
        actual = parallel_sum(values, axis=axis, method=method, where=where, progress=print)
    assert turns
    assert bits(actual) == first


@given(
    dtype=st.sampled_from([*FLOATS, *COMPLEX]),
    family=st.sampled_from(sorted(FAMILIES)),
    shape=st.sampled_from([(20_000, 7), (7, 20_000), (3000, 40), (40, 3000), (12, 250, 40)]),
    split=_splits,
    data=st.data(),
)
def test_exact_sums_along_axes(dtype, family, shape, split, data):
    values = generate(family, int(np.prod(shape)), dtype, split[2]).reshape(shape)
    lengths = dict(enumerate(shape))
    long = max(lengths, key=lambda d: lengths[d])
    axis = data.draw(st.sampled_from([long, (long, 0), None]))
    axis = tuple(sorted(set(axis))) if isinstance(axis, tuple) else axis
    with scheduled(*split):
        actual = parallel_sum(values, axis=axis)
    if isinstance(axis, tuple) or axis is None:
        assert_same_bits(actual, expected_along(values, axis))
    else:  # some of the lanes: the oracle is slow
        lanes = np.moveaxis(values, axis, -1).reshape(-1, shape[axis])
        found = np.asarray(actual).ravel()
        for k in range(0, len(lanes), max(1, len(lanes) // 8)):
            assert_same_bits(found[k], expected_sum(lanes[k]), f"lane {k}")


@given(split=_splits, out_layout=st.sampled_from([n for n in LAYOUTS if n != "read-only"]))
def test_out_is_written_by_every_worker(split, out_layout):
    values = generate("integers", 300 * 2000, np.float64).reshape(300, 2000)
    for axis in (0, 1):
        expected = np.sum(values, axis=axis)
        out = lay_out(np.full(expected.shape, np.nan), out_layout)
        with scheduled(*split):
            assert parallel_sum(values, axis=axis, out=out) is out
        assert_same_bits(np.array(out, float), expected)


@given(split=_splits, initial=st.sampled_from([0.0, -0.0, 1.0, 1e308, np.inf, -np.inf]))
def test_initial_is_added_once(split, initial):
    values = generate("spread", 300_000, np.float64)
    with scheduled(*split):
        assert_same_bits(parallel_sum(values, initial=initial), exact_sum(values, None, initial))
        grid = values.reshape(3, 100_000)
        expected = expected_along(grid, 1, initial=initial)
        assert_same_bits(parallel_sum(grid, axis=1, initial=initial), expected)


@given(split=_splits, n=st.sampled_from([200_000, 500_001]))
def test_minus_zeros_of_all_slices(split, n):
    values = np.full(n, -0.0)
    with scheduled(*split):
        assert_same_bits(parallel_sum(values), np.float64(-0.0))
        assert_same_bits(parallel_sum(values, method="fast"), np.float64(-0.0))
        values[split[2] % n] = 0.0
        assert_same_bits(parallel_sum(values), np.float64(0.0))
        assert_same_bits(parallel_sum(values, where=np.zeros(n, bool)), np.float64(0.0))


@given(split=_splits)
def test_flags_of_all_slices(split):
    """What the workers have to report is in the result's flags whoever met it."""
    inf = np.ones(400_000)
    inf[5], inf[-5] = np.inf, -np.inf
    with scheduled(*split), np.errstate(all="raise"):
        with pytest.raises(FloatingPointError, match="invalid"):
            parallel_sum(inf)
        with pytest.raises(FloatingPointError, match="invalid"):
            parallel_sum(inf, method="fast")
        with pytest.raises(FloatingPointError, match="overflow"):
            parallel_sum(np.full(400_000, 1e305))
        with pytest.raises(FloatingPointError, match="overflow"):
            parallel_sum(np.full(400_000, 2**50))
        nat = np.ones(400_000, "m8[s]")
        nat[split[2] % len(nat)] = "NaT"
        assert np.isnat(parallel_sum(nat))


def test_workers_really_share():
    """The control: with several workers no single one does it all."""
    values = np.ones(1_000_000)
    with scheduled(4, 1 << 14, 0) as turns:
        assert parallel_sum(values) == 1_000_000
    assert turns[0] >= 8
