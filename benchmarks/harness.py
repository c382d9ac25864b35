"""Times contestants side by side in one process and tells bounds that are met from others.

For every row the contestants take turns, in a new order every round, after a warm-up, so that
whatever else the machine does meets them alike. Ratios are of the least times. What CPU time other
processes took meanwhile is told too: two workers cannot be timed while somebody has a CPU.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from contestants import Call, Contestant

from parsum.bench.timing import DISTURBED, Effort, Timing, busy_seconds, measure

#: Less than this much below its bound, a ratio is "close": the machine's noise is as large.
CLOSE = 0.03

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Bound:
    """`subject` is to be at least `factor` times as fast as `against`, or in GB/s if that is None.

    With `ceiling`, no more than 0.95 of that contestant's speed is asked for.
    """

    subject: str
    factor: float
    against: str | None
    ceiling: str | None = None


@dataclass(frozen=True)
class Way:
    """A contestant of whom more is known than how its call is prepared.

    Attributes
    ----------
    prepare : callable
        Gives the call to be timed for an array and options.
    before : callable or None
        What is to be done before each sample, untimed.
    settle : float
        Seconds to wait after it, as threads of its own go on spinning.
    times : callable
        How often the call does its work, which is what is timed, for so many bytes.
    threads : int
        How many threads it may use.
    name : str
        What it is called without the number of its threads.
    library : str
        The peer that it is of: it is left out where a call would take too long.
    """

    prepare: Contestant
    before: Callable[[], object] | None = None
    settle: float = 0.0
    times: Callable[[int], int] = lambda _: 1
    threads: int = 1
    name: str = ""
    library: str = ""


@dataclass(frozen=True)
class Entrants:
    """Who takes part in a row, by name, and why others do not."""

    ways: Mapping[str, Contestant | Way]
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One entry of the table: an array, named calls on it, and what is to be reached.

    A contestant gets the array and `options`, and gives back the call to be timed. The first whose
    name begins with "np." is the one that others are compared with. Contestants that cost time to
    make are made by a function, once it is the row's turn. `columns` tell more of each contestant:
    of the array and the calls by name they make the figures by name.
    """

    group: str
    name: str
    data: Callable[[], np.ndarray]
    contestants: Mapping[str, Contestant | Way] | Callable[[], Entrants]
    bounds: tuple[Bound, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    effort: float = 1
    columns: Mapping[str, Callable[[np.ndarray, Mapping[str, Call]], Mapping[str, float]]] = field(
        default_factory=dict
    )

    def entrants(self) -> Entrants:
        return self.contestants() if callable(self.contestants) else Entrants(self.contestants)


def threads_of(label: str) -> int:
    """Return the number at the end of a contestant's name, which is that of its threads."""
    number = re.search(r" (\d+)$", label)
    return int(number[1]) if number else 1


def wait_for_peace(until: float) -> None:
    """Wait, until that time at most, for a second in which others leave the CPUs alone."""
    while time.perf_counter() < until:
        before = busy_seconds()
        time.sleep(1)
        after = busy_seconds()
        if before is None or after is None or after - before <= DISTURBED:
            return


def measure_in_peace(
    calls: Mapping[str, Callable[[], Any]],
    loops: Mapping[str, int],
    effort: Effort,
    settle: Mapping[str, float],
    until: float,
    before: Mapping[str, Callable[[], Any]] = _NOTHING,
) -> tuple[dict[str, Timing], float | None]:
    """Measure again, until that time, while others take CPU time; keep the least disturbed."""
    wait_for_peace(until)
    best, others = measure(calls, loops, effort, settle, before)
    while others is not None and others > DISTURBED and time.perf_counter() < until:
        wait_for_peace(until)
        timings, now = measure(calls, loops, effort, settle, before)
        if now is not None and now < others:
            best, others = timings, now
    return best, others


@dataclass(frozen=True)
class Verdict:
    bound: Bound
    ratio: float
    needed: float
    note: str

    @property
    def word(self) -> str:
        if self.ratio >= self.needed:
            return "yes"
        return "close" if self.ratio >= self.needed * (1 - CLOSE) else "NO"


def judge(bound: Bound, timings: Mapping[str, Timing], nbytes: int) -> Verdict | None:
    """Hold the bound against the timings; None if one of its contestants is left out."""
    subject = timings.get(bound.subject)
    if subject is None:
        return None
    if bound.against is None:
        ratio = nbytes / subject.least / 1e9
        return Verdict(bound, ratio, bound.factor, f">= {bound.factor:g} GB/s")
    against = timings.get(bound.against)
    if against is None:
        return None
    ratio, needed = against.least / subject.least, bound.factor
    note = f">= {needed:.3g} x {bound.against}"
    ceiling = timings.get(bound.ceiling) if bound.ceiling else None
    if ceiling is not None:
        allowed = against.least / ceiling.least
        if 0.95 * allowed < needed:
            needed = 0.95 * allowed
            note = f">= {needed:.2f} x {bound.against} (memory allows {allowed:.2f})"
    return Verdict(bound, ratio, needed, note)


# ---- what is told of a contestant ----

#: Of every contestant; the last two where there is something to compare with.
RATE, OF_NUMPY, OF_READ = "GB/s", "x NumPy", "x read"


def figures(
    timings: Mapping[str, Timing], threads: Mapping[str, int], nbytes: int
) -> dict[str, dict[str, float]]:
    """Return rates and ratios of each contestant by name, by the least times."""
    reference = next((timing for name, timing in timings.items() if name.startswith("np.")), None)
    reads = {
        threads[name]: timing for name, timing in timings.items() if re.match(r"read( \d+)?$", name)
    }
    told = {}
    for name, timing in timings.items():
        own = told[name] = {RATE: nbytes / timing.least / 1e9}
        if reference:
            own[OF_NUMPY] = reference.least / timing.least
        # The limit of as many threads, or of the most that were timed.
        if fit := [n for n in reads if n <= threads[name]]:
            own[OF_READ] = reads[max(fit)].least / timing.least
    return told


# ---- what a person reads ----


def header(row: Row) -> str:
    more = "".join(f"{title:>12}" for title in row.columns)
    return (
        f"{'':44}{'':20}{'min ms':>10}{'median ms':>11}{RATE:>8}{OF_NUMPY:>10}{OF_READ:>8}{more}"
        "  bound"
    )


def lines(
    row: Row,
    timings: Mapping[str, Timing],
    told: Mapping[str, Mapping[str, float]],
    verdicts: list[Verdict],
    left_out: Mapping[str, str],
    others: float | None,
) -> list[str]:
    """Write a row: a line for each contestant, with the bounds that it is held to."""
    result = []
    title = row.name
    for name, timing in timings.items():
        own = told[name]
        cells = [
            f"{title:44}{name:20}",
            f"{timing.least * 1e3:10.{3 if timing.least > 1e-3 else 5}f}",
            f"{timing.median * 1e3:11.{3 if timing.least > 1e-3 else 5}f}",
            f"{own[RATE]:8.2f}",
            f"{own[OF_NUMPY]:10.2f}" if OF_NUMPY in own else f"{'':10}",
            f"{own[OF_READ]:8.2f}" if OF_READ in own else f"{'':8}",
            *(f"{own[c]:12.3g}" if c in own else f"{'-':>12}" for c in row.columns),
        ]
        held = [verdict for verdict in verdicts if verdict.bound.subject == name]
        text = "".join(cells)
        if held:
            for verdict in held:
                result.append(f"{text}  {verdict.note}: {verdict.ratio:.2f} {verdict.word}")
                text = " " * len(text)
        else:
            result.append(text)
        title = ""
    if left_out:
        by_reason: dict[str, list[str]] = {}
        for name, why in left_out.items():
            by_reason.setdefault(why, []).append(name)
        told_why = (f"{', '.join(names)}: {why}" for why, names in by_reason.items())
        result.append(f"    left out: {'; '.join(told_why)}")
    if others is not None and others > DISTURBED:
        result.append(f"    disturbed: other processes took {others:.1f} CPUs meanwhile")
    return result
