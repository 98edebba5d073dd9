"""From a name such as ``"ddm@1.0"`` to verified weights, and from a trained network to a folder.

A version is a folder ``MODEL/VERSION`` with ``weights.safetensors``, ``config.json`` and a card ``README.md``;
``registry.toml`` beside the models lists the sha256 of every file. Names are looked up in the embedded registry; the
local cache and the hub come behind it. The working directory is never looked at: a folder must be given as a path.
Every file is hashed before it is parsed, and parsed from the bytes that were hashed. Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pymc_lan.errors import RegistryError, explain, unknown
from pymc_lan.models import MODELS
from pymc_lan.network import REMEDY_ANEW, Network, build_network, check_format, network_tensors
from pymc_lan.spec import ModelSpec

WEIGHTS, CONFIG, CARD = "weights.safetensors", "config.json", "README.md"
REGISTRY = "registry.toml"

# What a version may be called: it becomes the name of a folder and a key of the registry.
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")

_PACKAGE = Path(__file__).parent


def embedded_root() -> Path:
    """The registry that ships with the package: inside it in a wheel, beside it in a checkout."""
    inside = _PACKAGE / "weights_registry"
    return inside if inside.is_dir() else _PACKAGE.parent / "weights_registry"


def registry_roots() -> tuple[Path, ...]:
    """Registries in the order in which names are looked up; the cache and the hub are to follow the embedded one."""
    return (embedded_root(),)


def read_registry(root: Path) -> dict[str, dict[str, Any]]:
    """The table of a registry: model to ``{"default": version, "versions": {version: {"files": {name: sha256}}}}``.

    Raises
    ------
    RegistryError
        If there is no registry at `root`, or it cannot be read.
    """
    try:
        models: dict[str, dict[str, Any]] = tomllib.loads((root / REGISTRY).read_text("utf-8")).get("models", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RegistryError(explain(f"a readable {REGISTRY} in {root}", f"{error}", "reinstall pymc-lan")) from error
    try:
        whole = all(
            entry["default"] in entry["versions"]
            and all(isinstance(version["files"], dict) for version in entry["versions"].values())
            for entry in models.values()
        )
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        expected = f"a default version and the files of every version of each model in {root / REGISTRY}"
        raise RegistryError(explain(expected, f"{models}", "reinstall pymc-lan"))
    return models


def load_network(source: str | os.PathLike[str] = "ddm") -> Network:
    """Load and verify a model's networks.

    Parameters
    ----------
    source : str or path
        ``"ddm"`` for the version this release was tested with, ``"ddm@1.0"`` for a given one, or the path of
        a version's folder: a `pathlib.Path`, or text with a path separator, as in ``"./my_model"``.

    Returns
    -------
    Network

    Raises
    ------
    RegistryError
        For an unknown model or version, a missing, corrupted or mismatching file, a config of a newer format.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> pl.load_network("ddm").spec.names
    ('v', 'a', 'z', 't')
    """
    if not isinstance(source, str) or os.sep in source or "/" in source:
        return load_folder(Path(source))
    return _SESSION[source] if source in _SESSION else _load_named(source)


# Networks that `register` has named, for as long as the process runs.
_SESSION: dict[str, Network] = {}


def register(spec: ModelSpec, network: Network) -> None:
    """Make a model of your own a name like any other, for as long as the process runs.

    Parameters
    ----------
    spec : ModelSpec
    network : Network
        Its networks, from `pymc_lan.train`.

    Raises
    ------
    ValueError
        If the name belongs to a model of this release, or the network to another model.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import pymc_lan as pl
    >>> spec = replace(pl.get_model("ddm"), name="my_ddm")
    >>> pl.register(spec, replace(pl.load_network("ddm"), spec=spec))
    >>> pl.load_network("my_ddm").name
    'my_ddm@1.0'
    """
    if spec.name in MODELS and spec.name not in _SESSION:
        raise ValueError(explain("a name of your own", f"{spec.name!r}, a model of this release", "choose another"))
    if network.spec != spec:
        raise ValueError(
            explain(f"networks of {spec.name!r}", f"those of {network.spec.name!r}", "train the model's own")
        )
    MODELS[spec.name] = spec
    _SESSION[spec.name] = network


@lru_cache(maxsize=32)
def _load_named(source: str) -> Network:
    root, model, version, files = resolve(source)
    folder = root / model / version
    contents = {name: _read(folder / name) for name in (WEIGHTS, CONFIG)}
    for name, content in contents.items():
        _check_digest(folder / name, content, files.get(name))
    return _build(folder, contents[CONFIG], contents[WEIGHTS])


def resolve(source: str) -> tuple[Path, str, str, Mapping[str, str]]:
    """Find a name in the registries; return root, model, version and the sha256 of every file."""
    model, at, version = source.partition("@")
    known: list[str] = []
    for root in registry_roots():
        models = read_registry(root)
        known += models
        if model in models:
            versions = models[model]["versions"]
            version = version if at else models[model]["default"]
            if version not in versions:
                raise RegistryError(unknown(f"version of model {model!r}", version, versions))
            return root, model, version, versions[version]["files"]
    raise RegistryError(unknown("model", model, known))


def all_names() -> list[str]:
    """Every version of every model in the registries, as ``"model@version"``."""
    return [
        f"{model}@{version}"
        for root in registry_roots()
        for model, entry in read_registry(root).items()
        for version in entry["versions"]
    ]


def verify_network(source: str) -> list[Path]:
    """Check every file of a named version against the registry; return the files.

    Raises
    ------
    RegistryError
        As `load_network`.
    """
    # Before the checks, so that a version found corrupted is not loaded from memory either.
    _load_named.cache_clear()
    root, model, version, files = resolve(source)
    paths = [root / model / version / name for name in files]
    for path in paths:
        _check_digest(path, _read(path), files[path.name])
    _load_named(f"{model}@{version}")
    return paths


def load_folder(folder: Path, spec: ModelSpec | None = None) -> Network:
    """Load a version from its folder, of a model known by name or of the given one."""
    if not folder.is_dir():
        raise RegistryError(
            explain(
                f"a folder with {WEIGHTS} and {CONFIG}",
                f"no folder {str(folder)!r}",
                "check the path, or give a registered name such as 'ddm'",
            )
        )
    return _build(folder, _read(folder / CONFIG), _read(folder / WEIGHTS), spec)


def _build(folder: Path, config_bytes: bytes, weights: bytes, spec: ModelSpec | None = None) -> Network:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        config = json.loads(config_bytes)
    except ValueError as error:
        raise RegistryError(explain(f"JSON in {folder / CONFIG}", f"{error}", REMEDY_ANEW)) from error
    check_format(config)
    # A folder that no registry lists vouches for its weights itself.
    _check_digest(folder / WEIGHTS, weights, config.get("weights_sha256"))
    try:
        tensors = load(weights)
    except (SafetensorError, KeyError) as error:  # KeyError: a dtype that NumPy does not have
        raise RegistryError(
            explain(f"float32 tensors in {folder / WEIGHTS}", f"an unreadable file ({error})", REMEDY_ANEW)
        ) from error
    return build_network(config, tensors, sha256(weights).hexdigest(), spec)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RegistryError(explain(f"a file {path}", f"{error.strerror or error}", REMEDY_ANEW)) from error


def _check_digest(path: Path, content: bytes, expected: str | None) -> None:
    found = sha256(content).hexdigest()
    if found != expected:
        raise RegistryError(explain(f"{path} with sha256 {expected}", f"{found} ({len(content)} bytes)", REMEDY_ANEW))


def write_version(
    root: str | os.PathLike[str],
    network: Network,
    config: Mapping[str, Any],
    write_card: Callable[[Mapping[str, Any]], str],
) -> Path:
    """Write a network as a new version of a registry.

    The folder appears whole or not at all, and the registry names it only after that; where that fails the folder goes
    again. A version that is there already stays as it is.

    Parameters
    ----------
    root : path
        The registry; made when missing.
    network : Network
        With its version.
    config : mapping
        The content of ``config.json``; the hash of the weights is added.
    write_card : callable
        From the config to the text of the model card.

    Returns
    -------
    Path
        The version's folder.

    Raises
    ------
    RegistryError
        If the version exists or cannot be a folder's name, or the registry cannot be read.
    """
    from safetensors.numpy import save

    root = Path(root)
    model, version = network.spec.name, network.version
    target = root / model / version
    refuse_existing(root, model, version)
    weights = save(network_tensors(network))
    full = dict(config) | {"weights_sha256": sha256(weights).hexdigest()}
    contents = {
        WEIGHTS: weights,
        CONFIG: (json.dumps(full, indent=2) + "\n").encode(),
        CARD: write_card(full).encode(),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{version}-"))
    try:
        for name, content in contents.items():
            _write(folder / name, content)
        folder.chmod(0o755)
        folder = folder.rename(target)
        _enter(root, model, version, {name: sha256(content).hexdigest() for name, content in contents.items()})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # The bare name means another version now.
    _load_named.cache_clear()
    return target


def _enter(root: Path, model: str, version: str, files: Mapping[str, str]) -> None:
    models = read_registry(root) if (root / REGISTRY).exists() else {}
    entry = models.setdefault(model, {"versions": {}})
    entry["default"] = version
    entry["versions"][version] = {"files": dict(files)}
    lines = [
        "# Model versions with the sha256 of every file. A version never changes once it is published.",
        "",
    ]
    for name in sorted(models):
        lines += [f"[models.{name}]", f'default = "{models[name]["default"]}"', ""]
        for number, content in models[name]["versions"].items():
            lines += [f'[models.{name}.versions."{number}".files]']
            lines += [f'"{file}" = "{digest}"' for file, digest in content["files"].items()] + [""]
    partial = root / f".{REGISTRY}.partial"
    try:
        _write(partial, "\n".join(lines).encode())
        partial.replace(root / REGISTRY)
    finally:
        partial.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def refuse_existing(root: str | os.PathLike[str], model: str, version: str) -> None:
    """Refuse to write a version that exists; called before a training as well as before the writing.

    Raises
    ------
    RegistryError
        If it exists as a folder or in the registry, cannot be a folder's name, or the registry cannot be read.
    """
    root = Path(root)
    if not _VERSION.fullmatch(version):
        raise RegistryError(
            explain(
                "a version of letters, digits, dots, dashes and underscores",
                f"{version!r}",
                "name it like '1.0'",
            )
        )
    listed = read_registry(root) if (root / REGISTRY).exists() else {}
    if (root / model / version).exists() or version in listed.get(model, {}).get("versions", {}):
        raise RegistryError(
            explain(
                "a new version",
                f"{model}@{version} in {root} already",
                "raise the version; published ones never change",
            )
        )
