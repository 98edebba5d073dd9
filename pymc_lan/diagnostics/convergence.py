"""Whether chains have met: R-hat, effective draws and divergences, of every parameter by its own name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.diagnostics.fitted_trials import sample_dims

Float = NDArray[np.float64]

# The limits of Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021), Bayesian Analysis 16, 667-718.
LIMIT_R_HAT, LEAST_PER_CHAIN = 1.01, 100
# More divergences than one in a thousand draws are no chance.
LIMIT_DIVERGING = 0.001
ADVICE = "Sample longer, start at pl.initvals, or look at the parametrisation."


@dataclass(frozen=True, slots=True)
class Convergence:
    """What the chains say of themselves.

    Parameters
    ----------
    n_chains : int
    r_hat, ess : dict of str to float
        By parameter, of those that move; NaN where too few draws say nothing. Of one chain there is no R-hat.
    constant : list of str
        Parameters that are the same in all draws.
    diverging : ndarray of bool, shape (n_draws,)
        Of all draws, chain after chain.
    advice : str
        What to do where chains have not met.
    """

    n_chains: int
    r_hat: dict[str, float]
    ess: dict[str, float]
    constant: list[str]
    diverging: NDArray[np.bool_]
    advice: str = ADVICE

    @property
    def worst_r_hat(self) -> tuple[str, float]:
        """The parameter whose chains are furthest apart."""
        return _first(self.r_hat, -1)

    @property
    def fewest(self) -> tuple[str, float]:
        """The parameter with the fewest effective draws."""
        return _first(self.ess, 1)

    @property
    def least(self) -> int:
        """Effective draws that so many chains should have."""
        return LEAST_PER_CHAIN * self.n_chains

    @property
    def apart(self) -> str:
        """A sentence where chains have not met; empty where they have, or where there is one."""
        who, r_hat = self.worst_r_hat
        if self.n_chains == 1 or not self.r_hat or r_hat <= LIMIT_R_HAT:
            return ""
        return (
            f"The chains have not met: R-hat is up to {r_hat:.4f} ({who}; at most {LIMIT_R_HAT}), so these draws "
            f"are no posterior. {self.advice}"
        )

    @property
    def complaints(self) -> list[str]:
        """What is wrong, a sentence each; most serious first."""
        (fewest, ess), words = self.fewest, []
        if self.constant:
            shown = ", ".join(self.constant[:5]) + (" and others" if len(self.constant) > 5 else "")
            words.append(f"The same in every draw, so that nothing was sampled: {shown}.")
        if self.n_chains == 1:
            words.append("One chain cannot say whether another would end elsewhere: sample with chains=4.")
        if self.apart:
            words.append(self.apart)
        if self.ess and not ess >= self.least:
            words.append(f"Few effective draws: {ess:.0f} ({fewest}; at least {self.least}). Sample longer.")
        if self.diverging.mean() > LIMIT_DIVERGING:
            words.append(
                f"{self.diverging.sum()} of {self.diverging.size} draws diverged, so a part of the posterior may be "
                "missing: raise target_accept, or look at the parametrisation."
            )
        return words

    @property
    def doubtful(self) -> bool:
        """Whether the draws may be no posterior; few effective ones are only imprecise."""
        many = bool(self.diverging.mean() > LIMIT_DIVERGING)
        return bool(self.apart) or self.n_chains == 1 or bool(self.constant) or many


def _first(values: dict[str, float], sign: int) -> tuple[str, float]:
    """The name with the smallest value times `sign`; a value that is not known counts as smaller than all others."""
    if not values:
        return "", np.nan
    return min(values.items(), key=lambda item: -np.inf if np.isnan(item[1]) else sign * item[1])


def convergence(idata: Any, model: Any) -> Convergence:
    """Judge the draws of every free variable of a model.

    Parameters
    ----------
    idata : xarray.DataTree
    model : pymc.Model

    Returns
    -------
    Convergence
    """
    from arviz_stats.base import array_stats

    draws, names = sample_dims(idata, model), labels(idata, [rv.name for rv in model.free_RVs])
    flat = {
        label: x.reshape(*x.shape[:2], -1)[..., k] for name, x in draws.items() for k, label in enumerate(names[name])
    }
    n_chains, n_draws = next(iter(flat.values())).shape
    moving = {label: x for label, x in flat.items() if np.ptp(x) > 0}
    r_hat, ess = dict.fromkeys(moving, np.nan), dict.fromkeys(moving, np.nan)
    # Of fewer there is neither.
    if n_draws >= 4 and moving:
        every = np.stack([*moving.values()])
        ess = dict(zip(moving, _each(array_stats.ess(every)), strict=True))
        if n_chains > 1:
            r_hat = dict(zip(moving, _each(array_stats.rhat(every)), strict=True))
    return Convergence(
        n_chains, r_hat, ess, [x for x in flat if x not in moving], _diverging(idata, n_chains * n_draws)
    )


def _each(values: Any) -> list[float]:
    return np.asarray(values, np.float64).ravel().tolist()


def _diverging(idata: Any, n: int) -> NDArray[np.bool_]:
    if "sample_stats" not in idata.children or "diverging" not in idata["sample_stats"]:
        return np.zeros(n, bool)
    return idata["sample_stats"]["diverging"].transpose("chain", "draw").to_numpy().ravel().astype(bool)


def deterministics(idata: Any, model: Any, fewer: int) -> dict[str, Float]:
    """Draws of what a model computes from its free variables, of shape (n_chains, n_draws, ...).

    Those of so many values or more are computed for each trial, and left out.
    """
    posterior = idata["posterior"]
    names = [rv.name for rv in model.deterministics if rv.name in posterior]
    found = {name: posterior[name].transpose("chain", "draw", ...).to_numpy() for name in names}
    return {name: x for name, x in found.items() if x[0, 0].size < fewer}


def labels(idata: Any, names: Iterable[str]) -> dict[str, list[str]]:
    """What the values of variables are called, by their coordinates, as in ``v[ann]``."""
    result = {}
    for name in names:
        whole = idata["posterior"][name].transpose("chain", "draw", ...)
        places = [whole[dim].to_numpy() for dim in whole.dims[2:]]
        result[name] = [
            f"{name}[{', '.join(str(at[i]) for at, i in zip(places, place, strict=True))}]" if place else name
            for place in np.ndindex(whole.shape[2:])
        ]
    return result
