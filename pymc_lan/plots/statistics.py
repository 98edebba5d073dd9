"""Statistics of one data set that plots show: plain functions of arrays over trials.

Each takes the response times [s] of n trials, ``inf`` where there was no response, and what was chosen. `over_draws`
applies one to many predicted data sets, `interval` says how far these spread, `over_subjects` averages one over
subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Statistic = Callable[..., Float]


def defective_density(rt: Float, chosen: Bool, edges: Float) -> Float:
    """Density of the response times of one response, as a share of all trials.

    Parameters
    ----------
    rt : ndarray, shape (n,)
    chosen : ndarray of bool, shape (n,)
        Whether the trial had that response.
    edges : ndarray, shape (k + 1,)
        Edges of the bins [s]; times beyond them count as trials and are not shown.

    Returns
    -------
    ndarray, shape (k,)
        Per second. Summed over bins times their width and over responses, it is the share of trials within the edges.

    Examples
    --------
    >>> defective_density(np.array([0.4, 0.6, np.inf, 0.6]), np.array([1, 1, 0, 0], bool), np.array([0.0, 0.5, 1.0]))
    array([0.5, 0.5])
    """
    counts, _ = np.histogram(rt[chosen & np.isfinite(rt)], edges)
    return counts / (rt.size * np.diff(edges))


def response_quantiles(rt: Float, chosen: Bool, probabilities: Sequence[float], fewest: int = 10) -> Float:
    """Share of trials with one response, and quantiles of its times.

    Parameters
    ----------
    rt : ndarray, shape (n,)
    chosen : ndarray of bool, shape (n,)
    probabilities : sequence of float, k of them
    fewest : int
        With fewer responses their quantiles say little, and are NaN.

    Returns
    -------
    ndarray, shape (1 + k,)
        The share; then the quantiles [s], interpolated linearly between order statistics.

    Examples
    --------
    >>> rt = np.linspace(0.3, 0.7, 21)
    >>> response_quantiles(rt, np.ones(21, bool), [0.1, 0.5]).round(2)
    array([1.  , 0.34, 0.5 ])
    """
    times = rt[chosen & np.isfinite(rt)]
    quantiles = np.quantile(times, probabilities) if times.size >= fewest else np.full(len(probabilities), np.nan)
    return np.array([times.size / rt.size, *quantiles])


def conditional_accuracy(rt: Float, correct: Bool, n_bins: int) -> Float:
    """Accuracy of the fastest responses, of the next, and so on.

    Parameters
    ----------
    rt : ndarray, shape (n,)
    correct : ndarray of bool, shape (n,)
    n_bins : int
        Bins of equally many responses, in the order of rt; the first ones have one more where it does not come out
        even.

    Returns
    -------
    ndarray, shape (2, n_bins)
        Mean rt [s] and share correct by bin; NaN with fewer responses than bins.

    Examples
    --------
    >>> conditional_accuracy(np.array([0.9, 0.3, 0.5, 0.7]), np.array([1, 0, 1, 1], bool), 2)
    array([[0.4, 0.8],
           [0.5, 1. ]])
    """
    answered = np.flatnonzero(np.isfinite(rt))
    if answered.size < n_bins:
        return np.full((2, n_bins), np.nan)
    bins = np.array_split(answered[np.argsort(rt[answered], kind="stable")], n_bins)
    return np.array([[rt[each].mean() for each in bins], [correct[each].mean() for each in bins]])


def delta_function(rt: Float, slower: Bool, faster: Bool, probabilities: Sequence[float], fewest: int = 10) -> Float:
    """How the difference between two conditions grows, or shrinks, from fast to slow responses.

    Parameters
    ----------
    rt : ndarray, shape (n,)
    slower, faster : ndarray of bool, shape (n,)
        The trials of either condition; the difference is `slower` minus `faster`.
    probabilities : sequence of float, k of them
    fewest : int
        With fewer responses in a condition its quantiles say little, and are NaN.

    Returns
    -------
    ndarray, shape (2, k)
        Mean and difference [s] of the two conditions' quantiles.

    References
    ----------
    de Jong, Liang & Lauber (1994), Journal of Experimental Psychology: Human Perception and Performance 20, 731-750.

    Examples
    --------
    >>> rt = np.concatenate([np.linspace(0.3, 0.7, 21), np.linspace(0.4, 0.8, 21)])
    >>> first = np.arange(42) < 21
    >>> delta_function(rt, ~first, first, [0.5]).round(2)
    array([[0.55],
           [0.1 ]])
    """
    high, low = (response_quantiles(rt, group, probabilities, fewest)[1:] for group in (slower, faster))
    return np.array([(high + low) / 2, high - low])


def over_draws(statistic: Statistic, drawn: Float) -> Float:
    """A statistic of each predicted data set.

    Parameters
    ----------
    statistic : callable
        ``statistic(rt, response)`` of arrays of shape (n,).
    drawn : ndarray, shape (m, n, 2)
        Rows ``[rt, response]``.

    Returns
    -------
    ndarray, shape (m, ...)

    Examples
    --------
    >>> over_draws(lambda rt, response: rt.mean(), np.array([[[0.5, 1.0]], [[0.7, -1.0]]]))
    array([0.5, 0.7])
    """
    return np.array([statistic(each[:, 0], each[:, 1]) for each in drawn])


def over_subjects(statistic: Statistic, subject: NDArray[Any], *arrays: NDArray[Any]) -> Float:
    """A statistic of each subject, averaged over those who have one: for quantiles, Vincent averaging.

    Parameters
    ----------
    statistic : callable
        Of arrays of shape (n,); returns an array.
    subject : ndarray, shape (n,)
    *arrays : ndarray, shape (n,)

    Returns
    -------
    ndarray
        NaN where no subject has a number.

    Examples
    --------
    >>> over_subjects(lambda rt: np.array([rt.max()]), np.array([1, 1, 2]), np.array([0.4, 0.6, 0.8]))
    array([0.7])
    """
    each = np.array([statistic(*(x[subject == one] for x in arrays)) for one in np.unique(subject)])
    known = np.isfinite(each)
    total, count = np.where(known, each, 0.0).sum(0), known.sum(0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def interval(values: Float, prob: float) -> tuple[Float, Float, Float]:
    """Lower end, mean and upper end of the central interval over draws, the first axis.

    Parameters
    ----------
    values : ndarray, shape (m, ...)
        Statistics that a draw does not have are NaN.
    prob : float
        Of the interval.

    Returns
    -------
    low, mean, high : ndarray
        NaN where less than half of the draws have the statistic, for the rest would be a biased choice.

    Examples
    --------
    >>> [float(x.round(1)) for x in interval(np.arange(101.0), 0.9)]
    [5.0, 50.0, 95.0]
    """
    known = np.isfinite(values)
    enough = known.mean(0) >= 0.5
    # A column without numbers would only warn; what stands in for it is taken out again.
    filled = np.where(enough, np.where(known, values, np.nan), 0.0)
    low, high = np.nanquantile(filled, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    ends = [np.where(enough, x, np.nan) for x in (low, np.nanmean(filled, axis=0), high)]
    return ends[0], ends[1], ends[2]


def uniform_band(n: int, bins: int, level: float = 0.99) -> tuple[float, float]:
    """Between which the count of one of some equal bins lies, of n numbers that are uniform.

    Examples
    --------
    >>> uniform_band(100, 10)
    (3.0, 18.0)
    """
    from scipy.stats import binom

    low, high = binom.ppf([(1 - level) / 2, (1 + level) / 2], n, 1 / bins)
    return float(low), float(high)
