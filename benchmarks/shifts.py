"""What errors of a network's mass do to posteriors: how far they move the means of fits of simulated subjects.

    python benchmarks/shifts.py [--models gamma_drift conflict_ds] [--registry FOLDER] [--subjects 30] [--json FILE]

A density whose mass Z depends on the parameters acts like a prior of log Z, once for each trial. Where trials leave a
ridge, along which the likelihood hardly changes, small slopes of log Z add up. With F the information of a trial, n
trials and a prior of precision P the posterior mean moves by ``(n F + P)^-1 n grad log Z``, to first order: here in
standard deviations of the posterior. What the network gets wrong at given mass averages out over trials by a factor of
``1 / sqrt(n)``, and is not looked at.

Subjects, priors and experiments are those of ``recovery.py``, with another seed.
"""

from __future__ import annotations

import numpy as np
from _common import Json, add_registry_option, argument_parser, print_table, report, trained
from numpy.typing import NDArray
from recovery import draw_subject, estimated, of_trials

import pymc_lan as pl
from pymc_lan.models.model import require_labels
from pymc_lan.networks.accuracy.accuracy import masses
from pymc_lan.networks.network import Network

Float = NDArray[np.float64]

# Trials of the fit, and those from which the information of one is estimated.
TRIALS, SEEN = 1_000, 2_000
# Central differences over this share of each parameter's range.
STEP = 1e-3
# Variance of a uniform prior over a range of one.
UNIFORM = 1 / 12
SEED = 5


def shift(network: Network, rng: np.random.Generator) -> Float:
    """Shift of the posterior mean of each parameter of one subject, in standard deviations."""
    spec = network.spec
    truth, observed = draw_subject(spec, rng, SEEN)
    moved = []
    for p in estimated(spec):
        step = STEP * (p.bounds[1] - p.bounds[0])
        moved += [truth | {p.name: truth[p.name] + step}, truth | {p.name: truth[p.name] - step}]

    def slopes(x: Float) -> Float:
        return (x[::2] - x[1::2]) / (2 * STEP)

    log_f = [network.logpdf(*observed.T, **of_trials(spec, each, SEEN)) for each in moved]
    scores = slopes(np.stack(log_f))
    # Two trials stand for the conditions.
    both = [{name: np.broadcast_to(x, 2) for name, x in of_trials(spec, each, 2).items()} for each in moved]
    columns = {name: np.concatenate([each[name] for each in both]) for name in spec.names}
    log_mass = np.log(masses(network, require_labels(spec), columns)).reshape(-1, 2).mean(axis=1)
    covariance = np.linalg.inv(TRIALS * scores @ scores.T / SEEN + np.eye(len(scores)) / UNIFORM)
    return covariance @ (TRIALS * slopes(log_mass)) / np.sqrt(np.diag(covariance))


def measure(network: Network, subjects: int) -> Json:
    """Summarise the shifts of some subjects."""
    rng = np.random.default_rng(SEED)
    size = np.abs([shift(network, rng) for _ in range(subjects)])
    return {
        "model": network.spec.name,
        "version": network.version,
        "rms": float(np.sqrt((size**2).mean())),
        "largest of a subject, median": float(np.median(size.max(axis=1))),
        "above 0.5": float((size > 0.5).mean()),
        "largest": float(size.max()),
    }


def main() -> None:
    parser = argument_parser(__doc__)
    add_registry_option(parser)
    parser.add_argument("--models", nargs="+", default=["angle", "gamma_drift", "conflict_ds"])
    parser.add_argument("--subjects", type=int, default=30)
    arguments = parser.parse_args()
    folders = trained(arguments.registry)
    rows = [measure(pl.load_network(folders[model]), arguments.subjects) for model in arguments.models]
    title = f"Shift of posterior means by the mass of the network, {TRIALS:,} trials, in posterior standard deviations"
    print_table(title, list(rows[0]), [tuple(row.values()) for row in rows])
    report({"shifts": rows}, arguments.json)


if __name__ == "__main__":
    main()
