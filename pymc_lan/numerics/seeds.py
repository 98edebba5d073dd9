"""From a seed to random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pymc_lan.errors import check_count, explain, is_real


def as_generator(seed: Any) -> np.random.Generator:
    """A generator of random numbers from a seed that may be left out.

    Parameters
    ----------
    seed : int, optional
        Or what else `numpy.random.default_rng` takes.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    ValueError
        For what is no seed; True is none.

    Examples
    --------
    >>> as_generator(1).random() == np.random.default_rng(1).random()
    True
    """
    if is_real(seed) or isinstance(seed, bool | np.bool_):
        seed = check_count("seed", seed, 0)
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        expected, remedy = "seed as a whole number, 0 or more", "give seed so, or leave it out"
        raise ValueError(explain(expected, f"seed={seed!r:.80}", remedy)) from error
