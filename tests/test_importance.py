"""The sampler of `benchmarks/recovery.py`, on a density whose moments are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

SHARES = np.array([0.3, 0.7])
MODES = np.array([[-2.0, -2.0], [2.0, 2.0]])
COVARIANCE = 0.25 * np.array([[1.0, 0.95], [0.95, 1.0]])
PRECISION = np.linalg.inv(COVARIANCE)


@pytest.fixture
def importance(script: Callable[[str], Any]) -> Any:
    return script("benchmarks/_importance")


def heights(x: np.ndarray) -> np.ndarray:
    """Log densities of the two parts, up to what they have in common."""
    return np.log(SHARES) - np.einsum("ki,ij,kj->k", x - MODES, PRECISION, x - MODES) / 2


def logp(x: np.ndarray) -> float:
    # Nothing is below -4, which hardly any of the density is.
    return float(np.logaddexp(*heights(x))) if x[0] > -4 else -np.inf


def dlogp(x: np.ndarray) -> tuple[float, np.ndarray]:
    return logp(x), softmax(heights(x)) @ (MODES - x) @ PRECISION


@pytest.mark.parametrize("seed", [1, 2])
def test_two_modes_on_a_ridge_have_their_shares_and_moments(importance: Any, seed: int) -> None:
    found = importance.sample(logp, dlogp, 2, np.random.default_rng(seed))
    assert found.settled
    assert found.weights.sum() == pytest.approx(1)
    upper = found.x[:, 0] > 0
    close = 4 / np.sqrt(found.effective)
    assert found.weights @ upper == pytest.approx(SHARES[1], abs=close * np.sqrt(np.prod(SHARES)))
    weights = found.weights[upper] / found.weights[upper].sum()
    centred = found.x[upper] - MODES[1]
    np.testing.assert_allclose(weights @ centred, 0, atol=close * 0.5 / np.sqrt(SHARES[1]))
    np.testing.assert_allclose((weights * centred.T) @ centred, COVARIANCE, atol=close * 0.25 * np.sqrt(2 / SHARES[1]))


def test_weights_that_are_too_uneven_are_evened_out(importance: Any) -> None:
    log_ratio = np.random.default_rng(3).normal(0, 5, 2000)
    assert importance.ess(np.zeros(2000)) == pytest.approx(2000)
    assert importance.ess(log_ratio) < 100
    assert importance.ess(importance.tempered(log_ratio, 120.0)) == pytest.approx(120, rel=1e-3)
