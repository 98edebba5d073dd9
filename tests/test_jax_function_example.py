"""`examples/jax_function.py`: differential equations against their closed forms, and posteriors against quadrature."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN
from scipy.stats import norm

import pymc_lan as pl

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "jax_function.py"


@pytest.fixture
def example(script: Callable[[str], Any]) -> Any:
    return script("examples/jax_function")


@pytest.mark.table
def test_the_solution_of_a_decay_and_its_gradient(example: Any) -> None:
    times = np.arange(4.0)
    y0 = pt.scalar("y0")
    ys = pl.jax_function(example.concentration)(y0, times)
    found, slope = pytensor.function([y0], [ys, pt.grad(ys.sum(), y0)], mode=AS_WRITTEN)(1.7)
    np.testing.assert_allclose(found, 1.7 * np.exp(-times), rtol=1e-6)
    np.testing.assert_allclose(slope, np.exp(-times).sum(), rtol=1e-6)


def expected_reward(tau: float, onsets: Any, rewards: Any) -> Any:
    """The closed form: within a trial, the distance to its reward shrinks exponentially."""
    found = [0.0]
    for wait, reward in zip(np.diff(onsets), rewards[:-1], strict=True):
        found.append(reward + (found[-1] - reward) * np.exp(-wait / tau))
    return np.array(found)


@pytest.mark.table
def test_what_is_expected_follows_rewards_and_its_gradient(example: Any) -> None:
    given = example.ONSETS[:12], example.REWARDS[:12]
    tau = pt.scalar("tau")
    ys = pl.jax_function(example.expectation)(tau, *given)
    found, slope = pytensor.function([tau], [ys, pt.grad(ys.sum(), tau)], mode=AS_WRITTEN)(3.0)
    # The solver's tolerance is 1e-6 a step.
    np.testing.assert_allclose(found, expected_reward(3.0, *given), atol=1e-5)
    up, down = (expected_reward(3.0 + h, *given).sum() for h in (1e-5, -1e-5))
    np.testing.assert_allclose(slope, (up - down) / 2e-5, rtol=1e-4)


TIMES, OBSERVED = np.arange(4.0), np.array([1.0, 0.367, 0.135, 0.049])
LOG_NOISE = np.linspace(np.log(1e-5), np.log(0.06), 20_001)


def quadrature() -> tuple[Any, Any, Any]:
    """Probabilities of the noise on a grid of its logarithm; and, given each, mean and sd of y0, which is normal."""
    decay, noise = np.exp(-TIMES), np.exp(LOG_NOISE)
    precision = 1 + decay @ decay / noise**2
    mean = decay @ OBSERVED / noise**2 / precision
    exponent = -0.5 * (OBSERVED @ OBSERVED / noise**2 - precision * mean**2)
    log_weight = exponent - 4 * LOG_NOISE - 0.5 * np.log(precision) - 0.5 * (noise / 0.01) ** 2 + LOG_NOISE
    weight = np.exp(log_weight - log_weight.max())
    return weight / weight.sum(), mean, precision**-0.5


def test_quadrature_is_right_without_what_is_known_of_y0() -> None:
    """The mean of the noise's logarithm by sums over a grid of both."""
    log_noise, y0 = np.linspace(-10, -3, 701), np.linspace(0.97, 1.03, 4001)[:, None]
    squares = ((OBSERVED - y0[..., None] * np.exp(-TIMES)) ** 2).sum(-1)
    log_p = -0.5 * squares / np.exp(2 * log_noise) - 3 * log_noise - 0.5 * y0**2 - 0.5 * np.exp(2 * log_noise) / 1e-4
    p = np.exp(log_p - log_p.max())
    assert (p * log_noise).sum() / p.sum() == pytest.approx(quadrature()[0] @ LOG_NOISE, abs=1e-3)


@pytest.mark.table
def test_the_posterior_of_a_decay_is_that_of_quadrature(example: Any) -> None:
    idata = pm.sample(600, tune=600, chains=2, random_seed=2, model=example.decay(), progressbar=False)
    weight, mean, sd = quadrature()
    log_noise, y0 = np.log(idata["posterior"]["noise"].values), idata["posterior"]["y0"].values
    grid = np.linspace(0.98, 1.02, 20_001)
    of_y0 = np.array([weight[::20] @ norm.cdf(x, mean[::20], sd[::20]) * 20 for x in grid[::20]])
    for draws, probabilities, at in ((log_noise, weight.cumsum(), LOG_NOISE), (y0, of_y0, grid[::20])):
        for p in (0.1, 0.5, 0.9):
            below = (draws < np.interp(p, probabilities, at)).astype(float)
            error = float(az.mcse(below, method="mean"))
            assert error < 0.05
            assert abs(below.mean() - p) < 4 * error


@pytest.mark.slow
def test_the_example_runs_and_finds_the_truth() -> None:
    command = [
        sys.executable,
        "-W",
        "error:::__main__",
        str(EXAMPLE),
        "--draws",
        "200",
        "--tune",
        "300",
        "--chains",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    differences = re.findall(r"differ by at most (\S+)", done.stdout)
    assert len(differences) == 3
    assert max(map(float, differences)) < 1e-6
    for name, truth in {"y0": 1.0, "v0": 0.6, "gain": 1.5, "tau": 4.0, "t": 0.3}.items():
        row = next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        mean, sd = (float(x) for x in row.split()[2:4])
        assert abs(mean - truth) < 4 * sd
