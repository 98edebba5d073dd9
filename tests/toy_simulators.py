"""Simulators that tests train on: light to import, because worker processes do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import gamma

import pymc_lan as pl
from pymc_lan.training.recipes import SimulationRecipe

TINY = SimulationRecipe(
    hidden=(8,), chunks=4, sets=64, trials=64, passes=4, batch=16, held_out=32, held_out_trials=64, rounds=2
)
# Of products large enough that XLA would cut them into as many parts as it has threads.
WIDE = replace(TINY, hidden=(48, 48), sets=128, passes=2, batch=64)
SHAPE = 3.0
BOUNDS = {"rate": (2.0, 20.0), "p": (0.2, 0.8), "t": (0.1, 0.5)}
LIMITED = {"rate": (2.0, 20.0), "limit": (0.3, 1.5)}


def gamma_coin(theta, rng):
    """Gamma distributed decision times, and a response that does not depend on them."""
    rate, p, t = theta.T
    d = rng.gamma(SHAPE, 1 / rate)
    return t + d, np.where(rng.random(len(d)) < p, 1, 0)


def gamma_coin_logpdf(rt, response, rate, p, t):
    """Its log density, in closed form."""
    return gamma.logpdf(rt - t, SHAPE, scale=1 / rate) + np.log(np.where(response == 1, p, 1 - p))


def gamma_race(theta, rng):
    """Three gamma distributed clocks that differ in their rates alone; the first one decides."""
    clocks = rng.gamma(SHAPE, 1 / theta[:, :3])
    return 0.2 + clocks.min(axis=1), clocks.argmin(axis=1)


def gamma_race_logpdf(rt, response, theta):
    """Its log density, in closed form."""
    d, scale = (rt - 0.2)[:, None], 1 / theta
    first = np.arange(3) == np.asarray(response)[:, None]
    return np.where(first, gamma.logpdf(d, SHAPE, scale=scale), gamma.logsf(d, SHAPE, scale=scale)).sum(axis=1)


def one_trial(theta, rng):
    """The coin for one trial at a time."""
    rate, p, t = theta
    return t + rng.gamma(SHAPE, 1 / rate), int(rng.random() < p)


def given_up(theta, rng):
    """Trials that are given up, with a probability that depends on a limit in an easy way."""
    rate, limit = theta.T
    d = rng.gamma(SHAPE, 1 / rate)
    return np.where(rng.random(len(d)) < 1 / (1 + limit), np.inf, 0.2 + d), np.ones(len(d))


COIN = pl.simulator_spec("coin", gamma_coin, BOUNDS, choices=[0, 1], shift="t")
SLOW_COIN = pl.simulator_spec("coin", one_trial, BOUNDS, choices=[0, 1], shift="t", vectorised=False)
RATES = ("r0", "r1", "r2")
GAMMA_RACE = pl.simulator_spec(
    "gamma_race", gamma_race, dict.fromkeys(RATES, (2.0, 20.0)), choices=[0, 1, 2], exchange=[RATES]
)
GIVEN_UP = pl.simulator_spec(
    "given_up",
    given_up,
    {"rate": LIMITED["rate"]},
    context={"limit": LIMITED["limit"]},
    choices=[1],
    omissions=True,
)

THREE_BOUNDS = {"x": (-2.0, 2.0), "gain": (0.5, 4.0)}


def three_probabilities(x, gain):
    """Probabilities of three choices, in closed form: logits 0, gain x and x^2 - 1."""
    logits = np.stack([np.zeros_like(x * gain), x * gain, x**2 - 1 + 0 * gain], axis=-1)
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def three(theta, rng):
    """One of three choices, by inversion of their distribution function."""
    upto = np.cumsum(three_probabilities(*theta.T), axis=-1)
    return np.minimum((rng.random(len(theta))[:, None] > upto).sum(axis=-1), 2)


def oddity(theta, rng):
    """Is the odd one of three Gaussian percepts picked? It is when the other two are the closest pair."""
    percepts = rng.standard_normal((3, 2, len(theta)))
    percepts[2, 0] += theta[:, 0]
    apart = [np.sum((percepts[i] - percepts[j]) ** 2, axis=0) for i, j in ((0, 1), (0, 2), (1, 2))]
    return apart[0] < np.minimum(apart[1], apart[2])


THREE = pl.simulator_spec("three", three, THREE_BOUNDS, choices=[0, 1, 2], times=False)
ODDITY = pl.simulator_spec("oddity", oddity, {"delta": (0.0, 6.0)}, choices=[0, 1], times=False)
