"""What a prior says: distributions of parameters, and the trials that it expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.plots.style import new_axes, wide

Float = NDArray[np.float64]

# Bins, and the share of draws that is shown: a log-normal has a long tail.
BINS, SHOWN = 40, (0.005, 0.995)
# Panels side by side.
WRAP = 3


def prior(parameters: Mapping[str, Float], units: Mapping[str, str], rt: Float, response: Float) -> Any:
    """Plot a panel for each parameter, and one of the times that responses take.

    Parameters
    ----------
    parameters : mapping of str to ndarray, shape (n,)
    units : mapping of str to str
    rt, response : ndarray, shape (n,)
        Trials; rt is inf where there is no response, and empty where there are no times.

    Returns
    -------
    Figure
    """
    n_panels = len(parameters) + 1
    n_columns = min(n_panels, WRAP)
    axes = new_axes(-(-n_panels // n_columns), n_columns, 0.8, share=False)
    flat = list(axes.flat)
    for ax, (name, x) in zip(flat, parameters.items(), strict=False):
        low, high = np.quantile(x, SHOWN)
        ax.hist(x, bins=BINS, range=(low, high), density=True, color="0.7")
        ax.set_xlabel(f"{name} [{units[name]}]" if units.get(name, "-") not in ("-", "1", "") else name)
    last = flat[len(parameters)]
    if rt.size:
        _times(last, rt, response)
    else:
        codes, counts = np.unique(response, return_counts=True)
        last.bar([f"{code:g}" for code in codes], counts / counts.sum(), color="0.7")
        last.set(xlabel="response", ylabel="share of trials")
    for ax in flat[n_panels:]:
        ax.set_visible(False)
    for ax in flat[:n_panels]:
        ax.spines[["top", "right"]].set_visible(False)
        if ax is not last:
            ax.set_yticks([])
    return axes.flat[0].figure


def _times(ax: Any, rt: Float, response: Float) -> None:
    """Densities of times by response, each with its share of all trials."""
    seen = np.isfinite(rt)
    edges = np.linspace(0, np.quantile(rt[seen], 0.95) if seen.any() else 1.0, BINS)
    for code in np.unique(response[seen]):
        count = np.histogram(rt[seen & (response == code)], edges)[0]
        ax.stairs(count / len(rt) / np.diff(edges), edges, lw=wide(1.2), label=f"{code:g}")
    ax.set(xlabel="response time [s]", ylabel="density of trials [1/s]")
    ax.legend(title="response", frameon=False)
