"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2025, ICLR, arXiv 2409.11321).

On the small networks of this package it needs a fifth of Adam's steps, at a tenth more time for each: see
``benchmarks/optimizers.py``. Optax has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

# Memory of the mean, and of everything squared, as shares kept per step; steps between two looks at the eigenbasis.
MEAN, SQUARES, REFRESH = 0.95, 0.99, 20
_SMALL = 1e-8


class Factor(NamedTuple):
    """One side of a matrix of weights: its mean outer product of gradients, and the eigenvectors of that."""

    outer: jax.Array
    basis: jax.Array


class SoapState(NamedTuple):
    """What the optimiser remembers: two moments like the parameters, and a pair of factors for each matrix of them."""

    steps: jax.Array
    mean: Any
    squares: Any
    sides: Any


def soap(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """Build the optimiser.

    Parameters
    ----------
    learning_rate : float or schedule

    Returns
    -------
    optax.GradientTransformation

    Examples
    --------
    >>> import jax, jax.numpy as jnp, optax
    >>> from pymc_lan.training.soap import soap
    >>> optimizer, w = soap(0.1), {"kernel": jnp.ones((3, 2))}
    >>> state, step = optimizer.init(w), jax.jit(optimizer.update)
    >>> for _ in range(200):
    ...     update, state = step({"kernel": 2 * w["kernel"]}, state)  # the gradient of the sum of squares
    ...     w = optax.apply_updates(w, update)
    >>> bool(jnp.abs(w["kernel"]).max() < 0.1)
    True
    """
    return optax.chain(optax.GradientTransformation(_init, _update), optax.scale_by_learning_rate(learning_rate))


def _init(params: Any) -> SoapState:
    zeros = jax.tree.map(jnp.zeros_like, params)
    sides = [tuple(Factor(jnp.zeros((n, n)), jnp.eye(n)) for n in _matrix(x)) for x in jax.tree.leaves(params)]
    return SoapState(jnp.zeros((), jnp.int32), zeros, zeros, sides)


def _matrix(x: jax.Array) -> tuple[int, ...]:
    """The shape of a matrix; nothing of anything else, which is left to Adam."""
    return x.shape if x.ndim == 2 else ()


def _update(gradient: Any, state: SoapState, params: Any = None) -> tuple[Any, SoapState]:
    leaves, tree = jax.tree.flatten(gradient)
    steps = state.steps + 1
    grown = [_grow(sides, g) for sides, g in zip(state.sides, leaves, strict=True)]
    mean = [_blend(MEAN, m, g) for m, g in zip(jax.tree.leaves(state.mean), leaves, strict=True)]
    turned = [_into(sides, g) for sides, g in zip(grown, leaves, strict=True)]
    squares = [_blend(SQUARES, s, g**2) for s, g in zip(jax.tree.leaves(state.squares), turned, strict=True)]
    updates = [
        _out_of(sides, _into(sides, m) / (1 - MEAN**steps) / (jnp.sqrt(s / (1 - SQUARES**steps)) + _SMALL))
        for sides, m, s in zip(grown, mean, squares, strict=True)
    ]
    sides = jax.lax.cond((steps == 1) | (steps % REFRESH == 0), _refreshed, lambda x: x, grown)
    updates, mean, squares = (jax.tree.unflatten(tree, x) for x in (updates, mean, squares))
    return updates, SoapState(steps, mean, squares, sides)


def _blend(kept: float, old: jax.Array, new: jax.Array) -> jax.Array:
    return kept * old + (1 - kept) * new


def _grow(sides: tuple[Factor, ...], gradient: jax.Array) -> tuple[Factor, ...]:
    outers = (gradient @ gradient.T, gradient.T @ gradient) if sides else ()
    return tuple(
        side._replace(outer=_blend(SQUARES, side.outer, outer)) for side, outer in zip(sides, outers, strict=True)
    )


def _refreshed(every: list[tuple[Factor, ...]]) -> list[tuple[Factor, ...]]:
    """One step of orthogonal iteration towards the eigenvectors."""
    return [tuple(side._replace(basis=jnp.linalg.qr(side.outer @ side.basis)[0]) for side in sides) for sides in every]


def _into(sides: tuple[Factor, ...], x: jax.Array) -> jax.Array:
    return sides[0].basis.T @ x @ sides[1].basis if sides else x


def _out_of(sides: tuple[Factor, ...], x: jax.Array) -> jax.Array:
    return sides[0].basis @ x @ sides[1].basis.T if sides else x
