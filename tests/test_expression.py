"""Expressions: what they refuse, the dtypes they find, and their C against NumPy, bit by bit."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsum.expression import MAX_DEPTH, MAX_LENGTH, MAX_NAMES, Expression, Typed

INTEGERS = [np.dtype(c) for c in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]
FLOATS = [np.dtype(c) for c in "efdg"]
COMPLEX = [np.dtype(c) for c in "FDG"]
DTYPES = [np.dtype(np.bool_), *INTEGERS, *FLOATS, *COMPLEX]
SCALARS: list[type] = [bool, int, float, complex]

FLAGS = ["-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
#: What a kernel must compile without.
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-type-limits", "-Wno-unused-function"]
WARNINGS += ["-Wno-unused-variable", "-Wno-tautological-compare"]


def words(text: str) -> list[str]:
    return text.split()


# All that an expression may call, in NumPy's words.
NAMESPACE: dict[str, Any] = {
    name: getattr(np, name)
    for name in words(
        "abs absolute sqrt square exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos"
        " arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh floor ceil trunc rint sign minimum"
        " maximum fmin fmax hypot isnan isinf isfinite conj conjugate real imag power clip where"
        " logical_and logical_or logical_xor logical_not"
    )
}


def numpys(text: str, values: dict[str, Any]) -> Any:
    """What NumPy makes of the same text."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(text, NAMESPACE, values)


def numpys_of_scalars(text: str, values: dict[str, Any]) -> Any:
    """The same, one element at a time: NumPy's scalars have no vector versions."""
    rows = zip(*values.values(), strict=True)
    return np.array([numpys(text, dict(zip(values, row, strict=True))) for row in rows])


# --- Compiling many expressions at once ----------------------------------------------------------

ffi = cffi.FFI()
ffi.cdef(
    "typedef void (*kernel)(void *, const void *const *, const ptrdiff_t *, size_t);"
    "extern kernel const kernels[];"
)


def renamed(source: str, k: int) -> str:
    """The text with another name for whatever it defines, to have many in one file."""
    defined = re.findall(r"^static inline .*?(\w+)\(", source, re.MULTILINE)
    defined += re.findall(r"^\} (\w+);", source, re.MULTILINE)
    pattern = r"\b(" + "|".join({*defined, "map"}) + r")\b"
    return re.sub(pattern, rf"\1_{k}", source)


class Kernels:
    """The compiled functions of expressions."""

    def __init__(self, directory: Any, typed: Sequence[Typed], *flags: str) -> None:
        text = "\n".join(renamed(one.source, k) for k, one in enumerate(typed))
        names = ", ".join(f"map_{k}" for k in range(len(typed)))
        text += (
            "typedef void (*kernel)(void *, const void *const *, const ptrdiff_t *, size_t);\n"
            f"kernel const kernels[] = {{{names}}};\n"
        )
        stem = directory / hashlib.sha256((text + " ".join(flags)).encode()).hexdigest()[:20]
        source, library = stem.with_suffix(".c"), stem.with_suffix(".so")
        source.write_text(text)
        command = [compiler(), *FLAGS, *WARNINGS, *flags, "-shared", "-fPIC"]
        done = subprocess.run(
            [*command, "-o", str(library), str(source), "-lm"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[:3000]
        self.typed = typed
        self._library = ffi.dlopen(str(library))
        self.functions = [self._library.kernels[k] for k in range(len(typed))]

    def __call__(self, k: int, values: Iterable[Any], n: int) -> np.ndarray:
        """The result of the k-th for arrays or Python scalars."""
        stored = [value if isinstance(value, np.ndarray) else np.array(value) for value in values]
        pointers = ffi.new("const void *[]", [ffi.cast("void *", a.ctypes.data) for a in stored])
        strides = ffi.new("ptrdiff_t[]", [a.strides[0] if a.ndim else 0 for a in stored])
        result = np.full(n + 2, 7, self.typed[k].dtype)
        self.functions[k](ffi.cast("void *", result[1:].ctypes.data), pointers, strides, n)
        assert result[0] == result[-1] == 7 or result.dtype == bool
        return result[1:-1]


def compiler() -> str:
    found = os.environ.get("CC", "").split()[:1] or [shutil.which("cc") or ""]
    if not found[0]:
        pytest.skip("there is no C compiler")
    return found[0]


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


# --- Comparing -----------------------------------------------------------------------------------


def same(got: np.ndarray, want: Any, ulps: float = 0, zeros: bool = True) -> bool:
    """Whether elements are the same to the bit, or within `ulps`; NaN is NaN."""
    want = np.asarray(want)
    assert got.dtype == want.dtype
    want = np.broadcast_to(want, got.shape)
    if got.dtype.kind == "c":
        if not ulps:
            return same(got.real, want.real, 0, zeros) and same(got.imag, want.imag, 0, zeros)
        with np.errstate(all="ignore"):
            size = np.abs(want)
            close = (got == want) | (np.abs(got - want) <= ulps * np.spacing(size))
            # the C library's choice of infinite and undefined parts is its own
            other = ~np.isfinite(size) & ~np.isfinite(np.abs(got))
        return bool((close | other).all())
    if got.dtype.kind != "f":
        return np.array_equal(got, want)
    number = ~np.isnan(want)
    if not np.array_equal(np.isnan(got), ~number):
        return False
    got, want = got[number], want[number]
    with np.errstate(all="ignore"):
        equal = got == want
        if ulps:
            equal |= np.abs(got - want) <= ulps * np.spacing(np.abs(want))
    if zeros and not ulps:
        equal &= np.signbit(got) == np.signbit(want)
    return bool(equal.all())


def special(dtype: np.dtype) -> np.ndarray:
    """The values that operations get wrong."""
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        near = [info.min, info.min + 1, info.max // 2, info.max - 1, info.max]
        small = [0, 1, 2, 3, 7, 8, 31, 63, 64, 100]
        return np.array(near + small + [-v for v in small if info.min], object).astype(dtype)
    if dtype.kind == "c":
        part = np.array([0, -0.0, 1, -1.5, 0.3, np.inf, -np.inf, np.nan], dtype.char.lower())
        made = np.empty((len(part), len(part)), dtype)
        made.real, made.imag = part[:, None], part
        return made.ravel()
    info = np.finfo(dtype)
    values = np.array([0, 0.1, 0.5, 1, 1.5, 2, 2.5, 3, 7.3, 1e3, 11.0, np.inf, np.nan], dtype)
    ends = np.array([info.tiny, info.smallest_subnormal, info.max, info.eps, 1 + info.eps], dtype)
    return np.concatenate([values, -values, ends, -ends])


def pairs(x: np.dtype, y: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of special values, of random ones for complex numbers."""
    a, b = special(x), special(y)
    return np.repeat(a, len(b)), np.tile(b, len(a))


def random(dtype: np.dtype, n: int, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng([seed, dtype.num])
    if dtype.kind == "b":
        return rng.random(n) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0, 256, n * dtype.itemsize, np.uint8).view(dtype)
    made = rng.standard_normal(n) * rng.choice([0.01, 1, 30], n)
    if dtype.kind == "c":
        made = made + 1j * rng.standard_normal(n)
    return made.astype(dtype)


def spread(dtype: np.dtype) -> np.ndarray:
    return np.concatenate([special(dtype), random(dtype, 200)])


def try_typed(text: str, kinds: Sequence[Any]) -> Typed | None:
    try:
        return Expression(text).typed(tuple(kinds))
    except TypeError:
        return None


def try_numpys(text: str, values: dict[str, Any]) -> Any:
    try:
        return numpys(text, values)
    except TypeError:
        return None


# --- Every operation by every dtype --------------------------------------------------------------

EXACT = ["+", "-", "/", "//", "%", "&", "|", "^", "<<", ">>", "<", "<=", "==", "!=", ">", ">="]
# NumPy contracts some products of complex numbers, depending on the CPU
PRODUCTS = ["*"]
# the sign of zero depends on the CPU and on the place in the array
EXTREMA = ["minimum", "maximum", "fmin", "fmax"]
LOGICAL = ["logical_and", "logical_or", "logical_xor"]
#: libm's, of which NumPy has vector versions of its own for some dtypes and CPUs
APPROXIMATE = ["hypot", "arctan2"]


@pytest.mark.parametrize("name", EXACT + PRODUCTS + EXTREMA + LOGICAL + APPROXIMATE)
def test_pairs_of_dtypes(name, directory):
    text = f"{name}(x, y)" if name.isidentifier() else f"x {name} y"
    found = []
    for x, y in itertools.product(DTYPES, DTYPES):
        arrays = dict(zip("xy", pairs(x, y), strict=True))
        typed = try_typed(text, (x, y))
        want = try_numpys(text, {name: a[:2] for name, a in arrays.items()})
        assert (typed is None) == (want is None), (text, x, y)
        if typed is not None:
            assert typed.dtype == want.dtype, (text, x, y)
            # the conversions to a loop's dtypes are the same for all of them
            if x == y or name in ("+", "/", "<", "<<"):
                found.append((typed, arrays))
    assert len(found) >= 8
    kernels = Kernels(directory, [typed for typed, _ in found], "-O0")
    for k, (typed, arrays) in enumerate(found):
        if name == "*" and typed.dtype.kind == "c":
            arrays = {key: a[:: len(a) // 200 + 1] for key, a in arrays.items()}
            cast = {key: a.astype(typed.dtype) for key, a in arrays.items()}
            want = numpys_of_scalars(text, cast)
        else:
            want = numpys(text, arrays)
        got = kernels(k, arrays.values(), len(arrays["x"]))
        ulps = 2 if name in APPROXIMATE else 0
        kinds = [a.dtype.name for a in arrays.values()]
        assert same(got, want, ulps, name not in EXTREMA), (text, kinds)


UNARY = ["-{}", "+{}", "~{}"] + [
    f"{name}({{}})"
    for name in words(
        "abs square floor ceil trunc rint sign isnan isinf isfinite conj real imag logical_not sqrt"
    )
]
TRANSCENDENTAL = [
    f"{name}({{}})"
    for name in words(
        "exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh"
        " arcsinh arccosh arctanh"
    )
]
SQUARES = ["square({})", "{}**2", "{}**2.0", "power({}, 2)"]
LIBM_POWERS = ["{}**0.5", "{}**3", "{}**2.0"]
POWERS = ["{}**2", "{}**2.0", "{}**-1", "{}**0.5", "{}**0", "{}**1", "{}**3", "power({}, 2)"]


def test_unary(directory):
    found = []
    for form, x in itertools.product(UNARY + TRANSCENDENTAL + POWERS, DTYPES):
        text = form.format("x")
        array = spread(x)
        if form == "{}**-1" and x.kind in "biu":
            with pytest.raises(ValueError, match="negative integer powers"):
                Expression(text).typed((x,))
            continue
        typed = try_typed(text, (x,))
        want = try_numpys(text, {"x": array})
        assert (typed is None) == (want is None), (text, x)
        if typed is not None:
            assert typed.dtype == want.dtype, (text, x)
            found.append((form, typed, array))
    kernels = Kernels(directory, [typed for _, typed, _ in found], "-O0")
    for k, (form, _, array) in enumerate(found):
        text = form.format("x")
        rounded = form in SQUARES and array.dtype.kind == "c"
        want = numpys_of_scalars("x*x", {"x": array}) if rounded else numpys(text, {"x": array})
        libm = form in TRANSCENDENTAL + LIBM_POWERS or (
            form == "abs({})" and array.dtype.kind == "c"
        )
        got = kernels(k, [array], len(array))
        assert same(got, want, 2 if libm else 0), (text, array.dtype.name)


@pytest.mark.parametrize("dtype", COMPLEX[:2], ids=str)
def test_sizes_of_complex_numbers(dtype, directory):
    """Nearer than NumPy's, from the least number to the greatest."""
    rng = np.random.default_rng(3)
    info = np.finfo(dtype)
    exponents = rng.integers(info.minexp - 30, info.maxexp + 1, 20_000)
    array = np.empty(len(exponents), dtype)
    with np.errstate(all="ignore"):
        array.real = np.ldexp(rng.standard_normal(len(exponents)), exponents)
        exponents += rng.integers(-30, 30, len(exponents))
        array.imag = np.ldexp(rng.standard_normal(len(exponents)), exponents)
        exact = np.hypot(array.real.astype("g"), array.imag.astype("g"))
        want = exact.astype(array.real.dtype)
        typed = Expression("abs(x)").typed((dtype,))
        got = Kernels(directory, [typed], "-O3")(0, [array], len(array))
        finite = np.isfinite(want)
        assert np.array_equal(np.isfinite(got), finite) and not np.isnan(got).any()
        error = np.abs(got.astype("g") - exact)[finite]
    assert (error <= 1.3 * np.spacing(want[finite])).all()


# --- Python scalars ------------------------------------------------------------------------------

NUMBERS: dict[type, list[Any]] = {
    bool: [False, True],
    int: [0, 1, 2, 3, 5, -1, -7, 100, 200, 2**40, -(2**63), 2**63 - 1],
    float: [
        0.0,
        -0.0,
        0.1,
        2.0,
        -3.7,
        1e5,
        1e-9,
        1e300,
        float("inf"),
        float("nan"),
        70000.0,
        1 + 2**-11 + 2**-40,
        1 + 3 * 2**-11 - 2**-40,
        65519.999999999,
    ],
    complex: [0j, 1 - 2j, complex(0.1, float("inf")), 1e5j],
}
OPERATORS = ["+", "-", "/", "//", "%", "&", "|", "^", "<<", ">>", "<", "==", ">=", "!="]


@pytest.mark.parametrize("dtype", [np.dtype(c) for c in "?bhQefdFG"], ids=str)
def test_scalars_do_not_widen(dtype, directory):
    """Given as variables and written in the text, on either side."""
    forms = [f"x {name} y" for name in OPERATORS] + ["maximum(x, y)", "where(x != x, y, x)"]
    forms += [re.sub(r"\b[xy]\b", lambda m: "xy"[m[0] == "x"], form) for form in forms]
    array = spread(dtype)[:64]
    jobs: list[tuple[str, Typed, list[Any], Any]] = []
    for text, kind in itertools.product(forms, SCALARS):
        first = Expression(text).names[0] == "x"
        typed = try_typed(text, (dtype, kind) if first else (kind, dtype))
        for number in NUMBERS[kind]:
            written = re.sub(r"\by\b", f"({number!r})", text)
            literal = "inf" not in written and "nan" not in written
            try:
                want = numpys(text, {"x": array, "y": number})
            except TypeError:
                assert typed is None
                break
            except OverflowError:
                # refused by the bounds, or by the text
                assert typed is not None
                low, high = next(filter(None, typed.bounds))
                assert not low <= number <= high
                with pytest.raises(ValueError, match="does not fit"):
                    Expression(written).typed((dtype,))
                continue
            assert typed is not None and typed.dtype == want.dtype
            wraps = "where" in text and kind is int and dtype.kind in "iu"
            if wraps and not np.iinfo(dtype).min <= number <= np.iinfo(dtype).max:
                continue
            if "where" in text and dtype.char == "G" and number == 2**63 - 1:
                continue  # NumPy converts it exactly here, by way of double everywhere else
            assert all(b is None or b[0] <= number <= b[1] for b in typed.bounds)
            values = [array, number] if first else [number, array]
            jobs.append((text, typed, values, want))
            if literal and dtype.char not in "gG" and text in forms[::3]:
                jobs.append((written, Expression(written).typed((dtype,)), [array], want))
    sources = {typed.source: typed for _, typed, _, _ in jobs}
    kernels = Kernels(directory, list(sources.values()), "-O0")
    places = {source: k for k, source in enumerate(sources)}
    for text, typed, values, want in jobs:
        got = kernels(places[typed.source], values, len(array))
        assert same(got, want, 0, "max" not in text), (text, values)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("1 + 2 * 3 - True", []),
        ("7 // -2 + 7 % -2 + (1 << 5) + (-9 >> 1) + ~True + 2**10", []),
        ("0.1 + 0.2j", []),
        ("2**-1 + 1e300 * 1e300", []),
        ("1 < 2", []),
        ("a + b", [True, True]),
        ("a & b", [True, False]),
        ("a | b", [True, 6]),
        ("~a", [True]),
        ("-a + +a", [True]),
        ("a // b", [-7, 2]),
        ("a % b", [7, -2]),
        ("a / b", [7, 2]),
        ("a * b - c", [3, 0.1, 2j]),
        ("a ** b", [3, 5]),
        ("2 ** a", [10]),
        ("a < b", [1, 1.5]),
        ("(a < b) + a", [1, 2]),
        ("real(a) + imag(b)", [True, 2j]),
    ],
)
def test_scalars_alone(text, kinds, directory):
    """Python's arithmetic, if all of it fits."""
    names = dict(zip("abc", kinds, strict=False))
    typed = Expression(text).typed(tuple(type(value) for value in kinds))
    got = Kernels(directory, [typed], "-O0")(0, kinds, 3)
    assert same(got, np.asarray(numpys(text, names)))


FUNCTIONS_OF_SCALARS = [
    "sqrt(2)", "abs(-1)", "abs(True)", "maximum(1, 2.0)", "where(True, True, 1)",
    "square(True)", "clip(5, 0, 3)", "power(2, 3)", "logical_and(1, 0.5)",
]  # fmt: skip


def test_functions_of_scalars_give_numpys_scalars(directory):
    texts = [*FUNCTIONS_OF_SCALARS, *(f"x * {text}" for text in FUNCTIONS_OF_SCALARS)]
    for dtype in (np.dtype("f4"), np.dtype("i1")):
        array = np.array([1, 2, 3], dtype)
        typed = [Expression(text).typed((dtype,) if "x" in text[:1] else ()) for text in texts]
        kernels = Kernels(directory, typed, "-O0")
        for k, text in enumerate(texts):
            want = np.asarray(numpys(text, {"x": array}))
            assert same(kernels(k, [array] if text[0] == "x" else [], 3), want), text


def test_powers_of_variables(directory):
    """NumPy's ** squares, inverts and takes roots, whatever the exponent is called."""
    exponents: list[Any] = [2, -1, 0, 1, 3, 2.0, 0.5, -2.5]
    dtypes = [*FLOATS, np.dtype("D")]
    jobs = [
        (dtype, type_, Expression("x**k").typed((dtype, type_)))
        for dtype in dtypes
        for type_ in (int, float)
    ]
    kernels = Kernels(directory, [typed for _, _, typed in jobs], "-O0")
    for k, (dtype, type_, _) in enumerate(jobs):
        array = spread(dtype)
        for exponent in (e for e in exponents if type(e) is type_):
            exact = exponent in (2, -1, 0.5, 0, 1) and dtype.char != "D"
            want = numpys("x**k", {"x": array, "k": exponent})
            assert same(kernels(k, [array, exponent], len(array)), want, 0 if exact else 2)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.kind in "biu"], ids=str)
def test_integer_powers(dtype, directory):
    array = spread(dtype)
    exponents = [0, 1, 2, 3, 7, 10, 63, 100]
    unsigned = random(np.dtype("u1"), len(array))
    typed = [Expression(f"x**{k}").typed((dtype,)) for k in exponents]
    typed.append(Expression("x**k").typed((dtype, int)))
    typed.append(Expression("x**y").typed((dtype, np.dtype("u1"))))
    assert typed[-2].bounds[1] is not None and typed[-2].bounds[1][0] == 0
    kernels = Kernels(directory, typed, "-O2")
    for k, exponent in enumerate(exponents):
        want = numpys(f"x**{exponent}", {"x": array})
        assert same(kernels(k, [array], len(array)), want)
        # what bool is squared to is known when the text is read only
        want = want.astype(typed[-2].dtype)
        assert same(kernels(len(exponents), [array, exponent], len(array)), want)
    want = numpys("x**y", {"x": array, "y": unsigned})
    assert same(kernels(len(exponents) + 1, [array, unsigned], len(array)), want)
    with pytest.raises(TypeError, match="powers of int8, which may be negative"):
        Expression("x**y").typed((dtype, np.dtype("i1")))
    with pytest.raises(ValueError, match="negative integer powers"):
        Expression("x**-2").typed((dtype,))


def test_clip(directory):
    jobs: list[tuple[str, list[Any]]] = []
    limits: list[tuple[Any, Any]] = [
        (-300, 300),
        (1, 2),
        (0, 2**40),
        (1.5, 2),
        (-(2**62), 5),
        (5, 1),
    ]
    for dtype in DTYPES:
        array = spread(dtype)
        for low, high in limits:
            jobs.append((f"clip(x, {low}, {high})", [array]))
            jobs.append(("clip(x, a, b)", [array, low, high]))
        jobs.append(("clip(x, a, b)", [array, array[::-1].copy(), np.roll(array, 1)]))
        jobs.append(("clip(x, a, 100)", [array, np.full(len(array), 3, "i2")]))
    typed = [
        Expression(text).typed(
            tuple(v.dtype if isinstance(v, np.ndarray) else type(v) for v in values)
        )
        for text, values in jobs
    ]
    kernels = Kernels(directory, typed, "-O0")
    for k, (text, values) in enumerate(jobs):
        want = numpys(text, dict(zip("xab", values, strict=False)))
        assert typed[k].dtype == want.dtype
        got = kernels(k, values, len(values[0]))
        assert same(got, want, 0, zeros=False), (text, values[0].dtype, values[1:])
    with pytest.raises(ValueError, match="200 does not fit int8"):
        Expression("clip(x, 200, 300)").typed((np.dtype("i1"),))
    bounds = Expression("clip(x, a, b)").typed((np.dtype("i1"), int, int)).bounds
    assert bounds == (None, (-(2**63), 127), (-128, 2**63 - 1))


def test_where(directory):
    jobs = [
        (condition, x, y)
        for condition, dtypes in (
            ("?", DTYPES),
            ("i4", FLOATS),
            ("e", COMPLEX),
            ("D", INTEGERS[:2]),
        )
        for x in dtypes
        for y in dtypes
    ]
    jobs = [(np.dtype(condition), x, y) for condition, x, y in jobs]
    typed = [Expression("where(c, x, y)").typed(job) for job in jobs]
    kernels = Kernels(directory, typed, "-O0")
    for k, job in enumerate(jobs):
        c, x, y = (np.resize(spread(dtype), 100) for dtype in job)
        want = numpys("where(c, x, y)", {"c": c, "x": x, "y": y})
        assert same(kernels(k, [c, x, y], 100), want), job


# --- Layouts -------------------------------------------------------------------------------------

LAYOUTS = ["x*y + z", "abs(x - y)**2 / z", "where(x < y, z, x % z)", "x + 0*y - k*z", "7 + 0*x*y*z"]


@pytest.fixture(scope="session", params=["-O3", "-O3 -march=native"])
def layout_kernels(directory, request):
    kinds = [np.dtype(c) for c in "defhQg?"]
    jobs = [
        (text, tuple(np.roll(np.array(kinds, object), -k)[:3]))
        for text in LAYOUTS
        for k in range(len(kinds))
    ]
    found = []
    for text, three in jobs:
        names = Expression(text).names
        by_name: dict[str, Any] = dict(zip("xyz", three, strict=True)) | {"k": float}
        typed = try_typed(text, [by_name[name] for name in names])
        if typed is not None:
            found.append((text, [by_name[name] for name in names], typed))
    assert len(found) > 12
    return found, Kernels(directory, [typed for _, _, typed in found], *request.param.split())


def laid_out(values: np.ndarray, layout: str) -> np.ndarray:
    n = len(values)
    match layout:
        case "contiguous":
            return values
        case "broadcast":
            return np.broadcast_to(np.resize(values, 1), n)
        case "reversed":
            return values[::-1].copy()[::-1]
        case "column":
            wide = np.empty((n, 7), values.dtype)
            wide[:, 3] = values
            return wide[:, 3]
    wide = np.empty((n, 3), values.dtype)[::-1]
    wide[:, 1] = values
    return wide[:, 1]


@pytest.mark.parametrize("n", [*range(10), 127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 2049])
def test_layouts(n, layout_kernels):
    found, kernels = layout_kernels
    layouts = ["contiguous", "broadcast", "reversed", "column", "backwards"]
    for k, (text, kinds, _) in enumerate(found):
        for first in range(0, 5, 1 if n < 200 else 2):
            values: list[Any] = []
            for j, kind in enumerate(kinds):
                if kind is float:
                    values.append(2.5)
                    continue
                array = np.resize(random(kind, 3000, j), n)
                layout = layouts[(first * (j + 1)) % 5]
                values.append(laid_out(array, layout))
            want = numpys(text, dict(zip(Expression(text).names, values, strict=True)))
            assert same(kernels(k, values, n), want), (text, kinds, first)


def test_byte_order_is_native():
    assert Expression("x + 1").typed((np.dtype(">f8"),)).dtype == np.dtype("=f8")


# --- Random expressions --------------------------------------------------------------------------

LEAVES = st.sampled_from(
    ["x", "y", "z", "x", "y", "z", "1", "2", "0", "3", "0.5", "1.25", "-1", "True", "100"]
)


def deeper(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = ["+", "-", "*", "/", "//", "%", "&", "|", "^", "<<", ">>", "<", "<=", "==", "!=", ">"]
    # NumPy's scalars, which functions of numbers give, have powers of their own
    children = children.map(lambda text: text if re.search(r"\b[xyz]\b", text) else f"({text} + x)")
    one = ["abs", "sqrt", "square", "floor", "rint", "sign", "isnan", "real", "logical_not"]
    return st.one_of(
        st.builds("({} {} {})".format, children, st.sampled_from(two), children),
        st.builds("({}{})".format, st.sampled_from("-+~"), children),
        st.builds("({}**2)".format, children),
        st.builds("{}({})".format, st.sampled_from(one), children),
        st.builds("where({}, {}, {})".format, children, children, children),
        st.builds("logical_or({}, {})".format, children, children),
    )


REAL = [d for d in DTYPES if d.kind != "c"]
EXPRESSIONS = st.recursive(LEAVES, deeper, max_leaves=8)


@settings(max_examples=20)
@given(st.lists(st.tuples(EXPRESSIONS, *[st.sampled_from(REAL)] * 3), min_size=5, max_size=25))
def test_random_expressions(jobs):
    """Of real numbers and to the bit; several in one file, for a compiler takes long to start."""
    found = []
    for text, *dtypes in jobs:
        by_name = dict(zip("xyz", dtypes, strict=True))
        try:
            expression = Expression(text)
        except ValueError:
            # Python's own errors, such as those of 1 // 0
            with pytest.raises((ArithmeticError, ValueError, TypeError)):
                numpys(text, {name: np.ones(1, dtype) for name, dtype in by_name.items()})
            continue
        arrays = {name: np.resize(spread(by_name[name]), 97) for name in expression.names}
        try:
            want = numpys(text, arrays)
        except (TypeError, OverflowError, ValueError):
            with pytest.raises((TypeError, ValueError)):
                expression.typed(tuple(by_name[name] for name in expression.names))
            continue
        try:
            typed = expression.typed(tuple(by_name[name] for name in expression.names))
        except ValueError:
            # NumPy wraps around in where, and Python's integers have no end
            assert "where" in text or not arrays
            continue
        assert typed.dtype == np.asarray(want).dtype, text
        found.append((text, typed, arrays, want))
    if not found:
        return
    with tempfile.TemporaryDirectory() as directory:
        kernels = Kernels(Path(directory), [typed for _, typed, _, _ in found], "-O3", "-w")
        for k, (text, _, arrays, want) in enumerate(found):
            got = kernels(k, arrays.values(), 97)
            kinds = {name: array.dtype.name for name, array in arrays.items()}
            assert same(got, np.asarray(want)), (text, kinds)


# --- What is refused -----------------------------------------------------------------------------

HOSTILE = [
    "", " ", "\n", "x +", "(x", "x)", "x y", "x = 1", "x := 1", "(x := 1)", "x; y", "import os",
    "__import__('os').system('true')", "__import__", "__builtins__", "__x", "x.real", "x.__class__",
    "().__class__.__bases__", "x[0]", "x[0:1]", "[x]", "[i for i in x]", "(i for i in x)", "{x}",
    "{x: 1}", "{**x}", "lambda: 1", "lambda x: x", "(lambda: 1)()", "'x'", "b'x'", "f'{x}'",
    "'x' * 10", "...", "None", "x if y else z", "x and y", "x or y", "not x", "x in y", "x is y",
    "x not in y", "x < y < z", "x @ y", "*x", "abs(*x)", "abs(**x)", "abs(x=1)", "abs(x, y)",
    "abs()", "where(x, y)", "eval(x)", "exec('1')", "open('f')", "print(x)", "x()", "abs(x)(y)",
    "sin + 1", "abs", "where", "(abs)", "await x", "yield x", "(yield)", "x, y", "(x, y)", "()",
    "x\0y", "\0", "x $ y", "x ? y : z", "x ! y", "x\\", "'", '"', "\'\'\'", "x /* y", "x */ y",
    "x // ", "#", "# x", "9**9**9**9", "9**9**9", "2**100000", "1 << 10**9", "1 << -1", "1 // 0",
    "1 % 0", "1 / 0", "0.0**-1", "9.0**9999", "1.5 << 2", "~1.5", "1j < 2j", "1j // 2", "9" * 5000,
    "0x" + "f" * 9000, "'1' * 5000", "(" * 5000 + ")" * 4999, "-" * 9000 + "x", "~" * 500 + "x",
    "x" + "+x" * 4000, "x" + "**x" * 300, "abs(" * 150 + "x" + ")" * 150, "x" * (MAX_LENGTH + 1),
    "+".join(f"x{k}" for k in range(MAX_NAMES + 1)), "x\ud800", "\ud800", "'\ud800'", "x\u2028y",
    "x…", "x\n; y", "x\r\nimport os", "1if x else 2", "x.y.z()", "\x1b[0m", "1_", "0777", "1e",
    "0b2", "x /**/ y", "`x`", "x -> y", "x ** ", "≤", "x ≤ y", "π²",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text)[:30] for text in HOSTILE])
def test_hostile(text):
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"column|expression") as caught:
        Expression(text)
    assert time.perf_counter() - start < 0.5
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("text", [b"x", None, 1, np.array("x"), ["x"]])
def test_text_is_a_str(text):
    with pytest.raises(TypeError, match="an expression must be a str, got"):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x and y", "'x and y' at column 1: .* use & and |"),
        ("x + (not y)", "'not y' at column 6: .* use ~"),
        ("x + (a < b < c)", r"'a < b < c' at column 6: .* use \(a < b\) & \(b < c\)"),
        ("x if y else z", "use where"),
        ("x + sin", "'sin' at column 5: a function cannot be a variable"),
        ("x + sinn(y)", "'sinn\\(y\\)' at column 5: sinn is not a function"),
        ("x + y.real", "'y.real' at column 5: a Attribute is not allowed"),
        ("ä + y.real", "at column 5"),
        ("  x + y.real", "at column 7"),
        ("(x +\n y.real)", "at column 7"),
        ("sqrt(x, y)", "sqrt takes 1 arguments, got 2"),
        ("clip(x, lo=1)", "no keyword arguments"),
        ("x + 9**9**9", "'9\\*\\*9\\*\\*9' at column 5: the integer is too large"),
        ("1 // 0 + x", "division"),
        ("x + * y", "is not an expression: .* column 5"),
        ("x" * 10_001, "10000 characters at most, got 10001"),
    ],
)
def test_messages(text, message):
    with pytest.raises(ValueError, match=message):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "kinds", "error", "message"),
    [
        ("x + 300", ["i1"], ValueError, "'x . 300' at column 1: the integer 300 does not fit int8"),
        ("x - 1 + -1", ["u8"], ValueError, "-1 does not fit uint64"),
        ("x * 10**400", ["f8"], ValueError, "of 1329 bits does not fit float64"),
        ("where(x, 2**63, 1)", ["?"], ValueError, "does not fit int64"),
        ("2**63", [], ValueError, "does not fit int64"),
        ("-x", ["?"], TypeError, "'-x' at column 1: NumPy's negative does not take bool"),
        ("y + ~x", ["f4", "f4"], TypeError, "'~x' at column 5: .* invert does not take float32"),
        ("x // 1j", ["i4"], TypeError, "floor_divide does not take int32 and complex"),
        ("x", ["M8[s]"], TypeError, "dtype of x must be bool, integer, floating or complex"),
        ("x", ["O"], TypeError, "the dtype of x must be .*, got object"),
        ("x", ["f8,f8"], TypeError, "the dtype of x must be"),
        ("x", ["U3"], TypeError, "got <U3"),
        ("x", ["m8[s]"], TypeError, "the dtype of x must be"),
        ("x * (n + 1)", ["i1", int], TypeError, "'x . .n . 1.' at .* may not fit int8"),
        ("x", [str], TypeError, "the type of x must be a NumPy dtype or bool, int, float"),
        ("x + y", ["f8"], ValueError, "kinds must be 2 types, got 1"),
    ],
)
def test_types_that_are_refused(text, kinds, error, message):
    with pytest.raises(error, match=message):
        Expression(text).typed(tuple(k if isinstance(k, type) else np.dtype(k) for k in kinds))


def test_nothing_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in (
        "open('made', 'w')",
        "(lambda: open('made', 'w'))()",
        "__import__('os').mkdir('made')",
    ):
        with pytest.raises(ValueError, match="column"):
            Expression(text)
    assert not list(tmp_path.iterdir())


# --- The interface -------------------------------------------------------------------------------


def test_names_in_order_of_occurrence():
    expression = Expression("where(b < a, c + a, 2 * b)")
    assert expression.names == ("b", "a", "c")
    assert Expression("1 + 2").names == ()
    assert Expression("pi * e + inf").names == ("pi", "e", "inf")
    assert Expression("\uff58 + x").names == ("x",)


def test_expressions_are_values():
    one, other = Expression("x + y"), Expression("x + y")
    assert one == other and hash(one) == hash(other) and one != Expression("x+y")
    with pytest.raises(AttributeError):
        one.text = "z"
    assert one.typed((np.dtype("f8"),) * 2) == other.typed((np.dtype("f8"),) * 2)


def test_source_has_nothing_of_the_text():
    text = "where(wicked < größe, exp(wicked) * 0.1, größe ** 2 + 12345) # abort();"
    source = Expression(text).typed((np.dtype("f8"), np.dtype("f4"))).source
    assert source.isascii() and "wicked" not in source and "12345" not in source
    assert "abort" not in source and "0x1.999999999999ap-4" in source


@pytest.mark.parametrize(
    "name", ["int", "main", "restrict", "system", "v0", "t0", "n", "map", "a0"]
)
def test_any_name_is_a_variable(name, directory):
    """Whatever it means in C."""
    try:
        expression = Expression(f"{name} * 2 + v1")
    except ValueError:
        pytest.fail("a name was refused")
    array = np.arange(5.0)
    typed = expression.typed((array.dtype,) * 2)
    assert same(Kernels(directory, [typed], "-O0")(0, [array, array], 5), array * 2 + array)


def test_limits_are_wide_enough(directory):
    deep = "(" * (MAX_DEPTH - 2) + "x" + " + 1)" * (MAX_DEPTH - 2)
    many = " + ".join(f"x{k}" for k in range(MAX_NAMES))
    typed = [
        Expression(deep).typed((np.dtype("f8"),)),
        Expression(many).typed((np.dtype("G"),) * MAX_NAMES),
    ]
    kernels = Kernels(directory, typed, "-O0")
    array = np.arange(300.0)
    assert same(kernels(0, [array], 300), array + MAX_DEPTH - 2)
    arrays = [np.broadcast_to(np.clongdouble(k + 1j), 300) for k in range(MAX_NAMES)]
    assert same(kernels(1, arrays, 300), np.sum(arrays, 0))


@pytest.mark.parametrize("text", ["(" * 150 + "x" + ")" * 150, "x\n#include <stdlib.h>", "\tx # y"])
def test_comments_and_parentheses_are_nothing(text):
    expression = Expression(text)
    assert expression.names == ("x",)
    kinds = (np.dtype("f8"),)
    assert expression.typed(kinds).source == Expression("x").typed(kinds).source


def test_the_same_is_calculated_once():
    source = Expression("exp(x) * exp(x) + exp(x)").typed((np.dtype("f8"),)).source
    assert source.count("exp(v0)") == 1


@pytest.mark.parametrize("text", ["abs(x - y)**2", "x*y + z"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_loops_are_vectorised(text, dtype, directory):
    expression = Expression(text)
    source = expression.typed((np.dtype(dtype),) * len(expression.names)).source
    about = subprocess.run([compiler(), "-v"], capture_output=True, text=True).stderr
    if "gcc version" not in about:
        pytest.skip("the report is GCC's")
    file = directory / "vectorised.c"
    file.write_text(source)
    command = [compiler(), *FLAGS, "-O3", "-fopt-info-vec", "-c", "-o", os.devnull, str(file)]
    report = subprocess.run(command, capture_output=True, text=True, check=True)
    loop = source[: source.index("for (size_t i = 0; i < n")].count("\n") + 1
    assert re.search(rf":{loop}:.*vectorized", report.stdout + report.stderr)
