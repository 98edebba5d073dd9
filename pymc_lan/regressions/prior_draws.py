"""What the priors of a regression say of parameters and of trials, in draws."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.regressions.plan import Plan
from pymc_lan.regressions.values import stacked, values

Float = NDArray[np.float64]


class PriorDraws(NamedTuple):
    """Draws of a prior.

    Parameters
    ----------
    parameters : dict of str to ndarray, shape (n,)
        Values of each parameter, of random trials and draws.
    rt, response : ndarray, shape (n,)
        Trials; rt is inf where there is no response, and empty where a model has no times.
    """

    parameters: dict[str, Float]
    rt: Float
    response: Float


def prior_draws(plan: Plan, model: Any, *, draws: int, seed: int) -> PriorDraws:
    """Draw variables from the prior, and parameters and trials from these.

    Parameters
    ----------
    plan : Plan
    model : pm.Model
        That of the plan.
    draws, seed : int
    """
    import pymc as pm

    with model:
        prior = pm.sample_prior_predictive(draws, random_seed=seed)
    names = [rv.name for rv in model.free_RVs]
    parameters = {name: x.ravel() for name, x in values(plan, stacked(prior.prior.dataset, names)).items()}
    trials = stacked(prior.prior_predictive.dataset, ["obs"])["obs"]
    if not plan.spec.times:
        return PriorDraws(parameters, np.empty(0), trials.ravel().astype(float))
    return PriorDraws(parameters, trials[..., 0].ravel(), trials[..., 1].ravel())
