"""The formulas of `pymc_lan.numerics.undecided` with their derivatives, trial by trial. Compiled by numba."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pymc_lan.numerics.undecided import CROSSOVER, FOLDS, HARMONICS, INSTANT, LEAST, NODES, WEIGHTS

Float = NDArray[np.float64]


@njit(cache=True)
def undecided(u: Float, start: Float, mean: Float, variance: Float) -> tuple[Float, Float]:
    """Log probability that neither end of the unit interval has been reached, and its derivatives.

    Parameters
    ----------
    u, start, mean, variance : ndarray, shape (n,)
        As of `pymc_lan.numerics.undecided.Ends`.

    Returns
    -------
    value : ndarray, shape (n,)
    slopes : ndarray, shape (4, n)
        By each argument. Where `u` is next to 0 all are 0.

    Examples
    --------
    >>> value, slopes = undecided(*(np.array([x]) for x in (0.175, 0.5, 0.85, 0.175)))
    >>> value.round(4), slopes.shape
    (array([-0.8789]), (4, 1))
    """
    n = u.size
    value, slopes = np.zeros(n), np.zeros((4, n))
    stays = np.empty(3)
    waves = np.empty((3, HARMONICS))
    for i in range(n):
        if not u[i] > INSTANT:
            continue
        m, v = mean[i], variance[i]
        away, wide = max(m - 1, 0.0) + max(-m, 0.0), 2 * FOLDS * v
        low = max(0.0, m - math.sqrt(max(m - 1, 0.0) ** 2 + wide))
        high = min(1.0, m + math.sqrt(max(-m, 0.0) ** 2 + wide))
        if u[i] >= CROSSOVER:
            _prepare(u[i], start[i], waves)
        total = by_u = by_start = by_mean = by_variance = 0.0
        for j in range(NODES.size):
            y = low + (high - low) * NODES[j]
            left = (1 - high) + (high - low) * (1 - NODES[j])
            weight = WEIGHTS[j] * math.exp((away * away - (y - m) ** 2) / (2 * v))
            if u[i] < CROSSOVER:
                _by_images(u[i], start[i], y, left, stays)
            else:
                _by_sines(u[i], start[i], y, waves, stays)
            total += weight * stays[0]
            by_u += weight * stays[1]
            by_start += weight * stays[2]
            by_mean += weight * stays[0] * (y - m) / v
            by_variance += weight * stays[0] * ((y - m) ** 2 / v - 1) / (2 * v)
        total = max(total, LEAST)
        value[i] = math.log(total * (high - low)) - away * away / (2 * v) - 0.5 * math.log(2 * math.pi * v)
        slopes[0, i], slopes[1, i] = by_u / total, by_start / total
        slopes[2, i], slopes[3, i] = by_mean / total, by_variance / total
    return value, slopes


@njit(cache=True)
def _by_images(u: float, start: float, y: float, left: float, found: Float) -> None:
    """Probability that a bridge stays in the interval, and its derivatives by u and the start."""
    rest, f = 1 - start, 2 / u
    near, upper, lower = math.exp(-f * y * start), math.exp(-f * left * rest), math.exp(-f * (y + rest))
    above = math.exp(-f * (left + start))
    below, far = math.exp(-f * (1 + y) * (1 + start)), math.exp(-f * (1 + left) * (1 + rest))
    found[0] = -math.expm1(-f * y * start) + upper * math.expm1(-f * start * (1 + left))
    found[0] -= lower * math.expm1(-f * start * (2 + y)) + far
    # Of exp(-2 x / u) the derivative by u is x 2 / u^2 as much.
    found[1] = -near * y * start - upper * left * rest + lower * (y + rest) + above * (left + start)
    found[1] = (found[1] - below * (1 + y) * (1 + start) - far * (1 + left) * (1 + rest)) * f / u
    found[2] = f * (near * y - upper * left + lower - above + below * (1 + y) - far * (1 + left))


@njit(cache=True)
def _prepare(u: float, start: float, waves: Float) -> None:
    """What of each harmonic does not depend on the end."""
    for k in range(HARMONICS):
        rate = (k + 1) * math.pi
        fall = 2 * math.sqrt(2 * math.pi * u) * math.exp(-0.5 * rate * rate * u)
        waves[0, k] = fall * math.sin(rate * min(start, 1 - start)) * (1.0 if start < 0.5 or k % 2 == 0 else -1.0)
        waves[1, k] = -0.5 * rate * rate * waves[0, k]
        waves[2, k] = fall * rate * math.cos(rate * start)


@njit(cache=True)
def _by_sines(u: float, start: float, y: float, waves: Float, found: Float) -> None:
    """The probability to stay between the boundaries and its slopes, late: by eigenfunctions of the heat equation."""
    sine, twice_cosine = math.sin(math.pi * y), 2 * math.cos(math.pi * y)
    before, here, found[0], found[1], found[2] = 0.0, sine, 0.0, 0.0, 0.0
    for k in range(HARMONICS):
        for part in range(3):
            found[part] += waves[part, k] * here
        before, here = here, twice_cosine * here - before
    apart = y - start
    free = math.exp(apart * apart / (2 * u))
    found[0] *= free
    found[1] = found[1] * free + found[0] * (0.5 / u - apart * apart / (2 * u * u))
    found[2] = found[2] * free - found[0] * apart / u
