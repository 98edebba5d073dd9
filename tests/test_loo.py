"""Leave-one-out cross-validation in little memory: the same as ArviZ's, and it picks the generator."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import arviz as az
import numpy as np
import pymc as pm
import pytest
from arviz_stats.base import array_stats

import pymc_lan as pl
from pymc_lan.diagnostics.loo import pointwise


@pytest.fixture(scope="module")
def fitted() -> tuple[Any, pm.Model]:
    """Return draws, not of a posterior but all over it, and their model, with its log likelihood by PyMC."""
    df = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=60, seed=1)
    with pm.Model(coords={"trial": range(60)}) as model:
        v, a = pm.Normal("v", 1, 1, shape=2), pm.Uniform("a", 0.3, 2.5)
        pl.DDM("obs", v[np.arange(60) % 2], a, 0.5, 0.3, observed=df, dims="trial")
    rng = np.random.default_rng(2)
    draws = {"v": rng.normal(1, 0.15, (2, 400, 2)), "a": rng.normal(1, 0.05, (2, 400))}
    idata = az.from_dict({"posterior": draws})
    pm.compute_log_likelihood(idata, model=model, progressbar=False)
    return idata, model


def test_it_is_that_of_arviz(fitted: tuple[Any, pm.Model], monkeypatch: pytest.MonkeyPatch) -> None:
    idata, model = fitted
    expected = az.loo(idata, pointwise=True)
    monkeypatch.setattr(
        import_module("pymc_lan.diagnostics.loo"), "CHUNK", 17 * 800
    )  # so that the last of several chunks is a short one
    found = pl.diagnostics.loo(idata, model)
    # Single precision: 1e-7 of each log likelihood.
    np.testing.assert_allclose(found.elpd_i, expected.elpd_i, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.pareto_k, expected.pareto_k, atol=1e-3)
    for name in ("elpd", "se", "p"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-4)
    assert (found.n_samples, found.n_data_points, found.good_k) == (800, 60, pytest.approx(expected.good_k))
    assert found.elpd_i.dims == ("trial",)
    assert "elpd_loo" in repr(found)
    table = az.compare({"ours": found, "theirs": expected})
    assert abs(table["elpd_diff"]).max() < 1e-2


DRAWS = np.random.default_rng(3).normal(-1, 0.3, (2, 200))
# In half of the draws a guess of density 0.02, in the others of density 1: left out, the harmonic mean of the two.
IN_HALF = np.repeat([np.log(0.02), 0.0], 200).reshape(2, 200)
GUESSES = {
    "in all draws": (np.full((2, 200), np.log(0.02)), np.log(0.02), 0.0),
    "but for rounding": (np.log(0.02) * (1 + 1e-9 * DRAWS), np.log(0.02), 0.0),
    "in half of the draws": (IN_HALF, np.log(2 / 51), np.log(0.51) - np.log(2 / 51)),
}


@pytest.mark.parametrize(("log_p", "elpd", "p"), GUESSES.values(), ids=GUESSES)
def test_trials_that_are_guesses_have_no_tail_to_smooth(log_p: Any, elpd: float, p: float) -> None:
    found = pointwise(np.stack([DRAWS, log_p, DRAWS + 1]), 0.9)
    np.testing.assert_allclose(found[:, 1], [elpd, 0, p], atol=1e-7)
    # The others are as they were.
    np.testing.assert_allclose(found[:, ::2], array_stats.loo(np.stack([DRAWS, DRAWS + 1]), r_eff=0.9))


def test_trials_that_rule_the_posterior_are_told() -> None:
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 100)
        pm.Normal("y", mu, 1, observed=[0.0, 0.1, 30.0])
    draws = np.random.default_rng(0).normal(0, 3, (1, 1000))
    idata = az.from_dict({"posterior": {"mu": draws}})
    with pytest.warns(UserWarning, match="The Pareto k of . of 3 trials is above 0.67"):
        found = pl.diagnostics.loo(idata, model)
    assert found.warning


@pytest.mark.parametrize(
    ("observed", "var_name", "message"),
    [
        (("y", "w"), None, "one observed variable.*2: y, w.*var_name"),
        ((), None, "one observed variable.*none"),
        (("y", "w"), "x", "Unknown observed variable 'x'"),
    ],
)
def test_the_variable_must_be_clear(observed: tuple[str, ...], var_name: str | None, message: str) -> None:
    with pm.Model() as model:
        mu = pm.Normal("mu")
        for name in observed:
            pm.Normal(name, mu, observed=[0.0])
    with pytest.raises(ValueError, match=message):
        pl.diagnostics.loo(az.from_dict({"posterior": {"mu": np.zeros((1, 4))}}), model, var_name=var_name)


MODELS: dict[str, dict[str, Any]] = {
    "ddm": {},
    "angle": {"theta": ("theta", 0.0, 1.3)},
    "weibull": {"alpha": ("alpha", 0.3, 5.0), "beta": ("beta", 0.3, 7.0)},
}
TRUTHS: dict[str, dict[str, float]] = {
    "ddm": {},
    "angle": {"theta": 0.7},
    "weibull": {"alpha": 4.0, "beta": 1.5},
}


# A model that does not fit has trials that rule its posterior.
@pytest.mark.filterwarnings("ignore:The Pareto k of")
@pytest.mark.slow
@pytest.mark.parametrize("generator", MODELS)
def test_comparison_picks_the_generator(generator: str) -> None:
    truth = {"v": 0.5, "a": 1.8, "z": 0.5, "t": 0.3, **TRUTHS[generator]}
    df = pl.simulate(generator, truth, n=2000, seed=5)
    found = {}
    for name, more in MODELS.items():
        with pm.Model() as model:
            v, a, t = pm.Normal("v", 0, 1), pm.Uniform("a", 0.3, 2.5), pm.Uniform("t", 0, 1)
            rest = {key: pm.Uniform(*each) for key, each in more.items()}
            pl.LANDist("obs", name, v=v, a=a, z=0.5, t=t, observed=df, **rest)
            idata = pm.sample(500, tune=500, chains=2, cores=1, target_accept=0.9, random_seed=1, progressbar=False)
        found[name] = pl.diagnostics.loo(idata, model)
    table = az.compare(found)
    print(f"\ntrials of {generator}:\n{table}")
    # By weight, not by rank: `ddm` is among the others (theta = 0), which predict its trials as well.
    assert table["weight"].idxmax() == generator
