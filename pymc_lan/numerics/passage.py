"""First passages of Brownian motion: what every closed form shares, and the words in which formulas are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# The module whose functions a formula uses: numpy, jax.numpy or pytensor.tensor.
Namespace = Any
Theta = Mapping[str, Any]
# ``drift(time, position, theta)`` and ``boundary(time, theta)``.
Drift = Callable[[Any, Any, Theta], Any]
Boundary = Callable[[Any, Theta], Any]

NUMPY = np

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)

# Share of their first separation below which falling boundaries count as closed.
CLOSED = 0.005


def log_one_boundary(xp: Namespace, u: Any, w: Any) -> Any:
    """Log density of the time u at which Brownian motion first goes a distance w in one direction."""
    return xp.log(w) - LOG_SQRT_2PI - 1.5 * xp.log(u) - w**2 / (2 * u)


def log_leading(xp: Namespace, u: Any, w: Any, eps: Any) -> Any:
    """Log density for one boundary, times the leading effect of the other.

    ``1 - exp(-2 eps / u)`` is the chance that a Brownian bridge of that duration keeps clear of a boundary eps behind
    its start, the way in which the density vanishes as the start nears the other boundary.
    """
    return log_one_boundary(xp, u, w) + xp.log(-xp.expm1(-2 * eps / u))


def softplus(xp: Namespace, x: Any) -> Any:
    """``log(1 + exp(x))`` without overflow; ``-softplus(-x)`` is the log of the logistic function."""
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))
