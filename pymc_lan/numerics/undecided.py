"""The probability that a diffusion has reached neither of two boundaries: by quadrature over where it is by then.

Given where a path ends, it is a Brownian bridge, whatever the drift was and whether that varied across trials. So the
probability is a mean over the end, which is normal without boundaries, of the probability that a bridge stays between
them; straight boundaries are constant ones in another clock. Both factors are positive and smooth, so that nothing
cancels however small the probability is.

The unit of length is the separation of the boundaries at the horizon, that of time its square.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pymc_lan.numerics.passage import LOG_SQRT_2PI, Namespace

# The rule, and by how many e-folds the normal density has fallen at its ends.
_POINTS, WEIGHTS = (0.5 * x for x in np.polynomial.legendre.leggauss(24))
NODES, FOLDS = _POINTS + 0.5, 24.0
# Where images hand over to sines: the first that is left out is below 1e-9 of the sum on either side.
CROSSOVER, HARMONICS = 0.15, 5
# Up to this time nothing is decided, but of a start that lies on an end.
INSTANT = 1e-8
# Rounding may leave of a positive number nothing or less; its log is taken of this.
LEAST = 1e-290


class Ends(NamedTuple):
    """Where a path starts, and where it would be at the horizon if there were no boundaries.

    Parameters
    ----------
    u : array
        Time, above 0 and finite.
    start, rest : array
        Place in the interval, and distance to its upper end.
    mean, variance : array
        Of the place at the horizon.
    """

    u: Any
    start: Any
    rest: Any
    mean: Any
    variance: Any


def log_undecided(xp: Namespace, ends: Ends) -> Any:
    """`by_formula`, or what a namespace has in its place."""
    return xp.log_undecided(ends) if hasattr(xp, "log_undecided") else by_formula(xp, ends)


def by_formula(xp: Namespace, ends: Ends) -> Any:
    """Log probability that neither end of the unit interval has been reached, elementwise.

    Parameters
    ----------
    xp : Namespace
    ends : Ends
        Arrays that broadcast.

    References
    ----------
    Hall (1997), Bernoulli 3, 155-181: bridges between straight boundaries.

    Examples
    --------
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> u, v = 0.7 / 4, 1.0
    >>> round(float(by_formula(NUMPY, Ends(u, 0.5, 0.5, 0.5 + v * 2 * u, u))), 4)
    -0.8789
    """
    u, start, rest, mean, variance = xp.broadcast_arrays(*ends)
    over, under = xp.maximum(mean - 1, 0.0), xp.maximum(-mean, 0.0)
    wide = 2 * FOLDS * variance
    # From the point of the interval where the normal density is largest until it has fallen, on either side.
    low = xp.maximum(0.0, mean - xp.sqrt(over * over + wide))
    high = xp.minimum(1.0, mean + xp.sqrt(under * under + wide))
    nodes, weights = (x.reshape(-1, *[1] * u.ndim) for x in (NODES, WEIGHTS))
    y, left = low + (high - low) * nodes, (1 - high) + (high - low) * (1 - nodes)
    away = over + under
    normal = xp.exp((away * away - (y - mean) ** 2) / (2 * variance))
    total = (weights * normal * _stays(xp, u, start, rest, y, left)).sum(axis=0)
    scale = -away * away / (2 * variance) - LOG_SQRT_2PI - 0.5 * xp.log(variance)
    return scale + xp.log(high - low) + xp.log(xp.maximum(total, LEAST))


def _stays(xp: Namespace, u: Any, start: Any, rest: Any, y: Any, left: Any) -> Any:
    """Probability that a Brownian bridge from `start` to y in the time u stays in the unit interval."""
    early = u < CROSSOVER
    sooner, later = xp.where(early, u, CROSSOVER), xp.where(early, CROSSOVER, u)
    return xp.where(early, _by_images(xp, sooner, start, rest, y, left), _by_sines(xp, later, start, rest, y, left))


def _by_images(xp: Namespace, u: Any, start: Any, rest: Any, y: Any, left: Any) -> Any:
    """One less the images next to either end, with theirs; in pairs of which each vanishes with the start."""
    upper, lower = xp.exp(-2 * left * rest / u), xp.exp(-2 * (y + rest) / u)
    near = -xp.expm1(-2 * y * start / u) + upper * xp.expm1(-2 * start * (1 + left) / u)
    return near - lower * xp.expm1(-2 * start * (2 + y) / u) - xp.exp(-2 * (1 + left) * (1 + rest) / u)


def _by_sines(xp: Namespace, u: Any, start: Any, rest: Any, y: Any, left: Any) -> Any:
    """The eigenfunctions of the heat equation over the free density; sines as polynomials of cosines."""
    first, others = _sines(xp, start, rest), _sines(xp, y, left)
    total = sum(
        f * g * xp.exp(-0.5 * (k * math.pi) ** 2 * u) for k, (f, g) in enumerate(zip(first, others, strict=True), 1)
    )
    return 2 * total * xp.sqrt(2 * math.pi * u) * xp.exp((y - start) ** 2 / (2 * u))


def _sines(xp: Namespace, x: Any, rest: Any) -> list[Any]:
    """Of pi x and its multiples, where `rest` is 1 - x to full relative accuracy."""
    sine, twice_cosine = xp.sin(math.pi * xp.minimum(x, rest)), 2 * xp.cos(math.pi * x)
    found, before, ratio = [], 0.0, 1.0
    for _ in range(HARMONICS):
        found.append(sine * ratio)
        before, ratio = ratio, twice_cosine * ratio - before
    return found
