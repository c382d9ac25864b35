"""Stores, columns and iterators: the bits of arrays in memory, and errors that say it all."""

from __future__ import annotations

import itertools
import math
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import zarr
from children import output, run
from hypothesis import given
from hypothesis import strategies as st
from reference import DTYPES, STYLES, assert_same_outcome, examples, outcome, values
from test_accumulator import assert_same, assert_same_results
from test_files import SHAPES, blocks_of

import parsum
from parsum import Accumulator, Reduction, parallel_reduce, parallel_sum
from parsum.api.named import FUNCTIONS

#: Those that HDF5 and Zarr have no types for.
_NOT_STORED = "gGmM"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


def small_workers() -> Any:
    """Within, more workers pay for small sources too."""
    return mock.patch.object(parsum.engine, "BYTES_PER_WORKER", 512)


class Stored(parsum.Source):
    """A source in memory, in chunks; it hands out copies that are spoilt by the next read."""

    def __init__(self, array: np.ndarray, grid: tuple[int, ...] | None, wait: float = 0.0) -> None:
        super().__init__(array.dtype, array.shape)
        self.array = array
        self.grid = grid
        self.wait = wait
        self.closed = 0
        self.reads: list[tuple[Any, Any]] = []

    def named(self) -> str:
        return "of a test"

    def reader(self) -> Any:
        return StoredReader(self)


class StoredReader:
    def __init__(self, source: Stored) -> None:
        self.source = source
        self.last: dict[int, np.ndarray] = {}

    def read(self, worker: int, begin: Any, end: Any) -> Any:
        source = self.source
        source.reads.append((begin, end))
        if source.wait:
            time.sleep(source.wait * (hash((begin, end)) % 7) / 7)
        old = self.last.get(worker)
        if old is not None:
            old.view(np.uint8)[...] = 0x55
        block = tuple(slice(a, b) for a, b in zip(begin, end, strict=True))
        self.last[worker] = np.array(source.array[block], order="C", ndmin=1)
        return self.last[worker].reshape(np.shape(source.array[block])), None

    def close(self) -> None:
        self.source.closed += 1


@examples(500)
@given(data=st.data())
def test_any_chunks_give_the_bits_of_the_array(data):
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)), "name")
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES), "dtype"))
    shape = data.draw(st.sampled_from(SHAPES), "shape")
    style = data.draw(st.sampled_from(STYLES), "style")
    method = data.draw(st.sampled_from(["exact", "fast"]), "method")
    array = values(style, math.prod(shape), dtype, data.draw(st.integers(0, 99))).reshape(shape)
    grid = data.draw(st.none() | st.tuples(*(st.integers(1, max(1, n + 3)) for n in shape)), "grid")
    source = Stored(array, grid)
    axes = [None, *range(len(shape))]
    if len(shape) > 2 and not name.startswith(("arg", "nanarg", "norm")):
        axes += [(0, 2), (1, 2), (0, 1)]
    keywords: dict[str, Any] = {"axis": data.draw(st.sampled_from(axes), "axis"), "method": method}
    if data.draw(st.booleans(), "keepdims"):
        keywords["keepdims"] = True
    expected = outcome(FUNCTIONS[name], array, **keywords)
    size = data.draw(st.sampled_from([64, 1000, 9000, 1 << 20]), "block")
    with blocks_of(size, data.draw(st.sampled_from([64, 5000])), 3000), small_workers():
        workers = data.draw(st.integers(1, 4), "workers")
        actual = outcome(FUNCTIONS[name], source, workers=workers, **keywords)
    assert source.closed == (1 if source.reads else 0)
    if expected.error is TypeError:
        assert_same_outcome(actual, expected)
    else:
        assert_same_results(actual, expected, f"{name} {dtype} {shape} {grid} {keywords}")


@pytest.mark.parametrize("name", ["sum", "prod", "argmax", "describe"])
@pytest.mark.parametrize("method", ["exact", "fast"])
def test_chunks_that_come_at_any_time(name, method):
    array = values("random", 40_000, "d", 5).reshape(200, 200)
    for axis in (None, 0, 1):
        source = Stored(array, (7, 30), wait=0.002)
        expected = FUNCTIONS[name](array, axis=axis, method=method)
        with blocks_of(4000, 1000, 20_000), small_workers():
            actual = FUNCTIONS[name](source, axis=axis, method=method, workers=4)
        assert_same(actual, expected, f"{axis}")


def test_chunks_are_read_once():
    """A chunk is decompressed as a whole, whatever part of it is asked for."""
    source = Stored(np.ones((100, 90, 40)), (10, 30, 7))
    for axis in (None, 0, 1, 2, (0, 1), (1, 2), (0, 2)):
        source.reads.clear()
        with blocks_of(5000, 5000), small_workers():
            parallel_sum(source, axis=axis, workers=2)
        seen: set[tuple[int, ...]] = set()
        for begin, end in source.reads:
            grid = zip(begin, end, source.grid or (), strict=True)
            chunks = [range(a // g, -(-b // g)) for a, b, g in grid]
            own = {(i, j, k) for i in chunks[0] for j in chunks[1] for k in chunks[2]}
            assert not own & seen, f"{axis}"
            seen |= own
        assert len(seen) == 10 * 3 * 6


class Broken(Stored):
    """It fails at some read, and gives other shapes than were asked for if told so."""

    def __init__(self, array: np.ndarray, number: int, error: Exception | None) -> None:
        super().__init__(array, (10,) * array.ndim)
        self.number = number
        self.error = error
        self.count = itertools.count(1)

    def reader(self) -> Any:
        return BrokenReader(self)


class BrokenReader(StoredReader):
    source: Broken

    def read(self, worker: int, begin: Any, end: Any) -> Any:
        array, mask = super().read(worker, begin, end)
        if next(self.source.count) == self.source.number:
            if self.source.error:
                raise self.source.error
            return array[1:], mask
        return array, mask


@pytest.mark.parametrize("method", ["exact", "fast"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_source_that_fails(method, workers):
    array = np.ones((60, 60))
    for axis in (None, 0, 1):
        for number in (1, 2, 5):
            with blocks_of(800, 800), small_workers():
                source = Broken(array, number, OSError("gone"))
                with pytest.raises(OSError, match="gone"):
                    parallel_sum(source, axis=axis, method=method, workers=workers)
                assert source.closed == 1
                source = Broken(array, number, None)
                with pytest.raises(ValueError, match="must not change while it is read"):
                    parallel_sum(source, axis=axis, method=method, workers=workers)


# ---- stores ----


def stored_in_zarr(folder: Path, array: np.ndarray, chunks: tuple[int, ...]) -> Any:
    return zarr.create_array(
        store=str(folder / "a.zarr"), data=array, chunks=chunks, overwrite=True
    )


def stored_in_hdf5(folder: Path, array: np.ndarray, chunks: tuple[int, ...]) -> Any:
    with h5py.File(folder / "a.h5", "w") as file:
        options: Any = {"chunks": chunks, "compression": "gzip"} if array.size > 1 else {}
        file.create_dataset("a", data=array, **options)
    return h5py.File(folder / "a.h5", "r")["a"]


@pytest.mark.parametrize("store", [stored_in_zarr, stored_in_hdf5])
@pytest.mark.parametrize("dtype", [d for d in DTYPES if np.dtype(d).char not in _NOT_STORED])
def test_stores(folder, store, dtype):
    dtype = np.dtype(np.dtype(dtype).str)  # of types that are the same, the one with a name
    array = values("extremes", 60 * 70, dtype, 3).reshape(60, 70)
    stored = store(folder, array, (13, 20))
    for name in ("sum", "max", "argmin", "mean", "count_nonzero"):
        for axis in (None, 0, 1):
            expected = outcome(FUNCTIONS[name], array, axis=axis)
            with blocks_of(4000, 1000), small_workers():
                actual = outcome(FUNCTIONS[name], stored, axis=axis, workers=3)
            assert_same_results(actual, expected, f"{name} {axis}")


@pytest.mark.parametrize("store", [stored_in_zarr, stored_in_hdf5])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (5,), (2, 3, 4)])
def test_shapes_of_stores(folder, store, shape):
    array = values("random", math.prod(shape), "d", 3).reshape(shape)
    stored = store(folder, array, tuple(max(1, n // 2) for n in shape))
    for axis in (None, *range(len(shape))):
        assert_same(parallel_sum(stored, axis=axis), parallel_sum(array, axis=axis))


def test_paths_of_stores(folder):
    array = values("random", 600, "d", 3).reshape(20, 30)
    stored_in_zarr(folder, array, (7, 7))
    stored_in_hdf5(folder, array, (7, 7))
    for path in (folder / "a.zarr", folder / "a.h5"):
        assert_same(parallel_sum(path, axis=0), parallel_sum(array, axis=0))
        assert_same(parallel_sum(str(path)), parallel_sum(array))
        assert parsum.open(path).shape == (20, 30)
    group = zarr.open_group(str(folder / "group.zarr"), mode="w")
    group.create_array("x", data=array)
    group.create_array("y", data=array[0])
    with h5py.File(folder / "group.h5", "w") as file:
        file["x"], file["inner/y"] = array, array[0]
        file["text"] = "text"
    total = parallel_sum(array[0])
    assert_same(parallel_sum(parsum.open(folder / "group.zarr", member="y")), total)
    assert_same(parallel_sum(parsum.open(folder / "group.h5", member="inner/y")), total)
    for path, names in (
        (folder / "group.zarr", "'x', 'y'"),
        (folder / "group.h5", "'inner/y', 'text', 'x'"),
    ):
        for member in (None, "z"):
            with pytest.raises(ValueError, match=f"member must be one of {names}.* got {member!r}"):
                parsum.open(path, member=member)
    with pytest.raises(TypeError, match="must be of bool, integers, floats"):
        parsum.open(folder / "group.h5", member="text")
    with pytest.raises(TypeError, match=r"member must be left out for .*zarr, which"):
        parsum.open(folder / "a.zarr", member="x")
    (folder / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(OSError, match=r"bad\.h5|file"):
        parsum.open(folder / "bad.h5")
    assert "a.zarr" in repr(parsum.open(folder / "a.zarr"))


def test_datasets_in_one_piece_are_read_as_files(folder):
    array = values("random", 600, ">f4", 3).reshape(20, 30)
    with h5py.File(folder / "plain.h5", "w", userblock_size=1024) as file:
        file["a"] = array
        file.create_dataset("unwritten", (5,), "d", fillvalue=2.0)
        assert not isinstance(parsum.open(folder / "plain.h5", member="a"), parsum.File)
        assert_same(parallel_sum(file["a"]), parallel_sum(array))
    source = parsum.open(folder / "plain.h5", member="a")
    assert isinstance(source, parsum.File) and source.offset >= 1024
    for axis in (None, 0, 1):
        assert_same(parallel_sum(source, axis=axis), parallel_sum(array, axis=axis))
    assert parallel_sum(parsum.open(folder / "plain.h5", member="unwritten")) == 10.0


# ---- columns ----

COLUMNS = {
    "double": pa.float64(), "half": pa.float16(), "int": pa.int16(), "unsigned": pa.uint64(),
    "bool": pa.bool_(), "date32": pa.date32(), "time": pa.timestamp("ms"),
    "duration": pa.duration("us"),
}  # fmt: skip


def column(type_: pa.DataType, n: int, nulls: bool) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """A column, its elements as NumPy has them and which of them are there."""
    rng = np.random.default_rng(n)
    numbers = pa.array(rng.integers(0, 100, n).astype("i8"))
    if pa.types.is_date32(type_):
        numbers = numbers.cast(pa.int32())
    there = rng.random(n) < 0.7 if nulls else np.ones(n, bool)
    whole = numbers.cast(type_)
    masked = pa.array(whole.to_pylist(), type_, mask=~there) if nulls else whole
    return masked, whole.to_numpy(zero_copy_only=False), there


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("type_", COLUMNS.values(), ids=COLUMNS)
def test_columns_in_memory(type_, nulls):
    for n in (1, 2, 9, 1000, 3001):
        arrow, array, there = column(type_, n, nulls)
        for function in (parsum.parallel_minmax, parsum.parallel_max):
            expected = outcome(function, array[there])
            with blocks_of(500, 100), small_workers():
                assert_same_results(outcome(function, arrow), expected, f"{n}")
                for cut in ([], [n // 3], [0, n // 2, n // 2, n - 1]):
                    chunks = [arrow.slice(a, b - a) for a, b in itertools.pairwise([0, *cut, n])]
                    actual = outcome(function, pa.chunked_array(chunks), workers=2)
                    assert_same_results(actual, expected, f"{n} {cut}")


@pytest.mark.parametrize("nulls", [False, True])
def test_functions_of_columns(nulls):
    arrow, array, there = column(pa.float64(), 3001, nulls)
    chunked = pa.chunked_array([arrow.slice(0, 1000), arrow.slice(1000)])
    left = array[there]
    for name in ("sum", "mean", "var", "min", "describe", "count_nonzero", "norm", "nansum"):
        with blocks_of(500, 100), small_workers():
            assert_same(FUNCTIONS[name](chunked, workers=3), FUNCTIONS[name](left), name)
            assert_same(FUNCTIONS[name](arrow), FUNCTIONS[name](left), name)
    # Places count what is null.
    place = parsum.parallel_argmax(chunked)
    assert place == np.flatnonzero(there & (array == left.max()))[0]


def test_columns_of_nothing():
    for arrow in (pa.array([], pa.float64()), pa.array([None, None], pa.float64())):
        chunked = pa.chunked_array([arrow, arrow])
        assert parallel_sum(chunked) == 0.0
        with pytest.raises(ValueError, match="zero-size array to reduction operation maximum"):
            parsum.parallel_max(chunked)
        empty = outcome(parsum.parallel_mean, np.empty(0))
        assert_same_results(outcome(parsum.parallel_mean, chunked), empty, "")
    for arrow in (pa.array(["a"]), pa.array([1], pa.decimal128(5, 0)), pa.array([None])):
        with pytest.raises(
            TypeError, match="must be of bool, integers, floats or times, got Arrow"
        ):
            parallel_sum(arrow)
    with pytest.raises(TypeError, match="dtype must not be that of integers for <parsum"):
        parsum.parallel_mean(pa.chunked_array([[1, None]]), dtype=int)


def written(folder: Path, table: pa.Table, kind: str) -> Path:
    path = folder / f"table.{kind}"
    if kind == "parquet":
        pa.parquet.write_table(table, path, row_group_size=700)
    elif kind == "feather":
        pa.feather.write_feather(table, path, chunksize=700)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
    return path


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow"])
@pytest.mark.parametrize("nulls", [False, True])
def test_columns_of_files(folder, kind, nulls):
    columns = {name: column(type_, 5000, nulls) for name, type_ in COLUMNS.items()}
    path = written(folder, pa.table({k: v[0] for k, v in columns.items()}), kind)
    for name, (_, array, there) in columns.items():
        source = parsum.open(path, member=name)
        assert source.dtype == array.dtype or name == "date32"
        with blocks_of(3000, 1000), small_workers():
            expected, actual = parsum.parallel_max(array[there]), parsum.parallel_max(source)
            assert actual == expected, name
            place = parsum.parallel_argmax(source, workers=3)
            assert place == np.flatnonzero(there & (array == expected))[0], name
            if array.dtype.kind in "iu":
                assert_same(parallel_sum(source, workers=3), parallel_sum(array[there]), name)
            elif array.dtype.kind == "f":
                for method in ("exact", "fast"):
                    mean = parsum.parallel_mean(source, workers=3, method=method)
                    # Masks cut no leaves: elements that are left out count as places of the tree.
                    local = parsum.parallel_mean(array, where=there, method=method)
                    assert_same(mean, local, name)
    with pytest.raises(ValueError, match=r"member must be one of 'double', .* got None"):
        parsum.open(path)
    with pytest.raises(ValueError, match=r"member must be one of 'double', .* got 'x'"):
        parsum.open(path, member="x")
    arrow, array, there = columns["double"]
    one = written(folder, pa.table({"only": arrow}), kind)
    assert parallel_sum(one) == parallel_sum(array[there])
    nothing = written(folder, pa.table({"only": pa.array([], pa.float64())}), kind)
    assert parallel_sum(nothing) == 0.0
    text = written(folder, pa.table({"text": ["a"]}), kind)
    with pytest.raises(TypeError, match="must be of bool, integers, floats or times"):
        parsum.open(text)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_damaged_tables(folder, kind):
    path = written(folder, pa.table({"x": np.arange(5000.0)}), kind)
    content = path.read_bytes()
    rng = np.random.default_rng(5)
    for k in range(60):
        bad = bytearray(content)
        if k % 2:
            bad = bad[: rng.integers(8, len(bad))]
        else:
            for place in rng.integers(max(0, len(bad) - 400), len(bad), 3):
                bad[place] = rng.integers(256)
        path.write_bytes(bytes(bad))
        error = outcome(parallel_sum, path).error
        assert error is None or issubclass(error, (OSError, ValueError, TypeError)), error


# ---- iterators ----


def in_one_buffer(chunks: list[np.ndarray]) -> Any:
    """The chunks, each in the memory of the one before, which is spoilt first."""
    room = np.empty(max(chunk.nbytes for chunk in chunks), np.uint8)
    for chunk in chunks:
        room[...] = 0xFF
        buffer = room[: chunk.nbytes].view(chunk.dtype).reshape(chunk.shape)
        buffer[...] = chunk
        yield buffer


ITERATORS: dict[str, Any] = {
    "views": iter,
    "arrays of their own": lambda chunks: (chunk.copy() for chunk in chunks),
    "one buffer": in_one_buffer,
}


@examples(400)
@given(data=st.data())
def test_any_iterator_gives_the_bits_of_the_array(data):
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)), "name")
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES), "dtype"))
    shape = data.draw(st.sampled_from([s for s in SHAPES if s]), "shape")
    style = data.draw(st.sampled_from(STYLES), "style")
    method = data.draw(st.sampled_from(["exact", "fast"]), "method")
    array = values(style, math.prod(shape), dtype, data.draw(st.integers(0, 99))).reshape(shape)
    at = sorted(data.draw(st.lists(st.integers(0, shape[0]), max_size=8), "at"))
    axes: list[Any] = [None, 0]
    if len(shape) > 2 and not name.startswith(("arg", "nanarg", "norm")):
        axes += [(0, 2), (0, 1)]
    axis = data.draw(st.sampled_from(axes), "axis")
    keywords: dict[str, Any] = {"axis": axis, "method": method}
    if data.draw(st.booleans(), "keepdims"):
        keywords["keepdims"] = True
    workers = data.draw(st.integers(1, 4), "workers")
    expected = outcome(FUNCTIONS[name], array, **keywords)
    chunks = ITERATORS[data.draw(st.sampled_from(list(ITERATORS)), "iterator")](np.split(array, at))
    with mock.patch.object(parsum.api.streaming, "SHARE_BYTES", 32):
        actual = outcome(FUNCTIONS[name], chunks, workers=workers, **keywords)
    if expected.error is TypeError:
        assert_same_outcome(actual, expected)
    else:
        assert_same_results(actual, expected, f"{name} {dtype} {shape} {at} {axis}")


def test_iterators():
    array = values("random", 6000, "d", 1).reshape(60, 100)
    seen: list[tuple[int, int]] = []
    total = parallel_sum(
        (row for row in array), workers=2, progress=lambda *done: seen.append(done), initial=5
    )
    assert_same(total, parallel_sum(array, initial=5))
    assert seen[-1] == (array.nbytes, array.nbytes)
    assert_same(parallel_sum(map(np.float32, [1, 2])), np.float32(3))
    assert_same(parallel_sum(iter([np.float64([1]), np.float32([2.5])])), np.float64(3.5))
    masked = np.ma.array([1.0, 2.0, 4.0], mask=[0, 1, 0])
    assert_same(parallel_sum(iter([masked, [8.0]])), np.float64(13))
    assert_same(
        parallel_reduce(iter(array), ("min", "max", "sum")),
        parallel_reduce(array, ("min", "max", "sum")),
    )
    count = Reduction.from_c(
        state={"n": "int64_t"}, accumulate="s->n++;", combine="s->n += o->n;", finish="*r = s->n;",
        result="int64",
    )  # fmt: skip
    assert parallel_reduce(iter(array), count) == 6000
    for error, message, items in (
        (ValueError, "a must be an iterator of arrays, got one that gives none", []),
        (TypeError, "chunks must be of a dtype that int64", [np.arange(3), np.ones(3)]),
        (TypeError, "a must be of bool, integers", [["a"]]),
    ):
        with pytest.raises(error, match=message):
            parallel_sum(iter(items))
    for items in ([array, array[:, :50]], [array, array[0]]):
        with pytest.raises(ValueError, match=r"chunks must have the shape \(100,\) without"):
            parallel_sum(iter(items), axis=0)
    with pytest.raises(TypeError, match="axis must have axis 0 for <parsum"):
        parallel_sum(iter([array]), axis=1)
    with pytest.raises(TypeError, match="where must be left out"):
        parallel_sum(iter([array]), where=array > 0)
    with pytest.raises(TypeError, match="must be an array in memory"):
        parsum.parallel_cumsum(iter([array]))
    with pytest.raises(TypeError, match="reduction must be one, or several that take one pass"):
        parallel_reduce(iter([array]), ("sum", "argmax", "prod"))


def test_norms_of_matrices_are_refused_wherever_they_are(folder):
    array = np.arange(6.0).reshape(2, 3)
    np.save(folder / "matrix.npy", array)
    for given_as in (array, folder / "matrix.npy", iter([array])):
        acc = Accumulator("norm", ord=1)
        with pytest.raises(ValueError, match="chunks must be vectors for ord=1"):
            acc.update(given_as)
        acc.update(array[0])
        assert acc.result() == 3


@pytest.mark.parametrize("method", ["exact", "fast"])
@pytest.mark.parametrize("workers", [1, 2, 4, None])
def test_a_buffer_that_is_filled_again_and_again(workers, method):
    def chunks() -> Any:
        buffer = np.empty(100_000)
        masked = np.ma.array(buffer, mask=np.zeros(100_000, bool))
        for k in range(40):
            buffer[:] = k
            yield buffer
            yield buffer[::2]
            masked.mask[:] = k % 2
            yield masked

    expected = sum(100_000 * k + 50_000 * k + 100_000 * k * (1 - k % 2) for k in range(40))
    assert parallel_sum(chunks(), workers=workers, method=method) == expected
    acc = Accumulator("sum", method=method)
    acc.update(chunks(), workers=workers)
    assert acc.result() == expected


@pytest.mark.parametrize("lent", [False, True])
def test_the_calling_thread_fetches_a_bounded_number_ahead(lent):
    fetched, most, threads = [0], [0], set()

    def chunks() -> Any:
        for _ in range(60):
            threads.add(threading.get_ident())
            fetched[0] += 1
            most[0] = max(most[0], fetched[0] - job[0]._done // 8000 if job else 0)
            if lent:
                chunk = np.ones(1000)
                yield chunk
            else:
                yield np.ones(1000)

    job: list[Any] = []
    made = parsum.api.streaming._Feed.__init__

    def remember(self: Any, *args: Any) -> None:
        made(self, *args)
        job.append(self)

    with mock.patch.object(parsum.api.streaming._Feed, "__init__", remember):
        assert parallel_sum(chunks(), workers=3) == 60_000.0
    assert threads == {threading.get_ident()}
    if lent:
        assert most[0] == 1
    else:  # those that wait, one in the hands of each worker, and the one that is fetched
        assert 1 < most[0] <= 3 + 3 + 1


@pytest.mark.parametrize("method", ["exact", "fast"])
@pytest.mark.parametrize("workers", [1, 3])
def test_an_iterator_that_fails(workers, method):
    def chunks() -> Any:
        yield np.ones(1000)
        yield np.ones(1000)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        parallel_sum(chunks(), workers=workers, method=method)
    with pytest.raises(TypeError, match="chunks must be of a dtype"):
        parallel_sum(iter([np.ones(3)] * 20 + [np.ones(3, complex)]), workers=workers)


def test_an_iterator_is_interrupted():
    code = """
        import os, signal, threading, time, numpy as np, parsum
        def chunks():
            while True:
                yield np.ones(100_000)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            parsum.parallel_sum(chunks(), workers=2)
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert run(code).stdout == "interrupted\n"


# ---- elements that are left out, accumulators, missing libraries ----


def test_what_is_not_finite_is_left_out(folder):
    array = values("extremes", 4000, "d", 3).reshape(40, 100)
    np.save(folder / "a.npy", array)
    there = np.isfinite(array)
    table = pa.table({"x": array.ravel()})
    for source in (
        parsum.open(folder / "a.npy"),
        parsum.open(written(folder, table, "parquet")),
        parsum.open(written(folder, table, "arrow")),
        parsum.open(folder / "a.npy"),
    ):
        finite = source.finite()
        assert repr(finite).endswith(f"shape {source.shape}, dtype float64>")
        with blocks_of(900, 300), small_workers(), np.errstate(all="ignore"):
            for name in ("sum", "mean", "max", "describe"):
                assert_same(FUNCTIONS[name](finite, workers=2), FUNCTIONS[name](array[there]))
            if source.ndim == 2:
                for axis in (0, 1):
                    assert_same(
                        parallel_sum(finite, axis=axis), parallel_sum(array, axis=axis, where=there)
                    )
    fortran = np.asfortranarray(array)
    np.save(folder / "f.npy", fortran)
    with blocks_of(900, 300), np.errstate(all="ignore"):
        finite = parsum.open(folder / "f.npy").finite()
        assert_same(parallel_sum(finite, axis=1), parallel_sum(array, axis=1, where=there))
    np.save(folder / "i.npy", np.arange(5))
    assert parallel_sum(parsum.open(folder / "i.npy").finite()) == 10
    np.save(folder / "nan.npy", np.full(5, np.nan))
    with pytest.raises(ValueError, match="zero-size array to reduction operation minimum"):
        parsum.parallel_min(parsum.open(folder / "nan.npy").finite())


@examples(150)
@given(data=st.data())
def test_accumulators_take_sources(folder, data):
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)), "name")
    method = data.draw(st.sampled_from(["exact", "fast"]), "method")
    shape = data.draw(st.sampled_from([(5000,), (40, 50), (2, 300, 3), (3, 4, 5, 6)]), "shape")
    array = values("finite hard", math.prod(shape), "d", 3).reshape(shape)
    axes = [None, *range(len(shape))]
    if len(shape) > 2 and not name.startswith(("arg", "nanarg", "norm")):
        axes += [(0, 2), (1, 2), (0, 1)]
    axis = data.draw(st.sampled_from(axes), "axis")
    grid = data.draw(st.none() | st.tuples(*(st.integers(1, n) for n in shape)), "grid")
    acc, expected = (Accumulator(name, axis=axis, method=method) for _ in range(2))
    order = data.draw(st.sampled_from("CF"), "order")
    np.save(folder / "part.npy", np.asarray(array, order=order))
    sources = (array, Stored(array, grid), folder / "part.npy", iter([array, array]))
    for source in data.draw(st.permutations(sources), "sources"):
        with blocks_of(data.draw(st.sampled_from([64, 3000, 50_000])), 3000):
            acc.update(source)
    for _ in range(5):
        expected.update(array)
    assert_same_results(outcome(acc.result), outcome(expected.result), f"{name} {axis}")


def test_a_source_that_fails_leaves_an_accumulator_as_it_was():
    acc = Accumulator("sum")
    acc.update([1.0, 2.0])
    for source in (Broken(np.ones((60, 60)), 3, OSError("gone")), iter([np.ones(5), ["a"]])):
        with blocks_of(800, 800), pytest.raises((OSError, TypeError)):
            acc.update(source)
        assert acc.result() == 3.0 and acc.count == 2


@pytest.mark.parametrize(
    ("library", "extra", "name"),
    [("zarr", "zarr", "a.zarr"), ("h5py", "hdf5", "a.h5"), ("pyarrow", "arrow", "table.parquet"),
     ("pyarrow", "arrow", "table.arrow")],
)  # fmt: skip
def test_a_library_that_is_missing(folder, library, extra, name):
    array = np.arange(6.0).reshape(2, 3)
    stored_in_zarr(folder, array, (1, 1))
    stored_in_hdf5(folder, array, (1, 1))
    for kind in ("parquet", "arrow"):
        written(folder, pa.table({"x": array[0]}), kind)
    code = f"""
        import sys
        sys.modules[{library!r}] = None
        import parsum
        try:
            parsum.parallel_sum(sys.argv[1])
        except ImportError as error:
            print(error)
    """
    message = f"needs {library} to be read: pip install parsum[{extra}]"
    assert output(code, str(folder / name)).endswith(message)


def test_nothing_is_imported_that_is_not_asked_for():
    code = """
        import sys, parsum
        parsum.parallel_sum(iter([[1.0]]))
        names = "zarr h5py pyarrow dask zipfile tempfile subprocess json cffi"
        print([name for name in names.split() if name in sys.modules])
    """
    assert output(code) == "[]"
