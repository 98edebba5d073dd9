"""The normal approximation at a mode: second derivatives of a log density, and draws from what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.inference.posterior import Point

# Columns of the Hessian that are computed at once.
COLUMNS = 8
# Parameters that a message names.
SHOWN = 5
# What JAX raises where a function has no forward-mode derivative, or no second derivative at all.
NO_SECOND = (TypeError, ValueError, NotImplementedError)


def labels_of(position: Point) -> list[str]:
    """One name for every element of the flat vector, in the order of `ravel_pytree`: by name."""
    return [
        name + (f"[{', '.join(map(str, i))}]" if (i := np.unravel_index(k, x.shape)) else "")
        for name, x in sorted(position.items())
        for k in range(x.size)
    ]


def precision_at(density: Callable[..., Any], flat: Any, unravel: Callable[..., Any]) -> NDArray[np.float64]:
    """Minus the second derivatives of the log density, a few columns at a time.

    By forward derivatives of the gradient; where a likelihood has reverse-mode derivatives alone, as one that was given
    to JAX with its gradient, by differences of the gradient.
    """
    import jax
    import jax.numpy as jnp

    gradient = jax.grad(lambda x: -density(unravel(x)))
    try:
        columns = jax.jit(
            lambda x: jax.lax.map(
                lambda direction: jax.jvp(gradient, (x,), (direction,))[1], jnp.eye(x.size), batch_size=COLUMNS
            )
        )
        found = np.asarray(columns(flat))
    except NO_SECOND:
        found = _differences(jax.jit(gradient), np.asarray(flat, np.float64))
    return (found + found.T) / 2


def _differences(gradient: Callable[..., Any], flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Central differences of a gradient, of fourth order: its error is that of the gradient over the step."""
    # Values are unconstrained, of the order of 1 or of their own size.
    steps = np.finfo(np.asarray(gradient(flat)).dtype).eps ** 0.2 * np.maximum(1.0, np.abs(flat)) / 4
    rows = []
    for i, h in enumerate(steps):
        move = np.zeros_like(flat)
        move[i] = h
        near, far = (np.asarray(gradient(flat + k * move)) - np.asarray(gradient(flat - k * move)) for k in (1, 2))
        rows.append((8 * near - far) / (12 * h))
    return np.array(rows)


def normal_draws(
    precision: NDArray[np.float64], n: int, rng: np.random.Generator, labels: list[str]
) -> NDArray[np.float64]:
    """Rows drawn from the normal distribution around 0 whose covariance is the inverse of `precision`."""
    if not np.isfinite(precision).all():
        bad = [labels[i] for i in np.flatnonzero(~np.isfinite(precision).all(axis=1))[:SHOWN]]
        remedy = "draw with pm.sample instead"
        raise ValueError(explain("finite second derivatives at the mode", f"others by {', '.join(bad)}", remedy))
    values, vectors = np.linalg.eigh(precision)
    # What the data and priors do not hold has a curvature of 0, but for rounding.
    if values[0] <= values[-1] * len(values) * np.finfo(float).eps:
        main = [labels[i] for i in np.argsort(-np.abs(vectors[:, 0]))[:SHOWN]]
        raise ValueError(
            explain(
                "a density that falls off in every direction from the mode",
                f"one that does not, mostly along {', '.join(main)}",
                "give them tighter priors, go on to convergence, or draw with pm.sample instead",
            )
        )
    return rng.standard_normal((n, len(values))) / np.sqrt(values) @ vectors.T
