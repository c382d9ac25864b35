"""Descriptive statistics of an array in one pass over memory, as a result with named fields."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from parsum.api.arguments import (
    NO_VALUE,
    Array,
    Axis,
    DType,
    Method,
    Progress,
    as_array,
    check_options,
    located,
)
from parsum.api.call import Operation, native, reduce
from parsum.api.documents import documented
from parsum.api.moments import divisor
from parsum.under_dask import is_lazy

_DESCRIBE = Operation("describe", "describe", "biuf")
_DESCRIBE_SHAPE = Operation("describe", "describe_shape", "biuf")
_FLOAT64 = np.dtype(np.float64)
_INT64 = np.dtype(np.int64)
_UINT64 = np.dtype(np.uint64)

#: Most lines of a table; longer results are printed as arrays.
_TABLE_ROWS = 20


@dataclass(frozen=True, slots=True)
class Description:
    """What :func:`parallel_describe` gives: each field a scalar, or an array of the kept axes.

    Attributes
    ----------
    count : int or ndarray
        Elements that are not NaN; all other fields are of these.
    nans : int or ndarray
        Elements that are NaN.
    min, max : scalar or ndarray
        The least and the greatest, of the dtype of the elements; NaN (0 for integers) of none.
    sum, mean, var, std : float or ndarray
        In float64, correctly rounded.
    skew, kurtosis : float or ndarray or None
        The third and fourth standardised moments, the latter less 3 (that of a normal
        distribution), correctly rounded; None unless they were asked for.
    """

    count: Any
    nans: Any
    min: Any
    max: Any
    sum: Any
    mean: Any
    var: Any
    std: Any
    skew: Any = None
    kurtosis: Any = None

    def __str__(self) -> str:
        if is_lazy(self.count):
            return repr(self)
        columns = {
            field.name: np.asarray(getattr(self, field.name))
            for field in fields(self)
            if getattr(self, field.name) is not None
        }
        shape = columns["count"].shape
        if not shape:
            width = max(map(len, columns))
            return "\n".join(f"{name:{width}}  {value[()]!s}" for name, value in columns.items())
        if columns["count"].size > _TABLE_ROWS:
            return "\n".join(f"{name}: {value!s}" for name, value in columns.items())
        places = [", ".join(map(str, place)) for place in np.ndindex(*shape)]
        table = [["", *columns]]
        for row, place in enumerate(places):
            table.append([place, *(f"{value.flat[row]:.10g}" for value in columns.values())])
        widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in table
        )


@documented
def parallel_describe(
    a: ArrayLike,
    axis: Axis = None,
    *,
    ddof: float = 0,
    moments: int = 2,
    keepdims: bool = False,
    where: ArrayLike = True,
    workers: int | None = None,
    method: Method = "exact",
    executor: ThreadPoolExecutor | None = None,
    progress: Progress = None,
) -> Description:
    """Count, NaNs, minimum, maximum, sum, mean, variance and standard deviation in one pass.

    NaN elements are counted and left out of all else.

    Parameters
    ----------
    a : array_like
        Bool, integers or floats up to float64.
    {axis}
    {ddof}
    moments : {2, 4}, optional
        4 for skewness and excess kurtosis too, which takes several times as long.
    {keepdims}
    {where}
    {running}

    Returns
    -------
    Description
        A result with named fields that prints as a table.

    Raises
    ------
    {raises}
    {float_errors}

    Notes
    -----
    Sums of powers are exact and what comes of them is rounded once, to float64. The variance is NaN
    where no more than `ddof` elements are left.

    Examples
    --------
    >>> import numpy as np
    >>> from parsum import parallel_describe
    >>> print(parallel_describe(np.array([1.0, 2.0, np.nan, 4.0])))
    count  3
    nans   1
    min    1.0
    max    4.0
    sum    7.0
    mean   2.3333333333333335
    var    1.5555555555555556
    std    1.247219128924647
    """
    options = check_options(workers, method, executor, progress)
    number = divisor(ddof)
    a = located(a)
    dtype = as_array(a)[0].dtype
    if dtype.char == "g":
        raise TypeError(
            "a must be of bool, integers and floats up to float64, got dtype longdouble"
        )
    operation, values = operation_of(moments)
    record = reduce(
        operation, a, axis, lambda _: _FLOAT64, None, keepdims, NO_VALUE, where, options,
        parameter=number, values=values,
    )  # fmt: skip
    if not is_lazy(record):
        record = np.asarray(np.ma.getdata(record))
    return description(record, dtype)


def operation_of(moments: Any) -> tuple[Operation, int]:
    """Return the operation up to those moments, and how many values it has."""
    if moments not in (2, 4):
        raise ValueError(f"moments must be 2 or 4, got {moments!r}")
    return (_DESCRIBE, 8) if moments == 2 else (_DESCRIBE_SHAPE, 10)


def description(record: Array, dtype: DType) -> Description:
    """Take a record of doubles apart; the ends of integers are integers in their places."""
    ends = record[..., 2:4]
    if dtype.kind in "biu":
        ends = ends.view(_UINT64 if dtype.kind == "u" else _INT64)
    ends = ends.astype(native(dtype))
    counts = record[..., :2].astype(np.intp)
    fields = [counts[..., 0], counts[..., 1], ends[..., 0], ends[..., 1]]
    fields += [record[..., k] for k in range(4, record.shape[-1])]
    return Description(*(field[()] for field in fields))
