"""Leave-one-out cross-validation of large data sets in little memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.diagnostics.convergence import convergence
from pymc_lan.diagnostics.fitted_trials import (
    chunks,
    find_trials,
    good_k,
    outside,
    sample_dims,
    say_all_outside,
)
from pymc_lan.errors import explain, unknown

# Log likelihoods that are in double precision at once.
CHUNK = 4_000_000
# Draws whose parameters are looked at.
LOOKED_AT = 1000
# Log likelihoods that differ by less than this share of themselves are the same: some steps of single precision.
SAME = 4 * float(np.finfo(np.float32).eps)


def loo(idata: Any, model: Any, *, var_name: str | None = None) -> Any:
    """Leave-one-out cross-validation by Pareto-smoothed importance sampling: ``az.loo`` for large data.

    ``pm.compute_log_likelihood`` keeps 8 bytes for each trial and draw, several times over; this keeps 4, once: 1.6 GB
    for 100,000 trials and 4,000 draws. A trial's log likelihood loses less than 1e-6 of its size by that.

    A response that is certain to be a guess has the same likelihood in all draws, where `p_lapse` is a number. There
    is no tail then that could be smoothed, and ``az.loo`` raises; here its Pareto k is 0: its weights are bounded.

    Parameters
    ----------
    idata : xarray.DataTree
        From ``pm.sample``.
    model : pymc.Model
        The model that was sampled; any PyMC model.
    var_name : str, optional
        The observed variable, where the model has several.

    Returns
    -------
    arviz_stats.ELPDData
        With pointwise values and Pareto k, as ``az.loo(..., pointwise=True)`` returns it; ``az.compare`` takes it.

    Raises
    ------
    ValueError
        For a posterior of another model, an unknown variable, or one of several that is not named.

    Warns
    -----
    UserWarning
        Where the Pareto k of a trial is too large for its estimate to be reliable, chains have not met, or draws leave
        the bounds of a model of this package.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), Statistics and Computing 27, 1413-1432.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc as pm, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=50, seed=1)
    >>> with pm.Model() as model:
    ...     v = pm.Normal("v", 1, 1)
    ...     obs = pl.DDM("obs", v, 1.0, 0.5, 0.3, observed=df)
    >>> draws = np.random.default_rng(1).normal(1, 0.02, (2, 100))  # of pm.sample, in earnest
    >>> pl.diagnostics.loo(az.from_dict({"posterior": {"v": draws}}), model).n_data_points
    50
    """
    rv = _observed(model, var_name)
    draws = sample_dims(idata, model)
    n_chains, n_draws = next(iter(draws.values())).shape[:2]
    for words in _doubts(idata, model, {name: x.reshape(-1, *x.shape[2:]) for name, x in draws.items()}):
        warnings.warn(words, stacklevel=2)
    log_p, shape = _log_likelihood(model, rv, draws, n_chains * n_draws)
    r_eff = relative_efficiency(idata["posterior"].dataset)
    parts, step = [], max(1, CHUNK // log_p.shape[0])
    for begin in range(0, log_p.shape[1], step):
        some = log_p[:, begin : begin + step].T.astype(np.float64).reshape(-1, n_chains, n_draws)
        parts.append(pointwise(some, r_eff))
    found = as_elpd(np.concatenate(parts, axis=1).reshape(3, *shape), log_p.shape[0], rv.name, _dims(model, rv, shape))
    if found.warning:
        warnings.warn(
            f"{say_high(found, 'trials')}: without one of these the posterior would be another one, and its estimate "
            "is not reliable. Are there trials that the model does not expect, such as guesses?",
            stacklevel=2,
        )
    return found


def as_elpd(
    found: NDArray[np.float64], n_samples: int, name: str, dims: Sequence[str], coords: Mapping[str, Any] | None = None
) -> Any:
    """What `pointwise` found, as ArviZ has it.

    Parameters
    ----------
    found : ndarray, shape (3, ...)
    n_samples : int
        Draws.
    name : str
        What was left out.
    dims : sequence of str
        Of all axes but the first.
    coords : mapping of str to array_like, optional

    Returns
    -------
    arviz_stats.ELPDData
    """
    import xarray as xr
    from arviz_stats.base import array_stats
    from arviz_stats.utils import ELPDDataLOO

    elpd_i, pareto_k, p_i = found
    elpd, se, p, *_ = array_stats.loo_summary(elpd_i.ravel(), p_i.ravel())
    limit = good_k(n_samples)
    return ELPDDataLOO(
        elpd=float(elpd),
        se=float(se),
        p=float(p),
        n_samples=n_samples,
        n_data_points=elpd_i.size,
        scale="log",
        warning=bool((pareto_k > limit).any()),
        good_k=limit,
        elpd_i=xr.DataArray(elpd_i, coords, dims=dims, name=name),
        pareto_k=xr.DataArray(pareto_k, coords, dims=dims, name=name),
    )


def say_high(found: Any, what: str) -> str:
    """The beginning of a sentence about what has too large a Pareto k."""
    k = found.pareto_k.to_numpy()
    return f"The Pareto k of {(k > found.good_k).sum()} of {k.size} {what} is above {found.good_k:.2f}"


def _doubts(idata: Any, model: Any, draws: dict[str, Any]) -> list[str]:
    """Why no comparison should rest on these draws."""
    from pymc_lan.distributions.nodes import trial_node

    apart = convergence(idata, model).apart
    words = [apart] if apart else []
    if any(trial_node(rv) for rv in model.observed_RVs):
        trials, every = find_trials(model), -(-len(next(iter(draws.values()))) // LOOKED_AT)
        found = [
            [outside(each, values) for each, values in zip(trials, parameters, strict=True)]
            for _, parameters in chunks(model, trials, {name: x[::every] for name, x in draws.items()})
        ]
        whole = [
            {name: np.concatenate([part[i][name] for part in found]) for name in found[0][i]}
            for i in range(len(trials))
        ]
        words += say_all_outside(trials, whole)
    return words


def _observed(model: Any, var_name: str | None) -> Any:
    named = {rv.name: rv for rv in model.observed_RVs}
    if var_name is None and len(named) == 1:
        return next(iter(named.values()))
    if var_name is None:
        found = f"{len(named)}: {', '.join(named)}" if named else "none"
        raise ValueError(explain("a model with one observed variable", found, "name one with var_name=..."))
    if var_name not in named:
        raise ValueError(unknown("observed variable", var_name, named))
    return named[var_name]


def _log_likelihood(model: Any, rv: Any, draws: dict[str, Any], n: int) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Log likelihood by draw and trial in single precision, and the shape of the trials."""
    from pymc.model.transform.conditioning import remove_value_transforms

    plain = remove_value_transforms(model)
    function = plain.compile_fn(
        plain.logp(vars=[plain.named_vars[rv.name]], sum=False)[0],
        inputs=plain.value_vars,
        on_unused_input="ignore",
    )
    flat = {name: x.reshape(n, *x.shape[2:]) for name, x in draws.items()}
    names = [(value.name, plain.values_to_rvs[value].name) for value in plain.value_vars]
    for row in range(n):
        found = function({value: flat[name][row] for value, name in names})
        if row == 0:
            result = np.empty((n, found.size), np.float32)
        result[row] = found.ravel()
    return result, found.shape


def pointwise(log_p: NDArray[np.float64], r_eff: float) -> NDArray[np.float64]:
    """Expected log density, Pareto k and effective parameters of each trial.

    Where the least likelihoods of a trial are all the same, there is no tail that a Pareto distribution could be
    fitted to: the weights of its draws, one over its likelihood, are bounded, and need no smoothing.

    Parameters
    ----------
    log_p : ndarray, shape (trials, chains, draws)
    r_eff : float
        Effective draws for each draw.

    Returns
    -------
    ndarray, shape (3, trials)

    Examples
    --------
    >>> pointwise(np.full((1, 2, 100), -4.0), 1.0).ravel().round(6).tolist()
    [-4.0, 0.0, 0.0]
    """
    from arviz_stats.base import array_stats
    from scipy.special import logsumexp

    result = np.zeros((3, len(log_p)))
    flat = log_p.reshape(len(log_p), -1)
    n = flat.shape[1]
    # As many as arviz-stats takes.
    tail = int(3 * (n / r_eff) ** 0.5 if n * r_eff > 225 else n / 5)
    least = np.partition(flat, tail - 1, axis=1)[:, :tail]
    level = np.ptp(least, axis=1) <= SAME * np.maximum(np.abs(least).max(axis=1), 1)
    if not level.all():
        result[:, ~level] = array_stats.loo(log_p[~level], r_eff=r_eff)
    if level.any():
        flat = flat[level]
        result[0, level] = np.log(n) - logsumexp(-flat, axis=1)
        result[2, level] = logsumexp(flat, axis=1) - np.log(n) - result[0, level]
    return result


def relative_efficiency(posterior: Any) -> float:
    """Effective draws for each draw, as ``az.loo`` takes it: the mean over all parameters of a dataset."""
    from arviz_stats.accessors import AzStatsDsAccessor

    if posterior.sizes["chain"] == 1:
        return 1.0
    sizes = AzStatsDsAccessor(posterior).ess(method="mean")
    n = posterior.sizes["chain"] * posterior.sizes["draw"]
    return float(np.concatenate([np.ravel(sizes[name]) for name in sizes.data_vars]).mean() / n)


def _dims(model: Any, rv: Any, shape: tuple[int, ...]) -> list[str]:
    """Names of the trials' dimensions, as PyMC gives them."""
    named = [str(dim) for dim in model.named_vars_to_dims.get(rv.name, ())][: len(shape)]
    return named or [f"{rv.name}_dim_{i}" for i in range(len(shape))]
