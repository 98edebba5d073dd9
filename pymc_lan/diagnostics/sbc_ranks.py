"""Where a truth lies among posterior draws: the numbers that calibration rests on, on plain arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def independent(draws: Float) -> Float:
    """Thin chains to draws that are as good as independent.

    The rank of a truth among correlated draws is not uniform even where the posterior is right (Talts et al. 2018,
    arXiv:1804.06788, section 5.1), so as many are kept as the chains are worth: the smaller of bulk and tail effective
    sample size.

    Parameters
    ----------
    draws : ndarray, shape (n_chains, n_draws)

    Returns
    -------
    ndarray, shape (n,)
    """
    # Not above: it loads xarray and numba's statistics, a second that importing the package should not cost.
    from arviz_stats.base import array_stats

    sizes = [array_stats.ess(draws, method="bulk"), array_stats.ess(draws, method="tail", prob=0.95)]
    every = max(1, int(np.ceil(draws.size / min(sizes))))
    return draws[:, ::every].ravel()


def fractional_rank(draws: Float, truth: float, rng: np.random.Generator) -> float:
    """Say how much of a posterior lies below the truth, so that it is uniform on 0 to 1 where the posterior is right.

    The rank among n draws is one of n + 1 numbers; a uniform share of one step is added, and ties are broken at random,
    so the result is exactly uniform whatever n is.

    Parameters
    ----------
    draws : ndarray, shape (n,)
        Independent.
    truth : float
    rng : numpy.random.Generator

    Returns
    -------
    float
    """
    below, ties = int((draws < truth).sum()), int((draws == truth).sum())
    return (below + rng.uniform(0, ties + 1)) / (draws.size + 1)


def distances(draws: Float, reference: Float, scale: Float) -> Float:
    """Euclidean distance to a reference, each parameter in units of its scale.

    Parameters
    ----------
    draws : ndarray, shape (..., n_parameters)
    reference, scale : ndarray, shape (n_parameters,)

    Returns
    -------
    ndarray, shape (...)
    """
    return np.sqrt((((draws - reference) / scale) ** 2).sum(axis=-1))
