"""What the tests of the whole family share: its table, hard arrays, and oracles in rationals.

NumPy says what a call returns (type, dtype, shape, warnings, errors), and the values too where they
are found by comparison. Values that are rounded come from integers and `fractions.Fraction` alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out
from numpy.typing import DTypeLike
from oracle import bits, nearest, sum_of_specials
from strategies import FAMILIES, FINITE, generate

import parsum

# ---- the table ----

BOOL = ["?"]
INTEGERS = list("bBhHiIlLqQ")
FLOATS = ["e", "f", "d"]
COMPLEX = ["F", "D"]
LONG = ["g", "G"]
TIMES = ["m8[s]", "M8[ms]"]
DTYPES = [*BOOL, *INTEGERS, *FLOATS, *COMPLEX, *LONG, *TIMES]


def dtypes_of(kinds: str) -> list[str]:
    return [code for code in DTYPES if np.dtype(code).kind in kinds]


@dataclass(frozen=True)
class Function:
    """A public function, NumPy's of the same name, and the keywords that both take."""

    name: str
    ours: Callable[..., Any]
    numpys: Callable[..., Any]
    kinds: str
    keywords: frozenset[str]

    def __str__(self) -> str:
        return self.name


class MinMax(NamedTuple):
    min: Any
    max: Any


def _numpy_minmax(a: Any, axis: Any = None, keepdims: bool = False) -> MinMax:
    return MinMax(np.min(a, axis, keepdims=keepdims), np.max(a, axis, keepdims=keepdims))


def _numpy_count_nonzero(
    a: Any, axis: Any = None, *, keepdims: bool = False, where: Any = True
) -> Any:
    """With a mask, which NumPy's own lacks."""
    if where is not True:
        a = np.where(where, a != np.zeros((), np.asarray(a).dtype), False)
    return np.count_nonzero(a, axis, keepdims=keepdims)


def _function(name: str, kinds: str, keywords: str, numpys: Any = None) -> Function:
    ours = getattr(parsum, f"parallel_{name}")
    return Function(name, ours, numpys or getattr(np, name), kinds, frozenset(keywords.split()))


def _norm(order: float | None) -> Function:
    return Function(
        f"norm {order}",
        partial(parsum.parallel_norm, ord=order),
        partial(np.linalg.norm, ord=order),
        "biufc",
        frozenset(["one axis"]),
    )


_ALL = "biufcmM"
_LOGIC = [
    _function("any", _ALL, "out where"),
    _function("all", _ALL, "out where"),
    _function("count_nonzero", _ALL, "where", _numpy_count_nonzero),
]
_ORDER = [
    _function("min", _ALL, "out where initial"),
    _function("max", _ALL, "out where initial"),
    _function("minmax", "biufcmM", "", _numpy_minmax),
    _function("nanmin", _ALL, "out where initial"),
    _function("nanmax", _ALL, "out where initial"),
    _function("argmin", _ALL, "out one axis"),
    _function("argmax", _ALL, "out one axis"),
    _function("nanargmin", "biufc", "out one axis"),
    _function("nanargmax", "biufc", "out one axis"),
]
_MOMENTS = [
    _function("mean", "biufcm", "out where dtype"),
    _function("nanmean", "biufcm", "out where dtype"),
    *(_function(name, "biufc", "out where ddof dtype") for name in ("var", "std")),
    *(_function(name, "biufc", "out where ddof dtype") for name in ("nanvar", "nanstd")),
]
_SUMS = [
    _function("sum", "biufcm", "out where initial dtype"),
    _function("nansum", "biufcm", "out where initial dtype"),
]
_PRODUCTS = [
    _function("prod", "biufc", "out where initial dtype"),
    _function("nanprod", "biufc", "out where initial dtype"),
]
_NORMS = [_norm(order) for order in (2, 1, math.inf, -math.inf, 0, 3, 0.5)]

COMPARED = {f.name: f for f in [*_LOGIC, *_ORDER]}  # NumPy's values are right
ROUNDED = {f.name: f for f in [*_SUMS, *_MOMENTS, *_NORMS]}
MULTIPLIED = {f.name: f for f in _PRODUCTS}
FUNCTIONS = {**COMPARED, **ROUNDED, **MULTIPLIED}

# ---- values ----

STYLES = ["ties", "extremes", "finite extremes", "zeros", "constant", "random", "hard", "nans",
          "all nan"]  # fmt: skip
FINITE_STYLES = ["ties", "finite extremes", "zeros", "constant", "random", "finite hard"]


def _floats(style: str, n: int, dtype: np.dtype[Any], rng: np.random.Generator) -> np.ndarray:
    info = np.finfo(dtype)
    small = rng.integers(-3, 4, n) * rng.choice([-1.0, 1.0], n)  # zeros of both signs
    if style in ("hard", "finite hard"):
        family = str(rng.choice(sorted(FAMILIES if style == "hard" else FINITE)))
        seed = int(rng.integers(2**32))
        if dtype.char != "g":
            return generate(family, n, dtype, seed)
        with np.errstate(all="ignore"):
            return generate(family, n, np.float64, seed).astype(dtype) / 3
    if style == "extremes":
        pool = [0.0, -0.0, 1, -1, info.max, -info.max, info.tiny, -info.smallest_subnormal, np.inf,
                -np.inf, np.nan, np.nextafter(dtype.type(1), dtype.type(2))]  # fmt: skip
        pool = pool[: int(rng.integers(1, len(pool) + 1))]
    elif style == "finite extremes":
        pool = [0.0, -0.0, 1, -1, info.max, -info.max, info.tiny, -info.smallest_subnormal]
    elif style == "zeros":
        return np.where(rng.random(n) < 0.1, small, rng.choice([0.0, -0.0])).astype(dtype)
    elif style == "constant":
        pool = [rng.standard_normal()]
    elif style == "random":
        return rng.standard_normal(n).astype(dtype)
    elif style == "nans":
        return np.where(rng.random(n) < rng.choice([0.1, 0.7]), np.nan, small).astype(dtype)
    elif style == "all nan":
        pool = [np.nan]
    else:
        return small.astype(dtype)
    return rng.choice(np.array(pool, dtype), n)


def _whole(style: str, n: int, dtype: np.dtype[Any], rng: np.random.Generator) -> np.ndarray:
    info = np.iinfo(dtype)
    low = 0 if dtype.kind == "u" else -3
    if style == "ties":
        return rng.integers(low, 4, n).astype(dtype)
    if style == "zeros":
        return np.where(rng.random(n) < 0.1, rng.integers(low, 4, n), 0).astype(dtype)
    if "extremes" in style:
        pool = [info.min, info.min + 1, 0, 1, info.max - 1, info.max]
        return rng.choice(np.array(pool, dtype), n)
    every = rng.integers(0, 256, n * dtype.itemsize, np.uint8).view(dtype)
    if style == "constant" and n:
        every[:] = every[0]
    return every


def values(style: str, n: int, dtype: DTypeLike, seed: int = 0) -> np.ndarray:
    """An array of any dtype in a style: what the style names, or what is most like it."""
    dtype = np.dtype(dtype)
    rng = np.random.default_rng([seed, n, sum(map(ord, style))])
    if dtype.kind == "b":
        share = {"zeros": 0.02, "constant": 1.0, "all nan": 0.0}.get(style, 0.5)
        return rng.random(n) < share
    if dtype.kind in "iu":
        return _whole(style, n, dtype, rng)
    if dtype.kind in "mM":
        whole = _whole(style, n, np.dtype(np.int64), rng)
        nothing = {"nans": 0.5, "all nan": 1.0, "extremes": 0.1}.get(style, 0.0)
        whole[whole == np.iinfo(np.int64).min] += 2  # NaT
        whole[rng.random(n) < nothing] = np.iinfo(np.int64).min
        return whole.view(dtype)
    if dtype.kind == "c":
        part = np.empty(0, dtype).real.dtype
        pair = np.empty((n, 2), part)
        pair[:, 0] = _floats(style, n, part, rng)
        pair[:, 1] = _floats(style, n, part, rng)
        return pair.view(dtype)[:, 0]
    return _floats(style, n, dtype, rng)


@st.composite
def shapes(draw: st.DrawFn, min_ndim: int = 0) -> tuple[int, ...]:
    """Small shapes, some of them empty; now and then one axis so long that segments are cut."""
    ndim = draw(st.integers(min_ndim, 3))
    shape = [draw(st.integers(0, 6) | st.integers(1, 3)) for _ in range(ndim)]
    if ndim and draw(st.integers(0, 3)) == 0:
        # The walker's sizes: short runs, leaves, tiles.
        longs = st.sampled_from([31, 33, 64, 257, 1023, 1025, 2049, 3000])
        longest = draw(st.integers(0, ndim - 1))
        shape = [min(k, 3) for k in shape]
        shape[longest] = draw(longs)
    return tuple(shape)


@st.composite
def arrays(
    draw: st.DrawFn, dtypes: list[str], styles: list[str] = STYLES, min_ndim: int = 0
) -> np.ndarray:
    """An array of any shape, values and memory layout."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(shapes(min_ndim))
    style, seed = draw(st.sampled_from(styles)), draw(st.integers(0, 2**16))
    return laid_out(draw, values(style, math.prod(shape), dtype, seed).reshape(shape))


def laid_out(draw: st.DrawFn, array: np.ndarray) -> np.ndarray:
    """The same array in another layout, or with an axis that repeats one element."""
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    if array.ndim and array.size and draw(st.integers(0, 9)) == 0:
        axis = draw(st.integers(0, array.ndim - 1))
        return np.broadcast_to(np.take(array, [0], axis), array.shape)
    layout = draw(st.sampled_from(["contiguous", *LAYOUTS]))
    return lay_out(array, layout)


def axes(ndim: int, one: bool = False) -> st.SearchStrategy[Any]:
    """None, numbers from both ends, tuples; seldom one that is not there."""
    some = st.none()
    if ndim:
        some |= st.integers(-ndim, ndim - 1)
        if not one:
            several = st.lists(st.integers(0, ndim - 1), unique=True, max_size=ndim)
            some |= several.map(tuple) | several.map(lambda k: tuple(d - ndim for d in k))
    return some | st.integers(0, 12).map(lambda k: ndim + 1 if k == 0 else None)


def examples(number: int) -> settings:
    """So many examples of a test; of the fuzz profile, as many more as that has in general."""
    return settings(max_examples=number * settings.default.max_examples // 150)


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    """Elements to include: all shapes that broadcast, from none of them to all."""
    kept = draw(st.sampled_from([shape, shape[1:], tuple(1 for _ in shape), ()]))
    density = draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.random(kept) < density if kept else np.array(density > 0.5)


# ---- what a call comes to ----


class Outcome(NamedTuple):
    value: Any
    error: type[BaseException] | None
    message: str
    warned: tuple[str, ...]


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    """The result or error of a call that ignores floating-point errors, and its warnings."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        value, error, message = None, None, ""
        try:
            value = function(*args, **kwargs)
        except Exception as raised:
            error, message = type(raised), f"{type(raised).__name__}: {raised}"
    # NumPy puts a full stop after some, and repeats itself.
    texts = {f"{w.category.__name__}: {str(w.message).rstrip('.')}" for w in caught}
    return Outcome(value, error, message, tuple(sorted(texts)))


_ERRORS = (TypeError, ValueError, np.exceptions.AxisError, OverflowError)


def assert_same_outcome(actual: Outcome, expected: Outcome, note: str = "") -> None:
    """Both raised, and errors of the same kind, or both gave something; the same warnings."""
    if expected.error is None:
        assert actual.error is None, f"{note}\nraised {actual.message}\nnot {expected.value!r}"
    else:
        assert actual.error is not None, f"{note}\ngave {actual.value!r}\nnot {expected.message}"
        for error in _ERRORS:
            assert issubclass(actual.error, error) == issubclass(expected.error, error), (
                f"{note}\nraised {actual.message}\nnot {expected.message}"
            )
    assert actual.warned == expected.warned, (
        f"{note}\nwarned {actual.warned}\nnot {expected.warned}"
    )


def assert_alike(actual: Any, expected: Any, note: str = "") -> None:
    """The same type, dtype and shape; values may differ."""
    seen = f"{note}\nactual   {actual!r}\nexpected {expected!r}"
    assert type(actual) is type(expected), seen
    assert actual.dtype == expected.dtype, seen
    assert actual.dtype.isnative == expected.dtype.isnative, seen
    assert actual.shape == expected.shape, seen


def assert_equal(actual: Any, expected: Any, note: str = "") -> None:
    """Equal values, where NaN equals NaN and zeros of both signs are one."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    same = actual == expected
    if actual.dtype.kind in "fcmM":
        same |= (actual != actual) & (expected != expected)
    assert np.all(same), f"{note}\nactual   {actual!r}\nexpected {expected!r}"


def assert_same_outputs(actual: Any, expected: Any, note: str = "") -> None:
    """The same bits, whatever the result is made of."""
    for left, right in zip(parts(actual), parts(expected), strict=True):
        assert bits(left, strict=True) == bits(right, strict=True), (
            f"{note}\nactual   {left!r}\nexpected {right!r}"
        )


def parts(result: Any) -> tuple[Any, ...]:
    """The arrays of a result."""
    return tuple(result) if isinstance(result, tuple) else (result,)


def poison(nbytes: int) -> None:
    """Leaves garbage in the memory that the next arrays of that size get.

    Otherwise a result that was never written could be an earlier, right one.
    """
    _ = [np.full(nbytes, 0xA5, np.uint8) for _ in range(16)]


# ---- values in rationals ----


def lanes(
    shape: tuple[int, ...], axis: Any, *wide: np.ndarray
) -> Iterator[tuple[tuple[int, ...], list[np.ndarray]]]:
    """For every result its index, and the elements of each array that it is made of."""
    ndim = len(shape)
    reduced = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = [k % ndim for k in reduced] if ndim else []
    kept = [k for k in range(ndim) if k not in reduced]
    outer = tuple(shape[k] for k in kept)
    length = math.prod(shape[k] for k in reduced)
    turned = [a.transpose([*kept, *sorted(reduced)]).reshape((*outer, length)) for a in wide]
    for index in np.ndindex(*outer):
        yield index, [a[index] for a in turned]


def along(
    oracle: Callable[..., Any],
    dtype: DTypeLike,
    array: np.ndarray,
    axis: Any = None,
    keepdims: bool = False,
    where: Any = True,
) -> np.ndarray:
    """The results of an oracle for flat arrays, one after the other."""
    where = np.broadcast_to(np.asarray(where, bool), array.shape)
    found = {
        index: oracle(elements[included])
        for index, (elements, included) in lanes(array.shape, axis, array, where)
    }
    ndim = array.ndim
    reduced = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = [k % ndim for k in reduced] if ndim else []
    result = np.empty([n for k, n in enumerate(array.shape) if k not in reduced], dtype)
    for index, value in found.items():
        result[index] = value
    if keepdims:
        result = result.reshape([1 if k in reduced else n for k, n in enumerate(array.shape)])
    return result


def scaled(flat: np.ndarray) -> tuple[list[int], int]:
    """Finite numbers as integers times a power of two, whose negative exponent is given."""
    if flat.dtype.kind in "biu":
        return [int(v) for v in flat.tolist()], 0
    pairs = [v.as_integer_ratio() for v in (flat if flat.dtype.char == "g" else flat.tolist())]
    shift = max((d.bit_length() - 1 for _, d in pairs), default=0)
    return [n << (shift - d.bit_length() + 1) for n, d in pairs], shift


def rounded_root(value: Fraction, dtype: DTypeLike) -> Any:
    """The square root of a fraction, rounded once.

    `root` has more bits than any format and ends below its least subnormal, so numbers and ties are
    whole: a root that is not exact lies between two of them, as the half that stands for it does.
    """
    shift = 1400
    quotient, rest = divmod(value.numerator << (2 * shift), value.denominator)
    root = math.isqrt(quotient)
    inexact = rest != 0 or root * root != quotient
    return nearest(Fraction(2 * root + inexact, 2 << shift), dtype)


def real_parts(flat: np.ndarray) -> list[np.ndarray]:
    return [flat.real, flat.imag] if flat.dtype.kind == "c" else [flat]


def _finite(flat: np.ndarray) -> bool:
    return flat.dtype.kind not in "fc" or bool(np.isfinite(flat).all())


def _zero_of(flat: np.ndarray, dtype: np.dtype[Any]) -> Any:
    """An exact zero: negative if it is made of nothing but such zeros."""
    negative = flat.dtype.kind == "f" and flat.size and np.signbit(flat).all() and not flat.any()
    return dtype.type(-0.0 if negative else 0.0)


def _complex(function: Callable[..., Any], flat: np.ndarray, dtype: np.dtype[Any]) -> Any:
    """A complex result of which each part is that of the elements' parts."""
    part = np.empty(0, dtype).real.dtype
    pair = np.empty(2, part)
    pair[0] = function(flat.real, part)
    pair[1] = function(flat.imag if flat.dtype.kind == "c" else np.zeros_like(flat), part)
    return pair.view(dtype)[0]


def mean_of(flat: np.ndarray, dtype: DTypeLike) -> Any:
    """The exact mean, rounded once; that of times is truncated."""
    dtype = np.dtype(dtype)
    if dtype.kind == "m":
        ticks = flat.astype(np.int64).tolist()
        if not ticks or np.isnat(flat).any():
            return np.timedelta64("NaT")
        total = Fraction(sum(ticks), len(ticks))
        return np.timedelta64(int(total), np.datetime_data(dtype)[0])
    if dtype.kind == "c":
        return _complex(mean_of, flat, dtype)
    if flat.size == 0:
        return dtype.type(np.nan)
    special = sum_of_specials(flat) if flat.dtype.kind == "f" else None
    if special is not None:
        return dtype.type(special)
    whole, shift = scaled(flat)
    total = sum(whole)
    if total == 0:
        return _zero_of(flat, dtype)
    return nearest(Fraction(total, flat.size << shift), dtype)


def variance(flat: np.ndarray, ddof: float, mean: Any = None) -> Fraction | float:
    """The exact variance of numbers, or the NaN or infinity that stands for it."""
    divisor = flat.size - Fraction(ddof)
    if flat.size == 0 or not _finite(flat):
        return math.nan
    total = Fraction(0)
    for k, part in enumerate(real_parts(flat)):
        whole, shift = scaled(part)
        if mean is None:
            power = len(whole) * sum(v * v for v in whole) - sum(whole) ** 2
            total += Fraction(power, len(whole) << (2 * shift))
        else:
            center = Fraction(float([np.real(mean), np.imag(mean)][k]))
            total += sum((Fraction(v, 1 << shift) - center) ** 2 for v in whole)
    if divisor <= 0:
        return math.inf if total else math.nan
    return total / divisor


def var_of(flat: np.ndarray, dtype: DTypeLike, ddof: float = 0, mean: Any = None) -> Any:
    value = variance(flat, ddof, mean)
    return np.dtype(dtype).type(value) if isinstance(value, float) else nearest(value, dtype)


def std_of(flat: np.ndarray, dtype: DTypeLike, ddof: float = 0, mean: Any = None) -> Any:
    value = variance(flat, ddof, mean)
    return np.dtype(dtype).type(value) if isinstance(value, float) else rounded_root(value, dtype)


def norm2_of(flat: np.ndarray, dtype: DTypeLike) -> Any:
    """The correctly rounded root of the exact sum of squares."""
    dtype = np.dtype(dtype)
    if not _finite(flat):
        return dtype.type(np.nan if np.isnan(flat).any() else np.inf)
    total = Fraction(0)
    for part in real_parts(flat):
        whole, shift = scaled(part)
        total += Fraction(sum(v * v for v in whole), 1 << (2 * shift))
    return rounded_root(total, dtype)


def norm1_of(flat: np.ndarray, dtype: DTypeLike) -> Any:
    """The correctly rounded sum of absolute values of real numbers."""
    dtype = np.dtype(dtype)
    if not _finite(flat):
        return dtype.type(np.nan if np.isnan(flat).any() else np.inf)
    whole, shift = scaled(flat)
    return nearest(Fraction(sum(map(abs, whole)), 1 << shift), dtype)


def near_of(
    name: str, flat: np.ndarray, kwargs: dict[str, Any]
) -> tuple[Fraction | float, Fraction]:
    """The exact value of what is not correctly rounded, and the size of the terms it is made of."""
    if name == "sum" and kwargs.get("initial") is not None:
        flat = np.append(flat, np.array(kwargs["initial"], flat.dtype))
    if not _finite(flat):
        if name in ("var", "std"):
            return math.nan, Fraction(0)
        if flat.dtype.kind == "c" or name.startswith("norm"):
            # An infinite part makes a number infinite whatever the other is (C11, annex G).
            sizes = np.where(np.isinf(flat), np.inf, np.abs(flat))
            return math.nan if np.isnan(sizes).any() else math.inf, Fraction(0)
        special = sum_of_specials(flat)
        return math.nan if special is None else special, Fraction(0)
    numbers = []
    for part in real_parts(flat):
        whole, shift = scaled(part)
        numbers.append([Fraction(v, 1 << shift) for v in whole])
    every = [v for part in numbers for v in part]
    if name in ("sum", "mean"):
        n = Fraction(1 if name == "sum" else flat.size)
        return (sum(every) / n, sum(map(abs, every)) / n) if n else (math.nan, n)
    if name in ("var", "std"):
        value = variance(flat, kwargs.get("ddof", 0))
        if isinstance(value, float):
            return value, Fraction(0)
        scale = sum(v * v for v in every) / (flat.size - Fraction(kwargs.get("ddof", 0)))
        return (value, scale) if name == "var" else (root(value), root(scale))
    if name == "norm 2":
        value = root(sum((v * v for v in every), Fraction(0)))
        return value, value
    sizes = [root(sum((v * v for v in pair), Fraction(0))) for pair in zip(*numbers, strict=True)]
    return sum(sizes, Fraction(0)), sum(sizes, Fraction(0))


def root(value: Fraction) -> Fraction:
    """The square root to far more bits than any format has."""
    shift = 400
    return Fraction(math.isqrt((value.numerator << (2 * shift)) // value.denominator), 1 << shift)


def dot_of(a: np.ndarray, b: np.ndarray, dtype: DTypeLike, conjugate: bool = False) -> Any:
    """The exact inner product of two arrays of the result's dtype, rounded once."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return bool((a & b).any())
    if dtype.kind in "iu":
        return wrapped(sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True)), dtype)[0]
    if dtype.kind == "c":
        part = np.empty(0, dtype).real.dtype
        sign = 1 if conjugate else -1
        pair = np.empty(2, part)
        left, right = np.concatenate([a.real, a.imag]), np.concatenate([b.real, b.imag * sign])
        pair[0] = dot_of(left, right, part)
        left, right = np.concatenate([a.real, a.imag * -sign]), np.concatenate([b.imag, b.real])
        pair[1] = dot_of(left, right, part)
        return pair.view(dtype)[0]
    finite = np.isfinite(a) & np.isfinite(b)
    with np.errstate(all="ignore"):
        special = sum_of_specials(a[~finite] * b[~finite]) if not finite.all() else None
    if special is not None:
        return dtype.type(special)
    left, shift = scaled(a)
    right, other = scaled(b)
    total = sum(x * y for x, y in zip(left, right, strict=True))
    return nearest(Fraction(total, 1 << (shift + other)), dtype)


def wrapped(total: int, dtype: DTypeLike) -> tuple[Any, bool]:
    """An integer modulo 2**bits, and whether that changed it."""
    info = np.iinfo(np.dtype(dtype))
    value = (total - int(info.min)) % (1 << info.bits) + int(info.min)
    return np.dtype(dtype).type(value), value != total


def not_nan(flat: np.ndarray) -> np.ndarray:
    """The elements that are not NaN."""
    return flat[~np.isnan(flat)] if flat.dtype.kind in "fc" else flat
