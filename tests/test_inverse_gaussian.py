"""Draws of first passage times, against SciPy's distribution function."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import invgauss, kstest

from pymc_lan.numerics.samplers.inverse_gaussian import inverse_gaussian


@pytest.mark.parametrize(("mean", "shape"), [(0.3, 4.0), (2.0, 3.0), (50.0, 1.0)])
def test_draws_have_their_distribution(mean: float, shape: float) -> None:
    rng, n = np.random.default_rng(7), 20_000
    x = inverse_gaussian(rng, np.full(n, mean), mean / (2 * shape) * rng.chisquare(1, n))
    # SciPy's has the mean mu * scale and the shape scale.
    assert kstest(x, invgauss(mean / shape, scale=shape).cdf).pvalue > 1e-3


def test_small_times_of_large_means_do_not_cancel() -> None:
    # Far beyond the mean's reach these are 1 / chi-square variates, as of no drift at all.
    chi_square = np.array([0.1, 1.0, 10.0])
    mean = np.full(3, 1e12)
    x = inverse_gaussian(np.random.default_rng(1), mean, mean / 2 * chi_square)
    np.testing.assert_allclose(x, 1 / chi_square, rtol=1e-5)
