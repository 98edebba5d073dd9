"""Labels of closed forms: densities from their series, go probabilities by quadrature where they have none."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.closed_forms import ClosedForm
from pymc_lan.models.diffusion.closed_view import ClosedView
from pymc_lan.models.labels import Deadlines, Labels, Trials
from pymc_lan.models.model import Model
from pymc_lan.models.proposals import draw_decision_times, draw_horizons, draw_theta
from pymc_lan.numerics.even import even_points
from pymc_lan.numerics.integrals import running_integral
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
# Deadlines for each parameter set whose distribution function has to be integrated.
HORIZONS = 16
# A model whose two boundaries take this much of the probability is taken to decide for certain.
CERTAIN = 1 - 1e-6


def log_densities(form: ClosedForm, theta: Theta, d: Float) -> tuple[Float, Float]:
    """Log densities of decision times at either boundary.

    Parameters
    ----------
    form : ClosedForm
    theta : mapping of str to ndarray, shape (n,)
        Every parameter but t.
    d : ndarray, shape (n, k)
        Decision times in seconds, positive.

    Returns
    -------
    log_upper, log_lower : ndarray, shape (n, k)

    Examples
    --------
    >>> import numpy as np
    >>> from pymc_lan.models.diffusion.closed_forms import CONSTANT_DRIFT
    >>> from pymc_lan.models.diffusion.closed_labels import log_densities
    >>> theta = {"v": np.array([1.0]), "a": np.array([1.0]), "z": np.array([0.5])}
    >>> log_upper, log_lower = log_densities(CONSTANT_DRIFT, theta, np.array([[0.5]]))
    >>> float((log_upper - log_lower).round(6)[0, 0])
    2.0
    """
    columns = {name: x[:, None] for name, x in theta.items()}
    log_upper, log_lower = (
        passage_logpdf(NUMPY, form.passage(NUMPY, d, np.full_like(d, response), columns)) for response in (1.0, -1.0)
    )
    return log_upper, log_lower


def go_labels(form: ClosedForm, theta: Theta, horizon: Float) -> tuple[Float, Float]:
    """Log probability of the upper boundary within a time, and of the rest.

    Parameters
    ----------
    form : ClosedForm
    theta : mapping of str to ndarray, shape (n,)
        Every parameter but t.
    horizon : ndarray, shape (n, k)
        Seconds of decision time, may be inf.

    Returns
    -------
    log_go, log_rest : ndarray, shape (n, k)
        NaN where a probability is too small for its label to be trusted.
    """
    if form.log_go is not None:
        return form.log_go(NUMPY, horizon, **{name: x[:, None] for name, x in theta.items()})
    # A few sets at a time: the distributions of all sets of a training would fill the memory.
    log_go, log_rest = np.empty(horizon.shape), np.empty(horizon.shape)
    for start in range(0, len(horizon), CHUNK):
        some = slice(start, start + CHUNK)
        few = {name: x[some] for name, x in theta.items()}
        log_go[some], log_rest[some] = _integrated(form, few, horizon[some])
    return log_go, log_rest


def _integrated(form: ClosedForm, theta: Theta, horizon: Float) -> tuple[Float, Float]:
    """What `go_labels` gives of a form whose distribution functions are not known."""
    upper, lower = distributions(form, theta)
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


def distributions(form: ClosedForm, theta: Theta) -> tuple[Distribution, Distribution]:
    """Distribution functions of the decision time at the upper and at the lower boundary.

    Parameters
    ----------
    form : ClosedForm
    theta : mapping of str to ndarray, shape (n,)
        Every parameter but t.
    """
    last = form.deadline.latest(NUMPY, theta)[:, None]
    nearest = 2 * theta["a"] * np.minimum(theta["z"], 1 - theta["z"])
    earliest = np.minimum(FLOOR * nearest[:, None] ** 2, last / 100)
    first, step, share = even_points(earliest, last, N_POINTS, CEILING)
    to_even = last * share * (1 - share)
    upper, lower = (
        Distribution(last, first, step, step * running_integral(density), density)
        for density in (np.exp(x) * to_even for x in log_densities(form, theta, last * share))
    )
    return upper, lower


def decided(form: ClosedForm, theta: Theta) -> Float:
    """The probability that a trial is ever decided, shape (n,): below one where boundaries run away."""
    if form.log_go is not None:
        return np.ones_like(theta["a"])
    return _decided(*distributions(form, theta))[:, 0]


def _decided(upper: Distribution, lower: Distribution) -> Float:
    in_all = upper.total + lower.total
    return np.where(in_all > CERTAIN, 1.0, in_all)


def draw_decisions(form: ClosedForm, rng: np.random.Generator, theta: Theta) -> tuple[Float, Float]:
    """Draw one decision time and response for each set of parameters, from the labels' own distribution.

    Parameters
    ----------
    form : ClosedForm
    rng : numpy.random.Generator
    theta : mapping of str to ndarray, shape (n,)

    Returns
    -------
    time, response : ndarray, shape (n,)
        Seconds; inf for a trial that is never decided.
    """
    names = [name for name in theta if name != "t"]
    sets, which = np.unique(np.column_stack([theta[name] for name in names]), axis=0, return_inverse=True)
    time, response = np.empty(len(which)), np.empty(len(which))
    order = np.argsort(which)
    for start in range(0, len(sets), CHUNK):
        trials = order[slice(*np.searchsorted(which[order], [start, start + CHUNK]))]
        upper, lower = distributions(form, dict(zip(names, sets[start : start + CHUNK].T, strict=True)))
        row, share, choice = which[trials] - start, rng.random(len(trials)), rng.random(len(trials))
        up = choice < upper.total[row, 0]
        decided = choice < (upper.total + lower.total)[row, 0]
        found = np.where(up, upper.inverse(row, share), lower.inverse(row, share))
        time[trials], response[trials] = np.where(decided, found, np.inf), np.where(up, 1.0, -1.0)
    return time, response


@final
@dataclass(frozen=True, slots=True)
class ClosedLabels(Labels):
    """Labels of a diffusion in closed form.

    Parameters
    ----------
    model : Model
    form : ClosedForm
    """

    model: Model
    form: ClosedForm
    quick: ClassVar[bool] = True
    closed: ClassVar[bool] = True
    pointwise: ClassVar[bool] = True

    @property
    def about(self) -> str:
        """Where they come from."""
        return self.form.labels

    @property
    def views(self) -> tuple[Any, Any]:
        """How the two networks that learn from them see a trial and a deadline."""
        return ClosedView(self.form.passage), self.form.deadline

    def training_trials(
        self, rng: np.random.Generator, n: int, farm: Executor | None = None, ends: float = 0.0
    ) -> Trials:
        """Draw trials that cover onset, bulk and tail."""
        theta = draw_theta(self.model, rng, n, ends=ends)
        d = draw_decision_times(rng, theta["a"], self.latest(theta))
        response = np.where(rng.random(n) < 0.5, 1.0, -1.0)
        return Trials(theta, d, response, self._label(theta, d, response))

    def model_trials(self, rng: np.random.Generator, n: int) -> Trials:
        """Draw trials of the model, each of a parameter set of its own."""
        theta = draw_theta(self.model, rng, n)
        if self.form.draw is not None and not self.form.variability:
            d, response = self.form.draw(rng, theta)
        else:
            d, response = draw_decisions(self.form, rng, theta)
        kept = np.isfinite(d)
        theta, d, response = {name: x[kept] for name, x in theta.items()}, d[kept], response[kept]
        return Trials(theta, d, response, self._label(theta, d, response))

    def deadlines(
        self,
        rng: np.random.Generator,
        n: int,
        farm: Executor | None = None,
        *,
        measured: bool = False,
        ends: float = 0.0,
    ) -> Deadlines:
        """Draw deadlines, many for each parameter set where its distribution function has to be integrated."""
        per = 1 if measured or self.form.log_go is not None else HORIZONS
        few = draw_theta(self.model, rng, -(-n // per), ends=ends)
        horizon = draw_horizons(rng, (-(-n // per), per))
        log_go, log_rest = go_labels(self.form, few, horizon)
        theta = {name: np.repeat(x, per) for name, x in few.items()}
        return Deadlines(theta, horizon.ravel(), log_go.ravel(), log_rest.ravel())

    def at(
        self, theta: Theta, which: NDArray[np.intp], d: Float, response: Float, horizon: Float | None = None
    ) -> Float:
        """Log likelihood of given trials; NaN where the decision has not begun."""
        result = np.full(d.size, np.nan)
        (seen,) = np.nonzero(np.isfinite(d) & (d > 0))
        result[seen] = self._label({name: x[which[seen]] for name, x in theta.items()}, d[seen], response[seen])
        (unseen,) = np.nonzero(~np.isfinite(d))
        if horizon is None:
            return result
        order = unseen[np.argsort(which[unseen], kind="stable")]
        sets = np.unique(which[unseen])
        for start in range(0, sets.size, CHUNK):
            some = sets[start : start + CHUNK]
            mine = order[slice(*np.searchsorted(which[order], [some[0], some[-1] + 1]))]
            row = np.searchsorted(some, which[mine])
            place = np.arange(mine.size) - np.searchsorted(row, row)
            limits = np.full((some.size, int(place.max()) + 1), np.inf)
            limits[row, place] = horizon[mine]
            _, log_rest = go_labels(self.form, {name: x[some] for name, x in theta.items()}, limits)
            result[mine] = log_rest[row, place]
        return result

    def decided(self, theta: Theta) -> Float:
        """The probability that a trial is ever decided, shape (n,): below one where boundaries run away."""
        return decided(self.form, theta)

    def latest(self, theta: Theta) -> Float:
        """When practically everything is decided that ever is [s]."""
        return np.asarray(self.form.deadline.latest(NUMPY, theta))

    def _label(self, theta: Theta, d: Float, response: Float) -> Float:
        upper, lower = log_densities(self.form, theta, d[:, None])
        return np.where(response > 0, upper[:, 0], lower[:, 0])
