"""Diffusions that are reflected at 0: accumulators whose density and survivor are learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.closed_view import ONSET_FRACTION, ONSET_MAX, ONSET_MIN
from pymc_lan.models.race.accumulator import Accumulator
from pymc_lan.models.race.reflected_view import LAN, SURVIVOR, slope
from pymc_lan.numerics.passage import CLOSED, Namespace, Theta, softplus
from pymc_lan.numerics.samplers.reflected import draw_reflected

Float = NDArray[np.float64]


# In units of the squared distance, and of the squared boundary: before and after, the density is below exp(-50) of its
# scale.
EARLY, LATE = 0.005, 40.0


class _Reflected(Accumulator):
    """Unit noise, drift v, evidence that cannot fall below 0, and a boundary that may fall in a straight line."""

    __slots__ = ()
    learned: ClassVar[bool] = True

    def log_density(self, xp: Namespace, d: Any, theta: Theta, *network: Any) -> Any:
        """Log density (per second) of the finishing time of one accumulator."""
        (lan,) = network
        return LAN.baseline(xp, d, None, theta) + lan(LAN.inputs(xp, d, None, theta))

    def log_survivor(self, xp: Namespace, d: Any, theta: Theta, *network: Any) -> Any:
        """Log probability that one accumulator has not finished: never above 0."""
        (survivor,) = network
        return -softplus(xp, SURVIVOR.baseline(xp, d, theta) + survivor(SURVIVOR.inputs(xp, d, theta)))

    def onset(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """Where the density is exp(-10) of its scale, and how it falls there."""
        squared = (theta["a"] * (1 - theta["z"])) ** 2
        d_min = xp.maximum(xp.minimum(squared * ONSET_FRACTION, ONSET_MAX), ONSET_MIN)
        return d_min, squared / (2 * d_min**2) - 1.5 / d_min - theta["v"] ** 2 / 2

    def window(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """From when a path may have gone the distance until even one without drift has, or the boundary has come."""
        squared, closes = theta["a"] ** 2, (1 - CLOSED) / xp.maximum(slope(xp, theta), 1 / LATE)
        return EARLY * squared * (1 - theta["z"]) ** 2, squared * closes

    def draw(self, rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
        """Finishing times of every accumulator."""
        return draw_reflected(rng, thetas)


@final
@dataclass(frozen=True, slots=True)
class Reflected(_Reflected):
    """Each accumulator starts where it likes."""

    tag: ClassVar[str] = "reflected"
    own: ClassVar[tuple[str, ...]] = ("v", "z")


@final
@dataclass(frozen=True, slots=True)
class ReflectedNoBias(_Reflected):
    """All accumulators start at the same height."""

    tag: ClassVar[str] = "reflected_no_bias"
    own: ClassVar[tuple[str, ...]] = ("v",)
