"""Simulations for training: chunk after chunk, each a function of the seed and its number alone."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.models.simulator.run import draw_sets, draw_trials_of_sets
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.numerics.parallel import open_executor
from pymc_lan.training.recipes import LIKELIHOOD

Float = NDArray[np.float64]


def _refuse_unknown_elsewhere(spec: Simulated) -> None:
    """Refuse a function that a process started for it could not find.

    Raises
    ------
    ValueError
        If it is defined within another function, or in a notebook or at a prompt.
    """
    assert spec.simulator is not None  # only such models come here
    function, found = spec.simulator.function, "one that"
    where = sys.modules.get(getattr(function, "__module__", None) or "__main__")
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        found += f" cannot be sent there ({error})"
    else:
        if where is None or where.__name__ != "__main__" or hasattr(where, "__file__"):
            return
        found += " is defined in a notebook or at a prompt"
    expected = f"a function of one trial that other processes can import, for {spec.name!r}"
    raise ValueError(explain(expected, found, "move it to a file and import it, or write it for many trials at once"))


@dataclass
class Online:
    """Fresh simulations in every chunk.

    Parameters
    ----------
    spec : Simulated
    sets, trials : int
        Parameter sets of a chunk, and trials of each.
    seed : int
    workers : int, optional
        Processes that run a function of one trial in NumPy; by default one for each core.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers simulate instead.
    estimator : str
        That of the recipe: it decides what chunks are reduced to.
    """

    spec: Simulated
    sets: int
    trials: int
    seed: int
    workers: int | None = None
    scheduler: str | None = None
    estimator: str = LIKELIHOOD
    _pool: Executor | None = field(default=None, init=False, repr=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __enter__(self) -> Online:
        slow = self.spec.simulator is not None and self.spec.simulator.serial
        if slow and self.scheduler is None and self.workers != 1:
            _refuse_unknown_elsewhere(self.spec)
        self._pool = open_executor(self._stack, self.workers if slow else 1, self.scheduler)
        return self

    def __exit__(self, *_: Any) -> None:
        self._pool = None
        self._stack.close()

    def chunk(self, number: int, focus: Float | None = None) -> Any:
        """Simulate one chunk."""
        return self._simulate([self.seed, 1, number], self.sets, self.trials, self.estimator, focus)

    def held_out(self, sets: int, trials: int) -> Any:
        """Simulate sets that no chunk has."""
        return self._simulate([self.seed, 2], sets, trials, LIKELIHOOD)

    def _simulate(self, seed: Sequence[int], sets: int, trials: int, estimator: str, focus: Float | None = None) -> Any:
        from pymc_lan.training.simulated.learners import estimator_of  # JAX, which those who only draw do without

        rng = np.random.default_rng([*seed, 0])
        theta, rt, response = self.draw(rng, seed, sets, trials, focus)
        return estimator_of(self.spec, estimator).reduce(self.spec, theta, rt, response, rng)

    def draw(
        self, rng: np.random.Generator, seed: Sequence[int], sets: int, trials: int, focus: Float | None = None
    ) -> tuple[Float, Float, Float]:
        """Draw parameter sets, shape (m, p), and response times and responses of their trials, (m, n)."""
        theta = draw_sets(self.spec, rng, sets, focus)
        rt, response = draw_trials_of_sets(self.spec, theta, trials, [*seed, 1], self._pool)
        return theta, rt, response
