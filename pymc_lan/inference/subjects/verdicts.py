"""Which draws are right: the rule, and what it says of a subject in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.numerics.pareto import smooth

Float = NDArray[np.float64]

# Pareto-smoothed weights are reliable below (Vehtari, Simpson, Gelman, Yao & Gabry 2024, Journal of Machine Learning
# Research 25, 72).
LARGEST_K = 0.7
# k below that with a few per cent of effective draws happens.
LEAST_EFFECTIVE = 0.2
# Chains that have met (Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021, Bayesian Analysis 16, 667-718).
LARGEST_RHAT = 1.01
# Effective draws of all chains together that those authors ask for.
LEAST_OF_CHAINS = 400
# A weight of nothing, in place of minus infinity: smoothing takes differences.
NOTHING = 700.0


@final
@dataclass(frozen=True, slots=True)
class OfWeights:
    """What is known of weighted draws.

    Parameters
    ----------
    step : str
        What they were proposed by.
    k : float
        Pareto k.
    effective : float
        Share of draws.
    """

    step: str
    k: float
    effective: float

    @property
    def right(self) -> bool:
        """The rule: both."""
        return self.k < LARGEST_K and self.effective >= LEAST_EFFECTIVE

    @property
    def words(self) -> str:
        """In words."""
        if not np.isfinite(self.k):
            return f"not right: none of the draws of the {self.step} has a posterior density"
        rule = "" if self.right else f" (wanted: below {LARGEST_K} and at least {100 * LEAST_EFFECTIVE:.0f} %)"
        found = f"Pareto k {self.k:.2f}, {100 * self.effective:.0f} % effective draws{rule}"
        return f"{'right' if self.right else 'not right'}: weighted draws of the {self.step}, {found}"


@final
@dataclass(frozen=True, slots=True)
class OfChains:
    """What is known of chains.

    Parameters
    ----------
    r_hat : float
        The largest of all parameters.
    effective : float
        Share of draws, the smallest of all parameters.
    draws : int
        How many there were.
    """

    r_hat: float
    effective: float
    draws: int
    step = "NUTS"
    k = np.nan

    @property
    def right(self) -> bool:
        """Whether the chains have met, and are long enough for what they say of that."""
        return self.r_hat <= LARGEST_RHAT and self.effective * self.draws >= LEAST_OF_CHAINS

    @property
    def words(self) -> str:
        """In words."""
        found = f"NUTS, r_hat {self.r_hat:.3f}, {100 * self.effective:.0f} % effective draws"
        rule = "" if self.right else f" (wanted: at most {LARGEST_RHAT} and at least {LEAST_OF_CHAINS} draws)"
        return f"{'right' if self.right else 'not right'}: {found}{rule}"


@final
@dataclass(frozen=True, slots=True)
class OfFailure:
    """What is known where there are no draws.

    Parameters
    ----------
    reason : str
    """

    reason: str
    step = "none"
    k = np.nan
    effective = 0.0
    right = False

    @property
    def words(self) -> str:
        """In words."""
        return f"not right: no draws, because {self.reason}"


@final
@dataclass(frozen=True, slots=True)
class OfNothing:
    """What is known of draws that were not checked.

    Parameters
    ----------
    step : str
        Where they are from.
    """

    step: str
    k = np.nan
    effective = np.nan
    right = False

    @property
    def words(self) -> str:
        """In words."""
        return f"not checked: draws of the {self.step} as they are"


Verdict = OfWeights | OfChains | OfFailure | OfNothing


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Weighted draws of one subject's posterior.

    Parameters
    ----------
    rows : ndarray of shape (n, n_values)
        On the unconstrained scale.
    weights : ndarray of shape (n,)
        They add up to 1.
    verdict : OfWeights or OfNothing
    log_p : ndarray of shape (n,)
        Log density of the posterior, up to a constant.
    """

    rows: Float
    weights: Float
    verdict: OfWeights | OfNothing
    log_p: Float

    @property
    def top(self) -> int:
        """The most likely one."""
        return int(np.argmax(self.log_p))


def weighted(step: str, rows: Float, log_p: Float, log_q: Float) -> Draws:
    """Weigh draws from a proposal by the posterior, smoothed by the tail that a generalised Pareto fits.

    Parameters
    ----------
    step : str
    rows : ndarray of shape (n, n_values)
    log_p, log_q : ndarray of shape (n,)
        Log densities of posterior, up to a constant, and proposal.

    Returns
    -------
    Draws

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).standard_normal((1000, 1))
    >>> found = weighted("proposal", x, -0.5 * x[:, 0] ** 2 / 0.8**2, -0.5 * x[:, 0] ** 2)
    >>> found.verdict.right, round(found.verdict.effective, 1)
    (True, 0.9)
    """
    log_p = np.where(np.isfinite(log_p), log_p, -np.inf)
    if log_p.max() == -np.inf:
        return Draws(rows, np.full(len(rows), 1 / len(rows)), OfWeights(step, np.inf, 0.0), log_p)
    ratio = log_p - log_q
    ratio = np.maximum(ratio - ratio.max(), -NOTHING)
    raw = np.exp(ratio)
    effective = float(raw.sum() ** 2 / (raw**2).sum() / len(raw))
    weights, k = smooth(ratio)
    return Draws(rows, weights, OfWeights(step, k if np.isfinite(k) else np.inf, effective), log_p)
