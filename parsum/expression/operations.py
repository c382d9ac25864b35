"""What an expression can do: NumPy's ufuncs and their C, and the C of each dtype."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

DType = np.dtype[Any]
Number = bool | int | float | complex

#: The dtypes of Python scalars.
DEFAULTS: Final[dict[type, DType]] = {
    bool: np.dtype(np.bool_),
    int: np.dtype(np.int64),
    float: np.dtype(np.float64),
    complex: np.dtype(np.complex128),
}


def words(text: str) -> list[str]:
    """Return the names in a text."""
    return text.split()


#
# {0}, {1}: the operands, names or constants of the loop's dtype; {T}: their C type; {U}: the
# unsigned type in which integers wrap around without undefined behaviour; {f}: the suffix of
# libm's functions; name_{s}: a function of HELPERS, which is what complex numbers have mostly.

COMPARISONS: Final = {
    "less": "<", "less_equal": "<=", "equal": "==",
    "not_equal": "!=", "greater": ">", "greater_equal": ">=",
}  # fmt: skip
#: libm's functions of real numbers, of which the second have one of complex numbers.
_REAL_LIBM: Final = dict(zip(words("rint exp2 expm1 log2 log10 log1p"), [""] * 6, strict=True))
_LIBM: Final = dict(
    zip(
        words(
            "sqrt exp log sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh"
        ),
        words("sqrt exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh"),
        strict=True,
    )
)

OPERATIONS: Final[dict[str, dict[str, str]]] = {
    "add": {"b": "{0} | {1}", "iu": "({T})(({U}){0} + ({U}){1})", "f": "{0} + {1}"},
    "subtract": {"iu": "({T})(({U}){0} - ({U}){1})", "f": "{0} - {1}"},
    "multiply": {"b": "{0} & {1}", "iu": "({T})(({U}){0} * ({U}){1})", "f": "{0} * {1}"},
    "divide": {"f": "{0} / {1}"},
    "floor_divide": {"iuf": "floor_divide_{s}({0}, {1})"},
    "remainder": {"iuf": "remainder_{s}({0}, {1})"},
    "power": {"iu": "power_{s}({0}, {1})", "f": "pow{f}({0}, {1})"},
    "reciprocal": {"f": "1 / {0}"},
    "square": {"iu": "({T})(({U}){0} * ({U}){0})", "f": "{0} * {0}"},
    "negative": {"iu": "({T})(0 - ({U}){0})", "f": "-{0}"},
    "positive": {"iufc": "{0}"},
    "invert": {"b": "!{0}", "iu": "({T})~{0}"},
    "bitwise_and": {"biu": "{0} & {1}"},
    "bitwise_or": {"biu": "{0} | {1}"},
    "bitwise_xor": {"biu": "{0} ^ {1}"},
    "left_shift": {"iu": "(uint64_t){1} < {bits} ? ({T})(({U}){0} << {1}) : 0"},
    "right_shift": {"iu": "(uint64_t){1} < {bits} ? {0} >> {1} : -({0} < 0)"},
    "absolute": {
        "bu": "{0}",
        "i": "{0} < 0 ? ({T})(0 - ({U}){0}) : {0}",
        "f": "fabs{f}({0})",
    },
    "sign": {
        "iu": "({0} > 0) - ({0} < 0)",
        "f": "{0} > 0 ? 1 : {0} < 0 ? -1 : {0} == 0 ? 0 : {0}",
    },
    "minimum": {"biu": "{0} < {1} ? {0} : {1}", "f": "(({0} < {1}) | ({0} != {0})) ? {0} : {1}"},
    "maximum": {"biu": "{0} > {1} ? {0} : {1}", "f": "(({0} > {1}) | ({0} != {0})) ? {0} : {1}"},
    "fmin": {"biu": "{0} < {1} ? {0} : {1}", "f": "(({0} < {1}) | ({1} != {1})) ? {0} : {1}"},
    "fmax": {"biu": "{0} > {1} ? {0} : {1}", "f": "(({0} > {1}) | ({1} != {1})) ? {0} : {1}"},
    # the limits of clip, which compares complex numbers in its own way
    "at_least": {"biu": "{0} > {1} ? {0} : {1}", "f": "(({0} > {1}) | ({0} != {0})) ? {0} : {1}"},
    "at_most": {"biu": "{0} < {1} ? {0} : {1}", "f": "(({0} < {1}) | ({0} != {0})) ? {0} : {1}"},
    "hypot": {"f": "hypot{f}({0}, {1})"},
    "arctan2": {"f": "atan2{f}({0}, {1})"},
    "isnan": {"biu": "0", "f": "{0} != {0}", "c": "({0}.re != {0}.re) | ({0}.im != {0}.im)"},
    "isinf": {
        "biu": "0",
        "f": "fabs{f}({0}) == INFINITY",
        "c": "(fabs{f}({0}.re) == INFINITY) | (fabs{f}({0}.im) == INFINITY)",
    },
    "isfinite": {
        "biu": "1",
        "f": "fabs{f}({0}) < INFINITY",
        "c": "(fabs{f}({0}.re) < INFINITY) & (fabs{f}({0}.im) < INFINITY)",
    },
    "conjugate": {"iuf": "{0}"},
    "real": {"biuf": "{0}", "c": "{0}.re"},
    "imag": {"biuf": "0", "c": "{0}.im"},
    "logical_and": {"b": "{0} & {1}"},
    "logical_or": {"b": "{0} | {1}"},
    "logical_xor": {"b": "{0} ^ {1}"},
    "logical_not": {"b": "!{0}"},
    "floor": {"biu": "{0}", "f": "floor{f}({0})"},
    "ceil": {"biu": "{0}", "f": "ceil{f}({0})"},
    "trunc": {"biu": "{0}", "f": "trunc{f}({0})"},
}
for _name, _sign in COMPARISONS.items():
    OPERATIONS[_name] = {"biuf": f"{{0}} {_sign} {{1}}"}
for _name, _c in (_REAL_LIBM | _LIBM).items():
    OPERATIONS[_name] = {"f": f"{_c or _name}{{f}}({{0}})"}

#: Operations whose result is one of float16 whenever the operands are, so needs no rounding.
EXACT_IN_HALF: Final = frozenset(
    words(
        "negative positive absolute sign minimum maximum fmin fmax at_least at_most"
        " floor ceil trunc rint conjugate real imag"
    )
)

# The functions `name_s(a)` and `name_s(a, b)`: names, kinds of operands and bodies. $T: the type
# of the operands, $C if complex; $R: that of the parts; $f: libm's suffix; $s: the dtype's name.
# Orders and libm's functions of complex numbers are added to them below.
_FUNCTION_TEXTS = """
floor_divide(a, b) u: return b == 0 ? 0 : a / b;

floor_divide(a, b) i:
    if (b == 0) return 0;
    if (b == -1) return ($T)(0 - ($U)a); /* the least integer divided by -1 traps */
    return ($T)(a / b - ((a % b != 0) & ((a < 0) != (b < 0))));

floor_divide(a, b) f:
    if (b == 0) return a / b;
    const $T rest = fmod$f(a, b);
    $T quotient = (a - rest) / b; /* near an integer, to which it is snapped */
    if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
    if (quotient == 0) return copysign$f(0, a / b);
    const $T whole = floor$f(quotient);
    return quotient - whole > ($T)0.5 ? whole + 1 : whole;

remainder(a, b) u: return b == 0 ? 0 : a % b;

remainder(a, b) i:
    if (b == 0 || b == -1) return 0;
    const $T rest = ($T)(a % b);
    return ((rest != 0) & ((rest < 0) != (b < 0))) ? ($T)(rest + b) : rest;

remainder(a, b) f:
    const $T rest = fmod$f(a, b);
    if (b == 0) return rest;
    if (rest == 0) return copysign$f(0, b);
    return (b < 0) != (rest < 0) ? rest + b : rest;

power(a, b) iu:
    $U result = 1, square = ($U)a;
    for (uint64_t k = (uint64_t)b; k != 0; k >>= 1) {
        if (k & 1) result *= square;
        square *= square;
    }
    return ($T)result;

add(a, b) c: return ($C){a.re + b.re, a.im + b.im};

subtract(a, b) c: return ($C){a.re - b.re, a.im - b.im};

multiply(a, b) c: return ($C){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};

square(a) c: return ($C){a.re * a.re - a.im * a.im, a.re * a.im + a.im * a.re};

divide(a, b) c: /* by Smith's algorithm */
    const $R re = fabs$f(b.re), im = fabs$f(b.im);
    if (re == 0 && im == 0) return ($C){a.re / re, a.im / re};
    if (re >= im) {
        const $R ratio = b.im / b.re, scale = 1 / (b.re + b.im * ratio);
        return ($C){(a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale};
    }
    const $R ratio = b.re / b.im, scale = 1 / (b.im + b.re * ratio);
    return ($C){(a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale};

reciprocal(a) c:
    if (fabs$f(a.im) <= fabs$f(a.re)) {
        const $R ratio = a.im / a.re, scale = a.re + a.im * ratio;
        return ($C){1 / scale, -ratio / scale};
    }
    const $R ratio = a.re / a.im, scale = a.re * ratio + a.im;
    return ($C){ratio / scale, -1 / scale};

negative(a) c: return ($C){-a.re, -a.im};

conjugate(a) c: return ($C){a.re, -a.im};

rint(a) c: return ($C){rint$f(a.re), rint$f(a.im)};

absolute(a) c: /* as hypot, but in vectors: scaled by the power of two of the larger part */
    const $R re = fabs$f(a.re), im = fabs$f(a.im), size = re > im ? re : im;
    $I exponent, inverse;
    $R scale, unscale;
    memcpy(&exponent, &size, sizeof size);
    exponent &= $exponents;
    exponent = exponent < $low ? $low : exponent;
    exponent = exponent > $high ? $high : exponent;
    inverse = $low + $high - exponent;
    memcpy(&unscale, &exponent, sizeof size);
    memcpy(&scale, &inverse, sizeof size);
    const $R x = re * scale, y = im * scale, root = sqrt$f(x * x + y * y) * unscale;
    return ((re == INFINITY) | (im == INFINITY)) ? ($R)INFINITY : root;

absolute(a) G: return hypotl(a.re, a.im);

sign(a) c:
    const $R size = hypot$f(a.re, a.im);
    if (size == 0) return ($C){0, 0};
    if (size < INFINITY) return ($C){a.re / size, a.im / size};
    const int re = fabs$f(a.re) == INFINITY, im = fabs$f(a.im) == INFINITY;
    if (size != size || re == im) return ($C){NAN, NAN};
    return ($C){re ? copysign$f(1, a.re) : 0, im ? copysign$f(1, a.im) : 0};

equal(a, b) c: return (a.re == b.re) & (a.im == b.im);

not_equal(a, b) c: return (a.re != b.re) | (a.im != b.im);

nan(a) c: return (a.re != a.re) | (a.im != a.im);

minimum(a, b) c: return nan_$s(a) || less_equal_$s(a, b) ? a : b;

maximum(a, b) c: return nan_$s(a) || greater_equal_$s(a, b) ? a : b;

fmin(a, b) c: return nan_$s(b) || less_equal_$s(a, b) ? a : b;

fmax(a, b) c: return nan_$s(b) || greater_equal_$s(a, b) ? a : b;

at_least(a, b) c: return nan_$s(a) || (a.re == b.re ? a.im > b.im : a.re > b.re) ? a : b;

at_most(a, b) c: return nan_$s(a) || (a.re == b.re ? a.im < b.im : a.re < b.re) ? a : b;

exp2(a) c:
    const $R ln2 = 0x1.62e42fefa39ef35793c7673007e5ed5e81e69p-1L;
    return exp_$s(($C){a.re * ln2, a.im * ln2});

log2(a) c:
    const $R per = 0x1.71547652b82fe1777d0ffda0d23a7d11d6aep0L;
    const $C log = log_$s(a);
    return ($C){log.re * per, log.im * per};

log10(a) c:
    const $R per = 0x1.bcb7b1526e50e32a6ab7555f5a67b8647dc7p-2L;
    const $C log = log_$s(a);
    return ($C){log.re * per, log.im * per};

log1p(a) c: return ($C){log$f(hypot$f(a.re + 1, a.im)), atan2$f(a.im, a.re + 1)};

expm1(a) c:
    const $R half = sin$f(a.im / 2);
    return ($C){expm1$f(a.re) * cos$f(a.im) - 2 * half * half, exp$f(a.re) * sin$f(a.im)};

power(a, b) c: /* by products if whole; 0 to a power that is not positive is NaN, as NumPy's */
    if (b.re == 0 && b.im == 0) return ($C){1, 0};
    if (a.re == 0 && a.im == 0) return b.re > 0 && b.im == 0 ? ($C){0, 0} : ($C){NAN, NAN};
    if (b.im == 0 && b.re == rint$f(b.re) && fabs$f(b.re) < 100) {
        if (b.re == 1) return a;
        if (b.re == 2) return square_$s(a);
        if (b.re == 3) return multiply_$s(square_$s(a), a);
        $C result = {1, 0};
        for (unsigned k = (unsigned)fabs$f(b.re);;) {
            if (k & 1) result = multiply_$s(result, a);
            if ((k >>= 1) == 0) break;
            a = square_$s(a);
        }
        return b.re < 0 ? divide_$s(($C){1, 0}, result) : result;
    }
    $R _Complex y, z;
    memcpy(&y, &a, sizeof y);
    memcpy(&z, &b, sizeof z);
    z = cpow$f(y, z);
    memcpy(&a, &z, sizeof z);
    return a;
"""
# Complex numbers are ordered by their parts in turn; NaN is neither less nor greater.
for _name in ("less", "less_equal", "greater", "greater_equal"):
    _FUNCTION_TEXTS += f"""
{_name}(a, b) c:
    return ((a.re {COMPARISONS[_name][0]} b.re) & (a.im == a.im) & (b.im == b.im)) |
           ((a.re == b.re) & (a.im {COMPARISONS[_name]} b.im));
"""
for _name, _c in _LIBM.items():
    _FUNCTION_TEXTS += f"""
{_name}(a) c: /* whose parts are copied, for `re + I * im` loses infinite ones */
    $R _Complex z;
    memcpy(&z, &a, sizeof z);
    z = c{_c}$f(z);
    memcpy(&a, &z, sizeof z);
    return a;
"""
#: Of complex numbers: the bits of the exponent, and the powers of two whose inverses are normal.
EXPONENTS: Final = {
    "F": {"I": "int32_t", "exponents": "0x7f800000", "low": "0x01000000", "high": "0x7e000000"},
    "D": {
        "I": "int64_t",
        "exponents": "0x7ff0000000000000",
        "low": "0x0020000000000000",
        "high": "0x7fc0000000000000",
    },
}
#: By name and kind: how it is called, and its body.
HELPERS: Final = {
    (name, kind): (call, body)
    for name, call, kinds, body in re.findall(
        r"^(\w+)(\(.*?\)) (\w+): *(.*(?:\n(?!\w).*)*)", _FUNCTION_TEXTS, re.MULTILINE
    )
    for kind in kinds
}
for (_name, _kind), (_call, _) in HELPERS.items():
    if _kind == "c" and _name != "nan":
        _call = _call.replace("a", "{0}").replace("b", "{1}")
        OPERATIONS[_name] = {"c": f"{_name}_{{s}}{_call}"} | OPERATIONS.get(_name, {})

# float16 is calculated with as float and rounded after each operation; the same as _Float16, but
# on every compiler and in vectors.
HALF = """
static inline float half_value(uint16_t half)
{
    uint32_t word = (uint32_t)(half & 0x7fff) << 13;
    float value;
    memcpy(&value, &word, sizeof value);
    value *= 0x1p112f;
    memcpy(&word, &value, sizeof word);
    word |= (half & 0x7c00) == 0x7c00 ? 0x7f800000u : 0;
    word |= (uint32_t)(half & 0x8000) << 16;
    memcpy(&value, &word, sizeof value);
    return value;
}

static inline uint16_t half_bits(float value) /* which is one of float16 */
{
    uint32_t word, small;
    memcpy(&word, &value, sizeof word);
    const uint32_t sign = word >> 16 & 0x8000, size = word & 0x7fffffff;
    const float aligned = fabsf(value) + 0.5f; /* whose unit is that of subnormal numbers */
    memcpy(&small, &aligned, sizeof small);
    uint32_t bits = size < 0x38800000u ? small - 0x3f000000u : (size - 0x38000000u) >> 13;
    bits = size >= 0x7f800000u ? 0x7c00 : bits;
    bits = size > 0x7f800000u ? 0x7e00 : bits;
    return (uint16_t)(bits | sign);
}

static inline float half_round(float value)
{
    uint32_t word, small;
    memcpy(&word, &value, sizeof word);
    const uint32_t sign = word & 0x80000000u, size = word ^ sign;
    const float aligned = fabsf(value) + 0.5f - 0.5f; /* to the unit of subnormal numbers */
    memcpy(&small, &aligned, sizeof small);
    uint32_t bits = (size + 0xfff + (size >> 13 & 1)) & ~0x1fffu;
    bits = size < 0x38800000u ? small : bits;
    bits = size >= 0x477ff000u ? 0x7f800000u : bits;
    bits = (size > 0x7f800000u ? 0x7fc00000u : bits) | sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* By way of float rounded to odd, so that the second rounding is the only one. */
static inline float half_round_double(double value)
{
    float single = (float)value;
    uint32_t word;
    memcpy(&word, &single, sizeof word);
    if ((double)single != value && value == value && (word & 1) == 0)
        word += fabs((double)single) < fabs(value) ? 1u : -1u;
    memcpy(&single, &word, sizeof single);
    return half_round(single);
}
"""


# --- C types


@dataclass(frozen=True, slots=True)
class CType:
    """The C of a dtype: its values, their memory, libm's suffix, the type integers wrap in."""

    kind: str
    value: str
    stored: str
    suffix: str = ""
    part: str = ""
    unsigned: str = ""


_REALS: Final = {"e": ("float", "f"), "f": ("float", "f"), "d": ("double", ""),
                 "g": ("long double", "l")}  # fmt: skip
_PARTS: Final = {"F": "f", "D": "d", "G": "g"}


def ctype_of(dtype: DType) -> CType:
    """Return the C of a dtype."""
    if dtype.kind == "b":
        return CType("b", "uint8_t", "uint8_t", unsigned="uint32_t")
    if dtype.kind in "iu":
        name = f"{'u' * (dtype.kind == 'u')}int{8 * dtype.itemsize}_t"
        # unsigned types that are narrower than int are promoted to int, and overflow
        return CType(dtype.kind, name, name, unsigned=f"uint{max(32, 8 * dtype.itemsize)}_t")
    part, suffix = _REALS[_PARTS.get(dtype.char, dtype.char)]
    if dtype.kind == "c":
        return CType("c", dtype.name, dtype.name, suffix, part)
    return CType("f", part, "uint16_t" if dtype.char == "e" else part, suffix, part)


def part_dtype(dtype: DType) -> DType:
    """The dtype of the real part."""
    return np.dtype(_PARTS[dtype.char]) if dtype.kind == "c" else dtype


def _real_constant(value: Any, ctype: CType) -> str:
    if np.isnan(value):
        return f"({ctype.part})NAN"
    if np.isinf(value):
        return f"({ctype.part}){'-' if value < 0 else ''}INFINITY"
    high = float(value)
    letter = {"f": "f", "": "", "l": "L"}[ctype.suffix]
    # a second double has the rest of a long double
    low = float(value - high) if ctype.suffix == "l" else 0.0
    return f"({high.hex()}{letter})" if low == 0 else f"({high.hex()}L + {low.hex()}L)"


def constant_text(number: Number, dtype: DType) -> str:
    """A constant of a dtype, rounded as NumPy rounds Python's numbers; OverflowError as NumPy's."""
    ctype = ctype_of(dtype)
    with np.errstate(all="ignore"):
        held = np.empty((), dtype)
        held[()] = number
    value = held[()]
    if ctype.kind == "c":
        parts = (_real_constant(value.real, ctype), _real_constant(value.imag, ctype))
        return f"(({ctype.value}){{{parts[0]}, {parts[1]}}})"
    if ctype.kind == "f":
        return _real_constant(value, ctype)
    if int(value) == -(2**63):
        return "INT64_MIN"
    return f"(({ctype.value}){int(value)}{'u' * (ctype.kind == 'u')})"
