"""A smooth curve through what is known of a solution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def spline(x: Float, y: Float, *, extrapolate: bool = True) -> Any:
    """A cubic spline through those points that are finite.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        `x` ascending.
    extrapolate : bool
        Whether it goes on beyond them; NaN there if not.

    Returns
    -------
    scipy.interpolate.CubicSpline

    Examples
    --------
    >>> curve = spline(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, np.nan, 9.0, 16.0]))
    >>> float(curve(2.0).round(12))
    4.0
    """
    # Not above: importing it changes the filters of warnings.
    from scipy.interpolate import CubicSpline

    known = np.isfinite(y)
    return CubicSpline(x[known], y[known], extrapolate=extrapolate)
