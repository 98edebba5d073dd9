"""Inputs and baseline of the choice/deadline network of any diffusion, from its drift and boundary alone.

Which boundary is reached, and whether in time, depends on drift and boundary over the whole decision. They are looked
at in a few periods, each a few times as long as the one before, that all end before the deadline. The baseline is the
formula of constant drift and boundaries, at the means over those periods, each weighed by how likely the decision is
to be still open.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, pairwise
from typing import Any, ClassVar, NamedTuple, final

import jax.numpy as jnp
import numpy as np

from pymc_lan.models.density import HorizonView
from pymc_lan.models.diffusion.closed_deadline import (
    fraction_baseline,
    fraction_inputs,
    lower_probit,
    survivor_terms,
)
from pymc_lan.models.diffusion.path_view import START, at_rest, displacements, half_width, squash
from pymc_lan.models.diffusion.structure import PERIODS, Process, deadline_inputs, structure
from pymc_lan.models.residual import ResidualDeadline, ResidualSurvivor
from pymc_lan.numerics.elementwise import outside
from pymc_lan.numerics.passage import Theta, softplus
from pymc_lan.numerics.wiener import ddm_log_choice

# Without drift the chance that a decision between -1 and 1 is still open falls at this rate.
_DECAY = math.pi**2 / 8
# Seconds, in units of the squared boundary, after which what is still undecided is below 1e-10 without collapse; where
# the drift depends on position the process may be held for any time, and nobody waits so long ...
FOREVER, HELD = 20.0, 12.0
# ... and the shortest horizon [s]: nothing happens before.
INSTANT = 1e-6
# Rule of the integrals over position in the probability of either boundary.
_NODES, _WEIGHTS = ((x / 2).tolist() for x in np.polynomial.legendre.leggauss(10) + np.array([[1.0], [0.0]]))
_FEW_NODES, _FEW_WEIGHTS = ((x / 2).tolist() for x in np.polynomial.legendre.leggauss(3) + np.array([[1.0], [0.0]]))
# Where in the middle of the strip a drift that depends on position is looked at, as a share of the boundary.
_INSIDE = 0.6


class Outlook(NamedTuple):
    """What a decision with a deadline has before it.

    Parameters
    ----------
    similar : dict of str to array
        Constant drift v, boundary a and start z that are nearest.
    time : array
        The deadline, as the time of a passage out of a unit interval.
    first : array
        Half the separation of the boundaries at the start.
    widths, pushes : tuple of array
        The same at the end of each period, relative to `first`, and the displacement that it brings; empty where they
        do not change.
    pulls : tuple of array
        How the drift on either side of the middle differs from that in it; empty where it does not.
    """

    similar: dict[str, Any]
    time: Any
    first: Any
    widths: tuple[Any, ...]
    pushes: tuple[Any, ...]
    pulls: tuple[Any, ...]


def look_ahead(process: Process, horizon: Any, theta: Theta) -> Outlook:
    """What a decision has before it."""
    horizon, *values = jnp.broadcast_arrays(horizon, *theta.values())
    theta, kind = dict(zip(theta, values, strict=True)), structure(process)
    zero = jnp.full_like(horizon, START)
    first = half_width(process, zero, theta)
    ends = [horizon / (1 + horizon / (share * first**2)) for share in PERIODS]
    widths = [half_width(process, t, theta) for t in ends] if kind.moving else [first] * len(ends)
    edges, known = pairwise([zero, *ends]), pairwise([first, *widths])
    spans = [after - before for before, after in edges]
    paces = [span / (b * c) for span, (b, c) in zip(spans, known, strict=True)]
    clock = list(accumulate(paces, initial=0.0 * horizon))
    weights = [
        -jnp.exp(-_DECAY * before) * jnp.expm1(-_DECAY * pace) for before, pace in zip(clock[:-1], paces, strict=True)
    ]
    total = sum(weights)
    if kind.varying:
        sums, _ = displacements(process, ends, theta)
        pushes = [after - before for before, after in pairwise([zero, *sums])]
        v = sum(w * push / span for w, push, span in zip(weights, pushes, spans, strict=True)) / total
    else:
        pushes, v = [], at_rest(process, zero, theta)
    a = sum(w * b for w, b in zip(weights, widths, strict=True)) / total
    rest = horizon - ends[-1]
    last = half_width(process, horizon, theta) if kind.moving else first
    pulls = []
    if kind.positional:
        typical = ends[PERIODS.index(0.8)] if kind.varying else zero
        sides = [side * _INSIDE * first for side in (-1, 1)]
        pulls = [process.drift(typical, x, theta) - at_rest(process, typical, theta) for x in sides]
    return Outlook(
        {"v": v, "a": a, "z": theta["z"]},
        (clock[-1] + rest / (widths[-1] * last)) / 4,
        first,
        tuple(b / first for b in widths) if kind.moving else (),
        tuple(pushes),
        tuple(pulls),
    )


@dataclass(frozen=True)
class PathHorizon(HorizonView):
    """How any network of horizons sees a model that is given by its drift and boundary, whose formulas are JAX's.

    Parameters
    ----------
    process : Process
    """

    process: Process

    def least(self, xp: Any, theta: Theta) -> Any:
        """The shortest horizon [s] that is looked at: nothing happens before."""
        return INSTANT

    def latest(self, xp: Any, theta: Theta) -> Any:
        """When practically everything is decided [s]."""
        return outside(self._latest, xp, dict(theta))

    def _latest(self, theta: Theta) -> Any:
        first = half_width(self.process, jnp.full_like(jnp.asarray(theta["z"]), START), theta)
        forever = (HELD if structure(self.process).positional else FOREVER) * first**2
        return forever if self.process.closes is None else jnp.minimum(self.process.closes(theta), forever)

    def baseline(self, xp: Any, horizon: Any, theta: Theta) -> Any:
        """The logit that the network corrects."""
        return outside(self._baseline, xp, horizon, dict(theta))

    @abstractmethod
    def _baseline(self, horizon: Any, theta: Theta) -> Any: ...

    def inputs(self, xp: Any, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""
        return tuple(outside(self._inputs, xp, horizon, dict(theta)))

    def _inputs(self, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        return shown(look_ahead(self.process, horizon, theta), horizon, theta)


@final
@dataclass(frozen=True)
class PathDeadline(PathHorizon, ResidualDeadline):
    """How a choice/deadline network sees a model that is given by its drift and boundary.

    Parameters
    ----------
    process : Process
    """

    waits: ClassVar[bool] = True

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return deadline_inputs(structure(self.process))

    @property
    def log_choice(self) -> Callable[..., tuple[Any, Any]] | None:
        """``(xp, theta)`` to log P(upper) and log P(lower), where nothing but the position changes the drift."""
        kind = structure(self.process)
        return self._log_choice if kind.positional and not (kind.varying or kind.moving) else None

    def _log_choice(self, xp: Any, theta: Theta) -> tuple[Any, Any]:
        return outside(self._log_scale, xp, dict(theta))

    def _log_scale(self, theta: Theta) -> tuple[Any, Any]:
        """By the scale function (Karlin & Taylor 1981, A Second Course in Stochastic Processes, chapter 15.3)."""
        values = jnp.broadcast_arrays(*theta.values())
        theta = dict(zip(theta, values, strict=True))
        zero = jnp.full_like(values[0], START)
        first = half_width(self.process, zero, theta)
        start = first * (2 * theta["z"] - 1)

        def side(end: Any) -> Any:
            """Log of the integral of exp(-2 * integral of the drift) from the start to an end, without its sign."""
            rise, terms = end - start, []
            for node, weight in zip(_NODES, _WEIGHTS, strict=True):
                rule = zip(_FEW_NODES, _FEW_WEIGHTS, strict=True)
                work = sum(w * self.process.drift(zero, start + share * node * rise, theta) for share, w in rule)
                terms.append(math.log(weight) - 2 * work * node * rise)
            largest = reduce(jnp.maximum, terms)
            return largest + jnp.log(sum(jnp.exp(x - largest) for x in terms)) + jnp.log(jnp.abs(rise))

        below, above = side(-first), side(first)
        total = jnp.logaddexp(below, above)
        return below - total, above - total

    def _baseline(self, horizon: Any, theta: Theta) -> Any:
        outlook = look_ahead(self.process, horizon, theta)
        fraction = fraction_baseline(jnp, outlook.time, outlook.similar)
        if self.log_choice is not None:
            return fraction
        log_upper, log_lower = ddm_log_choice(jnp, **outlook.similar)
        log_rest = jnp.logaddexp(log_lower, log_upper - softplus(jnp, fraction))
        return log_upper - softplus(jnp, -fraction) - log_rest


def shown(outlook: Outlook, horizon: Any, theta: Theta) -> tuple[Any, ...]:
    """What networks are shown of it, each of order one."""
    similar, time, first, widths, pushes, pulls = outlook
    typical = horizon / (1 + horizon / first**2)
    ahead = (similar["v"] * typical + first * (2 * theta["z"] - 1)) / jnp.sqrt(typical)
    return (
        *fraction_inputs(jnp, time, similar),
        squash(similar["v"] * similar["a"]),
        squash(ahead),
        similar["a"] / (similar["a"] + first),
        *widths,
        *(squash(push / first) for push in pushes),
        *(squash(pull * first / 4) for pull in pulls),
    )


@final
@dataclass(frozen=True)
class PathSurvivor(PathHorizon, ResidualSurvivor):
    """How a survivor network sees a model that is given by its drift and boundary.

    Parameters
    ----------
    process : Process
    """

    @property
    def n_inputs(self) -> int:
        """Number of inputs: one more than of the choice/deadline network."""
        return deadline_inputs(structure(self.process)) + 1

    def _baseline(self, horizon: Any, theta: Theta) -> Any:
        outlook = look_ahead(self.process, horizon, theta)
        none, seen = survivor_terms(jnp, outlook.time, outlook.similar)
        return none - seen

    def _inputs(self, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        outlook = look_ahead(self.process, horizon, theta)
        return (*shown(outlook, horizon, theta), lower_probit(jnp, outlook.time, outlook.similar))
