"""PyMC distributions; the only package here that builds PyMC variables."""

from pymc_lan.distributions.gonogo import GoNoGo, GoNoGoDDM
from pymc_lan.distributions.lan import DDM, LANDist
from pymc_lan.distributions.named import (
    Angle,
    DDMExtended,
    DDMSdv,
    GoNoGoAngle,
    GoNoGoDDMExtended,
    GoNoGoDDMSdv,
    GoNoGoWeibull,
    Weibull,
)

__all__ = [
    "DDM",
    "Angle",
    "DDMExtended",
    "DDMSdv",
    "GoNoGo",
    "GoNoGoAngle",
    "GoNoGoDDM",
    "GoNoGoDDMExtended",
    "GoNoGoDDMSdv",
    "GoNoGoWeibull",
    "LANDist",
    "Weibull",
]
