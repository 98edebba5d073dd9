"""Points that are even in ``log(t / (last - t))``: dense where densities rise, and where they have all but ended."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def share_at(even: Float) -> Float:
    """Time as a share of the last one, at values of the even variable: from 0 at -inf to 1 at inf."""
    return 1 / (1 + np.exp(-even))


def even_points(earliest: Float, last: Float, n: int, left: float) -> tuple[Float, Float, Float]:
    """Rows of points from the earliest time to shortly before the last one.

    Parameters
    ----------
    earliest, last : ndarray, shape (rows, 1)
        Seconds.
    n : int
        Points of a row.
    left : float
        The share of the last time that the last point is before it.

    Returns
    -------
    first, step : ndarray, shape (rows, 1)
        The first point and the distance of one from the next, in the even variable.
    share : ndarray, shape (rows, n)
        The points, as shares of the last time. ``last * share * (1 - share)`` is the derivative of time by the even
        variable.

    Examples
    --------
    >>> first, step, share = even_points(np.array([[0.5]]), np.array([[2.0]]), 3, 0.25)
    >>> share.round(3).tolist()
    [[0.25, 0.5, 0.75]]
    """
    first, end = np.log(earliest / (last - earliest)), np.log((1 - left) / left)
    step = (end - first) / (n - 1)
    return first, step, share_at(first + step * np.arange(n))
