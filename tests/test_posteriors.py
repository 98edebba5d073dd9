"""Posteriors of many subjects: against conjugate and gridded posteriors, and what each of its parts computes."""

from __future__ import annotations

import pickle
from typing import Any
from unittest.mock import Mock

import arviz as az
import numpy as np
import pandas as pd
import polars as pl_frames
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.replace import vectorize_graph
from scipy.stats import multivariate_t

import pymc_lan as pl
from pymc_lan.errors import LengthError
from pymc_lan.inference.subjects import posteriors, sampling
from pymc_lan.inference.subjects.arrays import PLAIN, python_mode
from pymc_lan.inference.subjects.climb import climb
from pymc_lan.inference.subjects.reading import OneByOne
from pymc_lan.inference.subjects.result import resampled
from pymc_lan.inference.subjects.tables import tables
from pymc_lan.inference.subjects.template import Template
from pymc_lan.inference.subjects.trace import trace
from pymc_lan.inference.subjects.verdicts import OfChains, OfFailure, OfWeights, weighted
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.t_mixture import TMixture, fit_t_mixture
from pymc_lan.numerics.wiener import ddm_logpdf
from pymc_lan.ops.likelihood import LANLogp
from pymc_lan.ops.sets import LANLogpSets, LANLogpSetsAlone

QUIET: dict[str, Any] = {"seed": 1, "progressbar": False}
NOISE, PRIOR_SD = 0.7, 2.0


def normal(df: Any) -> pm.Model:
    """A mean with a conjugate prior, and what follows from it."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, PRIOR_SD)
        pm.Deterministic("double", 2 * mu)
        pm.Deterministic("residual", mu - df["y"].to_numpy())
        pm.Normal("y", mu, NOISE, observed=df["y"].to_numpy())
    return model


@pytest.fixture(scope="module")
def heights() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    subject = np.repeat(["c", "a", "b"], [1, 5, 40])
    return pd.DataFrame({"subject": subject, "y": rng.normal(np.repeat([3.0, -1.0, 0.5], [1, 5, 40]), NOISE)})


@pytest.fixture(scope="module")
def found(heights: pd.DataFrame) -> Any:
    return pl.posteriors(normal, heights.sample(frac=1, random_state=1), draws=4000, **QUIET)


def conjugate(y: Any) -> tuple[float, float]:
    """Mean and standard deviation of the posterior."""
    precision = 1 / PRIOR_SD**2 + len(y) / NOISE**2
    return float(np.sum(y) / NOISE**2 / precision), float(precision**-0.5)


@pytest.mark.parametrize("label", ["a", "b", "c"])
def test_a_conjugate_posterior(heights: pd.DataFrame, found: Any, label: str) -> None:
    mean, sd = conjugate(heights.loc[heights["subject"] == label, "y"])
    group = found["weighted_posterior"].sel(subject=label)
    w, x = np.exp(group["log_weight"].to_numpy().ravel()), group["mu"].to_numpy().ravel()
    draws = found["posterior"]["mu"].sel(subject=label).to_numpy().ravel()
    # Of 4,000 draws some 3,000 count: a standard error of a fiftieth.
    assert w.sum() == pytest.approx(1)
    for m, s in ((w @ x, np.sqrt(w @ (x - w @ x) ** 2)), (draws.mean(), draws.std())):
        assert abs(m - mean) < 0.08 * sd
        assert abs(s / sd - 1) < 0.06


class Moved(pytensor.graph.op.Op):
    """Adds a number that no graph shows: all of them are equal."""

    __props__ = ()
    gufunc_signature = "()->()"

    def __init__(self, by: float) -> None:
        self.by = by

    def make_node(self, x: Any) -> Any:
        return pytensor.graph.basic.Apply(self, [x], [x.type()])

    def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
        outputs[0][0] = np.asarray(inputs[0] + self.by)

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
        return cotangents


def test_models_that_only_look_like_one_are_several() -> None:
    df = pd.DataFrame({"subject": np.repeat(["a", "b"], 20), "y": np.random.default_rng(1).normal(size=40)})

    def build(df: Any) -> pm.Model:
        with pm.Model() as model:
            mu = pm.Normal("mu", 0, PRIOR_SD)
            pm.Normal("y", Moved(3.0 if df["subject"].iloc[0] == "b" else 0.0)(mu), NOISE, observed=df["y"].to_numpy())
        return model

    found = pl.posteriors(build, df, var_names="mu", fallback=None, **QUIET).posterior["mu"].mean(("chain", "draw"))
    for label, by in (("a", 0.0), ("b", 3.0)):
        mean, sd = conjugate(df.loc[df["subject"] == label, "y"] - by)
        assert abs(float(found.sel(subject=label)) - mean) < 0.2 * sd


def test_what_is_returned(found: Any) -> None:
    assert found["posterior"]["mu"].dims == ("chain", "draw", "subject")
    assert found["posterior"]["mu"].shape == (1, 4000, 3)
    assert sorted(found["posterior"]["subject"].to_numpy()) == ["a", "b", "c"]
    # A value for each trial is no posterior of a subject.
    assert set(found["posterior"].data_vars) == {"mu", "double"}
    np.testing.assert_allclose(found["posterior"]["double"], 2 * found["posterior"]["mu"])
    verdicts = found["verdicts"].to_dataset().to_dataframe()
    assert verdicts.loc["b", "n_trials"] == 40
    assert verdicts["right"].all()
    assert (verdicts["pareto_k"] < 0.7).all()
    assert (verdicts["effective"] >= 0.2).all()
    assert verdicts["verdict"].str.contains("right: weighted draws of the Laplace approximation, Pareto k").all()
    assert len(az.summary(found)) == 6


@pytest.mark.parametrize(
    "form", [pl_frames.from_pandas, lambda df: df.astype({"subject": "category"}).set_index("y", drop=False)]
)
def test_tables_of_any_kind_and_any_number_of_cores(heights: pd.DataFrame, form: Any) -> None:
    every = [pl.posteriors(normal, form(heights), var_names=["mu"], cores=cores, **QUIET) for cores in (1, 3)]
    assert every[0]["posterior"].equals(every[1]["posterior"])
    assert set(every[0]["posterior"].data_vars) == {"mu"}
    assert every[0]["posterior"]["subject"].to_numpy().tolist() == ["c", "a", "b"]


def choices(n: int, seed: int, **change: Any) -> pd.DataFrame:
    return pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3} | change, n=n, seed=seed)


def test_a_posterior_on_a_grid() -> None:
    def build(df: Any) -> pm.Model:
        with pm.Model() as model:
            pl.DDM("obs", pm.Normal("v", 1, 1.5), pm.LogNormal("a", 0, 0.4), 0.5, 0.3, observed=df)
        return model

    df = pd.concat([choices(20, i, v=v).assign(subject=i) for i, v in ((0, 2.0), (1, -0.5))])
    group = pl.posteriors(build, df, draws=4000, **QUIET)["weighted_posterior"]
    v, log_a = np.meshgrid(np.linspace(-3, 5, 41), np.linspace(-1.2, 0.9, 37), indexing="ij")
    for i in (0, 1):
        one = df[df["subject"] == i]
        at = [x.ravel()[:, None] for x in (v, np.exp(log_a))]
        # The closed form itself, and no sampler.
        log_f = ddm_logpdf(NUMPY, one["rt"].to_numpy() - 0.3, one["response"].to_numpy(), *at, 0.5)
        log_p = log_f.sum(axis=1)
        log_p += -0.5 * ((at[0] - 1) / 1.5).ravel() ** 2 - 0.5 * (log_a.ravel() / 0.4) ** 2
        p = np.exp(log_p - log_p.max())
        p /= p.sum()
        w = np.exp(group["log_weight"].sel(subject=i).to_numpy().ravel())
        for name, x in (("v", at[0].ravel()), ("a", at[1].ravel())):
            mine = group[name].sel(subject=i).to_numpy().ravel()
            mean, sd = p @ x, np.sqrt(p @ (x - p @ x) ** 2)
            assert abs(w @ mine - mean) < 0.08 * sd
            assert abs(np.sqrt(w @ (mine - w @ mine) ** 2) / sd - 1) < 0.06


def test_two_modes() -> None:
    def build(df: Any) -> pm.Model:
        with pm.Model() as model:
            x = pm.Normal("x", 0, 3)
            pm.Normal("y", abs(x), 0.3, observed=df["y"].to_numpy())
        return model

    found = pl.posteriors(build, pd.DataFrame({"y": [2.0, 2.1], "subject": 1}), **QUIET)
    assert found["verdicts"]["right"].all()
    x = found["posterior"]["x"].to_numpy().ravel()
    assert 0.4 < (x > 0).mean() < 0.6
    assert abs(np.abs(x).mean() - 2.05) < 0.05


def gonogo(df: Any) -> pm.Model:
    """Conditions, a covariate, guesses, a response window of each trial, and data in variables."""
    with pm.Model(coords={"level": ["easy", "hard"]}) as model:
        v = pm.Normal("v", 1, 1.5, dims="level")
        slope = pm.Normal("slope", 0, 0.5)
        t = pm.Uniform("t", 0.05, 0.9 * df["rt"].min())
        covariate = pm.Data("covariate", df["x"].to_numpy())
        drift = v[df["level"].to_numpy()] + slope * covariate
        pl.GoNoGoDDM("obs", drift, pm.LogNormal("a", 0, 0.3), 0.5, t, p_lapse=pm.Beta("g", 1, 20), observed=df)
        pm.Potential("soft", -0.5 * (slope * df["x"].mean()) ** 2)
    return model


def presses(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    df = choices(n, seed).assign(x=rng.normal(size=n), level=np.arange(n) % 2, deadline=rng.uniform(1.0, 1.6, n))
    df["trial_type"] = np.where(np.arange(n) % 3, "go", "no-go")
    df["rt"] = df["rt"].where((df["response"] > 0) & (df["rt"] < df["deadline"]))
    return df.drop(columns="response")


def test_one_function_for_models_that_differ_in_numbers_alone() -> None:
    models = [gonogo(presses(n, seed)) for n, seed in ((60, 1), (37, 2))]
    traces = [trace(model) for model in models]
    assert traces[0].lines == traces[1].lines
    template = Template(models[0], [each.numbers for each in traces])
    functions, other = template.functions(["t", "v"]), models[1]
    rows = template.begin + np.random.default_rng(1).uniform(-0.5, 0.5, (4, template.begin.size))
    given = template.given(traces[1].numbers)
    value, slope = functions.slope(rows, *given)
    t, v = functions.variables(rows, *given)
    np.testing.assert_array_equal(functions.value(rows, *given)[0], value)
    # The other model's own log density.
    logp = other.compile_fn([other.logp(), other.dlogp(), other["t"].owner.inputs[-1]], mode="FAST_COMPILE")
    for i, row in enumerate(rows):
        point = dict(zip([x.name for x in other.value_vars], [row[:2], *row[2:]], strict=True))
        log_p, gradient, upper = logp(point)
        np.testing.assert_allclose(value[i], log_p, rtol=1e-10)
        np.testing.assert_allclose(slope[i], gradient, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(t[i], 0.05 + (upper - 0.05) / (1 + np.exp(-row[3])), rtol=1e-10)
        np.testing.assert_allclose(v[i], row[:2])


def test_a_posterior_of_each_that_does_not_know_of_the_others() -> None:
    def build(df: Any) -> pm.Model:
        with pm.Model() as model:
            x = pm.Normal("x", 0, 10)
            # What Python decides is no part of the graph of numbers.
            scale = 1.0 if len(df) > 2 else 5.0
            pm.CustomDist("y", x, logp=lambda value, x: -0.5 * ((value - x) / scale) ** 2, observed=df["y"].to_numpy())
        return model

    df = pd.DataFrame({"subject": [1, 1, 1, 2, 2], "y": [1.0, 1.0, 1.0, 4.0, 4.0]})
    found = pl.posteriors(build, df, **QUIET)["posterior"]["x"]
    assert abs(found.sel(subject=1).std().item() - 3**-0.5) < 0.04
    assert abs(found.sel(subject=2).std().item() - (0.01 + 2 / 25) ** -0.5) < 0.2


def written(df: Any, scale: float = 1.0, spread: float = 1.0) -> pm.Model:
    """A model of variables whose classes PyMC writes anew each time."""
    with pm.Model() as model:
        a = pm.Truncated("a", pm.LogNormal.dist(0, 0.4), lower=0.3, upper=2.5)
        z = pm.LogitNormal("z", 0, 0.5)
        pm.CustomDist("b", 0.0, dist=lambda mu, size: scale * pm.Normal.dist(mu, size=size))
        pm.CustomDist("y", a, z, logp=lambda y, a, z: -0.5 * ((y - z) / a / spread) ** 2, observed=df["y"].to_numpy())
    return model


def test_classes_that_are_written_for_each_variable_are_compared_by_what_they_do(heights: pd.DataFrame) -> None:
    a, b = (heights[heights["subject"] == label] for label in "ab")
    first, second, scaled, spread = (trace(written(*x)).lines for x in ((a,), (b,), (b, 2.0), (b, 1.0, 2.0)))
    assert first == second
    assert first != scaled
    assert first != spread


def test_subjects_of_the_embedded_prior_are_compiled_once() -> None:
    df = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=180, seed=1)
    df["subject"] = np.repeat([1, 2, 3], [50, 60, 70])
    subjects, models, _ = posteriors._read(
        OneByOne(pl.load_amortized("ddm").build), tables(df, "subject"), lambda *_: (), None, Mock()
    )
    assert len(posteriors._templates(subjects, models)) == 1


def levels(df: Any, **coords: Any) -> pm.Model:
    with pm.Model(coords=coords or {"level": np.unique(df["level"])}) as model:
        pm.Normal("x", 0, 1, dims="level")
    return model


LEVELS = pd.DataFrame({"subject": ["a", "a", "b", "b"], "level": ["x", "y", "x", "z"]})
LATE = pd.DataFrame({"rt": [500.0] * 9, "response": 1, "subject": "s"})
REFUSED = {
    "no column": (levels, LEVELS, {"by": "sibject"}, ValueError, "'sibject'.*subject"),
    "no label": (levels, LEVELS.assign(subject=["a", None, "b", "b"]), {}, ValueError, "a label in column 'subject'"),
    "no rows": (levels, LEVELS[:0], {}, ValueError, "a table with trials"),
    "no table": (levels, [1, 2], {}, ValueError, "DataFrame"),
    "no model": (lambda df: None, LEVELS, {}, TypeError, "build\\(df\\) to return a PyMC model.*None for subject 'a'"),
    "no function": (3, LEVELS, {}, ValueError, "a function from a table to a model"),
    "other shapes": (levels, LEVELS[:3], {}, ValueError, r"x of shape \(2,\) for 'a' and x of shape \(1,\) for 'b'"),
    "other lengths": (lambda df: lengths(df), LEVELS[:3], {}, ValueError, r"x of shape \(2, 3\) for 'a' and x of"),
    "other labels": (levels, LEVELS, {}, ValueError, r"level \('x', 'y'\) for 'a' and \('x', 'z'\) for 'b'"),
    "axis of subjects": (lambda df: levels_of_subjects(), LEVELS, {}, ValueError, "another name than 'subject'"),
    "no variable": (levels, LEVELS[:2], {"var_names": ["w"]}, ValueError, "'w'.*x"),
    "no fallback": (levels, LEVELS[:2], {"fallback": "hmc"}, ValueError, "'hmc'"),
    "discrete": (lambda df: discrete(), LEVELS, {}, ValueError, "Subject 'a': .*continuous"),
    "no draws": (levels, LEVELS, {"draws": 0}, ValueError, "draws"),
    "in milliseconds": (lambda df: normal_ddm(df), LATE, {}, ValueError, "Subject 's': .*millisec"),
}  # fmt: skip


def lengths(df: Any) -> pm.Model:
    with pm.Model() as model:
        pm.Normal("x", 0, 1, shape=(df["level"].nunique(), 3))
    return model


def levels_of_subjects() -> pm.Model:
    with pm.Model(coords={"subject": [1]}) as model:
        pm.Normal("x", dims="subject")
    return model


def discrete() -> pm.Model:
    with pm.Model() as model:
        pm.Poisson("x", 1)
    return model


def normal_ddm(df: Any) -> pm.Model:
    with pm.Model() as model:
        pl.DDM("obs", pm.Normal("v"), 1.0, 0.5, 0.3, observed=df)
    return model


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_sentences(case: str) -> None:
    build, df, arguments, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        pl.posteriors(build, df, **QUIET | arguments)


def impossible(df: Any) -> pm.Model:
    with pm.Model() as model:
        pm.Normal("x")
        pm.Potential("never", pt.constant(-np.inf if df["y"].iloc[0] > 0 else 0.0))
    return model


def test_a_subject_without_a_posterior_is_said_to_have_none(caplog: pytest.LogCaptureFixture) -> None:
    df = pd.DataFrame({"subject": ["bad", "good"], "y": [1.0, -1.0]})
    found = pl.posteriors(impossible, df, fallback=None, **QUIET)
    assert np.isnan(found["posterior"]["x"].sel(subject="bad")).all()
    assert abs(found["posterior"]["x"].sel(subject="good").std() - 1) < 0.1
    verdicts = found["verdicts"].to_dataset().to_dataframe()
    assert verdicts["right"].tolist() == [False, True]
    assert "no start has a posterior density" in verdicts.loc["bad", "verdict"]
    assert "not right for 1 of 2 subjects ('bad')" in caplog.text


def test_nuts_samples_whom_no_proposal_suits(heights: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def sample(**arguments: Any) -> Any:
        asked.update(arguments)
        rng = np.random.default_rng(0)
        return az.from_dict({"posterior": {"mu": rng.normal(7, 1, (4, 500)), "double": rng.normal(14, 2, (4, 500))}})

    monkeypatch.setattr(pm, "sample", sample)
    monkeypatch.setattr(sampling, "PROPOSALS", sampling.PROPOSALS[:1])
    monkeypatch.setattr("pymc_lan.inference.subjects.verdicts.LEAST_EFFECTIVE", 0.99)
    found = pl.posteriors(normal, heights[heights["subject"] == "a"], **QUIET)
    assert abs(found["posterior"]["mu"].mean().item() - 7) < 0.2
    assert abs(asked["initvals"]["mu"] - conjugate(heights.loc[heights["subject"] == "a", "y"])[0]) < 0.3
    assert found["verdicts"]["step"].item() == "NUTS"
    assert found["verdicts"]["verdict"].item().startswith("right: NUTS, r_hat 1.0")
    assert found["posterior"].sizes["draw"] == 1000
    np.testing.assert_allclose(np.exp(found["weighted_posterior"]["log_weight"]), 1 / 2000)
    kept = pl.posteriors(normal, heights[heights["subject"] == "a"], fallback=None, **QUIET)
    assert kept["verdicts"]["verdict"].item().startswith("not right: weighted draws of the Laplace approximation")


@pytest.mark.table
def test_functions_within_functions_are_not_run_side_by_side() -> None:
    def build(df: Any) -> pm.Model:
        with pm.Model() as model:
            rate, start = pm.Beta("rate", 2, 2), pt.constant(0.0, dtype="float64")
            expected = pytensor.scan(
                lambda y, before, rate: before + rate * (y - before),
                sequences=[pt.as_tensor(df["y"].to_numpy())],
                outputs_info=[start],
                non_sequences=[rate],
                return_updates=False,
            )
            pm.Normal("y", expected, 1.0, observed=df["y"].to_numpy())
        return model

    df = pd.DataFrame({"subject": np.repeat([1, 2, 3], 6), "y": np.sin(np.arange(18.0))})
    every = [pl.posteriors(build, df, cores=cores, **QUIET) for cores in (1, 3)]
    assert every[0]["posterior"].equals(every[1]["posterior"])
    assert every[0]["verdicts"]["right"].all()


@pytest.mark.table
def test_nuts_itself() -> None:
    def build(df: Any) -> pm.Model:
        with pm.Model() as model:
            scale = pm.Normal("scale", 0, 3)
            pm.Normal("x", 0, pm.math.exp(scale), shape=12)
        return model

    found = pl.posteriors(build, pd.DataFrame({"subject": [1]}), draws=1001, **QUIET)
    assert found["verdicts"]["step"].item() == "NUTS"
    assert found["posterior"]["x"].shape == (1, 1001, 1, 12)
    # A funnel: NUTS has its difficulties, too, and they are said.
    assert "r_hat" in found["verdicts"]["verdict"].item()


VERDICTS = {
    "right": (OfWeights("p", 0.69, 0.2), True, "right: weighted draws of the p, Pareto k 0.69, 20 % effective draws"),
    "k": (OfWeights("p", 0.7, 0.9), False, "not right: .*0.70.*wanted: below 0.7"),
    "effective": (OfWeights("p", 0.1, 0.19), False, "not right: .*19 %.*at least 20 %"),
    "nothing": (OfWeights("p", np.inf, 0.0), False, "not right: none of the draws of the p has a posterior density"),
    "chains": (OfChains(1.01, 0.5, 1000), True, "right: NUTS, r_hat 1.010, 50 % effective draws"),
    "apart": (OfChains(1.02, 0.5, 1000), False, "not right: NUTS, r_hat 1.020.*at most 1.01"),
    "short": (OfChains(1.0, 0.3, 1000), False, "not right: .*at least 400 draws"),
    "none": (OfFailure("x is y"), False, "not right: no draws, because x is y"),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_rule_and_its_words(case: str) -> None:
    verdict, right, words = VERDICTS[case]
    assert verdict.right is right
    assert pd.Series([verdict.words]).str.fullmatch(f"{words}.*").all()


@pytest.mark.parametrize(("of_target", "k"), [(0.75, 0.25), (0.4, 0.6), (0.1, 0.9)])
def test_k_of_weights_whose_tail_is_known(of_target: float, k: float) -> None:
    x = np.random.default_rng(1).exponential(size=(4000, 1))
    # Weights exp((1 - rate) x) of x ~ Exponential(1) are Pareto with k = 1 - rate.
    found = weighted("p", x, -of_target * x[:, 0], -x[:, 0]).verdict
    assert abs(found.k - k) < 0.15
    raw = np.exp((1 - of_target) * x[:, 0])
    assert found.effective == pytest.approx(raw.sum() ** 2 / (raw**2).sum() / 4000)


def test_draws_without_a_density_weigh_nothing() -> None:
    x = np.random.default_rng(1).normal(size=(1000, 1))
    found = weighted("p", x, np.where(x[:, 0] > 0, -0.5 * x[:, 0] ** 2, np.nan), -0.5 * x[:, 0] ** 2)
    assert found.weights[x[:, 0] < 0].sum() < 1e-6
    assert 0.4 < found.verdict.effective < 0.6
    assert not weighted("p", x, np.full(1000, -np.inf), x[:, 0]).verdict.right


def test_a_mixture_of_t_distributions_is_scipys() -> None:
    rng = np.random.default_rng(1)
    roots = np.array([[[1.0, 0.0], [0.5, 1.3]], [[0.8, 0.0], [-1.0, 1.0]]])
    mixture = TMixture(np.array([0.3, 0.7]), np.array([[0.0, 1.0], [4.0, -2.0]]), roots, 5.0)
    x = rng.normal(0, 3, (6, 2))
    each = [
        share * multivariate_t(mean, root @ root.T, 5.0).pdf(x)
        for share, mean, root in zip(mixture.shares, mixture.means, roots, strict=True)
    ]
    np.testing.assert_allclose(np.exp(mixture.log_density(x)), sum(each), rtol=1e-10)
    drawn = mixture.draw(rng, 40_000)
    np.testing.assert_allclose(drawn.mean(axis=0), 0.3 * mixture.means[0] + 0.7 * mixture.means[1], atol=0.06)
    # What is fitted to draws of it, each weighing alike, is it.
    fitted = fit_t_mixture(rng, drawn[:4000], np.full(4000, 1 / 4000), 2, 5.0)
    assert np.mean(mixture.log_density(drawn) - fitted.log_density(drawn)) < 0.05


def test_a_mixture_is_fitted_to_weights_and_not_to_draws() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 2, (4000, 2))
    w = np.exp(-0.5 * ((x - 1) ** 2).sum(axis=1) + 0.125 * (x**2).sum(axis=1))
    fitted = fit_t_mixture(rng, x, w / w.sum(), 1, 5.0)
    np.testing.assert_allclose(fitted.means, [[1, 1]], atol=0.1)


def test_operations_on_whole_arrays_are_pytensors() -> None:
    x, y = pt.vectors("x", "y")
    outputs = [pt.softplus(x), pt.log1mexp(-pt.abs(x)), pt.clip(x, -1, y), x + y + 1.5 * y * x + pt.exp(x)]
    plain = pytensor.function([x, y], outputs, mode=python_mode())
    nodes = [node for node in plain.maker.fgraph.apply_nodes if type(node.op) is pt.elemwise.Elemwise]
    for node in nodes:
        most, _ = PLAIN.get(type(node.op.scalar_op).__name__, (len(node.inputs), None))
        assert len(node.inputs) <= most
    given = np.array([-800.0, -40.0, -1.0, -1e-9, 0.0, 0.3, 20.0, 35.0, 800.0, -np.inf, np.inf]), np.full(11, 0.5)
    with np.errstate(all="ignore"):
        expected = pytensor.function([x, y], outputs, mode="FAST_COMPILE")(*given)
        for name, got, e in zip(("softplus", "log1mexp", "clip", "sums"), plain(*given), expected, strict=True):
            np.testing.assert_allclose(got, e, rtol=1e-13, err_msg=name)


def test_climbing() -> None:
    def slope(x: Any) -> Any:
        value = -((1 - x[:, 0]) ** 2) - 100 * (x[:, 1] - x[:, 0] ** 2) ** 2
        by = np.column_stack(
            [2 * (1 - x[:, 0]) + 400 * x[:, 0] * (x[:, 1] - x[:, 0] ** 2), -200 * (x[:, 1] - x[:, 0] ** 2)]
        )
        return np.where(x[:, 0] > 3, np.nan, value), by

    found = climb(slope, np.array([[-1.5, 2.0], [0.0, 0.0], [4.0, 4.0]]))
    np.testing.assert_allclose(found.points[:2], 1, atol=0.05)
    np.testing.assert_allclose(found.hessians[1], [[802, -400], [-400, 200]], rtol=0.05)
    assert found.values[2] == -np.inf


def test_draws_are_chosen_as_often_as_they_weigh() -> None:
    weights = np.array([0.5, 0.0, 0.3, 0.2])
    for seed in range(5):
        count = np.bincount(resampled(weights, 9, np.random.default_rng(seed)), minlength=4)
        assert (np.abs(count - 9 * weights) < 1).all()


@pytest.fixture(scope="module")
def op() -> LANLogp:
    network = pl.load_network("ddm")
    return LANLogp(network.spec, network.lan, network.choice)


def test_sets_of_parameters_have_the_likelihood_of_each(op: LANLogp) -> None:
    rng = np.random.default_rng(1)
    rt, response, deadline, v, a, z, t = (pt.tensor(name, shape=(1 if name in "az" else None,)) for name in op.names)
    wide = {v: pt.matrix("V"), a: pt.tensor("A", shape=(None, 1))}
    value, partials = op(rt, response, deadline, v, a, z, t)
    both = vectorize_graph([value, partials], {v: wide[v], a: wide[a]})
    assert isinstance(both[0].owner.op, LANLogpSets)
    inputs = {
        rt: np.array([0.6, np.inf, 1.1]),
        response: np.array([1.0, 0.0, -1.0]),
        deadline: np.full(3, 1.5),
        z: np.full(1, 0.4),
        t: np.array([0.3, 0.2, 0.1]),
    }
    sets = {v: rng.normal(size=(4, 3)), a: rng.uniform(0.8, 1.5, (4, 1))}
    single = pytensor.function([*inputs, v, a], [value, partials], mode="FAST_COMPILE")
    vector = pytensor.function([*inputs, *wide.values()], both, mode="FAST_COMPILE")
    got = vector(*inputs.values(), *sets.values())
    for i in range(4):
        for x, y in zip(got, single(*inputs.values(), sets[v][i], sets[a][i]), strict=True):
            np.testing.assert_array_equal(x[i], y)
    # Without derivatives, where nobody asks for them.
    alone = pytensor.function([*inputs, *wide.values()], both[0], mode="FAST_COMPILE")
    assert LANLogpSetsAlone in {type(node.op) for node in alone.maker.fgraph.apply_nodes}
    np.testing.assert_allclose(alone(*inputs.values(), *sets.values()), got[0], rtol=1e-12)
    with pytest.raises(LengthError):
        vector(*[x[:2] if x is inputs[rt] else x for x in inputs.values()], *sets.values())
    assert pickle.loads(pickle.dumps(both[0].owner.op)) == both[0].owner.op
    # Further axes of sets go one after another.
    more = vectorize_graph(value, {v: pt.tensor3("V"), a: wide[a]})
    assert more.type.ndim == 3
