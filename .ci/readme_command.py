"""Prints a command as README.md has it: the one line of the fenced block after a named comment.

`python3 .ci/readme_command.py "test command"` looks for `<!-- test command -->`.
"""

import re
import sys
from pathlib import Path


def readme_command(readme: str, name: str) -> str:
    """Return the line; ValueError if there is not exactly one such block, of exactly one line."""
    comment = f"<!-- {name} -->"
    fenced = re.compile(
        rf"^{re.escape(comment)}\n+^```[^\n`]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL
    )
    blocks = fenced.findall(readme)
    if len(blocks) != 1 or readme.count(comment) != 1:
        raise ValueError(f"README.md must have one fenced block after {comment}")
    lines = [line for line in blocks[0].splitlines() if line.strip()]
    if len(lines) != 1:
        raise ValueError(f"the block after {comment} must hold one command line, got {len(lines)}")
    return lines[0].strip()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = Path(__file__).resolve().parent.parent
    try:
        print(readme_command((root / "README.md").read_text(encoding="utf-8"), sys.argv[1]))
    except ValueError as problem:
        sys.exit(f"readme_command: {problem}")
