"""The user's table: its columns, the labels of its rows, and the arguments that refer to either.

Tables are read through narwhals, so pandas, polars and pyarrow are handled alike and none of them is imported here.
"""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from narwhals.exceptions import DuplicateError
from numpy.typing import NDArray

from pymc_lan.data.array import Observed
from pymc_lan.data.labelled import Trials, as_dataset, columns_last, in_trials, is_labelled, trials_of
from pymc_lan.data.messages import say
from pymc_lan.errors import describe_codes, explain, is_missing, refuse, unknown

# The value of an argument that takes the column of its own name, where there is one.
AUTO = "auto"

# What columns are called that say whose trial it is, as `spelled` has it; Gorilla's and OpenSesame's are among them.
SUBJECTS = (
    *("subject", "subjectid", "subj", "subjid", "subjidx", "subjectnr"),
    *("participant", "participantid", "participantprivateid", "ppt"),
)


def spelled(name: Any) -> str:
    """The letters and digits of a column's name, in lower case: programs and people write the rest in many ways.

    Examples
    --------
    >>> {spelled(name) for name in ("Block type", "block_type", "blockType")}
    {'blocktype'}
    """
    return "".join(filter(str.isalnum, str(name).lower()))


def table_columns(data: Any) -> list[str] | None:
    """Return the column names of a table, or None if `data` is not a table.

    Parameters
    ----------
    data : object
        Anything that may be given as observed data.

    Returns
    -------
    list of str or None
        Names that are text: numbers and tuples, which pandas allows, are none that an argument could have.

    Raises
    ------
    ValueError
        If two columns have the same name.

    Examples
    --------
    >>> import pandas as pd
    >>> table_columns(pd.DataFrame({"rt": [0.5], "trial_type": ["go"]}))
    ['rt', 'trial_type']
    >>> table_columns(np.zeros((3, 2))) is None
    True
    """
    names = every_name(data)
    # What pandas.DataFrame(matrix) calls the columns of rows [rt, response].
    return None if names is None or names == [0, 1] else [name for name in names if isinstance(name, str)]


def every_name(data: Any) -> list[Any] | None:
    """The names of all columns of a table, whatever they are; None if `data` is not a table."""
    table = _table(data)
    return None if table is None else list(table.collect_schema().names())


def _table(data: Any) -> nw.DataFrame[Any] | nw.LazyFrame[Any] | None:
    """A table of any library, or an xarray.Dataset as one; None for anything else."""
    if (dataset := as_dataset(data)) is not None:
        dimensions = {name: variable.dims for name, variable in dataset.data_vars.items()}
        # Others would be repeated along the dimensions that they lack, and trials with them.
        if len({frozenset(each) for each in dimensions.values()}) != 1 or not next(iter(dimensions.values())):
            expected = "a Dataset whose variables all have the dimensions of the trials"
            found = ", ".join(f"{name} of {each}" for name, each in dimensions.items()) or "no variables"
            raise ValueError(explain(expected, found, "choose some of them, as in data[['rt', 'response']]"))
        data = dataset.to_dataframe().reset_index()
    pyarrow = nw.dependencies.get_pyarrow()
    if pyarrow is not None and isinstance(data, pyarrow.RecordBatch):
        data = pyarrow.Table.from_batches([data])
    try:
        table = nw.from_native(data, pass_through=True)
    except DuplicateError as error:
        expected, remedy = "a table whose columns have different names", "rename or leave out one of each"
        found = ", ".join(line[2:] for line in str(error).splitlines()[1:])
        raise ValueError(explain(expected, found, remedy)) from error
    return table if isinstance(table, nw.DataFrame | nw.LazyFrame) else None


def column(data: Any, column: Any, *, argument: str = "column", why: str | None = None) -> NDArray[Any]:
    """Return one value per trial, given as a column's name or as the values themselves.

    Parameters
    ----------
    data : object
        The observed data; they have to be a table only if `column` is a name.
    column : str or array_like
        The name of a column of `data`, or values: an array, a list, a column of any dataframe library.
    argument : str
        The argument of the distribution that this is, for messages.
    why : str, optional
        Why there has to be a column, for the message.

    Returns
    -------
    ndarray
        The values as they are: not converted, not checked, missing ones as NaN, None or pandas.NA.

    Raises
    ------
    ValueError
        If `column` is a name and `data` is not a table or has no such column.

    Examples
    --------
    >>> import pandas as pd
    >>> column(pd.DataFrame({"trial_type": [1, 0]}), "trial_type").tolist()
    [1, 0]
    """
    if not isinstance(column, str):
        return as_array(column)
    names = column_names(data)
    if names is None or (isinstance(data, Observed) and not names):
        why = why or f"{argument}={column!r} names a column"
        found = "no table; data in a variable, such as pm.Data, have no columns"
        found = found if data is None else f"observed data of type {type(data).__name__}"
        remedy = (
            f"pass the values themselves as {argument} (beside pm.Data in pm.Data, too), or a DataFrame as observed"
        )
        raise ValueError(explain(f"a DataFrame as observed data, because {why}", found, remedy))
    if column not in names:
        message = unknown("column", column, names)
        raise ValueError(f"{message} Remedy: pass the name of a column, or the values, as {argument}.")
    return data.columns[column] if isinstance(data, Observed) else as_array(as_table(data, "data")[column])


def as_table(data: Any, argument: str) -> nw.DataFrame[Any]:
    """Return a table of any library; ValueError for what is none."""
    table = _table(data)
    if isinstance(table, nw.LazyFrame):
        table = table.collect()
    if table is None:
        raise ValueError(
            explain(
                f"{argument} to be a DataFrame (pandas, polars, pyarrow or another that narwhals reads)",
                f"an object of type {type(data).__name__}",
                f"convert it, for instance with pandas.DataFrame({argument})",
            )
        )
    return table


def as_array(values: Any) -> NDArray[Any]:
    """Return values of any library as an array; of a masked one None where the mask is."""
    series = nw.from_native(values, pass_through=True, allow_series=True)
    if isinstance(series, nw.Series):
        column = np.asarray(series.to_numpy())
        # Of cells that hold several values some libraries make further axes.
        return column if column.ndim == 1 else np.fromiter(series.to_list(), object, len(series))
    values = columns_last(joined(values))
    if isinstance(values, np.ma.MaskedArray):
        values = np.array(values.tolist(), dtype=object)  # tolist() puts None where the mask is
    found = np.asarray(values)
    if not isinstance(values, list | tuple) or found.dtype.kind not in "Uiuf":
        return found
    # NumPy makes text of the numbers beside a text in a list, and numbers of what is True or False beside numbers.
    cells = np.array(values, dtype=object)
    return cells if found.dtype.kind == "U" or any(map(is_bool, cells.flat)) else found


NUMBERS = ("numbers", "a number, or an array of a type of numbers (.astype(float)) with one for each trial")
"""What parameters are, and what to give as one, in words."""


def as_numbers(name: str, value: Any, data: Any = None, wording: tuple[str, str] = NUMBERS) -> NDArray[np.float64]:
    """Return a parameter as an array of floats, NaN where a column lacks a number: the one rule for all parameters.

    Parameters
    ----------
    name : str
        Of the parameter, for the message.
    value : object
    data : object, optional
        As of `by_label`.
    wording : tuple of str
        What is expected, and what to give, where that is more than `NUMBERS`.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        For what is no number (True, text, Decimal and arrays of objects are none), and as `by_label`.

    Examples
    --------
    >>> as_numbers("v", [1, 2]).tolist()
    [1.0, 2.0]
    """
    expected, remedy = f"{wording[0]} as {name}", f"give {name} as {wording[1]}"
    if value is None or isinstance(value, str):
        raise ValueError(explain(expected, repr(value), remedy))
    column = by_label(value, data, name)
    try:
        array = as_array(column)
    except (TypeError, ValueError) as error:  # a list of symbolic variables, or of lists of different lengths
        raise ValueError(explain(expected, f"an object of type {type(value).__name__}", remedy)) from error
    if array.dtype.kind not in "iuf":
        raise ValueError(explain(expected, f"{describe_codes(array.ravel())}, of type {array.dtype}", remedy))
    return array.astype(np.float64)


def joined(values: Any) -> Any:
    """A list of masked arrays as one, because NumPy would take what is below their masks; anything else as it is."""
    masked = isinstance(values, list | tuple) and any(isinstance(each, np.ma.MaskedArray) for each in values)
    return np.ma.array(values) if masked else values


def floats(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the values as floats, missing ones as NaN, and a mask of those that are not numbers."""
    if values.dtype.kind in "biuf":
        return values.astype(np.float64), np.zeros(values.shape, bool)
    if values.dtype.kind not in "OUT":  # dates, durations, complex numbers, bytes
        return np.full(values.shape, np.nan), np.ones(values.shape, bool)
    cells = values.tolist()
    missing = np.array([is_missing(cell) for cell in cells], dtype=bool)
    number = np.array([_is_number(cell) for cell in cells], dtype=bool)
    found = [float(cell) if ok else np.nan for cell, ok in zip(cells, number & ~missing, strict=True)]
    return np.array(found, dtype=np.float64), ~(number | missing)


def is_bool(cell: Any) -> bool:
    """Whether a cell is True or False."""
    return isinstance(cell, bool | np.bool_)


def _is_number(cell: Any) -> bool:
    if not isinstance(cell, numbers.Real | Decimal | np.bool_):
        return False
    try:
        float(cell)
    except OverflowError:
        return False
    return True


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Cells of a column that are all numbers, or missing, as floats; anything else as it is."""
    if values.dtype.kind != "O" or any(map(is_bool, values.flat)):
        return values
    found, not_a_number = floats(values.ravel())
    return values if not_a_number.any() else found.reshape(values.shape)


def labels_of(data: Any, name: str, *, argument: str = "column") -> NDArray[Any]:
    """Return a column whose cells name something, a subject or a condition; ValueError where a cell is no label."""
    labels = column(data, name, argument=argument)
    refuse(
        np.array([not isinstance(label, Hashable) for label in labels.tolist()], bool),
        {name: labels},
        expected=f"labels in {name!r}, texts or numbers",
        found="cells that hold several values",
        remedy="make a column of labels of them, one in each cell",
    )
    return labels


def recoded(values: NDArray[Any], codes: Mapping[Any, Any], argument: str) -> NDArray[Any]:
    """Replace every cell by what it stands for; a missing one stays missing, unless None or NaN is listed.

    Parameters
    ----------
    values : ndarray, shape (n,)
    codes : mapping
        From cells to what they stand for.
    argument : str
        For the message.

    Raises
    ------
    ValueError
        For cells that are not listed, and for codes that stand for nothing, or for several values.

    Examples
    --------
    >>> recoded(np.array(["target", "foil"]), {"target": "go", "foil": "no-go"}, "trial_type").tolist()
    ['go', 'no-go']
    """
    kinds = numbers.Real | Decimal | str | np.bool_
    if not codes or not all(isinstance(code, kinds) or is_missing(code) for code in codes.values()):
        expected = f"cells and the number or the text that each stands for, as {argument}={{cell: ...}}"
        raise ValueError(explain(expected, f"{dict(codes)!r:.80}", "list every cell, with one value"))
    # One NaN is not another, so they are not found by looking them up.
    missing = next((code for cell, code in codes.items() if is_missing(cell)), None)
    cells = values.tolist()
    listed = [isinstance(cell, Hashable) and cell in codes for cell in cells]
    bad = np.array([not ok and not is_missing(cell) for cell, ok in zip(cells, listed, strict=True)], bool)
    refuse(
        bad,
        {argument: values},
        expected=f"nothing but {', '.join(map(repr, codes))} where {argument}={{...}} says what each stands for",
        found=f"others, {describe_codes(values[bad])},",
        remedy="list them, too",
    )
    return as_array([codes[cell] if ok else missing for cell, ok in zip(cells, listed, strict=True)])


def from_table(value: Any, data: Any, argument: str) -> Any:
    """Return the values of an argument that may name a column of the table: the one rule for all such arguments.

    Parameters
    ----------
    value : None, str, mapping or array_like
        ``"auto"``: the column called `argument` where `data` has one, with a message, and None where it has none.
        Another name: that column. A mapping: the column called `argument`, its cells replaced by what they stand for.
        None is None; anything else is values, which are put in the order of the trials.
    data : object
        The observed data; None where there are none.
    argument : str

    Returns
    -------
    object
        None, the column as an ndarray, or `value`.

    Raises
    ------
    ValueError
        If there is no such column, a computation has separated it from its rows, or labels do not match.

    Examples
    --------
    >>> import pandas as pd
    >>> from_table("limit", pd.DataFrame({"rt": [0.4, 0.5], "limit": [1.0, 2.0]}), "deadline").tolist()
    [1.0, 2.0]
    >>> from_table("auto", pd.DataFrame({"rt": [0.4, 0.5]}), "deadline") is None
    True
    """
    if isinstance(value, Mapping):
        why = f"{argument}={{...}} says what the cells of a column stand for"
        return recoded(column(data, argument, argument=argument, why=why), value, argument)
    if value is None or not isinstance(value, str):
        return by_label(value, data, argument)
    if value != AUTO:
        return _plain(column(data, value, argument=argument))
    if argument in (column_names(data) or ()):
        say(f"{argument}: taken from the column {argument!r} of the observed data; {argument}=None leaves it out.")
        return _plain(column(data, argument, argument=argument))
    if argument in getattr(data, "lost", ()):
        raise ValueError(
            explain(
                f"observed trials together with their column {argument!r}",
                "a matrix computed from that of as_observed, whose rows can no longer be matched with the column",
                f"choose rows before as_observed or by indexing its result, or give {argument}=..., None for none",
            )
        )
    return None


def by_label(value: Any, data: Any, argument: str, dims: Trials | None = None) -> Any:
    """Put a pandas Series, or a DataArray of xarray, in the order of the trials, by its labels.

    Parameters
    ----------
    value : object
        Columns that know no labels (polars, pyarrow, masked arrays) come back as arrays of floats where they are
        numbers, anything that is no column as it is.
    data : object
        The observed data. Where they have no labels those of the Series must be 0, 1, 2, and so on.
    argument : str
        For the message.
    dims : Trials, optional
        What a model says of the dimensions of the trials.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If the labels are not those of the observed table.

    Examples
    --------
    >>> import pandas as pd
    >>> by_label(pd.Series([1.0, 2.0], index=[1, 0]), pd.DataFrame({"rt": [0.4, 0.5]}), "v").tolist()
    [2.0, 1.0]
    """
    if is_labelled(value):
        sources = [trials_of(data, row_labels(data)), *([] if dims is None else [dims])]
        return _plain(in_trials(value, sources, argument))
    series = nw.from_native(value, pass_through=True, allow_series=True)
    if not isinstance(series, nw.Series):
        # Arrays of pandas, pyarrow and xarray are as good as columns.
        is_column = isinstance(value, np.ma.MaskedArray) or hasattr(value, "to_numpy")
        return _plain(as_array(value)) if is_column else value
    values, labels = _plain(as_array(value)), nw.maybe_get_index(series)
    if labels is None:
        return values
    rows = row_labels(data)
    if rows is None:
        if np.array_equal(labels.to_numpy(), np.arange(len(labels))):
            return values
        known = "observed data without row labels" if data is not None else "no observed table to compare them with"
        found = f"the labels {describe_codes(labels.to_numpy())}, and {known}"
    else:
        if labels.equals(rows):
            return values
        if len(labels) == len(rows) and labels.is_unique and rows.is_unique:
            order = labels.get_indexer(rows)
            if (order >= 0).all():
                return values[order]
        found = f"the labels {describe_codes(labels.to_numpy())}, where the table has {describe_codes(rows.to_numpy())}"
    raise ValueError(
        explain(
            f"a Series as {argument} that has the row labels (index) of the observed table, each once",
            found,
            "give .to_numpy() of the Series if it has one value for each trial, in their order; values for each "
            f"subject are indexed by trial, as in {argument}[subject]",
        )
    )


def whose(data: Any, by: str) -> NDArray[Any]:
    """Whose trial each row is; ValueError for a column that is none, and for rows without a label.

    Examples
    --------
    >>> import pandas as pd
    >>> whose(pd.DataFrame({"subject": ["b", "a"]}), "subject").tolist()
    ['b', 'a']
    """
    columns = table_columns(data) or []
    if by not in columns:
        raise ValueError(unknown("column", by, columns))
    labels = labels_of(data, by, argument="by")
    refuse(
        np.array([is_missing(label) for label in labels], bool),
        {by: labels},
        expected=f"a label in column {by!r} for every trial",
        found="none",
        remedy="fill in whose trials they are, in the table that the model is given as well",
    )
    return labels


def subjects(data: Any) -> tuple[str, NDArray[Any]] | None:
    """Return the column that says whose trial it is, by its usual names, and its labels; None where there is none.

    Examples
    --------
    >>> import pandas as pd
    >>> subjects(pd.DataFrame({"Subj_idx": ["a", "b"]}))[0]
    'Subj_idx'
    """
    name = subject_column(column_names(data) or [])
    return None if name is None else (name, labels_of(data, name))


def subject_column(names: Iterable[str]) -> str | None:
    """The column among these that says whose trial it is, by its usual names; None where there is none."""
    known = {spelled(name): name for name in reversed([*names])}
    return next((known[each] for each in SUBJECTS if each in known), None)


def column_names(data: Any) -> list[str] | None:
    """Names of the columns that arguments may refer to: of a table, or of a matrix that remembers those of its own."""
    return [*data.columns] if isinstance(data, Observed) else table_columns(data)


def row_labels(data: Any) -> Any:
    """The index of a pandas table; None of anything else."""
    if isinstance(data, Observed):
        return data.labels
    frame = nw.from_native(data, pass_through=True, allow_series=True)
    return nw.maybe_get_index(frame) if isinstance(frame, nw.DataFrame | nw.Series) else None
