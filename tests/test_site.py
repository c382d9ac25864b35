"""The pages of docs/ leave nothing out: names of the package, functions in tables, programs."""

from __future__ import annotations

import re
from pathlib import Path

import parsum

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def names(pattern: str, pages: str) -> list[str]:
    return sorted(n for p in DOCS.glob(pages) for n in re.findall(pattern, p.read_text(), re.M))


def test_every_public_name_is_described_once_and_listed_once():
    described = names(r"^\.\. auto(?:function|class|exception):: (\w+)$", "api/*.md")
    listed = names(r"^   (\w+)$", "api/index.md")
    assert described == listed == sorted(parsum.__all__)


def test_public_methods_are_described():
    """Of classes whose users call methods; what Source and Reduction have besides is internal."""
    toolkit = text("api/toolkit.md")
    (members,) = re.findall(r":: Accumulator\n   :members: (.*)", toolkit)
    public = {name for name in vars(parsum.Accumulator) if not name.startswith("_")}
    assert set(members.split(", ")) == public
    (members,) = re.findall(r":: Reduction\n   :members: (.*)", toolkit)
    assert set(members.split(", ")) == {n for n in vars(parsum.Reduction) if n[:5] == "from_"}


def test_the_table_of_what_is_exact_has_every_function():
    rows = text("numerics.md").split("## What is exact")[1].split("## ")[0].splitlines()
    named = {
        name
        for row in rows
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert named == {
        n.removeprefix("parallel_") for n in parsum.__all__ if n[:9] == "parallel_"
    } - {
        "reduce",
        *(f"nan{end}" for end in ("min", "max", "argmin", "argmax")),
    }


def test_the_functions_that_are_said_to_have_a_fast_method():
    (said,) = re.findall(
        r"(?s)^(`parallel_sum`, [^.]*?) also have\n`method", text("numerics.md"), re.M
    )
    same = "For this function both are the same."
    family = {n for n in parsum.__all__ if n[:9] == "parallel_"} - {"parallel_reduce"}
    assert set(re.findall(r"`(\w+)`", said)) == {
        n for n in family if same not in getattr(parsum, n).__doc__
    }


def test_every_benchmark_is_named():
    programs = {p.name for p in (ROOT / "benchmarks").glob("*.py") if "__main__" in p.read_text()}
    assert set(re.findall(r"^\| `benchmarks/(\w+\.py)`", text("benchmarking.md"), re.M)) == programs
