"""A reduction whose four functions numba compiles: the longest run of rain, hour by hour."""

import sys

import numpy as np

from parsum import Reduction, parallel_reduce

try:
    from numba import carray, cfunc, types
except ImportError:
    print("This example needs numba: pip install numba")
    sys.exit()

pointer = types.CPointer(types.float64)
# The state is five doubles: how many elements, the run at the beginning, the run at the end, the
# longest one, and what counts as rain.
N, FIRST, LAST, LONGEST, LEAST = range(5)


@cfunc(types.void(pointer, types.float64))
def identity(state, parameter):
    s = carray(state, 5)
    s[:] = 0.0
    s[LEAST] = parameter


@cfunc(types.void(pointer, pointer, types.uintp, types.intp))
def accumulate(state, data, n, stride):
    s = carray(state, 5)
    a = carray(data, (n - 1) * (stride // 8) + 1 if n else 0)
    for i in range(n):
        s[LAST] = s[LAST] + 1 if a[i * (stride // 8)] >= s[LEAST] else 0.0
        if s[LAST] == s[N] + 1:
            s[FIRST] = s[LAST]
        s[LONGEST] = max(s[LONGEST], s[LAST])
        s[N] += 1


@cfunc(types.void(pointer, pointer))
def combine(state, later):
    s, o = carray(state, 5), carray(later, 5)
    s[LONGEST] = max(s[LONGEST], o[LONGEST], s[LAST] + o[FIRST])
    s[FIRST] += o[FIRST] if s[FIRST] == s[N] else 0.0
    s[LAST] = s[LAST] + o[LAST] if o[LAST] == o[N] else o[LAST]
    s[N] += o[N]


@cfunc(types.intc(pointer, types.intc, pointer))
def finish(state, kind, result):
    carray(result, 1)[0] = carray(state, 5)[LONGEST]
    return 0


longest_run = Reduction.from_pointers(
    identity=identity, accumulate=accumulate, combine=combine, finish=finish,
    state_size=40, commutative=False, name="longest_run",
)  # fmt: skip

rain = np.random.default_rng(0).gamma(0.3, 1.0, (10, 365 * 24))
print("hours of rain on end, in ten years:", parallel_reduce(rain, longest_run, parameter=0.1))
print("in each year:", parallel_reduce(rain, longest_run, axis=1, parameter=0.1).astype(int))
backwards = parallel_reduce(rain[::-1, ::-1], longest_run, parameter=0.1)
print("and backwards:", backwards)
