"""Is the posterior right: the network against the closed form, and against the truth. Slow; `-s` prints the figures."""

from __future__ import annotations

from typing import Any

import arviz as az
import numpy as np
import nutpie
import pandas as pd
import pymc as pm
import pytest

import pymc_lan as pl

TRUTH = {"v": 1.0, "a": 1.5, "t": 0.5}
TYPES = np.repeat(["go", "no-go"], 500)


def racer(rng: np.random.Generator) -> Any:
    """Trials of one NeuroRacer subject: rows of rt and response."""
    trials = pl.GoNoGoDDM.dist(**TRUTH, z=0.5, trial_type=TYPES)
    return pm.draw(trials, random_seed=rng)


def racer_model(observed: Any, likelihood: str) -> pm.Model:
    with pm.Model() as model:
        data = pm.Data("data", observed)
        v, a = pm.Normal("v", 1, 1), pm.TruncatedNormal("a", 1.2, 0.5, lower=0.3, upper=2.5)
        t = pm.Uniform("t", 0.05, 1.0)
        pl.GoNoGoDDM("obs", v, a, 0.5, t, trial_type=TYPES, likelihood=likelihood, observed=data)
    return model


def real_model(df: pd.DataFrame, likelihood: str) -> pm.Model:
    """One subject: drift by the response asked for, bias, lapses, window."""
    with pm.Model() as model:
        v, z = pm.Normal("v", 0, 1, shape=2), pm.Beta("z", 10, 10)
        a, t = pm.TruncatedNormal("a", 1, 0.5, lower=0.3, upper=2.5), pm.Uniform("t", 0.05, 0.6)
        p = pm.Beta("p", 1, 20)
        pl.GoNoGoDDM(
            "obs",
            v[(df["action"] == "go").to_numpy(int)],
            a,
            z,
            t,
            deadline=1.55,
            p_lapse=p,
            likelihood=likelihood,
            observed=df[["rt"]],
        )
    return model


def compare(build: Any) -> pd.DataFrame:
    """Posterior of the network, and that of the closed form by weighing the same draws.

    The weights are the ratio of the two posteriors, so the two share their Monte-Carlo error and differences far below
    it can be measured; their effective number says that the weighing is sound.
    """
    lan, exact = build("lan"), build("exact")
    with lan:
        idata = pm.sample(1500, tune=1000, chains=4, cores=2, random_seed=1, progressbar=False)
    draws = az.extract(idata, group="posterior")
    names = [rv.name for rv in lan.free_RVs]
    log_p = []
    for model in (lan, exact):
        found = pm.compute_log_likelihood(idata, model=model, extend_inferencedata=False, progressbar=False)
        log_p.append(found["obs"].stack(sample=("chain", "draw")).transpose("sample", ...).sum("obs_dim_0").to_numpy())
    ratio = log_p[1] - log_p[0]
    weight = np.exp(ratio - ratio.max())
    weight /= weight.sum()
    assert 1 / np.sum(weight**2) > 0.9 * weight.size
    rows = {}
    for name in names:
        x = draws[name].transpose("sample", ...).to_numpy().reshape(weight.size, -1)
        for k in range(x.shape[1]):
            mean = weight @ x[:, k]
            sd = np.sqrt(weight @ (x[:, k] - mean) ** 2)
            rows[f"{name}{k}"] = ((x[:, k].mean() - mean) / sd, x[:, k].std() / sd - 1)
    return pd.DataFrame(rows, index=["mean, in sd", "sd, relative"]).T


@pytest.mark.slow
@pytest.mark.parametrize("data", ["NeuroRacer", "real"])
def test_posterior_is_that_of_the_closed_form(data: str, request: pytest.FixtureRequest) -> None:
    if data == "NeuroRacer":
        observed = racer(np.random.default_rng(3))
        table = compare(lambda likelihood: racer_model(observed, likelihood))
    else:
        df = pd.read_csv(request.getfixturevalue("shared_data") / "data" / "pavlovian_gonogo.csv.gz")
        df = df[(df["subject"] == df["subject"].iloc[0]) & (df["rt"] != 0)]
        table = compare(lambda likelihood: real_model(df, likelihood))
    print(f"\n{data}: network less closed form\n{table.round(4)}")
    assert table["mean, in sd"].abs().max() < 0.05
    assert table["sd, relative"].abs().max() < 0.05


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    """90 % intervals of 100 subjects; 84 to 96 of 100 is what a coverage of 0.9 gives in 97 of 100 studies."""
    rng = np.random.default_rng(2026)
    compiled = nutpie.compile_pymc_model(racer_model(racer(rng), "lan"))
    covered = pd.DataFrame(False, index=range(100), columns=list(TRUTH))
    for subject in covered.index:
        run = nutpie.sample(
            compiled.with_data(data=racer(rng)), draws=500, tune=500, chains=2, seed=subject, progress_bar=False
        )
        for name, truth in TRUTH.items():
            low, high = np.quantile(run.posterior[name], [0.05, 0.95])
            covered.loc[subject, name] = low <= truth <= high
    print(f"\ncovered of 100:\n{covered.sum()}")
    assert covered.sum().between(84, 96).all()
