"""The mean and the scale of a member given all above it, as expressions of the model.

Given the group, the posterior of a member is all but normal. Its scale follows from what the data know and from the
prior's precision, effect by effect; so does its mean, and what correlations and the pull of other variables add to that
is linear in the group values' distance from those of empirical Bayes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.inference.members.curvature import diagonal
from pymc_lan.inference.members.families import moments
from pymc_lan.inference.members.groups import Part
from pymc_lan.inference.members.plug_in import PlugIn

Float = NDArray[np.float64]

# The least precision that data are taken to have, as a share of the prior's.
FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class Driver:
    """Something that moves members' means: values, what they were, and how the means answer to each.

    Parameters
    ----------
    values : TensorVariable, shape (values,) or (members, values)
    at : ndarray of the same shape, or one that broadcasts
    answer : ndarray, shape (members, effects, values)
    """

    values: Any
    at: Float
    answer: Float

    def shift(self, effects: slice) -> Any:
        """What it adds to the means of some effects, shape (members, effects)."""
        import pytensor.tensor as pt

        away, answer = self.values - pt.as_tensor(self.at), pt.as_tensor(self.answer[:, effects])
        return (answer * (away if away.ndim == 1 else away[:, None, :])).sum(axis=-1)


class Conditional:
    """Means and scales of one group in a copy of its model.

    Parameters
    ----------
    plug_in : PlugIn
    rvs : mapping of Part to TensorVariable
        The variables' nodes in the copy, whose inputs are the copy's.
    pulls : mapping
        For each variable that pulls: its values in the copy on the scale on which it does, as a vector, and what they
        were.
    """

    def __init__(self, plug_in: PlugIn, rvs: Mapping[Part, Any], pulls: Mapping[Any, tuple[Any, Float]]) -> None:

        self.plug_in, self._canonical = plug_in, {p: _canonical(p, rvs[p]) for p in plug_in.group.parts}
        root = np.linalg.cholesky(plug_in.posterior)
        # Precisions: of the prior and of the data; then both given the effects before.
        self._q0, q0_given = 1 / diagonal(plug_in.prior), diagonal(np.linalg.cholesky(plug_in.prior)) ** -2
        self._h = np.maximum(1 / diagonal(plug_in.posterior) - self._q0, FLOOR * self._q0)
        self._h_given = np.maximum(diagonal(root) ** -2 - q0_given, FLOOR * q0_given)
        self.mix = root / diagonal(root)[:, None, :]
        self._drivers = _drivers(plug_in, self._canonical, rvs)
        self._drivers += [Driver(x, at, plug_in.pulls[rv]) for rv, (x, at) in pulls.items()]
        self._means: list[Any] = []

    def of(self, part: Part, earlier: Sequence[Any], later: Collection[Any]) -> tuple[Any, Any, Float]:
        """Mean and scale of one variable given those before it, in its own shape, and its triangle of constants.

        Asked for one part after another, in the group's order.

        Parameters
        ----------
        part : Part
        earlier : sequence of TensorVariable
            Those before it, by member, on the scale of their unconstrained values.
        later : collection of TensorVariable
            The variable itself and those after it, which its mean must not depend on.

        Returns
        -------
        mean, scale : TensorVariable
        mix : ndarray, shape (members, effects, effects)
        """
        import pytensor.tensor as pt
        from pytensor.graph.traversal import ancestors

        at = self.plug_in.group.columns(part)
        mean, spread, given = self._canonical[part]
        q, h, q0 = spread**-2, self._h[:, at], self._q0[:, at]
        pull = self.plug_in.mode[:, at] * (h + q0) - q0 * self.plug_in.mean[:, at]
        usable = [d for d in self._drivers if not any(x in later for x in ancestors([d.values]))]
        mean = (pull + mean * q) / (h + q) + (h + q0) / (h + q) * sum(d.shift(at) for d in usable)
        scale = pt.broadcast_to((self._h_given[:, at] + given**-2) ** -0.5, (part.n_members, part.n_effects))
        self._means.append(mean)
        if earlier:
            before = slice(0, at.start)
            away = pt.concatenate(list(earlier), axis=1) - pt.concatenate(self._means[:-1], axis=1)
            mixed, onto = (np.swapaxes(self.mix[:, rows, before], 1, 2) for rows in (before, at))
            mean = mean + Driver(away, np.zeros(1), np.swapaxes(np.linalg.solve(mixed, onto), 1, 2)).shift(slice(None))
        return part.as_shaped(mean), part.as_shaped(scale), self.mix[:, at, at]


def _canonical(part: Part, rv: Any) -> tuple[Any, Any, Any]:
    """Mean, spread and spread given the effects before, (members, effects) or, where all are alike, (1, effects)."""
    import pytensor.tensor as pt

    mean, spread = moments(rv)
    given = spread
    if rv.owner.op.ndim_supp:
        root = pt.linalg.cholesky(spread)
        given = pt.diagonal(root, axis1=-2, axis2=-1)
        spread = pt.sqrt(pt.diagonal(spread, axis1=-2, axis2=-1))
    return _by_member(part, mean), _by_member(part, spread), _by_member(part, given)


def _by_member(part: Part, x: Any) -> Any:
    """A parameter that broadcasts against the part, with one row where it is the same for all members."""
    import pytensor.tensor as pt

    missing = len(part.shape) - x.ndim
    alike = part.axis is not None and (part.axis < missing or x.type.broadcastable[part.axis - missing])
    if alike:
        shape = tuple(1 if i == part.axis else n for i, n in enumerate(part.shape))
        return Part(part.rv, shape, part.axis, part.where).by_member(pt.broadcast_to(x, shape))
    return part.by_member(pt.broadcast_to(x, part.shape))


def _drivers(plug_in: PlugIn, canonical: Mapping[Part, Any], rvs: Mapping[Part, Any]) -> list[Driver]:
    """Group means, spreads and correlations, with what their answers are beyond those of each effect alone."""
    import pytensor.tensor as pt

    group, prior, posterior = plug_in.group, plug_in.prior, plug_in.posterior
    away, sd = plug_in.mode - plug_in.mean, np.sqrt(diagonal(prior))
    precision = np.linalg.inv(prior)
    push = (precision @ away[..., None])[..., 0]
    # d mode / d mean = V P, and d mode = V P dS P (mode - mean) for a change dS of the prior's covariance S = 1 / P.
    by_mean = posterior @ precision
    by_spread = by_mean * away[:, None, :] + posterior * push[:, None, :]
    alone, eye = (diagonal(posterior) / sd**2)[:, :, None], np.eye(group.n_effects)
    beyond_mean, beyond_spread = by_mean - alone * eye, by_spread - 2 * alone * away[:, None, :] * eye
    found = []
    for part in group.parts:
        at, (mean, spread, _) = group.columns(part), canonical[part]
        found.append(_driver(mean, plug_in.mean[:, at], beyond_mean[:, :, at]))
        found.append(_driver(pt.log(spread), np.log(sd[:, at]), beyond_spread[:, :, at]))
        covariance = moments(rvs[part])[1]
        if part.axis is not None and rvs[part].owner.op.ndim_supp and covariance.ndim == 2:
            found.append(_by_correlation(covariance, prior[:, at, at], by_mean[:, :, at], push[:, at]))
    return found


def _by_correlation(covariance: Any, prior: Float, by_mean: Float, push: Float) -> Driver:
    """The answer to the correlations among the effects of one vector."""
    import pytensor.tensor as pt

    a, b = np.tril_indices(prior.shape[-1], -1)
    sd, now = np.sqrt(diagonal(prior)), pt.sqrt(pt.diagonal(covariance))
    answer = by_mean[:, :, a] * push[:, None, b] + by_mean[:, :, b] * push[:, None, a]
    size = sd[:, a] * sd[:, b]
    return Driver(covariance[a, b] / (now[a] * now[b]), (prior[:, a, b] / size)[0], answer * size[:, None, :])


def _driver(values: Any, at: Float, answer: Float) -> Driver:
    return Driver(values[0], at[0], answer) if values.type.broadcastable[0] else Driver(values, at, answer)
