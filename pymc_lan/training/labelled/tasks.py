"""The two things a network can be trained for: a residual log density, and go probabilities under a deadline.

A task draws labelled trials as flat float32 arrays and says what the network's output costs on them. All closed-form
parts are computed once, in float64, when the pool is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from pymc_lan.models.model import Model, require_labels, require_views
from pymc_lan.numerics.passage import NUMPY

Batch = Mapping[str, Any]
# ``(predicted, label)`` to a cost of each trial, or of all.
Loss = Callable[[Any, Any], Any]

# Errors above half a nat are outliers, not information on the fit.
HUBER_DELTA = 0.5

# Of log densities below NEVER no more is learned than that they are below CEILING: no data set holds such a trial.
NEVER, CEILING = -300.0, -16.0

# The smallest and the largest weight of a trial.
LEAST, MOST = 0.02, 2.0


@dataclass(frozen=True, slots=True)
class Task:
    """What a network learns.

    Parameters
    ----------
    name : str
    n_inputs : int
    draw : callable
        ``(rng, n)`` to a dict of arrays whose first axis is n, numbers in float32; ``"inputs"`` is (n, n_inputs).
    loss : callable
        ``(output, batch)`` to the mean loss.
    """

    name: str
    n_inputs: int
    draw: Callable[[np.random.Generator, int], dict[str, NDArray[Any]]]
    loss: Callable[[jax.Array, Batch], jax.Array]


def lan_task(spec: Model, farm: Executor | None = None, ends: float = 0.0, own: Loss | None = None) -> Task:
    """The residual log density of a model's decision times and responses.

    The weight ``clip(exp((y + 4) / 6), LEAST, MOST)`` of a trial with log density y puts the bulk before the far tails,
    unless the loss is the user's own. See `pymc_lan.training.recipes.Recipe` for ``ends``.
    """
    labels = require_labels(spec)
    view, _ = labels.views

    def draw(rng: np.random.Generator, n: int) -> dict[str, NDArray[Any]]:
        theta, d, response, label, _ = labels.training_trials(rng, n, farm, ends)
        # Such as a response when collapsing boundaries have all but met.
        unknown = ~(label > NEVER)
        label = np.where(unknown, CEILING, label)
        return {
            "inputs": _float32(view.inputs(NUMPY, d, response, theta)).T,
            "residual": _float32(label - view.baseline(NUMPY, d, response, theta)),
            "weight": _float32(np.clip(np.exp((label + 4) / 6), LEAST, MOST)),
            "unknown": unknown,
        } | ({} if own is None else {"label": _float32(label)})

    def loss(output: jax.Array, batch: Batch) -> jax.Array:
        if own is not None:
            predicted = batch["label"] - batch["residual"] + output
            # Where a label is only an upper bound, a lower density is as good.
            label = jnp.where(batch["unknown"], jnp.minimum(predicted, batch["label"]), batch["label"])
            return jnp.mean(own(predicted, label))
        error = output - batch["residual"]
        error = jnp.where(batch["unknown"], jnp.maximum(error, 0.0), error)
        return jnp.mean(batch["weight"] * optax.huber_loss(error, delta=HUBER_DELTA))

    return Task("lan", view.n_inputs, draw, loss)


def choice_task(spec: Model, farm: Executor | None = None, ends: float = 0.0, own: Loss | None = None) -> Task:
    """The probability of a go response before a deadline, and of none, each in relative terms.

    The loss is on the two log probabilities, not on the logit, and fades where a probability is below 1e-4, where no
    data set can tell, unless it is the user's own.
    """
    labels = require_labels(spec)
    _, view = labels.views

    def draw(rng: np.random.Generator, n: int) -> dict[str, NDArray[Any]]:
        theta, horizon, log_go, log_rest = labels.deadlines(rng, n, farm, ends=ends)
        inner = np.minimum(horizon, view.latest(NUMPY, theta))
        known = {}
        if view.log_choice is not None:
            known = dict(zip(KNOWN, view.log_choice(NUMPY, theta), strict=True))
        named = {"baseline": view.baseline(NUMPY, inner, theta), "log_go": log_go, "log_rest": log_rest} | known
        return {"inputs": _float32(view.inputs(NUMPY, inner, theta)).T} | {
            name: _float32(value) for name, value in named.items()
        }

    cost = partial(_cost, own)

    def loss(output: jax.Array, batch: Batch) -> jax.Array:
        logit = batch["baseline"] + output
        log_go, log_rest = jax.nn.log_sigmoid(logit), jax.nn.log_sigmoid(-logit)
        if view.log_choice is not None:
            log_upper, log_lower = (batch[name] for name in KNOWN)
            log_go, log_rest = log_upper + log_go, jnp.logaddexp(log_lower, log_upper + log_rest)
        return jnp.mean(cost(log_go, batch["log_go"]) + cost(log_rest, batch["log_rest"]))

    return Task("choice", view.n_inputs, draw, loss)


def survivor_task(spec: Model, farm: Executor | None = None, ends: float = 0.0, own: Loss | None = None) -> Task:
    """The probability of a response before a deadline, whichever it is, and of none, each in relative terms.

    The loss is that of `choice_task`.
    """
    labels, view = require_labels(spec), require_views(spec).survivor
    assert view is not None, spec

    def draw(rng: np.random.Generator, n: int) -> dict[str, NDArray[Any]]:
        theta, horizon, log_seen, log_none = labels.undecided(rng, n, farm, ends=ends)
        named = {"baseline": view.baseline(NUMPY, horizon, theta), "log_seen": log_seen, "log_none": log_none}
        inputs = _float32(view.inputs(NUMPY, horizon, theta)).T
        return {"inputs": inputs} | {name: _float32(value) for name, value in named.items()}

    def loss(output: jax.Array, batch: Batch) -> jax.Array:
        logit = batch["baseline"] + output
        seen = _cost(own, jax.nn.log_sigmoid(-logit), batch["log_seen"])
        return jnp.mean(seen + _cost(own, jax.nn.log_sigmoid(logit), batch["log_none"]))

    return Task("survivor", view.n_inputs, draw, loss)


def _cost(own: Loss | None, predicted: jax.Array, label: jax.Array) -> Any:
    """What an error of a log probability costs, where the label is trusted."""
    trusted = jnp.isfinite(label)
    label = jnp.where(trusted, label, predicted)
    if own is not None:
        return own(predicted, label)
    weight = jnp.clip(jnp.exp((label - math.log(1e-4)) / 2), 0.01, 1.0)
    return jnp.where(trusted, weight, 0.0) * optax.huber_loss(predicted, label, delta=HUBER_DELTA)


# Log probabilities of the choice itself, where they are known.
KNOWN = ("log_upper", "log_lower")


def _float32(x: Any) -> NDArray[np.float32]:
    return np.asarray(x, np.float32)
