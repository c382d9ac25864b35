"""The arrays that benchmarks work on: seeded, of a given dtype and number of bytes."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from parsum.bench import contestants as bench

normal = lru_cache(maxsize=2)(bench.normal)


@lru_cache(maxsize=1)
def zeros(dtype: str, nbytes: int) -> np.ndarray:
    """Zeros that are in memory: np.zeros would be one page, mapped many times."""
    return np.full(nbytes // np.dtype(dtype).itemsize, 0, dtype)


@lru_cache(maxsize=1)
def ones(dtype: str, nbytes: int) -> np.ndarray:
    return np.ones(nbytes // np.dtype(dtype).itemsize, dtype)


@lru_cache(maxsize=1)
def half_zeros(dtype: str, nbytes: int) -> np.ndarray:
    """Normal numbers, half of which are replaced by 0, in no order."""
    a = normal(dtype, nbytes).copy()
    a[np.random.default_rng(3).integers(0, 2, a.size, np.uint8).view(bool)] = 0
    return a


@lru_cache(maxsize=1)
def with_nan(dtype: str, nbytes: int) -> np.ndarray:
    """Normal numbers, 5 % of which are replaced by NaN, in no order."""
    a = normal(dtype, nbytes).copy()
    a[np.random.default_rng(5).random(a.size, np.float32) < 0.05] = np.nan
    return a


@lru_cache(maxsize=1)
def near_one(dtype: str, nbytes: int) -> np.ndarray:
    """Numbers whose product stays in range: once it is 0 or inf, multiplying is another thing."""
    a = normal(dtype, nbytes) * np.dtype(dtype).type(1e-3)
    a += 1
    return a


def two_vectors(dtype: str, nbytes: int) -> np.ndarray:
    """Two vectors of normal numbers, one after the other, of so many bytes together."""
    a = normal(dtype, nbytes)
    if np.dtype(dtype).kind in "iu":
        a = a % 1000  # so that the sum of products fits
    return a.reshape(2, -1)


@lru_cache(maxsize=1)
def two_arrays(dtype: str, nbytes: int) -> np.ndarray:
    """Two vectors as arrays of their own lie: not at a distance of 2**28 bytes to the byte.

    At that distance memory here gives whoever reads both at once half as much or less.
    """
    flat = normal(dtype, nbytes)
    n = flat.size // 2
    room: np.ndarray = np.empty(2 * n + 8200, dtype)
    pair = np.lib.stride_tricks.as_strided(
        room, (2, n), ((n + 8200) * flat.itemsize, flat.itemsize)
    )
    pair[...] = flat[: 2 * n].reshape(2, n)
    return pair


@lru_cache(maxsize=1)
def with_weights(dtype: str, nbytes: int) -> np.ndarray:
    """A vector of normal numbers, and one of positive weights."""
    a = two_vectors(dtype, nbytes).copy()
    np.abs(a[1], out=a[1])
    return a


def shaped(a: np.ndarray, shape: tuple[int, ...], order: Literal["C", "F"] = "C") -> np.ndarray:
    """As much of flat data as fills the shape, whose -1 stands for the rest, in that order."""
    known = -int(np.prod(shape))
    return a[: a.size // known * known].reshape(shape, order=order)
