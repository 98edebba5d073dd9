"""Training targets: what a network is to reproduce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.models.likelihood import LOG_GO
from pymc_lan.models.spec import Model
from pymc_lan.models.views import choice_transform_of, transform_of
from pymc_lan.numerics.even import even_points
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.wiener import passage_logpdf

Float = NDArray[np.float64]
Theta = Mapping[str, Float]

# Points in time at which a density is integrated: with twice as many, no probability changes by 1e-7.
N_POINTS = 600
# The first is where the one-boundary density is exp(-40) of its scale, the last this close to the end, relatively.
FLOOR, CEILING = 1 / 80, 1e-4
# Probabilities below this are within the rounding of the sums they come from.
SMALLEST = 1e-13
# Sets of parameters whose distributions are in memory at once.
CHUNK = 2000
# A model whose two boundaries take this much of the probability is taken to decide for certain.
CERTAIN = 1 - 1e-6


def log_densities(spec: Model, theta: Theta, d: Float) -> tuple[Float, Float]:
    """Log densities of decision times at either boundary.

    Parameters
    ----------
    spec : Model
    theta : mapping of str to ndarray, shape (n,)
        Every parameter but t.
    d : ndarray, shape (n, k)
        Decision times in seconds, positive.

    Returns
    -------
    log_upper, log_lower : ndarray, shape (n, k)

    Raises
    ------
    ValueError
        For a model without labels.

    Examples
    --------
    >>> import numpy as np
    >>> from pymc_lan.models.diffusion.closed_labels import log_densities
    >>> from pymc_lan.models.catalogue import get_model
    >>> theta = {"v": np.array([1.0]), "a": np.array([1.0]), "z": np.array([0.5])}
    >>> log_upper, log_lower = log_densities(get_model("ddm"), theta, np.array([[0.5]]))
    >>> float((log_upper - log_lower).round(6)[0, 0])
    2.0
    """
    if not spec.exact:
        raise ValueError(
            explain(
                f"model {spec.name!r} to have a closed form to take labels from",
                "none in its spec",
                "train a model that has one",
            )
        )
    transform, columns = transform_of(spec), {name: x[:, None] for name, x in theta.items()}
    log_upper, log_lower = (
        passage_logpdf(NUMPY, transform.passage(NUMPY, d, np.full_like(d, response), columns))
        for response in (1.0, -1.0)
    )
    return log_upper, log_lower


def go_labels(spec: Model, theta: Theta, horizon: Float) -> tuple[Float, Float]:
    """Log probability of the upper boundary within a time, and of the rest.

    Parameters
    ----------
    spec : Model
    theta : mapping of str to ndarray, shape (n,)
        Every parameter but t.
    horizon : ndarray, shape (n, k)
        Seconds of decision time, may be inf.

    Returns
    -------
    log_go, log_rest : ndarray, shape (n, k)
        NaN where a probability is too small for its label to be trusted.
    """
    if spec.transform in LOG_GO:
        return LOG_GO[spec.transform](NUMPY, horizon, **{name: x[:, None] for name, x in theta.items()})
    upper, lower = distributions(spec, theta)
    by_then, in_all = upper.at(horizon), upper.total
    # Summed from what is left, so that small probabilities keep their relative accuracy.
    rest = (in_all - by_then).clip(0) + lower.total + 1 - _decided(upper, lower)
    log_go, log_rest = (np.log(np.where(x > SMALLEST, x, np.nan)) for x in (by_then, rest))
    return log_go, log_rest


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution function on points that lie evenly in ``log(t / (last - t))``.

    Parameters
    ----------
    last : ndarray, shape (n, 1)
        Seconds: when everything is decided.
    first : ndarray, shape (n, 1)
        The first point, in units of the even variable.
    step : ndarray, shape (n, 1)
    mass, density : ndarray, shape (n, N_POINTS)
        Of the even variable.
    """

    last: Float
    first: Float
    step: Float
    mass: Float
    density: Float

    @property
    def total(self) -> Float:
        """The probability of this boundary, shape (n, 1)."""
        return self.mass[:, -1:]

    def at(self, time: Float) -> Float:
        """The probability of this boundary within `time`, shape (n, k): cubic in between the points."""
        left = np.maximum(self.last - time, 1e-300)
        even = np.where(time > 0, np.log(np.clip(time, 1e-300, self.last) / left), -np.inf)
        place = ((even - self.first) / self.step).clip(0, N_POINTS - 1.000001)
        i = place.astype(int)
        s = place - i
        (m0, m1), (f0, f1) = (
            (np.take_along_axis(x, i, 1), np.take_along_axis(x, i + 1, 1)) for x in (self.mass, self.density)
        )
        bend = self.step * s * (1 - s) * ((1 - s) * f0 - s * f1)
        return m0 + (m1 - m0) * s**2 * (3 - 2 * s) + bend

    def inverse(self, row: NDArray[np.intp], share: Float) -> Float:
        """The times by which shares of this boundary's probability have come, in the given rows."""
        # One sorted array for all rows: the row's number plus the share.
        ladder = self.mass / np.maximum(self.total, SMALLEST) + np.arange(len(self.mass))[:, None]
        i = np.searchsorted(ladder.ravel(), row + share).clip(row * N_POINTS + 1, (row + 1) * N_POINTS - 1)
        before, after = ladder.ravel()[i - 1], ladder.ravel()[i]
        within = (row + share - before) / np.maximum(after - before, SMALLEST)
        even = self.first[row, 0] + self.step[row, 0] * (i - 1 - row * N_POINTS + within.clip(0, 1))
        return self.last[row, 0] / (1 + np.exp(-even))


def distributions(spec: Model, theta: Theta) -> tuple[Distribution, Distribution]:
    """Distribution functions of the decision time at the upper and at the lower boundary.

    Parameters
    ----------
    spec : Model
    theta : mapping of str to ndarray, shape (n,)
        Every parameter but t.
    """
    last = choice_transform_of(spec).latest(NUMPY, theta)[:, None]
    nearest = 2 * theta["a"] * np.minimum(theta["z"], 1 - theta["z"])
    earliest = np.minimum(FLOOR * nearest[:, None] ** 2, last / 100)
    first, step, share = even_points(earliest, last, N_POINTS, CEILING)
    to_even = last * share * (1 - share)
    upper, lower = (
        Distribution(last, first, step, step * running_integral(density), density)
        for density in (np.exp(x) * to_even for x in log_densities(spec, theta, last * share))
    )
    return upper, lower


def decided(spec: Model, theta: Theta) -> Float:
    """The probability that a trial is ever decided, shape (n,): below one where boundaries run away."""
    if spec.transform in LOG_GO:
        return np.ones_like(theta["a"])
    return _decided(*distributions(spec, theta))[:, 0]


def _decided(upper: Distribution, lower: Distribution) -> Float:
    in_all = upper.total + lower.total
    return np.where(in_all > CERTAIN, 1.0, in_all)


def running_integral(y: Float) -> Float:
    """Integral up to each point of unit steps, along the last axis: of a cubic through four points around each step."""
    padded = np.pad(y, ((0, 0), (1, 1)), mode="reflect", reflect_type="odd")
    pieces = (-padded[:, :-3] + 13 * padded[:, 1:-2] + 13 * padded[:, 2:-1] - padded[:, 3:]) / 24
    return np.pad(np.cumsum(pieces.clip(0), axis=1), ((0, 0), (1, 0)))


def draw_decisions(spec: Model, rng: np.random.Generator, theta: Theta) -> tuple[Float, Float]:
    """Draw one decision time and response for each set of parameters, from the labels' own distribution.

    Parameters
    ----------
    spec : Model
    rng : numpy.random.Generator
    theta : mapping of str to ndarray, shape (n,)

    Returns
    -------
    time, response : ndarray, shape (n,)
        Seconds; inf for a trial that is never decided.
    """
    names = [name for name in spec.names if name != "t"]
    sets, which = np.unique(np.column_stack([theta[name] for name in names]), axis=0, return_inverse=True)
    time, response = np.empty(len(which)), np.empty(len(which))
    order = np.argsort(which)
    for start in range(0, len(sets), CHUNK):
        trials = order[slice(*np.searchsorted(which[order], [start, start + CHUNK]))]
        upper, lower = distributions(spec, dict(zip(names, sets[start : start + CHUNK].T, strict=True)))
        row, share, choice = which[trials] - start, rng.random(len(trials)), rng.random(len(trials))
        up = choice < upper.total[row, 0]
        decided = choice < (upper.total + lower.total)[row, 0]
        found = np.where(up, upper.inverse(row, share), lower.inverse(row, share))
        time[trials], response[trials] = np.where(decided, found, np.inf), np.where(up, 1.0, -1.0)
    return time, response
