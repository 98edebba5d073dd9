"""Where paths of the closed forms would be at a horizon if there were no boundaries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pymc_lan.numerics.passage import CLOSED, Namespace, Theta
from pymc_lan.numerics.undecided import Ends, log_undecided

# ``(xp, horizon, theta)`` to the ends of paths, and whether the boundaries are still apart.
Free = Callable[[Namespace, Any, Theta], tuple[Ends, Any]]

# Horizons are kept within these [s]: at the first nothing is decided, at the last everything.
SHORTEST, LONGEST = 1e-9, 1e9


def log_none(free: Free, xp: Namespace, horizon: Any, theta: Theta) -> Any:
    """Log probability of no decision within a horizon: 0 up to 0 s, and -inf of one that does not end."""
    started, finite = horizon > SHORTEST, horizon < math.inf
    ends, apart = free(xp, xp.where(started & finite, horizon, SHORTEST), theta)
    value = xp.where(finite & apart, log_undecided(xp, ends), -math.inf)
    return xp.where(started, value, 0.0)


def constant(xp: Namespace, d: Any, theta: Theta) -> tuple[Ends, Any]:
    """Constant drift between constant boundaries."""
    width = 2 * theta["a"]
    u, start = d / width**2, theta["z"]
    return Ends(u, start, 1 - start, start + theta["v"] * d / width, u), d > 0


def variable(xp: Namespace, d: Any, theta: Theta) -> tuple[Ends, Any]:
    """A drift that is normal across trials: so is where it leads."""
    ends, apart = constant(xp, d, theta)
    return ends._replace(variance=ends.u * (1 + theta["sv"] ** 2 * d)), apart


def straight(xp: Namespace, d: Any, theta: Theta) -> tuple[Ends, Any]:
    """Boundaries at +-(a - d tan(theta)): in their unit and clock they stand still."""
    a, start = theta["a"], theta["z"]
    b = a - d * xp.tan(theta["theta"])
    apart = b > CLOSED * a
    width = 2 * xp.where(apart, b, a)
    mean = 0.5 + (a * (2 * start - 1) + theta["v"] * d) / width
    return Ends(d / (2 * a * width), start, 1 - start, mean, d / width**2), apart
