"""How the network of the oddity task sees a trial: by four numbers that no change of coordinates changes.

In units of the mean covariance ``A = (2 S + C) / 3`` of three percepts, S that of the reference and C that of the
comparison, a trial is the displacement d and ``T = A^-1 S / 2`` (`pymc_lan.numerics.oddity`). Its probability depends
on what rotations and reflections leave alone, and a smooth function of d and T that they leave alone is one of ``trace
T``, ``det T``, ``d'd`` and ``d'Td``: polynomials and quotients of the covariances, so that nothing is turned
into axes, which are not smooth where two variances are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, final

from pymc_lan.models.density import Density, Network, Views
from pymc_lan.models.model import Model
from pymc_lan.models.simulator.logits import without_times
from pymc_lan.numerics.passage import Namespace, Theta, softplus

# The farthest displacement that the network has seen, in units of the mean covariance: fewer than one answer in ten
# million is wrong. What it says stays as it is beyond, while its baseline goes on.
FAR = 16.0
# The smallest trace of T that it has seen, where a comparison is 1 / `LEAST` times as variable as the reference.
LEAST = 0.01
# Variances along two axes that differ by less than this share of them have any axes.
ALIKE = 1e-8
# Added to a positive number that may be 0 before its log is taken.
TINY = 1e-12


class Invariants(NamedTuple):
    """What of a trial the probability depends on.

    Parameters
    ----------
    trace, det : array
        Of T, half the reference's covariance in units of the mean covariance.
    square, along : array
        d'd and d'Td, of the displacement d in those units.
    """

    trace: Any
    det: Any
    square: Any
    along: Any


def half_reference(k: Any) -> Any:
    """T along an axis, of a comparison with k times the reference's variance."""
    return 1.5 / (2 + k)


def of_axes(theta: Theta) -> Invariants:
    """The invariants where both covariances are diagonal: of displacements in units of the mean covariance."""
    t1, t2 = (half_reference(theta[name]) for name in ("k1", "k2"))
    square1, square2 = theta["d1"] ** 2, theta["d2"] ** 2
    return Invariants(t1 + t2, t1 * t2, square1 + square2, t1 * square1 + t2 * square2)


def axes_of(xp: Namespace, x: Invariants) -> dict[str, Any]:
    """Parameters of which these are the invariants, the smaller k first; where both are equal d2 is 0."""
    gap = xp.sqrt(xp.maximum(0.25 * x.trace * x.trace - x.det, 0.0))
    apart = gap > ALIKE * x.trace
    width = xp.where(apart, 2 * gap, 1.0)
    t1, t2 = 0.5 * x.trace + gap, 0.5 * x.trace - gap
    square1 = xp.where(apart, (x.along - t2 * x.square) / width, x.square)
    square1 = xp.minimum(xp.maximum(square1, 0.0), x.square)
    d1, d2 = xp.sqrt(square1), xp.sqrt(x.square - square1)
    return {"d1": d1, "k1": 1.5 / t1 - 2, "d2": d2, "k2": 1.5 / t2 - 2}


def inputs(xp: Namespace, x: Invariants) -> tuple[Any, ...]:
    """Inputs of the network, each of order one."""
    shrink = FAR**2 / xp.maximum(x.square, FAR**2)
    square, along = x.square * shrink, x.along * shrink
    # Covariances of all trials and stimuli of each become as many: PyTensor would have to be told that lengths agree.
    each = 0 * (square + along)
    trace = xp.maximum(x.trace, LEAST) + each
    return (
        xp.log(trace),
        trace,
        2 - 8 * x.det / (x.trace * x.trace) + each,
        0.5 * xp.log1p(square / 6),
        2 * (2 * along / x.trace - square) / (3 + square),
        xp.sqrt(1 + square / 6) / 2,
    )


def baseline(xp: Namespace, x: Invariants) -> Any:
    """The log odds of a right answer that the network corrects.

    The probability of the nearest mistakes, two of the percepts on a line with the displacement, which is
    ``exp(-d'd / (2 (3 + 6 t)))``, t = d'Td / d'd; and that of chance, as small as T where it is small.
    """
    nearest = x.square * (x.square + 1) / (3 * x.square + 6 * x.along + 3 + 3 * x.trace)
    return 0.5 * nearest - xp.log(x.trace + TINY)


@final
@dataclass(frozen=True, slots=True)
class OddityViews(Views):
    """A network of the log odds of a right answer.

    Parameters
    ----------
    model : Model
    """

    model: Model
    tag: str = "oddity"

    @property
    def n_inputs(self) -> dict[str, int]:
        """Those of `inputs`."""
        return {"lan": 6}

    def log_answers(self, xp: Namespace, network: Network, x: Invariants) -> list[Any]:
        """Log probability of a wrong and of a right answer, of a network that gives a list of its outputs."""
        (correction,) = network(inputs(xp, x))
        log_odds = baseline(xp, x) + correction
        return [-softplus(xp, log_odds), -softplus(xp, -log_odds)]

    def log_probabilities(self, xp: Namespace, network: Network, theta: Theta) -> list[Any]:
        """Log probability of a wrong and of a right answer, of parameters."""
        return self.log_answers(xp, network, of_axes(theta))

    def density(self, lan: Network, choice: Network | None) -> Density:
        """Refuse, with a ValueError, to give a density of response times."""
        raise ValueError(without_times(self.model))
