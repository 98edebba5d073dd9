"""Normal probabilities of wedges, by Owen's T function, for NumPy, JAX and PyTensor."""

from __future__ import annotations

import math
from typing import Any

from numpy.polynomial.legendre import leggauss

from pymc_lan.numerics.passage import LOG_SQRT_2PI, Namespace
from pymc_lan.numerics.wiener import log_add, mills

# Nodes of the integral, and where its integrand has fallen to exp(-32) and it ends, in units of 1 / h.
NODES, REACH = 20, 8.0
# Added to the square of h before it divides.
TINY = 1e-30


def log_owens_t(xp: Namespace, square: Any, slope: Any) -> Any:
    """Log of Owen's T function: of the normal probability of ``x > h`` and ``0 < y < a x``.

    ``T(h, a) = exp(-h^2 / 2) / (2 pi)`` times the integral of ``exp(-h^2 tan(u)^2 / 2)`` over u from 0 to ``atan(a)``
    (Owen 1956, Annals of Mathematical Statistics 27, 1075-1090), by a Gauss-Legendre sum. The error is below 1e-10 of T
    for any h, where a is at most 3.

    Parameters
    ----------
    xp : Namespace
    square : array
        h^2: T is the same for h and -h.
    slope : array
        a, above 0.

    Returns
    -------
    array
    """
    node, weight = leggauss(NODES)
    end = xp.arctan(xp.minimum(slope, REACH / xp.sqrt(square + TINY)))
    # The nodes as an axis: PyTensor's rewrites take long over a sum of many terms.
    tangent = xp.tan(xp.expand_dims(end, -1) * (0.5 * (1 + node)))
    total = xp.sum(weight * xp.exp(-0.5 * xp.expand_dims(square, -1) * tangent * tangent), axis=-1)
    return xp.log(total * end / (4 * math.pi)) - 0.5 * square


def log_tail(xp: Namespace, h: Any) -> Any:
    """Log of the normal probability of x > h, of h >= 0."""
    return xp.log(mills(xp, h)) - LOG_SQRT_2PI - 0.5 * h * h


def log_outside_wedge(xp: Namespace, h: Any, slope: Any) -> Any:
    """Log of the normal probability that not both of x and y are below h >= 0.

    Parameters
    ----------
    xp : Namespace
    h : array
    slope : array
        Of their correlation r, ``sqrt((1 - r) / (1 + r))``: the probability is that of ``x > h`` and twice T(h, slope).

    Returns
    -------
    array
    """
    return log_add(xp, log_tail(xp, h), math.log(2) + log_owens_t(xp, h * h, slope))
