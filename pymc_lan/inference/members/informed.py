"""`informed`: a copy of a hierarchical model that samples like independent normals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.inference.members.by_row import DONE, factors
from pymc_lan.inference.members.density import FAR, FlatDensity
from pymc_lan.inference.members.families import why_not
from pymc_lan.inference.members.groups import find_groups
from pymc_lan.inference.members.plug_in import Search
from pymc_lan.inference.members.rewrite import with_members
from pymc_lan.inference.members.table import ATTRIBUTE, attach
from pymc_lan.inference.posterior import not_finite, resolve_model

Float = NDArray[np.float64]

# Members are moved by about this much to see whether others notice.
NUDGE = (0.02, 0.1)


def informed(model: Any = None, *, seed: int = 0) -> Any:
    """Copy a hierarchical model with its members on a scale on which they are close to standard normal.

    A member of a group, theta ~ Normal(mean, sd), mixes well when it is sampled directly ("centred") where the data say
    much about it, as an offset ("non-centred") where they say little; real data have both in one model. Here every
    member is sampled as x with theta = m + s x, where m and s are mean and standard deviation of theta given its group
    and its data, as functions of the group's values. The likelihood enters them as a normal, found by empirical Bayes;
    that chooses coordinates only: the posterior is the model's own whatever was found, and a poor guess costs speed.

    Parameters
    ----------
    model : pm.Model, optional
        By default that of the context. Any likelihood: this package's distributions, PyMC's own, potentials. Its
        members are the free variables that are `Normal`, `MvNormal`, `LogNormal`, `StudentT`, `Laplace` or `Logistic`
        and in whose mean or spread there is another free variable. Write them centred.
    seed : int
        Of the small moves by which it is found whose effects belong together.

    Returns
    -------
    pm.Model
        A new model with the same variables, names, dimensions and data; the given one stays as it is. Sample it with
        any sampler. `pm.set_data`, `pm.do`, predictions from prior and posterior work as before. `informed_table` says
        what was done.

    Raises
    ------
    ValueError
        If no variable is a member of a group; a free variable is discrete; the log density is not finite at the model's
        initial point; or the model was returned by this function.

    Notes
    -----
    Values along a dimension that variables share ("subject") are the effects of one member where the likelihood falls
    apart along it, which is tested; they are then whitened together, given the group. The mean answers to the group's
    means, spreads and correlations, and to whatever else the likelihood has in it (an effect that all share, a lapse
    rate, the other one of two crossed groups), as far as these are at most 256 values. Nested and crossed groups are
    taken one after another, from the one with the most members up.

    Covariances by `pymc.LKJCholeskyCov` are sampled by the rows of their factor: the logarithm of a row's length, which
    is a standard deviation, and its direction. PyMC samples the values beside the diagonal as they are; where a
    standard deviation may be near 0 these shrink with it, and chains stick.

    With few changes from Papaspiliopoulos, Roberts & Skoeld (2007, Statistical Science 22, 59-73), whose partial
    centring is the case of one effect.

    Data that change their number of members (`pm.set_data` with new subjects) belong to the model that was given.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> subject = np.repeat(np.arange(5), 20)
    >>> df = pl.simulate("ddm", dict(v=np.linspace(0, 2, 5)[subject], a=1.0, z=0.5, t=0.3), seed=1)
    >>> with pm.Model(coords={"subject": range(5)}) as model:
    ...     mean, sd = pm.Normal("v_mean", 0, 2), pm.HalfNormal("v_sd", 1)
    ...     v = pm.Normal("v", mean, sd, dims="subject")
    ...     obs = pl.DDM("obs", v[subject], 1.0, 0.5, 0.3, observed=df)
    >>> new = pl.informed(model)
    >>> sorted(rv.name for rv in new.free_RVs)
    ['v', 'v_mean', 'v_sd']
    >>> new.rvs_to_values[new["v"]].name
    'v_informed__'
    """
    model = resolve_model(model)
    if hasattr(model, ATTRIBUTE):
        expected, remedy = "a model as it was written", "call pl.informed on the original"
        raise ValueError(explain(expected, "one that pl.informed returned", remedy))
    kept = {rv.name: why_not(model, rv) for rv in model.free_RVs}
    density = FlatDensity(model)
    kept |= {rv.name: "it has no values" for rv, at in density.where.items() if at.start == at.stop}
    members = [rv for rv in model.free_RVs if not kept[rv.name]]
    begin = _begin(density)
    groups, left = find_groups(model, members, density, begin, np.random.default_rng(seed).uniform(*NUDGE, len(begin)))
    kept = {name: why for name, why in (kept | left).items() if why}
    if not groups:
        found = "; ".join(f"{name}: {why}" for name, why in kept.items())
        remedy = "write members as pm.Normal(name, group_mean, group_sd, dims=...), without offsets"
        raise ValueError(explain("members that are normal around a group", found, remedy))
    result = Search(density, groups).run(begin)
    copy = with_members(density, result)
    names = {rv.name for rv in model.free_RVs} - {p.rv.name for x in result.plug_ins for p in x.group.parts}
    start = {name: x for name, x in density.on_own_scale(result.point).items() if name in names}
    others = {name: f"kept: {why}" for name, why in kept.items()} | {rv.name: DONE for rv in factors(model)}
    attach(copy, model, result.plug_ins, others, start)
    return copy


def _begin(density: FlatDensity) -> Float:
    """A point with a finite log density and slope."""
    x = density.begin
    if density.value_and_slope(x)[0] > -FAR:
        return x
    found = not_finite(density.model, density.point(x)) or "a slope"
    remedy = "give variables an initval at which the data are possible, for instance those of pl.initvals"
    raise ValueError(explain("a finite log density at the model's initial point", f"none of {found}", remedy))
