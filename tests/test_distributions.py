"""The distributions as citizens of PyMC: shapes, data, prediction, interventions, copies, and what errors say."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import arviz as az
import cloudpickle
import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN
from functions import by_functions

import pymc_lan as pl

INF = np.inf
THETA = {"v": 1.0, "a": 1.2, "z": 0.5, "t": 0.2}
CHOICES = pl.simulate("ddm", THETA, n=12, seed=1)
PRESSES = pd.DataFrame(
    {
        "rt": [0.5, 0.7, np.nan, 0.9, np.nan, 1.1],
        "response": [1, 1, 0, 1, 0, 1],
        "trial_type": ["go", "go", "no-go", "go", "no-go", "no-go"],
    }
)
FAST = {"mode": AS_WRITTEN}


def choice_model(**kwargs: Any) -> pm.Model:
    with pm.Model() as model:
        v = pm.Normal("v", 0, 1)
        pl.DDM("obs", v, 1.2, t=0.1, observed=CHOICES, **kwargs)
    return model


def press_model(**kwargs: Any) -> pm.Model:
    with pm.Model() as model:
        v = pm.Normal("v", 0, 1)
        pl.GoNoGoDDM("obs", v, 1.2, t=0.1, deadline=1.5, p_lapse=0.05, observed=PRESSES, **kwargs)
    return model


MODELS = {"DDM": choice_model, "GoNoGoDDM": press_model}
both_models = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS.keys())


def logp(model: pm.Model, **point: float) -> float:
    return float(model.compile_logp(**FAST)({"v": 0.5, **point}))


SHAPES: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "scalar": ({}, (2,)),
    "from parameters": ({"v": np.zeros(5)}, (5, 2)),
    "shape": ({"shape": (4, 2)}, (4, 2)),
    "shape, leading": ({"shape": (3, 4, 2)}, (3, 4, 2)),
    "size": ({"size": (3,)}, (3, 2)),
    "parameters broadcast": ({"v": np.zeros(4), "shape": (3, 4, 2)}, (3, 4, 2)),
    "matrix of parameters": ({"v": np.zeros((3, 1)), "a": np.ones(4)}, (3, 4, 2)),
}


@pytest.mark.parametrize(("kwargs", "shape"), SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("cls", [pl.DDM, pl.GoNoGoDDM])
@pytest.mark.parametrize("mode", ["NUMBA", "FAST_COMPILE"])
def test_shapes_of_draws_and_densities(cls, kwargs, shape, mode):
    if mode == "NUMBA" and (cls is pl.GoNoGoDDM) != (len(shape) == 3):
        mode = "FAST_COMPILE"  # each numba function costs seconds: every shape is compiled for one of the two
    trials = cls.dist(**{**THETA, **kwargs})
    assert trials.type.ndim == len(shape)
    draws = pm.draw(trials, random_seed=1, mode=mode)
    assert draws.shape == shape
    assert draws.dtype == np.float64
    assert pm.draw(trials, draws=2, random_seed=1, mode="FAST_COMPILE").shape == (2, *shape)
    density = pm.logp(trials, draws).eval(mode=AS_WRITTEN)
    assert density.shape == shape[:-1]
    assert np.isfinite(density).all()


def test_draws_follow_their_seed():
    trials = pl.GoNoGoDDM.dist(**THETA, shape=(20, 2))
    first, again, other = (pm.draw(trials, random_seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_z_may_be_left_out():
    value = [[0.6, 1.0]]
    given, default = (pm.logp(pl.DDM.dist(1.0, 1.2, t=0.2, **z), value) for z in ({"z": 0.5}, {}))
    assert given.eval(**FAST) == default.eval(**FAST)


SAME: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "shell": (pl.DDM, ()),
    "name": (pl.LANDist, ("ddm",)),
    "version": (pl.LANDist, ("ddm@2.0",)),
    "spec": (pl.LANDist, (pl.get_model("ddm"),)),
    "network": (pl.LANDist, (pl.load_network("ddm"),)),
    "folder": (pl.LANDist, (Path(__file__).parents[1] / "weights_registry" / "ddm" / "2.0",)),
}


@pytest.mark.parametrize(("cls", "model"), SAME.values(), ids=SAME.keys())
def test_every_way_to_name_a_model_gives_the_same_density(cls, model):
    found = pm.logp(cls.dist(*model, **THETA), [[0.6, 1.0]]).eval(**FAST)
    expected = pl.load_network("ddm").logpdf(0.6, 1, **THETA)
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # both are float32 inside


OBSERVED = {
    "DataFrame": lambda: PRESSES,
    "matrix": lambda: pl.as_observed(PRESSES, go_nogo=True),
    "list of rows": lambda: PRESSES[["rt", "response"]].to_numpy().tolist(),
    "pm.Data": lambda: pm.Data("data", pl.as_observed(PRESSES, go_nogo=True)),
}


@pytest.mark.parametrize("given", OBSERVED.values(), ids=OBSERVED.keys())
def test_every_form_of_observed_data_gives_the_same_density(given):
    with pm.Model() as model:
        v = pm.Normal("v", 0, 1)
        options = {"trial_type": PRESSES["trial_type"], "p_lapse": 0.05, "deadline": 1.5}
        pl.GoNoGoDDM("obs", v, 1.2, t=0.1, **options, observed=given())
    assert logp(model) == pytest.approx(logp(press_model()), rel=1e-12)


TRIAL_TYPES: dict[str, Any] = {
    "column by default": "auto",
    "column by name": "trial_type",
    "series": PRESSES["trial_type"],
    "codes": [1, 1, 0, 1, 0, 0],
    "signs": [1, 1, -1, 1, -1, -1],
    "variable": pt.constant(np.array([1, 1, 0, 1, 0, 0], bool)),
}


@pytest.mark.parametrize("given", TRIAL_TYPES.values(), ids=TRIAL_TYPES.keys())
def test_trial_types_turn_the_drift_and_nothing_else(given):
    sign = np.where(PRESSES["trial_type"] == "go", 1.0, -1.0)
    expected = pl.GoNoGoDDM.dist(0.5 * sign, 1.2, t=0.1, p_lapse=0.05, deadline=1.5)
    value = pl.as_observed(PRESSES, go_nogo=True)
    total = pm.logp(expected, value).sum().eval(**FAST) + pm.logp(pm.Normal.dist(), 0.5).eval(**FAST)
    assert logp(press_model(trial_type=given)) == pytest.approx(total, rel=1e-9)


def test_v_nogo_is_the_drift_of_no_go_trials():
    v_nogo = np.where(PRESSES["trial_type"] == "go", 0.5, -0.2)
    value = pl.as_observed(PRESSES, go_nogo=True)
    expected = pm.logp(pl.GoNoGoDDM.dist(v_nogo, 1.2, t=0.1, p_lapse=0.05, deadline=1.5), value)
    total = expected.sum().eval(**FAST) + pm.logp(pm.Normal.dist(), 0.5).eval(**FAST)
    assert logp(press_model(v_nogo=-0.2)) == pytest.approx(total, rel=1e-9)


def test_zero_lapses_are_no_lapses():
    """A p_lapse that is 0 at run time gives what leaving it out gives."""
    p_lapse = pt.scalar("p_lapse", dtype="float64")
    value = pl.as_observed(PRESSES, go_nogo=True)
    expected = pm.logp(pl.GoNoGoDDM.dist(**THETA, deadline=1.5), value).eval(**FAST)
    found = pm.logp(pl.GoNoGoDDM.dist(**THETA, deadline=1.5, p_lapse=p_lapse), value)
    np.testing.assert_allclose(found.eval({p_lapse: 0.0}, **FAST), expected, rtol=1e-9)


@pytest.mark.parametrize("dims", ["trial", ("trial",), ("trial", "outcome")])
def test_dims_and_coords(dims):
    coords = {"trial": [f"t{i}" for i in range(len(PRESSES))], "outcome": ["rt", "response"]}
    with pm.Model(coords=coords) as model:
        pl.GoNoGoDDM("obs", 1.0, 1.2, t=0.1, observed=PRESSES, dims=dims)
        idata = pm.sample_prior_predictive(3, random_seed=1)
    obs = idata["prior_predictive"]["obs"]
    assert model.named_vars_to_dims["obs"][0] == "trial"
    assert obs.dims[:3] == ("chain", "draw", "trial")
    assert obs.shape == (1, 3, len(PRESSES), 2)
    assert obs["trial"].values.tolist() == coords["trial"]
    assert obs[obs.dims[-1]].values.tolist() == ["rt", "response"]


def test_data_can_be_exchanged():
    with pm.Model() as model:
        v = pm.Normal("v", 0, 1)
        data = pm.Data("data", pl.as_observed(PRESSES, go_nogo=True))
        pl.GoNoGoDDM("obs", v, 1.2, t=0.1, observed=data)
        before = logp(model)
        pm.set_data({"data": np.array([[0.4, 1.0], [INF, 0.0]])})
    after = logp(model)
    direct = pm.logp(pl.GoNoGoDDM.dist(0.5, 1.2, t=0.1), np.array([[0.4, 1.0], [INF, 0.0]])).sum()
    prior = pm.logp(pm.Normal.dist(), 0.5)
    assert after == pytest.approx(float((direct + prior).eval(**FAST)), rel=1e-9)
    assert after != before


def test_observe_and_do():
    with pm.Model() as generative:
        v = pm.Normal("v", 0, 1)
        pl.GoNoGoDDM("obs", v, 1.2, t=0.1, trial_type=PRESSES["trial_type"], deadline=1.5, p_lapse=0.05)
    observed = pm.observe(generative, {"obs": pl.as_observed(PRESSES, go_nogo=True)})
    assert logp(observed) == pytest.approx(logp(press_model()), rel=1e-9)
    intervened = pm.do(generative, {"v": 2.5})
    rt = pm.draw(intervened["obs"], draws=200, random_seed=1)[..., 0]
    presses = np.isfinite(rt).mean(axis=0)
    go = PRESSES["trial_type"].to_numpy() == "go"
    assert presses[go].min() > 0.9
    assert presses[~go].max() < 0.1


@both_models
def test_prediction_and_pointwise_likelihood(build):
    """From a posterior made up: prior and posterior predictive, pointwise log likelihood, LOO."""
    model = build()
    n = model["obs"].type.shape[0]
    rng = np.random.default_rng(1)
    idata = az.from_dict({"posterior": {"v": rng.normal(0.5, 0.1, (2, 40))}})
    with model:
        prior = pm.sample_prior_predictive(5, random_seed=1)
        pm.sample_posterior_predictive(idata, random_seed=1, extend_inferencedata=True, progressbar=False)
        pm.compute_log_likelihood(idata, progressbar=False)
    assert prior["prior_predictive"]["obs"].shape == (1, 5, n, 2)
    predicted = idata["posterior_predictive"]["obs"]
    assert predicted.shape == (2, 40, n, 2)
    assert set(np.unique(predicted[..., 1])) <= ({-1.0, 1.0} if build is choice_model else {0.0, 1.0})
    pointwise = idata["log_likelihood"]["obs"]
    assert pointwise.shape == (2, 40, n)
    v = float(idata["posterior"]["v"][0, 0])
    prior_density = float(pm.logp(pm.Normal.dist(), v).eval(**FAST))
    assert float(pointwise[0, 0].sum()) == pytest.approx(logp(model, v=v) - prior_density, rel=1e-6)
    table = pl.as_dataframe(predicted)
    assert len(table) == 2 * 40 * n
    assert np.isfinite(az.loo(idata).elpd)


@both_models
def test_models_survive_pickling(build):
    """By cloudpickle, as PyMC sends them to its workers: a plain pickle refuses any PyMC model."""
    model = build()
    assert logp(cloudpickle.loads(cloudpickle.dumps(model))) == logp(model)


@pytest.mark.parametrize("cls", [pl.DDM, pl.GoNoGoDDM])
@pytest.mark.parametrize("likelihood", ["lan", "exact"])
def test_random_variables_survive_a_plain_pickle(cls, likelihood):
    trials = cls.dist(**THETA, likelihood=likelihood, shape=(4, 2))
    copy = pickle.loads(pickle.dumps(trials))
    assert copy.owner.op == trials.owner.op
    assert hash(copy.owner.op) == hash(trials.owner.op)
    np.testing.assert_array_equal(*(pm.draw(x, random_seed=1, **FAST) for x in (copy, trials)))


@both_models
def test_graphviz_shows_the_trials(build):
    source = pm.model_to_graphviz(build()).source
    assert 'obs [label="obs' in source
    assert "v -> obs" in source


@both_models
def test_unobserved_use(build):
    """As a free variable: an initial point of finite density and, in a model, a finite gradient."""
    cls = pl.DDM if build is choice_model else pl.GoNoGoDDM
    with pm.Model() as model:
        cls("trials", 1.0, 1.2, t=0.2, shape=(3, 2))
    point = model.initial_point()
    assert point["trials"].shape == (3, 2)
    assert np.isfinite(model.compile_logp(**FAST)(point))


def test_conversion_between_matrix_and_table():
    observed = pl.as_observed(PRESSES, go_nogo=True)
    back = pl.as_dataframe(observed, like=PRESSES)
    assert back["trial_type"].tolist() == PRESSES["trial_type"].tolist()
    np.testing.assert_array_equal(pl.as_observed(back, go_nogo=True), observed)


def other_network() -> Any:
    """A network whose model has another name."""
    from dataclasses import replace

    network = pl.load_network("ddm")
    return replace(network, spec=by_functions(network.spec, name="other"))


def network_without_choice() -> Any:
    from dataclasses import replace

    return replace(pl.load_network("ddm"), choice=None)


def no_table(**kwargs: Any) -> Any:
    return lambda: pl.GoNoGoDDM.dist(**THETA, **kwargs)


def press(**kwargs: Any) -> Any:
    """A call with observed data, in a model."""

    def call() -> None:
        with pm.Model():
            pl.GoNoGoDDM("obs", **{**THETA, "observed": PRESSES, **kwargs})

    return call


def choose(**kwargs: Any) -> Any:
    def call() -> None:
        with pm.Model():
            pl.DDM("obs", **{**THETA, "observed": CHOICES, **kwargs})

    return call


WITHOUT_COLUMN = PRESSES.drop(columns="trial_type")
ERRORS: dict[str, tuple[Any, type[Exception], tuple[str, ...]]] = {
    "constant outside": (choose(v=7.0), ValueError, ("v within", "-6 to 6", "7.0", "exact")),
    "one of many outside": (choose(a=np.full(12, 4.2)), ValueError, ("a within", "0.3 to 4", "4.2")),
    "not a number": (choose(v=np.nan), ValueError, ("a number for v", "row 0")),
    "unknown parameter": (choose(drift=1.0), ValueError, ("'drift'", "v, a, z, t")),
    "unknown parameter, nearest": (choose(V=1.0), ValueError, ("'V'", "Did you mean 'v'")),
    "missing parameter": (lambda: pl.DDM.dist(1.0, 1.2), ValueError, ("no t", "give t=")),
    "parameter given twice": (lambda: pl.DDM.dist(1.0, v=1.0, a=1.0, t=0.1), ValueError, ("v by position",)),
    "too many parameters": (lambda: pl.DDM.dist(1, 1, 0.5, 0.1, 9), ValueError, ("at most", "5 positional")),
    "length of a parameter": (choose(v=np.zeros(7)), ValueError, ("12 trials", "length 7", "v[subject]")),
    "length of a lapse": (choose(p_lapse=np.full(7, 0.1)), ValueError, ("p_lapse", "12 trials", "length 7")),
    "length of trial types": (press(trial_type=["go"] * 5), ValueError, ("trial_type", "6 trials", "length 5")),
    "length of deadline": (press(deadline=[1.5] * 5), ValueError, ("deadline", "6 trials", "length 5")),
    "v_nogo alone": (
        press(v_nogo=-1.0, observed=WITHOUT_COLUMN),
        ValueError,
        ("trial_type together with v_nogo", "v_nogo alone"),
    ),
    "unknown model": (lambda: pl.LANDist.dist("dmd", **THETA), pl.RegistryError, ("'dmd'", "Did you mean 'ddm'")),
    "unknown version": (lambda: pl.LANDist.dist("ddm@9.9", **THETA), pl.RegistryError, ("'9.9'", "1.0")),
    "no model": (lambda: pl.LANDist.dist(1.0, 1.2, t=0.1), ValueError, ("no model", "name")),
    "unknown likelihood": (choose(likelihood="exct"), ValueError, ("'exct'", "Did you mean 'exact'")),
    "unknown weights": (choose(weights="ddn"), pl.RegistryError, ("'ddn'", "Did you mean 'ddm'")),
    "weights of another model": (
        choose(weights=other_network()),
        ValueError,
        ("weights of model 'ddm'", "other@2.0"),
    ),
    "no closed form": (
        lambda: pl.LANDist.dist(other_network(), **THETA, likelihood="exact"),
        ValueError,
        ("closed form", "'other'", "likelihood='lan'"),
    ),
    "no choice network": (
        press(weights=network_without_choice()),
        ValueError,
        ("choice/deadline network", "none in its weights"),
    ),
    "lapses without a window": (no_table(p_lapse=0.1), ValueError, ("lapse_window", "p_lapse")),
    "lapses without a window, two choices": (
        lambda: pl.DDM.dist(**THETA, p_lapse=0.1),
        ValueError,
        ("lapse_window", "p_lapse"),
    ),
    "share of lapses": (choose(p_lapse=1.5), ValueError, ("p_lapse between 0 and 1", "1.5")),
    "share of presses": (press(lapse_go=-0.1), ValueError, ("lapse_go between 0 and 1", "-0.1")),
    "column missing": (
        press(trial_type="trialtype"),
        ValueError,
        ("'trialtype'", "Did you mean 'trial_type'"),
    ),
    "column of no table": (
        press(trial_type="trial_type", observed=[[0.5, 1.0]]),
        ValueError,
        ("DataFrame", "trial_type"),
    ),
    "column of nothing": (no_table(trial_type="trial_type"), ValueError, ("DataFrame", "trial_type")),
    "unknown trial type": (press(trial_type=["go"] * 5 + ["stop"]), ValueError, ("'stop'", "row 5")),
    "rt beyond the deadline": (press(deadline=1.0), ValueError, ("beyond the deadline", "row 5", "1.1")),
    "rt beyond its trial's deadline": (press(deadline=[0.4] + [2.0] * 5), ValueError, ("deadline", "row 0")),
    "no response in two choices": (choose(observed=PRESSES), ValueError, ("finite 'rt'", "row 2", "go/no-go")),
    "milliseconds": (choose(observed=CHOICES.assign(rt=CHOICES["rt"] * 1000)), ValueError, ("milliseconds",)),
    "empty": (choose(observed=CHOICES.iloc[:0]), ValueError, ("at least one trial",)),
    "column of rt missing": (
        choose(observed=CHOICES.rename(columns={"rt": "RT"})),
        ValueError,
        ("no column 'rt'", "RT"),
    ),
}


@pytest.mark.parametrize(("call", "kind", "pieces"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_say_what_was_expected_and_found(call, kind, pieces):
    with pytest.raises(kind) as caught:
        call()
    for piece in pieces:
        assert piece in str(caught.value)


def test_a_parameter_called_shape_is_not_the_shape():
    theta = {"v": 0.5, "a": 1.0, "z": 0.5, "t": 0.3, "scale": 0.1, "c": 1.0}
    trials = pl.GammaDrift.dist(**theta, shape_=3.0, shape=(7, 2))
    assert pm.draw(trials, random_seed=1, **FAST).shape == (7, 2)
    by_position = pl.GammaDrift.dist(0.5, 1.0, 0.5, 0.3, 3.0, 0.1, 1.0)
    value = [[0.6, 1.0]]
    assert pm.logp(trials, value * 7).eval(**FAST)[0] == pm.logp(by_position, value[0]).eval(**FAST)
    with pytest.raises(ValueError, match=r"Remedy: give shape_="):
        pl.GammaDrift.dist(**theta, shape=3.0)
