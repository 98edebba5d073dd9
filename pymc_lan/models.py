"""The models this release knows by name, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pymc_lan.errors import unknown
from pymc_lan.spec import ModelSpec, Parameter, Structure, Variability
from pymc_lan.transforms import CLOSED

Theta = Mapping[str, Any]

POSITIVE = (0.0, math.inf)


def _v(low: float, high: float) -> Parameter:
    return Parameter("v", (low, high), "evidence/s", "drift towards the upper boundary")


def _a(low: float, high: float) -> Parameter:
    meaning = "half the separation of the boundaries, at -a and +a when the decision starts"
    return Parameter("a", (low, high), "evidence", meaning, domain=POSITIVE)


def _z(low: float, high: float) -> Parameter:
    return Parameter("z", (low, high), "1", "relative starting point, -a + 2 a z", default=0.5, domain=(0.0, 1.0))


def _t(low: float, high: float) -> Parameter:
    return Parameter("t", (low, high), "s", "non-decision time", domain=POSITIVE)


def constant_drift(time: Any, position: Any, theta: Theta) -> Any:
    """Drift v."""
    return theta["v"]


def constant_boundary(time: Any, theta: Theta) -> Any:
    """Boundary a."""
    return theta["a"]


def straight_boundary(time: Any, theta: Theta) -> Any:
    """A boundary that falls from a at the angle theta."""
    import jax.numpy as jnp

    return theta["a"] - time * jnp.tan(theta["theta"])


def weibull_boundary(time: Any, theta: Theta) -> Any:
    """A boundary that falls from a like one less a Weibull distribution function: shape alpha, scale beta."""
    import jax.numpy as jnp

    return theta["a"] * jnp.exp(-((time / theta["beta"]) ** theta["alpha"]))


def weibull_closes(theta: Theta) -> Any:
    """When a Weibull boundary has practically met its mirror image."""
    return theta["beta"] * _SHUT ** (1 / theta["alpha"])


# Boundaries have practically met when this share of their separation is left.
_SHUT = -math.log(CLOSED)

DDM_SPEC = ModelSpec(
    name="ddm",
    parameters=(
        _v(-3.0, 3.0),
        Parameter("a", (0.3, 2.5), "evidence", "half the separation of the boundaries, at -a and +a", domain=POSITIVE),
        _z(0.0, 1.0),
        _t(0.0, 2.0),
    ),
    drift=constant_drift,
    boundary=constant_boundary,
    description="Drift diffusion model: constant drift between two constant boundaries.",
    reference="Ratcliff (1978), Psychological Review 85, 59-108; Ratcliff & McKoon (2008), Neural Computation 20,"
    " 873-922.",
    transform="constant_drift",
    exact=True,
)

DDM_EXTENDED_SPEC = replace(
    DDM_SPEC,
    name="ddm_extended",
    parameters=(_v(-6.0, 6.0), replace(DDM_SPEC.parameter("a"), bounds=(0.3, 4.0)), _z(0.0, 1.0), _t(0.0, 2.0)),
    description="Drift diffusion model with wider bounds: constant drift between two constant boundaries.",
)

ANGLE_SPEC = ModelSpec(
    name="angle",
    parameters=(
        _v(-3.0, 3.0),
        _a(0.3, 3.0),
        _z(0.1, 0.9),
        _t(0.0, 2.0),
        Parameter(
            "theta",
            (-0.1, 1.3),
            "rad",
            "angle at which the boundaries fall: they are at +-(a - d tan(theta)) after d seconds of decision",
            domain=(-math.pi / 2, math.pi / 2),
        ),
    ),
    drift=constant_drift,
    boundary=straight_boundary,
    description="Diffusion with boundaries that collapse in a straight line: constant drift between +-(a - d tan"
    "(theta)).",
    reference="Fengler, Govindarajan, Chen & Frank (2021), eLife 10, e65074.",
    transform="straight_boundary",
    exact=True,
)

DDM_SDV_SPEC = replace(
    DDM_SPEC,
    name="ddm_sdv",
    parameters=(
        _v(-3.0, 3.0),
        DDM_SPEC.parameter("a"),
        _z(0.1, 0.9),
        _t(0.0, 2.0),
        Parameter(
            "sv", (0.0, 2.5), "evidence/s", "standard deviation of the drift across trials", domain=(0.0, math.inf)
        ),
    ),
    description="Drift diffusion model with a drift that is normal across trials: mean v, standard deviation sv.",
    reference="Ratcliff (1978), Psychological Review 85, 59-108.",
    transform="variable_drift",
    variability=(Variability("v", "normal", "sv"),),
)

WEIBULL_SPEC = ModelSpec(
    name="weibull",
    parameters=(
        _v(-2.5, 2.5),
        _a(0.3, 2.5),
        _z(0.2, 0.8),
        _t(0.0, 2.0),
        Parameter("alpha", (0.31, 4.99), "1", "shape of the collapse: above 1 it begins slowly", domain=POSITIVE),
        Parameter("beta", (0.31, 6.99), "s", "scale: when the boundaries have fallen to a / e", domain=POSITIVE),
    ),
    drift=constant_drift,
    boundary=weibull_boundary,
    description="Diffusion with boundaries that collapse like a Weibull survival function: constant drift between"
    " +-a exp(-(d / beta)^alpha).",
    reference="Hawkins, Forstmann, Wagenmakers, Ratcliff & Brown (2015), Journal of Neuroscience 35, 2476-2484.",
    closes=weibull_closes,
    structure=Structure(leak=False, varying=False, moving=True),
)

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        DDM_SPEC,
        DDM_EXTENDED_SPEC,
        DDM_SDV_SPEC,
        ANGLE_SPEC,
        WEIBULL_SPEC,
    )
}
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
    >>> from pymc_lan.models import get_model
    >>> get_model("ddm").parameter("a").bounds
    (0.3, 2.5)
    """
    if name not in MODELS:
        raise ValueError(unknown("model", name, MODELS))
    return MODELS[name]
