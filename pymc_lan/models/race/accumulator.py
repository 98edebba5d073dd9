"""What one accumulator of a race is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pymc_lan.numerics.passage import Namespace, Theta

Float = NDArray[np.float64]


# How small the density is outside of windows, in e-folds; and the end of those that nothing bounds [s].
FOLDS, LATEST = 34.0, 1e6


class Accumulator(ABC):
    """One accumulator of a race, by the names of its parameters without number; all of a race are of one kind.

    A race of any number follows from its log density and its log survivor. Both are written against an array namespace
    ``xp`` and are elementwise; those of one that is learned take the network that corrects them, last.
    """

    __slots__ = ()
    # What a config calls it.
    tag: ClassVar[str]
    # Parameters that each accumulator has for itself, with its number behind the name: v to ``v0``, ``v1``, ...
    own: ClassVar[tuple[str, ...]]
    # The number of the first accumulator.
    first: ClassVar[int] = 0
    # Two parameters, of which the first is not to exceed the second.
    order: ClassVar[tuple[str, str] | None] = None
    # Whether it finishes at a time that its parameters bound from above.
    bounded: ClassVar[bool] = False
    # Whether density and survivor take a network each.
    learned: ClassVar[bool] = False

    @abstractmethod
    def log_density(self, xp: Namespace, d: Any, theta: Theta, *network: Any) -> Any:
        """Log density (per second) of the finishing time d > 0, in seconds."""

    @abstractmethod
    def log_survivor(self, xp: Namespace, d: Any, theta: Theta, *network: Any) -> Any:
        """Log probability that it has not finished by d."""

    @abstractmethod
    def onset(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)`` of the winner: below `d_min` the log density goes on in a straight line."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
        """Finishing times of every accumulator, shape (accumulators, n); inf for never."""

    def window(self, xp: Namespace, theta: Theta) -> tuple[Any, Any]:
        """Times between which practically all is that happens: exp(-`FOLDS`) of its scale is outside."""
        return self.onset(xp, theta)[0], LATEST

    def bulk(self, xp: Namespace, theta: Theta) -> Any | None:
        """When most of what will finish has, of one that may take very long; None of others."""
        return None

    def log_some(self, xp: Namespace, thetas: Sequence[Theta]) -> Any | None:
        """Log probability that any accumulator ever finishes; a trial where none does is drawn again.

        None where one always does.
        """
        return None

    def log_never(self, xp: Namespace, thetas: Sequence[Theta]) -> Any | None:
        """Log probability that none ever finishes; None where one always does."""
        return None


def split(accumulator: Accumulator, n: int, theta: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameters of each of n accumulators, by their names without number; those of a single one have none."""
    if n == 1:
        return [dict(theta)]
    numbers = range(accumulator.first, accumulator.first + n)
    numbered = {f"{name}{i}" for name in accumulator.own for i in numbers}
    shared = {name: x for name, x in theta.items() if name not in numbered}
    return [shared | {name: theta[f"{name}{i}"] for name in accumulator.own} for i in numbers]
