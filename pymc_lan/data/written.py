"""Files that experiments write, as tables of cells: which files, in which encoding, between which separators.

Cells of text stay the text that they are; what they say is a matter of `pymc_lan.data.cells`. Where a row of JSON has
no value at all, or a line of text an empty one, the cell is the empty text; `null` is None, or the text null.
"""

from __future__ import annotations

import csv
import glob
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pymc_lan.data.cells import without_decimal_commas
from pymc_lan.data.reading import parse_json, read_file, unpacked
from pymc_lan.errors import RegistryError, check_path, explain

# What is read of a folder, also packed by gzip. PsychoPy writes a .psydat, which is code, and a .log beside each .csv.
ENDINGS, PACKED = (".csv", ".tsv", ".txt", ".json"), ".gz"
SEPARATORS = (",", ";", "\t")
# What Excel may be told in the first line of a table: which separator it has.
EXCEL = re.compile(r"\Asep=.\r?\n")
# Excel writes the last two, and older Windows programs the code page that is tried where a text is no UTF-8.
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
CODE_PAGE = "cp1252"
# Where JSON keeps the rows of a session beside what holds for all of them.
INNER = ("trials", "trialdata", "data")
REMEDY = "give files as the experiment wrote them: text between commas, semicolons or tabs, or JSON"


class Written(NamedTuple):
    """What one file holds.

    Parameters
    ----------
    table : pandas.DataFrame
        One column of cells for every name.
    remarks : dict of str to int
        What had to be decided to read it, and in how many rows.
    """

    table: pd.DataFrame
    remarks: Mapping[str, int]


def find_files(where: Any) -> list[Path]:
    """The files that a path, a pattern such as ``data/*.csv``, a folder or a list of these means, in order.

    Raises
    ------
    ValueError
        If it means none.
    """
    if isinstance(where, list | tuple):
        found = [path for each in where for path in find_files(each)]
    elif (path := check_path("path_or_table", where).expanduser()).is_dir():
        found = sorted(each for each in path.iterdir() if split(each.name)[1] in ENDINGS and each.name[0] != ".")
    elif not path.exists() and glob.has_magic(str(path)):
        found = sorted(Path(each) for each in glob.glob(str(path)))
    else:
        found = [path]
    if not found:
        expected = (
            f"files ({', '.join(ENDINGS)}) in {os.fspath(where) if isinstance(where, str | Path) else 'the list'}"
        )
        raise ValueError(explain(expected, "none", "give their paths, their folder, or a pattern such as 'data/*.csv'"))
    return list(dict.fromkeys(found))


def split(name: str) -> tuple[str, str]:
    """The name of a file, or its path, without its ending, and that in lower case, whether it is packed or not."""
    stem, ending = os.path.splitext(name[: -len(PACKED)] if name.lower().endswith(PACKED) else name)
    return stem, ending.lower()


def read_written(path: Path) -> Written:
    """Read one file.

    Raises
    ------
    ValueError
        If it is missing, too large, in no known encoding, or neither a table of text nor rows of JSON.
    """
    try:
        text, encoding = _decoded(unpacked(read_file(path, REMEDY), path, REMEDY), path)
        rows = list(_rows(_values(text, path), path)) if text.lstrip()[:1] in ("[", "{") else None
    except RegistryError as error:  # the rules of reading.py, whose errors are those of weights
        raise ValueError(str(error)) from error
    table, remarks = _separated(text, path) if rows is None else (_table(rows), {})
    if encoding == CODE_PAGE:
        remarks[f"{path.name} is no UTF-8: read as {CODE_PAGE}"] = len(table)
    return Written(table, remarks)


def _decoded(content: bytes, path: Path) -> tuple[str, str]:
    encodings = next(((name,) for mark, name in MARKS.items() if content.startswith(mark)), ("utf-8", CODE_PAGE))
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        # What is packed, or a table of Excel, has bytes that are characters of a code page, and zeros among them.
        if "\0" not in text:
            return text, encoding
    expected = f"text in {path}, in UTF-8, UTF-16 or {CODE_PAGE}"
    raise ValueError(explain(expected, "bytes that are no such text", "save the file as CSV in UTF-8"))


def _values(text: str, path: Path) -> Any:
    """JSON, or JSON in every line, as JATOS writes the sessions of a study."""
    try:
        return parse_json(text.encode(), path, REMEDY)
    except RegistryError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or lines[0].strip() in ("[", "{"):
            raise
        return [parse_json(line.encode(), f"a line of {path}", REMEDY) for line in lines]


def _rows(value: Any, path: Path) -> Iterator[dict[str, Any]]:
    """The rows of trials in JSON: a list of them, lists of such lists, what holds such a list, or columns."""
    if isinstance(value, list):
        for each in value:
            yield from _rows(each, path)
        return
    if not isinstance(value, dict):
        expected = f"rows of JSON in {path}, as {{'rt': 512, 'response': 'f'}}"
        raise ValueError(explain(expected, f"{value!r:.60}", REMEDY))
    inner = next((name for name in INNER if isinstance(value.get(name), list | dict)), None)
    if inner is None or ("rt" in value and isinstance(value[inner], list)):
        columns = [*value.values()]
        if columns and all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
            yield from (dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True))
        else:
            yield _flat(value)
        return
    shared = _flat({name: cell for name, cell in value.items() if name != inner})
    for row in _rows(value[inner], path):
        yield shared | row


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose cells hold no further names: those become columns ``name.inner``."""
    flat: dict[str, Any] = {}
    for name, cell in row.items():
        flat |= {f"{name}.{inner}": each for inner, each in cell.items()} if isinstance(cell, dict) else {name: cell}
    return flat


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    cells = {name: pd.Series([row.get(name, "") for row in rows], dtype=object) for name in names}
    return pd.DataFrame(cells, index=range(len(rows)))


def _records(text: str, separator: str, *, strict: bool) -> Iterator[list[str]]:
    """Lines that hold anything, split into cells; quotes that are not closed where they should be are an error."""
    for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict):
        if any(cell.strip() for cell in record):
            yield record


def _is_comment(record: Sequence[str], width: int) -> bool:
    """Whether a line begins with #; not a colour, #ff0000, in the first of as many cells as there are columns."""
    first = record[0].lstrip()
    return first.startswith("#") and not (len(record) == width > 1 and first[1:2].isalnum())


def _separated(text: str, path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    text = EXCEL.sub("", text, count=1)
    try:
        lines = {each: (r for r in _records(text, each, strict=False) if not _is_comment(r, 0)) for each in SEPARATORS}
        heads = {each: next(found, []) for each, found in lines.items()}
        separator, head = max(heads.items(), key=lambda each: len(each[1]))
        records = list(_records(text, separator, strict=True))
    except csv.Error as error:
        remedy = f"{REMEDY}; leave out columns of more than {csv.field_size_limit():,} characters in a cell"
        raise ValueError(explain(f"a table of text in {path}", f"{error}", remedy)) from error
    if not head:
        return pd.DataFrame(), {}
    names = [name.strip() or f"column_{i}" for i, name in enumerate(head)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(explain(f"columns of different names in {path}", f"{twice!r} twice", "rename one of them"))
    comments = [_is_comment(record, len(head)) for record in records]
    again = [record == head for record in records]
    rows = [each for each, *no_row in zip(records, comments, again, strict=True) if not any(no_row)]
    for number, line in enumerate(rows):
        if any(cell.strip() for cell in line[len(names) :]):
            found = f"{len(line)} in row {number}: {', '.join(line):.80}"
            remedy = (
                "put cells that hold a separator in quotes; numbers with a decimal comma need ; or tabs between them"
            )
            raise ValueError(explain(f"{len(names)} cells in every row of {path}", found, remedy))
    cells = {name: [line[i] if i < len(line) else "" for line in rows] for i, name in enumerate(names)}
    # PsychoPy ends each line with a separator.
    empty = {name for name, old in zip(names, head, strict=True) if not old.strip() and not any(cells[name])}
    table = pd.DataFrame({name: pd.Series(cells[name], dtype=object) for name in names if name not in empty})
    remarks = {
        f"no rows: lines that begin with # in {path.name}": sum(comments),
        f"no rows: lines of {path.name} that repeat the names": sum(again) - 1,
        f"rows of {path.name} with fewer cells than columns: the last ones are empty": sum(
            len(line) < len(names) - len(empty) for line in rows
        ),
    }
    if separator != ",":
        changed = without_decimal_commas(table)
        remarks |= {f"decimal commas in {name!r} of {path.name}": count for name, count in changed.items()}
    return table, {why: count for why, count in remarks.items() if count}
