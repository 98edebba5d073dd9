r"""How often an observer picks the odd one of three: exact, in one dimension and two.

Two percepts, x1 and x2, are normal around the reference, one, x3, around the comparison. The answer is right when x1
and x2 are the closest pair, in the metric A of the mean covariance, ``A = (2 S_reference + S_comparison) / 3``. In
units in which A is the identity, ``w = sqrt(3/4) (x1 - x2)`` and ``m = x3 - (x1 + x2) / 2`` are independent, with
covariances 3 T and 3 (1 - T), T half the reference's covariance, and means 0 and the displacement. What counts is the
shape of the triangle: with ``z = m + i w``, a vector of complex numbers, the answer is right where the argument of
``z . z = |m|^2 - |w|^2 + 2 i m . w`` is between -60 and 60 degrees (each pair is the closest in a third of the circle).

* In one dimension z . z = z^2, so the argument of z is between -30 and 30 degrees or opposite, and the normal
  probability of such a pair of wedges is 1 - 4 T (`pymc_lan.numerics.owen`).
* In two, every z is ``r e^(i psi) R(phi) (cos chi, i sin chi)``, R a rotation, with ``arg z . z = 2 psi`` and volume
  ``r^3 cos(2 chi) dr dchi dphi dpsi``. The integral over r has a closed form; the other three are smooth and converge
  exponentially by Gauss-Legendre (chi, psi) and trapezoidal (phi) sums.

The triangle's shape space: Kendall (1984), Bulletin of the London Mathematical Society 16, 81-121. Oddity task:
Hong et al. (2025), eLife 14:RP108943.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]

# Nodes over chi, phi and psi: enough for a relative error of 1e-5 where no T is below 0.005, and of 1e-9 where none is
# below 0.05 (displacements up to 16).
NODES = (32, 48, 24)
# Points whose integrands are held in memory at once.
BLOCK = 64


def wrong_in_two_dimensions(
    t1: ArrayLike, t2: ArrayLike, d1: ArrayLike, d2: ArrayLike, nodes: tuple[int, int, int] = NODES
) -> Float:
    """Probability of a wrong answer in two dimensions, to about 1e-9.

    Parameters
    ----------
    t1, t2 : array_like, shape (n,)
        Eigenvalues of T: half the reference's variances in units of the mean covariance, above 0 and below 0.75.
    d1, d2 : array_like, shape (n,)
        The displacement along the same axes, in the same units.
    nodes : tuple of int
        Of the sums over chi, phi and psi.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    Chance, two answers in three, where all percepts are alike:

    >>> wrong_in_two_dimensions(0.5, 0.5, 0.0, 0.0).round(6).tolist()
    [0.666667]
    """
    given = np.stack(np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, float)) for x in (t1, t2, d1, d2))))
    points, weights = _directions(*nodes)
    blocks = np.array_split(given, max(math.ceil(given.shape[1] / BLOCK), 1), axis=1)
    return np.concatenate([_mass(points, weights, *block) for block in blocks])


def _directions(n_chi: int, n_phi: int, n_psi: int) -> tuple[Float, Float]:
    """Directions (m1, m2, w1, w2) with a wrong answer, a quarter of them all, shape (4, k), and their share of volume.

    Those opposite have the same answers, as have those with w turned round; `_mass` adds the former.
    """
    x, by_x = leggauss(n_chi)
    y, by_y = leggauss(n_psi)
    psi = math.pi / 3 + math.pi / 6 * y
    angles = np.meshgrid(math.pi / 4 * x, (np.arange(n_phi) + 0.5) * math.pi / n_phi, psi, indexing="ij")
    chi, phi, psi = (angle.ravel() for angle in angles)
    along, across = np.stack([np.cos(phi), np.sin(phi)]), np.stack([-np.sin(phi), np.cos(phi)])
    m = np.cos(psi) * np.cos(chi) * along - np.sin(psi) * np.sin(chi) * across
    w = np.sin(psi) * np.cos(chi) * along + np.cos(psi) * np.sin(chi) * across
    each = (math.pi / 4 * by_x)[:, None, None] * (math.pi / n_phi) * (math.pi / 6 * by_y)
    volume = np.broadcast_to(each, (n_chi, n_phi, n_psi)).ravel() * np.cos(2 * chi)
    return np.concatenate([m, w]), 2 * volume


def _mass(points: Float, volume: Float, t1: Float, t2: Float, d1: Float, d2: Float) -> Float:
    """The normal probability of rays, shape (n,): a radial integral of r^3 exp(-(a r^2 - 2 b r + c) / 2) for each."""
    from scipy.special import erf  # late: it changes how Python warns

    precision = np.stack([1 / (3 * (1 - t1)), 1 / (3 * (1 - t2)), 1 / (3 * t1), 1 / (3 * t2)])
    pull = np.stack([d1, d2]) * precision[:2]
    c = (pull * np.stack([d1, d2])).sum(axis=0)
    a = precision.T @ points**2
    b = pull.T @ points[:2] / np.sqrt(a)
    square = b * b
    # Both ways along the ray at once.
    radial = 2 * (square + 2) * np.exp(-c / 2)[:, None]
    radial += np.exp((square - c[:, None]) / 2) * b * (square + 3) * (math.sqrt(2 * math.pi) * erf(b / math.sqrt(2)))
    mass: Float = (radial / (a * a)) @ volume * np.sqrt(precision.prod(axis=0)) / (2 * math.pi) ** 2
    return mass
