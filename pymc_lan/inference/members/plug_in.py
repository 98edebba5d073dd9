"""Empirical Bayes: where each member is, what the data know of it, and how its mean answers to everything above it.

Rounds of two steps. First the joint mode of all members and of what the likelihood sees beside them, given the group
values; at it each member's block of the Hessian, from differences of the gradient that move one effect of all members
at once, and with it the covariance V of the member. Then the group values, at the mode of their prior times the
expected density of the members (Laplace's approximation in the place of the E step of EM; Dempster, Laird & Rubin 1977,
Journal of the Royal Statistical Society B 39, 1-38). Modes under a weak prior would misplace effects that saturate.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.inference.members.curvature import Curvature, diagonal
from pymc_lan.inference.members.density import FAR, FlatDensity, finite
from pymc_lan.inference.members.families import moments
from pymc_lan.inference.members.groups import Group, Part
from pymc_lan.inference.members.prior import Prior
from pymc_lan.inference.posterior import compiled

Float = NDArray[np.float64]

logger = logging.getLogger("pymc.informed")

ROUNDS = 6
# The group values have settled when none moves by more than this share of its members' spread.
SETTLED = 0.05
# Steps of a climb. The first starts far off and knows little of the shape of what it climbs.
FIRST_STEPS, STEPS = 150, 40
# A climb ends where no slope, in standard deviations of the values, is steeper; the last one is to come nearer.
NEAR, NEARER = 0.1, 0.02
# Seconds after which a line is logged at every round.
PATIENCE = 5.0


@dataclass(frozen=True, eq=False)
class PlugIn:
    """What is known of the members of one group.

    Parameters
    ----------
    group : Group
    mean, mode : ndarray, shape (members, effects)
        Of the prior at the group values found, and of the posterior given them.
    prior, posterior : ndarray, shape (members, effects, effects)
        Covariances of a member before and after its data, given the group.
    pulls : dict of TensorVariable to ndarray, shape (members, effects, values)
        How the mode answers to other variables that the likelihood sees, on their own scale or,
        where they are positive, to their logarithm.
    """

    group: Group
    mean: Float
    mode: Float
    prior: Float
    posterior: Float
    pulls: dict[Any, Float]

    def known(self) -> Float:
        """Share of what is known of each effect that comes from its data: h sd^2 / (1 + h sd^2)."""
        ratio = diagonal(self.posterior) / diagonal(self.prior)
        return np.clip(1 - ratio, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Found:
    """The plug-ins of all groups, and the point of all unconstrained values that they belong to."""

    plug_ins: tuple[PlugIn, ...]
    point: Float


class Search:
    """The rounds, on one model.

    Parameters
    ----------
    density : FlatDensity
    groups : sequence of Group
        Most members first: a group's own effects are settled before those that pull on them.
    """

    def __init__(self, density: FlatDensity, groups: Sequence[Group]) -> None:
        self.density, self.groups = density, list(groups)
        model = density.model
        members = {p.rv for g in self.groups for p in g.parts}
        self.prior = Prior(density, self.groups)
        self.seen = [rv for rv in _seen(model) if rv not in members]
        upper = [rv for rv in model.free_RVs if rv not in members and rv not in self.seen]
        held = _above(self.seen)
        self.above = [rv for rv in upper if rv not in held]
        self._curvature = Curvature(density, self.prior, self.groups, self.seen)
        self._expected = _Expected(density, self.groups, self.above)

    def run(self, x: Float) -> Found:
        """All rounds from a point on."""
        start, steps = time.monotonic(), FIRST_STEPS
        x, covariances = x.copy(), {g: prior for g, (_, prior) in self.prior.at(x).items()}
        for number in range(ROUNDS):
            x = self._climb(x, covariances, steps, NEAR)
            covariances = self._curvature.at(x)[0]
            x, moved = self._raise(x, covariances)
            if (spent := time.monotonic() - start) > PATIENCE:
                logger.info("informed: round %d, group values moved by %.2f spreads, %.0f s", number + 1, moved, spent)
            if moved < SETTLED:
                break
            steps = STEPS
        x = self._climb(x, covariances, STEPS, NEARER)
        covariances, pulls = self._curvature.at(x)
        priors = self.prior.at(x)
        found = [PlugIn(g, priors[g][0], x[g.positions()], priors[g][1], covariances[g], pulls[g]) for g in self.groups]
        return Found(tuple(found), x)

    def _climb(self, x: Float, covariances: dict[Group, Float], steps: int, near: float) -> Float:
        """The joint mode of members and what the likelihood sees beside them, by L-BFGS on whitened values."""
        from scipy.optimize import minimize

        blocks = [(g.positions(), np.linalg.cholesky(covariances[g])) for g in self.groups]
        seen = self.density.places(self.seen)
        size = np.concatenate([np.zeros(0), *(self._curvature.sizes[rv] for rv in self.seen)])

        def point(y: Float) -> Float:
            moved, first = x.copy(), 0
            for at, root in blocks:
                rows = y[first : first + at.size].reshape(at.shape)
                moved[at] += np.einsum("skl,sl->sk", root, rows)
                first += at.size
            moved[seen] += size * y[first:]
            return moved

        def cost(y: Float) -> tuple[float, Float]:
            value, slope = self.density.value_and_slope(point(y))
            rows = [np.einsum("skl,sk->sl", root, slope[at]).ravel() for at, root in blocks]
            return -value, -np.concatenate([*rows, size * slope[seen]])

        begin = np.zeros(sum(at.size for at, _ in blocks) + seen.size)
        options = {"maxiter": steps, "maxcor": 20, "gtol": near}
        return point(minimize(cost, begin, jac=True, method="L-BFGS-B", options=options).x)

    def _raise(self, x: Float, covariances: dict[Group, Float]) -> tuple[Float, float]:
        """The group values, and how far they moved in spreads of the members."""
        if not self.above:
            return x, 0.0
        before = self.prior.at(x)
        x = self._expected.best(x, covariances)
        moved = 0.0
        for group, (mean, prior) in self.prior.at(x).items():
            old_mean, old = before[group]
            spread, old_spread = np.sqrt(diagonal(prior)), np.sqrt(diagonal(old))
            moved = max(moved, np.abs((mean - old_mean) / spread).max(), np.abs(np.log(spread / old_spread)).max())
        return x, float(moved)


class _Expected:
    """The density of the group values with the members' own density expected over where the members may be."""

    def __init__(self, density: FlatDensity, groups: Sequence[Group], above: Sequence[Any]) -> None:
        import pytensor
        import pytensor.tensor as pt

        self._density, self._groups = density, groups
        self._free = density.places(above)
        if not above:
            return
        model, parts = density.model, [p for g in groups for p in g.parts]
        cost: Any = -model.logp(vars=[*above, *(p.rv for p in parts)])
        inputs: list[Any] = []
        for part in parts:
            _, spread = moments(part.rv)
            k = part.shape[len(part.shape) - part.rv.owner.op.ndim_supp :]
            covariance = pt.tensor(dtype="float64", shape=(*part.shape, *k))
            weighed: Any = (pt.linalg.inv(spread) * covariance) if k else covariance / spread**2
            cost = cost + model.replace_rvs_by_values([weighed.sum() / 2])[0]
            inputs.append(covariance)
        gradients: Any = pytensor.grad(cost, [model.rvs_to_values[rv] for rv in above], disconnected_inputs="ignore")
        self._function = compiled(model, [cost, *gradients], inputs)

    def best(self, x: Float, covariances: dict[Group, Float]) -> Float:
        """The point with the group values at their mode."""
        from scipy.optimize import minimize

        given = [_of_part(covariances[g], g, p) for g in self._groups for p in g.parts]

        def point(y: Float) -> Float:
            moved = x.copy()
            moved[self._free] = y
            return moved

        def cost(y: Float) -> tuple[float, Float]:
            return finite(self._function, [*self._density.split(point(y)), *given]) or (FAR, np.zeros_like(y))

        return point(minimize(cost, x[self._free], jac=True, method="L-BFGS-B", options={"maxiter": FIRST_STEPS}).x)


def _of_part(covariance: Float, group: Group, part: Part) -> Float:
    """The variances of a part's values, or the covariances of the vectors among them, in the part's own shape."""
    columns = group.columns(part)
    mine = covariance[:, columns, columns]
    if not part.rv.owner.op.ndim_supp:
        shaped: Float = part.as_shaped(diagonal(mine))
        return shaped
    size, n = part.shape[-1], part.n_effects // part.shape[-1]
    blocks = np.stack([mine[:, i * size : (i + 1) * size, i * size : (i + 1) * size] for i in range(n)], axis=1)
    others = [length for i, length in enumerate(part.shape[:-1]) if i != part.axis]
    if part.axis is None:
        return blocks.reshape(*part.shape, size)
    return np.moveaxis(blocks.reshape(part.n_members, *others, size, size), 0, part.axis)


def _seen(model: Any) -> list[Any]:
    """Free variables that the likelihood, or a potential, has in it directly."""
    from pytensor.graph.traversal import ancestors

    free = model.free_RVs
    found = set(
        ancestors([*(x for rv in model.observed_RVs for x in rv.owner.inputs), *model.potentials], blockers=free)
    )
    return [rv for rv in free if rv in found]


def _above(rvs: Sequence[Any]) -> set[Any]:
    """Whatever the priors of some variables depend on."""
    from pytensor.graph.traversal import ancestors

    return {x for rv in rvs for x in ancestors(rv.owner.inputs)}
