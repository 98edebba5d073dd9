"""Network inputs and baselines of any diffusion between two boundaries, from its drift and boundary alone.

Given the decision time, Girsanov's theorem takes out the mean over time of the drift at position 0, so a constant drift
leaves nothing behind. What remains is a driftless motion between curves; its baseline is the tangent approximation
(Strassen 1967; Durbin 1985, Journal of Applied Probability 22, 99-122), times the chance that a Brownian bridge keeps
clear of the other boundary. Where the drift depends on position as well, the same theorem weighs the paths; its factor
is taken along the straight path early, and from the lowest state late (`pymc_lan.numerics.potential`). By Brownian
scaling the network needs only ratios of boundaries, displacement and sqrt(d).

A model's own functions are written in `jax.numpy`, so all of this is, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np

from pymc_lan.models.diffusion.closed_view import ONSET_FRACTION, ONSET_MAX, ONSET_MIN
from pymc_lan.models.diffusion.structure import BENDS, CURVED_INPUTS, Process, Structure, density_inputs, structure
from pymc_lan.numerics.elementwise import outside
from pymc_lan.numerics.passage import CLOSED, LOG_SQRT_2PI, Theta
from pymc_lan.numerics.potential import ACROSS, log_free, log_spared

# Where the path up to a decision is looked at, as shares of its duration, with the weights of a mean over it; and the
# rule by which the drift is integrated between those points.
NODES, WEIGHTS = ((x / 2).tolist() for x in np.polynomial.legendre.leggauss(3) + np.array([[1.0], [0.0]]))
FINE_NODES, FINE_WEIGHTS = ((x / 2).tolist() for x in np.polynomial.legendre.leggauss(4) + np.array([[1.0], [0.0]]))

# The start [s]: not quite 0, where a boundary such as Weibull's may have an infinite slope and so no gradient.
START = 1e-12

# How much of a boundary's fall rounds off the tangent's distance, and the least distance of which a log is taken.
_ROUNDING, _LEAST = 0.1, 1e-290
# As a share of the boundary's curvature; the share of the time up to a decision in which it falls at once; and the time
# at which the density is exp(-18) of its scale, in units of the squared distance.
_CURVED, _AT_ONCE, _EARLIER = 0.5, 0.02, 1 / 36
# The path is followed up to this share of the time by which boundaries have met: they still move then.
_OPEN = 0.999
# A passage of duration u out of the unit interval falls off like exp(-_FALL u) late, and by _LATE to under 1e-42.
_FALL, _LATE = math.pi**2 / 2, 20.0

# By this share of the time that it takes to cross, the straight path has stopped to be the typical one.
_SETTLES = 10.0
# After this time of the same kind the lowest state is alone, and the network's correction of its baseline constant:
# nothing that it has not seen, at times beyond those of the training.
_SETTLED = 0.5


class View(NamedTuple):
    """The path up to a time, mirrored so that the upper boundary is the one hit.

    Parameters
    ----------
    time : array
        Seconds.
    first, last : array
        Half the separation of the boundaries at the start and at the end.
    between : tuple of array
        The same at `NODES`; empty where it does not change.
    slope : array
        Of the boundary at the end, less the straight part of the displacement.
    start : array
        Position at the start.
    drift : array
        Mean over time of the drift at position 0.
    bent : tuple of array
        Its displacement at `BENDS` less the straight part; empty where it does not change.
    change : tuple of array
        The drift at the start and at the end less its mean, and its variance over time; empty where it does not change.
    pull : tuple of array
        How the drift differs from that at position 0, on the straight path at `NODES` and at its end; empty where it
        does not.
    log_pull : array
        Log of the factor that both bring to the density.
    """

    time: Any
    first: Any
    last: Any
    between: tuple[Any, ...]
    slope: Any
    start: Any
    drift: Any
    bent: tuple[Any, ...]
    change: tuple[Any, ...] = ()
    pull: tuple[Any, ...] = ()
    log_pull: Any = 0.0


def half_width(process: Process, t: Any, theta: Theta) -> Any:
    """The boundary, kept open by a small share of where it starts: what has closed leaves no density anyway."""
    return jnp.maximum(process.boundary(t, theta), CLOSED * process.boundary(jnp.full_like(t, START), theta))


def look(process: Process, kind: Structure, d: Any, response: Any, theta: Theta) -> View:
    """Follow a model's path up to d seconds of decision time."""
    zero = jnp.full_like(d, START)
    times = [share * d for share in NODES]

    def width(t: Any) -> Any:
        return half_width(process, t, theta)

    first = width(zero)
    last, slope = jax.jvp(width, (d,), (jnp.ones_like(d),)) if kind.moving else (first, jnp.zeros_like(d))
    between = tuple(width(t) for t in times) if kind.moving else ()
    start = response * first * (2 * theta["z"] - 1)
    view = View(d, first, last, between, slope, start, response * at_rest(process, d, theta), ())
    if kind.varying:
        view = _bent(process, view, response, theta)
    return _pulled(process, view, times, response, theta) if kind.positional else view


def _bent(process: Process, view: View, response: Any, theta: Theta) -> View:
    """Add to a view that the drift at position 0 changes.

    Early the path is free, and Girsanov's theorem leaves the mean of the drift m; late it is held by the boundaries,
    and with ``int m dX = m(d) x(d) - m(0) x(0) - int x dm`` the last integral is small.
    """
    d = view.time
    sums, squares = displacements(process, [*(share * d for share in BENDS), d], theta)
    mean, begin, end = (
        response * sums[-1] / d,
        *(response * at_rest(process, t, theta) for t in (jnp.full_like(d, START), d)),
    )
    bent = tuple(response * x - share * d * mean for x, share in zip(sums[:-1], BENDS, strict=True))
    change = (begin - mean, end - mean, squares[-1] / d - mean**2)
    early = _early(view)
    held = change[1] * view.last - change[0] * view.start - d / 2 * change[2]
    slope = view.slope - early * change[1]
    return view._replace(drift=mean, bent=bent, change=change, slope=slope, log_pull=(1 - early) * held)


def _early(view: View) -> Any:
    """From 1 at first to 0 once the boundaries hold the path."""
    x = _SETTLES * time_of_width(view)
    return 1 / (1 + x * jnp.sqrt(x))


def at_rest(process: Process, t: Any, theta: Theta) -> Any:
    """The drift at position 0."""
    return process.drift(t, jnp.zeros_like(t), theta) + jnp.zeros_like(t)


def displacements(process: Process, times: list[Any], theta: Theta) -> tuple[list[Any], list[Any]]:
    """Integrals of the drift at position 0, and of its square, from 0 to each of several times, which increase."""
    edge = total = square = jnp.zeros_like(times[0])
    sums, squares = [], []
    for t in times:
        drifts = [at_rest(process, edge + node * (t - edge), theta) for node in FINE_NODES]
        total = total + (t - edge) * sum(w * m for w, m in zip(FINE_WEIGHTS, drifts, strict=True))
        square = square + (t - edge) * sum(w * m**2 for w, m in zip(FINE_WEIGHTS, drifts, strict=True))
        edge = t
        sums.append(total)
        squares.append(square)
    return sums, squares


def _pulled(process: Process, view: View, times: list[Any], response: Any, theta: Theta) -> View:
    """Add to a view what the drift's dependence on position does to it.

    With r the drift less that at position 0, Girsanov's theorem adds ``int r dX`` to the logarithm of a path's weight,
    less the integral of the potential, which has the whole drift in it: that at position 0 is given back.
    """

    def pull(t: Any, x: Any) -> Any:
        return response * (process.drift(t, response * x, theta) - at_rest(process, t, theta))

    def potential(t: Any, x: Any) -> Any:
        m, steepness = jax.jvp(lambda y: response * process.drift(t, response * y, theta), (x,), (jnp.ones_like(x),))
        return (m**2 + steepness) / 2

    rise = view.last - view.start
    path = [view.start + share * rise for share in NODES]
    on_path = tuple(pull(t, x) for t, x in zip(times, path, strict=True))
    straight = sum(w * potential(t, x) for w, t, x in zip(WEIGHTS, times, path, strict=True))
    middle, b = times[1], view.between[1] if view.between else view.first
    across = [b**2 * potential(middle, x * b) for x in ACROSS]
    start, time = view.start / view.first, 4 * time_of_width(view)
    spared = log_spared(across, b**2 * straight, start, time) + log_free(start, time)
    work = rise * sum(w * r for w, r in zip(WEIGHTS, on_path, strict=True))
    log_pull = view.log_pull + work + spared + view.time / 2 * view.drift**2
    return view._replace(pull=(*on_path, pull(view.time, view.last)), log_pull=log_pull)


def squash(x: Any) -> Any:
    """Map the real line to -1 to 1, smoothly."""
    return x / jnp.sqrt(1 + x**2)


def time_of_width(view: View) -> Any:
    """The integral of 1 / (2 b)^2 over the path: the time of the passage out of a unit interval."""
    if not view.between:
        return view.time / (4 * view.first**2)
    return view.time / 4 * sum(w / b**2 for w, b in zip(WEIGHTS, view.between, strict=True))


def _unseen(view: View) -> Any:
    """How much later a passage between moving boundaries is than any that networks have learned from."""
    return jnp.maximum(time_of_width(view) - _LATE, 0.0) if view.between and not view.pull else 0.0


def _log_positive(x: Any, rounding: Any) -> Any:
    """Log of x, rounded off so that it is positive, without a difference that would cancel."""
    root = jnp.sqrt(jnp.maximum(x**2 + rounding**2, _LEAST))
    return jnp.log(jnp.maximum(0.5 * jnp.where(x > 0, x + root, rounding**2 / (root - jnp.minimum(x, 0.0))), _LEAST))


def _shape(view: View) -> tuple[Any, ...]:
    """How the path differs from one between constant boundaries without displacement."""
    root, shape = jnp.sqrt(view.time), []
    if view.between:
        straight = [(1 - share) * view.first + share * view.last for share in NODES]
        shape += [(b - line) / (b + line) for b, line in zip(view.between, straight, strict=True)]
        shape += [view.last / (view.first + view.last), squash(view.time * view.slope / view.last)]
    elif view.bent:
        shape += [squash(view.time * view.slope / view.last)]
    shape += [squash(x / root) for x in view.bent]
    if view.change:
        begin, end, variance = view.change
        shape += [squash(view.first * begin / 4), squash(view.last * end / 4), squash(view.time * variance / 4)]
    if view.pull:
        shape += [squash(view.first * x / 4) for x in (view.drift, *view.pull)]
    return tuple(shape)


@dataclass(frozen=True)
class PathView:
    """How a likelihood network sees a model that is given by its drift and boundary.

    Parameters
    ----------
    process : Process
    """

    process: Process

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return density_inputs(structure(self.process))

    def _look(self, d: Any, response: Any, theta: Theta) -> View:
        """Follow the path, at most to just before the boundaries have met: nothing happens later."""
        d, response, *values = jnp.broadcast_arrays(d, response, *theta.values())
        theta = dict(zip(theta, values, strict=True))
        if self.process.closes is not None:
            d = jnp.minimum(d, _OPEN * self.process.closes(theta))
        return look(self.process, structure(self.process), d, response, theta)

    def baseline(self, xp: Any, d: Any, response: Any, theta: Theta) -> Any:
        """The closed-form log density that the network corrects."""
        return outside(self._baseline, xp, d, response, theta)

    def _baseline(self, d: Any, response: Any, theta: Theta) -> Any:
        view = self._look(d, response, theta)
        past, d, distance = d - view.time, view.time, view.last - view.start
        tangent = self._log_ahead(view) - LOG_SQRT_2PI - 1.5 * jnp.log(d) - distance**2 / (2 * d)
        behind = jnp.log(-jnp.expm1(-4 * (view.first + view.start) * view.last / d))
        log_f = view.drift * distance - view.drift**2 * d / 2 + view.log_pull + tangent + behind
        return log_f - _FALL * (past / (4 * view.last**2) + _unseen(view))

    def _log_ahead(self, view: View) -> Any:
        """Log of the tangent's distance at the start; finite even where a boundary runs away from the path."""
        fall = view.time * view.slope
        return _log_positive(view.last - view.start - fall, _ROUNDING * fall)

    def inputs(self, xp: Any, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""
        return tuple(outside(self._inputs, xp, d, response, theta))

    def _inputs(self, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        return self._shown(self._look(d, response, theta), theta)

    def _shown(self, view: View, theta: Theta) -> tuple[Any, ...]:
        """What the network is shown of a path."""
        u, room, time = time_of_width(view), 4 * (view.first + view.start) * view.last, view.time
        if view.pull:
            past = jnp.maximum(u / _SETTLED, 1.0)
            u, time = u / past, time / past
        return (
            jnp.log1p(10 * u),
            view.start / view.first,
            u / (1 + 0.1 * u),
            room / (room + 2 * time),
            *_shape(view),
        )

    def onset(self, xp: Any, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)``: below `d_min` the log density goes on in a straight line of that slope."""
        return outside(self._onset, xp, d, response, theta)

    def _onset(self, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        first = self.process.boundary(jnp.full_like(d, START), theta)
        squared = (first * (1 - response * (2 * theta["z"] - 1))) ** 2
        return _line(squared, ONSET_FRACTION)


@final
@dataclass(frozen=True)
class CurvedView(PathView):
    """How it sees boundaries that may plunge: one of Weibull with a shape below 1 has fallen past the start at once.

    Parameters
    ----------
    process : Process
    """

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return density_inputs(structure(self.process)) + CURVED_INPUTS * structure(self.process).moving

    def _ahead(self, view: View) -> tuple[Any, Any]:
        """The tangent's distance at the start, and how much that of the boundary is larger: 0 where it is straight."""
        fall = view.time * view.slope
        return view.last - view.start - fall, view.first - view.last + fall

    def _log_ahead(self, view: View) -> Any:
        """Log of the tangent's distance, rounded off by what the boundary is curved."""
        ahead, gap = self._ahead(view)
        return _log_positive(ahead, (_CURVED if view.between else _ROUNDING) * gap)

    def _shown(self, view: View, theta: Theta) -> tuple[Any, ...]:
        """Where boundaries move, also the tangent's distance, the curvature, and how much of the fall comes at once."""
        shown = super()._shown(view, theta)
        if not view.between:
            return shown
        early = half_width(self.process, _AT_ONCE * view.time, theta)
        root = 2 * jnp.sqrt(view.time)
        return (*shown, *(squash(x / root) for x in self._ahead(view)), (view.first - early) / (view.first + early))

    def _onset(self, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """As far as the density is exp(-18) of its scale, seen from where the boundary is by then."""
        first = self.process.boundary(jnp.full_like(d, START), theta)
        side = response * (2 * theta["z"] - 1)
        soon = jnp.minimum((first * (1 - side)) ** 2 * _EARLIER, ONSET_MAX)
        distance = jnp.maximum(half_width(self.process, soon, theta) - first * side, 0.0)
        return _line(distance**2, _EARLIER)


def _line(squared: Any, fraction: float) -> tuple[Any, Any]:
    """Where the straight line ends, and its slope, from the squared distance of the boundary."""
    d_min = jnp.maximum(jnp.minimum(squared * fraction, ONSET_MAX), ONSET_MIN)
    return d_min, jnp.maximum(squared / (2 * d_min**2) - 1.5 / d_min, 1 / d_min)
