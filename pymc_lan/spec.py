"""What a model is: its parameters, choices and dynamics, as frozen data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymc_lan.errors import explain, unknown


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a model.

    Parameters
    ----------
    name : str
    bounds : tuple of float
        The range the network was trained on.
    unit, meaning : str
    default : float, optional
        The value used where the parameter is not given.
    domain : tuple of float
        Where the model itself is defined; the closed form holds inside it, whatever the bounds.
    """

    name: str
    bounds: tuple[float, float]
    unit: str
    meaning: str
    default: float | None = None
    domain: tuple[float, float] = (-math.inf, math.inf)


Drift = Callable[[Any, Any, Mapping[str, Any]], Any]
Boundary = Callable[[Any, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A diffusion between two boundaries, with unit noise.

    The process starts at ``-b + 2 b z`` where ``b = boundary(0, theta)``, moves with
    ``drift(time, position, theta)`` and responds +1 at ``+boundary(time, theta)``, -1 at
    ``-boundary(time, theta)``; the response time adds the non-decision time ``t``.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order of positional arguments.
    drift, boundary : callable
        ``drift(time, position, theta)`` and ``boundary(time, theta)`` written with ``jax.numpy``
        or plain arithmetic; ``theta`` maps parameter names to numbers.
    description, reference : str
    choices : tuple of int
    transform : str
        Name of the network inputs and baseline in `pymc_lan.transforms.TRANSFORMS`.
    exact : str, optional
        Name of the closed form in `pymc_lan.likelihood.CLOSED_FORMS`, where there is one.

    Examples
    --------
    >>> from pymc_lan.spec import get_model
    >>> get_model("ddm").names
    ('v', 'a', 'z', 't')
    """

    name: str
    parameters: tuple[Parameter, ...]
    drift: Drift
    boundary: Boundary
    description: str
    reference: str
    choices: tuple[int, ...] = (-1, 1)
    transform: str = "constant_drift"
    exact: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in positional order."""
        return tuple(p.name for p in self.parameters)

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name; ValueError with the nearest name otherwise."""
        for p in self.parameters:
            if p.name == name:
                return p
        raise ValueError(unknown(f"parameter of model {self.name!r}", name, self.names))


def _ddm_drift(time: Any, position: Any, theta: Mapping[str, Any]) -> Any:
    return theta["v"]


def _ddm_boundary(time: Any, theta: Mapping[str, Any]) -> Any:
    return theta["a"]


DDM_SPEC = ModelSpec(
    name="ddm",
    parameters=(
        Parameter("v", (-3.0, 3.0), "evidence/s", "drift towards the upper boundary"),
        Parameter(
            "a",
            (0.3, 2.5),
            "evidence",
            "half the separation of the boundaries, at -a and +a",
            domain=(0.0, math.inf),
        ),
        Parameter("z", (0.0, 1.0), "1", "relative starting point, -a + 2 a z", default=0.5, domain=(0.0, 1.0)),
        Parameter("t", (0.0, 2.0), "s", "non-decision time", domain=(0.0, math.inf)),
    ),
    drift=_ddm_drift,
    boundary=_ddm_boundary,
    description="Drift diffusion model: constant drift between two constant boundaries.",
    reference="Ratcliff (1978), Psychological Review 85, 59-108; Ratcliff & McKoon (2008), Neural Computation 20,"
    " 873-922.",
    exact="ddm",
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in (DDM_SPEC,)}
"""The models this release knows by name."""


def get_model(name: str) -> ModelSpec:
    """Look up a model by its registered name.

    Parameters
    ----------
    name : str
        For instance ``"ddm"``.

    Returns
    -------
    ModelSpec

    Raises
    ------
    ValueError
        For an unknown name; the message gives the nearest known one.

    Examples
    --------
    >>> from pymc_lan.spec import get_model
    >>> get_model("ddm").parameter("a").bounds
    (0.3, 2.5)
    """
    if name not in MODELS:
        raise ValueError(unknown("model", name, MODELS))
    return MODELS[name]


def bind(spec: ModelSpec, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Match arguments to a model's parameters, by position and by name, and fill in defaults.

    Parameters
    ----------
    spec : ModelSpec
    positional : sequence
        In the order of `ModelSpec.names`.
    named : mapping of str to object

    Returns
    -------
    dict
        Every parameter, in order.

    Raises
    ------
    ValueError
        For too many arguments, an unknown name, a parameter given twice, or one that is missing.

    Examples
    --------
    >>> from pymc_lan.spec import bind, get_model
    >>> bind(get_model("ddm"), (1.0, 1.2), {"t": 0.3})
    {'v': 1.0, 'a': 1.2, 'z': 0.5, 't': 0.3}
    """
    if len(positional) > len(spec.names):
        raise ValueError(
            explain(
                f"at most the {len(spec.names)} parameters {', '.join(spec.names)} of model {spec.name!r}",
                f"{len(positional)} positional arguments",
                "give everything else by name",
            )
        )
    given = dict(zip(spec.names, positional, strict=False))
    for name, value in named.items():
        spec.parameter(name)
        if name in given:
            raise ValueError(explain(f"{name} once", f"{name} by position and by name", f"give {name} by name only"))
        given[name] = value
    bound = {p.name: given.get(p.name, p.default) for p in spec.parameters}
    if missing := [name for name, value in bound.items() if value is None]:
        raise ValueError(
            explain(
                f"the parameters {', '.join(spec.names)} of model {spec.name!r}",
                f"no {missing[0]}",
                f"give {missing[0]}=...",
            )
        )
    return bound
