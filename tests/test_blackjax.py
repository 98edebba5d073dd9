"""BlackJAX of log densities that are no PyMC model, Pathfinder and SMC, with the oldest and the newest BlackJAX.

Means, spreads and integrals are known from formulas; chains and kernels of PyMC models are in `test_inference`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import stats
from scipy.special import digamma, logsumexp, polygamma

import pymc_lan as pl
from pymc_lan.inference.blackjax.target import as_target

# The newest that was there when this was written; later ones are taken as they come.
NEWEST = "blackjax>=1.7.1"


def log_gammas(point: Any) -> Any:
    """Logarithms of gamma variables with shapes 3 and 5, and a normal one with mean 1 and standard deviation 2."""
    y = point["log"]["rate"]
    return (jnp.array([3.0, 5.0]) * y - jnp.exp(y)).sum() - ((point["level"] - 1) / 2) ** 2 / 2


START = {"log": {"rate": np.zeros(2)}, "level": 0}
EXPECTED = {
    "log.rate": (digamma([3, 5]), polygamma(1, [3, 5]) ** 0.5),
    "level": (1.0, 2.0),
}


def assert_moments(draws: Any, mean: Any, sd: Any) -> None:
    """Means of draws and of their squares are those expected, by the error that their autocorrelation tells."""
    for power, expected in ((1, 0 * np.asarray(sd)), (2, np.asarray(sd) ** 2)):
        moments = (draws - mean) ** power
        n = az.ess(az.convert_to_datatree({"m": moments}), method="mean")["m"].values
        assert np.all(n > 100)
        assert np.all(np.abs(moments.mean(axis=(0, 1)) - expected) < 4.5 * moments.std(axis=(0, 1)) / np.sqrt(n))


def test_a_log_density_of_a_pytree_is_sampled() -> None:
    before = jax.config.jax_enable_x64
    idata = pl.sample_blackjax(log_gammas, 1000, 400, initvals=START, seed=1)
    assert jax.config.jax_enable_x64 == before
    assert set(idata.posterior) == set(EXPECTED)
    for name, (mean, sd) in EXPECTED.items():
        draws = idata.posterior[name].values
        assert draws.dtype == np.float64
        assert_moments(draws, mean, sd)
    last = {"log": {"rate": idata.posterior["log.rate"].values[0, -1]}, "level": idata.posterior["level"].values[0, -1]}
    assert idata.sample_stats["lp"].values[0, -1] == pytest.approx(float(log_gammas(last)), rel=1e-5)
    assert idata.posterior.attrs["inference_library"] == "blackjax"
    tested = os.environ.get("PYMC_LAN_BLACKJAX", version("blackjax"))
    assert idata.posterior.attrs["inference_library_version"] == tested
    assert {"diverging", "tree_depth", "step_size"} <= set(idata.sample_stats)


def graph() -> tuple[Any, Callable[[float, Any], float]]:
    """A density with shared data, and its formula."""
    a, b = pt.dscalar("a"), pt.dvector("b")
    data = (
        pm.Data("data", np.array([1.0, 2.0])) if pm.Model.get_context(error_if_none=False) else pt.as_tensor([1.0, 2.0])
    )
    return -((a - 1) ** 2) - pt.exp(b * data).sum(), lambda x, y: -((x - 1) ** 2) - np.exp(y * [1.0, 2.0]).sum()


def test_a_graph_is_a_function_of_its_inputs_by_name() -> None:
    density, formula = graph()
    target = as_target(density, {"b": [0.5, -1], "a": 2})
    (start,) = target.starts(1, [False])
    assert float(target.density(start)) == pytest.approx(formula(2.0, np.array([0.5, -1.0])), rel=1e-12)
    (moved,) = target.starts(1, [True])
    assert np.all(np.abs(moved["b"] - start["b"]) <= 1)
    assert np.all(moved["b"] != start["b"])
    drawn = as_target(density, lambda rng: {"a": rng.normal(), "b": rng.normal(size=2)}).starts(1, [True] * 3)
    assert len({float(point["a"]) for point in drawn}) == 3
    # The log density of a model is such a graph.
    with pm.Model() as model:
        pm.Exponential("x", 2.0)
    assert float(as_target(model.logp(), {"x_log__": 0.0}).density({"x_log__": 0.0})) == pytest.approx(np.log(2) - 2)


@pytest.mark.table  # the example of the rat tumours samples a graph
def test_a_graph_is_sampled() -> None:
    a = pt.dvector("a")
    idata = pl.sample_blackjax((3 * a - pt.exp(a)).sum(), 1000, 400, initvals={"a": np.zeros(2)}, seed=1)
    assert_moments(idata.posterior["a"].values, *EXPECTED["log.rate"][0][:1], EXPECTED["log.rate"][1][0])


def test_pathfinder_finds_a_normal_density() -> None:
    idata = pl.sample_blackjax(
        lambda x: -((x - 3.0) ** 2).sum() / 2, 1000, chains=2, kernel="pathfinder", initvals=np.zeros(3), seed=1
    )
    assert_moments(idata.posterior["x"].values, 3.0, np.ones(3))
    # Where the approximation is the density, their ratio is its integral everywhere.
    ratio = idata.sample_stats["lp"] - idata.sample_stats["log_q"]
    np.testing.assert_allclose(ratio, 1.5 * np.log(2 * np.pi), atol=1e-3)
    np.testing.assert_allclose(idata.sample_stats["elbo"], 1.5 * np.log(2 * np.pi), atol=1e-3)
    assert idata.sample_stats["pareto_k"].dims == ("chain",)


def test_pathfinder_says_where_it_is_far_off() -> None:
    import blackjax

    from pymc_lan.inference.blackjax.pathfinder import Pathfinder

    method = Pathfinder(blackjax, as_target(lambda x: -(x**2), 1.0), {}, draws=9)
    normal, cauchy = (d.logpdf(np.linspace(-8, 8, 1000)) for d in (stats.norm(0, 2), stats.cauchy()))
    near = {"lp": normal[None], "log_q": normal[None] + 0.01 * cauchy}
    assert method.look({"elbo": 1.0}, near).keys() == {"elbo", "pareto_k"}
    draws = stats.norm.rvs(size=(1, 4000), random_state=1)
    far = {"lp": stats.cauchy.logpdf(draws), "log_q": stats.norm.logpdf(draws)}
    with pytest.warns(UserWarning, match=r"Expected a Pareto k of at most 0\.7 for each Pathfinder\. Found"):
        method.look({}, far)
    with pytest.raises(ValueError, match=r"whose draws have finite densities\. Found 1 of 4000"):
        method.look({}, {"lp": np.where(draws == draws.max(), -np.inf, draws), "log_q": draws})


DATA, NOISE, SPREAD = np.array([1.0, 2.5, 0.5]), 0.8, 3.0


def level() -> pm.Model:
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, SPREAD)
        pm.Normal("y", mu, NOISE, observed=DATA)
    return model


def test_smc_of_a_model_has_its_posterior_and_its_evidence() -> None:
    idata = pl.sample_blackjax(level(), 400, chains=4, kernel="smc", seed=1)
    precision = len(DATA) / NOISE**2 + 1 / SPREAD**2
    assert_moments(idata.posterior["mu"].values, DATA.sum() / NOISE**2 / precision, precision**-0.5)
    covariance = NOISE**2 * np.eye(3) + SPREAD**2
    evidence = idata.sample_stats["log_marginal_likelihood"].values
    assert evidence.shape == (4,)
    # Its own spread over runs is the error.
    exact = stats.multivariate_normal(np.zeros(3), covariance).logpdf(DATA)
    assert abs(evidence.mean() - exact) < 5 * evidence.std(ddof=1) / 2 + 0.01
    assert evidence.std() < 0.3
    np.testing.assert_array_equal(idata.observed_data["y"], DATA)


def two_hills(x: Any) -> Any:
    """Three quarters of the mass around 2, a quarter around -2, which NUTS would not know from one start."""
    return jnp.logaddexp(jnp.log(3.0) - (x - 2) ** 2 / 0.18, -((x + 2) ** 2) / 0.18)


@pytest.mark.table  # a model is tempered by the same steps
@pytest.mark.parametrize("kernel", ["smc", "tempered_smc"])
def test_smc_of_a_log_density_finds_both_hills(kernel: str) -> None:
    idata = pl.sample_blackjax(two_hills, 1000, chains=4, kernel=kernel, initvals=0.0, seed=1)
    share = (idata.posterior["x"] > 0).mean("draw").values
    assert abs(share.mean() - 0.75) < 5 * share.std(ddof=1) / 2 + 0.01
    integral = idata.sample_stats["log_marginal_likelihood"].values
    assert abs(integral.mean() - np.log(4 * 0.3 * np.sqrt(2 * np.pi))) < 5 * integral.std(ddof=1) / 2 + 0.01
    assert share.std() < 0.1


def test_temperatures_keep_the_effective_share() -> None:
    """The step to the next temperature is as large as the share of effective particles allows, by bisection."""
    from types import SimpleNamespace

    import blackjax

    from pymc_lan.inference.blackjax.tempered import Tempered

    x = np.random.default_rng(3).normal(size=500) * 40
    method = Tempered(
        blackjax, as_target(lambda x: -x, 1.0), {"target_ess": 0.3}, draws=9, target_accept=0.8, adaptive=True
    )
    method.likelihood = lambda position: position
    state = SimpleNamespace(particles=jnp.asarray(x), weights=jnp.full(500, 1 / 500), tempering_param=jnp.asarray(0.25))
    u = (float(method._next(state, 0)) - 0.25) * np.asarray(state.particles, float)
    assert np.exp(2 * logsumexp(u) - logsumexp(2 * u)) / 500 == pytest.approx(0.3, abs=1e-3)


def with_draws() -> Any:
    return pm.Normal.dist() + pt.dscalar("a")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pl.sample_blackjax("ddm"), "Expected a PyMC model, a log density as a function of JAX"),
        (lambda: pl.sample_blackjax(log_gammas), "Expected initvals, where chains of a log density start."),
        (lambda: pl.sample_blackjax(lambda x: x, initvals=np.zeros(2)), "one real number. Found shape (2,)"),
        (lambda: pl.sample_blackjax(lambda x: "no", initvals=0.0), "Expected a log density"),
        (lambda: pl.sample_blackjax(log_gammas, initvals={}), "Expected starts with at least one number."),
        (lambda: pl.sample_blackjax(log_gammas, initvals={"level": 1.0}), "Found KeyError: 'log'"),
        (
            lambda: pl.sample_blackjax(lambda p: -p["a.b"] - p["a"]["b"], initvals={"a.b": 1, "a": {"b": 2}}),
            "names, each its own. Found a.b, a.b.",
        ),
        (lambda: pl.sample_blackjax(lambda p: -(p["draw"] ** 2), initvals={"draw": 1}), "those of the axes"),
        (
            lambda: pl.sample_blackjax(
                lambda p: -p["x_dim_0"] - p["x"].sum(), initvals={"x_dim_0": 1, "x": np.ones(2)}
            ),
            "Found x_dim_0.",
        ),
        (lambda: pl.sample_blackjax(level(), target_accept=1.5), "target_accept as a share, between 0 and 1."),
        (lambda: pl.sample_blackjax(lambda x: -(x**2), initvals="1"), "Expected starts that are real numbers."),
        (lambda: pl.sample_blackjax(lambda x: -(x**2), initvals=1j), "Expected starts that are real numbers."),
        (lambda: pl.sample_blackjax(lambda x: jnp.log(-(x**2)), initvals=1.0), "in every of 10 tries."),
        (lambda: pl.sample_blackjax(graph()[0], initvals={"a": 1.0}), "Found none of b."),
        (lambda: pl.sample_blackjax(graph()[0], initvals={"a": 1.0, "b": [1, 2], "c": 3}), "Unknown input 'c' of"),
        (lambda: pl.sample_blackjax(graph()[0], initvals={"a": [1.0], "b": [1, 2]}), "of shape () for a"),
        (lambda: pl.sample_blackjax(graph()[0], initvals=[1.0]), "Expected initvals by name, of a, b."),
        (lambda: pl.sample_blackjax(pt.dscalar() ** 2, initvals={}), "inputs have names"),
        (lambda: pl.sample_blackjax(pt.lscalar("n") * 1.0, initvals={"n": 1}), "inputs of real numbers"),
        (lambda: pl.sample_blackjax(with_draws(), initvals={"a": 1}), "nothing is drawn for. Found random variables."),
        (lambda: pl.sample_blackjax(level(), kernel="hmc"), "num_integration_steps"),
        (lambda: pl.sample_blackjax(level(), kernel="smc", adapt=True), "window adaptation can tune"),
        (lambda: pl.sample_blackjax(level(), kernel="smc", initvals={"mu": 1}), "SMC starts from draws of the prior"),
        (lambda: pl.sample_blackjax(level(), kernel="smc", kernel_parameters={"target_ess": 2}), "between 0 and 1"),
        (
            lambda: pl.sample_blackjax(level(), kernel="tempered_smc", kernel_parameters={"schedule": [0.5, 0.2, 1]}),
            "rise to 1",
        ),
        (lambda: pl.sample_blackjax(level(), kernel="smc", kernel_parameters={"schedule": [1]}), "Unknown kernel para"),
        (lambda: pl.sample_blackjax(level(), kernel="pathfinder", kernel_parameters={"tol": 1}), "Unknown kernel para"),
        (lambda: pl.sample_blackjax(flat(), kernel="smc"), "Expected priors that can be drawn from"),
    ],
)
def test_mistakes_are_explained(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"Expected|Unknown") as caught:
        call()
    assert words in str(caught.value)


def flat() -> pm.Model:
    with pm.Model() as model:
        pm.Normal("y", pm.Flat("x"), 1, observed=[1.0])
    return model


@pytest.mark.slow
def test_the_newest_blackjax_does_as_well(tmp_path: Path) -> None:
    """PyMC's own bridge needs an older one, so that it comes into a folder before the others, in another process."""
    folder = tmp_path / "newest"
    command = [sys.executable, "-m", "uv", "pip", "install", "--no-deps", "--target", str(folder), NEWEST]
    got = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if got.returncode != 0:
        pytest.skip(f"BlackJAX cannot be installed here: {got.stderr.strip()[-200:]}")
    (newest,) = (path.name.removesuffix(".dist-info").split("-")[1] for path in folder.glob("blackjax-*.dist-info"))
    root = Path(__file__).parent
    tests = [f"{root}/test_blackjax.py", f"{root}/test_inference.py"]
    which = "log_density_of_a_pytree or pathfinder_finds or smc_of_a_model or formula[nuts]"
    path = os.pathsep.join([str(folder), str(root.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", which, *tests],
        env=os.environ | {"PYTHONPATH": path, "PYMC_LAN_BLACKJAX": newest},
        capture_output=True,
        text=True,
        check=False,
        cwd=root.parent,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "4 passed" in done.stdout
