"""What plots of data take: a table of trials, posterior predictive draws, and the columns that make panels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observation import Observation, PressOrNot, of_choices
from pymc_lan.data.observed import read_observed
from pymc_lan.data.tables import AUTO, as_table, column, floats, from_table, labels_of, table_columns
from pymc_lan.errors import describe_codes, describe_rows, explain, is_missing, unknown

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

# What responses are called where nothing else is said, by what is seen of trials.
CHOICES = {1: "upper", -1: "lower"}
PRESS = {1: "press"}
# More panels, or conditions, than this cannot be read on a page.
MOST_LEVELS = 40


class Level(NamedTuple):
    """A value of a column, and the trials that have it."""

    label: str
    mine: Bool


@dataclass(frozen=True, slots=True)
class Trials:
    """Observed trials and, where there are any, predicted ones.

    Parameters
    ----------
    table : DataFrame
    rt, response : ndarray, shape (n,)
        `rt` is ``inf`` where there was no response.
    drawn : ndarray, shape (m, n, 2), optional
        Predicted rows ``[rt, response]``.
    names : dict of int to str
        What the responses are called, by their codes.
    deadline : ndarray, shape (n,), optional
        When the response window of each trial ended [s].
    silent : bool
        Whether there may be trials without a response.
    """

    table: Any
    rt: Float
    response: Float
    drawn: Float | None
    names: Mapping[int, str]
    deadline: Float | None
    silent: bool

    def levels(self, name: str | None) -> list[Level]:
        """The levels of a column; all trials under no name without one."""
        return [Level("", np.ones(self.rt.size, bool))] if name is None else levels(self.table, name)


def read_trials(
    idata: Any,
    data: Any,
    *,
    var_name: str,
    n_draws: int,
    choices: Mapping[int, str] | None = None,
    go_nogo: bool = False,
    deadline: Any = AUTO,
    rt: str = "rt",
    response: str = "response",
) -> Trials:
    """Check data and predictions against each other.

    Parameters
    ----------
    idata : DataTree, InferenceData, DataArray, array_like or None
        With a group ``posterior_predictive``, or the draws themselves, shape (..., n, 2); None for data alone.
    data : DataFrame of n rows
    var_name : str
        Of the observed variable.
    n_draws : int
        Draws to use, evenly spaced.
    choices : mapping of int to str, optional
        What to call the responses, by their codes; by default they are +1 and -1 or, where one is 2 or more, 0 and up.
    go_nogo : bool
        Whether trials are presses or none.
    deadline : float, array_like or str
        When response windows ended [s]; ``"auto"`` is the column of this name where there is one.
    rt, response : str
        Names of columns.

    Raises
    ------
    ValueError
        For data that `pymc_lan.as_observed` refuses; if there are no predictions, or they are of another number of
        trials or have other responses.
    """
    names = PRESS if go_nogo else dict(_codes_of(data, response) if choices is None else choices)
    n = len(as_table(data, "data"))
    drawn = None if idata is None else predictions(idata, var_name, n, n_draws)
    limits = from_table(deadline, data, "deadline")
    # Where predictions leave trials of several choices without a response, the model knows of them.
    some = drawn is not None and len({*drawn[..., 1][np.isfinite(drawn[..., 0])].tolist()}) > 1
    late = limits is not None or (some and drawn is not None and bool(np.isinf(drawn[..., 0]).any()))
    observation: Observation = PressOrNot() if go_nogo else of_choices(tuple(sorted(names)), omissions=late)
    observed = read_observed(data, observation, rt=rt, response=response, deadline=limits)
    if drawn is not None:
        _check_codes(drawn, observation)
    ends = None if limits is None else np.broadcast_to(np.asarray(limits, np.float64), n)
    return Trials(data, observed[:, 0], observed[:, 1], drawn, names, ends, observation.silent)


def _codes_of(data: Any, response: str) -> Mapping[int, str]:
    """The responses of a table: two boundaries or, where one is 2 or more, accumulators from 0 on."""
    if response not in (table_columns(data) or ()):
        return CHOICES
    codes = floats(column(data, response))[0]
    codes = codes[np.isfinite(codes)]
    many = bool(codes.size and codes.min() >= 0 and 2 <= codes.max() <= MOST_LEVELS)
    return {code: str(code) for code in range(int(codes.max()) + 1)} if many else CHOICES


def _check_codes(drawn: Float, observation: Observation) -> None:
    """Refuse predicted responses that the data cannot have: none of them would be seen in the figure."""
    codes = drawn[..., 1][np.isfinite(drawn[..., 0])]
    other = codes[~np.isin(codes, observation.responses)]
    if other.size:
        listed = ", ".join(f"{code:g}" for code in observation.responses)
        remedy = (
            "recode predictions as the data, for instance with rows = "
            "idata.posterior_predictive['obs'].to_numpy(copy=True) and rows[..., 1] = (rows[..., 1] == 1) * 2 - 1, and "
            "give the rows in the place of idata"
        )
        raise ValueError(
            explain(f"predictions with the responses {listed}", f"others: {describe_codes(other)}", remedy)
        )


def predictions(idata: Any, var_name: str, n_trials: int, n_draws: int) -> Float:
    """Predicted trials, shape (at most n_draws, n_trials, 2)."""
    drawn = np.asarray(_variable(idata, var_name), np.float64)
    expected = (
        f"predictions of shape (..., {n_trials}, 2): rt and response of each of the {n_trials} trials of the data"
    )
    if drawn.ndim < 2 or drawn.shape[-2:] != (n_trials, 2):
        raise ValueError(
            explain(expected, f"shape {drawn.shape}", "give the data that the model was fitted to, in the same order")
        )
    if drawn.size == 0 or np.isnan(drawn).any():
        raise ValueError(
            explain(
                "predictions that are numbers, rt = inf for no response",
                "none at all" if drawn.size == 0 else "NaN among them",
                "draw them anew with pm.sample_posterior_predictive",
            )
        )
    return thin(drawn.reshape(-1, n_trials, 2), n_draws)


def thin(draws: NDArray[Any], n: int) -> NDArray[Any]:
    """At most n of the draws, the first axis, evenly spaced."""
    if n < 1:
        raise ValueError(explain("at least one draw", f"n_draws={n}", "give a larger number"))
    return draws[np.linspace(0, len(draws) - 1, min(n, len(draws))).round().astype(int)]


def _variable(idata: Any, name: str) -> Any:
    """The predicted variable of whatever holds it; arrays are what they are."""
    if not hasattr(idata, "data_vars"):
        if not hasattr(idata, "posterior_predictive"):
            return idata
        idata = idata.posterior_predictive
    elif name not in idata.data_vars and hasattr(idata, "groups"):
        # A tree: of all groups, or that of the predictions alone.
        group = getattr(idata, "posterior_predictive", idata if idata.data_vars else None)
        if group is None:
            raise ValueError(
                explain(
                    "posterior predictive draws",
                    "no group posterior_predictive",
                    "pm.sample_posterior_predictive(idata, extend_inferencedata=True)",
                )
            )
        idata = group
    if name not in idata.data_vars:
        raise ValueError(f"{unknown('predicted variable', name, map(str, idata.data_vars))} Remedy: give var_name=...")
    return idata[name]


def levels(table: Any, name: str) -> list[Level]:
    """The levels of a column: in the order of a categorical, sorted where they are numbers, else as they come.

    Raises
    ------
    ValueError
        If there is no such column, a cell is empty, or there are more than 40 levels.
    """
    values = labels_of(table, name)
    missing = np.array([is_missing(value) for value in values.tolist()], bool)
    if missing.any():
        raise ValueError(
            explain(
                f"a value of {name!r} on every trial",
                f"none in {describe_rows(missing, {name: values})}",
                f"give these trials a level of their own, for instance df[{name!r}].fillna('none')",
            )
        )
    known = _categories(table, name)
    if known is None:
        seen = list(dict.fromkeys(values.tolist()))
        known = sorted(seen) if values.dtype.kind in "biuf" else seen
    found = [Level(str(value), values == value) for value in known]
    found = [level for level in found if level.mine.any()]
    if len(found) > MOST_LEVELS:
        raise ValueError(
            explain(
                f"at most {MOST_LEVELS} levels of {name!r}",
                f"{len(found)}",
                f"choose some of them, for instance df[df[{name!r}].isin([...])], and their predictions",
            )
        )
    return found


def _categories(table: Any, name: str) -> list[Any] | None:
    series = as_table(table, "data")[name]
    return series.cat.get_categories().to_list() if series.dtype in (nw.Categorical, nw.Enum) else None
