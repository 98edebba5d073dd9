"""Draws of the normal approximation that BlackJAX's Pathfinder finds along the way to a mode."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any, final

import numpy as np

from pymc_lan.errors import explain
from pymc_lan.inference.blackjax.method import Method, check_parameters, finite_starts
from pymc_lan.inference.blackjax.target import Target

# Vehtari et al. (2024), "Pareto smoothed importance sampling": beyond it the approximation is not to be trusted.
WORST_PARETO_K = 0.7


@final
class Pathfinder(Method):
    """Zhang et al. (2022), "Pathfinder: parallel quasi-Newton variational inference"; each chain has its own path.

    Parameters
    ----------
    blackjax : module
    target : Target
    parameters : mapping
        Arguments of BlackJAX's function ``pathfinder.approximate``.
    draws : int
    """

    def __init__(self, blackjax: Any, target: Target, parameters: Mapping[str, Any], *, draws: int):
        self.algorithm, self.density, self.parameters, self.draws = (
            blackjax.pathfinder,
            target.density,
            parameters,
            draws,
        )
        known = inspect.signature(blackjax.pathfinder.approximate).parameters.values()
        check_parameters(parameters, [p.name for p in known if p.default is not p.empty])

    def starts(self, target: Target, seed: Any, chains: int, jitter: bool) -> Any:
        """A position with a finite density."""
        return finite_starts(target, seed, chains, jitter)

    def chain(self, key: Any, start: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Follow a path, and draw from the best approximation on it."""
        import jax

        path, sample = jax.random.split(key)
        state, _ = self.algorithm.approximate(path, self.density, start, **self.parameters)
        positions, log_q = self.algorithm.sample(sample, state, self.draws)
        return positions, {"lp": jax.vmap(self.density)(positions), "log_q": log_q}, {"elbo": state.elbo}

    def look(self, whole: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, Any]:
        """How far the approximation is from the target, by the tail of its importance weights."""
        from arviz_stats.base import array_stats

        log_weights = np.asarray(stats["lp"]) - np.asarray(stats["log_q"])
        if not np.isfinite(log_weights).all():
            found = f"{np.count_nonzero(~np.isfinite(log_weights))} of {log_weights.size} that are not"
            remedy = "give other initvals or a larger maxiter, or take kernel='nuts'"
            raise ValueError(explain("a Pathfinder whose draws have finite densities", found, remedy))
        # It takes minus the log weights.
        k = np.array([array_stats.psislw(-row)[1] for row in log_weights], float)
        if not (k <= WORST_PARETO_K).all():
            found = ", ".join(f"{x:.2f}" for x in k)
            remedy = "take the draws as starts, not as the posterior; kernel='nuts' samples it"
            message = explain(f"a Pareto k of at most {WORST_PARETO_K} for each Pathfinder", found, remedy)
            warnings.warn(message, stacklevel=3)
        return {**whole, "pareto_k": k}
