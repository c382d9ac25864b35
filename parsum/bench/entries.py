"""What is known of a contestant once it is measured: a line of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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


def ulps(answer: Any, exact: Any) -> float:
    """Return how far a sum is from the exact one, rounded, in units in that one's last place.

    A sum of more digits than the exact one has is rounded first: it is not to lose by them.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum.bench.entries import ulps
    >>> ulps(1 - 2.0**-52, np.float64(1)), ulps(1.00001, np.float16(1)), ulps(np.inf, np.float32(1))
    (1.0, 0.0, inf)
    """
    given = np.asarray(answer).astype(exact.dtype)[()]
    if given == exact or (np.isnan(given) and np.isnan(exact)):
        return 0.0
    if not (np.isfinite(given) and np.isfinite(exact)):
        return float("inf")
    return float(abs(np.float64(given) - np.float64(exact)) / np.spacing(abs(exact)))
