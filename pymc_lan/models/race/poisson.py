"""Poisson counters, whose finishing times are gamma distributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.closed_view import ONSET_MIN
from pymc_lan.models.race.accumulator import FOLDS, Accumulator
from pymc_lan.models.race.uniform_start import leading
from pymc_lan.numerics.passage import LOG_SQRT_2PI, Namespace, Theta

Float = NDArray[np.float64]

# The rule for a gamma distribution's tail, and by how many e-folds the integrand falls where it ends.
_POINTS, GAMMA_WEIGHTS = (0.5 * x for x in np.polynomial.legendre.leggauss(32))
GAMMA_NODES, GAMMA_FOLDS = _POINTS + 0.5, 34.0
# Stirling's series for log Gamma(z), 1 / (12 z) and so on, and the shift after which its next term is below 1e-16.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
STIRLING_SHIFT = 8


@final
@dataclass(frozen=True, slots=True)
class PoissonCounter(Accumulator):
    """Events come at the constant rate r; the k-th ends the race, k any positive number."""

    tag: ClassVar[str] = "poisson_race"
    own: ClassVar[tuple[str, ...]] = ("r", "k")
    first: ClassVar[int] = 1

    def log_density(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log density of the time of a Poisson counter's k-th event: a gamma density, k any positive number."""
        k, x = theta["k"], theta["r"] * d
        return xp.log(theta["r"]) + (k - 1) * xp.log(x) - x - _log_gamma(xp, k)

    def log_survivor(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log probability that a Poisson counter's k-th event has not come: log of a regularised gamma function.

        The tail on the far side of k, as seen from x = r d, is ``x^k exp(-x) / Gamma(k)`` times the integral over u of
        ``exp(k u - x (exp(u) - 1))`` from 0 to plus or minus infinity, whose integrand falls from 1.
        """
        k, x = theta["k"], theta["r"] * d
        above = x > k
        side, ratio = xp.where(above, 1.0, -1.0), xp.where(above, x / k, 1.0)
        # By then the integrand has fallen by `GAMMA_FOLDS`: it is below its bounds, a parabola and a straight line.
        folds = GAMMA_FOLDS / k
        half = xp.sqrt(2 * folds)
        end = xp.where(above, xp.log1p((folds + half) / ratio), xp.minimum(folds + 1, half + folds / 2))
        u = side * end * leading(GAMMA_NODES, x)
        mean = (leading(GAMMA_WEIGHTS, x) * xp.exp(k * u - x * xp.expm1(u))).sum(axis=0)
        log_tail = k * xp.log(x) - x - _log_gamma(xp, k) + xp.log(end * mean)
        # For k next to 0 the rule is not exact, and may say that a little more than everything has come.
        before = xp.where(above, -1.0, xp.minimum(log_tail, -1e-6))
        return xp.where(above, log_tail, xp.log1p(-xp.exp(before)))

    def onset(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """The smallest time, because the density starts as a power of time."""
        return ONSET_MIN + 0 * theta["k"], (theta["k"] - 1) / ONSET_MIN - theta["r"]

    def window(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """Where ``(x / k)^k exp(k - x)`` is exp(-`FOLDS`), x = r d."""
        k, r = theta["k"], theta["r"]
        first = k * xp.exp(-1 - FOLDS / k) / r
        return xp.maximum(first, ONSET_MIN), (k + FOLDS + xp.sqrt(2 * FOLDS * k)) / r

    def draw(self, rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
        """Times of the k-th event of Poisson counters."""
        return np.stack([rng.gamma(theta["k"], 1 / theta["r"]) for theta in thetas])


def _log_gamma(xp: Namespace, k: Any) -> Any:
    """Log of the gamma function for k > 0, by Stirling's series after a shift."""
    z, product = k + STIRLING_SHIFT, k
    for i in range(1, STIRLING_SHIFT):
        product = product * (k + i)
    square, series = 1 / (z * z), 0.0
    for coefficient in STIRLING[::-1]:
        series = series * square + coefficient
    return (z - 0.5) * xp.log(z) - z + LOG_SQRT_2PI + series / z - xp.log(product)
