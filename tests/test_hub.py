"""Pulling through the real client from a real server: every fault is a sentence, and no partial version ever loads."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_server import Fault, Hub, Repository, Request
from huggingface_hub import constants
from huggingface_hub.utils import close_session

import pymc_lan as pl
from pymc_lan import hub as pymc_lan_hub
from pymc_lan import registry
from pymc_lan.card import write_card
from pymc_lan.errors import RegistryError
from pymc_lan.hub import find_repository
from pymc_lan.registry import verify_network, write_version
from pymc_lan.tables import CARD, CONFIG, REGISTRY, WEIGHTS, digest

pytestmark = pytest.mark.usefixtures("no_memory")

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = REPOSITORY / "weights_registry"
NAME = "lab/nets:ddm@1.1"


def write(root: Path, version: str, shift: float) -> None:
    """Add to a registry the shipped network with other biases."""
    shipped = pl.load_network(SHIPPED / "ddm" / "1.0")
    lan = replace(shipped.lan, biases=tuple(bias + np.float32(shift) for bias in shipped.lan.biases))
    network = replace(shipped, lan=lan, version=version)
    write_version(root, network, dict(shipped.config) | {"version": version}, write_card)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a registry with ddm 1.1."""
    root = tmp_path_factory.mktemp("lab")
    write(root, "1.1", 0.5)
    return root


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """Close the client's connections after the last test: each new client would read all certificates."""
    yield
    close_session()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Run a hub, and point the client at it as HF_ENDPOINT and HF_HOME would."""
    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    for name in ("HF_TOKEN", "PYMC_LAN_REGISTRIES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    yield hub
    hub.stop()


@pytest.fixture
def nets(hub: Hub, lab: Path) -> Repository:
    """Return the repository lab/nets of the hub, with the registry of the lab."""
    hub.repositories["lab/nets"] = repository = Repository()
    repository.commit_folder(lab)
    return repository


def forget() -> None:
    registry._load_named.cache_clear()


def cache() -> Path:
    return Path(constants.HF_HUB_CACHE, "models--lab--nets")


def recorded() -> list[str]:
    return [entry.name for entry in find_repository("lab/nets").entries()]


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


# What goes well


def test_fresh_pull(hub: Hub, nets: Repository, lab: Path) -> None:
    network = pl.load_network(NAME)
    commit = nets.refs["main"]
    assert network == pl.load_network(lab / "ddm" / "1.1")
    assert (network.name, network.origin) == ("ddm@1.1", f"lab/nets@{commit}")
    assert hub.writes == []
    # The files lie where the hub's client looks for them, and every download was of the commit.
    snapshot = cache() / "snapshots" / commit
    assert {p.name for p in (snapshot / "ddm" / "1.1").iterdir()} == {WEIGHTS, CONFIG, CARD}
    assert sum("/resolve/" in each for each in hub.requests) == sum(commit in each for each in hub.requests) + 1
    # The snapshot is a registry itself.
    assert pl.pull("lab/nets") == snapshot
    assert pl.load_network("ddm@1.1", registries=[snapshot]) == network


@pytest.mark.parametrize("name", [NAME, "lab/nets:ddm", "lab/nets@main:ddm@1.1"])
def test_a_cached_version_loads_without_a_request(hub: Hub, nets: Repository, lab: Path, name: str) -> None:
    first = pl.load_network(name)
    forget()
    hub.requests.clear()
    assert pl.load_network(name) == first
    assert hub.requests == []


def test_cached_pull_with_the_server_down(hub: Hub, nets: Repository, lab: Path) -> None:
    first = pl.load_network(NAME)
    hub.stop()
    forget()
    started = time.perf_counter()
    assert pl.load_network(NAME) == first
    assert len(verify_network(NAME)) == 3
    assert time.perf_counter() - started < 1


def test_offline_mode_is_kept(hub: Hub, nets: Repository, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(NAME, "in the cache, because HF_HUB_OFFLINE is set", "pymc-lan pull")
    assert hub.requests == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    usable(lab)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    forget()
    pl.load_network(NAME)
    assert hub.requests == []


def test_environment_variables_reach_the_client(hub: Hub, nets: Repository, lab: Path, tmp_path: Path) -> None:
    nets.token = "secret"
    environment = child(hub, tmp_path) | {"HF_TOKEN": "secret"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, NAME], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == pl.load_network(lab / "ddm" / "1.1").sha256
    # The cache is that of this process, too.
    hub.stop()
    assert pl.load_network(NAME).sha256 == done.stdout.strip()


def test_a_private_repository_needs_a_token(
    hub: Hub, nets: Repository, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets.token = "secret"
    refused(NAME, "a repository lab/nets", "or one that this token may not use (401)", "set HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "another")
    refused(NAME, "may not use (401)")
    monkeypatch.setenv("HF_TOKEN", "secret")
    usable(lab)


def test_a_cleaned_cache_is_filled_again(hub: Hub, nets: Repository, lab: Path) -> None:
    first, commit = pl.load_network(NAME), nets.refs["main"]
    nets.commit({})
    shutil.rmtree(cache() / "snapshots")
    shutil.rmtree(cache() / "blobs")
    forget()
    assert pl.load_network(NAME) == first
    # At the recorded commit, not at the newest.
    assert [p.name for p in (cache() / "snapshots").iterdir()] == [commit]


# Names that move


@pytest.fixture
def moved(nets: Repository, lab: Path, tmp_path: Path) -> Path:
    """Load by a tag, then move the tag to other weights under the same version."""
    nets.refs["stable"] = nets.refs["main"]
    pl.load_network("lab/nets@stable:ddm@1.1")
    other = tmp_path / "other"
    write(other, "1.1", 0.7)
    nets.commit_folder(other, "stable")
    forget()
    return other


def test_moved_tag(hub: Hub, nets: Repository, moved: Path, lab: Path) -> None:
    name = "lab/nets@stable:ddm@1.1"
    hub.requests.clear()
    assert pl.load_network(name) == pl.load_network(lab / "ddm" / "1.1")
    assert hub.requests == []
    with pytest.raises(
        RegistryError, match=r"as it was recorded at commit .* Found other files under the same version"
    ):
        pl.pull(name)
    forget()
    assert pl.load_network(name) == pl.load_network(lab / "ddm" / "1.1")
    # As the remedy says.
    assert pl.load_network(f"lab/nets@{nets.refs['stable']}:ddm@1.1") == pl.load_network(moved / "ddm" / "1.1")


def test_a_bare_name_moves_when_it_is_pulled(hub: Hub, nets: Repository, lab: Path, tmp_path: Path) -> None:
    assert pl.load_network("lab/nets:ddm").version == "1.1"
    newer = shutil.copytree(lab, tmp_path / "newer")
    write(newer, "1.2", 0.7)
    commit = nets.commit_folder(newer)
    forget()
    assert pl.load_network("lab/nets:ddm").version == "1.1"
    assert pl.pull("lab/nets:ddm") == cache() / "snapshots" / commit / "ddm" / "1.2"
    assert pl.load_network("lab/nets:ddm").version == "1.2"
    assert pl.load_network(NAME).version == "1.1"
    assert recorded() == ["ddm@1.1", "ddm@1.2"]


def test_a_version_published_later_is_found(hub: Hub, nets: Repository, lab: Path, tmp_path: Path) -> None:
    pl.load_network(NAME)
    with pytest.raises(RegistryError, match=r"Unknown version of model 'ddm' '1.2'. .*Did you mean '1.1'"):
        pl.load_network("lab/nets:ddm@1.2")
    newer = shutil.copytree(lab, tmp_path / "newer")
    write(newer, "1.2", 0.7)
    nets.commit_folder(newer)
    assert pl.load_network("lab/nets:ddm@1.2").version == "1.2"


# What goes wrong on the way


def flip(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, CARD])
def test_corrupted_file_of_equal_size(hub: Hub, nets: Repository, lab: Path, name: str) -> None:
    path = f"ddm/1.1/{name}"
    good = nets.commits[nets.refs["main"]][path]
    hub.sent[path] = flip(good)
    found = f"{digest(flip(good))} ({len(good)} bytes), twice"
    refused(NAME, f"{path} of lab/nets@", f"with sha256 {digest(good)}", found)
    hub.sent.clear()
    usable(lab)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
def test_a_file_corrupted_in_the_cache(hub: Hub, nets: Repository, lab: Path, name: str) -> None:
    file = pl.pull(NAME) / name
    file.resolve().write_bytes(flip(file.read_bytes()))
    hub.requests.clear()
    with pytest.raises(RegistryError, match=rf"{name} with sha256 .* Remedy: .*fetch this version of the weights anew"):
        pl.load_network(NAME)
    assert hub.requests == []
    pl.pull(NAME)
    usable(lab)


def cut(request: Request) -> None:
    """Send the head of the answer and half of the file, then hang up."""
    found = request.hub.repositories["lab/nets"].files("main")
    assert found is not None
    content = found[1][f"ddm/1.1/{WEIGHTS}"]
    request.send_response(200)
    for header, value in {"Content-Length": len(content), "X-Repo-Commit": found[0], "ETag": '"x"'}.items():
        request.send_header(header, str(value))
    request.end_headers()
    request.wfile.write(content[: len(content) // 2])
    request.close_connection = True


def test_truncated_transfer(hub: Hub, nets: Repository, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The client goes on from the last whole chunk; its chunks are larger than any network here.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    ranges = []
    hub.faults += [on("GET", WEIGHTS, cut, times=1), lambda r: ranges.append(r.headers["Range"]) is not None]
    usable(lab)
    size = len(nets.commits[nets.refs["main"]][f"ddm/1.1/{WEIGHTS}"])
    assert f"bytes={size // 2 // 1000 * 1000}-" in ranges


def test_a_file_that_is_too_short(hub: Hub, nets: Repository, lab: Path) -> None:
    path = f"ddm/1.1/{WEIGHTS}"
    hub.sent[path] = nets.commits[nets.refs["main"]][path][:-100]
    refused(NAME, path, f"({len(hub.sent[path])} bytes), twice")
    hub.sent.clear()
    usable(lab)


NOT_FOUND = {
    "repository": ("lab/knots:ddm@1.1", ["a repository lab/knots", "none at http://127.0.0.1", "check the name"]),
    "revision": ("lab/nets@v9:ddm@1.1", ["registry.toml at revision 'v9' of lab/nets", "no such revision", "a tag"]),
    "entry": ("lab/empty:ddm@1.1", ["registry.toml at revision 'main' of lab/empty", "no such file there"]),
}


@pytest.mark.parametrize(("name", "sentences"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_not_found(hub: Hub, nets: Repository, lab: Path, name: str, sentences: list[str]) -> None:
    hub.repositories["lab/empty"] = Repository()
    hub.repositories["lab/empty"].commit({"README.md": b"nothing"})
    refused(name, *sentences)
    usable(lab)


def test_a_file_of_the_version_is_missing(hub: Hub, nets: Repository, lab: Path) -> None:
    files = nets.commits[nets.refs["main"]]
    good = files.pop(f"ddm/1.1/{CONFIG}")
    refused(NAME, f"ddm/1.1/{CONFIG} of lab/nets", "no such file there")
    files[f"ddm/1.1/{CONFIG}"] = good
    usable(lab)


STATUS = {
    "unauthorized": (401, "", ["or one that this token may not use (401)", "HF_TOKEN"]),
    "forbidden": (403, "", ["may not use (403)"]),
    "gated": (403, "GatedRepo", ["leave to read lab/nets", "a gated repository", "ask for"]),
    "broken": (500, "", ["the answer 500", "try again later"]),
}


@pytest.mark.parametrize(("status", "code", "sentences"), STATUS.values(), ids=STATUS)
def test_refused_by_the_hub(
    hub: Hub, nets: Repository, lab: Path, status: int, code: str, sentences: list[str]
) -> None:
    hub.faults.append(lambda request: request.refuse(status, code))
    refused(NAME, *sentences)
    hub.faults.clear()
    usable(lab)


@pytest.mark.parametrize(("method", "path"), [("HEAD", REGISTRY), ("HEAD", WEIGHTS), ("GET", WEIGHTS)])
def test_too_many_requests_then_success(hub: Hub, nets: Repository, lab: Path, method: str, path: str) -> None:
    hub.faults.append(on(method, path, lambda r: r.answer(429, headers={"Retry-After": "0"}), times=1))
    usable(lab)


def test_slow_server(hub: Hub, nets: Repository, lab: Path) -> None:
    # It takes the request and says nothing: with the time that a user waits by default.
    answered = threading.Event()
    hub.faults.append(lambda request: answered.wait(20))
    started = time.perf_counter()
    refused(NAME, f"an answer about registry.toml at revision 'main' of lab/nets from {hub.endpoint}", "none in time")
    assert time.perf_counter() - started < 5
    answered.set()
    hub.faults.clear()
    usable(lab)


def test_a_host_that_is_looked_up_for_long(
    hub: Hub, nets: Repository, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Resolvers of nodes without a network may take half a minute, which no timeout of the client limits.
    release = threading.Event()
    monkeypatch.setattr(pymc_lan_hub, "PATIENCE", 0.1)
    with monkeypatch.context() as context:
        context.setattr("socket.getaddrinfo", lambda *_, **__: release.wait(20))
        refused(NAME, "none in time")
    release.set()
    monkeypatch.undo()


def test_unreachable(hub: Hub, nets: Repository, lab: Path) -> None:
    hub.stop()
    started = time.perf_counter()
    refused(NAME, "an answer about", "Connection refused", "check the network and HF_ENDPOINT")
    assert time.perf_counter() - started < 5


# Several processes

LOAD = "import sys, pymc_lan as pl; print(pl.load_network(sys.argv[1]).sha256)"


def child(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that uses the same hub and cache."""
    places = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)}
    return dict(os.environ) | places


def test_two_processes_at_once(hub: Hub, nets: Repository, lab: Path, tmp_path: Path) -> None:
    both = threading.Barrier(2)
    hub.faults.append(on("HEAD", f"main/{REGISTRY}", lambda _: both.wait(30) < 0, times=2))
    start = [sys.executable, "-c", LOAD, NAME]
    running = [
        subprocess.Popen(start, env=child(hub, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    results = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0], results
    expected = pl.load_network(lab / "ddm" / "1.1").sha256
    assert [out.strip() for out, _ in results] == [expected, expected]
    hub.requests.clear()
    usable(lab)
    assert hub.requests == []


def test_killed_pull(hub: Hub, nets: Repository, lab: Path, tmp_path: Path) -> None:
    halfway, killed = threading.Event(), threading.Event()

    def stop_halfway(request: Request) -> None:
        cut(request)
        request.wfile.flush()
        halfway.set()
        killed.wait(30)

    hub.faults.append(on("GET", WEIGHTS, stop_halfway, times=1))
    start = [sys.executable, "-c", LOAD, NAME]
    with subprocess.Popen(start, env=child(hub, tmp_path), stderr=subprocess.DEVNULL) as process:
        assert halfway.wait(30)
        process.kill()
    killed.set()
    assert recorded() == []
    usable(lab)


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
    "a model that climbs": (table(model="../../evil"), "models and versions of letters"),
    "a version that climbs": (table(version="../evil"), "models and versions of letters"),
    "an absolute model": (table(model="/evil"), "models and versions of letters"),
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
