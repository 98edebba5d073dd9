"""Errors of networks at the ends and in the corners of their boxes, where cards do not look.

    python benchmarks/corners.py [--models levy weibull@2.0 ...] [--sets 25] [--trials 25000] [--seed 1] [--write]

25 parameter sets are uniform over the bounds, 25 have half of their parameters within 4 % of an end of their bounds, 25
all of them; a start z is between 0.01 and 0.99. The mass is the integral of the network's density over decision times
and choices; what it should be is the probability that the trial is ever decided. Choice probabilities are compared with
the labels', or with simulated trials, whose chance error has a standard deviation of at most 0.0032 at 25,000 trials.
Of diffusions a second table has the errors of log f after the first millisecond, where the density is above 1e-4, and
of log P(press), log P(no press) and log P(neither boundary) by deadlines, where the probability is above 1e-4.
``--write`` puts the figures where `pl.list_models` and `pymc-lan info` find them. Ten minutes on one core; a diffusion
by functions that is not in the list takes two to four.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
from _common import ROOT, argument_parser, print_table, report
from numpy.typing import NDArray

import pymc_lan as pl
from pymc_lan.models.diffusion.kinds import Diffusion
from pymc_lan.models.diffusion.solved_labels import SolvedLabels
from pymc_lan.models.model import Model, require_views, seen
from pymc_lan.models.race.reflected_solver import at_times, solve_accumulators
from pymc_lan.networks.config import rounded
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.registry.load import load_network

Float = NDArray[np.float64]

MODELS = (
    *("levy", "lca_3", "race_3", "race_4", "race_no_bias_angle_3", "race_no_bias_angle_4"),
    *("ddm", "ddm_extended", "ddm_sdv", "ddm_st", "full_ddm", "angle", "weibull", "exponential_collapse"),
    *("hyperbolic_collapse", "ornstein"),
)
# How near the end of its bounds a parameter is, as a share of them, and how many of the parameters are.
NEAR = 0.04
# Where a start that lies on a boundary is not looked at, and the density and probability from which logs are.
START, SMALLEST = (0.01, 0.99), 1e-4
# Decision times that no clock of an experiment tells from 0 [s]: densities go on in a straight line there.
RESOLVED = 1e-3
# How many deadlines of each set.
DEADLINES = 40
# All these models have the shift t, which decides nothing.
SHIFT = {"t": 1.0}
KINDS = {"uniform": 0.0, "ends": 0.5, "corners": 1.0}
# Panels of a composite Gauss rule, decision times that it begins and ends with [s], and the share of the last second
# that it leaves out where boundaries meet.
PANELS, FIRST, LATEST, CLOSE = 40, 1e-8, 1e4, 1e-7
NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def draw_sets(spec: Model, rng: np.random.Generator, n: int, share: float) -> list[dict[str, float]]:
    """Sets of which a share of the parameters is near an end of its bounds; the shift is in the middle."""
    free = seen(spec)
    rows = []
    for _ in range(n):
        place = rng.random(len(free))
        near = rng.permutation(len(free)) < round(share * len(free))
        end = np.where(rng.random(len(free)) < 0.5, NEAR * rng.random(len(free)), 1 - NEAR * rng.random(len(free)))
        place = np.where(near, end, place)
        rows.append({p.name: p.bounds[0] + x * (p.bounds[1] - p.bounds[0]) for p, x in zip(free, place, strict=True)})
        if "z" in rows[-1]:
            rows[-1]["z"] = min(max(rows[-1]["z"], START[0]), START[1])
    return rows


def rule(spec: Model, theta: dict[str, float]) -> tuple[Float, Float]:
    """Decision times and weights of an integral over them."""
    last, first = LATEST, float(spec.earliest(theta))
    if spec.labels is not None:
        last = float(spec.labels.latest({name: np.array(x) for name, x in theta.items()})) - first
    edges = np.linspace(np.log(FIRST / last), np.log(1 / CLOSE), PANELS + 1)
    half = np.diff(edges) / 2
    even = ((edges[:-1] + half)[:, None] + half[:, None] * NODES).ravel()
    share = 1 / (1 + np.exp(-even))
    return first + last * share, last * share * (1 - share) * (half[:, None] * WEIGHTS).ravel()


def of_network(network: Network, theta: dict[str, float]) -> Float:
    """The network's probability of each choice."""
    d, weights = rule(network.spec, theta)
    every = {name: np.full_like(d, x) for name, x in (theta | SHIFT).items()}
    log_f = [
        network.likelihood.log_density(NUMPY, SHIFT["t"] + d, np.full_like(d, code), every)
        for code in network.spec.choices
    ]
    return np.exp(log_f) @ weights


def of_labels(spec: Model, theta: dict[str, float]) -> Float:
    """Probability of each choice of a race, from the solutions of its accumulators."""
    d, weights = rule(spec, theta)
    solved = [(mine, solve_accumulators(mine)) for mine in spec.split({k: np.array([x]) for k, x in theta.items()})]
    each = [at_times(found, mine, 0, d) for mine, found in solved]
    survivors = sum(log_survivor for _, log_survivor in each)
    return np.array([weights @ np.exp(log_f + survivors - log_survivor) for log_f, log_survivor in each])


def together(rows: list[dict[str, float]]) -> dict[str, Float]:
    """Sets as arrays: solvers take many at once."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


class Truth(NamedTuple):
    """What is known of diffusions: at points in time, by set, boundary (lower, upper) and time.

    Parameters
    ----------
    sets : dict of str to ndarray, shape (n,)
        Those that a solver has to the accuracy of labels.
    d, weights, left : ndarray, shape (n, points)
        Decision times, what each stands for, and the probability that nothing is decided by then.
    log_f, done : ndarray, shape (2, n, points)
        Log densities, and the probability of either boundary by then.
    """

    sets: dict[str, Float]
    d: Float
    weights: Float
    left: Float
    log_f: Float
    done: Float


def solved(spec: Model, rows: list[dict[str, float]]) -> Truth:
    """By the solver of the labels, or from the closed form."""
    sets = together(rows)
    if isinstance(spec.labels, SolvedLabels):
        found = spec.labels.solve(sets)
        both = found.mass_lower + found.mass_upper
        left = (both[:, -1:] - both).clip(0) + np.where(both[:, -1:] > 1 - 1e-3, 0.0, 1 - both[:, -1:])
        log_f, done = (found.log_lower, found.log_upper), (found.mass_lower, found.mass_upper)
        return Truth(found.theta, found.times, found.weight, left, np.stack(log_f), np.stack(done))
    d, weights = (np.stack(each) for each in zip(*(rule(spec, theta) for theta in rows), strict=True))
    which = np.repeat(np.arange(len(rows)), d.shape[1])
    logs = [spec.labels.at(sets, which, d.ravel(), np.full(d.size, float(x))).reshape(d.shape) for x in spec.choices]
    done = np.stack([np.cumsum(weights * np.exp(np.nan_to_num(x, nan=-np.inf)), axis=1) for x in logs])
    return Truth(sets, d, weights, 1 - done.sum(axis=0), np.stack(logs), done)


def of_density(network: Network, truth: Truth) -> dict[str, Float]:
    """Errors of log f, of log P(press), log P(no press) and log P(neither) of a diffusion, where they are not tiny."""
    spec, views, d = network.spec, require_views(network.spec), truth.d
    errors: dict[str, list[Float]] = {name: [] for name in ("log_f", "press", "no_press", "neither")}

    def note(name: str, found: Float, log_p: Float) -> None:
        errors[name].append(np.abs(found - log_p)[log_p > np.log(SMALLEST)])

    every = {name: np.broadcast_to(x[:, None], d.shape) for name, x in truth.sets.items()}
    shifted = every | {name: np.full(d.shape, x) for name, x in SHIFT.items()}
    for code, log_f in zip(spec.choices, truth.log_f, strict=True):
        found = network.likelihood.log_density(NUMPY, SHIFT["t"] + d, np.full(d.shape, float(code)), shifted)
        note("log_f", found, np.where(d - spec.earliest(shifted) > RESOLVED, log_f, -np.inf))
    some = slice(None, None, d.shape[1] // DEADLINES)
    every, horizon = {name: x[:, some] for name, x in every.items()}, d[:, some]
    with np.errstate(divide="ignore", invalid="ignore"):  # what the sums are off by may be below 0
        press, rest, left = (np.log(x[:, some]) for x in (truth.done[1], 1 - truth.done[1], truth.left))
    split = views.choice.log_split(NUMPY, network.choice, horizon, every)
    for name, found, log_p in zip(("press", "no_press"), split, (press, rest), strict=True):
        note(name, found, log_p)
    if network.survivor is not None:
        note("neither", views.survivor.log_split(NUMPY, network.survivor, horizon, every)[1], left)
    return {name: np.concatenate(each) for name, each in errors.items() if each}


def of_trials(spec: Model, theta: dict[str, float], n: int, seed: int) -> Float:
    """Probability of each choice, from simulated trials."""
    response = pl.simulate(spec, theta | SHIFT, n=n, seed=seed)["response"].to_numpy()
    return np.array([np.mean(response == code) for code in spec.choices])


def measure(network: Network, sets: int, trials: int, seed: int) -> dict[str, Any]:
    """Median and largest errors of mass and of the probability of a choice, for each kind of sets."""
    spec, found = network.spec, {}
    for number, (kind, share) in enumerate(KINDS.items()):
        rows = draw_sets(spec, np.random.default_rng([seed, number]), sets, share)
        known = solved(spec, rows) if isinstance(spec, Diffusion) else None
        if known is not None:
            rows = [dict(zip(known.sets, x, strict=True)) for x in zip(*known.sets.values(), strict=True)]
        p = np.array([of_network(network, theta) for theta in rows])
        if known is not None:
            truth = known.done[:, :, -1].T
        elif spec.labels is not None:
            truth = np.array([of_labels(spec, theta) for theta in rows])
        else:
            truth = np.array([of_trials(spec, theta, trials, seed + k) for k, theta in enumerate(rows)])
        mass, choice = np.abs(p.sum(axis=1) - truth.sum(axis=1)), np.abs(p - truth).max(axis=1)
        found[kind] = {
            name: {"median": rounded(np.median(x)), "max": rounded(x.max())}
            for name, x in (("mass", mass), ("choice", choice))
        }
        if known is not None:
            found[kind] |= {
                name: {"mean": rounded(x.mean()), "p99": rounded(np.quantile(x, 0.99)), "max": rounded(x.max())}
                for name, x in of_density(network, known).items()
            }
    return found


def main() -> None:
    """Measure and print."""
    parser = argument_parser(__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--sets", type=int, default=25, help="of each kind")
    parser.add_argument("--trials", type=int, default=25_000, help="simulated of each set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the figures into the package")
    args = parser.parse_args()
    path = ROOT / "pymc_lan" / "registry" / "corners.json"
    rows, fine, figures = [], [], {}
    for source in args.models:
        network = load_network(source)
        name, found = network.spec.name, measure(network, args.sets, args.trials, args.seed)
        listed = {kind: {what: found[kind][what] for what in ("mass", "choice")} for kind in KINDS}
        figures[name] = {"sha256": network.sha256, "sets": args.sets, **(listed if args.write else found)}
        if args.write:
            known = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps(dict(sorted((known | figures).items())), indent=1) + "\n")
        for kind in KINDS:
            cells = [found[kind][x][y] for x in ("mass", "choice") for y in ("median", "max")]
            rows.append([f"{name}, {kind}", *cells])
            print(rows[-1], flush=True)
            logs = [what for what in ("log_f", "press", "no_press", "neither") if what in found[kind]]
            fine += [[f"{name}, {kind}", what, *found[kind][what].values()] for what in logs]
    print_table("errors", ["sets", "mass, median", "largest", "P of a choice, median", "largest"], rows)
    print_table("errors of logs", ["sets", "of", "mean", "p99", "largest"], fine)
    report({"corners": figures}, args.json)


if __name__ == "__main__":
    main()
