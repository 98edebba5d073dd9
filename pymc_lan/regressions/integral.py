r"""The likelihood of all trials of one member, its effects integrated out.

For each draw of what all members share (means, covariance, whatever else the trials depend on) the integral of
L(u) N(u; mean, covariance) over the member's effects u is estimated by importance sampling. What is proposed follows
the draw: L is taken to be the normal that makes the member's posterior, over all draws, what it is, and that normal
times N(u; mean, covariance) of the draw is known in closed form. Tails are those of a t distribution, so weights are
bounded where the member's likelihood falls as fast as a normal's.

Where trials depend on nothing but u, one set of nodes, proposed from many draws together, does for all draws.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Degrees of freedom of what is proposed.
FREEDOM = 7.0


class Normal(NamedTuple):
    """Normal distributions, one for each draw.

    Parameters
    ----------
    mean : ndarray, shape (n, k)
    factor : ndarray, shape (n, k, k)
        Lower triangular: the covariance is its product with its transpose.
    """

    mean: Float
    factor: Float

    @property
    def covariance(self) -> Float:
        """The covariances."""
        return self.factor @ self.factor.swapaxes(1, 2)

    def take(self, chosen: NDArray[np.intp]) -> Normal:
        """Some of them."""
        return Normal(self.mean[chosen], self.factor[chosen])


def squared_distance(x: Float, of: Normal) -> tuple[Float, Float]:
    """Squared distances of points from the means, in units of the covariance, and logs of its determinants.

    Parameters
    ----------
    x : ndarray, shape (m, k)
        Of each distribution.
    of : Normal
        n of them.

    Returns
    -------
    distance : ndarray, shape (m, n)
    log_determinant : ndarray, shape (n,)
    """
    inverse = np.linalg.inv(of.factor)
    # For each distribution one matrix product: inverse (x - mean).
    z = np.einsum("nij,mj->min", inverse, x) - np.einsum("nij,nj->in", inverse, of.mean)
    return (z**2).sum(1), 2.0 * np.log(np.abs(np.diagonal(of.factor, axis1=1, axis2=2))).sum(1)


def log_normal(x: Float, of: Normal) -> Float:
    """Log densities of points, shape (m, k), under each distribution: shape (m, n).

    Examples
    --------
    >>> standard = Normal(np.zeros((1, 1)), np.ones((1, 1, 1)))
    >>> log_normal(np.zeros((1, 1)), standard).round(4).item()
    -0.9189
    """
    distance, log_determinant = squared_distance(x, of)
    return -0.5 * (distance + log_determinant + x.shape[1] * np.log(2.0 * np.pi))


def log_t(x: Float, of: Normal) -> Float:
    """Log densities under t distributions with these means and scales: shape (m, n)."""
    from scipy.special import gammaln

    distance, log_determinant = squared_distance(x, of)
    k, nu = x.shape[1], FREEDOM
    constant = gammaln((nu + k) / 2) - gammaln(nu / 2) - 0.5 * k * np.log(nu * np.pi)
    return constant - 0.5 * log_determinant - 0.5 * (nu + k) * np.log1p(distance / nu)


def draw_t(of: Normal, each: int, rng: np.random.Generator) -> Float:
    """So many points of each of n such t distributions, shape (n, each, k)."""
    n, k = of.mean.shape
    z = rng.normal(size=(n, each, k)) / np.sqrt(rng.chisquare(FREEDOM, (n, each, 1)) / FREEDOM)
    return of.mean[:, None, :] + z @ of.factor.swapaxes(1, 2)


def conditional(effects: Float, prior: Normal) -> Normal:
    """What is about the member's posterior given each draw of what all share.

    Parameters
    ----------
    effects : ndarray, shape (n, k)
        The member's own draws.
    prior : Normal
        What its group says of it, by draw.

    Returns
    -------
    Normal
    """
    k = effects.shape[1]
    centre = prior.mean.mean(0)
    wide = prior.covariance.mean(0) + np.cov(prior.mean, rowvar=False).reshape(k, k)
    # In units in which the group is standard normal, the posterior's precision is 1 plus that of the likelihood.
    unit = np.linalg.cholesky(wide)
    into = np.linalg.inv(unit)
    precision = np.linalg.inv(into @ np.cov(effects, rowvar=False).reshape(k, k) @ into.T)
    values, vectors = np.linalg.eigh(precision)
    known = values > 1.0
    linear = into.T @ vectors @ (known * values * (vectors.T @ into @ (effects.mean(0) - centre)))
    own = into.T @ vectors @ np.diag(np.maximum(values - 1.0, 0.0)) @ vectors.T @ into
    of_group = np.linalg.inv(prior.covariance)
    covariance = np.linalg.inv(of_group + own)
    pull = np.einsum("nij,nj->ni", of_group, prior.mean) + own @ centre + linear
    return Normal(np.einsum("nij,nj->ni", covariance, pull), np.linalg.cholesky(covariance))


def integral(log_likelihood: Float, log_prior: Float, log_proposal: Float) -> tuple[Float, Float]:
    """Log integrals from nodes, the first axis, and how many nodes they effectively rest on.

    Parameters
    ----------
    log_likelihood, log_prior, log_proposal : ndarray, shape (m, ...)
        That broadcast.
    """
    from scipy.special import logsumexp

    weights = log_likelihood + log_prior - log_proposal
    total = logsumexp(weights, axis=0)
    return total - np.log(len(weights)), np.exp(2 * total - logsumexp(2 * weights, axis=0))
