"""How much memory leave-one-out cross-validation of many trials takes, in a fresh process.

    python benchmarks/loo.py [--trials 100000] [--draws 4000] [--way ours | pymc]

Draws are not sampled but normal around the truth, as wide as a posterior of so many trials is: memory and time are the
same. ``pymc`` is ``pm.compute_log_likelihood`` and ``az.loo``.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
from _common import TRUTH, argument_parser, ddm_trials, print_table, report

CHAINS = 4


def measure(way: str, trials: int, draws: int) -> dict[str, Any]:
    """Compute once in this process."""
    import arviz as az
    import pymc as pm

    import pymc_lan as pl

    with pm.Model() as model:
        pl.DDM(
            "obs",
            pm.Normal("v", 0, 2),
            pm.Uniform("a", 0.3, 2.5),
            0.5,
            pm.Uniform("t", 0, 1),
            observed=ddm_trials(trials),
        )
    rng = np.random.default_rng(1)
    widths = {"v": 0.7, "a": 0.6, "t": 0.1}  # times 1 / sqrt(trials)
    posterior = {
        name: TRUTH[name] + width / np.sqrt(trials) * rng.standard_normal((CHAINS, draws // CHAINS))
        for name, width in widths.items()
    }
    idata = az.from_dict({"posterior": posterior})
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    if way == "ours":
        found = pl.diagnostics.loo(idata, model)
    else:
        pm.compute_log_likelihood(idata, model=model, progressbar=False)
        found = az.loo(idata, pointwise=True)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "way": way,
        "peak": after.ru_maxrss / 2**20,
        "before": before.ru_maxrss / 2**20,
        "seconds": time.perf_counter() - start,
        "cpu": after.ru_utime - before.ru_utime,
        "elpd": found.elpd,
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--draws", type=int, default=4_000)
    parser.add_argument("--way", nargs="+", default=["ours"], choices=["ours", "pymc"])
    parser.add_argument("--here", action="store_true", help="in this process: what the fresh process is called with")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(arguments.way[0], arguments.trials, arguments.draws)))
        return
    rows = []
    for way in arguments.way:
        command = [sys.executable, __file__, "--here", "--way", way]
        command += ["--trials", str(arguments.trials), "--draws", str(arguments.draws)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{way} ended with {done.returncode}: {done.stderr[-300:]}")
            continue
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    title = f"{arguments.trials:,} trials, {arguments.draws:,} draws"
    columns = ["", "peak [GiB]", "before [GiB]", "seconds", "CPU seconds", "elpd"]
    print_table(title, columns, [tuple(row.values()) for row in rows])
    report({"loo": rows}, arguments.json)


if __name__ == "__main__":
    main()
