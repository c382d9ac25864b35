"""States that a user holds: filled chunk by chunk, merged, copied, pickled, asked for results."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from parsum.api.arguments import (
    ALONE,
    Array,
    Axis,
    DType,
    Method,
    Options,
    Progress,
    as_array,
    check_axes,
    check_axis,
    check_options,
    check_where,
    converted,
    is_masked,
    kept_shapes,
    located,
    without,
)
from parsum.api.call import native, part_of, tell
from parsum.api.named import FUNCTIONS, FUNCTIONS_OF_TWO, OWN_ARGUMENTS, check_name
from parsum.api.parts import (
    Group,
    PairPart,
    Part,
    PythonGroup,
    alone,
    as_number,
    joined,
    pair_parts,
    passes_of,
    whole_of,
)
from parsum.api.python_states import PythonTree
from parsum.api.states import Chunk, Kind, States, Tree, count_of, layout, store_of
from parsum.api.streaming import read_through
from parsum.api.toolkit import parallel_reduce
from parsum.api.views import SMALL_BYTES
from parsum.custom import Reduction
from parsum.fused import Fused
from parsum.reduction import DIVIDE, EMPTY, INVALID, MEMBERS_LIMIT, METHODS, OVERFLOW
from parsum.sources import Source
from parsum.under_dask import is_lazy

_FLOAT64 = np.dtype(np.float64)
_ndarray = np.ndarray
_MAGIC = b"parsum accumulator\n"
#: Of the bytes that an accumulator turns into; a change of any state in csrc raises it.
_FORMAT = 1
#: Most bytes of the description before the states.
_MOST_HEADER = 1 << 20


class Accumulator:
    """A reduction in progress: fill it with chunks, merge it with others, ask for the result.

    The result is that of the one function over all chunks, joined along the axis that is reduced:
    with exact reductions to the bit, whatever the chunks, the workers and the order of merges.

    Parameters
    ----------
    reduction : str, Reduction or tuple of these
        As for :func:`parsum.parallel_reduce`: "sum", "describe", ...; those of two arrays ("dot",
        "vdot", "vecdot", "weighted_mean"); a reduction of one's own; or several, which read every
        chunk once.
    dtype : dtype_like, optional
        The dtype of the elements (of both arrays, for reductions of two); by default that of the
        first chunk. Chunks of other dtypes are converted to it if NumPy casts them safely.
    axis : None, int or tuple of ints, optional
        The axes of every chunk to reduce; None for all.
    shape : tuple of ints, optional
        The shape of the result, that of a chunk without `axis`; by default that of the first chunk.
        Without chunks, there is a result only if it is known.
    method : {"exact", "fast"}, optional
        As for the function of that name.
    parameter : float, optional
        The number that a reduction of one's own finds as ``parameter``.
    **arguments
        Arguments that the function of that name has of its own: `ddof`, `ord`, `moments`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or value.

    Notes
    -----
    Where the order of combination shows in the bits (``method="fast"``, products, norms of other
    orders, long doubles, reductions of one's own), updates still give the bits of one call over
    all: what does not make a leaf of the tree waits, up to 1023 elements for each result. Merging
    such accumulators is deterministic, but not the same as one call over all. Of functions in
    Python, a leaf is a slice; their states are copied by ``copy.deepcopy``, and pickled.

    Methods may be called from several threads; an update takes its turn.

    Examples
    --------
    >>> import numpy as np
    >>> import parsum
    >>> total = parsum.Accumulator("sum")
    >>> for chunk in np.split(np.full(100_000, 0.1), 10):
    ...     total.update(chunk)
    >>> total.result() == parsum.parallel_sum(np.full(100_000, 0.1))
    np.True_
    >>> first, second = parsum.Accumulator(("min", "max")), parsum.Accumulator(("min", "max"))
    >>> first.update([3, 1])
    >>> second.update([7])
    >>> (first + second).result()
    (np.int64(1), np.int64(7))
    """

    __slots__ = (
        "__weakref__", "_arguments", "_axis", "_dtypes", "_groups", "_lock", "_method", "_names",
        "_now", "_parameter", "_several", "_shape", "_two",
    )  # fmt: skip

    def __init__(
        self,
        reduction: str | Reduction | tuple[str | Reduction, ...] = "sum",
        *,
        dtype: DTypeLike | None = None,
        axis: Axis = None,
        shape: tuple[int, ...] | None = None,
        method: Method = "exact",
        parameter: float = 0.0,
        **arguments: Any,
    ) -> None:
        self._several = isinstance(reduction, (tuple, list))
        self._names = _reductions(reduction)
        self._two = self._names[0] in FUNCTIONS_OF_TWO
        for argument in arguments:
            if not any(argument in OWN_ARGUMENTS.get(k, {}) for k in map(str, self._names)):
                raise TypeError(
                    f"{argument} must be an argument of {reduction!r}, which has no such"
                )
        if not isinstance(method, str) or method not in METHODS:
            raise ValueError(
                f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}"
            )
        self._arguments = arguments
        self._axis = _checked_axis(axis)
        self._method = method
        self._parameter = as_number(parameter)
        self._dtypes: tuple[DType, ...] = ()
        self._shape = None if shape is None else _checked_shape(shape)
        if self._axis is None:
            if self._shape not in (None, ()):
                raise ValueError(f"shape must be () where axis is None, got {shape!r}")
            self._shape = ()
        self._groups: list[Group | PythonGroup] = []
        self._now = _Progress((), (), 0, None, False)
        self._lock = threading.RLock()
        if dtype is not None:
            dtypes = (native(np.dtype(dtype)),) * (2 if self._two else 1)
            self._dtypes, self._groups = dtypes, self._groups_for(dtypes)
            if self._shape is not None:
                self._now = self._now_for(self._shape)

    def __repr__(self) -> str:
        what = self._names if self._several else self._names[0]
        axis = "" if self._axis is None else f", axis={self._axis}"
        return f"<parsum.Accumulator of {what!r}{axis}: {self.count} elements>"

    @property
    def count(self) -> int:
        """How many elements along the reduced axes were taken in or left out so far."""
        return self._now.length

    def _groups_for(self, dtypes: tuple[DType, ...]) -> list[Group | PythonGroup]:
        """Return the passes that elements of those dtypes take."""
        if self._two:
            name = self._names[0]
            assert isinstance(name, str)
            return [alone(part) for part in pair_parts(name, dtypes[0], dtypes[1], self._method)]
        parts = [
            Part(k, dtypes[0], self._method, self._parameter, self._arguments) for k in self._names
        ]
        groups: list[Group | PythonGroup] = []
        for some in passes_of(parts):
            # Along an axis each by itself is faster: it knows columns and short rows.
            group = joined(some) if len(some) > 1 and self._axis is None else None
            groups.extend([group] if group is not None else map(alone, some))
        groups.extend(alone(part) for part in parts if not part.joins)
        groups.extend(PythonGroup(part) for part in parts if part.row is None)
        return groups

    def _store(self, group: Group | PythonGroup, shape: tuple[int, ...]) -> Store:
        """Return what keeps the states of a pass, without elements, for results of that shape."""
        if isinstance(group, PythonGroup):
            return PythonTree(group.functions, shape, self._dtypes[0])
        kind = self._kind(group, shape)
        return store_of(kind)(kind)

    def _kind(self, group: Group, shape: tuple[int, ...]) -> Kind:
        """Return what the states of a pass have in common, for results of that shape."""
        in_order = any(
            isinstance(part, Part)
            and isinstance(part.reduction, Reduction)
            and not part.reduction.commutative
            for part in group.parts
        )
        part, dtypes = group.parts[0], self._dtypes
        if isinstance(part, PairPart) and part.of:
            dtypes = (part_of(dtypes[0]), dtypes[1])
        # In the tree of one call over all, whose elements are one after the other in memory.
        return Kind(
            group.row, group.parameter, shape, dtypes, group.numbered, group.skip_nan,
            in_order or group.row.ordered,
        )  # fmt: skip

    def _now_for(self, shape: tuple[int, ...]) -> _Progress:
        """Return the progress of no elements, for results of that shape."""
        stores = tuple(self._store(group, shape) for group in self._groups)
        return _Progress(stores, (0,) * len(stores), 0, None, False)

    # ---- filling ----

    def update(
        self,
        *chunk: ArrayLike | Fused,
        where: ArrayLike = True,
        workers: int | None = None,
        executor: ThreadPoolExecutor | None = None,
        progress: Progress = None,
    ) -> None:
        """Take in a chunk.

        Parameters
        ----------
        *chunk : array_like
            The elements; two arrays for a reduction of two. They follow those of earlier chunks
            along the first axis that is reduced. A path, a :class:`parsum.Source` or an iterator of
            arrays is read piece by piece. An array of Dask's is computed here and now: by tasks
            that accumulate its blocks; or, where the order of combination shows, block after block
            in this process.
        where : array_like of bool, optional
            Elements to include; broadcasts to the shape of the chunk.
        workers : int, optional
            At most so many threads; see :func:`parsum.parallel_sum`.
        executor : concurrent.futures.ThreadPoolExecutor, optional
            Whose threads to use besides the calling one.
        progress : bool or callable, optional
            As for the functions, of this chunk.

        Raises
        ------
        TypeError, ValueError
            If the chunk does not fit the others; then nothing of it is taken in.
        KeyboardInterrupt, MemoryError
            Then nothing of the chunk is taken in either.
        """
        if len(chunk) != (2 if self._two else 1):
            raise TypeError(
                f"update takes {'two arrays' if self._two else 'one array'} for "
                f"{self._names[0]!r}, got {len(chunk)}"
            )
        # A small array of the dtype that is expected, and no questions: one C call.
        if where is True and workers is None and executor is None and progress is None:
            with self._lock:
                if self._quick(chunk):
                    return
        options = check_options(workers, self._method, executor, progress)
        if is_lazy(*chunk, where):
            from parsum.lazy_updates import update_by_blocks

            with self._lock:
                update_by_blocks(self, chunk, where, options)
            return
        source = None if self._two else located(chunk[0])
        if isinstance(source, Source):
            check_where(where, cast(Array, source))
            with self._lock:
                self._read(source, options)
            return
        arrays, included, masked = self._checked(chunk, where)
        with self._lock:
            self._take(arrays, included, masked, options)

    def _quick(self, chunk: tuple[Any, ...]) -> bool:
        now = self._now
        if len(now.stores) != 1 or self._axis is not None or now.taken is not None:
            return False
        store, dtype, a = now.stores[0], self._dtypes[0], chunk[0]
        if not store.kind.as_they_are:
            return False
        for array in chunk:
            if type(array) is not _ndarray or array.dtype != dtype or array.shape != a.shape:
                return False
            flags = array.flags
            if not flags.c_contiguous or not flags.aligned:
                return False
        if not 0 < a.nbytes <= SMALL_BYTES or (a.ndim != 1 and "ord" in self._arguments):
            return False
        length = now.length + a.size
        if isinstance(store, States):
            if not store.take_buffer(a, chunk[1] if self._two else None):
                return False
            self._now = _Progress(now.stores, now.flags, length, None, now.masked)
            return True
        if a.ndim != 1 or not isinstance(store, Tree):
            return False
        new, more = store.with_buffers(a, chunk[1] if self._two else None, ALONE)
        self._now = _Progress((new,), (now.flags[0] | more,), length, None, now.masked)
        return True

    def _read(self, source: Source, options: Options) -> None:
        """Take in a source piece by piece; all of it or nothing."""
        new = self.copy()
        axes = check_axes(self._axis, source.ndim)
        self._check_vectors(source.shape)
        alone = options._replace(progress=None)

        def take(array: Array, mask: Array | None) -> None:
            new._take((array,), without(mask, None), False, alone)

        read_through(source, axes, options.progress, take)
        self._become(new)

    def _checked(
        self, chunk: tuple[Any, ...], where: Any
    ) -> tuple[tuple[Array, ...], Array | None, bool]:
        """Return the arrays of a chunk, which elements to take, and whether it was masked."""
        arrays, masks, masked = [], [], False
        for a in chunk:
            array, mask = as_array(a)
            if isinstance(array, Source):
                raise TypeError(f"chunks must be arrays for {self._names[0]!r}, got {array!r}")
            arrays.append(array)
            masks.append(mask)
            masked |= is_masked(a)
        if self._two:
            if any(isinstance(array, Fused) for array in arrays):
                raise TypeError(f"chunks must be arrays for {self._names[0]!r}, got an expression")
            if arrays[0].shape != arrays[1].shape:
                raise ValueError(
                    f"both arrays of a chunk must have one shape, got {arrays[0].shape} and "
                    f"{arrays[1].shape}"
                )
        included = check_where(where, arrays[0])
        for mask in masks:
            included = without(mask, included)
        return tuple(arrays), included, masked

    def _take(
        self,
        arrays: tuple[Array, ...],
        included: Array | None,
        masked: bool,
        options: Options,
    ) -> None:
        shape = arrays[0].shape
        axes = check_axes(self._axis, len(shape))
        kept = kept_shapes(shape, axes)[0]
        self._check_kept(kept)
        dtypes, groups = self._dtypes, self._groups
        if dtypes:
            arrays = tuple(map(converted, arrays, dtypes))
        else:
            dtypes = tuple(native(k.dtype) for k in arrays)
            groups = self._groups_for(dtypes)
        self._check_vectors(shape)
        if self._axis is not None and len(axes) > 1 and any(group.numbered for group in groups):
            raise TypeError(f"axis must be one axis for {self._names[0]!r}, got {self._axis}")
        length = count_of(tuple(shape[k] for k in axes))
        # From here on the accumulator is of such chunks; whatever else goes wrong leaves it so.
        self._dtypes, self._groups, self._shape = dtypes, groups, kept
        now = self._now if self._now.stores else self._now_for(kept)
        stores, flags = [], []
        for group, store, before in zip(groups, now.stores, now.flags, strict=True):
            new, more = store, 0
            if length and count_of(kept):
                part = group.parts[0]
                own = part.taken(arrays) if isinstance(part, PairPart) else arrays
                new, more = store.with_chunk(Chunk(own, axes, included), now.length, options)
                new.count_on(now.length + length)
            stores.append(new)
            flags.append(before | more)
        taken = now.taken
        if included is not None or taken is not None:
            if taken is None:
                taken = np.full(kept, now.length, np.int64)
            more_taken: Any = length
            if included is not None:
                more_taken = np.count_nonzero(included, axis=axes)
            taken = taken + more_taken
        # One assignment: an interrupt finds the chunk taken in as a whole, or not at all.
        self._now = _Progress(
            tuple(stores), tuple(flags), now.length + length, taken, now.masked or masked
        )

    def _check_vectors(self, shape: tuple[int, ...]) -> None:
        if self._axis is None and len(shape) > 1 and self._arguments.get("ord") is not None:
            raise ValueError(
                f"chunks must be vectors for ord={self._arguments['ord']!r}, as norms of matrices "
                f"are not offered, got shape {shape}"
            )

    def _check_kept(self, kept: tuple[int, ...]) -> None:
        if self._shape is not None and kept != self._shape:
            raise ValueError(
                f"chunks must have the shape {self._shape} without the reduced axes, got {kept}"
            )

    # ---- what is filled in parts ----

    def _empty(self, shape: tuple[int, ...] | None, dtypes: tuple[DType, ...]) -> Accumulator:
        """Return one of the same kind without elements, for results of that shape if known."""
        new = self.copy()
        new._dtypes = self._dtypes or dtypes
        new._groups = self._groups or self._groups_for(dtypes)
        new._now = _Progress((), (), 0, None, False)
        if shape is None:
            new._shape = () if self._axis is None else None
        else:
            self._check_kept(shape)
            new._shape, new._now = shape, new._now_for(shape)
        return new

    def _put(self, place: tuple[slice, ...], part: Accumulator) -> None:
        """Take over the exact states of some of the results."""
        now, other = self._now, part._now
        if not other.stores:  # no block that it was made of had elements
            return
        assert self._shape is not None and part._shape is not None
        for store, states in zip(now.stores, other.stores, strict=True):
            assert isinstance(store, States) and isinstance(states, States)
            size = states.kind.row.state_size
            rows = store.states.rows.reshape(*self._shape, size)
            rows[place] = states.states.rows.reshape(*part._shape, size)
        flags = tuple(a | b for a, b in zip(now.flags, other.flags, strict=True))
        taken = now.taken
        if other.taken is not None:
            taken = np.full(self._shape, other.length, np.int64) if taken is None else taken
            taken[place] = other.taken
        self._now = _Progress(now.stores, flags, other.length, taken, now.masked or other.masked)

    def _become(self, other: Accumulator) -> None:
        """Take over all that another one has, which nobody else holds."""
        self._dtypes, self._groups, self._shape = other._dtypes, other._groups, other._shape
        self._now = other._now

    # ---- joining ----

    def merge(self, other: Accumulator) -> None:
        """Take in what another accumulator of the same kind has, as chunks that come after.

        Parameters
        ----------
        other : Accumulator
            Of the same reduction, arguments, axis, dtype and shape. It stays as it is; one without
            elements changes nothing.

        Raises
        ------
        TypeError, ValueError
            If it is no accumulator, or of another kind.
        """
        if not isinstance(other, Accumulator):
            raise TypeError(f"other must be an Accumulator, got {type(other).__name__}")
        with other._lock:
            dtypes, groups, shape = other._dtypes, other._groups, other._shape
            # Small updates change states in place.
            copies = tuple(store.copy() for store in other._now.stores)
            theirs = other._now._replace(stores=copies)
        with self._lock:
            self._check_alike(other, dtypes, shape)
            if not self._dtypes:
                self._dtypes, self._groups = dtypes, groups
            if self._shape is None:
                self._shape = shape
            if not theirs.stores:
                return
            assert self._shape is not None
            now = self._now if self._now.stores else self._now_for(self._shape)
            stores, flags = [], []
            for k, store in enumerate(now.stores):
                their: Any = theirs.stores[k]
                new, more = store.with_other(their, now.length)
                new.count_on(now.length + theirs.length)
                stores.append(new)
                flags.append(now.flags[k] | theirs.flags[k] | more)
            taken = None
            if now.taken is not None or theirs.taken is not None:
                taken = _taken(now, self._shape) + _taken(theirs, self._shape)
            self._now = _Progress(
                tuple(stores), tuple(flags), now.length + theirs.length, taken,
                now.masked or theirs.masked,
            )  # fmt: skip

    def _check_alike(
        self, other: Accumulator, dtypes: tuple[DType, ...], shape: tuple[int, ...] | None
    ) -> None:
        for what, mine, their in (
            ("reduction", self._names, other._names),
            ("method", self._method, other._method),
            ("parameter", self._parameter, other._parameter),
            ("arguments", self._arguments, other._arguments),
            ("axis", self._axis, other._axis),
            ("dtype", self._dtypes or dtypes, dtypes or self._dtypes),
            ("shape", shape if self._shape is None else self._shape,
             self._shape if shape is None else shape),
        ):  # fmt: skip
            if mine != their:
                raise ValueError(f"other must have the same {what}, {mine}, got {their}")

    def __add__(self, other: Any) -> Accumulator:
        if not isinstance(other, Accumulator):
            return NotImplemented
        whole = self.copy()
        whole.merge(other)
        return whole

    def __iadd__(self, other: Any) -> Accumulator:
        if not isinstance(other, Accumulator):
            return NotImplemented
        self.merge(other)
        return self

    def copy(self) -> Accumulator:
        """Return an accumulator that has the same, and goes its own way from here."""
        new = object.__new__(Accumulator)
        with self._lock:
            for name in Accumulator.__slots__:
                if name not in ("__weakref__", "_lock"):
                    setattr(new, name, getattr(self, name))
            # States are changed in place by small updates.
            stores = tuple(store.copy() for store in self._now.stores)
            new._now = self._now._replace(stores=stores)
        new._lock = threading.RLock()
        return new

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Accumulator:
        return self.copy()

    # ---- the result ----

    def result(self) -> Any:
        """Return the result of all that was taken in, as the function of that name does.

        It can be asked for at any time; more chunks may follow.

        Returns
        -------
        ndarray or scalar, or a tuple
            What the function gives for all chunks at once; a tuple of these for several reductions.

        Raises
        ------
        ValueError
            If nothing was taken in and `shape` is not known, or the function raises it for no
            elements.
        ZeroDivisionError
            If weights sum to zero.
        """
        with self._lock:
            now, shape, dtypes, groups = self._now, self._shape, self._dtypes, self._groups
            stores: list[Any] = [store.copy() for store in now.stores]
        if shape is None:
            raise ValueError("shape must be given for a result of no chunks, got None")
        if not now.length:
            return self._of_nothing(shape, dtypes)
        results: dict[str | Reduction, Any] = {}
        for group, store, before in zip(groups, stores, now.flags, strict=True):
            if isinstance(group, PythonGroup):
                (part,) = group.parts
                values = store.results()
                if shape or now.masked:
                    array: Array = np.asarray(values, group.functions.result)
                    array = array.reshape(shape + array.shape[1:])
                    results[part.reduction] = self._result(part, array, 0, now, shape)
                else:
                    results[part.reduction] = values[0]
                continue
            records = group.records(shape)
            flags = before
            if records.size:
                flags |= store.values(group.type, records)
            for part, values, own in group.split(records, flags, shape):
                result = self._result(part, values, own, now, shape)
                if isinstance(part, PairPart) and part.of == "imag":
                    result = whole_of(results[part.reduction], result)
                results[part.reduction] = result
        if not self._several:
            return next(iter(results.values()))
        return tuple(results[k] for k in self._names)

    def _result(
        self, part: Any, values: Array, flags: int, now: _Progress, shape: tuple[int, ...]
    ) -> Any:
        nothing = None if now.taken is None else now.taken == 0
        if flags & DIVIDE and part.operation.name == "weighted_mean":
            if not now.masked:
                raise ZeroDivisionError(
                    "weights must not sum to zero, as they are divided by their sum"
                )
            flags &= ~DIVIDE
        if not part.operation.identity and nothing is not None and not now.masked and nothing.any():
            raise ValueError(
                f"zero-size array to reduction operation {part.operation.ufunc} which has no "
                "identity"
            )
        if flags:
            tell(part.operation, flags, part.result, now.masked)
        if not now.masked:
            return part.built(values)
        if nothing is None:
            nothing = np.zeros(shape, bool)
        if not shape and nothing:
            return np.ma.masked
        if values.ndim > len(shape):
            nothing = np.broadcast_to(
                nothing.reshape(shape + (1,) * (values.ndim - len(shape))), values.shape
            )
        return part.built(values if not shape else np.ma.array(values, mask=nothing))

    def _of_nothing(self, shape: tuple[int, ...], dtypes: tuple[DType, ...]) -> Any:
        """Return what the function gives for no elements."""
        dtypes = dtypes or (_FLOAT64,) * (2 if self._two else 1)
        axes: Any = self._axis
        if axes is None:
            full: tuple[int, ...] = (0,)
        else:
            reduced = axes if isinstance(axes, tuple) else (axes,)
            ndim = len(shape) + len(reduced)
            places = check_axes(axes, ndim)
            kept = iter(shape)
            full = tuple(0 if k in places else next(kept) for k in range(ndim))
        arrays = tuple(np.empty(full, dtype) for dtype in dtypes)
        arguments: Any = {"method": self._method, **self._arguments}
        if axes is not None:
            arguments["axis"] = axes
        if not self._several and not isinstance(self._names[0], Reduction):
            name = self._names[0]
            if name == "weighted_mean":
                return FUNCTIONS_OF_TWO[name](arrays[0], weights=arrays[1], **arguments)
            function = FUNCTIONS.get(name) or FUNCTIONS_OF_TWO[name]
            return function(*arrays, **arguments)
        if any(isinstance(k, Reduction) for k in self._names):
            arguments["parameter"] = self._parameter
        what: Any = self._names if self._several else self._names[0]
        return parallel_reduce(arrays[0], what, **arguments)

    # ---- as bytes ----

    def to_bytes(self) -> bytes:
        """Return all that was taken in as bytes, which :meth:`from_bytes` makes an equal one of.

        They are for other processes and machines of the same byte order and kind of long double.
        A reduction of one's own is not part of them.

        Raises
        ------
        TypeError
            If there are functions in Python, whose states may be any objects: pickle it instead.
        """
        for group in self._groups:
            if isinstance(group, PythonGroup):
                raise TypeError(
                    "states of functions in Python are objects, which have no bytes but those of a "
                    f"pickle, got {group.parts[0].reduction!r}"
                )
        return self._to_bytes()[0]

    def _to_bytes(self) -> tuple[bytes, tuple[Any, ...]]:
        """Return all but the states of functions in Python as bytes, and the parts of those."""
        import hashlib
        import json

        with self._lock:
            now = self._now
            sections: list[list[bytes]] = []
            python = []
            for store in now.stores:
                if isinstance(store, PythonTree):
                    python.append(store.parts())
                    sections.append([])
                else:
                    sections.append(store.dump())
            header = {
                "format": _FORMAT,
                "layout": layout(),
                "reduction": [k if isinstance(k, str) else None for k in self._names],
                "several": self._several,
                "method": self._method,
                "parameter": self._parameter,
                "arguments": self._arguments,
                "axis": self._axis,
                "dtypes": [dtype.str for dtype in self._dtypes],
                "shape": self._shape,
                "length": now.length,
                "flags": now.flags,
                "masked": now.masked,
                "taken": now.taken is not None,
                "begun": bool(now.stores),
                "sizes": [[len(part) for part in parts] for parts in sections],
                "states": [group.state_size for group in self._groups],
            }
        text = json.dumps(header).encode()
        body = b"".join(part for parts in sections for part in parts)
        if now.taken is not None:
            body += now.taken.astype("<i8").tobytes()
        rest = len(text).to_bytes(4, "little") + text + body
        return _MAGIC + hashlib.sha256(rest).digest() + rest, tuple(python)

    @classmethod
    def from_bytes(cls, data: bytes, reductions: tuple[Reduction, ...] = ()) -> Accumulator:
        """Return the accumulator that :meth:`to_bytes` gave the bytes of.

        Parameters
        ----------
        data : bytes
            What :meth:`to_bytes` gave.
        reductions : tuple of Reduction, optional
            Those of one's own that it has, in their order.

        Raises
        ------
        TypeError
            If `data` are no bytes.
        ValueError
            If they are no accumulator, damaged, or of another version or kind of machine.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes, got {type(data).__name__}")
        return _restored(bytes(data), tuple(reductions))

    def __reduce__(self) -> Any:
        own = tuple(k for k in self._names if isinstance(k, Reduction))
        data, python = self._to_bytes()
        return _restored, (data, own, python) if python else (data, own)


#: What keeps the states of a pass.
Store = States | Tree | PythonTree


class _Progress(NamedTuple):
    """All that chunks change, replaced as a whole."""

    stores: tuple[Store, ...]
    flags: tuple[int, ...]
    length: int  # elements along the reduced axes so far
    taken: Array | None  # how many of them each result is of, where some were left out
    masked: bool  # whether a chunk was a masked array


def _taken(now: _Progress, shape: tuple[int, ...]) -> Array:
    return np.full(shape, now.length, np.int64) if now.taken is None else now.taken


def _reductions(reduction: Any) -> tuple[str | Reduction, ...]:
    several = tuple(reduction) if isinstance(reduction, (tuple, list)) else (reduction,)
    if not 1 <= len(several) <= MEMBERS_LIMIT:
        raise ValueError(f"reduction must be 1 to {MEMBERS_LIMIT} reductions, got {len(several)}")
    for k in several:
        if not isinstance(k, Reduction):
            check_name(k, "reduction", two=len(several) == 1)
    return several


def _checked_axis(axis: Any) -> int | tuple[int, ...] | None:
    if axis is None:
        return None
    return tuple(map(check_axis, axis)) if isinstance(axis, tuple) else check_axis(axis)


def _checked_shape(shape: Any) -> tuple[int, ...]:
    numbers = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    for n in numbers:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"shape must be a tuple of integers, got {shape!r}")
        if n < 0:
            raise ValueError(f"shape must be of lengths from 0 on, got {shape!r}")
    return tuple(map(int, numbers))


# ---- bytes ----

_DTYPE_KINDS = "biufcmM"


def _damaged(why: str) -> ValueError:
    return ValueError(f"data must be what Accumulator.to_bytes gave, got bytes that {why}")


def _restored(
    data: bytes, reductions: tuple[Reduction, ...], python: tuple[Any, ...] = ()
) -> Accumulator:
    """Make an accumulator of bytes, of which nothing is trusted, and parts that a pickle has."""
    import hashlib
    import json

    head = len(_MAGIC) + hashlib.sha256().digest_size
    if not isinstance(data, bytes) or data[: len(_MAGIC)] != _MAGIC:
        raise _damaged("are something else")
    rest = data[head:]
    if hashlib.sha256(rest).digest() != data[len(_MAGIC) : head]:
        raise _damaged("are damaged")
    length = int.from_bytes(rest[:4], "little")
    if not 0 < length <= min(_MOST_HEADER, len(rest) - 4):
        raise _damaged("have no description")
    try:
        header = json.loads(rest[4 : 4 + length])
    except (ValueError, RecursionError):
        raise _damaged("have no description") from None
    try:
        if header["format"] != _FORMAT:
            raise _damaged(f"are of format {header['format']!r}, not {_FORMAT}")
        if header["layout"] != layout():
            raise _damaged(f"are of another kind of machine, {header['layout']!r}")
        return _filled(header, memoryview(rest)[4 + length :], reductions, python)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        if isinstance(error, ValueError) and str(error).startswith(("data ", "reductions ")):
            raise
        raise _damaged(f"describe none ({type(error).__name__}: {error})") from None


def _filled(
    header: Any, body: memoryview, reductions: tuple[Reduction, ...], python: tuple[Any, ...]
) -> Accumulator:
    own = iter(reductions)
    names: list[Any] = [next(own, None) if k is None else k for k in header["reduction"]]
    if None in names or next(own, None) is not None:
        raise ValueError(
            f"reductions must be those of one's own that the accumulator has, got {reductions}"
        )
    what: Any = tuple(names) if header["several"] else names[0]
    axis = header["axis"]
    shape = None if header["shape"] is None else tuple(header["shape"])
    acc = Accumulator(
        what, axis=tuple(axis) if isinstance(axis, list) else axis, method=header["method"],
        parameter=header["parameter"], **header["arguments"],
    )  # fmt: skip
    dtypes = tuple(np.dtype(text) for text in header["dtypes"])
    if len(dtypes) not in (0, 2 if acc._two else 1) or any(
        dtype.kind not in _DTYPE_KINDS or dtype.names is not None for dtype in dtypes
    ):
        raise _damaged("are of other dtypes")
    if shape is not None:
        acc._shape = _checked_shape(shape)
        if acc._axis is None and acc._shape:
            raise _damaged("have a shape without an axis")
    if not dtypes:
        if header["begun"]:
            raise _damaged("have states of no dtype")
        return acc
    acc._dtypes, acc._groups = dtypes, acc._groups_for(dtypes)
    if not header["begun"]:
        return acc
    if acc._shape is None:
        raise _damaged("have states of no shape")
    if header["states"] != [group.state_size for group in acc._groups]:
        raise _damaged("have states of another version")
    return _with_states(acc, header, body, iter(python))


def _with_states(
    acc: Accumulator, header: Any, body: memoryview, python: Iterator[Any]
) -> Accumulator:
    shape = acc._shape
    assert shape is not None
    sizes = header["sizes"]
    number = header["length"]
    flags = tuple(header["flags"])
    outputs = count_of(shape)
    if len(sizes) != len(acc._groups) or len(flags) != len(acc._groups):
        raise _damaged("have other states")
    if type(number) is not int or not 0 <= number < 1 << 63:
        raise _damaged("have a wrong count")
    if not all(type(k) is int and 0 <= k <= OVERFLOW | INVALID | DIVIDE | EMPTY for k in flags):
        raise _damaged("have wrong flags")
    position, stores = 0, []
    for group, parts in zip(acc._groups, sizes, strict=True):
        sections = []
        for size in parts:
            if type(size) is not int or not 0 <= size <= len(body) - position:
                raise _damaged("end too early")
            sections.append(bytes(body[position : position + size]))
            position += size
        store: Store | None
        if isinstance(group, PythonGroup):
            store = PythonTree(group.functions, shape, acc._dtypes[0]).loaded(next(python, None))
        else:
            kind = acc._kind(group, shape)
            store = store_of(kind).loaded(kind, sections)
        if store is None:
            raise _damaged("hold no states")
        store.count_on(number)
        stores.append(store)
    taken = None
    if header["taken"]:
        if len(body) - position != outputs * 8:
            raise _damaged("have wrong counts")
        counts = np.frombuffer(body[position:], "<i8").astype(np.int64)
        if np.any(counts < 0) or np.any(counts > number):
            raise _damaged("have wrong counts")
        taken = counts.reshape(shape)
        position = len(body)
    if position != len(body):
        raise _damaged("do not end where they should")
    acc._now = _Progress(tuple(stores), flags, number, taken, bool(header["masked"]))
    return acc
