"""The simulation of many machines gives what small cases come to by hand, and docs/scaling.md."""

from __future__ import annotations

import math
import re
import shlex
import sys
from pathlib import Path

import pytest
from children import script

import parsum

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

import scaling
from scaling import Cluster, Costs, simulate

TEXT = (Path(__file__).parent.parent / "docs" / "scaling.md").read_text(encoding="utf-8")

# A state is 100 bytes, and a link takes 100 a second: a message takes 1 s, and 0.5 s on its way.
COSTS = Costs(state=100, dump=0.0, load=0.0, merge=0.25, read=10.0)


def cluster(machines: int, dispatch: float = 0.0, latency: float = 0.5, **more: float) -> Cluster:
    return Cluster(machines, latency, 100.0, dispatch, **more)


def test_one_machine_reads_its_pieces_one_after_the_other():
    k = simulate(30, 1, 8, COSTS, cluster(1))
    assert (k.seconds, k.reading, k.tasks, k.messages, k.network, k.depth) == (3, 3, 1, 0, 0, 0)
    # The third piece is read before the two others are merged, but then there is nothing to wait
    # for: 3 pieces of 1 s, and 2 merges.
    k = simulate(30, 3, 3, COSTS, cluster(1))
    assert (k.seconds, k.reading, k.tasks, k.messages, k.depth) == (3.5, 3, 4, 0, 1)


def test_pairs_of_four_machines():
    # Read until 1; 1 -> 0 and 3 -> 2 arrive at 2.5, merged at 2.75; 2 -> 0 at 4.25, merged at 4.5.
    k = simulate(40, 4, 2, COSTS, cluster(4))
    assert (k.seconds, k.reading, k.combining) == (4.5, 1, 3.5)
    assert (k.tasks, k.messages, k.network, k.depth) == (7, 3, 300, 2)


def test_messages_to_one_machine_wait_for_its_link():
    # Three messages, one after the other: until 2, 3 and 4, there at 4.5 at last; three merges.
    k = simulate(40, 4, 4, COSTS, cluster(4))
    assert (k.seconds, k.messages, k.depth) == (5.25, 3, 1)


def test_messages_from_one_machine_wait_for_its_link():
    # Three machines have two pieces each, read until 1 and 2; fan-in 3 makes machine 1 send one and
    # machine 2 both of its own. {0, 1, 2} on machine 0: piece 2 is read at 1, all at 2, sent until
    # 3, there at 3.5, two merges: 4. {3, 4, 5} on machine 1: sent from 2 on, there at 3.5 and 4.5,
    # two merges: 5. Then one message and a merge: 6.5, 6.75.
    k = simulate(60, 6, 3, COSTS, cluster(3))
    assert (k.seconds, k.reading, k.messages, k.tasks) == (6.75, 2, 4, 9)
    # Two machines, nine pieces, 0 to 4 on the first (read until 5), 5 to 8 on the second. Fan-in 3:
    # {3, 4, 5} waits for 4, read at 5; sent until 6, there at 6.5.
    k = simulate(90, 9, 3, COSTS, cluster(2))
    assert k.messages == 2 and k.reading == 5.5


def test_tiles_of_results_are_combined_on_all_machines():
    # Each machine sends the half of a state that the other combines: 0.5 s and 0.5 s on the way.
    k = simulate(20, 2, 2, COSTS, cluster(2), tiles=2)
    assert (k.seconds, k.messages, k.network, k.tasks) == (2.125, 2, 100, 4)
    # Three thirds of 1/3 s. The first machine gets its two at once after each other; the second has
    # one from the first machine at once, but the third one sends until 2/3, and then to it until 1.
    k = simulate(30, 3, 3, COSTS, cluster(3), tiles=3)
    assert k.seconds == pytest.approx(1 + 1 + 0.5 + 2 * 0.25 / 3) and k.network == 200
    # Roots are on all machines, as every machine is the place of as many combinations.
    tasks, depth = scaling.trees(16, 16, 4, 16)
    roots = [t.machine for t in tasks if not t.outputs]
    assert sorted(roots) == list(range(16)) and depth == 2


def test_dump_and_load():
    costs = Costs(state=100, dump=2.0, load=4.0, merge=0.25, read=10.0)
    # Read until 1, dumped until 3, sent until 4, there at 4.5, loaded until 8.5, merged.
    assert simulate(20, 2, 2, costs, cluster(2)).seconds == 8.75


def test_the_scheduler_hands_out_one_task_after_the_other():
    # Handed out at 1, 2 and 3; read until 2, 3 and 4; the combination at 5, messages at 6.5 and
    # 7.5, two merges.
    k = simulate(30, 3, 3, COSTS, cluster(3, dispatch=1.0))
    assert (k.seconds, k.reading) == (8.0, 4)
    # Handed out while another is read: only the first one is waited for, and the combination.
    k = simulate(30, 3, 3, COSTS, cluster(1, dispatch=1.0))
    assert (k.seconds, k.reading) == (5.5, 4)
    # Reading is faster: pieces at 1, 2, 3, read until 3.1.
    k = simulate(3, 3, 3, COSTS, cluster(1, dispatch=1.0))
    assert k.reading == pytest.approx(3.1)


def test_combinations_run_before_pieces():
    # Pieces until 1 and 2; the third has been chosen by then, and is read until 3. The first pair
    # is merged until 3.25, and only then the fourth piece is read, until 4.25.
    k = simulate(40, 4, 2, COSTS, cluster(1))
    assert (k.reading, k.seconds) == (4.25, 4.75)


def test_shared_storage_bounds_all_machines_together():
    k = simulate(40, 4, 4, COSTS, cluster(4, storage=20.0))
    assert k.reading == 2  # 40 bytes, 20 a second
    assert simulate(40, 4, 4, COSTS, cluster(4, storage=1e9)).reading == 1


@pytest.mark.parametrize("fan_in", [2, 3, 8, 64])
@pytest.mark.parametrize(("pieces", "machines"), [(1, 1), (7, 3), (64, 64), (1000, 9), (100, 100)])
def test_every_piece_is_combined_once(pieces, machines, fan_in):
    tasks, depth = scaling.trees(pieces, machines, fan_in)
    seen = []

    def leaves(number: int) -> int:
        inputs = tasks[number].inputs
        if not inputs:
            seen.append(number)
            return 0
        assert 2 <= len(inputs) <= fan_in
        assert all(tasks[child].outputs == [number] for child in inputs)
        return 1 + max(map(leaves, inputs))

    (root,) = [k for k, task in enumerate(tasks) if not task.outputs]
    assert leaves(root) == depth == math.ceil(round(math.log(pieces, fan_in), 9))
    assert seen == list(range(pieces))  # in order, as results of fixed trees ask for
    counts = [sum(t.machine == m for t in tasks[:pieces]) for m in range(machines)]
    assert max(counts) - min(counts) <= 1
    k = simulate(10.0 * pieces, pieces, fan_in, COSTS, cluster(machines))
    assert k.tasks == len(tasks) and k.network == 100 * k.messages
    away = sum(tasks[c].machine != t.machine for t in tasks for c in t.inputs)
    assert k.messages == away >= machines - 1
    assert k.reading >= 10.0 * max(counts) / COSTS.read
    assert k.seconds >= k.reading


def test_measured_costs_are_those_of_states():
    size, *seconds = scaling.state_costs("max", 1)
    acc = scaling.filled("max", 1)
    assert size == len(acc.to_bytes()) and all(0 < k < 0.1 for k in seconds)
    assert (
        acc.count == 2048 and acc.result() == parsum.Accumulator.from_bytes(acc.to_bytes()).result()
    )
    # Expected of many, from one and a thousand: within the digits of the header's numbers.
    many, *longer = scaling.state_costs("max", 1500)
    assert many == pytest.approx(len(scaling.filled("max", 1500).to_bytes()), abs=20)
    assert all(0 < k < 1 for k in longer)


def test_the_script_prints_tables_and_draws(tmp_path):
    path = tmp_path / "scaling.png"
    done = script(
        "benchmarks/scaling.py", "--operation", "var", "--bytes", "1e9", "--chunk", "1e7",
        "--machines", "1,3,20", "--file", "1e7", "--plot", path,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert any(line.startswith("1 GB of float64: var, 1 result") for line in lines)
    rows = [line.split() for line in lines]
    assert {"1", "3", "20"} <= {row[0] for row in rows if row}
    assert {"2", "4", "8", "16", "32", "64"} <= {row[0] for row in rows if row}
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_given_costs_are_used_as_they_are():
    given = ["--read", 1e9, "--state", 1000, "--dump", 0, "--load", 0, "--merge", 0.5]
    done = script(
        "benchmarks/scaling.py", *given, "--bytes", "4e9", "--chunk", "1e9", "--machines", "4",
        "--dispatch", 0, "--latency", 0, "--bandwidth", 1e3, "--fan-in", 4,
    )  # fmt: skip
    # Read in 1 s, three messages of 1 s each, three merges of 0.5 s.
    row = next(line.split() for line in done.stdout.splitlines() if line.startswith("       4 "))
    assert row == ["4", "1", "s", *["5.5", "s", "4.5", "s", "18.2%", "3", "kB"] * 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fan-in", "1"], "--fan-in must be at least 2, got 1"),
        (["--chunk", "nan"], "--chunk must be at least 1, got nan"),
        (["--machines", "1,x"], "--machines must be numbers from 1 on, such as 1,10, got '1,x'"),
        (["--machines", "0"], "--machines must be numbers from 1 on, such as 1,10, got '0'"),
    ],
)
def test_wrong_options(arguments, message):
    assert message in script("benchmarks/scaling.py", *arguments, status=2).stderr


# ---- docs/scaling.md ----


def test_the_document_has_the_sizes_of_states():
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 15
    for operation, cells in rows:
        for dtype, cell in zip(("float64", "float32", "int64"), cells.split(" | "), strict=True):
            assert "{} + {}".format(*scaling.state_sizes(operation, dtype)) == cell, operation


def test_the_document_has_the_output_of_its_commands():
    pattern = r"```sh\npython (.*?)\n```\n\n<!-- output -->\n```text\n(.*?)\n```"
    commands = re.findall(pattern, TEXT, re.DOTALL)
    assert len(commands) == 2
    for command, shown in commands:
        done = script(*shlex.split(command.replace("\\\n", " ")))
        assert [line.rstrip() for line in done.stdout.rstrip().splitlines()] == shown.splitlines()
