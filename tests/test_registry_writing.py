"""Writing versions: whole or not at all, never over another, and nothing left of what failed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_registry import SHIPPED, snapshot

import pymc_lan as pl
from pymc_lan import registry
from pymc_lan.card import write_card
from pymc_lan.errors import RegistryError
from pymc_lan.network import Network
from pymc_lan.registry import CARD, CONFIG, REGISTRY, WEIGHTS, verify_network, write_version

pytestmark = pytest.mark.usefixtures("no_memory")


def next_version(version: str = "1.1") -> tuple[Network, dict[str, Any]]:
    """Return the shipped network with other weights, and its config, under a new version."""
    shipped = pl.load_network(SHIPPED / "ddm" / "1.0")
    lan = replace(shipped.lan, biases=tuple(bias + np.float32(0.5) for bias in shipped.lan.biases))
    return replace(shipped, lan=lan, version=version), dict(shipped.config) | {"version": version}


def test_a_written_version_loads_and_is_the_default(root: Path) -> None:
    network, config = next_version()
    before = snapshot(root)
    folder = write_version(root, network, config, write_card)
    assert folder == root / "ddm" / "1.1"
    assert sorted(p.name for p in folder.iterdir()) == sorted([WEIGHTS, CONFIG, CARD])
    assert pl.load_network("ddm") == pl.load_network("ddm@1.1") == pl.load_network(folder) == network
    assert pl.load_network("ddm@1.0") == pl.load_network(SHIPPED / "ddm" / "1.0") != network
    assert [path.name for path in verify_network("ddm@1.1")] == [WEIGHTS, CONFIG, CARD]
    assert (folder / CARD).read_text().startswith("# ddm@1.1\n")
    # All that was there is there still, and nothing else is new.
    after = snapshot(root)
    assert {name: after[name] for name in before if name != REGISTRY} == {
        name: content for name, content in before.items() if name != REGISTRY
    }
    new = {"ddm/1.1", *(f"ddm/1.1/{name}" for name in (WEIGHTS, CONFIG, CARD))}
    assert after.keys() - before.keys() == new
    table = pl.list_models()
    table = table[table["model"] == "ddm"]
    assert dict(zip(table["version"], table["default"], strict=True)) == {"1.0": False, "1.1": True}


def test_a_registry_begins_from_nothing(tmp_path: Path) -> None:
    network, config = next_version()
    folder = write_version(tmp_path / "new" / "registry", network, config, write_card)
    assert registry.read_registry(tmp_path / "new" / "registry").keys() == {"ddm"}
    assert pl.load_network(folder) == network


@pytest.mark.parametrize(
    ("what", "remedy"),
    [
        ("whole", "raise the version; published ones never change"),
        ("entry only", "raise the version; published ones never change"),
        ("folder only", "raise the version, or remove the folder, which registry.toml does not list"),
    ],
)
def test_versions_are_never_overwritten(root: Path, what: str, remedy: str) -> None:
    network, config = next_version()
    table = (root / "registry.toml").read_bytes()
    write_version(root, network, config, write_card)
    if what == "entry only":
        shutil.rmtree(root / "ddm" / "1.1")
    if what == "folder only":
        (root / "registry.toml").write_bytes(table)
    before = snapshot(root)
    with pytest.raises(RegistryError, match=f"Expected a new version. Found ddm@1.1 in .* already. Remedy: {remedy}"):
        write_version(root, network, config, write_card)
    assert snapshot(root) == before


@pytest.mark.parametrize("version", ["../x", "..", ".hidden", "", "1.0/x", '1"0', "1.0\n", "a b", "é"])
def test_a_version_must_be_a_plain_name(root: Path, version: str) -> None:
    network, config = next_version(version)
    before = snapshot(root.parent)
    with pytest.raises(RegistryError, match=r"Expected a version of letters, digits.*Remedy: name it like '1.0'"):
        write_version(root, network, config, write_card)
    assert snapshot(root.parent) == before


class DiskFullError(OSError):
    """What a failing write raises here."""


def fail_on_write(number: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Make the n-th file stop half way."""

    def arrange(monkeypatch: pytest.MonkeyPatch) -> None:
        write, count = registry._write, 0

        def failing(path: Path, content: bytes) -> None:
            nonlocal count
            count += 1
            write(path, content[: len(content) // 2] if count == number else content)
            if count == number:
                raise DiskFullError

        monkeypatch.setattr(registry, "_write", failing)

    return arrange


def fail_on(method: str) -> Callable[[pytest.MonkeyPatch], None]:
    def failing(*_: Any) -> None:
        raise DiskFullError

    return lambda monkeypatch: monkeypatch.setattr(Path, method, failing)


STAGES = {
    "within the weights": fail_on_write(1),
    "after the weights": fail_on_write(2),
    "within the card": fail_on_write(3),
    "before the folder appears": fail_on("rename"),
    "within the table": fail_on_write(4),
    "before the table is replaced": fail_on("replace"),
}


@pytest.mark.parametrize("arrange", STAGES.values(), ids=STAGES)
def test_a_failed_write_leaves_everything_as_it_was(root: Path, arrange: Callable[[pytest.MonkeyPatch], None]) -> None:
    network, config = next_version()
    before = snapshot(root)
    with pytest.MonkeyPatch.context() as monkeypatch:
        arrange(monkeypatch)
        with pytest.raises(DiskFullError):
            write_version(root, network, config, write_card)
    assert snapshot(root) == before
    assert pl.load_network("ddm").version == "1.0"
    for source in ("ddm@1.1", root / "ddm" / "1.1"):
        with pytest.raises(RegistryError):
            pl.load_network(source)
    # Nothing is in the way of the next attempt.
    write_version(root, network, config, write_card)
    assert pl.load_network("ddm") == network


def test_a_folder_that_another_writer_published_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, config = next_version()
    write_version(root, network, config, write_card)
    before = snapshot(root)
    # As if it had appeared after the first look.
    monkeypatch.setattr(registry, "refuse_existing", lambda *_: None)
    with pytest.raises(OSError, match="not empty"):
        write_version(root, network, config, write_card)
    assert snapshot(root) == before


KILLED_WRITE = """
import os, signal, sys
from pathlib import Path
import pymc_lan as pl
from pymc_lan.card import write_card
from pymc_lan.registry import write_version
from dataclasses import replace

setattr(Path, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
shipped = pl.load_network("ddm")
write_version(sys.argv[1], replace(shipped, version="1.1"), dict(shipped.config) | {"version": "1.1"}, write_card)
"""


@pytest.mark.parametrize("method", ["rename", "replace"])
def test_a_killed_write_leaves_the_old_version(root: Path, method: str) -> None:
    before = snapshot(root)
    done = subprocess.run([sys.executable, "-c", KILLED_WRITE, str(root), method], check=False)
    assert done.returncode == -signal.SIGKILL
    after = snapshot(root)
    assert {name: after[name] for name in before} == before
    assert pl.load_network("ddm").version == "1.0"
    assert verify_network("ddm@1.0")
    with pytest.raises(RegistryError, match=r"Unknown version of model 'ddm' '1.1'"):
        pl.load_network("ddm@1.1")
