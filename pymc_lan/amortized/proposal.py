"""Draws of a network as a proposal of `pymc_lan.posteriors`: weighed by the likelihood, or as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final, override

import numpy as np
from numpy.typing import NDArray

from pymc_lan.amortized.networks import Network
from pymc_lan.amortized.values import Scale
from pymc_lan.inference.subjects.proposals import Proposal, Target, Tried
from pymc_lan.inference.subjects.verdicts import Draws, OfNothing, weighted

Float = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a network says of one data set.

    Parameters
    ----------
    network : Network
    scale : Scale
    centre, spread : ndarray of shape (n_values,)
        Of the values that it was trained with.
    condition : ndarray of shape (m,)
    fastest : float
        The fastest response time.
    """

    network: Network
    scale: Scale
    centre: Float
    spread: Float
    condition: Float
    fastest: float

    @property
    def middle(self) -> Float:
        """The middle of the draws, on the network's scale."""
        return self.network.middle(self.scale.n, self.condition)

    def draw(self, rng: np.random.Generator, n: int, *, widened: bool) -> tuple[Float, Float]:
        """Rows of unconstrained values, and their log density."""
        x, log_q = self.network.draw(rng, n, self.scale.n, self.condition, widened=widened)
        rows, wider = self.scale.backward(self.centre + self.spread * x, self.fastest)
        return rows, log_q - np.log(self.spread).sum() - wider


@final
@dataclass(frozen=True, slots=True, eq=False)
class Corrected(Proposal):
    """Draws of a network, some of them widened, that are weighed."""

    answer: Answer
    words: ClassVar[str] = "network"

    @override
    def draws(self, rng: np.random.Generator, target: Target, tried: Sequence[Tried], n: int) -> Tried | None:
        rows, log_q = self.answer.draw(rng, n, widened=True)
        return None, weighted(self.words, rows, target.value(rows), log_q)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Uncorrected(Proposal):
    """Draws of a network as they are."""

    answer: Answer
    words: ClassVar[str] = "network"

    @override
    def draws(self, rng: np.random.Generator, target: Target, tried: Sequence[Tried], n: int) -> Tried | None:
        rows, log_q = self.answer.draw(rng, n, widened=False)
        return None, Draws(rows, np.full(n, 1 / n), OfNothing(self.words), log_q)
