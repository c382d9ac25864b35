"""Breaks the C code in one place after another, and shows which test notices.

    python tests/mutation/mutate.py [--only PATTERN] [--table FILE]

Each mutation of mutations.py is made in a copy of the project, built, and given to the tests named
with it, which end at the first that fails. Kernels are broken at the baseline CPU level, at which
the tests then run. Survivors make the exit status 1. It takes half an hour.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("csrc", "parsum", "tests", "build_ffi.py", "pyproject.toml")
#: As the build has them, but for -O3, which takes long.
FLAGS = ["-std=c11", "-O1", "-ffp-contract=off", "-fno-fast-math", "-fwrapv", "-fPIC", "-Icsrc"]
#: What a run of tests may take, in seconds: a broken loop may have no end.
MOST = 900
_FAILED = re.compile(r"^(?:FAILED|ERROR) (?:tests/)?(\S+)", re.MULTILINE)


class Copy:
    """The project in another folder, with an object file for each C file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.so", ".hypothesis")
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy(source, folder)
        code = "import build_ffi; build_ffi.ffibuilder.emit_c_code('native.c')"
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
        (folder / "objects").mkdir()
        sources = [*sorted((folder / "csrc").glob("*.c")), folder / "native.c"]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            done = list(pool.map(self.compile, sources))
        assert all(done), "the unbroken code does not compile"
        assert self.link()

    def object_of(self, source: Path) -> Path:
        return self.folder / "objects" / f"{source.stem}.o"

    def compile(self, source: Path) -> bool:
        include = subprocess.run(
            [sys.executable, "-c", "import sysconfig; print(sysconfig.get_paths()['include'])"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        command = [
            "gcc", *FLAGS, f"-I{include}", "-DPy_LIMITED_API=0x030b0000", "-MMD", "-w", "-c",
            str(source), "-o", str(self.object_of(source)),
        ]  # fmt: skip
        return subprocess.run(command, cwd=self.folder, check=False).returncode == 0

    def link(self) -> bool:
        objects = sorted(map(str, (self.folder / "objects").glob("*.o")))
        command = ["gcc", "-shared", *objects, "-o", "parsum/_native.abi3.so", "-lm"]
        return subprocess.run(command, cwd=self.folder, check=False).returncode == 0

    def users_of(self, name: str) -> list[Path]:
        """The C files that a file is part of, but for CPU levels that no test will run at."""
        users = [
            self.folder / "csrc" / f"{depends.stem}.c"
            for depends in (self.folder / "objects").glob("*.d")
            if any(Path(part).name == name for part in depends.read_text().split())
        ]
        return [user for user in users if user.stem not in ("level_avx2", "level_avx512", "native")]

    def build(self, name: str) -> bool:
        return all(map(self.compile, self.users_of(name))) and self.link()

    def test(self, tests: tuple[str, ...]) -> str:
        """What the first failing test is called, nothing if all pass."""
        env = {
            **os.environ,
            "PYTHONPATH": f"{self.folder}{os.pathsep}{self.folder / 'tests'}",
            "PARSUM_CPU_LEVEL": "baseline",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:xdist"]
        try:
            done = subprocess.run(
                [*command, "-p", "no:cacheprovider", *(f"tests/{name}" for name in tests)],
                cwd=self.folder, env=env, capture_output=True, text=True, timeout=MOST, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "no end"
        if done.returncode == 0:
            return ""
        failed = _FAILED.findall(done.stdout)
        if failed:
            return failed[0]
        assert done.returncode < 0 or done.returncode > 127 or "Timeout" in done.stdout, done.stdout
        return f"a crash ({done.returncode})" if done.returncode < 0 else "no end"

    def broken(self, mutation: Mutation) -> str:
        place = self.folder / "csrc" / mutation.file
        text = place.read_text(encoding="utf-8")
        found = text.count(mutation.old)
        assert found == 1, f"{mutation.file}: {found} places have {mutation.old!r}"
        place.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        try:
            if not self.build(mutation.file):
                return "does not compile"
            return self.test(mutation.tests)
        finally:
            place.write_text(text, encoding="utf-8")
            assert self.build(mutation.file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="a part of the name of a file or of what breaks")
    parser.add_argument("--table", type=Path, help="where to write the table, as Markdown")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if options.only in f"{m.file}: {m.what}"]
    rows, survivors = [], 0
    with tempfile.TemporaryDirectory(prefix="parsum-mutation-") as folder:
        copy = Copy(Path(folder))
        for mutation in chosen:
            start = time.monotonic()
            noticed = copy.broken(mutation)
            survivors += not noticed or noticed == "does not compile"
            row = f"| {mutation.file} | {mutation.what} | {noticed or '**nothing**'} |"
            rows.append(row)
            print(f"{row} {time.monotonic() - start:.0f} s", flush=True)
    if options.table:
        head = ["| file | what is broken | noticed by |", "| --- | --- | --- |"]
        options.table.write_text("\n".join([*head, *rows, ""]), encoding="utf-8")
    print(f"{len(chosen)} mutations, {survivors} not noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
