"""One accumulator of a race: a diffusion that is reflected at 0 and finishes at a straight boundary.

Evidence starts at z a, has drift v and unit noise, cannot fall below 0, and finishes where it reaches a - d tan(theta).
With a as unit of evidence and a^2 as unit of time, four numbers are left: the time u, the drift, z, and the slope s of
the boundary, which is at B = 1 - s u. Three facts carry the rest, each of which takes work from the networks:

* in the clock tau = u / B the boundary stands still (as in `pymc_lan.models.diffusion.closed_view`), and without a
  drift the density is a series;
* by Girsanov's theorem a drift multiplies it by ``exp(v (B - z) - v^2 u / 2)``, and by the mean of ``exp(-v L)``, L the
  push that reflection has given; this mean, of order one, is what the likelihood network learns;
* late, that mean falls as fast as evidence is lost at a wall that takes it at the rate v B, for which there is a close
  rational formula.

The survivor network learns the log odds of having finished, less those without reflection (the inverse Gaussian
distribution), so that a survivor is never above one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from pymc_lan.numerics.passage import CLOSED, LOG_SQRT_2PI, Namespace, Theta
from pymc_lan.numerics.wiener import mills

# Up to here in the boundary's clock networks are trained; later, what they say stays as it is.
LAST = 4.0
N_INPUTS = 6

# Where the images hand over to the cosine series: what is left out is below 1e-9 of the sum on either side.
CROSSOVER = 0.4
# Rate at which Brownian motion between a wall and a boundary at distance 1 finishes late: pi^2 / 8 if the wall reflects
# and pi^2 / 2 if it absorbs. In between, at a wall that takes at the rate k, about k GAIN / (k + GAIN) more.
RATE, GAIN = math.pi**2 / 8, 3 * math.pi**2 / 8
# A log1p(x) / x of smaller x is taken from its series.
SMALL = 1e-3
# A boundary that runs away is followed up to this share of all the time there is in its clock.
FAR = 0.99
# Rounding may leave of a positive number nothing or less; its log is taken of this.
LEAST = 1e-290


class Passage(NamedTuple):
    """A trial in units of the boundary at its beginning.

    Parameters
    ----------
    u, tau : array
        Decision time, and the same in the clock of the boundary.
    height : array
        Of the boundary; at least `CLOSED`.
    v, s, z : array
        Drift, slope at which the boundary falls, start.
    """

    u: Any
    tau: Any
    height: Any
    v: Any
    s: Any
    z: Any


def slope(xp: Namespace, theta: Theta) -> Any:
    """By how much the boundary falls in units of its beginning, in that unit's square."""
    return theta["a"] * xp.tan(theta["theta"]) if "theta" in theta else 0.0 * theta["a"]


def last_time(xp: Namespace, s: Any) -> Any:
    """The end of what networks are trained on, in the boundary's clock: `LAST`, or when it has closed or is far."""
    speed = xp.maximum(xp.abs(s), 1e-9)
    return xp.minimum(LAST, xp.where(s > 0, 1 / CLOSED - 1, FAR) / speed)


def passage(xp: Namespace, d: Any, theta: Theta) -> Passage:
    """Scale a trial. After the boundary has come down to 0 the clock goes on at its latest pace."""
    a, s = theta["a"], slope(xp, theta)
    u = d / (a * a)
    open_ = 1 - s * u
    height = xp.maximum(open_, CLOSED)
    inverse = 1 / height - xp.minimum(open_ - CLOSED, 0.0) / CLOSED**2
    return Passage(u, u * inverse, height, theta["v"] * a, s, theta["z"])


def inputs(xp: Namespace, p: Passage) -> tuple[Any, ...]:
    """Inputs of both networks, each of order one."""
    tau = xp.minimum(p.tau, LAST)
    return (
        xp.log1p(10 * tau),
        2 * p.z - 1,
        tau,
        2 * p.v / (p.v + GAIN),
        0.5 * xp.log1p(p.s * tau),
        p.z / (p.z + tau),
    )


def log_driftless(xp: Namespace, tau: Any, z: Any) -> Any:
    """Log density of the time at which Brownian motion reflected at 0 first goes from z to 1."""
    early = xp.minimum(tau, CROSSOVER)
    images = 1 + (1 + z) / (1 - z) * xp.exp(-2 * z / early)
    images = images - ((3 - z) * xp.exp((2 * z - 4) / early) + (3 + z) * xp.exp(-4 * (1 + z) / early)) / (1 - z)
    images = images + ((5 - z) * xp.exp((4 * z - 12) / early) + (5 + z) * xp.exp(-6 * (2 + z) / early)) / (1 - z)
    log_early = xp.log((1 - z) * images) - LOG_SQRT_2PI - 1.5 * xp.log(early) - (1 - z) ** 2 / (2 * early)
    late = xp.maximum(tau, CROSSOVER)
    first = xp.cos(0.5 * math.pi * z)
    square, fall = 4 * first * first, xp.exp(-8 * RATE * late)
    # cos(3 x) / cos(x) and cos(5 x) / cos(x) as polynomials, so that nothing is divided by 0.
    waves = 1 - 3 * (square - 3) * fall + 5 * (square * (square - 5) + 5) * fall**3
    log_late = xp.log(0.5 * math.pi * first * waves) - RATE * late
    return xp.where(tau < CROSSOVER, log_early, log_late)


def log_loss(xp: Namespace, p: Passage) -> Any:
    """About what of the log density is lost to a wall that takes at the rate v B, from the start until tau."""
    x = GAIN * p.s * p.tau / (p.v + GAIN)
    small = xp.abs(x) < SMALL
    away = xp.where(small, 1.0, x)
    mean = xp.where(small, 1 - x * (0.5 - x * (1 / 3 - 0.25 * x)), xp.log1p(away) / away)
    return p.v * GAIN * p.tau / (p.v + GAIN) * mean


def touched(p: Passage) -> Any:
    """From 0 to 1: about how much of what happens late at the wall has happened yet."""
    return p.tau / (p.tau + p.z * p.z)


def log_closed_form(xp: Namespace, p: Passage) -> Any:
    """Log density of u, but for the mean that the network learns."""
    drift = p.v * (p.height - p.z) - 0.5 * p.v * p.v * p.u
    clock = 0.5 * p.s * (p.height - p.z * p.z) - 1.5 * xp.log(p.height)
    return drift + clock + log_driftless(xp, p.tau, p.z)


def log_odds(xp: Namespace, p: Passage) -> Any:
    """Log odds of having finished, without reflection but for what is lost late."""
    distance, speed, root = 1 - p.z, p.v + p.s, xp.sqrt(p.u)
    x, y = distance / root - speed * root, distance / root + speed * root
    near, far = mills(xp, xp.abs(x)), mills(xp, xp.abs(y))
    log_phi = -0.5 * x * x - LOG_SQRT_2PI
    before, falling = x >= 0, y >= 0
    # The smaller probability: to have finished before the mean time, not to have finished after it.
    small = log_phi + xp.log(xp.maximum(xp.where(before, near + far, near - far), LEAST))
    # A boundary that runs away faster than the drift is not reached for certain.
    ever = xp.exp(2 * xp.where(falling, 0.0, speed) * distance)
    runs = xp.log(xp.maximum(ever + xp.exp(xp.where(falling, -1.0, log_phi)) * (near - far), LEAST))
    small = xp.minimum(xp.where(falling, small, runs), -1e-9)
    rest = xp.log1p(-xp.exp(small))
    without = xp.where(before, small - rest, rest - small)
    late = RATE * p.tau + log_loss(xp, p) + 0.5 * xp.log1p(p.s * p.tau)
    return without + late * touched(p)


@dataclass(frozen=True, slots=True)
class ReflectedDensityView:
    """How the likelihood network sees an accumulator.

    The parameters are those of one accumulator: v, a, z and, of a boundary that is not constant, theta.
    """

    n_inputs: int = N_INPUTS

    def baseline(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """The log density (per second) that the network corrects."""
        p = passage(xp, d, theta)
        return log_closed_form(xp, p) - log_loss(xp, p) * touched(p) - 2 * xp.log(theta["a"])

    def inputs(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs."""
        return inputs(xp, passage(xp, d, theta))


@dataclass(frozen=True, slots=True)
class SurvivorView:
    """How the survivor network sees an accumulator."""

    n_inputs: int = N_INPUTS
    log_choice: None = None

    def baseline(self, xp: Namespace, horizon: Any, theta: Theta) -> Any:
        """The log odds of having finished that the network corrects."""
        return log_odds(xp, passage(xp, horizon, theta))

    def inputs(self, xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs."""
        return inputs(xp, passage(xp, horizon, theta))

    def latest(self, xp: Namespace, theta: Theta) -> Any:
        """The end of solutions in seconds, by which practically every race is decided that ever is."""
        a = theta["a"]
        s = slope(xp, theta)
        tau = last_time(xp, s)
        return a * a * tau / (1 + s * tau)


LAN, SURVIVOR = ReflectedDensityView(), SurvivorView()
