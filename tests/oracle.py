"""What a table of trials is worth under the DDM, from its raw cells: nothing here is taken from the package.

Densities are the series of Navarro & Fuss (2009), the probability of no press is by the distribution function's series
for late times and, for early ones, by the images of one boundary's. Cells are read as a person reads them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Below this time, in squares of the separation, series of images are used, and so many of them.
EARLY, IMAGES, WAVES = 0.25, 12, 60
GO, NO_GO = {"go", "1", "1.0", "true"}, {"no-go", "nogo", "no_go", "0", "0.0", "-1", "-1.0", "false"}


def density(d: float, upper: bool, v: float, a: float, z: float) -> float:
    """Of a decision after d seconds at one of the boundaries, -a and a, from -a + 2 a z with drift v."""
    if d <= 0:
        return 0.0
    # Of the lower boundary of the mirrored process.
    width, w, v = 2 * a, 1 - z if upper else z, -v if upper else v
    u = d / width**2
    if u < EARLY:
        places = [w + 2 * k for k in range(-IMAGES, IMAGES + 1)]
        g = math.fsum(x * math.exp(-x * x / (2 * u)) for x in places) / math.sqrt(2 * math.pi * u**3)
    else:
        waves = [k * math.pi for k in range(1, WAVES)]
        g = math.fsum(x * math.exp(-x * x * u / 2) * math.sin(x * w) for x in waves)
    return max(g, 0.0) / width**2 * math.exp(-v * width * w - v * v * d / 2)


def upper_by(horizon: float, v: float, a: float, z: float) -> float:
    """Probability that the upper boundary is reached within so many seconds of decision time, which may be inf."""
    if horizon <= 0:
        return 0.0
    width, w = 2 * a, 1 - z
    ever = z if v == 0 else math.expm1(-2 * v * width * z) / math.expm1(-2 * v * width)
    if math.isinf(horizon):
        return ever
    if horizon / width**2 >= EARLY:
        waves = [k * math.pi / width for k in range(1, WAVES)]
        rest = (x * math.sin(x * width * w) / (v * v + x * x) * math.exp(-(v * v + x * x) * horizon / 2) for x in waves)
        return ever - 2 / width * math.exp(v * width * w) * math.fsum(rest)
    # Each image is the passage of one boundary at a distance r, an inverse Gaussian distribution.
    root, terms = math.sqrt(horizon), []
    for j in range(IMAGES):
        r = width * (j + (1 - w if j % 2 else w))
        up = math.erfc((r - v * horizon) / root / math.sqrt(2)) / 2
        down = math.erfc((r + v * horizon) / root / math.sqrt(2)) / 2
        shift = v * width * w
        terms.append((-1) ** j * (math.exp(shift - v * r) * up + (math.exp(shift + v * r) * down if down else 0.0)))
    return math.fsum(terms)


def seconds(cell: Any) -> float:
    """A time as a number; inf where a cell says that there is none."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return math.inf
    try:
        value = float(cell)
    except TypeError:  # pandas.NA
        return math.inf
    return math.inf if math.isnan(value) else value


def is_press(rt: Any, response: Any) -> bool:
    """Whether a go/no-go trial has a press; by its rt alone where the table says nothing of responses."""
    return math.isfinite(seconds(rt)) if response is ... else seconds(response) == 1


def is_go(cell: Any) -> bool:
    """Whether a trial is a go trial, however that is written."""
    text = str(cell).strip().lower()
    if text not in GO | NO_GO:
        raise ValueError(f"{cell!r} is no type of trial")
    return text in GO


def each(value: Any, n: int) -> Float:
    """One number for each of n trials, of a number or of as many cells."""
    cells = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value] * n
    assert len(cells) == n
    return np.array([float(cell) for cell in cells])


def mixed(own: Sequence[float], guess: Sequence[float], p_lapse: Float) -> Float:
    """Log of trials that are guesses with probability p_lapse."""
    with np.errstate(divide="ignore"):
        return np.log((1 - p_lapse) * np.array(own) + p_lapse * np.array(guess))


def windows(given: Any, deadlines: Float, times: Sequence[float]) -> Float:
    """Where guesses fall: as given, else a trial's deadline where it has one, else the longest observed time."""
    if given is not None:
        return each(given, len(times))
    finite = [x for x in times if math.isfinite(x)]
    return np.where(np.isfinite(deadlines), deadlines, max(finite, default=math.nan))


def choices(
    table: Mapping[str, Sequence[Any]],
    *,
    v: Any,
    a: Any,
    z: Any = 0.5,
    t: Any,
    p_lapse: Any = 0.0,
    lapse_window: Any = None,
) -> Float:
    """Log densities of two-choice trials.

    Parameters
    ----------
    table : mapping of str to sequence
        Raw cells of the columns ``rt`` and ``response`` (1 or -1).
    v, a, z, t, p_lapse, lapse_window : float or sequence
        As `pymc_lan.DDM` has them.
    """
    times = [seconds(cell) for cell in table["rt"]]
    n = len(times)
    theta = np.column_stack([each(x, n) for x in (v, a, z)])
    shift, p, window = each(t, n), each(p_lapse, n), windows(lapse_window, np.full(n, np.inf), times)
    upper = [seconds(cell) == 1 for cell in table["response"]]
    own = [density(rt - ndt, up, *row) for rt, ndt, up, row in zip(times, shift, upper, theta, strict=True)]
    guess = [0.5 / w if 0 < rt <= w else 0.0 for rt, w in zip(times, window, strict=True)]
    return mixed(own, guess, p)


def presses(
    table: Mapping[str, Sequence[Any]],
    *,
    v: Any,
    a: Any,
    z: Any = 0.5,
    t: Any,
    v_nogo: Any = None,
    trial_type: Sequence[Any] | None = None,
    deadline: Any = math.inf,
    p_lapse: Any = 0.0,
    lapse_go: Any = 0.5,
    lapse_window: Any = None,
) -> Float:
    """Log densities of presses, and log probabilities of none, in go/no-go trials.

    Parameters
    ----------
    table : mapping of str to sequence
        Raw cells of the columns ``rt`` and, perhaps, ``response``; other columns are not looked at.
    v, a, z, t, v_nogo, p_lapse, lapse_go, lapse_window : float or sequence
        As `pymc_lan.GoNoGoDDM` has them.
    trial_type : sequence, optional
        Cells that say which trials are go trials; all are by default.
    deadline : object or sequence
        Cells with the ends of the response windows; an empty one has none.
    """
    n = len(table["rt"])
    pressed = [is_press(*cells) for cells in zip(table["rt"], table.get("response", [...] * n), strict=True)]
    times = [seconds(cell) if press else math.inf for cell, press in zip(table["rt"], pressed, strict=True)]
    go = np.array([True] * n if trial_type is None else [is_go(cell) for cell in trial_type])
    cells = deadline if isinstance(deadline, Iterable) and not isinstance(deadline, str) else [deadline] * n
    ends = np.array([seconds(cell) for cell in cells])
    drift = each(v, n)
    drift = np.where(go, drift, -drift if v_nogo is None else each(v_nogo, n))
    p, share, window = each(p_lapse, n), each(lapse_go, n), windows(lapse_window, ends, times)
    own, guess = [], []
    rows = zip(times, ends, share, window, each(t, n), drift, each(a, n), each(z, n), strict=True)
    for rt, end, press, w, ndt, *theta in rows:
        if math.isfinite(rt):
            own.append(density(rt - ndt, True, *theta) if rt <= end else 0.0)
            guess.append(press / w if 0 < rt <= min(w, end) else 0.0)
        else:
            own.append(1 - upper_by(end - ndt, *theta))
            # Without a lapse there is no window to take: it has to be neither given nor found.
            guess.append(1 - press * min(1.0, end / w) if math.isfinite(w) else 0.0)
    return mixed(own, guess, p)
