"""What the prior of a variable says by itself: whether it is one of numbers, and where values end."""

from __future__ import annotations

from typing import Any

import numpy as np


def of_numbers(rv: Any) -> bool:
    """Whether no other random variable has a part in a variable's prior.

    Examples
    --------
    >>> import pymc as pm
    >>> with pm.Model():
    ...     mean = pm.Truncated("mean", pm.LogNormal.dist(), upper=2)
    ...     found = of_numbers(mean), of_numbers(pm.Normal("v", mean))
    >>> found
    (True, False)
    """
    from pymc.distributions.distribution import SymbolicRandomVariable
    from pytensor.graph.traversal import ancestors
    from pytensor.tensor.random.op import RandomVariable

    made_of = [x.owner.op for x in ancestors(rv.owner.inputs) if x.owner is not None]
    return not any(isinstance(op, RandomVariable | SymbolicRandomVariable) for op in made_of)


def ends_of(model: Any, rv: Any) -> tuple[float, float] | None:
    """Ends of a free variable: where its transform is a logarithm, logit, or has ends that are numbers; else None."""
    from pymc.distributions.transforms import Interval, LogOddsTransform, LogTransform

    transform = model.rvs_to_transforms[rv]
    if isinstance(transform, LogTransform):
        return 0.0, np.inf
    if isinstance(transform, LogOddsTransform):
        return 0.0, 1.0
    if not isinstance(transform, Interval) or not of_numbers(rv):
        return None
    ends = [x if x is None or not hasattr(x, "eval") else x.eval() for x in transform.args_fn(*rv.owner.inputs)]
    least, most = -np.inf if ends[0] is None else ends[0], np.inf if ends[1] is None else ends[1]
    return (float(least), float(most)) if np.isfinite(least) else None
