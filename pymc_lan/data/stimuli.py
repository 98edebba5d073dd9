"""Published trials of stimuli and answers, and weights of covariance fields, from the files of their authors."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pymc_lan.errors import check_path, explain, refuse, unknown

Float = NDArray[np.float64]


class Layout(NamedTuple):
    """The columns of a file of trials: two stimuli, each in one cell, and whether the answer was right."""

    ref: str
    comparison: str
    correct: str


# Of Hong et al. (trial_data_pooled_by_type_sub1.csv), and of psyphy's own tables.
LAYOUTS = (Layout("xref", "x1", "y"), Layout("ref", "probe", "response"), Layout("ref", "comparison", "correct"))
# What a trial is for, where a file says so, and what begins that of those that Hong et al. fitted.
KIND, FITTED = "TrialType", ("AEPsych",)
# Whose trials a file has.
_OBSERVER = re.compile(r"sub(\w+)$")
# The indices of a weight: Chebyshev degree in either dimension, row and column of U.
INDEX = "i,j,k,l"
_PLACE = re.compile(r"\s*[(\[]?\s*\d+(\s*,\s*\d+){3}\s*[)\]]?\s*")


def read_answers(path: Any, *, trial_types: Sequence[str] | None = FITTED) -> pd.DataFrame:
    r"""Read trials of two stimuli and an answer, such as those of Hong et al., for `pymc_lan.Oddity`.

    Parameters
    ----------
    path : path
        A CSV file, or a folder with one for each observer. A row has the reference, the comparison and whether the
        answer was right, in the columns ``xref``, ``x1`` and ``y``, or ``ref``, ``probe`` and ``response``, or ``ref``,
        ``comparison`` and ``correct``; coordinates are in one cell, ``"0.62,-0.67"`` or ``"[0.62, -0.67]"``.
    trial_types : sequence of str, optional
        Of a file with a column ``TrialType``: how those begin that are read. By default those that Hong et al. fitted;
        the others, ``"MOCS"``, they kept to validate. None reads all.

    Returns
    -------
    pandas.DataFrame
        ``observer`` (of ``..._sub1.csv`` "1", else the file's name), ``trial_type`` where the files have it, ``ref_1``,
        ``ref_2``, ..., ``comparison_1``, ``comparison_2``, ... and ``correct``, 1 or 0.

    Raises
    ------
    ValueError
        If there is no such file or folder, a column is missing, a cell cannot be read, or no trial is of these types.

    References
    ----------
    Hong, Bouhassira, Chow, Sanders, Shvartsman, Guan, Williams & Brainard (2026), eLife 14, RP108943. Their trials are
    not part of this package.

    Examples
    --------
    >>> import tempfile, pathlib, pymc_lan as pl
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "trial_data_pooled_by_type_sub1.csv"
    >>> _ = file.write_text('TrialType,xref,x1,y\nAEPsych_sobol,"0.5,-0.2","0.6,-0.1",1\nMOCS_1,"0,0","0,0.1",0\n')
    >>> pl.read_answers(file)
      observer     trial_type  ref_1  ref_2  comparison_1  comparison_2  correct
    0        1  AEPsych_sobol    0.5   -0.2           0.6          -0.1        1
    """
    place = check_path("path", path)
    files = sorted(place.glob("*.csv")) if place.is_dir() else [place]
    if not files:
        raise ValueError(explain(f"files of trials, *.csv, in {place}", "none", "give the folder that has them"))
    tables = [_read_trials(file, trial_types) for file in files]
    if len(columns := {tuple(table.columns) for table in tables}) > 1:
        found = " and ".join(", ".join(each) for each in sorted(columns))
        raise ValueError(explain("files with the same columns", found, "read them apart"))
    return pd.concat(tables, ignore_index=True)


def _read_trials(file: Path, trial_types: Sequence[str] | None) -> pd.DataFrame:
    """The trials of one observer."""
    table = _read_table(file)
    layout = next((each for each in LAYOUTS if {*each} <= {*table.columns}), None)
    if layout is None:
        expected = f"the columns {', or '.join(', '.join(each) for each in LAYOUTS)} in {file.name}"
        raise ValueError(explain(expected, ", ".join(map(str, table.columns)), "rename them"))
    if KIND in table and trial_types is not None:
        kinds = (trial_types,) if isinstance(trial_types, str) else tuple(trial_types)
        wanted = table[KIND].str.startswith(kinds).to_numpy(bool)
        if not wanted.any():
            found = ", ".join(table[KIND].unique()[:5])
            expected = f"trials whose {KIND} begins with {' or '.join(kinds)} in {file.name}"
            raise ValueError(explain(expected, found, "give trial_types=..., or None for all"))
        table = table[wanted]
    observer = _OBSERVER.search(file.stem)
    columns: dict[str, Any] = {"observer": [observer.group(1) if observer else file.stem] * len(table)}
    if KIND in table:
        columns["trial_type"] = table[KIND].to_numpy()
    for name in ("ref", "comparison"):
        where = getattr(layout, name)
        for i, x in enumerate(_coordinates(where, table[where]).T, start=1):
            columns[f"{name}_{i}"] = x
    return pd.DataFrame(columns | {"correct": _answers(layout.correct, table[layout.correct])})


def _coordinates(name: str, cells: Any) -> Float:
    """Coordinates from cells, shape (n, d)."""
    rows = [_numbers(cell) for cell in cells]
    d = max(1, *map(len, rows))
    refuse(
        np.array([len(row) != d or not np.all(np.isfinite(row)) for row in rows]),
        {name: cells.to_numpy(object)},
        expected=f"{d} finite coordinates in each cell of {name}, such as '0.62,-0.67'",
        found="others",
        remedy="correct or leave out these trials",
    )
    return np.array(rows, np.float64)


def _numbers(cell: str) -> list[float]:
    """The numbers between commas or blanks, in brackets or not; none of what cannot be read."""
    try:
        return [float(part) for part in re.split(r"[\s,]+", cell.strip("[]() \t"))]
    except ValueError:
        return []


def _answers(name: str, cells: Any) -> NDArray[np.int64]:
    """1 of right answers, 0 of wrong ones."""
    codes = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    refuse(
        ~np.isin(codes, (0, 1)),
        {name: cells.to_numpy(object)},
        expected=f"1 (right) or 0 (wrong) in each row of {name}",
        found="others",
        remedy="correct or leave out these trials",
    )
    return codes.astype(np.int64)


def read_wishart_weights(path: Any, column: str = "W_org") -> Float:
    r"""Read weights of a covariance field as Hong et al. published them, in psyphy's order.

    Parameters
    ----------
    path : path
        A CSV file whose first column, ``i,j,k,l``, holds the four indices of a weight, and whose others a fit each
        (``Bestfit_W_sub1.csv``).
    column : str
        Which fit; ``"W_org"`` is the published one.

    Returns
    -------
    ndarray, shape (degree + 1, degree + 1, d, d + extra)
        As `pymc_lan.wishart_field` has its weights.

    Raises
    ------
    ValueError
        If there is no such file or column, or its indices do not fill an array, each once.

    Examples
    --------
    >>> import tempfile, pathlib, pymc_lan as pl
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "Bestfit_W_sub1.csv"
    >>> _ = file.write_text('"i,j,k,l",W_org\n"0,0,0,0",0.02\n"0,0,0,1",0.01\n')
    >>> pl.read_wishart_weights(file).shape
    (1, 1, 1, 2)
    """
    file = check_path("path", path)
    table = _read_table(file)
    if table.columns[0] != INDEX:
        remedy = "give the file of weights, Bestfit_W_sub1.csv"
        raise ValueError(explain(f"{INDEX!r} as the first column of {file.name}", f"{table.columns[0]!r}", remedy))
    if column not in table.columns[1:]:
        raise ValueError(unknown("column", column, table.columns[1:], of=file.name))
    cells = table[INDEX]
    refuse(
        np.array([_PLACE.fullmatch(cell) is None for cell in cells]),
        {INDEX: cells.to_numpy(object)},
        expected=f"four whole numbers, 0 or more, in each cell of {INDEX}",
        found="others",
        remedy="fetch the file anew",
    )
    places = np.array([_numbers(cell) for cell in cells], np.intp)
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    shape = tuple((places.max(axis=0) + 1).tolist())
    if len(np.unique(places, axis=0)) != len(places) or len(places) != np.prod(shape) or not np.isfinite(values).all():
        found = f"{len(places)} rows, {len(np.unique(places, axis=0))} of different indices up to {shape}"
        raise ValueError(explain("a number for each index, each once", found, "fetch the file anew"))
    weights = np.empty(shape)
    weights[tuple(places.T)] = values
    return weights


def _read_table(file: Path) -> pd.DataFrame:
    """A table of text as it stands."""
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else f"{error}"
        raise ValueError(explain(f"a table in {file}", reason, "give the path of a CSV file")) from error
    if table.empty:
        raise ValueError(explain(f"rows in {file}", "none", "give the path of a CSV file that has them"))
    return table
