"""Trials in and out: from the user's table to the matrix of rows [rt, response], and back.

The value of a trial is the pair ``[rt, response]``: rt in seconds from stimulus onset, and the code of the
response. A trial without a response is the row ``[inf, 0]``: infinity, not NaN, because PyMC takes a NaN
in observed data for a value to impute. The 0 is a placeholder; rt alone says that nothing was pressed.

Tables are read through narwhals, so pandas, polars and pyarrow are handled alike and none of them is imported
here. Row numbers in messages are positions counted from 0, as in ``df.iloc``.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pymc_lan.errors import check_length, describe_codes, explain, is_missing, nearest, refuse, unknown

if TYPE_CHECKING:
    import pandas as pd

# The response code of a row without a response (rt = inf).
NO_RESPONSE = 0.0

# The models here describe decisions of about 0.2 to 3 s; the same times in milliseconds have a median in the
# hundreds. 10 lies far from both (design.md, section 5).
MILLISECONDS_ABOVE = 10.0

# True and 1.0 hash and compare like 1, so they need no entry of their own.
TRIAL_TYPE_IS_GO = {"go": True, "no-go": False, "nogo": False, "no_go": False, 1: True, 0: False, -1: False}


def as_observed(
    data: Any,
    *,
    choices: Sequence[float] = (-1, 1),
    go_nogo: bool = False,
    rt: str = "rt",
    response: str = "response",
    deadline: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Check observed trials and return them as the value matrix of the distributions.

    Parameters
    ----------
    data : DataFrame or array_like of shape (n_trials, 2)
        A table of pandas, polars, pyarrow or anything else that narwhals reads, with one row per trial; or an
        array whose columns are rt and response, in that order. Other columns of a table are ignored.
    choices : sequence of float
        The response codes of the model: -1 (lower) and +1 (upper boundary) for two choices, 0 to n - 1 for n
        accumulators. Ignored if `go_nogo`.
    go_nogo : bool
        False: every trial has an rt, finite and above 0, and one of `choices`. True: a trial is a press with
        such an rt, or it has no rt (NaN, None, an empty string or inf) and nothing was pressed. The response
        is then 1 or True for pressed; 0, -1, False or missing for not pressed; and it must agree with rt row
        by row. A table may also lack a column ``"response"``: then rt alone decides.
    rt, response : str
        The names of the table's columns.
    deadline : array_like of shape () or (n_trials,), optional
        The end of the response window in seconds from stimulus onset; no rt may lie beyond it. May be inf.

    Returns
    -------
    ndarray of shape (n_trials, 2)
        Rows ``[rt, response]``, rt in seconds; without a response ``[inf, 0]``; a go/no-go press ``[rt, 1]``.

    Raises
    ------
    ValueError
        If the data are not of that form. The message names the first offending rows and says what to do.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"rt": [0.43, None], "response": [1, 0]})
    >>> as_observed(df, go_nogo=True).tolist()
    [[0.43, 1.0], [inf, 0.0]]
    """
    raw_rt, raw_response = _raw_columns(data, rt, response, go_nogo)
    times = _numeric_rt(raw_rt, rt)
    _check_seconds(times, rt)
    if go_nogo:
        pressed = _pressed(times, raw_response, rt, response)
        observed = np.column_stack([np.where(pressed, times, np.inf), np.where(pressed, 1.0, NO_RESPONSE)])
    else:
        assert raw_response is not None  # _raw_columns leaves it out for go/no-go only
        observed = np.column_stack([times, _chosen(times, raw_response, choices, rt, response)])
    _check_positive(observed, rt, response, go_nogo)
    if deadline is not None:
        _check_deadline(observed[:, 0], deadline, rt, go_nogo)
    return observed


def as_dataframe(draws: Any, *, like: Any = None) -> pd.DataFrame:
    """Turn a value matrix, or many draws of one, into a long table: the way back from `as_observed`.

    Parameters
    ----------
    draws : array_like or xarray.DataArray of shape (..., n_trials, 2)
        Rows ``[rt, response]``, for instance ``idata.posterior_predictive["obs"]``.
    like : DataFrame of n_trials rows, optional
        A table whose columns (subject, condition, ...) are repeated for every draw, joined by the position of
        the trial. A column whose name is taken, such as the observed ``rt``, comes back as ``rt_observed``.

    Returns
    -------
    pandas.DataFrame
        One row per draw and trial. First the leading dimensions, of a DataArray under their names and with
        their coordinates (``chain``, ``draw``), else ``draw_0``, ``draw_1``, ...; then ``trial``, the
        position from 0; ``rt`` in seconds, NaN without a response; ``response``, 0 without one; then the
        columns of `like`.

    Raises
    ------
    ValueError
        If the last axis does not hold rt and response, if `like` is no table or has another number of rows,
        or if a leading dimension is called trial, rt or response.

    Examples
    --------
    >>> as_dataframe([[0.43, 1.0], [float("inf"), 0.0]])
       trial    rt  response
    0      0  0.43         1
    1      1   NaN         0
    """
    import pandas as pd

    values = np.asarray(draws, dtype=np.float64)
    if values.ndim < 2 or values.shape[-1] != 2:
        raise ValueError(
            explain(
                "draws of shape (..., n_trials, 2), the last axis being rt and response",
                f"shape {values.shape}",
                "move those axes to the end, for instance with draws.transpose(..., 'trial', 'obs_dim')",
            )
        )
    grid = values.shape[:-1]
    dimensions = _leading_dimensions(draws, grid[:-1])
    if taken := sorted({"trial", "rt", "response"} & set(dimensions)):
        raise ValueError(
            explain(
                "leading dimensions not called trial, rt or response",
                f"a leading dimension {taken[0]!r}",
                f"rename it, for instance with draws.rename({{{taken[0]!r}: 'draw'}})",
            )
        )
    dimensions["trial"] = np.arange(grid[-1])
    columns: dict[str, NDArray[Any]] = {}
    for axis, (name, labels) in enumerate(dimensions.items(), start=1):
        columns[name] = np.broadcast_to(labels.reshape(-1, *[1] * (len(grid) - axis)), grid).ravel()
    times, responses = values[..., 0].ravel(), values[..., 1].ravel()
    answered = np.isfinite(times)
    columns["rt"] = np.where(answered, times, np.nan)
    columns["response"] = np.where(answered, responses, NO_RESPONSE).astype(np.int64)
    table = pd.DataFrame(columns)
    if like is None:
        return table
    extra = _table(like, "like").to_pandas()
    check_length("like", extra.index, grid[-1], scalar=False)
    extra = extra.rename(columns={name: f"{name}_observed" for name in table.columns})
    return pd.concat([table, extra.take(columns["trial"]).reset_index(drop=True)], axis=1)


def table_columns(data: Any) -> list[str] | None:
    """Return the column names of a table, or None if `data` is not a table.

    Parameters
    ----------
    data : object
        Anything that may be given as observed data.

    Returns
    -------
    list of str or None

    Examples
    --------
    >>> import pandas as pd
    >>> table_columns(pd.DataFrame({"rt": [0.5], "trial_type": ["go"]}))
    ['rt', 'trial_type']
    >>> table_columns(np.zeros((3, 2))) is None
    True
    """
    table = nw.from_native(data, pass_through=True)
    if isinstance(table, nw.LazyFrame):
        return table.collect_schema().names()
    return table.columns if isinstance(table, nw.DataFrame) else None


def column(data: Any, column: Any, *, argument: str = "column") -> NDArray[Any]:
    """Return one value per trial, given as a column's name or as the values themselves.

    Parameters
    ----------
    data : object
        The observed data; they have to be a table only if `column` is a name.
    column : str or array_like
        The name of a column of `data`, or values: an array, a list, a column of any dataframe library.
    argument : str
        The argument of the distribution that this is, for messages.

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
        return _array(column)
    if table_columns(data) is None:
        raise ValueError(
            explain(
                f"a DataFrame as observed data, because {argument}={column!r} names a column",
                f"observed data of type {type(data).__name__}",
                f"pass the values themselves as {argument}, or a DataFrame as observed",
            )
        )
    table = _table(data, "data")
    if column not in table.columns:
        message = unknown("column", column, table.columns)
        raise ValueError(f"{message} Remedy: pass the name of a column, or the values, as {argument}.")
    return _array(table[column])


def trial_type_is_go(values: ArrayLike) -> NDArray[np.bool_]:
    """Say which trials are go trials (targets).

    Parameters
    ----------
    values : array_like
        A go trial is "go", 1 or True; a no-go trial is "no-go", "nogo", "no_go", 0, -1 or False. Case does
        not matter.

    Returns
    -------
    ndarray of bool, of the shape of `values`

    Raises
    ------
    ValueError
        If there is any other code, a missing one included, or if 0 and -1 occur together: three codes are not
        a coding of two trial types.

    Examples
    --------
    >>> trial_type_is_go(["go", "No-Go"]).tolist()
    [True, False]
    """
    array = _array(values)
    codes = array.ravel()
    keys = [code.strip().lower() if isinstance(code, str) else code for code in codes.tolist()]
    bad = np.array([key not in TRIAL_TYPE_IS_GO for key in keys], dtype=bool)
    expected = "trial types coded 'go' and 'no-go' (or 'nogo', 'no_go'), 1 and 0, 1 and -1, or True and False"
    remedy = "recode them, for instance df['trial_type'].map({'target': 'go', 'distractor': 'no-go'})"
    found = f"unknown trial-type codes {describe_codes(codes[bad])}"
    refuse(bad, {"trial_type": codes}, expected=expected, found=found, remedy=remedy)
    if {0, -1} <= set(keys):
        raise ValueError(explain(expected, f"three codes, {describe_codes(codes)}", remedy))
    return np.array([TRIAL_TYPE_IS_GO[key] for key in keys], dtype=bool).reshape(array.shape)


def _table(data: Any, argument: str) -> nw.DataFrame[Any]:
    table = nw.from_native(data, pass_through=True)
    if isinstance(table, nw.LazyFrame):
        table = table.collect()
    if not isinstance(table, nw.DataFrame):
        raise ValueError(
            explain(
                f"{argument} to be a DataFrame (pandas, polars, pyarrow or another that narwhals reads)",
                f"an object of type {type(data).__name__}",
                f"convert it, for instance with pandas.DataFrame({argument})",
            )
        )
    return table


def _array(values: Any) -> NDArray[Any]:
    series = nw.from_native(values, pass_through=True, allow_series=True)
    if isinstance(series, nw.Series):
        return np.asarray(series.to_numpy())
    if isinstance(values, np.ma.MaskedArray):
        values = np.array(values.tolist(), dtype=object)  # tolist() puts None where the mask is
    return np.asarray(values)


def _raw_columns(data: Any, rt: str, response: str, go_nogo: bool) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the columns as they were given; the response is None where it follows from rt."""
    is_table = table_columns(data) is not None
    trials = _table(data, "data") if is_table else _matrix(data)
    if len(trials) == 0:
        raise ValueError(
            explain("at least one trial", "data without rows", "check the file and the filters applied to it")
        )
    if isinstance(trials, np.ndarray):
        return trials[:, 0], trials[:, 1]
    names = trials.columns
    # A name chosen by the user was meant: only the default one may be absent.
    derived = go_nogo and response == "response" and response not in names
    wanted = [rt] if derived else [rt, response]
    if missing := [name for name in wanted if name not in names]:
        guesses = [f"{guess!r} for {name!r}" for name in missing if (guess := nearest(name, names))]
        did_you_mean = f" (did you mean {', '.join(guesses)}?)" if guesses else ""
        raise ValueError(
            explain(
                f"columns {', '.join(map(repr, wanted))}",
                f"no column {' and no column '.join(map(repr, missing))} among "
                f"{', '.join(map(repr, names))}{did_you_mean}",
                "rename the columns, or name them with as_observed(data, rt=..., response=...)",
            )
        )
    return _array(trials[rt]), None if derived else _array(trials[response])


def _matrix(data: Any) -> NDArray[Any]:
    try:
        matrix = _array(data)
        shape = str(matrix.shape)
    except ValueError:  # NumPy refuses to make an array of rows of different lengths
        matrix, shape = np.empty(()), "with rows of different lengths"
    if matrix.shape == (0,) or (matrix.ndim == 2 and matrix.shape[1] == 2):
        return matrix
    raise ValueError(
        explain(
            "a DataFrame, or an array of shape (n_trials, 2) with columns rt and response",
            f"an object of type {type(data).__name__}, shape {shape}",
            "pass a DataFrame, or stack the columns with numpy.column_stack([rt, response])",
        )
    )


def _floats(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the values as floats, missing ones as NaN, and a mask of those that are not numbers."""
    if values.dtype.kind in "biuf":
        return values.astype(np.float64), np.zeros(values.shape, bool)
    if values.dtype.kind not in "OUT":  # dates, durations, complex numbers, bytes
        return np.full(values.shape, np.nan), np.ones(values.shape, bool)
    cells = values.tolist()
    missing = np.array([is_missing(cell) for cell in cells], dtype=bool)
    number = np.array([isinstance(cell, numbers.Real | Decimal | np.bool_) for cell in cells], dtype=bool)
    floats = [float(cell) if ok else np.nan for cell, ok in zip(cells, number & ~missing, strict=True)]
    return np.array(floats, dtype=np.float64), ~(number | missing)


def _numeric_rt(raw: NDArray[Any], name: str) -> NDArray[np.float64]:
    times, not_a_number = _floats(raw)
    refuse(
        np.ones(raw.shape, bool) if raw.dtype.kind == "b" else not_a_number,
        {name: raw},
        expected=f"numbers of seconds in {name!r}",
        found="values that are not numbers",
        remedy=f"convert the column, for instance with pandas.to_numeric(df[{name!r}], errors='coerce'), "
        f"or df[{name!r}].dt.total_seconds() for durations",
    )
    return times


def _check_seconds(times: NDArray[np.float64], name: str) -> None:
    # Codes such as -999 for a missing time must not pull the median down.
    positive = times[np.isfinite(times) & (times > 0)]
    if positive.size and (median := float(np.median(positive))) > MILLISECONDS_ABOVE:
        raise ValueError(
            explain(
                f"{name!r} in seconds",
                f"a median of {median:g}, which looks like milliseconds",
                f"divide by 1000, for instance df[{name!r}] / 1000, and give a deadline in seconds too",
            )
        )


def _chosen(
    times: NDArray[np.float64], raw: NDArray[Any], choices: Sequence[float], rt: str, response: str
) -> NDArray[np.float64]:
    """Return the response codes of trials that all have a response, or say what is wrong with them."""
    columns = {rt: times, response: raw}
    listed = ", ".join(f"{choice:g}" for choice in choices)
    refuse(
        ~np.isfinite(times),
        columns,
        expected=f"a finite {rt!r} on every trial, because in this model every trial ends with a response",
        found=f"missing or infinite {rt!r}",
        remedy=f"drop these trials, for instance df.dropna(subset=[{rt!r}]), or use a go/no-go distribution "
        "(as_observed(..., go_nogo=True)) if withholding is one of the answers",
    )
    codes, not_a_number = _floats(raw)
    refuse(
        np.isnan(codes) & ~not_a_number,
        columns,
        expected=f"one of the response codes {listed} in {response!r} on every trial",
        found="an rt without a response",
        remedy=f"drop these trials, for instance df.dropna(subset=[{response!r}])",
    )
    bad = ~np.isin(codes, np.asarray(choices, dtype=float))
    remedy = f"recode them with df[{response!r}].map({{code: choice, ...}}) and drop any other response"
    if tuple(choices) == (-1, 1) and np.isin(codes, (0, 1)).all():
        remedy = f"recode 0 to -1, for instance df[{response!r}].replace(0, -1)"
    elif choices[0] == 0 and np.isin(codes - 1, np.asarray(choices, dtype=float)).all():
        remedy = f"count responses from 0, for instance df[{response!r}] - 1"
    refuse(
        bad,
        columns,
        expected=f"the response codes {listed} in {response!r}",
        found=f"unknown response codes {describe_codes(raw[bad])}",
        remedy=remedy,
    )
    return codes


def _pressed(times: NDArray[np.float64], raw: NDArray[Any] | None, rt: str, response: str) -> NDArray[np.bool_]:
    """Return which go/no-go trials have a press, having compared rt with the response row by row."""
    has_rt: NDArray[np.bool_] = ~(np.isnan(times) | (times == np.inf))
    if raw is None:
        return has_rt
    codes, not_a_number = _floats(raw)
    columns = {rt: times, response: raw}
    bad = not_a_number | ~(np.isnan(codes) | np.isin(codes, (-1, 0, 1)))
    refuse(
        bad,
        columns,
        expected=f"1 (pressed) and 0 or -1 (not pressed) in {response!r}",
        found=f"unknown response codes {describe_codes(raw[bad])}",
        remedy=f"recode the column, or drop it (df.drop(columns={response!r})) if a missing {rt!r} means not pressed",
    )
    pressed: NDArray[np.bool_] = codes == 1
    refuse(
        pressed & ~has_rt,
        columns,
        expected=f"an {rt!r} on every trial whose {response!r} is 1 (pressed)",
        found="a response without an rt",
        remedy="set the response of these trials to 0, or drop them if the time of the press was lost",
    )
    refuse(
        has_rt & ~pressed,
        columns,
        expected=f"no {rt!r} (NaN, None or inf) where {response!r} is 0, -1 (not pressed) or missing",
        found="an rt without a response",
        remedy=f"set {rt!r} to NaN on these trials, for instance df[{rt!r}].where(df[{response!r}] == 1), or "
        "their response to 1",
    )
    return pressed


def _check_positive(observed: NDArray[np.float64], rt: str, response: str, go_nogo: bool) -> None:
    remedy = f"drop these trials, for instance df[df[{rt!r}] > 0]"
    if go_nogo:
        remedy = f"set {rt!r} to NaN where no button was pressed, and drop presses at such times"
    refuse(
        observed[:, 0] <= 0,
        {rt: observed[:, 0], response: observed[:, 1]},
        expected=f"{rt!r} above 0 s on every response",
        found=f"zero or negative {rt!r}",
        remedy=remedy,
    )


def _check_deadline(times: NDArray[np.float64], deadline: Any, rt: str, go_nogo: bool) -> None:
    limits, not_a_number = _floats(np.atleast_1d(_array(deadline)))
    check_length("deadline", limits, len(times))
    refuse(
        not_a_number | ~(limits > 0),
        {"deadline": limits},
        expected="a deadline above 0 s, or inf for none",
        found="deadlines that are zero, negative, missing or not numbers",
        remedy="give the time from stimulus onset to the end of the response window, in seconds",
    )
    limits = np.broadcast_to(limits, times.shape)
    late = f"set {rt!r} to NaN there to count late presses as no response" if go_nogo else "drop these trials"
    refuse(
        np.isfinite(times) & (times > limits),
        {rt: times, "deadline": limits},
        expected=f"no {rt!r} beyond the deadline",
        found="responses after it",
        remedy=f"give the deadline that held on these trials, or {late}",
    )


def _leading_dimensions(draws: Any, sizes: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the labels of every dimension before the trials, by the name of the dimension."""
    if not hasattr(draws, "coords"):
        return {f"draw_{axis}": np.arange(size) for axis, size in enumerate(sizes)}
    return {name: draws[name].values for name in draws.dims[: len(sizes)]}
