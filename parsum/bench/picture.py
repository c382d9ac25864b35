"""Draws what was measured: speed over size, and over workers for the largest array."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from parsum.bench.contestants import EXACT, FAST, READ
from parsum.bench.entries import Entry, disturbance
from parsum.bench.machine import caches, size_text

Styles = Mapping[str, tuple[str, str]]

_INCHES, _DPI = (16, 9), 100
INK, FAINT, GRID = "#1f2430", "#8a91a0", "#e6e8ee"
#: Bars of more groups are too thin for their names.
_LABELLED = 3
#: parsum stands out; the others are told apart, and told from it, by colour and by their marks.
_OWN = {EXACT: ("#d7263d", "o"), FAST: ("#f58a07", "o"), READ: (INK, "")}
_OTHERS = [
    ("#2f6fb0", "s"), ("#7fb0dc", "D"), ("#2a9d78", "^"), ("#8e6bbf", "v"), ("#9c7a4d", "P"),
    ("#5b9ea6", "X"), ("#b5739d", "<"), ("#6b8e3d", ">"), ("#777f8f", "*"), ("#c2a83e", "p"),
    ("#3b4a8c", "h"), ("#a3543c", "d"), ("#58b368", "H"), ("#c07fd6", "8"), ("#3f3f46", "1"),
]  # fmt: skip


def check_picture(path: str) -> None:
    """Make sure that a picture can be drawn and written there, before any time is spent.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the name does not end in a format that it knows.
    OSError
        If no file can be written there.
    """
    formats = new_figure(*_INCHES).canvas.get_supported_filetypes()
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending not in formats:
        known = ", ".join(f".{name}" for name in sorted(formats))
        raise ValueError(f"plot must end in one of {known}, got {path!r}")
    there = os.path.lexists(path)
    with open(path, "ab"):
        pass
    if not there:
        os.unlink(path)


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of so many inches.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        figure = import_module("matplotlib.figure")
        backend = import_module("matplotlib.backends.backend_agg")
    except ImportError:
        raise ImportError("plot needs matplotlib: pip install matplotlib") from None
    made = figure.Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    backend.FigureCanvasAgg(made)
    return made


def styles_of(names: Iterable[str]) -> Styles:
    """Return a colour and a mark for each contestant, by name."""
    names = list(names)
    others = iter(_OTHERS * (1 + len(names) // len(_OTHERS)))
    return {name: _OWN.get(name) or next(others) for name in names}


def draw(path: str, entries: Sequence[Entry], about: dict[str, Any], what: str) -> None:
    """Draw the entries of a benchmark into a file of 1600 x 900 pixels."""
    figure = new_figure(*_INCHES)
    names = list(dict.fromkeys(entry.contestant for entry in entries))
    styles = styles_of(names)
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    cpus = f"{about['cpus allowed']} CPU{'s' * (about['cpus allowed'] > 1)}"
    disturbed = f"; disturbed: {text}" if (text := disturbance(entries)) else ""
    figure.text(0.05, 0.935, f"How fast is {what}?", size=27, weight="bold", color=INK)
    figure.text(
        0.05, 0.868, f"{about['cpu']}, {cpus}, {about['system']}{disturbed}\n{versions}", size=12.5,
        color=FAINT, linespacing=1.4,
    )  # fmt: skip
    _draw_sizes(figure.add_axes((0.055, 0.09, 0.44, 0.69)), entries, styles)
    _draw_key(figure.add_axes((0.505, 0.09, 0.23, 0.69)), entries, styles)
    _draw_workers(figure.add_axes((0.78, 0.09, 0.21, 0.69)), entries, styles)
    figure.savefig(path)


def _most_threads(entries: Sequence[Entry], name: str) -> list[Entry]:
    """Return the entries of a contestant with the most threads that it has, by size."""
    own = [entry for entry in entries if entry.contestant == name]
    most = max(entry.workers for entry in own)
    return sorted((k for k in own if k.workers == most), key=lambda entry: entry.size)


def line_style(name: str, styles: Styles) -> dict[str, Any]:
    """Return how a contestant's line is drawn."""
    colour, mark = styles[name]
    if name == READ:
        return {"color": colour, "linestyle": "--", "linewidth": 2.2, "zorder": 4}
    line = {"color": colour, "marker": mark, "linewidth": 1.6, "markersize": 6, "zorder": 3}
    if name in _OWN:
        order = 6 if name == EXACT else 5
        line |= {"linewidth": 4, "markersize": 9, "markeredgecolor": "white", "zorder": order}
    return line


def _draw_sizes(axes: Any, entries: Sequence[Entry], styles: Styles) -> None:
    """Draw GB/s over the size, each contestant with the most threads that it has."""
    most = max(entry.workers for entry in entries)
    _prepare(axes, f"by size, with up to {_threads(most)}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for name in styles:
        line = _most_threads(entries, name)
        axes.plot([k.size for k in line], [k.rate for k in line], **line_style(name, styles))
    low, high = axes.get_xlim()
    for name, size in caches().items():
        if low < size < high:
            axes.axvline(size, color=FAINT, linewidth=1, alpha=0.5, zorder=1)
            axes.text(
                size, 1.0, f" {name}", size=13, color=FAINT, va="top",
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    sizes = sorted({entry.size for entry in entries})
    decades = [10**k for k in range(19) if low <= 10**k <= high]
    ticks = decades if len(decades) > 1 else sizes
    axes.set_xticks(ticks, [size_text(size) for size in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _draw_key(axes: Any, entries: Sequence[Entry], styles: Styles) -> None:
    """Say which line is whose, and the figures of the largest array."""
    largest = {name: _most_threads(entries, name)[-1] for name in styles}
    size = max(entry.size for entry in entries)
    columns = [(0.7, "GB/s", "rate"), (0.83, "ulps", "ulps"), (1.0, "results", "results")]
    columns = [
        column for column in columns
        if any(getattr(entry, column[2]) is not None for entry in largest.values())
    ]  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    axes.set_title(f"{size_text(size)} in figures", loc="left", size=17, color=INK, pad=12)
    for place, title, _ in columns:
        axes.text(place, 0.985, title, ha="right", va="center", size=12, color=FAINT)
    step = min(0.06, 0.9 / len(styles))
    for row, name in enumerate(sorted(styles, key=lambda k: -largest[k].rate), 1):
        y = 0.985 - row * step
        axes.plot([0.0, 0.055, 0.11], [y] * 3, markevery=[1], **line_style(name, styles))
        weight = "bold" if name in (EXACT, FAST) else "normal"
        axes.text(0.135, y, name, va="center", size=12.5, color=INK, weight=weight)
        for place, _, figure in columns:
            value = getattr(largest[name], figure)
            text = "" if value is None else f"{value:.3g}"
            axes.text(place, y, text, ha="right", va="center", size=12.5, color=INK, weight=weight)
    notes = []
    if any(entry.ulps is not None for entry in entries):
        notes.append("ulps: how far from the exact sum, rounded")
    if any(entry.results is not None for entry in entries):
        notes.append("results: distinct ones over all numbers of threads")
    bottom = 0.985 - (len(styles) + 1) * step
    axes.text(0.0, bottom, "\n".join(notes), va="top", size=11.5, color=FAINT, linespacing=1.5)


def _draw_workers(axes: Any, entries: Sequence[Entry], styles: Styles) -> None:
    """Draw bars of the largest array: a group for each number of threads."""
    size = max(entry.size for entry in entries)
    entries = [entry for entry in entries if entry.size == size]
    workers = sorted({entry.workers for entry in entries})
    _prepare(axes, f"of {size_text(size)}, by threads")
    place, ticks = 0.0, []
    for number in workers:
        group = [entry for entry in entries if entry.workers == number]
        begin = place
        for entry in sorted(group, key=lambda entry: -entry.rate):
            name = entry.contestant
            if name == READ:
                continue
            own = name in _OWN
            colour = styles[name][0]
            axes.bar(place, entry.rate, width=0.88, color=colour, alpha=1 if own else 0.6)
            if len(workers) <= _LABELLED:
                axes.text(
                    place, 0, f"  {name}  {entry.rate:.3g}", ha="center", va="bottom",
                    rotation=90, size=11.5, color="white" if own else INK,
                    weight="bold" if own else "normal",
                )  # fmt: skip
            place += 1
        for entry in group:
            if entry.contestant == READ:
                line = line_style(READ, styles)
                axes.plot([begin - 0.6, max(place, begin + 1) - 0.4], [entry.rate] * 2, **line)
        ticks.append((begin + place - 1) / 2)
        place += 1
    few = len(workers) <= _LABELLED
    axes.set_xticks(ticks, [_threads(number) if few else str(number) for number in workers])
    axes.tick_params(axis="x", length=0)


def _threads(number: int) -> str:
    return f"{number} thread{'s' * (number > 1)}"


def _prepare(axes: Any, title: str) -> None:
    axes.set_title(f"GB/s {title}", loc="left", size=17, color=INK, pad=12)
    prepare_axes(axes, 13.5)


def prepare_axes(axes: Any, size: float) -> None:
    """Give axes faint lines and letters of a size."""
    axes.tick_params(labelsize=size, colors=INK)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
