"""The same sums, wrong and changing in NumPy and in naive threads, right and the same in parsum."""

import math
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from parsum import parallel_sum

THREADS = (1, 2, 3, 4, 8)


def naive_threaded_sum(a: np.ndarray, threads: int) -> float:
    """What one writes first: np.sum of a slice per thread, and the sum of those."""
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(np.sum, np.array_split(a, threads)))


def ledger() -> np.ndarray:
    """Half a million amounts of all sizes, each of them paid back, and one more: 1.0."""
    rng = np.random.default_rng(0)
    amounts = rng.standard_normal(500_000) * 10.0 ** rng.integers(-3, 17, 500_000)
    a = np.concatenate([amounts, -amounts, [1.0]])
    rng.shuffle(a)
    return a


def temperatures() -> np.ndarray:
    """Four million readings of two sensors about 20 degrees, in float32."""
    rng = np.random.default_rng(0)
    return 20 + rng.standard_normal((4_000_000, 2), np.float32)


a = ledger()
print(f"{a.size:,} payments whose sum is 1\n")
print(f"  np.sum                    {np.sum(a):>10}")
print(f"  np.sum, backwards         {np.sum(a[::-1]):>10}")
print(f"  np.sum, sorted            {np.sum(np.sort(a)):>10}")
print(f"  math.fsum (slow)          {math.fsum(a):>10}\n")
print("  threads   naive np.sum   parsum")
exact = set()
for threads in THREADS:
    naive, ours = naive_threaded_sum(a, threads), parallel_sum(a, workers=threads)
    exact |= {ours, parallel_sum(a[::-1], workers=threads)}
    print(f"  {threads:>7}   {naive:>12}   {ours:>6}")

t = temperatures()
rows, columns = t, np.asfortranarray(t)
true = [math.fsum(column) / len(t) for column in t.T]
print(f"\nMean of {len(t):,} float32 readings of two sensors\n")
for name, means in {
    "np.sum, by rows in memory": np.sum(rows, axis=0) / len(t),
    "np.sum, by columns": np.sum(columns, axis=0) / len(t),
    "parsum, by rows": parallel_sum(rows, axis=0) / len(t),
    "parsum, by columns": parallel_sum(columns, axis=0) / len(t),
    "the true means": true,
}.items():
    print(f"  {name:<26}", *(f"{mean:.6f}" for mean in means))

if exact != {1.0}:
    sys.exit(f"parsum must always give 1.0, got {exact}")
