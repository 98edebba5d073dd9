"""Points that are even in the log of time over what is left of it, against SciPy's logit."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from pymc_lan.numerics.even import even_points, share_at

EARLIEST, LAST = np.array([[1e-6], [0.3], [2.0]]), np.array([[1.0], [50.0], [3.0]])


def test_points_are_even_from_the_earliest_to_the_end() -> None:
    first, step, share = even_points(EARLIEST, LAST, 200, 1e-4)
    np.testing.assert_allclose(share[:, :1] * LAST, EARLIEST, rtol=1e-12)
    np.testing.assert_allclose(1 - share[:, -1], 1e-4, rtol=1e-9)
    np.testing.assert_allclose(logit(share), first + step * np.arange(200), rtol=1e-9, atol=1e-9)


def test_the_derivative_of_time() -> None:
    even, h = np.linspace(-8, 8, 33), 1e-5
    slope = (share_at(even + h) - share_at(even - h)) / (2 * h)
    np.testing.assert_allclose(share_at(even) * (1 - share_at(even)), slope, rtol=1e-6)
