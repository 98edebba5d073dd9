"""What tests share: the way to the real data, which the repository does not redistribute, and a registry to spoil."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymc_lan import registry


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


@pytest.fixture
def no_memory() -> Iterator[None]:
    """Forget loaded networks before and after a test that changes the registry."""
    registry._load_named.cache_clear()
    yield
    registry._load_named.cache_clear()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_memory: None) -> Path:
    """Return a copy of the shipped registry that stands in its place."""
    copy = tmp_path / "registry"
    shutil.copytree(Path(__file__).resolve().parents[1] / "weights_registry", copy)
    monkeypatch.setattr(registry, "embedded_root", lambda: copy)
    return copy
