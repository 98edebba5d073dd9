"""Exact first-passage densities of a diffusion between two moving boundaries: which solver, how fine a grid.

Conventions: unit noise, boundaries at +b(t) and -b(t) where ``b`` is *half* the separation, start at b(0) (2 z - 1),
times in seconds of decision time (the non-decision time is not in here), float64 whatever JAX is set to.

`volterra` serves a drift that depends on time only, and the Ornstein-Uhlenbeck process by `affine_to_brownian`;
`fokker_planck` serves every drift. `solve` refines `volterra` until it is accurate, theta by theta.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from pymc_lan.errors import explain
from pymc_lan.fokker_planck import fokker_planck
from pymc_lan.volterra import RELEVANT, Boundaries, Clock, Densities, check_arguments, volterra

__all__ = ["AffineClock", "Densities", "Report", "affine_to_brownian", "fokker_planck", "solve", "volterra"]

# Below this size of the argument the quotients below are sums of so many terms (the next one is under 1e-17), whose
# derivatives do not cancel; above it the second derivative loses four digits at most.
SERIES_BELOW = 0.02
SERIES_TERMS = 10


class AffineClock(NamedTuple):
    """An Ornstein-Uhlenbeck process X as a Brownian motion Z at a clock of its own; made by `affine_to_brownian`.

    Parameters
    ----------
    clock : callable
        Time t in s to the clock s = (e^(2 g t) - 1) / (2 g), in evidence^2.
    time : callable
        The inverse. Where g < 0 the clock never passes 1 / (2 abs(g)).
    position : callable
        ``position(t, x)`` of X to the position e^(g t) x - v (e^(g t) - 1) / g of Z.
    log_jacobian : callable
        Time t to log ds/dt = 2 g t: what is added to a log density per unit of the clock to have it per second.
    """

    clock: Callable[[Any], Any]
    time: Callable[[Any], Any]
    position: Callable[[Any, Any], Any]
    log_jacobian: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What `solve` did.

    Parameters
    ----------
    n : int
        Number of theta.
    refined : dict of int to int
        How many theta were done with each number of steps.
    dropped : int
        How many of them were not accurate enough at the finest; their ``error`` says by how much.
    worst : float
        The largest error estimate among those that were not dropped; 0 if there are none.
    """

    n: int
    refined: dict[int, int]
    dropped: int
    worst: float


def affine_to_brownian(v: Any, g: Any) -> AffineClock:
    """Express dX = (v - g X) dt + dW as Brownian motion without drift, at a clock of its own.

    Z = e^(g t) X - v (e^(g t) - 1) / g is a standard Brownian motion at the clock s = (e^(2 g t) - 1) / (2 g): Ito's
    formula gives dZ = e^(g t) dW, and ds = e^(2 g t) dt (Doob 1942, Annals of Mathematics 43, 351-369).

    Parameters
    ----------
    v : float or array
        Drift at X = 0, evidence / s.
    g : float or array
        Leak, 1 / s; of either sign, and 0.

    Returns
    -------
    AffineClock

    Examples
    --------
    The boundaries of `volterra`, which takes the clock beside them:

    >>> import numpy as np
    >>> def boundaries(t, row):
    ...     position = affine_to_brownian(row["v"], row["g"]).position
    ...     return position(t, row["a"]), position(t, -row["a"])
    >>> def clock(t, row):
    ...     return affine_to_brownian(row["v"], row["g"]).clock(t)
    >>> theta = {"v": np.array([0.5]), "a": np.array([1.0]), "g": np.array([0.3])}
    >>> found = volterra(boundaries, theta, [0.0], [20.0], clock=clock)
    >>> bool(found.error[0] < 1e-4)
    True
    """

    def clock(t: Any) -> Any:
        return t * _expm1_ratio(2.0 * g * t)

    def time(s: Any) -> Any:
        return s * _log1p_ratio(2.0 * g * s)

    def position(t: Any, x: Any) -> Any:
        return jnp.exp(g * t) * x - v * t * _expm1_ratio(g * t)

    def log_jacobian(t: Any) -> Any:
        return 2.0 * g * t

    return AffineClock(clock, time, position, log_jacobian)


def _expm1_ratio(y: Any) -> Any:
    """(e^y - 1) / y, also at 0."""
    small = jnp.abs(y) < SERIES_BELOW
    series, far = jnp.ones_like(y), jnp.where(small, 1.0, y)
    for k in range(SERIES_TERMS, 0, -1):
        series = 1.0 + jnp.where(small, y, 0.0) / (k + 1.0) * series
    return jnp.where(small, series, jnp.expm1(far) / far)


def _log1p_ratio(y: Any) -> Any:
    """log(1 + y) / y, also at 0."""
    small = jnp.abs(y) < SERIES_BELOW
    near, far = jnp.where(small, y, 0.0), jnp.where(small, 1.0, y)
    series = jnp.zeros_like(y)
    for k in range(SERIES_TERMS, 0, -1):
        series = 1.0 / k - near * series
    return jnp.where(small, series, jnp.log1p(far) / far)


def solve(
    boundaries: Boundaries,
    theta: Mapping[str, ArrayLike],
    start: ArrayLike,
    horizon: ArrayLike,
    *,
    tolerance: float = 1e-4,
    steps: Sequence[int] = (200, 400, 800, 1600),
    clock: Clock | None = None,
) -> tuple[Densities, Report]:
    """First-passage densities to a tolerance: `volterra` on finer and finer grids, theta by theta.

    Parameters
    ----------
    boundaries, theta, start, horizon, clock
        As for `volterra`.
    tolerance : float
        Largest error estimate of a log density, where it is above 1e-5 per second.
    steps : sequence of int
        Increasing numbers of steps. A theta keeps the first that meets the tolerance, or else the last.

    Returns
    -------
    densities : Densities
        On a common number of points: ``steps[-1] + 1``. Those of a theta that was done with ``n`` steps are its own
        points and, between two of them, points put in evenly in x (see `pymc_lan.volterra`), with values of a
        cubic spline in x through log f less its leading term -c / t at the onset. Where ``error`` is above
        the tolerance, the theta should be left out.
    report : Report

    Raises
    ------
    ValueError
        As `volterra`; and for steps that do not increase by whole factors.

    Examples
    --------
    >>> import numpy as np
    >>> def boundaries(t, row):
    ...     return row["a"] - 0.1 * t, -row["a"] + 0.1 * t
    >>> found, report = solve(boundaries, {"a": np.array([0.5, 1.0])}, [0.1, 0.5], [5.0, 10.0], steps=(200, 400))
    >>> found.times.shape, report.n, report.dropped
    ((2, 401), 2, 0)
    """
    if not steps or any(fine % coarse or fine == coarse for coarse, fine in pairwise(steps)):
        raise ValueError(explain("steps each a multiple of the one before", f"{tuple(steps)}", "double them"))
    columns, origin, end = check_arguments(theta, start, horizon)
    n, finest = origin.size, steps[-1]
    times, log_upper, log_lower, survivor = np.empty((4, n, finest + 1))
    result = Densities(times, log_upper, log_lower, survivor, np.full(n, np.inf))
    waiting, refined = np.arange(n), dict.fromkeys(steps, 0)
    for count in steps:
        rows = {name: x[waiting] for name, x in columns.items()}
        found = volterra(boundaries, rows, origin[waiting], end[waiting], count, clock)
        found = _resample(found, finest)
        done = (found.error <= tolerance) | (count == finest)
        refined[count] = int(done.sum())
        for field, values in zip(result, found, strict=True):
            field[waiting[done]] = values[done]
        waiting = waiting[~done]
        if not waiting.size:
            break
    accurate = result.error <= tolerance
    worst = float(result.error[accurate].max(initial=0.0))
    return result, Report(n, refined, int((~accurate).sum()), worst)


def _resample(found: Densities, finest: int) -> Densities:
    """Put points in between by cubic splines over the number of the point, and add their error to the estimate.

    What is interpolated is time * log density: it tends to -distance^2 / 2 at time 0, where the log density is
    infinite. Where there is no density, the last one stands in for the spline and is taken out again.
    """
    count = found.times.shape[1] - 1
    if count == finest:
        return found
    error = found.error.copy()
    nodes, points = np.arange(count + 1), np.linspace(0.0, count, finest + 1)
    times = np.maximum(CubicSpline(nodes, found.times, axis=1)(points), 0.0)
    survivor = np.clip(CubicSpline(nodes, found.survivor, axis=1)(points), 0.0, 1.0)
    logs = []
    for log in (found.log_upper, found.log_lower):
        exists = np.isfinite(log)
        latest = np.maximum.accumulate(np.where(exists, nodes, 0), axis=1)
        scaled = found.times * np.where(exists, log, 0.0)
        scaled = np.take_along_axis(scaled, latest, axis=1)
        scaled[:, 0] = 3.0 * (scaled[:, 1] - scaled[:, 2]) + scaled[:, 3]
        spline = CubicSpline(nodes, scaled, axis=1)(points)
        gaps = np.maximum.accumulate(~exists[:, 1:], axis=1)[:, np.maximum(np.ceil(points).astype(int) - 1, 0)]
        logs.append(np.where(gaps | (times == 0), -np.inf, spline / np.where(times > 0, times, 1.0)))
        # A spline through every second point, seen at the others, is off by 16 times as much.
        half = CubicSpline(nodes[::2], scaled[:, ::2], axis=1)(nodes[1::2]) / found.times[:, 1::2]
        relevant = log[:, 1::2] > np.log(RELEVANT)
        error += np.where(relevant, np.abs(half - np.where(relevant, log[:, 1::2], 0.0)), 0.0).max(axis=1) / 16.0
    return Densities(times, logs[0], logs[1], survivor, error)
