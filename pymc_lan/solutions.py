"""Densities of models without a closed form, solved for many parameter sets at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pymc_lan.labels import running_integral
from pymc_lan.paths import expm1_over, structure
from pymc_lan.spec import ModelSpec
from pymc_lan.transforms import NUMPY
from pymc_lan.views import choice_transform_of
from pymc_lan.volterra import Densities, volterra

Float = NDArray[np.float64]

# Points of the grids that are tried in turn, each a multiple of the first, which all solutions are handed out on; and
# the largest estimated error in log f of one that is used as a label.
STEPS, TOLERANCE = (400, 800, 1600), 1e-4
# Nodes of the integral of a drift that changes with time; they crowd towards its start.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True, slots=True)
class Solution:
    """Densities on a grid of decision times, one row per parameter set.

    Parameters
    ----------
    theta : dict of str to ndarray, shape (n,)
        The parameter sets whose solution is accurate enough.
    times, log_upper, log_lower : ndarray, shape (n, STEPS[0])
        Without time 0.
    mass_upper, mass_lower : ndarray, shape (n, STEPS[0])
        Distribution functions.
    weight : ndarray, shape (n, STEPS[0])
        Seconds that a grid point stands for.
    dropped : float
        Share of parameter sets left out.
    """

    theta: dict[str, Float]
    times: Float
    log_upper: Float
    log_lower: Float
    mass_upper: Float
    mass_lower: Float
    weight: Float
    dropped: float


def solve(spec: ModelSpec, theta: Mapping[str, Float], tolerance: float = TOLERANCE) -> Solution:
    """Solve a model's first-passage densities.

    Parameters
    ----------
    spec : ModelSpec
        With a drift ``m(t) - g x``.
    theta : mapping of str to ndarray, shape (n,)
    tolerance : float
        Solutions whose estimated error is larger are left out.

    Returns
    -------
    Solution
    """
    boundaries, clock = _brownian(spec)
    with jax.enable_x64(True):
        first = np.asarray(spec.boundary(np.zeros_like(theta["z"]), theta), np.float64)
    start, last = first * (2 * theta["z"] - 1), choice_transform_of(spec).latest(NUMPY, theta)
    result = np.empty((6, start.size, STEPS[0]))
    error = np.full(start.size, np.inf)
    for steps in STEPS:
        rows = np.flatnonzero(~(error < tolerance))
        if rows.size:
            some = {name: x[rows] for name, x in theta.items()}
            found = volterra(boundaries, some, start[rows], last[rows], steps, clock)
            result[:, rows], error[rows] = _on_first_grid(found, steps // STEPS[0]), found.error
    good = error < tolerance
    kept = {name: x[good] for name, x in theta.items()}
    times, log_upper, log_lower, mass_upper, mass_lower, weight = result[:, good]
    return Solution(kept, times, log_upper, log_lower, mass_upper, mass_lower, weight, float(1 - good.mean()))


def _on_first_grid(found: Densities, every: int) -> Float:
    """Times, log densities, distribution functions and weights at every so-manieth point, without time 0."""
    weight = np.gradient(found.times, axis=1, edge_order=2)
    t = found.times
    weight[:, 2:-2] = (8 * (t[:, 3:-1] - t[:, 1:-3]) - (t[:, 4:] - t[:, :-4])) / 12
    logs = (found.log_upper, found.log_lower)
    masses = (running_integral(np.exp(x) * weight) for x in logs)
    return np.stack([x[:, every::every] for x in (found.times, *logs, *masses, weight * every)])


@cache
def _brownian(spec: ModelSpec) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """Boundaries and clock of the Brownian motion that a process is in disguise: see `pymc_lan.paths`."""
    kind = structure(spec)

    def leak(row: Mapping[str, Any]) -> Any:
        return spec.drift(0.0, 0.0, row) - spec.drift(0.0, 1.0, row)

    def boundaries(t: Any, row: Mapping[str, Any]) -> tuple[Any, Any]:
        grown = jnp.exp(leak(row) * t) if kind.leak else 1.0
        width = spec.boundary(t, row) * grown
        moved = _displacement(spec, t, row, leak(row) if kind.leak else None)
        return width - moved, -width - moved

    def clock(t: Any, row: Mapping[str, Any]) -> Any:
        return t * expm1_over(2 * leak(row) * t)

    return boundaries, clock if kind.leak else None


def _displacement(spec: ModelSpec, t: Any, row: Mapping[str, Any], leak: Any) -> Any:
    """The integral of ``exp(g s) m(s)`` over s from 0 to t."""
    if not structure(spec).varying:
        return spec.drift(t, 0.0, row) * t * (1.0 if leak is None else expm1_over(leak * t))
    # s = t y^4 puts the points where drifts change fastest, early; they are as many as smooth drifts need.
    y = (1 + _NODES) / 2
    s = t * y**4
    pushed = spec.drift(s, jnp.zeros_like(s), row) * (1.0 if leak is None else jnp.exp(leak * s))
    return jnp.sum(pushed * 4 * y**3 * _WEIGHTS / 2) * t
