"""From nothing to a version of a registry: train, measure, write."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from pymc_lan.errors import explain
from pymc_lan.models.catalogue import as_model
from pymc_lan.models.race.race import race_of
from pymc_lan.models.spec import Model
from pymc_lan.models.views import refuse_race
from pymc_lan.networks.accuracy.accuracy import accuracy
from pymc_lan.networks.network import Network, version_config
from pymc_lan.numerics.parallel import open_executor
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import load_folder, refuse_existing, write_version
from pymc_lan.training.recipes import Recipe, SimulationRecipe, usual_recipes
from pymc_lan.training.simulated.offline import Paths
from pymc_lan.training.train_simulated import PACKAGES, train_from_simulations

# Where a transform's labels come from.
LABELS = {
    "constant_drift": "closed form (Navarro & Fuss 2009; Gondan, Blurton & Kesselmeier 2014)",
    "straight_boundary": "closed form (the same in the clock of the moving boundaries); go probabilities by quadrature",
    "variable_drift": "closed form (the same under the mean of the drift's factor); go probabilities by quadrature",
    "spread": "quadrature over non-decision times and starting points of the closed form (Navarro & Fuss 2009)",
    "path": "Volterra equations of the two moving boundaries (Buonocore, Nobile & Ricciardi 1987; Smith 2000) or, for "
    "a drift that is not linear in the position, the Fokker-Planck equation (to 0.02 nats)",
    **dict.fromkeys(
        ("reflected", "reflected_no_bias"),
        "Volterra equation of one reflected accumulator (Buonocore, Nobile & Ricciardi 1987). The network lan is that "
        "of its density, choice that of its survivor; they are the same in every race",
    ),
}

# Trials on which accuracy is measured: with labels, and by counting simulated ones.
MEASURED, SIMULATED_MEASURED = 60_000, 5_000_000


def train(
    model: str | Model = "ddm",
    out: str | os.PathLike[str] = "weights",
    *,
    version: str = "1.0",
    seed: int = 0,
    lan_recipe: Recipe | None = None,
    choice_recipe: Recipe | None = None,
    simulation_recipe: SimulationRecipe | None = None,
    simulations: Paths | None = None,
    report: bool = False,
    checkpoints: str | os.PathLike[str] | None = None,
    n_measured: int | None = None,
    scheduler: str | None = None,
    progress: bool = True,
) -> Network:
    """Train a model's networks, measure them and write them as a version of a registry.

    Parameters
    ----------
    model : str or Model
        A name, or a spec of your own: its drift and boundary are enough, or a simulator (`pymc_lan.simulator_spec`).
    out : path
        The registry's folder; the version becomes ``out/model/version``.
    version : str
    seed : int
        Of initial weights, training trials and batches; the accuracy is measured on trials of another seed.
    lan_recipe, choice_recipe : Recipe, optional
        By default `pymc_lan.training.recipes.usual_recipes`; not for a model with a simulator.
    simulation_recipe : SimulationRecipe, optional
        Of a model with a simulator: budget, architecture and optimisation.
    simulations : path or sequence of path, optional
        Of a model with a simulator: train on these files, or those of this folder, which `pymc_lan.simulate_to` wrote,
        and simulate only to measure the accuracy.
    report : bool
        Of a model with a simulator: whether to write ``out/model/version-report.html``, with loss curves, a map of the
        error, densities beside simulated trials, and calibration. The extra ``plots`` draws it.
    checkpoints : path, optional
        Where the run saves its state; called again with the same model, recipes and seed it goes on from there.
    n_measured : int, optional
        Trials on which the accuracy is measured: by default 60,000 with labels, five million simulated ones.
    scheduler : str, optional
        The address of a Dask scheduler, ``"tcp://host:8786"``, whose workers solve for labels or run the simulator;
        they need this package. When a worker dies, another repeats its task. Needs the extra ``dask``.
    progress : bool
        Whether to draw progress bars.

    Returns
    -------
    Network
        As loaded from the folder written.

    Raises
    ------
    ValueError
        For an unknown model, a race of accumulators that has a closed form instead, recipes or simulations of another
        kind of model, a simulator whose trials cannot be or whose `shift`, `mirror` or `exchange` is none; a scheduler
        that has nothing to do, because labels have a closed form or simulations are in files.
    RegistryError
        If the version exists.
    ImportError
        For a report without matplotlib, before the training begins.

    Examples
    --------
    >>> import tempfile, pymc_lan as pl
    >>> from pymc_lan.training.recipes import Recipe
    >>> small = Recipe(hidden=(4,), steps=10, batch=16, pool=100)
    >>> out = tempfile.mkdtemp()
    >>> pl.train("ddm", out, lan_recipe=small, choice_recipe=small, progress=False).name
    'ddm@1.0'
    """
    from pymc_lan.training.labelled.fit import fit
    from pymc_lan.training.labelled.tasks import choice_task, lan_task

    spec = as_model(model)
    refuse_race(spec)
    _check_recipes(spec, lan_recipe or choice_recipe, simulation_recipe)
    if (simulations is not None or report) and spec.simulator is None:
        found = f"simulations or a report for {spec.name!r}"
        remedy = "leave simulations and report out"
        raise ValueError(explain("a model with a simulator, to train from files or to report on", found, remedy))
    quick = spec.exact or race_of(spec) is not None
    if scheduler is not None and (quick or simulations is not None):
        found = "labels that take seconds" if quick else "simulations in files"
        raise ValueError(explain("something for a cluster to do", f"{found} of {spec.name!r}", "leave out scheduler"))
    if spec.simulator is not None:
        return train_from_simulations(
            spec,
            out,
            version=version,
            seed=seed,
            recipe=simulation_recipe,
            checkpoints=checkpoints,
            n_measured=n_measured or SIMULATED_MEASURED,
            scheduler=scheduler,
            progress=progress,
            simulations=simulations,
            report=report,
        )
    usual = usual_recipes(spec)
    lan_recipe, choice_recipe = lan_recipe or usual[0], choice_recipe or usual[1]
    refuse_existing(out, spec.name, version)
    started, mlps = time.perf_counter(), []
    with ExitStack() as stack:
        farm = open_executor(stack, scheduler=scheduler)
        for make_task, recipe in ((lan_task, lan_recipe), (choice_task, choice_recipe)):
            task = make_task(spec, farm, recipe.edges)
            folder = None if checkpoints is None else Path(checkpoints) / _run_name(spec, task.name, recipe, seed)
            mlps.append(fit(task, recipe, seed=seed, checkpoints=folder, progress=progress))
    lan, choice = mlps
    network = Network(spec, lan, choice, version=version)
    training = {
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 1),
        "lan": asdict(lan_recipe),
        "choice": asdict(choice_recipe),
    }
    return load_folder(
        write_version(out, network, _config(network, training, n_measured or MEASURED), write_card), spec
    )


def _check_recipes(spec: Model, labelled: Recipe | None, simulated: SimulationRecipe | None) -> None:
    wrong = labelled if spec.simulator is not None else simulated
    if wrong is not None:
        kind = "simulation_recipe" if spec.simulator is not None else "lan_recipe and choice_recipe"
        found = f"a {type(wrong).__name__} for another kind of model than {spec.name!r}"
        raise ValueError(explain(f"{kind} only", found, f"give {kind}, or none"))


def _run_name(spec: Model, task: str, recipe: Recipe, seed: int) -> str:
    """A folder name for each set of arguments, so that a run never goes on from the state of another.

    Races share one, because what they learn is the same.
    """
    learned = spec.name if race_of(spec) is None else "accumulator"
    return f"{learned}-{task}-{sha256(repr((recipe, seed)).encode()).hexdigest()[:12]}"


def _config(network: Network, training: dict[str, Any], n_measured: int) -> dict[str, Any]:
    """All that ``config.json`` says, except for the hash of the weights."""
    outcome = "rt in seconds, response +1 upper and -1 lower boundary; go/no-go: rt = inf is no press"
    if race_of(network.spec) is not None:
        outcome = f"rt in seconds, response {network.spec.choices}: the accumulator that finishes first"
    return version_config(network, outcome) | {
        "labels": LABELS[network.spec.transform],
        "training": training,
        "packages": {name: package_version(name) for name in PACKAGES},
        # Another seed than the training's, or the network would be measured on parameters it was fitted to.
        "accuracy": accuracy(network, n=n_measured, seed=training["seed"] + 1),
    }
