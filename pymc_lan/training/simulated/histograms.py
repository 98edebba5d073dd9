"""Simulated trials of a parameter set, reduced to counts in a few bins of the logarithm of the decision time.

Bins overlap: each trial is shared by the two nodes around it, in proportion to how near it is. What a density predicts
for the share of a node is its mean under that triangle, which the values at three nodes give to fourth order; and its
integral is the trapezoid rule on the same nodes, which converges faster than any power for a density that vanishes at
both ends. A step of the training then costs nodes, not trials, and loses next to nothing of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pymc_lan.models.model import Model
from pymc_lan.models.simulator.lognormal import SHORTEST

Float = NDArray[np.float64]

# Nodes for each parameter set, and how many of them at either end lie beyond the trials at least.
NODES, SPARE = 48, 2
# The grid goes on beyond the first and the last trial by a random part of these shares of their distance, so that the
# network also learns where there are no trials; one set in eight looks far.
NEAR, FAR, SHARE_FAR = (0.05, 0.3), (0.5, 2.0), 1 / 8
# The least width of a grid, in units of log time.
LEAST_WIDTH = 0.05


class Histograms(NamedTuple):
    """Trials of m parameter sets on k nodes, of c choices.

    Parameters
    ----------
    theta : ndarray, shape (m, p)
    start, step : ndarray, shape (m,)
        Nodes lie at ``start + step * arange(k)``, in log seconds of decision time.
    weights : ndarray, shape (m, c, k)
        Shares of the trials; they add up to that of trials with a response that is not immediate.
    moments : ndarray, shape (m, c, 3)
        Share of each choice, and its sums of log decision times and of their squares, over all trials.
    omitted : ndarray, shape (m,)
        Share of trials without a response.
    n : ndarray, shape (m,)
        Trials of each set.
    """

    theta: NDArray[np.float32]
    start: NDArray[np.float32]
    step: NDArray[np.float32]
    weights: NDArray[np.float32]
    moments: NDArray[np.float32]
    omitted: NDArray[np.float32]
    n: NDArray[np.float32]


@njit(cache=True)
def _fill(log_d: Float, which: NDArray[np.int64], start: Float, step: Float, weights: Float, moments: Float) -> None:
    m, n = log_d.shape
    for i in range(m):
        for j in range(n):
            c = which[i, j]
            if c < 0:
                continue
            x = log_d[i, j]
            moments[i, c, 0] += 1.0
            moments[i, c, 1] += x
            moments[i, c, 2] += x * x
            place = (x - start[i]) / step[i]
            k = min(max(math.floor(place), 0), weights.shape[2] - 2)
            weights[i, c, k] += k + 1 - place
            weights[i, c, k + 1] += place - k


def decisions(spec: Model, theta: Float, rt: Float, response: Float) -> tuple[Float, NDArray[np.int64]]:
    """Log decision times and which of the choices was made, both of shape (m, n).

    Decisions before `SHORTEST` are left out: what a density lacks in mass is their share. They and trials without a
    response are the choice -1, at log time 0.
    """
    shift = theta[:, [spec.names.index(spec.shift)]] if spec.shift is not None else 0.0
    d = rt - shift
    responded = np.isfinite(rt) & (d >= SHORTEST)
    which = np.full(rt.shape, -1, np.int64)
    for c, code in enumerate(spec.choices):
        which[responded & (response == code)] = c
    return np.log(np.where(responded, d, 1.0)), which


def reduce_trials(
    spec: Model, theta: Float, rt: Float, response: Float, rng: np.random.Generator, nodes: int = NODES
) -> Histograms:
    """Reduce the trials of each parameter set to weights on nodes.

    Parameters
    ----------
    spec : Model
    theta : ndarray, shape (m, p)
    rt, response : ndarray, shape (m, n)
        Checked trials; rt = inf where there was no response.
    rng : numpy.random.Generator
        Places the grids, so that a network does not get used to their nodes.
    nodes : int

    Returns
    -------
    Histograms
    """
    log_d, which = decisions(spec, theta, rt, response)
    start, step = _grids(log_d, which >= 0, rng, nodes)
    weights = np.zeros((len(theta), len(spec.choices), nodes))
    moments = np.zeros((len(theta), len(spec.choices), 3))
    _fill(log_d, which, start, step, weights, moments)
    n = rt.shape[1]
    arrays = (theta, start, step, weights / n, moments / n, 1 - np.isfinite(rt).mean(axis=1), np.full(len(theta), n))
    return Histograms(*(np.asarray(x, np.float32) for x in arrays))


def _grids(log_d: Float, responded: NDArray[np.bool_], rng: np.random.Generator, nodes: int) -> tuple[Float, Float]:
    """First node and distance of nodes for each set; the range of all sets for one without a response."""
    first = np.where(responded, log_d, np.inf).min(axis=1)
    last = np.where(responded, log_d, -np.inf).max(axis=1)
    some = np.isfinite(first)
    ends = (first[some].min(), last[some].max()) if some.any() else (math.log(1e-2), math.log(10.0))
    first, last = np.where(some, first, ends[0]), np.where(some, last, ends[1])
    room = np.maximum(last - first, LEAST_WIDTH)
    far = rng.random(len(room)) < SHARE_FAR
    before, after = (
        room * np.where(far, rng.uniform(*FAR, len(room)), rng.uniform(*NEAR, len(room))) for _ in range(2)
    )
    step = (room + before + after) / (nodes - 1 - 2 * SPARE)
    return first - before - SPARE * step, step
