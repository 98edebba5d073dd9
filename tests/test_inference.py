"""The mode, its Laplace approximation and BlackJAX's chains, against posteriors that are known."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import optax
import pymc as pm
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.inference import mode as optimum

# Linear regression with known noise: the posterior is normal, and its mean and covariance are solutions of an equation.
DESIGN = np.column_stack([np.ones(12), np.linspace(-1, 2, 12)])
OUTCOME = DESIGN @ [0.5, -1.0] + np.random.default_rng(3).normal(0, 0.7, 12)
PRIOR_SD, NOISE_SD = 2.0, 0.7
COVARIANCE = np.linalg.inv(DESIGN.T @ DESIGN / NOISE_SD**2 + np.eye(2) / PRIOR_SD**2)
MEAN = COVARIANCE @ DESIGN.T @ OUTCOME / NOISE_SD**2


def regression() -> pm.Model:
    with pm.Model(coords={"term": ["level", "slope"]}) as model:
        weight = pm.Normal("weight", 0, PRIOR_SD, dims="term")
        x = pm.Data("x", DESIGN)
        pm.Deterministic("twice", 2 * weight, dims="term")
        pm.Normal("y", x @ weight, NOISE_SD, observed=OUTCOME)
    return model


def bounded() -> pm.Model:
    with pm.Model() as model:
        pm.Gamma("rate", 3, 2)
        pm.Beta("share", 3, 5)
    return model


# By the densities' derivatives: of the parameter, and of its logarithm or logit.
MODES = {True: {"rate": 3 / 2, "share": 3 / 8}, False: {"rate": 2 / 2, "share": 2 / 6}}


@pytest.mark.parametrize(
    ("optimizer", "jacobian"),
    [("lbfgs", True), ("lbfgs", False), ("adam", True), ("sgd", False), (optax.sgd(0.1, momentum=0.9), True)],
    ids=["lbfgs", "lbfgs, no jacobian", "adam", "sgd, no jacobian", "optax.sgd"],
)
def test_the_mode_is_that_of_the_formula(optimizer: Any, jacobian: bool) -> None:
    # Not the initial point, the priors' means, which are the modes with the Jacobian.
    fit = pl.fit_map(bounded(), optimizer, jacobian=jacobian, initvals={"rate": 0.5, "share": 0.8}, tol=1e-3)
    assert fit.converged
    for name, value in MODES[jacobian].items():
        # Second derivatives are at least 0.7: a derivative of 1e-3 is less than 0.0015 on the unconstrained scale.
        np.testing.assert_allclose(fit.point[name], value, rtol=3e-3)
    assert fit.history["gradient"].iloc[-1] <= 1e-3 < fit.history["gradient"].iloc[:-1].min()


def test_laplace_of_a_normal_posterior_is_that_posterior() -> None:
    fit = pl.fit_map(regression(), tol=1e-6)
    np.testing.assert_allclose(fit.point["weight"], MEAN, atol=1e-6)
    np.testing.assert_allclose(fit.point["twice"], 2 * MEAN, atol=2e-6)
    n = 20_000
    idata = fit.laplace(draws=n, seed=1)
    draws = idata.posterior["weight"].values[0]
    sd = np.sqrt(np.diag(COVARIANCE))
    assert np.all(np.abs(draws.mean(axis=0) - MEAN) < 4.5 * sd / np.sqrt(n))
    # The standard error of a covariance of normals, sqrt((c_ij^2 + c_ii c_jj) / n).
    error = np.sqrt((COVARIANCE**2 + np.outer(sd, sd) ** 2) / n)
    assert np.all(np.abs(np.cov(draws.T) - COVARIANCE) < 4.5 * error)
    assert idata.posterior["twice"].dims == ("chain", "draw", "term")
    np.testing.assert_allclose(idata.posterior["twice"], 2 * idata.posterior["weight"])
    np.testing.assert_array_equal(idata.observed_data["y"], OUTCOME)
    np.testing.assert_array_equal(idata.constant_data["x"], DESIGN)


def two_hills() -> pm.Model:
    """A low hill at -3 and one that is higher by 2 at 3."""
    with pm.Model() as model:
        x = pm.Flat("x")
        pm.Potential("hills", pt.logaddexp(-2 * (x + 3) ** 2, 2 - 2 * (x - 3) ** 2))
    return model


def test_the_best_of_many_starts_wins() -> None:
    alone = pl.fit_map(two_hills(), initvals={"x": -0.6})
    many = pl.fit_map(two_hills(), initvals={"x": -0.6}, n_starts=12, seed=1)
    assert (round(float(alone.point["x"])), round(float(many.point["x"]))) == (-3, 3)
    assert many.logp == pytest.approx(2.0, abs=1e-3)
    assert sorted(set(many.history["start"])) == list(range(12))
    # Start 0 is the given one, as it is without others.
    first = many.history[many.history["start"] == 0]["loss"].to_numpy()
    np.testing.assert_allclose(first, alone.history["loss"])


def test_steps_are_compiled_once() -> None:
    traced = []

    def density(point: Any) -> Any:
        traced.append(1)
        return -((point["x"] - 3.0) ** 4).sum()

    like = {"x": np.zeros(2)}
    runner = optimum._runner(density, optimum._optimizer("lbfgs", 9), like, steps=9, chunk=3, tol=1e-12)
    carry, _ = runner.run(runner.begin(like), 0)
    first = len(traced)
    runner.run(carry, 3)
    assert len(traced) == first > 0


def test_history_and_log(caplog: pytest.LogCaptureFixture) -> None:
    options = {"initvals": {"rate": 0.5, "share": 0.8}, "tol": 1e-12, "track_history": False, "log_every": 10}
    with (
        caplog.at_level(logging.INFO, "pymc.fit_map"),
        pytest.warns(UserWarning, match="Expected derivatives below tol = 1e-12 within 25 steps"),
    ):
        fit = pl.fit_map(bounded(), optax.sgd(0.05), 25, **options)
    assert not fit.converged
    assert [r.message.split(":")[0] for r in caplog.records] == [f"start 0, step {n}" for n in (10, 20, 25)]
    assert fit.history["step"].tolist() == [24]


def cliff() -> pm.Model:
    """The density rises towards x = 1 and is not a number beyond."""
    with pm.Model() as model:
        x = pm.Flat("x")
        pm.Normal("bystander")
        pm.Potential("cliff", x * 10 + pt.log(1 - x))
    return model


def steep() -> pm.Model:
    """At its start, 0, the density is finite and its derivative is not."""
    with pm.Model() as model:
        x = pm.Flat("x")
        pm.Normal("bystander")
        pm.Potential("root", pt.sqrt(x) - x)
    return model


def outside() -> pm.Model:
    with pm.Model() as model:
        pm.Uniform("y", 0, 1 + pm.math.exp(pm.Normal("x")) * 0, observed=[2.0])
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (cliff, ("at step 1 these not finite: the log probability of cliff (of x).", "pl.initvals")),
        (outside, ("at step 0 these not finite: the log probability of y (of x).",)),
        (steep, ("at step 0 these not finite: derivatives by x.",)),
    ],
)
def test_what_is_not_finite_is_named(model: Callable[[], pm.Model], words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="finite log density") as caught:
        pl.fit_map(model(), optax.sgd(1.0), steps=20)
    for word in words:
        assert word in str(caught.value)


def test_one_failed_start_of_many_is_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"[1-9]\d? of 12 starts failed\. Expected a finite log density"):
        fit = pl.fit_map(cliff(), initvals={"x": 0.5}, n_starts=12, seed=1)
    assert fit.point["x"] == pytest.approx(0.9, abs=0.01)  # where 10 = 1 / (1 - x)


def saddle() -> pm.Model:
    with pm.Model() as model:
        x, ridge = pm.Flat("x"), pm.Normal("ridge")
        pm.Potential("flat", 0 * x + 0 * ridge)
    return model


def between_hills() -> pm.Model:
    """A saddle at 0, between hills of height 1/8 at x = y = 1/2 and x = y = -1/2; z has its mode at 0."""
    with pm.Model() as model:
        x, y, z = pm.Flat("x"), pm.Flat("y"), pm.Flat("z")
        pm.Potential("hills", x * y - x**4 - y**4 - z**2)
    return model


def test_a_saddle_is_no_mode() -> None:
    fit = pl.fit_map(between_hills(), initvals={"x": 0.0, "y": 0.0, "z": 0.0}, seed=1, tol=1e-6)
    assert fit.converged
    assert fit.logp == pytest.approx(1 / 8)
    np.testing.assert_allclose(np.abs([fit.point["x"], fit.point["y"], fit.point["z"]]), [0.5, 0.5, 0.0], atol=1e-5)
    # A start that is the mode stays what it is.
    still = pl.fit_map(regression(), initvals={"weight": MEAN}, seed=1)
    np.testing.assert_array_equal(still.point["weight"], MEAN)
    assert len(still.history) == 1
    assert repr(still).startswith("MapFit(logp=-23.5")
    assert repr(still).endswith("converged=True, point of weight, twice)")


def ridge() -> pm.Model:
    """Only a sum is known, so that one curvature is 0 but for rounding."""
    with pm.Model() as model:
        x, y = pm.Flat("x"), pm.Flat("y")
        pm.Potential("sum", -((1.1 * x + 0.7 * y - 1) ** 2))
    return model


def discrete() -> pm.Model:
    with pm.Model() as model:
        pm.Poisson("count", 3)
    return model


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pl.fit_map(discrete()), "Expected continuous free variables, which have gradients. Found count."),
        (lambda: pl.fit_map(pm.Model()), "Expected a model with free variables. Found none."),
        (lambda: pl.fit_map(bounded(), "adams"), "Did you mean 'adam'?"),
        (lambda: pl.fit_map(bounded(), 0.1), "Expected an optax transformation. Found float."),
        (lambda: pl.fit_map(bounded(), steps=0), "steps as a whole number, 1 or more. Found steps=0."),
        (lambda: pl.fit_map(bounded(), jacobian=False).laplace(), "Found one of jacobian=False."),
        (lambda: pl.fit_map(saddle()).laplace(), "Found one that does not, mostly along x, "),
        (lambda: pl.fit_map(ridge()).laplace(), "Found one that does not, mostly along "),
        (lambda: pl.sample_blackjax(discrete()), "Found count."),
        (lambda: pl.sample_blackjax(bounded(), kernel="elliptical_slice"), "Unknown kernel 'elliptical_slice'"),
        (lambda: pl.sample_blackjax(bounded(), tune=0), "Found no step_size, inverse_mass_matrix."),
        (lambda: pl.sample_blackjax(bounded(), tune=0, adapt=True), "Expected tune of 1 or more"),
        (lambda: pl.sample_blackjax(bounded(), kernel="nut"), "Did you mean 'nuts'?"),
        (lambda: pl.sample_blackjax(bounded(), draws=0), "draws as a whole number, 1 or more. Found draws=0."),
        (lambda: pl.sample_blackjax(bounded(), kernel="mala"), "Found no step_size."),
        (lambda: pl.sample_blackjax(bounded(), kernel="nuts", adapt=False), "Found no step_size, inverse_mass_matrix."),
        (lambda: pl.sample_blackjax(bounded(), kernel="mclmc"), "Found no L, step_size."),
        (lambda: pl.sample_blackjax(bounded(), kernel="dynamic_hmc"), "Found no step_size, inverse_mass_matrix."),
        (lambda: pl.sample_blackjax(bounded(), kernel="dynamic_hmc", adapt=True), "window adaptation can tune"),
        (lambda: pl.sample_blackjax(bounded(), kernel_parameters={"stepsize": 1}), "Did you mean 'step_size'?"),
        (lambda: pl.sample_blackjax(bounded(), chain_method="vectorised"), "Did you mean 'vectorized'?"),
        (lambda: pl.sample_blackjax(bounded(), chain_method="parallel", chains=1000), "Expected 1000 devices"),
        (lambda: pl.sample_blackjax(outside()), "by y (of x), in every of 10 tries."),
    ],
)
def test_mistakes_are_explained(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"Expected|Unknown") as caught:
        call()
    assert words in str(caught.value)


KERNELS: dict[str, dict[str, Any]] = {
    "nuts": {},
    "hmc": {"kernel": "hmc", "kernel_parameters": {"num_integration_steps": 5}},
    # A Langevin step moves by the root of twice its size, here about two thirds of the narrower standard deviation.
    "mala": {"kernel": "mala", "kernel_parameters": {"step_size": 0.01}, "draws": 6000, "chain_method": "sequential"},
}


@pytest.mark.parametrize("kernel", one_of_a_kind(KERNELS, "nuts", "mala"))
def test_chains_have_the_posterior_of_the_formula(kernel: str) -> None:
    options = KERNELS[kernel]
    idata = pl.sample_blackjax(regression(), chains=4, seed=2, **({"draws": 1000, "tune": 500} | options))
    draws = idata.posterior["weight"].values
    assert draws.dtype == np.float64
    sd = np.sqrt(np.diag(COVARIANCE))
    # Errors of means of correlated draws are known from the data alone, as are those of the squares.
    for power, expected in ((1, 0 * sd), (2, sd**2)):
        moments = (draws - MEAN) ** power
        n = az.ess(az.convert_to_datatree({"m": moments}), method="mean")["m"].values
        assert np.all(n > 200)
        assert np.all(np.abs(moments.mean(axis=(0, 1)) - expected) < 4.5 * moments.std(axis=(0, 1)) / np.sqrt(n))
    # lp is the whole of the log density there.
    at = regression().compile_logp(mode=AS_WRITTEN)({"weight": draws[0, -1]})
    assert idata.sample_stats["lp"].values[0, -1] == pytest.approx(float(at), abs=1e-9)


# Step sizes are tenths of standard deviations; what a kernel has to be told beside them.
GIVEN: dict[str, dict[str, Any]] = {
    "mclmc": {"L": 1.0, "step_size": 0.1},
    "dynamic_hmc": {"step_size": 0.1, "inverse_mass_matrix": np.ones(2)},
    "adjusted_mclmc": {"step_size": 0.1, "num_integration_steps": 5},
    "adjusted_mclmc_dynamic": {"step_size": 0.1},
    "barker_proposal": {"step_size": 0.1},
    "ghmc": {"step_size": 0.1, "momentum_inverse_scale": np.ones(2), "alpha": 0.5, "delta": 0.1},
    "hmc": {"num_integration_steps": 3},
    "mala": {"step_size": 0.01},
    "nuts": {},
    "rmhmc": {"step_size": 0.1, "mass_matrix": np.ones(2), "num_integration_steps": 3},
}
# What these have to be told are functions of BlackJAX's own points.
OF_FUNCTIONS = {"additive_step_random_walk", "irmh", "rmh"}
# Tested with the log densities, in test_blackjax.
NO_CHAINS = {"adaptive_tempered_smc", "pathfinder", "smc", "tempered_smc"}


@pytest.mark.parametrize("kernel", one_of_a_kind(GIVEN, "mclmc"))
def test_every_kernel_that_is_listed_draws(kernel: str) -> None:
    options = {"kernel_parameters": GIVEN[kernel], "seed": 1}
    idata = pl.sample_blackjax(regression(), 20, 20, 2, kernel, **options)
    draws = idata.posterior["weight"].values
    assert draws.shape == (2, 20, 2)
    assert np.isfinite(draws).all()
    assert (np.ptp(draws, axis=1) > 0).all()


def test_no_kernel_is_left_out_of_the_table() -> None:
    with pytest.raises(ValueError, match="Unknown kernel") as caught:
        pl.sample_blackjax(bounded(), kernel="?")
    listed = re.search(r"Known kernels: ([^.]+)\.", str(caught.value))
    assert listed is not None
    assert set(listed[1].split(", ")) == {*GIVEN, *OF_FUNCTIONS, *NO_CHAINS}


PARALLEL = """
import numpy as np
import pymc_lan as pl
from test_inference import regression

options = {"kernel": "mala", "kernel_parameters": {"step_size": 0.01}, "seed": 2}
found = [
    pl.sample_blackjax(regression(), 50, 0, 2, chain_method=method, **options).posterior["weight"].values
    for method in ("vectorized", "parallel")
]
print(np.abs(found[0] - found[1]).max() / found[0].std())
"""


@pytest.mark.slow
def test_parallel_chains_are_those_of_vectorized_ones() -> None:
    """In a process of its own, because JAX has as many devices as it was told before its first use."""
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", PARALLEL], env=env, cwd=Path(__file__).parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-3


@pytest.mark.slow
def test_results_are_those_of_pm_sample() -> None:
    """On go/no-go trials, of two subjects with coordinates: means, groups, names, coordinates and dimensions."""
    rng = np.random.default_rng(5)
    subject = np.repeat([0, 1], 100)
    trials = pl.GoNoGoDDM.dist(np.array([1.5, 0.5])[subject], 1.0, t=0.3, deadline=1.5, shape=(200, 2))
    data = pm.draw(trials, random_seed=rng)
    with pm.Model(coords={"subject": ["ann", "bob"]}) as model:
        v = pm.Normal("v", 0, 2, dims="subject")
        a, t = pm.LogNormal("a", 0, 0.5), pm.HalfNormal("t", 0.3)
        pl.GoNoGoDDM("obs", v[subject], a, t=t, deadline=1.5, observed=data)
        start = {"t": 0.2}
        theirs = pm.sample(
            500, tune=500, chains=4, cores=1, initvals=start, random_seed=1, progressbar=False, nuts_sampler="pymc"
        )
    ours = pl.sample_blackjax(model, 500, 500, 4, initvals=start, seed=1)
    assert set(ours.children) == set(theirs.children)
    assert {"diverging", "energy", "tree_depth", "n_steps", "acceptance_rate", "lp", "step_size"} <= set(
        ours.sample_stats
    )
    for group in ("posterior", "observed_data", "constant_data"):
        assert set(ours[group].data_vars) == set(theirs[group].data_vars)
        for name, x in theirs[group].data_vars.items():
            assert ours[group][name].dims == x.dims
            assert ours[group][name].dtype == x.dtype
            assert all(np.array_equal(ours[group].coords[d], x.coords[d]) for d in x.dims if d != "draw")
    assert ours.posterior.attrs["inference_library"] == "blackjax"
    assert ours.posterior.attrs["tuning_steps"] == 500
    assert int(ours.sample_stats["diverging"].sum()) == 0
    mine, other = (az.summary(x, round_to="none") for x in (ours, theirs))
    z = (mine["mean"] - other["mean"]) / np.hypot(
        mine["sd"] / mine["ess_bulk"] ** 0.5, other["sd"] / other["ess_bulk"] ** 0.5
    )
    assert z.abs().max() < 4.5
    np.testing.assert_allclose(mine["sd"], other["sd"], rtol=0.25)
