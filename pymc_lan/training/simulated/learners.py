"""What is learned from simulations, by kind of model: a density of choices and times, or probabilities of choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.models.model import require_views
from pymc_lan.models.simulator.kinds import SimulatedResponses, SimulatedTimes
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.training.recipes import KDE, LIKELIHOOD, SimulationRecipe
from pymc_lan.training.simulated.density import (
    as_reference,
    density_loss,
    divergence,
    empty_baseline,
    fit_baseline,
    label_loss,
    omission_loss,
)
from pymc_lan.training.simulated.histograms import reduce_trials
from pymc_lan.training.simulated.kde import label_trials
from pymc_lan.training.simulated.probabilities import count_responses, response_divergence, response_loss

Float = NDArray[np.float64]
Sizes = dict[str, tuple[int, ...]]
# What the trials of some parameter sets are reduced to: `Histograms`, `Labelled` or `Counts`. All have theta and n.
Sets = Any

# Width of the network of trials without a response.
CHOICE_HIDDEN = (32, 32)


class Estimator(NamedTuple):
    """What a step of the training does.

    Parameters
    ----------
    about : str
        What networks learn from, in words for a config and a card.
    reduce : callable
        ``(spec, theta, rt, response, rng)`` to what a step looks at.
    loss : callable
        ``(spec, networks, sets)`` to the loss of each set, and what `Learner.errors` needs.
    """

    about: str
    reduce: Callable[[Simulated, Float, Float, Float, np.random.Generator], Sets]
    loss: Callable[[Simulated, dict[str, Any], Sets], tuple[jax.Array, jax.Array]]


class Learner(NamedTuple):
    """How networks of one kind of model learn from simulated trials.

    Parameters
    ----------
    estimators : dict of str to Estimator
        By the name in a recipe. What is held out is always seen by that of maximum likelihood.
    sizes : callable
        ``(spec, recipe)`` to the widths of all layers of each network.
    errors : callable
        ``(sets, what the loss has found)`` to how far each set is from its trials, in nats.
    empty, begin : callable
        ``(spec)`` to the part of a run's state that is fitted before it begins, to restore a saved one into, and
        ``(spec, first, seed)`` to the fitted one, where ``first()`` simulates a chunk: a baseline, or nothing.
    complete : callable
        ``(spec, state)`` to the spec with its baseline.
    probabilities : callable
        ``(sets, what the loss has found)`` to the probability of each choice that the network says, and its share of
        the trials, both of shape (m, c).
    """

    estimators: dict[str, Estimator]
    sizes: Callable[[Simulated, SimulationRecipe], Sizes]
    errors: Callable[[Sets, jax.Array], jax.Array]
    empty: Callable[[Simulated], dict[str, Any]]
    begin: Callable[[Simulated, Callable[[], Sets], int], dict[str, Any]]
    complete: Callable[[Any, dict[str, Any]], Any]
    probabilities: Callable[[Sets, jax.Array], tuple[jax.Array, jax.Array]]


def _density_sizes(spec: Simulated, recipe: SimulationRecipe) -> Sizes:
    n_inputs = require_views(spec).n_inputs
    sizes = {"lan": (n_inputs["lan"], *recipe.hidden, 1)}
    return sizes | ({"choice": (n_inputs["choice"], *CHOICE_HIDDEN, 1)} if spec.omissions else {})


def _omissions(spec: Simulated, networks: dict[str, Any], batch: Sets) -> jax.Array | float:
    return omission_loss(spec, networks["choice"], batch) if spec.omissions else 0.0


def _density_loss(spec: Simulated, networks: dict[str, Any], batch: Sets) -> tuple[jax.Array, jax.Array]:
    loss, log_f = density_loss(spec, networks["lan"], batch)
    return loss + _omissions(spec, networks, batch), log_f


def _label_loss(spec: Simulated, networks: dict[str, Any], batch: Sets) -> tuple[jax.Array, jax.Array]:
    loss = label_loss(spec, networks["lan"], batch)
    return loss + _omissions(spec, networks, batch), loss


def _response_sizes(spec: Simulated, recipe: SimulationRecipe) -> Sizes:
    views = require_views(spec)
    return {"lan": (views.n_inputs["lan"], *recipe.hidden, views.n_outputs)}


@singledispatch
def learner_of(spec: Simulated) -> Learner:
    """How the networks of a model learn from simulated trials."""
    raise ValueError(explain("a model with a simulator", f"{spec.name!r}", "make one with pl.simulator_spec"))


@learner_of.register
def _of_times(spec: SimulatedTimes) -> Learner:
    return TIMES


@learner_of.register
def _of_responses(spec: SimulatedResponses) -> Learner:
    return RESPONSES


TIMES = Learner(
    {
        LIKELIHOOD: Estimator(
            "none: maximum likelihood on simulated trials, the density's integral by the trapezoid rule over log "
            "decision times",
            reduce_trials,
            _density_loss,
        ),
        KDE: Estimator(
            "kernel estimates of the log density of log decision times from the simulated trials of each parameter set",
            label_trials,
            _label_loss,
        ),
    },
    _density_sizes,
    divergence,
    lambda spec: {"baseline": empty_baseline(spec)},
    lambda spec, first, seed: {"baseline": fit_baseline(spec, first(), seed)},
    lambda spec, state: replace(spec, baseline=as_reference(state["baseline"])),
    lambda sets, log: (sets.step[:, None] * jnp.exp(log).sum(axis=-1), sets.moments[..., 0]),
)
RESPONSES = Learner(
    {
        LIKELIHOOD: Estimator(
            "none: maximum likelihood on the counts of simulated responses",
            lambda spec, theta, rt, response, rng: count_responses(spec, theta, response),
            response_loss,
        )
    },
    _response_sizes,
    response_divergence,
    lambda spec: {},
    lambda spec, first, seed: {},
    lambda spec, state: spec,
    lambda sets, log: (jnp.exp(log), sets.share),
)


def estimator_of(spec: Simulated, name: str = LIKELIHOOD) -> Estimator:
    """An estimator of a model.

    Raises
    ------
    ValueError
        If there is none of that name for this kind of model.
    """
    found = learner_of(spec).estimators
    if name not in found:
        expected = f"the estimator {' or '.join(map(repr, found))} for {spec.name!r}, a model of responses alone"
        raise ValueError(explain(expected, f"{name!r}", "leave estimator out: there are no times to smooth"))
    return found[name]
