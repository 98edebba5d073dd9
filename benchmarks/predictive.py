"""Time ``pm.sample_posterior_predictive`` of 1,000 draws x 1,000 trials.

    python benchmarks/predictive.py [--json FILE]

The draws are scattered around the truth as a posterior would be, so nothing has to be sampled first. The
first call on a model compiles; the second shows what remains.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import xarray as xr
from _common import Json, argument_parser, ddm_trials, go_nogo_trials, print_table, report

import pymc_lan as pl

if TYPE_CHECKING:
    from collections.abc import Callable

N_CHAINS, N_DRAWS, N_TRIALS = 2, 500, 1_000

# Seconds that the predictive draws may take.
BAR = 20.0


def ddm(v: pm.Distribution, a: pm.Distribution, t: pm.Distribution) -> None:
    """Add the two-choice model."""
    pl.DDM("obs", v, a, 0.5, t, observed=ddm_trials(N_TRIALS))


def gonogo(v: pm.Distribution, a: pm.Distribution, t: pm.Distribution) -> None:
    """Add the go/no-go model, with a response window and lapses, so that every step is paid for."""
    trials, trial_type = go_nogo_trials(N_TRIALS // 2, N_TRIALS // 2)
    trials[trials[:, 0] > 2.5] = (np.inf, 0.0)
    pl.GoNoGoDDM("obs", v, a, 0.5, t, deadline=2.5, p_lapse=0.03, trial_type=trial_type, observed=trials)


def measure(add_likelihood: Callable[..., None]) -> Json:
    """Time two calls on one model."""
    rng = np.random.default_rng(7)
    centres = {"v": (1.0, 0.05), "a": (1.5, 0.03), "t": (0.3, 0.01)}
    posterior = xr.Dataset(
        {name: (("chain", "draw"), rng.normal(*at, (N_CHAINS, N_DRAWS))) for name, at in centres.items()}
    )
    with pm.Model():
        v = pm.Normal("v", 1, 1)
        a = pm.TruncatedNormal("a", 1.2, 0.5, lower=0.3, upper=2.5)
        t = pm.Uniform("t", 0.05, 0.6)
        add_likelihood(v, a, t)
        seconds = []
        for seed in (1, 2):
            start = time.perf_counter()
            drawn = pm.sample_posterior_predictive(posterior, random_seed=seed, progressbar=False)
            seconds.append(time.perf_counter() - start)
    shape = drawn["posterior_predictive"]["obs"].shape
    if shape != (N_CHAINS, N_DRAWS, N_TRIALS, 2):
        raise SystemExit(f"Expected draws of shape {(N_CHAINS, N_DRAWS, N_TRIALS, 2)}, found {shape}.")
    return {"model": add_likelihood.__name__, "first_s": seconds[0], "second_s": seconds[1]}


def main() -> None:
    parser = argument_parser(__doc__)
    arguments = parser.parse_args()
    rows = [measure(ddm), measure(gonogo)]
    print_table(
        "posterior predictive, 1,000 draws x 1,000 trials, seconds",
        ["model", "first call", "second call", f"bar: {BAR:g} s"],
        [(*row.values(), "met" if row["first_s"] <= BAR else "MISSED") for row in rows],
    )
    report({"predictive": rows}, arguments.json)


if __name__ == "__main__":
    main()
