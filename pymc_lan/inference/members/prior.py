"""The members' prior at a point: means and covariances, by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.inference.members.density import FlatDensity
from pymc_lan.inference.members.families import moments
from pymc_lan.inference.members.groups import Group, Part
from pymc_lan.inference.posterior import compiled

Float = NDArray[np.float64]


class Prior:
    """Means and covariances of the members' prior at a point, by group.

    Parameters
    ----------
    density : FlatDensity
    groups : sequence of Group
    """

    def __init__(self, density: FlatDensity, groups: Sequence[Group]) -> None:
        import pytensor.tensor as pt

        self._density, self._groups = density, groups
        wanted: list[Any] = []
        for part in [p for g in groups for p in g.parts]:
            mean, spread = moments(part.rv)
            k = part.shape[len(part.shape) - part.rv.owner.op.ndim_supp :]
            wanted += [pt.broadcast_to(mean, part.shape), pt.broadcast_to(spread, (*part.shape, *k))]
        self._function = compiled(density.model, density.model.replace_rvs_by_values(wanted))

    def at(self, x: Float) -> dict[Group, tuple[Float, Float]]:
        """For each group mean (members, effects) and covariance (members, effects, effects)."""
        values, found = iter(self._function(*self._density.split(x))), {}
        for group in self._groups:
            mean = np.zeros((group.n_members, group.n_effects))
            covariance = np.zeros((*mean.shape, group.n_effects))
            for part in group.parts:
                at = group.columns(part)
                mean[:, at] = part.by_member(next(values))
                covariance[:, at, at] = _covariance(part, next(values))
            found[group] = mean, covariance
        return found


def _covariance(part: Part, spread: Float) -> Float:
    """Of one member's effects, from standard deviations or from covariances of the vectors among them."""
    n, k = part.n_members, part.n_effects
    found = np.zeros((n, k, k))
    if not part.rv.owner.op.ndim_supp:
        found[:, range(k), range(k)] = part.by_member(spread) ** 2
        return found
    size = spread.shape[-1]
    blocks = spread if part.axis is None else np.moveaxis(spread, part.axis, 0)
    blocks = blocks.reshape(n, -1, size, size)
    for i in range(blocks.shape[1]):
        rows = slice(i * size, (i + 1) * size)
        found[:, rows, rows] = blocks[:, i]
    return found
