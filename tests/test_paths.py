"""Diffusions from two functions: what is read off them, and networks, labels and solutions that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from functions import by_functions
from scipy.interpolate import CubicSpline
from scipy.stats import kstest
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.models.diffusion.catalogue import DIFFUSIONS
from pymc_lan.models.diffusion.closed_labels import log_densities
from pymc_lan.models.diffusion.solution import Solution
from pymc_lan.models.diffusion.solver import FEWER_STEPS, LARGER_TOLERANCE, solve
from pymc_lan.models.diffusion.structure import Structure, structure
from pymc_lan.models.model import Model
from pymc_lan.models.proposals import draw_theta
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.samplers.bridges import simulate_diffusion

N = 12


def sets(spec: Model, n: int = N, seed: int = 0) -> dict[str, np.ndarray]:
    return draw_theta(spec, np.random.default_rng(seed), n)


@pytest.mark.parametrize("name", DIFFUSIONS)
def test_structure_is_read_off_the_functions(name: str) -> None:
    spec = pl.get_model(name)
    found = structure(by_functions(spec))
    assert getattr(spec, "structure", found) == found
    assert found == Structure(
        positional=name == "ornstein",
        varying=name in {"gamma_drift", "gamma_drift_angle", "shrink_spot", "conflict_ds"},
        moving=name in {"angle", "weibull", "exponential_collapse", "hyperbolic_collapse", "gamma_drift_angle"},
    )


def bump(time: Any, position: Any, theta: Mapping[str, Any]) -> Any:
    return theta["v"] + jnp.exp(-((time - 0.3) ** 2) / 0.02)


def cubic(time: Any, position: Any, theta: Mapping[str, Any]) -> Any:
    return theta["v"] - position**3


def leaky(time: Any, position: Any, theta: Mapping[str, Any]) -> Any:
    return theta["v"] - 0.5 * position


DRIFTS = {
    "bump": (bump, Structure(positional=False, varying=True, moving=False)),
    "leak": (leaky, Structure(positional=True, varying=False, moving=False)),
    "cubic": (cubic, Structure(positional=True, varying=False, moving=False, linear=False)),
}


@pytest.mark.parametrize(("drift", "expected"), DRIFTS.values(), ids=DRIFTS)
def test_a_drift_that_changes_is_seen(drift: Any, expected: Structure) -> None:
    assert structure(replace(by_functions("ddm"), drift=drift)) == expected


@pytest.mark.parametrize("drift", [None, bump, leaky, cubic], ids=["as shipped", *DRIFTS])
@pytest.mark.parametrize("name", ["ddm", "angle", "weibull"])
def test_the_number_of_inputs_is_what_the_structure_says(name: str, drift: Any) -> None:
    spec = by_functions(name) if drift is None else replace(by_functions(name), drift=drift, structure=None)
    theta = sets(spec)
    d, response = np.full(N, 0.3), np.where(np.arange(N) % 2, 1.0, -1.0)
    seen = {
        "lan": spec.views.lan.inputs(NUMPY, d, response, theta),
        "choice": spec.views.choice.inputs(NUMPY, d, theta),
        "survivor": spec.views.survivor.inputs(NUMPY, d, theta),
    }
    assert {key: len(x) for key, x in seen.items()} == spec.views.n_inputs
    assert all(np.isfinite(x).all() for xs in seen.values() for x in xs)


@pytest.mark.parametrize("name", ["ddm", "angle", "weibull"])
def test_a_constant_drift_is_taken_out_exactly(name: str) -> None:
    """Inputs do not see it, and the baseline has it as Girsanov's theorem says."""
    spec = by_functions(name)
    theta, d, response = sets(spec), np.full(N, 0.05), np.where(np.arange(N) % 2, 1.0, -1.0)
    transform, still = spec.views.lan, theta | {"v": np.zeros(N)}
    for with_drift, without in zip(
        transform.inputs(NUMPY, d, response, theta), transform.inputs(NUMPY, d, response, still), strict=True
    ):
        np.testing.assert_array_equal(with_drift, without)
    rise = np.asarray(spec.boundary(d, theta)) - response * theta["a"] * (2 * theta["z"] - 1)
    expected = response * theta["v"] * rise - theta["v"] ** 2 * d / 2
    found = transform.baseline(NUMPY, d, response, theta) - transform.baseline(NUMPY, d, response, still)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module", params=one_of_a_kind(["ddm", "angle"], "ddm"))
def solved(request: pytest.FixtureRequest) -> tuple[Model, Solution]:
    spec = by_functions(request.param)
    theta = sets(spec, 40, seed=3)
    # The solver's horizon is long where boundaries are wide: this is a test of the solution, not of patience.
    theta["a"] = np.minimum(theta["a"], 1.5)
    theta["z"] = np.clip(theta["z"], 0.1, 0.9)
    return pl.get_model(request.param), solve(spec, theta)


def test_solutions_are_the_closed_form(solved: tuple[Model, Solution]) -> None:
    spec, found = solved
    assert found.report.share_dropped < 0.1
    for log_f, exact in zip(
        (found.log_upper, found.log_lower), log_densities(spec.form, found.theta, found.times), strict=True
    ):
        likely = exact > np.log(1e-5)
        assert np.abs(log_f - exact)[likely].max() < 1e-4


def test_solutions_add_up(solved: tuple[Model, Solution]) -> None:
    _, found = solved
    total = found.mass_upper[:, -1] + found.mass_lower[:, -1]
    never = found.theta.get("theta", np.ones(len(total))) < 0
    np.testing.assert_allclose(total[~never], 1, atol=1e-4)


@pytest.mark.table
def test_a_solution_with_changing_drift_agrees_with_simulation() -> None:
    spec = replace(by_functions("ddm"), drift=bump, structure=None)
    one = {"v": np.array([0.4]), "a": np.array([0.8]), "z": np.array([0.4])}
    found, n = solve(spec, one), 40_000
    many = {name: np.full(n, x[0]) for name, x in one.items()}
    import jax

    time, response = simulate_diffusion(jax.random.key(1), spec.drift, spec.boundary, many, np.full(n, 0.8 * -0.2))
    time, response = np.asarray(time), np.asarray(response)
    up = found.mass_upper[0, -1]
    assert abs((response > 0).mean() - up) < 4 * np.sqrt(up * (1 - up) / n)
    assert kstest(time[response > 0], lambda t: np.interp(t, found.times[0], found.mass_upper[0] / up)).pvalue > 1e-3
    # The same test sees a drift a tenth weaker.
    weaker = solve(spec, one | {"v": np.array([0.3])}).mass_upper[0]
    assert abs((response > 0).mean() - weaker[-1]) > 4 * np.sqrt(up * (1 - up) / n)


def test_a_drift_that_is_not_linear_is_solved_by_fokker_and_planck() -> None:
    """Said not to be linear, the leaky drift is solved by the other equation, to the accuracy it claims."""
    spec = pl.get_model("ornstein")
    other = replace(spec, structure=Structure(positional=True, varying=False, moving=False, linear=False))
    theta = {"v": [0.5, -1.0, 1.5], "a": [0.8, 1.2, 1.5], "z": [0.5, 0.3, 0.6], "g": [0.8, -0.5, 0.3]}
    theta = {name: np.array(x) for name, x in theta.items()}
    found, exact = solve(other, theta), solve(spec, theta)
    assert set(found.report.refined) == set(FEWER_STEPS)
    assert found.report.dropped == exact.report.dropped == 0
    assert 0 < found.report.worst < LARGER_TOLERANCE
    for name in ("log_upper", "log_lower"):
        for row, times in enumerate(found.times):
            log_f = getattr(found, name)[row]
            known = np.isfinite(getattr(exact, name)[row])
            truth = CubicSpline(exact.times[row][known], getattr(exact, name)[row][known])(times)
            likely = (truth > np.log(1e-3)) & (times < exact.times[row][-1])  # at the very onset it is worse
            assert likely.sum() > 30
            assert np.abs(log_f - truth)[likely].max() < LARGER_TOLERANCE
    np.testing.assert_allclose(found.mass_upper[:, -1], exact.mass_upper[:, -1], atol=2e-3)
