"""Discrimination with two or three alternatives: which stimulus is the comparison, where it is known how it differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.density import Network
from pymc_lan.models.parameters import Parameter
from pymc_lan.models.perception.percepts import Trial, dot, draw_percepts, solve, total, variance
from pymc_lan.models.perception.task import Task
from pymc_lan.numerics.owen import log_outside_wedge, log_tail
from pymc_lan.numerics.passage import Namespace

Float = NDArray[np.float64]

# Added to squares and variances that are 0 where two stimuli are the same.
TINY = 1e-30


class _Alternatives(Task):
    """The reference once or twice, and the comparison: the percept that lies farthest in its direction is chosen.

    The direction is y, ``(reference + comparison) y = displacement``: that of the best linear rule for two stimuli.
    """

    __slots__ = ()

    @property
    def references(self) -> int:
        """How often the reference is shown."""
        return round(1 / self.chance) - 1

    def answer(self, rng: np.random.Generator, trial: Trial, n: int) -> NDArray[np.bool_]:
        """Draw percepts, and say whether that of the comparison lies farthest; guess where there is no direction."""
        y = solve(total(trial.reference, trial.comparison), trial.displacement)
        *others, last = (dot(x, y) for x in draw_percepts(rng, self.references, trial, n))
        farthest = last > np.max(others, axis=0)
        same = np.all([x == 0 for x in trial.displacement], axis=0)
        right: NDArray[np.bool_] = np.where(same, rng.random(n) < self.chance, farthest)
        return right

    def stimuli(self, theta: Mapping[str, Float]) -> Trial:
        """Stimuli on a line, in units in which the difference of two percepts has variance 1."""
        d, k = (np.asarray(theta[name], float) for name in ("d", "k"))
        return Trial((d,), (1 / (1 + k),), (k / (1 + k),))

    def seen(self, xp: Namespace, trial: Trial) -> dict[str, Any]:
        """The displacement in standard deviations of a difference of percepts, and the ratio of variances along y."""
        y = solve(total(trial.reference, trial.comparison), trial.displacement)
        # Of the root of 0 the derivative is infinite, of this one 0.
        d = xp.sqrt(dot(trial.displacement, y) + TINY)
        return {"d": d, "k": (variance(trial.comparison, y) + TINY) / (variance(trial.reference, y) + TINY)}

    def theta(self, xp: Namespace, seen: Any) -> dict[str, Any]:
        """Its parameters are what is seen."""
        return dict(seen)


@final
@dataclass(frozen=True, slots=True, repr=False)
class TwoAlternatives(_Alternatives):
    """The reference and the comparison.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        d and k.
    description, reference : str
    choices : tuple of int
    """

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    reference: str
    choices: tuple[int, ...] = (0, 1)
    chance = 1 / 2

    def log_answers(self, xp: Namespace, network: Network | None, seen: Any) -> list[Any]:
        """The normal distribution of the difference of both percepts."""
        wrong = log_tail(xp, seen["d"])
        return [wrong, xp.log1p(-xp.exp(wrong))]


@final
@dataclass(frozen=True, slots=True, repr=False)
class ThreeAlternatives(_Alternatives):
    """The reference twice, and the comparison.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        d and k.
    description, reference : str
    choices : tuple of int
    """

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    reference: str
    choices: tuple[int, ...] = (0, 1)
    chance = 1 / 3

    def log_answers(self, xp: Namespace, network: Network | None, seen: Any) -> list[Any]:
        """The two differences from the comparison are normal, with the correlation k / (1 + k)."""
        wrong = log_outside_wedge(xp, seen["d"], 1 / xp.sqrt(1 + 2 * seen["k"]))
        return [wrong, xp.log1p(-xp.exp(wrong))]
