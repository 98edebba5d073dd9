"""Regressions in files: the description as JSON, beside the draws, in netCDF. Nothing is unpickled."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymc_lan.errors import RegistryError, explain
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.model import Model
from pymc_lan.networks.network import Network
from pymc_lan.registry.load import load_network
from pymc_lan.regressions.description import Description
from pymc_lan.regressions.priors import Prior

if TYPE_CHECKING:
    import pandas as pd

# The group of the file that has the description; what is written there, and how.
GROUP, VARIABLE, FORMAT = "regression", "description", 1


def save(description: Description, idata: Any, path: str | os.PathLike[str]) -> None:
    """Write a description and draws, if there are any, to a netCDF file.

    Parameters
    ----------
    description : Description
    idata : DataTree or None
    path : str or path

    Raises
    ------
    ValueError
        Of a model or weights that have no name, which a file could not refer to.
    """
    import xarray as xr

    text = json.dumps(_written(description))
    groups = {} if idata is None else {name: child.to_dataset() for name, child in idata.children.items()}
    tree = xr.DataTree.from_dict(groups | {GROUP: xr.Dataset({VARIABLE: ((), text)})})
    tree.to_netcdf(path, engine="h5netcdf")


def load(path: str | os.PathLike[str]) -> tuple[Description, Any]:
    """Read what `save` has written.

    Returns
    -------
    description : Description
    idata : DataTree or None

    Raises
    ------
    ValueError
        For another file.
    """
    import xarray as xr

    with xr.open_datatree(path, engine="h5netcdf") as file:
        tree = file.load()
    if GROUP not in tree.children or VARIABLE not in tree[GROUP]:
        remedy = "take the file of reg.save(path); draws alone are read by arviz.from_netcdf"
        raise ValueError(explain("a file of reg.save", f"{os.fspath(path)!r} without a description", remedy))
    found = json.loads(str(tree[GROUP][VARIABLE].item()))
    if found.get("format") != FORMAT:
        remedy = "read it with the version of pymc_lan that has written it"
        raise ValueError(explain(f"a description of format {FORMAT}", f"{found.get('format')!r}", remedy))
    rest = {name: child.to_dataset() for name, child in tree.children.items() if name != GROUP}
    return _read(found), xr.DataTree.from_dict(rest) if rest else None


def _written(d: Description) -> dict[str, Any]:
    task = {k: _name_of(x) if isinstance(x, Model | Network) else x for k, x in d.task.items()}
    return {
        "format": FORMAT,
        "model": _name_of(d.model),
        "parameters": {k: _prior_out(x) for k, x in d.parameters.items()},
        "priors": {k: _prior_out(x) for k, x in d.priors.items()},
        "go_nogo": d.go_nogo,
        "task": {k: {"codes": list(x.items())} if isinstance(x, Mapping) else x for k, x in task.items()},
        "accuracy": d.accuracy,
        "stimulus": d.stimulus,
        "table": {str(name): _column_out(d.table[name]) for name in d.table.columns},
    }


def _read(found: dict[str, Any]) -> Description:
    import pandas as pd

    task = {k: dict(map(tuple, x["codes"])) if isinstance(x, dict) else x for k, x in found["task"].items()}
    return Description(
        found["model"],
        pd.DataFrame({name: _column_in(column) for name, column in found["table"].items()}),
        {k: _prior_in(x) for k, x in found["parameters"].items()},
        {k: _prior_in(x) for k, x in found["priors"].items()},
        found["go_nogo"],
        task,
        found["accuracy"],
        found["stimulus"],
    )


def _name_of(source: Any) -> str:
    """The name by which a model or network is found again, with its version."""
    match source:
        case Network():
            name = source.name
        case Model():
            name = source.name
        case _:
            name = os.fspath(source)
    try:
        known = MODELS[name] if name in MODELS and MODELS[name].views is None else load_network(name)
    except RegistryError:
        known = None
    alike = not isinstance(source, Network | Model) or known == source or getattr(known, "spec", None) == source
    if known is None or not alike:
        expected = "a model that a file can refer to by its name"
        raise ValueError(explain(expected, f"{source!r:.80}", "give its network a name first, with pl.register"))
    return known.name if isinstance(known, Network) and name in MODELS else name


def _prior_out(x: Any) -> Any:
    return {"distribution": x.distribution, "arguments": list(x.arguments)} if isinstance(x, Prior) else x


def _prior_in(x: Any) -> Any:
    if not isinstance(x, dict):
        return x
    arguments = ((name, tuple(value) if isinstance(value, list) else value) for name, value in x["arguments"])
    return Prior(x["distribution"], tuple(arguments))


def _column_out(column: pd.Series) -> dict[str, Any]:
    import pandas as pd

    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        levels = {"categories": kind.categories.tolist(), "ordered": bool(kind.ordered)}
        return {"dtype": "category", "values": column.cat.codes.tolist()} | levels
    return {"dtype": str(kind), "values": [None if x is pd.NA else x for x in column.tolist()]}


def _column_in(found: dict[str, Any]) -> pd.Series:
    import pandas as pd

    if found["dtype"] == "category":
        codes = pd.Categorical.from_codes(found["values"], found["categories"], ordered=found["ordered"])
        return pd.Series(codes)
    return pd.Series(found["values"], dtype=found["dtype"])
