"""Reductions of elements of one dtype, alone or side by side: their rows, their results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from parsum.api.arguments import Array, DType, check_dtype
from parsum.api.call import Operation, native, part_of
from parsum.api.named import OWN_ARGUMENTS, Named, named, own_arguments
from parsum.api.products import kernel_dtype
from parsum.custom import Reduction
from parsum.reduction import BYTE, RECORD_HEAD, Member, Row, find, join, type_of

_BYTES = np.dtype(np.uint8)
_FLOAT64 = np.dtype(np.float64)


def as_number(parameter: Any) -> float:
    """Return the parameter of a reduction of one's own."""
    try:
        return float(parameter)
    except (TypeError, ValueError):
        raise TypeError(f"parameter must be a number, got {parameter!r}") from None


def custom_operation(reduction: Reduction) -> Operation:
    """Return what messages and warnings say of a reduction of one's own."""
    return Operation(
        reduction.name, "", "", public=reduction.name, empty_error=True,
        empty=f"{reduction.name} has no result of no elements",
    )  # fmt: skip


def as_results(records: Array, dtype: DType) -> Array:
    """Return the results whose bytes lie along the last axis of an array."""
    shape = records.shape[:-1]
    if dtype.subdtype is not None:
        base, more = dtype.subdtype
        return records.view(base).reshape(shape + more)
    return records.view(dtype).reshape(shape)


class Part:
    """One of several reductions, for elements of one dtype."""

    __slots__ = (
        "arguments", "joins", "kernel", "named", "operation", "parameter", "reduction", "result",
        "row", "skip_nan", "values",
    )  # fmt: skip

    def __init__(
        self,
        reduction: str | Reduction,
        dtype: DType,
        method: str,
        parameter: float,
        arguments: dict[str, Any],
    ) -> None:
        """Take those of the arguments that the reduction has of its own."""
        self.reduction = reduction
        self.arguments: dict[str, Any] = {}
        #: None if it is of functions in Python.
        self.row: Row | None = None
        #: Whether it may take a pass with others.
        self.joins = True
        self.named: Named | None = None
        self.skip_nan = False
        self.values = 1
        if isinstance(reduction, Reduction):
            self.parameter = as_number(parameter)
            self.operation = custom_operation(reduction)
            self.kernel, self.result = dtype, dtype
            if reduction.python is None:
                self.kernel = reduction.kernel_dtype(dtype)
                self.result = reduction.result_dtype(self.kernel)
                self.row = reduction.row(self.kernel)
                self.joins = reduction.commutative
            return
        known = OWN_ARGUMENTS.get(reduction, {})
        self.arguments = {key: value for key, value in arguments.items() if key in known}
        self.kernel = native(dtype)
        own = own_arguments(reduction, self.arguments)
        self.named = named(reduction, self.kernel, method, own)
        self.operation = self.named.operation
        check_dtype(dtype, "a", self.operation.kinds)
        self.parameter = self.named.parameter
        self.result = self.named.result
        self.skip_nan = self.named.skip_nan
        self.values = self.named.values
        self.row = find(self.operation.row, method, type_of(self.kernel), type_of(self.result))
        if self.row is None:
            raise TypeError(f"a must be of a dtype that {reduction} takes, got {dtype}")
        # What shows in the floating-point environment alone would be everybody's.
        self.joins = not self.row.flags_jobs

    def built(self, result: Array) -> Any:
        """Return what the function of that name returns, of an array of its values."""
        if self.named is None or self.named.build is None:
            return result[()]
        return self.named.build(np.asarray(np.ma.getdata(result)))


class PairPart:
    """A reduction of two arrays, for elements of two dtypes."""

    __slots__ = (
        "kernel", "of", "operation", "parameter", "reduction", "result", "row", "skip_nan",
        "values",
    )  # fmt: skip

    def __init__(self, name: str, a: DType, b: DType, method: str, of: str = "") -> None:
        """Take dtypes of both; ``of`` is "real" or "imag" for that part of the first alone."""
        self.reduction = name
        self.of = of
        for dtype, argument in ((a, "a"), (b, "b")):
            check_dtype(dtype, argument, "biufc")
        self.kernel = kernel_dtype(a, b)
        self.result = native(np.result_type(a, b))
        self.values = 1
        self.parameter = 0.0
        self.skip_nan = False
        row = name
        if name == "weighted_mean":
            self.values = 2
            if a.kind in "biu":
                self.result = np.result_type(self.result, _FLOAT64)
        elif name != "dot":
            row = "vdot" if a.kind == "c" else "dot"
        self.operation = Operation(name, row, "biufc")
        self.row = find(row, method, type_of(self.kernel), type_of(self.result))
        if self.row is None:
            raise TypeError(f"a and b must be of dtypes that {name} takes, got {a} and {b}")

    def built(self, result: Array) -> Any:
        """Return the result as the function of that name does, of an array of its values."""
        return result[..., 0][()] if self.values > 1 else result[()]

    def taken(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return what is taken in of arrays."""
        return (getattr(arrays[0], self.of), arrays[1]) if self.of else arrays


def pair_parts(name: str, a: DType, b: DType, method: str) -> list[PairPart]:
    """Return what a reduction of two arrays consists of: real weights are of both parts of a."""
    if name != "weighted_mean" or a.kind != "c" or b.kind == "c":
        return [PairPart(name, a, b, method)]
    part = part_of(a)
    return [PairPart(name, part, b, method, of) for of in ("real", "imag")]


def whole_of(real: Any, imag: Any) -> Any:
    """Return complex results of both their parts."""
    if real is np.ma.masked:
        return real
    parts = np.ma.getdata(real), np.ma.getdata(imag)
    whole: Array = np.empty(parts[0].shape, np.result_type(parts[0].dtype, np.complex64))
    whole.real, whole.imag = parts
    if isinstance(real, np.ma.MaskedArray):
        return np.ma.array(whole, mask=np.ma.getmaskarray(real))
    return whole[()]


class Group:
    """Reductions that make one pass: a single one, or several joined to one row."""

    __slots__ = ("numbered", "offsets", "parameter", "parts", "row", "skip_nan", "type")

    def __init__(self, parts: list[Any], row: Row, offsets: list[int] | None) -> None:
        self.parts = parts
        self.row = row
        #: Where the record of each begins; None for a single one, whose result is no record.
        self.offsets = offsets
        self.numbered = any(part.operation.numbered for part in parts)
        alone = parts[0]
        own = isinstance(alone, Part) and alone.named is None
        self.type = BYTE if offsets is not None or own else type_of(alone.result)
        self.parameter = alone.parameter if offsets is None else 0.0
        self.skip_nan = alone.skip_nan if offsets is None else False

    @property
    def state_size(self) -> int:
        """Bytes of the state of one result."""
        return self.row.state_size

    def records(self, kept: tuple[int, ...]) -> Array:
        """Return a new array for the results of outputs of that shape."""
        if self.type == BYTE and self.row.values > 1:
            return np.empty((*kept, self.row.values), _BYTES)
        alone = self.parts[0]
        if self.type == BYTE and isinstance(alone, Part) and alone.named is None:
            return np.empty((*kept, 1), _BYTES)
        return np.empty((*kept, alone.values) if alone.values > 1 else kept, alone.result)

    def split(
        self, records: Array, flags: int, kept: tuple[int, ...]
    ) -> Iterator[tuple[Any, Array, int]]:
        """Give each reduction, its results and its flags; ``flags`` are those of a single one."""
        if self.offsets is None:
            part = self.parts[0]
            own = isinstance(part, Part) and part.named is None
            yield part, as_results(records, part.result) if own else records, flags
            return
        for part, offset in zip(self.parts, self.offsets, strict=True):
            own_flags = 0
            if records.size:
                heads = np.ascontiguousarray(records[..., offset : offset + 4]).view(np.int32)
                own_flags = int(np.bitwise_or.reduce(heads, axis=None))
            start = offset + RECORD_HEAD
            values = records[..., start : start + part.result.itemsize * part.values]
            values = np.ascontiguousarray(values)
            if part.values > 1:
                yield part, values.view(part.result), own_flags
            else:
                yield part, as_results(values, part.result), own_flags


class PythonGroup:
    """A reduction of functions in Python, which makes a pass of its own."""

    __slots__ = ("functions", "parts")

    numbered = False
    #: Its states are no bytes.
    state_size = 0

    def __init__(self, part: Part) -> None:
        assert isinstance(part.reduction, Reduction) and part.reduction.python is not None
        self.parts = [part]
        self.functions = part.reduction.python


def passes_of(parts: list[Part]) -> list[list[Part]]:
    """Return those that may take a pass together, by passes; without those that must not."""
    able = [part for part in parts if part.row is not None and part.joins]
    ordered = any(part.row is not None and part.row.ordered for part in able)
    passes: dict[tuple[DType, bool], list[Part]] = {}
    for part in able:
        # Elements with numbers come in runs, which would cut the leaves of a tree.
        key = (part.kernel, ordered and part.operation.numbered)
        passes.setdefault(key, []).append(part)
    return list(passes.values())


def joined(parts: list[Part]) -> Group | None:
    """Return several reductions as one pass, or None if they do not go together."""
    members = []
    for part in parts:
        assert part.row is not None
        to = BYTE if part.named is None else type_of(part.result)
        members.append(Member(part.row, part.parameter, to, part.skip_nan))
    found = join(members)
    return None if found is None else Group(parts, *found)


def alone(part: Part | PairPart) -> Group:
    """Return a single reduction as a pass."""
    assert part.row is not None
    return Group([part], part.row, None)
