"""The sdist and the wheel made from it: whole, rightly tagged, at work in a bare environment."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import parsum

ROOT = Path(__file__).resolve().parent.parent
FILES = [
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "build_ffi.py",
    "pyproject.toml", "setup.py",
]  # fmt: skip
FOLDERS = ["benchmarks", "csrc", "docs", "examples", "parsum", "tests"]
LEFT_BY_TOOLS = shutil.ignore_patterns(
    ".*", "build", "dist", "*.egg-info", "__pycache__", "*.so", "*.pyd", "*.o", "*.npy"
)

LIMITED_API = (
    sys.implementation.name == "cpython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
    and not hasattr(sys, "gettotalrefcount")
)

# A left-to-right sum of the first overflows; the second is cut into several slices.
USE = """
import importlib.metadata, json
import numpy as np
import parsum
print(json.dumps({
    "file": parsum.__file__,
    "version": parsum.__version__,
    "metadata": importlib.metadata.version("parsum"),
    "requires": importlib.metadata.requires("parsum"),
    "float": float(parsum.parallel_sum(np.array([1e308, 1e308, -1e308]))),
    "int": int(parsum.parallel_sum(np.arange(3_000_000), workers=2)),
}))
"""


def run(
    *command: str | Path, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ if env is None else env)
    env.pop("PYTHONPATH", None)
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def succeed(*command: str | Path, cwd: Path) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A copy, as setuptools would put anything that an old parsum.egg-info lists into the sdist.
    copy = tmp_path_factory.mktemp("source") / "parsum"
    return shutil.copytree(ROOT, copy, ignore=LEFT_BY_TOOLS)


@pytest.fixture(scope="module")
def dist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and from it alone the wheel."""
    out = tmp_path_factory.mktemp("dist")
    succeed(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, cwd=out)
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


def test_sdist_holds_the_whole_project(source: Path, dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        packed = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    wanted = set(FILES)
    for folder in FOLDERS:
        inside = {
            file.relative_to(source).as_posix()
            for file in (source / folder).rglob("*")
            if file.is_file()
        }
        assert inside, f"{folder} is empty"
        wanted |= inside
    assert wanted - packed == set()
    assert [name for name in packed if re.search(r"\.(so|pyd|o|pyc|npy)$", name)] == []


def test_wheel_holds_the_package_and_nothing_else(source: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    extensions = {name for name in names if re.fullmatch(r"parsum/_native[^/]*\.(so|pyd)", name)}
    assert len(extensions) == 1
    modules = {file.relative_to(source).as_posix() for file in (source / "parsum").rglob("*.py")}
    package = {name for name in names if name.startswith("parsum/")}
    stubs = {name for name in package if name.endswith(".pyi")}
    assert package - stubs == modules | extensions | {"parsum/py.typed"}
    assert {name.partition("/")[0] for name in names - package} == {
        f"parsum-{parsum.__version__}.dist-info"
    }


def test_wheel_tag(wheel: Path) -> None:
    python, abi, platform = wheel.stem.split("-")[-3:]
    with zipfile.ZipFile(wheel) as archive:
        (extension,) = (name for name in archive.namelist() if "/_native." in name)
    assert platform != "any"
    assert (".abi3." in extension) == LIMITED_API
    if LIMITED_API:
        assert (python, abi) == ("cp311", "abi3")
    else:
        assert "abi3" not in abi


def test_wheel_sums_in_a_bare_environment(wheel: Path, tmp_path: Path) -> None:
    bare = tmp_path / "venv"
    succeed(sys.executable, "-m", "venv", bare, cwd=tmp_path)
    python = bare / "bin" / "python"
    succeed(python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel, cwd=tmp_path)
    # NumPy and cffi are lent to it, so that the test needs no network.
    lent = set()
    for module in ("numpy", "cffi", "_cffi_backend"):
        spec = find_spec(module)
        assert spec is not None and spec.origin is not None
        is_package = spec.submodule_search_locations is not None
        lent.add(str(Path(spec.origin).parents[1 if is_package else 0]))
    (site,) = bare.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text("\n".join(sorted(lent)) + "\n")

    used = json.loads(succeed(python, "-c", USE, cwd=tmp_path))

    assert Path(used["file"]).is_relative_to(bare)
    assert used["version"] == used["metadata"] == parsum.__version__
    needed = {re.split(r"\W", r)[0] for r in used["requires"] if "extra ==" not in r}
    assert needed == {"numpy", "cffi"}
    assert used["float"] == 1e308
    assert used["int"] == 3_000_000 * 2_999_999 // 2


@pytest.mark.parametrize("missing", ["CC", "PATH"])
def test_build_without_a_compiler_says_so(source: Path, tmp_path: Path, missing: str) -> None:
    env = dict(os.environ)
    if missing == "CC":
        compiler = env["CC"] = str(tmp_path / "no-such-compiler")
    else:
        env.pop("CC", None)
        env["PATH"] = str(tmp_path)
        compiler = shlex.split(sysconfig.get_config_var("CC"))[0]
        if os.path.isabs(compiler):
            pytest.skip(f"this Python finds its compiler without PATH: {compiler}")
    out = tmp_path / "dist"

    done = run(
        *(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", out, source),
        cwd=tmp_path,
        env=env,
    )

    assert done.returncode != 0
    sentence = (
        f"error: parsum is built from C source and the C compiler {compiler!r} was not found: "
        "install GCC or Clang, or set the environment variable CC to the one to use"
    )
    assert done.stdout.splitlines().count(sentence) == 1, done.stdout
    assert "Traceback" not in done.stdout
    assert not list(out.glob("*"))
