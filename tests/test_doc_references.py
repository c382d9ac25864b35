"""What the documents point at exists: tests by their names, files, and links between them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in DOCUMENTS}


def names_of_tests(path: Path) -> set[str]:
    """Functions whose names begin with test_, as pytest finds them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {k.name for k in tree.body if isinstance(k, ast.FunctionDef) and k.name[:5] == "test_"}


def missing(text: str) -> list[str]:
    """Tests that a text names and that do not exist."""
    named = re.findall(r"\b(tests/\w+\.py)::(\w+)", text)
    return [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).exists() or name not in names_of_tests(ROOT / file)
    ]


@pytest.mark.parametrize("document", TEXTS)
def test_tests_that_are_named_exist(document):
    assert missing(TEXTS[document]) == []


def test_a_test_that_is_not_there_is_seen():
    """The control, and that names are found at all."""
    there = "tests/test_doc_references.py::test_tests_that_are_named_exist"
    assert missing(f"`{there}`, `{there}s`, `tests/test_no.py::test_x`") == [
        f"{there}s",
        "tests/test_no.py::test_x",
    ]
    assert len(re.findall(r"tests/\w+\.py::test_", TEXTS["docs/gil-safety.md"])) > 30


@pytest.mark.parametrize("document", TEXTS)
def test_links_and_files_exist(document):
    folder = (ROOT / document).parent
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", TEXTS[document])
    assert [link for link in links if not (folder / link).exists()] == []
    files = re.findall(
        r"\b(?:csrc|docs|examples|parsum|tests|benchmarks)/[\w/]+\.(?:py|c|h|md)\b", TEXTS[document]
    )
    assert [file for file in files if not (ROOT / file).exists()] == []
