"""From a path to the source that is there, and from other libraries' arrays to sources."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike

from parsum.sources import columns, files, stores
from parsum.sources.base import Array, Source
from parsum.sources.iterators import chunks_of

#: How the files of other libraries begin; Parquet files end so too.
_HDF5 = b"\x89HDF\r\n\x1a\n"
_PARQUET = b"PAR1"
_ARROW = b"ARROW1"


def open_source(
    path: str | os.PathLike[str],
    *,
    member: str | None = None,
    dtype: DTypeLike | None = None,
    shape: int | tuple[int, ...] | None = None,
    offset: int = 0,
    order: str = "C",
) -> Source:
    """Return the array in a file, to be read when it is reduced.

    Parameters
    ----------
    path : str or path-like
        A .npy or .npz file; one of raw elements, if `dtype` is given; an HDF5 file (needs h5py), a
        Zarr array or group (zarr), a Parquet, Feather or Arrow file (pyarrow).
    member : str, optional
        The name of an array in a .npz file, of a dataset in an HDF5 file, of an array in a Zarr
        group, of a column; not needed if there is but one. Members of a .npz file that are
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
    Source
        What ``parallel_`` functions of one array, but for cumulative ones, take in place of an
        array: ``parallel_sum(parsum.open("data.npy"), axis=0)``. They take a path as well, and
        open Zarr arrays, HDF5 datasets, Arrow arrays and iterators of arrays as they are.

    Raises
    ------
    OSError
        If the file is not there or cannot be read, or is no regular file.
    TypeError
        If its dtype is not supported (objects, strings, records), or an argument is of a wrong
        type.
    ValueError
        If it is none of these files, damaged, or shorter than its shape; or there are several
        arrays in it and none is named.
    ImportError
        If the library that it takes is not installed.

    Notes
    -----
    A .npy file, raw elements and HDF5 datasets that are neither chunked nor compressed are read by
    ``pread``, not mapped: if the file is truncated meanwhile, the reduction ends with a ValueError
    that names file and place, where a memory map would end the process. Nothing is ever unpickled.
    Other libraries read their files themselves, several chunks at a time. What is null in a column
    is left out.

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
    if dtype is not None and member is not None:
        raise TypeError(f"member must be left out for raw elements, got {member!r}")
    if dtype is None and (shape is not None or offset != 0 or order != "C"):
        raise TypeError("dtype must be given where shape, offset or order are, got None")
    if stat.S_ISDIR(status.st_mode):
        if dtype is None and stores.is_zarr(name):
            return stores.open_zarr(name, member)
        raise IsADirectoryError(errno.EISDIR, "Is a directory", name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", name)
    if dtype is not None:
        return files.raw(name, status.st_size, dtype, shape, offset, order)
    with Path(name).open("rb") as stream:
        head = stream.read(len(_HDF5))
    if head.startswith(files.ZIP):
        return files.npz(name, status.st_size, member)
    if head.startswith(_PARQUET):
        return columns.open_parquet(name, member)
    if head.startswith(_ARROW):
        return columns.open_arrow(name, member)
    if head.startswith(_HDF5):
        return stores.open_hdf5(name, member)
    if not head.startswith(files.NPY) and _is_hdf5(name, status.st_size):
        return stores.open_hdf5(name, member)
    if member is not None:
        raise TypeError(f"member must be left out for {name}, which holds a single array")
    return files.npy_file(name, status.st_size)


def _is_hdf5(path: str, size: int) -> bool:
    """Tell whether HDF5's signature stands behind a block of the user's: at 512, 1024, 2048..."""
    place = 512
    with Path(path).open("rb", buffering=0) as stream:
        while place < size:
            stream.seek(place)
            if stream.read(len(_HDF5)) == _HDF5:
                return True
            place *= 2
    return False


def source_of(a: Any) -> Source | Array | None:
    """Return what an object of another library or an iterator is read as; None if it is neither.

    Those of Arrow that lie in memory as arrays do are arrays. No library is imported: objects of
    one that is not imported yet cannot be there.
    """
    if isinstance(a, Source):
        return a
    if isinstance(a, (str, os.PathLike)):
        return open_source(a)
    library = type(a).__module__.partition(".")[0]
    if library == "zarr" and isinstance(a, sys.modules["zarr"].Array):
        return stores.zarr_source(a)
    if library == "h5py" and isinstance(a, sys.modules["h5py"].Dataset):
        return stores.hdf5_source(a)
    if library == "pyarrow":
        return columns.arrow_source(a)
    return chunks_of(a) if isinstance(a, Iterator) else None
