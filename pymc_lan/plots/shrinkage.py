"""Members of a group against the group: how far each is from its mean, and how much their own trials say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pymc_lan.plots.style import BAND, LOWER, UPPER, panel_axes, result, tidy, wide

# Names that can be read below one panel.
MOST_NAMES = 30
# A member whose own trials say less than this is drawn as an open circle.
HALF = 0.5


def shrinkage(
    reg: Any,
    idata: Any = None,
    parameter: str = "v",
    *,
    group: str = "subject",
    at: Mapping[str, Any] | None = None,
    prob: float = 0.9,
    ax: Any = None,
) -> Any:
    """Plot a parameter of each member of a group, in order, against what the group alone says of a member.

    The line is the mean of the group, and the band where the central `prob` of new members would be. Members are
    pulled towards the line, the more the less their own trials say. Filled circles are members of whom their own
    trials say more than the group does: the variance of their posterior is below half of that of a new member. Open
    ones are not far from what the group alone would say.

    Parameters
    ----------
    reg : Regression
    idata : DataTree, optional
        By default the draws of its last `sample`.
    parameter : str
        With effects of the group in its formula. It is averaged over conditions as by `Regression.means`.
    group : str
    at : mapping of str to object, optional
        A level of a condition, in place of the average.
    prob : float
        Of whiskers and band.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For a parameter without effects of the group.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=60, seed=1)
    >>> df["subject"] = ["s1", "s2", "s3"] * 20
    >>> reg = pl.regression("ddm", df, v="1 + (1 | subject)", a=1.0, t=0.3)
    >>> rng = np.random.default_rng(1)
    >>> draws = dict(v=rng.normal(1, 0.2, (2, 50, 1)), subject_sd=rng.uniform(0.3, 0.5, (2, 50, 1)))
    >>> draws["subject_effects"] = rng.normal(1, 0.2, (2, 50, 3, 1))  # of reg.sample(), in earnest
    >>> ax = pl.plots.shrinkage(reg, az.from_dict({"posterior": draws}), "v")
    >>> sorted(label.get_text() for label in ax.get_xticklabels())
    ['s1', 's2', 's3']
    """
    found = reg.means(idata, parameter, by=group, at=at, prob=prob).sort_values("mean")
    new = reg.means(idata, parameter, at=at, prob=prob, new_groups="draw").iloc[0]
    centre = reg.means(idata, parameter, at=at, prob=prob).iloc[0]["mean"]
    axes = panel_axes(ax, ())
    where, x = axes.item(), np.arange(len(found))
    low, high = list(found.columns[-2:])
    where.axhspan(new[low], new[high], color=LOWER, alpha=BAND / 2, lw=0, label="new members")
    where.axhline(centre, color=LOWER, lw=wide(1.0), label="mean of the group")
    where.vlines(x, found[low], found[high], color=UPPER, lw=wide(0.8), alpha=0.6)
    known = 1.0 - (found["sd"].to_numpy() / new["sd"]) ** 2 > HALF
    for some, fill, label in ((known, UPPER, "own trials say more"), (~known, "white", "group says more")):
        if some.any():
            where.plot(x[some], found["mean"][some], "o", color=UPPER, mfc=fill, label=label)
    where.set_xticks(x if len(x) <= MOST_NAMES else [])
    if len(x) <= MOST_NAMES:
        where.set_xticklabels([str(name) for name in found[group]], rotation=90)
    where.set_xlim(-1, len(x))
    tidy(axes, group, parameter, own=ax is None)
    return result(axes)
