"""Labels at given times, from solutions of the equations that have no closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.race.race import race_of
from pymc_lan.models.race.reflected_labels import race_log_labels, solve_race
from pymc_lan.models.spec import Model
from pymc_lan.models.views import SPREAD, earliest

Float = NDArray[np.float64]

# Probabilities below this are within the rounding of the sums they come from.
SMALLEST = 1e-9
# Sets whose solutions are in memory at once.
BLOCK = 1000


def solved_log_likelihood(
    spec: Model,
    theta: Mapping[str, Float],
    which: NDArray[np.intp],
    d: Float,
    response: Float,
    horizon: Float | None = None,
) -> Float:
    """Labels at given times: splines through the solution's points; NaN where it has none.

    Parameters
    ----------
    spec : Model
    theta : mapping of str to ndarray, shape (n_sets,)
        Every parameter but t.
    which : ndarray of int, shape (n,)
        The set of each trial.
    d : ndarray, shape (n,)
        Decision times in seconds; inf where there was no response.
    response : ndarray, shape (n,)
    horizon : ndarray, shape (n,), optional
        Decision times by which trials without a response were not at the upper boundary; may be inf.

    Returns
    -------
    ndarray, shape (n,)
    """
    if race_of(spec) is not None:
        return race_log_labels(spec, solve_race(spec, theta), which, d, response)
    n_sets, result = next(iter(theta.values())).size, np.full(d.size, np.nan)
    if spec.transform == SPREAD:
        from pymc_lan.models.diffusion.mixture_labels import mixture_logpdf

        # Straight at the times of the trials: a whole solution costs as much as hundreds of them.
        (seen,) = np.nonzero(np.isfinite(d))
        result[seen] = mixture_logpdf(spec, {k: x[which[seen]] for k, x in theta.items()}, d[seen], response[seen])
        (unseen,) = np.nonzero(~np.isfinite(d))
        if not unseen.size or horizon is None:
            return result
        sets, among = np.unique(which[unseen], return_inverse=True)
        trials = [unseen[among == i] for i in range(sets.size)]
        _fill_block(result, spec, {name: x[sets] for name, x in theta.items()}, trials, d, response, horizon)
        return result
    # The trials of each set, found once.
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(n_sets + 1))
    for first in range(0, n_sets, BLOCK):
        block = slice(first, min(first + BLOCK, n_sets))
        trials = [order[ends[i] : ends[i + 1]] for i in range(block.start, block.stop)]
        _fill_block(result, spec, {name: x[block] for name, x in theta.items()}, trials, d, response, horizon)
    return result


def _fill_block(
    result: Float,
    spec: Model,
    theta: Mapping[str, Float],
    trials: Sequence[NDArray[np.intp]],
    d: Float,
    response: Float,
    horizon: Float | None,
) -> None:
    """Labels of the trials of some sets, whose places are given for each set."""
    # Not above: importing it changes the filters of warnings.
    from scipy.interpolate import CubicSpline

    from pymc_lan.models.diffusion.solved_labels import solve

    found = solve(spec, theta, tolerance=np.inf)
    # Sets without any solution are left out of what is found.
    numbers = {tuple(each): i for i, each in enumerate(np.column_stack(list(theta.values())))}
    sets = [numbers[tuple(each)] for each in np.column_stack([found.theta[name] for name in theta])]
    begin = np.broadcast_to(earliest(spec, found.theta), len(sets))
    for row, (number, times) in enumerate(zip(sets, found.times, strict=True)):
        mine = trials[number]
        seen = np.isfinite(d[mine])
        for code, log_f in ((1.0, found.log_upper[row]), (-1.0, found.log_lower[row])):
            known = np.isfinite(log_f)
            wanted = mine[seen & (response[mine] == code) & (d[mine] > begin[row])]
            if wanted.size:
                # Times the time since the onset, so that it is finite there.
                since = times[known] - begin[row]
                spline = CubicSpline(np.log(since), since * log_f[known], extrapolate=False)
                result[wanted] = spline(np.log(d[wanted] - begin[row])) / (d[wanted] - begin[row])
        unseen = mine[~seen]
        if horizon is not None and unseen.size:
            rest = 1 - np.interp(horizon[unseen], times, found.mass_upper[row], left=0.0)
            result[unseen] = np.log(np.where(rest > SMALLEST, rest, np.nan))
