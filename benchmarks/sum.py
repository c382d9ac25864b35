"""Prints how fast parallel_sum is, beside NumPy, other libraries and the rate of reading memory.

    python benchmarks/sum.py [--quick] [--only PATTERN] [--peers] [--json FILE] ...

Sizes are in binary units (256 MB is 2**28 bytes), rates in 10**9 bytes a second. A bound that is
missed is reported, never an error: times are the machine's as much as the library's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from contestants import PEERS, Contestant, sums
from data import normal, shaped
from harness import Bound, Row
from program import Run, command_line

PEAK_LIMIT = 16 * 2**20

#: Those contestants of the given names that there are.
Pick = Callable[..., Mapping[str, Contestant]]

# ---- data ----


def spread(nbytes: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    a = normal("float64", nbytes)
    return np.ldexp(a, rng.integers(-300, 301, a.size, np.int32))


def huge_and_tiny(nbytes: int) -> np.ndarray:
    a = normal("float64", nbytes).copy()
    a[::2] *= 1e200
    a[1::2] *= 1e-200
    return a


def mostly_zero(nbytes: int) -> np.ndarray:
    a = normal("float64", nbytes).copy()
    a[np.random.default_rng(3).random(a.size, np.float32) < 0.9] = 0
    return a


def one_special(value: float, nbytes: int) -> np.ndarray:
    a = normal("float64", nbytes).copy()
    a[a.size // 2] = value
    return a


def random_bits(dtype: str, nbytes: int) -> np.ndarray:
    """Numbers of all exponents, subnormal ones too, but for those whose sum would overflow."""
    kind = np.dtype(dtype)
    words = np.random.default_rng(4).integers(0, 2**64, nbytes // 8, np.uint64)
    a = words.view(kind)
    a[~(np.abs(a) < np.finfo(kind).max / a.size)] = 1
    return a


# ---- rows ----

ALONE = Bound("parsum 1", 1.0, "np.sum")
PAIR = Bound("parsum 2", 1.6, "np.sum", ceiling="read 2")
READS = ("read 1", "read 2")


def main_rows(big: int, pick: Pick) -> list[Row]:
    peers = ("torch 2", "numba 2", "polars 2", "polars streaming 2")
    return [
        Row(
            "main",
            "float64 normal",
            partial(normal, "float64", big),
            pick("np.sum", "naive 2", *peers, *READS, "parsum 1", "parsum 2"),
            (
                Bound("parsum 2", 0.95, "read 2"),
                PAIR,
                Bound("parsum 2", 1.0, "naive 2"),
                *(Bound("parsum 2", 1.0, peer) for peer in peers),
                ALONE,
            ),
            effort=4,
        )
    ]


def dtype_rows(big: int, pick: Pick) -> list[Row]:
    factors = {
        "float32": 1.0,
        "float16": 5.0,
        "bool": 5.0,
        "int8": 5.0,
        "int16": 5.0,
        "int32": 5.0,
        "int64": 1.0,
        "complex64": 1.0,
        "complex128": 1.0,
    }
    return [
        Row(
            "dtypes",
            name,
            partial(normal, name, big),
            pick("np.sum", *READS, "parsum 1", "parsum 2"),
            (Bound("parsum 1", factor, "np.sum", ceiling="read 1" if factor > 1 else None),),
        )
        for name, factor in factors.items()
    ]


def hard_rows(big: int, pick: Pick) -> list[Row]:
    data: dict[str, Callable[[], np.ndarray]] = {
        "exponents over 600 bits": partial(spread, big),
        "alternating 1e200 and 1e-200": partial(huge_and_tiny, big),
        "90% zeros": partial(mostly_zero, big),
        "one NaN in the middle": partial(one_special, np.nan, big),
        "one inf in the middle": partial(one_special, np.inf, big),
        "random bits float64": partial(random_bits, "float64", big),
        "random bits float32": partial(random_bits, "float32", big),
    }
    return [
        Row(
            "hard",
            name,
            make,
            pick("np.sum", *READS, "parsum 1", "parsum 2"),
            (Bound("parsum 1", 4.0, None),),
        )
        for name, make in data.items()
    ]


def axis_rows(big: int, pick: Pick) -> list[Row]:
    few = range(2, 9)
    shapes: list[tuple[tuple[int, ...], int, str]] = [
        ((-1, 8192), 0, "float64"),
        ((-1, 8192), 1, "float64"),
        *(((-1, columns), axis, "float64") for columns in (1, *few) for axis in (0, 1)),
        *(((rows, -1), axis, "float64") for rows in few for axis in (0, 1)),
        *(((-1, columns), axis, "float64") for columns in (16, 100, 1000) for axis in (0, 1)),
        ((-1, 256, 512), 1, "float64"),
        ((-1, 8, 4), 1, "float64"),
        ((-1, 64, 8192), 1, "float64"),
        *(
            ((-1, 8192), axis, dtype)
            for dtype in ("float32", "float16", "bool", "int32", "complex128")
            for axis in (0, 1)
        ),
    ]

    def name(shape: tuple[int, ...], axis: int, dtype: str) -> str:
        known = -int(np.prod(shape))
        rest = big // np.dtype(dtype).itemsize // known
        full = ", ".join(str(rest if n == -1 else n) for n in shape)
        return f"{dtype} ({full}) axis={axis}"

    return [
        Row(
            "axis",
            name(shape, axis, dtype),
            lambda shape=shape, dtype=dtype: shaped(normal(dtype, big), shape),
            pick("np.sum", *READS, "parsum 1", "parsum 2"),
            (ALONE, PAIR),
            {"axis": axis},
        )
        for shape, axis, dtype in shapes
    ]


def small_rows(big: int, pick: Pick) -> list[Row]:
    def row(dtype: str, size: int, bound: bool) -> Row:
        who = "parsum" if size == 1 else "parsum 1"
        return Row(
            "small",
            f"{dtype}, {size:,} element{'s' if size > 1 else ''}",
            partial(normal, dtype, np.dtype(dtype).itemsize * size),
            pick("np.sum", who, "fast 1"),
            (Bound(who, 1.0, "np.sum"),) if bound else (),
            effort=0.3,
        )

    return [
        *(
            row(dtype, size, True)
            for size in (1, 100_000)
            for dtype in ("float64", "float32", "int64", "bool", "complex128")
        ),
        *(row("float64", size, False) for size in (1000, 10_000, 1_000_000)),
    ]


def size_rows(big: int, pick: Pick) -> list[Row]:
    def name(nbytes: int) -> str:
        size = f"{nbytes >> 10} KB" if nbytes < 2**20 else f"{nbytes / 2**20:g} MB"
        return f"float64, {size}"

    sizes = [2**k for k in range(10, 29)] + [3 * 2**k for k in range(19, 24)]
    return [
        Row(
            "sizes",
            name(nbytes),
            partial(normal, "float64", nbytes),
            pick("parsum 1", "parsum 2"),
            (Bound("parsum 2", 0.9, "parsum 1"),),
        )
        for nbytes in sorted(sizes)
        if nbytes <= big
    ]


def fast_rows(big: int, pick: Pick) -> list[Row]:
    return [
        Row(
            "fast",
            f'{dtype} normal, method="fast"',
            partial(normal, dtype, big),
            pick("np.sum", *READS, "fast 1", "fast 2"),
        )
        for dtype in ("float64", "float32", "float16", "complex128")
    ]


GROUPS = {
    "main": "The main case",
    "dtypes": "Other dtypes",
    "hard": "Hard data, exact",
    "axis": "Along an axis of a C array",
    "small": "In cache",
    "sizes": "Two workers beside one",
    "fast": 'method="fast", for information',
    "memory": "Peak extra memory, MB",
}


def rows(big: int, pick: Pick) -> list[Row]:
    makers = (main_rows, dtype_rows, hard_rows, axis_rows, small_rows, size_rows, fast_rows)
    return [row for make in makers for row in make(big, pick)]


def peak_memory(big: int) -> dict[str, int]:
    """Run peak_memory.py in a process of its own."""
    script = Path(__file__).with_name("peak_memory.py")
    done = subprocess.run(
        [sys.executable, str(script), str(big)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument(
        "--peers",
        action="store_true",
        help=f"compare with {', '.join(PEERS)} where they are installed",
    )
    run = Run(parser)
    peers = tuple(PEERS) if run.arguments.peers else ()
    known, absent = sums(peers)

    def pick(*names: str) -> dict[str, Contestant]:
        return {name: known[name] for name in names if name in known}

    chosen = run.choose(rows(run.big, pick), "memory/peak")
    run.introduce(("numpy", "cffi", *peers), absent)
    run.time(chosen, GROUPS)

    peaks: dict[str, int] = {}
    if run.wants("memory/peak"):
        if not sys.platform.startswith("linux"):
            print("\nleft out: peak memory (only Linux tells)")
        else:
            normal.cache_clear()
            peaks = peak_memory(run.big)
            print(f"\n{GROUPS['memory']} (under {PEAK_LIMIT >> 20}; array of {run.big >> 20})")
            for name, peak in peaks.items():
                word = "" if name.startswith("control") else "yes" if peak < PEAK_LIMIT else "NO"
                print(f"{name:44}{peak / 2**20:10.2f}  {word}")
    run.conclude(peaks=peaks)


if __name__ == "__main__":
    main()
