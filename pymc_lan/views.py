"""How a model's networks see a trial: from the tables of closed forms, or from its drift and boundary."""

from __future__ import annotations

from functools import cache
from typing import Any

from pymc_lan.choice import CHOICE_TRANSFORMS
from pymc_lan.spec import ModelSpec
from pymc_lan.transforms import TRANSFORMS

# The transform of a model that is given by its two functions alone. It needs JAX, which is loaded only then.
PATH = "path"


@cache
def transform_of(spec: ModelSpec) -> Any:
    """What the likelihood network of a model sees, and what it is added to: a `Transform` or a `PathTransform`."""
    if spec.transform == PATH:
        from pymc_lan.paths import PathTransform

        return PathTransform(spec)
    return TRANSFORMS[spec.transform]


@cache
def choice_transform_of(spec: ModelSpec) -> Any:
    """The same of its choice/deadline network: a `ChoiceTransform` or a `PathChoice`."""
    if spec.transform == PATH:
        from pymc_lan.paths import PathChoice

        return PathChoice(spec)
    return CHOICE_TRANSFORMS[spec.transform]


def n_inputs(spec: ModelSpec) -> dict[str, int]:
    """How many inputs the networks of a model have, by network."""
    return {"lan": transform_of(spec).n_inputs, "choice": choice_transform_of(spec).n_inputs}
