"""From what an experiment wrote to a table of trials: `read_trials`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pymc_lan.data.cells import typed
from pymc_lan.data.programs import JsPsych, Program, practice, program_of
from pymc_lan.data.trial_answers import answer, fast, late
from pymc_lan.data.trial_columns import Gathered, gather, name_columns
from pymc_lan.data.trial_report import Sheet, TrialReport
from pymc_lan.errors import explain, is_real

UNITS = ("auto", "s", "ms")
# Decisions of a second and more are no fast ones; milliseconds given as `fastest` are above it.
SLOWEST = 1.0


def read_trials(
    path_or_table: Any,
    *,
    columns: Mapping[str, str] | None = None,
    source: str | None = None,
    unit: str = "auto",
    fastest: float = 0.1,
) -> tuple[pd.DataFrame, TrialReport]:
    """Read what an experiment wrote, and return its trials and a report of what was done to them.

    Parameters
    ----------
    path_or_table : path, list of paths, or DataFrame
        A file of text between commas, semicolons or tabs, or of JSON; a folder of such files, a pattern such as
        ``"data/*.csv"``, a list of them; or a table of pandas, polars, pyarrow or anything else that narwhals reads.
        Of several files a column ``file`` says which one a row came from.
    columns : dict of str to str, optional
        Their names for ours: ``{"rt": "key_resp.rt", "response": "key_resp.keys", "subject": "participant"}``. What
        is not in it is looked for. Any name may be given so, ``trial_type`` or ``deadline`` for instance.
    source : {"jspsych", "psychopy"}, optional
        The program that wrote the table; found out by its columns where it is None. It says which rows are trials.
    unit : {"auto", "s", "ms"}
        The unit of rt, and of a column ``deadline``. "auto": milliseconds where the median of a file's response times
        is 50 or more, seconds where it is 0.05 to 10; others are refused, and files that differ.
    fastest : float
        Responses that took less [s] are dropped, and counted for each subject. 0 keeps them all, for a model whose
        ``p_lapse`` has a place for guesses.

    Returns
    -------
    df : pandas.DataFrame
        ``rt`` in seconds, NaN without a response; ``response``, None or NaN without one (left out where the table knows
        none); ``subject``, where it is known or there are several files; and all other columns, numbers as numbers.
        Distributions take it as ``observed=``, with ``response={"f": -1, "j": 1}`` for labels.
    report : TrialReport
        ``report.table`` says what was dropped, changed, kept and read, in how many rows and why.

    Raises
    ------
    ValueError
        If files are missing or malformed, columns cannot be found, times are neither seconds nor milliseconds, or rt
        and response contradict each other. The message says what to do.

    Notes
    -----
    Trials without a response are kept, because who leaves them out leaves out slow decisions: where rt is empty, a
    word for nothing, a code for it (-1, 0, 999, ...), or beyond the column ``deadline``. Dropped are rows that are no
    trials, practice, and responses below `fastest`. That does no harm to a model in which no decision can be so fast,
    because t is at least `fastest`; of its guesses (`p_lapse`) it takes the share ``fastest / lapse_window``.

    Examples
    --------
    >>> df, report = read_trials(pd.DataFrame({"rt": [512, None, 640, 30], "response": ["f", None, "j", "f"]}))
    >>> df
          rt response
    0  0.512        f
    1    NaN     None
    2  0.640        j
    >>> print(report)
    3 trials of 4 rows; rt was in ms. Responses: 'f' (1), none (1), 'j' (1).
    action  rows subject why
    changed 3            rt divided by 1000: its median of 512 is milliseconds
    kept    1            no response: rt is empty
    dropped 1            faster than 0.1 s, of 4
    """
    given = _checked(columns, unit, fastest)
    gathered = gather(path_or_table)
    program = program_of(source, list(gathered.table.columns))
    sheet = name_columns(gathered, given, program)
    if source is None:
        _check_one_program(gathered, sheet, program)
    sheet.drop_all([*practice(sheet.table), *program.strange(sheet.table)])
    if sheet.table.empty:
        dropped = [f"{line.rows} dropped: {line.why}" for line in sheet.lines if line.action == "dropped"]
        remedy = "say in columns= which column is rt and which response, or pass a table of the rows that are trials"
        raise ValueError(explain("at least one trial", "; ".join(dropped) or "no rows", remedy))
    if isinstance(program, JsPsych) and not program.says(sheet.table):
        why = "no column task or test_part says what a screen is for: a welcome or a fixation may be among them"
        sheet.say("kept", len(sheet.table), why)
    found = answer(sheet, program, unit)
    late(sheet, found)
    sheet.say("kept", sheet.table["rt"].isna().to_numpy(), "no response: rt is empty")
    fast(sheet, fastest)
    table = sheet.table = sheet.table.apply(typed)
    first = [name for name in ("subject", "rt", "response") if name in table]
    df = table[[*first, *table.columns.drop(first)]].reset_index(drop=True)
    return df, sheet.report(program.name, found, len(gathered.table))


def _check_one_program(gathered: Gathered, sheet: Sheet, program: Program) -> None:
    """Refuse files of several programs, apart from those that have been left out."""
    read = set(sheet.table["file"]) if gathered.files is not None else ()
    others = {file: program_of(None, [*columns]) for file, columns in gathered.columns.items() if file in read}
    if odd := [file for file, its in others.items() if its is not program]:
        found = f"{odd[0]}, which was not written by {program.name}"
        raise ValueError(explain("files that one program wrote", found, "read them apart, or say source="))


def _checked(columns: Any, unit: Any, fastest: Any) -> dict[str, str]:
    """The columns that the user names; ValueError for arguments that cannot be meant."""
    if unit not in UNITS:
        raise ValueError(explain(f"unit as {', '.join(map(repr, UNITS))}", f"{unit!r:.80}", "give one of them"))
    if not is_real(fastest) or not 0 <= fastest < SLOWEST:
        expected = f"fastest as seconds, from 0 (keep all) to below {SLOWEST:g}"
        raise ValueError(explain(expected, f"{fastest!r:.80}", "give the time below which no response is a decision"))
    given = dict(columns) if isinstance(columns, Mapping) else {} if columns is None else None
    if given is None or not all(isinstance(name, str) for pair in given.items() for name in pair):
        expected = "columns as a dictionary from our names to those of the table"
        raise ValueError(explain(expected, f"{columns!r:.80}", "write it like columns={'rt': 'key_resp.rt'}"))
    if twice := [name for name in given.values() if [*given.values()].count(name) > 1]:
        raise ValueError(explain("each column under one name", f"{twice[0]!r} twice", "name it once in columns="))
    return given
