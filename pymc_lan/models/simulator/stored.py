"""A model known by its simulator as the config of its networks has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pymc_lan.errors import explain
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import Parameter
from pymc_lan.models.simulator.kinds import SimulatedResponses, SimulatedTimes
from pymc_lan.models.simulator.reference import Reference
from pymc_lan.models.simulator.symmetry import stored_symmetry

# By the tag of their networks.
KINDS: Mapping[str, type[SimulatedTimes] | type[SimulatedResponses]] = {
    "simulated": SimulatedTimes,
    "responses": SimulatedResponses,
}


def stored_model(given: Model | None, config: Mapping[str, Any]) -> Model:
    """The model that networks were trained for: the given one, or one without a simulator, with what the config says.

    Raises
    ------
    ValueError
        If the given model is of another kind, or has other parameters, choices or symmetries.
    """
    lan = config["networks"]["lan"]
    kind = KINDS[lan["transform"]]
    parameters = tuple(
        Parameter(p["name"], (p["bounds"][0], p["bounds"][1]), p["unit"], p["meaning"], p.get("default"))
        for p in config["parameters"]
    )
    about: dict[str, Any] = {
        "name": config["model"],
        "parameters": parameters,
        "description": config["description"],
        "reference": config["reference"],
        "choices": tuple(config["choices"]),
    }
    if kind is SimulatedTimes:
        if "baseline" not in lan:
            raise ValueError(explain("a baseline", "none", "train it anew"))
        about |= {"shift": lan.get("shift"), "symmetry": stored_symmetry(lan)}
        about |= {"baseline": Reference.from_lists(lan["baseline"]), "omissions": "choice" in config["networks"]}
    if given is not None and type(given) is not kind:
        found = "no networks" if given.views is None else f"{given.views.tag!r}"
        expected, remedy = f"a model of the kind {lan['transform']!r}", "give the spec that it was trained with"
        raise ValueError(explain(expected, found, remedy))
    stored = kind(**about)
    if given is None:
        return stored
    if _told(given) != _told(stored):
        expected, remedy = f"{_told(stored)} of {stored.name!r}", "give the spec that the network was trained with"
        raise ValueError(explain(expected, _told(given), remedy))
    trained = tuple(replace(p, bounds=q.bounds) for p, q in zip(given.parameters, parameters, strict=True))
    fitted: dict[str, Any] = {"baseline": stored.baseline} if isinstance(stored, SimulatedTimes) else {}
    return replace(given, parameters=trained, **fitted)


def _told(model: SimulatedTimes | SimulatedResponses) -> str:
    """In words, what of a model its networks depend on."""
    told = f"parameters {', '.join(model.names)}, choices {model.choices}, shift {model.shift}"
    return told if model.symmetry is None else f"{told}, {model.symmetry.word} {model.symmetry.stored}"
