"""Where a variable's values end, as far as its transform says."""

from __future__ import annotations

from typing import Any

import numpy as np


def ends_of(model: Any, rv: Any) -> tuple[float, float] | None:
    """Ends of a free variable: where its transform is a logarithm, logit, or has ends that are numbers; else None."""
    from pymc.distributions.transforms import Interval, LogOddsTransform, LogTransform
    from pytensor.graph.traversal import ancestors
    from pytensor.tensor.random.op import RandomVariable

    transform = model.rvs_to_transforms[rv]
    if isinstance(transform, LogTransform):
        return 0.0, np.inf
    if isinstance(transform, LogOddsTransform):
        return 0.0, 1.0
    made_of = [x.owner.op for x in ancestors(rv.owner.inputs) if x.owner is not None]
    if not isinstance(transform, Interval) or any(isinstance(op, RandomVariable) for op in made_of):
        return None
    ends = [x if x is None or not hasattr(x, "eval") else x.eval() for x in transform.args_fn(*rv.owner.inputs)]
    least, most = -np.inf if ends[0] is None else ends[0], np.inf if ends[1] is None else ends[1]
    return (float(least), float(most)) if np.isfinite(least) else None
