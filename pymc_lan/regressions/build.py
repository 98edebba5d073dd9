"""From a plan to a PyMC model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pymc_lan.distributions.choice import ChoiceDist
from pymc_lan.distributions.gonogo import GoNoGo
from pymc_lan.distributions.landist import LANDist
from pymc_lan.regressions.links import start
from pymc_lan.regressions.plan import D_PRESS, Members, Plan, Predictor
from pymc_lan.regressions.priors import Prior

Variables = dict[str, Any]

DISTRIBUTIONS: Mapping[str, Any] = {each.__name__: each for each in (LANDist, GoNoGo, ChoiceDist)}


def build(plan: Plan) -> Any:
    """The model: common effects, members drawn around them, parameters of trials, trials.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    pm.Model
    """
    import pymc as pm
    import pytensor.tensor as pt

    description = plan.description
    with pm.Model(coords=coordinates(plan)) as model:
        arguments = {n: x.variable(n) if isinstance(x, Prior) else x for n, x in plan.others.items()}
        found: Variables = {}
        for p in plan.predictors.values():
            if p.prior is not None:
                found[p.name] = p.prior.variable(p.name, dims=p.dim)
        effects = {name: _effects(m, plan, found) for name, m in plan.members.items()}
        for name, p in plan.predictors.items():
            eta = _predictor(p, plan.members, found, effects)
            arguments[name] = _by_trial(p, eta if name == D_PRESS else p.link.natural(eta, pt))
        if plan.z is not None:
            arguments["z"] = start(arguments.pop(D_PRESS), arguments["a"], plan.z, pt)
        DISTRIBUTIONS[description.distribution](
            "obs", description.model, observed=description.table, **keywords(plan, arguments)
        )
    return model


def coordinates(plan: Plan) -> dict[str, Any]:
    """Labels of members and of effects."""
    coords: dict[str, Any] = {p.dim: list(p.labels) for p in plan.predictors.values() if p.labels}
    for m in plan.members.values():
        coords |= {m.name: list(m.grouping.members), m.dim: list(m.grouping.labels)}
        if m.eta is not None:
            coords[m.other] = list(m.grouping.labels)
    return coords


def keywords(plan: Plan, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the distribution by their keywords, in order."""
    names = {p.name: p.keyword for p in plan.spec.parameters}
    first = {names[n]: arguments[n] for n in names if n in arguments}
    return first | {n: x for n, x in arguments.items() if n not in names} | dict(plan.description.task)


def _effects(m: Members, plan: Plan, common: Variables) -> Any:
    """All effects of all members of a group, drawn around their means."""
    import pymc as pm

    mean, dims = _mean(m, plan, common), (m.name, m.dim)
    if m.eta is None:
        return pm.Normal(m.effects, mean, m.spread.variable(m.sd, dims=m.dim), dims=dims)
    n = len(m.grouping.labels)
    chol, corr, sd = pm.LKJCholeskyCov(m.chol, n=n, eta=m.eta, sd_dist=m.spread.dist(), store_in_trace=False)
    pm.Deterministic(m.sd, sd, dims=m.dim)
    pm.Deterministic(m.corr, corr, dims=(m.dim, m.other))
    return pm.MvNormal(m.effects, mean, chol=chol, dims=dims)


def _mean(m: Members, plan: Plan, common: Variables) -> Any:
    """The means of a group's effects: of all members alike, shape (effects,), or of each, (members, effects)."""
    import pytensor.tensor as pt

    parts = []
    for block in m.grouping.blocks:
        n_common = len(plan.predictors[block.parameter].labels)
        weights, chosen = block.weights(n_common), block.chosen(n_common)
        if weights is None:
            parts.append(pt.zeros(len(block.columns.labels)))
        elif chosen is None:
            parts.append(pt.dot(weights, common[block.parameter]))
        else:
            parts.append(subset(common[block.parameter], chosen, n_common))
    mean = pt.concatenate(parts) if len(parts) > 1 else parts[0]
    for parameter, column, values, weights in m.grouping.own:
        mean = mean + np.outer(values, weights) * common[parameter][column]
    return mean


def subset(vector: Any, chosen: Sequence[int], n: int) -> Any:
    """Some values of a vector of that length; the vector itself where it is all of them, in order."""
    return vector if [*chosen] == [*range(n)] else vector[list(chosen)]


def _predictor(p: Predictor, members: Mapping[str, Members], common: Variables, effects: Variables) -> Any:
    """The predictor of each row."""
    import pytensor.tensor as pt

    rows = p.rows
    parts: list[Any] = []
    if p.shared:
        parts.append(pt.dot(rows.shared, subset(common[p.name], p.shared, len(p.labels))))
    for factor, (index, columns) in rows.groups.items():
        own = effects[factor][:, members[factor].grouping.place(p.name)]
        own = own if np.array_equal(index, np.arange(len(members[factor].grouping.members))) else own[index]
        parts.append(own[:, 0] if is_one(columns) else (columns * own).sum(-1))
    if rows.offset.any() or not parts:
        parts.append(pt.as_tensor(rows.offset))
    return sum(parts[1:], parts[0])


def is_one(columns: Any) -> bool:
    """Whether the effects are nothing but an intercept."""
    return columns.shape[1] == 1 and bool((columns == 1).all())


def _by_trial(p: Predictor, values: Any) -> Any:
    """Values of rows as values of trials."""
    return values if p.rows.trial is None else values[p.rows.trial]
