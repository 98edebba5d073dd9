"""HSSM's side of likelihood.py, run by it in HSSM's own environment: ``_hssm_worker.py DDM.ONNX``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from _common import BOUNDS, TRUTH
from _serve import Truth, serve

if TYPE_CHECKING:
    import numpy as np
    import pymc as pm
    from numpy.typing import NDArray


def build_model(trials: NDArray[np.float64], likelihood: str) -> tuple[pm.Model, Truth]:
    """Return the model that HSSM builds for the DDM, without lapses and with the priors of `BOUNDS`."""
    import hssm
    import pandas as pd

    # HSSM reads a path that exists from disk; anything else it would look for on the network.
    kinds = {
        "lan": {"loglik_kind": "approx_differentiable", "loglik": sys.argv[1]},
        "exact": {"loglik_kind": "analytical"},
    }
    # HSSM truncates every prior to the bounds of the likelihood, which differ between its two kinds; given
    # bounds, both have the transforms of our side.
    include = [
        {"name": name, "prior": {"name": "Uniform", "lower": low, "upper": high}, "bounds": (low, high)}
        for name, (low, high) in BOUNDS.items()
    ]
    data = pd.DataFrame(trials, columns=["rt", "response"])
    return hssm.HSSM(data, model="ddm", include=include, p_outlier=0.0, **kinds[likelihood]).pymc_model, TRUTH


if __name__ == "__main__":
    serve(build_model)
