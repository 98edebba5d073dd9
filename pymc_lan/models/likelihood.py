"""Log likelihoods of decision data, written once against an array namespace.

Values, bounds and gradients are finite everywhere a sampler can go ("outside the range"):

* rt <= t: below a small decision time the log density goes on in a straight line, also where t is above its bound, so
  its gradient points to a smaller t;
* parameters outside the bounds: the likelihood at the nearest point inside, minus a penalty that grows with the square
  of the distance;
* rt = inf stands for "no response" and is replaced before any arithmetic whose gradient it would spoil.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymc_lan.errors import explain
from pymc_lan.models.race.race import Race, race_log_density, race_of, race_onset
from pymc_lan.models.spec import Model, Parameter, shift
from pymc_lan.models.views import choice_view, lan_view, transform_of
from pymc_lan.numerics import wiener as exact
from pymc_lan.numerics.passage import Namespace, Theta

Network = Callable[[tuple[Any, ...]], Any]

# A trial whose parameter lies this fraction of the trained range outside loses one nat.
PENALTY_SCALE = 0.02
# Smaller shares of guesses count as none: their inverse, which gradients contain, would overflow.
LEAST_LAPSE = 1e-300
# How far inside an open end of its domain (a > 0, 0 < z < 1) a parameter is kept.
DOMAIN_MARGIN = 1e-6


LogGo = Callable[..., tuple[Any, Any]]

# ``(xp, horizon, *theta without t)`` to the log probability of hitting the upper boundary within `horizon` seconds of
# decision time, and the log of the rest.
LOG_GO: dict[str, LogGo] = {"constant_drift": exact.ddm_log_go}
"""Closed forms of go probabilities, by transform."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A model's likelihood with its networks, or in closed form where they are None.

    Parameters
    ----------
    spec : Model
    lan : callable, optional
        Maps the network inputs to the residual log density.
    choice : callable, optional
        Maps the inputs of the choice/deadline network to its output.
    """

    spec: Model
    lan: Network | None = None
    choice: Network | None = None

    def clamp(self, xp: Namespace, theta: Theta) -> tuple[dict[str, Any], Any]:
        """Move parameters inside their bounds; return them and the penalty for the distance.

        The bounds are those the network was trained on or, for the closed form, those of its domain.
        """
        inside, penalty = {}, 0.0
        for p in self.spec.parameters:
            low, high = p.domain if self.lan is None else p.bounds
            low = max(low, p.domain[0] + DOMAIN_MARGIN * (not p.closed))
            high = min(high, p.domain[1] - DOMAIN_MARGIN)
            x = inside[p.name] = theta[p.name]
            if math.isfinite(low):
                inside[p.name] = xp.maximum(inside[p.name], low)
            if math.isfinite(high):
                inside[p.name] = xp.minimum(inside[p.name], high)
            if inside[p.name] is not x:
                penalty = penalty + ((x - inside[p.name]) / _scale(p)) ** 2
        race = race_of(self.spec)
        if race is not None and race.order is not None:
            less, more = race.order
            x = inside[more]
            inside[more] = xp.maximum(x, inside[less])
            penalty = penalty + ((x - inside[more]) / _scale(self.spec.parameter(more))) ** 2
        return inside, penalty

    def log_density(self, xp: Namespace, rt: Any, response: Any, theta: Theta) -> Any:
        """Log density of (rt, response), elementwise.

        Parameters
        ----------
        xp : Namespace
        rt : array
            Seconds, finite.
        response : array
            One of the model's choices.
        theta : mapping of str to array
            Every parameter of the model, broadcastable against rt.
        """
        given, (theta, penalty) = shift(self.spec, theta), self.clamp(xp, theta)
        d = rt - shift(self.spec, theta)
        race = race_of(self.spec)
        if race is not None:
            d_min, slope = race_onset(xp, race, self.spec, response, theta)
            late = xp.maximum(d, d_min)
            core = race_log_density(xp, race, self.spec, late, response, theta, self._race_networks(race))
        else:
            d_min, slope, core = self._log_passage(xp, d, response, theta)
        # Beyond the largest shift the straight line goes on, so that every start leads back.
        beyond = xp.maximum(given - shift(self.spec, theta), 0.0)
        return core + slope * xp.minimum(d - beyond - d_min, 0.0) - penalty

    def _race_networks(self, race: Race) -> tuple[Network, ...]:
        """The networks of a race whose accumulators are learned; ValueError where they are missing."""
        if not race.learned:
            return ()
        if self.lan is None or self.choice is None:
            found = "one of them" if self.lan is not None else "none"
            raise ValueError(
                explain(f"the two networks of {self.spec.name!r}", found, "load them with pl.load_network")
            )
        return self.lan, self.choice

    def _log_passage(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any, Any]:
        """Of a model that is no race: where the straight line ends, its slope, and the log density after it."""
        transform = transform_of(self.spec) if self.lan is None else lan_view(self.spec)
        d_min, slope = transform.onset(xp, d, response, theta)
        late = xp.maximum(d, d_min)
        if self.lan is None:
            require_exact(self.spec)
            core = exact.passage_logpdf(xp, transform.passage(xp, late, response, theta))
        else:
            residual = self.lan(transform.inputs(xp, late, response, theta))
            core = transform.baseline(xp, late, response, theta) + residual
        return d_min, slope, core

    def log_probabilities(self, xp: Namespace, theta: Theta) -> tuple[list[Any], Any]:
        """Log probability of each choice of a model of responses alone, and the penalty to subtract."""
        theta, penalty = self.clamp(xp, theta)
        return lan_view(self.spec).log_probabilities(xp, self.lan, theta), penalty

    def log_go(self, xp: Namespace, deadline: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of a go response (upper boundary) by the deadline, and of none, elementwise.

        Parameters
        ----------
        xp : Namespace
        deadline : array
            Seconds after stimulus onset; may be inf.
        theta : mapping of str to array
        """
        theta, penalty = self.clamp(xp, theta)
        horizon = deadline - shift(self.spec, theta)
        if self.choice is None:
            closed_form = require_exact_go(self.spec)
            log_go, log_rest = closed_form(xp, horizon, **{name: x for name, x in theta.items() if name != "t"})
        else:
            log_go, log_rest = choice_view(self.spec).log_go(xp, self.choice, horizon, theta)
        return log_go - penalty, log_rest - penalty

    def log_trial(self, xp: Namespace, rt: Any, response: Any, deadline: Any, theta: Theta) -> Any:
        """Log density where there is a response and, where rt is inf, log probability of none by the deadline.

        Without a deadline (None) every trial ends with a response.
        """
        responded = rt < math.inf
        # Whatever stands in for a missing rt is never used; one second keeps both branches and their gradients finite.
        log_density = self.log_density(xp, xp.where(responded, rt, 1.0), response, theta)
        log_none = -math.inf if deadline is None else self.log_go(xp, deadline, theta)[1]
        return xp.where(responded, log_density, log_none)


def _scale(p: Parameter) -> float:
    return PENALTY_SCALE * (p.bounds[1] - p.bounds[0])


def require_exact(spec: Model) -> None:
    """Refuse, with a ValueError, a model whose density has no closed form."""
    if not spec.exact:
        raise ValueError(explain("a model with a closed form", f"{spec.name!r}", "use likelihood='lan'"))


def require_exact_go(spec: Model) -> LogGo:
    """The closed form of a model's go probabilities; ValueError where it has none."""
    require_exact(spec)
    if spec.transform not in LOG_GO:
        raise ValueError(
            explain(
                "a model whose go probabilities have a closed form, for likelihood='exact' with go/no-go trials",
                f"{spec.name!r}",
                "use likelihood='lan'",
            )
        )
    return LOG_GO[spec.transform]


def mix_lapses(xp: Namespace, log_p: Any, p_lapse: Any, log_guess: Any) -> Any:
    """Log density of a trial that is, with probability `p_lapse`, a guess of log density `log_guess`.

    Parameters
    ----------
    xp : Namespace
    log_p : array
        Log density of the trial if it is not a guess.
    p_lapse, log_guess : array
        Jointly over rt and response, so that the mixture integrates to one. Where p_lapse is 0 or 1 the other part has
        no share in value or gradient.
    """
    some, not_all = p_lapse > LEAST_LAPSE, p_lapse < 1
    p = xp.where(some & not_all, p_lapse, 0.5)
    mixed = exact.log_add(xp, xp.log1p(-p) + log_p, xp.log(p) + log_guess)
    return xp.where(some, xp.where(not_all, mixed, log_guess), log_p)
