"""The command line: reductions of arrays in files, a benchmark, what a bug report needs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields
from importlib import metadata
from typing import Any

import numpy as np

import parsum
from parsum import compiler, engine
from parsum.api.named import FUNCTIONS, OWN_ARGUMENTS

#: What they are called in help.
_SUMMARIES = {
    "all": "whether all elements are true",
    "any": "whether any element is true",
    "argmax": "the index of the first maximum",
    "argmin": "the index of the first minimum",
    "count_nonzero": "how many elements are not zero",
    "describe": "count, NaNs, minimum, maximum, sum, mean, variance, standard deviation",
    "max": "the maximum",
    "mean": "the mean, correctly rounded",
    "min": "the minimum",
    "minmax": "minimum and maximum",
    "norm": "the norm of a vector",
    "prod": "the product",
    "std": "the standard deviation, correctly rounded",
    "sum": "the sum, correctly rounded",
    "var": "the variance, correctly rounded",
}

_LIBRARIES = ("numpy", "cffi", "tqdm", "dask", "h5py", "zarr", "pyarrow", "numba", "matplotlib")

_INTERRUPTED = 130  # as shells have it: 128 and the number of the signal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    options = parser.parse_args(_attached(sys.argv[1:] if arguments is None else arguments))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = _show_warning
            return int(options.run(options))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read has had enough. Python is not to find that out again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        reason = error.strerror or str(error)
        _say(f"{error.filename}: {reason}" if error.filename else reason)
    except (
        ValueError, TypeError, MemoryError, ArithmeticError, ImportError, RuntimeError,
    ) as error:  # fmt: skip
        _say(str(error) or type(error).__name__)
    return 1


def _say(text: str) -> None:
    print(f"parsum: {text}", file=sys.stderr)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _say(f"warning: {message}")


# ---- arguments ----


def _attached(arguments: Sequence[str]) -> list[str]:
    """Return arguments with numbers such as -1,3 put to their option, which they look like one."""
    attached: list[str] = []
    for argument in arguments:
        after = attached[-1] if attached else ""
        if after in ("--shape", "--axis") and re.match(r"-[0-9]", argument):
            attached[-1] = f"{after}={argument}"
        else:
            attached.append(argument)
    return attached


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parsum",
        description="Exact, reproducible reductions of arrays in files, on all cores.",
        epilog="A FILE is a .npy or .npz file, one of raw elements if --dtype is given, an HDF5, "
        "Parquet, Feather or Arrow file, or a Zarr folder. It is read piece by piece: files larger "
        "than memory are no trouble.",
    )
    parser.add_argument("--version", action="version", version=f"parsum {parsum.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in FUNCTIONS:
        plain = name.removeprefix("nan")
        summary = _SUMMARIES[plain] + (" of what is not NaN" if plain != name else "")
        command = commands.add_parser(
            name, help=summary, description=summary[:1].upper() + summary[1:] + "."
        )
        _add_reduction(command, name)
    info = commands.add_parser(
        "info",
        help="versions, CPU and limits",
        description="What a bug report needs: versions, the CPU level, the CPUs that may be used.",
    )
    info.add_argument("--json", action="store_true", help="print JSON")
    info.set_defaults(run=_info)
    _add_bench(
        commands.add_parser(
            "bench",
            help="how fast this machine reads, NumPy, its peers and parsum reduce",
            description="Time a reduction by NumPy, parsum and the other libraries that are "
            "installed, side by side, and a plain read of the memory.",
        )
    )
    return parser


def _add_reduction(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("file", metavar="FILE", help="the array")
    command.add_argument(
        "--axis", type=_integers, help="the axis to reduce, or several: 0,2 (default: all)"
    )
    command.add_argument(
        "--member", help="which array of a .npz, HDF5 or Zarr file, which column of a table"
    )
    command.add_argument(
        "--where-finite", action="store_true", help="leave out infinities, NaN and NaT"
    )
    raw = command.add_argument_group("raw elements")
    raw.add_argument("--dtype", help="their dtype, such as float32 or '>i4'")
    raw.add_argument("--shape", type=_integers, help="their shape, such as 100,-1 (default: -1)")
    raw.add_argument("--offset", type=int, default=0, help="where they begin, in bytes")
    raw.add_argument("--order", choices="CF", default="C", help="which axis varies fastest")
    command.add_argument("--workers", type=int, help="at most so many threads (default: all CPUs)")
    command.add_argument("--method", choices=("exact", "fast"), default="exact")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    own = OWN_ARGUMENTS.get(name, {})
    if "ddof" in own:
        command.add_argument("--ddof", type=float, default=0, help="divide by N - DDOF")
    if "moments" in own:
        command.add_argument("--moments", type=int, choices=(2, 4), default=2)
    if "ord" in own:
        command.add_argument("--ord", type=float, help="the order of the norm (default: 2)")
    command.set_defaults(run=_reduce, name=name)


def _add_bench(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--sizes", type=_sizes, help="bytes of the arrays, such as 1e3,1e6 (default: 1 kB to 1 GB)"
    )
    command.add_argument(
        "--workers", type=_integers, help="threads, such as 1,2,4 (default: 1, 2, 4, ... all CPUs)"
    )
    command.add_argument("--dtype", default="float64", help="that of the elements")
    command.add_argument("--operation", default="sum", help="the reduction, such as max or var")
    command.add_argument(
        "--seconds", type=float, help="for each measurement (default: 0.1, half a minute in all)"
    )
    command.add_argument("--no-peers", action="store_true", help="NumPy and parsum alone")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--plot", metavar="FILE", help="draw a picture too (needs matplotlib)")
    command.set_defaults(run=_bench)


def _sizes(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be bytes, such as 1e3,1e6, got {text!r}") from None


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be integers, such as 0,2, got {text!r}") from None


# ---- reductions ----


def _reduce(options: argparse.Namespace) -> int:
    source = parsum.open(
        options.file, member=options.member, dtype=options.dtype, shape=options.shape,
        offset=options.offset, order=options.order,
    )  # fmt: skip
    keywords: dict[str, Any] = {"workers": options.workers, "method": options.method}
    for own in OWN_ARGUMENTS.get(options.name, {}):
        keywords[own] = getattr(options, own)
    if options.axis is not None:
        keywords["axis"] = options.axis[0] if len(options.axis) == 1 else options.axis
    keywords["progress"] = not options.quiet and sys.stderr.isatty() and _has_tqdm()
    result = FUNCTIONS[options.name](
        source.finite() if options.where_finite else source, **keywords
    )
    if options.json:
        described = {
            "file": options.file,
            "operation": options.name,
            "dtype": str(source.dtype),
            "shape": list(source.shape),
            "result": _plain(result),
        }
        print(json.dumps(described))
    else:
        print(_shown(result))
    return 0


def _has_tqdm() -> bool:
    try:
        import tqdm.auto  # noqa: F401
    except ImportError:
        return False
    return True


def _shown(result: Any) -> str:
    """Return a result as text: the shortest that is read back as the same number."""
    if isinstance(result, tuple):
        return "\n".join(map(_shown, result))
    if isinstance(result, parsum.Description):
        return str(result)
    array = np.asarray(result)
    rows = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(-1, 1)
    return "\n".join(" ".join(map(str, row)) for row in rows)


def _plain(result: Any) -> Any:
    """Return a result as what JSON has; numbers that are none are text."""
    if isinstance(result, parsum.Description):
        return {
            field.name: _plain(getattr(result, field.name))
            for field in fields(result)
            if getattr(result, field.name) is not None
        }
    if isinstance(result, parsum.MinMax):
        return {"min": _plain(result.min), "max": _plain(result.max)}
    if np.ndim(result):
        return [_plain(part) for part in result]
    number = np.asarray(result)[()]
    if number.dtype.kind == "c":
        return [_plain(number.real), _plain(number.imag)]
    if number.dtype.kind == "f":
        return float(number) if np.isfinite(number) else str(number)
    return str(number) if number.dtype.kind in "mM" else number.item()


# ---- how fast it is ----


def _bench(options: argparse.Namespace) -> int:
    from parsum.bench.command import run

    return run(options)


# ---- what a bug report needs ----


def _info(options: argparse.Namespace) -> int:
    about = {
        "parsum": parsum.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "cpu level": parsum.cpu_level(),
        "cpu levels": ", ".join(parsum.cpu_levels()),
        "cpus": str(os.cpu_count()),
        "cpus allowed": str(engine.available_cpus()),
        "cpus by affinity": _affinity(),
        "cpus by cgroup quota": str(engine.cgroup_quota() or "no limit"),
        "workers by default": str(parsum.get_workers()),
        "kernel cache": str(parsum.cache_folder()),
        "compiler": _compiler(),
    }
    for library in _LIBRARIES:
        try:
            about[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            about[library] = "not installed"
    if options.json:
        print(json.dumps(about))
        return 0
    width = max(map(len, about))
    print("\n".join(f"{name:{width}}  {text}" for name, text in about.items()))
    return 0


def _affinity() -> str:
    if not hasattr(os, "sched_getaffinity"):
        return "not known"
    return str(len(os.sched_getaffinity(0)))


def _compiler() -> str:
    try:
        return compiler.version()
    except parsum.CompileError as error:
        return f"none: {error}"
