"""Trials in and out: from the user's table to the matrix of rows [rt, response], and back.

The value of a trial is the pair ``[rt, response]``: rt in seconds from stimulus onset, and the code of the
response. A trial without a response is the row ``[inf, 0]``: infinity, not NaN, because PyMC takes a NaN
in observed data for a value to impute. The 0 is a placeholder; rt alone says that nothing was pressed.

Row numbers in messages are positions counted from 0, as in ``df.iloc``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pymc_lan.data.answers import Columns
from pymc_lan.data.array import Observed
from pymc_lan.data.guesses import LOST_TIME, NO_RESPONSE
from pymc_lan.data.labelled import columns_last, draws_first
from pymc_lan.data.observation import Observation, PressOrNot, of_choices
from pymc_lan.data.partly_seen import Lost
from pymc_lan.data.plausible import (
    Doubt,
    as_missing,
    check_seconds,
    doubtful_deadlines,
    doubtful_presses,
    doubtful_scale,
    doubtful_times,
    doubtful_units,
    missing_codes,
    settle,
    signed_by_response,
)
from pymc_lan.data.tables import (
    as_array,
    as_table,
    every_name,
    floats,
    from_table,
    is_bool,
    joined,
    recoded,
    row_labels,
    subjects,
    table_columns,
)
from pymc_lan.errors import check_length, describe_codes, explain, is_missing, nearest, refuse

if TYPE_CHECKING:
    import pandas as pd

# True and 1.0 hash and compare like 1, so they need no entry of their own.
TRIAL_TYPE_IS_GO = {"go": True, "no-go": False, "nogo": False, "no_go": False, 1: True, 0: False, -1: False}
# The name of the column of responses, unless told otherwise.
RESPONSE = "response"
# From here on a float is not every whole number.
LARGEST_CODE = 2.0**53
# In the names of columns that say whether a response was right, and not which it was.
OF_ACCURACY = ("corr", "accura")


def as_observed(
    data: Any,
    *,
    choices: Sequence[float] = (-1, 1),
    go_nogo: bool = False,
    omissions: bool = False,
    rt: str = "rt",
    response: str | Mapping[Any, Any] = RESPONSE,
    deadline: ArrayLike | str | None = None,
    missing: str | None = None,
    strict: bool = True,
) -> Observed:
    """Check observed trials and return them as the value matrix of the distributions.

    Parameters
    ----------
    data : DataFrame or array_like of shape (n_trials, 2) or (..., n_trials, 2)
        A table of pandas, polars, pyarrow or anything else that narwhals reads, or an xarray.Dataset, with one row per
        trial; or an array whose columns are rt and response, in that order, of one subject or of several with as many
        trials each. A masked array is missing where its mask is.
    choices : sequence of float
        The response codes of the model: -1 (lower) and +1 (upper boundary) for two choices, 0 to n - 1 for n
        accumulators. Ignored if `go_nogo`. For two choices 0 and 1 (False and True) will do where no response is -1
        and every trial has an rt.
    go_nogo : bool
        False: every trial has an rt, finite and above 0, and one of `choices`. True: a trial is a press with
        such an rt, or it has no rt (NaN, None, an empty string or inf) and nothing was pressed. The response
        is then 1 or True for pressed; 0, -1, False or missing for not pressed; and it must agree with rt row
        by row. A table may also lack a column ``"response"``: then rt alone decides.
    omissions : bool
        Whether trials of several choices may end without a response. They have no rt, as above, and no response or
        the response 0.
    rt : str
        The name of the table's column.
    response : str or mapping
        The name of the table's column; or what the cells of the column ``response`` stand for, for instance
        ``{"left": -1, "right": 1}``.
    deadline : array_like of shape () or (n_trials,), or str, optional
        The end of the response window in seconds from stimulus onset, or the name of its column; no rt may lie beyond
        it. May be inf. What is given here goes along as the column ``deadline``.
    missing : {"lost"}, optional
        Of some trials the time or the response was lost: the cell is empty. In the matrix rt is then -1, or the
        response 0 (where 0 is one of `choices`, -1). Without it such trials are refused.
    strict : bool
        Whether times that look like codes for missing ones (999) or like milliseconds beside seconds, times above 100 s
        beside a median below 10 s, and trials without a subject are refused. False: there is a warning.

    Returns
    -------
    ndarray of shape (n_trials, 2), or of that of an array that was given
        Rows ``[rt, response]``, rt in seconds; without a response ``[inf, 0]``; a go/no-go press ``[rt, 1]``. Other
        columns of a table, such as ``trial_type``, go along with the rows, also when some are chosen by indexing, and a
        distribution finds them there. Nothing goes along with an array of more than two axes.

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
    observation: Observation = PressOrNot() if go_nogo else of_choices(tuple(choices), omissions=omissions)
    if missing is not None:
        if missing != "lost":
            remedy = "leave it out, or give missing='lost'"
            raise ValueError(explain("missing=None or missing='lost'", f"{missing!r}", remedy))
        observation = Lost(observation)
    found = read_observed(data, observation, rt=rt, response=response, deadline=deadline, strict=strict)
    return found if (grid := grid_of(data)) is None else found.in_shape((*grid, 2))


def read_observed(
    data: Any,
    observation: Observation,
    *,
    rt: str = "rt",
    response: str | Mapping[Any, Any] = RESPONSE,
    deadline: ArrayLike | str | None = None,
    strict: bool = True,
    times: NDArray[np.float64] | None = None,
    interval: ArrayLike = 0.0,
) -> Observed:
    """Check observed trials and return them as the value matrix, for any kind of observation.

    Parameters
    ----------
    data, rt, response, deadline, strict
        As of `as_observed`.
    observation : Observation
        What is seen of a trial.
    times : ndarray of shape (n_trials,), optional
        In place of the column of times.
    interval : array_like
        Within how many seconds times are known.

    Returns
    -------
    Observed
        Of shape (n_trials, 2), whatever the shape of `data`.

    Raises
    ------
    ValueError
        As `as_observed`.
    """
    columns = observation.told(_raw_columns(data, rt, response, observation, times))
    times, whose = columns.times, subjects(data)
    others = _other_columns(data, rt, columns.response)
    settled = getattr(data, "lenient", False)
    if not settled:
        settle(chain(doubtful_units(times, rt, whose), doubtful_scale(times, rt)), strict=strict)
    check_seconds(times, rt)
    _check_positive(columns, observation)
    if (limits := from_table(deadline, data, "deadline")) is not None:
        limits = others["deadline"] = check_deadlines(limits, grid_of(data) or times.shape).ravel()
    if not settled:
        doubts = chain(
            doubtful_times(times, rt, whose),
            () if limits is None else doubtful_deadlines(limits, times),
            () if limits is None else doubtful_presses(np.broadcast_to(limits, times.shape), times),
            () if whose is None else nameless(*whose),
        )
        settle(doubts, strict=strict)
    matrix = observation.rows(columns)
    if limits is not None:
        early = times - 0.5 * np.broadcast_to(interval, grid_of(data) or times.shape).ravel()
        _check_late(early, limits, rt, silent=observation.silent)
    return Observed.of(matrix, others, row_labels(data), lenient=settled or not strict)


def as_dataframe(draws: Any, *, like: Any = None) -> pd.DataFrame:
    """Turn a value matrix, or many draws of one, into a long table: the way back from `as_observed`.

    Parameters
    ----------
    draws : array_like or xarray.DataArray of shape (..., n_trials, 2)
        Rows ``[rt, response]``, for instance ``idata.posterior_predictive["obs"]``. A trial without an rt (NaN, inf or
        masked) is one without a response. Of a DataArray the dimensions ``chain``, ``draw`` and ``sample`` (of
        ``az.extract``) come first wherever they are, and labels "rt" and "response" say which column is which.
    like : DataFrame of n_trials rows, optional
        A table whose columns (subject, condition, ...) are repeated for every draw, joined by the position of
        the trial. A column whose name is taken, such as the observed ``rt``, comes back as ``rt_observed``.

    Returns
    -------
    pandas.DataFrame
        One row per draw and trial. First the leading dimensions, of a DataArray under their names and with
        their coordinates (``chain``, ``draw``), else ``draw_0``, ``draw_1``, ...; then ``trial``, the
        position from 0; ``rt`` in seconds, NaN without a response and where its time is not seen; ``response``, 0
        without one; then the columns of `like`.

    Raises
    ------
    ValueError
        If draws are no numbers, the last axis does not hold rt and response, an rt has no response, `like` is no table
        or has another number of rows, a leading dimension is called trial, rt or response, or two columns would have
        one name.

    Examples
    --------
    >>> as_dataframe([[0.43, 1.0], [float("inf"), 0.0]])
       trial    rt  response
    0      0  0.43         1
    1      1   NaN         0
    """
    import pandas as pd

    if hasattr(draws, "data_vars"):
        remedy = "choose one, for instance idata.posterior_predictive['obs']"
        raise ValueError(explain("the draws of one variable", f"a {type(draws).__name__} of variables", remedy))
    draws = draws_first(joined(draws))
    values = _drawn(draws)
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
    refuse(
        answered & ~((np.abs(responses) < LARGEST_CODE) & (np.rint(responses) == responses)),
        {"rt": times, "response": responses},
        expected="the code of a response, a whole number, on every trial with an rt",
        found="another or none",
        remedy="fill in the response, or make rt NaN where there was none",
    )
    columns["rt"] = np.where(answered & (times != LOST_TIME), times, np.nan)
    columns["response"] = np.where(answered, responses, NO_RESPONSE).astype(np.int64)
    table = pd.DataFrame(columns)
    if like is None:
        return table
    extra = as_table(like, "like").to_pandas()
    check_length("like", extra.index, grid[-1], scalar=False)
    extra = extra.rename(columns={name: f"{name}_observed" for name in table.columns})
    if twice := [name for name, n in Counter(map(str, extra.columns)).items() if n > 1]:
        expected = "columns of like that stay apart, where those of the draws' names come back as ..._observed"
        raise ValueError(explain(expected, f"{twice[0]!r} twice", f"rename {twice[0]!r} in like"))
    return pd.concat([table, extra.take(columns["trial"]).reset_index(drop=True)], axis=1)


def _drawn(draws: Any) -> NDArray[np.float64]:
    """Draws as floats, or a ValueError that says what they are."""
    try:
        found = draws.filled(np.nan) if np.ma.isMA(draws) and draws.dtype.kind == "f" else np.ma.asarray(draws)
        if found.dtype.kind not in "cmM":
            return np.ma.asarray(found, np.float64).filled(np.nan)
        is_of = f"values of type {found.dtype}"
    except (TypeError, ValueError, OverflowError):
        is_of = f"an object of type {type(draws).__name__} that is no array of numbers"
    raise ValueError(explain("draws as numbers, rows [rt, response]", is_of, "give the array of draws itself"))


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
    array = as_array(values)
    codes = array.ravel()
    keys = [code.strip().lower() if isinstance(code, str) else code for code in codes.tolist()]
    bad = np.array([key not in TRIAL_TYPE_IS_GO for key in keys], dtype=bool)
    expected = "trial types coded 'go' and 'no-go' (or 'nogo', 'no_go'), 1 and 0, 1 and -1, or True and False"
    remedy = "recode them, or say what each stands for: trial_type={'target': 'go', 'distractor': 'no-go'}"
    found = f"unknown trial-type codes {describe_codes(codes[bad])}"
    refuse(bad, {"trial_type": codes}, expected=expected, found=found, remedy=remedy)
    if {0, -1} <= set(keys):
        raise ValueError(explain(expected, f"three codes, {describe_codes(codes)}", remedy))
    return np.array([TRIAL_TYPE_IS_GO[key] for key in keys], dtype=bool).reshape(array.shape)


def _raw_columns(
    data: Any, rt: Any, response: Any, observation: Observation, times: NDArray[np.float64] | None
) -> Columns:
    """Return the two columns, of which the response may be left out where it follows from rt."""
    for argument, name in (("rt", rt), (RESPONSE, response)):
        if not isinstance(name, str) and not (isinstance(name, Mapping) and argument == RESPONSE):
            expected = f"the name of a column as {argument}" + ", or what its codes stand for" * (argument == RESPONSE)
            raise ValueError(explain(expected, f"{name!r:.80}", "name the columns by text, and give such a name"))
    codes, response = (response, RESPONSE) if isinstance(response, Mapping) else (None, response)
    names = table_columns(data)
    trials: Any = _matrix(data) if names is None else as_table(data, "data")
    if len(trials) == 0:
        raise ValueError(
            explain("at least one trial", "data without rows", "check the file and the filters applied to it")
        )
    if names is None:
        if response != RESPONSE:
            expected, found = f"a table, because response={response!r} names a column", "rows [rt, response]"
            raise ValueError(explain(expected, found, f"pass the table, or pl.as_observed(df, response={response!r})"))
        times, given = trials.T
    else:
        wanted = [rt] if times is None else []
        # A name, or codes, chosen by the user were meant: only the default one may be absent.
        derived = observation.told_by_rt and codes is None and response == RESPONSE and response not in names
        check_names(data, names, wanted if derived else [*wanted, response])
        times = as_array(trials[rt]) if times is None else times
        given = None if derived else as_array(trials[response])
    if codes is not None:
        given = recoded(given, codes, response)
    made = isinstance(data, Observed)
    return Columns(_numeric_rt(times, rt), given, rt, response, rows=names is None, made=made)


def check_names(data: Any, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a table that lacks a column."""
    missing = [name for name in wanted if name not in names]
    if not missing:
        return
    accuracy = [name for name in names if any(part in name.lower() for part in OF_ACCURACY)]
    meant = {name: nearest(name, [each for each in names if each not in accuracy]) for name in missing}
    guesses = [f"{guess!r} for {name!r}" for name, guess in meant.items() if guess]
    found = f"no column {' and no column '.join(map(repr, missing))} among "
    found += ", ".join(map(repr, every_name(data) or ())) or "(none)"
    found += f" (did you mean {', '.join(guesses)}?)" if guesses else ""
    remedy = "rename the columns, by text, or name them: response=..., and rt=... in as_observed"
    if RESPONSE in missing and accuracy:
        remedy += (
            f"; {accuracy[0]!r} seems to say whether a response was right: response={accuracy[0]!r} makes the upper "
            "boundary that of right ones, which is another model than that of one response and the other"
        )
    raise ValueError(explain(f"columns {', '.join(map(repr, wanted))}", found, remedy))


def grid_of(data: Any) -> tuple[int, ...] | None:
    """The shape of the trials of an array of more than two axes, such as (subject, trial, 2); None of anything else."""
    data = columns_last(data)
    try:
        shape: tuple[int, ...] = np.shape(data) if isinstance(data, list | tuple) else getattr(data, "shape", ())
    except ValueError:  # rows of different lengths, which are refused as such
        return None
    return tuple(shape[:-1]) if len(shape) > 2 and shape[-1] == 2 else None


def _matrix(data: Any) -> NDArray[Any]:
    """Rows ``[rt, response]`` of an array, shape (n, 2)."""
    try:
        matrix = as_array(data)
        shape = str(matrix.shape)
    except ValueError:  # NumPy refuses to make an array of rows of different lengths
        matrix, shape = np.empty(()), "with rows of different lengths"
    if grid_of(matrix) is not None:
        return matrix.reshape(-1, 2)
    if matrix.shape == (0,) or (matrix.ndim == 2 and matrix.shape[1] == 2):
        return matrix
    raise ValueError(
        explain(
            "a DataFrame, or an array of shape (n_trials, 2) or (..., n_trials, 2) with columns rt and response",
            f"an object of type {type(data).__name__}, shape {shape}",
            "pass a DataFrame, or stack the columns with numpy.column_stack([rt, response])",
        )
    )


def _other_columns(data: Any, rt: str, response: str) -> dict[str, NDArray[Any]]:
    """Return what goes along with the matrix."""
    if isinstance(data, Observed):
        return dict(data.columns)
    names = [name for name in table_columns(data) or () if name not in (rt, response)]
    table: Any = as_table(data, "data") if names else {}
    return {name: as_array(table[name]) for name in names}


def _numeric_rt(raw: NDArray[Any], name: str) -> NDArray[np.float64]:
    times, not_a_number = floats(raw)
    refuse(
        not_a_number if raw.dtype.kind not in "bO" else not_a_number | [is_bool(cell) for cell in raw.tolist()],
        {name: raw},
        expected=f"numbers of seconds in {name!r}",
        found="values that are not numbers",
        remedy=f"convert the column, for instance with pandas.to_numeric(df[{name!r}]), which stops at text that is no "
        f"number (make that missing only where nothing was pressed), or df[{name!r}].dt.total_seconds() for durations",
    )
    return times


def _check_positive(columns: Columns, observation: Observation) -> None:
    """Refuse times of 0 and less, with what that observation knows to do of trials without a response or a time."""
    times, raw, rt, response, *_ = columns
    bad = times <= 0
    expected, found = f"{rt!r} above 0 s on every response", f"zero or negative {rt!r}"
    if raw is not None and signed_by_response(times, floats(raw)[0]):
        found = f"{rt!r} whose sign says once more what {response!r} says,"
        remedy = f"take the absolute value, df[{rt!r}].abs()"
    elif (codes := bad & missing_codes(times)).any():
        bad = codes
        found = f"{describe_codes(times[bad])}, which looks like a code for a missing time,"
        remedy = f"make it missing, {as_missing(times[bad], rt)}, which says that there was no response; "
        remedy += "where there was one, give missing='lost'"
        if not observation.silent:
            remedy += "; that needs a distribution that knows trials without one: go/no-go, or with a deadline"
    else:
        remedy = (
            f"correct these times, which count from stimulus onset; where the sign says what was answered, put that "
            f"into {response!r} and take df[{rt!r}].abs()"
        )
    refuse(bad, columns.show(), expected=expected, found=found, remedy=remedy)


def nameless(name: str, labels: NDArray[Any]) -> Iterator[Doubt]:
    """Find trials that belong to no subject, by the name and the labels of the column that says whose they are."""
    nobody = np.array([is_missing(label) for label in labels.tolist()], bool)
    if labels.dtype.kind == "i":
        nobody |= labels == -1
    if nobody.any():
        yield Doubt(
            nobody,
            {name: labels},
            f"a label in {name!r} on every trial",
            "missing ones, which pandas.factorize turns into -1: the last subject of v[subject],",
            f"fill in who it was, or make them a subject of their own, df[{name!r}].fillna('unknown')",
        )


def check_deadlines(deadline: Any, grid: tuple[int, ...] | None) -> NDArray[np.float64]:
    """Return deadlines as numbers, one for each trial where their shape is known.

    Raises
    ------
    ValueError
        If one is not above 0, or there are not as many as trials.
    """
    given = as_array(deadline)
    limits, not_a_number = floats(given.ravel())
    if grid is not None:
        check_length("deadline", given, grid)
    bad = not_a_number | ~(limits > 0)
    refuse(
        bad if bad.any() else np.full(bad.shape, given.dtype.kind not in "iuf"),
        {"deadline": given.ravel() if given.dtype.kind not in "iuf" else limits},
        expected="a deadline above 0 s, or inf for none",
        found="deadlines that are zero, negative, missing or not numbers",
        remedy="give the time from stimulus onset to the end of the response window, in seconds",
    )
    limits = limits.reshape(given.shape)
    return limits if grid is None else np.broadcast_to(limits, grid).copy()


def _check_late(times: NDArray[np.float64], limits: NDArray[np.float64], rt: str, *, silent: bool) -> None:
    remedy = "give the deadline that held on these trials"
    refuse(
        np.isfinite(times) & (times > limits),
        {rt: times, "deadline": limits},
        expected=f"no {rt!r} beyond the deadline",
        found="responses after it",
        remedy=f"{remedy}, or set {rt!r} to NaN there to count late responses as none" if silent else remedy,
    )


def _leading_dimensions(draws: Any, sizes: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the labels of every dimension before the trials, by the name of the dimension."""
    if not hasattr(draws, "coords"):
        return {f"draw_{axis}": np.arange(size) for axis, size in enumerate(sizes)}
    return {name: draws[name].values for name in draws.dims[: len(sizes)]}
