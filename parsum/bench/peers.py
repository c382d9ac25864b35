"""Other libraries that reduce arrays, each used in its fastest documented way for a flat array.

Where a library has a choice, it is told how many threads to use. None is given a copy that it does
not make itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from parsum.bench.contestants import Array, Call, Contestant

#: Neal advises small accumulators below so many numbers: they are made sooner.
_FEW = 1000


def _refuse_bits(a: Array) -> None:
    """Refuse an array that would be made bits of, an eighth of the bytes, before any is timed."""
    if a.dtype.kind == "b":
        raise TypeError("keeps bits, not NumPy's bytes, which would be converted first")


def _import_numba(most: int) -> Any:
    # Its pool is as large as the CPUs unless it is told so before it is imported.
    os.environ.setdefault("NUMBA_NUM_THREADS", str(max(most, os.cpu_count() or 1)))
    return import_module("numba")


def _numba(operation: str, most: int) -> list[Contestant]:
    bodies = {
        "sum": ("x.dtype.type(0)", "total += x[i]", "total"),
        "mean": ("x.dtype.type(0)", "total += x[i]", "total / x.size"),
        "prod": ("x.dtype.type(1)", "total *= x[i]", "total"),
        "max": ("x[0]", "total = max(total, x[i])", "total"),
        "min": ("x[0]", "total = min(total, x[i])", "total"),
    }
    if operation not in bodies:
        return []
    numba = _import_numba(most)
    start, step, result = bodies[operation]
    text = (
        "def reduce(x):\n"
        f"    total = {start}\n"
        "    for i in numba.prange(x.size):\n"
        f"        {step}\n"
        f"    return {result}\n"
    )
    room: dict[str, Any] = {"numba": numba}
    exec(text, room)
    # Only fastmath lets LLVM use vectors for a floating sum.
    function = numba.njit(parallel=True, fastmath=True)(room["reduce"])
    threads = tuple(range(1, numba.config.NUMBA_NUM_THREADS + 1))
    return [
        Contestant("numba", lambda a, _: partial(function, a), threads, numba.set_num_threads, 0.02)
    ]


def _numexpr(operation: str, most: int) -> list[Contestant]:
    if operation not in ("sum", "prod", "max", "min"):
        return []
    os.environ.setdefault("NUMEXPR_MAX_THREADS", str(max(most, os.cpu_count() or 1)))
    numexpr = import_module("numexpr")

    def prepare(a: Array, threads: int) -> Call:
        return partial(numexpr.evaluate, f"{operation}(a)", {"a": a})

    return [Contestant("numexpr", prepare, choose=numexpr.set_num_threads)]


def nan_name(operation: str) -> str:
    """Return the name of an operation in a library whose functions all leave NaN out.

    In arrays that have none, they give what others do.
    """
    return operation if operation.startswith("nan") else f"nan{operation}"


def _bottleneck(operation: str, _: int) -> list[Contestant]:
    name = nan_name(operation)
    bottleneck = import_module("bottleneck")
    function = getattr(bottleneck, name, None)
    if function is None:
        return []
    return [Contestant(f"bottleneck {name}", lambda a, _: partial(function, a), (1,))]


def _numbagg(operation: str, most: int) -> list[Contestant]:
    name = nan_name(operation)
    _import_numba(most)
    numbagg = import_module("numbagg")
    function = getattr(numbagg, name, None)
    if function is None:
        return []
    keywords = {"ddof": 0} if name in ("nanvar", "nanstd") else {}
    # It has threads for what lies beside an axis alone, and one axis is all there is.
    return [Contestant(f"numbagg {name}", lambda a, _: partial(function, a, **keywords), (1,))]


def _torch(operation: str, _: int) -> list[Contestant]:
    torch = import_module("torch")
    function = getattr(torch, operation, None)
    if function is None:
        return []
    keywords = {"correction": 0} if operation in ("var", "std") else {}

    def prepare(a: Array, threads: int) -> Call:
        return partial(function, torch.from_numpy(a), **keywords)

    return [Contestant("torch", prepare, choose=torch.set_num_threads, settle=0.02)]


def _polars(operation: str, most: int) -> list[Contestant]:
    names = {"prod": "product", "argmax": "arg_max", "argmin": "arg_min"}
    keywords = {"ddof": 0} if operation in ("var", "std") else {}
    # Said once for the process, before it is imported.
    os.environ.setdefault("POLARS_MAX_THREADS", str(most))
    polars = import_module("polars")
    method = getattr(polars.Expr, names.get(operation, operation), None)
    if method is None:
        return []

    def prepare(a: Array, threads: int) -> Call:
        _refuse_bits(a)
        frame = polars.Series("a", a).to_frame()
        return lambda: frame.select(method(polars.col("a"), **keywords)).item()

    return [Contestant("polars", prepare, (most,), settle=0.01)]


def _pyarrow(operation: str, _: int) -> list[Contestant]:
    names = {"prod": "product", "var": "variance", "std": "stddev"}
    if operation not in ("sum", "mean", "max", "min", "any", "all", *names):
        return []
    pyarrow = import_module("pyarrow")
    function = getattr(import_module("pyarrow.compute"), names.get(operation, operation))

    def prepare(a: Array, threads: int) -> Call:
        _refuse_bits(a)
        column = pyarrow.array(a)
        return lambda: function(column).as_py()

    return [Contestant("pyarrow", prepare, choose=pyarrow.set_cpu_count)]


def duckdb_call(connection: Any, table: Any, expression: str) -> Call:
    """Return the call that has DuckDB compute an expression of a table's column ``a``."""
    # A cursor has a name space of its own, which goes with it: nothing keeps the table.
    cursor = connection.cursor()
    cursor.register("t", table)
    return lambda: cursor.execute(f"SELECT {expression} FROM t").fetchone()[0]


def _duckdb(operation: str, _: int) -> list[Contestant]:
    expressions = {
        "all": "bool_and(a::BOOLEAN)",
        "any": "bool_or(a::BOOLEAN)",
        "count_nonzero": "count_if(a::BOOLEAN)",
        "max": "max(a)",
        "mean": "avg(a)",
        "min": "min(a)",
        "prod": "product(a)",
        "std": "stddev_pop(a)",
        "sum": "sum(a)",
        "var": "var_pop(a)",
    }
    duckdb = import_module("duckdb")
    if operation not in expressions:
        return []
    connection = duckdb.connect()

    def table(a: Array) -> Any:
        try:
            # Half precision it reads as NumPy's alone, and Arrow's bool are bits.
            if a.dtype.char not in "e?":
                return import_module("pyarrow").table({"a": a})
        except ImportError:
            pass
        return {"a": a}

    def ask(expression: str) -> Callable[[Array, int], Call]:
        return lambda a, _: duckdb_call(connection, table(a), expression)

    def choose(threads: int) -> None:
        connection.execute(f"SET threads={threads}")

    made = [Contestant("duckdb", ask(expressions[operation]), choose=choose)]
    if operation == "sum":  # by Kahan's compensated summation
        made.append(Contestant("duckdb fsum", ask("fsum(a)"), choose=choose))
    return made


def _numkong(operation: str, _: int) -> list[Contestant]:
    numkong = import_module("numkong")
    if operation not in ("sum", "max", "min", "argmax", "argmin"):
        return []
    function = getattr(numkong, operation)
    # The threads that its other functions take are not for reductions.
    return [Contestant("numkong", lambda a, _: partial(function, a), (1,))]


def _fsum(operation: str, _: int) -> list[Contestant]:
    if operation != "sum":
        return []
    function = import_module("math").fsum
    # A memoryview makes Python's floats, an array NumPy's, which takes longer.
    return [Contestant("math.fsum", lambda a, _: partial(function, a.data), (1,))]


def _xsum(operation: str, _: int) -> list[Contestant]:
    xsum = import_module("xsum")
    if operation != "sum":
        return []

    def prepare(a: Array, threads: int) -> Call:
        start = xsum.xsum_small if a.size < _FEW else xsum.xsum_large

        def call() -> Any:
            total = start()
            total.add(a)
            return total.round()

        return call

    return [Contestant("xsum", prepare, (1,))]


def _bitrep(operation: str, _: int) -> list[Contestant]:
    bitrep = import_module("bitrep")
    if operation != "sum":
        return []

    def prepare(a: Array, threads: int) -> Call:
        view = a.data  # of an array itself it takes NumPy's scalars, twice as slowly

        def call() -> Any:
            total = bitrep.FastSumF64()
            total.extend(view)
            return total.finish().value()

        return call

    return [Contestant("bitrep", prepare, (1,))]


#: By the name of the package, but for ``fsum``, which is Python's own.
PEERS: dict[str, Callable[[str, int], list[Contestant]]] = {
    "numba": _numba,
    "numexpr": _numexpr,
    "bottleneck": _bottleneck,
    "numbagg": _numbagg,
    "torch": _torch,
    "polars": _polars,
    "pyarrow": _pyarrow,
    "duckdb": _duckdb,
    "numkong": _numkong,
    "fsum": _fsum,
    "xsum": _xsum,
    "bitrep": _bitrep,
}
