"""Parameters of trials from draws: of those that a regression was made with, and of any other.

The predictor of a trial is X beta + Z u, whatever the model was built as: u is how far the effects of a member are from
their mean. A member that the model does not know has a u drawn from those of its group, or 0, the group's mean; its own
covariates are in X.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import is_missing, refuse
from pymc_lan.regressions.draws import Draws
from pymc_lan.regressions.effects import member_labels
from pymc_lan.regressions.links import start
from pymc_lan.regressions.plan import D_PRESS, Members, Plan, Rows, distinct

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
Codes = NDArray[np.intp]
Deviations = Mapping[str, Float]


@dataclass(frozen=True, slots=True, eq=False)
class Designs:
    """What the predictors of a table are computed from.

    Parameters
    ----------
    n : int
        Rows of the table.
    rows : mapping of str to Rows
        By parameter; `shared` are all columns of the common effects.
    unseen : mapping of str to int
        By grouping factor, how many of the members are none of the model's; they follow those.
    """

    n: int
    rows: Mapping[str, Rows]
    unseen: Mapping[str, int]


def designs(plan: Plan, table: pd.DataFrame | None = None, names: Iterable[str] | None = None) -> Designs:
    """Evaluate the formulas of a plan.

    Parameters
    ----------
    plan : Plan
    table : DataFrame, optional
        By default the trials that the model was made with. Where a grouping column is missing, all rows are those of
        one member that is not known.
    names : iterable of str, optional
        The parameters; by default all that have a formula.

    Raises
    ------
    ValueError
        For cells without a value, unknown levels and columns.
    """
    own = plan.description.table
    codes = {name: m.grouping.index if table is None else _codes(m, own, table) for name, m in plan.members.items()}
    rows = {}
    for name in plan.predictors if names is None else names:
        p = plan.predictors[name]
        design = p.formula.design if table is None else p.formula.evaluate(table)
        groups = {factor: (codes[factor], columns.matrix) for factor, columns in design.groups.items()}
        rows[name] = distinct(design.common.matrix, groups, design.offset)
    unseen = {f: max(0, int(x.max(initial=-1)) + 1 - len(plan.members[f].grouping.members)) for f, x in codes.items()}
    return Designs(len(own if table is None else table), rows, unseen)


def _codes(m: Members, fitted: pd.DataFrame, table: pd.DataFrame) -> Codes:
    """The number of each row's member; those that are not known are numbered from the last one on."""
    known, columns = len(m.grouping.members), m.grouping.columns
    if not {*columns} <= {*table.columns}:
        return np.full(len(table), known)
    for name in columns:
        cells = table[name].to_numpy(dtype=object)
        refuse(
            np.array([is_missing(cell) for cell in cells], bool),
            {name: cells},
            expected=f"a value of {name!r} in every row, or no such column for the rows of one new member",
            found="none",
            remedy="give new members a name each",
        )
        table = table.assign(**{name: _as_fitted(name, fitted[name], cells)})
    codes, labels = m.grouping.codes(table), member_labels(table, columns)
    new = {
        label: known + i
        for i, label in enumerate(dict.fromkeys(x for x, c in zip(labels, codes, strict=True) if c < 0))
    }
    return np.array([new[x] if c < 0 else c for x, c in zip(labels, codes, strict=True)], np.intp)


def _as_fitted(name: str, fitted: pd.Series, cells: NDArray[Any]) -> NDArray[Any]:
    """Cells as they were written in the trials that were fitted: 1 for 1.0."""
    known = {cell: cell for cell in fitted}
    texts = {str(cell) for cell in known}
    refuse(
        np.array([cell not in known and str(cell) in texts for cell in cells], bool),
        {name: cells},
        expected=f"members in {name!r} of the type that they had in the trials that were fitted",
        found="text in place of numbers, or numbers in place of text,",
        remedy="write them as they are there",
    )
    found = np.empty(len(cells), object)
    found[:] = [known.get(cell, cell) for cell in cells]
    return found


def means(m: Members, draws: Draws) -> Float:
    """The means of all members' effects, shape (n_draws, n_members, n_effects)."""
    found = np.zeros((len(draws), len(m.grouping.members), len(m.grouping.labels)))
    for block in m.grouping.blocks:
        place = m.grouping.place(block.parameter)
        for pull in block.pulls:
            values = np.ones(found.shape[1]) if pull.values is None else pull.values
            found[:, :, place] += draws[block.parameter][:, pull.column, None, None] * np.outer(values, pull.weights)
    return found


def factor_of_covariance(m: Members, draws: Draws) -> Float:
    """Lower triangular factors of the covariances of a group's effects, shape (n_draws, n_effects, n_effects)."""
    n = len(m.grouping.labels)
    correlated = np.broadcast_to(np.eye(n), (len(draws), n, n)) if m.eta is None else np.linalg.cholesky(draws[m.corr])
    return correlated * draws[m.sd][:, :, None]


def deviations(
    plan: Plan, draws: Draws, unseen: Mapping[str, int], rng: np.random.Generator | None = None
) -> Deviations:
    """How far effects of members are from their mean, by factor of shape (n_draws, n_members + n_unseen, n_effects).

    Parameters
    ----------
    plan : Plan
    draws : Draws
    unseen : mapping of str to int
        By factor, how many members there are that the model does not know.
    rng : numpy.random.Generator, optional
        That draws these from their group; without, they are at its mean.
    """
    found = {}
    for name, m in plan.members.items():
        new = np.zeros((len(draws), unseen.get(name, 0), len(m.grouping.labels)))
        if rng is not None and new.size:
            new = rng.normal(size=new.shape) @ factor_of_covariance(m, draws).swapaxes(1, 2)
        found[name] = np.concatenate([draws[m.effects] - means(m, draws), new], axis=1)
    return found


def parameters(plan: Plan, where: Designs, draws: Draws, apart: Deviations) -> dict[str, Float]:
    """Every parameter, on its own scale, for each draw and row.

    Parameters
    ----------
    plan : Plan
    where : Designs
    draws : Draws
    apart : mapping of str to ndarray
        From `deviations`.

    Returns
    -------
    dict of str to ndarray, shape (n_draws, n_rows)
        Those of the designs and those without a formula, first the model's, in its order. Some are views of what has
        fewer values.
    """
    shape = (len(draws), where.n)
    given: dict[str, Float] = {}
    for name, x in plan.others.items():
        given[name] = draws[name][:, None] if name in draws.variables else np.asarray(x, np.float64)
    for name, rows in where.rows.items():
        found = plan.predictors[name].link.natural(_predictor(plan, name, rows, draws, apart))
        given[name] = found if rows.trial is None else found[:, rows.trial]
    if plan.z is not None and {"a", D_PRESS} <= {*given}:
        given["z"] = start(np.log(given[D_PRESS]), given["a"], plan.z)
    names = [
        *(name for name in plan.spec.names if name in given),
        *(name for name in given if name not in plan.spec.names),
    ]
    return {name: np.broadcast_to(given[name], shape) for name in names}


def _predictor(plan: Plan, name: str, rows: Rows, draws: Draws, apart: Deviations) -> Float:
    """The predictor of each row, shape (n_draws, n_rows)."""
    eta = np.broadcast_to(rows.offset, (len(draws), len(rows.offset)))
    if rows.shared.shape[1]:
        eta = eta + draws[name] @ rows.shared.T
    for factor, (index, columns) in rows.groups.items():
        u = apart[factor][:, :, plan.members[factor].grouping.place(name)]
        for k in range(columns.shape[1]):
            eta = eta + u[:, index, k] * columns[:, k]
    return eta
