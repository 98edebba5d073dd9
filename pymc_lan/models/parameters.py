"""The parameters of a model: names, bounds, units, and what varies from trial to trial."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymc_lan.errors import check_name, check_text, explain, is_real

# Arguments of every PyMC distribution, and of those of this package.
RESERVED = {
    *("name", "dims", "shape", "size", "rng", "return_next_rng", "initval", "observed", "total_size", "transform"),
    *("default_transform", "model", "likelihood", "weights", "response", "deadline", "trial_type", "v_nogo"),
    *("p_lapse", "lapse_go", "lapse_window", "missing", "rt_interval", "truncation"),
}

# What distributions know of the task beside a model's parameters.
TASK = frozenset(
    {"p_lapse", "lapse_go", "lapse_window", "deadline", "rt_interval", "truncation_low", "truncation_high"}
)

# A domain of parameters.
POSITIVE = (0.0, math.inf)
# How far inside an open end of its domain (a > 0, 0 < z < 1) a parameter is kept.
DOMAIN_MARGIN = 1e-6


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
    closed : bool
        Whether the lower end of the domain belongs to it.
    """

    name: str
    bounds: tuple[float, float]
    unit: str
    meaning: str
    default: float | None = None
    domain: tuple[float, float] = (-math.inf, math.inf)
    closed: bool = False

    def __post_init__(self) -> None:
        """Refuse what could not be an argument, could not be shown, or is no range."""
        check_name("parameter", self.name)
        if self.name in TASK:
            found = f"{self.name!r}, which is what a distribution calls a part of the task"
            raise ValueError(explain("another name of a parameter", found, "rename it, for instance to 'limit'"))
        check_text(f"the unit of {self.name}", self.unit)
        check_text(f"the meaning of {self.name}", self.meaning)
        low, high = as_bounds(self.name, self.bounds)
        if not self.domain[0] <= low < high <= self.domain[1]:
            expected = f"bounds of {self.name} within {self.domain[0]:g} to {self.domain[1]:g}, where it is defined"
            raise ValueError(explain(expected, f"{low:g} and {high:g}", "give the trained range"))
        given: Any = self.bounds
        if not isinstance(given, tuple):
            object.__setattr__(self, "bounds", (low, high))
        default: Any = self.default
        if default is not None and not (is_real(default) and math.isfinite(default)):
            expected = f"a number as the default of {self.name}, or None"
            raise ValueError(explain(expected, f"{default!r:.40}", "leave it out, and it has to be given"))

    @property
    def keyword(self) -> str:
        """What the argument of a distribution is called: the name, with an underscore where it means something else."""
        return f"{self.name}_" if self.name in RESERVED else self.name


def as_bounds(name: str, given: Any) -> tuple[float, float]:
    """The bounds of a parameter as two finite numbers, the lower first.

    Parameters
    ----------
    name : str
        Of the parameter, for the message.
    given : object

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> as_bounds("v", [-3, 3])
    (-3.0, 3.0)
    """
    pair = tuple(given) if isinstance(given, Iterable) else (given,)
    if len(pair) == 2 and all(map(is_real, pair)):
        # Of a whole number beyond all floats there is no float.
        low, high = (float(end) if abs(end) <= sys.float_info.max else math.inf for end in pair)
        if math.isfinite(low) and math.isfinite(high) and low < high:
            return low, high
    found = " and ".join(f"{end!r:.40}" for end in pair[:3])
    raise ValueError(explain(f"bounds of {name} as finite (low, high)", found or "none", "give the trained range"))


def as_choices(given: Any) -> tuple[int, ...]:
    """Response codes as whole numbers, each once.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> as_choices([-1.0, 1])
    (-1, 1)
    """
    codes = tuple(given) if isinstance(given, Iterable) else (given,)
    whole = all(isinstance(code, numbers.Real | np.bool_) and float(code).is_integer() for code in codes)
    if not codes or not whole or not isinstance(given, Iterable) or len(set(codes)) < len(codes):
        expected, remedy = "whole numbers as choices, each once", "give (-1, 1), or 0 to n - 1"
        raise ValueError(explain(expected, f"{codes if isinstance(given, Iterable) else given}", remedy))
    return tuple(int(code) for code in codes)


@dataclass(frozen=True, slots=True)
class Variability:
    """A parameter that differs from trial to trial.

    Parameters
    ----------
    parameter : str
        The one that varies; its value is the mean.
    distribution : {"normal", "uniform"}
    spread : str
        The parameter that holds the standard deviation or, for the uniform, half the width.
    """

    parameter: str
    distribution: str
    spread: str


@dataclass(frozen=True, slots=True)
class Simulator:
    """A function that draws trials, and how it wants to be called.

    Parameters
    ----------
    function : callable
        ``(theta, rng)`` to response times and responses, or to responses alone.
    vectorised : bool
        Whether `theta` is a matrix with a row for each trial, or one row.
    library : {"numpy", "jax"}
        Whether `rng` is a `numpy.random.Generator`, or a key of `jax.random`.
    """

    function: Callable[[Any, Any], Any]
    vectorised: bool = True
    library: str = "numpy"

    @property
    def serial(self) -> bool:
        """Whether trials are drawn one after another; JAX maps a function of one trial over all."""
        return not self.vectorised and self.library == "numpy"
