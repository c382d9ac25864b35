"""Threads: the GIL is free, callers and workers do not get in each other's way, fork works."""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from children import output
from oracle import assert_same_bits, expected_sum
from strategies import generate

import parsum
from parsum import parallel_sum

pytestmark = pytest.mark.timeout(180)

# Overlapping windows: much work, little memory, and no axis that could be merged with another.
_SOURCE = np.arange(8000.0)
_WINDOWS = np.lib.stride_tricks.sliding_window_view(_SOURCE, 4000)


def _work(seconds, **kwargs):
    """Reduces windows for about that long, in one call, and gives back how long it took."""
    rate = 1
    while True:
        view = np.broadcast_to(_WINDOWS, (rate, *_WINDOWS.shape))
        start = time.perf_counter()
        parallel_sum(view, **kwargs)
        took = time.perf_counter() - start
        if took >= seconds:
            return took
        rate = max(rate + 1, int(rate * min(100.0, 1.3 * seconds / max(took, 1e-4))))


class _Ticker:
    """A Python thread that ticks every millisecond, if it gets the GIL."""

    def __enter__(self):
        self.ticks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self):
        while not self._stop.is_set():
            time.sleep(0.001)
            self.ticks += 1

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def _tick_rate(work):
    """Ticks of another thread a second while work() runs."""
    with _Ticker() as ticker:
        before = ticker.ticks
        start = time.perf_counter()
        work()
        took = time.perf_counter() - start
        return (ticker.ticks - before) / took


def _hold_the_gil():
    ctypes.PyDLL(None).usleep(400_000)


@pytest.mark.skipif(sys.platform == "win32", reason="the control is a C library's usleep")
def test_the_gil_is_free():
    """Another thread ticks as if nothing ran; under a call that holds the GIL it does not."""
    free = _tick_rate(lambda: time.sleep(0.4))
    held = _tick_rate(_hold_the_gil)
    assert held < 0.1 * free  # the control
    for kwargs in (
        {"workers": 1},
        {"workers": 2},
        {"workers": 1, "axis": -1},
        {"workers": 1, "axis": 0},
        {"workers": 1, "method": "fast"},
        {"workers": 1, "dtype": np.float32},
    ):
        best = max(_tick_rate(lambda kwargs=kwargs: _work(0.3, **kwargs)) for _ in range(2))
        assert best > 0.3 * free, f"{kwargs}: {best:.0f} of {free:.0f} ticks a second"


def test_a_thread_that_hogs_the_gil_does_not_stop_it():
    """Work goes on without the GIL, for longer than a switch of threads takes."""
    stop = threading.Event()

    def hog():
        while not stop.is_set():
            sum(range(1000))

    alone = min(_work_once() for _ in range(3))
    thread = threading.Thread(target=hog)
    thread.start()
    try:
        beside = min(_work_once() for _ in range(3))
    finally:
        stop.set()
        thread.join()
    # One core of two may be the hog's own; ten times would be waiting for the GIL, block by block.
    assert beside < 4 * alone + 0.2


def _work_once():
    view = np.broadcast_to(_WINDOWS, (10, *_WINDOWS.shape))
    start = time.perf_counter()
    parallel_sum(view, workers=1)
    return time.perf_counter() - start


# ---- concurrent callers --------------------------------------------------------------------


def test_callers_from_many_threads():
    rng = np.random.default_rng(0)
    arrays = [generate("spread", int(n), np.float64) for n in rng.integers(1, 400_000, 16)]
    grids = [a[: len(a) // 7 * 7].reshape(7, -1) for a in arrays]
    expected = [(expected_sum(a), [expected_sum(row) for row in g]) for a, g in zip(arrays, grids)]  # noqa: B905
    barrier = threading.Barrier(16)
    wrong = []

    def call(k):
        barrier.wait(60)
        for round_ in range(12):
            workers = [None, 1, 2, 5, -1][(k + round_) % 5]
            total = parallel_sum(arrays[k], workers=workers)
            rows = parallel_sum(grids[k], axis=1, workers=workers)
            if total != expected[k][0] or rows.tolist() != expected[k][1]:
                wrong.append((k, workers))

    threads = [threading.Thread(target=call, args=(k,)) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a caller hangs"
    assert wrong == []


def test_callers_share_an_executor():
    values = generate("spread", 300_000, np.float64)
    expected = expected_sum(values)
    with ThreadPoolExecutor(3) as executor, ThreadPoolExecutor(8) as callers:
        futures = [
            callers.submit(parallel_sum, values, workers=4, executor=executor) for _ in range(40)
        ]
        for future in futures:
            assert_same_bits(future.result(60), expected)


@pytest.mark.parametrize("own", [True, False], ids=["in executor=", "in the shared pool"])
def test_nested_calls_do_not_deadlock(own):
    """All threads of the executor are busy with calls that want threads of it."""
    values = generate("spread", 1_000_000, np.float64)
    expected = expected_sum(values)
    executor = ThreadPoolExecutor(2)
    barrier = threading.Barrier(2)

    def nested():
        barrier.wait(60)
        return parallel_sum(values, workers=4, executor=executor if own else None)

    futures = [executor.submit(nested) for _ in range(2)]
    for future in futures:
        assert_same_bits(future.result(60), expected)
    executor.shutdown()


def test_nested_calls_from_a_progress_callback():
    values = np.ones(2_000_000)
    inner = []

    def callback(done, total):
        inner.append(parallel_sum(np.ones(500_000), workers=2))

    assert parallel_sum(values, workers=2, progress=callback) == 2_000_000
    assert inner
    assert set(inner) == {500_000.0}


def test_a_busy_executor_is_not_waited_for():
    """The caller is a worker too: it gets through alone if no thread ever becomes free."""
    release = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        blocked = executor.submit(release.wait, 120)
        try:
            start = time.perf_counter()
            assert parallel_sum(np.ones(2_000_000), workers=4, executor=executor) == 2_000_000
            assert time.perf_counter() - start < 60
            assert not blocked.done()
        finally:
            release.set()


class _Late(ThreadPoolExecutor):
    """Its threads have begun a task, but do not come to it before they are let go."""

    def __init__(self, threads):
        super().__init__(threads)
        self.begun, self.free = threading.Semaphore(0), threading.Event()

    def submit(self, fn, /, *args, **kwargs):
        def late():
            self.begun.release()
            assert self.free.wait(120)
            return fn(*args, **kwargs)

        future = super().submit(late)
        assert self.begun.acquire(timeout=120)  # it cannot be called off any more
        return future


def test_threads_that_come_late_are_not_waited_for():
    """Nor do they hold, or look at, what they were to work on."""
    values = np.ones(2_000_000)
    with _Late(3) as executor:
        try:
            assert parallel_sum(values, workers=4, executor=executor) == 2_000_000
            assert parallel_sum(values.reshape(2, -1), axis=0, workers=1).sum() == 2_000_000
            values.resize(10)
        finally:
            executor.free.set()


def test_the_last_chunks_of_others_are_waited_for():
    """Whoever is at work when the caller finds nothing left is at work on part of the result."""
    values = np.ones(1_000_000)
    for workers in (2, 3, 5):
        for _ in range(300):
            assert parallel_sum(values, workers=workers) == 1_000_000


# ---- executor= -----------------------------------------------------------------------------


class _Counting(ThreadPoolExecutor):
    submitted = 0

    def submit(self, fn, /, *args, **kwargs):
        self.submitted += 1
        return super().submit(fn, *args, **kwargs)


def test_executor_is_used_and_left_open():
    values = generate("normal", 3_000_000, np.float64)
    with _Counting(4) as executor:
        actual = parallel_sum(values, workers=4, executor=executor)
        assert 1 <= executor.submitted <= 4
        assert_same_bits(actual, expected_sum(values))
        before = executor.submitted
        parallel_sum(np.ones((3000, 1000)), axis=0, workers=3, executor=executor)
        assert 1 <= executor.submitted - before <= 3
        assert executor.submit(lambda: 7).result(60) == 7


def test_one_worker_needs_no_thread():
    with _Counting(4) as executor:
        parallel_sum(np.ones(3_000_000), workers=1, executor=executor)
        assert executor.submitted == 0


def test_small_arrays_need_no_thread():
    with _Counting(4) as executor:
        assert parallel_sum(np.ones(10), executor=executor) == 10
        assert executor.submitted == 0


def test_executor_that_is_shut_down():
    """Either is sound, to say so or to do without; to hang or to be wrong is not."""
    executor = ThreadPoolExecutor(2)
    executor.shutdown()
    values = np.ones(3_000_000)
    with contextlib.suppress(RuntimeError):
        assert parallel_sum(values, workers=4, executor=executor) == 3_000_000
    assert parallel_sum(values, workers=4) == 3_000_000


def test_shared_pool_is_shared():
    """Call after call does not make more and more threads."""
    code = """
        import os, threading
        import numpy as np
        import parsum
        values = np.ones(2_000_000)
        for _ in range(100):
            parsum.parallel_sum(values, workers=3)
        print(threading.active_count() <= 1 + max(2, os.cpu_count()))
    """
    assert output(code) == "True"


def test_no_thread_without_need():
    code = """
        import threading
        import parsum
        parsum.parallel_sum([1.0, 2.0])
        parsum.parallel_sum([[1.0, 2.0]], axis=0)
        print(threading.active_count())
    """
    assert output(code) == "1"


def test_the_interpreter_exits_with_the_pool_in_use():
    code = """
        import threading
        import numpy as np
        from parsum import parallel_sum
        print(int(parallel_sum(np.ones(3_000_000), workers=4)))
        threading.Thread(target=lambda: parallel_sum(np.ones(5_000_000), workers=2)).start()
    """
    assert output(code, timeout=60) == "3000000"


def test_at_exit():
    """When the interpreter no longer takes new threads the sum is still right."""
    code = """
        import atexit
        import numpy as np
        from parsum import parallel_sum
        atexit.register(lambda: print(int(parallel_sum(np.ones(3_000_000), workers=4))))
    """
    assert output(code, timeout=60) == "3000000"
    used = code + "\n        parallel_sum(np.ones(3_000_000), workers=4)\n"
    assert output(used, timeout=60) == "3000000"


def test_context_variables_are_left_alone():
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(5)
    parallel_sum(np.ones(1_000_000), workers=3)
    assert variable.get() == 5


# ---- the input's life ------------------------------------------------------------------------


def test_input_cannot_be_resized_while_it_is_read():
    """An exported buffer holds the memory where it is; afterwards it is free again."""
    values = np.ones(1_000_000)
    refused = []

    def callback(done, total):
        try:
            values.resize(10)
        except ValueError:
            refused.append(done)

    parallel_sum(values, workers=2, progress=callback)
    assert refused
    assert values.size == 1_000_000


def test_no_reference_is_kept():
    import gc
    import weakref

    values = np.ones(1_000_000)
    count = sys.getrefcount(values)
    for kwargs in ({}, {"workers": 3}, {"axis": 0, "out": np.zeros(())}, {"method": "fast"}):
        parallel_sum(values, **kwargs)
    with pytest.raises(ValueError, match="workers"):
        parallel_sum(values, workers=0)
    gone = weakref.ref(values)
    deadline = time.monotonic() + 10
    while sys.getrefcount(values) != count and time.monotonic() < deadline:
        time.sleep(0.01)  # a worker thread may still let go of its last task
    assert sys.getrefcount(values) == count
    del values
    gc.collect()
    assert gone() is None


def test_input_freed_by_its_owner_during_the_call():
    """A caller whose only other reference goes away during the call."""
    box = [np.ones(1_000_000)]

    def callback(done, total):
        box.clear()

    assert parallel_sum(box[0], workers=2, progress=callback) == 1_000_000


# ---- fork ------------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def _in_fork(function, timeout=60.0):
    """Exit status of a forked child: 0 where function() is true."""
    pid = os.fork()
    if pid == 0:
        status = 3
        try:
            status = 0 if function() else 1
        finally:
            os._exit(status)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the child hangs")


@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_after_the_pool_was_used():
    values = generate("spread", 1_000_000, np.float64)
    expected = expected_sum(values)
    assert parallel_sum(values, workers=4) == expected

    def child():
        right = all(parallel_sum(values, workers=n) == expected for n in (4, 1, None, 3))
        return right and threading.active_count() > 1  # it made a pool of its own

    for _ in range(3):
        assert _in_fork(child) == 0
    assert parallel_sum(values, workers=4) == expected


@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_while_other_threads_reduce():
    values = generate("spread", 1_000_000, np.float64)
    expected = expected_sum(values)
    stop = threading.Event()

    def reduce():
        while not stop.is_set():
            parallel_sum(values, workers=2)

    threads = [threading.Thread(target=reduce) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            assert _in_fork(lambda: parallel_sum(values, workers=3) == expected) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_from_within_a_call():
    """A child born in the middle of a call, in which it counts as nested, is not stuck as such."""
    values = np.ones(2_000_000)
    statuses = []

    def callback(done, total):
        if not statuses:
            statuses.append(_in_fork(lambda: parallel_sum(values, workers=3) == 2_000_000))

    assert parallel_sum(values, workers=2, progress=callback) == 2_000_000
    assert statuses == [0]


# ---- the state of the processor ----------------------------------------------------------------

_FENV = """
    import ctypes, ctypes.util, platform, sys
    import numpy as np
    from oracle import bits
    from strategies import generate
    from parsum import parallel_sum
    libm = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")
    arrays = [generate(f, 3000, d) for f in ("normal", "subnormal", "around subnormal", "edges")
              for d in (np.float64, np.float32, np.float16)]
    grids = [a.reshape(30, 100) for a in arrays]

    def results():
        found = []
        for method in ("exact", "fast"):
            for a, g in zip(arrays, grids):
                for workers in (1, 2):
                    found.append(parallel_sum(a, method=method, workers=workers))
                    found.append(parallel_sum(g, axis=0, method=method, workers=workers))
                    found.append(parallel_sum(g, axis=1, method=method, workers=workers))
                found.append(parallel_sum(a, dtype=np.float32, method=method))
        return found

    with np.errstate(all="ignore"):
        expected = [bits(r) for r in results()]
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's rounding modes")
@pytest.mark.parametrize("name", ["downward", "upward", "toward zero"])
def test_the_callers_rounding_mode(name):
    """Kernels round to nearest whatever the caller has set, and leave it set."""
    code = (
        _FENV
        + """
    x86 = platform.machine() in ("x86_64", "AMD64")
    modes = {"downward": 0x400, "upward": 0x800, "toward zero": 0xC00} if x86 else \\
        {"downward": 0x800000, "upward": 0x400000, "toward zero": 0xC00000}
    mode = modes[sys.argv[1]]
    with np.errstate(all="ignore"):
        assert libm.fesetround(mode) == 0
        found = results()
        after = libm.fegetround()
        libm.fesetround(0)
    assert after == mode, (after, mode)
    different = [k for k, r in enumerate(found) if bits(r) != expected[k]]
    assert not different, [(k, found[k], expected[k]) for k in different[:5]]
    print("same")
    """
    )
    assert output(code, name) == "same"


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64",
    reason="sets MXCSR as glibc keeps it on x86-64",
)
def test_the_callers_flush_to_zero():
    """With FTZ and DAZ set subnormals still count, and both stay set."""
    code = (
        _FENV
        + """
    env = (ctypes.c_uint32 * 8)()
    assert libm.fegetenv(env) == 0
    normal = env[7]
    env[7] = normal | 0x8040
    with np.errstate(all="ignore"):
        assert libm.fesetenv(env) == 0
        lost = float(np.float64(5e-324) * np.float64(1.0)) == 0.0  # the control: it took effect
        found = results()
        libm.fegetenv(env)
        after = env[7]
        env[7] = normal
        libm.fesetenv(env)
    assert lost
    assert after & 0x8040 == 0x8040, hex(after)
    different = [k for k, r in enumerate(found) if bits(r) != expected[k]]
    assert not different, [(k, found[k], expected[k]) for k in different[:5]]
    print("same")
    """
    )
    assert output(code) == "same"


def test_floating_point_flags_do_not_leak():
    """What parsum leaves in the flags must not show up in NumPy's next operation."""
    values = generate("wide", 5000, np.float64)
    with np.errstate(all="ignore"):
        parallel_sum(np.float32([3e38, 3e38]))
        parallel_sum(values, dtype=np.float16)
    with np.errstate(all="raise"):
        assert np.add(1.0, 2.0) == 3.0
        assert np.sum(np.ones(100)) == 100


def test_more_elements_than_two_to_the_31():
    """Without the memory: a broadcast array of 2**31 + 5 bytes, and rows of it."""
    n = 2**31 + 5
    values = np.broadcast_to(np.int8(1), (n,))
    assert parallel_sum(values) == n
    rows = np.broadcast_to(np.array([[1], [2]], np.int8), (2, n))
    assert parallel_sum(rows, axis=1).tolist() == [n, 2 * n]
    assert parsum.parallel_sum(np.broadcast_to(np.float32(0.5), (n,))) == np.float32(n / 2)
