"""What is known of a contestant once it is measured: a line of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parsum.bench.timing import DISTURBED, Timing


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the table: how fast a contestant is with so many threads, and how right.

    Attributes
    ----------
    contestant : str
        Its name.
    workers : int
        The threads that it may use.
    size : int
        Bytes of the array.
    timing : Timing
        Of one call.
    rate : float
        10**9 bytes a second, by the least time.
    of_numpy, of_read : float or None
        How many times as fast as NumPy, and as the read limit of at most as many threads.
    ulps : float or None
        How far the sum is from the exact one rounded, in units of its last place.
    results : int or None
        How many distinct results it gave over all numbers of threads that were tried.
    others : float or None
        How many CPUs other processes took while arrays of this size were measured.
    """

    contestant: str
    workers: int
    size: int
    timing: Timing
    rate: float
    of_numpy: float
    of_read: float | None
    ulps: float | None
    results: int | None
    others: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry as what JSON has."""
        return {
            "contestant": self.contestant,
            "workers": self.workers,
            "bytes": self.size,
            "seconds": self.timing.least,
            "median seconds": self.timing.median,
            "rounds": self.timing.rounds,
            "GB/s": self.rate,
            "ratio to NumPy": self.of_numpy,
            "ratio to read limit": self.of_read,
            "error in ulps": self.ulps,
            "distinct results": self.results,
            "cpus taken by others": self.others,
        }


def disturbance(entries: Sequence[Entry]) -> str:
    """Say how many CPUs other processes took at most; nothing if that was next to none."""
    most = max((entry.others or 0.0 for entry in entries), default=0.0)
    return f"other processes took {most:.1f} CPUs meanwhile" if most > DISTURBED else ""
