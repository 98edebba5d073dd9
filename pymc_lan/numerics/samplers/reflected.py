"""Paths of reflected accumulators, in steps that are as good as exact.

A step is so short, `STEP` of the time in which noise crosses from the wall to the boundary, that a path which meets
both within one has a chance below exp(-1 / (2 STEP)). So each is done exactly: reflection from the least point of the
Brownian bridge between the ends of a step (Lepingle 1995, Mathematics and Computers in Simulation 38, 119-126), and the
passage through the boundary from the bridge's chance to cross a straight line, and the time of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pymc_lan.numerics.passage import CLOSED
from pymc_lan.numerics.samplers.inverse_gaussian import inverse_gaussian

Float = NDArray[np.float64]

# The square of the distance from wall to boundary is the unit of a step's length.
STEP = 0.02
# Later, in units of a^2, an accumulator whose boundary runs away has not finished, and never will.
NEVER = 1e6
# From this time on, in the same units, who has lost a race need not finish.
LATE = 20.0


def draw_reflected(rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
    """Finishing times of accumulators, independent of each other.

    Parameters
    ----------
    rng : numpy.random.Generator
    thetas : sequence of mapping of str to ndarray, shape (n,)
        v, a, z and, of boundaries that are not constant, theta of each accumulator.

    Returns
    -------
    ndarray, shape (accumulators, n)
        Seconds; inf for never, and of one that has not finished long after another of the same trial has.
    """
    a, v, z = (np.concatenate([theta[name] for theta in thetas]) for name in "avz")
    angle = np.concatenate([theta.get("theta", np.zeros_like(theta["a"])) for theta in thetas])
    return (a * a * _finish(rng, v * a, a * np.tan(angle), z, len(thetas))).reshape(len(thetas), -1)


def _finish(rng: np.random.Generator, v: Float, s: Float, start: Float, accumulators: int) -> Float:
    """Finishing times in units of a^2, all paths going on side by side; those of an accumulator are neighbours."""
    trials = v.size // accumulators
    finished = np.full(v.shape, np.inf)
    running, x, u = np.arange(v.size), start.copy(), np.zeros(v.shape)
    while running.size:
        here = 1 - s * u
        length = STEP * here * here
        there = here - s * length
        free = x + v * length + np.sqrt(length) * rng.standard_normal(x.size)
        least = 0.5 * (x + free - np.sqrt((free - x) ** 2 + 2 * length * rng.standard_exponential(x.size)))
        moved = free + np.maximum(0.0, -least)
        before, after = here - x, there - moved
        crossed = (after <= 0) | (2 * before * after < length * rng.standard_exponential(x.size))
        finished[running[crossed]] = u[crossed] + _crossing(rng, before[crossed], after[crossed], length[crossed])
        u = u + length
        closed = ~crossed & (there < CLOSED)
        finished[running[closed]] = u[closed]
        on = ~(crossed | closed) & (u < NEVER)
        if (u > LATE).any():
            first = finished.reshape(accumulators, trials).min(axis=0)
            on &= (u < LATE) | np.isinf(first[running % trials])
        running, x, u, v, s = running[on], moved[on], u[on], v[on], s[on]
    return finished


def _crossing(rng: np.random.Generator, before: Float, after: Float, length: Float) -> Float:
    """When a bridge that crosses a line does so first, given its distances from the line at both ends of a step.

    ``time / (length - time)`` is an inverse Gaussian variate of mean before / abs(after) and shape before^2 / length.
    """
    after = np.maximum(np.abs(after), 1e-9)
    q = rng.chisquare(1, before.size) * length / (2 * before * after)
    odds = inverse_gaussian(rng, before / after, q)
    return length * odds / (1 + odds)
