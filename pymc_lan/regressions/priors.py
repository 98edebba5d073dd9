"""Priors: those of the field by default, on the scale of the links, and any other as plain data.

The default ones of diffusions are wide around what Tran, van Maanen, Heathcote and Matzke (2021, Frontiers in
Psychology 11, 608287, doi 10.3389/fpsyg.2020.608287) found in the literature, in the units of this package: noise 1,
and a is half the boundary separation. Published drifts have the sign of the right answer, which a coding of the data
may change, so the prior of v is symmetric, and as wide as their sizes. What they do not list, or of which task and
model decide, lies in the middle of the trained range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_lan.distributions.values import known_value
from pymc_lan.errors import explain
from pymc_lan.models.parameters import Parameter
from pymc_lan.regressions.links import Identity, Link, Log, Logit

Float = NDArray[np.float64]

# Shape of the distribution of correlations: 1 is uniform, 2 keeps off -1 and 1.
LKJ = 2.0


class Defaults(NamedTuple):
    """The default prior of a parameter, on the scale of its link.

    Parameters
    ----------
    centre, level : float
        Mean and standard deviation of the parameter itself: an intercept, or a condition of its own.
    effect : float
        Standard deviation, around 0, of a difference between conditions, or of the slope on one standard deviation.
    spread, effect_spread : float
        Scale of the half-normal standard deviation of members of a group, of either.
    """

    centre: float
    level: float
    effect: float
    spread: float
    effect_spread: float


# Centres in the parameter's own unit; all else on the scale of the link.
DEFAULTS: Mapping[str, Defaults] = {
    "v": Defaults(0.0, 2.0, 1.0, 1.0, 0.5),
    "a": Defaults(0.7, 0.4, 0.3, 0.3, 0.2),
    "z": Defaults(0.5, 0.5, 0.5, 0.5, 0.3),
    "t": Defaults(0.4, 0.4, 0.3, 0.3, 0.2),
    "sv": Defaults(1.2, 0.5, 0.3, 0.3, 0.2),
    "st": Defaults(0.1, 0.5, 0.3, 0.3, 0.2),
    "d_press": Defaults(0.7, 0.4, 0.3, 0.3, 0.2),
    "p_lapse": Defaults(0.05, 1.0, 0.5, 0.7, 0.3),
    "lapse_go": Defaults(0.5, 1.0, 0.5, 0.5, 0.3),
}


def defaults(name: str, p: Parameter, link: Link) -> Defaults:
    """The default prior of a parameter, its centre on the scale of its link.

    Parameters
    ----------
    name : str
    p : Parameter
    link : Link
        A centre that is not inside its ends gives way to their middle.
    """
    found = DEFAULTS.get("v" if name == "v_nogo" else name)
    if found is not None and link.low < found.centre < link.high:
        return found._replace(centre=link.predictor(found.centre))
    low, high = p.bounds
    match link:
        case Identity():
            width = high - low
            return Defaults((low + high) / 2, width / 4, width / 8, width / 8, width / 16)
        case Log():
            return Defaults(math.log((low + high) / 2), 0.5, 0.3, 0.3, 0.2)
        case Logit():
            return Defaults(0.0, 1.0, 0.5, 0.5, 0.3)
    raise AssertionError(link)


@dataclass(frozen=True, slots=True)
class Prior:
    """A prior as plain data: the name of a distribution of PyMC, and its arguments.

    Parameters
    ----------
    distribution : str
    arguments : tuple of (str, float or tuple of float)
    """

    distribution: str
    arguments: tuple[tuple[str, float | tuple[float, ...]], ...]

    def __str__(self) -> str:
        return f"{self.distribution}({', '.join(_shown(x) for _, x in self.arguments)})"

    @property
    def code(self) -> str:
        """The arguments as Python code."""
        return ", ".join(f"{name}={_literal(x)}" for name, x in self.arguments)

    @property
    def values(self) -> dict[str, Any]:
        """The arguments as numbers and arrays."""
        return {name: x if isinstance(x, float) else np.array(x) for name, x in self.arguments}

    @property
    def positive(self) -> bool:
        """Whether there are no negative values."""
        return self.distribution in _POSITIVE or bool(np.min(self.values.get("lower", -1.0)) >= 0)

    def variable(self, name: str, **kwargs: Any) -> TensorVariable:
        """Add the variable to the current PyMC model."""
        import pymc as pm

        return getattr(pm, self.distribution)(name, **self.values, **kwargs)

    def dist(self, **kwargs: Any) -> TensorVariable:
        """The variable outside a model."""
        import pymc as pm

        return getattr(pm, self.distribution).dist(**self.values, **kwargs)


def _shown(x: float | tuple[float, ...]) -> str:
    return f"{x:.3g}" if isinstance(x, float) else f"[{', '.join(f'{each:.3g}' for each in x)}]"


def _literal(x: float | tuple[float, ...]) -> str:
    return repr(x if isinstance(x, float) else list(x)).replace("inf", "np.inf")


def normal(mu: Float, sigma: Float) -> Prior:
    """A normal of several values."""
    return Prior("Normal", (("mu", tuple(mu.tolist())), ("sigma", tuple(sigma.tolist()))))


def half_normal(sigma: Float) -> Prior:
    """A half-normal of several values."""
    return Prior("HalfNormal", (("sigma", tuple(sigma.tolist())),))


# Those without negative values, whatever their arguments.
_POSITIVE = ("LogNormal", "Beta", "HalfNormal", "HalfCauchy", "Gamma", "InverseGamma", "Exponential")
# By what PyMC prints: the arguments that the constructor takes, and which inputs of the variable they are.
# Gamma and Exponential keep a scale where the constructor takes a rate.
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "Normal": ("mu", "sigma"),
    "StudentT": ("nu", "mu", "sigma"),
    "Cauchy": ("alpha", "beta"),
    "Laplace": ("mu", "b"),
    "LogNormal": ("mu", "sigma"),
    "TruncatedNormal": ("mu", "sigma", "lower", "upper"),
    "Uniform": ("lower", "upper"),
    "Beta": ("alpha", "beta"),
    "HalfNormal": ("", "sigma"),
    "HalfCauchy": ("beta",),
    "Gamma": ("alpha", "1/beta"),
    "InverseGamma": ("alpha", "beta"),
    "Exponential": ("1/lam",),
}


def as_prior(name: str, given: Any) -> Prior:
    """A prior from a variable of PyMC that is in no model, as ``pm.Beta.dist(2, 38)``.

    Parameters
    ----------
    name : str
        Whose prior it is, for the message.
    given : Prior or tensor variable

    Raises
    ------
    ValueError
        For anything else, another distribution, or arguments that are not constant.

    Examples
    --------
    >>> import pymc as pm
    >>> print(as_prior("p_lapse", pm.Beta.dist(2, 38)))
    Beta(2, 38)
    """
    if isinstance(given, Prior):
        return given
    node = getattr(given, "owner", None)
    family = (getattr(getattr(node, "op", None), "_print_name", None) or ("",))[0]
    if node is None or family not in _KNOWN:
        expected = f"as the prior of {name} one of {', '.join(_KNOWN)}, as in pm.Normal.dist(0, 1)"
        remedy = "give one of these, or write the model by hand: reg.code() is where to begin"
        raise ValueError(explain(expected, family or f"{given!r:.60}", remedy))
    assert node is not None
    arguments = []
    for argument, variable in zip(_KNOWN[family], node.op.dist_params(node), strict=True):
        value = known_value(variable)
        if value is None:
            remedy = "give numbers; what is itself to be estimated is a formula"
            raise ValueError(explain(f"numbers in the prior of {name}", "a variable", remedy))
        # PyTensor keeps what needs no more as a float of 32 bits, and 0.2 is none of 64.
        value = value.astype(str).astype(np.float64)
        if argument:
            value = 1.0 / value if argument.startswith("1/") else value
            arguments.append((argument.removeprefix("1/"), tuple(value.tolist()) if value.ndim else float(value)))
    return Prior(family, tuple(arguments))
