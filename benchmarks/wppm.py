"""The Wishart process: its mode against psyphy's optimiser, its posterior by NUTS, whether intervals hold the truth.

    python benchmarks/wppm.py FOLDER [--psyphy PYTHON] [--steps 1000] [--samples 500] [--studies 30] [--chains 4]
                                [--draws 600] [--placed-by-truth]

Trials are those of ``examples/wppm.py``: 4,000 of an observer whose field, of degree 5, is drawn from the prior. The
mode: psyphy (an interpreter that has it) runs its stochastic gradient descent from a draw of the prior, with the
settings of its script; `pl.fit_map` starts there too. Both points' log posteriors are measured by simulating the
percepts of each trial `PERCEPTS` times, by the rule of the task and without a network. A study is NUTS on another
truth; it says whether 90 % bands hold log determinant and orientation at 5 points. There comparisons are placed by
other fields of the prior: where they are placed by the truth, they tell what it is, of which a posterior knows nothing
(``--placed-by-truth`` shows what comes of it). What is in FOLDER is not done again, so that a run of hours can be
stopped.
"""

from __future__ import annotations

import json
import subprocess
import time
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pymc as pm
from _common import BENCHMARKS, argument_parser, print_table
from numpy.typing import NDArray

import pymc_lan as pl

# By its path, because this file has the same name.
SPEC: Any = spec_from_file_location("wppm_example", BENCHMARKS.parent / "examples" / "wppm.py")
example = module_from_spec(SPEC)
SPEC.loader.exec_module(example)

Float = NDArray[np.float64]

TRIALS, DEGREE = 4000, 5
VARIANCE, DECAY = 4e-3, 0.4
PROB, N_POINTS, N_R_HAT = 0.9, 5, 100
# Fields by which comparisons are placed, and the first one's seed.
N_GUESSES, GUESS = 40, 10_000
PERCEPTS = 20_000
BARS = {"r_hat": 1.01, "cpu_s": 600.0, "held": (0.84, 0.96)}


def draw_weights(seed: int) -> Float:
    """Weights from the prior, with NumPy."""
    shape = (DEGREE + 1, DEGREE + 1, 2, 3)
    sd = np.sqrt(VARIANCE * DECAY ** np.indices(shape[:2]).sum(axis=0))
    return np.random.default_rng(seed).normal(size=shape) * sd[..., None, None]


def any_field() -> Any:
    with pm.Model():
        return pl.wishart_field("W", DEGREE)


def log_posterior(field: Any, weights: Float, trials: Any, seed: int = 0) -> tuple[float, float]:
    """Log posterior of the weights by simulated percepts, up to a constant, and its standard error."""
    ref, comparison, correct = trials
    of_ref, of_comparison = field.draws(weights, ref), field.draws(weights, comparison)
    rng, right = np.random.default_rng(seed), np.empty(len(ref))
    metric = np.linalg.inv((2 * of_ref + of_comparison) / 3)
    roots = [np.linalg.cholesky(x) for x in (of_ref, of_comparison)]
    for i in range(len(ref)):
        z = rng.standard_normal((3, PERCEPTS, 2))
        percepts = [z[0] @ roots[0][i].T, z[1] @ roots[0][i].T, comparison[i] - ref[i] + z[2] @ roots[1][i].T]
        pairs = [percepts[a] - percepts[b] for a, b in ((0, 1), (0, 2), (1, 2))]
        same, *others = (np.einsum("ni,ij,nj->n", x, metric[i], x) for x in pairs)
        right[i] = np.mean(same < np.minimum(*others))
    p = np.clip(np.where(correct == 1, right, 1 - right), 0.5 / PERCEPTS, 1)
    total = np.indices(weights.shape[:2]).sum(axis=0)[..., None, None]
    prior = -0.5 * np.sum(weights**2 / (VARIANCE * DECAY**total))
    return float(np.log(p).sum() + prior), float(np.sqrt(np.sum((1 - p) / p / PERCEPTS)))


def modes(folder: Path, python: Path | None, steps: int, samples: int) -> None:
    """Both optimisers from one start."""
    field, truth, start = any_field(), draw_weights(1), draw_weights(42)
    trials = example.simulate(truth, field, TRIALS, 1)
    given, found = folder / "trials.npz", folder / "psyphy.npz"
    np.savez(given, ref=trials[0], comparison=trials[1], correct=trials[2], weights=start)
    if python is not None and not found.exists():
        worker = BENCHMARKS / "_psyphy_worker.py"
        command = [python, worker, given, found, "--steps", steps, "--samples", samples]
        subprocess.run([str(x) for x in command], check=True)
    model, _ = example.build(*trials, DEGREE)
    begin = time.process_time()
    fit = pl.fit_map(model, initvals={"W": start}, jacobian=False)
    rows = [("pl.fit_map, L-BFGS", len(fit.history), time.process_time() - begin, fit.point["W"])]
    if found.exists():
        theirs = np.load(found)
        n = len(theirs["loss"])
        rows.append(("psyphy, SGD", n, n * float(theirs["seconds"]), np.asarray(theirs["weights"][-1], np.float64)))
    rows += [("start", 0, 0.0, start), ("truth", 0, 0.0, truth)]
    table = [(name, n, s, *(f"{x:.1f}" for x in log_posterior(field, w, trials))) for name, n, s, w in rows]
    print_table("the mode", ["who", "steps", "CPU s", "log posterior (simulated)", "its error"], table)


def summaries(covariance: Float) -> tuple[Float, Float]:
    """Log determinant, and orientation of the longer axis, twice the angle as a complex number."""
    return np.linalg.slogdet(covariance)[1], np.exp(1j * orientation(covariance))


def orientation(covariance: Float) -> Float:
    """Twice the angle of the longer axis."""
    return np.arctan2(2 * covariance[..., 0, 1], covariance[..., 0, 0] - covariance[..., 1, 1])


def held(field: Any, idata: Any, truth: Float, rng: np.random.Generator) -> dict[str, list[bool]]:
    """Whether central bands hold what is true at points of their own."""
    x = rng.uniform(-example.EDGE, example.EDGE, (N_POINTS, 2))
    draws = field.draws(idata, x).reshape(-1, N_POINTS, 2, 2)
    known = field.draws(truth, x)
    (sizes, turns), (size, turn) = summaries(draws), summaries(known)
    # Angles around the mean direction, in which a band is an interval.
    centre = turns.mean(axis=0) / np.abs(turns.mean(axis=0))
    found = {}
    for name, values, true in (
        ("log determinant", sizes, size),
        ("orientation", np.angle(turns / centre), np.angle(turn / centre)),
    ):
        low, high = np.quantile(values, [(1 - PROB) / 2, (1 + PROB) / 2], axis=0)
        found[name] = ((low <= true) & (true <= high)).tolist()
    return found


def study(seed: int, chains: int, draws: int, guess: list[Float] | None) -> dict[str, Any]:
    """Simulate and sample one observer."""
    field, truth, rng = any_field(), draw_weights(seed), np.random.default_rng(seed)
    model, field = example.build(*example.simulate(truth, field, TRIALS, seed, guess), DEGREE)
    begin = time.process_time()
    mode = pl.fit_map(model)
    with model:
        idata = pm.sample(
            draws,
            tune=draws,
            chains=chains,
            random_seed=seed,
            progressbar=False,
            initvals={"W": mode.point["W"]},
        )
    seconds = time.process_time() - begin
    at = field.draws(idata, rng.uniform(-1, 1, (N_R_HAT, 2)))
    tree = az.convert_to_datatree({"sigma": at})
    return {
        "seed": seed,
        "r_hat": float(az.rhat(tree)["sigma"].max()),
        "ess": float(az.ess(tree)["sigma"].min()),
        "divergences": float(idata.sample_stats["diverging"].mean()),
        "n_steps": float(idata.sample_stats["n_steps"].mean()),
        "cpu_s": seconds,
        "held": held(field, idata, truth, rng),
    }


def report(lines: list[dict[str, Any]]) -> None:
    """What the studies say."""
    if not lines:
        return
    names = ("r_hat", "ess", "divergences", "n_steps", "cpu_s")
    print_table("NUTS", ["study", *names], [(str(x["seed"]), *(x[name] for name in names)) for x in lines])
    for name in ("log determinant", "orientation"):
        share = np.mean([x["held"][name] for x in lines])
        print(f"{name}: {PROB:.0%} bands hold {share:.1%} of {N_POINTS * len(lines)} (bar {BARS['held']})")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--psyphy", type=Path, help="an interpreter that has psyphy (pip install psyphy==0.0.5)")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--studies", type=int, default=30)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--draws", type=int, default=600)
    parser.add_argument("--placed-by-truth", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    modes(args.folder, args.psyphy, args.steps, args.samples)
    path = args.folder / "studies.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    guess = None if args.placed_by_truth else [draw_weights(GUESS + i) for i in range(N_GUESSES)]
    for seed in range(1, args.studies + 1):
        if seed not in {x["seed"] for x in lines}:
            lines.append(study(seed, args.chains, args.draws, guess))
            with path.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    report(lines)
    if args.json:
        args.json.write_text(json.dumps(lines))


if __name__ == "__main__":
    main()
