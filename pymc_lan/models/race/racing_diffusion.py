"""Racing diffusions: unit noise, and one boundary each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.closed_view import ONSET_MAX, ONSET_MIN
from pymc_lan.models.race.accumulator import Accumulator
from pymc_lan.models.race.uniform_start import log_mean_speed, log_mean_survivor
from pymc_lan.models.race.wald import passage_window
from pymc_lan.numerics.passage import Namespace, Theta
from pymc_lan.numerics.samplers.inverse_gaussian import inverse_gaussian

Float = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class RacingDiffusion(Accumulator):
    """Unit noise, drift v, and a distance to the boundary that is uniform on [b - A, b].

    Tillman, Van Zandt & Logan (2020), Psychonomic Bulletin & Review 27, 911-936.
    """

    tag: ClassVar[str] = "racing_diffusion"
    own: ClassVar[tuple[str, ...]] = ("v",)
    bounded: ClassVar[bool] = True
    order: ClassVar[tuple[str, str] | None] = ("A", "b")

    def log_density(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log density of the first passage of a diffusion with one boundary (Tillman et al., equation 4).

        Unit noise, drift v, and a distance D to the boundary that is uniform on [b - A, b].
        """
        root = xp.sqrt(d)
        start, length = _range(root, theta)
        least = (theta["b"] - theta["A"]) / d
        return log_mean_speed(xp, theta["v"], 1 / root, start, length, least, theta["A"] / d) - 0.5 * xp.log(d)

    def log_survivor(self, xp: Namespace, d: Any, theta: Theta, *_: Any) -> Any:
        """Log probability that a diffusion with one boundary has not reached it (Tillman et al., equation 5)."""
        root = xp.sqrt(d)
        return log_mean_survivor(xp, *_range(root, theta), theta["v"] * root)

    def onset(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """Where the density is exp(-10) of its scale, and how it falls there."""
        squared = (theta["b"] - theta["A"]) ** 2
        d_min = xp.maximum(xp.minimum(squared / 20, ONSET_MAX), ONSET_MIN)
        return d_min, squared / (2 * d_min**2) - 1.5 / d_min - theta["v"] ** 2 / 2

    def window(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """From the nearest start and from the farthest."""
        return passage_window(xp, theta["v"], theta["b"] - theta["A"], theta["b"])

    def draw(self, rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
        """Finishing times of diffusions with one boundary."""
        times = []
        for theta in thetas:
            n = len(theta["v"])
            distance = theta["b"] - theta["A"] * rng.random(n)
            mean = distance / theta["v"]
            q = rng.chisquare(1, n) / (2 * theta["v"] * distance)
            times.append(inverse_gaussian(rng, mean, q))
        return np.stack(times)


def _range(root: Any, theta: Theta) -> tuple[Any, Any]:
    return (theta["b"] - theta["A"]) / root - theta["v"] * root, theta["A"] / root
