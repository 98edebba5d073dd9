"""One table of everything that was read, with our names for its columns: rt, response, subject, file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pymc_lan.data.cells import Mask, nothing
from pymc_lan.data.programs import JsPsych, Program
from pymc_lan.data.tables import as_array, as_table, every_name, subject_column
from pymc_lan.data.trial_report import Sheet
from pymc_lan.data.written import Written, find_files, read_written, split
from pymc_lan.errors import explain, unknown

SUBJECT, FILE = "subject", "file"


class Gathered(NamedTuple):
    """All rows of all files, or of a table.

    Parameters
    ----------
    table : pandas.DataFrame
        Its rows are numbered from 0; a column that a file lacks is empty there.
    files : pandas.Series of str, or None
        Where each row came from; None unless there are several files.
    columns : dict of str to set of str
        The columns of each file.
    remarks : dict of str to int
        What had to be decided to read them, and in how many rows.
    """

    table: pd.DataFrame
    files: pd.Series | None
    columns: Mapping[str, set[str]]
    remarks: Mapping[str, int]


def gather(path_or_table: Any) -> Gathered:
    """Read files, or take a table; ValueError for what is neither, or has no columns."""
    one = isinstance(path_or_table, str | os.PathLike)
    if not one and not isinstance(path_or_table, list | tuple):
        names = every_name(path_or_table)
        native = as_table(path_or_table, "path_or_table")
        if bad := [name for name in names or () if not isinstance(name, str)]:
            raise ValueError(explain("columns that are named by text", f"{bad[0]!r}", "rename them"))
        cells = {name: pd.Series(as_array(native[name])) for name in names or ()}
        return Gathered(pd.DataFrame(cells), None, {}, {})
    paths = find_files(path_or_table)
    read = dict(zip(_labels(paths), map(read_written, paths), strict=True))
    remarks = {why: rows for written in read.values() for why, rows in written.remarks.items()}
    remarks |= {f"no rows in {label}": 0 for label, written in read.items() if written.table.empty}
    table = _joined(read)
    if table.columns.empty:
        expected = "a table with a line of names, or rows of JSON"
        raise ValueError(explain(expected, f"nothing in {', '.join(read):.200}", "give files that hold trials"))
    if one and len(paths) == 1 and paths[0] == Path(path_or_table).expanduser():
        return Gathered(table, None, {}, remarks)
    files = pd.Series([label for label, written in read.items() for _ in range(len(written.table))], dtype=object)
    return Gathered(table, files, {label: set(written.table.columns) for label, written in read.items()}, remarks)


def _labels(paths: list[Path]) -> list[str]:
    """Names of the files, with as much of their folders as tells them apart."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    top = os.path.commonpath([path.resolve().parent for path in paths])
    return [path.resolve().relative_to(top).as_posix() for path in paths]


def _joined(read: Mapping[str, Written]) -> pd.DataFrame:
    names = dict.fromkeys(name for written in read.values() for name in written.table.columns)
    parts = [written.table.reindex(columns=list(names), fill_value="") for written in read.values()]
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def name_columns(gathered: Gathered, given: Mapping[str, str], program: Program) -> Sheet:
    """Give columns our names, as the user or the program says; ValueError where one is not there."""
    table, names = gathered.table, list(gathered.table.columns)
    for ours, name in given.items():
        if name not in names:
            message = unknown("column", name, names)
            raise ValueError(f"{message} Remedy: give as columns[{ours!r}] the name of a column that was read.")
    theirs = program.columns(table, given) | dict(given)
    if "rt" not in theirs:
        remedy = "say which column holds the response times, columns={'rt': ...}, and response where there is one"
        raise ValueError(explain("a column of response times, 'rt'", f"the columns {', '.join(names)}", remedy))
    if isinstance(program, JsPsych) and "trial_type" not in theirs.values():
        # What distributions take for a column of go and no-go is the plugin here.
        theirs.setdefault("plugin", "trial_type")
    if whose := subject_column(name for name in names if name not in theirs.values()):
        theirs.setdefault(SUBJECT, whose)
    theirs = {ours: each for ours, each in theirs.items() if each in names}
    new = {each: ours for ours, each in theirs.items()}
    new |= {ours: _free(ours, names) for ours in theirs if ours in names and ours not in new}
    renamed, nobody = _with_subjects(table.rename(columns=new), gathered.files)
    sheet = Sheet(renamed, () if gathered.files is None else (FILE,))
    for why, rows in gathered.remarks.items():
        sheet.say("read", rows, why)
    for old, name in new.items():
        if old != name:
            sheet.say("changed", len(table), f"the column {old!r} is called {name!r}")
    sheet.say("changed", nobody, "no subject is named: the name of the file stands for one")
    for file, columns in gathered.columns.items():
        if columns and theirs["rt"] not in columns:
            # A session that ended early, or a file of another sort.
            sheet.drop((sheet.table[FILE] == file).to_numpy(), f"{file} has no column {theirs['rt']!r}")
    return sheet


def _free(name: str, taken: list[str]) -> str:
    """A name for a column whose own is given to another."""
    other = f"{name}_raw"
    return _free(other, taken) if other in taken else other


def _with_subjects(table: pd.DataFrame, files: pd.Series | None) -> tuple[pd.DataFrame, Mask]:
    """The table with a file and a subject in each row of several files, and the rows that named no subject."""
    if files is None:
        return table, np.zeros(len(table), bool)
    table = table if FILE in table else table.assign(**{FILE: files})
    nobody = nothing(table[SUBJECT]) if SUBJECT in table else np.ones(len(table), bool)
    stems = files.map(lambda file: split(file)[0])
    return table.assign(**{SUBJECT: table[SUBJECT].mask(nobody, stems) if SUBJECT in table else stems}), nobody
