"""One reflected accumulator: its labels against closed forms and small steps, its networks, its tails, its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import mpmath as mp
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN, assert_backends_agree
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.models.diffusion.closed_view import straight
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.race.reflected import Reflected
from pymc_lan.models.race.reflected_labels import draw_accumulators
from pymc_lan.models.race.reflected_solver import at_times, solve_accumulators
from pymc_lan.networks.flax import as_network
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.samplers.reflected import draw_reflected
from pymc_lan.numerics.wiener import passage_logpdf
from pymc_lan.ops.likelihood import log_likelihood
from pymc_lan.training.recipes import Recipe

Theta = Mapping[str, np.ndarray]
MODELS = ("race_3", "race_4", "race_no_bias_angle_3", "race_no_bias_angle_4")
# v, a, z: late and early, from the wall and next to the boundary.
CONSTANT = [(0.0, 1.0, 0.0), (1.0, 1.5, 0.2), (2.5, 3.0, 0.0), (2.5, 2.0, 0.9), (0.3, 1.0, 0.9), (2.5, 3.0, 0.5)]


def columns(*rows: tuple[float, ...]) -> dict[str, np.ndarray]:
    return dict(zip(("v", "a", "z", "theta"), np.array(rows, float).T, strict=False))


def by_laplace(v: float, a: float, z: float, d: float) -> tuple[float, float]:
    """Log density and log survivor from the transform of the density, a ratio of two solutions of one equation."""

    def transform(p: Any) -> Any:
        gamma = mp.sqrt(v * v + 2 * p)
        r, near = (gamma - v) / (gamma + v), a * (1 - z)
        images = (1 + r * mp.exp(-2 * gamma * a * z)) / (1 + r * mp.exp(-2 * gamma * a))
        return mp.exp((v - gamma) * near) * images

    with mp.workdps(30):
        density, survivor = (
            mp.invertlaplace(f, d, method="talbot", degree=40) for f in (transform, lambda p: (1 - transform(p)) / p)
        )
        return float(mp.log(density)), float(mp.log(survivor))


@pytest.mark.parametrize("point", CONSTANT, ids=str)
def test_labels_of_a_constant_boundary_are_those_of_the_transform(point: tuple[float, ...]) -> None:
    theta = columns(point)
    found = solve_accumulators(theta)
    # Where one in a thousand, half and all but one in a thousand have finished, and off the solution's points.
    d = np.exp(np.interp(np.log([1e-3, 0.5, 0.999]), found.log_finished[0], np.log(found.times[0])))
    expected = np.array([by_laplace(*point, x) for x in d]).T
    density, survivor = at_times(found, theta, 0, d)
    np.testing.assert_allclose(density, expected[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(survivor, expected[1], rtol=0, atol=3e-4)


def test_labels_without_drift_are_those_of_two_boundaries() -> None:
    """The size of Brownian motion is reflected Brownian motion, whatever the boundary does."""
    theta = columns((0.0, 1.0, 0.0, 0.7), (0.0, 2.0, 0.5, 1.4), (0.0, 3.0, 0.9, -0.1), (0.0, 1.2, 0.3, 0.0))
    found = solve_accumulators(theta)
    both = {name: x[:, None] for name, x in theta.items()} | {"z": (1 + theta["z"][:, None]) / 2}
    ends = [passage_logpdf(NUMPY, straight(NUMPY, found.times, response, both)) for response in (1.0, -1.0)]
    np.testing.assert_allclose(found.log_density, np.logaddexp(*ends), rtol=0, atol=1e-7)


def test_labels_lose_no_probability() -> None:
    """Over the bounds of all races; the rest after the last point is known to a few parts in a hundred."""
    found = solve_accumulators(draw_accumulators(np.random.default_rng(1), 100))
    assert found.error.max() < 2e-4
    for log_p in (found.log_density, found.log_survivor):
        assert not np.isnan(log_p[np.exp(found.log_survivor) > 1e-5]).any()


@pytest.mark.slow
def test_labels_and_paths_follow_small_steps() -> None:
    """The definition: Euler steps, max(0, x); a step of h moves wall and boundary by less than sqrt(h)."""
    rng, n, step = np.random.default_rng(2), 20_000, 2e-5
    theta = {"v": 2.0, "a": 1.0, "z": 0.3, "theta": 1.2}
    x, times = np.full(n, 0.3), np.full(n, np.inf)
    for i in range(int(0.39 / step)):
        x = np.maximum(x + 2.0 * step + np.sqrt(step) * rng.standard_normal(n), 0.0)
        times[np.isinf(times) & (x >= 1 - np.tan(1.2) * (i + 1) * step)] = (i + 1) * step
    ours = draw_reflected(rng, [{name: np.full(n, value) for name, value in theta.items()}])[0]
    found = solve_accumulators(columns(tuple(theta.values())))
    # The boundary falls by 2.57 in a second, so sqrt(h) is less than 2 ms; and four standard errors.
    for share in (0.1, 0.5, 0.9):
        expected = np.interp(np.log(share), found.log_finished[0], found.times[0])
        density = np.exp(np.interp(expected, found.times[0], found.log_density[0]))
        error = 4 * np.sqrt(share * (1 - share) / n) / density
        assert np.quantile(times, share) == pytest.approx(expected, abs=error + 2e-3)
        assert np.quantile(ours, share) == pytest.approx(expected, abs=error)


@pytest.mark.parametrize("model", one_of_a_kind(MODELS, "race_3", "race_no_bias_angle_4"))
def test_composed_densities_are_those_of_the_labels(model: str) -> None:
    """Anew, at other parameters than the card's; the limits are the project's."""
    spec, rng = pl.get_model(model), np.random.default_rng(11)
    trials = spec.labels.model_trials(rng, 1600)
    theta = trials.theta | {"t": rng.uniform(0, 2, trials.d.size)}
    found = pl.load_network(model).logpdf(theta["t"] + trials.d, trials.response, **theta)
    error = np.abs(found - trials.label)
    assert error.mean() < 0.002
    assert np.quantile(error, 0.99) < 0.01


@pytest.mark.parametrize("z", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("angle", [-0.1, 0.0, 0.5, 1.45])
@pytest.mark.parametrize("v", [0.0, 2.5])
def test_tails_are_finite_and_fall(v: float, angle: float, z: float) -> None:
    network = pl.load_network("race_3")
    theta, d = {"v": v, "a": 3.0, "z": z, "theta": angle}, np.geomspace(1e-4, 60, 400)
    density = Reflected().log_density(NUMPY, d, theta, network.lan)
    survivor = Reflected().log_survivor(NUMPY, d, theta, network.choice)
    assert np.isfinite(density).all()
    assert np.isfinite(survivor).all()
    assert (survivor <= 0).all()
    # What a network is off by may let it rise a little where it hardly moves.
    assert np.diff(survivor).max() < 1e-3
    assert (np.diff(survivor)[survivor[1:] < -1] < 0).all()


def race_of_trials(model: str, n: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    rng, spec = np.random.default_rng(5), pl.get_model(model)
    theta = {p.name: rng.uniform(*np.array(p.bounds) * 0.9 + 0.05, n) for p in spec.parameters}
    trials = pl.simulate(model, theta, seed=6)
    return trials["rt"].to_numpy(), trials["response"].to_numpy(float), theta


@pytest.mark.table  # the network composed of several; test_ops has others by default
def test_pytensor_and_jax_say_what_numpy_says() -> None:
    rt, response, theta = race_of_trials("race_no_bias_angle_4", 40)
    network = pl.load_network("race_no_bias_angle_4")
    xs = {name: pt.dvector(name) for name in theta}
    given = [pt.constant(rt), pt.constant(response), None, *xs.values()]
    value = log_likelihood(network.spec, network.lan, network.choice, given)
    slopes = pytensor.grad(value.sum(), list(xs.values()))
    found = pytensor.function(list(xs.values()), [value, *slopes], mode=AS_WRITTEN)(*theta.values())
    # NumPy's networks compute in float32.
    np.testing.assert_allclose(found[0], network.logpdf(rt, response, **theta), rtol=0, atol=3e-5)
    with jax.enable_x64(True):
        likelihood = Likelihood(network.spec, as_network(network.lan), as_network(network.choice))
        gradient = jax.grad(lambda theta: likelihood.log_density(jax.numpy, rt, response, theta).sum())(theta)
    for name, slope in zip(theta, found[1:], strict=True):
        np.testing.assert_allclose(slope, gradient[name], rtol=1e-4, atol=2e-3, err_msg=name)


# Python itself evaluates the graph as it is written: fused, it has more operands than that mode takes.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning")
@pytest.mark.parametrize("model", ["race_3", "race_no_bias_angle_4"])
def test_backends_agree(model: str) -> None:
    rt, response, theta = race_of_trials(model, 40)
    xs = {name: pt.dvector(name) for name in theta}
    network = pl.load_network(model)
    given = [pt.constant(rt), pt.constant(response), None, *xs.values()]
    value = log_likelihood(network.spec, network.lan, network.choice, given)
    outputs = [value, *pytensor.grad(value.sum(), list(xs.values()))]
    expected = pytensor.function(list(xs.values()), outputs, mode=AS_WRITTEN)(*theta.values())
    values = {xs[name]: x for name, x in theta.items()}
    assert_backends_agree(outputs, values, expected=expected, modes=("numba", "c", "jax"), rtol=1e-7, atol=1e-7)


def test_any_number_of_accumulators() -> None:
    """A race of two, of the same networks: the probability of both responses is one."""
    three = pl.load_network("race_3")
    kept = tuple(p for p in three.spec.parameters if "2" not in p.name)
    two = replace(three, spec=replace(three.spec, name="race_2", parameters=kept, choices=(0, 1)))
    theta = {"v0": 1.0, "v1": 0.5, "a": 1.2, "z0": 0.1, "z1": 0.4, "t": 0.0}
    d = np.geomspace(1e-4, 50, 20_001)
    mass = [np.trapezoid(np.exp(two.logpdf(d, code, **theta)) * d, np.log(d)) for code in (0, 1)]
    assert sum(mass) == pytest.approx(1, abs=1e-3)
    share = (pl.simulate(two.spec, theta, n=20_000, seed=1)["response"] == 0).mean()
    assert share == pytest.approx(mass[0], abs=4 * np.sqrt(0.25 / 20_000))


def test_both_networks_are_needed() -> None:
    network = pl.load_network("race_3")
    with pytest.raises(ValueError, match=r"Expected the two networks of 'race_3'. Found one of them"):
        Likelihood(network.spec, network.lan).log_density(
            NUMPY, 0.8, 1, {p.name: np.array(0.5) for p in network.spec.parameters}
        )


def test_both_networks_travel_as_a_checkpoint(tmp_path: Path) -> None:
    pl.export("race_3", tmp_path / "race", format="orbax")
    assert pl.import_orbax(tmp_path / "race") == pl.load_network("race_3")


@pytest.mark.slow
def test_training_writes_a_version(tmp_path: Path) -> None:
    small = Recipe(hidden=(8,), steps=20, batch=64, pool=2400)
    network = pl.train("race_3", tmp_path, lan_recipe=small, choice_recipe=small, n_measured=320, progress=False)
    assert network.choice is not None
    assert network.lan.sizes == network.choice.sizes == (6, 8, 1)
    assert network.config["accuracy"]["choice"] is None
    assert network.config["outcome"].endswith("response (0, 1, 2): the accumulator that finishes first")
    # Hardly trained, it is the closed forms and no more.
    assert network.config["accuracy"]["lan"]["mean"] < 1
