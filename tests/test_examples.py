"""The examples run as programs and print what they promise."""

from __future__ import annotations

import math
import os
import re
import sys

import numpy as np
import pytest
from children import script as run


def values(output: str, label: str) -> list[str]:
    """The words in the line that begins with a label; two spaces or a colon end a label."""
    (rest,) = re.findall(rf"^ *{re.escape(label)}(?:  |(?<=:) )(.*)$", output, re.MULTILINE)
    return rest.split()


# ---- quickstart ----


def test_quickstart():
    output = run("examples/quickstart.py").stdout
    a = np.random.default_rng(0).standard_normal((1000, 4000))
    total = repr(math.fsum(a.flat))
    assert values(output, "the sum:") == [total]
    assert values(output, "along an axis:") == ["(4000,)", total]
    assert values(output, "1, 2 and 7 workers:") == [total] * 3
    assert values(output, "where positive:") == [repr(math.fsum(a[a > 0]))]
    assert values(output, "1e308 + 1e308 - 1e308:") == ["1e+308"]
    assert values(output, "limited to:")[0] == "1"
    assert values(output, "progress:")[0] == "100%"
    assert "does not fit int64" in output


# ---- wrong_sums ----


def test_wrong_sums():
    output = run("examples/wrong_sums.py").stdout
    table = re.findall(r"^ +(\d+) +(\S+) +(\S+)$", output, re.MULTILINE)
    assert [int(threads) for threads, _, _ in table] == [1, 2, 3, 4, 8]
    assert len({naive for _, naive, _ in table}) > 1
    assert "1.0" not in {naive for _, naive, _ in table}
    assert {exact for _, _, exact in table} == {"1.0"}
    assert values(output, "math.fsum (slow)") == ["1.0"]
    assert values(output, "np.sum") != ["1.0"]

    true = [float(mean) for mean in values(output, "the true means")]
    by_rows = values(output, "parsum, by rows")
    assert by_rows == values(output, "parsum, by columns")
    assert [float(mean) for mean in by_rows] == pytest.approx(true, abs=3e-6)  # float32
    numpy_means = values(output, "np.sum, by rows in memory"), values(output, "np.sum, by columns")
    assert numpy_means[0] != numpy_means[1]
    assert [float(mean) for mean in numpy_means[0]] != pytest.approx(true, abs=5e-5)


# ---- sum_npy ----


def test_sum_npy_makes_data_sums_it_and_removes_it(tmp_path):
    # longer than a chunk of its writing, and not a multiple
    done = run("examples/sum_npy.py", "--bytes", 20_000_000, TMPDIR=str(tmp_path))
    rng = np.random.default_rng(1)
    a = rng.standard_normal(20_000_000 // 8)
    assert values(done.stdout, "parallel_sum")[0] == repr(math.fsum(a))
    assert values(done.stdout, "np.sum")[0] == repr(float(np.sum(a)))
    assert "shape (2500000,)" in done.stdout
    assert re.search(r"100%\|.*20\.0M/20\.0M", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_sum_npy_sums_a_file_and_keeps_it(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([[1e16, 1.0], [1.0, -1e16], [1.0, 0.0]]))
    output = run("examples/sum_npy.py", path, "--workers", 2).stdout
    assert "float64, shape (3, 2)" in output
    assert values(output, "parallel_sum")[0] == "3.0"
    off = float(np.sum(np.load(path))) - 3.0
    assert off != 0
    assert f"np.sum is off by {abs(off) / 2**-51:.6g} units" in output
    assert path.exists()


def test_sum_npy_takes_other_dtypes(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(10))
    output = run("examples/sum_npy.py", path).stdout
    assert values(output, "parallel_sum")[0] == "45"
    assert "np.sum gives the same" in output


def test_sum_npy_says_what_is_wrong_with_a_file(tmp_path):
    def message(name, *args):
        stderr = run("examples/sum_npy.py", tmp_path / name, *args, status=1).stderr
        assert "Traceback" not in stderr
        assert f"{tmp_path / name}" in stderr
        return stderr

    assert "No such file" in message("absent.npy")
    (tmp_path / "text.npy").write_text("1 2 3\n" * 10)
    assert "magic string is not correct" in message("text.npy")
    np.save(tmp_path / "words.npy", np.array(["one", "two"]))
    assert "got dtype <U3" in message("words.npy")
    np.save(tmp_path / "short.npy", np.ones(1000))
    with (tmp_path / "short.npy").open("r+b") as file:
        file.truncate(1000)
    assert "mmap length is greater than file size" in message("short.npy")
    np.save(tmp_path / "good.npy", np.ones(10))
    assert "workers must be -1 or at least 1, got 0" in message("good.npy", "--workers", 0)


@pytest.mark.parametrize("args", [("--bytes", "7"), ("a.npy", "--bytes", "800")])
def test_sum_npy_refuses_sizes_that_make_no_sense(args):
    assert "--bytes" in run("examples/sum_npy.py", *args, status=2).stderr


# ---- from_c ----


def test_from_c():
    output = run("examples/from_c.py").stdout
    rng = np.random.default_rng(0)
    x = 1000 * rng.standard_normal(2_000_000)
    top = float(x.max())
    true = top + math.log(math.fsum(math.exp(v - top) for v in x[x > top - 800].tolist()))
    (result,) = values(output, "log of the sum of exp:")
    assert float(result) == pytest.approx(true, rel=1e-15)
    assert values(output, "NumPy, without care:") == ["inf"]
    assert values(output, "1, 2 and 7 workers:") == [result] * 3
    image = rng.normal(100, 15, (1000, 2000)).clip(0, 255).astype(np.uint8)
    commonest = np.argsort(np.bincount(image.ravel(), minlength=256))[-3:]
    assert values(output, "the commonest bytes:") == [str(k) for k in commonest]


def test_examples_without_a_compiler(tmp_path):
    """Say what is missing, and end with an error but no traceback."""
    for name in ("from_c", "fused"):
        done = run(f"examples/{name}.py", status=1, CC="no-such-cc", PARSUM_CACHE_DIR=str(tmp_path))
        assert done.stderr == "CC must name a C compiler, got 'no-such-cc', which was not found\n"


# ---- numba_kernel ----


def test_numba_kernel_without_numba(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('hidden')")
    path = os.pathsep.join([str(tmp_path), *(p for p in sys.path if p)])
    output = run("examples/numba_kernel.py", PYTHONPATH=path).stdout
    assert output == "This example needs numba: pip install numba\n"


def test_numba_kernel():
    output = run("examples/numba_kernel.py").stdout
    rain = np.random.default_rng(0).gamma(0.3, 1.0, (10, 365 * 24)) >= 0.1
    longest = [max(map(len, "".join("x" if h else " " for h in y).split())) for y in rain]
    whole = max(map(len, "".join("x" if h else " " for h in rain.flat).split()))
    assert values(output, "hours of rain on end, in ten years:") == [str(float(whole))]
    assert f"in each year: {np.array(longest)}" in output
    assert values(output, "and backwards:") == [str(float(whole))]


# ---- real_data ----


def test_real_data():
    """What is printed is what integers give."""
    from skimage import data

    output = run("examples/real_data.py").stdout
    # 24 bits each, and none but 0 is below 2^-8: multiples of 2^-32
    whole = [int(v) for v in np.arange(256, dtype=np.float32) / np.float32(255) * 2**32]
    counts = [np.bincount(c, minlength=256).tolist() for c in data.retina().reshape(-1, 3).T]
    n = sum(counts[0])
    sums = [sum(v * k for v, k in zip(whole, c, strict=True)) for c in counts]
    squares = [sum(v * v * k for v, k in zip(whole, c, strict=True)) for c in counts]
    means = [s / (n << 32) for s in sums]
    spreads = [(n * q - s * s) / (n * n << 64) for s, q in zip(sums, squares, strict=True)]

    def table(title, true):
        lines = re.search(rf"^{title}.*\n((?:  .*\n)+)", output, re.MULTILINE)[1].splitlines()
        rows = {line[2:34].strip(): [float(word) for word in line[34:].split()] for line in lines}
        assert rows.pop("exact")[:3] == [round(v, 7) for v in true]
        for *values, off in rows.values():  # printed with seven digits
            assert off == pytest.approx(
                max(abs(v - e) / e for v, e in zip(values, true, strict=True)), rel=0.05, abs=1e-5
            )
        return {name: values[3] for name, values in rows.items()}

    for name, naive, off in (
        ("mean", "a running sum in float32", table("means", means)),
        ("var", "E[x^2] - E[x]^2 in float32", table("variances", spreads)),
    ):
        assert off[naive] > 1e-3 and off[f"np.{name}(picture, axis=(0, 1))"] > 1e-3
        assert off[f"np.{name} of each colour's copy"] < 1e-6
        assert off[f"np.{name}, dtype=np.float64"] < 1e-9
        assert off[f"parallel_{name}"] <= 2**-24
        assert off[f"parallel_{name}, dtype=np.float64"] == 0
    assert float(values(output, "by NumPy's")[0]) > 1e-3
    assert values(output, "by parsum's") == ["0.0000000", "1.0000000"]


def test_real_data_without_scikit_image(tmp_path):
    (tmp_path / "skimage.py").write_text("raise ImportError")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = run("examples/real_data.py", status=1, PYTHONPATH=path)
    assert done.stderr == "this example needs scikit-image: pip install scikit-image\n"


# ---- streaming ----


def test_streaming():
    output = run("examples/streaming.py").stdout
    both = values(output, "both:")
    assert both == values(output, "all of it in one call:")
    assert values(output, "the same in all fields:") == ["True"]
    assert values(output, "the same to the bit:") == ["True"]
    count = sum(4 * (50_000 - k) for k in range(40))
    assert output.splitlines()[-1].endswith(f" for {count} readings")
    chunks = [20 + np.random.default_rng(k).standard_normal((50_000 - k, 4)) for k in range(40)]
    channels = [math.fsum(column) / len(column) for column in np.vstack(chunks).T]
    assert [float(m) for m in values(output, "means of the channels:")] == pytest.approx(
        channels, rel=1e-15
    )
    assert float(both[0]) == pytest.approx(sum(channels) / 4, rel=1e-15)


# ---- fused ----


def test_fused():
    output = run("examples/fused.py").stdout
    rng = np.random.default_rng(0)
    x, y = 1e8 + rng.standard_normal(2_000_000), 1e8 + rng.standard_normal(2_000_000)
    exact = math.fsum((x - y) ** 2)
    assert values(output, "parsum")[0] == f"np.float64({exact!r})"
    assert f"exactly {exact!r}" in output
    assert values(output, "largest difference:") == [str(np.abs(x - y).max())]
    assert values(output, "how many are above 3:") == [str(np.count_nonzero(np.abs(x - y) > 3))]
    assert "only functions by their names are called" in output
