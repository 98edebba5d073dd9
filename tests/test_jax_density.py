"""A network outside a model: its log density as a function of JAX, and probabilities of no response and of one."""

from __future__ import annotations

import math
import pickle
from typing import Any

import jax
import numpy as np
import oracle
import pytest

import pymc_lan as pl
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.network import Network

DDM = pl.load_network("ddm")
TRIALS = [(0.45, 1, 0.7, 1.1, 0.4, 0.2), (1.3, -1, -1.5, 0.8, 0.6, 0.4), (0.9, 1, 2.0, 1.6, 0.5, 0.1)]


def truth(rt: float, response: float, v: float, a: float, z: float, t: float) -> float:
    return math.log(oracle.density(rt - t, response > 0, v, a, z))


def test_the_density_is_that_of_the_process_and_so_is_its_gradient() -> None:
    """With a deadline, by which the last trial has no response."""
    f, columns = DDM.as_jax(), np.array([*TRIALS, (np.inf, 1, 1.0, 1.0, 0.5, 0.3)]).T
    smooth = (2, 3, 4, 5)

    def expected(x: np.ndarray) -> float:
        none = math.isinf(x[0])
        return math.log(1 - oracle.upper_by(1.5 - x[5], *x[2:5])) if none else truth(*x)

    each = jax.vmap(jax.value_and_grad(lambda *x: f(*x, deadline=1.5), argnums=smooth))
    value, gradient = jax.jit(each)(*columns)
    np.testing.assert_allclose(value, [expected(x) for x in columns.T], atol=1e-3)
    steps = 1e-4 * np.eye(6)
    for place, found in zip(smooth, gradient, strict=True):
        slopes = [(expected(x + steps[place]) - expected(x - steps[place])) / 2e-4 for x in columns.T]
        np.testing.assert_allclose(found, slopes, rtol=0.01, atol=0.01)


def test_parameters_are_given_by_position_or_name_and_defaults_left_out() -> None:
    f = DDM.as_jax()
    by_place = jax.make_jaxpr(lambda v: f(0.8, 1, v, 1.0, 0.5, 0.3))(1.0)
    assert str(by_place) == str(jax.make_jaxpr(lambda v: f(0.8, 1, t=0.3, a=1.0, v=v))(1.0))
    assert f == pickle.loads(pickle.dumps(f)) == pl.load_network("ddm").as_jax()


def test_the_density_of_responses_alone_is_their_probability() -> None:
    def detect(theta: Any, rng: np.random.Generator) -> Any:
        return rng.normal(theta[:, 0], 1.0) > 1.0

    spec = pl.simulator_spec("detect", detect, {"d": (0.0, 4.0)}, choices=[0, 1], times=False)
    network = Network(spec, MLP((np.ones((1, 1), np.float32),), (np.zeros(1, np.float32),)))
    p = network.probabilities(d=3.0)  # the logit is d from -1 to 1: 0.5
    np.testing.assert_allclose(p, [1 / (1 + math.exp(0.5)), 1 / (1 + math.exp(-0.5))])
    np.testing.assert_allclose(np.exp(network.as_jax()(np.array([0, 1, 2]), 3.0)), [*p, 0], rtol=1e-5)
    with pytest.raises(ValueError, match="a model of response times, for a deadline"):
        network.probabilities(d=3.0, deadline=1.0)


def test_a_response_that_is_no_choice_has_no_density() -> None:
    """Such as 0 for the lower boundary, which is -1; without a response nobody looks at it."""
    f, theta, codes = DDM.as_jax(), {"v": 1.0, "a": 1.2, "z": 0.5, "t": 0.3}, np.array([1, -1, 0, 3, 0.5])
    expected = [truth(0.8, 1, *theta.values()), truth(0.8, -1, *theta.values()), *[-np.inf] * 3]
    np.testing.assert_allclose(f(0.8, codes, **theta), expected, atol=1e-3)
    np.testing.assert_allclose(DDM.logpdf(0.8, codes, **theta), expected, atol=1e-3)
    none = math.log(1 - oracle.upper_by(0.7, 1.0, 1.2, 0.5))
    np.testing.assert_allclose(f(np.inf, np.array([0, np.nan]), deadline=1.0, **theta), none, atol=1e-3)


def test_probabilities_broadcast_over_parameters_and_deadlines() -> None:
    v, deadline = np.array([[-1.0], [0.0], [1.5]]), np.array([0.2, 0.9, np.inf])
    found = DDM.probabilities(v=v, a=1.2, z=0.4, t=0.3, deadline=deadline)
    pressed = [[oracle.upper_by(end - 0.3, x, 1.2, 0.4) for end in deadline] for x in v.ravel()]
    assert found.shape == (3, 3, 2)
    np.testing.assert_allclose(found[..., 1], pressed, atol=1e-3)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-12)
    np.testing.assert_array_equal(found[:, -1], DDM.probabilities(v=v[:, 0], a=1.2, z=0.4, t=0.3))


def test_outside_the_bounds_probabilities_are_those_of_the_nearest_point() -> None:
    far, edge = (DDM.probabilities(v=v, a=1.0, z=0.5, t=0.3, deadline=1.0) for v in (9.0, 6.0))
    np.testing.assert_allclose(far, edge, rtol=1e-9)


WRONG: dict[str, tuple[Any, str]] = {
    "no data": (lambda: DDM.as_jax()(0.8), r"rt and response first, then the parameters v, a, z, t\. Found 1"),
    "unknown": (lambda: DDM.as_jax()(0.8, 1, 1.0, 1.0, tt=0.3), r"Unknown parameter 'tt'"),
    "missing": (lambda: DDM.probabilities(v=1.0), r"Expected the parameters v, a, z, t\. Found no a"),
    "negative": (
        lambda: DDM.probabilities(v=1.0, a=1.0, z=0.5, t=0.3, deadline=[1, -1]),
        r"row 1 \(deadline = -1\.0\)",
    ),
    "race": (
        lambda: pl.load_network("race_3").probabilities(**dict.fromkeys(pl.get_model("race_3").names, 1.0)),
        r"how likely a response is, for 'race_3'\. Found none",
    ),
    "no choice network": (
        lambda: pl.load_network("levy").as_jax()(0.8, 1, 1.0, 1.0, 0.5, 1.5, 0.3, deadline=1.0),
        r"trials without a response, for 'levy' with a deadline\. Found none",
    ),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_what_a_network_does_not_know_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
