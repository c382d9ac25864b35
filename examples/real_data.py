"""The mean and variance of a photograph's colours: how wrong float32 gets, and parsum not.

Neural networks get pictures as float32 between 0 and 1, less the mean of each colour and divided by
its standard deviation. The picture is one of an eye, 1411 x 1411 pixels, that scikit-image has.
"""

import math
import sys
from fractions import Fraction

import numpy as np

from parsum import parallel_mean, parallel_std, parallel_var

try:
    from skimage import data
except ImportError:
    sys.exit("this example needs scikit-image: pip install scikit-image")

BOTH = (0, 1)  # rows and columns: a result for each colour


def exact_moments(values: np.ndarray) -> tuple[Fraction, Fraction]:
    """Mean and variance in rational numbers, from how often each of the 256 values occurs."""
    distinct, counts = np.unique(values, return_counts=True)
    pairs = [(Fraction(float(v)), int(n)) for v, n in zip(distinct, counts, strict=True)]
    mean = sum(v * n for v, n in pairs) / values.size
    return mean, sum((v - mean) ** 2 * n for v, n in pairs) / values.size


def running_mean(values: np.ndarray) -> np.float32:
    """What a loop over the pixels does: one addition after the other."""
    return np.cumsum(values, dtype=np.float32)[-1] / np.float32(values.size)


def show(title: str, rows: dict[str, list[float]], exact: list[float]) -> None:
    print(f"{title:<34}{'red':>12}{'green':>12}{'blue':>12}   furthest off")
    for name, values in rows.items():
        worst = max(abs(float(v) - e) / e for v, e in zip(values, exact, strict=True))
        print(f"  {name:<32}", *(f"{v:11.7f}" for v in values), f"{worst:14.2g}")
    print()


picture = data.retina().astype(np.float32) / np.float32(255)
planes = [np.ascontiguousarray(picture[..., k]) for k in range(3)]
moments = [exact_moments(plane) for plane in planes]
means, variances = [float(mean) for mean, _ in moments], [float(v) for _, v in moments]

print(f"{picture.shape[0]} x {picture.shape[1]} pixels of three colours, float32, 0 to 1\n")
show(
    "means",
    {
        "a running sum in float32": [running_mean(plane) for plane in planes],
        "np.mean(picture, axis=(0, 1))": np.mean(picture, axis=BOTH),
        "np.mean of each colour's copy": [np.mean(plane) for plane in planes],
        "np.mean, dtype=np.float64": np.mean(picture, axis=BOTH, dtype=np.float64),
        "parallel_mean": parallel_mean(picture, axis=BOTH),
        "parallel_mean, dtype=np.float64": parallel_mean(picture, axis=BOTH, dtype=np.float64),
        "exact": means,
    },
    means,
)
# It takes one pass, which is why people write it; the difference takes the digits.
textbook = np.mean(picture * picture, axis=BOTH) - np.mean(picture, axis=BOTH) ** 2
show(
    "variances",
    {
        "E[x^2] - E[x]^2 in float32": textbook,
        "np.var(picture, axis=(0, 1))": np.var(picture, axis=BOTH),
        "np.var of each colour's copy": [np.var(plane) for plane in planes],
        "np.var, dtype=np.float64": np.var(picture, axis=BOTH, dtype=np.float64),
        "parallel_var": parallel_var(picture, axis=BOTH),
        "parallel_var, dtype=np.float64": parallel_var(picture, axis=BOTH, dtype=np.float64),
        "exact": variances,
    },
    variances,
)

numpys = (picture - np.mean(picture, axis=BOTH)) / np.std(picture, axis=BOTH)
ours = (picture - parallel_mean(picture, axis=BOTH)) / parallel_std(picture, axis=BOTH)
print("What should have the mean 0 and the standard deviation 1, of red:")
for name, normalised in {"by NumPy's": numpys, "by parsum's": ours}.items():
    mean, variance = exact_moments(normalised[..., 0])
    print(f"  {name:<14}{float(mean):11.7f}{math.sqrt(variance):12.7f}")
