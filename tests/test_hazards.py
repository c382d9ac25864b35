"""What may happen to arrays, threads and the process while C code runs without the GIL."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import gc
import os
import platform
import signal
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from children import output, run
from oracle import bits
from reference import values
from test_accumulator import assert_same, fields

import parsum
from parsum import Accumulator, parallel_dot, parallel_reduce, parallel_sum
from parsum.api.named import FUNCTIONS
from parsum.api.views import view_of
from parsum.reduction import DONE, Job, find, type_of

#: Seconds of the tests that go on and on; PARSUM_TEST_SECONDS=60 for a minute.
SECONDS = float(os.environ.get("PARSUM_TEST_SECONDS", "4"))


# ---- references ----


def gone(reference: Any) -> bool:
    """Whether an array is freed; a worker thread may let go of its last task a little later."""
    deadline = time.monotonic() + 10
    while reference() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return reference() is None


def test_another_thread_drops_the_last_reference():
    """The call itself holds on to what it reads."""
    for _ in range(20):
        box = [np.arange(1_000_000.0)]
        reference = weakref.ref(box[0])
        begun = threading.Event()
        results: list[Any] = []

        def reduce(box=box, begun=begun, results=results):
            array = box[0]
            begun.set()
            results.append(parallel_sum(array, workers=3))

        thread = threading.Thread(target=reduce)
        thread.start()
        begun.wait()
        box.clear()
        junk = [np.full(1_000_000, -1.0) for _ in range(3)]  # where it lay, had it been freed
        thread.join()
        assert results == [499_999_500_000.0]
        del thread, junk
        reduce.__defaults__ = None
        assert gone(reference)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("workers", [1, 3])
def test_nothing_is_held_after_an_error(error, workers):
    a, b, out = (np.ones(1_000_000) for _ in range(3))
    references = [weakref.ref(array) for array in (a, b, out)]

    def fail(done, total):
        raise error("mine")

    for call in (
        lambda: parallel_sum(a, workers=workers, progress=fail),
        lambda: parallel_dot(a, b, workers=workers, progress=fail),
        lambda: parsum.parallel_cumsum(a, out=out, workers=workers, progress=fail),
        lambda: parallel_reduce("x * y", "sum", x=a, y=b, workers=workers, progress=fail),
        lambda: parallel_reduce(a, ("min", "max"), workers=workers, progress=fail),
    ):
        with pytest.raises(error, match="mine"):
            call()
    a = b = out = None
    assert all(map(gone, references))


def test_what_a_fused_expression_reads_stays():
    x = np.arange(1_000_000.0)
    fused = parsum.Fused("x + 1", {"x": x})
    reference = weakref.ref(x)
    del x
    assert parallel_sum(fused) == 500_000_500_000.0
    del fused
    assert gone(reference)


# ---- others write ----


def test_others_write_what_is_read():
    """A mixture of old and new numbers, and never a crash."""
    a = np.zeros(2_000_000)
    stop = threading.Event()

    def write():
        k = 0
        while not stop.is_set():
            k += 1
            a[:] = k % 2
            a[:: 1 + k % 7] = np.nan if k % 5 == 0 else 3e300

    writer = threading.Thread(target=write)
    writer.start()
    try:
        end = time.monotonic() + SECONDS
        with np.errstate(all="ignore"):
            while time.monotonic() < end:
                for name in ("sum", "var", "argmax", "nansum", "minmax", "describe", "prod"):
                    FUNCTIONS[name](a, workers=3)
                total = parallel_sum(a, workers=2)
                assert np.isnan(total) or total >= 0
                parsum.parallel_cumsum(a, workers=2)
    finally:
        stop.set()
        writer.join()
    a[:] = 1
    assert parallel_sum(a, workers=3) == 2_000_000


def test_others_write_the_mask():
    """Also a mask whose bytes are neither 0 nor 1 for a while."""
    a, mask = np.ones(1_000_000), np.zeros(1_000_000, bool)
    raw = mask.view(np.uint8)
    stop = threading.Event()

    def write():
        k = 0
        while not stop.is_set():
            k = (k + 37) % 256
            raw[:] = k

    writer = threading.Thread(target=write)
    writer.start()
    try:
        end = time.monotonic() + SECONDS / 2
        while time.monotonic() < end:
            assert 0 <= parallel_sum(a, where=mask, workers=3) <= 1_000_000
            parsum.parallel_mean(np.ma.array(a, mask=mask), workers=2)
    finally:
        stop.set()
        writer.join()


# ---- many threads, executors, exit ----


def test_sixty_four_threads_at_once():
    """All of them get their own results, whatever the others do."""
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(n) * 10.0 ** rng.integers(-20, 20, n) for n in
              (1, 10, 1000, 30_000, 600_000)]  # fmt: skip
    names = ("sum", "mean", "var", "max", "argmin", "norm", "describe", "nansum")
    expected = {(n, k): FUNCTIONS[n](a) for n in names for k, a in enumerate(arrays)}
    end = time.monotonic() + SECONDS
    wrong: list[Any] = []
    shared = Accumulator("sum", dtype="d")
    updates = [0] * 64

    def work(seed: int) -> None:
        own = np.random.default_rng(seed)
        try:
            while time.monotonic() < end:
                name, k = names[own.integers(len(names))], int(own.integers(len(arrays)))
                result = FUNCTIONS[name](arrays[k], workers=int(own.integers(1, 5)))
                for left, right in zip(fields(result), fields(expected[name, k]), strict=True):
                    if left is not None and bits(left) != bits(right):
                        wrong.append((name, k, left, right))
                shared.update(arrays[2])
                updates[seed] += 1
        except BaseException as error:
            wrong.append(error)
            raise

    threads = [threading.Thread(target=work, args=(k,)) for k in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    whole = Accumulator("sum")
    for _ in range(sum(updates)):
        whole.update(arrays[2])
    assert_same(shared.result(), whole.result())


def test_an_executor_shut_down_under_a_call():
    values_ = np.ones(4_000_000)
    for wait in (False, True):
        for _ in range(20):
            executor = ThreadPoolExecutor(3)
            timer = threading.Timer(0.0005, executor.shutdown, kwargs={"wait": wait})
            timer.start()
            with contextlib.suppress(RuntimeError):  # no new futures after shutdown
                assert parallel_sum(values_, workers=4, executor=executor) == 4_000_000
            timer.join()
    assert parallel_sum(values_, workers=4) == 4_000_000


def test_the_interpreter_exits_with_calls_in_flight():
    """Of daemon threads, which nobody waits for."""
    code = """
        import threading, time, numpy as np, parsum
        a = np.ones(20_000_000)
        def work():
            while True:
                parsum.parallel_sum(a, workers=2)
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.3)
        print("ends")
    """
    for _ in range(3):
        done = run(code, timeout=60)
        assert (done.returncode, done.stdout) == (0, "ends\n"), done.stderr


# ---- signals and callbacks ----


@pytest.mark.parametrize("workers", [1, 2])
def test_handlers_of_signals_run_and_the_call_goes_on(workers):
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(time.monotonic()))
    a = np.ones(4_000_000)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert parallel_sum(a, workers=workers) == 4_000_000
            assert parsum.parallel_var(a, workers=workers) == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) > 20


def test_a_handler_may_reduce():
    a, inner = np.ones(4_000_000), np.ones(1_000_000)
    results = []
    before = signal.signal(
        signal.SIGALRM, lambda *_: results.append(parallel_sum(inner, workers=2))
    )
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.01)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert parallel_sum(a, workers=2) == 4_000_000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert results and set(results) == {1_000_000.0}


def test_callbacks_that_reduce_that_call_back():
    a = np.ones(1_000_000)
    depth = [0]

    def nested(done, total):
        if depth[0] < 5:
            depth[0] += 1
            assert parallel_sum(a, workers=2, progress=nested) == 1_000_000

    assert parallel_sum(a, workers=2, progress=nested) == 1_000_000
    assert depth[0] == 5


# ---- memory ----


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS as Linux has it")
def test_memory_that_runs_out():
    """A MemoryError, nothing lost of an accumulator, and all works when there is memory again."""
    code = """
        import resource, numpy as np, parsum
        a = np.ones((4, 3_000_000))
        acc = parsum.Accumulator("sum", axis=0)
        acc.update(a[:, :1000])
        parsum.parallel_sum(np.ones(3_000_000), workers=2)  # threads have their stacks
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limit = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), limit[1]))
        wide = parsum.Accumulator("sum", axis=0)
        seen = []
        for call in (
            lambda: parsum.parallel_sum(a, axis=0),
            lambda: parsum.parallel_describe(a, axis=0, workers=2),
            lambda: parsum.parallel_cumsum(a, workers=2),
            lambda: wide.update(a),
            lambda: parsum.parallel_var(a, axis=0, workers=4),
        ):
            try:
                call()
                seen.append("done")
            except MemoryError:
                seen.append("MemoryError")
        resource.setrlimit(resource.RLIMIT_AS, limit)
        assert wide.count == 0
        wide.update(a)
        print(seen, acc.count, acc.result().sum(), wide.count, wide.result().sum())
        print(parsum.parallel_sum(a, axis=0, workers=2).sum())
    """
    lines = output(code).split("\n")
    assert lines[0] == f"{['MemoryError'] * 5} 4 4000.0 4 12000000.0"
    assert lines[1] == "12000000.0"


# ---- the floating-point environment, for all of the family ----


@pytest.fixture(scope="module")
def arrays():
    # Made before the modes are set, which they would be of.
    return [
        values(style, 3000, dtype, 7)
        for style in ("random", "finite hard", "extremes")
        for dtype in ("d", "f", "e")
    ]


def all_results(arrays: list[np.ndarray]) -> list[Any]:
    """Some of every function."""
    results: list[Any] = []
    with np.errstate(all="ignore"):
        for name in sorted(FUNCTIONS):
            for array in arrays:
                for method in ("exact", "fast"):
                    for shape, axis in (((3000,), None), ((60, 50), 0), ((60, 50), 1)):
                        keywords: dict[str, Any] = {"axis": axis, "method": method}
                        found = FUNCTIONS[name](array.reshape(shape), **keywords)
                        results += fields(found)
        for array in arrays:
            results.append(parallel_dot(array, array[::-1]))
            results.append(parsum.parallel_cumsum(array))
            acc = Accumulator(("mean", "var", "min"))
            acc.update(array[:1000])
            acc.update(array[1000:])
            results += fields(acc.result())
    return [None if result is None else bits(result) for result in results]


def libm() -> Any:
    return ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")


on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "AMD64"),
    reason="sets MXCSR as glibc keeps it on x86-64",
)


@on_linux
@pytest.mark.parametrize("mode", [0x400, 0x800, 0xC00], ids=["down", "up", "to zero"])
def test_rounding_modes_do_not_matter(arrays, mode):
    library = libm()
    expected = all_results(arrays)
    assert library.fesetround(mode) == 0
    try:
        found = all_results(arrays)
        after = library.fegetround()
    finally:
        library.fesetround(0)
    assert after == mode
    different = [k for k, (left, right) in enumerate(zip(found, expected, strict=True))
                 if left != right]  # fmt: skip
    assert not different


@on_linux
def test_flushing_subnormals_does_not_matter(arrays):
    library = libm()
    expected = all_results(arrays)
    environment = (ctypes.c_uint32 * 8)()
    assert library.fegetenv(environment) == 0
    normal = environment[7]
    environment[7] = normal | 0x8040
    assert library.fesetenv(environment) == 0
    try:
        lost = float(np.float64(5e-324) * np.float64(1.0)) == 0.0  # the control: it took effect
        found = all_results(arrays)
        library.fegetenv(environment)
        after = environment[7]
    finally:
        environment[7] = normal
        library.fesetenv(environment)
    assert lost and after & 0x8040 == 0x8040
    different = [k for k, (left, right) in enumerate(zip(found, expected, strict=True))
                 if left != right]  # fmt: skip
    assert not different


# ---- workers of one job ----


def test_no_chunk_is_taken_twice():
    """Workers that run out of chunks of their own take others': they meet at the last one."""
    workers, a = 8, np.ones(40_000, np.int64)
    element = type_of(a.dtype)
    row = find("sum", "exact", element, element)
    assert row is not None
    out = np.empty((), np.int64)
    end = time.monotonic() + SECONDS
    jobs: list[Job] = []
    wrong: list[int] = []

    def next_job() -> None:
        if jobs:
            jobs[-1].finish()
            if out != a.size:
                wrong.append(int(out))
        view = view_of(a, (0,), out, element, element)
        jobs[:] = [] if time.monotonic() > end else [Job(row, view, workers, (a, out), 8192)]

    together = threading.Barrier(workers, action=next_job)

    def work(worker: int) -> None:
        while True:
            together.wait()
            if not jobs:
                return
            assert jobs[0].work(worker, 10**9) == DONE

    threads = [threading.Thread(target=work, args=(k,)) for k in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong
