"""A covariance field as ellipses over stimulus space, with what is not known of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, is_real
from pymc_lan.numerics.wishart import outlines
from pymc_lan.plots.style import BAND, DATA_LINE, LOWER, UPPER, panel_axes, result, tidy, wide

Float = NDArray[np.float64]

# Directions of an outline.
N_ANGLES = 360
# Centres along each coordinate where none are given, from -LAST to LAST.
N_CENTRES, LAST = 5, 0.8
# Draws from which a band is made, evenly spaced among those there are.
MOST_DRAWS = 500


def ellipses(
    field: Any,
    draws: Any,
    at: Any = None,
    *,
    truth: Any = None,
    threshold: float = 1.0,
    prob: float = 0.9,
    member: int | None = None,
    group: str = "posterior",
    ax: Any = None,
) -> Any:
    """Plot the threshold ellipses of a covariance field of two dimensions, with their uncertainty.

    Around each centre the line is where stimuli have the Mahalanobis distance `threshold`, in the median of the draws,
    and the band holds the central `prob` of them, both direction by direction.

    Parameters
    ----------
    field : WishartField
        Of `pymc_lan.wishart_field`.
    draws : DataTree, MapFit or array_like
        As `WishartField.draws` takes them: draws of the model, a mode (which has no band), or weights.
    at : array_like of shape (n, 2), optional
        Centres. By default a grid of 5 by 5.
    truth : array_like, optional
        Weights of a known field, or its covariance matrices at the centres, of shape (n, 2, 2).
    threshold : float
        Above 0. In units of the standard deviation in each direction (d').
    prob : float
        Between 0 and 1.
    member : int, optional
        Whose field it is, where there are several.
    group : str
        Of a DataTree; ``"prior"`` for fields of the prior.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For a field of another number of dimensions, or of several members without `member`; an argument that is not as
        described.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> with pm.Model():
    ...     field = pl.wishart_field("W", degree=2)
    ...     prior = pm.sample_prior_predictive(50, random_seed=1)
    >>> ax = pl.plots.ellipses(field, prior, group="prior")
    >>> len(ax.collections)  # a band around each of 25 centres
    25
    """
    _check(field, threshold, prob, member)
    grid = np.linspace(-LAST, LAST, N_CENTRES)
    centres = np.asarray(np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2) if at is None else at, np.float64)
    found = field.draws(draws, centres, member, group=group).reshape(-1, len(centres), 2, 2)
    found = found[np.unique(np.linspace(0, len(found) - 1, MOST_DRAWS).astype(int))]
    angles = np.linspace(0.0, 2.0 * np.pi, N_ANGLES + 1)
    radii = threshold * outlines(found, angles)
    low, middle, high = np.quantile(radii, [(1 - prob) / 2, 0.5, (1 + prob) / 2], axis=0)
    axes = panel_axes(ax, (), aspect=1.0)
    where = axes.item()
    if len(found) > 1:
        for centre, *edges in zip(centres, low, high, strict=True):
            inner, outer = (_closed(centre, radius, angles) for radius in edges)
            x, y = np.concatenate([outer, inner[::-1]]).T
            label = f"central {prob:.0%}" if centre is centres[0] or not where.collections else None
            where.add_collection(_band(x, y, label))
    _lines(where, centres, middle, angles, color=UPPER, ls="-", label="median" if len(found) > 1 else "mode")
    if truth is not None:
        known = threshold * outlines(_covariances(field, truth, centres), angles)
        _lines(where, centres, known, angles, color=LOWER, ls="--", label="truth")
    where.plot(*centres.T, ".", color=DATA_LINE, ms=wide(2.0))
    where.set_aspect("equal")
    tidy(axes, "dimension 1", "dimension 2", own=ax is None)
    return result(axes)


def _check(field: Any, threshold: Any, prob: Any, member: int | None) -> None:
    if field.d != 2:
        remedy = "plot field.draws(...) over stimuli yourself"
        raise ValueError(explain("a field of two dimensions, whose covariances are ellipses", f"d={field.d}", remedy))
    if field.members is not None and member is None:
        raise ValueError(explain("member, one of several fields", "none", f"give member=0 to {field.members - 1}"))
    if not (is_real(threshold) and 0 < threshold < np.inf):
        raise ValueError(explain("threshold as a number above 0", f"threshold={threshold!r:.80}", "give it so"))
    if not (is_real(prob) and 0 < prob < 1):
        raise ValueError(explain("prob between 0 and 1", f"prob={prob!r:.80}", "give it so, as 0.9"))


def _covariances(field: Any, truth: Any, centres: Float) -> Float:
    """Covariance matrices at the centres, which were given or follow from weights."""
    given = np.asarray(truth, np.float64)
    if given.shape == (len(centres), 2, 2):
        return given
    if given.shape != field.shape:
        expected = f"truth as weights of shape {field.shape}, or covariances of shape ({len(centres)}, 2, 2)"
        raise ValueError(explain(expected, f"shape {given.shape}", "give one of these"))
    return np.asarray(field.draws(given, centres))


def _closed(centre: Float, radius: Float, angles: Float) -> Float:
    return centre + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _band(x: Float, y: Float, label: str | None) -> Any:
    from matplotlib.collections import PolyCollection

    return PolyCollection([np.stack([x, y], axis=-1)], color=UPPER, alpha=BAND, lw=0, label=label)


def _lines(ax: Any, centres: Float, radii: Float, angles: Float, *, label: str, **style: Any) -> None:
    for i, (centre, radius) in enumerate(zip(centres, radii, strict=True)):
        ax.plot(*_closed(centre, radius, angles).T, lw=wide(1.0), label=label if i == 0 else None, **style)
