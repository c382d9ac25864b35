"""What is timed: data, the read limit, NumPy's function and parsum's; peers have their own module.

All are given the same flat array, and a number of threads if they have a choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
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
#: What the read limit reads in a call: a smaller array many times, but not more often than that.
_READ_BYTES, _READ_REPEATS = 100_000_000, 1_000_000
#: How the names of those begin that are nothing else with one thread.
THREADS = "threads, "

#: Those whose results are rounded otherwise by the method "fast".
ROUNDED = {"sum", "mean", "var", "std", "nansum", "nanmean", "nanvar", "nanstd"}
#: How the results of slices make that of all, in Python.
JOINS: dict[str, Callable[[Iterable[Any]], Any]] = {
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
    library : str
        The peer that it is of; nothing for NumPy, parsum and the read limit.
    """

    name: str
    prepare: Callable[..., Call]
    threads: tuple[int, ...] | None = None
    choose: Callable[[int], object] | None = None
    settle: float = 0.0
    repeats: bool = False
    library: str = ""


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


def read_repeats(nbytes: int) -> int:
    """Return how often the read limit is to read an array of so many bytes in a call."""
    return min(max(1, _READ_BYTES // max(nbytes, 1)), _READ_REPEATS)


# ---- parsum and NumPy ----


def numpys(operation: str) -> Contestant:
    """NumPy's own function."""
    function = getattr(np, operation)
    return Contestant(f"np.{operation}", lambda a, _: partial(function, a), (1,))


def threads_over_numpy(operation: str) -> Contestant:
    """NumPy's function on a slice for each thread, joined: what one writes first."""
    function, join = getattr(np, operation), JOINS[operation]

    def prepare(a: Array, threads: int) -> Call:
        parts = slices(a, threads)
        return lambda: join(shared(function, parts))

    return Contestant(f"{THREADS}np.{operation}", prepare)


def parsums(operation: str, name: str, method: str) -> Contestant:
    """Ours, by a method."""
    function = FUNCTIONS[operation]
    return Contestant(name, lambda a, n: partial(function, a, workers=n, method=method))
