"""When, and on which side, a diffusion leaves an interval in which it may be held for any time.

Its drift depends on position alone. It is followed on a grid, as the chain whose chances and mean times from each point
to the next are those of the diffusion, so the chances of either side and the mean time to leave are exact. Steps are
doubled until everybody has left; a trial is then drawn from the longest step down. Sums have positive terms only, so
what takes 1e30 s is drawn as well as what takes one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Cells of the grid. The rate of leaving without drift is right to (pi / CELLS)^2 / 12 = 2e-4 of itself.
CELLS = 64
# The shortest step, as a share of the mean time that the chain stays at a point.
SHORT = 1 / 64
# How often steps are doubled at most: what is still inside then never leaves.
DOUBLINGS = 200
# A chance to be still inside that is none; and what a sum is divided by at least.
NONE, TINY = 1e-14, 1e-300

# Where the drift is looked at in a cell, with the weights of integrals over the cell and up to each of these points.
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_POINTS, _WEIGHTS = (_POINTS + 1) / 2, _WEIGHTS / 2
_POWERS = np.arange(1, len(_POINTS) + 1)
_UPTO = _POINTS[:, None] ** _POWERS / _POWERS @ np.linalg.inv(np.vander(_POINTS, increasing=True))


def draw_exits(
    rng: np.random.Generator, drift: Callable[[Float], Float], half: float, position: Float
) -> tuple[Float, Float]:
    """Draw when diffusions with unit noise leave (-half, half), and on which side.

    Parameters
    ----------
    rng : numpy.random.Generator
    drift : callable
        Of an array of positions, elementwise.
    half : float
        Half the interval's width.
    position : ndarray, shape (n,)
        Where they are.

    Returns
    -------
    time, side : ndarray, shape (n,)
        Seconds from now, inf for never; +1 above, -1 below.

    Examples
    --------
    >>> import numpy as np
    >>> time, side = draw_exits(np.random.default_rng(1), lambda x: 0 * x, 1.0, np.zeros(1000))
    >>> bool(abs(time.mean() - 1) < 0.1), bool(abs(side.mean()) < 0.1)
    (True, True)
    """
    up, down = _rates(drift, half)
    step = SHORT / (up + down).max()
    leaves = np.zeros(CELLS - 1)
    leaves[0], leaves[-1] = step * down[0], step * up[-1]
    inside, left = _doubled(
        np.diag(1 - step * (up + down)) + step * (np.diag(up[:-1], 1) + np.diag(down[1:], -1)), leaves
    )
    # Between two points it is at either with such a chance that its mean stays.
    place = (np.clip(position, -half, half) + half) * CELLS / (2 * half) + rng.random(position.size)
    node = place.astype(np.intp)
    time, side = np.zeros(position.size), np.where(node > CELLS // 2, 1.0, -1.0)
    within = (node > 0) & (node < CELLS)
    steps, last = _draw(rng, inside, left, node[within] - 1)
    time[within], side[within] = step * steps, np.where(last > 0, 1.0, -1.0)
    return time, side


def _rates(drift: Callable[[Float], Float], half: float) -> tuple[Float, Float]:
    """Rates at which the chain goes up and down from each point inside.

    By scale function and speed measure (Karlin & Taylor 1981, A Second Course in Stochastic Processes, chapter 15.3),
    both relative to their values at the left end of a cell.
    """
    h = 2 * half / CELLS
    ends = -half + h * np.arange(CELLS)
    pull = -2 * h * np.asarray(drift(ends[:, None] + h * _POINTS), np.float64)
    scale = np.exp(pull @ _UPTO.T)
    width = h * scale @ _WEIGHTS
    share = h * (scale @ _UPTO.T) / width[:, None]
    speed = 2 * h * _WEIGHTS / scale
    # Time in the cells on either side of a point before the next one is reached; `rise` is a cell's factor of scale.
    rise = np.exp(pull @ _WEIGHTS)[:-1]
    stay = ((1 - share) * speed).sum(axis=1)[1:] + rise * (share * speed).sum(axis=1)[:-1]
    return 1 / (stay * width[1:]), rise / (stay * width[:-1])


def _doubled(chain: Float, leaves: Float) -> tuple[Float, Float]:
    """Chances to be at each point after 1, 2, 4, ... steps, and to have left by then, from each point."""
    inside, left = [chain], [leaves]
    while left[-1].min() < 1 - NONE and len(inside) < DOUBLINGS:
        left.append(np.minimum(left[-1] + inside[-1] @ left[-1], 1.0))
        there = inside[-1] @ inside[-1]
        # Rounding would make or lose a share of those inside with every doubling.
        inside.append(there * ((1 - left[-1]) / np.maximum(there.sum(axis=1), TINY))[:, None])
    return np.array(inside), np.array(left)


@njit(cache=True)
def _draw(
    rng: np.random.Generator, inside: Float, left: Float, node: NDArray[np.intp]
) -> tuple[Float, NDArray[np.intp]]:
    """Number of steps, a fraction of the last one among them, and the point from which each trial leaves."""
    steps, last = np.empty(node.size), node.copy()
    longest, points = left.shape
    for trial in range(node.size):
        i, before = node[trial], 0.0
        if rng.random() > left[longest - 1, i]:
            steps[trial] = np.inf
            continue
        for level in range(longest - 1, 0, -1):
            # It leaves within 2^level steps: in the first half of them, or from somewhere else in the second.
            chance = rng.random() * left[level, i] - left[level - 1, i]
            if chance >= 0:
                before += 2.0 ** (level - 1)
                here = i
                for k in range(points):
                    weight = inside[level - 1, here, k] * left[level - 1, k]
                    if weight > 0:
                        i = k
                        chance -= weight
                        if chance < 0:
                            break
        steps[trial], last[trial] = before + rng.random(), i
    return steps, last
