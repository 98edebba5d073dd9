"""The teacher of the oddity task: its network learns from exact probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.models.model import Model
from pymc_lan.models.perception.oddity_labels import draw_everywhere, labelled
from pymc_lan.models.perception.oddity_view import baseline, inputs, of_axes
from pymc_lan.networks.accuracy.answers import accuracy_of_answers
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.training.recipes import ANSWER_RECIPE, Recipe
from pymc_lan.training.teacher import Learned, Teacher, Wishes, refuse_recipe, refuse_scheduler, refuse_simulations

# Trials of each simulated task on which accuracy is measured.
MEASURED = 10_000_000
# The least weight of a task: of one with answers that are practically certain.
LEAST = 0.1


@final
@dataclass(frozen=True, slots=True)
class AnswerTeacher(Teacher):
    """Teaches the network of the oddity task the log odds of a right answer.

    Parameters
    ----------
    spec : Model
    recipe : Recipe
    seed : int
    """

    spec: Model
    recipe: Recipe
    seed: int

    @classmethod
    def of(cls, spec: Model, wishes: Wishes, seed: int) -> Self:
        """The teacher, by the usual recipe where none is given.

        Raises
        ------
        ValueError
            For another recipe than `lan_recipe`, files or a report of simulations, or a scheduler.
        """
        refuse_recipe(wishes.simulation_recipe or wishes.choice_recipe, spec, "lan_recipe")
        refuse_simulations(wishes, spec)
        if wishes.lan_recipe is not None and wishes.lan_recipe.loss is not None:
            expected, found = f"a recipe with the loss of {spec.name!r}, which is of log odds", "one of your own"
            raise ValueError(explain(expected, found, "leave loss out"))
        refuse_scheduler(wishes.scheduler, f"labels that take a minute of {spec.name!r}")
        return cls(spec, wishes.lan_recipe or ANSWER_RECIPE, seed)

    @property
    def labels(self) -> str:
        """Where the true probabilities come from."""
        return "exact probabilities, by quadrature over the shapes of the three percepts' triangle"

    @property
    def outcome(self) -> str:
        """What an answer is."""
        return "response 1 where the answer is right, 0 where it is wrong"

    def learn(self, checkpoints: Path | None, *, progress: bool) -> Learned:
        """Draw tasks with labels, and train the network on them."""
        from pymc_lan.training.labelled.fit import fit
        from pymc_lan.training.labelled.teacher import run_name

        task = answer_task()
        folder = None if checkpoints is None else checkpoints / run_name(self.spec, task.name, self.recipe, self.seed)
        lan = fit(task, self.recipe, seed=self.seed, checkpoints=folder, progress=progress)
        return Learned(self.spec, lan, None, {"lan": self.recipe.stored()})

    def measure(self, network: Network, n: int | None) -> dict[str, Any]:
        """Errors against simulated trials, ten million of each task where `n` is not given, and exact probabilities."""
        return accuracy_of_answers(network, n_trials=n or MEASURED, seed=self.seed + 1)

    def report(self, out: Path, network: Network, learned: Learned) -> None:
        """Nothing: the errors are all there is to tell, and the card has them."""


def answer_task() -> Any:
    """What the network learns: what its baseline leaves of the log odds, those of doubtful answers before all."""
    import jax
    import jax.numpy as jnp
    import optax

    from pymc_lan.training.labelled.tasks import HUBER_DELTA, Batch, Task

    def draw(rng: np.random.Generator, n: int) -> dict[str, NDArray[Any]]:
        theta, log_odds = labelled(draw_everywhere(rng, n))
        x = of_axes(theta)
        doubt = 1 / np.cosh(0.5 * log_odds) ** 2
        columns = {
            "inputs": np.stack(np.broadcast_arrays(*inputs(NUMPY, x)), axis=-1),
            "residual": log_odds - baseline(NUMPY, x),
            "weight": np.clip(doubt**0.3, LEAST, 1.0),
        }
        return {name: column.astype(np.float32) for name, column in columns.items()}

    def loss(output: jax.Array, batch: Batch) -> jax.Array:
        return jnp.mean(batch["weight"] * optax.huber_loss(output - batch["residual"], delta=HUBER_DELTA))

    return Task("lan", 6, draw, loss)
