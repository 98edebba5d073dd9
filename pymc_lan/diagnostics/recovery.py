"""What a calibration study says: recovery, coverage and TARP, as tables."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.study import check_study, judged
from pymc_lan.errors import explain

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]

LEVELS = tuple(np.arange(1, 20) / 20)
# Counts that a right posterior gives in so many of all studies lie between `low` and `high`.
BAND = 0.95
# Chains of a fit that are further apart have not met; fits of a study are short, so less than this may be noise.
APART = 1.1


def recovery(dt: Any) -> pd.DataFrame:
    """How well a study's parameters were recovered, and whether their posteriors are calibrated.

    Parameters
    ----------
    dt : xarray.DataTree
        From `sbc`.

    Returns
    -------
    pandas.DataFrame
        One row for every parameter. ``r``: correlation of truth and posterior mean. ``bias``: mean of posterior mean
        less truth, in units of the prior's standard deviation. ``z_mean`` and ``z_sd``: of (posterior mean - truth) /
        posterior sd, 0 and close to 1 where all is well; ``contraction``: 1 less the posterior variance over that of
        the prior, median: 0 where data say nothing, near 1 where they say all (Betancourt 2018, arXiv:1803.08393).
        ``coverage_90``: share of 90 % intervals that hold the truth. ``p_uniform``: of arviz-stats' uniformity test
        (``uniformity_test``, method pot_c); small where the posterior is wrong.

    Raises
    ------
    ValueError
        If `dt` is not a calibration study.

    Warns
    -----
    UserWarning
        Where the chains of a fit have not met.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> def build():
    ...     with pm.Model() as model:
    ...         pm.Normal("y", pm.Normal("mu", 0, 1), 1, observed=np.zeros(5))
    ...     return model
    >>> dt = pl.diagnostics.sbc(build, 10, draws=100, tune=100, progressbar=False)
    >>> pl.diagnostics.recovery(dt).index.tolist()
    ['mu']
    """
    import pandas as pd
    from arviz_stats.base import array_stats

    rows = {}
    _warn_of_chains(dt)
    for each in judged(dt):
        name, pit, truth, mean, _ = each
        prior = truth.std(ddof=1)
        # What the prior holds fixed is known before any data.
        unit, constant = (prior, False) if prior > 0 else (1.0, True)
        rows[name] = {
            "r": np.nan if constant or mean.std() == 0 else np.corrcoef(truth, mean)[0, 1],
            "bias": ((mean - truth) / unit).mean(),
            "z_mean": each.z.mean(),
            "z_sd": each.z.std(ddof=1),
            "contraction": np.median(each.contraction),
            "coverage_90": each.covered(0.9).mean(),
            "p_uniform": float(array_stats.uniformity_test(pit)[0]),
        }
    return pd.DataFrame(rows).T


def coverage(dt: Any, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """How often central intervals hold the truth.

    Parameters
    ----------
    dt : xarray.DataTree
        From `sbc`.
    levels : sequence of float
        Between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        Columns ``parameter``, ``level``, ``coverage`` and, between which a right posterior's coverage lies in 95 of 100
        studies of this size, ``low`` and ``high`` (binomial).

    Raises
    ------
    ValueError
        If `dt` is not a calibration study, or for levels outside 0 to 1.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> def build():
    ...     with pm.Model() as model:
    ...         pm.Normal("y", pm.Normal("mu", 0, 1), 1, observed=np.zeros(5))
    ...     return model
    >>> dt = pl.diagnostics.sbc(build, 10, draws=100, tune=100, progressbar=False)
    >>> pl.diagnostics.coverage(dt, [0.5, 0.9])["level"].tolist()
    [0.5, 0.9]
    """
    import pandas as pd

    tables = [_curve(np.abs(2 * pit - 1), levels).assign(parameter=name) for name, pit, *_ in judged(dt)]
    table = pd.concat(tables, ignore_index=True)
    return table[["parameter", *table.columns.drop("parameter")]]


def tarp(dt: Any, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Coverage of all parameters at once, by distances to random points (TARP).

    A credible region is the ball around a random point that holds a share of the posterior; over simulations it holds
    the truth as often as that share says (Lemos et al. 2023, arXiv:2302.03026). Points are the truths of other
    simulations, distances are in units of the prior's standard deviations.

    Parameters
    ----------
    dt : xarray.DataTree
        From `sbc`.
    levels : sequence of float
        Between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        Columns ``level``, ``coverage`` and, between which a right posterior's coverage lies in 95 of 100 studies of
        this size, ``low`` and ``high`` (binomial).

    Raises
    ------
    ValueError
        If `dt` is not a calibration study, or for levels outside 0 to 1.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> def build():
    ...     with pm.Model() as model:
    ...         pm.Normal("y", pm.Normal("mu", 0, 1), 1, observed=np.zeros(5))
    ...     return model
    >>> dt = pl.diagnostics.sbc(build, 10, draws=100, tune=100, progressbar=False)
    >>> pl.diagnostics.tarp(dt, [0.5])["level"].tolist()
    [0.5]
    """
    check_study(dt)
    return _curve(dt["sample_stats"]["tarp"].to_numpy().ravel(), levels)


def _curve(statistic: Float, levels: Sequence[float]) -> pd.DataFrame:
    """Share of a statistic below each level, beside what a uniform one gives."""
    import pandas as pd
    from scipy.stats import binom

    level, n = np.asarray(levels, np.float64), statistic.size
    if level.ndim != 1 or not np.all((level > 0) & (level < 1)):
        raise ValueError(explain("levels between 0 and 1", f"{levels}", "give shares, as in [0.5, 0.9]"))
    share = (statistic[:, None] <= level).mean(axis=0)
    low, high = (binom.ppf(q, n, level) / n for q in ((1 - BAND) / 2, (1 + BAND) / 2))
    return pd.DataFrame({"level": level, "coverage": share, "low": low, "high": high})


def _warn_of_chains(dt: Any) -> None:
    """Say of how many fits the chains have not met: what is measured then is the sampler."""
    check_study(dt)
    r_hat = dt["sample_stats"]["r_hat"].to_numpy().ravel()
    if apart := int((r_hat > APART).sum()):
        warnings.warn(
            f"The chains of {apart} of {r_hat.size} fits have not met (R-hat above {APART}, up to {r_hat.max():.2f}): "
            "their ranks are no calibration of the model. Give sbc more tune and draws, or another parametrisation.",
            stacklevel=3,
        )
