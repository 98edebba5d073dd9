"""Chains of a kernel of BlackJAX, with its window adaptation where it has one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Set
from typing import Any, final

from pymc_lan.errors import explain
from pymc_lan.inference.blackjax.method import Method, check_parameters, finite_starts
from pymc_lan.inference.blackjax.target import Target

# What BlackJAX calls its statistics, under the names of pm.sample.
STATISTICS = {
    "diverging": "is_divergent",
    "energy": "energy",
    "tree_depth": "num_trajectory_expansions",
    "n_steps": "num_integration_steps",
    "acceptance_rate": "acceptance_rate",
}

# The first multiplies the density that it is given by a normal prior of its own; what the second gives are orbits of
# weighted points, no draws.
NO_KERNELS = {"mgrad_gaussian", "orbital_hmc"}
# What window adaptation finds.
ADAPTED = {"step_size", "inverse_mass_matrix"}


@final
class Kernel(Method):
    """Steps of a Markov chain.

    Parameters
    ----------
    blackjax : module
    target : Target
    algorithm : BlackJAX algorithm
    parameters : mapping
        Arguments of the kernel.
    draws, tune : int
    adapt : bool, optional
    target_accept : float
    """

    def __init__(
        self,
        blackjax: Any,
        target: Target,
        algorithm: Any,
        parameters: Mapping[str, Any],
        *,
        draws: int,
        tune: int,
        adapt: bool | None,
        target_accept: float,
    ):
        self.algorithm, self.density, self.parameters = algorithm, target.density, dict(parameters)
        self.draws, self.tune = draws, tune
        check_parameters(parameters, _arguments(algorithm))
        if adapt is None:
            adapt = tune > 0 and _adapts(algorithm)
        if adapt and not _adapts(algorithm):
            found = "one whose start or parameters are others"
            remedy = "leave adapt out and give kernel_parameters, or take kernel='nuts'"
            raise ValueError(explain("a kernel that window adaptation can tune, for adapt=True", found, remedy))
        if adapt and tune == 0:
            raise ValueError(explain("tune of 1 or more, to adapt in", "tune=0", "raise it, or leave adapt out"))
        _check_complete(algorithm, parameters, ADAPTED if adapt else set())
        self.adaptation = _window_adaptation(blackjax, self, target_accept) if adapt else None

    def starts(self, target: Target, seed: Any, chains: int, jitter: bool) -> Any:
        """A position with a finite density."""
        return finite_starts(target, seed, chains, jitter)

    def chain(self, key: Any, start: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Adapt or burn in, then draw."""
        import jax

        begin, warm, sample = jax.random.split(key, 3)
        parameters = self.parameters
        if self.adaptation is not None:
            (state, parameters), _ = self.adaptation.run(warm, start, num_steps=self.tune)
            step = self.algorithm(self.density, **parameters).step
        else:
            built = self.algorithm(self.density, **parameters)
            step, state = built.step, built.init(start, begin)
            steps = jax.random.split(warm, self.tune)
            state, _ = jax.lax.scan(lambda state, k: (step(k, state)[0], None), state, steps)

        def draw(state: Any, k: Any) -> Any:
            state, info = step(k, state)
            stats = {name: getattr(info, theirs) for name, theirs in STATISTICS.items() if hasattr(info, theirs)}
            stats["lp"] = state.logdensity if hasattr(state, "logdensity") else self.density(state.position)
            if "step_size" in parameters:
                stats["step_size"] = parameters["step_size"]
            return state, (state.position, stats)

        return *jax.lax.scan(draw, state, jax.random.split(sample, self.draws))[1], {}


def kernel_names(blackjax: Any) -> list[str]:
    """The kernels of the installed BlackJAX that sample a log density.

    Parameters
    ----------
    blackjax : module

    Returns
    -------
    list of str

    Examples
    --------
    >>> import blackjax
    >>> {"nuts", "hmc", "mala"} <= set(kernel_names(blackjax))
    True
    """
    return [name for name, value in vars(blackjax).items() if name not in NO_KERNELS and _takes_density(value)]


def _window_adaptation(blackjax: Any, kernel: Kernel, target_accept: float) -> Any:
    parameters = dict(kernel.parameters)
    step_size = parameters.pop("step_size", None)
    start = {} if step_size is None else {"initial_step_size": step_size}
    return blackjax.window_adaptation(
        kernel.algorithm,
        kernel.density,
        target_acceptance_rate=target_accept,
        adaptation_info_fn=lambda *_: None,
        **start,
        **parameters,
    )


def _takes_density(algorithm: Any) -> bool:
    """Whether something in BlackJAX is a kernel of the posterior's density, not of the likelihood or of parts of it."""
    if inspect.ismodule(algorithm) or not (hasattr(algorithm, "build_kernel") and hasattr(algorithm, "init")):
        return False
    return next(iter(_signature(algorithm)), "") == "logdensity_fn"


def _signature(algorithm: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(getattr(algorithm, "differentiable", algorithm)).parameters


def _arguments(algorithm: Any) -> Mapping[str, inspect.Parameter]:
    """What an algorithm is built with, apart from the log density."""
    return {name: p for i, (name, p) in enumerate(_signature(algorithm).items()) if i > 0}


def _adapts(algorithm: Any) -> bool:
    """Whether window adaptation finds all that the kernel is told, and can build it from an integrator."""
    builds = next(iter(inspect.signature(algorithm.build_kernel).parameters), "") == "integrator"
    # It starts from a position and a density; kernels that also draw something at the start cannot be.
    starts = [name for name, p in inspect.signature(algorithm.init).parameters.items() if p.default is p.empty]
    return builds and len(starts) == 2 and set(_arguments(algorithm)) >= ADAPTED


def _check_complete(algorithm: Any, parameters: Mapping[str, Any], found: Set[str]) -> None:
    """Refuse a kernel that lacks an argument it has to have, and that adaptation does not find."""
    needed = [name for name, p in _arguments(algorithm).items() if p.default is p.empty and name not in found]
    if missing := [name for name in needed if name not in parameters]:
        whose = "a kernel that is not adapted" if not found else "this kernel"
        raise ValueError(
            explain(
                f"kernel_parameters with {', '.join(needed)}, for {whose}",
                f"no {', '.join(missing)}",
                "give them, or take kernel='nuts'",
            )
        )
