"""Labels of races of reflected accumulators, and of single ones, which is what their networks learn."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.labels import Deadlines, Labels, Trials
from pymc_lan.models.model import Model
from pymc_lan.models.proposals import draw_theta
from pymc_lan.models.race.accumulator import Accumulator, split
from pymc_lan.models.race.reflected_solver import N_POINTS, Solution, at_times, solve_accumulators
from pymc_lan.models.race.reflected_view import LAN, SURVIVOR
from pymc_lan.numerics.passage import NUMPY

Float = NDArray[np.float64]
Theta = dict[str, Float]
# The parameters of each accumulator of a race, and its solution.
Solved = list[tuple[Mapping[str, Float], Solution]]

# Trials of a race for each parameter set, of which every accumulator has to be solved for.
TRIALS_PER_RACE = 32
# Bounds of one accumulator that hold those of all races: a network learns one, whatever the race.
WIDEST = {"v": (0.0, 2.5), "a": (1.0, 3.0), "z": (0.0, 0.9), "theta": (-0.1, 1.45)}
# Share of accumulators whose boundary is constant.
CONSTANT = 0.4
# Log survivors below this are not trusted.
SMALLEST = -12.0


class Labelled(NamedTuple):
    """Points of solutions.

    Parameters
    ----------
    theta : dict of str to ndarray, shape (n,)
        v, a, z and theta of one accumulator.
    times : ndarray, shape (n,)
        Seconds.
    log_density, log_finished, log_survivor : ndarray, shape (n,)
        NaN or -inf where there is no trusted label.
    """

    theta: dict[str, Float]
    times: Float
    log_density: Float
    log_finished: Float
    log_survivor: Float


# The solutions of the latest draw, by what was drawn: both networks learn from the same.
_LATEST: dict[bytes, Solution] = {}


def draw_accumulators(rng: np.random.Generator, n: int) -> dict[str, Float]:
    """Draw the parameters of single accumulators over the bounds of all races, some with a constant boundary.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int

    Returns
    -------
    dict of str to ndarray, shape (n,)
    """
    theta = {name: rng.uniform(*bounds, n) for name, bounds in WIDEST.items()}
    theta["theta"] = np.where(rng.random(n) < CONSTANT, 0.0, theta["theta"])
    return theta


def labelled_points(rng: np.random.Generator, n: int) -> Labelled:
    """Draw labelled points: every point of as many solutions as it takes, from the first times to the last.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int

    Returns
    -------
    Labelled
    """
    theta = draw_accumulators(rng, -(-n // N_POINTS))
    key = np.column_stack(list(theta.values())).tobytes()
    if key not in _LATEST:
        _LATEST.clear()
        _LATEST[key] = solve_accumulators(theta)
    found = _LATEST[key]
    # Late, a survivor is what the sum of all that came before has left of one.
    seen = np.where(found.log_survivor > SMALLEST, 0.0, np.nan)
    columns = (found.times, found.log_density, found.log_finished, found.log_survivor + seen)
    points = (x.ravel()[:n] for x in columns)
    return Labelled({name: np.repeat(x, N_POINTS)[:n] for name, x in theta.items()}, *points)


@final
@dataclass(frozen=True, slots=True)
class RaceLabels(Labels):
    """Labels of a race whose accumulators are solved for.

    Parameters
    ----------
    model : Model
    accumulator : Accumulator
    """

    model: Model
    accumulator: Accumulator
    quick: ClassVar[bool] = True
    # Each of its responses costs networks of all its accumulators.
    n_mass: ClassVar[int] = 200
    learned: ClassVar[str | None] = "accumulator"

    @property
    def about(self) -> str:
        """Where they come from."""
        return (
            "Volterra equation of one reflected accumulator (Buonocore, Nobile & Ricciardi 1987). The network lan is "
            "that of its density, choice that of its survivor; they are the same in every race"
        )

    @property
    def views(self) -> tuple[Any, Any]:
        """How the two networks that learn from them see a trial and a deadline."""
        return LAN, SURVIVOR

    def training_trials(
        self, rng: np.random.Generator, n: int, farm: Executor | None = None, ends: float = 0.0
    ) -> Trials:
        """Draw finishing times of single accumulators, over the bounds of all races."""
        points = labelled_points(rng, n)
        return Trials(points.theta, points.times, np.ones(n), points.log_density)

    def model_trials(self, rng: np.random.Generator, n: int) -> Trials:
        """Draw trials of the race, a few of each parameter set."""
        theta = draw_theta(self.model, rng, -(-n // TRIALS_PER_RACE))
        solved = self._solve(theta)
        d, response = (x.ravel() for x in self._draw(rng, solved, TRIALS_PER_RACE))
        which = np.repeat(np.arange(theta["a"].size), TRIALS_PER_RACE)
        kept = np.isfinite(d)
        which, d, response = which[kept], d[kept], response[kept]
        label = self._label(solved, which, d, response)
        return Trials({name: x[which] for name, x in theta.items()}, d, response, label)

    def deadlines(
        self,
        rng: np.random.Generator,
        n: int,
        farm: Executor | None = None,
        *,
        measured: bool = False,
        ends: float = 0.0,
    ) -> Deadlines:
        """Draw times by which single accumulators have finished or not."""
        points = labelled_points(rng, n)
        return Deadlines(points.theta, points.times, points.log_finished, points.log_survivor)

    def at(
        self,
        theta: Mapping[str, Float],
        which: NDArray[np.intp],
        d: Float,
        response: Float,
        horizon: Float | None = None,
    ) -> Float:
        """Log likelihood of given trials; NaN of decision times that are not positive."""
        return self._label(self._solve(theta), which, d, response)

    def decided(self, theta: Theta) -> Float:
        """Probability that any accumulator has finished by the end of the solutions, shape (m,)."""
        return -np.expm1(sum(found.log_survivor[:, -1] for _, found in self._solve(theta)))

    def latest(self, theta: Theta) -> Float:
        """When practically every race is decided that ever is [s]."""
        return np.asarray(SURVIVOR.latest(NUMPY, theta))

    def _solve(self, theta: Mapping[str, Float]) -> Solved:
        each = split(self.accumulator, len(self.model.choices), theta)
        return [(one, solve_accumulators(one)) for one in each]

    def _label(self, solved: Solved, which: NDArray[np.intp], d: Float, response: Float) -> Float:
        """Labels of trials, each of a set that was solved for."""
        total = np.where(d > 0, 0.0, np.nan)
        for row in np.unique(which):
            mine = np.flatnonzero((which == row) & (d > 0))
            for code, (theta, found) in zip(self.model.choices, solved, strict=True):
                log_density, log_survivor = at_times(found, theta, row, d[mine])
                total[mine] += np.where(response[mine] == code, log_density, log_survivor)
        return total

    def _draw(self, rng: np.random.Generator, solved: Solved, n: int) -> tuple[Float, Float]:
        """Draw n decision times and responses of each set, shape (m, n), from the labels' own distributions."""
        finish = []
        for _, found in solved:
            rows = zip(rng.random((len(found.times), n)), np.exp(found.log_finished), np.log(found.times), strict=True)
            finish.append(np.exp(np.stack([np.interp(x, share, log_t, right=np.inf) for x, share, log_t in rows])))
        times = np.stack(finish)
        return times.min(axis=0), np.asarray(self.model.choices, np.float64)[times.argmin(axis=0)]
