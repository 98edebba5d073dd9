"""What the likelihood says of every member at a point: a covariance each, and answers to what lies above.

Everything comes from differences of the gradient. Groups are taken from the one with the most members up; each is
integrated out (a Schur complement) before the next, so that a class knows what its pupils leave to it, and items know
what subjects leave to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.inference.members.density import FlatDensity
from pymc_lan.inference.members.groups import Group
from pymc_lan.inference.members.prior import Prior
from pymc_lan.inference.posterior import compiled

Float = NDArray[np.float64]
Indices = NDArray[np.intp]

# A difference of slopes spans this many standard deviations of the value that is moved.
SPAN = 0.05
# The least that data are taken to know of a direction, in units of the prior's precision.
FLOOR = 1e-3
# The most, in the same units: where members fit their trials without an error, a residual spread that is estimated has
# its mode at 0, and Hessians there know no end. From here on members are all but centred, whatever the figure is.
CEILING = 1e6
# Values whose pull on the members is found, one by one.
MOST_PULLS = 256
# Standard deviation of a value of which nothing is known yet.
FIRST_SIZE = 0.1


def diagonal(x: Any) -> Any:
    """Of the last two axes."""
    return np.diagonal(x, axis1=-2, axis2=-1)


def posterior_covariance(hessian: Float, prior: Float) -> Float:
    """Inverse of a Hessian with the prior's in it; where data know nothing of a direction, the prior's own."""
    root = np.linalg.cholesky(prior)
    known, directions = np.linalg.eigh(np.swapaxes(root, -1, -2) @ hessian @ root - np.eye(prior.shape[-1]))
    spread = root @ directions / np.sqrt(1 + np.clip(np.nan_to_num(known), FLOOR, CEILING))[..., None, :]
    return spread @ np.swapaxes(spread, -1, -2)


def as_natural(model: Any, rv: Any, x: Any) -> Any:
    """A value of a variable on the scale on which it pulls: its logarithm where it is positive."""
    import pytensor.tensor as pt

    transform = model.rvs_to_transforms[rv]
    return pt.log(x) if transform is not None and transform.name == "log" else x


def natural(model: Any, rv: Any) -> Any:
    """A variable on the scale on which it pulls; None for one whose unconstrained values do not match it one by one."""
    transform = model.rvs_to_transforms[rv]
    return as_natural(model, rv, rv) if transform is None or transform.ndim_supp == 0 else None


class Curvature:
    """Differences of a model's gradient, sorted by members.

    Parameters
    ----------
    density : FlatDensity
    prior : Prior
    groups : sequence of Group
        Most members first.
    seen : sequence of TensorVariable
        What the likelihood sees beside members.
    """

    def __init__(self, density: FlatDensity, prior: Prior, groups: Sequence[Group], seen: Sequence[Any]) -> None:
        self._density, self._prior, self._groups, self._seen = density, prior, groups, seen
        where = density.where
        self.sizes = {rv: np.full(where[rv].stop - where[rv].start, FIRST_SIZE) for rv in seen}
        self._spreads: dict[Group, Float] = {}
        self._pullers: list[Any] = []
        room = MOST_PULLS
        for rvs in [[rv] for rv in seen] + [[p.rv for p in g.parts] for g in groups[1:]]:
            n = sum(where[rv].stop - where[rv].start for rv in rvs)
            if n <= room:
                self._pullers, room = [*self._pullers, *rvs], room - n
        self._above = density.places(self._pullers)
        # The way back: the number of a value among those that pull.
        self._number = np.full(len(density.begin), -1)
        self._number[self._above] = np.arange(len(self._above))
        model = density.model
        scales = [natural(model, rv) for rv in self._pullers]
        self._scaled = [rv for rv, x in zip(self._pullers, scales, strict=True) if x is not None]
        self._natural = compiled(model, model.replace_rvs_by_values([x for x in scales if x is not None]))

    def at(self, x: Float) -> tuple[dict[Group, Float], dict[Group, dict[Any, Float]]]:
        """Covariances of the members given all above them, and how their modes answer to that, by variable."""
        priors = self._prior.at(x)
        self._spreads = {g: self._spreads.get(g, np.sqrt(diagonal(priors[g][1])) / 4) for g in self._groups}
        hessian, by_prior, slopes = self._columns(x, priors)
        above, left = hessian[self._above], np.arange(len(self._above))
        covariances: dict[Group, Float] = {}
        pulls: dict[Group, dict[Any, Float]] = {}
        for group in self._groups:
            at, prior = group.positions(), priors[group][1]
            inside = np.isin(self._above[left], at)
            mine, rest = left[inside], left[~inside]
            if len(mine):
                order = self._number[at]
                block, cross = above[order[:, :, None], order[:, None, :]], above[order][:, :, rest]
            else:
                block, cross = self._blocks(x, at, self._spreads[group]), hessian[at][:, :, rest]
            covariance = covariances[group] = posterior_covariance(block, prior)
            self._spreads[group] = np.sqrt(diagonal(covariance))
            answers = -covariance @ (cross - by_prior[group][:, :, rest])
            pulls[group] = self._by_variable(answers, rest, slopes)
            if len(mine):
                across = above[np.ix_(mine, rest)]
                above[np.ix_(rest, rest)] -= across.T @ _inverse(above[np.ix_(mine, mine)]) @ across
            else:
                above[np.ix_(rest, rest)] -= np.einsum("skg,skl,slh->gh", cross, covariance, cross)
            left = rest
        for rv in self._seen:
            if rv in self._pullers:
                held = self._places(rv)
                self.sizes[rv] = np.clip(
                    np.maximum(above[held, held], 1e-6) ** -0.5, 0.1 * self.sizes[rv], 10 * self.sizes[rv]
                )
        return covariances, pulls

    def _places(self, rv: Any) -> Indices:
        """Of a variable's values among those that pull."""
        return self._number[self._density.where[rv]]

    def _size(self) -> Float:
        """How far each value that pulls is moved."""
        size = np.zeros(len(self._density.begin))
        for rv, x in self.sizes.items():
            size[self._density.where[rv]] = x
        for group, x in self._spreads.items():
            size[group.positions()] = x
        return SPAN * size[self._above]

    def _columns(self, x: Float, priors: dict[Group, tuple[Float, Float]]) -> tuple[Float, dict[Group, Float], Float]:
        """By each value that pulls: second derivatives, those of the members' prior alone, and those of the scale."""
        slope = self._density.slope(x)
        scale = self._scale(x)
        weighed = {g: self._weighed(x, g, *priors[g]) for g in self._groups}
        hessian = np.zeros((len(x), len(self._above)))
        by_prior = {g: np.zeros((*weighed[g].shape, len(self._above))) for g in self._groups}
        slopes = np.zeros(len(self._above))
        for i, (at, size) in enumerate(zip(self._above, self._size(), strict=True)):
            moved = x.copy()
            moved[at] += size
            hessian[:, i] = (slope - self._density.slope(moved)) / size
            there = self._prior.at(moved)
            for group in self._groups:
                by_prior[group][:, :, i] = (self._weighed(moved, group, *there[group]) - weighed[group]) / size
            slopes[i] = (self._scale(moved)[i] - scale[i]) / size
        return hessian, by_prior, slopes

    def _scale(self, x: Float) -> Float:
        """The values that pull, on the scale on which they do; those without one are not numbers."""
        found = np.full(len(self._above), np.nan)
        for rv, value in zip(self._scaled, self._natural(*self._density.split(x)), strict=True):
            found[self._places(rv)] = np.ravel(value)
        return found

    @staticmethod
    def _weighed(x: Float, group: Group, mean: Float, prior: Float) -> Float:
        """The slope of minus the members' prior."""
        found: Float = np.linalg.solve(prior, (x[group.positions()] - mean)[..., None])[..., 0]
        return found

    def _by_variable(self, answers: Float, rest: Indices, slopes: Float) -> dict[Any, Float]:
        found = {}
        for rv in self._scaled:
            places = self._places(rv)
            if np.isin(places, rest).all():
                found[rv] = answers[:, :, np.searchsorted(rest, places)] / slopes[places]
        return {rv: x for rv, x in found.items() if np.isfinite(x).all() and np.abs(x).max(initial=0.0) > 0}

    def _blocks(self, x: Float, at: Indices, spread: Float) -> Float:
        """Blocks of the Hessian, from differences that move one effect of all members at once."""
        found = np.zeros((*at.shape, at.shape[1]))
        for j in range(at.shape[1]):
            step = np.zeros_like(x)
            step[at[:, j]] = SPAN * spread[:, j]
            moved = self._density.slope(x - step) - self._density.slope(x + step)
            found[:, :, j] = moved[at] / (2 * SPAN * spread[:, j, None])
        return (found + found.transpose(0, 2, 1)) / 2


def _inverse(matrix: Float) -> Float:
    """Of a symmetric matrix, as if it were positive definite."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors / np.maximum(values, FLOOR * values.max())) @ vectors.T
