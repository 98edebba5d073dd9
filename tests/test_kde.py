"""Kernel labels against a known density and choice shares, and networks that are trained on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import CLOCK
from scipy.stats import invgauss, kstest, norm
from toy_simulators import BOUNDS, COIN, GIVEN_UP, THREE, TINY, gamma_coin_logpdf

import pymc_lan as pl
from pymc_lan.networks.network import Network
from pymc_lan.training.recipes import SimulationRecipe
from pymc_lan.training.simulated import kde
from pymc_lan.training.simulated.density import HIGHEST, label_loss, log_density
from pymc_lan.training.simulated.histograms import Histograms
from pymc_lan.training.simulated.kde import FARTHEST, FEW, POINTS, Labelled, bandwidth, label_trials
from pymc_lan.training.simulated.loop import Fitted, Progress, _check_loss, fit_from_simulations
from pymc_lan.training.simulated.offline import Offline
from pymc_lan.training.simulated.online import Online

SMALL = SimulationRecipe(
    hidden=(16, 16),
    chunks=6,
    sets=512,
    trials=256,
    passes=6,
    batch=16,
    held_out=128,
    held_out_trials=512,
    estimator="kde",
)
TINY_KDE = replace(TINY, estimator="kde")
THETA = np.array([[8.0, 0.7, 0.3]])


def source(spec: pl.ModelSpec = GIVEN_UP) -> Online:
    return Online(spec, TINY.sets, TINY.trials, seed=3, estimator="kde")


def rule(x: np.ndarray, n: int | None = None) -> float:
    """Silverman's rule (1986, eq. 3.31), written a second time."""
    spread = min(np.std(x), np.subtract(*np.percentile(x, [75, 25])) / 1.34)
    return float(0.9 * spread * (n or len(x)) ** -0.2)


# Labels


WALD = {"mu": 0.5, "scale": 1.0}


def log_wald(x: np.ndarray) -> np.ndarray:
    """Log density of the logarithm of an inverse Gaussian time, in closed form."""
    return invgauss.logpdf(np.exp(x), WALD["mu"] / WALD["scale"], scale=WALD["scale"]) + x


def wald_labels(n: int, p: float, seed: int) -> tuple[Labelled, np.ndarray, np.ndarray]:
    """Labels of one parameter set, with log decision times and responses of its trials."""
    generator = np.random.default_rng(seed)
    d = generator.wald(WALD["mu"], WALD["scale"], (1, n))
    response = (generator.random((1, n)) < p).astype(float)
    return label_trials(COIN, THETA, 0.3 + d, response, generator), np.log(d[0]), response[0]


def test_labels_are_the_density_smoothed_and_as_noisy_as_theory_says() -> None:
    """What Gauss-Hermite quadrature of the true density predicts: bias by the kernel, and noise by the trials."""
    n, p, seeds = 50_000, 0.3, range(4)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    scores, biases = [], []
    for seed in seeds:
        found, x, response = wald_labels(n, p, seed)
        for c in (0, 1):
            mine = x[response == c]
            h, share = rule(mine), (1 - p, p)[c]
            here = (found.choice[0] == c) & (np.abs(found.log_d[0] - mine.mean()) < 3 * mine.std())
            at, label = found.log_d[0][here].astype(float), found.label[0][here] - np.log(share)
            mean = np.exp(log_wald(at[:, None] + h * nodes)) @ weights
            square = np.exp(log_wald(at[:, None] + h * nodes / np.sqrt(2))) @ weights / (2 * h * np.sqrt(np.pi))
            # Of the kernel estimate, and of the share of the choice.
            variance = (square / mean**2 - 1) / len(mine) + (1 - share) / (share * n)
            dense = len(mine) * h * mean > 100
            assert dense.sum() > 10
            scores.extend(((label - np.log(mean)) / np.sqrt(variance))[dense])
            # h^2 / 2 (z^2 - 1) in units of the standard deviation, for |z| up to 3, if the density were normal.
            biases.extend(((np.log(mean) - log_wald(at)) / (h**2 / 2 * 8 / np.var(mine)))[dense])
    # Points of a set share their trials, so that few of them are independent: a bound for each, none for their mean.
    assert np.abs(scores).max() < 4.5
    assert np.std(scores) > 0.3
    assert np.abs(biases).max() < 1


def test_the_mass_of_each_choice_is_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = np.linspace(-9.0, 6.0, 4000)
    monkeypatch.setattr(kde, "POINTS", (len(grid), len(grid), 0))
    points = (np.tile(grid, 2), np.repeat([0, 1], len(grid)))
    monkeypatch.setattr(kde, "_points", lambda *_: points)
    # The tails whole.
    monkeypatch.setattr(kde, "FARTHEST", 30.0)
    generator = np.random.default_rng(5)
    rt = 0.3 + generator.gamma(3.0, 1 / 8, (2, 1000))
    response = (generator.random((2, 1000)) < 0.05).astype(float)
    # Trials without a response, and decisions that are no decisions, are missing from the mass.
    rt[0, :100], rt[1, :50] = np.inf, 0.3 + 1e-6
    found = label_trials(COIN, np.repeat(THETA, 2, axis=0), rt, response, generator)
    mass = np.exp(found.label.astype(float)).reshape(2, 2, -1).sum(axis=-1) * (grid[1] - grid[0])
    decided = rt > 0.3 + 1e-4
    decided &= np.isfinite(rt)
    share = np.stack([(decided & (response == code)).mean(axis=1) for code in (0, 1)], axis=1)
    np.testing.assert_allclose(mass, share, rtol=1e-5)
    np.testing.assert_allclose(found.moments[..., 0], share, rtol=1e-6)
    assert found.omitted.tolist() == pytest.approx([0.1, 0.0])


def test_points_come_from_the_kernels_from_all_times_and_from_before_the_trials() -> None:
    sets, n = 400, 200
    generator = np.random.default_rng(6)
    d = generator.gamma(3.0, 1 / 8, (sets, n))
    response = (generator.random((sets, n)) < 0.7).astype(float)
    found = label_trials(COIN, np.repeat(THETA, sets, axis=0), 0.3 + d, response, generator)
    near, anywhen, before = np.split(found.log_d.astype(float), np.cumsum(POINTS)[:-1], axis=1)
    assert (near.shape[1], anywhen.shape[1], before.shape[1]) == (80, 10, 10)
    # A kernel about a trial that is drawn at random has the trials' mean, and their variance and its own.
    x = np.log(d)
    widths = np.array([[rule(x[i][response[i] == c]) for c in (0, 1)] for i in range(sets)])
    chosen = np.take_along_axis(widths, response.astype(int), axis=1)
    spread = np.sqrt(x.var(axis=1, keepdims=True) + (chosen**2).mean(axis=1, keepdims=True))
    scores = (near - x.mean(axis=1, keepdims=True)) / spread
    # A gamma variable's logarithm has a kurtosis below 4: the variance of 32,000 squares is below 3 / 32,000.
    assert scores.mean() == pytest.approx(0, abs=4 / np.sqrt(scores.size))
    assert (scores**2).mean() == pytest.approx(1, abs=4 * np.sqrt(3 / scores.size))
    share = found.choice[:, : POINTS[0]].mean()
    assert share == pytest.approx(response.mean(), abs=4 * np.sqrt(0.21 / scores.size))
    assert kstest(np.exp(anywhen).ravel(), "uniform", (0, 20)).pvalue > 1e-3
    first = x.min(axis=1, keepdims=True)
    places = (before - np.log(1e-4)) / (first - np.log(1e-4))
    assert kstest(places.ravel(), "uniform").pvalue > 1e-3
    others = found.choice[:, POINTS[0] :].mean()
    assert others == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / (20 * sets)))
    # Nothing leaks before t: far before the trials there are but bounds.
    assert found.at_most[:, -POINTS[2] :][before < first - 4].all()
    # What is drawn is nearly always within three widths of a trial.
    assert found.at_most[:, : POINTS[0]].mean() < 2 * norm.sf(3)


def lowest(n: int, width: float) -> float:
    """What a single one of n trials gives at a distance of three widths."""
    return float(norm.logpdf(3, scale=1) - np.log(width * n))


def test_labels_are_bounds_where_the_trials_tell_nothing() -> None:
    """Far from all trials, and everywhere for a choice that was never made."""
    n, generator = 500, np.random.default_rng(7)
    d = generator.gamma(3.0, 1 / 8, (2, n))
    response = np.zeros((2, n))
    response[1, : FEW - 1] = 1.0
    found = label_trials(COIN, np.repeat(THETA, 2, axis=0), 0.3 + d, response, generator)
    assert FARTHEST == 3
    for i, choice, mine in [(0, 0, np.log(d[0])), (1, 0, np.log(d[1, FEW - 1 :])), (1, 1, np.log(d[1, : FEW - 1]))]:
        here = found.choice[i] == choice
        at, label, bound = (x[i][here] for x in (found.log_d.astype(float), found.label, found.at_most))
        # Kernels of a few trials are as wide as those of all would be for so few.
        h = rule(mine if len(mine) >= FEW else np.log(d[i]), len(mine))
        with np.errstate(divide="ignore"):
            estimate = np.log(norm.pdf(at[:, None], mine, h).sum(axis=1) / n)
        assert 0 < bound.sum() < len(at)
        np.testing.assert_array_equal(bound, estimate <= lowest(n, h))
        np.testing.assert_allclose(label, np.maximum(estimate, lowest(n, h)), rtol=1e-4)
    never = found.choice[0] == 1
    assert never.any()
    assert found.at_most[0][never].all()
    np.testing.assert_allclose(found.label[0][never], lowest(n, rule(np.log(d[0]), 1)), rtol=1e-5)


def test_sets_without_a_response_and_equal_trials_do_no_harm() -> None:
    generator = np.random.default_rng(8)
    rt = np.stack([np.full(20, np.inf), np.full(20, 0.8)])
    found = label_trials(COIN, np.repeat(THETA, 2, axis=0), rt, np.ones((2, 20)), generator)
    assert found.at_most[0].all()
    assert found.at_most[1][found.choice[1] == 0].all()
    assert {*found.choice[0]} == {*found.choice[1]} == {0, 1}
    assert np.isfinite(found.log_d).all()
    assert np.isfinite(found.label).all()
    assert bandwidth(np.zeros(20), 20) == pytest.approx(0.9 * 0.01 * 20**-0.2)


def test_a_trial_far_out_does_not_widen_the_kernels() -> None:
    x = np.append(np.linspace(-1, 1, 99), 100.0)
    assert bandwidth(x, 100) == pytest.approx(0.9 * 1.0 / 1.34 * 100**-0.2, rel=0.02)


# Learning


def test_the_loss_is_that_of_huber_and_lower_than_a_bound_costs_nothing() -> None:
    batch, spec = jax.tree.map(jnp.asarray, source().chunk(0)), replace(GIVEN_UP, baseline=CLOCK)

    def network(offset: jax.Array) -> Any:
        return lambda inputs: jnp.zeros(inputs.shape[:-1]) + offset

    codes = jnp.asarray(GIVEN_UP.choices)[batch.choice]
    base = log_density(spec, network(jnp.zeros(())), batch.theta, batch.log_d, codes)
    assert float(base.max()) < HIGHEST - 3
    at_most = jnp.arange(base.size).reshape(base.shape) % 4 == 0
    labelled = batch._replace(label=base, at_most=at_most)
    for offset, cost in ((0.0, 0.0), (0.5, 0.125), (-0.5, 0.125), (3.0, 2.5), (-3.0, 2.5)):
        share = 1.0 if offset > 0 else 0.75
        loss = label_loss(spec, network(jnp.asarray(offset)), labelled)
        np.testing.assert_allclose(loss, share * cost, atol=1e-4)
    for offset, slope in ((0.5, 0.5), (-0.5, -0.375), (3.0, 1.0), (-3.0, -0.75)):
        gradient = jax.grad(lambda c: label_loss(spec, network(c), labelled).mean())(jnp.asarray(offset))
        assert float(gradient) == pytest.approx(slope, abs=1e-4)


@pytest.fixture(scope="module")
def coin(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return pl.train(COIN, tmp_path_factory.mktemp("kde"), simulation_recipe=SMALL, n_measured=5000, progress=False)


@pytest.mark.table  # by default one is learned from likelihoods, in test_from_simulations
def test_a_density_is_learned_from_kernel_labels(coin: Network) -> None:
    generator = np.random.default_rng(9)
    theta = {name: generator.uniform(*bounds, 20_000) for name, bounds in BOUNDS.items()}
    df = pl.simulate(COIN, theta, seed=10)
    rt, response = df["rt"].to_numpy(), df["response"].to_numpy()
    truth = gamma_coin_logpdf(rt, response, **theta)
    error = coin.logpdf(rt, response, **theta) - truth
    z = (np.log(rt - theta["t"]) - np.log(3 / theta["rate"])) / 0.63
    # h = 0.9 x 0.63 x 128^-0.2 = 0.21: a bias of h^2 / 2 (z^2 - 1) / 0.63^2 = 0.06 (z^2 - 1), that of the logarithm of
    # a noisy estimate, -0.14 / (128 h f), about -0.01, and the network's own error, as with maximum likelihood.
    middle, tail = np.abs(z) < 0.3, z > 1.6
    assert np.sqrt(np.mean(error[np.abs(z) < 1.6] ** 2)) < np.hypot(0.07, 0.1)
    # That the bias is there shows what was learned: too little in the middle, too much in the tail.
    assert error[middle].mean() == pytest.approx(-0.06, abs=0.05)
    assert error[tail].mean() > 0.06
    assert coin.config["training"]["recipe"]["estimator"] == "kde"
    assert coin.config["labels"].startswith("kernel estimates")


def test_chunks_have_labels_and_what_is_held_out_has_none(tmp_path: Path) -> None:
    pl.simulate_to(COIN, tmp_path, sets=60, trials=30)
    for opened in (source(COIN), Offline(COIN, tmp_path, 20, 5, 3, "kde")):
        with opened:
            assert isinstance(opened.chunk(1), Labelled)
            assert isinstance(opened.held_out(5, 30), Histograms)
            for x, y in zip(opened.chunk(1), opened.chunk(1), strict=True):
                assert np.array_equal(x, y, equal_nan=True)


@pytest.mark.slow  # three trainings; runs of the other estimator are stopped in test_resuming
def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """As one does that learns from likelihoods: see `test_from_simulations`."""
    undisturbed = fit_from_simulations(GIVEN_UP, TINY_KDE, source(), seed=3, progress=False)

    def run(**kwargs: Any) -> Fitted:
        return fit_from_simulations(
            GIVEN_UP, TINY_KDE, source(), seed=3, checkpoints=tmp_path, progress=False, **kwargs
        )

    assert len(run(stop_after=2).history) == 2
    again = run()
    assert again.choice is not None
    for name in ("lan", "choice", "best"):
        assert getattr(again, name) == getattr(undisturbed, name)
    assert again.spec.baseline == undisturbed.spec.baseline
    assert np.array_equal(again.history, undisturbed.history)


def test_other_estimators_are_refused() -> None:
    with pytest.raises(ValueError, match=r"estimator.*'likelyhood'.*likelihood"):
        SimulationRecipe(estimator="likelyhood")
    with pytest.raises(ValueError, match=r"Expected the estimator 'likelihood' for 'three'.*Found 'kde'"):
        pl.train(THREE, "nowhere", simulation_recipe=replace(TINY_KDE, rounds=1), progress=False)


@pytest.mark.parametrize("estimator", ["likelihood", "kde"])
@pytest.mark.parametrize("now", [Progress(0.9, np.inf, 0.1), Progress(6774.0, 0.9, 0.1), Progress(0.9, 6774.0, 0.1)])
def test_a_hopeless_loss_in_training_or_held_out_ends_the_run(now: Progress, estimator: str) -> None:
    recipe = SimulationRecipe(estimator=estimator)
    _check_loss(Progress(0.9, 0.9, 0.1), recipe, 0)
    with pytest.raises(FloatingPointError, match="Expected a loss below 1000 nats"):
        _check_loss(now, recipe, 0)
