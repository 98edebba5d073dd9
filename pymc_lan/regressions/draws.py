"""Draws of a regression's variables as arrays, some of them or all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import check_count, explain, unknown
from pymc_lan.regressions.plan import Plan
from pymc_lan.regressions.priors import Prior

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Values of variables.

    Parameters
    ----------
    variables : mapping of str to ndarray, shape (n_chains * n_draws, ...)
    chain, draw : ndarray
        Labels, of shape (n_chains,) and (n_draws,).
    """

    variables: Mapping[str, Float]
    chain: NDArray[Any]
    draw: NDArray[Any]

    def __len__(self) -> int:
        return len(self.chain) * len(self.draw)

    def __getitem__(self, name: str) -> Float:
        return self.variables[name]

    def by_chain(self, x: Float) -> Float:
        """An array whose first axis is draws, with an axis of chains before it."""
        return x.reshape(len(self.chain), len(self.draw), *x.shape[1:])


def read_draws(plan: Plan, idata: Any, n_draws: int | None = None, group: str = "posterior") -> Draws:
    """Read what a regression is computed from.

    Parameters
    ----------
    plan : Plan
    idata : DataTree
    n_draws : int, optional
        About so many at most, evenly spaced, the same of each chain; by default all.
    group : {"posterior", "prior"}
        Where they are.

    Raises
    ------
    ValueError
        If there are none, or they are those of another model.
    """
    if group not in getattr(idata, "children", ()):
        found = f"a {type(idata).__name__} without the group {group}"
        raise ValueError(explain("what reg.sample() returns", found, "sample first, as in idata = reg.sample()"))
    posterior = idata[group].to_dataset()
    every = np.arange(posterior.sizes["draw"])
    if n_draws is not None:
        each = -(-check_count("n_draws", n_draws) // posterior.sizes["chain"])
        every = np.linspace(0, len(every) - 1, min(each, len(every))).round().astype(int)
    variables = {}
    for name, size in _sizes(plan):
        if name not in posterior:
            raise ValueError(unknown("variable", name, map(str, posterior.data_vars), of=f"this {group}"))
        x = posterior[name].isel(draw=every).transpose("chain", "draw", ...).to_numpy()
        if x.shape[2:] != size:
            found = f"shape {x.shape[2:]}"
            raise ValueError(explain(f"{name} of shape {size}", found, "give the draws of this regression"))
        variables[name] = np.asarray(x, np.float64).reshape(-1, *size)
    return Draws(variables, posterior["chain"].to_numpy(), posterior["draw"].to_numpy()[every])


def _sizes(plan: Plan) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The variables that parameters are computed from, and their shapes."""
    for name, p in plan.predictors.items():
        if p.prior is not None:
            yield name, (len(p.labels),)
    for name, x in plan.others.items():
        if isinstance(x, Prior):
            yield name, ()
    for m in plan.members.values():
        n = len(m.grouping.labels)
        yield m.effects, (len(m.grouping.members), n)
        yield m.sd, (n,)
        if m.eta is not None:
            yield m.corr, (n, n)
