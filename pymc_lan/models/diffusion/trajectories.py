"""Trials of a diffusion together with the way that the evidence went, on one grid of times.

Steps are Euler and Maruyama's, but crossings of a boundary within a step, which a path on the grid does not show, are
drawn with it: whether there is one, by the chance of a Brownian bridge between the two ends of the step, and when, from
the time at which the bridge first gets there. With a constant drift and boundaries that are straight within a step, the
trials are those of the exact sampler; otherwise the drift is taken to be constant within a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, refuse
from pymc_lan.models.diffusion.kinds import Diffusion, vary
from pymc_lan.models.imported import Imported
from pymc_lan.models.model import Model
from pymc_lan.numerics.samplers.inverse_gaussian import inverse_gaussian

Float = NDArray[np.float64]

# Seconds between two times of a path; and after which a path that is still undecided is refused, as too long to keep.
STEP, LONGEST = 0.001, 60.0
# Steps for which there is room at first; it is doubled where they do not suffice.
ROOM = 4000


@singledispatch
def as_diffusion(model: Model) -> Diffusion:
    """The diffusion between two boundaries that a model is; ValueError of one that is none."""
    remedy = "use its distribution or simulate it"
    raise ValueError(explain("a diffusion between two boundaries", f"{model.name!r}, which has none", remedy))


@as_diffusion.register
def _itself(model: Diffusion) -> Diffusion:
    return model


@as_diffusion.register
def _that_is_known(model: Imported) -> Diffusion:
    return as_diffusion(model.known)


class Trajectories(NamedTuple):
    """Trials and their paths.

    Parameters
    ----------
    rt, response : ndarray, shape (k,)
        Seconds; +1 or -1.
    times : ndarray, shape (steps,)
        Seconds after the onset of the stimulus.
    x : ndarray, shape (k, steps)
        Evidence: the starting point until the decision begins; at the first time after the response that of the
        boundary which was reached, and NaN later.
    """

    rt: Float
    response: Float
    times: Float
    x: Float


def draw_trajectories(spec: Diffusion, rng: np.random.Generator, theta: Mapping[str, Float]) -> Trajectories:
    """Draw one trial with its path for each set of parameters.

    Parameters
    ----------
    spec : Diffusion
    rng : numpy.random.Generator
    theta : mapping of str to ndarray, shape (k,)

    Returns
    -------
    Trajectories

    Raises
    ------
    ValueError
        If a trial is undecided after `LONGEST` seconds.
    """
    theta = vary(spec, rng, theta)
    rt, response = (np.full(theta["t"].size, np.nan) for _ in range(2))
    # Of the trials that are followed, some of which are decided: their numbers, parameters, boundary and evidence, and
    # the time of decision so far.
    rows: NDArray[np.intp] = np.arange(rt.size)
    some, decision = theta, np.zeros(rt.size)
    bound = _boundary(spec, decision, some)
    x: Float = bound * (2 * some["z"] - 1)
    kept = np.full((rt.size, ROOM), np.nan)
    kept[:, 0] = x
    step = 0
    while (going := np.isnan(rt[rows])).any():
        if 2 * going.sum() <= going.size:
            # By halves, because functions written in jax.numpy are compiled anew for each number of trials.
            rows, x, bound, decision = rows[going], x[going], bound[going], decision[going]
            some = {name: each[going] for name, each in some.items()}
            going = np.ones(rows.size, bool)
        step += 1
        if step == kept.shape[1]:
            kept = np.concatenate([kept, np.full_like(kept, np.nan)], axis=1)
        # The step in which the decision begins is a part of one.
        until = np.clip(step * STEP - some["t"], 0.0, None)
        _refuse_long(spec, np.where(going, until, 0.0), some)
        dt = until - decision
        drift = np.asarray(spec.drift(decision, x, some), np.float64)
        ahead = x + drift * dt + np.sqrt(dt) * rng.standard_normal(rows.size)
        bound_ahead = _boundary(spec, until, some)
        when, side = _crossing(rng, dt, (bound - x, bound_ahead - ahead), (bound + x, bound_ahead + ahead))
        ends = going & np.isfinite(when)
        rt[rows[ends]], response[rows[ends]] = (some["t"] + decision + when)[ends], side[ends]
        here = np.where(ends, side * np.maximum(bound_ahead, 0.0), ahead)
        kept[rows[going], step] = here[going]
        # What is decided waits in the middle.
        x, bound, decision = np.where(going & ~ends, ahead, 0.0), bound_ahead, until
    times = np.arange(step + 1, dtype=np.float64) * STEP
    return Trajectories(rt, response, times, kept[:, : step + 1])


def _refuse_long(spec: Diffusion, decision: Float, theta: Mapping[str, Float]) -> None:
    refuse(
        decision > LONGEST,
        {name: theta[name] for name in spec.names},
        expected=f"trials of {spec.name!r} that are decided within {LONGEST:g} s, to keep their paths",
        found="parameters with which one is not",
        remedy="give others, or simulate without trajectories",
    )


def _boundary(spec: Diffusion, time: Float, theta: Mapping[str, Float]) -> Float:
    return np.broadcast_to(np.asarray(spec.boundary(time, theta), np.float64), time.shape)


def _crossing(
    rng: np.random.Generator, dt: Float, upper: tuple[Float, Float], lower: tuple[Float, Float]
) -> tuple[Float, Float]:
    """When, within a step, a boundary is first reached, and which; inf where neither is.

    Parameters
    ----------
    rng : numpy.random.Generator
    dt : ndarray, shape (k,)
        Lengths of the step; 0 where there is none.
    upper, lower : tuple of two ndarray, shape (k,)
        Distances from the boundary at the beginning and at the end; negative beyond it.
    """
    found = []
    for gap, ahead in (upper, lower):
        when = np.full(dt.size, np.inf)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            crosses = (dt > 0) & ((ahead <= 0) | (rng.random(dt.size) < np.exp(-2 * gap * ahead / dt)))
        # A boundary may lie at the starting point itself, such as of z = 1.
        gap, ahead, length = np.maximum(gap[crosses], 1e-12), np.maximum(np.abs(ahead[crosses]), 1e-12), dt[crosses]
        # In s = time / (dt - time) the bridge is a Brownian motion, whose first passage is inverse Gaussian.
        s = inverse_gaussian(rng, gap / ahead, length / (2 * gap * ahead) * rng.chisquare(1, length.size))
        when[crosses] = length * s / (1 + s)
        found.append(when)
    return np.minimum(*found), np.where(found[0] <= found[1], 1.0, -1.0)
