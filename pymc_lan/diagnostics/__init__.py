"""How good a network is: accuracy against labels, or against fresh simulations."""

from pymc_lan.diagnostics.accuracy import accuracy
from pymc_lan.diagnostics.simulations import accuracy_from_simulations

__all__ = ["accuracy", "accuracy_from_simulations"]
