"""Shows what the four ways do: the bits, the copies, the GIL and the threads, and draws it.

    python examples/four_ways/build_all.py
    python examples/four_ways/compare.py [--plot four_ways.png]

Nothing here is taken on trust: C notes which address it was given and when it ran, memory is
measured while it runs, and a thread that counts shows whether Python could go on.
"""

from __future__ import annotations

import argparse
import bisect
import os
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from build_all import BUILD
from ways import Array, Visit, Way, load

from parsum import parallel_sum

FACTOR = 2.0
STEP = 500  # iterations between two looks at the clock


class Counter:
    """A Python thread that counts, and notes when; it may pause in between."""

    def __init__(self, pause: float | None = None) -> None:
        self.moments: list[float] = []
        self._pause = pause
        self._stop = False

    def __enter__(self) -> Counter:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stop:
            for _ in range(STEP):
                pass
            self.moments.append(time.monotonic())  # the clock of the visits
            if self._pause is not None:
                time.sleep(self._pause)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stop = True
        self._thread.join()

    def between(self, begin: float, end: float) -> int:
        """How many iterations it has noted from one moment to another."""
        moments = self.moments
        return STEP * (bisect.bisect(moments, end) - bisect.bisect(moments, begin))


@dataclass
class Timeline:
    """Who was in C from when to when, and when the counting thread noted its iterations."""

    begin: float
    visits: list[tuple[float, float]]
    moments: list[float] = field(repr=False)

    @property
    def end(self) -> float:
        return max(end for _, end in self.visits)

    @property
    def together(self) -> float:
        """The share of the time in which both threads were in C."""
        begins, ends = zip(*self.visits, strict=True)
        return max(0.0, min(ends) - max(begins)) / (max(ends) - min(begins))


def timeline(
    way: Way, arrays: list[Array], times: int, last_visit: Callable[[], Visit]
) -> Timeline:
    """Two threads that call C at the same moment, beside one that counts now and then.

    It pauses, so that on two CPUs it takes neither from the other two.
    """
    barrier = threading.Barrier(3)
    visits = [(0.0, 0.0)] * 2

    def call(number: int) -> None:
        barrier.wait()
        way.sum(arrays[number], times)
        visit = last_visit()
        visits[number] = visit.begin, visit.end

    threads = [threading.Thread(target=call, args=(k,)) for k in range(2)]
    with Counter(pause=0.001) as counter:
        for thread in threads:
            thread.start()
        time.sleep(0.02)  # a stretch of counting alone, to compare with
        begin = time.monotonic()
        barrier.wait()
        for thread in threads:
            thread.join()
        time.sleep(0.02)
    return Timeline(begin, visits, counter.moments)


def one_after_the_other(way: Way, arrays: list[Array], times: int) -> float:
    """Seconds of two calls in one thread."""
    begin = time.monotonic()
    for a in arrays:
        way.sum(a, times)
    return time.monotonic() - begin


def in_two_threads(way: Way, arrays: list[Array], times: int) -> float:
    """Seconds of the same two calls in two threads."""
    threads = [threading.Thread(target=way.sum, args=(a, times)) for a in arrays]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - begin


def counted(call: Callable[[], Any], last_visit: Callable[[], Visit]) -> tuple[int, float]:
    """What a counting thread gets done while C is in a call, and for how many seconds that is."""
    with Counter() as counter:
        time.sleep(0.01)
        call()
        visit = last_visit()
    return counter.between(visit.begin, visit.end), visit.end - visit.begin


def resident(name: str) -> int | None:
    """Bytes of this process in memory, now (VmRSS) or at most (VmHWM); None where not told."""
    try:
        status = Path("/proc/self/status").read_text()
        (line,) = [k for k in status.splitlines() if k.startswith(f"{name}:")]
    except (OSError, ValueError):
        return None
    return int(line.split()[1]) * 1024


def memory_of(call: Callable[[], Any]) -> tuple[int, int | None]:
    """The most bytes that Python allocated at once in a call, and those the process grew by."""
    tracemalloc.start()
    call()
    _, traced = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    except OSError:
        return traced, None
    before = resident("VmRSS")
    call()
    peak = resident("VmHWM")
    return traced, None if before is None or peak is None else max(0, peak - before)


def bits(number: float) -> str:
    return np.float64(number).view(np.uint64).item().to_bytes(8, "big").hex()


def address(a: Array) -> int:
    return int(a.__array_interface__["data"][0])


def times_for(seconds: float, way: Way, a: Array) -> int:
    """How often to sum over for a call of so many seconds, or more where others use the CPU."""
    times = 1
    while True:
        begin = time.thread_time()
        way.sum(a, times)
        took = time.thread_time() - begin
        if took > seconds / 20:
            return max(1, round(times * seconds / took))
        times *= 2


def size(number: int | None) -> str:
    return "not told here" if number is None else f"{number / 1e6:.2f} MB"


def yes(condition: bool) -> str:
    return "yes" if condition else "NO"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", metavar="FOLDER", type=Path, default=BUILD)
    parser.add_argument("--plot", metavar="FILE", help="draw the threads' timelines, as .png")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a call (default 0.3)")
    parser.add_argument(
        "--megabytes", type=int, default=64, help="of the array that is not copied (default 64)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of which the least counts")
    arguments = parser.parse_args()
    if arguments.plot is not None:
        from picture import check

        check(arguments.plot)
    ways, last_visit = load(arguments.build)
    about = f"{os.cpu_count()} CPUs, whose load was {os.getloadavg()[0]:.1f} before"
    rng = np.random.default_rng(0)
    large = rng.standard_normal(arguments.megabytes * 125_000)
    small = [rng.standard_normal(100_000) for _ in range(2)]  # in cache: memory is not the limit
    times = times_for(arguments.seconds, ways[1], small[0])

    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        print("This Python runs without a GIL: PyDLL has none to hold.\n")
    expected = parallel_sum(large)
    print(f"{about}: what others use of them, two threads cannot.")
    print(f"parallel_sum of {large.nbytes / 1e6:g} MB: {expected!r}, bits {bits(expected)}\n")

    drawn: list[tuple[Way, Timeline, int, float]] = []
    for way in ways:
        print(f"{way.name} ({'releases' if way.releases else 'holds'} the GIL)")
        result = way.sum(large)
        seen = last_visit().data
        print(f"  result               {result!r}, bits {bits(result)}")
        print(f"  same bits            {yes(bits(result) == bits(expected))}")
        print(f"  C read at            {seen:#x}, the array's data: {yes(seen == address(large))}")
        traced, grown = memory_of(lambda way=way: way.sum(large))
        print(f"  copied               {size(traced)} by Python, the process grew {size(grown)}")

        iterations, took = counted(lambda way=way: way.sum(small[0], times), last_visit)
        print(f"  a thread counted     {iterations:,} during {took * 1e3:.0f} ms of reading in C")
        out = np.zeros_like(small[0])
        before = address(out)
        written, took = counted(
            lambda way=way, out=out: way.scale(out, small[0], FACTOR, times), last_visit
        )
        right = np.array_equal(out, FACTOR * small[0]) and last_visit().out == before
        print(f"  and                  {written:,} during {took * 1e3:.0f} ms of writing in C")
        print(f"  out has the numbers  {yes(right)}, at {before:#x}")

        serial = min(one_after_the_other(way, small, times) for _ in range(arguments.rounds))
        parallel = min(in_two_threads(way, small, times) for _ in range(arguments.rounds))
        print(
            f"  two calls            {serial * 1e3:.0f} ms one after the other, "
            f"{parallel * 1e3:.0f} ms in two threads"
        )
        lines = [timeline(way, small, times, last_visit) for _ in range(arguments.rounds)]
        quickest = min(lines, key=lambda k: k.end - k.begin)
        print(f"  both in C            {quickest.together:.0%} of the time of two threads\n")
        drawn.append((way, quickest, iterations, serial / parallel))

    numbers = large.tolist()
    traced, grown = memory_of(lambda: ways[0].sum(numbers))
    print(
        "For comparison, a list, which only the extension takes, is copied: references and numbers"
    )
    print(f"  copied               {size(traced)} by Python, the process grew {size(grown)}")
    if arguments.plot is not None:
        from picture import draw

        draw(arguments.plot, drawn, about)
        print(f"\ndrawn: {arguments.plot}")


if __name__ == "__main__":
    main()
