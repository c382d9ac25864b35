"""The ways to sum an array that benchmarks compare: parsum, NumPy, other libraries, the read limit.

A contestant's name ends in the number of its threads where it has a choice. Each is a function of
an array and an axis that gives back the call to be timed.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from parsum import parallel_sum

Call = Callable[[], Any]
Contestant = Callable[[np.ndarray, Any], Call]

THREADS = 2

#: Seconds to wait after a call of these: their threads go on spinning for a while, on a CPU that
#: the next contestant would have to share.
SETTLE = {"torch 2": 0.02, "numba 2": 0.02, "polars 2": 0.01, "polars streaming 2": 0.01}

_pool = ThreadPoolExecutor(THREADS)


def shared(function: Callable[[np.ndarray], Any], a: np.ndarray, threads: int) -> list[Any]:
    """Call the function on equal slices of a flat array, the first one in this thread."""
    size = -(-a.size // threads)
    futures = [_pool.submit(function, a[k * size : (k + 1) * size]) for k in range(1, threads)]
    return [function(a[:size]), *(future.result() for future in futures)]


def numpy_sum(a: np.ndarray, axis: Any) -> Call:
    return partial(np.sum, a) if axis is None else partial(np.sum, a, axis=axis)


def parsum_sum(a: np.ndarray, axis: Any, **options: Any) -> Call:
    if axis is not None:
        options["axis"] = axis
    return partial(parallel_sum, a, **options)


def naive_sum(a: np.ndarray, axis: Any) -> Call:
    return lambda: sum(shared(np.sum, a, THREADS))


def read_limit() -> Callable[[int], Contestant]:
    """Compile the probe; it gives back the contestant that reads with so many threads."""
    from cffi import FFI
    from cffi.error import VerificationError

    ffi = FFI()
    ffi.cdef("uint64_t read_words(const void *data, size_t count);")
    source = Path(__file__).with_name("read_probe.c").read_text(encoding="utf-8")
    ffi.set_source("read_probe", source, extra_compile_args=["-O3"])
    with tempfile.TemporaryDirectory() as folder:
        try:
            spec = importlib.util.spec_from_file_location("read_probe", ffi.compile(tmpdir=folder))
        except VerificationError as error:
            raise ImportError(f"the probe cannot be compiled: {error}") from error
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

    def read(words: np.ndarray) -> int:
        return module.lib.read_words(module.ffi.from_buffer(words), words.size)

    def contestant(threads: int) -> Contestant:
        def prepare(a: np.ndarray, axis: Any) -> Call:
            words = a.reshape(-1).view(np.uint8)
            words = words[: words.size // 8 * 8].view(np.uint64)
            return lambda: shared(read, words, threads)

        return prepare

    return contestant


# ---- other libraries, each told to use THREADS threads ----


def torch_sum() -> dict[str, Contestant]:
    import torch

    torch.set_num_threads(THREADS)
    return {"torch 2": lambda a, axis: torch.from_numpy(a).sum}


def numba_sum() -> dict[str, Contestant]:
    import numba

    numba.set_num_threads(min(THREADS, numba.config.NUMBA_NUM_THREADS))

    # Only fastmath lets LLVM use vectors for a floating sum.
    @numba.njit(parallel=True, fastmath=True)
    def prange_sum(x):  # type: ignore[no-untyped-def]
        total = 0.0
        for i in numba.prange(x.size):
            total += x[i]
        return total

    return {"numba 2": lambda a, axis: partial(prange_sum, a)}


def polars_sum() -> dict[str, Contestant]:
    os.environ.setdefault("POLARS_MAX_THREADS", str(THREADS))
    import polars as pl

    def select(a: np.ndarray, axis: Any) -> Call:
        frame = pl.Series("a", a).to_frame()
        return lambda: frame.select(pl.col("a").sum())

    def stream(a: np.ndarray, axis: Any) -> Call:
        query = pl.Series("a", a).to_frame().lazy().select(pl.col("a").sum())
        return lambda: query.collect(engine="streaming")

    return {"polars 2": select, "polars streaming 2": stream}


PEERS = {"torch": torch_sum, "numba": numba_sum, "polars": polars_sum}


def contestants(peers: Iterable[str]) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Return the contestants by name, and why others are left out."""
    present: dict[str, Contestant] = {
        "np.sum": numpy_sum,
        "parsum": parsum_sum,
        "parsum 1": partial(parsum_sum, workers=1),
        "parsum 2": partial(parsum_sum, workers=2),
        "fast 1": partial(parsum_sum, workers=1, method="fast"),
        "fast 2": partial(parsum_sum, workers=2, method="fast"),
        "naive 2": naive_sum,
    }
    absent = {}
    try:
        read = read_limit()
        present |= {"read 1": read(1), "read 2": read(2)}
    except ImportError as error:
        absent["read limit"] = str(error)
    for name in peers:
        try:
            present |= PEERS[name]()
        except ImportError as error:
            absent[name] = str(error)
    return present, absent
