"""Paths of any diffusion between two boundaries, in steps that are joined by Brownian bridges, in JAX.

JAX is imported when a path is simulated, because importing the package does not load it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# Trials that `simulate_diffusion` advances side by side. The last trials run at full width, so fewer lanes are
# better for few trials (1,000 trials of 1 s: 7 ms with 256 lanes, 24 ms with 1,024); 100,000 take as long.
LANES = 256

# Steps between two looks for decided trials: a decided trial idles for half of it on average.
STEPS_PER_LOOK = 16


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
    Compiled once per (drift, boundary) and per power of two above n: pass the same function objects again, not a new
    lambda each time.

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
    return diffuse(key, drift, boundary, columns, origin, dt=dt, horizon=horizon)[:2]


def diffuse(
    key: Any,
    drift: Callable[..., Any],
    boundary: Callable[..., Any],
    theta: Mapping[str, Any],
    start: Any,
    *,
    dt: float,
    horizon: float,
    begin: float = 0.0,
    room: int = 1,
) -> tuple[Any, Any, Any]:
    """Follow paths as `simulate_diffusion` does, from the time `begin` on, for a time `horizon`.

    Arguments are not checked. Times are counted from `begin`. Compiled once per (drift, boundary) and per power of two
    above the number of trials and `room`.

    Returns
    -------
    decision_time, response, position : jax.Array, (n,)
        The position is that of an undecided trial at the end.
    """
    import jax.numpy as jnp

    n = start.shape[0]
    padding = (0, (1 << (max(n, room) - 1).bit_length()) - n)
    columns = {name: jnp.pad(x, padding, mode="edge") for name, x in theta.items()}
    clock = _Clock(begin, dt, math.sqrt(dt), math.ceil(horizon / dt - 1e-9), horizon)
    found = _compiled(drift, boundary)(key, n, clock, jnp.pad(start, padding, mode="edge"), columns)
    return found[0][:n], found[1][:n], found[2][:n]


class _Clock(NamedTuple):
    """When paths begin [s], the step, its root, and how many steps they go, to which time after the beginning."""

    begin: Any
    dt: Any
    root: Any
    n_steps: Any
    horizon: Any


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
    clock: _Clock,
    row: dict[str, Any],
    lane: _Lane,
    noise: Any,
) -> _Lane:
    """One step of one trial; a trial that has crossed stays as it is."""
    import jax.numpy as jnp

    normal, uniform = noise
    dt, t = clock.dt, clock.begin + lane.step * clock.dt
    kick = clock.root * normal
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


def _bridge_time(dt: Any, gap: Any, gap_ahead: Any, normal: Any, uniform: Any) -> Any:
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
    boundary: Callable[..., Any], clock: _Clock, key: Any, lane: _Lane, row: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """Decision time and response of one trial from the step in which it crossed; where it is if it has not."""
    import jax
    import jax.numpy as jnp

    normal_key, uniform_key = jax.random.split(key)
    normal = jax.random.normal(normal_key, (2,), lane.x.dtype)
    uniform = jax.random.uniform(uniform_key, (2,), lane.x.dtype)
    dt, passed = clock.dt, lane.step * clock.dt
    t = clock.begin + passed
    bound, bound_ahead = boundary(t, row), boundary(t + dt, row)
    times = [
        passed + _bridge_time(dt, bound - side * lane.x, bound_ahead - side * lane.x_next, normal[i], uniform[i])
        for i, side in enumerate((1, -1))
    ]
    times = [jnp.where(crossed, time, jnp.inf) for crossed, time in zip((lane.up, lane.down), times, strict=True)]
    time = jnp.minimum(*times)
    within = time <= clock.horizon
    response = jnp.where(times[0] <= times[1], 1, -1).astype(jnp.int32)
    return jnp.where(within, time, jnp.inf), jnp.where(within, response, 0), lane.x


@lru_cache(maxsize=64)
def _compiled(drift: Callable[..., Any], boundary: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled simulator: (key, n, clock, start, theta) to (time, response, position), arrays padded.

    A lane whose trial is decided takes the next waiting trial, so the work is the sum of the trials'
    durations and not the number of trials times the slowest. A trial's random numbers depend on the key and
    its number only.
    """
    import jax
    import jax.numpy as jnp

    def advance(clock: _Clock, key: Any, trial: Any, lane: _Lane, row: dict[str, Any]) -> _Lane:
        look_key = jax.random.fold_in(jax.random.fold_in(key, trial), lane.step)
        normal_key, uniform_key = jax.random.split(look_key)
        normal = jax.random.normal(normal_key, (STEPS_PER_LOOK,), lane.x.dtype)
        uniform = jax.random.uniform(uniform_key, (STEPS_PER_LOOK,), lane.x.dtype)
        step = partial(_bridge_step, drift, boundary, clock, row)
        return jax.lax.scan(lambda lane, noise: (step(lane, noise), None), lane, (normal, uniform))[0]

    def finish(clock: _Clock, key: Any, trial: Any, lane: _Lane, row: dict[str, Any]) -> tuple[Any, Any, Any]:
        return _finish(boundary, clock, jax.random.fold_in(key, trial), lane, row)

    advance_all = jax.vmap(advance, in_axes=(None, None, 0, 0, 0))
    finish_all = jax.vmap(finish, in_axes=(None, None, 0, 0, 0))

    def fresh(x: Any) -> _Lane:
        return _Lane(jnp.zeros(x.shape, jnp.int32), x, x, jnp.zeros(x.shape, bool), jnp.zeros(x.shape, bool))

    @jax.jit
    def run(key: Any, n: Any, clock: _Clock, start: Any, theta: dict[str, Any]) -> tuple[Any, Any, Any]:
        step_key, finish_key = jax.random.split(key)
        bucket = start.size

        def pick(trials: Any) -> tuple[Any, dict[str, Any]]:
            return start[trials], {name: x[trials] for name, x in theta.items()}

        def look(state: Any) -> Any:
            waiting, trials, lanes, done = state
            rows = pick(jnp.minimum(trials, bucket - 1))[1]
            lanes = advance_all(clock, step_key, trials, lanes, rows)
            ended = lanes.up | lanes.down | (lanes.step >= clock.n_steps)
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
        return finish_all(clock, finish_key, jnp.arange(bucket), done, theta)

    return run
