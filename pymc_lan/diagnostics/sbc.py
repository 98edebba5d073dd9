"""Simulation-based calibration of whole models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import ExitStack
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from pymc_lan.diagnostics import sbc_folder as study
from pymc_lan.diagnostics.sbc_fits import FIT_STATS, Arrays, Job, Settings, draw_data, fit_chunk
from pymc_lan.errors import check_count, check_path, explain, unknown
from pymc_lan.numerics.parallel import DEATHS, WorkerDiedError, open_executor


def sbc(
    model_builder: Callable[[], Any],
    n_simulations: int = 500,
    *,
    draws: int = 500,
    tune: int = 500,
    chains: int = 2,
    target_accept: float = 0.8,
    var_names: Sequence[str] | None = None,
    seed: int = 0,
    processes: int = 1,
    scheduler: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    chunk: int = 10,
    progressbar: bool = True,
) -> Any:
    """Simulation-based calibration of a PyMC model: whether posteriors are right on data that it makes itself.

    Parameters are drawn from the prior, data from them, and the model is fitted to those data. Over many simulations
    the share of the posterior below the truth is uniform where sampler and likelihood do what the model says (Talts et
    al. 2018, arXiv:1804.06788). The model is compiled once in each process; only data are exchanged.

    Parameters
    ----------
    model_builder : callable
        Takes nothing and returns a ``pymc.Model`` with observed variables. The data it is built with do not matter but
        for their shape. It is called in every process.
    n_simulations : int
    draws, tune, chains : int
        Of each fit, as in ``pm.sample``; the sampler is nutpie's NUTS.
    target_accept : float
    var_names : sequence of str, optional
        What is judged; by default all free variables. Deterministics may be named.
    seed : int
        The same seed gives the same result, to the last digit on the same kind of machine, however often a study was
        interrupted and whatever ran where.
    processes : int
        Processes to fit in, one core each. With 1 nothing is started. With more, a script needs the usual
        ``if __name__ == "__main__":`` around its call.
    scheduler : str, optional
        The address of a Dask scheduler, ``"tcp://host:8786"``, whose workers fit instead; they need this package.
        Needs ``pip install 'pymc-lan[dask]'``.
    folder : path, optional
        Where finished fits are kept. Called again with the same arguments, a killed study goes on where it was.
    chunk : int
        Fits that are kept, and lost, together.
    progressbar : bool

    Returns
    -------
    xarray.DataTree
        Groups ``prior_sbc`` (what `arviz_plots.plot_ecdf_pit` draws: the share of the posterior below the truth, ties
        broken at random, draws thinned to their effective sample size), ``prior`` (the truths), ``posterior_mean``,
        ``posterior_sd``, each with one variable for every parameter, and ``sample_stats`` (``diverging``, the smallest
        ``ess``, the largest ``r_hat`` and ``tarp`` of each fit). Simulations are the dimension ``draw``. `recovery`,
        `coverage` and `tarp` take it.

    Raises
    ------
    ValueError
        For a model without observed variables, with potentials or discrete parameters; an unknown name; a folder that
        holds another study; a number, a seed or a folder that is none; a builder that cannot be called.
    ImportError
        Without nutpie: ``pip install 'pymc-lan[samplers]'``.
    RuntimeError
        If the sampler finds no point to start from, or every process dies of a fit, with the number of the simulation.
    OSError
        If the folder cannot be written to.

    Notes
    -----
    Parameters that the prior draws outside a network's trained bounds are not recovered, and calibration will show it:
    that is a finding about the model.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> def build():
    ...     with pm.Model() as model:
    ...         mu = pm.Normal("mu", 0, 1)
    ...         pm.Normal("y", mu, 1, observed=np.zeros(5))
    ...     return model
    >>> dt = pl.diagnostics.sbc(build, 10, draws=100, tune=100, progressbar=False)
    >>> dt["prior_sbc"]["mu"].shape
    (1, 10)
    """
    # Fewer than four draws have no effective sample size.
    n_simulations, draws = check_count("n_simulations", n_simulations, 2), check_count("draws", draws, 4)
    chains, tune = check_count("chains", chains), check_count("tune", tune, 0)
    processes, chunk = check_count("processes", processes), check_count("chunk", chunk)
    seed = check_count("seed", seed, 0)
    folder = None if folder is None else check_path("folder", folder)
    builder: Any = model_builder
    if not callable(builder):
        found = f"a {type(builder).__name__}"
        raise ValueError(explain("a function that takes nothing and returns a model", found, "write one: def build()"))
    if find_spec("nutpie") is None:
        raise ImportError(explain("the package nutpie", "none", "pip install 'pymc-lan[samplers]'"))
    model = model_builder()
    names = _check_model(model, var_names)
    settings = Settings(draws, tune, chains, target_accept)
    truth, data, fits = _prepare(model, names, n_simulations, settings, seed, folder)
    jobs = _jobs(model_builder, names, truth, data, settings, seed, chunk, done=set(fits))
    for index, found in _run(jobs, processes, scheduler, n_simulations, progressbar):
        if folder is not None:
            study.write_arrays(folder / study.FITS.format(index[0]), {"index": index} | found)
        fits |= {int(i): {key: x[row] for key, x in found.items()} for row, i in enumerate(index)}
    return _tree(model, {name: truth[name] for name in names}, [fits[i] for i in range(n_simulations)], seed)


def _check_model(model: Any, var_names: Sequence[str] | None) -> list[str]:
    """Refuse what cannot be simulated or sampled; return the names of what is judged."""
    if not model.observed_RVs:
        raise ValueError(explain("a model with observed variables", "none", "give observed= in the model's builder"))
    if model.potentials:
        found = ", ".join(x.name for x in model.potentials)
        raise ValueError(explain("a model whose prior can be drawn from", f"the potentials {found}", "leave them out"))
    if model.discrete_value_vars:
        found = ", ".join(x.name for x in model.discrete_value_vars)
        raise ValueError(explain("continuous parameters, for NUTS", f"the discrete {found}", "sum over them"))
    known = [x.name for x in (*model.free_RVs, *model.deterministics)]
    names = [rv.name for rv in model.free_RVs] if var_names is None else list(var_names)
    for name in names:
        if name not in known:
            raise ValueError(unknown("variable", name, known))
    return names


def _prepare(
    model: Any, names: list[str], n: int, settings: Settings, seed: int, path: Path | None
) -> tuple[Arrays, Arrays, dict[int, Arrays]]:
    """Truths, data and finished fits: those of the folder, or new ones."""
    needed = dict.fromkeys([*names, *(rv.name for rv in model.free_RVs)])
    kept = None if path is None else study.open_simulations(path)
    asked = {
        "format": study.FORMAT,
        "parameters": names,
        "simulations": n,
        "seed": seed,
        "sampler": asdict(settings),
        "free": [rv.name for rv in model.free_RVs],
        "observed": {rv.name: list(rv.shape.eval().tolist()) for rv in model.observed_RVs},
    }
    if path is not None and kept is not None:
        study.check_same(path, asked)
        study.check_same(path, {"log_density": study.log_density(model, kept[0])})
        return *kept, study.finished(path)
    truth, data = draw_data(model, n, seed, needed)
    if path is not None:
        study.start(path, asked | {"log_density": study.log_density(model, truth)}, truth, data)
    return truth, data, {}


def _jobs(
    builder: Callable[[], Any],
    names: list[str],
    truth: Arrays,
    data: Arrays,
    settings: Settings,
    seed: int,
    chunk: int,
    *,
    done: set[int],
) -> list[Job]:
    """The fits that are left to do, in chunks."""
    import cloudpickle

    pickled, n = cloudpickle.dumps(builder), len(next(iter(truth.values())))
    judged = {name: truth[name] for name in names}
    # Distances are measured from the truth of another simulation: a draw from the prior that knows nothing of these
    # data. What the prior holds fixed has no unit of its own.
    reference = {name: np.roll(x, 1, axis=0) for name, x in judged.items()}
    scale = {name: np.where((sd := x.std(axis=0)) > 0, sd, 1.0) for name, x in judged.items()}
    left = np.array([i for i in range(n) if i not in done], dtype=int)
    chunks = [left[i : i + chunk] for i in range(0, left.size, chunk)]

    def some(arrays: Arrays, index: Any) -> Arrays:
        return {name: x[index] for name, x in arrays.items()}

    study = uuid4().hex
    return [
        Job(study, pickled, i, some(judged, i), some(reference, i), some(data, i), scale, settings, seed)
        for i in chunks
    ]


def _run(jobs: list[Job], processes: int, scheduler: str | None, n: int, progressbar: bool) -> Iterator[Any]:
    """Fit all chunks here, in processes or on a Dask cluster; yield each with its indices when it is there."""
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(*columns, disable=not progressbar))
        task = progress.add_task("simulations", total=n, completed=n - sum(job.index.size for job in jobs))
        executor = open_executor(stack, processes, scheduler) if jobs else None
        if executor is None:
            found = ((job.index, fit_chunk(job)) for job in jobs)
        else:
            futures = {executor.submit(fit_chunk, job): job for job in jobs}
            # A failure, or Ctrl-C, should not wait for all that is still to do.
            stack.callback(lambda: [future.cancel() for future in futures])
            found = ((futures[each].index, _fits(each, futures[each], executor)) for each in as_completed(futures))
        for index, fits in found:
            yield index, fits
            progress.advance(task, index.size)


def _fits(done: Future[Arrays], job: Job, executor: Executor) -> Arrays:
    """The fits of a chunk; where every process dies of it, one simulation after another, to see of which."""
    try:
        return done.result()
    except WorkerDiedError as error:
        if job.index.size == 1:
            expected = f"processes that live until simulation {job.index[0]} is fitted"
            remedy = "see what they printed, and whether memory is short; with processes=1 nothing is started"
            raise WorkerDiedError(explain(expected, f"{DEATHS} that died of it", remedy)) from error
    rows = (job.only(row) for row in range(job.index.size))
    each = [_fits(executor.submit(fit_chunk, row), row, executor) for row in rows]
    return {key: np.concatenate([fits[key] for fits in each]) for key in each[0]}


def _tree(model: Any, truth: Arrays, fits: list[Arrays], seed: int) -> Any:
    """Put everything into the groups that ArviZ knows."""
    import arviz as az

    def stacked(kind: str) -> Arrays:
        return {name: np.stack([fit[f"{kind}/{name}"] for fit in fits])[None] for name in truth}

    groups = {
        "prior_sbc": stacked("pit"),
        "prior": {name: x[None] for name, x in truth.items()},
        "posterior_mean": stacked("mean"),
        "posterior_sd": stacked("sd"),
        "sample_stats": {name: np.stack([fit[name] for fit in fits])[None] for name in FIT_STATS},
    }
    dims = {name: list(model.named_vars_to_dims[name]) for name in truth if name in model.named_vars_to_dims}
    used = {dim for each in dims.values() for dim in each}
    coords = {dim: list(values) for dim, values in model.coords.items() if dim in used and values is not None}
    tree = az.from_dict(groups, dims=dims, coords=coords)
    tree.attrs["seed"] = seed
    return tree
