"""`pl.fit_map` where the way is rough: points that are not finite, random log densities, gradients without a second."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest

import pymc_lan as pl

RNG = np.random.default_rng(8)
X = RNG.normal(1.0, 2.0, 40)
# Of a normal mean with a standard normal prior and known noise of 2.
POSTERIOR_MEAN = X.sum() / 4 / (X.size / 4 + 1)
POSTERIOR_SD = (X.size / 4 + 1) ** -0.5


def plain() -> pm.Model:
    with pm.Model() as model:
        m = pm.Normal("m")
        pm.Normal("x", m, 2.0, observed=X)
    return model


def noisy() -> pm.Model:
    """The same posterior, of a log density whose slope has noise of standard deviation 3, drawn anew at each look."""
    with pm.Model() as model:
        m = pm.Normal("m")
        pm.Potential("x", -((X - m) ** 2) / 8 + m * 3.0 / X.size * pm.Normal.dist())
    return model


def quartic() -> pm.Model:
    """Steps of gradient descent that are too long grow without end."""
    with pm.Model() as model:
        x = pm.Flat("x", initval=1.5)
        pm.Potential("p", -(x**4) + 0.0 * pt.log(8.0 - x))
    return model


def test_the_best_point_before_one_that_is_not_finite_is_kept() -> None:
    # By hand: 1.5 goes to 1.5 - rate * 4 * 1.5**3 and so on; with this rate to 0.15, -0.1, ... with growing steps.
    rate = optax.scale_by_schedule(lambda n: -0.1 * 40.0**n)
    with pytest.warns(UserWarning, match="Expected a finite log density") as caught:
        fit = pl.fit_map(quartic(), rate, steps=50, tol=1e-9)
    losses = fit.history["loss"].to_numpy()
    steps = np.isfinite(losses).sum()
    x = [1.5]
    for n in range(steps):
        x.append(x[-1] - 0.1 * 40.0**n * 4 * x[-1] ** 3)
    np.testing.assert_allclose(losses[:steps], np.power(x[:steps], 4), rtol=1e-12)
    best = int(np.argmin(np.power(x[:steps], 4)))
    assert 0 < best < steps
    assert fit.point["x"] == pytest.approx(x[best], rel=1e-12)
    assert not fit.converged
    (message,) = [str(w.message) for w in caught]
    assert f"at step {steps} these not finite" in message
    assert f"The best point before that, of step {best}, is kept." in message
    assert "lower the optimizer's rate, for instance to a tenth" in message


def test_a_random_log_density_is_drawn_anew_at_every_step() -> None:
    fit = pl.fit_map(noisy(), optax.adam(0.02), 800, seed=1)
    assert fit.converged
    # The noise moves the mean of the last steps by far less than this.
    assert fit.point["m"] == pytest.approx(POSTERIOR_MEAN, abs=0.5 * POSTERIOR_SD)
    late = fit.history["gradient"].to_numpy()[400:]
    assert np.unique(late).size > 390
    # The noise of the slope, of mean absolute value 3 sqrt(2 / pi), with a little from moving.
    assert late.mean() == pytest.approx(3 * np.sqrt(2 / np.pi), rel=0.15)
    # A mean over 50 steps, as numbers say, and the best of these.
    loss, smoothed = fit.history["loss"].to_numpy(), fit.history["smoothed"].to_numpy()
    expected = [loss[0]]
    for n, each in enumerate(loss[1:], 2):
        expected.append(expected[-1] + (each - expected[-1]) / min(n, 50))
    np.testing.assert_allclose(smoothed, expected, rtol=1e-12)
    assert -fit.logp == pytest.approx(min(expected))
    again = pl.fit_map(noisy(), optax.adam(0.02), 800, seed=1)
    np.testing.assert_array_equal(fit.history, again.history)
    # Its curvature is that of the same posterior, since the noise is linear.
    draws = fit.laplace(draws=4000, seed=1).posterior["m"].values
    assert draws.std() == pytest.approx(POSTERIOR_SD, rel=0.05)


def test_a_random_loss_that_still_falls_has_not_converged() -> None:
    with pytest.warns(UserWarning, match=r"Expected a loss that has stopped falling\. Found one that fell by"):
        fit = pl.fit_map(noisy(), optax.sgd(1e-4), 100, initvals={"m": -30.0}, seed=1)
    assert not fit.converged


@pytest.mark.parametrize("optimizer", ["lbfgs", optax.lbfgs()], ids=["name", "optax"])
def test_a_line_search_is_refused_for_a_random_loss(optimizer: Any) -> None:
    with pytest.raises(ValueError, match=r"Found one with a line search\. Remedy: give optimizer='adam'"):
        pl.fit_map(noisy(), optimizer)


class Before(NamedTuple):
    """What an optimiser of one's own may keep of the step before."""

    value: Any
    grad: Any


def test_what_an_optimiser_keeps_is_not_taken_for_a_line_search() -> None:
    def init(params: Any) -> Before:
        return Before(jnp.zeros(()), jnp.zeros_like(params))

    def update(updates: Any, state: Before, params: Any = None, *, value: Any, **_: Any) -> tuple[Any, Before]:
        return -0.05 * updates, Before(value, updates)

    with pytest.warns(UserWarning, match="Expected derivatives below tol"):
        fit = pl.fit_map(plain(), optax.GradientTransformationExtraArgs(init, update), 3)
    # By hand: the distance from the mode falls by the same share at every step.
    share = 1 - 0.05 / POSTERIOR_SD**2
    gradient = POSTERIOR_MEAN / POSTERIOR_SD**2 * share ** np.arange(3)
    np.testing.assert_allclose(fit.history["gradient"], np.abs(gradient), rtol=1e-9)


def test_samplers_refuse_a_random_log_density() -> None:
    with pytest.raises(ValueError, match=r"one with random numbers in it\. Remedy: use pl.fit_map"):
        pl.sample_blackjax(noisy(), 5, 5, 1)


def test_the_average_loss_is_that_of_one_trial() -> None:
    with pytest.warns(UserWarning, match="Expected derivatives below tol"):
        fits = [
            pl.fit_map(plain(), optax.sgd(rate), 5, average=average, initvals={"m": 3.0})
            for rate, average in ((0.05, False), (0.05 * X.size, True))
        ]
    # A rate that is larger by the number of trials takes the same steps; losses differ by that factor, slopes do not.
    assert fits[0].point["m"] == pytest.approx(fits[1].point["m"], rel=1e-12)
    assert fits[0].logp == pytest.approx(fits[1].logp, rel=1e-12)
    np.testing.assert_allclose(fits[0].history["loss"], X.size * fits[1].history["loss"], rtol=1e-12)
    np.testing.assert_allclose(fits[0].history["gradient"], fits[1].history["gradient"], rtol=1e-9)


def test_the_average_is_over_trials_not_over_their_columns() -> None:
    with pm.Model() as model:
        m = pm.Normal("m")
        pm.Dirichlet("x", pm.math.exp(m) * np.ones(2), observed=RNG.dirichlet([1, 2], size=8))
        pm.Potential("p", -(m**2))
    with pytest.warns(UserWarning, match="Expected derivatives below tol"):
        fit = pl.fit_map(model, optax.sgd(0.0), 1, average=True)
    assert fit.history["loss"].item() * 9 == pytest.approx(-fit.logp)
    assert fit.logp == pytest.approx(float(model.compile_logp(mode="FAST_COMPILE")(model.initial_point())))


def test_starts_can_be_draws_from_the_prior() -> None:
    with pm.Model() as model:
        m = pm.Normal("m", 5.0, 0.1, initval=-7.0)
        pm.Normal("x", m, 100.0, observed=[0.0])
    with pytest.warns(UserWarning, match="Expected derivatives below tol"):
        fit = pl.fit_map(model, optax.sgd(0.0), 1, initvals="prior", n_starts=30, seed=3)
    # From the loss of each start, what its start was.
    loss = fit.history["loss"].to_numpy()
    away = np.sqrt(2 * (loss - np.log(2 * np.pi * 0.1 * 100) - 25 / 20_000)) * 0.1
    assert np.unique(loss).size == 30
    # Absolute values of 30 standard normal deviations, times 0.1.
    assert away.mean() == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.5)
    with pytest.raises(ValueError, match=r"Expected initvals by name, or 'prior'\. Found 'posterior'"):
        pl.fit_map(model, initvals="posterior")


@jax.custom_vjp
def reverse_only(x: Any) -> Any:
    """Minus half of a square, with a gradient that JAX can only take backwards."""
    return -(x**2).sum() * 2.0


def outside(x: Any) -> Any:
    return jax.pure_callback(lambda a: -4.0 * np.asarray(a), jax.ShapeDtypeStruct(x.shape, x.dtype), x)


reverse_only.defvjp(lambda x: (reverse_only(x), x), lambda x, g: (g * outside(x),))


@pytest.mark.table
def test_laplace_where_a_likelihood_has_a_gradient_alone() -> None:
    with pm.Model() as model:
        x = pm.Normal("x", 0, 10.0, shape=2)
        scale = pm.HalfNormal("scale")
        pm.Potential("p", pytensor.wrap_jax(reverse_only)(x - pt.stack([1.0, -2.0])) - scale)
    fit = pl.fit_map(model, tol=1e-6)
    mean = 4.0 / (4.0 + 0.01) * np.array([1.0, -2.0])
    np.testing.assert_allclose(fit.point["x"], mean, atol=1e-6)
    with pytest.raises(TypeError):  # there is no other way, or this test would not be one
        jax.jvp(reverse_only, (jnp.ones(2),), (jnp.ones(2),))
    draws = fit.laplace(draws=20_000, seed=1).posterior["x"].values[0]
    np.testing.assert_allclose(draws.std(axis=0), (4.0 + 0.01) ** -0.5, rtol=0.02)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=4 * 0.5 / np.sqrt(20_000))
