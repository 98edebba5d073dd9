"""Densities of models without a closed form, solved for many parameter sets at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import refuse
from pymc_lan.models.diffusion.path_deadline import PathDeadline
from pymc_lan.models.diffusion.solution import N_GRID, Solution, kept
from pymc_lan.models.diffusion.structure import Process, Structure, structure
from pymc_lan.numerics.fokker_planck import fokker_planck
from pymc_lan.numerics.integrals import running_integral
from pymc_lan.numerics.passage import CLOSED, NUMPY, Boundary, Drift
from pymc_lan.numerics.special import expm1_ratio
from pymc_lan.numerics.volterra import Densities, volterra

Float = NDArray[np.float64]

# Points of the grids that are tried in turn, each a multiple of the first, which all solutions are handed out on; and
# the largest estimated error in log f of one that is used as a label. The equation of Fokker and Planck takes long.
STEPS, TOLERANCE = (N_GRID, 800, 1600, 3200), 1e-4
FEWER_STEPS, LARGER_TOLERANCE = (N_GRID, 800), 2e-2
# Relative rounding of a time that went through JAX in single precision.
_ROUNDING = 1e-5
# Nodes of the integral of a drift that changes with time; they crowd towards its start.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def solve(
    process: Process, theta: Mapping[str, Float], tolerance: float | None = None, grids: Sequence[int] = ()
) -> Solution:
    """Solve a model's first-passage densities.

    Parameters
    ----------
    process : Process
        By Volterra's equations where the drift is ``m(t) - g x``, and by that of Fokker and Planck where it is not.
    theta : mapping of str to ndarray, shape (n,)
    tolerance : float, optional
        Solutions whose estimated error is larger are left out: by default `TOLERANCE` or, where the equation of Fokker
        and Planck is solved, `LARGER_TOLERANCE`.
    grids : sequence of int, optional
        Other numbers of steps to try in turn, multiples of `N_GRID`.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If boundaries are open at the time by which they have met, as the process says.
    """
    steps_tried, usual = (STEPS, TOLERANCE) if structure(process).linear else (FEWER_STEPS, LARGER_TOLERANCE)
    tolerance = usual if tolerance is None else tolerance
    with jax.enable_x64(True):
        first = np.asarray(process.boundary(np.zeros_like(theta["z"]), theta), np.float64)
    start, last = first * (2 * theta["z"] - 1), PathDeadline(process).latest(NUMPY, theta)
    if process.closes is not None:
        _refuse_open(process, process.closes, theta, first, last)
    result = np.empty((6, start.size, N_GRID))
    error, refined = np.full(start.size, np.inf), {}
    for steps in grids or steps_tried:
        rows = np.flatnonzero(~(error < tolerance))
        if rows.size:
            some = {name: x[rows] for name, x in theta.items()}
            found = _solved(process, some, start[rows], last[rows], steps)
            result[:, rows], error[rows] = _on_first_grid(found, steps // N_GRID), found.error
        refined[steps] = int((error[rows] < tolerance).sum())
    return kept(theta, result, error, tolerance, refined)


def _refuse_open(
    process: Process, closing: Callable[..., Any], theta: Mapping[str, Float], first: Float, last: Float
) -> None:
    """Refuse a time of closing that belongs to another boundary: nothing would be solved beyond it."""
    with jax.enable_x64(True):
        closes = np.broadcast_to(closing(theta), last.shape)
        there = np.asarray(process.boundary(last, theta), np.float64)
    refuse(
        (closes <= last * (1 + _ROUNDING)) & (there > 2 * CLOSED * first),
        {"closes": closes, "boundary": there, **theta},
        expected=f"boundaries of {process.name!r} that have met by closes(theta)",
        found="boundaries that are open then",
        remedy="give the closes of this boundary, or closes=None",
    )


def _on_first_grid(found: Densities, every: int) -> Float:
    """Times, log densities, distribution functions and weights at every so-manieth point, without time 0."""
    weight = np.gradient(found.times, axis=1, edge_order=2)
    t = found.times
    weight[:, 2:-2] = (8 * (t[:, 3:-1] - t[:, 1:-3]) - (t[:, 4:] - t[:, :-4])) / 12
    logs = (found.log_upper, found.log_lower)
    masses = (running_integral(np.exp(x) * weight) for x in logs)
    return np.stack([x[:, every::every] for x in (found.times, *logs, *masses, weight * every)])


def _solved(process: Process, theta: Mapping[str, Float], start: Float, last: Float, steps: int) -> Densities:
    if structure(process).linear:
        boundaries, clock = _brownian(process.drift, process.boundary, structure(process))
        return volterra(boundaries, theta, start, last, steps, clock)
    # Its grid, twice as fine, is handed out at every second point.
    return fokker_planck(process.drift, process.boundary, theta, start, last, 2 * steps, steps)


# By the functions alone, for a solver is compiled for each, in many seconds: a model, the same with other networks or
# another name, and one read from a file share theirs.
@cache
def _brownian(
    drift: Drift, boundary: Boundary, kind: Structure
) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """Boundaries and clock of the Brownian motion that a process is in disguise: see `affine_to_brownian`."""
    leaky = kind.positional

    def leak(row: Mapping[str, Any]) -> Any:
        return drift(0.0, 0.0, row) - drift(0.0, 1.0, row)

    def boundaries(t: Any, row: Mapping[str, Any]) -> tuple[Any, Any]:
        grown = jnp.exp(leak(row) * t) if leaky else 1.0
        width = boundary(t, row) * grown
        moved = _displacement(drift, kind.varying, t, row, leak(row) if leaky else None)
        return width - moved, -width - moved

    def clock(t: Any, row: Mapping[str, Any]) -> Any:
        return t * expm1_ratio(2 * leak(row) * t)

    return boundaries, clock if leaky else None


def _displacement(drift: Drift, varying: bool, t: Any, row: Mapping[str, Any], leak: Any) -> Any:
    """The integral of ``exp(g s) m(s)`` over s from 0 to t."""
    if not varying:
        return drift(t, 0.0, row) * t * (1.0 if leak is None else expm1_ratio(leak * t))
    # s = t y^4 puts the points where drifts change fastest, early; they are as many as smooth drifts need.
    y = (1 + _NODES) / 2
    s = t * y**4
    pushed = drift(s, jnp.zeros_like(s), row) * (1.0 if leak is None else jnp.exp(leak * s))
    return jnp.sum(pushed * 4 * y**3 * _WEIGHTS / 2) * t
