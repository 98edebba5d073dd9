"""What the cells of a table say that an experiment wrote: nothing, a number, yes or no, several presses, a label."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pymc_lan.data.tables import floats
from pymc_lan.errors import is_missing

Mask = NDArray[np.bool_]

# What programs write where there is nothing: JavaScript, Python, R and their tables.
NOTHING = frozenset({"null", "none", "undefined", "na", "n/a", "<na>", "nan", "[]", "--"})
YES_OR_NO = {"true": True, "false": False}
# Not 007, which is a name.
NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


def is_nothing(cell: Any) -> bool:
    """Whether a cell is empty, or holds a word for that.

    Examples
    --------
    >>> [is_nothing(cell) for cell in ("", "None", "null", None, "no", 0, [])]
    [True, True, True, True, False, False, True]
    """
    if isinstance(cell, list):
        return not cell
    return is_missing(cell) or (isinstance(cell, str) and cell.strip().lower() in NOTHING)


def nothing(cells: Iterable[Any]) -> Mask:
    """Which cells are empty, or hold a word for that."""
    return np.array([is_nothing(cell) for cell in cells], bool)


def first_press(cells: pd.Series) -> tuple[pd.Series, Mask]:
    """The first of several values in a cell, ``"['left', 'right']"``, and which cells held more than one.

    Examples
    --------
    >>> first_press(pd.Series(["['left', 'right']", "[0.4]", "up"]))[0].tolist()
    ['left', 0.4, 'up']
    """
    lists = [_as_list(cell) for cell in cells]
    single = [cell if many is None else many[0] if many else None for cell, many in zip(cells, lists, strict=True)]
    several = np.array([many is not None and len(many) > 1 for many in lists], bool)
    return pd.Series(single, cells.index, dtype=object), several


def _as_list(cell: Any) -> list[Any] | None:
    if isinstance(cell, str) and cell.strip()[:1] == "[" and cell.strip()[-1:] == "]":
        try:
            cell = json.loads(cell.replace("'", '"'))
        except (ValueError, RecursionError):
            return None
    return cell if isinstance(cell, list) else None


def numbers(cells: pd.Series) -> tuple[NDArray[np.float64], Mask]:
    """The cells as numbers, NaN where there is nothing, and which cells are something else."""
    plain = [None if is_nothing(cell) else _number(cell) for cell in cells]
    return floats(np.fromiter(plain, object, len(plain)))


def _number(cell: Any) -> Any:
    """A number for a text that is one, a text for True and False, which are none; any other cell as it is."""
    if isinstance(cell, bool | np.bool_):
        return str(cell)
    return float(cell) if isinstance(cell, str) and NUMBER.fullmatch(cell.strip()) else cell


def typed(cells: pd.Series) -> pd.Series:
    """A column as numbers, or as True and False, where all of its cells that hold anything are; else its labels.

    Among labels only an empty cell and ``null`` are missing: None or NA may be the name of a condition.

    Examples
    --------
    >>> typed(pd.Series(["1", "", "2.5"])).tolist(), typed(pd.Series(["true", "false"])).tolist()
    ([1.0, nan, 2.5], [True, False])
    >>> typed(pd.Series(["001", "002"])).tolist(), typed(pd.Series(["None", "left"])).tolist()
    (['001', '002'], ['None', 'left'])
    """
    if cells.dtype != object and not pd.api.types.is_string_dtype(cells.dtype):
        return cells
    held = [cell for cell in cells if not is_nothing(cell)]
    words = [str(cell).strip().lower() for cell in held if isinstance(cell, str | bool | np.bool_)]
    if held and len(words) == len(held) and all(word in YES_OR_NO for word in words):
        said = [None if is_nothing(cell) else YES_OR_NO[str(cell).strip().lower()] for cell in cells]
        return pd.Series(said, cells.index, dtype=bool if len(held) == len(cells) else object)
    if held:
        found, something_else = numbers(cells)
        if not something_else.any():
            whole = len(held) == len(cells) and np.array_equal(found, np.rint(found)) and np.abs(found).max() < 2**53
            return pd.Series(found.astype(np.int64) if whole else found, cells.index)
    labels = [None if is_missing(cell) or cell == "null" else cell for cell in cells]
    return pd.Series(labels, cells.index, dtype=object)


def without_decimal_commas(table: pd.DataFrame) -> dict[str, int]:
    """Put points for the commas of columns that hold numbers alone, and say in how many cells."""
    changed = {}
    for name in table.columns:
        comma = [isinstance(cell, str) and bool(DECIMAL_COMMA.fullmatch(cell.strip())) for cell in table[name]]
        pointed = table[name].where(~np.array(comma, bool), table[name].astype(str).str.replace(",", "."))
        if any(comma) and not numbers(pointed)[1].any():
            table[name], changed[str(name)] = pointed, sum(comma)
    return changed
