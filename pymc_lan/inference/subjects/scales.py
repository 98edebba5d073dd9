"""On which scale subjects are normal around their group: a closed family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, unknown
from pymc_lan.inference.subjects.ends import ends_of

Float = NDArray[np.float64]


class GroupScale(ABC):
    """From values of a variable to a scale without ends."""

    @abstractmethod
    def of(self, x: Float) -> Float:
        """Values on the scale."""

    @abstractmethod
    def spread(self, x: Float) -> Float:
        """The log of by how much a step on the scale moves the variable."""


@final
@dataclass(frozen=True, slots=True)
class Identity(GroupScale):
    """The variable's own."""

    @override
    def of(self, x: Float) -> Float:
        return x

    @override
    def spread(self, x: Float) -> Float:
        return np.zeros_like(x)


@final
@dataclass(frozen=True, slots=True)
class Log(GroupScale):
    """Of what is positive."""

    @override
    def of(self, x: Float) -> Float:
        return np.log(x)

    @override
    def spread(self, x: Float) -> Float:
        return np.log(x)


@final
@dataclass(frozen=True, slots=True)
class Logit(GroupScale):
    """Of what is between 0 and 1."""

    @override
    def of(self, x: Float) -> Float:
        return np.log(x) - np.log1p(-x)

    @override
    def spread(self, x: Float) -> Float:
        return np.log(x) + np.log1p(-x)


SCALES: Mapping[str, GroupScale] = {"identity": Identity(), "log": Log(), "logit": Logit()}


def scales_of(model: Any, names: list[str], links: Mapping[str, str]) -> dict[str, GroupScale]:
    """A scale for each variable: as it is named, or by where the variable ends.

    Raises
    ------
    ValueError
        For a variable or a link that is not known.
    """
    if other := [name for name in links if name not in names]:
        raise ValueError(unknown("variable of links", other[0], names))
    found = {}
    for name in names:
        link = links.get(name) or _usual(ends_of(model, model[name]))
        if link not in SCALES:
            remedy = f"give one of {', '.join(SCALES)}"
            raise ValueError(explain(f"links[{name!r}] as a link", f"{link!r:.80}", remedy))
        found[name] = SCALES[link]
    return found


def _usual(ends: tuple[float, float] | None) -> str:
    if ends is None or ends[0] < 0:
        return "identity"
    return "logit" if ends == (0.0, 1.0) else "log"
