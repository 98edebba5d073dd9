"""A regression as the PyMC code that one would write by hand: it runs, and is a place to begin from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pymc_lan.data.observed import RESPONSE
from pymc_lan.models.model import Model
from pymc_lan.networks.network import Network
from pymc_lan.regressions.build import coordinates, is_one
from pymc_lan.regressions.coding import sides
from pymc_lan.regressions.effects import Block
from pymc_lan.regressions.links import BEND_CODE, ratio_of
from pymc_lan.regressions.plan import D_PRESS, Members, Plan, Predictor
from pymc_lan.regressions.priors import Prior

HEAD = """import numpy as np
import pymc as pm
import pytensor.tensor as pt
from formulae import design_matrices

import pymc_lan as pl

"""


def code(plan: Plan) -> str:
    """The model as Python code. It takes a pandas table `df` of the trials, and makes `model`.

    Parameters
    ----------
    plan : Plan
    """
    lines = [
        f"# df: the trials, a pandas.DataFrame with the columns {', '.join(map(repr, plan.description.table.columns))}"
    ]
    lines += _network(plan)
    lines += _categories(plan)
    lines += _responses(plan)
    for m in plan.members.values():
        lines += _who(m)
    for p in plan.predictors.values():
        lines += _design(p)
    lines += [*_coordinates(plan), "", "with pm.Model(coords=coords) as model:"]
    body = [*_common(plan)]
    for m in plan.members.values():
        body += _members(m, plan)
    for p in plan.predictors.values():
        body += _parameter(p, plan)
    body += _trials(plan)
    return HEAD + BEND_CODE + "\n\n" + "\n".join([*lines, *(f"    {line}" for line in body)]) + "\n"


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _network(plan: Plan) -> list[str]:
    given = {"model": plan.description.model, "weights": plan.description.task.get("weights")}
    return [f"# {name}_given: what was given as {name}" for name, x in given.items() if isinstance(x, Model | Network)]


def _source(name: str, given: Any) -> str:
    """A model, by its name or by that of a variable."""
    return f"{name}_given" if isinstance(given, Model | Network) else repr(os.fspath(given))


def _categories(plan: Plan) -> list[str]:
    names = [*plan.description.table.select_dtypes("category")]
    occur = "name: df[name].cat.remove_unused_categories()"
    return [f"df = df.assign(**{{{occur} for name in {names}}})"] if names else []


def _responses(plan: Plan) -> list[str]:
    d = plan.description
    if d.accuracy is None:
        return []
    low, high = min(plan.spec.choices), max(plan.spec.choices)
    right = f"(df[{d.accuracy!r}] == 1)"
    if d.stimulus is None:
        upper = right
    else:
        is_upper = max(sides(d.table[d.stimulus]).items(), key=lambda item: item[1])[0]
        upper = f"{right} == (df[{d.stimulus!r}] == {is_upper!r})"
    lines = [f"df = df.assign(response=np.where({upper}, {high}, {low}))"]
    if d.table[RESPONSE].isna().any():
        timed = "np.isfinite(df['rt'].astype(float))"
        known = f"{timed} | df[{d.accuracy!r}].notna()" if d.task.get("missing") == "lost" else timed
        lines += [f"df = df.assign(response=df[{RESPONSE!r}].where({known}))"]
    return lines


def _who(m: Members) -> list[str]:
    name, columns = _identifier(m.name), m.grouping.columns
    cells = [f"df[{column!r}]" for column in columns]
    labels = cells[0] if len(cells) == 1 else ' + ":" + '.join(f"{cell}.astype(str)" for cell in cells)
    mixed = len({type(each) for each in m.grouping.members}) > 1
    return [
        "",
        f"labels = ({labels}).astype(object)",
        f"{name}_members = sorted(set(labels){', key=str' if mixed else ''})",
        f"{name}_index = labels.map({{label: i for i, label in enumerate({name}_members)}}).to_numpy().astype(int)",
    ]


def _design(p: Predictor) -> list[str]:
    """Lines for the matrices that the predictor needs."""
    name, design, lines = _identifier(p.name), p.formula.design, []
    terms = f"{name}_design.common.terms.items()"
    if p.shared:
        chosen = f"[{name}_design.common[key] for key, term in {terms} if term.kind != 'offset']"
        some = "" if len(p.shared) == len(p.labels) else f"[:, {list(p.shared)}]"
        lines += [f"# {', '.join(p.labels[j] for j in p.shared)}", f"{name}_X = np.column_stack({chosen}){some}"]
    if design.offset.any():
        chosen = f"[{name}_design.common[key] for key, term in {terms} if term.kind == 'offset']"
        lines.append(f"{name}_offset = np.column_stack({chosen}).sum(1)")
    for factor, columns in design.groups.items():
        if not is_one(columns.matrix):
            own = f"[t.expr.data for t in {name}_design.group.terms.values() if t.factor.name == {factor!r}]"
            lines += [f"# {', '.join(columns.labels)}", f"{name}_Z_{_identifier(factor)} = np.column_stack({own})"]
    evaluated = f"{name}_design = design_matrices({p.formula.text.replace('||', '|')!r}, df)"
    return ["", evaluated, *lines] if lines else []


def _coordinates(plan: Plan) -> list[str]:
    members = {m.name: f"{_identifier(m.name)}_members" for m in plan.members.values()}
    found = coordinates(plan).items()
    return ["", "coords = {", *(f"    {key!r}: {members.get(key, value)}," for key, value in found), "}"]


def _common(plan: Plan) -> Iterator[str]:
    for name, x in plan.others.items():
        if isinstance(x, Prior):
            yield f"{_identifier(name)} = pm.{x.distribution}({name!r}, {x.code})"
    for p in plan.predictors.values():
        if p.prior is not None:
            yield f"{p.name}_common = pm.{p.prior.distribution}({p.name!r}, {p.prior.code}, dims={p.dim!r})"


def _members(m: Members, plan: Plan) -> Iterator[str]:
    name, dims = _identifier(m.name), f"dims=({m.name!r}, {m.dim!r})"
    yield f"# {', '.join(m.grouping.labels)}"
    parts = [_mean(block, plan) for block in m.grouping.blocks]
    yield f"{name}_mean = {parts[0] if len(parts) == 1 else f'pt.concatenate([{", ".join(parts)}])'}"
    for parameter, column, values, weights in m.grouping.own:
        yield f"{name}_own = np.outer({values.tolist()}, {weights.tolist()})"
        yield f"{name}_mean = {name}_mean + {name}_own * {parameter}_common[{column}]"
    if m.eta is None:
        yield f"{name}_sd = pm.{m.spread.distribution}({m.sd!r}, {m.spread.code}, dims={m.dim!r})"
        yield f"{name}_effects = pm.Normal({m.effects!r}, {name}_mean, {name}_sd, {dims})"
        return
    yield f"{name}_chol, {name}_corr, {name}_sd = pm.LKJCholeskyCov("
    spread = f"pm.{m.spread.distribution}.dist({m.spread.code})"
    yield f"    {m.chol!r}, n={len(m.grouping.labels)}, eta={m.eta!r}, sd_dist={spread}, store_in_trace=False"
    yield ")"
    yield f"pm.Deterministic({m.sd!r}, {name}_sd, dims={m.dim!r})"
    yield f"pm.Deterministic({m.corr!r}, {name}_corr, dims=({m.dim!r}, {m.other!r}))"
    yield f"{name}_effects = pm.MvNormal({m.effects!r}, {name}_mean, chol={name}_chol, {dims})"


def _mean(block: Block, plan: Plan) -> str:
    n_common = len(plan.predictors[block.parameter].labels)
    weights, chosen = block.weights(n_common), block.chosen(n_common)
    if weights is None:
        return f"pt.zeros({len(block.columns.labels)})"
    beta = f"{block.parameter}_common"
    return f"pt.dot({weights.tolist()}, {beta})" if chosen is None else _subset(beta, chosen, n_common)


def _subset(vector: str, chosen: Sequence[int], n: int) -> str:
    """`subset` as code."""
    if [*chosen] == [*range(n)]:
        return vector
    return f"{vector}[:{len(chosen)}]" if [*chosen] == [*range(len(chosen))] else f"{vector}[{[*chosen]}]"


def _parameter(p: Predictor, plan: Plan) -> Iterator[str]:
    name, parts = _identifier(p.name), []
    if p.shared:
        parts.append(f"pt.dot({name}_X, {_subset(f'{name}_common', p.shared, len(p.labels))})")
    for factor, columns in p.formula.design.groups.items():
        who, place = _identifier(factor), plan.members[factor].grouping.place(p.name)
        if is_one(columns.matrix):
            parts.append(f"{who}_effects[{who}_index, {place.start}]")
        else:
            own = f"{who}_effects[:, {place.start}:{place.stop}][{who}_index]"
            parts.append(f"({name}_Z_{who} * {own}).sum(-1)")
    if p.formula.design.offset.any():
        parts.append(f"{name}_offset")
    eta = " + ".join(parts) or "pt.zeros(len(df))"
    yield f"{name} = {eta if p.name == D_PRESS else p.link.code(eta)}"


def _trials(plan: Plan) -> Iterator[str]:
    given: dict[str, Any] = {}
    for name, x in plan.description.parameters.items():
        given[name] = x if isinstance(x, float) else _identifier(name)
    if plan.z is not None:
        ratio = ratio_of(plan.z).code(f"{D_PRESS} - pt.log(2 * {given['a']})")
        yield f"z = 1 - {ratio}"
        given["z"] = given.pop(D_PRESS)
        given["z"] = "z"
    keywords = {p.name: p.keyword for p in plan.spec.parameters}
    task = {k: _source(k, x) if k == "weights" else repr(x) for k, x in plan.description.task.items()}
    arguments = [f"{keywords.get(k, k)}={x}" for k, x in (given | task).items()]
    model = _source("model", plan.description.model)
    yield f"pl.{plan.description.distribution}({', '.join([repr('obs'), model, *arguments])}, observed=df)"
