"""Draws of the time at which Brownian motion first gets to a level, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def inverse_gaussian(rng: np.random.Generator, mean: Float, q: Float) -> Float:
    """Inverse Gaussian variates (Michael, Schucany & Haas 1976, American Statistician 30, 88-90).

    Parameters
    ----------
    rng : numpy.random.Generator
    mean : ndarray, shape (n,)
    q : ndarray, shape (n,)
        ``mean / (2 * shape)`` times a chi-square variate of one degree of freedom.

    Returns
    -------
    ndarray, shape (n,)

    Notes
    -----
    The smaller root of their quadratic is taken from the larger one, because it would cancel where `q` is large.

    Examples
    --------
    >>> rng, mean, shape = np.random.default_rng(1), np.full(10_000, 2.0), 3.0
    >>> x = inverse_gaussian(rng, mean, mean / (2 * shape) * rng.chisquare(1, mean.size))
    >>> bool(abs(x.mean() - 2) < 0.1)
    True
    """
    ratio = 1 + q + np.sqrt(q * (2 + q))
    return mean * np.where(rng.random(q.size) * (1 + ratio) < ratio, 1 / ratio, ratio)
