"""Families for bambi: its models have the density that one writes by hand, and its `interpret` reads their fits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest

import pymc_lan as pl

N = 60


@pytest.fixture(scope="module", autouse=True)
def _quickly_compiled() -> Iterator[None]:
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        yield


@pytest.fixture(scope="module")
def bmb() -> Any:
    # Two seconds, which those who collect this file and run others should not wait for.
    return pytest.importorskip("bambi", reason="needs the extra bambi")


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    cond = np.arange(N) % 2
    trials = pl.simulate("ddm", {"v": 0.4 + 0.7 * cond, "a": 1.1, "z": 0.5, "t": 0.3}, n=N, seed=1)
    # A text column would have bambi ask pandas for what pandas 4 will answer in another way.
    return trials.assign(cond=pd.Categorical(np.where(cond, "easy", "also")), x=np.linspace(-1, 1, N))


@pytest.fixture(scope="module")
def model(bmb: Any, df: pd.DataFrame) -> Any:
    formula = bmb.Formula("c(rt, response) ~ cond + x", "a ~ 0 + cond")
    built = bmb.Model(formula, df, family=pl.bambi_family("ddm", z=0.5, likelihood="exact"), center_predictors=False)
    built.build()
    return built


def log_density(built: Any, **effects: Any) -> float:
    """The log density of the trials at values of the effects."""
    inner = built.backend.model
    trials = inner["c(rt, response)"]
    shaped = {inner[name]: np.asarray(value, float) for name, value in effects.items()}
    names = [rv.name for rv in inner.free_RVs]
    density = pm.logp(trials, inner.rvs_to_values[trials]).sum()
    assert sorted(names) == sorted(effects)
    return float(density.eval(shaped))


def test_the_density_is_that_of_a_model_written_by_hand(model: Any, df: pd.DataFrame) -> None:
    easy = (df["cond"] == "easy").to_numpy()
    found = log_density(model, Intercept=0.4, cond=[0.7], x=-0.3, a_cond=[0.1, -0.2], t=0.25)
    v = 0.4 + 0.7 * easy - 0.3 * df["x"].to_numpy()
    by_hand = pl.DDM.dist(v, np.exp(np.where(easy, -0.2, 0.1)), 0.5, 0.25, likelihood="exact")
    np.testing.assert_allclose(found, pm.logp(by_hand, df[["rt", "response"]].to_numpy()).eval().sum(), rtol=1e-10)


def test_go_no_go(bmb: Any, df: pd.DataFrame) -> None:
    pressed = (df["response"] == 1) & (df["rt"] <= 1.5)
    table = df.assign(rt=df["rt"].where(pressed, np.inf), response=pressed.astype(int), target=np.arange(N) % 2)
    family = pl.bambi_family("ddm", go_nogo=True, likelihood="exact", z=0.5, a=1.0, t=0.25, deadline=1.5, p_lapse=0.05)
    built = bmb.Model("c(rt, response) ~ target", table, family=family, center_predictors=False)
    built.build()
    v = -0.5 + 1.5 * table["target"].to_numpy()
    by_hand = pl.GoNoGo.dist(
        "ddm", v, 1.0, 0.5, 0.25, trial_type=None, deadline=1.5, p_lapse=0.05, likelihood="exact", shape=(N, 2)
    )
    matrix = np.asarray(pl.as_observed(table, go_nogo=True))
    expected = pm.logp(by_hand, matrix).eval().sum()
    np.testing.assert_allclose(log_density(built, Intercept=-0.5, target=1.5), expected, rtol=1e-10)


@pytest.mark.usefixtures("bmb")
def test_links_end_where_the_network_was_trained() -> None:
    links = pl.bambi_family("ddm").link
    for name, (low, high) in {"v": (-6, 6), "a": (0.3, 4), "z": (0.01, 0.99), "t": (0, 2)}.items():
        ends = links[name].linkinv(np.array([-1e3, 1e3]))
        assert low <= ends[0] < ends[1] <= high
        np.testing.assert_allclose(ends, (low, high), atol=1e-5)
        backend = links[name].linkinv_backend(pytensor.tensor.as_tensor(0.3)).eval()
        np.testing.assert_allclose(backend, links[name].linkinv(0.3))
    np.testing.assert_allclose([links["v"].linkinv(0.5), links["a"].linkinv(np.log(1.2))], [0.5, 1.2], rtol=1e-3)


@pytest.fixture(scope="module")
def fit(model: Any, df: pd.DataFrame) -> Any:
    idata = model.fit(
        draws=10, tune=10, chains=1, random_seed=1, progressbar=False, inference_method="pymc",
        compute_convergence_checks=False, nuts={"max_treedepth": 3},
    )  # fmt: skip
    # As in docs/hierarchical.md.
    idata["data"] = df.rename_axis("__obs__").to_xarray()
    return idata


def test_interpret_reads_a_fit(model: Any, fit: Any) -> None:
    from bambi import interpret

    effects = {name: fit["posterior"][name].to_numpy().reshape(10, -1).mean(axis=0) for name in fit["posterior"]}
    found = interpret.predictions(model, fit, conditional={"cond": ["also", "easy"], "x": [0.5]}).summary
    also = effects["Intercept"] + 0.5 * effects["x"]
    np.testing.assert_allclose(found["estimate"], [*also, *(also + effects["cond"])])
    found = interpret.comparisons(model, fit, contrast={"cond": ["also", "easy"]}, average_by="x").summary
    np.testing.assert_allclose(found["estimate"], np.full(len(found), effects["cond"][0]))
    found = interpret.slopes(model, fit, wrt={"x": 0.0}, average_by="cond").summary
    np.testing.assert_allclose(found["estimate"], np.full(2, effects["x"][0]), rtol=1e-4)
    found = interpret.predictions(model, fit, conditional={"cond": ["also", "easy"]}, target="a").summary
    np.testing.assert_allclose(found["estimate"], np.exp(fit["posterior"]["a_cond"]).mean(("chain", "draw")))


def test_trials_are_predicted_of_new_rows(model: Any, fit: Any, df: pd.DataFrame) -> None:
    drawn = model.predict(fit, kind="response", data=df.head(7), inplace=False, random_seed=1)
    trials = drawn["posterior_predictive"]["c(rt, response)"]
    assert trials.shape == (1, 10, 7, 2)
    assert trials.coords["c(rt, response)_dim"].to_numpy().tolist() == ["rt", "response"]
    assert set(np.unique(trials[..., 1])) == {-1.0, 1.0}
    assert (trials[..., 0].min(("draw", "__obs__")) > fit["posterior"]["t"].min("draw")).all()


REFUSED = {
    "trial types": ({"go_nogo": True, "trial_type": ["go"]}, "write types of trials into the formula of v"),
    "an unknown one": ({"dead_line": 1.0}, "Unknown argument 'dead_line' of pl.bambi_family.*Did you mean 'deadline'"),
    "one a trial": ({"go_nogo": True, "deadline": [1.0, 2.0]}, r"one deadline for all trials.*of shape \(2,\)"),
    "a column": ({"rt_interval": "wide"}, "one rt_interval for all trials.*rt_interval='wide'"),
    "no window": ({"p_lapse": 0.05}, "lapse_window beside p_lapse"),
    "all fixed": ({"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, "a parameter to estimate"),
    "a parent": ({"parent": "b"}, "Unknown parameter 'b' of the family of 'ddm'"),
    "a link": ({"links": {"w": "identity"}}, "Unknown parameter 'w' of the family of 'ddm'"),
}


def test_what_is_seen_in_part(bmb: Any, df: pd.DataFrame) -> None:
    """A time that was lost is -1, for bambi leaves out rows of empty cells; limits and intervals go with it."""
    table = df.assign(rt=df["rt"].where(df.index > 4, -1.0))
    given = {"missing": "lost", "rt_interval": 0.05, "truncation": (0.1, None)}
    family = pl.bambi_family("ddm", likelihood="exact", z=0.5, a=1.0, t=0.25, **given)
    built = bmb.Model("c(rt, response) ~ x", table, family=family, center_predictors=False)
    built.build()
    by_hand = pl.DDM.dist(0.4 + 0.5 * table["x"].to_numpy(), 1.0, 0.5, 0.25, likelihood="exact", shape=(N, 2), **given)
    expected = pm.logp(by_hand, table[["rt", "response"]].to_numpy()).eval().sum()
    np.testing.assert_allclose(log_density(built, Intercept=0.4, x=0.5), expected, rtol=1e-10)


@pytest.mark.usefixtures("bmb")
@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pl.bambi_family("ddm", **arguments)


def test_without_bambi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bambi", None)
    with pytest.raises(ImportError, match=r"Expected bambi.*pip install 'pymc-lan\[bambi\]'"):
        pl.bambi_family("ddm")
