"""Times contestants side by side in one process and tells bounds that are met from others.

For every row the contestants take turns, in a new order every round, after a warm-up, so that
whatever else the machine does meets them alike. Ratios are of the least times. What CPU time other
processes took meanwhile is told too: two workers cannot be timed while somebody has a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parsum.bench.timing import DISTURBED, Effort, Timing, busy_seconds, measure

#: Less than this much below its bound, a ratio is "close": the machine's noise is as large.
CLOSE = 0.03


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
class Row:
    """One entry of the table: an array, named calls on it, and what is to be reached.

    A contestant gets the array and `options`, and gives back the call to be timed. The first whose
    name begins with "np." is the one that others are compared with.
    """

    group: str
    name: str
    data: Callable[[], np.ndarray]
    contestants: Mapping[str, Callable[..., Callable[[], Any]]]
    bounds: tuple[Bound, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    effort: float = 1


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
) -> tuple[dict[str, Timing], float | None]:
    """Measure again, until that time, while others take CPU time; keep the least disturbed."""
    wait_for_peace(until)
    best, others = measure(calls, loops, effort, settle)
    while others is not None and others > DISTURBED and time.perf_counter() < until:
        wait_for_peace(until)
        timings, now = measure(calls, loops, effort, settle)
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


# ---- what a person reads ----

HEADER = (
    f"{'':44}{'':20}{'min ms':>10}{'median ms':>11}{'GB/s':>8}{'x NumPy':>10}{'x read':>8}  bound"
)


def lines(
    row: Row,
    timings: Mapping[str, Timing],
    verdicts: list[Verdict],
    nbytes: int,
    others: float | None,
) -> list[str]:
    """Write a row: a line for each contestant, with the bounds that it is held to."""
    result = []
    title = row.name
    reference = next((timing for name, timing in timings.items() if name.startswith("np.")), None)
    for name, timing in timings.items():
        read = timings.get("read 2" if name.endswith(" 2") else "read 1")
        cells = [
            f"{title:44}{name:20}",
            f"{timing.least * 1e3:10.{3 if timing.least > 1e-3 else 5}f}",
            f"{timing.median * 1e3:11.{3 if timing.least > 1e-3 else 5}f}",
            f"{nbytes / timing.least / 1e9:8.2f}",
            f"{reference.least / timing.least:10.2f}" if reference else f"{'':10}",
            f"{read.least / timing.least:8.2f}" if read else f"{'':8}",
        ]
        own = [verdict for verdict in verdicts if verdict.bound.subject == name]
        text = "".join(cells)
        if own:
            for verdict in own:
                result.append(f"{text}  {verdict.note}: {verdict.ratio:.2f} {verdict.word}")
                text = " " * len(text)
        else:
            result.append(text)
        title = ""
    if others is not None and others > DISTURBED:
        result.append(f"    disturbed: other processes took {others:.1f} CPUs meanwhile")
    return result
