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
from contestants import SETTLE, Call, Contestant
from harness import (
    Row,
    Verdict,
    Way,
    figures,
    header,
    judge,
    lines,
    measure_in_peace,
    threads_of,
)

from parsum.bench.field import expected_seconds
from parsum.bench.machine import machine
from parsum.bench.timing import DISTURBED, Effort, warm_up

BIG = 2**28
QUICK_BIG = 2**24
#: A call of a peer that would take more seconds is left out.
LIMIT, QUICK_LIMIT = 1.0, 0.1


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


def _way(who: str, contestant: Contestant | Way) -> Way:
    if isinstance(contestant, Way):
        return contestant
    return Way(contestant, settle=SETTLE.get(who, 0.0), threads=threads_of(who), name=who)


def _after(before: Callable[[], object] | None, call: Call) -> Call:
    """Return the call with what is to be done before it."""
    return call if before is None else lambda: (before(), call())[1]


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
                print(f"\n{titles[group]}\n{header(row)}")
            # What NumPy says of overflow and of slices that are all NaN would cost it time.
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                self._time(row)

    def _time(self, row: Row) -> None:
        a = row.data()
        name = f"{row.group}/{row.name}"
        entrants = row.entrants()
        left_out = dict(entrants.left_out)
        calls: dict[str, Call] = {}
        loops: dict[str, int] = {}
        ways = {who: _way(who, contestant) for who, contestant in entrants.ways.items()}
        for who, way in ways.items():
            if reason := self._too_slow(way, a, row):
                left_out[who] = reason
                continue
            try:
                call = way.prepare(a, **row.options)
                loops[who] = warm_up(call, way.before)
            except Exception as error:
                self.fail(f"{name}: {who}: {type(error).__name__}: {error}")
            else:
                calls[who] = call
        ways = {who: ways[who] for who in calls}
        began = time.perf_counter()
        timings, others = measure_in_peace(
            calls,
            loops,
            self._effort * row.effort,
            {who: way.settle for who, way in ways.items() if way.settle},
            began + self._patience,
            {who: way.before for who, way in ways.items() if way.before},
        )
        self._patience -= time.perf_counter() - began
        timings = {who: t.shared(ways[who].times(a.nbytes)) for who, t in timings.items()}
        told = figures(timings, {who: way.threads for who, way in ways.items()}, a.nbytes)
        for title, column in row.columns.items():
            ready = {who: _after(ways[who].before, call) for who, call in calls.items()}
            for who, figure in column(a, ready).items():
                told[who][title] = figure
        verdicts = [v for bound in row.bounds if (v := judge(bound, timings, a.nbytes))]
        print("\n".join(lines(row, timings, told, verdicts, left_out, others)), flush=True)
        disturbed = others is not None and others > DISTURBED
        self._judged += [(name, verdict, disturbed) for verdict in verdicts]
        self._report.append(
            {
                "group": row.group,
                "row": row.name,
                "bytes": a.nbytes,
                "cpus taken by others": others,
                "seconds": {name: asdict(timing) for name, timing in timings.items()},
                "figures": told,
                "contestants": {
                    who: {"name": way.name, "threads": way.threads, "library": way.library}
                    for who, way in ways.items()
                },
                "left out": left_out,
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

    def _too_slow(self, way: Way, a: np.ndarray, row: Row) -> str:
        """Say how long a call of a peer would take, if that is too long."""
        if not way.library or a.ndim != 1:
            return ""
        try:
            seconds = expected_seconds(a, lambda p: way.prepare(p, **row.options), way.before)
        except Exception:  # it fails on the whole array too, where that is told
            return ""
        limit = QUICK_LIMIT if self.arguments.quick else LIMIT
        return f"a call would take {seconds:.2g} s" if seconds > limit else ""

    def fail(self, failure: str) -> None:
        """Tell of a call that has raised."""
        print(f"failed: {failure}", flush=True)
        self._failures.append(failure)

    def tell(self, group: str, name: str, **content: Any) -> None:
        """Put what was not timed with the figures that are written."""
        self._report.append({"group": group, "row": name, "seconds": {}, "bounds": [], **content})

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
