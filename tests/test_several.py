"""parallel_reduce by name and of several at once: the public functions' results to the bit."""

from __future__ import annotations

import dataclasses
import warnings
from unittest import mock

import kernels
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out
from reference import STYLES, Outcome, arrays, assert_same_outputs, axes, examples, masks, values
from schedules import scheduled

import parsum
from parsum import Reduction, engine, parallel_reduce
from parsum.api.named import FUNCTIONS, FUNCTIONS_OF_TWO, OWN_ARGUMENTS
from parsum.reduction import Member, find, join, type_of

NAMES = sorted(FUNCTIONS)
# One of each kind, and those whose kernels differ.
CODES = ["?", "b", "Q", "e", "f", "d", "F", "D", "g", "G", "m8[s]", "M8[ms]"]
DEVIATIONS = kernels.sum_of_deviations()
PLAIN = kernels.plain_sum()
WELFORD = kernels.welford()
RUNS = kernels.runs()
IN_PYTHON = Reduction.from_python(
    identity=lambda: 0, accumulate=lambda s, x: s + len(x), combine=lambda a, b: a + b
)


def outcome(function, *args, **kwargs) -> Outcome:
    """What a call comes to, floating-point warnings and all."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn"):
        warnings.simplefilter("always")
        value, error, message = None, None, ""
        try:
            value = function(*args, **kwargs)
        except Exception as raised:
            error, message = type(raised), str(raised)
    here = {w.filename for w in caught}
    assert here <= {__file__}, f"warnings of lines elsewhere: {here}"
    return Outcome(value, error, message, tuple(sorted(f"{w.message}" for w in caught)))


def alone(reduction, a, **kwargs) -> Outcome:
    """The same of one member, by its public function if it has one."""
    if isinstance(reduction, Reduction):
        return outcome(parallel_reduce, a, reduction, **kwargs)
    return outcome(getattr(parsum, f"parallel_{reduction}"), a, **kwargs)


def assert_same(actual: Outcome, expected: Outcome, note: str) -> None:
    assert (actual.error, actual.message) == (expected.error, expected.message), note
    assert actual.warned == expected.warned, note
    if expected.error is None:
        assert type(actual.value) is type(expected.value), note
        assert_same_outputs(tuple(_arrays(actual.value)), tuple(_arrays(expected.value)), note)


def _arrays(value):
    """The arrays of a result: of named tuples all parts, of masked arrays data and mask."""
    if isinstance(value, parsum.Description):
        value = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    if isinstance(value, tuple):
        for part in value:
            if part is not None:  # what a description was not asked for
                yield from _arrays(part)
    elif isinstance(value, np.ma.MaskedArray):
        yield np.ma.getmaskarray(value)
        yield value.filled(0) if value is not np.ma.masked else np.zeros(0)
    else:
        yield value


def sample(code: str, shape: tuple[int, ...], style: str = "random", seed: int = 1) -> np.ndarray:
    return values(style, int(np.prod(shape)), code, seed).reshape(shape)


# ---- by name ----


@pytest.mark.parametrize("name", NAMES)
def test_by_name_as_the_function_of_that_name(name):
    """Results, types, warnings and errors, for every dtype and axis."""
    for code in CODES:
        for style, shape in [
            ("random", (5, 7)), ("extremes", (3, 1100)), ("nans", (4, 3, 2)), ("hard", (2000,)),
            ("ties", (0, 3)), ("all nan", (3, 4)), ("ties", ()),
        ]:  # fmt: skip
            a = sample(code, shape, style)
            for axis in [None, *range(-1, a.ndim), *([(0, 1)] if a.ndim > 1 else [])]:
                note = f"{name} {code} {style} {shape} {axis}"
                actual = outcome(parallel_reduce, a, name, axis=axis)
                assert_same(actual, alone(name, a, axis=axis), note)


@pytest.mark.parametrize("name", NAMES)
def test_by_name_with_keywords(name):
    a = sample("d", (6, 50))
    for keywords in (
        {"keepdims": True, "axis": 0}, {"keepdims": True}, {"dtype": "f4"}, {"dtype": "i4"},
        {"initial": 3.0}, {"where": a > 0}, {"where": a > 0, "initial": 9.0, "axis": 1},
        {"out": np.empty(6), "axis": 1}, {"workers": 3}, {"method": "fast"}, {"method": "fastest"},
        {"ddof": 1}, {"ord": 1}, {"ord": np.inf}, {"moments": 4, "ddof": 1}, {"nonsense": 1},
        {"workers": 0}, {"progress": 3}, {"executor": "x"}, {"axis": 5},
    ):  # fmt: skip
        copies = [{k: v.copy() if k == "out" else v for k, v in keywords.items()} for _ in range(2)]
        actual = outcome(parallel_reduce, a, name, **copies[0])
        expected = alone(name, a, **copies[1])
        note = f"{name} {keywords}"
        if expected.error is TypeError and "unexpected keyword" in expected.message:
            assert actual.error is TypeError, note
            assert actual.message in {
                f"{k} must be an argument of parallel_{name}, which has no such" for k in keywords
            }, note
        else:
            assert_same(actual, expected, note)


def test_of_two_arrays():
    a, b = sample("d", (3, 40), seed=1), sample("d", (3, 40), seed=2)
    weights = np.abs(b)
    same = [
        (parallel_reduce((a[0], b[0]), "dot"), parsum.parallel_dot(a[0], b[0])),
        (parallel_reduce((a[0], b[0] * 1j), "vdot"), parsum.parallel_vdot(a[0], b[0] * 1j)),
        (parallel_reduce((a, b), "vecdot"), parsum.parallel_vecdot(a, b)),
        (parallel_reduce((a, b), "vecdot", axis=0), parsum.parallel_vecdot(a, b, axis=0)),
        (
            parallel_reduce((a, weights), "weighted_mean", axis=1),
            parsum.parallel_weighted_mean(a, axis=1, weights=weights),
        ),
        (
            parallel_reduce(a, "weighted_mean", weights=weights),
            parsum.parallel_weighted_mean(a, weights=weights),
        ),
    ]
    for actual, expected in same:
        assert_same_outputs(actual, expected)
    with pytest.raises(TypeError, match="a must be a tuple of two arrays for dot, got ndarray"):
        parallel_reduce(a, "dot")
    with pytest.raises(TypeError, match="a must be a tuple of two arrays for vecdot, got tuple"):
        parallel_reduce((a, a, a), "vecdot")
    assert set(FUNCTIONS_OF_TWO) == {"dot", "vdot", "vecdot", "weighted_mean"}


def test_all_public_reductions_have_a_name():
    public = {k.removeprefix("parallel_") for k in parsum.__all__ if k.startswith("parallel_")}
    assert public - {"reduce", "cumsum", "cumprod"} == {*FUNCTIONS, *FUNCTIONS_OF_TWO}


# ---- several at once ----


def assert_several(a, reductions, note="", **keywords):
    """Each result, error and warning is that of the single call."""
    results = outcome(parallel_reduce, a, reductions, **keywords)
    own = {
        k: {key: value for key, value in keywords.items() if key in OWN_ARGUMENTS.get(k, {})}
        for k in reductions if isinstance(k, str)
    }  # fmt: skip
    shared = {
        key: value for key, value in keywords.items()
        if key not in {"ddof", "moments", "ord", "parameter"}
    }  # fmt: skip
    singles = []
    for k in reductions:
        extra = {"parameter": keywords["parameter"]} if (
            isinstance(k, Reduction) and "parameter" in keywords
        ) else own.get(k, {}) if isinstance(k, str) else {}  # fmt: skip
        singles.append(alone(k, a, **shared, **extra))
    note = f"{note} {reductions} {keywords}"
    failed = [single for single in singles if single.error is not None]
    if failed:
        assert results.error is not None, note
        # Members that have no kernel are said to before all else, in words of this function's own.
        if not results.message.startswith("a must be of a dtype that "):
            assert (results.error, results.message) in {(k.error, k.message) for k in failed}, note
        else:
            assert results.error is TypeError, note
        return
    assert results.error is None, f"{note}: {results.message}"
    assert type(results.value) is tuple, note
    assert sorted(results.warned) == sorted(w for k in singles for w in k.warned), note
    for k, value, single in zip(reductions, results.value, singles, strict=True):
        assert_same(single._replace(value=value), single, f"{note}: {k}")


@pytest.mark.parametrize("code", CODES)
def test_all_that_go_at_once(code):
    """Every name that takes the dtype, in one call, in several orders."""
    for style, shape, axis in [
        ("random", (3000,), None), ("hard", (2, 2500), 1), ("random", (2, 2500), 0),
        ("finite extremes", (5, 30, 8), None), ("ties", (3, 2, 1500), (0, 2)), ("random", (1,), 0),
    ]:  # fmt: skip
        a = sample(code, shape, style)
        several = isinstance(axis, tuple)
        # Or the errors of some would hide the results of all.
        able = [k for k in NAMES if alone(k, a, axis=axis).error is None]
        assert len(able) >= (10 if code not in ("m8[s]", "M8[ms]") and not several else 3)
        for turn in (0, 1, 7):
            order = tuple(able[turn:] + able[:turn])
            assert_several(a, order[:: 1 if turn != 1 else -1], f"{code} {shape}", axis=axis)


@pytest.mark.parametrize("first", NAMES)
def test_pairs(first):
    for code in ("b", "f", "D"):
        for shape, axis in [((2100,), None), ((2, 1200), 1)]:
            a = sample(code, shape, "nans" if code != "b" else "ties")
            for second in NAMES:
                assert_several(a, (first, second), code, axis=axis)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    mixed = ("sum", "var", PLAIN, "argmin", "minmax", DEVIATIONS, "norm", "describe", "prod", RUNS)
    for shape, axis in [((9000,), None), ((3, 2000), None), ((3, 2000), 1), ((1500, 3), 0)]:
        a = lay_out(sample("d", shape), layout)
        assert_several(a, mixed, layout, axis=axis)


def test_custom_ones_among_others():
    a = sample("f", (40, 90))
    for axis in (None, 0, 1):
        assert_several(a, (DEVIATIONS, "sum"), axis=axis, parameter=0.5)
        # PLAIN takes float64, so that it makes a pass of its own.
        assert_several(a, ("max", PLAIN, DEVIATIONS, IN_PYTHON, RUNS, WELFORD), axis=axis)
    b = sample("d", (5000,))
    assert_several(b, (WELFORD, PLAIN), parameter=1)
    c = np.arange(9000).astype(np.uint8)
    histogram = kernels.histogram()
    counts, total, again = parallel_reduce(c, (histogram, "sum", histogram))
    assert counts.tolist() == again.tolist() == kernels.histogram_of(c)
    assert total == c.sum(dtype=int)


def test_the_same_one_several_times():
    a = sample("d", (3000,))
    assert_several(a, ("sum", "sum", PLAIN, PLAIN, "sum"))


def test_one_alone_and_a_list():
    a = sample("d", (3000,))
    assert_several(a, ("var",))
    assert parallel_reduce(a, ["min", "max"]) == (a.min(), a.max())


@examples(150)
@given(data=st.data())
def test_any_array_and_keywords(data):
    a = data.draw(arrays(CODES, STYLES))
    usual = ["sum", "mean", "var", "min", "max", "argmax", "nansum", "nanvar", "count_nonzero",
             "any", "norm", "prod", "nanmin", "describe", "minmax", "nanmean"]  # fmt: skip
    chosen = data.draw(st.lists(st.sampled_from(usual), min_size=1, max_size=4))
    if a.dtype.char not in "?bQefd":
        chosen = [k for k in chosen if k != "describe"] or ["max"]  # it has no kernels of others
    keywords = {"axis": data.draw(axes(a.ndim))}
    if data.draw(st.booleans()):
        keywords["keepdims"] = True
    if data.draw(st.integers(0, 3)) == 0:
        keywords["where"] = data.draw(masks(a.shape))
        chosen = [k for k in chosen if _has_where(k)] or ["sum"]
    with scheduled(data.draw(st.integers(1, 9)), data.draw(st.sampled_from([64, 4096])), 3):
        assert_several(a, tuple(chosen), f"{a.dtype} {a.shape}", **keywords)


def _has_where(name: str) -> bool:
    function = FUNCTIONS[name]
    return "where" in function.__code__.co_varnames[: function.__code__.co_argcount + 5]


@pytest.mark.parametrize("code", ["b", "d", "D"])
def test_masked_arrays(code):
    for share in (0.0, 0.3, 1.0):
        a = np.ma.array(
            sample(code, (3, 1400)), mask=np.random.default_rng(1).random((3, 1400)) < share
        )
        a.mask[0] = True
        for axis in (None, 0, 1):
            assert_several(a, ("sum", "mean", "count_nonzero", "any"), f"{share}", axis=axis)
            if code != "D":
                assert_several(a, ("sum", DEVIATIONS, "sum"), f"{share}", axis=axis)
            assert_several(a, ("min", "var", "max"), f"{share}", axis=axis, keepdims=True)


def test_workers():
    a = sample("d", (40_021,), "hard")
    b = a[np.abs(a) < 1e5]
    assert len(b) > 10_000
    mixed = ("sum", PLAIN, "argmax", "describe", "prod", "nanvar")
    expected = parallel_reduce(b, mixed, workers=1)
    for workers in range(1, 10):
        for seed in range(3):
            with scheduled(workers, 4096, seed) as turns:
                actual = parallel_reduce(b, mixed)
            assert turns[0] >= workers
            assert_same_outputs(tuple(_arrays(actual)), tuple(_arrays(expected)))
    large = np.random.default_rng(0).standard_normal(2_000_000)
    singles = tuple(parallel_reduce(large, k, workers=1) for k in mixed)
    for workers in (1, 2, 5):
        together = parallel_reduce(large, mixed, workers=workers)
        assert_same_outputs(tuple(_arrays(together)), tuple(_arrays(singles)))


def test_levels(level):
    a = sample("f", (9000,))
    assert_several(a, ("sum", "var", "argmin", kernels.sum_of_deviations(), "norm", "prod"))


def test_methods():
    a = sample("d", (9000,))
    assert_several(a, ("sum", "mean", "var", "max", "norm", "prod"), method="fast")


def test_arguments_of_their_own():
    a = sample("d", (3000,))
    assert_several(a, ("var", "std", "sum"), ddof=1)
    assert_several(a, ("describe", "var", "norm"), ddof=1, moments=4, ord=1)
    assert_several(a, ("norm", "max"), ord=3)
    assert_several(a, ("norm", "max"), ord=0)
    assert_several(a, ("norm", "max"), ord=-np.inf)


# ---- warnings and errors ----


def _huge():
    return np.full(3000, 1e308)


def test_warnings_of_each_member():
    """A sum overflows while the maximum beside it does not."""
    assert_several(_huge(), ("sum", "max", "mean", "norm", "prod"))
    a = np.array([np.inf, -np.inf] * 1000)
    assert_several(a, ("sum", "mean", "min", "var"))
    whole = np.full(3000, 1 << 62)
    assert_several(whole, ("max", "sum", "prod", "any"))


@pytest.mark.parametrize("code", ["e", "d", "F", "D", "g", "G"])
@pytest.mark.parametrize("method", ["exact", "fast"])
def test_warnings_are_not_of_the_members_beside(code, method):
    """Infinity times zero is of the product, comparisons with NaN are of nobody."""
    for some in ([np.inf, 0.0], [np.nan], [np.inf, -np.inf], [1e300, 1e300, 1e-300], [1e4] * 300):
        with np.errstate(all="ignore"):
            a = np.concatenate([np.array(some), np.ones(2000)]).astype(code)
        for pair in [("sum", "prod"), ("max", "sum"), ("mean", "min", "sum"), ("nansum", "norm"),
                     ("prod", "mean"), ("var", "sum")]:  # fmt: skip
            assert_several(a, pair, f"{some[0]} {code}", method=method)


@pytest.mark.parametrize(
    ("a", "kind", "member", "text"),
    [
        (_huge(), "over", "sum", "overflow encountered in parallel_sum"),
        (np.array([np.inf, -np.inf] * 900), "invalid", "mean",
         "invalid value encountered in parallel_mean"),
        (np.full(3000, 1 << 62), "over", "sum",
         "overflow encountered in parallel_sum: the result does not fit int64 and wrapped around"),
    ],
)  # fmt: skip
def test_errstate(a, kind, member, text):
    with np.errstate(all="ignore", **{kind: "raise"}):
        with pytest.raises(FloatingPointError) as error:
            parallel_reduce(a, ("min", member, "max"))
        assert str(error.value) == text
        low, high = parallel_reduce(a, ("min", "max"))
        assert (low, high) == (a.min(), a.max())
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_reduce(a, ("min", member, "max"))
    seen = []
    with np.errstate(**{kind: "call"}), np.errstate(call=lambda *args: seen.append(args)):
        parallel_reduce(a, ("min", member, "max"))
    assert len(seen) == 1


def test_flags_of_custom_members():
    flagging = Reduction.from_c(
        state={"n": "double"}, accumulate="s->n += x;", combine="s->n += o->n;",
        finish="*r = s->n; return PARSUM_DIVIDE;", name="flagging",
    )  # fmt: skip
    a = np.ones(2000)
    assert_several(a, ("sum", flagging, "max"))
    with (
        np.errstate(divide="raise"),
        pytest.raises(FloatingPointError, match=r"^divide by zero encountered in flagging$"),
    ):
        parallel_reduce(a, ("sum", flagging))


def test_empty_arrays():
    for shape, axis in [((0,), None), ((0, 3), 0), ((3, 0), 1), ((0, 3), 1), ((2, 0, 4), None)]:
        a = np.empty(shape)
        assert_several(a, ("sum", "any", "prod", "count_nonzero"), axis=axis)
        assert_several(a, ("sum", "mean", "var"), axis=axis)
        for k in ("max", "argmin", "describe", "minmax", "nanmin"):
            assert_several(a, ("sum", k), axis=axis)
        assert_several(a, (kernels.geometric_mean(), "sum"), axis=axis)


def test_where_with_those_that_have_no_identity():
    a = sample("d", (2000,))
    assert_several(a, ("sum", "max"), where=a > 0)
    assert_several(a, ("sum", PLAIN, "mean"), where=a > 0)
    assert_several(a, ("sum", PLAIN, "mean"), where=False)


def test_dtypes_that_a_member_does_not_take():
    assert_several(np.zeros(2000, "M8[s]"), ("max", "sum"))
    assert_several(np.zeros(2000, "D"), ("sum", "describe"))
    assert_several(np.zeros(2000, "U3"), ("sum", "max"))
    assert_several(np.zeros(2000, "M8[s]"), ("max", PLAIN))


def test_argmin_of_several_axes():
    assert_several(sample("d", (3, 4, 1500)), ("sum", "argmin"), axis=(0, 2))
    assert_several(sample("d", (3000,)), ("sum", "argmin"), axis=(0,))
    assert_several(sample("d", (3000,)), ("sum", "argmin"), axis=())


@pytest.mark.parametrize("ord_", [None, 0, 1, 2, 3, np.inf])
def test_norms_of_matrices(ord_):
    """Are no norms of vectors, and refused as by themselves."""
    for shape in ((3, 2000), (3, 4, 1500), (2000,), ()):
        a = sample("d", shape)
        for axis in (None, 0, 1, (0,), (0, 1), (0, 2), (0, 1, 2), ()):
            assert_several(a, ("sum", "norm", "max"), axis=axis, ord=ord_)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_rows_and_columns_that_are_short(axis):
    """Which are not taken at once, and give the same."""
    for shape in ((500, 3), (3, 500), (1023, 2), (1, 1)):
        assert_several(sample("d", shape), ("sum", "max", PLAIN, "var"), axis=axis)


# ---- one pass ----


def test_memory_is_read_once():
    a = np.random.default_rng(0).standard_normal(3_000_000)
    for reductions in (("sum",), ("min", "max"), ("sum", "var", "max", "describe", PLAIN)):
        seen = []
        with mock.patch.object(engine, "run_job", wraps=engine.run_job) as jobs:
            parallel_reduce(a, reductions, progress=lambda *state, seen=seen: seen.append(state))
        assert jobs.call_count == 1
        assert {whole for _, whole in seen} == {a.nbytes}, reductions
        assert seen == sorted(seen)
        assert seen[-1] == (a.nbytes, a.nbytes)


def test_passes_are_counted_by_jobs():
    """With those that cannot join, as many more; along short axes, one for each."""
    a = np.ones(5000)
    expected = {
        ("sum", "max", "var"): 1, ("sum", RUNS): 2, ("sum", RUNS, "max"): 2,
        ("sum", "max", "nanargmax", "argmin"): 1, ("sum", "argmin", PLAIN, "max", "argmax"): 2,
        ("prod", "argmin", "min"): 2, (PLAIN, DEVIATIONS, "sum"): 1,
    }  # fmt: skip
    for reductions, passes in expected.items():
        with scheduled(2, 4096, 0) as turns:
            parallel_reduce(a, reductions)
        assert len(turns) == passes, reductions
    with scheduled(2, 4096, 0) as turns:
        parallel_reduce(np.ones((50, 100)), ("sum", "max"), axis=1)
    assert len(turns) == 2
    with scheduled(2, 4096, 0) as turns:
        parallel_reduce(np.ones((3, 1024)), ("sum", "max"), axis=1)
    assert len(turns) == 1
    # DEVIATIONS takes float32 as it is, PLAIN as float64.
    with scheduled(2, 4096, 0) as turns:
        parallel_reduce(np.ones(5000, "f4"), ("sum", DEVIATIONS, PLAIN))
    assert len(turns) == 2


# ---- arguments ----


@pytest.mark.parametrize(
    ("reduction", "keywords", "error", "message"),
    [
        ("sun", {}, ValueError, "reduction must be one of all, any, argmax, "),
        (3, {}, TypeError, "reduction must be the name of a reduction, got 3"),
        (None, {}, TypeError, "reduction must be the name of a reduction, got None"),
        (("sum", 3), {}, TypeError, "reduction must be the name of a reduction, got 3"),
        (("sum", "sun"), {}, ValueError, "reduction must be one of all, any, argmax, "),
        (("sum", "dot"), {}, ValueError, "reduction must be one of all, any, argmax, "),
        ((), {}, ValueError, "reduction must be 1 to 64 reductions, got 0"),
        (("sum",) * 65, {}, ValueError, "reduction must be 1 to 64 reductions, got 65"),
        (("sum", "max"), {"dtype": "f8"}, TypeError, "dtype must be left out for several"),
        (("sum", "max"), {"out": np.empty(1)}, TypeError, "out must be left out for several"),
        (("sum", "max"), {"initial": 0}, TypeError, "initial must be left out for several"),
        (("sum", "max"), {"ddof": 1}, TypeError,
         "ddof must be an argument of one of ('sum', 'max'), which have no such"),
        (("sum", "max"), {"axis": 3}, np.exceptions.AxisError, "axis: axis 3 is out of bounds"),
        (("sum", "max"), {"workers": 0}, ValueError, "workers must be -1 or at least 1, got 0"),
        (("sum", "max"), {"method": "x"}, ValueError, "method must be"),
        (("sum", "max"), {"progress": 1}, TypeError, "progress must be"),
        (("sum", PLAIN), {"parameter": "p"}, TypeError, "parameter must be a number, got 'p'"),
        ("sum", {"parameter": 1.0}, TypeError,
         "parameter must be left to reductions of one's own, got 1.0"),
        ("sum", {"ddof": 1}, TypeError,
         "ddof must be an argument of parallel_sum, which has no such"),
    ],
)  # fmt: skip
def test_arguments(reduction, keywords, error, message):
    with pytest.raises(error) as caught:
        parallel_reduce(np.ones(3), reduction, **keywords)
    assert str(caught.value).startswith(message)


def test_64_at_once():
    a = sample("d", (3000,))
    assert parallel_reduce(a, ("sum", "max") * 32) == (parsum.parallel_sum(a), a.max()) * 32


def test_the_c_library_joins_no_tree_with_places():
    """Runs of numbered elements would cut its leaves."""
    number, index = type_of(np.dtype(np.float64)), type_of(np.dtype(np.intp))
    product, total, least = (
        Member(find(name, "exact", number, to), 0.0, to, False)
        for name, to in [("prod", number), ("sum", number), ("argmin", index)]
    )
    assert join([product, least]) is None
    assert join([total, least]) is not None
    assert join([total, product]) is not None


def test_what_is_settled_waits_for_the_rest(level):
    """The first element settles any, and the last one all."""
    a = np.ones(3_000_000, bool)
    a[-1] = False
    for workers in (1, 3):
        for names in (("any", "all"), ("all", "any")):
            both = dict(zip(names, parallel_reduce(a, names, workers=workers), strict=True))
            assert both == {"any": True, "all": False}
            both = dict(zip(names, parallel_reduce(~a, names, workers=workers), strict=True))
            assert both == {"any": True, "all": False}
