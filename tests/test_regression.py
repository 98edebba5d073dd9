"""pl.regression: formulas to a PyMC model, compared with models and design matrices written by hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from tables import one_of_a_kind
from toy_simulators import THREE, TINY

import pymc_lan as pl
from pymc_lan.distributions.nodes import trial_node
from pymc_lan.regressions import sampling
from pymc_lan.regressions.draws import Draws
from pymc_lan.regressions.parameters import designs, deviations, parameters
from pymc_lan.regressions.sampling import judgement, prepare, starts

N_SUBJECTS, N_TRIALS = 4, 12


@pytest.fixture(autouse=True)
def _interpreted() -> Iterator[None]:
    """Compile in no time, for few evaluations, and without looking for a BLAS."""
    with pytensor.config.change_flags(mode="FAST_COMPILE", cxx=""):
        yield


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    """Trials of four subjects under two conditions, with a covariate of trials and one of subjects."""
    rng = np.random.default_rng(1)
    n = N_SUBJECTS * N_TRIALS
    table = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=n, seed=1)
    subject = np.repeat(np.arange(N_SUBJECTS), N_TRIALS)
    return table.assign(
        subject=np.array(["s4", "s1", "s3", "s2"])[subject],
        condition=np.tile(["fast", "slow"], n // 2),
        item=np.tile(["i1", "i2", "i3"], n // 3),
        x=rng.normal(size=n),
        age=np.array([20.0, 31.0, 45.0, 28.0])[subject],
    )


def same_density(left: pm.Model, right: pm.Model) -> None:
    """Compare log densities, term by term, at a point that is not symmetric."""
    rng = np.random.default_rng(2)
    point = {k: x + rng.normal(0, 0.2, x.shape) for k, x in left.initial_point().items()}
    assert {*point} == {*right.initial_point()}
    found, expected = (dict(m.point_logps(point, round_vals=12)) for m in (left, right))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, err_msg=name)


def inside(x: Any, low: float, high: float, sharpness: float) -> Any:
    """The identity between two ends that it does not pass, as the links are to have it."""
    return pt.log((1 + pt.exp(sharpness * (x - low))) / (1 + pt.exp(sharpness * (x - high)))) / sharpness + low


def drift(eta: Any) -> Any:
    """The link of v in the bounds of "ddm", -6 to 6, a ten-millionth of their width inside."""
    return inside(eta, -6 + 1.2e-6, 6 - 1.2e-6, 2)


def boundary(eta: Any) -> Any:
    """The link of a, 0.3 to 4."""
    low, high = np.log(0.3 + 3.7e-7), np.log(4 - 3.7e-7)
    return pt.exp(inside(eta, low, high, 10))


def onset(eta: Any) -> Any:
    """The link of t, up to 2."""
    high = np.log(2 - 2e-7)
    return pt.exp(high - pt.log1p(pt.exp(10 * (high - eta))) / 10)


def test_the_model_is_the_one_written_by_hand(df: pd.DataFrame) -> None:
    reg = pl.regression(
        "ddm",
        df,
        v="condition + x + age + (condition | subject)",
        a="0 + condition + (0 + condition | subject) + (1 | item)",
        p_lapse=0.03,
    )
    names = ["s1", "s2", "s3", "s4"]
    subject = df["subject"].map(names.index).to_numpy()
    item = df["item"].str[1].astype(int).to_numpy() - 1
    slow = (df["condition"] == "slow").to_numpy().astype(float)
    age = df.groupby("subject")["age"].first()[names].to_numpy()
    sd_x, sd_age = df["x"].std(ddof=0), df["age"].std(ddof=0)
    with pm.Model(coords={"subject": names}) as model:
        v = pm.Normal("v", 0, [2, 1, 1 / sd_x, 1 / sd_age])
        a = pm.Normal("a", np.log(0.7), [0.4, 0.4])
        t = pm.Normal("t", np.log(0.4), [0.4])
        sd = pm.HalfNormal("subject_sd", [1, 0.5, 0.3, 0.3, 0.3])
        mean = pt.stack([v[0] + v[3] * age, *(x + np.zeros(4) for x in (v[1], a[0], a[1], t[0]))], axis=1)
        each = pm.Normal("subject_effects", mean, sd)
        item_effect = pm.Normal("item_effects", 0, pm.HalfNormal("item_sd", [0.3]), shape=(3, 1))
        eta_v = each[subject, 0] + each[subject, 1] * slow + v[2] * df["x"].to_numpy()
        eta_a = pt.where(slow == 1, each[subject, 3], each[subject, 2]) + item_effect[item, 0]
        pl.DDM(
            "obs",
            drift(eta_v),
            boundary(eta_a),
            t=onset(each[subject, 4]),
            p_lapse=0.03,
            observed=df,
        )
    same_density(reg.model, model)


# One case for each part of what `code` writes and `save` keeps.
CASES = {
    "correlated": {
        "v": "condition + x + age + (condition | subject)",
        "a": "0 + condition + (0 + condition | subject) + (1 | item)",
        "p_lapse": pm.Beta.dist(2, 38),
        "priors": {"subject_corr": 3.0, "v[x]": pm.Normal.dist(0.1, 0.2), "a": pm.Normal.dist(0, 0.5)},
    },
    "one value": {"v": "1", "a": "offset(0.1 * x) + x", "z": 0.4, "t": "1", "likelihood": "exact"},
    "nested": {"v": "(1 + x || subject)", "a": 1.0, "t": "1 + (1 | subject/item)", "z": "1 + (0 + x | subject)"},
    "accuracy": {"v": "1", "a": "1", "t": "1", "accuracy": "correct", "stimulus": "condition"},
    "press": {
        "v": "0 + condition + (0 + condition | subject)",
        "v_nogo": "1",
        "d_press": "1 + (1 | subject)",
        "p_lapse": "1",
        "lapse_go": 0.4,
        "go_nogo": True,
        "trial_type": {"target": "go", "foil": "no-go"},
        "deadline": 2.0,
    },
    "race": {"v0": "x", "v1": "1", "v2": "1", "b": "1", "A": 0.3},
    "categories": {"v": "kind + (1 | subject)", "a": 1.0, "t": 0.3, "response": {"left": -1, "right": 1}},
}


def unused(df: pd.DataFrame) -> pd.Series:
    """Conditions in order, one of which has no trials."""
    return pd.Series(pd.Categorical(df["condition"], ["slow", "medium", "fast"], ordered=True))


def case(df: pd.DataFrame, name: str) -> Any:
    """The regression of a case."""
    table = df.assign(correct=(df["response"] == 1).astype(int))
    if name == "accuracy":
        table = table.drop(columns="response")
    if name == "press":
        pressed = (df["response"] == 1) & (df["rt"] < 2.0)
        table = table.assign(rt=df["rt"].where(pressed), trial_type=np.where(df["x"] > 0, "target", "foil"))
        table = table.drop(columns="response")
    if name == "race":
        table = table.assign(response=np.arange(len(df)) % 3)
    if name == "categories":
        table = table.assign(kind=unused(df), response=np.where(df["response"] == 1, "right", "left"))
    return pl.regression("lba3" if name == "race" else "ddm", table, **CASES[name])


def moved(model: pm.Model) -> dict[str, np.ndarray]:
    """A point beside the initial one."""
    rng = np.random.default_rng(2)
    return {k: x + rng.normal(0, 0.1, np.shape(x)) for k, x in model.initial_point().items()}


Known = Callable[[str], tuple[Any, dict[str, np.ndarray], dict[str, float]]]


@pytest.fixture(scope="module")
def known(df: pd.DataFrame) -> Known:
    """The regression of a case, a point, and the log densities of its variables there; each compiled once."""

    @cache
    def found(name: str) -> tuple[Any, dict[str, np.ndarray], dict[str, float]]:
        reg = case(df, name)
        point = moved(reg.model)
        return reg, point, reg.model.point_logps(point, round_vals=9)

    return found


@pytest.mark.parametrize("name", one_of_a_kind(CASES, "correlated", "press", "accuracy", "categories"))
def test_the_code_makes_the_same_model(known: Known, name: str) -> None:
    reg, point, expected = known(name)
    given = reg.description.table.drop(columns="response") if name == "accuracy" else reg.description.table
    if name == "categories":
        given = given.assign(kind=unused(given.assign(condition=given["kind"].astype(str))))
    names: dict[str, Any] = {"df": given}
    exec(reg.code(), names)  # what a user is to do with it
    assert names["model"].point_logps(point, round_vals=9) == expected
    assert {k: tuple(x) for k, x in names["model"].coords.items()} == {k: tuple(x) for k, x in reg.model.coords.items()}


@pytest.mark.table
def test_responses_alone_and_a_network_just_trained(tmp_path: Path) -> None:
    network = pl.train(THREE, tmp_path, simulation_recipe=TINY, n_measured=5000, progress=False)
    table = pd.DataFrame({"response": [0, 1, 2, 1] * 3, "x": np.arange(12.0), "s": ["a", "b", "c"] * 4})
    first, *rest = network.spec.names
    reg = pl.regression(network, table, formulas={first: "scale(x) + (1 | s)"} | dict.fromkeys(rest, "1"))
    names: dict[str, Any] = {"df": table, "model_given": network}
    exec(reg.code(), names)
    point = moved(reg.model)
    assert reg.model.point_logps(point, round_vals=9) == names["model"].point_logps(point, round_vals=9)
    assert "pl.ChoiceDist('obs', model_given" in reg.code()


def test_categories_that_do_not_occur_have_no_effect(df: pd.DataFrame) -> None:
    kind = pd.Categorical(df["condition"], ["slow", "medium", "fast"], ordered=True)
    reg = pl.regression("ddm", df.assign(kind=kind, who=pd.Categorical(df["subject"])), v="kind + (1 | who)")
    assert reg.plan.predictors["v"].labels == ("Intercept", "kind[fast]")
    assert reg.plan.members["who"].grouping.members == ("s1", "s2", "s3", "s4")


def test_what_responses_were_made_of_is_shown(df: pd.DataFrame) -> None:
    shown = str(case(df, "accuracy")).splitlines()[0]
    assert shown.endswith(
        "by 'correct', right is the lower boundary where 'condition' is 'fast', the upper where 'slow'"
    )


@pytest.mark.parametrize("name", one_of_a_kind(CASES, "correlated", "press"))
def test_a_file_brings_the_same_model_back(known: Known, name: str, tmp_path: Path) -> None:
    reg, point, expected = known(name)
    reg.save(tmp_path / "fit.nc")
    back = pl.load_regression(tmp_path / "fit.nc")
    assert back.idata is None
    assert repr(back) == repr(reg)
    pd.testing.assert_frame_equal(back.description.table, reg.description.table)
    assert back.model.point_logps(point, round_vals=9) == expected


def test_correlated_effects_are_those_written_by_hand(df: pd.DataFrame) -> None:
    reg = pl.regression(
        "ddm", df, v="1 + x + (1 | subject)", a="1", t="1 + (1 | subject)", priors={"subject_corr": 2.0}
    )
    subject = df["subject"].map(["s1", "s2", "s3", "s4"].index).to_numpy()
    with pm.Model() as model:
        v = pm.Normal("v", 0, [2, 1 / df["x"].std(ddof=0)])
        a, t = pm.Normal("a", np.log(0.7), [0.4]), pm.Normal("t", np.log(0.4), [0.4])
        sd_dist = pm.HalfNormal.dist([1.0, 0.3])
        chol, *_ = pm.LKJCholeskyCov("subject_chol", n=2, eta=2, sd_dist=sd_dist, store_in_trace=False)
        each = pm.MvNormal("subject_effects", pt.stack([v[0], t[0]]), chol=chol, shape=(4, 2))
        eta = each[subject, 0] + v[1] * df["x"].to_numpy()
        a = boundary(a[0])
        t = onset(each[subject, 1])
        pl.DDM("obs", drift(eta), a, t=t, observed=df)
    same_density(reg.model, model)


def test_a_press_starts_at_its_distance(df: pd.DataFrame) -> None:
    table = df.assign(rt=df["rt"].where(df["response"] == 1)).drop(columns="response")
    reg = pl.regression("ddm", table, v="x", a="1", t="1", d_press="1 + x", go_nogo=True, deadline=6.0)
    x = df["x"].to_numpy()
    with pm.Model() as model:
        v, d = pm.Normal("v", 0, [2, 1 / x.std()]), pm.Normal("d_press", [np.log(0.7), 0], [0.4, 0.3 / x.std()])
        a, t = pm.Normal("a", np.log(0.7), [0.4]), pm.Normal("t", np.log(0.4), [0.4])
        a = boundary(a[0])
        t = onset(t[0])
        # The distance in units of the separation, which ends where z does, at 0.01 and 0.99.
        ends = np.log(0.01 + 1e-7 * 0.98), np.log(0.99 - 1e-7 * 0.98)
        z = 1 - pt.exp(inside(d[0] + d[1] * x - pt.log(2 * a), *ends, 20))
        pl.GoNoGoDDM("obs", drift(v[0] + v[1] * x), a, z, t, deadline=6.0, trial_type=None, observed=table)
    same_density(reg.model, model)


def test_what_is_left_out(df: pd.DataFrame) -> None:
    reg = pl.regression("ddm", df)
    assert dict(reg.description.parameters) == {
        "v": "1 + (1 | subject)",
        "a": "1 + (1 | subject)",
        "z": 0.5,
        "t": "1 + (1 | subject)",
    }
    assert pl.regression("ddm", df.drop(columns="subject")).description.formulas == {"v": "1", "a": "1", "t": "1"}
    for whose, written in (("participant_id", "participant_id"), ("Subject ID", "`Subject ID`")):
        other = pl.regression("ddm", df.rename(columns={"subject": whose}))
        assert other.description.formulas["a"] == f"1 + (1 | {written})"
        assert f"{whose}: 4 members, 3 effects" in str(other)
    polars = pytest.importorskip("polars")
    same = pl.regression("ddm", polars.from_pandas(df))
    pd.testing.assert_frame_equal(same.description.table, reg.description.table)
    assert list(reg.description.table.columns) == ["rt", "response", "subject"]
    assert str(reg).splitlines()[:3] == [
        "ddm: 48 trials",
        "subject: 4 members, 3 effects; their effects are not correlated",
        "",
    ]
    assert "a          log       0.3 to 4  1 + (1 | subject)" in str(reg)
    assert "subject_sd[a: Intercept]  HalfNormal(0.3)" in str(reg)
    assert "z                              fixed at 0.5" in str(reg)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"v": "agee + (1 | subject)"}, "Unknown column 'agee'.*Did you mean 'age'.*formula 'agee"),
        ({"v": "1 + (1 | subjekt)"}, "Unknown column 'subjekt'.*Did you mean 'subject'"),
        ({"v": "nope(x)"}, "Unknown column 'nope'"),
        ({"v": "x age"}, "Found 'x age': nothing joins 'age' to what stands before it"),
        ({"v": "x + (1 | subject))"}, r"nothing joins '\)' to"),
        ({"v": "1 | subject"}, r"\| stands outside parentheses"),
        ({"v": "x +"}, "a formula that can be read for v. Found 'x .'"),
        ({"v": "rt ~ x"}, "a formula of v alone.*response"),
        ({"w": "x"}, "Unknown parameter 'w' of model 'ddm'"),
        ({"v": "x", "formulas": {"v": "1"}}, "Expected v once"),
        ({"v": [1.0, 2.0]}, "as v a formula, a number, or a prior"),
        ({"v": "gap"}, r"a value of 'gap' in every row.*Found none in 1 of 48 rows: row 3 \(gap = missing\)"),
        ({"v": "np.log(x)"}, "finite values of 'np.log"),
        ({"v": "1 + (1 | constant)"}, "at least 2 members of 'constant'"),
        ({"v": "1 + (1 | v)"}, "another name for what trials are grouped by than 'v'"),
        ({"v": "1 + (1 | t_effect)"}, "grouped by than 't_effect'"),
        ({"priors": {"b": pm.Normal.dist()}}, "Unknown prior 'b'.*Known priors: v, a, t, subject_sd"),
        ({"priors": {"v[Intercept]": pm.StudentT.dist(3)}}, "Expected a Normal prior of each value of 'v'"),
        (
            {"t": "1", "a": "1", "v": "1 + (1 | subject)", "priors": {"subject_corr": 4}},
            "one: v: Intercept. Rem",
        ),
        ({"priors": {"subject_sd": pm.Normal.dist()}}, r"positive numbers as subject_sd. Found Normal\(\[0"),
        ({"priors": {"v": pm.Normal.dist([0, 1, 2], 1)}}, "one number for each of the 1 values of 'v'. Found 3"),
        ({"v": "x + rt"}, "known before the response, in the formula 'x . rt' of v. Found 'rt'"),
        ({"accuracy": "item", "t": "item"}, "known before the response.*Found 'item'"),
        ({"d_press": "1", "go_nogo": True, "z": 0.5}, "d_press in place of z"),
        ({"d_press": "1"}, "Unknown parameter 'd_press'"),
        ({"v": "0 + kind", "go_nogo": True}, "Expected trial_type=..., because"),
        ({"deadline": "end"}, "Unknown column 'end'"),
        ({"accuracy": "item", "z": "1"}, "z = 0.5 where the boundaries are right and wrong"),
        ({"stimulus": "item"}, "accuracy=..., the column that says what was right"),
    ],
)
def test_what_cannot_be_is_refused(df: pd.DataFrame, arguments: dict[str, Any], words: str) -> None:
    gap = df["x"].where(np.arange(len(df)) != 3)
    table = df.assign(gap=gap, constant="c", v=df["item"], t_effect=df["item"], kind=df["condition"])
    if "kind" in str(arguments.get("v")):
        table, arguments = table.rename(columns={"kind": "trial_type"}), arguments | {"v": "0 + trial_type"}
    with (
        pytest.warns(RuntimeWarning) if "log" in str(arguments) else nullcontext(),
        pytest.raises(ValueError, match=words),
    ):
        pl.regression("ddm", table, **arguments)


def test_the_table_is_on_the_scale_of_the_parameters(df: pd.DataFrame) -> None:
    arguments = CASES["correlated"] | {"p_lapse": 0.03}
    reg = pl.regression("ddm", df, **arguments)
    rng = np.random.default_rng(1)
    v, a = rng.normal([0.5, 0.2, 0.1, 0.0], 0.1, (2, 50, 4)), rng.normal([-0.4, 0.2], 0.1, (2, 50, 2))
    t, sd = rng.normal(-1, 0.1, (2, 50, 1)), rng.uniform(0.1, 0.3, (2, 50, 5))
    draws = {
        "v": v,
        "a": a,
        "t": t,
        "subject_sd": sd,
        "item_sd": sd[..., :1],
        "subject_corr": np.ones((2, 50, 5, 5)) * t[..., None],
    }
    dims = {"v": ["v_effect"], "a": ["a_effect"], "t": ["t_effect"], "subject_sd": ["subject_effect"]}
    dims |= {"item_sd": ["item_effect"], "subject_corr": ["subject_effect", "subject_effect_other"]}
    found = reg.table(az.from_dict({"posterior": draws}, dims=dims))
    expected = {
        "v[Intercept]": v[..., 0],
        "v[condition[slow]]": v[..., 1],
        "a[condition[fast]]": np.exp(a[..., 0]),
        "t[Intercept]": np.exp(t[..., 0]),
        "subject_sd[v: condition[slow]]": sd[..., 1],
        "subject_sd[a: condition[slow]]": np.exp(a[..., 1]) * np.sinh(sd[..., 3]),
        "item_sd[a: Intercept]": np.exp(a.mean(-1)) * np.sinh(sd[..., 0]),
        "subject_corr[v: Intercept, a: condition[fast]]": t[..., 0],
    }
    for name, x in expected.items():
        row = found.loc[name]
        np.testing.assert_allclose(
            row[["mean", "sd", "5%", "95%"]],
            [x.mean(), x.std(ddof=1), *np.quantile(x, [0.05, 0.95])],
            rtol=0.02,
            atol=2e-3,
        )
        # R-hat and effective draws depend on ranks alone.
        np.testing.assert_allclose(row[["r_hat", "ess"]], [az.rhat(x), az.ess(x)], rtol=0.02)
    assert len(found) == 4 + 2 + 1 + 5 + 10 + 1


# Those of which the distribution makes nothing else.
@pytest.mark.parametrize(("name", "names"), [("press", ["a", "z", "t", "p_lapse"]), ("correlated", ["v", "a", "t"])])
def test_parameters_follow_from_draws(df: pd.DataFrame, name: str, names: list[str]) -> None:
    reg = case(df, name)
    drawn = pm.draw(reg.model.free_RVs, draws=3, random_seed=1)
    named = dict(zip([rv.name for rv in reg.model.free_RVs], drawn, strict=True))
    draws = Draws(named, np.zeros(1), np.arange(3))
    apart = deviations(reg.plan, draws, {})
    found = parameters(reg.plan, designs(reg.plan), draws, apart)
    again = parameters(reg.plan, designs(reg.plan, reg.description.table), draws, apart)
    node = trial_node(reg.model["obs"])
    inputs = dict(zip(node.op.parameters, node.inputs[2:], strict=True))
    evaluate = pytensor.function(reg.model.free_RVs, [inputs[name] for name in names], on_unused_input="ignore")
    for k in range(3):
        for parameter, x in zip(names, evaluate(*(x[k] for x in drawn)), strict=True):
            by_trial = np.broadcast_to(found[parameter][k], len(df))
            np.testing.assert_allclose(by_trial, np.broadcast_to(x, len(df)), rtol=1e-10)
    for parameter, x in found.items():
        np.testing.assert_allclose(again[parameter], x, rtol=1e-12)


def test_sampling_says_how_it_went(df: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reg = pl.regression("ddm", df, v="1", a=pm.LogNormal.dist(0.0, 0.1), t=0.2, p_lapse=0.05)
    with caplog.at_level("INFO", "pymc_lan"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyMC, about so few draws
        idata = reg.sample(draws=8, tune=8, chains=2, cores=1, nuts_sampler="pymc", random_seed=1, progressbar=False)
    assert "effective draws" in caplog.text
    assert "No draw is outside the bounds of the model." in caplog.text
    far = az.from_dict({"posterior": {name: x.to_numpy() + 4.0 for name, x in idata["posterior"].data_vars.items()}})
    share = 100 * np.mean(far["posterior"]["a"] > 4.0)
    assert share > 50
    assert f" {share:.2g} % of the draws of a are outside its bounds." in judgement(reg.plan, reg.model, far)
    two = {
        name: x.to_numpy() + 9.0 * x["chain"].to_numpy().reshape(2, *[1] * (x.ndim - 1))
        for name, x in idata["posterior"].data_vars.items()
    }
    words = judgement(reg.plan, reg.model, az.from_dict({"posterior": two}))
    assert "The chains have not met" in words
    assert "compare the chains' values" in words
    assert "initvals" not in words  # where they began
    assert reg.idata is idata
    reg.save(tmp_path / "fit.nc")
    back = pl.load_regression(tmp_path / "fit.nc")
    xr.testing.assert_identical(back.idata["posterior"].dataset, idata["posterior"].dataset)
    pd.testing.assert_frame_equal(back.table(), reg.table())


def test_chains_start_at_the_trials_of_each_subject(df: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    table = df.rename(columns={"subject": "who"})
    reg = pl.regression("ddm", table, v="1 + (1 | who)", a="1", t="1 + (1 | who)", p_lapse=0.03)
    found = starts(reg.plan, reg.model)
    assert found is not None
    expected = pl.initvals(reg.model, table, by="who")
    np.testing.assert_array_equal(found["who_effects"], expected["who_effects"])
    assert starts(case(df, "race").plan, None) is None
    # The group is where the members are, and the model that is sampled another one.
    begun: list[dict[str, np.ndarray]] = []
    real = sampling.informed
    monkeypatch.setattr(sampling, "informed", lambda model: begun.append(model.initial_point()) or real(model))
    ready, start = prepare(reg.plan, reg.model)
    np.testing.assert_allclose(begun[0]["who_effects"], expected["who_effects"])
    assert start is not None
    assert {*start} == {"v", "a", "t", "who_sd"}
    assert [x.name for x in ready.value_vars if "informed" in x.name] == ["who_effects_informed__"]
    np.testing.assert_allclose(start["v"], expected["who_effects"][:, 0].mean(), atol=0.5)
    assert reg.model.rvs_to_initial_values[reg.model["v"]] is None


def test_the_prior_is_drawn_as_it_is(df: pd.DataFrame) -> None:
    figure = case(df, "press").plot_prior(draws=20)
    shown = [ax.get_xlabel() for ax in figure.axes if ax.get_visible()]
    names = ["v [evidence/s]", "a [evidence]", "z", "t [s]", "v_nogo [evidence/s]", "p_lapse", "d_press [evidence]"]
    assert shown == [*names, "response time [s]"]
    pl.plots.style.pyplot().close(figure)


def test_what_has_no_name_is_not_saved(df: pd.DataFrame, tmp_path: Path) -> None:
    reg = pl.regression(replace(pl.load_network("ddm"), version="unpublished"), df, v="1", a="1", t="1")
    with pytest.raises(ValueError, match="a model that a file can refer to by its name"):
        reg.save(tmp_path / "fit.nc")
    named = pl.regression(pl.load_network("ddm"), df, v="1", a="1", t="1")
    named.save(tmp_path / "fit.nc")
    assert pl.load_regression(tmp_path / "fit.nc").description.model == "ddm@2.0"
    xr.Dataset({"x": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"Expected a file of reg\.save"):
        pl.load_regression(tmp_path / "other.nc")
