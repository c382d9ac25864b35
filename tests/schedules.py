"""Runs reductions by any number of workers in a chosen order, in one thread and so repeatably.

Threads seldom meet at the places where they could go wrong. Here every worker takes a part of the
work, stops after the least that it can do at a time, and lets another one go on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

from parsum import engine
from parsum.api import call, lean, scans
from parsum.reduction import DONE, Job, Row, View


@contextmanager
def large() -> Iterator[None]:
    """Within, no array is small: all are run as jobs, whole ones without a plan."""
    with (
        mock.patch.object(lean, "SMALL_BYTES", -1),
        mock.patch.object(lean, "NUMPY_BYTES", -1),
        mock.patch.object(call, "SMALL_BYTES", -1),
    ):
        yield


@contextmanager
def general() -> Iterator[None]:
    """Within, no array goes a short way: all are planned and run as jobs."""
    with large(), mock.patch.object(lean, "_large", return_value=None):
        yield


@contextmanager
def scheduled(workers: int, block: int, seed: int) -> Iterator[list[int]]:
    """Within, parallel_sum works in turns; yields a list of how many turns each job took.

    `block` is the size of a unit of work in bytes, which decides how finely slices are cut.
    """
    turns: list[int] = []
    order = random.Random(seed)

    def run(reduction: Row, view: View, nbytes: int, keep: object, *_: object) -> int:
        job = Job(reduction, view, workers, keep, block)
        active = list(range(workers))
        count = 0
        while active:
            order.shuffle(active)
            count += len(active)
            active = [k for k in active if job.work(k, -1) != DONE]
        turns.append(count)
        return job.finish()

    with general(), mock.patch.object(engine, "run", run):
        yield turns


@contextmanager
def scheduled_scans(workers: int, block: int, seed: int) -> Iterator[list[int]]:
    """The same for cumulative sums and products."""
    turns: list[int] = []
    order = random.Random(seed)

    def run_job(job: engine.Work, *_: object) -> int:
        active = list(range(workers))
        count = 0
        while active:
            order.shuffle(active)
            count += len(active)
            active = [k for k in active if job.work(k, -1) != DONE]
        turns.append(count)
        return job.finish()

    with (
        general(),
        mock.patch.object(engine, "run_job", run_job),
        mock.patch.object(engine, "resolve_workers", return_value=workers),
        mock.patch.object(scans, "scan", partial(scans.scan, block=block)),
    ):
        yield turns
