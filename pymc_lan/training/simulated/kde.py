"""Labels from kernel estimates: the classic way of training a likelihood network on simulations.

For each parameter set the trials of each choice give a density of log decision times by Gaussian kernels, which is
weighted by the share of the choice; its logarithm at some points is what the network is to reproduce. That is how the
likelihood approximation networks of Fengler, Govindarajan, Chen and Frank (2021, eLife 10:e65074) are trained. Kernels
on log decision times put nothing before the non-decision time, where a spec names one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.model import Model
from pymc_lan.models.proposals import LONGEST
from pymc_lan.models.simulator.lognormal import LEAST_SPREAD, SHORTEST
from pymc_lan.numerics.passage import LOG_SQRT_2PI
from pymc_lan.training.simulated.histograms import decisions

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

# Points of each parameter set that are drawn from the kernel estimate, uniformly in time, and before all trials: in the
# proportions of ssm-simulators 0.15 (`mixture_probabilities`), whose last part has times below zero instead. A network
# that sees log decision times has none; what comes before the trials is the same to it.
POINTS = (80, 10, 10)
# So many widths away from a single trial, an estimate is nothing but the kernel's tail, and no label is lower.
FARTHEST = 3.0
# With fewer trials of a choice, its kernels are as wide as those of all trials of the set would be for so many.
FEW = 10
# Log decision times that stand for those of a set without a response.
ANY_TIME = np.linspace(math.log(SHORTEST), math.log(LONGEST), 100)


class Labelled(NamedTuple):
    """Points of m parameter sets, k of each, with the log density at them.

    Parameters
    ----------
    theta : ndarray, shape (m, p)
    log_d : ndarray, shape (m, k)
        Logarithms of decision times in seconds.
    choice : ndarray of int, shape (m, k)
        The place of the response among the choices.
    label : ndarray, shape (m, k)
        Log density of the log decision time and the choice.
    at_most : ndarray of bool, shape (m, k)
        Whether the label is only an upper bound, so that a lower density is as good: far from all trials, and for a
        choice that no trial made.
    moments, omitted, n : ndarray
        As of `pymc_lan.training.simulated.histograms.Histograms`.
    """

    theta: NDArray[np.float32]
    log_d: NDArray[np.float32]
    choice: NDArray[np.int32]
    label: NDArray[np.float32]
    at_most: NDArray[np.bool_]
    moments: NDArray[np.float32]
    omitted: NDArray[np.float32]
    n: NDArray[np.float32]


def bandwidth(x: Float, n: int) -> float:
    """Width of Gaussian kernels for n trials that are spread as x is.

    ``0.9 min(standard deviation, interquartile range / 1.34) n^(-1/5)``, Silverman (1986), Density estimation for
    statistics and data analysis, eq. 3.31: close to the best for densities that are about normal, as those of log
    decision times are.

    Examples
    --------
    >>> import numpy as np
    >>> round(bandwidth(np.random.default_rng(1).standard_normal(100_000), 100_000), 3)
    0.09
    """
    quarter, three = np.quantile(x, (0.25, 0.75))
    return float(0.9 * max(min(x.std(), (three - quarter) / 1.34), LEAST_SPREAD) * n**-0.2)


def log_kernel_density(x: Float, width: float, at: Float) -> Float:
    """Log of the mean of normal densities about the numbers x, shape (n,), at other ones, shape (k,).

    Where it is too small for floating point, it is minus infinity.
    """
    u = (at[:, None] - x) / width
    with np.errstate(divide="ignore"):
        return np.log(np.exp(-u * u / 2).mean(axis=1)) - LOG_SQRT_2PI - math.log(width)


def label_trials(spec: Model, theta: Float, rt: Float, response: Float, rng: np.random.Generator) -> Labelled:
    """Label points of each parameter set by kernel estimates from its trials.

    Parameters
    ----------
    spec : Model
    theta : ndarray, shape (m, p)
    rt, response : ndarray, shape (m, n)
        Checked trials; rt = inf where there was no response.
    rng : numpy.random.Generator
        Draws the points.

    Returns
    -------
    Labelled
    """
    x, which = decisions(spec, theta, rt, response)
    n, choices = x.shape[1], len(spec.choices)
    labelled = [_label_set(x_i, which_i, choices, rng) for x_i, which_i in zip(x, which, strict=True)]
    log_d, choice, label, at_most = map(np.stack, zip(*labelled, strict=True))
    made = [which == c for c in range(choices)]
    moments = np.stack([[np.where(each, x**power, 0.0).mean(axis=1) for power in range(3)] for each in made])
    return Labelled(
        theta.astype(np.float32),
        log_d.astype(np.float32),
        choice.astype(np.int32),
        label.astype(np.float32),
        at_most,
        moments.transpose(2, 0, 1).astype(np.float32),
        (1 - np.isfinite(rt).mean(axis=1)).astype(np.float32),
        np.full(len(x), n, np.float32),
    )


def _label_set(x: Float, which: Int, choices: int, rng: np.random.Generator) -> tuple[Float, Int, Float, Bool]:
    """Points of one parameter set, the choices there, labels, and whether these are only upper bounds."""
    responded = which >= 0
    decided, made = x[responded], which[responded]
    if not len(decided):
        decided, made = ANY_TIME, np.arange(len(ANY_TIME)) % choices
    each = [x[which == c] for c in range(choices)]
    widths = np.array([bandwidth(y if len(y) >= FEW else decided, max(len(y), 1)) for y in each])
    at, choice = _points(decided, made, widths, rng)
    label = np.full(at.shape, -np.inf)
    for c, y in enumerate(each):
        if len(y):
            here = choice == c
            label[here] = math.log(len(y) / len(x)) + log_kernel_density(y, widths[c], at[here])
    lowest = -(math.log(len(x)) + LOG_SQRT_2PI + FARTHEST**2 / 2) - np.log(widths)[choice]
    return at, choice, np.maximum(label, lowest), label <= lowest


def _points(decided: Float, made: Int, widths: Float, rng: np.random.Generator) -> tuple[Float, Int]:
    """Draw points from the kernel estimate, uniformly in time and before all trials, where any choice is as likely."""
    kernels, anywhen, before = POINTS
    drawn = rng.integers(len(decided), size=kernels)
    near = decided[drawn] + widths[made[drawn]] * rng.standard_normal(kernels)
    shortest = math.log(SHORTEST)
    at = [near, np.log(rng.uniform(SHORTEST, LONGEST, anywhen)), rng.uniform(shortest, decided.min(), before)]
    others = rng.integers(len(widths), size=anywhen + before)
    return np.maximum(np.concatenate(at), shortest), np.concatenate([made[drawn], others])
