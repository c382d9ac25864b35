"""Reductions of C text that tests use, each with an oracle that shares nothing with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from parsum import Reduction

ALL_DTYPES = [
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16",
    "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble",
]  # fmt: skip
REAL_DTYPES = ALL_DTYPES[:13]

LEAF = 1024
LANES = 32


def sum_of_deviations(**arguments: Any) -> Reduction:
    """Of the sum of |x - parameter|."""
    return Reduction.from_c(
        state={"sum": "double"},
        accumulate="s->sum += fabs((double)x - parameter);",
        combine="s->sum += o->sum;",
        finish="*r = s->sum;",
        **{"dtypes": REAL_DTYPES, "result": "float64", "name": "sum of deviations", **arguments},
    )


def plain_sum(**arguments: Any) -> Reduction:
    """A sum of float64 in double, without the lanes and the tree being hidden by exactness."""
    return Reduction.from_c(
        state={"sum": "double"},
        accumulate="s->sum += x;",
        combine="s->sum += o->sum;",
        **{"finish": "*r = s->sum;", "name": "plain sum", **arguments},
    )


def log_sum_exp(**arguments: Any) -> Reduction:
    """log(sum(exp(x))), about a running maximum."""
    return Reduction.from_c(
        state={"top": "double", "sum": "double"},
        identity="s->top = -INFINITY;",
        accumulate="""
            if (x > s->top) {
                s->sum = s->sum * exp(s->top - x) + 1;
                s->top = x;
            } else if (x != -INFINITY)
                s->sum += exp(x - s->top);
        """,
        combine="""
            if (o->top > s->top) {
                s->sum = s->sum * exp(s->top - o->top) + o->sum;
                s->top = o->top;
            } else if (o->top != -INFINITY)
                s->sum += o->sum * exp(o->top - s->top);
        """,
        finish="*r = s->top + log(s->sum);",
        **{"name": "log-sum-exp", **arguments},
    )


def welford(**arguments: Any) -> Reduction:
    """Count, mean and variance in one pass (Welford; Chan, Golub and LeVeque)."""
    return Reduction.from_c(
        state={"n": "int64_t", "mean": "double", "m2": "double"},
        accumulate="""
            double delta = x - s->mean;
            s->n++;
            s->mean += delta / s->n;
            s->m2 += delta * (x - s->mean);
        """,
        combine="""
            if (!o->n)
                return;
            double delta = o->mean - s->mean;
            int64_t n = s->n + o->n;
            s->m2 += o->m2 + delta * delta * ((double)s->n * o->n / n);
            s->mean += delta * o->n / n;
            s->n = n;
        """,
        finish="r->n = s->n; r->mean = s->mean; r->var = s->m2 / (s->n - parameter);",
        result={"n": "int64", "mean": "float64", "var": "float64"},
        **{"name": "Welford", **arguments},
    )


def histogram(**arguments: Any) -> Reduction:
    """How often each byte occurs: a state that is an array."""
    return Reduction.from_c(
        state={"bins": "int64_t[256]"},
        accumulate="s->bins[x]++;",
        combine="for (int k = 0; k < 256; k++) s->bins[k] += o->bins[k];",
        finish="memcpy(r, s->bins, sizeof s->bins);",
        dtypes="uint8",
        result=("int64", 256),
        **{"ordered": False, "name": "histogram", **arguments},
    )


def geometric_mean(**arguments: Any) -> Reduction:
    return Reduction.from_c(
        state={"logs": "double", "n": "int64_t"},
        accumulate="s->logs += log(x); s->n++;",
        combine="s->logs += o->logs; s->n += o->n;",
        finish="if (!s->n) return PARSUM_EMPTY; *r = exp(s->logs / s->n);",
        **{"name": "geometric mean", **arguments},
    )


def runs(**arguments: Any) -> Reduction:
    """First and last element and the number of runs of equal ones: of elements in order alone."""
    return Reduction.from_c(
        state={"n": "int64_t", "runs": "int64_t", "first": "T", "last": "T"},
        accumulate="""
            if (!s->n++)
                s->first = x;
            if (s->n == 1 || x != s->last)
                s->runs++;
            s->last = x;
        """,
        combine="""
            if (!o->n)
                return;
            if (!s->n)
                *s = *o;
            else {
                s->n += o->n;
                s->runs += o->runs - (s->last == o->first);
                s->last = o->last;
            }
        """,
        finish="r->n = s->n; r->runs = s->runs; r->first = s->first; r->last = s->last;",
        result={"n": "int64", "runs": "int64", "first": "float64", "last": "float64"},
        **{
            "dtypes": ["int64", "float64"], "commutative": False, "name": "runs", **arguments
        },
    )  # fmt: skip


# ---- oracles, of a one-dimensional array ----


def deviations_of(flat: np.ndarray, about: float = 0.0) -> Fraction:
    whole = flat.astype("g") if flat.dtype.char == "g" else flat
    return sum((abs(_fraction(v) - Fraction(about)) for v in whole), Fraction(0))


def _fraction(value: Any) -> Fraction:
    return Fraction(*value.as_integer_ratio()) if hasattr(value, "as_integer_ratio") else Fraction(
        int(value)
    )  # fmt: skip


def log_sum_exp_of(flat: np.ndarray) -> float:
    if not len(flat) or np.max(flat) == -np.inf:
        return -math.inf
    top = float(np.max(flat))
    return top + math.log(math.fsum(math.exp(v - top) for v in flat.tolist()))


def welford_of(flat: np.ndarray, ddof: int = 0) -> tuple[int, float, float]:
    values = [Fraction(v) for v in flat.tolist()]
    mean = sum(values) / len(values)
    squares = sum((v - mean) ** 2 for v in values)
    return len(values), float(mean), float(squares / (len(values) - ddof))


def histogram_of(flat: np.ndarray) -> list[int]:
    counts = [0] * 256
    for byte in flat.astype(np.uint8).tobytes():
        counts[byte] += 1
    return counts


def geometric_mean_of(flat: np.ndarray) -> float:
    return math.exp(math.fsum(map(math.log, flat.tolist())) / len(flat))


def runs_of(flat: np.ndarray) -> tuple[int, int, float, float]:
    changes = sum(bool(a != b) for a, b in pairwise(flat))
    return len(flat), (changes + 1 if len(flat) else 0), *(
        (float(flat[0]), float(flat[-1])) if len(flat) else (0.0, 0.0)
    )  # fmt: skip


# ---- the tree that combination is promised to follow ----


def tree(leaves: list[Any], combine: Callable[[Any, Any], Any]) -> Any:
    """Complete binary subtrees from the left; what is over is joined from the last one."""
    subtrees = []
    begin = 0
    for bit in reversed(range(len(leaves).bit_length())):
        if len(leaves) >> bit & 1:
            subtrees.append(_complete(leaves[begin : begin + (1 << bit)], combine))
            begin += 1 << bit
    whole = subtrees.pop()
    while subtrees:
        whole = combine(subtrees.pop(), whole)
    return whole


def _complete(leaves: list[Any], combine: Callable[[Any, Any], Any]) -> Any:
    if len(leaves) == 1:
        return leaves[0]
    half = len(leaves) // 2
    return combine(_complete(leaves[:half], combine), _complete(leaves[half:], combine))


def sum_by_tree(flat: np.ndarray, lanes: int = LANES) -> float:
    """What plain_sum gives to the bit: leaves of 1024, elements to lanes in turn, then trees."""

    def leaf(values: list[float]) -> float:
        sums = [0.0] * lanes
        for i, v in enumerate(values):
            sums[i % lanes] += v
        while len(sums) > 1:
            half = len(sums) // 2
            sums = [a + b for a, b in zip(sums[:half], sums[half:], strict=True)]
        return 0.0 + sums[0]

    values = flat.tolist()
    leaves = [leaf(values[k : k + LEAF]) for k in range(0, len(values), LEAF)]
    return tree(leaves, lambda a, b: a + b) if leaves else 0.0
