"""`simulate`: trials of a model in any form that users have one in, for planning and recovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from numpy.typing import ArrayLike

from pymc_lan.errors import explain
from pymc_lan.models.simulate import simulate_trials, simulate_with_paths
from pymc_lan.registry.sources import AnyModel, get_model

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@overload
def simulate(
    model: AnyModel,
    params: Mapping[str, ArrayLike],
    n: int | None = None,
    seed: int | None = None,
    *,
    trajectories: None = None,
    deadline: ArrayLike | None = None,
    truncation: tuple[Any, Any] | None = None,
) -> pd.DataFrame: ...


@overload
def simulate(
    model: AnyModel,
    params: Mapping[str, ArrayLike],
    n: int | None = None,
    seed: int | None = None,
    *,
    trajectories: int,
    deadline: None = None,
    truncation: None = None,
) -> tuple[pd.DataFrame, xr.DataArray]: ...


def simulate(
    model: AnyModel,
    params: Mapping[str, ArrayLike],
    n: int | None = None,
    seed: int | None = None,
    *,
    trajectories: int | None = None,
    deadline: ArrayLike | None = None,
    truncation: tuple[Any, Any] | None = None,
) -> pd.DataFrame | tuple[pd.DataFrame, xr.DataArray]:
    """Simulate trials of a model.

    Parameters
    ----------
    model : str, path, Model or Network
        For instance ``"ddm"``; whatever `pymc_lan.get_model` takes.
    params : mapping of str to array_like, or pandas.DataFrame
        Every parameter by name, scalar or one per trial; those with a default may be left out. What is a number, and
        which labels a pandas Series may have, is as of distributions; the rows of a table are the trials.
    n : int, optional
        Number of trials, at most 1,000,000,000; not needed where a parameter has one value per trial.
    seed : int, optional
        The same seed gives the same trials.
    trajectories : int, optional
        Of a diffusion between two boundaries: for how many trials, the first ones, to return the paths of the evidence
        too.
    deadline : array_like, optional
        End of the response window in seconds, one or one for each trial: later responses are not seen (``rt`` is NaN,
        ``response`` 0). It comes back as a column.
    truncation : tuple of float, optional
        Between which times [s] responses are recorded: trials are drawn again until theirs is. Either may be None.

    Returns
    -------
    pandas.DataFrame
        One row per trial: ``trial``, ``rt`` in seconds, ``response``. A model of responses alone has no ``rt``; of one
        whose simulator has omissions, ``rt`` is NaN where there is no response.
    xarray.DataArray, shape (trajectories, steps)
        Only with `trajectories`, as second of a pair: ``paths``, of the dimensions ``trial`` (those of the table) and
        ``time``, whose coordinate ``paths["time"]`` has the times in seconds from the onset of the stimulus, a
        millisecond apart. The evidence, between the boundaries at -a and +a, stays at its starting point until the
        decision begins; at the first time after the response it is that of the boundary which was reached, and NaN
        later. ``paths.to_numpy()`` is a plain array.

    Raises
    ------
    ValueError
        For an unknown model or parameter, a missing parameter, one that is no number, lengths that do not match, a
        Series with other row labels than 0, 1, 2, and so on, a seed that is none, values outside the model's domain, or
        with which no trial is decided; for a network of which nobody knows the process. With `trajectories`: for a
        model that is no diffusion between two boundaries, more of them than trials, or a trial that takes more than
        60 s.

    Notes
    -----
    Trials are drawn until they are decided, however late that is. Boundaries that run away leave some undecided for
    ever; such a trial is drawn again. Trials with a path are drawn step by step, crossings within a step included; the
    others are those that the same seed gives without paths.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=3, seed=1).columns.tolist()
    ['trial', 'rt', 'response']
    >>> df, paths = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=100, seed=1, trajectories=3)
    >>> paths.dims, float(paths[0, 0]), float(paths["time"][1])
    (('trial', 'time'), 0.0, 0.001)
    """
    if trajectories is None:
        return simulate_trials(get_model(model), params, n, seed, deadline, truncation)
    if deadline is not None or truncation is not None:
        remedy = "leave them out, and hide the late ones: df.mask(df['rt'] > deadline)"
        raise ValueError(explain("trajectories of every trial", "deadline or truncation beside them", remedy))
    return simulate_with_paths(get_model(model), params, trajectories, n, seed)
