"""Parameters of trials, in numbers: from draws of a regression's variables, for its own trials or others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import refuse
from pymc_lan.regressions.effects import member_labels
from pymc_lan.regressions.links import start
from pymc_lan.regressions.plan import D_PRESS, Plan, Rows, distinct

Float = NDArray[np.float64]


def rows_of(plan: Plan, table: Any) -> dict[str, Rows]:
    """What the predictors of the trials in another table are computed from.

    Parameters
    ----------
    plan : Plan
    table : DataFrame

    Returns
    -------
    dict of str to Rows
        By parameter.

    Raises
    ------
    ValueError
        For members that the model does not know, and all that `Formula.evaluate` refuses.
    """
    codes = {}
    for name, m in plan.members.items():
        codes[name] = m.grouping.codes(table)
        refuse(
            codes[name] < 0,
            {name: np.array(member_labels(table, m.grouping.columns), object)},
            expected=f"members of {name!r} that the model was made with",
            found="others",
            remedy="leave these rows out, or make the model of a table that has them",
        )
    found = {}
    for name, p in plan.predictors.items():
        design = p.formula.evaluate(table)
        groups = {factor: (codes[factor], columns.matrix) for factor, columns in design.groups.items()}
        found[name] = distinct(design.common.matrix[:, p.shared], groups, design.offset)
    return found


def predictor(plan: Plan, name: str, draws: Mapping[str, Float], rows: Rows) -> Float:
    """The predictor of each row, shape (n_draws, n_rows).

    Parameters
    ----------
    plan : Plan
    name : str
        Of the parameter.
    draws : mapping of str to ndarray, shape (n_draws, ...)
        Variables of the model.
    rows : Rows
    """
    p = plan.predictors[name]
    eta = rows.offset
    if p.shared:
        eta = eta + draws[name][:, p.shared] @ rows.shared.T
    for factor, (index, columns) in rows.groups.items():
        m = plan.members[factor]
        own = draws[m.effects][:, :, m.grouping.place(name)]
        for k in range(columns.shape[1]):
            eta = eta + own[:, index, k] * columns[:, k]
    n_draws = next(len(x) for x in draws.values())
    return np.broadcast_to(eta, (n_draws, len(rows.offset)))


def values(plan: Plan, draws: Mapping[str, Float], rows: Mapping[str, Rows] | None = None) -> dict[str, Float]:
    """Every parameter that has a formula or a prior, for each draw and trial; z, where it follows from another.

    Parameters
    ----------
    plan : Plan
    draws : mapping of str to ndarray, shape (n_draws, ...)
        Variables of the model.
    rows : mapping of str to Rows, optional
        Of `rows_of`; by default those of the trials that the model was made with.

    Returns
    -------
    dict of str to ndarray, shape (n_draws, n_trials) or (n_draws, 1)
    """
    found: dict[str, Float] = {name: draws[name][:, None] for name in plan.others if name in draws}
    for name, p in plan.predictors.items():
        own = p.rows if rows is None else rows[name]
        eta = predictor(plan, name, draws, own)
        found[name] = p.link.natural(eta if own.trial is None else eta[:, own.trial])
    if plan.z is not None:
        a = found["a"] if "a" in found else np.asarray(plan.others["a"])
        found["z"] = start(np.log(found[D_PRESS]), a, plan.z)
    return found


def stacked(dataset: Any, names: Any) -> dict[str, Float]:
    """Variables of a posterior or prior as arrays whose first axis is all draws of all chains.

    Parameters
    ----------
    dataset : Dataset
    names : iterable of str
    """
    found = {name: dataset[name].transpose("chain", "draw", ...).to_numpy() for name in names if name in dataset}
    return {name: x.reshape(-1, *x.shape[2:]) for name, x in found.items()}
