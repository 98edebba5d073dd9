"""A copy of a model with its members on their new scale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pymc_lan.inference.members.by_row import by_row
from pymc_lan.inference.members.conditional import conditional
from pymc_lan.inference.members.curvature import as_natural, natural
from pymc_lan.inference.members.density import FlatDensity
from pymc_lan.inference.members.plug_in import Found, PlugIn
from pymc_lan.inference.members.transform import Informed, informed_variable
from pymc_lan.inference.posterior import compiled


def with_members(density: FlatDensity, found: Found) -> Any:
    """A copy of the model in which members have their informed transforms and covariances of effects are taken by row.

    Parameters
    ----------
    density : FlatDensity
        The model.
    found : Found

    Returns
    -------
    pm.Model
    """
    from pymc.model.fgraph import fgraph_from_model, model_from_fgraph

    model = density.model
    with _without_initvals(model) as initvals:
        graph, memo = fgraph_from_model(model)
    replacements = [pair for plug_in in found.plug_ins for pair in _members(density, found, plug_in, memo)]
    replacements += by_row(model, memo)
    # What refers to others goes first: those are replaced in it as well, when their turn comes.
    for old, new in replacements:
        graph.replace(old, new, import_missing=True)
    copy = model_from_fgraph(graph, mutate_fgraph=True)
    members = {p.rv for plug_in in found.plug_ins for p in plug_in.group.parts}
    for rv, value in initvals.items():
        if rv not in members and value is not None:
            copy.set_initval(copy[rv.name], value)
    return copy


@contextmanager
def _without_initvals(model: Any) -> Iterator[dict[Any, Any]]:
    """PyMC copies no model whose variables have initial values of their own; these are given back at the end."""
    kept = dict(model.rvs_to_initial_values)
    try:
        for rv in kept:
            model.rvs_to_initial_values[rv] = None
        yield kept
    finally:
        model.rvs_to_initial_values.update(kept)


def _members(density: FlatDensity, found: Found, plug_in: PlugIn, memo: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """The variables of one group in the copy and what they are replaced by, the last of the group first."""
    import pytensor.tensor as pt
    from pymc.model.fgraph import model_free_rv
    from pytensor.graph.traversal import ancestors

    model, group = density.model, plug_in.group
    at = density.split(found.point)
    below = {memo[p.rv] for x in found.plug_ins[: found.plug_ins.index(plug_in) + 1] for p in x.group.parts}
    pulling = [rv for rv in plug_in.pulls if not below & set(ancestors([memo[rv]]))]
    were = compiled(model, model.replace_rvs_by_values([natural(model, rv) for rv in pulling]))(*at)
    pulls = {
        rv: (as_natural(model, rv, memo[rv]).ravel(), np.ravel(was)) for rv, was in zip(pulling, were, strict=True)
    }
    given = conditional(plug_in, {p: memo[p.rv].owner.inputs[0] for p in group.parts}, pulls)
    earlier = pt.zeros((group.n_members, 0))
    pairs: list[tuple[Any, Any]] = []
    for part in group.parts:
        model_variable, link = memo[part.rv], model.rvs_to_transforms[part.rv]
        rv, op = model_variable.owner.inputs[0], model_variable.owner.op
        theta, start = model_variable, part.as_shaped(plug_in.mode[:, group.columns(part)])
        if link is not None:
            theta, start = link.forward(theta, *rv.owner.inputs), link.backward(start, *rv.owner.inputs).eval()
        transform = Informed(part, group.columns(part).start, link)
        value = rv.type(name=f"{part.rv.name}_{transform.name}__")
        new = informed_variable(rv, [earlier, *given], np.asarray(start))
        pairs.append((model_variable, model_free_rv(new, value, transform, op.name, *op.dims)))
        mine = part.by_member(theta)
        earlier = pt.concatenate([earlier, mine], axis=1) if pairs[1:] else mine
    return pairs[::-1]
