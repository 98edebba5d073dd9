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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import and_
from typing import Any

import numpy as np

from pymc_lan.data.observation import Silence
from pymc_lan.errors import explain
from pymc_lan.models.density import DeadlineView, Density, Network, Survivor
from pymc_lan.models.model import Model, require_exact, require_views, shift
from pymc_lan.models.parameters import DOMAIN_MARGIN, Parameter
from pymc_lan.numerics.mass import FEW, MANY, log_integral
from pymc_lan.numerics.passage import Namespace, Theta
from pymc_lan.numerics.wiener import log_add

# A trial whose parameter lies this fraction of the trained range outside loses one nat.
PENALTY_SCALE = 0.02
# Smaller shares of guesses count as none: their inverse, which gradients contain, would overflow.
LEAST_LAPSE = 1e-300
# Of the mass of a density that a network has, so much may be missing by its own error.
MISSED = 0.005

# ``(rt, response, theta)`` to the log density.
LogDensity = Callable[[Any, Any, Theta], Any]


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
    silence : Silence or None
        What it says of a trial that there was no response.
    """

    spec: Model
    lan: Network | None = None
    choice: Network | None = None
    silence: Silence | None = None

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
        if self.spec.order is not None:
            less, more = self.spec.order
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
        d, density = rt - shift(self.spec, theta), self.density
        d_min, slope = density.onset(xp, d, response, theta)
        core = density.log_density(xp, xp.maximum(d, d_min), response, theta)
        # Beyond the largest shift the straight line goes on, so that every start leads back.
        beyond = xp.maximum(given - shift(self.spec, theta), 0.0)
        return core + slope * xp.minimum(d - beyond - d_min, 0.0) - penalty

    def log_mass(
        self,
        xp: Namespace,
        low: Any,
        high: Any,
        response: Any,
        theta: Theta,
        *,
        short: bool = False,
        log_density: LogDensity | None = None,
    ) -> Any:
        """Log probability of a response between two times, by quadrature of the density.

        Parameters
        ----------
        xp : Namespace
        low, high : array
            Seconds; `high` may be inf.
        response : array
            One of the model's choices.
        theta : mapping of str to array
        short : bool
            Whether they are never far apart, so that a few nodes do.
        log_density : callable, optional
            ``(rt, response, theta)`` to the log density of several times of each trial; by default its own.
        """
        density = partial(self.log_density, xp) if log_density is None else log_density
        inside, _ = self.clamp(xp, theta)
        t, panels = shift(self.spec, inside), self.spec.panels(xp, response, inside)
        # Nodes lie along a first axis, so the others have to be there.
        low, high, *_ = xp.broadcast_arrays(low - t, high - t, response, *theta.values())
        n = FEW if short else MANY
        return log_integral(xp, lambda d: density(t + d, response, theta), panels, low, high, n)

    def at(self, rows: Any, function: Callable[..., Any], *groups: Mapping[str, Any]) -> Any:
        """Value of a function of NumPy's arrays by name at some rows, along the last axis; 0 elsewhere."""
        arrays = [np.asarray(x) for group in groups for x in group.values()]
        shape = np.broadcast_shapes(np.shape(rows), *(x.shape for x in arrays))
        found, chosen = np.zeros(shape), np.flatnonzero(np.broadcast_to(rows, shape[-1:]))
        if chosen.size:
            some = [
                {name: x[..., chosen] if np.ndim(x) and np.shape(x)[-1] > 1 else x for name, x in group.items()}
                for group in groups
            ]
            found[..., chosen] = function(*some)
        return found

    def once(self, function: Callable[..., Any], *groups: Mapping[str, Any]) -> Any:
        """Value of a function of arrays by name."""
        return function(*groups)

    @property
    def density(self) -> Density:
        """What the networks give or, without them, the closed form."""
        if self.lan is None:
            return require_exact(self.spec)
        return require_views(self.spec).density(self.lan, self.choice)

    def log_probabilities(self, xp: Namespace, theta: Theta) -> tuple[list[Any], Any]:
        """Log probability of each choice of a model of responses alone, and the penalty to subtract."""
        theta, penalty = self.clamp(xp, theta)
        if self.lan is not None:
            return require_views(self.spec).log_probabilities(xp, self.lan, theta), penalty
        assert self.spec.log_choices is not None  # without either there are no such models
        return self.spec.log_choices(xp, theta), penalty

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
        log_go, log_rest = self._split(xp, deadline - shift(self.spec, theta), theta)
        return log_go - penalty, log_rest - penalty

    @property
    def log_survivor(self) -> Survivor | None:
        """Log probability that nothing is decided within a horizon: by the networks, or else in closed form."""
        found = None if self.lan is None else self.density.log_survivor
        return found if found is not None or self.spec.exact is None else self.spec.exact.log_survivor

    @property
    def view(self) -> DeadlineView | None:
        """How the network of trials without a response sees them, where there is one."""
        return None if self.choice is None else require_views(self.spec).choice

    def log_none(self, xp: Namespace, deadline: Any, theta: Theta) -> Any:
        """Log probability of what no response by the deadline means, elementwise; arguments as of `log_go`."""
        if self.silence is not Silence.OMISSION or (self.view is not None and self.view.silence is Silence.OMISSION):
            return self.log_go(xp, deadline, theta)[1]
        if self.log_survivor is None:
            return self.log_left(xp, deadline, theta)
        theta, penalty = self.clamp(xp, theta)
        return self.log_survivor(xp, deadline - shift(self.spec, theta), theta) - penalty

    def log_left(self, xp: Namespace, deadline: Any, theta: Theta, log_density: LogDensity | None = None) -> Any:
        """Log of the share of the density that lies beyond a deadline, and of what is never decided.

        By quadrature on either side of it: right in relative terms where it is small, and whatever the network's mass.
        What is missing from that is never decided, where the model may leave a trial so and more is missing than
        networks err (`MISSED`). `log_density` as of `log_mass`.
        """
        theta, penalty = self.clamp(xp, theta)
        # Without a deadline nothing is left but what is never decided, whatever stands in for the end.
        ends = deadline < math.inf
        deadline = xp.where(ends, deadline, 1.0)

        def within(low: Any, high: Any) -> Any:
            parts = [
                self.log_mass(xp, low, high, 0.0 * deadline + float(code), theta, log_density=log_density)
                for code in self.spec.choices
            ]
            return reduce(xp.logaddexp, parts)

        late, early = within(deadline, math.inf), within(0.0, deadline)
        every = xp.logaddexp(early, late)
        late = xp.where(ends, late, -math.inf)
        if not self.spec.decides:
            missed = xp.maximum(-xp.expm1(every), 0.0)
            log_never = xp.log(missed**3 / (missed**2 + MISSED**2) + LEAST_LAPSE)
            late, every = xp.logaddexp(late, log_never), xp.logaddexp(every, log_never)
        return late - every - penalty

    def _split(self, xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, Any]:
        if self.view is not None and self.choice is not None:
            return self.view.log_split(xp, self.choice, horizon, theta)
        log_split = require_exact(self.spec).log_split
        if log_split is None:
            expected = "a model whose go probabilities have a closed form, for likelihood='exact' with go/no-go trials"
            raise ValueError(explain(expected, f"{self.spec.name!r}", "use likelihood='lan'"))
        return log_split(xp, horizon, theta)

    def log_trial(self, xp: Namespace, rt: Any, response: Any, deadline: Any, theta: Theta) -> Any:
        """Log density where there is a response and, where rt is inf, log probability of none by the deadline.

        Without a deadline (None) every trial ends with a response.
        """
        responded = rt < math.inf
        # Whatever stands in for a missing rt is never used; one second keeps both branches and their gradients finite.
        log_density = self.log_density(xp, xp.where(responded, rt, 1.0), response, theta)
        log_none = -math.inf if deadline is None else self.log_none(xp, deadline, theta)
        return xp.where(responded, log_density, log_none)


def _scale(p: Parameter) -> float:
    return PENALTY_SCALE * (p.bounds[1] - p.bounds[0])


def of_choices(xp: Namespace, log_p: Any, response: Any, choices: Sequence[int]) -> Any:
    """Log density of responses: minus infinity where one is none of the choices."""
    other = reduce(and_, (response != code for code in choices))
    # What is not known stays so.
    return xp.where(other & (response == response), -math.inf, log_p)


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
    mixed = log_add(xp, xp.log1p(-p) + log_p, xp.log(p) + log_guess)
    return xp.where(some, xp.where(not_all, mixed, log_guess), log_p)
