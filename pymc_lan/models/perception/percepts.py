"""What an observer perceives: normal percepts around stimuli, drawn; and forms of covariances, for any namespace.

A covariance of one dimension is the tuple ``(xx,)``, of two ``(xx, xy, yy)``, of arrays over trials: elementwise
formulas, which every backend compiles at once, where batches of matrices take minutes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Vector = tuple[Any, ...]
Covariance = tuple[Any, ...]

# The dimensions of stimuli for which there are formulas.
DIMENSIONS = (1, 2)


class Trial(NamedTuple):
    """The two stimuli of a trial, as far as an answer depends on them.

    Parameters
    ----------
    displacement : tuple of array
        From the reference to the comparison, by dimension.
    reference, comparison : tuple of array
        Covariances of percepts of either.
    """

    displacement: Vector
    reference: Covariance
    comparison: Covariance


def total(one: Covariance, other: Covariance, times: float = 1.0) -> Covariance:
    """The first covariance so many times, and the second."""
    return tuple(times * x + y for x, y in zip(one, other, strict=True))


def determinant(form: Covariance) -> Any:
    """The determinant."""
    if len(form) == 1:
        return form[0]
    xx, xy, yy = form
    return xx * yy - xy * xy


def proper(xp: Any, form: Covariance) -> Any:
    """Whether it is a covariance, of percepts that vary in every direction."""
    return form[0] > 0 if len(form) == 1 else xp.minimum(form[0], determinant(form)) > 0


def solve(form: Covariance, x: Vector) -> Vector:
    """The vector that a covariance turns into `x`."""
    if len(form) == 1:
        return (x[0] / form[0],)
    xx, xy, yy = form
    inverse = 1 / (xx * yy - xy * xy)
    return (yy * x[0] - xy * x[1]) * inverse, (xx * x[1] - xy * x[0]) * inverse


def dot(x: Vector, y: Vector) -> Any:
    """The sum of products."""
    return sum(a * b for a, b in zip(x, y, strict=True))


def variance(form: Covariance, y: Vector) -> Any:
    """The variance of percepts along y, of which its square is a factor."""
    if len(form) == 1:
        return form[0] * y[0] * y[0]
    xx, xy, yy = form
    return xx * y[0] * y[0] + 2 * xy * y[0] * y[1] + yy * y[1] * y[1]


def trace_of_quotient(form: Covariance, other: Covariance) -> Any:
    """The trace of the inverse of the first covariance times the second."""
    if len(form) == 1:
        return other[0] / form[0]
    (axx, axy, ayy), (xx, xy, yy) = form, other
    return (ayy * xx - 2 * axy * xy + axx * yy) / determinant(form)


def as_trial(displacement: Float, reference: Float, comparison: Float) -> Trial:
    """Displacements (..., d) and covariances (..., d, d) as formulas take them."""
    d = displacement.shape[-1]
    forms = [tuple(x[..., i, j] for i in range(d) for j in range(i, d)) for x in (reference, comparison)]
    return Trial(tuple(displacement[..., i] for i in range(d)), *forms)


def draw_percepts(rng: np.random.Generator, references: int, trial: Trial, n: int) -> list[Vector]:
    """Draw the percepts of n trials: of the reference, which is at 0, as often as it is shown, then of the comparison.

    Parameters
    ----------
    rng : numpy.random.Generator
    references : int
    trial : Trial
        Of arrays of shape (n,) or ().
    n : int

    Returns
    -------
    list of tuple of ndarray, shape (n,)
        The coordinates of each percept.
    """
    shown = [_draw(rng, trial.reference, n) for _ in range(references)]
    noise = _draw(rng, trial.comparison, n)
    return [*shown, tuple(x + y for x, y in zip(trial.displacement, noise, strict=True))]


def _draw(rng: np.random.Generator, form: Covariance, n: int) -> Vector:
    """Draw normal vectors by the root of their covariance that has nothing above its diagonal."""
    first = np.sqrt(form[0])
    x = rng.standard_normal(n)
    if len(form) == 1:
        return (first * x,)
    across = form[1] / first
    return first * x, across * x + np.sqrt(form[2] - across * across) * rng.standard_normal(n)
