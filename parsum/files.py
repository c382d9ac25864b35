"""Arrays in files, read piece by piece: never mapped into memory, never unpickled."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]

_NPY = b"\x93NUMPY"
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
        Where in the file its elements begin.
    """

    __slots__ = ("dtype", "ndim", "offset", "order", "path", "shape", "size")

    def __init__(
        self, path: str, dtype: DType, shape: tuple[int, ...], offset: int, order: str
    ) -> None:
        self.path = path
        self.dtype = dtype
        self.shape = shape
        self.offset = offset
        self.order = order
        self.ndim = len(shape)
        self.size = 1
        for length in shape:
            self.size *= length

    def __repr__(self) -> str:
        return f"<parsum.File {self.path!r}: shape {self.shape}, dtype {self.dtype}>"

    @property
    def nbytes(self) -> int:
        """How many bytes all elements have."""
        return self.size * self.dtype.itemsize

    @property
    def mask(self) -> None:
        """No elements are left out."""

    def reader(self) -> Reader:
        """Open the file to be read."""
        return Reader(self)


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


def open_file(
    path: str | os.PathLike[str],
    *,
    dtype: DTypeLike | None = None,
    shape: int | tuple[int, ...] | None = None,
    offset: int = 0,
    order: str = "C",
) -> File:
    """Return the array in a file, to be read when it is reduced.

    Parameters
    ----------
    path : str or path-like
        A .npy file; or one of raw elements, if `dtype` is given.
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
        raise IsADirectoryError(21, "Is a directory", name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(22, "Not a regular file", name)
    if dtype is None:
        if shape is not None or offset != 0 or order != "C":
            raise TypeError("dtype must be given where shape, offset or order are, got None")
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
        try:
            version = npy.read_magic(stream)
            if version not in ((1, 0), (2, 0), (3, 0)):
                raise ValueError(f"format version {version} is not known")
            shape, fortran, dtype = _header(stream, version)
        except OSError:
            raise
        except Exception as error:  # of Python's tokenizer and parser, by NumPy
            raise ValueError(f"{path} must be a .npy file with a sound header: {error}") from None
        offset = stream.tell()
    _check_dtype(dtype, path)
    file = File(path, dtype, shape, offset, "F" if fortran else "C")
    if offset + file.nbytes > size:
        raise ValueError(
            f"{path} must have {offset + file.nbytes} bytes for shape {shape} of {dtype}, got "
            f"{size}: it is truncated"
        )
    return file


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
