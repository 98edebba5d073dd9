"""Draws of a regression's variables, made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy.special import expit

from pymc_lan.regressions.regression import Regression


def hand_made(reg: Regression, n: int = 6, sd: float = 0.3, **given: Any) -> Any:
    """Draws of every variable: random ones, but for those that are given."""
    rng, values = np.random.default_rng(3), {}
    for rv in reg.model.free_RVs:
        shape = (2, n, *rv.shape.eval())
        x = rng.normal(0, sd, shape)
        values[rv.name] = np.abs(x) + 0.1 if rv.name.endswith("_sd") else expit(x) / 10 if rv.name == "p_lapse" else x
    values |= {name: np.broadcast_to(x, (2, n, *np.shape(x))) for name, x in given.items()}
    data = {name: (("chain", "draw", *(f"{name}_{i}" for i in range(x.ndim - 2))), x) for name, x in values.items()}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(data, {"chain": [0, 1], "draw": np.arange(n)})})
