"""From the operations of an expression to their dtypes, by NumPy's rules, and to C."""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import Template
from typing import Any, Final

import numpy as np

from parsum.expression.operations import (
    COMPARISONS,
    DEFAULTS,
    EXACT_IN_HALF,
    EXPONENTS,
    HALF,
    HELPERS,
    OPERATIONS,
    DType,
    Number,
    constant_text,
    ctype_of,
    part_dtype,
)
from parsum.expression.parser import Node, error_at

#: The type of a variable: an array's dtype, or bool, int, float or complex for a Python scalar.
Kind = DType | type

#: What a kernel has for an array that it cannot read in order.
BUFFER_BYTES: Final = 2048

_BOOL, _INT64, _FLOAT64 = DEFAULTS[bool], DEFAULTS[int], DEFAULTS[float]
_UINT64 = np.dtype(np.uint64)
_INT64_BOUNDS = (-(2**63), 2**63 - 1)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value in C: a name or constant, its dtype, and what NumPy's rules ask of its origin."""

    dtype: DType
    code: str = ""
    #: The type of a Python scalar, which does not widen the dtype of an array.
    weak: type | None = None
    #: The number, if it is written in the text: its code is made when its dtype is known.
    number: Number | None = None
    #: The index of the variable that this is.
    variable: int | None = None

    @property
    def integer(self) -> int | None:
        """The number, if it is a Python integer written in the text."""
        return self.number if self.weak is int and isinstance(self.number, int) else None

    @property
    def strong(self) -> _Value:
        return _Value(self.dtype, self.code, None, self.number, self.variable)


class Writer:
    """The statements of one element, in the order of the tree, and the functions they call."""

    def __init__(self, text: str, names: tuple[str, ...], kinds: tuple[Kind, ...]) -> None:
        self.text = text
        self.lines: dict[str, str] = {}
        self.helpers: dict[tuple[str, DType], str] = {}
        self.types: dict[DType, None] = {}
        self.bounds: list[tuple[int, int] | None] = []
        self.variables: dict[str, _Value] = {}
        for k, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            dtype = _checked(name, kind)
            weak = kind if isinstance(kind, type) else None
            self.bounds.append(_INT64_BOUNDS if weak is int else None)
            self.variables[name] = _Value(dtype, f"v{k}", weak, None, k)
            self.types.setdefault(dtype)

    def refuse(self, kind: type[Exception], node: Node, reason: str) -> Exception:
        """Return an error that shows the part of the text that is refused."""
        error: Exception = error_at(kind, self.text, node.start, node.end, reason)
        return error

    def walk(self, node: Node) -> _Value:
        """Write the statements of a node and all below it, and return its value."""
        if node.operation == "name":
            return self.variables[str(node.value)]
        if node.operation == "constant":
            assert not isinstance(node.value, str)
            weak = type(node.value)
            return _Value(DEFAULTS[weak], "", weak, node.value)
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
        if node.operation in COMPARISONS:
            values = self._comparable(node, values)
        return self._apply(node, node.operation, values)

    # the dtypes of a loop

    def _apply(self, node: Node, name: str, values: list[_Value]) -> _Value:
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

    def _as_python(self, node: Node, name: str, values: list[_Value]) -> list[_Value]:
        """Python calculates with bools as with integers, except in & | ^ of two of them."""
        if name in COMPARISONS or (
            name.startswith("bitwise") and all(value.weak is bool for value in values)
        ):
            return values
        return [
            _Value(_INT64, self.cast(node, value, _INT64), int) if value.weak is bool else value
            for value in values
        ]

    def _loop(self, node: Node, name: str, values: list[_Value]) -> tuple[DType, ...]:
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

    def _promoted(self, node: Node, values: list[_Value]) -> DType:
        """The common dtype of arrays and scalars that no ufunc joins."""
        if all(value.weak for value in values):
            values = [value.strong for value in values]
        asked: list[Any] = [value.weak(0) if value.weak else value.dtype for value in values]
        return np.result_type(*asked)

    # the operations that are no plain ufuncs

    def _where(self, node: Node, values: list[_Value]) -> _Value:
        condition = self._truth(node, values[0])
        dtype = self._promoted(node, values[1:])
        chosen = [self.cast(node, value, dtype) for value in values[1:]]
        return _Value(dtype, self._line(dtype, f"{condition} ? {chosen[0]} : {chosen[1]}"))

    def _truth(self, node: Node, value: _Value) -> str:
        if value.dtype == _BOOL:
            return self.cast(node, value, _BOOL)
        code = self.cast(node, value, value.dtype)
        zero = [code, self.cast(node, _Value(_BOOL, "", bool, False), value.dtype)]
        return self.emit("not_equal", zero, (value.dtype, value.dtype), _BOOL)

    def _clip(self, node: Node, values: list[_Value]) -> _Value:
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
        ctype = ctype_of(dtype)
        code = f"({ctype.value}){limit.code}"
        if lower and low > _INT64_BOUNDS[0]:
            code = f"{limit.code} < {low} ? {constant_text(low, dtype)} : {code}"
        if not lower and high < _INT64_BOUNDS[1]:
            code = f"{limit.code} > {high} ? {constant_text(high, dtype)} : {code}"
        return _Value(dtype, self._line(dtype, code))

    def _part_of(self, node: Node, value: _Value) -> _Value:
        """A real part has the dtype of the array, and a Python scalar's is one too."""
        (value,) = self._as_python(node, node.operation, [value])
        if value.weak in (int, float):
            whole = node.operation == "real"
            return (
                value if whole else _Value(value.dtype, "", value.weak, value.dtype.type(0).item())
            )
        dtype = part_dtype(value.dtype)
        code = self.cast(node, value, value.dtype)
        weak = float if value.weak else None
        return _Value(dtype, self.emit(node.operation, [code], (value.dtype,), dtype), weak)

    def _comparable(self, node: Node, values: list[_Value]) -> list[_Value]:
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

    def _is_power_fast(self, node: Node, values: list[_Value]) -> bool:
        base, exponent = values
        if base.weak or exponent.weak not in (int, float):
            return False
        # bool**2 has another dtype than bool**3
        square = base.dtype == _BOOL and exponent.integer == 2 and not node.called
        return square or base.dtype.kind in "fc"

    def _fast_power(self, node: Node, values: list[_Value]) -> _Value:
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

    def _check_exponent(self, node: Node, values: list[_Value]) -> None:
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
        return result or constant_text(1, dtype)

    # C

    def _bound(self, value: _Value, low: int, high: int) -> None:
        assert value.variable is not None
        before = self.bounds[value.variable]
        assert before is not None
        self.bounds[value.variable] = (max(before[0], low), min(before[1], high))

    def cast(self, node: Node, value: _Value, dtype: DType) -> str:
        """The C of a value as one of another dtype, converted as NumPy does."""
        self.types.setdefault(dtype)
        if value.number is not None:
            try:
                return constant_text(value.number, dtype)
            except OverflowError:
                raise self.refuse(
                    ValueError, node, f"the integer {_digits(value.number)} does not fit {dtype}"
                ) from None
        if value.dtype == dtype:
            return value.code
        source, target = ctype_of(value.dtype), ctype_of(dtype)
        if source.kind == "c":
            return f"(({target.value}){{{value.code}.re, {value.code}.im}})"
        if target.kind == "c":
            if value.weak is int:
                value = _Value(_FLOAT64, f"((double){value.code})")
            return f"(({target.value}){{{self.cast(node, value, part_dtype(dtype))}, 0}})"
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
        ctype = ctype_of(first)
        if name in COMPARISONS and {d.kind for d in loop} == {"i", "u"}:
            return self._line(dtype, _compare_signs(COMPARISONS[name], operands, loop))
        template = next(text for kinds, text in OPERATIONS[name].items() if ctype.kind in kinds)
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
        if dtype.char == "e" and name not in EXACT_IN_HALF:
            code = f"half_round({code})"
        return self._line(dtype, code)

    def _line(self, dtype: DType, code: str) -> str:
        """A name for the value of C text, the same for the same text."""
        self.types.setdefault(dtype)
        key = f"{ctype_of(dtype).value} = {code}"
        return self.lines.setdefault(key, f"t{len(self.lines)}")

    def _need(self, name: str, dtype: DType) -> None:
        if (name, dtype) in self.helpers:
            return
        ctype = ctype_of(dtype)
        call, body = HELPERS.get((name, dtype.char)) or HELPERS[name, ctype.kind]
        for other in re.findall(r"(\w+)_\$s", body):
            self._need(other, dtype)
        type_ = "int" if name in COMPARISONS or name == "nan" else "$T"
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
            **EXPONENTS.get(dtype.char, {}),
        )
        self.helpers[name, dtype] = text

    def source(self, result: str, dtype: DType) -> str:
        """The whole C text."""
        values = list(self.variables.values())
        stored = ctype_of(dtype)
        half = np.dtype(np.float16)
        parts = [
            "/* Evaluates an expression for each of n elements. */",
            "#include <complex.h>\n#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n"
            "#include <string.h>\n",
        ]
        parts += [
            f"typedef struct {{\n    {ctype_of(used).part} re, im;\n}} {used.name};\n"
            for used in self.types
            if used.kind == "c"
        ]
        if half in self.types:
            parts.append(HALF)
        parts += self.helpers.values()
        arrays = {value.dtype: None for value in values if value.weak is None}
        parts += [
            Template(_FETCH).substitute(s=used.name, T=ctype_of(used).stored) for used in arrays
        ]

        parameters, loads, buffers, fetches, arguments, plain = [], [], [], [], [], []
        chunk = BUFFER_BYTES // max((used.itemsize for used in arrays), default=1)
        for k, value in enumerate(values):
            ctype = ctype_of(value.dtype)
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


def _digits(number: Number) -> str:
    """An integer for a message; Python refuses to print very long ones."""
    if isinstance(number, int) and number.bit_length() > 200:
        return f"of {number.bit_length()} bits"
    return str(number)


def _checked(name: str, kind: Kind) -> DType:
    """The dtype of a variable; TypeError if no kernel can take it."""
    if isinstance(kind, type) and kind in DEFAULTS:
        return DEFAULTS[kind]
    if not isinstance(kind, np.dtype):
        raise TypeError(
            f"the type of {name} must be a NumPy dtype or bool, int, float or complex, got {kind!r}"
        )
    if kind.kind not in "biufc":
        raise TypeError(
            f"the dtype of {name} must be bool, integer, floating or complex, got {kind}"
        )
    return kind.newbyteorder("=")
