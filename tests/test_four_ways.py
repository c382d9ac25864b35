"""examples/four_ways: C reads and writes arrays without the GIL, bound in four ways.

Everything is built once, without optimisation, which takes a third of the time.
"""

from __future__ import annotations

import array
import ctypes
import gc
import importlib.util
import itertools
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from children import run, script
from oracle import assert_same_bits, expected_sum
from strategies import generate

from parsum import parallel_reduce, parallel_sum

HERE = Path(__file__).resolve().parent.parent / "examples" / "four_ways"
NAMES = ["extension by hand", "ctypes.CDLL", "ctypes.PyDLL", "cffi"]
RELEASING = [name for name in NAMES if name != "ctypes.PyDLL"]
LONG = 0.25  # seconds of a call that is watched


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("four ways")
    script("examples/four_ways/build_all.py", folder, CFLAGS="-O0")
    return folder


@pytest.fixture(scope="module")
def four(built):
    """What the example's modules offer, and the ways by their names."""
    # There is another compare.py in benchmarks/.
    spec = importlib.util.spec_from_file_location("four_ways_compare", HERE / "compare.py")
    compare = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = compare
    sys.path.insert(0, str(HERE))
    try:
        import ways

        spec.loader.exec_module(compare)
    finally:
        sys.path.remove(str(HERE))
    loaded, last_visit = ways.load(built)
    assert [way.name for way in loaded] == NAMES
    by_name = {way.name: way for way in loaded}
    source = np.random.default_rng(0).standard_normal(20_000)
    return SimpleNamespace(
        ways=by_name, last_visit=last_visit, compare=compare, source=source,
        times=compare.times_for(LONG, by_name["ctypes.CDLL"], source),
        extension=sys.modules["four_ways_extension"],
    )  # fmt: skip


@pytest.fixture(params=NAMES)
def way(request, four):
    return four.ways[request.param]


@pytest.fixture(params=RELEASING)
def releasing(request, four):
    return four.ways[request.param]


def address(a):
    return a.__array_interface__["data"][0]


# ---- the results ----


ARRAYS = {
    "spread": generate("spread", 10_001, np.float64),
    "empty": np.zeros(0),
    "one": np.array(0.1),
    "overflow in between": np.array([1e308, 1e308, -1e308]),
    "minus zeros": np.array([-0.0, -0.0]),
    "infinity": np.array([1.0, np.inf]),
    "two axes": generate("normal", 600, np.float64).reshape(20, 30),
    "in a larger one": generate("normal", 600, np.float64)[7:501],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_sums_have_the_bits_of_the_oracle(way, name):
    a = ARRAYS[name]
    expected = expected_sum(a.ravel())
    assert_same_bits(np.float64(way.sum(a)), expected)
    assert_same_bits(np.float64(way.sum(a, 3)), expected)


def test_what_is_written_is_there(way, four):
    a = generate("normal", 1000, np.float64)
    around = np.full(1200, 7.0)
    out = around[100:1100]
    assert way.scale(out, a, -2.5) is None
    assert out.tolist() == [-2.5 * v for v in a.tolist()]
    assert (around[:100] == 7).all() and (around[1100:] == 7).all()
    assert four.last_visit().out == address(around) + 800
    square = np.zeros((20, 50))
    way.scale(square, a.reshape(20, 50), 0.5, 2)
    assert square.ravel().tolist() == [0.5 * v for v in a.tolist()]


def test_what_is_written_to_a_mapped_file_is_in_the_file(way, tmp_path):
    path = tmp_path / "out.bin"
    out = np.memmap(path, np.float64, "w+", shape=(4,))
    way.scale(out, np.array([1.0, 2.0, 3.0, 4.0]), 2.0)
    out.flush()
    assert struct.unpack("4d", path.read_bytes()) == (2.0, 4.0, 6.0, 8.0)


# ---- nothing is copied ----


def test_c_sees_the_arrays_own_memory(way, four):
    a = np.ones(1_000_000)
    a.flags.writeable = False
    before = address(a)
    for part in (a, a[10:500], a.reshape(1000, 1000)[3]):
        way.sum(part)
        assert four.last_visit().data == address(part)
    gc.collect()
    assert address(a) == before


def test_no_memory_is_allocated(way, four):
    a, out = np.ones(1_000_000), np.zeros(1_000_000)
    for call in (lambda: way.sum(a), lambda: way.scale(out, a, 2.0)):
        call()
        tracemalloc.start()
        call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20_000


def test_a_list_is_copied(four):
    """The control: such a copy is seen."""
    numbers = [1.0] * 100_000
    tracemalloc.start()
    assert four.extension.sum(numbers) == 100_000
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak >= 800_000
    assert left < 20_000


# ---- the GIL ----


def watched(four, call):
    """At how many moments a thread that counts was running while C was in the call(times)."""
    times = four.times
    while True:
        with four.compare.Counter() as counter:
            time.sleep(0.01)
            call(times)
            visit = four.last_visit()
        if visit.end - visit.begin >= 0.2:
            return sum(visit.begin < moment < visit.end for moment in counter.moments)
        times *= 2


def test_another_thread_runs_on_if_the_gil_is_released(way, four):
    """Over ten times in a call of 200 ms or more; not once if it is held."""
    out = np.zeros_like(four.source)
    for call in (
        lambda times: way.sum(four.source, times),
        lambda times: way.scale(out, four.source, 3.0, times),
    ):
        count = watched(four, call)
        assert count > 10 if way.releases else count == 0
    assert np.array_equal(out, 3.0 * four.source)


def test_two_threads_are_in_c_at_once_if_the_gil_is_released(way, four):
    line = four.compare.timeline(
        way, [four.source, four.source.copy()], four.times, four.last_visit
    )
    (_, first_end), (second_begin, second_end) = sorted(line.visits)
    assert first_end <= second_begin if not way.releases else second_begin < first_end
    assert second_end > second_begin
    assert line.together > 0 if way.releases else line.together == 0


# ---- the owner, meanwhile ----


def _beside_a_call(four, way, make, act, times):
    """One attempt of during_a_call, and whether C was reading all the while."""
    done, begun = [], threading.Event()

    def taken():
        a = make()
        begun.set()
        return a

    def call():
        done.append((way.sum(taken(), times), four.last_visit()))

    thread = threading.Thread(target=call)
    thread.start()
    begun.wait()
    time.sleep(0.05)
    begin = time.monotonic()
    try:
        seen = act()
    except Exception as error:
        seen = error.with_traceback(None)  # whose frames may hold the array
    end = time.monotonic()
    thread.join()
    ((result, visit),) = done
    return (seen, result), visit.begin < begin and end < visit.end


def during_a_call(four, way, make, act):
    """What act() gives or raises while C sums the array that make() gives; and the sum.

    Nothing but the call need hold the array. The call is made longer until it is long enough:
    somebody else may have the CPU meanwhile.
    """
    times = four.times
    while True:
        outcome, during = _beside_a_call(four, way, make, act, times)
        if during:
            return outcome
        times *= 2


def test_an_array_is_not_freed_while_c_reads_it(releasing, four):
    made = []

    def make():
        a = four.source.copy()
        made.append(weakref.ref(a))
        return a

    def act():
        gc.collect()
        return made[-1]() is not None

    alive, result = during_a_call(four, releasing, make, act)
    assert alive
    assert made[-1]() is None
    assert result == expected_sum(four.source)


def test_an_array_cannot_be_resized_while_c_reads_it(releasing, four):
    a = four.source.copy()
    error, result = during_a_call(four, releasing, lambda: a, lambda: a.resize(10))
    assert isinstance(error, ValueError) and "resize" in str(error)
    assert result == expected_sum(four.source)
    a.resize(10)


def test_an_exported_buffer_cannot_be_resized(four):
    """The owner of a buffer knows that it is in use; this does not go by counting references."""
    a = array.array("d", four.source)
    way = four.ways["extension by hand"]
    error, result = during_a_call(four, way, lambda: a, lambda: a.append(1.0))
    assert isinstance(error, BufferError)
    assert result == expected_sum(four.source)
    a.append(1.0)


def test_resize_without_a_check_takes_the_memory_away():
    """What cannot be defended against; so nothing is read here, only addresses are compared."""
    a = np.ones(1000)
    exported = memoryview(a)
    before = address(a)
    with pytest.raises(ValueError, match="resize"):
        a.resize(10_000_000)
    assert address(a) == before
    a.resize(10_000_000, refcheck=False)
    assert address(a) != before
    assert exported.nbytes == 8000  # it still speaks of what is no longer there


def test_a_writer_changes_numbers_and_nothing_else(releasing, four):
    def act():
        for _ in range(1000):
            a[:] = 2.0
            a[:] = 1.0

    a = np.ones(20_000)
    _, result = during_a_call(four, releasing, lambda: a, act)
    assert 20_000 <= result <= 40_000


def test_parsum_beside_a_writer_of_anything():
    """Every bit pattern, written while kernels decide by what they have read before."""
    rng = np.random.default_rng(0)
    a = np.ones(250_000)
    noise = rng.integers(0, 256, 100_000 * 8, np.uint8).view(np.float64)
    kinds = [noise, np.full(100_000, 1e300), np.full(100_000, 1e-300), np.ones(100_000)]
    stop = threading.Event()

    def write():
        for k in itertools.cycle(range(50)):
            if stop.is_set():
                break
            a[3000 * k : 3000 * k + 100_000] = kinds[k % len(kinds)]

    thread = threading.Thread(target=write)
    thread.start()
    end = time.monotonic() + 2
    try:
        with np.errstate(all="ignore"):
            while time.monotonic() < end:
                for name in ("sum", "var", "max", "argmax", "norm", "prod", "describe"):
                    parallel_reduce(a, name, workers=2)
                    parallel_reduce(a.reshape(-1, 500), name, axis=0, workers=2)
    finally:
        stop.set()
        thread.join()
    a[:] = 1.0
    assert parallel_sum(a) == 250_000


def test_a_mapped_file_that_is_cut_off_ends_the_process(tmp_path):
    path = tmp_path / "a.bin"
    np.ones(1_000_000).tofile(path)
    code = """
        import os, sys
        import numpy as np
        from parsum import parallel_reduce, parallel_sum
        a = np.memmap(sys.argv[1], np.float64, "r")
        print(parallel_sum(a), flush=True)
        os.truncate(sys.argv[1], 0)
        parallel_sum(a)
    """
    done = run(code, str(path))
    assert done.stdout == "1000000.0\n"
    assert done.returncode == -signal.SIGBUS


def test_a_bare_address_keeps_nothing_alive():
    def made():
        a = np.zeros(3)
        kept.append(weakref.ref(a))
        return a

    kept: list[weakref.ref] = []
    bare = made().ctypes.data
    assert isinstance(bare, int)
    assert kept[0]() is None  # the array is gone, the number is not
    pointer = made().ctypes.data_as(ctypes.c_void_p)
    assert kept[1]() is not None
    del pointer
    assert kept[1]() is None


# ---- lists, and what is refused ----


@pytest.mark.parametrize(
    "numbers",
    [[1, 2, 3], (0.5, 5), [True, Fraction(1, 2), np.float32(1.5)], [], [1e308, 1e308, -1e308]],
)
def test_lists(four, numbers):
    expected = float(sum(map(Fraction, map(float, numbers))))
    assert four.extension.sum(numbers) == expected
    out = np.zeros(len(numbers))
    four.extension.scale(out, numbers, factor=2.0, times=2)
    assert out.tolist() == [2 * float(number) for number in numbers]


def test_other_owners_of_buffers(four):
    numbers = [1.0, 2.5, -4.0]
    in_ctypes = (ctypes.c_double * 3)(*numbers)
    for owner in (array.array("d", numbers), memoryview(np.array(numbers)), in_ctypes):
        assert four.extension.sum(owner) == -0.5
    four.extension.scale(in_ctypes, numbers, 2)
    assert list(in_ctypes) == [2.0, 5.0, -8.0]


def test_a_list_that_changes_while_it_is_read(four):
    class Changing:
        def __float__(self):
            numbers.clear()
            gc.collect()
            return 1.0

    numbers: list[object] = [Changing(), *(float(k) for k in range(1000))]
    assert four.extension.sum(numbers) == 1 + 499_500
    assert numbers == []


_STRIDED = "a must be C-contiguous, got a strided"
_FORMAT = "a must hold float64 of this machine's byte order, got format"
WRONG = {
    "strided": (lambda: np.ones(10)[::2], ValueError, _STRIDED),
    "backwards": (lambda: np.ones(10)[::-1], ValueError, _STRIDED),
    "Fortran": (lambda: np.ones((3, 4), order="F"), ValueError, _STRIDED),
    "float32": (lambda: np.ones(3, np.float32), TypeError, f"{_FORMAT} 'f'"),
    "integers": (lambda: np.ones(3, np.int64), TypeError, f"{_FORMAT} 'l'"),
    "byte order": (lambda: np.ones(3, ">f8"), TypeError, f"{_FORMAT} '>d'"),
    "unaligned": (
        lambda: np.zeros(25, np.uint8)[1:].view(np.float64), TypeError, f"{_FORMAT} '=d'",
    ),
}  # fmt: skip
_KIND = "a must be a float64 array or a list of numbers, got a"
WRONG_OF_THE_EXTENSION = {
    "unaligned bytes": (
        memoryview(bytearray(33))[1:].cast("d"), ValueError,
        "a must be aligned to 8 bytes, got address 0x",
    ),
    "bytes": (b"12345678", TypeError, f"{_FORMAT} 'B'"),
    "a number": (1.5, TypeError, f"{_KIND} float"),
    "text": ("123", TypeError, f"{_KIND} str"),
    "a set": ({1}, TypeError, f"{_KIND} set"),
    "text in a list": ([1, "2"], TypeError, "a must hold numbers, got a str at index 1"),
    "nested": ([[1.0]], TypeError, "a must hold numbers, got a list at index 0"),
    "too large": ([10**400], OverflowError, "int too large to convert to float"),
}  # fmt: skip


def fails(call, error, message="", refcounted=()):
    """The call raises, ten times over, and no reference is left behind."""
    before = [sys.getrefcount(k) for k in refcounted]
    for _ in range(10):
        with pytest.raises(error) as caught:
            call()
        assert message in str(caught.value)
        del caught
    gc.collect()
    assert [sys.getrefcount(k) for k in refcounted] == before


@pytest.mark.parametrize("name", WRONG)
def test_arrays_that_c_would_misread_are_refused(way, name):
    make, error, message = WRONG[name]
    a = make()
    if way.name != "extension by hand":
        error, message = (ctypes.ArgumentError, TypeError, ValueError), ""
    n = a.size
    good = np.ones(n)
    good_out = np.zeros(n)
    fails(lambda: way.sum(a), error, message, (a,))
    fails(lambda: way.scale(good_out, a, 2.0), error, message, (a, good_out))
    fails(lambda: way.scale(a, good, 2.0), error, message.replace("a must", "out must"), (a, good))
    assert (good_out == 0).all()
    if a.base is None:
        a.resize(n)  # nobody holds its buffer


@pytest.mark.parametrize("name", WRONG_OF_THE_EXTENSION)
def test_what_has_no_float64_is_refused(four, name):
    a, error, message = WRONG_OF_THE_EXTENSION[name]
    out = np.zeros(1)
    fails(lambda: four.extension.sum(a), error, message, (a,))
    fails(lambda: four.extension.scale(out, a, 2.0), error, message, (a, out))
    out.resize(1)


def test_outs_that_do_not_do(way):
    a, small = np.ones(10), np.zeros(9)
    constant = np.zeros(10)
    constant.flags.writeable = False
    errors = (ctypes.ArgumentError, TypeError, ValueError, BufferError)
    both = "out must have 10 elements, as a has, got 9"
    fails(lambda: way.scale(small, a, 2.0), ValueError, both, (a, small))
    fails(lambda: way.scale(a, a, 2.0), ValueError, "out must not overlap a", (a,))
    fails(lambda: way.scale(a[1:], a[:-1], 2.0), ValueError, "out must not overlap a", (a,))
    by_hand = way.name == "extension by hand"
    message = "out must be writable, got a read-only numpy.ndarray" if by_hand else ""
    fails(lambda: way.scale(constant, a, 2.0), errors, message, (a, constant))
    assert (a == 1).all() and (small == 0).all() and (constant == 0).all()
    a.resize(3)
    small.resize(3)


def test_wrong_arguments_of_the_extension(four):
    a, out = np.ones(3), np.zeros(3)
    s, scale = four.extension.sum, four.extension.scale
    fails(lambda: s(), TypeError, "missing required argument 'a'")
    fails(lambda: s(a, 0), ValueError, "times must be at least 1, got 0", (a,))
    fails(lambda: s(a, times=-5), ValueError, "times must be at least 1, got -5", (a,))
    fails(lambda: s(a, 1.5), TypeError, "", (a,))
    fails(lambda: s(a, n=1), TypeError, "", (a,))
    fails(lambda: scale(out, a, "2"), TypeError, "must be real number, not str", (a, out))
    fails(lambda: scale(out, a, 2.0, 0), ValueError, "times must be", (a, out))
    fails(lambda: scale([1.0], a, 2.0), TypeError, "out must be a float64 array, got a list", (a,))
    a.resize(1)
    out.resize(1)


def test_an_out_that_has_no_buffer(four):
    """NumPy says why; it is not that it could not be written to."""
    out = np.zeros(3, "M8[s]")
    fails(lambda: four.extension.scale(out, np.ones(3), 2.0), ValueError, "dtype 'M'", (out,))


def test_elements_of_lists_are_let_go(four):
    thing, number = object(), Fraction(1, 3)
    bad = [number, thing]
    fails(lambda: four.extension.sum(bad), TypeError, "got a object at index 1", (thing, number))
    good = [number] * 10
    before = sys.getrefcount(number)
    for _ in range(10):
        four.extension.sum(good)
    assert sys.getrefcount(number) == before


def test_buffers_are_given_back(four):
    """An array.array grows only while nobody has its buffer."""
    doubles, floats = array.array("d", [1.0, 2.0]), array.array("f", [1.0, 2.0])
    s, scale = four.extension.sum, four.extension.scale
    read_only = memoryview(doubles).toreadonly()
    assert s(doubles) == 3
    scale(array.array("d", [0.0, 0.0]), doubles, 2.0)
    fails(lambda: s(floats), TypeError)
    fails(lambda: s(memoryview(doubles)[::-1]), ValueError)
    fails(lambda: scale(doubles, floats, 1.0), TypeError)
    fails(lambda: scale(floats, doubles, 1.0), TypeError)
    fails(lambda: scale(doubles, doubles, 1.0), ValueError)
    fails(lambda: scale(np.zeros(3), doubles, 1.0), ValueError)
    fails(lambda: scale(read_only, doubles, 1.0), ValueError)
    with pytest.raises(BufferError):
        doubles.append(3.0)  # the control: read_only has it
    read_only.release()
    gc.collect()
    doubles.append(3.0)
    floats.append(3.0)
    assert s(doubles) == 6


def test_the_extension_may_be_there_twice(built):
    """It keeps no state, so any number of module objects may exist."""
    code = """
        import importlib, sys
        sys.path.insert(0, sys.argv[1])
        import four_ways_extension as first
        del sys.modules["four_ways_extension"]
        second = importlib.import_module("four_ways_extension")
        assert first is not second
        print(first.sum([1, 2]), second.sum([3.0]), first.sum.__text_signature__)
    """
    done = run(code, str(built))
    assert (done.stdout, done.stderr) == ("3.0 3.0 (a, times=1)\n", "")


# ---- the library without Python ----


def program(built, *words, status=0):
    done = subprocess.run(
        [built / "sum", *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == status, done.stderr
    return done.stderr if status else float(done.stdout)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_program_sums_a_file_as_parallel_sum_does(built, tmp_path, threads):
    for n in (0, 1, 5, 100_000):
        a = generate("spread", n, np.float64) if n else np.zeros(0)
        a.tofile(tmp_path / "a.bin")
        total = np.float64(program(built, "-t", threads, "-f", tmp_path / "a.bin"))
        assert_same_bits(total, parallel_sum(a))
        assert_same_bits(total, expected_sum(a))


def test_the_program_sums_numbers(built):
    assert program(built, 1, "1e100", 1, "-1e100") == 2
    assert program(built, "-t", 3, "1e308", "1e308", "-1e308") == 1e308
    assert program(built, "-2.5") == -2.5


def test_the_program_says_what_is_wrong(built, tmp_path):
    odd = tmp_path / "odd.bin"
    odd.write_bytes(b"123456789")
    for words, message in {
        ("-f", odd): f"sum: {odd}: its size is no multiple of 8 bytes\n",
        ("-f", tmp_path): f"sum: {tmp_path}: not a regular file\n",
        ("-f", tmp_path / "no"): f"sum: {tmp_path / 'no'}: No such file or directory\n",
        ("1", "two"): "sum: two: not a number\n",
        ("1e999",): "sum: 1e999: too large for a float64\n",
        ("-t", "0", "1"): "sum: 0: THREADS must be from 1 to 1024\n",
        ("-f",): "sum: -f: must be followed by one FILE\n",
    }.items():
        assert program(built, *words, status=1) == message
    assert program(built, status=2).startswith("usage: sum [-t THREADS] NUMBER...\n")


def test_the_program_reads_a_file_that_becomes_shorter(built, tmp_path):
    """An error, in place of a sum of what was in memory before."""
    path = tmp_path / "a.bin"
    with path.open("wb") as file:
        file.truncate(2**34)  # a hole, which takes long to read
    with subprocess.Popen(
        [built / "sum", "-f", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        opened = Path(f"/proc/{child.pid}/fd/3")
        end = time.monotonic() + 30
        while not opened.exists() or opened.readlink() != path:
            assert time.monotonic() < end
            time.sleep(0.001)
        time.sleep(0.1)
        os.truncate(path, 8)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (1, "", f"sum: {path}: the file became shorter\n")


def test_the_library_knows_nothing_of_python(built):
    names = re.compile(rb"\0_?Py[A-Z]\w+\0")
    assert not names.search((built / "libparsum.so").read_bytes())
    (extension,) = built.glob("four_ways_extension*")
    assert names.search(extension.read_bytes())  # the control
    csrc = HERE.parent.parent / "csrc"
    assert not [k for k in csrc.iterdir() if "Python.h" in k.read_text(encoding="utf-8")]
    assert (built / "parsum.h").read_bytes() == (csrc / "parsum.h").read_bytes()


# ---- the scripts ----


def test_compare_shows_all_of_it(built, tmp_path):
    picture = tmp_path / "four.png"
    done = script(
        "examples/four_ways/compare.py", "--build", built, "--plot", picture,
        "--seconds", 0.1, "--megabytes", 16, "--rounds", 1,
    )  # fmt: skip
    out = done.stdout
    a = np.random.default_rng(0).standard_normal(2_000_000)
    expected = np.float64(expected_sum(a))
    word = struct.pack(">d", expected).hex()
    assert out.count(f"result               {float(expected)!r}, bits {word}\n") == 4
    assert out.count("same bits            yes\n") == 4
    assert out.count("the array's data: yes\n") == 4
    assert out.count("out has the numbers  yes") == 4
    traced = [float(k) for k in re.findall(r"copied +(\S+) MB by Python", out)]
    assert len(traced) == 5
    assert max(traced[:4]) < 0.1 and traced[4] >= 16
    parts = dict(re.findall(r"^(\S.*) \((?:releases|holds) the GIL\)\n((?:  .*\n)+)", out, re.M))
    assert list(parts) == NAMES
    for name, text in parts.items():
        counts = [int(k.replace(",", "")) for k in re.findall(r"([\d,]+) during", text)]
        assert len(counts) == 2
        assert min(counts) > 0 if name in RELEASING else counts == [0, 0], name
        (together,) = re.findall(r"both in C +(\d+)% of the time", text)
        assert int(together) > 0 if name in RELEASING else together == "0", name
    head = picture.read_bytes()[:24]
    assert struct.unpack(">II", head[16:24]) == (1600, 900)


def test_compare_says_what_is_missing(tmp_path):
    done = script("examples/four_ways/compare.py", "--build", tmp_path, status=1)
    assert done.stderr == (
        f"four_ways: {tmp_path}/libfour_ways.so is not there yet: "
        "python examples/four_ways/build_all.py\n"
    )
    code = """
        import runpy, sys
        sys.modules["matplotlib"] = None
        folder, sys.argv = sys.argv[1], ["compare.py", "--plot", "a.png"]
        sys.path.insert(0, folder)
        runpy.run_path(f"{folder}/compare.py", run_name="__main__")
    """
    done = run(code, str(HERE))
    assert done.returncode == 1
    assert done.stderr == "four_ways: --plot needs matplotlib: pip install parsum[bench]\n"


def test_build_says_what_is_missing(tmp_path):
    done = script("examples/four_ways/build_all.py", tmp_path, status=1, CC="no-such-cc")
    assert done.stderr == (
        "build_all: CC must name a C compiler, got 'no-such-cc', which was not found\n"
    )
