"""Labelled finishing times of single accumulators: what the networks of races learn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.catalogue import get_model
from pymc_lan.models.race.reflected_labels import N_POINTS, Solution, solve_accumulators

Float = NDArray[np.float64]

# The race whose bounds hold those of all: a network learns one accumulator, whatever the race.
WIDEST = "race_no_bias_angle_3"
# Share of accumulators whose boundary is constant.
CONSTANT = 0.4
# Log survivors below this are not trusted.
SMALLEST = -12.0


class Labelled(NamedTuple):
    """Points of solutions.

    Parameters
    ----------
    theta : dict of str to ndarray, shape (n,)
        v, a, z and theta of one accumulator.
    times : ndarray, shape (n,)
        Seconds.
    log_density, log_finished, log_survivor : ndarray, shape (n,)
        NaN or -inf where there is no trusted label.
    """

    theta: dict[str, Float]
    times: Float
    log_density: Float
    log_finished: Float
    log_survivor: Float


# The solutions of the latest draw, by what was drawn: both networks learn from the same.
_LATEST: dict[bytes, Solution] = {}


def draw_accumulators(rng: np.random.Generator, n: int) -> dict[str, Float]:
    """Draw the parameters of single accumulators over the bounds of all races, some with a constant boundary.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int

    Returns
    -------
    dict of str to ndarray, shape (n,)
    """
    spec = get_model(WIDEST)
    names = {"v": "v0", "a": "a", "z": "z", "theta": "theta"}
    theta = {name: rng.uniform(*spec.parameter(numbered).bounds, n) for name, numbered in names.items()}
    theta["theta"] = np.where(rng.random(n) < CONSTANT, 0.0, theta["theta"])
    return theta


def labelled_points(rng: np.random.Generator, n: int) -> Labelled:
    """Draw labelled points: every point of as many solutions as it takes, from the first times to the last.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int

    Returns
    -------
    Labelled
    """
    theta = draw_accumulators(rng, -(-n // N_POINTS))
    key = np.column_stack(list(theta.values())).tobytes()
    if key not in _LATEST:
        _LATEST.clear()
        _LATEST[key] = solve_accumulators(theta)
    found = _LATEST[key]
    # Late, a survivor is what the sum of all that came before has left of one.
    seen = np.where(found.log_survivor > SMALLEST, 0.0, np.nan)
    columns = (found.times, found.log_density, found.log_finished, found.log_survivor + seen)
    points = (x.ravel()[:n] for x in columns)
    return Labelled({name: np.repeat(x, N_POINTS)[:n] for name, x in theta.items()}, *points)
