"""A reduction of one's own in C text: log(sum(exp(x))) that cannot overflow, and a histogram."""

import time

import numpy as np

from parsum import CompileError, Reduction, parallel_reduce

# The state is the greatest element so far, and the sum of exp(x - greatest).
log_sum_exp = Reduction.from_c(
    name="log_sum_exp",
    state={"top": "double", "sum": "double"},
    identity="s->top = -INFINITY;",
    accumulate="""
        if (x > s->top) {
            s->sum = s->sum * exp(s->top - x) + 1;
            s->top = x;
        } else if (x != -INFINITY)
            s->sum += exp(x - s->top);
    """,
    combine="""
        if (o->top > s->top) {
            s->sum = s->sum * exp(s->top - o->top) + o->sum;
            s->top = o->top;
        } else if (o->top != -INFINITY)
            s->sum += o->sum * exp(o->top - s->top);
    """,
    finish="*r = s->top + log(s->sum);",
)
histogram = Reduction.from_c(
    name="histogram",
    state={"bins": "int64_t[256]"},
    accumulate="s->bins[x]++;",
    combine="for (int k = 0; k < 256; k++) s->bins[k] += o->bins[k];",
    finish="memcpy(r, s->bins, sizeof s->bins);",
    dtypes="uint8",
    result=("int64", 256),
    ordered=False,  # counts are exact: any order of combination gives the same bits
)

rng = np.random.default_rng(0)
x = 1000 * rng.standard_normal(2_000_000)
try:
    start = time.perf_counter()
    print("log of the sum of exp:", parallel_reduce(x, log_sum_exp))
    print(f"the first call takes   {time.perf_counter() - start:.3f} s, compiling if need be")
except CompileError as error:
    raise SystemExit(f"{error}") from None
with np.errstate(over="ignore"):
    print("NumPy, without care:  ", np.log(np.sum(np.exp(x))))
print("1, 2 and 7 workers:   ", *(parallel_reduce(x, log_sum_exp, workers=n) for n in (1, 2, 7)))
print("along an axis:        ", parallel_reduce(x.reshape(4, -1), log_sum_exp, axis=1))

image = rng.normal(100, 15, (1000, 2000)).clip(0, 255).astype(np.uint8)
counts = parallel_reduce(image, histogram)
print("the commonest bytes:  ", *np.argsort(counts)[-3:])
