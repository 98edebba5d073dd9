"""The optimiser: Adam where there is no matrix, and better than Adam where the matrix is seen at an angle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from pymc_lan.training.soap import MEAN, REFRESH, SQUARES, SoapState, soap


def run(optimizer: optax.GradientTransformation, loss: Callable[[Any], jax.Array], start: Any, steps: int) -> Any:
    def body(carry: Any, _: Any) -> tuple[Any, None]:
        params, state = carry
        update, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, update), state), None

    return jax.lax.scan(body, (start, optimizer.init(start)), None, length=steps)[0]


def test_vectors_are_left_to_adam() -> None:
    start, scale = {"bias": jnp.arange(5.0)}, jnp.array([1.0, 10.0, 0.1, 3.0, 1.0])

    def loss(params: Any) -> jax.Array:
        return jnp.sum(scale * (params["bias"] - 0.3) ** 2)

    found, _ = run(soap(0.03), loss, start, 50)
    expected, _ = run(optax.adam(0.03, b1=MEAN, b2=SQUARES), loss, start, 50)
    np.testing.assert_allclose(found["bias"], expected["bias"], rtol=1e-5)


def rotation(key: jax.Array, n: int) -> jax.Array:
    return jnp.linalg.qr(jax.random.normal(key, (n, n)))[0]


def test_a_valley_at_an_angle_is_easier_than_for_adam() -> None:
    """Adam follows the axes; in the eigenbasis of the gradients' products no direction is special."""
    m, n, steps = 8, 6, 300
    scale, rate = jnp.outer(jnp.logspace(0, 2, m), jnp.logspace(0, 2, n)), optax.cosine_decay_schedule(0.1, steps)

    def left_over(key: jax.Array) -> tuple[jax.Array, jax.Array, SoapState]:
        one, two, three = jax.random.split(key, 3)
        left, right, target = rotation(one, m), rotation(two, n), jax.random.normal(three, (m, n))

        def loss(w: jax.Array) -> jax.Array:
            return jnp.mean(scale * (left @ w @ right - target) ** 2)

        found, state = run(soap(rate), loss, jnp.zeros((m, n)), steps)
        adam, _ = run(optax.adam(rate, b1=MEAN, b2=SQUARES), loss, jnp.zeros((m, n)), steps)
        return loss(found), loss(adam), next(x for x in state if isinstance(x, SoapState))

    # One valley is luck, in the last bits; the median of 32 repeats.
    found, adam, state = jax.vmap(left_over)(jax.random.split(jax.random.key(0), 32))
    assert jnp.median(found / adam) < 0.5
    (sides,) = state.sides
    for side, size in zip(sides, (m, n), strict=True):
        products = side.basis @ side.basis.swapaxes(-1, -2)
        np.testing.assert_allclose(products, np.broadcast_to(np.eye(size), products.shape), atol=1e-5)


def test_the_basis_is_looked_at_now_and_then() -> None:
    optimizer, w = soap(0.1), jnp.ones((3, 2))
    state, update = optimizer.init(w), jax.jit(optimizer.update)
    bases = []
    for i in range(2 * REFRESH):
        gradient = jax.random.normal(jax.random.key(i), (3, 2))
        _, state = update(gradient, state, w)
        bases.append(np.asarray(state[0].sides[0][0].basis))
    changed = [i + 1 for i in range(1, 2 * REFRESH) if not np.array_equal(bases[i], bases[i - 1])]
    assert changed == [REFRESH, 2 * REFRESH]
    assert not np.array_equal(bases[0], np.eye(3))
