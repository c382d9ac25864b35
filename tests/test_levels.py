"""All CPU levels that this machine has give the same bits, in both methods."""

from __future__ import annotations

import functools
import subprocess
import sys

import numpy as np
import pytest
from children import TESTS, environment, output, run
from oracle import assert_same_bits, exact_sum, expected_along
from strategies import FAMILIES, FLOATS, generate

import parsum
from parsum import parallel_sum


@functools.cache
def _digests(level: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(TESTS / "levels_corpus.py")],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(PARSUM_CPU_LEVEL=level),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    used, *lines = done.stdout.splitlines()
    assert used == level
    assert len(lines) > 100
    return lines


@pytest.mark.parametrize("level", parsum.cpu_levels())
def test_levels_have_the_same_bits(level):
    assert _digests(level) == _digests("baseline")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_level_is_exact(level, family):
    assert parsum.cpu_level() == level
    with np.errstate(all="ignore"):
        for dtype in FLOATS:
            for n in (9, 1023, 2500, 9001, 70_001):
                values = generate(family, n, dtype, n)
                assert_same_bits(parallel_sum(values), exact_sum(values), f"{dtype} {n}")
            for seed in range(20 if family in ("steps", "ends", "edges", "patchwork") else 0):
                values = generate(family, 30_001, dtype, seed)
                assert_same_bits(parallel_sum(values), exact_sum(values), f"{dtype} {seed}")
            grid = generate(family, 70_000, dtype).reshape(-1, 10)
            expected = expected_along(grid, 0)
            assert_same_bits(parallel_sum(grid, axis=0), expected, f"{dtype} down")
            turned = np.ascontiguousarray(grid.T)
            assert_same_bits(parallel_sum(turned, axis=1), expected, f"{dtype} along")


def test_several_levels_are_compared():
    """On x86 with AVX2 there is something to compare; a build that lost its levels would not."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            flags = file.read()
    except OSError:
        pytest.skip("no /proc/cpuinfo")
    for flag, level in [(" avx2 ", "avx2"), (" avx512dq ", "avx512")]:
        if flag in flags:
            assert level in parsum.cpu_levels()


def test_the_best_level_is_the_default():
    level = output("import parsum; print(parsum.cpu_level())")
    assert level == parsum.cpu_levels()[-1]


@pytest.mark.parametrize("level", parsum.cpu_levels())
def test_forcing_a_level(level):
    code = "import parsum; print(parsum.cpu_level(), int(parsum.parallel_sum([1, 2])))"
    assert output(code, PARSUM_CPU_LEVEL=level) == f"{level} 3"


@pytest.mark.parametrize("level", ["avx1024", "AVX 2", "0", "neon", "none"])
def test_a_level_that_is_not_there_is_an_error(level):
    if level in parsum.cpu_levels():
        pytest.skip(f"{level} is usable here")
    done = run("import parsum", PARSUM_CPU_LEVEL=level)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    assert "PARSUM_CPU_LEVEL" in last
    assert repr(level) in last
    assert "baseline" in last  # what it could be
