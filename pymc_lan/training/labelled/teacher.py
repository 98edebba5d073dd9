"""The teacher of models whose true densities can be computed: each network learns from labelled trials."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self, final

from pymc_lan.models.model import Model, require_labels, require_views
from pymc_lan.networks.accuracy.accuracy import accuracy
from pymc_lan.networks.network import Network
from pymc_lan.numerics.parallel import open_executor
from pymc_lan.training.recipes import Recipe, usual_recipes
from pymc_lan.training.teacher import Learned, Teacher, Wishes, refuse_recipe, refuse_scheduler, refuse_simulations

# Trials on which accuracy is measured.
MEASURED = 60_000


@final
@dataclass(frozen=True, slots=True)
class LabelTeacher(Teacher):
    """Teaches the likelihood and the choice/deadline network one after the other.

    Parameters
    ----------
    spec : Model
    lan_recipe, choice_recipe : Recipe
    scheduler : str, optional
        The address of a Dask scheduler, whose workers solve for labels.
    seed : int
    """

    spec: Model
    lan_recipe: Recipe
    choice_recipe: Recipe
    scheduler: str | None
    seed: int

    @classmethod
    def of(cls, spec: Model, wishes: Wishes, seed: int) -> Self:
        """The teacher of a model with labels, by the usual recipes where none are given.

        Raises
        ------
        ValueError
            For a recipe, files or a report of a training on simulations, or a scheduler for labels of closed form.
        """
        refuse_recipe(wishes.simulation_recipe, spec, "lan_recipe and choice_recipe")
        refuse_simulations(wishes, spec)
        if require_labels(spec).quick:
            refuse_scheduler(wishes.scheduler, f"labels that take seconds of {spec.name!r}")
        lan_recipe, choice_recipe = usual_recipes(spec)
        return cls(spec, wishes.lan_recipe or lan_recipe, wishes.choice_recipe or choice_recipe, wishes.scheduler, seed)

    @property
    def labels(self) -> str:
        """Where the true densities come from."""
        return require_labels(self.spec).about

    @property
    def outcome(self) -> str:
        """What a trial is: times and boundaries or, of a race, accumulators."""
        if require_labels(self.spec).learned is not None:
            return f"rt in seconds, response {self.spec.choices}: the accumulator that finishes first"
        return "rt in seconds, response +1 upper and -1 lower boundary; go/no-go: rt = inf is no press"

    def learn(self, checkpoints: Path | None, *, progress: bool) -> Learned:
        """Draw labelled trials for each network, and train it on them."""
        from pymc_lan.training.labelled.fit import fit
        from pymc_lan.training.labelled.own import require_plain
        from pymc_lan.training.labelled.tasks import choice_task, lan_task, survivor_task

        tasks = [(lan_task, self.lan_recipe), (choice_task, self.choice_recipe)]
        if require_views(self.spec).survivor is not None:
            tasks.append((survivor_task, self.choice_recipe))
        mlps, training = {}, {}
        with ExitStack() as stack:
            farm = open_executor(stack, scheduler=self.scheduler)
            for make_task, recipe in tasks:
                task = make_task(self.spec, farm, recipe.ends, recipe.loss)
                require_plain(self.spec, recipe, task.n_inputs, self.seed)
                name = run_name(self.spec, task.name, recipe, self.seed)
                folder = None if checkpoints is None else checkpoints / name
                mlps[task.name] = fit(task, recipe, seed=self.seed, checkpoints=folder, progress=progress)
                training[task.name] = recipe.stored()
        return Learned(self.spec, mlps["lan"], mlps["choice"], training, survivor=mlps.get("survivor"))

    def measure(self, network: Network, n: int | None) -> dict[str, Any]:
        """Errors against labels, on 60,000 trials where `n` is not given."""
        # Another seed than the training's, or the network would be measured on parameters it was fitted to.
        return accuracy(network, n=n or MEASURED, seed=self.seed + 1)

    def report(self, out: Path, network: Network, learned: Learned) -> None:
        """Nothing: the errors against labels are all there is to tell, and the card has them."""


def run_name(spec: Model, task: str, recipe: Recipe, seed: int) -> str:
    """A folder name for each set of arguments, so that a run never goes on from the state of another.

    Races share one, because what they learn is the same.
    """
    from pymc_lan.training.labelled.own import identity

    learned = spec.name if spec.labels is None else spec.labels.learned or spec.name
    described = repr((recipe, seed)) + identity(recipe, require_views(spec).n_inputs[task], seed)
    return f"{learned}-{task}-{sha256(described.encode()).hexdigest()[:12]}"
