"""What posterior draws are proposed by: a closed family, tried one after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, final, override

import numpy as np
from numpy.typing import NDArray

from pymc_lan.inference.subjects.climb import Modes, climb
from pymc_lan.inference.subjects.verdicts import Draws, weighted
from pymc_lan.numerics.t_mixture import TMixture, fit_t_mixture

Float = NDArray[np.float64]

# Degrees of freedom of all proposals: tails that no posterior of this kind exceeds, at some cost in the middle.
DF = 5.0
# Starts that are climbed from, of all that are looked at.
STARTS = 3
# Parts of a mixture that is fitted, and the effective draws that they ask for.
PARTS = ((6, 300), (3, 50), (1, 0))
# Modes this far below the highest hold nothing.
LOWEST = 10.0
# Modes nearer to each other, in standard deviations, are one.
APART = 1.0
# The least curvature, beside that of the other directions of a value's own scale: a standard deviation of 3.
FLAT = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One subject's posterior.

    Parameters
    ----------
    value, slope : callable
        Of rows of unconstrained values: log densities (n,); log densities and gradients (n, n_values).
    starts : ndarray of shape (k, n_values)
        Where it may be.
    """

    value: Callable[[Float], Float]
    slope: Callable[[Float], tuple[Float, Float]]
    starts: Float


# Proposals, where they are mixtures, and draws from them.
type Tried = tuple[TMixture | None, Draws]


class Proposal(ABC):
    """What draws are proposed by."""

    words: ClassVar[str]

    @abstractmethod
    def draws(self, rng: np.random.Generator, target: Target, tried: Sequence[Tried], n: int) -> Tried | None:
        """Draw and weigh; None where it cannot. `tried` are those before it, and their draws."""


class Mixture(Proposal):
    """A mixture of t distributions."""

    @abstractmethod
    def mixture(self, rng: np.random.Generator, target: Target, tried: Sequence[Tried]) -> TMixture | None:
        """What to draw from; None where it cannot say."""

    @override
    def draws(self, rng: np.random.Generator, target: Target, tried: Sequence[Tried], n: int) -> Tried | None:
        found = self.mixture(rng, target, tried)
        if found is None:
            return None
        rows = found.draw(rng, n)
        return found, weighted(self.words, rows, target.value(rows), found.log_density(rows))


@final
class Laplace(Mixture):
    """The normal approximation at each mode, with the tails of t."""

    words = "Laplace approximation"

    @override
    def mixture(self, rng: np.random.Generator, target: Target, tried: Sequence[Tried]) -> TMixture | None:
        values = target.value(target.starts)
        values = np.where(np.isfinite(values), values, -np.inf)
        best = np.argsort(-values)[:STARTS]
        best = best[np.isfinite(values[best])]
        if not best.size:
            return None
        modes = _distinct(climb(target.slope, target.starts[best]))
        bend, directions = np.linalg.eigh(modes.hessians)
        bend = np.maximum(bend, FLAT)
        covariances = np.einsum("kij,kj,klj->kil", directions, 1 / bend, directions)
        mass = modes.values - 0.5 * np.log(bend).sum(axis=1)
        shares = np.exp(mass - mass.max())
        return TMixture(shares / shares.sum(), modes.points, np.linalg.cholesky(covariances), DF)


@final
class Refit(Mixture):
    """A mixture of t distributions that is fitted to all draws of those before it, weighted as draws from all of these.

    Cornuet, Marin, Mira & Robert (2012), Scandinavian Journal of Statistics 39, 798-812.
    """

    words = "refitted t mixture"

    @override
    def mixture(self, rng: np.random.Generator, target: Target, tried: Sequence[Tried]) -> TMixture | None:
        known = [(mixture, d) for mixture, d in tried if mixture is not None]
        rows, log_p = (np.concatenate(x) for x in zip(*((d.rows, d.log_p) for _, d in known), strict=True))
        log_q = np.logaddexp.reduce([mixture.log_density(rows) for mixture, _ in known])
        every = weighted(self.words, rows, log_p, log_q)
        if not np.isfinite(every.verdict.k):
            return None
        parts = next(k for k, enough in PARTS if every.verdict.effective * len(rows) >= enough)
        return fit_t_mixture(rng, rows, every.weights, parts, DF)


# A fit is mostly better than the draws it was made of, and so worth another.
PROPOSALS: tuple[Proposal, ...] = (Laplace(), *[Refit()] * 8)


def best_of(proposals: Sequence[Proposal], rng: np.random.Generator, target: Target, n: int) -> Draws | None:
    """Draws by the first proposal for which the rule holds, or the best of all; None where none can draw."""
    tried = list[Tried]()
    for proposal in proposals:
        found = proposal.draws(rng, target, tried, n)
        tried += [] if found is None else [found]
        if found is None or found[1].verdict.right:
            break
    by_rule = (x for _, x in tried)
    return max(by_rule, key=lambda x: (x.verdict.right, -x.verdict.k, x.verdict.effective), default=None)


def _distinct(modes: Modes) -> Modes:
    """Modes that are not one and the same, and hold something."""
    kept: list[int] = []
    for i in np.argsort(-modes.values):
        if modes.values[i] < modes.values.max() - LOWEST:
            break
        away = modes.points[i] - modes.points[kept]
        distance = np.einsum("ki,kij,kj->k", away, modes.hessians[kept], away)
        if not (np.abs(distance) < APART**2 * away.shape[1]).any():
            kept.append(int(i))
    return Modes(*(x[kept] for x in modes))
