"""Accumulators that take in arrays of Dask's, each block where it is."""

from __future__ import annotations

import sys
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np

from parsum.accumulator import Accumulator
from parsum.api.arguments import Options, check_axes
from parsum.api.call import native
from parsum.api.lazy import (
    check_running,
    dask_array,
    in_order,
    included_blocks,
    is_unknown,
    like_blocks,
    tree_of,
)
from parsum.under_dask import is_lazy


def update_by_blocks(
    accumulator: Accumulator, chunk: tuple[Any, ...], where: Any, options: Options
) -> None:
    """Do what ``Accumulator.update`` does; whoever calls this holds the lock.

    Tasks accumulate blocks, and merge what they have. Where the order of combination shows, blocks
    come here one after the other, as a merge is no part of the tree of one call.
    """
    da = dask_array()
    workers = check_running(None, options)
    a = da.asanyarray(next((array for array in chunk if is_lazy(array)), chunk[0]))
    if is_lazy(where) and not any(map(is_lazy, chunk)) and a.ndim == where.ndim:
        a = a.rechunk(where.chunks)
    given = [like_blocks(da.asanyarray(array), a, "a chunk") for array in chunk]
    dtypes = tuple(native(array.dtype) for array in given)
    axes = check_axes(accumulator._axis, a.ndim)
    kept = tuple(k for k in range(a.ndim) if k not in axes)
    if is_unknown(a, kept):
        raise ValueError(
            f"chunks must have known chunk sizes along axes that are kept, got shape {a.shape}: "
            "a.compute_chunk_sizes() finds them"
        )
    shape = tuple(a.shape[k] for k in kept)
    empty = accumulator._empty(shape, dtypes)
    included = included_blocks(where, a)
    given += [] if included is None else [included]
    kinds = [store.kind for store in empty._now.stores]
    whole = any(kind.in_order for kind in kinds)
    if whole or any(kind.numbered for kind in kinds):
        # Blocks that follow each other along the first axis, as chunks do.
        joined = dict.fromkeys((*axes[1:], *(kept if whole else ())), -1)
        given = [array.rechunk(joined) for array in given]
    compute = sys.modules["dask"].compute
    if whole:
        new = accumulator.copy()
        for number in range(given[0].numblocks[axes[0]] if axes else 1):
            block = tuple(number if axes and k == axes[0] else 0 for k in range(a.ndim))
            _fill(new, included is not None, workers, compute(*(k.blocks[block] for k in given)))
        accumulator._become(new)
        return
    take = partial(_filled, accumulator._empty(None, dtypes), included is not None, workers)
    parts = tree_of("accumulator", take, given, axes, _merged)
    filled = compute(*np.asarray(parts.to_delayed(), object).ravel().tolist())
    ends = [np.cumsum([0, *given[0].chunks[k]]).tolist() for k in kept]
    places = product(*([slice(*pair) for pair in pairwise(end)] for end in ends))
    for place, part in zip(places, filled, strict=True):
        empty._put(place, part)
    accumulator.merge(empty)


def _fill(accumulator: Accumulator, filtered: bool, workers: int, blocks: tuple[Any, ...]) -> None:
    arrays, where = (blocks[:-1], blocks[-1]) if filtered else (blocks, True)
    accumulator.update(*arrays, where=where, workers=workers)


def _filled(empty: Accumulator, filtered: bool, workers: int, *blocks: Any) -> Accumulator:
    """Return what is accumulated of one block."""
    accumulator = empty.copy()
    _fill(accumulator, filtered, workers, blocks)
    return accumulator


def _merged(blocks: Any, axis: Any = None, keepdims: Any = None) -> Any:
    """Return what all these have, in their order."""
    first, *others = in_order(blocks)
    if others and isinstance(first, Accumulator):  # Dask tries it with empty arrays
        first = first.copy()
        for other in others:
            first.merge(other)
    return first
