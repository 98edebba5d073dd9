"""How choices and times go together: quantile-probability plots, conditional accuracy, delta functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observed import trial_type_is_go
from pymc_lan.data.tables import AUTO, column, column_names
from pymc_lan.errors import explain
from pymc_lan.plots.statistics import (
    conditional_accuracy as accuracy_by_time,
)
from pymc_lan.plots.statistics import delta_function, interval, over_draws, over_subjects, response_quantiles
from pymc_lan.plots.style import BAND, COLOURS, DATA_LINE, MARKERS, colour_of, listed, panel_axes, result, tidy
from pymc_lan.plots.trials import Bool, Float, Level, Trials, read_trials

# Quantiles that the field reports (Ratcliff and McKoon, 2008).
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
# The column that says what a press on a trial was, unless told otherwise.
TRIAL_TYPE = "trial_type"


def quantile_probability(
    idata: Any,
    data: Any,
    *,
    condition: str | None = None,
    col: str | None = None,
    subject: str | None = None,
    quantiles: Sequence[float] = QUANTILES,
    fewest: int = 10,
    var_name: str = "obs",
    rt: str = "rt",
    response: str = "response",
    choices: Mapping[int, str] | None = None,
    go_nogo: bool = False,
    deadline: Any = AUTO,
    prob: float = 0.9,
    n_draws: int = 200,
    ax: Any = None,
) -> Any:
    """Plot quantiles of the response times against the probability of the response, by condition.

    Each condition is a column of points at the probability of each response, or of a press. Filled symbols, a shape for
    each condition, are the data; the cross behind is the central `prob` of predicted data sets in both directions, and
    thin lines join their means. With as many points as this in one plot, choices and whole distributions can be judged
    together.

    Parameters
    ----------
    idata : DataTree, InferenceData, DataArray, ndarray or None
        With a group ``posterior_predictive``, or the draws, shape (..., n_trials, 2); None plots data alone.
    data : DataFrame
        The trials that the model was fitted to, one per row, in that order.
    condition : str, optional
        The column of `data` whose levels differ in probability, such as difficulty.
    col : str, optional
        A column each level of which gets a panel.
    subject : str, optional
        A column: quantiles and probabilities are computed for each of its levels and averaged. Without it trials are
        pooled, and differences between subjects widen the distributions.
    quantiles : sequence of float
        Probabilities of the quantiles.
    fewest : int
        Quantiles of fewer responses than this are left out.
    var_name : str
        Of the observed variable.
    rt, response : str
        Columns of `data`: seconds; +1 and -1, or 0 to n - 1.
    choices : mapping of int to str, optional
        What to call the choices, for instance ``{1: "correct", -1: "error"}``, by all codes that there are.
    go_nogo : bool
        Whether trials are presses or none.
    deadline : float, array_like or str
        When the response window ended [s], a dotted line, or the name of a column; ``"auto"`` is the column
        ``deadline`` where there is one. Trials without a response count in the probabilities.
    prob : float
        Of the crosses: the share of predicted data sets that they hold.
    n_draws : int
        Predicted data sets to use, evenly spaced over all.
    ax : Axes or array of Axes, optional
        As many as there are panels.

    Returns
    -------
    Axes, or ndarray of Axes of shape (cols,)

    Raises
    ------
    ValueError
        For data that `pymc_lan.as_observed` refuses, a missing group, variable or column, or lengths that do not match.

    References
    ----------
    Ratcliff and McKoon (2008), Neural Computation 20, 873-922.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=[0.5, 1.5] * 200, a=1.0, t=0.3), seed=1).assign(cue=["hard", "easy"] * 200)
    >>> pl.plots.quantile_probability(None, df, condition="cue").get_xlabel()
    'probability of the response'
    """
    trials = read_trials(
        idata, data, var_name=var_name, n_draws=n_draws, choices=choices, go_nogo=go_nogo, deadline=deadline, rt=rt,
        response=response,
    )  # fmt: skip
    cols, conditions = trials.levels(col), trials.levels(condition)
    axes = panel_axes(ax, () if col is None else (len(cols),))
    codes = sorted(trials.names, reverse=-1 in trials.names)
    for where, panel in zip(axes.flat, cols, strict=True):
        found = {}
        # All responses of a condition stand together in the legend.
        for k, each in enumerate(conditions):
            for code in codes:
                statistic = partial(_quantiles_of, code, quantiles, fewest)
                found[code, k] = _summary(trials, panel.mine & each.mine, subject, statistic, prob)
        _draw_quantiles(where, found, [each.label for each in conditions], trials.names)
        if trials.deadline is not None and np.ptp(trials.deadline) == 0:
            where.axhline(trials.deadline[0], color=DATA_LINE, lw=0.8, ls=":", label="deadline")
        where.set_title(panel.label)
    tidy(axes, "probability of the response", "response time [s]", own=ax is None, together=len(codes))
    return result(axes)


def conditional_accuracy(
    idata: Any,
    data: Any,
    *,
    condition: str | None = None,
    col: str | None = None,
    subject: str | None = None,
    correct: str | int | None = None,
    n_bins: int = 5,
    var_name: str = "obs",
    rt: str = "rt",
    response: str = "response",
    go_nogo: bool = False,
    deadline: Any = AUTO,
    prob: float = 0.9,
    n_draws: int = 200,
    ax: Any = None,
) -> Any:
    """Plot the share of correct responses among the fastest fifth of the responses, the next, and so on.

    Symbols are data, a colour and shape for each condition; line and band are the mean and the central `prob` of
    predicted data sets, at their own mean times. Fast errors show as a rise, slow errors as a fall.

    Parameters
    ----------
    idata : DataTree, InferenceData, DataArray, ndarray or None
        With a group ``posterior_predictive``, or the draws, shape (..., n_trials, 2); None plots data alone.
    data : DataFrame
        The trials that the model was fitted to, one per row, in that order.
    condition : str, optional
        A column each level of which gets a line.
    col : str, optional
        A column each level of which gets a panel.
    subject : str, optional
        A column: bins are made for each of its levels, then averaged.
    correct : int or str, optional
        The correct response, or the column of `data` that has it for each trial; by default +1. Of go/no-go trials the
        column of their types, by default ``trial_type``: presses are correct on go trials.
    n_bins : int
        Bins of equally many responses.
    var_name : str
        Of the observed variable.
    rt, response : str
        Columns of `data`: seconds; +1 and -1, or 0 to n - 1.
    go_nogo : bool
        Whether trials are presses or none.
    deadline : float, array_like or str
        By when trials without a response had none [s], or the name of a column; ``"auto"`` is the column ``deadline``
        where there is one.
    prob : float
        Of the band: the share of predicted data sets that they hold.
    n_draws : int
        Predicted data sets to use, evenly spaced over all.
    ax : Axes or array of Axes, optional
        As many as there are panels.

    Returns
    -------
    Axes, or ndarray of Axes of shape (cols,)

    Raises
    ------
    ValueError
        For data that `pymc_lan.as_observed` refuses, a missing group, variable or column, or lengths that do not match;
        for a correct response other than +1 and -1, or no bins.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, t=0.3), n=400, seed=1)
    >>> pl.plots.conditional_accuracy(None, df).get_ylabel()
    'share correct'
    """
    trials = read_trials(
        idata, data, var_name=var_name, n_draws=n_draws, go_nogo=go_nogo, deadline=deadline, rt=rt, response=response
    )
    if n_bins < 1:
        raise ValueError(explain("at least one bin", f"n_bins={n_bins}", "give a larger number"))
    right = _correct(trials, _default_correct(trials, go_nogo=go_nogo) if correct is None else correct)

    def statistic(rt: Float, response: Float, right: Float) -> Float:
        return accuracy_by_time(rt, response == right, n_bins)

    cols, conditions = trials.levels(col), trials.levels(condition)
    axes = panel_axes(ax, () if col is None else (len(cols),))
    for where, panel in zip(axes.flat, cols, strict=True):
        for k, each in enumerate(conditions):
            _draw_curve(where, _summary(trials, panel.mine & each.mine, subject, statistic, prob, right), k, each.label)
        where.set(title=panel.label)
    tidy(axes, "response time [s]", "share correct", own=ax is None)
    return result(axes)


def delta(
    idata: Any,
    data: Any,
    *,
    condition: str,
    compare: tuple[Any, Any] | None = None,
    col: str | None = None,
    subject: str | None = None,
    correct: str | int | None = 1,
    quantiles: Sequence[float] = QUANTILES,
    fewest: int = 10,
    var_name: str = "obs",
    rt: str = "rt",
    response: str = "response",
    go_nogo: bool = False,
    deadline: Any = AUTO,
    prob: float = 0.9,
    n_draws: int = 200,
    ax: Any = None,
) -> Any:
    """Plot how the difference in response time between two conditions changes from fast to slow responses.

    At each quantile, the difference between the two conditions against their mean. Symbols are data, line and band the
    mean and the central `prob` of predicted data sets.

    Parameters
    ----------
    idata : DataTree, InferenceData, DataArray, ndarray or None
        With a group ``posterior_predictive``, or the draws, shape (..., n_trials, 2); None plots data alone.
    data : DataFrame
        The trials that the model was fitted to, one per row, in that order.
    condition : str
        The column with the two conditions.
    compare : tuple of two levels, optional
        The difference is the first minus the second, for instance ``("incongruent", "congruent")``. Where the column
        has two levels it may be left out; the difference is then the second minus the first.
    col : str, optional
        A column each level of which gets a panel.
    subject : str, optional
        A column: functions are computed for each of its levels, then averaged.
    correct : int, str or None
        Only correct responses count: the correct response, or the column of `data` that holds it for each trial. None:
        all responses count.
    quantiles : sequence of float
        Probabilities of the quantiles.
    fewest : int
        Quantiles of fewer responses in a condition than this are left out.
    var_name : str
        Of the observed variable.
    rt, response : str
        Columns of `data`: seconds; +1 and -1, or 0 to n - 1.
    go_nogo : bool
        Whether trials are presses or none.
    deadline : float, array_like or str
        By when trials without a response had none [s], or the name of a column; ``"auto"`` is the column ``deadline``
        where there is one.
    prob : float
        Of the band: the share of predicted data sets that they hold.
    n_draws : int
        Predicted data sets to use, evenly spaced over all.
    ax : Axes or array of Axes, optional
        As many as there are panels.

    Returns
    -------
    Axes, or ndarray of Axes of shape (cols,)

    Raises
    ------
    ValueError
        For data that `pymc_lan.as_observed` refuses, a missing group, variable or column, or lengths that do not match;
        for more or fewer than two conditions.

    References
    ----------
    de Jong, Liang & Lauber (1994), Journal of Experimental Psychology: Human Perception and Performance 20, 731-750.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=[0.5, 1.5] * 200, a=1.0, t=0.3), seed=1).assign(cue=["hard", "easy"] * 200)
    >>> pl.plots.delta(None, df, condition="cue", compare=("hard", "easy")).get_ylabel()
    'hard - easy [s]'
    """
    trials = read_trials(
        idata, data, var_name=var_name, n_draws=n_draws, go_nogo=go_nogo, deadline=deadline, rt=rt, response=response
    )
    slower, faster = _pair(trials.levels(condition), condition, compare)
    right = np.full(trials.rt.size, np.nan) if correct is None else _correct(trials, correct)

    def statistic(rt: Float, response: Float, right: Float, side: Float) -> Float:
        counts = np.isnan(right) | (response == right)
        return delta_function(rt, counts & (side > 0), counts & (side < 0), quantiles, fewest)

    side = slower.mine.astype(float) - faster.mine
    cols = trials.levels(col)
    axes = panel_axes(ax, () if col is None else (len(cols),))
    for where, panel in zip(axes.flat, cols, strict=True):
        _draw_curve(where, _summary(trials, panel.mine & (side != 0), subject, statistic, prob, right, side), 0, "")
        where.axhline(0, color="0.6", lw=0.6, zorder=0)
        where.set(title=panel.label)
    tidy(axes, "response time [s]", f"{slower.label} - {faster.label} [s]", own=ax is None)
    return result(axes)


class Summary(NamedTuple):
    """A statistic of the data and, where there are predictions, its interval over them."""

    data: Float
    low: Float | None = None
    mean: Float | None = None
    high: Float | None = None


def _summary(
    trials: Trials,
    mine: Bool,
    subject: str | None,
    statistic: Callable[..., Float],
    prob: float,
    *by_trial: NDArray[Any],
) -> Summary:
    """A statistic of some trials, `by_trial` being what it takes besides rt and response."""
    extra = [x[mine] for x in by_trial]
    who = None if subject is None else column(trials.table, subject)[mine]

    def of(rt: Float, response: Float) -> Float:
        if who is None:
            return statistic(rt, response, *extra)
        return over_subjects(statistic, who, rt, response, *extra)

    found = of(trials.rt[mine], trials.response[mine])
    if trials.drawn is None:
        return Summary(found)
    return Summary(found, *interval(over_draws(of, trials.drawn[:, mine]), prob))


def _quantiles_of(code: int, quantiles: Sequence[float], fewest: int, rt: Float, response: Float) -> Float:
    return response_quantiles(rt, response == code, quantiles, fewest)


def _default_correct(trials: Trials, *, go_nogo: bool) -> str | int:
    """The column of types of go/no-go trials; else the upper response."""
    return TRIAL_TYPE if go_nogo and TRIAL_TYPE in (column_names(trials.table) or ()) else 1


def _correct(trials: Trials, correct: str | int) -> Float:
    """The correct response of each trial; 0 where a press is none."""
    given = column(trials.table, correct, argument="correct") if isinstance(correct, str) else np.asarray(correct)
    codes = sorted(trials.names)
    if codes == [1] and isinstance(correct, str):
        given = trial_type_is_go(given).astype(int)
        codes = [0, 1]
    if not np.isin(given, codes).all():
        expected = " or ".join(f"{code:+d}" if -1 in codes else f"{code}" for code in codes[::-1])
        raise ValueError(
            explain(f"a correct response of {expected} on every trial", "another", "recode it as the responses are")
        )
    return np.broadcast_to(given.astype(float), trials.rt.shape)


def _pair(known: list[Level], condition: str, compare: tuple[Any, Any] | None) -> tuple[Level, Level]:
    if compare is None and len(known) == 2:
        return known[1], known[0]
    by_label = {level.label: level for level in known}
    wanted = () if compare is None else tuple(map(str, compare))
    if len(set(wanted)) != 2 or not set(wanted) <= set(by_label):
        raise ValueError(
            explain(
                f"two levels of {condition!r} to compare, of {listed(list(by_label))}",
                f"compare={compare!r}",
                "give compare=(slower, faster)",
            )
        )
    return by_label[wanted[0]], by_label[wanted[1]]


def _draw_quantiles(
    ax: Any, found: Mapping[tuple[int, int], Summary], conditions: Sequence[str], choices: Mapping[int, str]
) -> None:
    for (code, k), each in found.items():
        colour = colour_of(code, choices)
        share = np.full(each.data.size - 1, each.data[0])
        label = f"{choices[code]}, {conditions[k]}" if conditions[k] else choices[code]
        ax.plot(share, each.data[1:], MARKERS[k % len(MARKERS)], color=colour, label=label, zorder=3)
        if each.low is not None and each.mean is not None and each.high is not None:
            ax.vlines(np.full(share.size, each.mean[0]), each.low[1:], each.high[1:], color=colour, alpha=BAND, lw=2)
            ax.hlines(each.mean[1:], each.low[0], each.high[0], color=colour, alpha=BAND, lw=2)
    means = [each.mean for each in found.values() if each.mean is not None]
    if means:
        joined = np.array(sorted(means, key=lambda mean: mean[0]))
        ax.plot(joined[:, 0], joined[:, 1:], color="0.5", lw=0.6, zorder=1)
    ax.set_xlim(0, 1)


def _draw_curve(ax: Any, found: Summary, k: int, label: str) -> None:
    colour = COLOURS[k % len(COLOURS)]
    if found.low is not None and found.mean is not None and found.high is not None:
        ax.fill_between(found.mean[0], found.low[1], found.high[1], color=colour, alpha=BAND, lw=0)
        ax.plot(*found.mean, color=colour)
    ax.plot(*found.data, MARKERS[k % len(MARKERS)], color=colour, label=label or None)
