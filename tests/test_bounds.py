"""Draws outside the bounds: what predictions and comparisons say of them, and when they are silent."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import arviz as az
import numpy as np
import pymc as pm
import pytest

import pymc_lan as pl
from pymc_lan.networks.bounds import say_outside

# A version whose bounds this release has widened.
NARROW = "ddm@1.0"
WIDER = "use the default version of 'ddm', whose bounds are wider"
ROWS = [[0.5, 1.0], [0.9, -1.0], [0.7, 1.0]]


def two_choices(v: Any) -> None:
    pl.DDM("obs", v, 1.0, 0.5, 0.3, observed=ROWS, weights=NARROW)


def by_trial(v: Any) -> None:
    """Without a closed form to name, and with values by trial."""
    pl.Weibull("obs", v * np.array([0.0, 0.5, 1.0]), 1.0, 0.5, 0.3, 2.0, 2.0, observed=ROWS)


@pytest.mark.parametrize(
    ("add", "bound", "remedy", "mode"),
    [
        (two_choices, 3, f"{WIDER}, or use likelihood='exact', or give priors", None),
        (by_trial, 2.5, "Remedy: give priors that stay inside", "FAST_COMPILE"),
    ],
)
def test_predictions_from_outside_the_bounds_say_so(add: Any, bound: float, remedy: str, mode: str | None) -> None:
    """At the first draw outside and, with the share so far, whenever the number of draws is a power of ten."""
    v = np.full(120, 1.0)
    v[[3, 7, 50, 51, 52, 110]] = bound + 0.5  # 1 of 4, 2 of 10, 5 of 100
    with pm.Model():
        add(pm.Normal("v", 0, 5))
        with pytest.warns(UserWarning, match="Expected posterior draws") as caught:
            pm.sample_posterior_predictive(
                az.from_dict({"posterior": {"v": v[None]}}),
                progressbar=False,
                random_seed=1,
                compile_kwargs={} if mode is None else {"mode": mode},
            )
    texts = [str(each.message) for each in caught]
    assert [text.split("Found ")[1].split(" draws")[0] for text in texts] == [
        "v outside in 25 % of 4",
        "v outside in 20 % of 10",
        "v outside in 5 % of 100",
    ]
    assert all(
        f"posterior draws with v within {-bound} to {bound}, where the network" in text and remedy in text
        for text in texts
    )
    assert {each.filename for each in caught} == {__file__}


def test_priors_and_plain_draws_are_silent() -> None:
    with pm.Model() as model, warnings.catch_warnings():
        warnings.simplefilter("error")
        two_choices(pm.Normal("v", 0, 10))
        pm.sample_prior_predictive(50, random_seed=1)
        pm.draw(model["obs"], 20, random_seed=1)
        idata = az.from_dict({"posterior": {"v": np.full((1, 20), 2.9)}})
        pm.sample_posterior_predictive(idata, progressbar=False, random_seed=1)


def test_the_closed_form_is_bounded_by_the_model_alone() -> None:
    with pm.Model(), warnings.catch_warnings():
        warnings.simplefilter("error")
        pl.DDM("obs", pm.Normal("v", 0, 10), 1.0, 0.5, 0.3, observed=ROWS, likelihood="exact")
        idata = az.from_dict({"posterior": {"v": np.full((1, 20), 9.0)}})
        pm.sample_posterior_predictive(idata, progressbar=False, random_seed=1)


def test_another_version_is_named_only_where_it_would_help() -> None:
    spec, lan = pl.load_network(NARROW).spec, object()
    own = replace(spec, parameters=(*spec.parameters, replace(spec.parameters[0], name="w")))
    for one, network, name in ((spec, None, "a"), (own, lan, "w"), (spec, lan, "t")):
        op = SimpleNamespace(spec=one, lan=network, observation=SimpleNamespace(is_known=lambda _: False))
        assert "default version" not in say_outside(op, {name: 0.5}, 10)
        assert (WIDER in say_outside(op, {"a": 0.5}, 10)) == (network is not None)


def test_a_comparison_of_draws_outside_or_of_chains_apart_says_so() -> None:
    rng = np.random.default_rng(1)
    with pm.Model() as model:
        two_choices(pm.Normal("v", 0, 10))
    with pytest.warns(UserWarning, match="v outside in 100 % of 1000 draws"):
        pl.diagnostics.loo(az.from_dict({"posterior": {"v": rng.normal(3.5, 0.01, (4, 250))}}), model)
    posterior = {"v": rng.normal([[0.9], [1.1]], 0.02, (2, 500))}
    with pytest.warns(UserWarning, match=r"The chains have not met: R-hat is up to .* \(v;"):
        pl.diagnostics.loo(az.from_dict({"posterior": posterior}), model)


@pytest.mark.slow
def test_a_posterior_that_is_cut_at_a_bound_is_told() -> None:
    """400 trials of an easy task: the closed form finds v = 4.5, the network's posterior ends at 3."""
    df = pl.simulate("ddm", {"v": 4.5, "a": 0.9, "z": 0.5, "t": 0.3}, n=400, seed=1)
    with pm.Model() as model:
        v, a, t = pm.Normal("v", 0, 5), pm.HalfNormal("a", 2), pm.HalfNormal("t", 0.5)
        pl.DDM("obs", v=v, a=a, z=0.5, t=t, observed=df, weights=NARROW)
        idata = pm.sample(draws=1000, tune=1000, chains=2, cores=1, progressbar=False, random_seed=1)
        with pytest.warns(UserWarning, match=r"v within -3 to 3.*v outside in .*'ddm'"):
            pm.sample_posterior_predictive(idata, progressbar=False, random_seed=1)
    assert float(idata.posterior["v"].mean()) < 3.3
    found = pl.check(idata, model)
    assert "v within -3 to 3" in found.verdict
    assert "are right" not in found.verdict
