"""The lowest state of a potential between walls against finite differences, and what it does to a passage."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import eigh_tridiagonal
from tables import one_of_a_kind

from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.diffusion.path_view import PathView
from pymc_lan.numerics.potential import ACROSS, log_free, log_spared

FREE = np.pi**2 / 8
CELLS = 2000


def leaky(v: float, g: float) -> Callable[[np.ndarray], np.ndarray]:
    """The potential of the drift v - g x."""
    return lambda x: ((v - g * x) ** 2 - g) / 2


def states(potential: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies and states of ``-1/2 d^2/dx^2 + W`` between walls at -1 and 1, by finite differences, and the places."""
    x = np.linspace(-1, 1, CELLS + 1)[1:-1]
    h = 2 / CELLS
    energies, found = eigh_tridiagonal(
        1 / h**2 + potential(x), np.full(len(x) - 1, -0.5 / h**2), select="i", select_range=(0, 0)
    )
    return energies, found[:, 0] / np.sqrt(h) * np.sign(found[:, 0].sum()), x


def spared(potential: Callable[[np.ndarray], np.ndarray], start: float, time: float, on_path: float = 0.0) -> float:
    with jax.enable_x64(True):
        across = [jnp.asarray(potential(np.array(x))) for x in ACROSS]
        return float(log_spared(across, jnp.asarray(on_path), jnp.asarray(start), jnp.asarray(time)))


POTENTIALS = {
    "flat": lambda x: 0 * x + 3.0,
    "leak": leaky(0.5, 4.0),
    "growth": leaky(0.5, -4.0),
    "uphill": leaky(-2.0, 1.0),
    "steep": leaky(3.0, -3.0),
    "quartic": lambda x: 6 * x**4 - 2 * x,
}


@pytest.mark.parametrize("name", POTENTIALS)
@pytest.mark.parametrize("start", one_of_a_kind([-0.6, 0.1, 0.7], -0.6))
def test_late_the_lowest_state_decays(name: str, start: float) -> None:
    potential = POTENTIALS[name]
    energies, state, x = states(potential)
    late = spared(potential, start, 3.0)
    rate = late - spared(potential, start, 4.0)
    assert rate == pytest.approx(energies[0] - FREE, abs=0.02)
    # The density is that of the state at the start, times its slope at the wall; so it is without the potential.
    slope = state[-1] / (1 - x[-1])
    share = np.interp(start, x, state) * slope / (np.cos(np.pi / 2 * start) * np.pi / 2)
    assert late + 3 * rate == pytest.approx(np.log(share), abs=0.1)


@pytest.mark.parametrize("name", POTENTIALS)
def test_early_the_mean_along_the_path_counts(name: str) -> None:
    times = np.array([1e-3, 2e-3])
    found = [spared(POTENTIALS[name], -0.3, t, 5.0) / t for t in times]
    # Extrapolated to time 0.
    assert 2 * found[0] - found[1] == pytest.approx(-5.0, abs=0.01)


@pytest.mark.parametrize("start", [-0.8, -0.5, 0.0, 0.6, 0.99])
def test_without_a_potential_it_is_the_series(start: float) -> None:
    """By two hundred images, and where these cancel by as many sines."""
    time = np.geomspace(0.02, 30, 60)
    n = np.arange(-100, 101)[:, None]
    reach = 1 - start + 4 * n
    images = (reach * np.exp(-(reach**2) / (2 * time))).sum(axis=0) / np.sqrt(2 * np.pi * time**3)
    k = np.arange(1, 201)[:, None]
    sines = (np.pi / 4 * k * np.sin(k * np.pi * (1 - start) / 2) * np.exp(-((k * np.pi) ** 2) / 8 * time)).sum(axis=0)
    density = np.where(time < 1, images, sines)
    alone = (1 - start) * np.exp(-((1 - start) ** 2) / (2 * time)) / np.sqrt(2 * np.pi * time**3)
    with jax.enable_x64(True):
        found = np.asarray(log_free(jnp.full(60, start), jnp.asarray(time)))
    expected = np.log(density / alone / -np.expm1(-4 * (1 + start) / time))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_no_potential_changes_nothing() -> None:
    for time in (1e-4, 0.1, 1.0, 100.0):
        assert spared(lambda x: 0 * x, 0.3, time) == pytest.approx(0, abs=2e-5)


@pytest.mark.table
def test_the_baseline_of_a_leaky_process_is_near_its_density() -> None:
    """What is left for the network, until the boundaries rule alone."""
    spec = MODELS["ornstein"]
    trials = spec.labels.model_trials(np.random.default_rng(4), 4000)
    found = PathView(spec).baseline(np, trials.d, trials.response, trials.theta)
    short = (trials.d > 5e-3) & (trials.d < 0.8 * trials.theta["a"] ** 2)
    assert short.mean() > 0.5
    error = (found - trials.label)[short]
    assert np.sqrt(np.mean(error**2)) < 0.06
    assert np.median(np.abs(error)) < 0.015
