"""Weights whose tail is smoothed by the generalised Pareto distribution that fits it.

Vehtari, Simpson, Gelman, Yao & Gabry (2024), Pareto smoothed importance sampling, Journal of Machine Learning Research
25, 72.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


# Fewer draws have no tail that a Pareto distribution can be fitted to.
ENOUGH_DRAWS = 100
# Weights that differ by less, in the log, have no tail: only noise would be fitted, and no mean moves by more than half
# of this, in standard deviations.
FLAT = 0.2


def smooth(log_ratio: Float) -> tuple[Float, float]:
    """Pareto-smoothed weights that sum to one, and their Pareto k; 0 where weights hardly differ."""
    from arviz_stats.base import array_stats

    flat = np.ptp(log_ratio) < FLAT
    if log_ratio.size < ENOUGH_DRAWS or flat:
        weights = np.exp(log_ratio - log_ratio.max())
        few = log_ratio.size < ENOUGH_DRAWS and np.ptp(log_ratio) > 0
        return weights / weights.sum(), np.nan if few else 0.0
    try:
        # It takes log likelihoods whose inverse is the weight, as leaving one out needs it.
        log_weights, pareto_k = array_stats.psislw(-log_ratio)
    except ValueError:
        # All that weigh most weigh alike.
        log_weights, pareto_k = log_ratio, 0.0
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum(), float(pareto_k)
