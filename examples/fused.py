"""A sum over an expression: no temporary arrays, one pass over memory, and exact."""

import math
import time
from collections.abc import Callable

import numpy as np

from parsum import CompileError, parallel_reduce

N = 2_000_000
rng = np.random.default_rng(0)
x, y = 1e8 + rng.standard_normal(N), 1e8 + rng.standard_normal(N)


def timed(name: str, call: Callable[[], float]) -> float:
    call()  # compiles, if nobody has
    seconds = math.inf
    for _ in range(5):
        start = time.perf_counter()
        result = call()
        seconds = min(seconds, time.perf_counter() - start)
    print(f"{name:<8}{result!r:<32}{1000 * seconds:8.2f} ms")
    return seconds


print("The sum of abs(x - y)**2:")
slow = timed("NumPy", lambda: np.sum(np.abs(x - y) ** 2))
try:
    fast = timed("parsum", lambda: parallel_reduce("abs(x - y)**2", "sum", x=x, y=y))
except CompileError as error:
    raise SystemExit(f"{error}") from None
print(f"exactly {math.fsum(np.abs(x - y) ** 2)!r}")
print(f"parsum takes {fast / slow:.2f} of NumPy's time\n")

# Any reduction takes an expression, and arrays broadcast.
print("largest difference:  ", parallel_reduce("abs(x - y)", "max", x=x, y=y))
print("how many are above 3:", parallel_reduce("abs(x - y) > 3", "count_nonzero", x=x, y=y))
table, weights = rng.random((1000, 3)), np.array([0.2, 0.3, 0.5])
rows = parallel_reduce("where(t > 0.5, t * w, 0)", "sum", axis=1, t=table, w=weights)
print("weighted sums of rows:", *rows[:3])
try:
    parallel_reduce("x.tofile('/tmp/x')", "sum", x=x)
except ValueError as error:
    print("refused:", error)
