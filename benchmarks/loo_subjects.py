"""`reg.loo(by="subject")` against refits without the subject.

    python benchmarks/loo_subjects.py

A simulated study of 20 subjects with 40 trials each under two conditions, in the closed form of the diffusion. For each
of 10 subjects the regression is fitted again without it, and the exact value is the log of the mean, over draws of that
fit and of new members from its group, of the likelihood of all of the subject's trials. Members are drawn with
`reg.predict(new_groups="draw")`, not proposed from what the subject did, so nothing is shared with what is measured.
The bar is 0.3 nats for each subject whose Pareto k is below 0.7.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

import pymc_lan as pl
from pymc_lan.models.likelihood import Likelihood

SUBJECTS, TRIALS, LEFT_OUT = 20, 40, 10
# New members of each draw, so many at a time and so often: the standard error of a value is printed.
MEMBERS, TIMES = 50, 40
FORMULAS = {"v": "condition + (condition | subject)", "a": "1 + (1 | subject)", "t": "1 + (1 | subject)"}


def study(seed: int) -> pd.DataFrame:
    """Trials of subjects who differ in everything."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(SUBJECTS), TRIALS)
    hard = np.tile([0.0, 1.0], SUBJECTS * TRIALS // 2)
    each = rng.normal([1.5, -0.6, 0.0, -1.1], [0.6, 0.3, 0.2, 0.2], (SUBJECTS, 4))[subject]
    theta = {"v": each[:, 0] + hard * each[:, 1], "a": np.exp(each[:, 2]), "z": 0.5, "t": np.exp(each[:, 3])}
    names = np.array([f"s{i:02}" for i in range(SUBJECTS)])
    return pl.simulate("ddm", theta, seed=seed).assign(
        subject=names[subject], condition=np.where(hard == 1, "hard", "easy")
    )


def regression(df: pd.DataFrame) -> Any:
    """The model, without correlations, so that 19 subjects have the same as 20."""
    return pl.regression("ddm", df, **FORMULAS, priors={"subject_corr": None}, likelihood="exact")


def refitted(df: pd.DataFrame, left_out: str, seed: int) -> tuple[float, float]:
    """The exact value and its standard error."""
    mine = df["subject"] == left_out
    reg = regression(df[~mine])
    idata = reg.sample(tune=200, draws=200, chains=2, random_seed=seed, progressbar=False)
    trials, likelihood, found = df[mine], Likelihood(pl.get_model("ddm")), []
    new = pd.concat([trials.assign(subject=f"new {i}") for i in range(MEMBERS)], ignore_index=True)
    rt, response = (np.tile(trials[name].to_numpy(float), MEMBERS) for name in ("rt", "response"))
    for i in range(TIMES):
        theta = reg.predict(idata, new, new_groups="draw", n_draws=400, seed=i)
        values = {name: theta[name].to_numpy().reshape(-1, len(new)) for name in ("v", "a", "z", "t")}
        log_p = likelihood.log_density(np, rt, response, values)
        found.append(log_p.reshape(-1, MEMBERS, len(trials)).sum(-1).ravel())
    flat = np.concatenate(found)
    weights = np.exp(flat - logsumexp(flat))
    return float(logsumexp(flat) - np.log(flat.size)), float(np.sqrt((weights**2).sum()))


def main() -> None:
    """Print both for each subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    df = study(seed)
    reg = regression(df)
    idata = reg.sample(tune=500, draws=500, chains=4, random_seed=seed, progressbar=False)
    before = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loo = reg.loo(idata, by="subject", n_draws=2000)
    print(f"reg.loo(by='subject'): {time.process_time() - before:.1f} CPU s for {SUBJECTS} subjects", flush=True)
    print("subject  Pareto k  reg.loo  refit  (error)  difference", flush=True)
    worst = 0.0
    for name in sorted(df["subject"].unique())[:LEFT_OUT]:
        k, estimate = (float(x.sel(subject=name)) for x in (loo.pareto_k, loo.elpd_i))
        exact, error = refitted(df, name, seed)
        worst = max(worst, abs(estimate - exact)) if k < 0.7 else worst
        print(f"{name}  {k:.2f}  {estimate:.2f}  {exact:.2f}  ({error:.2f})  {estimate - exact:+.2f}", flush=True)
    print(f"largest difference where k < 0.7: {worst:.2f} nats; the bar is 0.3")


if __name__ == "__main__":
    main()
