"""Simulates a reduction on many machines, from costs of states and reading measured on this one.

    python benchmarks/scaling.py [--operation var] [--outputs 1000000] [--fan-in 8] [--plot FILE]

Machines read pieces of the data into states, which are combined in a tree over the network: each
piece is a task of a central scheduler, or all pieces of a machine are one. Every task, message and
combination is an event that waits for the scheduler, the links and the machine that it needs.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import tempfile
import timeit
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import parsum
from parsum.api.named import FUNCTIONS, FUNCTIONS_OF_TWO
from parsum.bench.machine import cpu_model, size_text

MACHINES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
FAN_INS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Costs:
    """What states cost, and how fast one machine reads and reduces (bytes a second)."""

    state: float  # bytes
    dump: float  # seconds to turn a state into bytes, to make one of bytes, to merge two
    load: float
    merge: float
    read: float

    def share(self, tiles: int) -> Costs:
        """What the state of one of so many tiles of results costs."""
        parts = (self.state, self.dump, self.load, self.merge)
        return Costs(*(part / tiles for part in parts), read=self.read)


@dataclass(frozen=True)
class Cluster:
    """Machines of one task at a time, each with a link to all others, and one scheduler."""

    machines: int
    latency: float = 200e-6  # seconds that a message is on its way
    bandwidth: float = 1.25e9  # bytes a second in, and as many out
    dispatch: float = 1e-3  # seconds of the scheduler for each task
    storage: float = float("inf")  # bytes a second that all may read together


@dataclass(frozen=True)
class Outcome:
    seconds: float
    reading: float  # when the last piece was read
    tasks: int
    messages: int
    network: int  # bytes
    depth: int  # levels of the tree

    @property
    def combining(self) -> float:
        """Seconds after all was read."""
        return self.seconds - self.reading


# ---- the tree ----


@dataclass
class Task:
    machine: int
    inputs: list[int]
    outputs: list[int] = field(default_factory=list)
    missing: int = 0


def trees(pieces: int, machines: int, fan_in: int, tiles: int = 1) -> tuple[list[Task], int]:
    """The tasks: pieces first, neighbours on one machine, then what combines them; and the depth.

    With several tiles of results, every piece has a state of each, and every tile a tree of its
    own. A combination is made where one of its inputs is, of each tile another one, so that all
    machines have their share. One input alone at the end of a level goes up as it is.
    """
    tasks = [Task(k * machines // pieces, []) for k in range(pieces)]
    depth = 0
    for tile in range(tiles):
        level, depth, digits = list(range(pieces)), 0, tile
        while len(level) > 1:
            above = []
            for begin in range(0, len(level), fan_in):
                inputs = level[begin : begin + fan_in]
                if len(inputs) == 1:
                    above.append(inputs[0])
                    continue
                for child in inputs:
                    tasks[child].outputs.append(len(tasks))
                above.append(len(tasks))
                host = tasks[inputs[digits % len(inputs)]].machine
                tasks.append(Task(host, inputs, missing=len(inputs)))
            level, depth, digits = above, depth + 1, digits // fan_in
    return tasks, depth


# ---- the simulation ----


class Simulation:
    """Events in the order of time, and who is free when."""

    def __init__(
        self, nbytes: float, pieces: int, fan_in: int, costs: Costs, cluster: Cluster, tiles: int
    ) -> None:
        self._costs, self._cluster = costs.share(tiles), cluster
        self._tasks, self._depth = trees(pieces, cluster.machines, fan_in, tiles)
        rate = min(costs.read, cluster.storage / cluster.machines)
        self._piece = nbytes / pieces / rate
        self._pieces = pieces
        self._events: list[tuple[float, int, Callable[..., None], tuple[int, ...]]] = []
        self._count = 0
        self._scheduler = 0.0
        self._out = [0.0] * cluster.machines
        self._in = [0.0] * cluster.machines
        self._busy = [False] * cluster.machines
        self._unread: list[deque[int]] = [deque() for _ in range(cluster.machines)]
        for number in range(pieces):
            self._unread[self._tasks[number].machine].append(number)
        # What may run on a machine: combinations before pieces, so that states do not pile up.
        self._runnable: list[list[tuple[bool, int, int]]] = [[] for _ in range(cluster.machines)]
        self._reading = self._end = 0.0
        self._messages = 0

    def run(self) -> Outcome:
        for machine in range(self._cluster.machines):
            self._ask_for_piece(0.0, machine)
        while self._events:
            now, _, happen, arguments = heapq.heappop(self._events)
            happen(now, *arguments)
        network = round(self._messages * self._costs.state)
        return Outcome(
            self._end, self._reading, len(self._tasks), self._messages, network, self._depth
        )

    def _at(self, time: float, happen: Callable[..., None], *arguments: int) -> None:
        self._count += 1  # events of one time happen in the order in which they were planned
        heapq.heappush(self._events, (time, self._count, happen, arguments))

    def _ask_for_piece(self, now: float, machine: int) -> None:
        """Each machine has one piece waiting while it reads another, so that it need not wait."""
        if self._unread[machine]:
            self._schedule(now, self._unread[machine].popleft())

    def _schedule(self, now: float, number: int) -> None:
        """The scheduler hands out one task after the other, in the order of asking."""
        self._scheduler = max(now, self._scheduler) + self._cluster.dispatch
        self._at(self._scheduler, self._gather, number)

    def _gather(self, now: float, number: int) -> None:
        """Inputs that are elsewhere are sent, each when both links are free."""
        task = self._tasks[number]
        sent = 0
        for child in task.inputs:
            source = self._tasks[child].machine
            if source == task.machine:
                continue
            start = max(now + self._costs.dump, self._out[source], self._in[task.machine])
            end = start + self._costs.state / self._cluster.bandwidth
            self._out[source] = self._in[task.machine] = end
            self._at(end + self._cluster.latency, self._arrive, number)
            sent += 1
        self._messages += sent
        task.missing = sent
        if sent == 0:
            self._queue(now, number)

    def _arrive(self, now: float, number: int) -> None:
        task = self._tasks[number]
        task.missing -= 1
        if task.missing == 0:
            self._queue(now, number)

    def _queue(self, now: float, number: int) -> None:
        self._count += 1
        machine = self._tasks[number].machine
        heapq.heappush(self._runnable[machine], (number < self._pieces, self._count, number))
        self._next(now, machine)

    def _next(self, now: float, machine: int) -> None:
        if self._busy[machine] or not self._runnable[machine]:
            return
        _, _, number = heapq.heappop(self._runnable[machine])
        self._busy[machine] = True
        self._at(now + self._seconds(number), self._done, number)
        if number < self._pieces:
            self._ask_for_piece(now, machine)

    def _seconds(self, number: int) -> float:
        task = self._tasks[number]
        if not task.inputs:
            return self._piece
        away = sum(self._tasks[child].machine != task.machine for child in task.inputs)
        return away * self._costs.load + (len(task.inputs) - 1) * self._costs.merge

    def _done(self, now: float, number: int) -> None:
        task = self._tasks[number]
        if number < self._pieces:
            self._reading = max(self._reading, now)
        self._end = max(self._end, now)
        self._busy[task.machine] = False
        for above in task.outputs:
            self._tasks[above].missing -= 1
            if self._tasks[above].missing == 0:
                self._schedule(now, above)
        self._next(now, task.machine)


def simulate(
    nbytes: float, pieces: int, fan_in: int, costs: Costs, cluster: Cluster, tiles: int = 1
) -> Outcome:
    return Simulation(nbytes, pieces, fan_in, costs, cluster, tiles).run()


# ---- costs on this machine ----


def least_seconds(call: Callable[[], object]) -> float:
    timer = timeit.Timer(call)
    loops = max(1, int(0.01 / max(timer.timeit(1), 1e-7)))
    return min(timer.repeat(5, loops)) / loops


def filled(operation: str, outputs: int, dtype: str = "float64") -> parsum.Accumulator:
    """An accumulator of normal numbers, or of integers about as large, of so many results."""
    # As many as make leaves of a tree, where there is one: none are left waiting.
    shape = (2048,) if outputs == 1 else (2048, outputs)
    a = np.random.default_rng(0).standard_normal(shape)
    a = (a * (100 if dtype == "int64" else 1)).astype(dtype)
    acc = parsum.Accumulator(operation, axis=0)
    acc.update(*((a, abs(a)) if operation in FUNCTIONS_OF_TWO else (a,)))
    return acc


def state_sizes(operation: str, dtype: str) -> tuple[int, int]:
    """Bytes of the state of one result, and of each further one."""
    one, some = (len(filled(operation, k, dtype).to_bytes()) for k in (1, 101))
    return one, round((some - one) / 100)


def state_costs(operation: str, outputs: int) -> tuple[int, float, float, float]:
    """Bytes of a state, and the seconds to dump, load and merge it.

    Of more than a thousand results they are what one and a thousand let expect.
    """

    def measured(count: int) -> np.ndarray:
        acc = filled(operation, count)
        data, other = acc.to_bytes(), filled(operation, count)
        calls = (
            acc.to_bytes,
            lambda: parsum.Accumulator.from_bytes(data),
            lambda: acc.merge(other),
        )
        return np.array([len(data), *map(least_seconds, calls)])

    many = 1000
    if outputs <= many:
        size, *seconds = measured(outputs)
    else:
        one, some = measured(1), measured(many)
        size, *seconds = one + (some - one) * ((outputs - 1) / (many - 1))
    return int(size), *map(float, seconds)


def read_rates(operation: str, nbytes: int) -> tuple[float, float]:
    """Bytes a second that a file is reduced at: from disk, and from the system's cache."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as stream:
        block = np.random.default_rng(0).standard_normal(1 << 20)
        for _ in range(nbytes // block.nbytes):
            block.tofile(stream)
        stream.flush()
        os.fsync(stream.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file = parsum.open(stream.name, dtype="float64")

        def reduce() -> object:
            return FUNCTIONS[operation](file)

        cold = timeit.timeit(reduce, number=1)
        cached = min(timeit.repeat(reduce, number=1, repeat=3))
        return file.nbytes / cold, file.nbytes / cached


# ---- what a person reads ----


def in_units(seconds: float) -> str:
    if seconds >= 1000:
        return f"{seconds:.0f} s"
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.2g} s"


def state_table() -> list[str]:
    """One line for each operation."""
    kinds = ("float64", "float32", "int64")
    lines = [f"{'':14}" + "".join(f"{kind:>18}" for kind in kinds)]
    for operation in (*FUNCTIONS, *FUNCTIONS_OF_TWO):
        sizes = ("{} + {}".format(*state_sizes(operation, kind)) for kind in kinds)
        lines.append(f"{operation:14}" + "".join(f"{size:>18}" for size in sizes))
    return lines


def pieces_of(nbytes: float, chunk: float, machines: int) -> int:
    return max(machines, -(-int(nbytes) // int(chunk)))


def over_machines(
    nbytes: float, chunk: float, fan_in: int, costs: Costs, cluster: Cluster, counts: Sequence[int]
) -> list[tuple[int, Outcome, Outcome]]:
    """Outcomes with a task for each piece, and with one for each machine, by number of machines."""
    found = []
    for count in counts:
        here = replace(cluster, machines=count)
        each = simulate(nbytes, pieces_of(nbytes, chunk, count), fan_in, costs, here)
        found.append((count, each, simulate(nbytes, count, fan_in, costs, here)))
    return found


def machine_table(
    nbytes: float, rows: Sequence[tuple[int, Outcome, Outcome]], costs: Costs, cluster: Cluster
) -> list[str]:
    """One line for each number of machines; efficiency is to reading alone."""
    one = ("seconds", "after", "efficient", "network")
    lines = [
        f"{'':8}{'':12}  {'a task for each piece':^42}  {'a task for each machine':^42}",
        f"{'machines':>8}{'read alone':>12}  " + "  ".join(["".join(f"{k:>10}" for k in one)] * 2),
    ]
    for count, *outcomes in rows:
        alone = nbytes / min(costs.read * count, cluster.storage)
        lines.append(
            f"{count:8}{in_units(alone):>12}  "
            + "  ".join(
                f"{in_units(k.seconds):>10}{in_units(k.combining):>10}"
                f"{alone / k.seconds:>10.1%}{size_text(k.network):>10}"
                for k in outcomes
            )
        )
    return lines


def tree_table(nbytes: float, costs: Costs, cluster: Cluster, tiles: int) -> list[str]:
    """One line for each fan-in, of the states of each machine, in one tree and in one a tile."""
    lines = [f"{'fan-in':>8}{'depth':>8}{'tasks':>8}{'messages':>10}{'after reading':>16}"]
    if tiles > 1:
        lines[0] += f"{f'in {tiles} tiles':>16}{'tasks':>8}{'messages':>10}"
    for fan_in in FAN_INS:
        k = simulate(nbytes, cluster.machines, fan_in, costs, cluster)
        line = f"{fan_in:8}{k.depth:8}{k.tasks:8}{k.messages:10}{in_units(k.combining):>16}"
        if tiles > 1:
            k = simulate(nbytes, cluster.machines, fan_in, costs, cluster, tiles)
            line += f"{in_units(k.combining):>16}{k.tasks:8}{k.messages:10}"
        lines.append(line)
    return lines


def draw(
    path: str, nbytes: float, rows: Sequence[tuple[int, Outcome, Outcome]], costs: Costs,
    cluster: Cluster, title: str,
) -> None:  # fmt: skip
    """Draw seconds over machines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7), dpi=100, layout="constrained")
    axes = figure.subplots()
    counts = [row[0] for row in rows]
    alone = [nbytes / min(costs.read * count, cluster.storage) for count in counts]
    axes.loglog(counts, alone, "--", color="#1f2430", lw=2, label="reading alone")
    axes.loglog(
        counts, [k.seconds for _, k, _ in rows], "-s", color="#2f6fb0", lw=2,
        label="a task for each piece",
    )  # fmt: skip
    axes.loglog(
        counts, [k.seconds for _, _, k in rows], "-o", color="#d7263d", lw=4, ms=8, mec="white",
        label="a task for each machine",
    )  # fmt: skip
    after = [k.combining or math.nan for _, _, k in rows]  # no time at all has no logarithm
    axes.loglog(counts, after, ":", color="#d7263d", lw=2, label="of which after reading")
    axes.set_title(title, loc="left", size=17)
    axes.set_xlabel("machines", size=15)
    axes.set_ylabel("seconds", size=15)
    axes.tick_params(labelsize=13)
    axes.grid(color="#e6e8ee")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=14, frameon=False)
    figure.savefig(path)


def _whole(text: str) -> int:
    return int(float(text))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operation", choices=sorted(FUNCTIONS), default="sum")
    parser.add_argument("--outputs", type=_whole, default=1, help="how many results")
    parser.add_argument("--bytes", type=float, default=10e12, help="of data (default 10e12)")
    parser.add_argument("--chunk", type=float, default=256e6, help="bytes of a piece")
    parser.add_argument("--fan-in", type=int, default=8, help="states combined by a task")
    parser.add_argument(
        "--tiles", type=int, default=128, help="of results, each with a tree of its own"
    )
    parser.add_argument(
        "--machines", default=",".join(map(str, MACHINES)), help="how many, such as 1,10,100"
    )
    cluster = parser.add_argument_group("the cluster")
    cluster.add_argument("--latency", type=float, default=Cluster.latency, help="seconds")
    cluster.add_argument("--bandwidth", type=float, default=Cluster.bandwidth, help="bytes/s")
    cluster.add_argument("--dispatch", type=float, default=Cluster.dispatch, help="seconds a task")
    cluster.add_argument("--storage", type=float, default=Cluster.storage, help="bytes/s, of all")
    costs = parser.add_argument_group("costs, measured on this machine unless given")
    costs.add_argument("--read", type=float, help="bytes/s of a machine")
    costs.add_argument("--file", type=_whole, default=1 << 30, help="bytes to measure that with")
    costs.add_argument("--state", type=_whole, help="bytes of a state")
    costs.add_argument("--dump", type=float, help="seconds to turn a state into bytes")
    costs.add_argument("--load", type=float, help="seconds to make one of bytes")
    costs.add_argument("--merge", type=float, help="seconds to merge two")
    parser.add_argument(
        "--states", action="store_true", help="print bytes of states, of one result + each other"
    )
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw a picture")
    given = parser.parse_args()
    for name, least in (("outputs", 1), ("bytes", 1), ("chunk", 1), ("fan_in", 2), ("tiles", 1)):
        if not getattr(given, name) >= least:
            option = name.replace("_", "-")
            parser.error(f"--{option} must be at least {least}, got {getattr(given, name)}")
    try:
        given.counts = [int(part) for part in given.machines.split(",")]
    except ValueError:
        given.counts = []
    if not given.counts or min(given.counts) < 1:
        parser.error(f"--machines must be numbers from 1 on, such as 1,10, got {given.machines!r}")
    return given


def main() -> None:
    given = options()
    if given.states:
        print("\n".join(state_table()))
        return
    read = given.read
    if read is None:
        cold, cached = read_rates(given.operation, given.file)
        print(f"read and reduced here: {cold / 1e9:.2f} GB/s from disk, {cached / 1e9:.2f} cached")
        read = cold
    known = (given.state, given.dump, given.load, given.merge)
    measured = known if None not in known else state_costs(given.operation, given.outputs)
    pairs = zip(known, measured, strict=True)
    costs = Costs(*(m if k is None else k for k, m in pairs), read=read)
    cluster = Cluster(1, given.latency, given.bandwidth, given.dispatch, given.storage)
    if costs != Costs(*known, read=given.read):
        print(f"measured on {cpu_model()}")
    print(
        f"a state: {size_text(round(costs.state))}, dump {in_units(costs.dump)}, load "
        f"{in_units(costs.load)}, merge {in_units(costs.merge)}; a machine reads "
        f"{costs.read / 1e9:.2f} GB/s"
    )
    print(
        f"network: {in_units(cluster.latency)}, {cluster.bandwidth / 1e9:g} GB/s; scheduler: "
        f"{in_units(cluster.dispatch)} a task; pieces of {size_text(int(given.chunk))}, fan-in "
        f"{given.fan_in}\n"
    )
    title = (
        f"{size_text(int(given.bytes))} of float64: {given.operation}, {given.outputs:,} "
        f"result{'s' * (given.outputs > 1)}"
    )
    rows = over_machines(given.bytes, given.chunk, given.fan_in, costs, cluster, given.counts)
    print("\n".join([title, *machine_table(given.bytes, rows, costs, cluster)]))
    most = min(max(given.counts), 1000)
    print(f"\nstates of {most:,} machines, by fan-in")
    here = replace(cluster, machines=most)
    print("\n".join(tree_table(given.bytes, costs, here, min(given.tiles, given.outputs))))
    if given.plot is not None:
        draw(str(given.plot), given.bytes, rows, costs, cluster, title)


if __name__ == "__main__":
    main()
