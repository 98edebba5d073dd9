"""Levy flights and leaky competing accumulators: against processes that are known, themselves, and plain steps."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from backends import AS_WRITTEN
from numpy.typing import NDArray
from scipy.stats import ks_2samp, kstest
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.models.simulator.claims import check_shift, check_symmetry
from pymc_lan.numerics.samplers.processes import SHARE, STEP, lca_draws, levy_draws, stable
from pymc_lan.numerics.samplers.wiener import ddm_draws

Float = NDArray[np.float64]

N = 20_000
# One false alarm in ten thousand, were the draws not always the same.
RARELY = 1e-4
# Inputs that keep an accumulator from ever deciding.
NEVER = -30.0


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def flights(v: float, a: float, z: float, alpha: float, seed: int = 1, share: float = SHARE) -> Float:
    """Decision times, negative for the lower boundary."""
    time, response = levy_draws(rng(seed), np.tile([v, a, z, alpha], (N, 1)), share)
    return time * response


@pytest.mark.parametrize("alpha", [1.0, 1.3, 1.9, 2.0])
def test_noise_has_the_characteristic_function_of_a_stable_law(alpha: float) -> None:
    generator = rng()
    drawn = np.array([stable(generator, alpha) for _ in range(N)])
    for k in (0.3, 1.0, 2.0):
        expected = np.exp(-(k**alpha))
        # The variance of cos(kX) is (1 + exp(-(2k)^alpha)) / 2 less the square of the mean.
        spread = np.sqrt((1 + np.exp(-((2 * k) ** alpha))) / 2 - expected**2)
        assert np.cos(k * drawn).mean() == pytest.approx(expected, abs=4 * spread / np.sqrt(N))
        assert abs(np.sin(k * drawn).mean()) < 4 / np.sqrt(N)


@pytest.mark.parametrize(("v", "a", "z"), [(1.0, 0.3, 0.5), (-1.5, 1.5, 0.7), (0.0, 1.0, 0.2)])
def test_a_flight_without_jumps_is_a_diffusion(v: float, a: float, z: float) -> None:
    time, response = ddm_draws(rng(2), np.full(N, v / np.sqrt(2)), a / np.sqrt(2), z)
    assert ks_2samp(flights(v, a, z, 2.0), time * response).pvalue > RARELY


@pytest.mark.parametrize("alpha", [1.0, 1.4, 1.8])
def test_flights_are_self_similar(alpha: float) -> None:
    """In units of another length, times are longer by its power, and nothing else changes."""
    wide, v = 4.0, 1.2
    small = flights(v, 0.5, 0.4, alpha)
    large = flights(v * wide ** (1 - alpha), 0.5 * wide, 0.4, alpha, seed=2)
    assert ks_2samp(small, large / wide**alpha).pvalue > RARELY


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.9])
def test_shorter_steps_of_a_flight_find_the_same(alpha: float) -> None:
    usual, finer, coarse = (flights(0.2, 1.0, 0.4, alpha, i, SHARE * x) for i, x in enumerate((1, 1 / 3, 60)))
    assert ks_2samp(usual, finer).pvalue > RARELY
    # The test can fail: steps that are far too long miss crossings.
    assert ks_2samp(usual, coarse).pvalue < RARELY


def accumulators(theta: list[float], n: int = N, step: float = STEP, seed: int = 1) -> tuple[Float, NDArray[np.int64]]:
    time, response = lca_draws(rng(seed), np.tile(theta, (n, 1)), step)
    return time, response


@pytest.mark.parametrize("z", [0.0, 0.5, 0.9])
def test_one_accumulator_without_input_is_the_size_of_a_diffusion(z: float) -> None:
    """The absolute value of Brownian motion is Brownian motion that is kept above 0."""
    time, response = accumulators([0.0, NEVER, NEVER, 1.0, z, 0.0, 0.0, 0.0, 0.0])
    assert set(response) == {0}
    assert ks_2samp(time, ddm_draws(rng(2), np.zeros(N), 1.0, (1 + z) / 2)[0]).pvalue > RARELY


@pytest.mark.parametrize("g", [0.8, -0.7])
def test_one_leaky_accumulator_is_the_size_of_a_leaky_diffusion(g: float) -> None:
    time, _ = accumulators([0.0, NEVER, NEVER, 1.0, 0.3, 0.0, 0.0, g, 0.0])
    other = pl.simulate("ornstein", {"v": 0.0, "a": 1.0, "z": 0.65, "g": g, "t": 0.0}, n=N, seed=2)["rt"]
    assert other.notna().all()
    assert ks_2samp(time, other).pvalue > RARELY


def test_an_accumulator_far_from_0_takes_an_inverse_gaussian_time() -> None:
    v, gap = 8.0, 1.5
    time, _ = accumulators([v, NEVER, NEVER, 3.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    # Mean gap / v and shape gap^2.
    assert kstest(time, "invgauss", args=(1 / (gap * v), 0, gap**2)).pvalue > RARELY


def plain_steps(theta: list[float], n: int, step: float) -> tuple[Float, NDArray[np.int64]]:
    """Euler's steps, as in the articles, with the boundary moved in by what they overshoot."""
    v, a, z, (g, b) = np.array(theta[:3])[:, None], theta[3], np.array(theta[4:7])[:, None], theta[7:]
    generator, x = rng(3), np.repeat(a * z, n, axis=1)
    time, response = np.full(n, np.nan), np.zeros(n, np.int64)
    near, left = a - 0.5826 * np.sqrt(step), np.arange(n)
    steps = 0
    while left.size:
        pull = v - g * x - b * (x.sum(axis=0) - x)
        x = np.maximum(x + step * pull + np.sqrt(step) * generator.standard_normal(x.shape), 0)
        steps += 1
        done = (x >= near).any(axis=0)
        time[left[done]], response[left[done]] = (steps - 0.5) * step, x[:, done].argmax(axis=0)
        x, left = x[:, ~done], left[~done]
    return time, response


@pytest.mark.parametrize(
    "theta",
    [
        [1.0, 0.5, 0.2, 1.2, 0.4, 0.6, 0.7, 0.5, 0.9],
        [2.0, 1.0, 0.5, 1.5, 0.5, 0.5, 0.5, -0.8, -0.6],
    ],
)
def test_competition_is_that_of_plain_steps(theta: list[float]) -> None:
    n = 6_000
    time, response = accumulators(theta, n)
    other, chosen = plain_steps(theta, n, 5e-4)
    shares, others = (np.bincount(x, minlength=3) / n for x in (response, chosen))
    np.testing.assert_allclose(shares, others, atol=4 * np.sqrt(2 * 0.25 / n))
    for i in range(3):
        assert ks_2samp(time[response == i], other[chosen == i]).pvalue > RARELY


@pytest.mark.parametrize("model", one_of_a_kind(["levy", "lca_3"], "lca_3"))
def test_the_specs_say_the_truth(model: str) -> None:
    """What shifts and mirrors is what the spec says, and bounds include the models' limits."""
    spec = pl.get_model(model)
    check_shift(spec)
    check_symmetry(spec, sets=5)
    assert (
        spec.names
        == {
            "levy": ("v", "a", "z", "alpha", "t"),
            "lca_3": ("v0", "v1", "v2", "a", "z0", "z1", "z2", "g", "b", "t"),
        }[model]
    )
    for end in (0, 1):
        theta = {p.name: p.bounds[end] for p in spec.parameters}
        df = pl.simulate(model, theta, n=50, seed=1)
        assert (df["rt"] > theta["t"]).all()
        assert set(df["response"]) <= set(spec.choices)
    # Nothing is known of it but its trials.
    assert spec.labels is None
    assert spec.exact is None
    assert not hasattr(spec, "drift")
    with pytest.raises(ValueError, match=r"z0? strictly between 0 and 1"):
        pl.simulate(model, {p.name: p.bounds[1] + 1.5 for p in spec.parameters})


@pytest.mark.parametrize(("model", "distribution"), [("levy", pl.Levy), ("lca_3", pl.LCA3)])
def test_named_distributions_draw_and_know_their_density(model: str, distribution: type[pl.LANDist]) -> None:
    """The density of the network, in bins of draws from the simulator that the name stands for."""
    n, spec = 50_000, pl.get_model(model)
    theta = {p.name: p.bounds[0] + 0.4 * (p.bounds[1] - p.bounds[0]) for p in spec.parameters}
    drawn = pm.draw(distribution.dist(**theta, shape=(n, 2)), random_seed=1, mode=AS_WRITTEN)
    d = np.geomspace(1e-3, 60, 2_001)
    for code in spec.choices:
        rows = np.column_stack([theta["t"] + d, np.full(d.shape, code)])
        f = np.exp(pm.logp(distribution.dist(**theta), rows).eval(mode=AS_WRITTEN))
        chance = np.concatenate([[0.0], np.cumsum((f[1:] + f[:-1]) / 2 * np.diff(d))])
        mine = np.sort(drawn[drawn[:, 1] == code, 0] - theta["t"])
        share = np.searchsorted(mine, d) / n
        # Four standard errors of a share, and what the bar of 1e-3 nats lets a share be off: its root over two.
        assert np.abs(share - chance).max() < 4 * 0.5 / np.sqrt(n) + np.sqrt(1e-3 / 2)
