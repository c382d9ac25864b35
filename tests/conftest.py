"""What tests share: CPU levels in turn, and Hypothesis profiles, a quick default of the same
examples in every run and PARSUM_TEST_PROFILE=fuzz for a long search at random.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from parsum._native import ffi, lib

import parsum

# Whoever runs tests in the background may have Ctrl-C ignored, which processes that tests interrupt
# would inherit; a handler they do not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Kernels that tests have compiled are not to stay behind. Processes that tests start share them.
if "PARSUM_CACHE_DIR" not in os.environ:
    os.environ["PARSUM_CACHE_DIR"] = tempfile.mkdtemp(prefix="parsum-tests-")
    atexit.register(shutil.rmtree, os.environ["PARSUM_CACHE_DIR"], True)

_common = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
# A change fails for what it changed, not for examples that nobody had tried before.
settings.register_profile("default", max_examples=150, derandomize=True, **_common)
settings.register_profile("fuzz", max_examples=5000, **_common)
settings.load_profile(os.environ.get("PARSUM_TEST_PROFILE", "default"))


@pytest.fixture(params=parsum.cpu_levels())
def level(request):
    """Each CPU level in turn, in this process."""
    best = lib.parsum_level()
    built = [ffi.string(lib.parsum_level_name(k)).decode() for k in range(lib.parsum_levels())]
    assert lib.parsum_use_level(built.index(request.param)) == 0
    yield request.param
    assert lib.parsum_use_level(best) == 0
