"""The conditional posterior of a group's members, in a copy of their model.

The likelihood of a member is taken for a normal one, whose mean moves with whatever else the likelihood has in it; then
the posterior of a member given all above it is normal, whatever the group's values are (`pymc_lan.numerics.members`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.inference.members.families import moments
from pymc_lan.inference.members.groups import Part
from pymc_lan.inference.members.plug_in import PlugIn
from pymc_lan.ops.members import Conditional

Float = NDArray[np.float64]


def conditional(plug_in: PlugIn, rvs: Mapping[Part, Any], pulls: Mapping[Any, tuple[Any, Float]]) -> tuple[Any, Any]:
    """Members of a group given all above them, in a copy of their model.

    Parameters
    ----------
    plug_in : PlugIn
    rvs : mapping of Part to TensorVariable
        The variables' nodes in the copy, whose inputs are the copy's.
    pulls : mapping
        For each variable that pulls: its values in the copy on the scale on which it does, as a vector, and what they
        were.

    Returns
    -------
    tuple of TensorVariable
        Factor of the precision and mean, as of `pymc_lan.ops.members.Conditional`.
    """
    import pytensor.tensor as pt

    group = plug_in.group
    means, precisions, full = [], [], pt.zeros((group.n_effects, group.n_effects))
    for part in group.parts:
        mean, spread = moments(rvs[part])
        precision = _precision(part, rvs[part], spread)
        if precision is None:
            at = group.columns(part)
            precision, full = pt.zeros((1, part.n_effects)), full[at, at].set(pt.linalg.inv(spread))
        means.append(_by_member(part, mean))
        precisions.append(precision)
    away = [x - pt.as_tensor(was) for x, was in pulls.values()]
    found = np.linalg.inv(plug_in.posterior)
    before = np.linalg.inv(plug_in.prior)
    hessian = (found - before + np.swapaxes(found - before, 1, 2)) / 2
    mode = plug_in.mode[..., None]
    pull = hessian @ mode + before @ (mode - plug_in.mean[..., None])
    answers = [plug_in.pulls[rv] for rv in pulls]
    answer = found @ np.concatenate([np.zeros((*plug_in.mode.shape, 0)), *answers], axis=2)
    above = _joined(means), _joined(precisions), full, pt.concatenate(away) if away else pt.zeros(0)
    u, m = Conditional().make_node(*above, hessian, pull[..., 0], answer).outputs
    return u, m


def _precision(part: Part, rv: Any, spread: Any) -> Any:
    """Of each effect; None where all members share a matrix."""
    import pytensor.tensor as pt

    if not rv.owner.op.ndim_supp:
        return _by_member(part, spread) ** -2
    if spread.ndim == 2 and part.n_effects == part.shape[-1]:
        return None
    # Members with a matrix each, which the scale that they are sampled on need not know.
    return 1 / _by_member(part, pt.diagonal(spread, axis1=-2, axis2=-1))


def _by_member(part: Part, x: Any) -> Any:
    """A parameter that broadcasts against the part, with one row where it is the same for all members."""
    import pytensor.tensor as pt

    missing = len(part.shape) - x.ndim
    alike = part.axis is not None and (part.axis < missing or x.type.broadcastable[part.axis - missing])
    if alike:
        shape = tuple(1 if i == part.axis else n for i, n in enumerate(part.shape))
        return Part(part.rv, shape, part.axis, part.where).by_member(pt.broadcast_to(x, shape))
    return part.by_member(pt.broadcast_to(x, part.shape))


def _joined(parts: Sequence[Any]) -> Any:
    """Variables of one row, or of a row a member, side by side."""
    import pytensor.tensor as pt

    tall = [x for x in parts if not x.type.broadcastable[0]]
    rows = [x if not tall or not x.type.broadcastable[0] else x + pt.zeros((tall[0].shape[0], 1)) for x in parts]
    return rows[0] if len(rows) == 1 else pt.concatenate(rows, axis=1)
