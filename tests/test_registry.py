"""The registry: what is verified loads, every fault is a sentence, and nothing that fails leaves a trace."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

import pymc_lan as pl
from pymc_lan.errors import RegistryError
from pymc_lan.models.catalogue import MODELS
from pymc_lan.registry import load as registry
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import CARD, CONFIG, REGISTRY, WEIGHTS, verify_network

pytestmark = pytest.mark.usefixtures("no_memory")

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = REPOSITORY / "weights_registry"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def reseal(folder: Path) -> None:
    """Make every hash agree with a version's files again, so that only their content is wrong."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except ValueError:
        config = None
    if isinstance(config, dict) and "weights_sha256" in config:
        config["weights_sha256"] = sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        (folder / CONFIG).write_text(json.dumps(config))
    table = folder.parents[1] / REGISTRY
    text = table.read_text("utf-8")
    for name in (WEIGHTS, CONFIG):
        digest = sha256((folder / name).read_bytes()).hexdigest()
        text = re.sub(rf'"{re.escape(name)}" = "\w+"', f'"{name}" = "{digest}"', text)
    table.write_text(text, "utf-8")


# Faults: (what happens to the version's folder, what the message says). `named` faults are seen by hash.


def overwrite(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes())) and None


def flip(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


HASHED = {
    "truncated weights": (
        overwrite(WEIGHTS, lambda b: b[:-100]),
        r"weights.safetensors with sha256 \w+. Found \w+ \(\d+ bytes",
    ),
    "empty weights": (overwrite(WEIGHTS, lambda b: b""), r"Found \w+ \(0 bytes\)"),
    "one bit flipped": (
        overwrite(WEIGHTS, flip),
        r"weights.safetensors with sha256 \w+. Found \w+ \(\d+ bytes",
    ),
    "other content of the same size": (
        overwrite(WEIGHTS, lambda b: bytes(len(b))),
        r"Found \w+ \(\d+ bytes",
    ),
    "missing weights": (
        lambda f: (f / WEIGHTS).unlink(),
        "Expected a file .*weights.safetensors. Found No such file",
    ),
    "weights are a folder": (
        lambda f: ((f / WEIGHTS).unlink(), (f / WEIGHTS).mkdir()),
        "Expected a regular file .*weights.safetensors. Found another kind of file",
    ),
    "missing config": (lambda f: (f / CONFIG).unlink(), "Expected a file .*config.json. Found No such file"),
    "missing folder": (shutil.rmtree, "Expected a f(ile|older) "),
}
HASHED_IN_REGISTRY_ONLY = {
    "edited config": (overwrite(CONFIG, lambda b: b.replace(b"-6.0", b"-4.0")), "config.json with sha256"),
}


@pytest.mark.parametrize(
    ("damage", "message"), (HASHED | HASHED_IN_REGISTRY_ONLY).values(), ids=HASHED | HASHED_IN_REGISTRY_ONLY
)
def test_damaged_versions_do_not_load_by_name(root: Path, damage: Callable[[Path], Any], message: str) -> None:
    damage(root / "ddm" / "2.0")
    for attempt in (pl.load_network, verify_network):
        for name in ("ddm", "ddm@2.0"):
            with pytest.raises(RegistryError, match=rf"{message}.*Remedy: "):
                attempt(name)
    with pytest.raises(RegistryError, match=message):
        pl.list_models()


@pytest.mark.parametrize(("damage", "message"), HASHED.values(), ids=HASHED)
def test_damaged_versions_do_not_load_as_a_folder(root: Path, damage: Callable[[Path], Any], message: str) -> None:
    folder = root / "ddm" / "2.0"
    damage(folder)
    with pytest.raises(RegistryError, match=rf"{message}.*Remedy: "):
        pl.load_network(folder)


def test_a_damaged_card_is_found_by_verify(root: Path) -> None:
    (root / "ddm" / "2.0" / CARD).write_text("accuracy: perfect")
    with pytest.raises(RegistryError, match=r"README.md with sha256"):
        verify_network("ddm")


def edit_config(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_bytes())
        change(config)
        (folder / CONFIG).write_text(json.dumps(config))

    return damage


def edit_tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        tensors = load((folder / WEIGHTS).read_bytes())
        change(tensors)
        (folder / WEIGHTS).write_bytes(save(tensors))

    return damage


def raw_safetensors(header: bytes, length: int | None = None, data: bytes = b"") -> Callable[[bytes], bytes]:
    return lambda _: struct.pack("<Q", len(header) if length is None else length) + header + data


KERNEL = "lan/layers/0/kernel"
BFLOAT = json.dumps({KERNEL: {"dtype": "BF16", "shape": [4, 24], "data_offsets": [0, 192]}}).encode()
CONSISTENT = {
    "wrong shape": (
        edit_tensors(lambda t: t.update({KERNEL: np.ascontiguousarray(t[KERNEL].T)})),
        r"Expected tensor lan/layers/0/kernel of shape \(4, 24\), float32. Found shape \(24, 4\)",
    ),
    "wrong dtype": (
        edit_tensors(lambda t: t.update({KERNEL: t[KERNEL].astype(np.float64)})),
        r"Found shape \(4, 24\), float64",
    ),
    "a dtype NumPy lacks": (
        overwrite(WEIGHTS, raw_safetensors(BFLOAT, data=bytes(192))),
        "Found an unreadable file .*BF16",
    ),
    "missing tensor": (
        edit_tensors(lambda t: t.pop("choice/layers/2/bias")),
        "choice/layers/2/bias .*Found no such tensor",
    ),
    "a pickle": (
        overwrite(WEIGHTS, lambda _: pickle.dumps([1] * 100)),
        "Expected float32 tensors in .*Found an unreadable",
    ),
    "a header of 2^62 bytes": (
        overwrite(WEIGHTS, raw_safetensors(b"{}", 2**62)),
        "Found an unreadable file .*header",
    ),
    "a header that is no JSON": (
        overwrite(WEIGHTS, raw_safetensors(b"[1, 2]")),
        "Found an unreadable file .*header",
    ),
    "newer format": (
        edit_config(lambda c: c.update(format=99)),
        "Expected a config of format 1 or older. Found format 99. Remedy: upgrade",
    ),
    "no format": (
        edit_config(lambda c: c.pop("format")),
        r"Expected a format number in .*config\.json\. Found None",
    ),
    "format as text": (edit_config(lambda c: c.update(format="1")), r"a format number in .*config\.json\. Found '1'"),
    "config not JSON": (overwrite(CONFIG, lambda b: b[:-50]), "Expected JSON in .*config.json"),
    "config not text": (overwrite(CONFIG, lambda b: b"\xff\xfe\x80" * 20), "Expected JSON in .*config.json"),
    "config a list": (
        overwrite(CONFIG, lambda b: b"[1, 2]"),
        r"Expected a format number in .*config\.json\. Found None",
    ),
    "no networks": (
        edit_config(lambda c: c.pop("networks")),
        r"Expected a network lan and, perhaps, .*config\.json\. Found None",
    ),
    "networks a list": (edit_config(lambda c: c.update(networks=[1])), r"Expected a network lan and.*Found \[1\]"),
    "no lan": (edit_config(lambda c: c["networks"].pop("lan")), r"Expected a network lan and.*Found {'choice': "),
    "sizes as a number": (
        edit_config(lambda c: c["networks"]["lan"].update(sizes=3)),
        "Expected the widths of at most 32 layers of lan, .*Found 3",
    ),
    "no sizes": (
        edit_config(lambda c: c["networks"]["lan"].update(sizes=[])),
        r"Expected the widths of at most 32 layers of lan, .*Found \[\]",
    ),
    "wrong number of inputs": (
        edit_config(lambda c: c["networks"]["choice"].update(sizes=[4, 24, 24, 1])),
        r"a choice network of model 'ddm' with 6 inputs and 1 output. Found layers of \[4, 24, 24, 1\]",
    ),
    "unknown activation": (
        edit_config(lambda c: c["networks"]["lan"].update(activation="tahn")),
        "Unknown activation 'tahn'.*Did you mean 'tanh'",
    ),
    "another transform": (
        edit_config(lambda c: c["networks"]["lan"].update(transform="moving")),
        "Expected the transform 'constant_drift' of model 'ddm'. Found .*moving.*Remedy: upgrade",
    ),
    "unknown model": (
        edit_config(lambda c: c.update(model="dmd")),
        "Unknown model 'dmd'.*Did you mean 'ddm'.*Remedy: upgrade",
    ),
}


@pytest.mark.parametrize("by_name", [True, False], ids=["by name", "as a folder"])
@pytest.mark.parametrize(("damage", "message"), CONSISTENT.values(), ids=CONSISTENT)
def test_wrong_content_with_right_hashes_is_refused(
    root: Path, damage: Callable[[Path], Any], message: str, by_name: bool
) -> None:
    folder = root / "ddm" / "2.0"
    damage(folder)
    reseal(folder)
    with pytest.raises(RegistryError, match=message):
        pl.load_network("ddm" if by_name else folder)


def test_resealing_alone_breaks_nothing(root: Path) -> None:
    folder = root / "ddm" / "2.0"
    edit_config(lambda c: c.update(description="the same"))(folder)
    edit_tensors(lambda t: t.update({KERNEL: 2 * t[KERNEL]}))(folder)
    reseal(folder)
    network = pl.load_network("ddm")
    assert network == pl.load_network(folder)
    assert network != pl.load_network(SHIPPED / "ddm" / "2.0")
    assert network.config["description"] == "the same"


class Bomb:
    """Unpickled, it makes the file it was told of."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
def test_nothing_is_unpickled(root: Path, tmp_path: Path, name: str) -> None:
    marker, folder = tmp_path / "unpickled", root / "ddm" / "2.0"
    (folder / name).write_bytes(pickle.dumps(Bomb(marker)))
    reseal(folder)
    for source in ("ddm", folder):
        with pytest.raises(RegistryError):
            pl.load_network(source)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists()


@pytest.mark.parametrize("claim", [None, "0" * 64], ids=["none", "another"])
def test_a_lone_folder_vouches_for_its_weights(tmp_path: Path, claim: str | None) -> None:
    folder = shutil.copytree(SHIPPED / "ddm" / "2.0", tmp_path / "lone")
    assert pl.load_network(folder) == pl.load_network("ddm")
    edit_config(lambda c: c.update(weights_sha256=claim))(folder)
    with pytest.raises(RegistryError, match=f"weights.safetensors with sha256 {claim}. Found .*Remedy: "):
        pl.load_network(folder)


TABLES = {
    "missing": None,
    "not TOML": b"[models.ddm",
    "not text": b"\xff\xfe",
    "models a number": b"models = 3",
    "a model a number": b"[models]\nddm = 3",
    "no default": b'[models.ddm.versions."1.0".files]\n',
    "default not a version": b'[models.ddm]\ndefault = "2.0"\n[models.ddm.versions."1.0".files]\n',
    "no files": b'[models.ddm]\ndefault = "1.0"\n[models.ddm.versions."1.0"]\n',
}


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_an_unreadable_table_is_refused(root: Path, content: bytes | None) -> None:
    (root / REGISTRY).unlink()
    if content is not None:
        (root / REGISTRY).write_bytes(content)
    for attempt in (lambda: pl.load_network("ddm"), lambda: verify_network("ddm"), pl.list_models):
        with pytest.raises(RegistryError, match=r"Expected .*registry.toml.*Found .*Remedy: reinstall pymc-lan"):
            attempt()


def test_a_table_without_the_weights_vouches_for_nothing(root: Path) -> None:
    lines = (root / REGISTRY).read_text().splitlines()
    (root / REGISTRY).write_text("\n".join(line for line in lines if WEIGHTS not in line))
    with pytest.raises(RegistryError, match=r"weights.safetensors with sha256 None"):
        pl.load_network("ddm")


UNKNOWN = {
    "dmd": "Unknown model 'dmd'. Known models: .*ddm.*Did you mean 'ddm'",
    "DDM": "Unknown model 'DDM'. Known models: .*ddm.*Did you mean 'ddm'",
    "": "Unknown model ''. Known models: .*ddm",
    "ddm@1.1": "Unknown version '1.1' of model 'ddm'. Known versions: 1.0, 2.0.*Did you mean '1.0'",
    "ddm@": "Unknown version '' of model 'ddm'",
    "ddm@..": "Unknown version '..' of model 'ddm'",
    "ddm@../x": "Expected a folder with weights.safetensors and config.json. Found no folder 'ddm@../x'. Remedy: ",
    "../registry/x": "Found no folder '../registry/x'",
    "./ddm@1.0": "Found no folder",
    "ddm.safetensors": "Unknown model 'ddm.safetensors'",
    "fading": "Unknown model 'fading'. .*Remedy: train and name a model of your own first: pl.register",
}


@pytest.mark.parametrize(("name", "message"), UNKNOWN.items())
def test_unknown_names_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    # A whole version lies where a name that climbed out of its model's folder would arrive.
    shutil.copytree(root / "ddm" / "2.0", root / "x")
    monkeypatch.chdir(root / "ddm")
    with pytest.raises(RegistryError, match=message):
        pl.load_network(name)


@pytest.mark.parametrize("name", ["ddm", "ddm@2.0"])
@pytest.mark.parametrize("kind", ["version", "file", "empty folder"])
def test_the_working_directory_never_shadows_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    decoy = tmp_path / name
    if kind == "version":
        shutil.copytree(SHIPPED / "ddm" / "2.0", decoy)
        edit_tensors(lambda t: t.update({KERNEL: 0 * t[KERNEL]}))(decoy)
        config = json.loads((decoy / CONFIG).read_bytes())
        config["weights_sha256"] = sha256((decoy / WEIGHTS).read_bytes()).hexdigest()
        (decoy / CONFIG).write_text(json.dumps(config))
    elif kind == "file":
        decoy.write_bytes((SHIPPED / "ddm" / "2.0" / WEIGHTS).read_bytes())
    else:
        decoy.mkdir()
    shipped = pl.load_network(SHIPPED / "ddm" / "2.0")
    monkeypatch.chdir(tmp_path)
    assert pl.load_network(name) == shipped
    if kind == "version":
        # The same folder, asked for as a path, is another network.
        assert pl.load_network(f"./{name}") == pl.load_network(Path(name)) != shipped


# What a load costs and remembers


def test_a_warm_load_takes_milliseconds() -> None:
    pl.load_network("ddm")
    durations = []
    for _ in range(10):
        registry._load_named.cache_clear()
        start = time.perf_counter()
        pl.load_network("ddm")
        durations.append(time.perf_counter() - start)
    # The least of ten: what a busy machine adds is not the registry's.
    assert min(durations) < 0.010


def test_a_name_loads_once() -> None:
    assert pl.load_network("ddm") is pl.load_network("ddm")


def test_nothing_stale_survives_a_verification(root: Path) -> None:
    first = pl.load_network("ddm")
    folder = root / "ddm" / "2.0"
    edit_tensors(lambda t: t.update({KERNEL: 2 * t[KERNEL]}))(folder)
    with pytest.raises(RegistryError, match="sha256"):
        verify_network("ddm")
    with pytest.raises(RegistryError, match="sha256"):
        pl.load_network("ddm")
    reseal(folder)
    verify_network("ddm")
    assert pl.load_network("ddm") != first


def test_a_loaded_network_knows_what_it_is() -> None:
    network = pl.load_network("ddm@2.0")
    assert network.name == "ddm@2.0"
    assert network.sha256 == sha256((SHIPPED / "ddm" / "2.0" / WEIGHTS).read_bytes()).hexdigest()
    assert network.config["weights_sha256"] == network.sha256
    assert network.choice is not None
    assert pickle.loads(pickle.dumps(network)) == network


def test_the_shipped_registry_verifies() -> None:
    names = registry.all_names()
    assert "ddm@2.0" in names
    for name in names:
        assert len(verify_network(name)) == 3


def test_the_shipped_cards_say_what_the_configs_say() -> None:
    for name in registry.all_names():
        network = pl.load_network(name)
        folder = SHIPPED / network.spec.name / network.version
        # By their words: where a published card breaks its lines does not change with the package.
        assert (folder / CARD).read_text("utf-8").split() == write_card(network.config).split()
        assert network.config["version"] == network.version
        assert network.config["model"] == network.spec.name
        for entry, parameter in zip(network.config["parameters"], network.spec.parameters, strict=True):
            assert (entry["name"], tuple(entry["bounds"])) == (parameter.name, parameter.bounds)
            assert (entry["unit"], entry["default"]) == (parameter.unit, parameter.default)


def test_a_model_that_has_no_weights_yet_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "further", replace(MODELS["angle"], name="further"))
    with pytest.raises(RegistryError, match=r"Found none of 'further', .*pl\.train\('further', 'weights'\)"):
        pl.load_network("further")


def test_logpdf_names_its_parameters() -> None:
    network = pl.load_network("ddm")
    assert len(repr(network)) < 150  # without the model's functions and the weights
    assert repr(network).startswith("Network(ddm@2.0, ")
    with pytest.raises(ValueError, match="Unknown parameter 'tt' of model 'ddm'"):
        network.logpdf(0.8, 1, v=1, a=1, z=0.5, tt=0.3)
    with pytest.raises(ValueError, match=r"Expected the parameters v, a, z, t. Found no z. Remedy"):
        network.logpdf(0.8, 1, v=1, a=1, t=0.3)
    out = network.logpdf(np.linspace(0.5, 1, 6), 1, v=np.zeros((2, 1)), a=1, z=0.5, t=0.3)
    assert out.shape == (2, 6)


def test_the_checkout_has_its_registry_beside_the_package() -> None:
    assert registry.embedded_root() == SHIPPED


def test_a_wheel_carries_the_registry(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", str(REPOSITORY), "--no-deps", "-q", "-w", str(tmp_path)]
    subprocess.run([*build, "--disable-pip-version-check"], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    # A wheel of pure Python is installed by unpacking it.
    zipfile.ZipFile(wheel).extractall(installed)
    script = (
        "import pymc_lan as pl; from pymc_lan.registry.load import *; verify_network('ddm'); print(embedded_root())"
    )
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(done.stdout.strip()) == installed / "pymc_lan" / "weights_registry"
    assert snapshot(installed / "pymc_lan" / "weights_registry") == snapshot(SHIPPED)
