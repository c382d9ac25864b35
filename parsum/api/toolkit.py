"""Reductions beyond the family: of users' own, several at once, and of expressions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from parsum import engine
from parsum.api.arguments import (
    NO_VALUE,
    Array,
    Axis,
    Method,
    Options,
    Progress,
    as_array,
    check_axes,
    check_keepdims,
    check_options,
    check_out,
    check_out_type,
    check_where,
    is_masked,
    kept_shapes,
    located,
    without,
)
from parsum.api.call import masked_result, tell
from parsum.api.documents import documented
from parsum.api.named import FUNCTIONS, FUNCTIONS_OF_TWO, OWN_ARGUMENTS, check_name
from parsum.api.parts import Part, as_number, as_results, custom_operation, joined, passes_of
from parsum.api.passes import reduce_pass
from parsum.api.python_job import Elements, PythonJob, results_of
from parsum.api.python_states import PythonTree
from parsum.api.states import Chunk
from parsum.api.streaming import Reduced, read_through
from parsum.custom import PythonFunctions, Reduction
from parsum.fused import Fused, parsed
from parsum.reduction import BYTE, MEMBERS_LIMIT, reduce_bytes
from parsum.sources import Chunks, Source
from parsum.under_dask import is_lazy

_BYTES = np.dtype(np.uint8)


@documented
def parallel_reduce(
    a: ArrayLike | Fused | str,
    /,
    reduction: str | Reduction | tuple[str | Reduction, ...],
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: Array | None = None,
    keepdims: bool = False,
    initial: Any = NO_VALUE,
    where: ArrayLike = True,
    *,
    parameter: float = 0.0,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
    **arguments: Any,
) -> Any:
    """Reduce an array, or an expression over arrays, by any reduction, or by several in one pass.

    Parameters
    ----------
    a : array_like or str
        Elements to reduce; or an expression over arrays that are given by name, whose elements are
        computed block by block where they are taken in: ``parallel_reduce("abs(x - y)**2", "sum",
        x=x, y=y)``. What it may hold is listed in docs/custom-kernels.md. For a reduction of two
        arrays ("dot", "vdot", "vecdot", "weighted_mean") a tuple of both.
    reduction : str, Reduction or tuple of these
        A function of the family by its name, "sum" for :func:`parallel_sum`; a reduction of one's
        own; or several of them, which read each element once and give a tuple of results.
    {axis}
    dtype : dtype_like, optional
        The dtype of the result, where the function of that name has such an argument.
    {out}
    {keepdims}
    initial : scalar, optional
        A number to start every result from, where the function of that name has such an argument.
    {where}
    parameter : float, optional
        The number that a reduction of one's own finds as ``parameter``.
    {running_floats}
    **arguments
        The arrays that an expression names, and arguments that functions of that name have of their
        own: `ddof`, `ord`, `moments`, `weights`. Arrays whose names are arguments of this function
        go to :class:`parsum.Fused`.

    Returns
    -------
    ndarray or scalar, or a tuple
        What the function of that name returns; for a reduction of one's own, results of its dtype;
        for several reductions, a tuple of what each gives.

    Raises
    ------
    {raises}
    {float_errors}
    parsum.CompileError
        If C text does not compile, or there is no C compiler.

    Notes
    -----
    Floating-point warnings of an expression's operations are not given, only those of reductions.

    A reduction of one's own whose combination is not exact has the same bits for any number of
    workers: partial states are combined in a tree that the number of elements alone decides.

    Several reductions take one pass where each result is of elements that follow each other in
    memory, 1024 at least, or of all. Reductions of functions in Python, those that are not
    commutative, and sums and means by ``method="fast"`` or of long doubles take a pass of their
    own; argmin and its like take another one beside reductions whose order of combination shows
    (prod, those of one's own that are ordered).

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_reduce
    >>> x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0])
    >>> parallel_reduce(x, ("min", "max", "mean"))
    (np.float64(1.0), np.float64(3.0), np.float64(2.0))
    >>> parallel_reduce("(x - y)**2", "sum", x=x, y=y)
    np.float64(5.0)
    """
    elements: Any = a
    if not isinstance(a, str):
        elements = located(a)
    else:
        names = parsed(a).names
        elements = Fused(a, {name: arguments.pop(name) for name in names if name in arguments})
    if isinstance(reduction, (tuple, list)):
        return _several(
            elements, tuple(reduction), axis, dtype, out, keepdims, initial, where,
            check_options(workers, method, executor, progress), parameter, arguments,
        )  # fmt: skip
    if isinstance(reduction, Reduction):
        _refuse(dtype=dtype, initial=initial, of="a reduction of one's own")
        for argument in arguments:
            raise TypeError(f"{argument} must be an argument of {reduction!r}, which has no such")
        options = check_options(workers, method, executor, progress)
        if axis is None and out is None and keepdims is False and where is True and not progress:
            result = _small(a, reduction, parameter)
            if result is not None:
                return result
        return reduce_custom(elements, reduction, axis, out, keepdims, where, options, parameter)
    name = check_name(reduction, "reduction", two=True)
    if parameter != 0.0:
        raise TypeError(f"parameter must be left to reductions of one's own, got {parameter!r}")
    given = {
        "dtype": (dtype, None), "out": (out, None), "keepdims": (keepdims, False),
        "initial": (initial, NO_VALUE), "where": (where, True),
    }  # fmt: skip
    for argument, (value, default) in given.items():
        if value is not default:
            arguments[argument] = value
    if axis is not None or name in ("norm", "vecdot"):
        arguments.setdefault("axis", axis)
    running = {
        "workers": workers, "method": method, "executor": executor, "progress": progress,
    }  # fmt: skip
    if name not in FUNCTIONS_OF_TWO or (name == "weighted_mean" and not isinstance(a, tuple)):
        function = FUNCTIONS.get(name) or FUNCTIONS_OF_TWO[name]
        return _call(function, (elements,), arguments, running)
    if not isinstance(a, tuple) or len(a) != 2:
        raise TypeError(f"a must be a tuple of two arrays for {name}, got {type(a).__name__}")
    if name == "weighted_mean":
        arguments["weights"] = a[1]
        return _call(FUNCTIONS_OF_TWO[name], a[:1], arguments, running)
    if name == "vecdot" and arguments["axis"] is None:
        del arguments["axis"]
    return _call(FUNCTIONS_OF_TWO[name], a, arguments, running)


def _call(
    function: Callable[..., Any],
    arrays: tuple[Any, ...],
    arguments: dict[str, Any],
    running: dict[str, Any],
) -> Any:
    known = function.__code__.co_varnames[: _count_of_arguments(function)]
    for argument in arguments:
        if argument not in known:
            raise TypeError(
                f"{argument} must be an argument of {function.__name__}, which has no such"
            )
    return function(*arrays, **arguments, **running)


def _count_of_arguments(function: Callable[..., Any]) -> int:
    return int(function.__code__.co_argcount + function.__code__.co_kwonlyargcount)


def _refuse(of: str, **arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None and value is not NO_VALUE:
            raise TypeError(f"{name} must be left out for {of}, got {value!r}")


# ---- reductions of one's own ----


def reduce_custom(
    a: Any,
    reduction: Reduction,
    axis: Any,
    out: Any,
    keepdims: Any,
    where: Any,
    options: Options,
    parameter: float,
) -> Any:
    """Reduce an array by a reduction of one's own and return what the public function is to."""
    array, mask = as_array(a)
    if is_lazy(array, where):
        from parsum.api.lazy import reduce_lazy_custom

        return reduce_lazy_custom(a, reduction, axis, out, keepdims, where, options, parameter)
    if reduction.python is not None:
        return _reduce_python(
            a, array, mask, reduction.name, reduction.python, axis, out, keepdims, where, options
        )
    kernel = reduction.kernel_dtype(array.dtype)
    to = reduction.result_dtype(kernel)
    row = reduction.row(kernel)
    axes = check_axes(axis, array.ndim)
    keepdims = check_keepdims(keepdims)
    included = check_where(where, array)
    kept, full = kept_shapes(array.shape, axes)
    records: Array = np.empty((*kept, to.itemsize), _BYTES)
    flags = 0
    if records.size:
        reduced = Reduced(
            row, BYTE, as_number(parameter), False, in_order=not reduction.commutative
        )
        flags = reduce_pass(array, axes, records, reduced, options, where=included, mask=mask)
    result = as_results(records, to)
    if flags:
        tell(custom_operation(reduction), flags, to, mask is not None)
    shape = full if keepdims else kept
    result = result.reshape(shape + result.shape[len(kept) :])
    return _given(a, result, mask, axes, keepdims, out, reduction.name)


#: Arrays of fewer bytes are reduced by one C call, which Ctrl-C and other workers wait for.
_SMALL = 1 << 16


def _small(a: Any, reduction: Reduction, parameter: float) -> Any:
    """Return the reduction of all of a small plain array; None if something is not as that."""
    if type(a) is not np.ndarray or not 0 < a.nbytes <= _SMALL or not a.flags.aligned:
        return None
    row = reduction.row_of(a.dtype)
    if row is None or not row.on_stack:
        return None
    try:
        records, flags = reduce_bytes(row, as_number(parameter), a)
    except (ValueError, BufferError):
        return None
    return None if flags else as_results(records, reduction.result_dtype(a.dtype))[()]


def _given(
    a: Any, result: Array, mask: Array | None, axes: tuple[int, ...], keepdims: bool, out: Any,
    name: str,
) -> Any:  # fmt: skip
    """Return results in `out` or as they are, masked if the array is."""
    check_out_type(out)
    if out is not None:
        check_out(name, out, result.shape, keepdims)
        if not np.can_cast(result.dtype, out.dtype, "same_kind"):
            raise TypeError(
                f"out must be of a dtype that {result.dtype} can be cast to (same_kind), got "
                f"{out.dtype}"
            )
        np.copyto(out, result, casting="same_kind")
        result = out
    if is_masked(a):
        return masked_result(a, mask, axes, keepdims, result, out)
    return result if out is not None else result[()]


def _reduce_python(
    a: Any,
    array: Array,
    mask: Array | None,
    name: str,
    functions: PythonFunctions,
    axis: Any,
    out: Any,
    keepdims: Any,
    where: Any,
    options: Options,
) -> Any:
    """Do what reduce_custom does, by functions in Python."""
    axes = check_axes(axis, array.ndim)
    keepdims = check_keepdims(keepdims)
    included = without(mask, check_where(where, array))
    if isinstance(array, Source):
        results = _results_of_source(array, functions, axes, options)
    else:
        elements = Elements(array, axes, included, copies=False)
        number = engine.resolve_workers(options.workers, array.nbytes)
        job = PythonJob(functions, elements, max(1, -(-elements.length // functions.chunk)))
        engine.run_job(job, number, options.executor, options.progress)
        results = results_of(functions, len(elements.outputs), job.nodes)
    if len(axes) == array.ndim and not keepdims and out is None and mask is None:
        return results[0]
    shape = kept_shapes(array.shape, axes)[keepdims]
    values: Array = np.asarray(results, functions.result)
    return _given(a, values.reshape(shape + values.shape[1:]), mask, axes, keepdims, out, name)


def _results_of_source(
    source: Source, functions: PythonFunctions, axes: tuple[int, ...], options: Options
) -> list[Any]:
    """Return the results of a source, which is read piece by piece."""
    tree = PythonTree(functions, kept_shapes(source.shape, axes)[0], source.dtype)
    alone = options._replace(progress=None)

    def take(array: Array, mask: Array | None) -> None:
        nonlocal tree
        along = axes if array.ndim == source.ndim else (0,)
        tree, _ = tree.with_chunk(Chunk((array,), along, without(mask, None)), 0, alone)

    read_through(source, axes, options.progress, take)
    return tree.results()


# ---- several at once ----


def _several(
    a: Any,
    reductions: tuple[Any, ...],
    axis: Any,
    dtype: Any,
    out: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
    options: Options,
    parameter: float,
    arguments: dict[str, Any],
) -> tuple[Any, ...]:
    """Return the results of several reductions of the same elements."""
    _refuse(dtype=dtype, out=out, initial=initial, of="several reductions")
    if not 1 <= len(reductions) <= MEMBERS_LIMIT:
        raise ValueError(
            f"reduction must be 1 to {MEMBERS_LIMIT} reductions, got {len(reductions)}"
        )
    for k in reductions:
        if not isinstance(k, Reduction):
            check_name(k, "reduction")
    for argument in arguments:
        if not any(argument in OWN_ARGUMENTS.get(k, {}) for k in reductions if isinstance(k, str)):
            raise TypeError(
                f"{argument} must be an argument of one of {reductions}, which have no such"
            )
    array, _ = as_array(a)
    members = [Part(k, array.dtype, options.method, parameter, arguments) for k in reductions]
    results: dict[Part, Any] = {}
    passes = passes_of([part for part in members if not _has_own_axes(part, array.ndim, axis)])
    if is_lazy(array, where):
        passes = []  # tasks have the blocks in common: each result is a graph of its own
    if isinstance(array, Chunks) and len(members) > 1:
        one_pass = len(passes[0] if passes else ()) == len(members) and joined(members) is not None
        if not one_pass:
            raise TypeError(
                f"reduction must be one, or several that take one pass, for {array!r}, got "
                f"{reductions}"
            )
    for some in passes:
        found = _at_once(a, some, axis, keepdims, where, options)
        if found is not None:
            results.update(zip(some, found, strict=True))
    for part in members:
        if part not in results:
            results[part] = _alone(part, a, axis, keepdims, where, options)
    return tuple(results[part] for part in members)


def _alone(part: Part, a: Any, axis: Any, keepdims: Any, where: Any, options: Options) -> Any:
    """Return the result of one of several reductions by a pass of its own."""
    if isinstance(part.reduction, Reduction):
        return reduce_custom(
            a, part.reduction, axis, None, keepdims, where, options, part.parameter
        )
    arguments = {**part.arguments, **options._asdict()}
    if keepdims is not False:
        arguments["keepdims"] = keepdims
    if where is not True:
        arguments["where"] = where
    return FUNCTIONS[part.reduction](a, axis=axis, **arguments)


def _has_own_axes(part: Part, ndim: int, axis: Any) -> bool:
    """Tell whether the function of that name has errors of its own for such axes."""
    if part.operation.numbered:
        return isinstance(axis, tuple)
    if part.reduction != "norm" or ndim == 1:
        return False
    if part.arguments.get("ord") is not None:
        return ndim == 0 or axis is None or isinstance(axis, tuple)
    return isinstance(axis, tuple) and len(axis) > 2


#: Elements of a result that follow each other, from which on several reductions take one pass.
_RUN = 1024


def _in_runs(array: Array, axes: tuple[int, ...]) -> bool:
    """Tell whether the elements of each result lie in long runs, or are read from a file."""
    if isinstance(array, Source):
        return True
    leading = array.leading if isinstance(array, Fused) else array
    return any(leading.strides[k] == leading.itemsize and leading.shape[k] >= _RUN for k in axes)


def _at_once(
    a: Any, parts: list[Part], axis: Any, keepdims: Any, where: Any, options: Options
) -> list[Any] | None:
    """Return the results of one pass, or None if there is none for these."""
    group = joined(parts) if len(parts) > 1 else None
    if group is None:
        return None
    array, mask = as_array(a)
    axes = check_axes(axis, array.ndim)
    keepdims = check_keepdims(keepdims)
    if len(axes) < array.ndim and not _in_runs(array, axes):
        return None  # each by itself knows short rows and columns, which several at once do not
    included = check_where(where, array)
    kept, full = kept_shapes(array.shape, axes)
    empty = any(array.shape[k] == 0 for k in axes)
    for part in parts:
        if not part.operation.identity and (empty or included is not None):
            return None
    records = group.records(kept)
    flags = 0
    if records.size:
        reduced = Reduced(group.row, group.type, group.parameter, group.numbered)
        flags = reduce_pass(array, axes, records, reduced, options, where=included, mask=mask)
    shape = full if keepdims else kept
    masked = is_masked(a)
    results = []
    for part, result, own in group.split(records, flags, kept):
        if own:
            tell(part.operation, own, part.result, mask is not None)
        result = result.reshape(shape + result.shape[len(kept) :])
        if masked:
            result = masked_result(a, mask, axes, keepdims, result, None)
        results.append(part.built(result))
    return results
