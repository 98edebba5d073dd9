"""A non-decision time beyond its bound: the straight line before the onset goes on, and every start leads back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytest

import pymc_lan as pl
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.diffusion.catalogue import DIFFUSIONS
from pymc_lan.models.imported import imported_model
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.networks.mlp import ACTIVATIONS, MLP
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.ops.likelihood import LANLogp, compiled_kernel

QUICK = ("ddm", "angle", "weibull", "full_ddm", "race_3", "levy")
NONE = {name for name, x in MODELS.items() if x.exact or not x.times}
OTHERS = sorted(set(pl.list_models()["model"]) - set(QUICK) - NONE)
RT = 0.4


def middle(spec: Any) -> dict[str, float]:
    return {p.name: 0.5 * (p.bounds[0] + p.bounds[1]) for p in spec.parameters}


def log_density(name: str, response: int, t: np.ndarray) -> np.ndarray:
    """Log density of a response after `RT` seconds, by shift: by the kernel, where a model has one."""
    network = pl.load_network(name)
    theta = {key: np.full(t.size, x) for key, x in middle(network.spec).items()} | {network.spec.shift: t}
    if name not in DIFFUSIONS:
        return network.logpdf(RT, response, **theta)
    kernel = compiled_kernel(LANLogp(network.spec, network.lan, network.choice))
    value, partials = kernel(np.stack([np.full(t.size, x) for x in (RT, response, np.inf)] + [*theta.values()]))
    slope = partials[2 + network.spec.names.index(network.spec.shift)]
    assert np.isfinite(partials).all()
    assert (slope[t > RT + 0.3] < 0).all()
    return value


def assert_the_line_goes_on(value: Any, bound: tuple[float, float]) -> None:
    """In a straight line, with the slope from before the bound, and less the penalty that stands in the docs."""
    low, high = bound
    inside, outside = np.linspace(high - 0.2, high, 5), np.linspace(high, high + 4, 41)
    before, after = value(inside), value(outside)
    line = np.polyval(np.polyfit(inside, before, 1), outside)
    np.testing.assert_allclose(after + ((outside - high) / (0.02 * (high - low))) ** 2, line, rtol=1e-7)
    assert (np.diff(after) < 0).all()


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_every_start_leads_back(name: str) -> None:
    spec = pl.get_model(name)
    for response in spec.choices:
        assert_the_line_goes_on(lambda t, r=response: log_density(name, r, t), spec.parameter(spec.shift).bounds)


def test_so_it_does_of_a_network_that_sees_t_itself() -> None:
    spec = imported_model("ddm", {}, None, "plain")
    rng = np.random.default_rng(1)
    mlp = MLP((rng.normal(size=(6, 8)).astype("f4"), rng.normal(size=(8, 1)).astype("f4")),
              (np.zeros(8, "f4"), np.zeros(1, "f4")), "tanh")  # fmt: skip
    act = ACTIVATIONS["tanh"].value

    def network(inputs: tuple[Any, ...]) -> np.ndarray:
        x = np.stack(np.broadcast_arrays(*inputs), axis=-1)
        return (act(np, x @ mlp.kernels[0]) @ mlp.kernels[1])[..., 0]

    def value(t: np.ndarray) -> np.ndarray:
        # The same t to the network wherever rt < t, so that it adds a constant.
        theta = {"v": 1.0, "a": 1.0, "z": 0.5, "t": t}
        found = Likelihood(spec, network).log_density(NUMPY, np.full(t.size, RT), np.ones(t.size), theta)
        return found - network((1.0, 1.0, 0.5, np.minimum(t, 2.0), np.minimum(t, 2.0), 1.0))

    assert_the_line_goes_on(value, spec.parameter("t").bounds)


def test_a_late_trial_is_that_of_the_nearest_point_inside() -> None:
    """Where rt is above t the bound is what it was: the likelihood there, less the penalty."""
    network = pl.load_network("ddm")
    t = np.array([2.0, 2.02, 2.1, 2.5, 3.0])
    value = network.logpdf(3.5, 1, v=1.0, a=1.0, z=0.5, t=t)
    # The network is one of float32, of which a BLAS rounds rows by their place.
    np.testing.assert_allclose(value, value[0] - ((t - 2) / 0.04) ** 2, rtol=0, atol=2e-7)


def test_chains_that_start_beyond_the_bound_come_back() -> None:
    """They stayed at 2 s, half of them, with the prior that others have as default."""
    trials = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=200, seed=7)[["rt", "response"]]
    with pm.Model():
        v, a, t = pm.Normal("v", 0, 2), pm.HalfNormal("a", 2), pm.HalfNormal("t", 2)
        pl.DDM("obs", v, a, 0.5, t, observed=trials)
        posterior = pm.sample(
            100, tune=300, chains=4, cores=1, nuts_sampler="pymc", random_seed=1, progressbar=False,
            initvals=[{"t": start} for start in (2.05, 2.5, 4.0, 6.0)], compute_convergence_checks=False,
        ).posterior  # fmt: skip
    assert np.abs(posterior["t"].mean("draw") - 0.3).max() < 0.08
