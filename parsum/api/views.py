"""From arrays, axes and results to the view that the walker goes over."""

from __future__ import annotations

from parsum import engine
from parsum.api.arguments import Array
from parsum.fused import Fused
from parsum.plan import Plan
from parsum.reduction import View, type_of

#: Arrays up to this many bytes take one C call, if they are contiguous and nothing is asked for: a
#: second worker would not pay, and the call is too short to interrupt.
SMALL_BYTES = 2 * engine.BYTES_PER_WORKER - 1


def view_of(
    array: Array,
    axes: tuple[int, ...],
    result: Array,
    element: int,
    to: int,
    *,
    where: Array | None = None,
    mask: Array | None = None,
    parts: tuple[int, int] | None = None,
    numbered: bool = False,
    in_order: bool = False,
    other: Array | None = None,
    numbers: tuple[int, ...] | None = None,
) -> View:
    """Return the view of an array, of two, or of what an expression gives, and of its results."""
    map_ = None
    more: tuple[Array, ...] = ()
    arrays: tuple[tuple[int, int, bool], ...] = ()
    swap = not array.dtype.isnative
    if isinstance(array, Fused):
        map_, more, swap = array.map, array.arrays, False
        array = array.leading
    plan = Plan(array, axes, result, other, where, mask, parts, numbered, more, numbers, in_order)
    if map_ is not None:
        arrays = tuple(
            (place, type_of(k.dtype), not k.dtype.isnative)
            for place, k in zip(plan.more, more, strict=True)
        )
    return View(
        plan.addresses,
        plan.first,
        len(plan.kept),
        len(plan.reduced),
        plan.rows(),
        element,
        to,
        swap_element=swap,
        other_element=0 if other is None else type_of(other.dtype),
        swap_other=other is not None and not other.dtype.isnative,
        map=map_,
        arrays=arrays,
    )
