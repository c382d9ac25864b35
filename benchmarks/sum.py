"""Prints how fast parallel_sum is, beside NumPy, other libraries and the rate of reading memory.

    python benchmarks/sum.py [--quick] [--only PATTERN] [--peers] [--json FILE] ...

Sizes are in binary units (256 MB is 2**28 bytes), rates in 10**9 bytes a second. A bound that is
missed is reported, never an error: times are the machine's as much as the library's.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from contestants import PEERS, SETTLE, contestants
from harness import HEADER, Bound, Effort, Row, Verdict, judge, lines, machine, measure_in_peace

BIG = 2**28
QUICK_BIG = 2**24
PEAK_LIMIT = 16 * 2**20

# ---- data ----


@lru_cache(maxsize=2)
def normal(dtype: str, nbytes: int) -> np.ndarray:
    """Normal numbers; of integers all values, or those of 40 bits; of bool half of them True."""
    rng = np.random.default_rng(1)
    kind = np.dtype(dtype)
    size = nbytes // kind.itemsize
    if kind.kind == "c":
        return normal.__wrapped__(f"f{kind.itemsize // 2}", nbytes).view(kind)
    if kind.kind == "b":
        return rng.integers(0, 2, size, np.uint8).view(bool)
    if kind.kind in "iu":
        # Sums of larger ones would not fit, and both libraries would only wrap around.
        limit = min(int(np.iinfo(kind).max), 2**40)
        return rng.integers(-limit if kind.kind == "i" else 0, limit, size, kind)
    if kind.itemsize == 2:
        return rng.standard_normal(size, np.float32).astype(kind)
    return rng.standard_normal(size, kind)


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


def shaped(shape: tuple[int, ...], dtype: str, nbytes: int) -> np.ndarray:
    """As much of the data as fills the shape, whose -1 stands for the rest."""
    a = normal(dtype, nbytes)
    known = -int(np.prod(shape))
    return a[: a.size // known * known].reshape(shape)


# ---- rows ----

ALONE = Bound("parsum 1", 1.0, "np.sum")
PAIR = Bound("parsum 2", 1.6, "np.sum", ceiling="read 2")
READS = ("read 1", "read 2")


def main_rows(big: int) -> list[Row]:
    peers = ("torch 2", "numba 2", "polars 2", "polars streaming 2")
    return [
        Row(
            "main",
            "float64 normal",
            partial(normal, "float64", big),
            ("np.sum", "naive 2", *peers, *READS, "parsum 1", "parsum 2"),
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


def dtype_rows(big: int) -> list[Row]:
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
            ("np.sum", *READS, "parsum 1", "parsum 2"),
            (Bound("parsum 1", factor, "np.sum", ceiling="read 1" if factor > 1 else None),),
        )
        for name, factor in factors.items()
    ]


def hard_rows(big: int) -> list[Row]:
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
            ("np.sum", *READS, "parsum 1", "parsum 2"),
            (Bound("parsum 1", 4.0, None),),
        )
        for name, make in data.items()
    ]


def axis_rows(big: int) -> list[Row]:
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
            partial(shaped, shape, dtype, big),
            ("np.sum", *READS, "parsum 1", "parsum 2"),
            (ALONE, PAIR),
            axis,
        )
        for shape, axis, dtype in shapes
    ]


def small_rows(big: int) -> list[Row]:
    def row(dtype: str, size: int, bound: bool) -> Row:
        who = "parsum" if size == 1 else "parsum 1"
        return Row(
            "small",
            f"{dtype}, {size:,} element{'s' if size > 1 else ''}",
            partial(normal, dtype, np.dtype(dtype).itemsize * size),
            ("np.sum", who, "fast 1"),
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


def size_rows(big: int) -> list[Row]:
    def name(nbytes: int) -> str:
        size = f"{nbytes >> 10} KB" if nbytes < 2**20 else f"{nbytes / 2**20:g} MB"
        return f"float64, {size}"

    sizes = [2**k for k in range(10, 29)] + [3 * 2**k for k in range(19, 24)]
    return [
        Row(
            "sizes",
            name(nbytes),
            partial(normal, "float64", nbytes),
            ("parsum 1", "parsum 2"),
            (Bound("parsum 2", 0.9, "parsum 1"),),
        )
        for nbytes in sorted(sizes)
        if nbytes <= big
    ]


def fast_rows(big: int) -> list[Row]:
    return [
        Row(
            "fast",
            f'{dtype} normal, method="fast"',
            partial(normal, dtype, big),
            ("np.sum", *READS, "fast 1", "fast 2"),
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


def rows(big: int) -> list[Row]:
    makers = (main_rows, dtype_rows, hard_rows, axis_rows, small_rows, size_rows, fast_rows)
    return [row for make in makers for row in make(big)]


def peak_memory(big: int) -> dict[str, int]:
    """Run peak_memory.py in a process of its own."""
    script = Path(__file__).with_name("peak_memory.py")
    done = subprocess.run(
        [sys.executable, str(script), str(big)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="16 MB arrays and few rounds: shows that everything runs, not how fast",
    )
    parser.add_argument(
        "--only", metavar="PATTERN", default="", help='a regular expression for "group/row"'
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help=f"compare with {', '.join(PEERS)} where they are installed (the extra bench)",
    )
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="time each row so long (default 1.5)"
    )
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=0,
        help="wait, and time rows again, for so long in all, while other processes take CPU time",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    arguments = parser.parse_args()
    try:
        pattern = re.compile(arguments.only)
    except re.error as error:
        parser.error(f"--only must be a regular expression, got {arguments.only!r}: {error}")

    big = QUICK_BIG if arguments.quick else BIG
    effort = Effort(0.05, 3) if arguments.quick else Effort(arguments.seconds, 5)
    chosen = [row for row in rows(big) if pattern.search(f"{row.group}/{row.name}")]
    memory = bool(pattern.search("memory/peak"))
    if not chosen and not memory:
        parser.error(f"--only must match a row, got {arguments.only!r}")

    start, patience = time.perf_counter(), arguments.patience
    known, absent = contestants(PEERS if arguments.peers else ())
    about = machine(("numpy", "cffi", *(PEERS if arguments.peers else ())))
    print(f"{about['cpu']}, {about['cpus allowed']} CPUs allowed, {about['system']}")
    print(f"CPU level {about['parsum.cpu_level']}, load before {about['load before']}")
    print(", ".join(f"{name} {number}" for name, number in about["versions"].items()))
    for name, reason in absent.items():
        print(f"left out: {name} ({reason})")
    if arguments.quick:
        print("quick: arrays that fit in cache and few rounds; ratios mean little")

    report: list[dict[str, Any]] = []
    judged: list[tuple[str, Verdict]] = []
    group = ""
    for row in chosen:
        if row.group != group:
            group = row.group
            print(f"\n{GROUPS[group]}\n{HEADER}")
        a = row.data()
        calls = {name: known[name](a, row.axis) for name in row.contestants if name in known}
        began = time.perf_counter()
        timings, others = measure_in_peace(calls, effort * row.effort, SETTLE, began + patience)
        patience -= time.perf_counter() - began
        verdicts = [v for bound in row.bounds if (v := judge(bound, timings, a.nbytes))]
        print("\n".join(lines(row, timings, verdicts, a.nbytes, others)), flush=True)
        judged += [(f"{row.group}/{row.name}", verdict) for verdict in verdicts]
        report.append(
            {
                "group": row.group,
                "row": row.name,
                "bytes": a.nbytes,
                "cpus taken by others": others,
                "seconds": {name: asdict(timing) for name, timing in timings.items()},
                "bounds": [
                    {
                        "subject": v.bound.subject,
                        "bound": v.note,
                        "ratio": v.ratio,
                        "needed": v.needed,
                        "met": v.word,
                    }
                    for v in verdicts
                ],
            }
        )
        del a, calls

    peaks: dict[str, int] = {}
    if memory and not sys.platform.startswith("linux"):
        print("\nleft out: peak memory (only Linux tells)")
    elif memory:
        normal.cache_clear()
        peaks = peak_memory(big)
        print(f"\n{GROUPS['memory']} (under {PEAK_LIMIT >> 20}; array of {big >> 20})")
        for name, peak in peaks.items():
            word = "" if name.startswith("control") else "yes" if peak < PEAK_LIMIT else "NO"
            print(f"{name:44}{peak / 2**20:10.2f}  {word}")

    words = [verdict.word for _, verdict in judged]
    print(
        f"\nbounds on time: {words.count('yes')} met, {words.count('close')} close "
        f"(less than 3% short), {words.count('NO')} missed; "
        f"{time.perf_counter() - start:.0f} s in all"
    )
    for name, verdict in sorted(judged, key=lambda item: item[1].ratio / item[1].needed):
        if verdict.word == "NO":
            print(f"  missed: {name}: {verdict.bound.subject} {verdict.ratio:.2f}, {verdict.note}")
    if arguments.json:
        content = {"machine": about, "quick": arguments.quick, "rows": report, "peaks": peaks}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
