"""Who takes part: those that are installed, give what NumPy gives, and do not take too long."""

from __future__ import annotations

import timeit
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from parsum import compiler
from parsum.bench.contestants import (
    EXACT,
    FAST,
    JOINS,
    READ,
    ROUNDED,
    THREADS,
    Array,
    Call,
    Contestant,
    data_for,
    numpys,
    parsums,
    read_limit,
    threads_over_numpy,
)
from parsum.bench.machine import size_text
from parsum.bench.peers import PEERS

#: Bytes of the two slices from which the time of a call on a larger array is extrapolated.
_PROBES = (1 << 20, 1 << 22)

#: A contestant and its number of threads.
Pair = tuple[Contestant, int]


@dataclass(frozen=True, slots=True)
class Field:
    """Who takes part, which libraries are not installed, and why others are left out, by name."""

    contestants: list[Contestant]
    not_installed: list[str]
    left_out: Mapping[str, str]


def field_for(operation: str, dtype: np.dtype[Any], most: int, peers: bool) -> Field:
    """Return those who can reduce elements of the dtype to what NumPy makes of them."""
    ours = [numpys(operation)]
    if operation in JOINS:
        ours.append(threads_over_numpy(operation))
    ours.append(parsums(operation, EXACT, "exact"))
    if operation in ROUNDED and dtype.kind in "fc":
        ours.append(parsums(operation, FAST, "fast"))
    left_out: dict[str, str] = {}
    try:
        ours.insert(0, Contestant(READ, read_limit(), repeats=True))
    except compiler.CompileError as error:
        left_out[READ] = _first_line(error)
    not_installed, others = [], []
    for name, make in PEERS.items() if peers else ():
        try:
            made = make(operation, most)
        except ImportError:
            not_installed.append(name)
            continue
        except Exception as error:  # whatever an installation that is broken may raise
            left_out[name] = _first_line(error)
            continue
        if not made:
            left_out[name] = f"has no {operation}"
        others += [
            replace(one, library=name)
            for one in made
            if _takes_part(one, operation, dtype, most, left_out)
        ]
    return Field(ours + others, not_installed, left_out)


def thread_numbers(contestant: Contestant, workers: tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers of threads that a contestant is timed with."""
    if contestant.threads is None:
        return workers
    return tuple(n for n in workers if n in contestant.threads) or contestant.threads[:1]


def pairs_of(field: Field, workers: tuple[int, ...]) -> list[Pair]:
    """Return who is timed with how many threads."""
    return [
        (one, n)
        for one in field.contestants
        for n in thread_numbers(one, workers)
        if n > 1 or not one.name.startswith(THREADS)
    ]


def _takes_part(
    contestant: Contestant, operation: str, dtype: np.dtype[Any], most: int, why: dict[str, str]
) -> bool:
    """Tell whether a contestant gives what NumPy gives, but for rounding; if not, note why."""
    a = data_for(operation, dtype.str, 1000 * dtype.itemsize)
    expected = getattr(np, operation)(a)
    eps = float(np.finfo(dtype).eps) if dtype.kind in "fc" else 0.0
    room = eps * float(np.abs(a).sum(dtype=np.float64)) if eps else 0.0
    try:
        for threads in {min(contestant.threads or (1,)), max(contestant.threads or (most,))}:
            if contestant.choose is not None:
                contestant.choose(threads)
            result = np.asarray(contestant.prepare(a, threads)()).item()
            if not np.isclose(result, expected, rtol=eps**0.5, atol=room):
                why[contestant.name] = f"gives {result} where np.{operation} gives {expected}"
                return False
    except Exception as error:  # of a dtype that it does not have, in its own words
        why[contestant.name] = _first_line(error)
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


# ---- time ----


@dataclass(frozen=True, slots=True)
class TooSlow:
    """A peer that is left out of an array of so many bytes, as a call would take so long."""

    contestant: str
    workers: int
    size: int
    seconds: float

    def __str__(self) -> str:
        threads = f" with {self.workers} threads" if self.workers > 1 else ""
        return f"{self.contestant}{threads} ({self.seconds:.2g} s a call)"

    def as_json(self) -> dict[str, Any]:
        """Return the same as what JSON has."""
        return {
            "contestant": self.contestant,
            "workers": self.workers,
            "bytes": self.size,
            "expected seconds": self.seconds,
        }


def in_time(pairs: Iterable[Pair], a: Array, limit: float) -> tuple[list[Pair], list[TooSlow]]:
    """Part those whose call on a flat array takes at most so many seconds from other peers.

    NumPy, parsum and the read limit, to which others are compared, always take part.
    """
    kept, slow = [], []
    for one, threads in pairs:
        seconds = _expected(one, threads, a) if one.library else 0.0
        if seconds > limit:
            slow.append(TooSlow(one.name, threads, a.nbytes, seconds))
        else:
            kept.append((one, threads))
    return kept, slow


def _expected(contestant: Contestant, threads: int, a: Array) -> float:
    choose = contestant.choose
    return expected_seconds(
        a,
        lambda part: contestant.prepare(part, threads),
        None if choose is None else partial(choose, threads),
    )


def expected_seconds(
    a: Array, prepare: Callable[[Array], Call], before: Callable[[], object] | None
) -> float:
    """Return about how long a call on a flat array takes; 0 for arrays too small to matter."""
    few, many = _PROBES
    if a.nbytes <= many:
        return 0.0
    if before is not None:
        before()
    times = []
    for nbytes in _PROBES:
        timer = timeit.Timer(prepare(a[: nbytes // a.itemsize]))
        timer.timeit(1)
        times.append(min(timer.repeat(3, 1)))
    # What a call costs whatever the size must not be taken for a cost of its bytes.
    by_byte = max(0.0, times[1] - times[0]) / (many - few)
    return times[1] + by_byte * (a.nbytes - many)


def left_out_line(slow: list[TooSlow]) -> str:
    """Say who is left out of an array for its time."""
    return f"left out of {size_text(slow[0].size)}: {', '.join(map(str, slow))}"
