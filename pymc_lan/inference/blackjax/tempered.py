"""Sequential Monte Carlo from a distribution that can be drawn from to the target, by BlackJAX's tempering."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np

from pymc_lan.errors import check_count, explain
from pymc_lan.inference.blackjax.method import Method, check_parameters, check_share
from pymc_lan.inference.blackjax.target import Target

# What the likelihood is at least, so that the weight of an impossible particle is 0 and never NaN.
LOWEST = -1e30
# Steps of a bisection of [0, 1], to the last digit.
BISECTIONS = 60
MAX_STAGES = 1000
# Of a normal distribution with known standard deviations, a trajectory of this length draws independently.
QUARTER_TURN = np.pi / 2
PARAMETERS = {"num_mcmc_steps": 5, "num_integration_steps": 8, "target_ess": 0.5, "schedule": None}


@final
class Tempered(Method):
    """Particles that move by Hamiltonian Monte Carlo while the target comes in; each chain is a run of its own.

    The next temperature is found here, not by ``blackjax.adaptive_tempered_smc``, which up to 1.4 takes the effective
    sample size of the inverse weights.

    Parameters
    ----------
    blackjax : module
    target : Target
    parameters : mapping
        As of `sample_blackjax`.
    draws : int
        Particles.
    target_accept : float
    adaptive : bool
        Whether temperatures are found, or given as a schedule.
    """

    def __init__(
        self,
        blackjax: Any,
        target: Target,
        parameters: Mapping[str, Any],
        *,
        draws: int,
        target_accept: float,
        adaptive: bool,
    ):
        known = [name for name in PARAMETERS if name != ("schedule" if adaptive else "target_ess")]
        check_parameters(parameters, known)
        given = PARAMETERS | dict(parameters)
        self.blackjax, self.draws, self.target_accept = blackjax, draws, target_accept
        self.moves = check_count("num_mcmc_steps", given["num_mcmc_steps"])
        self.leaps = check_count("num_integration_steps", given["num_integration_steps"])
        self.target_ess = check_share("target_ess", given["target_ess"])
        self.schedule = None if adaptive else _schedule(given["schedule"])
        self.density = target.density

    def starts(self, target: Target, seed: Any, chains: int, jitter: bool) -> Any:
        """Particles of the reference distribution."""
        import jax

        particles, self.reference, likelihood = target.reference(seed, chains * self.draws)
        self.likelihood = _bounded(likelihood)
        if not (np.asarray(jax.jit(jax.vmap(self.likelihood))(particles)) > LOWEST).any():
            found = f"none among {chains * self.draws}"
            remedy = "give priors that the data allow, or other initvals for a log density"
            raise ValueError(explain("a particle where the log density is finite", found, remedy))
        return jax.tree.map(lambda x: np.asarray(x).reshape(chains, self.draws, *np.shape(x)[1:]), particles)

    def chain(self, key: Any, start: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Temper, then move once more at the target itself."""
        import jax
        import jax.numpy as jnp

        blackjax = self.blackjax
        state = blackjax.tempered_smc.init(start)

        def step(key: Any, state: Any, size: Any, temperature: Any) -> Any:
            kernel = blackjax.tempered_smc(
                self.reference,
                self.likelihood,
                blackjax.hmc.build_kernel(),
                blackjax.hmc.init,
                _shared(size, _variances(state), self.leaps),
                blackjax.smc.resampling.systematic,
                num_mcmc_steps=self.moves,
            )
            state, info = kernel.step(key, state, temperature)
            accepted = info.update_info.acceptance_rate.mean()
            size = jnp.minimum(size * jnp.exp(accepted - self.target_accept), QUARTER_TURN / self.leaps)
            return state, size, info.log_likelihood_increment, accepted

        def stage(carry: Any) -> Any:
            key, state, size, evidence, n = carry
            key, now = jax.random.split(key)
            state, size, gain, _ = step(now, state, size, self._next(state, n))
            return key, state, size, evidence + gain, n + 1

        def goes_on(carry: Any) -> Any:
            _, state, _, _, n = carry
            return (state.tempering_param < 1) & (n < MAX_STAGES)

        state = jax.tree.map(lambda x: jnp.asarray(x, float), state)
        begin = key, state, jnp.asarray(QUARTER_TURN / self.leaps), jnp.asarray(0.0), jnp.asarray(0)
        key, state, size, evidence, n = jax.lax.while_loop(goes_on, stage, begin)
        reached = state.tempering_param
        state, _, _, accepted = step(key, state, size, reached)
        whole = {
            "log_marginal_likelihood": evidence,
            "stages": n,
            "temperature": reached,
            "acceptance_rate": accepted,
        }
        return state.particles, {"lp": jax.vmap(self.density)(state.particles)}, whole

    def _next(self, state: Any, n: Any) -> Any:
        """The temperature of the next stage: as far as the weights keep the effective share that is asked for."""
        import jax
        import jax.numpy as jnp

        if self.schedule is not None:
            return jnp.asarray(self.schedule)[n]
        log_likelihood = jax.vmap(self.likelihood)(state.particles)

        def effective(delta: Any) -> Any:
            u = jnp.exp(delta * (log_likelihood - log_likelihood.max()))
            return (state.weights @ u) ** 2 / (state.weights @ u**2)

        rest = 1 - state.tempering_param

        def halve(_: Any, ends: Any) -> Any:
            low, high = ends
            middle = (low + high) / 2
            enough = effective(middle) >= self.target_ess
            return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

        low, _ = jax.lax.fori_loop(0, BISECTIONS, halve, (jnp.zeros_like(rest), rest))
        # Exactly 1, not 1 but for rounding, is the end.
        return jnp.where(effective(rest) >= self.target_ess, 1.0, state.tempering_param + low)

    def look(self, whole: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, Any]:
        """All but the temperature, which has to have come to 1."""
        if not (np.asarray(whole["temperature"]) >= 1).all():
            found = ", ".join(f"{x:.3g}" for x in np.atleast_1d(whole["temperature"]))
            remedy = "take more draws, or priors nearer to the posterior"
            raise ValueError(explain(f"a temperature of 1 within {MAX_STAGES} stages", found, remedy))
        return {name: x for name, x in whole.items() if name != "temperature"}


def _schedule(value: Any) -> Any:
    """Temperatures that rise to 1."""
    rising = np.linspace(0, 1, 21)[1:] if value is None else np.atleast_1d(np.asarray(value, float))
    rising = rising[rising > 0] if rising.ndim == 1 and np.isfinite(rising).all() else rising
    if rising.ndim != 1 or not rising.size or not (np.diff(rising) > 0).all() or rising[-1] != 1:
        raise ValueError(explain("schedule as temperatures that rise to 1", f"{value!r:.80}", "end it with 1"))
    return rising


def _bounded(likelihood: Callable[[Any], Any]) -> Callable[[Any], Any]:
    import jax.numpy as jnp

    def bounded(position: Any) -> Any:
        value = likelihood(position)
        return jnp.maximum(jnp.where(jnp.isnan(value), LOWEST, value), LOWEST)

    return bounded


def _variances(state: Any) -> Any:
    """Of each value, over weighted particles."""
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    rows = jax.vmap(lambda x: ravel_pytree(x)[0])(state.particles)
    mean = state.weights @ rows
    # Never 0, as where all weight is on one particle.
    return jnp.maximum(state.weights @ (rows - mean) ** 2, jnp.finfo(rows.dtype).tiny ** 0.5)


def _shared(size: Any, variances: Any, leaps: int) -> dict[str, Any]:
    """Arguments of the inner kernel, as BlackJAX wants what all particles share: along a first axis of length 1."""
    import jax.numpy as jnp

    return {
        "step_size": jnp.asarray(size)[None],
        "inverse_mass_matrix": variances[None],
        "num_integration_steps": jnp.asarray([leaps]),
    }
