"""Samplers and start methods, each with two processes, and how a script samples under one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WAYS = (("pymc", "fork"), ("pymc", "spawn"), ("pymc", "forkserver"), ("nutpie",), ("numpyro",), ("blackjax",))


def draws_of(script: str, arguments: Sequence[str], *, limit: float) -> NDArray[Any]:
    """The draws that a script of this folder prints last, as JSON. What hangs does not fail, hence a limit."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), *arguments],
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[-1]))
