"""What response times that cannot be meant give away: codes for missing times, and units that are not seconds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import describe_codes, describe_rows, explain

Float = NDArray[np.float64]

# Warnings are about the line of whoever calls the package.
_PACKAGE = str(Path(__file__).parents[1])
Mask = NDArray[np.bool_]

# The models here describe decisions of about 0.2 to 3 s; the same times in milliseconds have a median in the
# hundreds. 10 lies far from both.
MILLISECONDS_ABOVE = 10.0
# A single response that takes longer, among others whose median is below the 10, was no decision of this kind.
NO_DECISION_ABOVE = 100.0
# The shortest median response time [s] that is to be expected of anybody.
SHORTEST = 0.05
# Times in milliseconds are 1000 times those in seconds; subjects and blocks do not differ by a tenth of that.
UNITS_APART = 50.0
# Of a table in milliseconds fewer than this share lies below 10 ms.
STRAY = 0.05
# A code among times in milliseconds, which may be true times, is one where it occurs so much more often than others.
TOO_OFTEN = 5
# Rows in a row that make a block.
BLOCK = 3

# What programs write where there is no time: 99, 999, -999, 9999, 888, ... and, in a table that somebody divided by
# 1000, 9.999 or -0.999.
_REPEATED = np.array([int(digit * n) for digit in "789" for n in range(1, 8)], np.float64)
_CODES = np.concatenate([[0.0, -1.0, -0.001], -_REPEATED, -_REPEATED / 1000, _REPEATED[_REPEATED > 10]])
# May be times of a slow task, so they have to be far from all others and occur twice.
_SMALL_CODES = _REPEATED[_REPEATED >= 7000] / 1000


# The last quarter of the times above the median holds this share of all, and this many, where they end at an edge.
EDGE_SHARE, EDGE_LEAST = 0.04, 12
MANY_TIMES = 100


class Doubt(NamedTuple):
    """Rows that are unlikely to be what the user means.

    Parameters
    ----------
    rows : ndarray of bool, shape (n,)
    columns : dict of str to ndarray, shape (n,)
        What to show of them.
    expected, found, remedy : str
        As in `pymc_lan.errors.explain`.
    """

    rows: Mask
    columns: dict[str, NDArray[Any]]
    expected: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return explain(self.expected, f"{self.found} in {describe_rows(self.rows, self.columns)}", self.remedy)


def settle(doubts: Iterator[Doubt], *, strict: bool) -> None:
    """Refuse the first of the doubts with a ValueError or, if not `strict`, warn of each."""
    for doubt in doubts:
        if strict:
            raise ValueError(
                f"{doubt} Or, where it is right as it is, pass the matrix of as_observed(..., strict=False) itself."
            )
        warnings.warn(str(doubt), UserWarning, skip_file_prefixes=(_PACKAGE,))


def missing_codes(times: Float) -> Mask:
    """Say which times look like a code for a missing time."""
    code = np.isin(times, _CODES)
    if np.unique(times[(times < 0) & ~code]).size > 1:
        # Signs say something of these trials, and a few of the times look like codes by chance.
        code &= times >= 0
    others = times[np.isfinite(times) & (times > 0) & ~code]
    small = np.isin(times, _SMALL_CODES)
    rest = others[~np.isin(others, _SMALL_CODES)]
    for value in np.unique(times[small]):
        if rest.size and value > 2 * rest.max() and np.count_nonzero(times == value) > 1:
            code |= times == value
    if in_milliseconds(others):
        code &= times <= 0
        values, counts = np.unique(times[np.isin(times, _CODES) & (times > 0)], return_counts=True)
        usual = np.median(np.unique(others, return_counts=True)[1])
        often = (counts > TOO_OFTEN * usual) | (values > NO_DECISION_ABOVE * np.median(others))
        code |= np.isin(times, values[often])
    return code


def in_milliseconds(times: Float) -> bool:
    """Whether the median of some times, codes left out, is above 10."""
    return times.size > 0 and float(np.median(times)) > MILLISECONDS_ABOVE


def check_seconds(times: Float, name: str) -> None:
    """Refuse, with a ValueError, times that as a whole are milliseconds, and codes together with them."""
    code = missing_codes(times)
    positive = times[np.isfinite(times) & (times > 0) & ~code]
    if not in_milliseconds(positive) or np.median(positive) < SHORTEST * 1000:
        return
    found = f"a median of {np.median(positive):g}, which looks like milliseconds"
    remedy = f"divide by 1000, for instance df[{name!r}] / 1000, and give a deadline in seconds too"
    if code.any():
        shown = describe_rows(code, {name: times})
        found += f", and {describe_codes(times[code])}, which looks like a code for a missing time, in {shown}"
        remedy = f"make the codes missing first, {as_missing(times[code], name)}, and then {remedy}"
    raise ValueError(explain(f"{name!r} in seconds", found, remedy))


def doubtful_scale(times: Float, name: str) -> Iterator[Doubt]:
    """Find times that as a whole are too long for a decision, and too short in milliseconds."""
    timed = _timed(times)
    if in_milliseconds(times[timed]) and np.median(times[timed]) < SHORTEST * 1000:
        found = (
            f"a median of {np.median(times[timed]):g}, too long for a decision of this kind and short in milliseconds,"
        )
        yield Doubt(timed, {name: times}, f"{name!r} in seconds", found, "find out the unit, and give seconds")


def as_missing(codes: Float, name: str) -> str:
    """Word how codes for missing times become missing."""
    values = np.unique(codes).tolist()
    shown = f"{values[0]:g}" if len(values) == 1 else f"[{', '.join(f'{x:g}' for x in values)}]"
    return f"df[{name!r}].replace({shown}, float('nan'))"


def doubtful_units(times: Float, name: str, subjects: tuple[str, NDArray[Any]] | None) -> Iterator[Doubt]:
    """Find times in milliseconds among others in seconds, by subject or, of many rows, anywhere.

    Parameters
    ----------
    times : ndarray, shape (n,)
        NaN or inf where there is none.
    name : str
        Of their column.
    subjects : tuple of str and ndarray, optional
        The column that says whose trials they are.
    """
    timed = _timed(times)
    theirs = _other_unit(times, timed, subjects)
    if subjects is not None and theirs.any():
        label, labels = subjects
        yield Doubt(
            theirs,
            {label: labels, name: times},
            f"{name!r} in seconds for every {label!r}",
            f"times of {label} {describe_codes(labels[theirs])} that look like milliseconds beside those of the others",
            f"divide these by 1000, for instance df.loc[df[{label!r}].isin([...]), {name!r}] /= 1000",
        )
    timed &= ~theirs
    fast, slow = timed & (times <= MILLISECONDS_ABOVE), timed & (times > NO_DECISION_ABOVE)
    mixed = in_milliseconds(times[timed]) and slow.any() and fast.sum() >= STRAY * timed.sum() and fast.any()
    if mixed and _apart(times[slow], times[fast]):
        yield Doubt(
            fast,
            {name: times},
            f"{name!r} in one unit, seconds",
            f"times below 10 beside a median of {np.median(times[slow]):g}, which looks like milliseconds,",
            "find out which rows are in milliseconds, and divide those by 1000",
        )


def doubtful_times(times: Float, name: str, subjects: tuple[str, NDArray[Any]] | None) -> Iterator[Doubt]:
    """Find times in seconds that are codes, or too long for a decision; parameters as of `doubtful_units`."""
    code = missing_codes(times) & (times > 0)
    if code.any():
        yield Doubt(
            code,
            {name: times},
            f"{name!r} in seconds, and missing where there is none",
            f"{describe_codes(times[code])}, which looks like a code for a missing time,",
            f"make it missing, for instance {as_missing(times[code], name)}, which says that nothing was pressed; "
            "where every trial needs a response, use a distribution that knows trials without one",
        )
    timed = _timed(times)
    timed &= ~_other_unit(times, timed, subjects)
    slow = timed & (times > NO_DECISION_ABOVE)
    if slow.any():
        yield Doubt(slow, {name: times}, *_slow(times, timed, slow, name))


def doubtful_deadlines(limits: Float, times: Float) -> Iterator[Doubt]:
    """Find deadlines that are in another unit than the times, or a code for none."""
    late = np.isfinite(limits) & (limits > NO_DECISION_ABOVE)
    answered = times[np.isfinite(times) & (times > 0)]
    if late.any() and not in_milliseconds(answered):
        codes = np.isin(limits[late], _CODES).all()
        yield Doubt(
            late,
            {"deadline": limits},
            "a deadline in seconds, as rt, or inf for none",
            "deadlines that look like " + ("a code for none" if codes else "milliseconds"),
            "give float('inf') for none" if codes else "divide the deadline by 1000",
        )


def doubtful_presses(limits: Float, times: Float) -> Iterator[Doubt]:
    """Find times that are exactly the deadline, far more often than any other time: a timer's end, no responses."""
    at_limit = np.isfinite(times) & (times == limits)
    others = np.unique(times[np.isfinite(times) & ~at_limit], return_counts=True)[1]
    if np.count_nonzero(at_limit) > TOO_OFTEN * others.max(initial=1):
        yield Doubt(
            at_limit,
            {"rt": times, "deadline": limits},
            "rt missing where nothing happened before the deadline",
            "times that are exactly the deadline",
            "make rt missing there if the timer ran out: df['rt'].where(df['rt'] < deadline)",
        )


def doubtful_edge(times: Float) -> Iterator[Doubt]:
    """Find that the latest of many times lie at a sharp edge, as where later ones were left out.

    A tail that nobody cut has few of its times in the last quarter between the median and the latest: of an exponential
    one the number of times to the power of 1/4.
    """
    timed = _timed(times)
    if np.count_nonzero(timed) < MANY_TIMES:
        return
    middle, last = np.median(times[timed]), times[timed].max()
    at_edge = timed & (times >= last - 0.25 * (last - middle))
    if np.count_nonzero(at_edge) >= max(EDGE_LEAST, EDGE_SHARE * np.count_nonzero(timed)):
        yield Doubt(
            at_edge,
            {"rt": times},
            f"few responses just before the latest one, at {last:.3g} s",
            "many, as where later trials are missing, which makes estimates biased,",
            f"if the response window ended there, put such trials in with an empty rt and give deadline={last:.2g}, or "
            f"give truncation=(0, {last:.2g}) where they were not recorded; deadline=None says that nothing ended",
        )


def signed_by_response(times: Float, codes: Float) -> bool:
    """Whether rt is negative where, and only where, the lower response was given."""
    known = np.isfinite(times) & np.isfinite(codes) & (times != 0)
    below, above = np.unique(codes[known & (times < 0)]), np.unique(codes[known & (times > 0)])
    if not below.size or missing_codes(times[known & (times < 0)]).all():
        return False
    return bool(below.max() < above.min()) if above.size else below.size == 1


def _timed(times: Float) -> Mask:
    """Say which rows have a time that is no code."""
    timed: Mask = np.isfinite(times) & (times > 0) & ~missing_codes(times)
    return timed


def _other_unit(times: Float, timed: Mask, subjects: tuple[str, NDArray[Any]] | None) -> Mask:
    """Say which rows belong to subjects whose times are in milliseconds, where others' are in seconds."""
    if subjects is None:
        return np.zeros(times.shape, bool)
    _, whose = np.unique(subjects[1].astype(str), return_inverse=True)
    medians = np.array([np.median(times[mine]) if (mine := timed & (whose == i)).any() else np.nan
                        for i in range(whose.max() + 1)])  # fmt: skip
    large, small = medians > MILLISECONDS_ABOVE, medians <= MILLISECONDS_ABOVE
    if not large.any() or not small.any() or not _apart(medians[large], medians[small]):
        return np.zeros(times.shape, bool)
    return timed & large[whose]


def _apart(large: Float, small: Float) -> bool:
    typical = float(np.median(large))
    return bool(typical > UNITS_APART * np.median(small) and typical >= SHORTEST * 1000)


def _slow(times: Float, timed: Mask, slow: Mask, name: str) -> tuple[str, str, str]:
    """Word what is expected, found and to be done about times above 100 s."""
    expected = f"{name!r} of at most {NO_DECISION_ABOVE:g} s where the median is {np.median(times[timed]):.2g} s"
    (rows,) = np.nonzero(timed)
    ends = np.flatnonzero(np.diff(np.concatenate([[False], slow[rows], [False]]).astype(int)))
    first, last = ends[::2], ends[1::2] - 1
    longest = int(np.argmax(last - first))
    these = times[rows[first[longest] : last[longest] + 1]]
    # The same time again and again is a code or a limit.
    if len(these) < BLOCK or np.unique(these).size == 1 or not in_milliseconds(these / SHORTEST / 100):
        remedy = f"make {name!r} missing where there was no response, or correct the unit of these rows"
        return expected, "longer ones", remedy
    block = f"rows {rows[first[longest]]} to {rows[last[longest]]}"
    found = f"{block}, which look like milliseconds, among longer ones"
    return expected, found, f"divide the rows that are in milliseconds by 1000, such as {block}"
