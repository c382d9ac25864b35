"""Reductions of users' own: the monoid's four functions as C text, as addresses or in Python."""

from __future__ import annotations

import ctypes
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from cffi import FFI
from numpy.typing import DTypeLike

from parsum import compiler
from parsum.reduction import (
    BYTE,
    STATE_LIMIT,
    TYPES,
    VALUES_LIMIT,
    Row,
    can_convert,
    define,
    type_of,
)

DType = np.dtype[Any]

#: The C types of elements, and of what results are made of, by dtype.
_C_TYPES: dict[DType, str] = {
    np.dtype(name): text
    for name, text in {
        "bool": "_Bool",
        "int8": "int8_t",
        "uint8": "uint8_t",
        "int16": "int16_t",
        "uint16": "uint16_t",
        "int32": "int32_t",
        "uint32": "uint32_t",
        "int64": "int64_t",
        "uint64": "uint64_t",
        "float16": "_Float16",
        "float32": "float",
        "float64": "double",
        "longdouble": "long double",
        "complex64": "float _Complex",
        "complex128": "double _Complex",
        "clongdouble": "long double _Complex",
    }.items()
}

#: Partial states of a leaf, each of which takes every so manieth element: few enough to be combined
#: in no time, and as many as GCC turns into vector instructions (of 16 doubles or fewer it makes
#: scalar ones). They show in the bits of sums, so they are the same on every CPU.
_LANES = 32
#: States of more bytes have a single lane.
_LANE_STATE = 64

_LAST_ADDRESS = 2 * sys.maxsize + 1

#: The base of all types of ctypes function pointers.
_C_FUNCTION: type = ctypes.CFUNCTYPE(None).__bases__[0]

_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*\Z")
_FIELD = re.compile(r"(?P<type>[A-Za-z_][A-Za-z_0-9 ]*?)\s*(\[\s*(?P<length>[0-9]+)\s*\])?\s*\Z")
_TEXTS = ("header", "identity", "accumulate", "combine", "finish")

_FRAME = """\
#include <complex.h>
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {{ PARSUM_OVERFLOW = 1, PARSUM_INVALID = 2, PARSUM_DIVIDE = 4, PARSUM_EMPTY = 8 }};
#define ALWAYS_INLINE inline __attribute__((always_inline, unused))
typedef {element} T;
{result}
{header}
typedef struct {{
{fields}
    double parameter_;
}} state;

static ALWAYS_INLINE void identity_of(state *s)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{identity}
}}

static ALWAYS_INLINE void accumulate_one(state *s, const T x)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{accumulate}
}}

static ALWAYS_INLINE void combine_two(state *s, const state *o)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{combine}
}}

static ALWAYS_INLINE int finish_one(const state *s, R *r)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{finish}
    return 0;
}}

size_t state_size(void)
{{
    return sizeof(state);
}}

void identity(void *memory, double parameter)
{{
    state *s = memory;
    memset(s, 0, sizeof *s);
    s->parameter_ = parameter;
    identity_of(s);
}}

void combine(void *memory, const void *other)
{{
    combine_two(memory, other);
}}

int finish(const void *memory, int type, void *result)
{{
    /* The result may not lie where its type would have it. */
    union {{ RESULT_T value; char bytes[sizeof(RESULT_T)]; }} to;
    (void)type;
    memset(&to, 0, sizeof to);
    int flags = finish_one(memory, RESULT_POINTER(to.value));
    memcpy(result, to.bytes, sizeof to.bytes);
    return flags;
}}
"""

_ACCUMULATE = """
void accumulate(void *memory, const void *data, size_t n, ptrdiff_t stride)
{
    state *s = memory;
    const char *p = data;
    if (stride == (ptrdiff_t)sizeof(T)) {
        const T *x = data;
        for (size_t i = 0; i < n; i++)
            accumulate_one(s, x[i]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        accumulate_one(s, *(const T *)(const void *)(p + (ptrdiff_t)i * stride));
}
"""

# Element i goes to lane i % LANES whatever the layout, and lanes are combined in a fixed tree. A
# field of all lanes is an array, so that the compiler can keep it in vector registers.
_ACCUMULATE_LANES = """
#define LANES {lanes}
typedef struct {{
{arrays}
}} lane_states;

static ALWAYS_INLINE state get_lane(const lane_states *lanes, size_t k, double parameter)
{{
    state s;
    s.parameter_ = parameter;
{get}
    return s;
}}

static ALWAYS_INLINE void put_lane(lane_states *lanes, size_t k, const state *s)
{{
{put}
}}

static ALWAYS_INLINE void accumulate_lane(lane_states *lanes, size_t k, double parameter, T x)
{{
    state s = get_lane(lanes, k, parameter);
    accumulate_one(&s, x);
    put_lane(lanes, k, &s);
}}

static ALWAYS_INLINE void combine_lanes(lane_states *lanes, size_t width, double parameter)
{{
    for (size_t k = 0; k < width; k++) {{
        state s = get_lane(lanes, k, parameter);
        const state o = get_lane(lanes, k + width, parameter);
        combine_two(&s, &o);
        put_lane(lanes, k, &s);
    }}
}}

void accumulate(void *memory, const void *data, size_t n, ptrdiff_t stride)
{{
    const double parameter = ((const state *)memory)->parameter_;
    const char *p = data;
    lane_states lanes;
    state s;
    size_t i = 0;
    identity(&s, parameter);
    for (size_t k = 0; k < LANES; k++)
        put_lane(&lanes, k, &s);
    if (stride == (ptrdiff_t)sizeof(T)) {{
        const T *x = data;
        for (; i + LANES <= n; i += LANES)
            for (size_t k = 0; k < LANES; k++)
                accumulate_lane(&lanes, k, parameter, x[i + k]);
    }}
    for (; i < n; i++)
        accumulate_lane(&lanes, i % LANES, parameter,
                        *(const T *)(const void *)(p + (ptrdiff_t)i * stride));
{joins}
    s = get_lane(&lanes, 0, parameter);
    combine_two(memory, &s);
}}
"""


class Reduction:
    """A reduction of one's own, for :func:`parsum.parallel_reduce` and :class:`parsum.Accumulator`.

    It is a monoid: a *state*, and four functions. ``identity`` makes the state of no elements,
    ``accumulate`` takes elements in, ``combine`` merges the state of elements that come later into
    one, and ``finish`` gives the result. Combining must be associative (but for rounding), and
    the identity must change nothing when it is combined with.

    Make one by :meth:`from_c`, :meth:`from_pointers` or :meth:`from_python`.
    """

    __slots__ = (
        "__weakref__", "_define", "_dtypes", "_lock", "_made", "_result", "_rows", "commutative",
        "name", "python",
    )  # fmt: skip

    #: What messages call it.
    name: str
    #: Whether elements may be taken in by another order than that of the array.
    commutative: bool
    #: The functions in Python, if it is of these.
    python: PythonFunctions | None
    _dtypes: tuple[DType, ...]
    _result: DType | None
    _define: Callable[[DType, DType], Row] | None
    _made: tuple[str, dict[str, Any]] | None
    _rows: dict[DType, Row]
    _lock: threading.Lock

    def __init__(self) -> None:
        raise TypeError("Reduction must be made by Reduction.from_c, from_pointers or from_python")

    @classmethod
    def _new(
        cls,
        name: str,
        dtypes: tuple[DType, ...],
        result: DType | None,
        commutative: bool,
        define: Callable[[DType, DType], Row] | None,
        made: tuple[str, dict[str, Any]] | None,
        python: PythonFunctions | None = None,
    ) -> Reduction:
        self = object.__new__(cls)
        self.name = name
        self.commutative = commutative
        self.python = python
        self._dtypes = dtypes
        self._result = result
        self._define = define
        self._made = made
        self._rows = {}
        self._lock = threading.Lock()
        return self

    def __repr__(self) -> str:
        return f"Reduction({self.name!r})"

    def __eq__(self, other: object) -> bool:
        """Tell whether two are the same, or were made of the same text or functions."""
        if not isinstance(other, Reduction) or self is other:
            return self is other
        return self._made is not None and self._made == other._made

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> Any:
        if self._made is None:
            raise TypeError(
                f"{self!r} cannot be pickled: addresses mean nothing in another process"
            )
        return _remake, self._made

    @classmethod
    def from_c(
        cls,
        *,
        state: Mapping[str, str],
        accumulate: str,
        combine: str,
        finish: str,
        identity: str = "",
        header: str = "",
        dtypes: DTypeLike | Sequence[DTypeLike] = "float64",
        result: Any = None,
        ordered: bool = True,
        commutative: bool = True,
        lanes: int | None = None,
        name: str = "custom",
    ) -> Reduction:
        """Make a reduction of C text, which is compiled when it is first used with a dtype.

        Compiled kernels are kept on disk (see :func:`parsum.cache_folder`) and run as built-in ones
        do: in several threads, without the GIL, on any layout. The text is C11 and sees the
        standard headers, the element type ``T``, the result type ``R`` and the number
        ``parameter`` that the caller of the reduction gives.

        Parameters
        ----------
        state : mapping of str to str
            The fields of the state: names to C types, ``{"sum": "double"}``; an array has its
            length in brackets, ``{"bins": "int64_t[256]"}``.
        accumulate : str
            Statements that take the element ``x`` into the state ``s``: ``s->sum += fabs(x);``.
        combine : str
            Statements that take the state ``o``, of elements that come later, into ``s``.
        finish : str
            Statements that write the result of ``s`` to ``*r`` (``r[k]`` of several values,
            ``r->field`` of a record). They may ``return`` PARSUM_OVERFLOW, PARSUM_INVALID or
            PARSUM_DIVIDE, which ``np.errstate`` acts on, or PARSUM_EMPTY for a ValueError.
        identity : str, optional
            Statements that make ``s``, all of whose bytes are zero, the state of no elements.
        header : str, optional
            What stands before all that: functions, types, ``#include``.
        dtypes : dtype_like or sequence of them, optional
            The types that ``T`` may be. Arrays of others are converted, block by block, to the
            first of these that NumPy casts them to safely.
        result : dtype_like, optional
            The dtype of the result, that of ``T`` by default: a number; several of one kind,
            ``("int64", 256)``; or a mapping of names to dtypes for a record.
        ordered : bool, optional
            Whether the order of combination may show in the bits of the result, as that of
            floating-point additions does. Then it is a tree that the number of elements alone
            decides, so that the result does not depend on the workers. False is faster for large
            states, and right if combining is exact (counts, extremes).
        commutative : bool, optional
            Whether the order of elements does not matter. If False they are taken in C order,
            one after the other.
        lanes : int, optional
            How many states take elements in in turn, for the compiler to use vector instructions:
            a power of two up to 64. By default 32, but 1 for states that are large, have arrays or
            are not commutative.
        name : str, optional
            What messages call it.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above.
        parsum.CompileError
            At the first use: if the text is no C, or there is no compiler.

        Examples
        --------
        >>> import numpy as np
        >>> import parsum
        >>> geometric_mean = parsum.Reduction.from_c(
        ...     state={"logs": "double", "n": "int64_t"},
        ...     accumulate="s->logs += log(x); s->n++;",
        ...     combine="s->logs += o->logs; s->n += o->n;",
        ...     finish="if (!s->n) return PARSUM_EMPTY; *r = exp(s->logs / s->n);",
        ... )
        >>> parsum.parallel_reduce(np.array([1.0, 2.0, 4.0]), geometric_mean)
        np.float64(2.0)
        """
        given = {
            "state": dict(state) if isinstance(state, Mapping) else state,
            "accumulate": accumulate,
            "combine": combine,
            "finish": finish,
            "identity": identity,
            "header": header,
            "dtypes": dtypes,
            "result": result,
            "ordered": ordered,
            "commutative": commutative,
            "lanes": lanes,
            "name": name,
        }
        for text in (*_TEXTS, "name"):
            if not isinstance(given[text], str):
                raise TypeError(f"{text} must be a str, got {given[text]!r}")
            if "\0" in given[text]:
                raise ValueError(f"{text} must be text without null bytes, got {given[text]!r}")
        fields = _fields(state)
        wanted = _element_dtypes(dtypes)
        record = None if result is None else _result_dtype(result)
        if lanes is not None and (type(lanes) is not int or lanes not in (1, 2, 4, 8, 16, 32, 64)):
            raise ValueError(f"lanes must be a power of two up to 64, got {lanes!r}")
        if lanes not in (None, 1) and not commutative:
            raise ValueError(
                "lanes must be 1 where commutative is False, as they take elements in turn, got "
                f"{lanes}"
            )
        texts = {key: given[key] for key in _TEXTS}

        def define_for(dtype: DType, to: DType) -> Row:
            width = _lanes_for(fields, lanes, bool(commutative))
            source = _source(fields, texts, dtype, to, width)
            what = f"{name} for {dtype}"
            places = compiler.load(source, ("state_size", *_FUNCTIONS), what, texts)
            size = ctypes.CFUNCTYPE(ctypes.c_size_t)(places[0])()
            return _row(places[1:], size, dtype, to, bool(ordered), None)

        made = ("from_c", given)
        return cls._new(name, wanted, record, bool(commutative), define_for, made)

    @classmethod
    def from_pointers(
        cls,
        *,
        identity: Any,
        accumulate: Any,
        combine: Any,
        finish: Any,
        state_size: int,
        dtype: DTypeLike = "float64",
        result: Any = None,
        ordered: bool = True,
        commutative: bool = True,
        name: str = "custom",
    ) -> Reduction:
        """Make a reduction of compiled functions: of numba, of ctypes or cffi, or by address.

        Each is an integer address, a ``numba.cfunc``, a ctypes function pointer (also of a library)
        or a cffi one. In C they are::

            void identity(void *state, double parameter);
            void accumulate(void *state, const void *data, size_t n, ptrdiff_t stride);
            void combine(void *state, const void *other);
            int finish(const void *state, int type, void *result);

        ``accumulate`` finds n aligned elements of `dtype`, ``stride`` bytes apart. ``finish``
        writes a result of the dtype `result`, may ignore ``type``, and returns 0 or flags (see
        parsum.h). Many threads call them at once, each with states of its own, without the GIL:
        they must not touch Python objects, nor write to anything but their state and result, nor
        wait, nor unwind (C++ exceptions, longjmp). A state is `state_size` bytes at an address
        that is a multiple of 16; it is copied as bytes, so it may not point into itself.

        Parameters
        ----------
        identity, accumulate, combine, finish : int, numba.cfunc, ctypes or cffi function pointer
            The four functions. They are kept as long as the reduction.
        state_size : int
            Bytes of a state.
        dtype : dtype_like, optional
            The type of the elements; arrays of others are converted to it if that is safe.
        result, ordered, commutative, name
            As for :meth:`from_c`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above.
        """
        functions = dict(zip(_FUNCTIONS, (identity, accumulate, combine, finish), strict=True))
        places = tuple(_address(function, key) for key, function in functions.items())
        if isinstance(state_size, bool) or not isinstance(state_size, (int, np.integer)):
            raise TypeError(f"state_size must be an integer, got {state_size!r}")
        if not 1 <= state_size <= STATE_LIMIT:
            raise ValueError(f"state_size must be from 1 to {STATE_LIMIT}, got {state_size}")
        (element,) = _element_dtypes((dtype,))
        record = None if result is None else _result_dtype(result)
        keep = tuple(functions.values())

        def define_for(kernel: DType, to: DType) -> Row:
            return _row(places, int(state_size), kernel, to, bool(ordered), keep)

        return cls._new(str(name), (element,), record, bool(commutative), define_for, None)

    @classmethod
    def from_python(
        cls,
        *,
        identity: Callable[[], Any],
        accumulate: Callable[[Any, np.ndarray[Any, Any]], Any],
        combine: Callable[[Any, Any], Any],
        finish: Callable[[Any], Any] | None = None,
        chunk: int = 1 << 17,
        result: DTypeLike | None = None,
        name: str = "custom",
    ) -> Reduction:
        """Make a reduction of Python functions on slices of the array.

        It is for work that NumPy, or another library, does without the GIL: several slices are
        worked on at once. States may be any objects. Slices are of `chunk` elements in C order,
        and states are combined in a tree that the number of elements alone decides, so that the
        result does not depend on the workers.

        Parameters
        ----------
        identity : callable
            ``identity()`` gives the state of no elements.
        accumulate : callable
            ``accumulate(state, slice)`` gives the state with the elements of a 1-D array; it may
            change the state that it is given, but not the slice.
        combine : callable
            ``combine(state, other)`` gives that of the elements of both; it may change ``state``.
        finish : callable, optional
            ``finish(state)`` gives the result; the state itself by default.
        chunk : int, optional
            Elements of a slice.
        result : dtype_like, optional
            The dtype of the results of several outputs; NumPy's choice by default.
        name : str, optional
            What messages call it.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above.

        Examples
        --------
        >>> import numpy as np
        >>> import parsum
        >>> distinct = parsum.Reduction.from_python(
        ...     identity=lambda: np.empty(0),
        ...     accumulate=np.union1d,
        ...     combine=np.union1d,
        ...     finish=len,
        ... )
        >>> parsum.parallel_reduce(np.arange(500_000.0) % 1000, distinct)
        1000
        """
        functions = {"identity": identity, "accumulate": accumulate, "combine": combine}
        for key, function in functions.items():
            if not callable(function):
                raise TypeError(f"{key} must be a function, got {function!r}")
        if finish is not None and not callable(finish):
            raise TypeError(f"finish must be a function or None, got {finish!r}")
        if isinstance(chunk, bool) or not isinstance(chunk, (int, np.integer)):
            raise TypeError(f"chunk must be an integer, got {chunk!r}")
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")
        record = None if result is None else np.dtype(result)
        python = PythonFunctions(identity, accumulate, combine, finish, int(chunk), record)
        given = {
            **functions, "finish": finish, "chunk": int(chunk), "result": record, "name": name,
        }  # fmt: skip
        return cls._new(str(name), (), None, False, None, ("from_python", given), python)

    # ---- for the functions that run it ----

    def kernel_dtype(self, dtype: DType) -> DType:
        """Return the dtype that elements are converted to; TypeError if there is none."""
        plain = dtype.newbyteorder("=")
        if plain in self._dtypes:
            return plain
        if dtype.names is None and dtype.kind in "biufc":
            for kernel in self._dtypes:
                if np.can_cast(plain, kernel, "safe") and can_convert(
                    type_of(plain), type_of(kernel)
                ):
                    return kernel
        names = ", ".join(map(str, self._dtypes))
        raise TypeError(f"a must be of a dtype that {self.name} takes ({names}), got {dtype}")

    def result_dtype(self, kernel: DType) -> DType:
        """Return the dtype of results, of elements of that dtype."""
        return kernel if self._result is None else self._result

    def row(self, kernel: DType) -> Row:
        """Return the row for elements of a dtype, made when it is first asked for."""
        row = self._rows.get(kernel)
        if row is None:
            assert self._define is not None
            made = self._define(kernel, self.result_dtype(kernel))
            with self._lock:
                row = self._rows.setdefault(kernel, made)
        return row


class PythonFunctions:
    """The four functions in Python, and how many elements one call is given."""

    __slots__ = ("accumulate", "chunk", "combine", "finish", "identity", "result")

    def __init__(
        self,
        identity: Callable[[], Any],
        accumulate: Callable[[Any, Any], Any],
        combine: Callable[[Any, Any], Any],
        finish: Callable[[Any], Any] | None,
        chunk: int,
        result: DType | None,
    ) -> None:
        self.identity = identity
        self.accumulate = accumulate
        self.combine = combine
        self.finish = finish
        self.chunk = chunk
        self.result = result


def _remake(way: str, given: dict[str, Any]) -> Reduction:
    """Make a reduction of what a pickle says of it."""
    if way == "from_c":
        return Reduction.from_c(**given)
    if way == "from_python":
        return Reduction.from_python(**given)
    raise ValueError(f"a pickled Reduction must be of C or Python functions, got {way!r}")


# ---- arguments ----

_FUNCTIONS = ("identity", "accumulate", "combine", "finish")


def _fields(state: Any) -> list[tuple[str, str, int]]:
    """Return the name, C type and length (0 for no array) of each field."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state must map names of fields to C types, got {state!r}")
    fields = []
    for name, text in state.items():
        if not isinstance(name, str) or not _NAME.match(name) or name == "parameter_":
            raise ValueError(f"state must have C identifiers as names of fields, got {name!r}")
        match = _FIELD.match(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                "state must give each field a C type, or one and a length in brackets, got "
                f"{text!r} for {name}"
            )
        length = int(match["length"] or 0)
        if match["length"] is not None and length < 1:
            raise ValueError(f"state must give arrays at least 1 element, got {text!r} for {name}")
        fields.append((name, match["type"], length))
    if not fields:
        raise ValueError("state must have at least one field, got none")
    return fields


def _element_dtypes(dtypes: Any) -> tuple[DType, ...]:
    several = dtypes if isinstance(dtypes, (list, tuple)) else (dtypes,)
    wanted = tuple(np.dtype(k).newbyteorder("=") for k in several)
    if not wanted:
        raise ValueError("dtypes must name at least one dtype, got none")
    for dtype in wanted:
        if dtype not in TYPES or dtype not in _C_TYPES:
            raise TypeError(
                f"dtypes must be of bool, integers, floats or complex numbers, got {dtype}"
            )
    return wanted


def _result_dtype(result: Any) -> DType:
    if isinstance(result, Mapping):
        dtype = np.dtype([(name, np.dtype(kind)) for name, kind in result.items()], align=True)
    else:
        dtype = np.dtype(result)
    _c_result(dtype)
    if dtype.itemsize > VALUES_LIMIT:
        raise ValueError(f"result must be of at most {VALUES_LIMIT} bytes, got {dtype.itemsize}")
    return dtype


def _address(function: Any, name: str) -> int:
    """Return the address of a compiled function."""
    place: Any = None
    if isinstance(function, (int, np.integer)) and not isinstance(function, bool):
        place = int(function)
    elif isinstance(function, FFI.CData):
        place = int(FFI().cast("uintptr_t", function))
    elif isinstance(function, _C_FUNCTION):
        place = ctypes.cast(cast(Any, function), ctypes.c_void_p).value
    elif isinstance(getattr(function, "address", None), int):
        place = function.address
    else:
        raise TypeError(
            f"{name} must be an address, a numba.cfunc, or a ctypes or cffi function pointer, got "
            f"{function!r}"
        )
    if not place or not 0 < place <= _LAST_ADDRESS:
        raise ValueError(f"{name} must be the address of a function, got {place!r}")
    return int(place)


def _row(
    places: tuple[int, ...], size: int, dtype: DType, to: DType, ordered: bool, keep: object
) -> Row:
    """Return the row of functions whose results are records of bytes."""
    if size > STATE_LIMIT:
        raise ValueError(f"state must be of at most {STATE_LIMIT} bytes, got {size}")
    identity, accumulate, combine, finish = places
    return define(
        (identity, accumulate, combine, finish), size, type_of(dtype), BYTE, to.itemsize, ordered,
        keep,
    )  # fmt: skip


# ---- C text ----


def _lanes_for(fields: list[tuple[str, str, int]], lanes: int | None, commutative: bool) -> int:
    if any(length for _, _, length in fields) or not commutative:
        return 1
    if lanes is not None:
        return lanes
    if 8 * len(fields) > _LANE_STATE:
        return 1
    return _LANES


def _c_result(dtype: DType) -> str:
    """Return what makes R the C type that has the layout of a dtype."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        length = int(np.prod(shape))
        return (
            f"typedef {_c_type(base)} R;\ntypedef R RESULT_T[{length}];\n"
            "#define RESULT_POINTER(value) (value)"
        )
    if dtype.names is not None:
        lines = []
        for name in dtype.names:
            if not _NAME.match(name):
                raise ValueError(f"result must have C identifiers as names, got {name!r}")
            lines.append(f"    {_c_type(dtype[name])} {name};")
        if not dtype.isalignedstruct:
            raise ValueError(f"result must be an aligned record, got {dtype}")
        fields = "\n".join(lines)
        return (
            f"typedef struct {{\n{fields}\n}} R;\ntypedef R RESULT_T;\n"
            "#define RESULT_POINTER(value) (&(value))"
        )
    return (
        f"typedef {_c_type(dtype)} R;\ntypedef R RESULT_T;\n"
        "#define RESULT_POINTER(value) (&(value))"
    )


def _c_type(dtype: DType) -> str:
    text = _C_TYPES.get(dtype)
    if text is None or not dtype.isnative:
        raise TypeError(
            "result must be of bool, integers, floats or complex numbers of this machine's byte "
            f"order, got {dtype}"
        )
    return text


def _source(
    fields: list[tuple[str, str, int]],
    texts: dict[str, str],
    dtype: DType,
    to: DType,
    lanes: int,
) -> str:
    declared = [
        f"    {kind} {name}[{length}];" if length else f"    {kind} {name};"
        for name, kind, length in fields
    ]
    # Messages of the compiler then speak of the user's lines.
    numbered = {key: f'#line 1 "{key}"\n{text}\n#line 1 "parsum"' for key, text in texts.items()}
    frame = _FRAME.format(
        element=_C_TYPES[dtype],
        result=_c_result(to),
        fields='#line 1 "state"\n' + "\n".join(declared) + '\n#line 1 "parsum"',
        **numbered,
    )
    if lanes == 1:
        return frame + _ACCUMULATE
    names = [name for name, _, _ in fields]
    return frame + _ACCUMULATE_LANES.format(
        lanes=lanes,
        arrays="\n".join(f"    {kind} {name}[LANES];" for name, kind, _ in fields),
        get="\n".join(f"    s.{name} = lanes->{name}[k];" for name in names),
        put="\n".join(f"    lanes->{name}[k] = s->{name};" for name in names),
        # Each of a constant width, which makes vector instructions of it.
        joins="\n".join(
            f"    combine_lanes(&lanes, {lanes >> level}, parameter);"
            for level in range(1, lanes.bit_length())
        ),
    )
