"""Errors of our networks and of those that HSSM publishes, against the closed form, on the same trials.

    python benchmarks/peers.py [--models ddm angle] [--trials 60000] [--quick] [--json FILE]

Trials are those of `pymc_lan/networks/accuracy/accuracy.py`: drawn from the model, parameters uniform over the bounds,
one trial each, 5 ms < rt - t and rt < 20 s; of these, the ones whose parameters lie where the peer was trained, too.
HSSM's networks run in its own environment, in single precision.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _common import (
    BENCHMARKS,
    Json,
    Worker,
    add_peer_options,
    argument_parser,
    hssm_python,
    peer_network,
    print_table,
    report,
)
from numpy.typing import NDArray

import pymc_lan as pl
from pymc_lan.networks.accuracy.accuracy import EARLIEST, LATEST
from pymc_lan.numerics.passage import NUMPY

Float = NDArray[np.float64]

# The networks that HSSM publishes for models of ours, and where they were trained on less than our bounds: the bounds
# that ssm-simulators, which makes HSSM's training data, has for these models.
TRAINED = {"ddm": {"z": (0.1, 0.9)}, "angle": {"t": (1e-3, 2.0)}}

# How many times smaller our mean error has to be.
BARS = {"angle": 20.0}

# No network was trained on trials of this seed: recipes use small ones, and cards are measured with 0.
SEED = 20_261_107

FIGURES = ("mean", "median", "p95", "p99", "max")


class Trials(NamedTuple):
    """Trials of a model, with the log density in closed form; arrays of shape (n,)."""

    theta: dict[str, Float]
    rt: Float
    response: Float
    label: Float


def draw_trials(model: str, n: int) -> Trials:
    """Draw at least `n` trials."""
    rng = np.random.default_rng(SEED)
    # Fewer than one in three are outside the peer's range, undecided, or very early or late.
    drawn = pl.get_model(model).labels.model_trials(rng, 3 * n // 2)
    t = rng.uniform(*pl.get_model(model).parameter("t").bounds, drawn.d.size)
    theta, rt = drawn.theta | {"t": t}, t + drawn.d
    inside = [(theta[name] >= low) & (theta[name] <= high) for name, (low, high) in TRAINED[model].items()]
    kept = np.flatnonzero(np.all([drawn.d > EARLIEST, rt < LATEST, *inside], axis=0))[:n]
    if kept.size < n:
        raise SystemExit(f"Expected {n} trials of {model}, found {kept.size} in the range. Draw more of them.")
    return Trials({name: x[kept] for name, x in theta.items()}, rt[kept], drawn.response[kept], drawn.label[kept])


def peer_log_density(worker: Worker, network: Path, model: str, trials: Trials) -> Float:
    """Log densities of the peer's network, whose inputs are the parameters in HSSM's order, rt and response."""
    columns = [*(trials.theta[name] for name in pl.get_model(model).names), trials.rt, trials.response]
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = (f"{folder}/{name}.npy" for name in ("inputs", "outputs"))
        np.save(inputs, np.column_stack(columns))
        worker.ask(network=str(network), inputs=inputs, outputs=outputs)
        return np.load(outputs)


def summary(error: Float) -> dict[str, float]:
    """Return the figures of the absolute errors, in nats."""
    size = np.abs(error)
    values = (size.mean(), *np.quantile(size, [0.5, 0.95, 0.99, 1.0]))
    return dict(zip(FIGURES, map(float, values), strict=True))


def compare(worker: Worker, network: Path, model: str, n: int) -> Json:
    """Measure both networks of a model on the same trials."""
    trials = draw_trials(model, n)
    ours = pl.load_network(model)
    log_density = ours.likelihood.log_density(NUMPY, trials.rt, trials.response, trials.theta)
    return {
        "model": model,
        "version": ours.version,
        "n": n,
        "pymc_lan": summary(log_density - trials.label),
        "hssm": summary(peer_log_density(worker, network, model, trials) - trials.label),
    }


def print_comparison(measured: list[Json]) -> None:
    """Print the errors, and how many times smaller ours are."""
    rows: list[tuple[object, ...]] = []
    for each in measured:
        model, ours, theirs = each["model"], each["pymc_lan"], each["hssm"]
        ratio = {name: theirs[name] / ours[name] for name in FIGURES}
        bar = BARS.get(model)
        verdict = "" if bar is None else f"mean {bar:g}: {'met' if ratio['mean'] >= bar else 'MISSED'}"
        rows.append((f"{model}: pymc_lan {each['version']}", *ours.values(), ""))
        rows.append((f"{model}: HSSM {model}.onnx", *theirs.values(), ""))
        rows.append((f"{model}: times smaller", *ratio.values(), verdict))
    title = f"abs(log f - log f in closed form), nats, {measured[0]['n']:,} trials of each model, seed {SEED}"
    print_table(title, ["network", *FIGURES, "bar"], rows)


def main() -> None:
    parser = argument_parser(__doc__)
    add_peer_options(parser, networks=True)
    parser.add_argument("--models", nargs="+", default=list(TRAINED), help="models to compare")
    parser.add_argument("--trials", type=int, default=60_000)
    parser.add_argument("--quick", action="store_true", help="2,000 trials: only to see that it runs")
    arguments = parser.parse_args()
    measured = []
    with Worker(hssm_python(arguments.hssm_env), [str(BENCHMARKS / "_onnx_worker.py")], {}) as worker:
        for model in arguments.models:
            if model not in TRAINED:
                print(f"{model}: skipped, no network of HSSM's for it is known here")
                continue
            network = peer_network(arguments.peers, model)
            measured.append(compare(worker, network, model, 2_000 if arguments.quick else arguments.trials))
    if measured:
        print_comparison(measured)
    report({"peers": measured}, arguments.json)


if __name__ == "__main__":
    main()
