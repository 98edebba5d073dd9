"""Pulling through the real client from a real server: every fault is a sentence, and no partial version ever loads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_checks import LOAD, NAME, cache, child, flip, forget, on, recorded, refused, usable, write
from hub_server import Hub, Repository, Request
from huggingface_hub import constants

import pymc_lan as pl
from pymc_lan.errors import RegistryError
from pymc_lan.networks.config import CONFIG
from pymc_lan.registry import hub as pymc_lan_hub
from pymc_lan.registry.load import verify_network
from pymc_lan.registry.table import CARD, REGISTRY, WEIGHTS, digest

pytestmark = pytest.mark.usefixtures("no_memory")


# What goes well


def test_fresh_pull(hub: Hub, nets: Repository, lab: Path) -> None:
    network = pl.load_network(NAME)
    commit = nets.refs["main"]
    assert network == pl.load_network(lab / "ddm" / "1.1")
    op = pl.LANDist.dist(NAME, 1.0, 1.0, 0.5, 0.3).owner.op
    assert (op.lan, f"registry: lab/nets@{commit}" in op.record) == (network.lan, True)
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
    assert pl.load_network("lab/nets:ddm").version == "1.1"
    with pytest.raises(RegistryError, match=r"Unknown version '1.2' of model 'ddm'. .*Did you mean '1.1'"):
        pl.load_network("lab/nets:ddm@1.2")
    newer = shutil.copytree(lab, tmp_path / "newer")
    write(newer, "1.2", 0.7)
    nets.commit_folder(newer)
    assert pl.load_network("lab/nets:ddm@1.2").version == "1.2"
    # Which leaves what the bare name means.
    forget()
    assert pl.load_network("lab/nets:ddm").version == "1.1"


# What goes wrong on the way


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


UNKNOWN = {
    "lab/nets:dmd": "Unknown model 'dmd'. Known models: ddm. Did you mean 'ddm'",
    "lab/nets:ddm@1.2": "Unknown version '1.2' of model 'ddm'. Known versions: 1.1. Did you mean '1.1'",
    "lab/nets:": "Unknown model ''. Known models: ddm",
    "lab/nets:../x": "Unknown model '../x'. Known models: ddm",
    "lab/nets:ddm@../x": "Unknown version '../x' of model 'ddm'. Known ",
    "lab--x/nets:ddm": "Expected a repository's name. Found Cannot have -- or .. in repo_id: 'lab--x/nets'",
    "lab/nets@..:ddm": "Expected a ",
    "nets:ddm": "Expected a repository as 'org/repo' or 'org/repo@revision'. Found 'nets'",
}


@pytest.mark.parametrize(("name", "message"), UNKNOWN.items())
@pytest.mark.parametrize("attempt", [pl.load_network, pl.pull, verify_network])
def test_unknown_names(
    hub: Hub, nets: Repository, lab: Path, name: str, message: str, attempt: Callable[[str], object]
) -> None:
    with pytest.raises(RegistryError, match=re.escape(message)):
        attempt(name)
    assert recorded() == []
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
