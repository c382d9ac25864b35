"""Two independent ways to say what a correctly rounded sum is, and how to compare bits.

`exact_sum` adds integers scaled by 2**1074 and rounds them once, in integers. `fraction_sum` adds
`fractions.Fraction` and picks the nearest number of the result type by comparing distances.
Neither uses floating-point arithmetic on the values, so neither can share a mistake with a kernel.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

# Every double is a whole multiple of 2**-1074.
SCALE = 1074

# Bits of the significand, exponent of the least subnormal, exponent above the largest number.
FORMATS = {
    np.dtype(np.float16): (11, -24, 16),
    np.dtype(np.float32): (24, -149, 128),
    np.dtype(np.float64): (53, -1074, 1024),
}

_BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def scaled_integer(values: np.ndarray) -> int:
    """The sum of finite floats (float16, float32, float64) times 2**SCALE.

    Mantissas of one exponent are added as int64 in two halves, so that long arrays are quick.
    """
    wide = np.ascontiguousarray(values, dtype=np.float64).ravel()
    if not np.isfinite(wide).all():
        raise ValueError("only finite values have a sum in integers")
    bits = wide.view(np.uint64)
    exponent = ((bits >> np.uint64(52)) & np.uint64(0x7FF)).astype(np.int64)
    fraction = (bits & np.uint64(0xFFFFFFFFFFFFF)).astype(np.int64)
    fraction += np.where(exponent > 0, np.int64(1) << np.int64(52), np.int64(0))
    fraction = np.where(bits >> np.uint64(63) != 0, -fraction, fraction)
    shift = np.maximum(exponent, 1) - 1
    high = np.zeros(2048, np.int64)
    low = np.zeros(2048, np.int64)
    np.add.at(high, shift, fraction >> 26)
    np.add.at(low, shift, fraction & 0x3FFFFFF)
    total = 0
    for k in np.flatnonzero((high != 0) | (low != 0)):
        total += ((int(high[k]) << 26) + int(low[k])) << int(k)
    return total


def round_integer(total: int, dtype: DTypeLike, scale: int = SCALE) -> np.floating[Any]:
    """total * 2**-scale, rounded once to a binary format, half to even, overflow to infinity."""
    dtype = np.dtype(dtype)
    precision, least, over = FORMATS[dtype]
    negative = total < 0
    magnitude = abs(total)
    # The exponent of the result's last bit: where the significand ends, or where subnormals do.
    last = max(magnitude.bit_length() - scale - precision, least)
    shift = last + scale
    if shift > 0:
        kept, rest = divmod(magnitude, 1 << shift)
        half = 1 << (shift - 1)
        if rest > half or (rest == half and kept & 1):
            kept += 1
    else:
        kept = magnitude << -shift
    if kept.bit_length() + last > over:
        result = dtype.type(np.inf)
    else:
        # Build the bits: adding the significand with its hidden bit to the exponent field carries.
        fraction_bits = precision - 1
        if kept.bit_length() > precision:
            kept >>= 1
            last += 1
        biased = 0 if kept < 1 << fraction_bits else last - least
        word = (biased << fraction_bits) + kept
        result = np.array([word], dtype=_BITS[dtype.itemsize]).view(dtype)[0]
    return -result if negative else result


def exact_sum(
    values: ArrayLike, dtype: DTypeLike = None, initial: float | None = None
) -> np.floating[Any]:
    """The correctly rounded sum of real floats, with the rules for specials and signed zeros."""
    array = np.asarray(values)
    dtype = np.dtype(dtype or array.dtype).newbyteorder("=")
    with np.errstate(invalid="ignore"):  # signalling NaNs
        flat = array.astype(np.float64).ravel()  # exact: float16, float32 and float64 only
    if initial is not None:
        flat = np.append(flat, np.float64(initial))
    special = sum_of_specials(flat)
    if special is not None:
        return dtype.type(special)
    total = scaled_integer(flat)
    if total == 0 and flat.size and np.signbit(flat).all() and not flat.any():
        return dtype.type(-0.0)
    return round_integer(total, dtype)


def sum_of_specials(flat: np.ndarray) -> float | None:
    """What NaN and infinities make of a sum; None if all are finite."""
    plus, minus = (flat == np.inf).any(), (flat == -np.inf).any()
    if np.isnan(flat).any() or (plus and minus):
        return math.nan
    if plus or minus:
        return math.inf if plus else -math.inf
    return None


def complex_sum(
    values: ArrayLike, dtype: DTypeLike = None, initial: complex | None = None
) -> np.complexfloating[Any, Any]:
    """The correctly rounded sum of complex numbers: real and imaginary parts on their own."""
    array = np.asarray(values)
    dtype = np.dtype(dtype or array.dtype).newbyteorder("=")
    part = np.dtype(f"f{dtype.itemsize // 2}")
    pair = np.empty(2, part)
    pair[0] = exact_sum(array.real, part, None if initial is None else complex(initial).real)
    pair[1] = exact_sum(array.imag, part, None if initial is None else complex(initial).imag)
    return pair.view(dtype)[0]


def integer_sum(values: ArrayLike, dtype: DTypeLike, initial: int = 0) -> tuple[Any, bool]:
    """The sum of integers or bools wrapped to dtype, and whether it had to be wrapped."""
    dtype = np.dtype(dtype)
    total = sum(np.asarray(values).ravel().tolist(), initial)
    info = np.iinfo(dtype)
    wrapped = (total - int(info.min)) % (1 << info.bits) + int(info.min)
    return dtype.type(wrapped), wrapped != total


def expected_sum(values: ArrayLike, dtype: DTypeLike = None, initial: Any = None) -> Any:
    """The exact sum of anything parsum sums exactly, with NumPy's result dtype."""
    array = np.asarray(values)
    if dtype is None:
        dtype = np.sum(np.zeros(1, array.dtype)).dtype
    dtype = np.dtype(dtype)
    if dtype.kind == "f" and array.dtype.kind == "f":
        return exact_sum(array, dtype, initial)
    if dtype.kind == "c" and array.dtype.kind in "cf":
        return complex_sum(array, dtype, initial)
    if dtype.kind in "iu" and array.dtype.kind in "biu":
        return integer_sum(array, dtype, 0 if initial is None else int(initial))[0]
    if dtype.kind == "f" and array.dtype.kind in "biu":
        total = sum(array.ravel().tolist(), 0 if initial is None else int(initial))
        return round_integer(total << SCALE, dtype)
    raise TypeError(f"no oracle for {array.dtype} to {dtype}")


def expected_along(
    values: np.ndarray, axis: Any = None, keepdims: bool = False, where: Any = True, **kwargs: Any
) -> Any:
    """expected_sum over some axes: the shape is found by hand, one lane after the other."""
    values = np.asarray(values)
    ndim = values.ndim
    if axis is None:
        axis = tuple(range(ndim))
    axes = [a % ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
    kept = [d for d in range(ndim) if d not in axes]
    shape = tuple(values.shape[d] for d in kept)
    length = math.prod(values.shape[d] for d in axes)
    order = kept + axes
    lanes = values.transpose(order).reshape((*shape, length))
    where = np.broadcast_to(np.asarray(where, bool), values.shape)
    masks = where.transpose(order).reshape((*shape, length))
    dtype = np.asarray(expected_sum(np.empty(0, values.dtype), **kwargs)).dtype
    result = np.empty(shape, dtype)
    for index in np.ndindex(*shape):
        result[index] = expected_sum(lanes[index][masks[index]], **kwargs)
    if keepdims:
        result = result.reshape([1 if d in axes else n for d, n in enumerate(values.shape)])
    return result


def fraction_sum(values: ArrayLike, dtype: DTypeLike = None) -> np.floating[Any]:
    """The second oracle, for finite values: Fraction, and the nearest neighbour by distance."""
    array = np.asarray(values)
    dtype = np.dtype(dtype or array.dtype)
    total = sum((Fraction(float(v)) for v in array.ravel()), Fraction(0))
    return nearest(total, dtype)


def nearest(value: Fraction, dtype: DTypeLike) -> np.floating[Any]:
    """The number of the format nearest to a fraction; of two, the one with an even last bit."""
    dtype = np.dtype(dtype)
    info = np.finfo(dtype)
    sign = -1.0 if value < 0 else 1.0
    # An overflow threshold as IEEE 754 has it: as if the exponent had no upper end.
    below = np.nextafter(info.max, dtype.type(0))
    limit = Fraction(float(info.max)) + Fraction(float(info.max) - float(below)) / 2
    if abs(value) >= limit:
        return dtype.type(math.inf * sign)
    with np.errstate(all="ignore"):
        try:
            guess = dtype.type(float(value))
        except OverflowError:
            guess = dtype.type(float(info.max) * sign)
        if not np.isfinite(guess):
            guess = dtype.type(float(info.max) * sign)
        ends = dtype.type(np.inf), dtype.type(-np.inf)
        near = [guess, np.nextafter(guess, ends[0]), np.nextafter(guess, ends[1])]
    near = [n for n in near if np.isfinite(n)]
    word = _BITS[dtype.itemsize]
    best = min(near, key=lambda n: (abs(Fraction(float(n)) - value), int(n.view(word)) & 1))
    if best == 0:
        return dtype.type(-0.0) if value < 0 else dtype.type(0.0)
    return best


def bits(value: Any, strict: bool = False) -> tuple[str, tuple[int, ...], bytes]:
    """dtype, shape and bytes, in which all NaNs are alike unless `strict`.

    Zeros of different sign differ.
    """
    array = np.array(value, copy=True, order="C")
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="))
    if not strict and array.dtype.kind in "fc":
        parts = np.atleast_1d(array).view(array.real.dtype)
        parts[np.isnan(parts)] = np.nan
        array = parts
    if array.dtype.char in "gG":  # padding bytes say nothing
        parts = np.atleast_1d(array).view(np.longdouble).ravel()
        text = " ".join(np.format_float_scientific(v, unique=True) for v in parts)
        return np.asarray(value).dtype.str, np.shape(value), text.encode()
    return np.asarray(value).dtype.newbyteorder("=").str, np.shape(value), array.tobytes()


def assert_same_bits(actual: Any, expected: Any, note: str = "") -> None:
    """Equal dtype, shape and bits, where any NaN equals any other."""
    if bits(actual) != bits(expected):
        raise AssertionError(
            f"{note}\nactual   {actual!r} {np.asarray(actual).dtype} {_hex(actual)}"
            f"\nexpected {expected!r} {np.asarray(expected).dtype} {_hex(expected)}"
        )


def _hex(value: Any) -> str:
    array = np.asarray(value)
    return " ".join(v.tobytes().hex() for v in array.ravel()[:8])
