"""What is trained and how, as frozen data that a config records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """Architecture and optimisation of one network.

    Parameters
    ----------
    hidden : tuple of int
        Width of every hidden layer.
    activation : str
        A key of `pymc_lan.mlp.ACTIVATIONS`.
    steps, batch : int
        Optimiser steps, and trials per step.
    learning_rate : float
        Peak rate of Adam; it falls to zero by half a cosine.
    clip : float
        Largest norm of the gradient.
    pool : int
        Labelled trials to draw batches from.
    """

    hidden: tuple[int, ...] = (16, 16)
    activation: str = "squareplus"
    steps: int = 40_000
    batch: int = 2048
    learning_rate: float = 1e-2
    clip: float = 1.0
    pool: int = 1_000_000


LAN_RECIPE = Recipe(hidden=(24, 24), steps=100_000)
CHOICE_RECIPE = Recipe(hidden=(24, 24), steps=80_000, pool=500_000)
