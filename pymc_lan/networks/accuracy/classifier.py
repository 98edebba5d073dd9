"""Can a classifier tell a network's trials from those of the simulator? A two-sample test (C2ST)."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Standard normal quantile that one in a hundred exceeds.
ONE_IN_A_HUNDRED = 2.326


def available() -> bool:
    """Whether scikit-learn, which has the classifier, is installed: ``pip install 'pymc-lan[c2st]'``."""
    return find_spec("sklearn") is not None


def classifier_test(one: Float, other: Float, *, seed: int) -> dict[str, float]:
    """Train gradient-boosted trees on half of the rows, and count how well they tell the other half apart.

    Parameters
    ----------
    one, other : ndarray of shape (n, n_features)
        The two samples, of as many rows; NaN is a value like any other.
    seed : int

    Returns
    -------
    dict
        ``accuracy``, the share that is told right, and ``auc``, the chance that of a pair of rows, one from either
        sample, the right one is taken; both 0.5 where the samples are of one distribution. ``accuracy_chance`` and
        ``auc_chance`` are what chance exceeds in one of a hundred such tests. ``n`` is the number of rows that were
        told apart.

    References
    ----------
    Lopez-Paz & Oquab (2017), Revisiting classifier two-sample tests, ICLR. Under the null hypothesis the share is
    binomial and the area is that of Mann & Whitney (1947), whose standard deviation is sqrt((n + m + 1) / (12 n m)).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).normal(size=(3, 2000, 1))
    >>> same, moved = (classifier_test(x[0], x[1] + shift, seed=1) for shift in (0, 1))
    >>> same["auc"] < same["auc_chance"], moved["auc"] > moved["auc_chance"]
    (True, True)
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    rng, half = np.random.default_rng(seed), len(one) // 2
    one, other = rng.permutation(one), rng.permutation(other)
    train, test = (np.concatenate([one[rows], other[rows]]) for rows in (slice(half), slice(half, None)))
    labels = [np.repeat([0, 1], len(x) // 2) for x in (train, test)]
    # Small trees: differences are smooth, and what has learned the training half by heart tells nothing.
    trees = HistGradientBoostingClassifier(max_leaf_nodes=15, early_stopping=False, random_state=seed)
    p = trees.fit(train, labels[0]).predict_proba(test)[:, 1]
    n = len(test) // 2
    return {
        "n": 2 * n,
        "accuracy": float(np.mean((p > 0.5) == labels[1])),
        "accuracy_chance": 0.5 + ONE_IN_A_HUNDRED * 0.5 / math.sqrt(2 * n),
        "auc": float(roc_auc_score(labels[1], p)),
        "auc_chance": 0.5 + ONE_IN_A_HUNDRED * math.sqrt((2 * n + 1) / (12 * n * n)),
    }


def features(theta: Float, log_d: Any, response: Any) -> Float:
    """Rows of a parameter set, log decision time and response; both are NaN of trials without a response."""
    return np.column_stack([np.broadcast_to(theta, (len(log_d), len(theta))), log_d, response])
