"""Publishing: only what is whole, finite and as accurate as it says, in one commit, and never over another version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_checks import cache, forget
from hub_server import Hub, Repository
from safetensors.numpy import load, save
from toy_simulators import COIN, ODDITY, TINY

import pymc_lan as pl
from pymc_lan.errors import RegistryError
from pymc_lan.networks.config import CONFIG
from pymc_lan.registry import publish as publishing
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import write_version
from pymc_lan.registry.publish import publish
from pymc_lan.registry.table import CARD, REGISTRY, WEIGHTS, digest

pytestmark = pytest.mark.usefixtures("no_memory")

SHIPPED = Path(__file__).resolve().parents[1] / "weights_registry" / "ddm" / "1.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the shipped network as version 1.1."""
    folder = shutil.copytree(SHIPPED, tmp_path / "mine")
    edit(folder, version="1.1")
    return folder


def edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_bytes()) | changes
    (folder / CONFIG).write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


@pytest.fixture
def as_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure what the config says: of these tests one measures, which takes seconds."""
    monkeypatch.setattr(publishing, "accuracy", lambda network, **_: network.config["accuracy"])


@pytest.fixture
def empty(hub: Hub) -> Repository:
    """Return the repository lab/nets as the hub makes it."""
    hub.repositories["lab/nets"] = repository = Repository()
    repository.commit({".gitattributes": b""})
    return repository


def test_what_is_published_is_what_is_pulled(hub: Hub, empty: Repository, folder: Path) -> None:
    done = publish(folder, "lab/nets", license="cc-by-4.0", n_measured=2000)
    assert len(empty.commits) == 2
    assert empty.refs == {"main": done.commit, "ddm-1.1": done.commit}
    for name in ("lab/nets:ddm", "lab/nets:ddm@1.1", "lab/nets@ddm-1.1:ddm@1.1"):
        assert pl.load_network(name) == pl.load_network(folder)
    files = empty.commits[empty.refs["main"]]
    assert files[f"ddm/1.1/{WEIGHTS}"] == (folder / WEIGHTS).read_bytes()
    assert set(files) == {".gitattributes", REGISTRY, CARD, *(f"ddm/1.1/{n}" for n in (WEIGHTS, CONFIG, CARD))}
    assert pl.pull("lab/nets") == cache() / "snapshots" / empty.refs["main"]
    # What the hub indexes.
    _, metadata, card = files[CARD].decode().split("---\n", 2)
    for line in ("license: cc-by-4.0", "library_name: pymc_lan", "- ddm", "model-index:", "- type: lan_mean_abs_error"):
        assert line in metadata
    assert 'pl.load_network("lab/nets:ddm@1.1")' in card
    assert "# ddm@1.1" in card


def test_a_model_of_ones_own(hub: Hub, empty: Repository, tmp_path: Path, as_claimed: None) -> None:
    shipped = pl.load_network("ddm")
    mine = replace(shipped.spec, name="mine")
    network = replace(shipped, spec=mine, version="1.0")
    folder = write_version(tmp_path / "own", network, dict(shipped.config) | {"model": "mine"}, write_card)
    publish(folder, "lab/nets", spec=mine)
    with pytest.raises(RegistryError, match=r"Unknown model 'mine'.*register a model of your own"):
        pl.load_network("lab/nets:mine")
    assert pl.load_network("lab/nets:mine", spec=mine) == network
    # The list shows what the config says, and needs no functions.
    found = pl.list_models(everywhere=True)
    assert "mine" not in found["model"].tolist()
    pl.load_network("mine", registries=["lab/nets"], spec=mine)


@pytest.fixture(scope="module")
def coin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network that is known by its simulator, far from it as it is."""
    out = tmp_path_factory.mktemp("coin")
    pl.train(COIN, out, simulation_recipe=TINY, n_measured=20_000, progress=False)
    return out / "coin" / "1.0"


def test_a_model_known_by_its_simulator(hub: Hub, empty: Repository, coin: Path, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"Expected the simulator of 'coin', to measure its network\. Found none"):
        publish(coin, "lab/nets")
    publish(coin, "lab/nets", spec=COIN, n_measured=5000)
    assert pl.load_network("lab/nets:coin", spec=COIN) == pl.load_network(coin, spec=COIN)
    card = empty.commits[empty.refs["main"]][CARD].decode()
    assert "median_divergence_nats" in card
    assert "20000 trials of coin" in card
    better = shutil.copytree(coin, tmp_path / "better")
    claimed = json.loads((coin / CONFIG).read_bytes())["accuracy"]
    edit(better, version="1.1", accuracy=claimed | {"simulations": claimed["simulations"] | {"median": 1e-4}})
    with pytest.raises(RegistryError, match=r"median divergence from the simulator error.*0\.0001 in config\.json"):
        publish(better, "lab/nets", spec=COIN, n_measured=5000)


def test_a_model_of_responses_alone(hub: Hub, empty: Repository, tmp_path: Path) -> None:
    pl.train(ODDITY, tmp_path, simulation_recipe=TINY, n_measured=20_000, progress=False)
    publish(tmp_path / "oddity" / "1.0", "lab/nets", spec=ODDITY, n_measured=5000)
    found = pl.load_network("lab/nets:oddity", spec=ODDITY).probabilities(delta=6.0)
    np.testing.assert_array_equal(found, pl.load_network(tmp_path / "oddity" / "1.0").probabilities(delta=6.0))


@pytest.mark.parametrize("place", [str, Path], ids=["text", "path"])
def test_to_a_folder(folder: Path, tmp_path: Path, as_claimed: None, place: Callable[[Path], Any]) -> None:
    nets = tmp_path / "Netze für alle"
    planned = publish(folder, place(nets), dry_run=True)
    assert not nets.exists()
    assert str(planned).splitlines()[-1] == f"{nets}: dry run, nothing was written"
    done = publish(folder, place(nets))
    assert (done.files, done.folder) == (planned.files, nets / "ddm" / "1.1")
    assert str(done).splitlines()[-1] == f"{nets}: {nets / 'ddm' / '1.1'}"
    # What the plan says is what lies there, and the weights are those of the folder to the last bit.
    written = {path.relative_to(nets).as_posix(): path.read_bytes() for path in nets.rglob("*.*") if path.is_file()}
    assert {name: x for name, x in written.items() if name[0] != "."} == done.files
    for name in (WEIGHTS, CONFIG):
        assert done.files[f"ddm/1.1/{name}"] == (folder / name).read_bytes()
    assert pl.load_network("ddm@1.1", registries=[nets]) == pl.load_network(folder)
    with pytest.raises(RegistryError, match=r"Expected a new version\. Found ddm@1\.1 in .* already"):
        publish(folder, place(nets))
    edit(folder, version="1.2")
    publish(folder, place(nets))
    assert pl.load_network("ddm@1.1", registries=[nets]).version == "1.1"
    assert pl.load_network("ddm@1.2", registries=[nets]).version == "1.2"


PLACES = {
    "a relative folder": ("nets", {}, "'org/repo@revision' or a folder's whole path. Found 'nets'"),
    "a license": (Path("nets"), {"license": "cc-by-4.0"}, "a license for a repository of the hub"),
}


@pytest.mark.parametrize(("place", "options", "message"), PLACES.values(), ids=PLACES)
def test_places_that_are_refused(folder: Path, place: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        publish(folder, place, **options)


def test_a_second_version_keeps_the_first(hub: Hub, empty: Repository, folder: Path, as_claimed: None) -> None:
    publish(folder, "lab/nets")
    pl.load_network("lab/nets:ddm")
    edit(folder, version="1.2")
    publish(folder, "lab/nets")
    forget()
    assert pl.load_network("lab/nets:ddm@1.2").version == "1.2"
    assert pl.load_network("lab/nets:ddm@1.1").version == "1.1"
    pl.pull("lab/nets")
    assert pl.load_network("lab/nets:ddm").version == "1.2"


def test_another_branch(hub: Hub, empty: Repository, folder: Path, as_claimed: None) -> None:
    empty.refs["dev"] = before = empty.refs["main"]
    done = publish(folder, "lab/nets@dev")
    assert empty.refs == {"main": before, "dev": done.commit, "ddm-1.1": done.commit}
    assert pl.load_network("lab/nets@dev:ddm@1.1") == pl.load_network(folder)


def test_dry_run_writes_nothing(hub: Hub, empty: Repository, folder: Path, as_claimed: None) -> None:
    before = dict(empty.refs)
    planned = publish(folder, "lab/nets", dry_run=True)
    assert hub.writes == []
    assert empty.refs == before
    text = str(planned)
    for name in (WEIGHTS, CONFIG):
        assert f"write  ddm/1.1/{name}" in text
        assert digest((folder / name).read_bytes()) in text
    assert "tag    ddm-1.1" in text
    assert f"lab/nets: dry run, nothing was written, on top of {before['main']}" in text
    assert publish(folder, "lab/nets").files == planned.files


@pytest.mark.parametrize("left", ["entry", "tag"])
def test_a_version_is_never_overwritten(hub: Hub, empty: Repository, folder: Path, as_claimed: None, left: str) -> None:
    publish(folder, "lab/nets")
    if left == "entry":
        del empty.refs["ddm-1.1"]
    else:
        empty.commit({}, "main")
    hub.requests.clear()
    with pytest.raises(RegistryError, match=r"Expected a new version. Found ddm@1.1 or the tag ddm-1.1 in lab/nets"):
        publish(folder, "lab/nets")
    assert hub.writes == []


def test_somebody_else_published_meanwhile(hub: Hub, empty: Repository, folder: Path, as_claimed: None) -> None:
    def commit_first(request: Any) -> bool:
        if "/commit/" in request.path:
            empty.commit({"other": b""})
        return False

    hub.faults.append(commit_first)
    with pytest.raises(RegistryError, match=r"a commit of ddm 1.1 to main of lab/nets .*Found the answer 412"):
        publish(folder, "lab/nets")
    assert set(empty.commits[empty.refs["main"]]) == {"other"}
    assert "ddm-1.1" not in empty.refs


def claim(**changes: float) -> Callable[[Path], None]:
    """Write other figures into the config, as somebody would by hand."""

    def change(folder: Path) -> None:
        accuracy = json.loads((folder / CONFIG).read_bytes())["accuracy"]
        edit(folder, accuracy=accuracy | {"lan": accuracy["lan"] | changes})

    return change


def infinite(folder: Path) -> None:
    tensors = load((folder / WEIGHTS).read_bytes())
    tensors["lan/layers/0/kernel"] = tensors["lan/layers/0/kernel"] * np.float32(1e30)
    (folder / WEIGHTS).write_bytes(save(tensors))
    edit(folder, weights_sha256=digest((folder / WEIGHTS).read_bytes()))


def widen(folder: Path) -> None:
    parameters = json.loads((folder / CONFIG).read_bytes())["parameters"]
    parameters[0]["bounds"] = [-30.0, 30.0]
    edit(folder, parameters=parameters)


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (shutil.rmtree, "Expected a folder with weights.safetensors and config.json"),
    "another hash": (lambda f: edit(f, weights_sha256="0" * 64), "weights.safetensors with sha256 0000"),
    "no licence to leave out": (lambda f: edit(f, training=None), "Expected the entries accuracy, .*Found no training"),
    "a future format": (lambda f: edit(f, format=99), "Found format 99"),
    "a version that climbs": (lambda f: edit(f, version="../1.1"), "a version of at most 64 letters"),
    "wider bounds": (widen, "the mean log density error of ddm@1.1 as measured on 2,000 trials"),
    "infinite outputs": (infinite, "Expected finite outputs over the bounds. Found {'v': "),
    "no accuracy": (lambda f: edit(f, accuracy={}), "the accuracy in config.json as .* measures it. Found no 'lan'"),
    "a typed mean": (
        claim(mean=1e-7),
        "the mean log density error of ddm@1.1 as measured on 2,000 .*Found 1e-07",
    ),
    "a typed p99": (claim(p99=0.01), r"the p99 log density error of ddm@1.1 as measured"),
}


@pytest.mark.parametrize(("damage", "message"), FAULTS.values(), ids=FAULTS)
def test_what_is_not_right_is_not_published(
    hub: Hub, empty: Repository, folder: Path, damage: Callable[[Path], Any], message: str
) -> None:
    damage(folder)
    with pytest.raises(RegistryError, match=rf"{message}.*Remedy: "):
        publish(folder, "lab/nets", n_measured=2000)
    assert hub.requests == []


def test_a_repository_that_is_not_there(hub: Hub, folder: Path, as_claimed: None) -> None:
    with pytest.raises(RegistryError, match=r"Expected a repository lab/nets\. Found none at"):
        publish(folder, "lab/nets")
    assert hub.writes == []
