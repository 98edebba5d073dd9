"""Boundaries that have met: nothing is left to decide, and the log density falls, with a finite value and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN

import pymc_lan as pl
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import Parameter
from pymc_lan.networks.flax import as_network
from pymc_lan.networks.kernel.kernel import Kernel, compile_kernel
from pymc_lan.networks.mlp import MLP
from pymc_lan.ops.likelihood import LANLogp, compiled_kernel

Theta = dict[str, Any]

# The share of their first separation at which boundaries count as met, from the definition in the documentation.
SHUT = 0.005
# When they have met, in closed form, and where they are: by model.
CLOSED: dict[str, tuple[Callable[[Theta], Any], Callable[[Any, Theta], Any]]] = {
    "exponential_collapse": (
        lambda p: -math.log(SHUT) / np.maximum(p["lam"], 1e-6),
        lambda d, p: p["a"] * np.exp(-p["lam"] * d),
    ),
    "weibull": (
        lambda p: p["beta"] * (-math.log(SHUT)) ** (1 / p["alpha"]),
        lambda d, p: p["a"] * np.exp(-((d / p["beta"]) ** p["alpha"])),
    ),
    "gamma_drift_angle": (
        lambda p: (1 - SHUT) * p["a"] / np.maximum(np.tan(p["theta"]), 1e-6),
        lambda d, p: p["a"] - d * np.tan(p["theta"]),
    ),
}
slow = {"gamma_drift_angle": pytest.mark.slow}
models = pytest.mark.parametrize("name", [pytest.param(name, marks=slow.get(name, ())) for name in CLOSED])


@cache
def kernel(name: str) -> Kernel:
    network = pl.load_network(name)
    return compiled_kernel(LANLogp(network.spec, network.lan, network.choice))


def columns(name: str, d: Any, response: Any, theta: Theta) -> np.ndarray:
    """What a kernel takes, of arrays that broadcast."""
    names = pl.get_model(name).names
    rows = np.broadcast_arrays(theta["t"] + d, response, np.inf, *(theta[n] for n in names))
    return np.stack([x.ravel() for x in rows])


def box(name: str, n: int, seed: int) -> Theta:
    """Parameters over the whole box, a tenth of each on its bounds."""
    rng = np.random.default_rng(seed)
    share = np.where(rng.random((50, n)) < 0.1, rng.integers(0, 2, (50, n)), rng.random((50, n)))
    return {
        p.name: p.bounds[0] + u * (p.bounds[1] - p.bounds[0])
        for p, u in zip(pl.get_model(name).parameters, share, strict=False)
    }


def anywhere(name: str, n: int) -> tuple[np.ndarray, np.ndarray, Theta]:
    """Decision times from 0.3 s before the onset to 60 s after it, of either response, over the whole box."""
    rng = np.random.default_rng(2)
    d = np.where(rng.random(n) < 0.5, rng.uniform(-0.3, 60, n), rng.uniform(-0.3, 10, n))
    return d, rng.choice([-1.0, 1.0], n), box(name, n, 1)


@models
def test_value_and_gradient_are_finite_everywhere(name: str) -> None:
    value, partials = kernel(name)(columns(name, *anywhere(name, 20_000)))
    assert np.isfinite(value).all()
    assert np.isfinite(partials).all()


@pytest.mark.parametrize(
    "name", [x if x == "exponential_collapse" else pytest.param(x, marks=pytest.mark.slow) for x in CLOSED]
)
def test_so_they_are_in_jax(name: str) -> None:
    x, network = columns(name, *anywhere(name, 20_000)), pl.load_network(name)

    def value(rt: Any, *parameters: Any) -> Any:
        theta = dict(zip(network.spec.names, parameters, strict=True))
        return likelihood.log_density(jnp, rt, x[1], theta)

    with jax.enable_x64(True):
        likelihood = Likelihood(network.spec, as_network(network.lan))
        found, back = jax.jit(lambda *args: jax.vjp(value, *args))(x[0], *x[3:])
        partials = back(jnp.ones_like(found))
    assert np.isfinite(found).all()
    assert all(np.isfinite(each).all() for each in partials)


@models
def test_after_boundaries_have_met_the_log_density_falls(name: str) -> None:
    """At the rate of what is left between boundaries that stay where they met: pi^2 / (8 b^2)."""
    theta = box(name, 400, 3)
    closes, boundary = CLOSED[name]
    meets = closes(theta)
    theta = {key: x[meets < 50] for key, x in theta.items()}
    meets = meets[meets < 50]
    assert len(meets) > 300
    d = meets[:, None] + np.linspace(0, 60, 61)
    wide = {key: x[:, None] for key, x in theta.items()}
    last = boundary(0.999 * meets, theta)
    for response in (-1.0, 1.0):
        x = columns(name, d, response, wide)
        value, partials = (each.reshape(-1, *d.shape) for each in kernel(name)(x))
        assert (np.diff(value[0]) < 0).all()
        np.testing.assert_allclose(partials[0], np.tile((-(math.pi**2) / 8 / last**2)[:, None], 61), rtol=1e-4)


def test_a_weibull_boundary_that_has_closed_leaves_nothing_to_decide() -> None:
    """Log densities of -202 at 2.5 s and -95 at 4 s, it was once."""
    theta = {"v": 1.0, "a": 1.5, "z": 0.5, "t": 0.3, "alpha": 3.0, "beta": 1.2}
    d = np.array([1.0, 1.5, 2.0, 2.09, 2.0916, 2.5, 4.0, 10.0, 60.0])
    value, _ = kernel("weibull")(columns("weibull", d, 1.0, theta))
    assert (np.diff(value) < 0).all()
    # The share that is undecided at 2 s: exp(-integral of pi^2 / (8 b^2)), and less, by the trapezoidal rule.
    s = np.linspace(0, 2.0, 20_001)
    b = 1.5 * np.exp(-((s / 1.2) ** 3))
    assert (value[d > 2.09] < -np.trapezoid(math.pi**2 / (8 * b**2), s)).all()


def test_a_guess_after_boundaries_have_met_has_no_slope() -> None:
    """One late guess stopped sampling: its gradient was nan for every a."""
    x, a = pt.matrix("x", dtype="float64"), pt.vector("a", dtype="float64")
    trials = pl.ExponentialCollapse.dist(1.0, a, 0.6, 0.3, 3.0, p_lapse=0.05, lapse_window=3.5)
    logp = pm.logp(trials, x)
    function = pytensor.function([x, a], [logp, pt.grad(logp.sum(), a)], mode=AS_WRITTEN)
    widths = np.linspace(0.3, 2.5, 45)
    for response in (1.0, -1.0):
        value, slope = function(np.tile([3.5, response], (45, 1)), widths)
        np.testing.assert_allclose(value, math.log(0.05 / 2 / 3.5), rtol=1e-9)
        np.testing.assert_allclose(slope, 0.0, atol=1e-9)
    for rt, response in ((0.6, 1.0), (0.5, 1.0), (0.7, -1.0)):
        assert all(np.isfinite(each).all() for each in function(np.tile([rt, response], (45, 1)), widths))


def silent(spec: Model) -> MLP:
    """A network that says 0."""
    sizes = (spec.views.n_inputs["lan"], 4, 1)
    kernels = tuple(np.zeros(pair, "f4") for pair in pairwise(sizes))
    return MLP(kernels, tuple(np.zeros(n, "f4") for n in sizes[1:]), "squareplus")


BOUNDARIES: dict[str, Callable[..., Any]] = {
    "past each other": lambda t, p: p["a"] - t,
    "kept apart": lambda t, p: jnp.maximum(p["a"] - t, 1e-4),
    "as a normal density": lambda t, p: p["a"] * jnp.exp(-4 * t * t),
}


@pytest.mark.parametrize(
    "boundary",
    [pytest.param(x, id=i, marks=() if i == "kept apart" else pytest.mark.slow) for i, x in BOUNDARIES.items()],
)
def test_boundaries_of_which_nobody_says_when_they_close(boundary: Callable[..., Any]) -> None:
    """A model of one's own without `closes`: finite everywhere, and late the log density falls at the same rate."""
    parameters = (
        Parameter("v", (-3.0, 3.0), "", ""),
        Parameter("a", (0.5, 2.0), "", "", domain=(0.0, math.inf)),
        Parameter("z", (0.1, 0.9), "", "", domain=(0.0, 1.0)),
        Parameter("t", (0.0, 2.0), "s", "", domain=(0.0, math.inf)),
    )
    spec = pl.ModelSpec("mine", parameters, lambda t, x, p: p["v"], boundary, "", "")
    mine = compile_kernel(spec, silent(spec), None)
    rng, n = np.random.default_rng(4), 300
    theta = {p.name: rng.uniform(*p.bounds, n)[:, None] for p in parameters}
    d = np.concatenate([np.linspace(-0.3, 2.5, 57), np.linspace(3.0, 60.0, 100)])
    for response in (-1.0, 1.0):
        rows = np.broadcast_arrays(theta["t"] + d, response, np.inf, *theta.values())
        value, partials = mine(np.stack([x.ravel() for x in rows]))
        assert np.isfinite(value).all()
        assert np.isfinite(partials).all()
        assert (np.diff(value.reshape(n, -1)[:, 57:]) < 0).all()
        late = np.broadcast_to(d > 20, (n, d.size))
        rate = np.broadcast_to(math.pi**2 / 8 / (SHUT * theta["a"]) ** 2, late.shape)
        np.testing.assert_allclose(-partials[0].reshape(late.shape)[late], rate[late], rtol=1e-3)
