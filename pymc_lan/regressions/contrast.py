"""Parameters at the conditions of a formula, and differences between them, on their own scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, is_real, unknown
from pymc_lan.regressions.draws import Draws, read_draws
from pymc_lan.regressions.grid import formulas_of, grid, levels, of_members, variables
from pymc_lan.regressions.parameters import designs, deviations, parameters
from pymc_lan.regressions.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]

# Half the step of a slope, in standard deviations of the covariate: short enough that links are straight.
STEP = 1e-3
# Draws that tables are made of, at most.
MOST_DRAWS = 4000


class Pair(NamedTuple):
    """Two tables whose rows differ in one variable, and by what their difference is multiplied."""

    label: str
    upper: pd.DataFrame
    lower: pd.DataFrame
    scale: float


def means(
    plan: Plan,
    idata: Any,
    parameter: str,
    *,
    by: Sequence[str],
    at: Mapping[str, Any] | None,
    prob: float,
    rng: np.random.Generator | None,
) -> pd.DataFrame:
    """A parameter at the levels of some variables; see `Regression.means`."""
    _check_prob(prob)
    cells = _cells(plan, parameter, None, by, at)
    draws = read_draws(plan, idata, MOST_DRAWS)
    return _summary(parameter, cells, by, _values(plan, parameter, cells, draws, rng), prob, signs=False)


def contrast(
    plan: Plan,
    idata: Any,
    parameter: str,
    variable: str,
    *,
    levels: Sequence[Any] | None,
    by: Sequence[str],
    at: Mapping[str, Any] | None,
    prob: float,
) -> pd.DataFrame:
    """Differences of a parameter; see `Regression.contrast`."""
    import pandas as pd

    _check_prob(prob)
    known = [name for names in variables(plan, parameter) for name in names]
    if variable not in known:
        raise ValueError(unknown("variable", variable, known, of=f"the formula of {parameter}"))
    for name in (*by, *(at or {})):
        if name == variable:
            found = f"{variable} in by= or at=, too"
            raise ValueError(explain(f"{variable!r} as what is compared", found, "leave it out there"))
    draws = read_draws(plan, idata, MOST_DRAWS)
    rows = []
    for pair in _pairs(plan, parameter, variable, levels, by, at):
        upper, lower = (_values(plan, parameter, cells, draws) for cells in (pair.upper, pair.lower))
        rows.append(_summary(pair.label, pair.upper, by, (upper - lower) * pair.scale, prob, signs=True))
    return pd.concat(rows)


def _check_prob(prob: Any) -> None:
    if not is_real(prob) or not 0 < prob < 1:
        raise ValueError(explain("prob between 0 and 1", f"{prob!r:.60}", "give 0.9 for an interval of 90 %"))


def _cells(
    plan: Plan, parameter: str, variable: str | None, by: Sequence[str], at: Mapping[str, Any] | None
) -> pd.DataFrame:
    """The grid of a parameter, for each member where that is asked for."""
    conditions, _ = variables(plan, parameter)
    factors = {f for name in formulas_of(plan, parameter) for f in plan.predictors[name].formula.factors}
    for name in by:
        if name not in [*conditions, *factors]:
            known = [*conditions, *sorted(factors)]
            raise ValueError(unknown("condition or group", name, known, of=f"the formula of {parameter}"))
    groups = [name for name in by if name in factors]
    if len(groups) > 1:
        raise ValueError(explain("at most one group in by=...", ", ".join(groups), "ask for one after the other"))
    cells = grid(plan, parameter, at)
    for factor in groups:
        kept = [*(at or {}), *([] if variable is None else [variable])]
        own = of_members(plan, cells, factor, kept)
        columns = plan.members[factor].grouping.columns
        own[factor] = own[[*columns]].astype(str).agg(":".join, axis=1) if len(columns) > 1 else own[factor]
        cells = own
    return cells


def _pairs(
    plan: Plan,
    parameter: str,
    variable: str,
    compared: Sequence[Any] | None,
    by: Sequence[str],
    at: Mapping[str, Any] | None,
) -> Iterator[Pair]:
    """What is compared with what."""
    column = plan.description.table[variable]
    if compared is not None and (isinstance(compared, str) or len(compared) != 2):
        raise ValueError(explain("two levels to compare", f"levels={compared!r:.60}", "give them as ('high', 'low')"))
    cells = _cells(plan, parameter, variable, by, at)
    if variable in variables(plan, parameter)[1]:
        yield _of_numbers(variable, compared, column, cells)
        return
    known = levels(column)
    if len(known) < 2:
        found = f"only {known[0]!r}"
        raise ValueError(explain(f"two levels of {variable!r}, or more", found, "leave it out of the formula"))
    for level in compared or ():
        if level not in known:
            raise ValueError(unknown("level", level, map(str, known), of=variable))
    for first, second in [tuple(compared)] if compared is not None else combinations(known, 2):
        upper, lower = (cells[cells[variable] == x].drop(columns=variable) for x in (first, second))
        both = upper.merge(lower) if len(upper.columns) else upper
        if not len(both):
            expected = (
                f"conditions in which {variable} is {first!r} and in which it is {second!r}, all else being equal"
            )
            remedy = "compare predictions of tables of your own: reg.predict(idata, new_df)"
            raise ValueError(explain(expected, "none", remedy))
        upper, lower = (both.assign(**{variable: _level(x, column, both.index)}) for x in (first, second))
        yield Pair(f"{first} - {second}", upper, lower, 1.0)


def _level(level: Any, column: pd.Series, rows: pd.Index) -> Any:
    """A column of one level, of the type that the fitted one has."""
    import pandas as pd

    return pd.Series([level] * len(rows), rows, dtype=column.dtype)


def _of_numbers(variable: str, compared: Sequence[Any] | None, column: pd.Series, cells: pd.DataFrame) -> Pair:
    """Two values of a covariate, or its slope at the mean."""
    if compared is None:
        step = STEP * float(column.std(ddof=0))
        middle = float(column.mean())
        upper, lower = (cells.assign(**{variable: middle + x}) for x in (step, -step))
        return Pair(f"slope of {variable}", upper, lower, 1.0 / (2.0 * step))
    if not all(is_real(x) for x in compared):
        raise ValueError(explain(f"two numbers as levels of {variable!r}", f"{compared!r:.60}", "give two values"))
    upper, lower = (cells.assign(**{variable: float(x)}) for x in compared)
    return Pair(f"{compared[0]:g} - {compared[1]:g}", upper, lower, 1.0)


def _values(
    plan: Plan, parameter: str, cells: pd.DataFrame, draws: Draws, rng: np.random.Generator | None = None
) -> Float:
    """The parameter in each cell, shape (n_draws, n_cells); without `rng` new members are at their group's mean."""
    where = designs(plan, cells, formulas_of(plan, parameter))
    return parameters(plan, where, draws, deviations(plan, draws, where.unseen, rng))[parameter]


def _summary(
    label: str, cells: pd.DataFrame, by: Sequence[str], values: Float, prob: float, *, signs: bool
) -> pd.DataFrame:
    """A row for each level of `by`: values averaged over the other cells, which weigh the same."""
    import pandas as pd

    groups = cells.groupby([*by], sort=False, observed=True).indices if by else {(): np.arange(len(cells))}
    low, high = (1 - prob) / 2, (1 + prob) / 2
    if clash := [name for name in by if name in ("mean", "sd")]:
        expected = "conditions in by=... with other names than the columns of the result"
        raise ValueError(explain(expected, f"{clash[0]!r}", "rename the column in the data"))
    rows = []
    for key, place in groups.items():
        x = values[:, place].mean(1)
        ends = np.quantile(x, [low, high])
        row = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        row |= {"mean": x.mean(), "sd": x.std(ddof=1), f"{100 * low:g}%": ends[0], f"{100 * high:g}%": ends[1]}
        rows.append(row | ({"P(> 0)": (x > 0).mean()} if signs else {}))
    return pd.DataFrame(rows, index=pd.Index([label] * len(rows)))
