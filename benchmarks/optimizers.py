"""What SOAP brings over Adam: both train the same network on the same trials.

    python benchmarks/optimizers.py [--model ddm] [--steps 20000] [--json FILE]

Adam is also given ten times the steps. Errors are those of cards: on trials of the model that nothing was trained on.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import optax
from _common import Json, argument_parser, print_table, report

import pymc_lan as pl
from pymc_lan.models.labels import Trials
from pymc_lan.networks.accuracy.accuracy import EARLIEST
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.training.labelled.fit import fit
from pymc_lan.training.labelled.tasks import Task, lan_task
from pymc_lan.training.recipes import Recipe, usual_recipes

# Of the trials that errors are measured on; recipes use small seeds.
SEED, N_MEASURED = 20_261_121, 60_000
MORE = 10


def measured(spec: pl.ModelSpec, task: Task, recipe: Recipe, trials: Trials) -> Json:
    """Seconds of the training and errors of what came of it."""
    start = time.perf_counter()
    network = Network(spec, fit(task, recipe, progress=False), None)
    seconds = time.perf_counter() - start
    theta = trials.theta | {"t": np.zeros_like(trials.d)}
    error = network.likelihood.log_density(NUMPY, trials.d, trials.response, theta) - trials.label
    error = np.abs(error[trials.d > EARLIEST])
    p99 = float(np.quantile(error, 0.99))
    return {"steps": recipe.steps, "seconds": seconds, "mean": float(error.mean()), "p99": p99}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", default="ddm")
    parser.add_argument("--steps", type=int, default=20_000)
    options = parser.parse_args()
    spec = pl.get_model(options.model)
    task, recipe = lan_task(spec), replace(usual_recipes(spec)[0], steps=options.steps)
    trials = spec.labels.model_trials(np.random.default_rng(SEED), N_MEASURED)
    longer = replace(recipe, steps=MORE * options.steps)
    adam = {"Adam": recipe, f"Adam, {MORE} x": longer}
    runs = {"SOAP": recipe} | {name: replace(each, optimizer=optax.adam) for name, each in adam.items()}
    rows = {name: measured(spec, task, some, trials) for name, some in runs.items()}
    print_table(
        f"The likelihood of {options.model}, {N_MEASURED} trials",
        ("optimiser", "steps", "seconds", "mean |e|", "p99"),
        [(name, *x.values()) for name, x in rows.items()],
    )
    report({"model": options.model, "optimizers": rows}, options.json)


if __name__ == "__main__":
    main()
