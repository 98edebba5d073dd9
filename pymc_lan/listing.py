"""The table of models and versions at hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pymc_lan.registry import CONFIG, read_registry, registry_roots
from pymc_lan.spec import get_model

if TYPE_CHECKING:
    import pandas as pd


def list_models() -> pd.DataFrame:
    """List the models that can be named, with every version of their weights.

    Returns
    -------
    pandas.DataFrame
        One row per version: ``model``, ``version``, ``default`` (whether the bare name means it), ``parameters``, ``bounds``
        (a dict), ``choices``, ``mean_abs_error`` and ``p99_abs_error`` in nats, ``sha256`` of the weights.

    Raises
    ------
    RegistryError
        If a registry cannot be read.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> pl.list_models()["model"].tolist()
    ['ddm']
    """
    import pandas as pd

    rows = []
    for root in registry_roots():
        for model, entry in read_registry(root).items():
            spec = get_model(model)
            for version in entry["versions"]:
                config = json.loads((root / model / version / CONFIG).read_text("utf-8"))
                rows.append(
                    {
                        "model": model,
                        "version": version,
                        "default": version == entry["default"],
                        "parameters": spec.names,
                        "bounds": {p.name: p.bounds for p in spec.parameters},
                        "choices": spec.choices,
                        "mean_abs_error": config["accuracy"]["lan"]["mean"],
                        "p99_abs_error": config["accuracy"]["lan"]["p99"],
                        "sha256": config["weights_sha256"],
                    }
                )
    return pd.DataFrame(rows)
