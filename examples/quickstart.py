"""The whole of parallel_sum in a few lines each: axis, out, where, workers, progress, errstate."""

import numpy as np

import parsum
from parsum import parallel_sum

a = np.random.default_rng(0).standard_normal((1000, 4000))

print("the sum:              ", parallel_sum(a))
print("along an axis:        ", parallel_sum(a, axis=0).shape, parallel_sum(a, axis=(0, 1)))

rows = np.empty(1000)
parallel_sum(a, axis=1, out=rows)
print("into an array:        ", rows[:3])

print("where positive:       ", parallel_sum(a, where=a > 0))

# Any number of workers gives the same bits.
print("1, 2 and 7 workers:   ", *(parallel_sum(a, workers=n) for n in (1, 2, 7)))
with parsum.limit_workers(1):
    print("limited to:           ", parsum.get_workers(), "worker in this block")

# progress=True draws a bar (with tqdm installed); a function is told the bytes.
seen = []
parallel_sum(a, progress=lambda done, total: seen.append(done / total))
print("progress:             ", f"{seen[-1]:.0%} at the end")

# Overflow in between does not happen. Where the result itself does not fit, np.errstate rules.
print("1e308 + 1e308 - 1e308:", parallel_sum([1e308, 1e308, -1e308]))
with np.errstate(over="raise"):
    try:
        parallel_sum(np.array([2**62, 2**62]))
    except FloatingPointError as error:
        print("an integer too large: ", error)
