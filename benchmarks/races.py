"""How near races of reflected accumulators come to their labels, and to simulated trials.

Labels are fresh solutions of each accumulator's Volterra equation, as `pymc-lan evaluate` measures them. Simulated
trials, of `pl.simulate`, share nothing with them but the model's definition: their shares in bins of choice and time
against the network's, as a Kullback-Leibler divergence in nats, less what chance alone brings.

    python benchmarks/races.py --sets 10 --trials 20000
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _common import argument_parser, print_table, report

import pymc_lan as pl
from pymc_lan.models.proposals import draw_theta

MODELS = ("race_3", "race_4", "race_no_bias_angle_3", "race_no_bias_angle_4")
BINS = 20
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def divergence(network: Any, theta: dict[str, float], trials: Any) -> float:
    """Of the simulated shares from the network's, over quantiles of time for each choice, beyond chance."""
    observed, expected = [], []
    for code in network.spec.choices:
        rt = np.sort(trials["rt"][trials["response"] == code].to_numpy())
        if rt.size < 10 * BINS:
            continue
        edges = np.quantile(rt, np.linspace(0, 1, BINS + 1)[1:-1])
        half = np.diff(edges)[:, None] / 2
        points = edges[:-1, None] + half * (1 + NODES)
        density = np.exp(network.logpdf(points, code, **theta))
        expected += [*(density * half * WEIGHTS).sum(axis=1)]
        observed += [*(np.histogram(rt, edges)[0] / len(trials))]
    p, q = (np.append(x, 1 - np.sum(x)) for x in (observed, expected))
    return float((p * np.log(p / q)).sum() - (p.size - 1) / (2 * len(trials)))


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--labels", type=int, default=16_000, help="trials that are compared with labels")
    parser.add_argument("--sets", type=int, default=50, help="parameter sets that are simulated")
    parser.add_argument("--trials", type=int, default=100_000, help="trials of each")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    rows, figures = [], {}
    for model in MODELS:
        network, rng = pl.load_network(model), np.random.default_rng(args.seed)
        measured = pl.diagnostics.accuracy(network, n=args.labels, n_mass=50, seed=args.seed)
        sets = draw_theta(network.spec, rng, args.sets, with_t=True)
        found = []
        for row in range(args.sets):
            theta = {name: float(x[row]) for name, x in sets.items()}
            found.append(divergence(network, theta, pl.simulate(model, theta, n=args.trials, seed=row)))
        lan, mass = measured["lan"], measured["mass"]
        kl = {"median": float(np.median(found)), "max": float(np.max(found))}
        rows.append((model, lan["mean"], lan["p99"], mass["p99"], kl["median"], kl["max"]))
        figures[model] = {"labels": measured, "divergence": kl}
    columns = ("model", "mean abs error", "p99", "mass, p99 of abs(mass - 1)", "divergence, median", "largest")
    print_table(f"labels: {args.labels:,} trials; simulations: {args.sets} x {args.trials:,}", columns, rows)
    report(figures, args.json)


if __name__ == "__main__":
    main()
