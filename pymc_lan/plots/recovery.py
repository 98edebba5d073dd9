"""Parameters that were estimated from simulated data, against those that they were simulated with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pymc_lan.data.study import Judged, judged
from pymc_lan.data.tables import column
from pymc_lan.errors import check_length, explain
from pymc_lan.plots.style import LOWER, UPPER, panel_axes, result
from pymc_lan.plots.trials import Level, levels

Float = NDArray[np.float64]

# The intervals of a study, and how many standard deviations they reach where the posterior is normal.
LEVEL, WHISKER = 0.9, 1.645
# Distance of lines of type over its size.
LINE = 1.2


class Estimates(NamedTuple):
    """What a panel shows: a value for each estimate."""

    label: str
    truth: Float
    estimate: Float
    low: Float
    high: Float
    covered: NDArray[np.bool_]


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
    Above each panel are the correlation r, the bias (mean of estimate minus truth), and how many intervals cover the
    truth.

    Parameters
    ----------
    table : DataFrame or DataTree, optional
        A row for each estimate. Or what `pymc_lan.diagnostics.sbc` returns, which needs no more arguments: estimates
        are posterior means, and intervals are of 90 %, drawn as 1.64 posterior standard deviations to either side;
        whether one covers the truth is counted exactly, by the share of the posterior below it.
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
        If a column is missing, lengths differ, a value is not finite, or the ends of an interval are swapped; for
        another tree than that of a study.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc_lan as pl
    >>> truth = np.linspace(0.5, 2, 10)
    >>> ax = pl.plots.recovery(truth=truth, estimate=truth + 0.1, low=truth - 0.2, high=truth + 0.4)
    >>> ax.get_xlabel()
    'truth'
    """
    if hasattr(table, "children"):
        panels, one = [_of_study(each) for each in judged(table)], False
    else:
        panels, one = _of_table(table, parameter, truth=truth, estimate=estimate, low=low, high=high), parameter is None
    axes = panel_axes(ax, () if one else (len(panels),), aspect=1.0, share=False)
    for where, panel in zip(axes.flat, panels, strict=True):
        _draw(where, panel)
        where.spines[["top", "right"]].set_visible(False)
        where.set(xlabel="truth", ylabel="estimate")
    return result(axes)


def _of_study(each: Judged) -> Estimates:
    reach = WHISKER * each.sd
    return Estimates(each.name, each.truth, each.mean, each.mean - reach, each.mean + reach, each.covered(LEVEL))


def _of_table(table: Any, parameter: str | None, **given: str | ArrayLike) -> list[Estimates]:
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
    covered = (values["low"] <= values["truth"]) & (values["truth"] <= values["high"])
    panels = [Level("", np.ones(n, bool))] if parameter is None else levels(table, parameter)
    return [
        Estimates(each.label, **{name: x[each.mine] for name, x in values.items()}, covered=covered[each.mine])
        for each in panels
    ]


def _draw(ax: Any, shown: Estimates) -> None:
    label, truth, estimate, low, high, covered = shown
    ends = np.array([min(truth.min(), low.min()), max(truth.max(), high.max())])
    ends += np.array([-0.05, 0.05]) * (np.ptp(ends) or 1.0)
    ax.plot(ends, ends, color="0.6", lw=0.8, zorder=0)
    for some, colour, marker in ((covered, UPPER, "o"), (~covered, LOWER, "X")):
        ax.vlines(truth[some], low[some], high[some], color=colour, alpha=0.5)
        ax.plot(truth[some], estimate[some], marker, color=colour)
    # One truth for all, as where it is one parameter set many times, has no correlation.
    varies = np.ptp(truth) > 0 and np.ptp(estimate) > 0
    lines = [f"r = {np.corrcoef(truth, estimate)[0, 1]:.2f}"] if varies else []
    lines += [f"bias {np.mean(estimate - truth):+.2g}", f"{covered.sum()} of {covered.size} cover"]
    # Above the panel, where no point can be, and below its name.
    size, gap = 0.85 * ax.title.get_fontsize(), 3.0
    where = {"xy": (0.5, 1), "xycoords": "axes fraction", "xytext": (0, gap), "textcoords": "offset points"}
    ax.annotate("\n".join(lines), **where, ha="center", va="bottom", size=size, linespacing=LINE)
    ax.set_title(label, pad=2 * gap + LINE * size * len(lines))
    # Each parameter has its own unit, so a scale of its own, shared by truth and estimate.
    ax.set(xlim=ends, ylim=ends, box_aspect=1)
