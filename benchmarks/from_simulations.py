"""How near to the truth a network comes that has seen nothing but simulated trials.

The models have exact labels, which only the measurement sees: parameters uniform over the bounds, one trial each, 5 ms
< rt - t and rt < 20 s, error = log f(network) - log f(exact). The training is `pl.train`'s for a simulator; with
--checkpoints it can be stopped and started again.

    python benchmarks/from_simulations.py --model ddm --checkpoints runs
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from _common import argument_parser, print_table, report

import pymc_lan as pl
from pymc_lan.models.diffusion.closed_labels import draw_decisions
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.proposals import draw_theta
from pymc_lan.models.simulator.claims import check_shift, check_symmetry
from pymc_lan.numerics.samplers.wiener import ddm_draws
from pymc_lan.training.recipes import SimulationRecipe
from pymc_lan.training.simulated.loop import fit_from_simulations
from pymc_lan.training.simulated.online import Online

BAR = {"mean": 0.01, "p99": 0.06}
N_MEASURED = 60_000


def ddm(theta: Any, rng: np.random.Generator) -> Any:
    """Exact draws of the drift diffusion model."""
    v, a, z, t = theta.T
    d, response = ddm_draws(rng, v, a, z)
    return t + np.maximum(d, 1e-9), response


def angle(theta: Any, rng: np.random.Generator) -> Any:
    """Draws of the model with boundaries that fall in a straight line; one that never decides is very late."""
    v, a, z, t, slope = theta.T
    d, response = draw_decisions(pl.get_model("angle").form, rng, {"v": v, "a": a, "z": z, "theta": slope})
    return t + np.where(np.isfinite(d), d, 1e3), np.where(np.isfinite(d), response, 1)


SIMULATORS = {"ddm": ddm, "angle": angle}
# Drift and bias of the other sign are the same model with the choices in each other's place.
MIRROR = ("v", "z")


def simulated(model: str, mirror: Sequence[str] = MIRROR) -> pl.ModelSpec:
    """Return a model with labels as one that is known by its simulator alone, checked."""
    parameters = pl.get_model(model).parameters
    spec = pl.simulator_spec(f"simulated_{model}", SIMULATORS[model], parameters, shift="t", mirror=mirror)
    check_shift(spec)
    check_symmetry(spec)
    return spec


def measure(truth: pl.ModelSpec, likelihood: Likelihood, n: int = N_MEASURED) -> dict[str, float]:
    """Return the errors of a likelihood against the labels of a model."""
    rng = np.random.default_rng(1)
    trials = truth.labels.model_trials(rng, n)
    t = draw_theta(truth, rng, trials.d.size, with_t=True)["t"]
    kept = (trials.d > 5e-3) & (t + trials.d < 20)
    theta = {name: x[kept] for name, x in (trials.theta | {"t": t}).items()}
    found = likelihood.log_density(np, (t + trials.d)[kept], trials.response[kept], theta)
    error = found - trials.label[kept]
    size = np.abs(error)
    quantiles = {f"p{q}": float(np.quantile(size, q / 100)) for q in (50, 95, 99)}
    return {"mean": float(size.mean()), **quantiles, "max": float(size.max()), "bias": float(-error.mean())}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", choices=SIMULATORS, default="ddm")
    parser.add_argument("--checkpoints", type=Path, help="save the run's state here and go on from it")
    parser.add_argument("--no-mirror", action="store_true", help="learn both choices apart")
    for name in ("chunks", "sets", "trials", "passes", "batch", "seed"):
        parser.add_argument(f"--{name}", type=int)
    args = parser.parse_args()
    given = {name: getattr(args, name) for name in ("chunks", "sets", "trials", "passes", "batch")}
    recipe = replace(SimulationRecipe(), **{name: x for name, x in given.items() if x})
    truth, seed = pl.get_model(args.model), args.seed or 0
    spec = simulated(args.model, () if args.no_mirror else MIRROR)
    wall, cpu = time.perf_counter(), time.process_time()
    source = Online(spec, recipe.sets, recipe.trials, seed)
    fitted = fit_from_simulations(spec, recipe, source, seed=seed, checkpoints=args.checkpoints)
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    found = measure(truth, Likelihood(fitted.spec, fitted.lan))
    trials = len(fitted.history) * recipe.sets * recipe.trials
    rows = [(name, value, BAR.get(name, "")) for name, value in found.items()]
    print_table(
        f"{args.model}: abs error of log f after {trials:,} simulated trials, "
        f"{seconds['cpu']:.0f} s of CPU time in {seconds['wall']:.0f} s (of this start)",
        ("quantity", "nats", "at most"),
        rows,
    )
    report({"recipe": asdict(recipe), "trials": trials, "seconds": seconds, "error": found}, args.json)


if __name__ == "__main__":
    main()
