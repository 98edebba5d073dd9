"""Models whose choices may change places, by a mirror or an exchange: checked, stored, learned from fewer trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytest
from toy_simulators import (
    BOUNDS,
    COIN,
    GAMMA_RACE,
    GIVEN_UP,
    RATES,
    SHAPE,
    TINY,
    gamma_coin,
    gamma_coin_logpdf,
    gamma_race,
    gamma_race_logpdf,
)

import pymc_lan as pl
from pymc_lan.models.simulator.claims import check_symmetry
from pymc_lan.models.simulator.lognormal import LogNormalView
from pymc_lan.models.simulator.symmetry import Exchange, Mirror
from pymc_lan.networks.network import Network
from pymc_lan.registry.load import load_folder
from pymc_lan.training.simulated.density import empty_baseline

COIN_MIRRORED = replace(COIN, symmetry=Mirror(("p",)))
RECIPE = replace(TINY, chunks=8, sets=256, trials=128, rounds=1)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def network(registry: Path) -> Network:
    return pl.train(COIN_MIRRORED, registry, simulation_recipe=RECIPE, n_measured=5000, progress=False)


def trials(n: int = 5000) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(9)
    theta = {name: rng.uniform(*bounds, n) for name, bounds in BOUNDS.items()}
    return theta["t"] + rng.gamma(SHAPE, 1 / theta["rate"]), (rng.random(n) < theta["p"]).astype(float), theta


# What a claim says is checked by default; what is learned with it, where a change is.
@pytest.mark.table
def test_what_is_learned_of_one_choice_is_known_of_the_other(network: Network) -> None:
    rt, response, theta = trials()
    mirrored = network.logpdf(rt, 1 - response, **(theta | {"p": 1 - theta["p"]}))
    np.testing.assert_allclose(network.logpdf(rt, response, **theta), mirrored, rtol=1e-12, atol=1e-12)


@pytest.mark.table
def test_it_is_the_density(network: Network) -> None:
    rt, response, theta = trials()
    error = network.logpdf(rt, response, **theta) - gamma_coin_logpdf(rt, response, **theta)
    # About 100 weights and a baseline of 100, from 262,144 trials: statistics alone leave 0.03 nats in the mean square.
    assert np.sqrt(np.mean(error**2)) < 0.1


@pytest.mark.table
def test_networks_have_less_to_learn_than_without(network: Network) -> None:
    assert network.lan.sizes[0] == LogNormalView(COIN).n_inputs - 1
    assert 2 * len(network.spec.baseline.outer) == len(empty_baseline(COIN)["outer"])


@pytest.mark.table
def test_it_is_stored_and_compiled_as_it_is(network: Network, registry: Path) -> None:
    alone = load_folder(registry / "coin" / "1.0")
    assert alone.spec.symmetry == Mirror(("p",))
    rt, response, theta = trials(50)
    expected = network.logpdf(rt, response, **theta)
    np.testing.assert_array_equal(alone.logpdf(rt, response, **theta), expected)
    logp = pm.logp(pl.LANDist.dist(alone, *theta.values()), np.column_stack([rt, response])).eval()
    np.testing.assert_allclose(logp, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(Exception, match=r"mirror \['p'\] of 'coin'.*give the spec that the network was trained with"):
        load_folder(registry / "coin" / "1.0", COIN)


def test_a_mirror_is_checked() -> None:
    check_symmetry(COIN_MIRRORED)
    for wrong in (("rate",), ("rate", "p")):
        with pytest.raises(ValueError, match=r"Expected the same trials when rate.*choices change places.*leave out"):
            check_symmetry(replace(COIN, symmetry=Mirror(wrong)))

    # A constant bias of a twentieth of the largest drift: no single set shows it, all of them do.
    def biased(theta: Any, rng: np.random.Generator) -> Any:
        v, t = theta.T
        p = 1 / (1 + np.exp(-1.2 * (v + 0.05)))
        return t + rng.gamma(SHAPE, 0.1, len(v)), np.where(rng.random(len(v)) < p, 1, -1)

    bounds = {"v": (-1.0, 1.0), "t": (0.1, 0.5)}
    with pytest.raises(ValueError, match="leave out mirror"):
        check_symmetry(pl.simulator_spec("biased", biased, bounds, mirror=["v"]))
    # Trials without a response are on no side.
    undecided = replace(GIVEN_UP, choices=(0, 1), symmetry=Mirror(("rate",)))
    with pytest.raises(ValueError, match="leave out mirror"):
        check_symmetry(undecided)


@pytest.fixture(scope="module")
def race(registry: Path) -> Network:
    recipe = replace(RECIPE, hidden=(16,))
    return pl.train(GAMMA_RACE, registry, simulation_recipe=recipe, n_measured=5000, progress=False)


def race_trials(n: int = 5000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(9)
    theta = rng.uniform(2.0, 20.0, (n, 3))
    return *gamma_race(theta, rng), theta


def named(theta: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(RATES, theta.T, strict=True))


@pytest.mark.table
def test_choices_that_are_exchangeable_have_one_density(race: Network) -> None:
    rt, response, theta = race_trials()
    expected = race.logpdf(rt, response, **named(theta))
    moved = race.logpdf(rt, (response + 1) % 3, **named(np.roll(theta, 1, axis=1)))
    np.testing.assert_allclose(moved, expected, rtol=1e-12, atol=1e-12)
    assert np.sqrt(np.mean((expected - gamma_race_logpdf(rt, response, theta)) ** 2)) < 0.1


@pytest.mark.table
def test_an_exchange_is_stored_and_compiled(race: Network, registry: Path) -> None:
    assert race.lan.sizes[0] == LogNormalView(replace(GAMMA_RACE, symmetry=None)).n_inputs - 2
    assert len(race.spec.baseline.outer) == 3
    alone = load_folder(registry / "gamma_race" / "1.0")
    assert alone.spec.symmetry == Exchange((RATES,))
    rt, response, theta = race_trials(50)
    expected = race.logpdf(rt, response, **named(theta))
    np.testing.assert_array_equal(alone.logpdf(rt, response, **named(theta)), expected)
    logp = pm.logp(pl.LANDist.dist(alone, *theta.T), np.column_stack([rt, response])).eval()
    np.testing.assert_allclose(logp, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(Exception, match=r"exchange \[\['r0', 'r1', 'r2'\]\] of 'gamma_race'.*give the spec that"):
        load_folder(registry / "gamma_race" / "1.0", replace(GAMMA_RACE, symmetry=None))


def test_an_exchange_is_checked() -> None:
    check_symmetry(GAMMA_RACE)

    # What the second clock has ahead of the others, in 0.2 s or so, is seen in all sets together.
    def unfair(theta: Any, rng: np.random.Generator) -> Any:
        clocks = rng.gamma(SHAPE, 1 / theta) - np.array([0.0, 0.005, 0.0])
        return 0.2 + clocks.min(axis=1), clocks.argmin(axis=1)

    with pytest.raises(ValueError, match=r"when each of r0, r1, r2 is moved on by one.*leave out exchange"):
        check_symmetry(
            pl.simulator_spec("unfair", unfair, dict.fromkeys(RATES, (2.0, 20.0)), choices=[0, 1, 2], exchange=[RATES])
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"exchange": [("r0", "r1", "q")]}, "Unknown parameter 'q'"),
        ({"exchange": RATES}, "Expected groups of names of parameters"),
        ({"exchange": [("r0", "r1")]}, "one parameter for each choice, all with the same bounds.*leave out exchange"),
        ({"exchange": [("r0", "r1", "other")]}, r"other \(0.0, 1.0\)"),
        ({"exchange": [RATES, RATES]}, "each in one group"),
    ],
)
def test_mistakes_of_groups_are_explained(options: dict[str, Any], words: str) -> None:
    bounds = dict.fromkeys(RATES, (2.0, 20.0)) | {"other": (0.0, 1.0)}
    with pytest.raises(ValueError, match=words):
        pl.simulator_spec("mine", gamma_race, bounds, choices=[0, 1, 2], **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mirror": ["q"]}, "Unknown parameter 'q'"),
        ({"mirror": ["t"], "shift": "t"}, "Unknown parameter 't'"),
        ({"mirror": ["p"], "choices": [0, 1, 2]}, "Expected two choices that can change places"),
        ({"mirror": "p"}, "Expected names of parameters for mirror"),
        ({"mirror": ["p"], "times": False}, "neither shift, mirror, exchange nor omissions, without times"),
    ],
)
def test_mistakes_are_explained(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pl.simulator_spec("mine", gamma_coin, BOUNDS, **({"choices": [0, 1]} | options))
