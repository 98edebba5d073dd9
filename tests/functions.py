"""Diffusions as if they were known by their two functions only."""

from __future__ import annotations

from typing import Any

import pymc_lan as pl
from pymc_lan.models.diffusion.kinds import Diffusion


def by_functions(model: str | Diffusion, **changes: Any) -> pl.ModelSpec:
    """A diffusion with the parameters, drift and boundary of another, but for what is changed."""
    known: Any = pl.get_model(model) if isinstance(model, str) else model
    own = {name: getattr(known, name) for name in ("name", "parameters", "drift", "boundary")}
    return pl.ModelSpec(**own | {"description": "", "reference": ""} | changes)
