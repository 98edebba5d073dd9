"""Which variables are members of a group: normal, or nearly, around something that is estimated itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Parameters = tuple[Any, ...]


@dataclass(frozen=True)
class Family:
    """A distribution that is normal, or nearly, on the scale of its unconstrained values.

    Parameters
    ----------
    transform : str
        Name of PyMC's transform to that scale; empty: the values themselves.
    moments : callable
        From the distribution's parameters to its mean and its standard deviation (for a vector: its covariance) on
        that scale, as PyTensor variables.
    """

    transform: str
    moments: Callable[[Parameters], tuple[Any, Any]]


# By the class of the Op that draws; the scale of what is not normal is its standard deviation, or near it.
FAMILIES: Mapping[str, Family] = {
    "NormalRV": Family("", lambda p: (p[0], p[1])),
    "LogNormalRV": Family("log", lambda p: (p[0], p[1])),
    "StudentTRV": Family("", lambda p: (p[1], p[2])),
    "LaplaceRV": Family("", lambda p: (p[0], np.sqrt(2) * p[1])),
    "LogisticRV": Family("", lambda p: (p[0], np.pi / np.sqrt(3) * p[1])),
    "MvNormalRV": Family("", lambda p: (p[0], p[1])),
}


def family_of(rv: Any) -> Family | None:
    """The family of a variable's distribution, None for one that is not known.

    Parameters
    ----------
    rv : TensorVariable

    Returns
    -------
    Family or None

    Examples
    --------
    >>> import pymc as pm
    >>> family_of(pm.LogNormal.dist()).transform
    'log'
    >>> family_of(pm.Beta.dist(1, 1)) is None
    True
    """
    return FAMILIES.get(type(rv.owner.op).__name__)


def why_not(model: Any, rv: Any) -> str:
    """Why a free variable stays as it is; empty for a member of a group.

    Parameters
    ----------
    model : pm.Model
    rv : TensorVariable
        One of its free variables.

    Returns
    -------
    str

    Examples
    --------
    >>> import pymc as pm
    >>> with pm.Model() as model:
    ...     mean = pm.Normal("mean")
    ...     member = pm.Normal("member", mean, 1.0, shape=3)
    >>> why_not(model, mean)
    'its prior has no variable in it'
    >>> why_not(model, member)
    ''
    """
    from pytensor.graph.traversal import ancestors

    others = {x for x in model.free_RVs if x is not rv}
    if not others & set(ancestors(rv.owner.inputs)):
        return "its prior has no variable in it"
    kind = type(rv.owner.op).__name__.removesuffix("RV")
    family = family_of(rv)
    if family is None:
        return f"{kind} is not normal on any scale that is known"
    transform = model.rvs_to_transforms[rv]
    if ("" if transform is None else transform.name) != family.transform:
        return f"it has a transform of its own, {transform.name if transform is not None else 'none'}"
    return ""


def moments(rv: Any) -> tuple[Any, Any]:
    """Mean and standard deviation (for a vector: covariance) on the scale of the unconstrained values.

    Parameters
    ----------
    rv : TensorVariable

    Returns
    -------
    tuple of TensorVariable

    Examples
    --------
    >>> import pymc as pm
    >>> mean, sd = moments(pm.StudentT.dist(nu=4, mu=1.0, sigma=2.0))
    >>> float(mean.eval()), float(sd.eval())
    (1.0, 2.0)
    """
    import pytensor.tensor as pt

    family = family_of(rv)
    assert family is not None
    # A spread that is written as an integer is one of 8 bits, whose square is another number.
    parameters = tuple(pt.as_tensor(x).astype(rv.dtype) for x in rv.owner.op.dist_params(rv.owner))
    mean, spread = family.moments(parameters)
    return pt.as_tensor(mean), pt.as_tensor(spread)
