"""What tests of the hub do and check again and again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_server import Fault, Hub, Request
from huggingface_hub import constants

import pymc_lan as pl
from pymc_lan.errors import RegistryError
from pymc_lan.registry import load as registry
from pymc_lan.registry.card import write_card
from pymc_lan.registry.hub import HubRegistry
from pymc_lan.registry.load import verify_network, write_version
from pymc_lan.registry.names import RepositoryName

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = REPOSITORY / "weights_registry"
NAME = "lab/nets:ddm@1.1"
LOAD = "import sys, pymc_lan as pl; print(pl.load_network(sys.argv[1]).sha256)"


def write(root: Path, version: str, shift: float) -> None:
    """Add to a registry the shipped network with other biases."""
    shipped = pl.load_network(SHIPPED / "ddm" / "1.0")
    lan = replace(shipped.lan, biases=tuple(bias + np.float32(shift) for bias in shipped.lan.biases))
    network = replace(shipped, lan=lan, version=version)
    write_version(root, network, dict(shipped.config) | {"version": version}, write_card)


def forget() -> None:
    registry._load_named.cache_clear()


def cache() -> Path:
    return Path(constants.HF_HUB_CACHE, "models--lab--nets")


def recorded() -> list[str]:
    return [entry.name for entry in HubRegistry(RepositoryName.parse("lab/nets")).entries()]


def on(method: str, path: str, answer: Callable[[Request], Any], times: int = 10**6) -> Fault:
    """A fault: the first `times` requests of a method for a path that ends so are answered otherwise."""
    left = [times]

    def fault(request: Request) -> bool:
        if request.command not in method.split() or not request.path.endswith(path) or not left[0]:
            return False
        left[0] -= 1
        return answer(request) is not False

    return fault


def refused(name: str, *sentences: str) -> None:
    """Check that a name does not load, why, and that nothing of it is recorded."""
    with pytest.raises(RegistryError) as caught:
        pl.load_network(name)
    for sentence in (*sentences, "Expected ", "Found ", "Remedy: "):
        assert sentence in str(caught.value)
    assert recorded() == []


def usable(lab: Path) -> None:
    """Check that what failed has left a cache into which the version can be pulled."""
    forget()
    assert pl.load_network(NAME) == pl.load_network(lab / "ddm" / "1.1")
    assert verify_network(NAME)
    assert recorded() == ["ddm@1.1"]


def flip(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


def child(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that uses the same hub and cache."""
    places = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)}
    return dict(os.environ) | places
