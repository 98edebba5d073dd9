"""Kinds of observation that change another: what was lost of a trial, times known to some ms, trials left out.

They stand around each other in one order, `Parts`: what was lost of what was rounded of what was recorded.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data import guesses
from pymc_lan.data.answers import Columns
from pymc_lan.data.guesses import LOST_TIME, Float, Namespace
from pymc_lan.data.observation import GUESSES, Observation, Silence, TrialLikelihood
from pymc_lan.data.tables import floats
from pymc_lan.errors import explain, refuse

# Times known to this [s] or better are integrated over by few nodes.
SHORT = 0.1
# Of an interval that a deadline or a limit cuts away altogether, what is looked at.
SLIVER = 1e-3

Extras = Mapping[str, Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PartlySeen(Observation, ABC):
    """What is seen of a trial, but not all of it.

    Parameters
    ----------
    seen : Observation
        Of which something is not.
    """

    seen: Observation

    @property
    def responses(self) -> tuple[float, ...]:  # type: ignore[override]
        """Those of the other."""
        return self.seen.responses

    @property
    def extras(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the other."""
        return self.seen.extras

    @property
    def silence(self) -> Silence | None:  # type: ignore[override]
        """As of the other."""
        return self.seen.silence

    @property
    def prefix(self) -> str:  # type: ignore[override]
        """As of the other."""
        return self.seen.prefix

    @property
    def none(self) -> tuple[float, ...]:  # type: ignore[override]
        """Those of the other."""
        return self.seen.none

    @override
    def read(self, columns: Columns) -> tuple[Mask, Float]:
        return self.seen.read(columns)

    @override
    def rows(self, columns: Columns) -> Float:
        return self.seen.rows(columns)

    @override
    def is_whole(self, rt: Any, response: Any) -> Any:
        return self.seen.is_whole(rt, response)

    @override
    def hide(self, trials: Float, extras: Mapping[str, Float]) -> Float:
        return self.seen.hide(trials, extras)

    @override
    def possible(self, rt: Any, response: Any, extras: Extras) -> Any:
        return self.seen.possible(rt, response, extras)

    @override
    def recorded(self, trials: Float, extras: Mapping[str, Float]) -> Mask:
        return self.seen.recorded(trials, extras)

    @override
    def code(self, response: Any) -> Any:
        return self.seen.code(response)

    @override
    def press(self, extras: Extras) -> Any:
        return self.seen.press(extras)

    @override
    def limits(self, extras: Extras) -> tuple[Any, Any]:
        return self.seen.limits(extras)

    @override
    def log_recorded(
        self, xp: Namespace, likelihood: TrialLikelihood, extras: Extras, theta: Mapping[str, Any]
    ) -> Any | None:
        return self.seen.log_recorded(xp, likelihood, extras, theta)

    @override
    def log_recorded_guess(self, xp: Namespace, extras: Extras) -> Any:
        return self.seen.log_recorded_guess(xp, extras)

    def _own(self, extras: Extras) -> dict[str, Any]:
        """What is known of a trial that is no guess."""
        return {name: extras[name] for name in self.extras if name not in GUESSES}

    @override
    def log_trial(
        self,
        xp: Namespace,
        likelihood: TrialLikelihood,
        rt: Any,
        response: Any,
        extras: Extras,
        theta: Mapping[str, Any],
    ) -> Any:
        return self.seen.log_trial(xp, likelihood, rt, response, extras, theta)

    @override
    def log_guess(self, xp: Namespace, rt: Any, extras: Extras, response: Any = None) -> Any:
        return self.seen.log_guess(xp, rt, extras, response)

    def _window(self, xp: Namespace, extras: Extras) -> tuple[Any, Any]:
        """Between which times responses are seen: `limits`, and none after a deadline."""
        (low, high), deadline = self.limits(extras), self.deadline(extras)
        return low, high if deadline is None else xp.minimum(high, deadline)

    def _or_none(
        self, xp: Namespace, likelihood: TrialLikelihood, found: Any, rt: Any, response: Any, *given: Extras
    ) -> Any:
        """What was found of trials with a response and, of those without one, what the other has."""
        if not self.silent:
            return found
        answered = rt < math.inf
        none = self.seen.log_trial(xp, likelihood, xp.where(answered, math.inf, rt), response, *given)
        return xp.where(answered, found, none)

    def _log_guess_between(self, xp: Namespace, low: Any, high: Any, extras: Extras) -> Any:
        """Log probability that a guess is any one response between two times."""
        between = guesses.log_guess_between(xp, low, high, self.press(extras), extras["lapse_window"])
        return between - math.log(len(self.responses))


@final
@dataclass(frozen=True)
class Truncated(PartlySeen):
    """Trials whose response came before one time or after another were never recorded.

    Examples
    --------
    >>> from pymc_lan.data.observation import of_choices
    >>> limits = {"truncation_low": np.full(2, 0.2), "truncation_high": np.full(2, 3.0)}
    >>> Truncated(of_choices((-1, 1))).recorded(np.array([[0.5, 1.0], [3.5, 1.0]]), limits).tolist()
    [True, False]
    """

    @property
    @override
    def extras(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*self.seen.extras, "truncation_low", "truncation_high")

    @override
    def limits(self, extras: Extras) -> tuple[Any, Any]:
        return extras["truncation_low"], extras["truncation_high"]

    @override
    def recorded(self, trials: Float, extras: Mapping[str, Float]) -> Mask:
        rt = self.seen.hide(trials, extras)[:, 0]
        return np.isinf(rt) | ((rt >= extras["truncation_low"]) & (rt <= extras["truncation_high"]))

    @override
    def possible(self, rt: Any, response: Any, extras: Extras) -> Any:
        within = (rt >= extras["truncation_low"]) & (rt <= extras["truncation_high"])
        return self.seen.possible(rt, response, extras) & (within | ~(rt < math.inf) | (rt < 0))

    @override
    def log_recorded(self, xp: Namespace, likelihood: TrialLikelihood, extras: Extras, theta: Mapping[str, Any]) -> Any:
        def function(extras: Extras, theta: Extras) -> Any:
            low, high = self._window(xp, extras)
            high = xp.maximum(high, low + SLIVER)
            parts = [likelihood.log_mass(xp, low, high, np.float64(code), theta) for code in self.responses]
            if self.silent:
                end = self.deadline(extras)
                parts.append(likelihood.log_trial(xp, np.float64(math.inf), np.float64(0), end, theta))
            return reduce(xp.logaddexp, parts)

        return likelihood.once(function, self._own(extras), theta)

    @override
    def log_recorded_guess(self, xp: Namespace, extras: Extras) -> Any:
        press, window = self.press(extras), extras["lapse_window"]
        seen = guesses.log_guess_between(xp, *self._window(xp, extras), press, window)
        if not self.silent:
            return seen
        return xp.logaddexp(seen, xp.log(guesses.share_unseen(xp, press, self.deadline(extras), window)))


@final
@dataclass(frozen=True)
class Rounded(PartlySeen):
    """Times are known to within an interval, of which rt is the middle.

    Parameters
    ----------
    seen : Observation
    short : bool
        Whether every interval is `SHORT` or shorter.

    Examples
    --------
    >>> from pymc_lan.data.observation import of_choices
    >>> Rounded(of_choices((-1, 1)), True).hide(np.array([[0.57, 1.0]]), {"rt_interval": np.array([0.1])}).tolist()
    [[0.6, 1.0]]
    """

    short: bool = False

    @property
    @override
    def extras(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*self.seen.extras, "rt_interval")

    @override
    def is_whole(self, rt: Any, response: Any) -> Any:
        return self.seen.is_whole(rt, response) & (rt < 0)

    @override
    def hide(self, trials: Float, extras: Mapping[str, Float]) -> Float:
        found, width = self.seen.hide(trials, extras).copy(), extras["rt_interval"]
        timed = np.isfinite(found[:, 0])
        # What rounds to 0 was within the first interval.
        number = np.maximum(np.rint(found[timed, 0] / width[timed]), 1)
        found[timed, 0] = np.round(number * width[timed], 12)
        return found

    def _ends(self, xp: Namespace, rt: Any, extras: Extras) -> tuple[Any, Any]:
        """The interval of a time, as much of it as is seen."""
        half, (least, most) = 0.5 * extras["rt_interval"], self._window(xp, extras)
        low = xp.maximum(rt - half, least)
        return low, xp.maximum(xp.minimum(rt + half, most), low + SLIVER * half)

    @override
    def possible(self, rt: Any, response: Any, extras: Extras) -> Any:
        half, timed = 0.5 * extras["rt_interval"], (rt < math.inf) & (rt > 0)
        either = [self.seen.possible(rt + half * timed * side, response, extras) for side in (-1, 0, 1)]
        return (either[0] | either[1] | either[2]) & ((rt > 0) | ~(rt < math.inf))

    @override
    def log_trial(
        self,
        xp: Namespace,
        likelihood: TrialLikelihood,
        rt: Any,
        response: Any,
        extras: Extras,
        theta: Mapping[str, Any],
    ) -> Any:
        timed = rt < math.inf
        trial = {"rt": xp.where(timed, rt, 1.0), "response": response}

        def between(trial: Extras, extras: Extras, theta: Extras) -> Any:
            ends = self._ends(xp, trial["rt"], extras)
            return likelihood.log_mass(xp, *ends, self.code(trial["response"]), theta, short=self.short)

        found = likelihood.at(timed, between, trial, self._own(extras), theta)
        return self._or_none(xp, likelihood, found, rt, response, extras, theta)

    @override
    def log_guess(self, xp: Namespace, rt: Any, extras: Extras, response: Any = None) -> Any:
        timed = rt < math.inf
        found = self._log_guess_between(xp, *self._ends(xp, xp.where(timed, rt, 1.0), extras), extras)
        return xp.where(timed, found, self.seen.log_guess(xp, rt, extras, response))


class _Lossy(PartlySeen, ABC):
    """Times that were lost are -1."""

    @override
    def told(self, columns: Columns) -> Columns:
        return columns._replace(times=np.where(columns.times == LOST_TIME, np.nan, columns.times))

    def _by_response(self, xp: Namespace, likelihood: TrialLikelihood, rows: Any, response: Any, *given: Extras) -> Any:
        """Log probability of a response at any time at which it is seen."""

        def function(trial: Extras, extras: Extras, theta: Extras) -> Any:
            low, high = self._whole(xp, extras)
            return likelihood.log_mass(xp, low, high, self.code(trial["response"]), theta)

        return likelihood.at(rows, function, {"response": response}, *given)

    def _whole(self, xp: Namespace, extras: Extras) -> tuple[Any, Any]:
        low, high = self._window(xp, extras)
        return low, high if self.deadline(extras) is None else xp.maximum(high, low + SLIVER)


@final
@dataclass(frozen=True)
class Lost(_Lossy):
    """Of some trials the time or the response was lost: their rt is -1, or their response the `unknown`.

    What is drawn of it is whole, because nobody knows which of them would be lost.

    Examples
    --------
    >>> from pymc_lan.data.observation import of_choices
    >>> times, responses = np.array([0.62, np.nan]), np.array([np.nan, 1.0])
    >>> Lost(of_choices((-1, 1))).rows(Columns(times, responses, "rt", "response")).tolist()
    [[0.62, 0.0], [-1.0, 1.0]]
    """

    @property
    def unknown(self) -> float:
        """What a response is that was lost: 0, or below the first where 0 is one of them."""
        return 0.0 if 0 not in self.responses else min(self.responses) - 1

    def _lost(self, rt: Any, response: Any) -> tuple[Any, Any]:
        """Whether the time, or the response, was lost."""
        return rt < 0, (rt >= 0) & (rt < math.inf) & (response >= self.unknown) & (response <= self.unknown)

    @override
    def rows(self, columns: Columns) -> Float:
        if columns.raw is None:
            return self.seen.rows(columns)
        times, (codes, not_a_number) = columns.times, floats(columns.raw)
        untimed, empty = ~np.isfinite(times), np.isnan(codes) & ~not_a_number
        by_zero = self._by_zero(columns, codes)
        zero_is_none = (codes == 0) & (self.unknown == 0) & (not by_zero)
        silent = untimed & (empty | zero_is_none | np.isin(codes, self.none) | (columns.rows & np.isinf(times)))
        self._refuse_two_meanings(columns, codes, untimed, silent, by_zero=by_zero)
        time_lost = untimed & ~silent
        response_lost = ~untimed & (empty | ((codes == self.unknown) & (not by_zero)))
        whole, known = columns.raw.astype(object), np.flatnonzero(~(response_lost | silent))
        whole[response_lost] = whole[known[0]] if known.size else self.responses[0]
        found = self.seen.rows(columns._replace(times=np.where(time_lost, 1.0, times), raw=whole))
        found[time_lost, 0], found[response_lost, 1] = LOST_TIME, self.unknown
        return found

    def _by_zero(self, columns: Columns, codes: Float) -> bool:
        """Whether 0 and 1 are the lower and the upper boundary, as they are where every trial has a response."""
        given = codes[~np.isnan(codes)]
        plain = not (self.silent or columns.made or self.unknown)
        return plain and bool(np.isin(given, (0, 1)).all() and (given == 0).any())

    def _refuse_two_meanings(
        self, columns: Columns, codes: Float, untimed: Mask, silent: Mask, *, by_zero: bool
    ) -> None:
        """Refuse rows that are nothing, and those that may be either of two things."""
        rt, response = columns.rt, columns.response
        refuse(
            silent & (not self.silent),
            columns.show(),
            expected=f"{rt!r} or {response!r} of every trial",
            found="trials of which neither is known",
            remedy="give deadline=... where there was no response by then, and leave out trials of which all was lost",
        )
        refuse(
            ~untimed & (codes == 0) & (by_zero and columns.rows),
            columns.show(),
            expected="the lower boundary as -1 in rows [rt, response] with missing='lost'",
            found="0 beside 1 alone, which is the lower boundary, or a response that was lost,",
            remedy="make 0 -1 where it is the lower boundary, or give a table, with empty cells where it was lost",
        )
        zeros = untimed & ~silent & (codes == 0)
        refuse(
            zeros & (self.silent and not columns.rows and not silent.any()),
            columns.show(),
            expected=f"an empty {response!r} where there was no response, because 0 is a choice",
            found=f"0 without an {rt!r}, which is that choice with its time lost, or no response by the deadline,",
            remedy=f"empty {response!r} where there was none; of choices with lost times and no omissions give "
            "deadline=None",
        )

    @override
    def is_whole(self, rt: Any, response: Any) -> Any:
        time, name = self._lost(rt, response)
        return self.seen.is_whole(rt, response) & ~time & ~name

    @override
    def possible(self, rt: Any, response: Any, extras: Extras) -> Any:
        time, name = self._lost(rt, response)
        others = self._listed(response) & time
        first = np.float64(self.responses[0])
        return (
            others | (name & self.seen.possible(rt, first, extras)) | (~time & self.seen.possible(rt, response, extras))
        )

    @override
    def log_trial(
        self,
        xp: Namespace,
        likelihood: TrialLikelihood,
        rt: Any,
        response: Any,
        extras: Extras,
        theta: Mapping[str, Any],
    ) -> Any:
        time, name = self._lost(rt, response)
        rt = xp.where(time, 1.0, rt)
        extras = self._own(extras)

        def any_response(trial: Extras, extras: Extras, theta: Extras) -> Any:
            each = (np.float64(code) for code in self.responses)
            parts = [self.seen.log_trial(xp, likelihood, trial["rt"], code, extras, theta) for code in each]
            return reduce(xp.logaddexp, parts)

        whole = self.seen.log_trial(xp, likelihood, rt, xp.where(name, self.responses[0], response), extras, theta)
        timed = likelihood.at(name, any_response, {"rt": xp.where(name, rt, 1.0)}, extras, theta)
        untimed = self._by_response(xp, likelihood, time, response, extras, theta)
        return xp.where(time, untimed, xp.where(name, timed, whole))

    @override
    def log_guess(self, xp: Namespace, rt: Any, extras: Extras, response: Any = None) -> Any:
        time, name = self._lost(rt, response)
        whole = self.seen.log_guess(xp, xp.where(time, 1.0, rt), extras, response)
        untimed = self._log_guess_between(xp, *self._whole(xp, extras), extras)
        return xp.where(time, untimed, whole + xp.where(name, math.log(len(self.responses)), 0.0))


@final
@dataclass(frozen=True)
class ChoiceAlone(_Lossy):
    """The response is seen, and never its time: rt is -1.

    Examples
    --------
    >>> from pymc_lan.data.observation import of_choices
    >>> ChoiceAlone(of_choices((-1, 1))).hide(np.array([[0.62, 1.0]]), {}).tolist()
    [[-1.0, 1.0]]
    """

    timed = False

    @override
    def rows(self, columns: Columns) -> Float:
        codes, not_a_number = floats(columns.given)
        silent = (np.isnan(codes) & ~not_a_number) | np.isin(codes, self.none)
        refuse(
            silent & (not self.silent),
            columns.show(),
            expected=f"a {columns.response!r} on every trial, because choices are all that is known",
            found="none",
            remedy="give deadline=... where there was no response by then, and leave out trials whose choice was lost",
        )
        times = np.where(silent, np.nan, 1.0)
        found = self.seen.rows(columns._replace(times=times))
        found[~silent, 0] = LOST_TIME
        return found

    @override
    def is_whole(self, rt: Any, response: Any) -> Any:
        return (rt > 0) & (rt < 0)

    @override
    def hide(self, trials: Float, extras: Mapping[str, Float]) -> Float:
        found = self.seen.hide(trials, extras).copy()
        found[np.isfinite(found[:, 0]), 0] = LOST_TIME
        return found

    @override
    def possible(self, rt: Any, response: Any, extras: Extras) -> Any:
        return ((rt < 0) & self._listed(response)) | (~(rt < math.inf) & self.seen.possible(rt, response, extras))

    @override
    def log_trial(
        self,
        xp: Namespace,
        likelihood: TrialLikelihood,
        rt: Any,
        response: Any,
        extras: Extras,
        theta: Mapping[str, Any],
    ) -> Any:
        answered = rt < math.inf
        extras = self._own(extras)
        found = self._by_response(xp, likelihood, answered, response, extras, theta)
        return self._or_none(xp, likelihood, found, rt, response, extras, theta)

    @override
    def log_guess(self, xp: Namespace, rt: Any, extras: Extras, response: Any = None) -> Any:
        found = self._log_guess_between(xp, *self._whole(xp, extras), extras)
        return xp.where(rt < math.inf, found, self.seen.log_guess(xp, rt, extras, response))


def two_limits(value: Any) -> tuple[Any, Any]:
    """The two limits of truncation as they were given, 0 and inf for None; ValueError for what is no pair."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        remedy = "give truncation=(0.2, 3.0), or (None, 3.0)"
        raise ValueError(explain("truncation=(low, high), two limits", f"{value!r:.60}", remedy))
    low, high = value
    return 0.0 if low is None else low, math.inf if high is None else high


def check_limits(low: Float | None, high: Float | None) -> None:
    """Refuse limits of truncation between which nothing lies, or everything; None is one that is not known yet."""
    if (low is not None and not np.all(low >= 0)) or (high is not None and not np.all(high > 0)):
        raise ValueError(explain("limits of truncation of 0 s and more", f"{low} and {high}", "give seconds"))
    if low is None or high is None:
        return
    if not np.all(low < high):
        remedy = "give the seconds between which responses were recorded"
        raise ValueError(explain("truncation=(low, high), low below high", f"{low} and {high}", remedy))
    if not np.any(low) and np.all(np.isinf(high)):
        raise ValueError(explain("a limit of truncation", "none", "leave it out where every trial was recorded"))


@dataclass(frozen=True)
class Parts:
    """Which kinds of observation stand around another.

    Parameters
    ----------
    truncated, rounded, short, lost, alone : bool
        Whether trials beyond limits were never recorded, times are known to within an interval, and all such intervals
        are short, something was lost of some trials, or choices are all that is seen.
    """

    truncated: bool = False
    rounded: bool = False
    short: bool = False
    lost: bool = False
    alone: bool = False

    def around(self, seen: Observation) -> Observation:
        """The kind that stands around all others.

        Examples
        --------
        >>> from pymc_lan.data.observation import of_choices
        >>> type(Parts(truncated=True, lost=True).around(of_choices((-1, 1))).seen).__name__
        'Truncated'
        """
        if self.truncated:
            seen = Truncated(seen)
        if self.alone:
            return ChoiceAlone(seen)
        if self.rounded:
            seen = Rounded(seen, self.short)
        return Lost(seen) if self.lost else seen
