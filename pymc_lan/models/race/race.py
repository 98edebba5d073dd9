"""Races of independent accumulators: the first to finish decides.

The density of a response is that of the winner's finishing time, times the probabilities that the others have not
finished. So a model is two functions of *one* accumulator, its log density and its log survivor, and `race_log_density`
makes a race of any number out of them. Both are written once against an array namespace ``xp`` and are elementwise.
They are closed forms; those of `pymc_lan.models.race.reflected_view` are corrected by a network each, the same for any
number.

Linear ballistic accumulators and racing diffusions share their shape. Evidence has a distance D to go that is uniform
across trials on [b - A, b]; with x, a distance in standard deviations, uniform on [g, h], both the density and the
survivor are means over x of something times a normal density. Where [g, h] is long, the mean is a difference of
antiderivatives, each divided by the normal density at the point of [g, h] nearest to 0, so that nothing underflows
however late the time is; where it is short, the difference would cancel, and four nodes of a Gauss rule are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import refuse
from pymc_lan.models.diffusion.closed_view import ONSET_MAX, ONSET_MIN
from pymc_lan.models.race.reflected_view import reflected_log_density, reflected_log_survivor, reflected_onset
from pymc_lan.models.spec import Model
from pymc_lan.numerics.passage import LOG_SQRT_2PI, Namespace, Theta
from pymc_lan.numerics.samplers.reflected import draw_reflected
from pymc_lan.numerics.wiener import log_add, mills

Float = NDArray[np.float64]

# Standard deviation of an LBA's drift across trials. It sets the unit of evidence; the value is HSSM's.
LBA_SD = 0.1
SQRT_2PI = math.sqrt(2 * math.pi)

# Length of [g, h], times one plus its distance from 0, up to which the Gauss rule is used: its error is 2e-13 there,
# and a difference of antiderivatives loses two digits.
SHORT = 0.2
_POINTS, _WEIGHTS = (0.5 * x for x in np.polynomial.legendre.leggauss(4))
# Where the rule looks, as shares of [g, h]; the antiderivatives look at both ends.
NODES, WEIGHTS, ENDS = _POINTS + 0.5, _WEIGHTS, np.array([0.0, 0.0, 1.0, 1.0])
# Beyond it 1 - y M(y), M the Mills ratio, is taken from its asymptotic series: the next term is below 1e-13.
FAR = 40.0
# Rounding may leave of a positive number nothing or less; its log is taken of this.
LEAST = 1e-290

# The rule for a gamma distribution's tail, and by how many e-folds the integrand falls where it ends.
_POINTS, GAMMA_WEIGHTS = (0.5 * x for x in np.polynomial.legendre.leggauss(32))
GAMMA_NODES, GAMMA_FOLDS = _POINTS + 0.5, 34.0
# Stirling's series for log Gamma(z), 1 / (12 z) and so on, and the shift after which its next term is below 1e-16.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
STIRLING_SHIFT = 8


@dataclass(frozen=True, slots=True)
class Race:
    """What accumulators of one kind do.

    Parameters
    ----------
    log_density, log_survivor : callable
        ``(xp, d, theta)`` for one accumulator: decision time d > 0 in seconds, `theta` by the names without number; and
        behind them its network, of one that is learned.
    onset : callable
        ``(xp, theta)`` to ``(d_min, slope)`` of the winner: below `d_min` the log density goes on in a straight line.
    draw : callable
        ``(rng, thetas)`` to the finishing times of every accumulator, shape (accumulators, n); inf for never.
    own : tuple of str
        Parameters that each accumulator has for itself, with its number behind the name: v to ``v0``, ``v1``, ...
    first : int
        The number of the first accumulator.
    order : tuple of str, optional
        Two parameters, of which the first is not to exceed the second.
    log_some : callable, optional
        ``(xp, thetas)`` to the log probability that any accumulator ever finishes; a trial where none does is drawn
        again. None where one always does.
    learned : bool
        Whether density and survivor take a network each.
    """

    log_density: Callable[..., Any]
    log_survivor: Callable[..., Any]
    onset: Callable[[Namespace, Theta], tuple[Any, Any]]
    draw: Callable[[np.random.Generator, Sequence[Mapping[str, Float]]], Float]
    own: tuple[str, ...]
    first: int = 0
    order: tuple[str, str] | None = None
    log_some: Callable[[Namespace, Sequence[Theta]], Any] | None = None
    learned: bool = False


def race_of(spec: Model) -> Race | None:
    """The accumulators of a model whose likelihood is that of a race; None for others, and for imported networks."""
    return RACES.get(spec.transform) if spec.view == "residual" else None


def is_closed_race(spec: Model) -> bool:
    """Whether a model is a race of accumulators in closed form, which has no networks."""
    race = race_of(spec)
    return race is not None and not race.learned


def race_log_density(
    xp: Namespace,
    race: Race,
    spec: Model,
    d: Any,
    response: Any,
    theta: Theta,
    networks: Sequence[Callable[..., Any]] = (),
) -> Any:
    """Log density of decision time and response of a race.

    Parameters
    ----------
    xp : Namespace
    race : Race
    spec : Model
        With one choice for each accumulator, in ascending order.
    d : array
        Decision time rt - t in seconds, positive.
    response : array
        One of the model's choices.
    theta : mapping of str to array
        Every parameter of the model; all broadcast.
    networks : sequence of callable
        Of accumulators that are learned: those of the log density and of the survivor.

    Returns
    -------
    array
        Log density (per second), of the broadcast shape; over all responses it integrates to one.

    Examples
    --------
    >>> from pymc_lan.models.catalogue import get_model
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> theta = {"A": 0.3, "b": 0.5, "v0": 0.5, "v1": 0.5}
    >>> float(race_log_density(NUMPY, RACES["lba"], get_model("lba2"), 0.7, 1, theta).round(4))
    -0.215
    """
    names = [name for name in spec.names if name != "t"]
    d, response, *values = xp.broadcast_arrays(d, response, *(theta[name] for name in names))
    thetas = split(race, spec, dict(zip(names, values, strict=True)))
    winner, losers = dict(thetas[-1]), dict(thetas[0])
    for name in race.own:
        each = [one[name] for one in thetas]
        for code, x in zip(spec.choices[-2::-1], each[-2::-1], strict=True):
            winner[name] = xp.where(response <= code, x, winner[name])
        # The losers in their order, the winner left out.
        pairs = zip(spec.choices[:-1], each[:-1], each[1:], strict=True)
        losers[name] = xp.stack([xp.where(response > code, before, after) for code, before, after in pairs])
    of_density, of_survivor = ([network] for network in networks) if networks else ((), ())
    total = race.log_density(xp, d, winner, *of_density) + race.log_survivor(xp, d, losers, *of_survivor).sum(axis=0)
    # Of what was given, before it was broadcast: usually numbers.
    return total if race.log_some is None else total - race.log_some(xp, split(race, spec, theta))


def race_onset(xp: Namespace, race: Race, spec: Model, response: Any, theta: Theta) -> tuple[Any, Any]:
    """``(d_min, slope)``: below `d_min` the log density goes on in a straight line of that positive slope."""
    thetas = split(race, spec, theta)
    winner = dict(thetas[-1])
    for name in race.own:
        for code, one in zip(spec.choices[-2::-1], thetas[-2::-1], strict=True):
            winner[name] = xp.where(response <= code, one[name], winner[name])
    d_min, slope = race.onset(xp, winner)
    return d_min, xp.maximum(slope, 1 / d_min)


def split(race: Race, spec: Model, theta: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameters of each accumulator, by their names without number."""
    numbers = range(race.first, race.first + len(spec.choices))
    numbered = {f"{name}{i}" for name in race.own for i in numbers}
    shared = {name: x for name, x in theta.items() if name not in numbered}
    return [shared | {name: theta[f"{name}{i}"] for name in race.own} for i in numbers]


def check_order(spec: Model, theta: Mapping[str, Any]) -> None:
    """Refuse, with a ValueError, numbers of which the first exceeds the second where it is not to.

    Parameters
    ----------
    spec : Model
        Of any model.
    theta : mapping of str to array_like
        Its parameters; those that are left out are not looked at.
    """
    race = RACES.get(spec.transform)
    if race is None or race.order is None or not set(race.order) <= theta.keys():
        return
    low, high = race.order
    pairs = np.broadcast_arrays(*np.atleast_1d(theta[low], theta[high]))
    refuse(
        pairs[0] > pairs[1],
        dict(zip(race.order, pairs, strict=True)),
        expected=f"{high} of {spec.name!r} to be at least {low}",
        found="less",
        remedy=f"lower {low} or raise {high}",
    )


def draw_race(spec: Model, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
    """Draw one decision time and response for each set of parameters.

    Parameters
    ----------
    spec : Model
    rng : numpy.random.Generator
    theta : mapping of str to ndarray, shape (n,)

    Returns
    -------
    time, response : ndarray, shape (n,)
        Seconds; one of the model's choices.
    """
    race = RACES[spec.transform]
    times = race.draw(rng, split(race, spec, theta))
    return times.min(axis=0), np.asarray(spec.choices, np.float64)[times.argmin(axis=0)]


def lba_log_density(xp: Namespace, d: Any, theta: Theta) -> Any:
    """Log density of the finishing time of a linear ballistic accumulator (Brown & Heathcote 2008, equation 2).

    It goes the distance D, uniform on [b - A, b], at a speed that is normal: mean v, standard deviation `LBA_SD`.
    """
    start, length = _lba_range(xp, d, theta)
    least = (theta["b"] - theta["A"]) / d
    mean = _log_mean_speed(xp, theta["v"], LBA_SD, start, length, least, theta["A"] / d)
    return mean - xp.log(LBA_SD * d)


def lba_log_survivor(xp: Namespace, d: Any, theta: Theta) -> Any:
    """Log probability that a linear ballistic accumulator has not finished (Brown & Heathcote 2008, equation 1)."""
    return _log_mean_survivor(xp, *_lba_range(xp, d, theta), None)


def _lba_range(xp: Namespace, d: Any, theta: Theta) -> tuple[Any, Any]:
    """Where x, the speed that is needed less the mean speed, lies: its least value, and by how much it varies."""
    return ((theta["b"] - theta["A"]) / d - theta["v"]) / LBA_SD, theta["A"] / (d * LBA_SD)


def lba_log_some(xp: Namespace, thetas: Sequence[Theta]) -> Any:
    """Log probability that any of the drifts is positive, adding up from the last accumulator to the first."""
    *others, last = [theta["v"] / LBA_SD for theta in thetas]
    total = _log_normal_cdf(xp, last)
    for x in reversed(others):
        total = log_add(xp, _log_normal_cdf(xp, x), _log_normal_cdf(xp, -x) + total)
    return total


def lba_onset(xp: Namespace, theta: Theta) -> tuple[Any, Any]:
    """Where the density is exp(-10) of its scale, and how it falls there."""
    gap = theta["b"] - theta["A"]
    d_min = xp.maximum(xp.minimum(gap / (4.5 * LBA_SD), ONSET_MAX), ONSET_MIN)
    lacking = xp.maximum((gap / d_min - theta["v"]) / LBA_SD, 0.0)
    return d_min, lacking * gap / (LBA_SD * d_min**2)


def draw_lba(rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
    """Finishing times of linear ballistic accumulators of which one has a positive drift.

    One after another: while none before is positive, this one is with its share of the probability that any of those
    left is.
    """
    from scipy.special import log_ndtr, ndtri_exp

    n = len(thetas[0]["v"])
    later = [lba_log_some(np, thetas[i:]) for i in range(len(thetas))]
    none_yet, times = np.ones(n, bool), np.empty((len(thetas), n))
    for i, theta in enumerate(thetas):
        x = theta["v"] / LBA_SD
        log_share = log_ndtr(x) - np.where(none_yet, later[i], 0.0)
        positive = np.log1p(-rng.random(n)) <= log_share
        # The inverse of a normal distribution function that is cut off at 0, in logs, so that it holds far out.
        side = np.where(positive, 1.0, -1.0)
        drift = x - side * ndtri_exp(np.log1p(-rng.random(n)) + log_ndtr(side * x))
        distance = theta["b"] - theta["A"] * rng.random(n)
        with np.errstate(divide="ignore"):
            times[i] = np.where(drift > 0, distance / np.maximum(drift * LBA_SD, 0.0), np.inf)
        none_yet &= ~positive
    return times


def diffusion_log_density(xp: Namespace, d: Any, theta: Theta) -> Any:
    """Log density of the first passage of a diffusion with one boundary (Tillman, Van Zandt & Logan 2020, equation 4).

    Unit noise, drift v, and a distance D to the boundary that is uniform on [b - A, b].
    """
    root = xp.sqrt(d)
    start, length = _diffusion_range(root, theta)
    least = (theta["b"] - theta["A"]) / d
    return _log_mean_speed(xp, theta["v"], 1 / root, start, length, least, theta["A"] / d) - 0.5 * xp.log(d)


def diffusion_log_survivor(xp: Namespace, d: Any, theta: Theta) -> Any:
    """Log probability that a diffusion with one boundary has not reached it (the same, equation 5)."""
    root = xp.sqrt(d)
    return _log_mean_survivor(xp, *_diffusion_range(root, theta), theta["v"] * root)


def _diffusion_range(root: Any, theta: Theta) -> tuple[Any, Any]:
    return (theta["b"] - theta["A"]) / root - theta["v"] * root, theta["A"] / root


def diffusion_onset(xp: Namespace, theta: Theta) -> tuple[Any, Any]:
    """Where the density is exp(-10) of its scale, and how it falls there."""
    squared = (theta["b"] - theta["A"]) ** 2
    d_min = xp.maximum(xp.minimum(squared / 20, ONSET_MAX), ONSET_MIN)
    return d_min, squared / (2 * d_min**2) - 1.5 / d_min - theta["v"] ** 2 / 2


def draw_diffusions(rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
    """Finishing times of diffusions with one boundary.

    Inverse Gaussian variates (Michael, Schucany & Haas 1976, American Statistician 30, 88-90), the smaller root taken
    from the larger one, because it would cancel where the drift is small.
    """
    times = []
    for theta in thetas:
        n = len(theta["v"])
        distance = theta["b"] - theta["A"] * rng.random(n)
        mean = distance / theta["v"]
        q = rng.chisquare(1, n) / (2 * theta["v"] * distance)
        ratio = 1 + q + np.sqrt(q * (2 + q))
        times.append(mean * np.where(rng.random(n) * (1 + ratio) < ratio, 1 / ratio, ratio))
    return np.stack(times)


def gamma_log_density(xp: Namespace, d: Any, theta: Theta) -> Any:
    """Log density of the time of a Poisson counter's k-th event: a gamma density, k any positive number."""
    k, x = theta["k"], theta["r"] * d
    return xp.log(theta["r"]) + (k - 1) * xp.log(x) - x - _log_gamma(xp, k)


def gamma_log_survivor(xp: Namespace, d: Any, theta: Theta) -> Any:
    """Log probability that a Poisson counter's k-th event has not come: log of a regularised gamma function.

    The tail on the far side of k, as seen from x = r d, is ``x^k exp(-x) / Gamma(k)`` times the integral over u of
    ``exp(k u - x (exp(u) - 1))`` from 0 to plus or minus infinity, whose integrand falls from 1.
    """
    k, x = theta["k"], theta["r"] * d
    above = x > k
    side, ratio = xp.where(above, 1.0, -1.0), xp.where(above, x / k, 1.0)
    # By then the integrand has fallen by `GAMMA_FOLDS`: it is below its bounds by a parabola and by a straight line.
    folds = GAMMA_FOLDS / k
    half = xp.sqrt(2 * folds)
    end = xp.where(above, xp.log1p((folds + half) / ratio), xp.minimum(folds + 1, half + folds / 2))
    u = side * end * _leading(GAMMA_NODES, x)
    mean = (_leading(GAMMA_WEIGHTS, x) * xp.exp(k * u - x * xp.expm1(u))).sum(axis=0)
    log_tail = k * xp.log(x) - x - _log_gamma(xp, k) + xp.log(end * mean)
    # For k next to 0 the rule is not exact, and may say that a little more than everything has come.
    before = xp.where(above, -1.0, xp.minimum(log_tail, -1e-6))
    return xp.where(above, log_tail, xp.log1p(-xp.exp(before)))


def gamma_onset(xp: Namespace, theta: Theta) -> tuple[Any, Any]:
    """The smallest time, because the density starts as a power of time."""
    return ONSET_MIN + 0 * theta["k"], (theta["k"] - 1) / ONSET_MIN - theta["r"]


def draw_gamma(rng: np.random.Generator, thetas: Sequence[Mapping[str, Float]]) -> Float:
    """Times of the k-th event of Poisson counters."""
    return np.stack([rng.gamma(theta["k"], 1 / theta["r"]) for theta in thetas])


def _leading(values: Float, like: Any) -> Any:
    """The values along a new first axis of arrays of as many dimensions as another."""
    return values.reshape(-1, *[1] * like.ndim)


def _log_gamma(xp: Namespace, k: Any) -> Any:
    """Log of the gamma function for k > 0, by Stirling's series after a shift."""
    z, product = k + STIRLING_SHIFT, k
    for i in range(1, STIRLING_SHIFT):
        product = product * (k + i)
    square, series = 1 / (z * z), 0.0
    for coefficient in STIRLING[::-1]:
        series = series * square + coefficient
    return (z - 0.5) * xp.log(z) - z + LOG_SQRT_2PI + series / z - xp.log(product)


def _log_normal_cdf(xp: Namespace, x: Any) -> Any:
    """Log of the normal distribution function, to full relative accuracy on either side."""
    size = xp.abs(x)
    log_tail = -0.5 * x * x - LOG_SQRT_2PI + xp.log(mills(xp, size))
    return xp.where(x < 0, log_tail, xp.log1p(-xp.exp(log_tail)))


def _places(xp: Namespace, start: Any, length: Any) -> tuple[Any, Any, Any]:
    """Whether [g, h] is short; its length where it is not, else 1; and where to look, as shares, along a new axis."""
    short = length * (1 + xp.abs(start + 0.5 * length)) < SHORT
    places = xp.where(short, _leading(NODES, short), _leading(ENDS, short))
    return short, xp.where(short, 1.0, length), places


def _log_mean_speed(xp: Namespace, v: Any, s: Any, start: Any, length: Any, least: Any, varies: Any) -> Any:
    """Log of the mean of (v + s x) phi(x) over x from `start` on; v + s x is `least` and `varies` from there on."""
    short, safe, places = _places(xp, start, length)
    x, end = start + length * places, start + length
    nearest = xp.maximum(start, xp.minimum(end, 0.0))
    weight = xp.exp(0.5 * (nearest - x) * (nearest + x))
    by_nodes = (_leading(WEIGHTS, short) * weight * (least + varies * places)).sum(axis=0)
    # What lies beyond an end, away from 0; signed such that the difference of both is what lies between.
    positive = x >= 0
    beyond = weight * (xp.where(positive, v, -v) * mills(xp, xp.abs(x)) + s)
    across = xp.where((start < 0) & (end >= 0), SQRT_2PI * v, 0.0)
    by_ends = (beyond[0] - beyond[3] + across) / safe
    mean = xp.maximum(xp.where(short, by_nodes, by_ends), LEAST)
    return xp.log(mean) - 0.5 * nearest * nearest - LOG_SQRT_2PI


def _log_mean_survivor(xp: Namespace, start: Any, length: Any, alpha: Any | None) -> Any:
    """Log of the mean, over x from `start` on, of the probability not to have finished.

    It is Phi(x) for a ballistic accumulator, where `alpha` is None, and Phi(x) - phi(x) M(x + 2 alpha) for a diffusion,
    ``alpha = v sqrt(d)`` (the inverse Gaussian distribution; M is the Mills ratio). The antiderivative of the second
    is that of the first, x Phi(x) + phi(x), less (Phi(x) + phi(x) M(x + 2 alpha)) / (2 alpha).
    """
    short, safe, places = _places(xp, start, length)
    x, end = start + length * places, start + length
    nearest = xp.minimum(end, 0.0)
    weight = xp.exp(0.5 * (nearest - x) * (nearest + x))
    size, positive, body = xp.abs(x), x >= 0, end > 0
    here = mills(xp, size)
    far = xp.maximum(size, FAR)
    inverse = 1 / (far * far)
    series = inverse * (1 - inverse * (3 - inverse * (15 - inverse * (105 - inverse * 945))))
    total = xp.where(size < FAR, 1 - size * here, series)
    image = 0.0 if alpha is None else mills(xp, x + 2 * alpha)
    survivor = xp.where(positive, SQRT_2PI - weight * (here + image), weight * (here - image))
    by_nodes = (_leading(WEIGHTS, short) * survivor).sum(axis=0)
    constant = xp.where(positive, SQRT_2PI * x, 0.0)
    if alpha is not None:
        total = total - (image + xp.where(positive, -here, here)) / (2 * alpha)
        constant = constant + xp.where(positive | ~body, 0.0, SQRT_2PI / (2 * alpha))
    antiderivative = constant + weight * total
    by_ends = (antiderivative[3] - antiderivative[0]) / safe
    mean = xp.maximum(xp.where(short, by_nodes, by_ends), LEAST)
    return xp.log(mean) - 0.5 * nearest * nearest - LOG_SQRT_2PI


RACES: dict[str, Race] = {
    "lba": Race(
        lba_log_density,
        lba_log_survivor,
        lba_onset,
        draw_lba,
        own=("v",),
        order=("A", "b"),
        log_some=lba_log_some,
    ),
    "racing_diffusion": Race(
        diffusion_log_density, diffusion_log_survivor, diffusion_onset, draw_diffusions, own=("v",), order=("A", "b")
    ),
    "poisson_race": Race(gamma_log_density, gamma_log_survivor, gamma_onset, draw_gamma, own=("r", "k"), first=1),
    "reflected": Race(
        reflected_log_density, reflected_log_survivor, reflected_onset, draw_reflected, own=("v", "z"), learned=True
    ),
    "reflected_no_bias": Race(
        reflected_log_density, reflected_log_survivor, reflected_onset, draw_reflected, own=("v",), learned=True
    ),
}
"""Kinds of accumulators, by what stands in a `Model` in place of a transform."""
