"""Runs pieces of Python and scripts in processes of their own, for tests of whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

TESTS = Path(__file__).parent


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment with changes; None takes a variable out. Tests' modules import."""
    env = dict(os.environ)
    # A package that is installed must not be hidden by the source tree, nor the other way about.
    env["PYTHONPATH"] = os.pathsep.join([*(p for p in sys.path if p), str(TESTS)])
    for name in ("PARSUM_WORKERS", "PARSUM_CPU_LEVEL"):
        env.pop(name, None)
    for name, value in changes.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def run(
    code: str, *args: str, timeout: float = 120, **env: str | None
) -> subprocess.CompletedProcess[str]:
    """Runs the code with warnings as errors and gives back what it printed and its exit status."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**env),
        check=False,
    )


def output(code: str, *args: str, timeout: float = 120, **env: str | None) -> str:
    """The same for code that must succeed: what it printed."""
    done = run(code, *args, timeout=timeout, **env)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def script(
    path: str, *args: object, status: int = 0, **env: str | None
) -> subprocess.CompletedProcess[str]:
    """The same for a script of the project that must end with this status."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(TESTS.parent / path), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(**env),
        check=False,
    )
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done
