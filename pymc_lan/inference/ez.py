"""EZ-diffusion: drift, boundary and non-decision time in closed form, from three statistics of the trials.

Wagenmakers, van der Maas & Grasman (2007), Psychonomic Bulletin & Review 14, 3-22, with noise 1 in place of their 0.1
and half the boundary separation in place of the whole. It supposes a start in the middle, where correct and wrong
responses take equally long. So the presses of go/no-go trials, which are all that is seen there, tell as much as all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Fewer rts than this say nothing about a variance.
FEWEST = 8
# Ends of a, so that a cell of odd data starts where a sampler can go on.
SMALLEST_A, LARGEST_A = 0.35, 2.4
# Rts this many interquartile ranges outside the quartiles are taken for lapses. At 3, Tukey's outer fences, a fifth of
# the variance of a diffusion would be lost with its own slow responses; at 6 it is a few hundredths.
FENCE = 6.0


class Estimates(NamedTuple):
    """One value of each parameter for every trial: v and t of its cell, a of its subject."""

    v: Float
    a: Float
    t: Float


def ez(share: Float, mean: Float, variance: Float) -> Estimates:
    """EZ-diffusion of one or many cells.

    Parameters
    ----------
    share : ndarray of shape (n,)
        Of responses at the upper boundary, between 0 and 1, neither of them, nor exactly 0.5.
    mean, variance : ndarray of shape (n,)
        Of the response times, seconds and seconds squared.

    Returns
    -------
    Estimates
        ``v``, below 0 where the lower boundary is reached more often; ``a``, half the boundary separation; ``t``,
        which is below 0 for data that no diffusion describes.

    Examples
    --------
    The paper's own, whose values are 0.1, 0.14 and 0.3 in its units:

    >>> [round(float(x), 3) for x in ez(0.802, 0.723, 0.112)]
    [0.999, 0.7, 0.3]
    """
    share, mean, variance = (np.asarray(x, np.float64) for x in (share, mean, variance))
    logit = np.log(share / (1 - share))
    # Lp^2 - Lp + p - 1/2 is of third order in p - 1/2, so rounding may leave it below 0 there.
    curve = np.maximum(logit * (logit * share**2 - logit * share + share - 0.5), 1e-12)
    v = np.sign(share - 0.5) * (curve / variance) ** 0.25
    separation = logit / v
    decision = separation / (2 * v) * np.tanh(v * separation / 2)
    return Estimates(v, separation / 2, mean - decision)


def estimates(rt: Float, upper: NDArray[np.bool_], cell: NDArray[np.intp], subject: NDArray[np.intp]) -> Estimates:
    """EZ-diffusion of subjects, robust against few trials, guesses and lapses.

    Each cell's statistics are those of its rts that are not far out. A subject's boundary and non-decision time
    are averages over the cells with enough rts, or over the other subjects where there is no such cell. Given them, the
    share of upper responses is one over 1 + exp(-2 a v), which gives the drift of every cell.

    Parameters
    ----------
    rt : ndarray of shape (n_trials,)
        Seconds; inf where no response was seen.
    upper : ndarray of bool of shape (n_trials,)
        Whether the response was at the upper boundary, a press.
    cell, subject : ndarray of int of shape (n_trials,)
        Codes from 0 on; a cell belongs to one subject.

    Returns
    -------
    Estimates
        Arrays of shape (n_trials,).

    Examples
    --------
    >>> import numpy as np, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=2000, seed=1)
    >>> code = np.zeros(2000, int)
    >>> found = estimates(df["rt"].to_numpy(), df["response"].to_numpy() > 0, code, code)
    >>> abs(found.a[0] - 1.0) < 0.1 and abs(found.t[0] - 0.3) < 0.05
    True
    """
    n = np.bincount(cell)
    # Half a trial more of each response, so that no share is 0 or 1.
    share = (np.bincount(cell, upper) + 0.5) / (n + 1)
    # Off the middle, where the formula is 0 / 0, by half a trial (the paper's edge correction).
    away = np.where(np.abs(share - 0.5) < 0.5 / n, 0.5 + np.where(share < 0.5, -0.5, 0.5) / n, share)
    moments = np.array([_moments(rt[cell == i]) for i in range(len(n))])
    owner = np.zeros(len(n), np.intp)
    owner[cell] = subject
    raw = ez(away, moments[:, 0], np.maximum(moments[:, 1], 1e-6))
    weight = np.where(moments[:, 2] >= FEWEST, moments[:, 2], 0.0)
    a = _by_subject(np.clip(raw.a, SMALLEST_A, LARGEST_A), weight, owner, fallback=1.0)
    t = _by_subject(np.maximum(raw.t, 0.0), weight, owner, fallback=0.2)
    v = np.log(share / (1 - share)) / (2 * a[owner])
    return Estimates(v[cell], a[subject], t[subject])


def _moments(rt: Float) -> tuple[float, float, float]:
    """Mean, variance and number of the response times within the fences."""
    rt = rt[np.isfinite(rt)]
    if rt.size < FEWEST:
        return 0.0, 1.0, 0.0
    low, high = np.quantile(rt, [0.25, 0.75])
    rt = rt[(rt >= low - FENCE * (high - low)) & (rt <= high + FENCE * (high - low))]
    return float(rt.mean()), float(rt.var(ddof=1)), float(rt.size)


def _by_subject(values: Float, weight: Float, owner: NDArray[np.intp], *, fallback: float) -> Float:
    """Weighted average over each subject's cells; subjects without weight get the average of the others."""
    total = np.bincount(owner, weight)
    summed = np.bincount(owner, weight * np.where(weight > 0, values, 0.0))
    overall = summed.sum() / total.sum() if total.sum() else fallback
    return np.where(total > 0, summed / np.maximum(total, 1.0), overall)
