"""When and what was answered in each row: units, codes for no response, and contradictions between rt and response."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pymc_lan.data.cells import first_press, nothing, numbers, typed
from pymc_lan.data.plausible import (
    MILLISECONDS_ABOVE,
    NO_DECISION_ABOVE,
    SHORTEST,
    doubtful_units,
    missing_codes,
    signed_by_response,
)
from pymc_lan.data.programs import JsPsych, Program
from pymc_lan.data.trial_report import Sheet
from pymc_lan.errors import explain

Float = NDArray[np.float64]

IN_SECONDS = {"s": 1.0, "ms": 1000.0}
ONE_UNIT = "give unit='s' or unit='ms', of tables in different units each by itself"


def answer(sheet: Sheet, program: Program, unit: str) -> str:
    """Make of `rt` seconds, NaN without a response, of `response` None without one, and return the unit that was found.

    Raises
    ------
    ValueError
        If rt is no number or negative, in no unit that can be told, or contradicts the response.
    """
    given = _pressed(sheet, "response", program) if "response" in sheet.table else None
    times, not_a_number = numbers(_pressed(sheet, "rt", program))
    sheet.refuse(
        not_a_number,
        ["rt"],
        expected="numbers as rt",
        found="something else",
        remedy="correct these cells, or say which column holds the times, columns={'rt': ...}",
    )
    times[np.isinf(times)] = np.nan
    _refuse_negative(sheet, times, given)
    at_zero = np.zeros(len(times), bool) if given is None else _pressed_at_zero(times, given)
    _without_codes(sheet, times, missing_codes(times) & ~at_zero)
    found = unit if unit != "auto" else _unit_of(sheet, times)
    # 9999 ms may be a time; where it occurs again and far from all others, as_observed would refuse it.
    _without_codes(sheet, times, missing_codes(times / IN_SECONDS[found]) & ~at_zero)
    if given is not None:
        given = _agreeing(sheet, times, given)
    if found != "s" and (timed := ~np.isnan(times)).any():
        sheet.say("changed", timed, f"rt divided by 1000: its median of {np.median(times[timed]):g} is milliseconds")
    table = sheet.table.assign(rt=times / IN_SECONDS[found])
    sheet.table = table if given is None else table.assign(response=given)
    return found


def _pressed(sheet: Sheet, name: str, program: Program) -> pd.Series:
    """A column with one value a cell, the first where several were pressed."""
    cells, several = first_press(sheet.table[name])
    sheet.say("changed", several, f"several values in {name!r}: the first is taken")
    sheet.refuse(
        np.array([not isinstance(cell, Hashable) for cell in cells], bool),
        [name],
        expected=f"one value in each cell of {name!r}",
        found="others",
        remedy="make a column of single values of them",
    )
    if isinstance(program, JsPsych) and name == "response":
        # A text of one blank, which is nothing anywhere else.
        space = (cells == " ").to_numpy()
        sheet.say("changed", space, "the response ' ' is called 'space'")
        cells = cells.mask(space, "space")
    return cells


def _pressed_at_zero(times: Float, given: pd.Series) -> NDArray[np.bool_]:
    """Which rows have a press at 0 s, as of a key that was held: where any of the answers stand beside that rt.

    Where only one of several answers does, it may be a word for none, and is refused as such.
    """
    answers = set(given[(times > 0) & ~missing_codes(times)])
    pressed = (times == 0) & ~nothing(given) & np.array([cell in answers for cell in given], bool)
    return pressed & (len(set(given[pressed])) >= min(2, len(answers)))


def _without_codes(sheet: Sheet, times: Float, codes: NDArray[np.bool_]) -> None:
    """Make of times that are codes for none NaN, in place, and write it down."""
    for code in np.unique(times[codes]):
        sheet.say("changed", times == code, f"an rt of {code:g} stands for none")
    times[codes] = np.nan


def _refuse_negative(sheet: Sheet, times: Float, given: pd.Series | None) -> None:
    remedy = "find out from when these times count; a press before the stimulus is a guess and no decision"
    if given is not None and signed_by_response(times, numbers(typed(given))[0]):
        remedy = "the sign says once more what was answered: take the absolute value"
    else:
        remedy += ", and where the sign says what was answered, put that into response and take the absolute value"
    sheet.refuse(
        (times < 0) & ~missing_codes(times), ["rt"], expected="rt of 0 and more", found="negative rt", remedy=remedy
    )


def _unit_of(sheet: Sheet, times: Float) -> str:
    """The unit of the times, by the median of each file: seconds to 10, milliseconds from 50; ValueError for others."""
    files = sheet.table["file"] if sheet.shown else pd.Series("the table", sheet.table.index)
    medians = pd.Series(times, sheet.table.index).where(times > 0).groupby(files.to_numpy()).median().dropna()
    seconds = (medians >= SHORTEST) & (medians <= MILLISECONDS_ABOVE)
    milliseconds = medians >= SHORTEST * 1000
    expected = f"medians of rt from {SHORTEST:g} to {MILLISECONDS_ABOVE:g} (s), or of {SHORTEST * 1000:g} and more (ms)"
    if (unclear := ~(seconds | milliseconds)).any():
        found = ", ".join(f"{median:g} in {file}" for file, median in medians[unclear].items())
        raise ValueError(explain(expected, found, f"find out the unit, and {ONE_UNIT}"))
    if seconds.any() and milliseconds.any():
        found = ", ".join(f"{median:g} in {file}" for file, median in medians.items())
        raise ValueError(explain(f"one unit in all files, {expected}", found, ONE_UNIT))
    whose = ("subject", sheet.table["subject"].to_numpy()) if "subject" in sheet.table else None
    for doubt in doubtful_units(times, "rt", whose):
        sheet.refuse(doubt.rows, ["rt"], expected="rt in one unit", found=doubt.found, remedy=ONE_UNIT)
    return "ms" if milliseconds.any() else "s"


def _agreeing(sheet: Sheet, times: Float, given: pd.Series) -> pd.Series:
    """The responses, None where there is no time; ValueError where there is a time without one, or the reverse."""
    timed, silent = ~np.isnan(times), nothing(given)
    sheet.refuse(
        timed & silent,
        ["rt", "response"],
        expected="a response on every trial with an rt",
        found="an rt without a response",
        remedy="fill in what was answered, or make rt empty where nothing was",
    )
    answers = set(given[timed])
    known = np.array([cell in answers for cell in given], bool)
    sheet.refuse(
        ~timed & ~silent & known,
        ["rt", "response"],
        expected="an rt on every trial with a response that is an answer elsewhere",
        found="an rt that is empty, or a code for none, with such a response",
        remedy="fill in the rt from the raw data, or clear the response where there was none",
    )
    for word in dict.fromkeys(given[~timed & ~silent]):
        sheet.say(
            "changed", ~timed & (given == word).to_numpy(), f"the response {word!r}, which has no rt, stands for none"
        )
    return given.mask(~timed, None)


def late(sheet: Sheet, unit: str) -> None:
    """Count responses beyond the column ``deadline``, whose unit is that of rt, as none."""
    if "deadline" not in sheet.table:
        return
    limits, not_a_number = numbers(sheet.table["deadline"])
    limits = limits / IN_SECONDS[unit]
    typical = limits[np.isfinite(limits)]
    odd = typical.size and not SHORTEST <= np.median(typical) <= NO_DECISION_ABOVE
    sheet.refuse(
        not_a_number | (np.isfinite(limits) if odd else np.zeros(len(limits), bool)),
        ["deadline"],
        expected="a deadline in the unit of rt",
        found=f"others, where rt is in {unit},",
        remedy="convert the deadlines, or rename the column where it is something else",
    )
    beyond = sheet.table["rt"].to_numpy() > limits
    sheet.say("changed", beyond, "after the deadline: counts as no response")
    sheet.table = sheet.table.assign(deadline=limits, rt=sheet.table["rt"].mask(beyond))
    if "response" in sheet.table:
        sheet.table = sheet.table.assign(response=sheet.table["response"].mask(beyond, None))


def fast(sheet: Sheet, fastest: float) -> None:
    """Leave out responses below `fastest`, and count them for each subject; at 0 s there is no keeping them."""
    times = sheet.table["rt"].to_numpy()
    sheet.refuse(
        (times == 0) & (fastest == 0),
        ["rt"],
        expected="rt above 0",
        found="presses at 0 s",
        remedy="find out when these keys were pressed, or drop presses before any decision, as with fastest=0.1",
    )
    below = times < fastest
    whose = sheet.table["subject"] if "subject" in sheet.table else pd.Series("", sheet.table.index)
    for subject in dict.fromkeys(whose[below]):
        theirs = below & (whose == subject).to_numpy()
        n = int((whose == subject).sum())
        sheet.say("dropped", theirs, f"faster than {fastest:g} s, of {n}", subject)
    sheet.table = sheet.table[~below]
