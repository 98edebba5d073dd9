"""The teacher of models that are known by their simulators: networks learn from simulated trials."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self, cast, final

import numpy as np

from pymc_lan.errors import explain
from pymc_lan.models.model import Model, require_views
from pymc_lan.models.simulator.calls import run_simulator
from pymc_lan.models.simulator.claims import check_shift, check_symmetry
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.networks.accuracy.simulated import accuracy_from_simulations
from pymc_lan.networks.network import Network
from pymc_lan.plots.style import pyplot
from pymc_lan.training.recipes import SimulationRecipe, usual_simulation_recipe
from pymc_lan.training.simulated.offline import Offline, Paths
from pymc_lan.training.simulated.online import Online
from pymc_lan.training.teacher import Learned, Teacher, Wishes, refuse_recipe, refuse_scheduler

# Trials that a simulator is known by.
N_KNOWN = 200
# Trials on which accuracy is measured, and the parameter sets that they are of.
MEASURED, SETS_MEASURED = 5_000_000, 50


@final
@dataclass(frozen=True, slots=True)
class SimulationTeacher(Teacher):
    """Teaches all networks at once, chunk after chunk of simulations.

    Parameters
    ----------
    spec : Simulated
        With a simulator.
    recipe : SimulationRecipe
    files : path or sequence of path, optional
        Simulations to read instead of making them.
    reports : bool
        Whether to write a report at the end.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers run the simulator.
    seed : int
    """

    spec: Simulated
    recipe: SimulationRecipe
    files: Paths | None
    reports: bool
    scheduler: str | None
    seed: int

    @classmethod
    def of(cls, spec: Model, wishes: Wishes, seed: int) -> Self:
        """The teacher of a model with a simulator, by the usual recipe where none is given.

        Raises
        ------
        ValueError
            For recipes of networks that learn from labels, or a scheduler beside files of simulations.
        ImportError
            For a report without matplotlib.
        """
        refuse_recipe(wishes.lan_recipe or wishes.choice_recipe, spec, "simulation_recipe")
        if wishes.simulations is not None:
            refuse_scheduler(wishes.scheduler, f"simulations in files of {spec.name!r}")
        if wishes.report:
            # Before hours of training.
            pyplot()
        recipe = wishes.simulation_recipe or usual_simulation_recipe(spec)
        return cls(cast("Simulated", spec), recipe, wishes.simulations, wishes.report, wishes.scheduler, seed)

    @property
    def labels(self) -> str:
        """What stands for true densities."""
        from pymc_lan.training.simulated.learners import estimator_of  # loads JAX

        return estimator_of(self.spec, self.recipe.estimator).about

    @property
    def outcome(self) -> str:
        """What a trial is: the codes of responses, and times unless the model has none."""
        codes = ", ".join(map(str, self.spec.choices))
        if not self.spec.times:
            return f"response one of {codes}"
        none = "; rt = inf is no response" if self.spec.omissions else ""
        return f"rt in seconds, response one of {codes}{none}"

    def learn(self, checkpoints: Path | None, *, progress: bool) -> Learned:
        """Check what is said of the simulator, and train on its trials."""
        from pymc_lan.training.simulated.loop import fit_from_simulations

        check_shift(self.spec)
        check_symmetry(self.spec)
        source = self._source()
        files = source.identity() if isinstance(source, Offline) else ""
        folder = None if checkpoints is None else checkpoints / run_name(self.spec, self.recipe, self.seed, files)
        fitted = fit_from_simulations(
            self.spec, self.recipe, source, seed=self.seed, checkpoints=folder, progress=progress
        )
        sets = len(fitted.history) * self.recipe.sets
        if isinstance(source, Offline):
            # However often they were read.
            sets = min(sets, source.distinct)
        training = {
            "simulated_trials": sets * source.trials,
            "chunks": len(fitted.history),
            "best_chunk": fitted.best + 1,
            "recipe": asdict(self.recipe) | {"trials": source.trials},
        } | ({"files_sha256": files} if files else {})
        return Learned(fitted.spec, fitted.lan, fitted.choice, training, fitted)

    def _source(self) -> Online | Offline:
        recipe = self.recipe
        if self.files is None:
            return Online(
                self.spec,
                recipe.sets,
                recipe.trials,
                self.seed,
                scheduler=self.scheduler,
                estimator=recipe.estimator,
            )
        if recipe.rounds > 1:
            found, remedy = f"rounds={recipe.rounds} in the recipe", "leave the files or the rounds out"
            raise ValueError(explain("one round with simulations from files", found, remedy))
        return Offline(self.spec, self.files, recipe.sets, recipe.held_out, self.seed, recipe.estimator)

    def measure(self, network: Network, n: int | None) -> dict[str, Any]:
        """Differences from fresh simulated trials, five million where `n` is not given."""
        trials = max((n or MEASURED) // SETS_MEASURED, 1)
        return accuracy_from_simulations(network, n_sets=SETS_MEASURED, n_trials=trials, seed=self.seed + 1)

    def report(self, out: Path, network: Network, learned: Learned) -> None:
        """Write the report of the training, where it was asked for."""
        from pymc_lan.training.simulated.report import write_report

        if self.reports and learned.fitted is not None:
            write_report(out, network, learned.fitted, self.seed)


def run_name(spec: Simulated, recipe: SimulationRecipe, seed: int, files: str = "") -> str:
    """A folder name for each set of arguments, so that a run never goes on from the state of another.

    A simulator is recognised by the first trials that it draws, so one that was corrected starts a new run.
    """
    rng = np.random.default_rng(0)
    theta = np.column_stack([rng.uniform(*p.bounds, N_KNOWN) for p in spec.parameters])
    drawn = [x.tobytes() for x in run_simulator(spec, theta, rng)]
    kind = (require_views(spec).tag, spec.parameters, spec.choices, spec.shift, spec.symmetry, spec.omissions)
    described = (*kind, recipe, seed, drawn, files)
    return f"{spec.name}-simulated-{sha256(repr(described).encode()).hexdigest()[:12]}"


def refuse_begun(spec: Model, checkpoints: Path) -> None:
    """Refuse to go on by accident from the state of a run that was stopped.

    Raises
    ------
    ValueError
        If there is such a state.
    """
    begun = sorted(checkpoints.glob(f"{spec.name}-simulated-*")) if os.path.isdir(checkpoints) else []
    if begun:
        expected = f"no run of {spec.name!r} that has begun"
        raise ValueError(explain(expected, f"{begun[0]}", "go on with --resume, or remove the folder"))
