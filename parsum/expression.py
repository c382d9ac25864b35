"""Expressions over named arrays, typed by NumPy's rules and written as C that evaluates one block.

The text is parsed by Python's own parser and only what is listed here is taken from its tree, so
nothing of it is executed; nothing of it reaches the C text either, but for the values of its
numbers, printed anew. The C text calculates as NumPy does, to the bit, with these exceptions:

- exp, log, sin, ``**`` and the like are the C library's; NumPy's own vector versions may differ by
  an ulp or two. So may its product, square and abs of complex numbers, which depend on the CPU:
  here products are the formula, each operation rounded, and abs is within 1.3 ulp. The result is
  the same for any number of workers.
- The sign of a zero that ``minimum``, ``maximum``, ``fmin``, ``fmax`` or ``clip`` take from zeros
  of either sign is the second operand's; NumPy's depends on the CPU.
- Python scalars that are not written in the text are calculated with as int64, float64 and
  complex128 where they meet each other only; `Typed.bounds` says which integers may be given.
- An integer that does not fit its dtype is an error in ``where`` too, where NumPy wraps it around,
  and comparisons of bool with any integer are exact.
- Integers are raised to powers that are known not to be negative: written in the text, unsigned
  or a Python integer. A signed array of exponents is a TypeError, for a kernel has no way to fail.
- ``x**k`` of bool is int8 if the exponent is written as 2, as NumPy's, but int64 if it is a
  variable that is 2.
- Floating-point errors are not reported: ``np.errstate`` does not see those of the map.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from string import Template
from typing import Any, Final, TypeVar

import numpy as np

DType = np.dtype[Any]
#: The type of a variable: an array's dtype, or bool, int, float or complex for a Python scalar.
Kind = DType | type
_Number = bool | int | float | complex
_Error = TypeVar("_Error", bound=Exception)

MAX_LENGTH: Final = 10_000
MAX_DEPTH: Final = 100
#: As many as fit on the stack beside each other, see _BUFFER_BYTES.
MAX_NAMES: Final = 32
#: No dtype holds larger integers; they would only take time.
_MAX_BITS: Final = 20_000
#: What a kernel has for an array that it cannot read in order.
_BUFFER_BYTES: Final = 2048

_DEFAULTS: Final[dict[type, DType]] = {
    bool: np.dtype(np.bool_),
    int: np.dtype(np.int64),
    float: np.dtype(np.float64),
    complex: np.dtype(np.complex128),
}
_BOOL, _INT64, _FLOAT64 = _DEFAULTS[bool], _DEFAULTS[int], _DEFAULTS[float]
_UINT64 = np.dtype(np.uint64)
_INT64_BOUNDS = (-(2**63), 2**63 - 1)


def _words(text: str) -> list[str]:
    return text.split()


# --- The operations: NumPy's ufuncs and their C, by the kind of the operands ---------------------
#
# {0}, {1}: the operands, names or constants of the loop's dtype; {T}: their C type; {U}: the
# unsigned type in which integers wrap around without undefined behaviour; {f}: the suffix of
# libm's functions; name_{s}: a function of _HELPERS, which is what complex numbers have mostly.

_COMPARISONS: Final = {
    "less": "<", "less_equal": "<=", "equal": "==",
    "not_equal": "!=", "greater": ">", "greater_equal": ">=",
}  # fmt: skip
#: libm's functions of real numbers, of which the second have one of complex numbers.
_REAL_LIBM: Final = dict(zip(_words("rint exp2 expm1 log2 log10 log1p"), [""] * 6, strict=True))
_LIBM: Final = dict(
    zip(
        _words(
            "sqrt exp log sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh"
        ),
        _words("sqrt exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh"),
        strict=True,
    )
)

_OPERATIONS: Final[dict[str, dict[str, str]]] = {
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
for _name, _sign in _COMPARISONS.items():
    _OPERATIONS[_name] = {"biuf": f"{{0}} {_sign} {{1}}"}
for _name, _c in (_REAL_LIBM | _LIBM).items():
    _OPERATIONS[_name] = {"f": f"{_c or _name}{{f}}({{0}})"}

#: Operations whose result is one of float16 whenever the operands are, so needs no rounding.
_EXACT_IN_HALF: Final = frozenset(
    _words(
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
    return ((a.re {_COMPARISONS[_name][0]} b.re) & (a.im == a.im) & (b.im == b.im)) |
           ((a.re == b.re) & (a.im {_COMPARISONS[_name]} b.im));
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
_EXPONENTS: Final = {
    "F": {"I": "int32_t", "exponents": "0x7f800000", "low": "0x01000000", "high": "0x7e000000"},
    "D": {
        "I": "int64_t",
        "exponents": "0x7ff0000000000000",
        "low": "0x0020000000000000",
        "high": "0x7fc0000000000000",
    },
}
#: By name and kind: how it is called, and its body.
_HELPERS: Final = {
    (name, kind): (call, body)
    for name, call, kinds, body in re.findall(
        r"^(\w+)(\(.*?\)) (\w+): *(.*(?:\n(?!\w).*)*)", _FUNCTION_TEXTS, re.MULTILINE
    )
    for kind in kinds
}
for (_name, _kind), (_call, _) in _HELPERS.items():
    if _kind == "c" and _name != "nan":
        _call = _call.replace("a", "{0}").replace("b", "{1}")
        _OPERATIONS[_name] = {"c": f"{_name}_{{s}}{_call}"} | _OPERATIONS.get(_name, {})

# float16 is calculated with as float and rounded after each operation; the same as _Float16, but
# on every compiler and in vectors.
_HALF = """
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


# --- C types -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _CType:
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


def _ctype(dtype: DType) -> _CType:
    if dtype.kind == "b":
        return _CType("b", "uint8_t", "uint8_t", unsigned="uint32_t")
    if dtype.kind in "iu":
        name = f"{'u' * (dtype.kind == 'u')}int{8 * dtype.itemsize}_t"
        # unsigned types that are narrower than int are promoted to int, and overflow
        return _CType(dtype.kind, name, name, unsigned=f"uint{max(32, 8 * dtype.itemsize)}_t")
    part, suffix = _REALS[_PARTS.get(dtype.char, dtype.char)]
    if dtype.kind == "c":
        return _CType("c", dtype.name, dtype.name, suffix, part)
    return _CType("f", part, "uint16_t" if dtype.char == "e" else part, suffix, part)


def _part(dtype: DType) -> DType:
    """The dtype of the real part."""
    return np.dtype(_PARTS[dtype.char]) if dtype.kind == "c" else dtype


def _real_constant(value: Any, ctype: _CType) -> str:
    if np.isnan(value):
        return f"({ctype.part})NAN"
    if np.isinf(value):
        return f"({ctype.part}){'-' if value < 0 else ''}INFINITY"
    high = float(value)
    letter = {"f": "f", "": "", "l": "L"}[ctype.suffix]
    # a second double has the rest of a long double
    low = float(value - high) if ctype.suffix == "l" else 0.0
    return f"({high.hex()}{letter})" if low == 0 else f"({high.hex()}L + {low.hex()}L)"


def _constant(number: _Number, dtype: DType) -> str:
    """A constant of a dtype, rounded as NumPy rounds Python's numbers; OverflowError as NumPy's."""
    ctype = _ctype(dtype)
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


# --- The grammar ---------------------------------------------------------------------------------


_BINARY: Final[dict[type[ast.operator], tuple[str, Callable[..., Any]]]] = {
    ast.Add: ("add", operator.add),
    ast.Sub: ("subtract", operator.sub),
    ast.Mult: ("multiply", operator.mul),
    ast.Div: ("divide", operator.truediv),
    ast.FloorDiv: ("floor_divide", operator.floordiv),
    ast.Mod: ("remainder", operator.mod),
    ast.Pow: ("power", operator.pow),
    ast.BitAnd: ("bitwise_and", operator.and_),
    ast.BitOr: ("bitwise_or", operator.or_),
    ast.BitXor: ("bitwise_xor", operator.xor),
    ast.LShift: ("left_shift", operator.lshift),
    ast.RShift: ("right_shift", operator.rshift),
}
_UNARY: Final[dict[type[ast.unaryop], tuple[str, Callable[..., Any]]]] = {
    ast.UAdd: ("positive", operator.pos),
    ast.USub: ("negative", operator.neg),
    ast.Invert: ("invert", operator.invert),
}
_COMPARE: Final[dict[type[ast.cmpop], tuple[str, Callable[..., Any]]]] = {
    ast.Lt: ("less", operator.lt),
    ast.LtE: ("less_equal", operator.le),
    ast.Eq: ("equal", operator.eq),
    ast.NotEq: ("not_equal", operator.ne),
    ast.Gt: ("greater", operator.gt),
    ast.GtE: ("greater_equal", operator.ge),
}
#: What may be called: NumPy's name of it and the number of arguments.
_FUNCTIONS: Final[dict[str, tuple[str, int]]] = {
    **{
        name: (name, 1)
        for name in _words(
            "absolute sqrt square exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos"
            " arctan sinh cosh tanh arcsinh arccosh arctanh floor ceil trunc rint sign isnan isinf"
            " isfinite conjugate real imag logical_not"
        )
    },
    **{
        name: (name, 2)
        for name in _words(
            "arctan2 minimum maximum fmin fmax hypot power logical_and logical_or logical_xor"
        )
    },
    "abs": ("absolute", 1),
    "conj": ("conjugate", 1),
    "where": ("where", 3),
    "clip": ("clip", 3),
}
_HINTS: Final[list[tuple[type[ast.AST], str]]] = [
    (ast.BoolOp, "`and` and `or` are not for arrays, use & and | with parentheses"),
    (ast.Not, "`not` is not for arrays, use ~"),
    (ast.IfExp, "`if` is not for arrays, use where(condition, a, b)"),
    (ast.Compare, "chained comparisons are not for arrays, use (a < b) & (b < c)"),
    (ast.Call, "only functions by their names are called"),
]
_ALLOWED: Final = "use numbers, names, operators and function calls"


@dataclass(frozen=True, slots=True)
class _Node:
    """An operation of an expression, a variable (`name`) or a number (`constant`)."""

    operation: str
    arguments: tuple[_Node, ...] = ()
    value: _Number | str = 0
    #: A function's result is NumPy's even if its arguments are Python scalars.
    called: bool = False
    start: int = 0
    end: int = 0


class _Parser:
    """From text to nodes, refusing everything that is not listed above."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: dict[str, None] = {}
        # the parser takes blanks in front for an indented block
        self._indent = len(text) - len(text.lstrip(" \t"))
        lines = text[self._indent :].encode("utf-8", "surrogatepass").splitlines(keepends=True)
        self._starts = [self._indent]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))

    def parse(self) -> _Node:
        text = self.text
        if len(text) > MAX_LENGTH:
            raise ValueError(
                f"an expression may have {MAX_LENGTH} characters at most, got {len(text)}"
            )
        try:
            tree = ast.parse(text[self._indent :], "<expression>", "eval")
        except SyntaxError as error:
            place = f" at column {self._indent + error.offset}" if error.offset else ""
            raise ValueError(f"{_shown(text)} is not an expression: {error.msg}{place}") from None
        except (ValueError, MemoryError, RecursionError, UnicodeError) as error:
            reason = "nested too deeply" if not isinstance(error, ValueError) else str(error)
            raise ValueError(f"{_shown(text)} is not an expression: {reason}") from None
        return self._node(tree.body, 0)

    def _place(self, node: ast.expr) -> tuple[int, int]:
        """Start and end as indices of the text; the parser's are of bytes in lines."""
        raw = self.text.encode()
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        return len(raw[:start].decode(errors="ignore")), len(raw[:end].decode(errors="ignore"))

    def _refuse(self, node: ast.expr, reason: str) -> ValueError:
        return _error(ValueError, self.text, *self._place(node), reason)

    def _node(self, node: ast.expr, depth: int) -> _Node:
        if depth >= MAX_DEPTH:
            raise self._refuse(node, f"nested more than {MAX_DEPTH} deep")
        start, end = self._place(node)
        match node:
            case ast.Constant(value=bool() | int() | float() | complex() as value):
                self._check_size(node, value)
                return _Node("constant", (), value, False, start, end)
            case ast.Name(id=name):
                return _Node("name", (), self._variable(node, name), False, start, end)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                operation, fold = _UNARY[type(op)]
                operands = [operand]
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _BINARY:
                operation, fold = _BINARY[type(op)]
                operands = [left, right]
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                operation, fold = _COMPARE[type(op)]
                operands = [left, right]
            case ast.Call(func=ast.Name(id=name), args=operands):
                operation = self._function(node, name)
                arguments = tuple(self._node(operand, depth + 1) for operand in operands)
                return _Node(operation, arguments, 0, True, start, end)
            case _:
                raise self._refuse(node, self._hint(node))
        arguments = tuple(self._node(operand, depth + 1) for operand in operands)
        if all(argument.operation == "constant" for argument in arguments):
            value = self._fold(node, operation, fold, [argument.value for argument in arguments])
            return _Node("constant", (), value, False, start, end)
        return _Node(operation, arguments, 0, False, start, end)

    def _hint(self, node: ast.expr) -> str:
        part: ast.AST = node.op if isinstance(node, ast.UnaryOp) else node
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return "comparisons are by < <= == != >= >"
        for kind, hint in _HINTS:
            if isinstance(part, kind):
                return hint
        return f"a {type(node).__name__} is not allowed, {_ALLOWED}"

    def _variable(self, node: ast.expr, name: str) -> str:
        if name in _FUNCTIONS:
            raise self._refuse(node, "a function cannot be a variable, call it or rename it")
        if name.startswith("__"):
            raise self._refuse(node, "names of variables may not start with two underscores")
        self.names.setdefault(name)
        if len(self.names) > MAX_NAMES:
            raise self._refuse(node, f"an expression may have {MAX_NAMES} variables at most")
        return name

    def _function(self, node: ast.Call, name: str) -> str:
        if name not in _FUNCTIONS:
            raise self._refuse(
                node, f"{name} is not a function that can be called: {', '.join(_FUNCTIONS)}"
            )
        operation, count = _FUNCTIONS[name]
        if node.keywords:
            raise self._refuse(node, f"{name} takes no keyword arguments")
        if len(node.args) != count:
            raise self._refuse(node, f"{name} takes {count} arguments, got {len(node.args)}")
        return operation

    def _check_size(self, node: ast.expr, value: _Number) -> None:
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise self._refuse(node, "the integer is too large")

    def _fold(
        self, node: ast.expr, operation: str, fold: Callable[..., Any], values: list[Any]
    ) -> _Number:
        """Python's value of an operation on numbers, unless it would take long."""
        if all(isinstance(value, int) for value in values) and len(values) == 2:
            left, right = values
            bits = left.bit_length()
            if (operation == "left_shift" and right > _MAX_BITS) or (
                operation == "power" and bits * max(right, -right) > _MAX_BITS
            ):
                raise self._refuse(node, "the integer is too large")
        try:
            value: _Number = fold(*(+v if operation == "invert" else v for v in values))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise self._refuse(node, str(error)) from None
        self._check_size(node, value)
        return value


def _shown(text: str) -> str:
    return ascii(text) if len(text) <= 60 else ascii(text[:57]) + "..."


def _error(kind: type[_Error], text: str, start: int, end: int, reason: str) -> _Error:
    return kind(f"{_shown(text[start:end])} at column {start + 1}: {reason}")


# --- Typing and writing --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Value:
    """A value in C: a name or constant, its dtype, and what NumPy's rules ask of its origin."""

    dtype: DType
    code: str = ""
    #: The type of a Python scalar, which does not widen the dtype of an array.
    weak: type | None = None
    #: The number, if it is written in the text: its code is made when its dtype is known.
    number: _Number | None = None
    #: The index of the variable that this is.
    variable: int | None = None

    @property
    def integer(self) -> int | None:
        """The number, if it is a Python integer written in the text."""
        return self.number if self.weak is int and isinstance(self.number, int) else None

    @property
    def strong(self) -> _Value:
        return _Value(self.dtype, self.code, None, self.number, self.variable)


class _Writer:
    """The statements of one element, in the order of the tree, and the functions they call."""

    def __init__(self, expression: Expression, kinds: tuple[Kind, ...]) -> None:
        self.expression = expression
        self.lines: dict[str, str] = {}
        self.helpers: dict[tuple[str, DType], str] = {}
        self.types: dict[DType, None] = {}
        self.bounds: list[tuple[int, int] | None] = []
        self.variables: dict[str, _Value] = {}
        for k, (name, kind) in enumerate(zip(expression.names, kinds, strict=True)):
            dtype = _checked(name, kind)
            weak = kind if isinstance(kind, type) else None
            self.bounds.append(_INT64_BOUNDS if weak is int else None)
            self.variables[name] = _Value(dtype, f"v{k}", weak, None, k)
            self.types.setdefault(dtype)

    def refuse(self, kind: type[Exception], node: _Node, reason: str) -> Exception:
        error: Exception = _error(kind, self.expression.text, node.start, node.end, reason)
        return error

    def walk(self, node: _Node) -> _Value:
        if node.operation == "name":
            return self.variables[str(node.value)]
        if node.operation == "constant":
            assert not isinstance(node.value, str)
            weak = type(node.value)
            return _Value(_DEFAULTS[weak], "", weak, node.value)
        values = [self.walk(argument) for argument in node.arguments]
        match node.operation:
            case "where":
                return self._where(node, values)
            case "clip":
                return self._clip(node, values)
            case "real" | "imag":
                return self._part_of(node, values[0])
            case "power" if self._is_power_fast(node, values):
                return self._fast_power(node, values)
        if node.operation.startswith("logical"):
            truths = [self._truth(node, value) for value in values]
            return _Value(_BOOL, self.emit(node.operation, truths, (_BOOL,) * len(truths), _BOOL))
        if node.operation in _COMPARISONS:
            values = self._comparable(node, values)
        return self._apply(node, node.operation, values)

    # the dtypes of a loop

    def _apply(self, node: _Node, name: str, values: list[_Value]) -> _Value:
        """A ufunc, by the loop that NumPy takes."""
        weak = all(value.weak for value in values)
        if weak and node.called:
            values = [value.strong for value in values]
        elif weak:
            values = [value.strong for value in self._as_python(node, name, values)]
        if name == "power":
            self._check_exponent(node, values)
        loop = self._loop(node, name, values)
        if name == "power" and loop[0].kind in "iu" and isinstance(values[1].number, int):
            self.cast(node, values[1], loop[1])
            result = self._whole_power(self.cast(node, values[0], loop[0]), values[1].number, loop)
        else:
            operands = [
                self.cast(node, value, dtype)
                for value, dtype in zip(values, loop[:-1], strict=True)
            ]
            result = self.emit(name, operands, loop[:-1], loop[-1])
        if weak and not node.called:
            python = {"b": bool, "i": int, "f": float, "c": complex}[loop[-1].kind]
            return _Value(loop[-1], result, python)
        return _Value(loop[-1], result)

    def _as_python(self, node: _Node, name: str, values: list[_Value]) -> list[_Value]:
        """Python calculates with bools as with integers, except in & | ^ of two of them."""
        if name in _COMPARISONS or (
            name.startswith("bitwise") and all(value.weak is bool for value in values)
        ):
            return values
        return [
            _Value(_INT64, self.cast(node, value, _INT64), int) if value.weak is bool else value
            for value in values
        ]

    def _loop(self, node: _Node, name: str, values: list[_Value]) -> tuple[DType, ...]:
        """The dtypes of operands and result."""
        asked = [value.weak if value.weak not in (None, bool) else value.dtype for value in values]
        try:
            resolved = getattr(np, name).resolve_dtypes((*asked, None))
        except TypeError:
            resolved = ()
        if not resolved or any(dtype.kind not in "biufc" for dtype in resolved):
            kinds = " and ".join(
                value.weak.__name__ if value.weak else value.dtype.name for value in values
            )
            raise self.refuse(TypeError, node, f"NumPy's {name} does not take {kinds}")
        return tuple(resolved)

    def _promoted(self, node: _Node, values: list[_Value]) -> DType:
        """The common dtype of arrays and scalars that no ufunc joins."""
        if all(value.weak for value in values):
            values = [value.strong for value in values]
        asked: list[Any] = [value.weak(0) if value.weak else value.dtype for value in values]
        return np.result_type(*asked)

    # the operations that are no plain ufuncs

    def _where(self, node: _Node, values: list[_Value]) -> _Value:
        condition = self._truth(node, values[0])
        dtype = self._promoted(node, values[1:])
        chosen = [self.cast(node, value, dtype) for value in values[1:]]
        return _Value(dtype, self._line(dtype, f"{condition} ? {chosen[0]} : {chosen[1]}"))

    def _truth(self, node: _Node, value: _Value) -> str:
        if value.dtype == _BOOL:
            return self.cast(node, value, _BOOL)
        code = self.cast(node, value, value.dtype)
        zero = [code, self.cast(node, _Value(_BOOL, "", bool, False), value.dtype)]
        return self.emit("not_equal", zero, (value.dtype, value.dtype), _BOOL)

    def _clip(self, node: _Node, values: list[_Value]) -> _Value:
        value, *limits = values
        if value.weak:
            value = value.strong
        kept: list[tuple[str, _Value]] = []
        for name, limit in zip(("at_least", "at_most"), limits, strict=True):
            whole = value.dtype.kind in "iu" and limit.weak is int
            if whole and (number := limit.integer) is not None:
                # NumPy takes integers beyond the dtype, if they leave something
                info = np.iinfo(value.dtype)
                if number <= info.min if name == "at_least" else number >= info.max:
                    continue
            elif whole and limit.variable is not None:
                limit = self._saturated(value.dtype, limit, name == "at_least")
            kept.append((name, limit))
        dtype = self._promoted(node, [value, *(limit for _, limit in kept)])
        code = self.cast(node, value, dtype)
        for name, limit in kept:
            code = self.emit(name, [code, self.cast(node, limit, dtype)], (dtype, dtype), dtype)
        return _Value(dtype, code)

    def _saturated(self, dtype: DType, limit: _Value, lower: bool) -> _Value:
        info = np.iinfo(dtype)
        low, high = int(info.min), int(info.max)
        self._bound(limit, *((_INT64_BOUNDS[0], high) if lower else (low, _INT64_BOUNDS[1])))
        ctype = _ctype(dtype)
        code = f"({ctype.value}){limit.code}"
        if lower and low > _INT64_BOUNDS[0]:
            code = f"{limit.code} < {low} ? {_constant(low, dtype)} : {code}"
        if not lower and high < _INT64_BOUNDS[1]:
            code = f"{limit.code} > {high} ? {_constant(high, dtype)} : {code}"
        return _Value(dtype, self._line(dtype, code))

    def _part_of(self, node: _Node, value: _Value) -> _Value:
        """A real part has the dtype of the array, and a Python scalar's is one too."""
        (value,) = self._as_python(node, node.operation, [value])
        if value.weak in (int, float):
            whole = node.operation == "real"
            return (
                value if whole else _Value(value.dtype, "", value.weak, value.dtype.type(0).item())
            )
        dtype = _part(value.dtype)
        code = self.cast(node, value, value.dtype)
        weak = float if value.weak else None
        return _Value(dtype, self.emit(node.operation, [code], (value.dtype,), dtype), weak)

    def _comparable(self, node: _Node, values: list[_Value]) -> list[_Value]:
        """Compare integers as they are, though NumPy's loop has no dtype that holds both."""
        if all(value.weak for value in values) or any(v.dtype.kind not in "biu" for v in values):
            return values
        found = []
        for value, other in zip(values, reversed(values), strict=True):
            number = value.integer
            if value.weak is not int:
                found.append(value)
            elif number is None:
                found.append(value.strong)
            elif other.dtype != _BOOL and _fits(number, other.dtype):
                found.append(value)
            elif _fits(number, _INT64):
                found.append(value.strong)
            else:
                # compares as a number beyond all that dtypes hold
                far = _Value(_FLOAT64, "", None, 2.0**65 if number > 0 else -(2.0**65))
                near = _Value(_FLOAT64, self.cast(node, other, _FLOAT64))
                if other.dtype == _UINT64 or not _fits(number, _UINT64):
                    return [far, near] if value is values[0] else [near, far]
                found.append(_Value(_UINT64, "", None, number))
        return found

    # powers

    def _is_power_fast(self, node: _Node, values: list[_Value]) -> bool:
        base, exponent = values
        if base.weak or exponent.weak not in (int, float):
            return False
        # bool**2 has another dtype than bool**3
        square = base.dtype == _BOOL and exponent.integer == 2 and not node.called
        return square or base.dtype.kind in "fc"

    def _fast_power(self, node: _Node, values: list[_Value]) -> _Value:
        """NumPy's ``**`` of floats squares, inverts and takes roots, power only squares."""
        base, exponent = values
        fast: dict[float, str] = {2: "square"}
        if not node.called:
            fast |= {-1: "reciprocal"} if exponent.weak is int else {0.5: "sqrt"}
        if exponent.number is not None:
            name = next((fast[number] for number in fast if number == exponent.number), None)
            return self._apply(node, name or "power", [base] if name else values)
        result = self._apply(node, "power", values)
        for number, name in fast.items():
            other = self._apply(node, name, [base])
            code = f"{exponent.code} == {number} ? {other.code} : {result.code}"
            result = _Value(result.dtype, self._line(result.dtype, code))
        return result

    def _check_exponent(self, node: _Node, values: list[_Value]) -> None:
        base, exponent = values
        if base.dtype.kind not in "biu" or exponent.dtype.kind != "i":
            return
        if isinstance(exponent.number, int):
            if exponent.number < 0:
                raise self.refuse(
                    ValueError, node, "integers to negative integer powers are not allowed"
                )
        elif exponent.variable is not None and self.bounds[exponent.variable] is not None:
            self._bound(exponent, 0, _INT64_BOUNDS[1])
        else:
            raise self.refuse(
                TypeError,
                node,
                f"integers are not raised to powers of {exponent.dtype.name}, which may be "
                "negative: use unsigned or float exponents",
            )

    def _whole_power(self, square: str, exponent: int, loop: tuple[DType, ...]) -> str:
        """By squaring in place, which is a few products instead of a loop."""
        dtype = loop[-1]
        result = ""
        while exponent:
            if exponent & 1:
                pair = [result, square]
                result = self.emit("multiply", pair, loop[:-1], dtype) if result else square
            exponent >>= 1
            if exponent:
                square = self.emit("square", [square], loop[:1], dtype)
        return result or _constant(1, dtype)

    # C

    def _bound(self, value: _Value, low: int, high: int) -> None:
        assert value.variable is not None
        before = self.bounds[value.variable]
        assert before is not None
        self.bounds[value.variable] = (max(before[0], low), min(before[1], high))

    def cast(self, node: _Node, value: _Value, dtype: DType) -> str:
        """The C of a value as one of another dtype, converted as NumPy does."""
        self.types.setdefault(dtype)
        if value.number is not None:
            try:
                return _constant(value.number, dtype)
            except OverflowError:
                raise self.refuse(
                    ValueError, node, f"the integer {_digits(value.number)} does not fit {dtype}"
                ) from None
        if value.dtype == dtype:
            return value.code
        source, target = _ctype(value.dtype), _ctype(dtype)
        if source.kind == "c":
            return f"(({target.value}){{{value.code}.re, {value.code}.im}})"
        if target.kind == "c":
            if value.weak is int:
                value = _Value(_FLOAT64, f"((double){value.code})")
            return f"(({target.value}){{{self.cast(node, value, _part(dtype))}, 0}})"
        if value.weak is int and target.kind in "iu" and dtype != _INT64:
            info = np.iinfo(dtype)
            if value.variable is None:
                raise self.refuse(
                    TypeError,
                    node,
                    f"an integer calculated from Python integers may not fit {dtype}: "
                    "calculate it before the expression",
                )
            self._bound(value, int(info.min), min(int(info.max), _INT64_BOUNDS[1]))
        if target.kind == "f" and value.dtype in (_INT64, _FLOAT64):
            # as NumPy converts Python's integers: by way of double, if to less than it
            if dtype.char == "e":
                return self._line(dtype, f"half_round_double((double){value.code})")
            if dtype.char == "f":
                return f"((float)(double){value.code})"
        return f"(({target.value}){value.code})"

    def emit(self, name: str, operands: list[str], loop: tuple[DType, ...], dtype: DType) -> str:
        """A statement for a ufunc of operands that have the dtypes of its loop."""
        first = loop[0]
        ctype = _ctype(first)
        if name in _COMPARISONS and {d.kind for d in loop} == {"i", "u"}:
            return self._line(dtype, _compare_signs(_COMPARISONS[name], operands, loop))
        template = next(text for kinds, text in _OPERATIONS[name].items() if ctype.kind in kinds)
        code = template.format(
            *operands,
            T=ctype.value,
            U=ctype.unsigned,
            f=ctype.suffix,
            s=first.name,
            bits=8 * first.itemsize,
        )
        if f"{name}_{{s}}" in template:
            self._need(name, first)
        if dtype.char == "e" and name not in _EXACT_IN_HALF:
            code = f"half_round({code})"
        return self._line(dtype, code)

    def _line(self, dtype: DType, code: str) -> str:
        """A name for the value of C text, the same for the same text."""
        self.types.setdefault(dtype)
        key = f"{_ctype(dtype).value} = {code}"
        return self.lines.setdefault(key, f"t{len(self.lines)}")

    def _need(self, name: str, dtype: DType) -> None:
        if (name, dtype) in self.helpers:
            return
        ctype = _ctype(dtype)
        call, body = _HELPERS.get((name, dtype.char)) or _HELPERS[name, ctype.kind]
        for other in re.findall(r"(\w+)_\$s", body):
            self._need(other, dtype)
        type_ = "int" if name in _COMPARISONS or name == "nan" else "$T"
        type_ = "$R" if name == "absolute" else type_
        parameters = call.replace("a", "$T a").replace("b", "$T b")
        text = Template(
            f"static inline {type_} {name}_$s{parameters}\n{{\n    {body.strip()}\n}}\n"
        ).substitute(
            T=ctype.value,
            C=ctype.value,
            R=ctype.part,
            U=ctype.unsigned,
            f=ctype.suffix,
            s=dtype.name,
            **_EXPONENTS.get(dtype.char, {}),
        )
        self.helpers[name, dtype] = text

    def source(self, result: str, dtype: DType) -> str:
        """The whole C text."""
        values = list(self.variables.values())
        stored = _ctype(dtype)
        half = np.dtype(np.float16)
        parts = [
            "/* Evaluates an expression for each of n elements. */",
            "#include <complex.h>\n#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n"
            "#include <string.h>\n",
        ]
        parts += [
            f"typedef struct {{\n    {_ctype(used).part} re, im;\n}} {used.name};\n"
            for used in self.types
            if used.kind == "c"
        ]
        if half in self.types:
            parts.append(_HALF)
        parts += self.helpers.values()
        arrays = {value.dtype: None for value in values if value.weak is None}
        parts += [
            Template(_FETCH).substitute(s=used.name, T=_ctype(used).stored) for used in arrays
        ]

        parameters, loads, buffers, fetches, arguments, plain = [], [], [], [], [], []
        chunk = _BUFFER_BYTES // max((used.itemsize for used in arrays), default=1)
        for k, value in enumerate(values):
            ctype = _ctype(value.dtype)
            if value.weak:
                parameters.append(f"const {ctype.stored} v{k}")
                arguments.append(f"*(const {ctype.stored} *)arrays[{k}]")
                continue
            size = f"(ptrdiff_t)sizeof({ctype.stored})"
            load = f"half_value(a{k}[i])" if value.dtype == half else f"a{k}[i]"
            parameters.append(f"const {ctype.stored} *restrict a{k}")
            loads.append(f"        const {ctype.value} v{k} = {load};")
            buffers.append(f"    {ctype.stored} b{k}[{chunk}];")
            plain.append(f"strides[{k}] == {size}")
            fetches.append(
                f"        const {ctype.stored} *const a{k} ="
                f" fetch_{value.dtype.name}(b{k}, arrays[{k}], strides[{k}], done, m);"
            )
            arguments.append(f"a{k}")
        for key, name in self.lines.items():
            ctype_name, code = key.split(" = ", 1)
            loads.append(f"        const {ctype_name} {name} = {code};")
        store = f"half_bits({result})" if dtype == half else result
        block = ", ".join([f"{stored.stored} *restrict result", *parameters, "size_t n"])
        call = ", ".join([f"({stored.stored} *)result + done", *arguments, "m"])
        parts.append(
            "\n".join(
                [
                    f"static inline void block({block})\n{{",
                    "    for (size_t i = 0; i < n; i++) {",
                    *loads,
                    f"        result[i] = {store};",
                    "    }\n}\n",
                    "void map(void *result, const void *const *arrays, const ptrdiff_t *strides, "
                    "size_t n)\n{",
                    "    (void)arrays, (void)strides;",
                    *buffers,
                    f"    const size_t step = {' && '.join(plain) or '1'} ? n : {chunk};",
                    "    for (size_t done = 0; done < n; done += step) {",
                    "        const size_t m = n - done < step ? n - done : step;",
                    *fetches,
                    f"        block({call});",
                    "    }\n}\n",
                ]
            )
        )
        return "\n".join(parts)


# What is not side by side is copied so, a piece that fits in the nearest cache at a time: one loop
# serves all layouts, and it is vectorised in all of them.
_FETCH = """
static inline const $T *fetch_$s($T *buffer, const void *array, ptrdiff_t stride,
                                 size_t done, size_t m)
{
    if (stride == (ptrdiff_t)sizeof($T)) return (const $T *)array + done;
    if (stride == 0) {
        const $T value = *(const $T *)array;
        if (done == 0)
            for (size_t i = 0; i < m; i++)
                buffer[i] = value;
        return buffer;
    }
    const char *const first = (const char *)array + (ptrdiff_t)done * stride;
    for (size_t i = 0; i < m; i++)
        buffer[i] = *(const $T *)(const void *)(first + (ptrdiff_t)i * stride);
    return buffer;
}
"""


def _compare_signs(sign: str, operands: list[str], loop: tuple[DType, ...]) -> str:
    """A comparison of int64 with uint64, exact though neither holds the other."""
    signed, unsigned = operands if loop[0].kind == "i" else operands[::-1]
    if loop[0].kind == "u":
        sign = sign.translate(str.maketrans("<>", "><"))
    if sign in ("<", "<=", "!="):
        return f"({signed} < 0) | ((uint64_t){signed} {sign} {unsigned})"
    return f"({signed} >= 0) & ((uint64_t){signed} {sign} {unsigned})"


def _fits(number: int, dtype: DType) -> bool:
    info = np.iinfo(dtype)
    return int(info.min) <= number <= int(info.max)


def _digits(number: _Number) -> str:
    """An integer for a message; Python refuses to print very long ones."""
    if isinstance(number, int) and number.bit_length() > 200:
        return f"of {number.bit_length()} bits"
    return str(number)


def _checked(name: str, kind: Kind) -> DType:
    """The dtype of a variable; TypeError if no kernel can take it."""
    if isinstance(kind, type) and kind in _DEFAULTS:
        return _DEFAULTS[kind]
    if not isinstance(kind, np.dtype):
        raise TypeError(
            f"the type of {name} must be a NumPy dtype or bool, int, float or complex, got {kind!r}"
        )
    if kind.kind not in "biufc":
        raise TypeError(
            f"the dtype of {name} must be bool, integer, floating or complex, got {kind}"
        )
    return kind.newbyteorder("=")


# --- The interface -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression for variables of given types.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the elements of the result: NumPy's for the same expression.
    source : str
        C11 text of ``void map(void *result, const void *const *arrays, const ptrdiff_t *strides,
        size_t n)``: arrays[k] points at the first of n elements of the k-th variable, strides[k]
        bytes apart, aligned and in native byte order; bool is one byte, 0 or 1, and a Python
        scalar one element of int64_t, double or two doubles. `result` is n elements side by side
        that overlap no input.
    bounds : tuple of (int, int) or None
        For each variable that is a Python integer, the least and the greatest that may be given:
        others do not fit the dtypes that they meet, or are no exponents. None for the rest.
    """

    dtype: DType
    source: str
    bounds: tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True)
class Expression:
    """An expression over named arrays, like ``abs(x - y)**2``.

    Parameters
    ----------
    text : str
        Numbers, names, the operators ``+ - * / // % ** ~ & | ^ << >> < <= == != >= >`` and
        calls of functions that NumPy has by the same names: abs, sqrt, exp, sin, where, clip...

    Attributes
    ----------
    names : tuple of str
        The variables, in the order of their first occurrence.

    Examples
    --------
    >>> expression = Expression("abs(x - y)**2")
    >>> expression.names
    ('x', 'y')
    >>> expression.typed((np.dtype(np.float32), np.dtype(np.int8))).dtype
    dtype('float32')
    """

    text: str
    names: tuple[str, ...] = field(init=False, compare=False)
    _root: _Node = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"an expression must be a str, got {type(self.text).__name__}")
        parser = _Parser(self.text)
        root = parser.parse()
        object.__setattr__(self, "names", tuple(parser.names))
        object.__setattr__(self, "_root", root)

    def typed(self, kinds: tuple[Kind, ...]) -> Typed:
        """Find the dtype of the result, and the C text, for variables of these types.

        Parameters
        ----------
        kinds : tuple of numpy.dtype or type
            Of each of `names`: the dtype of an array, or bool, int, float or complex for a Python
            scalar, which does not widen the dtype of an array that it meets (NEP 50).

        Raises
        ------
        TypeError
            If NumPy has no such operation on these types.
        ValueError
            If a number in the text does not fit the dtype that NumPy gives it, or the number of
            types is not that of names.
        """
        if len(kinds) != len(self.names):
            raise ValueError(f"kinds must be {len(self.names)} types, got {len(kinds)}")
        writer = _Writer(self, kinds)
        value = writer.walk(self._root)
        code = writer.cast(self._root, value, value.dtype)
        dtype = np.dtype(value.dtype.type)
        return Typed(dtype, writer.source(code, dtype), tuple(writer.bounds))
