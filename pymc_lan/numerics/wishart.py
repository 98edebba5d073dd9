"""The covariance field of a Wishart process: a basis over stimulus space, and covariances from weights.

U(x) = sum_k W_k T_k(x) with products T_k of Chebyshev polynomials, and Sigma(x) = U(x) U(x)' + diagonal I. With W
normal, Sigma(x) - diagonal I is a Wishart variable at every x (Hong et al., 2026, eLife 14, RP108943).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.numerics.passage import Namespace


def total_degrees(degree: int, d: int) -> NDArray[np.int64]:
    """Total degree of each product of polynomials, shape (degree + 1,) * d.

    Examples
    --------
    >>> total_degrees(1, 2)
    array([[0, 1],
           [1, 2]])
    """
    return np.indices((degree + 1,) * d).sum(axis=0)


def polynomials(xp: Namespace, x: Any, degree: int) -> Any:
    """Chebyshev polynomials T_0 to T_degree, by their recurrence, along a new last axis.

    Examples
    --------
    >>> polynomials(np, np.array([0.5]), 3)
    array([[ 1. ,  0.5, -0.5, -1. ]])
    """
    found = [xp.ones_like(x), x]
    while len(found) <= degree:
        found.append(2.0 * x * found[-1] - found[-2])
    return xp.stack(found[: degree + 1], axis=-1)


def basis(xp: Namespace, x: Any, degree: int) -> Any:
    """Products of Chebyshev polynomials of each coordinate.

    Parameters
    ----------
    xp : module
    x : array of shape (n, d)
    degree : int

    Returns
    -------
    array of shape (n, (degree + 1)**d)
        The last coordinate's degree changes fastest.
    """
    t = polynomials(xp, x, degree)
    found = t[:, 0, :]
    for i in range(1, t.shape[1] if xp is np else t.type.shape[1]):
        found = xp.reshape(found[:, :, None] * t[:, i, None, :], (t.shape[0], (degree + 1) ** (i + 1)))
    return found


def roots(xp: Namespace, phi: Any, weights: Any, shape: tuple[int, ...]) -> Any:
    """U at n stimuli, of one set of weights or of several.

    Parameters
    ----------
    xp : module
    phi : array of shape (n, k)
        The basis.
    weights : array of shape (m, k, d, d + extra)
    shape : tuple of int
        The last two.

    Returns
    -------
    array of shape (m, n, d, d + extra)
    """
    # One product of two matrices, however many sets there are.
    by_function = xp.reshape(xp.moveaxis(weights, 1, 0), (weights.shape[1], weights.shape[0] * math.prod(shape)))
    found = xp.reshape(phi @ by_function, (phi.shape[0], weights.shape[0], *shape))
    return xp.moveaxis(found, 1, 0)


def covariances(xp: Namespace, u: Any, diagonal: Any, d: int) -> Any:
    """U U' + diagonal I, of U of shape (..., d, d + extra)."""
    return (u[..., :, None, :] * u[..., None, :, :]).sum(axis=-1) + diagonal * np.eye(d)


def log_determinants(xp: Namespace, u: Any, diagonal: Any, d: int) -> Any:
    """Log determinant of U U' + diagonal I, of U of shape (..., d, d + extra).

    By the lengths of the rows of [U, sqrt(diagonal) I], each without what it shares with those before. None of these is
    below the root of the diagonal, so that the sum is finite where a determinant, the difference of two large products,
    would be 0 or below.
    """
    rows = [u[..., i, :] for i in range(d)]
    beside = [[xp.sqrt(diagonal) * float(i == j) + 0.0 * rows[0][..., :1] for j in range(d)] for i in range(d)]
    rows = [xp.concatenate([row, *own], axis=-1) for row, own in zip(rows, beside, strict=True)]
    total = 0.0
    for i in range(d):
        square = (rows[i] ** 2).sum(axis=-1)
        total = total + xp.log(square)
        for j in range(i + 1, d):
            rows[j] = rows[j] - ((rows[i] * rows[j]).sum(axis=-1) / square)[..., None] * rows[i]
    return total


def outlines(covariance: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the centre at which each direction leaves the ellipse of Mahalanobis distance 1.

    Parameters
    ----------
    covariance : ndarray of shape (..., 2, 2)
    angles : ndarray of shape (k,)

    Returns
    -------
    ndarray of shape (..., k)

    Examples
    --------
    >>> outlines(np.diag([4.0, 1.0]), np.array([0.0, np.pi / 2]))
    array([2., 1.])
    """
    direction = np.stack([np.cos(angles), np.sin(angles)])
    return np.asarray(1.0 / np.sqrt(np.sum(direction * np.linalg.solve(covariance, direction), axis=-2)))
