"""Trials in a variable: checked like a table, by what they are now, and used as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pytensor.graph.basic import Variable

from pymc_lan.data.array import Observed
from pymc_lan.data.observation import Observation
from pymc_lan.data.observed import RESPONSE, grid_of, read_observed
from pymc_lan.distributions.values import known_value
from pymc_lan.errors import explain, refuse


def read_rows(
    observed: Variable,
    observation: Observation,
    deadline: Any,
    response: str | Mapping[Any, Any] = RESPONSE,
    interval: Any = 0.0,
) -> tuple[Observed | None, tuple[int | None, ...]]:
    """Check the rows of a variable; of a minibatch, all that may be drawn.

    Parameters
    ----------
    observed : Variable
        Of shape (..., n_trials, 2), or (2,) for a single trial.
    observation : Observation
        What is seen of a trial.
    deadline : tensor_like, optional
        The end of each trial's response window, in seconds.
    response : str or mapping
        What a distribution was given as that; a name of a column, or what codes stand for, needs a table.
    interval : array_like
        Within how many seconds times are known.

    Returns
    -------
    checked : Observed or None
        None where it is not known what the variable holds.
    grid : tuple of int or None
        The shape of the trials, as far as it is known.

    Raises
    ------
    ValueError
        As `pymc_lan.as_observed`, and for rows that it would have changed.
    """
    check_codes_of_rows(response)
    given = known_value(observed)
    if given is None:
        return None, tuple(observed.type.shape[:-1])
    given = np.atleast_2d(given)
    limits = None if deadline is None else known_value(deadline)
    checked = read_observed(given, observation, deadline=limits, interval=interval)
    _refuse_changed(given.reshape(-1, 2), np.asarray(checked))
    return checked, grid_of(given) or (len(given),)


def check_codes_of_rows(response: str | Mapping[Any, Any]) -> None:
    """Refuse a name of a column, or what codes stand for, beside rows that are used as they are."""
    as_they_are = isinstance(response, Mapping) and all(code == meant for code, meant in response.items())
    if response != RESPONSE and not (response and as_they_are):
        raise ValueError(
            explain(
                "a table beside response=..., because the rows of a variable are used as they are",
                f"response={response!r:.80} and observed data in a variable",
                "pass the table through it first, as in pm.Data('data', pl.as_observed(df, response=...))",
            )
        )


def _refuse_changed(given: np.ndarray, checked: np.ndarray) -> None:
    wrong = (given[:, 0] != checked[:, 0]) | (np.isfinite(checked[:, 0]) & (given[:, 1] != checked[:, 1]))
    refuse(
        wrong,
        {"rt": given[:, 0], "response": given[:, 1]},
        expected="observed data in a variable to be rows [rt, response] as pl.as_observed makes them, [inf, 0] without "
        "a response",
        found="others",
        remedy="pass them through it, as in pm.Data('data', pl.as_observed(df))",
    )
