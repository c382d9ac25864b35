"""Sums a .npy file, memory-mapped and with a progress bar, and compares with np.sum.

    python examples/sum_npy.py [FILE]

Without FILE it makes 1 GB of normal float64 numbers in a temporary folder and removes them
afterwards. The file is never read into memory as a whole.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import parsum

with suppress(ImportError):  # parsum says what to install
    from tqdm.auto import tqdm

    tqdm.get_lock()  # what tqdm does once, now rather than in the sum's time

CHUNK = 2**21  # elements made and written at a time


def make(path: Path, nbytes: int) -> None:
    """Write a .npy file of so many bytes of normal float64 numbers, chunk by chunk."""
    size = nbytes // 8
    rng = np.random.default_rng(1)
    with path.open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (size,)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, size, CHUNK):
            rng.standard_normal(min(CHUNK, size - start)).astype("<f8").tofile(file)


def timed(name: str, nbytes: int, call: Any) -> Any:
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    print(f"{name:<14}{result!s:<26}{seconds:8.3f} s{nbytes / seconds / 1e9:8.2f} GB/s", flush=True)
    return result


def difference(result: Any, exact: Any) -> str:
    """How far a result is from the exact one, in the field's unit: units in the last place."""
    if result == exact or (np.isnan(result) and np.isnan(exact)):
        return "np.sum gives the same"
    if exact.dtype.kind == "f":
        ulps = abs(result.astype("g") - exact) / np.spacing(abs(exact))
        return f"np.sum is off by {ulps:.6g} units in the last place (ulp)"
    return f"np.sum is off by {abs(result - exact)}"


def compare(path: Path, workers: int | None) -> None:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)  # a clear error for what is no .npy
    # A mapping of its own for each sum, so that both have to map the file's pages.
    a = np.load(path, mmap_mode="r")
    print(f"{path.name}: {a.nbytes / 1e9:.3g} GB of {a.dtype}, shape {a.shape}")
    exact = timed(
        "parallel_sum",
        a.nbytes,
        lambda: parsum.parallel_sum(a, workers=workers, progress=True),
    )
    b = np.load(path, mmap_mode="r")
    print(difference(timed("np.sum", b.nbytes, lambda: np.sum(b)), exact))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="the .npy to sum")
    parser.add_argument(
        "--bytes", type=int, metavar="N", help="size of the data made here (default 10**9)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="at most so many threads")
    arguments = parser.parse_args()
    if arguments.file and arguments.bytes is not None:
        parser.error("--bytes is for a file that is made here, not for FILE")
    if arguments.bytes is not None and arguments.bytes < 8:
        parser.error(f"--bytes must be at least 8, got {arguments.bytes}")

    path = arguments.file
    try:
        if path:
            compare(path, arguments.workers)
        else:
            with tempfile.TemporaryDirectory(prefix="parsum-") as folder:
                path = Path(folder) / "normal.npy"
                nbytes = arguments.bytes or 10**9
                print(f"making {nbytes / 1e9:.3g} GB in {folder} ...", flush=True)
                make(path, nbytes)
                compare(path, arguments.workers)
    except (OSError, ImportError) as error:  # no such file, no space; no tqdm
        sys.exit(f"sum_npy: {error}")
    except (TypeError, ValueError) as error:  # np.load's and parallel_sum's
        sys.exit(f"sum_npy: {path}: {error}")


if __name__ == "__main__":
    main()
