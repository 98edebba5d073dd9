"""A model in any form that users have one in: a name, a folder, a model or a network."""

from __future__ import annotations

import os
from dataclasses import replace

from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.model import Model
from pymc_lan.models.race.catalogue import race_of_name
from pymc_lan.networks.network import Network
from pymc_lan.registry.load import load_network

# Models whose networks are those of one accumulator; of names that begin alike the longer one is later.
ONE_ACCUMULATOR = ("race_3", "race_no_bias_angle_3")

AnyModel = str | os.PathLike[str] | Model | Network
"""The name of a model or of a version, a version's folder, a model itself, or its network."""


def get_model(source: AnyModel) -> Model:
    """Look up a model, wherever `pymc_lan.load_network` finds its networks too.

    Parameters
    ----------
    source : str, path, Model or Network
        The name of a model of this release, or of one in a registry; a version, which gives the model as its networks
        were trained; a version's folder. What is a model already comes back, and of a network its model.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        For an unknown name; the message gives the nearest known one.
    RegistryError
        As `pymc_lan.load_network`.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> pl.get_model("ddm").parameter("a").bounds
    (0.3, 4.0)
    """
    match source:
        case Model():
            return source
        case Network():
            return source.spec
        case str() if (known := MODELS.get(source) or race_of_name(source)) is not None:
            # A closed form has no network to load.
            return known
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
    'ddm@2.0'
    """
    match source:
        case Network():
            return source
        case Model() if source.name not in MODELS and source == race_of_name(source.name):
            return _composed(source)
        case Model():
            return load_network(source.name, spec=spec)
        case str() if source not in MODELS and (race := race_of_name(source)) is not None:
            return _composed(race)
        case _:
            return load_network(source, spec=spec)


def _composed(race: Model) -> Network:
    """The networks of one accumulator in a race of another number of them."""
    (own,) = [each for each in ONE_ACCUMULATOR if race.name.startswith(each.rstrip("3"))][-1:]
    return replace(load_network(own), spec=race)
