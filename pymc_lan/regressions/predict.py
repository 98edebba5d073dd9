"""`Regression.predict`: parameters and trials of a table, for draws of the posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observed import RESPONSE
from pymc_lan.errors import explain, unknown
from pymc_lan.numerics.seeds import as_generator
from pymc_lan.regressions.arguments import as_pandas
from pymc_lan.regressions.coding import accuracies
from pymc_lan.regressions.draws import Draws, read_draws
from pymc_lan.regressions.parameters import designs, deviations, parameters
from pymc_lan.regressions.plan import Plan
from pymc_lan.regressions.task import make_task

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
Kind = Literal["parameters", "trials"]
NewGroups = Literal["draw", "mean"]
KINDS, NEW_GROUPS = get_args(Kind), get_args(NewGroups)

# What one call returns at most, in values of each variable, unless it is asked for more: 80 MB.
MOST_VALUES = 10_000_000
# Trials that are drawn at once.
CHUNK = 500_000


def predict(
    plan: Plan,
    model: Any,
    idata: Any,
    new_df: Any,
    *,
    kind: Kind,
    new_groups: NewGroups,
    n_draws: int | None,
    seed: int | None,
) -> Any:
    """Predict the rows of a table; see `Regression.predict`.

    Returns
    -------
    Dataset
    """
    if kind not in KINDS:
        raise ValueError(unknown("kind", kind, KINDS))
    table = plan.description.table if new_df is None else as_pandas(new_df)
    if not len(table):
        raise ValueError(explain("rows to predict", "none in new_df", "give a row for each trial or condition"))
    rng = as_generator(seed)
    of_members = of_new_members(new_groups, rng)
    where = designs(plan, None if new_df is None else table)
    draws = read_draws(plan, idata, max(1, MOST_VALUES // len(table)) if n_draws is None else n_draws)
    apart = deviations(plan, draws, where.unseen, of_members)
    found = parameters(plan, where, draws, apart)
    labels = getattr(new_df, "index", None)
    rows = np.arange(len(table)) if labels is None else np.asarray(labels)
    if kind == "parameters":
        return _labelled(found, draws, rows)
    return _labelled(_trials(plan, model, table, found, rng), draws, rows)


def of_new_members(new_groups: NewGroups, rng: np.random.Generator) -> np.random.Generator | None:
    """What draws members that were not fitted; None where they are at the mean of their group."""
    if new_groups not in NEW_GROUPS:
        raise ValueError(unknown("new_groups", new_groups, NEW_GROUPS))
    return rng if new_groups == "draw" else None


def _trials(
    plan: Plan, model: Any, table: pd.DataFrame, found: dict[str, Float], rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Trials of the rows, and whether their answers were right, where that was fitted."""
    task = make_task(plan, model, table)
    n_draws, step = len(next(iter(found.values()))), max(1, CHUNK // len(table))
    drawn = np.concatenate(
        [
            task.draw({name: x[first : first + step] for name, x in found.items()}, rng)
            for first in range(0, n_draws, step)
        ]
    )
    trials: dict[str, NDArray[Any]] = {"rt": drawn[..., 0]} if plan.spec.times else {}
    trials[RESPONSE] = drawn[..., 1] if plan.spec.times else drawn
    if (name := plan.description.accuracy) is not None:
        answered = np.isfinite(trials["rt"]) if "rt" in trials else np.True_
        trials[name] = _right(plan, table, trials[RESPONSE]) & answered
    return trials


def _right(plan: Plan, table: pd.DataFrame, response: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether answers were right."""
    side, name = np.where(response == max(plan.spec.choices), 1.0, -1.0), plan.description.stimulus
    if name is None:
        return accuracies(side, None, None)
    if name not in table.columns:
        raise ValueError(unknown("column", name, map(str, table.columns)))
    return accuracies(side, table[name], plan.description.table[name])


def _labelled(found: dict[str, NDArray[Any]], draws: Draws, rows: NDArray[Any]) -> Any:
    import xarray as xr

    dims = ("chain", "draw", "row")
    coords = {"chain": draws.chain, "draw": draws.draw, "row": rows}
    return xr.Dataset({name: (dims, draws.by_chain(x)) for name, x in found.items()}, coords)
