"""Figures of a training on simulations, from plain numbers: what its report shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.plots.style import COLOURS, DATA_FILL, DATA_LINE, LOWER, PAPER, UPPER, pyplot

Float = NDArray[np.float64]

# Bins of a parameter, and of the predicted probabilities.
BINS, QUANTILES = 6, 12
# Pairs of more parameters than this have no room; those are mapped over which the error changes most.
MOST_MAPPED = 5
# Colour of trials without a response.
NONE = "0.5"
# Characters that a panel's title has room for in a line.
LINE = 32
# Width of a panel and height, inch.
PANEL = (2.3, 1.8)


class Density(NamedTuple):
    """A network's density beside simulated trials, of one parameter set.

    Parameters
    ----------
    title : str
    edges : ndarray, shape (b + 1,)
        Of the histogram, in seconds.
    counted : ndarray, shape (c, b)
        Defective densities of simulated trials: over all choices they add up to the share of responses.
    rt : ndarray, shape (k,)
    density : ndarray, shape (c, k)
    """

    title: str
    edges: Float
    counted: Float
    rt: Float
    density: Float


def _printed[**P](draw: Callable[P, Any]) -> Callable[P, Any]:
    """Draw in small print, whatever the user's style is."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Any:
        with pyplot().rc_context({**PAPER, "axes.spines.top": False, "axes.spines.right": False}):
            return draw(*args, **kwargs)

    return drawn


def _panels(rows: int, columns: int) -> tuple[Any, NDArray[Any]]:
    from matplotlib.figure import Figure

    # Not one of pyplot's, which would have to be closed.
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


@_printed
def losses(history: Float, best: int) -> Any:
    """Loss in training and on held-out sets, and the held-out error, by chunk.

    Parameters
    ----------
    history : ndarray, shape (chunks, 3)
        Of each chunk the mean loss, the held-out loss, and the held-out divergence in nats.
    best : int
        The chunk whose weights were kept.

    Returns
    -------
    Figure
    """
    figure, ((loss, error),) = _panels(1, 2)
    chunks = np.arange(1, len(history) + 1)
    loss.plot(chunks, history[:, 0], color=COLOURS[1], label="training")
    loss.plot(chunks, history[:, 1], color=COLOURS[0], label="held out")
    loss.set(xlabel="chunk", ylabel="loss [nats]")
    loss.legend(frameon=False)
    error.plot(chunks, history[:, 2], color=COLOURS[0])
    # What is below is chance, and has no logarithm.
    least = max(history[:, 2].min(), 1e-7)
    error.set(xlabel="chunk", ylabel="held-out error [nats]", yscale="log", ylim=(least / 2, None))
    for panel in (loss, error):
        panel.axvline(best + 1, color="0.5", ls=":", lw=0.8)
    error.annotate("kept", (best + 1, 1), xycoords=("data", "axes fraction"), ha="right", va="top", color="0.4")
    return figure


@_printed
def error_map(names: Sequence[str], bounds: Sequence[tuple[float, float]], theta: Float, errors: Float) -> Any:
    """Mean error of held-out sets over each parameter, with two standard errors, and over each pair.

    Of more than `MOST_MAPPED` parameters pairs are mapped of those over which the error changes most; the others stand
    below, each alone.

    Parameters
    ----------
    names : sequence of str
    bounds : sequence of tuple of float
    theta : ndarray, shape (m, p)
    errors : ndarray, shape (m,)

    Returns
    -------
    Figure
    """
    edges = [np.linspace(*pair, BINS + 1) for pair in bounds]
    inside = [np.searchsorted(e[1:-1], x, "right") for e, x in zip(edges, theta.T, strict=True)]
    means = [_means(each, errors) for each in inside]
    order = np.argsort([-np.nanstd(mean) for mean, _ in means], kind="stable").tolist()
    shown, others = sorted(order[:MOST_MAPPED]), sorted(order[MOST_MAPPED:])
    figure, panels = _panels(len(shown) + -(-len(others) // MOST_MAPPED), len(shown))
    maps = {
        (row, column): _mean_map(inside[shown[column]], inside[shown[row]], errors)
        for row in range(len(shown))
        for column in range(row)
    }
    highest = max((np.nanmax(x) for x in maps.values()), default=1.0)
    alone = dict(zip(((k, k) for k in range(len(shown))), shown, strict=True))
    alone |= {(len(shown) + k // MOST_MAPPED, k % MOST_MAPPED): i for k, i in enumerate(others)}
    for (row, column), panel in np.ndenumerate(panels):
        if (row, column) in alone:
            i = alone[row, column]
            middle, (mean, spread) = (edges[i][1:] + edges[i][:-1]) / 2, means[i]
            panel.errorbar(middle, mean, 2 * spread, color=COLOURS[0], marker="o", ms=2.5, lw=0.8)
            panel.axhline(0, color="0.6", lw=0.6)
            panel.set(xlabel=names[i], ylabel="error [nats]", xlim=bounds[i])
            panel.ticklabel_format(axis="y", scilimits=(-2, 3))
        elif (row, column) in maps:
            i, j = shown[row], shown[column]
            drawn = panel.pcolormesh(edges[j], edges[i], maps[row, column].T, vmin=0, vmax=highest, cmap="viridis")
            panel.set(xlabel=names[j], ylabel=names[i])
        else:
            panel.set_axis_off()
    if maps:
        bar = figure.colorbar(drawn, cax=panels[0, 1].inset_axes([0.05, 0.1, 0.06, 0.8]), label="error [nats]")
        bar.formatter.set_powerlimits((-2, 3))
    return figure


def _means(place: NDArray[np.int64], errors: Float) -> tuple[Float, Float]:
    """Mean of each bin, and its standard error; NaN of an empty one."""
    parts = [errors[place == k] for k in range(BINS)]
    mean = [x.mean() if len(x) else np.nan for x in parts]
    return np.array(mean), np.array([x.std() / np.sqrt(len(x)) if len(x) else np.nan for x in parts])


def _mean_map(x: NDArray[np.int64], y: NDArray[np.int64], errors: Float) -> Float:
    cell, size = x * BINS + y, BINS * BINS
    count = np.bincount(cell, minlength=size)
    total = np.bincount(cell, errors, minlength=size)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(BINS, BINS)


def _colours(choices: Sequence[int]) -> list[str]:
    """A colour for each choice; of two, the one of the higher code has the colour of the upper boundary."""
    if len(choices) == 2:
        return [UPPER if code == max(choices) else LOWER for code in choices]
    return [COLOURS[k % len(COLOURS)] for k in range(len(choices))]


@_printed
def densities(shown: Sequence[Density], choices: Sequence[int]) -> Any:
    """A network's densities beside simulated trials; of two choices, the one of the lower code is upside down.

    Parameters
    ----------
    shown : sequence of Density
    choices : sequence of int

    Returns
    -------
    Figure
    """
    columns = min(3, len(shown))
    figure, panels = _panels(-(-len(shown) // columns), columns)
    for panel in panels.flat[len(shown) :]:
        panel.set_axis_off()
    for panel, each in zip(panels.flat, shown, strict=False):
        for k, (code, colour) in enumerate(zip(choices, _colours(choices), strict=True)):
            sign = -1 if len(choices) == 2 and code == min(choices) else 1
            panel.stairs(sign * each.counted[k], each.edges, fill=True, color=DATA_FILL)
            panel.stairs(sign * each.counted[k], each.edges, color=DATA_LINE, lw=0.5)
            panel.plot(each.rt, sign * each.density[k], color=colour, label=f"{code}")
        panel.set(xlabel="rt [s]", ylabel="density [1/s]", xlim=(each.edges[0], each.edges[-1]))
        panel.set_title(fill(each.title, LINE))
    panels.flat[0].legend(frameon=False, title="response")
    return figure


@_printed
def calibration(choices: Sequence[int], predicted: Float, found: Float, n: Float) -> Any:
    """Shares of outcomes beside their probabilities, and the difference, in bins of held-out sets.

    The bar is what chance alone would do to a bin, two standard deviations: one of twenty points lies beyond it.

    Parameters
    ----------
    choices : sequence of int
    predicted, found : ndarray, shape (m, outcomes)
        Of each choice and, where there is a column more, of no response.
    n : ndarray, shape (m,)
        Trials of each set.

    Returns
    -------
    Figure
    """
    figure, ((shares, differences),) = _panels(1, 2)
    shares.plot([0, 1], [0, 1], color="0.6", lw=0.8)
    differences.axhline(0, color="0.6", lw=0.8)
    labels, colours = [*map(str, choices), "none"], [*_colours(choices), NONE]
    for k in range(predicted.shape[1]):
        p, share = predicted[:, k], found[:, k]
        bins = np.array_split(np.argsort(p, kind="stable"), QUANTILES)
        x, y = (np.array([v[rows].mean() for rows in bins]) for v in (p, share))
        chance = np.array([2 * np.sqrt(np.sum(p[rows] * (1 - p[rows]).clip(0) / n[rows])) / len(rows) for rows in bins])
        shares.plot(x, y, "o", color=colours[k], ms=3, label=labels[k])
        differences.errorbar(x, y - x, chance, color=colours[k], fmt="o", ms=3, lw=0.8)
    shares.set(xlabel="probability, network", ylabel="share, simulated", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    differences.set(xlabel="probability, network", ylabel="share - probability")
    shares.legend(frameon=False, title="response")
    return figure
