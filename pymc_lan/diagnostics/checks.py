"""Checks of a fit: what the network's approximation did to a posterior, and what its trials say of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.diagnostics.trials import (
    Parameters,
    Trials,
    chunks,
    exact_log_likelihood,
    find_trials,
    good_k,
    guess_probability,
    has_closed_form,
    late_share,
    log_likelihood,
    outside,
    sample_dims,
)
from pymc_lan.dynamics import unknown_dynamics
from pymc_lan.errors import explain
from pymc_lan.likelihood import Likelihood
from pymc_lan.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]

# Posterior draws at which the exact likelihood is evaluated: where it has a closed form, and where it is solved for.
DRAWS_CLOSED_FORM, DRAWS_SOLVED = 1000, 100
# Fewer draws have no tail that a Pareto distribution can be fitted to.
LEAST_DRAWS = 100
# A divergence within this share of the bounds' distance from a bound is one near the bounds.
NEAR = 0.02
# More draws outside the bounds, or of trials with t above rt, than this are pointed out.
LIMIT_OUTSIDE, LIMIT_LATE, LIMIT_DIVERGING = 0.001, 0.001, 0.001
# A shift of a posterior mean beyond this share of its standard deviation is more than Monte-Carlo error.
LIMIT_SHIFT = 0.1
# Share of trials, over draws, whose exact likelihood is not known.
LIMIT_UNKNOWN = 0.01
# Errors are summarised over at most so many values.
MOST_ERRORS = 1_000_000


class Measured(NamedTuple):
    """What is found for one observed variable, over draws.

    Parameters
    ----------
    outside, near : dict of str to ndarray of bool, shape (n_draws,)
    late : float
    guess : ndarray, shape (n_trials,), optional
    error : ndarray
    unknown : float
        Share of trials and draws without a label.
    log_ratio : ndarray, shape (n_draws,)
    """

    outside: dict[str, NDArray[np.bool_]]
    near: dict[str, NDArray[np.bool_]]
    late: float
    guess: Float | None
    error: Float
    unknown: float
    log_ratio: Float


@dataclass(frozen=True, slots=True)
class Check:
    """The result of `check`.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for every check: ``variable``, ``check``, ``value``, ``limit`` and ``ok``.
    means : pandas.DataFrame
        One row for every parameter: mean and sd of the posterior as sampled, mean and sd corrected to the exact
        likelihood, and the shift of the mean in units of the corrected sd.
    weights : xarray.DataArray
        Smoothed importance weights from the network's posterior to the exact one, which sum to 1; dimension ``sample``
        with coordinates ``chain`` and ``draw`` of the draws that were looked at.
    pareto_k : float
        Of these weights; NaN where there were too few draws.
    guesses : dict of str to ndarray, shape (n_trials,)
        By observed variable with lapses: the posterior probability that each trial was a guess.
    verdict : str
        All of it in words.
    """

    table: pd.DataFrame
    means: pd.DataFrame
    weights: Any
    pareto_k: float
    guesses: dict[str, Float]
    verdict: str

    def __repr__(self) -> str:
        table = self.table.to_string(index=False, float_format=lambda x: f"{x:.3g}")
        return f"{table}\n\n{self.means.to_string(float_format=lambda x: f'{x:.3g}')}\n\n{self.verdict}"


def check(idata: Any, model: Any, *, n_draws: int | None = None) -> Check:
    """Check a fit: bounds, onsets, guesses, divergences, and what the network did to the posterior.

    The exact likelihood is evaluated at posterior draws: its closed form or, where there is none, solutions of the
    model's equations. Weights of exact over approximate likelihood, Pareto-smoothed (Vehtari et al. 2024, JMLR 25(72)),
    turn the posterior that was sampled into the exact one, as long as their Pareto k is below its limit.

    Parameters
    ----------
    idata : xarray.DataTree
        From ``pm.sample``.
    model : pymc.Model
        The model that was sampled, hierarchical or not, with observed trials of this package.
    n_draws : int, optional
        Posterior draws to look at, evenly spaced; by default 1,000 where every likelihood has a closed form, else 100:
        solving takes a few milliseconds for each draw and each distinct set of parameters in it.

    Returns
    -------
    Check

    Raises
    ------
    ValueError
        For a model without our trials, or a posterior of another model.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc as pm, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=50, seed=1)
    >>> with pm.Model() as model:
    ...     v = pm.Normal("v", 1, 1)
    ...     obs = pl.DDM("obs", v, 1.0, 0.5, 0.3, observed=df)
    >>> draws = np.random.default_rng(1).normal(1, 0.1, (2, 100))  # of pm.sample, in earnest
    >>> result = pl.check(az.from_dict({"posterior": {"v": draws}}), model)
    >>> result.means.columns.tolist()
    ['mean', 'sd', 'corrected_mean', 'corrected_sd', 'shift_in_sd']
    >>> bool(result.table["ok"].all())
    True
    """
    trials, posterior = find_trials(model), sample_dims(idata, model)
    for each in trials:
        _require_known(each.op.spec)
    closed = all(has_closed_form(each.op) for each in trials)
    wanted = n_draws if n_draws is not None else DRAWS_CLOSED_FORM if closed else DRAWS_SOLVED
    if wanted < 1:
        raise ValueError(explain("n_draws of 1 or more", f"{wanted}", "raise it, or leave it out"))
    shape = next(iter(posterior.values())).shape[:2]
    n = shape[0] * shape[1]
    rows = np.unique(np.linspace(0, n - 1, min(n, wanted)).round().astype(int))
    draws = {name: x.reshape(n, *x.shape[2:])[rows] for name, x in posterior.items()}
    measured = _measure(model, trials, draws)
    log_ratio = np.sum([each.log_ratio for each in measured], axis=0)
    weights, pareto_k = smooth(log_ratio)
    means = _means(draws, weights)
    table = _table(trials, measured, _diverging(idata, rows), log_ratio, pareto_k, means)
    guesses = {each.name: m.guess for each, m in zip(trials, measured, strict=True) if m.guess is not None}
    return Check(
        table, means, _labelled(weights, rows, shape, idata), pareto_k, guesses, _verdict(table, pareto_k, rows)
    )


def _require_known(spec: ModelSpec) -> None:
    """Refuse a model of which nothing but a simulator or somebody's network is known."""
    if spec.drift is unknown_dynamics:
        raise ValueError(
            explain(
                "a model with a closed form, or with equations to solve, whose network can be compared with it",
                f"{spec.name!r}, known by a simulator or a network alone",
                "look at pl.diagnostics.accuracy, and at pl.diagnostics.sbc",
            )
        )


def _measure(model: Any, trials: Sequence[Trials], draws: dict[str, Float]) -> list[Measured]:
    """Go through the draws once, a few at a time."""
    n = len(next(iter(draws.values())))
    parts: list[list[Measured]] = [[] for _ in trials]
    for _, parameters in chunks(model, trials, draws):
        for part, each, values in zip(parts, trials, parameters, strict=True):
            every = max(1, n * each.rt.size // MOST_ERRORS)
            # Without a common factor, so that not the same trials are looked at in each draw.
            while math.gcd(every, each.rt.size) > 1:
                every += 1
            part.append(_measure_chunk(each, values, every))
    return [_join(each) for each in parts]


def _measure_chunk(trials: Trials, parameters: Parameters, every: int) -> Measured:
    op = trials.op
    own = log_likelihood(trials, Likelihood(op.spec, op.lan, op.choice), parameters)
    exact = exact_log_likelihood(trials, parameters) if op.lan is not None else own
    # What is impossible for both is no difference.
    same = own == exact
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, exact - own)
    unknown = np.isnan(difference)
    log_ratio = np.where(unknown, 0.0, difference).sum(axis=-1)
    guess = guess_probability(trials, parameters, own).mean(axis=0) if op.lapses else None
    error = np.abs(difference).ravel()[::every]
    return Measured(
        outside(trials, parameters),
        outside(trials, parameters, NEAR),
        late_share(trials, parameters),
        guess,
        error[np.isfinite(error)],
        float(unknown.mean()),
        log_ratio,
    )


def _join(parts: Sequence[Measured]) -> Measured:
    """What several chunks of draws say together; shares are weighted by their draws."""
    sizes = [part.log_ratio.size for part in parts]

    def mean(values: Sequence[Any]) -> Any:
        return np.average(np.stack(values), axis=0, weights=sizes)

    def flags(kind: str) -> dict[str, NDArray[np.bool_]]:
        every = [getattr(part, kind) for part in parts]
        return {name: np.concatenate([each[name] for each in every]) for name in every[0]}

    guesses = [part.guess for part in parts if part.guess is not None]
    return Measured(
        flags("outside"),
        flags("near"),
        float(mean([part.late for part in parts])),
        mean(guesses) if guesses else None,
        np.concatenate([part.error for part in parts]),
        float(mean([part.unknown for part in parts])),
        np.concatenate([part.log_ratio for part in parts]),
    )


def smooth(log_ratio: Float) -> tuple[Float, float]:
    """Pareto-smoothed weights that sum to one, and their Pareto k."""
    from arviz_stats.base import array_stats

    if log_ratio.size < LEAST_DRAWS or np.ptp(log_ratio) == 0:
        weights = np.exp(log_ratio - log_ratio.max())
        return weights / weights.sum(), 0.0 if np.ptp(log_ratio) == 0 else np.nan
    # It takes log likelihoods whose inverse is the weight, as leaving one out needs it.
    log_weights, pareto_k = array_stats.psislw(-log_ratio)
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum(), float(pareto_k)


def _means(draws: dict[str, Float], weights: Float) -> pd.DataFrame:
    import pandas as pd

    rows = {}
    for name, x in draws.items():
        for place in np.ndindex(x.shape[1:]):
            values = x[(slice(None), *place)]
            corrected = weights @ values
            sd = np.sqrt(np.maximum(weights @ (values - corrected) ** 2, np.finfo(float).tiny))
            label = f"{name}[{', '.join(map(str, place))}]" if place else name
            shift = (corrected - values.mean()) / sd
            rows[label] = (values.mean(), values.std(), corrected, sd, shift)
    return pd.DataFrame(rows, index=["mean", "sd", "corrected_mean", "corrected_sd", "shift_in_sd"]).T


def _diverging(idata: Any, rows: NDArray[np.intp]) -> tuple[float, NDArray[np.bool_]]:
    """Share of divergences among all draws, and which of the given draws are."""
    if "sample_stats" not in idata.children or "diverging" not in idata["sample_stats"]:
        return 0.0, np.zeros(rows.size, bool)
    flags = idata["sample_stats"]["diverging"].transpose("chain", "draw").to_numpy().ravel().astype(bool)
    return float(flags.mean()), flags[rows]


def _table(
    trials: Sequence[Trials],
    measured: Sequence[Measured],
    diverging: tuple[float, NDArray[np.bool_]],
    log_ratio: Float,
    pareto_k: float,
    means: pd.DataFrame,
) -> pd.DataFrame:
    """One row for each check; a limit of NaN stands where there is nothing to exceed."""
    import pandas as pd

    rows: list[tuple[str, str, float, float]] = []
    for each, found in zip(trials, measured, strict=True):
        rows += [
            (each.name, f"draws with {name} outside", x.mean(), LIMIT_OUTSIDE) for name, x in found.outside.items()
        ]
        # With lapses, early responses are guesses, which the model has a place for.
        rows.append((each.name, "responses before t", found.late, np.nan if each.op.lapses else LIMIT_LATE))
        if found.guess is not None:
            rows.append((each.name, "trials that are guesses", float(found.guess.mean()), np.nan))
        near = np.any(list(found.near.values()), axis=0)
        flags = diverging[1]
        share = float((near & flags).sum() / flags.sum()) if flags.any() else 0.0
        rows.append((each.name, "divergences that are near bounds", share, np.nan))
        if each.op.lan is not None:
            rows.append((each.name, "trials without a label", found.unknown, LIMIT_UNKNOWN))
            errors = found.error if found.error.size else np.array([np.nan])
            for what, x in (("mean", errors.mean()), ("p99", np.quantile(errors, 0.99))):
                rows.append((each.name, f"error of the log likelihood per trial, {what}", float(x), np.nan))
    rows += [
        ("posterior", "draws that diverged", diverging[0], LIMIT_DIVERGING),
        ("posterior", "sd of the log ratio exact / network", float(log_ratio.std()), np.nan),
        ("posterior", "Pareto k of the correction", pareto_k, good_k(log_ratio.size)),
        ("posterior", "largest shift of a mean by the correction, in sd", _largest(means), LIMIT_SHIFT),
    ]
    table = pd.DataFrame(rows, columns=["variable", "check", "value", "limit"])
    # An unknown Pareto k is no good one.
    exceeded = table["limit"].notna() & ~(table["value"] <= table["limit"])
    return table.assign(ok=~exceeded)


def _largest(means: pd.DataFrame) -> float:
    return float(means["shift_in_sd"].abs().max())


def _labelled(weights: Float, rows: NDArray[np.intp], shape: tuple[int, ...], idata: Any) -> Any:
    import xarray as xr

    chain, draw = np.unravel_index(rows, shape)
    posterior = idata["posterior"]
    coords = {name: ("sample", posterior[name].to_numpy()[at]) for name, at in (("chain", chain), ("draw", draw))}
    return xr.DataArray(weights, dims="sample", coords=coords, name="weights")


_REMEDIES = {
    "outside": "Draws leave the bounds the network was trained on: narrow the priors, or use likelihood='exact'.",
    "before t": "Responses come before the non-decision time: let some trials be guesses (p_lapse).",
    "without a label": "What is said of the exact likelihood leaves out trials whose exact likelihood is not known.",
    "diverged": "Draws diverged: raise target_accept, or look at the parametrisation.",
}


def _verdict(table: pd.DataFrame, pareto_k: float, rows: NDArray[np.intp]) -> str:
    """Put the table into words, the worst news last."""
    failed = set(table.loc[~table["ok"], "check"])
    words = [text for key, text in _REMEDIES.items() if any(key in each for each in failed)]
    shift, limit = table["value"].iloc[-1], good_k(rows.size)
    if np.isnan(pareto_k):
        words.append(f"Too few draws ({rows.size}) to say what the network did to the posterior: raise n_draws.")
    elif pareto_k > limit:
        words.append(
            f"The network's posterior is too far from the exact one to be corrected (Pareto k = {pareto_k:.2f}, at "
            f"most {limit:.2f}): the corrected means are not to be trusted. Sample again with likelihood='exact' or a "
            "better network."
        )
    elif shift > LIMIT_SHIFT:
        words.append(
            f"The network moved a posterior mean by {shift:.2f} of its standard deviation; the corrected means are "
            f"right (Pareto k = {pareto_k:.2f}, at most {limit:.2f}). Use them and the weights."
        )
    else:
        words.append(
            f"The posterior is the exact one but for at most {shift:.3f} standard deviations in a mean "
            f"(Pareto k = {pareto_k:.2f}, at most {limit:.2f})."
        )
    return " ".join(words)
