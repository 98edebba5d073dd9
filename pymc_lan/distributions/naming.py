"""What a named distribution needs beside its class: a docstring from its model, and a place among the public names."""

from __future__ import annotations

import re

from pymc_lan.distributions.base import TrialDistribution
from pymc_lan.models.catalogue import MODELS

# All of them, by name: `pymc_lan` takes its public names from here, so that no list of them is kept by hand.
DISTRIBUTIONS: dict[str, type[TrialDistribution]] = {}

_DOC = """{summary}.

``{name}(name, {parameters}, ...)``: {description} {reference}

Parameters
----------
{table}
**kwargs
    As `{base}` has them.

Examples
--------
>>> import pymc as pm, pymc_lan as pl
>>> pm.draw(pl.{name}.dist({values}, shape=(10, 2)), random_seed=1).shape
(10, 2)
"""


_CODES = "Responses are coded {}; formulas and how other packages' parameters translate are in docs/accumulators.md."
_CLOSED = "The likelihood is a closed form, so there is no network, and no bound but that of the model itself."


def named[Form: TrialDistribution](cls: type[Form]) -> type[Form]:
    """Make a distribution that knows its model one of the public ones, and describe it where it does not do so itself.

    Parameters
    ----------
    cls : type
        With ``model``, the name of one in the catalogue.

    Returns
    -------
    type
        The same class.
    """
    DISTRIBUTIONS[cls.__name__] = cls
    if cls.__doc__ is None:
        cls.__doc__ = _describe(cls)
    return cls


def _describe(cls: type[TrialDistribution]) -> str:
    """A docstring from the model's spec."""
    assert cls.model is not None, f"{cls.__name__} names no model"
    spec = MODELS[cls.model]
    closed = spec.views is None
    about = [spec.description]
    if closed or (spec.labels is not None and spec.labels.learned is not None):
        about.append(_CODES.format(spec.choices))
    if closed:
        about.append(_CLOSED)
    extent = "usually" if closed else "trained"
    table = "\n".join(
        f"{p.keyword} : tensor_like{'' if p.default is None else f', default {p.default:g}'}\n"
        f"    {p.meaning[0].upper()}{p.meaning[1:]} [{p.unit}]; {extent} from {p.bounds[0]:g} to {p.bounds[1]:g}."
        for p in spec.parameters
    )
    return _DOC.format(
        name=cls.__name__,
        base=cls.__bases__[0].__name__,
        summary=re.split("[:.]", spec.description)[0],
        description=" ".join(about),
        reference=spec.reference,
        parameters=", ".join(p.keyword for p in spec.parameters),
        table=table,
        values=", ".join(f"{(p.bounds[0] + p.bounds[1]) / 2:g}" for p in spec.parameters),
    )
