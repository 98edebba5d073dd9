"""Mixtures of multivariate t distributions: drawn from, evaluated, and fitted to weighted draws."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# A scale matrix is pulled towards that of all draws by as much as this share of them would.
PULL = 0.02
# Steps of expectation maximisation: a proposal need not be the most likely one.
STEPS = 15


@dataclass(frozen=True, slots=True, eq=False)
class TMixture:
    """A mixture of multivariate t distributions.

    Parameters
    ----------
    shares : ndarray of shape (k,)
        They add up to 1.
    means : ndarray of shape (k, n)
    roots : ndarray of shape (k, n, n)
        Lower triangular; ``root @ root.T`` is a scale matrix, the covariance where `df` is infinite.
    df : float
        Degrees of freedom.

    Examples
    --------
    >>> import numpy as np
    >>> one = TMixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None], 5.0)
    >>> one.draw(np.random.default_rng(1), 3).shape, one.log_density(np.zeros((1, 2))).round(3)
    ((3, 2), array([-1.838]))
    """

    shares: Float
    means: Float
    roots: Float
    df: float

    def draw(self, rng: np.random.Generator, n: int) -> Float:
        """Rows of draws, in random order."""
        which = rng.choice(len(self.shares), n, p=self.shares)
        normal = rng.standard_normal((n, self.means.shape[1]))
        wide = np.sqrt(self.df / rng.chisquare(self.df, n))
        return self.means[which] + np.einsum("nij,nj->ni", self.roots[which], normal) * wide[:, None]

    def log_density(self, x: Float) -> Float:
        """Of rows of values."""
        with np.errstate(divide="ignore"):
            shares = np.log(self.shares)
        found: Float = np.logaddexp.reduce(self._by_part(x)[0] + shares, axis=1)
        return found

    def _by_part(self, x: Float) -> tuple[Float, Float]:
        """Log density of each part, and squared distances from its mean, (n, k)."""
        n, df = self.means.shape[1], self.df
        inverse = np.linalg.inv(self.roots)
        away = np.einsum("kij,nkj->nki", inverse, x[:, None] - self.means)
        distance = (away**2).sum(axis=2)
        norm = lgamma((df + n) / 2) - lgamma(df / 2) - n / 2 * np.log(df * np.pi)
        norm -= np.log(np.diagonal(self.roots, axis1=1, axis2=2)).sum(axis=1)
        return norm - (df + n) / 2 * np.log1p(distance / df), distance


def fit_t_mixture(rng: np.random.Generator, x: Float, weights: Float, k: int, df: float) -> TMixture:
    """Fit a mixture to weighted draws, by expectation maximisation.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses where the parts begin.
    x : ndarray of shape (n, n_values)
    weights : ndarray of shape (n,)
        They add up to 1.
    k : int
        Number of parts.
    df : float
        Degrees of freedom of each.

    Returns
    -------
    TMixture

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> x = np.concatenate([rng.normal(-5, 1, (500, 1)), rng.normal(5, 1, (500, 1))])
    >>> found = fit_t_mixture(rng, x, np.full(1000, 1e-3), 2, 5.0)
    >>> np.sort(found.means.ravel()).round()
    array([-5.,  5.])
    """
    mean = weights @ x
    spread = np.sqrt(np.maximum(weights @ (x - mean) ** 2, 1e-300))
    # On the scale of the draws, so that what is added to a covariance is small beside each of them.
    y = (x - mean) / spread
    whole = (y * weights[:, None]).T @ y + 1e-6 * np.eye(x.shape[1])
    found = TMixture(
        np.full(k, 1 / k), y[rng.choice(len(y), k, p=weights)], np.linalg.cholesky(np.tile(0.7 * whole, (k, 1, 1))), df
    )
    for _ in range(STEPS):
        log_p, distance = found._by_part(y)
        log_p = log_p + np.log(found.shares)
        mine = weights[:, None] * np.exp(log_p - np.logaddexp.reduce(log_p, axis=1, keepdims=True))
        near = mine * (df + x.shape[1]) / (df + distance)
        shares = mine.sum(axis=0) + 1e-3
        means = (near.T @ y) / (near.sum(axis=0) + 1e-3)[:, None]
        away = y[:, None] - means
        scales = np.einsum("nk,nki,nkj->kij", near, away, away) + PULL * whole
        scales /= (mine.sum(axis=0) + PULL)[:, None, None]
        found = TMixture(shares / shares.sum(), means, np.linalg.cholesky(scales), df)
    return TMixture(found.shares, mean + spread * found.means, spread[:, None] * found.roots, df)
