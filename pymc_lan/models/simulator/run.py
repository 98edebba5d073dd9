"""A simulator run for many parameter sets: the same trials however many processes draw them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.model import Model
from pymc_lan.models.proposals import draw_theta
from pymc_lan.models.simulator.calls import run_simulator

Float = NDArray[np.float64]

# Trials for one call of a function of many trials, and for one task of a process that runs one of a single trial.
BLOCK, SLOW_BLOCK = 200_000, 2_000
# Half of the parameter sets of a round lie about points where the error is largest, at so many shares of the bounds.
FOCUSED, NEARBY = 0.5, 0.05


def draw_sets(spec: Model, rng: np.random.Generator, m: int, focus: Float | None = None) -> Float:
    """Draw parameter sets uniformly over the bounds and, where a focus is given, half of them about its points.

    Parameters
    ----------
    spec : Model
    rng : numpy.random.Generator
    m : int
    focus : ndarray, shape (k, p), optional

    Returns
    -------
    ndarray, shape (m, p)
    """
    theta = np.column_stack(list(draw_theta(spec, rng, m, with_t=True).values()))
    if focus is None or not len(focus):
        return theta
    low, high = np.array([p.bounds for p in spec.parameters]).T
    near = focus[rng.integers(len(focus), size=m)] + NEARBY * (high - low) * rng.standard_normal(theta.shape)
    inside = np.all((near > theta.min(axis=0)) & (near < theta.max(axis=0)), axis=1)
    return np.where((inside & (rng.random(m) < FOCUSED))[:, None], near, theta)


def _slow_block(spec: Model, theta: Float, seed: Sequence[int]) -> tuple[Float, Float]:
    return run_simulator(spec, theta, np.random.default_rng(seed))


def draw_trials_of_sets(
    spec: Model, theta: Float, n: int, seed: Sequence[int], pool: Executor | None = None
) -> tuple[Float, Float]:
    """Draw n trials of each parameter set, in blocks whose seeds do not depend on how many processes there are.

    Parameters
    ----------
    spec : Model
    theta : ndarray, shape (m, p)
    n : int
    seed : sequence of int
    pool : Executor, optional
        Runs the blocks side by side.

    Returns
    -------
    rt, response : ndarray, shape (m, n)
    """
    assert spec.simulator is not None  # only such models come here
    rows = np.repeat(theta, n, axis=0)
    size = SLOW_BLOCK if spec.simulator.serial else BLOCK
    starts = range(0, len(rows), size)
    run = map if pool is None else pool.map
    blocks = [rows[i : i + size] for i in starts]
    found = list(run(_slow_block, [spec] * len(blocks), blocks, [[*seed, k] for k in range(len(blocks))]))
    rt, response = (np.concatenate(x).reshape(len(theta), n) for x in zip(*found, strict=True))
    return rt, response
