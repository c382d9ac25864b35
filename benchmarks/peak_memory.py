"""Prints, as JSON, how many bytes parallel_sum needs at its peak beyond the array.

A process of its own, as the peak is the process's. The kernel is asked for the peak of resident
memory since a reset (Linux: VmHWM and clear_refs), as ru_maxrss begins with what the parent had.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable

import numpy as np

from parsum import parallel_sum

DTYPES = [
    *("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g"),
    *("c8", "c16", "G", "m8[s]", ">i2", ">i4", ">i8", ">f2", ">f4", ">f8", ">c8", ">c16"),
]


def status(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


def peak(call: Callable[[], object]) -> int:
    gc.collect()
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    before = status("VmRSS")
    call()
    return status("VmHWM") - before


def main(size: int) -> None:
    raw = np.ones(size + 16, np.uint8)
    raw[1::2] = 0  # numbers of every type, and no NaN among the floats
    mask = raw[: size // 8].view(bool)
    f8 = raw[:size].view("f8")
    rows = f8.reshape(-1, 1024)
    cases: dict[str, Callable[[], object]] = {
        **{
            str(np.dtype(name)): lambda name=name: parallel_sum(raw[:size].view(name))
            for name in DTYPES
        },
        "float64 unaligned": lambda: parallel_sum(raw[1 : size + 1].view("f8")),
        "float32 unaligned, swapped": lambda: parallel_sum(raw[1 : size + 1].view(">f4")),
        "float64 a[::-3]": lambda: parallel_sum(f8[::-3]),
        "float64 a.T axis=0": lambda: parallel_sum(rows.T, axis=0),
        "float64 axis=0": lambda: parallel_sum(rows, axis=0),
        "float64 a[:, ::2] axis=1": lambda: parallel_sum(rows[:, ::2], axis=1),
        "float64 where": lambda: parallel_sum(f8, where=mask),
        "float64 dtype=float32": lambda: parallel_sum(f8, dtype="f4"),
        "float64 dtype=int64": lambda: parallel_sum(f8, dtype="i8"),
        "float64 progress": lambda: parallel_sum(f8, progress=lambda done, total: None),
        "float64 workers=8": lambda: parallel_sum(f8, workers=8),
        "float64 fast": lambda: parallel_sum(f8, method="fast"),
        "control: a copy of the array": lambda: f8 + 1.0,
    }
    parallel_sum(np.ones(10**6), workers=8)  # the threads and the code are not extra memory
    with np.errstate(all="ignore"):
        print(json.dumps({name: peak(call) for name, call in cases.items()}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
