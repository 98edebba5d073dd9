"""From a model to draws: where chains start, and what is said of them in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pymc_lan.data.messages import say
from pymc_lan.diagnostics.convergence import convergence
from pymc_lan.inference.members.informed import informed
from pymc_lan.inference.members.table import found_at
from pymc_lan.inference.start import initvals, speaks_of_diffusion
from pymc_lan.regressions.plan import Plan

# Chains of a regression start where the trials are, on scales that suit its members: neither is left to the user.
ADVICE = (
    "Draw longer (tune=, draws=). If they stay apart, the posterior has several modes, or effects that these data "
    "cannot tell apart: compare the chains' values of this one, and simplify its formula or say more in its prior."
)


def sample(plan: Plan, model: Any, arguments: Mapping[str, Any]) -> Any:
    """Draw with `pm.sample`, members as `pymc_lan.informed` draws them, and say in words whether the chains have met.

    Parameters
    ----------
    plan : Plan
    model : pm.Model
        That of the plan; it stays as it is.
    arguments : mapping of str to object
        Of `pm.sample`.
    """
    import pymc as pm

    prepared, start = prepare(plan, model)
    with prepared:
        idata = pm.sample(**({"initvals": start} | dict(arguments)))
    if "posterior" in getattr(idata, "children", ()):
        say(judgement(plan, prepared, idata))
    return idata


def prepare(plan: Plan, model: Any) -> tuple[Any, dict[str, Any] | None]:
    """What is sampled, and where: members on the scale that suits them, and the group where they are.

    Parameters
    ----------
    plan : Plan
    model : pm.Model
        That of the plan; it stays as it is.

    Returns
    -------
    model : pm.Model
    initvals : dict or None
    """
    from pymc.model.fgraph import clone_model

    first = starts(plan, model)
    if not plan.members:
        return model, first
    begun = clone_model(model)
    for name, value in (first or {}).items():
        begun.set_initval(begun[name], value)
    ready = informed(begun)
    return ready, found_at(ready)


def judgement(plan: Plan, model: Any, idata: Any) -> str:
    """Whether chains have met and parameters are where the network knows them, in sentences."""
    found = replace(convergence(idata, model), advice=ADVICE)
    (apart, r_hat), (fewest, ess) = found.worst_r_hat, found.fewest
    words = found.complaints or [
        f"R-hat is at most {r_hat:.3f} ({apart}), there are at least {ess:.0f} effective draws ({fewest}), and "
        f"{found.diverging.sum()} of {found.diverging.size} draws diverged."
    ]
    outside = {}
    for name in (name for name in plan.others if name in idata.posterior and name in plan.spec.names):
        (low, high), x = plan.spec.parameter(name).bounds, idata.posterior[name].to_numpy()
        outside[name] = float(np.mean((x < low) | (x > high)))
    words += [f"{100 * x:.2g} % of the draws of {name} are outside its bounds." for name, x in outside.items() if x > 0]
    if not any(outside.values()):
        words.append("No draw is outside the bounds of the model.")
    return " ".join(words)


def starts(plan: Plan, model: Any) -> dict[str, Any] | None:
    """Where a diffusion starts by the trials of each subject; None for other models."""
    if not ({"v", "a", "t"} <= {*plan.spec.names} and speaks_of_diffusion(plan.spec) and plan.spec.times):
        return None
    alone = (m.grouping.columns[0] for m in plan.members.values() if len(m.grouping.columns) == 1)
    found: dict[str, Any] = initvals(model, plan.description.table, by=next(alone, None))
    return found
