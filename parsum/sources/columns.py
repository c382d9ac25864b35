"""Columns of tables: Arrow arrays in memory, Parquet and Arrow files. What is null is left out."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import numpy as np

from parsum.sources.base import (
    Array,
    DType,
    Place,
    Reader,
    Source,
    check_dtype,
    no_member,
    without_library,
)
from parsum.sources.iterators import Chunks


class Column(Source):
    """Arrow arrays one after the other, as one vector; what is null is left out.

    Attributes
    ----------
    arrays : list
        pyarrow's arrays.
    """

    __slots__ = ("_begins", "arrays", "may_leave_out")

    def __init__(self, arrays: list[Any], type_: Any) -> None:
        self.arrays = arrays
        self._begins = [0, *accumulate(map(len, arrays))]
        self.may_leave_out = any(array.null_count for array in arrays)
        super().__init__(_dtype_of(type_, self.named()), (self._begins[-1],))

    def named(self) -> str:
        """Return what the source is called in messages."""
        return "of Arrow arrays"

    def reader(self) -> Reader:
        """Read it where it is."""
        return self

    def read(self, worker: int, begin: Place, end: Place) -> tuple[Array, Array | None]:
        """Return the elements from ``begin`` to ``end``, and which of them are null."""
        number = max(0, bisect.bisect_right(self._begins, begin[0]) - 1)
        parts = []
        place = begin[0]
        while place < end[0]:
            stop = min(end[0], self._begins[number + 1])
            start = self._begins[number]
            parts.append(self.arrays[number].slice(place - start, stop - place))
            place, number = stop, number + 1
        return joined([elements_of(part) for part in parts], self.dtype)

    def close(self) -> None:
        """Nothing is open."""


class ParquetColumn(Source):
    """A column of a Parquet file, read by its row groups; what is null is left out.

    Attributes
    ----------
    path : str
        Of the file.
    column : str
        Its name.
    """

    __slots__ = ("column", "cuts", "path")

    may_leave_out = True

    def __init__(self, path: str, column: str, dtype: DType, lengths: list[int]) -> None:
        super().__init__(dtype, (sum(lengths),))
        self.path = path
        self.column = column
        self.cuts = tuple(accumulate(lengths[:-1], initial=0)) if lengths else ()

    def named(self) -> str:
        """Return what the source is called in messages."""
        return f"{self.path!r}, {self.column!r}"

    def reader(self) -> Reader:
        """Open the file to be read."""
        return _ParquetReader(self)


class _ParquetReader:
    """A reader of Parquet's own for each worker, as one is not for several threads."""

    __slots__ = ("_files", "_source")

    def __init__(self, source: ParquetColumn) -> None:
        self._source = source
        self._files: dict[int, Any] = {}

    def read(self, worker: int, begin: Place, end: Place) -> tuple[Array, Array | None]:
        from pyarrow import parquet

        source = self._source
        if begin == end:
            return np.empty(0, source.dtype), None
        file = self._files.get(worker)
        if file is None:
            file = self._files[worker] = parquet.ParquetFile(source.path)
        assert source.cuts is not None
        first = bisect.bisect_right(source.cuts, begin[0]) - 1
        last = bisect.bisect_left(source.cuts, end[0])
        groups = list(range(max(first, 0), last))
        table = file.read_row_groups(groups, columns=[source.column], use_threads=False)
        column = table.column(0).slice(begin[0] - source.cuts[groups[0]], end[0] - begin[0])
        if len(column) != end[0] - begin[0]:
            raise ValueError(f"{source.path} must not change while it is read")
        return joined([elements_of(part) for part in column.chunks], source.dtype)

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def open_parquet(path: str, member: str | None) -> Source:
    """Return the column of that name in a Parquet file, or the only one."""
    _need_pyarrow(path)
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        lengths = [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
    name = _column(path, member, schema.names)
    return ParquetColumn(path, name, _dtype_of(schema.field(name).type, path), lengths)


def open_arrow(path: str, member: str | None) -> Source:
    """Return the column of that name in an Arrow or Feather file, or the only one."""
    _need_pyarrow(path)
    import pyarrow as pa
    from pyarrow import ipc

    with pa.OSFile(path) as file:
        schema = ipc.open_file(file).schema
    name = _column(path, member, schema.names)
    number = schema.names.index(name)

    # How long its batches are is known as they are read: they come one after the other.
    def batches() -> Iterator[tuple[Array, Array | None]]:
        options = ipc.IpcReadOptions(included_fields=[number], use_threads=False)
        with pa.OSFile(path) as file, ipc.open_file(file, options=options) as reader:
            for k in range(reader.num_record_batches):
                yield elements_of(reader.get_batch(k).column(0))

    dtype = _dtype_of(schema.field(name).type, path)
    return Chunks(dtype, (1,), f"{path!r}, {name!r}", batches, lasting=True)


def arrow_source(a: Any) -> Source | Array | None:
    """Return an Arrow array, chunked or not, as what it is read as; None if it is no such."""
    import pyarrow as pa

    if isinstance(a, pa.ChunkedArray):
        arrays = a.chunks
    elif isinstance(a, pa.Array):
        arrays = [a]
    else:
        return None
    column = Column(arrays, a.type)
    if len(arrays) == 1 and not column.may_leave_out:
        return elements_of(arrays[0])[0]
    return column


def _need_pyarrow(path: str) -> None:
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError:
        raise without_library(path, "pyarrow", "arrow") from None


def _column(path: str, member: str | None, names: list[str]) -> str:
    if member is None and len(names) == 1:
        return names[0]
    if member is None or names.count(member) != 1:
        raise no_member(path, member, names)
    return member


def _dtype_of(type_: Any, name: str) -> DType:
    """Return the dtype of Arrow's elements as NumPy has them."""
    import pyarrow as pa

    try:
        dtype: DType = pa.array([], type_).to_numpy(zero_copy_only=False).dtype
    except (pa.ArrowException, NotImplementedError):
        dtype = np.dtype(object)
    if dtype.kind == "O":
        raise TypeError(
            f"{name} must be of bool, integers, floats or times, got Arrow's type {type_}"
        )
    check_dtype(dtype, name)
    return dtype


def elements_of(array: Any) -> tuple[Array, Array | None]:
    """Return an Arrow array's elements, without a copy if they lie as NumPy's do, and the nulls."""
    mask = None
    if array.null_count:
        mask = array.is_null().to_numpy(zero_copy_only=False)
        dtype = _dtype_of(array.type, "a")
        if dtype.kind != "b" and dtype.itemsize * 8 == array.type.bit_width:
            # What is null has some value there.
            data = np.frombuffer(array.buffers()[1], dtype)
            return data[array.offset : array.offset + len(array)], mask
        if dtype.kind == "b":
            array = array.fill_null(False)
    return array.to_numpy(zero_copy_only=False), mask


def joined(parts: list[tuple[Array, Array | None]], dtype: DType) -> tuple[Array, Array | None]:
    """Return vectors and their masks one after the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return np.empty(0, dtype), None
    mask = None
    if any(k is not None for _, k in parts):
        mask = np.concatenate([np.zeros(len(a), bool) if k is None else k for a, k in parts])
    return np.concatenate([a for a, _ in parts]), mask
