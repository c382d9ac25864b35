"""The monoid itself: identity, accumulate, combine and finish, in any order and grouping."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_same_bits, bits, exact_sum, expected_sum
from strategies import FAMILIES, FLOATS, INTEGERS, generate, integers

from parsum.reduction import OVERFLOW, find, type_of

EXACT = [*FLOATS, *INTEGERS, np.bool_]


def _reduction(element, result, method="exact"):
    found = find("sum", method, type_of(np.dtype(element)), type_of(np.dtype(result)))
    assert found is not None, f"no sum of {element} to {result}"
    return found


def _result_type(element):
    return np.sum(np.empty(0, element)).dtype


def _finish(reduction, state, result):
    out = np.zeros((), result)
    reduction.finish(state, out)
    return out[()]


def _state(reduction, values):
    state = reduction.identity()
    reduction.accumulate(state, values)
    return state


def _values(dtype, family, n, seed):
    kind = np.dtype(dtype).kind
    return generate(family, n, dtype, seed) if kind == "f" else integers(n, dtype, seed)


_sizes = st.lists(st.integers(0, 9) | st.integers(0, 5000), min_size=1, max_size=12)


@given(
    dtype=st.sampled_from(EXACT),
    families=st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, max_size=12),
    sizes=_sizes,
    seed=st.integers(0, 2**32 - 1),
)
def test_states_made_apart_combine_in_any_order(dtype, families, sizes, seed):
    """A random binary tree over states of different kinds of data: the sum of all, exactly."""
    result = _result_type(dtype)
    reduction = _reduction(dtype, result)
    parts = [_values(dtype, families[k % len(families)], n, seed + k) for k, n in enumerate(sizes)]
    states = [_state(reduction, part) for part in parts]
    order = random.Random(seed)
    while len(states) > 1:
        order.shuffle(states)
        other = states.pop()
        reduction.combine(states[-1], other)
    with np.errstate(all="ignore"):
        expected = expected_sum(np.concatenate(parts))
    assert_same_bits(_finish(reduction, states[0], result), expected)


@given(
    dtype=st.sampled_from(EXACT),
    families=st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, max_size=12),
    sizes=_sizes,
    seed=st.integers(0, 2**32 - 1),
)
def test_one_state_takes_run_after_run(dtype, families, sizes, seed):
    """And says at any time what the sum is so far: finish changes nothing."""
    result = _result_type(dtype)
    reduction = _reduction(dtype, result)
    state = reduction.identity()
    so_far = [np.empty(0, dtype)]
    for k, n in enumerate(sizes):
        part = _values(dtype, families[k % len(families)], n, seed + k)
        so_far.append(part)
        reduction.accumulate(state, part)
        with np.errstate(all="ignore"):
            expected = expected_sum(np.concatenate(so_far))
        assert_same_bits(_finish(reduction, state, result), expected, f"after {k}")
        assert_same_bits(_finish(reduction, state, result), expected, f"again after {k}")


@pytest.mark.parametrize("method", ["exact", "fast"])
@pytest.mark.parametrize("dtype", [*EXACT, np.longdouble])
def test_identity_is_neutral(dtype, method):
    result = _result_type(dtype)
    reduction = _reduction(dtype, result, method)
    empty = _finish(reduction, reduction.identity(), result)
    assert_same_bits(empty, np.zeros((), result)[()])
    for n in (0, 1, 9, 3000):
        values = _values(dtype if dtype != np.longdouble else np.float64, "normal", n, n)
        values = values.astype(dtype)
        expected = bits(_finish(reduction, _state(reduction, values), result))
        left, right = reduction.identity(), _state(reduction, values)
        reduction.combine(left, right)
        reduction.combine(right, reduction.identity())
        assert bits(_finish(reduction, left, result)) == expected
        assert bits(_finish(reduction, right, result)) == expected


@given(
    dtype=st.sampled_from(EXACT),
    step=st.integers(-5, 5).filter(bool),
    start=st.integers(0, 5),
    n=st.integers(0, 5000),
    seed=st.integers(0, 99),
)
def test_accumulate_takes_strides(dtype, step, start, n, seed):
    result = _result_type(dtype)
    reduction = _reduction(dtype, result)
    values = _values(dtype, "spread", n + start, seed)[start::step]
    with np.errstate(all="ignore"):
        expected = expected_sum(values)
    assert_same_bits(_finish(reduction, _state(reduction, values), result), expected)


@pytest.mark.parametrize("dtype", [*FLOATS, np.longdouble])
@pytest.mark.parametrize("method", ["exact", "fast"])
def test_what_a_state_remembers_is_combined(dtype, method):
    """NaN, infinities and whether anything but -0.0 was there, from either side."""
    reduction = _reduction(dtype, dtype, method)
    kinds = [[], [np.nan], [np.inf], [-np.inf], [1.0], [-0.0], [0.0], [-0.0, -0.0]]
    for left in kinds:
        for right in kinds:
            states = [_state(reduction, np.array(part, dtype)) for part in (left, right)]
            reduction.combine(*states)
            expected = exact_sum(np.array(left + right, np.float64))
            actual = _finish(reduction, states[0], dtype)
            assert_same_bits(np.float64(actual), expected, f"{left} {right}")


def test_nat_is_remembered():
    reduction = _reduction("m8[s]", "m8[s]")
    nat, one = np.array(["NaT"], "m8[s]"), np.array([1], "m8[s]")
    for left, right in [(nat, one), (one, nat), (nat, nat)]:
        states = [_state(reduction, left), _state(reduction, right)]
        reduction.combine(*states)
        assert np.isnat(_finish(reduction, states[0], "m8[s]"))


def test_combine_leaves_the_other_as_it_is():
    reduction = _reduction(np.float64, np.float64)
    a, b = _state(reduction, np.array([1e300, 1.0])), _state(reduction, np.array([1e-300, 2.0]))
    before = bytes(_memory(b))
    for _ in range(200):
        reduction.combine(a, b)
    assert bytes(_memory(b)) == before
    assert _finish(reduction, b, np.float64) == 2.0


def _memory(state):
    from parsum._native import ffi

    return ffi.buffer(state.memory)


def test_a_state_combines_with_itself():
    reduction = _reduction(np.float64, np.float64)
    state = _state(reduction, np.array([1.0, 2.0**-60, 1e200]))
    total = [1.0, 2.0**-60, 1e200]
    for _ in range(5):
        copy = _state(reduction, np.array(total))
        reduction.combine(state, copy)
        total = total + total
        assert_same_bits(_finish(reduction, state, np.float64), expected_sum(np.array(total)))


@pytest.mark.parametrize("values", [[1e308] * 3, [-1e308] * 9, [1.0] * 7, [2.0**-1074] * 5])
def test_doubling_many_times(values):
    """Combining a state with its like again and again fills every carry."""
    reduction = _reduction(np.float64, np.float64)
    values = np.array(values)
    state = _state(reduction, values)
    unit = _state(reduction, -values)
    for _ in range(5000):
        reduction.combine(state, _state(reduction, values))
    with np.errstate(over="ignore"):
        expected = expected_sum(np.tile(values, 5001))
    assert_same_bits(_finish(reduction, state, np.float64), expected)
    for _ in range(5001):
        reduction.combine(state, unit)
    assert_same_bits(_finish(reduction, state, np.float64), np.float64(0.0))


def test_finish_says_when_it_does_not_fit():
    reduction = _reduction(np.float64, np.float64)
    out = np.empty(())
    assert reduction.finish(_state(reduction, np.array([1e308, 1e308])), out) == OVERFLOW
    assert out == np.inf
    assert reduction.finish(_state(reduction, np.array([1e308, -1e308])), out) == 0
    reduction = _reduction(np.int64, np.int64)
    out = np.empty((), np.int64)
    assert reduction.finish(_state(reduction, np.array([2**63 - 1, 1])), out) == OVERFLOW
    assert out == -(2**63)


def test_there_is_no_other_operation():
    number = type_of(np.dtype(np.float64))
    assert find("no such operation", "exact", number, number) is None
    assert find("sum", "no such method", number, number) is None
