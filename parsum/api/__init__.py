"""The public functions: NumPy's signatures over the monoid's reductions."""

from parsum.api.average import parallel_weighted_mean
from parsum.api.describe import Description, parallel_describe
from parsum.api.logic import parallel_all, parallel_any, parallel_count_nonzero
from parsum.api.moments import (
    parallel_mean,
    parallel_nanmean,
    parallel_nanstd,
    parallel_nanvar,
    parallel_std,
    parallel_var,
)
from parsum.api.order import (
    MinMax,
    parallel_argmax,
    parallel_argmin,
    parallel_max,
    parallel_min,
    parallel_minmax,
    parallel_nanargmax,
    parallel_nanargmin,
    parallel_nanmax,
    parallel_nanmin,
)
from parsum.api.products import (
    parallel_dot,
    parallel_nanprod,
    parallel_norm,
    parallel_prod,
    parallel_vdot,
    parallel_vecdot,
)
from parsum.api.scans import parallel_cumprod, parallel_cumsum
from parsum.api.sums import parallel_nansum, parallel_sum
from parsum.api.toolkit import parallel_reduce

__all__ = [
    "Description",
    "MinMax",
    "parallel_all",
    "parallel_any",
    "parallel_argmax",
    "parallel_argmin",
    "parallel_count_nonzero",
    "parallel_cumprod",
    "parallel_cumsum",
    "parallel_describe",
    "parallel_dot",
    "parallel_max",
    "parallel_mean",
    "parallel_min",
    "parallel_minmax",
    "parallel_nanargmax",
    "parallel_nanargmin",
    "parallel_nanmax",
    "parallel_nanmean",
    "parallel_nanmin",
    "parallel_nanprod",
    "parallel_nanstd",
    "parallel_nansum",
    "parallel_nanvar",
    "parallel_norm",
    "parallel_prod",
    "parallel_reduce",
    "parallel_std",
    "parallel_sum",
    "parallel_var",
    "parallel_vdot",
    "parallel_vecdot",
    "parallel_weighted_mean",
]
