"""What runs beside a contestant: a Python thread that hogs the GIL, a busy process, its like.

All of them wait, and take no CPU time, until they are told to go.
"""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

from contestants import Call
from data import normal

from parsum.bench.contestants import Contestant, numpys, parsums, threads_over_numpy

#: Seconds after which a hog that is told to go, or to wait, does.
_PAUSE = 0.01

#: What can be run in both processes, by name; the names of those that have threads, bare.
PLAIN: dict[str, Callable[[], Contestant]] = {
    "np.sum": lambda: numpys("sum"),
    "threads": lambda: threads_over_numpy("sum"),
    "parsum": lambda: parsums("sum", "parsum", "exact"),
}


class Hogs:
    """A thread in a pure Python loop, and a process in one, of which at most one goes."""

    ALONE, THREAD, PROCESS = "alone", "+ thread", "+ process"

    def __init__(self) -> None:
        self._state = self.ALONE
        self._going = threading.Event()
        self._go = self._end = False
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        self._process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        self._process.send_signal(signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None and self._thread is not None
        self._process.kill()
        self._process.wait()
        self._end, self._go = True, False
        self._going.set()
        self._thread.join()

    def _loop(self) -> None:
        i = 0
        while not self._end:
            self._going.wait()
            while self._go:
                i += 1

    def be(self, state: str) -> None:
        """Have this one go from now on, and the other wait."""
        assert self._process is not None
        if state == self._state:
            return
        self._state = state
        self._process.send_signal(signal.SIGCONT if state == self.PROCESS else signal.SIGSTOP)
        self._go = state == self.THREAD
        if self._go:
            self._going.set()
        else:
            self._going.clear()
        time.sleep(_PAUSE)


class Twin:
    """Another process, which does the same as this one at the same time, on an array of its own."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._process: Any = None
        self._pipe: Any = None

    def __enter__(self) -> Self:
        # Not forked: this process has threads.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._nbytes), daemon=True)
        self._process.start()
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def both(self, name: str, threads: int, own: Call) -> Call:
        """Return the call that does it here and there, and ends when both have."""
        key = (name, threads)
        self._pipe.send(("prepare", key))
        self._pipe.recv()

        def call() -> Any:
            self._pipe.send(("go", key))
            result = own()
            return result, self._pipe.recv()

        return call


def _serve(pipe: Connection, nbytes: int) -> None:
    a = normal("float64", nbytes)
    calls: dict[tuple[str, int], Call] = {}
    while True:
        try:
            what, key = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        if what == "prepare":
            name, threads = key
            calls[key] = PLAIN[name]().prepare(a, threads)
            pipe.send(calls[key]())
        else:
            pipe.send(calls[key]())
