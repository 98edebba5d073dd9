"""Posteriors of a few parameters by adaptive importance sampling: no chains, several modes, and a figure of merit.

Draws come from a mixture of Student's t distributions that is fitted anew to the weighted draws of each round (Cappe,
Douc, Guillin, Marin & Robert 2008, Statistics and Computing 18, 447-459), the first time from modes and their
curvatures. All rounds are weighted together, as draws from the mixture of their proposals (Cornuet, Marin, Mira &
Robert 2012, Scandinavian Journal of Statistics 39, 798-812). The weights are smoothed; their Pareto k says whether they
can be trusted (Vehtari, Simpson, Gelman, Yao & Gabry 2024, Journal of Machine Learning Research 25, 72).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_t
from sklearn.mixture import BayesianGaussianMixture

from pymc_lan.numerics.pareto import smooth

Float = NDArray[np.float64]

# Starts of the search for modes, and how far below the highest one is still of interest [nats].
STARTS, WORTHWHILE = 8, 15.0
# Draws of a round while proposals are fitted, rounds of these, draws of a round that may be the last, and of rounds.
FITTED, FITS, LAST, ROUNDS = 1500, 4, 4000, 10
# What ends the search: effective draws, and k (Vehtari et al.).
ENOUGH, TRUSTED = 400.0, 0.7
# Share of a round's draws that count in a fit at least; where weights are too uneven, they are tempered up to it.
SHARE = 0.06
COMPONENTS, DEGREES = 8, 5.0
# Proposals are wider than what they were fitted to.
WIDER = 1.3
# A log weight so far below the highest is none, and a log density that stands for that of 0.
NOTHING, LOWEST = 600.0, -1e10
# Unbounded coordinates beyond which there is nothing but a bound, and the least curvature that is believed.
FARTHEST, LEAST_CURVATURE = 9.0, 0.2


class Mixture(NamedTuple):
    """Shares of the components, and these."""

    shares: Float
    parts: list[multivariate_t]

    def draw(self, rng: np.random.Generator, n: int) -> Float:
        counts = rng.multinomial(n, self.shares)
        drawn = [p.rvs(k, random_state=rng).reshape(k, -1) for p, k in zip(self.parts, counts, strict=True) if k]
        return np.concatenate(drawn)

    def log_density(self, x: Float) -> Float:
        each = [np.log(s) + p.logpdf(x) for s, p in zip(self.shares, self.parts, strict=True)]
        return np.asarray(logsumexp(each, axis=0))


class Posterior(NamedTuple):
    """Draws with their weights, Pareto's k, and how many draws of equal weight say as much."""

    x: Float
    weights: Float
    k: float
    effective: float

    @property
    def settled(self) -> bool:
        return self.k < TRUSTED and self.effective >= ENOUGH


def sample(
    logp: Callable[[Float], float], dlogp: Callable[[Float], tuple[float, Float]], n: int, rng: np.random.Generator
) -> Posterior:
    """Draw from a posterior of n unbounded parameters, given its log density, and that with its gradient."""
    proposals, rounds, heights = [at_modes(dlogp, starts(logp, n, rng))], [], []
    for done in range(ROUNDS):
        x = proposals[-1].draw(rng, FITTED if done < FITS else LAST)
        rounds.append(x)
        heights.append(np.array([logp(row) for row in x]))
        if done >= FITS and (found := together(proposals, rounds, heights)).settled:
            break
        log_ratio = bounded(heights[-1] - proposals[-1].log_density(x))
        proposals.append(fitted(x, tempered(log_ratio, SHARE * len(x)), rng))
    return found


def together(proposals: list[Mixture], rounds: list[Float], heights: list[Float]) -> Posterior:
    """The draws of all rounds, weighted as such of the mixture of their proposals."""
    x, n = np.concatenate(rounds), np.array([len(each) for each in rounds])
    each = [np.log(k / n.sum()) + proposal.log_density(x) for proposal, k in zip(proposals, n, strict=True)]
    log_ratio = bounded(np.concatenate(heights) - logsumexp(each, axis=0))
    return Posterior(x, *smooth(log_ratio), ess(log_ratio))


def bounded(log_ratio: Float) -> Float:
    """Log ratios without infinities, where there is no density."""
    return np.maximum(log_ratio, log_ratio.max() - NOTHING)


def starts(logp: Callable[[Float], float], n: int, rng: np.random.Generator) -> Float:
    """Points where the density is not 0, as it is where boundaries have met before the last response."""
    found: list[Float] = []
    while len(found) < STARTS:
        x = rng.uniform(-1.5, 1.5, n)
        found += [x] if np.isfinite(logp(x)) else []
    return np.array(found)


def at_modes(dlogp: Callable[[Float], tuple[float, Float]], begin: Float) -> Mixture:
    """A mixture with a component at each mode that is high enough."""

    def cost(x: Float) -> tuple[float, Float]:
        value, slope = dlogp(x)
        # Where there is no density there is no way back either: the step was too long.
        return (-float(value), -np.asarray(slope)) if np.isfinite(value) else (-LOWEST, np.zeros_like(x))

    n = begin.shape[1]
    bounds = [(-FARTHEST, FARTHEST)] * n
    found = [minimize(cost, x, jac=True, method="L-BFGS-B", bounds=bounds) for x in begin]
    least, modes, parts, height = min(r.fun for r in found), [], [], []
    for r in sorted(found, key=lambda r: float(r.fun)):
        if r.fun > least + WORTHWHILE or any(np.abs(r.x - other).max() < 0.05 for other in modes):
            continue
        curvature = np.array([(cost(r.x + h)[1] - cost(r.x - h)[1]) / 2e-3 for h in 1e-3 * np.eye(n)])
        values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
        spread = (vectors / np.maximum(values, LEAST_CURVATURE)) @ vectors.T
        modes.append(r.x)
        parts.append(multivariate_t(r.x, WIDER * spread, df=DEGREES))
        height.append((least - r.fun) / 2)
    shares = np.maximum(np.exp(height), 0.05)
    return Mixture(shares / shares.sum(), parts)


def fitted(x: Float, log_weights: Float, rng: np.random.Generator) -> Mixture:
    """A mixture fitted to weighted draws."""
    rows = rng.choice(len(x), 2000, p=np.exp(log_weights - logsumexp(log_weights)))
    centre, scale = x[rows].mean(axis=0), x[rows].std(axis=0) + 1e-9
    # Draws that were taken more than once would be components of their own.
    points = (x[rows] - centre) / scale + 1e-3 * rng.standard_normal((len(rows), x.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that is not at its end yet serves as well
        mixture = BayesianGaussianMixture(n_components=COMPONENTS, reg_covar=1e-3, random_state=0, max_iter=50).fit(
            points
        )
    kept = mixture.weights_ > 1e-3
    shares = mixture.weights_[kept] / mixture.weights_[kept].sum()
    parts = [
        multivariate_t(mean * scale + centre, WIDER * spread * np.outer(scale, scale), df=DEGREES)
        for mean, spread in zip(mixture.means_[kept], mixture.covariances_[kept], strict=True)
    ]
    return Mixture(shares, parts)


def ess(log_ratio: Float) -> float:
    """How many draws of equal weights say as much."""
    return float(np.exp(2 * logsumexp(log_ratio) - logsumexp(2 * log_ratio)))


def tempered(log_ratio: Float, least: float) -> Float:
    """Log ratios, lessened by a factor where they are worth fewer draws."""
    if ess(log_ratio) >= least:
        return log_ratio
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if ess(middle * log_ratio) > least else (low, middle)
    return low * log_ratio
