"""Network inputs and closed-form baselines, written once and run on NumPy, JAX and PyTensor.

The likelihood network learns only what a closed form leaves over (the residual LAN). For constant
drift and constant boundaries three facts take dimensions away exactly:

* rt and t enter as the decision time ``d = rt - t`` alone;
* a hit of the lower boundary is a hit of the upper one by the mirrored process;
* by Girsanov's theorem the drift multiplies the one-boundary and the two-boundary density by the same
  factor ``exp(v b - v^2 d / 2)``, so their ratio is free of it, and by Brownian scaling that ratio
  depends on time only through ``u = d / A^2``, ``A = 2a``.

So the residual is a function of two numbers, u and the relative distance to the hit boundary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# The module whose functions a formula uses: numpy, jax.numpy or pytensor.tensor.
Namespace = Any

NUMPY = np


@dataclass(frozen=True, slots=True)
class Transform:
    """How a likelihood network sees a trial, and what it is added to.

    Parameters
    ----------
    baseline : callable
        ``(xp, d, response, theta)`` to the closed-form log density that the network corrects.
    inputs : callable
        ``(xp, d, response, theta)`` to a tuple of network inputs, each of order one.
    onset : callable
        ``(xp, d, response, theta)`` to ``(d_min, slope)``: below ``d_min`` the log density goes on in a
        straight line of that (positive) slope, so a sampler that starts at rt < t is led back.
    n_inputs : int
    """

    baseline: Callable[..., Any]
    inputs: Callable[..., tuple[Any, ...]]
    onset: Callable[..., tuple[Any, Any]]
    n_inputs: int


def relative_distances(xp: Namespace, response: Any, z: Any) -> tuple[Any, Any]:
    """Distance from the start to the boundary that was hit, and to the other, relative to ``A = 2a``.

    Both are formed from z without subtracting where it matters, so each keeps its relative accuracy.
    """
    upper = response > 0
    return xp.where(upper, 1 - z, z), xp.where(upper, z, 1 - z)


def _constant_drift_baseline(xp: Namespace, d: Any, response: Any, theta: dict[str, Any]) -> Any:
    """One-boundary first-passage density, times the leading effect of the other boundary.

    Without the second term it is the inverse Gaussian; ``1 - exp(-2 eps A^2 / d)`` is the chance that a Brownian
    bridge over the decision time keeps clear of a boundary eps A behind the start, the way in which the density
    vanishes as the start nears the other boundary.
    """
    width = 2 * theta["a"]
    w, eps = relative_distances(xp, response, theta["z"])
    distance = width * w
    towards = response * theta["v"]
    one_boundary = (
        xp.log(distance) - 0.5 * math.log(2 * math.pi) - 1.5 * xp.log(d) - (distance - towards * d) ** 2 / (2 * d)
    )
    return one_boundary + xp.log(-xp.expm1(-2 * eps * width**2 / d))


def _constant_drift_inputs(xp: Namespace, d: Any, response: Any, theta: dict[str, Any]) -> tuple[Any, ...]:
    w, eps = relative_distances(xp, response, theta["z"])
    u = d / (4 * theta["a"] ** 2)
    # The residual falls like -pi^2 u / 2 late (hence u itself), varies on the scale u = 0.1 early (hence the log)
    # and, next to the other boundary, on the scale eps = u.
    return xp.log1p(10 * u), 2 * w - 1, u, eps / (eps + u)


# Where the density is exp(-10) of its scale: the mass below is under 1e-5, and the slope there is positive.
_ONSET_FRACTION = 1 / 20
# Bounds of the onset in seconds: one millisecond is below every recording's resolution; the floor keeps
# the slope finite where the start lies on the boundary.
_ONSET_MIN, _ONSET_MAX = 1e-6, 1e-3


def _constant_drift_onset(xp: Namespace, d: Any, response: Any, theta: dict[str, Any]) -> tuple[Any, Any]:
    w, _ = relative_distances(xp, response, theta["z"])
    squared = (2 * theta["a"] * w) ** 2
    d_min = xp.maximum(xp.minimum(squared * _ONSET_FRACTION, _ONSET_MAX), _ONSET_MIN)
    slope = squared / (2 * d_min**2) - 1.5 / d_min - theta["v"] ** 2 / 2
    return d_min, xp.maximum(slope, 1 / d_min)


TRANSFORMS: dict[str, Transform] = {
    "constant_drift": Transform(_constant_drift_baseline, _constant_drift_inputs, _constant_drift_onset, n_inputs=4),
}
"""Transforms by the name that a network's config records."""
