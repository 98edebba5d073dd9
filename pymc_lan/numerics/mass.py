"""The integral of a density of times over an interval, in its log: by a Gauss rule in the log of the time.

Densities of decision times rise like exp(-c / d) and fall like a power or an exponential, so that in the log of the
time they are smooth on one scale, from the onset to the tail. The interval is cut to where there is density at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.numerics.passage import Namespace

# Nodes for an interval that is short beside the whole, and for any.
FEW, MANY = 20, 72
# An interval before or after all that is known of a density is looked at as one of this ratio of its ends.
RATIO = 1.5


class Panel(NamedTuple):
    """Times between which a density is smooth in the log of the time since an origin.

    Parameters
    ----------
    origin : array
        Seconds.
    first, last : array
        Where the panel starts and ends, in seconds since the origin, above 0.
    """

    origin: Any
    first: Any
    last: Any


def log_integral(
    xp: Namespace, log_density: Callable[[Any], Any], panels: Sequence[Panel], low: Any, high: Any, n: int = MANY
) -> Any:
    """Log of the integral of a density from `low` to `high`, elementwise.

    An interval that ends before the first panel has the density next to its end, so that gradients lead to the panel.

    Parameters
    ----------
    xp : Namespace
    log_density : callable
        From times of shape (k, ...) to the log density.
    panels : sequence of Panel
        In order; each ends where the next begins.
    low, high : array
        Seconds, low < high; high may be inf.
    n : int
        Nodes in each panel.

    Examples
    --------
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> panels = [Panel(0.0, 1e-9, 40.0)]
    >>> round(float(log_integral(NUMPY, lambda x: -x, panels, 1.0, np.inf)), 6)
    -1.0
    """
    *inner, tail = panels
    last = xp.maximum(tail.last, RATIO * (low - tail.origin))
    panels = [*inner, tail._replace(last=last)]
    first = panels[0]
    early = xp.minimum(high - (first.origin + RATIO * first.first), 0.0)
    low, high = low - early, high - early
    every = []
    for panel in panels:
        begin = xp.minimum(xp.maximum(low - panel.origin, panel.first), panel.last)
        end = xp.minimum(xp.maximum(high - panel.origin, panel.first), panel.last)
        begin, end, origin = xp.broadcast_arrays(begin, end, panel.origin + early)
        length = xp.log(end / begin)
        nodes, log_weights = (x.reshape(-1, *[1] * length.ndim) for x in _rule(n))
        y = xp.log(begin) + length * nodes
        every.append((length, log_weights + y + log_density(origin + xp.exp(y))))
    largest = _largest(xp, [terms.max(axis=0) for _, terms in every])
    total = sum(length * xp.exp(terms - largest).sum(axis=0) for length, terms in every)
    return largest + xp.log(total)


def _largest(xp: Namespace, values: Sequence[Any]) -> Any:
    found = values[0]
    for value in values[1:]:
        found = xp.maximum(found, value)
    return found


@cache
def _rule(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points, weights = np.polynomial.legendre.leggauss(n)
    return 0.5 * (points + 1), np.log(0.5 * weights)
