"""Prints how fast parsum's reductions are, beside NumPy's and the rate of reading memory.

    python benchmarks/family.py [--quick] [--only PATTERN] [--json FILE] ...

Arrays are of 256 MB (two operands, or an array and its weights, together; float16 has less, as
NumPy takes seconds for it). Sizes are in binary units, rates in 10**9 bytes a second. A bound that
is missed is reported, never an error: times are the machine's as much as the library's.

np.dot and np.norm are BLAS's, on as many threads as it likes; to compare with two of them on a
machine of more CPUs, set OPENBLAS_NUM_THREADS=2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from contestants import Contestant, into_room, on_array, on_pair, readers
from data import (
    half_zeros,
    near_one,
    normal,
    ones,
    shaped,
    two_vectors,
    with_nan,
    with_weights,
    zeros,
)
from harness import Bound, Row
from program import Run, command_line

import parsum

Make = Callable[[str, int], np.ndarray]


def min_and_max(a: np.ndarray, **options: Any) -> tuple[Any, Any]:
    return np.min(a, **options), np.max(a, **options)


@dataclass(frozen=True)
class Function:
    """A function of NumPy's, parsum's beside it, and data on which both have all the work to do.

    `prepare` turns a function and fixed options into a contestant.
    """

    numpy: Callable[..., Any]
    parsum: str
    data: Make = normal
    prepare: Callable[..., Contestant] = on_array
    fixed: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def label(self) -> str:
        return f"np.{self.name or self.numpy.__name__}"

    @property
    def ours(self) -> Callable[..., Any] | None:
        return getattr(parsum, f"parallel_{self.parsum}", None)


FUNCTIONS = {
    "sum": Function(np.sum, "sum"),
    "min": Function(np.min, "min"),
    "max": Function(np.max, "max"),
    "minmax": Function(min_and_max, "minmax", name="min, np.max"),
    "argmin": Function(np.argmin, "argmin"),
    "argmax": Function(np.argmax, "argmax"),
    "any": Function(np.any, "any", zeros),
    "all": Function(np.all, "all", ones),
    "count_nonzero": Function(np.count_nonzero, "count_nonzero", half_zeros),
    "mean": Function(np.mean, "mean"),
    "var": Function(np.var, "var"),
    "std": Function(np.std, "std"),
    "prod": Function(np.prod, "prod", near_one),
    "norm 1": Function(np.linalg.norm, "norm", fixed={"ord": 1}),
    "norm 2": Function(np.linalg.norm, "norm"),
    "norm inf": Function(np.linalg.norm, "norm", fixed={"ord": np.inf}),
    "norm 0": Function(np.linalg.norm, "norm", half_zeros, fixed={"ord": 0}),
    "norm 3": Function(np.linalg.norm, "norm", fixed={"ord": 3}),
    "nansum": Function(np.nansum, "nansum", with_nan),
    "nanprod": Function(np.nanprod, "nanprod", near_one),
    "nanmin": Function(np.nanmin, "nanmin", with_nan),
    "nanmax": Function(np.nanmax, "nanmax", with_nan),
    "nanargmin": Function(np.nanargmin, "nanargmin", with_nan),
    "nanargmax": Function(np.nanargmax, "nanargmax", with_nan),
    "nanmean": Function(np.nanmean, "nanmean", with_nan),
    "nanvar": Function(np.nanvar, "nanvar", with_nan),
    "nanstd": Function(np.nanstd, "nanstd", with_nan),
    "dot": Function(np.dot, "dot", two_vectors, on_pair),
    "vdot": Function(np.vdot, "vdot", two_vectors, on_pair),
    "vecdot": Function(np.vecdot, "vecdot", two_vectors, on_pair),
    "weighted_mean": Function(
        np.average, "weighted_mean", with_weights, partial(on_pair, second="weights")
    ),
    "cumsum": Function(np.cumsum, "cumsum", normal, into_room),
    "cumprod": Function(np.cumprod, "cumprod", near_one, into_room),
}

ONE, TWO = "parsum 1", "parsum 2"


def contestants(
    function: Function, workers: Iterable[int] = (1, 2), **more: Contestant
) -> dict[str, Contestant]:
    """NumPy's function, the reads of memory, and parsum's with so many workers."""
    ours = function.ours
    assert ours is not None
    return {
        function.label: function.prepare(function.numpy, **function.fixed),
        **more,
        **{name: readers()[0][name] for k in workers if (name := f"read {k}") in readers()[0]},
        **{f"parsum {k}": function.prepare(ours, workers=k, **function.fixed) for k in workers},
    }


def times(factor: float, against: str) -> Bound:
    """One worker is to be so many times as fast, or as fast as memory allows."""
    return Bound(ONE, factor, against, ceiling="read 1")


# ---- rows ----


def had(names: Iterable[str]) -> Iterator[tuple[str, Function]]:
    """Those of the functions that parsum has."""
    for name in names:
        if FUNCTIONS[name].ours is not None:
            yield name, FUNCTIONS[name]


def read_rows(big: int) -> Iterator[Row]:
    """What does so little work that memory sets the pace."""
    names = (
        *("min", "max", "minmax", "argmin", "argmax", "any", "all", "count_nonzero", "mean"),
        *("norm 1", "norm inf", "nansum", "nanmin", "nanmax"),
    )
    says = {zeros: ", all 0", ones: ", all 1", half_zeros: ", half 0", with_nan: ", 5% NaN"}
    for dtype in ("float64", "float32"):
        for name, function in had(names):
            for make in (normal, with_nan) if name.startswith("nan") else (function.data,):
                what = ", no NaN" if name.startswith("nan") else ""
                yield Row(
                    "read",
                    f"{name} {dtype}{says.get(make, what)}",
                    partial(make, dtype, big),
                    contestants(function),
                    (Bound(TWO, 0.9, "read 2"), Bound(ONE, 1.0, function.label)),
                )


def square_rows(big: int) -> Iterator[Row]:
    """Exact sums of products, held against np.var on the same memory."""
    for dtype in ("float64", "float32"):
        for name, function in had(("var", "std", "norm 2", "dot")):
            also = (Bound(TWO, 0.7, "np.dot"),) if name == "dot" else ()
            yield Row(
                "square",
                f"{name} {dtype}",
                partial(function.data, dtype, big),
                contestants(function, **{"np.var": on_array(np.var)}),
                (times(5, "np.var"), *also),
            )


def nan_rows(big: int) -> Iterator[Row]:
    for dtype in ("float64", "float32"):
        for make, what in ((normal, "no NaN"), (with_nan, "5% NaN")):
            for name, function in had(("nanmean", "nanvar", "nanstd")):
                yield Row(
                    "nan",
                    f"{name} {dtype}, {what}",
                    partial(make, dtype, big),
                    contestants(function),
                    (times(5, function.label),),
                    effort=0.5,
                )


def half_rows(big: int) -> Iterator[Row]:
    """All functions, those of the same data one after the other."""
    made = [function.data for function in FUNCTIONS.values()]
    for name, function in had(sorted(FUNCTIONS, key=lambda name: made.index(FUNCTIONS[name].data))):
        yield Row(
            "float16",
            f"{name} float16",
            partial(function.data, "float16", big // 4),
            contestants(function),
            (times(10, function.label),),
            effort=0.2,
        )


def complex_rows(big: int) -> Iterator[Row]:
    for dtype in ("complex128", "complex64"):
        for name, function in had(("min", "max", "minmax")):
            yield Row(
                "complex",
                f"{name} {dtype}",
                partial(normal, dtype, big),
                contestants(function),
                (times(3, function.label),),
            )


def describe_rows(big: int) -> Iterator[Row]:
    describe, var = getattr(parsum, "parallel_describe", None), FUNCTIONS["var"].ours
    if describe is None or var is None:
        return
    for dtype in ("float64", "float32"):
        yield Row(
            "describe",
            f"describe {dtype}",
            partial(normal, dtype, big),
            {
                **{f"var {k}": on_array(var, workers=k) for k in (1, 2)},
                **readers()[0],
                **{f"parsum {k}": on_array(describe, workers=k) for k in (1, 2)},
            },
            tuple(Bound(f"parsum {k}", 1 / 1.3, f"var {k}") for k in (1, 2)),
        )


def scan_rows(big: int) -> Iterator[Row]:
    for name, function in had(("cumsum", "cumprod")):
        label = function.label
        ways = [(method, k) for method in ("exact", "fast") for k in (1, 2)]
        bounds = (Bound("fast 2", 1.5, label), Bound("exact 2", 0.5, label))
        for dtype in ("float64", "float32"):
            yield Row(
                "scan",
                f"{name} {dtype}",
                partial(function.data, dtype, big),
                {
                    label: into_room(function.numpy),
                    **readers()[0],
                    **{
                        f"{method} {k}": into_room(function.ours, workers=k, method=method)
                        for method, k in ways
                    },
                },
                bounds if name == "cumsum" else (),
            )


class Layout(NamedTuple):
    """A shape, an order in memory, and the axis to reduce."""

    shape: tuple[int, ...]
    order: Literal["C", "F"]
    axis: int

    @property
    def slow(self) -> bool:
        """Whether neighbours along the axis are not neighbours in memory."""
        return self.axis != (len(self.shape) - 1 if self.order == "C" else 0)

    def __str__(self) -> str:
        shape = ", ".join("N" if n == -1 else str(n) for n in self.shape)
        return f"({shape}) {self.order} axis={self.axis}"


C_SHAPES = ((-1, 2), (2, -1), (-1, 3), (-1, 100), (-1, 8192), (-1, 256, 512))
F_SHAPES = ((-1, 2), (-1, 100), (-1, 8192), (-1, 256, 512))
IN_C_ORDER = [Layout(shape, "C", axis) for shape in C_SHAPES for axis in range(len(shape))]
IN_F_ORDER = [Layout(shape, "F", axis) for shape in F_SHAPES for axis in range(len(shape))]


def axis_rows(big: int) -> Iterator[Row]:
    names = (
        *("sum", "max", "argmax", "mean", "var"),  # all of normal numbers, which are kept
        *("any", "count_nonzero", "prod", "nansum", "nanmax"),
    )
    for dtype in ("float64", "float32"):
        layouts = IN_C_ORDER + (IN_F_ORDER if dtype == "float64" else [])
        for name, function in had(names):
            for layout in layouts:
                slow = name == "argmax" and layout.slow
                yield Row(
                    "axis",
                    f"{name} {dtype} {layout}",
                    partial(_laid_out, function.data, dtype, big, layout),
                    contestants(function, workers=(1,)),
                    (times(3, "np.argmax") if slow else Bound(ONE, 1.0, function.label),),
                    {"axis": layout.axis},
                    effort=0.2,
                )


def _laid_out(make: Make, dtype: str, nbytes: int, layout: Layout) -> np.ndarray:
    return shaped(make(dtype, nbytes), layout.shape, layout.order)


def small_rows(big: int) -> Iterator[Row]:
    """One element, by as many workers as pay."""
    for dtype in ("float64", "float32", "int64"):
        for name, function in had(FUNCTIONS):
            two = function.data in (two_vectors, with_weights)
            make = two_vectors if two else ones
            yield Row(
                "small",
                f"{name} {dtype}, 1 element",
                partial(make, dtype, (1 + two) * np.dtype(dtype).itemsize),
                {
                    function.label: function.prepare(function.numpy, **function.fixed),
                    "parsum": function.prepare(function.ours, **function.fixed),
                },
                (Bound("parsum", 1.0, function.label),),
                effort=0.1,
            )


GROUPS = {
    "read": "At the speed of memory",
    "square": "Exact sums of products",
    "nan": "Without NaN, where NumPy makes copies",
    "float16": "float16, a quarter of the bytes",
    "complex": "Complex numbers in NumPy's order",
    "describe": "All statistics in one pass",
    "scan": "Cumulative, the result put into an array that is there",
    "axis": "Along an axis, one worker (N fills the bytes)",
    "small": "One element",
}
MAKERS = (
    *(read_rows, square_rows, nan_rows, half_rows, complex_rows, describe_rows, scan_rows),
    *(axis_rows, small_rows),
)


def main() -> None:
    run = Run(command_line(__doc__))
    chosen = run.choose(row for make in MAKERS for row in make(run.big))
    names = {f"parallel_{function.parsum}" for function in FUNCTIONS.values()}
    lacking = sorted(name for name in names | {"parallel_describe"} if not hasattr(parsum, name))
    absent = dict.fromkeys(lacking, "parsum does not have it")
    run.introduce(("numpy", "cffi"), absent | readers()[1])
    run.time(chosen, GROUPS)
    run.conclude()


if __name__ == "__main__":
    main()
