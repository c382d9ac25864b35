"""Compares parsum with NumPy and all other libraries that are installed, side by side.

    python benchmarks/compare.py [--quick] [--only PATTERN] [--json FILE] ...
    python benchmarks/report.py FILE

Contestants take turns on the same data in one process, or in two processes that start together.
Those that are not installed, that do not give what NumPy gives, or that would take too long for a
call are left out by name. Errors are in units in the last place of the exact sum, rounded. A bound
that is missed is reported, never an error.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from functools import cache, lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import distinct
import family
import numpy as np
from beside import PLAIN, Hogs, Twin
from contestants import into_room, on_array
from data import normal, shaped, with_nan
from harness import Bound, Call, Contestant, Entrants, Row, Way
from program import Run, command_line
from sum import huge_and_tiny, mostly_zero, random_bits, spread

import parsum
from parsum.bench.contestants import EXACT, FAST, READ, data_for, read_repeats
from parsum.bench.contestants import OPERATIONS as NUMPYS
from parsum.bench.entries import ulps
from parsum.bench.field import Field, Pair, field_for, pairs_of
from parsum.bench.machine import free_memory, size_text
from parsum.bench.peers import PEERS, nan_name
from parsum.engine import available_cpus

CPUS = available_cpus()
ONE_AND_ALL = tuple(sorted({1, CPUS}))

SIZES = (8, 80, 1000, 10_000, 100_000, 10**6, 4 * 10**6, 10**7, 10**8, 10**9)
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
#: No peer has nanprod.
OPERATIONS = (*(name for name in NUMPYS if name != "nanprod"), "dot", "norm 2", "cumsum")
#: Hard data takes the exact ones of the others long: bytes at most.
HARD = 2**26
#: Elements of each array whose exact sum is checked by fractions.
CHECKED = 2000
#: Bytes of the arrays of which different results are counted.
COUNTED = 8 * 10**6

# ---- who takes part ----


@cache
def field(operation: str, dtype: str) -> Field:
    return field_for(operation, np.dtype(dtype), CPUS, True)


def bare_name(name: str) -> str:
    """Return a contestant's name without that of the function."""
    known = {EXACT: "parsum", FAST: "fast", READ: "read"}
    if name in known:
        return known[name]
    if name.startswith("threads, "):
        return "threads"
    return name.split()[0] if name.startswith(("bottleneck", "numbagg")) else name


def way(pair: Pair) -> tuple[str, Way]:
    """Return a contestant and its number of threads as harness has it, and its name."""
    one, n = pair
    name = bare_name(one.name)
    alone = one.threads is not None and len(one.threads) == 1

    def prepare(a: np.ndarray, **_: Any) -> Call:
        return one.prepare(a, n, *([read_repeats(a.nbytes)] if one.repeats else []))

    return name if alone and n == 1 else f"{name} {n}", Way(
        prepare,
        before=None if one.choose is None else partial(one.choose, n),
        settle=one.settle if n > 1 else 0.0,
        times=read_repeats if one.repeats else lambda _: 1,
        threads=n,
        name=name,
        library=one.library,
    )


def entrants(operation: str, dtype: str, numbers: tuple[int, ...] = ONE_AND_ALL) -> Entrants:
    there = field(operation, dtype)
    return Entrants(dict(map(way, pairs_of(there, numbers))), there.left_out)


def reads(numbers: tuple[int, ...] = ONE_AND_ALL) -> dict[str, Way]:
    pairs = pairs_of(field("sum", "float64"), numbers)
    return {label: one for label, one in map(way, pairs) if one.name == "read"}


# ---- errors of sums ----


def check_exact(a: np.ndarray) -> None:
    """Hold parsum's sum of a part of the array against that of fractions, which is exact too."""
    part = a[:: max(1, a.size // CHECKED)][:CHECKED]
    ours = parsum.parallel_sum(part)
    exact = sum(map(Fraction, part.tolist()), Fraction())
    if abs(Fraction(float(ours)) - exact) > Fraction(float(np.spacing(abs(ours)))) / 2:
        raise ArithmeticError(f"parallel_sum must give {float(exact)}, got {ours}")


def errors(a: np.ndarray, calls: Mapping[str, Call]) -> dict[str, float]:
    """Return how far each contestant's sum is from the exact one."""
    if a.dtype.kind != "f":
        return {}
    check_exact(a)
    exact = parsum.parallel_sum(a)
    return {who: ulps(call(), exact) for who, call in calls.items() if not who.startswith("read")}


ULPS = {"ulps": errors}

# ---- data ----


@lru_cache(maxsize=1)
def cancelling(nbytes: int) -> np.ndarray:
    """Normal numbers and their negatives, in no order, and one number far smaller."""
    a = normal("float64", nbytes).copy()
    half = a.size // 2
    a[half : 2 * half] = -a[:half]
    np.random.default_rng(6).shuffle(a)
    a[a.size // 2] += 1e-9
    return a


@lru_cache(maxsize=1)
def ill_conditioned(nbytes: int) -> np.ndarray:
    """float32 numbers of magnitudes from 2**-30 to 2**30, each beside its negative, almost."""
    rng = np.random.default_rng(8)
    a = np.ldexp(normal("float32", nbytes), rng.integers(-30, 31, nbytes // 4, np.int32))
    half = a.size // 2
    a[half : 2 * half] = -a[:half] * np.float32(1 + 2**-20)
    rng.shuffle(a)
    return a


def for_operation(name: str, nbytes: int) -> np.ndarray:
    if name in family.FUNCTIONS and name not in NUMPYS:
        return family.FUNCTIONS[name].data("float64", nbytes)
    if name.startswith("nan"):
        return with_nan("float64", nbytes)
    return data_for(name, "float64", nbytes)


# ---- rows ----


def size_rows(sizes: Iterable[int]) -> Iterator[Row]:
    for nbytes in sizes:
        yield Row(
            "sizes",
            size_text(nbytes),
            partial(normal, "float64", nbytes),
            partial(entrants, "sum", "float64"),
            effort=2 if nbytes > 10**6 else 0.5,
            columns=ULPS,
        )


def dtype_rows(big: int) -> Iterator[Row]:
    for dtype in DTYPES:
        make = partial(normal, dtype, big)
        yield Row("dtypes", dtype, make, partial(entrants, "sum", dtype), columns=ULPS)


def operation_rows(big: int) -> Iterator[Row]:
    for name in OPERATIONS:
        who = MORE.get(name) or partial(entrants, name, "float64")
        yield Row("operations", name, partial(for_operation, name, big), who, effort=0.7)


def on_tensors(function: str, **fixed: Any) -> Contestant:
    """A function of torch's, which has its own names for NumPy's keywords."""

    def prepare(a: np.ndarray, axis: int | None = None) -> Call:
        torch = import_module("torch")
        own = torch
        for part in function.split("."):
            own = getattr(own, part)
        tensors = [torch.from_numpy(part) for part in ([*a] if function == "dot" else [a])]
        return partial(own, *tensors, **fixed, **({} if axis is None else {"dim": axis}))

    return prepare


def torches(prepare: Contestant, numbers: Iterable[int] = ONE_AND_ALL) -> dict[str, Way]:
    choose = import_module("torch").set_num_threads
    return {
        f"torch {n}": Way(prepare, partial(choose, n), 0.02 if n > 1 else 0.0, threads=n,
                          name="torch", library="torch")
        for n in numbers
    }  # fmt: skip


def single(name: str, prepare: Contestant) -> dict[str, Way]:
    import_module(name)
    return {name: Way(prepare, name=name, library=name)}


def gather(numpys: Mapping[str, Way], *makers: Callable[[], Mapping[str, Way]]) -> Entrants:
    """Put those together whose packages are there."""
    ways = {**numpys}
    for make in makers:
        try:
            ways |= make()
        except ImportError:  # which the introduction tells
            continue
    return Entrants(ways)


def ours(name: str, numbers: Iterable[int] = ONE_AND_ALL) -> dict[str, Way]:
    """NumPy's function, the read limits and parsum's, of those that have another signature."""
    function = family.FUNCTIONS[name]
    assert function.ours is not None
    numpy = function.prepare(function.numpy, **function.fixed)
    # BLAS's threads go on spinning; for NumPy's other functions nobody needs to wait.
    settle = 0.05 if name in ("dot", "norm 2") else 0.0
    return {
        function.label: Way(numpy, settle=settle, name=function.label),
        **reads(),
        **{
            f"parsum {n}": Way(
                function.prepare(function.ours, workers=n, **function.fixed), threads=n,
                name="parsum",
            )
            for n in numbers
        },
    }  # fmt: skip


def xsums(method: str) -> Contestant:
    """Return what prepares the sum of products, or the root of that of squares, by xsum."""

    def prepare(a: np.ndarray) -> Call:
        xsum = import_module("xsum")

        def call() -> Any:
            total = xsum.xsum_large()
            if method == "dot":
                total.add_dot(a[0], a[1])
                return total.round()
            total.add_sqnorm(a)
            return math.sqrt(total.round())

        return call

    return prepare


def dots() -> Entrants:
    return gather(
        ours("dot"),
        lambda: torches(on_tensors("dot")),
        lambda: single("numkong", lambda a: partial(import_module("numkong").dot, a[0], a[1])),
        lambda: single("xsum", xsums("dot")),
    )


def norms() -> Entrants:
    return gather(
        ours("norm 2"),
        lambda: torches(on_tensors("linalg.vector_norm")),
        lambda: single("numkong", lambda a: partial(import_module("numkong").norm, a)),
        lambda: single("xsum", xsums("norm")),
    )


def cumsums() -> Entrants:
    def torch(a: np.ndarray) -> Call:
        torch = import_module("torch")
        room = into_room(np.cumsum)(a).keywords["out"]
        return partial(torch.cumsum, torch.from_numpy(a), 0, out=torch.from_numpy(room))

    def polars(a: np.ndarray) -> Call:
        polars = import_module("polars")
        frame = polars.Series("a", a).to_frame()
        return lambda: frame.select(polars.col("a").cum_sum())

    def pyarrow(a: np.ndarray) -> Call:
        column = import_module("pyarrow").array(a)
        return partial(import_module("pyarrow.compute").cumulative_sum, column)

    return gather(
        ours("cumsum"),
        lambda: torches(torch),
        lambda: single("polars", polars),
        lambda: single("pyarrow", pyarrow),
    )


MORE: dict[str, Callable[[], Entrants]] = {"dot": dots, "norm 2": norms, "cumsum": cumsums}


def axis_entrants(name: str) -> Entrants:
    def module(library: str, function: str, **fixed: Any) -> Callable[[], dict[str, Way]]:
        def make() -> dict[str, Way]:
            own = getattr(import_module(library), function)
            return single(library, on_array(own, **fixed))

        return make

    def numbagg() -> dict[str, Way]:
        choose = import_module("numba").set_num_threads
        own = getattr(import_module("numbagg"), nan_name(name))
        prepare = on_array(own, **({"ddof": 0} if name == "var" else {}))
        return {
            f"numbagg {n}": Way(prepare, partial(choose, n), 0.02 if n > 1 else 0.0, threads=n,
                                name="numbagg", library="numbagg")
            for n in ONE_AND_ALL
        }  # fmt: skip

    correction = {"correction": 0} if name == "var" else {}
    return gather(
        {**ours(name), f"np.{name}": Way(on_array(getattr(np, name)), name=f"np.{name}")},
        lambda: torches(on_tensors("amax" if name == "max" else name, **correction)),
        module("bottleneck", nan_name(name)),
        numbagg,
        *([module("numkong", name)] if name != "var" else []),
    )


def axis_rows(big: int) -> Iterator[Row]:
    for name in ("sum", "max", "var"):
        for shape in ((-1, 8), (8, -1), (-1, 1000)):
            for axis in (0, 1):
                text = ", ".join("N" if n == -1 else str(n) for n in shape)
                yield Row(
                    "axes",
                    f"{name} ({text}) axis={axis}",
                    lambda shape=shape: shaped(normal("float64", big), shape),
                    partial(axis_entrants, name),
                    options={"axis": axis},
                    effort=0.7,
                )


def worker_rows(big: int) -> Iterator[Row]:
    """Numbers of threads up to the CPUs, and beyond them up to 4."""
    doubled = (1 << k for k in range(CPUS.bit_length()))
    numbers = tuple(sorted({1, 2, 3, 4, *doubled, CPUS}))
    make = partial(normal, "float64", big)
    who = partial(entrants, "sum", "float64", numbers)
    yield Row("workers", "float64", make, who, effort=2, columns=ULPS)


def hard_rows(big: int) -> Iterator[Row]:
    nbytes = min(HARD, big)
    data: dict[str, Callable[[], np.ndarray]] = {
        "normal": partial(normal, "float64", nbytes),
        "exponents over 600 bits": lru_cache(1)(partial(spread, nbytes)),
        "1e200 and 1e-200 in turn": partial(huge_and_tiny, nbytes),
        "random bits": partial(random_bits, "float64", nbytes),
        "90% zeros": partial(mostly_zero, nbytes),
        "cancelling": partial(cancelling, nbytes),
        "ill-conditioned float32": partial(ill_conditioned, nbytes),
    }
    for name, make in data.items():
        dtype = "float32" if name.endswith("float32") else "float64"
        yield Row("hard", name, make, partial(entrants, "sum", dtype), columns=ULPS)


def hog_rows(nbytes: int, hogs: Hogs) -> Iterator[Row]:
    """Each alone, beside a thread that wants the GIL, and beside a process that takes a CPU."""

    def who() -> Entrants:
        ways: dict[str, Way] = {}
        for label, one in entrants("sum", "float64").ways.items():
            assert isinstance(one, Way)
            if one.name not in HOGGED:
                continue
            for state in (Hogs.ALONE, Hogs.PROCESS, Hogs.THREAD):
                # Beside a hog a short call says nothing of a long one: nobody is left out for it.
                ways[f"{label}, {state}"] = replace(
                    one, before=partial(_both, one.before, partial(hogs.be, state)), library=""
                )
        return Entrants(ways)

    def bound(n: int, against: str) -> Bound:
        return Bound(f"parsum {n}, {Hogs.THREAD}", 0.8, f"parsum {n}, {against}")

    # The hog needs a CPU: all workers beside it can be held against nothing but another's burning.
    bounds = [bound(1, Hogs.ALONE if CPUS > 1 else Hogs.PROCESS)]
    bounds += [bound(CPUS, Hogs.PROCESS)] if CPUS > 1 else []
    make = partial(normal, "float64", nbytes)
    yield Row("hog", f"sum, {size_text(nbytes)}", make, who, tuple(bounds), effort=6)


HOGGED = ("np.sum", "threads", "parsum", "torch", "numba", "polars", "duckdb")


def _both(first: Callable[[], object] | None, second: Callable[[], object]) -> None:
    if first is not None:
        first()
    second()


def process_rows(big: int, twin: Callable[[], Twin]) -> Iterator[Row]:
    """One process, and two at once: what a second one adds."""

    def who() -> Entrants:
        pairs = [("np.sum", 1), *(("threads", n) for n in (CPUS,) if n > 1)]
        pairs += [("parsum", n) for n in ONE_AND_ALL]
        ways: dict[str, Way] = {}
        for name, n in pairs:
            label = name if name == "np.sum" else f"{name} {n}"

            def alone(a: np.ndarray, name: str = name, n: int = n) -> Call:
                return PLAIN[name]().prepare(a, n)

            def both(a: np.ndarray, name: str = name, n: int = n) -> Call:
                return twin().both(name, n, PLAIN[name]().prepare(a, n))

            ways[f"{label}, one"] = Way(alone, threads=n, name=name)
            ways[f"{label}, two"] = Way(both, times=lambda _: 2, threads=n, name=name)
        return Entrants(ways)

    make = partial(normal, "float64", big)
    yield Row("processes", f"sum, {size_text(big)} each", make, who, effort=2)


# ---- distinct results ----

COUNTED_ARRAYS = {
    "float64 normal": ("float64", "normal('float64', {})"),
    "float32 normal": ("float32", "normal('float32', {})"),
}


def count_results(run: Run, quick: bool) -> None:
    """Print how many different results each gives, and by how much they are off."""
    nbytes = COUNTED // 8 if quick else COUNTED
    for name, (dtype, text) in COUNTED_ARRAYS.items():
        if not run.wants(f"distinct/{name}"):
            continue
        a = normal(dtype, nbytes)
        check_exact(a)
        exact = parsum.parallel_sum(a)
        cut = distinct.chunkings(a)
        everyone = [one for one in field("sum", dtype).contestants if one.name != READ]
        by_threads = {}
        if any(one.name == "polars" for one in everyone):
            by_threads["polars"] = distinct.polars_by_threads(
                text.format(nbytes), distinct.THREADS[:2] if quick else distinct.THREADS
            )
        figures: dict[str, dict[str, float]] = {}
        pieces: dict[str, str] = {}
        for one in everyone:
            who = bare_name(one.name)
            try:
                figures[who], pieces[who] = distinct.tally(one, a, exact, cut, by_threads)
            except Exception as error:
                run.fail(f"distinct/{name}: {who}: {type(error).__name__}: {error}")
        if find_spec("dask") is not None:
            figures["np.sum, dask"] = distinct.dask_tally(a, exact, cut)
            pieces["np.sum, dask"] = "dask.array"
        print(f"\n{GROUPS['distinct']}: {name}, {size_text(nbytes)}")
        titles = ("threads", "chunkings", "together", "ulps")
        print(f"{'':20}" + "".join(f"{title:>11}" for title in titles) + "  chunks given as")
        for who, own in figures.items():
            cells = (f"{own[title]:.3g}" if title in own else "-" for title in titles)
            print(f"{who:20}" + "".join(f"{cell:>11}" for cell in cells) + f"  {pieces[who]}")
        run.tell("distinct", name, bytes=nbytes, figures=figures, pieces=pieces)


GROUPS = {
    "sizes": "Sizes, the sum of float64",
    "dtypes": "Dtypes, their sum",
    "operations": "Operations on float64 (nan...: 5% NaN)",
    "axes": "Along an axis of a C array of float64 (N fills the bytes)",
    "workers": "Threads, the sum of float64",
    "hard": "Hard data, its sum",
    "hog": "Alone, beside a pure Python loop in a thread of this process, beside one in another",
    "processes": "Two processes at once, GB/s of both together",
    "distinct": f"Different results over 1 to {distinct.THREADS[-1]} threads, over "
    f"{distinct.CHUNKINGS} chunkings, and the largest error",
}


def main() -> None:
    # Told before they are imported: there may be more threads than CPUs.
    most = str(max(CPUS, distinct.THREADS[-1]))
    os.environ.setdefault("NUMBA_NUM_THREADS", most)
    os.environ.setdefault("NUMEXPR_MAX_THREADS", most)
    run = Run(command_line(__doc__))
    quick = run.arguments.quick
    # There are so many contestants that other programs' arrays would not be quick.
    big = run.big // 16 if quick else run.big
    free = free_memory() or math.inf
    # Some contestants copy it, and the next array is made before this one goes.
    largest = big if quick or free < 4 * SIZES[-1] else SIZES[-1]
    small = {size for size in SIZES if size <= largest}
    with ExitStack() as stack:
        hogs = Hogs()
        twin = cache(lambda: stack.enter_context(Twin(big)))
        rows = [
            *size_rows(sorted(small)),
            *dtype_rows(big),
            *operation_rows(big),
            *axis_rows(big),
            *worker_rows(big),
            *hard_rows(big),
            *hog_rows(largest, hogs),
            *process_rows(big, twin),
        ]
        counted = tuple(f"distinct/{name}" for name in COUNTED_ARRAYS)
        chosen = run.choose(rows, *counted)
        absent = dict.fromkeys(field("sum", "float64").not_installed, "not installed")
        absent |= field("sum", "float64").left_out
        absent |= {
            f"sizes/{size_text(size)}": "quick" if quick else "memory is short"
            for size in SIZES
            if size not in small
        }
        run.introduce(("numpy", *PEERS, "dask"), absent)
        if any(row.group == "hog" for row in chosen):
            stack.enter_context(hogs)
        with np.errstate(all="ignore"):
            run.time(chosen, GROUPS)
            count_results(run, quick)
    run.conclude(absent=absent)


if __name__ == "__main__":
    main()
