"""Labels of diffusions without a closed form: trials and deadlines at the points of solutions, and splines between."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.mixture_view import MixtureDeadline
from pymc_lan.models.diffusion.solution import Solution, joined
from pymc_lan.models.diffusion.structure import structure_of
from pymc_lan.models.labels import Deadlines, Labels, Trials
from pymc_lan.models.model import Model, require_views
from pymc_lan.models.proposals import draw_horizons, draw_theta
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.spline import spline

Float = NDArray[np.float64]
Theta = dict[str, Float]

# Trials and deadlines for each parameter set whose density has to be solved, so many that both networks learn from the
# same solutions; so many trials of a set stand for as many sets when a network is measured.
TRIALS_PER_SOLUTION, HORIZONS_PER_SOLUTION, MEASURED_PER_SOLUTION = 160, 160, 8
# A solution by the equation of Fokker and Planck takes tens of times as long, a mixture a few times: so many times
# fewer are made.
FEWER, FEWER_MIXTURES = 8, 2
# Parameter sets that one task of a farm solves, and sets whose solutions are in memory at once.
FARM_BLOCK, BLOCK = 500, 1000
# Log densities below this, once half of the decisions are made, and probabilities below this are within the error of
# the solver's sums ...
LEAST_LATE, SMALLEST_SOLVED = math.log(1e-7), 1e-6
# ... and a model that is this close to deciding for certain, does.
NEARLY = 1e-3
# Probabilities of given trials below this are within the rounding of the sums they come from.
SMALLEST = 1e-9

# The solutions of the latest draw, by all that they follow from: they take longer than the training.
_LATEST: dict[tuple[Labels, str], Solution] = {}


class SolvedLabels(Labels):
    """Labels from solutions on grids of decision times."""

    __slots__ = ()

    # Whose labels they are.
    model: Model

    @property
    @abstractmethod
    def fewer(self) -> int:
        """How many times fewer solutions are made than of the cheapest kind."""

    @abstractmethod
    def solve(self, theta: Mapping[str, Float], tolerance: float | None = None) -> Solution:
        """Solve for densities; see `pymc_lan.models.diffusion.solver.solve`."""

    @abstractmethod
    def in_all(self, found: Solution) -> tuple[Float, Float, Float]:
        """Probability of either boundary, and of none, ever; shape (n, 1)."""

    @property
    def views(self) -> tuple[Any, Any]:
        """How the two networks that learn from them see a trial and a deadline."""
        return require_views(self.model).lan, require_views(self.model).choice

    def training_trials(
        self, rng: np.random.Generator, n: int, farm: Executor | None = None, ends: float = 0.0
    ) -> Trials:
        """Draw trials that cover onset, bulk and tail."""
        return self._trials(rng, n, self.fewer * TRIALS_PER_SOLUTION, farm=farm, ends=ends)

    def model_trials(self, rng: np.random.Generator, n: int) -> Trials:
        """Draw trials of the model, a few of each solution."""
        return self._trials(rng, n, self.fewer * MEASURED_PER_SOLUTION, of_model=True)

    def deadlines(
        self,
        rng: np.random.Generator,
        n: int,
        farm: Executor | None = None,
        *,
        measured: bool = False,
        ends: float = 0.0,
    ) -> Deadlines:
        """Draw deadlines at points of solutions: half of them over times of interest, half anywhere."""
        found, per, place, finite = self._places(rng, n, farm, measured, ends)
        upper, lower, never = self.in_all(found)
        go = np.where(finite, np.take_along_axis(found.mass_upper, place, 1), upper)
        # Summed from what is left, so that small probabilities keep their relative accuracy.
        rest = (upper - go).clip(0) + lower + never
        return _deadlines(found, per, place, finite, go, rest)

    def undecided(
        self,
        rng: np.random.Generator,
        n: int,
        farm: Executor | None = None,
        *,
        measured: bool = False,
        ends: float = 0.0,
    ) -> Deadlines:
        """Draw deadlines as `deadlines` does; where there is none, what is left of a decision that is never made."""
        found, per, place, _ = self._places(rng, n, farm, measured, ends)
        upper, lower, never = _summed(found)
        seen = np.take_along_axis(found.mass_upper + found.mass_lower, place, 1)
        return _deadlines(found, per, place, np.ones_like(place, bool), seen, (upper + lower - seen).clip(0) + never)

    def _places(
        self, rng: np.random.Generator, n: int, farm: Executor | None, measured: bool, ends: float
    ) -> tuple[Solution, int, NDArray[np.intp], NDArray[np.bool_]]:
        """Solutions, how many deadlines each has, their places on its grid, and which of them are finite."""
        per = self.fewer * (MEASURED_PER_SOLUTION if measured else HORIZONS_PER_SOLUTION)
        found = self._solutions(rng, -(-n // per), farm, ends)
        sets, points = found.times.shape
        # The grid's points lie where the density does; those of times of interest are as many.
        target = draw_horizons(rng, (sets, per))
        near = np.stack([np.searchsorted(t, x) for t, x in zip(found.times, target, strict=True)]).clip(0, points - 1)
        place = np.where(rng.random(near.shape) < 0.5, near, rng.integers(0, points, near.shape))
        return found, per, np.where(np.isfinite(target), place, points - 1), np.isfinite(target)

    def decided(self, theta: Theta) -> Float:
        """The probability of a decision by the time of `latest`, shape (n,)."""
        found = self.solve(theta, tolerance=np.inf)
        total = found.mass_upper[:, -1] + found.mass_lower[:, -1]
        return np.where(total > 1 - NEARLY, 1.0, total)

    def _trials(
        self,
        rng: np.random.Generator,
        n: int,
        per: int,
        *,
        of_model: bool = False,
        farm: Executor | None = None,
        ends: float = 0.0,
    ) -> Trials:
        """Trials at points of the solver's own grid: half of them as the model has them, half anywhere."""
        found = self._solutions(rng, -(-n // per), farm, ends)
        sets, points = found.times.shape
        chance = np.concatenate([np.exp(x) * found.weight for x in (found.log_upper, found.log_lower)], axis=1)
        ladder = np.cumsum(chance, axis=1)
        ladder /= ladder[:, -1:]
        # One sorted array for all rows, to search at once.
        wanted = rng.random((sets, per)) + np.arange(sets)[:, None]
        row = np.arange(sets)[:, None]
        place = np.searchsorted((ladder + row).ravel(), wanted) - row * 2 * points
        if not of_model:
            place = np.where(rng.random(place.shape) < 0.5, place, rng.integers(0, 2 * points, place.shape))
        place = place.clip(0, 2 * points - 1)
        both = np.concatenate([found.log_upper, found.log_lower], axis=1)
        if not of_model:
            # Late, the solver's errors are those of all that came before: small densities drown in them.
            late = np.tile(found.mass_upper + found.mass_lower > 0.5, 2)
            both = np.where(late & (both < LEAST_LATE), -np.inf, both)
        label = np.take_along_axis(both, place, 1).ravel()
        d = np.take_along_axis(np.tile(found.times, 2), place, 1).ravel()
        response = np.where(place < points, 1.0, -1.0).ravel()
        return Trials(
            {k: np.repeat(x, per) for k, x in found.theta.items()}, d, response, label, found.report.share_dropped
        )

    def _solutions(self, rng: np.random.Generator, n: int, farm: Executor | None, ends: float) -> Solution:
        theta = draw_theta(self.model, rng, n, ends=ends)
        key = self, sha256(b"".join(x.tobytes() for x in theta.values())).hexdigest()
        if key not in _LATEST:
            _LATEST.clear()
            if farm is None:
                _LATEST[key] = self.solve(theta)
            else:
                blocks = [{k: x[i : i + FARM_BLOCK] for k, x in theta.items()} for i in range(0, n, FARM_BLOCK)]
                _LATEST[key] = joined(list(farm.map(_solve_block, [self] * len(blocks), blocks)))
        return _LATEST[key]

    def _fill(
        self,
        result: Float,
        theta: Mapping[str, Float],
        trials: Sequence[NDArray[np.intp]],
        d: Float,
        response: Float,
        horizon: Float | None,
    ) -> None:
        """Labels of the trials of some sets, whose places are given for each set."""
        found = self.solve(theta, tolerance=np.inf)
        # Sets without any solution are left out of what is found.
        numbers = {tuple(each): i for i, each in enumerate(np.column_stack(list(theta.values())))}
        sets = [numbers[tuple(each)] for each in np.column_stack([found.theta[name] for name in theta])]
        begin = np.broadcast_to(self.model.earliest(found.theta), len(sets))
        for row, (number, times) in enumerate(zip(sets, found.times, strict=True)):
            mine = trials[number]
            seen = np.isfinite(d[mine])
            for code, log_f in ((1.0, found.log_upper[row]), (-1.0, found.log_lower[row])):
                known = np.isfinite(log_f)
                wanted = mine[seen & (response[mine] == code) & (d[mine] > begin[row])]
                if wanted.size:
                    # Times the time since the onset, so that it is finite there.
                    since = times[known] - begin[row]
                    curve = spline(np.log(since), since * log_f[known], extrapolate=False)
                    result[wanted] = curve(np.log(d[wanted] - begin[row])) / (d[wanted] - begin[row])
            unseen = mine[~seen]
            if horizon is not None and unseen.size:
                rest = 1 - np.interp(horizon[unseen], times, found.mass_upper[row], left=0.0)
                result[unseen] = np.log(np.where(rest > SMALLEST, rest, np.nan))


def _solve_block(labels: SolvedLabels, theta: Mapping[str, Float]) -> Solution:
    return labels.solve(theta)


@final
@dataclass(frozen=True, slots=True)
class PathLabels(SolvedLabels):
    """Labels of a diffusion by functions, from the equations of Volterra or of Fokker and Planck.

    Parameters
    ----------
    model : ModelSpec
    """

    model: Any

    @property
    def about(self) -> str:
        """Where they come from."""
        return (
            "Volterra equations of the two moving boundaries (Buonocore, Nobile & Ricciardi 1987; Smith 2000) or, for "
            "a drift that is not linear in the position, the Fokker-Planck equation (to 0.02 nats)"
        )

    @property
    def fewer(self) -> int:
        """How many times fewer solutions are made than of the cheapest kind."""
        return 1 if structure_of(self.model).linear else FEWER

    def solve(self, theta: Mapping[str, Float], tolerance: float | None = None, grids: Sequence[int] = ()) -> Solution:
        """Solve for densities; see `pymc_lan.models.diffusion.solver.solve`."""
        from pymc_lan.models.diffusion.solver import solve  # loads JAX

        return solve(self.model, theta, tolerance, grids)

    def in_all(self, found: Solution) -> tuple[Float, Float, Float]:
        """Probability of either boundary, and of none, ever: where only the position changes the drift, it is known."""
        from pymc_lan.models.diffusion.path_deadline import PathDeadline  # loads JAX

        if (log_choice := PathDeadline(self.model).log_choice) is None:
            return _summed(found)
        upper, lower = (np.exp(x)[:, None] for x in log_choice(NUMPY, found.theta))
        return upper, lower, np.zeros_like(upper)

    def at(
        self,
        theta: Mapping[str, Float],
        which: NDArray[np.intp],
        d: Float,
        response: Float,
        horizon: Float | None = None,
    ) -> Float:
        """Log likelihood of given trials: splines through the solution's points; NaN where it has none."""
        n_sets, result = next(iter(theta.values())).size, np.full(d.size, np.nan)
        # The trials of each set, found once.
        order = np.argsort(which, kind="stable")
        ends = np.searchsorted(which[order], np.arange(n_sets + 1))
        for first in range(0, n_sets, BLOCK):
            block = slice(first, min(first + BLOCK, n_sets))
            trials = [order[ends[i] : ends[i + 1]] for i in range(block.start, block.stop)]
            self._fill(result, {name: x[block] for name, x in theta.items()}, trials, d, response, horizon)
        return result

    def latest(self, theta: Theta) -> Float:
        """When practically everything is decided that ever is [s]."""
        from pymc_lan.models.diffusion.path_deadline import PathDeadline  # loads JAX

        return np.asarray(PathDeadline(self.model).latest(NUMPY, theta))


@final
@dataclass(frozen=True, slots=True)
class MixtureLabels(SolvedLabels):
    """Labels of a diffusion whose parameters vary across trials, by quadrature.

    Parameters
    ----------
    model : MixtureDiffusion
    """

    model: Any
    pointwise: ClassVar[bool] = True

    @property
    def about(self) -> str:
        """Where they come from."""
        return "quadrature over non-decision times and starting points of the closed form (Navarro & Fuss 2009)"

    @property
    def fewer(self) -> int:
        """How many times fewer solutions are made than of the cheapest kind."""
        return FEWER_MIXTURES

    def solve(self, theta: Mapping[str, Float], tolerance: float | None = None) -> Solution:
        """Solve for densities; see `pymc_lan.models.diffusion.mixture_labels.solve_mixture`."""
        from pymc_lan.models.diffusion.mixture_labels import TOLERANCE, solve_mixture  # loads JAX

        return solve_mixture(self.model, theta, TOLERANCE if tolerance is None else tolerance)

    def in_all(self, found: Solution) -> tuple[Float, Float, Float]:
        """Probability of either boundary, and of none, ever; shape (n, 1)."""
        return _summed(found)

    def at(
        self,
        theta: Mapping[str, Float],
        which: NDArray[np.intp],
        d: Float,
        response: Float,
        horizon: Float | None = None,
    ) -> Float:
        """Log likelihood of given trials, straight at their times: a whole solution costs as much as hundreds."""
        from pymc_lan.models.diffusion.mixture_labels import mixture_logpdf  # loads JAX

        result = np.full(d.size, np.nan)
        (seen,) = np.nonzero(np.isfinite(d))
        named = {k: x[which[seen]] for k, x in theta.items()}
        result[seen] = mixture_logpdf(self.model, named, d[seen], response[seen])
        (unseen,) = np.nonzero(~np.isfinite(d))
        if not unseen.size or horizon is None:
            return result
        sets, among = np.unique(which[unseen], return_inverse=True)
        trials = [unseen[among == i] for i in range(sets.size)]
        self._fill(result, {name: x[sets] for name, x in theta.items()}, trials, d, response, horizon)
        return result

    def latest(self, theta: Theta) -> Float:
        """When practically everything is decided that ever is [s]."""
        return np.asarray(MixtureDeadline(self.model).latest(NUMPY, theta))


def _summed(found: Solution) -> tuple[Float, Float, Float]:
    """Probability of either boundary, and of none, as the solution's sums have it."""
    upper, lower = found.mass_upper[:, -1:], found.mass_lower[:, -1:]
    return upper, lower, np.where(upper + lower > 1 - NEARLY, 0.0, 1 - upper - lower)


def _deadlines(
    found: Solution, per: int, place: NDArray[np.intp], finite: NDArray[np.bool_], done: Float, rest: Float
) -> Deadlines:
    """Deadlines at places of solutions, with what has happened by then and what has not, as far as they are trusted."""
    horizon = np.where(finite, np.take_along_axis(found.times, place, 1), np.inf)
    log_done, log_rest = (np.log(np.where(x > SMALLEST_SOLVED, x, np.nan)) for x in (done, rest))
    theta = {k: np.repeat(x, per) for k, x in found.theta.items()}
    return Deadlines(theta, horizon.ravel(), log_done.ravel(), log_rest.ravel())
