"""Where truths lie among posterior draws, and what a posterior has learned: figures of a calibration study."""

from __future__ import annotations

from typing import Any

import numpy as np

from pymc_lan.data.study import Judged, judged
from pymc_lan.errors import check_count
from pymc_lan.plots.statistics import uniform_band
from pymc_lan.plots.style import LOWER, UPPER, panel_axes

# A z-score beyond is one of a hundred where posteriors are right and normal.
FAR = 2.576


def ranks(study: Any, *, bins: int = 10, ax: Any = None) -> Any:
    """Plot where truths lie among posterior draws: evenly, where posteriors are right.

    A panel for each parameter. The band holds 99 of 100 counts of a right posterior. A hill in the middle is that of
    posteriors that are too wide, a valley of such that are too narrow, and a slope of such that are off. ArviZ draws
    the cumulative distribution: ``arviz_plots.plot_ecdf_pit(study, group="prior_sbc")``.

    Parameters
    ----------
    study : DataTree
        From `pymc_lan.diagnostics.sbc` or `Amortizer.sbc`.
    bins : int
    ax : Axes or array of Axes, optional
        As many as there are parameters.

    Returns
    -------
    ndarray of Axes of shape (parameters,)

    Raises
    ------
    ValueError
        For what is no study.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import pymc_lan as pl
    >>> groups, rng = ("prior_sbc", "prior", "posterior_mean", "posterior_sd", "sample_stats"), np.random.default_rng(1)
    >>> one = xr.Dataset({"v": (("chain", "draw"), rng.random((1, 50)))})
    >>> study = xr.DataTree.from_dict({name: one for name in groups})
    >>> [ax.get_title() for ax in pl.plots.ranks(study)]
    ['v']
    """
    bins = check_count("bins", bins)
    axes, panels = _panels(study, ax)
    for where, each in zip(axes.flat, panels, strict=True):
        low, high = uniform_band(each.pit.size, bins)
        where.axhspan(low, high, color="0.85", lw=0)
        where.axhline(each.pit.size / bins, color="0.6", lw=0.8)
        where.hist(each.pit, bins, range=(0.0, 1.0), color=UPPER, alpha=0.8)
        where.set(xlabel="truth among draws", ylabel="data sets", xlim=(0, 1))
    return axes


def contraction(study: Any, *, ax: Any = None) -> Any:
    """Plot the errors of posterior means against what the posterior has learned beyond the prior.

    A panel for each parameter, and a point for each data set (Schad, Betancourt & Vasishth 2021, Psychological Methods
    26, 103-126): up, the error in posterior standard deviations; to the right, by how much the variance has become
    smaller, as a share of the prior's. Errors beyond 2.6, one of a hundred of a right posterior, are vermilion.

    Parameters
    ----------
    study : DataTree
        From `pymc_lan.diagnostics.sbc` or `Amortizer.sbc`.
    ax : Axes or array of Axes, optional
        As many as there are parameters.

    Returns
    -------
    ndarray of Axes of shape (parameters,)

    Raises
    ------
    ValueError
        For what is no study.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import pymc_lan as pl
    >>> groups, rng = ("prior_sbc", "prior", "posterior_mean", "posterior_sd", "sample_stats"), np.random.default_rng(1)
    >>> one = xr.Dataset({"v": (("chain", "draw"), rng.random((1, 50)))})
    >>> study = xr.DataTree.from_dict({name: one for name in groups})
    >>> [ax.get_xlabel() for ax in pl.plots.contraction(study)]
    ['contraction']
    """
    axes, panels = _panels(study, ax)
    for where, each in zip(axes.flat, panels, strict=True):
        far = np.abs(each.z) > FAR
        where.axhline(0.0, color="0.6", lw=0.8)
        for some, colour, marker in ((~far, UPPER, "o"), (far, LOWER, "X")):
            where.plot(each.contraction[some], each.z[some], marker, color=colour, alpha=0.5, ms=3)
        # What has learned nothing is at 0, and what knows more than the truth's spread allows is not beyond 1.
        where.set(xlabel="contraction", ylabel="z-score", xlim=(min(0.0, where.get_xlim()[0]), 1.02))
    return axes


def _panels(study: Any, ax: Any) -> tuple[Any, list[Judged]]:
    """Axes for each parameter of a study, under its name."""
    panels = list(judged(study))
    axes = panel_axes(ax, (len(panels),), share=False)
    for where, each in zip(axes.flat, panels, strict=True):
        where.set_title(each.name)
        where.spines[["top", "right"]].set_visible(False)
    return axes, panels
