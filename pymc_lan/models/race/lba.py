"""Linear ballistic accumulators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.closed_view import ONSET_MAX, ONSET_MIN
from pymc_lan.models.race.accumulator import FOLDS, LATEST, Accumulator
from pymc_lan.models.race.uniform_start import log_mean_speed, log_mean_survivor
from pymc_lan.numerics.passage import Namespace, Theta
from pymc_lan.numerics.wiener import log_add, log_ndtr

Float = NDArray[np.float64]

# Standard deviation of an LBA's drift across trials. It sets the unit of evidence; the value is HSSM's.
LBA_SD = 0.1


@final
@dataclass(frozen=True, slots=True)
class LBA(Accumulator):
    """Evidence grows in a straight line, at a speed that is normal across trials: mean v, standard deviation `LBA_SD`.

    It goes a distance that is uniform on [b - A, b] (Brown & Heathcote 2008, Cognitive Psychology 57, 153-178).
    """

    tag: ClassVar[str] = "lba"
    own: ClassVar[tuple[str, ...]] = ("v",)
    order: ClassVar[tuple[str, str] | None] = ("A", "b")

    def log_density(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log density of the finishing time of a linear ballistic accumulator (Brown & Heathcote 2008, equation 2).

        It goes the distance D, uniform on [b - A, b], at a speed that is normal: mean v, standard deviation `LBA_SD`.
        """
        start, length = _range(xp, d, theta)
        least = (theta["b"] - theta["A"]) / d
        mean = log_mean_speed(xp, theta["v"], LBA_SD, start, length, least, theta["A"] / d)
        return mean - xp.log(LBA_SD * d)

    def log_survivor(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log probability that a linear ballistic accumulator has not finished (Brown & Heathcote 2008, equation 1)."""
        return log_mean_survivor(xp, *_range(xp, d, theta), None)

    def onset(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """Where the density is exp(-10) of its scale, and how it falls there."""
        gap = theta["b"] - theta["A"]
        d_min = xp.maximum(xp.minimum(gap / (4.5 * LBA_SD), ONSET_MAX), ONSET_MIN)
        lacking = xp.maximum((gap / d_min - theta["v"]) / LBA_SD, 0.0)
        return d_min, lacking * gap / (LBA_SD * d_min**2)

    def window(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """From the fastest that goes the least distance until even one that hardly moves has gone the whole."""
        reach = LBA_SD * np.sqrt(2 * FOLDS)
        first = (theta["b"] - theta["A"]) / (xp.maximum(theta["v"], 0.0) + reach)
        slowest = xp.maximum(theta["v"] - reach, 0.0)
        return xp.maximum(first, ONSET_MIN), theta["b"] / (slowest + theta["b"] / LATEST)

    def bulk(self, xp: Namespace, theta: Theta) -> Any:
        """When one that is slow has gone the whole distance."""
        return theta["b"] / (0.5 * xp.maximum(theta["v"], LBA_SD))

    def log_some(self, xp: Namespace, thetas: Sequence[Theta]) -> Any:
        """Log probability that any of the drifts is positive, adding up from the last accumulator to the first."""
        *others, last = [theta["v"] / LBA_SD for theta in thetas]
        total = log_ndtr(xp, last)
        for x in reversed(others):
            total = log_add(xp, log_ndtr(xp, x), log_ndtr(xp, -x) + total)
        return total

    def log_never(self, xp: Namespace, thetas: Sequence[Theta]) -> Any:
        """Log probability that none of the drifts is positive."""
        return sum(log_ndtr(xp, -theta["v"] / LBA_SD) for theta in thetas)

    def draw(self, rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
        """Finishing times of linear ballistic accumulators of which one has a positive drift.

        One after another: while none before is positive, this one is with its share of the probability that any of
        those left is.
        """
        from scipy import special

        n = len(thetas[0]["v"])
        later = [self.log_some(np, thetas[i:]) for i in range(len(thetas))]
        none_yet, times = np.ones(n, bool), np.empty((len(thetas), n))
        for i, theta in enumerate(thetas):
            x = theta["v"] / LBA_SD
            log_share = special.log_ndtr(x) - np.where(none_yet, later[i], 0.0)
            positive = np.log1p(-rng.random(n)) <= log_share
            # The inverse of a normal distribution function that is cut off at 0, in logs, so that it holds far out.
            side = np.where(positive, 1.0, -1.0)
            drift = x - side * special.ndtri_exp(np.log1p(-rng.random(n)) + special.log_ndtr(side * x))
            distance = theta["b"] - theta["A"] * rng.random(n)
            with np.errstate(divide="ignore"):
                times[i] = np.where(drift > 0, distance / np.maximum(drift * LBA_SD, 0.0), np.inf)
            none_yet &= ~positive
        return times


def _range(xp: Namespace, d: Any, theta: Theta) -> tuple[Any, Any]:
    """Where x, the speed that is needed less the mean speed, lies: its least value, and by how much it varies."""
    return ((theta["b"] - theta["A"]) / d - theta["v"]) / LBA_SD, theta["A"] / (d * LBA_SD)
