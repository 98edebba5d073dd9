"""Whether posteriors of a network are right on data that its own model makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.amortized.proposal import Corrected
from pymc_lan.amortized.simulated import Simulated
from pymc_lan.amortized.trials import ResponseTimes
from pymc_lan.errors import explain
from pymc_lan.inference.subjects.posteriors import sample_each
from pymc_lan.inference.subjects.proposals import Proposal
from pymc_lan.inference.subjects.tables import Subject
from pymc_lan.inference.subjects.template import Template
from pymc_lan.inference.subjects.trace import trace

Float = NDArray[np.float64]

# Draws of each data set of which it is measured how many are right.
DRAWS = 1000
# The column that says of which simulation a trial is.
WHOSE = "simulation"


def drawn(amortizer: Any, n: int, n_trials: int, design: Any, seed: int) -> tuple[Any, dict[str, Float]]:
    """Trials of n subjects as one table, and their parameters, each (n, ...).

    Raises
    ------
    ValueError
        For a model of other data than response times, of which it is not known which columns they are.
    """
    import pandas as pd

    if not all(isinstance(part, ResponseTimes) for part in amortizer.view.parts) or len(amortizer.view.parts) > 1:
        remedy = "simulate a table of many subjects, and give it to sample"
        raise ValueError(explain("a model of response times", "one of other data", remedy))
    # One data set for each design, so that all of them are seen.
    simulated = Simulated(amortizer.build, design, (n_trials,), 1, seed)
    batches = [simulated.batch(i) for i in range(n)]
    tables = []
    for i, batch in enumerate(batches):
        rt, response = batch.observed[0][0].T
        there = np.isfinite(rt)
        seen = {"rt": np.where(there, rt, np.nan), "response": np.where(there, response, 0.0), WHOSE: i}
        tables.append(batch.table.assign(**seen))
    model = simulated.models[0]
    names = [rv.name for rv in model.free_RVs]
    template = Template(model, [trace(model).numbers])
    values = template.variables(names)(np.concatenate([batch.rows for batch in batches]))
    return pd.concat(tables, ignore_index=True), dict(zip(names, values, strict=True))


def latents(amortizer: Any, n: int, n_trials: int, design: Any, seed: int) -> Float:
    """Latent values (n, n_values) of parameters from the prior, given data that are drawn from them."""
    simulated = Simulated(amortizer.build, design, (n_trials,), 1, seed)
    found = []
    for batch in map(simulated.batch, range(n)):
        trials, whole, fastest = amortizer.view.look(batch.observed, batch.table)
        values = amortizer.standard.of("values", amortizer.scale.forward(batch.rows, fastest))
        found.append(amortizer.network.latent(values, amortizer.condition(trials[0], whole[0]))[0])
    return np.array(found)


def judged(found: Any, truth: dict[str, Float], seed: int) -> Any:
    """Where the truths lie among draws, and what the draws come to, as `pymc_lan.diagnostics.sbc` returns it."""
    import xarray as xr

    weighted, rng = found["weighted_posterior"], np.random.default_rng([seed, 1])
    weights = np.exp(weighted["log_weight"].to_numpy()[0])
    groups: dict[str, dict[str, Any]] = {"prior_sbc": {}, "prior": {}, "posterior_mean": {}, "posterior_sd": {}}
    for name, true in truth.items():
        x = weighted[name].to_numpy()[0]
        w = weights.reshape(*weights.shape, *(1,) * (x.ndim - 2))
        mean = (w * x).sum(axis=0)
        # A draw that is half below is where the truth is between two of them.
        below = (w * (x < true)).sum(axis=0) + rng.random(true.shape) / len(x)
        dims = ("chain", "draw", *weighted[name].dims[3:])
        results = (below / (1 + 1 / len(x)), true, mean, np.sqrt((w * (x - mean) ** 2).sum(axis=0)))
        for group, result in zip(groups.values(), results, strict=True):
            group[name] = (dims, result[None])
    labels = {k: v for k, v in weighted.coords.items() if k not in ("chain", "draw", "subject")}
    coords = {"chain": [0], "draw": np.arange(weights.shape[1]), **labels}
    tree = {name: xr.Dataset(group, coords) for name, group in groups.items()}
    verdicts = found["verdicts"].to_dataset()
    kept = {name: (("chain", "draw"), verdicts[name].to_numpy()[None]) for name in ("pareto_k", "effective", "right")}
    # There are no chains that might not have met.
    kept["r_hat"] = (("chain", "draw"), np.full((1, weights.shape[1]), np.nan))
    return xr.DataTree.from_dict({**tree, "sample_stats": xr.Dataset(kept, coords)})


def accuracy_of(amortizer: Any, n: int, n_trials: int, seed: int = 0) -> dict[str, float]:
    """How many data sets from the prior the network alone is right for, by the rule of `pymc_lan.posteriors`.

    Parameters
    ----------
    amortizer : Amortizer
    n : int
        Data sets.
    n_trials : int
    seed : int

    Returns
    -------
    dict
        ``n_trials``, ``n``, ``right`` (their share), and of the shares of effective draws the ``median`` and 5 %
        quantile, ``least``.
    """
    df, _ = drawn(amortizer, n, n_trials, None, seed)
    reading = amortizer.reading(df, WHOSE)
    options: dict[str, Any] = {"var_names": None, "fallback": None, "cores": None, "progressbar": False}

    def alone(one: Subject, model: Any) -> tuple[Proposal, ...]:
        return (Corrected(amortizer.answer(one, model, reading)),)

    found = sample_each(reading, df, WHOSE, DRAWS, alone, seed=seed, **options)["verdicts"]
    effective = found["effective"].to_numpy()
    return {
        "n_trials": n_trials,
        "n": n,
        "right": float(found["right"].to_numpy().mean()),
        "median": float(np.median(effective)),
        "least": float(np.quantile(effective, 0.05)),
    }
