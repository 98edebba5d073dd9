"""One reflected accumulator solved for: its first-passage density from a Volterra equation, to near rounding.

For Brownian motion that is reflected at 0 with drift v, transition densities are known in closed form, so the density g
of its first passage through B solves one equation of the second kind (Buonocore, Nobile & Ricciardi 1987, Advances in
Applied Probability 19, 784-800):

    g(t) = -2 psi(t | start, 0) + 2 int g(s) psi(t | B(s), s) ds,    2 psi = B' p + dp/dx,    at x = B(t)

where p is the transition density less the drift's factor ``exp(v (x - y) - v^2 (t - s) / 2)``, which g carries too.
For a straight boundary only the reflected part of p is left in the kernel; it vanishes with all its derivatives at
s = t, as g does at 0. So the trapezoidal rule, on times that are even in a smooth scale, converges faster than any
power.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.race.reflected_view import LAN, SURVIVOR, last_time, passage
from pymc_lan.numerics.integrals import running_integral
from pymc_lan.numerics.passage import NUMPY, softplus
from pymc_lan.numerics.spline import spline

Float = NDArray[np.float64]

# Points in time, even in ``log tau + tau / TURN``: from where the density is exp(-40) of its scale to the end.
N_POINTS, TURN, FLOOR = 240, 0.3, 1 / 80
# Below this the tail after the end is taken from how fast the density falls there, else from what is left to one.
LITTLE = 0.02


class Solution(NamedTuple):
    """Finishing times of accumulators.

    Parameters
    ----------
    scale : ndarray, shape (n, N_POINTS)
        Where the points lie in the scale in which they are even.
    times : ndarray, shape (n, N_POINTS)
        Seconds.
    log_density, log_finished, log_survivor : ndarray, shape (n, N_POINTS)
        Per second; log probabilities to have finished and not to have.
    error : ndarray, shape (n,)
        By how much the probability misses one.
    """

    scale: Float
    times: Float
    log_density: Float
    log_finished: Float
    log_survivor: Float
    error: Float


def even_scale(tau: Float) -> Float:
    """The scale in which the points of a solution are even."""
    return np.log(tau) + tau / TURN


def solve_accumulators(theta: Mapping[str, Float], n_points: int = N_POINTS) -> Solution:
    """Solve for the finishing times of accumulators.

    Parameters
    ----------
    theta : mapping of str to ndarray, shape (n,)
        v, a, z and, of boundaries that are not constant, theta.
    n_points : int

    Returns
    -------
    Solution

    Examples
    --------
    >>> import numpy as np
    >>> found = solve_accumulators({"v": np.array([1.0]), "a": np.array([1.0]), "z": np.array([0.2])})
    >>> bool(found.error[0] < 1e-5)
    True
    """
    a, z = theta["a"], theta["z"]
    v, s = theta["v"] * a, a * np.tan(theta.get("theta", np.zeros_like(a)))
    rows = [_solve(*each, n_points) for each in zip(v, s, z, strict=True)]
    scale, u, log_f, log_finished, log_survivor, error = (np.stack(x) for x in zip(*rows, strict=True))
    square = (a * a)[:, None]
    return Solution(scale, u * square, log_f - np.log(square), log_finished, log_survivor, error)


def _solve(v: float, s: float, z: float, n: int) -> tuple[Float, ...]:
    """One accumulator with its boundary at 1 at first."""
    # Not above: importing them changes the filters of warnings.
    from scipy.linalg import solve_triangular
    from scipy.special import wrightomega

    first, last = even_scale(np.array([FLOOR * (1 - z) ** 2, last_time(np, s)]))
    scale, step = np.linspace(first, last, n, retstep=True)
    tau = TURN * wrightomega(scale - np.log(TURN))
    height = 1 / (1 + s * tau)
    u = tau * height
    weight = step * height**2 / (1 / tau + 1 / TURN)
    value, slope = _reflected(v, height + z, u)
    straight = np.exp(-0.5 * (height - z) ** 2 / u) / np.sqrt(2 * np.pi * u)
    source = s * (straight + value) + (height - z) / u * straight - slope
    i, j = np.tril_indices(n, -1)
    value, slope = _reflected(v, height[i] + height[j], (tau[i] - tau[j]) * height[i] * height[j])
    system = np.eye(n)
    system[i, j] = (s * value - slope) * weight[j]
    reduced = solve_triangular(system, source, lower=True, unit_diagonal=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_f = np.log(reduced) + v * (height - z) - 0.5 * v * v * u
    even = np.where(np.isfinite(log_f), np.exp(log_f), 0.0) * weight
    finished = running_integral(even[None])[0]
    left = 1 - finished[-1]
    if left < LITTLE and s >= 0:
        # In the boundary's clock what is left is nearly an exponential distribution.
        late = even[-2:] / (step / (1 / tau[-2:] + 1 / TURN))
        left = late[1] * (tau[-1] - tau[-2]) / np.log(late[0] / late[1]) if late[1] > 0 else 0.0
    survivor = left + running_integral(even[None, ::-1])[0][::-1]
    with np.errstate(divide="ignore"):
        logs = np.log(finished), np.log(survivor.clip(0))
    return scale, u, log_f, *logs, np.abs(finished[-1] + left - 1)


def _reflected(v: float, c: Float, lag: Float) -> tuple[Float, Float]:
    """The part of a transition density that has been at the wall, c = x + y, and its derivative by x.

    It is ``phi(c) (1 - 2 v sqrt(lag) M)``, M the Mills ratio at ``(c + v lag) / sqrt(lag)`` (Linetsky 2005, Methodology
    and Computing in Applied Probability 7, 21-30, less the drift's factor).
    """
    from scipy.special import erfcx

    root = np.sqrt(lag)
    gain = v * root * np.sqrt(0.5 * np.pi) * erfcx((c / root + v * root) / np.sqrt(2))
    density = np.exp(-0.5 * c * c / lag) / (np.sqrt(2 * np.pi) * root)
    return density * (1 - 2 * gain), density * (2 * v * (1 - gain) - c / lag)


def at_times(found: Solution, theta: Mapping[str, Float], row: int, times: Float) -> tuple[Float, Float]:
    """Log density and log survivor of one accumulator of a solution at any times, seconds.

    Splines go through what the closed forms leave over, which is smooth; before the first and after the last point it
    stays as it is there.

    Parameters
    ----------
    found : Solution
    theta : mapping of str to ndarray, shape (n,)
        What was solved for.
    row : int
    times : ndarray, shape (k,)

    Returns
    -------
    log_density, log_survivor : ndarray, shape (k,)
    """
    mine = {name: x[row] for name, x in theta.items()}
    scale = even_scale(passage(NUMPY, times, mine).tau).clip(found.scale[row, 0], found.scale[row, -1])
    residuals = (
        found.log_density[row] - LAN.baseline(NUMPY, found.times[row], None, mine),
        found.log_finished[row] - found.log_survivor[row] - SURVIVOR.baseline(NUMPY, found.times[row], mine),
    )
    density, odds = (spline(found.scale[row], x)(scale) for x in residuals)
    log_density = LAN.baseline(NUMPY, times, None, mine) + density
    return log_density, -softplus(NUMPY, SURVIVOR.baseline(NUMPY, times, mine) + odds)
