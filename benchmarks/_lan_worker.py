"""Our side of likelihood.py, run by it in the environment of pymc_lan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _common import BOUNDS, TRUTH
from _serve import Truth, serve

if TYPE_CHECKING:
    import numpy as np
    import pymc as pm
    from numpy.typing import NDArray


def build_model(trials: NDArray[np.float64], likelihood: str) -> tuple[pm.Model, Truth]:
    """Return the DDM of `trials` with the priors of `BOUNDS`."""
    import pymc as pm

    import pymc_lan as pl

    with pm.Model() as model:
        parameters = [pm.Uniform(name, *BOUNDS[name]) for name in ("v", "a", "z", "t")]
        pl.DDM("obs", *parameters, likelihood=likelihood, observed=trials)
    return model, TRUTH


if __name__ == "__main__":
    serve(build_model)
