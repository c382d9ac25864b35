"""Arrays in files, read piece by piece: never mapped into memory, never unpickled."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike

from parsum.sources.base import Array, DType, Place, Reader, Source, check_dtype, no_member

#: How .npy files and archives begin.
NPY = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
#: Bytes of the header of a member of a zip file, before its name.
_ZIP_HEADER = 30
#: Most characters of a header of a .npy file, as in NumPy: it is parsed, which takes time.
_MOST_HEADER = 10_000


class File(Source):
    """An array in a file, which ``parallel_`` functions of one array take in place of an array.

    Made by :func:`parsum.open`. It holds no data and no open file. Elements are read as they are
    taken in, some megabytes at a time, by every worker for itself.

    Attributes
    ----------
    path : str
        Of the file.
    dtype : dtype
        Of the elements, in the byte order of the file.
    shape : tuple of ints
        Of the array.
    order : {"C", "F"}
        Whether the last or the first axis is that along which elements follow each other.
    offset : int
        Where in the file, or in a compressed member of it, its elements begin.
    member : str or None
        The member of a .npz or HDF5 file that it is.
    compressed : bool
        Whether the elements have to be decompressed, one after the other.
    """

    __slots__ = ("compressed", "member", "offset", "order", "path")

    def __init__(
        self,
        path: str,
        dtype: DType,
        shape: Place,
        offset: int,
        order: str,
        member: str | None = None,
        compressed: bool = False,
    ) -> None:
        super().__init__(dtype, shape)
        self.path = path
        self.member = member
        self.compressed = compressed
        self.offset = offset
        self.order = order

    @property
    def sequential(self) -> bool:  # type: ignore[override]
        """Whether the elements are read one after the other, by one worker."""
        return self.compressed

    def named(self) -> str:
        """Return what the source is called in messages."""
        return repr(self.path) if self.member is None else f"{self.path!r}, {self.member!r}"

    def reader(self) -> Reader:
        """Open the file to be read."""
        return FileReader(self)

    def flat(self) -> File:
        """Return its elements as a vector in the order in which they lie."""
        return self._of_shape((self.size,))

    def transposed(self) -> File:
        """Return it with its axes the other way round."""
        return self._of_shape(self.shape[::-1])

    def _of_shape(self, shape: Place) -> File:
        return File(self.path, self.dtype, shape, self.offset, "C", self.member, self.compressed)


class FileReader:
    """Reads blocks of the array in a file into a buffer for each worker."""

    __slots__ = ("_buffers", "_bytes", "_file")

    def __init__(self, file: File) -> None:
        self._file = file
        self._bytes: _Bytes = _Inflater(file) if file.compressed else _Opened(file)
        self._buffers: dict[int, Array] = {}

    def read(self, worker: int, begin: Place, end: Place) -> tuple[Array, None]:
        """Return the elements from ``begin`` to ``end``."""
        file = self._file
        if file.order == "F":
            return self._read(worker, file.shape[::-1], begin[::-1], end[::-1]).T, None
        return self._read(worker, file.shape, begin, end), None

    def _read(self, worker: int, shape: Place, begin: Place, end: Place) -> Array:
        """Read a block of an array in C order, run by run."""
        file = self._file
        lengths = [b - a for a, b in zip(begin, end, strict=True)]
        # Elements that follow each other: whole axes, and some of the axis before them.
        run, steps, step, axis = 1, [1] * len(shape), 1, len(shape)
        for k in reversed(range(len(shape))):
            steps[k] = step
            step *= shape[k]
        while axis and run == steps[axis - 1]:
            axis -= 1
            run *= lengths[axis]
        itemsize = file.dtype.itemsize
        count = math.prod(lengths[:axis])
        data = self._buffer(worker, count * run * itemsize)
        pieces = data.reshape(count, run * itemsize)
        start = sum(a * b for a, b in zip(begin, steps, strict=True))
        if run:
            for number, outer in enumerate(np.ndindex(*lengths[:axis])):
                place = start + sum(a * b for a, b in zip(outer, steps, strict=False))
                self._bytes.read(pieces[number], file.offset + place * itemsize)
        return data.view(file.dtype).reshape(lengths)

    def _buffer(self, worker: int, size: int) -> Array:
        buffer = self._buffers.get(worker)
        if buffer is None or len(buffer) < size:
            # Blocks of elements begin where any of them is aligned.
            room: Array = np.empty(size + 63, np.uint8)
            start = -room.__array_interface__["data"][0] % 64
            buffer = self._buffers[worker] = room[start : start + size]
        return buffer[:size]

    def close(self) -> None:
        """Close the file."""
        self._bytes.close()


class _Bytes(Protocol):
    def read(self, buffer: Array, offset: int) -> None: ...

    def close(self) -> None: ...


class _Opened:
    """An open file, from which any number of threads may read at once."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, file: File) -> None:
        self._path = file.path
        self._descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, buffer: Array, offset: int) -> None:
        """Fill a contiguous array of bytes from that place in the file on, without the GIL."""
        view = memoryview(cast(Any, buffer))
        while view:
            try:
                count = os.preadv(self._descriptor, [view], offset)
            except OSError as error:
                error.filename = self._path
                raise
            if count == 0:
                raise ValueError(
                    f"{self._path} must not become shorter while it is read: it ends at byte "
                    f"{offset}, {len(view)} bytes before what was to be read"
                )
            view = view[count:]
            offset += count

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class _Inflater:
    """An open member of a .npz file that is compressed: read from the beginning to the end."""

    __slots__ = ("_archive", "_at", "_member", "_path", "_stream")

    def __init__(self, file: File) -> None:
        import zipfile

        assert file.member is not None
        self._path = file.path
        self._member = file.member
        self._archive = zipfile.ZipFile(file.path)
        self._stream: Any = None
        self._at = 0

    def read(self, buffer: Array, offset: int) -> None:
        """Fill a contiguous array of bytes from that place in the member on."""
        view = memoryview(cast(Any, buffer))
        try:
            if self._stream is None or offset < self._at:
                self._stream = self._archive.open(self._member)
                self._at = 0
            while self._at < offset:
                self._at += self._some(memoryview(bytearray(min(offset - self._at, 1 << 16))))
            while view:
                count = self._some(view)
                view = view[count:]
                self._at += count
        except Exception as error:  # zipfile stumbles over damaged archives in many ways
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise _damaged(self._path, self._member, error) from None

    def _some(self, view: memoryview) -> int:
        count = int(self._stream.readinto(view))
        if count == 0:
            raise EOFError(f"it ends at byte {self._at}")
        return count

    def close(self) -> None:
        """Close the file."""
        self._archive.close()


def _damaged(path: str, member: str, error: Exception) -> ValueError:
    return ValueError(f"{path} must be a sound .npz file: {member}: {error}")


def npy_file(path: str, size: int) -> File:
    """Return the array in a .npy file."""
    with Path(path).open("rb") as stream:
        if stream.read(len(NPY)) != NPY:
            raise ValueError(
                f"{path} must be a .npy file, or dtype be given for raw elements: it does not "
                "begin as such files do"
            )
        stream.seek(0)
        shape, fortran, dtype = _sound_header(path, stream)
        offset = stream.tell()
    file = File(path, dtype, shape, offset, "F" if fortran else "C")
    _check_size(path, file, offset, size)
    return file


def npz(path: str, size: int, member: str | None) -> File:
    """Return a member of an archive, where it is if it is not compressed."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy"): name for name in archive.namelist()}
            if member is None and len(names) == 1:
                member = next(iter(names))
            if member not in names:
                raise no_member(path, member, names)
            info = archive.getinfo(names[member])
            with archive.open(info) as stream:
                shape, fortran, dtype = _sound_header(f"{path}: {member}", stream)
                offset = stream.tell()
    except Exception as error:  # zipfile stumbles over damaged archives in many ways
        ours = isinstance(error, (ValueError, TypeError)) and str(error).startswith(
            (path, "member ")
        )
        if ours or (isinstance(error, OSError) and error.errno != errno.EINVAL):
            raise
        raise _damaged(path, str(member), error) from None
    order = "F" if fortran else "C"
    file = File(path, dtype, shape, offset, order, info.filename, True)
    _check_size(f"{path}: {member}", file, offset, info.file_size)
    if info.compress_type != zipfile.ZIP_STORED:
        return file
    # Its bytes are in the archive as they are, after a header of their own.
    with Path(path).open("rb") as raw:
        raw.seek(info.header_offset)
        head = raw.read(_ZIP_HEADER)
        if len(head) < _ZIP_HEADER or head[: len(ZIP)] != ZIP:
            raise _damaged(path, str(member), zipfile.BadZipFile("its header is not there"))
        lengths = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    offset += info.header_offset + _ZIP_HEADER + lengths
    file = File(path, dtype, shape, offset, order, info.filename)
    _check_size(path, file, offset, size)
    return file


def _check_size(what: str, file: File, offset: int, size: int) -> None:
    if offset + file.nbytes > size:
        raise ValueError(
            f"{what} must have {offset + file.nbytes} bytes for shape {file.shape} of "
            f"{file.dtype}, got {size}: it is truncated"
        )


def _sound_header(what: str, stream: Any) -> tuple[tuple[int, ...], bool, DType]:
    """Return shape, whether the order is Fortran's, and dtype."""
    try:
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError(f"format version {version} is not known")
        shape, fortran, dtype = _header(stream, version)
    except Exception as error:  # of Python's tokenizer and parser, by NumPy
        if isinstance(error, OSError) or type(error).__module__ in ("zipfile", "zlib"):
            raise  # of the archive
        raise ValueError(f"{what} must be a .npy file with a sound header: {error}") from None
    check_dtype(dtype, what)
    return shape, fortran, dtype


def _header(stream: Any, version: tuple[int, int]) -> tuple[tuple[int, ...], bool, DType]:
    """Return shape, whether the order is Fortran's, and dtype."""
    if version == (1, 0):
        return npy.read_array_header_1_0(stream, max_header_size=_MOST_HEADER)
    if version == (2, 0):
        return npy.read_array_header_2_0(stream, max_header_size=_MOST_HEADER)
    # Of version 3.0, which only records have, by NumPy's own reader of all versions.
    raise ValueError("format version 3.0 is for records alone")


def raw(path: str, size: int, dtype: DTypeLike, shape: Any, offset: Any, order: Any) -> File:
    """Return raw elements of a file of that size."""
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype must be a data type, got {dtype!r}: {error}") from None
    check_dtype(wanted, path)
    if order not in ("C", "F"):
        raise ValueError(f"order must be 'C' or 'F', got {order!r}")
    if isinstance(offset, bool) or not isinstance(offset, (int, np.integer)):
        raise TypeError(f"offset must be an integer, got {offset!r}")
    if not 0 <= offset <= size:
        raise ValueError(f"offset must be from 0 to the size of {path}, {size}, got {offset}")
    room = size - int(offset)
    lengths = [-1] if shape is None else [shape] if isinstance(shape, (int, np.integer)) else shape
    numbers = []
    for length in lengths:
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)):
            raise TypeError(f"shape must be integers, got {shape!r}")
        if length < -1:
            raise ValueError(f"shape must be of lengths from 0 on, or one -1, got {shape!r}")
        numbers.append(int(length))
    if numbers.count(-1) > 1:
        raise ValueError(f"shape must be of lengths from 0 on, or one -1, got {shape!r}")
    if -1 in numbers:
        known = wanted.itemsize
        for length in numbers:
            known *= length if length != -1 else 1
        if known == 0 or room % known:
            raise ValueError(
                f"{path} must have a whole number of {wanted} for shape {shape}, got {room} bytes "
                f"from byte {offset} on"
            )
        numbers[numbers.index(-1)] = room // known
    file = File(path, wanted, tuple(numbers), int(offset), str(order))
    if file.nbytes > room:
        raise ValueError(
            f"{path} must have {int(offset) + file.nbytes} bytes for shape {file.shape} of "
            f"{wanted}, got {size}"
        )
    return file
