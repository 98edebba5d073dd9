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
def _conditional(
    s: int,
    mean: Float,
    q: Float,
    full: Float,
    away: Float,
    hessian: Float,
    pull: Float,
    answer: Float,
    u: Float,
    m: Float,
) -> None:
    """Fill in U and m of one member."""
    k = m.size
    mu, precision = mean[s if mean.shape[0] > 1 else 0], q[s if q.shape[0] > 1 else 0]
    for i in range(k):
        m[i] = pull[s, i] + precision[i] * mu[i]
        for j in range(k):
            m[i] += full[i, j] * mu[j]
        for j in range(away.size):
            m[i] += answer[s, i, j] * away[j]
    for j in range(k - 1, -1, -1):
        for i in range(j, -1, -1):
            entry = hessian[s, i, j] + full[i, j] + (precision[j] if i == j else 0.0)
            for below in range(j + 1, k):
                entry -= u[i, below] * u[j, below]
            if i < j:
                u[i, j], u[j, i] = entry / u[j, j], 0.0
            else:
                u[j, j] = math.sqrt(entry) if entry > 0 else math.nan
    _solve(u, m)


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
def effects_of(
    first: int,
    x: Float,
    earlier: Float,
    mean: Float,
    q: Float,
    full: Float,
    away: Float,
    hessian: Float,
    pull: Float,
    answer: Float,
) -> tuple[Float, Float]:
    """Effects from standard normal values, and the logarithms of their scales.

    Returns
    -------
    theta, log_scale : ndarray, shape (members, effects from `first` on)
    """
    n, k = pull.shape
    theta, log_scale = np.empty(x.shape), np.empty(x.shape)
    u, m, delta = np.empty((k, k)), np.empty(k), np.empty(k)
    for s in range(n):
        _conditional(s, mean, q, full, away, hessian, pull, answer, u, m)
        for i in range(first + x.shape[1]):
            if i < first:
                delta[i] = earlier[s, i] - m[i]
                continue
            entry = x[s, i - first]
            for j in range(i):
                entry -= u[j, i] * delta[j]
            delta[i] = entry / u[i, i]
            theta[s, i - first] = m[i] + delta[i]
            log_scale[s, i - first] = -math.log(u[i, i])
    return theta, log_scale


@njit(cache=True)
def values_of(
    first: int,
    theta: Float,
    earlier: Float,
    mean: Float,
    q: Float,
    full: Float,
    away: Float,
    hessian: Float,
    pull: Float,
    answer: Float,
) -> Float:
    """The way back: standard normal values from effects."""
    n, k = pull.shape
    x = np.empty(theta.shape)
    u, m, delta = np.empty((k, k)), np.empty(k), np.empty(k)
    for s in range(n):
        _conditional(s, mean, q, full, away, hessian, pull, answer, u, m)
        for i in range(first + theta.shape[1]):
            delta[i] = (earlier[s, i] if i < first else theta[s, i - first]) - m[i]
            if i >= first:
                x[s, i - first] = 0.0
                for j in range(i + 1):
                    x[s, i - first] += u[j, i] * delta[j]
    return x


@njit(cache=True)
def pull_effects(
    first: int,
    x: Float,
    earlier: Float,
    mean: Float,
    q: Float,
    full: Float,
    away: Float,
    hessian: Float,
    pull: Float,
    answer: Float,
    of_theta: Float,
    of_scale: Float,
) -> tuple[Float, Float, Float, Float, Float, Float]:
    """Derivatives of `effects_of` by x, earlier, mean, q, full and away, against those by its results."""
    n, k = pull.shape
    by_x, by_earlier, by_mean = np.empty(x.shape), np.empty(earlier.shape), np.zeros(mean.shape)
    by_q, by_full, by_away = np.zeros(q.shape), np.zeros(full.shape), np.zeros(away.shape)
    u, m, delta = np.empty((k, k)), np.empty(k), np.empty(k)
    by_u, by_m, by_delta = np.empty((k, k)), np.empty(k), np.empty(k)
    last = first + x.shape[1]
    for s in range(n):
        _conditional(s, mean, q, full, away, hessian, pull, answer, u, m)
        by_u[:], by_m[:], by_delta[:] = 0.0, 0.0, 0.0
        for i in range(last):
            if i < first:
                delta[i] = earlier[s, i] - m[i]
                continue
            entry = x[s, i - first]
            for j in range(i):
                entry -= u[j, i] * delta[j]
            delta[i] = entry / u[i, i]
            by_m[i] += of_theta[s, i - first]
            by_delta[i] += of_theta[s, i - first]
        for i in range(last - 1, first - 1, -1):
            t = by_delta[i] / u[i, i]
            by_x[s, i - first] = t
            by_u[i, i] -= delta[i] * t + of_scale[s, i - first] / u[i, i]
            for j in range(i):
                by_u[j, i] -= t * delta[j]
                by_delta[j] -= t * u[j, i]
        for j in range(first):
            by_earlier[s, j] = by_delta[j]
            by_m[j] -= by_delta[j]
        _solve(u, by_m)
        of_mean, of_prior = (s if mean.shape[0] > 1 else 0), (s if q.shape[0] > 1 else 0)
        by_a = _pull_factor(u, by_u)
        _pull_conditional(by_m, by_a, m, mean[of_mean], q[of_prior], full, by_mean[of_mean], by_q[of_prior], by_full)
        for i in range(k):
            for j in range(away.size):
                by_away[j] += answer[s, i, j] * by_m[i]
    return by_x, by_earlier, by_mean, by_q, by_full, by_away


@njit(cache=True)
def _pull_conditional(
    by_right: Float,
    by_a: Float,
    m: Float,
    mean: Float,
    q: Float,
    full: Float,
    by_mean: Float,
    by_q: Float,
    by_full: Float,
) -> None:
    """Add what comes of A m = pull + answer away + P mean for one member, given derivatives by its right side and A."""
    for i in range(m.size):
        by_mean[i] += q[i] * by_right[i]
        by_q[i] += (mean[i] - m[i]) * by_right[i] + by_a[i, i]
        for j in range(m.size):
            by_mean[j] += full[i, j] * by_right[i]
            by_full[i, j] += by_right[i] * mean[j] + (by_a[i, j] + by_a[j, i]) / 2
            by_full[i, j] -= (by_right[i] * m[j] + by_right[j] * m[i]) / 2


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


def effects_of_jax(first: int, *inputs: Any) -> tuple[Any, Any]:
    """`effects_of` in JAX."""
    import jax.numpy as jnp
    from jax.scipy.linalg import solve_triangular

    x, earlier = inputs[:2]
    u, m = _conditional_jax(*inputs[2:])
    block = slice(first, first + x.shape[1])
    delta = earlier - m[:, :first]
    rest = x - jnp.einsum("sjk,sj->sk", u[:, :first, block], delta)
    mine = u[:, block, block]
    found = solve_triangular(mine, rest[..., None], trans=1)[..., 0]
    return m[:, block] + found, -jnp.log(jnp.diagonal(mine, axis1=1, axis2=2))


def values_of_jax(first: int, theta: Any, earlier: Any, *inputs: Any) -> Any:
    """`values_of` in JAX."""
    import jax.numpy as jnp

    u, m = _conditional_jax(*inputs)
    last = first + theta.shape[1]
    delta = jnp.concatenate([earlier, theta], axis=1) - m[:, :last]
    return jnp.einsum("sjk,sj->sk", u[:, :last, first:last], delta)


def _conditional_jax(mean: Any, q: Any, full: Any, away: Any, hessian: Any, pull: Any, answer: Any) -> tuple[Any, Any]:
    import jax.numpy as jnp
    from jax.scipy.linalg import solve_triangular

    prior = full + q[:, :, None] * jnp.eye(q.shape[1])
    right = pull + answer @ away + (prior @ mean[:, :, None])[..., 0]
    u = jnp.linalg.cholesky((hessian + prior)[:, ::-1, ::-1])[:, ::-1, ::-1]
    half = solve_triangular(u, right[..., None])
    return u, solve_triangular(u, half, trans=1)[..., 0]
