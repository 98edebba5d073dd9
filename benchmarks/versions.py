"""Time logp + gradient of every diffusion against another checkout of this package, and first calls beside each other.

    git worktree add ../before COMMIT
    python benchmarks/versions.py ../before [--models ddm angle] [--rounds 5] [--json FILE]
    python benchmarks/versions.py [--models ddm angle] [--json FILE]

Both checkouts run in this environment, on one core, and evaluate the same trials at the same point; they take turns,
so that both meet the same noise. A ratio is taken within a round, and the median over the rounds is reported.

Without another checkout, the CPU seconds from a PyMC model to its first logp and gradient, in JAX mode and by default,
each in a fresh process after another has filled the caches; what importing JAX and PyMC's way to it takes is told by
itself.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from _common import (
    BENCHMARKS,
    ROOT,
    Json,
    Worker,
    argument_parser,
    fresh_cache_env,
    one_thread_env,
    print_table,
    report,
)
from _version_worker import middle

import pymc_lan as pl
from pymc_lan.models.diffusion.kinds import Diffusion

BACKENDS = ("default", "jax")
SIDES = ("before", "now")
TRIALS = (1_000, 10_000)
# How many times as fast as before: the median over the diffusions, and each of them. A default backend that is no
# slower than by three hundredths is as fast, for the noise of two runs.
BARS = {
    ("default", 1_000): (0.97, 0.97),
    ("default", 10_000): (0.97, 0.97),
    ("jax", 1_000): (1.5, 1.0),
    ("jax", 10_000): (1.2, 1.0),
}
# Seconds from a model to its first value in JAX mode, beyond those of the default backend.
FIRST_BAR = 2.0
# Networks are float32 inside and summed in other orders. Two sums further apart than this, per trial, are not of one
# likelihood.
AGREEMENT = 1e-5


def diffusions() -> list[str]:
    """Return the names of the diffusions that weights are shipped for."""
    return [name for name in pl.list_models()["model"] if isinstance(pl.get_model(name), Diffusion)]


def save_trials(folder: Path, model: str, n_trials: int) -> str:
    """Draw trials of a model near the middle of its bounds, once, and return the path of the file."""
    path = folder / f"{model}-{n_trials}.npy"
    if not path.exists():
        drawn = pl.simulate(model, middle(pl.get_model(model)), n=n_trials, seed=1)
        np.save(path, drawn[["rt", "response"]].to_numpy(float))
    return str(path)


def worker(stack: ExitStack, checkout: Path, cache: Path) -> Worker:
    """Start the worker of a checkout, with this side's script and its caches in a folder of its own."""
    env = {**one_thread_env(), **fresh_cache_env(cache), "PYTHONPATH": str(checkout.resolve())}
    return stack.enter_context(Worker(sys.executable, [str(BENCHMARKS / "_version_worker.py")], env))


def agree(model: str, trials: int, answers: dict[str, Json]) -> None:
    """Refuse to compare the speed of two likelihoods that differ."""
    before, now = (np.array([answers[side]["logp"], *answers[side]["gradient"].values()]) for side in SIDES)
    apart = float(np.max(np.abs(before - now))) / trials
    if not apart < AGREEMENT:
        raise SystemExit(f"Expected the same likelihood of {model} on both sides, found {apart:.2g} between them.")


def compare(arguments: argparse.Namespace) -> Json:
    """Let both checkouts take turns over every model, backend and number of trials; print the ratios."""
    measured: list[Json] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in arguments.models:
            with ExitStack() as stack:
                checkouts = dict(zip(SIDES, (arguments.before, ROOT), strict=True))
                workers = {side: worker(stack, path, folder / side) for side, path in checkouts.items()}
                measured += turns(model, workers, folder, arguments)
            print(f"{model} done", flush=True)
    print_comparison(measured)
    return {"cases": measured}


def turns(model: str, workers: dict[str, Worker], folder: Path, arguments: argparse.Namespace) -> list[Json]:
    """Measure one model: a row for each backend and number of trials."""
    rows = []
    for backend, trials in itertools.product(BACKENDS, TRIALS):
        case = {"case": f"{backend} {trials}"}
        request = {"likelihood": model, "backend": backend, "data": save_trials(folder, model, trials)}
        agree(model, trials, {side: workers[side].ask(do="prepare", **case, **request) for side in SIDES})
        ms: dict[str, list[float]] = {side: [] for side in SIDES}
        for _, side in itertools.product(range(arguments.rounds), SIDES):
            ms[side].append(workers[side].ask(do="time", **case, repeats=arguments.repeats)["ms"])
        ratio = statistics.median(b / n for b, n in zip(ms["before"], ms["now"], strict=True))
        middle = {side: statistics.median(ms[side]) for side in SIDES}
        rows.append({"model": model, "backend": backend, "trials": trials, **middle, "ratio": ratio})
    return rows


def print_comparison(measured: list[Json]) -> None:
    """Print a row for each model; then, for each backend and size, the median and the least with their bars."""
    settings = list(itertools.product(BACKENDS, TRIALS))
    found = {(row["model"], row["backend"], row["trials"]): row for row in measured}
    models = dict.fromkeys(row["model"] for row in measured)
    columns = ["model"] + [f"{backend} {trials:,}" for backend, trials in settings]
    cells = [
        [f"{r['before']:.3g} / {r['now']:.3g} = {r['ratio']:.3g}" for r in (found[m, *s] for s in settings)]
        for m in models
    ]
    print_table(
        "ms before / ms now = times as fast", columns, [(m, *row) for m, row in zip(models, cells, strict=True)]
    )
    rows = []
    for setting in settings:
        ratios = {model: found[model, *setting]["ratio"] for model in models}
        median, least = statistics.median(ratios.values()), min(ratios, key=lambda m: ratios[m])
        bar, floor = BARS[setting]
        verdict = "met" if median >= bar and ratios[least] >= floor else "MISSED"
        rows.append(
            (f"{setting[0]}, {setting[1]:,}", median, f"{least} {ratios[least]:.3g}", f"{bar:g}, {floor:g}", verdict)
        )
    print_table("times as fast as before", ["backend, trials", "median", "least", "bars", ""], rows)


def first(arguments: argparse.Namespace) -> Json:
    """Time first calls of this checkout in fresh processes on warm caches, and print them."""
    measured = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in arguments.models:
            found = {}
            for backend in BACKENDS:
                request = {"likelihood": model, "backend": backend, "data": save_trials(folder, model, TRIALS[0])}
                for _ in range(2):  # the first of two fills the caches
                    with ExitStack() as stack:
                        found[backend] = worker(stack, ROOT, folder).ask(do="prepare", case=model, **request)
            calls = {backend: found[backend]["first_call_cpu_s"] for backend in BACKENDS}
            imports = found["jax"]["imports_cpu_s"]
            beyond = calls["jax"] - calls["default"]
            measured.append({"model": model, **calls, "imports": imports, "beyond": beyond})
            print(f"{model} done", flush=True)
    columns = ["model", "default", "JAX", "imports of JAX", f"beyond, without imports (bar {FIRST_BAR:g})"]
    rows = [tuple(row.values()) for row in measured]
    print_table("CPU seconds to the first logp and gradient", columns, rows)
    return {"first": measured}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("before", type=Path, nargs="?", help="folder of the other checkout; without it: first calls")
    parser.add_argument("--models", nargs="+", default=diffusions(), help="default: every diffusion")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--repeats", type=int, default=30, help="calls in each turn")
    arguments = parser.parse_args()
    report(compare(arguments) if arguments.before else first(arguments), arguments.json)


if __name__ == "__main__":
    main()
