"""Data that comes chunk by chunk, in two processes: the statistics of one call over all of it."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from parsum import Accumulator, parallel_describe, parallel_mean

CHUNKS = 40


def chunks(first: int, last: int) -> Iterator[np.ndarray]:
    """Stands for files, sockets, sensors: 50 000 readings of four channels at a time."""
    for k in range(first, last):
        rng = np.random.default_rng(k)
        yield 20 + rng.standard_normal((50_000 - k, 4))


def fill(first: int, last: int) -> tuple[Accumulator, Accumulator]:
    whole, by_channel = Accumulator("describe"), Accumulator("mean", axis=0)
    for chunk in chunks(first, last):
        whole.update(chunk)
        by_channel.update(chunk)
    return whole, by_channel


def main() -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        halves = [pool.submit(fill, 0, CHUNKS // 2), pool.submit(fill, CHUNKS // 2, CHUNKS)]
        (first, first_means), (second, second_means) = (half.result() for half in halves)

    print("the first half:        ", first.result().mean)
    print("the second half:       ", second.result().mean)
    whole, means = first + second, first_means + second_means
    print("both:                  ", whole.result().mean)
    print(
        "all of it in one call: ",
        parallel_describe(at_once := np.vstack([*chunks(0, CHUNKS)])).mean,
    )
    print("the same in all fields:", whole.result() == parallel_describe(at_once))
    print("means of the channels: ", *means.result())
    same = np.array_equal(means.result(), parallel_mean(at_once, axis=0))
    print("the same to the bit:   ", same)
    print(f"bytes of the state:     {len(whole.to_bytes())} for {whole.count} readings")


if __name__ == "__main__":
    main()
