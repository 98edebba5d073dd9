"""What the columns of a table say of responses: which trials have one, and its code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.guesses import NO_RESPONSE, Float
from pymc_lan.data.messages import say
from pymc_lan.data.tables import floats
from pymc_lan.errors import describe_codes, refuse

Mask = NDArray[np.bool_]


class Columns(NamedTuple):
    """The two columns of a table.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        Seconds, above 0; NaN or inf where there is none.
    raw : ndarray, shape (n,), or None
        The responses as they were given; None where the table has none, because they follow from the times.
    rt, response : str
        What the columns are called.
    rows : bool
        Whether they are those of an array of rows ``[rt, response]``.
    made : bool
        Whether the package made that array.
    """

    times: Float
    raw: NDArray[Any] | None
    rt: str
    response: str
    rows: bool = False
    made: bool = False

    @property
    def given(self) -> NDArray[Any]:
        """The responses, of a table that has to have them."""
        assert self.raw is not None, "only an observation that is told by rt alone may lack them"
        return self.raw

    def show(self) -> dict[str, NDArray[Any]]:
        """The columns by name, as messages show them."""
        return {self.rt: self.times} if self.raw is None else {self.rt: self.times, self.response: self.raw}


def responded(columns: Columns) -> Mask:
    """Return that every trial has a response, or refuse those that have no rt."""
    rt, silent = columns.rt, ~np.isfinite(columns.times)
    refuse(
        silent,
        columns.show(),
        expected=f"a finite {rt!r} on every trial, because in this model every trial ends with a response",
        found=f"missing or infinite {rt!r}",
        remedy="use a distribution that knows trials without a response: go/no-go (as_observed(..., go_nogo=True); for "
        "a figure pl.plots.predictive_gonogo) if withholding is one of the answers, or deadline=..., by when nothing "
        "was answered (as_observed(..., omissions=True)), of a model that knows omissions; slow trials are "
        f"missing more often than fast ones, so that estimates without them are biased. Where there was a response "
        f"whose {rt!r} was lost, missing='lost' says so",
    )
    return ~silent


def responded_if_timed(columns: Columns) -> Mask:
    """Return which trials of several choices have a response: those with an rt, or refuse a response without one."""
    answered: Mask = np.isfinite(columns.times)
    if columns.raw is None:
        return answered
    codes, not_a_number = floats(columns.given)
    refuse(
        ~answered & (not_a_number | ~(np.isnan(codes) | (codes == NO_RESPONSE))),
        columns.show(),
        expected=f"no response, or 0, on every trial without an {columns.rt!r}",
        found="a response without an rt",
        remedy="clear the response of these trials where there was none (of a word for none: response={'none': 0, "
        "...}), or give missing='lost' where there was one and its time was lost",
    )
    return answered


def by_boundary(columns: Columns) -> Columns:
    """Take 0 and 1, or False and True, of trials that all have a response, for the lower and the upper boundary.

    Where any response is -1, or another, it is left as it is: 0 is then no boundary.
    """
    codes = floats(columns.given)[0]
    if not np.isin(codes, (0, 1)).all() or codes.all():
        return columns
    say(f"{columns.response}: 0 and 1 (False and True) are taken for the lower and the upper boundary, -1 and 1.")
    return columns._replace(raw=np.where(codes == 1, 1, -1))


def chosen(columns: Columns, answered: Mask, choices: Sequence[float]) -> Float:
    """Return the response codes, or say what is wrong with those of trials that have a response."""
    if columns.raw is None:
        return np.full(columns.times.shape, float(choices[0]))
    raw, rt, response = columns.given, columns.rt, columns.response
    listed = ", ".join(f"{choice:g}" for choice in choices)
    codes, not_a_number = floats(raw)
    refuse(
        answered & np.isnan(codes) & ~not_a_number,
        columns.show(),
        expected=f"one of the response codes {listed} in {response!r} on every trial",
        found="an rt without a response",
        remedy=f"fill in what was answered, or make {rt!r} missing where nothing was and the distribution knows such "
        "trials; where something was answered and nobody knows what, missing='lost' says so",
    )
    bad = answered & ~np.isin(codes, np.asarray(choices, dtype=float))
    remedy = (
        f"recode them, or say which response each stands for, response={{code: {choices[0]:g}, ...}}; where there are "
        "more kinds of response than choices, use a model with as many"
    )
    lost = "give missing='lost' where 0 says that nobody knows what was answered"
    if 0 not in choices and (codes[bad] == 0).all():
        remedy += f"; or {lost}"
    if tuple(choices) == (-1, 1) and np.isin(codes[answered], (0, 1)).all():
        remedy = (
            f"{lost}, or make 0 (False) -1 where there is an {rt!r}, for instance "
            f"df[{response!r}] = df[{response!r}].astype(object).mask((df[{response!r}] == 0) & (df[{rt!r}] < "
            "float('inf')), -1)"
        )
    elif choices[0] == 0 and np.isin(codes[answered] - 1, np.asarray(choices, dtype=float)).all():
        remedy = f"count responses from 0, for instance df[{response!r}] - 1"
    refuse(
        bad,
        columns.show(),
        expected=f"the response codes {listed} in {response!r}",
        found=f"unknown response codes {describe_codes(raw[bad])}",
        remedy=remedy,
    )
    return codes


def pressed(columns: Columns) -> Mask:
    """Return which go/no-go trials have a press, having compared rt with the response row by row."""
    times, raw, rt, response, *_ = columns
    has_rt: Mask = ~(np.isnan(times) | (times == np.inf))
    if raw is None:
        return has_rt
    codes, not_a_number = floats(raw)
    bad = not_a_number | ~(np.isnan(codes) | np.isin(codes, (-1, 0, 1)))
    refuse(
        bad,
        columns.show(),
        expected=f"1 (pressed) and 0 or -1 (not pressed) in {response!r}",
        found=f"unknown response codes {describe_codes(raw[bad])}",
        remedy=f"recode the column, or leave it out (df.drop(columns={response!r})) if a missing {rt!r} means not "
        "pressed, or say what each code stands for, as in response={'go': 1, 'nogo': 0}",
    )
    said: Mask = codes == 1
    refuse(
        said & ~has_rt,
        columns.show(),
        expected=f"an {rt!r} on every trial whose {response!r} is 1 (pressed)",
        found="a response without an rt",
        remedy="set the response to 0 where nothing was pressed, or fill in the rt from the raw data; missing='lost' "
        "says that it was lost",
    )
    refuse(
        has_rt & ~said,
        columns.show(),
        expected=f"no {rt!r} (NaN, None or inf) where {response!r} is 0, -1 (not pressed) or missing",
        found="an rt without a response",
        remedy=f"set {rt!r} to NaN where nothing was pressed, for instance df[{rt!r}].where(df[{response!r}] == 1), or "
        "the response to 1 where something was",
    )
    return said
