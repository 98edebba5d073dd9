"""The table of models and versions at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pymc_lan.models.catalogue import MODELS
from pymc_lan.registry.corners import largest_in_corners
from pymc_lan.registry.load import all_entries, read_entry, search_path
from pymc_lan.registry.table import WEIGHTS

if TYPE_CHECKING:
    import pandas as pd

# What stands for the accuracy of a network that was imported and could not be measured.
UNKNOWN = {"lan": {"mean": math.nan, "p99": math.nan}}

# Where a model that needs no weights comes from.
CLOSED_FORM = "closed form"


def list_models(*, everywhere: bool = False) -> pd.DataFrame:
    """List the models that can be named, with every version of their weights; closed forms last.

    Parameters
    ----------
    everywhere : bool
        Whether to list the other registries too: all of a folder, and of a repository what was pulled.

    Returns
    -------
    pandas.DataFrame
        One row per version: ``model``, ``version``, ``default`` (whether the bare name means it), ``parameters``,
        ``bounds`` (a dict), ``choices``, ``mean_abs_error`` and ``p99_abs_error`` in nats, ``mass_corners`` and
        ``choice_corners`` (by how much the total probability and the probability of a choice are off at most, where
        every parameter is near an end of its bounds; NaN where nobody measured it), ``sha256`` of the weights,
        ``registry`` it comes from. A closed form has no weights: version and hash are empty, the errors NaN, and
        ``registry`` says what it is.

    Raises
    ------
    RegistryError
        If a registry or a version's files cannot be read or verified, or two registries disagree about a version.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> "ddm" in pl.list_models()["model"].tolist()
    True
    """
    import pandas as pd

    where = search_path()
    rows = []
    for entry in all_entries(where if everywhere else where[:1]):
        config, _ = read_entry(entry)
        # Of a network that learned from simulations, no error in log density is known.
        mass, choice = largest_in_corners(entry.model, entry.files[WEIGHTS])
        measured = (config.get("accuracy") or UNKNOWN).get("lan", UNKNOWN["lan"])
        rows.append(
            {
                "model": entry.model,
                "version": entry.version,
                "default": entry.default,
                "parameters": tuple(p["name"] for p in config["parameters"]),
                "bounds": {p["name"]: tuple(p["bounds"]) for p in config["parameters"]},
                "choices": tuple(config["choices"]),
                "mean_abs_error": measured["mean"],
                "p99_abs_error": measured["p99"],
                "mass_corners": mass,
                "choice_corners": choice,
                "sha256": entry.files[WEIGHTS],
                "registry": entry.origin,
            }
        )
    rows += [
        {
            "model": spec.name,
            "version": "",
            "default": True,
            "parameters": spec.names,
            "bounds": {p.name: p.bounds for p in spec.parameters},
            "choices": spec.choices,
            "mean_abs_error": math.nan,
            "p99_abs_error": math.nan,
            "mass_corners": math.nan,
            "choice_corners": math.nan,
            "sha256": "",
            "registry": CLOSED_FORM,
        }
        for spec in MODELS.values()
        if spec.views is None
    ]
    return pd.DataFrame(rows)
