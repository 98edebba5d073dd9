"""Accumulators whose finishing times are log-normal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.closed_view import ONSET_MAX, ONSET_MIN
from pymc_lan.models.race.accumulator import FOLDS, Accumulator
from pymc_lan.numerics.passage import LOG_SQRT_2PI, Namespace, Theta
from pymc_lan.numerics.wiener import log_ndtr

Float = NDArray[np.float64]

# By so many standard deviations of its log before the median, practically nothing has finished.
EARLIEST = 4.5


@final
@dataclass(frozen=True, slots=True)
class LogNormal(Accumulator):
    """The log of the finishing time is normal: mean m, standard deviation s."""

    tag: ClassVar[str] = "log_normal"
    own: ClassVar[tuple[str, ...]] = ("m", "s")
    bounded: ClassVar[bool] = True

    def log_density(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log density of the finishing time."""
        log_d = xp.log(d)
        return -(((log_d - theta["m"]) / theta["s"]) ** 2) / 2 - LOG_SQRT_2PI - xp.log(theta["s"]) - log_d

    def log_survivor(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log probability that it has not finished."""
        return log_ndtr(xp, (theta["m"] - xp.log(d)) / theta["s"])

    def onset(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """Where the density is exp(-10) of its scale, and how it falls there."""
        log_d = xp.maximum(xp.minimum(theta["m"] - EARLIEST * theta["s"], np.log(ONSET_MAX)), np.log(ONSET_MIN))
        d_min = xp.exp(log_d)
        return d_min, ((theta["m"] - log_d) / theta["s"] ** 2 - 1) / d_min

    def window(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """As many standard deviations on either side of the median."""
        reach = np.sqrt(2 * FOLDS) * theta["s"]
        return xp.exp(theta["m"] - reach), xp.exp(theta["m"] + reach)

    def draw(self, rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
        """Finishing times."""
        return np.stack([rng.lognormal(theta["m"], theta["s"]) for theta in thetas])
