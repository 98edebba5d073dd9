"""Drift, boundary and non-decision time of every subject: the most likely point of a grid, in closed form.

The drift v of a diffusion that starts in the middle stands in its density as exp(+-v a - v^2 d / 2) only (Girsanov). So
the trials of one drift count by four numbers: upper less lower responses, the sum of their decision times d, their log
density without drift, and how many saw no response. So a grid costs next to nothing, and what a deadline hides is
accounted for. EZ-diffusion (Wagenmakers, van der Maas & Grasman 2007, Psychonomic Bulletin & Review 14, 3-22) costs the
same, but takes mean and variance of the responses before a deadline for those of all, which makes a far too small.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observation import Silence
from pymc_lan.models.diffusion.closed_undecided import constant, log_none
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.wiener import ddm_log_go, ddm_logpdf

Float = NDArray[np.float64]
Codes = NDArray[np.intp]

# What data are likely to need; steps of a are a sixth, about what a hundred trials tell.
DRIFTS = np.linspace(-6.0, 6.0, 49)
BOUNDARIES = np.geomspace(0.35, 2.4, 14)
N_TIMES = 16
# Deviations of the normal priors of v and log a, for subjects that say little.
PRIOR_V, PRIOR_LOG_A = 2.0, 0.5
# Log density of a response before t: a guess, one trial in twenty, anywhere in two seconds.
LOG_GUESS = np.log(0.05 / 2)


def _no_press(left: Float, a: float) -> Float:
    """Log probability, by drift and seconds of decision time, that the upper boundary is not reached."""
    found: Float = ddm_log_go(NUMPY, left, DRIFTS[:, None], a, 0.5)[1]
    return found


def _undecided(left: Float, a: float) -> Float:
    """Log probability, by drift and seconds of decision time, that neither boundary is reached."""
    found: Float = log_none(constant, NUMPY, left, {"v": DRIFTS[:, None], "a": a, "z": 0.5})
    return found


LOG_NONE = {Silence.NO_PRESS: _no_press, Silence.OMISSION: _undecided}


class Estimates(NamedTuple):
    """One value of each parameter for every trial: v of its cell, a and t of its subject."""

    v: Float
    a: Float
    t: Float


def estimates(
    rt: Float,
    upper: NDArray[np.bool_],
    cell: Codes,
    subject: Codes,
    latest: Float,
    deadline: Float,
    silence: Silence = Silence.NO_PRESS,
) -> Estimates:
    """The most likely drift of every cell, and boundary and non-decision time of every subject.

    Parameters
    ----------
    rt : ndarray of shape (n_trials,)
        Seconds; inf where no response was seen.
    upper : ndarray of bool of shape (n_trials,)
        Whether the response was at the upper boundary.
    cell, subject : ndarray of int of shape (n_trials,)
        Codes from 0 on, none left out; the trials of a cell belong to one subject and have one deadline.
    latest : ndarray of shape (n_subjects,)
        Times that t has to stay below, seconds; inf where nothing says so.
    deadline : ndarray of shape (n_trials,)
        Seconds by which a trial without a response was not at the upper boundary, or at neither; -inf where it says
        nothing.
    silence : Silence
        Which of the two.

    Returns
    -------
    Estimates
        Arrays of shape (n_trials,).

    Examples
    --------
    >>> import numpy as np, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=2000, seed=1)
    >>> rt, upper, code = df["rt"].to_numpy(), df["response"].to_numpy() > 0, np.zeros(2000, int)
    >>> found = estimates(rt, upper, code, code, np.array([rt.min()]), np.full(2000, np.inf))
    >>> bool(abs(found.v[0] - 1) <= 0.25 and abs(found.a[0] - 1) <= 0.15 and abs(found.t[0] - 0.3) <= 0.03)
    True
    """
    n_cells, n_subjects = int(cell.max()) + 1, len(latest)
    owner, end = np.zeros(n_cells, np.intp), np.empty(n_cells)
    owner[cell], end[cell] = subject, deadline
    seen = np.isfinite(rt)
    silent = np.bincount(cell, ~seen, n_cells)
    # Shares of each subject's own time, so that a slow one leaves the others theirs.
    shares, known = np.linspace(0.0, 1.0, N_TIMES), np.isfinite(latest)
    limit = np.where(known, latest, np.median(latest[known]) if known.any() else 0.0)
    score = np.full((len(BOUNDARIES), N_TIMES, n_subjects), -np.inf)
    drift = np.empty((len(BOUNDARIES), N_TIMES, n_cells))
    for i, a in enumerate(BOUNDARIES):
        for j, share in enumerate(shares):
            t = share * limit
            fixed, net, total = _sums((rt - t[subject])[seen], upper[seen], cell[seen], n_cells, a)
            left, which = np.unique(end - t[owner], return_inverse=True)
            none = LOG_NONE[silence](left, a)
            likelihood = fixed + a * net * DRIFTS[:, None] - 0.5 * total * DRIFTS[:, None] ** 2
            likelihood += silent * none[:, which] - 0.5 * (DRIFTS[:, None] / PRIOR_V) ** 2
            drift[i, j] = DRIFTS[likelihood.argmax(axis=0)]
            found = np.bincount(owner, likelihood.max(axis=0), n_subjects) - 0.5 * (np.log(a) / PRIOR_LOG_A) ** 2
            score[i, j] = np.where((t < latest) | (t == 0), found, -np.inf)
    best = np.unravel_index(score.reshape(-1, n_subjects).argmax(axis=0), score.shape[:2])
    v = drift[best[0][owner], best[1][owner], np.arange(n_cells)]
    return Estimates(v[cell], BOUNDARIES[best[0]][subject], (shares[best[1]] * limit)[subject])


def _sums(d: Float, upper: NDArray[np.bool_], cell: Codes, n_cells: int, a: float) -> tuple[Float, Float, Float]:
    """What the log likelihood of a drift v is made of, by cell: ``fixed + a net v - total v^2 / 2``."""
    decided = d > 0
    fixed = np.where(decided, ddm_logpdf(NUMPY, d, 1.0, 0.0, a, 0.5), LOG_GUESS)
    net = decided * np.where(upper, 1.0, -1.0)
    return (
        np.bincount(cell, fixed, n_cells),
        np.bincount(cell, net, n_cells),
        np.bincount(cell, np.maximum(d, 0.0), n_cells),
    )
