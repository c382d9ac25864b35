"""What a benchmark says of the machine: its CPU, caches and free memory, versions of packages."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import parsum
from parsum.engine import available_cpus

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_CGROUP = Path("/sys/fs/cgroup")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def cpu_model() -> str:
    """Return what the CPU calls itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine(packages: tuple[str, ...]) -> dict[str, Any]:
    """Describe the machine and the versions of packages, those that are installed."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    versions["parsum"] = parsum.__version__
    return {
        "cpu": cpu_model(),
        "cpus of the machine": os.cpu_count(),
        "cpus allowed": available_cpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "load before": [round(load, 2) for load in os.getloadavg()],
        "parsum.cpu_level": parsum.cpu_level(),
        "versions": versions,
    }


def caches() -> dict[str, int]:
    """Return the bytes of each level of data caches that the first CPU has, L1 first."""
    found = {}
    for folder in sorted(_CACHES.glob("index*")):
        try:
            level, kind, size = (
                (folder / name).read_text(encoding="ascii").strip()
                for name in ("level", "type", "size")
            )
        except (OSError, ValueError):
            continue
        match = re.fullmatch(r"([0-9]+)([KMG]?)", size)
        if kind != "Instruction" and match:
            found[f"L{level}"] = int(match[1]) * _UNITS[match[2]]
    return found


def free_memory() -> int | None:
    """Return the bytes that new arrays may take, also in a container; None if not known."""
    free = []
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        free.append(1024 * int(re.findall(r"^MemAvailable: *([0-9]+) kB", text, re.MULTILINE)[0]))
    except (OSError, IndexError):
        pass
    try:
        most, now = (
            int((_CGROUP / f"memory.{name}").read_text(encoding="ascii"))
            for name in ("max", "current")
        )
        free.append(max(0, most - now))
    except (OSError, ValueError):  # no such file, or "max", which is no limit
        pass
    return min(free, default=None)


def size_text(size: int) -> str:
    """Return a number of bytes as a person writes it.

    Examples
    --------
    >>> from parsum.bench.machine import size_text
    >>> size_text(4_000), size_text(1_000_000_000)
    ('4 kB', '1 GB')
    """
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} B"
