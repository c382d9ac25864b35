"""Arrays in files: the bits of arrays in memory, whatever the blocks, and no harm from any file."""

from __future__ import annotations

import math
import os
import pickle
import signal
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from children import output, run
from hypothesis import given
from hypothesis import strategies as st
from oracle import bits, exact_sum
from reference import DTYPES, FLOATS, STYLES, assert_same_outcome, examples, outcome, values
from test_accumulator import assert_same, assert_same_results

import parsum
from parsum import Reduction, parallel_reduce, parallel_sum
from parsum.api import streaming
from parsum.api.named import FUNCTIONS

SHAPES = [(0,), (1,), (7,), (5000,), (40, 50), (0, 3), (3, 0), (2, 700, 3), (3, 4, 5, 6), ()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def saved(folder: Path, array: np.ndarray, name: str = "a.npy") -> parsum.File:
    np.save(folder / name, array)
    return parsum.open(folder / name)


def blocks_of(size: int, row: int = 1 << 20, states: int = 1 << 20) -> Any:
    """Within, files are read so many bytes at a time."""
    return mock.patch.multiple(streaming, BLOCK_BYTES=size, ROW_BYTES=row, STATES_BYTES=states)


@examples(400)
@given(data=st.data())
def test_any_file_gives_the_bits_of_the_array(folder, data):
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)), "name")
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES), "dtype"))
    shape = data.draw(st.sampled_from(SHAPES), "shape")
    style = data.draw(st.sampled_from(STYLES), "style")
    order = data.draw(st.sampled_from("CF"), "order")
    method = data.draw(st.sampled_from(["exact", "fast"]), "method")
    array = values(style, math.prod(shape), dtype, data.draw(st.integers(0, 99)))
    array = np.asarray(array.reshape(shape), order=order)
    if data.draw(st.booleans(), "swapped"):
        array = array.astype(dtype.newbyteorder())
    axes = [None, *range(len(shape))]
    if len(shape) > 2 and not name.startswith(("arg", "nanarg", "norm")):
        axes += [(0, 2), (1, 2), (0, 1)]
    axis = data.draw(st.sampled_from(axes), "axis")
    workers = data.draw(st.integers(1, 4), "workers")
    size = data.draw(st.sampled_from([64, 1000, 9000, 1 << 20]), "block")
    keywords: dict[str, Any] = {"axis": axis, "method": method}
    if data.draw(st.booleans(), "keepdims"):
        keywords["keepdims"] = True
    file = saved(folder, array)
    assert (file.shape, file.dtype) == (array.shape, array.dtype)
    expected = outcome(FUNCTIONS[name], array, **keywords)
    with (
        blocks_of(size, data.draw(st.sampled_from([64, 5000])), 3000),
        mock.patch.object(parsum.engine, "BYTES_PER_WORKER", 512),
    ):
        actual = outcome(FUNCTIONS[name], file, workers=workers, **keywords)
    if "No such" in actual.message or expected.error is TypeError:
        assert_same_outcome(actual, expected)
        return
    assert_same_results(actual, expected, f"{name} {dtype} {shape} {order} {axis}")


@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_of_files_are_those_of_rationals(folder, dtype):
    array = values("finite hard", 9000, dtype, 3)
    with blocks_of(512):
        assert bits(parallel_sum(saved(folder, array))) == bits(exact_sum(array, dtype))


def test_arguments(folder):
    array = values("random", 3000, "d", 1).reshape(30, 100)
    file, path = saved(folder, array), folder / "a.npy"
    for source in (file, path, str(path)):
        assert_same(parallel_sum(source, axis=0), parallel_sum(array, axis=0))
    assert_same(parallel_sum(file, initial=5), parallel_sum(array, initial=5))
    assert_same(parallel_sum(file, 1, initial=5), parallel_sum(array, 1, initial=5))
    assert_same(parallel_sum(file, dtype="f"), parallel_sum(array, dtype="f"))
    assert_same(parallel_sum(file, dtype=complex), parallel_sum(array, dtype=complex))
    assert_same(parsum.parallel_prod(file, 0, initial=2), parsum.parallel_prod(array, 0, initial=2))
    mean = np.full((1, 100), 0.25)
    assert_same(parsum.parallel_var(file, 0, mean=mean), parsum.parallel_var(array, 0, mean=mean))
    for out in (np.empty(100), np.empty(100, "f"), np.empty(200)[::2], np.empty(100, ">f8")):
        assert parallel_sum(file, 0, out=out) is out
        assert_same(out.astype("d"), parallel_sum(array, 0, out=out.copy()).astype("d"))
    seen: list[tuple[int, int]] = []
    with blocks_of(1000):
        parallel_sum(file, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (array.nbytes, array.nbytes) and seen == sorted(seen)
    with pytest.raises(TypeError, match=r"where must be left out for <parsum\.File"):
        parallel_sum(file, where=array > 0)
    with pytest.raises(np.exceptions.AxisError):
        parallel_sum(file, axis=2)
    for function in (parsum.parallel_cumsum, parsum.parallel_cumprod):
        with pytest.raises(TypeError, match=r"a must be an array in memory, got <parsum\.File"):
            function(file)
    with pytest.raises(TypeError, match="b must be an array in memory"):
        parsum.parallel_dot(array[0], file)
    with pytest.raises(TypeError, match="must be an array in memory"):
        parsum.parallel_weighted_mean(file, weights=array)
    with pytest.raises(TypeError, match=r"chunks must be arrays for 'dot', got <parsum\.File"):
        parsum.Accumulator("dot").update(array, file)
    with pytest.raises(ValueError, match="workers must be -1 or at least 1, got 0"):
        parallel_sum(file, workers=0)


def test_several_and_own_reductions(folder):
    array = values("random", 30_000, "d", 1).reshape(300, 100)
    file = saved(folder, array)
    runs = Reduction.from_c(
        state={"first": "double", "last": "double", "n": "int64_t"},
        accumulate="if (!s->n++) s->first = x; s->last = x;",
        combine="""
            if (!o->n) return;
            if (!s->n) s->first = o->first;
            s->last = o->last;
            s->n += o->n;
        """,
        finish="r[0] = s->first; r[1] = s->last;",
        result=("float64", 2),
        ordered=False,
        commutative=False,
    )
    total = Reduction.from_c(
        state={"sum": "double"}, accumulate="s->sum += x;", combine="s->sum += o->sum;",
        finish="*r = s->sum;",
    )  # fmt: skip
    for size in (1000, 9000, 1 << 20):
        with blocks_of(size, 400), mock.patch.object(parsum.engine, "BYTES_PER_WORKER", 512):
            for what in (runs, total, ("min", "argmax", "sum"), ("var", total, "describe")):
                for axis in (None, 0, 1):
                    assert_same(
                        parallel_reduce(file, what, axis=axis, workers=3),
                        parallel_reduce(array, what, axis=axis),
                        f"{size} {axis}",
                    )
    with pytest.raises(TypeError, match="where must be left out"):
        parallel_reduce(file, ("sum", "mean"), where=array > 0)
    with pytest.raises(TypeError, match="where must be left out"):
        parallel_reduce(file, total, where=array > 0)


# ---- raw elements ----


def test_raw_elements(folder):
    array = values("random", 600, "f", 1)
    path = folder / "raw"
    path.write_bytes(b"head" + array.astype(">f4").tobytes())
    for shape in (None, 600, -1, (20, 30), (20, -1), (-1, 2, 3)):
        for order in "CF":
            file = parsum.open(path, dtype=">f4", shape=shape, offset=4, order=order)
            expected = array.reshape(-1 if shape is None else shape, order=order)
            assert file.shape == expected.shape
            assert_same(parallel_sum(file, axis=0), parallel_sum(expected, axis=0))
    assert parsum.open(path, dtype="u1").shape == (2404,)
    assert parsum.open(path, dtype="u1", shape=0).shape == (0,)
    assert parallel_sum(parsum.open(path, dtype="M8[s]".replace("M", "m"), offset=4, shape=2)).dtype
    for error, message, keywords in (
        (ValueError, "must have a whole number of float64 for shape None, got 2404", {}),
        (
            ValueError,
            "must have 8008 bytes for shape .1001,. of float64, got 2404",
            {"shape": 1001},
        ),
        (ValueError, "shape must be of lengths from 0 on, or one -1", {"shape": (-1, -1)}),
        (ValueError, "shape must be of lengths from 0 on, or one -1", {"shape": -2}),
        (TypeError, "shape must be integers, got .1.5,.", {"shape": (1.5,)}),
        (ValueError, "offset must be from 0 to the size of", {"offset": -1}),
        (ValueError, "offset must be from 0 to the size of", {"offset": 9999}),
        (TypeError, "offset must be an integer, got 1.0", {"offset": 1.0}),
        (ValueError, "order must be 'C' or 'F', got 'K'", {"order": "K", "shape": 1}),
    ):
        with pytest.raises(error, match=message):
            parsum.open(path, dtype="d", **keywords)
    with pytest.raises(TypeError, match="dtype must be a data type, got 'nothing'"):
        parsum.open(path, dtype="nothing")
    for dtype in ("O", "S3", "V4", "f4,f4", "(2,)f4"):
        with pytest.raises(TypeError, match="must be of bool, integers, floats, complex numbers"):
            parsum.open(path, dtype=dtype)
    with pytest.raises(TypeError, match="dtype must be given where shape, offset or order are"):
        parsum.open(path, shape=3)


# ---- members of archives ----


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_members_of_archives(folder, save):
    arrays = {
        "a": values("random", 6000, "d", 1).reshape(60, 100),
        "f": np.asfortranarray(values("random", 6000, "f", 2).reshape(60, 100)),
        "é": values("random", 50, "D", 3),
        "empty": np.empty((0, 3)),
    }
    path = folder / "many.npz"
    save(path, **arrays)
    for name, array in arrays.items():
        file = parsum.open(path, member=name)
        assert (file.shape, file.dtype) == (array.shape, array.dtype)
        assert file.compressed == (save is np.savez_compressed)
        for size in (800, 5000, 1 << 20):
            with blocks_of(size, 500, 3000):
                for axis in (None, *range(array.ndim)):
                    assert_same(
                        parallel_sum(file, axis=axis, workers=3), parallel_sum(array, axis=axis)
                    )
    assert "'é.npy'" in repr(parsum.open(path, member="é"))
    with pytest.raises(ValueError, match="member must be one of 'a', 'f', 'é', 'empty' of"):
        parsum.open(path)
    with pytest.raises(ValueError, match=r"member must be one of .* got 'b'"):
        parsum.open(path, member="b")
    with pytest.raises(TypeError, match="member must be left out for raw elements"):
        parsum.open(path, member="a", dtype="d")
    save(folder / "one.npz", np.arange(5.0))
    assert parallel_sum(folder / "one.npz") == 10.0
    np.save(folder / "plain.npy", np.arange(5.0))
    with pytest.raises(TypeError, match="which holds a single array"):
        parsum.open(folder / "plain.npy", member="a")
    save(folder / "objects.npz", np.array([Harmful()], object))
    with pytest.raises(TypeError, match="must be of bool, integers"):
        parsum.open(folder / "objects.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_archives(folder, save):
    path = folder / "damaged.npz"
    save(path, a=values("random", 3000, "d", 1))
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    for k in range(300):
        bad = bytearray(content)
        if k % 3:
            for place in rng.integers(0, len(bad), 3) if k % 2 else rng.integers(0, 200, 3):
                bad[place] = rng.integers(256)
        else:
            bad = bad[: rng.integers(1, len(bad))]
        path.write_bytes(bytes(bad))
        done = outcome(parallel_sum, path)
        assert done.error in (None, ValueError, TypeError), done.message
    path.write_bytes(content)
    compressed = save is np.savez_compressed
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(64) + content[middle + 64 :])
    assert outcome(parallel_sum, path).error is (ValueError if compressed else None)


# ---- files that are not what they should be ----


def test_files_that_cannot_be_read(folder):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npy"):
        parallel_sum(folder / "nothing.npy")
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        parallel_sum(folder)
    os.mkfifo(folder / "pipe")
    with pytest.raises(OSError, match="Not a regular file"):
        parsum.open(folder / "pipe")
    with pytest.raises(TypeError, match="path must be a str or path-like"):
        parsum.open(os.fsencode(folder))
    for content in (b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x93NUMPY\x09\x00ab"):
        (folder / "bad.npy").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.npy must be a (sound )?\.np[yz] file"):
            parsum.open(folder / "bad.npy")
    (folder / "pickle.npy").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match=r"must be a \.npy file, or dtype be given"):
        parsum.open(folder / "pickle.npy")


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_objects_are_never_unpickled(folder, monkeypatch):
    np.save(folder / "objects.npy", np.array([Harmful()], object), allow_pickle=True)
    monkeypatch.chdir(folder)
    with pytest.raises(TypeError, match=r"objects\.npy must be of bool, integers"):
        parallel_sum(folder / "objects.npy")
    assert not (folder / "harmed").exists()
    np.save(folder / "records.npy", np.zeros(3, "f4,f4"))
    with pytest.raises(TypeError, match="must be of bool, integers"):
        parsum.open(folder / "records.npy")


def test_a_truncated_file_is_an_error_at_once(folder):
    file = saved(folder, np.arange(1000.0), "short.npy")
    os.truncate(file.path, 4000)
    with pytest.raises(ValueError, match=r"short\.npy must have 8128 bytes .* got 4000"):
        parsum.open(file.path)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_a_file_that_shrinks_while_it_is_read(folder, workers, axis):
    array = np.ones((2000, 500))
    file = saved(folder, array, "shrinks.npy")
    before = len(os.listdir("/proc/self/fd"))

    def shrink(done: int, total: int) -> None:
        os.truncate(file.path, 100_000)

    with (
        blocks_of(4000, 1 << 20, 1 << 20),
        mock.patch.object(parsum.engine, "MAIN_SLICE", 1),
        pytest.raises(ValueError, match=r"shrinks\.npy must not become shorter .* at byte \d+"),
    ):
        parallel_sum(file, axis=axis, workers=workers, progress=shrink)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_grows_is_read_as_it_was(folder):
    file = saved(folder, np.arange(1000.0), "grows.npy")
    with open(file.path, "ab") as stream:
        stream.write(b"x" * 100)
    assert parallel_sum(file) == 499_500.0
    assert parsum.open(file.path).shape == (1000,)


@examples(300)
@given(
    header=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(str.encode),
        st.fixed_dictionaries(
            {
                "descr": st.sampled_from(
                    ["<f8", "|O", ">c16", "<U5", "|V8", [("a", "<f8")], "nonsense", 5, "<m8[s]"]
                ),
                "fortran_order": st.sampled_from([True, False, 1, "x"]),
                "shape": st.one_of(
                    st.tuples(st.integers(-5, 1 << 70), st.integers(0, 9)),
                    st.sampled_from([(), (3,), 3, "x", (1.5,), (10**30,), (0, 10**30)]),
                ),
            }
        ).map(lambda d: repr(d).encode()),
    ),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]),
    length=st.one_of(st.none(), st.integers(0, 65_535)),
)
def test_hostile_headers(folder, header, version, length):
    size = len(header) if length is None else length
    width = 2 if version == (1, 0) else 4
    content = b"\x93NUMPY" + bytes(version) + size.to_bytes(width, "little") + header + b"\n"
    path = folder / "hostile.npy"
    path.write_bytes(content + bytes(64))
    opened = outcome(parsum.open, path)
    if opened.error is None:
        assert opened.value.nbytes <= len(content) + 64
        assert outcome(parallel_sum, opened.value).error in (None, ValueError)
    else:
        assert opened.error in (ValueError, TypeError)
        assert "hostile.npy" in opened.message


# ---- memory, threads, signals ----


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "large.npy"
    with path.open("wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 16, 1 << 12)}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + (1 << 31))  # 2 GB of zeros that take no room
    code = """
        import resource, sys, numpy as np, parsum
        file = parsum.open(sys.argv[1])
        parsum.parallel_sum(np.ones(3_000_000), workers=2)  # threads have their stacks
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limit = used + (64 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        print(parsum.parallel_sum(file, workers=2))
        print(parsum.parallel_max(file, axis=0).shape, parsum.parallel_mean(file, axis=1).shape)
    """
    assert output(code, str(path)).split("\n")[:2] == ["0.0", "(4096,) (65536,)"]


def test_ctrl_c_ends_it(tmp_path):
    path = tmp_path / "large.npy"
    with path.open("wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 34,)}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + (1 << 37))
    code = """
        import os, signal, sys, threading, time, parsum
        start = time.monotonic()
        try:
            timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            parsum.parallel_sum(sys.argv[1], workers=2)
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - start < 5)
    """
    assert run(code, str(path)).stdout == "interrupted True\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_from_several_threads_at_once(folder):
    file = saved(folder, values("random", 100_000, "d", 1), "shared.npy")
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(parallel_sum(file, workers=2)))
        for _ in range(8)
    ]
    with blocks_of(10_000), mock.patch.object(parsum.engine, "BYTES_PER_WORKER", 512):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(results)) == 1 and len(results) == 8


def test_it_says_what_it_is(folder):
    file = saved(folder, np.zeros((2, 3), ">i2"), "shown.npy")
    shown = repr(file)
    assert shown.startswith("<parsum.File ") and shown.endswith("shape (2, 3), dtype >i2>")
    assert (file.ndim, file.size, file.nbytes, file.order, file.offset) == (2, 6, 12, "C", 128)
