"""Parameters of a regression at the conditions of their formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pymc_lan.errors import explain
from pymc_lan.plots.style import COLOURS, DATA_LINE, MARKERS, panel_axes, result, tidy, wide

# How far the levels of the second condition stand apart, of the distance of those of the first.
APART = 0.18
# Conditions that one panel can tell apart.
MOST = 2


def effects(
    reg: Any,
    idata: Any = None,
    parameter: str | Sequence[str] | None = None,
    *,
    by: str | Sequence[str] | None = None,
    members: str | None = None,
    at: Mapping[str, Any] | None = None,
    prob: float = 0.9,
    ax: Any = None,
) -> Any:
    """Plot parameters of a regression, on their own scale, at the levels of conditions.

    Points are posterior means, and whiskers the central `prob`, of what `Regression.means` says: of a member at the
    mean of its group, averaged over whatever else is in the formula. Thin lines are members' own means.

    Parameters
    ----------
    reg : Regression
    idata : DataTree, optional
        By default the draws of its last `sample`.
    parameter : str or sequence of str, optional
        A panel each; by default every parameter whose formula has a condition.
    by : str or sequence of str, optional
        One condition or two: along the axis, and by colour. By default the first two of each formula.
    members : str, optional
        A group, such as ``"subject"``, whose members are drawn, too.
    at : mapping of str to object, optional
        As of `Regression.means`.
    prob : float
        Of the whiskers.
    ax : Axes or array of Axes, optional
        As many as there are parameters.

    Returns
    -------
    Axes, or ndarray of Axes of shape (parameters,)

    Raises
    ------
    ValueError
        If there is nothing to show, or there are more than two conditions.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=60, seed=1)
    >>> df["speed"] = ["fast", "slow"] * 30
    >>> reg = pl.regression("ddm", df, v="speed", a=1.0, t=0.3)
    >>> v = np.random.default_rng(1).normal([1.0, -0.5], 0.1, (2, 50, 2))
    >>> ax = pl.plots.effects(reg, az.from_dict({"posterior": {"v": v}}), "v")  # draws of reg.sample(), in earnest
    >>> ax.get_ylabel(), [label.get_text() for label in ax.get_xticklabels()]
    ('v', ['fast', 'slow'])
    """
    one = isinstance(parameter, str)
    names = [str(parameter)] if one else [*(parameter or _with_conditions(reg))]
    if not names:
        found = "none in any formula"
        raise ValueError(
            explain("conditions to show parameters at", found, "name a parameter: effects(reg, idata, 'v')")
        )
    axes = panel_axes(ax, () if one else (len(names),), share=False)
    shown = []
    for where, name in zip(axes.flat, names, strict=True):
        conditions = [by] if isinstance(by, str) else _varying(reg, name)[:MOST] if by is None else [*by]
        if len(conditions) > MOST:
            raise ValueError(explain("one condition or two", ", ".join(conditions), "set the others with at={...}"))
        found = reg.means(idata, name, by=conditions, at=at, prob=prob)
        own = None if members is None else reg.means(idata, name, by=[*conditions, members], at=at, prob=prob)
        _draw(where, found, own, conditions, members)
        shown.append(conditions)
    tidy(axes, "", "", own=ax is None)
    for where, name, conditions in zip(axes.flat, names, shown, strict=True):
        where.set(xlabel=conditions[0] if conditions else "", ylabel=name)
    return result(axes)


def _varying(reg: Any, parameter: str) -> list[str]:
    cells = reg.grid(parameter)
    return [name for name in cells if cells[name].nunique() > 1]


def _with_conditions(reg: Any) -> list[str]:
    return [name for name in reg.description.formulas if _varying(reg, name)]


def _draw(ax: Any, found: Any, own: Any, conditions: Sequence[str], members: str | None) -> None:
    """The means of the group, and behind them those of members."""
    first = list(found[conditions[0]].unique()) if conditions else [""]
    second = list(found[conditions[1]].unique()) if len(conditions) > 1 else [None]
    for k, level in enumerate(second):
        offset = APART * (k - (len(second) - 1) / 2)
        some = found if level is None else found[found[conditions[1]] == level]
        colour = COLOURS[k % len(COLOURS)]
        x = np.array([first.index(each) for each in some[conditions[0]]] if conditions else [0]) + offset
        low, high = (some.iloc[:, some.columns.get_loc("sd") + i].to_numpy() for i in (1, 2))
        label = None if level is None else f"{conditions[1]}: {level}"
        ax.vlines(x, low, high, color=colour, lw=wide(1.5))
        ax.plot(x, some["mean"], MARKERS[k % len(MARKERS)], color=colour, label=label)
        if own is not None:
            mine = own if level is None else own[own[conditions[1]] == level]
            for _, each in mine.groupby(members, observed=True):
                at = [first.index(value) + offset for value in each[conditions[0]]] if conditions else [offset]
                ax.plot(
                    at,
                    each["mean"],
                    color=DATA_LINE if level is None else colour,
                    lw=wide(0.7),
                    alpha=0.5,
                    marker=".",
                    ms=wide(3),
                    zorder=0,
                )
    ax.set_xticks(range(len(first)), [str(level) for level in first])
    ax.set_xlim(-0.5, len(first) - 0.5)
