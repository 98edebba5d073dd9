"""Diffusions with one boundary and a fixed start: their finishing times are inverse Gaussian (Wald) distributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.closed_view import ONSET_FRACTION, ONSET_MAX, ONSET_MIN
from pymc_lan.models.race.accumulator import FOLDS, Accumulator
from pymc_lan.numerics.passage import LOG_SQRT_2PI, Namespace, Theta
from pymc_lan.numerics.samplers.inverse_gaussian import inverse_gaussian
from pymc_lan.numerics.wiener import log_not_passed

Float = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Wald(Accumulator):
    """Unit noise, drift v > 0, and a boundary at the distance a."""

    tag: ClassVar[str] = "wald"
    own: ClassVar[tuple[str, ...]] = ("v", "a")
    bounded: ClassVar[bool] = True

    def log_density(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log density of the first passage."""
        v, a = theta["v"], theta["a"]
        return xp.log(a) - LOG_SQRT_2PI - 1.5 * xp.log(d) - (a - v * d) ** 2 / (2 * d)

    def log_survivor(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log probability that the boundary has not been reached."""
        return log_not_passed(xp, d, theta["v"], theta["a"])

    def onset(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """Where the density is exp(-10) of its scale, and how it falls there."""
        squared = theta["a"] ** 2
        d_min = xp.maximum(xp.minimum(squared * ONSET_FRACTION, ONSET_MAX), ONSET_MIN)
        return d_min, squared / (2 * d_min**2) - 1.5 / d_min - theta["v"] ** 2 / 2

    def window(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """Where (a - v d)^2 / (2 d) is `FOLDS`."""
        return passage_window(xp, theta["v"], theta["a"], theta["a"])

    def draw(self, rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
        """First passages."""
        times = []
        for theta in thetas:
            v, a = theta["v"], theta["a"]
            times.append(inverse_gaussian(rng, a / v, rng.chisquare(1, len(v)) / (2 * v * a)))
        return np.stack(times)


def passage_window(xp: Namespace, v: Any, nearest: Any, farthest: Any) -> tuple[Any, Any]:
    """Times of first passages of a distance between two, with drift v > 0."""
    low, high = (x * v + FOLDS for x in (nearest, farthest))
    low, high = (end + xp.sqrt((end - FOLDS + end) * FOLDS) for end in (low, high))
    return xp.maximum(nearest**2 / low, ONSET_MIN), high / (v * v)
