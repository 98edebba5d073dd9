"""Network inputs and closed-form baselines, written once and run on NumPy, JAX and PyTensor.

The likelihood network learns only what a closed form leaves over (the residual LAN). Each transform writes a model's
density as a closed-form factor times g(u, w), the density of the time u at which Brownian motion first leaves (0, 1)
through the end that lies w from its start. Several facts take dimensions away exactly:

* rt and t enter as the decision time ``d = rt - t`` alone;
* a hit of the lower boundary is a hit of the upper one by the mirrored process;
* by Girsanov's theorem a constant drift only multiplies the driftless density by ``exp(v x - v^2 d / 2)``, x the
  displacement from the start to the boundary, and a normal drift by the mean of that;
* by Brownian scaling time enters through ``u = d / A^2`` alone, A the separation of the boundaries;
* boundaries that are straight lines are constant ones seen in another clock.

So for these models the residual, log g less its leading terms, is one function of two numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pymc_lan.numerics.passage import CLOSED, Namespace, Theta, log_leading

# Where the density is exp(-10) of its scale: the mass below is under 1e-5, and the slope there is positive.
ONSET_FRACTION = 1 / 20
# Bounds of the onset in seconds: one millisecond is below every recording's resolution; the floor keeps
# the slope finite where the start lies on the boundary.
ONSET_MIN, ONSET_MAX = 1e-6, 1e-3


class Passage(NamedTuple):
    """A trial as a passage of Brownian motion out of the unit interval: log density = log_factor + log g(u, w).

    Parameters
    ----------
    u : array
        Time.
    w, eps : array
        Distance of the start from the end that is hit, and from the other, each to full relative accuracy.
    log_factor : array
    """

    u: Any
    w: Any
    eps: Any
    log_factor: Any


@dataclass(frozen=True, slots=True)
class ClosedView:
    """How a likelihood network sees a trial, and what it is added to.

    Parameters
    ----------
    passage : callable
        ``(xp, d, response, theta)`` to a `Passage`.
    n_inputs : int
    """

    passage: Callable[[Namespace, Any, Any, Theta], Passage]
    n_inputs: int = 4

    def baseline(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """The closed-form log density that the network corrects."""
        u, w, eps, log_factor = self.passage(xp, d, response, theta)
        return log_factor + log_leading(xp, u, w, eps)

    def inputs(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one.

        The residual falls like -pi^2 u / 2 late (hence u itself), varies on the scale u = 0.1 early (hence the log)
        and, next to the other boundary, on the scale eps = u.
        """
        u, w, eps, _ = self.passage(xp, d, response, theta)
        return xp.log1p(10 * u), 2 * w - 1, u, eps / (eps + u)

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)``: below `d_min` the log density goes on in a straight line of that slope.

        The slope is positive, so a sampler that starts at rt < t is led back.
        """
        w, _ = relative_distances(xp, response, theta["z"])
        squared = (2 * theta["a"] * w) ** 2
        d_min = xp.maximum(xp.minimum(squared * ONSET_FRACTION, ONSET_MAX), ONSET_MIN)
        slope = squared / (2 * d_min**2) - 1.5 / d_min - theta["v"] ** 2 / 2
        return d_min, xp.maximum(slope, 1 / d_min)


def relative_distances(xp: Namespace, response: Any, z: Any) -> tuple[Any, Any]:
    """Distance from the start to the boundary that was hit, and to the other, relative to ``A = 2a``.

    Both are formed from z without subtracting where it matters, so each keeps its relative accuracy.
    """
    upper = response > 0
    return xp.where(upper, 1 - z, z), xp.where(upper, z, 1 - z)


def constant(xp: Namespace, d: Any, response: Any, theta: Theta) -> Passage:
    """Constant drift between constant boundaries."""
    width = 2 * theta["a"]
    w, eps = relative_distances(xp, response, theta["z"])
    log_factor = -2 * xp.log(width) + _log_drift(d, response * theta["v"], width * w)
    return Passage(d / width**2, w, eps, log_factor)


def _log_drift(d: Any, towards: Any, distance: Any) -> Any:
    return towards * distance - towards**2 * d / 2


def variable(xp: Namespace, d: Any, response: Any, theta: Theta) -> Passage:
    """A drift that is normal across trials, with mean v and standard deviation sv, between constant boundaries.

    The mean of ``exp(V x - V^2 d / 2)`` over a normal V (Ratcliff 1978, Psychological Review 85, 59-108).
    """
    width, sv = 2 * theta["a"], theta["sv"]
    w, eps = relative_distances(xp, response, theta["z"])
    distance, towards, spread = width * w, response * theta["v"], 1 + sv**2 * d
    exponent = (2 * towards * distance - towards**2 * d + (sv * distance) ** 2) / (2 * spread)
    return Passage(d / width**2, w, eps, exponent - 0.5 * xp.log(spread) - 2 * xp.log(width))


def straight(xp: Namespace, d: Any, response: Any, theta: Theta) -> Passage:
    """Constant drift between boundaries that fall in a straight line, at +-(a - d tan(theta)).

    Position over half separation b is, in the clock of ``1 / b^2``, Brownian motion with a drift that Girsanov's
    theorem turns into a factor of the two ends (Hall 1997, Bernoulli 3, 155-181, gives the same density otherwise).
    Boundaries that have met leave no density: below `CLOSED` of the start their inverse goes on in a straight line.
    """
    a, slope = theta["a"], xp.tan(theta["theta"])
    w, eps = relative_distances(xp, response, theta["z"])
    b, least = a - slope * d, CLOSED * a
    closing = xp.maximum(b, least)
    inverse = 1 / closing - xp.minimum(b - least, 0.0) / least**2
    start = a * (eps - w)  # towards the boundary that is hit
    log_ends = -1.5 * xp.log(2 * closing) - 0.5 * xp.log(2 * a) + slope * (closing - start**2 / a) / 2
    towards = response * theta["v"]
    return Passage(d * inverse / (4 * a), w, eps, log_ends + _log_drift(d, towards, closing - start))
