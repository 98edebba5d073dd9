"""One side of versions.py, run by it on one checkout of this package: the likelihood of a model by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _serve import Truth, serve

if TYPE_CHECKING:
    import numpy as np
    import pymc as pm
    from numpy.typing import NDArray

    import pymc_lan as pl


def middle(spec: pl.ModelSpec) -> dict[str, float]:
    """Return values near the middle of the bounds, where no derivative happens to be 0; t as people have it."""
    return {p.name: 0.55 * p.bounds[0] + 0.45 * p.bounds[1] for p in spec.parameters} | {"t": 0.3}


def build_model(trials: NDArray[np.float64], name: str) -> tuple[pm.Model, Truth]:
    """Return a model of `trials` with uniform priors over the trained bounds, and a point near the middle of them."""
    import pymc as pm

    import pymc_lan as pl

    spec = pl.load_network(name).spec
    with pm.Model() as model:
        priors = [pm.Uniform(p.name, *p.bounds) for p in spec.parameters]
        pl.LANDist("obs", name, *priors, observed=trials)
    return model, middle(spec)


if __name__ == "__main__":
    serve(build_model)
