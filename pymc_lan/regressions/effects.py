"""Which effects the members of a group have, and what of the common effects is their mean.

All effects of a grouping factor, of whatever parameters, are one variable of shape (members, effects). What formulas
write as a common effect plus a deviation is built as the member's own value, drawn around the common effect, so that
a member with many trials does not know of the intercept. This takes a common column to be an effect of the members
times a number of each member: 1 where both formulas have the column, the member's age where age is a common column and
the members have an intercept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.regressions.formula import Columns, Formula

Float = NDArray[np.float64]
Codes = NDArray[np.intp]

# Two columns are the same where they differ by no more than this, of values of the order of 1.
TOLERANCE = 1e-9
# From so many members on, correlations between their effects are estimated unless a formula has ||.
CORRELATED_FROM = 20


@dataclass(frozen=True, slots=True)
class Pull:
    """A common column that is part of the mean of members' effects.

    Parameters
    ----------
    column : int
        Of the parameter's common effects.
    weights : ndarray, shape (n_effects,)
        How much of it each of the parameter's effects of a member has.
    values : ndarray, shape (n_members,), optional
        What it is multiplied by for each member; None of a column that all have alike.
    """

    column: int
    weights: Float
    values: Float | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """The effects that members of a group have on one parameter.

    Parameters
    ----------
    parameter : str
    columns : Columns
    pulls : tuple of Pull
        What their means are made of.
    """

    parameter: str
    columns: Columns
    pulls: tuple[Pull, ...]

    def chosen(self, n_common: int) -> list[int] | None:
        """Which common effects are the means, one each, if it is that simple."""
        weights = self.weights(n_common)
        if weights is None or not np.array_equal(np.sort(weights, 1)[:, -1:], np.ones((len(weights), 1))):
            return None
        return weights.argmax(1).tolist() if (weights.sum(1) == 1).all() and (weights >= 0).all() else None

    def weights(self, n_common: int) -> Float | None:
        """How much of each common effect all members have, shape (n_effects, n_common); None where there is none."""
        alike = [pull for pull in self.pulls if pull.values is None]
        if not alike:
            return None
        matrix = np.zeros((len(self.columns.labels), n_common))
        for pull in alike:
            matrix[:, pull.column] = pull.weights
        return matrix


@dataclass(frozen=True, slots=True)
class Grouping:
    """A grouping factor and all effects of its members.

    Parameters
    ----------
    factor : str
        As in formulas: ``"subject"``, ``"school:class"``.
    columns : tuple of str
        Of the table.
    members : tuple
        Their labels.
    index : ndarray of int, shape (n_trials,)
    blocks : tuple of Block
    correlated : bool
    """

    factor: str
    columns: tuple[str, ...]
    members: tuple[Any, ...]
    index: Codes
    blocks: tuple[Block, ...]
    correlated: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the effects, as ``"v: Intercept"``."""
        return tuple(f"{b.parameter}: {label}" for b in self.blocks for label in b.columns.labels)

    def place(self, parameter: str) -> slice:
        """Where the effects on a parameter are among all."""
        first = 0
        for block in self.blocks:
            if block.parameter == parameter:
                return slice(first, first + len(block.columns.labels))
            first += len(block.columns.labels)
        raise KeyError(parameter)

    @property
    def own(self) -> list[tuple[str, int, Float, Float]]:
        """What differs between the means of members.

        For each: the parameter, which of its common effects, a number of each member, and how much of the product each
        of all effects has.
        """
        found = []
        for block in self.blocks:
            for pull in block.pulls:
                if pull.values is not None:
                    weights = np.zeros(len(self.labels))
                    weights[self.place(block.parameter)] = pull.weights
                    found.append((block.parameter, pull.column, pull.values, weights))
        return found

    def codes(self, table: Any) -> Codes:
        """The number of each trial's member; -1 of one that is not among them."""
        known = {member: i for i, member in enumerate(self.members)}
        return np.array([known.get(member, -1) for member in member_labels(table, self.columns)], np.intp)


def member_labels(table: Any, columns: Sequence[str]) -> list[Any]:
    """Whose trial each is: the cells of one column, or those of several joined by colons."""
    cells = [table[name].astype(object).to_numpy() for name in columns]
    return cells[0].tolist() if len(cells) == 1 else [":".join(map(str, row)) for row in zip(*cells, strict=True)]


def groupings(formulas: Mapping[str, Formula], table: Any, correlated: Mapping[str, bool]) -> tuple[Grouping, ...]:
    """All grouping factors of some formulas, in the order in which they are written.

    Parameters
    ----------
    formulas : mapping of str to Formula
        By parameter.
    table : DataFrame
    correlated : mapping of str to bool
        By factor, where it is said.
    """
    factors = {name: columns for formula in formulas.values() for name, columns in formula.factors.items()}
    uncorrelated = {name for formula in formulas.values() for name in formula.uncorrelated}
    owners = {parameter: _owner(formula, formulas, factors) for parameter, formula in formulas.items()}
    found = []
    for factor, columns in factors.items():
        members, index = _members(member_labels(table, columns))
        if len(members) < len(table[[*columns]].drop_duplicates()):
            expected = f"members of {factor!r} that are told apart where their names are joined by colons"
            raise ValueError(explain(expected, "two that are not", "leave colons out of the names"))
        if len(members) < 2:
            expected = f"at least 2 members of {factor!r}, whose differences are to be estimated"
            remedy = f"leave (... | {factor}) out of the formulas"
            raise ValueError(explain(expected, f"only {members[0]!r}", remedy))
        blocks = tuple(
            Block(parameter, group, _pulls(formula, group, index) if owners[parameter] == factor else ())
            for parameter, formula in formulas.items()
            if (group := formula.design.groups.get(factor)) is not None
        )
        several = sum(len(block.columns.labels) for block in blocks) > 1
        default = factor not in uncorrelated and len(members) >= CORRELATED_FROM
        found.append(Grouping(factor, columns, members, index, blocks, several and correlated.get(factor, default)))
    return tuple(found)


def _members(labels: list[Any]) -> tuple[tuple[Any, ...], Codes]:
    """The distinct labels, sorted where they can be, and the number of each trial's."""
    distinct = list(dict.fromkeys(labels))
    members = sorted(distinct) if len({type(each) for each in distinct}) == 1 else sorted(distinct, key=str)
    number = {member: i for i, member in enumerate(members)}
    return tuple(members), np.array([number[label] for label in labels], np.intp)


def _owner(formula: Formula, formulas: Mapping[str, Formula], factors: Mapping[str, Any]) -> str | None:
    """The factor whose members are drawn around the common effects: the one with most effects, first at a tie."""
    own = formula.design.groups
    return max((f for f in factors if f in own), key=lambda f: len(own[f].labels), default=None)


def _pulls(formula: Formula, group: Columns, index: Codes) -> tuple[Pull, ...]:
    """The common columns that can be in the mean of a member's effects."""
    common = formula.design.common.matrix
    found = (_pull(j, common[:, j], group.matrix, index) for j in range(common.shape[1]))
    return tuple(pull for pull in found if pull is not None)


def _pull(column: int, values: Float, group: Float, index: Codes) -> Pull | None:
    """How a common column follows from effects of members, if it does."""
    for weights in _directions(values, group):
        ratio = _ratio(values, group @ weights, index)
        if ratio is not None:
            alike = np.ptp(ratio) <= TOLERANCE
            return Pull(column, weights * ratio[0], None) if alike else Pull(column, weights, ratio)
    return None


def _directions(values: Float, group: Float) -> Iterator[Float]:
    """Combinations of effects to try: each alone, those that add up to the column, and those that add up to 1."""
    yield from np.eye(group.shape[1])
    for target in (values, np.ones(len(values))):
        weights = np.linalg.lstsq(group, target, rcond=None)[0].round(12)
        if _same(group @ weights, target):
            yield weights + 0.0


def _same(x: Float, y: Float) -> bool:
    return bool(np.allclose(x, y, rtol=TOLERANCE, atol=TOLERANCE))


def _ratio(values: Float, direction: Float, index: Codes) -> Float | None:
    """By what number of each member a column is a direction; None if there is no such number.

    A member in whose trials the direction is 0 has that of the others where they agree, and else 0: nothing depends
    on it.
    """
    n_members = int(index.max()) + 1
    top, bottom = (np.bincount(index, x * direction, n_members) for x in (values, direction))
    known = bottom > 0
    ratio = np.divide(top, bottom, out=np.zeros(n_members), where=known)
    if not known.any() or not _same(values, ratio[index] * direction):
        return None
    if np.ptp(ratio[known]) <= TOLERANCE:
        return np.full(n_members, ratio[known].mean().round(12))
    return ratio
