"""Distributions of more than two choices in PyMC models: data, arguments, lapses, draws, a sampler, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from backends import AS_WRITTEN

import pymc_lan as pl

FAST = {"mode": AS_WRITTEN}
LBA: dict[str, Any] = {"A": 0.3, "b": 0.5, "v0": 0.6, "v1": 0.4, "v2": 0.3, "t": 0.1}
TRIALS = pl.simulate("lba3", LBA, n=60, seed=1)
CLOSED = {
    "lba2": pl.LBA2,
    "lba3": pl.LBA3,
    "lba4": pl.LBA4,
    "rdm3": pl.RDM3,
    "poisson_race": pl.PoissonRace,
}
LEARNED = {
    "race_3": pl.Race3,
    "race_4": pl.Race4,
    "race_no_bias_angle_3": pl.RaceNoBiasAngle3,
    "race_no_bias_angle_4": pl.RaceNoBiasAngle4,
}
RACES = CLOSED | LEARNED
DRIFTS: dict[str, Any] = {"v0": 1.5, "v1": 0.5, "v2": 1.0}
RACE3: dict[str, Any] = DRIFTS | {"a": 1.5, "z0": 0.2, "z1": 0.5, "z2": 0.0, "t": 0.1}


def typical(model: str) -> dict[str, float]:
    return {p.name: (p.bounds[0] + p.bounds[1]) / 2 for p in pl.get_model(model).parameters}


def kind(model: str) -> str:
    return "exact" if model in CLOSED else "lan"


@pytest.mark.parametrize("model", RACES)
def test_named_ones_know_their_likelihood_without_saying_so(model: str) -> None:
    theta = typical(model)
    draws = pm.draw(RACES[model].dist(**theta, shape=(40, 2)), random_seed=1, **FAST)
    assert set(draws[:, 1]) <= set(pl.get_model(model).choices)
    assert (draws[:, 0] > theta["t"]).all()
    said = [
        pm.logp(dist, draws).eval(**FAST)
        for dist in (
            RACES[model].dist(**theta),
            RACES[model].dist(*theta.values(), likelihood=kind(model)),
            pl.LANDist.dist(pl.get_model(model), **theta),
        )
    ]
    assert np.isfinite(said[0]).all()
    assert (said[0] == said[1]).all()
    assert (said[0] == said[2]).all()


def test_parameters_are_in_the_order_of_hssm() -> None:
    assert pl.get_model("lba3").names == ("A", "b", "v0", "v1", "v2", "t")
    assert pl.get_model("rdm3").names == ("A", "b", "v0", "v1", "v2", "t")
    assert pl.get_model("poisson_race").names == ("r1", "r2", "k1", "k2", "t")
    assert pl.get_model("race_3").names == ("v0", "v1", "v2", "a", "z0", "z1", "z2", "t")
    assert pl.get_model("race_no_bias_angle_4").names == ("v0", "v1", "v2", "v3", "a", "z", "t", "theta")
    assert pl.get_model("lba2").parameter("t").default == 0.0


def test_they_are_listed() -> None:
    table = pl.list_models().set_index("model")
    assert table.loc["lba4", "choices"] == (0, 1, 2, 3)
    assert table.loc["lba4", "registry"] == "closed form"
    assert table.loc["lba4", "sha256"] == ""
    assert table.loc["race_4", "choices"] == (0, 1, 2, 3)
    # One accumulator's networks, whatever the race.
    assert len(set(table.loc[list(LEARNED), "sha256"])) == 1


def test_lapses_are_uniform_over_choices_and_leave_the_mass_alone() -> None:
    window, p_lapse = 4.0, 0.2
    rt = np.linspace(1e-4, 60, 40_001)
    rows = np.concatenate([np.column_stack([rt, np.full(rt.shape, code)]) for code in (0, 1, 2)])
    mixed, pure = (
        np.exp(pm.logp(pl.LBA3.dist(**LBA, p_lapse=p, lapse_window=window), rows).eval(**FAST)).reshape(3, -1)
        for p in (p_lapse, 0.0)
    )
    mass = np.trapezoid(mixed, rt, axis=1)
    expected = (1 - p_lapse) * np.trapezoid(pure, rt, axis=1) + p_lapse / 3
    np.testing.assert_allclose(mass, expected, atol=2e-5)
    # The slowest trials take longer than 60 s: no mass is in the other responses.
    assert mass.sum() == pytest.approx(1, abs=1e-3)


def test_lapses_are_drawn_of_every_choice() -> None:
    guesses = pl.LBA3.dist(**LBA, p_lapse=1.0, lapse_window=0.05, shape=(6000, 2))
    draws = pm.draw(guesses, random_seed=1, **FAST)
    assert (draws[:, 0] < 0.05).all()
    share = np.bincount(draws[:, 1].astype(int), minlength=3) / 6000
    np.testing.assert_allclose(share, 1 / 3, atol=4 * np.sqrt(2 / 9 / 6000))


def test_other_responses_have_density_zero() -> None:
    value = pm.logp(pl.LBA3.dist(**LBA), [[0.8, 3.0], [0.8, -1.0], [0.8, 0.5], [np.inf, 0.0]]).eval(**FAST)
    assert (value == -np.inf).all()


def test_parameters_may_differ_between_trials() -> None:
    v0 = np.linspace(0.2, 0.8, 5)
    rows = np.column_stack([np.full(5, 0.8), np.array([0, 1, 2, 0, 1.0])])
    together = pm.logp(pl.LBA3.dist(**{**LBA, "v0": v0}), rows).eval(**FAST)
    alone = [pm.logp(pl.LBA3.dist(**{**LBA, "v0": v}), row).eval(**FAST) for v, row in zip(v0, rows, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def observed(table: Any, **kwargs: Any) -> Any:
    def call() -> None:
        with pm.Model():
            pl.LBA3("obs", **LBA, observed=table, **kwargs)

    return call


ERRORS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "no network": (lambda: pl.LBA3.dist(**LBA, likelihood="lan"), ("has no network", "likelihood='lan'")),
    "weights": (lambda: pl.LBA3.dist(**LBA, weights="ddm"), ("has no network", "Found weights")),
    "another likelihood": (lambda: pl.LBA3.dist(**LBA, likelihood="exct"), ("Did you mean 'exact'",)),
    "threshold below the start": (lambda: pl.LBA3.dist(**{**LBA, "b": 0.2}), ("b of 'lba3' to be at least A", "0.2")),
    "the same, simulated": (lambda: pl.simulate("lba3", {**LBA, "b": 0.2}), ("b of 'lba3' to be at least A",)),
    "outside the domain": (lambda: pl.LBA3.dist(**{**LBA, "A": -0.1}), ("A within the model's domain", "-0.1")),
    "a drift below zero": (
        lambda: pl.RDM3.dist(A=0.5, b=1.5, v0=-1.0, v1=1.0, v2=1.0, t=0.2),
        ("v0 within the model's domain",),
    ),
    "responses counted from 1": (
        observed(TRIALS.assign(response=TRIALS["response"] + 1)),
        ("the response codes 0, 1, 2", "Found unknown response codes 3", "df['response'] - 1"),
    ),
    "other responses": (observed(pd.DataFrame({"rt": [0.5], "response": [-1]})), ("0, 1, 2", "codes -1")),
    "go/no-go": (lambda: pl.GoNoGo.dist("lba2", 0.3, 0.5, 0.6, 0.4), ("a drift v", "LANDist")),
    "the closed form of a network": (
        lambda: pl.Race3.dist(**RACE3, likelihood="exact"),
        ("a model with a closed form", "'race_3'"),
    ),
    "outside the trained bounds": (
        lambda: pl.Race3.dist(**{**RACE3, "a": 0.5}),
        ("a within the network's trained bounds, 1 to 3", "0.5"),
    ),
    "a start at the boundary": (lambda: pl.simulate("race_3", {**RACE3, "z1": 1.0}), ("z1 strictly between 0 and 1",)),
    "an ONNX graph of a race": (lambda: pl.export("race_3", "nowhere"), ("race_3@1.0", "use format='orbax'")),
    "a cluster for nothing": (
        lambda: pl.train("race_3", "nowhere", scheduler="tcp://nowhere:1", progress=False),
        ("something for a cluster to do", "of 'race_3'"),
    ),
    "training": (lambda: pl.train("lba2", "nowhere", progress=False), ("or one to train", "'lba2', a closed form")),
}


@pytest.mark.parametrize(("call", "messages"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_are_sentences(call: Any, messages: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"Expected|Unknown") as caught:
        call()
    for message in messages:
        assert message in str(caught.value)


def test_posterior_of_a_small_data_set() -> None:
    """A sampler, prediction and pointwise likelihood, from a table."""
    df = pl.simulate("lba3", LBA, n=300, seed=2)
    with pm.Model() as model:
        drifts = {f"v{i}": pm.HalfNormal(f"v{i}", 1) for i in range(3)}
        pl.LBA3("obs", A=0.3, b=0.5, **drifts, t=0.1, observed=df)
        options = {"chains": 1, "cores": 1, "progressbar": False, "random_seed": 1, "backend": "jax"}
        idata = pm.sample(200, tune=200, compute_convergence_checks=False, **options)
        pm.sample_posterior_predictive(idata, extend_inferencedata=True, progressbar=False, random_seed=1)
    posterior = idata["posterior"]
    for name in drifts:
        draws = posterior[name].values
        assert abs(draws.mean() - LBA[name]) < 4 * draws.std(), name
    assert posterior["v0"].values.mean() > posterior["v2"].values.mean()
    predicted = idata["posterior_predictive"]["obs"].values[..., 1]
    shares = np.bincount(predicted.astype(int).ravel(), minlength=3) / predicted.size
    np.testing.assert_allclose(shares, df["response"].value_counts(normalize=True).sort_index(), atol=0.1)
    assert model["obs"].type.shape == (300, 2)


@pytest.mark.slow
def test_posterior_mode_of_a_race_of_networks() -> None:
    """Fitted by gradients: the parameters that the trials were drawn with."""
    df = pl.simulate("race_3", RACE3, n=2000, seed=3)
    with pm.Model() as model:
        drifts = {f"v{i}": pm.Uniform(f"v{i}", 0, 2.5) for i in range(3)}
        pl.Race3("obs", **drifts, a=1.5, z0=0.2, z1=0.5, z2=0.0, t=0.1, p_lapse=0.01, observed=df)
    found = pl.fit_map(model)
    assert found.converged
    # A path that is seen for d seconds has information d on its drift. Decisions take 0.4 s; where another accumulator
    # won, only that the boundary was not reached is seen, here taken as a fifth of it: four standard errors.
    for name, value in DRIFTS.items():
        assert found.point[name] == pytest.approx(value, abs=4 / np.sqrt(2000 * 0.4 / 5)), name
