"""Network inputs and baselines where non-decision time or starting point are uniform across trials, and drift normal.

The density is the mean of that with a normal drift over a window of decision times, d - st to d + st, and over starting
points. The baseline is the same mean, by a few nodes, of what that transform knows in closed form; the network learns
the rest. Nodes are even in 1 / sqrt(time), in which a first passage is close to normal, so a density much narrower than
the window is not missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, final

import numpy as np

from pymc_lan.models.diffusion.closed_deadline import (
    FOREVER,
    fraction_baseline,
    fraction_inputs,
    lower_probit,
    survivor_terms,
)
from pymc_lan.models.diffusion.closed_view import (
    ONSET_FRACTION,
    ONSET_MAX,
    ONSET_MIN,
    Passage,
    relative_distances,
    variable,
)
from pymc_lan.models.model import Model, spread
from pymc_lan.models.residual import ResidualDeadline, ResidualSurvivor
from pymc_lan.numerics.passage import Namespace, Theta, log_leading, softplus
from pymc_lan.numerics.wiener import ddm_log_choice

# Nodes over the window and over starting points, and how many standard deviations they reach (`log_in_window`).
WINDOW_NODES, START_NODES, REACH = 6, 3, 4.5
# What a time of 0 is replaced by [s].
SHORT = 1e-12
# Shortest horizon, in units of the squared separation.
_INSTANT = 1e-6


def unit_rule(n: int) -> tuple[list[float], list[float]]:
    """Nodes and weights of a mean over the unit interval (Gauss and Legendre)."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return ((1 + nodes) / 2).tolist(), (weights / 2).tolist()


def log_in_window(
    xp: Namespace,
    model: Model,
    d: Any,
    response: Any,
    theta: Theta,
    log_passage: Callable[[Namespace, Passage], Any],
    reach: float,
) -> Callable[[Any, Any], Any]:
    """The log density as a mean: a function of a node of the window and one of the starting points.

    Parameters
    ----------
    xp : Namespace
    model : Model
    d, response : array
    theta : mapping of str to array
    log_passage : callable
        ``(xp, passage)`` to the log density of a trial without that variability.
    reach : float
        How many standard deviations of 1 / sqrt(time) before the window's end, or of the way by then, are looked at.

    Returns
    -------
    callable
        ``(window_node, start_node)``, each between 0 and 1, to the log of what is averaged.
    """
    st, sz, sv = (spread(model, name, theta) for name in ("t", "z", "v"))
    late = d if st is None else d + st
    early = late if st is None else xp.maximum(d - st, SHORT)
    slowest, width = 1 / xp.sqrt(late), 2 * theta["a"]
    w, _ = relative_distances(xp, response, theta["z"])

    def log_term(window_node: Any, start_node: Any) -> Any:
        z, log_share = theta["z"], 0.0
        if sz is not None:
            # From the nearest start on, as far as it matters by the end of the window.
            nearest = w - sz
            extent = xp.minimum(2 * sz, xp.sqrt(nearest**2 + (reach / width) ** 2 * late) - nearest)
            start = nearest + start_node * extent
            z, log_share = xp.where(response > 0, 1 - start, start), xp.log(extent / (2 * sz))
        inner = {"v": theta["v"], "a": theta["a"], "z": z, "sv": 0.0 if sv is None else sv}
        if st is None:
            return log_share + log_passage(xp, variable(xp, d, response, inner))
        distance = width * relative_distances(xp, response, z)[0]
        between = (late - early) / (xp.sqrt(late * early) * (xp.sqrt(late) + xp.sqrt(early)))
        extent = xp.minimum(between, reach / distance)
        time = 1 / (slowest + window_node * extent) ** 2
        log_f = log_passage(xp, variable(xp, time, response, inner))
        return log_share + log_f + 1.5 * xp.log(time) + xp.log(extent / st)

    return log_term


def log_mean(xp: Namespace, terms: list[Any], weights: list[float]) -> Any:
    """Log of the weighted mean of exponentials."""
    largest = reduce(xp.maximum, terms)
    return largest + xp.log(sum(w * xp.exp(x - largest) for w, x in zip(weights, terms, strict=True)))


def _log_leading(xp: Namespace, passage: Passage) -> Any:
    return passage.log_factor + log_leading(xp, passage.u, passage.w, passage.eps)


@dataclass(frozen=True)
class MixtureView:
    """How a likelihood network sees a model with constant drift and boundaries, parameters of which vary across trials.

    Parameters
    ----------
    model : Model
        Its `variability` says which do.
    """

    model: Model

    @property
    def n_inputs(self) -> int:
        """Five, and one for each spread but two for that of the non-decision time."""
        return 5 + len(self.model.variability) + self._varies("t")

    def _varies(self, name: str) -> bool:
        return any(each.parameter == name for each in self.model.variability)

    def baseline(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """The closed-form log density that the network corrects."""
        log_term = log_in_window(xp, self.model, d, response, theta, _log_leading, REACH)
        window = unit_rule(WINDOW_NODES if self._varies("t") else 1)
        starts = unit_rule(START_NODES if self._varies("z") else 1)
        terms = [log_term(x, y) for x in window[0] for y in starts[0]]
        return log_mean(xp, terms, [a * b for a in window[1] for b in starts[1]])

    def inputs(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""
        width, (w, eps) = 2 * theta["a"], relative_distances(xp, response, theta["z"])
        st, sz, sv = (spread(self.model, name, theta) for name in ("t", "z", "v"))
        drift, extra = response * theta["v"] * width / 2, []
        u = d / width**2
        if st is not None:
            u = (d + st) / width**2
            share = st / width**2
            extra += [share / (share + 0.1), st / (d + 2 * st)]
        if sz is not None:
            extra += [sz / (sz + xp.sqrt(u) / 2)]
        if sv is not None:
            extra += [sv * width / (2 + sv * width)]
        return (xp.log1p(10 * u), 2 * w - 1, u / (1 + 0.1 * u), eps / (eps + u), _squash(xp, drift), *extra)

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)``: below `d_min` the log density goes on in a straight line of that slope."""
        w, _ = relative_distances(xp, response, theta["z"])
        st, sz = (spread(self.model, name, theta) for name in ("t", "z"))
        squared = (2 * theta["a"] * (w if sz is None else xp.maximum(w - sz, 0.0))) ** 2
        after = xp.maximum(xp.minimum(squared * ONSET_FRACTION, ONSET_MAX), ONSET_MIN)
        slope = squared / (2 * after**2) - 1.5 / after
        return after if st is None else after - st, xp.maximum(slope, 1 / after)


def _squash(xp: Namespace, x: Any) -> Any:
    return x / xp.sqrt(1 + x**2)


@final
@dataclass(frozen=True)
class MixtureDeadline(ResidualDeadline):
    """How a choice/deadline network sees constant drift and boundaries, parameters of which vary across trials.

    Parameters
    ----------
    model : Model
    """

    model: Model

    @property
    def n_inputs(self) -> int:
        """Eight, and one for each spread but two for that of the non-decision time."""
        return 8 + len(self.model.variability) + any(each.parameter == "t" for each in self.model.variability)

    def latest(self, xp: Namespace, theta: Theta) -> Any:
        """When practically everything is decided [s]."""
        st = spread(self.model, "t", theta)
        return FOREVER * 4 * theta["a"] ** 2 + (0.0 if st is None else st)

    def least(self, xp: Namespace, theta: Theta) -> Any:
        """The shortest horizon [s] that is looked at: a little after the first decision may have begun."""
        return _INSTANT + self.begins(theta)

    def begins(self, theta: Theta) -> Any:
        """Horizon [s] by which the first decision may have begun."""
        st = spread(self.model, "t", theta)
        return 0.0 if st is None else -st

    def similar(self, xp: Namespace, horizon: Any, theta: Theta) -> dict[str, Any]:
        """A drift that is as much smaller as its variability blurs it within the time of a typical decision."""
        sv = spread(self.model, "v", theta)
        typical = horizon / (1 + horizon / theta["a"] ** 2)
        v = theta["v"] if sv is None else theta["v"] / xp.sqrt(1 + sv**2 * typical)
        return {"v": v, "a": theta["a"], "z": theta["z"]}

    def baseline(self, xp: Namespace, horizon: Any, theta: Theta) -> Any:
        """The logit that the network corrects: `horizon` counts from the mean non-decision time."""

        def terms(u: Any, other: Theta) -> tuple[Any, Any]:
            log_upper, log_lower = ddm_log_choice(xp, **other)
            fraction = fraction_baseline(xp, u, other)
            rest = xp.logaddexp(log_lower, log_upper - softplus(xp, fraction))
            return rest, log_upper - softplus(xp, -fraction)

        rest, go = self.in_window(xp, horizon, theta, terms)
        return go - rest

    def in_window(
        self, xp: Namespace, horizon: Any, theta: Theta, terms: Callable[[Any, Theta], tuple[Any, Any]]
    ) -> tuple[Any, Any]:
        """Log probabilities of what has not happened by a horizon and of what has, as means over the window.

        `terms` has them of a process with constant parameters, by its time u.
        """
        st, least = spread(self.model, "t", theta), _INSTANT * theta["a"] ** 2
        nodes, weights = unit_rule(WINDOW_NODES if st is not None else 1)
        late = horizon if st is None else horizon + st
        early = late if st is None else xp.maximum(horizon - st, 0.0)
        other = self.similar(xp, xp.maximum(late, least), theta)
        times = [xp.maximum(early + node * (late - early), least) / (4 * theta["a"] ** 2) for node in nodes]
        not_yet, done = zip(*(terms(u, other) for u in times), strict=True)
        log_not, log_done = log_mean(xp, [*not_yet], weights), log_mean(xp, [*done], weights)
        if st is None:
            return log_not, log_done
        # The part of the window in which the decision has not begun.
        begun = xp.minimum(late / (2 * st), 1.0)
        some = xp.where(begun < 1, begun, 0.5)
        log_not = xp.where(begun < 1, xp.log(1 - some + some * xp.exp(log_not)), log_not)
        return log_not, log_done + xp.log(begun)

    def inputs(self, xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""
        st, sz, sv = (spread(self.model, name, theta) for name in ("t", "z", "v"))
        width, late = 2 * theta["a"], horizon if st is None else horizon + st
        late = xp.maximum(late, _INSTANT * theta["a"] ** 2)
        other, extra = self.similar(xp, late, theta), []
        typical = late / (1 + late / theta["a"] ** 2)
        ahead = (other["v"] * typical + theta["a"] * (2 * theta["z"] - 1)) / xp.sqrt(typical)
        if st is not None:
            share = st / width**2
            extra += [share / (share + 0.1), st / (late + st)]
        if sz is not None:
            extra += [5 * sz]
        if sv is not None:
            extra += [sv * width / (2 + sv * width)]
        signed = (_squash(xp, other["v"] * theta["a"]), _squash(xp, ahead))
        return (*fraction_inputs(xp, late / width**2, other), *signed, *extra)


@final
@dataclass(frozen=True)
class MixtureSurvivor(ResidualSurvivor):
    """How a survivor network sees constant drift and boundaries, parameters of which vary across trials.

    Parameters
    ----------
    model : Model
    """

    model: Model

    @property
    def deadline(self) -> MixtureDeadline:
        """How the choice/deadline network sees them."""
        return MixtureDeadline(self.model)

    @property
    def n_inputs(self) -> int:
        """One more than of the choice/deadline network."""
        return self.deadline.n_inputs + 1

    def latest(self, xp: Namespace, theta: Theta) -> Any:
        """Until when the network has learned [s]."""
        return self.deadline.latest(xp, theta)

    def least(self, xp: Namespace, theta: Theta) -> Any:
        """The shortest horizon [s] that is looked at."""
        return self.deadline.least(xp, theta)

    def begins(self, theta: Theta) -> Any:
        """Horizon [s] by which the first decision may have begun."""
        return self.deadline.begins(theta)

    def baseline(self, xp: Namespace, horizon: Any, theta: Theta) -> Any:
        """The logit that the network corrects: `horizon` counts from the mean non-decision time."""
        none, seen = self.deadline.in_window(xp, horizon, theta, partial(survivor_terms, xp))
        return none - seen

    def inputs(self, xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""
        st = spread(self.model, "t", theta)
        late = xp.maximum(horizon if st is None else horizon + st, _INSTANT * theta["a"] ** 2)
        other = self.deadline.similar(xp, late, theta)
        return (*self.deadline.inputs(xp, horizon, theta), lower_probit(xp, late / (4 * theta["a"] ** 2), other))
