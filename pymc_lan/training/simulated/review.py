"""What the held-out sets say of trained networks: their errors, and probabilities beside what was counted."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.simulator.lognormal import scaled
from pymc_lan.networks.flax import JAX, to_flax
from pymc_lan.training.simulated.learners import estimator_of, learner_of
from pymc_lan.training.simulated.loop import Fitted

Float = NDArray[np.float64]


class Review(NamedTuple):
    """Held-out parameter sets, m of them.

    Parameters
    ----------
    theta : ndarray, shape (m, p)
    errors : ndarray, shape (m,)
        How far each set's trials are from the network, in nats, less what chance brings: some are negative.
    outcomes : tuple of str
        Each choice and, where there are such trials, no response.
    predicted, found : ndarray, shape (m, outcomes)
        Probability of each outcome, and its share of the trials.
    n : ndarray, shape (m,)
        Trials of each set.
    """

    theta: Float
    errors: Float
    outcomes: tuple[str, ...]
    predicted: Float
    found: Float
    n: Float


def review(fitted: Fitted) -> Review:
    """Look at the held-out sets of a training again, with the weights that were kept.

    Parameters
    ----------
    fitted : Fitted

    Returns
    -------
    Review
    """
    spec, sets, learner = fitted.spec, fitted.held_out, learner_of(fitted.spec)
    networks = {"lan": fitted.lan} | ({"choice": fitted.choice} if fitted.choice is not None else {})
    with jax.enable_x64(False):
        sets = jax.tree.map(jnp.asarray, sets)
        modules = {name: to_flax(mlp) for name, mlp in networks.items()}
        _, log = estimator_of(spec).loss(spec, modules, sets)
        errors = learner.errors(sets, log)
        predicted, found = learner.probabilities(sets, log)
        if fitted.choice is not None:
            inputs = scaled(JAX, spec, dict(zip(spec.names, sets.theta.T, strict=True)))
            none = jax.nn.sigmoid(modules["choice"](jnp.stack(inputs, axis=-1)))
            predicted, found = (jnp.column_stack(pair) for pair in ((predicted, none), (found, sets.omitted)))
    outcomes = (*map(str, spec.choices), *(["none"] if fitted.choice is not None else []))
    theta, far, p, share, n = (np.asarray(x, np.float64) for x in (sets.theta, errors, predicted, found, sets.n))
    return Review(theta, far, outcomes, p, share, n)
