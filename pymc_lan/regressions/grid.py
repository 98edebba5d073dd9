"""The reference grid of a formula: every condition once, with covariates at their mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_lan.errors import explain, is_real, unknown
from pymc_lan.regressions.plan import D_PRESS, Plan

if TYPE_CHECKING:
    import pandas as pd

# A number with so many values at most is a condition, as in emmeans.
FEW_VALUES = 2


def formulas_of(plan: Plan, parameter: str) -> list[str]:
    """The parameters whose formulas a parameter comes from: its own, and for z those of a and the distance.

    Raises
    ------
    ValueError
        For a parameter without a formula.
    """
    if parameter in plan.predictors:
        return [parameter]
    if parameter == "z" and plan.z is not None:
        return [name for name in ("a", D_PRESS) if name in plan.predictors]
    names = [*plan.predictors, *(["z"] if plan.z is not None else [])]
    raise ValueError(unknown("parameter with a formula", parameter, names))


def variables(plan: Plan, parameter: str) -> tuple[list[str], list[str]]:
    """Conditions and covariates in the formula of a parameter, without the columns that say whose a trial is."""
    table, formulas = plan.description.table, [plan.predictors[name].formula for name in formulas_of(plan, parameter)]
    whose = {column for formula in formulas for columns in formula.factors.values() for column in columns}
    used = {name for formula in formulas for name in formula.variables} - whose
    named = {name for formula in formulas for name in formula.conditions}
    conditions = {name for name in used if name in named or table[name].nunique() <= FEW_VALUES}
    names = [name for name in table.columns if name in used]
    return [name for name in names if name in conditions], [name for name in names if name not in conditions]


def levels(column: pd.Series) -> list[Any]:
    """The levels of a condition, in order: that of a category, else sorted."""
    if hasattr(column, "cat"):
        return [x for x in column.cat.categories if (column == x).any()]
    found = column.unique().tolist()
    return sorted(found, key=None if len({type(x) for x in found}) == 1 else str)


def of_members(plan: Plan, cells: pd.DataFrame, factor: str, kept: Iterable[str]) -> pd.DataFrame:
    """The grid of each member of a group, who keeps what is the same in all of the member's own trials.

    Parameters
    ----------
    plan : Plan
    cells : DataFrame
        From `grid`.
    factor : str
    kept : iterable of str
        Variables that stay as they are in the grid.
    """
    table, columns = plan.description.table, [*plan.members[factor].grouping.columns]
    members = table[columns].drop_duplicates().sort_values(columns)
    shared = [name for name in cells if name not in {*kept} and (table.groupby(columns)[name].nunique() == 1).all()]
    own = table[[*columns, *shared]].drop_duplicates(subset=columns)
    rest = cells.drop(columns=shared).drop_duplicates()
    return members.merge(own, on=columns).merge(rest, how="cross")[[*columns, *cells.columns]]


def grid(plan: Plan, parameter: str, at: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """All combinations of conditions that occur, a row each, with covariates at their mean over trials.

    Parameters
    ----------
    plan : Plan
    parameter : str
    at : mapping of str to object, optional
        A value for any of them, in place of all levels or the mean.
    """
    conditions, covariates = variables(plan, parameter)
    if at is not None and not isinstance(at, Mapping):
        raise ValueError(explain("at as names with a value each", f"{at!r:.60}", "write at={'age': 30}"))
    at, table = dict(at or {}), plan.description.table
    for name in at:
        if name not in [*conditions, *covariates]:
            raise ValueError(unknown("variable", name, [*conditions, *covariates], of=f"the formula of {parameter}"))
        if name in conditions and at[name] not in levels(table[name]):
            raise ValueError(unknown("level", at[name], map(str, levels(table[name])), of=name))
        if name in covariates and not is_real(at[name]):
            raise ValueError(explain(f"a number as {name!r} in at=...", f"{at[name]!r:.60}", "give one"))
    chosen = np.logical_and.reduce([np.ones(len(table), bool), *(table[n] == at[n] for n in conditions if n in at)])
    if not chosen.any():
        found = "no trial"
        raise ValueError(explain(f"trials with {at}", found, "choose levels that occur together"))
    cells = table.loc[chosen, conditions].drop_duplicates() if conditions else table.iloc[:1][[]]
    order = {name: {x: i for i, x in enumerate(levels(table[name]))} for name in conditions}
    cells = cells.sort_values(conditions, key=lambda x: x.map(order[x.name]).astype(int)) if conditions else cells
    return cells.assign(**{name: at.get(name, table[name].mean()) for name in covariates}).reset_index(drop=True)
