"""Modes of a log density, several starts at once: Newton's method, with a Hessian from differences of the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

STEPS = 60
# A start has arrived when a whole step would raise the log density by less: it is within a twentieth of a standard
# deviation.
NEAR = 1e-3
# The longest step along a value, in its own units; unconstrained values are of the order of 1.
FAR = 2.0
# Differences of gradients span this many standard deviations of a value, at first and at most.
SPAN, FIRST = 0.05, 0.01
# The least curvature, in squared units: a standard deviation of 10.
FLAT = 1e-2
# What a step that leads down is shortened to, and the shortest share of one.
SHORTER, SHORTEST = 0.25, 1e-4


class Modes(NamedTuple):
    """Where starts arrived: points (k, n), log densities (k,), and Hessians of minus the log density (k, n, n)."""

    points: Float
    values: Float
    hessians: Float


def climb(slope: Callable[[Float], tuple[Float, Float]], starts: Float) -> Modes:
    """Climb from each start.

    Parameters
    ----------
    slope : callable
        From rows of values to log densities (n,) and gradients (n, n_values).
    starts : ndarray of shape (k, n_values)

    Returns
    -------
    Modes

    Examples
    --------
    >>> import numpy as np
    >>> found = climb(lambda x: (-((x - 3) ** 2).sum(1), -2 * (x - 3)), np.zeros((1, 2)))
    >>> found.points.round(3), found.hessians.round(3).tolist()
    (array([[3., 3.]]), [[[2.0, 0.0], [0.0, 2.0]]])
    """
    x, size = starts.copy(), np.full(starts.shape, FIRST)
    value, gradient, hessian = _around(slope, x, size)
    share, going = np.ones(len(x)), np.isfinite(value)
    for _ in range(STEPS):
        if not going.any():
            break
        at = np.flatnonzero(going)
        bend, directions = np.linalg.eigh(hessian[at])
        along = np.einsum("kji,kj->ki", directions, gradient[at]) / np.maximum(np.abs(bend), FLAT)
        step = np.einsum("kij,kj->ki", directions, along)
        arrived = (step * gradient[at]).sum(axis=1) < NEAR
        step *= np.minimum(share[at], FAR / np.maximum(np.abs(step).max(axis=1), 1e-300))[:, None]
        there = _around(slope, x[at] + step, size[at])
        better = ~arrived & (there[0] > value[at]) & np.isfinite(there[1]).all(axis=1)
        moved = at[better]
        x[moved] += step[better]
        value[moved], gradient[moved], hessian[moved] = (each[better] for each in there)
        size[moved] = _span(hessian[moved])
        share[at] = np.where(better, np.minimum(1.0, share[at] / SHORTER), share[at] * SHORTER)
        going[at] = ~arrived & (share[at] > SHORTEST)
    return Modes(x, value, hessian)


def _around(slope: Callable[[Float], tuple[Float, Float]], x: Float, size: Float) -> tuple[Float, Float, Float]:
    """Log density, gradient and Hessian of minus the log density at each row."""
    k, n = x.shape
    moves = np.concatenate([np.zeros((1, n)), np.eye(n), -np.eye(n)])
    points = x[:, None] + moves * size[:, None]
    values, slopes = slope(points.reshape(-1, n))
    value, slopes = values.reshape(k, -1)[:, 0], slopes.reshape(k, 2 * n + 1, n)
    found = (slopes[:, n + 1 :] - slopes[:, 1 : n + 1]) / (2 * size[:, :, None])
    # Where a neighbour has no slope, nothing is known of how it bends there.
    found = np.where(np.isfinite(found), found, np.eye(n))
    return np.where(np.isfinite(value), value, -np.inf), slopes[:, 0], (found + found.transpose(0, 2, 1)) / 2


def _span(hessian: Float) -> Float:
    bend = np.abs(np.diagonal(hessian, axis1=1, axis2=2))
    return np.clip(SPAN / np.sqrt(np.maximum(bend, FLAT)), 1e-4, FIRST / SPAN)
