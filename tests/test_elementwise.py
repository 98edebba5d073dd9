"""Functions of JAX that are asked from NumPy: the same numbers for any shape, and no compilation for each call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pymc_lan.numerics.elementwise import FEW, MANY, outside


@dataclass(frozen=True)
class Power:
    """Equal to any other of the same exponent."""

    exponent: float

    def of(self, x: Any, theta: Any) -> tuple[Any, Any]:
        return theta["a"] * x**self.exponent, jnp.zeros(())


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (4, 5), (FEW + 1,), (3, MANY)])
def test_any_shape_has_the_numbers_of_one_element(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).uniform(1, 2, shape)
    found, zero = outside(Power(3.0).of, np, x, {"a": 2})
    assert found.shape == zero.shape == shape
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, 2 * x**3, rtol=1e-14)


def test_what_is_equal_is_compiled_once(caplog: pytest.LogCaptureFixture) -> None:
    """Views are made anew for every likelihood: a compilation for each of them took seconds for each call."""
    theta = {"a": np.ones(1)}
    outside(Power(5.0).of, np, np.ones(3), theta)
    with jax.log_compiles():
        for n in (3, 7, FEW):
            outside(Power(5.0).of, np, np.ones(n), theta)
        assert not [record for record in caplog.records if "compil" in record.message]
        outside(Power(6.0).of, np, np.ones(3), theta)
        assert [record for record in caplog.records if "compil" in record.message]
