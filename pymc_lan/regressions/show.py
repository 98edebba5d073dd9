"""A regression as a table to read: formulas, links, priors, groups, and what is fixed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymc_lan.regressions.coding import sides
from pymc_lan.regressions.plan import D_PRESS, Members, Plan, Predictor
from pymc_lan.regressions.priors import Prior


def show(plan: Plan) -> str:
    """The whole table.

    Parameters
    ----------
    plan : Plan
    """
    description = plan.description
    task = {True: "go/no-go trials", False: "trials"}[description.go_nogo]
    head = f"{plan.spec.name}: {len(description.table):,} {task}{_responses(plan)}"
    parameters = _aligned([("parameter", "link", "range", "formula"), *_parameters(plan)])
    priors = _aligned([("variable", "prior"), *_priors(plan)])
    return "\n\n".join(["\n".join([head, *_groups(plan)]), parameters, priors])


def _responses(plan: Plan) -> str:
    """What responses were made of, where it was not boundaries."""
    d = plan.description
    if d.accuracy is None:
        return ""
    if d.stimulus is None:
        return f"; the upper boundary is a right answer, by {d.accuracy!r}, the lower a wrong one"
    (lower, _), (upper, _) = sides(d.table[d.stimulus]).items()
    return (
        f"; by {d.accuracy!r}, right is the lower boundary where {d.stimulus!r} is {lower!r}, the upper where {upper!r}"
    )


def _groups(plan: Plan) -> Iterator[str]:
    for m in plan.members.values():
        members, effects = len(m.grouping.members), len(m.grouping.labels)
        means = (
            "" if effects == 1 else "; their effects are correlated" if m.eta else "; their effects are not correlated"
        )
        yield f"{m.name}: {_counted(members, 'member')}, {_counted(effects, 'effect')}{means}"


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _parameters(plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    for name, p in plan.predictors.items():
        yield name, p.link.name, f"{p.link.low:g} to {p.link.high:g}", p.formula.text
    if plan.z is not None:
        yield "z", "", f"{plan.z.low:g} to {plan.z.high:g}", f"1 - {D_PRESS} / (2 a)"
    for name, x in plan.others.items():
        yield name, "", "", f"{x}, one value for all trials" if isinstance(x, Prior) else f"fixed at {x:g}"


def _priors(plan: Plan) -> Iterator[tuple[str, str]]:
    for p in plan.predictors.values():
        yield from _each(p)
    for m in plan.members.values():
        yield from _spreads(m)


def _each(p: Predictor) -> Iterator[tuple[str, str]]:
    if p.prior is not None:
        yield from _values(p.name, p.labels, p.prior)


def _spreads(m: Members) -> Iterator[tuple[str, str]]:
    yield from _values(m.sd, m.grouping.labels, m.spread)
    if m.eta is not None:
        yield m.corr, f"LKJ({m.eta:g})"


def _values(name: str, labels: Sequence[str], prior: Prior) -> Iterator[tuple[str, str]]:
    for i, label in enumerate(labels):
        arguments = tuple((key, float(x[i])) for key, x in prior.values.items())
        yield f"{name}[{label}]", str(Prior(prior.distribution, arguments))


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
