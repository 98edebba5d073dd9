"""Where training trials lie: parameters, decision times and deadlines."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.model import Model
from pymc_lan.models.parameters import DOMAIN_MARGIN, Parameter

Float = NDArray[np.float64]

# Decision times and horizons, in seconds, that a network must answer for.
SHORTEST, LONGEST = 1e-3, 20.0

# Of the sets that are not uniform: the shares of Beta, log-uniform and corner sets ...
OF_ENDS = (0.5, 0.2, 0.3)
# ... how much wider the bounds of the Beta and of the corner sets are, and how far inside the latter reach ...
BEYOND, WITHIN = (0.03, 0.06), 0.10
# ... and how many times apart the bounds of a positive parameter are that is seen on a logarithmic scale.
WIDE_RATIO = 4.0


def draw_theta(
    spec: Model, rng: np.random.Generator, n: int, *, with_t: bool = False, ends: float = 0.0
) -> dict[str, Float]:
    """Draw parameters uniformly over the bounds, and a share of the sets towards their ends and corners.

    Of those, half are of a Beta(0.5, 0.5) distribution over slightly wider bounds, a fifth even in the logarithm of
    parameters that are positive, and three in ten in the corners: every parameter next to one of its ends, a little
    outside or inside. Uniform sets alone never come near a corner of many parameters, where networks have been a
    thousand times farther off than elsewhere.

    Parameters
    ----------
    spec : Model
    rng : numpy.random.Generator
    n : int
    with_t : bool
        Whether to draw the non-decision time as well; the networks do not see it.
    ends : float
        The share of sets that is not uniform.

    Returns
    -------
    dict of str to ndarray, shape (n,)
    """
    kind = None if not ends else rng.choice(4, n, p=(1 - ends, *(ends * share for share in OF_ENDS)))
    return {p.name: _draw(p, rng, n, kind) for p in spec.parameters if with_t or p.name != "t"}


def _draw(p: Parameter, rng: np.random.Generator, n: int, kind: NDArray[np.int64] | None) -> Float:
    """Values of one parameter, each of its set's kind: uniform, Beta, log-uniform, corner."""
    least, most = p.domain[0] + DOMAIN_MARGIN, p.domain[1] - DOMAIN_MARGIN
    low, high = max(p.bounds[0], least), min(p.bounds[1], most)
    uniform = rng.uniform(low, high, n)
    if kind is None:
        return uniform
    beta = low + (high - low) * ((1 + 2 * BEYOND[0]) * rng.beta(0.5, 0.5, n) - BEYOND[0])
    inside = rng.uniform(-BEYOND[1], WITHIN, n)
    place = np.where(rng.random(n) < 0.5, inside, 1 - inside)
    if low > 0 and high / low > WIDE_RATIO and math.isinf(p.domain[1]):
        even = low * (high / low) ** rng.random(n)
        corner = low * (high / low) ** place
    else:
        even, corner = uniform, low + (high - low) * place
    return np.choose(kind, (uniform, beta, even, corner)).clip(least, most)


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
