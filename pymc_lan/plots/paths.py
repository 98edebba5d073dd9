"""Simulated paths of a diffusion between its boundaries, for pictures of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.kinds import Diffusion

Float = NDArray[np.float64]

# Euler step [s]: finer than a picture shows. Paths are for looking at; `pymc_lan.simulate` has no such error.
STEP = 0.004


class Trajectory(NamedTuple):
    """One path, its times [s] from stimulus onset, and the response at its end: 0 where there is none yet."""

    rt: Float
    x: Float
    response: int


def simulate_paths(spec: Diffusion, theta: Mapping[str, Float], noise: Float, step: float = STEP) -> list[Trajectory]:
    """Paths of trials up to the boundaries, by Euler and Maruyama's steps.

    Parameters
    ----------
    spec : Diffusion
    theta : mapping of str to ndarray, shape (n,)
    noise : ndarray, shape (steps, n)
        Standard normal; zeros give the path without noise.
    step : float
        Seconds.

    Returns
    -------
    list of Trajectory, n of them
        A path that ends at a boundary ends on it, others after all steps.

    Examples
    --------
    >>> import numpy as np
    >>> from pymc_lan.models.catalogue import MODELS
    >>> theta = {"v": np.ones(1), "a": np.ones(1), "z": np.full(1, 0.5), "t": np.full(1, 0.3)}
    >>> (path,) = simulate_paths(MODELS["ddm"], theta, np.zeros((400, 1)))
    >>> path.response, round(float(path.rt[-1]), 2), float(path.x[-1])
    (1, 1.3, 1.0)
    """
    times = step * np.arange(len(noise) + 1)
    bound = np.broadcast_to(spec.boundary(times[:, None], theta), (len(times), noise.shape[1]))
    x = np.empty(bound.shape)
    x[0] = bound[0] * (2 * theta["z"] - 1)
    for k, kick in enumerate(np.sqrt(step) * noise):
        x[k + 1] = x[k] + step * np.asarray(spec.drift(times[k], x[k], theta)) + kick
    found = []
    for trial in range(x.shape[1]):
        crossed = np.abs(x[:, trial]) >= bound[:, trial]
        end = int(crossed.argmax()) if crossed.any() else len(times) - 1
        response = int(np.sign(x[end, trial])) if crossed.any() else 0
        path = x[: end + 1, trial].copy()
        if response:
            path[-1] = response * max(bound[end, trial], 0)
        found.append(Trajectory(theta["t"][trial] + times[: end + 1], path, response))
    return found


def boundary_until_closed(spec: Diffusion, theta: Mapping[str, Float], steps: int, step: float = STEP) -> Float:
    """Height of the upper boundary at each step from 0, up to where it meets the lower one.

    Parameters
    ----------
    spec : Diffusion
    theta : mapping of str to ndarray, shape (1,)
    steps : int
    step : float
        Seconds.

    Returns
    -------
    ndarray, shape (at most steps + 1,)
    """
    bound = np.broadcast_to(spec.boundary(step * np.arange(steps + 1), theta), steps + 1)
    open_until = int((bound <= 0).argmax()) if (bound <= 0).any() else steps
    return np.asarray(bound[: open_until + 1], np.float64)
