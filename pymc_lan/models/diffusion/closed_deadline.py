"""Inputs and closed forms around the choice/deadline network.

With constant drift and boundaries it is known in closed form whether the upper boundary is ever reached; the network
learns only how much of that probability falls before the deadline: the logit c of ``C = P(upper by T) / P(upper)``.
Then

    log P(go)    = log P(upper) + log sigmoid(c)
    log P(no go) = log [ P(lower) + P(upper) sigmoid(-c) ]

are accurate in relative terms both, and right at ``T = inf`` whatever the network says. C depends on the drift
through its square alone (Girsanov), on time through ``u = T / A^2`` and on the relative distance w to the upper
boundary.

Other models borrow those formulas, at the parameters of a similar process with constant drift and boundaries, and the
network learns the logit of P(go) less theirs. A deadline after which practically nothing happens counts as that time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from pymc_lan.models.residual import ResidualDeadline
from pymc_lan.numerics.passage import CLOSED, Namespace, Theta, softplus
from pymc_lan.numerics.wiener import ddm_log_choice

# Scaled decision time A^2 beyond which exp(-pi^2 u / 2), the undecided share, is below 1e-21.
FOREVER = 10.0
# Scaled decision time below which nothing happens: exp(-w^2 / 2u) underflows long before for any w of use.
_INSTANT = 1e-6


@final
@dataclass(frozen=True, slots=True)
class ClosedDeadline(ResidualDeadline):
    """How a choice/deadline network sees a deadline, by closed forms of similar processes.

    Parameters
    ----------
    inputs_of : callable
        ``(xp, horizon, theta)``, for a finite positive horizon, to a tuple of network inputs.
    logit : callable
        ``(xp, horizon, theta)`` to the logit that the network corrects.
    width : int
        Number of inputs.
    ends : callable
        ``(xp, theta)`` to the time in seconds after which practically nothing happens.
    log_choice : callable, optional
        ``(xp, theta)`` to log P(upper), log P(lower), where they are known; the logit is then that of C, else of P(go).
    """

    inputs_of: Callable[..., tuple[Any, ...]]
    logit: Callable[..., Any]
    width: int
    ends: Callable[..., Any]
    log_choice: Callable[..., tuple[Any, Any]] | None = None

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self.width

    def inputs(self, xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs for a finite positive horizon, each of order one."""
        return self.inputs_of(xp, horizon, theta)

    def baseline(self, xp: Namespace, horizon: Any, theta: Theta) -> Any:
        """The logit that the network corrects."""
        return self.logit(xp, horizon, theta)

    def latest(self, xp: Namespace, theta: Theta) -> Any:
        """When practically everything is decided [s]."""
        return self.ends(xp, theta)

    def least(self, xp: Namespace, theta: Theta) -> Any:
        """The shortest horizon [s] that is looked at."""
        return _INSTANT * 4 * theta["a"] ** 2


def _forever(xp: Namespace, theta: Theta) -> Any:
    return FOREVER * 4 * theta["a"] ** 2


# To the parameters of a process with constant drift and boundaries, and its time u.
Similar = Callable[[Namespace, Any, Theta], tuple[dict[str, Any], Any]]


def _scales(xp: Namespace, u: Any, theta: Theta) -> tuple[Any, ...]:
    """U's root, the distance w, the drift times A (rounded off at zero, where C is smooth) and the probit s."""
    root = xp.sqrt(u)
    w = 1 - theta["z"]
    drift = xp.sqrt((2 * theta["v"] * theta["a"]) ** 2 + 1)
    return root, w, drift, (drift * u - w) / root


def fraction_baseline(xp: Namespace, u: Any, theta: Theta) -> Any:
    """The logit of C by its leading terms."""
    # s |s| / 2 is the leading term of the logit of the normal distribution function at both ends; late, the undecided
    # share falls like exp(-(nu^2 + pi^2) u / 2); next to the boundary it is proportional to w.
    root, w, _, s = _scales(xp, u, theta)
    return s * xp.sqrt(s * s + 1) / 2 + (math.pi**2 - 1) / 2 * u + xp.log1p(root / w)


def fraction_inputs(xp: Namespace, u: Any, theta: Theta) -> tuple[Any, ...]:
    """What C depends on, each of order one."""
    root, w, drift, s = _scales(xp, u, theta)
    z = theta["z"]
    return s / xp.sqrt(1 + s * s), 2 * w - 1, xp.log1p(10 * u), drift / 5, w / (w + root), z / (z + root)


def _mirrored(theta: Theta) -> dict[str, Any]:
    return {**theta, "v": -theta["v"], "z": 1 - theta["z"]}


def survivor_terms(xp: Namespace, u: Any, theta: Theta) -> tuple[Any, Any]:
    """Log probability that neither boundary is reached by u, and that one is, each by the leading terms of C."""
    log_upper, log_lower = _log_choice(xp, theta)
    upper, lower = (fraction_baseline(xp, u, side) for side in (theta, _mirrored(theta)))
    none = xp.logaddexp(log_upper - softplus(xp, upper), log_lower - softplus(xp, lower))
    return none, xp.logaddexp(log_upper - softplus(xp, -upper), log_lower - softplus(xp, -lower))


def lower_probit(xp: Namespace, u: Any, theta: Theta) -> Any:
    """The probit of the lower boundary, which the inputs of C have of the upper one."""
    s = _scales(xp, u, _mirrored(theta))[-1]
    return s / xp.sqrt(1 + s * s)


def _log_choice(xp: Namespace, theta: Theta) -> tuple[Any, Any]:
    return ddm_log_choice(xp, theta["v"], theta["a"], theta["z"])


def _like(similar: Similar, extra: Callable[..., tuple[Any, ...]], n_extra: int, latest: Any) -> ClosedDeadline:
    """The view of a model that is not quite its similar process; `extra` says how they differ."""

    def free(xp: Namespace, horizon: Any, theta: Theta, v: Any) -> Any:
        """Where a path without boundaries is by the time of a typical decision, in standard deviations."""
        typical = _typical(horizon, theta)
        return (v * typical + theta["a"] * (2 * theta["z"] - 1)) / xp.sqrt(typical)

    def inputs(xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        other, u = similar(xp, horizon, theta)
        signed = (other["v"] * other["a"], free(xp, horizon, theta, other["v"]))
        squashed = (x / xp.sqrt(1 + x**2) for x in signed)
        return (*fraction_inputs(xp, u, other), *squashed, *extra(xp, horizon, theta))

    def baseline(xp: Namespace, horizon: Any, theta: Theta) -> Any:
        other, u = similar(xp, horizon, theta)
        fraction = fraction_baseline(xp, u, other)
        log_upper, log_lower = _log_choice(xp, other)
        log_rest = xp.logaddexp(log_lower, log_upper - softplus(xp, fraction))
        return log_upper - softplus(xp, -fraction) - log_rest

    return ClosedDeadline(inputs, baseline, 8 + n_extra, latest)


def _typical(horizon: Any, theta: Theta) -> Any:
    """When a typical decision falls: after some a^2 seconds, or at the deadline where that is earlier."""
    return horizon / (1 + horizon / theta["a"] ** 2)


def _similar_to_straight(xp: Namespace, horizon: Any, theta: Theta) -> tuple[dict[str, Any], Any]:
    """Boundaries as they are at the time of a typical decision; the clock of the straight ones."""
    a, slope = theta["a"], xp.tan(theta["theta"])
    other = {"v": theta["v"], "a": xp.sqrt(a * (a - slope * _typical(horizon, theta))), "z": theta["z"]}
    return other, horizon / (4 * a * (a - slope * horizon))


def _straight_extra(xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
    strength = theta["a"] * xp.tan(theta["theta"])
    return strength / (1 + xp.abs(strength)), 1 - horizon * xp.tan(theta["theta"]) / theta["a"]


def straight_latest(xp: Namespace, theta: Theta) -> Any:
    """When straight boundaries have met, or practically everything is decided [s]."""
    slope = xp.tan(theta["theta"])
    return xp.minimum((1 - CLOSED) * theta["a"] / xp.maximum(slope, 1e-6), _forever(xp, theta))


def _similar_to_variable(xp: Namespace, horizon: Any, theta: Theta) -> tuple[dict[str, Any], Any]:
    """A drift that is as much smaller as its variability blurs it within the time of a typical decision."""
    a = theta["a"]
    other = {"v": theta["v"] / xp.sqrt(1 + theta["sv"] ** 2 * _typical(horizon, theta)), "a": a, "z": theta["z"]}
    return other, horizon / (4 * a**2)


def _variable_extra(xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
    strength, signed = theta["sv"] * theta["a"], theta["v"] * theta["a"]
    return strength / (1 + strength), signed / xp.sqrt(1 + signed**2)


CONSTANT = ClosedDeadline(
    lambda xp, horizon, theta: fraction_inputs(xp, horizon / (4 * theta["a"] ** 2), theta),
    lambda xp, horizon, theta: fraction_baseline(xp, horizon / (4 * theta["a"] ** 2), theta),
    width=6,
    ends=_forever,
    log_choice=_log_choice,
)
STRAIGHT = _like(_similar_to_straight, _straight_extra, 2, straight_latest)
VARIABLE = _like(_similar_to_variable, _variable_extra, 2, _forever)
