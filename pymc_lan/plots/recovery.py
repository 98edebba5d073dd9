"""Parameters that were estimated from simulated data, against those that they were simulated with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pymc_lan.data.tables import column
from pymc_lan.errors import check_length, explain
from pymc_lan.plots.style import LOWER, UPPER, panel_axes, result
from pymc_lan.plots.trials import Level, levels


def recovery(
    table: Any = None,
    *,
    truth: str | ArrayLike = "truth",
    estimate: str | ArrayLike = "mean",
    low: str | ArrayLike = "low",
    high: str | ArrayLike = "high",
    parameter: str | None = None,
    ax: Any = None,
) -> Any:
    """Plot estimates with their intervals against the truth, a panel for each parameter.

    On the grey line they agree. Intervals that miss the truth are vermilion and end in a cross, the others are blue.
    Written in are the correlation r, the bias (mean of estimate minus truth), and how many intervals cover the truth.

    Parameters
    ----------
    table : DataFrame, optional
        A row for each estimate.
    truth, estimate, low, high : str or array_like
        Columns of `table`, or the values: what was simulated with, the estimate, the ends of its interval.
    parameter : str, optional
        The column that names the parameter, each of which gets a panel.
    ax : Axes or array of Axes, optional
        As many as there are parameters.

    Returns
    -------
    Axes, or ndarray of Axes of shape (parameters,)

    Raises
    ------
    ValueError
        If a column is missing, lengths differ, a value is not finite, or the ends of an interval are swapped.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc_lan as pl
    >>> truth = np.linspace(0.5, 2, 10)
    >>> ax = pl.plots.recovery(truth=truth, estimate=truth + 0.1, low=truth - 0.2, high=truth + 0.4)
    >>> ax.get_xlabel()
    'truth'
    """
    given = {"truth": truth, "estimate": estimate, "low": low, "high": high}
    values = {name: np.asarray(column(table, x, argument=name), np.float64) for name, x in given.items()}
    n = values["truth"].size
    for name, x in values.items():
        check_length(name, x, n, scalar=False)
        if not np.isfinite(x).all():
            raise ValueError(
                explain(f"finite numbers as {name}", "others", "fit these again: failures are part of the result")
            )
    if (values["low"] > values["high"]).any():
        raise ValueError(explain("low below high", "the reverse", "exchange low and high"))
    panels = [Level("", np.ones(n, bool))] if parameter is None else levels(table, parameter)
    axes = panel_axes(ax, () if parameter is None else (len(panels),), aspect=1.0, share=False)
    for where, panel in zip(axes.flat, panels, strict=True):
        _draw(where, {name: x[panel.mine] for name, x in values.items()})
        where.set_title(panel.label)
        where.spines[["top", "right"]].set_visible(False)
        where.set(xlabel="truth", ylabel="estimate")
    return result(axes)


def _draw(ax: Any, values: dict[str, Any]) -> None:
    truth, estimate, low, high = values.values()
    covered = (low <= truth) & (truth <= high)
    ends = np.array([min(truth.min(), low.min()), max(truth.max(), high.max())])
    ends += np.array([-0.05, 0.05]) * (np.ptp(ends) or 1.0)
    ax.plot(ends, ends, color="0.6", lw=0.8, zorder=0)
    for some, colour, marker in ((covered, UPPER, "o"), (~covered, LOWER, "X")):
        ax.vlines(truth[some], low[some], high[some], color=colour, alpha=0.5)
        ax.plot(truth[some], estimate[some], marker, color=colour)
    # One truth for all, as where it is one parameter set many times, has no correlation.
    varies = np.ptp(truth) > 0 and np.ptp(estimate) > 0
    r = f"r = {np.corrcoef(truth, estimate)[0, 1]:.2f}\n" if varies else ""
    text = f"{r}bias {np.mean(estimate - truth):+.2g}\n{covered.sum()} of {covered.size} cover"
    size = 0.85 * ax.title.get_fontsize()
    ax.text(0.04, 0.97, text, transform=ax.transAxes, va="top", size=size)
    # Each parameter has its own unit, so a scale of its own, shared by truth and estimate.
    ax.set(xlim=ends, ylim=ends, box_aspect=1)
