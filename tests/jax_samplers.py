"""Sample a density that is written in JAX: ``jax_samplers.py WARMTH SAMPLER [START_METHOD]``.

A script, for workers that are spawned read the main module anew. Prints the draws as JSON. WARMTH is ``warm`` where JAX
is to compute something before, in the main process, and ``cold`` otherwise.
"""

from __future__ import annotations

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm

import pymc_lan as pl

# The posterior of a normal mean, prior N(0, 10), and of what has no influence on it.
DATA = np.random.default_rng(1).normal(1.5, 1.0, 40)


def log_density(mu, data):
    return -0.5 * jnp.sum((data - mu) ** 2)


def main(warmth: str, sampler: str, start_method: str | None = None) -> None:
    ways = {"mp_ctx": start_method} if start_method else {}
    if warmth == "warm":
        jnp.ones(3).sum().block_until_ready()
    with pm.Model():
        mu = pm.Normal("mu", 0, 10)
        pm.Potential("density", pl.jax_function(log_density)(mu, DATA))
        pm.Deterministic("grown", pl.jax_function(jnp.exp)(mu))
        idata = pm.sample(
            300,
            tune=300,
            chains=2,
            cores=2,
            random_seed=1,
            nuts_sampler=sampler,
            progressbar=False,
            compute_convergence_checks=False,
            **ways,
        )
    assert np.allclose(idata["posterior"]["grown"], np.exp(idata["posterior"]["mu"]))
    print(json.dumps(idata["posterior"]["mu"].values.tolist()))
    assert jax.config.jax_enable_x64 == (sampler in ("numpyro", "blackjax"))


if __name__ == "__main__":
    main(*sys.argv[1:])
