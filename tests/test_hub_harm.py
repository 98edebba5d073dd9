"""Disks that fail and registries that mean harm: each is refused in a sentence, and leaves a cache that works."""

from __future__ import annotations

import json
import pickle
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_checks import NAME, cache, forget, on, refused, usable
from hub_server import Hub, Repository
from huggingface_hub import constants

import pymc_lan as pl
from pymc_lan.errors import RegistryError
from pymc_lan.networks.config import CONFIG
from pymc_lan.registry.table import CARD, REGISTRY, WEIGHTS, digest

pytestmark = pytest.mark.usefixtures("no_memory")


# The disk


def test_read_only_cache(
    hub: Hub, nets: Repository, lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Even root cannot make a folder below a file.
    (tmp_path / "file").write_text("")
    with monkeypatch.context() as context:
        context.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
        refused(NAME, "to fit into the cache", "Not a directory", "who may write there")
    usable(lab)


def test_a_record_that_cannot_be_written(hub: Hub, nets: Repository, lab: Path) -> None:
    cache().mkdir(parents=True)
    (cache() / "pymc_lan").write_text("")
    refused(NAME, "a record of ddm@1.1 of lab/nets to fit into the cache")
    (cache() / "pymc_lan").unlink()
    usable(lab)


def test_full_disk(hub: Hub, nets: Repository, lab: Path) -> None:
    # No file of this process may grow beyond the table's size and a little: writing the weights fails half way.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        refused(NAME, f"ddm/1.1/{WEIGHTS} of lab/nets to fit into the cache", "File too large", "the disk")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(cache().rglob("*.incomplete"))
    usable(lab)


RECORDS = {
    "not JSON": b"{",
    "a list": b"[]",
    "no commit": b'{"files": {}}',
    "a commit that climbs": b'{"commit": "../../x", "files": {}}',
    "a file that climbs": json.dumps({"commit": "0" * 40, "files": {"../x": "0" * 64}}).encode(),
}


@pytest.mark.parametrize("content", RECORDS.values(), ids=RECORDS)
def test_a_damaged_record(hub: Hub, nets: Repository, lab: Path, content: bytes) -> None:
    pl.load_network(NAME)
    record = cache() / "pymc_lan" / "main" / "ddm@1.1.json"
    record.write_bytes(content)
    forget()
    with pytest.raises(RegistryError, match=r"Expected .*ddm@1.1.json.* Remedy: remove it, and pull anew"):
        pl.load_network(NAME)
    record.unlink()
    usable(lab)


# Registries that mean harm


def table(**changes: str) -> bytes:
    names = {"model": "ddm", "version": "1.1", "file": WEIGHTS, "digest": "0" * 64} | changes
    text = """[models."{model}"]
default = "{version}"
[models."{model}".versions."{version}".files]
"{file}" = "{digest}"
"""
    return text.format(**names).encode()


MALICIOUS = {
    "a file that climbs": (table(file="../../../../evil"), "no other files of ddm@1.1 than"),
    "an absolute path": (table(file="/etc/cron.d/evil"), "no other files of ddm@1.1 than"),
    "a file of another kind": (table(file="weights.pkl"), "Found 'weights.pkl'"),
    "a model that climbs": (table(model="../../evil"), "models named with Python identifiers"),
    "a version that climbs": (table(version="../evil"), "versions of at most 64 letters"),
    "a version of 300 letters": (table(version="1" * 300), "versions of at most 64 letters"),
    "an absolute model": (table(model="/evil"), "models named with Python identifiers"),
    "a hash that is none": (table(digest="../x"), "64 hexadecimal digits"),
    "no table": (b"\x80\x04\x95", "a readable registry.toml of lab/nets"),
    "a page of the web": (b"<html>", "a readable registry.toml of lab/nets"),
}


@pytest.mark.parametrize(("content", "sentence"), MALICIOUS.values(), ids=MALICIOUS)
def test_malicious_table(hub: Hub, nets: Repository, lab: Path, tmp_path: Path, content: bytes, sentence: str) -> None:
    nets.commit(nets.commits[nets.refs["main"]] | {REGISTRY: content})
    for name in (NAME, "lab/nets:ddm"):
        refused(name, sentence)
    assert not list(tmp_path.rglob("*evil*"))
    nets.commit_folder(lab)
    usable(lab)


def reseal(files: dict[str, bytes], name: str, content: bytes) -> dict[str, bytes]:
    """Return a registry's files with one changed and all hashes made to agree, as whoever publishes it can."""
    changed = files | {f"ddm/1.1/{name}": content}
    config = json.loads(changed[f"ddm/1.1/{CONFIG}"]) if name != CONFIG else None
    if config:
        config["weights_sha256"] = digest(changed[f"ddm/1.1/{WEIGHTS}"])
        changed[f"ddm/1.1/{CONFIG}"] = json.dumps(config).encode()
    text = files[REGISTRY].decode()
    for each in (WEIGHTS, CONFIG, CARD):
        text = text.replace(digest(files[f"ddm/1.1/{each}"]), digest(changed[f"ddm/1.1/{each}"]))
    return changed | {REGISTRY: text.encode()}


class Bomb:
    """Unpickled, it makes the file it was told of."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def future(content: bytes) -> bytes:
    return json.dumps(json.loads(content) | {"format": 99}).encode()


def another_model(content: bytes) -> bytes:
    return json.dumps(json.loads(content) | {"model": "ddm_extended"}).encode()


HARMFUL = {
    # Git keeps a symlink as a file with its target; the hub serves that text.
    "symlink": (WEIGHTS, lambda _, __: b"../../../../../../etc/passwd", "an unreadable file"),
    "pickle": (WEIGHTS, lambda _, marker: pickle.dumps(Bomb(marker)), "an unreadable file"),
    "pickled config": (CONFIG, lambda _, marker: pickle.dumps(Bomb(marker)), "Expected JSON"),
    "header of 10 GB": (WEIGHTS, lambda c, _: struct.pack("<Q", 10 * 2**30) + c[8:], "an unreadable file"),
    "future format": (CONFIG, lambda c, _: future(c), "Found format 99. Remedy: upgrade pymc-lan"),
    "another model": (CONFIG, lambda c, _: another_model(c), "Expected ddm@1.1 in"),
}


@pytest.mark.parametrize(("name", "change", "sentence"), HARMFUL.values(), ids=HARMFUL)
def test_malicious_files(
    hub: Hub, nets: Repository, lab: Path, tmp_path: Path, name: str, change: Callable[..., bytes], sentence: str
) -> None:
    marker, good = tmp_path / "unpickled", nets.commits[nets.refs["main"]]
    nets.commit(reseal(good, name, change(good[f"ddm/1.1/{name}"], marker)), "evil")
    for _ in range(2):
        with pytest.raises(RegistryError, match=sentence):
            pl.load_network("lab/nets@evil:ddm@1.1")
        assert not marker.exists()
    usable(lab)


def test_a_file_of_10_gb_is_not_fetched(hub: Hub, nets: Repository, lab: Path) -> None:
    commit = nets.refs["main"]
    headers = {"X-Repo-Commit": commit, "ETag": '"x"', "Content-Length": str(10 * 2**30)}
    hub.faults.append(on("HEAD GET", f"{commit}/ddm/1.1/{WEIGHTS}", lambda r: r.answer(200, headers=headers)))
    refused(NAME, "below 268,435,456 bytes", "10,737,418,240")
    assert not any(each.startswith("GET") and each.endswith(WEIGHTS) for each in hub.requests)
    hub.faults.clear()
    usable(lab)


@pytest.mark.parametrize("commit", ["../../../evil", "main", "0" * 39, ""])
def test_a_server_that_names_no_commit(hub: Hub, nets: Repository, lab: Path, tmp_path: Path, commit: str) -> None:
    hub.faults.append(lambda r: r.answer(200, b"x", {"X-Repo-Commit": commit, "ETag": '"x"'}))
    refused(NAME, f"the commit of revision 'main' of lab/nets. Found {commit!r}")
    assert not list(tmp_path.rglob("*evil*"))
    hub.faults.clear()
    usable(lab)
