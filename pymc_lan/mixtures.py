"""Densities of models whose non-decision time or starting point is uniform across trials, by quadrature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from numpy.typing import NDArray

from pymc_lan.choice import FOREVER
from pymc_lan.exact import passage_logpdf
from pymc_lan.spec import ModelSpec
from pymc_lan.spread import log_in_window, spread, unit_rule

Float = NDArray[np.float64]

# Points in time, even in the log of time over what is left of it, from where the density is exp(-40) of its scale.
N_POINTS, FLOOR, CEILING = 800, 1 / 80, 1e-4
# Nodes over the window and over starting points; a finer rule, at every so-manieth point, tells their error.
RULE, FINER, EVERY = (18, 9), (24, 12), 10
# How many standard deviations the nodes reach.
REACH = 8.0
# Log densities above this are those whose error is estimated.
RELEVANT = np.log(1e-5)
# Parameter sets that are done in one call.
CHUNK = 256


def mixture(spec: ModelSpec, theta: Mapping[str, Float]) -> tuple[Float, Float, Float, Float, Float]:
    """Densities at both boundaries.

    Parameters
    ----------
    spec : ModelSpec
        With constant drift and boundaries, and variability across trials.
    theta : mapping of str to ndarray, shape (n,)

    Returns
    -------
    times, weight, log_upper, log_lower : ndarray, shape (n, N_POINTS)
        Decision times from the mean non-decision time on, so the first are negative; and the seconds each stands for.
    error : ndarray, shape (n,)
        Estimated largest error of a log density where it is above 1e-5.
    """
    st, sz = (spread(spec, name, theta) for name in ("t", "z"))
    last = FOREVER * 4 * theta["a"] ** 2 + (0.0 if st is None else 2 * st)
    nearest = 2 * theta["a"] * (np.minimum(theta["z"], 1 - theta["z"]) - (0.0 if sz is None else sz))
    earliest = np.minimum(FLOOR * nearest**2, last / 100)
    first, end = np.log(earliest / (last - earliest)), np.log((1 - CEILING) / CEILING)
    step = ((end - first) / (N_POINTS - 1))[:, None]
    share = 1 / (1 + np.exp(-(first[:, None] + step * np.arange(N_POINTS))))
    times = last[:, None] * share - (0.0 if st is None else st[:, None])
    weight = last[:, None] * share * (1 - share) * step
    with jax.enable_x64(True):
        log_upper, log_lower = _in_chunks(_averages(spec, RULE), times, theta)
        finer = _in_chunks(_averages(spec, FINER), times[:, ::EVERY], theta)
    error = np.zeros(len(times))
    for log_f, better in zip((log_upper[:, ::EVERY], log_lower[:, ::EVERY]), finer, strict=True):
        error = np.maximum(error, np.where(better <= RELEVANT, 0.0, np.abs(log_f - better)).max(axis=1))
    return times, weight, log_upper, log_lower, np.where(np.isnan(error), np.inf, error)


def _in_chunks(function: Callable[..., Any], times: Float, theta: Mapping[str, Float]) -> tuple[Float, Float]:
    """Call a function of equally long arrays, the last chunk filled up, so that it is compiled once."""
    parts = []
    for begin in range(0, len(times), CHUNK):
        rows = np.minimum(np.arange(begin, begin + CHUNK), len(times) - 1)
        parts.append(np.asarray(function(times[rows], {name: x[rows] for name, x in theta.items()})))
    log_upper, log_lower = np.concatenate(parts, axis=1)[:, : len(times)]
    return log_upper, log_lower


@cache
def _averages(spec: ModelSpec, rule: tuple[int, int]) -> Callable[..., Any]:
    """The compiled mean over window and starting points, parameter set by parameter set."""
    windows, starts = (
        unit_rule(n if spread(spec, name, dict.fromkeys(spec.names, 1)) is not None else 1)
        for name, n in zip(("t", "z"), rule, strict=True)
    )
    window, start = (x.ravel() for x in jnp.meshgrid(*(jnp.asarray(x[0]) for x in (windows, starts)), indexing="ij"))
    weight = jnp.outer(jnp.asarray(windows[1]), jnp.asarray(starts[1])).ravel()

    def one(row: tuple[Any, Mapping[str, Any]]) -> Any:
        d, theta = row

        def average(response: float) -> Any:
            log_term = log_in_window(jnp, spec, d, response, theta, passage_logpdf, REACH)
            return logsumexp(jax.vmap(log_term)(window, start), axis=0, b=weight[:, None])

        return jnp.stack([average(1.0), average(-1.0)])

    return jax.jit(lambda times, theta: jnp.moveaxis(jax.lax.map(one, (times, dict(theta))), 1, 0))
