"""A way of BlackJAX to come to draws: a function of one chain, and where its chains start."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pymc_lan.errors import explain, is_real, unknown
from pymc_lan.inference.blackjax.target import Target

# As many as pm.sample tries.
RETRIES = 10


class Method(ABC):
    """What is done for each chain."""

    @abstractmethod
    def starts(self, target: Target, seed: Any, chains: int, jitter: bool) -> Any:
        """What each chain starts from, stacked along a first axis of chains."""

    @abstractmethod
    def chain(self, key: Any, start: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Positions and statistics of each draw, and what is known of the chain as a whole; in JAX."""

    def look(self, whole: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, Any]:
        """What is said of whole chains, once they have run; refuses what has come to no result."""
        return dict(whole)


def check_parameters(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a kernel parameter that the method does not have.

    Parameters
    ----------
    given, known : iterable of str

    Examples
    --------
    >>> check_parameters(["step_size"], ["step_size", "L"])
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise ValueError(unknown("kernel parameter", name, known))


def check_share(name: str, value: Any) -> float:
    """Refuse what is no share, between 0 and 1.

    Parameters
    ----------
    name : str
    value : float

    Returns
    -------
    float

    Examples
    --------
    >>> check_share("target_ess", 0.5)
    0.5
    """
    if not (is_real(value) and 0 < value < 1):
        raise ValueError(explain(f"{name} as a share, between 0 and 1", f"{value!r:.80}", "give one, such as 0.8"))
    return float(value)


def finite_starts(target: Target, seed: Any, chains: int, jitter: bool) -> Any:
    """Stacked starts, each where the density is finite; moved ones are drawn anew where it is not.

    Parameters
    ----------
    target : Target
    seed : int, optional
    chains : int
    jitter : bool

    Returns
    -------
    pytree of arrays of shape (chains, ...)

    Examples
    --------
    >>> from pymc_lan.inference.blackjax.target import as_target
    >>> finite_starts(as_target(lambda x: -(x**2), 1.0), 1, 2, False)
    array([1., 1.])
    """
    import jax

    batches = target.starts(seed, [jitter] * chains * (RETRIES if jitter else 1))
    finite = jax.jit(target.density)
    chosen = []
    for i in range(chains):
        tries = batches[i::chains]
        chosen.append(next((x for x in tries if np.isfinite(finite(x))), None))
        if chosen[-1] is None:
            found = f"one of 0 or NaN, {target.not_finite(tries[-1])}in every of {len(tries)} tries"
            remedy = "give other initvals, for instance those of pl.initvals, or jitter=False"
            raise ValueError(explain("a start with a finite log density", found, remedy))
    return jax.tree.map(lambda *x: np.stack(x), *chosen)
