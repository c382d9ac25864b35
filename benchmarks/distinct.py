"""Counts how many different sums a contestant gives of one array: by threads, and by chunks.

Chunks are given as the library takes them: to an accumulator, as chunked columns; where it takes
none, what one writes is its function on each piece, and the results added up in order.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import parsum
from parsum.bench.contestants import EXACT, FAST, Contestant
from parsum.bench.entries import ulps
from parsum.bench.peers import duckdb_call

THREADS = range(1, 9)
CHUNKINGS = 20

Pieces = list[np.ndarray]


def chunkings(a: np.ndarray, number: int = CHUNKINGS) -> list[Pieces]:
    """Cut a flat array at so many different sets of random places."""
    rng = np.random.default_rng(7)
    most = min(100, a.size)
    return [
        np.split(a, np.sort(rng.choice(np.arange(1, a.size), rng.integers(1, most), False)))
        for _ in range(number)
    ]


# ---- chunks as a library takes them ----


def _accumulated(method: str) -> Callable[[Pieces], Any]:
    def call(pieces: Pieces) -> Any:
        total = parsum.Accumulator("sum", method=method)
        for piece in pieces:
            total.update(piece)
        return total.result()

    return call


def _fsum(pieces: Pieces) -> Any:
    return import_module("math").fsum(chain.from_iterable(piece.data for piece in pieces))


def _xsum(pieces: Pieces) -> Any:
    total = import_module("xsum").xsum_large()
    for piece in pieces:
        total.add(piece)
    return total.round()


def _bitrep(pieces: Pieces) -> Any:
    total = import_module("bitrep").FastSumF64()
    for piece in pieces:
        total.extend(piece.data)
    return total.finish().value()


def _arrow(pieces: Pieces) -> Any:
    return import_module("pyarrow").chunked_array(pieces)


def _pyarrow(pieces: Pieces) -> Any:
    return import_module("pyarrow.compute").sum(_arrow(pieces)).as_py()


def _polars(pieces: Pieces) -> Any:
    polars = import_module("polars")
    column = polars.concat([polars.Series("a", piece) for piece in pieces], rechunk=False)
    return column.to_frame().select(polars.col("a").sum()).item()


@cache
def _connection() -> Any:
    connection = import_module("duckdb").connect()
    connection.execute("SET threads=1")
    return connection


def _duckdb(expression: str) -> Callable[[Pieces], Any]:
    def call(pieces: Pieces) -> Any:
        table = import_module("pyarrow").table({"a": _arrow(pieces)})
        return duckdb_call(_connection(), table, expression)()

    return call


#: How each takes chunks, and what that is called.
TAKES: dict[str, tuple[str, Callable[[Pieces], Any]]] = {
    EXACT: ("Accumulator.update", _accumulated("exact")),
    FAST: ("Accumulator.update", _accumulated("fast")),
    "math.fsum": ("chained", _fsum),
    "xsum": ("xsum_large.add", _xsum),
    "bitrep": ("FastSumF64.extend", _bitrep),
    "pyarrow": ("chunked_array", _pyarrow),
    "polars": ("concat, rechunk=False", _polars),
    "duckdb": ("Arrow table in chunks", _duckdb("sum(a)")),
    "duckdb fsum": ("Arrow table in chunks", _duckdb("fsum(a)")),
}
IN_ORDER = "each piece, then + in order"


def _in_order(contestant: Contestant) -> Callable[[Pieces], Any]:
    def call(pieces: Pieces) -> Any:
        total: Any = None
        for piece in pieces:
            result = contestant.prepare(piece, 1)()
            total = result if total is None else total + result
        return total

    return call


# ---- counting ----


def polars_by_threads(make: str, threads: Iterable[int] = THREADS) -> list[float]:
    """Sum what `make`, an expression of data.py, gives, each time in a process of so many threads.

    Polars is told the number of its threads but once, before it is imported.
    """
    code = (
        "import sys, data, polars\n"
        f"frame = polars.Series('a', data.{make}).to_frame()\n"
        "print(float(frame.select(polars.col('a').sum()).item()).hex())\n"
    )
    here = Path(__file__).resolve().parent
    path = os.pathsep.join([str(here), str(here.parent), *(p for p in sys.path if p)])
    results = []
    for n in threads:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "POLARS_MAX_THREADS": str(n), "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        results.append(float.fromhex(done.stdout))
    return results


def count(results: Iterable[Any]) -> int:
    """Return how many of the results differ in a bit."""
    return len({float(result).hex() for result in results})


def tally(
    contestant: Contestant,
    a: np.ndarray,
    exact: Any,
    cut: list[Pieces],
    by_threads: Mapping[str, list[float]],
) -> tuple[dict[str, float], str]:
    """Count a contestant's results; return the figures, and how it was given the chunks.

    `by_threads` has the results of those whose number of threads cannot be chosen here.
    """
    several = by_threads.get(contestant.name)
    numbers = THREADS if contestant.threads is None else contestant.threads
    numbers = [n for n in THREADS if n in numbers]
    if several is None:
        several = []
        for n in numbers or (contestant.threads or (1,))[:1]:
            if contestant.choose is not None:
                contestant.choose(n)
            several.append(contestant.prepare(a, n)())
    # Whatever differs now is not because of other numbers of threads.
    if contestant.choose is not None:
        contestant.choose(1)
    how, call = TAKES.get(contestant.name, (IN_ORDER, _in_order(contestant)))
    parts = [call(pieces) for pieces in cut]
    figures: dict[str, float] = {
        "chunkings": count(parts),
        "together": count([*several, *parts]),
        "ulps": max(ulps(result, exact) for result in [*several, *parts]),
    }
    if len(several) > 1:
        figures["threads"] = count(several)
    return figures, how


def dask_tally(a: np.ndarray, exact: Any, cut: list[Pieces]) -> dict[str, float]:
    """Count what NumPy's sum gives under Dask, of arrays in those chunks."""
    dask = import_module("dask.array")
    parts = [
        dask.from_array(a, chunks=(tuple(map(len, pieces)),)).sum().compute() for pieces in cut
    ]
    return {
        "chunkings": count(parts),
        "together": count(parts),
        "ulps": max(ulps(result, exact) for result in parts),
    }
