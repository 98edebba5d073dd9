"""Members of a group given the group: the normal that a quadratic likelihood and a normal prior make of each.

A member's effects theta have the prior precision P (a diagonal ``q``, and a matrix ``full`` that all members share)
around ``mean``, and the likelihood ``-theta' H theta / 2 + theta' (pull + answer away)``, where ``away`` are values
that the likelihood has beside the member. Then theta is normal with precision A = H + P and mean m, A m = pull +
answer away + P mean. With A = U U', U upper triangular, ``x = U' (theta - m)`` is standard normal, and the k-th x
depends on the first k effects only: effects can be drawn one after another.

Shapes: ``x``, ``theta`` (members, effects from `first` on), ``earlier`` (members, first), ``mean`` and ``q`` (members
or 1, effects), ``full`` (effects, effects), ``away`` (values,), ``hessian`` (members, effects, effects), ``pull``
(members, effects), ``answer`` (members, effects, values). Compiled by numba.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float = NDArray[np.float64]


@njit(cache=True)
def conditional(
    mean: Float, q: Float, full: Float, away: Float, hessian: Float, pull: Float, answer: Float
) -> tuple[Float, Float]:
    """U and m of every member.

    Returns
    -------
    u : ndarray, shape (members, effects, effects)
        Upper triangular.
    m : ndarray, shape (members, effects)
    """
    n, k = pull.shape
    u, m = np.zeros((n, k, k)), pull.copy()
    for s in range(n):
        mu, precision = mean[s if mean.shape[0] > 1 else 0], q[s if q.shape[0] > 1 else 0]
        for i in range(k):
            m[s, i] += precision[i] * mu[i]
            for j in range(k):
                m[s, i] += full[i, j] * mu[j]
            for j in range(away.size):
                m[s, i] += answer[s, i, j] * away[j]
        for j in range(k - 1, -1, -1):
            for i in range(j, -1, -1):
                entry = hessian[s, i, j] + full[i, j] + (precision[j] if i == j else 0.0)
                for below in range(j + 1, k):
                    entry -= u[s, i, below] * u[s, j, below]
                if i < j:
                    u[s, i, j] = entry / u[s, j, j]
                else:
                    u[s, j, j] = math.sqrt(entry) if entry > 0 else math.nan
        _solve(u[s], m[s])
    return u, m


@njit(cache=True)
def _solve(u: Float, x: Float) -> None:
    """Put (U U')^-1 x in the place of x."""
    k = x.size
    for i in range(k - 1, -1, -1):
        for j in range(i + 1, k):
            x[i] -= u[i, j] * x[j]
        x[i] /= u[i, i]
    for i in range(k):
        for j in range(i):
            x[i] -= u[j, i] * x[j]
        x[i] /= u[i, i]


@njit(cache=True)
def pull_conditional(
    mean: Float,
    q: Float,
    full: Float,
    away: Float,
    answer: Float,
    u: Float,
    m: Float,
    of_u: Float,
    of_m: Float,
) -> tuple[Float, Float, Float, Float]:
    """Derivatives of `conditional` by mean, q, full and away, from those by its results."""
    n, k = m.shape
    by_mean, by_q, by_full, by_away = (
        np.zeros(mean.shape),
        np.zeros(q.shape),
        np.zeros(full.shape),
        np.zeros(away.shape),
    )
    for s in range(n):
        of_mean, of_prior = (s if mean.shape[0] > 1 else 0), (s if q.shape[0] > 1 else 0)
        mu, precision, by_a = mean[of_mean], q[of_prior], _pull_factor(u[s], of_u[s])
        # A m = right.
        by_right = of_m[s].copy()
        _solve(u[s], by_right)
        for i in range(k):
            by_mean[of_mean, i] += precision[i] * by_right[i]
            by_q[of_prior, i] += (mu[i] - m[s, i]) * by_right[i] + by_a[i, i]
            for j in range(k):
                by_mean[of_mean, j] += full[i, j] * by_right[i]
                by_full[i, j] += by_right[i] * mu[j] + (by_a[i, j] + by_a[j, i]) / 2
                by_full[i, j] -= (by_right[i] * m[s, j] + by_right[j] * m[s, i]) / 2
            for j in range(away.size):
                by_away[j] += answer[s, i, j] * by_right[i]
    return by_mean, by_q, by_full, by_away


@njit(cache=True)
def _pull_factor(u: Float, by_u: Float) -> Float:
    """Derivatives by A = U U' from those by U: U^-T Phi(U' by_u) U^-1, where Phi halves the diagonal of a triangle."""
    k = u.shape[0]
    w = np.zeros((k, k))
    for i in range(k):
        for j in range(i, k):
            for row in range(i + 1):
                w[i, j] += u[row, i] * by_u[row, j]
        w[i, i] /= 2
    # U^-T from the left, then U^-1 from the right.
    for j in range(k):
        for i in range(k):
            for row in range(i):
                w[i, j] -= u[row, i] * w[row, j]
            w[i, j] /= u[i, i]
    for i in range(k):
        for j in range(k):
            for column in range(j):
                w[i, j] -= w[i, column] * u[column, j]
            w[i, j] /= u[j, j]
    return w


@njit(cache=True)
def effects_of(first: int, x: Float, earlier: Float, u: Float, m: Float) -> tuple[Float, Float]:
    """Effects from standard normal values, and the logarithms of their scales.

    Returns
    -------
    theta, log_scale : ndarray, shape (members, effects from `first` on)
    """
    theta, log_scale, delta = np.empty(x.shape), np.empty(x.shape), np.empty(m.shape[1])
    for s in range(m.shape[0]):
        for i in range(first):
            delta[i] = earlier[s, i] - m[s, i]
        for i in range(first, first + x.shape[1]):
            delta[i] = x[s, i - first]
            for j in range(i):
                delta[i] -= u[s, j, i] * delta[j]
            delta[i] /= u[s, i, i]
            theta[s, i - first] = m[s, i] + delta[i]
            log_scale[s, i - first] = -math.log(u[s, i, i])
    return theta, log_scale


@njit(cache=True)
def values_of(first: int, theta: Float, earlier: Float, u: Float, m: Float) -> Float:
    """The way back: standard normal values from effects."""
    x, delta = np.zeros(theta.shape), np.empty(m.shape[1])
    for s in range(m.shape[0]):
        for i in range(first + theta.shape[1]):
            delta[i] = (earlier[s, i] if i < first else theta[s, i - first]) - m[s, i]
            if i >= first:
                for j in range(i + 1):
                    x[s, i - first] += u[s, j, i] * delta[j]
    return x


@njit(cache=True)
def pull_effects(
    first: int, theta: Float, earlier: Float, u: Float, m: Float, of_theta: Float, of_scale: Float
) -> tuple[Float, Float, Float, Float]:
    """Derivatives of `effects_of` by x, earlier, u and m, from those by its results; theta is one of these."""
    k, last = m.shape[1], first + theta.shape[1]
    by_x, by_earlier, by_u, by_m = np.empty(theta.shape), np.empty(earlier.shape), np.zeros(u.shape), np.zeros(m.shape)
    delta, by_delta = np.empty(k), np.empty(k)
    for s in range(m.shape[0]):
        for i in range(last):
            delta[i] = (earlier[s, i] if i < first else theta[s, i - first]) - m[s, i]
            by_delta[i] = 0.0 if i < first else of_theta[s, i - first]
            by_m[s, i] = by_delta[i]
        for i in range(last - 1, first - 1, -1):
            by_x[s, i - first] = t = by_delta[i] / u[s, i, i]
            by_u[s, i, i] = -delta[i] * t - of_scale[s, i - first] / u[s, i, i]
            for j in range(i):
                by_u[s, j, i] = -t * delta[j]
                by_delta[j] -= t * u[s, j, i]
        for j in range(first):
            by_earlier[s, j] = by_delta[j]
            by_m[s, j] -= by_delta[j]
    return by_x, by_earlier, by_u, by_m


def conditional_jax(mean: Any, q: Any, full: Any, away: Any, hessian: Any, pull: Any, answer: Any) -> tuple[Any, Any]:
    """`conditional` in JAX."""
    import jax.numpy as jnp
    from jax.scipy.linalg import solve_triangular

    prior = full + q[:, :, None] * jnp.eye(q.shape[1])
    right = pull + answer @ away + (prior @ mean[:, :, None])[..., 0]
    u = jnp.linalg.cholesky((hessian + prior)[:, ::-1, ::-1])[:, ::-1, ::-1]
    half = solve_triangular(u, right[..., None])
    return u, solve_triangular(u, half, trans=1)[..., 0]


def effects_of_jax(first: int, x: Any, earlier: Any, u: Any, m: Any) -> tuple[Any, Any]:
    """`effects_of` in JAX."""
    import jax.numpy as jnp
    from jax.scipy.linalg import solve_triangular

    block = slice(first, first + x.shape[1])
    rest = x - jnp.einsum("sjk,sj->sk", u[:, :first, block], earlier - m[:, :first])
    mine = u[:, block, block]
    found = solve_triangular(mine, rest[..., None], trans=1)[..., 0]
    return m[:, block] + found, -jnp.log(jnp.diagonal(mine, axis1=1, axis2=2))


def values_of_jax(first: int, theta: Any, earlier: Any, u: Any, m: Any) -> Any:
    """`values_of` in JAX."""
    import jax.numpy as jnp

    last = first + theta.shape[1]
    return jnp.einsum("sjk,sj->sk", u[:, :last, first:last], jnp.concatenate([earlier, theta], axis=1) - m[:, :last])
