"""First passages of a diffusion whose drift depends on time and position: the Fokker-Planck equation on a moving strip.

Conventions: dX = drift(t, X) dt + dW between -b(t) and +b(t), ``b`` *half* the separation, times in seconds of
decision time, start at ``start``.

Solved is not the density p but its ratio r = p / phi to that of Brownian motion without boundaries, phi the normal
density of mean ``start`` and variance t:

    dr/dt = r_xx / 2 - ((x - start) / t + drift) r_x - (drift_x - drift (x - start) / t) r,    r = 0 at -b and b

r is of order one where p rises over hundreds of orders of magnitude, so the early densities, -phi r_x / 2 at the
boundaries, are accurate in relative terms, and the delta function at time 0 is no difficulty. In y = x / b(t) the
strip is fixed; a graded grid resolves the layer of width t / distance at either boundary. In time a diagonally
implicit Runge-Kutta rule of second order, which damps what is stiff: Crank-Nicolson keeps the ringing of the layers,
and r decays below it. Then Richardson's extrapolation, both steps being halved together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from numpy.typing import ArrayLike

from pymc_lan.errors import explain
from pymc_lan.numerics.passage import Boundary, Drift
from pymc_lan.numerics.volterra import (
    Densities,
    check_arguments,
    cumulative,
    curve_of,
    estimate_error,
    lay_grid,
    onset_and_end,
    run_chunks,
)

# The grid is y = sin(GRADING pi xi / 2) / sin(GRADING pi / 2) with xi uniform, nine times as fine at the boundaries
# as in the middle. Closer to 1 it changes too fast for its own steps.
GRADING = 0.93

# The equation is solved from this share of the onset on (`onset_and_end`), where distance^2 / (2 time) is 36; before
# it, the bridge of `_early` stands in, whose density is then below exp(-36).
FIRST = 0.5

# Both stages of the L-stable rule of second order (Alexander 1977, SIAM Journal on Numerical Analysis 14, 1006-1021).
GAMMA = 1.0 - math.sqrt(0.5)

# Theta solved side by side.
CHUNK = 8

# Points of Simpson's rule, along the straight way from the start.
SIMPSON = 17

# Weights of the difference of fourth order for the slope at a boundary where the function is 0: q(h) ... q(4h).
WALL = (48 / 12, -36 / 12, 16 / 12, -3 / 12)


def fokker_planck(
    drift: Drift,
    boundary: Boundary,
    theta: Mapping[str, ArrayLike],
    start: ArrayLike,
    horizon: ArrayLike,
    steps: int = 1600,
    cells: int = 800,
) -> Densities:
    """First-passage densities of dX = drift(t, X) dt + dW through +boundary(t) and -boundary(t).

    Parameters
    ----------
    drift : callable
        ``drift(t, x, row)``, evidence / s, differentiable in x, of one theta; scalars in, scalar out, in ``jax.numpy``.
    boundary : callable
        ``boundary(t, row)``: half the separation, twice differentiable at t > 0. Pass the same function objects
        again: the solver is compiled once per drift, boundary, ``steps`` and ``cells``.
    theta : mapping of str to array, each (n_theta,)
    start : array, (n_theta,)
        Start of the process, between the boundaries at time 0.
    horizon : array, (n_theta,)
        End of the grid in s; it ends earlier where the boundaries have met.
    steps, cells : int
        Steps in time and cells across, multiples of 4, at least 32.

    Returns
    -------
    Densities
        On every second time of the finest solution, ``n = steps / 2``. The estimate ``error`` is the change from the
        extrapolation on half as many steps and cells. Measured on the closed form of the drift diffusion model, 16
        theta of v -3..3, a 0.3..2.5, z 0.1..0.9: error 2e-5 in the median, 1.2e-4 at the largest, and at most 3.3
        times the estimate, which is 5e-5 in the median.

    Raises
    ------
    ValueError
        For shapes that do not agree, a start outside the boundaries, a horizon, steps or cells that are no good.

    References
    ----------
    Voss & Voss (2008), Journal of Mathematical Psychology 52, 1-9, for the equation; the ratio is this module's.

    Examples
    --------
    >>> import numpy as np
    >>> def drift(t, x, row):
    ...     return row["v"] - 0.5 * x
    >>> def boundary(t, row):
    ...     return row["a"]
    >>> found = fokker_planck(drift, boundary, {"v": np.array([1.0]), "a": np.array([1.0])}, [0.2], [5.0], 800, 400)
    >>> bool(found.error[0] < 1e-2)
    True
    """
    for name, count in (("steps", steps), ("cells", cells)):
        if count < 32 or count % 4:
            raise ValueError(explain(f"{name} to be a multiple of 4, at least 32", f"{count}", "round it up"))
    with jax.enable_x64(True):
        columns, origin, end = check_arguments(theta, start, horizon)
        return run_chunks(_compiled(drift, boundary, steps, cells), CHUNK, columns, origin, end)


@lru_cache(maxsize=64)
def _compiled(drift: Drift, boundary: Boundary, steps: int, cells: int) -> Callable[..., Any]:
    """Return the compiled solver of one chunk: (theta, start, horizon) to (start inside, fields of `Densities`)."""

    def strip(t: Any, row: Mapping[str, Any]) -> tuple[Any, Any]:
        height = boundary(t, row)
        return height, -height

    def one(row: dict[str, Any], start: Any, horizon: Any) -> tuple[Any, tuple[Any, ...]]:
        curve = curve_of(strip, None, row)
        at_zero = strip(jnp.zeros(()), row)
        # Nothing is known of the drift, so nothing ends the grid but the boundaries.
        onset, _ = onset_and_end(curve, at_zero, start, horizon, 0.0)
        times, scale = lay_grid(curve, at_zero, start, horizon, steps, 0.0)

        def logs(every: int) -> tuple[Any, Any]:
            return _march(curve, lambda t, x: drift(t, x, row), start, times[::every], cells // every, FIRST * onset)

        full, half, quarter = logs(1), logs(2), logs(4)
        fine = tuple(_extrapolate(f, h) for f, h in zip(full, half, strict=True))
        coarse = tuple(_extrapolate(h, q) for h, q in zip(half, quarter, strict=True))
        density = 2.0 * scale[::2] * (jnp.exp(fine[0]) + jnp.exp(fine[1]))
        survivor = jnp.clip(1.0 - cumulative(density), 0.0, 1.0)
        error = estimate_error((fine[0], fine[1]), (coarse[0], coarse[1]))
        inside = (at_zero[1] < start) & (start < at_zero[0])
        return inside, (times[::2], *fine, survivor, error)

    return jax.jit(jax.vmap(one))


def _extrapolate(fine: Any, coarse: Any) -> Any:
    """Richardson's extrapolation of logarithms, of second order, at the points of the coarse grid."""
    both = jnp.isfinite(fine[::2]) & jnp.isfinite(coarse)
    return fine[::2] + jnp.where(both, (fine[::2] - jnp.where(both, coarse, 0.0)) / 3.0, 0.0)


def _march(
    curve: Callable[..., Any], drift: Callable[..., Any], start: Any, times: Any, cells: int, first: Any
) -> tuple[Any, Any]:
    """Log densities at the upper and at the lower boundary on a grid of times."""
    xi = jnp.linspace(-1.0, 1.0, cells + 1)
    y, stretch = (_grid(xi)[k] for k in (0, 1))
    between = _grid(0.5 * (xi[1:] + xi[:-1]))[1]
    step = 2.0 / cells
    inner = y[1:-1]

    def operator(t: Any) -> tuple[Any, Any, Any]:
        upper = curve(t)[0]
        x = upper.at * inner
        value, slope = jax.vmap(lambda x: jax.jvp(lambda x: drift(t, x), (x,), (jnp.ones_like(x),)))(x)
        outward = (x - start) / t
        speed = (inner * upper.slope - outward - value) / upper.at
        centre = speed / (2.0 * step * stretch[1:-1])
        spread = 0.5 / (upper.at * step) ** 2 / stretch[1:-1]
        left, right = spread / between[:-1], spread / between[1:]
        return left - centre, -(left + right) - (slope - value * outward), right + centre

    def implicit(t: Any, weight: Any, right_side: Any) -> Any:
        low, main, high = (-weight * band for band in operator(t))
        bands = low.at[0].set(0.0), 1.0 + main, high.at[-1].set(0.0)
        return lax.linalg.tridiagonal_solve(*bands, right_side[:, None])[:, 0]

    def advance(state: tuple[Any, Any], t: Any) -> tuple[Any, Any]:
        before, r = state
        weight = GAMMA * (t - before)
        middle = implicit(before + weight, weight, r)
        stepped = implicit(t, weight, r + (1.0 - GAMMA) / GAMMA * (middle - r))
        r = jnp.where(t < first, _early(curve, drift, start, t, inner), stepped)
        return (t, r), _log_flux(curve, start, t, r, step, stretch)

    begin = times[1]
    r = _early(curve, drift, start, begin, inner)
    logs = lax.scan(advance, (begin, r), times[2:])[1]
    start_logs = _log_flux(curve, start, begin, r, step, stretch)
    upper, lower = (jnp.concatenate([jnp.array([-jnp.inf, a]), b]) for a, b in zip(start_logs, logs, strict=True))
    return upper, lower


def _grid(xi: Any) -> tuple[Any, Any]:
    """Graded points in [-1, 1] and their derivative."""
    rate = 0.5 * GRADING * math.pi
    return jnp.sin(rate * xi) / math.sin(rate), rate * jnp.cos(rate * xi) / math.sin(rate)


def _early(curve: Callable[..., Any], drift: Callable[..., Any], start: Any, t: Any, y: Any) -> Any:
    """The ratio r at an early time.

    Girsanov's factor along the straight way from the start, and for either boundary the probability that a Brownian
    bridge does not cross its tangent.
    """
    upper, lower, _ = curve(t)
    x = upper.at * y
    share = jnp.maximum(jnp.linspace(0.0, 1.0, SIMPSON), 1e-6)
    weight = jnp.full(SIMPSON, 2.0).at[1::2].set(4.0).at[jnp.array([0, SIMPSON - 1])].set(1.0) / (3 * (SIMPSON - 1))

    def log_factor(x: Any) -> Any:
        def part(u: Any) -> Any:
            way = start + u * (x - start)
            value, slope = jax.jvp(lambda x: drift(u * t, x), (way,), (jnp.ones_like(way),))
            return value * (x - start) - 0.5 * t * (value**2 + slope)

        return jnp.sum(weight * jax.vmap(part)(share))

    # What a bridge adds that is not straight: nothing for a drift that does not change in time.
    waiting = jax.vmap(lambda u: drift(u * t, start))(share)
    spread = jnp.sum(weight * waiting**2) - jnp.sum(weight * waiting) ** 2
    missed = [
        -jnp.expm1(-2.0 * jnp.maximum(sign * (edge.at - t * edge.slope - start), 0.0) * sign * (edge.at - x) / t)
        for sign, edge in ((1, upper), (-1, lower))
    ]
    return jnp.exp(jax.vmap(log_factor)(x) + 0.5 * t * spread) * missed[0] * missed[1]


def _log_flux(curve: Callable[..., Any], start: Any, t: Any, r: Any, step: float, stretch: Any) -> tuple[Any, Any]:
    """Log of -phi r_x / 2 at the upper, and of phi r_x / 2 at the lower boundary."""
    upper = curve(t)[0]
    slopes = (sum(w * r[-1 - k] for k, w in enumerate(WALL)), sum(w * r[k] for k, w in enumerate(WALL)))
    logs = []
    for sign, slope in zip((1, -1), slopes, strict=True):
        flux = 0.5 * slope / (step * stretch[-1] * upper.at)
        log_phi = -0.5 * (sign * upper.at - start) ** 2 / t - 0.5 * jnp.log(2.0 * math.pi * t)
        logs.append(jnp.where(flux > 0, log_phi + jnp.log(jnp.where(flux > 0, flux, 1.0)), -jnp.inf))
    return logs[0], logs[1]
