"""Guesses (lapses): what is seen of a trial whose response has nothing to do with the stimulus.

A guess is a press with probability `press` (of a task in which every trial has a response: 1), at a time uniform on 0
to `window`, and any of the responses is as likely. A press after the deadline is not seen.

The density and the draws stand side by side, because one has to be the law of the other. Both are used through
`pymc_lan.data.observation.Observation`, which knows what the task says of `press`, `deadline` and the responses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain

Float = NDArray[np.float64]
# The module whose functions a formula uses: numpy, jax.numpy or pytensor.tensor.
Namespace = Any

# The response code of a row without a response (rt = inf).
NO_RESPONSE = 0.0
# What an rt is of which only that it was is known.
LOST_TIME = -1.0


def share_unseen(xp: Namespace, press: Any, deadline: Any, window: Any) -> Any:
    """Share of guesses of which no response is seen.

    Parameters
    ----------
    xp : Namespace
    press, deadline, window : array
        A probability, and seconds; `window` above 0 and finite.

    Examples
    --------
    >>> float(share_unseen(np, 0.5, 1.0, 4.0))
    0.875
    """
    return 1.0 - press * xp.minimum(1.0, deadline / window)


def log_guess_between(xp: Namespace, low: Any, high: Any, press: Any, window: Any) -> Any:
    """Log probability that a guess is a press between two times; arguments as in `share_unseen`.

    Examples
    --------
    >>> float(np.exp(log_guess_between(np, 1.0, np.inf, 0.5, 4.0)).round(6))
    0.375
    """
    length = xp.minimum(high, window) - xp.minimum(xp.maximum(low, 0.0), window)
    some = length > 0
    return xp.where(some, xp.log(press * xp.where(some, length, 1.0) / window), -math.inf)


def log_guess(xp: Namespace, rt: Any, n_responses: int, press: Any, deadline: Any, window: Any) -> Any:
    """Log density of trials that are guesses, jointly over rt and response; of no response the log probability.

    Parameters
    ----------
    xp : Namespace
    rt : array
        Seconds; inf is no response.
    n_responses : int
        How many responses a guess may be.
    press, deadline, window : array
        As in `share_unseen`.
    """
    within = (rt > 0) & (rt <= window)
    seen = xp.where(within, xp.log(press / (n_responses * window)), -math.inf)
    return xp.where(rt < math.inf, seen, xp.log(share_unseen(xp, press, deadline, window)))


def draw_guesses(
    rng: np.random.Generator, responses: Sequence[float], press: Any, deadline: Any, window: Float
) -> Float:
    """Draw one guess for each window, as rows ``[rt, response]``; ``[inf, 0]`` where none is seen.

    Parameters
    ----------
    rng : numpy.random.Generator
    responses : sequence of float
        Codes, each as likely.
    press, deadline, window : array
        As in `share_unseen`.

    Raises
    ------
    ValueError
        If no guess can fall into a window.
    """
    if not np.all((window > 0) & (window < np.inf)):
        expected, remedy = "lapse_window above 0 s and finite", "check what the model computes it from"
        raise ValueError(explain(expected, f"{window.min():g} to {window.max():g}", remedy))
    unseen = rng.random(window.size) < share_unseen(np, press, deadline, window)
    time, response = rng.uniform(0, np.minimum(window, deadline)), rng.choice(responses, window.size)
    return np.column_stack([np.where(unseen, np.inf, time), np.where(unseen, NO_RESPONSE, response)])


def is_possible(extras: Mapping[str, Any]) -> Any:
    """Whether guesses are what their parameters can say: probabilities between 0 and 1, a window above 0 and finite."""
    possible = (extras["lapse_window"] > 0) & (extras["lapse_window"] < math.inf)
    for name in ("p_lapse", "lapse_go"):
        if name in extras:
            possible = possible & (extras[name] >= 0) & (extras[name] <= 1)
    return possible
