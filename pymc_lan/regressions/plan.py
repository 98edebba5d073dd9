"""What a description comes to in numbers: predictors, members of groups, priors. Model and table are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, unknown
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import POSITIVE, Parameter
from pymc_lan.regressions.description import Description
from pymc_lan.regressions.effects import Grouping, groupings
from pymc_lan.regressions.formula import Columns, Formula
from pymc_lan.regressions.links import Link, Logit, link_of
from pymc_lan.regressions.priors import LKJ, Defaults, Prior, defaults, half_normal, normal

Float = NDArray[np.float64]
Codes = NDArray[np.intp]

# Predictors are computed for distinct trials where these are at most so many of all.
FEW = 0.5
# The distance of the start to the boundary of a press, in place of z.
D_PRESS = "d_press"


@dataclass(frozen=True, slots=True)
class Rows:
    """What a predictor is computed from, a row for each distinct trial.

    Parameters
    ----------
    shared : ndarray, shape (n_rows, n_shared)
        Columns of the common effects that are in no member's mean.
    groups : mapping of str to (ndarray, ndarray)
        By factor the number of each row's member, and the columns of the members' effects.
    offset : ndarray, shape (n_rows,)
    trial : ndarray of int, shape (n_trials,), optional
        The row of each trial; None where rows are trials.
    """

    shared: Float
    groups: Mapping[str, tuple[Codes, Float]]
    offset: Float
    trial: Codes | None


@dataclass(frozen=True, slots=True)
class Predictor:
    """A parameter that has a formula.

    Parameters
    ----------
    name : str
    formula : Formula
    link : Link
    prior : Prior, optional
        Of the common effects; None where there are none.
    shared : tuple of int
        Which of them are added trial by trial, and are not in the mean of members.
    rows : Rows
    """

    name: str
    formula: Formula
    link: Link
    prior: Prior | None
    shared: tuple[int, ...]
    rows: Rows

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the common effects."""
        return self.formula.design.common.labels

    @property
    def dim(self) -> str:
        """The dimension of the common effects."""
        return f"{self.name}_effect"


@dataclass(frozen=True, slots=True)
class Members:
    """A grouping factor with its priors.

    Parameters
    ----------
    grouping : Grouping
    spread : Prior
        Of the standard deviations of the effects.
    eta : float, optional
        Of the LKJ distribution of their correlations; None where there are none.
    """

    grouping: Grouping
    spread: Prior
    eta: float | None

    @property
    def name(self) -> str:
        """The factor."""
        return self.grouping.factor

    @property
    def dim(self) -> str:
        """The dimension of the effects."""
        return f"{self.name}_effect"

    @property
    def effects(self) -> str:
        """The variable of all effects of all members."""
        return f"{self.name}_effects"

    @property
    def sd(self) -> str:
        """The variable of their standard deviations."""
        return f"{self.name}_sd"

    @property
    def corr(self) -> str:
        """The variable of their correlations."""
        return f"{self.name}_corr"

    @property
    def chol(self) -> str:
        """The variable that standard deviations and correlations are sampled as."""
        return f"{self.name}_chol"

    @property
    def other(self) -> str:
        """The second dimension of their correlations."""
        return f"{self.dim}_other"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is to be built.

    Parameters
    ----------
    description : Description
    spec : Model
    predictors : mapping of str to Predictor
        Of parameters with a formula.
    members : mapping of str to Members
        By grouping factor.
    others : mapping of str to float or Prior
        Parameters that are a number, or one value for all trials.
    z : Logit, optional
        The ends of z, where its place is taken by `D_PRESS`.
    """

    description: Description
    spec: Model
    predictors: Mapping[str, Predictor]
    members: Mapping[str, Members]
    others: Mapping[str, float | Prior]
    z: Logit | None


def make_plan(description: Description) -> Plan:
    """Evaluate the formulas of a description, and choose links and priors."""
    spec, network = description.resolve()
    table = description.table
    known = known_parameters(spec)
    links = {name: link_of(p, trained=network is not None and name not in TASK_PARAMETERS) for name, p in known.items()}
    usual = {name: defaults(name, known[name], links[name]) for name in description.formulas}
    formulas = {name: Formula(name, text, table) for name, text in description.formulas.items()}
    given = dict(description.priors)
    groups = groupings(formulas, table, _correlated(formulas, given))
    members = {g.factor: _members(g, usual, given) for g in groups}
    predictors = {
        name: _predictor(name, formula, links[name], usual[name], members, given) for name, formula in formulas.items()
    }
    if given:
        variables = [*predictors, *(x for m in members.values() for x in (m.sd, m.corr))]
        remedy = "name a variable, or one of its values, as in 'v' or 'v[Intercept]'; print(reg) has them"
        raise ValueError(f"{unknown('prior', next(iter(given)), variables)} Remedy: {remedy}.")
    others = {k: x for k, x in description.parameters.items() if not isinstance(x, str)}
    _check_names(predictors, members, others)
    z = links["z"] if D_PRESS in predictors else None
    assert z is None or isinstance(z, Logit)
    return Plan(description, spec, predictors, members, others, z)


# What may have a formula beside the parameters of the model.
TASK_PARAMETERS = {
    "p_lapse": Parameter("guess", (0.0, 1.0), "1", "share of guesses", domain=(0.0, 1.0)),
    "lapse_go": Parameter("guess", (0.0, 1.0), "1", "share of presses among guesses", domain=(0.0, 1.0)),
    D_PRESS: Parameter(D_PRESS, (0.0, 5.0), "evidence", "distance from start to press", domain=POSITIVE),
}


def known_parameters(spec: Model) -> dict[str, Parameter]:
    """All that may have a formula, by name: parameters of the model, then those of the task."""
    own = {p.name: p for p in spec.parameters}
    return own | ({"v_nogo": own["v"]} if "v" in own else {}) | TASK_PARAMETERS


def _correlated(formulas: Mapping[str, Formula], given: Mapping[str, Any]) -> dict[str, bool]:
    """Of which factors it is said, by a prior, whether effects are correlated."""
    factors = {factor for formula in formulas.values() for factor in formula.factors}
    return {f: given[f"{f}_corr"] is not None for f in factors if f"{f}_corr" in given}


def _check_names(predictors: Mapping[str, Predictor], members: Mapping[str, Members], others: Iterable[str]) -> None:
    """Refuse grouping factors whose variables and dimensions would have the name of others."""
    taken = {"obs", *others, *predictors, *(p.dim for p in predictors.values())}
    for m in members.values():
        own = (m.name, m.dim, m.other, m.effects, m.sd, m.corr, m.chol)
        if clash := [name for name in own if name in taken]:
            expected = f"another name for what trials are grouped by than {m.name!r}"
            found = f"{clash[0]!r}, which the model calls something else"
            raise ValueError(explain(expected, found, "rename the column"))
        taken |= {*own}


def _members(grouping: Grouping, usual: Mapping[str, Defaults], given: dict[str, Any]) -> Members:
    scales = []
    for block in grouping.blocks:
        d = usual[block.parameter]
        for scale, level in zip(_scales(block.columns), block.columns.levels, strict=True):
            scales.append(d.spread if level else d.effect_spread / scale)
    name = grouping.factor
    spread = _chosen(f"{name}_sd", grouping.labels, half_normal(np.array(scales)), given)
    if not spread.positive:
        remedy = "give one such as pm.HalfNormal.dist(0.3)"
        raise ValueError(explain(f"a prior of positive numbers as {name}_sd", f"{spread}", remedy))
    eta = given.pop(f"{name}_corr", None)
    if eta is not None and not grouping.correlated:
        expected = f"several effects of {name!r}, with {name}_corr as the prior of their correlations"
        raise ValueError(explain(expected, f"one: {grouping.labels[0]}", f"leave {name}_corr out"))
    eta = LKJ if eta is None else eta
    return Members(grouping, spread, float(eta) if grouping.correlated else None)


def _predictor(
    name: str, formula: Formula, link: Link, usual: Defaults, members: Mapping[str, Members], given: dict[str, Any]
) -> Predictor:
    common = formula.design.common
    blocks = {m.name: b for m in members.values() for b in m.grouping.blocks if b.parameter == name}
    pulled = {pull.column for block in blocks.values() for pull in block.pulls}
    shared = tuple(j for j in range(len(common.labels)) if j not in pulled)
    prior = None
    if common.labels:
        centre = np.where(common.levels, usual.centre, 0.0)
        sigma = np.where(common.levels, usual.level, usual.effect / _scales(common))
        prior = _chosen(name, common.labels, normal(centre, sigma), given)
    groups = {f: (members[f].grouping.index, block.columns.matrix) for f, block in blocks.items()}
    rows = distinct(common.matrix[:, shared], groups, formula.design.offset)
    return Predictor(name, formula, link, prior, shared, rows)


def _scales(columns: Columns) -> Float:
    """By what priors of slopes are divided: the standard deviation, of what is no contrast between conditions."""
    coded = np.isin(columns.matrix, (-1.0, 0.0, 1.0)).all(0)
    spread = columns.matrix.std(0)
    return np.where(coded | (spread == 0), 1.0, spread)


def _chosen(name: str, labels: tuple[str, ...], default: Prior, given: dict[str, Any]) -> Prior:
    """The prior of a vector: the default one, or what was given for all of it, or for some of its values."""
    prior = given.pop(name, default)
    sizes = {np.size(x) for x in prior.values.values()} - {1, len(labels)}
    if sizes:
        found, remedy = f"{sizes.pop()} of them in {prior}", "give one for all, or as many; print(reg) has the names"
        raise ValueError(explain(f"one number for each of the {len(labels)} values of {name!r}", found, remedy))
    arguments = {key: np.broadcast_to(x, len(labels)).astype(float) for key, x in prior.values.items()}
    for i, label in enumerate(labels):
        one = given.pop(f"{name}[{label}]", None)
        if one is not None:
            if one.distribution != prior.distribution:
                found = f"{one} for {label!r}"
                remedy = f"give it for all of them, as priors={{{name!r}: ...}}, or one of the same distribution"
                raise ValueError(explain(f"a {prior.distribution} prior of each value of {name!r}", found, remedy))
            for key, x in one.values.items():
                arguments[key][i] = x
    return Prior(prior.distribution, tuple((key, tuple(x.tolist())) for key, x in arguments.items()))


def distinct(shared: Float, groups: Mapping[str, tuple[Codes, Float]], offset: Float) -> Rows:
    """Rows for the distinct trials, or for all of them where most differ."""
    parts = [shared, offset[:, None], *(x for index, z in groups.values() for x in (index[:, None], z))]
    _, first, trial = np.unique(np.hstack(parts), axis=0, return_index=True, return_inverse=True)
    if len(first) > FEW * len(offset):
        return Rows(shared, groups, offset, None)
    order = np.argsort(first)
    place = np.empty(len(first), np.intp)
    place[order] = np.arange(len(first))
    chosen = first[order]
    return Rows(
        shared[chosen],
        {f: (i[chosen], z[chosen]) for f, (i, z) in groups.items()},
        offset[chosen],
        place[trial.ravel()],
    )
