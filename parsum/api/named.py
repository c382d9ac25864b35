"""The family by name: how a reduction that is asked for by its name is run and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from parsum.api import average, describe, logic, moments, order, products, sums
from parsum.api.arguments import Array, DType
from parsum.api.call import Operation, native

_Rule = Callable[[DType], DType]


@dataclass(frozen=True, slots=True)
class Named:
    """A reduction of the family, for elements of one dtype and its own arguments.

    Attributes
    ----------
    operation : Operation
        What its rows are, for the general way of calling it.
    result : dtype
        That of its values.
    skip_nan : bool
        Whether elements that are NaN are taken out before they reach its kernels.
    parameter : float
        Of its states.
    values : int
        How many values it has, side by side along a last axis if there are several.
    build : callable or None
        What makes of these values what the public function returns.
    """

    operation: Operation
    result: DType
    skip_nan: bool = False
    parameter: float = 0.0
    values: int = 1
    build: Callable[[Array], Any] | None = None


#: The public functions of one array, by name.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "all": logic.parallel_all,
    "any": logic.parallel_any,
    "argmax": order.parallel_argmax,
    "argmin": order.parallel_argmin,
    "count_nonzero": logic.parallel_count_nonzero,
    "describe": describe.parallel_describe,
    "max": order.parallel_max,
    "mean": moments.parallel_mean,
    "min": order.parallel_min,
    "minmax": order.parallel_minmax,
    "nanargmax": order.parallel_nanargmax,
    "nanargmin": order.parallel_nanargmin,
    "nanmax": order.parallel_nanmax,
    "nanmean": moments.parallel_nanmean,
    "nanmin": order.parallel_nanmin,
    "nanprod": products.parallel_nanprod,
    "nanstd": moments.parallel_nanstd,
    "nansum": sums.parallel_nansum,
    "nanvar": moments.parallel_nanvar,
    "norm": products.parallel_norm,
    "prod": products.parallel_prod,
    "std": moments.parallel_std,
    "sum": sums.parallel_sum,
    "var": moments.parallel_var,
}

#: Those of two arrays.
FUNCTIONS_OF_TWO: dict[str, Callable[..., Any]] = {
    "dot": products.parallel_dot,
    "vdot": products.parallel_vdot,
    "vecdot": products.parallel_vecdot,
    "weighted_mean": average.parallel_weighted_mean,
}

#: The arguments that a reduction has of its own, with their defaults.
OWN_ARGUMENTS: dict[str, dict[str, Any]] = {
    "var": {"ddof": 0},
    "std": {"ddof": 0},
    "nanvar": {"ddof": 0},
    "nanstd": {"ddof": 0},
    "describe": {"ddof": 0, "moments": 2},
    "norm": {"ord": None},
}

#: Operation, dtype of the result, and the kinds of dtype whose NaN are to be taken out first.
_PLAIN: dict[str, tuple[Operation, _Rule, str]] = {
    "all": (logic.ALL, logic.truth_dtype, ""),
    "any": (logic.ANY, logic.truth_dtype, ""),
    "argmax": (order.ARGMAX, order.index_dtype, ""),
    "argmin": (order.ARGMIN, order.index_dtype, ""),
    "count_nonzero": (logic.COUNT, logic.count_dtype, ""),
    "max": (order.MAX, native, ""),
    "mean": (moments.MEAN, moments.mean_dtype, ""),
    "min": (order.MIN, native, ""),
    "nanmean": (moments.NANMEAN, moments.mean_dtype, "fc"),
    "nanprod": (products.NANPROD, sums.sum_dtype, "fc"),
    "nansum": (sums.NANSUM, sums.sum_dtype, "fc"),
    "prod": (products.PROD, sums.sum_dtype, ""),
    "sum": (sums.SUM, sums.sum_dtype, ""),
}

#: With NaN left out, without, and the kinds of dtype that have none.
_NAN_ENDS: dict[str, tuple[Operation, Operation, str, _Rule]] = {
    "nanargmax": (order.NANARGMAX, order.ARGMAX, "biumM", order.index_dtype),
    "nanargmin": (order.NANARGMIN, order.ARGMIN, "biumM", order.index_dtype),
    "nanmax": (order.NANMAX, order.MAX, "biu", native),
    "nanmin": (order.NANMIN, order.MIN, "biu", native),
}

_SPREADS: dict[str, tuple[Operation, str]] = {
    "nanstd": (moments.NANSTD, "fc"),
    "nanvar": (moments.NANVAR, "fc"),
    "std": (moments.STD, ""),
    "var": (moments.VAR, ""),
}


def check_name(name: Any, argument: str, two: bool = False) -> str:
    """Return the name of a reduction of the family; ValueError or TypeError if it is none."""
    names = [*FUNCTIONS, *(FUNCTIONS_OF_TWO if two else ())]
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be the name of a reduction, got {name!r}")
    if name not in names:
        raise ValueError(f"{argument} must be one of {', '.join(sorted(names))}, got {name!r}")
    return name


def own_arguments(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that a reduction has of its own, as given or by default."""
    known = OWN_ARGUMENTS.get(name, {})
    for argument in given:
        if argument not in known:
            raise TypeError(f"{argument} must be an argument of {name}, which has no such")
    return {**known, **given}


def named(name: str, dtype: DType, method: str, given: dict[str, Any]) -> Named:
    """Return the reduction of that name for elements of a dtype, with its own arguments."""
    if name in _PLAIN:
        operation, rule, nan_kinds = _PLAIN[name]
        operation = moments.without_nan(operation, dtype)
        if name == "nansum" and dtype.char in "efd" and method == "exact":
            return Named(sums.NANSUM_OF_FLOATS, rule(dtype))  # whose kernels leave NaN out
        return Named(operation, rule(dtype), dtype.kind in nan_kinds)
    if name in _NAN_ENDS:
        with_nan, without, none, rule = _NAN_ENDS[name]
        return Named(without if dtype.kind in none else with_nan, rule(dtype))
    if name in _SPREADS:
        operation, nan_kinds = _SPREADS[name]
        operation = moments.without_nan(operation, dtype)
        result = moments.spread_dtype(dtype)
        return Named(operation, result, dtype.kind in nan_kinds, moments.divisor(given["ddof"]))
    if name == "minmax":
        return Named(order.MINMAX, native(dtype), values=2, build=order.both_ends)
    if name == "describe":
        operation, values = describe.operation_of(given["moments"])
        return Named(
            operation, np.dtype(np.float64), False, moments.divisor(given["ddof"]), values,
            lambda record: describe.description(record, dtype),
        )  # fmt: skip
    assert name == "norm"
    ord_ = 2.0 if given["ord"] is None else products.norm_order(given["ord"])
    operation = products.NORMS.get(ord_, products.NORM_P)
    result = products.norm_dtype(dtype)
    if ord_ == 0:
        return Named(operation, logic.count_dtype(dtype), build=lambda n: n.astype(result)[()])
    return Named(operation, result, False, ord_)
