"""From a name such as ``"ddm@1.0"`` to verified weights, and from a trained network to a folder.

A version is a folder ``MODEL/VERSION`` with ``weights.safetensors``, ``config.json`` and a card ``README.md``;
``registry.toml`` beside the models lists the sha256 of every file. Names are looked up in the embedded registry, then
in those that are configured; ``"org/repo:ddm@1.0"`` names a repository of the hub. The working directory is never
looked at: a folder must be given as a path.
Every file is hashed before it is parsed, and parsed from the bytes that were hashed. Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from errno import EACCES, ENOTDIR
from functools import lru_cache
from pathlib import Path
from typing import Any

from pymc_lan.data.files import alone, whole_folder, write_whole, writing
from pymc_lan.data.reading import LARGEST_FILE, LARGEST_TEXT, read_file
from pymc_lan.errors import RegistryError, UnknownNameError, explain, is_name, nearest, unknown
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.model import Model, check_model
from pymc_lan.networks.config import CONFIG, REMEDY_ANEW, read_config
from pymc_lan.networks.network import Network, build_network, check_network, network_tensors
from pymc_lan.registry.hub import HubRegistry
from pymc_lan.registry.names import ModelName, RepositoryName, parse_source
from pymc_lan.registry.search import FolderRegistry, Registry, configured
from pymc_lan.registry.table import CARD, REGISTRY, WEIGHTS, Entry, add_version, check_names, digest, read_registry

_PACKAGE = Path(__file__).parents[1]


def embedded_root() -> Path:
    """The registry that ships with the package: inside it in a wheel, beside it in a checkout."""
    inside = _PACKAGE / "weights_registry"
    return inside if inside.is_dir() else _PACKAGE.parent / "weights_registry"


def search_path(registries: Sequence[str | os.PathLike[str]] = ()) -> tuple[Registry, ...]:
    """Registries in the order in which names are looked up: the embedded one, then as in `pymc_lan.registry.search`."""
    return tuple(dict.fromkeys([FolderRegistry(embedded_root(), "embedded"), *configured(registries)]))


def load_network(
    source: str | os.PathLike[str] = "ddm",
    *,
    registries: Sequence[str | os.PathLike[str]] = (),
    spec: Model | None = None,
) -> Network:
    """Load and verify a model's networks.

    Parameters
    ----------
    source : str or path
        ``"ddm"`` for the version this release was tested with, ``"ddm@1.0"`` for a given one, ``"org/repo:ddm@1.0"``
        for one in a repository of the hub (``"org/repo@revision:ddm@1.0"`` for another branch, tag or commit than
        main), or the path of a version's folder: a `pathlib.Path`, or text with a path separator (``"./my_model"``).
    registries : sequence of str or path
        Folders with ``registry.toml``, or repositories of the hub. A name that the embedded registry lacks is looked up
        in these, then in those of the environment variable ``PYMC_LAN_REGISTRIES``, then in those of
        ``~/.config/pymc_lan/config.toml``.
    spec : Model, optional
        Of a model of your own, which this release does not know by name.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        For registries that are no sequence, or a spec that is no model.
    RegistryError
        For an unknown model or version, one that two registries disagree about, a missing, corrupted or mismatching
        file, a config of a newer format, a hub that cannot be reached where nothing is cached.

    Notes
    -----
    A version of the hub is fetched once, at the commit that its revision means then, and recorded; later loads make no
    request. `pull` looks again. See ``docs/weights.md``.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> pl.load_network("ddm").spec.names
    ('v', 'a', 'z', 't')
    """
    named = parse_source(source)
    if spec is not None:
        check_model(spec)  # before it becomes part of a key
    if isinstance(named, Path):
        return load_folder(named, spec)
    return _SESSION.get(str(named)) or _load_named(named, search_path(registries), spec)


def pull(source: str) -> Path:
    """Fetch a version from a repository of the hub into its cache, verify it, and record its commit.

    Parameters
    ----------
    source : str
        ``"org/repo:ddm@1.0"``, ``"org/repo:ddm"`` for the version that is the default there now, or ``"org/repo"`` for
        all versions of all models; ``"org/repo@revision"`` for another branch, tag or commit than main.

    Returns
    -------
    Path
        The version's folder, or for ``"org/repo"`` a folder that is a registry itself: a copy of it (``cp -rL``) can be
        carried to a machine without a network.

    Raises
    ------
    RegistryError
        For an unknown model or version, a file that is missing or corrupted, or a hub that cannot be reached; also
        where the repository now holds other files under a version than were recorded.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> pl.pull("ddm")
    Traceback (most recent call last):
    pymc_lan.errors.RegistryError: Expected a repository as 'org/repo' or 'org/repo@revision'. Found 'ddm'. ...
    """
    whole = RepositoryName.match(source)
    name = ModelName.parse(source)
    registry = HubRegistry(whole or name.repository or RepositoryName.parse(source))
    entries = registry.pull() if whole else registry.pull(name.model, name.version)
    # A bare name may mean another version now.
    _load_named.cache_clear()
    if not entries:
        raise _unknown(name, [registry])
    return entries[0].folder.parents[1] if whole else entries[0].folder


# Networks that `register` has named, for as long as the process runs.
_SESSION: dict[str, Network] = {}


def register(spec: Model, network: Network) -> None:
    """Make a model of your own a name like any other, for as long as the process runs.

    Parameters
    ----------
    spec : Model
    network : Network
        Its networks, from `pymc_lan.train`.

    Raises
    ------
    ValueError
        If the name belongs to a model of this release, or the network to another model; for what is no model or no
        network.

    Notes
    -----
    A copy of a shipped model keeps its dynamics, and so its networks, as below. One with a drift or boundary of its own
    is a model by its functions, which shares no closed form and has networks to train::

        spec = pl.ModelSpec(
            name="steep",
            parameters=pl.get_model("ddm").parameters,
            drift=lambda time, position, theta: 3 * theta["v"],
            boundary=lambda time, theta: theta["a"],
            description="A drift three times as strong.",
            reference="unpublished",
        )
        pl.register(spec, pl.train(spec, "steep"))

    Examples
    --------
    >>> from dataclasses import replace
    >>> import pymc_lan as pl
    >>> spec = replace(pl.get_model("ddm"), name="my_ddm")
    >>> pl.register(spec, replace(pl.load_network("ddm"), spec=spec))
    >>> pl.load_network("my_ddm").name
    'my_ddm@2.0'
    """
    check_model(spec)
    check_network(network)
    if spec.name in MODELS and spec.name not in _SESSION:
        raise ValueError(explain("a name of your own", f"{spec.name!r}, a model of this release", "choose another"))
    if network.spec.untrained != spec.untrained:
        raise ValueError(
            explain(f"networks of {spec.name!r}", f"those of {network.spec.name!r}", "train the model's own")
        )
    MODELS[spec.name] = network.spec
    _SESSION[spec.name] = network


@lru_cache(maxsize=32)
def _load_named(name: ModelName, where: tuple[Registry, ...], spec: Model | None = None) -> Network:
    entry = resolve(name, where)
    network = _build(entry.folder, *read_entry(entry), spec)
    if network.name != entry.name:
        raise RegistryError(explain(f"{entry.name} in {entry.folder}", f"{network.name}", REMEDY_ANEW))
    return replace(network, origin=entry.origin)


def read_entry(entry: Entry) -> tuple[dict[str, Any], bytes]:
    """Config and weights of a version, as its registry has hashed them.

    Raises
    ------
    RegistryError
        If a file is missing or another one, or the config cannot be read.
    """
    contents = {name: _read(entry.folder / name) for name in (WEIGHTS, CONFIG)}
    for name, content in contents.items():
        _check_digest(entry.folder / name, content, entry.files.get(name))
    return read_config(contents[CONFIG], entry.folder / CONFIG), contents[WEIGHTS]


def resolve(name: ModelName, where: Sequence[Registry]) -> Entry:
    """Find a version in its repository or, where it names none, in the first registry that has it.

    Raises
    ------
    RegistryError
        If none has it, or if another registry has other files under the same version.
    """
    where = [HubRegistry(name.repository)] if name.repository else where
    for registry in where:
        if entry := registry.find(name.model, name.version):
            _refuse_disagreement(entry, registry, where)
            return entry
    raise _unknown(name, where)


def _unknown(name: ModelName, where: Sequence[Registry]) -> RegistryError:
    known = [each for registry in where for each in registry.known()]
    versions = [version for model, version in known if model == name.model]
    if versions:
        return UnknownNameError(unknown("version", name.version or "", versions, of=f"model {name.model!r}"))
    models = dict.fromkeys(model for model, _ in known)
    if name.repository is None:
        if name.model in MODELS and MODELS[name.model].views is None:
            found = f"{name.model!r}, a closed form"
            return RegistryError(explain("a model with a network", found, "use its distribution, which needs none"))
        if name.model in MODELS:
            found = f"none of {name.model!r}, a model whose weights no registry has"
            remedy = f"train it with pl.train({name.model!r}, 'weights'), and give what that returns as weights=..."
            return RegistryError(explain("a network", found, remedy))
        models = dict.fromkeys([*models, *MODELS])
    message = unknown("model", name.model, models)
    if nearest(name.model, models) is None:
        message += " Remedy: train and name a model of your own first: pl.register(spec, pl.train(spec, 'weights'))."
    return UnknownNameError(message)


def _refuse_disagreement(entry: Entry, registry: Registry, where: Sequence[Registry]) -> None:
    """Compare with the same version in the other registries, as far as they are at hand: this makes no request."""
    for other in where:
        found = other.find(entry.model, entry.version, fetch=False) if other != registry else None
        if found is not None and found.files != entry.files:
            raise RegistryError(
                explain(
                    f"the same files of {entry.name} in every registry",
                    f"others in {other} than in {registry}",
                    "take one of them out of the registries, or name one: a version never changes once it is published",
                )
            )


def all_entries(where: Sequence[Registry]) -> list[Entry]:
    """Every version at hand, in the order in which names are looked up.

    Raises
    ------
    RegistryError
        If two registries disagree about a version.
    """
    found: dict[str, Entry] = {}
    for registry in where:
        for entry in registry.entries():
            if found.setdefault(entry.name, entry) is entry:
                _refuse_disagreement(entry, registry, where)
    return list(found.values())


def all_names() -> list[str]:
    """Every version of every model at hand, as ``"model@version"``."""
    return [entry.name for entry in all_entries(search_path())]


def verify_network(source: str) -> list[Path]:
    """Check every file of a named version against the registry; return the files.

    Raises
    ------
    RegistryError
        For an unknown version, or a file that is missing or is not the one that the registry lists.
    """
    # Before the checks, so that a version found corrupted is not loaded from memory either.
    _load_named.cache_clear()
    entry = resolve(ModelName.parse(source), search_path())
    paths = [entry.folder / name for name in entry.files]
    for path in paths:
        _check_digest(path, _read(path), entry.files[path.name])
    load_network(source)
    return paths


def load_folder(folder: Path, spec: Model | None = None) -> Network:
    """Load a version from its folder, of a model known by name or of the given one."""
    if not os.path.isdir(folder):  # False of a path that no folder can have, of which a method of Path is an OSError
        remedy = "check the path, or give a registered name such as 'ddm'"
        registry, colon, name = str(folder).rpartition(":")
        model, _, version = name.partition("@")
        if colon and os.path.isabs(registry) and is_name(model):  # as of a repository of the hub
            whole = f"{Path(registry, model, version or '1.0')}"
            remedy = f"give the whole path, such as {whole!r}; or {name!r}, with {registry!r} among the registries"
        raise RegistryError(explain(f"a folder with {WEIGHTS} and {CONFIG}", f"no folder {str(folder)!r}", remedy))
    return _build(folder, read_config(_read(folder / CONFIG), folder / CONFIG), _read(folder / WEIGHTS), spec)


def _build(folder: Path, config: dict[str, Any], weights: bytes, spec: Model | None = None) -> Network:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    # A folder that no registry lists vouches for its weights itself.
    _check_digest(folder / WEIGHTS, weights, config.get("weights_sha256"))
    try:
        tensors = load(weights)
    except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a dtype that NumPy does not have
        raise RegistryError(
            explain(f"float32 tensors in {folder / WEIGHTS}", f"an unreadable file ({error})", REMEDY_ANEW)
        ) from error
    return build_network(config, tensors, digest(weights), spec)


def _read(path: Path) -> bytes:
    return read_file(path, REMEDY_ANEW, LARGEST_FILE if path.name == WEIGHTS else LARGEST_TEXT)


def _check_digest(path: Path, content: bytes, expected: str | None) -> None:
    found = digest(content)
    if found != expected:
        raise RegistryError(explain(f"{path} with sha256 {expected}", f"{found} ({len(content)} bytes)", REMEDY_ANEW))


def write_version(
    root: str | os.PathLike[str],
    network: Network,
    config: Mapping[str, Any],
    write_card: Callable[[Mapping[str, Any]], str],
) -> Path:
    """Write a network as a new version of a registry; see `add_files`.

    Parameters
    ----------
    root : path
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
        As `add_files`.
    """
    from safetensors.numpy import save

    weights = save(network_tensors(network))
    full = dict(config) | {"weights_sha256": digest(weights)}
    contents = {
        WEIGHTS: weights,
        CONFIG: (json.dumps(full, indent=2) + "\n").encode(),
        CARD: write_card(full).encode(),
    }
    return add_files(Path(root), network.spec.name, network.version, contents)


def add_files(root: Path, model: str, version: str, contents: Mapping[str, bytes]) -> Path:
    """Add a new version to a registry in a folder.

    The version's folder appears whole or not at all, and the registry names it only after that; where that fails the
    folder goes again. A version that is there already stays as it is. Processes that write to one registry wait for one
    another.

    Parameters
    ----------
    root : Path
        The registry; made when missing.
    model, version : str
    contents : mapping of str to bytes
        The version's files by name.

    Returns
    -------
    Path
        The version's folder.

    Raises
    ------
    RegistryError
        If the version exists, it or its model cannot be called so, the registry cannot be read, or its folder not be
        written to.
    """
    refuse_existing(root, model, version)
    target = root / model / version
    with writing(f"{model}@{version} in {root}", RegistryError):
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone(root, RegistryError):
            # Another process may have written it since the first look.
            refuse_existing(root, model, version)
            with whole_folder(target) as folder:
                for name, content in contents.items():
                    write_whole(folder / name, content)
            try:
                write_whole(root / REGISTRY, table_with(root, model, version, contents).encode())
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
    # The bare name means another version now.
    _load_named.cache_clear()
    return target


def table_with(root: Path, model: str, version: str, contents: Mapping[str, bytes]) -> str:
    """The text of a folder's table when a version has been added; of a new one where it has none."""
    models = read_registry(root) if os.path.exists(root / REGISTRY) else {}
    return add_version(models, model, version, {name: digest(content) for name, content in contents.items()})


def refuse_existing(root: Path, model: str, version: str) -> None:
    """Refuse to write a version that exists; called before a training as well as before the writing.

    Raises
    ------
    RegistryError
        If it exists as a folder or in the registry, it or its model cannot be called so, the registry cannot be read,
        or its folder not be written to.
    """
    check_names(model, version)
    with writing(f"{model}@{version} in {root}", RegistryError):
        listed = read_registry(root) if os.path.exists(root / REGISTRY) else {}
        there = (root / model / version).exists()
        existing = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
        if not existing.is_dir():
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(existing))
        if not os.access(existing, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES), str(existing))
    entered = version in listed.get(model, {}).get("versions", {})
    if entered or there:
        remedy = "raise the version; published ones never change"
        if not entered:
            remedy = (
                f"raise the version, or remove the folder, which {REGISTRY} does not list: a killed run leaves such"
            )
        raise RegistryError(explain("a new version", f"{model}@{version} in {root} already", remedy))
