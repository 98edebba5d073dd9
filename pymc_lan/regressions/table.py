"""The posterior of a regression as a table, on the scale of the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_lan.errors import explain
from pymc_lan.regressions.formula import INTERCEPT
from pymc_lan.regressions.plan import Members, Plan, Predictor

if TYPE_CHECKING:
    import pandas as pd


def table(plan: Plan, idata: Any) -> pd.DataFrame:
    """Effects, spreads of members and correlations: a row each.

    Parameters
    ----------
    plan : Plan
    idata : DataTree
        Draws of the model.

    Returns
    -------
    DataFrame
        Columns mean, sd, 5%, 95%, r_hat and ess.
    """
    import arviz as az
    import pandas as pd
    import xarray as xr

    posterior = getattr(idata, "posterior", None)
    if posterior is None:
        found = f"a {type(idata).__name__} without posterior draws"
        raise ValueError(explain("what reg.sample() returns", found, "sample first, as in idata = reg.sample()"))
    draws = xr.Dataset(dict(_rows(plan, posterior)))
    flat = draws.to_dataarray("row").stack(sample=("chain", "draw")).transpose("row", "sample").to_numpy()
    low, high = np.quantile(flat, [0.05, 0.95], axis=1)
    measured = {
        name: measure(draws).to_dataarray("row").to_numpy() for name, measure in (("r_hat", az.rhat), ("ess", az.ess))
    }
    columns = {"mean": flat.mean(1), "sd": flat.std(1, ddof=1), "5%": low, "95%": high} | measured
    return pd.DataFrame(columns, index=list(draws.data_vars))


def _rows(plan: Plan, posterior: Any) -> Iterator[tuple[str, Any]]:
    for p in plan.predictors.values():
        yield from _effects(p, posterior)
    for name in plan.others:
        if name in posterior:
            yield name, posterior[name]
    for m in plan.members.values():
        yield from _spreads(m, plan, posterior)


def _effects(p: Predictor, posterior: Any) -> Iterator[tuple[str, Any]]:
    """The parameter where it has a level, and by how much one unit of anything else changes it."""
    if p.prior is None:
        return
    reference = _reference(p, posterior)
    for i, label in enumerate(p.labels):
        beta = posterior[p.name].isel({p.dim: i}, drop=True)
        at, base = (beta, None) if p.formula.design.common.levels[i] else (reference + beta, reference)
        yield f"{p.name}[{label}]", _natural(p, at) - (0.0 if base is None else _natural(p, base))


def _spreads(m: Members, plan: Plan, posterior: Any) -> Iterator[tuple[str, Any]]:
    """Half the difference between members one standard deviation above and below the mean, and correlations."""
    number = 0
    for block in m.grouping.blocks:
        p = plan.predictors[block.parameter]
        for label, level in zip(block.columns.labels, block.columns.levels, strict=True):
            at = 0.0 if level and label in p.labels else _reference(p, posterior)
            if label in p.labels:
                at = at + posterior[p.name].isel({p.dim: p.labels.index(label)}, drop=True)
            sd = posterior[m.sd].isel({m.dim: number}, drop=True)
            yield f"{m.sd}[{p.name}: {label}]", (_natural(p, at + sd) - _natural(p, at - sd)) / 2
            number += 1
    if m.eta is not None:
        labels = m.grouping.labels
        for i, first in enumerate(labels):
            for j, second in enumerate(labels[:i]):
                yield f"{m.corr}[{second}, {first}]", posterior[m.corr].isel({m.dim: i, m.other: j}, drop=True)


def _reference(p: Predictor, posterior: Any) -> Any:
    """Where differences start: at the intercept, or the mean of the conditions that are each given a value."""
    levels = [i for i, level in enumerate(p.formula.design.common.levels) if level]
    if INTERCEPT in p.labels:
        levels = [p.labels.index(INTERCEPT)]
    return posterior[p.name].isel({p.dim: levels}).mean(p.dim) if levels else 0.0


def _natural(p: Predictor, eta: Any) -> Any:
    """The parameter at a predictor, of labelled arrays, too."""
    return eta.copy(data=p.link.natural(eta.to_numpy()))
