"""Dot products, variances, deviations and 2-norms, as reductions, against exact integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from oracle import assert_same_bits, round_integer
from parsum._native import ffi, lib
from strategies import COMPLEX, FAMILIES, FLOATS, generate

from parsum.reduction import find, type_of

OVERFLOW, INVALID, DIVIDE = lib.PARSUM_OVERFLOW, lib.PARSUM_INVALID, lib.PARSUM_DIVIDE
#: Products of doubles are whole multiples of 2**-2148.
SCALE = 2148


# ---- the reductions ----


class States:
    """States of one reduction, which take arrays, or pairs of arrays, at any stride."""

    def __init__(self, operation: str, element: Any, result: Any = None, parameter: float = 0):
        self.result = np.dtype(result or element)
        self.parameter = parameter
        element = type_of(np.dtype(element))
        found = find(operation, "exact", element, type_of(self.result))
        assert found is not None, f"no {operation} of {element} to {self.result}"
        self.reduction = found

    def new(self, *arrays: np.ndarray) -> Any:
        state = self.reduction.identity(self.parameter)
        # What was in the memory before is of no matter.
        ffi.buffer(state.memory)[:] = b"\xa5" * len(ffi.buffer(state.memory))
        lib.parsum_identity(self.reduction.pointer, self.parameter, state.pointer)
        if arrays:
            self.take(state, *arrays)
        return state

    def take(self, state: Any, *arrays: np.ndarray) -> None:
        if len(arrays) == 1:
            self.reduction.accumulate(state, arrays[0])
            return
        a, b = arrays
        assert a.shape == b.shape
        lib.parsum_accumulate_pairs(
            self.reduction.pointer, state.pointer, _address(a), _address(b), a.size,
            a.strides[0], b.strides[0],
        )  # fmt: skip

    def finish(self, state: Any) -> tuple[Any, int]:
        out = np.full((), 77).astype(self.result)
        flags = self.reduction.finish(state, out)
        return out[()], flags


def _address(array: np.ndarray) -> Any:
    return ffi.cast("void *", array.__array_interface__["data"][0])


def reduce(operation: str, *arrays: np.ndarray, result: Any = None, parameter: float = 0) -> Any:
    states = States(operation, arrays[0].dtype, result, parameter)
    return states.finish(states.new(*arrays))


# ---- exact results ----


def _scaled(values: np.ndarray) -> list[int]:
    """Finite real values times 2**(SCALE / 2), as integers."""
    if values.dtype.kind != "f":
        return [int(v) << (SCALE // 2) for v in values.tolist()]
    fractions, exponents = np.frexp(values.astype(np.float64))
    whole = np.ldexp(fractions, 53).astype(np.int64).tolist()
    return [
        w << shift if shift >= 0 else w >> -shift
        for w, shift in zip(whole, (exponents - 53 + SCALE // 2).tolist(), strict=True)
    ]


def _round_ratio(p: int, q: int, dtype: Any, root: bool = False) -> tuple[Any, int]:
    """p / q, or its root, rounded once; p, q >= 0."""
    dtype = np.dtype(dtype)
    if q == 0:
        return (dtype.type(np.inf), DIVIDE) if p else (dtype.type(np.nan), INVALID)
    if p == 0:
        return dtype.type(0), 0
    scale = max(0, 512 - p.bit_length() + q.bit_length()) // 2 * 2
    # A bit at the end says whether there is more.
    whole, rest = divmod(p << scale, q)
    if root:
        more = rest != 0
        square = whole
        whole = math.isqrt(whole)
        rest = int(more or whole * whole != square)
        scale //= 2
    result = round_integer(2 * whole + (rest != 0), dtype, scale + 1)
    return result, OVERFLOW if np.isinf(result) else 0


def _round_signed(total: int, dtype: Any) -> tuple[Any, int]:
    result, flags = _round_ratio(abs(total), 1 << SCALE, dtype)
    return (-result if total < 0 else result), flags


def expected_dot(a: np.ndarray, b: np.ndarray, dtype: Any) -> tuple[Any, int]:
    """The real number, or what IEEE 754 says of NaN and infinities, and flags."""
    dtype = np.dtype(dtype)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        a, b = a.astype(np.float64), b.astype(np.float64)
    odd = ~(np.isfinite(a) & np.isfinite(b))
    if odd.any():
        with np.errstate(all="ignore"):
            products = a[odd] * b[odd]
            total = products.sum()
        came = np.isnan(a).any() or np.isnan(b).any()
        return dtype.type(total), INVALID if np.isnan(total) and not came else 0
    total = sum(x * y for x, y in zip(_scaled(a), _scaled(b), strict=True))
    return _round_signed(total, dtype)


def expected_complex_dot(
    a: np.ndarray, b: np.ndarray, dtype: Any, conjugate: bool = False
) -> tuple[Any, int]:
    """Of each part the real number, as if of a dot product twice as long."""
    dtype = np.dtype(dtype)
    part = np.empty(0, dtype).real.dtype
    imaginary = a.imag if conjugate else -a.imag
    real, flags = expected_dot(
        np.concatenate([a.real, imaginary]), np.concatenate([b.real, b.imag]), part
    )
    imag, more = expected_dot(
        np.concatenate([a.real, -imaginary if not conjugate else -a.imag]),
        np.concatenate([b.imag, b.real]),
        part,
    )
    return np.array([real, imag]).view(dtype)[0], flags | more


def expected_variance(
    values: np.ndarray, dtype: Any, ddof: int = 0, root: bool = False
) -> tuple[Any, int]:
    dtype = np.dtype(dtype)
    parts = [values.real, values.imag] if values.dtype.kind == "c" else [values]
    if not all(np.isfinite(part).all() for part in parts):
        return dtype.type(np.nan), 0 if any(np.isnan(part).any() for part in parts) else INVALID
    n = len(values)
    numerator = 0
    for part in parts:
        scaled = _scaled(part)
        numerator += n * sum(v * v for v in scaled) - sum(scaled) ** 2
    return _round_ratio(numerator, n * max(n - ddof, 0) << SCALE, dtype, root)


def expected_norm(values: np.ndarray, dtype: Any) -> tuple[Any, int]:
    dtype = np.dtype(dtype)
    parts = [values.real, values.imag] if values.dtype.kind == "c" else [values]
    if not all(np.isfinite(part).all() for part in parts):
        is_nan = any(np.isnan(part).any() for part in parts)
        return dtype.type(np.nan if is_nan else np.inf), 0
    total = sum(v * v for part in parts for v in _scaled(part))
    return _round_ratio(total, 1 << SCALE, dtype, root=True)


def check(actual: tuple[Any, int], expected: tuple[Any, int], note: str = "") -> None:
    assert_same_bits(actual[0], expected[0], note)
    assert actual[1] == expected[1], note


# ---- tests ----

LENGTHS = [*range(10), 31, 33, 63, 64, 65, 255, 257, 511, 513, 1023, 1025, 2047, 2048, 2049, 4099]


def _real(dtype: Any) -> np.dtype:
    return np.empty(0, dtype).real.dtype


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("family", FAMILIES)
def test_dot(level, dtype, family):
    for seed, n in enumerate([1, 9, 130, 2500]):
        a, b = generate(family, n, dtype, seed), generate(family, n, dtype, seed + 100)
        note = f"{n} {seed}"
        check(reduce("dot", a, b), expected_dot(a, b, dtype), note)
        b = generate("normal", n, dtype, seed)
        check(reduce("dot", a, b), expected_dot(a, b, dtype), note)
    a = generate(family, 20_000, dtype, 5)
    check(reduce("dot", a, b := a[::-1].copy()), expected_dot(a, b, dtype))


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("family", FAMILIES)
def test_variance_deviation_and_norm(level, dtype, family):
    real = _real(dtype)
    for seed, n in enumerate([1, 2, 9, 130, 2500]):
        a = generate(family, n, dtype, seed)
        note = f"{n} {seed}"
        ddof = seed % 3
        with np.errstate(all="ignore"):
            var = reduce("var", a, result=real, parameter=ddof)
            check(var, expected_variance(a, real, ddof), note)
            std = reduce("std", a, result=real, parameter=ddof)
            check(std, expected_variance(a, real, ddof, root=True), note)
            check(reduce("norm2", a, result=real), expected_norm(a, real), note)


@pytest.mark.parametrize("operation", ["dot", "vdot"])
@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("family", FAMILIES)
def test_complex_dot(level, dtype, family, operation):
    conjugate = operation == "vdot"
    for seed, n in enumerate([1, 9, 1500]):
        a, b = generate(family, n, dtype, seed), generate(family, n, dtype, seed + 100)
        actual = reduce(operation, a, b)
        check(actual, expected_complex_dot(a, b, dtype, conjugate), f"{n} {seed}")
