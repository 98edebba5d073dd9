"""Exact draws from the drift diffusion model.

Conventions: drift ``v`` towards the upper boundary, boundaries at -a and +a (``a`` is *half* the separation),
unit noise, start at -a + 2 a z, response +1 at the upper and -1 at the lower boundary, times in seconds of
decision time (the non-decision time is not added here).
"""

from __future__ import annotations

import math

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
