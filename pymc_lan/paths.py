"""Network inputs and baselines of any diffusion whose drift is ``m(t) - g x``, from its two functions alone.

In the clock ``s = (exp(2 g t) - 1) / 2g`` the process ``exp(g t) X`` is Brownian motion with boundaries ``+-B(s)`` and
displacement ``M(s)``. Given the decision time, Girsanov's theorem takes out the straight part of M, so a constant drift
leaves nothing behind. What remains is a driftless motion between curves; its baseline is the tangent approximation
(Strassen 1967; Durbin 1985, Journal of Applied Probability 22, 99-122), times the chance that a Brownian bridge keeps
clear of the other boundary. By Brownian scaling the network needs only ratios of boundaries, displacement and sqrt(s).

A model's own functions are written in `jax.numpy`, so all of this is, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from pymc_lan.choice import fraction_baseline, fraction_inputs, softplus
from pymc_lan.exact import ddm_log_choice
from pymc_lan.spec import ModelSpec, Structure
from pymc_lan.transforms import (
    CLOSED,
    LOG_SQRT_2PI,
    ONSET_FRACTION,
    ONSET_MAX,
    ONSET_MIN,
    Theta,
)

# Where the path up to a decision is looked at, as shares of its clock, with the weights of a mean over it; the drift
# is integrated between those points by the same rule.
_RULE = np.polynomial.legendre.leggauss(3)
NODES, WEIGHTS = ((1 + _RULE[0]) / 2).tolist(), (_RULE[1] / 2).tolist()

# The start [s]: not quite 0, where a boundary such as Weibull's may have an infinite slope and so no gradient.
START = 1e-12

# How much of a boundary's fall rounds off the tangent's distance.
_ROUNDING = 0.1


@cache
def structure(spec: ModelSpec) -> Structure:
    """What a model's functions depend on: as its spec says, or read off from the traced functions.

    Raises
    ------
    NotImplementedError
        For a drift that is not linear in the position, or whose slope changes with time.

    Examples
    --------
    >>> from pymc_lan.models import get_model
    >>> from pymc_lan.paths import structure
    >>> structure(get_model("angle"))
    Structure(leak=False, varying=False, moving=True)
    """
    if spec.structure is not None:
        return spec.structure
    theta = {p.name: 0.5 * (p.bounds[0] + p.bounds[1]) for p in spec.parameters}
    if any(_depends(lambda t, x: _slope(spec, t, x, theta), i) for i in (0, 1)):
        raise NotImplementedError(
            f"Expected a drift m(t) - g x, g constant. Found a slope of {spec.name!r}'s drift that changes with time "
            "or position. Remedy: train it from its simulator."
        )
    return Structure(
        leak=_depends(lambda t, x: spec.drift(t, x, theta), 1),
        varying=_depends(lambda t, x: spec.drift(t, x, theta), 0),
        moving=_depends(lambda t, x: spec.boundary(t, theta), 0),
    )


def _slope(spec: ModelSpec, t: Any, x: Any, theta: Theta) -> Any:
    return jax.grad(lambda y: jnp.asarray(spec.drift(t, y, theta), y.dtype))(x)


def _depends(function: Callable[..., Any], argument: int) -> bool:
    """Whether a function of two numbers uses one of them."""
    closed = jax.make_jaxpr(lambda t, x: jnp.asarray(function(t, x), float))(0.5, 0.1)
    tainted = {closed.jaxpr.invars[argument]}
    for equation in closed.jaxpr.eqns:
        if any(not isinstance(x, core.Literal) and x in tainted for x in equation.invars):
            tainted |= set(equation.outvars)
    return any(not isinstance(x, core.Literal) and x in tainted for x in closed.jaxpr.outvars)


class View(NamedTuple):
    """The path up to a time, in the clock in which it is Brownian, mirrored so that the upper boundary is the one hit.

    Parameters
    ----------
    clock : array
        s at that time.
    log_rate : array
        Log of ds / dt there.
    first, last : array
        Half the separation of the boundaries at the start and at the end.
    between : tuple of array
        The same at `NODES`.
    slope : array
        Of the boundary at the end, less the straight part of the displacement.
    start : array
        Position at the start.
    drift : array
        Displacement at the end over the clock.
    bent : tuple of array
        Displacement at `NODES` less its straight part.
    """

    clock: Any
    log_rate: Any
    first: Any
    last: Any
    between: tuple[Any, ...]
    slope: Any
    start: Any
    drift: Any
    bent: tuple[Any, ...]


def expm1_over(x: Any) -> Any:
    """``expm1(x) / x``, 1 at 0."""
    small = jnp.abs(x) < 1e-6
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1 + 0.5 * x, jnp.expm1(safe) / safe)


def log1p_over(x: Any) -> Any:
    """``log1p(x) / x``, 1 at 0."""
    small = jnp.abs(x) < 1e-6
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1 - 0.5 * x, jnp.log1p(safe) / safe)


def half_width(spec: ModelSpec, t: Any, theta: Theta) -> Any:
    """The boundary, kept open by a small share of where it starts: what has closed leaves no density anyway."""
    return jnp.maximum(spec.boundary(t, theta), CLOSED * spec.boundary(jnp.full_like(t, START), theta))


def look(spec: ModelSpec, kind: Structure, d: Any, response: Any, theta: Theta) -> View:
    """Follow a model's path up to d seconds of decision time."""
    zero = jnp.full_like(d, START)
    g = -_leak(spec, zero, theta) if kind.leak else zero
    clock = d * expm1_over(2 * g * d) if kind.leak else d
    times = [share * clock * log1p_over(2 * g * share * clock) if kind.leak else share * d for share in NODES]

    def width(t: Any) -> Any:
        return half_width(spec, t, theta) * (jnp.exp(g * t) if kind.leak else 1.0)

    first = half_width(spec, zero, theta)
    last, speed = jax.jvp(width, (d,), (jnp.ones_like(d),)) if kind.moving or kind.leak else (first, zero)
    between = tuple(width(t) for t in times) if kind.moving or kind.leak else ()
    rate = jnp.exp(2 * g * d) if kind.leak else jnp.ones_like(d)

    def push(t: Any) -> Any:
        return spec.drift(t, jnp.zeros_like(t), theta) * (jnp.exp(g * t) if kind.leak else 1.0)

    slope, bent = speed / rate, ()
    if kind.varying or kind.leak:
        edges, sums = [zero, *times, d], [zero]
        for start, end in pairwise(edges):
            part = sum(w * push(start + node * (end - start)) for node, w in zip(NODES, WEIGHTS, strict=True))
            sums.append(sums[-1] + (end - start) * part)
        mean = sums[-1] / clock
        bent = tuple(response * (x - share * sums[-1]) for x, share in zip(sums[1:-1], NODES, strict=True))
        slope = slope - response * (push(d) / rate - mean)
    else:
        mean = push(d)
    begin = response * first * (2 * theta["z"] - 1)
    return View(clock, 2 * g * d, first, last, between, slope, begin, response * mean, bent)


def _leak(spec: ModelSpec, zero: Any, theta: Theta) -> Any:
    return jax.jvp(lambda x: jnp.asarray(spec.drift(zero, x, theta)) + zero, (zero,), (jnp.ones_like(zero),))[1]


def squash(x: Any) -> Any:
    """Map the real line to -1 to 1, smoothly."""
    return x / jnp.sqrt(1 + x**2)


def _clock_of_width(view: View) -> Any:
    """The integral of 1 / (2 B)^2 over the path: the time of the passage out of a unit interval."""
    if not view.between:
        return view.clock / (4 * view.first**2)
    return view.clock / 4 * sum(w / b**2 for w, b in zip(WEIGHTS, view.between, strict=True))


def _shape(view: View) -> tuple[Any, ...]:
    """How the path differs from one between constant boundaries without displacement."""
    root, shape = jnp.sqrt(view.clock), []
    if view.between:
        straight = [(1 - share) * view.first + share * view.last for share in NODES]
        shape += [(b - line) / (b + line) for b, line in zip(view.between, straight, strict=True)]
        shape += [view.last / (view.first + view.last), squash(view.clock * view.slope / view.last)]
    elif view.bent:
        shape += [squash(view.clock * view.slope / view.last)]
    return (*shape, *(squash(x / root) for x in view.bent))


@dataclass(frozen=True)
class PathTransform:
    """The `Transform` of a model given by its drift and boundary.

    Parameters
    ----------
    spec : ModelSpec
    """

    spec: ModelSpec

    @property
    def n_inputs(self) -> int:
        """Four, and those of the shape."""
        return 4 + structure(self.spec).n_shape

    def _look(self, d: Any, response: Any, theta: Theta) -> View:
        d, response, *values = jnp.broadcast_arrays(d, response, *theta.values())
        return look(self.spec, structure(self.spec), d, response, dict(zip(theta, values, strict=True)))

    def baseline(self, xp: Any, d: Any, response: Any, theta: Theta) -> Any:
        """The closed-form log density that the network corrects."""
        return _outside(self._baseline, xp, d, response, theta)

    def _baseline(self, d: Any, response: Any, theta: Theta) -> Any:
        view = self._look(d, response, theta)
        clock, distance = view.clock, view.last - view.start
        # The tangent's distance at the start; positive even where a boundary moves away faster than a path follows.
        fall = clock * view.slope
        ahead = distance - fall
        ahead = 0.5 * (ahead + jnp.sqrt(ahead**2 + (_ROUNDING * fall) ** 2))
        tangent = jnp.log(ahead) - LOG_SQRT_2PI - 1.5 * jnp.log(clock) - distance**2 / (2 * clock)
        behind = jnp.log(-jnp.expm1(-4 * (view.first + view.start) * view.last / clock))
        return view.log_rate + view.drift * distance - view.drift**2 * clock / 2 + tangent + behind

    def inputs(self, xp: Any, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""
        return tuple(_outside(self._inputs, xp, d, response, theta))

    def _inputs(self, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        view = self._look(d, response, theta)
        u, room = _clock_of_width(view), 4 * (view.first + view.start) * view.last
        return (
            jnp.log1p(10 * u),
            view.start / view.first,
            u / (1 + 0.1 * u),
            room / (room + 2 * view.clock),
            *_shape(view),
        )

    def onset(self, xp: Any, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """As `Transform.onset`."""
        return _outside(self._onset, xp, d, response, theta)

    def _onset(self, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        first = self.spec.boundary(jnp.full_like(d, START), theta)
        squared = (first * (1 - response * (2 * theta["z"] - 1))) ** 2
        d_min = jnp.maximum(jnp.minimum(squared * ONSET_FRACTION, ONSET_MAX), ONSET_MIN)
        return d_min, jnp.maximum(squared / (2 * d_min**2) - 1.5 / d_min, 1 / d_min)


def _outside(function: Callable[..., Any], xp: Any, *args: Any) -> Any:
    """Call a function of JAX arrays from JAX, or from NumPy in float64."""
    if xp is not np:
        return function(*args)
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, _compiled(function)(*args))


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(function)


@dataclass(frozen=True)
class PathChoice:
    """The `ChoiceTransform` of a model given by its drift and boundary.

    It borrows the formulas of constant drift and boundaries, with the mean drift and boundary of a typical decision.

    Parameters
    ----------
    spec : ModelSpec
    """

    spec: ModelSpec
    log_choice: None = None

    @property
    def n_inputs(self) -> int:
        """Ten, and those of the shape."""
        return 10 + structure(self.spec).n_shape

    def latest(self, xp: Any, theta: Theta) -> Any:
        """When practically everything is decided [s]."""
        return _outside(self._latest, xp, dict(theta))

    def _latest(self, theta: Theta) -> Any:
        first = self.spec.boundary(jnp.full_like(jnp.asarray(theta["z"]), START), theta)
        forever = FOREVER * first**2
        return forever if self.spec.closes is None else jnp.minimum(self.spec.closes(theta), forever)

    def _similar(self, horizon: Any, theta: Theta) -> tuple[View, dict[str, Any], Any]:
        horizon, *values = jnp.broadcast_arrays(horizon, *theta.values())
        theta = dict(zip(theta, values, strict=True))
        view = look(self.spec, structure(self.spec), horizon, jnp.ones_like(horizon), theta)
        typical = horizon / (1 + horizon / view.first**2)
        early = look(self.spec, structure(self.spec), typical, jnp.ones_like(horizon), theta)
        a = jnp.sqrt(view.first * half_width(self.spec, typical, theta))
        return (
            view,
            {"v": early.drift, "a": a, "z": theta["z"]},
            (early.drift * typical + view.start) / jnp.sqrt(typical),
        )

    def baseline(self, xp: Any, horizon: Any, theta: Theta) -> Any:
        """The logit that the network corrects."""
        return _outside(self._baseline, xp, horizon, dict(theta))

    def _baseline(self, horizon: Any, theta: Theta) -> Any:
        view, other, _ = self._similar(horizon, theta)
        fraction = fraction_baseline(jnp, _clock_of_width(view), other)
        log_upper, log_lower = ddm_log_choice(jnp, **other)
        log_rest = jnp.logaddexp(log_lower, log_upper - softplus(jnp, fraction))
        return log_upper - softplus(jnp, -fraction) - log_rest

    def inputs(self, xp: Any, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""
        return tuple(_outside(self._inputs, xp, horizon, dict(theta)))

    def _inputs(self, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        view, other, free = self._similar(horizon, theta)
        return (
            *fraction_inputs(jnp, _clock_of_width(view), other),
            squash(other["v"] * other["a"]),
            squash(free),
            other["a"] / (other["a"] + view.first),
            squash(view.drift * jnp.sqrt(view.clock)),
            *_shape(view),
        )

    def log_go(self, xp: Any, network: Callable[..., Any], horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """As `ChoiceTransform.log_go`."""
        latest = self.latest(xp, theta)
        inner = xp.maximum(xp.minimum(horizon, latest), INSTANT)
        logit = self.baseline(xp, inner, theta) + network(self.inputs(xp, inner, theta))
        possible = horizon > 0
        return xp.where(possible, -softplus(xp, -logit), -math.inf), xp.where(possible, -softplus(xp, logit), 0.0)


# Seconds, in units of the squared boundary, after which what is still undecided is below 1e-21 without collapse ...
FOREVER = 40.0
# ... and the shortest horizon [s]: nothing happens before.
INSTANT = 1e-6
