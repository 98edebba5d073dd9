"""Responses alone: what networks of choice probabilities learn, and the laws that their distribution obeys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN, MODES, assert_backends_agree
from scipy.stats import chisquare
from tables import one_of_a_kind
from toy_simulators import ODDITY, THREE, THREE_BOUNDS, TINY, oddity, three_probabilities

import pymc_lan as pl
from pymc_lan.errors import RegistryError
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.parameters import Simulator
from pymc_lan.models.simulator.calls import run_simulator
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.network import Network
from pymc_lan.registry import load as registry
from pymc_lan.registry.card import accuracy_lines
from pymc_lan.registry.load import load_folder
from pymc_lan.training.recipes import RESPONSE_RECIPE
from pymc_lan.training.simulated.loop import fit_from_simulations
from pymc_lan.training.simulated.online import Online
from pymc_lan.training.simulated.probabilities import count_responses, response_divergence

SMALL = replace(RESPONSE_RECIPE, hidden=(16, 16), chunks=12, sets=4096, held_out=1024)


def triad(delta: np.ndarray) -> np.ndarray:
    """P(correct) of the oddity task, of percepts in the plane, by quadrature.

    With u the difference of the two alike, N(0, 2 I), and w the odd one from their mean, N(mu, 1.5 I), which is
    independent, the answer is right if |u| < |w -+ u / 2|: if |w| > k |u|, k = (c + sqrt(c^2 + 3)) / 2 and c = |cos|
    of the angle between them. That angle is uniform, |u|^2 / 4 is exponential, and |w|^2 / 1.5 is a noncentral
    chi-square of two degrees of freedom, whose moment generating function is known; one integral, over the angle, is
    left.
    """
    x, weights = np.polynomial.legendre.leggauss(60)
    c = np.cos(np.pi / 4 * (x + 1))
    s = 1 / (c + np.sqrt(c**2 + 3)) ** 2
    return 1 - (weights / 2 * np.exp(-(delta[:, None] ** 2) * s / (1 + 3 * s)) / (1 + 3 * s)).sum(axis=1)


# Learning


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def three(folder: Path) -> Network:
    return pl.train(THREE, folder, simulation_recipe=SMALL, n_measured=100_000, progress=False)


@pytest.fixture(scope="module")
def odd(folder: Path) -> Network:
    recipe = replace(SMALL, trials=256)
    return pl.train(ODDITY, folder, simulation_recipe=recipe, n_measured=100_000, progress=False)


def log_odds(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def test_the_quadrature_is_right() -> None:
    n, delta = 200_000, np.array([0.0, 1.0, 2.5, 5.0])
    p = triad(delta)
    assert p[0] == pytest.approx(1 / 3, abs=1e-12)
    found = [oddity(np.full((n, 1), d), np.random.default_rng(1)).mean() for d in delta]
    assert np.all(np.abs(found - p) < 4 * np.sqrt(p * (1 - p) / n))


def test_the_oddity_task_is_learned_to_the_second_digit_of_its_log_odds(odd: Network) -> None:
    delta = np.random.default_rng(5).uniform(0, 6, 2000)
    error = np.abs(log_odds(odd.probabilities(delta=delta)[:, 1]) - log_odds(triad(delta)))
    assert error.mean() < 0.02
    assert error.max() < 0.2
    # The card's own figure, against simulations, is that error and chance together.
    measured = odd.config["accuracy"]
    assert measured["log_odds"]["mean"] < 0.02 + 2 * measured["log_odds_chance"]


def test_probabilities_of_three_choices_are_learned(three: Network) -> None:
    rng = np.random.default_rng(6)
    theta = {name: rng.uniform(*bounds, 2000) for name, bounds in THREE_BOUNDS.items()}
    truth = three_probabilities(**theta)
    found = three.probabilities(**theta)
    assert found.shape == (2000, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    kl = (truth * np.log(truth / found)).sum(axis=1)
    # About 370 weights and three million trials: statistics alone leave 370 / (2 * 3e6) = 6e-5 nats.
    assert kl.mean() < 6e-4
    assert three.config["accuracy"]["simulations"]["median"] == pytest.approx(np.median(kl), abs=3e-4)
    lines = "\n".join(accuracy_lines(three.config["accuracy"]))
    assert "over the choices" in lines
    assert "Log odds of each choice" in lines


def test_counts_are_those_of_the_trials_and_divergence_is_unbiased() -> None:
    theta = np.tile([0.5, 2.0], (1000, 1))
    response = run_simulator(THREE, np.repeat(theta, 400, axis=0), np.random.default_rng(2))[1].reshape(1000, 400)
    counts = count_responses(THREE, theta, response)
    truth = three_probabilities(0.5, 2.0)
    np.testing.assert_allclose(counts.share.mean(axis=0), truth, atol=4 * 0.5 / np.sqrt(400_000))
    other = truth * [1.1, 0.95, 1] / (truth @ [1.1, 0.95, 1])
    right, wrong = (np.asarray(response_divergence(counts, np.log(p))) for p in (truth, other))
    assert abs(right.mean()) < 4 * right.std() / np.sqrt(1000)
    # A chi-square is the divergence to second order in differences of a tenth; 4 % are chance.
    assert wrong.mean() == pytest.approx((truth * np.log(truth / other)).sum(), rel=0.2)


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    tiny = replace(TINY, chunks=5, rounds=2)

    def run(**kwargs: Any) -> Any:
        source = Online(THREE, tiny.sets, tiny.trials, seed=3)
        return fit_from_simulations(THREE, tiny, source, seed=3, progress=False, **kwargs)

    whole, half = run(), run(checkpoints=tmp_path, stop_after=3)
    assert half.lan != whole.lan
    again = run(checkpoints=tmp_path)
    assert (again.lan, again.best) == (whole.lan, whole.best)
    assert np.array_equal(again.history, whole.history)


def test_a_version_is_used_without_its_simulator_and_not_with_another(odd: Network, folder: Path) -> None:
    alone = load_folder(folder / "oddity" / "1.0")
    assert alone.spec.simulator is None
    delta = np.linspace(-1, 7, 9)
    np.testing.assert_array_equal(alone.probabilities(delta=delta), odd.probabilities(delta=delta))
    assert odd.probabilities(delta=9.0)[1] == odd.probabilities(delta=6.0)[1]
    timed = pl.simulator_spec("oddity", oddity, {"delta": (0.0, 6.0)}, choices=[0, 1])
    with pytest.raises(RegistryError, match=r"of the kind 'responses'\. Found 'simulated'"):
        load_folder(folder / "oddity" / "1.0", timed)


# The distribution, of networks of random weights: its laws do not depend on what was learned


def random_network(spec: pl.ModelSpec, seed: int) -> Network:
    rng = np.random.default_rng(seed)
    sizes = (len(spec.names), 8, 8, len(spec.choices) - 1)
    shapes = list(pairwise(sizes))
    kernels = tuple(rng.normal(0, 1, shape).astype(np.float32) for shape in shapes)
    return Network(spec, MLP(kernels, tuple(rng.normal(0, 0.5, n).astype(np.float32) for _, n in shapes)))


SIGNED = replace(ODDITY, name="signed", choices=(-1, 1))
NETWORKS = {spec.name: random_network(spec, i) for i, spec in enumerate((ODDITY, SIGNED, THREE))}


@dataclass(frozen=True, eq=False)
class Case:
    """A distribution of five trials."""

    network: str
    theta: dict[str, Any]
    fixed: dict[str, Any] = field(default_factory=dict)

    @property
    def choices(self) -> tuple[int, ...]:
        return NETWORKS[self.network].spec.choices

    def dist(self, theta: dict[str, Any] | None = None, *shape: int) -> Any:
        return pl.ChoiceDist.dist(NETWORKS[self.network], **self.theta | self.fixed | (theta or {}), shape=(*shape, 5))


EACH = np.array([0.3, 1.0, 2.0, 4.0, 5.5])
CASES = {
    "two choices": Case("oddity", {"delta": 1.5}),
    "coded -1 and 1, per trial": Case("signed", {"delta": EACH}),
    "three choices": Case("three", {"x": 0.5, "gain": 2.0}),
    "three choices, per trial": Case("three", {"x": EACH / 3 - 1, "gain": 2.0}),
    "lapses": Case("oddity", {"delta": 1.5, "p_lapse": 0.2}),
    "lapses per trial, three choices": Case("three", {"x": -1.0, "gain": 1.0, "p_lapse": EACH / 6}),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@cache
def oracle(case: Case) -> np.ndarray:
    """Probability of each choice in each trial, by plain NumPy: shape (5, c)."""
    network = NETWORKS[case.network]
    rows = np.column_stack([np.broadcast_to(case.theta[name], 5) for name in network.spec.names])
    low, high = np.array([p.bounds for p in network.spec.parameters]).T
    logarithmic = (low > 0) & (high >= 4 * low)
    ends = np.where(logarithmic, np.log(np.where(logarithmic, low, 1)), low), np.where(logarithmic, np.log(high), high)
    x = np.where(logarithmic, np.log(np.abs(rows)), rows)
    h = 2 * (x - ends[0]) / (ends[1] - ends[0]) - 1
    for kernel, bias in zip(network.lan.kernels[:-1], network.lan.biases[:-1], strict=True):
        h = h @ kernel.astype(float) + bias
        h = (h + np.sqrt(h**2 + 1)) / 2
    logits = np.column_stack([np.zeros(5), h @ network.lan.kernels[-1].astype(float) + network.lan.biases[-1]])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    lapse = np.broadcast_to(case.theta.get("p_lapse", 0.0), 5)[:, None]
    return (1 - lapse) * p + lapse / p.shape[1]


@every_case
def test_probabilities_are_right_and_add_up_to_one(case: Case) -> None:
    values = np.tile(np.array(case.choices)[:, None], 5)
    p = np.exp(pm.logp(case.dist(None, len(case.choices)), values).eval(mode=AS_WRITTEN))
    np.testing.assert_allclose(p.T, oracle(case), rtol=1e-6)
    np.testing.assert_allclose(p.sum(axis=0), 1, rtol=1e-12)
    other = np.full(5, max(case.choices) + 1)
    assert np.all(pm.logp(case.dist(), other).eval(mode=AS_WRITTEN) == -np.inf)


N_DRAWS = 20_000


DRAWN = [(name, "as written") for name in CASES] + [("two choices", "numba"), ("three choices, per trial", "numba")]
DRAWN += [(name, "jax") for name in ("coded -1 and 1, per trial", "three choices")]


@pytest.mark.parametrize(("name", "mode"), DRAWN)
@pytest.mark.filterwarnings("ignore:The RandomType SharedVariables")
def test_draws_follow_the_probabilities(name: str, mode: str) -> None:
    case = CASES[name]
    draws = pm.draw(case.dist(None, N_DRAWS), random_seed=1, mode=MODES.get(mode, AS_WRITTEN))
    assert draws.shape == (N_DRAWS, 5)
    assert draws.dtype == np.int64
    counts = np.array([(draws == code).sum(axis=0) for code in case.choices]).T
    assert counts.sum() == draws.size
    # Ten cases of five trials: one in ten thousand is one in two hundred for all.
    assert chisquare(counts, N_DRAWS * oracle(case), axis=1).pvalue.min() > 1e-4


def graph_of(case: Case) -> tuple[dict[str, Any], Any, np.ndarray]:
    """Inputs, the log probability of five responses, and the responses."""
    inputs = {name: pt.tensor(name, dtype="float64", shape=np.shape(x)) for name, x in case.theta.items()}
    value = np.array(case.choices)[np.arange(5) % len(case.choices)]
    return inputs, pm.logp(case.dist(inputs), value), value


BACKENDS = [*product(("two choices", "lapses per trial, three choices"), ("numba", "c", "jax"))]


@pytest.mark.parametrize("pair", one_of_a_kind(BACKENDS, BACKENDS[-1]), ids=", ".join)
def test_backends_agree_in_value_and_gradient(pair: tuple[str, str]) -> None:
    name, mode = pair
    case = CASES[name]
    inputs, logp, value = graph_of(case)
    point = {inputs[name]: np.asarray(x, np.float64) for name, x in case.theta.items()}
    slopes = pt.grad(logp.sum(), list(inputs.values()))
    expected = np.log(oracle(case)[np.arange(5), np.searchsorted(case.choices, value)])
    function = pytensor.function(list(inputs.values()), [logp, *slopes], mode=AS_WRITTEN)
    found = function(*point.values())
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    assert_backends_agree([logp, *slopes], point, expected=found, modes=[mode], rtol=1e-9, atol=1e-9)


@every_case
def test_gradient_is_that_of_finite_differences(case: Case) -> None:
    inputs, logp, _ = graph_of(case)
    total = pytensor.function(list(inputs.values()), logp.sum(), mode=AS_WRITTEN)
    gradient = pytensor.function(list(inputs.values()), pt.grad(logp.sum(), list(inputs.values())), mode=AS_WRITTEN)
    point = [np.asarray(x, np.float64) for x in case.theta.values()]
    for i, slope in enumerate(gradient(*point)):
        step = 1e-5
        for place in np.ndindex(slope.shape):
            ends = [[x.copy() for x in point] for _ in range(2)]
            ends[0][i][place] -= step
            ends[1][i][place] += step
            # Rounding of 1e-15 over the step, and the step's square times a third derivative of order one.
            assert slope[place] == pytest.approx((total(*ends[1]) - total(*ends[0])) / (2 * step), rel=1e-7, abs=1e-8)


def test_outside_the_bounds_a_penalty_leads_back() -> None:
    delta = pt.dscalar("delta")
    logp = pm.logp(pl.ChoiceDist.dist(NETWORKS["oddity"], delta), 1)
    found = pytensor.function([delta], [logp, pt.grad(logp, delta)], mode=AS_WRITTEN)
    (edge, _), (beyond, slope) = found(6.0), found(6.3)
    # One nat for each two hundredths of the range, squared.
    assert beyond == pytest.approx(edge - (0.3 / (0.02 * 6)) ** 2)
    assert slope < 0
    outside = pl.ChoiceDist.dist(NETWORKS["oddity"], 9.0 + pm.HalfNormal.dist(1e-9), shape=(4000,))
    far = pm.draw(outside, random_seed=1, mode=AS_WRITTEN)
    p = NETWORKS["oddity"].probabilities(delta=6.0)[1]
    assert abs(far.mean() - p) < 4 * np.sqrt(p * (1 - p) / 4000)


# In models


def test_one_evaluation_serves_all_trials_where_parameters_are_scalar() -> None:
    with pm.Model() as model:
        pl.ChoiceDist("obs", NETWORKS["three"], pm.Normal("x"), 2.0, observed=np.arange(3000) % 3)
    assert model["obs"].type.shape == (3000,)
    assert model["obs"].owner.op.dist_params(model["obs"].owner)[0].type.shape == (1, 3)


@pytest.mark.parametrize(
    "sampler", [pytest.param(name, marks=pytest.mark.slow) for name in ("nutpie", "numpyro")] + ["pymc"]
)
def test_samplers_run(sampler: str, odd: Network) -> None:
    df = pl.simulate(ODDITY, {"delta": 3.0}, n=600, seed=4)
    assert df.columns.tolist() == ["trial", "response"]
    with pm.Model(coords={"trial": np.arange(600)}):
        delta = pm.Uniform("delta", 0, 6)
        pl.ChoiceDist("obs", odd, delta, observed=df, dims="trial")
        options: dict[str, Any] = {"chains": 1, "cores": 1, "progressbar": False, "random_seed": 1}
        idata = pm.sample(200, tune=200, nuts_sampler=sampler, compute_convergence_checks=False, **options)
        pm.sample_posterior_predictive(idata, extend_inferencedata=True, progressbar=False, random_seed=1)
        pm.compute_log_likelihood(idata, progressbar=False)
    draws = idata["posterior"]["delta"].values
    # The posterior by quadrature, from the true probabilities and the flat prior.
    grid = np.linspace(1e-3, 6, 2000)
    p, k = triad(grid), int(df["response"].sum())
    weight = np.exp(k * np.log(p / 0.75) + (600 - k) * np.log((1 - p) / 0.25))
    weight /= weight.sum()
    mean = weight @ grid
    sd = np.sqrt(weight @ (grid - mean) ** 2)
    # 200 draws of one chain are worth 30 at least.
    assert abs(draws.mean() - mean) < 4 * sd / np.sqrt(30)
    assert draws.std() == pytest.approx(sd, rel=0.5)
    predicted = idata["posterior_predictive"]["obs"]
    assert predicted.dims == ("chain", "draw", "trial")
    assert predicted.values.mean() == pytest.approx(k / 600, abs=0.05)
    assert idata["log_likelihood"]["obs"].shape == (1, 200, 600)


OBSERVED: dict[str, Callable[[], Any]] = {
    "list": lambda: [1, 0, 1],
    "booleans": lambda: np.array([True, False, True]),
    "floats": lambda: np.array([1.0, 0.0, 1.0]),
    "series": lambda: pd.Series([1, 0, 1]),
    "table": lambda: pd.DataFrame({"rt": [0.5, 0.6, 0.7], "response": [1, 0, 1]}),
    "table with numbers for names": lambda: pd.DataFrame({"response": [1, 0, 1], 0: [0.5, 0.6, 0.7]}),
}


@pytest.mark.parametrize("make", OBSERVED.values(), ids=OBSERVED)
def test_observed_responses_come_in_any_form(make: Callable[[], Any]) -> None:
    with pm.Model() as model:
        pl.ChoiceDist("obs", NETWORKS["oddity"], 1.0, observed=make())
    assert model.rvs_to_values[model["obs"]].eval(mode=AS_WRITTEN).tolist() == [1, 0, 1]


@pytest.mark.parametrize("make", [list, lambda x: pd.DataFrame({"response": x})], ids=["a list", "a table"])
def test_a_mapping_says_what_responses_stand_for(make: Callable[[Any], Any]) -> None:
    with pm.Model() as model:
        data = make(["yes", "no", "yes"])
        pl.ChoiceDist("obs", NETWORKS["oddity"], 1.0, observed=data, response={"yes": 1, "no": 0})
    assert model.rvs_to_values[model["obs"]].eval(mode=AS_WRITTEN).tolist() == [1, 0, 1]


def test_the_model_is_given_in_any_form(odd: Network, folder: Path) -> None:
    version = folder / "oddity" / "1.0"
    pl.register(ODDITY, odd)
    try:
        forms: list[tuple[Any, dict[str, Any]]] = [(odd, {}), (version, {}), (str(version), {}), ("oddity", {})]
        forms += [(ODDITY, {"weights": version}), (ODDITY, {})]
        found = [
            pm.logp(pl.ChoiceDist.dist(source, 2.0, **more), [0, 1]).eval(mode=AS_WRITTEN) for source, more in forms
        ]
        with pm.Model() as model:
            pl.ChoiceDist("obs", ODDITY, delta=2.0, weights=version, observed=[0, 1])
    finally:
        del MODELS["oddity"], registry._SESSION["oddity"]
    expected = np.log(odd.probabilities(delta=2.0))
    np.testing.assert_allclose(found, [expected] * len(forms), rtol=1e-12)
    assert model.compile_logp(mode=AS_WRITTEN)({}) == pytest.approx(expected.sum())


def test_data_may_be_replaced_and_observed_later() -> None:
    with pm.Model() as model:
        data = pm.Data("data", np.array([1, 0, 1]))
        pl.ChoiceDist("obs", NETWORKS["oddity"], pm.Uniform("delta", 0, 6), observed=data)
    logp = model.compile_logp(mode=AS_WRITTEN)
    first = logp(model.initial_point())
    model.set_data("data", np.array([1, 0, 1, 1, 0, 1]))
    prior = model["delta"]
    alone = model.compile_logp(vars=[prior], mode=AS_WRITTEN)(model.initial_point())
    assert logp(model.initial_point()) - alone == pytest.approx(2 * (first - alone))
    with pm.Model() as free:
        pl.ChoiceDist("obs", NETWORKS["oddity"], 2.0, shape=3)
    assert pm.draw(free["obs"], mode=AS_WRITTEN).shape == (3,)
    assert free.initial_point()["obs"].tolist() == [1, 1, 1]
    observed = pm.observe(free, {free["obs"]: np.array([1, 0, 1])})
    expected = np.log(NETWORKS["oddity"].probabilities(delta=2.0)[[1, 0, 1]]).sum()
    assert observed.compile_logp(mode=AS_WRITTEN)({}) == pytest.approx(expected)


def test_results_know_their_network(odd: Network, capsys: pytest.CaptureFixture[str]) -> None:
    with pm.Model():
        pl.ChoiceDist("obs", odd, pm.Uniform("delta", 0, 6), observed=[1, 0])
        idata = pm.sample_prior_predictive(draws=2, random_seed=1, compile_kwargs={"mode": AS_WRITTEN})
    pl.cite(idata)
    assert "network: oddity@1.0" in capsys.readouterr().out


def returns(value: Any) -> pl.ModelSpec:
    return replace(ODDITY, simulator=Simulator(lambda theta, rng: value(len(theta))))


def observed(data: Any, **kwargs: Any) -> Callable[[], Any]:
    def call() -> None:
        with pm.Model():
            pl.ChoiceDist("obs", NETWORKS["oddity"], **({"delta": 1.0} | kwargs), observed=data)

    return call


def spec_with(**kwargs: Any) -> Callable[[], Any]:
    given = {"choices": [0, 1], "times": False} | kwargs
    return lambda: pl.simulator_spec("x", oddity, {"delta": (0.0, 6.0)}, **given)


def drawn(value: Callable[[int], Any]) -> Callable[[], Any]:
    return lambda: run_simulator(returns(value), np.ones((10, 1)), np.random.default_rng(1))


ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "one choice": (spec_with(choices=[1]), r"two choices or more.*Found choices=\(1,\)"),
    "a shift": (spec_with(shift="delta"), r"neither shift, mirror, exchange nor omissions.*shift='delta'"),
    "times after all": (drawn(lambda n: (np.ones(n), np.ones(n))), r"shape \(10,\).*Found shape \(2, 10\).*times=True"),
    "no numbers": (drawn(lambda n: ["yes"] * n), r"Expected 10 numbers from the simulator of 'oddity'"),
    "another code": (drawn(lambda n: np.full(n, 2)), r"the responses 0, 1\..*response = 2\.0"),
    "a missing response": (drawn(lambda n: np.full(n, np.nan)), r"the responses 0, 1\."),
    "unknown code": (
        observed([0, 1, 2]),
        r"codes 0, 1 of 'oddity'\. Found other codes, 2, in 1 of 3 rows: row 2",
    ),
    "an empty cell": (observed([0, None, 1]), r"row 1 \(response = "),
    "text": (observed(["0", "1"]), r"the response codes 0, 1"),
    "rows": (observed(np.ones((3, 2))), r"one code per trial. Found shape \(3, 2\)"),
    "nothing": (observed([]), r"Found shape \(0,\)"),
    "a table without the column": (
        observed(pd.DataFrame({"resp": [1]})),
        r"Expected columns 'response'\. .*did you mean 'resp'",
    ),
    "whether responses are right": (
        observed(pd.DataFrame({"correct_response": [1]})),
        r"no column 'response' among 'correct_response'\. Remedy: .* seems to say whether a response was right",
    ),
    "arrays in cells": (observed(pd.DataFrame({"response": [[0], [1]]})), r"row 0 \(response = \[0\]\)"),
    "unknown words": (observed(["yes", "no"], response={"yes": 1}), r"nothing but 'yes' .* others, 'no', in 1 of 2"),
    "lengths": (observed([0, 1, 1], delta=np.ones(2)), r"delta"),
    "outside the bounds": (observed([0], delta=7.0), r"delta within the network's trained bounds, 0 to 6"),
    "unknown parameter": (observed([0], detla=1.0), r"Did you mean 'delta'"),
    "lapses": (observed([0], p_lapse=1.5), r"p_lapse between 0 and 1"),
    "times": (lambda: pl.ChoiceDist.dist("ddm", 1.0, 1.0, 0.5, 0.3), r"responses alone.*Found 'ddm'.*use LANDist"),
    "in LANDist": (lambda: pl.LANDist.dist(NETWORKS["oddity"], 1.0), r"of response times\. Found 'oddity'.*ChoiceDist"),
    "density": (lambda: NETWORKS["oddity"].logpdf(0.5, 1, delta=1.0), r"of response times\. Found 'oddity'"),
    "probabilities": (lambda: NETWORKS["oddity"].probabilities(), r"Expected the parameters delta\. Found no delta"),
}


@pytest.mark.parametrize(("call", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_are_sentences(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
