"""How a model's networks see a trial: from the tables of closed forms, or from its drift and boundary."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pymc_lan.errors import explain
from pymc_lan.models.diffusion.closed_deadline import CHOICE_TRANSFORMS
from pymc_lan.models.diffusion.closed_view import TRANSFORMS
from pymc_lan.models.diffusion.mixture_view import SpreadChoice, SpreadTransform, spread
from pymc_lan.models.imported import PlainChoice, PlainLAN, is_plain
from pymc_lan.models.race.race import is_closed_race, race_of
from pymc_lan.models.race.reflected_view import LAN, SURVIVOR
from pymc_lan.models.simulator.responses import RESPONSES, ResponseTransform
from pymc_lan.models.simulator.view import SIMULATED, SimulatedChoice, SimulatedTransform
from pymc_lan.models.spec import Model, Structure

# The transform of a model that is given by its two functions alone. It needs JAX, which is loaded only then.
PATH = "path"
# The transform of one whose parameters vary across trials.
SPREAD = "spread"


def lan_view(spec: Model) -> Any:
    """What a likelihood network sees, and what it is added to: the model's transform, or the trial as it is."""
    return PlainLAN(spec) if is_plain(spec) else transform_of(spec)


def choice_view(spec: Model) -> Any:
    """What a choice/deadline network sees, and what it is added to."""
    return PlainChoice(spec) if is_plain(spec) else choice_transform_of(spec)


@cache
def transform_of(spec: Model) -> Any:
    """What a residual network of a model sees, and what it is added to: a `Transform` or its like."""
    refuse_race(spec)
    if race_of(spec) is not None:
        return LAN
    if spec.transform == PATH:
        from pymc_lan.models.diffusion.path_view import PathTransform

        return PathTransform(spec)
    if spec.transform == SPREAD:
        return SpreadTransform(spec)
    if spec.transform == SIMULATED:
        return SimulatedTransform(spec)
    if spec.transform == RESPONSES:
        return ResponseTransform(spec)
    return TRANSFORMS[spec.transform]


@cache
def choice_transform_of(spec: Model) -> Any:
    """What the choice/deadline network of a model sees, and what it is added to: a `ChoiceTransform` or its like."""
    refuse_race(spec)
    if race_of(spec) is not None:
        return SURVIVOR
    if spec.transform == PATH:
        from pymc_lan.models.diffusion.path_deadline import PathChoice

        return PathChoice(spec)
    if spec.transform == SPREAD:
        return SpreadChoice(spec)
    if spec.transform == SIMULATED:
        return SimulatedChoice(spec)
    return CHOICE_TRANSFORMS[spec.transform]


def refuse_race(spec: Model) -> None:
    """Refuse, with a ValueError, a race of accumulators in closed form, which has no networks."""
    if is_closed_race(spec):
        found = f"{spec.name!r}, a closed form"
        raise ValueError(explain("a model with a network, or one to train", found, "use likelihood='exact'"))


def n_inputs(spec: Model) -> dict[str, int]:
    """How many inputs the networks of a model have, by network."""
    if spec.transform == RESPONSES:
        return {"lan": lan_view(spec).n_inputs}
    return {"lan": lan_view(spec).n_inputs, "choice": choice_view(spec).n_inputs}


def n_outputs(spec: Model) -> int:
    """How many outputs they have."""
    return ResponseTransform(spec).n_outputs if spec.transform == RESPONSES else 1


def is_positional(spec: Model) -> bool:
    """Whether the drift of a model depends on position."""
    return spec.transform == PATH and _structure(spec).positional


def is_linear(spec: Model) -> bool:
    """Whether it does so linearly, if at all."""
    return spec.transform == SPREAD or _structure(spec).linear


def _structure(spec: Model) -> Structure:
    from pymc_lan.models.diffusion.path_view import structure

    return structure(spec)


def earliest(spec: Model, theta: Mapping[str, Any]) -> Any:
    """Before which no decision time falls [s], counted from the (mean) non-decision time."""
    window = spread(spec, "t", theta)
    return 0.0 if window is None else -window
