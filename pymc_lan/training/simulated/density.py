"""A likelihood network by maximum likelihood on simulated trials: the baseline, then the network that corrects it.

With f the density, over all choices and times, the loss of a parameter set is ``integral of f - mean of log f over its
trials``. Its minimum is the true density, with the right mass: the first term is a penalty on the normaliser, so that
none has to be computed when the network is used (the loss of a Poisson process of trials; also known as generalised
Kullback-Leibler divergence). A share of trials without a response is then missing from the mass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from pymc_lan.models.model import seen
from pymc_lan.models.simulator.lognormal import PER_CHOICE, LogNormalView, as_seen, scaled
from pymc_lan.models.simulator.reference import Reference
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.networks.flax import JAX
from pymc_lan.training.simulated.histograms import Histograms
from pymc_lan.training.simulated.kde import Labelled
from pymc_lan.training.soap import soap

Float32 = NDArray[np.float32]

# Hidden units of the baseline, its steps and the peak of their rate, and parameter sets of a step.
BASELINE_UNITS, BASELINE_STEPS, BASELINE_RATE, BASELINE_BATCH = 16, 4000, 1e-2, 512
# A log density above this is no density of response times, but a network at the start of its training.
HIGHEST = 20.0
# Rise of the log density from one node to the next beyond which exponentials come to overflow.
STEEPEST = 30.0
# Nodes that are counted together when a density is compared with its trials.
GROUP = 4
# Part of a group's share p that varies as a count does, n times its variance being p (CHANCE - p): trials at its two
# edges count in part, by the mean of u^2 = 1 / 3.
CHANCE = 1 - 1 / (3 * GROUP)

Weights = dict[str, jax.Array]


def baseline_weights(spec: Simulated, n_inputs: int, seed: int, first: Histograms | Labelled) -> Weights:
    """Weights to start from: small ones, and for each choice a shape like that of all trials together."""
    rng = np.random.default_rng([seed, 3])
    moments = first.moments.astype(np.float64).mean(axis=0)
    share, total, squares = (moments.mean(axis=0, keepdims=True) if spec.symmetry is not None else moments).T
    some = np.maximum(share, 1e-6)
    location = total / some
    spread = np.sqrt(np.maximum(squares / some - location**2, 1e-4))
    inner = rng.normal(0, 1 / np.sqrt(n_inputs + 1), (BASELINE_UNITS, n_inputs + 1))
    outer = rng.normal(0, 0.1 / np.sqrt(BASELINE_UNITS), (_outputs(spec), BASELINE_UNITS + 1))
    outer[:, -1] = np.column_stack([location, np.log(spread), np.log(some)]).ravel()
    return {"inner": jnp.asarray(inner, jnp.float32), "outer": jnp.asarray(outer, jnp.float32)}


def as_reference(weights: dict[str, Any]) -> Reference:
    """The weights of a baseline as the frozen data that a model holds."""
    return Reference.from_lists({name: np.asarray(x).tolist() for name, x in weights.items()})


def _outputs(spec: Simulated) -> int:
    return PER_CHOICE * (1 if spec.symmetry is not None else len(spec.choices))


def baseline_loss(weights: Weights, inputs: jax.Array, moments: jax.Array) -> jax.Array:
    """Mean loss of log-normal densities and chances, for which sums of logarithms and their squares suffice.

    Inputs are of shape (n, views, p), moments of shape (n, choices, 3).
    """
    hidden = inputs @ weights["inner"][:, :-1].T + weights["inner"][:, -1]
    hidden = (hidden + jnp.sqrt(hidden**2 + 1)) / 2
    out = (hidden @ weights["outer"][:, :-1].T + weights["outer"][:, -1]).reshape(len(inputs), -1, PER_CHOICE)
    location, log_spread, logit = (out[..., k] for k in range(PER_CHOICE))
    share, total, squares = (moments[..., k] for k in range(3))
    # With a little more than the trials' own, so that equal ones have a spread.
    around = squares - 2 * location * total + (location**2 + 1e-4) * share
    cost = share * (log_spread - jax.nn.log_softmax(logit, axis=-1)) + around * jnp.exp(-2 * log_spread) / 2
    return jnp.mean(cost.sum(axis=-1))


def grid(batch: Histograms) -> jax.Array:
    """Nodes of each parameter set, shape (m, k)."""
    return jnp.asarray(batch.start[:, None] + batch.step[:, None] * jnp.arange(batch.weights.shape[-1]))


def poisson_loss(batch: Histograms, log_f: jax.Array) -> jax.Array:
    """Loss of each parameter set, from the log density at its nodes, shape (m, c, k)."""
    mass = batch.step * jnp.exp(log_f).sum(axis=(1, 2))
    return jnp.asarray(mass - (batch.weights * log_means(log_f)).sum(axis=(1, 2)))


def log_means(log_f: jax.Array) -> jax.Array:
    """Log of a density's mean under the triangle about each node, to fourth order.

    That is ``(f[k-1] + 10 f[k] + f[k+1]) / 12``.
    """
    ends = jnp.pad(log_f, [(0, 0)] * (log_f.ndim - 1) + [(1, 1)], mode="edge")
    rises = (jnp.minimum(end - log_f, STEEPEST) for end in (ends[..., :-2], ends[..., 2:]))
    return log_f + jnp.log((10 + sum(jnp.exp(x) for x in rises)) / 12)


def fit_baseline(spec: Simulated, first: Histograms | Labelled, seed: int) -> Weights:
    """Fit the baseline to the trials of one chunk.

    Parameters
    ----------
    spec : Simulated
    first : Histograms or Labelled
    seed : int

    Returns
    -------
    dict of str to array
    """
    theta = dict(zip(spec.names, jnp.asarray(first.theta).T, strict=True))
    inputs = jnp.stack([jnp.stack(view, axis=-1) for view in as_seen(JAX, spec, theta)], axis=1)
    moments, weights = jnp.asarray(first.moments), baseline_weights(spec, inputs.shape[-1], seed, first)
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), soap(optax.cosine_decay_schedule(BASELINE_RATE, BASELINE_STEPS))
    )
    loss, key = jax.grad(baseline_loss), jax.random.key(seed)

    @jax.jit
    def run(weights: Weights) -> Weights:
        def body(state: Any, i: jax.Array) -> tuple[Any, None]:
            weights, memory = state
            rows = jax.random.randint(jax.random.fold_in(key, i), (BASELINE_BATCH,), 0, len(inputs))
            updates, memory = optimizer.update(loss(weights, inputs[rows], moments[rows]), memory, weights)
            return (optax.apply_updates(weights, updates), memory), None

        return jax.lax.scan(body, (weights, optimizer.init(weights)), jnp.arange(BASELINE_STEPS))[0][0]

    return run(weights)


def log_density(
    spec: Simulated,
    network: Callable[[jax.Array], jax.Array],
    theta: jax.Array | Float32,
    log_d: jax.Array | Float32,
    codes: jax.Array,
) -> jax.Array:
    """Log density of log decision times, of shape (m, ...), from parameters of shape (m, p)."""
    columns = jnp.asarray(theta).T.reshape(len(spec.names), -1, *[1] * (log_d.ndim - 1))
    inputs, baseline = LogNormalView(spec).look(JAX, log_d, codes, dict(zip(spec.names, columns, strict=True)))
    return jnp.minimum(baseline + network(jnp.stack(jnp.broadcast_arrays(*inputs), axis=-1)), HIGHEST)


def density_loss(
    spec: Simulated, network: Callable[[jax.Array], jax.Array], batch: Histograms
) -> tuple[jax.Array, jax.Array]:
    """Loss of each parameter set, shape (m,), and the log density of log decision times at its nodes, (m, c, k)."""
    codes = jnp.asarray(spec.choices, jnp.float32)[:, None]
    log_f = log_density(spec, network, batch.theta, grid(batch)[:, None, :], codes)
    return poisson_loss(batch, log_f), log_f


def omission_loss(
    spec: Simulated, network: Callable[[jax.Array], jax.Array], batch: Histograms | Labelled
) -> jax.Array:
    """Loss of each parameter set's probability of no response, shape (m,): the binomial's."""
    theta = {name: batch.theta[:, i] for i, name in enumerate(spec.names)}
    logit = network(jnp.stack(scaled(JAX, spec, theta), axis=-1))
    return jax.nn.softplus(logit) - batch.omitted * logit


def label_loss(spec: Simulated, network: Callable[[jax.Array], jax.Array], batch: Labelled) -> jax.Array:
    """Mean Huber loss of each parameter set against its labels, shape (m,).

    Where a label is only an upper bound, a lower density is as good.
    """
    codes = jnp.asarray(spec.choices, jnp.float32)[batch.choice]
    error = log_density(spec, network, batch.theta, batch.log_d, codes) - batch.label
    error = jnp.where(batch.at_most, jnp.maximum(error, 0.0), error)
    return jnp.asarray(optax.losses.huber_loss(error).mean(axis=-1))


def divergence(batch: Histograms, log_f: jax.Array) -> jax.Array:
    """How far each set's trials are from its density, in nats, shape (m,).

    Half of Pearson's chi-square over groups of nodes, per trial, less what chance alone would bring: an unbiased
    estimate of the Kullback-Leibler divergence where that is small, and so sometimes negative.
    """
    n_groups = batch.weights.shape[-1] // GROUP
    groups = (*batch.weights.shape[:2], n_groups, GROUP)
    cut = n_groups * GROUP
    found = batch.weights[..., :cut].reshape(groups).sum(axis=-1)
    expected = batch.step[:, None, None] * jnp.exp(log_means(log_f)[..., :cut]).reshape(groups).sum(axis=-1)
    n = batch.n[:, None, None]
    # Groups of which hardly a trial was to be expected tell little and would count for much.
    floored = jnp.maximum(expected, 5 / n)
    excess = ((found - expected) ** 2 - expected * (CHANCE - expected) / n) / floored
    return jnp.asarray(excess.sum(axis=(1, 2)) / 2)


def empty_baseline(spec: Simulated) -> Weights:
    """Weights of the baseline's shape, to restore saved ones into."""
    return {
        "inner": jnp.zeros((BASELINE_UNITS, len(seen(spec)) + 1)),
        "outer": jnp.zeros((_outputs(spec), BASELINE_UNITS + 1)),
    }
