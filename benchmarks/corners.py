"""Mass and choice probabilities of networks at the ends and in the corners of their boxes, where cards do not look.

    python benchmarks/corners.py [--models levy lca_3 ...] [--sets 25] [--trials 25000] [--seed 1] [--write]

25 parameter sets are uniform over the bounds, 25 have half of their parameters within 4 % of an end of their bounds, 25
all of them. The mass is the integral of the network's density over decision times and choices; what it should be is the
probability that the trial is ever decided. Choice probabilities are compared with the labels' (races of reflected
accumulators) or with simulated trials, whose chance error has a standard deviation of at most 0.0032 at 25,000 trials.
``--write`` puts the figures where `pl.list_models` and `pymc-lan info` find them. Five minutes on one core.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from _common import ROOT, argument_parser, print_table, report
from numpy.typing import NDArray

import pymc_lan as pl
from pymc_lan.models.model import Model, seen
from pymc_lan.models.race.reflected_solver import at_times, solve_accumulators
from pymc_lan.networks.config import rounded
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.registry.load import load_network

Float = NDArray[np.float64]

MODELS = ("levy", "lca_3", "race_3", "race_4", "race_no_bias_angle_3", "race_no_bias_angle_4")
# How near the end of its bounds a parameter is, as a share of them, and how many of the parameters are.
NEAR = 0.04
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
    return rows


def rule(spec: Model, theta: dict[str, float]) -> tuple[Float, Float]:
    """Decision times and weights of an integral over them."""
    last = LATEST
    if spec.labels is not None:
        last = float(spec.labels.latest({name: np.array(x) for name, x in theta.items()}))
    edges = np.linspace(np.log(FIRST / last), np.log(1 / CLOSE), PANELS + 1)
    half = np.diff(edges) / 2
    even = ((edges[:-1] + half)[:, None] + half[:, None] * NODES).ravel()
    share = 1 / (1 + np.exp(-even))
    return last * share, last * share * (1 - share) * (half[:, None] * WEIGHTS).ravel()


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


def of_trials(spec: Model, theta: dict[str, float], n: int, seed: int) -> Float:
    """Probability of each choice, from simulated trials."""
    response = pl.simulate(spec, theta | SHIFT, n=n, seed=seed)["response"].to_numpy()
    return np.array([np.mean(response == code) for code in spec.choices])


def measure(network: Network, sets: int, trials: int, seed: int) -> dict[str, Any]:
    """Median and largest errors of mass and of the probability of a choice, for each kind of sets."""
    spec, found = network.spec, {}
    for number, (kind, share) in enumerate(KINDS.items()):
        rows = draw_sets(spec, np.random.default_rng([seed, number]), sets, share)
        p = np.array([of_network(network, theta) for theta in rows])
        if spec.labels is not None:
            truth = np.array([of_labels(spec, theta) for theta in rows])
        else:
            truth = np.array([of_trials(spec, theta, trials, seed + k) for k, theta in enumerate(rows)])
        mass, choice = np.abs(p.sum(axis=1) - truth.sum(axis=1)), np.abs(p - truth).max(axis=1)
        found[kind] = {
            name: {"median": rounded(np.median(x)), "max": rounded(x.max())}
            for name, x in (("mass", mass), ("choice", choice))
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
    rows, figures = [], {}
    for name in args.models:
        network = load_network(name)
        found = measure(network, args.sets, args.trials, args.seed)
        figures[name] = {"sha256": network.sha256, "sets": args.sets, **found}
        if args.write:
            known = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps(dict(sorted((known | figures).items())), indent=1) + "\n")
        for kind in KINDS:
            cells = [found[kind][x][y] for x in ("mass", "choice") for y in ("median", "max")]
            rows.append([f"{name}, {kind}", *cells])
            print(rows[-1], flush=True)
    print_table("errors", ["sets", "mass, median", "largest", "P of a choice, median", "largest"], rows)
    report({"corners": figures}, args.json)


if __name__ == "__main__":
    main()
