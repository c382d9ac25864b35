"""What benchmarks time: NumPy's functions, parsum's, those of other libraries, the read limit.

A contestant is a function of an array, and of options such as its axis, that gives back the call to
be timed. Its name ends in the number of its threads where it has a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np

from parsum import CompileError, parallel_sum
from parsum.bench import contestants as bench
from parsum.bench.peers import PEERS as MAKERS

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


@cache
def readers() -> tuple[dict[str, Contestant], dict[str, str]]:
    """Return the plain reads by name, or why they are left out."""
    try:
        prepare = bench.read_limit()
    except CompileError as error:
        return {}, {"read limit": str(error)}
    return {f"read {n}": lambda a, n=n, **options: prepare(a, n) for n in (1, 2)}, {}


# ---- sums by other libraries, each told to use THREADS threads ----


def peer(name: str) -> dict[str, Contestant]:
    found: dict[str, Contestant] = {}
    for one in MAKERS[name]("sum", THREADS):
        if one.choose is not None:
            one.choose(THREADS)
        found[f"{one.name} {THREADS}"] = lambda a, one=one: one.prepare(a, THREADS)
    return found


def polars_sum() -> dict[str, Contestant]:
    found = peer("polars")  # first: it tells the library how many threads to have
    import polars as pl

    def stream(a: np.ndarray) -> Call:
        query = pl.Series("a", a).to_frame().lazy().select(pl.col("a").sum())
        return lambda: query.collect(engine="streaming")

    return {**found, "polars streaming 2": stream}


PEERS = {"torch": partial(peer, "torch"), "numba": partial(peer, "numba"), "polars": polars_sum}


def naive_sum(a: np.ndarray) -> Call:
    parts = bench.slices(a, THREADS)
    return lambda: sum(bench.shared(np.sum, parts))


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
