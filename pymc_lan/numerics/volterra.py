"""First passages of Brownian motion through two moving boundaries: the pair of Volterra equations.

Conventions: standard Brownian motion without drift starts at ``start`` at time 0, between ``lower(0)`` and
``upper(0)``; times in seconds of decision time. A drift that depends on time only is absorbed into the
boundaries: X - M, with M the integrated drift, has the boundaries b - M and -b - M.

With f the Gaussian transition density, the densities g_u, g_l of first passage solve (Buonocore, Nobile & Ricciardi
1987, Advances in Applied Probability 19, 784-800; Smith 2000, Journal of Mathematical Psychology 44, 408-463)

    g_u(t) = -k_u(t | x0, 0) + int_0^t [g_u(s) k_u(t | u(s), s) + g_l(s) k_u(t | l(s), s)] ds
    g_l(t) =  k_l(t | x0, 0) - int_0^t [g_u(s) k_l(t | u(s), s) + g_l(s) k_l(t | l(s), s)] ds
    k_b(t | y, s) = f(b(t), t | y, s) [b'(t) - (b(t) - y) / (t - s)]

How it is discretised. Time is a smooth function t(x) of a variable in which the grid is uniform, so that the
trapezoid's error comes from the ends of the integral alone (Euler-Maclaurin). At s = 0 the integrand vanishes
with all derivatives, and so do the cross terms at s = t. The term from a boundary to itself is zero for a
straight boundary; for a curved one it behaves as sqrt(t - s) times a smooth function, and the error that leaves is
taken out by changed weights for the points nearest to the diagonal (Navot 1961, Journal of Mathematics and Physics
40, 271-276): what remains is of order 4.5 in the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import ArrayLike, NDArray

from pymc_lan.errors import explain
from pymc_lan.numerics.elementwise import chunks

Float = NDArray[np.float64]
Boundaries = Callable[[Any, Mapping[str, Any]], tuple[Any, Any]]
Clock = Callable[[Any, Mapping[str, Any]], Any]
Pair = tuple[Any, Any]

# What the sum over grid points j >= 1 of sqrt(j h) phi(j h) lacks of the integral over h is -zeta(-1/2) h^(1/2) phi(0)
# - zeta(-3/2) h^(3/2) phi'(0) - zeta(-5/2) h^(5/2) phi''(0) / 2 - ... (Navot 1961). These are the weights of phi(0),
# phi(h), phi(2 h) that say the same: their moments of order k = 0, 1, 2 are -zeta(-1/2 - k).
ZETA = (-0.20788622497735457, -0.025485201889833035, 0.008516928778503305)
NEAR_WEIGHTS = tuple(
    float(w) for w in np.linalg.solve(np.vander([0.0, 1.0, 2.0], increasing=True).T, [-z for z in ZETA])
)

# The grid ends where the boundaries are this close together, relative to their distance at the start ...
COLLAPSED = 1e-4

# ... or where a bound on the density (`_alive`) falls below this [1/s].
FINISHED = 1e-7

# The density starts about where distance^2 / (2 time) falls to this: exp(-18) = 1.5e-8 ...
ONSET_EXPONENT = 18.0

# ... and the grid's power of time is chosen such that this share of the points lies before it.
ONSET_SHARE = 0.05

# Log densities below this count as underflowed: there the tangent approximation, whose logarithm is exact, stands in.
UNDERFLOW = -600.0

# Densities above this [1/s] are those whose logarithm the error estimate speaks about.
RELEVANT = 1e-5

# A change of a log density past this says no more than that the grid was far too coarse.
LARGEST = 1e3
TINY = 1e-300

# Points of the scan that looks for onset and end before the grid is laid out.
SCAN = 400

# The scan starts at this share of the horizon.
SCAN_FROM = 1e-20

# Central differences of eighth order: distance and weight.
DIFFERENCES = ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))

# How much of the grid follows the power of time; the rest follows the clock (`lay_grid`). Measured on `angle` and
# `weibull`: 0.3 and 0.7 have errors a few to a hundred times as large.
POWER_SHARE = 0.5

# Theta solved side by side: their rows of kernels fit in the cache.
CHUNK = 64

# So many rows at a time look no further back than they must. Half as many would save a tenth of the time for 400 steps,
# and cost 2 s more to compile.
GROUP = 200


class Densities(NamedTuple):
    """First-passage densities on a grid of decision times.

    Parameters
    ----------
    times : ndarray of float64, (n_theta, n + 1)
        Decision times in s, of each theta's own grid; ``times[:, 0]`` is 0.
    log_upper, log_lower : ndarray of float64, (n_theta, n + 1)
        Log first-passage density (per second) at the upper and at the lower boundary; -inf at time 0 and where
        there is nothing left to represent.
    survivor : ndarray of float64, (n_theta, n + 1)
        Probability that neither boundary has been reached, clipped at 0 and 1.
    error : ndarray of float64, (n_theta,)
        Estimated largest absolute error of a log density over grid points where it is above 1e-5 per second;
        inf where the solution cannot be used.
    """

    times: Float
    log_upper: Float
    log_lower: Float
    survivor: Float
    error: Float


class Edge(NamedTuple):
    """A curve on the grid and two derivatives: of a boundary by the clock, of the clock by time."""

    at: Any
    slope: Any
    bend: Any


def volterra(
    boundaries: Boundaries,
    theta: Mapping[str, ArrayLike],
    start: ArrayLike,
    horizon: ArrayLike,
    steps: int = 400,
    clock: Clock | None = None,
) -> Densities:
    """First-passage densities of standard Brownian motion through two moving boundaries.

    Parameters
    ----------
    boundaries : callable
        ``boundaries(t, row)`` to ``(upper, lower)``, of one theta and one time t > 0 in s: scalars in, scalars
        out, in ``jax.numpy``. Twice differentiable at t > 0; at 0 only continuous. Pass the same function object
        again, not a new lambda each time: it is compiled once per function and ``steps``.
    theta : mapping of str to array, each (n_theta,)
    start : array, (n_theta,)
        Start of the process, between the boundaries at time 0.
    horizon : array, (n_theta,)
        End of the grid in s. The grid ends earlier where the boundaries have met, or where the density is certain
        to have fallen below 1e-7 per second.
    steps : int
        Grid points per theta less one; a multiple of 4, at least 16.
    clock : callable, optional
        ``clock(t, row)``: the variance of the Brownian motion at time t, increasing from 0, where that is not t itself
        (see `pymc_lan.numerics.special.affine_to_brownian`). Times, boundaries and densities go on being those of t.

    Returns
    -------
    Densities
        With ``n = steps``. The estimate ``error`` compares with the solutions on every second and every fourth
        grid point, see `estimate_error`.

    Raises
    ------
    ValueError
        For shapes that do not agree, a start outside the boundaries, a horizon or steps that are not positive.

    Notes
    -----
    The work grows with the square of ``steps``.

    References
    ----------
    Buonocore, Nobile & Ricciardi (1987), Advances in Applied Probability 19, 784-800; Smith (2000), Journal of
    Mathematical Psychology 44, 408-463.

    Examples
    --------
    >>> import numpy as np
    >>> def boundaries(t, row):
    ...     return row["a"] - 0.1 * t, -row["a"] + 0.1 * t
    >>> found = volterra(boundaries, {"a": np.array([1.0])}, [0.0], [20.0])
    >>> found.times.shape, bool(found.error[0] < 1e-4)
    ((1, 401), True)
    """
    if steps < 16 or steps % 4:
        raise ValueError(explain("steps to be a multiple of 4, at least 16", f"steps={steps}", "round it up"))
    with jax.enable_x64(True):
        columns, origin, end = check_arguments(theta, start, horizon)
        return run_chunks(_compiled(boundaries, steps, clock), CHUNK, columns, origin, end)


def check_arguments(
    theta: Mapping[str, ArrayLike], start: ArrayLike, horizon: ArrayLike
) -> tuple[dict[str, Float], Float, Float]:
    """Parameters, start and horizon as float64 arrays of one shape (n_theta,); ValueError otherwise."""
    origin, end = np.asarray(start, dtype=np.float64), np.asarray(horizon, dtype=np.float64)
    columns = {name: np.asarray(x, dtype=np.float64) for name, x in theta.items()}
    if origin.ndim != 1 or origin.size == 0:
        raise ValueError(explain("start of shape (n_theta,)", f"{origin.shape}", "give one start per theta"))
    for name, x in {**columns, "horizon": end}.items():
        if x.shape != origin.shape:
            raise ValueError(explain(f"{name} of the shape of start, {origin.shape}", f"{x.shape}", "broadcast it"))
    if not (np.isfinite(end) & (end > 0)).all():
        worst = end[~(np.isfinite(end) & (end > 0))][0]
        raise ValueError(explain("a positive and finite horizon in s", f"{worst}", "correct or leave out these theta"))
    return columns, origin, end


def run_chunks(
    solve_chunk: Callable[..., Any], chunk: int, columns: dict[str, Float], start: Float, horizon: Float
) -> Densities:
    """Solve theta chunk by chunk; see `pymc_lan.numerics.elementwise.chunks`."""
    n = start.size
    every = chunks(n, chunk)
    parts = [solve_chunk({name: x[i] for name, x in columns.items()}, start[i], horizon[i]) for i in every]
    inside = np.concatenate([np.asarray(part[0]) for part in parts])[:n]
    if not inside.all():
        found = f"start[{int(np.argmin(inside))}] = {start[np.argmin(inside)]} outside"
        raise ValueError(explain("every start between its boundaries at time 0", found, "correct or leave it out"))
    return Densities(*(np.concatenate([np.asarray(part[1][k]) for part in parts])[:n] for k in range(5)))


@lru_cache(maxsize=64)
def _compiled(boundaries: Boundaries, steps: int, clock: Clock | None) -> Callable[..., Any]:
    """Return the compiled solver of one chunk: (theta, start, horizon) to (start inside, fields of `Densities`)."""

    def one(row: dict[str, Any], start: Any, horizon: Any) -> tuple[Any, tuple[Any, ...]]:
        curve = curve_of(boundaries, clock, row)
        at_zero = boundaries(jnp.zeros(()), row)
        times, scale = lay_grid(curve, at_zero, start, horizon, steps, FINISHED)
        # The derivatives at time 0 may be infinite; whatever stands there is multiplied by a density of zero.
        upper, lower, passed = jax.vmap(curve)(times.at[0].set(times[1]))
        grid = (scale, upper, lower, passed._replace(at=passed.at.at[0].set(0.0)))

        def logs(every: int) -> tuple[Any, Any]:
            scale_, upper, lower, passed = jax.tree.map(lambda x: x[::every], grid)
            above, below = _solve_pair(passed.at, every * scale_ * passed.slope, upper, lower, start)
            log_upper = _log_density(1, passed, upper, start, above)
            return (above + below) * passed.slope, (log_upper, _log_density(-1, passed, lower, start, below))

        density, fine = logs(1)
        survivor = jnp.clip(1.0 - cumulative(density * scale), 0.0, 1.0)
        error = estimate_error(fine, logs(2)[1], logs(4)[1])
        inside = (at_zero[1] < start) & (start < at_zero[0])
        return inside, (times, *fine, survivor, error)

    return jax.jit(jax.vmap(one))


def estimate_error(fine: Pair, half: Pair, quarter: Pair | None = None) -> Any:
    """Estimated error of a pair of log densities from the pairs with every second and with every fourth grid point.

    The change from ``half`` to ``fine``, times how much smaller it is than the change before, as in a geometric
    series; but never less than a seventh of it, Richardson's factor for order three: `volterra` has 4.5, the rest
    is reserve. Without a change before, the change itself.
    """
    last = jnp.maximum(*(_log_change(log[::2], other) for log, other in zip(fine, half, strict=True)))
    if quarter is None:
        return last
    before = jnp.maximum(*(_log_change(log[::2], other) for log, other in zip(half, quarter, strict=True)))
    return last * jnp.clip(last / jnp.clip(before, TINY, LARGEST), 1.0 / 7.0, 1.0)


def _log_change(log: Any, other: Any) -> Any:
    """Largest absolute difference of two log densities where one is above `RELEVANT`; inf where that is no number."""
    matters = jnp.maximum(log, other) > math.log(RELEVANT)
    change = jnp.max(jnp.where(matters, jnp.abs(log - other), 0.0))
    valid = jnp.isfinite(change) & ~jnp.isnan(log).any() & ~jnp.isnan(other).any()
    return jnp.where(valid, change, jnp.inf)


def cumulative(values: Any) -> Any:
    """Cumulative integral over a uniform grid of step 1, from cubics through four points; 0 before the first."""
    before, after = jnp.pad(values[:-2], (1, 0)), jnp.pad(values[2:], (0, 1), mode="edge")
    pieces = (13.0 * (values[:-1] + values[1:]) - before - after) / 24.0
    return jnp.pad(jnp.cumsum(pieces), (1, 0))


def curve_of(boundaries: Boundaries, clock: Clock | None, row: dict[str, Any]) -> Callable[[Any], tuple[Edge, ...]]:
    """Return both boundaries, differentiated by the clock, and the clock, differentiated by time, at a time."""

    def values(t: Any) -> Any:
        return (*boundaries(t, row), t if clock is None else clock(t, row))

    def slopes(t: Any) -> Any:
        return jax.jvp(values, (t,), (jnp.ones_like(t),))

    def curve(t: Any) -> tuple[Edge, ...]:
        derivatives = jax.jvp(slopes, (t,), (jnp.ones_like(t),))
        (at, first), (_, second) = jax.tree.map(lambda x: jnp.broadcast_to(x, t.shape), derivatives)
        rate, change = first[2], second[2]
        upper, lower = (Edge(at[k], first[k] / rate, (second[k] - first[k] / rate * change) / rate**2) for k in (0, 1))
        return upper, lower, Edge(at[2], rate, change)

    return curve


def lay_grid(
    curve: Callable[..., Any], at_zero: Any, start: Any, horizon: Any, steps: int, finished: float
) -> tuple[Any, Any]:
    """Times of the grid, and dt/dx times the step of x.

    With s = (t / T)^(1/p), the power p chosen by the onset of the density, x is a mixture of s and of a clock that
    runs faster where the boundaries are close together or move fast.
    """
    onset, end = onset_and_end(curve, at_zero, start, horizon, finished)
    power = jnp.clip(jnp.log(onset / end) / math.log(ONSET_SHARE), 1.0, 20.0)

    def clock_rate(s: Any) -> Any:
        t = jnp.maximum(s, 1e-3 / steps) ** power * end
        upper, lower, clock = curve(t)
        width = jnp.maximum(upper.at - lower.at, COLLAPSED * (at_zero[0] - at_zero[1]))
        # A slope that is infinite at time 0 does not matter before the onset of the density.
        speed = 0.25 * (upper.slope**2 + lower.slope**2) / (1.0 + (onset / t) ** 2)
        return (0.5 * math.pi**2 / width**2 + speed) * clock.slope * power * t / jnp.maximum(s, 1e-3 / steps)

    nodes = jnp.linspace(0.0, 1.0, 4 * SCAN + 1)
    rates = jax.vmap(clock_rate)(nodes)
    total = jnp.sum(0.5 * (rates[1:] + rates[:-1])) / (4 * SCAN)

    def pace(s: Any) -> Any:
        return 1.0 / (POWER_SHARE + (1.0 - POWER_SHARE) * clock_rate(s) / total)

    def advance(s: Any, _: None) -> tuple[Any, Any]:
        def stage(before: Any, share: Any) -> tuple[Any, Any]:
            rate = pace(s + share * before / steps)
            return rate, rate

        k1, k2, k3, k4 = lax.scan(stage, jnp.zeros(()), jnp.array([0.0, 0.5, 0.5, 1.0]))[1]
        ahead = s + (k1 + 2.0 * k2 + 2.0 * k3 + k4) / (6.0 * steps)
        return ahead, ahead

    s = jnp.concatenate([jnp.zeros(1), lax.scan(advance, jnp.zeros(()), None, length=steps)[1]])
    # The method's error leaves the last point a little off the end.
    s = s / s[-1]
    # Differences of the points themselves, and not the pace they were laid with, which the method's own error makes
    # inconsistent with them; at the ends, where there is no density yet or any more, the pace will do.
    step = sum(w * (s[4 + k : steps - 3 + k] - s[4 - k : steps - 3 - k]) for k, w in DIFFERENCES)
    step = jnp.concatenate([jax.vmap(pace)(s[:4]) / steps, step, jax.vmap(pace)(s[-4:]) / steps])
    return end * s**power, end * power * s ** (power - 1.0) * step


def onset_and_end(
    curve: Callable[..., Any], at_zero: Any, start: Any, horizon: Any, finished: float
) -> tuple[Any, Any]:
    """Time at which the density starts, and the time after which there is none, in s."""
    wide = horizon * jnp.geomspace(SCAN_FROM, 1.0, SCAN)
    upper, lower, clock = jax.vmap(curve)(wide)
    near = jnp.minimum(upper.at - start, start - lower.at)
    begun = near**2 < 2.0 * ONSET_EXPONENT * clock.at
    onset = jnp.where(begun.any(), wide[jnp.argmax(begun)], horizon)

    # The scan is coarse: what it finds is looked at again between the last time alive and the next.
    alive, spent = _alive(curve, at_zero, onset, wide, 0.0, finished)
    last = jnp.where(alive.all(), SCAN, jnp.argmin(alive)) - 1
    lower_end, spent_then = jnp.where(last < 0, 0.0, wide[last]), jnp.where(last < 0, 0.0, spent[last])
    fine = lower_end + (wide[jnp.minimum(last + 1, SCAN - 1)] - lower_end) * jnp.arange(SCAN) / SCAN
    alive, _ = _alive(curve, at_zero, onset, fine, spent_then, finished)
    end = fine[jnp.where(alive.all(), SCAN, jnp.argmin(alive)) - 1]
    return jnp.minimum(onset, 0.5 * end), end


def _alive(
    curve: Callable[..., Any], at_zero: Any, onset: Any, times: Any, spent: Any, finished: float
) -> tuple[Any, Any]:
    """Whether there may be a density at each time, and the integral in its bound, which starts from ``spent``.

    With half width h and centre c, the distance Y from the centre is, while inside, Brownian motion reweighted by
    exp(-int c' dY - int c'^2 / 2 dt) (Girsanov), and Y / h is one between constant boundaries in the clock
    int dt / h^2, reweighted by exp(-int (h' / h) Y dY ...); integrated by parts, with abs(Y) <= h, the exponents
    are at most those below. Between constant boundaries the survivor falls as exp(-pi^2 / 8 clock).
    """
    upper, lower, clock = jax.vmap(curve)(jnp.append(times, onset))
    narrowest = COLLAPSED * (at_zero[0] - at_zero[1])
    half = 0.5 * jnp.maximum(upper.at - lower.at, narrowest)
    drift, narrowing = 0.5 * (upper.slope + lower.slope), 0.5 * (upper.slope - lower.slope)
    turning, bending = 0.5 * (upper.bend + lower.bend), 0.5 * (upper.bend - lower.bend)
    hazard = clock.slope * (math.pi**2 / (8.0 * half**2) + 0.5 * drift**2)
    rate = (hazard - clock.slope * half * (jnp.abs(turning) + 0.5 * jnp.abs(bending)))[:-1]
    rate = jnp.where(times >= onset, rate, 0.0)
    spent = spent + jnp.pad(jnp.cumsum(0.5 * (rate[1:] + rate[:-1]) * jnp.diff(times)), (1, 0))
    edge = half * (jnp.abs(drift) + 0.5 * jnp.abs(narrowing))
    log_bound = jnp.log(hazard[:-1]) + edge[:-1] + edge[-1] - spent
    open_ = (half[:-1] > 0.5 * narrowest) & (
        (times < onset) | (log_bound > (math.log(finished) if finished > 0 else -math.inf))
    )
    return lax.cummin(open_.astype(int)) > 0, spent


def _log_density(sign: int, clock: Edge, edge: Edge, start: Any, density: Any) -> Any:
    """Log of a solution of the equations, per second; where it underflows, of its tangent approximation."""
    t = jnp.where(clock.at > 0, clock.at, 1.0)
    distance = sign * (edge.at - start)
    pull = distance / t - sign * edge.slope
    exponent = -0.5 * distance**2 / t
    tangent = exponent - 0.5 * jnp.log(2.0 * math.pi * t) + jnp.log(jnp.where(pull > 0, pull, 1.0))
    log = jnp.log(jnp.where(density > 0, density, 1.0))
    log = jnp.where(density > 0, log, -jnp.inf)
    log = jnp.where((exponent < UNDERFLOW) & (pull > 0), tangent, log)
    return jnp.where(clock.at > 0, log + jnp.log(clock.slope), -jnp.inf)


def _solve_pair(times: Any, scale: Any, upper: Edge, lower: Edge, start: Any) -> tuple[Any, Any]:
    """Densities at both boundaries on the grid, row by row; each row is explicit in the rows before it."""
    n = times.size - 1
    t = jnp.where(times > 0, times, 1.0)

    def source(edge: Edge) -> Any:
        distance = edge.at - start
        return jnp.exp(-0.5 * distance**2 / t) / jnp.sqrt(2.0 * math.pi * t) * (edge.slope - distance / t)

    # The point on the diagonal: the kernel tends to b'' sqrt(elapsed) / (2 sqrt(2 pi)); its density is still unknown.
    diagonal = NEAR_WEIGHTS[0] * scale**1.5 / (2.0 * math.sqrt(2.0 * math.pi))
    divisors = 1.0 - diagonal * upper.bend, 1.0 + diagonal * lower.bend
    sources = -source(upper), source(lower)

    def row_of(columns: int) -> Callable[..., Any]:
        back_t, back_upper, back_lower = times[:columns], upper.at[:columns], lower.at[:columns]
        count = jnp.arange(columns)

        def row(weighted: Any, i: Any) -> tuple[Any, Any]:
            behind = i - count
            elapsed = jnp.where(behind > 0, times[i] - back_t, 1.0)
            inverse = 1.0 / elapsed
            gauss = jnp.where(behind > 0, jnp.sqrt(inverse / (2.0 * math.pi)), 0.0)
            near = 1.0 + sum(jnp.where(behind == k, NEAR_WEIGHTS[k] / math.sqrt(k), 0.0) for k in (1, 2))

            def kernel(edge: Edge, other: Any) -> Any:
                distance = (edge.at[i] - other) * inverse
                return gauss * jnp.exp(-0.5 * distance**2 * elapsed) * (edge.slope[i] - distance)

            g_upper, g_lower = weighted[0][:columns], weighted[1][:columns]
            into_upper = jnp.sum(near * kernel(upper, back_upper) * g_upper + kernel(upper, back_lower) * g_lower)
            into_lower = jnp.sum(kernel(lower, back_upper) * g_upper + near * kernel(lower, back_lower) * g_lower)
            new = (sources[0][i] + into_upper) / divisors[0][i], (sources[1][i] - into_lower) / divisors[1][i]
            weighted = tuple(w.at[i].set(g * scale[i]) for w, g in zip(weighted, new, strict=True))
            return weighted, new

        return row

    weighted = (jnp.zeros(n + 1), jnp.zeros(n + 1))
    found = []
    for first in range(1, n + 1, GROUP):
        last = min(first + GROUP - 1, n)
        weighted, rows = lax.scan(row_of(last), weighted, jnp.arange(first, last + 1))
        found.append(rows)
    above, below = (jnp.concatenate([jnp.zeros(1), *(rows[k] for rows in found)]) for k in (0, 1))
    return above, below
