"""The oddity task: which of three stimuli is the odd one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.density import Network
from pymc_lan.models.parameters import Parameter
from pymc_lan.models.perception.oddity_view import Invariants, OddityViews, axes_of, half_reference
from pymc_lan.models.perception.percepts import (
    Covariance,
    Trial,
    Vector,
    determinant,
    dot,
    draw_percepts,
    solve,
    total,
    trace_of_quotient,
    variance,
)
from pymc_lan.models.perception.task import Task
from pymc_lan.numerics.owen import log_owens_t
from pymc_lan.numerics.passage import Namespace

Float = NDArray[np.float64]


class _Oddity(Task):
    """Two percepts around the reference, one around the comparison: right where the first two are the closest pair.

    Close is what has the smallest squared Mahalanobis distance, by the mean covariance (2 reference + comparison) / 3.
    """

    __slots__ = ()
    chance: ClassVar[float] = 1 / 3

    def answer(self, rng: np.random.Generator, trial: Trial, n: int) -> NDArray[np.bool_]:
        """Draw percepts, and say whether those of the reference are the closest pair."""
        metric = total(trial.reference, trial.comparison, 2.0)
        one, other, odd = draw_percepts(rng, 2, trial, n)
        alike, first, second = (_distance(metric, *pair) for pair in ((one, other), (one, odd), (other, odd)))
        right: NDArray[np.bool_] = alike < np.minimum(first, second)
        return right

    def stimuli(self, theta: Mapping[str, Float]) -> Trial:
        """Stimuli with diagonal covariances, in units of the mean covariance."""
        columns = [np.asarray(theta[name], float) for name in self.names]
        d, t = columns[::2], [half_reference(k) for k in columns[1::2]]
        forms = [[2 * x for x in t], [3 - 4 * x for x in t]]
        return Trial(tuple(d), *((form[0],) if len(d) == 1 else (form[0], 0.0, form[1]) for form in forms))


@final
@dataclass(frozen=True, slots=True, repr=False)
class OddityOnALine(_Oddity):
    """Stimuli of one dimension, in closed form.

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

    def seen(self, xp: Namespace, trial: Trial) -> dict[str, Any]:
        """The displacement in units of the mean standard deviation, and half the reference's share of the variance."""
        mean = total(trial.reference, trial.comparison, 2.0)[0] / 3
        return {"square": trial.displacement[0] ** 2 / mean, "t": 0.5 * trial.reference[0] / mean}

    def log_answers(self, xp: Namespace, network: Network | None, seen: Any) -> list[Any]:
        """Four times Owen's T is the probability of a wrong answer (see `pymc_lan.numerics.oddity`)."""
        square, t = seen["square"], seen["t"]
        wrong = np.log(4) + log_owens_t(xp, square / (3 + 6 * t), xp.sqrt(3 * t / (1 - t)))
        return [wrong, xp.log1p(-xp.exp(wrong))]

    def theta(self, xp: Namespace, seen: Any) -> dict[str, Any]:
        """Its parameters."""
        return {"d": xp.sqrt(seen["square"]), "k": 1.5 / seen["t"] - 2}


@final
@dataclass(frozen=True, slots=True, repr=False)
class OddityInAPlane(_Oddity):
    """Stimuli of two dimensions, by a network.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        d1, k1, d2 and k2.
    description, reference : str
    choices : tuple of int
    """

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    reference: str
    choices: tuple[int, ...] = (0, 1)

    @property
    def views(self) -> OddityViews:
        """A network of the log odds of a right answer."""
        return OddityViews(self)

    def seen(self, xp: Namespace, trial: Trial) -> Invariants:
        """What no change of coordinates changes."""
        mean = total(trial.reference, trial.comparison, 2.0)
        pull = solve(mean, trial.displacement)
        return Invariants(
            1.5 * trace_of_quotient(mean, trial.reference),
            2.25 * determinant(trial.reference) / determinant(mean),
            3 * dot(trial.displacement, pull),
            4.5 * variance(trial.reference, pull),
        )

    def log_answers(self, xp: Namespace, network: Network | None, seen: Any) -> list[Any]:
        """Log probability of a wrong and of a right answer, by the network."""
        assert network is not None
        return self.views.log_answers(xp, network, seen)

    def theta(self, xp: Namespace, seen: Any) -> dict[str, Any]:
        """Displacements along the axes of both covariances, those of the smaller comparison first.

        They end at the bounds, beyond which answers are practically the same.
        """
        found = axes_of(xp, seen)
        return {p.name: xp.clip(found[p.name], *p.bounds) for p in self.parameters}


def _distance(metric: Covariance, x: Vector, y: Vector) -> Any:
    """Squared Mahalanobis distance, by a covariance."""
    apart = tuple(a - b for a, b in zip(x, y, strict=True))
    return dot(apart, solve(metric, apart))
