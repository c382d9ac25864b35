"""Accumulators: the bits of one call over all chunks, however they are cut, merged or sent."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import output
from hypothesis import assume, given
from hypothesis import strategies as st
from layouts import lay_out
from oracle import bits, exact_sum
from reference import (
    DTYPES,
    FLOATS,
    STYLES,
    arrays,
    assert_same_outcome,
    assert_same_outputs,
    examples,
    masks,
    outcome,
    values,
)
from schedules import scheduled

import parsum
from parsum import Accumulator, Reduction, parallel_reduce
from parsum.api.named import FUNCTIONS, FUNCTIONS_OF_TWO
from parsum.reduction import LEAF

#: Whose result has the same bits whatever the order of merges.
EXACT = [
    name for name in FUNCTIONS if name not in ("prod", "nanprod", "argmin", "argmax")
    and not name.startswith("nanarg")
]  # fmt: skip
ORDS = [None, 1, math.inf, -math.inf, 0, 3]


def fields(result: Any) -> tuple[Any, ...]:
    """The arrays of any result, several at once among them."""
    if isinstance(result, parsum.Description):
        return tuple(getattr(result, name) for name in result.__slots__ if name != "__weakref__")
    if isinstance(result, tuple):
        return tuple(part for one in result for part in fields(one))
    return (result,)


def assert_same(actual: Any, expected: Any, note: str = "") -> None:
    pairs = zip(fields(actual), fields(expected), strict=True)
    for left, right in pairs:
        if left is None or right is None:
            assert left is right, note
        else:
            assert np.ma.isMaskedArray(left) == np.ma.isMaskedArray(right), note
            assert_same_outputs(np.ma.getdata(left), np.ma.getdata(right), note)
            assert np.array_equal(np.ma.getmaskarray(left), np.ma.getmaskarray(right)), note


def assert_same_results(actual: Any, expected: Any, note: str) -> None:
    """The outcomes of two calls: values to the bit, warnings and errors."""
    assert_same_outcome(actual, expected, note)
    if expected.error is None:
        assert_same(actual.value, expected.value, note)


@st.composite
def cuts(draw: st.DrawFn, n: int) -> list[int]:
    return sorted(draw(st.lists(st.integers(0, n), max_size=6)))


def filled(acc: Accumulator, whole: np.ndarray, at: list[int], axis: int, **options: Any) -> Any:
    for chunk in np.split(whole, at, axis):
        acc.update(chunk, **options)
    return acc


@examples(300)
@given(data=st.data())
def test_any_chunks_give_the_bits_of_one_call(data):
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)), "name")
    whole = data.draw(arrays(DTYPES, STYLES, min_ndim=1), "array")
    own = {}
    if name == "norm":
        own["ord"] = data.draw(st.sampled_from(ORDS))
        whole = whole.reshape(-1) if own["ord"] is not None else whole
    if name in ("var", "std", "nanvar", "nanstd", "describe"):
        own["ddof"] = data.draw(st.sampled_from([0, 1, 0.5]))
    if name == "describe":
        own["moments"] = data.draw(st.sampled_from([2, 4]))
    axis = data.draw(st.sampled_from([None, *range(whole.ndim)]), "axis")
    method = data.draw(st.sampled_from(["exact", "fast"]), "method")
    along = 0 if axis is None else axis
    at = data.draw(cuts(whole.shape[along]), "cuts")

    def accumulate() -> Any:
        acc = Accumulator(name, axis=axis, method=method, **own)
        return filled(acc, whole, at, along).result()

    # Where the order of elements matters it is that of the array: one call takes that of memory.
    one = np.ascontiguousarray(whole)
    expected = outcome(FUNCTIONS[name], one, axis=axis, method=method, **own)
    assert_same_results(outcome(accumulate), expected, f"{name} {method} {axis} {at}")


@examples(100)
@given(data=st.data())
def test_two_arrays(data):
    name = data.draw(st.sampled_from(sorted(FUNCTIONS_OF_TWO)), "name")
    dtype = data.draw(st.sampled_from(["i4", "u8", "e", "f", "d", "F", "D", "g"]), "dtype")
    n = data.draw(st.sampled_from([1, 2, 9, 1023, 1025, 4100]), "n")
    seed = data.draw(st.integers(0, 999))
    style = data.draw(st.sampled_from(["random", "ties", "finite hard"]))
    a, b = values(style, 2 * n, dtype, seed), values(style, 2 * n, dtype, seed + 1)
    axis = None
    if name in ("vecdot", "weighted_mean"):
        axis = data.draw(st.sampled_from([0, 1]))
        a, b = a.reshape(n, 2), b.reshape(n, 2)
    if name == "weighted_mean" and np.dtype(dtype).char == "g":
        with pytest.raises(TypeError, match="weighted_mean"):
            Accumulator(name, axis=axis).update(a, b)
        return
    at = data.draw(cuts(a.shape[axis or 0]), "cuts")
    keywords: dict[str, Any] = {} if axis is None else {"axis": axis}

    def accumulate() -> Any:
        acc = Accumulator(name, axis=axis)
        pairs = zip(np.split(a, at, axis or 0), np.split(b, at, axis or 0), strict=True)
        for first, second in pairs:
            acc.update(first, second)
        return acc.result()

    if name == "weighted_mean":
        expected = outcome(FUNCTIONS_OF_TWO[name], a, weights=b, **keywords)
    else:
        expected = outcome(FUNCTIONS_OF_TWO[name], a, b, **keywords)
    assert_same_results(outcome(accumulate), expected, f"{name} {dtype} {axis} {at}")


@pytest.mark.parametrize("dtype", ["F", "D"])
@pytest.mark.parametrize("other", ["?", "i2", "i8", "e", "f", "d", ">f8"])
def test_real_weights_of_complex_numbers(dtype, other):
    """Both parts have states of their own."""
    a, b = values("random", 3000, dtype, 1).reshape(-1, 3), np.abs(values("random", 3000, "d", 2))
    b = np.ceil(b * 9).astype(other).reshape(-1, 3)
    where = values("random", 3000, "d", 3).reshape(-1, 3) > 0
    for axis in (None, 0, 1, (0, 1)):
        for left_out in (None, where):
            x = a if left_out is None else np.ma.array(a, mask=left_out)
            acc = Accumulator("weighted_mean", axis=axis)
            parts = [slice(0, 1), slice(1, 700), slice(700, None)] if axis != 1 else [slice(None)]
            for k, part in enumerate(parts):
                acc.update(x[part], b[part], workers=k + 1)
            expected = FUNCTIONS_OF_TWO["weighted_mean"](x, axis=axis, weights=b)
            again = pickle.loads(pickle.dumps(acc))
            assert again.count == acc.count
            none = Accumulator("weighted_mean", axis=axis)
            for whole in (acc, again, acc + none):
                assert_same(whole.result(), expected, f"{dtype} {other} {axis}")
            twice = FUNCTIONS_OF_TWO["weighted_mean"](
                np.ma.concatenate([x, x]) if axis != 1 else x,
                axis=axis,
                weights=np.concatenate([b, b]) if axis != 1 else b,
            )
            assert_same(np.ma.getdata((acc + again).result()), np.ma.getdata(twice), "merged")


def test_real_weights_that_sum_to_zero():
    acc = Accumulator("weighted_mean")
    acc.update([1 + 2j, 3.0], [1.0, -1.0])
    with pytest.raises(ZeroDivisionError, match="weights must not sum to zero"):
        acc.result()
    acc.update([2 + 1j], [2.0])
    expected = FUNCTIONS_OF_TWO["weighted_mean"]([1 + 2j, 3.0, 2 + 1j], weights=[1.0, -1.0, 2.0])
    assert acc.result() == expected


@examples(100)
@given(data=st.data())
def test_any_workers_in_any_schedule(data):
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)), "name")
    dtype = data.draw(st.sampled_from(["?", "i4", "e", "f", "d", "D"]), "dtype")
    assume((name, dtype) != ("describe", "D"))  # which takes no complex numbers
    method = data.draw(st.sampled_from(["exact", "fast"]), "method")
    shape = data.draw(st.sampled_from([(20_000,), (5000, 3), (3, 5000), (70, 9, 40)]), "shape")
    axis = data.draw(st.sampled_from([None, *range(len(shape))]), "axis")
    whole = values("random", math.prod(shape), dtype, 5).reshape(shape)
    along = 0 if axis is None else axis
    at = data.draw(cuts(shape[along]), "cuts")
    workers = data.draw(st.integers(1, 9), "workers")
    seed = data.draw(st.integers(0, 99))
    acc = Accumulator(name, axis=axis, method=method)
    own = {}
    if name == "norm" and axis is None:
        own = {"ord": None}
    with np.errstate(all="ignore"):
        expected = FUNCTIONS[name](whole, axis=axis, method=method, **own)
        with scheduled(workers, 4096, seed):
            for chunk in np.split(whole, at, along):
                # Not the short way of small contiguous chunks.
                acc.update(chunk, workers=workers)
        assert_same(acc.result(), expected, name)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, k) for name in EXACT for k in ("i4", "d", "D") if (name, k) != ("describe", "D")],
)
def test_merges_in_any_order_and_tree(name, dtype):
    whole = values("hard", 3000, dtype, 3).reshape(-1, 3)
    rng = np.random.default_rng(7)
    for axis in (None, 0):
        with np.errstate(all="ignore"):
            expected = FUNCTIONS[name](whole, axis=axis) if name != "norm" or axis == 0 else None
            if expected is None:
                expected = parsum.parallel_norm(whole)
        for _ in range(5):
            parts = []
            for chunk in np.split(whole, np.sort(rng.integers(0, 1001, 6))):
                parts.append(Accumulator(name, axis=axis))
                parts[-1].update(chunk)
            parts += [Accumulator(name, axis=axis), Accumulator(name, axis=axis, dtype=dtype)]
            while len(parts) > 1:
                rng.shuffle(parts)
                first, second = parts.pop(), parts.pop()
                parts.append(first + second)
            with np.errstate(all="ignore"):
                assert_same(parts[0].result(), expected, name)


@pytest.mark.parametrize("name", ["argmin", "argmax", "nanargmin", "nanargmax"])
@pytest.mark.parametrize("dtype", ["i4", "d", "D"])
def test_places_follow_the_order_of_merges(name, dtype):
    whole = values("ties", 3000, dtype, 3).reshape(-1, 3)
    whole[700:] -= whole.dtype.type(1)  # the first extremes are not in the first chunk
    rng = np.random.default_rng(7)
    for axis in (None, 0):
        parts = []
        for chunk in np.split(whole, [10, 600, 750, 900]):
            parts.append(Accumulator(name, axis=axis))
            for piece in np.split(chunk, 2):
                parts[-1].update(piece)
        while len(parts) > 1:
            k = int(rng.integers(len(parts) - 1))
            parts[k : k + 2] = [parts[k] + parts[k + 1]]
        assert_same(parts[0].result(), FUNCTIONS[name](whole, axis=axis), name)


@examples(60)
@given(data=st.data())
def test_where_and_masked_arrays(data):
    name = data.draw(st.sampled_from(["sum", "mean", "var", "nansum", "any", "count_nonzero",
                                      "prod", "describe"]), "name")  # fmt: skip
    n = data.draw(st.sampled_from([1, 5, 1030, 2500]))
    whole = values(data.draw(st.sampled_from(["random", "nans"])), 2 * n, "d", n).reshape(n, 2)
    axis = data.draw(st.sampled_from([None, 0]))
    at = data.draw(cuts(n))
    where = np.broadcast_to(data.draw(masks(whole.shape)), whole.shape)
    acc = Accumulator(name, axis=axis)
    pairs = zip(np.split(whole, at), np.split(where, at), strict=True)

    def accumulate() -> Any:
        for chunk, some in pairs:
            acc.update(chunk, where=some)
        return acc.result()

    expected = outcome(FUNCTIONS[name], whole, axis=axis, where=where)
    assert_same_results(outcome(accumulate), expected, f"{name} {axis} {at}")
    if name == "describe":
        return
    masked = np.ma.array(whole, mask=~where)
    acc = Accumulator(name, axis=axis)
    expected = outcome(FUNCTIONS[name], masked, axis=axis)

    def accumulate_masked() -> Any:
        return filled(acc, masked, at, 0).result()

    assert_same_results(outcome(accumulate_masked), expected, f"masked {name} {axis} {at}")


def test_a_minimum_of_nothing_that_was_left_in_is_an_error():
    acc = Accumulator("min")
    acc.update([1.0, 2.0], where=[False, False])
    with pytest.raises(ValueError, match="minimum which has no identity"):
        acc.result()
    acc.update([3.0])
    assert acc.result() == 3.0
    acc = Accumulator("max", axis=0)
    acc.update(np.ma.array([[1.0, 2.0], [5.0, 6.0]], mask=[[True, False], [True, False]]))
    result = acc.result()
    assert result.mask.tolist() == [True, False] and result[1] == 6.0


@pytest.mark.parametrize("layout", ["fortran", "reversed", "byte-swapped", "unaligned", "stepped"])
@pytest.mark.parametrize("method", ["exact", "fast"])
def test_layouts_of_chunks(layout, method):
    whole = values("random", 6000, "d", 1).reshape(-1, 3)
    for axis in (None, 0, 1):
        acc = Accumulator("sum", axis=axis, method=method)
        for chunk in [whole] if axis == 1 else np.split(whole, [7, 1200, 1900]):
            acc.update(lay_out(chunk, layout))
        assert_same(acc.result(), parsum.parallel_sum(whole, axis=axis, method=method))


def test_chunks_of_other_dtypes_are_converted():
    acc = Accumulator("sum", dtype="d")
    acc.update(np.arange(5, dtype=np.int32))
    acc.update(np.array([0.5], np.float16))
    acc.update(np.array([True]))
    assert acc.result() == 11.5
    acc = Accumulator("max", dtype=np.int32)
    acc.update(np.array([3], np.int8))  # for which the kernels have no conversion
    assert acc.result() == 3 and acc.result().dtype == np.int32
    with pytest.raises(TypeError, match="dtype that int32 can hold, got float64"):
        acc.update([1.5])
    assert acc.result() == 3
    fast = Accumulator("sum", dtype="d", method="fast")
    parts = [np.arange(700, dtype=np.float32) / 3, np.arange(700.0) / 3, np.arange(9, dtype=">f8")]
    for part in parts:
        fast.update(part)
    assert_same(fast.result(), parsum.parallel_sum(np.concatenate(parts, dtype="d"), method="fast"))


def test_the_sum_is_that_of_rationals():
    whole = values("finite hard", 5000, "d", 11)
    acc = filled(Accumulator(), whole, [1, 2, 1000, 1000, 4000], 0)
    assert bits(acc.result()) == bits(exact_sum(whole, np.float64))


# ---- several and one's own ----


def test_several_at_once_and_reductions_of_ones_own():
    absolute = Reduction.from_c(
        state={"sum": "double"},
        accumulate="s->sum += fabs(x - parameter);",
        combine="s->sum += o->sum;",
        finish="*r = s->sum;",
    )
    last = Reduction.from_c(
        state={"value": "double", "any": "int"},
        accumulate="s->value = x; s->any = 1;",
        combine="if (o->any) *s = *o;",
        finish="*r = s->value;",
        commutative=False,
        ordered=False,
    )
    whole = values("random", 7001, "d", 2)
    what = ("min", absolute, "argmax", "var", last, "nanargmin", "minmax", "sum")
    for ordered in (what, *((k,) for k in what)):
        acc = filled(Accumulator(ordered, parameter=0.25), whole, [3, 1024, 1100, 5000], 0)
        own = any(isinstance(k, Reduction) for k in ordered)
        expected = parallel_reduce(whole, ordered, parameter=0.25 if own else 0)
        assert isinstance(acc.result(), tuple)
        assert_same(acc.result(), expected)
        assert acc.result()[ordered.index(last)] == whole[-1] if last in ordered else True
        assert_same(pickle.loads(pickle.dumps(acc)).result(), expected)
    table = whole[:7000].reshape(-1, 7)
    acc = filled(Accumulator(what[:4], axis=0, parameter=1), table, [5, 300], 0)
    assert_same(acc.result(), parallel_reduce(table, what[:4], axis=0, parameter=1))


def test_expressions_as_chunks():
    x, y = values("random", 5000, "d", 1), values("random", 5000, "d", 2)
    acc = Accumulator("sum")
    for k in range(0, 5000, 700):
        acc.update(parsum.Fused("(x - y)**2", {"x": x[k : k + 700], "y": y[k : k + 700]}))
    assert acc.result() == parsum.parallel_sum((x - y) ** 2)


# ---- copies, bytes and pickles ----


def one_of_each() -> list[Accumulator]:
    made = []
    for name in FUNCTIONS:
        for dtype in ("i4", "d"):
            for axis in (None, 0):
                acc = Accumulator(name, axis=axis, dtype=dtype)
                acc.update(values("hard", 2500, dtype, 4).reshape(-1, 2))
                made.append(acc)
    made += [Accumulator("sum", method="fast"), Accumulator("norm", ord=3), Accumulator("max")]
    made += [Accumulator("sum", method="fast", axis=0), Accumulator(("sum", "minmax"))]
    for acc in made[-5:-2]:
        acc.update(values("random", 1500, "d", 9))
    made[-2].update(values("random", 3000, "f", 9).reshape(-1, 2), where=[True, False])
    made[-1].update(values("random", 3000, "d", 9))
    pair = Accumulator("weighted_mean")
    pair.update([1.0, 2.0], [3.0, 4.0])
    return [*made, pair, Accumulator("mean", axis=(0, 2), shape=(2,)), Accumulator()]


def chunk_for(acc: Accumulator, table: np.ndarray) -> tuple[np.ndarray, ...]:
    """The columns of a table for a reduction of two, a vector for norms, else all."""
    if acc._two:
        return table[:, 0], table[:, 1]
    return (table.ravel() if "ord" in acc._arguments else table,)


def test_pickles_go_on_where_they_were():
    for acc in one_of_each():
        with np.errstate(all="ignore"):
            again = pickle.loads(pickle.dumps(acc))
            assert again.to_bytes() == acc.to_bytes()
            if acc.count == 0:
                continue
            assert_same(again.result(), acc.result(), repr(acc))
            more = values("random", 6, "i1", 1).reshape(-1, 2)
            chunk = chunk_for(acc, more)
            again.update(*chunk)
            acc.update(*chunk)
            assert_same(again.result(), acc.result(), repr(acc))
            assert again.to_bytes() == acc.to_bytes()


def test_copies_go_their_own_way():
    for acc in one_of_each():
        if acc.count == 0:
            continue
        before = acc.to_bytes()
        for other in (acc.copy(), copy.copy(acc), copy.deepcopy(acc)):
            more = np.ones((4, 2), "i1")
            other.update(*chunk_for(acc, more))
            assert acc.to_bytes() == before
        acc.update(*chunk_for(acc, more))
        assert acc.to_bytes() == other.to_bytes()


def test_reductions_share_passes():
    """Places keep out of the pass of what is combined in order, not others."""
    acc = Accumulator(("argmax", "prod", "min", "sum"), dtype="d")
    assert sorted(len(group.parts) for group in acc._groups) == [1, 3]
    acc = Accumulator(("argmax", "min", "sum"), dtype="d")
    assert [len(group.parts) for group in acc._groups] == [3]


def test_pickles_of_many_results():
    """What has no elements is few bytes in a fixed tree, however many results it is for."""
    for method in ("exact", "fast"):
        acc = Accumulator("sum", dtype="d", axis=0, shape=(100_000,), method=method)
        again = pickle.loads(pickle.dumps(acc))
        row = np.arange(100_000.0)
        again.update(row[None])
        assert_same(again.result(), row)


def test_pickles_across_processes():
    code = """
        import pickle, sys, numpy as np, parsum
        acc = parsum.Accumulator(("sum", "describe"), dtype="d")
        acc.update(np.arange(100_000) / 7)
        print(pickle.dumps(acc).hex())
    """
    made = pickle.loads(bytes.fromhex(output(code).strip()))
    made.update(np.arange(5.0))
    whole = np.concatenate([np.arange(100_000) / 7, np.arange(5.0)])
    assert_same(made.result(), parallel_reduce(whole, ("sum", "describe")))


def resealed(data: bytes, rest: bytes) -> bytes:
    """The bytes with another content and the checksum of that."""
    magic = data.index(b"\n") + 1
    return data[:magic] + hashlib.sha256(rest).digest() + rest


def content(data: bytes) -> bytes:
    return data[data.index(b"\n") + 1 + 32 :]


def test_damaged_bytes_are_an_error():
    rng = np.random.default_rng(1)
    for acc in one_of_each()[::5]:
        data = acc.to_bytes()
        places = [*range(60), *rng.integers(60, len(data), 20)]
        for k in places:
            bad = bytearray(data)
            bad[k] ^= 1 << int(rng.integers(8))
            with pytest.raises(ValueError, match=r"data must be what Accumulator\.to_bytes gave"):
                Accumulator.from_bytes(bytes(bad))
        for n in (0, 1, 19, 51, 60, len(data) - 1):
            with pytest.raises(ValueError, match="data must be"):
                Accumulator.from_bytes(data[:n])
        with pytest.raises(ValueError, match="data must be"):
            Accumulator.from_bytes(data + b"\0")
    with pytest.raises(TypeError, match="data must be bytes, got str"):
        Accumulator.from_bytes("no")


BAD_HEADERS = [
    {"format": 2}, {"format": None}, {"layout": ["big", 1, 1]}, {"reduction": ["nothing"]},
    {"reduction": []}, {"reduction": [None]}, {"reduction": "sum"}, {"reduction": ["prod"]},
    {"several": "x", "reduction": ["sum", "sum"]}, {"method": "slow"}, {"parameter": "x"},
    {"arguments": {"ddof": 1}}, {"arguments": []}, {"axis": "x"}, {"axis": [0.5]},
    {"dtypes": ["O"]}, {"dtypes": ["<f8", "<f8"]}, {"dtypes": ["nonsense"]}, {"dtypes": []},
    {"dtypes": ["<c16"]}, {"shape": [-1]}, {"shape": [1 << 60]}, {"shape": [1 << 40], "axis": 0},
    {"shape": "x"}, {"shape": None, "axis": 0}, {"length": -1}, {"length": 1 << 70},
    {"length": "1"}, {"flags": []}, {"flags": [99]}, {"flags": [1, 1]}, {"flags": 5}, {"sizes": []},
    {"sizes": [[1]]}, {"sizes": [["x"]]}, {"sizes": 5}, {"states": [1]}, {"taken": True},
    {"masked": True, "taken": True},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD_HEADERS, ids=str)
def test_hostile_descriptions_are_errors(change):
    acc = Accumulator("sum")
    acc.update(np.arange(10.0))
    data = acc.to_bytes()
    rest = content(data)
    length = int.from_bytes(rest[:4], "little")
    header = json.loads(rest[4 : 4 + length])
    header.update(change)
    text = json.dumps(header).encode()
    bad = resealed(data, len(text).to_bytes(4, "little") + text + rest[4 + length :])
    with pytest.raises(ValueError, match=r"data must be|reductions must be"):
        Accumulator.from_bytes(bad)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"null", b"[" * 5000, b"\xff", b"{" + b" " * 99]
)
def test_descriptions_that_are_none(text):
    data = Accumulator("sum", dtype="d").to_bytes()
    bad = resealed(data, len(text).to_bytes(4, "little") + text)
    with pytest.raises(ValueError, match="data must be"):
        Accumulator.from_bytes(bad)


def test_hostile_states_never_crash():
    code = """
        import sys, numpy as np
        sys.path.insert(0, sys.argv[1])
        from test_accumulator import chunk_for, content, one_of_each, resealed
        from parsum import Accumulator
        np.seterr(all="ignore")
        import warnings
        warnings.simplefilter("ignore")
        rng = np.random.default_rng(int(sys.argv[2]))
        good = 0
        for acc in one_of_each():
            data = acc.to_bytes()
            rest = content(data)
            head = 4 + int.from_bytes(rest[:4], "little")
            for _ in range(30):
                bad = bytearray(rest)
                for _ in range(rng.integers(1, 9) if len(rest) > head else 0):
                    k = rng.integers(head, len(rest))
                    bad[k] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
                try:
                    made = Accumulator.from_bytes(resealed(data, bytes(bad)))
                except ValueError:
                    continue
                good += 1
                made = made + made
                if made.count:
                    chunk = np.ones((1500, 2), made._dtypes[0])
                    made.update(*chunk_for(made, chunk))
                    try:
                        made.result()
                    except (ValueError, ZeroDivisionError):
                        pass
        print("survived", good)
    """
    for seed in range(2):
        assert "survived" in output(code, str(Path(__file__).parent), str(seed))


# ---- the rest ----


def test_results_of_nothing():
    assert Accumulator("sum").result() == 0.0
    assert Accumulator("sum", dtype=np.int32).result().dtype == np.int64
    assert Accumulator("count_nonzero").result() == 0
    for name in ("min", "argmax", "minmax"):
        with pytest.raises(ValueError, match="no identity"):
            Accumulator(name).result()
    assert_same(Accumulator("sum", axis=0, shape=(2, 3)).result(), np.zeros((2, 3)))
    assert_same(Accumulator("prod", axis=(0, 2), shape=(4,)).result(), np.ones(4))
    with pytest.raises(ValueError, match="shape must be given for a result of no chunks"):
        Accumulator("sum", axis=0).result()
    acc = Accumulator("sum", axis=0)
    acc.update(np.empty((0, 3), np.float32))
    assert_same(acc.result(), np.zeros(3, np.float32))
    with pytest.warns(RuntimeWarning, match="Mean of empty slice"), np.errstate(all="ignore"):
        assert np.isnan(Accumulator("mean").result())
    assert_same(Accumulator(("sum", "any")).result(), (np.float64(0), np.False_))
    assert Accumulator("dot").result() == 0.0


def test_an_empty_one_merges_as_the_identity():
    full = Accumulator("sum")
    full.update([1.0, 2.0])
    for empty in (Accumulator("sum"), Accumulator("sum", dtype="d")):
        assert (empty + full).result() == (full + empty).result() == 3.0
    both = Accumulator("sum") + Accumulator("sum")
    both.update([5])
    assert both.result() == 5 and both.count == 1
    full += full
    assert full.result() == 6.0 and full.count == 4


def test_errors_of_arguments():
    with pytest.raises(ValueError, match="reduction must be one of all, any"):
        Accumulator("median")
    with pytest.raises(ValueError, match="reduction must be one of"):
        Accumulator(("sum", "dot"))
    with pytest.raises(TypeError, match="reduction must be the name of a reduction, got 5"):
        Accumulator(5)
    with pytest.raises(ValueError, match="reduction must be 1 to 64 reductions, got 0"):
        Accumulator(())
    with pytest.raises(TypeError, match="ddof must be an argument of 'sum'"):
        Accumulator("sum", ddof=1)
    with pytest.raises(ValueError, match="method must be one of 'exact', 'fast', got 'slow'"):
        Accumulator("sum", method="slow")
    with pytest.raises(TypeError, match="axis must be None, an integer or a tuple"):
        Accumulator("sum", axis=1.5)
    with pytest.raises(ValueError, match=r"shape must be \(\) where axis is None"):
        Accumulator("sum", shape=(3,))
    with pytest.raises(TypeError, match="a must be of bool, integers"):
        Accumulator("sum").update(["x"])
    with pytest.raises(TypeError, match="update takes one array for 'sum', got 2"):
        Accumulator("sum").update([1], [2])
    with pytest.raises(TypeError, match="update takes two arrays for 'dot', got 1"):
        Accumulator("dot").update([1])
    with pytest.raises(ValueError, match="both arrays of a chunk must have one shape"):
        Accumulator("dot").update([1], [1, 2])
    with pytest.raises(TypeError, match="other must be an Accumulator, got int"):
        Accumulator("sum").merge(5)
    with pytest.raises(TypeError):
        Accumulator("sum") + 5
    with pytest.raises(ValueError, match="workers must be -1 or at least 1, got 0"):
        Accumulator("sum").update([1], workers=0)
    with pytest.raises(np.exceptions.AxisError):
        Accumulator("sum", axis=2).update([[1]])
    with pytest.raises(ValueError, match="chunks must be vectors for ord=1"):
        Accumulator("norm", ord=1).update([[1.0, 2.0]])


def test_what_does_not_fit_changes_nothing():
    acc = Accumulator("sum", axis=0)
    acc.update([[1.0, 2.0]])
    before = acc.to_bytes()
    for chunk in ([[1.0, 2.0, 3.0]], [1.0], [[1j, 2]]):
        with pytest.raises((ValueError, TypeError)):
            acc.update(chunk)
        assert acc.to_bytes() == before
    for other in (
        Accumulator("sum"), Accumulator("mean", axis=0), Accumulator("sum", axis=0, dtype="f"),
        Accumulator("sum", axis=0, shape=(3,)), Accumulator("sum", axis=0, method="fast"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="other must have the same"):
            acc.merge(other)
        assert acc.to_bytes() == before


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_an_interrupted_update_changes_nothing(method):
    acc = Accumulator("sum", method=method)
    acc.update(np.arange(1500.0))
    before = acc.to_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        acc.update(np.ones(5_000_000), progress=stop)
    assert acc.to_bytes() == before
    acc.update([1.0])
    assert acc.result() == np.sum(np.arange(1500.0)) + 1


def test_updates_from_many_threads():
    acc = Accumulator(("sum", "count_nonzero"), dtype="d")
    chunks = [values("random", 4001, "d", k) for k in range(32)]

    def work(k: int) -> None:
        for chunk in chunks[k::8]:
            acc.update(chunk)
            acc.result()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = np.concatenate(chunks)
    assert_same(acc.result(), parallel_reduce(whole, ("sum", "count_nonzero")))
    assert acc.count == whole.size


def test_warnings_are_those_of_one_call():
    for name, chunks in (
        ("sum", ([1e308], [1e308])), ("sum", ([np.inf], [-np.inf])), ("mean", ([np.inf, -np.inf],)),
        ("sum", (np.array([2**62]), np.array([2**62]))), ("var", ([1.0],)), ("nanmax", ([np.nan],)),
    ):  # fmt: skip
        own = {"ddof": 1} if name == "var" else {}
        acc = Accumulator(name, **own)
        for chunk in chunks:
            acc.update(chunk)
        with pytest.warns(RuntimeWarning) as ours:
            acc.result()
        with pytest.warns(RuntimeWarning) as theirs:
            FUNCTIONS[name](np.concatenate(chunks), **own)
        assert [str(w.message) for w in ours] == [str(w.message) for w in theirs]
        assert {w.filename for w in ours} == {__file__}


@pytest.mark.parametrize("n", [0, 1, LEAF - 1, LEAF, LEAF + 1, 4 * LEAF, 7 * LEAF + 5])
@pytest.mark.parametrize("dtype", FLOATS)
def test_trees_whatever_the_chunks(n, dtype):
    """Chunks of one element, of leaves, of two less and more: the tree is that of one call."""
    whole = values("random", n, dtype, 8)
    expected = parsum.parallel_sum(whole, method="fast")
    for size in (1 if n < 2 * LEAF else 333, LEAF - 1, LEAF, LEAF + 1, 3 * LEAF, 100_000):
        acc = Accumulator("sum", dtype=dtype, method="fast")
        for k in range(0, n, size):
            acc.update(whole[k : k + size])
        assert_same(acc.result(), expected, f"{size}")


def test_it_says_what_it_is():
    acc = Accumulator("sum", axis=0)
    acc.update(np.ones((3, 2)))
    assert repr(acc) == "<parsum.Accumulator of 'sum', axis=0: 3 elements>"
    assert repr(Accumulator(("min", "max"))).startswith("<parsum.Accumulator of ('min', 'max')")
