"""Reductions of users' own: the monoid's four functions as C text, as addresses or in Python."""

from __future__ import annotations

import ctypes
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike

from parsum.frame import C_TYPES, NAME, c_result, has_arrays, source_of
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

_LAST_ADDRESS = 2 * sys.maxsize + 1

#: The base of all types of ctypes function pointers.
_C_FUNCTION: type = ctypes.CFUNCTYPE(None).__bases__[0]

_FIELD = re.compile(r"(?P<type>[A-Za-z_][A-Za-z_0-9 ]*?)\s*(\[\s*(?P<length>[0-9]+)\s*\])?\s*\Z")
_TEXTS = ("header", "identity", "accumulate", "combine", "finish")


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
            states and many columns, and right if combining is exact (counts, extremes).
        commutative : bool, optional
            Whether the order of elements does not matter. If False they are taken in C order,
            one after the other.
        lanes : int, optional
            How many states take elements in in turn, for the compiler to use vector instructions:
            a power of two up to 64. By default 32, but 1 for states whose fields have more than 64
            bytes. It is 1 where there are arrays, more than 1024 bytes, or `commutative` is False.
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
            from parsum import compiler

            source = source_of(fields, texts, dtype, to, lanes if commutative else 1, bool(ordered))
            names = _NAMES if has_arrays(fields) else _NAMES + _SHORT_CUTS
            state_size, has_short_cuts, *places = compiler.load(
                source, names, f"{name} for {dtype}", texts
            )
            size = ctypes.CFUNCTYPE(ctypes.c_size_t)(state_size)()
            if not ctypes.CFUNCTYPE(ctypes.c_int)(has_short_cuts)():
                places = places[: len(_FUNCTIONS)]
            return _row(tuple(places), size, dtype, to, bool(ordered), None)

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
        writes a result of the dtype `result`, may ignore ``type``, and returns 0 or flags: 1 for
        overflow, 2 for invalid, 4 for a division by zero, 8 for no elements.

        Many threads call them at once, each with states of its own, without the GIL: they must not
        touch Python objects, nor write to anything but their state and result, nor wait, nor unwind
        (C++ exceptions, longjmp). A state is `state_size` bytes at an address that is a multiple of
        16; it is copied as bytes, so it may not point into itself.

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

    def row_of(self, dtype: DType) -> Row | None:
        """Return the row for elements of a dtype as they are, if it was made before."""
        return self._rows.get(dtype)

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
#: What compiled text has: the size of a state, whether there are the short cuts, the four.
_NAMES = ("state_size_", "has_short_cuts_", "identity_", "accumulate_", "combine_", "finish_")
_SHORT_CUTS = ("accumulate_columns_", "reduce_columns_", "reduce_rows_")


def _fields(state: Any) -> list[tuple[str, str, int]]:
    """Return the name, C type and length (0 for no array) of each field."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state must map names of fields to C types, got {state!r}")
    fields = []
    for name, text in state.items():
        if not isinstance(name, str) or not NAME.match(name) or name == "parameter_":
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
        if dtype not in TYPES or dtype not in C_TYPES:
            raise TypeError(
                f"dtypes must be of bool, integers, floats or complex numbers, got {dtype}"
            )
    return wanted


def _result_dtype(result: Any) -> DType:
    if isinstance(result, Mapping):
        dtype = np.dtype([(name, np.dtype(kind)) for name, kind in result.items()], align=True)
    else:
        dtype = np.dtype(result)
    c_result(dtype)
    if dtype.itemsize > VALUES_LIMIT:
        raise ValueError(f"result must be of at most {VALUES_LIMIT} bytes, got {dtype.itemsize}")
    return dtype


def _address(function: Any, name: str) -> int:
    """Return the address of a compiled function."""
    from cffi import FFI

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
    return define(places, size, type_of(dtype), BYTE, to.itemsize, ordered, keep)
