"""Time the first plain ``pm.sample()`` of a fresh process: NeuroRacer against a plain Normal regression.

    python benchmarks/first_sample.py [--rounds 3] [--json FILE]

Each round runs both models with empty compile caches and then with the caches of that run, turn by turn, each
in a process of its own. ``inside`` is the call of ``pm.sample`` alone, ``outside`` the whole process: start,
imports, building the model, and sampling.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _common import (
    Json,
    argument_parser,
    fresh_cache_env,
    go_nogo_trials,
    median,
    print_table,
    report,
    run_json,
)

if TYPE_CHECKING:
    import pymc as pm

MODELS = ("regression", "neuroracer")
CACHES = ("empty", "warm")

# Seconds that the first fit of NeuroRacer may take beyond that of the regression.
BAR = 5.0


def regression() -> pm.Model:
    """Return a Normal regression with three coefficients and a scale, of 1,000 observations."""
    import pymc as pm

    rng = np.random.default_rng(5)
    x = rng.standard_normal((1_000, 2))
    y = 1 + x @ [0.5, -0.5] + rng.standard_normal(1_000)
    with pm.Model() as model:
        intercept = pm.Normal("intercept", 0, 5)
        slope_0 = pm.Normal("slope_0", 0, 5)
        slope_1 = pm.Normal("slope_1", 0, 5)
        sigma = pm.HalfNormal("sigma", 5)
        pm.Normal("y", intercept + slope_0 * x[:, 0] + slope_1 * x[:, 1], sigma, observed=y)
    return model


def neuroracer() -> pm.Model:
    """Return the go/no-go model of one NeuroRacer subject, 500 go and 500 no-go trials."""
    import pymc as pm

    import pymc_lan as pl

    trials, trial_type = go_nogo_trials()
    with pm.Model() as model:
        v = pm.Normal("v", 1, 1)
        a = pm.TruncatedNormal("a", 1.2, 0.5, lower=0.3, upper=2.5)
        t = pm.Uniform("t", 0.05, 0.6)
        pl.GoNoGoDDM("obs", v, a, 0.5, t, trial_type=trial_type, observed=trials)
    return model


def sample_once(name: str) -> Json:
    """Sample one model in this process and time the call."""
    import pymc as pm

    with {"regression": regression, "neuroracer": neuroracer}[name]():
        start = time.perf_counter()
        idata = pm.sample(draws=500, tune=500, chains=2, random_seed=1, progressbar=False)
        inside = time.perf_counter() - start
    means = {name: float(draws.mean()) for name, draws in idata["posterior"].data_vars.items()}
    # pm.sample uses nutpie where it is installed, and imports it only then.
    return {"inside_s": inside, "sampler": "nutpie" if "nutpie" in sys.modules else "pymc", "means": means}


def timed_run(name: str, cache: Path) -> Json:
    """Sample one model in a fresh process and time that too."""
    start = time.perf_counter()
    run = run_json([__file__, "--once", name], fresh_cache_env(cache))
    return {"outside_s": time.perf_counter() - start, **run}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", choices=MODELS, help="only sample this model, here, and print JSON")
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(sample_once(arguments.once)))
        return
    runs: dict[tuple[str, str], list[Json]] = {(cache, name): [] for cache in CACHES for name in MODELS}
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for cache, name in runs:
                runs[cache, name].append(timed_run(name, Path(folder) / name))
    rows: list[tuple[object, ...]] = []
    for cache in CACHES:
        seconds = [[median(runs[cache, name], key) for key in ("inside_s", "outside_s")] for name in MODELS]
        rows += [(f"{cache} caches: {name}", *pair, "") for name, pair in zip(MODELS, seconds, strict=True)]
        inside, outside = np.subtract(seconds[1], seconds[0]).tolist()
        rows.append((f"{cache} caches: difference", inside, outside, "met" if inside <= BAR else "MISSED"))
    sampler = runs["warm", "neuroracer"][0]["sampler"]
    title = f"first pm.sample(), 2 chains of 500 + 500, sampler {sampler}, seconds (medians)"
    print_table(title, ["what", "inside", "outside", f"bar: {BAR:g} s inside"], rows)
    figures = [{"cache": cache, "model": name, "runs": row} for (cache, name), row in runs.items()]
    report({"first_sample": figures}, arguments.json)


if __name__ == "__main__":
    main()
