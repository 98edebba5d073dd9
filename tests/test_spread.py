"""Parameters that vary across trials: labels by quadrature, and what the networks are added to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid, dblquad
from scipy.stats import kstest
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.models.diffusion import mixture_labels as mixtures
from pymc_lan.models.diffusion.closed_forms import CONSTANT_DRIFT, VARIABLE_DRIFT
from pymc_lan.models.diffusion.closed_view import ONSET_MAX, ONSET_MIN, ClosedView
from pymc_lan.models.diffusion.mixture_labels import TOLERANCE
from pymc_lan.models.diffusion.solution import N_GRID
from pymc_lan.models.model import Model
from pymc_lan.models.proposals import draw_theta
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.wiener import ddm_log_choice, ddm_log_go, ddm_logpdf

NAMES = ("ddm_st", "full_ddm")
N = 16
# The first two windows are so wide next to the decision time that the quadrature says it is not good enough.
CORNERS = (
    {"v": 0.5, "a": 0.3, "z": 0.3, "st": 0.25, "sz": 0.2, "sv": 2.0},
    {"v": 3.0, "a": 0.3, "z": 0.7, "st": 0.25, "sz": 0.001, "sv": 0.001},
    {"v": -3.0, "a": 2.5, "z": 0.3, "st": 0.001, "sz": 0.2, "sv": 2.0},
    {"v": 0.0, "a": 2.5, "z": 0.3, "st": 0.25, "sz": 0.2, "sv": 0.001},
    {"v": 3.0, "a": 1.0, "z": 0.3, "st": 0.001, "sz": 0.001, "sv": 2.0},
    {"v": 3.0, "a": 0.3, "z": 0.3, "st": 0.001, "sz": 0.2, "sv": 2.0},
    {"v": 0.5, "a": 0.38, "z": 0.65, "st": 0.21, "sz": 0.2, "sv": 2.0},
)
POOR = 2
# The estimated error compares two rules at every tenth point: elsewhere the true one can be a few times that.
FACTOR, ROUNDING = 4.0, 1e-8
LIKELY = math.log(1e-5)

WINDOW, WINDOW_WEIGHT = np.polynomial.legendre.leggauss(200)
STARTS, START_WEIGHT = np.polynomial.legendre.leggauss(48)
DEVIATES, DEVIATE_STEP = np.linspace(-10, 10, 241, retstep=True)

both_models = pytest.mark.parametrize("name", NAMES)


def sets(spec: Model, n: int = N, seed: int = 0) -> dict[str, np.ndarray]:
    """Draws over the bounds, the first of them replaced by corners."""
    theta = draw_theta(spec, np.random.default_rng(seed), n)
    for name, x in theta.items():
        x[: len(CORNERS)] = [corner[name] for corner in CORNERS]
    return theta


def row_of(theta: Mapping[str, np.ndarray], i: int) -> dict[str, float]:
    return {name: float(x[i]) for name, x in theta.items()}


def drifts(row: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Drifts and weights of a mean over them: the trapezoidal rule, ten standard deviations to either side."""
    weight = np.exp(-(DEVIATES**2) / 2) * DEVIATE_STEP / math.sqrt(2 * math.pi)
    return row["v"] + row.get("sv", 0.0) * DEVIATES, weight


def expected(row: Mapping[str, float], d: np.ndarray, response: float) -> np.ndarray:
    """Log density by rules in time, start and drift themselves, far finer than needed.

    The density is that of the DDM with no drift, times ``exp(v x - v^2 d / 2)``: a product of matrices, x by start,
    d by time and v by drift.
    """
    low, high = np.maximum(d - row["st"], 0), d + row["st"]
    time = ((low + high)[:, None] + (high - low)[:, None] * WINDOW) / 2
    z = row["z"] + row.get("sz", 0.0) * STARTS
    v, v_weight = drifts(row)
    t = time.ravel()[:, None]
    driftless = np.exp(ddm_logpdf(NUMPY, t, response, 0.0, row["a"], z))
    x = 2 * row["a"] * ((1 - z) if response > 0 else -z)
    by_start = driftless * ((v_weight * np.exp(-(v**2) * t / 2)) @ np.exp(v[:, None] * x))
    by_time = (by_start @ START_WEIGHT / 2).reshape(time.shape) @ WINDOW_WEIGHT
    with np.errstate(divide="ignore"):
        return np.log(by_time * (high - low) / (4 * row["st"]))


def test_the_yardstick_is_what_an_adaptive_rule_finds() -> None:
    """With the DDM's own drift, and no matrices."""
    row, d = {"v": 0.8, "a": 0.7, "z": 0.4, "st": 0.15, "sz": 0.1, "sv": 0.9}, 0.3
    v, v_weight = drifts(row)

    def density(z: float, t: float) -> float:
        return float(np.exp(ddm_logpdf(NUMPY, t, 1.0, v, row["a"], z)) @ v_weight)

    window = (d - row["st"], d + row["st"])
    found, _ = dblquad(density, *window, row["z"] - row["sz"], row["z"] + row["sz"], epsrel=1e-8)
    found /= 4 * row["st"] * row["sz"]
    assert expected(row, np.array([d]), 1.0)[0] == pytest.approx(math.log(found), abs=1e-6)


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Any:
    """No more rows are computed than are looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixtures, "CHUNK", N)
        yield


Mixed = tuple[Model, dict[str, np.ndarray], tuple[np.ndarray, ...]]


@pytest.fixture(scope="module", params=one_of_a_kind(NAMES, "full_ddm"))
def mixed(request: pytest.FixtureRequest) -> Mixed:
    spec = pl.get_model(request.param)
    theta = sets(spec)
    return spec, theta, mixtures.mixture(spec, theta)


def test_mixtures_are_what_a_finer_rule_finds(mixed: Mixed) -> None:
    """To the accuracy they claim, at points of which most are not those that the claim rests on."""
    _, theta, (times, _, *logs, claimed) = mixed
    error, seen, some = np.zeros(N), np.zeros(N), slice(3, None, 13)
    for i, (response, log_f) in itertools.product(range(N), zip((1.0, -1.0), logs, strict=True)):
        exact = expected(row_of(theta, i), times[i, some], response)
        likely = exact > LIKELY
        seen[i] += likely.sum()
        error[i] = max(error[i], np.abs(log_f[i, some] - exact)[likely].max(initial=0.0))
    assert seen.min() > 5
    assert (error < FACTOR * claimed + ROUNDING).all()
    # Nor is the claim empty: it is not much larger either.
    assert (claimed < 30 * error + ROUNDING).all()
    assert (claimed < TOLERANCE).all()
    assert error.max() < 1e-4


def test_densities_of_given_trials_are_what_a_finer_rule_finds(mixed: Mixed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of all sets in any order, more than are done at once; before the density is known there is none."""
    spec, theta, (times, *_) = mixed
    monkeypatch.setattr(mixtures, "TRIALS", 50)
    rng = np.random.default_rng(0)
    which = rng.permutation(np.repeat(np.arange(POOR, N), 16))
    d, response = times[which, rng.integers(100, 700, which.size)], rng.choice([-1.0, 1.0], which.size)
    d[:3] = -theta["st"][which[:3]]
    found = mixtures.mixture_logpdf(spec, {name: x[which] for name, x in theta.items()}, d, response)
    assert np.isnan(found[:3]).all()
    pairs = zip(which[3:], d[3:], response[3:], strict=True)
    exact = np.array([expected(row_of(theta, i), np.array([x]), code)[0] for i, x, code in pairs])
    likely = exact > LIKELY
    assert likely.sum() > 20
    np.testing.assert_allclose(found[3:][likely], exact[likely], atol=1e-4)


def test_mixtures_add_up(mixed: Mixed) -> None:
    _, theta, (times, weight, log_upper, log_lower, _) = mixed
    density = np.exp(log_upper) + np.exp(log_lower)
    total = (density * weight).sum(axis=1)
    np.testing.assert_allclose(total[POOR:], 1, atol=1e-4)
    np.testing.assert_allclose(total[:POOR], 1, atol=5e-4)
    # The weights are those of the times.
    np.testing.assert_allclose(np.gradient(times, axis=1)[:, 1:-1], weight[:, 1:-1], rtol=1e-3)
    assert (times.min(axis=1) > -theta["st"]).all()


SIMULATED = {"v": 0.6, "a": 0.45, "z": 0.4, "st": 0.2, "sz": 0.15, "sv": 1.0}


@both_models
def test_mixtures_agree_with_simulation(name: str) -> None:
    spec, n, t = pl.get_model(name), 40_000, 0.5
    theta = {key: x for key, x in SIMULATED.items() if key in spec.names}
    trials = pl.simulate(spec, theta | {"t": t}, n=n, seed=11)
    d, upper = trials["rt"].to_numpy() - t, trials["response"].to_numpy() > 0
    assert -theta["st"] < d.min()

    def p_values(**changed: float) -> tuple[list[float], float]:
        one = {key: np.full(N, x) for key, x in (theta | changed).items()}
        times, _, *logs, _ = (x[0] for x in mixtures.mixture(spec, one))
        mass = [cumulative_trapezoid(np.exp(log_f), times, initial=0.0) for log_f in logs]
        found = [
            kstest(d[which], lambda x, m=m: np.interp(x, times, m / m[-1])).pvalue
            for which, m in zip((upper, ~upper), mass, strict=True)
        ]
        return found, mass[0][-1]

    found, up = p_values()
    assert min(found) > 1e-3
    assert abs(upper.mean() - up) < 4 * math.sqrt(up * (1 - up) / n)
    # The same test sees a window a fifth narrower.
    assert min(p_values(st=0.8 * theta["st"])[0]) < 1e-6


def test_solutions_are_the_accurate_ones(mixed: Mixed) -> None:
    spec, theta, (times, _, log_upper, _, claimed) = mixed
    tolerance = float(np.median(claimed))
    good = claimed < tolerance
    found = spec.labels.solve(theta, tolerance=tolerance)
    assert found.report.n == N
    assert found.report.dropped == N - good.sum() > 0
    assert found.report.refined == {mixtures.N_POINTS: good.sum()}
    assert spec.labels.solve(theta).report.dropped == 0
    assert found.report.worst == claimed[good].max()
    for name, x in theta.items():
        np.testing.assert_array_equal(found.theta[name], x[good])
    assert found.times.shape == (good.sum(), N_GRID)
    np.testing.assert_array_equal(found.times, times[good, ::2])
    np.testing.assert_array_equal(found.log_upper, log_upper[good, ::2])
    np.testing.assert_allclose(found.mass_upper[:, -1] + found.mass_lower[:, -1], 1, atol=1e-4)
    # The coarser grid has weights of its own.
    total = ((np.exp(found.log_upper) + np.exp(found.log_lower)) * found.weight).sum(axis=1)
    np.testing.assert_allclose(total, 1, atol=1e-3)
    everything = spec.labels.solve(theta, tolerance=np.inf)
    assert everything.report.dropped == 0
    assert len(everything.times) == N


def test_distribution_functions_are_means_of_the_closed_form() -> None:
    spec = pl.get_model("ddm_st")
    found = spec.labels.solve(sets(spec))
    some = slice(0, None, 40)
    for i in range(len(found.times)):
        row, d = row_of(found.theta, i), found.times[i, some]
        # In between -st and st, decisions have begun in a part of the trials only.
        low = np.maximum(d - row["st"], 0)
        horizon = low[:, None] + (d + row["st"] - low)[:, None] * (1 + WINDOW) / 2
        begun = (d + row["st"] - low) / (2 * row["st"])
        for v, z, mass in ((row["v"], row["z"], found.mass_upper), (-row["v"], 1 - row["z"], found.mass_lower)):
            log_go, _ = ddm_log_go(NUMPY, horizon, v, row["a"], z)
            np.testing.assert_allclose(mass[i, some], begun * (np.exp(log_go) @ WINDOW_WEIGHT) / 2, atol=1e-4)


def test_nothing_comes_before_the_window() -> None:
    assert pl.get_model("ddm").earliest({"v": 1.0}) == 0
    assert pl.get_model("ddm_sdv").earliest({"sv": 1.0}) == 0
    st = np.array([0.1, 0.2])
    for name in NAMES:
        np.testing.assert_array_equal(pl.get_model(name).earliest({"st": st, "sz": st, "sv": st}), -st)


# Seconds after the window's start, then counted from its end, then from the mean non-decision time.
AFTER_START, AFTER_END, AFTER_MEAN = (1e-9, 1e-6, 1e-3), (-1e-9, 0.0, 1e-9), (0.0, 0.3, 20.0, 1000.0)


def ends(spec: Model, name: str) -> tuple[float, ...]:
    low, high = spec.parameter(name).bounds
    return (low, 0.0, high) if name == "v" else (low, high)


def at_corners(spec: Model, *more: tuple[float, ...]) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """All corners of the bounds, with all of the given values."""
    names = [name for name in spec.names if name != "t"]
    grid = np.meshgrid(*more, *(ends(spec, name) for name in names), indexing="ij")
    columns = [x.ravel() for x in grid]
    return columns[: len(more)], dict(zip(names, columns[len(more) :], strict=True))


def around_the_window(spec: Model) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Times at either end of the window and far off, responses, and corners."""
    count = len(AFTER_START) + len(AFTER_END) + len(AFTER_MEAN)
    (place, response), theta = at_corners(spec, tuple(range(count)), (1.0, -1.0))
    offset = np.array([*AFTER_START, *AFTER_END, *AFTER_MEAN])[place.astype(int)]
    sign = np.repeat([-1.0, 1.0, 0.0], [len(AFTER_START), len(AFTER_END), len(AFTER_MEAN)])[place.astype(int)]
    return sign * theta["st"] + offset, response, theta


def test_without_variability_it_is_the_ddm() -> None:
    """In all parameters, and in all but drift, of which the mean is known."""
    still, drifting = ("st", "sz", "sv"), ("st", "sz")
    for name, vanishing, limit in (
        ("ddm_st", still, CONSTANT_DRIFT),
        ("full_ddm", still, CONSTANT_DRIFT),
        ("full_ddm", drifting, VARIABLE_DRIFT),
    ):
        spec = pl.get_model(name)
        (in_units, response), theta = at_corners(spec, tuple(np.geomspace(0.3, 5.0, 12)), (1.0, -1.0))
        d = in_units * theta["a"] ** 2
        exact = ClosedView(limit.passage).baseline(NUMPY, d, response, theta)
        # The corrections are of second order.
        for size, tolerance in ((1e-3, 5e-3), (1e-4, 5e-5), (1e-6, 1e-7)):
            narrow = theta | {each: np.full(d.shape, size) for each in vanishing if each in theta}
            found = spec.views.lan.baseline(NUMPY, d, response, narrow)
            np.testing.assert_allclose(found, exact, rtol=0, atol=tolerance)


def assert_finite_gradients(function: Any, time: np.ndarray, theta: Mapping[str, np.ndarray], *fixed: Any) -> None:
    """Of a function of one trial, with respect to its time and parameters."""
    with jax.enable_x64(True):
        gradients = jax.vmap(jax.grad(function, argnums=(0, 1)))(time, theta, *fixed)
    for gradient in jax.tree.leaves(gradients):
        assert np.isfinite(gradient).all()


@both_models
def test_the_baseline_is_most_of_the_density(name: str) -> None:
    """It is the density but for the second boundary, which matters later, and for its few nodes."""
    spec = pl.get_model(name)
    theta = sets(spec)
    for i, response in itertools.product(range(N), (1.0, -1.0)):
        row = row_of(theta, i)
        d = 0.2 * row["a"] ** 2 * np.array([0.3, 1.0]) - row["st"]
        exact = expected(row, d, response)
        likely = exact > LIKELY
        found = spec.views.lan.baseline(NUMPY, d, np.full(2, response), {k: np.full(2, x) for k, x in row.items()})
        assert np.abs(found - exact)[likely].max(initial=0.0) < 0.2


@both_models
def test_values_and_gradients_are_finite_around_the_window(name: str) -> None:
    spec = pl.get_model(name)
    transform, (d, response, theta) = spec.views.lan, around_the_window(spec)
    inputs = transform.inputs(NUMPY, d, response, theta)
    assert len(inputs) == transform.n_inputs == spec.views.n_inputs["lan"]
    assert np.isfinite(inputs).all()
    assert np.abs(inputs)[1:].max() < 15
    assert np.isfinite(transform.baseline(NUMPY, d, response, theta)).all()

    def total(d: Any, theta: Mapping[str, Any], response: Any) -> Any:
        return transform.baseline(jnp, d, response, theta) + sum(transform.inputs(jnp, d, response, theta))

    assert_finite_gradients(total, d, theta, response)


@both_models
def test_a_mirrored_trial_is_the_same(name: str) -> None:
    spec = pl.get_model(name)
    theta, rng = sets(spec, 40), np.random.default_rng(1)
    transform, response = spec.views.lan, rng.choice([-1.0, 1.0], 40)
    d = rng.exponential(theta["a"] ** 2) + rng.uniform(0, 2, 40) * theta["st"]
    mirrored = theta | {"v": -theta["v"], "z": 1 - theta["z"]}
    found, same = (
        (transform.baseline(NUMPY, d, r, x), *transform.inputs(NUMPY, d, r, x))
        for r, x in ((response, theta), (-response, mirrored))
    )
    np.testing.assert_allclose(found, same, rtol=1e-9, atol=1e-12)
    # A trial that is mirrored in part is another one.
    assert np.abs(found[0] - transform.baseline(NUMPY, d, -response, theta)).max() > 0.1


@both_models
def test_the_onset_is_soon_after_the_start_of_the_window(name: str) -> None:
    spec = pl.get_model(name)
    (response,), theta = at_corners(spec, (1.0, -1.0))
    d_min, slope = spec.views.lan.onset(NUMPY, theta["v"], response, theta)
    after = d_min + theta["st"]
    assert (after >= ONSET_MIN * (1 - 1e-9)).all()
    assert (after <= ONSET_MAX * (1 + 1e-9)).all()
    assert (slope > 0).all()
    # Practically nothing happens before, even from the nearest start.
    nearest = np.where(response > 0, theta["z"], 1 - theta["z"]) + theta.get("sz", 0.0)
    assert ddm_log_go(NUMPY, after, response * theta["v"], theta["a"], nearest)[0].max() < math.log(1e-4)
    # The baseline rises there, too.
    before, there = (spec.views.lan.baseline(NUMPY, d, response, theta) for d in (d_min - 0.01 * after, d_min))
    assert (there > before).all()


def nothing(inputs: Any) -> float:
    """A network that has learnt nothing."""
    return 0.0


@both_models
def test_go_probabilities_are_finite_and_rise_with_the_deadline(name: str) -> None:
    """Of a network that has learnt nothing; where the drift varies much, it is for the network to see to the latter."""
    spec = pl.get_model(name)
    choice = spec.views.choice
    (share, late), theta = at_corners(spec, tuple(np.linspace(0, 1, 60)), (0.0, 1.0))
    # Up to twice the end of the window, then up to the end.
    span = np.where(late > 0, choice.latest(NUMPY, theta), 3 * theta["st"])
    horizon = -theta["st"] + 1e-6 + span * share**2
    inputs = choice.inputs(NUMPY, horizon, theta)
    assert len(inputs) == choice.n_inputs == spec.views.n_inputs["choice"]
    assert np.isfinite(inputs).all()
    log_go, log_rest = choice.log_split(NUMPY, nothing, horizon, theta)
    assert np.isfinite(log_go).all()
    assert np.isfinite(log_rest).all()
    np.testing.assert_allclose(np.exp(log_go) + np.exp(log_rest), 1, rtol=1e-12)
    steady = (theta["sv"] < 0.01 if "sv" in theta else np.full(share.shape, True)).reshape(60, -1)
    assert np.diff(log_go.reshape(60, -1), axis=0)[steady[1:]].min() > -1e-8


@both_models
def test_deadlines_before_the_window_and_none(name: str) -> None:
    spec = pl.get_model(name)
    choice, theta = spec.views.choice, sets(spec)

    def log_go(horizon: Any) -> tuple[np.ndarray, np.ndarray]:
        return choice.log_split(NUMPY, nothing, np.broadcast_to(horizon, N), theta)

    for horizon in (-theta["st"], -theta["st"] - 1e-9, -1.0, -np.inf):
        go, rest = log_go(horizon)
        assert (go == -np.inf).all()
        assert (rest == 0).all()
    assert (log_go(-theta["st"] + 1e-4)[0] > -np.inf).all()
    for never, latest in zip(log_go(np.inf), log_go(choice.latest(NUMPY, theta)), strict=True):
        np.testing.assert_array_equal(never, latest)
    assert (choice.latest(NUMPY, theta) > theta["st"]).all()


def test_a_variable_non_decision_time_changes_no_choice() -> None:
    spec = pl.get_model("ddm_st")
    theta = sets(spec)
    found = spec.views.choice.log_split(NUMPY, nothing, np.full(N, np.inf), theta)
    expected = ddm_log_choice(NUMPY, theta["v"], theta["a"], theta["z"])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@both_models
def test_without_variability_deadlines_are_those_of_the_ddm(name: str) -> None:
    spec = pl.get_model(name)
    (in_units,), theta = at_corners(spec, tuple(np.geomspace(0.1, 5.0, 12)))
    horizon = in_units * theta["a"] ** 2
    narrow = theta | {each.spread: np.full(horizon.shape, 1e-6) for each in spec.variability}
    found = spec.views.choice.log_split(NUMPY, nothing, horizon, narrow)
    exact = CONSTANT_DRIFT.deadline.log_split(NUMPY, nothing, horizon, theta)
    np.testing.assert_allclose(found, exact, atol=1e-6)


@both_models
def test_gradients_of_go_probabilities_are_finite(name: str) -> None:
    spec = pl.get_model(name)
    horizon, _, theta = around_the_window(spec)
    # None at all, one before the window, and at its start.
    horizon[::7], horizon[1::7], horizon[2::7] = np.inf, -1.0, -theta["st"][2::7]

    def total(horizon: Any, theta: Mapping[str, Any]) -> Any:
        log_go, log_rest = spec.views.choice.log_split(jnp, nothing, horizon, theta)
        return jnp.where(jnp.isfinite(log_go), log_go, 0.0) + log_rest

    assert_finite_gradients(total, horizon, theta)
