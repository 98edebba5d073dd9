"""What is trained and how, as frozen data that a config records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import singledispatch
from typing import Any

from pymc_lan.errors import explain, unknown
from pymc_lan.models.diffusion.kinds import ClosedDiffusion, MixtureDiffusion, ModelSpec
from pymc_lan.models.diffusion.structure import structure_of
from pymc_lan.models.model import Model, require_views
from pymc_lan.models.race.race import Race


@dataclass(frozen=True, slots=True)
class Recipe:
    """Architecture and optimisation of one network.

    Parameters
    ----------
    hidden : tuple of int
        Width of every hidden layer.
    activation : str
        A key of `pymc_lan.networks.mlp.ACTIVATIONS`.
    steps, batch : int
        Optimiser steps, and trials per step.
    learning_rate : float
        Peak rate of SOAP; it falls to zero by half a cosine.
    clip : float
        Largest norm of the gradient.
    pool : int
        Labelled trials to draw batches from.
    ends : float
        The share of parameter sets that is drawn towards the ends and corners of the bounds, and a little beyond, where
        a network learns from fewer neighbours and where fits go when a subject is odd; the others are uniform. See
        `pymc_lan.models.proposals.draw_theta`.
    module : flax.nnx.Module, flax.linen.Module or callable, optional
        A network of your own, in place of `hidden` and `activation`: from rows of inputs, as many as the model's view
        of a trial has, to one number each, which is added to a closed form. A module of linen gets its weights from the
        seed, one of NNX brings them; of a function of the number of inputs and ``rngs=`` the module that it makes. It
        has to be one that `from_flax` can take.
    optimizer : optax.GradientTransformation or callable, optional
        An optimiser of your own, in place of SOAP: a transformation, whose updates fall to zero along half a cosine; or
        a function of the schedule of `learning_rate`, such as ``optax.adam``.
    loss : callable, optional
        A loss of your own, ``loss(predicted, label)`` of arrays of log densities, and of log probabilities of a press
        and of none, such as ``optax.squared_error``; its mean is minimised. By default that of Huber, in which trials
        weigh by how likely they are.

    Raises
    ------
    ValueError
        For a module, optimiser or loss that is none.

    Notes
    -----
    A network that was trained with parts of one's own can be used, saved and measured, but not published: no config
    says how to train it anew.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> recipe = pl.Recipe(hidden=(32, 32), pool=500_000)  # for pl.train(..., lan_recipe=recipe)
    >>> recipe.steps
    10000
    """

    hidden: tuple[int, ...] = (16, 16)
    activation: str = "squareplus"
    steps: int = 10_000
    batch: int = 2048
    learning_rate: float = 1e-2
    clip: float = 1.0
    pool: int = 1_000_000
    ends: float = 0.0
    module: Any = field(default=None, repr=False)
    optimizer: Any = field(default=None, repr=False)
    loss: Callable[[Any, Any], Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse parts of one's own that are none; what they do is looked at when a training begins."""
        transforms = all(callable(getattr(self.optimizer, name, None)) for name in ("init", "update"))
        known = {
            "module": callable(self.module),
            "optimizer": callable(self.optimizer) or transforms,
            "loss": callable(self.loss),
        }
        for name in self.own:
            if not known[name]:
                found, remedy = f"a {type(getattr(self, name)).__name__}", f"see pl.Recipe, or leave {name} out"
                raise ValueError(explain(f"{OWN[name]} as {name} of a recipe", found, remedy))

    @property
    def own(self) -> tuple[str, ...]:
        """Which parts are the user's own."""
        return tuple(name for name in OWN if getattr(self, name) is not None)

    def stored(self) -> dict[str, Any]:
        """What a config says of it: parts of one's own by their names."""
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in OWN}
        return plain | {name: _named(getattr(self, name)) for name in self.own}


OWN = {"module": "a module of Flax", "optimizer": "a transformation of optax", "loss": "a function"}
"""Parts of a recipe that may be a user's own."""


def _named(part: Any) -> str:
    return str(getattr(part, "__name__", type(part).__name__))


LIKELIHOOD, KDE = ESTIMATORS = ("likelihood", "kde")
"""What networks of densities learn from simulated trials: the trials themselves, or kernel estimates."""


@dataclass(frozen=True, slots=True)
class SimulationRecipe:
    """Architecture, simulations and optimisation of networks that learn from simulated trials.

    Parameters
    ----------
    hidden : tuple of int
        Width of every hidden layer of the likelihood network.
    activation : str
        A key of `pymc_lan.networks.mlp.ACTIVATIONS`.
    chunks, sets, trials : int
        Chunks of simulations, parameter sets of each, and trials of each set: their product is the budget.
    passes : int
        How often each chunk is gone through.
    batch : int
        Parameter sets of an optimiser step.
    learning_rate : float
        Peak rate of SOAP; it falls to zero along half a cosine. When the patience is at an end, `cool_down` chunks go
        through the rest of that fall.
    clip : float
        Largest norm of the gradient.
    rounds : int
        From the second round on, half of the parameter sets lie where the error on held-out ones was largest.
    held_out : int
        Parameter sets on which nothing is trained.
    held_out_trials : int
        Trials of each of them.
    patience : int
        Chunks without a better held-out loss after which the training cools down and ends. While the rate is high the
        loss stands still because the steps are noisy, not because nothing is left to learn.
    estimator : {"likelihood", "kde"}
        Maximum likelihood on the trials, or least error against kernel estimates of the log density; see
        `pymc_lan.training.simulated.density` and `pymc_lan.training.simulated.kde`. Held-out sets are looked at in the
        same way by both.

    Raises
    ------
    ValueError
        For another estimator.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> recipe = pl.SimulationRecipe(chunks=24, hidden=(32, 32))  # for pl.train(..., simulation_recipe=recipe)
    >>> recipe.chunks * recipe.sets * recipe.trials
    25165824
    """

    hidden: tuple[int, ...] = (64, 64, 64)
    activation: str = "squareplus"
    chunks: int = 95
    sets: int = 4096
    trials: int = 256
    passes: int = 8
    batch: int = 32
    learning_rate: float = 5e-3
    clip: float = 1.0
    rounds: int = 1
    held_out: int = 1024
    held_out_trials: int = 1024
    patience: int = 24
    estimator: str = LIKELIHOOD

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise ValueError(unknown("estimator", self.estimator, ESTIMATORS))

    @property
    def cool_down(self) -> int:
        """Chunks in which the rate falls to zero when the patience is at an end."""
        return max(self.patience // 4, 1)

    @property
    def chunk_steps(self) -> int:
        """Optimiser steps of a chunk."""
        return max(self.sets * self.passes // self.batch, 1)


# Of responses alone: no times to learn, and sets of few trials teach the most.
RESPONSE_RECIPE = SimulationRecipe(
    hidden=(32, 32), chunks=32, sets=16_384, trials=64, batch=256, passes=8, held_out=4096, patience=12
)

LAN_RECIPE = Recipe(hidden=(24, 24), steps=60_000)
CHOICE_RECIPE = Recipe(hidden=(18, 18, 18), steps=80_000, learning_rate=5e-3)

# Densities that are solved for, not written down: more inputs, and labels that cost more than the training, of which
# 160 trials and as many deadlines come from each solution. Of six sets in ten more is asked than of a uniform draw.
# Three hidden layers at half of the usual rate are a third closer than two of the same FLOP.
ENDS = 0.6
PATH_LAN_RECIPE = Recipe(hidden=(30, 30, 30), steps=50_000, learning_rate=5e-3, pool=1_280_000, ends=ENDS)
PATH_CHOICE_RECIPE = replace(PATH_LAN_RECIPE, hidden=(44, 44, 44), steps=80_000)

# A drift that depends on position is not taken out in closed form: networks near the limit of 10,000 FLOP.
POSITIONAL_RECIPES = (
    replace(PATH_LAN_RECIPE, hidden=(42, 42, 42), steps=100_000),
    PATH_CHOICE_RECIPE,
)
# Many parameters are given, and may cost, more.
MANY = 6
MANY_RECIPES = (
    replace(PATH_LAN_RECIPE, hidden=(40, 40, 40), steps=60_000),
    replace(PATH_CHOICE_RECIPE, hidden=(64, 64, 64)),
)
# Many parameters of a drift or of boundaries bring ridges to posteriors, along which small errors of the mass add up.
MANY_PATH_RECIPES = (
    replace(MANY_RECIPES[0], hidden=(56, 56, 56), steps=120_000, pool=2_560_000),
    replace(MANY_RECIPES[1], pool=2_560_000),
)
# With more inputs the same width would cost more than 20,000 FLOP.
WIDE = 20
WIDE_CHOICE = (60, 60, 60)

# Of a race: one accumulator, whatever the number of them.
RACE_RECIPES = (
    Recipe(hidden=(32, 32), steps=20_000, pool=720_000),
    Recipe(hidden=(32, 32), steps=20_000, pool=720_000),
)

# Of answers in a task of perception: exact probabilities, which are smooth.
ANSWER_RECIPE = Recipe(hidden=(24, 24), steps=40_000, batch=1024, pool=80_000)

# Of the models of this release that are known by their simulators. The more parameters, the more sets of them; and sets
# of few trials are noisy, so that the held-out loss falls only when the rate does, at the end: no stopping before it.
SIMULATION_RECIPES = {
    "levy": SimulationRecipe(chunks=32, trials=128, batch=64, patience=32),
    "lca_3": SimulationRecipe(chunks=88, sets=8192, trials=64, batch=64, passes=4, patience=88),
}


def usual_simulation_recipe(spec: Model) -> SimulationRecipe:
    """The recipe of a model with a simulator where none is given."""
    return SIMULATION_RECIPES.get(spec.name, SimulationRecipe()) if spec.times else RESPONSE_RECIPE


@singledispatch
def usual_recipes(spec: Model) -> tuple[Recipe, Recipe]:
    """The recipes of a model's likelihood and choice/deadline networks where none are given."""
    found = f"{spec.name!r}, of which no density is known"
    raise ValueError(explain("a model whose networks learn from its density", found, "give a simulator's recipe"))


@usual_recipes.register
def _of_closed_forms(spec: ClosedDiffusion) -> tuple[Recipe, Recipe]:
    # Where the choice itself has no closed form, the network has as much to learn as where it is solved for.
    return LAN_RECIPE, PATH_CHOICE_RECIPE if spec.form.deadline.log_choice is None else CHOICE_RECIPE


@usual_recipes.register
def _of_mixtures(spec: MixtureDiffusion) -> tuple[Recipe, Recipe]:
    return (PATH_LAN_RECIPE, PATH_CHOICE_RECIPE) if len(spec.parameters) <= MANY else _narrow(spec, *MANY_RECIPES)


@usual_recipes.register
def _of_functions(spec: ModelSpec) -> tuple[Recipe, Recipe]:
    if len(spec.parameters) > MANY:
        return _narrow(spec, *MANY_PATH_RECIPES)
    return POSITIONAL_RECIPES if structure_of(spec).positional else (PATH_LAN_RECIPE, PATH_CHOICE_RECIPE)


@usual_recipes.register
def _of_races(spec: Race) -> tuple[Recipe, Recipe]:
    return RACE_RECIPES


def _narrow(spec: Model, lan: Recipe, choice: Recipe) -> tuple[Recipe, Recipe]:
    wide = require_views(spec).n_inputs["choice"] > WIDE
    return lan, replace(choice, hidden=WIDE_CHOICE) if wide else choice
