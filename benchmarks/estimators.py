"""Which way of learning from simulations comes nearest to the truth: kernel labels, maximum likelihood, exact labels.

The DDM and the model with linearly collapsing boundaries are known to the networks by simulated trials alone, but for
`exact`: there the labels are those of the closed form, at the points at which `kde` would have estimated them. All else
is the same: the files of simulations, the network and what it sees, the number of optimiser steps, the held-out sets
that choose the weights. A budget is a number of simulated trials, gone through as often as the steps need. Kernel
estimates are tried with few trials of many parameter sets and with many of few.

    python benchmarks/estimators.py --json estimators.json
    python benchmarks/estimators.py --quick                 # only shows that it runs
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from typing import Any

import numpy as np
from _common import Json, argument_parser, print_table, report
from from_simulations import N_MEASURED, SIMULATORS, measure, simulated

import pymc_lan as pl
from pymc_lan.models.diffusion.closed_labels import log_densities
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.training.recipes import KDE, LIKELIHOOD, SimulationRecipe
from pymc_lan.training.simulated.loop import fit_from_simulations
from pymc_lan.training.simulated.offline import Offline

EXACT = "exact"
# Trials of each parameter set.
TRIALS = {KDE: (256, 2048), LIKELIHOOD: (256,), EXACT: (256,)}
BUDGETS, STEPS = (1_000_000, 10_000_000), 20_000
QUICK: Json = {"budgets": [20_000], "trials": [256], "steps": 40, "measured": 2_000, "hidden": [8]}
CHUNKS = 20
COLUMNS = ("model", "labels", "trials", "of each set", "mean", "p99", "CPU s")


class Exact(Offline):
    """The points of kernel labels, with labels of the closed form."""

    def __init__(self, truth: pl.ModelSpec, *args: Any) -> None:
        super().__init__(*args, estimator=KDE)
        self.truth = truth

    def chunk(self, number: int, focus: Any = None) -> Any:
        found = super().chunk(number, focus)
        columns = dict(zip(self.spec.names, found.theta.astype(np.float64).T, strict=True))
        theta, d = {name: x for name, x in columns.items() if name != "t"}, np.exp(found.log_d.astype(np.float64))
        latest = np.broadcast_to(self.truth.labels.latest(theta), len(d))[:, None]
        late = d >= latest
        lower_upper = log_densities(self.truth.form, theta, np.where(late, latest / 2, d))[::-1]
        label = np.where(late, -np.inf, np.choose(found.choice, lower_upper)) + found.log_d
        # As for kernels, no label is lower than what the trials can tell.
        lowest = found.label.min(axis=1, keepdims=True)
        return found._replace(label=np.maximum(label, lowest).astype(np.float32), at_most=label <= lowest)


def row(
    model: str, spec: pl.ModelSpec, kind: str, files: str, recipe: SimulationRecipe, seed: int, n_measured: int
) -> Json:
    """Train one network from files, and measure it."""
    truth, started = pl.get_model(model), time.process_time()
    given = (spec, files, recipe.sets, recipe.held_out, seed)
    source = Exact(truth, *given) if kind == EXACT else Offline(*given, estimator=recipe.estimator)
    fitted = fit_from_simulations(spec, recipe, source, seed=seed)
    cpu = time.process_time() - started
    error = measure(truth, Likelihood(fitted.spec, fitted.lan), n_measured)
    return {"model": model, "labels": kind, "cpu": cpu, "best_chunk": fitted.best + 1, "error": error}


def cells(found: Json) -> tuple[object, ...]:
    """What the table shows of a row."""
    counts = (f"{found['budget']:,}", f"{found['trials']:,}")
    errors = (f"{found['error'][name]:.3g}" for name in ("mean", "p99"))
    return found["model"], found["labels"], *counts, *errors, round(found["cpu"])


def parse() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--models", nargs="+", choices=SIMULATORS, default=[*SIMULATORS])
    parser.add_argument("--estimators", nargs="+", choices=TRIALS, default=[*TRIALS])
    parser.add_argument("--budgets", nargs="+", type=lambda x: int(float(x)), default=[*BUDGETS], help="1e6 1e7")
    parser.add_argument("--trials", nargs="+", type=int, help="of each parameter set, for all estimators")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the optimiser, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    parser.set_defaults(measured=N_MEASURED, hidden=list(SimulationRecipe().hidden))
    args = parser.parse_args()
    if args.quick:
        vars(args).update(QUICK)
    return args


def main() -> None:
    args = parse()
    plain = SimulationRecipe(hidden=tuple(args.hidden), chunks=CHUNKS)
    passes = max(round(args.steps * plain.batch / (CHUNKS * plain.sets)), 1)
    # Few steps, as --quick has, are those of smaller chunks.
    sets = min(plain.sets, max(args.steps * plain.batch // CHUNKS, plain.batch))
    plain = replace(plain, passes=passes, sets=sets)
    rows: list[Json] = []
    for model in args.models:
        spec = simulated(model)
        for budget in args.budgets:
            for trials in sorted({n for kind in args.estimators for n in args.trials or TRIALS[kind]}):
                with tempfile.TemporaryDirectory() as folder:
                    pl.simulate_to(spec, folder, sets=budget // trials, trials=trials, seed=args.seed)
                    for kind in args.estimators:
                        if trials in (args.trials or TRIALS[kind]):
                            recipe = replace(plain, estimator=LIKELIHOOD if kind == LIKELIHOOD else KDE)
                            found = row(model, spec, kind, folder, recipe, args.seed, args.measured)
                            rows.append(found | {"budget": budget, "trials": trials})
                            print(*cells(rows[-1]), flush=True)
    steps = CHUNKS * plain.chunk_steps
    print_table(f"abs error of log f, nats, after {steps:,} steps; seed {args.seed}", COLUMNS, map(cells, rows))
    report({"steps": steps, "seed": args.seed, "rows": rows}, args.json)


if __name__ == "__main__":
    main()
