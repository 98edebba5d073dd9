"""Oddity tasks of two dimensions with their true probabilities: what the network learns from and is measured on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.perception import oddity_view
from pymc_lan.models.perception.percepts import Trial, as_trial
from pymc_lan.numerics.oddity import wrong_in_two_dimensions

Float = NDArray[np.float64]

# The ratios of variances that are drawn, of half of all tasks each, and how displacements crowd near 0.
WIDE, NARROW, CROWDED = 300.0, 8.0, 1.3
# Shares of tasks with a displacement along an axis, for either, and with none.
ON_AXIS, NOWHERE = 0.08, 0.03
# Of tasks as experiments have them: the largest ratio of an ellipse's axes, the largest ratio of both sizes, and the
# largest distance.
ELONGATED, UNLIKE, DISTANT = 5.0, 2.0, 5.0


class Answers(NamedTuple):
    """Tasks with the log odds of a right answer.

    Parameters
    ----------
    theta : dict of str to ndarray, shape (n,)
        The parameters of the task.
    log_odds : ndarray, shape (n,)
    """

    theta: dict[str, Float]
    log_odds: Float


def labelled(theta: dict[str, Float]) -> Answers:
    """Tasks with their labels, by quadrature."""
    t1, t2 = (oddity_view.half_reference(theta[name]) for name in ("k1", "k2"))
    wrong = wrong_in_two_dimensions(t1, t2, theta["d1"], theta["d2"])
    return Answers(theta, np.log1p(-wrong) - np.log(wrong))


def draw_everywhere(rng: np.random.Generator, n: int) -> dict[str, Float]:
    """Parameters of tasks that cover what the network is to know, its edges among them."""
    reach = np.log(np.where(rng.random(n) < 0.5, WIDE, NARROW))
    k1, k2 = np.exp(rng.uniform(-1, 1, (2, n)) * reach)
    radius = oddity_view.FAR * rng.random(n) ** CROWDED
    angle, where = rng.uniform(0, math.pi / 2, n), rng.random(n)
    angle = np.where(where < ON_AXIS, 0.0, np.where(where > 1 - ON_AXIS, math.pi / 2, angle))
    radius = np.where(rng.random(n) < NOWHERE, 0.0, radius)
    return {"d1": radius * np.cos(angle), "k1": k1, "d2": radius * np.sin(angle), "k2": k2}


def draw_studies(rng: np.random.Generator, n: int) -> Trial:
    """Tasks as an experiment may have them."""
    reference, comparison = _ellipses(rng, n), _ellipses(rng, n)
    comparison *= (np.exp(rng.uniform(-1, 1, n) * math.log(UNLIKE)) ** 2)[:, None, None]
    root = np.linalg.cholesky((2 * reference + comparison) / 3)
    displacement = np.einsum("nij,nj->ni", root, _directions(rng, n)) * rng.uniform(0, DISTANT, n)[:, None]
    return as_trial(displacement, reference, comparison)


def _directions(rng: np.random.Generator, n: int) -> Float:
    angle = rng.uniform(0, 2 * math.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _ellipses(rng: np.random.Generator, n: int) -> Float:
    """Covariances of determinant 1, with axes in ratios of 1 to `ELONGATED`."""
    axis, ratio = _directions(rng, n), rng.uniform(1, ELONGATED, n)[:, None, None]
    along = axis[:, :, None] * axis[:, None, :]
    found: Float = ratio * along + (np.eye(2) - along) / ratio
    return found
