"""Figures of data, fits, models and networks: functions that return matplotlib axes and take some as ``ax``."""

from pymc_lan.plots.calibration import contraction, ranks
from pymc_lan.plots.cartoon import cartoon
from pymc_lan.plots.choice_probabilities import choice_probabilities
from pymc_lan.plots.choice_time import conditional_accuracy, delta, quantile_probability
from pymc_lan.plots.effects import effects
from pymc_lan.plots.ellipses import ellipses
from pymc_lan.plots.network import network
from pymc_lan.plots.predictive import predictive, predictive_gonogo
from pymc_lan.plots.predictive_cells import predictive_cells
from pymc_lan.plots.recovery import recovery
from pymc_lan.plots.shrinkage import shrinkage
from pymc_lan.plots.style import paper

__all__ = [
    "cartoon",
    "choice_probabilities",
    "conditional_accuracy",
    "contraction",
    "delta",
    "effects",
    "ellipses",
    "network",
    "paper",
    "predictive",
    "predictive_cells",
    "predictive_gonogo",
    "quantile_probability",
    "ranks",
    "recovery",
    "shrinkage",
]
