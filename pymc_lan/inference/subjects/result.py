"""The posteriors of all subjects as one ArviZ object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.distributions.provenance import COORDINATE
from pymc_lan.inference.subjects.sampling import Posterior
from pymc_lan.inference.subjects.tables import SUBJECT, Subject

Float = NDArray[np.float64]


def resampled(weights: Float, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Places of equally likely draws: each as often as its weight says, to within one, in random order.

    Systematic resampling (Kitagawa 1996, Journal of Computational and Graphical Statistics 5, 1-25).

    Examples
    --------
    >>> import numpy as np
    >>> np.bincount(resampled(np.array([0.5, 0.25, 0.25]), 8, np.random.default_rng(1))).tolist()
    [4, 2, 2]
    """
    ends = np.cumsum(weights)
    at = (rng.random() + np.arange(n)) / n * ends[-1]
    return rng.permutation(np.minimum(np.searchsorted(ends, at, side="right"), len(weights) - 1))


def as_datatree(
    model: Any,
    subjects: Sequence[Subject],
    found: Sequence[Posterior],
    shapes: dict[str, tuple[int, ...]],
    draws: int,
    seeds: Sequence[np.random.SeedSequence],
) -> Any:
    """Put everything into one object.

    Parameters
    ----------
    model : pm.Model
        Of one of the subjects.
    subjects : sequence of Subject
    found : sequence of Posterior
    shapes : dict of str to tuple of int
        Of the variables.
    draws : int
    seeds : sequence of SeedSequence

    Returns
    -------
    xarray.DataTree
    """
    import pandas as pd
    import pymc
    import xarray as xr
    from arviz_base import make_attrs

    labels = {SUBJECT: pd.Index([s.label for s in subjects], tupleize_cols=False, name=SUBJECT)}
    dims = subjects[0].dims
    axes = {name: dims.of.get(name) or tuple(f"{name}_dim_{i}" for i in range(len(x))) for name, x in shapes.items()}
    used = {dim for each in axes.values() for dim in each}
    labels |= {dim: list(x) for dim, x in dims.labels.items() if dim in used}

    def dataset(rows: list[NDArray[np.intp]], further: dict[str, Any]) -> Any:
        n = max(map(len, rows))
        arrays = {}
        for name, shape in shapes.items():
            array = np.full((1, n, len(subjects), *shape), np.nan)
            for i, (one, at) in enumerate(zip(found, rows, strict=True)):
                if one.values:
                    array[0, : len(at), i] = one.values[name][at]
            arrays[name] = (("chain", "draw", SUBJECT, *axes[name]), array)
        coords = {"chain": [0], "draw": np.arange(n), **labels}
        return xr.Dataset(arrays | further, coords, make_attrs(inference_library=pymc))

    equal = [
        resampled(x.weights, draws, np.random.default_rng(seed)) if x.values else np.zeros(0, np.intp)
        for x, seed in zip(found, seeds, strict=True)
    ]
    every = [np.arange(len(x.weights)) for x in found]
    weights = np.full((1, max(map(len, every)), len(subjects)), -np.inf)
    for i, one in enumerate(found):
        with np.errstate(divide="ignore"):
            weights[0, : len(one.weights), i] = np.log(one.weights)
    groups = {
        "posterior": dataset(equal, {}),
        "weighted_posterior": dataset(every, {"log_weight": (("chain", "draw", SUBJECT), weights)}),
        "verdicts": xr.Dataset(_verdicts(subjects, found), {SUBJECT: labels[SUBJECT]}),
    }
    return xr.DataTree.from_dict(groups | _records(model))


def _verdicts(subjects: Sequence[Subject], found: Sequence[Posterior]) -> dict[str, Any]:
    columns = {
        "n_trials": [s.n_trials for s in subjects],
        "step": [x.verdict.step for x in found],
        "pareto_k": [float(x.verdict.k) for x in found],
        "effective": [float(x.verdict.effective) for x in found],
        "right": [bool(x.verdict.right) for x in found],
        "verdict": [x.verdict.words for x in found],
    }
    return {name: ((SUBJECT,), values) for name, values in columns.items()}


def _records(model: Any) -> dict[str, Any]:
    """Which networks it rests on, where `pymc_lan.cite` looks."""
    import xarray as xr

    end = COORDINATE.format("")
    coords = {name: list(x) for name, x in model.coords.items() if name.endswith(end) and x is not None}
    return {"constant_data": xr.Dataset(coords=coords)} if coords else {}
