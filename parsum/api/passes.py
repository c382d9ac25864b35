"""One pass over elements wherever they are: in memory, behind an expression, or in a source."""

from __future__ import annotations

from parsum import engine
from parsum.api.arguments import Array, Options
from parsum.api.streaming import Reduced, reduce_source
from parsum.api.views import view_of
from parsum.reduction import type_of
from parsum.sources import Source


def reduce_pass(
    array: Array,
    axes: tuple[int, ...],
    result: Array,
    reduced: Reduced,
    options: Options,
    *,
    where: Array | None = None,
    mask: Array | None = None,
    element: int | None = None,
    parts: tuple[int, int] | None = None,
) -> int:
    """Reduce along axes into an array of the kept ones, and maybe more after them; return flags.

    ``element`` and ``parts`` are for complex numbers as two real ones: the type of these, and their
    sizes (see Plan).
    """
    if isinstance(array, Source):
        return reduce_source(array, axes, result, reduced, options)
    view = view_of(
        array, axes, result, type_of(array.dtype) if element is None else element, reduced.to,
        where=where, mask=mask, parts=parts, numbered=reduced.numbered, in_order=reduced.in_order,
    )  # fmt: skip
    view.swap_result = not result.dtype.isnative
    view.skip_nan = reduced.skip_nan
    view.parameter = reduced.parameter
    view.initial = reduced.initial
    keep = (array, result, where, mask)
    return engine.run(
        reduced.row, view, array.nbytes, keep, options.workers, options.executor, options.progress
    )
