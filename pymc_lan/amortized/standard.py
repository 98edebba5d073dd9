"""The scale on which networks see and answer, and what data sets from the prior look like to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, count
from math import comb
from typing import final

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Share of data sets from the prior that are called unusual.
UNUSUAL = 0.02
# What is added to variances, in units in which numbers are near 1, so that what is the same everywhere has one.
FLAT, NOTHING, RIDGE = 1e-6, 1e-6, 1e-5
# The same for what is left over, much of which moves together.
LOOSE = 1e-3
# Data sets that a term of a polynomial asks for, and where its variables are cut.
ENOUGH, FARTHEST = 20, 6.0


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
class Misfit:
    """What data sets from the prior look like to a network, given its own answer to them.

    A model that is not a subject's may answer their data with parameters that are common, and yet data sets of these
    parameters look otherwise. What is seen of a data set as a whole is predicted from the answer; what is left over is
    put in units of what it is for such answers, and compared with that of data sets from the prior.

    Parameters
    ----------
    fit : ndarray of shape (n_terms, k)
        From products of an answer, up to cubes, to the k numbers of a data set as a whole.
    scatter : ndarray of shape (n_terms, k)
        To the logs of squares of what is left over, from products up to squares.
    centre, whiten : ndarray of shape (k,) and (k, k)
        What is left over, less the centre, times this has the identity as its covariance.
    limit : float
    """

    fit: Float
    scatter: Float
    centre: Float
    whiten: Float
    limit: float

    @classmethod
    def of(cls, whole: Float, answers: Float) -> Misfit:
        """Of the wholes (n, k) of data sets from the prior, and the answers to them (n, n_values); without a limit."""
        most, n = len(whole) // ENOUGH, answers.shape[1] + 1
        curved, less = (terms(whole, answers, _number(n, degree, most)) for degree in (3, 2))
        fit = _least_squares(curved, whole)
        scatter = _least_squares(less, np.log((whole - curved @ fit) ** 2 + NOTHING))
        made = cls(fit, scatter, np.zeros(whole.shape[1]), np.eye(whole.shape[1]), 1.0)
        left = made.left_over(whole, answers)
        return cls(fit, scatter, left.mean(axis=0), _whitening(left, LOOSE), 1.0)

    def left_over(self, whole: Float, answers: Float) -> Float:
        """What is left over of wholes, in units of what it is for such answers."""
        expected, square = (terms(whole, answers, len(x)) @ x for x in (self.fit, self.scatter))
        found: Float = (whole - expected) / np.exp(0.5 * square)
        return found

    def distances(self, whole: Float, answers: Float) -> Float:
        """Of data sets, in units of the limit."""
        away = (self.left_over(whole, answers) - self.centre) @ self.whiten
        found: Float = np.linalg.norm(away, axis=1) / self.limit
        return found


def terms(whole: Float, answers: Float, n: int) -> Float:
    """The first n products of answers and of the number of trials, which is the first of what is seen as a whole.

    Examples
    --------
    >>> terms(np.array([[2.0]]), np.array([[3.0]]), 6)
    array([[1., 3., 2., 9., 6., 4.]])
    """
    x = np.clip(np.column_stack([answers, whole[:, 0]]), -FARTHEST, FARTHEST)
    found = [np.ones(len(x))]
    for degree in count(1):
        for which in combinations_with_replacement(range(x.shape[1]), degree):
            if len(found) == n:
                return np.column_stack(found)
            found.append(x[:, which].prod(axis=1))
    raise AssertionError


def _number(n: int, degree: int, most: int) -> int:
    """Of products of n variables up to a degree, or to a lower one where these would be too many."""
    numbers = [comb(n + i, i) for i in range(1, degree + 1)]
    return max([x for x in numbers if x <= most], default=numbers[0])


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
    misfit : Misfit, optional
        What they look like given the network's answer.
    """

    centre: Float
    whiten: Float
    limit: float
    misfit: Misfit | None = None

    @classmethod
    def of(cls, conditions: Float, answers: Float | None = None, k: int = 0) -> Usual:
        """Of data sets from the prior; some of them say how far others may be.

        Parameters
        ----------
        conditions : ndarray of shape (n, m)
            What the network's draws depend on, of each data set.
        answers : ndarray of shape (n, n_values), optional
            The middles of its draws.
        k : int
            How many of the conditions are of a data set as a whole: the first ones.
        """
        some = len(conditions) // 2 if answers is None else 3 * len(conditions) // 4
        centre = conditions[:some].mean(axis=0)
        marginal = cls(centre, _whitening(conditions[:some] - centre, FLAT), 1.0)
        far = np.array([marginal.distance(x) for x in conditions[some:]])
        if answers is None:
            return replace(marginal, limit=float(np.quantile(far, 1 - UNUSUAL)))
        misfit = Misfit.of(conditions[:some, :k], answers[:some])
        apart = misfit.distances(conditions[some:, :k], answers[some:])
        # Each alone is exceeded by as many, and both together by the share that is wanted.
        limits = [float(np.quantile(x, 1 - UNUSUAL)) for x in (far, apart)]
        both = float(np.quantile(np.maximum(far / limits[0], apart / limits[1]), 1 - UNUSUAL))
        return replace(marginal, limit=both * limits[0], misfit=replace(misfit, limit=both * limits[1]))

    def distance(self, condition: Float, answer: Float | None = None) -> float:
        """In units of the limit: from all data sets, or from those of such an answer, whichever is larger."""
        far = float(np.linalg.norm((condition - self.centre) @ self.whiten) / self.limit)
        if self.misfit is None or answer is None:
            return far
        k = len(self.misfit.centre)
        return max(far, float(self.misfit.distances(condition[None, :k], answer[None])[0]))


def _least_squares(x: Float, y: Float) -> Float:
    """Coefficients, (n_x, n_y), with a little pull towards none."""
    found: Float = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
    return found


def _whitening(x: Float, flat: float) -> Float:
    """What makes the covariance of rows the identity."""
    bend, directions = np.linalg.eigh(np.cov(x.T) + flat * np.eye(x.shape[1]))
    found: Float = directions / np.sqrt(bend)
    return found
