"""The scale on which networks see and answer, and what data sets from the prior look like to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Share of data sets from the prior that are called unusual.
UNUSUAL = 0.02


def too_many(odd: int, n: int) -> bool:
    """Whether more data sets are unusual than chance would have it.

    Examples
    --------
    >>> too_many(1, 3), too_many(2, 3), too_many(60, 1000), too_many(61, 1000)
    (False, True, False, True)
    """
    return odd > max(1, 3 * UNUSUAL * n)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """Mean and standard deviation of what a network sees and answers, by ``trials``, ``whole`` and ``values``.

    Parameters
    ----------
    centre, spread : mapping of str to ndarray
    """

    centre: Mapping[str, Float]
    spread: Mapping[str, Float]

    def of(self, name: str, x: Float) -> Float:
        """Standardised."""
        found: Float = (x - self.centre[name]) / self.spread[name]
        return found


@final
@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """What data sets from the prior look like to a network (Schmitt, Buerkner, Koethe & Radev 2021, arXiv:2112.08866).

    Parameters
    ----------
    centre : ndarray of shape (m,)
    whiten : ndarray of shape (m, m)
        Data sets from the prior, less their centre, times this have the identity as their covariance.
    limit : float
        The distance that few of them exceed.
    """

    centre: Float
    whiten: Float
    limit: float

    @classmethod
    def of(cls, conditions: Float) -> Usual:
        """Of the conditions of data sets from the prior, one a row; half of them say how far others may be."""
        half = len(conditions) // 2
        centre = conditions[:half].mean(axis=0)
        bend, directions = np.linalg.eigh(np.cov((conditions[:half] - centre).T) + 1e-6 * np.eye(conditions.shape[1]))
        whiten = directions / np.sqrt(bend)
        far = np.linalg.norm((conditions[half:] - centre) @ whiten, axis=1)
        return cls(centre, whiten, float(np.quantile(far, 1 - UNUSUAL)))

    def distance(self, condition: Float) -> float:
        """In units of the limit."""
        return float(np.linalg.norm((condition - self.centre) @ self.whiten) / self.limit)
