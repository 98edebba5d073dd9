"""Trials of a task with a response window, some of which ended without any response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data import NO_RESPONSE, as_observed, column, table_columns
from pymc_lan.errors import is_missing, refuse


def observed_with_omissions(data: Any, choices: Sequence[int], deadline: Any) -> NDArray[np.float64]:
    """Check trials as `pymc_lan.as_observed` does; one without an rt is an omission.

    Parameters
    ----------
    data : DataFrame or array_like of shape (n_trials, 2)
        As there. An omission has no rt (NaN, None, an empty string or inf), and no response or the response 0.
    choices : sequence of int
    deadline : array_like, optional
        Left unchecked where it is None.

    Returns
    -------
    ndarray of shape (n_trials, 2)
        Rows ``[rt, response]``; ``[inf, 0]`` of an omission.

    Raises
    ------
    ValueError
        As `pymc_lan.as_observed`, and for a response without an rt.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"rt": [0.43, None], "response": [-1, None]})
    >>> observed_with_omissions(df, (-1, 1), 2.0).tolist()
    [[0.43, -1.0], [inf, 0.0]]
    """
    if table_columns(data) is None:
        matrix = np.asarray(data)
        if matrix.ndim != 2 or matrix.shape[1] != 2:
            return as_observed(data)
        return _filled(matrix[:, 0], matrix[:, 1], choices, deadline)
    return _filled(column(data, "rt"), column(data, "response"), choices, deadline)


def _filled(rt: NDArray[Any], response: NDArray[Any], choices: Sequence[int], deadline: Any) -> NDArray[np.float64]:
    """Check the trials with something harmless in the place of omissions, so that rows keep their numbers."""
    trials = np.column_stack([rt.astype(object), response.astype(object)])
    omitted = np.array([is_missing(cell) or cell == np.inf for cell in trials[:, 0]], dtype=bool)
    answered = np.array([not is_missing(cell) and cell != NO_RESPONSE for cell in trials[:, 1]], dtype=bool)
    refuse(
        omitted & answered,
        {"rt": rt, "response": response},
        expected="no response, or 0, on every trial without an rt",
        found="a response without an rt",
        remedy="clear the response of these trials, or drop them if the time was lost",
    )
    trials[omitted] = min(trials[~omitted, 0], default=1e-3), choices[0]
    observed = as_observed(trials, choices=choices, deadline=deadline)
    observed[omitted] = np.inf, NO_RESPONSE
    return observed
