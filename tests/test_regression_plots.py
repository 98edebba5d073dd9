"""Plots of regressions: that they show what they say, in numbers, and look as they did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytensor
import pytest
from images import TOLERANCE, baseline, difference, keep, render
from regression_draws import hand_made
from scipy.special import expit

import pymc_lan as pl
from pymc_lan.regressions.regression import Regression

N = 240


@pytest.fixture(autouse=True)
def _drawn_plainly() -> Iterator[None]:
    """Draw in matplotlib's own style, without a window, and close what was drawn; compile in no time."""
    mpl.use("Agg")
    with plt.style.context("default"), pytensor.config.change_flags(mode="FAST_COMPILE"):
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    table = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=N, seed=1)
    names = [f"s{i}" for i in range(8)]
    return table.assign(
        cue=np.tile(["easy", "hard"], N // 2),
        speed=np.tile(["fast", "fast", "slow"], N // 3),
        subject=np.repeat(names, N // 8),
    )


@pytest.fixture(scope="module")
def reg(df: pd.DataFrame) -> Regression:
    return pl.regression("ddm", df, v="cue * speed + (1 | subject)", a="speed", t=0.3)


def posterior(reg: Regression) -> Any:
    """Members 0.2 apart from each other, the first of whom is known badly."""
    v = np.array([1.0, -0.5, 0.2, 0.1])
    own = 1.0 + 0.2 * np.arange(-4, 4)
    noise = np.random.default_rng(2).normal(size=(2, 100, 8, 1)) * np.where(np.arange(8) == 0, 0.45, 0.1)[:, None]
    idata = hand_made(reg, n=100, sd=0.1, v=v, subject_sd=[0.5], subject_effects=own[:, None])
    idata.posterior["subject_effects"].values = own[:, None] + noise
    return idata


PLOTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "effects": lambda reg, idata, ax: pl.plots.effects(reg, idata, "v", members="subject", ax=ax),
    "shrinkage": lambda reg, idata, ax: pl.plots.shrinkage(reg, idata, "v", ax=ax),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_looks_as_it_did(name: str, reg: Regression) -> None:
    with pl.plots.paper():
        figure, ax = plt.subplots(layout="none")
        PLOTS[name](reg, posterior(reg), ax)
        found = render(figure)
    keep(name, found)
    assert difference(found, baseline(name)) < TOLERANCE


def test_effects_are_means_at_conditions(reg: Regression) -> None:
    v, a = pl.plots.effects(reg, posterior(reg))
    assert [v.get_ylabel(), v.get_xlabel(), a.get_ylabel(), a.get_xlabel()] == ["v", "cue", "a", "speed"]
    points = {line.get_label(): line.get_ydata() for line in v.lines}
    np.testing.assert_allclose(points["speed: fast"], [1.0, 0.5], atol=2e-3)
    np.testing.assert_allclose(points["speed: slow"], [1.2, 0.8], atol=2e-3)
    x = [line.get_xdata() for line in v.lines]
    assert (x[1] - x[0] > 0.1).all()
    # Whichever panel has a second condition, the legend says what its colours are.
    for names in (["v", "a"], ["a", "v"]):
        figure = pl.plots.effects(reg, posterior(reg), names)[0].figure
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["speed: fast", "speed: slow"]
    (one,) = pl.plots.effects(reg, posterior(reg), "v", by="speed").lines
    np.testing.assert_allclose(one.get_ydata(), [0.75, 1.0], atol=2e-3)  # averaged over both cues


def test_whiskers_and_members_are_theirs(reg: Regression) -> None:
    idata = posterior(reg)
    a = np.exp(idata.posterior["a"].to_numpy().reshape(-1, 2).cumsum(1))
    ax = pl.plots.effects(reg, idata, "a", prob=0.5)
    whiskers = np.array([path.vertices[:, 1] for path in ax.collections[0].get_paths()])
    np.testing.assert_allclose(whiskers, np.quantile(a, [0.25, 0.75], axis=0).T, rtol=0.01)
    ax = pl.plots.effects(reg, idata, "v", by="cue", members="subject", at={"speed": "fast"})
    own = sorted(line.get_ydata()[0] for line in ax.lines[1:])
    assert len(own) == 8
    np.testing.assert_allclose(own[-1], idata.posterior["subject_effects"].to_numpy()[:, :, 7].mean(), atol=5e-3)


def test_shrinkage_is_against_what_a_group_says_of_new_members(reg: Regression) -> None:
    ax = pl.plots.shrinkage(reg, posterior(reg), "v", at={"cue": "easy", "speed": "fast"}, prob=0.9)
    known = {line.get_label(): line for line in ax.lines}
    assert known["mean of the group"].get_ydata()[0] == pytest.approx(1.0, abs=2e-3)
    (band,) = ax.patches
    ends = [band.get_y(), band.get_y() + band.get_height()]
    np.testing.assert_allclose(ends, 1.0 + 0.5 * 1.645 * np.array([-1, 1]), atol=0.15)
    assert known["group says more"].get_xdata().tolist() == [0]
    assert len(known["own trials say more"].get_xdata()) == 7
    assert [label.get_text() for label in ax.get_xticklabels()] == [f"s{i}" for i in range(8)]


def test_cells_of_the_design_are_panels_and_answers_are_folded(df: pd.DataFrame) -> None:
    table = df.assign(right=df["response"] == np.where(df["speed"] == "slow", 1, -1))
    reg = pl.regression("ddm", table, v="0 + speed", a=1.0, t=0.3, accuracy="right", stimulus="speed")
    axes = pl.plots.predictive_cells(reg, hand_made(reg, n=50, v=[-1.0, 1.0]), last=10.0, n_bins=10)
    assert [ax.get_title() for ax in axes] == ["fast", "slow"]
    shares = {
        line.get_label(): (line.get_ydata() * 1.0).sum() for line in axes[0].lines if "model" in str(line.get_label())
    }
    assert shares["model, correct"] == pytest.approx(expit(2.0), abs=0.03)
    assert shares["model, error"] == pytest.approx(-expit(-2.0), abs=0.03)
    seen = [patch.get_data().values.sum() for patch in axes[0].patches if not patch.get_fill()]
    right = table["right"][df["speed"] == "fast"].mean()
    np.testing.assert_allclose(seen, [right, right - 1.0])
    cells = pl.plots.predictive_cells(reg, hand_made(reg, n=5, v=[-1.0, 1.0]), by=["speed", "right"])
    assert [ax.get_title() for ax in cells] == ["fast, False", "fast, True", "slow, False", "slow, True"]


def test_mistakes_are_explained(reg: Regression, df: pd.DataFrame) -> None:
    idata = posterior(reg)
    plain = pl.regression("ddm", df, v="1", a=1.0, t=0.3)
    for call, message in (
        (lambda: pl.plots.effects(plain, hand_made(plain)), "conditions to show"),
        (lambda: pl.plots.effects(reg, idata, "v", by=["cue", "speed", "subject"]), "one condition or two"),
        (lambda: pl.plots.shrinkage(reg, idata, "a"), "Unknown condition or group 'subject'"),
        (lambda: pl.plots.predictive_cells(reg, idata, by="cuee"), "Did you mean 'cue'"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    lba = pl.simulate("lba3", {"v0": 2.0, "v1": 1.0, "v2": 1.0, "A": 0.5, "b": 1.0, "t": 0.2}, n=10, seed=1)
    race = pl.regression("lba3", lba, formulas=dict.fromkeys(("v0", "v1", "v2", "b"), 1.0), A=0.5, t="1")
    ax = pl.plots.predictive_cells(race, hand_made(race, n=5))
    assert {line.get_label() for line in ax.lines} >= {"model, 0", "model, 1", "model, 2"}


def test_cells_know_omissions_and_what_was_lost() -> None:
    df = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=60, seed=1).astype({"response": float})
    df = df.mask(df["rt"] > 0.8).assign(end=0.8)
    late = df["rt"].isna().mean()
    reg = pl.regression("ddm", df, v="1", a=1.0, t=0.3, deadline="end")
    ax = pl.plots.predictive_cells(reg, hand_made(reg, n=5))
    assert ax.child_axes[-1].patches[0].get_height() == pytest.approx(late)
    assert next(line.get_xdata()[0] for line in ax.lines if line.get_label() == "deadline") == 0.8
    # Right or wrong, and no answer; a lost time leaves out its trial.
    right = df.assign(right=(df["response"] == 1).astype(float)).drop(columns="response")
    folded = pl.regression("ddm", right, v="1", a=1.0, t=0.3, deadline=0.8, accuracy="right")
    observed = folded.model.rvs_to_values[folded.model["obs"]].data
    np.testing.assert_array_equal(observed[:, 1], df["response"].fillna(0))
    names = {"df": right}
    exec(folded.code(), names)  # what a user is to do with it
    np.testing.assert_array_equal(names["model"].rvs_to_values[names["model"]["obs"]].data, observed)
    trials = folded.predict(hand_made(folded, n=5), kind="trials", seed=1)
    assert not trials["right"].to_numpy()[np.isinf(trials["rt"].to_numpy())].any()
    lost = df.assign(rt=df["rt"].where(df.index > 4, np.nan), response=df["response"].where(df.index > 4, 1.0))
    reg = pl.regression("ddm", lost, v="1", a=1.0, t=0.3, deadline="end", missing="lost")
    ax = pl.plots.predictive_cells(reg, hand_made(reg, n=5))
    assert ax.child_axes[-1].patches[0].get_height() == pytest.approx(df["rt"][5:].isna().mean())
