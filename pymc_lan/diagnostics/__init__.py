"""How good a network is, and whether a posterior is right."""

from pymc_lan.diagnostics.loo import loo
from pymc_lan.diagnostics.recovery import coverage, recovery, tarp
from pymc_lan.diagnostics.sbc import sbc
from pymc_lan.networks.accuracy.accuracy import accuracy
from pymc_lan.networks.accuracy.simulated import accuracy_from_simulations

__all__ = ["accuracy", "accuracy_from_simulations", "coverage", "loo", "recovery", "sbc", "tarp"]
