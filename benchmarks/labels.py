"""How accurate are the labels: error estimates of solved densities, and what they are worth.

    python benchmarks/labels.py [--models weibull ...] [--sets 1000] [--json FILE]

Parameters are uniform over the bounds. The first column is the share of parameter sets whose estimated error of log f,
where f > 1e-5, is below 1e-4; the rest is left out of training, and the card says how much that is. By Volterra's
equations, the first `CHECKED` of the accurate ones are solved once more with twice the steps of the finest grid, and
``change`` is what that changes in log f there: the estimate is to cover it.
"""

from __future__ import annotations

import time

import numpy as np
from _common import Json, argument_parser, print_table, report
from scipy.interpolate import CubicSpline

import pymc_lan as pl
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.diffusion.mixture_labels import RELEVANT
from pymc_lan.models.diffusion.solution import Solution
from pymc_lan.models.diffusion.solver import STEPS, TOLERANCE, solve
from pymc_lan.models.proposals import draw_theta

SEED, CHECKED = 20_261_121, 100
# Fewer points of a density are no curve.
LEAST_POINTS = 4


def change(spec: pl.ModelSpec, found: Solution) -> float:
    """The largest change of a relevant log density on a grid twice as fine as the finest."""
    some = {name: x[:CHECKED] for name, x in found.theta.items()}
    finer = solve(spec, some, tolerance=np.inf, grids=(2 * STEPS[-1],))
    largest = 0.0
    for row in range(len(finer.times)):
        for ours, theirs in ((found.log_upper, finer.log_upper), (found.log_lower, finer.log_lower)):
            known = np.isfinite(theirs[row])
            if known.sum() < LEAST_POINTS:
                continue
            # Grids of other steps lie next to each other, not on each other.
            spline = CubicSpline(np.log(finer.times[row, known]), theirs[row, known])
            moved = spline(np.log(found.times[row, known]))
            relevant = (moved > RELEVANT) & np.isfinite(ours[row, known])
            largest = max(largest, float(np.abs(ours[row, known] - moved)[relevant].max(initial=0.0)))
    return largest


def measured(spec: pl.ModelSpec, sets: int) -> Json:
    """Figures of a model's labels."""
    theta = draw_theta(spec, np.random.default_rng(SEED), sets)
    start = time.perf_counter()
    found = spec.labels.solve(theta)
    seconds = time.perf_counter() - start
    return {
        "accurate": 1 - found.report.share_dropped,
        "worst": found.report.worst,
        "by steps": ", ".join(f"{steps}: {n}" for steps, n in found.report.refined.items()),
        "change": None if spec.labels.pointwise else change(spec, found),
        "ms": 1e3 * seconds / sets,
    }


def main() -> None:
    parser = argument_parser(__doc__)
    solved = [name for name, spec in MODELS.items() if spec.labels is not None and spec.exact is None]
    parser.add_argument("--models", nargs="+", default=solved, choices=solved)
    parser.add_argument("--sets", type=int, default=1_000, help="parameter sets of each model")
    options = parser.parse_args()
    rows = {name: measured(pl.get_model(name), options.sets) for name in options.models}
    columns = ("model", f"share below {TOLERANCE:g}", "largest of these", "sets by steps", "change", "ms a set")
    cells = [(name, *("" if x is None else x for x in row.values())) for name, row in rows.items()]
    print_table(f"Estimated error of log f, {options.sets:,} parameter sets of each model", columns, cells)
    report({"labels": rows}, options.json)


if __name__ == "__main__":
    main()
