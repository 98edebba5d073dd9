"""Simulators: exact draws from the drift diffusion model; any two-boundary diffusion in JAX.

Conventions: drift ``v`` towards the upper boundary, boundaries at -a and +a (``a`` is *half* the separation),
unit noise, start at -a + 2 a z, response +1 at the upper and -1 at the lower boundary, times in seconds of
decision time (the non-decision time is not added here).

JAX is imported by `simulate_diffusion` when it is called: forked workers import `ddm_draw` from here, and a
JAX call in a forked worker hangs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

# Where the two expansions of the density of J*(1, 0) change over: the value of Devroye (2009, Statistics &
# Probability Letters 79, 2251-2259) and Polson, Scott & Windle (2013, JASA 108, 1339-1349), near the best
# acceptance rate. The sampler is exact for any value for which the alternating series' terms decrease.
SWITCH = 0.64

# Above this tilt, exp(tilt) Phi(-(SWITCH tilt + 1) / sqrt(SWITCH)), the second term of an inverse Gaussian
# distribution function, is below 1e-200 of the first, and exp(2 tilt) would come to overflow.
STRONG_TILT = 40.0

# A start within this share of the separation of a boundary counts as being on it: what it would take to get
# away has probability below 1e-12, and a start of z = 0 or 1, rounded or meant, ends at once with the
# boundary's response.
ON_BOUNDARY = 1e-12

# Trials that `simulate_diffusion` advances side by side. The last trials run at full width, so fewer lanes are
# better for few trials (1,000 trials of 1 s: 7 ms with 256 lanes, 24 ms with 1,024); 100,000 take as long.
LANES = 256

# Steps between two looks for decided trials: a decided trial idles for half of it on average.
STEPS_PER_LOOK = 16


@njit(cache=True)
def _series_term(n: int, x: float) -> float:
    """Coefficient n of the alternating series of the density of J*(1, 0) at x; they decrease."""
    k = n + 0.5
    if x <= SWITCH:
        scale = 2.0 / (math.pi * x)
        return math.pi * k * scale * math.sqrt(scale) * math.exp(-2.0 * k * k / x)
    return math.pi * k * math.exp(-0.5 * (k * math.pi) ** 2 * x)


@njit(cache=True)
def _share_of_tail(tilt: float) -> float:
    """Share of the proposal that is the exponential above SWITCH; the rest is the inverse Gaussian below it.

    Both masses are taken times exp(tilt), so that neither underflows before the other decides.
    """
    rate = 0.125 * math.pi**2 + 0.5 * tilt * tilt
    tail = 0.5 * math.pi / rate * math.exp(tilt - rate * SWITCH)
    scale = math.sqrt(2.0 * SWITCH)
    body = math.erfc((1.0 - SWITCH * tilt) / scale)
    if tilt < STRONG_TILT:
        body += math.exp(2.0 * tilt) * math.erfc((1.0 + SWITCH * tilt) / scale)
    return tail / (tail + body)


@njit(cache=True)
def _truncated_inverse_gaussian(rng: np.random.Generator, tilt: float) -> float:
    """Inverse Gaussian of mean 1 / tilt and shape 1, given that it is below SWITCH."""
    if tilt * SWITCH < 1.0:
        # The mean lies above the cut: 1 / chi-square below the cut (Devroye's tail), thinned by the tilt.
        while True:
            e = rng.standard_exponential()
            if e * e <= 2.0 * rng.standard_exponential() / SWITCH:
                x = SWITCH / (1.0 + SWITCH * e) ** 2
                if rng.random() <= math.exp(-0.5 * tilt * tilt * x):
                    return x
    mean = 1.0 / tilt
    while True:
        # Michael, Schucany & Haas (1976); the smaller root as 1 / larger root, which does not cancel.
        y = rng.standard_normal() ** 2
        half = 0.5 * mean * y
        x = mean / (1.0 + half + math.sqrt(half * (2.0 + half)))
        if rng.random() * (mean + x) > mean:
            x = mean * mean / x
        if x < SWITCH:
            return x


@njit(cache=True)
def _exit_time(rng: np.random.Generator, tilt: float) -> float:
    """Exit time of Brownian motion with drift ``tilt`` >= 0 from (-1, 1), started at 0.

    That is J*(1, tilt), of density cosh(tilt) exp(-tilt^2 x / 2) f(x) with f the density at tilt 0.
    """
    share = _share_of_tail(tilt)
    while True:
        if rng.random() < share:
            x = SWITCH + rng.standard_exponential() / (0.125 * math.pi**2 + 0.5 * tilt * tilt)
        else:
            x = _truncated_inverse_gaussian(rng, tilt)
        # The partial sums close in on the density from above and below in turn: stop when they have decided.
        total = _series_term(0, x)
        threshold = rng.random() * total
        n = 0
        while True:
            n += 1
            total -= _series_term(n, x)
            if threshold <= total:
                return x
            n += 1
            total += _series_term(n, x)
            if threshold > total:
                break


@njit(cache=True)
def ddm_draw(rng: np.random.Generator, v: float, a: float, z: float) -> tuple[float, int]:
    """One exact draw of the drift diffusion model, compiled by numba.

    From where it is, the process first leaves the widest symmetric interval that ends at the nearer boundary.
    The exit time is a Jacobi variable, the side is independent of it; repeat from the new point until it is a
    boundary.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness; its state advances.
    v : float
        Drift towards the upper boundary, finite.
    a : float
        Half the boundary separation, a > 0 and finite.
    z : float
        Relative starting point, 0 <= z <= 1. The arguments are not checked, see `ddm_draws`.

    Returns
    -------
    decision_time : float
        In seconds.
    response : int
        +1 upper, -1 lower boundary.

    References
    ----------
    Devroye (2009), Statistics & Probability Letters 79, 2251-2259; Polson, Scott & Windle (2013), Journal of
    the American Statistical Association 108, 1339-1349 (the tilt).

    Examples
    --------
    >>> import numpy as np
    >>> time, response = ddm_draw(np.random.default_rng(1), 1.0, 1.0, 0.5)
    >>> time > 0, response in (-1, 1)
    (True, True)
    """
    below, above = 2.0 * a * z, 2.0 * a * (1.0 - z)
    floor = 2.0 * a * ON_BOUNDARY
    time = 0.0
    while below > floor and above > floor:
        radius = min(below, above)
        time += radius * radius * _exit_time(rng, abs(v) * radius)
        if rng.random() * (1.0 + math.exp(-2.0 * abs(v) * radius)) < 1.0:
            step = math.copysign(radius, v)
        else:
            step = -math.copysign(radius, v)
        below += step
        above -= step
    return time, 1 if above <= floor else -1


@njit(cache=True)
def _fill_draws(
    rng: np.random.Generator,
    v: NDArray[np.float64],
    a: NDArray[np.float64],
    z: NDArray[np.float64],
    time: NDArray[np.float64],
    response: NDArray[np.int64],
) -> None:
    for i in range(time.size):
        time[i], response[i] = ddm_draw(rng, v[i], a[i], z[i])


def ddm_draws(
    rng: np.random.Generator, v: ArrayLike, a: ArrayLike, z: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Exact draws of the drift diffusion model, one per element of the broadcast parameters.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    v, a, z : array_like
        Drift (finite), half the boundary separation (a > 0), relative starting point (0 <= z <= 1).

    Returns
    -------
    decision_time : ndarray of float64
        In seconds, of the broadcast shape.
    response : ndarray of int64
        +1 upper, -1 lower boundary.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> time, response = ddm_draws(np.random.default_rng(1), np.zeros((2, 3)), 1.0, 0.5)
    >>> time.shape, response.shape
    ((2, 3), (2, 3))
    """
    drift, half, start = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (v, a, z)))
    for name, x, valid, expected in (
        ("v", drift, np.isfinite(drift), "finite"),
        ("a", half, (half > 0) & np.isfinite(half), "positive and finite"),
        ("z", start, (start >= 0) & (start <= 1), "between 0 and 1"),
    ):
        if not valid.all():
            raise ValueError(f"{name} must be {expected}; found {x[~valid][0]}. Correct or mask it.")
    time = np.empty(drift.size)
    response = np.empty(drift.size, dtype=np.int64)
    _fill_draws(rng, drift.ravel(), half.ravel(), start.ravel(), time, response)
    return time.reshape(drift.shape), response.reshape(drift.shape)


def simulate_diffusion(
    key: Any,
    drift: Callable[[Any, Any, dict[str, Any]], Any],
    boundary: Callable[[Any, dict[str, Any]], Any],
    theta: Mapping[str, ArrayLike],
    start: ArrayLike,
    *,
    dt: float = 0.01,
    horizon: float = 20.0,
) -> tuple[Any, Any]:
    """First passages of dx = drift(t, x) dt + dW through +boundary(t) or -boundary(t), one per trial.

    Steps are those of the stochastic Heun method (weak order two with additive noise). Within a step the path
    is a Brownian bridge between its ends and the boundary a straight line: whether it crosses is drawn with
    probability exp(-2 (b0 - x0) (b1 - x1) / dt), and when it does, the time is drawn from the bridge's
    first-passage distribution. For constant drift and linear boundaries both are exact. What remains: the
    curvature of the boundary and of the drift within a step, of order dt^2, and looking at each boundary as
    if the other were not there, which matters only where the two are about sqrt(dt) apart.

    Parameters
    ----------
    key : jax.Array
        A JAX random key. The same key gives the same result.
    drift : callable
        ``drift(t, x, row)`` of one trial, in ``jax.numpy``: scalars in, scalar out; ``row`` is that trial's
        parameters.
    boundary : callable
        ``boundary(t, row)``: height of the upper boundary; the lower one is its negative.
    theta : mapping of str to array, each (n,)
        Parameters by name.
    start : array, (n,)
        Starting points x0.
    dt : float
        Step in seconds.
    horizon : float
        Where the simulation ends, in seconds.

    Returns
    -------
    decision_time : jax.Array, (n,)
        Seconds; ``inf`` where undecided at the horizon. In float64 where JAX's x64 mode is on.
    response : jax.Array of int32, (n,)
        +1 upper, -1 lower boundary, 0 undecided.

    Raises
    ------
    ValueError
        If an array is not of shape (n,), or dt or horizon is not positive.

    Notes
    -----
    Compiled once per (drift, boundary, dt, horizon) and per power of two above n: pass the same function
    objects again, not a new lambda each time.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> def drift(t, x, row):
    ...     return row["v"]
    >>> def boundary(t, row):
    ...     return row["a"] - 0.1 * t
    >>> theta = {"v": jnp.ones(5), "a": jnp.ones(5)}
    >>> time, response = simulate_diffusion(jax.random.key(1), drift, boundary, theta, jnp.zeros(5))
    >>> time.shape, response.shape
    ((5,), (5,))
    """
    import jax.numpy as jnp

    if not (dt > 0 and horizon > 0):
        raise ValueError(f"dt and horizon must be positive; found dt={dt}, horizon={horizon}. Give seconds.")
    dtype = jnp.result_type(float)
    origin = jnp.asarray(start, dtype=dtype)
    columns = {name: jnp.asarray(x, dtype=dtype) for name, x in theta.items()}
    if origin.ndim != 1 or origin.size == 0:
        raise ValueError(f"start must have shape (n,), n >= 1; found {origin.shape}. Give one value per trial.")
    for name, x in columns.items():
        if x.shape != origin.shape:
            raise ValueError(
                f"{name} must have the shape of start, {origin.shape}; found {x.shape}. Broadcast it first."
            )
    n = origin.size
    padding = (0, (1 << (n - 1).bit_length()) - n)
    columns = {name: jnp.pad(x, padding, mode="edge") for name, x in columns.items()}
    run = _compiled(drift, boundary, float(dt), float(horizon))
    time, response = run(key, n, jnp.pad(origin, padding, mode="edge"), columns)
    return time[:n], response[:n]


class _Lane(NamedTuple):
    """One trial under way: at ``x`` after ``step`` steps; once it crosses, the ends of that step."""

    step: Any
    x: Any
    x_next: Any
    up: Any
    down: Any


def _bridge_step(
    drift: Callable[..., Any],
    boundary: Callable[..., Any],
    dt: float,
    row: dict[str, Any],
    lane: _Lane,
    noise: Any,
) -> _Lane:
    """One step of one trial; a trial that has crossed stays as it is."""
    import jax.numpy as jnp

    normal, uniform = noise
    t = lane.step * dt
    kick = math.sqrt(dt) * normal
    slope = drift(t, lane.x, row)
    slope_ahead = drift(t + dt, lane.x + slope * dt + kick, row)
    x_next = lane.x + 0.5 * (slope + slope_ahead) * dt + kick
    bound, bound_ahead = boundary(t, row), boundary(t + dt, row)

    def crossing_probability(side: int) -> Any:
        gap, gap_ahead = bound - side * lane.x, bound_ahead - side * x_next
        return jnp.exp(-2.0 * jnp.maximum(gap, 0.0) * jnp.maximum(gap_ahead, 0.0) / dt)

    # One uniform serves both sides, from its two ends. The generator returns exact zeros, which half a unit
    # of its resolution keeps from meaning a crossing far from the boundary.
    decided = lane.up | lane.down
    up = uniform + 0.5 * np.finfo(uniform.dtype).eps < crossing_probability(1)
    down = 1.0 - uniform <= crossing_probability(-1)
    crossed = up | down
    return _Lane(
        step=jnp.where(decided | crossed, lane.step, lane.step + 1),
        x=jnp.where(decided | crossed, lane.x, x_next),
        x_next=jnp.where(decided, lane.x_next, x_next),
        up=jnp.where(decided, lane.up, up),
        down=jnp.where(decided, lane.down, down),
    )


def _bridge_time(dt: float, gap: Any, gap_ahead: Any, normal: Any, uniform: Any) -> Any:
    """Time within a step at which a Brownian bridge crosses a line, given that it does.

    ``gap`` and ``gap_ahead`` are the distances to the line at the ends of the step. In s = tau / (dt - tau)
    the bridge is a Brownian motion, and s inverse Gaussian of mean gap / abs(gap_ahead) and shape gap^2 / dt:
    drawn as Michael, Schucany & Haas (1976) do, in terms of 1 / s, which stays finite where gap_ahead is 0.
    """
    import jax.numpy as jnp

    started = gap > 0
    gap = jnp.where(started, gap, 1.0)
    rate = jnp.abs(gap_ahead) / gap
    spread = 0.5 * dt * (normal / gap) ** 2
    inverse = rate + spread + jnp.sqrt(spread * (2.0 * rate + spread))
    inverse = jnp.where(uniform * (inverse + rate) < inverse, inverse, rate * rate / inverse)
    return jnp.where(started, dt / (1.0 + inverse), 0.0)


def _finish(
    boundary: Callable[..., Any], dt: float, horizon: float, key: Any, lane: _Lane, row: dict[str, Any]
) -> tuple[Any, Any]:
    """Decision time and response of one trial from the step in which it crossed."""
    import jax
    import jax.numpy as jnp

    normal_key, uniform_key = jax.random.split(key)
    normal = jax.random.normal(normal_key, (2,), lane.x.dtype)
    uniform = jax.random.uniform(uniform_key, (2,), lane.x.dtype)
    t = lane.step * dt
    bound, bound_ahead = boundary(t, row), boundary(t + dt, row)
    times = [
        t + _bridge_time(dt, bound - side * lane.x, bound_ahead - side * lane.x_next, normal[i], uniform[i])
        for i, side in enumerate((1, -1))
    ]
    times = [jnp.where(crossed, time, jnp.inf) for crossed, time in zip((lane.up, lane.down), times, strict=True)]
    time = jnp.minimum(*times)
    within = time <= horizon
    response = jnp.where(times[0] <= times[1], 1, -1).astype(jnp.int32)
    return jnp.where(within, time, jnp.inf), jnp.where(within, response, 0)


@lru_cache(maxsize=64)
def _compiled(drift: Callable[..., Any], boundary: Callable[..., Any], dt: float, horizon: float) -> Callable[..., Any]:
    """Return the compiled simulator: (key, n, start, theta) to (time, response), arrays padded.

    A lane whose trial is decided takes the next waiting trial, so the work is the sum of the trials'
    durations and not the number of trials times the slowest. A trial's random numbers depend on the key and
    its number only.
    """
    import jax
    import jax.numpy as jnp

    n_steps = math.ceil(horizon / dt - 1e-9)
    step = partial(_bridge_step, drift, boundary, dt)

    def advance(key: Any, trial: Any, lane: _Lane, row: dict[str, Any]) -> _Lane:
        look_key = jax.random.fold_in(jax.random.fold_in(key, trial), lane.step)
        normal_key, uniform_key = jax.random.split(look_key)
        normal = jax.random.normal(normal_key, (STEPS_PER_LOOK,), lane.x.dtype)
        uniform = jax.random.uniform(uniform_key, (STEPS_PER_LOOK,), lane.x.dtype)
        return jax.lax.scan(lambda lane, noise: (step(row, lane, noise), None), lane, (normal, uniform))[0]

    def finish(key: Any, trial: Any, lane: _Lane, row: dict[str, Any]) -> tuple[Any, Any]:
        return _finish(boundary, dt, horizon, jax.random.fold_in(key, trial), lane, row)

    advance_all = jax.vmap(advance, in_axes=(None, 0, 0, 0))
    finish_all = jax.vmap(finish, in_axes=(None, 0, 0, 0))

    def fresh(x: Any) -> _Lane:
        return _Lane(jnp.zeros(x.shape, jnp.int32), x, x, jnp.zeros(x.shape, bool), jnp.zeros(x.shape, bool))

    @jax.jit
    def run(key: Any, n: Any, start: Any, theta: dict[str, Any]) -> tuple[Any, Any]:
        step_key, finish_key = jax.random.split(key)
        bucket = start.size

        def pick(trials: Any) -> tuple[Any, dict[str, Any]]:
            return start[trials], {name: x[trials] for name, x in theta.items()}

        def look(state: Any) -> Any:
            waiting, trials, lanes, done = state
            rows = pick(jnp.minimum(trials, bucket - 1))[1]
            lanes = advance_all(step_key, trials, lanes, rows)
            ended = lanes.up | lanes.down | (lanes.step >= n_steps)
            slots = jnp.where(ended, trials, bucket)
            done = jax.tree.map(lambda all_, new: all_.at[slots].set(new, mode="drop"), done, lanes)
            trials = jnp.where(ended, waiting + jnp.cumsum(ended) - 1, trials).astype(jnp.int32)
            renewed = fresh(pick(jnp.minimum(trials, bucket - 1))[0])
            lanes = jax.tree.map(partial(jnp.where, ended), renewed, lanes)
            return waiting + ended.sum(dtype=jnp.int32), trials, lanes, done

        width = min(LANES, bucket)
        trials = jnp.arange(width, dtype=jnp.int32)
        first = (jnp.int32(width), trials, fresh(start[:width]), fresh(start))
        done = jax.lax.while_loop(lambda state: (state[1] < n).any(), look, first)[3]
        return finish_all(finish_key, jnp.arange(bucket), done, theta)

    return run
