"""A network of the probabilities of choices, by maximum likelihood on how often each was made.

The loss of a parameter set is the cross-entropy of the shares of its trials, which is least at their probabilities. A
set costs the same whether it has one trial or a million, so many sets of few trials teach more than the reverse.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.simulator.logits import LogitViews
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.networks.flax import JAX

Float = NDArray[np.float64]


class Counts(NamedTuple):
    """Responses of m parameter sets, of c choices.

    Parameters
    ----------
    theta : ndarray, shape (m, p)
    share : ndarray, shape (m, c)
        Of the trials, by choice.
    n : ndarray, shape (m,)
        Trials of each set.
    """

    theta: NDArray[np.float32]
    share: NDArray[np.float32]
    n: NDArray[np.float32]


def count_responses(spec: Simulated, theta: Float, response: Float) -> Counts:
    """Count the responses of each parameter set.

    Parameters
    ----------
    spec : Simulated
    theta : ndarray, shape (m, p)
    response : ndarray, shape (m, n)

    Returns
    -------
    Counts
    """
    share = np.stack([np.mean(response == code, axis=1) for code in spec.choices], axis=1)
    arrays = (theta, share, np.full(len(theta), response.shape[1]))
    return Counts(*(np.asarray(x, np.float32) for x in arrays))


def response_loss(spec: Simulated, networks: dict[str, Any], batch: Counts) -> tuple[jax.Array, jax.Array]:
    """Loss of each parameter set, shape (m,), and the log probabilities of its choices, (m, c)."""

    def network(inputs: tuple[Any, ...]) -> list[jax.Array]:
        outputs = networks["lan"].outputs(jnp.stack(inputs, axis=-1))
        return [outputs[..., k] for k in range(outputs.shape[-1])]

    theta = {name: batch.theta[:, i] for i, name in enumerate(spec.names)}
    log_p = jnp.stack(LogitViews(spec).log_probabilities(JAX, network, theta), axis=-1)
    return jnp.asarray(-(batch.share * log_p).sum(axis=-1)), log_p


def response_divergence(batch: Counts, log_p: jax.Array) -> jax.Array:
    """How far each set's responses are from their probabilities, in nats, shape (m,).

    Half of Pearson's chi-square per trial, less what chance alone would bring, as `pymc_lan.training.simulated.density`
    has it.
    """
    p, n = jnp.exp(log_p), batch.n[:, None]
    excess = ((batch.share - p) ** 2 - p * (1 - p) / n) / jnp.maximum(p, 5 / n)
    return jnp.asarray(excess.sum(axis=-1) / 2)
