"""What the priors of a regression say of parameters and of trials, in draws."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.regressions.draws import read_draws
from pymc_lan.regressions.parameters import designs, deviations, parameters
from pymc_lan.regressions.plan import Plan
from pymc_lan.regressions.priors import Prior

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
    found = read_draws(plan, prior, group="prior")
    every = parameters(plan, designs(plan), found, deviations(plan, found, {}))
    varying = {name: x.ravel() for name, x in every.items() if isinstance(plan.others.get(name), Prior | None)}
    trials = prior.prior_predictive["obs"].to_numpy()
    if not plan.spec.times:
        return PriorDraws(varying, np.empty(0), trials.ravel().astype(float))
    return PriorDraws(varying, trials[..., 0].ravel(), trials[..., 1].ravel())
