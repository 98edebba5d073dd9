"""What all tests share: the way to the real data, which the repository does not redistribute."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data: PYMC_LAN_SHARED, or ``shared`` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("PYMC_LAN_SHARED", beside))
    if not (folder / "data").is_dir():
        pytest.skip(
            f"This test reads real data: expected the folder {folder / 'data'}, found none. "
            "Set PYMC_LAN_SHARED to the folder that holds data/."
        )
    return folder
