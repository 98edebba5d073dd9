"""What a likelihood is made of: the density of decision times, and how the networks of a model see its trials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from pymc_lan.data.observation import Silence
from pymc_lan.errors import explain
from pymc_lan.numerics.passage import Namespace, Theta

# From a tuple of inputs to the output; of several outputs, to a list of them.
Network = Callable[[tuple[Any, ...]], Any]


# ``(xp, horizon, theta)`` to the log probability of a response at the upper boundary within `horizon` seconds of
# decision time, and of the rest.
Split = Callable[[Namespace, Any, Theta], tuple[Any, Any]]
# The same arguments to the log probability that nothing is decided within the horizon.
Survivor = Callable[[Namespace, Any, Theta], Any]


class Density(ABC):
    """A density of decision times and responses, elementwise, written against an array namespace."""

    __slots__ = ()

    @abstractmethod
    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)``: below `d_min` seconds the log density goes on in a straight line of that slope.

        The slope is positive, so that a sampler that starts at rt < t is led back.
        """

    @abstractmethod
    def log_density(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """Log density of a decision time, at `d_min` or later, and a response."""

    @property
    def log_split(self) -> Split | None:
        """Log probability of an upper response within a horizon, and of the rest, where they have a closed form."""
        return None

    @property
    def log_survivor(self) -> Survivor | None:
        """Log probability that nothing is decided within a horizon, where it is known."""
        return None

    @property
    def known(self) -> frozenset[Silence]:
        """Of which trials without a response it knows the probability."""
        each = {Silence.NO_PRESS: self.log_split, Silence.OMISSION: self.log_survivor}
        return frozenset(silence for silence, function in each.items() if function is not None)


class DensityView(Protocol):
    """How a likelihood network sees a trial, and what it is added to."""

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""

    def inputs(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""

    def baseline(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """The log density (per second) that the network corrects."""

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)``; see `Density.onset`."""


class DeadlineView(ABC):
    """How the network of trials without a response sees a deadline."""

    __slots__ = ()
    # What it means that there is no response.
    silence: ClassVar[Silence] = Silence.NO_PRESS
    # Whether it knows how probabilities depend on a deadline.
    deadlines: ClassVar[bool] = True
    # What to say, found and remedy, where presses are asked of one that does not know them.
    no_press: ClassVar[tuple[str, str]] = ("", "")

    @property
    @abstractmethod
    def n_inputs(self) -> int:
        """Number of inputs."""

    @abstractmethod
    def log_split(self, xp: Namespace, network: Network, horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of a response that is seen within `horizon` seconds of decision time, and of the rest."""


class HorizonView(DeadlineView):
    """How a network that corrects the logit of a closed form sees a horizon, the decision time by a deadline."""

    __slots__ = ()

    @abstractmethod
    def inputs(self, xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs for a finite positive horizon, each of order one."""

    @abstractmethod
    def baseline(self, xp: Namespace, horizon: Any, theta: Theta) -> Any:
        """The logit that the network corrects."""

    @abstractmethod
    def latest(self, xp: Namespace, theta: Theta) -> Any:
        """When practically everything is decided [s]."""

    @abstractmethod
    def least(self, xp: Namespace, theta: Theta) -> Any:
        """The shortest horizon [s] that is looked at: far enough inside for a finite logit and gradient."""

    def begins(self, theta: Theta) -> Any:
        """Horizon [s] by which the first decision may have begun."""
        return 0.0


class Views(ABC):
    """How the networks of a model see its trials: what turns networks into a density."""

    __slots__ = ()
    # What a config calls it.
    tag: str

    @property
    def symbolic(self) -> bool:
        """Whether its formulas can be written as PyTensor graphs; those of a drift in jax.numpy cannot."""
        return True

    @property
    def n_outputs(self) -> int:
        """How many outputs the likelihood network has."""
        return 1

    @property
    @abstractmethod
    def n_inputs(self) -> dict[str, int]:
        """How many inputs each network has, by its name in a config."""

    @property
    def lan(self) -> DensityView | None:
        """That of the likelihood network, where it gives a density of times."""
        return None

    @property
    def choice(self) -> DeadlineView | None:
        """That of the network of trials without a response, where it stands for itself."""
        return None

    @property
    def survivor(self) -> HorizonView | None:
        """That of the network of trials in which nothing is decided by a deadline, where there is one of its own."""
        return None

    @abstractmethod
    def density(self, lan: Network, choice: Network | None) -> Density:
        """The density that networks give."""

    def log_probabilities(self, xp: Namespace, network: Network, theta: Theta) -> list[Any]:
        """Log probability of each choice, of a model of responses alone."""
        raise ValueError(explain("a model of responses alone", "one of response times", "use its log density"))

    def stored(self) -> dict[str, Any]:
        """What a config has to say of the likelihood network beside sizes and tag."""
        return {}
