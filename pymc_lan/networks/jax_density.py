"""A network's log density as a function of JAX: one that `jax.jit`, `jax.grad` and `jax.vmap` take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp

from pymc_lan.errors import explain
from pymc_lan.models.likelihood import of_choices
from pymc_lan.models.model import Model, bind, require_views
from pymc_lan.networks.flax import JAX, as_outputs, likelihood_in_jax
from pymc_lan.networks.program import AnyNetwork


@final
@dataclass(frozen=True, slots=True, weakref_slot=True)
class JaxDensity:
    """The log density of trials; two are equal when their model and weights are.

    Parameters
    ----------
    spec : Model
    lan : MLP or Program
    choice : MLP or Program, optional
        Without it, no deadline can be given.
    """

    spec: Model
    lan: AnyNetwork
    choice: AnyNetwork | None

    def __call__(self, *given: Any, **named: Any) -> jax.Array:
        """Log density of trials; see `pymc_lan.networks.network.Network.as_jax`."""
        data = ("rt", "response") if self.spec.times else ("response",)
        deadline = None if "deadline" in self.spec.names else named.pop("deadline", None)
        if len(given) < len(data):
            expected = f"{' and '.join(data)} first, then the parameters {', '.join(self.spec.names)}"
            raise ValueError(explain(expected, f"{len(given)} positional arguments", f"give {', '.join(data)}, ..."))
        theta = bind(self.spec, given[len(data) :], named)
        values = [as_floats(x) for x in (*given[: len(data)], *theta.values())]
        *seen, ends = jnp.broadcast_arrays(*values, as_floats(jnp.inf if deadline is None else deadline))
        parameters = dict(zip(self.spec.names, seen[len(data) :], strict=True))
        if not self.spec.times:
            return self._of_responses(seen[0], deadline, parameters)
        if deadline is not None and (self.choice is None or require_views(self.spec).choice is None):
            expected = f"a network that knows trials without a response, for {self.spec.name!r} with a deadline"
            raise ValueError(explain(expected, "none", "leave the deadline out"))
        likelihood = likelihood_in_jax(self.spec, self.lan, self.choice)
        by = None if deadline is None else ends
        found = likelihood.log_trial(JAX, seen[0], seen[1], by, parameters)
        # Without one there is none to look at.
        response = jnp.where(jnp.isfinite(seen[0]), seen[1], self.spec.choices[0])
        return jnp.asarray(of_choices(JAX, found, response, self.spec.choices))

    def _of_responses(self, response: jax.Array, deadline: Any, theta: dict[str, Any]) -> jax.Array:
        """Log probability of a response, minus infinity of what is no choice."""
        if deadline is not None:
            expected = f"no deadline for {self.spec.name!r}, a model of responses alone"
            raise ValueError(explain(expected, "one", "leave it out"))
        inside, penalty = likelihood_in_jax(self.spec, self.lan, None).clamp(JAX, theta)
        log_p = require_views(self.spec).log_probabilities(JAX, as_outputs(self.lan), inside)
        found = jnp.full(response.shape, -jnp.inf, response.dtype)
        for code, each in zip(self.spec.choices, log_p, strict=True):
            found = jnp.where(response == code, each - penalty, found)
        return found


def as_floats(x: Any) -> jax.Array:
    """An array of the precision that JAX is set to."""
    return jnp.asarray(x, jnp.result_type(float))
