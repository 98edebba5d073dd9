"""Where training trials lie: parameters, decision times and deadlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.model import Model
from pymc_lan.models.parameters import DOMAIN_MARGIN, Parameter

Float = NDArray[np.float64]

# Decision times and horizons, in seconds, that a network must answer for.
SHORTEST, LONGEST = 1e-3, 20.0


def draw_theta(
    spec: Model, rng: np.random.Generator, n: int, *, with_t: bool = False, edges: float = 0.0
) -> dict[str, Float]:
    """Draw parameters uniformly over the bounds.

    Parameters
    ----------
    spec : Model
    rng : numpy.random.Generator
    n : int
    with_t : bool
        Whether to draw the non-decision time as well; the networks do not see it.
    edges : float
        By which share of themselves the bounds are taken to be wider on either side; what lies outside is moved inside.

    Returns
    -------
    dict of str to ndarray, shape (n,)
    """

    def draw(p: Parameter) -> Float:
        low, high = max(p.bounds[0], p.domain[0] + DOMAIN_MARGIN), min(p.bounds[1], p.domain[1] - DOMAIN_MARGIN)
        wider = edges * (high - low)
        return rng.uniform(low - wider, high + wider, n).clip(low, high)

    return {p.name: draw(p) for p in spec.parameters if with_t or p.name != "t"}


def draw_decision_times(rng: np.random.Generator, a: Float, latest: Float) -> Float:
    """Draw decision times from a mixture that covers onset, bulk and tail.

    Seven in ten are log-normal in units of a^2 (median 0.4 a^2, where most trials of the model fall); the rest are
    log-uniform over all times of interest. Times after everything is decided are drawn anew, denser towards that end,
    where collapsing boundaries meet.

    Parameters
    ----------
    rng : numpy.random.Generator
    a : ndarray, shape (n,)
        Half the boundary separation.
    latest : ndarray, shape (n,)
        Seconds: when everything is decided.

    Returns
    -------
    ndarray, shape (n,)
    """
    bulk = a**2 * np.exp(rng.normal(np.log(0.4), 1.0, a.size))
    wide = np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), a.size))
    d = np.clip(np.where(rng.random(a.size) < 0.7, bulk, wide), SHORTEST / 5, LONGEST)
    beyond = d >= latest
    d[beyond] = latest[beyond] * (1 - rng.random(beyond.sum()) ** 2)
    return np.maximum(d, SHORTEST / 5)


def draw_horizons(rng: np.random.Generator, size: tuple[int, int]) -> Float:
    """Draw deadlines after the onset of the decision: half log-uniform, half uniform up to 5 s; one in eight is none.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : tuple of int

    Returns
    -------
    ndarray
    """
    wide = np.exp(rng.uniform(np.log(10 * SHORTEST), np.log(LONGEST), size))
    finite = np.where(rng.random(size) < 0.5, wide, rng.uniform(20 * SHORTEST, 5.0, size))
    return np.where(rng.random(size) < 1 / 8, np.inf, finite)
