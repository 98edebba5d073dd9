"""The arguments of distributions that say what is not seen of trials: made numbers, and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytensor.graph.basic import Variable

from pymc_lan.data.guesses import LOST_TIME
from pymc_lan.data.messages import say
from pymc_lan.data.observed import RESPONSE
from pymc_lan.data.partly_seen import SHORT, Parts, check_limits, two_limits
from pymc_lan.data.plausible import NO_DECISION_ABOVE
from pymc_lan.data.tables import as_table, column, column_names, floats, from_table, spelled
from pymc_lan.distributions.values import as_numbers, known_numbers
from pymc_lan.errors import explain, is_missing, refuse

Float = NDArray[np.float64]

# Parts of the names of columns that are likely to hold times, as `spelled` has them.
OF_TIMES = ("rt", "time", "latency", "duration")


def parts_of(missing: Any, rt_interval: Any, truncation: Any, *, alone: bool) -> Parts:
    """What is not seen of trials, by the arguments of a distribution.

    Raises
    ------
    ValueError
        For an argument that is not known, or that says nothing of choices without times.
    """
    if missing not in (None, "lost"):
        remedy = "give missing='lost' where a time or a response was lost, and deadline=... where there was none"
        raise ValueError(explain("missing=None or missing='lost'", f"{missing!r}", remedy))
    if alone and rt_interval is not None:
        remedy = "leave it out, or give the times"
        raise ValueError(explain("times beside rt_interval=...", "responses alone", remedy))
    widths = None if rt_interval is None or isinstance(rt_interval, Variable) else np.asarray(rt_interval, np.float64)
    return Parts(
        truncated=truncation is not None,
        rounded=rt_interval is not None,
        short=widths is not None and bool(np.all(widths <= SHORT)),
        lost=missing is not None,
        alone=alone,
    )


def are_two_columns(interval: Any) -> bool:
    """Whether an interval is given by the names of two columns, of its ends."""
    return isinstance(interval, tuple | list) and len(interval) == 2 and all(isinstance(x, str) for x in interval)


def take_arguments(observed: Any, kwargs: dict[str, Any]) -> Float | None:
    """Replace names of columns among the arguments by their values; return the times that two columns come to."""
    table, times = None if isinstance(observed, Variable) else observed, None
    if (given := kwargs.get("rt_interval")) is not None:
        if are_two_columns(given):
            times, kwargs["rt_interval"] = _between(table, *given)
        elif not isinstance(given, Variable):
            kwargs["rt_interval"] = from_table(given, table, "rt_interval")
    if (given := kwargs.get("truncation")) is not None:
        limits = two_limits(given)
        kwargs["truncation"] = tuple(
            x if isinstance(x, Variable) else from_table(x, table, "truncation") for x in limits
        )
    return times


def _between(table: Any, low: str, high: str) -> tuple[Float, Float]:
    """The middle of two columns, and how far they are apart; NaN and a second where there is no time."""
    cells = {name: column(table, name, argument="rt_interval") for name in (low, high)}
    (first, bad), (last, worse) = (floats(x) for x in cells.values())
    pairs = zip(*(x.tolist() for x in cells.values()), strict=True)
    none = np.array([is_missing(a) and is_missing(b) for a, b in pairs], bool)
    refuse(
        ~none & (bad | worse | ~((first >= 0) & (last > first) & (last < np.inf))),
        cells,
        expected=f"in {low!r} and {high!r} the least and the largest time, both empty where there is none",
        found="others",
        remedy=f"give {low!r} of 0 s and more, and {high!r} above it and finite; a response after the end of the "
        "recording is a trial without one: empty cells, and deadline=...",
    )
    return np.where(none, np.nan, (first + last) / 2), np.where(none, 1.0, last - first)


def take_parts(observed: Any, kwargs: dict[str, Any]) -> tuple[Float | None, Parts]:
    """Times in place of a column, and what is not seen of observed trials; arguments of that are made numbers."""
    times = take_arguments(observed, kwargs)
    kwargs["_alone"] = times is None and are_choices_alone(observed)
    if kwargs["_alone"] and column_names(observed) is not None:
        say("rt: the observed data have no such column, so responses are all that is seen of the trials.")
        times = np.full(len(as_table(observed, "observed")), np.nan)
    given = {name: kwargs.get(name) for name in ("missing", "rt_interval", "truncation")}
    return times, parts_of(**given, alone=kwargs["_alone"])


def extras_of(rt_interval: Any, truncation: Any) -> dict[str, Any]:
    """What is known of each trial of that, as numbers by name."""
    found = {} if rt_interval is None else {"rt_interval": check_interval(rt_interval)}
    return found if truncation is None else found | check_truncation(truncation)


def is_numeric(observed: Any) -> bool:
    """Whether observed data are an array of real numbers, or lists that make one."""
    if not isinstance(observed, np.ndarray | list | tuple):
        return False
    try:
        return np.asarray(observed).dtype.kind in "biuf"
    except ValueError:  # rows of different lengths
        return False


def are_choices_alone(observed: Any) -> bool:
    """Whether observed data have responses and no times.

    Raises
    ------
    ValueError
        If a table has no column ``rt``, but one that is likely to hold times.
    """
    if (names := column_names(observed)) is not None and not isinstance(observed, np.ndarray):
        if "rt" in names or not names:
            return False
        like = [name for name in names if any(part in spelled(name) for part in OF_TIMES)]
        if like and RESPONSE in names:
            found = f"no column 'rt', and {like[0]!r}"
            remedy = f"rename it, df.rename(columns={{{like[0]!r}: 'rt'}}); without it choices are all that is seen"
            raise ValueError(explain("a column 'rt' of response times", found, remedy))
        return not like
    known = known_numbers(observed) if isinstance(observed, Variable) or is_numeric(observed) else None
    if known is None or known.shape[-1:] != (2,) or not known.size:
        return False
    rt = known[..., 0]
    return bool((rt == LOST_TIME).any() and ((rt == LOST_TIME) | np.isinf(rt)).all())


def check_interval(value: Any) -> Any:
    """Return intervals as numbers; refuse those that are known and are none."""
    value = as_numbers("rt_interval", value)
    known = known_numbers(value)
    if known is not None and not np.all((known > 0) & (known <= NO_DECISION_ABOVE)):
        remedy = "give the seconds within which times are known, such as 0.05; times that are exact need none"
        raise ValueError(explain("rt_interval above 0 s", f"{known}", remedy))
    return value


def check_truncation(value: Any) -> dict[str, Any]:
    """Return the limits as numbers by name; refuse those that are known and are none."""
    given = two_limits(value)
    low, high = (as_numbers("truncation", x) for x in given)
    check_limits(known_numbers(low), known_numbers(high))
    return {"truncation_low": low, "truncation_high": high}
