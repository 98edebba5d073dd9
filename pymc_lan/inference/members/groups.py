"""Whose effects belong to one member: variables that share an axis along which the likelihood falls apart.

Members of a group do not meet in the likelihood, given everything else: moving one does not change the slope of
another. So every second member can be moved at once, then every second pair, and so on: as many gradients as a number
of members has binary digits show whether that is so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.inference.members.density import FlatDensity

Float = NDArray[np.float64]

# A slope that moves by less than this share of the largest slope has not moved.
STILL = 1e-7
# Interacting values that are taken as the effects of one member, at most.
LARGEST_MEMBER = 48


@dataclass(frozen=True, eq=False)
class Part:
    """One variable of a group.

    Parameters
    ----------
    rv : TensorVariable
    shape : tuple of int
    axis : int or None
        That of the members; None: all its values are the effects of one member.
    where : slice
        Its values in the flat vector of all unconstrained values.
    """

    rv: Any
    shape: tuple[int, ...]
    axis: int | None
    where: slice

    @property
    def n_members(self) -> int:
        """Of the axis, 1 where there is none."""
        return 1 if self.axis is None else self.shape[self.axis]

    @property
    def n_effects(self) -> int:
        """Values of one member."""
        return int(np.prod(self.shape)) // self.n_members

    def without_variable(self) -> Part:
        """For what is kept and pickled with a model that does not have this variable."""
        return replace(self, rv=None)

    def by_member(self, x: Any) -> Any:
        """An array or variable of the part's shape as (members, effects)."""
        if self.axis is None:
            return x.reshape((1, self.n_effects))
        order = (self.axis, *(i for i in range(len(self.shape)) if i != self.axis))
        return x.transpose(order).reshape((self.n_members, self.n_effects))

    def as_shaped(self, x: Any) -> Any:
        """The way back from (members, effects)."""
        if self.axis is None:
            return x.reshape(self.shape)
        others = [i for i in range(len(self.shape)) if i != self.axis]
        moved = x.reshape((self.n_members, *(self.shape[i] for i in others)))
        order = [self.axis, *others]
        return moved.transpose([order.index(i) for i in range(len(self.shape))])

    def positions(self) -> NDArray[np.intp]:
        """Where the values lie in the flat vector, as (members, effects)."""
        flat = np.arange(self.where.start, self.where.stop).reshape(self.shape)
        found: NDArray[np.intp] = self.by_member(flat)
        return found


@dataclass(frozen=True, eq=False)
class Group:
    """Variables with the same members: all their effects of one member are one block.

    Parameters
    ----------
    label : str
        What the members are: the dimension's name, or their number.
    parts : tuple of Part
    """

    label: str
    parts: tuple[Part, ...]

    @property
    def n_members(self) -> int:
        """Of every part."""
        return self.parts[0].n_members

    @property
    def n_effects(self) -> int:
        """Of one member, in all parts together."""
        return sum(p.n_effects for p in self.parts)

    def positions(self) -> NDArray[np.intp]:
        """Where the values lie in the flat vector, as (members, effects)."""
        return np.concatenate([p.positions() for p in self.parts], axis=1)

    def columns(self, part: Part) -> slice:
        """The effects of a part among those of the member."""
        before = self.parts[: self.parts.index(part)]
        first = sum(p.n_effects for p in before)
        return slice(first, first + part.n_effects)


def find_groups(
    model: Any,
    members: Sequence[Any],
    density: FlatDensity,
    begin: Float,
    size: Float,
) -> tuple[list[Group], dict[str, str]]:
    """Sort the members of a model into groups, most members first.

    Parameters
    ----------
    model : pm.Model
    members : sequence of TensorVariable
        Whatever depends on another one comes after it.
    density : FlatDensity
    begin : ndarray
        Where to look.
    size : ndarray
        How far a value is moved.

    Returns
    -------
    list of Group
    dict of str to str
        Variables that fit into none, by name, and why.
    """
    every = model.eval_rv_shapes()
    shapes = [every[rv.name] for rv in members]
    sorted_out: dict[tuple[str, int], list[Part]] = {}
    for rv, shape, (label, axis) in zip(members, shapes, _axes(model, members, shapes), strict=True):
        part = Part(rv, shape, axis, density.where[rv])
        # Variables that depend on one another are no group: the lower ones are settled before those above them.
        depth = 1 + max(
            (d for (name, d), parts in sorted_out.items() if name == label and _on(part, parts)), default=-1
        )
        sorted_out.setdefault((label, depth), []).append(part)
    found: list[Group] = []
    left: dict[str, str] = {}
    for (label, _), parts in sorted_out.items():
        together = Group(label, tuple(parts))
        alone = [Group(label, (p,)) for p in parts]
        if _apart(together, density.slope, begin, size):
            found.append(together)
            continue
        for group in alone:
            [part] = group.parts
            whole = Group(part.rv.name, (Part(part.rv, part.shape, None, part.where),))
            if len(alone) > 1 and _apart(group, density.slope, begin, size):
                found.append(group)
            elif whole.n_effects <= LARGEST_MEMBER:
                found.append(whole)
            else:
                left[part.rv.name] = f"its {whole.n_effects} values meet in the likelihood, more than {LARGEST_MEMBER}"
    return _from_below(found), left


def _on(part: Part, others: Sequence[Part]) -> bool:
    """Whether the prior of a part depends on one of the others."""
    from pytensor.graph.traversal import ancestors

    return bool({p.rv for p in others} & set(ancestors(part.rv.owner.inputs)))


def _from_below(groups: Sequence[Group]) -> list[Group]:
    """Groups after all that depend on them, else most members first."""
    left, found = sorted(groups, key=lambda g: -g.n_members), []
    while left:
        free = [g for g in left if not any(_on(p, g.parts) for other in left if other is not g for p in other.parts)]
        if not free:
            # Two groups that depend on each other in different variables: taken apart they do not.
            return _from_below([Group(g.label, (p,)) for g in groups for p in g.parts])
        found.append(free[0])
        left.remove(free[0])
    return found


def _axes(model: Any, members: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[tuple[str, int | None]]:
    """For each variable the name and number of the axis that most variables share; the longest where several do."""
    labels: list[list[str]] = []
    for rv, shape in zip(members, shapes, strict=True):
        dims = model.named_vars_to_dims.get(rv.name) or (None,) * len(shape)
        batch = len(shape) - rv.owner.op.ndim_supp
        labels.append([str(d) if d is not None else f"{n}" for d, n in zip(dims, shape, strict=True)][:batch])
    shared = Counter(label for row in labels for label in set(row))
    chosen: list[tuple[str, int | None]] = []
    for rv, row, shape in zip(members, labels, shapes, strict=True):
        if row:
            axis = max(range(len(row)), key=lambda i: (shared[row[i]], shape[i]))
            chosen.append((row[axis], axis))
        else:
            chosen.append((rv.name, None))
    return chosen


def _apart(group: Group, slope: Callable[[Float], Float], begin: Float, size: Float) -> bool:
    """Whether moving some members leaves the slopes of all others as they were."""
    at = group.positions()
    before = slope(begin)
    code = np.arange(group.n_members)
    for digit in range(int(np.ceil(np.log2(max(group.n_members, 1))))):
        chosen = (code >> digit) % 2 == 1
        x = begin.copy()
        x[at[chosen]] += size[at[chosen]]
        moved = np.abs(slope(x) - before)[at]
        if not moved[~chosen].max(initial=0.0) <= STILL * max(1.0, moved[chosen].max(initial=0.0)):
            return False
    return True
