"""Means over uniform starting points, which linear ballistic accumulators and racing diffusions share.

Evidence has a distance D to go that is uniform across trials on [b - A, b]; with x, a distance in standard deviations,
uniform on [g, h], both the density and the survivor are means over x of something times a normal density. Where [g, h]
is long, the mean is a difference of antiderivatives, each divided by the normal density at the point of [g, h] nearest
to 0, so that nothing underflows however late the time is; where it is short, the difference would cancel, and four
nodes of a Gauss rule are exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.numerics.passage import LOG_SQRT_2PI, Namespace
from pymc_lan.numerics.wiener import mills

Float = NDArray[np.float64]

SQRT_2PI = math.sqrt(2 * math.pi)

# Length of [g, h], times one plus its distance from 0, up to which the Gauss rule is used: its error is 2e-13 there,
# and a difference of antiderivatives loses two digits.
SHORT = 0.2
_POINTS, _WEIGHTS = (0.5 * x for x in np.polynomial.legendre.leggauss(4))
# Where the rule looks, as shares of [g, h]; the antiderivatives look at both ends.
NODES, WEIGHTS, ENDS = _POINTS + 0.5, _WEIGHTS, np.array([0.0, 0.0, 1.0, 1.0])
# Beyond it 1 - y M(y), M the Mills ratio, is taken from its asymptotic series: the next term is below 1e-13.
FAR = 40.0
# Rounding may leave of a positive number nothing or less; its log is taken of this.
LEAST = 1e-290


def leading(values: Float, like: Any) -> Any:
    """The values along a new first axis of arrays of as many dimensions as another."""
    return values.reshape(-1, *[1] * like.ndim)


def _places(xp: Namespace, start: Any, length: Any) -> tuple[Any, Any, Any]:
    """Whether [g, h] is short; its length where it is not, else 1; and where to look, as shares, along a new axis."""
    short = length * (1 + xp.abs(start + 0.5 * length)) < SHORT
    places = xp.where(short, leading(NODES, short), leading(ENDS, short))
    return short, xp.where(short, 1.0, length), places


def log_mean_speed(xp: Namespace, v: Any, s: Any, start: Any, length: Any, least: Any, varies: Any) -> Any:
    """Log of the mean of (v + s x) phi(x) over x from `start` on; v + s x is `least` and `varies` from there on."""
    short, safe, places = _places(xp, start, length)
    x, end = start + length * places, start + length
    nearest = xp.maximum(start, xp.minimum(end, 0.0))
    weight = xp.exp(0.5 * (nearest - x) * (nearest + x))
    by_nodes = (leading(WEIGHTS, short) * weight * (least + varies * places)).sum(axis=0)
    # What lies beyond an end, away from 0; signed such that the difference of both is what lies between.
    positive = x >= 0
    beyond = weight * (xp.where(positive, v, -v) * mills(xp, xp.abs(x)) + s)
    across = xp.where((start < 0) & (end >= 0), SQRT_2PI * v, 0.0)
    by_ends = (beyond[0] - beyond[3] + across) / safe
    mean = xp.maximum(xp.where(short, by_nodes, by_ends), LEAST)
    return xp.log(mean) - 0.5 * nearest * nearest - LOG_SQRT_2PI


def log_mean_survivor(xp: Namespace, start: Any, length: Any, alpha: Any | None) -> Any:
    """Log of the mean, over x from `start` on, of the probability not to have finished.

    It is Phi(x) for a ballistic accumulator, where `alpha` is None, and Phi(x) - phi(x) M(x + 2 alpha) for a diffusion,
    ``alpha = v sqrt(d)`` (the inverse Gaussian distribution; M is the Mills ratio). The antiderivative of the second
    is that of the first, x Phi(x) + phi(x), less (Phi(x) + phi(x) M(x + 2 alpha)) / (2 alpha).
    """
    short, safe, places = _places(xp, start, length)
    x, end = start + length * places, start + length
    nearest = xp.minimum(end, 0.0)
    weight = xp.exp(0.5 * (nearest - x) * (nearest + x))
    size, positive, body = xp.abs(x), x >= 0, end > 0
    here = mills(xp, size)
    far = xp.maximum(size, FAR)
    inverse = 1 / (far * far)
    series = inverse * (1 - inverse * (3 - inverse * (15 - inverse * (105 - inverse * 945))))
    total = xp.where(size < FAR, 1 - size * here, series)
    image = 0.0 if alpha is None else mills(xp, x + 2 * alpha)
    survivor = xp.where(positive, SQRT_2PI - weight * (here + image), weight * (here - image))
    by_nodes = (leading(WEIGHTS, short) * survivor).sum(axis=0)
    constant = xp.where(positive, SQRT_2PI * x, 0.0)
    if alpha is not None:
        total = total - (image + xp.where(positive, -here, here)) / (2 * alpha)
        constant = constant + xp.where(positive | ~body, 0.0, SQRT_2PI / (2 * alpha))
    antiderivative = constant + weight * total
    by_ends = (antiderivative[3] - antiderivative[0]) / safe
    mean = xp.maximum(xp.where(short, by_nodes, by_ends), LEAST)
    return xp.log(mean) - 0.5 * nearest * nearest - LOG_SQRT_2PI
