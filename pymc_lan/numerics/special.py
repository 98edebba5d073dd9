"""The Ornstein-Uhlenbeck process as Brownian motion at a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

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
    The boundaries of `pymc_lan.numerics.volterra.volterra`, which takes the clock beside them:

    >>> import numpy as np
    >>> from pymc_lan.numerics.volterra import volterra
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
        return t * expm1_ratio(2.0 * g * t)

    def time(s: Any) -> Any:
        return s * _log1p_ratio(2.0 * g * s)

    def position(t: Any, x: Any) -> Any:
        return jnp.exp(g * t) * x - v * t * expm1_ratio(g * t)

    def log_jacobian(t: Any) -> Any:
        return 2.0 * g * t

    return AffineClock(clock, time, position, log_jacobian)


def expm1_ratio(y: Any) -> Any:
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
