"""Sample one model of everything that `test_forms.TAKEN` holds: ``sample_forms.py SAMPLER [START_METHOD]``.

A script, for workers that are spawned read the main module anew. Prints the draws of the one parameter as JSON.
"""

from __future__ import annotations

import json
import sys

import pymc as pm
from test_forms import TAKEN, add


def everything() -> pm.Model:
    """A model with a variable for every form, all of them with the same boundary."""
    with pm.Model() as model:
        a = pm.Uniform("a", 0.4, 2.4)
        for i, form in enumerate(TAKEN.values()):
            with pm.Model(name=f"form_{i}"):
                add(form, a=a, likelihood="lan")
    return model


def main(sampler: str, start_method: str | None = None) -> None:
    ways = {"mp_ctx": start_method} if start_method else {}
    if sampler in ("numpyro", "blackjax"):
        ways = {"nuts_sampler_kwargs": {"chain_method": "parallel"}}
    with everything():
        idata = pm.sample(
            20,
            tune=20,
            chains=2,
            cores=2,
            random_seed=1,
            nuts_sampler=sampler,
            progressbar=False,
            compute_convergence_checks=False,
            **ways,
        )
    print(json.dumps(idata["posterior"]["a"].values.tolist()))


if __name__ == "__main__":
    main(*sys.argv[1:])
