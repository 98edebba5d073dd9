"""Races of accumulators against 150 digits, simulations of their definitions, and the laws of a density."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN, assert_backends_agree
from scipy.integrate import cumulative_trapezoid
from scipy.stats import chi2, gamma, invgauss, norm

import pymc_lan as pl
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.race.lba import LBA_SD
from pymc_lan.networks.flax import as_network
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.ops.likelihood import network_graph

Theta = Mapping[str, float]
DIGITS = 150


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


# The oracle: the published formulas, as they stand, in 150 digits. Each gives (f, S) of one accumulator.


def mp_lba(d: Any, A: Any, b: Any, v: Any) -> tuple[Any, Any]:
    s = mp.mpf(LBA_SD)
    g, h = (b - A - d * v) / (d * s), (b - d * v) / (d * s)
    density = (v * (mp.ncdf(h) - mp.ncdf(g)) + s * (mp.npdf(g) - mp.npdf(h))) / A
    survivor = d * s / A * (h * mp.ncdf(h) + mp.npdf(h) - g * mp.ncdf(g) - mp.npdf(g))
    return density, survivor


def mp_diffusion(d: Any, A: Any, b: Any, v: Any) -> tuple[Any, Any]:
    root = mp.sqrt(d)
    g, h = (b - A - d * v) / root, (b - d * v) / root
    density = (v * (mp.ncdf(h) - mp.ncdf(g)) + (mp.npdf(g) - mp.npdf(h)) / root) / A

    def integral(x: Any) -> Any:
        z = (x - v * d) / root
        image = mp.exp(2 * v * x) * mp.ncdf(-(x + v * d) / root) + mp.ncdf(z)
        return root * (z * mp.ncdf(z) + mp.npdf(z)) - image / (2 * v)

    return density, (integral(b) - integral(b - A)) / A


def mp_gamma(d: Any, r: Any, k: Any) -> tuple[Any, Any]:
    density = r * mp.exp((k - 1) * mp.log(r * d) - r * d) / mp.gamma(k)
    return density, mp.gammainc(k, r * d) / mp.gamma(k)


def mp_race(model: str, rt: Any, response: float, theta: Mapping[str, Any]) -> Any:
    spec = pl.get_model(model)
    d, place, n = rt - theta["t"], spec.choices.index(int(response)), len(spec.choices)
    if model == "poisson_race":
        each = [mp_gamma(d, theta[f"r{i}"], theta[f"k{i}"]) for i in (1, 2)]
    else:
        single = mp_lba if model.startswith("lba") else mp_diffusion
        each = [single(d, theta["A"], theta["b"], theta[f"v{i}"]) for i in range(n)]
    total = mp.fsum(mp.log(f if i == place else s) for i, (f, s) in enumerate(each))
    if model.startswith("lba"):
        total -= mp.log(1 - mp.fprod(mp.ncdf(-theta[f"v{i}"] / mp.mpf(LBA_SD)) for i in range(n)))
    return total


NAMES = {model: pl.get_model(model).names for model in ("lba2", "lba3", "lba4", "rdm3", "poisson_race")}
# rt, response, then the parameters in order: ordinary trials, early and late ones, no spread and much, drifts that are
# negative, next to 0 and strong. Those at an end of the domain, where a gradient is that of neither side, are in lba2.
CASES: dict[str, list[tuple[float, ...]]] = {
    "lba2": [(0.9, 0, 0.3, 0.5, 0.6, 0.4, 0.1), (0.9, 1, 0.3, 0.5, 0.6, 0.4, 0.1), (1.5, 1, 0.4, 0.4, -0.2, -0.3, 0.0)],
    "lba3": [
        (0.8, 0, 0.3, 0.5, 0.6, 0.4, 0.5, 0.1), (0.8, 1, 0.3, 0.5, 0.6, 0.4, 0.5, 0.1),
        (0.8, 2, 0.3, 0.5, 0.6, 0.4, 0.5, 0.1), (0.45, 0, 0.2, 0.5, 0.9, 0.4, 0.5, 0.1),
        (5.0, 1, 0.3, 0.5, 0.3, 0.2, 0.1, 0.1), (20.0, 2, 0.3, 0.9, 0.1, -0.1, 0.05, 0.2),
        (0.8, 0, 1e-9, 0.5, 0.6, 0.4, 0.5, 0.1), (2.0, 1, 0.5, 0.501, 0.3, 0.2, 0.1, 0.1),
        (1.5, 2, 0.4, 0.6, -0.2, -0.3, -0.25, 0.05), (1.2, 0, 0.02, 0.6, 0.55, 0.5, 0.45, 0.1),
        (0.101, 1, 0.6, 0.601, 0.3, 0.2, 0.1, 0.05), (3.0, 0, 0.3, 0.5, 1.0, 0.9, 0.8, 0.1),
    ],
    "lba4": [(1.0, 3, 0.3, 0.5, 0.4, 0.3, 0.3, 0.35, 0.1), (1.0, 1, 0.3, 0.5, 0.4, 0.3, 0.3, 0.35, 0.1)],
    "rdm3": [
        (0.9, 0, 0.5, 1.5, 1.0, 2.0, 0.5, 0.2), (0.9, 1, 0.5, 1.5, 1.0, 2.0, 0.5, 0.2),
        (0.9, 2, 0.5, 1.5, 1.0, 2.0, 0.5, 0.2), (0.26, 1, 0.8, 1.2, 1.0, 2.0, 0.5, 0.2),
        (6.0, 0, 0.5, 1.5, 2.5, 2.0, 1.5, 0.2), (20.0, 2, 1.0, 3.0, 0.1, 0.05, 0.2, 0.3),
        (0.9, 1, 1e-9, 1.5, 1.0, 2.0, 0.5, 0.2), (0.7, 0, 0.8, 0.801, 1.0, 2.0, 0.5, 0.2),
        (0.21, 1, 1.0, 1.001, 1.0, 2.0, 0.5, 0.2), (1.1, 2, 0.05, 2.0, 1.0, 0.01, 1.5, 0.2),
    ],
    "poisson_race": [
        (0.6, -1, 5.0, 4.0, 2.0, 2.5, 0.2), (0.6, 1, 5.0, 4.0, 2.0, 2.5, 0.2), (0.21, 1, 5.0, 4.0, 1.0, 1.0, 0.2),
        (3.0, -1, 20.0, 15.0, 20.0, 3.5, 0.2), (1.2, 1, 20.0, 20.0, 19.7, 20.0, 0.2),
        (8.0, 1, 15.0, 12.0, 1.5, 6.0, 0.2), (0.5, -1, 0.01, 0.02, 1.0, 12.0, 0.2),
    ],
}  # fmt: skip
EVERY = pytest.mark.parametrize("model", CASES)
KINDS = pytest.mark.parametrize("model", ["lba3", "rdm3", "poisson_race"])
LEARNED = ("race_3", "race_no_bias_angle_4")
ALL_KINDS = pytest.mark.parametrize("model", ["lba3", "rdm3", "poisson_race", *LEARNED])


def columns(model: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    rt, response, *values = np.array(CASES[model]).T
    return rt, response, dict(zip(NAMES[model], values, strict=True))


def log_density(xp: Any, model: str, rt: Any, response: Any, theta: Mapping[str, Any]) -> Any:
    return Likelihood(pl.get_model(model), *networks(xp, model)).log_density(xp, rt, response, theta)


def networks(xp: Any, model: str) -> tuple[Any, ...]:
    """The networks of a race that has them, as a namespace runs them."""
    if model not in LEARNED:
        return ()
    network = pl.load_network(model)
    run = {jnp: as_network, pt: lambda mlp: partial(network_graph, mlp)}.get(xp, lambda mlp: mlp)
    return run(network.lan), run(network.choice)


@cache
def oracle(model: str) -> np.ndarray:
    """Log densities of the cases and their derivatives by rt and parameters, (1 + arguments, cases)."""
    with mp.workdps(DIGITS):
        rows = []
        for case in CASES[model]:
            rt, response, *values = map(mp.mpf, case)
            point = [rt, *values]

            def at(i: int, step: Any, point: list[Any] = point, response: Any = response) -> Any:
                moved = [x + step * (j == i) for j, x in enumerate(point)]
                return mp_race(model, moved[0], response, dict(zip(NAMES[model], moved[1:], strict=True)))

            step = mp.mpf(10) ** -20
            slopes = [(at(i, step) - at(i, -step)) / (2 * step) for i in range(len(point))]
            rows.append([float(x) for x in (at(0, 0), *slopes)])
    return np.array(rows).T


@EVERY
def test_log_densities_are_those_of_the_published_formulas(model: str) -> None:
    rt, response, theta = columns(model)
    found = log_density(NUMPY, model, rt, response, theta)
    # What a closed clamp adds: nothing inside the domain.
    np.testing.assert_allclose(found, oracle(model)[0], rtol=1e-10, atol=1e-10)


@KINDS
def test_gradients_are_those_of_the_published_formulas(model: str) -> None:
    rt, response, theta = columns(model)

    def total(rt: Any, *values: Any) -> Any:
        return log_density(jnp, model, rt, response, dict(zip(NAMES[model], values, strict=True))).sum()

    args = (rt, *theta.values())
    value, slopes = jax.jit(jax.value_and_grad(total, argnums=tuple(range(len(args)))))(*args)
    expected = oracle(model)
    assert float(value) == pytest.approx(expected[0].sum(), rel=1e-10)
    # A drift next to 0 is divided by in the survivor of a diffusion, twice in its derivative.
    np.testing.assert_allclose(np.stack(slopes), expected[1:], rtol=1e-7, atol=1e-7)


@KINDS
def test_pytensor_says_the_same(model: str) -> None:
    rt, response, theta = columns(model)
    xs = {name: pt.dvector(name) for name in ("rt", *theta)}
    value = log_density(pt, model, xs["rt"], pt.constant(response), {name: xs[name] for name in theta})
    slopes = pytensor.grad(value.sum(), list(xs.values()))
    found = pytensor.function(list(xs.values()), [value, *slopes], mode=AS_WRITTEN)(rt, *theta.values())
    np.testing.assert_allclose(np.stack(found), oracle(model), rtol=1e-7, atol=1e-7)


@pytest.mark.slow
@EVERY
def test_backends_agree(model: str) -> None:
    rt, response, theta = columns(model)
    data = np.column_stack([rt, response])
    xs = {name: pt.dvector(name) for name in theta}
    value = pm.logp(pl.LANDist.dist(model, **xs), data)
    outputs = [value, *pytensor.grad(value.sum(), list(xs.values()))]
    expected = [oracle(model)[0], *oracle(model)[2:]]
    given = {xs[name]: x for name, x in theta.items()}
    assert_backends_agree(outputs, given, expected=expected, rtol=1e-7, atol=1e-7)


# Typical parameters, with the time by which all is decided.
POINTS: dict[str, list[tuple[Theta, float]]] = {
    "lba2": [({"A": 0.3, "b": 0.5, "v0": 0.6, "v1": 0.4, "t": 0.1}, 1e5)],
    "lba3": [
        ({"A": 0.3, "b": 0.5, "v0": 0.6, "v1": 0.4, "v2": 0.2, "t": 0.1}, 1e5),
        ({"A": 0.6, "b": 0.6, "v0": -0.1, "v1": 0.05, "v2": -0.3, "t": 0.3}, 1e7),
    ],
    "lba4": [({"A": 0.0, "b": 0.5, "v0": 0.3, "v1": 0.3, "v2": 0.35, "v3": 0.25, "t": 0.2}, 1e5)],
    "rdm3": [
        ({"A": 0.5, "b": 1.5, "v0": 1.0, "v1": 2.0, "v2": 0.5, "t": 0.2}, 1e3),
        ({"A": 0.0, "b": 0.6, "v0": 0.2, "v1": 0.4, "v2": 0.1, "t": 0.2}, 1e4),
    ],
    "poisson_race": [
        ({"r1": 5.0, "r2": 4.0, "k1": 2.0, "k2": 3.0, "t": 0.2}, 1e2),
        ({"r1": 15.0, "r2": 2.0, "k1": 12.0, "k2": 1.0, "t": 0.2}, 1e2),
    ],
    "race_3": [
        ({"v0": 1.0, "v1": 0.5, "v2": 0.0, "a": 1.5, "z0": 0.3, "z1": 0.0, "z2": 0.6, "t": 0.2}, 1e2),
        ({"v0": 2.5, "v1": 2.4, "v2": 2.3, "a": 2.9, "z0": 0.1, "z1": 0.2, "z2": 0.3, "t": 0.2}, 1e2),
    ],
    "race_no_bias_angle_4": [
        ({"v0": 2.0, "v1": 0.5, "v2": 0.0, "v3": 1.0, "a": 2.0, "z": 0.2, "t": 0.2, "theta": 0.9}, 1.5),
        ({"v0": 0.1, "v1": 0.5, "v2": 0.0, "v3": 0.2, "a": 1.0, "z": 0.0, "t": 0.2, "theta": -0.1}, 1e2),
    ],
}
SETS = pytest.mark.parametrize(
    ("model", "theta", "last"), [(name, *point) for name, points in POINTS.items() for point in points]
)
N_GRID = 40_001


def distribution(model: str, theta: Theta, last: float) -> tuple[np.ndarray, np.ndarray]:
    """Decision times, and by response the probability up to each of them, (choices, times)."""
    spec = pl.get_model(model)
    log_d = np.linspace(np.log(1e-6), np.log(last), N_GRID)
    d = np.exp(log_d)
    found = []
    for code in spec.choices:
        density = np.exp(log_density(NUMPY, model, theta["t"] + d, np.full(d.shape, code), theta))
        found.append(cumulative_trapezoid(density * d, log_d, initial=0.0))
    return d, np.stack(found)


@SETS
def test_probabilities_of_all_responses_sum_to_one(model: str, theta: Theta, last: float) -> None:
    _, shares = distribution(model, theta, last)
    # The trapezoid's error; what comes after `last` is less, but for drifts next to 0. A network may be off by what the
    # project aims at.
    assert shares[:, -1].sum() == pytest.approx(1, abs=2e-3 if model in LEARNED else 2e-5)


# Simulators of the definitions: random numbers of SciPy, and nothing of the package.


def simulate_lba(rng: np.random.Generator, theta: Theta, n: int, accumulators: int) -> np.ndarray:
    v = np.array([theta[f"v{i}"] for i in range(accumulators)])
    drift = norm(v, LBA_SD).rvs((2 * n, accumulators), random_state=rng)
    drift = drift[(drift > 0).any(axis=1)][:n]
    start = rng.uniform(0, theta["A"], drift.shape)
    return np.divide(theta["b"] - start, drift, out=np.full(drift.shape, np.inf), where=drift > 0)


def simulate_diffusions(rng: np.random.Generator, theta: Theta, n: int, accumulators: int) -> np.ndarray:
    distance = theta["b"] - rng.uniform(0, theta["A"], (n, accumulators))
    v = np.array([theta[f"v{i}"] for i in range(accumulators)])
    return invgauss(mu=1 / (v * distance), scale=distance**2).rvs(random_state=rng)


def simulate_counters(rng: np.random.Generator, theta: Theta, n: int, accumulators: int) -> np.ndarray:
    k, r = ([theta[f"{name}{i}"] for i in (1, 2)] for name in "kr")
    return gamma(np.array(k), scale=1 / np.array(r)).rvs((n, 2), random_state=rng)


SIMULATORS: dict[str, Callable[..., np.ndarray]] = {
    "lba2": simulate_lba, "lba3": simulate_lba, "lba4": simulate_lba,
    "rdm3": simulate_diffusions, "poisson_race": simulate_counters,
}  # fmt: skip
N_TRIALS = 100_000


def p_value(model: str, theta: Theta, last: float, d: np.ndarray, response: np.ndarray) -> float:
    """Pearson's test of trials against the density, in 20 bins of each response."""
    times, shares = distribution(model, theta, last)
    statistic, bins = 0.0, 0
    for code, share in zip(pl.get_model(model).choices, shares, strict=True):
        edges = np.interp(np.linspace(0, share[-1], 21)[1:-1], share, times)
        observed = np.bincount(np.searchsorted(edges, d[response == code]), minlength=20)
        expected = len(d) * np.diff(np.interp(edges, times, share), prepend=0.0, append=share[-1])
        enough = expected > 5
        statistic += ((observed - expected)[enough] ** 2 / expected[enough]).sum()
        bins += enough.sum()
    return float(chi2.sf(statistic, bins - 1))


@pytest.mark.parametrize(
    ("model", "theta", "last", "by"),
    [
        (name, *point, by)
        for name, points in POINTS.items()
        for point in points
        for by in ("definition", "package")
        # Those that are learned have no sampler elsewhere: tests/test_reflected.py has one in small steps.
        if by == "package" or name in SIMULATORS
    ],
)
def test_trials_follow_the_density(model: str, theta: Theta, last: float, by: str) -> None:
    choices = np.array(pl.get_model(model).choices)
    if by == "package":
        trials = pl.simulate(model, theta, n=N_TRIALS, seed=3)
        d, response = trials["rt"].to_numpy() - theta["t"], trials["response"].to_numpy()
    else:
        times = SIMULATORS[model](np.random.default_rng(4), theta, N_TRIALS, len(choices))
        d, response = times.min(axis=1), choices[times.argmin(axis=1)]
    assert len(d) == N_TRIALS
    assert p_value(model, theta, last, d, response) > 1e-3


def test_trials_of_drifts_far_below_zero() -> None:
    """Where hardly any trial has a positive drift, the draws are still those of the trials that have."""
    theta = {"A": 0.3, "b": 0.5, "v0": -1.0, "v1": -1.05, "t": 0.0}
    trials = pl.simulate("lba2", theta, n=20_000, seed=1)
    assert np.isfinite(trials["rt"]).all()
    # By the tail's ratio: P(V > 0) is that of 10 against 10.5 standard deviations.
    odds = np.exp(norm.logsf(10.5) - norm.logsf(10.0))
    assert (trials["response"] == 1).mean() == pytest.approx(odds / (1 + odds), abs=4 * 0.0006)


# Outside the range.


@cache
def with_slopes(model: str) -> Any:
    names = pl.get_model(model).names

    def one(rt: Any, response: Any, *values: Any) -> Any:
        return log_density(jnp, model, rt, response, dict(zip(names, values, strict=True)))

    argnums = (0, *range(2, 2 + len(names)))
    return jax.jit(jax.vmap(jax.value_and_grad(one, argnums=argnums)))


@ALL_KINDS
def test_values_and_gradients_are_finite_wherever_a_sampler_goes(model: str) -> None:
    rng = np.random.default_rng(1)
    n, spec = 4096, pl.get_model(model)
    rt = np.exp(rng.uniform(np.log(1e-3), np.log(60), n))
    values = [rng.choice([-30.0, -1.0, -1e-9, 0.0, 1e-9, 0.01, 0.3, 1.0, 3.0, 40.0, 1e3], n) for _ in spec.names]
    value, slopes = with_slopes(model)(rt, rng.choice(np.array(spec.choices, float), n), *values)
    assert np.isfinite(value).all()
    for name, slope in zip(("rt", *spec.names), slopes, strict=True):
        assert np.isfinite(slope).all(), name


@ALL_KINDS
def test_a_response_before_t_is_led_back(model: str) -> None:
    theta = dict(POINTS[model][0][0])
    d = np.concatenate([-np.geomspace(2.0, 1e-9, 30), np.linspace(0, 2e-3, 200)])
    n, names = d.size, pl.get_model(model).names
    values = [np.full(n, theta[name]) if name != "t" else 1.0 - d for name in names]
    value, slopes = with_slopes(model)(np.full(n, 1.0), np.full(n, 1.0), *values)
    assert (np.asarray(slopes[1 + names.index("t")])[d < 1e-4] < 0).all()
    assert (np.diff(value[d < 1e-4]) > 0).all()
    # No jump where the line begins.
    step = np.abs(np.diff(value[d >= 0])) / np.diff(d[d >= 0])
    assert step.max() < 1.2 * np.abs(slopes[0])[d >= 0].max()


def test_a_threshold_below_the_starting_points_is_led_back() -> None:
    names = NAMES["lba3"]
    b = np.array([0.2, 0.1, 0.05, 0.0, -1.0])
    theta = {"A": 0.3, "v0": 0.6, "v1": 0.4, "v2": 0.5, "t": 0.1}
    values = [b if name == "b" else np.full(b.shape, theta[name]) for name in names]
    value, slopes = with_slopes("lba3")(np.full(b.shape, 0.8), np.zeros(b.shape), *values)
    assert (np.diff(value) < 0).all()
    assert (slopes[1 + names.index("b")] > 0).all()
    assert (slopes[1 + names.index("A")] < 0).all()
