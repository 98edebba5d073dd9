"""Processes that nobody has the density of, drawn trial by trial: Levy flights, leaky competing accumulators.

Compiled by numba. Arguments are not checked; times are in seconds of decision time, positions in units of evidence.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pymc_lan.errors import explain

Float = NDArray[np.float64]
Codes = NDArray[np.int64]

# A step of a Levy flight lasts this share of d^alpha, d being the distance to the nearer boundary: the flight's own
# measure of the time that it takes to get there ...
SHARE = 0.015
# ... and the drift gets at most this share of the way.
DRIFT_SHARE = 0.1
# Next to a boundary no step is shorter [s]. Crossings within a step are not seen: it is as if Brownian motion
# (alpha = 2) had to go 0.6 (2 SHORTEST)^0.5 = 0.0003 farther (Broadie, Glasserman & Kou 1997).
SHORTEST = 1e-7

# Step of the accumulators [s]. Crossings within a step are drawn, so what is left is that their pulls are taken for
# constant within it.
STEP = 0.01
# Later [s] a decision never comes; within the bounds of `lca_3` the slowest take 8,000 s on average.
LATEST = 1e6
HELD = explain(
    f"accumulators of which one gets to its threshold within {LATEST:g} s",
    "others: leak and inhibition hold them below it",
    "lower g, b or a, or raise an input v",
)
# So many standard deviations from a level, crossing it within a step has a probability below 1e-10.
FAR = 5.0


@njit(cache=True)
def stable(rng: np.random.Generator, alpha: float) -> float:
    """One draw of the symmetric stable distribution of unit scale, whose characteristic function is exp(-abs(k)^alpha).

    Chambers, Mallows & Stuck (1976), Journal of the American Statistical Association 71, 340-344. With alpha = 2 it is
    normal with variance 2, with alpha = 1 Cauchy's.
    """
    angle = math.pi * (rng.random() - 0.5)
    wait = rng.standard_exponential()
    slow = math.cos((1.0 - alpha) * angle)
    return math.sin(alpha * angle) / math.cos(angle) ** (1.0 / alpha) * (wait / slow) ** ((alpha - 1.0) / alpha)


@njit(cache=True)
def levy_draw(rng: np.random.Generator, v: float, a: float, z: float, alpha: float, share: float) -> tuple[float, int]:
    """Draw when a Levy flight with drift leaves (-a, a), and on which side: +1 above, -1 below."""
    x, time = a * (2.0 * z - 1.0), 0.0
    while True:
        distance = a - abs(x)
        step = max(min(share * distance**alpha, DRIFT_SHARE * distance / (abs(v) + 1e-9)), SHORTEST)
        x += v * step + step ** (1.0 / alpha) * stable(rng, alpha)
        if abs(x) >= a:
            # A jump comes at any time of its step.
            return time + rng.random() * step, 1 if x > 0 else -1
        time += step


@njit(cache=True)
def levy_draws(rng: np.random.Generator, theta: Float, share: float = SHARE) -> tuple[Float, Codes]:
    """Draw a trial for each row v, a, z, alpha of `theta`."""
    n = len(theta)
    time, response = np.empty(n), np.empty(n, np.int64)
    for i in range(n):
        v, a, z, alpha = theta[i]
        time[i], response[i] = levy_draw(rng, v, a, z, alpha, share)
    return time, response


@njit(cache=True)
def _first_passage(rng: np.random.Generator, gap: float, ahead: float, step: float) -> float:
    """When a Brownian bridge from `gap` below a level to `ahead` below (or, negative, above) it first gets there.

    Given that it does. In s = time / (step - time) the bridge is a Brownian motion, and s inverse Gaussian of mean
    gap / abs(ahead) and shape gap^2 / step; drawn as Michael, Schucany & Haas (1976) do, in terms of 1 / s.
    """
    rate = abs(ahead) / gap
    spread = 0.5 * step * (rng.standard_normal() / gap) ** 2
    inverse = rate + spread + math.sqrt(spread * (2.0 * rate + spread))
    if rng.random() * (inverse + rate) >= inverse:
        inverse = rate * rate / inverse
    return step / (1.0 + inverse)


@njit(cache=True)
def lca_draw(
    rng: np.random.Generator, v: Float, a: float, x: Float, g: float, b: float, step: float
) -> tuple[float, int]:
    """Draw when, and which, of accumulators with pulls v_i - g x_i - b (sum of the others), kept above 0, gets to a.

    They start from `x`, which is overwritten. A step is Heun's in the pulls. The least value within it, which pushes an
    accumulator back up if it is below 0, is the Brownian bridge's (Lepingle 1995, Mathematics and Computers in
    Simulation 38, 119-126), and so is the chance of having been at a.
    """
    n, noise = len(x), math.sqrt(step)
    ahead, kick = np.empty(n), np.empty(n)
    time = 0.0
    while True:
        total = x.sum()
        for i in range(n):
            kick[i] = noise * rng.standard_normal()
            ahead[i] = max(x[i] + step * (v[i] - (g - b) * x[i] - b * total) + kick[i], 0.0)
        total_ahead = ahead.sum()
        first, winner = np.inf, -1
        for i in range(n):
            pull = v[i] - 0.5 * ((g - b) * (x[i] + ahead[i]) + b * (total + total_ahead))
            end = x[i] + step * pull + kick[i]
            if x[i] + end < FAR * noise:
                width = x[i] - end
                least = 0.5 * (x[i] + end - math.sqrt(width * width + 2.0 * step * rng.standard_exponential()))
                end += max(-least, 0.0)
            gap, gap_ahead = a - x[i], a - end
            if gap_ahead <= 0 or (
                gap + gap_ahead < FAR * noise and rng.random() < math.exp(-2.0 * gap * gap_ahead / step)
            ):
                when = _first_passage(rng, gap, gap_ahead, step)
                if when < first:
                    first, winner = when, i
            ahead[i] = end
        if winner >= 0:
            return time + first, winner
        x[:] = ahead
        time += step
        if time > LATEST:
            raise ValueError(HELD)


@njit(cache=True)
def lca_draws(rng: np.random.Generator, theta: Float, step: float = STEP) -> tuple[Float, Codes]:
    """Draw a trial for each row of `theta`: a pull for each accumulator, a, a relative start for each, leak g, b."""
    n, width = len(theta), (theta.shape[1] - 3) // 2
    time, response = np.empty(n), np.empty(n, np.int64)
    for i in range(n):
        row = theta[i]
        a = row[width]
        start = a * row[width + 1 : 2 * width + 1]
        time[i], response[i] = lca_draw(rng, row[:width], a, start, row[-2], row[-1], step)
    return time, response
