"""docs/custom-kernels.md names all that there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import parsum
from parsum import compiler, parallel_reduce
from parsum.expression import parser
from parsum.reduction import ARRAYS_LIMIT, STATE_LIMIT, VALUES_LIMIT

TEXT = (Path(__file__).parent.parent / "docs" / "custom-kernels.md").read_text(encoding="utf-8")


def test_every_function_of_expressions():
    begin, end = TEXT.index("* the functions `abs`"), TEXT.index("They do what NumPy's operators")
    named = set(re.findall(r"`([a-z0-9_]+)(?:\(.*?\))?`", TEXT[begin:end]))
    assert named == set(parser._FUNCTIONS)


def test_every_operator_of_expressions():
    (line,) = [k for k in TEXT.splitlines() if k.startswith("* the operators")]
    signs = " ".join(re.findall(r"`([^`]+)`", line)).split()
    assert len(signs) == len({*signs}) == 19
    assert len(parser._BINARY) + len(parser._COMPARE) + 1 == 19
    x, y = np.array([5, 7], np.uint8), np.array([2, 3], np.uint8)
    for sign in signs:
        text = f"{sign}x | y" if sign == "~" else f"x {sign} y"
        expected = np.sum(eval(text, {"x": x, "y": y}))
        assert parallel_reduce(text, "sum", x=x, y=y) == expected, sign


def test_limits():
    assert f"{parser.MAX_LENGTH:,} characters" in TEXT
    assert f"up to {parser.MAX_DEPTH} deep" in TEXT
    assert f"up to {ARRAYS_LIMIT} arrays" in TEXT
    assert STATE_LIMIT == VALUES_LIMIT == 1 << 20
    assert "1 MiB at most" in TEXT


def test_environment_variables():
    sources = "".join(k.read_text() for k in Path(parsum.__file__).parent.glob("*.py"))
    read = set(re.findall(r'os\.environ(?:\.get\(|\[)"(\w+)"', sources))
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", TEXT, re.MULTILINE))
    assert named == read - {"PARSUM_WORKERS"}


def test_flags():
    for flag in ("OVERFLOW", "INVALID", "DIVIDE", "EMPTY"):
        assert f"`PARSUM_{flag}`" in TEXT
    assert not any("fast-math" in k and not k.startswith("-fno") for k in compiler.FLAGS)


def test_examples_that_it_names():
    root = Path(__file__).parent.parent
    for name in re.findall(r"examples/\w+\.py", TEXT):
        assert (root / name).exists()
