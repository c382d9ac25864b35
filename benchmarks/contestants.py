"""What benchmarks time: NumPy's functions, parsum's, those of other libraries, the read limit.

A contestant is a function of an array, and of options such as its axis, that gives back the call to
be timed. Its name ends in the number of its threads where it has a choice.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from parsum import parallel_sum

Call = Callable[[], Any]
Contestant = Callable[..., Call]

THREADS = 2

#: Seconds to wait after a call of these: their threads go on spinning for a while, on a CPU that
#: the next contestant would have to share. (Of NumPy's functions, those that are BLAS's.)
SETTLE = {
    "torch 2": 0.02,
    "numba 2": 0.02,
    "polars 2": 0.01,
    "polars streaming 2": 0.01,
    **dict.fromkeys(("np.dot", "np.vdot", "np.vecdot", "np.norm"), 0.05),
}

_pool = ThreadPoolExecutor(THREADS)


def shared(function: Callable[[np.ndarray], Any], a: np.ndarray, threads: int) -> list[Any]:
    """Call the function on equal slices of a flat array, the first one in this thread."""
    size = -(-a.size // threads)
    futures = [_pool.submit(function, a[k * size : (k + 1) * size]) for k in range(1, threads)]
    return [function(a[:size]), *(future.result() for future in futures)]


def on_array(function: Callable[..., Any], **fixed: Any) -> Contestant:
    """The function called on the array."""
    return lambda a, **options: partial(function, a, **fixed, **options)


def on_pair(function: Callable[..., Any], second: str = "", **fixed: Any) -> Contestant:
    """The function called on the array's two rows, the second by the name of its parameter."""
    if second:
        return lambda a, **options: partial(function, a[0], **{second: a[1]}, **fixed, **options)
    return lambda a, **options: partial(function, a[0], a[1], **fixed, **options)


def into_room(function: Callable[..., Any], **fixed: Any) -> Contestant:
    """The function called on the array, its result put where those of others were."""
    return lambda a, **options: partial(
        function, a, out=_room(a.shape, a.dtype), **fixed, **options
    )


@lru_cache(maxsize=1)
def _room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    return np.empty(shape, dtype)


# ---- the read limit ----


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
        def prepare(a: np.ndarray, **options: Any) -> Call:
            flat = a.ravel(order="K")
            assert np.shares_memory(flat, a)
            words = flat.view(np.uint8)[: a.nbytes // 8 * 8].view(np.uint64)
            return lambda: shared(read, words, threads)

        return prepare

    return contestant


@cache
def readers() -> tuple[dict[str, Contestant], dict[str, str]]:
    """Return the plain reads by name, or why they are left out."""
    try:
        read = read_limit()
    except ImportError as error:
        return {}, {"read limit": str(error)}
    return {"read 1": read(1), "read 2": read(2)}, {}


# ---- sums by other libraries, each told to use THREADS threads ----


def torch_sum() -> dict[str, Contestant]:
    import torch

    torch.set_num_threads(THREADS)
    return {"torch 2": lambda a: torch.from_numpy(a).sum}


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

    return {"numba 2": on_array(prange_sum)}


def polars_sum() -> dict[str, Contestant]:
    os.environ.setdefault("POLARS_MAX_THREADS", str(THREADS))
    import polars as pl

    def select(a: np.ndarray) -> Call:
        frame = pl.Series("a", a).to_frame()
        return lambda: frame.select(pl.col("a").sum())

    def stream(a: np.ndarray) -> Call:
        query = pl.Series("a", a).to_frame().lazy().select(pl.col("a").sum())
        return lambda: query.collect(engine="streaming")

    return {"polars 2": select, "polars streaming 2": stream}


PEERS = {"torch": torch_sum, "numba": numba_sum, "polars": polars_sum}


def naive_sum(a: np.ndarray) -> Call:
    return lambda: sum(shared(np.sum, a, THREADS))


def sums(peers: Iterable[str]) -> tuple[Mapping[str, Contestant], dict[str, str]]:
    """Return the ways to sum an array by name, and why others are left out."""
    reads, missing = readers()
    absent = dict(missing)
    present: dict[str, Contestant] = {
        "np.sum": on_array(np.sum),
        "parsum": on_array(parallel_sum),
        "parsum 1": on_array(parallel_sum, workers=1),
        "parsum 2": on_array(parallel_sum, workers=2),
        "fast 1": on_array(parallel_sum, workers=1, method="fast"),
        "fast 2": on_array(parallel_sum, workers=2, method="fast"),
        "naive 2": naive_sum,
        **reads,
    }
    for name in peers:
        try:
            present |= PEERS[name]()
        except ImportError as error:
            absent[name] = str(error)
    return present, absent
