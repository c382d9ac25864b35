"""Arrays in chunked stores, Zarr and HDF5: their libraries read the chunks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from parsum.sources.base import (
    Array,
    Place,
    Reader,
    Source,
    check_dtype,
    no_member,
    without_library,
)
from parsum.sources.files import File

#: Any of them in a folder says that it is an array or group of Zarr's.
_ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")


class Stored(Source):
    """An array in a chunked store, which ``parallel_`` functions of one array take.

    Its chunks are read and decompressed by the library whose it is, several at a time.

    Attributes
    ----------
    array : object
        The library's array.
    grid : tuple of ints or None
        The shape of its chunks.
    """

    __slots__ = ("_name", "array", "grid")

    def __init__(self, array: Any, name: str, grid: Place | None) -> None:
        check_dtype(array.dtype, name)
        super().__init__(array.dtype, tuple(array.shape))
        self.array = array
        self.grid = grid
        self._name = name

    def named(self) -> str:
        """Return what the source is called in messages."""
        return self._name

    def reader(self) -> Reader:
        """Let its library read it."""
        return _StoreReader(self.array)


class _StoreReader:
    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        self._array = array

    def read(self, worker: int, begin: Place, end: Place) -> tuple[Array, None]:
        block = tuple(slice(a, b) for a, b in zip(begin, end, strict=True))
        return self._array[block], None

    def close(self) -> None: ...


# ---- Zarr ----


def is_zarr(path: str) -> bool:
    """Tell whether a folder is an array or a group of Zarr's."""
    return any((Path(path) / name).exists() for name in _ZARR_FILES)


def open_zarr(path: str, member: str | None) -> Source:
    """Return the array in a folder, or that of a name in a group."""
    try:
        import zarr
    except ImportError:
        raise without_library(path, "zarr", "zarr") from None
    found = zarr.open(path, mode="r")
    if isinstance(found, zarr.Array):
        if member is not None:
            raise TypeError(f"member must be left out for {path}, which holds a single array")
        return zarr_source(found)
    names = sorted(name for name, _ in found.arrays())
    if member is None and len(names) == 1:
        member = names[0]
    array = found.get(member) if member is not None else None
    if not isinstance(array, zarr.Array):
        raise no_member(path, member, names)
    return zarr_source(array)


def zarr_source(array: Any) -> Source:
    """Return an array of Zarr's as a source."""
    return Stored(array, f"{array.store_path} (Zarr)", tuple(array.chunks))


# ---- HDF5 ----


def open_hdf5(path: str, member: str | None) -> Source:
    """Return the dataset of that name in a file, or the only one."""
    try:
        import h5py
    except ImportError:
        raise without_library(path, "h5py", "hdf5") from None
    file = h5py.File(path, "r")
    names: list[str] = []
    file.visititems(lambda name, k: names.append(name) if isinstance(k, h5py.Dataset) else None)
    if member is None and len(names) == 1:
        member = names[0]
    dataset = file.get(member) if member is not None else None
    if not isinstance(dataset, h5py.Dataset):
        file.close()
        raise no_member(path, member, names)
    return hdf5_source(dataset)


def hdf5_source(dataset: Any) -> Source:
    """Return a dataset as a source: as a file if its elements lie in one piece."""
    name = f"{dataset.file.filename}, {dataset.name}"
    check_dtype(dataset.dtype, name)
    place = dataset.id.get_offset()
    # What a file that may be written to has not written yet is not in it; of what was never written
    # in a file with a block of the user's, the place is not None but wrong.
    if (
        place is not None
        and dataset.id.get_storage_size() == dataset.nbytes > 0
        and dataset.file.mode == "r"
        and dataset.file.driver == "sec2"
        and dataset.shape is not None
        and not dataset.external
    ):
        path = os.fspath(dataset.file.filename)
        return File(path, dataset.dtype, dataset.shape, place, "C", dataset.name)
    if dataset.shape is None:
        raise TypeError(f"{name} must be an array, got an empty dataset without a shape")
    return Stored(dataset, name, dataset.chunks)
