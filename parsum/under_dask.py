"""Whether Dask has to do with an array or with this thread, asked without importing Dask."""

from __future__ import annotations

import sys
from typing import Any


def is_lazy(*arrays: Any) -> bool:
    """Tell whether any of these is an array of Dask's, whose elements are yet to be computed."""
    module = sys.modules.get("dask.array")
    # Nobody has such an array while the module is still being imported.
    kind = getattr(module, "Array", None)
    return kind is not None and any(isinstance(array, kind) for array in arrays)


def task_threads() -> int | None:
    """Return how many threads the Dask worker has whose task runs here; None if there is none."""
    module = sys.modules.get("distributed.worker")
    get_worker = getattr(module, "get_worker", None)
    if get_worker is None:
        return None
    try:
        return int(get_worker().state.nthreads)
    except ValueError:
        return None
