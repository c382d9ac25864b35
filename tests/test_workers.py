"""How many threads a call may use: workers=, the default, PARSUM_WORKERS, and the CPUs allowed."""

from __future__ import annotations

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from children import output, run

import parsum
from parsum import engine, parallel_sum

_LARGE = np.ones(4_000_000)


class _Counting(ThreadPoolExecutor):
    submitted = 0

    def submit(self, fn, /, *args, **kwargs):
        self.submitted += 1
        return super().submit(fn, *args, **kwargs)


def helpers(**kwargs):
    """How many threads beside the caller a call on a large array asks for."""
    with _Counting(32) as executor:
        assert parallel_sum(_LARGE, executor=executor, **kwargs) == len(_LARGE)
        return executor.submitted


@pytest.fixture(autouse=True)
def _default():
    before = parsum.get_workers()
    yield
    parsum.set_workers(None)
    assert parsum.get_workers() == before


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
def test_at_most_n_threads(workers):
    """The caller is one of them."""
    assert helpers(workers=workers) <= workers - 1
    if workers > 1:
        assert helpers(workers=workers) >= 1


def test_set_workers():
    for n in (3, 1, 2):
        parsum.set_workers(n)
        assert parsum.get_workers() == n
    parsum.set_workers(1)
    assert helpers() == 0
    assert helpers(workers=2) == 1  # the argument goes before the default
    parsum.set_workers(2)
    assert helpers() <= 1


def test_set_workers_to_all():
    parsum.set_workers(-1)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert helpers() <= cpus - 1


def test_set_workers_counts_for_all_threads():
    parsum.set_workers(5)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(parsum.get_workers()))
    thread.start()
    thread.join()
    assert seen == [5]


def test_a_refused_default_leaves_the_old_one():
    parsum.set_workers(3)
    for bad in (0, -2, 1.5, True, "4"):
        with pytest.raises((TypeError, ValueError), match="workers"):
            parsum.set_workers(bad)
    assert parsum.get_workers() == 3


def test_limit_workers_is_default_and_cap():
    before = parsum.get_workers()
    with parsum.limit_workers(1):
        assert parsum.get_workers() == 1
        assert helpers() == 0
        assert helpers(workers=4) == 0
        assert helpers(workers=-1) == 0
    assert parsum.get_workers() == before
    with parsum.limit_workers(2):
        assert helpers(workers=4) == 1
        assert helpers(workers=1) == 0


def test_limits_nest():
    with parsum.limit_workers(3):
        with parsum.limit_workers(2):
            assert helpers(workers=9) == 1
        with parsum.limit_workers(8):
            assert helpers(workers=9) <= 2  # an inner limit does not lift the outer one
        assert 1 <= helpers(workers=9) <= 2


def test_limit_ends_with_an_exception():
    before = parsum.get_workers()
    with pytest.raises(KeyError), parsum.limit_workers(1):
        raise KeyError
    assert parsum.get_workers() == before
    assert helpers(workers=3) >= 1


def test_limit_is_of_its_own_context():
    """Another thread's calls are not limited by it."""
    entered, leave = threading.Event(), threading.Event()

    def limited():
        with parsum.limit_workers(1):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=limited)
    thread.start()
    try:
        assert entered.wait(60)
        assert helpers(workers=3) >= 1
    finally:
        leave.set()
        thread.join()


@pytest.mark.parametrize("value", ["1", "2", "3", " 2 "])
def test_environment(value):
    code = """
        import numpy as np, threading
        import parsum
        print(parsum.get_workers())
        parsum.parallel_sum(np.ones(4_000_000))
        print(threading.active_count() <= parsum.get_workers())
        parsum.set_workers(7)
        print(parsum.get_workers())
        parsum.set_workers(None)
        print(parsum.get_workers())
    """
    n = value.strip()
    assert output(code, PARSUM_WORKERS=value).split() == [n, "True", "7", n]


def test_empty_environment_is_none():
    code = "import parsum; print(parsum.get_workers())"
    assert output(code, PARSUM_WORKERS="") == output(code, PARSUM_WORKERS=None)


@pytest.mark.parametrize("value", ["0", "-2", "1.5", "many", "True", "2,3"])
def test_bad_environment(value):
    code = "import parsum; parsum.get_workers(); print(parsum.parallel_sum([1.0]))"
    done = run(code, PARSUM_WORKERS=value)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "PARSUM_WORKERS" in last
    assert repr(value) in last or value in last


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
@pytest.mark.parametrize("workers", ["None", "-1"])
def test_affinity(workers):
    """On one CPU a second thread does not pay: with None and -1 the caller works alone."""
    code = f"""
        import os, threading
        os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
        import numpy as np
        import parsum
        print(int(parsum.parallel_sum(np.ones(8_000_000), workers={workers})))
        print(threading.active_count())
    """
    assert output(code).split() == ["8000000", "1"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_set_after_the_import():
    code = """
        import os, threading
        import numpy as np
        import parsum
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(int(parsum.parallel_sum(np.ones(8_000_000), workers=-1)))
        print(threading.active_count())
    """
    assert output(code).split() == ["8000000", "1"]


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="one CPU only",
)
def test_a_large_array_gets_more_than_one_worker():
    """None is not always one: the control of the tests above."""
    code = """
        import threading
        import numpy as np
        from parsum import parallel_sum
        parallel_sum(np.ones(8_000_000))
        print(threading.active_count() > 1)
    """
    assert output(code) == "True"


def test_a_small_array_gets_one():
    code = """
        import threading
        import numpy as np
        from parsum import parallel_sum
        for n in (0, 1, 10, 1000):
            parallel_sum(np.ones(n))
        print(threading.active_count())
    """
    assert output(code) == "1"


def test_an_absurd_number_of_workers():
    """At most n: there are not more threads than there is work for."""
    before = threading.active_count()
    assert parallel_sum(_LARGE, workers=10**6) == len(_LARGE)
    assert threading.active_count() - before < 200


# ---- cgroups: quotas as containers have them, from files that are not there here ----


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"/proc/self/cgroup": "0::/\n"}, None),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        (
            {
                "/proc/self/cgroup": "0::/pod/box\n",
                "/sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
                "/sys/fs/cgroup/pod/cpu.max": "50000 100000\n",
                "/sys/fs/cgroup/cpu.max": "400000 100000\n",
            },
            0.5,
        ),
        (
            {  # inside a container, which does not see its own path
                "/proc/self/cgroup": "0::/system.slice/box.scope\n",
                "/sys/fs/cgroup/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        (
            {
                "/proc/self/cgroup": "3:memory:/box\n4:cpu,cpuacct:/box\n",
                "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "300000\n",
                "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "/proc/self/cgroup": "4:cpu,cpuacct:/box\n",
                "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "nonsense\n"}, None),
    ],
)
def test_cgroup_quota(files, quota, monkeypatch):
    """The lowest quota of the groups above the process, rounded up, caps the CPUs."""

    def read_text(path, *args, **kwargs):
        try:
            return files[str(path)]
        except KeyError:
            raise FileNotFoundError(str(path)) from None

    monkeypatch.setattr(Path, "read_text", read_text)
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    engine.cgroup_quota.cache_clear()
    try:
        expected = 6 if quota is None else min(6, math.ceil(quota))
        assert engine.available_cpus() == expected
        assert parsum.get_workers() == expected
    finally:
        engine.cgroup_quota.cache_clear()
