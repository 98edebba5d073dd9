"""Chains of any BlackJAX kernel on any PyMC model, with the results that `pm.sample` gives."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from pymc_lan.errors import check_count, explain, unknown
from pymc_lan.inference.posterior import as_datatree, log_density, not_finite, resolve_model, start_points
from pymc_lan.numerics.seeds import as_generator

# What BlackJAX calls its statistics, under the names of pm.sample.
STATISTICS = {
    "diverging": "is_divergent",
    "energy": "energy",
    "tree_depth": "num_trajectory_expansions",
    "n_steps": "num_integration_steps",
    "acceptance_rate": "acceptance_rate",
}

# As many as pm.sample tries.
RETRIES = 10

# The first multiplies the density that it is given by a normal prior of its own; what the second gives are orbits of
# weighted points, no draws.
NO_KERNELS = {"mgrad_gaussian", "orbital_hmc"}
CHAIN_METHODS = ("vectorized", "parallel", "sequential")


def sample_blackjax(
    model: Any = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    kernel: Any = "nuts",
    *,
    initvals: Mapping[str, Any] | None = None,
    seed: int | None = None,
    target_accept: float = 0.8,
    kernel_parameters: Mapping[str, Any] | None = None,
    adapt: bool | None = None,
    chain_method: str = "vectorized",
    jitter: bool = True,
) -> Any:
    """Sample any PyMC model with continuous parameters by a kernel of BlackJAX.

    Parameters
    ----------
    model : pm.Model, optional
        By default that of the context.
    draws, tune, chains : int
        Draws kept, and those before them that adapt the kernel and are thrown away, for each chain.
    kernel : str or BlackJAX algorithm
        ``"nuts"``, ``"hmc"``, ``"mala"``, ..., the name of an algorithm in BlackJAX, or the algorithm itself.
    initvals : mapping of str to array, optional
        Where chains start: values of free variables by name, in place of the model's own.
    seed : int, optional
    target_accept : float
        The acceptance rate that the step size is adapted to.
    kernel_parameters : mapping, optional
        Further arguments of the kernel: ``{"num_integration_steps": 20}`` for HMC, which has to be told, and
        ``{"step_size": 0.1}`` for MALA. Of those that adaptation finds, ``step_size`` is where it begins.
    adapt : bool, optional
        Whether BlackJAX's window adaptation finds step size and mass matrix during tuning. By default it does where
        the kernel takes both. Without it `tune` draws are thrown away as they are.
    chain_method : {"vectorized", "parallel", "sequential"}
        All chains in one vectorised computation, where each step takes as long as the longest; each on a device of its
        own; or one after another. A processor counts as several devices only where ``pymc.sampling.jax`` is imported
        before JAX is first used.
    jitter : bool
        Whether every start is moved by up to 1 on the unconstrained scale, as `pm.sample` does.

    Returns
    -------
    xarray.DataTree
        As `pm.sample` returns. ``sample_stats`` has ``lp`` and ``step_size`` and, where the kernel knows them,
        ``diverging``, ``energy``, ``tree_depth``, ``n_steps`` and ``acceptance_rate``. Draws are float64.

    Raises
    ------
    ValueError
        If a start has no finite density, an argument is missing or not as described, or the model has discrete
        parameters.
    ImportError
        If BlackJAX is not installed.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x", 2, 0.5)
    >>> idata = pl.sample_blackjax(model, draws=200, tune=200, chains=2, seed=1)
    >>> idata.posterior["x"].shape
    (2, 200)
    """
    model = resolve_model(model)
    # Before anything else touches JAX: see `posterior`.
    density = log_density(model)
    blackjax = _import_blackjax()
    import jax
    from pymc.stats.convergence import log_warnings, run_convergence_checks

    draws, chains, tune = check_count("draws", draws), check_count("chains", chains), check_count("tune", tune, 0)
    mapped = _chain_map(chain_method, chains)
    algorithm = _algorithm(blackjax, kernel)
    parameters = dict(kernel_parameters or {})
    for name in parameters:
        if name not in _arguments(algorithm):
            raise ValueError(unknown("kernel parameter", name, _arguments(algorithm)))
    if adapt is None:
        adapt = tune > 0 and _adapts(algorithm)
    if adapt and not _adapts(algorithm):
        found = "one whose start or parameters are others"
        remedy = "leave adapt out and give kernel_parameters, or take kernel='nuts'"
        raise ValueError(explain("a kernel that window adaptation can tune, for adapt=True", found, remedy))
    if adapt and tune == 0:
        raise ValueError(explain("tune of 1 or more, to adapt in", "tune=0", "raise it, or leave adapt out"))
    if adapt:
        step_size = parameters.pop("step_size", None)
        start = {} if step_size is None else {"initial_step_size": step_size}
        adaptation = blackjax.window_adaptation(
            algorithm,
            density,
            target_acceptance_rate=target_accept,
            adaptation_info_fn=lambda *_: None,
            **start,
            **parameters,
        )
    else:
        _check_parameters(algorithm, parameters)
        adaptation = None
    chain = partial(_chain, algorithm, density, adaptation, parameters, draws, tune)
    positions = _finite_starts(model, density, initvals, seed, chains, jitter)
    keys = jax.random.split(jax.random.key(int(as_generator(seed).integers(2**31))), chains)
    began = time.perf_counter()
    found, stats = jax.block_until_ready(mapped(chain)(keys, positions))
    took = time.perf_counter() - began
    idata = as_datatree(model, found, stats, blackjax, sampling_time=took, tuning_steps=tune)
    log_warnings(run_convergence_checks(idata, model))
    return idata


def _import_blackjax() -> Any:
    try:
        import blackjax
    except ImportError as error:
        remedy = "pip install 'pymc-lan[samplers]'"
        raise ImportError(explain("the package blackjax", "none installed", remedy)) from error
    return blackjax


def _chain_map(method: str, chains: int) -> Callable[..., Any]:
    """How one chain's function becomes that of all chains."""
    import jax

    if method not in CHAIN_METHODS:
        raise ValueError(unknown("chain_method", method, CHAIN_METHODS))
    if method == "vectorized":
        return lambda chain: jax.jit(jax.vmap(chain))
    if method == "parallel":
        if jax.local_device_count() < chains:
            remedy = "import pymc.sampling.jax before JAX is first used, or take another chain_method"
            found = f"{jax.local_device_count()}"
            raise ValueError(explain(f"{chains} devices for as many parallel chains", found, remedy))
        return jax.pmap
    return lambda chain: jax.jit(lambda *args: jax.lax.map(lambda one: chain(*one), args))


def _algorithm(blackjax: Any, kernel: Any) -> Any:
    """The algorithm of a name; anything that is not a name passes."""
    if not isinstance(kernel, str):
        return kernel
    known = sorted(name for name, value in vars(blackjax).items() if name not in NO_KERNELS and _takes_density(value))
    if kernel not in known:
        raise ValueError(unknown("kernel", kernel, known))
    return getattr(blackjax, kernel)


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
    return builds and len(starts) == 2 and {"step_size", "inverse_mass_matrix"} <= set(_arguments(algorithm))


def _check_parameters(algorithm: Any, parameters: Mapping[str, Any]) -> None:
    """Refuse a kernel without adaptation that lacks an argument it has to have."""
    needed = [name for name, p in _arguments(algorithm).items() if p.default is p.empty]
    if missing := [name for name in needed if name not in parameters]:
        raise ValueError(
            explain(
                f"kernel_parameters with {', '.join(needed)}, for a kernel that is not adapted",
                f"no {', '.join(missing)}",
                "give them, or take kernel='nuts'",
            )
        )


def _finite_starts(model: Any, density: Any, initvals: Any, seed: Any, chains: int, jitter: bool) -> Any:
    """Stacked starts, each where the density is finite; moved ones are drawn anew where it is not."""
    import jax

    batches = start_points(model, initvals, seed, [jitter] * chains * (RETRIES if jitter else 1))
    finite = jax.jit(density)
    chosen = []
    for i in range(chains):
        tries = batches[i::chains]
        chosen.append(next((x for x in tries if np.isfinite(finite(x))), None))
        if chosen[-1] is None:
            found = f"one of 0 or NaN, by {not_finite(model, tries[-1])}, in every of {len(tries)} tries"
            remedy = "give other initvals, for instance those of pl.initvals, or jitter=False"
            raise ValueError(explain("a start with a finite log density", found, remedy))
    return jax.tree.map(lambda *x: np.stack(x), *chosen)


def _chain(
    algorithm: Any, density: Any, adaptation: Any, parameters: Any, draws: int, tune: int, key: Any, position: Any
) -> Any:
    """One chain: adapt or burn in, then draw."""
    import jax

    begin, warm, sample = jax.random.split(key, 3)
    if adaptation is not None and tune:
        (state, parameters), _ = adaptation.run(warm, position, num_steps=tune)
        step = algorithm(density, **parameters).step
    else:
        built = algorithm(density, **parameters)
        step, state = built.step, built.init(position, begin)
        state, _ = jax.lax.scan(lambda state, k: (step(k, state)[0], None), state, jax.random.split(warm, tune))

    def draw(state: Any, k: Any) -> Any:
        state, info = step(k, state)
        stats = {name: getattr(info, theirs) for name, theirs in STATISTICS.items() if hasattr(info, theirs)}
        stats["lp"] = state.logdensity if hasattr(state, "logdensity") else density(state.position)
        if "step_size" in parameters:
            stats["step_size"] = parameters["step_size"]
        return state, (state.position, stats)

    return jax.lax.scan(draw, state, jax.random.split(sample, draws))[1]
