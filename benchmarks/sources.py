"""Prints how fast sources are reduced: files, stores, columns, iterators.

    python benchmarks/sources.py [--quick] [--only PATTERN] [--json FILE] [--folder FOLDER] ...

Files are in the system's cache. A .npy file is measured against `dd` and `cat`, as many at once as
there are workers, each on its part; stores and columns against what their libraries read whole for
np.sum. Libraries that are not installed are left out. A bound that is missed is reported, never an
error.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contestants import Call, Contestant
from data import normal
from harness import Bound, Row
from program import Run, command_line

import parsum

PIECE = 1 << 20


def copied(path: Path, parts: int, program: str) -> Call:
    """Read a file by so many processes at once, each a part of it."""
    pieces = -(-path.stat().st_size // PIECE)
    share = -(-pieces // parts)

    def one(k: int) -> None:
        if program == "cat":
            command = ["cat", str(path)]
        else:
            command = [
                "dd", f"if={path}", "of=/dev/null", f"bs={PIECE}", f"skip={k * share}",
                f"count={share}", "status=none",
            ]  # fmt: skip
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    pool = ThreadPoolExecutor(parts)
    return lambda: list(pool.map(one, range(parts)))


def ours(path: Any, **options: Any) -> Contestant:
    return lambda a, **_: partial(parsum.parallel_sum, path, **options)


def other(call: Callable[[], Any]) -> Contestant:
    return lambda a, **_: call


def npy_rows(folder: Path, a: np.ndarray) -> Iterator[Row]:
    path = folder / "a.npy"
    np.save(path, a)
    file = parsum.open(path)
    yield Row(
        "files", ".npy", lambda: a,
        {
            "dd 1": lambda a, **_: copied(path, 1, "dd"),
            "dd 2": lambda a, **_: copied(path, 2, "dd"),
            "cat": lambda a, **_: copied(path, 1, "cat"),
            "parsum 1": ours(file, workers=1),
            "parsum 2": ours(file, workers=2),
        },
        (Bound("parsum 1", 0.8, "dd 1"), Bound("parsum 1", 0.8, "cat"),
         Bound("parsum 2", 0.8, "dd 2")),
    )  # fmt: skip
    for axis in (0, 1):
        yield Row(
            "files", f".npy axis={axis}", lambda: a,
            {
                "np.load, np.sum": other(lambda axis=axis: np.load(path).sum(axis)),
                "parsum 1": ours(file, axis=axis, workers=1),
                "parsum 2": ours(file, axis=axis, workers=2),
            },
            (Bound("parsum 2", 1, "np.load, np.sum"),),
        )  # fmt: skip
    chunks = np.split(a, 64)
    yield Row(
        "iterators", "64 arrays", lambda: a,
        {
            "np.sum, sum": other(lambda: sum(map(np.sum, chunks))),
            "parsum 1": lambda a, **_: lambda: parsum.parallel_sum(iter(chunks), workers=1),
            "parsum 2": lambda a, **_: lambda: parsum.parallel_sum(iter(chunks), workers=2),
        },
        (Bound("parsum 1", 0.9, "np.sum, sum"),),
    )  # fmt: skip


def zarr_rows(folder: Path, a: np.ndarray) -> Iterator[Row]:
    import zarr

    for name, compressors in (("compressed", "auto"), ("as they are", None)):
        stored = zarr.create_array(
            store=str(folder / f"{name}.zarr"), data=a, chunks=(512, 512), compressors=compressors
        )
        yield store_row(f"Zarr, {name}", stored, a)


def hdf5_rows(folder: Path, a: np.ndarray) -> Iterator[Row]:
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file["plain"] = a
        file.create_dataset("gzip", data=a, chunks=(512, 512), compression=1)
    file = h5py.File(folder / "a.h5", "r")
    yield store_row("HDF5, in one piece", file["plain"], a)
    yield store_row("HDF5, gzip", file["gzip"], a)


def arrow_rows(folder: Path, a: np.ndarray) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import compute, parquet

    table = pa.table({"x": a.ravel()})
    path = folder / "a.parquet"
    parquet.write_table(table, path, row_group_size=1 << 17)
    column = pa.chunked_array([pa.array(part) for part in np.split(a.ravel(), 64)])
    yield Row(
        "columns", "Arrow, 64 chunks", lambda: a,
        {
            "np.sum": other(lambda: np.sum(a)),
            "pyarrow": other(lambda: compute.sum(column)),
            "parsum 1": ours(column, workers=1),
            "parsum 2": ours(column, workers=2),
        },
        (Bound("parsum 1", 0.9, "np.sum"),),
    )  # fmt: skip
    yield Row(
        "columns", "Parquet", lambda: a,
        {
            "pyarrow": other(lambda: compute.sum(parquet.read_table(path)["x"])),
            "parsum 1": ours(parsum.open(path), workers=1),
            "parsum 2": ours(parsum.open(path), workers=2),
        },
        (Bound("parsum 2", 0.9, "pyarrow"),),
    )  # fmt: skip


def store_row(name: str, stored: Any, a: np.ndarray) -> Row:
    """Against the library that reads all of it."""
    return Row(
        "stores", name, lambda: a,
        {
            "read, np.sum": other(lambda: np.sum(stored[...])),
            "parsum 1": ours(stored, workers=1),
            "parsum 2": ours(stored, workers=2),
        },
        (Bound("parsum 2", 1, "read, np.sum"),),
    )  # fmt: skip


TITLES = {
    "files": "Files in the system's cache",
    "stores": "Stores, in chunks of 512 x 512",
    "columns": "Columns of tables",
    "iterators": "Iterators",
}


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--folder", type=Path, help="where to put files (default: a temporary one)")
    run = Run(parser)
    a = normal("float64", run.big).reshape(-1, 2048)
    with tempfile.TemporaryDirectory(dir=run.arguments.folder, prefix="parsum-") as name:
        folder, rows, absent = Path(name), [], {}
        for library, make in (
            ("NumPy", npy_rows), ("zarr", zarr_rows), ("h5py", hdf5_rows), ("pyarrow", arrow_rows),
        ):  # fmt: skip
            try:
                rows += make(folder, a)
            except ImportError as error:
                absent[library] = str(error)
        chosen = run.choose(rows)
        run.introduce(("numpy", "zarr", "h5py", "pyarrow"), absent)
        run.time(chosen, TITLES)
    run.conclude()


if __name__ == "__main__":
    main()
