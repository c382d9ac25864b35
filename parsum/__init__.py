"""Parallel reductions of NumPy arrays: exact, reproducible, free of the GIL, at memory speed."""

from parsum.api import parallel_sum
from parsum.engine import get_workers, limit_workers, set_workers
from parsum.reduction import cpu_level, cpu_levels

__version__ = "0.1.0"

__all__ = [
    "cpu_level",
    "cpu_levels",
    "get_workers",
    "limit_workers",
    "parallel_sum",
    "set_workers",
]
