"""Predictions, contrasts and leave-one-out values of regressions, from draws that are made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
from kinds import responses
from regression_draws import hand_made
from scipy.special import expit, logsumexp
from scipy.stats import multivariate_normal

import pymc_lan as pl
from pymc_lan.diagnostics.fitted_trials import each_draw, find_trials
from pymc_lan.regressions import loo
from pymc_lan.regressions.draws import read_draws
from pymc_lan.regressions.integral import Normal, conditional, draw_t, integral, log_normal, log_t
from pymc_lan.regressions.loo import MemberLikelihood, of_member
from pymc_lan.regressions.parameters import designs, deviations, parameters
from pymc_lan.regressions.regression import Regression
from pymc_lan.regressions.task import make_task

N_SUBJECTS, N_TRIALS = 4, 12
AGES = {"s1": 31.0, "s2": 28.0, "s3": 45.0, "s4": 20.0}


@pytest.fixture(autouse=True)
def _interpreted() -> Iterator[None]:
    """Compile in no time, for few evaluations."""
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        yield


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    """Trials of four subjects; slow is rare, and rarer with the second cue."""
    rng = np.random.default_rng(1)
    n = N_SUBJECTS * N_TRIALS
    table = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=n, seed=1)
    subject = np.array([*AGES])[np.repeat(np.arange(N_SUBJECTS), N_TRIALS)]
    return table.assign(
        subject=subject,
        condition=np.where(np.arange(n) % 4 == 0, "slow", "fast"),
        cue=np.where(np.arange(n) % 12 < 4, "left", "right"),
        item=np.tile(["i1", "i2", "i3"], n // 3),
        x=rng.normal(size=n),
        age=pd.Series(subject).map(AGES),
    )


@pytest.fixture(scope="module")
def reg(df: pd.DataFrame) -> Regression:
    """Members that are pulled by covariates and conditions, two crossed groups, a guess that is estimated."""
    return pl.regression(
        "ddm",
        df,
        v="condition + x + age + (condition | subject)",
        a="0 + condition + cue + (0 + condition | subject) + (1 | item)",
        t=0.3,
        p_lapse=pm.Beta.dist(2, 38),
        priors={"subject_corr": None},
    )


def test_parameters_of_fitted_trials_are_those_of_the_model(reg: Regression, df: pd.DataFrame) -> None:
    idata = hand_made(reg)
    evaluate = each_draw(reg.model, find_trials(reg.model))
    point = {rv.name: idata.posterior[rv.name].to_numpy()[1, 2] for rv in reg.model.free_RVs}
    (expected,) = evaluate(point)
    for found in (reg.predict(idata), reg.predict(idata, df)):
        for name in ("v", "a", "z", "t", "p_lapse"):
            np.testing.assert_allclose(found[name].to_numpy()[1, 2], expected[name], rtol=1e-10, err_msg=name)
    some = reg.predict(idata, df[30:33], n_draws=4)
    assert dict(some.sizes) == {"chain": 2, "draw": 2, "row": 3}
    assert some.row.to_numpy().tolist() == [30, 31, 32]
    assert some.draw.to_numpy().tolist() == [0, 5]
    np.testing.assert_allclose(some["v"], reg.predict(idata)["v"][:, [0, 5], 30:33])


def test_new_members_have_the_mean_and_the_covariates_of_their_group(reg: Regression) -> None:
    """v: Intercept, condition[slow], x, age; of a the levels fast and slow, and the cue."""
    v, effects = np.array([0.2, -0.3, 0.1, 0.02]), np.zeros((N_SUBJECTS, 4))
    age = np.array([*AGES.values()])
    effects[:, 0] = v[0] + v[3] * age + 0.05 * np.arange(4)  # deviations of 0, 0.05, 0.1, 0.15
    effects[:, 1] = v[1]
    idata = hand_made(reg, v=v, subject_effects=effects)
    new = pd.DataFrame(
        {
            "subject": ["nobody", "s3", "s3"],
            "condition": ["slow", "slow", "fast"],
            "cue": "left",
            "item": "i9",
            "x": [0.0, 2.0, 2.0],
            "age": [30.0, 45.0, 20.0],
        }
    )
    found = reg.predict(idata, new, new_groups="mean")["v"].to_numpy()[0, 0]
    expected = [0.2 - 0.3 + 0.6, 0.2 - 0.3 + 0.2 + 0.9 + 0.1, 0.2 + 0.2 + 0.4 + 0.1]
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the link bends a little towards 3
    alone = reg.predict(idata, new[:1].drop(columns=["subject", "item"]), new_groups="mean")
    np.testing.assert_allclose(alone["v"].to_numpy()[0, 0], found[:1])


def test_new_members_are_drawn_from_their_group(df: pd.DataFrame) -> None:
    reg = pl.regression("ddm", df, v="1 + (1 | subject)", a="1 + (1 | subject)", t=0.3, priors={"subject_corr": 2})
    corr = np.array([[1.0, -0.8], [-0.8, 1.0]])
    fixed = {"v": [0.5], "a": [0.0], "subject_sd": [0.4, 0.1], "subject_effects": np.zeros((N_SUBJECTS, 2))}
    idata = hand_made(reg, n=2000, subject_corr=corr, **fixed)
    found = reg.predict(idata, pd.DataFrame({"subject": ["new", "newer", "new"]}), seed=1)
    x = np.stack([found["v"].to_numpy()[..., :2], np.log(found["a"].to_numpy()[..., :2])]).reshape(2, -1)
    np.testing.assert_allclose(np.cov(x), [[0.16, -0.032], [-0.032, 0.01]], atol=0.008)
    np.testing.assert_allclose(x.mean(1), [0.5, 0.0], atol=0.03)
    np.testing.assert_array_equal(found["v"][..., 0], found["v"][..., 2])
    assert abs(np.corrcoef(found["v"].to_numpy()[..., 0].ravel(), found["v"].to_numpy()[..., 1].ravel())[0, 1]) < 0.08


def test_trials_follow_the_parameters_and_the_task(df: pd.DataFrame) -> None:
    """Of a diffusion from the middle the upper boundary is reached with probability 1 / (1 + exp(-2 v a))."""
    kind = np.where(np.arange(len(df)) % 3 == 0, "n", "g")
    trials = df.assign(trial_type=kind, deadline=40.0, rt=df["rt"].where(df["x"] > 0)).drop(columns="response")
    codes = {"g": "go", "n": "no-go"}
    reg = pl.regression("ddm", trials, v="0 + cue", a=1.0, t=0.3, go_nogo=True, trial_type=codes)
    idata = hand_made(reg, n=1000, v=[0.5, -0.3])
    new = pd.DataFrame(
        {"cue": ["left", "right", "left", "left"], "trial_type": [*"ggng"], "deadline": [40.0] * 3 + [0.3]}
    )
    drawn = reg.predict(idata, new, kind="trials", seed=1)
    pressed = np.isfinite(drawn["rt"].to_numpy())
    np.testing.assert_allclose(pressed.mean((0, 1)), [*expit(2 * np.array([0.5, -0.3, -0.5])), 0.0], atol=0.045)
    np.testing.assert_array_equal(drawn["response"].to_numpy() == 1, pressed)
    with pytest.raises(ValueError, match="deadline"):
        reg.predict(idata, new.drop(columns="deadline"), kind="trials")


def tasks(df: pd.DataFrame) -> Iterator[Regression]:
    """One of each distribution, and the go/no-go task in two forms."""
    who, n = df["subject"], len(df)
    press = df.assign(trial_type=np.tile(["go", "no-go", "go"], n // 3), deadline=np.where(np.arange(n) % 2, 3.0, 20.0))
    rt = df["rt"].where((np.arange(n) % 4 > 0) & (df["rt"] < press["deadline"]))
    press = press.assign(rt=rt).drop(columns="response")
    yield pl.regression(
        "ddm", press, go_nogo=True, v="1 + (1 | subject)", v_nogo="1", d_press="1 + (1 | subject)", a="1",
        p_lapse="1 + (1 | subject)", lapse_go=0.3,
    )  # fmt: skip
    yield pl.regression("ddm", press, go_nogo=True, a=1.0, p_lapse=pm.Beta.dist(2, 38), lapse_window=2.0, deadline=None)
    race = {"v0": 2.0, "v1": 1.0, "v2": 1.0, "A": 0.5, "b": 1.0, "t": 0.2}
    yield pl.regression("lba3", pl.simulate("lba3", race, n=n, seed=1).assign(subject=who), p_lapse=0.05, A=0.2)
    kind = responses()
    answers = pd.DataFrame({"response": np.resize([2, 0, 1, 1], n), "subject": who})
    yield pl.regression(kind.network, answers, x="1 + (1 | subject)", gain=2.0, p_lapse="1")


@pytest.mark.parametrize(
    "number",
    [0, pytest.param(1, marks=pytest.mark.table), 2, pytest.param(3, marks=pytest.mark.table)],
    ids=["distance", "window", "race", "responses"],
)
def test_trials_are_as_likely_as_in_the_model(number: int, df: pd.DataFrame) -> None:
    reg = next(islice(tasks(df), number, None))
    idata = hand_made(reg, n=2, sd=0.2)
    draws = read_draws(reg.plan, idata)
    own = parameters(reg.plan, designs(reg.plan), draws, deviations(reg.plan, draws, {}))
    task = make_task(reg.plan, reg.model, reg.description.table)
    found = task.log_likelihood(find_trials(reg.model)[0], own)
    with reg.model:
        pm.compute_log_likelihood(idata, progressbar=False)
    np.testing.assert_allclose(found, idata.log_likelihood["obs"].to_numpy().reshape(found.shape), atol=1e-5)
    drawn = reg.predict(idata, kind="trials", seed=1)["response"]
    assert {*np.unique(drawn)} <= {0, 1, 2}
    assert drawn.to_numpy().std() > 0


def test_accuracies_are_predicted(df: pd.DataFrame) -> None:
    table = df.assign(correct=df["response"] == 1, stim=df["cue"])
    reg = pl.regression("ddm", table, v="0 + stim", a=1.0, t=0.3, accuracy="correct", stimulus="stim")
    idata = hand_made(reg, n=1000, v=[-1.0, 0.5])
    drawn = reg.predict(idata, pd.DataFrame({"stim": ["right"]}), kind="trials", seed=1)
    np.testing.assert_allclose(drawn["correct"].mean(), expit(1.0), atol=0.04)
    drawn = reg.predict(idata, pd.DataFrame({"stim": ["left"]}), kind="trials", seed=1)
    np.testing.assert_allclose(drawn["correct"].mean(), expit(2.0), atol=0.04)


REFUSED: dict[str, tuple[Any, str]] = {
    "level": (lambda d: d.assign(condition="lazy"), r"levels of 'condition'.*row 0 \(condition = 'lazy'\)"),
    "no covariate": (lambda d: d.assign(x=[0.1, np.nan, 0.2]), r"a value of 'x'.*row 1 \(x = missing\)"),
    "no member": (lambda d: d.assign(subject=["s1", None, "s2"]), r"a value of 'subject'.*row 1"),
    "column": (lambda d: d.drop(columns="age"), "Unknown column 'age'"),
    "rows": (lambda d: d[:0], "rows to predict"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tables_that_say_too_little_are_refused(case: str, reg: Regression, df: pd.DataFrame) -> None:
    change, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        reg.predict(hand_made(reg, n=1), change(df[:3]))


def test_mistakes_in_arguments_are_explained(reg: Regression) -> None:
    idata = hand_made(reg, n=2)
    for call, message in (
        (lambda: reg.predict(idata, kind="trial"), "Did you mean 'trials'"),
        (lambda: reg.predict(idata, new_groups="average"), "Known new_groups"),
        (lambda: reg.predict(), "reg.sample"),
        (lambda: reg.predict(hand_made(reg, n=2, v=[0.1])), "the draws of this regression"),
        (lambda: reg.contrast(idata, "t", "cue"), "Unknown parameter with a formula 't'"),
        (lambda: reg.contrast(idata, "a", "age"), "Unknown variable 'age'"),
        (lambda: reg.contrast(idata, "a", "cue", levels=("left", "up")), "Unknown level 'up'"),
        (lambda: reg.contrast(idata, "a", "cue", levels=("left",)), "two levels"),
        (lambda: reg.contrast(idata, "v", "age", levels=("old", "young")), "two numbers"),
        (lambda: reg.contrast(idata, "a", "cue", by="cue"), "leave it out"),
        (lambda: reg.contrast(idata, "a", "cue", by="cuee"), "Did you mean 'cue'"),
        (lambda: reg.means(idata, "a", at={"cue": "up"}), "Unknown level 'up'"),
        (lambda: reg.means(idata, "v", at={"x": "high"}), "a number as 'x'"),
        (lambda: reg.means(idata, "v", at="x"), "names with a value each"),
        (lambda: reg.means(idata, "v", by=3), "a name, or several"),
        (lambda: reg.means(idata, "a", by=["item", "subject"]), "at most one group"),
        (lambda: reg.means(idata, "a", prob=90), "between 0 and 1"),
        (lambda: reg.loo(idata, by="cue"), "Unknown group 'cue'"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_contrasts_average_over_conditions_and_not_over_trials(reg: Regression) -> None:
    """The levels fast and slow of log a, and the cue, whose right is the second: their cells weigh the same."""
    idata = hand_made(reg, n=40, sd=0.1)
    idata.posterior["a"].values += [0.0, 0.1, -0.4]
    x = idata.posterior["a"].to_numpy().reshape(-1, 3)
    fast, slow = ((np.exp(x[:, i]) + np.exp(x[:, i] + x[:, 2])) / 2 for i in (0, 1))
    found = reg.contrast(idata, "a", "condition", levels=("slow", "fast"), prob=0.8).loc["slow - fast"]
    diff = slow - fast
    expected = [diff.mean(), diff.std(ddof=1), *np.quantile(diff, [0.1, 0.9]), (diff > 0).mean()]
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.002)
    assert found.index.tolist() == ["mean", "sd", "10%", "90%", "P(> 0)"]
    by = reg.contrast(idata, "a", "cue", by="condition").set_index("condition")
    np.testing.assert_allclose(by["mean"]["slow"], (np.exp(x[:, 1]) - np.exp(x[:, 1] + x[:, 2])).mean(), atol=0.002)
    both = reg.means(idata, "a", by=["condition", "cue"])
    assert both[["condition", "cue"]].to_numpy().tolist() == [
        [c, q] for c in ("fast", "slow") for q in ("left", "right")
    ]
    np.testing.assert_allclose(both["mean"].iloc[1], np.exp(x[:, 0] + x[:, 2]).mean(), rtol=0.01)
    np.testing.assert_allclose(reg.means(idata, "a", by="condition")["mean"], [fast.mean(), slow.mean()], rtol=0.01)
    only = reg.means(idata, "a", by="condition", at={"cue": "left"})
    np.testing.assert_allclose(only["mean"].iloc[0], np.exp(x[:, 0]).mean(), rtol=0.01)


def test_contrasts_of_members_and_of_covariates(reg: Regression, df: pd.DataFrame) -> None:
    v, effects = np.array([0.1, -0.3, 0.1, 0.02]), np.zeros((N_SUBJECTS, 4))
    effects[:, 0] = v[0] + 0.02 * np.array([*AGES.values()])
    effects[:, 1] = v[1] + np.array([0.1, 0.0, -0.1, 0.2])
    idata = hand_made(reg, v=v, subject_effects=effects)
    each = reg.contrast(idata, "v", "condition", levels=("slow", "fast"), by="subject").set_index("subject")["mean"]
    np.testing.assert_allclose(each[[*AGES]], effects[:, 1], atol=2e-3)
    own = reg.means(idata, "v", by="subject", at={"condition": "fast"}).set_index("subject")["mean"]
    np.testing.assert_allclose(own[[*AGES]], effects[:, 0] + 0.1 * df["x"].mean(), atol=2e-3)
    assert reg.contrast(idata, "v", "age")["mean"].item() == pytest.approx(0.02, abs=1e-4)
    assert reg.contrast(idata, "v", "age", levels=(40, 30))["mean"].item() == pytest.approx(0.2, abs=2e-3)


def test_numbers_in_a_formula_may_be_conditions_and_have_more_than_two_levels(df: pd.DataFrame) -> None:
    """Blocks 1, 2 and 3 have drifts of 0.1, 0.3 and 0.8; most trials are of block 1."""
    table = df.assign(block=np.array([1, 1, 2, 3])[np.arange(len(df)) % 4], mean=df["cue"], still=1.0)
    reg = pl.regression("ddm", table, v="0 + C(block)", a="still + mean", t=0.3)
    idata = hand_made(reg, v=[0.1, 0.3, 0.8])
    pairs = reg.contrast(idata, "v", "block")["mean"]
    assert pairs.index.tolist() == ["1 - 2", "1 - 3", "2 - 3"]
    np.testing.assert_allclose(pairs, [-0.2, -0.7, -0.5], atol=2e-3)
    back = reg.contrast(idata, "v", "block", levels=(3, 2))["mean"]
    np.testing.assert_allclose(back, 0.5, atol=2e-3)
    np.testing.assert_allclose(reg.means(idata, "v", by=())["mean"], 0.4, atol=2e-3)
    np.testing.assert_allclose(reg.means(idata, "v", by="block")["mean"], [0.1, 0.3, 0.8], atol=2e-3)
    for call, message in (
        (lambda: reg.predict(idata, table.assign(block=4)), "levels of 'block'"),
        (lambda: reg.means(idata, "a", by="mean"), "rename the column"),
        (lambda: reg.contrast(idata, "a", "still"), "two levels of 'still'"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_members_are_known_by_what_they_are_called(df: pd.DataFrame) -> None:
    """1.0 is the subject 1, in a pair of columns, too; "1" may be, which is asked for."""
    number = df["subject"].str[1:].astype(int)
    table = df.assign(subject=number, school=1 + number % 2)
    reg = pl.regression("ddm", table, v="1 + (1 | subject)", a="1 + (1 | school:subject)", t=0.3)
    idata = hand_made(reg)
    fitted, found = reg.predict(idata), reg.predict(idata, table.astype({"subject": float, "school": float}))
    for name in ("v", "a"):
        np.testing.assert_array_equal(found[name], fitted[name])
    with pytest.raises(ValueError, match=r"text in place of numbers.*row 0 \(subject = '1'\)"):
        reg.predict(idata, table.astype({"subject": str}))
    apart = df.assign(left=np.where(number > 2, "a:b", "a"), right=np.where(number > 2, "c", "b:c"))
    with pytest.raises(ValueError, match="leave colons out"):
        pl.regression("ddm", apart, v="1 + (1 | left:right)", a=1.0, t=0.3)


def test_levels_that_never_meet_are_not_compared(df: pd.DataFrame) -> None:
    table = df.assign(place=np.where(df["condition"] == "slow", "lab", "home"))
    reg = pl.regression("ddm", table, v="condition + place", a=1.0, t=0.3)
    with pytest.raises(ValueError, match="all else being equal"):
        reg.contrast(hand_made(reg), "v", "condition")


def test_the_integral_over_effects_is_that_of_normal_theory() -> None:
    """A normal likelihood under normal groups: y is normal around their means, with both covariances added."""
    rng = np.random.default_rng(5)
    noise = np.array([[0.02, 0.01, 0.0], [0.01, 0.05, 0.0], [0.0, 0.0, 400.0]])  # of the third nothing is known
    y, mean = np.array([0.3, -0.4, 3.0]), rng.normal(0, 0.1, (50, 3))
    factor = np.tril(rng.normal(0, 0.1, (50, 3, 3))) + np.eye(3) * np.exp(rng.normal(-1, 0.3, (50, 3)))[:, None, :]
    prior = Normal(mean, factor)
    precision = np.linalg.inv(prior.covariance) + np.linalg.inv(noise)
    middle = np.linalg.inv(prior.covariance) @ mean[..., None] + np.linalg.inv(noise) @ y[:, None]
    centre, spread = (np.linalg.inv(precision) @ middle)[..., 0], np.linalg.cholesky(np.linalg.inv(precision))
    effects = np.concatenate([centre + (spread @ rng.normal(size=(3, 1)))[..., 0] for _ in range(20)])
    proposal = conditional(effects, prior)
    nodes = draw_t(proposal, 20, rng).reshape(-1, 3)
    log_q = logsumexp(log_t(nodes, proposal), axis=1) - np.log(50)
    log_l = multivariate_normal(y, noise).logpdf(nodes)
    found, n = integral(log_l[:, None], log_normal(nodes, prior), log_q[:, None])
    expected = [multivariate_normal(m, c + noise).logpdf(y) for m, c in zip(mean, prior.covariance, strict=True)]
    np.testing.assert_allclose(found, expected, atol=0.25)
    assert np.abs(found - expected).mean() < 0.05
    assert np.median(n) > 150


@pytest.mark.parametrize("a", [1.0, "1"], ids=["one set of nodes", "nodes of each draw"])
def test_a_member_is_left_out_with_its_effect_integrated(a: Any, df: pd.DataFrame) -> None:
    """One effect, so that a sum over a grid is exact; the likelihood is that of a model written by hand."""
    reg = pl.regression("ddm", df, v="1 + (1 | subject)", a=a, t=0.3)
    own = np.random.default_rng(2).normal([1.0, 0.4, 0.7, 0.2], 0.3, (2, 50, 4))[..., None]
    idata = hand_made(reg, n=50, subject_effects=own[0, 0])
    idata.posterior["subject_effects"].values = own
    m, draws = reg.plan.members["subject"], read_draws(reg.plan, idata)
    likelihood = MemberLikelihood(reg.plan, reg.model, m, 2, draws, deviations(reg.plan, draws, {}))
    assert likelihood.alone == (a == 1.0)
    found, _ = of_member(likelihood, m, 2, np.random.default_rng(1))
    mine = pl.as_observed(df[df["subject"] == "s3"])
    v = np.linspace(-2.9, 2.9, 400)
    for d in (0, 17):
        group = multivariate_normal(draws["v"][d, 0], draws["subject_sd"][d, 0] ** 2).logpdf(v)
        half = 1.0 if a == 1.0 else float(np.exp(draws["a"][d, 0]))
        each = pl.load_network("ddm").logpdf(mine[:, 0], mine[:, 1], v=v[:, None], a=half, z=0.5, t=0.3).sum(1)
        expected = logsumexp(each + group) + np.log(v[1] - v[0])
        assert found[d] == pytest.approx(expected, abs=0.1)


def test_leaving_members_out_is_reported_as_arviz_does(
    df: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loo, "LONG", 0.0)
    reg = pl.regression("ddm", df, v="1 + (1 | subject)", a=1.0, t=0.3)
    idata = hand_made(reg, n=100, v=[0.5], subject_sd=[0.3])
    with caplog.at_level("INFO", "pymc_lan"):
        found = reg.loo(idata, by="subject")
    assert "Leaving out 4 members of subject takes about 1 min; fewer" in caplog.text
    assert found.elpd_i.coords["subject"].to_numpy().tolist() == [*AGES]
    assert found.elpd == pytest.approx(float(found.elpd_i.sum()))
    assert found.n_data_points == N_SUBJECTS
    # What all share is known: nothing is learned from a subject, and leaving it out changes nothing.
    assert found.p == pytest.approx(0.0, abs=1e-6)


def test_groups_within_what_is_left_out_are_refused(df: pd.DataFrame) -> None:
    table = df.assign(school=df["subject"].map({"s1": "A", "s2": "A", "s3": "B", "s4": "B"}))
    reg = pl.regression("ddm", table, v="1 + (1 | school) + (1 | subject)", a=1.0, t=0.3)
    with pytest.raises(ValueError, match="leave out by='subject'"):
        reg.loo(hand_made(reg), by="school")


def test_what_is_seen_in_part_is_predicted_so(df: pd.DataFrame) -> None:
    """Intervals and limits by columns, of new rows as well; choices alone, also where members are left out."""
    table = df.assign(low=np.floor(df["rt"] * 10) / 10, wide=0.1, least=0.2).assign(high=lambda t: t["low"] + 0.1)
    reg = pl.regression("ddm", table.drop(columns="rt"), v="1", a=1.0, t=0.3, rt_interval=("low", "high"))
    idata = hand_made(reg)
    rt = reg.predict(idata, kind="trials", seed=1)["rt"].to_numpy()
    np.testing.assert_allclose(rt, np.rint(rt / 0.1) * 0.1)
    new = reg.predict(idata, pd.DataFrame({"x": [0.0, 1.0]}), kind="trials", seed=1)["rt"].to_numpy()
    assert (np.abs(new - np.rint(new / 0.1) * 0.1) > 1e-6).any()
    reg = pl.regression("ddm", table, v="1", a=1.0, t=0.3, rt_interval="wide", truncation=("least", None))
    rt = reg.predict(idata, table.head(3), kind="trials", seed=1)["rt"].to_numpy()
    np.testing.assert_allclose(rt, np.rint(rt / 0.1) * 0.1)
    assert rt.shape[-1] == 3
    with pytest.raises(ValueError, match="as truncation the name of a column"):
        pl.regression("ddm", table, v="1", a=1.0, t=0.3, truncation=(np.full(len(df), 0.2), None))
    alone = pl.regression("ddm", df[["response", "subject"]], v="1 + (1 | subject)", a=1.0, t=0.3, p_lapse=0.05)
    drawn = alone.predict(hand_made(alone), kind="trials", seed=1)
    assert set(drawn["rt"].to_numpy().ravel()) == {-1.0}
    task, seen = make_task(alone.plan, alone.model, alone.description.table), find_trials(alone.model)[0]
    found = task.log_likelihood(seen, {"v": np.full((1, len(df)), 0.7)})
    upper = 0.95 * expit(2 * 0.7) + 0.025
    np.testing.assert_allclose(np.exp(found)[0], np.where(df["response"] > 0, upper, 1 - upper), rtol=3e-4)
