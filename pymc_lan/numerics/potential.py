"""A potential between two absorbing walls, and what it does to the first passage of a Brownian motion.

By Girsanov's theorem a drift m(x) changes the density of a first passage by a factor of the two ends of the path, and
lets paths die at the rate ``W(x) = (m(x)^2 + m'(x)) / 2``. What is left is the heat equation with the potential W:
late, its lowest state decays. In the basis of sines, the motion's own without W, that is the lowest eigenvector of a
small matrix. `pymc_lan.models.diffusion.path_view` has the drift and the ends. Here the walls are at -1 and 1, and time
is in units of the half width's square.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from pymc_lan.numerics.passage import LOG_SQRT_2PI

Column = list[Any]
Triangle = list[list[Any]]

# Sines in the basis, and their energies.
BASIS = 7
_ENERGIES = [(k * math.pi) ** 2 / 8 for k in range(1, BASIS + 1)]
# Where the potential is looked at: between these points it is taken for the polynomial through all of them.
ACROSS: list[float] = np.polynomial.legendre.leggauss(5)[0].tolist()
# Inverse iteration starts this far below the estimate of the lowest energy, and takes so many steps.
_BELOW, _STEPS = 0.7, 2
# Shares of the lowest state that are smaller are as good as none.
_LEAST = 2e-3
_TINY = 1e-12
# When the lowest state comes about, and when the potential along the typical path is forgotten: they describe an
# Ornstein-Uhlenbeck process between constant boundaries, to 0.025 nats in the root mean square.
_ONSET, _LAG, _FORGOTTEN = 5.6, 0.35, (2.6, 2.1)
# The first images suffice up to the one time, the first sines from the other on; they change places in between.
_IMAGES, _SINES, _CHANGE = 1.0, 0.4, 0.6


def _turning() -> list[list[float]]:
    """What the potential at each of `ACROSS` adds to its integrals with cos(m pi (x + 1) / 2), for m from 0 on.

    Up to the middle point: the others add the same for even m, and the opposite for odd m, which the middle spares.
    """
    x, w = np.polynomial.legendre.leggauss(40)
    through = np.linalg.inv(np.polynomial.legendre.legvander(np.array(ACROSS), len(ACROSS) - 1))
    m = np.arange(2 * BASIS + 1)[:, None]
    waves = w * np.cos(m * np.pi * (x + 1) / 2)
    found = waves @ np.polynomial.legendre.legvander(x, len(ACROSS) - 1) @ through
    return [row[: len(ACROSS) // 2 + 1 - k % 2].tolist() for k, row in enumerate(found)]


_TURNING = _turning()


def log_spared(potential: Column, on_path: Any, start: Any, time: Any) -> Any:
    """Log of the factor that a potential brings to the density of a first passage to the upper wall.

    Parameters
    ----------
    potential : list of array
        At `ACROSS`.
    on_path : array
        Its mean along the typical path of a short passage, which is straight.
    start : array
        Where the motion starts.
    time : array
        Of the passage.

    Returns
    -------
    array
    """
    lowest, log_share = _lowest_state(_energy(potential), start)
    rate = lowest - _ENERGIES[0]
    aged = _ONSET * time
    settled = 1 - jnp.exp(-aged) * (1 + aged + _LAG * aged**2)
    early = jnp.exp(-_FORGOTTEN[0] * time - _FORGOTTEN[1] * time**2)
    return settled * log_share - time * (rate + early * (on_path - rate))


def log_free(start: Any, time: Any) -> Any:
    """Log of the density of a first passage to the upper wall without a potential, over its tangent approximation.

    To 0.001: early by images, late by sines (Feller 1968, An Introduction to Probability Theory and its Applications 1,
    chapter 14.6). What it is compared with is the density with the upper wall alone, times the chance that a Brownian
    bridge keeps clear of the lower one, ``1 - exp(-4 (1 + start) / time)``.
    """
    distance = 1 - start
    short, long = jnp.minimum(time, _IMAGES), jnp.maximum(time, _SINES)
    near = jnp.exp(-4 * (1 + start) / short)
    images = 1 - (4 - distance) / distance * near + (4 + distance) / distance * jnp.exp(-4 * (3 - start) / short)
    waves = _waves(start, 3)
    falls = [jnp.exp((_ENERGIES[0] - e) * long) for e in _ENERGIES[:3]]
    sines = sum((-1) ** k * (k + 1) * wave * fall for k, (wave, fall) in enumerate(zip(waves, falls, strict=True)))
    sines = jnp.log(math.pi / 4 * sines * jnp.sin(math.pi / 2 * (start + 1)) / distance) - _ENERGIES[0] * long
    sines = sines + LOG_SQRT_2PI + 1.5 * jnp.log(long) + distance**2 / (2 * long)
    share = 1 / (1 + (time / _CHANGE) ** 8)
    kept = jnp.log(-jnp.expm1(-4 * (1 + start) / time))
    return share * jnp.log(images) + (1 - share) * sines - kept


def _waves(start: Any, n: int) -> Column:
    """sin(k x) / sin(x) at x = pi (start + 1) / 2, for k from 1 to n."""
    turned = 2 * jnp.cos(math.pi / 2 * (start + 1))
    waves = [jnp.ones_like(turned), turned]
    while len(waves) < n:
        waves.append(turned * waves[-1] - waves[-2])
    return waves


def _energy(potential: Column) -> Triangle:
    """The energy's matrix, rows of its lower half."""
    n = len(potential)
    even = [potential[i] + potential[-1 - i] for i in range(n // 2)] + [potential[n // 2]]
    odd = [potential[i] - potential[-1 - i] for i in range(n // 2)]
    turns = [_dot(row, odd if m % 2 else even) for m, row in enumerate(_TURNING)]
    return [
        [(turns[j - k] - turns[j + k + 2]) / 2 + (_ENERGIES[j] if j == k else 0.0) for k in range(j + 1)]
        for j in range(BASIS)
    ]


def _lowest_state(energy: Triangle, start: Any) -> tuple[Any, Any]:
    """The lowest energy, and log of what its state is at the start and at the upper wall, relative to the sine's."""
    guess, state = _guess(energy)
    shift = guess - _BELOW
    lower, inverse = _factors([[*row[:-1], row[-1] - shift] for row in energy])
    for _ in range(_STEPS):
        before, state = state, _solve(lower, inverse, state)
    size = _dot(state, state)
    lowest, norm = shift + _dot(before, state) / size, jnp.sqrt(size)
    at_wall = [(-1) ** k * (k + 1) for k in range(BASIS)]
    return lowest, _log_positive(_dot(_waves(start, BASIS), state) / norm) + _log_positive(_dot(at_wall, state) / norm)


def _guess(energy: Triangle) -> tuple[Any, Column]:
    """About the lowest energy and its state: of the first two sines, and what the third does to it."""
    mean, half = (energy[1][1] + energy[0][0]) / 2, (energy[1][1] - energy[0][0]) / 2
    root = jnp.sqrt(half**2 + energy[1][0] ** 2 + _TINY)
    size = jnp.sqrt((half + root) ** 2 + energy[1][0] ** 2)
    first, second = (half + root) / size, -energy[1][0] / size
    pull, gap = first * energy[2][0] + second * energy[2][1], energy[2][2] - mean + root
    return mean - root - pull**2 / gap, [first, second, -pull / gap, *[0.0] * (BASIS - 3)]


def _log_positive(x: Any) -> Any:
    return jnp.log((x + jnp.sqrt(x**2 + _LEAST**2)) / 2)


def _factors(matrix: Triangle) -> tuple[Triangle, Column]:
    """L and the inverse of D, where the matrix is L D L' with ones on the diagonal of L."""
    lower: Triangle = [[] for _ in matrix]
    pivots: Column = []
    inverse: Column = []
    for j, row in enumerate(matrix):
        scaled = [x * d for x, d in zip(lower[j], pivots, strict=True)]
        pivots.append(row[j] - _dot(lower[j], scaled))
        inverse.append(1 / pivots[j])
        for below, x in zip(lower[j + 1 :], matrix[j + 1 :], strict=True):
            below.append((x[j] - _dot(below, scaled)) * inverse[j])
    return lower, inverse


def _solve(lower: Triangle, inverse: Column, state: Column) -> Column:
    found: Column = []
    for row, x in zip(lower, state, strict=True):
        found.append(x - _dot(row, found))
    found = [x * d for x, d in zip(found, inverse, strict=True)]
    for i in reversed(range(len(found))):
        found[i] = found[i] - _dot([row[i] for row in lower[i + 1 :]], found[i + 1 :])
    return found


def _dot(x: Any, y: Any) -> Any:
    return sum(a * b for a, b in zip(x, y, strict=True))
