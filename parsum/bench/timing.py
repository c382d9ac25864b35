"""Times calls side by side in one process, in turns, and tells who else was at the CPUs."""

from __future__ import annotations

import os
import random
import statistics
import time
import timeit
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

#: A sample of a short call is as many calls as take this many seconds.
SAMPLE_SECONDS = 1e-3
#: A measurement is disturbed if other processes took more than so many CPUs.
DISTURBED = 0.1

Key = TypeVar("Key", bound=Hashable)
_NOTHING: Mapping[Any, Any] = {}


@dataclass(frozen=True, slots=True)
class Timing:
    """The least and the median time of so many rounds, in seconds."""

    least: float
    median: float
    rounds: int

    def shared(self, times: int) -> Timing:
        """Return the time of one, of a call that does the same so many times."""
        return Timing(self.least / times, self.median / times, self.rounds)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to time calls: so many seconds, but at least so many rounds."""

    seconds: float
    rounds: int

    def __mul__(self, factor: float) -> Effort:
        return Effort(self.seconds * factor, self.rounds)


def busy_seconds() -> float | None:
    """CPU seconds that others have taken since the machine started; None if not known.

    Others are all processes but this one and those that it started.
    """
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    ticks = user + nice + system + irq + softirq + steal - _ticks_of_children()
    own = os.times()
    return ticks / os.sysconf("SC_CLK_TCK") - sum(own[:4])


def _ticks_of_children() -> int:
    """Return the clock ticks of children of the main thread; os.times() has those that ended."""
    ticks = 0
    own = os.getpid()
    try:  # of all threads it would take long
        children = Path(f"/proc/{own}/task/{own}/children").read_text(encoding="ascii").split()
    except OSError:
        return 0
    for child in children:
        try:
            stat = Path(f"/proc/{child}/stat").read_text(encoding="utf-8")
        except OSError:  # it has ended meanwhile
            continue
        # The name, in parentheses, may have spaces in it.
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ticks


def _timer(call: Callable[[], Any], before: Callable[[], Any] | None) -> timeit.Timer:
    return timeit.Timer(call, before or "pass")


def warm_up(call: Callable[[], Any], before: Callable[[], Any] | None = None) -> int:
    """Call it for the first time; return how many calls make up a sample."""
    timer = _timer(call, before)
    once = timer.timeit(1)
    if once < 100 * SAMPLE_SECONDS:  # else the first call was slow by itself
        once = min(timer.timeit(1) for _ in range(2))
    return max(1, int(SAMPLE_SECONDS / max(once, 1e-7)))


def measure(
    calls: Mapping[Key, Callable[[], Any]],
    loops: Mapping[Key, int],
    effort: Effort,
    settle: Mapping[Key, float],
    before: Mapping[Key, Callable[[], Any]] = _NOTHING,
) -> tuple[dict[Key, Timing], float | None]:
    """Time the calls in turns; return also how many CPUs other processes took meanwhile.

    What is to be done ``before`` a sample is not timed. One that has had three times all seconds
    for itself takes no more turns.
    """
    timers = {key: _timer(call, before.get(key)) for key, call in calls.items()}
    samples: dict[Key, list[float]] = {key: [] for key in calls}
    order, shuffle = list(calls), random.Random(0).shuffle
    busy, start = busy_seconds(), time.perf_counter()
    done = 0
    while done < effort.rounds or time.perf_counter() < start + effort.seconds:
        done += 1
        for key in order:
            if sum(samples[key]) * loops[key] > 3 * max(effort.seconds, SAMPLE_SECONDS):
                continue
            samples[key].append(timers[key].timeit(loops[key]) / loops[key])
            if key in settle:
                time.sleep(settle[key])
        shuffle(order)  # nobody always comes after the same one
    after, wall = busy_seconds(), time.perf_counter() - start
    others = None if busy is None or after is None else max(0.0, (after - busy) / wall)
    timings = {
        key: Timing(min(times), statistics.median(times), len(times))
        for key, times in samples.items()
    }
    return timings, others
