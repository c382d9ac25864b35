"""Accumulators of Python functions, and slices of sources and expressions: one call's bits."""

from __future__ import annotations

import operator
import pickle
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import arrays, axes, examples, masks
from test_python_reductions import expected_shape, in_threads, shape_of

import parsum
from parsum import Accumulator, Fused, Reduction, parallel_reduce

# States are lists that are changed in place, so that a state that two hold would show.


def _taken(state, elements):
    state.append(elements.tolist())
    return state


def _joined(state, other):
    state.append(other)
    return state


def lists(chunk=4, **arguments):
    return Reduction.from_python(
        identity=list, accumulate=_taken, combine=_joined, chunk=chunk, **arguments
    )


def _sum(state, elements):
    return state + float(np.sum(elements))


def total(chunk=100, **arguments):
    """Of floats, in the order of the tree."""
    return Reduction.from_python(
        identity=float, accumulate=_sum, combine=operator.add, chunk=chunk, **arguments
    )


def spread(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return rng.standard_normal(shape) * 10.0 ** rng.integers(-8, 8, shape)


def pieces(a: np.ndarray, *lengths: int) -> list[np.ndarray]:
    return np.split(a, np.cumsum(lengths))


def filled(reduction, chunks, **options):
    acc = Accumulator(reduction, **options)
    for chunk in chunks:
        acc.update(chunk)
    return acc


@pytest.mark.parametrize("workers", range(1, 10))
def test_the_tree_is_that_of_one_call(workers):
    values = [k % 16 for k in range(41)]
    for step in (1, 2, 3, 7, 40):
        acc = Accumulator(shape_of())
        for k in range(0, 41, step):
            assert acc.result() == expected_shape(values[:k]), (step, k)
            with in_threads(workers):
                acc.update(np.array(values[k : k + step]))
        assert acc.result() == expected_shape(values) == acc.result()
        assert acc.count == 41


def test_states_are_nobody_elses():
    """Though combining changes them: results, copies and merges leave them as they were."""
    a, one = np.arange(50), lists()
    acc = Accumulator(one)
    for k, chunk in enumerate(pieces(a, 3, 9, 12, 1, 20)):
        before = acc.copy()
        acc.update(chunk)
        acc.result()
        acc + before, before + acc
        before.update(chunk[::-1])
        end = [3, 12, 24, 25, 45, 50][k]
        assert acc.result() == parallel_reduce(a[:end], one)
    other = acc.copy()
    other.update([7] * 9)
    assert acc.result() == parallel_reduce(a, one)
    both = acc + other
    expected = [*acc.result(), other.result()]
    assert both.result() == expected == both.result()
    longer = both.copy()
    longer.update([1] * 9)
    assert longer.result() != expected == both.result()


def test_merges_stand_before():
    shape = shape_of()
    first, second = filled(shape, [np.arange(5)]), filled(shape, [np.arange(5, 12)])
    both = first + second
    assert both.result() == f"({expected_shape(range(5))} {expected_shape(range(5, 12))})"
    both.update([1, 2, 3])
    assert both.result() == (
        f"(({expected_shape(range(5))} {expected_shape(range(5, 12))}) (12 3))"
    )
    assert (first + Accumulator(shape)).result() == first.result()
    assert (Accumulator(shape) + first).result() == first.result()
    assert (first.result(), second.result()) == (
        expected_shape(range(5)),
        expected_shape([*range(5, 12)]),
    )


@examples(100)
@given(data=st.data())
def test_any_chunks(data):
    """They follow each other in C order along the first reduced axis."""
    a = data.draw(arrays(["float64", "int32", ">f4", "complex64"]))
    axis = data.draw(axes(a.ndim))
    along = range(a.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    assume(all(-a.ndim <= k < a.ndim for k in along))
    first = min((k % a.ndim for k in along), default=None)
    where = data.draw(st.none() | masks(a.shape))
    where = None if where is None else np.broadcast_to(where, a.shape)
    reduction = lists(chunk=data.draw(st.integers(1, 9)), finish=str)
    expected = parallel_reduce(a, reduction, axis=axis, where=True if where is None else where)
    length = 1 if first is None else a.shape[first]
    cuts = data.draw(st.lists(st.integers(0, length))) if first is not None else []
    acc = Accumulator(reduction, axis=axis, dtype=a.dtype)
    for begin, end in pairwise([0, *sorted(cuts), length]):
        part = (...,) if first is None else (slice(None),) * first + (slice(begin, end),)
        acc.update(a[part], where=True if where is None else where[part])
    np.testing.assert_array_equal(acc.result(), expected)


def test_what_waits_is_copied_a_few_times_only():
    """Single elements come one by one; a slice has many."""
    acc = Accumulator(total(chunk=1 << 30))
    for k in range(3000):
        acc.update([float(k)])
        (store,) = acc._now.stores
        assert len(store.waiting) <= 13
    assert acc.result() == sum(range(3000))


def test_axes_and_dtypes_of_results():
    a = spread(300, 5, 2)
    mean = Reduction.from_python(
        identity=lambda: np.zeros(2),
        accumulate=lambda s, x: s + np.array([x.sum(), len(x)]),
        combine=np.add,
        chunk=64,
        result="float32",
    )
    for axis in (0, (0, 2), (0, 1, 2), None):
        expected = parallel_reduce(a, mean, axis=axis)
        actual = filled(mean, pieces(a, 7, 100, 150), axis=axis).result()
        np.testing.assert_array_equal(actual, expected, strict=axis not in (None, (0, 1, 2)))


def test_masked_arrays():
    a = np.ma.array(spread(300, 4), mask=np.random.default_rng(0).random((300, 4)) < 0.3)
    a[:, 2] = np.ma.masked
    for axis in (0, None):
        expected = parallel_reduce(a, total(), axis=axis)
        actual = filled(total(), [a[:70], a[70:75], a[75:]], axis=axis).result()
        np.testing.assert_array_equal(np.ma.getmaskarray(actual), np.ma.getmaskarray(expected))
        np.testing.assert_array_equal(np.ma.filled(actual, 0), np.ma.filled(expected, 0))
    nothing = filled(total(), [np.ma.masked_all(5)]).result()
    assert nothing is np.ma.masked is parallel_reduce(np.ma.masked_all(5), total())


def test_nothing_and_no_results():
    assert Accumulator(lists()).result() == [[]] == parallel_reduce([], lists())
    acc = filled(lists(), [np.empty((3, 0)), np.empty((2, 0))], axis=0)
    assert acc.result().shape == (0,)
    assert pickle.loads(pickle.dumps(acc)).result().shape == (0,)
    assert filled(lists(), [np.empty(0), np.empty(0)]).result() == [[]]


def test_beside_others():
    a = spread(1000, 3)
    own = Reduction.from_c(
        state={"sum": "double"}, accumulate="s->sum += fabs(x);", combine="s->sum += o->sum;",
        finish="*r = s->sum;",
    )  # fmt: skip
    reductions = ("min", total(), own, "sum", lists(chunk=333, finish=str))
    for axis in (None, 0):
        whole = filled(reductions, pieces(a, 100, 1, 600), axis=axis)
        for acc in (whole, pickle.loads(pickle.dumps(whole)), whole.copy()):
            for actual, k in zip(acc.result(), reductions, strict=True):
                np.testing.assert_array_equal(actual, parallel_reduce(a, k, axis=axis))


def test_an_error_leaves_all_as_it_was():
    def accumulate(state, elements):
        if -1 in elements:
            raise RuntimeError("no")
        return _taken(state, elements)

    reduction = Reduction.from_python(
        identity=list, accumulate=accumulate, combine=_joined, chunk=4
    )
    acc = filled(reduction, [np.arange(10)])
    for bad in ([1, -1, 2, 3], [1] * 20 + [-1] * 20):
        with pytest.raises(RuntimeError, match="no"):
            acc.update(np.array(bad))
    acc.update(np.arange(10, 31))
    assert acc.result() == parallel_reduce(np.arange(31), reduction)


# ---- what is no array in memory ----


def _kept(state, elements):
    """The slice itself, which must not change when the next one is read."""
    return elements if len(state) == 0 else np.concatenate([state, elements])


KEPT = Reduction.from_python(
    identity=lambda: np.empty(0), accumulate=_kept, combine=lambda a, b: np.concatenate([a, b]),
    finish=lambda s: s.tolist(), chunk=50,
)  # fmt: skip


def refilled(a, step):
    """Pieces of an array in one buffer, which is filled again and again."""
    room = np.empty((step, *a.shape[1:]))
    for k in range(0, len(a), step):
        part = room[: len(a[k : k + step])]
        part[...] = a[k : k + step]
        yield part


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_files_and_iterators(axis, tmp_path):
    a = spread(230, 7)
    path = tmp_path / "a.npy"
    np.save(path, a)
    expected = parallel_reduce(a, KEPT, axis=axis)
    actual = parallel_reduce(path, KEPT, axis=axis)
    assert np.array_equal(actual, expected)
    if axis == 1:
        return
    assert np.array_equal(parallel_reduce(refilled(a, 11), KEPT, axis=axis), expected)
    acc = Accumulator(KEPT, axis=axis)
    for part in refilled(a, 17):
        acc.update(part)
    assert np.array_equal(acc.result(), expected)
    acc = filled(KEPT, [path, refilled(a, 10)], axis=axis)
    assert np.array_equal(acc.result(), parallel_reduce(np.vstack([a, a]), KEPT, axis=axis))


def test_progress_of_a_file(tmp_path):
    np.save(tmp_path / "a.npy", spread(100))
    seen = []
    parallel_reduce(tmp_path / "a.npy", total(), progress=lambda *done: seen.append(done))
    assert seen[-1] == (800, 800)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), ()])
def test_expressions(axis):
    x, w = spread(40, 3, 20), np.arange(20.0)
    whole = x * w + 1
    for given_x in (x, np.asfortranarray(x), x.astype(">f8"), x[::-1][::-1]):
        arguments = {"x": given_x, "w": w}
        expected = parallel_reduce(whole, total(), axis=axis)
        actual = parallel_reduce("x * w + 1", total(), axis=axis, **arguments)
        np.testing.assert_array_equal(actual, expected)
        fused = Fused("x * w + 1", arguments)
        np.testing.assert_array_equal(filled(total(), [fused], axis=axis).result(), expected)
        np.testing.assert_array_equal(fused.computed(), whole)
    masked = np.ma.array(x, mask=x > 0)
    actual = parallel_reduce("x * w", total(), axis=axis, x=masked, w=w)
    expected = parallel_reduce(masked * w, total(), axis=axis)
    np.testing.assert_array_equal(np.ma.filled(actual, 0), np.ma.filled(expected, 0))
    where = x > 1
    np.testing.assert_array_equal(
        parallel_reduce("x * w + 1", total(), axis=axis, where=where, x=x, w=w),
        parallel_reduce(whole, total(), axis=axis, where=where),
    )


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "float16", "float32", "complex64", "longdouble"]
)
def test_expressions_are_computed_as_numpy_does(dtype):
    x = np.arange(24).reshape(4, 6).astype(dtype)
    for given_x in (x, x.T, x[:, ::2], x[:0], x[0, 0], np.broadcast_to(x[0], (3, 6))):
        computed = Fused("x + x", {"x": given_x}).computed()
        np.testing.assert_array_equal(computed, given_x + given_x, strict=True)


def test_expressions_in_the_trees_of_c():
    """Whose leaves are computed as they come."""
    x, w = spread(3000, 3, 5), np.arange(5.0)
    text = "1 + abs(x * w) / 1e9"
    for axis in (None, 0, (0, 2), (2, 0)):
        for name, options in (("prod", {}), ("sum", {"method": "fast"})):
            expected = parallel_reduce(text, name, axis=axis, x=x, w=w, **options)
            chunks = [Fused(text, {"x": part, "w": w}) for part in pieces(x, 700, 1, 2000)]
            actual = filled(name, chunks, axis=axis, **options).result()
            np.testing.assert_array_equal(actual, expected, strict=True)
    where = x > 0
    acc = Accumulator("prod", axis=0)
    for part, some in zip(pieces(x, 1500), pieces(where, 1500), strict=True):
        acc.update(Fused(text, {"x": part, "w": w}), where=some)
    expected = parallel_reduce(text, "prod", axis=0, where=where, x=x, w=w)
    np.testing.assert_array_equal(acc.result(), expected)


def test_dask_arrays():
    da = pytest.importorskip("dask.array")
    a = spread(500, 6)
    lazy = da.from_array(a, chunks=(70, 4))
    for axis in (None, 0):
        acc = filled(total(), [lazy, a], axis=axis)
        expected = parallel_reduce(np.vstack([a, a]), total(), axis=axis)
        np.testing.assert_array_equal(acc.result(), expected)


# ---- pickles ----


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol):
    a = spread(1010, 3)
    acc = filled(total(), pieces(a, 333), axis=0)
    again = pickle.loads(pickle.dumps(acc, protocol))
    again.update(a)
    expected = parallel_reduce(np.vstack([a, a]), total(), axis=0)
    np.testing.assert_array_equal(again.result(), expected)
    both = pickle.loads(pickle.dumps(acc + again, protocol))
    np.testing.assert_array_equal(both.result(), (acc + again).result())
    masked = filled(total(), [a, np.ma.array(a, mask=a > 0)], axis=0)
    again = pickle.loads(pickle.dumps(masked, protocol))
    np.testing.assert_array_equal(again.result(), masked.result())


def _more(acc: Accumulator, chunk: np.ndarray) -> Accumulator:
    acc.update(chunk)
    return acc


def test_pickles_across_processes():
    a = spread(1000)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        acc = pool.submit(_more, filled(total(), [a[:123]]), a[123:]).result()
    assert acc.result() == parallel_reduce(a, total())


@pytest.mark.parametrize(
    "change",
    [
        lambda leaves, nodes, waiting, before: None,
        lambda leaves, nodes, waiting, before: (leaves, nodes, waiting),
        lambda leaves, nodes, waiting, before: (leaves + 1, nodes, waiting, before),
        lambda leaves, nodes, waiting, before: (str(leaves), nodes, waiting, before),
        lambda leaves, nodes, waiting, before: (leaves, {}, waiting, before),
        lambda leaves, nodes, waiting, before: (leaves, {**nodes, (3, 0, 0): 1}, waiting, before),
        lambda leaves, nodes, waiting, before: (leaves, {"a": 1}, waiting, before),
        lambda leaves, nodes, waiting, before: (leaves, nodes, waiting * 40, before),
        lambda leaves, nodes, waiting, before: (leaves, nodes, ((5, None),), before),
        lambda leaves, nodes, waiting, before: (
            leaves, nodes, ((waiting[0][0].astype("f4"), None),), before,
        ),
        lambda leaves, nodes, waiting, before: (
            leaves, nodes, ((waiting[0][0][:2], None),), before,
        ),
        lambda leaves, nodes, waiting, before: (
            leaves, nodes, ((waiting[0][0], np.ones(3, bool)),), before,
        ),
        lambda leaves, nodes, waiting, before: (leaves, nodes, waiting, [1]),
    ],
)  # fmt: skip
def test_a_pickle_that_does_not_fit_is_refused(change):
    acc = filled(total(), [spread(730, 3)], axis=0)
    remake, (data, own, python) = acc.__reduce__()
    assert np.array_equal(remake(data, own, python).result(), acc.result())
    with pytest.raises(ValueError, match=r"data must be what Accumulator\.to_bytes gave"):
        remake(data, own, (change(*python[0]),))
    with pytest.raises(ValueError, match=r"data must be what Accumulator\.to_bytes gave"):
        remake(data, own)


def test_there_are_no_bytes_of_objects():
    acc = filled(total(name="adding"), [[1.0]])
    with pytest.raises(
        TypeError, match=r"no bytes but those of a pickle, got Reduction\('adding'\)"
    ):
        acc.to_bytes()
    with pytest.raises(ValueError, match="hold no states"):
        Accumulator.from_bytes(acc.__reduce__()[1][0], (total(),))


def test_reductions_of_python_compare_by_their_functions():
    """So that accumulators of equal ones merge."""
    a = spread(500)
    both = filled(total(), [a[:200]]) + filled(total(), [a[200:]])
    assert both.result() == parsum.parallel_reduce(a[:200], total()) + parallel_reduce(
        a[200:], total()
    )
