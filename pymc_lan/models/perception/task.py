"""What every task of perception is: stimuli with noisy percepts, and an answer that is right or wrong."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.density import Network
from pymc_lan.models.model import Model
from pymc_lan.models.perception.percepts import Trial
from pymc_lan.numerics.passage import Namespace

Float = NDArray[np.float64]


class Task(Model):
    """A task with stimuli around which percepts are normal, and answers that are right (1) or wrong (0).

    A trial is a reference and a comparison with their covariances; its answers depend on less, which is what the
    parameters are.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
    description, reference : str
    choices : tuple of int
    """

    __slots__ = ()

    # How often a guess is right.
    chance: ClassVar[float]

    @property
    def times(self) -> bool:
        """None of its trials has one."""
        return False

    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Draw an answer for each set of parameters, from percepts; the times are 0."""
        n = len(theta[self.names[0]])
        return np.zeros(n), self.answer(rng, self.stimuli(theta), n).astype(np.float64)

    @abstractmethod
    def stimuli(self, theta: Mapping[str, Float]) -> Trial:
        """A trial of these parameters."""

    @abstractmethod
    def answer(self, rng: np.random.Generator, trial: Trial, n: int) -> NDArray[np.bool_]:
        """Draw percepts of n trials, and say whether the answers to them are right.

        Parameters
        ----------
        rng : numpy.random.Generator
        trial : Trial
            Of arrays of shape (n,) or ().
        n : int

        Returns
        -------
        ndarray of bool, shape (n,)
        """

    @abstractmethod
    def seen(self, xp: Namespace, trial: Trial) -> Any:
        """What of a trial its answer depends on."""

    @abstractmethod
    def log_answers(self, xp: Namespace, network: Network | None, seen: Any) -> list[Any]:
        """Log probability of a wrong and of a right answer, by the network of a task that has one."""

    @abstractmethod
    def theta(self, xp: Namespace, seen: Any) -> dict[str, Any]:
        """The parameters of a trial; no derivatives are asked of them."""
