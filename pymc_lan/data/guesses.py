"""Guesses (lapses): what is seen of a trial whose response has nothing to do with the stimulus.

A guess is a press with probability `press` (of a task in which every trial has a response: 1), at a time uniform on 0
to `window`, and any of the choices is as likely. A press after the deadline is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# The module whose functions a formula uses: numpy, jax.numpy or pytensor.tensor.
Namespace = Any


def share_unseen(xp: Namespace, press: Any, deadline: Any, window: Any) -> Any:
    """Share of guesses of which no response is seen.

    Parameters
    ----------
    xp : Namespace
    press, deadline, window : array
        A probability, and seconds; `window` above 0 and finite.

    Examples
    --------
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> float(share_unseen(NUMPY, 0.5, 1.0, 4.0))
    0.875
    """
    return 1.0 - press * xp.minimum(1.0, deadline / window)


def log_guess(xp: Namespace, rt: Any, n_choices: int, extras: Mapping[str, Any]) -> Any:
    """Log density of trials that are guesses, jointly over rt and response; of no response the log probability.

    Parameters
    ----------
    xp : Namespace
    rt : array
        Seconds; inf is no response.
    n_choices : int
        How many responses a guess may be: one where only presses are seen.
    extras : mapping of str to array
        ``lapse_window`` and, where the task has them, ``lapse_go`` and ``deadline``.
    """
    window, press = extras["lapse_window"], extras.get("lapse_go", 1.0)
    within = (rt > 0) & (rt <= window)
    seen = xp.where(within, xp.log(press / (n_choices * window)), -math.inf)
    return xp.where(rt < math.inf, seen, xp.log(share_unseen(xp, press, extras.get("deadline", math.inf), window)))


def is_possible(extras: Mapping[str, Any]) -> Any:
    """Whether guesses are what their parameters can say: probabilities between 0 and 1, a window above 0 and finite."""
    possible = (extras["lapse_window"] > 0) & (extras["lapse_window"] < math.inf)
    for name in ("p_lapse", "lapse_go"):
        if name in extras:
            possible = possible & (extras[name] >= 0) & (extras[name] <= 1)
    return possible
