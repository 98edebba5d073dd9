"""Response times of data against those that a fitted model predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_lan.data.tables import AUTO
from pymc_lan.errors import explain
from pymc_lan.plots.statistics import defective_density, interval, over_draws
from pymc_lan.plots.style import BAND, DATA_FILL, DATA_LINE, OF_RESPONSE, UPPER, colour_of, panel_axes, result, tidy
from pymc_lan.plots.trials import Bool, Float, Level, Trials, read_trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    choices: Mapping[int, str] | None = None,
    deadline: Any = AUTO,
    n_bins: int = 30,
    last: float | None = None,
    prob: float = 0.9,
    n_draws: int = 200,
    ax: Any = None,
) -> Any:
    """Plot response times of all choices, data against posterior predictive draws; of two choices one upside down.

    Densities are defective: areas above and below the axis are the shares of the two choices, so that one picture shows
    times and choices. Data are the grey histogram. The line is the mean over predicted data sets in the same bins, and
    the band holds the central `prob` of them: the data should leave it about as rarely as that. Of accumulators all
    are drawn upwards, the data as an outline in the colour of their response.

    Where trials may end without a response, a bar at the right shows how many did (none), on a scale of its own from 0
    to 1, and a dotted line when the response window ended.

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
        Columns of `data`: seconds; +1 (drawn upwards) and -1, or 0 to n - 1.
    choices : mapping of int to str, optional
        What to call the choices, for instance ``{1: "correct", -1: "error"}``, by all codes that there are. By default
        they are "upper" and "lower" or, where one is 2 or more, numbers.
    deadline : float, array_like or str
        By when trials without a response had none [s], or the name of a column; ``"auto"`` is the column ``deadline``
        where there is one.
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
    trials = read_trials(
        idata, data, var_name=var_name, n_draws=n_draws, choices=choices, deadline=deadline, rt=rt, response=response
    )
    return _draw(trials, condition, col, n_bins, last, prob, ax, "density [1/s]")


def predictive_gonogo(
    idata: Any,
    data: Any,
    *,
    condition: str | None = None,
    col: str | None = None,
    var_name: str = "obs",
    rt: str = "rt",
    response: str = "response",
    deadline: Any = AUTO,
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
    deadline : float, array_like or str
        When the response window ended [s], a dotted line, or the name of a column; ``"auto"`` is the column
        ``deadline`` where there is one.
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
        idata, data, var_name=var_name, n_draws=n_draws, go_nogo=True, deadline=deadline, rt=rt, response=response
    )
    return _draw(trials, condition, col, n_bins, last, prob, ax, "density of presses [1/s]")


def _draw(
    trials: Trials,
    condition: str | None,
    col: str | None,
    n_bins: int,
    last: float | None,
    prob: float,
    ax: Any,
    label: str,
) -> Any:
    """Draw all panels: the times of every response and, where there may be none, a bar for those."""
    panels = _panels(trials, condition, col)
    axes = panel_axes(ax, panels.shape)
    edges = _edges(trials, last, n_bins)
    highest = dict.fromkeys(_sides_of(trials).values(), 0.0)
    for where, panel in zip(axes.flat, panels.flat, strict=True):
        first = "data"
        for code, side in _sides_of(trials).items():
            found = _draw_density(where, trials, panel, code, edges, prob, side, first)
            highest[side], first = max(highest[side], found), ""
        where.set_title(panel.label)
    room = 1.05 if len(highest) == 1 else 1.1
    for where, panel in zip(axes.flat, panels.flat, strict=True):
        where.set(xlim=(0, edges[-1]), ylim=(-room * highest.get(-1, 0.0), room * highest[1]))
        if -1 in highest:
            where.axhline(0, color="black", lw=0.6)
            where.yaxis.set_major_formatter(lambda y, _: f"{abs(y):g}")
        if trials.silent:
            _make_room(where, edges[-1])
            _draw_bar(where.inset_axes((1 - BAR, 0, BAR, 1)), trials, panel, prob)
        _mark_deadline(where, trials, panel, edges[-1])
    tidy(axes, "response time [s]", label, own=ax is None)
    return result(axes)


def _sides_of(trials: Trials) -> dict[int, int]:
    """Whether each response is drawn upwards, 1, or downwards, -1; two boundaries are drawn apart."""
    apart = {*trials.names} == {*OF_RESPONSE}
    return {code: code if apart else 1 for code in sorted(trials.names, reverse=apart)}


def _make_room(ax: Axes, last: float) -> None:
    """Make room for the bar within the axes, so that any layout keeps it."""
    ax.set_xlim(0, last / (1 - BAR - GAP))
    ax.spines["bottom"].set_bounds(0, last)
    ax.set_xticks([x for x in ax.get_xticks() if 0 <= x <= last])


def _mark_deadline(ax: Axes, trials: Trials, panel: Level, last: float) -> None:
    """Draw when response windows ended: a dotted line, or a shade from the first to the last end."""
    if trials.deadline is None:
        return
    ends = trials.deadline[panel.mine & (trials.deadline <= last)]
    if ends.size and ends.min() == ends.max():
        ax.axvline(ends[0], color=DATA_LINE, lw=0.8, ls=":", label="deadline")
    elif ends.size:
        ax.axvspan(ends.min(), ends.max(), color=DATA_FILL, alpha=0.5, lw=0, zorder=0, label="deadlines")


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
        if trials.deadline is not None and trials.silent and np.isfinite(trials.deadline).all():
            last = max(last, float(trials.deadline.max()))
    if not (np.isfinite(last) and last > 0 and n_bins >= 1):
        raise ValueError(
            explain("last above 0 s and at least one bin", f"last={last}, n_bins={n_bins}", "give other values")
        )
    return np.linspace(0, last, n_bins + 1)


def _draw_density(
    ax: Axes, trials: Trials, panel: Level, code: int, edges: Float, prob: float, side: int, label: str
) -> float:
    """Draw one response's times in one panel; return the greatest height."""
    mine: Bool = panel.mine
    # Grey areas would hide each other.
    alone = list(_sides_of(trials).values()).count(side) == 1

    def density(rt: Float, response: Float) -> Float:
        return defective_density(rt, response == code, edges)

    data, colour = density(trials.rt[mine], trials.response[mine]), colour_of(code, trials.names)
    if alone:
        ax.stairs(side * data, edges, fill=True, color=DATA_FILL, lw=0)
        ax.stairs(side * data, edges, color=DATA_LINE, lw=0.6, label=label or None)
    else:
        ax.stairs(data, edges, color=colour, lw=0.6, label=f"data, {trials.names[code]}")
    highest = float(data.max())
    if trials.drawn is not None:
        low, mean, high = interval(over_draws(density, trials.drawn[:, mine]), prob)
        middle = (edges[1:] + edges[:-1]) / 2
        ax.fill_between(middle, side * low, side * high, color=colour, alpha=BAND, lw=0)
        ax.plot(middle, side * mean, color=colour, label=f"model, {trials.names[code]}")
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
