"""The formulas of `pymc_lan.numerics.undecided` with their derivatives, trial by trial. Compiled by numba.

All nodes of a trial are done at once: loops over them are of arithmetic alone, which becomes vector instructions, as
the C library's functions of one number do not. Rows of numbers, one for each node, lie in one array at constant places,
or else the compiler could not know that they do not overlap.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pymc_lan.numerics.undecided import CROSSOVER, FOLDS, HARMONICS, INSTANT, LEAST, NODES, WEIGHTS

Float = NDArray[np.float64]
# The same numbers by their bits.
Bits = NDArray[np.int64]

N = NODES.size
# Where rows begin: the nodes and their distance to the upper end, the probability to stay and its two slopes, seven of
# exponents, of powers of two, of exponentials and of those less 1, and three for sines.
Y, LEFT, STAYS, BY_U, BY_START, POWERS, SCALE, EXP, LESS_ONE, HERE, BEFORE, TWICE, ROWS = (
    N * row for row in (0, 1, 2, 3, 4, 5, 12, 19, 26, 33, 34, 35, 36)
)
# log 2 in 33 bits, whose product with a whole number is exact, and the rest; exponents below LOWEST leave nothing.
LN2_HIGH, LN2_LOW, LOWEST = 6.93147180369123816490e-01, 1.90821492927058770002e-10, -690.0
# Added to a number, it leaves the nearest integer in the last bits.
ROUNDS = 6755399441055744.0  # 1.5 * 2**52
ROUNDS_BITS = int(np.float64(ROUNDS).view(np.int64))
# Terms of (exp(x) - 1) / x over half of log 2, and of sine and cosine over half a turn, to double precision.
EXP_TERMS = tuple(1 / math.factorial(k) for k in range(12, 0, -1))
COS_TERMS = tuple((-1) ** k / math.factorial(2 * k) for k in range(11, -1, -1))
SIN_TERMS = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(11, -1, -1))


@njit(cache=True)
def undecided(u: Float, start: Float, mean: Float, variance: Float) -> tuple[Float, Float]:
    """Log probability that neither end of the unit interval has been reached, and its derivatives.

    Parameters
    ----------
    u, start, mean, variance : ndarray, shape (n,)
        As of `pymc_lan.numerics.undecided.Ends`.

    Returns
    -------
    value : ndarray, shape (n,)
    slopes : ndarray, shape (4, n)
        By each argument. Where `u` is next to 0 all are 0.

    Examples
    --------
    >>> value, slopes = undecided(*(np.array([x]) for x in (0.175, 0.5, 0.85, 0.175)))
    >>> value.round(4), slopes.shape
    (array([-0.8789]), (4, 1))
    """
    n = u.size
    value, slopes = np.zeros(n), np.zeros((4, n))
    rows, waves = np.empty(ROWS), np.empty((3, HARMONICS))
    bits = rows.view(np.int64)
    for i in range(n):
        if not u[i] > INSTANT:
            continue
        m, v = mean[i], variance[i]
        over, under, wide = max(m - 1, 0.0), max(-m, 0.0), 2 * FOLDS * v
        low, high = max(0.0, m - math.sqrt(over**2 + wide)), min(1.0, m + math.sqrt(under**2 + wide))
        away, half, span = (over + under) ** 2, 0.5 / v, high - low
        for j in range(N):
            rows[Y + j] = low + span * NODES[j]
            rows[LEFT + j] = (1 - high) + span * (1 - NODES[j])
            rows[POWERS + j] = (away - (rows[Y + j] - m) ** 2) * half
        if u[i] < CROSSOVER:
            _by_images(u[i], start[i], rows, bits)
        else:
            _prepare(u[i], start[i], waves)
            _by_sines(u[i], start[i], waves, rows, bits)
        total, by_u, by_start, by_mean, by_variance = _sums(m, v, rows)
        total = max(total, LEAST)
        value[i] = math.log(total * span * math.sqrt(half / math.pi)) - away * half
        slopes[0, i], slopes[1, i] = by_u / total, by_start / total
        slopes[2, i], slopes[3, i] = by_mean / total, 0.5 * by_variance / total
    return value, slopes


@njit(cache=True, fastmath={"contract", "reassoc"})
def _sums(mean: float, variance: float, rows: Float) -> tuple[float, float, float, float, float]:
    """The probability, and what it is by time, start, mean and, twice, variance: sums over the nodes."""
    total = by_u = by_start = by_mean = by_variance = 0.0
    for j in range(N):
        weight, apart = WEIGHTS[j] * rows[EXP + j], (rows[Y + j] - mean) / variance
        here = weight * rows[STAYS + j]
        total += here
        by_u += weight * rows[BY_U + j]
        by_start += weight * rows[BY_START + j]
        by_mean += here * apart
        by_variance += here * (apart * apart - 1 / variance)
    return total, by_u, by_start, by_mean, by_variance


@njit(cache=True, fastmath={"contract"})
def _exponentials(count: int, rows: Float, bits: Bits) -> None:
    """Of the first exponents, none of them above 700, the exponentials and those less 1."""
    for j in range(count):
        rows[POWERS + j] = max(rows[POWERS + j], LOWEST)
        rows[EXP + j] = rows[POWERS + j] * (1 / math.log(2.0)) + ROUNDS
    for j in range(count):
        bits[SCALE + j] = (bits[EXP + j] - (ROUNDS_BITS - 1023)) << 52
    for j in range(count):
        turns, scale = rows[EXP + j] - ROUNDS, rows[SCALE + j]
        rest = (rows[POWERS + j] - turns * LN2_HIGH) - turns * LN2_LOW
        series = 0.0
        for term in EXP_TERMS:
            series = series * rest + term
        rows[LESS_ONE + j] = scale * (series * rest) + (scale - 1)
        rows[EXP + j] = scale * (series * rest + 1)


@njit(cache=True, fastmath={"contract"})
def _by_images(u: float, start: float, rows: Float, bits: Bits) -> None:
    """Probability that a bridge stays in the interval, and its derivatives by u and the start."""
    rest, f = 1 - start, 2 / u
    for j in range(N):
        y, left = rows[Y + j], rows[LEFT + j]
        rows[POWERS + N + j] = -f * y * start
        rows[POWERS + 2 * N + j] = -f * left * rest
        rows[POWERS + 3 * N + j] = -f * start * (1 + left)
        rows[POWERS + 4 * N + j] = -f * (y + rest)
        rows[POWERS + 5 * N + j] = -f * start * (2 + y)
        rows[POWERS + 6 * N + j] = -f * (1 + left) * (1 + rest)
    _exponentials(7 * N, rows, bits)
    for j in range(N):
        y, left = rows[Y + j], rows[LEFT + j]
        near, upper, lower, far = rows[EXP + N + j], rows[EXP + 2 * N + j], rows[EXP + 4 * N + j], rows[EXP + 6 * N + j]
        above, below = upper * rows[EXP + 3 * N + j], lower * rows[EXP + 5 * N + j]
        value = -rows[LESS_ONE + N + j] + upper * rows[LESS_ONE + 3 * N + j]
        rows[STAYS + j] = value - lower * rows[LESS_ONE + 5 * N + j] - far
        # Of exp(-2 x / u) the derivative by u is x 2 / u^2 as much.
        moved = -near * y * start - upper * left * rest + lower * (y + rest) + above * (left + start)
        moved -= below * (1 + y) * (1 + start) + far * (1 + left) * (1 + rest)
        rows[BY_U + j] = moved * f / u
        rows[BY_START + j] = f * (near * y - upper * left + lower - above + below * (1 + y) - far * (1 + left))


@njit(cache=True)
def _prepare(u: float, start: float, waves: Float) -> None:
    """What of each harmonic does not depend on the end."""
    fall, scale = math.exp(-0.5 * math.pi**2 * u), 2 * math.sqrt(2 * math.pi * u)
    cosine = math.cos(math.pi * start)
    sine_before, sine_here, cosine_before, cosine_here = 0.0, math.sin(math.pi * min(start, 1 - start)), 1.0, cosine
    power, step = fall, fall**3
    for k in range(HARMONICS):
        rate = (k + 1) * math.pi
        waves[0, k] = scale * power * sine_here
        waves[1, k] = -0.5 * rate * rate * waves[0, k]
        waves[2, k] = scale * power * rate * cosine_here
        power, step = power * step, step * fall * fall
        sine_before, sine_here = sine_here, 2 * cosine * sine_here - sine_before
        cosine_before, cosine_here = cosine_here, 2 * cosine * cosine_here - cosine_before


@njit(cache=True, fastmath={"contract"})
def _by_sines(u: float, start: float, waves: Float, rows: Float, bits: Bits) -> None:
    """The probability to stay between the boundaries and its slopes, late: by eigenfunctions of the heat equation."""
    half = 0.5 / u
    for j in range(N):
        # What the free density is divided by goes with the normal density, so that neither is out of range.
        rows[POWERS + j] += (rows[Y + j] - start) ** 2 * half
    _exponentials(N, rows, bits)
    for j in range(N):
        x = math.pi * (rows[Y + j] - 0.5)
        square, sine, cosine = x * x, 0.0, 0.0
        for term in COS_TERMS:
            sine = sine * square + term
        for term in SIN_TERMS:
            cosine = cosine * square + term
        rows[HERE + j], rows[BEFORE + j], rows[TWICE + j] = sine, 0.0, -2 * x * cosine
        rows[STAYS + j], rows[BY_U + j], rows[BY_START + j] = 0.0, 0.0, 0.0
    for k in range(HARMONICS):
        of_value, of_u, of_start = waves[0, k], waves[1, k], waves[2, k]
        for j in range(N):
            here = rows[HERE + j]
            rows[STAYS + j] += of_value * here
            rows[BY_U + j] += of_u * here
            rows[BY_START + j] += of_start * here
            rows[HERE + j], rows[BEFORE + j] = rows[TWICE + j] * here - rows[BEFORE + j], here
    for j in range(N):
        apart = rows[Y + j] - start
        rows[BY_U + j] += rows[STAYS + j] * half * (1 - apart * apart / u)
        rows[BY_START + j] -= rows[STAYS + j] * apart / u
