"""Benchmarks take hours and do not run here; what they need of the package is there all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("*.py")))
def test_every_benchmark_can_be_imported(name: str, script: Callable[[str], Any]) -> None:
    assert script(f"benchmarks/{name}").__doc__
