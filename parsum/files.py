"""Arrays in files, read piece by piece: never mapped into memory, never unpickled."""

from __future__ import annotations

import errno
import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
#: Bytes of the header of a member of a zip file, before its name.
_ZIP_HEADER = 30
#: Most characters of a header of a .npy file, as in NumPy: it is parsed, which takes time.
_MOST_HEADER = 10_000
_KINDS = "biufcmM"


class File:
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
        The member of a .npz file that it is.
    compressed : bool
        Whether the elements have to be decompressed, one after the other.
    """

    __slots__ = (
        "compressed", "dtype", "member", "ndim", "offset", "order", "path", "shape", "size",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        dtype: DType,
        shape: tuple[int, ...],
        offset: int,
        order: str,
        member: str | None = None,
        compressed: bool = False,
    ) -> None:
        self.path = path
        self.member = member
        self.compressed = compressed
        self.dtype = dtype
        self.shape = shape
        self.offset = offset
        self.order = order
        self.ndim = len(shape)
        self.size = 1
        for length in shape:
            self.size *= length

    def __repr__(self) -> str:
        name = repr(self.path) if self.member is None else f"{self.path!r}, {self.member!r}"
        return f"<parsum.File {name}: shape {self.shape}, dtype {self.dtype}>"

    @property
    def nbytes(self) -> int:
        """How many bytes all elements have."""
        return self.size * self.dtype.itemsize

    @property
    def mask(self) -> None:
        """No elements are left out."""

    def reader(self) -> Reader | Inflater:
        """Open the file to be read."""
        return Inflater(self) if self.compressed else Reader(self)


class Reader:
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

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Inflater:
    """An open member of a .npz file that is compressed: read from the beginning to the end."""

    __slots__ = ("_archive", "_at", "_member", "_path", "_stream")

    def __init__(self, file: File) -> None:
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

    def __enter__(self) -> Inflater:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _damaged(path: str, member: str, error: Exception) -> ValueError:
    return ValueError(f"{path} must be a sound .npz file: {member}: {error}")


def open_file(
    path: str | os.PathLike[str],
    *,
    member: str | None = None,
    dtype: DTypeLike | None = None,
    shape: int | tuple[int, ...] | None = None,
    offset: int = 0,
    order: str = "C",
) -> File:
    """Return the array in a file, to be read when it is reduced.

    Parameters
    ----------
    path : str or path-like
        A .npy or .npz file; or one of raw elements, if `dtype` is given.
    member : str, optional
        The name of an array in a .npz file; not needed if there is but one. Members that are
        compressed are read by one worker, at the speed of decompression.
    dtype : dtype_like, optional
        The dtype of raw elements, with its byte order: ``">f4"``.
    shape : int or tuple of ints, optional
        The shape of raw elements; by default all that there are, as a vector. One length may be -1.
    offset : int, optional
        Where in the file raw elements begin, in bytes.
    order : {"C", "F"}, optional
        The order of raw elements.

    Returns
    -------
    File
        What ``parallel_`` functions of one array, but for cumulative ones, take in place of an
        array: ``parallel_sum(parsum.open("data.npy"), axis=0)``. They take a path of a .npy file as
        well.

    Raises
    ------
    OSError
        If the file is not there or cannot be read, or is no regular file.
    TypeError
        If its dtype is not supported (objects, strings, records), or an argument is of a wrong
        type.
    ValueError
        If it is no .npy file, damaged, or shorter than its shape.

    Notes
    -----
    The file is read by ``pread``, not mapped: if it is truncated meanwhile, the reduction ends with
    a ValueError that names file and place, where a memory map would end the process. Nothing is
    ever unpickled.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> import parsum
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.npy")
    ...     np.save(path, np.arange(6.0).reshape(2, 3))
    ...     parsum.parallel_sum(parsum.open(path), axis=0)
    array([3., 5., 7.])
    """
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"path must be a str or path-like, got {path!r}")
    status = os.stat(name)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", name)
    if dtype is not None and member is not None:
        raise TypeError(f"member must be left out for raw elements, got {member!r}")
    if dtype is None:
        if shape is not None or offset != 0 or order != "C":
            raise TypeError("dtype must be given where shape, offset or order are, got None")
        with Path(name).open("rb") as stream:
            if stream.read(len(_ZIP)) == _ZIP:
                return _npz(name, status.st_size, member)
        if member is not None:
            raise TypeError(f"member must be left out for {name}, which is no .npz file")
        return _npy(name, status.st_size)
    return _raw(name, status.st_size, dtype, shape, offset, order)


def _check_dtype(dtype: DType, path: str) -> None:
    if dtype.kind not in _KINDS or dtype.names is not None or dtype.subdtype is not None:
        raise TypeError(
            f"{path} must be of bool, integers, floats, complex numbers or times, got dtype {dtype}"
        )


def _npy(path: str, size: int) -> File:
    with Path(path).open("rb") as stream:
        if stream.read(len(_NPY)) != _NPY:
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


def _npz(path: str, size: int, member: str | None) -> File:
    """Return a member of an archive, where it is if it is not compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy"): name for name in archive.namelist()}
            if member is None and len(names) == 1:
                member = next(iter(names))
            if member not in names:
                raise ValueError(
                    f"member must be one of {', '.join(map(repr, names))} of {path}, got {member!r}"
                )
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
        if len(head) < _ZIP_HEADER or head[: len(_ZIP)] != _ZIP:
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
    except (OSError, zipfile.BadZipFile, zlib.error):
        raise
    except Exception as error:  # of Python's tokenizer and parser, by NumPy
        raise ValueError(f"{what} must be a .npy file with a sound header: {error}") from None
    _check_dtype(dtype, what)
    return shape, fortran, dtype


def _header(stream: Any, version: tuple[int, int]) -> tuple[tuple[int, ...], bool, DType]:
    """Return shape, whether the order is Fortran's, and dtype."""
    if version == (1, 0):
        return npy.read_array_header_1_0(stream, max_header_size=_MOST_HEADER)
    if version == (2, 0):
        return npy.read_array_header_2_0(stream, max_header_size=_MOST_HEADER)
    # Of version 3.0, which only records have, by NumPy's own reader of all versions.
    raise ValueError("format version 3.0 is for records alone")


def _raw(path: str, size: int, dtype: DTypeLike, shape: Any, offset: Any, order: Any) -> File:
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype must be a data type, got {dtype!r}: {error}") from None
    _check_dtype(wanted, path)
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
