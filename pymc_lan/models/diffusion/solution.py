"""Solved densities of many parameter sets, on grids of decision times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Points of the grid of times that solutions are handed out on.
N_GRID = 400


@dataclass(frozen=True, slots=True)
class Report:
    """What `solve` did.

    Parameters
    ----------
    n : int
        Number of parameter sets.
    refined : dict of int to int
        How many were done with each number of steps in time.
    dropped : int
        How many were not accurate enough with the most.
    worst : float
        The largest error estimate among those that were; 0 if there are none.
    """

    n: int
    refined: dict[int, int]
    dropped: int
    worst: float

    @property
    def share_dropped(self) -> float:
        """`dropped` over `n`."""
        return self.dropped / self.n


@dataclass(frozen=True, slots=True)
class Solution:
    """Densities on a grid of decision times, one row per parameter set.

    Parameters
    ----------
    theta : dict of str to ndarray, shape (n,)
        The parameter sets whose solution is accurate enough.
    times, log_upper, log_lower : ndarray, shape (n, N_GRID)
        Without time 0.
    mass_upper, mass_lower : ndarray, shape (n, N_GRID)
        Distribution functions.
    weight : ndarray, shape (n, N_GRID)
        Seconds that a grid point stands for.
    report : Report
        Of the parameter sets that were asked for.
    """

    theta: dict[str, Float]
    times: Float
    log_upper: Float
    log_lower: Float
    mass_upper: Float
    mass_lower: Float
    weight: Float
    report: Report


def joined(parts: Sequence[Solution]) -> Solution:
    """One solution of the parameter sets of several."""
    reports = [each.report for each in parts]
    report = Report(
        sum(each.n for each in reports),
        {steps: sum(each.refined.get(steps, 0) for each in reports) for steps in reports[0].refined},
        sum(each.dropped for each in reports),
        max(each.worst for each in reports),
    )
    theta = {name: np.concatenate([each.theta[name] for each in parts]) for name in parts[0].theta}
    arrays = ("times", "log_upper", "log_lower", "mass_upper", "mass_lower", "weight")
    rows = {name: np.concatenate([getattr(each, name) for each in parts]) for name in arrays}
    return Solution(theta, report=report, **rows)


def kept(
    theta: Mapping[str, Float], result: Float, error: Float, tolerance: float, refined: dict[int, int]
) -> Solution:
    """A solution of the sets whose estimated error is small enough, from six arrays of all."""
    good = error < tolerance
    report = Report(error.size, refined, int((~good).sum()), float(error[good].max(initial=0.0)))
    times, log_upper, log_lower, mass_upper, mass_lower, weight = result[:, good]
    found = {name: x[good] for name, x in theta.items()}
    return Solution(found, times, log_upper, log_lower, mass_upper, mass_lower, weight, report)
