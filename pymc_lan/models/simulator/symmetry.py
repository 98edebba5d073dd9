"""What holds of one choice and, with parameters that change sign or place, of the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.parameters import Parameter

Float = NDArray[np.float64]


class Symmetry(ABC):
    """A change of parameters that does nothing but make the choices change places."""

    __slots__ = ()
    # What the argument of `pymc_lan.simulator_spec` and the entry of a config are called.
    word: ClassVar[str]

    @property
    @abstractmethod
    def named(self) -> tuple[str, ...]:
        """The parameters that change."""

    @property
    def linear(self) -> tuple[str, ...]:
        """Those that networks see on a linear scale, whatever their bounds, because it has to be turned."""
        return ()

    @property
    @abstractmethod
    def stored(self) -> list[Any]:
        """What a config says of it."""

    @property
    @abstractmethod
    def change(self) -> str:
        """When the choices change places, in words."""

    @abstractmethod
    def fits(self, n: int) -> bool:
        """Whether it suits a model of n choices."""

    @abstractmethod
    def views(self, found: Mapping[str, Any], n: int) -> list[list[Any]]:
        """Scaled parameters as each of n choices sees them, its own first."""

    @abstractmethod
    def moved_on(self, parameters: Sequence[Parameter], theta: Float) -> Float:
        """Rows of parameters with which every choice should be what the one before it was."""


@final
@dataclass(frozen=True, slots=True)
class Mirror(Symmetry):
    """Of two choices: parameters that are turned about the middle of their bounds, such as a drift of either sign.

    Parameters
    ----------
    names : tuple of str
    """

    names: tuple[str, ...]
    word: ClassVar[str] = "mirror"

    @property
    def named(self) -> tuple[str, ...]:
        """The parameters that change."""
        return self.names

    @property
    def linear(self) -> tuple[str, ...]:
        """All of them."""
        return self.names

    @property
    def stored(self) -> list[Any]:
        """What a config says of it."""
        return list(self.names)

    @property
    def change(self) -> str:
        """When the choices change places, in words."""
        return f"{' and '.join(self.names)} are turned about the middle of their bounds"

    def fits(self, n: int) -> bool:
        """Whether there are two choices."""
        return n == 2

    def views(self, found: Mapping[str, Any], n: int) -> list[list[Any]]:
        """Scaled parameters as each choice sees them: the last one as they are."""
        return [[-x if name in self.names else x for name, x in found.items()], [*found.values()]]

    def moved_on(self, parameters: Sequence[Parameter], theta: Float) -> Float:
        """Rows of parameters with which every choice should be what the other was."""
        low, high = np.array([p.bounds for p in parameters]).T
        return np.where(np.isin([p.name for p in parameters], self.names), low + high - theta, theta)


@final
@dataclass(frozen=True, slots=True)
class Exchange(Symmetry):
    """Of accumulators that differ in nothing but parameters: groups of one parameter for each choice, in their order.

    Parameters
    ----------
    groups : tuple of tuple of str
    """

    groups: tuple[tuple[str, ...], ...]
    word: ClassVar[str] = "exchange"

    @property
    def named(self) -> tuple[str, ...]:
        """The parameters that change."""
        return tuple(name for group in self.groups for name in group)

    @property
    def stored(self) -> list[Any]:
        """What a config says of it."""
        return list(map(list, self.groups))

    @property
    def change(self) -> str:
        """When the choices change places, in words."""
        return f"each of {' and of '.join(', '.join(group) for group in self.groups)} is moved on by one"

    def fits(self, n: int) -> bool:
        """Whether there is one parameter for each choice."""
        return all(len(group) == n for group in self.groups)

    def views(self, found: Mapping[str, Any], n: int) -> list[list[Any]]:
        """Scaled parameters as each choice sees them, its own first."""
        result = []
        for k in range(n):
            pairs = {old: new for g in self.groups for old, new in zip(g, g[k:] + g[:k], strict=True)}
            result.append([found[pairs.get(name, name)] for name in found])
        return result

    def moved_on(self, parameters: Sequence[Parameter], theta: Float) -> Float:
        """Rows of parameters with which every choice should be what the one before it was."""
        names, moved = [p.name for p in parameters], theta.copy()
        for group in self.groups:
            columns = [names.index(name) for name in group]
            moved[:, columns] = theta[:, np.roll(columns, 1)]
        return moved


def stored_symmetry(entry: Mapping[str, Any]) -> Symmetry | None:
    """That of a network's entry in a config."""
    if entry.get("mirror"):
        return Mirror(tuple(entry["mirror"]))
    return Exchange(tuple(map(tuple, entry["exchange"]))) if entry.get("exchange") else None
