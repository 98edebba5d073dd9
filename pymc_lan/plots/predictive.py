"""Response times of data against those that a fitted model predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_lan.data.observation import PressOrNot
from pymc_lan.errors import explain
from pymc_lan.plots.statistics import defective_density, interval, over_draws
from pymc_lan.plots.style import BAND, DATA_FILL, DATA_LINE, OF_RESPONSE, UPPER, panel_axes, result, tidy
from pymc_lan.plots.trials import Bool, Float, Level, Trials, read_trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHOICES = {1: "upper", -1: "lower"}
# Share of the observed response times that the axis reaches, where it is not said.
SHOWN = 0.98
# Of the panel's width, for the bar of trials without a response, and for the gap before it.
BAR, GAP = 0.12, 0.06


def predictive(
    idata: Any,
    data: Any,
    *,
    condition: str | None = None,
    col: str | None = None,
    var_name: str = "obs",
    rt: str = "rt",
    response: str = "response",
    choices: Mapping[int, str] = CHOICES,
    n_bins: int = 30,
    last: float | None = None,
    prob: float = 0.9,
    n_draws: int = 200,
    ax: Any = None,
) -> Any:
    """Plot response times of both choices, data against posterior predictive draws, one choice upside down.

    Densities are defective: areas above and below the axis are the shares of the two choices, so that one picture shows
    times and choices. Data are the grey histogram. The line is the mean over predicted data sets in the same bins, and
    the band holds the central `prob` of them: the data should leave it about as rarely as that.

    Parameters
    ----------
    idata : DataTree, InferenceData, DataArray, ndarray or None
        With a group ``posterior_predictive``, or the draws, shape (..., n_trials, 2); None plots data alone.
    data : DataFrame
        The trials that the model was fitted to, one per row, in that order.
    condition, col : str, optional
        Columns of `data`, each level of which gets a panel: of one of them in rows of four, of both `condition` by row
        and `col` by column.
    var_name : str
        Of the observed variable.
    rt, response : str
        Columns of `data`: seconds; +1 (drawn upwards) and -1.
    choices : mapping of int to str
        What to call the choices, for instance ``{1: "correct", -1: "error"}``.
    n_bins : int
        Bins from 0 to `last`.
    last : float, optional
        Where the axis ends [s]; by default where 98 % of the observed times lie.
    prob : float
        Of the band.
    n_draws : int
        Predicted data sets to use, evenly spaced over all.
    ax : Axes or array of Axes, optional
        As many as there are panels; without it a new figure, as wide as matplotlib's setting says: see `paper`.

    Returns
    -------
    Axes, or ndarray of Axes
        By panel, where there is a `condition` or a `col`; of shape (conditions, cols) with both.

    Raises
    ------
    ValueError
        For data that `pymc_lan.as_observed` refuses, a missing group, variable or column, or lengths that do not match.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc_lan as pl
    >>> truth = dict(v=1.0, a=1.0, z=0.5, t=0.3)
    >>> df = pl.simulate("ddm", truth, n=200, seed=1).assign(cue=["left", "right"] * 100)
    >>> drawn = np.stack([pl.as_observed(pl.simulate("ddm", truth, n=200, seed=s)) for s in range(2, 12)])
    >>> pl.plots.predictive(drawn, df, condition="cue").shape
    (2,)
    """
    trials = read_trials(idata, data, var_name=var_name, n_draws=n_draws, rt=rt, response=response)
    panels = _panels(trials, condition, col)
    axes = panel_axes(ax, panels.shape)
    edges = _edges(trials, last, n_bins)
    highest = {1: 0.0, -1: 0.0}
    for where, panel in zip(axes.flat, panels.flat, strict=True):
        for code in (1, -1):
            found = _draw_density(where, trials, panel, code, edges, prob, choices[code], first=code == 1)
            highest[code] = max(highest[code], found)
        where.axhline(0, color="black", lw=0.6)
        where.set_title(panel.label)
        where.yaxis.set_major_formatter(lambda y, _: f"{abs(y):g}")
    for where in axes.flat:
        where.set(xlim=(0, edges[-1]), ylim=(-1.1 * highest[-1], 1.1 * highest[1]))
    tidy(axes, "response time [s]", "density [1/s]", own=ax is None)
    return result(axes)


def predictive_gonogo(
    idata: Any,
    data: Any,
    *,
    condition: str | None = None,
    col: str | None = None,
    var_name: str = "obs",
    rt: str = "rt",
    response: str = "response",
    n_bins: int = 30,
    last: float | None = None,
    prob: float = 0.9,
    n_draws: int = 200,
    ax: Any = None,
) -> Any:
    """Plot go/no-go data against posterior predictive draws: times of presses, and a bar for trials without one.

    The curve is defective, its area the share of trials with a press; the bar at the right, on a scale of its own from
    0 to 1, is the share without (none). Grey are the data; line, point, band and whisker are the mean and the central
    `prob` of predicted data sets.

    Parameters
    ----------
    idata : DataTree, InferenceData, DataArray, ndarray or None
        With a group ``posterior_predictive``, or the draws, shape (..., n_trials, 2), ``rt = inf`` where nothing was
        pressed; None plots data alone.
    data : DataFrame
        The trials that the model was fitted to, one per row, in that order; rt is empty where nothing was pressed, and
        there may be no column of responses.
    condition, col : str, optional
        Columns of `data`, each level of which gets a panel, for instance ``condition="trial_type"``: of one of them in
        rows of four, of both `condition` by row and `col` by column.
    var_name : str
        Of the observed variable.
    rt, response : str
        Columns of `data`.
    n_bins : int
        Bins from 0 to `last`.
    last : float, optional
        Where the axis of times ends [s], for instance the deadline; by default where 98 % of the presses lie.
    prob : float
        Of the band.
    n_draws : int
        Predicted data sets to use, evenly spaced over all.
    ax : Axes or array of Axes, optional
        As many as there are panels. The bar is drawn inside, into axes of its own: the last of ``child_axes``.

    Returns
    -------
    Axes, or ndarray of Axes

    Raises
    ------
    ValueError
        For data that `pymc_lan.as_observed` refuses, a missing group, variable or column, or lengths that do not match.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import pymc_lan as pl
    >>> df = pd.DataFrame({"rt": [0.4, None, 0.6, None], "trial_type": ["go", "no-go"] * 2})
    >>> drawn = np.stack([pl.as_observed(df, go_nogo=True)] * 10)
    >>> go, no_go = pl.plots.predictive_gonogo(drawn, df, condition="trial_type")
    >>> go.get_title(), no_go.get_title()
    ('go', 'no-go')
    """
    trials = read_trials(
        idata, data, var_name=var_name, n_draws=n_draws, observation=PressOrNot(), rt=rt, response=response
    )
    panels = _panels(trials, condition, col)
    axes = panel_axes(ax, panels.shape)
    edges = _edges(trials, last, n_bins)
    highest = max(
        _draw_density(where, trials, panel, 1, edges, prob, "press", first=True)
        for where, panel in zip(axes.flat, panels.flat, strict=True)
    )
    for where, panel in zip(axes.flat, panels.flat, strict=True):
        where.set_title(panel.label)
        # Room for the bar within the axes, so that any layout keeps it.
        where.set(xlim=(0, edges[-1] / (1 - BAR - GAP)), ylim=(0, 1.05 * highest))
        where.spines["bottom"].set_bounds(0, edges[-1])
        where.set_xticks([x for x in where.get_xticks() if 0 <= x <= edges[-1]])
        _draw_bar(where.inset_axes((1 - BAR, 0, BAR, 1)), trials, panel, prob)
    tidy(axes, "response time [s]", "density of presses [1/s]", own=ax is None)
    return result(axes)


def _panels(trials: Trials, condition: str | None, col: str | None) -> Any:
    """The trials of each panel, as an array of the shape of the grid."""
    rows, cols = trials.levels(condition), trials.levels(col)
    found = np.empty((len(rows), len(cols)), dtype=object)
    for i, row in enumerate(rows):
        for j, column in enumerate(cols):
            mine = row.mine & column.mine
            if not mine.any():
                raise ValueError(
                    explain(
                        f"trials of every {condition} in every {col}",
                        f"none of {row.label} in {column.label}",
                        "choose levels that occur together, or leave out condition or col",
                    )
                )
            found[i, j] = Level(", ".join(filter(None, (row.label, column.label))), mine)
    if condition is not None and col is not None:
        return found
    return found.ravel() if condition is not None or col is not None else found.reshape(())


def _edges(trials: Trials, last: float | None, n_bins: int) -> Float:
    if last is None:
        answered = trials.rt[np.isfinite(trials.rt)]
        if not answered.size:
            raise ValueError(explain("a response on some trial", "none at all", "check the data, or give last=..."))
        last = float(np.ceil(10 * np.quantile(answered, SHOWN)) / 10)
    if not (np.isfinite(last) and last > 0 and n_bins >= 1):
        raise ValueError(
            explain("last above 0 s and at least one bin", f"last={last}, n_bins={n_bins}", "give other values")
        )
    return np.linspace(0, last, n_bins + 1)


def _draw_density(
    ax: Axes, trials: Trials, panel: Level, code: int, edges: Float, prob: float, name: str, *, first: bool
) -> float:
    """Draw one response's times in one panel; return the greatest height."""
    mine: Bool = panel.mine

    def density(rt: Float, response: Float) -> Float:
        return defective_density(rt, response == code, edges)

    data = density(trials.rt[mine], trials.response[mine])
    ax.stairs(code * data, edges, fill=True, color=DATA_FILL, lw=0)
    ax.stairs(code * data, edges, color=DATA_LINE, lw=0.6, label="data" if first else None)
    highest = float(data.max())
    if trials.drawn is not None:
        low, mean, high = interval(over_draws(density, trials.drawn[:, mine]), prob)
        middle, colour = (edges[1:] + edges[:-1]) / 2, OF_RESPONSE[code]
        ax.fill_between(middle, code * low, code * high, color=colour, alpha=BAND, lw=0)
        ax.plot(middle, code * mean, color=colour, label=f"model, {name}")
        highest = max(highest, float(high.max()))
    return highest


def _draw_bar(ax: Axes, trials: Trials, panel: Level, prob: float) -> None:
    """Draw the share of trials without a response."""

    def omitted(rt: Float, response: Float) -> Float:
        return np.asarray(np.mean(~np.isfinite(rt)))

    mine: Bool = panel.mine
    ax.bar(0, omitted(trials.rt[mine], trials.response[mine]), 0.8, color=DATA_FILL, edgecolor=DATA_LINE, lw=0.6)
    if trials.drawn is not None:
        low, mean, high = interval(over_draws(omitted, trials.drawn[:, mine]), prob)
        ax.vlines(0, low, high, color=UPPER)
        ax.plot(0, mean, "o", color=UPPER)
    ax.set(xlim=(-0.6, 0.6), ylim=(0, 1), yticks=[0, 0.5, 1])
    ax.set_xticks([0], ["none"])
    ax.tick_params(axis="x", length=0)
    ax.yaxis.tick_right()
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.spines[["top", "left"]].set_visible(False)
