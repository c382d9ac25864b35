"""Draws what compare.py has measured, for the README and the documents, or prints tables of it.

    python benchmarks/report.py FILE.json [--out DIRECTORY] [--format svg|png]
    python benchmarks/report.py FILE.json --table

What is not in the file, because of --only, is not drawn.
"""

from __future__ import annotations

import argparse
import json
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from parsum.bench.contestants import EXACT, FAST, READ
from parsum.bench.machine import size_text
from parsum.bench.picture import (
    FAINT,
    INK,
    Styles,
    line_style,
    new_figure,
    prepare_axes,
    styles_of,
)
from parsum.bench.timing import DISTURBED

#: A picture is as wide as a README, at 100 dots an inch.
WIDTH = 9.0
#: The names that colours go by, where they are others here.
KNOWN = {"parsum": EXACT, "fast": FAST, "read": READ}


# ---- what is in the file ----


@dataclass(frozen=True)
class Entry:
    """A contestant of a row with its number of threads, and what was measured."""

    label: str
    name: str
    threads: int
    library: str
    least: float
    median: float
    figures: dict[str, float]

    @property
    def rate(self) -> float:
        return self.figures["GB/s"]


class Content:
    """The JSON file of a run."""

    def __init__(self, path: Path) -> None:
        """Read it; ValueError if it is not one."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self.machine = dict(content["machine"])
            self.quick = bool(content["quick"])
            self.rows = list(content["rows"])
            for row in self.rows:
                self._check(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} must be what compare.py --json has written: "
                f"{type(error).__name__}: {error}"
            ) from None

    @staticmethod
    def _check(row: dict[str, Any]) -> None:
        for key in ("group", "row", "bytes"):
            row[key]
        if row["group"] != "distinct":
            for label in row["seconds"]:
                row["contestants"][label]["threads"], row["figures"][label]["GB/s"]

    def group(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["group"] == name]

    def names(self) -> list[str]:
        """Return all contestants that sum, in the order of the rows."""
        found: dict[str, None] = {}
        for group in ("sizes", "workers", "hard", "distinct", "hog"):
            for row in self.group(group):
                for entry in entries(row):
                    found.setdefault(entry.name)
                if group == "distinct":
                    found.update(dict.fromkeys(row["figures"]))
        return list(found)

    def disturbed(self, groups: Iterable[str]) -> str:
        """Say how much other processes disturbed these groups."""
        taken = [
            row.get("cpus taken by others") or 0.0 for row in self.rows if row["group"] in groups
        ]
        most = max(taken, default=0.0)
        return f"; disturbed: other processes took {most:.1f} CPUs" if most > DISTURBED else ""


def entries(row: dict[str, Any]) -> list[Entry]:
    return [
        Entry(
            label=label,
            name=row["contestants"][label]["name"],
            threads=row["contestants"][label]["threads"],
            library=row["contestants"][label]["library"],
            least=seconds["least"],
            median=seconds["median"],
            figures=row["figures"][label],
        )
        for label, seconds in row["seconds"].items()
    ]


def most_threads(row: dict[str, Any]) -> dict[str, Entry]:
    """Return each contestant of a row with the most threads that it has, by name."""
    found: dict[str, Entry] = {}
    for entry in entries(row):
        if entry.name not in found or entry.threads > found[entry.name].threads:
            found[entry.name] = entry
    return found


def best_peer(row: dict[str, Any]) -> Entry | None:
    """Return the fastest of the other libraries, with whatever number of threads."""
    peers = [entry for entry in entries(row) if entry.library]
    return max(peers, key=lambda entry: entry.rate, default=None)


def error_text(ulps: float | None) -> str:
    """Write an error as short as it may be."""
    if ulps is None:
        return ""
    if not math.isfinite(ulps):
        return "inf"
    if ulps < 1000:
        return f"{ulps:.2g}" if ulps < 10 else f"{ulps:.0f}"
    return f"{ulps:.0e}".replace("e+0", "e").replace("e+", "e")


# ---- pictures ----


def page(content: Content, title: str, groups: tuple[str, ...], height: float) -> Any:
    """Return a figure with its title and, below, on what it was measured."""
    figure = new_figure(WIDTH, height)
    about = content.machine
    cpus = about["cpus allowed"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    caption = (
        f"{about['cpu']}, {cpus} CPU{'s' * (cpus > 1)}{content.disturbed(groups)}"
        f"{'; a quick run, which shows nothing' if content.quick else ''}. {versions}"
    )
    figure.text(0.02, 1 - 0.2 / height, title, size=14, weight="bold", color=INK, va="top")
    figure.text(
        0.02, 0.1 / height, textwrap.fill(caption, 165), size=7.5, color=FAINT, va="bottom",
        linespacing=1.3,
    )  # fmt: skip
    return figure


def inside(figure: Any, left: float, right: float, top: float = 0.75, bottom: float = 0.95) -> Any:
    """Return axes that leave so many inches above and below them."""
    height = figure.get_figheight()
    return figure.add_axes((left, bottom / height, right - left, 1 - (top + bottom) / height))


def colours(content: Content) -> Styles:
    styles = styles_of(KNOWN.get(name, name) for name in content.names())
    back = {known: name for name, known in KNOWN.items()}
    return {back.get(name, name): style for name, style in styles.items()}


def drawn(name: str, styles: Styles) -> dict[str, Any]:
    """Return how the line of a contestant is drawn, on the scale of this picture."""
    known = KNOWN.get(name, name)
    line = line_style(known, {known: styles[name]})
    line["linewidth"] *= 0.75
    if "markersize" in line:
        line["markersize"] *= 0.7
    return line


def key(axes: Any, ends: dict[str, float], styles: Styles, low: float, high: float) -> None:
    """Name the lines beside their ends, as near to them as there is room, without overlaps."""
    step = (high - low) / max(len(ends), 1)
    order = sorted(ends, key=lambda name: ends[name])
    gap = min(step, 0.048)
    places: list[float] = []
    for rank, name in enumerate(order):
        room_below = low + rank * gap
        room_above = high - (len(order) - 1 - rank) * gap
        place = min(max(ends[name], room_below), room_above)
        places.append(max(place, places[-1] + gap) if places else place)
    for name, place in zip(order, places, strict=True):
        line = drawn(name, styles)
        axes.plot([1.015, 1.04, 1.065], [place] * 3, transform=axes.transAxes, clip_on=False,
                  **({"markevery": [1]} if "marker" in line else {}), **line)  # fmt: skip
        axes.text(
            1.08, place, "read limit" if name == "read" else name, transform=axes.transAxes,
            size=9.5, va="center", color=INK, weight="bold" if name == "parsum" else "normal",
        )  # fmt: skip


def line_ends(axes: Any, lines: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    """Return how high each line ends, from 0 to 1 of the axes."""
    to_axes = axes.transData + axes.transAxes.inverted()
    return {name: float(to_axes.transform(line[-1])[1]) for name, line in lines.items()}


def draw_sizes(content: Content) -> Any:
    rows = sorted(content.group("sizes"), key=lambda row: row["bytes"])
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, entry in most_threads(row).items():
            lines.setdefault(name, []).append((row["bytes"], entry.rate))
    figure = page(content, "Sum of float64: GB/s over size, on all CPUs", ("sizes",), 5.4)
    axes = inside(figure, 0.075, 0.80)
    prepare_axes(axes, 10)
    axes.set_xscale("log")
    axes.set_yscale("log")
    styles = colours(content)
    for name, line in lines.items():
        axes.plot(*zip(*line, strict=True), **drawn(name, styles))
    sizes = [row["bytes"] for row in rows]
    axes.set_xticks(sizes, [size_text(size) for size in sizes], size=9)
    # Neighbours that are less than a decade apart would touch.
    for label, size in zip(axes.get_xticklabels(), sizes, strict=True):
        label.set_visible(math.log10(size) % 1 < 1e-9 or size < 100)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    key(axes, line_ends(axes, lines), styles, 0.0, 0.99)
    return figure


def draw_dtypes(content: Content) -> Any:
    rows = content.group("dtypes")
    figure = page(content, "Sum, by dtype: GB/s on all CPUs", ("dtypes",), 4.6)
    axes = inside(figure, 0.06, 0.985)
    prepare_axes(axes, 9.5)
    styles = colours(content) if content.names() else {}
    red = styles_of([EXACT])[EXACT][0]
    blue = styles.get("np.sum", ("#2f6fb0", ""))[0]
    top = 1.03 * max(entry.rate for row in rows for entry in entries(row))
    axes.set_ylim(0, top)
    # Of a letter of the names, which stand upright, in GB/s.
    letter = 0.07 * top / (axes.get_position().height * figure.get_figheight())
    for k, row in enumerate(rows):
        found = most_threads(row)
        peer = best_peer(row)
        bars = [("parsum", found.get("parsum"), red), ("NumPy", found.get("np.sum"), blue)]
        bars.append((peer.label if peer else "", peer, "#b9bfca"))
        for j, (text, entry, colour) in enumerate(bars):
            if entry is None:
                continue
            x = k + (j - 1) * 0.29
            axes.bar(x, entry.rate, width=0.27, color=colour, zorder=3)
            # Inside a bar that is high enough, above others.
            fits = entry.rate > letter * len(f"{text}  {entry.rate:.3g}")
            axes.text(
                x, entry.rate - 0.012 * top if fits else entry.rate + 0.012 * top,
                f"{text}  {entry.rate:.3g}",
                rotation=90, size=7.5, ha="center", va="top" if fits else "bottom", zorder=4,
                color="white" if fits and j < 2 else INK,
            )  # fmt: skip
        if "read" in found:
            limit = [found["read"].rate] * 2
            axes.plot([k - 0.45, k + 0.45], limit, color=INK, linestyle="--", linewidth=1.3)
    axes.set_xticks(range(len(rows)), [row["row"].replace("complex", "complex\n") for row in rows])
    axes.tick_params(axis="x", length=0)
    axes.text(
        0.995, 1.03, f"{size_text(rows[0]['bytes'])}; beside parsum and NumPy the fastest other "
        "library; dashed: read limit", transform=axes.transAxes, ha="right", size=9, color=FAINT,
    )  # fmt: skip
    return figure


def worst_errors(row: dict[str, Any]) -> dict[str, float]:
    """Return each contestant's largest error over its numbers of threads, by name."""
    worst: dict[str, float] = {}
    for entry in entries(row):
        if "ulps" in entry.figures:
            worst[entry.name] = max(worst.get(entry.name, 0.0), entry.figures["ulps"])
    return worst


def shade(value: float, most: float) -> tuple[float, float, float]:
    """Return green for 0, and the redder the larger, up to 10 to the power of `most`."""
    if value == 0:
        return 0.87, 0.95, 0.88
    share = min(1.0, math.log10(1 + value) / most) if math.isfinite(value) else 1.0
    return 0.94 - 0.1 * share, 0.92 - 0.5 * share, 0.9 - 0.55 * share


def draw_errors(content: Content) -> Any:
    """A table in which larger errors, and more different results, are darker."""
    hard, counted = content.group("hard"), content.group("distinct")
    columns = [(row["row"], worst_errors(row), 16.0) for row in hard]
    for row in counted:
        for title in ("threads", "chunkings"):
            results = {who: own[title] for who, own in row["figures"].items() if title in own}
            columns.append((f"{row['row'].split()[0]}, over {title}", results, 1.5))
    names = [
        name for name in content.names()
        if name != "read" and any(name in cells for _, cells, _ in columns)
    ]  # fmt: skip
    names.sort(key=lambda name: sum(c[name] > (k >= len(hard)) for k, (_, c, _) in
                                    enumerate(columns) if name in c))  # fmt: skip
    names.sort(key=lambda name: name != "parsum")
    figure = page(
        content, "Sums: how far off, and how many different results", ("hard",),
        2.35 + 0.235 * len(names),
    )  # fmt: skip
    axes = inside(figure, 0.13, 0.985, top=1.7, bottom=0.55)
    axes.set(xlim=(-0.5, len(columns) - 0.5 + 0.2), ylim=(len(names) - 0.5, -0.5))
    axes.axis("off")
    patch = import_module("matplotlib.patches").Rectangle
    for k, (title, cells, most) in enumerate(columns):
        counts = k >= len(hard)
        x = k + 0.2 * counts
        axes.text(
            x, -0.75, textwrap.fill(title, 11), ha="center", va="bottom", size=8, color=INK,
            linespacing=1.1,
        )  # fmt: skip
        for y, name in enumerate(names):
            if name not in cells:
                axes.text(x, y, "-", ha="center", va="center", size=8.5, color=FAINT)
                continue
            value = cells[name] - counts  # one result is what it should be
            axes.add_patch(
                patch((x - 0.47, y - 0.45), 0.94, 0.9, color=shade(value, most), linewidth=0)
            )
            text = error_text(cells[name])
            axes.text(x, y, text, ha="center", va="center", size=9, color=INK)
    for y, name in enumerate(names):
        weight = "bold" if name == "parsum" else "normal"
        axes.text(-0.6, y, name, ha="right", va="center", size=9.5, color=INK, weight=weight)
    for begin, end, title in (
        (0, len(hard), "error, in units in the last place"),
        (len(hard), len(columns), "different results"),
    ):
        if end > begin:
            middle = (begin + end - 1) / 2 + 0.2 * (begin >= len(hard))
            axes.text(middle, -3.15, title, ha="center", va="bottom", size=9.5, color=FAINT)
    return figure


def draw_workers(content: Content) -> Any:
    row = content.group("workers")[0]
    lines: dict[str, list[tuple[float, float]]] = {}
    for entry in entries(row):
        lines.setdefault(entry.name, []).append((entry.threads, entry.rate))
    numbers = sorted({entry.threads for entry in entries(row)})
    title = f"Sum of float64, {size_text(row['bytes'])}: GB/s over threads"
    figure = page(content, title, ("workers",), 5.2)
    axes = inside(figure, 0.06, 0.80)
    prepare_axes(axes, 10)
    styles = colours(content)
    for name, line in lines.items():
        line.sort()
        axes.plot(*zip(*line, strict=True), **drawn(name, styles))
    axes.set_xticks(numbers, [f"{n} thread{'s' * (n > 1)}" for n in numbers])
    axes.set_xlim(numbers[0] - 0.1, numbers[-1] + 0.1)
    axes.set_ylim(bottom=0)
    cpus = content.machine["cpus allowed"]
    if numbers[0] < cpus < numbers[-1]:
        axes.axvline(cpus, color=FAINT, linewidth=1, alpha=0.5)
        axes.text(
            cpus, 1.01, f"{cpus} CPUs, which more threads share", ha="center", size=9, color=FAINT,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    key(axes, line_ends(axes, lines), styles, 0.0, 0.99)
    return figure


STATES = {"alone": "#b9bfca", "+ process": "#2f6fb0", "+ thread": "#d7263d"}


def draw_hog(content: Content) -> Any:
    row = content.group("hog")[0]
    rates: dict[str, dict[str, float]] = {}
    for entry in entries(row):
        label, _, state = entry.label.partition(", ")
        rates.setdefault(label, {})[state] = entry.rate
    title = f"Sum of float64, {size_text(row['bytes'])}, beside a pure Python loop: GB/s"
    figure = page(content, title, ("hog",), 4.4)
    axes = inside(figure, 0.05, 0.985, top=0.95, bottom=1.15)
    prepare_axes(axes, 9.5)
    for k, own in enumerate(rates.values()):
        for j, (state, colour) in enumerate(STATES.items()):
            if state in own:
                x = k + (j - 1) * 0.28
                axes.bar(x, own[state], width=0.26, color=colour, zorder=3)
                axes.text(x, own[state], f"{own[state]:.2g}", ha="center", va="bottom", size=7,
                          color=INK)  # fmt: skip
    axes.set_xticks(range(len(rates)), [label.replace(" ", "\n") for label in rates])
    for label in axes.get_xticklabels():
        if label.get_text().startswith("parsum"):
            label.set_weight("bold")
    axes.tick_params(axis="x", length=0)
    texts = ("alone", "beside a process in a loop", "beside a thread that wants the GIL")
    patch = import_module("matplotlib.patches").Patch
    axes.legend(
        [patch(color=colour) for colour in STATES.values()], texts, loc="lower left",
        bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, fontsize=9.5, borderaxespad=0.2,
    )  # fmt: skip
    return figure


PICTURES: dict[str, tuple[Callable[[Content], Any], tuple[str, ...]]] = {
    "sizes": (draw_sizes, ("sizes",)),
    "dtypes": (draw_dtypes, ("dtypes",)),
    "errors": (draw_errors, ("hard", "distinct")),
    "workers": (draw_workers, ("workers",)),
    "hog": (draw_hog, ("hog",)),
}


def draw(content: Content, out: Path, kind: str) -> list[Path]:
    """Draw all that there is into files of that format, and return them."""
    matplotlib = import_module("matplotlib")
    made = []
    # Letters stay letters, and the same figures make the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "parsum"}):
        for name, (make, groups) in PICTURES.items():
            if not any(content.group(group) for group in groups):
                continue
            path = out / f"compare-{name}.{kind}"
            figure = make(content)
            figure.savefig(path, metadata={"Date": None} if kind == "svg" else None)
            made.append(path)
    return made


# ---- tables ----


def table(titles: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"| {' | '.join(['---'] * len(titles))} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def rate_text(entry: Entry | None) -> str:
    return "" if entry is None else f"{entry.rate:.3g}"


def summary_table(content: Content) -> Iterator[str]:
    """What a person who has to choose looks at."""
    hard, counted = content.group("hard"), content.group("distinct")
    largest = max(content.group("sizes"), key=lambda row: row["bytes"])
    wide = next((row for row in hard if row["row"].startswith("exponents")), None)
    at_large, at_wide = most_threads(largest), most_threads(wide) if wide else {}

    def cells(name: str) -> Iterator[str]:
        errors = [worst_errors(row).get(name) for row in hard]
        own = [row["figures"].get(name, {}) for row in counted]
        errors += [figures.get("ulps") for figures in own]
        yield error_text(max((error for error in errors if error is not None), default=None))
        for title in ("threads", "chunkings"):
            most = max((figures.get(title, 0) for figures in own), default=0)
            yield f"{most:g}" if most else "one thread" if title == "threads" else ""
        yield median_rate(at_large.get(name), largest)
        yield median_rate(at_wide.get(name), wide)

    summed = {name for row in (largest, *hard) for name in most_threads(row)}
    names = [name for name in content.names() if name in summed]
    yield from table(
        ["sums of floats", "largest error, ulps", "results with 1 to 8 threads",
         "results of 20 chunkings", f"GB/s, {size_text(largest['bytes'])}",
         f"GB/s, {wide['row']}" if wide else ""],
        ([name, *cells(name)] for name in names if name != "read"),
    )  # fmt: skip


def median_rate(entry: Entry | None, row: dict[str, Any] | None) -> str:
    """Write GB/s by the median: a few luckier seconds of the memory are no reason to choose."""
    return f"{row['bytes'] / entry.median / 1e9:.2g}" if entry and row else ""


def size_table(content: Content) -> Iterator[str]:
    rows = sorted(content.group("sizes"), key=lambda row: row["bytes"])
    found = [most_threads(row) for row in rows]
    names = list(dict.fromkeys(name for one in found for name in one))
    yield from table(
        ["GB/s, all CPUs", *(size_text(row["bytes"]) for row in rows)],
        ([name, *(rate_text(one.get(name)) for one in found)] for name in names),
    )


def dtype_table(content: Content) -> Iterator[str]:
    def line(row: dict[str, Any]) -> list[str]:
        found, peer = most_threads(row), best_peer(row)
        one = next((e for e in entries(row) if e.name == "parsum" and e.threads == 1), None)
        every = found.get("parsum")
        ratio = f"{every.figures['x NumPy']:.3g}" if every else ""
        best = f"{peer.label}, {peer.rate:.3g}" if peer else ""
        return [row["row"], rate_text(found.get("np.sum")), rate_text(one), rate_text(every), ratio,
                best]  # fmt: skip

    titles = ["sum, GB/s", "NumPy", "parsum, 1 thread", "parsum, all CPUs", "x NumPy", "best peer"]
    yield from table(titles, map(line, content.group("dtypes")))


def hard_table(content: Content) -> Iterator[str]:
    rows = content.group("hard")
    found = [(most_threads(row), worst_errors(row)) for row in rows]
    names = list(dict.fromkeys(name for one, _ in found for name in one if name != "read"))

    def cell(name: str, one: dict[str, Entry], worst: dict[str, float]) -> str:
        if name not in one:
            return ""
        return f"{rate_text(one[name])} ({error_text(worst.get(name))})"

    yield from table(
        ["GB/s on all CPUs (error in ulps)", *(row["row"] for row in rows)],
        ([name, *(cell(name, *pair) for pair in found)] for name in names),
    )


def distinct_table(content: Content) -> Iterator[str]:
    rows = content.group("distinct")
    titles = ["different results"]
    for row in rows:
        dtype = row["row"].split()[0]
        titles += [f"{dtype}, threads", f"{dtype}, chunkings", f"{dtype}, most ulps"]
    names = list(dict.fromkeys(name for row in rows for name in row["figures"]))

    def cells(name: str) -> Iterator[str]:
        for row in rows:
            own = row["figures"].get(name, {})
            for title in ("threads", "chunkings", "ulps"):
                yield error_text(own.get(title))

    yield from table(
        [*titles, "chunks given as"],
        ([name, *cells(name), rows[0]["pieces"].get(name, "")] for name in names),
    )


#: Each, and the groups that it cannot be without.
TABLES: list[tuple[Callable[[Content], Iterator[str]], tuple[str, ...]]] = [
    (summary_table, ("sizes", "hard", "distinct")),
    (size_table, ("sizes",)),
    (dtype_table, ("dtypes",)),
    (hard_table, ("hard",)),
    (distinct_table, ("distinct",)),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="what compare.py --json has written")
    parser.add_argument("--out", type=Path, default=Path(), help="the directory of the pictures")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    parser.add_argument("--table", action="store_true", help="print tables in Markdown instead")
    options = parser.parse_args()
    try:
        content = Content(options.file)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not any(content.group(name) for _, groups in PICTURES.values() for name in groups):
        parser.error(f"{options.file} must have rows of compare.py, got none")
    if options.table:
        made = [make for make, groups in TABLES if all(map(content.group, groups))]
        print("\n\n".join("\n".join(make(content)) for make in made))
        return
    if not options.out.is_dir():
        parser.error(f"--out must be a directory, got {str(options.out)!r}")
    try:
        for path in draw(content, options.out, options.format):
            print(path)
    except ImportError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
