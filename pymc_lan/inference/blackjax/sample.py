"""Draws by any sampler of BlackJAX, of a PyMC model or a log density, with the results that `pm.sample` gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from pymc_lan.errors import check_count, explain, unknown
from pymc_lan.inference.blackjax.kernel import Kernel, kernel_names
from pymc_lan.inference.blackjax.method import Method, check_share
from pymc_lan.inference.blackjax.pathfinder import Pathfinder
from pymc_lan.inference.blackjax.target import Target, as_target
from pymc_lan.inference.blackjax.tempered import Tempered
from pymc_lan.numerics.seeds import as_generator

CHAIN_METHODS = ("vectorized", "parallel", "sequential")
# By name, whether temperatures are found or given.
TEMPERED = {"adaptive_tempered_smc": True, "smc": True, "tempered_smc": False}


def sample_blackjax(
    model: Any = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    kernel: Any = "nuts",
    *,
    initvals: Any = None,
    seed: int | None = None,
    target_accept: float = 0.8,
    kernel_parameters: Mapping[str, Any] | None = None,
    adapt: bool | None = None,
    chain_method: str = "vectorized",
    jitter: bool = True,
) -> Any:
    """Sample any PyMC model with continuous parameters, or a log density, by a sampler of BlackJAX.

    Parameters
    ----------
    model : pm.Model, callable or TensorVariable, optional
        A PyMC model, by default that of the context. Or a log density, up to a constant: a JAX function of a pytree of
        arrays, or a PyTensor graph of inputs with names. It may be improper as long as what is sampled is not, and is
        one of the values as they are: those with bounds are to be written as functions of values without, with the
        logarithm of the derivative added.
    draws, tune, chains : int
        Draws kept, and those before them that adapt the kernel and are thrown away, for each chain.
    kernel : str or BlackJAX algorithm
        ``"nuts"``, ``"hmc"``, ``"mala"``, ..., the name of an algorithm in BlackJAX, or the algorithm itself. Or
        ``"pathfinder"``, whose draws are of its normal approximation, for each chain along a path of its own. Or
        ``"smc"``, which is BlackJAX's ``"adaptive_tempered_smc"``, or ``"tempered_smc"``: `draws` particles for each
        chain, which come from the priors of a model, or from a normal distribution of standard deviation 1 around the
        start of a log density, and are moved while the rest comes in. The last three have no use for `tune`.
    initvals : mapping of str to array, pytree or callable, optional
        Where chains start. Of a model, values of free variables by name, in place of the model's own. Of a log density
        it has to be given: a point like that which the function takes, or values by name for the inputs of a graph; or
        a function from a ``numpy.random.Generator`` to that.
    seed : int, optional
    target_accept : float
        The acceptance rate that the step size is adapted to.
    kernel_parameters : mapping, optional
        Further arguments of the kernel: ``{"num_integration_steps": 20}`` for HMC, which has to be told, and
        ``{"step_size": 0.1}`` for MALA. Of those that adaptation finds, ``step_size`` is where it begins. Of
        Pathfinder, ``maxiter`` and the others of BlackJAX. Of SMC, ``num_mcmc_steps`` (5) and
        ``num_integration_steps`` (8), how often and how far each particle moves at each temperature; ``target_ess``
        (0.5), the effective share of particles down to which the next one is found; and of ``"tempered_smc"`` the
        ``schedule`` of rising temperatures, to 1.
    adapt : bool, optional
        Whether BlackJAX's window adaptation finds step size and mass matrix during tuning. By default it does where
        the kernel takes both. Without it `tune` draws are thrown away as they are.
    chain_method : {"vectorized", "parallel", "sequential"}
        All chains in one vectorised computation, where each step takes as long as the longest; each on a device of its
        own; or one after another. A processor counts as several devices only where ``pymc.sampling.jax`` is imported
        before JAX is first used.
    jitter : bool
        Whether every start is moved by up to 1 in every value, on the unconstrained scale of a model, as `pm.sample`
        does. Starts that a function draws are left where they are.

    Returns
    -------
    xarray.DataTree
        As `pm.sample` returns; variables of a pytree are named by their path, as in ``"layer.weight"``, a single array
        ``"x"``. ``sample_stats`` has ``lp`` and, where the kernel knows them, ``step_size``, ``diverging``, ``energy``,
        ``tree_depth``, ``n_steps`` and ``acceptance_rate``. Pathfinder gives ``log_q`` for each draw, and ``elbo`` and
        ``pareto_k`` for each chain; SMC ``log_marginal_likelihood`` (of a log density: the logarithm of its integral)
        and ``stages``. Draws are float64.

    Raises
    ------
    ValueError
        If a start has no finite density, an argument is missing or not as described, or the model has discrete
        parameters.
    ImportError
        If BlackJAX is not installed.

    Warns
    -----
    UserWarning
        If a Pathfinder's Pareto k is above 0.7: its approximation is far from the density.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x", 2, 0.5)
    >>> idata = pl.sample_blackjax(model, draws=200, tune=200, chains=2, seed=1)
    >>> idata.posterior["x"].shape
    (2, 200)
    >>> idata = pl.sample_blackjax(lambda y: -(y**2).sum(), 200, 200, 2, initvals=np.zeros(3), seed=1)
    >>> idata.posterior["x"].shape
    (2, 200, 3)
    """
    import jax
    import pytensor

    draws, chains, tune = check_count("draws", draws), check_count("chains", chains), check_count("tune", tune, 0)
    target_accept = check_share("target_accept", target_accept)
    # For log densities; with a model, PyTensor sets JAX to its own precision.
    with jax.enable_x64(pytensor.config.floatX == "float64"):
        target = as_target(model, initvals)
        blackjax = _import_blackjax()
        mapped = _chain_map(chain_method, chains)
        method = _method(
            blackjax,
            target,
            kernel,
            dict(kernel_parameters or {}),
            draws=draws,
            tune=tune,
            adapt=adapt,
            target_accept=target_accept,
        )
        starts = method.starts(target, seed, chains, jitter)
        keys = jax.random.split(jax.random.key(int(as_generator(seed).integers(2**31))), chains)
        began = time.perf_counter()
        found, stats, whole = jax.block_until_ready(mapped(method.chain)(keys, starts))
        took = time.perf_counter() - began
        whole = method.look(whole, stats)
        idata = target.datatree(found, stats, blackjax, sampling_time=took, tuning_steps=tune)
    statistics = idata["sample_stats"].to_dataset()
    idata["sample_stats"] = type(idata)(statistics.assign({k: ("chain", np.asarray(x)) for k, x in whole.items()}))
    _warn(idata)
    return idata


def _warn(idata: Any) -> None:
    """PyMC's own warnings about chains."""
    from pymc.stats.convergence import log_warnings, run_convergence_checks

    # Of the model they read names alone.
    names = [SimpleNamespace(name=name) for name in idata.posterior.data_vars]
    log_warnings(run_convergence_checks(idata, SimpleNamespace(free_RVs=names, deterministics=[])))


def _method(
    blackjax: Any,
    target: Target,
    kernel: Any,
    parameters: Mapping[str, Any],
    *,
    draws: int,
    tune: int,
    adapt: bool | None,
    target_accept: float,
) -> Method:
    """What a kernel's name stands for; anything that is not a name is an algorithm."""
    if isinstance(kernel, str):
        kernels = kernel_names(blackjax)
        known = sorted([*kernels, "pathfinder", *TEMPERED])
        if kernel not in known:
            raise ValueError(unknown("kernel", kernel, known))
        if kernel not in kernels:
            if adapt:
                remedy = "leave adapt out, or take kernel='nuts'"
                raise ValueError(explain("a kernel that window adaptation can tune, for adapt=True", kernel, remedy))
            if kernel == "pathfinder":
                return Pathfinder(blackjax, target, parameters, draws=draws)
            adaptive = TEMPERED[kernel]
            return Tempered(blackjax, target, parameters, draws=draws, target_accept=target_accept, adaptive=adaptive)
        kernel = getattr(blackjax, kernel)
    return Kernel(
        blackjax, target, kernel, parameters, draws=draws, tune=tune, adapt=adapt, target_accept=target_accept
    )


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
