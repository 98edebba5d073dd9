"""Simulators: exact draws of the drift diffusion model, and any two-boundary diffusion in JAX.

JAX is imported when `simulate_diffusion` is called, not before: the exact sampler runs in forked workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

# The two series of Devroye's Jacobi density meet here (Polson, Scott & Windle 2013, section 4.1).
_SWITCH = 0.64
# A start this close to a boundary, relative to the separation, is on it.
_TOUCHING = 1e-12
# Beyond 37 standard deviations a normal tail underflows.
_LARGEST_DEVIATE = 37.0


@njit(cache=True)
def _log_normal_tail(x: float) -> float:
    """log P(Z < -x), cut off where it underflows."""
    return math.log(0.5 * math.erfc(min(x, _LARGEST_DEVIATE) / math.sqrt(2.0)))


@njit(cache=True)
def _coefficient(n: int, x: float) -> float:
    """Term n of the alternating series of the Jacobi density at x."""
    k = n + 0.5
    if x <= _SWITCH:
        return math.pi * k * (2.0 / (math.pi * x)) ** 1.5 * math.exp(-2.0 * k * k / x)
    return math.pi * k * math.exp(-0.5 * k * k * math.pi**2 * x)


@njit(cache=True)
def _truncated_inverse_gaussian(rng: np.random.Generator, z: float) -> float:
    """Inverse Gaussian of mean 1 / z and shape 1, below the switch."""
    if z * _SWITCH < 1.0:
        while True:
            e = rng.standard_exponential()
            while e * e > 2.0 * rng.standard_exponential() / _SWITCH:
                e = rng.standard_exponential()
            x = _SWITCH / (1.0 + _SWITCH * e) ** 2
            if rng.random() < math.exp(-0.5 * z * z * x):
                return x
    mean = 1.0 / z
    while True:
        y = rng.standard_normal() ** 2
        x = mean + 0.5 * mean * mean * y - 0.5 * mean * math.sqrt(4.0 * mean * y + (mean * y) ** 2)
        if rng.random() > mean / (mean + x):
            x = mean * mean / x
        if x < _SWITCH:
            return x


@njit(cache=True)
def _exit_time(rng: np.random.Generator, z: float) -> float:
    """Time at which Brownian motion of drift z leaves (-1, 1): J*(1, z) of Polson, Scott & Windle (2013).

    Mixture proposal of a truncated inverse Gaussian and an exponential tail, accepted by the alternating series.
    Both masses are multiplied by exp(z) so that neither underflows.
    """
    rate = math.pi**2 / 8 + z * z / 2
    tail = math.pi / (2 * rate) * math.exp(z - rate * _SWITCH)
    root = math.sqrt(_SWITCH)
    body = math.erfc((1 - _SWITCH * z) / (root * math.sqrt(2.0)))
    far = (1 + _SWITCH * z) / root
    if far < _LARGEST_DEVIATE:
        body += 2 * math.exp(2 * z + _log_normal_tail(far))
    while True:
        if rng.random() * (tail + body) < tail:
            x = _SWITCH + rng.standard_exponential() / rate
        else:
            x = _truncated_inverse_gaussian(rng, z)
        total = _coefficient(0, x)
        threshold = rng.random() * total
        n = 0
        while True:
            n += 1
            if n % 2 == 1:
                total -= _coefficient(n, x)
                if threshold <= total:
                    return x
            else:
                total += _coefficient(n, x)
                if threshold > total:
                    break


@njit(cache=True)
def ddm_draw(rng: np.random.Generator, v: float, a: float, z: float) -> tuple[float, int]:
    """Draw one decision exactly.

    From any point the process first leaves the largest interval around it that the boundaries allow. The time that takes
    is ``r^2 J*(1, |v| r)``, the side is upper with probability ``1 / (1 + exp(-2 v r))``, and the two are independent; half
    the time or so the exit is a boundary, otherwise the same again from there.

    Parameters
    ----------
    rng : numpy.random.Generator
    v, a, z : float
        Drift, half the boundary separation, relative start.

    Returns
    -------
    decision_time : float
        Seconds.
    response : int
        +1 or -1.

    Examples
    --------
    >>> import numpy as np
    >>> from pymc_lan.simulators import ddm_draw
    >>> ddm_draw(np.random.default_rng(1), 50.0, 1.0, 0.5)[1]
    1
    """
    below, above = 2 * a * z, 2 * a * (1 - z)
    time = 0.0
    while True:
        radius = min(below, above)
        if radius <= _TOUCHING * a:
            return time, -1 if below < above else 1
        time += radius * radius * _exit_time(rng, abs(v) * radius)
        if rng.random() * (1 + math.exp(-2 * v * radius)) < 1:
            if above <= radius:
                return time, 1
            below, above = below + radius, above - radius
        else:
            if below <= radius:
                return time, -1
            below, above = below - radius, above + radius


@njit(cache=True)
def _ddm_draws(rng: Any, v: Any, a: Any, z: Any, time: Any, response: Any) -> None:
    for i in range(time.size):
        time[i], response[i] = ddm_draw(rng, v[i], a[i], z[i])


def ddm_draws(
    rng: np.random.Generator, v: ArrayLike, a: ArrayLike, z: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw decisions exactly, one for each set of parameters.

    Parameters
    ----------
    rng : numpy.random.Generator
    v, a, z : array_like
        Drift, half the boundary separation, relative start; they broadcast.

    Returns
    -------
    decision_time, response : ndarray of the broadcast shape
        Seconds; +1 or -1.

    Examples
    --------
    >>> import numpy as np
    >>> from pymc_lan.simulators import ddm_draws
    >>> time, response = ddm_draws(np.random.default_rng(1), 1.0, 1.0, np.full(1000, 0.5))
    >>> time.shape
    (1000,)
    """
    arrays = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (v, a, z)))
    time, response = np.empty(arrays[0].size), np.empty(arrays[0].size)
    _ddm_draws(rng, *(np.ascontiguousarray(x).ravel() for x in arrays), time, response)
    return time.reshape(arrays[0].shape), response.reshape(arrays[0].shape)


def simulate_diffusion(
    key: Any,
    drift: Callable[..., Any],
    boundary: Callable[..., Any],
    theta: Mapping[str, ArrayLike],
    z: ArrayLike,
    *,
    dt: float = 0.01,
    horizon: float = 20.0,
) -> tuple[Any, Any]:
    """Simulate a diffusion with unit noise between two boundaries, in JAX.

    Between steps the path is a Brownian bridge, so a crossing that the steps miss is drawn with its probability
    ``exp(-2 (b0 - x0) (b1 - x1) / dt)``, and the time of a crossing within its step is drawn from the bridge's first-passage
    law. For constant drift and linear boundaries nothing is left of the step's bias but the chance of touching
    both boundaries within one step; for others the drift is taken at the start of a step.

    Parameters
    ----------
    key : jax.random key
    drift, boundary : callable
        ``drift(time, position, theta)`` and ``boundary(time, theta)`` of one trial, in ``jax.numpy``.
    theta : mapping of str to array_like, shape (n,)
        Per-trial parameters.
    z : array_like, shape (n,)
        Relative start: ``boundary(0) * (2 z - 1)``.
    dt : float
        Step in seconds.
    horizon : float
        Trials undecided by then are given up.

    Returns
    -------
    decision_time, response : jax.Array, shape (n,)
        Seconds and +1 or -1; inf and 0 where undecided.

    Examples
    --------
    >>> import jax, numpy as np
    >>> from pymc_lan.simulators import simulate_diffusion
    >>> from pymc_lan.spec import get_model
    >>> ddm = get_model("ddm")
    >>> theta = dict(v=np.ones(8), a=np.ones(8))
    >>> simulate_diffusion(jax.random.key(0), ddm.drift, ddm.boundary, theta, np.full(8, 0.5))[0].shape
    (8,)
    """
    import jax

    arrays = {name: np.asarray(x, np.float32) for name, x in theta.items()}
    keys = jax.random.split(key, np.size(z))
    return _compiled_diffusion(drift, boundary, dt, horizon)(keys, arrays, np.asarray(z, np.float32))


@lru_cache(maxsize=32)
def _compiled_diffusion(drift: Callable[..., Any], boundary: Callable[..., Any], dt: float, horizon: float) -> Any:
    import jax
    import jax.numpy as jnp

    def crossing(before: Any, after: Any) -> Any:
        return jnp.where(after <= 0, 1.0, jnp.exp(-2 * before * jnp.maximum(after, 0) / dt))

    def trial(key: Any, theta: Any, z: Any) -> Any:
        """One trial: step until a boundary is crossed, then place the crossing within its step."""

        def undecided(state: Any) -> Any:
            _, step, _, response, _ = state
            return (response == 0) & (step * dt < horizon)

        def advance(state: Any) -> Any:
            key, step, x, _, _ = state
            key, noise, chance = jax.random.split(key, 3)
            time = step * dt
            moved = x + drift(time, x, theta) * dt + math.sqrt(dt) * jax.random.normal(noise)
            b0, b1 = boundary(time, theta), boundary(time + dt, theta)
            up, down = crossing(b0 - x, b1 - moved), crossing(b0 + x, b1 + moved)
            u = jax.random.uniform(chance)
            response = jnp.where(u < up, 1, jnp.where(u < up + down, -1, 0))
            gaps = jnp.stack([b0 - response * x, jnp.abs(b1 - response * moved)])
            return key, step + 1, moved, response, gaps

        start = boundary(0.0, theta) * (2 * z - 1)
        key, step, _, response, gaps = jax.lax.while_loop(
            undecided, advance, (key, 0, start, 0, jnp.zeros(2, start.dtype))
        )
        within = dt * _bridge_passage(key, gaps[0], gaps[1], dt)
        return jnp.where(response == 0, jnp.inf, (step - 1) * dt + within), response

    return jax.jit(jax.vmap(trial))


def _bridge_passage(key: Any, before: Any, after: Any, dt: float) -> Any:
    """When a Brownian bridge that crosses a line first does, as a share of its duration.

    The bridge is Brownian motion in the time s / (dt - s), so s / (dt - s) is inverse Gaussian of mean
    before / after and shape before^2 / dt (gaps to the line at both ends); drawn as by Michael, Schucany & Haas (1976).
    """
    import jax
    import jax.numpy as jnp

    tiny = 1e-6
    mean = jnp.maximum(before, tiny) / jnp.maximum(after, tiny)
    shape = jnp.maximum(before, tiny) ** 2 / dt
    noise, chance = jax.random.split(key)
    # The smaller root of the quadratic, written without the difference of its two large terms.
    y = mean * jax.random.normal(noise) ** 2 / (2 * shape)
    root = mean / (1 + y + jnp.sqrt(y * (y + 2)))
    ratio = jnp.where(jax.random.uniform(chance) <= mean / (mean + root), root, mean**2 / root)
    return ratio / (1 + ratio)
