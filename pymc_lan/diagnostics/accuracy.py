"""Accuracy of a network against exact labels, by one definition for tests, cards and the command line.

Parameters are uniform over the registered bounds, one trial each from the model by the exact sampler, 5 ms < rt - t
and rt < 20 s; an error is log f(network) - log f(exact).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.likelihood import Likelihood
from pymc_lan.network import Network
from pymc_lan.simulators import ddm_draws
from pymc_lan.training.proposals import draw_theta
from pymc_lan.transforms import NUMPY

Float = NDArray[np.float64]

EARLIEST, LATEST = 5e-3, 20.0
# Probabilities below this are not measured: no data set can tell them from zero.
SMALLEST_P = 1e-4
# Gradients smaller than this have no meaningful relative error.
SMALLEST_GRADIENT = 0.1


def accuracy(network: Network, *, n: int = 100_000, n_mass: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Measure a network against its model's closed form.

    Parameters
    ----------
    network : Network
    n : int
        Trials, one for each set of parameters.
    n_mass : int
        Parameter sets over which the density is integrated.
    seed : int

    Returns
    -------
    dict
        ``lan`` (mean, median, p95, p99 and max of the absolute error in nats, bias as the mean of minus the error),
        ``mass`` (p50 and p99 of its distance from 1), ``gradient`` (relative error by parameter: median, p99),
        ``choice`` (mean, p99 and max of the absolute error in both log probabilities; None without that network),
        ``flop`` (per trial and forward pass), and ``n``, ``n_mass``, ``seed``.

    Raises
    ------
    ValueError
        If the model has no closed form.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> report = pl.diagnostics.accuracy(pl.load_network("ddm"), n=2000, n_mass=20)
    >>> report["lan"]["mean"] < 0.002
    True
    """
    rng = np.random.default_rng(seed)
    exact, lan = Likelihood(network.spec), network.likelihood
    theta, rt, response = _draw_trials(network, rng, n)
    error = lan.log_density(NUMPY, rt, response, theta) - exact.log_density(NUMPY, rt, response, theta)
    return {
        "lan": _summary(error) | {"median": _round(np.median(np.abs(error))), "bias": _round(-error.mean())},
        "mass": _mass(network, rng, n_mass),
        "gradient": _gradient(network, exact, theta, rt, response),
        "choice": _choice(network, exact, rng, n) if network.choice is not None else None,
        "flop": {
            "lan": network.lan.flop,
            "choice": network.choice.flop if network.choice is not None else None,
        },
        "n": int(rt.size),
        "n_mass": n_mass,
        "seed": seed,
    }


def _draw_trials(network: Network, rng: np.random.Generator, n: int) -> tuple[dict[str, Float], Float, Float]:
    theta = draw_theta(network.spec, rng, n, with_t=True)
    d, response = ddm_draws(rng, theta["v"], theta["a"], theta["z"])
    rt = theta["t"] + d
    kept = (d > EARLIEST) & (rt < LATEST)
    return {name: x[kept] for name, x in theta.items()}, rt[kept], response[kept].astype(np.float64)


def _mass(network: Network, rng: np.random.Generator, n: int) -> dict[str, float]:
    """Integral of the density over decision times and both responses, less 1."""
    theta = {name: x[:, None] for name, x in draw_theta(network.spec, rng, n, with_t=True).items()}
    nodes, weights = np.polynomial.legendre.leggauss(60)
    # Composite Gauss-Legendre in log time: 20 panels of 60 nodes between 1e-8 s and 100 A^2, where 1e-200 is left.
    edges = np.linspace(np.log(1e-8), np.log(400 * theta["a"] ** 2), 21, axis=-1)
    half = np.diff(edges, axis=-1) / 2
    log_d = (edges[..., :-1] + half)[..., None] + half[..., None] * nodes
    d = np.exp(log_d).reshape(n, -1)
    mass = np.zeros(n)
    for response in (-1.0, 1.0):
        log_f = network.likelihood.log_density(NUMPY, theta["t"] + d, np.full_like(d, response), theta)
        mass += np.sum(np.exp(log_f) * d * (half[..., None] * weights).reshape(n, -1), axis=-1)
    off = np.abs(mass - 1)
    return {"p50": _round(np.median(off)), "p99": _round(np.quantile(off, 0.99))}


def _gradient(
    network: Network, exact: Likelihood, theta: dict[str, Float], rt: Float, response: Float
) -> dict[str, dict[str, float]]:
    """Relative error of the derivative of the log density with respect to each parameter, both by JAX in float64."""
    import jax

    from pymc_lan.networks import JAX, as_network

    def gradient(likelihood: Likelihood) -> dict[str, Any]:
        return jax.grad(lambda theta: likelihood.log_density(JAX, rt, response, theta).sum())(theta)

    with jax.enable_x64(True):
        found, truth = gradient(Likelihood(network.spec, as_network(network.lan))), gradient(exact)
    result = {}
    for name in network.spec.names:
        kept = np.abs(truth[name]) > SMALLEST_GRADIENT
        off = np.abs(found[name] - truth[name])[kept] / np.abs(truth[name])[kept]
        result[name] = {"median": _round(np.median(off)), "p99": _round(np.quantile(off, 0.99))}
    return result


def _choice(network: Network, exact: Likelihood, rng: np.random.Generator, n: int) -> dict[str, dict[str, float]]:
    """Errors of both log probabilities: a fifth of the trials without a deadline, the rest 0.1 to 5 s after t."""
    theta = draw_theta(network.spec, rng, n, with_t=True)
    deadline = np.where(rng.random(n) < 0.2, np.inf, theta["t"] + rng.uniform(0.1, 5.0, n))
    found, truth = (x.log_go(NUMPY, deadline, theta) for x in (network.likelihood, exact))
    result = {}
    for name, a, b in zip(("go", "nogo"), found, truth, strict=True):
        finite = np.isfinite(deadline) & (b > np.log(SMALLEST_P))
        result[name] = _summary((a - b)[b > np.log(SMALLEST_P)])
        result[f"{name}_deadline"] = _summary((a - b)[finite])
    return result


def _summary(error: Float) -> dict[str, float]:
    size = np.abs(error)
    quantiles = {f"p{q}": _round(np.quantile(size, q / 100)) for q in (95, 99)}
    return {"mean": _round(size.mean())} | quantiles | {"max": _round(size.max())}


def _round(x: Any) -> float:
    """Three significant digits: more would not repeat with another seed."""
    return float(f"{float(x):.3g}")
