"""Inference helpers, thin and over libraries: a mode by optax and chains by BlackJAX."""

from pymc_lan.inference.blackjax import sample_blackjax
from pymc_lan.inference.optimum import MapFit, fit_map

__all__ = ["MapFit", "fit_map", "sample_blackjax"]
