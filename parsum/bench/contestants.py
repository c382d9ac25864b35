"""What is timed: data, the read limit, NumPy's function, other libraries' and parsum's.

All are given the same flat array, and a number of threads if they have a choice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np
from cffi import FFI

from parsum import compiler
from parsum.api.named import FUNCTIONS

Array = np.ndarray[Any, Any]
Call = Callable[[], Any]

#: The functions of one array that NumPy has too.
OPERATIONS = tuple(name for name in FUNCTIONS if hasattr(np, name))

READ, EXACT, FAST = "read limit", "parsum exact", "parsum fast"
#: How the names of those begin that are nothing else with one thread.
THREADS = "threads, "

#: Those whose results are rounded otherwise by the method "fast".
_ROUNDED = {"sum", "mean", "var", "std", "nansum", "nanmean", "nanvar", "nanstd"}
#: How the results of slices make that of all, in Python.
_JOINS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "all": all,
    "any": any,
    "count_nonzero": sum,
    "max": max,
    "min": min,
    "nanmax": max,
    "nanmin": min,
    "nanprod": math.prod,
    "nansum": sum,
    "prod": math.prod,
    "sum": sum,
}


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to reduce an array.

    Attributes
    ----------
    name : str
        What tables call it.
    prepare : callable
        Gives the call to be timed for an array and a number of threads.
    threads : tuple of ints or None
        The only numbers of threads that it may have; None for any.
    choose : callable or None
        Tells the library how many threads to use from now on.
    settle : float
        Seconds to wait after it, while threads of its own go on spinning on a CPU that the next
        one would have to share.
    repeats : bool
        Whether ``prepare`` takes a third argument, how often the call is to do its work.
    """

    name: str
    prepare: Callable[..., Call]
    threads: tuple[int, ...] | None = None
    choose: Callable[[int], object] | None = None
    settle: float = 0.0
    repeats: bool = False


# ---- data ----

#: Random numbers are made so many at a time: Ctrl-C does not wait for more.
_PIECE = 1 << 20


def normal(dtype: str, nbytes: int) -> Array:
    """Normal numbers; of integers all values, or those of 40 bits; of bool half of them True."""
    rng = np.random.default_rng(1)
    kind = np.dtype(dtype)
    if kind.kind == "c":
        return normal(f"f{kind.itemsize // 2}", nbytes // kind.itemsize * kind.itemsize).view(kind)
    a: Array = np.empty(nbytes // kind.itemsize, kind)
    for begin in range(0, a.size, _PIECE):
        part = a[begin : begin + _PIECE]
        if kind.kind == "b":
            part[...] = rng.integers(0, 2, part.size, np.uint8)
        elif kind.kind in "iu":
            # Sums of larger ones would not fit, and all libraries would only wrap around.
            limit = min(int(np.iinfo(kind).max), 2**40)
            part[...] = rng.integers(-limit if kind.kind == "i" else 0, limit, part.size, kind)
        elif kind.char in "fd":
            rng.standard_normal(out=part, dtype=kind.type)
        else:
            part[...] = rng.standard_normal(part.size)
    return a


def data_for(operation: str, dtype: str, nbytes: int) -> Array:
    """Return numbers that the operation has to read all of, and that keep its result in range."""
    a = normal(dtype, nbytes)
    if operation == "any":
        a[...] = 0
    elif operation == "all":
        a[...] = 1
    elif operation in ("prod", "nanprod"):
        if a.dtype.kind in "biu":
            a[...] = 1
        else:  # once a product is 0 or inf, multiplying is another thing
            a *= a.dtype.type(1e-3)
            a += a.dtype.type(1)
    return a


# ---- threads ----


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def slices(a: Array, threads: int) -> list[Array]:
    """Cut a flat array into equal slices, at most one for each thread."""
    size = max(1, -(-a.size // threads))
    return [a[begin : begin + size] for begin in range(0, max(a.size, 1), size)]


def shared(function: Callable[[Any], Any], parts: list[Any]) -> list[Any]:
    """Call the function on each part in a thread of its own, on the first one in this thread."""
    if len(parts) == 1:
        return [function(parts[0])]
    pool = _pool(len(parts) - 1)
    futures = [pool.submit(function, part) for part in parts[1:]]
    return [function(parts[0]), *(future.result() for future in futures)]


# ---- the read limit ----

# 64-bit words are added, whatever they stand for: unlike a floating sum, compilers may reorder and
# vectorise that as it is, and NaNs or subnormals cannot slow it down. Fewer lanes would make every
# addition wait for the one before, which shows in the first two levels of the cache. Vectors of 64
# bytes read 8 % less from memory than those of 32.
_READ_WORDS = """\
#include <stddef.h>
#include <stdint.h>

enum { LANES = 32 };

#if (defined(__x86_64__) || defined(__i386__)) && !defined(__clang__)
__attribute__((target("prefer-vector-width=256")))
#endif
uint64_t read_words(const void *data, size_t count, size_t repeats)
{
    const uint64_t *words = data;
    uint64_t lanes[LANES] = {0}, sum = 0;
    for (size_t r = 0; r < repeats; r++) {
        size_t i = 0;
        for (; i + LANES <= count; i += LANES) {
            for (int k = 0; k < LANES; k++) {
                lanes[k] += words[i + k];
            }
        }
        for (; i < count; i++) {
            sum += words[i];
        }
        /* As far as the compiler knows, the words are others now: it has to read them again. */
        __asm__ volatile("" ::: "memory");
    }
    for (int k = 0; k < LANES; k++) {
        sum += lanes[k];
    }
    return sum;
}
"""


def read_limit() -> Callable[..., Call]:
    """Compile a plain loop over memory; return what prepares a call of it in so many threads.

    The call reads the array as often as a third argument says, by default once: many times, what
    it costs to call it and to wake up threads is no part of the limit.

    Raises
    ------
    parsum.CompileError
        If there is no C compiler.
    """
    ffi = FFI()
    (address,) = compiler.load(_READ_WORDS, ("read_words",), "the loop of the read limit")
    function = ffi.cast("uint64_t (*)(const void *, size_t, size_t)", address)

    def prepare(a: Array, threads: int, repeats: int = 1) -> Call:
        flat = a.ravel(order="K")
        assert np.shares_memory(flat, a) or not a.size
        words = flat.view(np.uint8)[: a.nbytes // 8 * 8].view(np.uint64)
        parts = [(ffi.from_buffer(part), part.size) for part in slices(words, threads)]

        def read(part: tuple[Any, int]) -> int:
            return int(function(*part, repeats))

        return lambda: sum(shared(read, parts)) % 2**64

    return prepare


# ---- parsum and NumPy ----


def _numpy(operation: str) -> Contestant:
    function = getattr(np, operation)
    return Contestant(f"np.{operation}", lambda a, _: partial(function, a), (1,))


def _threads_over_numpy(operation: str) -> Contestant:
    function, join = getattr(np, operation), _JOINS[operation]

    def prepare(a: Array, threads: int) -> Call:
        parts = slices(a, threads)
        return lambda: join(shared(function, parts))

    return Contestant(f"{THREADS}np.{operation}", prepare)


def _parsum(operation: str, name: str, method: str) -> Contestant:
    function = FUNCTIONS[operation]
    return Contestant(name, lambda a, n: partial(function, a, workers=n, method=method))


# ---- other libraries, each told to use as many threads ----


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
    # Its pool is as large as the CPUs unless it is told so before it is imported.
    os.environ.setdefault("NUMBA_NUM_THREADS", str(max(most, os.cpu_count() or 1)))
    numba = import_module("numba")
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


def _bottleneck(operation: str, _: int) -> list[Contestant]:
    # It leaves NaN out, of which there is none here; it has no functions that do not.
    name = operation if operation.startswith("nan") else f"nan{operation}"
    bottleneck = import_module("bottleneck")
    function = getattr(bottleneck, name, None)
    if function is None:
        return []
    return [Contestant(f"bottleneck {name}", lambda a, _: partial(function, a), (1,))]


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
        column = pyarrow.array(a)
        return lambda: function(column).as_py()

    return [Contestant("pyarrow", prepare, choose=pyarrow.set_cpu_count)]


PEERS: dict[str, Callable[[str, int], list[Contestant]]] = {
    "numba": _numba,
    "numexpr": _numexpr,
    "bottleneck": _bottleneck,
    "torch": _torch,
    "polars": _polars,
    "pyarrow": _pyarrow,
}


# ---- all of them ----


@dataclass(frozen=True, slots=True)
class Field:
    """Who takes part, which libraries are not installed, and why others are left out, by name."""

    contestants: list[Contestant]
    not_installed: list[str]
    left_out: Mapping[str, str]


def field_for(operation: str, dtype: np.dtype[Any], most: int, peers: bool) -> Field:
    """Return those who can reduce elements of the dtype to what NumPy makes of them."""
    ours = [_numpy(operation)]
    if operation in _JOINS:
        ours.append(_threads_over_numpy(operation))
    ours.append(_parsum(operation, EXACT, "exact"))
    if operation in _ROUNDED and dtype.kind in "fc":
        ours.append(_parsum(operation, FAST, "fast"))
    left_out: dict[str, str] = {}
    try:
        ours.insert(0, Contestant(READ, read_limit(), repeats=True))
    except compiler.CompileError as error:
        left_out[READ] = _first_line(error)
    not_installed, others = [], []
    for name, make in PEERS.items() if peers else ():
        try:
            made = make(operation, most)
        except ImportError:
            not_installed.append(name)
            continue
        except Exception as error:  # whatever an installation that is broken may raise
            left_out[name] = _first_line(error)
            continue
        if not made:
            left_out[name] = f"has no {operation}"
        others += [one for one in made if _takes_part(one, operation, dtype, most, left_out)]
    return Field(ours + others, not_installed, left_out)


def _takes_part(
    contestant: Contestant, operation: str, dtype: np.dtype[Any], most: int, why: dict[str, str]
) -> bool:
    """Tell whether a contestant gives what NumPy gives, but for rounding; if not, note why."""
    a = data_for(operation, dtype.str, 1000 * dtype.itemsize)
    expected = getattr(np, operation)(a)
    eps = float(np.finfo(dtype).eps) if dtype.kind in "fc" else 0.0
    room = eps * float(np.abs(a).sum(dtype=np.float64)) if eps else 0.0
    try:
        for threads in {min(contestant.threads or (1,)), max(contestant.threads or (most,))}:
            if contestant.choose is not None:
                contestant.choose(threads)
            result = np.asarray(contestant.prepare(a, threads)()).item()
            if not np.isclose(result, expected, rtol=eps**0.5, atol=room):
                why[contestant.name] = f"gives {result} where np.{operation} gives {expected}"
                return False
    except Exception as error:  # of a dtype that it does not have, in its own words
        why[contestant.name] = _first_line(error)
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
