"""From a simulator to a version of a registry: train on simulations, measure, write."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version as package_version
from pathlib import Path

import numpy as np

from pymc_lan.errors import explain
from pymc_lan.models.simulator.responses import RESPONSES
from pymc_lan.models.simulator.simulator import check_shift, check_symmetry, run_simulator
from pymc_lan.models.simulator.view import SIMULATED
from pymc_lan.models.spec import Model
from pymc_lan.networks.accuracy.simulated import accuracy_from_simulations
from pymc_lan.networks.network import Network, version_config
from pymc_lan.plots.style import pyplot
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import load_folder, refuse_existing, write_version
from pymc_lan.training.recipes import KDE, LIKELIHOOD, SimulationRecipe, usual_simulation_recipe
from pymc_lan.training.simulated.offline import Offline, Paths
from pymc_lan.training.simulated.online import Online

LABELS = {
    (SIMULATED, LIKELIHOOD): "none: maximum likelihood on simulated trials, the density's integral by the trapezoid "
    "rule over log decision times",
    (SIMULATED, KDE): "kernel estimates of the log density of log decision times from the simulated trials of each "
    "parameter set",
    (RESPONSES, LIKELIHOOD): "none: maximum likelihood on the counts of simulated responses",
}

# Trials that a simulator is known by.
N_KNOWN = 200
# Trials on which a network is measured are those of so many parameter sets.
SETS_MEASURED = 50
PACKAGES = ("pymc-lan", "numpy", "jax", "flax", "optax")


def train_from_simulations(
    spec: Model,
    out: str | os.PathLike[str],
    *,
    version: str,
    seed: int,
    recipe: SimulationRecipe | None,
    checkpoints: str | os.PathLike[str] | None,
    n_measured: int,
    scheduler: str | None,
    progress: bool,
    simulations: Paths | None = None,
    report: bool = False,
) -> Network:
    """Train the networks of a model that is known by its simulator; see `pymc_lan.train`."""
    from pymc_lan.training.simulated.loop import fit_from_simulations

    if report:
        # Before hours of training.
        pyplot()
    recipe = recipe or usual_simulation_recipe(spec)
    refuse_existing(out, spec.name, version)
    check_shift(spec)
    check_symmetry(spec)
    started = time.perf_counter()
    source: Online | Offline = Online(
        spec, recipe.sets, recipe.trials, seed, scheduler=scheduler, estimator=recipe.estimator
    )
    files = ""
    if simulations is not None:
        source = _offline(spec, recipe, simulations, seed)
        files = source.identity()
    folder = None if checkpoints is None else Path(checkpoints) / run_name(spec, recipe, seed, files)
    fitted = fit_from_simulations(spec, recipe, source, seed=seed, checkpoints=folder, progress=progress)
    network = Network(fitted.spec, fitted.lan, fitted.choice, version=version)
    training = {
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 1),
        "simulated_trials": _distinct(source, len(fitted.history) * recipe.sets) * source.trials,
        "chunks": len(fitted.history),
        "best_chunk": fitted.best + 1,
        "recipe": asdict(recipe) | {"trials": source.trials},
    } | ({"files_sha256": files} if files else {})
    measured = accuracy_from_simulations(
        network, n_sets=SETS_MEASURED, n_trials=max(n_measured // SETS_MEASURED, 1), seed=seed + 1
    )
    config = version_config(network, _outcome(spec)) | {
        "labels": LABELS[spec.transform, recipe.estimator],
        "training": training,
        "packages": {name: package_version(name) for name in PACKAGES},
        "accuracy": measured,
    }
    network = load_folder(write_version(out, network, config, write_card), spec)
    if report:
        from pymc_lan.training.simulated.report import write_report

        write_report(Path(out), network, fitted, seed)
    return network


def _offline(spec: Model, recipe: SimulationRecipe, simulations: Paths, seed: int) -> Offline:
    if recipe.rounds > 1:
        found = f"rounds={recipe.rounds} in the recipe"
        raise ValueError(explain("one round with simulations from files", found, "leave the files or the rounds out"))
    return Offline(spec, simulations, recipe.sets, recipe.held_out, seed, recipe.estimator)


def _distinct(source: Online | Offline, sets: int) -> int:
    """How many different parameter sets were trained on."""
    return min(sets, source.distinct) if isinstance(source, Offline) else sets


def run_name(spec: Model, recipe: SimulationRecipe, seed: int, files: str = "") -> str:
    """A folder name for each set of arguments, so that a run never goes on from the state of another.

    A simulator is recognised by the first trials that it draws, so one that was corrected starts a new run.
    """
    rng = np.random.default_rng(0)
    theta = np.column_stack([rng.uniform(*p.bounds, N_KNOWN) for p in spec.parameters])
    drawn = [x.tobytes() for x in run_simulator(spec, theta, rng)]
    kind = (spec.transform, spec.parameters, spec.choices, spec.shift, spec.mirror, spec.exchange, spec.omissions)
    described = (*kind, recipe, seed, drawn, files)
    return f"{spec.name}-simulated-{sha256(repr(described).encode()).hexdigest()[:12]}"


def _outcome(spec: Model) -> str:
    codes = ", ".join(map(str, spec.choices))
    if spec.transform == RESPONSES:
        return f"response one of {codes}"
    return f"rt in seconds, response one of {codes}" + ("; rt = inf is no response" if spec.omissions else "")


def spec_of_file(text: str) -> Model:
    """The spec that a Python file holds, from ``"my_model.py:spec"``.

    Raises
    ------
    ValueError
        If there is no such file, no such name in it, or something else than a `Model` under it.
    """
    path, _, name = text.rpartition(":")
    file = Path(path).resolve()
    if not file.is_file():
        raise ValueError(explain("a Python file and a name in it, 'my_model.py:spec'", f"{text!r}", "check the path"))
    # By its own name and from its own folder, so that worker processes find its functions too.
    sys.path.insert(0, str(file.parent))
    found = getattr(import_module(file.stem), name, None)
    if not isinstance(found, Model):
        raise ValueError(
            explain(f"a ModelSpec called {name!r} in {path}", f"{found!r}", "make one with pl.simulator_spec")
        )
    return found


def refuse_begun(spec: Model, checkpoints: Path) -> None:
    """Refuse to go on by accident from the state of a run that was stopped.

    Raises
    ------
    ValueError
        If there is such a state.
    """
    if begun := sorted(checkpoints.glob(f"{spec.name}-simulated-*")):
        expected = f"no run of {spec.name!r} that has begun"
        raise ValueError(explain(expected, f"{begun[0]}", "go on with --resume, or remove the folder"))
