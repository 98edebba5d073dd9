"""Which weights a result rests on: written into the model with each distribution, read again from what was sampled.

PyMC has no hook for attributes of the posterior, but every sampler copies the model's data into ``constant_data``. So
a distribution ``obs`` adds the data ``obs_network__``, whose coordinate says what there is to say: ``"sha256: ..."``.
PyMC leaves what ends in ``__`` out of its graphs.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from pymc_lan.errors import explain, printable
from pymc_lan.networks.network import Network

# What the data beside a variable are called, and the coordinate that has the words.
DATA, COORDINATE = "{}_network__", "{}_network_record"

PAPERS = (
    "pymc_lan: CITATION.cff",
    "likelihood approximation networks: Fengler, Govindarajan, Chen & Frank (2021), eLife 10, e65074",
)


def record(network: Network | None) -> tuple[str, ...]:
    """What identifies a network, and what to cite of its model; without a network only the package.

    Parameters
    ----------
    network : Network, optional

    Returns
    -------
    tuple of str
        ``"key: value"``.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> record(pl.load_network("ddm"))[0]
    'network: ddm@2.0'
    """
    package = f"package: pymc-lan {_version()}"
    if network is None:
        return ("network: none, closed form", package)
    return (
        f"network: {network.name}",
        f"sha256: {network.sha256 or 'none, never written'}",
        f"registry: {network.origin or 'none'}",
        package,
        f"model: {network.config.get('reference') or network.spec.reference or network.spec.name}",
    )


@cache
def _version() -> str:
    """Of this package: it is read from a file."""
    return version("pymc-lan")


def records(idata: Any) -> dict[str, dict[str, str]]:
    """What `record` said of each variable of a model that was sampled.

    Parameters
    ----------
    idata : DataTree
        From ``pm.sample``, with any sampler, or read from a file.

    Returns
    -------
    dict
        Variable to key to value.

    Raises
    ------
    ValueError
        If no distribution of this package was in the model.

    Examples
    --------
    >>> import xarray as xr
    >>> data = xr.Dataset(coords={"obs_network_record": ["network: ddm@2.0"]})
    >>> records(xr.DataTree.from_dict({"constant_data": data}))
    {'obs': {'network': 'ddm@2.0'}}
    """
    group = idata.children.get("constant_data", {})
    end = COORDINATE.format("")
    found = {
        str(name).removesuffix(end): dict(str(line).split(": ", 1) for line in group[name].values)
        for name in getattr(group, "coords", ())
        if str(name).endswith(end)
    }
    if not found:
        raise ValueError(
            explain(
                "results of pm.sample with a distribution of pymc_lan",
                f"the groups {', '.join(idata.children) or '(none)'}, and no record of a network in constant_data",
                "keep the group constant_data of the results",
            )
        )
    return found


def cite(idata: Any) -> None:
    """Print which weights results rest on, and what to cite.

    Parameters
    ----------
    idata : DataTree
        From ``pm.sample``, with any sampler, or read from a file.

    Raises
    ------
    ValueError
        If no distribution of this package was in the model.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=20, seed=1)
    >>> with pm.Model():
    ...     obs = pl.DDM("obs", pm.Normal("v"), 1.0, 0.5, 0.3, observed=df)
    ...     idata = pm.sample_prior_predictive(draws=2, random_seed=1)
    >>> pl.cite(idata)
    obs
      network: ddm@2.0
      sha256: baae735898cca2ebcdb68045e06c02091496036222007c2a14c2d0b6d99fbe7f
      registry: embedded
      package: pymc-lan 0.1.0
      model: Ratcliff (1978), ...
    pymc_lan: CITATION.cff
    likelihood approximation networks: Fengler, Govindarajan, Chen & Frank (2021), eLife 10, e65074
    """
    lines = []
    for name, content in records(idata).items():
        lines += [name, *(f"  {key}: {value}" for key, value in content.items())]
    print("\n".join(map(printable, [*lines, *PAPERS])))  # noqa: T201 - this is what it is for
