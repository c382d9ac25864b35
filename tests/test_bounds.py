"""No kernel reads beyond the array: arrays at the edge of pages that may not be touched."""

from __future__ import annotations

import signal
import sys

import pytest
from children import output, run

import parsum

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses mprotect")

_CODE = """
    import ctypes
    import mmap
    import sys
    import numpy as np
    from parsum import parallel_sum

    PAGE, PAGES = mmap.PAGESIZE, 40
    memory = mmap.mmap(-1, (PAGES + 2) * PAGE)
    raw = np.frombuffer(memory, np.uint8)
    address = raw.__array_interface__["data"][0]
    libc = ctypes.CDLL(None, use_errno=True)
    for page in (0, PAGES + 1):
        assert libc.mprotect(ctypes.c_void_p(address + page * PAGE), PAGE, 0) == 0
    if len(sys.argv) > 1:
        raw[(PAGES + 1) * PAGE]
    inside = raw[PAGE : (PAGES + 1) * PAGE]
    inside[:] = np.random.default_rng(0).integers(0, 256, len(inside), dtype=np.uint8) & 0x3F
    large = len(inside)

    def check(values):
        if values.dtype.char in "gG":  # not all bytes are numbers
            values[...] = np.arange(values.size).reshape(values.shape)
        copy = values.copy()
        for method in ("exact", "fast"):
            for axis in [None, *range(values.ndim)]:
                actual = parallel_sum(values, axis=axis, method=method)
                expected = parallel_sum(copy, axis=axis, method=method)
                assert np.array_equal(actual, expected), (values.dtype, values.shape, axis)
        where = np.ones(values.shape, bool)
        parallel_sum(values, where=where)

    np.seterr(all="ignore")
    for name in "f2 f4 f8 c8 c16 ? i1 u1 i2 u2 i4 u4 i8 u8 m8[s] >f4 >i8 g".split():
        size = np.dtype(name).itemsize
        most = large // size
        for shape in [(n,) for n in (*range(1, 70), 127, 129, 1023, 1025, 2047, 2049)] + [
            (rows, columns) for rows in (1, 2, 5, 9, 33) for columns in (*range(1, 20), 31, 33, 65)
        ] + [(1030, 2), (700, 3), (257, 7), (3, 1025)]:
            count = int(np.prod(shape))
            if count > most:
                continue
            check(inside[large - count * size :].view(name).reshape(shape))
            check(inside[: count * size].view(name).reshape(shape))
            if count * size < large and size > 1:
                unaligned = inside[large - count * size - 1 : large - 1]
                check(unaligned.view(name).reshape(shape))
            strided = inside[: 3 * count * size] if 3 * count * size <= large else None
            if strided is not None:
                check(strided.view(name).reshape(*shape, 3)[..., 0])
                check(inside[large - 3 * count * size :].view(name).reshape(*shape, 3)[..., 2])
    print("same")
    """


@pytest.mark.parametrize("level", parsum.cpu_levels())
def test_nothing_beyond_the_array_is_read(level):
    assert output(_CODE, PARSUM_CPU_LEVEL=level, timeout=300) == "same"


def test_a_read_beyond_would_be_seen():
    """The control: the guard is there."""
    assert run(_CODE, "beyond").returncode == -signal.SIGSEGV
