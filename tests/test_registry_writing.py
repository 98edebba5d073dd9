"""Writing versions: whole or not at all, never over another, and nothing left of what failed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from test_registry import SHIPPED, snapshot

import pymc_lan as pl
from pymc_lan.data import files as disk
from pymc_lan.data.files import LOCK
from pymc_lan.errors import RegistryError
from pymc_lan.networks.config import CONFIG
from pymc_lan.networks.network import Network
from pymc_lan.registry import load as registry
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import verify_network, write_version
from pymc_lan.registry.table import CARD, REGISTRY, WEIGHTS, add_version, read_registry
from pymc_lan.training.recipes import Recipe

pytestmark = pytest.mark.usefixtures("no_memory")


def next_version(version: str = "2.1") -> tuple[Network, dict[str, Any]]:
    """Return the shipped network with other weights, and its config, under a new version."""
    shipped = pl.load_network(SHIPPED / "ddm" / "2.0")
    lan = replace(shipped.lan, biases=tuple(bias + np.float32(0.5) for bias in shipped.lan.biases))
    return replace(shipped, lan=lan, version=version), dict(shipped.config) | {"version": version}


def but_the_lock(root: Path) -> dict[str, Any]:
    """Everything there, but for the lock, which stays."""
    return {name: content for name, content in snapshot(root).items() if name != LOCK}


def test_a_written_version_loads_and_is_the_default(root: Path) -> None:
    network, config = next_version()
    before = snapshot(root)
    folder = write_version(root, network, config, write_card)
    assert folder == root / "ddm" / "2.1"
    assert sorted(p.name for p in folder.iterdir()) == sorted([WEIGHTS, CONFIG, CARD])
    assert pl.load_network("ddm") == pl.load_network("ddm@2.1") == pl.load_network(folder) == network
    assert pl.load_network("ddm@2.0") == pl.load_network(SHIPPED / "ddm" / "2.0") != network
    assert [path.name for path in verify_network("ddm@2.1")] == [WEIGHTS, CONFIG, CARD]
    assert (folder / CARD).read_text().startswith("# ddm@2.1\n")
    # All that was there is there still, and nothing else is new.
    after = snapshot(root)
    assert {name: after[name] for name in before if name != REGISTRY} == {
        name: content for name, content in before.items() if name != REGISTRY
    }
    new = {"ddm/2.1", *(f"ddm/2.1/{name}" for name in (WEIGHTS, CONFIG, CARD))}
    assert after.keys() - before.keys() == {*new, LOCK}
    table = pl.list_models()
    table = table[table["model"] == "ddm"]
    assert dict(zip(table["version"], table["default"], strict=True)) == {"1.0": False, "2.0": False, "2.1": True}


def test_a_registry_begins_from_nothing(tmp_path: Path) -> None:
    network, config = next_version()
    folder = write_version(tmp_path / "new" / "registry", network, config, write_card)
    assert read_registry(tmp_path / "new" / "registry").keys() == {"ddm"}
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
        shutil.rmtree(root / "ddm" / "2.1")
    if what == "folder only":
        (root / "registry.toml").write_bytes(table)
    before = snapshot(root)
    with pytest.raises(RegistryError, match=f"Expected a new version. Found ddm@2.1 in .* already. Remedy: {remedy}"):
        write_version(root, network, config, write_card)
    assert snapshot(root) == before


# Of each either a model or a version is called so.
OUT_OF_PLACE = [
    "../up",
    "a/b",
    "..",
    ".hidden",
    "",
    'q"q',
    "1.0\n",
    "a\tb",
    "a b",
    "x" * 65,
    "x" * 300,
    "\x1b[31m",
    "\\",
]
NO_MODELS = [*OUT_OF_PLACE, "my.model", "my-model", "1model", "class", "\ud800"]
NO_VERSIONS = [*OUT_OF_PLACE, "é", "-1", "1.0/x"]


@pytest.mark.parametrize("version", NO_VERSIONS)
def test_a_version_must_be_a_plain_name(root: Path, version: str) -> None:
    network, config = next_version(version)
    before = snapshot(root.parent)
    with pytest.raises(RegistryError, match=r"Expected a version of letters, digits.* 64 .*Remedy: name it like '1.0'"):
        write_version(root, network, config, write_card)
    with pytest.raises(RegistryError, match="Expected a version of letters"):
        pl.export(network, root.parent / "out", "orbax")
    assert snapshot(root.parent) == before


@pytest.mark.parametrize("model", NO_MODELS)
def test_a_model_must_be_an_identifier(root: Path, model: str) -> None:
    table = read_registry(root)
    before, text = snapshot(root.parent), repr(table)
    for refuse in (lambda: add_version(table, model, "1.0", {}), lambda: registry.refuse_existing(root, model, "1.0")):
        with pytest.raises(
            RegistryError, match=r"Expected as the name of a model a Python identifier of at most 64 "
        ) as refused:
            refuse()
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 700
    assert snapshot(root.parent) == before
    assert repr(table) == text


def test_no_name_is_trained_measured_or_imported_for_nothing(root: Path, tmp_path: Path) -> None:
    for refused in (
        lambda: pl.train("ddm", tmp_path, version="a b", progress=False),
        lambda: pl.import_onnx(tmp_path / "no.onnx", "ddm", out=tmp_path, version="a b"),
    ):
        with pytest.raises(RegistryError, match="Expected a version of letters"):
            refused()


@pytest.mark.parametrize(
    "name", ["é", "with_underscores", "my.model", "my-model", 'q"q', "a\\b", "\U0001d6fc", "\x7f\n\x00"]
)
def test_the_table_says_what_it_was_told(name: str) -> None:
    """Names that are refused today, too: of an old table no other model may be lost."""
    other = {"default": "1.0", "versions": {"1.0": {"files": {CONFIG: "0" * 64}}}}
    table = {name: other, "ddm": other}
    written = tomllib.loads(add_version(table, "new", "1.1", {WEIGHTS: "1" * 64}))["models"]
    assert written == {name: other, "ddm": other, "new": table["new"]}
    assert written["new"]["versions"] == {"1.1": {"files": {WEIGHTS: "1" * 64}}}


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fail_on(where: Any, name: str, number: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Let the n-th call of a function find the disk full."""

    def arrange(monkeypatch: pytest.MonkeyPatch) -> None:
        call, count = getattr(where, name), 0

        def failing(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            return full() if count == number else call(*args, **kwargs)

        monkeypatch.setattr(where, name, failing)

    return arrange


STAGES = {
    "no folder": fail_on(tempfile, "mkdtemp", 1),
    "within the weights": fail_on(os, "fsync", 1),
    "after the weights": fail_on(os, "fsync", 2),
    "within the card": fail_on(os, "fsync", 3),
    "before the folder appears": fail_on(Path, "rename", 1),
    "within the table": fail_on(os, "fsync", 4),
    "before the table is replaced": fail_on(Path, "replace", 4),
}


@pytest.mark.parametrize("arrange", STAGES.values(), ids=STAGES)
def test_a_failed_write_leaves_everything_as_it_was(root: Path, arrange: Callable[[pytest.MonkeyPatch], None]) -> None:
    network, config = next_version()
    before = snapshot(root)
    with pytest.MonkeyPatch.context() as monkeypatch:
        arrange(monkeypatch)
        message = r"Expected to write ddm@2\.1 in .*Found the answer 'no space left on device'.*Remedy: make room"
        with pytest.raises(RegistryError, match=message) as failed:
            write_version(root, network, config, write_card)
    assert isinstance(failed.value.__cause__, OSError)
    assert but_the_lock(root) == before
    assert pl.load_network("ddm").version == "2.0"
    for source in ("ddm@2.1", root / "ddm" / "2.1"):
        with pytest.raises(RegistryError):
            pl.load_network(source)
    # Nothing is in the way of the next attempt.
    write_version(root, network, config, write_card)
    assert pl.load_network("ddm") == network


def test_a_folder_that_another_writer_published_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, config = next_version()
    write_version(root, network, config, write_card)
    before, looks = snapshot(root), iter([lambda *_: None, registry.refuse_existing])
    # As if it had appeared after the first look.
    monkeypatch.setattr(registry, "refuse_existing", lambda *args: next(looks)(*args))
    with pytest.raises(RegistryError, match=r"Expected a new version\. Found ddm@2\.1"):
        write_version(root, network, config, write_card)
    assert snapshot(root) == before


# Several processes

TEN = r"""
import os, sys
from dataclasses import replace
import pymc_lan as pl
from pymc_lan.registry.card import write_card
from pymc_lan.errors import RegistryError
from pymc_lan.registry.load import write_version

root, same = sys.argv[1], sys.argv[2] == "same"
shipped = pl.load_network("ddm")
start, go = os.pipe()
for number in range(10):
    if os.fork() == 0:
        version = "3.0" if same else f"3.{number}"
        os.close(go)
        os.read(start, 1)  # returns for all at once, when the parent closes its end
        try:
            network = replace(shipped, version=version)
            write_version(root, network, dict(shipped.config) | {"version": version}, write_card)
        except RegistryError as error:
            os.write(1, f"{error}\n".encode())
            os._exit(1)
        except BaseException as error:
            os.write(1, f"{error!r}\n".encode())
            os._exit(2)
        os._exit(0)
os.close(go)
print(*(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(10)))
"""


@pytest.mark.parametrize("what", ["ten", "same"])
def test_ten_processes_write_to_one_registry(tmp_path: Path, what: str) -> None:
    command = [sys.executable, "-W", "ignore:.*fork:DeprecationWarning", "-c", TEN, str(tmp_path / "new"), what]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    *said, codes = done.stdout.splitlines()
    versions = {"3.0"} if what == "same" else {f"3.{number}" for number in range(10)}
    failed = 10 - len(versions)
    assert sorted(codes.split()) == ["0"] * len(versions) + ["1"] * failed, done.stdout
    assert len(said) == failed
    assert [line for line in said if not line.startswith("Expected a new version. Found ddm@3.0 in ")] == []
    assert read_registry(tmp_path / "new")["ddm"]["versions"].keys() == versions
    assert {path.name for path in (tmp_path / "new" / "ddm").iterdir()} == versions
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"ddm", REGISTRY, LOCK}
    for version in versions:
        assert pl.load_network(f"ddm@{version}", registries=[str(tmp_path / "new")]).version == version


STALE = """
import os, signal, sys
from pathlib import Path
from pymc_lan.data.files import alone
with alone(Path(sys.argv[1]), ValueError):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_of_a_killed_process_is_open(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run([sys.executable, "-c", STALE, str(root)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (root / LOCK).exists()
    monkeypatch.setattr(disk, "PATIENCE", 0)
    network, config = next_version()
    write_version(root, network, config, write_card)
    assert pl.load_network("ddm") == network


def test_a_lock_that_is_kept_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, done = Event(), Event()

    def hold() -> None:
        with disk.alone(root, RegistryError):
            held.set()
            done.wait()

    before, (network, config) = snapshot(root), next_version()
    with ThreadPoolExecutor(1) as other:
        other.submit(hold)
        held.wait()
        monkeypatch.setattr(disk, "PATIENCE", 0)
        message = r"Expected one process at a time to write to .*\.registry\.lock for 0 seconds.*remove that file"
        try:
            with pytest.raises(RegistryError, match=message):
                write_version(root, network, config, write_card)
        finally:
            done.set()
    assert but_the_lock(root) == before


def test_a_lock_that_cannot_be_made_is_told(root: Path) -> None:
    (root / LOCK).mkdir()
    before, (network, config) = snapshot(root), next_version()
    with pytest.raises(RegistryError, match=r"Expected to write ddm@2\.1 in .*is a directory.*\.registry\.lock"):
        write_version(root, network, config, write_card)
    assert snapshot(root) == before


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.EROFS, "give a folder that you may write to"),
        (errno.ENOLCK, "give a folder on a disk of this machine, whose file system has locks"),
        (errno.EIO, "see to the disk and try again; what was there before is whole"),
    ],
)
def test_a_disk_that_refuses_is_told(root: Path, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    before, (network, config) = snapshot(root), next_version()
    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    with pytest.raises(RegistryError, match=f"Found the answer .*{os.strerror(code)[1:]}.*Remedy: {remedy}"):
        write_version(root, network, config, write_card)
    assert snapshot(root) == before


def test_nothing_is_trained_for_a_folder_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    small = Recipe(hidden=(4,), steps=10, batch=16, pool=100)
    train = partial(pl.train, "ddm", lan_recipe=small, choice_recipe=small, n_measured=200, progress=False)
    with pytest.raises(RegistryError, match=r"not a directory.*file\)\. Remedy: give the path of a folder"):
        train(tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(RegistryError, match=r"permission denied.*Remedy: give a folder that you may write to"):
        train(tmp_path / "new" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


KILLED_WRITE = """
import os, signal, sys
from pathlib import Path
import pymc_lan as pl
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import write_version
from dataclasses import replace

call = getattr(Path, sys.argv[2])

def deadly(path, target):
    if Path(target).name in ("2.1", "registry.toml"):
        os.kill(os.getpid(), signal.SIGKILL)
    return call(path, target)

setattr(Path, sys.argv[2], deadly)
shipped = pl.load_network("ddm")
write_version(sys.argv[1], replace(shipped, version="2.1"), dict(shipped.config) | {"version": "2.1"}, write_card)
"""


@pytest.mark.parametrize("method", ["rename", "replace"])
def test_a_killed_write_leaves_the_old_version(root: Path, method: str) -> None:
    before = snapshot(root)
    done = subprocess.run([sys.executable, "-c", KILLED_WRITE, str(root), method], check=False)
    assert done.returncode == -signal.SIGKILL
    after = snapshot(root)
    assert {name: after[name] for name in before} == before
    assert pl.load_network("ddm").version == "2.0"
    assert verify_network("ddm@2.0")
    with pytest.raises(RegistryError, match=r"Unknown version '2.1' of model 'ddm'"):
        pl.load_network("ddm@2.1")
