"""Hypothesis strategies and seeded generators for the arrays that sums get wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike
from oracle import FORMATS

FLOATS = [np.float16, np.float32, np.float64]
COMPLEX = [np.complex64, np.complex128]
INTEGERS = [
    np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
    np.longlong, np.ulonglong,
]  # fmt: skip

# 0 to 9, and around every size at which a kernel could change lanes, blocks or slices.
_STEPS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
SHORT = list(range(10))
AROUND = sorted({n + d for n in _STEPS for d in (-1, 0, 1)})
LONG = sorted({n + d for n in (16384, 32768, 65536, 131072) for d in (-1, 0, 1)})

Generator = Callable[[np.random.Generator, int, Any], np.ndarray]

_WORDS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def _bits(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    dtype = np.dtype(dtype)
    return rng.integers(0, 256, n * dtype.itemsize, dtype=np.uint8).view(dtype)


def _finite_bits(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    values = _bits(rng, n, dtype)
    values[~np.isfinite(values)] = 1
    return values


def _normal(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    return rng.standard_normal(n).astype(dtype)


def _uniform(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    return rng.random(n).astype(dtype)


def _subnormal(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    dtype = np.dtype(dtype)
    precision = FORMATS[dtype][0]
    words = rng.integers(0, 1 << (precision - 1), n).astype(_WORDS[dtype.itemsize])
    words |= (rng.integers(0, 2, n) << (8 * dtype.itemsize - 1)).astype(words.dtype)
    return words.view(dtype)


def _around_subnormal(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    tiny = np.finfo(dtype).tiny
    values = _subnormal(rng, n, dtype)
    normal = rng.random(n) < 0.5
    values[normal] = (rng.choice([-1, 1, 1.5, 3], n)[normal] * float(tiny)).astype(dtype)
    return values


def _wide(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    _, least, over = FORMATS[np.dtype(dtype)]
    exponents = rng.integers(least, over - 1, n)
    with np.errstate(all="ignore"):
        values = np.ldexp(1 + rng.random(n), exponents) * rng.choice([-1.0, 1.0], n)
        values = values.astype(dtype)
    values[~np.isfinite(values)] = 1
    return values


def _spread(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    """Many binades, but not so near the ends that long sums overflow."""
    _, least, over = FORMATS[np.dtype(dtype)]
    exponents = rng.integers(least // 2, over // 2, n)
    return np.ldexp(rng.standard_normal(n), exponents).astype(dtype)


def _alternating(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    info = np.finfo(dtype)
    values = np.empty(n, dtype)
    values[0::2] = rng.choice([-1, 1], len(values[0::2])) * (info.max / 4)
    values[1::2] = rng.choice([-1, 1], len(values[1::2])) * info.smallest_subnormal
    return values


def _cancelling(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    half = _wide(rng, n // 2, dtype)
    values = np.concatenate([half, -half, np.zeros(n % 2, dtype)]).astype(dtype)
    rng.shuffle(values)
    if n:
        values[rng.integers(n)] = np.finfo(dtype).tiny
    return values


def _zeros(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    values = np.where(rng.random(n) < 0.5, 0.0, -0.0).astype(dtype)
    some = rng.random(n) < 0.05
    values[some] = rng.standard_normal(n)[some].astype(dtype)
    return values


def _signed_zeros(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    values = np.full(n, -0.0, dtype)
    if n and rng.random() < 0.5:
        values[rng.integers(n)] = 0.0
    return values


def _cancel_to_zero(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    half = _normal(rng, n // 2, dtype)
    values = np.concatenate([half, -half, np.full(n % 2, -0.0, dtype)])
    rng.shuffle(values)
    return values


def _outlier(value: Callable[[Any], float]) -> Generator:
    def generate(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
        values = _normal(rng, n, dtype)
        if n:
            values[rng.integers(n)] = value(np.finfo(dtype))
        return values

    return generate


def _below_two(dtype: DTypeLike) -> float:
    return float(np.nextafter(np.dtype(dtype).type(2), np.dtype(dtype).type(0)))


def _edges(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    """Magnitudes at both ends of a span of 2**16 to 2**64: where blocks are no longer simple."""
    _, least, over = FORMATS[np.dtype(dtype)]
    low = int(rng.integers(least, over - 1))
    span = int(rng.choice([1, 2, 16, 19, 20, 21, 22, 23, 28, 29, 30, 31, 32, 33, 42, 52, 53, 64]))
    high = min(low + span, over - 1)
    ends = np.array([np.ldexp(1.0, low), np.ldexp(1.0, high), np.nextafter(np.ldexp(1.0, high), 0)])
    with np.errstate(all="ignore"):
        values = (rng.choice(ends, n) * rng.choice([-1, 1, 1], n)).astype(dtype)
    values[~np.isfinite(values)] = 1
    return values


def _full_mantissas(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    """All of one sign and with all bits set: what overflows an accumulator that is too small."""
    top = int(rng.integers(FORMATS[np.dtype(dtype)][1] // 2, FORMATS[np.dtype(dtype)][2] // 2))
    value = np.nextafter(dtype(np.ldexp(1.0, top)), dtype(0))
    return np.full(n, value if rng.random() < 0.5 else -value, dtype)


def _specials(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    values = _normal(rng, n, dtype)
    for _ in range(int(rng.integers(1, 4))):
        if n:
            values[rng.integers(n)] = rng.choice([np.nan, np.inf, -np.inf, -0.0])
    return values


def _integers(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    return rng.integers(-9, 10, n).astype(dtype)


def _steps(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    """Blocks of one sign, then as large ones as the accumulator they chose takes, or larger.

    Far smaller ones in between make it choose anew.
    """
    _, least, over = FORMATS[np.dtype(dtype)]
    base = int(rng.integers(least + 1, over - 12))
    low = max(base - int(rng.choice([18, 20, 22, 28, 30, 31, 32, 40])), least)
    parts: list[np.ndarray] = [np.empty(0)]
    for k in range(n):
        exponent = [base, base + int(rng.integers(1, 6)), low][k % 3]
        part = np.ldexp(rng.uniform(1, 2, int(rng.choice([700, 2048, 4096]))), exponent)
        if rng.random() < 0.7:
            part[:] = np.ldexp(rng.choice([1.0, _below_two(dtype)]), exponent)
        parts.append(part)
        if sum(map(len, parts)) >= n:
            break
    return (rng.choice([-1.0, 1.0]) * np.concatenate(parts)[:n]).astype(dtype)


def _ends(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    """A few magnitudes within a hundred binades of either end of the range of exponents."""
    _, least, over = FORMATS[np.dtype(dtype)]
    near = rng.integers(0, min(120, over - least - 2), int(rng.integers(2, 6)))
    exponents = rng.choice(least + near if rng.random() < 0.7 else over - 2 - near, n)
    fractions = rng.uniform(1, 2, n) if rng.random() < 0.5 else np.ones(n)
    return (np.ldexp(fractions, exponents) * rng.choice([-1.0, 1.0], n)).astype(dtype)


def _zeros_first(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    """Whole blocks of zeros, then numbers, then perhaps zeros again."""
    values = [_normal, _integers, _edges][int(rng.integers(3))](rng, n, dtype)
    values[: int(rng.integers(0, n + 1))] = rng.choice([0.0, -0.0])
    if rng.random() < 0.5:
        values[int(rng.integers(0, n + 1)) :] = rng.choice([0.0, -0.0])
    return values


def _patchwork(rng: np.random.Generator, n: int, dtype: DTypeLike) -> np.ndarray:
    """Stretches of other kinds one after the other: every change from block to block."""
    parts = []
    kinds = rng.permutation(sorted(set(FINITE) - {"patchwork"}))[: int(rng.integers(2, 7))]
    while n > 0:
        length = min(n, int(rng.choice([1, 3, 64, 500, 1024, 2048, 3000, 5000])))
        parts.append(FINITE[str(rng.choice(kinds))](rng, length, dtype))
        n -= length
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)


FINITE: dict[str, Generator] = {
    "finite bits": _finite_bits,
    "normal": _normal,
    "uniform": _uniform,
    "subnormal": _subnormal,
    "around subnormal": _around_subnormal,
    "wide": _wide,
    "spread": _spread,
    "alternating": _alternating,
    "cancelling": _cancelling,
    "many zeros": _zeros,
    "signed zeros": _signed_zeros,
    "cancel to zero": _cancel_to_zero,
    "huge outlier": _outlier(lambda info: float(info.max)),
    "tiny outlier": _outlier(lambda info: float(info.smallest_subnormal)),
    "edges": _edges,
    "full mantissas": _full_mantissas,
    "integers": _integers,
    "zeros first": _zeros_first,
    "steps": _steps,
    "ends": _ends,
    "patchwork": _patchwork,
}
FAMILIES: dict[str, Generator] = {
    **FINITE,
    "bits": _bits,
    "nan outlier": _outlier(lambda info: np.nan),
    "infinite outlier": _outlier(lambda info: -np.inf),
    "specials": _specials,
}


def generate(family: str, n: int, dtype: DTypeLike, seed: int = 0) -> np.ndarray:
    """The array of a family: floats, or complex numbers from two such arrays."""
    rng = np.random.default_rng([seed, n, sum(map(ord, family))])
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}").type
        pair = np.empty((n, 2), part)
        pair[:, 0] = FAMILIES[family](rng, n, part)
        pair[:, 1] = FAMILIES[family](rng, n, part)
        return pair.view(dtype)[:, 0]
    return FAMILIES[family](rng, n, dtype.type)


def integers(n: int, dtype: DTypeLike, seed: int = 0) -> np.ndarray:
    """Random integers over the whole range of the dtype, or bools."""
    rng = np.random.default_rng([seed, n])
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, n).astype(bool)
    return rng.integers(0, 256, n * dtype.itemsize, dtype=np.uint8).view(dtype)


def _lengths(max_size: int) -> st.SearchStrategy[int]:
    around = [n for n in AROUND if n <= max_size]
    lengths = st.integers(0, min(9, max_size)) | st.integers(0, min(2100, max_size))
    lengths |= st.integers(0, max_size)
    return lengths | st.sampled_from(around) if around else lengths


@st.composite
def _generated(
    draw: st.DrawFn, dtype: DTypeLike, families: dict[str, Generator], min_size: int, max_size: int
) -> np.ndarray:
    family = draw(st.sampled_from(sorted(families)))
    n = max(min_size, draw(_lengths(max_size)))
    return generate(family, n, dtype, draw(st.integers(0, 2**32 - 1)))


@st.composite
def _patterns(
    draw: st.DrawFn, dtype: DTypeLike, finite: bool, min_size: int, max_size: int
) -> np.ndarray:
    dtype = np.dtype(dtype)
    count = draw(st.integers(min_size, min(max_size, 12)))
    words = st.integers(0, (1 << (8 * dtype.itemsize)) - 1)
    drawn = draw(st.lists(words, min_size=count, max_size=count))
    values = np.array(drawn, dtype=_WORDS[dtype.itemsize]).view(dtype)
    if finite:
        values[~np.isfinite(values)] = 1
    return values


def any_floats(
    dtype: DTypeLike, min_size: int = 0, max_size: int = 20_000
) -> st.SearchStrategy[np.ndarray]:
    """Floats of any kind, NaN and infinity too."""
    return _generated(dtype, FAMILIES, min_size, max_size) | _patterns(
        dtype, False, min_size, max_size
    )


def finite_floats(
    dtype: DTypeLike, min_size: int = 0, max_size: int = 300
) -> st.SearchStrategy[np.ndarray]:
    """Finite floats of any kind."""
    return _generated(dtype, FINITE, min_size, max_size) | _patterns(
        dtype, True, min_size, max_size
    )


@st.composite
def rounding_traps(
    draw: st.DrawFn, result: DTypeLike, element: DTypeLike = None, padding: int = 20
) -> np.ndarray:
    """Elements whose sum lies on a tie of the result type, or off it by as little as can be.

    Rounding to a wider type first loses the little and gets the tie wrong.
    """
    precision, least, over = FORMATS[np.dtype(result)]
    element = np.dtype(element or result)
    bottom = FORMATS[element][1]
    # Exponent of the last bit that is kept; half of it must be an element.
    last = draw(st.integers(max(least, bottom + 1), over - precision))
    significand = draw(st.integers(0, (1 << precision) - 1))
    if last > least:
        significand |= 1 << (precision - 1)
    sign = draw(st.sampled_from([1.0, -1.0]))
    parts = [sign * np.ldexp(float(significand), last)]
    half = sign * np.ldexp(1.0, last - 1)
    if last - 2 >= bottom and draw(st.booleans()):
        parts += [half / 2, half / 2]
    else:
        parts += [half]
    off = draw(st.sampled_from([0, 1, -1]))
    if off and last - 2 >= bottom:
        parts.append(off * np.ldexp(1.0, draw(st.integers(bottom, last - 2))))
    seed = draw(st.integers(0, 2**32 - 1))
    noise = generate("wide", draw(st.integers(0, padding)), element, seed)
    values = np.concatenate([np.array(parts), noise, -noise]).astype(element)
    return np.random.default_rng(seed).permutation(values)


def workers() -> st.SearchStrategy[int]:
    return st.integers(1, 9)
