"""Parallel reductions of NumPy arrays: exact, reproducible, free of the GIL, at memory speed."""

from typing import TYPE_CHECKING, Any

from parsum.accumulator import Accumulator
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
from parsum.custom import Reduction
from parsum.engine import get_workers, limit_workers, set_workers
from parsum.fused import Fused
from parsum.reduction import cpu_level, cpu_levels
from parsum.sources import File, Source
from parsum.sources import open_source as open

if TYPE_CHECKING:
    from parsum.compiler import CompileError, cache_folder

__version__ = "0.1.0"

__all__ = [
    "Accumulator",
    "CompileError",
    "Description",
    "File",
    "Fused",
    "MinMax",
    "Reduction",
    "Source",
    "cache_folder",
    "cpu_level",
    "cpu_levels",
    "get_workers",
    "limit_workers",
    "open",
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
    "set_workers",
]


def __getattr__(name: str) -> Any:
    # Of kernels made at run time, whose imports take as long as all others together.
    if name in ("CompileError", "cache_folder"):
        from parsum import compiler

        return getattr(compiler, name)
    raise AttributeError(f"module 'parsum' has no attribute {name!r}")
