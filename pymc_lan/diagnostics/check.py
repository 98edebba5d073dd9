"""Checks of a fit: whether its chains met, whether it lies within the bounds, and what the network did to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.diagnostics.convergence import (
    LIMIT_DIVERGING,
    LIMIT_R_HAT,
    Convergence,
    convergence,
    deterministics,
    labels,
)
from pymc_lan.diagnostics.differences import Differences, differences
from pymc_lan.diagnostics.fitted_trials import (
    Parameters,
    Trials,
    chunks,
    find_trials,
    good_k,
    guess_probability,
    late_share,
    likelihood_of,
    log_likelihood,
    outside,
    sample_dims,
    say_all_outside,
)
from pymc_lan.errors import check_count, explain
from pymc_lan.networks.bounds import has_closed_form
from pymc_lan.numerics.pareto import ENOUGH_DRAWS, smooth

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]

# Posterior draws at which the exact likelihood is evaluated: where it has a closed form, and where it is solved for.
DRAWS_CLOSED_FORM, DRAWS_SOLVED = 1000, 200
# Draws whose parameters are looked at, and at which each trial is asked whether it was a guess.
DRAWS_LOOKED_AT, DRAWS_GUESSES = 1000, 200
# Of fewer draws nothing can be said.
LEAST_DRAWS = 4
# A divergence within this share of the bounds' distance from a bound is one near the bounds.
NEAR = 0.02
# More responses with t above rt than this are pointed out.
LIMIT_LATE = 0.001
# A shift of a posterior mean beyond this share of its standard deviation is more than Monte-Carlo error, and has to be
# known better than by as much.
LIMIT_SHIFT, LIMIT_ERROR = 0.1, 0.1
# Share of trials, over draws, whose exact likelihood is not known.
LIMIT_UNKNOWN = 0.01
# Parameters that are printed.
SHOWN = 20


class Seen(NamedTuple):
    """What the parameters of one observed variable say, over draws.

    Parameters
    ----------
    outside, near : dict of str to ndarray of bool, shape (n_draws,)
    late : float
    guess : ndarray, shape (n_trials,), optional
    """

    outside: dict[str, NDArray[np.bool_]]
    near: dict[str, NDArray[np.bool_]]
    late: float
    guess: Float | None


@dataclass(frozen=True, slots=True)
class Check:
    """The result of `check`.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for every check: ``variable``, ``check``, ``value``, ``limit`` and ``ok``; R-hat, effective draws (whose
        limit is the least) and divergences come first.
    means : pandas.DataFrame
        One row for every parameter, and for what is computed from them (unless for each trial): mean and sd of the
        posterior as sampled, mean and sd corrected to the exact likelihood, the shift of the mean in units of the
        corrected sd, and two standard errors of this shift, from the draws and trials that were looked at. NaN where
        nothing is known.
    weights : xarray.DataArray
        Smoothed importance weights from the network's posterior to the exact one, which sum to 1; dimension ``sample``
        with coordinates ``chain`` and ``draw`` of the draws that were looked at.
    pareto_k : float
        Of these weights; NaN where there were too few draws, or nothing to compare with.
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
        first = self.means["shift_in_sd"].abs().argsort()[::-1] if len(self.means) > SHOWN else range(len(self.means))
        means = self.means.iloc[first[:SHOWN]].to_string(float_format=lambda x: f"{x:.3g}")
        more = f"\n... and {len(self.means) - SHOWN} more in .means" if len(self.means) > SHOWN else ""
        return f"{table}\n\n{means}{more}\n\n{self.verdict}"


def check(
    idata: Any, model: Any, *, n_draws: int | None = None, seconds: float = 60.0, progressbar: bool = True
) -> Check:
    """Check a fit: whether its chains met, bounds, onsets, guesses, and what the network did to the posterior.

    The exact likelihood is evaluated at posterior draws: its closed form or, where there is none, solutions of the
    model's equations. Weights of exact over approximate likelihood, Pareto-smoothed (Vehtari et al. 2024, JMLR 25(72)),
    turn the posterior that was sampled into the exact one, as long as their Pareto k is below its limit. Where there is
    no time for all trials, a sample of them is looked at; what that adds to the error of a mean is said.

    Parameters
    ----------
    idata : xarray.DataTree
        From ``pm.sample``.
    model : pymc.Model
        The model that was sampled, hierarchical or not, with observed trials of this package.
    n_draws : int, optional
        Posterior draws to look at, evenly spaced; by default 1,000 where every likelihood has a closed form, else 200.
    seconds : float
        How long the exact likelihood may take; ``np.inf`` for all trials at all of these draws.
    progressbar : bool
        Whether what takes longer shows how far it is.

    Returns
    -------
    Check

    Raises
    ------
    ValueError
        For a model without our trials, a posterior of another model, or fewer than four draws.

    Notes
    -----
    Of a model that is known by a simulator or by a network alone, `ChoiceDist` among them, there is no exact
    likelihood: chains, bounds and onsets are checked, and the verdict says that no more can be said.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc as pm, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=50, seed=1)
    >>> with pm.Model() as model:
    ...     v = pm.Normal("v", 1, 1)
    ...     obs = pl.DDM("obs", v, 1.0, 0.5, 0.3, observed=df)
    >>> draws = np.random.default_rng(1).normal(1, 0.1, (4, 500))  # of pm.sample, in earnest
    >>> result = pl.check(az.from_dict({"posterior": {"v": draws}}), model)
    >>> result.means.columns.tolist()
    ['mean', 'sd', 'corrected_mean', 'corrected_sd', 'shift_in_sd', 'error_in_sd']
    >>> bool(result.table["ok"].all())
    True
    """
    trials, posterior = find_trials(model), sample_dims(idata, model)
    shape = next(iter(posterior.values())).shape[:2]
    n, rows = shape[0] * shape[1], _rows(trials, n_draws, shape)
    flat = {name: x.reshape(n, *x.shape[2:]) for name, x in posterior.items()}
    chains = convergence(idata, model)
    looked_at = _evenly(n, DRAWS_LOOKED_AT)
    seen = _look(model, trials, {name: x[looked_at] for name, x in flat.items()})
    compared = None
    if not any(_unknown(each) for each in trials):
        some = {name: x[rows] for name, x in flat.items()}
        compared = differences(model, trials, some, seconds, progressbar=progressbar)
        rows = rows[compared.rows]
    log_ratio = compared.log_ratio if compared is not None else np.zeros(rows.size)
    weights, pareto_k = smooth(log_ratio) if compared is not None else (np.full(rows.size, 1 / rows.size), np.nan)
    most = max(each.rt.size for each in trials)
    every = flat | {name: x.reshape(n, *x.shape[2:]) for name, x in deterministics(idata, model, most).items()}
    means = _means(every, rows, labels(idata, every), weights, compared, chains)
    table = _table(trials, seen, chains, looked_at, compared, pareto_k, means)
    guesses = {each.name: found.guess for each, found in zip(trials, seen, strict=True) if found.guess is not None}
    words = [*chains.complaints, *_said(trials, seen, table)]
    blessed = not chains.doubtful and not any(x.any() for each in seen for x in each.outside.values())
    words.append(_network(trials, compared, pareto_k, means) if blessed or compared is None else _NOT_SAID)
    return Check(table, means, _labelled(weights, rows, shape, idata), pareto_k, guesses, " ".join(words))


def _rows(trials: Sequence[Trials], n_draws: int | None, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """The draws at which likelihoods are compared."""
    n, closed = shape[0] * shape[1], all(has_closed_form(each.op) for each in trials)
    usual = DRAWS_CLOSED_FORM if closed else DRAWS_SOLVED
    wanted = usual if n_draws is None else check_count("n_draws", n_draws, 0)
    if wanted < LEAST_DRAWS:
        expected = f"n_draws of {LEAST_DRAWS} or more, of which something can be said"
        raise ValueError(explain(expected, f"{wanted}", f"leave it out, or give {ENOUGH_DRAWS} or more"))
    if n < LEAST_DRAWS:
        expected = f"a posterior of {LEAST_DRAWS} draws or more"
        raise ValueError(
            explain(expected, f"{shape[0]} chains of {shape[1]} draws", "pass the whole result of pm.sample")
        )
    return _evenly(n, wanted)


def _evenly(n: int, wanted: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, n - 1, min(n, wanted)).round().astype(int))


def _unknown(trials: Trials) -> bool:
    """Whether nothing but a simulator or somebody's network is known of the model."""
    return trials.op.spec.exact is None and trials.op.spec.labels is None


def _look(model: Any, trials: Sequence[Trials], draws: dict[str, Float]) -> list[Seen]:
    """Go through the draws once, a few at a time."""
    n = len(next(iter(draws.values())))
    every = -(-n // DRAWS_GUESSES)
    parts: list[list[tuple[int, Seen]]] = [[] for _ in trials]
    for rows, parameters in chunks(model, trials, draws):
        for part, each, values in zip(parts, trials, parameters, strict=True):
            part.append((rows.size, _see(each, values, rows % every == 0)))
    return [_join(each) for each in parts]


def _see(trials: Trials, parameters: Parameters, asked: NDArray[np.bool_]) -> Seen:
    op, guess = trials.op, None
    if op.lapses and asked.any():
        some = {name: x[asked] for name, x in parameters.items()}
        own = log_likelihood(trials, likelihood_of(op), some)
        guess = guess_probability(trials, some, own).sum(axis=0) / asked.sum()
    near = outside(trials, parameters, NEAR)
    return Seen(outside(trials, parameters), near, late_share(trials, parameters), guess)


def _join(parts: Sequence[tuple[int, Seen]]) -> Seen:
    """What several chunks of draws say together; shares are weighted by their draws."""
    sizes, every = [size for size, _ in parts], [part for _, part in parts]

    def flags(kind: str) -> dict[str, NDArray[np.bool_]]:
        found = [getattr(part, kind) for part in every]
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}

    guesses = [(size, part.guess) for size, part in parts if part.guess is not None]
    guess = np.average([x for _, x in guesses], axis=0, weights=[size for size, _ in guesses]) if guesses else None
    return Seen(flags("outside"), flags("near"), float(np.average([x.late for x in every], weights=sizes)), guess)


def _means(
    draws: dict[str, Float],
    rows: NDArray[np.intp],
    names: dict[str, list[str]],
    weights: Float,
    compared: Differences | None,
    chains: Convergence,
) -> pd.DataFrame:
    """Means as sampled, by all draws, and corrected; what is the same in all draws has no shift."""
    import pandas as pd

    result = {}
    for name, x in draws.items():
        for label, every in zip(names[name], x.reshape(len(x), -1).T, strict=True):
            values, mean = every[rows], every.mean()
            corrected: Any = mean
            shift: Any = np.nan
            error: Any = np.nan
            sd: Any = np.nan
            if compared is not None and np.ptp(every) > 0:
                centre = weights @ values
                sd = np.sqrt(weights @ (values - centre) ** 2)
                with np.errstate(divide="ignore", invalid="ignore"):
                    shift = (centre - values.mean()) / sd
                    # By how much the estimate leans on each draw.
                    lean = rows.size * weights * (values - centre) - (values - values.mean())
                    independent = np.fmin(rows.size, chains.ess.get(label, chains.fewest[1]))
                    error = np.hypot(2 * np.sqrt(np.mean(lean**2) / independent) / sd, compared.sampling_error)
                # The draws that were not looked at are as far from their corrected mean.
                corrected = mean + shift * sd
            elif compared is None:
                corrected = np.nan
            result[label] = (mean, every.std(), corrected, sd, shift, error)
    columns = ["mean", "sd", "corrected_mean", "corrected_sd", "shift_in_sd", "error_in_sd"]
    return pd.DataFrame(result, index=columns).T


def _table(
    trials: Sequence[Trials],
    seen: Sequence[Seen],
    chains: Convergence,
    looked_at: NDArray[np.intp],
    compared: Differences | None,
    pareto_k: float,
    means: pd.DataFrame,
) -> pd.DataFrame:
    """One row for each check; a limit of NaN stands where there is nothing to exceed."""
    import pandas as pd

    (who, r_hat), (fewest, ess) = chains.worst_r_hat, chains.fewest
    rows: list[tuple[str, str, float, float]] = [
        ("posterior", f"largest R-hat ({who})" if who else "largest R-hat", r_hat, LIMIT_R_HAT),
        ("posterior", f"fewest effective draws ({fewest})" if fewest else "fewest effective draws", ess, chains.least),
        ("posterior", "draws that diverged", float(chains.diverging.mean()), LIMIT_DIVERGING),
        ("posterior", "parameters that are the same in all draws", len(chains.constant), 0),
    ]
    diverging = chains.diverging[looked_at]
    for i, (each, found) in enumerate(zip(trials, seen, strict=True)):
        rows += [(each.name, f"draws with {name} outside", x.mean(), 0.0) for name, x in found.outside.items()]
        # With lapses, early responses are guesses, which the model has a place for.
        rows.append((each.name, "responses before t", found.late, np.nan if each.op.lapses else LIMIT_LATE))
        if found.guess is not None:
            rows.append((each.name, "trials that are guesses", float(found.guess.mean()), np.nan))
        near = np.any(list(found.near.values()), axis=0)
        share = float((near & diverging).sum() / diverging.sum()) if diverging.any() else 0.0
        rows.append((each.name, "divergences that are near bounds", share, np.nan))
        if each.op.lan is not None and compared is not None:
            rows.append((each.name, "trials without a label", compared.unknown[i], LIMIT_UNKNOWN))
            errors = compared.errors[i] if compared.errors[i].size else np.array([np.nan])
            for what, x in (("mean", errors.mean()), ("p99", np.quantile(errors, 0.99))):
                rows.append((each.name, f"error of the log likelihood per trial, {what}", float(x), np.nan))
    if compared is not None:
        rows += [
            ("posterior", "draws whose exact likelihood was looked at", compared.rows.size, np.nan),
            ("posterior", "trials that were looked at, share", compared.n_trials / compared.of, np.nan),
            ("posterior", "sd of the log ratio exact / network", float(compared.log_ratio.std()), np.nan),
            ("posterior", "Pareto k of the correction", pareto_k, good_k(compared.rows.size)),
            ("posterior", "largest shift of a mean by the correction, in sd", _largest(means, "shift"), LIMIT_SHIFT),
            ("posterior", "largest error of a shift, in sd", _largest(means, "error"), LIMIT_ERROR),
        ]
    table = pd.DataFrame(rows, columns=["variable", "check", "value", "limit"])
    # What is not known is not good. Of effective draws the limit is the least.
    least = table["check"].str.startswith("fewest")
    good = (table["value"] <= table["limit"]).where(~least, table["value"] >= table["limit"])
    return table.assign(ok=table["limit"].isna() | good)


def _largest(means: pd.DataFrame, what: str) -> float:
    return float(means[f"{what}_in_sd"].abs().max())


def _labelled(weights: Float, rows: NDArray[np.intp], shape: tuple[int, ...], idata: Any) -> Any:
    import xarray as xr

    chain, draw = np.unravel_index(rows, shape)
    posterior = idata["posterior"]
    coords = {name: ("sample", posterior[name].to_numpy()[at]) for name, at in (("chain", chain), ("draw", draw))}
    return xr.DataArray(weights, dims="sample", coords=coords, name="weights")


_REMEDIES = {
    "before t": "Responses come before the non-decision time, which the model rules out: let some trials be guesses "
    "(p_lapse), or take a model whose non-decision time varies.",
    "without a label": "What is said of the exact likelihood leaves out trials whose exact likelihood is not known.",
}
_NOT_SAID = "What the network did to the posterior is not said of such draws: mend that first, and check again."


def _said(trials: Sequence[Trials], seen: Sequence[Seen], table: pd.DataFrame) -> list[str]:
    """What the parameters and trials say, in words."""
    failed = set(table.loc[~table["ok"], "check"])
    words = say_all_outside(trials, [each.outside for each in seen])
    return words + [text for key, text in _REMEDIES.items() if any(key in each for each in failed)]


def _network(trials: Sequence[Trials], compared: Differences | None, pareto_k: float, means: pd.DataFrame) -> str:
    """What the network did to the posterior, in words."""
    if compared is None:
        names = ", ".join(dict.fromkeys(repr(each.op.spec.name) for each in trials if _unknown(each)))
        return (
            f"Cannot say what the network did to the posterior: {names} is known by a simulator or a network alone, so "
            "there is no exact likelihood. Look at pl.diagnostics.accuracy_from_simulations, and at pl.diagnostics.sbc."
        )
    size, limit = compared.rows.size, good_k(compared.rows.size)
    worst, error = means["shift_in_sd"].abs().fillna(-1).idxmax(), _largest(means, "error")
    shift, k = float(means["shift_in_sd"].abs()[worst]), f"Pareto k = {pareto_k:.2f}, at most {limit:.2f}"
    at = f"{size} draws and {compared.n_trials} of {compared.of} trials"
    if np.isnan(pareto_k):
        return (
            f"Too few draws ({size}) to say what the network did to the posterior: {ENOUGH_DRAWS} or more are needed. "
            "Raise n_draws, or the seconds that it may take."
        )
    if pareto_k > limit:
        return (
            f"The network's posterior is too far from the exact one to be corrected ({k}): the corrected means are not "
            "to be trusted. Sample again with likelihood='exact' or a better network."
        )
    if not error <= LIMIT_ERROR:
        return (
            f"Cannot say what the network did to the posterior: from {at}, shifts of means are known to +-{error:.2f} "
            f"standard deviations only. Raise n_draws, the seconds that it may take, or the draws of pm.sample."
        )
    if shift > LIMIT_SHIFT:
        return (
            f"The network moved a posterior mean by {shift:.2f} of its standard deviation ({worst}; +-{error:.2f}, "
            f"from {at}); the corrected means are right ({k}). Use them and the weights."
        )
    bound = float((means["shift_in_sd"].abs() + means["error_in_sd"]).max())
    return f"The posterior is the exact one but for at most {bound:.3f} standard deviations in a mean (from {at}; {k})."
