"""Draws the timelines of the threads: who is in C, and when plain Python makes progress."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compare import Timeline
    from ways import Way

INK, FAINT, PYTHON = "#1f2430", "#8a91a0", "#e0a030"
RELEASED, HELD = "#2f6fb0", "#d7263d"


def check(path: str) -> None:
    """Make sure that a picture can be drawn, before any time is spent."""
    try:
        import_module("matplotlib")
    except ImportError:
        sys.exit("four_ways: --plot needs matplotlib: pip install parsum[bench]")
    if Path(path).suffix.lower() != ".png":
        sys.exit(f"four_ways: --plot must end in .png, got {path!r}")


def draw(path: str, drawn: Sequence[tuple[Way, Timeline, int, float]], about: str) -> None:
    """Draw a panel for each way, all of one scale of time."""
    figure = import_module("matplotlib.figure").Figure(figsize=(16, 9), dpi=100, facecolor="white")
    import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    figure.text(
        0.02, 0.94, "May Python run on while C reads an array?", size=26, weight="bold", color=INK
    )
    figure.text(
        0.02, 0.895, "Two threads call one C function at the same moment; a third counts in "
        f"Python every millisecond, a line each time that it could. {about}.",
        size=13, color=FAINT,
    )  # fmt: skip
    most = max(line.end - line.begin for _, line, _, _ in drawn)
    for row, (way, line, iterations, gain) in enumerate(drawn):
        bottom = 0.7 - 0.208 * row
        axes = figure.add_axes((0.27, bottom, 0.51, 0.16))
        draw_panel(axes, way, line, most)
        if row + 1 == len(drawn):
            axes.set_xlabel("milliseconds", size=12, color=INK)
        else:
            axes.set_xticklabels([])
        colour, verb = colour_and_verb(way)
        figure.text(0.02, bottom + 0.095, way.name, size=17, weight="bold", color=colour)
        figure.text(0.02, bottom + 0.06, f"{verb} the GIL", size=13, color=INK)
        many = f"{iterations / 1e6:.3g} million" if iterations >= 100_000 else f"{iterations:,}"
        for y, text, note in (
            (0.14, f"{many} iterations", "of a busy thread, during one call"),
            (0.082, f"{line.together:.0%} of the time", "both threads are in C"),
            (0.024, f"{gain:.2f} times as fast", "two threads, to one after the other"),
        ):
            figure.text(0.8, bottom + y, text, size=14, weight="bold", color=colour)
            figure.text(0.8, bottom + y - 0.024, note, size=11.5, color=FAINT)
    figure.savefig(path)


def colour_and_verb(way: Way) -> tuple[str, str]:
    return (RELEASED, "releases") if way.releases else (HELD, "holds")


def draw_panel(axes: Any, way: Way, line: Timeline, most: float) -> None:
    """Draw the two threads in C as bars, and the moments of the third as lines."""
    before, after = 1e3 * most * -0.03, 1e3 * most * 1.03
    moments = [1e3 * (moment - line.begin) for moment in line.moments]
    axes.vlines([k for k in moments if before < k < after], 0.1, 0.85, color=PYTHON, linewidth=0.9)
    colour, _ = colour_and_verb(way)
    for number, (begin, end) in enumerate(line.visits):
        start, length = 1e3 * (begin - line.begin), 1e3 * (end - begin)
        middle = 2.5 - number
        axes.barh(middle, length, left=start, height=0.75, color=colour)
        axes.text(
            start + length / 2, middle, f"in C, {length:.0f} ms", size=12, color="white",
            ha="center", va="center_baseline",
        )  # fmt: skip
    axes.set_yticks([2.5, 1.5, 0.48], ["thread 1", "thread 2", "Python thread"])
    axes.set_xlim(before, after)
    axes.set_ylim(0, 3)
    axes.tick_params(labelsize=12.5, colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
