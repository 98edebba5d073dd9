"""From nothing to a version of a registry: a teacher is found, networks learn, are measured and written."""

from __future__ import annotations

import os
import time
from functools import singledispatch
from importlib.metadata import version as package_version

from pymc_lan.errors import check_count, check_path, explain
from pymc_lan.models.imported import Imported
from pymc_lan.models.model import Model, require_labels, require_views
from pymc_lan.models.perception.oddity import OddityInAPlane
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.networks.network import Network, version_config
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import load_folder, refuse_existing, write_version
from pymc_lan.registry.sources import AnyModel, get_model
from pymc_lan.training.labelled.answers import AnswerTeacher
from pymc_lan.training.labelled.teacher import LabelTeacher
from pymc_lan.training.recipes import Recipe, SimulationRecipe
from pymc_lan.training.simulated.offline import Paths
from pymc_lan.training.simulated.teacher import SimulationTeacher
from pymc_lan.training.teacher import Teacher, Wishes

# Whose versions a config names.
PACKAGES = ("pymc-lan", "numpy", "jax", "flax", "optax")

# JAX makes its keys of 64 bits.
LARGEST_SEED = 2**63 - 1


@singledispatch
def teacher_of(spec: Model) -> type[Teacher]:
    """Who teaches networks of a model; a ValueError where it has none to train."""
    require_views(spec)
    require_labels(spec)
    return LabelTeacher


@teacher_of.register
def _of_a_simulator(spec: Simulated) -> type[Teacher]:
    return SimulationTeacher


@teacher_of.register
def _of_the_oddity_task(spec: OddityInAPlane) -> type[Teacher]:
    return AnswerTeacher


@teacher_of.register
def _of_imported(spec: Imported) -> type[Teacher]:
    expected, found = "a model whose networks are trained here", f"{spec.name!r} as imported networks see it"
    raise ValueError(explain(expected, found, f"pass the model itself, such as pl.get_model({spec.name!r})"))


def _cpu_seconds() -> float:
    """CPU time of this process and of those it has waited for: the clock counts what else a machine does, too."""
    return sum(os.times()[:4])


def train(
    model: AnyModel = "ddm",
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
    model : str, path, Model or Network
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
        that has nothing to do, because labels have a closed form or simulations are in files; a path, a seed or a
        number of trials that is none.
    RegistryError
        If the version exists.
    ImportError
        For a report without matplotlib, before the training begins.

    Examples
    --------
    >>> import tempfile, pymc_lan as pl
    >>> small = pl.Recipe(hidden=(4,), steps=10, batch=16, pool=100)
    >>> out = tempfile.mkdtemp()
    >>> pl.train("ddm", out, lan_recipe=small, choice_recipe=small, progress=False).name
    'ddm@1.0'
    """
    spec, out, seed = get_model(model), check_path("out", out), check_count("seed", seed, 0, LARGEST_SEED)
    if n_measured is not None:
        n_measured = check_count("n_measured", n_measured)
    states = None if checkpoints is None else check_path("checkpoints", checkpoints)
    wishes = Wishes(lan_recipe, choice_recipe, simulation_recipe, simulations, report, scheduler)
    teacher = teacher_of(spec).of(spec, wishes, seed)
    refuse_existing(out, spec.name, version)
    started, used = time.perf_counter(), _cpu_seconds()
    learned = teacher.learn(states, progress=progress)
    taken = {"seconds": time.perf_counter() - started, "cpu_seconds": _cpu_seconds() - used}
    network = Network(learned.spec, learned.lan, learned.choice, version=version, survivor=learned.survivor)
    config = version_config(network, teacher.outcome) | {
        "labels": teacher.labels,
        "training": {"seed": seed} | {name: round(x, 1) for name, x in taken.items()} | learned.training,
        "packages": {name: package_version(name) for name in PACKAGES},
        "accuracy": teacher.measure(network, n_measured),
    }
    written = load_folder(write_version(out, network, config, write_card), spec)
    teacher.report(out, written, learned)
    return written
