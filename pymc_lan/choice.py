"""Inputs and closed forms around the choice/deadline network.

Whether the upper boundary is ever reached is known in closed form for constant drift; the network learns only how
much of that probability falls before the deadline: the logit c of ``C = P(upper by T) / P(upper)``. Then

    log P(go)    = log P(upper) + log sigmoid(c)
    log P(no go) = log [ P(lower) + P(upper) sigmoid(-c) ]

are accurate in relative terms both, and right at ``T = inf`` whatever the network says. C depends on the drift
through its square alone (Girsanov), on time through ``u = T / A^2`` and on the relative distance w to the upper
boundary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pymc_lan.exact import ddm_log_choice
from pymc_lan.transforms import Namespace

Theta = Mapping[str, Any]

# Scaled decision time A^2 beyond which exp(-pi^2 u / 2), the undecided share, is below 1e-21.
FOREVER = 10.0
# Scaled decision time below which nothing happens: exp(-w^2 / 2u) underflows long before for any w of use.
_INSTANT = 1e-6


@dataclass(frozen=True, slots=True)
class ChoiceTransform:
    """How a choice/deadline network sees a trial.

    Parameters
    ----------
    inputs : callable
        ``(xp, horizon, theta)``, for a finite positive horizon, to a tuple of network inputs.
    baseline : callable
        ``(xp, horizon, theta)`` to the logit that the network corrects.
    log_choice : callable
        ``(xp, theta)`` to log P(upper), log P(lower).
    n_inputs : int
    """

    inputs: Callable[..., tuple[Any, ...]]
    baseline: Callable[..., Any]
    log_choice: Callable[..., tuple[Any, Any]]
    n_inputs: int

    def log_go(self, xp: Namespace, network: Callable[..., Any], horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of reaching the upper boundary within `horizon` seconds (may be inf), and of the rest."""
        width_squared = 4 * theta["a"] ** 2
        possible, finite = horizon > 0, horizon < FOREVER * width_squared
        inner = xp.maximum(xp.where(finite, horizon, FOREVER * width_squared), _INSTANT * width_squared)
        logit = self.baseline(xp, inner, theta) + network(self.inputs(xp, inner, theta))
        log_upper, log_lower = self.log_choice(xp, theta)
        log_before = xp.where(finite, -softplus(xp, -logit), 0.0)
        log_rest = xp.where(finite, xp.logaddexp(log_lower, log_upper - softplus(xp, logit)), log_lower)
        return xp.where(possible, log_upper + log_before, -math.inf), xp.where(possible, log_rest, 0.0)


def softplus(xp: Namespace, x: Any) -> Any:
    """``log(1 + exp(x))`` without overflow; ``-softplus(-x)`` is the log of the logistic function."""
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


def _constant_drift_scales(xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
    """u, its root, the distance w, the drift times A (rounded off at zero, where C is smooth) and the probit s."""
    width = 2 * theta["a"]
    u = horizon / width**2
    root = xp.sqrt(u)
    w = 1 - theta["z"]
    drift = xp.sqrt((theta["v"] * width) ** 2 + 1)
    return u, root, w, drift, (drift * u - w) / root


def _constant_drift_baseline(xp: Namespace, horizon: Any, theta: Theta) -> Any:
    # s |s| / 2 is the leading term of the logit of the normal distribution function at both ends; late, the undecided
    # share falls like exp(-(nu^2 + pi^2) u / 2); next to the boundary it is proportional to w.
    u, root, w, _, s = _constant_drift_scales(xp, horizon, theta)
    return s * xp.sqrt(s * s + 1) / 2 + (math.pi**2 - 1) / 2 * u + xp.log1p(root / w)


def _constant_drift_inputs(xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
    u, root, w, drift, s = _constant_drift_scales(xp, horizon, theta)
    z = theta["z"]
    return s / xp.sqrt(1 + s * s), 2 * w - 1, xp.log1p(10 * u), drift / 5, w / (w + root), z / (z + root)


def _constant_drift_choice(xp: Namespace, theta: Theta) -> tuple[Any, Any]:
    return ddm_log_choice(xp, theta["v"], theta["a"], theta["z"])


CHOICE_TRANSFORMS: dict[str, ChoiceTransform] = {
    "constant_drift": ChoiceTransform(
        _constant_drift_inputs, _constant_drift_baseline, _constant_drift_choice, n_inputs=6
    ),
}
"""Choice transforms by the name that a network's config records."""
