"""States from outside: which bytes are states, and copies that hold nothing but what was taken in.

Python enumerates all reductions and checks honest states; damaged ones are thrown at all functions
here, and by fuzz_states.c with sanitizers.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from parsum._native import ffi, lib

from parsum import reduction as reductions

TESTS = Path(__file__).resolve().parent
CSRC = TESTS.parent / "csrc"
OPERATIONS = [
    "abs_sum",
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "describe",
    "describe_shape",
    "dot",
    "max",
    "max_abs",
    "mean",
    "min",
    "min_abs",
    "minmax",
    "nanargmax",
    "nanargmin",
    "nanmax",
    "nanmin",
    "nanminmax",
    "nanstd",
    "nanstd_about",
    "nansum",
    "nanvar",
    "nanvar_about",
    "norm2",
    "norm_p",
    "prod",
    "std",
    "std_about",
    "sum",
    "var",
    "var_about",
    "vdot",
    "weighted_mean",
]
PARAMETER = 1.5
DTYPES = {
    int(number): np.dtype("m8[s]") if number == lib.PARSUM_TIME else dtype
    for dtype, number in [*reductions.TYPES.items(), (np.dtype("m8[s]"), lib.PARSUM_TIME)]
}


class Row:
    """A reduction, its element type, and the types of result that it has."""

    def __init__(self, operation, method, element):
        self.name = f"{operation} {method} of {DTYPES[element]}"
        self.element = element
        self.pairs = operation in ("dot", "vdot", "weighted_mean")
        self.results = []
        self.reduction = None

    def accumulate(self, state, values, other):
        if self.pairs:
            self.reduction.accumulate_pairs(state, values, other)
        else:
            self.reduction.accumulate(state, values)

    def finish(self, state):
        """Return the bits and flags of all results."""
        found = []
        for result in self.results:
            # where a mean goes in, it is this one
            out = np.ones(self.reduction.values, DTYPES[result])
            flags = self.reduction.finish(state, out)
            found.append((flags, bits(out)))
        return found


@cache
def rows(operation):
    """All rows of an operation; those that are found by two methods come once."""
    found = {}
    for element in DTYPES:
        for method in ("exact", "fast"):
            for result in DTYPES:
                reduction = reductions.find(operation, method, element, result)
                if reduction is None:
                    continue
                key = int(ffi.cast("uintptr_t", reduction.pointer))
                row = found.setdefault(key, Row(operation, method, element))
                row.reduction = reduction
                if result not in row.results:
                    row.results.append(result)
    return list(found.values())


def bits(array):
    """The bytes of all values, without the padding of long doubles."""
    if array.dtype.char not in "gG" or np.finfo(np.longdouble).nmant != 63:
        return array.tobytes()
    return array.view(np.uint8).reshape(-1, np.dtype(np.longdouble).itemsize)[:, :10].tobytes()


def memory_of(reduction, fill=0):
    """Return a state's memory, aligned and filled, as the methods of Reduction take it."""
    memory = ffi.new("char[]", bytes([fill]) * (reduction.state_size + 16))
    start = (int(ffi.cast("uintptr_t", memory)) + 15) // 16 * 16
    return reductions._State(memory, ffi.cast("void *", start))


def contents(reduction, state):
    return bytes(ffi.buffer(state.pointer, reduction.state_size))


def made(row, runs, fill):
    """The state of some runs of elements, in memory that was filled with something."""
    state = memory_of(row.reduction, fill)
    lib.parsum_identity(row.reduction.pointer, PARAMETER, state.pointer)
    for values, other in runs:
        row.accumulate(state, values, other)
    return state


def elements(rng, dtype, n, kind, fill):
    """Ordinary or special elements; `fill` is what the padding of long doubles has."""
    if dtype.kind == "b":
        return rng.integers(0, 2, n).astype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        few = np.array([0, 1, 2, limits.max, limits.min], dtype)
        return few[rng.integers(0, 5 if kind == "special" else 3, n)]
    if dtype.kind == "m":
        few = np.array([0, 1, -5, "NaT" if kind == "special" else 7], dtype)
        return few[rng.integers(0, 4, n)]
    real = np.dtype(dtype.char.lower()) if dtype.kind == "c" else dtype
    tiny, most = float(np.finfo(real).smallest_subnormal), float(np.finfo(real).max)
    special = [np.nan, np.inf, -np.inf, -0.0, 0.0, tiny, -tiny, min(most, 1.7e308), 1.0]
    with np.errstate(over="ignore"):
        parts = {
            "normal": rng.standard_normal(2 * n),
            "spread": rng.standard_normal(2 * n) * 2.0 ** rng.integers(-1000, 1000, 2 * n),
            "special": np.array(special)[rng.integers(0, len(special), 2 * n)],
            "minus zeros": np.full(2 * n, -0.0),
        }[kind].astype(real)
    values = np.empty(2 * n, real)
    values.view(np.uint8)[:] = fill
    if real.char == "g" and np.finfo(real).nmant == 63:
        size = real.itemsize
        values.view(np.uint8).reshape(-1, size)[:, :10] = parts.view(np.uint8).reshape(-1, size)[
            :, :10
        ]
    else:
        values[:] = parts
    return values.view(dtype) if dtype.kind == "c" else values[:n]


KINDS = ["normal", "spread", "special", "minus zeros"]


def honest(row, seed, fill=0x5A):
    """States of no elements, of some of each kind, and of all."""
    dtype = DTYPES[row.element]
    runs = {}
    for kind in KINDS:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 3000 if seed % 2 else 30))
        runs[kind] = [
            (elements(rng, dtype, n, kind, fill), elements(rng, dtype, n, kind, fill))
            for _ in range(2)
        ]
    several = [run for kind in KINDS for run in runs[kind]]
    return [made(row, some, fill) for some in ([], *runs.values(), several[:3], several)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_states_of_elements_are_valid(operation):
    assert rows(operation)
    for row in rows(operation):
        for seed in (1, 2):
            states = honest(row, seed)
            for state in states:
                assert row.reduction.valid(state), row.name
            for state in states:
                for _ in range(3):
                    row.reduction.combine(states[0], state)
                    assert row.reduction.valid(states[0]), f"{row.name} combined"


@pytest.mark.parametrize("operation", ["sum", "dot", "var", "describe", "describe_shape"])
def test_states_combined_for_long_are_valid(operation):
    """Limbs know how many additions they have room for, whichever side is the fuller."""
    for row in rows(operation):
        states = honest(row, 1)[1:]
        chain = row.reduction.copy(states[1], PARAMETER)
        for k in range(2500):
            fresh = row.reduction.copy(states[k % 2], PARAMETER)
            row.reduction.combine(fresh, chain)
            chain = fresh
            assert row.reduction.valid(chain), f"{row.name} after {k}"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_copies_are_equal_and_go_on_alike(operation):
    for row in rows(operation):
        dtype = DTYPES[row.element]
        rng = np.random.default_rng(3)
        for seed in (1, 2):
            for state in honest(row, seed):
                copy = row.reduction.copy(state, PARAMETER)
                assert row.reduction.valid(copy), row.name
                assert row.finish(copy) == row.finish(state), row.name
                kind = "normal" if seed == 1 else "spread"
                more = [elements(rng, dtype, 7, kind, 0) for _ in range(2)]
                row.accumulate(state, *more)
                row.accumulate(copy, *more)
                assert row.finish(copy) == row.finish(state), f"{row.name} went on"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_copies_have_no_bytes_of_memory(operation):
    """The same elements in different memory: the same bytes, and those of copies of copies."""
    for row in rows(operation):
        for seed in (1, 2):
            for a, b in zip(honest(row, seed, 0xFF), honest(row, seed, 0x33), strict=True):
                copies = []
                for state, fill in ((a, 0x77), (b, 0xEE)):
                    copy = memory_of(row.reduction, fill)
                    args = (row.reduction.pointer, PARAMETER, copy.pointer)
                    lib.parsum_state_copy(*args, state.pointer)
                    copies.append(contents(row.reduction, copy))
                    again = row.reduction.copy(copy, PARAMETER)
                    assert contents(row.reduction, again) == copies[-1], row.name
                assert copies[0] == copies[1], row.name


@pytest.mark.parametrize("operation", ["argmin", "argmax", "nanargmin", "nanargmax"])
def test_copies_count_on(operation):
    """The number of the next element is not among what states combine."""
    for row in rows(operation):
        values = np.zeros(5, DTYPES[row.element])
        last = np.ones(1, values.dtype) if "min" not in operation else values[:1]
        first = values if "min" not in operation else np.ones(5, bool).astype(values.dtype)
        state = row.reduction.identity()
        row.accumulate(state, first, None)
        copy = row.reduction.copy(state)
        row.accumulate(copy, last, None)
        out = np.empty((), np.int64)
        row.reduction.finish(copy, out)
        assert out == 5, row.name


@pytest.mark.parametrize("dtype", ["c8", "c16", np.clongdouble])
@pytest.mark.parametrize("values", [[-1 + 0j, -1 + 0j], [complex(np.inf, 1)]])
def test_copies_of_products_keep_signs_and_infinities(dtype, values):
    """Which a product with one would change: 1 * (1 - 0i) is 1 + 0i, 1 * (inf + nan i) is NaN."""
    number = reductions.type_of(np.dtype(dtype))
    row = next(row for row in rows("prod") if row.element == number)
    state = made(row, [(np.array(values, dtype), None)], 0)
    assert row.finish(row.reduction.copy(state)) == row.finish(state)


def test_damage_is_seen():
    """Of each kind of bound, one that is broken."""

    def check(operation, dtype, offset, layout, value):
        number = reductions.type_of(np.dtype(dtype))
        row = next(row for row in rows(operation) if row.element == number)
        values = np.ones(3, dtype)
        state = made(row, [(values, values)], 0)
        assert row.reduction.valid(state)
        struct.pack_into(layout, ffi.buffer(state.pointer, row.reduction.state_size), offset, value)
        assert not row.reduction.valid(state), f"{operation} {offset} {value}"

    check("sum", "f8", 0, "=q", 2**57)  # more than a pending sum may be
    check("sum", "f8", 24, "=i", 981)  # a window that no accumulator has
    check("sum", "f8", 28, "=i", 65)  # sums pending
    check("sum", "f8", 28, "=i", -1)
    check("sum", "f8", 36, "=B", 4)  # what was seen
    check("sum", "c16", 24, "=i", 981)
    check("dot", "f4", 32, "=i", 977)
    check("norm2", "f8", 32, "=i", 1)  # squares of doubles have even windows
    check("norm2", "f2", 32, "=i", -8)  # those of float16 one
    check("norm_p", "f8", 16, "=q", 1025)
    check("prod", "f8", 0, "=d", 2.0)
    check("prod", "f8", 0, "=d", float("nan"))
    check("prod", "i8", 16, "=I", 2)
    check("prod", "c16", 16, "=q", 2**62)
    check("min", "?", 0, "=q", -1)
    check("min", "f4", 0, "=q", -(2**40))
    check("argmin", "f4", 16, "=q", -1)
    check("max", "c16", 16, "=q", 4)
    check("max_abs", "c16", 8, "=q", 2**63 - 2)
    check("describe", "i2", 32, "=q", 1001)
    check("describe", "f8", 8, "=d", float("nan"))
    check("weighted_mean", "f8", 32, "=i", 977)
    if np.finfo(np.longdouble).nmant == 63:
        check("sum", np.longdouble, 0, "=Q", 1)  # a significand without its first bit


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_valid_can_be_worked_with(operation):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    damage = random.Random(seed)
    rng = np.random.default_rng(seed)
    used = 0
    for row in rows(operation):
        dtype = DTYPES[row.element]
        states = honest(row, seed)
        size = row.reduction.state_size
        for trial in range(60):
            state = row.reduction.copy(states[trial % len(states)], PARAMETER)
            view = ffi.buffer(state.pointer, size)
            for _ in range(damage.randint(1, 4)):
                at = damage.randrange(size)
                start = at // 8 * 8
                word = damage.choice([damage.getrandbits(64), 2 ** damage.randrange(64), 2**64 - 1])
                if damage.randrange(2):
                    view[at] = bytes([view[at][0] ^ 1 << damage.randrange(8)])
                elif start + 8 <= size:
                    view[start : start + 8] = struct.pack("=Q", word)
            if trial % 20 == 0:
                view[:] = damage.randbytes(size)
            if not row.reduction.valid(state):
                continue
            used += 1
            copy = row.reduction.copy(state, PARAMETER)
            assert row.reduction.valid(copy), row.name
            values = elements(rng, dtype, 100, damage.choice(KINDS), 0)
            row.accumulate(state, values, values)
            row.reduction.combine(copy, state)
            other = row.reduction.copy(states[-1], PARAMETER)
            row.reduction.combine(other, copy)
            row.reduction.combine(copy, states[-1])
            for each in (state, copy, other):
                row.finish(each)
    assert used, "nothing that was damaged was valid"


# ---- the same with sanitizers ----


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    """The compiled fuzz_states.c."""
    compiler = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
    assert compiler, "these tests need a C compiler"
    directory = tmp_path_factory.mktemp("fuzz")
    sanitize = "-fsanitize=address,undefined,float-cast-overflow"
    probe = directory / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    command = [compiler, sanitize, probe, "-o", directory / "probe"]
    if (
        subprocess.run(command, capture_output=True, check=False).returncode
        or subprocess.run([directory / "probe"], capture_output=True, check=False).returncode
    ):
        pytest.skip("the compiler's programs do not run with sanitizers")

    def compiled(source):
        target = directory / f"{source.stem}.o"
        flags = ["-std=c11", "-g", "-ffp-contract=off", "-fno-fast-math", "-UNDEBUG", f"-I{CSRC}"]
        # The levels' kernels know nothing of states, and take minutes to instrument.
        if source.stem.startswith("level_"):
            flags += ["-O0"]
        else:
            flags += ["-O1", sanitize, "-fno-sanitize-recover=undefined"]
        subprocess.run([compiler, *flags, "-c", source, "-o", target], check=True)
        return target

    sources = sorted(CSRC.glob("*.c"), key=lambda path: -path.stat().st_size)
    sources.sort(key=lambda path: not path.stem.startswith("level_"))  # which take longest
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        objects = list(pool.map(compiled, [*sources, TESTS / "fuzz_states.c"]))
    program = directory / "fuzz_states"
    subprocess.run([compiler, sanitize, *objects, "-o", program, "-lm"], check=True)
    return program


def test_all_rows_are_known(fuzz):
    """The library has every table, and the names here are those of all rows."""
    declared = re.findall(r"parsum_reduction (\w+)\[\]", (CSRC / "reductions.h").read_text())
    tables = (CSRC / "reductions.c").read_text()
    assert [table for table in declared if not re.search(rf"\b{table},", tables)] == []
    listed = subprocess.run([fuzz], capture_output=True, text=True, check=True).stdout.splitlines()
    assert sorted({line.split()[0] for line in listed}) == OPERATIONS
    assert len(listed) == sum(len(rows(operation)) for operation in OPERATIONS)


@pytest.mark.parametrize("level", range(lib.parsum_levels()))
def test_damaged_states_under_sanitizers(fuzz, level):
    if not lib.parsum_level_usable(level):
        pytest.skip("this CPU has no such level")
    seed = random.randrange(2**32)
    print(f"fuzz_states {seed} 5 {level}")
    done = subprocess.run(
        [fuzz, str(seed), "5", str(level)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    tried, used = (int(number) for number in re.findall(r"\d+", done.stdout))
    assert tried > used > 1000
