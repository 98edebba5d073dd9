"""How good a network is, and whether a posterior is right."""

from pymc_lan.diagnostics.accuracy import accuracy
from pymc_lan.diagnostics.calibration import sbc
from pymc_lan.diagnostics.comparison import loo
from pymc_lan.diagnostics.simulations import accuracy_from_simulations
from pymc_lan.diagnostics.summaries import coverage, recovery, tarp

__all__ = ["accuracy", "accuracy_from_simulations", "coverage", "loo", "recovery", "sbc", "tarp"]
