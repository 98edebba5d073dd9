"""Train the amortised posterior that ships with the package, `pl.load_amortized("ddm")`, and write it to a folder.

    python scripts/train_amortized.py weights --version 1.0
    python scripts/train_amortized.py weights --version 1.1 --usual-of 1.0

The second line takes the networks of a version that there is, and measures anew what usual data look like to them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymc_lan.amortized.calibration import accuracy_of
from pymc_lan.amortized.described import Described
from pymc_lan.amortized.load import load_amortized
from pymc_lan.amortized.simulated import Simulated, sizes

# What pl.regression("ddm", df, formulas={"z": "1"}) takes by default, on the scale of the parameters and within the
# bounds of the network, where it bends.
PRIORS = {
    "v": {"distribution": "TruncatedNormal", "parameters": [0.0, 2.0, -6.0, 6.0]},
    "a": {
        "distribution": "Truncated",
        "of": {"distribution": "LogNormal", "parameters": [-0.35667494393873245, 0.4]},
        "lower": 0.3,
        "upper": 4.0,
    },
    "z": {"distribution": "LogitNormal", "parameters": [0.0, 0.5]},
    "t": {"distribution": "LogNormal", "parameters": [-0.916290731874155, 0.4]},
}
# Numbers of trials that its accuracy is measured for.
TRIALS = (50, 200)
DDM = Described(PRIORS, "ddm", {name: name for name in PRIORS})
# Batches that are looked at anew, and their seed.
BATCHES, SEED = 80, 2


def renewed(version: str) -> Any:
    """A version, with another measurement of what usual data look like to it."""
    from pymc_lan.amortized.amortize import Source, usual_to

    network = load_amortized(f"ddm@{version}")
    source = Source(
        Simulated(DDM, None, sizes(network.n_trials), 64, SEED), network.view, network.scale, network.standard
    )
    return replace(network, usual=usual_to(network.network, source, range(BATCHES)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--version", default="1.0")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--measured", type=int, default=100, help="data sets of which its accuracy is measured")
    parser.add_argument("--usual-of", help="a version whose networks are taken")
    arguments = parser.parse_args()
    if arguments.usual_of:
        print(renewed(arguments.usual_of).save(arguments.out, name="ddm", version=arguments.version))
        return
    from pymc_lan.amortized.amortize import amortize

    begun, cpu = time.perf_counter(), time.process_time()
    found = amortize(
        DDM,
        (50, 1000),
        epochs=arguments.epochs,
        batches=arguments.batches,
        rate=2e-3,
        checkpoint=arguments.checkpoint,
        seed=1,
    )
    print(f"{time.perf_counter() - begun:.0f} s, of which {time.process_time() - cpu:.0f} CPU s; {found.losses[-1]}")
    measured = tuple(accuracy_of(found, arguments.measured, n) for n in TRIALS)
    found = replace(found, accuracy=measured)
    print(found.save(arguments.out, name="ddm", version=arguments.version))


if __name__ == "__main__":
    main()
