"""PyMC distributions; the only package here that builds PyMC variables."""

from pymc_lan.distributions.gonogo import GoNoGo, GoNoGoDDM
from pymc_lan.distributions.lan import DDM, LANDist

__all__ = ["DDM", "GoNoGo", "GoNoGoDDM", "LANDist"]
