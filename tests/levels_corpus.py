"""Prints one digest a line over the result bytes of a fixed corpus: the same on any CPU level."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from layouts import LAYOUTS, lay_out
from oracle import bits
from reference import FUNCTIONS, STYLES, dtypes_of, outcome, parts, values
from strategies import COMPLEX, FAMILIES, FLOATS, INTEGERS, generate, integers

import parsum
from parsum import parallel_dot, parallel_sum, parallel_vdot, parallel_vecdot

_LENGTHS = [0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 255, 256, 257, 1023, 1024, 1025, 4095, 4097, 70_001]
_SHAPES = [(3, 5), (100, 7), (7, 100), (513, 9), (9, 513), (2049, 3), (70, 130), (40, 1025)]


def _results(method: str) -> Iterator[tuple[str, Any]]:
    longs = [np.longdouble, np.clongdouble]
    for dtype in [*FLOATS, *COMPLEX]:
        name = np.dtype(dtype).name
        for family in sorted(FAMILIES):
            for n in _LENGTHS:
                values = generate(family, n, dtype)
                yield f"{name} {family} {n}", parallel_sum(values, method=method)
            for shape in _SHAPES:
                values = generate(family, shape[0] * shape[1], dtype).reshape(shape)
                for axis in (0, 1):
                    result = parallel_sum(values, axis=axis, method=method)
                    yield f"{name} {family} {shape} {axis}", result
        grid = generate("wide", 60 * 61, dtype).reshape(60, 61)
        mask = np.random.default_rng(0).random((60, 61)) < 0.7
        for layout in LAYOUTS:
            for axis in (None, 0, 1):
                result = parallel_sum(lay_out(grid, layout), axis=axis, method=method)
                yield f"{name} {layout} {axis}", result
                result = parallel_sum(lay_out(grid, layout), axis=axis, method=method, where=mask)
                yield f"{name} {layout} {axis} where", result
        for other in [*FLOATS, *COMPLEX, *longs]:
            if np.dtype(dtype).kind == "c" and np.dtype(other).kind == "f":
                continue
            result = parallel_sum(generate("wide", 5000, dtype), dtype=other, method=method)
            yield f"{name} to {np.dtype(other).name}", result
    for dtype in [np.bool_, *INTEGERS]:
        for n in _LENGTHS:
            result = parallel_sum(integers(n, dtype), method=method)
            yield f"{np.dtype(dtype).name} {n}", result
        for shape in _SHAPES:
            values = integers(shape[0] * shape[1], dtype).reshape(shape)
            for axis in (0, 1):
                result = parallel_sum(values, axis=axis, method=method)
                yield f"{np.dtype(dtype).name} {shape} {axis}", result
        for other in [bool, np.int8, np.uint16, np.float16, np.float32, np.float64]:
            result = parallel_sum(integers(5000, dtype), dtype=other, method=method)
            yield f"{np.dtype(dtype).name} to {np.dtype(other).name}", result
    for dtype in longs:
        for n in _LENGTHS:
            values = generate("wide", n, np.float64).astype(dtype) / 3
            yield f"{np.dtype(dtype).name} {n}", parallel_sum(values, method=method)


def _family() -> Iterator[tuple[str, Any]]:
    """The other functions: every dtype, and lengths and shapes around those of the kernels."""
    lengths = [1, 7, 33, 255, 1025, 4097, 20_011]
    shapes = [(5, 700), (700, 5), (130, 67)]
    for name, function in FUNCTIONS.items():
        if name == "sum":
            continue
        for code in dtypes_of(function.kinds):
            for k, style in enumerate(STYLES):
                for n in lengths[k % 3 :: 2]:
                    label = f"{name}, {code} {style} {n}"
                    yield label, _outcome(function.ours, values(style, n, code, k))
                shape = shapes[k % 3]
                array = values(style, shape[0] * shape[1], code, k).reshape(shape)
                for axis in (0, 1):
                    yield (
                        f"{name}, {code} {style} {shape}",
                        _outcome(function.ours, array, axis=axis),
                    )
    for name, inner in [("dot", parallel_dot), ("vdot", parallel_vdot)]:
        for code in dtypes_of("biufc"):
            for k, style in enumerate(STYLES):
                for n in lengths:
                    a, b = values(style, n, code, k), values(style, n, code, k + 1)
                    yield f"{name}, {code} {style} {n}", _outcome(inner, a, b)
    for code in dtypes_of("biufc"):
        for shape in shapes:
            a, b = (values("random", shape[0] * shape[1], code, k).reshape(shape) for k in (1, 2))
            for axis in (0, 1):
                yield f"vecdot, {code} {shape}", _outcome(parallel_vecdot, a, b, axis=axis)


def _outcome(function: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    found = outcome(function, *args, **kwargs)
    if found.error is not None and "All-NaN" not in found.message:
        raise AssertionError(found.message)
    return parts(found.message if found.value is None else found.value)


def main() -> None:
    digest, group, count = hashlib.sha256(), "", 0
    print(parsum.cpu_level())
    with np.errstate(all="ignore"):
        for method in ("exact", "fast"):
            for label, result in _results(method):
                start = f"{method} {' '.join(label.split()[:2])}"
                if start != group and group:
                    print(f"{group}: {count} {digest.hexdigest()}")
                    digest, count = hashlib.sha256(), 0
                group = start
                digest.update(repr((label, bits(result, strict=True))).encode())
                count += 1
        for label, results in _family():
            start = label.split(",")[0]
            if start != group:
                print(f"{group}: {count} {digest.hexdigest()}")
                digest, count, group = hashlib.sha256(), 0, start
            for result in results:
                digest.update(repr((label, bits(result, strict=True))).encode())
                count += 1
    print(f"{group}: {count} {digest.hexdigest()}")


if __name__ == "__main__":
    sys.exit(main())
