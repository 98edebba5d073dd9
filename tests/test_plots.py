"""Plots: pictures against baselines, what is drawn against the numbers, and what they refuse."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import arviz as az
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import oracle
import pandas as pd
import pymc as pm
import pytest
from images import TOLERANCE, baseline, difference, keep, render
from matplotlib.colors import to_hex
from scipy.stats import gamma, lognorm
from xarray import Dataset, DataTree

import pymc_lan as pl
from pymc_lan.models.race.catalogue import log_normal_race
from pymc_lan.plots import style

N = 240
PARAMS = {"v": 1.0, "a": 1.2, "z": 0.5, "t": 0.3}


@pytest.fixture(autouse=True)
def default_style() -> Iterator[None]:
    """Draw in matplotlib's own style, without a window, and close what was drawn."""
    mpl.use("Agg")
    with plt.style.context("default"):
        yield
    plt.close("all")


def trials(seed: int, n: int = N) -> pd.DataFrame:
    """Two-choice trials of three cues and two subjects, drawn by NumPy alone."""
    rng = np.random.default_rng(seed)
    cue = np.resize(["easy", "middle", "hard"], n)
    strength = np.select([cue == "easy", cue == "middle"], [0.9, 0.75], 0.6)
    rt = 0.3 + rng.gamma(3, 0.4 - 0.3 * strength)
    response = np.where(rng.random(n) < strength, 1, -1)
    return pd.DataFrame({"rt": rt, "response": response, "cue": cue, "subject": np.repeat([2, 1], n // 2)})


def pressed(seed: int, n: int = N) -> pd.DataFrame:
    """Go/no-go trials: presses on most go trials and some no-go trials."""
    rng = np.random.default_rng(seed)
    kind = np.resize(["go", "no-go"], n)
    rt = np.where(rng.random(n) < np.where(kind == "go", 0.85, 0.2), 0.25 + rng.gamma(3, 0.12, n), np.nan)
    return pd.DataFrame({"rt": rt, "trial_type": kind, "subject": np.repeat([2, 1], n // 2)})


def predicted(make: Callable[[int], pd.DataFrame], n: int = 40) -> Any:
    """Draws of the trials, as a posterior predictive group has them."""
    go_nogo = make is pressed
    draws = np.stack([pl.as_observed(make(100 + k), go_nogo=go_nogo) for k in range(n)])
    return az.from_dict({"posterior_predictive": {"obs": draws.reshape(2, n // 2, N, 2)}})


def posterior(seed: int, n: int = 200) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: value + 0.03 * rng.standard_normal((2, n // 2)) for name, value in PARAMS.items()}


def estimates(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([rng.uniform(0, 2, 30), rng.uniform(0.2, 0.4, 30)])
    sd = np.repeat([0.2, 0.02], 30)
    mean = truth + sd * rng.standard_normal(60)
    columns = {"parameter": np.repeat(["v", "t"], 30), "truth": truth, "mean": mean}
    return pd.DataFrame(columns | {"low": mean - 1.64 * sd, "high": mean + 1.64 * sd})


def field() -> Any:
    with pm.Model():
        return pl.wishart_field("W", 1)


def weights(seed: int, n: int = 40) -> np.ndarray:
    """Draws of the weights of a field around others, which are returned where there is one."""
    rng = np.random.default_rng(seed)
    some = rng.normal(0, 0.08, (1, 2, 2, 2, 3))
    return some if n == 1 else some + rng.normal(0, 0.01, (n, 2, 2, 2, 3))


# Name: panels as (rows, columns), and the plot on axes, of data from a seed.
PLOTS: dict[str, tuple[tuple[int, int], Callable[[Any, int], Any]]] = {
    "predictive": (
        (1, 3),
        lambda ax, seed: pl.plots.predictive(predicted(trials), trials(seed), condition="cue", n_bins=15, ax=ax),
    ),
    "predictive_grid": (
        (2, 3),
        lambda ax, seed: pl.plots.predictive(
            predicted(trials), trials(seed), condition="subject", col="cue", n_bins=10, ax=ax
        ),
    ),
    "predictive_gonogo": (
        (1, 2),
        lambda ax, seed: pl.plots.predictive_gonogo(
            predicted(pressed), pressed(seed), condition="trial_type", n_bins=15, last=1.5, ax=ax
        ),
    ),
    "quantile_probability": (
        (1, 1),
        lambda ax, seed: pl.plots.quantile_probability(predicted(trials), trials(seed), condition="cue", ax=ax),
    ),
    "conditional_accuracy": (
        (1, 2),
        lambda ax, seed: pl.plots.conditional_accuracy(
            predicted(trials), trials(seed), condition="cue", col="subject", n_bins=4, ax=ax
        ),
    ),
    "delta": (
        (1, 1),
        lambda ax, seed: pl.plots.delta(
            predicted(trials), trials(seed), condition="cue", compare=("hard", "easy"), subject="subject", ax=ax
        ),
    ),
    "cartoon": (
        (1, 1),
        lambda ax, seed: pl.plots.cartoon("ddm", posterior(seed), trials=trials(seed), seed=seed, ax=ax),
    ),
    "network": (
        (1, 2),
        lambda ax, seed: pl.plots.network("ddm", {"a": 1.0, "t": 0.3}, "v", [0.0, 2.0], n=2000, seed=10 * seed, ax=ax),
    ),
    "choice_probabilities": (
        (1, 1),
        lambda ax, seed: pl.plots.choice_probabilities(
            "ddm", {"t": 0.3}, levels=[0.8, 1.6], deadline=1.0, n=40, seed=seed, ax=ax
        ),
    ),
    "ellipses": (
        (1, 1),
        lambda ax, seed: pl.plots.ellipses(field(), weights(seed), truth=weights(seed, n=1)[0], ax=ax),
    ),
    "ranks": ((1, 2), lambda ax, seed: pl.plots.ranks(study(seed, 0.6), ax=ax)),
    "contraction": ((1, 2), lambda ax, seed: pl.plots.contraction(study(seed, 0.6), ax=ax)),
    "recovery": ((1, 2), lambda ax, seed: pl.plots.recovery(estimates(seed), parameter="parameter", ax=ax)),
}


def picture(name: str, seed: int) -> np.ndarray:
    (n_rows, n_cols), plot = PLOTS[name]
    with pl.plots.paper():
        width = plt.rcParams["figure.figsize"][0]
        # Without a layout engine, whose margins depend on type.
        figure, axes = plt.subplots(n_rows, n_cols, squeeze=False, figsize=(width, 1.6 * n_rows + 0.4), layout="none")
        plot(axes if axes.size > 1 else axes.item(), seed)
        return render(figure)


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_looks_as_it_did(name: str) -> None:
    found = picture(name, seed=1)
    keep(name, found)
    assert difference(found, baseline(name)) < TOLERANCE


@pytest.mark.parametrize("name", PLOTS)
def test_other_data_look_different(name: str) -> None:
    assert difference(picture(name, seed=2), baseline(name)) > 2 * TOLERANCE


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_makes_its_own_axes(name: str) -> None:
    with pl.plots.paper("double"):
        axes = PLOTS[name][1](None, 1)
        figure = np.ravel(axes)[0].figure
        assert round(25.4 * figure.get_size_inches()[0]) == 180
        figure.draw_without_rendering()
        extent = figure.get_tightbbox()
    # Nothing is cut off; a hundredth of an inch is less than a line's width.
    assert extent.x0 > -0.01
    assert extent.y0 > -0.01
    assert extent.x1 < figure.get_size_inches()[0] + 0.01
    assert extent.y1 < figure.get_size_inches()[1] + 0.01
    sizes = [text.get_fontsize() for text in figure.findobj(mpl.text.Text) if text.get_text() and text.get_visible()]
    assert min(sizes) >= 5.9


def drawn(axes: Any) -> Any:
    """The figure, when everything has its place; nothing is cut off."""
    figure = np.ravel(axes)[0].figure
    figure.draw_without_rendering()
    extent, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(extent.x0, extent.y0, width - extent.x1, height - extent.y1) > -0.01
    return figure


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_a_legend_is_as_wide_as_the_figure_at_most(n: int) -> None:
    """At 85 mm; the two responses of a condition stand one below the other."""
    df = trials(1).assign(cue=np.resize([f"level {k}" for k in range(n)], N))
    with pl.plots.paper():
        ax = pl.plots.quantile_probability(None, df, condition="cue")
        (legend,) = drawn(ax).legends
    corners = {text.get_text(): text.get_window_extent().x0 for text in legend.get_texts() if text.get_text()}
    assert len(corners) == 2 * n
    for k in range(n):
        assert corners[f"upper, level {k}"] == pytest.approx(corners[f"lower, level {k}"])
    assert len({round(x) for x in corners.values()}) == {2: 2, 3: 3, 5: 3, 7: 3}[n]


def four() -> pd.DataFrame:
    """Estimates of four parameters."""
    return pd.concat([estimates(1), estimates(2).replace({"v": "a", "t": "z"})])


@pytest.mark.parametrize("width", ["single", "double"])
def test_what_recovery_writes_is_over_no_point(width: str) -> None:
    with pl.plots.paper(width):
        axes = pl.plots.recovery(four(), parameter="parameter")
        figure = drawn(axes)
    for ax in axes:
        (text,) = ax.texts
        assert text.get_window_extent().y0 > ax.get_window_extent().y1
        assert text.get_window_extent().y1 < ax.title.get_window_extent().y0
    # Panels have room for their labels.
    assert len({ax.get_subplotspec().colspan.start for ax in axes}) == (2 if width == "single" else 4)
    boxes = [ax.get_tightbbox() for ax in axes]
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
    assert figure.axes == list(axes)


def study(seed: int = 3, most: float = 0.1) -> DataTree:
    """What `sbc` returns, of 200 simulations: a skewed posterior, of which Normal whiskers would cover too few."""
    rng, n = np.random.default_rng(seed), 200
    truth = rng.normal(size=(1, n, 2))
    pit = rng.uniform(size=truth.shape)
    sd = rng.uniform(0.1, most, truth.shape)
    groups = {"prior_sbc": pit, "prior": truth, "posterior_mean": truth - 0.3 * (pit - 0.5), "posterior_sd": sd}
    dims, coords = ("chain", "draw", "who"), {"who": ["ann", "bob"]}
    tree = {name: Dataset({"v": (dims, x)}, coords=coords) for name, x in groups.items()}
    return DataTree.from_dict(tree | {"sample_stats": Dataset({"r_hat": (dims[:2], np.ones((1, n)))})})


def test_recovery_takes_a_study() -> None:
    dt = study()
    table = pl.diagnostics.recovery(dt)
    axes = pl.plots.recovery(dt)
    assert [ax.get_title() for ax in axes] == ["v[ann]", "v[bob]"]
    for k, ax in enumerate(axes):
        # The exact count, by the posterior's own shares.
        inside = int(np.sum(np.abs(dt["prior_sbc"]["v"].to_numpy()[0, :, k] - 0.5) <= 0.45))
        assert ax.texts[0].get_text().endswith(f"{inside} of 200 cover")
        assert table.loc[ax.get_title(), "coverage_90"] == pytest.approx(inside / 200)
        blue, red = (line for line in ax.lines if line.get_marker() in "oX")
        assert (len(blue.get_xdata()), len(red.get_xdata())) == (inside, 200 - inside)
        low, high = ax.collections[0].get_segments()[0][:, 1]
        assert high - low == pytest.approx(2 * 1.644854 * 0.1, rel=1e-3)
    with pytest.raises(ValueError, match=r"Expected the result of pl.diagnostics.sbc. Found no group prior_sbc"):
        pl.plots.recovery(DataTree())


def test_figures_of_a_study_show_its_numbers() -> None:
    dt = study(most=0.6)
    dt["posterior_sd"]["v"][0, :20] = 0.02
    for k, (ax, other) in enumerate(zip(pl.plots.ranks(dt, bins=5), pl.plots.contraction(dt), strict=True)):
        pit, truth, mean, sd = (
            dt[name]["v"].to_numpy()[0, :, k] for name in ("prior_sbc", "prior", "posterior_mean", "posterior_sd")
        )
        counts = [bar.get_height() for bar in ax.patches if bar.get_width() < 0.5]
        assert counts == [int(((pit >= i / 5) & (pit < (i + 1) / 5)).sum()) for i in range(5)]
        drawn = np.concatenate([np.column_stack(line.get_data()) for line in other.lines[1:]])
        expected = np.column_stack([1 - sd**2 / np.var(truth, ddof=1), (mean - truth) / sd])
        np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))
        red = other.lines[2].get_ydata()
        assert 0 < len(red) == (np.abs(expected[:, 1]) > 2.576).sum()
    for plot in (pl.plots.ranks, pl.plots.contraction):
        with pytest.raises(ValueError, match=r"Expected the result of pl.diagnostics.sbc"):
            plot(DataTree())


def test_colours_are_told_apart() -> None:
    # Okabe & Ito's palette, as published: https://jfly.uni-koeln.de/color.
    published = {
        (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0),
    }  # fmt: skip
    assert {tuple(bytes.fromhex(to_hex(each)[1:])) for each in style.COLOURS} == published


def test_a_histogram_is_that_of_the_panel() -> None:
    df = trials(1)
    axes = pl.plots.predictive(None, df, condition="subject", col="cue", n_bins=5, last=2.0)
    assert axes.shape == (2, 3)
    for i, subject in enumerate([1, 2]):
        for j, cue in enumerate(["easy", "middle", "hard"]):
            mine = df[(df["subject"] == subject) & (df["cue"] == cue)]
            edges = np.linspace(0, 2, 6)
            outlines = [patch for patch in axes[i, j].patches if not patch.get_fill()]
            for code, outline in zip((1, -1), outlines, strict=True):
                counts = pd.cut(mine["rt"][mine["response"] == code], edges).value_counts(sort=False).to_numpy()
                np.testing.assert_allclose(outline.get_data().values, code * counts / len(mine) / 0.4)
            assert axes[i, j].get_title() == f"{subject}, {cue}"


def test_the_model_is_the_mean_and_the_band_of_the_draws() -> None:
    idata, df = predicted(trials), trials(1)
    ax = pl.plots.predictive(idata, df, n_bins=4, last=2.0, prob=0.5)
    drawn = idata.posterior_predictive["obs"].values.reshape(-1, N, 2)
    counts = np.array([[((x[:, 0] > low) & (x[:, 0] <= low + 0.5) & (x[:, 1] == 1)).sum() for low in (0, 0.5, 1, 1.5)]
                       for x in drawn]) / (0.5 * N)  # fmt: skip
    line = next(line for line in ax.lines if line.get_label() == "model, upper")
    np.testing.assert_allclose(line.get_xdata(), [0.25, 0.75, 1.25, 1.75])
    np.testing.assert_allclose(line.get_ydata(), counts.mean(0))
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(np.quantile(counts, 0.75, axis=0).max())


def test_the_bar_is_the_share_without_a_press() -> None:
    df = pressed(1)
    axes = pl.plots.predictive_gonogo(predicted(pressed), df, condition="trial_type")
    for ax, kind in zip(axes, ["go", "no-go"], strict=True):
        (bar,) = ax.child_axes[-1].patches
        assert bar.get_height() == pytest.approx(df["rt"][df["trial_type"] == kind].isna().mean())


def late(seed: int, n_choices: int = 2, deadline: float = 0.9) -> pd.DataFrame:
    """Trials of two boundaries or of accumulators, without a response where they were not decided in time."""
    df = trials(seed)
    if n_choices > 2:
        df["response"] = np.random.default_rng(seed).integers(n_choices, size=N)
    return df.mask(df["rt"] > deadline).assign(cue=df["cue"], subject=df["subject"], deadline=deadline)


def predicted_late(n_choices: int = 2) -> np.ndarray:
    some = (late(200 + k, n_choices) for k in range(20))
    return np.stack([pl.as_observed(df, choices=seen_of(n_choices), omissions=True) for df in some])


def seen_of(n_choices: int) -> tuple[int, ...]:
    return (-1, 1) if n_choices == 2 else tuple(range(n_choices))


@pytest.mark.parametrize("n_choices", [2, 3])
def test_trials_without_a_response_are_a_bar(n_choices: int) -> None:
    """Beside all responses' times, as shares of all trials; the deadline is marked, and the axis reaches it."""
    df, drawn = late(1, n_choices), predicted_late(n_choices)
    axes = pl.plots.predictive(drawn, df, condition="cue", n_bins=9, last=0.9)
    for ax, (_, mine) in zip(axes, df.groupby("cue", sort=False), strict=True):
        (bar,), (point,) = ax.child_axes[-1].patches, ax.child_axes[-1].lines
        assert bar.get_height() == pytest.approx(mine["rt"].isna().mean())
        assert point.get_ydata().item() == pytest.approx(np.isinf(drawn[:, mine.index, 0]).mean())
        outlines = [
            patch.get_data().values for patch in ax.patches if hasattr(patch, "get_data") and not patch.get_fill()
        ]
        area = 0.1 * np.abs(outlines).sum(axis=1)
        codes = sorted(seen_of(n_choices), reverse=n_choices == 2)
        np.testing.assert_allclose(area, [(mine["response"] == code).mean() for code in codes])
        (end,) = (line.get_xdata()[0] for line in ax.lines if line.get_label() == "deadline")
        assert end == 0.9
    # By what the predictions have, where nothing else is said; several deadlines are a shade.
    alone = pl.plots.predictive(drawn, df.drop(columns="deadline"))
    assert alone.child_axes[-1].patches[0].get_height() == pytest.approx(df["rt"].isna().mean())
    ends = np.resize([0.9, 1.1], N)
    shade = pl.plots.predictive(None, df, deadline=ends).patches[-1]
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (0.9, pytest.approx(1.1))


def test_quantiles_of_races_and_presses() -> None:
    """Trials without a response count in the probability."""
    df = late(1, 3)
    ax = pl.plots.quantile_probability(
        predicted_late(3), df, quantiles=[0.5], fewest=1, choices={0: "a", 1: "b", 2: "c"}
    )
    points = {line.get_label(): line.get_xydata() for line in ax.lines}
    for code, name in enumerate("abc"):
        times = df["rt"][df["response"] == code]
        np.testing.assert_allclose(points[name], [[len(times) / N, times.median()]])
    assert points["deadline"][0, 1] == 0.9
    go = pressed(1)
    ax = pl.plots.quantile_probability(None, go, condition="trial_type", quantiles=[0.5], fewest=1, go_nogo=True)
    points = {line.get_label(): line.get_xydata() for line in ax.lines}
    for kind, mine in go.groupby("trial_type"):
        np.testing.assert_allclose(points[f"press, {kind}"], [[mine["rt"].notna().mean(), mine["rt"].median()]])


def test_presses_are_correct_on_go_trials() -> None:
    go = pressed(1)
    (line,) = pl.plots.conditional_accuracy(None, go, n_bins=1, go_nogo=True).lines
    times = go.dropna(subset="rt")
    np.testing.assert_allclose(line.get_xydata(), [[times["rt"].mean(), (times["trial_type"] == "go").mean()]])
    df = late(1, 3)
    (line,) = pl.plots.conditional_accuracy(None, df, correct=2, n_bins=1).lines
    assert line.get_ydata().item() == pytest.approx((df["response"] == 2).sum() / df["rt"].notna().sum())
    with pytest.raises(ValueError, match="a correct response of 2 or 1 or 0"):
        pl.plots.conditional_accuracy(None, df, correct=3)


def test_quantiles_stand_at_the_probability() -> None:
    df = trials(1)
    ax = pl.plots.quantile_probability(None, df, condition="cue", quantiles=[0.25, 0.5], fewest=1)
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    for cue, mine in df.groupby("cue"):
        for code, name in ((1, "upper"), (-1, "lower")):
            times = mine["rt"][mine["response"] == code]
            expected = [[len(times) / len(mine), times.quantile(p)] for p in (0.25, 0.5)]
            np.testing.assert_allclose(drawn[f"{name}, {cue}"], expected)


def test_the_correct_response_may_be_a_column() -> None:
    df = trials(1).assign(side=lambda df: np.where(df.index % 2, 1, -1))
    # Responses by side instead of by correctness: the same accuracy.
    turned = df.assign(response=df["response"] * df["side"])
    plain = pl.plots.conditional_accuracy(None, df).lines[0].get_xydata()
    by_side = pl.plots.conditional_accuracy(None, turned, correct="side").lines[0].get_xydata()
    np.testing.assert_array_equal(by_side, plain)
    assert plain[:, 1].mean() == pytest.approx((df["response"] == 1).mean())


def test_levels_keep_the_order_of_a_categorical() -> None:
    df = trials(1).assign(cue=lambda df: pd.Categorical(df["cue"], ["hard", "easy", "middle", "never"]))
    axes = pl.plots.predictive(None, df, condition="cue")
    assert [ax.get_title() for ax in axes] == ["hard", "easy", "middle"]


def test_draws_may_be_of_any_form() -> None:
    df, idata = trials(1), predicted(trials)
    array = idata.posterior_predictive["obs"]
    lines = [
        pl.plots.predictive(form, df).lines[0].get_ydata()
        for form in (idata, idata.posterior_predictive, array, array.values, array.values.reshape(-1, N, 2))
    ]
    for line in lines[1:]:
        np.testing.assert_array_equal(line, lines[0])


def cartoon_lines(params: Any, **options: Any) -> Any:
    return pl.plots.cartoon("ddm", params, last=3.0, **options)


def test_a_cartoon_of_numbers_has_no_bands() -> None:
    upper, process, lower = cartoon_lines(PARAMS)
    assert not [*upper.collections, *process.collections, *lower.collections]
    starts = [line for line in process.lines if line.get_marker() == "o"]
    assert [tuple(line.get_xydata()[0]) for line in starts] == [(0.3, 0.0)]


def test_a_cartoon_of_draws_has_the_mean_and_bands() -> None:
    draws = posterior(1)
    upper, process, _ = cartoon_lines(draws, n_draws=200)
    mean = {name: x.mean() for name, x in draws.items()}
    rt, density = upper.lines[0].get_data()
    expected = np.exp(pl.load_network("ddm").logpdf(rt, 1, **mean))
    np.testing.assert_allclose(density, expected, rtol=1e-6)
    # The shading of the non-decision time: certain below its 5 % quantile.
    widths = [patch.get_x() + patch.get_width() for patch in process.patches]
    np.testing.assert_allclose(widths, np.quantile(draws["t"], [0.05, 0.95]))
    whisker = process.collections[-1].get_segments()[0][:, 1]
    starts = draws["a"] * (2 * draws["z"] - 1)
    np.testing.assert_allclose(whisker, np.quantile(starts, [0.05, 0.95]))


def test_a_cartoon_takes_the_posterior() -> None:
    idata = az.from_dict({"posterior": {name: x for name, x in posterior(1).items() if name != "z"}})
    lines = [cartoon_lines(form)[0].lines[0].get_ydata() for form in (idata, dict(posterior(1), z=0.5))]
    np.testing.assert_array_equal(*lines)


def gamma_coin(theta: Any, rng: Any) -> tuple[Any, Any]:
    """A coin whose sides are -1 and 1, thrown after a gamma distributed time and a wait."""
    rate, side, wait = theta.T
    return wait + rng.gamma(3.0, 1 / rate), np.where(rng.random(len(rate)) < side, 1, -1)


GAMMA = {"rate": (2.0, 20.0), "side": (0.1, 0.9), "wait": (0.1, 0.5)}


@pytest.mark.parametrize("shift", ["wait", None])
def test_a_cartoon_of_a_simulator_shows_trials(shift: str | None) -> None:
    spec = pl.simulator_spec("plotted_coin", gamma_coin, GAMMA, shift=shift)
    upper, process, lower = pl.plots.cartoon(spec, {"rate": 8.0, "side": 0.75, "wait": 0.2}, n_paths=6, last=1.5)
    for ax, share in ((upper, 0.75), (lower, 0.25)):
        rt, height = ax.lines[0].get_data()
        # A histogram of 10,000 trials: five standard errors of a bin of 25 ms, and what it is off within one.
        truth = share * gamma.pdf(rt - 0.2, 3.0, scale=1 / 8.0)
        assert np.abs(height - truth).max() < 5 * np.sqrt(truth.max() / (10_000 * 0.025)) + 0.05
        assert abs(int(ax.texts[0].get_text()[-3:-1]) - 100 * share) <= 2
    ends = [line.get_xydata()[-1] for line in process.lines if line.get_marker() == "o"]
    assert [height for _, height in ends] == [1, 2, 3, 4, 5, 6]
    assert all(0.2 < time < 1.5 for time, _ in ends)
    starts = {line.get_xdata()[0] for line in process.lines if line.get_marker() != "o"}
    assert starts == {0.2 if shift else 0.0}
    # Few of many, sorted: a quarter of six, in order of time.
    assert [line.get_color() for line in process.lines if line.get_marker() == "o"].count(style.LOWER) in (1, 2)
    assert len(process.texts) == (1 if shift else 0)


def test_a_network_of_a_simulator_is_shown_beside_trials() -> None:
    theta = {"a": 1.0, "z": 0.5, "t": 0.3, "alpha": 1.6}
    (ax,) = pl.plots.network("levy", theta, "v", [1.0], n=4000, seed=2)
    labels = {line.get_label(): line for line in ax.lines}
    assert "network, upper" in labels
    assert "true" not in labels
    assert not ax.texts
    rt, height = labels["network, upper"].get_data()
    np.testing.assert_allclose(height, np.exp(pl.load_network("levy").logpdf(rt, 1, v=1.0, **theta)))
    means = {p.name: np.mean(p.bounds) for p in pl.get_model("lca_3").parameters}
    for call in (
        lambda: pl.plots.network("lca_3", means, "v0"),
        lambda: pl.plots.cartoon("lca_3", means, go_nogo=True),
    ):
        with pytest.raises(ValueError, match=r"two choices, .* may number its two choices so"):
            call()


def test_probabilities_of_no_press_are_drawn_over_the_drift() -> None:
    ax = pl.plots.choice_probabilities("ddm", {"t": 0.3}, values=[-1.0, 2.0], levels=[0.8, 1.6], deadline=1.0, n=4000)
    lines = {line.get_label(): line for line in ax.lines}
    for level in (0.8, 1.6):
        v, height = lines[f"a = {level:g}"].get_data()
        truth = [1 - oracle.upper_by(0.7, x, level, 0.5) for x in v]
        np.testing.assert_allclose(height, truth, atol=2e-3)
    np.testing.assert_allclose(lines["true"].get_ydata(), truth, atol=1e-9)
    shares = ax.containers[-1].lines[0].get_ydata()
    np.testing.assert_allclose(shares, truth[::4], atol=4.5 * np.sqrt(0.25 / 4000))


def texts_of(axes: Any) -> list[str]:
    return [text.get_text() for ax in axes for text in ax.texts]


def test_a_cartoon_knows_what_is_seen() -> None:
    """Shares by the deadline, by the oracle's series; of presses all others are none."""
    by = [oracle.upper_by(0.7, v, 1.2, 0.5) for v in (1.0, -1.0)]
    axes = pl.plots.cartoon("ddm", PARAMS, deadline=1.0)
    for share, name in zip((*by, 1 - sum(by)), ("upper, +1", "lower, -1", "no response"), strict=True):
        assert f"{name}: {share:.0%}" in texts_of(axes)
    assert any(line.get_xdata()[0] == 1.0 for line in axes[1].lines if line.get_linestyle() == ":")
    axes = pl.plots.cartoon("ddm", PARAMS, go_nogo=True, deadline=1.0)
    assert {f"press: {by[0]:.0%}", f"no press: {1 - by[0]:.0%}"} <= {*texts_of(axes)}
    df = pd.DataFrame({"rt": [0.5, 0.7, None, None]})
    assert {"press: 50%", "no press: 50%"} <= {*texts_of(pl.plots.cartoon("ddm", PARAMS, go_nogo=True, trials=df))}


def test_a_cartoon_of_a_race_has_all_densities_in_one_panel() -> None:
    """Log-normal times: the density of each is its own, while the others have not finished."""
    m, s, t = (-0.5, -0.2, 0.1), (0.3, 0.5, 0.4), 0.2
    spec, theta = (
        log_normal_race(3),
        {"t": t} | {f"m{i}": x for i, x in enumerate(m)} | {f"s{i}": x for i, x in enumerate(s)},
    )
    densities, process = pl.plots.cartoon(spec, theta, n_paths=5)
    each = [lognorm(b, scale=np.exp(a)) for a, b in zip(m, s, strict=True)]
    for i, line in enumerate(densities.lines[:3]):
        rt, height = line.get_data()
        expected = each[i].pdf(rt - t) * np.prod([x.sf(rt - t) for j, x in enumerate(each) if j != i], axis=0)
        np.testing.assert_allclose(height, expected, atol=1e-6)
    assert len(densities.texts) == 3
    assert process.get_ylabel() == "trials"


def test_a_cartoon_needs_no_network() -> None:
    spec = replace(pl.get_model("ddm"), name="not_in_any_registry")
    by_form = pl.plots.cartoon(spec, PARAMS, last=3.0)[0].lines[0].get_ydata()
    by_network = cartoon_lines(PARAMS)[0].lines[0].get_ydata()
    np.testing.assert_allclose(by_form, by_network, atol=1e-3)


def test_coverage_is_counted() -> None:
    ax = pl.plots.recovery(truth=[1, 2, 3, 4], estimate=[1, 2, 3, 5], low=[0, 1, 2, 4.5], high=[2, 3, 4, 6])
    (text,) = [text.get_text() for text in ax.texts]
    assert text == "r = 0.98\nbias +0.25\n3 of 4 cover"


def holding(**groups: Any) -> Any:
    return az.from_dict(groups or {"posterior": {"v": np.zeros((1, 3))}})


def draws_of(n: int) -> np.ndarray:
    return np.ones((3, n, 2))


SIX = trials(1, 6)
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no group": (lambda: pl.plots.predictive(holding(), SIX), "extend_inferencedata=True"),
    "no variable": (
        lambda: pl.plots.predictive(holding(posterior_predictive={"y": draws_of(6)[None]}), SIX),
        "Unknown predicted variable 'obs'. Known predicted variables: y",
    ),
    "other lengths": (lambda: pl.plots.predictive(draws_of(5), SIX), r"each of the 6 trials.*Found shape \(3, 5, 2\)"),
    "nan": (lambda: pl.plots.predictive(np.nan * draws_of(6), SIX), "NaN among them"),
    "go/no-go": (
        lambda: pl.plots.predictive(None, pd.DataFrame({"rt": [0.5, np.nan], "response": [1, 0]})),
        "for a figure pl.plots.predictive_gonogo",
    ),
    "predictions with other codes": (
        lambda: pl.plots.quantile_probability(draws_of(6) * [1, 0], SIX),
        r"predictions with the responses -1, 1\. Found others: 0.*recode predictions as the data",
    ),
    "no draws": (lambda: pl.plots.predictive(draws_of(6)[:0], SIX), "none at all"),
    "draws wanted": (lambda: pl.plots.predictive(draws_of(6), SIX, n_draws=0), "n_draws=0"),
    "no column": (lambda: pl.plots.predictive(None, SIX, condition="cu"), "Did you mean 'cue'?"),
    "no rt": (lambda: pl.plots.predictive(None, SIX.drop(columns="rt")), "no column 'rt'"),
    "milliseconds": (lambda: pl.plots.predictive(None, SIX.assign(rt=1000 * SIX["rt"])), "milliseconds"),
    "an empty cell": (
        lambda: pl.plots.predictive(None, SIX.assign(cue=["a", None, "b", "a", "a", "b"]), condition="cue"),
        "1 of 6 rows: row 1",
    ),
    "an empty cell of the grid": (
        lambda: pl.plots.predictive(None, SIX.iloc[[0, 1, 2, 3, 4]], condition="cue", col="subject"),
        "none of hard in 1",
    ),
    "many levels": (
        lambda: pl.plots.predictive(None, trials(1).assign(k=np.arange(N)), col="k"),
        "at most 40 levels of 'k'",
    ),
    "few axes": (
        lambda: pl.plots.predictive(None, SIX, condition="cue", ax=plt.subplots(1, 2)[1]),
        "as many axes as panels, 3. Found 2",
    ),
    "no press": (
        lambda: pl.plots.predictive_gonogo(None, pd.DataFrame({"rt": [np.nan, np.nan]})),
        "a response on some trial",
    ),
    "last": (lambda: pl.plots.predictive(None, SIX, last=-1.0), "last above 0 s"),
    "correct": (lambda: pl.plots.conditional_accuracy(None, SIX, correct=0), r"correct response of \+1 or -1"),
    "bins": (lambda: pl.plots.conditional_accuracy(None, SIX, n_bins=0), "at least one bin"),
    "three conditions": (lambda: pl.plots.delta(None, SIX, condition="cue"), "two levels of 'cue' to compare"),
    "unknown condition": (
        lambda: pl.plots.delta(None, SIX, condition="cue", compare=("easy", "heavy")),
        "of easy, middle, hard",
    ),
    "subject": (lambda: pl.plots.quantile_probability(None, SIX, subject="subjekt"), "Did you mean 'subject'?"),
    "parameter": (lambda: pl.plots.cartoon("ddm", {"v": 1.0, "a": 1.0, "t": 0.3, "w": 1.0}), "Unknown parameter"),
    "missing parameter": (lambda: pl.plots.cartoon("ddm", {"v": 1.0, "a": 1.0}), "Found no t"),
    "draws that differ": (
        lambda: pl.plots.cartoon("ddm", PARAMS | {"v": np.ones(3), "a": np.ones(4)}),
        "as many draws of one as of the others",
    ),
    "not finite": (lambda: pl.plots.cartoon("ddm", PARAMS | {"v": np.nan}), "finite numbers"),
    "by subject": (
        lambda: pl.plots.cartoon("ddm", az.from_dict({"posterior": {"v": np.ones((1, 2, 3))}})),
        r"idata.posterior\['v'\].sel\(v_dim_0=...\)",
    ),
    "no posterior": (lambda: pl.plots.cartoon("ddm", 3), "neither in a int"),
    "too many paths": (lambda: pl.plots.cartoon("ddm", PARAMS, n_paths=401), "n_paths from 0 to 400"),
    "short": (lambda: pl.plots.cartoon("ddm", PARAMS, last=0.2), "last beyond t = 0.3 s"),
    "two axes": (lambda: pl.plots.cartoon("ddm", PARAMS, ax=plt.subplots(2)[1]), "as many axes as panels, 3"),
    "outside": (lambda: pl.plots.network("ddm", {"a": 1.0, "t": 0.3}, "v", [9.0]), "-6 to 6. Found 9"),
    "no values": (lambda: pl.plots.network("ddm", {"a": 1.0, "t": 0.3}, "v", []), "a list of values"),
    "levels outside": (lambda: pl.plots.choice_probabilities("ddm", {"t": 0.3}, levels=[9.0]), "0.3 to 4. Found 9"),
    "one parameter twice": (lambda: pl.plots.choice_probabilities("ddm", by="v"), "two parameters as sweep and by"),
    "no network of presses": (lambda: pl.plots.choice_probabilities("levy"), "how likely no press is, of 'levy'"),
    "sweep": (lambda: pl.plots.network("ddm", {"a": 1.0, "t": 0.3}, "w"), "Unknown parameter"),
    "lengths": (
        lambda: pl.plots.recovery(truth=[1.0, 2.0], estimate=[1.0], low=[0.0], high=[2.0]),
        "each of the 2 trials",
    ),
    "failed fits": (
        lambda: pl.plots.recovery(truth=[1.0], estimate=[np.nan], low=[0.0], high=[2.0]),
        "finite numbers as estimate",
    ),
    "swapped": (lambda: pl.plots.recovery(truth=[1.0], estimate=[1.0], low=[2.0], high=[0.0]), "low below high"),
    "no table": (lambda: pl.plots.recovery(), "truth='truth' names a column"),
    "width": (lambda: pl.plots.paper("triple").__enter__(), "'single', 'double' or a number of mm"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_explained(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_network_is_needed_to_check_one() -> None:
    spec = replace(pl.get_model("ddm"), name="not_in_any_registry")
    with pytest.raises(pl.RegistryError, match="a network of 'not_in_any_registry'"):
        pl.plots.network(spec, {"a": 1.0, "t": 0.3}, "v")


def test_matplotlib_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'pymc-lan\[plots\]'"):
        pl.plots.recovery(truth=[1.0], estimate=[1.0], low=[0.0], high=[2.0])
