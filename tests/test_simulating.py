"""Models known by a simulator: their spec, what their function may return, and their trials on nodes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import gamma as gamma_distribution
from scipy.stats import kstest, norm
from toy_simulators import BOUNDS, COIN, GIVEN_UP, SHAPE, SLOW_COIN, gamma_coin, one_trial

import pymc_lan as pl
from pymc_lan.models.parameters import Simulator
from pymc_lan.models.simulator.calls import run_simulator
from pymc_lan.models.simulator.claims import check_shift
from pymc_lan.models.simulator.run import draw_sets, draw_trials_of_sets
from pymc_lan.training.simulated.histograms import NODES, reduce_trials
from pymc_lan.training.simulated.online import Online

THETA = np.tile([8.0, 0.6, 0.3], (20_000, 1))


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


WRONG_SPECS: dict[str, tuple[dict[str, Any], str]] = {
    "bounds": (
        {"parameters": {"v": (1.0, 1.0)}},
        r"Expected bounds of v as finite \(low, high\)\. Found 1\.0 and 1\.0",
    ),
    "a model of this release": ({"name": "ddm"}, r"that no model of this release has\. Found 'ddm'\."),
    "names": ({"context": {"t": (0.0, 1.0)}}, r"Expected each name once\. Found rate, p, t, t\."),
    "shift": ({"shift": "tt"}, r"Unknown parameter 'tt'.*Did you mean 't'\?"),
    "library": ({"library": "torch"}, r"Unknown library 'torch'\. Known libraries: numpy, jax"),
    "choices": ({"choices": [1, 1]}, r"Expected whole numbers as choices, each once\. Found \(1, 1\)"),
}


@pytest.mark.parametrize(("change", "message"), WRONG_SPECS.values(), ids=WRONG_SPECS)
def test_a_spec_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"name": "coin", "function": gamma_coin, "parameters": BOUNDS}
    with pytest.raises(ValueError, match=message):
        pl.simulator_spec(**(given | change))


def spoiled(spoil: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda theta, generator: spoil(*gamma_coin(theta, generator))


def put(x: Any, value: float) -> Any:
    x = np.array(x, float)
    x[3] = value
    return x


WRONG_TRIALS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "no pair": (lambda rt, response: rt, r"Expected a pair \(rt, response\) of 10 numbers each.*return two arrays"),
    "short": (lambda rt, response: (rt[1:], response), r"of shape \(10,\).*Found shapes \(9,\) and \(10,\)"),
    "NaN": (lambda rt, response: (put(rt, np.nan), response), r"another rt .* in 1 of 10 rows: row 3 \(rt = missing"),
    "early": (lambda rt, response: (put(rt, 0.3), response), r"rt above t, which is said.*row 3 \(rt = 0\.3"),
    "code": (lambda rt, response: (rt, put(response, 2)), r"Expected the responses 0, 1\..*response = 2\.0"),
    "none": (lambda rt, response: (put(rt, np.inf), response), r"Expected a response in every trial.*omissions=True"),
}


@pytest.mark.parametrize(("spoil", "message"), WRONG_TRIALS.values(), ids=WRONG_TRIALS)
def test_trials_that_cannot_be_are_refused(spoil: Callable[[Any, Any], Any], message: str) -> None:
    spec = replace(COIN, simulator=Simulator(spoiled(spoil)))
    with pytest.raises(ValueError, match=message):
        run_simulator(spec, THETA[:10], rng())


def jax_coin(theta: Any, key: Any) -> Any:
    import jax

    rate, p, t = theta.T
    one, other = jax.random.split(key)
    return t + jax.random.gamma(one, SHAPE, t.shape) / rate, 1 * (jax.random.uniform(other, t.shape) < p)


KINDS = {
    "NumPy": COIN,
    "one trial": SLOW_COIN,
    "JAX": replace(COIN, simulator=Simulator(jax_coin, library="jax")),
    "JAX, one trial": replace(COIN, simulator=Simulator(jax_coin, vectorised=False, library="jax")),
}


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_every_kind_of_function_draws_the_same_law(spec: pl.ModelSpec) -> None:
    rt, response = run_simulator(spec, THETA, rng())
    assert kstest(rt - 0.3, gamma_distribution(SHAPE, scale=1 / 8).cdf).pvalue > 1e-3
    assert abs(response.mean() - 0.6) < 4 * np.sqrt(0.24 / len(THETA))
    again, _ = run_simulator(spec, THETA, rng())
    assert np.array_equal(rt, again)


def test_a_shift_that_is_none_is_found_out() -> None:
    check_shift(COIN)

    def slowed(theta: Any, generator: Any) -> Any:
        rt, response = gamma_coin(theta, generator)
        return rt + 0.1 * theta[:, 2], response

    with pytest.raises(ValueError, match=r"Expected the same decisions.*t is.*pure shift.*leave out shift='t'"):
        check_shift(replace(COIN, simulator=Simulator(slowed)))


def test_randomness_from_elsewhere_is_not_taken_for_a_shift_that_is_none() -> None:
    elsewhere = rng()
    spec = replace(COIN, simulator=Simulator(lambda theta, _: gamma_coin(theta, elsewhere)))
    with pytest.raises(ValueError, match=r"the same trials.*two calls.*all randomness from the second argument"):
        check_shift(spec)


def test_simulate_takes_a_spec_and_leaves_rt_empty_without_a_response() -> None:
    df = pl.simulate(GIVEN_UP, {"rate": 5.0, "limit": 1.0}, n=4000, seed=2)
    assert abs(df["rt"].isna().mean() - 0.5) < 4 * np.sqrt(0.25 / 4000)
    assert (df["response"] == np.where(df["rt"].isna(), 0, 1)).all()


def test_processes_draw_what_one_would() -> None:
    theta = draw_sets(SLOW_COIN, rng(), 50)
    alone = draw_trials_of_sets(SLOW_COIN, theta, 100, [3])
    with Online(SLOW_COIN, 50, 100, seed=3, workers=2) as source:
        assert source._pool is not None
        together = draw_trials_of_sets(SLOW_COIN, theta, 100, [3], source._pool)
    for x, y in zip(alone, together, strict=True):
        assert np.array_equal(x, y)


def test_functions_that_processes_cannot_import_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(theta: Any, rng: Any) -> tuple[float, int]:
        return one_trial(theta, rng)

    spec = replace(SLOW_COIN, simulator=replace(SLOW_COIN.simulator, function=hidden))
    with pytest.raises(ValueError, match=r"other processes can import.*'coin'.*hidden.*move it to a file"):
        Online(spec, 2, 10, seed=3, workers=2).__enter__()
    with Online(spec, 2, 10, seed=3, workers=1) as source:
        assert np.isfinite(source.chunk(0).theta).all()
    notebook = ModuleType("__main__")
    typed = FunctionType(one_trial.__code__, {"__name__": "__main__"}, "one_trial")
    notebook.one_trial = typed  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    with pytest.raises(ValueError, match=r"in a notebook or at a prompt.*move it to a file"):
        Online(replace(spec, simulator=Simulator(typed, vectorised=False)), 2, 10, seed=3, workers=2).__enter__()


def test_a_jax_function_of_one_trial_starts_no_processes() -> None:
    mapped = replace(SLOW_COIN, simulator=Simulator(one_trial, vectorised=False, library="jax"))
    with Online(mapped, 2, 10, seed=3) as source:
        assert source._pool is None


def test_chunks_follow_from_their_number_and_the_seed() -> None:
    source = Online(COIN, 20, 30, seed=5)
    for x, y in zip(source.chunk(1), Online(COIN, 20, 30, seed=5).chunk(1), strict=True):
        assert np.array_equal(x, y)
    theta = [source.chunk(0).theta, source.chunk(1).theta, source.held_out(20, 30).theta]
    assert len(np.unique(np.concatenate(theta), axis=0)) == 60


def test_a_focus_draws_half_of_the_sets_near_it_and_within_the_bounds() -> None:
    focus = np.array([[19.9, 0.5, 0.3]])
    theta = draw_sets(COIN, rng(), 4000, focus)
    low, high = np.array([p.bounds for p in COIN.parameters]).T
    assert np.all((theta >= low) & (theta <= high))
    near = np.all(np.abs(theta - focus) < 0.2 * (high - low), axis=1).mean()
    # About the half of them that do not fall beyond the upper bound of the rate, and 0.2 * 0.4 * 0.4 of the others.
    assert 0.2 < near < 0.4


def test_nodes_hold_the_mean_of_the_density_under_a_triangle() -> None:
    """Against an integral on a fine grid, of a log-normal decision time."""
    n, sd = 400_000, 0.4
    generator = rng()
    d = np.exp(sd * generator.standard_normal((1, n)))
    found = reduce_trials(COIN, np.array([[8.0, 0.6, 0.3]]), 0.3 + d, np.ones((1, n)), generator)
    step, nodes = found.step[0], found.start[0] + found.step[0] * np.arange(NODES)
    fine = np.linspace(-1, 1, 2001)
    triangle = (1 - np.abs(fine)) * (fine[1] - fine[0])
    expected = step * (triangle * norm.pdf(nodes[:, None] + step * fine, scale=sd)).sum(axis=1)
    weights = found.weights[0, COIN.choices.index(1)]
    # Each is a mean of n numbers between 0 and 1, so its standard error is below that of a share.
    assert np.abs(weights - expected).max() < 5 * np.sqrt(expected.max() / n)
    assert found.weights[0, COIN.choices.index(0)].max() == 0
    assert abs(found.weights.sum() - 1) < 1e-4
    assert found.omitted[0] == 0
    share, total, squares = found.moments[0, 1]
    assert (share, total) == (1, pytest.approx(np.log(d).mean(), abs=1e-4))
    assert squares == pytest.approx(np.square(np.log(d)).mean(), abs=1e-4)


def test_trials_without_a_response_and_immediate_ones_are_left_out() -> None:
    rt = np.array([[np.inf, 0.2 + 1e-6, 0.7, 0.9]])
    spec = replace(GIVEN_UP, shift="t", parameters=(*GIVEN_UP.parameters, pl.Parameter("t", (0.1, 0.5), "s", "")))
    found = reduce_trials(spec, np.array([[5.0, 1.0, 0.2]]), rt, np.ones((1, 4)), rng())
    assert found.weights.sum() == pytest.approx(0.5, abs=1e-6)
    assert found.omitted[0] == 0.25
