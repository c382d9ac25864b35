"""The command line, the run and the summary that benchmark programs share.

Sizes are in binary units (256 MB is 2**28 bytes), rates in 10**9 bytes a second. A bound that is
missed is reported, never an error: times are the machine's as much as the library's. A call that
raises is one.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from contestants import SETTLE
from harness import HEADER, Row, Verdict, judge, lines, measure_in_peace

from parsum.bench.machine import machine
from parsum.bench.timing import DISTURBED, Effort, warm_up

BIG = 2**28
QUICK_BIG = 2**24


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that all programs have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="16 MB arrays and few rounds: shows that everything runs, not how fast",
    )
    parser.add_argument(
        "--only", metavar="PATTERN", default="", help='a regular expression for "group/row"'
    )
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="time each row so long (default 1.5)"
    )
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=0,
        help="wait, and time rows again, for so long in all, while other processes take CPU time",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    return parser


class Run:
    """One run of a program: what its options ask for, and what has come out so far."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.arguments = parser.parse_args()
        self._parser = parser
        only = self.arguments.only
        try:
            self._pattern = re.compile(only)
        except re.error as error:
            parser.error(f"--only must be a regular expression, got {only!r}: {error}")
        quick = self.arguments.quick
        self.big = QUICK_BIG if quick else BIG
        self._effort = Effort(0.05, 3) if quick else Effort(self.arguments.seconds, 5)
        self._patience = self.arguments.patience
        self._start = time.perf_counter()
        self._about: dict[str, Any] = {}
        self._report: list[dict[str, Any]] = []
        self._judged: list[tuple[str, Verdict, bool]] = []
        self._failures: list[str] = []

    def wants(self, name: str) -> bool:
        return bool(self._pattern.search(name))

    def choose(self, rows: Iterable[Row], *others: str) -> list[Row]:
        """Return the rows that are asked for; end the program if nothing is, nor of the others."""
        chosen = [row for row in rows if self.wants(f"{row.group}/{row.name}")]
        if not chosen and not any(map(self.wants, others)):
            self._parser.error(f"--only must match a row, got {self.arguments.only!r}")
        return chosen

    def introduce(self, packages: tuple[str, ...], absent: Mapping[str, str]) -> None:
        """Print what is measured where, and what is left out."""
        about = self._about = machine(packages)
        print(f"{about['cpu']}, {about['cpus allowed']} CPUs allowed, {about['system']}")
        print(f"CPU level {about['parsum.cpu_level']}, load before {about['load before']}")
        print(", ".join(f"{name} {number}" for name, number in about["versions"].items()))
        for name, reason in absent.items():
            print(f"left out: {name} ({reason})")
        if self.arguments.quick:
            print("quick: arrays that fit in cache and few rounds; ratios mean little")

    def time(self, rows: Iterable[Row], titles: Mapping[str, str]) -> None:
        """Time the rows and print them, those of a group under its title."""
        group = ""
        for row in rows:
            if row.group != group:
                group = row.group
                print(f"\n{titles[group]}\n{HEADER}")
            # What NumPy says of overflow and of slices that are all NaN would cost it time.
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                self._time(row)

    def _time(self, row: Row) -> None:
        a = row.data()
        name = f"{row.group}/{row.name}"
        calls: dict[str, Callable[[], Any]] = {}
        loops: dict[str, int] = {}
        for who, contestant in row.contestants.items():
            call = contestant(a, **row.options)
            try:
                loops[who] = warm_up(call)
            except Exception as error:
                failure = f"{name}: {who}: {type(error).__name__}: {error}"
                print(f"failed: {failure}", flush=True)
                self._failures.append(failure)
            else:
                calls[who] = call
        began = time.perf_counter()
        timings, others = measure_in_peace(
            calls, loops, self._effort * row.effort, SETTLE, began + self._patience
        )
        self._patience -= time.perf_counter() - began
        verdicts = [v for bound in row.bounds if (v := judge(bound, timings, a.nbytes))]
        print("\n".join(lines(row, timings, verdicts, a.nbytes, others)), flush=True)
        disturbed = others is not None and others > DISTURBED
        self._judged += [(name, verdict, disturbed) for verdict in verdicts]
        self._report.append(
            {
                "group": row.group,
                "row": row.name,
                "bytes": a.nbytes,
                "cpus taken by others": others,
                "seconds": {name: asdict(timing) for name, timing in timings.items()},
                "bounds": [
                    {
                        "subject": v.bound.subject,
                        "bound": v.note,
                        "ratio": v.ratio,
                        "needed": v.needed,
                        "met": v.word,
                    }
                    for v in verdicts
                ],
            }
        )

    def conclude(self, **more: Any) -> None:
        """Print the summary, write the JSON file; end with status 1 if a call has raised."""
        words = [verdict.word for _, verdict, _ in self._judged]
        print(
            f"\nbounds on time: {words.count('yes')} met, {words.count('close')} close "
            f"(less than 3% short), {words.count('NO')} missed; "
            f"{time.perf_counter() - self._start:.0f} s in all"
        )
        for name, v, disturbed in sorted(self._judged, key=lambda it: it[1].ratio / it[1].needed):
            if v.word == "NO":
                why = " (disturbed)" if disturbed else ""
                print(f"  missed: {name}: {v.bound.subject} {v.ratio:.2f}, {v.note}{why}")
        if self.arguments.json:
            content = {
                "machine": self._about,
                "quick": self.arguments.quick,
                "rows": self._report,
                "failures": self._failures,
                **more,
            }
            self.arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        if self._failures:
            raise SystemExit(f"{len(self._failures)} calls failed, see above")
