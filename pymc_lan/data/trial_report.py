"""What was done to the rows of a table until they were trials, in a table that one can read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pymc_lan.errors import refuse


class Line(NamedTuple):
    """One line of a report: what was done to how many rows, of one subject where it says which, and why."""

    action: str
    rows: int
    subject: Any
    why: str


@dataclass(frozen=True, slots=True)
class TrialReport:
    """What `pymc_lan.read_trials` did.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for everything that was done: ``action`` (dropped, changed, kept, read), ``rows`` (how many),
        ``subject`` (whose, empty for all) and ``why``.
    source : str or None
        The program that wrote the table: "jspsych", "psychopy", or None.
    unit : str
        The unit of rt as it was found, "s" or "ms".
    n_rows, n_trials : int
        Rows that were found, and trials that came of them.
    responses : dict
        How often each response occurs; the key None counts trials without one.
    """

    table: pd.DataFrame
    source: str | None
    unit: str
    n_rows: int
    n_trials: int
    responses: Mapping[Any, int]

    def __repr__(self) -> str:
        first = f"{self.n_trials:,} trials of {self.n_rows:,} rows; rt was in {self.unit}"
        first += f", written by {self.source}." if self.source else "."
        if self.responses:
            counts = [f"{'none' if key is None else repr(key)} ({n:,})" for key, n in self.responses.items()]
            first += f" Responses: {', '.join(counts)}."
        if self.table.empty:
            return f"{first}\nNothing was changed."
        words = self.table.astype(str)
        left = {name: words[name].str.ljust(words[name].str.len().max()) for name in ("action", "subject", "why")}
        lines = words.assign(**left).to_string(index=False, justify="left").splitlines()
        return "\n".join([first, *(line.rstrip() for line in lines)])


class Sheet:
    """A table, and the report that grows while it is worked on.

    Parameters
    ----------
    table : pandas.DataFrame
        Its rows are numbered from 0.
    shown : sequence of str
        Columns that messages show besides those that they are about.
    """

    def __init__(self, table: pd.DataFrame, shown: Sequence[str] = ()):
        self.whole, self.table, self.shown = table, table, shown
        self.lines: list[Line] = []

    def say(self, action: str, rows: int | NDArray[np.bool_], why: str, subject: Any = "") -> None:
        """Write down what concerns so many rows, or those of a mask if there are any."""
        count = rows if isinstance(rows, int) else int(np.count_nonzero(rows))
        if count or isinstance(rows, int):
            self.lines.append(Line(action, count, subject, why))

    def drop(self, rows: NDArray[np.bool_], why: str) -> None:
        """Leave rows out, and write that down."""
        self.say("dropped", rows, why)
        self.table = self.table[~rows]

    def drop_all(self, strange: Iterable[tuple[NDArray[np.bool_], str]]) -> None:
        """Leave out rows for several reasons, each row for the first that it has."""
        gone = np.zeros(len(self.table), bool)
        for rows, why in strange:
            self.say("dropped", rows & ~gone, why)
            gone |= rows
        self.table = self.table[~gone]

    def refuse(self, bad: NDArray[np.bool_], names: Sequence[str], *, expected: str, found: str, remedy: str) -> None:
        """Refuse the table for some of its rows, which go by their numbers among all rows that were read."""
        everywhere = np.zeros(len(self.whole), bool)
        everywhere[self.table.index] = bad
        shown = {name: self.whole[name].to_numpy() for name in (*names, *self.shown)}
        refuse(everywhere, shown, expected=expected, found=found, remedy=remedy)

    def report(self, source: str | None, unit: str, n_rows: int) -> TrialReport:
        """What has been written down."""
        given = self.table["response"].tolist() if "response" in self.table else []
        counts: dict[Any, int] = {}
        for cell in (None if each is None or each != each else each for each in given):
            counts[cell] = counts.get(cell, 0) + 1
        lines = pd.DataFrame(self.lines, columns=list(Line._fields))
        return TrialReport(lines, source, unit, n_rows, len(self.table), counts)
