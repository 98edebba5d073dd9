"""Where hierarchical models start: estimates against simulation, and starts of models in every parametrisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytest
from pymc.initial_point import make_initial_point_fn
from scipy.optimize import minimize

import pymc_lan as pl
from pymc_lan.inference.start_grid import BOUNDARIES, DRIFTS, N_TIMES, estimates
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.wiener import ddm_log_go, ddm_logpdf

N_SUBJECTS, N_TRIALS, DEADLINE = 6, 160, 1.8
T_MAX = 0.6


def subjects(*, go_nogo: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials of a few subjects, half of them go, and what they were simulated with."""
    truth = pd.DataFrame(
        {
            "v": np.linspace(0.6, 2.2, N_SUBJECTS),
            "a": np.linspace(1.2, 0.7, N_SUBJECTS),
            "t": np.linspace(0.2, 0.35, N_SUBJECTS),
        }
    )
    subject = np.repeat(np.arange(N_SUBJECTS), N_TRIALS)
    trial_type = np.tile(["go", "no-go"], subject.size // 2)
    each = truth.iloc[subject].to_dict("list")
    sign = np.where(trial_type == "go", 1.0, -1.0)
    table = pl.simulate("ddm", each | {"z": 0.5, "v": sign * each["v"]}, seed=1)
    if go_nogo:
        pressed = (table["response"] > 0) & (table["rt"] <= DEADLINE)
        table["rt"], table["response"] = table["rt"].where(pressed), pressed.astype(int)
    return table.assign(trial_type=trial_type, subject=[f"s{i}" for i in subject], sign=sign), truth


@pytest.fixture(scope="module")
def go() -> tuple[pd.DataFrame, pd.DataFrame]:
    return subjects(go_nogo=True)


@pytest.fixture(scope="module")
def both() -> tuple[pd.DataFrame, pd.DataFrame]:
    return subjects(go_nogo=False)


@pytest.mark.parametrize(("v", "a", "t"), [(1.0, 1.0, 0.3), (-2.0, 0.7, 0.2), (0.0, 1.3, 0.4)])
@pytest.mark.parametrize("deadline", [None, 1.2, np.inf])
def test_estimates_recover_what_was_simulated(v: float, a: float, t: float, deadline: float | None) -> None:
    df = pl.simulate("ddm", {"v": v, "a": a, "z": 0.5, "t": t}, n=20_000, seed=1)
    rt, upper, ends = hidden(df, deadline)
    code = np.zeros(len(df), int)
    found = estimates(rt, upper, code, code, np.array([rt.min()]), ends)
    # So many trials leave no doubt but for the grid: at most a step of it.
    assert abs(found.v[0] - v) <= DRIFTS[1] - DRIFTS[0]
    assert abs(np.log(found.a[0] / a)) <= np.log(BOUNDARIES[1] / BOUNDARIES[0])
    assert abs(found.t[0] - t) <= rt.min() / (N_TIMES - 1)


@pytest.mark.parametrize("deadline", [None, 1.2])
def test_estimates_are_the_most_likely_of_the_grid(deadline: float | None) -> None:
    """Against the density of every trial at every point of the grid, for two conditions of one subject."""
    theta = {"v": np.repeat([1.3, -0.8], 60), "a": 0.9, "z": 0.5, "t": 0.3}
    rt, upper, ends = hidden(pl.simulate("ddm", theta, n=120, seed=3), deadline)
    cell, latest = np.repeat([0, 1], 60), np.quantile(rt[np.isfinite(rt)], 0.05)
    found = estimates(rt, upper, cell, np.zeros(120, int), np.array([latest]), ends)
    times = np.linspace(0, latest, N_TIMES)
    v, a, t = DRIFTS[:, None, None, None], BOUNDARIES[:, None, None], times[:, None]
    response, seen = np.where(upper, 1.0, -1.0), np.isfinite(rt)
    density = ddm_logpdf(NUMPY, np.where(seen, rt, 1.0) - t, response, v, a, 0.5)
    density = np.where(rt > t, density, np.log(0.05 / 2))
    log_p = np.where(seen, density, ddm_log_go(NUMPY, ends - t, v, a, 0.5)[1])
    each = np.stack([log_p[..., cell == i].sum(-1) for i in (0, 1)]) - 0.5 * (DRIFTS[:, None, None] / 2) ** 2
    score = each.max(1).sum(0) - 0.5 * (np.log(BOUNDARIES[:, None]) / 0.5) ** 2
    score[:, times >= latest] = -np.inf
    i, j = np.unravel_index(score.argmax(), score.shape)
    assert (found.a[0], found.t[0]) == (BOUNDARIES[i], times[j])
    np.testing.assert_array_equal(found.v[[0, 60]], DRIFTS[each[:, :, i, j].argmax(1)])


def hidden(df: pd.DataFrame, deadline: float | None) -> tuple[Any, Any, Any]:
    """Response times, whether upper, and deadlines: without one as they are, with one what go/no-go trials show."""
    rt, upper = df["rt"].to_numpy(), df["response"].to_numpy() > 0
    if deadline is None:
        return rt, upper, np.full(len(df), -np.inf)
    pressed = upper & (rt < deadline)
    return np.where(pressed, rt, np.inf), pressed, np.full(len(df), deadline)


def test_subjects_that_say_nothing_are_taken_for_ordinary() -> None:
    rt, upper = np.full(50, np.inf), np.zeros(50, bool)
    silent = np.repeat([0, 1], 25)
    found = estimates(rt, upper, silent, silent, np.full(2, np.inf), np.full(50, 1.5))
    assert np.all((found.v > -3) & (found.v < 0))
    assert np.all((found.a > 0.7) & (found.a < 1.5))


def test_a_slow_subject_leaves_the_others_what_they_have() -> None:
    df = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=300, seed=1)
    rt, upper = np.append(df["rt"], df["rt"][:3] + 6), np.append(df["response"] > 0, [True, True, False])
    subject = np.repeat([0, 1], [300, 3])
    latest = np.array([rt[:300].min(), rt[300:].min()])
    found = estimates(rt, upper, subject, subject, latest, np.full(303, np.inf))
    alone = estimates(rt[:300], upper[:300], subject[:300], subject[:300], latest[:1], np.full(300, np.inf))
    for both, one in zip(found, alone, strict=True):
        np.testing.assert_array_equal(both[:300], one)


def centred(df: pd.DataFrame, add: Callable[..., Any]) -> None:
    s = pd.factorize(df["subject"])[0]
    v = pm.Normal("v", pm.Normal("v_mean", 0, 1), pm.HalfNormal("v_sd", 1), dims="subject")
    a = pm.LogNormal("a", pm.Normal("a_log", 0, 0.5), pm.HalfNormal("a_sd", 0.3), dims="subject")
    t = T_MAX * pm.math.invlogit(
        pm.Normal("t_raw", pm.Normal("t_mean", 0, 1), pm.HalfNormal("t_sd", 1), dims="subject")
    )
    add("obs", v[s], a[s], t=t[s])


def non_centred(df: pd.DataFrame, add: Callable[..., Any]) -> None:
    s = pd.factorize(df["subject"])[0]
    v = pm.Normal("v_mean", 0, 1) + pm.HalfNormal("v_sd", 1) * pm.Normal("v_offset", dims="subject")
    a = pm.math.log1pexp(pm.Normal("a_mean", 0, 1) + pm.HalfNormal("a_sd", 1) * pm.Normal("a_offset", dims="subject"))
    t = pm.math.exp(pm.Normal("t_mean", -1, 1) + pm.HalfNormal("t_sd", 1) * pm.Normal("t_offset", dims="subject"))
    add("obs", v[s], a[s], t=t[s])


def with_a_regressor(df: pd.DataFrame, add: Callable[..., Any]) -> None:
    """Every trial has a drift of its own, so no two share a cell."""
    s = pd.factorize(df["subject"])[0]
    effort = np.random.default_rng(1).normal(size=len(df))
    v = pm.Normal("v", 0, 2, dims="subject")[s] + pm.Normal("slope", 0, 0.5) * effort
    a, t = pm.TruncatedNormal("a", 1, 0.5, lower=0.3, upper=2.5), pm.Uniform("t", 0, T_MAX, dims="subject")
    add("obs", v, a, t=t[s])


def build(df: pd.DataFrame, parameters: Callable[..., Any], add: Callable[..., Any]) -> pm.Model:
    with pm.Model(coords={"subject": df["subject"].unique()}) as model:
        parameters(df, add)
    return model


def at_start(model: pm.Model, overrides: Any = None) -> tuple[float, dict[str, Any]]:
    """Log density and parameters of every trial, where `pm.sample` would start without moving."""
    point = make_initial_point_fn(model=model, overrides=overrides)(1)
    inputs = model["obs"].owner.inputs[2:]
    names = model["obs"].owner.op.parameters
    outputs = [model.logp(), *model.replace_rvs_by_values(list(inputs))]
    logp, *values = model.compile_fn(outputs, mode="FAST_COMPILE", on_unused_input="ignore")(point)
    return float(logp), dict(zip(names, values, strict=True))


@pytest.mark.parametrize(
    ("parameters", "task"),
    [(centred, "go"), (non_centred, "go"), (centred, "both"), (with_a_regressor, "both")],
)
def test_starts_are_near_the_truth(parameters: Callable[..., Any], task: str, request: pytest.FixtureRequest) -> None:
    df, truth = request.getfixturevalue(task)

    def add(name: str, v: Any, a: Any, t: Any) -> None:
        if task == "go":
            pl.GoNoGoDDM(name, v, a, t=t, deadline=DEADLINE, observed=df)
        else:
            pl.DDM(name, v * df["sign"].to_numpy(), a, t=t, observed=df)

    model = build(df, parameters, add)
    start = pl.initvals(model, df)
    assert set(start) == {rv.name for rv in model.free_RVs}
    before, (after, values) = at_start(model)[0], at_start(model, start)
    assert np.isfinite(after)
    assert after > before
    first = pd.factorize(df["subject"], sort=False)[0]
    values = {name: np.broadcast_to(x, (len(df),)) for name, x in values.items()}
    assert np.all(values["t"] < df.groupby("subject")["rt"].transform("min"))
    if parameters is not with_a_regressor:
        # A sign for each trial type. 160 trials leave v uncertain by about 0.2 and a by 0.08; three of these, and half
        # a step of the grid.
        drift = values["v"] * df["sign"].to_numpy()
        assert np.all(np.abs(drift - truth["v"].to_numpy()[first]) < 0.75)
        assert np.all(np.abs(values["a"] - truth["a"].to_numpy()[first]) < 0.35)


# By name: intercept and slope of v, of log a and of t, by a regressor; how many values it has, even on -0.4 to 0.4.
REGRESSED = {
    "steep": ((0.3, 7.0), (0.1, 0.0), (0.3, 0.0), 400),
    "falling": ((-0.2, -3.0), (-0.2, 0.0), (0.25, 0.0), 400),
    "flat": ((1.0, 0.1), (0.0, 0.0), (0.3, 0.0), 400),
    "all of them": ((0.5, 4.0), (0.1, -0.8), (0.35, 0.3), 400),
    "a of two conditions": ((1.0, 0.0), (0.1, -1.5), (0.3, 0.0), 2),
}
SPREADS = np.array([2.0, 5.0, 0.5, 1.0, 0.5, 0.5])


@pytest.mark.parametrize("task", ["go", "both"])
@pytest.mark.parametrize("truth", REGRESSED.values(), ids=REGRESSED)
def test_regressors_are_part_of_what_is_fitted(truth: tuple[Any, ...], task: str) -> None:
    """The start's log density, and that where another optimiser ends that began at the truth, by the closed form."""
    n, center = 400, np.array([0.0, 0.0, 0.0, 0.0, 0.3, 0.0])
    *truth, levels = truth
    x = np.random.default_rng(1).permutation(np.resize(np.linspace(-0.4, 0.4, levels), n))

    def parameters(coefficients: Any, xp: Any) -> tuple[Any, Any, Any]:
        v, log_a, t = (coefficients[i] + coefficients[i + 1] * x for i in (0, 2, 4))
        return v, xp.exp(log_a), t

    v, a, t = parameters(np.ravel(truth), np)
    df = pl.simulate("ddm", {"v": v, "a": a, "z": 0.5, "t": t}, seed=2)
    rt, upper, ends = hidden(df, DEADLINE if task == "go" else None)
    seen = np.isfinite(rt)

    def minus_log_density(coefficients: Any) -> float:
        v, a, t = parameters(coefficients, np)
        if np.any(rt <= t) or np.any(t <= 0):
            return np.inf
        density = ddm_logpdf(NUMPY, np.where(seen, rt, 9.0) - t, np.where(upper, 1.0, -1.0), v, a, 0.5)
        log_p = np.where(seen, density, ddm_log_go(NUMPY, ends - t, v, a, 0.5)[1])
        return float(0.5 * (((coefficients - center) / SPREADS) ** 2).sum() - log_p.sum())

    # The truth lies before every response, but a slope of t is moved with its intercept.
    options = {"maxiter": 4000, "maxfev": 4000, "adaptive": True}
    mode = minimize(minus_log_density, np.ravel(truth), method="Nelder-Mead", options=options).x
    with pm.Model() as model:
        c = [pm.Normal(f"c{i}", m, s) for i, (m, s) in enumerate(zip(center, SPREADS, strict=True))]
        v, a, t = parameters(c, pm.math)
        observed = pd.DataFrame({"rt": np.where(seen, rt, np.nan), "response": np.where(upper, 1, 0 - seen)})
        if task == "go":
            pl.GoNoGoDDM("obs", v, a, t=t, deadline=DEADLINE, observed=observed)
        else:
            pl.DDM("obs", v, a, t=t, observed=observed)
    start = pl.initvals(model, df)
    logp = model.compile_logp(mode="FAST_COMPILE")
    found, best = (logp(each) for each in (start, {f"c{i}": value for i, value in enumerate(mode)}))
    assert found > best - 10
    assert found > -minus_log_density(mode) - 0.5 * np.log(2 * np.pi * SPREADS**2).sum() - 10


def test_members_climb_and_groups_stay(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Slopes of subjects around a group: its deviation stays where it was, though that of equal slopes would be 0."""
    df, x = both[0].copy(), np.random.default_rng(3).uniform(-0.4, 0.4, len(both[0]))
    theta = {"v": 0.5 + 5 * x, "a": 1.0, "z": 0.5, "t": 0.3}
    df[["rt", "response"]] = pl.simulate("ddm", theta, seed=4)[["rt", "response"]]
    s = pd.factorize(df["subject"])[0]
    with pm.Model(coords={"subject": df["subject"].unique()}) as model:
        slope = pm.Normal("slope", pm.Normal("mean", 0, 3), pm.HalfNormal("sd", 3), dims="subject")
        v = pm.Normal("v0", 0, 2) + slope[s] * x
        pl.DDM("obs", v, pm.LogNormal("a", 0, 0.5), t=pm.Uniform("t", 0, 0.6), observed=df)
    start = pl.initvals(model, df)
    initial = model.initial_point(random_seed=0)
    assert start["mean"] == initial["mean"]
    np.testing.assert_allclose(np.log(start["sd"]), initial["sd_log__"], atol=1e-12)
    # 160 trials leave a slope uncertain by about 0.4, and the group at 0 takes 0.1 off it.
    assert np.all(np.abs(start["slope"] - 5) < 1.5)
    again = pl.initvals(model, df)
    assert all(np.array_equal(start[name], again[name]) for name in start)


def test_guesses_do_not_hold_t_back(go: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """With lapses in the model the fastest press may be a guess; without, it may not."""
    df = go[0].copy()
    pressed = df.index[df["rt"].notna() & (df["subject"] == "s0")]
    df.loc[pressed[0], "rt"] = 0.02
    # However many others would have a later t.
    others = df[df["subject"] != "s0"]
    df = pd.concat([df, *(others.assign(subject=others["subject"] + f"-{i}") for i in range(12))], ignore_index=True)
    start = {}
    for p_lapse in (0.0, 0.05):
        with pm.Model():
            t = pm.Uniform("t", 0, T_MAX)
            pl.GoNoGoDDM("obs", pm.Normal("v"), pm.LogNormal("a"), t=t, deadline=DEADLINE, p_lapse=p_lapse, observed=df)
            start[p_lapse] = float(pl.initvals(df=df)["t"])
    # Of the fastest press 0.8, and the tenth of it by which a start may be off.
    assert start[0.0] < 0.9 * 0.02
    assert 0.1 < start[0.05] < 0.4


def one(df: pd.DataFrame, t: Any = 0.2, **kwargs: Any) -> pm.Model:
    with pm.Model() as model:
        pl.GoNoGoDDM("obs", pm.Normal("v"), 1.0, t=t, deadline=DEADLINE, observed=df, **kwargs)
    return model


def two(df: pd.DataFrame) -> pm.Model:
    with one(df) as model:
        pl.GoNoGoDDM("more", pm.Normal("w"), 1.0, t=0.1, deadline=DEADLINE, observed=df)
    return model


def race(df: pd.DataFrame) -> pm.Model:
    with pm.Model() as model:
        decided = df[["rt"]].dropna().assign(response=0)
        pl.LBA2("obs", *(pm.HalfNormal(name) for name in pl.get_model("lba2").names), observed=decided)
    return model


def none() -> pm.Model:
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("x"), observed=0.0)
    return model


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda df: pl.initvals(none(), df),
            "Expected a model with one observed distribution of response times of pymc_lan. Found none.",
        ),
        (lambda df: pl.initvals(two(df), df), "Found obs, more."),
        (
            lambda df: pl.initvals(one(df), df[["rt"]].to_numpy()),
            "Expected a DataFrame with the trials. Found ndarray.",
        ),
        (lambda df: pl.initvals(one(df), df.iloc[1:]), "one value for each of the 960 trials"),
        (
            lambda df: pl.initvals(one(df), df, by="subjct"),
            "Unknown column 'subjct'. Known columns: trial, rt, response, trial_type, subject, sign. Did you mean 'sub",
        ),
        (lambda df: pl.initvals(one(df), df.drop(columns="subject"), by="subject"), "Unknown column 'subject'."),
        (
            lambda df: pl.initvals(one(df), df.assign(subject=df["subject"].mask(df.index % 480 == 7))),
            "a label in column 'subject' for every trial. Found none in 2 of 960 rows: row 7 (subject = missing)",
        ),
        (
            lambda df: pl.initvals(race(df), df),
            "Expected a diffusion with drift v, boundary a and",
        ),
    ],
)
def test_mistakes_are_explained(
    call: Callable[[pd.DataFrame], Any], words: str, go: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    with pytest.raises(ValueError, match=r"^(Expected|Unknown)") as caught:
        call(go[0])
    assert words in str(caught.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:os.fork:DeprecationWarning")
def test_default_sampling_of_148_subjects_converges(shared_data: Path, script: Callable[[str], Any]) -> None:
    """Go/no-go data of all subjects: `pm.sample()` as it is on four cores, from the start that is found.

    Takes an hour. Two chains, as on two cores, have an R-hat of 1.011 by chance: see docs/hierarchical.md.
    """
    by_hand = script("benchmarks/_pavlovian")
    df = by_hand.read(shared_data / "data" / "pavlovian_gonogo.csv.gz", 148)
    assert df["subject"].nunique() == 148
    with by_hand.build_model(df) as model:
        idata = pm.sample(chains=4, initvals=pl.initvals(model, df), random_seed=1, progressbar=False)
    diverging = idata.sample_stats["diverging"].values
    assert diverging.size == 4000
    assert diverging.mean() <= 1e-3
    assert az.summary(idata, round_to="none")["r_hat"].max() < 1.01
