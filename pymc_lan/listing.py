"""The table of models and versions at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pymc_lan.registry import load_network, read_registry, registry_roots

if TYPE_CHECKING:
    import pandas as pd

# What stands for the accuracy of a network that was imported and could not be measured.
UNKNOWN = {"lan": {"mean": math.nan, "p99": math.nan}}


def list_models() -> pd.DataFrame:
    """List the models that can be named, with every version of their weights.

    Returns
    -------
    pandas.DataFrame
        One row per version: ``model``, ``version``, ``default`` (whether the bare name means it), ``parameters``,
        ``bounds`` (a dict), ``choices``, ``mean_abs_error`` and ``p99_abs_error`` in nats, ``sha256`` of the weights.

    Raises
    ------
    RegistryError
        If a registry or a version's files cannot be read or verified.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> "ddm" in pl.list_models()["model"].tolist()
    True
    """
    import pandas as pd

    rows = []
    for root in registry_roots():
        for model, entry in read_registry(root).items():
            for version in entry["versions"]:
                network = load_network(f"{model}@{version}")
                measured = (network.config["accuracy"] or UNKNOWN)["lan"]
                rows.append(
                    {
                        "model": model,
                        "version": version,
                        "default": version == entry["default"],
                        "parameters": network.spec.names,
                        "bounds": {p.name: p.bounds for p in network.spec.parameters},
                        "choices": network.spec.choices,
                        "mean_abs_error": measured["mean"],
                        "p99_abs_error": measured["p99"],
                        "sha256": network.sha256,
                    }
                )
    return pd.DataFrame(rows)
