"""Fits of simulated data: one model, compiled once in each process, whose data are exchanged."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.diagnostics.sbc_ranks import distances, fractional_rank, independent
from pymc_lan.errors import explain

Float = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

# What is known of every fit, beside what is known of every parameter.
FIT_STATS = ("tarp", "diverging", "ess", "r_hat")


@dataclass(frozen=True, slots=True)
class Settings:
    """How every posterior is sampled.

    Parameters
    ----------
    draws, tune, chains : int
    target_accept : float
    """

    draws: int
    tune: int
    chains: int
    target_accept: float


@dataclass(frozen=True, slots=True)
class Job:
    """A chunk of simulations to fit; it travels to another process.

    Parameters
    ----------
    study : str
        Tells one call of `sbc` from another.
    builder : bytes
        The function that builds the model, pickled with cloudpickle.
    index : ndarray of int, shape (k,)
        The numbers of the simulations.
    truth, reference : dict of str to ndarray, shape (k, ...)
        What made the data, and the points that `distances` are measured from.
    data : dict of str to ndarray, shape (k, ...)
        By observed variable.
    scale : dict of str to ndarray
        The unit of every parameter in those distances.
    settings : Settings
    seed : int
        Of the whole study; every simulation has its own seed from it and its number.
    """

    study: str
    builder: bytes
    index: NDArray[np.intp]
    truth: Arrays
    reference: Arrays
    data: Arrays
    scale: Arrays
    settings: Settings
    seed: int

    def only(self, row: int) -> Job:
        """The job of fitting one of these simulations."""
        rows = slice(row, row + 1)

        def some(arrays: Arrays) -> Arrays:
            return {name: x[rows] for name, x in arrays.items()}

        truth, reference, data = some(self.truth), some(self.reference), some(self.data)
        return replace(self, index=self.index[rows], truth=truth, reference=reference, data=data)


def fit_chunk(job: Job) -> Arrays:
    """Fit a chunk of simulations.

    Parameters
    ----------
    job : Job

    Returns
    -------
    dict of str to ndarray, shape (k, ...)
        ``pit/NAME``, ``mean/NAME`` and ``sd/NAME`` of every parameter and those of `FIT_STATS`.
    """
    compiled = _compiled(job.study, job.builder, tuple(job.truth))
    rows = [_fit(compiled, job, row) for row in range(job.index.size)]
    return {key: np.stack([each[key] for each in rows]) for key in rows[0]}


def _fit(compiled: Any, job: Job, row: int) -> Arrays:
    import nutpie

    index, settings = int(job.index[row]), job.settings
    seeds = np.random.SeedSequence([job.seed, index])
    try:
        run = nutpie.sample(
            compiled.with_data(**{DATA.format(name): x[row] for name, x in job.data.items()}),
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            target_accept=settings.target_accept,
            seed=int(seeds.generate_state(1)[0]),
            cores=1,
            save_warmup=False,
            progress_bar=False,
        )
    except RuntimeError as error:
        expected, remedy = "a finite density to start from", "see whether the prior makes data that the model rules out"
        raise RuntimeError(explain(expected, f"for simulation {index}: {error}", remedy)) from error
    posterior = {name: run.posterior[name].to_numpy() for name in job.truth}
    truth, reference = ({name: x[row] for name, x in each.items()} for each in (job.truth, job.reference))
    found = judge(posterior, truth, reference, job.scale, np.random.default_rng(seeds.spawn(1)[0]))
    return found | {"diverging": np.asarray(int(run.sample_stats["diverging"].sum()))}


def judge(posterior: Arrays, truth: Arrays, reference: Arrays, scale: Arrays, rng: np.random.Generator) -> Arrays:
    """Compare a posterior with the truth.

    Parameters
    ----------
    posterior : dict of str to ndarray, shape (n_chains, n_draws, ...)
    truth, reference, scale : dict of str to ndarray, shape (...)
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to ndarray
        ``pit/NAME``, ``mean/NAME`` and ``sd/NAME`` of every parameter, and those of `FIT_STATS` but ``diverging``.
    """
    from arviz_stats.base import array_stats

    result: Arrays = {}
    flat = {name: x.reshape(*x.shape[:2], -1) for name, x in posterior.items()}
    for name, draws in flat.items():
        true, shape = truth[name].ravel(), posterior[name].shape[2:]
        pit = [fractional_rank(independent(draws[..., k]), x, rng) for k, x in enumerate(true)]
        result[f"pit/{name}"] = np.reshape(pit, shape)
        result[f"mean/{name}"] = posterior[name].mean((0, 1))
        result[f"sd/{name}"] = posterior[name].std((0, 1), ddof=1)
    every = np.concatenate(list(flat.values()), axis=-1)
    point, origin, unit = (np.concatenate([each[name].ravel() for name in flat]) for each in (truth, reference, scale))
    away = independent(distances(every, origin, unit))
    result["tarp"] = np.asarray(fractional_rank(away, float(distances(point, origin, unit)), rng))
    result["ess"] = np.min(array_stats.ess(np.moveaxis(every, -1, 0)))
    result["r_hat"] = np.max(array_stats.rhat(np.moveaxis(every, -1, 0)))
    return result


# What the data of an observed variable are called, so that no user's name is met.
DATA = "{}__simulated"


@lru_cache(maxsize=1)
def _compiled(study: str, builder: bytes, names: tuple[str, ...]) -> Any:
    """Compile a study's model, once for each study, because what its builder refers to may change between studies."""
    import cloudpickle
    import nutpie
    import pytensor

    model = cloudpickle.loads(builder)()
    exchange_data(model)
    # Functions from the cache and freshly compiled ones differ in the last digit of a sum, and chains from there on; so
    # a study that goes on, which would find the first process's, would not have the result of one left alone.
    with pytensor.config.change_flags(numba__cache=False):
        return nutpie.compile_pymc_model(model, var_names=names)


def exchange_data(model: Any) -> None:
    """Put a shared variable in the place of every observed variable's data, whatever they were."""
    import pytensor

    for rv in model.observed_RVs:
        before = model.rvs_to_values[rv]
        value = np.asarray(before.eval(), rv.type.dtype)
        shared = pytensor.shared(value, name=DATA.format(rv.name), shape=value.shape)
        model.rvs_to_values[rv] = shared
        del model.values_to_rvs[before]
        model.values_to_rvs[shared] = rv


def draw_data(model: Any, n: int, seed: int, names: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
    """Draw parameters from the prior and data from the prior predictive distribution.

    Returns
    -------
    truth, data : dict of str to ndarray, shape (n, ...)
    """
    import pymc as pm

    with warnings.catch_warnings():
        # That PyTensor draws some priors, TruncatedNormal for one, in Python: they are drawn once.
        warnings.filterwarnings("ignore", "Numba will use object mode", UserWarning)
        drawn = pm.sample_prior_predictive(draws=n, model=model, random_seed=seed)
    truth = {name: drawn["prior"][name].to_numpy()[0] for name in names}
    return truth, {rv.name: drawn["prior_predictive"][rv.name].to_numpy()[0] for rv in model.observed_RVs}
