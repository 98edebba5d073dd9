"""The drift diffusion model in closed form: densities, choice probabilities, go by a deadline.

Conventions: drift ``v`` towards the upper boundary, boundaries at -a and +a (``a`` is *half* the separation),
unit noise, start at -a + 2 a z with 0 < z < 1, response +1 at the upper and -1 at the lower boundary. Times
are decision times in seconds: the non-decision time is taken off by the caller.

Every function takes an array namespace ``xp`` first (see `pymc_lan.numerics.passage.Namespace`) and is
elementwise over arrays that broadcast. A branch that is not selected is evaluated at a harmless argument, so that
automatic differentiation returns no NaN.

Three letters recur. ``width`` = 2 a is the separation; ``u`` = time / width^2 is time in units of the
diffusion time; ``w`` is the distance from the start to the boundary that is hit, divided by ``width``, and
``eps`` = 1 - w its complement, passed beside it because 1 - w loses the digits of a small eps.
"""

from __future__ import annotations

import math
from typing import Any

from pymc_lan.numerics.passage import LOG_SQRT_2PI, log_one_boundary

# Where the image series (few terms at small u) hands over to the sine series (few terms at large u). At 0.3
# the first omitted terms are below 1e-17 of the sum on either side, with the numbers of terms used here;
# below 1e-15 at 0.1 for the distribution function.
DENSITY_CROSSOVER = 0.3
DENSITY_HARMONICS = 5
GO_CROSSOVER = 0.1
GO_HARMONICS = 8

# Beyond u = 50 what is still undecided has probability below exp(-pi^2 u / 2) < 1e-107: the horizon counts as
# infinite.
GO_FOREVER = 50.0

# Shorter horizons are taken as this one, so that squares of its inverse do not overflow [s].
SHORTEST_HORIZON = 1e-100

# Stands for -inf where a difference of two would have no value.
LEAST_LOG = -1e30
# The log of a ratio that is as good as 0, and whose inverse does not overflow: softplus in JAX has both.
LEAST_RATIO = -700.0

# Coefficients of (1 + y) M(y) in powers of t = (y - 5) / (y + 5), M the Mills ratio of the normal
# distribution on [0, inf): a Chebyshev series (the construction of Shepherd & Laframboise 1981, Mathematics
# of Computation 36, 249-253) computed with 40 digits, cut where its terms fall below 2e-17 and rearranged.
# The coefficients add up to 1.7 in absolute value, so Horner's rule is as accurate as the series: relative
# error 4e-16 for every y.
MILLS_CENTRE = 5.0
MILLS_COEFFICIENTS = (
    1.1568486282918946,
    -0.22948753825211315,
    0.07778159886873769,
    0.0250721793016388,
    -0.0661776007790963,
    0.0615050458401865,
    -0.03802659218584139,
    0.01634823128102938,
    -0.004201290329187307,
    1.9530638370790786e-05,
    0.00045704392357953655,
    -0.0001343742785571135,
    -2.480583845192319e-05,
    2.270961270923768e-05,
    -1.7633239265736746e-07,
    -3.277287633208865e-06,
    3.2054316652589574e-07,
    4.91996233147834e-07,
    -6.588974491108954e-08,
    -7.758520236786343e-08,
    9.092476134019147e-09,
    1.1032071151574336e-08,
    -7.073898575561589e-10,
    -9.564832934712551e-10,
)
MILLS_AT_ZERO = math.sqrt(math.pi / 2.0)

# log((1 - exp(-y)) / y) = -y/2 + sum_n B_2n y^2n / (2n (2n)!), B the Bernoulli numbers: n = 1..5. Used for
# |y| < 0.5, where the next term is below 1e-14.
WEAK_DRIFT = 0.5
LOG_MEAN_SERIES = (1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800, 1 / 479001600)


def ddm_log_correction(xp: Any, u: Any, w: Any, eps: Any) -> Any:
    """Log of the two-boundary first-passage density divided by the one-boundary (inverse Gaussian) density.

    It does not depend on the drift: both densities carry the same drift factor exp(v w A - v^2 d / 2)
    (Girsanov).

    Parameters
    ----------
    xp : Namespace
        Array namespace.
    u : array
        Decision time over squared boundary separation, u = d / (2 a)^2 > 0.
    w : array
        Relative distance from the start to the boundary that is hit, 0 < w < 1: ``z`` for a lower hit, ``1 -
        z`` for an upper one.
    eps : array
        1 - w, to full relative accuracy: ``1 - z`` for a lower hit, ``z`` for an upper one.

    Returns
    -------
    array
        The log ratio, of the broadcast shape; it tends to 0 as u -> 0 and is never positive.

    References
    ----------
    Navarro & Fuss (2009), Journal of Mathematical Psychology 53, 222-230; Gondan, Blurton & Kesselmeier
    (2014), same journal 60, 20-22: the two series, rearranged here so that nothing cancels as w or eps tends
    to 0.

    Examples
    --------
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> float(ddm_log_correction(NUMPY, 0.01, 0.5, 0.5).round(6))
    0.0
    """
    early = u < DENSITY_CROSSOVER
    near = w < 0.5
    u_early = xp.where(early, u, DENSITY_CROSSOVER)
    u_late = xp.where(early, DENSITY_CROSSOVER, u)
    from_near = _correction_from_near(xp, u_early, xp.where(near, w, 0.5))
    from_far = _correction_from_far(xp, u_early, xp.where(near, 0.5, w), xp.where(near, 0.5, eps))
    return xp.where(early, xp.where(near, from_near, from_far), _correction_late(xp, u_late, w, eps))


def ddm_logpdf(xp: Any, d: Any, response: Any, v: Any, a: Any, z: Any) -> Any:
    """Log density of decision time and response of the drift diffusion model.

    Parameters
    ----------
    xp : Namespace
        Array namespace.
    d : array
        Decision time rt - t in seconds, finite. Where d <= 0 the result is -inf and its gradients are 0.
    response : array
        +1 upper, -1 lower boundary.
    v : array
        Drift towards the upper boundary.
    a : array
        Half the boundary separation, a > 0.
    z : array
        Relative starting point, 0 < z < 1.

    Returns
    -------
    array
        Log density (per second), of the broadcast shape; over both responses it integrates to one.

    Examples
    --------
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> float(ddm_logpdf(NUMPY, 0.5, 1, 1.0, 1.0, 0.5).round(4))
    -0.1302
    """
    positive = d > 0
    d = xp.where(positive, d, 1.0)
    upper = response > 0
    w, eps = xp.where(upper, 1.0 - z, z), xp.where(upper, z, 1.0 - z)
    towards = xp.where(upper, v, -v)
    width = 2.0 * a
    distance = width * w
    miss = distance - towards * d
    one_boundary = xp.log(distance) - LOG_SQRT_2PI - 1.5 * xp.log(d) - miss * miss / (2.0 * d)
    two_boundaries = one_boundary + ddm_log_correction(xp, d / (width * width), w, eps)
    return xp.where(positive, two_boundaries, -math.inf)


def passage_logpdf(xp: Any, passage: Any) -> Any:
    """Log density of a trial that a transform has brought to a passage out of the unit interval.

    Parameters
    ----------
    xp : Namespace
        Array namespace.
    passage : Passage
        Time u, distances w and eps from either end of the interval, and log_factor.

    Returns
    -------
    array
        Log density (per second).

    Examples
    --------
    >>> from pymc_lan.models.diffusion.closed_view import straight
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> theta = {"v": 1.0, "a": 1.0, "z": 0.5, "theta": 0.3}
    >>> passage = straight(NUMPY, 0.5, 1, theta)
    >>> float(passage_logpdf(NUMPY, passage).round(3))
    -0.002
    """
    u, w, eps, log_factor = passage
    return log_factor + log_one_boundary(xp, u, w) + ddm_log_correction(xp, u, w, eps)


def ddm_log_choice(xp: Any, v: Any, a: Any, z: Any) -> tuple[Any, Any]:
    """Log probabilities of ending at the upper and at the lower boundary.

    With x = 4 a v: P(upper) = (1 - exp(-x z)) / (1 - exp(-x)), and z where x = 0.

    Parameters
    ----------
    xp : Namespace
        Array namespace.
    v, a, z : array
        Drift, half separation (a > 0), relative starting point (0 < z < 1).

    Returns
    -------
    log_upper, log_lower : array
        Both accurate in relative terms, also where the probability is 0 or 1 to double precision.

    Examples
    --------
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> [round(float(p), 4) for p in ddm_log_choice(NUMPY, 0.0, 1.0, 0.25)]
    [-1.3863, -0.2877]
    """
    x = 4.0 * a * v
    weak = xp.abs(x) < WEAK_DRIFT
    x_weak = xp.where(weak, x, 0.0)
    weak_upper = xp.log(z) + _log_mean(x_weak * z) - _log_mean(x_weak)
    weak_lower = xp.log(1.0 - z) + _log_mean(-x_weak * (1.0 - z)) - _log_mean(-x_weak)

    # A strong drift: seen from the boundary it leads to, one formula serves both signs.
    up = x > 0
    strength = xp.where(weak, WEAK_DRIFT, xp.where(up, x, -x))
    from_behind, ahead = xp.where(up, z, 1.0 - z), xp.where(up, 1.0 - z, z)
    total = _log1mexp(xp, strength)
    along = _log1mexp(xp, strength * from_behind) - total
    against = _log1mexp(xp, strength * ahead) - total - strength * from_behind
    log_upper = xp.where(weak, weak_upper, xp.where(up, along, against))
    log_lower = xp.where(weak, weak_lower, xp.where(up, against, along))
    return log_upper, log_lower


def ddm_log_go(xp: Any, horizon: Any, v: Any, a: Any, z: Any) -> tuple[Any, Any]:
    """Log probability of reaching the upper boundary by a horizon, and the log of the rest.

    The rest is a lower hit at any time or no decision by the horizon: a no-go trial.

    Parameters
    ----------
    xp : Namespace
        Array namespace.
    horizon : array
        Seconds of decision time (deadline - t). ``inf`` gives `ddm_log_choice`; where horizon <= 0 the result
        is (-inf, 0) and its gradients are 0.
    v, a, z : array
        Drift, half separation (a > 0), relative starting point (0 < z < 1).

    Returns
    -------
    log_go, log_nogo : array
        Both accurate in relative terms.

    References
    ----------
    Blurton, Kesselmeier & Gondan (2012), Journal of Mathematical Psychology 56, 470-475 (early); Tuerlinckx
    (2004), Behavior Research Methods 36, 702-716 (late).

    Examples
    --------
    >>> import math
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> [round(float(p), 4) for p in ddm_log_go(NUMPY, math.inf, 0.0, 1.0, 0.25)]
    [-1.3863, -0.2877]
    """
    width = 2.0 * a
    handover, forever = GO_CROSSOVER * width * width, GO_FOREVER * width * width
    started = horizon > 0
    time = xp.where(horizon > SHORTEST_HORIZON, horizon, SHORTEST_HORIZON)
    early = time < handover
    time_early = xp.where(early, time, handover)
    time_late = xp.where(early, handover, xp.where(time < forever, time, forever))
    early_go, early_nogo = _go_early(xp, time_early, v, width, 1.0 - z, z)
    late_go, late_nogo = _go_late(xp, time_late, v, a, z)
    log_go = xp.where(early, early_go, late_go)
    log_nogo = xp.where(early, early_nogo, late_nogo)
    return xp.where(started, log_go, -math.inf), xp.where(started, log_nogo, 0.0)


def _correction_from_near(xp: Any, u: Any, w: Any) -> Any:
    """Image series for w <= 1/2; the images at w + 2k and w - 2k in pairs, each pair proportional to w."""
    total = 0.0
    for k in (1, 2):
        x = 4.0 * k * w / u
        pair = 1.0 + xp.exp(-x) + (2.0 * k / w) * xp.expm1(-x)
        total = total + xp.exp(-2.0 * k * (k - w) / u) * pair
    return xp.log1p(total)


def _correction_from_far(xp: Any, u: Any, w: Any, eps: Any) -> Any:
    """Image series for w >= 1/2; the images at c - eps and -(c + eps) in pairs, each proportional to eps."""
    total = 0.0
    for c in (1, 3, 5):
        x = 2.0 * c * eps / u
        pair = -c * xp.expm1(-x) - eps * (1.0 + xp.exp(-x))
        total = total + xp.exp(-(c - 1) * (c + 1 - 2.0 * eps) / (2.0 * u)) * pair
    return xp.log(total) - xp.log(w)


def _correction_late(xp: Any, u: Any, w: Any, eps: Any) -> Any:
    """Sine series, less the log of the leading image w (2 pi u^3)^(-1/2) exp(-w^2 / 2u)."""
    series = xp.log1p(sum(term for _, term in _harmonics(xp, u, w, DENSITY_HARMONICS)))
    slowest = math.log(math.pi) + _log_sin_pi(xp, w, eps) - 0.5 * math.pi**2 * u
    leading = xp.log(w) - LOG_SQRT_2PI - 1.5 * xp.log(u) - w * w / (2.0 * u)
    return slowest + series - leading


def _go_late(xp: Any, time: Any, v: Any, a: Any, z: Any) -> tuple[Any, Any]:
    """Choice probabilities less, and plus, the probability of a go response after ``time``."""
    width = 2.0 * a
    w, x, u = 1.0 - z, v * width, time / (width * width)
    rate = x * x + math.pi**2
    # Integrating a harmonic over the time that is left divides it by its rate, (x^2 + k^2 pi^2) / 2.
    series = sum(term * rate / (x * x + (k * math.pi) ** 2) for k, term in _harmonics(xp, u, w, GO_HARMONICS))
    log_late = math.log(2.0 * math.pi) + x * w - 0.5 * rate * u + _log_sin_pi(xp, w, z) - xp.log(rate)
    log_late = log_late + xp.log1p(series)
    log_upper, log_lower = ddm_log_choice(xp, v, a, z)
    return log_upper + xp.log1p(-xp.exp(log_late - log_upper)), log_add(xp, log_lower, log_late)


def _go_early(xp: Any, time: Any, v: Any, width: Any, w: Any, eps: Any) -> tuple[Any, Any]:
    """Alternating series over images F_0 - F_1 + F_2, and 1 minus it as (1 - F_0) + (F_1 - F_2).

    F_j = exp(v D) G(r_j) with D = width w, G(r) = exp(-s r) Phi(-near) + exp(s r) Phi(-far), s = |v|,
    near, far = (r -+ s T) / sqrt T, r_0 = D, r_1 = width (1 + eps), r_2 = width (2 + w).
    """
    root = xp.sqrt(time)
    speed = xp.where(v < 0, -v, v)
    distance = width * w
    reaches = (distance, width * (1.0 + eps), width * (2.0 + w))
    ends = [_ends(xp, root, speed, reach) for reach in reaches]
    first, second, third = (
        v * distance - speed * reach + _log_image(xp, *end) for reach, end in zip(reaches, ends, strict=True)
    )
    log_unpassed = _log_not_one_boundary(xp, v, distance, *ends[0])
    log_go = first + xp.log(xp.exp(third - first) - xp.expm1(second - first))
    log_other = second + xp.log(-xp.expm1(third - second))
    return log_go, log_add(xp, log_unpassed, log_other)


def _ends(xp: Any, root: Any, speed: Any, reach: Any) -> tuple[Any, Any, Any, Any]:
    """(near, far) of an image and the Mills ratios at (abs(near), far)."""
    near, far = reach / root - speed * root, reach / root + speed * root
    return near, far, mills(xp, xp.where(near < 0, -near, near)), mills(xp, far)


def _log_image(xp: Any, near: Any, far: Any, mills_near: Any, mills_far: Any) -> Any:
    """log(exp(s r) G(r)), where exp(2 s r) phi(far) = phi(near) merges the two terms of G."""
    log_density = -0.5 * near * near - LOG_SQRT_2PI
    passed = xp.log1p(xp.exp(log_density) * (mills_far - mills_near))
    return xp.where(near < 0, passed, log_density + xp.log(mills_near + mills_far))


def _log_not_one_boundary(xp: Any, v: Any, distance: Any, near: Any, far: Any, mills_near: Any, mills_far: Any) -> Any:
    """Log probability that a single boundary at ``distance`` has not been reached: log(1 - F_0).

    1 - F_0 = phi(alpha) [M(alpha) - M(beta)], M the Mills ratio, alpha, beta = (v T -+ D) / sqrt T. Negative
    arguments are reflected, M(-y) = exp(y^2 / 2) sqrt(2 pi) - M(y), such that only positive terms are added
    in each of the cases. ``near``, ``far`` are (D -+ |v| T) / sqrt T, so that (|alpha|, |beta|) is (|near|,
    far) or the reverse.
    """
    towards = v >= 0
    passed = near < 0
    gone = towards & passed
    log_gone = -0.5 * near * near - LOG_SQRT_2PI + xp.log(xp.where(gone, mills_near - mills_far, 1.0))

    fleeing = (v < 0) & passed
    start = xp.where(towards, near, far)
    exponent = xp.where(fleeing, 2.0 * v * distance, -0.5 * start * start)
    ratio = xp.where(fleeing, mills_near - mills_far, 2.0 * MILLS_AT_ZERO - mills_near - mills_far)
    remaining = -xp.expm1(exponent) + xp.exp(-0.5 * start * start - LOG_SQRT_2PI) * ratio
    return xp.where(gone, log_gone, xp.log(xp.where(gone, 1.0, remaining)))


def _harmonics(xp: Any, u: Any, w: Any, count: int) -> list[tuple[int, Any]]:
    """Harmonics k = 2..count over the first: k sin(k pi w) / sin(pi w) exp(-(k^2 - 1) pi^2 u / 2)."""
    twice_cosine = 2.0 * xp.cos(math.pi * w)
    before, chebyshev = 1.0, twice_cosine
    terms = []
    for k in range(2, count + 1):
        terms.append((k, k * chebyshev * xp.exp((1 - k * k) * 0.5 * math.pi**2 * u)))
        before, chebyshev = chebyshev, twice_cosine * chebyshev - before
    return terms


def _log_sin_pi(xp: Any, w: Any, eps: Any) -> Any:
    """Log sin(pi w) from the smaller of w and 1 - w."""
    return xp.log(xp.sin(math.pi * xp.minimum(w, eps)))


def mills(xp: Any, y: Any) -> Any:
    """Mills ratio (1 - Phi(y)) / phi(y) for y >= 0.

    From ``erfcx`` where the namespace has it, as PyTensor does (whose rewrites take a minute over the
    gradient of a polynomial of this length). ``log_ndtr`` would not do: JAX's is off by 4e-9 at -20.
    """
    if hasattr(xp, "erfcx"):
        return MILLS_AT_ZERO * xp.erfcx(y / math.sqrt(2.0))
    t = (y - MILLS_CENTRE) / (y + MILLS_CENTRE)
    total = 0.0
    for coefficient in MILLS_COEFFICIENTS[::-1]:
        total = total * t + coefficient
    return total / (1.0 + y)


def log_ndtr(xp: Any, x: Any) -> Any:
    """Log of the normal distribution function, to full relative accuracy on either side."""
    log_tail = -0.5 * x * x - LOG_SQRT_2PI + xp.log(mills(xp, xp.abs(x)))
    return xp.where(x < 0, log_tail, xp.log1p(-xp.exp(log_tail)))


def log_not_passed(xp: Any, time: Any, v: Any, distance: Any) -> Any:
    """Log probability that Brownian motion with drift v has not gone a distance in one direction by a time above 0."""
    ends = _ends(xp, xp.sqrt(time), xp.where(v < 0, -v, v), distance)
    return _log_not_one_boundary(xp, v, distance, *ends)


def _log_mean(y: Any) -> Any:
    """log((1 - exp(-y)) / y) for small y."""
    square = y * y
    total = 0.0
    for coefficient in LOG_MEAN_SERIES[::-1]:
        total = (total + coefficient) * square
    return total - 0.5 * y


def _log1mexp(xp: Any, y: Any) -> Any:
    """log(1 - exp(-y)) for y > 0 (Maechler 2012)."""
    small = y < math.log(2.0)
    return xp.where(
        small,
        xp.log(-xp.expm1(-xp.where(small, y, 1.0))),
        xp.log1p(-xp.exp(-xp.where(small, 1.0, y))),
    )


def log_add(xp: Any, x: Any, y: Any) -> Any:
    """log(exp x + exp y), also of -inf; its gradient is finite in every back end."""
    larger = x > y
    high, low = xp.where(larger, x, y), xp.where(larger, y, x)
    return high + xp.log1p(xp.exp(xp.maximum(low - xp.maximum(high, LEAST_LOG), LEAST_RATIO)))
