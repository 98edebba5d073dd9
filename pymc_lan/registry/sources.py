"""A model in any form that users have one in: a name, a folder, a model or a network."""

from __future__ import annotations

import os

from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.model import Model
from pymc_lan.networks.network import Network
from pymc_lan.registry.load import load_network

AnyModel = str | os.PathLike[str] | Model | Network
"""The name of a model or of a version, a version's folder, a model itself, or its network."""


def find_model(source: AnyModel) -> Model:
    """The model, of a version the one that it was trained as.

    Parameters
    ----------
    source : AnyModel

    Raises
    ------
    RegistryError
        As `pymc_lan.load_network`.

    Examples
    --------
    >>> find_model("ddm@1.0").names
    ('v', 'a', 'z', 't')
    """
    match source:
        case Model():
            return source
        case Network():
            return source.spec
        case str() if source in MODELS:
            # A closed form has no network to load.
            return MODELS[source]
        case _:
            return load_network(source).spec


def find_network(source: AnyModel, spec: Model | None = None) -> Network:
    """The network, of a model the default one under its name.

    Parameters
    ----------
    source : AnyModel
    spec : Model, optional
        As `pymc_lan.load_network` takes it.

    Raises
    ------
    RegistryError
        As `pymc_lan.load_network`.

    Examples
    --------
    >>> find_network("ddm").name
    'ddm@1.0'
    """
    match source:
        case Network():
            return source
        case Model():
            return load_network(source.name, spec=spec)
        case _:
            return load_network(source, spec=spec)
