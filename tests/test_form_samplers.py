"""Every form of `test_forms` in one model, under each sampler and start method with two processes: it finishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

WAYS = (("pymc", "fork"), ("pymc", "spawn"), ("pymc", "forkserver"), ("nutpie",), ("numpyro",), ("blackjax",))


# About a minute each.
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=", ".join)
def test_sampling_finishes(way: tuple[str, ...]) -> None:
    script = Path(__file__).with_name("sample_forms.py")
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    # A sampler that hangs does not fail.
    done = subprocess.run(
        [sys.executable, str(script), *way], capture_output=True, text=True, timeout=800, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    draws = np.array(json.loads(done.stdout.splitlines()[-1]))
    assert draws.shape == (2, 20)
    assert len({*draws.ravel().tolist()}) > 5
