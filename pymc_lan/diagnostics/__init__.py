"""How good a network is: accuracy against labels."""

from pymc_lan.diagnostics.accuracy import accuracy

__all__ = ["accuracy"]
