"""The solvers against closed forms, against each other, against simulated trials, and against their own estimates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2
from tables import one_of_a_kind

from pymc_lan.models.diffusion import solver
from pymc_lan.models.diffusion.catalogue import DIFFUSIONS
from pymc_lan.models.diffusion.solver import STEPS, solve
from pymc_lan.models.proposals import draw_theta
from pymc_lan.numerics.fokker_planck import fokker_planck
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.samplers.bridges import simulate_diffusion
from pymc_lan.numerics.special import affine_to_brownian
from pymc_lan.numerics.volterra import Densities, volterra
from pymc_lan.numerics.wiener import ddm_logpdf

Rows = dict[str, np.ndarray]
RELEVANT = math.log(1e-5)


def with_drift(t: Any, row: Mapping[str, Any]) -> Any:
    return row["a"] - row["v"] * t, -row["a"] - row["v"] * t


def linear(t: Any, row: Mapping[str, Any]) -> Any:
    return row["a"] - row["m"] * t, -row["a"] + row["m"] * t


def weibull_height(t: Any, row: Mapping[str, Any]) -> Any:
    return row["a"] * jnp.exp(-((t / row["alpha"]) ** row["beta"]))


def weibull(t: Any, row: Mapping[str, Any]) -> Any:
    return weibull_height(t, row), -weibull_height(t, row)


def ou_boundaries(t: Any, row: Mapping[str, Any]) -> Any:
    position = affine_to_brownian(row["v"], row["g"]).position
    return position(t, row["a"]), position(t, -row["a"])


def ou_clock(t: Any, row: Mapping[str, Any]) -> Any:
    return affine_to_brownian(row["v"], row["g"]).clock(t)


def ou_drift(t: Any, x: Any, row: Mapping[str, Any]) -> Any:
    return row["v"] - row["g"] * x


def urgent_drift(t: Any, x: Any, row: Mapping[str, Any]) -> Any:
    return row["v"] * jnp.exp(-t / 0.3) + 0.0 * x


def urgent(t: Any, row: Mapping[str, Any]) -> Any:
    moved = 0.3 * row["v"] * -jnp.expm1(-t / 0.3)
    return row["a"] - moved, -row["a"] - moved


def no_drift(t: Any, x: Any, row: Mapping[str, Any]) -> Any:
    return 0.0 * x


def constant(t: Any, row: Mapping[str, Any]) -> Any:
    return row["a"]


def linear_exact(d: np.ndarray, response: int, rows: Rows, start: np.ndarray) -> np.ndarray:
    """Log density for boundaries +-(a - m t) without drift, from constant ones by a change of scale and of clock.

    Y = X / b is, at the clock tau = int dt / b^2 = d / (b(0) b(d)), Brownian motion reweighted by
    exp(-b b' Y^2 / 2) between the ends (b'' = 0), and by the square root of b(0) / b(d).
    """
    a, m, x0 = (x[:, None] for x in (rows["a"], rows["m"], start))
    b = a - m * d
    inside = (d > 0) & (b > 1e-6 * a)
    b = np.where(inside, b, 1.0)
    tau = np.where(inside, d, 1.0) / (a * b)
    shape = -0.5 * b * -m + 0.5 * a * -m * (x0 / a) ** 2 - 1.5 * np.log(b) - 0.5 * np.log(a)
    return np.where(inside, shape + ddm_logpdf(NUMPY, tau, response, 0.0, 1.0, 0.5 * (1.0 + x0 / a)), -np.inf)


def largest(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Largest difference of log densities, of each theta, where one of them is above 1e-5."""
    relevant = np.maximum(one, other) > RELEVANT
    return np.where(relevant, np.abs(np.where(relevant, one, 0.0) - np.where(relevant, other, 0.0)), 0.0).max(axis=1)


def actual(found: Densities, exact: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    return np.maximum(largest(found.log_upper, exact(found.times, 1)), largest(found.log_lower, exact(found.times, -1)))


def at_times(found: Densities, times: np.ndarray) -> list[np.ndarray]:
    """Log densities at other times, by splines through time * log density over the number of the point."""
    from scipy.interpolate import CubicSpline

    logs = []
    for log in (found.log_upper, found.log_lower):
        out = np.full(times.shape, -np.inf)
        for i, (t, values) in enumerate(zip(found.times, log, strict=True)):
            end = np.argmin(np.isfinite(values[1:])) + 1 if not np.isfinite(values[1:]).all() else values.size
            inside = (times[i] >= t[1]) & (times[i] <= t[end - 1] * (1.0 + 1e-9))
            spline = CubicSpline(np.log(t[1:end]), t[1:end] * values[1:end])
            out[i, inside] = spline(np.log(times[i, inside])) / times[i, inside]
        logs.append(out)
    return logs


def ddm_rows() -> tuple[Rows, np.ndarray, np.ndarray]:
    z, v = (x.ravel() for x in np.meshgrid([0.03, 0.2, 0.5, 0.7, 0.97], [-2.0, 0.0, 1.0, 3.0]))
    a = np.resize([0.4, 1.0, 2.2], z.size)
    return {"a": a, "v": v, "z": z}, a * (2.0 * z - 1.0), np.minimum(12.0 * a * a, 20.0)


def linear_rows() -> tuple[Rows, np.ndarray, np.ndarray]:
    slope = np.array([-0.3, 0.05, 0.3, 0.8, 1.5, 3.0])
    a = np.array([0.5, 1.0, 2.0, 1.5, 2.5, 3.0])
    start = a * np.array([0.0, 0.4, -0.6, 0.8, -0.2, 0.5])
    return {"a": a, "m": slope}, start, np.where(slope > 0, np.minimum(a / np.abs(slope), 20.0), 8.0)


def random_rows(model: str, n: int, seed: int = 1) -> tuple[Rows, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z, a = rng.uniform(0.1, 0.9, n), rng.uniform(0.3, 3.0 if model != "weibull" else 2.5, n)
    start = a * (2.0 * z - 1.0)
    if model == "angle":
        m = np.tan(rng.uniform(-0.1, 1.3, n))
        return {"a": a, "m": m}, start, np.where(m > 0, np.minimum(20.0, a / np.abs(m)), 20.0)
    if model == "weibull":
        return {"a": a, "alpha": rng.uniform(0.31, 4.99, n), "beta": rng.uniform(0.31, 6.99, n)}, start, 20.0 + 0.0 * a
    return {"a": a, "v": rng.uniform(-2.0, 2.0, n), "g": rng.uniform(-1.0, 1.0, n)}, start, 20.0 + 0.0 * a


MODELS: Mapping[str, tuple[Any, Any]] = {
    "angle": (linear, None),
    "weibull": (weibull, None),
    "ou": (ou_boundaries, ou_clock),
}


# Volterra against closed forms. A solver is compiled for each number of steps, in some seconds: 400 and 800 are shared.


@pytest.fixture(scope="module")
def diffusion() -> Densities:
    return volterra(with_drift, *ddm_rows(), 800)


def test_constant_boundaries_and_drift(diffusion: Densities) -> None:
    rows, found = ddm_rows()[0], diffusion

    def exact(d: np.ndarray, response: int) -> np.ndarray:
        return ddm_logpdf(NUMPY, d, response, rows["v"][:, None], rows["a"][:, None], rows["z"][:, None])

    assert (actual(found, exact) < 1e-6).all()
    assert (found.times[:, 0] == 0).all()
    assert np.isneginf(found.log_upper[:, 0]).all()
    assert (np.diff(found.times) > 0).all()


def test_the_early_tail_is_accurate_in_relative_terms(diffusion: Densities) -> None:
    (rows, _, horizon), found = ddm_rows(), diffusion
    early = (found.times > 0) & (found.times < 0.05 * horizon[:, None])
    for log, response in ((found.log_upper, 1), (found.log_lower, -1)):
        exact = ddm_logpdf(NUMPY, found.times, response, *(rows[k][:, None] for k in "vaz"))
        tail = early & (exact < math.log(1e-8))
        assert tail.sum() > 300
        np.testing.assert_allclose(log[tail], exact[tail], atol=1e-4)


def test_linear_boundaries() -> None:
    rows, start, horizon = linear_rows()
    found = volterra(linear, rows, start, horizon, 800)
    assert (actual(found, lambda d, response: linear_exact(d, response, rows, start)) < 1e-6).all()


@pytest.mark.parametrize("model", one_of_a_kind(MODELS, "weibull"))
def test_mass_is_one(model: str) -> None:
    boundaries, clock = MODELS[model]
    rows, start, horizon = random_rows(model, 32)
    if model == "ou":
        rows["g"] = -np.abs(rows["g"])  # else it may stay inside for hours
    found = volterra(boundaries, rows, start, 5.0 * horizon if model == "weibull" else horizon, 400, clock)
    end = found.times[:, -1]
    done = np.exp(np.maximum(found.log_upper, found.log_lower)[:, -1]) * end < 1e-4
    # Not a tautology: the survivor is what the two densities leave, and nothing else makes it go to 0.
    assert done.sum() > 20
    density = np.exp(found.log_upper) + np.exp(found.log_lower)
    mass = np.array([np.trapezoid(y, t) for y, t in zip(density, found.times, strict=True)])
    np.testing.assert_allclose(mass[done], 1.0, atol=2e-3)
    assert ((found.survivor >= 0) & (found.survivor <= 1)).all()
    assert (np.diff(found.survivor, axis=1) < 1e-6).all()
    assert (np.abs(found.survivor[done, -1]) < 1e-4).all()


@pytest.mark.table
def test_order_of_convergence() -> None:
    """Better than third order for curved boundaries, where the trapezoid's own would be 1.5."""
    rows, start, horizon = random_rows("weibull", 48, seed=3)
    reference = volterra(weibull, rows, start, horizon, 800)
    errors = []
    for steps in (200, 400):
        found = volterra(weibull, rows, start, horizon, steps)
        finer = at_times(reference, found.times)
        errors.append(np.maximum(largest(found.log_upper, finer[0]), largest(found.log_lower, finer[1])))
    order = np.log2(errors[0] / errors[1])
    print("order", np.quantile(order, [0.1, 0.25, 0.5, 0.75]), "error", *(np.median(e) for e in errors))
    assert np.median(order) > 3.0


# Against each other.


@pytest.mark.table
def test_the_closed_form_of_linear_boundaries_by_fokker_planck() -> None:
    rows, start, horizon = linear_rows()
    rows, start, horizon = {k: x[:4] for k, x in rows.items()}, start[:4], horizon[:4]
    found = fokker_planck(no_drift, lambda t, row: linear(t, row)[0], rows, start, 0.6 * horizon)
    assert (actual(found, lambda d, response: linear_exact(d, response, rows, start)) < 1e-3).all()


AGREE: Mapping[str, tuple[Any, Any, Any, Any, Rows, list[float]]] = {
    "leak": (
        ou_boundaries,
        ou_clock,
        ou_drift,
        constant,
        {"a": np.array([0.7, 1.0, 1.5, 1.0]), "v": np.array([1.0, -0.5, 2.0, 0.3]), "g": np.array([0.8, -0.7, 0.3, 0])},
        [4.0, 4.0, 4.0, 5.0],
    ),
    "time-dependent drift": (
        urgent,
        None,
        urgent_drift,
        constant,
        {"a": np.array([0.7, 1.0, 1.5]), "v": np.array([1.0, -2.0, 4.0])},
        [3.0, 4.0, 5.0],
    ),
    "weibull": (
        weibull,
        None,
        no_drift,
        weibull_height,
        {"a": np.array([0.7, 1.5, 1.2]), "alpha": np.array([1.0, 2.0, 1.0]), "beta": np.array([0.5, 2.0, 4.0])},
        [2.0, 2.5, 1.1],
    ),
}


@pytest.mark.table
@pytest.mark.parametrize("case", AGREE)
def test_volterra_and_fokker_planck_agree(case: str) -> None:
    boundaries, clock, drift, boundary, rows, horizon = AGREE[case]
    start = rows["a"] * np.resize([0.2, -0.5, 0.0], rows["a"].size)
    pair = volterra(boundaries, rows, start, horizon, 800, clock)
    found = fokker_planck(drift, boundary, rows, start, horizon, 800, 400)
    within = found.times < 0.999 * pair.times[:, -1:]
    for log, other in zip((found.log_upper, found.log_lower), at_times(pair, found.times), strict=True):
        difference = largest(np.where(within, log, -np.inf), np.where(within, other, -np.inf))
        print(case, difference)
        assert (difference < 2.5e-4).all()


@pytest.mark.parametrize("g", [-1.0, -1e-3, -1e-9, 0.0, 1e-12, 1e-4, 0.049, 0.051, 1.0])
def test_the_clock_and_its_inverse(g: float) -> None:
    with jax.enable_x64(True):
        t, v = jnp.array([1e-6, 0.1, 1.0, 3.0]), 0.7
        affine = affine_to_brownian(v, jnp.asarray(g))
        s = affine.clock(t)
        np.testing.assert_allclose(affine.time(s), t, rtol=1e-12)
        rate, change = (jax.vmap(f)(t) for f in (jax.grad(affine.clock), jax.grad(jax.grad(affine.clock))))
        np.testing.assert_allclose(rate, jnp.exp(affine.log_jacobian(t)), rtol=1e-13)
        np.testing.assert_allclose(change, 2 * g * jnp.exp(affine.log_jacobian(t)), rtol=1e-10, atol=1e-15)
        # The mean path of X, dx = (v - g x) dt, is where Z stays at its start.
        slope = jax.vmap(jax.grad(lambda t: affine.position(t, 0.4)))(t)
        np.testing.assert_allclose(slope, jnp.exp(g * t) * (g * 0.4 - v), rtol=1e-12)
        np.testing.assert_allclose(affine.position(jnp.zeros(()), 0.4), 0.4)


# Against simulated trials.


@pytest.mark.slow
@pytest.mark.parametrize("case", AGREE)
def test_simulated_trials(case: str) -> None:
    boundaries, clock, drift, boundary, rows, horizon = AGREE[case]
    n, row = 1_000_000, {name: float(x[1]) for name, x in rows.items()}
    start = -0.3 * row["a"]
    one = {name: np.array([x]) for name, x in row.items()}
    found = volterra(boundaries, one, [start], [horizon[1]], 800, clock)
    theta = {name: jnp.full(n, x) for name, x in row.items()}
    end = float(found.times[0, -1])
    time, response = simulate_diffusion(
        jax.random.key(7), drift, boundary, theta, jnp.full(n, start), dt=0.001, horizon=0.98 * end
    )
    time, response = np.asarray(time), np.asarray(response)
    edges = np.linspace(0.0, 0.98 * end, 41)
    observed, expected = [], []
    for sign, log in ((1, found.log_upper[0]), (-1, found.log_lower[0])):
        observed.append(np.histogram(time[response == sign], edges)[0])
        fine = np.linspace(edges[0], edges[-1], 40 * 50 + 1)
        density = np.interp(fine, found.times[0], np.exp(log))
        cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(fine))])
        expected.append(n * np.diff(cumulative[::50]))
    seen, due = np.concatenate(observed), np.concatenate(expected)
    enough = due > 20
    statistic = float(((seen - due) ** 2 / due)[enough].sum())
    p = float(chi2.sf(statistic, enough.sum()))
    print(case, statistic, enough.sum(), p)
    assert p > 1e-3


# Estimates, refinement, arguments.


@pytest.mark.parametrize("model", one_of_a_kind(MODELS, "angle"))
def test_estimates_are_honest(model: str) -> None:
    boundaries, clock = MODELS[model]
    steps = 200
    rows, start, horizon = random_rows(model, 32, seed=5)
    found = volterra(boundaries, rows, start, horizon, steps, clock)
    finer = at_times(volterra(boundaries, rows, start, horizon, 4 * steps, clock), found.times)
    error = np.maximum(largest(found.log_upper, finer[0]), largest(found.log_lower, finer[1]))
    usable = found.error < 0.1
    print(model, steps, usable.mean(), np.max(error[usable] / (found.error[usable] + 1e-7)))
    assert usable.mean() > 0.7
    assert (error[usable] < 3.0 * found.error[usable] + 1e-6).all()


@pytest.mark.table
def test_solve_refines_where_it_must() -> None:
    spec = DIFFUSIONS["weibull"]
    theta = draw_theta(spec, np.random.default_rng(3), 48)
    found = solve(spec, theta)
    report = found.report
    assert report.n == 48 == sum(report.refined.values()) + report.dropped
    assert 24 < report.refined[400] < 48
    assert 0 < report.worst < 1e-4
    assert len(found.times) == 48 - report.dropped


@pytest.mark.table
def test_solve_drops_what_it_cannot_solve() -> None:
    spec = DIFFUSIONS["weibull"]  # whose solvers the last test has compiled
    found = solve(spec, draw_theta(spec, np.random.default_rng(0), 8), tolerance=1e-17, grids=STEPS[:2])
    assert found.report.refined == {400: 0, 800: 0}
    assert found.report.share_dropped == 1
    assert found.report.worst == 0
    assert len(found.times) == 0


def test_models_of_the_same_functions_share_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Mock(side_effect=InterruptedError)
    monkeypatch.setattr(solver, "volterra", asked)
    spec = DIFFUSIONS["ornstein"]
    theta = draw_theta(spec, np.random.default_rng(0), 2)
    for model in (spec, replace(spec, name="other"), replace(spec, drift=lambda t, x, row: row["v"] - row["g"] * x)):
        with pytest.raises(InterruptedError):
            solve(model, theta)
    (boundaries, *_, clock), other, another = (call.args for call in asked.call_args_list)
    assert (other[0], other[-1]) == (boundaries, clock)
    assert another[0] != boundaries


def test_boundaries_that_meet_end_the_grid() -> None:
    rows = {"a": np.array([1.0]), "m": np.array([1.0])}
    found = volterra(linear, rows, [0.0], [50.0], 800)
    assert found.times[0, -1] < 1.0
    assert found.error[0] < 1e-4
    assert found.survivor[0, -1] < 1e-6


def test_the_width_of_a_chunk_does_not_matter() -> None:
    rows, start, horizon = random_rows("weibull", 70)
    before = jax.config.jax_enable_x64  # PyTensor's JAX mode, in another test of this process, switches it on
    whole = volterra(weibull, rows, start, horizon, 400)
    last = volterra(weibull, {name: x[-1:] for name, x in rows.items()}, start[-1:], horizon[-1:], 400)
    np.testing.assert_allclose(whole.times[-1:], last.times, rtol=1e-10)
    assert whole.times.dtype == np.float64
    assert jax.config.jax_enable_x64 == before


ONE = {"a": np.array([1.0]), "m": np.array([0.1])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": [1.5]}, r"Found start\[0\] = 1.5 outside"),
        ({"start": 0.0}, "Expected start of shape"),
        ({"horizon": [1.0, 2.0]}, "Expected horizon of the shape of start"),
        ({"horizon": [-1.0]}, "Found -1.0"),
        ({"theta": {"a": np.ones(2), "m": np.ones(2)}}, "Expected a of the shape of start"),
        ({"steps": 30}, "Expected steps to be a multiple of 4"),
    ],
)
def test_messages(change: dict[str, Any], message: str) -> None:
    arguments = {"theta": ONE, "start": [0.0], "horizon": [1.0], "steps": 800} | change
    with pytest.raises(ValueError, match=message):
        volterra(linear, **arguments)


def test_messages_of_fokker_planck() -> None:
    with pytest.raises(ValueError, match="Expected cells to be a multiple of 4"):
        fokker_planck(no_drift, constant, ONE, [0.0], [1.0], 64, 30)
