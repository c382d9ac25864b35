"""Peak extra memory is a few MB for any size, dtype, byte order, layout and mask."""

from __future__ import annotations

import functools
import sys

import pytest
from children import output

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads the peak from /proc"
)

LIMIT = 16 * 2**20

# Arrays of 256 MB, one process for all of them; each peak is counted from the resident size before.
_CODE = """
import gc
import warnings

import numpy as np

from parsum import parallel_sum

N = 2**28
raw = np.zeros(N + 64, np.uint8)
raw[::8] = 1
mask = np.zeros(2**25, bool)
mask[::3] = True


def status(field):
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024


def reset_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def view(dtype, offset=0):
    return raw[offset:offset + N].view(dtype)


f8 = view("f8")
square = f8.reshape(2**12, 2**13)
cases = {}
for name in "f2 f4 f8 i1 u1 i2 u2 i4 u4 i8 u8 c8 c16 g G m8[s] >f2 >f4 >f8 >i2 >i4 >i8 >u8 " \\
        ">c8 >c16 >g >m8[s]".split():
    cases[name] = lambda name=name: parallel_sum(view(name))
cases["bool"] = lambda: parallel_sum(view("?"))
cases["unaligned f8"] = lambda: parallel_sum(view("f8", 1))
cases["unaligned swapped f4"] = lambda: parallel_sum(view(">f4", 3))
cases["strided"] = lambda: parallel_sum(square[:, ::2])
cases["strided rows"] = lambda: parallel_sum(square[::3])
cases["stepped f2"] = lambda: parallel_sum(view("f2")[::3])
cases["negative"] = lambda: parallel_sum(square[::-1, ::-1])
cases["transposed axis 0"] = lambda: parallel_sum(square.T, axis=0)
cases["axis 0"] = lambda: parallel_sum(square, axis=0)
cases["axis 1"] = lambda: parallel_sum(square, axis=1)
cases["axis 0 of few columns"] = lambda: parallel_sum(f8.reshape(-1, 4), axis=0)
cases["axis 1 of few rows"] = lambda: parallel_sum(f8.reshape(4, -1), axis=1)
cases["middle axis"] = lambda: parallel_sum(f8.reshape(64, 2**13, 64), axis=1)
cases["outer axes"] = lambda: parallel_sum(f8.reshape(64, 2**13, 64), axis=(0, 2))
cases["swapped axis 0"] = lambda: parallel_sum(view(">f8").reshape(2**12, 2**13), axis=0)
cases["where"] = lambda: parallel_sum(f8, where=mask)
cases["where in rows"] = lambda: parallel_sum(square, where=mask[:2**13], axis=0)
cases["where of a column"] = lambda: parallel_sum(square, where=mask[:2**12, None], axis=1)
cases["where stepped"] = lambda: parallel_sum(view("f8")[: 2**24], where=mask[::2])
masked = np.ma.array(f8, mask=mask, copy=False)
masked_square = np.ma.array(square, mask=mask.reshape(square.shape), copy=False)
cases["masked array"] = lambda: parallel_sum(masked)
cases["masked array axis 0"] = lambda: parallel_sum(masked_square, axis=0)
cases["masked array axis 1"] = lambda: parallel_sum(masked_square, axis=1)
cases["f8 to f4"] = lambda: parallel_sum(f8, dtype="f4")
cases["f4 to f8"] = lambda: parallel_sum(view("f4"), dtype="f8")
cases["f8 to int"] = lambda: parallel_sum(f8, dtype=int)
cases["i8 to f8"] = lambda: parallel_sum(view("i8"), dtype="f8")
cases["u1 to u1"] = lambda: parallel_sum(view("u1"), dtype="u1")
cases["f8 to bool"] = lambda: parallel_sum(f8, dtype=bool)
cases["f8 to complex"] = lambda: parallel_sum(f8, dtype=complex)
cases["f8 to longdouble"] = lambda: parallel_sum(f8, dtype="g")
cases["fast f8"] = lambda: parallel_sum(f8, method="fast")
cases["fast axis 0"] = lambda: parallel_sum(square, axis=0, method="fast")
cases["fast swapped"] = lambda: parallel_sum(view(">f4"), method="fast")
cases["fast strided"] = lambda: parallel_sum(square[:, ::2], method="fast", workers=8)
cases["many workers"] = lambda: parallel_sum(f8, workers=8)
cases["many workers axis 0"] = lambda: parallel_sum(square, axis=0, workers=8)
cases["out overlapping"] = lambda: parallel_sum(square, axis=1, out=square[:, 5])
cases["progress"] = lambda: parallel_sum(f8, progress=lambda done, total: None)

warnings.simplefilter("ignore")
parallel_sum(np.ones(1_000_000), workers=8)  # threads and code are not extra memory
for name, case in cases.items():
    gc.collect()
    reset_peak()
    before = status("VmRSS")
    case()
    print(f"{name}\\t{status('VmHWM') - before}", flush=True)

# The control: what a copy, even in part, would look like.
gc.collect()
reset_peak()
before = status("VmRSS")
f8[: 2**22] + 1.0
print(f"control\\t{status('VmHWM') - before}")
"""


@functools.cache
def _peaks() -> dict[str, int]:
    lines = output(_CODE, timeout=300).splitlines()
    return {name: int(size) for name, size in (line.split("\t") for line in lines)}


def test_a_copy_would_be_seen():
    assert _peaks()["control"] > 30 * 2**20


def test_every_case_stays_below_16_mb():
    peaks = _peaks()
    assert len(peaks) > 60
    over = {name: f"{size / 2**20:.1f} MB" for name, size in peaks.items() if size >= LIMIT}
    over.pop("control")
    assert over == {}
