"""The middle of a model's picture: how its evidence moves or, where nobody knows, when its trials end."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.kinds import Diffusion, vary
from pymc_lan.models.imported import Imported
from pymc_lan.models.model import Model, shift
from pymc_lan.plots.paths import STEP, boundary_until_closed, simulate_paths
from pymc_lan.plots.statistics import interval
from pymc_lan.plots.style import OF_RESPONSE, colour_of, wide

Float = NDArray[np.float64]
Theta = Mapping[str, Float]

# Of the paths or trials that are simulated, sorted by response and time, every so-many-th is drawn, so that few stand
# for all.
OF_PATHS = 400


class Shown(NamedTuple):
    """What is drawn of a model.

    Parameters
    ----------
    mean, draws : mapping of str to ndarray
        Parameters, and draws of them where there are any.
    prob : float
        Of what shows how far draws differ.
    last : float
        Where the axis of times ends [s].
    n_paths : int
        Paths, or trials.
    """

    mean: Theta
    draws: Theta | None
    prob: float
    last: float
    n_paths: int


@singledispatch
def draw_process(model: Model, ax: Any, shown: Shown, rng: np.random.Generator) -> None:
    """Draw how a model decides; of one of any kind, trials: a line for each from the onset, ending at its response."""
    mean, _, _, last, n_paths = shown
    rt, response = model.draw(rng, {name: np.repeat(x, OF_PATHS) for name, x in mean.items()})
    order = np.lexsort((rt, np.where(np.isfinite(rt), response, min(model.choices) - 1)))
    onset = float(np.max(shift(model, mean)))
    for height, trial in enumerate(order[_evenly(n_paths)], 1):
        end, decided = min(rt[trial], last), rt[trial] <= last
        colour = colour_of(int(response[trial]), model.choices) if decided else "0.6"
        ax.plot([onset, end], [height, height], color=colour, lw=wide(0.7))
        if decided:
            ax.plot(end, height, "o", color=colour, ms=wide(4))
    ax.set(ylabel="trials", ylim=(0, n_paths + 1), yticks=[])


def _evenly(n: int) -> list[int]:
    """Places of n of those that are simulated, in the middle of equal parts."""
    return [(2 * i + 1) * OF_PATHS // (2 * n) for i in range(n)]


@draw_process.register
def _of_the_known(model: Imported, ax: Any, shown: Shown, rng: np.random.Generator) -> None:
    draw_process(model.known, ax, shown, rng)


@draw_process.register
def _paths(model: Diffusion, ax: Any, shown: Shown, rng: np.random.Generator) -> None:
    """Draw boundaries, paths, and the path without noise."""
    mean, draws, prob, last, n_paths = shown
    steps = int((last - mean["t"][0]) / STEP) + 1
    bound = boundary_until_closed(model, mean, steps)
    seconds = mean["t"] + STEP * np.arange(len(bound))
    if draws is not None:
        _draw_spread(ax, model, mean, draws, prob, steps)
    for sign in (1, -1):
        ax.plot(seconds, sign * bound, color="black", lw=wide(1.6))
    noise = rng.standard_normal((steps, OF_PATHS))
    paths = simulate_paths(model, vary(model, rng, {name: np.repeat(x, OF_PATHS) for name, x in mean.items()}), noise)
    paths.sort(key=lambda path: (path.response, path.rt[-1]))
    for each in (paths[i] for i in _evenly(n_paths)):
        colour = OF_RESPONSE.get(each.response, "0.6")
        ax.plot(each.rt, each.x, color=colour, lw=wide(0.7), alpha=0.8)
    (still,) = simulate_paths(model, mean, np.zeros((steps, 1)))
    ax.plot(still.rt, still.x, color="black", lw=wide(1.6), ls=(0, (4, 2)))
    ax.plot(still.rt[0], still.x[0], "o", color="black", ms=wide(4))
    ax.set(ylabel="evidence", ylim=(-1.12 * bound[0], 1.12 * bound[0]))
    ax.set_yticks([-bound[0], 0, bound[0]], ["$-a$", "0", "$a$"])


def _draw_spread(ax: Any, spec: Diffusion, mean: Theta, draws: Theta, prob: float, steps: int) -> None:
    """Draw how far boundaries, path without noise and starting point differ between posterior draws."""
    times = STEP * np.arange(steps + 1)
    columns = {name: x[None, :] for name, x in draws.items()}
    bounds = np.broadcast_to(spec.boundary(times[:, None], columns), (steps + 1, draws["t"].size)).T.clip(0)
    low, _, high = interval(bounds, prob)
    for sign in (1, -1):
        ax.fill_between(mean["t"] + times, sign * low, sign * high, color="0.8", lw=0)
    # Paths that have arrived stay where they are, or the band would be that of the others.
    stills = np.empty((draws["t"].size, steps + 1))
    for row, path in zip(stills, simulate_paths(spec, draws, np.zeros((steps, len(stills)))), strict=True):
        row[: path.x.size], row[path.x.size :] = path.x, path.x[-1]
    low, _, high = interval(stills, prob)
    ax.fill_between(mean["t"] + times, low, high, color="0.8", lw=0)
    low, _, high = interval(stills[:, 0], prob)
    ax.vlines(mean["t"], low, high, color="black", lw=wide(2.4))
