"""True densities of a model: what networks learn from, are measured against, and are checked against."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Theta = dict[str, Float]


class Trials(NamedTuple):
    """Trials with their log density.

    Parameters
    ----------
    theta : dict of str to ndarray, shape (n,)
        Every parameter but t.
    d, response, label : ndarray, shape (n,)
    dropped : float
        Share of parameter sets without a label that is accurate enough.
    """

    theta: Theta
    d: Float
    response: Float
    label: Float
    dropped: float = 0.0


class Deadlines(NamedTuple):
    """Deadlines with the log probabilities of a go response and of none; NaN where there is no trusted label.

    Parameters
    ----------
    theta : dict of str to ndarray, shape (n,)
        Every parameter but t.
    horizon, log_go, log_rest : ndarray, shape (n,)
    """

    theta: Theta
    horizon: Float
    log_go: Float
    log_rest: Float


class Labels(ABC):
    """Where the true density of a model comes from."""

    __slots__ = ()
    # Whether they take seconds, so that nothing is won by a cluster.
    quick: ClassVar[bool] = False
    # Whether they are differentiable closed forms of the density.
    closed: ClassVar[bool] = False
    # Whether each trial is labelled by itself, or a solution serves all trials of its parameters.
    pointwise: ClassVar[bool] = False
    # Parameter sets over which the density of a network is integrated when it is measured.
    n_mass: ClassVar[int] = 1000
    # What the networks learn, where that is not the model itself: runs of all models that share it share their states.
    learned: ClassVar[str | None] = None

    @property
    @abstractmethod
    def about(self) -> str:
        """Where they come from, in words for a config and a card."""

    @property
    @abstractmethod
    def views(self) -> tuple[Any, Any]:
        """How the two networks that learn from them see a trial and a deadline."""

    @abstractmethod
    def training_trials(
        self, rng: np.random.Generator, n: int, farm: Executor | None = None, ends: float = 0.0
    ) -> Trials:
        """Draw trials that cover onset, bulk and tail; a farm, where there is one, solves for what has to be solved."""

    @abstractmethod
    def model_trials(self, rng: np.random.Generator, n: int) -> Trials:
        """Draw n trials of the model, each of a parameter set of its own where that has no price; undecided ones go."""

    @abstractmethod
    def deadlines(
        self,
        rng: np.random.Generator,
        n: int,
        farm: Executor | None = None,
        *,
        measured: bool = False,
        ends: float = 0.0,
    ) -> Deadlines:
        """Draw deadlines over all times of interest, one in eight of them without an end.

        For training many share a parameter set where its distribution has a price; to measure, fewer or none.
        """

    def undecided(
        self,
        rng: np.random.Generator,
        n: int,
        farm: Executor | None = None,
        *,
        measured: bool = False,
        ends: float = 0.0,
    ) -> Deadlines:
        """Draw deadlines with the log probabilities of a response by then, of either kind, and of none."""
        raise NotImplementedError(f"{type(self).__name__} knows nothing of omissions")

    @abstractmethod
    def at(
        self,
        theta: Mapping[str, Float],
        which: NDArray[np.intp],
        d: Float,
        response: Float,
        horizon: Float | None = None,
    ) -> Float:
        """Log likelihood of given trials.

        Parameters
        ----------
        theta : mapping of str to ndarray, shape (n_sets,)
            Every parameter but t.
        which : ndarray of int, shape (n,)
            The set of each trial.
        d : ndarray, shape (n,)
            Decision times in seconds; inf where there was no response.
        response : ndarray, shape (n,)
        horizon : ndarray, shape (n,), optional
            Decision times by which trials without a response were not at the upper boundary; may be inf.

        Returns
        -------
        ndarray, shape (n,)
            NaN where it is not known.
        """

    @abstractmethod
    def decided(self, theta: Theta) -> Float:
        """The probability of a decision by the time of `latest`, shape (n,).

        Below one where boundaries run away, or a leak holds the process between them.
        """

    @abstractmethod
    def latest(self, theta: Theta) -> Float:
        """When practically everything is decided that ever is [s]."""
