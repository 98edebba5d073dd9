"""Inference helpers, thin and over libraries: a mode by optax, chains by BlackJAX, starts from the trials."""

from pymc_lan.inference.blackjax import sample_blackjax
from pymc_lan.inference.mode import MapFit, fit_map
from pymc_lan.inference.start import initvals

__all__ = ["MapFit", "fit_map", "initvals", "sample_blackjax"]
