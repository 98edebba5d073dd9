"""How near to the truth a network of choice probabilities comes that has seen nothing but simulated responses.

The oddity task: which of three Gaussian percepts in the plane is the odd one? Its truth is an integral that quadrature
gives to twelve digits; the training is `pl.train`'s with its usual recipe.

    python benchmarks/choice_network.py
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import numpy as np
from _common import argument_parser, print_table, report

import pymc_lan as pl

BAR = 0.02


def oddity(theta: Any, rng: np.random.Generator) -> Any:
    """Is the odd one picked? It is when the other two are the closest pair."""
    percepts = rng.standard_normal((3, 2, len(theta)))
    percepts[2, 0] += theta[:, 0]
    apart = [np.sum((percepts[i] - percepts[j]) ** 2, axis=0) for i, j in ((0, 1), (0, 2), (1, 2))]
    return apart[0] < np.minimum(apart[1], apart[2])


def truth(delta: Any) -> Any:
    """P(correct); the derivation is in tests/test_responses.py."""
    x, weights = np.polynomial.legendre.leggauss(60)
    c = np.cos(np.pi / 4 * (x + 1))
    s = 1 / (c + np.sqrt(c**2 + 3)) ** 2
    return 1 - (weights / 2 * np.exp(-(delta[:, None] ** 2) * s / (1 + 3 * s)) / (1 + 3 * s)).sum(axis=1)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    spec = pl.simulator_spec("oddity", oddity, {"delta": (0.0, 6.0)}, choices=[0, 1], times=False)
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        network = pl.train(spec, folder, seed=args.seed)
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    delta = np.linspace(0, 6, 2001)
    found, right = (np.log(p / (1 - p)) for p in (network.probabilities(delta=delta)[:, 1], truth(delta)))
    error = np.abs(found - right)
    figures = {"mean": float(error.mean()), "max": float(error.max())}
    trials = network.config["training"]["simulated_trials"]
    print_table(
        f"abs error of the log odds after {trials:,} simulated trials, {seconds['cpu']:.0f} s of CPU time",
        ("quantity", "log odds", "at most"),
        [("mean", figures["mean"], BAR), ("max", figures["max"], "")],
    )
    report({"trials": trials, "seconds": seconds, "error": figures}, args.json)


if __name__ == "__main__":
    main()
