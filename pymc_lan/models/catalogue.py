"""The models this release knows by name."""

from __future__ import annotations

from pymc_lan.errors import unknown
from pymc_lan.models.diffusion.catalogue import DIFFUSIONS
from pymc_lan.models.model import Model
from pymc_lan.models.race.catalogue import RACE_SPECS
from pymc_lan.models.simulator.catalogue import SIMULATED_SPECS

MODELS: dict[str, Model] = {**DIFFUSIONS} | {spec.name: spec for spec in (*RACE_SPECS, *SIMULATED_SPECS)}
"""The models by name."""


def as_model(model: str | Model) -> Model:
    """A model that is given by its name or itself.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    return get_model(model) if isinstance(model, str) else model


def get_model(name: str) -> Model:
    """Look up a model by its registered name.

    Parameters
    ----------
    name : str
        For instance ``"ddm"``.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        For an unknown name; the message gives the nearest known one.

    Examples
    --------
    >>> from pymc_lan.models.catalogue import get_model
    >>> get_model("ddm").parameter("a").bounds
    (0.3, 2.5)
    """
    if name not in MODELS:
        raise ValueError(unknown("model", name, MODELS))
    return MODELS[name]
