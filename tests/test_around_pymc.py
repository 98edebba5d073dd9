"""What PyMC offers around a model: no data yet, minibatches, precision, dimensions, new rows, pictures, workers."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import jax
import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from backends import AS_WRITTEN
from pymc.model_graph import ModelGraph, random_variable_symbol

import pymc_lan as pl
from pymc_lan.inference.posterior import log_density
from pymc_lan.models.catalogue import MODELS
from pymc_lan.ops.backends import register_with_backend

N = 30
TABLE = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=N, seed=1)
PAGE = Path(__file__).resolve().parents[1] / "docs" / "predict.md"


def model(observed: Any = TABLE, **options: Any) -> pm.Model:
    with pm.Model() as model:
        t = pm.HalfNormal("t", 0.3)
        pl.DDM("obs", pm.Normal("v"), 1.0, 0.5, t, observed=observed, **options)
    return model


def log_density_of(model: pm.Model, names: list[str], point: dict[str, Any]) -> np.ndarray:
    """The sum of these variables' log densities, as the graph is written."""
    value = model.compile_fn(model.logp([model[name] for name in names]), mode=AS_WRITTEN, on_unused_input="ignore")
    return value(point)


# No data yet


@pytest.mark.parametrize(("options", "shape"), [({}, (2,)), ({"shape": (3, 2)}, (3, 2))])
def test_a_model_without_data_has_an_initial_point(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    point = model(observed=None, **options).initial_point()["obs"]
    assert point.shape == shape
    assert (point[..., 0] > 0.3).all()
    assert (point[..., 1] == 1).all()


def test_an_initial_point_has_a_trial_for_each_parameter() -> None:
    with pm.Model() as each:
        pl.GoNoGoDDM("obs", pm.Normal("v"), np.array([0.8, 1.0, 1.2]), 0.5, 0.3, trial_type=None, deadline=0.4)
    assert each.initial_point()["obs"].tolist() == [[0.4, 1.0]] * 3


@pytest.mark.parametrize(
    "sample",
    [
        lambda model: pm.sample(model=model, chains=1, progressbar=False),
        lambda model: pm.sample(model=model, chains=1, nuts_sampler="numpyro", progressbar=False),
        pl.fit_map,
        pl.sample_blackjax,
    ],
    ids=["pm.sample", "numpyro", "fit_map", "sample_blackjax"],
)
def test_sampling_without_data_is_refused(sample: Callable[[pm.Model], Any]) -> None:
    with pytest.raises(ValueError, match=r"Expected data of 'obs'\. .* Remedy: give 'obs' its trials by observed="):
        sample(model(observed=None))


def test_trials_without_data_are_drawn_and_observed_later() -> None:
    empty = model(observed=None, shape=(N, 2))
    later = pm.observe(empty, {"obs": pl.as_observed(TABLE)})
    at = {"v": 0.5, "t_log__": np.log(0.2)}
    assert log_density_of(later, ["obs"], at) == log_density_of(model(), ["obs"], at)
    # Gradients by the parameters alone are none by the trials.
    for m in (empty, later):
        assert len(pytensor.grad(m.logp(), m.value_vars[:2])) == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 1], [-0.2, 1]], r"'rt' above 0 s.* 1 of 2 rows: row 1 \(rt = -0\.2"),
        ([[0.5, 1], [np.nan, 1]], "a finite 'rt' on every trial.* row 1"),
        ([[0.5, 1], [0.7, 2]], r"unknown response codes 2\.0 .* row 1"),
        ([[0.5, 1], [0.7, 0]], r"rows \[rt, response\] as pl\.as_observed makes them.* row 1"),
    ],
    ids=["rt", "missing", "response", "other codes"],
)
def test_what_pm_observe_puts_in_is_checked(rows: list[list[float]], message: str) -> None:
    later = pm.observe(model(observed=None, shape=(2, 2)), {"obs": np.array(rows)})
    with pytest.raises(ValueError, match=message):
        later.logp()


def test_no_derivative_is_a_number_without_data() -> None:
    """What PyMC simplifies before it derives a log density keeps the refusal."""
    with pytest.raises(ValueError, match=r"Expected data of 'obs'\. .* Remedy: give 'obs' its trials"):
        model(observed=None).dlogp()


# Minibatches


def test_total_size_scales_the_log_density() -> None:
    at = {"v": 0.5, "t_log__": np.log(0.2)}
    whole = log_density_of(model(), ["obs"], at)
    for total in (10 * N, np.int64(10 * N), (10 * N,), [10 * N, ...]):
        assert log_density_of(model(total_size=total), ["obs"], at) == pytest.approx(10 * whole)


def test_minibatches_are_rows_of_the_table() -> None:
    same = pl.as_observed(pd.DataFrame({"rt": [0.7] * N, "response": [1] * N}))
    at = {"v": 0.5, "t_log__": np.log(0.2)}
    whole = log_density_of(model(same), ["obs"], at)
    assert log_density_of(model(pm.Minibatch(same, batch_size=5), total_size=N), ["obs"], at) == pytest.approx(whole)


def test_helpers_look_below_total_size_and_refuse_minibatches() -> None:
    start, expected = (pl.initvals(m, TABLE) for m in (model(total_size=10 * N), model()))
    assert {name: float(x) for name, x in start.items()} == {name: float(x) for name, x in expected.items()}
    parts = model(pm.Minibatch(pl.as_observed(TABLE), batch_size=5), total_size=N)
    with pytest.raises(ValueError, match=r"Expected all trials of 'obs'\. .* drawn anew at each look"):
        pl.initvals(parts, TABLE)


@pytest.mark.table
def test_variational_inference_of_minibatches() -> None:
    with model(pm.Minibatch(pl.as_observed(TABLE), batch_size=10), total_size=N):
        found = pm.fit(20, progressbar=False, random_seed=1)
    assert np.isfinite(found.hist).all()


def test_sums_of_observed_trials_are_numbers() -> None:
    observed = pl.as_observed(TABLE)
    assert type(observed.sum()) is np.float64
    assert observed.sum() == pytest.approx(TABLE["rt"].sum() + TABLE["response"].sum())
    assert np.mean(observed, axis=0).shape == (2,)


# Precision


def test_starts_and_modes_in_single_precision() -> None:
    expected = pl.initvals(model(), TABLE)
    with pytensor.config.change_flags(floatX="float32"):
        single = model()
        found = pl.initvals(single, TABLE)
    assert {x.dtype for x in found.values()} == {np.dtype("float32")}
    for name, x in found.items():
        assert x == pytest.approx(expected[name], rel=1e-3)


# Dimensions and new rows


@pytest.mark.parametrize("labels", [[1, 2, 3], ["left", "right"], ["rt", "response"]])
def test_a_dimension_called_trial_value_stays_the_users(labels: list[Any]) -> None:
    with pm.Model(coords={"trial_value": labels, "trial": range(N)}) as model:
        v = pm.Normal("v", dims="trial_value")
        pl.DDM("obs", v[0], 1.0, 0.5, 0.3, observed=TABLE, dims="trial")
    assert list(model.coords["trial_value"]) == labels
    axis = model.named_vars_to_dims["obs"][-1]
    assert axis == ("trial_value" if labels == ["rt", "response"] else "obs_trial_value")
    assert model.coords[axis] == ("rt", "response")


def test_a_variable_called_trial_value_and_trials_called_so() -> None:
    with pm.Model(coords={"trial": range(N)}) as model:
        value = pm.Normal("trial_value")
        pl.DDM("obs", value, 1.0, 0.5, 0.3, observed=TABLE, dims="trial")
    assert model.named_vars_to_dims["obs"] == ("trial", "obs_trial_value")
    with pm.Model(coords={"trial_value": range(N)}) as model:
        pl.DDM("obs", pm.Normal("v"), 1.0, 0.5, 0.3, observed=TABLE, dims="trial_value")
    assert model.named_vars_to_dims["obs"] == ("trial_value", "obs_trial_value")


def test_the_shape_of_a_parameter_is_that_of_the_trials() -> None:
    with pytensor.config.change_flags(mode="FAST_COMPILE"), pm.Model() as model:
        x = pm.Data("x", np.zeros(N))
        v = pm.Normal("v") + x
        pl.DDM("obs", v, 1.0, 0.5, 0.3, observed=TABLE, shape=v.shape)
        posterior = pm.sample_prior_predictive(draws=3, var_names=["v"], random_seed=1)["prior"]
        pm.set_data({"x": np.zeros(7)})
        rows = pm.sample_posterior_predictive(posterior, progressbar=False, predictions=True, random_seed=1)
    assert rows["predictions"]["obs"].shape == (1, 3, 7, 2)
    assert model["obs"].type.ndim == 2
    assert pl.DDM.dist(np.ones(4), 1.0, 0.5, 0.3, shape=(4,)).type.shape == (4, 2)
    # As before: a single trial, and more of them.
    assert pl.DDM.dist(1.0, 1.0, 0.5, 0.3, shape=(2,)).type.shape == (2,)
    assert pl.DDM.dist(np.ones(4), 1.0, 0.5, 0.3, shape=(3, 4, 2)).type.shape == (3, 4, 2)


ENDS, KINDS = np.array([1.0, 1.5, 1.25, 2.0]), ["go", "no-go", "go", "go"]
FIXED: dict[str, tuple[dict[str, Any], str]] = {
    "trial types": ({"trial_type": KINDS}, "trial_type"),
    "deadlines": ({"deadline": ENDS}, "deadline"),
    "deadlines that are lapse windows": ({"deadline": ENDS, "p_lapse": 0.1}, "deadline"),
    "shares of lapses": ({"p_lapse": ENDS / 4, "lapse_window": 2.0}, "p_lapse"),
    "drifts and types": ({"v": ENDS, "trial_type": KINDS}, "v, trial_type"),
}


@pytest.mark.parametrize(("given", "names"), FIXED.values(), ids=FIXED)
def test_other_rows_beside_what_is_fixed_are_refused(given: dict[str, Any], names: str) -> None:
    rows = np.array([[0.5, 1], [np.inf, 0], [0.9, 1], [0.6, 1]])
    with pm.Model() as model:
        data = pm.Data("data", rows)
        arguments = {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3, "trial_type": None, "deadline": None} | given
        pl.GoNoGoDDM("obs", **arguments, likelihood="exact", observed=data)
        pm.set_data({"data": rows[:3]})
    with pytest.raises(
        ValueError, match=rf"as many trials as there are values of {names}, 4, .* Remedy: give {names} as pm\.Data, too"
    ):
        log_density_of(model, ["obs"], {})


def test_rows_that_a_model_has_no_place_for_are_refused() -> None:
    trials = pl.DDM.dist(pt.as_tensor(np.zeros(3)).copy(), 1.0, 0.5, 0.3, size=None)
    draw = trials.owner.op.rng_fn
    with pytest.raises(ValueError, match=r"as many trials as are drawn, \(5,\)\. Found v of shape \(3,\)\. Remedy"):
        draw(np.random.default_rng(1), np.zeros(3), 1.0, 0.5, 0.3, 0.0, 1.0, (5,))


def test_the_page_about_new_rows_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With draws from the prior in the place of the posterior's: what is drawn anew and what is kept is to be seen."""
    monkeypatch.chdir(tmp_path)
    TABLE.assign(subject=np.repeat(["ann", "bob", "eve"], N // 3), coherence=0.5).to_csv("trials.csv", index=False)
    quiet = {"progressbar": False, "random_seed": 1}

    def sample() -> Any:
        drawn = pm.sample_prior_predictive(draws=4, var_names=["mu", "sd", "v", "slope"], random_seed=1)
        return xr.DataTree.from_dict({"posterior": drawn["prior"].to_dataset()})

    monkeypatch.setattr(pm, "sample", sample)
    monkeypatch.setattr(pm, "sample_posterior_predictive", partial(pm.sample_posterior_predictive, **quiet))
    names: dict[str, Any] = {}
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        for block in re.findall(r"```python\n(.+?)```", PAGE.read_text("utf-8"), re.DOTALL):
            exec(block, names)
    assert names["rt"].shape == (1, 4, 3)
    assert names["rows"].predictions["obs"].shape == (1, 4, 3, 2)
    assert names["subjects"].predictions["obs"].shape == (1, 4, 3, 2)
    assert list(names["rows"].predictions.data_vars) == ["obs"]
    # New subjects are drawn around the group.
    assert names["subjects"].predictions["v"].sizes == {"chain": 1, "draw": 4, "subject": 2}


# Pictures and words


def test_pictures_show_the_distribution_and_no_record() -> None:
    with model() as both:
        pl.GoNoGoDDM("late", both["v"], 1.0, 0.5, 0.3, deadline=1.5, trial_type=None, shape=(N, 2))
        pl.Race3("race", *[1.0] * 3, 2.0, *[0.4] * 3, 0.1, shape=(N, 2))
    assert set(ModelGraph(both).make_compute_graph()) == {"v", "t", "obs", "late", "race"}
    named = {name: random_variable_symbol(both[name]) for name in ("obs", "late", "race")}
    assert named == {"obs": "DDM", "late": "GoNoGoDDM", "race": "RACE_3"}
    lines = [line.strip() for line in both.str_repr(include_params=False).splitlines()]
    assert "obs ~ DDM" in lines
    drawing = pm.model_to_graphviz(both).source
    assert "obs\n~\nDDM" in drawing
    assert "network" not in drawing


def test_representations_are_short() -> None:
    assert repr(pl.get_model("ddm")) == "ClosedDiffusion('ddm': v, a, z, t)"
    for name, spec in MODELS.items():
        assert repr(spec) == f"{type(spec).__name__}({name!r}: {', '.join(spec.names)})"


# Workers and devices


TOLD: list[str] = []


def tell() -> None:
    TOLD.append("told")


def test_what_was_compiled_tells_its_backend_where_it_is_read() -> None:
    """As PyMC's workers read functions: translated anew, and never rewritten."""
    register_with_backend("py", "pymc_lan_test_told", tell)
    x = pt.vector("x")
    function = pytensor.function([x], x + 1, mode=pytensor.compile.mode.Mode("py", "fast_compile").including("py"))
    TOLD.clear()
    again = pickle.loads(pickle.dumps(function))
    assert TOLD == ["told"]
    assert again([1.0, 2.0]).tolist() == [2.0, 3.0]


READ = """
import pickle, sys, warnings
warnings.filterwarnings("error", "Numba will use object mode")
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        print(pickle.load(file)(v=0.5, t_log__=-1.5))
"""


@pytest.mark.table
def test_compiled_functions_run_in_another_process(tmp_path: Path) -> None:
    one, expected = model(), []
    for mode in ("NUMBA", "JAX"):
        function = one.compile_fn(one.logp(), mode=mode)
        expected.append(float(function({"v": 0.5, "t_log__": -1.5})))
        (tmp_path / mode).write_bytes(cloudpickle.dumps(function.f))
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path / "NUMBA"), str(tmp_path / "JAX")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [float(x) for x in done.stdout.split()] == pytest.approx(expected)


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to initialize backend 'cuda'")])
def test_no_device_is_told(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def devices() -> None:
        raise error

    monkeypatch.setattr(jax, "devices", devices)
    with pytest.raises(AssertionError, match=r"Expected a device that JAX can compute on\. .* JAX_PLATFORMS=cpu"):
        log_density(model(likelihood="exact"))


# JAX


def test_log_densities_of_networks_have_gradients_in_jax() -> None:
    network, at = pl.load_network("ddm"), {"a": 1.0, "z": 0.5, "t": 0.3}
    value, slope = jax.jit(jax.value_and_grad(lambda v: network.logpdf(0.8, -1, v=v, **at)))(1.0)
    # What the drift has to do with log f in the closed form: response a v - v^2 (rt - t) / 2, where z = 0.5.
    assert slope == pytest.approx(-1.0 - 0.5, abs=1e-3)
    assert value == pytest.approx(network.logpdf(0.8, -1, v=1.0, **at), abs=1e-5)


# JAX checks lengths when it is called, so PyTensor leaves its own check out, and says so.
@pytest.mark.table
@pytest.mark.filterwarnings("ignore:Skipping Assert")
def test_races_of_unknown_numbers_of_trials_are_computed_in_jax() -> None:
    spec = pl.get_model("race_3")
    with pm.Model() as race:
        rows = pm.Data("rows", np.column_stack([np.linspace(0.6, 1.4, N), np.arange(N) % 3]))
        slope, x = pm.Normal("slope"), pm.Data("x", np.linspace(0, 0.3, N))
        middle = {p.keyword: sum(p.bounds) / 2 + slope * x for p in spec.parameters} | {"t": 0.1}
        pl.Race3("obs", **middle, observed=rows)
    at = {"slope": np.array(0.3)}
    found = race.compile_fn(race.logp(), mode="JAX")(at)
    assert found == pytest.approx(log_density_of(race, ["obs", "slope"], at), rel=1e-6)


def test_a_shape_ends_in_rt_and_response() -> None:
    assert pm.draw(pl.DDM.dist(1.0, 1.2, 0.5, 0.3, shape=(20, 2)), random_seed=1).shape == (20, 2)
    for shape in (20, (20,), (20, 3)):
        with pytest.raises(ValueError, match=r"Expected shape to end in 2, for rt and response\. Found \(20,.* Remedy"):
            pl.DDM.dist(1.0, 1.2, 0.5, 0.3, shape=shape)
