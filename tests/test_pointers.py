"""Reductions of compiled functions: of ctypes, of cffi, by address, and what is none of these."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import shlex
import subprocess
import weakref

import kernels
import numpy as np
import pytest
from cffi import FFI
from kernels import sum_by_tree
from layouts import LAYOUTS_OF_ONE_ORDER, lay_out
from schedules import scheduled

from parsum import Accumulator, Reduction, parallel_reduce

# What a user's own library could hold: the sum of |x - parameter|, and how often it was called.
_LIBRARY = """
#include <math.h>
#include <stdint.h>
#include <stddef.h>

typedef struct { double sum, about; } state;

void start(void *s, double about)
{
    *(state *)s = (state){0, about};
}

void take(void *s, const void *data, size_t n, ptrdiff_t stride)
{
    const char *p = data;
    state *to = s;
    for (size_t i = 0; i < n; i++)
        to->sum += fabs(*(const double *)(const void *)(p + (ptrdiff_t)i * stride) - to->about);
}

void join(void *s, const void *o)
{
    ((state *)s)->sum += ((const state *)o)->sum;
}

int give(const void *s, int type, void *result)
{
    (void)type;
    *(double *)result = ((const state *)s)->sum;
    return ((const state *)s)->sum > 1e30 ? 1 : 0;
}

int unaligned(const void *s, int type, void *result)
{
    (void)type;
    *(double *)result = (uintptr_t)s % 16;
    return 0;
}

void check(void *s, const void *data, size_t n, ptrdiff_t stride)
{
    (void)n;
    if ((uintptr_t)s % 16 || (uintptr_t)data % 8 || stride % 8)
        ((state *)s)->sum++;
}
"""
_NAMES = {"identity": "start", "accumulate": "take", "combine": "join", "finish": "give"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "deviations.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run(
        [*compiler, "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", path, "-lm"],
        input=_LIBRARY.encode(),
        check=True,
    )
    return str(path)


def _by_ctypes(path):
    library = ctypes.CDLL(path)
    return {key: library[name] for key, name in _NAMES.items()}


def _by_ctypes_prototypes(path):
    """Function pointers of a type of their own, as CFUNCTYPE makes them."""
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    return {key: ctypes.cast(function, kind) for key, function in _by_ctypes(path).items()}


def _by_cffi(path):
    ffi = FFI()
    ffi.cdef("""
        void start(void *, double);
        void take(void *, const void *, size_t, ptrdiff_t);
        void join(void *, const void *);
        int give(const void *, int, void *);
    """)
    library = ffi.dlopen(path)
    # The functions are of the library, which closes with the object that cffi gives for it.
    _OPEN.append(library)
    return {key: ffi.addressof(library, name) for key, name in _NAMES.items()}


_OPEN: list[object] = []


def _by_address(path):
    return {
        key: ctypes.cast(function, ctypes.c_void_p).value
        for key, function in _by_ctypes(path).items()
    }


def _by_numpy_address(path):
    return {key: np.uint64(place) for key, place in _by_address(path).items()}


def _by_numba(_):
    """The same functions, compiled here."""
    from numba import carray, cfunc, types

    pointer = types.CPointer(types.float64)

    @cfunc(types.void(pointer, types.float64))
    def start(state, about):
        s = carray(state, 2)
        s[0] = 0.0
        s[1] = about

    @cfunc(types.void(pointer, pointer, types.uintp, types.intp))
    def take(state, data, n, stride):
        s = carray(state, 2)
        step = stride // 8
        if step > 0:
            a = carray(data, (n - 1) * step + 1 if n else 0)
            for i in range(n):
                s[0] += abs(a[i * step] - s[1])

    @cfunc(types.void(pointer, pointer))
    def join(state, later):
        carray(state, 2)[0] += carray(later, 2)[0]

    @cfunc(types.intc(pointer, types.intc, pointer))
    def give(state, kind, result):
        carray(result, 1)[0] = carray(state, 2)[0]
        return 1 if carray(state, 2)[0] > 1e30 else 0

    return {"identity": start, "accumulate": take, "combine": join, "finish": give}


WAYS = [_by_ctypes, _by_ctypes_prototypes, _by_cffi, _by_address, _by_numpy_address, _by_numba]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_bits_of_the_text(path, way):
    reduction = Reduction.from_pointers(**way(path), state_size=16)
    gc.collect()
    text = kernels.sum_of_deviations(lanes=1)
    for n in (*range(10), 1023, 1024, 1025, 30_000):
        a = np.random.default_rng(n).standard_normal(n) * np.exp(np.arange(n) % 20)
        expected = sum_by_tree(np.abs(a - 0.3), 1)
        assert parallel_reduce(a, reduction, parameter=0.3) == expected, n
        assert parallel_reduce(a, text, parameter=0.3) == expected, n


def test_layouts_dtypes_axes_and_workers(path):
    reduction = Reduction.from_pointers(**_by_ctypes(path), state_size=16, name="deviations")
    a = np.random.default_rng(0).integers(-9, 9, (7, 40, 5)).astype(float)
    whole = np.abs(a - 0.5)
    for layout in LAYOUTS_OF_ONE_ORDER:
        laid = lay_out(a, layout)
        for axis in (None, 0, 1, -1, (0, 2)):
            actual = parallel_reduce(laid, reduction, axis, keepdims=True, parameter=0.5)
            assert np.array_equal(actual, whole.sum(axis, keepdims=True)), (layout, axis)
    for dtype in ("int8", "float32", ">i4", "bool"):
        small = (a > 0).astype(dtype)
        assert parallel_reduce(small, reduction, parameter=0.5) == a.size / 2
    b = np.random.default_rng(1).standard_normal(50_000) * np.exp(np.arange(50_000) % 20)
    for workers in range(1, 10):
        with scheduled(workers, 4096, workers) as turns:
            assert parallel_reduce(b, reduction) == sum_by_tree(np.abs(b), 1)
        assert turns[0] >= workers
    keep = b > 0
    c = b[:900]
    assert parallel_reduce(c, reduction, where=keep[:900]) == sum_by_tree(c[keep[:900]], 1)


def test_threads(path):
    reduction = Reduction.from_pointers(**_by_ctypes(path), state_size=16)
    a = np.random.default_rng(2).standard_normal(2_500_000)
    expected = parallel_reduce(a, reduction, workers=1)
    for workers in (2, 3, 9):
        assert parallel_reduce(a, reduction, workers=workers) == expected


def test_states_and_elements_are_aligned(path):
    """A state of 9 bytes stands at a multiple of 16 all the same; so do columns of states."""
    library = ctypes.CDLL(path)
    functions = {**_by_ctypes(path), "accumulate": library.check}
    for size in (16, 17, 40):
        reduction = Reduction.from_pointers(**functions, state_size=size)
        for shape, axis in [((5000,), None), ((40, 50), 0), ((40, 50), 1), ((3, 2000), 1)]:
            for layout in ("contiguous", "unaligned", "packed field"):
                a = lay_out(np.ones(shape), layout)
                assert np.all(parallel_reduce(a, reduction, axis) == 0), (size, shape, layout)
    reduction = Reduction.from_pointers(
        **{**_by_ctypes(path), "finish": library.unaligned}, state_size=17
    )
    assert np.all(parallel_reduce(np.ones((40, 50)), reduction, axis=0) == 0)


def test_flags(path):
    reduction = Reduction.from_pointers(**_by_ctypes(path), state_size=16, name="deviations")
    with np.errstate(over="raise"):
        assert parallel_reduce([1e30], reduction) == 1e30
        with pytest.raises(FloatingPointError, match=r"^overflow encountered in deviations$"):
            parallel_reduce([1e30, 1e30], reduction)


def test_beside_others_and_in_an_accumulator(path):
    reduction = Reduction.from_pointers(**_by_ctypes(path), state_size=16)
    a = np.random.default_rng(3).standard_normal(9000)
    total, most = parallel_reduce(a, (reduction, "max"))
    assert (total, most) == (sum_by_tree(np.abs(a), 1), a.max())
    accumulator = Accumulator(reduction)
    for chunk in np.split(a, 9):
        accumulator.update(chunk)
    assert accumulator.result() == total


def test_functions_are_kept(path):
    functions = _by_numba(path)
    kept = weakref.ref(functions["accumulate"])
    reduction = Reduction.from_pointers(**functions, state_size=16)
    del functions
    gc.collect()
    assert kept() is not None
    assert parallel_reduce([3.0], reduction) == 3
    gc.collect()
    assert kept() is not None
    del reduction
    gc.collect()
    assert kept() is None


def test_pickling_is_refused(path):
    reduction = Reduction.from_pointers(**_by_ctypes(path), state_size=16, name="mine")
    with pytest.raises(TypeError) as error:
        pickle.dumps(reduction)
    assert str(error.value) == (
        "Reduction('mine') cannot be pickled: addresses mean nothing in another process"
    )
    assert reduction == reduction
    assert reduction != Reduction.from_pointers(**_by_ctypes(path), state_size=16, name="mine")


_GOOD = {"identity": 8, "accumulate": 8, "combine": 8, "finish": 8, "state_size": 8}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"identity": "here"}, TypeError,
         "identity must be an address, a numba.cfunc, or a ctypes or cffi function pointer, got "
         "'here'"),
        ({"accumulate": None}, TypeError,
         "accumulate must be an address, a numba.cfunc, or a ctypes or cffi function pointer, got "
         "None"),
        ({"combine": True}, TypeError,
         "combine must be an address, a numba.cfunc, or a ctypes or cffi function pointer, got "
         "True"),
        ({"finish": 1.5}, TypeError,
         "finish must be an address, a numba.cfunc, or a ctypes or cffi function pointer, got "
         "1.5"),
        ({"finish": len}, TypeError,
         "finish must be an address, a numba.cfunc, or a ctypes or cffi function pointer, got "
         "<built-in function len>"),
        ({"identity": 0}, ValueError, "identity must be the address of a function, got 0"),
        ({"identity": -5}, ValueError, "identity must be the address of a function, got -5"),
        ({"identity": 1 << 64}, ValueError,
         "identity must be the address of a function, got 18446744073709551616"),
        ({"combine": FFI().NULL}, ValueError,
         "combine must be the address of a function, got 0"),
        ({"combine": ctypes.CFUNCTYPE(None)()}, ValueError,
         "combine must be the address of a function, got None"),
        ({"state_size": 1.0}, TypeError, "state_size must be an integer, got 1.0"),
        ({"state_size": True}, TypeError, "state_size must be an integer, got True"),
        ({"state_size": None}, TypeError, "state_size must be an integer, got None"),
        ({"state_size": 0}, ValueError, "state_size must be from 1 to 1048576, got 0"),
        ({"state_size": -16}, ValueError, "state_size must be from 1 to 1048576, got -16"),
        ({"state_size": (1 << 20) + 1}, ValueError,
         "state_size must be from 1 to 1048576, got 1048577"),
        ({"dtype": "M8[s]"}, TypeError,
         "dtypes must be of bool, integers, floats or complex numbers, got datetime64[s]"),
        ({"result": "O"}, TypeError,
         "result must be of bool, integers, floats or complex numbers of this machine's byte "
         "order, got object"),
    ],
)  # fmt: skip
def test_arguments(changed, error, message):
    with pytest.raises(error) as caught:
        Reduction.from_pointers(**{**_GOOD, **changed})
    assert str(caught.value) == message
