"""The trials of a model: which node of its graph draws them, and which were observed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymc.variational.minibatch_rv import MinibatchRandomVariable
from pytensor.graph.basic import Apply

from pymc_lan.distributions.response_rv import ResponseRV
from pymc_lan.distributions.trial_rv import TrialRV
from pymc_lan.distributions.values import is_minibatch, known_numbers
from pymc_lan.errors import explain


def trial_node(rv: Any) -> Apply | None:
    """The node that draws a variable; None where it is no distribution of this package.

    Parameters
    ----------
    rv : TensorVariable
        A random variable, also one that PyMC scales to a `total_size`.

    Returns
    -------
    Apply or None
        Of a `TrialRV` or a `ResponseRV`.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> trial_node(pm.Normal.dist()) is None, trial_node(pl.DDM.dist(1.0, 1.0, 0.5, 0.3)).op.name
    (True, 'DDM')
    """
    node = rv.owner
    if node is not None and isinstance(node.op, MinibatchRandomVariable):
        node = node.inputs[0].owner
    return node if node is not None and isinstance(node.op, TrialRV | ResponseRV) else None


def observed_trials(model: Any, rv: Any) -> NDArray[np.float64]:
    """What was observed of a variable.

    Parameters
    ----------
    model : pm.Model
    rv : TensorVariable
        One of its observed variables.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    ValueError
        If the model sees other trials at each look, as with ``pm.Minibatch``.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> with pm.Model() as model:
    ...     obs = pl.DDM("obs", pm.Normal("v"), 1.0, 0.5, 0.3, observed=[[0.6, 1], [0.9, -1]])
    >>> observed_trials(model, obs).tolist()
    [[0.6, 1.0], [0.9, -1.0]]
    """
    variable = model.rvs_to_values[rv]
    value = None if is_minibatch(variable) else known_numbers(variable)
    if value is None:
        remedy = "build the model anew with the whole table, and without total_size"
        raise ValueError(explain(f"all trials of {rv.name!r}", "some of them, drawn anew at each look", remedy))
    return value
