"""PyMC distributions; the only package here that builds PyMC variables."""

from pymc_lan.distributions.gonogo import GoNoGo, GoNoGoDDM
from pymc_lan.distributions.lan import DDM, LANDist
from pymc_lan.distributions.named import (
    Angle,
    ConflictDS,
    DDMExtended,
    DDMSdv,
    DDMSt,
    ExponentialCollapse,
    GoNoGoAngle,
    GoNoGoConflictDS,
    GoNoGoDDMExtended,
    GoNoGoDDMSdv,
    GoNoGoDDMSt,
    GoNoGoExponentialCollapse,
    GoNoGoHyperbolicCollapse,
    GoNoGoWeibull,
    HyperbolicCollapse,
    Weibull,
)

__all__ = [
    "DDM",
    "Angle",
    "ConflictDS",
    "DDMExtended",
    "DDMSdv",
    "DDMSt",
    "ExponentialCollapse",
    "GoNoGo",
    "GoNoGoAngle",
    "GoNoGoConflictDS",
    "GoNoGoDDM",
    "GoNoGoDDMExtended",
    "GoNoGoDDMSdv",
    "GoNoGoDDMSt",
    "GoNoGoExponentialCollapse",
    "GoNoGoHyperbolicCollapse",
    "GoNoGoWeibull",
    "HyperbolicCollapse",
    "LANDist",
    "Weibull",
]
