"""NUTS, for subjects whose draws no proposal made right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pymc_lan.inference.subjects.sampling import Posterior
from pymc_lan.inference.subjects.verdicts import OfChains, OfFailure

# Draws of each chain are so many at least: of fewer, little can be said of whether they have met.
CHAINS, TUNE, LEAST = 4, 1000, 500


def by_nuts(
    model: Any,
    names: Sequence[str],
    draws: int,
    seed: np.random.SeedSequence,
    cores: int | None,
    near: Mapping[str, Any],
) -> Posterior:
    """Sample a model by `pm.sample`.

    Parameters
    ----------
    model : pm.Model
    names : sequence of str
        Variables whose values are wanted.
    draws : int
        Of all chains together, at least.
    seed : SeedSequence
    cores : int, optional
    near : dict
        Values of variables by name; those of free ones, where they are among them, tell where to begin.

    Returns
    -------
    Posterior
        Without values where it cannot begin.
    """
    import pymc as pm
    from arviz_stats.base import array_stats

    try:
        found = pm.sample(
            draws=max(LEAST, -(-draws // CHAINS)),
            tune=TUNE,
            chains=CHAINS,
            cores=cores,
            model=model,
            random_seed=seed.generate_state(CHAINS).tolist(),
            initvals={rv.name: near[rv.name] for rv in model.free_RVs if rv.name in near} or None,
            progressbar=False,
            quiet=True,
            compute_convergence_checks=False,
        )
    except (RuntimeError, pm.exceptions.SamplingError, ValueError) as error:
        return Posterior({}, np.zeros(0), OfFailure(f"NUTS failed: {str(error).splitlines()[0]:.120}"), {})
    values = {name: found.posterior[name].to_numpy() for name in names}
    free = [found.posterior[rv.name].to_numpy() for rv in model.free_RVs]
    columns = np.concatenate([np.moveaxis(x.reshape(*x.shape[:2], -1), 2, 0) for x in free])
    n = columns[0].size
    verdict = OfChains(float(np.max(array_stats.rhat(columns))), float(np.min(array_stats.ess(columns))) / n, n)
    flat = {name: x.reshape(-1, *x.shape[2:]) for name, x in values.items()}
    return Posterior(flat, np.full(n, 1 / n), verdict, {})
