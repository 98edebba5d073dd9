"""The two things a network can be trained for: a residual log density, and go probabilities under a deadline.

A task draws labelled trials as flat float32 arrays and says what the network's output costs on them. All closed-form
parts are computed once, in float64, when the pool is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from pymc_lan.choice import CHOICE_TRANSFORMS
from pymc_lan.labels import density_labels, go_labels
from pymc_lan.spec import ModelSpec
from pymc_lan.training.proposals import draw_decision_times, draw_horizons, draw_theta
from pymc_lan.transforms import NUMPY, TRANSFORMS

Batch = Mapping[str, Any]

# Errors above half a nat are outliers, not information on the fit.
HUBER_DELTA = 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """What a network learns.

    Parameters
    ----------
    name : str
    n_inputs : int
    draw : callable
        ``(rng, n)`` to a dict of float32 arrays whose first axis is n; ``"inputs"`` is (n, n_inputs).
    loss : callable
        ``(output, batch)`` to the mean loss.
    """

    name: str
    n_inputs: int
    draw: Callable[[np.random.Generator, int], dict[str, NDArray[np.float32]]]
    loss: Callable[[jax.Array, Batch], jax.Array]


def lan_task(spec: ModelSpec) -> Task:
    """The residual log density of a model's decision times and responses.

    The weight ``clip(exp((y + 4) / 6), 0.1, 2)`` of a trial with log density y puts the bulk before the far tails.
    """
    transform = TRANSFORMS[spec.transform]

    def draw(rng: np.random.Generator, n: int) -> dict[str, NDArray[np.float32]]:
        theta = draw_theta(spec, rng, n)
        d = draw_decision_times(rng, theta["a"])
        response = np.where(rng.random(n) < 0.5, 1.0, -1.0)
        label, _ = density_labels(spec, theta, d, response)
        return {
            "inputs": _float32(transform.inputs(NUMPY, d, response, theta)).T,
            "residual": _float32(label - transform.baseline(NUMPY, d, response, theta)),
            "weight": _float32(np.clip(np.exp((label + 4) / 6), 0.1, 2)),
        }

    def loss(output: jax.Array, batch: Batch) -> jax.Array:
        return jnp.mean(batch["weight"] * optax.huber_loss(output, batch["residual"], delta=HUBER_DELTA))

    return Task("lan", transform.n_inputs, draw, loss)


def choice_task(spec: ModelSpec) -> Task:
    """The probability of a go response before a deadline, and of none, each in relative terms.

    The loss is on the two log probabilities, not on the logit, and fades where a probability is below 1e-4, where no
    data set can tell.
    """
    transform = CHOICE_TRANSFORMS[spec.transform]

    def draw(rng: np.random.Generator, n: int) -> dict[str, NDArray[np.float32]]:
        theta = draw_theta(spec, rng, n)
        horizon = draw_horizons(rng, n)
        log_go, log_rest, _ = go_labels(spec, theta, horizon)
        log_upper, log_lower = transform.log_choice(NUMPY, theta)
        named = {
            "baseline": transform.baseline(NUMPY, horizon, theta),
            "log_upper": log_upper,
            "log_lower": log_lower,
            "log_go": log_go,
            "log_rest": log_rest,
        }
        return {"inputs": _float32(transform.inputs(NUMPY, horizon, theta)).T} | {
            name: _float32(value) for name, value in named.items()
        }

    def cost(predicted: jax.Array, label: jax.Array) -> jax.Array:
        weight = jnp.clip(jnp.exp((label - math.log(1e-4)) / 2), 0.01, 1.0)
        return weight * optax.huber_loss(predicted, label, delta=HUBER_DELTA)

    def loss(output: jax.Array, batch: Batch) -> jax.Array:
        logit = batch["baseline"] + output
        log_go = batch["log_upper"] + jax.nn.log_sigmoid(logit)
        log_rest = jnp.logaddexp(batch["log_lower"], batch["log_upper"] + jax.nn.log_sigmoid(-logit))
        return jnp.mean(cost(log_go, batch["log_go"]) + cost(log_rest, batch["log_rest"]))

    return Task("choice", transform.n_inputs, draw, loss)


def _float32(x: Any) -> NDArray[np.float32]:
    return np.asarray(x, np.float32)
