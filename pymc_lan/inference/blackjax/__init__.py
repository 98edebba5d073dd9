"""BlackJAX's samplers, of PyMC models and of bare log densities."""

from pymc_lan.inference.blackjax.sample import sample_blackjax

__all__ = ["sample_blackjax"]
