"""Labelled trials: for training, and for measuring what came of it."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion import closed_labels as labels
from pymc_lan.models.diffusion.closed_labels import draw_decisions, go_labels, log_densities
from pymc_lan.models.likelihood import LOG_GO
from pymc_lan.models.proposals import draw_decision_times, draw_horizons, draw_theta
from pymc_lan.models.race.labelled import labelled_points
from pymc_lan.models.race.race import race_of
from pymc_lan.models.race.reflected_labels import decided_race, draw_race_decisions, race_log_labels, solve_race
from pymc_lan.models.spec import Model
from pymc_lan.models.views import SPREAD, choice_transform_of, is_linear
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.samplers.wiener import ddm_draws

if TYPE_CHECKING:
    from pymc_lan.models.diffusion.solved_labels import Solution

Float = NDArray[np.float64]
Theta = dict[str, Float]

# Deadlines for each parameter set whose distribution function has to be integrated; trials and deadlines for each
# whose density has to be solved, so many that both networks learn from the same solutions.
HORIZONS, TRIALS_PER_SOLUTION, HORIZONS_PER_SOLUTION = 16, 64, 64
# Where the density has to be solved, so many trials of a set stand for as many sets when a network is measured.
MEASURED_PER_SOLUTION = 8
# The same of races, where each accumulator has to be solved for.
TRIALS_PER_RACE = 32
# A solution by the equation of Fokker and Planck takes tens of times as long, a mixture a few times: so many times
# fewer are made.
FEWER, FEWER_MIXTURES = 8, 2
# Parameter sets that one task of a farm solves.
FARM_BLOCK = 500


class Trials(NamedTuple):
    """Trials with their log density.

    Parameters
    ----------
    theta : dict of str to ndarray, shape (n,)
        Every parameter but t.
    d, response, label : ndarray, shape (n,)
    dropped : float
        Share of parameter sets without a label that is accurate enough.
    """

    theta: Theta
    d: Float
    response: Float
    label: Float
    dropped: float = 0.0


def training_trials(
    spec: Model, rng: np.random.Generator, n: int, farm: Executor | None = None, edges: float = 0.0
) -> Trials:
    """Draw trials that cover onset, bulk and tail; a farm, where there is one, solves for what has to be solved.

    Of a race they are finishing times of single accumulators, over the bounds of all races.
    """
    if race_of(spec) is not None:
        points = labelled_points(rng, n)
        return Trials(points.theta, points.times, np.ones(n), points.log_density)
    if not spec.exact:
        return _solved_trials(spec, rng, n, _per(spec, TRIALS_PER_SOLUTION), farm=farm, edges=edges)
    theta = draw_theta(spec, rng, n, edges=edges)
    d = draw_decision_times(rng, theta["a"], choice_transform_of(spec).latest(NUMPY, theta))
    response = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return Trials(theta, d, response, _label(spec, theta, d, response))


def model_trials(spec: Model, rng: np.random.Generator, n: int) -> Trials:
    """Draw n trials of the model, each of a parameter set of its own where that has no price; undecided ones go."""
    if race_of(spec) is not None:
        return _race_trials(spec, rng, n)
    if not spec.exact:
        return _solved_trials(spec, rng, n, _per(spec, MEASURED_PER_SOLUTION), of_model=True)
    theta = draw_theta(spec, rng, n)
    if spec.transform == "constant_drift":
        d, sign = ddm_draws(rng, theta["v"], theta["a"], theta["z"])
        response = sign.astype(np.float64)
    else:
        d, response = draw_decisions(spec, rng, theta)
    kept = np.isfinite(d)
    theta, d, response = {name: x[kept] for name, x in theta.items()}, d[kept], response[kept]
    return Trials(theta, d, response, _label(spec, theta, d, response))


def _race_trials(spec: Model, rng: np.random.Generator, n: int) -> Trials:
    theta = draw_theta(spec, rng, -(-n // TRIALS_PER_RACE))
    race = solve_race(spec, theta)
    d, response = (x.ravel() for x in draw_race_decisions(spec, rng, race, TRIALS_PER_RACE))
    which = np.repeat(np.arange(theta["a"].size), TRIALS_PER_RACE)
    kept = np.isfinite(d)
    which, d, response = which[kept], d[kept], response[kept]
    label = race_log_labels(spec, race, which, d, response)
    return Trials({name: x[which] for name, x in theta.items()}, d, response, label)


def _per(spec: Model, usual: int) -> int:
    """Trials or deadlines for each parameter set."""
    if spec.transform == SPREAD:
        return FEWER_MIXTURES * usual
    return usual if is_linear(spec) else FEWER * usual


def _label(spec: Model, theta: Theta, d: Float, response: Float) -> Float:
    upper, lower = log_densities(spec, theta, d[:, None])
    return np.where(response > 0, upper[:, 0], lower[:, 0])


def _solved_trials(
    spec: Model,
    rng: np.random.Generator,
    n: int,
    per: int,
    *,
    of_model: bool = False,
    farm: Executor | None = None,
    edges: float = 0.0,
) -> Trials:
    """Trials at points of the solver's own grid: half of them as the model has them, half anywhere."""
    found = _solutions(spec, rng, -(-n // per), farm, edges)
    sets, points = found.times.shape
    chance = np.concatenate([np.exp(x) * found.weight for x in (found.log_upper, found.log_lower)], axis=1)
    ladder = np.cumsum(chance, axis=1)
    ladder /= ladder[:, -1:]
    # One sorted array for all rows, to search at once.
    wanted = rng.random((sets, per)) + np.arange(sets)[:, None]
    place = np.searchsorted((ladder + np.arange(sets)[:, None]).ravel(), wanted) - np.arange(sets)[:, None] * 2 * points
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


# The solutions of the latest draw, by all that they follow from: they take longer than the training.
_LATEST: dict[tuple[Model, str], Solution] = {}


def _solutions(spec: Model, rng: np.random.Generator, n: int, farm: Executor | None, edges: float) -> Solution:
    from pymc_lan.models.diffusion.solved_labels import joined, solve

    theta = draw_theta(spec, rng, n, edges=edges)
    key = spec, sha256(b"".join(x.tobytes() for x in theta.values())).hexdigest()
    if key not in _LATEST:
        _LATEST.clear()
        if farm is None:
            _LATEST[key] = solve(spec, theta)
        else:
            blocks = [{k: x[i : i + FARM_BLOCK] for k, x in theta.items()} for i in range(0, n, FARM_BLOCK)]
            _LATEST[key] = joined(list(farm.map(solve, [spec] * len(blocks), blocks)))
    return _LATEST[key]


def decided(spec: Model, theta: Theta) -> Float:
    """The probability of a decision by the time of `latest`, shape (n,).

    Below one where boundaries run away, or a leak holds the process between them.
    """
    if race_of(spec) is not None:
        return decided_race(solve_race(spec, theta))
    if spec.exact:
        return labels.decided(spec, theta)
    from pymc_lan.models.diffusion.solved_labels import solve

    found = solve(spec, theta, tolerance=np.inf)
    total = found.mass_upper[:, -1] + found.mass_lower[:, -1]
    return np.where(total > 1 - NEARLY, 1.0, total)


class Deadlines(NamedTuple):
    """Deadlines with the log probabilities of a go response and of none; NaN where there is no trusted label."""

    theta: Theta
    horizon: Float
    log_go: Float
    log_rest: Float


def draw_deadlines(
    spec: Model,
    rng: np.random.Generator,
    n: int,
    farm: Executor | None = None,
    *,
    measured: bool = False,
    edges: float = 0.0,
) -> Deadlines:
    """Draw deadlines over all times of interest, one in eight of them without an end.

    For training many share a parameter set where its distribution has a price; to measure, fewer or none. Of a race
    they are times by which single accumulators have finished or not.
    """
    if race_of(spec) is not None:
        points = labelled_points(rng, n)
        return Deadlines(points.theta, points.times, points.log_finished, points.log_survivor)
    if not spec.exact:
        per = _per(spec, MEASURED_PER_SOLUTION if measured else HORIZONS_PER_SOLUTION)
        return _solved_deadlines(spec, rng, n, per, farm, edges)
    per = 1 if measured or spec.transform in LOG_GO else HORIZONS
    few = draw_theta(spec, rng, -(-n // per), edges=edges)
    horizon = draw_horizons(rng, (-(-n // per), per))
    log_go, log_rest = go_labels(spec, few, horizon)
    theta = {name: np.repeat(x, per) for name, x in few.items()}
    return Deadlines(theta, horizon.ravel(), log_go.ravel(), log_rest.ravel())


def _solved_deadlines(
    spec: Model, rng: np.random.Generator, n: int, per: int, farm: Executor | None, edges: float
) -> Deadlines:
    found = _solutions(spec, rng, -(-n // per), farm, edges)
    sets, points = found.times.shape
    # The grid's points lie where the density does; those of times of interest are as many.
    target = draw_horizons(rng, (sets, per))
    near = np.stack([np.searchsorted(t, x) for t, x in zip(found.times, target, strict=True)]).clip(0, points - 1)
    place = np.where(rng.random(near.shape) < 0.5, near, rng.integers(0, points, near.shape))
    place = np.where(np.isfinite(target), place, points - 1)
    go = np.take_along_axis(found.mass_upper, place, 1)
    horizon = np.where(np.isfinite(target), np.take_along_axis(found.times, place, 1), np.inf)
    upper, lower, never = _in_all(spec, found)
    go = np.where(np.isfinite(target), go, upper)
    # Summed from what is left, so that small probabilities keep their relative accuracy.
    rest = (upper - go).clip(0) + lower + never
    log_go, log_rest = (np.log(np.where(x > SMALLEST_SOLVED, x, np.nan)) for x in (go, rest))
    theta = {k: np.repeat(x, per) for k, x in found.theta.items()}
    return Deadlines(theta, horizon.ravel(), log_go.ravel(), log_rest.ravel())


def _in_all(spec: Model, found: Solution) -> tuple[Float, Float, Float]:
    """Probability of either boundary, and of none, ever; shape (n, 1)."""
    transform = choice_transform_of(spec)
    if transform.log_choice is not None:
        upper, lower = (np.exp(x)[:, None] for x in transform.log_choice(NUMPY, found.theta))
        return upper, lower, np.zeros_like(upper)
    upper, lower = found.mass_upper[:, -1:], found.mass_lower[:, -1:]
    return upper, lower, np.where(upper + lower > 1 - NEARLY, 0.0, 1 - upper - lower)


# Log densities below this, once half of the decisions are made, and probabilities below this are within the error of
# the solver's sums ...
LEAST_LATE, SMALLEST_SOLVED = math.log(1e-7), 1e-6
# ... and a model that is this close to deciding for certain, does.
NEARLY = 1e-3
