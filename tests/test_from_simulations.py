"""Networks trained on simulated trials alone: the loss, what is learned, and use in PyMC."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytest
from scipy.stats import gamma, kstest, norm
from toy_simulators import BOUNDS, COIN, GIVEN_UP, TINY, gamma_coin_logpdf
from typer.testing import CliRunner

import pymc_lan as pl
from pymc_lan.cli import app
from pymc_lan.errors import RegistryError
from pymc_lan.networks.accuracy import simulated as simulations
from pymc_lan.networks.accuracy.classifier import classifier_test
from pymc_lan.networks.network import Network
from pymc_lan.registry.card import accuracy_lines
from pymc_lan.registry.load import load_folder
from pymc_lan.training.recipes import Recipe, SimulationRecipe
from pymc_lan.training.simulated.density import divergence, log_means, poisson_loss
from pymc_lan.training.simulated.histograms import Histograms, reduce_trials
from pymc_lan.training.simulated.loop import _end, _places, fit_from_simulations
from pymc_lan.training.simulated.online import Online
from pymc_lan.training.simulated.teacher import run_name

SMALL = SimulationRecipe(
    hidden=(16, 16), chunks=6, sets=512, trials=256, passes=6, batch=16, held_out=128, held_out_trials=512
)


def source(recipe: SimulationRecipe, spec: pl.ModelSpec = COIN) -> Online:
    return Online(spec, recipe.sets, recipe.trials, seed=3)


def quicker(theta: Any, rng: np.random.Generator) -> Any:
    """The coin's simulator after a correction."""
    rt, response = COIN.simulator.function(theta, rng)
    return theta[:, -1] + (rt - theta[:, -1]) / 2, response


def test_a_corrected_simulator_does_not_go_on_with_the_run_of_the_old_one() -> None:
    corrected = replace(COIN, simulator=replace(COIN.simulator, function=quicker))
    names = [run_name(spec, SMALL, 0) for spec in (COIN, COIN, corrected)]
    assert names[0] == names[1] != names[2]


# The loss


def normal_trials(m: int, n: int) -> Histograms:
    """Log decision times that are standard normal, all of one choice."""
    generator = np.random.default_rng(4)
    d = np.exp(generator.standard_normal((m, n)))
    return reduce_trials(COIN, np.tile([8.0, 0.6, 0.3], (m, 1)), 0.3 + d, np.ones((m, n)), generator)


def log_normal(batch: Histograms, shift: float = 0.0) -> jax.Array:
    """The true log density at the nodes; of the choice that is never made, next to nothing."""
    x = batch.start[:, None] + batch.step[:, None] * np.arange(batch.weights.shape[-1])
    return jnp.stack([jnp.full(x.shape, -40.0), jnp.asarray(norm.logpdf(x, shift))], axis=1)


def test_the_mass_is_right_on_few_nodes_and_means_are_those_of_triangles() -> None:
    batch = normal_trials(20, 4000)
    log_f = log_normal(batch)
    # What lies beyond the grid is less than what a few thousand trials can reach.
    mass = batch.step * np.exp(log_f).sum(axis=(1, 2))
    assert np.abs(mass - 1).max() < 1e-3
    # For a normal of standard deviation 1 the mean under a triangle of half-width h is f (1 + h^2 (x^2 - 1) / 12).
    k = np.argmax(log_f[0, 1])
    found = float(log_means(log_f)[0, 1, k] - log_f[0, 1, k])
    x, h = float(batch.start[0] + batch.step[0] * k), float(batch.step[0])
    assert found == pytest.approx(h**2 * (x**2 - 1) / 12, rel=0.05)


def test_the_loss_is_least_for_the_true_density_and_mass() -> None:
    batch = normal_trials(200, 2000)
    truth = float(poisson_loss(batch, log_normal(batch)).mean())
    for change in (0.1, -0.1):
        # More or less mass costs e^c - 1 - c, a shift half of its square; noise of the means is 1 / sqrt(400,000).
        more = float(poisson_loss(batch, log_normal(batch) + change).mean())
        assert more - truth == pytest.approx(np.expm1(change) - change, abs=5e-4)
        moved = float(poisson_loss(batch, log_normal(batch, change)).mean())
        assert moved - truth == pytest.approx(change**2 / 2, abs=8e-4)


def test_divergence_is_that_of_kullback_and_leibler_and_nothing_for_the_truth() -> None:
    batch = normal_trials(400, 2000)
    right, wrong = (np.asarray(divergence(batch, log_normal(batch, shift))) for shift in (0.0, 0.1))
    assert abs(right.mean()) < 4 * right.std() / 20
    assert wrong.mean() == pytest.approx(0.005, rel=0.15)


# Learning


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def coin(folder: Path) -> Network:
    return pl.train(COIN, folder, simulation_recipe=SMALL, n_measured=100_000, progress=False)


@pytest.fixture(scope="module")
def given_up(folder: Path) -> Network:
    return pl.train(GIVEN_UP, folder, simulation_recipe=replace(SMALL, hidden=(8,)), n_measured=5000, progress=False)


def fresh(n: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    generator = np.random.default_rng(9)
    theta = {name: generator.uniform(*bounds, n) for name, bounds in BOUNDS.items()}
    df = pl.simulate(COIN, theta, seed=10)
    return df["rt"].to_numpy(), df["response"].to_numpy(), theta


def test_a_density_is_learned_from_trials(coin: Network) -> None:
    rt, response, theta = fresh(20_000)
    error = coin.logpdf(rt, response, **theta) - gamma_coin_logpdf(rt, response, **theta)
    # About 800 weights, 786,432 trials: statistics alone leave sqrt(800 / 786,432) = 0.03 nats in the mean square.
    assert np.sqrt(np.mean(error**2)) < 0.1
    measured = coin.config["accuracy"]
    assert measured["simulations"]["median"] < 0.1**2 / 2
    assert measured["mass"]["p50"] < 0.03
    assert coin.config["training"]["simulated_trials"] == SMALL.chunks * SMALL.sets * SMALL.trials


def test_the_log_density_is_finite_and_rises_towards_the_trials_before_the_onset(coin: Network) -> None:
    early = np.linspace(-0.5, 0.3, 50)
    values = coin.logpdf(early, 1, rate=8.0, p=0.6, t=0.3)
    assert np.isfinite(values).all()
    assert np.all(np.diff(values) > 0)


def test_the_probability_of_no_response_is_learned(given_up: Network) -> None:
    limit = np.linspace(0.35, 1.45, 12)
    found = given_up.likelihood.log_go(np, np.inf, {"rate": np.full(12, 10.0), "limit": limit})
    for log_p, p in zip(found, (limit / (1 + limit), 1 / (1 + limit)), strict=True):
        # 3,072 sets of 256 trials: a fit of few weights is good to a few thousandths.
        assert np.abs(np.exp(log_p) - p).max() < 0.03


# Measuring


def slower(theta: Any, rng: np.random.Generator) -> Any:
    """The coin's simulator with decisions that take a seventh longer."""
    rt, response = COIN.simulator.function(theta, rng)
    return theta[:, -1] + 1.15 * (rt - theta[:, -1]), response


def test_a_classifier_tells_a_biased_network_from_its_simulator(coin: Network) -> None:
    """The network of one simulator for that of another is biased on purpose; the trained one is much less so."""
    other = replace(coin.spec, simulator=replace(COIN.simulator, function=slower))
    sizes = {"n": 2000, "n_mass": 20, "seed": 3}
    right, biased = (pl.diagnostics.accuracy(each, **sizes)["c2st"] for each in (coin, replace(coin, spec=other)))
    assert right["n"] == biased["n"] == 20 * 400
    assert right["auc_chance"] == pytest.approx(0.5 + 2.326 * np.sqrt(8001 / 12 / 4000**2), abs=5e-4)
    for name in ("auc", "accuracy"):
        assert biased[name] > biased[f"{name}_chance"]
        assert right[name] < biased[name]


def test_a_classifier_tells_nothing_from_itself() -> None:
    """What chance exceeds in one of a hundred is exceeded more than twice of twenty times in one of a thousand."""
    found = []
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(2, 600, 3))
        x[..., 2] = np.where(x[..., 1] > 1, np.nan, x[..., 2])
        found.append(classifier_test(*x, seed=seed))
    for name in ("auc", "accuracy"):
        assert sum(each[name] > each[f"{name}_chance"] for each in found) <= 2


def test_trials_that_the_classifier_sees_are_drawn_from_the_density() -> None:
    log_d = np.linspace(np.log(1e-4), np.log(1e4), 8000)
    below = [share * gamma.cdf(np.exp(log_d), 3.0, scale=1 / 8) for share in (0.3, 0.5)]
    generator = np.random.default_rng(5)
    drawn, response = simulations._draw(COIN, simulations._Probabilities(log_d, below, 0.2), generator, 20_000)
    np.testing.assert_array_equal(np.isnan(drawn), np.isnan(response))
    for code, share in ((0, 0.3), (1, 0.5)):
        assert abs(np.mean(response == code) - share) < 4 * np.sqrt(share * (1 - share) / 20_000)
        assert kstest(np.exp(drawn[response == code]), gamma(3.0, scale=1 / 8).cdf).pvalue > 1e-3


def test_without_scikit_learn_the_classifier_is_left_out(coin: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulations.classifier, "available", lambda: False)
    measured = pl.diagnostics.accuracy(coin, n=500, n_mass=3)
    assert measured["c2st"] is None
    assert "classifier" not in "\n".join(accuracy_lines(measured))


# Storing and using


def test_a_network_is_used_without_its_simulator_and_not_with_that_of_another(coin: Network, folder: Path) -> None:
    alone = load_folder(folder / "coin" / "1.0")
    assert alone.spec.simulator is None
    rt, response, theta = fresh(100)
    np.testing.assert_array_equal(alone.logpdf(rt, response, **theta), coin.logpdf(rt, response, **theta))
    with pytest.raises(ValueError, match=r"Expected a model whose simulator is known"):
        pl.simulate(alone.spec, {"rate": 8.0, "p": 0.5, "t": 0.3}, n=2)
    with pytest.raises(RegistryError, match=r"parameters rate, p, t.*give the spec that the network was trained with"):
        load_folder(folder / "coin" / "1.0", GIVEN_UP)


@pytest.mark.table  # test_forms has the same of a network of random weights
def test_the_compiled_likelihood_is_that_of_numpy(given_up: Network) -> None:
    df = pl.simulate(GIVEN_UP, {"rate": 8.0, "limit": 1.0}, n=40, seed=1)
    limit = np.linspace(0.4, 1.4, 40)
    with pm.Model() as model:
        rate = pm.Uniform("rate", 2, 20)
        pl.LANDist("obs", given_up, rate, limit, observed=df)
    assert df["rt"].isna().any()
    logp = model.compile_logp(vars=model.observed_RVs, sum=False)({"rate_interval__": np.array(0.0)})[0]
    rt = np.where(df["rt"].isna(), np.inf, df["rt"])
    theta = {"rate": np.full(40, 11.0), "limit": limit}
    expected = given_up.likelihood.log_trial(np, rt, df["response"].to_numpy(), np.inf, theta)
    np.testing.assert_allclose(logp, expected, rtol=1e-5, atol=1e-5)


def test_what_has_no_sense_is_refused(given_up: Network) -> None:
    with pytest.raises(ValueError, match=r"Expected no deadline=.*make it a parameter such as 'limit'"):
        pl.LANDist.dist(given_up, 8.0, 1.0, deadline=1.0)
    renamed = replace(given_up.spec, parameters=(pl.Parameter("v", (2.0, 20.0), "", ""), *GIVEN_UP.parameters[1:]))
    with pytest.raises(ValueError, match=r"known by its simulator.*use LANDist"):
        pl.GoNoGo.dist(replace(given_up, spec=renamed), 8.0, 1.0)
    with pytest.raises(ValueError, match=r"Expected simulation_recipe only"):
        pl.train(COIN, "nowhere", lan_recipe=Recipe())
    with pytest.raises(ValueError, match=r"Expected lan_recipe and choice_recipe only"):
        pl.train("ddm", "nowhere", simulation_recipe=TINY)


SHARED = """
import sys
import jax, numpy as np
from toy_simulators import COIN
from test_from_simulations import FEW_STEPS, source
from pymc_lan.training.simulated.loop import fit_from_simulations

constraint, devices = jax.lax.with_sharding_constraint, []

def counted(batch, sharding):
    devices.append(len(sharding.device_set))
    return constraint(batch, sharding)

jax.lax.with_sharding_constraint = counted
fitted = fit_from_simulations(
    COIN, FEW_STEPS, source(FEW_STEPS), seed=3, progress=False, devices=jax.local_devices()
)
assert set(devices) == {2}, devices
np.save(sys.argv[1], fitted.history)
"""


# Steps amplify what sums in another order have left in the last digit of float32; four show what is wrong.
FEW_STEPS = replace(TINY, chunks=1, passes=1)


@pytest.mark.slow
def test_two_devices_learn_what_one_does(tmp_path: Path) -> None:
    """In a process of its own, because JAX has as many devices as it was told before its first use."""
    done = subprocess.run(
        [sys.executable, "-c", SHARED, str(tmp_path / "shared.npy")],
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    alone = fit_from_simulations(COIN, FEW_STEPS, source(FEW_STEPS), seed=3, progress=False)
    # Losses in training and held out; a half of the batch that is lost shows in the second digit.
    np.testing.assert_allclose(np.load(tmp_path / "shared.npy")[:, :2], alone.history[:, :2], rtol=5e-5)


@pytest.mark.table  # the rule is the next test's
def test_training_ends_when_held_out_sets_get_no_better() -> None:
    fast = replace(TINY, chunks=30, learning_rate=1e-9, patience=2)
    found = fit_from_simulations(COIN, fast, source(fast), seed=3, progress=False)
    # Next to nothing is learned, so that the held-out loss stops falling within float32's rounding.
    assert len(found.history) == found.best + 1 + fast.patience + fast.cool_down
    assert len(found.history) < 30


@pytest.mark.parametrize(("begun", "chunks"), [(-1, 12), (5, 7)])
def test_the_rate_falls_to_zero_wherever_the_end_is(begun: int, chunks: int) -> None:
    recipe, first = replace(TINY, chunks=12, patience=8), max(begun, 0)
    state = {"cooling": np.array(begun)}
    assert _end(recipe, state) == chunks
    places = np.concatenate([np.asarray(_places(recipe, state, k)) for k in range(first, chunks)])
    # From where the rate stood when it began to fall, in even steps to the end of the cosine.
    np.testing.assert_allclose(places[0], first * recipe.chunk_steps)
    np.testing.assert_allclose(np.diff(places), np.diff(places)[0], rtol=1e-5)
    np.testing.assert_allclose(2 * places[-1] - places[-2], recipe.chunks * recipe.chunk_steps)


@pytest.mark.table  # what is hopeless is test_kde's
def test_a_hopeless_loss_stops_the_run(tmp_path: Path) -> None:
    ruined = replace(TINY, learning_rate=1e30)
    with pytest.raises(
        FloatingPointError, match=r"Expected a loss below 1000 nats\. Found .* in chunk 0.*lower learning_rate"
    ):
        fit_from_simulations(COIN, ruined, source(ruined), seed=3, checkpoints=tmp_path, progress=False)
    assert not list(tmp_path.glob("[0-9]*"))


# The command


def test_the_command_measures_against_the_simulator(
    coin: Network, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = str(Path(__file__).parent / "toy_simulators.py")
    arguments = ["evaluate", str(folder / "coin" / "1.0"), "--n", "500", "--n-mass", "3"]
    done = CliRunner().invoke(app, [*arguments, "--simulator", f"{file}:COIN"])
    assert done.exit_code == 0, done.output
    assert "against 500 fresh trials of each of 3 parameter sets" in done.output
    assert "a classifier tells" in done.output
    without = CliRunner().invoke(app, arguments)
    assert "load the network with spec=..., your own" in str(without.exception)


def test_the_command_trains_a_spec_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coin: Network) -> None:
    asked: list[Any] = []

    def train(spec: pl.ModelSpec, out: Path, **kwargs: Any) -> Network:
        asked.append((spec, kwargs["simulation_recipe"].chunks))
        if len(asked) == 1:
            (kwargs["checkpoints"] / "coin-simulated-1").mkdir(parents=True)
            raise KeyboardInterrupt
        return coin

    monkeypatch.setattr("pymc_lan.training.train.train", train)
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = str(Path(__file__).parent / "toy_simulators.py")
    arguments = ["train", f"{file}:COIN", "--out", str(tmp_path), "--chunks", "5"]
    stopped = CliRunner().invoke(app, arguments)
    assert stopped.exit_code == 130
    assert "go on with --resume" in stopped.output
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, ValueError)
    assert "go on with --resume, or remove the folder" in str(again.exception)
    done = CliRunner().invoke(app, [*arguments, "--resume"])
    assert done.exit_code == 0, done.output
    assert "divergence from the simulator" in done.output
    assert asked == [(COIN, 5)] * 2
    for wrong, message in (
        (f"{file}:NOTHING", "a ModelSpec called 'NOTHING'"),
        ("no.py:spec", "Expected a Python file"),
    ):
        assert message in str(CliRunner().invoke(app, ["train", wrong]).exception)
