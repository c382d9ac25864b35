"""Prints how fast users' own kernels, expressions, several reductions and accumulators are.

    python benchmarks/toolkit.py [--quick] [--only PATTERN] [--json FILE] ...

Kernels of C text are measured against the built-in reductions that do the same work, expressions
against NumPy and numexpr (left out if it is not installed) on two arrays of 256 MB, accumulators
that are given 1 MB at a time against one call over all. The first use of a kernel, which compiles
it, is not timed. A bound that is missed is reported, never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from contestants import Call, Contestant, on_array, on_pair, readers
from data import normal, shaped, two_arrays, two_vectors
from harness import Bound, Row
from program import Run, command_line

import parsum
from parsum import Accumulator, Reduction, parallel_reduce

CHUNK = 2**20


def numexpr_or_none() -> tuple[Any, dict[str, str]]:
    try:
        import numexpr
    except ImportError as error:
        return None, {"numexpr": str(error)}
    return numexpr, {}


# ---- kernels of C text ----

#: By name: the fields of the state, identity, accumulate, combine and finish.
KERNELS = {
    "sum": ("double", "", "s->value += x;", "s->value += o->value;"),
    "sum of magnitudes": ("double", "", "s->value += fabs(x);", "s->value += o->value;"),
    "max": (
        "T",
        "s->value = -INFINITY;",
        "if (x > s->value) s->value = x;",
        "if (o->value > s->value) s->value = o->value;",
    ),
    "count of positives": ("int64_t", "", "s->value += x > 0;", "s->value += o->value;"),
}

#: The built-in that does the same, or hardly less.
BUILT_IN: dict[str, Callable[..., Any]] = {
    "sum": partial(parsum.parallel_sum, method="fast"),
    "sum of magnitudes": partial(parsum.parallel_norm, ord=1, method="fast"),
    "max": parsum.parallel_max,
    "count of positives": parsum.parallel_count_nonzero,
}

NUMPYS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "sum of magnitudes": lambda a, **axis: np.sum(np.abs(a), **axis),
    "max": np.max,
    "count of positives": lambda a, **axis: np.count_nonzero(a > 0, **axis),
}

DTYPES = ("float64", "float32")


def kernel(name: str, **options: Any) -> Reduction:
    field, identity, accumulate, combine = KERNELS[name]
    return Reduction.from_c(
        state={"value": field},
        identity=identity,
        accumulate=accumulate,
        combine=combine,
        finish="*r = s->value;",
        dtypes=DTYPES,
        result="float64",
        name=name,
        **options,
    )


#: Of tables whose columns or rows are reduced: the length of the other axis.
ALONG = ((2, 0), (8, 0), (100, 0), (4096, 0), (2, 1), (8, 1), (100, 1), (4096, 1))


def own_axis_rows(big: int) -> Iterator[Row]:
    """Counts and extremes, in whatever order; sums, in the tree of a single run."""
    for name in ("sum", "max", "count of positives"):
        own = kernel(name, ordered=name == "sum")
        for length, axis in ALONG:
            yield Row(
                "own along an axis",
                f"{name} float64 (N, {length}) axis={axis}",
                partial(table, (-1, length), big // 4),
                {
                    "np.": on_array(NUMPYS[name], axis=axis),
                    "built-in": on_array(BUILT_IN[name], workers=1, axis=axis),
                    "from_c": on_array(parallel_reduce, reduction=own, workers=1, axis=axis),
                },
                (Bound("from_c", 0.9, "built-in"),),
            )


def own_rows(big: int) -> Iterator[Row]:
    for name in KERNELS:
        own = kernel(name)
        for dtype in DTYPES:
            for workers in (1, 2):
                yield Row(
                    "own",
                    f"{name} {dtype}, {workers} worker{'s'[: workers - 1]}",
                    partial(normal, dtype, big),
                    {
                        "np.": on_array(NUMPYS[name]),
                        "built-in": on_array(BUILT_IN[name], workers=workers),
                        "from_c": on_array(parallel_reduce, reduction=own, workers=workers),
                    },
                    (Bound("from_c", 0.9, "built-in"),),
                )


# ---- expressions ----

EXPRESSIONS: dict[str, tuple[str, str, Callable[[Any, Any], Any]]] = {
    "sum abs(x - y)**2": ("abs(x - y)**2", "sum", lambda x, y: np.sum(np.abs(x - y) ** 2)),
    "max abs(x - y)": ("abs(x - y)", "max", lambda x, y: np.max(np.abs(x - y))),
    "sum where(x > y, x, y)": (
        "where(x > y, x, y)", "sum", lambda x, y: np.sum(np.where(x > y, x, y)),
    ),
}  # fmt: skip


def fused(text: str, reduction: str, **options: Any) -> Contestant:
    return lambda a: partial(parallel_reduce, text, reduction, x=a[0], y=a[1], **options)


def by_numexpr(numexpr: Any, text: str, reduction: str, threads: int) -> Contestant:
    def prepare(a: np.ndarray) -> Call:
        names = {"x": a[0], "y": a[1]}

        def call() -> Any:
            numexpr.set_num_threads(threads)
            return numexpr.evaluate(f"{reduction}({text})", names)

        return call

    return prepare


def both_rows(read: Contestant) -> Contestant:
    """One row is read after the other."""

    def prepare(a: np.ndarray) -> Call:
        calls = [read(row) for row in a]
        return lambda: [call() for call in calls]

    return prepare


def expression_rows(big: int) -> Iterator[Row]:
    numexpr, _ = numexpr_or_none()
    for name, (text, reduction, numpys) in EXPRESSIONS.items():
        for workers in (1, 2):
            contestants = {"np.": on_pair(numpys)}
            if numexpr is not None:
                contestants["numexpr"] = by_numexpr(numexpr, text, reduction, workers)
            contestants["parsum"] = fused(text, reduction, workers=workers)
            contestants |= {
                name: both_rows(read)
                for name, read in readers()[0].items()
                if name.endswith(str(workers))
            }
            yield Row(
                "expression",
                f"{name}, {workers} worker{'s'[: workers - 1]}",
                partial(two_arrays, "float64", 2 * big),
                contestants,
                (Bound("parsum", 3.0, "np."), Bound("parsum", 1.5, "numexpr")),
            )


def expression_axis_rows(big: int) -> Iterator[Row]:
    """Tables of numbers and weights for each of their columns, and two tables."""

    def make(length: int) -> np.ndarray:
        return shaped(two_arrays("float64", big // 2).ravel(), (2, -1, length))

    def numpys(axis: int) -> Contestant:
        return on_pair(lambda x, y: np.sum((x - y) ** 2, axis=axis))

    for length, axis in ALONG:
        yield Row(
            "expression along an axis",
            f"sum (x - y)**2 (N, {length}) axis={axis}",
            partial(make, length),
            {
                "np.": numpys(axis),
                "parsum": fused("(x - y)**2", "sum", axis=axis, workers=1),
            },
            (Bound("parsum", 1.0, "np."),),
        )


# ---- several at once ----

SEVERAL = (("min", "max", "sum"), ("mean", "var"), ("sum", "count_nonzero"))


def one_by_one(a: np.ndarray, names: tuple[str, ...], **options: Any) -> list[Any]:
    return [parallel_reduce(a, name, **options) for name in names]


def table(shape: tuple[int, ...], nbytes: int) -> np.ndarray:
    return shaped(normal("float64", nbytes), shape)


def several_rows(big: int) -> Iterator[Row]:
    for names in SEVERAL:
        for shape, axis in (((-1, 1), None), ((-1, 4096), 1)):
            options = {"workers": 1} if axis is None else {"workers": 1, "axis": axis}
            yield Row(
                "several",
                f"{', '.join(names)} {'all' if axis is None else f'(N, 4096) axis={axis}'}",
                partial(table, shape, big),
                {
                    "one by one": on_array(one_by_one, names=names, **options),
                    "at once": on_array(parallel_reduce, reduction=names, **options),
                },
                (Bound("at once", 1.0, "one by one"),),
            )


# ---- accumulators ----

ACCUMULATED = {
    "sum": {}, "mean": {}, "max": {}, "var": {}, "describe": {}, "argmin": {},
    "sum, fast": {"method": "fast"},
}  # fmt: skip


def in_chunks(a: np.ndarray, name: str, two: bool = False, **options: Any) -> Any:
    acc = Accumulator(name, **options)
    n = CHUNK // a.itemsize
    if two:
        for k in range(0, a.shape[1], n):
            acc.update(a[0, k : k + n], a[1, k : k + n])
    else:
        for k in range(0, a.size, n):
            acc.update(a[k : k + n])
    return acc.result()


def accumulator_rows(big: int) -> Iterator[Row]:
    for label, options in ACCUMULATED.items():
        name = label.split(",")[0]
        yield Row(
            "accumulator",
            f"{label} float64, 1 MB chunks",
            partial(normal, "float64", big),
            {
                "one call": on_array(parallel_reduce, reduction=name, workers=1, **options),
                "chunks": on_array(in_chunks, name=name, **options),
            },
            (Bound("chunks", 0.9, "one call"),),
        )
    yield Row(
        "accumulator",
        "dot float64, 1 MB chunks",
        partial(two_vectors, "float64", big),
        {
            "one call": on_pair(parsum.parallel_dot, workers=1),
            "chunks": on_array(in_chunks, name="dot", two=True),
        },
        (Bound("chunks", 0.9, "one call"),),
    )


GROUPS = {
    "own": "Kernels of C text, beside the built-in ones",
    "own along an axis": "Kernels of C text along an axis, one worker, 64 MB",
    "expression": "Expressions over two arrays of 256 MB",
    "expression along an axis": "Expressions over two tables of 64 MB, one worker",
    "several": "Several reductions at once, one worker",
    "accumulator": "Accumulators, one worker",
}
MAKERS = (
    own_rows, own_axis_rows, expression_rows, expression_axis_rows, several_rows, accumulator_rows,
)  # fmt: skip


def main() -> None:
    run = Run(command_line(__doc__))
    chosen = run.choose(row for make in MAKERS for row in make(run.big))
    run.introduce(("numpy", "cffi", "numexpr"), numexpr_or_none()[1] | readers()[1])
    run.time(chosen, GROUPS)
    run.conclude()


if __name__ == "__main__":
    main()
