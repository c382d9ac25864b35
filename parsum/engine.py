"""Who does the work: how many workers, the shared pool, cancelling, progress, nesting and fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from parsum.reduction import AGAIN, Job, Row, View
from parsum.under_dask import task_threads

#: Bytes of data for which one more worker pays for waking it up.
BYTES_PER_WORKER = 2 << 20
#: A C call on the main thread returns this often to let Python see signals; nanoseconds. Where
#: another thread does not let go of the GIL, it is 5 ms until the next one: 8 % of the time.
MAIN_SLICE = 60_000_000
#: Nobody waits for other threads' calls to return.
OTHER_SLICE = 1_000_000_000
#: Seconds between two looks at the progress of others.
PROGRESS_INTERVAL = 0.03

Progress = Callable[[int, int], object]


# ---- how many workers ----


def check_workers(workers: object, name: str = "workers") -> int | None:
    """Return a valid number of workers as it is; else TypeError or ValueError."""
    if workers is None:
        return None
    if isinstance(workers, (bool, np.bool_)) or not hasattr(type(workers), "__index__"):
        raise TypeError(f"{name} must be an integer or None, got {workers!r}")
    number = workers.__index__()  # type: ignore[attr-defined]
    if number < 1 and number != -1:
        raise ValueError(f"{name} must be -1 or at least 1, got {number}")
    return int(number)


@lru_cache(maxsize=1)
def cgroup_quota() -> float | None:
    """Return how many CPUs the process's cgroups let it use, None for no limit.

    cgroup v2 has "quota period" in cpu.max of each group above the process; v1 has two files.
    """
    quotas = []
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            root = Path("/sys/fs/cgroup")
        elif "cpu" in controllers.split(","):
            root = Path("/sys/fs/cgroup/cpu")
        else:
            continue
        # Inside a container the group's own path may not be there, but its root always is.
        folder = root / group.lstrip("/")
        for place in [folder, *folder.parents]:
            if place != root and root not in place.parents:
                break
            try:
                if controllers == "":
                    quota, period = (place / "cpu.max").read_text().split()
                else:
                    quota = (place / "cpu.cfs_quota_us").read_text()
                    period = (place / "cpu.cfs_period_us").read_text()
                if quota != "max" and int(quota) > 0:
                    quotas.append(int(quota) / int(period))
            except (OSError, ValueError):
                continue
    return min(quotas) if quotas else None


def available_cpus() -> int:
    """Return how many CPUs this process may use: its affinity and its cgroup's quota."""
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quota = cgroup_quota()
    if quota is not None:
        cpus = min(cpus, int(-(-quota // 1)))
    return max(1, cpus)


_default: int | None = None
_limit: ContextVar[int | None] = ContextVar("parsum workers", default=None)


def set_workers(workers: int | None) -> None:
    """Set the default number of workers of this process.

    Parameters
    ----------
    workers : int or None
        At most so many threads for a call that does not name a number; -1 for all CPUs that the
        process may use; None to go back to the environment variable ``PARSUM_WORKERS``, or to as
        many as pay for the size of the array.

    Raises
    ------
    TypeError, ValueError
        If `workers` is not such a number.

    Examples
    --------
    >>> import parsum
    >>> parsum.set_workers(1)
    >>> parsum.get_workers()
    1
    >>> parsum.set_workers(None)
    """
    global _default
    _default = check_workers(workers)


def get_workers() -> int:
    """Return the most workers that a call which does not name a number uses here and now."""
    return _most(None)


@contextmanager
def limit_workers(workers: int) -> Iterator[None]:
    """Let no call inside the ``with`` block use more than so many workers.

    The limit holds for the current thread (or asyncio task) alone, also for calls that ask for
    more, and nested limits only get lower.

    Parameters
    ----------
    workers : int
        At most so many threads; -1 for all CPUs that the process may use.

    Raises
    ------
    TypeError, ValueError
        If `workers` is not an integer, or neither -1 nor at least 1.

    Examples
    --------
    >>> import parsum
    >>> with parsum.limit_workers(1):
    ...     parsum.get_workers()
    1
    """
    number = check_workers(workers)
    if number is None:
        raise TypeError("workers must be an integer, got None")
    if number == -1:
        number = available_cpus()
    outer = _limit.get()
    token = _limit.set(number if outer is None else min(outer, number))
    try:
        yield
    finally:
        _limit.reset(token)


def _environment_default() -> int | None:
    text = os.environ.get("PARSUM_WORKERS", "").strip()
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"PARSUM_WORKERS must be -1 or at least 1, got {text!r}") from None
    return check_workers(number, "PARSUM_WORKERS")


def _most(workers: int | None) -> int:
    if workers is None:
        workers = _default if _default is not None else _environment_default()
    threads = task_threads()
    if threads is not None:
        # Each thread of a worker has a task of its own: together they have the CPUs already.
        workers = 1 if workers is None else threads if workers == -1 else min(workers, threads)
    if workers is None or workers == -1:
        workers = available_cpus()
    limit = _limit.get()
    return workers if limit is None else min(workers, limit)


def resolve_workers(workers: int | None, nbytes: int) -> int:
    """Return how many workers take part in a reduction of so many bytes."""
    pay = nbytes // BYTES_PER_WORKER
    if pay <= 1 or getattr(_inside, "worker", False):
        return 1
    return max(1, min(_most(workers), pay))


# ---- the shared pool ----

_inside = threading.local()
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def _shared_pool(size: int) -> ThreadPoolExecutor:
    global _pool, _pool_size
    with _lock:
        if _pool is None or size > _pool_size:
            # The old one finishes what it has; its threads end when it is forgotten.
            _pool_size = max(size, available_cpus())
            _pool = ThreadPoolExecutor(_pool_size, thread_name_prefix="parsum")
        return _pool


def _forget_pool() -> None:
    """Only the forking thread lives on in a child: its pool has no threads, its lock no owner."""
    global _pool, _pool_size, _lock
    _lock = threading.Lock()
    _pool = None
    _pool_size = 0
    _inside.worker = _inside.submitting = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def check_executor(executor: object) -> None:
    """Refuse what does not run functions in threads of this process."""
    if executor is None:
        return
    name = type(executor).__name__
    if not isinstance(executor, ThreadPoolExecutor) or name == "InterpreterPoolExecutor":
        raise TypeError(
            f"executor must be a concurrent.futures.ThreadPoolExecutor, got {executor!r}"
        )


def _submit(executor: Executor | None, job: Work, workers: int) -> list[Future[None]]:
    futures: list[Future[None]] = []
    if getattr(_inside, "submitting", False):
        # A signal's handler that came while its thread was in here, whose locks it would wait for.
        return futures
    _inside.submitting = True
    try:
        pool = _shared_pool(workers - 1) if executor is None else executor
        futures.extend(pool.submit(_help, job, worker) for worker in range(1, workers))
    except RuntimeError:
        if executor is not None:
            raise
        # no new threads (interpreter shutdown, or a limit): the caller does all the work
    finally:
        _inside.submitting = False
    return futures


def _help(job: Work, worker: int) -> None:
    _inside.worker = True
    try:
        while job.work(worker, OTHER_SLICE) == AGAIN:
            pass
    finally:
        _inside.worker = False


# ---- one reduction ----


def check_progress(progress: object) -> None:
    """Refuse what is neither a switch nor a function."""
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise TypeError(f"progress must be True, False, None or callable, got {progress!r}")


@contextmanager
def reporting(progress: bool | Progress | None, total: int) -> Iterator[Progress | None]:
    """Give the function to call with (done, total), from a switch or a function."""
    if progress is None or progress is False:
        yield None
    elif progress is True:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError(
                "progress=True needs tqdm: pip install parsum[progress], or pass a function"
            ) from None
        with tqdm(total=total, unit="B", unit_scale=True) as bar:
            yield lambda done, total: bar.update(done - bar.n)
    else:
        yield progress


class Work(Protocol):
    """What can be run: a reduction or a scan, prepared for so many workers.

    Attributes
    ----------
    total : int
        Bytes to take in.
    settles : bool
        Whether worker 0 is told DONE only when all others are done, whose threads need not be
        waited for: they may still want the GIL to say so.
    """

    total: int
    settles: bool

    def work(self, worker: int, nanoseconds: int) -> int:
        """Work until all is done or the time is over: DONE, AGAIN or cancelled."""

    def cancel(self) -> None:
        """Make every worker stop soon."""

    def finish(self) -> int:
        """Write what is left to write once all workers are done; return flags."""

    def bytes_done(self) -> int:
        """Return how many of `total` bytes are done."""


def run_job(
    job: Work,
    number: int,
    executor: ThreadPoolExecutor | None,
    progress: bool | Progress | None,
) -> int:
    """Run a job of so many workers to its end and return its flags.

    The calling thread is worker 0. Helpers that have not begun when it is done are called off, so
    a pool that is busy, or waits for this very call, costs nothing but its help. What the job
    points at is held by it until no worker runs.
    """
    main = threading.current_thread() is threading.main_thread()
    if number == 1 and (progress is None or progress is False):
        # A call on a small array, mostly: it is not to wait for what it does not need.
        try:
            while job.work(0, MAIN_SLICE if main else OTHER_SLICE) == AGAIN:
                pass
            return job.finish()
        except BaseException:
            job.cancel()
            raise
    with reporting(progress, job.total) as report:
        often = main or report is not None
        futures: list[Future[None]] = []
        try:
            if number > 1:
                futures = _submit(executor, job, number)
            while job.work(0, MAIN_SLICE if often else OTHER_SLICE) == AGAIN:
                if report:
                    report(job.bytes_done(), job.total)
            running = [future for future in futures if not future.cancel() and not job.settles]
            while running:
                done, pending = wait(running, PROGRESS_INTERVAL if report else None)
                for future in done:
                    future.result()
                running = list(pending)
                if report and running:
                    report(job.bytes_done(), job.total)
            flags = job.finish()
            if report:
                report(job.total, job.total)
        except BaseException:
            job.cancel()
            wait([future for future in futures if not future.cancel()])
            raise
    return flags


def run(
    reduction: Row,
    view: View,
    nbytes: int,
    keep: object,
    workers: int | None,
    executor: ThreadPoolExecutor | None,
    progress: bool | Progress | None,
) -> int:
    """Run a reduction of so many bytes to its end; return its flags."""
    number = resolve_workers(workers, nbytes)
    return run_job(Job(reduction, view, number, keep), number, executor, progress)


__all__ = [
    "available_cpus",
    "check_executor",
    "check_progress",
    "check_workers",
    "get_workers",
    "limit_workers",
    "resolve_workers",
    "run",
    "run_job",
    "set_workers",
]
