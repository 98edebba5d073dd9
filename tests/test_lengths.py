"""Lengths that are known only when a likelihood runs: one value for each trial, or an error in a sentence."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN, MODES

import pymc_lan as pl
from pymc_lan.errors import LengthError
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.network import Network
from pymc_lan.ops.likelihood import LANLogp, compiled_kernel

N = 8
WRONG = (0, 1, 2, N + 1, 2 * N)
RT = np.linspace(0.5, 1.9, N)
RESPONSE = np.where(np.arange(N) % 3, 1.0, -1.0)
TRIALS = np.column_stack([RT, RESPONSE])


@cache
def compiled(mode: str) -> Any:
    """From drifts, of a length that is not known, to log densities and the gradient of their sum."""
    network = pl.load_network("ddm")
    v = pt.vector("v", dtype="float64")
    others = [[np.inf], [1.0], [0.5], [0.3]]
    rt, response, deadline, a, z, t = (np.asarray(x, float) for x in (RT, RESPONSE, *others))
    value = LANLogp(network.spec, network.lan, None)(rt, response, deadline, v, a, z, t)[0]
    return pytensor.function([v], [value, pt.grad(value.sum(), v)], mode=MODES[mode])


@pytest.mark.parametrize("mode", ["python", "numba", "jax"])
def test_the_op_takes_one_value_for_each_trial(mode: str) -> None:
    function, drifts = compiled(mode), np.linspace(-1, 2, N)
    value, gradient = function(drifts)
    expected = pl.load_network("ddm").logpdf(RT, RESPONSE, v=drifts, a=1.0, z=0.5, t=0.3)
    np.testing.assert_allclose(value, expected, atol=1e-5)
    # Girsanov's theorem: the drift enters by exp(v x - v^2 d / 2), x the distance to the boundary.
    np.testing.assert_allclose(gradient, RESPONSE - drifts * (RT - 0.3), atol=1e-5)
    for n in WRONG:
        found = "Found a vector that happens to have one value" if n == 1 else f"Found {n}"
        with pytest.raises(LengthError, match=rf"one value of v for each of {N} trials\. {found}\. Remedy: set data"):
            function(np.full(n, 0.5))


DISTRIBUTIONS: dict[str, Any] = {
    "deadline of go/no-go": lambda x: pl.GoNoGoDDM.dist(1.0, 1.0, 0.5, 0.2, deadline=5.0 + x),
    "closed form": lambda x: pl.DDM.dist(x, 1.0, 0.5, 0.2, likelihood="exact"),
    "share of guesses": lambda x: pl.DDM.dist(1.0, 1.0, 0.5, 0.2, p_lapse=pm.math.invlogit(x), lapse_window=5.0),
    "window of guesses": lambda x: pl.DDM.dist(1.0, 1.0, 0.5, 0.2, p_lapse=0.1, lapse_window=5.0 + x),
    "race": lambda x: pl.RDM3.dist(0.2, 1.0, 1.0 + 0.1 * x, 1.0, 1.0, 0.2),
}


@pytest.mark.parametrize("build", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys())
def test_so_does_everything_else(build: Any) -> None:
    x = pt.vector("x", dtype="float64")
    logp = pm.logp(build(x), np.column_stack([RT, np.ones(N)]))
    function = pytensor.function([x], [logp, pt.grad(logp.sum(), x)], mode=AS_WRITTEN)
    value, gradient = function(np.full(N, 0.3))
    assert value.shape == gradient.shape == (N,)
    for n in WRONG:
        with pytest.raises(ValueError, match=r"one value of|broadcast"):
            function(np.full(n, 0.3))


def test_choices_alone_take_one_value_for_each_trial() -> None:
    spec = pl.simulator_spec(
        "yes_no", lambda theta, rng: theta[:, 0] > 0, {"d": (-1.0, 1.0)}, choices=[0, 1], times=False
    )
    zeros = tuple(np.zeros(shape, "f4") for shape in ((1, 2), (2, 1), (2,), (1,)))
    network = Network(spec, MLP(zeros[:2], zeros[2:], "tanh"))
    x = pt.vector("x", dtype="float64")
    logp = pm.logp(pl.ChoiceDist.dist(network, x), np.arange(N) % 2)
    function = pytensor.function([x], logp, mode=AS_WRITTEN)
    np.testing.assert_allclose(function(np.zeros(N)), np.full(N, np.log(0.5)), rtol=1e-12)
    for n in WRONG:
        with pytest.raises(ValueError, match="broadcast"):
            function(np.zeros(n))


def test_data_that_were_exchanged_by_fewer_or_more_are_refused() -> None:
    with pm.Model() as model:
        v = pm.Normal("v", 0, 1, shape=2)
        subject = pm.Data("subject", np.zeros(N, int))
        pl.DDM("obs", v[subject], 1.0, 0.5, 0.3, observed=TRIALS)
    function, point = model.compile_fn([model.logp(), model.dlogp()]), {"v": np.array([0.5, 0.7])}
    before = function(point)
    for n in WRONG:
        with model:
            pm.set_data({"subject": np.zeros(n, int)})
        with pytest.raises(ValueError, match="one value of v for each of 8 trials"):
            function(point)
    with model:
        pm.set_data({"subject": np.zeros(N, int)})
    np.testing.assert_array_equal(function(point)[0], before[0])


def test_a_kernel_takes_a_row_for_each_argument() -> None:
    network = pl.load_network("ddm")
    kernel = compiled_kernel(LANLogp(network.spec, network.lan, None))
    for shape in ((6, N), (8, N), (7,)):
        with pytest.raises(ValueError, match="a matrix of 7 rows"):
            kernel(np.ones(shape))


def test_the_error_can_be_copied() -> None:
    """Workers send it to the process that waits for them."""
    error = LengthError("rt,v", 1, 3, 8)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, LengthError)
    assert str(again) == str(error)
