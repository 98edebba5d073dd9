"""Densities of models without a closed form, solved for many parameter sets at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import refuse
from pymc_lan.models.diffusion.closed_labels import running_integral
from pymc_lan.models.diffusion.mixture_labels import N_POINTS, mixture
from pymc_lan.models.diffusion.path_view import structure
from pymc_lan.models.spec import Model
from pymc_lan.models.views import SPREAD, choice_transform_of, is_linear
from pymc_lan.numerics.fokker_planck import fokker_planck
from pymc_lan.numerics.passage import CLOSED, NUMPY
from pymc_lan.numerics.special import expm1_ratio
from pymc_lan.numerics.volterra import Densities, volterra

Float = NDArray[np.float64]

# Points of the grids that are tried in turn, each a multiple of the first, which all solutions are handed out on; and
# the largest estimated error in log f of one that is used as a label. The equation of Fokker and Planck takes long.
STEPS, TOLERANCE = (400, 800, 1600), 1e-4
FEWER_STEPS, LARGER_TOLERANCE = (400, 800), 2e-2
# Of the points at which a mixture is computed, one in so many is handed out.
_MIXTURE_EVERY = 2
# Relative rounding of a time that went through JAX in single precision.
_ROUNDING = 1e-5
# Nodes of the integral of a drift that changes with time; they crowd towards its start.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True, slots=True)
class Report:
    """What `solve` did.

    Parameters
    ----------
    n : int
        Number of parameter sets.
    refined : dict of int to int
        How many were done with each number of steps in time.
    dropped : int
        How many were not accurate enough with the most.
    worst : float
        The largest error estimate among those that were; 0 if there are none.
    """

    n: int
    refined: dict[int, int]
    dropped: int
    worst: float

    @property
    def share_dropped(self) -> float:
        """`dropped` over `n`."""
        return self.dropped / self.n


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
    report : Report
        Of the parameter sets that were asked for.
    """

    theta: dict[str, Float]
    times: Float
    log_upper: Float
    log_lower: Float
    mass_upper: Float
    mass_lower: Float
    weight: Float
    report: Report


def joined(parts: Sequence[Solution]) -> Solution:
    """One solution of the parameter sets of several."""
    reports = [each.report for each in parts]
    report = Report(
        sum(each.n for each in reports),
        {steps: sum(each.refined.get(steps, 0) for each in reports) for steps in reports[0].refined},
        sum(each.dropped for each in reports),
        max(each.worst for each in reports),
    )
    theta = {name: np.concatenate([each.theta[name] for each in parts]) for name in parts[0].theta}
    arrays = ("times", "log_upper", "log_lower", "mass_upper", "mass_lower", "weight")
    rows = {name: np.concatenate([getattr(each, name) for each in parts]) for name in arrays}
    return Solution(theta, report=report, **rows)


def solve(
    spec: Model, theta: Mapping[str, Float], tolerance: float | None = None, grids: Sequence[int] = ()
) -> Solution:
    """Solve a model's first-passage densities.

    Parameters
    ----------
    spec : Model
        By quadrature where parameters vary across trials; else by Volterra's equations where the drift is
        ``m(t) - g x``, and by that of Fokker and Planck where it is not.
    theta : mapping of str to ndarray, shape (n,)
    tolerance : float, optional
        Solutions whose estimated error is larger are left out: by default `TOLERANCE` or, where the equation of Fokker
        and Planck is solved, `LARGER_TOLERANCE`.
    grids : sequence of int, optional
        Other numbers of steps to try in turn, multiples of ``STEPS[0]``; quadrature has its own.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If boundaries are open at the time by which they have met, as the spec says.
    """
    steps_tried, usual = (STEPS, TOLERANCE) if is_linear(spec) else (FEWER_STEPS, LARGER_TOLERANCE)
    tolerance = usual if tolerance is None else tolerance
    if spec.transform == SPREAD:
        return _solve_mixture(spec, theta, tolerance)
    with jax.enable_x64(True):
        first = np.asarray(spec.boundary(np.zeros_like(theta["z"]), theta), np.float64)
    start, last = first * (2 * theta["z"] - 1), choice_transform_of(spec).latest(NUMPY, theta)
    if spec.closes is not None:
        _refuse_open(spec, spec.closes, theta, first, last)
    result = np.empty((6, start.size, STEPS[0]))
    error, refined = np.full(start.size, np.inf), {}
    for steps in grids or steps_tried:
        rows = np.flatnonzero(~(error < tolerance))
        if rows.size:
            some = {name: x[rows] for name, x in theta.items()}
            found = _solved(spec, some, start[rows], last[rows], steps)
            result[:, rows], error[rows] = _on_first_grid(found, steps // STEPS[0]), found.error
        refined[steps] = int((error[rows] < tolerance).sum())
    return _kept(theta, result, error, tolerance, refined)


def _refuse_open(
    spec: Model, closing: Callable[..., Any], theta: Mapping[str, Float], first: Float, last: Float
) -> None:
    """Refuse a time of closing that belongs to another boundary: nothing would be solved beyond it."""
    with jax.enable_x64(True):
        closes = np.broadcast_to(closing(theta), last.shape)
        there = np.asarray(spec.boundary(last, theta), np.float64)
    refuse(
        (closes <= last * (1 + _ROUNDING)) & (there > 2 * CLOSED * first),
        {"closes": closes, "boundary": there, **theta},
        expected=f"boundaries of {spec.name!r} that have met by closes(theta)",
        found="boundaries that are open then",
        remedy="give the closes of this boundary, or closes=None",
    )


def _solve_mixture(spec: Model, theta: Mapping[str, Float], tolerance: float) -> Solution:
    times, weight, log_upper, log_lower, error = mixture(spec, theta)
    masses = (running_integral(np.exp(x) * weight) for x in (log_upper, log_lower))
    # The sums need all points, the networks do not.
    every = [x[:, ::_MIXTURE_EVERY] for x in (times, log_upper, log_lower, *masses, weight * _MIXTURE_EVERY)]
    return _kept(theta, np.stack(every), error, tolerance, {N_POINTS: int((error < tolerance).sum())})


def _kept(
    theta: Mapping[str, Float], result: Float, error: Float, tolerance: float, refined: dict[int, int]
) -> Solution:
    good = error < tolerance
    report = Report(error.size, refined, int((~good).sum()), float(error[good].max(initial=0.0)))
    times, log_upper, log_lower, mass_upper, mass_lower, weight = result[:, good]
    kept = {name: x[good] for name, x in theta.items()}
    return Solution(kept, times, log_upper, log_lower, mass_upper, mass_lower, weight, report)


def _on_first_grid(found: Densities, every: int) -> Float:
    """Times, log densities, distribution functions and weights at every so-manieth point, without time 0."""
    weight = np.gradient(found.times, axis=1, edge_order=2)
    t = found.times
    weight[:, 2:-2] = (8 * (t[:, 3:-1] - t[:, 1:-3]) - (t[:, 4:] - t[:, :-4])) / 12
    logs = (found.log_upper, found.log_lower)
    masses = (running_integral(np.exp(x) * weight) for x in logs)
    return np.stack([x[:, every::every] for x in (found.times, *logs, *masses, weight * every)])


def _solved(spec: Model, theta: Mapping[str, Float], start: Float, last: Float, steps: int) -> Densities:
    if is_linear(spec):
        boundaries, clock = _brownian(spec)
        return volterra(boundaries, theta, start, last, steps, clock)
    # Its grid, twice as fine, is handed out at every second point.
    return fokker_planck(spec.drift, spec.boundary, theta, start, last, 2 * steps, steps)


@cache
def _brownian(spec: Model) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """Boundaries and clock of the Brownian motion that a process is in disguise: see `affine_to_brownian`."""
    leaky = structure(spec).positional

    def leak(row: Mapping[str, Any]) -> Any:
        return spec.drift(0.0, 0.0, row) - spec.drift(0.0, 1.0, row)

    def boundaries(t: Any, row: Mapping[str, Any]) -> tuple[Any, Any]:
        grown = jnp.exp(leak(row) * t) if leaky else 1.0
        width = spec.boundary(t, row) * grown
        moved = _displacement(spec, t, row, leak(row) if leaky else None)
        return width - moved, -width - moved

    def clock(t: Any, row: Mapping[str, Any]) -> Any:
        return t * expm1_ratio(2 * leak(row) * t)

    return boundaries, clock if leaky else None


def _displacement(spec: Model, t: Any, row: Mapping[str, Any], leak: Any) -> Any:
    """The integral of ``exp(g s) m(s)`` over s from 0 to t."""
    if not structure(spec).varying:
        return spec.drift(t, 0.0, row) * t * (1.0 if leak is None else expm1_ratio(leak * t))
    # s = t y^4 puts the points where drifts change fastest, early; they are as many as smooth drifts need.
    y = (1 + _NODES) / 2
    s = t * y**4
    pushed = spec.drift(s, jnp.zeros_like(s), row) * (1.0 if leak is None else jnp.exp(leak * s))
    return jnp.sum(pushed * 4 * y**3 * _WEIGHTS / 2) * t
