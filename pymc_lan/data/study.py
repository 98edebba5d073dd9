"""What a calibration study holds: the groups that `pymc_lan.diagnostics.sbc` returns, read parameter by parameter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain

Float = NDArray[np.float64]

GROUPS = ("prior_sbc", "prior", "posterior_mean", "posterior_sd", "sample_stats")


class Judged(NamedTuple):
    """A scalar parameter of a study, with a value for each simulation.

    Parameters
    ----------
    name : str
        With the labels of its place, as in ``v[ann]``.
    pit : ndarray
        Share of the posterior below the truth.
    truth, mean, sd : ndarray
        The truth, posterior mean and standard deviation.
    """

    name: str
    pit: Float
    truth: Float
    mean: Float
    sd: Float

    def covered(self, level: float) -> NDArray[np.bool_]:
        """Whether the central interval of that probability holds the truth."""
        return np.abs(2 * self.pit - 1) <= level

    @property
    def z(self) -> Float:
        """Errors of posterior means in posterior standard deviations."""
        return (self.mean - self.truth) / self.sd

    @property
    def contraction(self) -> Float:
        """By how much the posterior's variance is below the prior's, as a share; NaN of what the prior holds fixed."""
        prior = float(self.truth.std(ddof=1))
        return 1 - (self.sd / prior) ** 2 if prior > 0 else np.full(self.sd.shape, np.nan)


def check_study(dt: Any) -> None:
    """Refuse, with a ValueError, what is no calibration study."""
    missing = [group for group in GROUPS if group not in getattr(dt, "children", ())]
    if missing:
        found = f"no group {missing[0]}"
        raise ValueError(explain("the result of pl.diagnostics.sbc", found, "pass what that function returned"))


def judged(dt: Any) -> Iterator[Judged]:
    """Every scalar parameter of a study; ValueError for what is none."""
    check_study(dt)
    for name, whole in dt["prior_sbc"].data_vars.items():
        arrays = [dt[group][name].to_numpy() for group in GROUPS[:4]]
        labels = [whole.coords[dim].to_numpy() for dim in whole.dims[2:]]
        for place in np.ndindex(whole.shape[2:]):
            where = ", ".join(str(label[i]) for label, i in zip(labels, place, strict=True))
            yield Judged(f"{name}[{where}]" if where else str(name), *(x[(0, slice(None), *place)] for x in arrays))
