"""Reductions of Python functions: results, the tree, two threads at once, errors, interrupts."""

from __future__ import annotations

import _thread
import functools
import math
import multiprocessing
import operator
import os
import pickle
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
from children import output
from hypothesis import given
from hypothesis import strategies as st
from kernels import tree
from layouts import LAYOUTS, lay_out
from reference import arrays, axes, examples, masks

from parsum import Reduction, engine, parallel_reduce

# States are trees in parentheses, leaves their elements: what was combined with what shows.


def _show(state, elements):
    return state + "".join(f"{k:x}" for k in elements)


def shape_of(**arguments):
    return Reduction.from_python(
        identity=str,
        combine=lambda a, b: f"({a} {b})",
        **{"accumulate": _show, "chunk": 2, **arguments},
    )


def expected_shape(values, chunk=2):
    leaves = [_show("", values[k : k + chunk]) for k in range(0, len(values), chunk)]
    return tree(leaves or [""], lambda a, b: f"({a} {b})")


def total(chunk=1000, **arguments):
    return Reduction.from_python(
        identity=lambda: 0.0,
        accumulate=lambda s, x: s + float(np.sum(x)),
        combine=operator.add,
        chunk=chunk,
        **arguments,
    )


def in_threads(workers):
    """Within, that many take part, whatever the size."""
    return mock.patch.object(engine, "resolve_workers", return_value=workers)


# ---- results ----


def test_the_tree_is_that_of_complete_subtrees_from_the_left():
    assert expected_shape(list(range(14))) == "(((01 23) (45 67)) ((89 ab) cd))"
    for n in range(41):
        values = [k % 16 for k in range(n)]
        assert parallel_reduce(np.array(values, int), shape_of()) == expected_shape(values), n


@pytest.mark.parametrize("workers", range(1, 10))
def test_the_tree_does_not_depend_on_workers(workers):
    """Slices end in any order: some take longer than others."""

    def slow(state, elements):
        if elements[0] % 3 == 1:
            time.sleep(0.0005)
        return _show(state, elements)

    values = [k % 16 for k in range(83)]
    a = np.array(values)
    with in_threads(workers):
        for _ in range(3):
            assert parallel_reduce(a, shape_of(accumulate=slow)) == expected_shape(values)
        rows = parallel_reduce(a[:80].reshape(4, 20), shape_of(), axis=1)
    assert rows.tolist() == [expected_shape(values[k : k + 20]) for k in range(0, 80, 20)]


def test_chunks():
    a = np.arange(100)
    sizes = Reduction.from_python(
        identity=list, accumulate=lambda s, x: [*s, len(x)], combine=operator.add, chunk=32
    )
    assert parallel_reduce(a, sizes) == [32, 32, 32, 4]
    assert parallel_reduce(a[:0], sizes) == [0]
    assert parallel_reduce(a[:32], sizes) == [32]


def test_every_call_is_with_what_is_promised():
    seen = []

    def accumulate(state, elements):
        seen.append((state, elements.ndim, elements.flags.writeable, elements.dtype))
        return state + elements.size

    count = Reduction.from_python(
        identity=int, accumulate=accumulate, combine=operator.add, chunk=64
    )
    a = np.ones((30, 10), np.float32)
    for layout in LAYOUTS:
        assert parallel_reduce(lay_out(a, layout), count) == 300
    swapped = np.dtype(np.float32).newbyteorder()
    assert set(seen) == {(0, 1, False, np.dtype("f4")), (0, 1, False, swapped)}
    assert a.flags.writeable


def test_the_array_stays_writable():
    a = np.arange(10.0)
    parallel_reduce(a, total())
    a[0] = 5
    assert a[0] == 5


@examples(120)
@given(data=st.data())
def test_any_array_in_c_order(data):
    """Against flattened lanes: all elements in C order, in every layout."""
    a = data.draw(arrays(["?", "b", "i", "d"], ["constant"]))
    a = lay_out((np.arange(a.size) % 16).reshape(a.shape), data.draw(st.sampled_from(LAYOUTS)))
    axis = data.draw(axes(a.ndim))
    where = data.draw(st.just(True) | masks(a.shape))
    workers = data.draw(st.integers(1, 4))
    chunk = data.draw(st.sampled_from([1, 3, 100]))
    numbers = range(a.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if any(not -a.ndim <= k < a.ndim for k in numbers):
        with pytest.raises(np.exceptions.AxisError):
            parallel_reduce(a, shape_of(), axis)
        return
    reduced = sorted(k % a.ndim for k in numbers)
    kept = [k for k in range(a.ndim) if k not in reduced]
    wide = np.broadcast_to(where, a.shape)
    with in_threads(workers):
        actual = parallel_reduce(a, shape_of(chunk=chunk), axis, where=where)
    outer = tuple(a.shape[k] for k in kept)
    order = [*kept, *reduced]
    length = math.prod(a.shape[k] for k in reduced)
    values = a.transpose(order).reshape((*outer, length))
    taken = wide.transpose(order).reshape((*outer, length))
    if not kept:
        actual = np.array(actual, object)
    assert actual.shape == outer
    for index in np.ndindex(*outer):
        # Slices are cut before elements are left out.
        leaves = [
            _show("", values[index][k : k + chunk][taken[index][k : k + chunk]])
            for k in range(0, length, chunk)
        ]
        assert actual[index] == tree(leaves or [""], lambda x, y: f"({x} {y})")


def test_keepdims_and_out():
    a = np.arange(24.0).reshape(2, 3, 4)
    assert np.array_equal(parallel_reduce(a, total(), axis=1), a.sum(1))
    kept = parallel_reduce(a, total(), axis=(0, 2), keepdims=True)
    assert np.array_equal(kept, a.sum((0, 2), keepdims=True))
    assert parallel_reduce(a, total(), keepdims=True).shape == (1, 1, 1)
    out = np.empty(3, np.float32)
    assert parallel_reduce(a, total(), axis=(0, 2), out=out) is out
    assert out.tolist() == a.sum((0, 2)).tolist()
    with pytest.raises(TypeError, match="out must be of a dtype that float64 can be cast to"):
        parallel_reduce(a, total(), axis=1, out=np.empty((2, 4), int))


def test_dtype_of_results():
    a = np.arange(6.0).reshape(2, 3)
    assert parallel_reduce(a, total(result="float32"), axis=1).dtype == np.float32
    assert parallel_reduce(a, total(), axis=1).dtype == np.float64
    assert type(parallel_reduce(a, total())) is float


def test_results_that_are_arrays():
    cosine = Reduction.from_python(
        identity=lambda: np.zeros(2),
        accumulate=lambda s, x: np.add(s, (x.sum(), (x * x).sum())),
        combine=np.add,
        chunk=7,
    )
    a = np.arange(40.0).reshape(4, 10)
    assert parallel_reduce(a, cosine).tolist() == [780, (a * a).sum()]
    rows = parallel_reduce(a, cosine, axis=1)
    assert rows.tolist() == np.stack([a.sum(1), (a * a).sum(1)], 1).tolist()


def test_masked_arrays():
    a = np.ma.array(np.arange(12.0).reshape(3, 4), mask=False)
    a[0] = np.ma.masked
    a[1, 2] = np.ma.masked
    rows = parallel_reduce(a, total(), axis=1)
    assert np.ma.getmaskarray(rows).tolist() == [True, False, False]
    assert rows[1:].tolist() == a.sum(1)[1:].tolist()
    assert parallel_reduce(a, total()) == a.sum()
    a[...] = np.ma.masked
    assert parallel_reduce(a, total()) is np.ma.masked


def test_objects():
    """Elements of any dtype: Python's fractions and integers without bounds."""
    exact = Reduction.from_python(
        identity=Fraction, accumulate=lambda s, x: sum(x, s), combine=operator.add, chunk=5
    )
    a = np.array([Fraction(1, k) for k in range(1, 40)], object)
    assert parallel_reduce(a, exact) == sum(a)
    words = np.array(["b", "a", "c"])
    least = Reduction.from_python(
        identity=lambda: None,
        accumulate=lambda s, x: min([*x.tolist(), *([] if s is None else [s])]),
        combine=min,
    )
    assert parallel_reduce(words, least) == "a"
    records = np.array([(1, 2.0), (3, 4.0)], "i4,f8")
    fields = Reduction.from_python(
        identity=int, accumulate=lambda s, x: s + int(x["f0"].sum()), combine=operator.add
    )
    assert parallel_reduce(records, fields) == 4


def test_states_need_not_be_comparable():
    """Or numbers, or anything but what the functions take."""

    class State:
        __eq__ = __lt__ = None
        __hash__ = None

        def __init__(self):
            self.n = 0

    def combine(a, b):
        a.n += b.n
        return a

    def accumulate(state, x):
        state.n += len(x)
        return state

    count = Reduction.from_python(
        identity=State, accumulate=accumulate, combine=combine, finish=lambda s: s.n, chunk=3
    )
    for n in (0, 1, 10, 23):
        assert parallel_reduce(np.zeros(n), count) == n


def test_linear_algebra():
    """What it is for: a factorisation of tall matrices, by pieces."""
    a = np.random.default_rng(0).standard_normal((5000, 4))
    tall = Reduction.from_python(
        identity=lambda: np.zeros((0, 4)),
        accumulate=lambda s, x: np.linalg.qr(np.vstack([s, x.reshape(-1, 4)]), mode="r"),
        combine=lambda s, o: np.linalg.qr(np.vstack([s, o]), mode="r"),
        chunk=4 * 300,
    )
    r = parallel_reduce(a, tall)
    assert np.allclose(r.T @ r, a.T @ a)


def test_beside_built_in_ones():
    a = np.arange(3000.0)
    assert parallel_reduce(a, ("sum", total(), "max")) == (a.sum(), a.sum(), 2999)
    rows = parallel_reduce(a.reshape(2, 1500), (total(), "mean"), axis=1)
    assert rows[0].tolist() == a.reshape(2, 1500).sum(1).tolist()


# ---- threads ----


def test_two_threads_are_in_accumulate_at_once():
    """Each of the first two slices waits for the other to begin."""
    both = threading.Barrier(2)

    def accumulate(state, elements):
        if elements[0] < 2:
            both.wait(30)
        return state | {threading.get_ident()}

    who = Reduction.from_python(identity=set, accumulate=accumulate, combine=operator.or_, chunk=1)
    with in_threads(2):
        assert len(parallel_reduce(np.arange(20), who)) == 2


def test_a_large_array_has_several_threads(monkeypatch):
    """Without anything of the engine replaced but the number of CPUs."""
    monkeypatch.setattr(engine, "available_cpus", lambda: 3)
    both = threading.Barrier(3)

    def accumulate(state, elements):
        if elements[0] < 3 << 17:
            both.wait(30)
        return state + len(elements)

    count = Reduction.from_python(identity=int, accumulate=accumulate, combine=operator.add)
    a = np.arange(9 << 17)
    assert parallel_reduce(a, count, workers=3) == a.size
    assert parallel_reduce(a[3 << 17 :], count, workers=1) == 6 << 17


def test_one_worker_is_the_caller():
    here = Reduction.from_python(
        identity=set,
        accumulate=lambda s, x: s | {threading.get_ident()},
        combine=operator.or_,
        chunk=1,
    )
    assert parallel_reduce(np.arange(500), here, workers=1) == {threading.get_ident()}


def test_an_executor_of_ones_own():
    both = threading.Barrier(2)

    def accumulate(state, elements):
        if elements[0] < 2:
            both.wait(30)
        return state | {threading.current_thread().name}

    who = Reduction.from_python(identity=set, accumulate=accumulate, combine=operator.or_, chunk=1)
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor, in_threads(2):
        names = parallel_reduce(np.arange(20), who, executor=executor)
    assert any(name.startswith("mine") for name in names)


def test_reductions_within_reductions():
    inner = Reduction.from_python(
        identity=lambda: 0.0,
        accumulate=lambda s, x: s + parallel_reduce(x, "sum", workers=4),
        combine=operator.add,
        chunk=400_000,
    )
    a = np.ones(2_000_000)
    assert parallel_reduce(a, inner, workers=4) == a.size


# ---- errors ----


class _Error(Exception):
    pass


def _raise(*_):
    raise _Error("mine")


@pytest.mark.parametrize("function", ["identity", "accumulate", "combine", "finish"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_exceptions_come_out(function, workers):
    given_ = {
        "identity": int,
        "accumulate": lambda s, x: s + len(x),
        "combine": operator.add,
        "finish": None,
    }
    faulty = Reduction.from_python(**{**given_, function: _raise, "chunk": 10})
    threads = threading.active_count() + 5
    with in_threads(workers), pytest.raises(_Error, match=r"^mine$"):
        parallel_reduce(np.zeros(1000), faulty)
    assert threading.active_count() <= threads
    good = Reduction.from_python(**given_, chunk=10)
    with in_threads(workers):
        assert parallel_reduce(np.zeros(1000), good) == 1000


def test_others_stop_soon_after_an_exception():
    """One fails while another is at work: of two thousand slices few are taken."""
    taken = []
    others, failed = threading.Event(), threading.Event()

    def accumulate(state, elements):
        taken.append(int(elements[0]))
        if elements[0] == 0:
            others.wait(30)
            failed.set()
            raise _Error
        others.set()
        failed.wait(30)
        time.sleep(0.002)
        return state

    faulty = Reduction.from_python(
        identity=int, accumulate=accumulate, combine=operator.add, chunk=1
    )
    with in_threads(3), pytest.raises(_Error):
        parallel_reduce(np.arange(2000), faulty)
    assert 1 < len(taken) < 1000
    count = len(taken)
    time.sleep(0.05)
    assert len(taken) == count, "somebody is still at work"


def test_an_error_in_another_thread_comes_out_soon():
    """The caller stops at its next slice, and does not finish the work first."""
    main = threading.get_ident()
    begun = threading.Event()
    taken = []

    def accumulate(state, elements):
        if threading.get_ident() == main:
            begun.wait(30)
            taken.append(elements)
            time.sleep(0.002)
            return state
        begun.set()
        raise _Error("elsewhere")

    faulty = Reduction.from_python(
        identity=int, accumulate=accumulate, combine=operator.add, chunk=1
    )
    with in_threads(2), pytest.raises(_Error, match=r"^elsewhere$"):
        parallel_reduce(np.arange(2000), faulty)
    assert len(taken) < 1000


def test_a_slice_cannot_be_written_to():
    faulty = Reduction.from_python(
        identity=int, accumulate=lambda s, x: x.fill(0), combine=operator.add
    )
    a = np.ones(10)
    with pytest.raises(ValueError, match="read-only"):
        parallel_reduce(a, faulty)
    assert a.sum() == 10


def test_results_that_have_no_common_shape():
    ragged = Reduction.from_python(
        identity=list, accumulate=lambda s, x: s + x.tolist(), combine=operator.add,
        finish=lambda s: s[: int(s[0])],
    )  # fmt: skip
    with pytest.raises(ValueError, match="inhomogeneous"):
        parallel_reduce(np.arange(6.0).reshape(2, 3), ragged, axis=1)


@pytest.mark.parametrize("workers", [1, 3])
def test_keyboard_interrupt(workers):
    """As Ctrl-C gives it, in the middle of many slices."""
    begun = threading.Event()

    def accumulate(state, elements):
        begun.set()
        time.sleep(0.005)
        return state

    endless = Reduction.from_python(
        identity=int, accumulate=accumulate, combine=operator.add, chunk=1
    )

    def interrupt():
        begun.wait(30)
        _thread.interrupt_main(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    start = time.monotonic()
    with in_threads(workers), pytest.raises(KeyboardInterrupt):
        parallel_reduce(np.zeros(20_000), endless)
    thread.join()
    assert time.monotonic() - start < 25  # all would take 33 s, by three
    assert parallel_reduce(np.zeros(10), total()) == 0


# ---- progress ----


@pytest.mark.parametrize("workers", [1, 3])
def test_progress(workers):
    seen = []
    a = np.arange(40_000.0)
    with in_threads(workers):
        result = parallel_reduce(a, total(chunk=100), progress=lambda *state: seen.append(state))
    assert result == a.sum()
    assert seen[-1] == (a.nbytes, a.nbytes)
    assert seen == sorted(seen)
    assert {whole for _, whole in seen} == {a.nbytes}


def test_an_error_in_progress_comes_out():
    def report(done, whole):
        raise _Error("progress")

    with pytest.raises(_Error, match="progress"):
        parallel_reduce(np.arange(4000.0), total(chunk=10), progress=report)


# ---- arguments, pickles ----


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"identity": 0}, TypeError, "identity must be a function, got 0"),
        ({"accumulate": None}, TypeError, "accumulate must be a function, got None"),
        ({"combine": "add"}, TypeError, "combine must be a function, got 'add'"),
        ({"finish": 1}, TypeError, "finish must be a function or None, got 1"),
        ({"chunk": 1.0}, TypeError, "chunk must be an integer, got 1.0"),
        ({"chunk": True}, TypeError, "chunk must be an integer, got True"),
        ({"chunk": 0}, ValueError, "chunk must be at least 1, got 0"),
        ({"chunk": -3}, ValueError, "chunk must be at least 1, got -3"),
    ],
)
def test_arguments(changed, error, message):
    good = {"identity": int, "accumulate": operator.add, "combine": operator.add}
    with pytest.raises(error) as caught:
        Reduction.from_python(**{**good, **changed})
    assert str(caught.value) == message


def test_what_they_do_not_take():
    with pytest.raises(TypeError, match="dtype must be left out"):
        parallel_reduce([1.0], total(), dtype=float)


def _distinct():
    return Reduction.from_python(
        identity=_nothing, accumulate=np.union1d, combine=np.union1d, finish=len, chunk=100
    )


_nothing = functools.partial(np.empty, 0)


def test_pickles():
    again = pickle.loads(pickle.dumps(_distinct()))
    assert again == _distinct() or again.python is not None
    assert parallel_reduce(np.arange(1000) % 7, again) == 7
    assert again.python.chunk == 100
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(total())


def _of(reduction, a):
    return os.getpid(), parallel_reduce(a, reduction)


def test_pickles_across_spawned_processes():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        place, result = pool.submit(_of, _distinct(), np.arange(1000) % 7).result(120)
    assert place != os.getpid()
    assert result == 7


def test_it_works_in_a_forked_child():
    code = """
        import os, operator
        import numpy as np, parsum
        count = parsum.Reduction.from_python(identity=int, accumulate=lambda s, x: s + len(x),
                                             combine=operator.add)
        a = np.zeros(5_000_000)
        assert parsum.parallel_reduce(a, count, workers=3) == a.size
        child = os.fork()
        if not child:
            os._exit(parsum.parallel_reduce(a, count, workers=3) != a.size)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert output(code) == "0"
