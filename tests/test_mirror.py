"""Models of two choices that are their own mirror image: checked, stored, and learned from half as many trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytest
from toy_simulators import BOUNDS, COIN, GIVEN_UP, SHAPE, TINY, gamma_coin, gamma_coin_logpdf

import pymc_lan as pl
from pymc_lan.network import Network
from pymc_lan.registry import load_folder
from pymc_lan.simulated import SimulatedTransform
from pymc_lan.simulating import check_mirror
from pymc_lan.training.density import empty_baseline

COIN_MIRRORED = replace(COIN, mirror=("p",))
RECIPE = replace(TINY, chunks=8, sets=256, trials=128, rounds=1)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def network(registry: Path) -> Network:
    return pl.train(COIN_MIRRORED, registry, simulation_recipe=RECIPE, n_measured=50_000, progress=False)


def trials(n: int = 5000) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(9)
    theta = {name: rng.uniform(*bounds, n) for name, bounds in BOUNDS.items()}
    return theta["t"] + rng.gamma(SHAPE, 1 / theta["rate"]), (rng.random(n) < theta["p"]).astype(float), theta


def test_what_is_learned_of_one_choice_is_known_of_the_other(network: Network) -> None:
    rt, response, theta = trials()
    mirrored = network.logpdf(rt, 1 - response, **(theta | {"p": 1 - theta["p"]}))
    np.testing.assert_allclose(network.logpdf(rt, response, **theta), mirrored, rtol=1e-12, atol=1e-12)


def test_it_is_the_density(network: Network) -> None:
    rt, response, theta = trials()
    error = network.logpdf(rt, response, **theta) - gamma_coin_logpdf(rt, response, **theta)
    # About 100 weights and a baseline of 100, from 262,144 trials: statistics alone leave 0.03 nats in the mean square.
    assert np.sqrt(np.mean(error**2)) < 0.1


def test_networks_have_less_to_learn_than_without(network: Network) -> None:
    assert network.lan.sizes[0] == SimulatedTransform(COIN).n_inputs - 1
    assert 2 * len(network.spec.baseline.outer) == len(empty_baseline(COIN)["outer"])


def test_it_is_stored_and_compiled_as_it_is(network: Network, registry: Path) -> None:
    alone = load_folder(registry / "coin" / "1.0")
    assert alone.spec.mirror == ("p",)
    rt, response, theta = trials(50)
    expected = network.logpdf(rt, response, **theta)
    np.testing.assert_array_equal(alone.logpdf(rt, response, **theta), expected)
    logp = pm.logp(pl.LANDist.dist(alone, *theta.values()), np.column_stack([rt, response])).eval()
    np.testing.assert_allclose(logp, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(Exception, match=r"mirror \('p',\) of 'coin'.*give the spec that the network was trained with"):
        load_folder(registry / "coin" / "1.0", COIN)


def test_a_mirror_is_checked() -> None:
    check_mirror(COIN_MIRRORED)
    for wrong in (("rate",), ("rate", "p")):
        with pytest.raises(ValueError, match=r"Expected the same trials when rate.*choices change places.*leave out"):
            check_mirror(replace(COIN, mirror=wrong))

    # A constant bias of a twentieth of the largest drift: no single set shows it, all of them do.
    def biased(theta: Any, rng: np.random.Generator) -> Any:
        v, t = theta.T
        p = 1 / (1 + np.exp(-1.2 * (v + 0.05)))
        return t + rng.gamma(SHAPE, 0.1, len(v)), np.where(rng.random(len(v)) < p, 1, -1)

    bounds = {"v": (-1.0, 1.0), "t": (0.1, 0.5)}
    with pytest.raises(ValueError, match="leave out mirror"):
        check_mirror(pl.simulator_spec("biased", biased, bounds, mirror=["v"]))
    # Trials without a response are on no side.
    undecided = replace(GIVEN_UP, choices=(0, 1), mirror=("rate",))
    with pytest.raises(ValueError, match="leave out mirror"):
        check_mirror(undecided)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mirror": ["q"]}, "Unknown parameter 'q'"),
        ({"mirror": ["t"], "shift": "t"}, "Unknown parameter 't'"),
        ({"mirror": ["p"], "choices": [0, 1, 2]}, "Expected two choices that can change places"),
        ({"mirror": "p"}, "Expected names of parameters for mirror"),
        ({"mirror": ["p"], "times": False}, "neither shift, mirror nor omissions, without times"),
    ],
)
def test_mistakes_are_explained(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pl.simulator_spec("mine", gamma_coin, BOUNDS, **({"choices": [0, 1]} | options))
