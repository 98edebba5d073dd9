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

from pymc_lan.models.diffusion.closed_deadline import FOREVER
from pymc_lan.models.diffusion.mixture_view import log_in_window, unit_rule
from pymc_lan.models.diffusion.solution import Solution, kept
from pymc_lan.models.model import Model, spread
from pymc_lan.numerics.even import even_points
from pymc_lan.numerics.integrals import running_integral
from pymc_lan.numerics.wiener import passage_logpdf

Float = NDArray[np.float64]

# Solutions whose estimated error is larger are left out: fewer than one in a hundred, in the corners too.
TOLERANCE = 3e-4
# Of the points in time, one in so many is handed out.
HANDED_OUT = 2
# Points in time, even in the log of time over what is left of it, from where the density is exp(-40) of its scale.
N_POINTS, FLOOR, CEILING = 800, 1 / 80, 1e-4
# Nodes over the window and over starting points; a finer rule, at one point in so many, tells their error.
RULE, FINER, EVERY = (24, 9), (32, 12), 10
# How many standard deviations the nodes reach.
REACH = 8.0
# Log densities above this are those whose error is estimated.
RELEVANT = np.log(1e-5)
# Parameter sets that are done in one call.
CHUNK = 256
# Trials that are done in one call, node by node.
TRIALS = 2048


def mixture(model: Model, theta: Mapping[str, Float]) -> tuple[Float, Float, Float, Float, Float]:
    """Densities at both boundaries.

    Parameters
    ----------
    model : Model
        With constant drift and boundaries, and variability across trials.
    theta : mapping of str to ndarray, shape (n,)

    Returns
    -------
    times, weight, log_upper, log_lower : ndarray, shape (n, N_POINTS)
        Decision times from the mean non-decision time on, so the first are negative; and the seconds each stands for.
    error : ndarray, shape (n,)
        Estimated largest error of a log density where it is above 1e-5.
    """
    st, sz = (spread(model, name, theta) for name in ("t", "z"))
    last = FOREVER * 4 * theta["a"] ** 2 + (0.0 if st is None else 2 * st)
    nearest = 2 * theta["a"] * (np.minimum(theta["z"], 1 - theta["z"]) - (0.0 if sz is None else sz))
    earliest = np.minimum(FLOOR * nearest**2, last / 100)
    _, step, share = even_points(earliest[:, None], last[:, None], N_POINTS, CEILING)
    times = last[:, None] * share - (0.0 if st is None else st[:, None])
    weight = last[:, None] * share * (1 - share) * step
    with jax.enable_x64(True):
        log_upper, log_lower = _in_chunks(_averages(model, RULE), times, theta)
        finer = _in_chunks(_averages(model, FINER), times[:, ::EVERY], theta)
    error = np.zeros(len(times))
    for log_f, better in zip((log_upper[:, ::EVERY], log_lower[:, ::EVERY]), finer, strict=True):
        error = np.maximum(error, np.where(better <= RELEVANT, 0.0, np.abs(log_f - better)).max(axis=1))
    return times, weight, log_upper, log_lower, np.where(np.isnan(error), np.inf, error)


def solve_mixture(model: Model, theta: Mapping[str, Float], tolerance: float) -> Solution:
    """Solutions whose estimated error is below a tolerance: `mixture` with its distribution functions."""
    times, weight, log_upper, log_lower, error = mixture(model, theta)
    masses = (running_integral(np.exp(x) * weight) for x in (log_upper, log_lower))
    # The sums need all points, the networks do not.
    every = [x[:, ::HANDED_OUT] for x in (times, log_upper, log_lower, *masses, weight * HANDED_OUT)]
    return kept(theta, np.stack(every), error, tolerance, {N_POINTS: int((error < tolerance).sum())})


def _in_chunks(function: Callable[..., Any], times: Float, theta: Mapping[str, Float]) -> tuple[Float, Float]:
    """Call a function of equally long arrays, the last chunk filled up, so that it is compiled once."""
    # Few sets fill up to few: to the next power of two.
    parts, size = [], min(CHUNK, 1 << (len(times) - 1).bit_length())
    for begin in range(0, len(times), size):
        rows = np.minimum(np.arange(begin, begin + size), len(times) - 1)
        parts.append(np.asarray(function(times[rows], {name: x[rows] for name, x in theta.items()})))
    log_upper, log_lower = np.concatenate(parts, axis=1)[:, : len(times)]
    return log_upper, log_lower


@cache
def _averages(model: Model, rule: tuple[int, int]) -> Callable[..., Any]:
    """The compiled mean over window and starting points, parameter set by parameter set."""
    window, start, weight = _nodes(model, rule)

    def one(row: tuple[Any, Mapping[str, Any]]) -> Any:
        d, theta = row

        def average(response: float) -> Any:
            log_term = log_in_window(jnp, model, d, response, theta, passage_logpdf, REACH)
            return logsumexp(jax.vmap(log_term)(window, start), axis=0, b=weight[:, None])

        return jnp.stack([average(1.0), average(-1.0)])

    return jax.jit(lambda times, theta: jnp.moveaxis(jax.lax.map(one, (times, dict(theta))), 1, 0))


def mixture_logpdf(model: Model, theta: Mapping[str, Float], d: Float, response: Float) -> Float:
    """Log densities of given trials, by the finer rule.

    Parameters
    ----------
    model : Model
        With constant drift and boundaries, and variability across trials.
    theta : mapping of str to ndarray, shape (n,)
    d : ndarray, shape (n,)
        Decision times from the mean non-decision time on, so that they may be negative.
    response : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
        NaN before the time from which `mixture` knows the density.
    """
    st, sz = (spread(model, name, theta) for name in ("t", "z"))
    w = np.where(response > 0, 1 - theta["z"], theta["z"]) - (0.0 if sz is None else sz)
    known = d + (0.0 if st is None else st) > FLOOR * (2 * theta["a"] * w) ** 2
    result = np.full(d.size, np.nan)
    function, where = _trials(model), np.flatnonzero(known)
    with jax.enable_x64(True):
        for begin in range(0, where.size, TRIALS):
            rows = where[np.minimum(np.arange(begin, begin + TRIALS), where.size - 1)]
            result[rows] = function(d[rows], response[rows], {name: x[rows] for name, x in theta.items()})
    return result


@cache
def _trials(model: Model) -> Callable[..., Any]:
    """The compiled mean over window and starting points, node by node for all trials."""
    window, start, weight = _nodes(model, FINER)

    def average(d: Any, response: Any, theta: Mapping[str, Any]) -> Any:
        log_term = log_in_window(jnp, model, d, response, theta, passage_logpdf, REACH)
        terms = jax.lax.map(lambda node: log_term(*node), (window, start))
        return logsumexp(terms, axis=0, b=weight[:, None])

    return jax.jit(average)


def _nodes(model: Model, rule: tuple[int, int]) -> tuple[Any, Any, Any]:
    """Nodes over the window and over starting points, all pairs of them, and their weights."""
    windows, starts = (
        unit_rule(n if spread(model, name, dict.fromkeys(model.names, 1)) is not None else 1)
        for name, n in zip(("t", "z"), rule, strict=True)
    )
    window, start = (x.ravel() for x in np.meshgrid(windows[0], starts[0], indexing="ij"))
    return window, start, np.outer(windows[1], starts[1]).ravel()
