"""Runs ``parsum bench``: checks what is asked for, measures size by size, prints the table."""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import parsum
from parsum.bench.contestants import OPERATIONS, READ, Array, Contestant, data_for, read_repeats
from parsum.bench.entries import Entry, disturbance, ulps
from parsum.bench.field import (
    Field,
    Pair,
    TooSlow,
    field_for,
    in_time,
    left_out_line,
    pairs_of,
    thread_numbers,
)
from parsum.bench.machine import free_memory, machine, size_text
from parsum.bench.peers import PEERS
from parsum.bench.timing import Effort, Timing, measure, warm_up
from parsum.engine import available_cpus, check_workers

#: Bytes; as many of them as fit a quarter of the free memory.
_SIZES = (*(k * unit for unit in (10**3, 10**6) for k in (1, 4, 16, 64, 256)), 10**9)
#: What all measurements may take by default, and one at most, in seconds.
_ALL_SECONDS, _MOST_SECONDS = 15.0, 0.1
#: A peer whose call takes longer than this, and than twice what a measurement may, is left out.
_CALL_SECONDS = 0.2
_ROUNDS = 5
#: Elements of the sum that is checked against math.fsum.
_CHECKED = 10_000


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    if options.plot is not None:
        from parsum.bench.picture import check_picture

        check_picture(options.plot)
    dtype, workers = _dtype(options.dtype), _workers(options.workers)
    sizes = _sizes(options.sizes, dtype.itemsize)
    if options.operation not in OPERATIONS:
        raise ValueError(
            f"operation must be one of {', '.join(OPERATIONS)}, got {options.operation!r}"
        )
    if options.seconds is not None and not 0 <= options.seconds < math.inf:
        raise ValueError(f"seconds must be at least 0, got {options.seconds}")
    _check_against_fsum()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # What libraries say of overflow would cost them time; how they see it is their business.
        warnings.simplefilter("ignore")
        field = field_for(options.operation, dtype, max(workers), not options.no_peers)
        about = machine(("numpy", *PEERS))
        if not options.json:
            print("\n".join(_introduction(about, field, options.operation, dtype, workers)))
        entries, slow = _measured(field, options, dtype, sizes, workers)
    if options.json:
        content = {
            "machine": about,
            "operation": options.operation,
            "dtype": str(dtype),
            "not installed": field.not_installed,
            "left out": field.left_out,
            "too slow": [one.as_json() for one in slow],
            "entries": [entry.as_json() for entry in entries],
        }
        print(json.dumps(content))
    if options.plot is not None:
        from parsum.bench.picture import draw

        draw(options.plot, entries, about, f"the {options.operation} of {dtype}")
    return 0


# ---- what is asked for ----


def _dtype(text: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(text)
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "biufc" or dtype.itemsize > 16 or dtype.char in "gG":
        raise ValueError(
            f"dtype must be of bool, integers, floats or complex numbers, got {text!r}"
        )
    return dtype.newbyteorder("=")


def _workers(given: tuple[int, ...] | None) -> tuple[int, ...]:
    cpus = available_cpus()
    if given is None:
        return tuple(sorted({*(1 << k for k in range(cpus.bit_length())), cpus}))
    checked = {check_workers(number) for number in given}
    return tuple(sorted({cpus if number in (-1, None) else number for number in checked}))


def _sizes(given: tuple[float, ...] | None, itemsize: int) -> tuple[int, ...]:
    free = free_memory()
    if given is None:
        most = _SIZES[-1] if free is None else free // 4
        return tuple(size for size in _SIZES if size <= max(most, _SIZES[0]))
    for size in given:
        if not itemsize <= size < math.inf:
            raise ValueError(f"sizes must be at least one element, {itemsize} bytes, got {size:g}")
        if free is not None and size > free:
            raise ValueError(f"sizes must fit in memory, {free:.3g} bytes, got {size:g}")
    return tuple(sorted({int(size) // itemsize * itemsize for size in given}))


def _check_against_fsum() -> None:
    """Hold exact sums, which tell the error of all others, against Python's own exact sum."""
    rng = np.random.default_rng(2)
    a = np.ldexp(rng.standard_normal(_CHECKED), rng.integers(-40, 40, _CHECKED))
    ours, expected = parsum.parallel_sum(a), math.fsum(a)
    if ours != expected:
        raise ArithmeticError(f"parallel_sum must give what math.fsum does, {expected}, got {ours}")


# ---- measuring ----


def _measured(
    field: Field,
    options: argparse.Namespace,
    dtype: np.dtype[Any],
    sizes: tuple[int, ...],
    workers: tuple[int, ...],
) -> tuple[list[Entry], list[TooSlow]]:
    """Measure size by size, and print each as a part of the table unless JSON is asked for."""
    pairs = pairs_of(field, workers)
    seconds = options.seconds
    if seconds is None:
        seconds = min(_MOST_SECONDS, _ALL_SECONDS / (len(sizes) * len(pairs)))
    whole = data_for(options.operation, dtype.str, sizes[-1])
    entries, slow = [], []
    for size in sizes:
        a = whole[: size // dtype.itemsize]
        kept, late = in_time(pairs, a, max(_CALL_SECONDS, 2 * seconds))
        timings, others = _timings(a, kept, Effort(seconds * len(kept), _ROUNDS))
        part = _entries(a, timings, options.operation, workers, others)
        if not options.json:
            print("\n".join(_table(part)), flush=True)
            if late:
                print(left_out_line(late), flush=True)
        entries += part
        slow += late
    return entries, slow


def _timings(
    a: Array, pairs: list[Pair], effort: Effort
) -> tuple[dict[Pair, Timing], float | None]:
    calls = {(one, n): one.prepare(a, n) for one, n in pairs}
    before = {(one, n): partial(one.choose, n) for one, n in pairs if one.choose is not None}
    settle = {(one, n): one.settle for one, n in pairs if one.settle and n > 1}
    loops = {pair: warm_up(call, before.get(pair)) for pair, call in calls.items()}
    repeats = dict.fromkeys(pairs, 1)
    for one, n in pairs:
        if one.repeats:
            repeats[one, n] = read_repeats(a.nbytes)
            calls[one, n] = one.prepare(a, n, repeats[one, n])
            loops[one, n] = 1
    timings, others = measure(calls, loops, effort, settle, before)
    return {pair: timing.shared(repeats[pair]) for pair, timing in timings.items()}, others


def _answers(a: Array, contestant: Contestant, workers: tuple[int, ...]) -> dict[int, Array]:
    """Return what a contestant makes of the array with 1 and with each number of threads."""
    answers = {}
    for n in {*thread_numbers(contestant, (1,)), *thread_numbers(contestant, workers)}:
        if contestant.choose is not None:
            contestant.choose(n)
        answers[n] = np.asarray(contestant.prepare(a, n)())
    return answers


def _entries(
    a: Array,
    timings: dict[Pair, Timing],
    operation: str,
    workers: tuple[int, ...],
    others: float | None,
) -> list[Entry]:
    numpy = next(t.least for (one, _), t in timings.items() if one.name == f"np.{operation}")
    reads = {n: t.least for (one, n), t in timings.items() if one.name == READ}
    exact = parsum.parallel_sum(a) if operation == "sum" and a.dtype.kind == "f" else None
    answers = {one: _answers(a, one, workers) for one, _ in timings if one.name != READ}
    entries = []
    for (one, n), timing in timings.items():
        read = min((least for k, least in reads.items() if k <= n), default=None)
        given = answers.get(one, {})
        several = given and (one.threads is None or len(one.threads) > 1)
        entries.append(
            Entry(
                contestant=one.name,
                workers=n,
                size=a.nbytes,
                timing=timing,
                rate=a.nbytes / timing.least / 1e9,
                of_numpy=numpy / timing.least,
                of_read=None if read is None else read / timing.least,
                ulps=ulps(given[n], exact) if given and exact is not None else None,
                results=len({answer.tobytes() for answer in given.values()}) if several else None,
                others=others,
            )
        )
    return entries


# ---- what a person reads ----

_COLUMNS = (
    ("workers", 9), ("least us", 12), ("median us", 12), ("GB/s", 9), ("x NumPy", 9),
    ("x read", 9), ("ulps", 9), ("results", 9),
)  # fmt: skip


def _introduction(
    about: dict[str, Any],
    field: Field,
    operation: str,
    dtype: np.dtype[Any],
    workers: tuple[int, ...],
) -> Iterator[str]:
    yield f"{operation} of {dtype} on {about['cpu']}, {about['cpus allowed']} CPUs allowed"
    yield ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    if field.not_installed:
        yield f"not installed: {', '.join(field.not_installed)}"
    for name, why in field.left_out.items():
        yield f"left out: {name}: {why}"
    yield (
        "x read: to a plain C loop that reads on and on in at most as many threads; ulps: distance "
        "of the sum to the exact one, rounded"
    )
    tried = ", ".join(map(str, sorted({1, *workers})))
    yield f"results: how many distinct ones with {tried} threads (1 is reproducible)"


def _table(entries: list[Entry]) -> Iterator[str]:
    """Write the lines of one size."""
    width = max(len(entry.contestant) for entry in entries)
    yield f"\n{size_text(entries[0].size):{width}}" + "".join(
        f"{title:>{columns}}" for title, columns in _COLUMNS
    )
    for entry in entries:
        cells = (
            str(entry.workers),
            f"{entry.timing.least * 1e6:.2f}",
            f"{entry.timing.median * 1e6:.2f}",
            f"{entry.rate:.3g}",
            f"{entry.of_numpy:.3g}",
            _number(entry.of_read),
            _number(entry.ulps),
            _number(entry.results),
        )
        yield f"{entry.contestant:{width}}" + "".join(
            f"{cell:>{columns}}" for cell, (_, columns) in zip(cells, _COLUMNS, strict=True)
        )
    if disturbed := disturbance(entries):
        yield f"disturbed: {disturbed}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
