"""Is the posterior of the NeuroRacer go/no-go model right: simulation-based calibration with several networks.

    python benchmarks/sbc.py [--cases shipped biased ...] [--simulations 500] [--trials 200] [--processes 2]

Each subject's v, a and t are drawn from the prior of ``examples/neuroracer.py``, trials from them, half go and half
no-go, and the model is fitted to those trials. ``p`` is that of arviz-stats' uniformity test: small where the posterior
is wrong.

shipped    the package's network; the prior of v is that of the example
narrow     its version 1.0, whose bounds end at |v| = 3; the prior of v ends there too, where 2 % of its mass lay beyond
biased     that version with half of its correction taken away: calibration should notice
onnx       HSSM's published ddm.onnx with its ddm_cpn.onnx (from --peers)
"""

from __future__ import annotations

import resource
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
from _common import ROOT, Json, argument_parser, peer_network, print_table, report

import pymc_lan as pl
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.network import Network

# What is taken away of the biased network's correction.
BIAS = 0.5
SEED = 2026
# The density ends at t = min(rt), where long steps diverge.
TARGET_ACCEPT = 0.9
P_LEAST = 0.01


def build_model(network: Network, trials: int, *, bounded: bool) -> pm.Model:
    """The model of one subject, half of whose trials are go trials."""
    trial_type = np.repeat(["go", "no-go"], trials // 2)
    pressed = trial_type == "go"
    placeholder = np.column_stack([np.where(pressed, 1.0, np.inf), pressed])
    with pm.Model() as model:
        v = pm.TruncatedNormal("v", 1, 1, lower=-3, upper=3) if bounded else pm.Normal("v", 1, 1)
        a = pm.TruncatedNormal("a", 1.2, 0.5, lower=0.3, upper=2.5)
        t = pm.Uniform("t", 0.05, 1)
        pl.GoNoGo("obs", network, v, a, 0.5, t, trial_type=trial_type, observed=placeholder)
    return model


def biased(network: Network) -> Network:
    """The network with a part of its correction to the baseline taken away."""
    lan = network.lan
    kernels = (*lan.kernels[:-1], np.float32(1 - BIAS) * lan.kernels[-1])
    biases = (*lan.biases[:-1], np.float32(1 - BIAS) * lan.biases[-1])
    return Network(network.spec, MLP(kernels, biases, lan.activation), network.choice)


def published(peers: Path) -> Network:
    """HSSM's network and its choice probability network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # how far off it is; `benchmarks/peers.py` prints that
        return pl.import_onnx(peer_network(peers, "ddm"), "ddm", cpn=peer_network(peers, "ddm_cpn"))


def cases(peers: Path, trials: int) -> dict[str, Callable[[], partial]]:
    """The model's builder by case."""

    def build(network: Network, bounded: bool = False) -> partial:
        return partial(build_model, network, trials, bounded=bounded)

    return {
        "shipped": lambda: build(pl.load_network("ddm")),
        "narrow": lambda: build(pl.load_network("ddm@1.0"), bounded=True),
        "biased": lambda: build(biased(pl.load_network("ddm@1.0")), bounded=True),
        "onnx": lambda: build(published(peers), bounded=True),
    }


def cpu_seconds() -> float:
    """CPU time of this process and of those it has waited for, in user mode."""
    return sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measure(case: str, builder: Any, arguments: Any) -> Json:
    """Run one study and print its table."""
    started, cpu = time.perf_counter(), cpu_seconds()
    folder = None if arguments.folder is None else arguments.folder / case
    dt = pl.diagnostics.sbc(
        builder,
        arguments.simulations,
        target_accept=TARGET_ACCEPT,
        seed=SEED,
        processes=arguments.processes,
        folder=folder,
        progressbar=False,
    )
    seconds, cpu = time.perf_counter() - started, cpu_seconds() - cpu
    table = pl.diagnostics.recovery(dt)
    tarp = pl.diagnostics.tarp(dt)
    outside = int(((tarp["coverage"] < tarp["low"]) | (tarp["coverage"] > tarp["high"])).sum())
    stats = dt["sample_stats"]
    title = (
        f"{case}: {arguments.simulations} simulations of {arguments.trials} trials; {seconds:.0f} s, "
        f"{cpu / 60:.1f} CPU minutes; {int((stats['diverging'] > 0).sum())} fits with divergences, "
        f"r_hat < 1.05 in {float((stats['r_hat'] < 1.05).mean()):.1%}; "
        f"TARP outside its band at {outside} of {len(tarp)}"
    )
    uniform = "p > 0.01"
    rows = [(name, *row, "yes" if row["p_uniform"] > P_LEAST else "no") for name, row in table.iterrows()]
    print_table(title, ["", *table.columns, uniform], rows)
    return {"case": case, "seconds": seconds, "cpu": cpu, "table": table.to_dict("index"), "tarp": tarp.to_dict()}


def main() -> None:
    parser = argument_parser(__doc__)
    known = tuple(cases(Path(), 2))
    parser.add_argument("--cases", nargs="+", default=("shipped", "biased"), choices=known)
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep finished fits here, to go on after an interruption")
    parser.add_argument("--peers", type=Path, default=ROOT / "../shared/peers", help="folder of ddm.onnx")
    arguments = parser.parse_args()
    builders = cases(arguments.peers, arguments.trials)
    measured = [measure(case, builders[case](), arguments) for case in arguments.cases]
    report({"sbc": measured}, arguments.json)


if __name__ == "__main__":
    main()
