"""From a version's folder to a registry: checked first, then added to a folder, or to the hub in one tagged commit."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from pymc_lan.data.reading import LARGEST_TEXT, read_file
from pymc_lan.errors import RegistryError, check_count, check_path, explain
from pymc_lan.models.model import Model, require_views, shift
from pymc_lan.networks.accuracy.accuracy import accuracy
from pymc_lan.networks.config import CONFIG
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.registry.card import write_card
from pymc_lan.registry.hub import HubRegistry, explained
from pymc_lan.registry.load import add_files, load_folder, refuse_existing, table_with
from pymc_lan.registry.search import FolderRegistry, Registry, as_registry
from pymc_lan.registry.table import CARD, REGISTRY, WEIGHTS, add_version, digest

# What a config says: what rebuilds the networks, and what a card needs beside it.
_KEYS = {"format", "model", "version", "parameters", "choices", "networks", "weights_sha256"} | {
    *("description", "reference", "outcome", "labels", "training", "packages", "accuracy")
}

# What a recipe may have of one's own, as `pymc_lan.training.recipes.Recipe.stored` names it.
OWN_PARTS = ("module", "optimizer", "loss")

# A claimed error may differ from the measured one by this factor: of ddm, angle, ddm_sdv, weibull, ornstein and
# gamma_drift, the figures of 4,000 other trials were 0.67 to 1.43 times those on the cards. Below the second number, in
# nats, errors are rounding.
_FACTOR, _ROUNDING = 2.0, 1e-6
# Parameter sets on which a network is measured against its simulator. Three standard errors of the median of as many
# divergences that are nothing but chance, times the trials of a set: 3 * 1.25 sqrt(2 bins / 50) / 2, of 80 bins.
_SETS, _CHANCE = 50, 3.4
# Fewer trials of a set would let everything pass for chance.
_LEAST = 1_000
# Trials of a measurement: of all sets with labels, of each set with a simulator.
_MEASURED, _SIMULATED_MEASURED = 4_000, 50_000

# The commonest tags of such models, by which the hub finds them.
_TAGS = ("pymc", "likelihood-approximation-network", "sequential-sampling-model", "decision-making")


@dataclass(frozen=True)
class Publication(ABC):
    """What is added to a registry, or would be.

    Parameters
    ----------
    registry : HubRegistry or FolderRegistry
    files : mapping of str to bytes
        Content by path, the table included.
    """

    registry: Registry
    files: Mapping[str, bytes]

    def __str__(self) -> str:
        """Print one line for each file, and what became of them."""
        lines = [f"write  {path}  {len(c):,} bytes  sha256 {digest(c)}" for path, c in self.files.items()]
        return "\n".join([*lines, *self._outcome()])

    @abstractmethod
    def _outcome(self) -> list[str]:
        """Lines about where the files are."""


_DRY = "dry run, nothing was written"


@final
@dataclass(frozen=True)
class HubPublication(Publication):
    """What is added to a repository of the hub, its card included.

    Parameters
    ----------
    registry : HubRegistry
    files : mapping of str to bytes
    parent : str
        The commit it is added to.
    tag : str
    commit : str, optional
        None where nothing was written.
    """

    parent: str
    tag: str
    commit: str | None = None

    def _outcome(self) -> list[str]:
        done = f"commit {self.commit}" if self.commit else _DRY
        return [f"tag    {self.tag}", f"{self.registry}: {done}, on top of {self.parent}"]


@final
@dataclass(frozen=True)
class FolderPublication(Publication):
    """What is added to a registry in a folder.

    Parameters
    ----------
    registry : FolderRegistry
    files : mapping of str to bytes
    folder : Path, optional
        Of the version; None where nothing was written.
    """

    folder: Path | None = None

    def _outcome(self) -> list[str]:
        return [f"{self.registry}: {_DRY if self.folder is None else self.folder}"]


def publish(
    folder: str | os.PathLike[str],
    repo: str | os.PathLike[str],
    *,
    spec: Model | None = None,
    license: str | None = None,
    n_measured: int | None = None,
    dry_run: bool = False,
) -> Publication:
    """Publish a version: check its folder, then add it to a registry, in a repository of the hub or in a folder.

    The version's files, the table ``registry.toml`` and the repository's card go in one commit, which the hub refuses
    where somebody else has committed meanwhile; then the tag ``MODEL-VERSION`` is set. In a folder the files appear
    whole, then the table names them.

    Parameters
    ----------
    folder : path
        What `pymc_lan.train` wrote: ``weights.safetensors``, ``config.json`` and ``README.md``.
    repo : str or path
        ``"org/repo"``, which must exist, or ``"org/repo@branch"`` for another branch than main; or a registry's folder,
        made when missing: its whole path, or a `pathlib.Path`. A leading ``~/`` is your home.
    spec : Model, optional
        Of a model of your own; one that is known by its simulator needs it, to be measured.
    license : str, optional
        For the card of the repository, as the hub abbreviates it: ``"apache-2.0"``, ``"cc-by-4.0"``.
    n_measured : int, optional
        Trials on which the accuracy is measured anew, on a seed that follows from the weights: by default 4,000; with
        a simulator, 50,000 of each of 50 parameter sets.
    dry_run : bool
        Whether to check everything and write nothing.

    Returns
    -------
    Publication
        Printed, it says what was written.

    Raises
    ------
    ValueError
        For a folder that is no path, a spec that is no model, a number of trials that is none.
    RegistryError
        If the folder is not whole and right, its accuracy not what is measured, the version there already, the hub
        cannot be reached or refuses, or the registry's folder cannot be written to; for a license and a folder.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> pl.publish("./nowhere", "lab/nets")
    Traceback (most recent call last):
    pymc_lan.errors.RegistryError: Expected a folder with weights.safetensors and config.json. ...
    """
    registry = as_registry(repo, "the argument repo")
    if license is not None and isinstance(registry, FolderRegistry):
        expected, found = "a license for a repository of the hub, whose card names it", f"the folder {registry}"
        raise RegistryError(explain(expected, found, "leave it out, and put a file with the license beside the table"))
    folder = check_path("folder", folder)
    if n_measured is not None:
        n_measured = check_count("n_measured", n_measured)
    network = load_folder(folder, spec)
    check_version(network, n_measured)
    contents = {
        WEIGHTS: read_file(folder / WEIGHTS, _WRITE),
        CONFIG: read_file(folder / CONFIG, _WRITE, LARGEST_TEXT),
        CARD: write_card(network.config).encode(),
    }
    card = repository_card(registry, network, license) if isinstance(registry, HubRegistry) else None
    return add_to(registry, network.spec.name, network.version, contents, card=card, dry_run=dry_run)


def add_to(
    registry: Registry, model: str, version: str, contents: Mapping[str, bytes], *, card: str | None, dry_run: bool
) -> Publication:
    """Add the files of a version, which were checked, to a registry.

    Parameters
    ----------
    registry : HubRegistry or FolderRegistry
    model, version : str
    contents : mapping of str to bytes
        By name.
    card : str, optional
        A new one of the repository.
    dry_run : bool

    Returns
    -------
    Publication

    Raises
    ------
    RegistryError
        As `publish`.
    """
    match registry:
        case FolderRegistry():
            return _to_folder(registry, model, version, contents, dry_run=dry_run)
        case HubRegistry():
            return _to_hub(registry, model, version, contents, card, dry_run=dry_run)


def _to_folder(
    registry: FolderRegistry, model: str, version: str, contents: Mapping[str, bytes], *, dry_run: bool
) -> FolderPublication:
    refuse_existing(registry.root, model, version)
    table = table_with(registry.root, model, version, contents)
    planned = FolderPublication(registry, _placed(model, version, contents) | {REGISTRY: table.encode()})
    return planned if dry_run else replace(planned, folder=add_files(registry.root, model, version, contents))


def _to_hub(
    registry: HubRegistry,
    model: str,
    version: str,
    contents: Mapping[str, bytes],
    card: str | None,
    *,
    dry_run: bool,
) -> HubPublication:
    tag = "-".join([*filter(None, [registry.under]), model, version])
    parent, table = registry.head()
    if version in table.get(model, {}).get("versions", {}) or registry.has(tag):
        found = f"{model}@{version} or the tag {tag} in {registry} already"
        raise RegistryError(explain("a new version", found, "raise the version; published ones never change"))
    text = add_version(table, model, version, {name: digest(content) for name, content in contents.items()})
    placed = _placed(model, version, contents) | {REGISTRY: text.encode()}
    files = {registry.placed(path): content for path, content in placed.items()}
    files |= {} if card is None else {CARD: card.encode()}
    planned = HubPublication(registry, files, parent, tag)
    return planned if dry_run else _commit(planned, registry, f"{model} {version}")


def _placed(model: str, version: str, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """A version's files by their paths in a registry."""
    return {f"{model}/{version}/{name}": content for name, content in contents.items()}


def _commit(new: HubPublication, registry: HubRegistry, message: str) -> HubPublication:
    from huggingface_hub import CommitOperationAdd, HfApi

    repo, branch = registry.repo, registry.name.revision
    operations = [CommitOperationAdd(path, content) for path, content in new.files.items()]
    with explained(repo, f"a commit of {message} to {branch}"):
        done = HfApi().create_commit(
            repo, operations, commit_message=message, parent_commit=new.parent, revision=branch
        )
    with explained(repo, f"the tag {new.tag} of commit {done.oid}, which is made,"):
        HfApi().create_tag(repo, tag=new.tag, revision=done.oid)
    return replace(new, commit=done.oid)


def repository_card(registry: HubRegistry, network: Network, license: str | None) -> str:
    """The card of the repository: what the hub indexes, how to load, and the card of the newest version.

    Parameters
    ----------
    registry : HubRegistry
    network : Network
    license : str, optional

    Returns
    -------
    str
        Markdown behind a block of YAML.
    """
    from huggingface_hub import EvalResult, ModelCardData

    measured = network.config["accuracy"]
    if "simulations" in measured:
        trials = f"{measured['n_trials'] * measured['n_sets']}"
        figures = {f"{key}_divergence_nats": measured["simulations"][key] for key in ("median", "p95")}
    else:
        trials = f"{measured['n']}"
        figures = {f"lan_{key}_abs_error_nats": measured["lan"][key] for key in ("mean", "p99")}
        if measured["choice"] is not None:
            figures["choice_mean_abs_error_nats"] = measured["choice"]["go"]["mean"]
    results = [
        EvalResult(
            task_type="likelihood-approximation",
            dataset_type="simulated",
            dataset_name=f"{trials} trials of {network.spec.name}, parameters uniform over the bounds",
            metric_type=name,
            metric_value=value,
        )
        for name, value in figures.items()
    ]
    metadata = ModelCardData(
        license=license,
        library_name="pymc_lan",
        tags=[*_TAGS, network.spec.name],
        model_name=network.name,
        eval_results=results,
    )
    usage = f'```python\nimport pymc_lan as pl\n\nnetwork = pl.load_network("{registry}:{network.name}")\n```'
    return f"---\n{metadata.to_yaml()}\n---\n\n{usage}\n\n{write_card(network.config)}"


def check_version(network: Network, n: int | None) -> None:
    """Check that a network's config is whole, its outputs finite, and its accuracy the one that is measured.

    Parameters
    ----------
    network : Network
        From its folder.
    n : int, optional
        Trials to measure on; see `publish`.

    Raises
    ------
    RegistryError
    """
    config = network.config
    if missing := sorted(_KEYS - config.keys()):
        raise RegistryError(explain(f"the entries {', '.join(sorted(_KEYS))} in {CONFIG}", f"no {missing[0]}", _WRITE))
    _refuse_own(network)
    _check_finite(network)
    _check_accuracy(network, n)


def _refuse_own(network: Network) -> None:
    """Refuse networks of which no config says how to train them anew."""
    training = network.config["training"]
    recipes = [training.get(key) for key in ("lan", "choice")] if isinstance(training, Mapping) else []
    own = [part for part in OWN_PARTS if any(isinstance(each, Mapping) and part in each for each in recipes)]
    own += ["training"] if isinstance(training, Mapping) and "elsewhere" in training else []
    if own:
        expected = "networks that a recipe can train anew, to publish a version"
        found = f"{network.name}, with {' and '.join(own)} of one's own"
        remedy = "use it from its folder, or train one with a recipe without these"
        raise RegistryError(explain(expected, found, remedy))


_WRITE = "write the folder with pymc_lan.train or write_version; its config is not for editing"


def _seed(network: Network) -> int:
    """A seed that nobody chose."""
    return int(network.sha256[:8], 16)


def _check_finite(network: Network, n: int = 10_000) -> None:
    """Over the bounds, a tenth of the values at their ends; times from 5 ms after the onset to 20 s."""
    rng, spec = np.random.default_rng(_seed(network)), network.spec
    theta = {}
    for p in spec.parameters:
        uniform = rng.uniform(*p.bounds, n)
        theta[p.name] = np.where(rng.random(n) < 0.1, rng.choice(p.bounds, n), uniform)
    rt = shift(spec, theta) + spec.earliest(theta) + 5e-3 * 4000 ** rng.random(n)
    # What overflows is what is looked for.
    with np.errstate(all="ignore"):
        if spec.times:
            outputs = [network.likelihood.log_density(NUMPY, rt, rng.choice(spec.choices, n).astype(float), theta)]
        else:
            outputs = [network.probabilities(**theta).sum(axis=-1)]
        if network.choice is not None and require_views(spec).choice is not None:
            outputs += network.likelihood.log_go(NUMPY, np.where(rng.random(n) < 0.1, np.inf, rt), theta)
    for output in outputs:
        if not np.isfinite(output).all():
            row = {name: round(float(x[~np.isfinite(output)][0]), 4) for name, x in theta.items()}
            raise RegistryError(explain("finite outputs over the bounds", f"{row} without one", "train it anew"))


def _check_accuracy(network: Network, n: int | None) -> None:
    """Measure on other trials than the config's, and compare."""
    try:
        claimed = _figures(network.config["accuracy"])
    except (KeyError, TypeError) as error:
        expected = f"the accuracy in {CONFIG} as pymc_lan.diagnostics.accuracy measures it"
        raise RegistryError(explain(expected, f"no {error}", _WRITE)) from error
    simulated = "simulations" in network.config["accuracy"]
    if simulated and network.spec.simulator is None:
        expected = f"the simulator of {network.spec.name!r}, to measure its network"
        raise RegistryError(explain(expected, "none", "give it: spec=..., or --simulator my_model.py:spec"))
    n = n or (_SIMULATED_MEASURED if simulated else _MEASURED)
    sets, slack = max(n // 50, 20), _ROUNDING
    if simulated:
        n = max(n, _LEAST)
        # Of either measurement; it has fewer bins, and finds less, with fewer trials.
        sets, slack = _SETS, _CHANCE * (1 / n + 1 / max(network.config["accuracy"]["n_trials"], _LEAST))
    measured = _figures(accuracy(network, n=n, n_mass=sets, seed=_seed(network)))
    for name, value in measured.items():
        low, high = sorted((value, claimed.get(name, np.inf)))
        if not high <= _FACTOR * max(low, 0.0) + slack:
            expected = f"the {name} error of {network.name} as measured on {n:,} trials, {value:g}"
            raise RegistryError(explain(expected, f"{claimed.get(name)} in {CONFIG}", _WRITE))


def _figures(block: Mapping[str, Any]) -> dict[str, float]:
    """The errors that repeat from one sample to another."""
    if "simulations" in block:
        figures = {"median divergence from the simulator": block["simulations"]["median"]}
        return figures | ({"median mass": block["mass"]["p50"]} if "mass" in block else {})
    if "answers" in block:
        return {f"{key} log odds": block["labels"][key] for key in ("mean", "p99")}
    figures = {f"{key} log density": block["lan"][key] for key in ("mean", "median", "p95", "p99")}
    figures["median mass"] = block["mass"]["p50"]
    for outcome in ("go", "nogo") if block["choice"] is not None else ():
        figures |= {f"{key} {outcome} probability": block["choice"][outcome][key] for key in ("mean", "p95", "p99")}
    return figures
