"""Do trials agree with the likelihood that is to fit them: scores at the true parameters, of hundreds of subjects.

    python benchmarks/scores.py [--models ddm_sdv angle weibull] [--subjects 400] [--json FILE] [--quick]

Where trials come from the density that is differentiated, the score, the gradient of a subject's log likelihood at the
true parameters, has mean 0 and the information as its covariance (Bartlett 1953, Biometrika 40, 12-19), which other
trials of the same parameters tell. One step of Fisher scoring from the truth, with the curvature of the prior added to
the information, is to first order how far the posterior's mean is from the truth; divided by its standard deviation it
should be within 1.645 for 90 % of the subjects, and as often too high as too low. No posterior is needed, so this sees
with hundreds of subjects what `recovery.py`, whose designs these are, can only guess from 30: errors of the simulator
or the network that bias an estimate or make it vary more than it says. It does not see what is not quadratic: bounds,
ridges and modes.

``within`` is the share of subjects within 1.645, with the exact binomial interval of that share at 95 %; ``above`` the
share of estimates above the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from _common import Json, add_registry_option, argument_parser, print_table, report, trained
from numpy.typing import NDArray
from recovery import draw_subject, estimated, of_trials, share

import pymc_lan as pl
from pymc_lan.models.model import Model
from pymc_lan.models.proposals import LONGEST
from pymc_lan.networks.network import Network

Float = NDArray[np.float64]

# Other subjects than those of the recovery.
SEED = 12
# Of a standard normal variable 90 % is between these.
WITHIN = 1.645
# Of a uniform prior over a range of 1.
PRIOR_PRECISION = 12.0
# Trials that tell the information of a subject's own, for each of these. Scores have long tails: from the same trials,
# information and score would be large or small together.
OTHERS = 20


def compiled(network: Network) -> Callable[..., list[Float]]:
    """The derivative of each trial's log density by each of its parameters, from trials and parameters of each."""
    columns = {name: pt.dvector(name) for name in network.spec.names}
    observed = pt.dmatrix("observed")
    logp = pm.logp(pl.LANDist.dist(network, *columns.values()), observed)
    wanted = [columns[p.name] for p in estimated(network.spec)]
    return pytensor.function([observed, *columns.values()], pt.grad(logp.sum(), wanted), mode="NUMBA")


def deviations(network: Network, subjects: int, trials: int) -> Float:
    """How far one step goes from the truth, in its standard deviations: a row for each subject."""
    spec, rng, slopes = network.spec, np.random.default_rng(SEED), compiled(network)
    rows = []
    while len(rows) < subjects:
        truth, observed = draw_subject(spec, rng, trials)
        n = OTHERS * trials
        others = pl.simulate(spec, of_trials(spec, truth, n), n=n, seed=int(rng.integers(2**31)))
        if others["rt"].max() >= LONGEST:
            continue  # draw_subject lets no such trial through either
        own, apart = (scores(spec, slopes, truth, x) for x in (observed, others[["rt", "response"]].to_numpy(float)))
        information = apart.T @ apart / OTHERS
        covariance = np.linalg.inv(information + PRIOR_PRECISION * np.eye(own.shape[1]))
        step = covariance @ own.sum(axis=0)
        rows.append(step / np.sqrt(np.diag(covariance @ information @ covariance)))
    return np.array(rows)


def scores(spec: Model, slopes: Callable[..., list[Float]], truth: dict[str, float], observed: Float) -> Float:
    """The derivative of each trial's log density by the subject's parameters, these in units of their range."""
    free = estimated(spec)
    of_each = of_trials(spec, truth, len(observed))
    theta = {name: np.broadcast_to(x, len(observed)).astype(float) for name, x in of_each.items()}
    found = np.column_stack(slopes(observed, *theta.values()))
    for i, p in enumerate(free):
        # What a trial has is the subject's parameter, or that with its sign changed.
        found[:, i] *= (p.bounds[1] - p.bounds[0]) * np.where(np.isclose(theta[p.name], truth[p.name]), 1, -1)
    return found


def summarise(network: Network, subjects: int, trials: int) -> Json:
    """Summarise each parameter over subjects."""
    found = deviations(network, subjects, trials)
    names = [p.name for p in estimated(network.spec)]
    return {
        "model": network.spec.name,
        "version": network.version,
        "subjects": subjects,
        "trials": trials,
        "parameters": {
            name: {"within": share(list(np.abs(z) < WITHIN)), "above": share(list(z > 0))}
            for name, z in zip(names, found.T, strict=True)
        },
    }


def print_scores(measured: list[Json]) -> None:
    """Print one line for each parameter of each model."""

    def told(each: Any) -> str:
        return f"{each['share']:.1%} ({each['low']:.1%} to {each['high']:.1%})"

    rows = [
        (f"{model['model']} {model['version']}", name, *(told(each[key]) for key in ("within", "above")))
        for model in measured
        for name, each in model["parameters"].items()
    ]
    off = sum(
        not each["within"]["low"] <= 0.9 <= each["within"]["high"]
        for model in measured
        for each in model["parameters"].values()
    )
    title = f"{measured[0]['subjects']} subjects of {measured[0]['trials']:,} trials; {off} of {len(rows)} exclude 90 %"
    print_table(title, ["", "parameter", "within", "above"], rows)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--models", nargs="+", help="default: all of the recovery")
    parser.add_argument("--subjects", type=int, default=400)
    parser.add_argument("--trials", type=int, default=1_000, help="trials of each subject")
    parser.add_argument("--quick", action="store_true", help="20 subjects of 200 trials: only to see that it runs")
    add_registry_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.subjects, arguments.trials = 20, 200
    folders = trained(arguments.registry)
    measured = [
        summarise(pl.load_network(folders[model]), arguments.subjects, arguments.trials)
        for model in arguments.models or folders
    ]
    print_scores(measured)
    report({"scores": measured}, arguments.json)


if __name__ == "__main__":
    main()
