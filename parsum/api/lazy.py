"""Reductions of Dask's arrays: states of blocks, which a tree of tasks merges to lazy results."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from parsum.api.arguments import (
    NO_VALUE,
    Array,
    DType,
    Options,
    as_array,
    check_axes,
    check_dtype,
    check_keepdims,
    check_where,
    kept_shapes,
    without,
)
from parsum.api.call import (
    Operation,
    discard_imaginary,
    multiply_by,
    native,
    no_row,
    part_of,
    reduce,
    row_for,
    start_of,
    start_state,
    tell,
    zero_size,
)
from parsum.api.parts import as_number, as_results, custom_operation
from parsum.api.states import Chunk, Kind, States, count_of, layout
from parsum.api.streaming import numbers_along
from parsum.custom import Reduction
from parsum.reduction import BYTE, EMPTY, TYPES, Row, find, type_of
from parsum.under_dask import is_lazy

_DAMAGED = "a pickled state of a block must be what was pickled, got one that {}"


def dask_array() -> ModuleType:
    """Return Dask's module of arrays; whoever calls this has one already."""
    return sys.modules["dask.array"]


# ---- what all blocks have in common ----

Look = Callable[[Array, int, bool, Array], tuple[int, Array]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What makes states of blocks, and results of states, in any process.

    Attributes
    ----------
    operation : Operation
        What messages and warnings are of.
    method : str
        As for the functions.
    row : str or Reduction
        The name of the row in the table; or the reduction of one's own that has one.
    kernel, to : dtype
        Those of the row's elements and results.
    result : dtype
        That of what is returned: complex where `to` may be that of real parts.
    axes : tuple of ints
        Those to reduce.
    workers : int
        Threads that a task uses.
    dtypes : tuple of dtypes
        Those of the elements.
    extra : tuple of ints
        The shape of each result.
    start : ndarray or None
        The number that results start from.
    numbers : tuple of ints or None
        What a step along each axis adds to the number of an element.
    look : callable or None
        What looks at results, flags, whether there are masks, and which results are of nothing:
        gives the flags that are to be told of and the results to be masked.
    """

    operation: Operation
    method: str
    row: str | Reduction
    kernel: DType
    to: DType
    result: DType
    axes: tuple[int, ...]
    workers: int
    dtypes: tuple[DType, ...]
    parameter: float = 0.0
    skip_nan: bool = False
    extra: tuple[int, ...] = ()
    start: Array | None = None
    numbers: tuple[int, ...] | None = None
    in_order: bool = False
    look: Look | None = None

    def __dask_tokenize__(self) -> Any:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values["operation"] = repr(self.operation)
        return sorted(values.items(), key=lambda item: item[0])

    @property
    def own(self) -> bool:
        """Whether it is a reduction of one's own, whose results are bytes to the kernels."""
        return isinstance(self.row, Reduction)

    def found(self) -> Row:
        """Return the row, which each process has at an address of its own."""
        if isinstance(self.row, Reduction):
            return self.row.row(self.kernel)
        row = find(self.row, self.method, type_of(self.kernel), type_of(self.to))
        assert row is not None
        return row

    def kind(self, shape: tuple[int, ...]) -> Kind:
        """Return what the states of so many results have in common."""
        return Kind(
            self.found(), self.parameter, shape, self.dtypes, self.numbers is not None,
            self.skip_nan, self.in_order,
        )  # fmt: skip

    def options(self) -> Options:
        """Return how a task runs."""
        return Options(self.workers, self.method, None, None)


class Partial:
    """The states of a block, or of several, and what else results are made of. It never changes.

    Attributes
    ----------
    length : int
        Elements along the reduced axes, those that were left out among them.
    taken : ndarray or None
        How many each result is of, where some were left out.
    masked : bool
        Whether a block was a masked array.
    """

    __slots__ = ("flags", "length", "masked", "recipe", "states", "taken")

    def __init__(
        self,
        recipe: Recipe,
        states: States,
        length: int,
        flags: int,
        taken: Array | None,
        masked: bool,
    ) -> None:
        self.recipe = recipe
        self.states = states
        self.length = length
        self.flags = flags
        self.taken = taken
        self.masked = masked

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the results, without reduced axes."""
        return self.states.kind.shape

    def counts(self) -> Array:
        """Return how many elements each result is of."""
        return np.full(self.shape, self.length, np.int64) if self.taken is None else self.taken

    def __reduce__(self) -> Any:
        data = self.states.dump()[0]
        about = (self.shape, self.length, self.flags, self.taken, self.masked)
        head = (layout(), self.states.kind.row.state_size)
        return _restored, (self.recipe, head, about, data, digest_of(data, about))

    def __sizeof__(self) -> int:
        # Dask decides by it what to keep and what to move.
        return self.states.states.rows.nbytes + object.__sizeof__(self)


def digest_of(data: bytes, about: tuple[Any, ...]) -> bytes:
    """Return what tells whether a pickled state is what it was."""
    shape, length, flags, taken, masked = about
    text = repr((shape, length, flags, None if taken is None else taken.tobytes(), masked))
    return hashlib.sha256(data + text.encode()).digest()


def _restored(
    recipe: Recipe, head: tuple[Any, int], about: tuple[Any, ...], data: bytes, digest: bytes
) -> Partial:
    """Make a partial result of what a pickle has of it."""
    if digest_of(data, about) != digest:
        raise ValueError(_DAMAGED.format("is damaged"))
    shape, length, flags, taken, masked = about
    kind = recipe.kind(shape)
    if head != (layout(), kind.row.state_size):
        raise ValueError(_DAMAGED.format("is of another version or kind of machine"))
    states = States.loaded(kind, [data])
    if states is None:
        raise ValueError(_DAMAGED.format("holds no states"))
    return Partial(recipe, states, length, flags, taken, masked)


# ---- tasks ----


def take_block(recipe: Recipe, filtered: bool, numbered: bool, *blocks: Any) -> Partial:
    """Return the states of a block: of one array or two, what to include, and its first number."""
    rest = list(blocks)
    first = int(np.asarray(rest.pop()).reshape(-1)[0]) if numbered else 0
    included: Any = rest.pop() if filtered else None
    arrays, masked = [], False
    for block, dtype in zip(rest, recipe.dtypes, strict=True):
        array, mask = as_array(block)
        # The dtype that an array has by Dask is not always that of its blocks.
        arrays.append(array if native(array.dtype) == native(dtype) else array.astype(dtype))
        masked |= isinstance(block, np.ma.MaskedArray)
        included = without(mask, included)
    shape, axes = arrays[0].shape, recipe.axes
    kept = kept_shapes(shape, axes)[0]
    length = count_of(tuple(shape[k] for k in axes))
    states = States(recipe.kind(kept))
    flags, taken = 0, None
    if included is not None:
        included = check_where(np.asarray(included), arrays[0])
        taken = np.asarray(np.count_nonzero(included, axis=axes), np.int64).reshape(kept)
    if length and count_of(kept):
        chunk = Chunk(tuple(arrays), axes, included)
        flags = states.take(chunk, first, recipe.options(), recipe.numbers)
    return Partial(recipe, states, length, flags, taken, masked)


def _same(block: Any, axis: Any = None, keepdims: Any = None) -> Any:
    return block


def merge_blocks(blocks: Any, axis: Any = None, keepdims: Any = None) -> Any:
    """Return one partial result of several, which Dask gives in nested lists, in their order."""
    parts = in_order(blocks)
    first = parts[0]
    if len(parts) == 1 or not isinstance(first, Partial):  # Dask tries it with empty arrays
        return first
    states, flags, taken = first.states.copy(), first.flags, None
    for part in parts[1:]:
        flags |= part.flags | states.states.combine(part.states.states)
    if any(part.taken is not None for part in parts):
        taken = sum(part.counts() for part in parts)
    length = sum(part.length for part in parts)
    masked = any(part.masked for part in parts)
    return Partial(first.recipe, states, length, flags, taken, masked)


def in_order(blocks: Any) -> list[Any]:
    """Return what Dask gives in nested lists, one for each axis that is not in the result."""
    if not isinstance(blocks, list):
        return [blocks]
    return [one for block in blocks for one in in_order(block)]


def only_block(blocks: Any) -> Any:
    """Return the one that there is in nested lists."""
    (block,) = in_order(blocks)
    return block


def finish_block(keepdims: bool, *blocks: Any) -> Any:
    """Return the results of states, and of more numbers if need be; warnings are given here."""
    part, *presets = map(only_block, blocks)
    recipe = part.recipe
    result, flags = _results(part, presets)
    nothing = part.counts() == 0
    needed = not recipe.operation.identity and recipe.start is None and not part.masked
    if needed and nothing.any():
        raise zero_size(recipe.operation)
    masked = part.masked and (len(recipe.dtypes) == 1 or recipe.look is not None)
    if recipe.look is not None:
        flags, nothing = recipe.look(result, flags, masked, nothing)
    if flags:
        tell(recipe.operation, flags, recipe.result, masked)
    if presets:
        result = result[..., 0]
    kept = part.shape
    more = result.shape[len(kept) :]
    if masked:
        result = np.ma.array(
            result, mask=np.broadcast_to(nothing.reshape(kept + (1,) * len(more)), result.shape)
        )
    if keepdims:
        places = iter(kept)
        ndim = len(kept) + len(recipe.axes)
        kept = tuple(1 if k in recipe.axes else next(places) for k in range(ndim))
    return result.reshape(kept + more)[()]


def _results(part: Partial, presets: list[Array]) -> tuple[Array, int]:
    """Return the results, and flags, without what is said of them."""
    recipe, states, flags = part.recipe, part.states, part.flags
    row, kept = states.kind.row, part.shape
    if recipe.own:
        records: Array = np.empty((*kept, recipe.to.itemsize), np.uint8)
        if records.size:
            flags |= states.values(BYTE, records)
        return as_results(records, recipe.to), flags
    numbers: Array = np.empty(kept + recipe.extra, recipe.to)
    as_real = recipe.result.kind == "c" and recipe.to.kind != "c"
    start = recipe.start if recipe.start is None or not as_real else recipe.start.real
    for k, preset in enumerate(presets):
        numbers[..., k] = np.asarray(preset).reshape(kept)
    last = None
    if numbers.size:
        if start is not None:
            kernel = type_of(recipe.kernel)
            state = start_state(recipe.operation, row, recipe.method, kernel, start)
            if state is None:
                last = start
            else:
                states = states.copy()
                states.states.combine_each(state)
        flags |= states.values(type_of(recipe.to), numbers)
        if last is not None:
            multiply_by(numbers, last)
    if not as_real:
        return numbers.astype(recipe.result, copy=False), flags
    result: Array = np.empty(numbers.shape, recipe.result)
    result.real = numbers
    result.imag = 0 if recipe.start is None else recipe.start.imag
    if flags & EMPTY:
        result.imag[np.isnan(numbers)] = np.nan
    return result, flags


def _reduce_whole(recipe: Recipe, filtered: bool, keepdims: bool, *blocks: Any) -> Any:
    """Return the results of a block that has all of their elements."""
    block, *rest = map(only_block, blocks)
    if native(block.dtype) != native(recipe.dtypes[0]):
        block = block.astype(recipe.dtypes[0])
    where: Any = rest.pop(0) if filtered else True
    initial = NO_VALUE if recipe.start is None else recipe.start[()]
    return reduce(
        recipe.operation, block, recipe.axes, lambda _: recipe.result, None, keepdims, initial,
        where, recipe.options(), skip_nan=recipe.skip_nan, parameter=recipe.parameter,
        values=count_of(recipe.extra), presets=tuple(rest) or None,
    )  # fmt: skip


# ---- graphs ----


def reduce_lazy(
    operation: Operation,
    a: Any,
    axis: Any,
    result_dtype: Callable[[DType], DType],
    out: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
    options: Options,
    *,
    skip_nan: bool = False,
    parameter: float = 0.0,
    values: int = 1,
    presets: tuple[Any, ...] | None = None,
) -> Any:
    """Do what ``call.reduce`` does, of an array of Dask's: return a lazy array."""
    da = dask_array()
    a = da.asanyarray(a)
    check_dtype(a.dtype, "a", operation.kinds)
    workers = check_running(out, options)
    dtype = result_dtype(a.dtype)
    axes = check_axes(axis, a.ndim)
    keepdims = check_keepdims(keepdims)
    included = included_blocks(where, a)
    start = start_of(operation, initial, included is not None, a.shape, axes, dtype)
    if a.dtype.kind == "c" and dtype.kind not in "cb" and operation.converts:
        discard_imaginary()
        a = a.real
    real = operation.by_parts and dtype.kind == "c" and a.dtype.kind != "c"
    to = native(part_of(dtype) if real else dtype)
    row, kernel = row_for(operation, options.method, a.dtype, to)
    if row is None:
        raise no_row(operation, a.dtype, dtype)
    if presets is not None:
        values = len(presets)
    recipe = Recipe(
        operation, options.method, operation.row, element_dtype(kernel, a.dtype), to, dtype, axes,
        workers, (native(a.dtype),), parameter, skip_nan, (values,) if values > 1 else (), start,
        in_order=row.ordered,
    )  # fmt: skip
    given = None if presets is None else _preset_blocks(presets, a, axes)
    if all(a.numblocks[k] == 1 for k in axes):
        return _of_whole_blocks(recipe, a, included, keepdims, given or [])
    if operation.numbered:
        recipe = numbered_recipe(recipe, a, axes)
    parts = merged(recipe, (a,), included)
    return finished(recipe, parts, a, keepdims, given or [])


def reduce_lazy_pair(
    operation: Operation,
    a: Any,
    b: Any,
    axes: tuple[int, ...],
    kernel: DType,
    dtype: DType,
    mask: Array | None,
    out: Any,
    keepdims: bool,
    options: Options,
    look: Look | None = None,
) -> Any:
    """Return the lazy results of two arrays of one shape, one of Dask's at least.

    With ``look``, results have two values along a last axis.
    """
    da = dask_array()
    workers = check_running(out, options)
    if is_lazy(a):
        b = like_blocks(da.asanyarray(b), a, "b")
    else:
        a = like_blocks(da.asanyarray(a), b, "a")
    included = None if mask is None else like_blocks(da.asarray(~mask), a, "mask")
    row = find(operation.row, options.method, type_of(kernel), type_of(dtype))
    if row is None:
        raise TypeError(
            f"a and b must have a common dtype that {operation.name} takes, got {a.dtype} and "
            f"{b.dtype}"
        )
    recipe = Recipe(
        operation, options.method, operation.row, native(kernel), dtype, dtype, axes, workers,
        (native(a.dtype), native(b.dtype)), extra=(2,) if look is not None else (),
        in_order=row.ordered, look=look,
    )  # fmt: skip
    return finished(recipe, merged(recipe, (a, b), included), a, keepdims, [])


def reduce_lazy_custom(
    a: Any,
    reduction: Reduction,
    axis: Any,
    out: Any,
    keepdims: Any,
    where: Any,
    options: Options,
    parameter: float,
) -> Any:
    """Do what ``toolkit.reduce_custom`` does, of an array of Dask's: return a lazy array."""
    a = dask_array().asanyarray(a)
    if reduction.python is not None:
        raise TypeError(
            f"reduction must not be of functions in Python for a Dask array, got {reduction!r}"
        )
    workers = check_running(out, options)
    kernel = reduction.kernel_dtype(a.dtype)
    to = reduction.result_dtype(kernel)
    axes = check_axes(axis, a.ndim)
    keepdims = check_keepdims(keepdims)
    cut = [k for k in axes if a.numblocks[k] > 1]
    if not reduction.commutative and cut and len(axes) > 1:
        raise ValueError(
            f"axis must be one axis for {reduction!r}, which is not commutative, where blocks "
            f"are cut along it, got {axis!r} of an array of {a.ndim} dimensions"
        )
    recipe = Recipe(
        custom_operation(reduction), options.method, reduction, kernel, to, to.base, axes, workers,
        (native(a.dtype),), as_number(parameter), extra=to.shape,
        in_order=not reduction.commutative or reduction.row(kernel).ordered,
    )  # fmt: skip
    return finished(recipe, merged(recipe, (a,), included_blocks(where, a)), a, keepdims, [])


def element_dtype(number: int, given: DType) -> DType:
    """Return the dtype of the kernels' elements of that type, the given one where it is that."""
    if type_of(given) == number:
        return native(given)
    return next(dtype for dtype, type_ in TYPES.items() if type_ == number)


def check_running(out: Any, options: Options) -> int:
    """Refuse what makes no sense for tasks elsewhere; return how many threads a task uses."""
    for name, value in (("out", out), ("executor", options.executor)):
        if value is not None:
            raise TypeError(f"{name} must be left out for a Dask array, got {value!r}")
    if options.progress:
        raise TypeError(
            "progress must be left out for a Dask array, whose own progress bar tells of tasks, "
            f"got {options.progress!r}"
        )
    return 1 if options.workers is None else options.workers


def included_blocks(where: Any, a: Any) -> Any:
    """Return the elements to include in blocks of the array's; None for all."""
    if where is True or where is NO_VALUE:
        return None
    da = dask_array()
    if not is_lazy(where):
        where = np.asarray(where, None if isinstance(where, (np.ndarray, np.generic)) else bool)
    where = da.asarray(where)
    if where.dtype != np.dtype(bool):
        raise TypeError(f"where must be of dtype bool, got {where.dtype}")
    return like_blocks(where, a, "where")


def included_elements(a: Any, where: Any) -> Any:
    """Return an array of which elements are neither masked nor left out."""
    da = dask_array()
    a = da.asanyarray(a)
    included = included_blocks(where, a)
    every = tuple(range(a.ndim))
    arrays = [a, *([] if included is None else [included])]
    return da.blockwise(
        _included, every, *(item for array in arrays for item in (array, every)),
        align_arrays=False, dtype=np.dtype(bool), meta=np.empty((0,) * a.ndim, bool),
    )  # fmt: skip


def _included(block: Any, where: Any = True) -> Any:
    return ~np.ma.getmaskarray(block) & where


def map_results(function: Callable[[Any, Any], Any], a: Any, b: Any, dtype: DType) -> Any:
    """Return what a function makes of the blocks of two arrays of results."""
    every = tuple(range(a.ndim))
    return dask_array().blockwise(
        function, every, a, every, b, every, align_arrays=False, dtype=dtype,
        meta=_meta(a, a.ndim, dtype),
    )  # fmt: skip


def like_blocks(other: Any, a: Any, name: str) -> Any:
    """Return another array of Dask's in the shape and the blocks of the first."""
    da = dask_array()
    if is_unknown(a) or is_unknown(other):
        # The same blocks of the same array before it was filtered, which only the tasks can tell.
        if other.numblocks != a.numblocks:
            raise ValueError(
                f"{name} must have the blocks of a where chunk sizes are unknown, got "
                f"{other.numblocks} blocks and {a.numblocks}"
            )
        return other
    lead = a.ndim - other.ndim
    if lead < 0 or any(n not in (1, a.shape[lead + k]) for k, n in enumerate(other.shape)):
        raise ValueError(
            f"{name} must broadcast to the shape of a, {a.shape}, got shape {other.shape}"
        )
    chunks = tuple(
        a.chunks[lead + k] if n == a.shape[lead + k] else (1,) for k, n in enumerate(other.shape)
    )
    return da.broadcast_to(other.rechunk(chunks), a.shape, chunks=a.chunks)


def is_unknown(a: Any, axes: tuple[int, ...] | None = None) -> bool:
    """Tell whether lengths of blocks, along axes, are not known before they are computed."""
    return any(n != n for k, n in enumerate(a.shape) if axes is None or k in axes)


def _preset_blocks(presets: tuple[Any, ...], a: Any, axes: tuple[int, ...]) -> list[Any]:
    """Return the numbers that results are made with, in blocks with the reduced axes kept."""
    da = dask_array()
    if is_unknown(a):
        raise ValueError(
            f"a must have known chunk sizes where mean is given, got shape {a.shape}: "
            "a.compute_chunk_sizes() finds them"
        )
    full = tuple(1 if k in axes else n for k, n in enumerate(a.shape))
    chunks = tuple((1,) if k in axes else c for k, c in enumerate(a.chunks))
    blocks = []
    for preset in presets:
        try:
            wide = da.broadcast_to(da.asarray(preset), full)
        except ValueError:
            raise ValueError(
                f"mean must broadcast to the shape {full}, got shape {np.shape(preset)}"
            ) from None
        blocks.append(wide.rechunk(chunks))
    return blocks


def numbered_recipe(recipe: Recipe, a: Any, axes: tuple[int, ...]) -> Recipe:
    """Return the recipe with the numbers of the array's elements."""
    if is_unknown(a, axes):
        raise ValueError(
            f"a must have known chunk sizes for {recipe.operation.name}, got shape {a.shape}: "
            "a.compute_chunk_sizes() finds them"
        )
    values = {one.name: getattr(recipe, one.name) for one in fields(recipe)}
    values["numbers"] = numbers_along(a.shape, axes)
    return Recipe(**values)


def _first_numbers(numbers: tuple[int, ...], a: Any, axes: tuple[int, ...]) -> Any:
    """Return the number of the first element of each block, in blocks of one."""
    firsts: Any = np.zeros(a.numblocks, np.int64)
    for k in axes:
        starts = np.cumsum([0, *a.chunks[k][:-1]]) * numbers[k]
        firsts += starts.reshape([-1 if j == k else 1 for j in range(a.ndim)])
    return dask_array().from_array(firsts, chunks=1)


def _meta(a: Any, ndim: int, dtype: DType) -> Any:
    """Return the empty array by which Dask knows what blocks will be."""
    empty: Array = np.empty((0,) * ndim, dtype)
    return np.ma.array(empty) if isinstance(a._meta, np.ma.MaskedArray) else empty


def _of_whole_blocks(
    recipe: Recipe, a: Any, included: Any, keepdims: bool, presets: list[Any]
) -> Any:
    """Return the results where each block has all elements of its own."""
    axes, every = recipe.axes, tuple(range(a.ndim))
    out = tuple(k for k in every if keepdims or k not in axes)
    arrays = [a, *([] if included is None else [included]), *presets]
    extra = () if presets else recipe.extra
    new = tuple(range(a.ndim, a.ndim + len(extra)))
    return dask_array().blockwise(
        partial(_reduce_whole, recipe, included is not None, keepdims), (*out, *new),
        *(item for array in arrays for item in (array, every)),
        new_axes=dict(zip(new, extra, strict=True)), align_arrays=False,
        adjust_chunks=dict.fromkeys(axes, 1) if keepdims else None,
        meta=_meta(a, len(out) + len(extra), recipe.result), dtype=recipe.result,
        token=f"parsum-{recipe.operation.name}",
    )  # fmt: skip


def merged(recipe: Recipe, arrays: tuple[Any, ...], included: Any) -> Any:
    """Return the states of whole results, in an array that is of them in name only."""
    given = [*arrays, *([] if included is None else [included])]
    if recipe.numbers is not None:
        given.append(_first_numbers(recipe.numbers, arrays[0], recipe.axes))
    take = partial(take_block, recipe, included is not None, recipe.numbers is not None)
    return tree_of(recipe.operation.name, take, given, recipe.axes, merge_blocks)


def tree_of(
    name: str,
    take: Callable[..., Any],
    arrays: list[Any],
    axes: tuple[int, ...],
    merge: Callable[..., Any],
) -> Any:
    """Return what is made of blocks and merged along axes: an object in place of each block."""
    da = dask_array()
    every = tuple(range(arrays[0].ndim))
    nothing: Array = np.empty((0,) * len(every), object)
    taken = da.blockwise(
        take, every, *(item for array in arrays for item in (array, every)),
        adjust_chunks=dict.fromkeys(axes, 1), align_arrays=False, meta=nothing,
        dtype=nothing.dtype, token=f"parsum-{name}-block",
    )  # fmt: skip
    if all(taken.numblocks[k] == 1 for k in axes):
        return taken
    return da.reduction(
        taken, _same, merge, combine=merge, axis=axes, keepdims=True, dtype=nothing.dtype,
        concatenate=False, meta=nothing, name=f"parsum-{name}",
    )  # fmt: skip


def finished(recipe: Recipe, parts: Any, a: Any, keepdims: bool, presets: list[Any]) -> Any:
    """Return the results of states."""
    every = tuple(range(a.ndim))
    out = tuple(k for k in every if keepdims or k not in recipe.axes)
    extra = () if presets else recipe.extra
    new = tuple(range(a.ndim, a.ndim + len(extra)))
    return dask_array().blockwise(
        partial(finish_block, keepdims), (*out, *new),
        *(item for array in (parts, *presets) for item in (array, every)),
        new_axes=dict(zip(new, extra, strict=True)), align_arrays=False,
        meta=_meta(a, len(out) + len(extra), recipe.result), dtype=recipe.result,
        token=f"parsum-{recipe.operation.name}-result",
    )  # fmt: skip
