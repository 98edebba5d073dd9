"""From linear predictors to parameters: smooth, strictly increasing, and inside what the network was trained on.

A predictor has no bounds, a parameter has. Each link is the identity, the exponential or the inverse logit wherever
members of a group plausibly are, and turns smoothly aside before an end of the trained range. No end is made up: what
has none, such as t towards 0 or anything of a closed form, is not bent there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pymc_lan.models.parameters import POSITIVE, Parameter

# A bend is as sharp as this many times one part in the width of the range: with 24, a drift of 2 of at most 3 is off by
# 0.005, one of 2.5 by 0.03.
SHARPNESS = 24.0
# The same for a logarithm, per unit, unless the range is narrow: 10 % before the end the parameter is off by 3 %, 30 %
# before by 0.3 %.
SHARPNESS_LOG = 10.0
# Of the start, whose distance to a boundary is a ratio that is to be exact further out.
SHARPNESS_RATIO = 20.0
# How far inside the ends a parameter stays, as a part of the width, so that rounding does not carry it out.
INSET = 1e-7

UNIT = (0.0, 1.0)


def _softplus(x: Any, xp: Any) -> Any:
    """log(1 + exp(x)) without overflow, of an array of NumPy or a variable of PyTensor."""
    return xp.logaddexp(x, 0.0) if xp is np else xp.softplus(x)


def bend(x: Any, low: float, high: float, sharpness: float, xp: Any = np) -> Any:
    """The identity between two ends, which it approaches and never passes; an infinite one is none.

    Parameters
    ----------
    x : array_like or tensor_like
    low, high : float
    sharpness : float
        One over the distance from an end within which it bends.
    xp : module
        `numpy` or `pytensor.tensor`.

    Examples
    --------
    >>> [round(float(bend(x, -3.0, 3.0, 4.0)), 3) for x in (1.0, 2.0, 100.0)]
    [1.0, 1.995, 3.0]
    """
    if math.isfinite(low):
        x = low + _softplus(sharpness * (x - low), xp) / sharpness
    if math.isfinite(high):
        x = high - _softplus(sharpness * (high - x), xp) / sharpness
    return x


@dataclass(frozen=True, slots=True)
class Link(ABC):
    """A link: the root of a closed family.

    Parameters
    ----------
    low, high : float
        The ends of the parameter; infinite where there is none.
    """

    low: float
    high: float

    name: ClassVar[str]

    @abstractmethod
    def natural(self, x: Any, xp: Any = np) -> Any:
        """The parameter at a value of the predictor."""

    @abstractmethod
    def predictor(self, value: float) -> float:
        """The predictor of a value of the parameter that is not near an end."""

    @abstractmethod
    def code(self, x: str) -> str:
        """`natural` as PyTensor code."""

    @property
    def _ends(self) -> tuple[float, float]:
        """The ends, a rounding error further inside."""
        width = self.high - self.low
        inset = INSET * (width if math.isfinite(width) else 1.0)
        return self.low + inset, self.high - inset


@dataclass(frozen=True, slots=True)
class Identity(Link):
    """The predictor itself."""

    name: ClassVar[str] = "identity"

    @property
    def _sharpness(self) -> float:
        width = self.high - self.low
        return SHARPNESS / width if math.isfinite(width) else SHARPNESS_LOG

    def natural(self, x: Any, xp: Any = np) -> Any:
        """The parameter at a value of the predictor."""
        return bend(x, *self._ends, self._sharpness, xp)

    def predictor(self, value: float) -> float:
        """The value."""
        return value

    def code(self, x: str) -> str:
        """`natural` as PyTensor code."""
        return _bend_code(x, *self._ends, self._sharpness)


@dataclass(frozen=True, slots=True)
class Log(Link):
    """The exponential: of what is positive. Differences of the predictor are ratios of the parameter.

    Parameters
    ----------
    sharpness : float
    """

    sharpness: float = SHARPNESS_LOG

    name: ClassVar[str] = "log"

    @property
    def _bent(self) -> tuple[float, float, float]:
        """Both ends on the logarithm, and how sharp the bends are."""
        low, high = self._ends
        low = math.log(low) if self.low > 0 else -math.inf
        high = math.log(high) if math.isfinite(high) else math.inf
        return low, high, max(self.sharpness, SHARPNESS / (high - low))

    def natural(self, x: Any, xp: Any = np) -> Any:
        """The parameter at a value of the predictor."""
        return xp.exp(bend(x, *self._bent, xp))

    def predictor(self, value: float) -> float:
        """The logarithm."""
        return math.log(value)

    def code(self, x: str) -> str:
        """`natural` as PyTensor code."""
        return f"pt.exp({_bend_code(x, *self._bent)})"


@dataclass(frozen=True, slots=True)
class Logit(Link):
    """The inverse logit, between the two ends: of shares."""

    name: ClassVar[str] = "logit"

    def natural(self, x: Any, xp: Any = np) -> Any:
        """The parameter at a value of the predictor."""
        low, high = self._ends
        return low + (high - low) * (0.5 + 0.5 * xp.tanh(0.5 * x))

    def predictor(self, value: float) -> float:
        """The logit of the value's place between the ends."""
        return math.log((value - self.low) / (self.high - value))

    def code(self, x: str) -> str:
        """`natural` as PyTensor code."""
        low, high = self._ends
        return f"{low!r} + {high - low!r} * (0.5 + 0.5 * pt.tanh(0.5 * ({x})))"


def _bend_code(x: str, low: float, high: float, sharpness: float) -> str:
    """`bend` as PyTensor code."""
    ends = f"{_literal(low)}, {_literal(high)}, {sharpness!r}"
    return x if not (math.isfinite(low) or math.isfinite(high)) else f"bend({x}, {ends})"


def _literal(end: float) -> str:
    return repr(end) if math.isfinite(end) else f"{'-' if end < 0 else ''}np.inf"


# What `code` of a link calls.
BEND_CODE = '''
def bend(x, low, high, sharpness):
    """The identity between two ends, which it approaches and never passes."""
    if np.isfinite(low):
        x = low + pt.softplus(sharpness * (x - low)) / sharpness
    if np.isfinite(high):
        x = high - pt.softplus(sharpness * (high - x)) / sharpness
    return x
'''


def link_of(p: Parameter, *, trained: bool) -> Link:
    """The link of a parameter, by where the model is defined and, with a network, was trained.

    Parameters
    ----------
    p : Parameter
    trained : bool
        Whether a network with bounds is used, and not a closed form.

    Examples
    --------
    >>> link_of(Parameter("a", (0.3, 2.5), "", "", domain=(0.0, math.inf)), trained=True)
    Log(low=0.3, high=2.5, sharpness=10.0)
    """
    low, high = p.bounds if trained else p.domain
    if p.domain == POSITIVE:
        return Log(max(low, 0.0), high)
    if p.domain[0] >= 0.0 and p.domain[1] <= 1.0:
        return Logit(low, high)
    return Identity(low, high)


def start(d_press: Any, a: Any, z: Logit, xp: Any = np) -> Any:
    """The relative start z at a distance of the pressing boundary, from the logarithm of that distance.

    Boundaries lie at -a and a, and the start at -a + 2 a z, so the distance to the upper one is 2 a (1 - z), and z is
    1 - d / (2 a). Where d comes near 2 a, the start would pass the lower boundary; the ratio bends before.

    Parameters
    ----------
    d_press : array_like or tensor_like
        The logarithm of the distance, in the model's units of evidence.
    a : array_like or tensor_like
        Half the boundary separation.
    z : Logit
        Whose ends z has.

    Examples
    --------
    >>> round(float(start(np.log(0.8), 1.0, Logit(0.0, 1.0))), 3)
    0.6
    """
    return 1.0 - ratio_of(z).natural(d_press - xp.log(2.0 * a), xp)


def ratio_of(z: Logit) -> Log:
    """The link of 1 - z, the distance of the pressing boundary as a part of the separation."""
    return Log(1.0 - z.high, 1.0 - z.low, SHARPNESS_RATIO)
