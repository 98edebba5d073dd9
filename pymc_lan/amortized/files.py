"""Amortised posteriors in files: weights in safetensors, the rest in config.json, and a card. Nothing is code."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.amortized.described import Described
from pymc_lan.amortized.networks import Stored
from pymc_lan.amortized.standard import Misfit, Standard, Usual
from pymc_lan.amortized.trials import Context, Numbers, ResponseTimes, Seen, View
from pymc_lan.amortized.values import Scale
from pymc_lan.data.files import whole_folder
from pymc_lan.data.reading import LARGEST_TEXT, parse_json
from pymc_lan.errors import RegistryError, check_path, explain
from pymc_lan.networks.config import CONFIG, REMEDY_ANEW
from pymc_lan.registry.table import CARD, WEIGHTS, check_names

Float = NDArray[np.float64]

# PyMC's own logger shows such lines, and is where users silence them.
logger = logging.getLogger("pymc.amortized")

FORMAT = 1
# Where they lie in a registry: beside its networks, whose names they may share.
BESIDE = "amortized"
# Arrays of what is usual given an answer.
MISFIT = ("fit", "scatter", "centre", "whiten")
SEEN: Mapping[str, type[Seen]] = {"response_times": ResponseTimes, "numbers": Numbers}


def contents(amortizer: Any, name: str, version: str) -> dict[str, bytes]:
    """The files of a version, by name.

    Raises
    ------
    RegistryError
        For what no version may be called.
    ValueError
        For networks that are not stored by their weights.
    """
    from safetensors.numpy import save

    check_names(name, version)
    if not isinstance(amortizer.network, Stored):
        remedy = "train with summary='mean_set' and inference='coupling_flow', or keep BayesFlow's object"
        raise ValueError(explain("networks that are stored by their weights", "others of BayesFlow", remedy))
    standard, usual = amortizer.standard, amortizer.usual
    arrays = {f"network/{k}": x for k, x in amortizer.network.arrays.items()}
    arrays |= {f"centre/{k}": x for k, x in standard.centre.items()}
    arrays |= {f"spread/{k}": x for k, x in standard.spread.items()}
    arrays |= {"usual/centre": usual.centre, "usual/whiten": usual.whiten}
    if usual.misfit is not None:
        arrays |= {f"misfit/{name}": getattr(usual.misfit, name) for name in MISFIT}
    weights = save({k: np.ascontiguousarray(x) for k, x in arrays.items()})
    kinds = {kind: word for word, kind in SEEN.items()}
    described = _description(amortizer)
    config = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "n_trials": list(amortizer.n_trials),
        "variables": {k: list(x) for k, x in amortizer.variables.items()},
        "seen": [{"kind": kinds[type(part)], **asdict(part)} for part in amortizer.view.parts],
        "context": asdict(amortizer.view.context),
        "scale": asdict(amortizer.scale) | {"most": _finite(amortizer.scale.most)},
        "network": {"summary": "mean_set", "inference": "coupling_flow", "df": _finite(amortizer.network.df)},
        "usual": {"limit": usual.limit, "misfit": None if usual.misfit is None else usual.misfit.limit},
        "model": None if described is None else asdict(described),
        "losses": list(amortizer.losses),
        "accuracy": list(amortizer.accuracy),
        "packages": _packages(),
        "weights_sha256": sha256(weights).hexdigest(),
    }
    text = json.dumps(config, indent=1, allow_nan=False)
    return {WEIGHTS: weights, CONFIG: text.encode(), CARD: _card(config).encode()}


def write(amortizer: Any, folder: str | os.PathLike[str], name: str, version: str) -> Path:
    """Write a version; see `Amortizer.save`."""
    path, files = check_path("folder", folder), contents(amortizer, name, version)
    with whole_folder(path) as new:
        for file, content in files.items():
            (new / file).write_bytes(content)
    return path


# Files that are read, and how large they may be.
READ = {WEIGHTS: 2**28, CONFIG: LARGEST_TEXT}


def read(files: Mapping[str, bytes], where: Path) -> dict[str, Any]:
    """What an amortizer is made of, from the content of its files.

    Raises
    ------
    RegistryError
        For files that are corrupted, not of one version, or of a newer format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    config = parse_json(files[CONFIG], where / CONFIG, REMEDY_ANEW)
    number = config.get("format") if isinstance(config, dict) else None
    if number != FORMAT:
        remedy = "upgrade pymc-lan" if isinstance(number, int) and number > FORMAT else REMEDY_ANEW
        raise RegistryError(explain(f"a config of format {FORMAT} in {where}", f"{number!r:.80}", remedy))
    if sha256(files[WEIGHTS]).hexdigest() != config.get("weights_sha256"):
        raise RegistryError(explain(f"the weights that {CONFIG} names in {where}", "others", REMEDY_ANEW))
    try:
        arrays = load(files[WEIGHTS])
        made = _made(config, arrays)
        _say_versions(config)
        return made
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"one that cannot be read ({error!r:.200})"
        raise RegistryError(explain(f"an amortised posterior in {where}", found, REMEDY_ANEW)) from error


def _made(config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    def under(first: str) -> dict[str, NDArray[Any]]:
        return {k.removeprefix(first): x for k, x in arrays.items() if k.startswith(first)}

    parts = []
    for part in config["seen"]:
        kind = SEEN[part["kind"]]
        known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
        parts.append(kind(**{k: tuple(x) if isinstance(x, list) else x for k, x in part.items() if k in known}))
    context = Context(
        {k: tuple(x) for k, x in config["context"]["levels"].items()},
        {k: (x[0], x[1]) for k, x in config["context"]["ends"].items()},
    )
    model = config["model"]
    described = None if model is None else Described(model["priors"], model["likelihood"], model["arguments"])
    scale, df = config["scale"], config["network"]["df"]
    least, most = config["n_trials"]
    # The first versions have none.
    apart = config["usual"].get("misfit")
    misfit = (
        None if apart is None else Misfit(**{name: arrays[f"misfit/{name}"] for name in MISFIT}, limit=float(apart))
    )
    return {
        "build": described,
        "variables": {k: tuple(x) for k, x in config["variables"].items()},
        "n_trials": (int(least), int(most)),
        "view": View(tuple(parts), context),
        "scale": Scale(**(scale | {"most": np.inf if scale["most"] is None else scale["most"]})),
        "standard": Standard(under("centre/"), under("spread/")),
        "network": Stored(under("network/"), np.inf if df is None else float(df)),
        "usual": Usual(arrays["usual/centre"], arrays["usual/whiten"], float(config["usual"]["limit"]), misfit),
        "losses": tuple(config["losses"]),
        "accuracy": tuple(config["accuracy"]),
    }


def _finite(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None


def _description(amortizer: Any) -> Described | None:
    """The model as data, where it can be."""
    from pymc_lan.amortized.described import describe
    from pymc_lan.amortized.simulated import designs

    if amortizer.build is None or isinstance(amortizer.build, Described):
        return amortizer.build
    if amortizer.view.context.levels or not isinstance(amortizer.view.parts[0], ResponseTimes):
        return None
    [table] = designs(None, amortizer.n_trials[0], np.random.default_rng(0))
    model = amortizer.build(table)
    return describe(getattr(model, "model", model))


# What trains networks: they run without these.
TRAINERS = ("bayesflow", "keras")


def _packages() -> dict[str, str]:
    return {name: x for name in ("pymc-lan", "pymc", *TRAINERS, "jax") if (x := _version(name)) is not None}


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _say_versions(config: Mapping[str, Any]) -> None:
    """Say where what is installed is not what trained."""
    pairs = [(name, config["packages"].get(name), _version(name)) for name in TRAINERS]
    if differ := [
        f"{name} {then} (here {now})" for name, then, now in pairs if None not in (then, now) and then != now
    ]:
        logger.info(
            "amortized: %s@%s was trained with %s; its draws do not depend on them, but training it again may",
            *(config["name"], config["version"], ", ".join(differ)),
        )


def _accuracy(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Lines of a card."""
    if not rows:
        return []
    head = ["Of data sets from the prior, weighed by prior and likelihood, without any other proposal:", ""]
    table = ["| trials | data sets | right | effective draws, median / 5 % |", "|---|---|---|---|"]
    table += [
        f"| {x['n_trials']:.0f} | {x['n']:.0f} | {x['right']:.3f} | {x['median']:.2f} / {x['least']:.2f} |"
        for x in rows
    ]
    return [*head, *table, ""]


def _card(config: Mapping[str, Any]) -> str:
    least, most = config["n_trials"]
    last = config["losses"][-1] if config["losses"] else {}
    lines = [
        f"# {config['name']} {config['version']}, an amortised posterior",
        "",
        f"From {least} to {most:,} trials of one subject to their posterior of {', '.join(config['variables'])}.",
        "A network of each trial, their mean, and a coupling flow; `pymc_lan.load_amortized` weighs its draws by the",
        "likelihood, and says of each subject whether they are right.",
        "",
        f"Loss on data that were held out: {last.get('validation', float('nan')):.4g} nats, after",
        f"{len(config['losses'])} epochs. Not comparable between models.",
        "",
        *_accuracy(config["accuracy"]),
        "Trained with " + ", ".join(f"{k} {x}" for k, x in config["packages"].items()) + ".",
    ]
    if config["model"] is not None:
        lines += ["", "Priors:", ""]
        lines += [f"* `{name}`: {json.dumps(prior)}" for name, prior in config["model"]["priors"].items()]
    return "\n".join(lines) + "\n"
