"""What is seen of a trial: a closed family, of which each distribution takes one.

A model says what happens in a trial; the task says what is seen of it. `Observation` is the only place that knows: it
reads a user's table, hides from simulated trials what nobody would see, and puts together, from what a likelihood says
of responses and of none, the density of what was seen. Everything else calls its methods and asks no further.

A further kind of observation is one class: the rows that stand for what it sees (`read`, `hide`, `possible`), and
their density (`log_trial`, `log_guess`). One that changes another (times known to 50 ms, trials that were left out)
holds that other one as a field, and is in `pymc_lan.data.partly_seen`.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import reduce
from typing import Any, ClassVar, Protocol, final, override

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data import guesses
from pymc_lan.data.answers import Columns, by_boundary, chosen, pressed, responded, responded_if_timed
from pymc_lan.data.guesses import NO_RESPONSE, Float, Namespace

# What a trial without a response is, as a row [rt, response].
UNSEEN = (np.inf, NO_RESPONSE)

# Arguments of a distribution behind the model's own: of guesses in any task.
GUESSES = ("p_lapse", "lapse_window")


class Silence(Enum):
    """What it says of a trial that there was no response."""

    NO_PRESS = "It was decided against a press, or not by the deadline."
    OMISSION = "It was not decided by the deadline."


EVERY_SILENCE = frozenset(Silence)


class TrialLikelihood(Protocol):
    """What an observation asks of a likelihood: one call, so that networks evaluate each trial once."""

    def log_trial(self, xp: Namespace, rt: Any, response: Any, deadline: Any, theta: Mapping[str, Any]) -> Any:
        """Log density of (rt, response) or, where rt is inf, log probability of no response by the deadline.

        Without a deadline (None) every trial ends with a response, and none has the log probability -inf.
        """
        ...

    def log_mass(
        self, xp: Namespace, low: Any, high: Any, response: Any, theta: Mapping[str, Any], *, short: bool = False
    ) -> Any:
        """Log probability of a response between two times; `short` where these are never far apart."""
        ...

    def at(self, rows: Any, function: Callable[..., Any], *groups: Mapping[str, Any]) -> Any:
        """Value of a function of arrays by name, which is looked at in some rows only: elsewhere it may be anything."""
        ...

    def once(self, function: Callable[..., Any], *groups: Mapping[str, Any]) -> Any:
        """Value of a function of arrays by name, which may be looked at once for rows that are the same."""
        ...


class Observation(ABC):
    """What is seen of a trial.

    Attributes
    ----------
    responses : tuple of float
        Codes of the responses that may be seen.
    extras : tuple of str
        What is known of a trial beside the parameters of its model: arguments of the distribution, in order.
    silence : Silence or None
        What it means that there is no response; None where every trial has one.
    prefix : str
        What distributions put before the name of their model.
    none : tuple of float
        Codes, none of a response, that tables have where there was none.
    timed : bool
        Whether times of responses are seen.
    """

    responses: tuple[float, ...]
    extras: ClassVar[tuple[str, ...]]
    silence: ClassVar[Silence | None]
    prefix: ClassVar[str] = ""
    none: ClassVar[tuple[float, ...]] = ()
    timed: ClassVar[bool] = True

    @abstractmethod
    def read(self, columns: Columns) -> tuple[NDArray[np.bool_], Float]:
        """Say which trials of a table have a response, and return its codes.

        Raises
        ------
        ValueError
            For rows that are nothing that may be seen.
        """

    @abstractmethod
    def hide(self, trials: Float, extras: Mapping[str, Float]) -> Float:
        """Turn what happened, rows ``[rt, response]`` of shape (n, 2), into what is seen of it."""

    @abstractmethod
    def possible(self, rt: Any, response: Any, extras: Mapping[str, Any]) -> Any:
        """Whether rows are something that may be seen, elementwise."""

    def told(self, columns: Columns) -> Columns:
        """The columns, with NaN for what is written in the place of a time that is none."""
        return columns

    def rows(self, columns: Columns) -> Float:
        """Rows ``[rt, response]`` of a table, shape (n, 2); raises as `read`."""
        answered, codes = self.read(columns)
        return np.where(answered[:, None], np.column_stack([columns.times, codes]), UNSEEN)

    def is_whole(self, rt: Any, response: Any) -> Any:
        """Whether rows are of trials of which time and response are known, elementwise."""
        return rt < math.inf

    def recorded(self, trials: Float, extras: Mapping[str, Float]) -> NDArray[np.bool_]:
        """Whether of what happened, rows ``[rt, response]``, anything is recorded at all."""
        return np.ones(len(trials), bool)

    @property
    def told_by_rt(self) -> bool:
        """Whether rt alone tells the response, so that a table may do without a column of responses."""
        return len(self.responses) == 1 and self.timed

    @property
    def silent(self) -> bool:
        """Whether there may be trials without a response."""
        return self.silence is not None

    def is_known(self, known: frozenset[Silence]) -> bool:
        """Whether a likelihood that knows densities, and of no response what is `known`, knows all that is seen."""
        return self.silence is None or self.silence in known

    def code(self, response: Any) -> Any:
        """The response as the model codes it, where rt says that there is one."""
        return response

    def press(self, extras: Mapping[str, Any]) -> Any:
        """Probability that a guess is a response."""
        return 1.0

    def deadline(self, extras: Mapping[str, Any], known: frozenset[Silence] = EVERY_SILENCE) -> Any:
        """By when there was no response, where there is none; None if that is nothing to a likelihood.

        Parameters
        ----------
        extras : mapping of str to array
        known : frozenset of Silence
            Of what the likelihood knows the probability.
        """
        return extras["deadline"] if self.silence in known else None

    def limits(self, extras: Mapping[str, Any]) -> tuple[Any, Any]:
        """Between which times [s] responses are seen."""
        deadline = self.deadline(extras)
        return 0.0, math.inf if deadline is None else deadline

    def log_recorded(
        self, xp: Namespace, likelihood: TrialLikelihood, extras: Mapping[str, Any], theta: Mapping[str, Any]
    ) -> Any | None:
        """Log probability that a trial that is no guess is recorded at all; None where every one is."""
        return None

    def log_recorded_guess(self, xp: Namespace, extras: Mapping[str, Any]) -> Any:
        """Log probability that a guess is recorded."""
        return 0.0

    def log_trial(
        self,
        xp: Namespace,
        likelihood: TrialLikelihood,
        rt: Any,
        response: Any,
        extras: Mapping[str, Any],
        theta: Mapping[str, Any],
    ) -> Any:
        """Log density of what was seen, of trials that are no guesses.

        Parameters
        ----------
        xp : Namespace
        likelihood : TrialLikelihood
            Of the model.
        rt, response : array
            What was seen.
        extras : mapping of str to array
            At least those of `extras`.
        theta : mapping of str to array
            The model's parameters.
        """
        return likelihood.log_trial(xp, rt, self.code(response), self.deadline(extras), theta)

    def log_guess(self, xp: Namespace, rt: Any, extras: Mapping[str, Any], response: Any = None) -> Any:
        """Log density of what was seen, of trials that are guesses; see `pymc_lan.data.guesses`.

        Any response is as likely, so that only a kind asks for it that may not know it.
        """
        return guesses.log_guess(xp, rt, len(self.responses), *self._of_guesses(extras))

    def draw_guesses(self, rng: np.random.Generator, extras: Mapping[str, Float]) -> Float:
        """Draw guesses, rows ``[rt, response]`` of shape (n, 2)."""
        return guesses.draw_guesses(rng, self.responses, *self._of_guesses(extras))

    def _of_guesses(self, extras: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        deadline = self.deadline(extras)
        return self.press(extras), math.inf if deadline is None else deadline, extras["lapse_window"]

    def _listed(self, response: Any) -> Any:
        """Whether a response is one of the codes; not by ==, which does not compare values in PyTensor."""
        return reduce(operator.or_, ((response >= code) & (response <= code) for code in self.responses))


@final
@dataclass(frozen=True)
class EveryResponse(Observation):
    """Every trial ends with a response, and both it and its time are seen.

    Parameters
    ----------
    responses : tuple of float
        The model's choices.

    Examples
    --------
    >>> EveryResponse((-1, 1)).possible(np.array([0.5, 0.5, np.inf]), np.array([1, 2, 0]), {}).tolist()
    [True, False, False]
    """

    responses: tuple[float, ...]

    extras = GUESSES
    silence = None

    @override
    def read(self, columns: Columns) -> tuple[NDArray[np.bool_], Float]:
        answered = responded(columns)
        boundaries = by_boundary(columns) if tuple(self.responses) == (-1, 1) else columns
        return answered, chosen(boundaries, answered, self.responses)

    @override
    def hide(self, trials: Float, extras: Mapping[str, Float]) -> Float:
        return trials

    @override
    def possible(self, rt: Any, response: Any, extras: Mapping[str, Any]) -> Any:
        return (rt < math.inf) & self._listed(response)


@final
@dataclass(frozen=True)
class ResponseOrOmission(Observation):
    """A trial that is not decided by its deadline is seen as one without a response, an omission.

    Parameters
    ----------
    responses : tuple of float
        The model's choices.

    Examples
    --------
    >>> late = ResponseOrOmission((-1, 1)).hide(np.array([[0.5, 1.0], [0.9, 1.0]]), {"deadline": np.full(2, 0.8)})
    >>> late.tolist()
    [[0.5, 1.0], [inf, 0.0]]
    """

    responses: tuple[float, ...]

    extras = (*GUESSES, "deadline")
    silence = Silence.OMISSION

    @override
    def read(self, columns: Columns) -> tuple[NDArray[np.bool_], Float]:
        answered = responded_if_timed(columns)
        return answered, chosen(columns, answered, self.responses)

    @override
    def hide(self, trials: Float, extras: Mapping[str, Float]) -> Float:
        return _without(trials, trials[:, 0] > extras["deadline"])

    @override
    def possible(self, rt: Any, response: Any, extras: Mapping[str, Any]) -> Any:
        return ~(rt < math.inf) | (self._listed(response) & (rt <= extras["deadline"]))


@final
@dataclass(frozen=True)
class PressOrNot(Observation):
    """Go/no-go: the upper boundary is a press; nothing is seen of the lower one, nor of what comes after the deadline.

    Examples
    --------
    >>> PressOrNot().hide(np.array([[0.5, 1.0], [0.5, -1.0]]), {"deadline": np.full(2, 0.8)}).tolist()
    [[0.5, 1.0], [inf, 0.0]]
    """

    responses: tuple[float, ...] = field(default=(1,), init=False)

    extras = (*GUESSES, "lapse_go", "deadline")
    silence = Silence.NO_PRESS
    prefix = "GoNoGo"
    none = (NO_RESPONSE, -1.0)

    @override
    def read(self, columns: Columns) -> tuple[NDArray[np.bool_], Float]:
        return pressed(columns), np.ones(columns.times.shape)

    @override
    def hide(self, trials: Float, extras: Mapping[str, Float]) -> Float:
        return _without(trials, (trials[:, 1] != 1) | (trials[:, 0] > extras["deadline"]))

    @override
    def possible(self, rt: Any, response: Any, extras: Mapping[str, Any]) -> Any:
        return ~(rt < math.inf) | (rt <= extras["deadline"])

    @override
    def code(self, response: Any) -> Any:
        return np.float64(1.0)

    @override
    def press(self, extras: Mapping[str, Any]) -> Any:
        return extras["lapse_go"]


def of_choices(responses: tuple[float, ...], *, omissions: bool = False) -> Observation:
    """What is seen of trials of several choices, where all that happens is seen but late decisions.

    Examples
    --------
    >>> of_choices((-1, 1)).silent, of_choices((-1, 1), omissions=True).silent
    (False, True)
    """
    return ResponseOrOmission(responses) if omissions else EveryResponse(responses)


def _without(trials: Float, unseen: NDArray[np.bool_]) -> Float:
    """Trials, some of which end without a response."""
    return np.where(unseen[:, None], UNSEEN, trials)
