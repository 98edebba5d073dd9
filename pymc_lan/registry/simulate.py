"""`simulate`: trials of a model in any form that users have one in, for planning and recovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from pymc_lan.models.simulate import simulate_trials
from pymc_lan.registry.sources import AnyModel, get_model

if TYPE_CHECKING:
    import pandas as pd


def simulate(
    model: AnyModel, params: Mapping[str, ArrayLike], n: int | None = None, seed: int | None = None
) -> pd.DataFrame:
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

    Returns
    -------
    pandas.DataFrame
        One row per trial: ``trial``, ``rt`` in seconds, ``response``. A model of responses alone has no ``rt``; of one
        whose simulator has omissions, ``rt`` is NaN where there is no response.

    Raises
    ------
    ValueError
        For an unknown model or parameter, a missing parameter, one that is no number, lengths that do not match, a
        Series with other row labels than 0, 1, 2, and so on, a seed that is none, values outside the model's domain, or
        with which no trial is decided; for a network of which nobody knows the process.

    Notes
    -----
    Trials are drawn until they are decided, however late that is. Boundaries that run away leave some undecided for
    ever; such a trial is drawn again.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=3, seed=1).columns.tolist()
    ['trial', 'rt', 'response']
    """
    return simulate_trials(get_model(model), params, n, seed)
