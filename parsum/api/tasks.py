"""Work that Python cuts into tasks, for the engine: whoever is free takes the next one."""

from __future__ import annotations

import threading
import time

from parsum.reduction import AGAIN, DONE

CANCELLED = 2


class Tasks:
    """Tasks by number, done in several threads at once; those that do them release the GIL.

    What is derived from it does a task by ``take`` and makes results by ``finish``.
    """

    settles = False

    def __init__(self, count: int, total: int) -> None:
        #: How many there are.
        self.count = count
        self._lock = threading.Lock()
        self._next = 0
        self._done = 0
        self._cancelled = False
        #: Bytes to take in, in all.
        self.total = total

    def take(self, worker: int, number: int) -> int:
        """Do a task and return how many bytes it took in."""
        raise NotImplementedError

    def work(self, worker: int, nanoseconds: int) -> int:
        """Do tasks until none is left, the work is cancelled or the time is over."""
        end = time.monotonic_ns() + nanoseconds
        while True:
            with self._lock:
                number = self._next
                if number >= self.count:
                    return DONE
                self._next += 1
            try:
                done = self.take(worker, number)
            except BaseException:
                self._cancelled = True
                raise
            with self._lock:
                self._done += done
            if self._cancelled:
                return CANCELLED
            if time.monotonic_ns() > end:
                return AGAIN

    def cancel(self) -> None:
        """Make every worker stop after its task."""
        self._cancelled = True

    def finish(self) -> int:
        """Make the results once all tasks are done; return flags."""
        raise NotImplementedError

    def bytes_done(self) -> int:
        """Return how many bytes were taken in so far."""
        return self._done
