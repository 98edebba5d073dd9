"""Named distributions: one class per model, diffusions in a two-choice and a go/no-go form."""

from __future__ import annotations

import re
from types import new_class

from pymc_lan.distributions.gonogo import GoNoGo
from pymc_lan.distributions.landist import LANDist
from pymc_lan.models.catalogue import get_model
from pymc_lan.models.race.race import is_closed_race, race_of

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


def _named[Form: (LANDist, GoNoGo)](name: str, base: type[Form], model: str) -> type[Form]:
    """A distribution that knows its model, with a docstring from the model's spec."""
    spec = get_model(model)
    closed = is_closed_race(spec)
    about = [spec.description]
    if race_of(spec) is not None:
        about.append(_CODES.format(spec.choices))
    if closed:
        about.append(_CLOSED)
    extent = "usually" if closed else "trained"
    table = "\n".join(
        f"{p.keyword} : tensor_like{'' if p.default is None else f', default {p.default:g}'}\n"
        f"    {p.meaning[0].upper()}{p.meaning[1:]} [{p.unit}]; {extent} from {p.bounds[0]:g} to {p.bounds[1]:g}."
        for p in spec.parameters
    )
    doc = _DOC.format(
        name=name,
        base=base.__name__,
        summary=re.split("[:.]", spec.description)[0],
        description=" ".join(about),
        reference=spec.reference,
        parameters=", ".join(p.keyword for p in spec.parameters),
        table=table,
        values=", ".join(f"{(p.bounds[0] + p.bounds[1]) / 2:g}" for p in spec.parameters),
    )
    body = {"model": model, "__doc__": doc, "__module__": __name__}
    return new_class(name, (base,), exec_body=lambda namespace: namespace.update(body))


Angle = _named("Angle", LANDist, "angle")
GoNoGoAngle = _named("GoNoGoAngle", GoNoGo, "angle")
ConflictDS = _named("ConflictDS", LANDist, "conflict_ds")
GoNoGoConflictDS = _named("GoNoGoConflictDS", GoNoGo, "conflict_ds")
DDMExtended = _named("DDMExtended", LANDist, "ddm_extended")
GoNoGoDDMExtended = _named("GoNoGoDDMExtended", GoNoGo, "ddm_extended")
DDMSdv = _named("DDMSdv", LANDist, "ddm_sdv")
GoNoGoDDMSdv = _named("GoNoGoDDMSdv", GoNoGo, "ddm_sdv")
DDMSt = _named("DDMSt", LANDist, "ddm_st")
GoNoGoDDMSt = _named("GoNoGoDDMSt", GoNoGo, "ddm_st")
ExponentialCollapse = _named("ExponentialCollapse", LANDist, "exponential_collapse")
GoNoGoExponentialCollapse = _named("GoNoGoExponentialCollapse", GoNoGo, "exponential_collapse")
FullDDM = _named("FullDDM", LANDist, "full_ddm")
GoNoGoFullDDM = _named("GoNoGoFullDDM", GoNoGo, "full_ddm")
GammaDrift = _named("GammaDrift", LANDist, "gamma_drift")
GoNoGoGammaDrift = _named("GoNoGoGammaDrift", GoNoGo, "gamma_drift")
GammaDriftAngle = _named("GammaDriftAngle", LANDist, "gamma_drift_angle")
GoNoGoGammaDriftAngle = _named("GoNoGoGammaDriftAngle", GoNoGo, "gamma_drift_angle")
HyperbolicCollapse = _named("HyperbolicCollapse", LANDist, "hyperbolic_collapse")
GoNoGoHyperbolicCollapse = _named("GoNoGoHyperbolicCollapse", GoNoGo, "hyperbolic_collapse")
LBA2 = _named("LBA2", LANDist, "lba2")
LBA3 = _named("LBA3", LANDist, "lba3")
LBA4 = _named("LBA4", LANDist, "lba4")
LCA3 = _named("LCA3", LANDist, "lca_3")
Levy = _named("Levy", LANDist, "levy")
Ornstein = _named("Ornstein", LANDist, "ornstein")
GoNoGoOrnstein = _named("GoNoGoOrnstein", GoNoGo, "ornstein")
PoissonRace = _named("PoissonRace", LANDist, "poisson_race")
Race3 = _named("Race3", LANDist, "race_3")
Race4 = _named("Race4", LANDist, "race_4")
RaceNoBiasAngle3 = _named("RaceNoBiasAngle3", LANDist, "race_no_bias_angle_3")
RaceNoBiasAngle4 = _named("RaceNoBiasAngle4", LANDist, "race_no_bias_angle_4")
RDM3 = _named("RDM3", LANDist, "rdm3")
ShrinkSpot = _named("ShrinkSpot", LANDist, "shrink_spot")
GoNoGoShrinkSpot = _named("GoNoGoShrinkSpot", GoNoGo, "shrink_spot")
Weibull = _named("Weibull", LANDist, "weibull")
GoNoGoWeibull = _named("GoNoGoWeibull", GoNoGo, "weibull")
