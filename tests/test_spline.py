"""A smooth curve through what is known: cubics come back exactly, whatever is missing among their points."""

from __future__ import annotations

import numpy as np
import pytest

from pymc_lan.numerics.spline import spline

X = np.linspace(-1, 2, 9)
MISSING = np.array([1, 4, 8])


def cubic(x: np.ndarray) -> np.ndarray:
    return 2 * x**3 - x + 0.5


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_cubic_comes_back(value: float) -> None:
    y = cubic(X)
    y[MISSING] = value
    at = np.linspace(-1, 2, 50)
    np.testing.assert_allclose(spline(X, y)(at), cubic(at), atol=1e-12)
    known = spline(X, y, extrapolate=False)(at)
    np.testing.assert_array_equal(np.isnan(known), at > X[7])
