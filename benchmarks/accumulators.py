"""Compare races of accumulators with ssm-simulators' trials and HSSM's closed forms, and time both likelihoods.

    python benchmarks/accumulators.py [--models lba3 rdm3] [--trials 200000] [--hssm-env DIR] [--json FILE]

Trials of ssm-simulators are counted in bins of equal probability; the Kullback-Leibler divergence of the counts from
the density is printed beside what as many trials of the density itself would give on average. Then log likelihood and
gradient of 1,000 trials: values of both sides, and milliseconds a call. HSSM's are in JAX for `lba4` and `rdm3`, in
PyTensor for the others; ours are timed in both backends.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _common import (
    BENCHMARKS,
    Json,
    Worker,
    add_peer_options,
    argument_parser,
    hssm_python,
    one_thread_env,
    print_table,
    report,
)
from numpy.typing import NDArray

import pymc_lan as pl
from pymc_lan.likelihood import Likelihood
from pymc_lan.transforms import NUMPY

# Typical parameters, in the order of HSSM; drifts of the LBA far above its 0.1, where the absolute value that
# ssm-simulators draws and the normal distribution are the same model.
POINTS: dict[str, dict[str, float]] = {
    "lba2": {"A": 0.3, "b": 0.5, "v0": 0.6, "v1": 0.5},
    "lba3": {"A": 0.3, "b": 0.5, "v0": 0.6, "v1": 0.5, "v2": 0.5},
    "lba4": {"A": 0.3, "b": 0.5, "v0": 0.6, "v1": 0.5, "v2": 0.55, "v3": 0.5},
    "rdm3": {"A": 0.5, "b": 1.5, "v0": 1.0, "v1": 2.0, "v2": 0.5, "t": 0.2},
    "poisson_race": {"r1": 5.0, "r2": 4.0, "k1": 2.0, "k2": 2.5, "t": 0.2},
}
BINS, N_TIMED = 30, 1000
# Step and end of the simulators that have steps [s].
STEP, END = 2.0**-10, 20.0


def shares(model: str, theta: Mapping[str, float]) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """Decision times up to `END`, and by response the probability up to each of them."""
    d = np.geomspace(1e-6, END, 40_001)
    found, t = {}, theta.get("t", 0.0)
    for code in pl.get_model(model).choices:
        likelihood = Likelihood(pl.get_model(model))
        density = np.exp(likelihood.log_density(NUMPY, t + d, np.full(d.shape, code), {**theta, "t": t}))
        steps = np.diff(d) * (density[1:] + density[:-1]) / 2
        found[code] = np.concatenate([[0.0], np.cumsum(steps)])
    return d, found


def divergence(worker: Worker, model: str, trials: int) -> Json:
    """Kullback-Leibler divergence of simulated trials from the density, in nats."""
    theta = POINTS[model]
    d, share = shares(model, theta)
    edges = {code: np.interp(np.linspace(0, x[-1], BINS + 1)[1:-1], x, d) for code, x in share.items()}
    ladders = {str(code): [0.0, *edge.tolist(), 1e9] for code, edge in edges.items()}
    options = {"trials": trials, "delta_t": STEP, "max_t": END, "seed": 1, "edges": ladders}
    counts: Any = worker.ask(do="count", model=model, theta=theta, **options)
    observed = np.concatenate([counts[str(code)] for code in share]).astype(float)
    expected = np.concatenate([np.full(BINS, x[-1] / BINS) for x in share.values()])
    expected /= expected.sum()
    p = observed / observed.sum()
    nats = float((p[p > 0] * np.log(p[p > 0] / expected[p > 0])).sum())
    return {"nats": nats, "by chance": (expected.size - 1) / 2 / observed.sum(), "trials": observed.sum()}


def ours(model: str, trials: NDArray[np.float64], backend: str, repeats: int) -> Json:
    """Evaluate and time our log likelihood and its gradient."""
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt

    start = time.perf_counter()
    values = {name: pt.dscalar(name) for name in POINTS[model]}
    value = pm.logp(pl.LANDist.dist(model, **values), trials).sum()
    outputs = [value, *pytensor.grad(value, list(values.values()))]
    call = pytensor.function(list(values.values()), outputs, mode={"default": None, "jax": "JAX"}[backend])
    point = list(POINTS[model].values())
    found = [float(x) for x in call(*point)]
    answer: Json = {"logp": found[0], "gradient": found[1:], "first_call_s": time.perf_counter() - start}
    start = time.perf_counter()
    for _ in range(repeats):
        [float(x) for x in call(*point)]
    return answer | {"ms": 1e3 * (time.perf_counter() - start) / repeats}


def compare(worker: Worker, model: str, arguments: argparse.Namespace) -> Json:
    """All figures of one model."""
    table = pl.simulate(model, POINTS[model], n=N_TIMED, seed=2)
    trials = table[["rt", "response"]].to_numpy(float)
    result: Json = {"model": model, "divergence": divergence(worker, model, arguments.trials)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trials.npy"
        np.save(file, trials)
        repeats = arguments.repeats
        request = {"model": model, "theta": POINTS[model], "trials": str(file), "repeats": repeats}
        theirs: Json = worker.ask(do="logp", **request)
        for backend in ("default", "jax"):
            result[backend] = ours(model, trials, backend, repeats)
    return result | {"hssm": theirs}


def main() -> None:
    parser = argument_parser(__doc__)
    add_peer_options(parser, networks=False)
    parser.add_argument("--models", nargs="+", choices=POINTS, default=list(POINTS))
    parser.add_argument("--trials", type=int, default=200_000, help="simulated by ssm-simulators for each model")
    parser.add_argument("--repeats", type=int, default=100, help="calls that are timed")
    arguments = parser.parse_args()
    env = one_thread_env()
    with Worker(hssm_python(arguments.hssm_env), [str(BENCHMARKS / "_race_worker.py")], env) as worker:
        measured = [compare(worker, model, arguments) for model in arguments.models]
    rows = [(m["model"], *(m["divergence"][key] for key in ("nats", "by chance", "trials"))) for m in measured]
    print_table("trials of ssm-simulators against the density", ["model", "KL [nat]", "by chance", "trials"], rows)
    rows = []
    for m in measured:
        apart = abs(m["default"]["logp"] - m["hssm"]["logp"]) / N_TIMED
        slopes = np.subtract(m["default"]["gradient"], m["hssm"]["gradient"])
        rows.append((m["model"], apart, float(np.abs(slopes).max()) / N_TIMED))
    print_table("ours less HSSM's, a trial", ["model", "log density", "largest gradient"], rows)
    rows = [
        (f"{m['model']}, {side}", m[side]["ms"], 1e3 * m[side]["ms"] / N_TIMED, m[side]["first_call_s"])
        for m in measured
        for side in ("default", "jax", "hssm")
    ]
    columns = ["side", f"ms, {N_TIMED} trials", "us a trial", "first call [s]"]
    print_table("log likelihood and gradient, one thread", columns, rows)
    report({"accumulators": measured}, arguments.json)


if __name__ == "__main__":
    main()
