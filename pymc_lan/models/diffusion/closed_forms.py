"""The diffusions whose density is a closed form: what each passage is the passage of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.density import Density, Split, Survivor
from pymc_lan.models.diffusion import closed_deadline, closed_undecided, closed_view
from pymc_lan.models.diffusion.closed_deadline import ClosedDeadline
from pymc_lan.models.diffusion.closed_undecided import Free
from pymc_lan.models.diffusion.closed_view import ClosedView, Passage
from pymc_lan.models.parameters import Variability
from pymc_lan.numerics import wiener
from pymc_lan.numerics.passage import Boundary, Drift, Namespace, Theta

Float = NDArray[np.float64]


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


def draw_constant(rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
    """Decision times and responses between constant boundaries, with constant drift."""
    from pymc_lan.numerics.samplers.wiener import ddm_draws  # loads numba, which takes half a second

    time, sign = ddm_draws(rng, theta["v"], theta["a"], theta["z"])
    return time, sign.astype(np.float64)


@final
@dataclass(frozen=True, slots=True)
class ClosedForm:
    """A density of passages in closed form, and the functions that it is the density of.

    Parameters
    ----------
    tag : str
        What a config calls it.
    passage : callable
        ``(xp, d, response, theta)`` to a `Passage`.
    deadline : ClosedDeadline
    needs : tuple of str
        Parameters that it looks up.
    labels : str
        Where its labels come from.
    boundary : callable
    log_go : callable, optional
        ``(xp, horizon, *theta without t)`` to the log probability of hitting the upper boundary within `horizon`
        seconds of decision time, and the log of the rest, where they have a closed form.
    free : callable
        ``(xp, horizon, theta)`` to where paths would be if there were no boundaries.
    draw : callable, optional
        ``(rng, theta)`` to exact draws at given values of what varies; else they come from the labels' distribution.
    variability : tuple of Variability
        What varies across trials in it.
    """

    tag: str
    passage: Callable[[Namespace, Any, Any, Theta], Passage]
    deadline: ClosedDeadline
    needs: tuple[str, ...]
    labels: str
    free: Free
    boundary: Boundary = constant_boundary
    log_go: Callable[..., tuple[Any, Any]] | None = None
    draw: Callable[[np.random.Generator, Mapping[str, Float]], tuple[Float, Float]] | None = None
    variability: tuple[Variability, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """One of this file, by its tag: copies in other processes are the same."""
        return closed_form, (self.tag,)

    @property
    def drift(self) -> Drift:
        """That of all of them."""
        return constant_drift


@final
@dataclass(frozen=True, slots=True)
class ClosedDensity(Density):
    """The density of a closed form.

    Parameters
    ----------
    form : ClosedForm
    """

    form: ClosedForm

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)`` as for its network."""
        return ClosedView(self.form.passage).onset(xp, d, response, theta)

    def log_density(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """The log density by its series."""
        return wiener.passage_logpdf(xp, self.form.passage(xp, d, response, theta))

    @property
    def log_split(self) -> Split | None:
        """Log probability of the upper boundary within a horizon, and of the rest, where they have a closed form."""
        return None if self.form.log_go is None else self._log_split

    def _log_split(self, xp: Namespace, horizon: Any, theta: Theta) -> tuple[Any, Any]:
        assert self.form.log_go is not None  # `log_split` has looked
        return self.form.log_go(xp, horizon, **{name: x for name, x in theta.items() if name != "t"})

    @property
    def log_survivor(self) -> Survivor:
        """Log probability of no decision within a horizon, by quadrature."""
        return partial(closed_undecided.log_none, self.form.free)


_SERIES = "closed form (Navarro & Fuss 2009; Gondan, Blurton & Kesselmeier 2014)"

CONSTANT_DRIFT = ClosedForm(
    "constant_drift",
    closed_view.constant,
    closed_deadline.CONSTANT,
    needs=("v", "a", "z", "t"),
    labels=_SERIES,
    free=closed_undecided.constant,
    log_go=wiener.ddm_log_go,
    draw=draw_constant,
)
VARIABLE_DRIFT = ClosedForm(
    "variable_drift",
    closed_view.variable,
    closed_deadline.VARIABLE,
    needs=("v", "a", "z", "t", "sv"),
    labels="closed form (the same under the mean of the drift's factor); go probabilities by quadrature",
    free=closed_undecided.variable,
    draw=draw_constant,
    variability=(Variability("v", "normal", "sv"),),
)
STRAIGHT_BOUNDARY = ClosedForm(
    "straight_boundary",
    closed_view.straight,
    closed_deadline.STRAIGHT,
    needs=("v", "a", "z", "t", "theta"),
    labels="closed form (the same in the clock of the moving boundaries); go probabilities by quadrature",
    free=closed_undecided.straight,
    boundary=straight_boundary,
)

FORMS = {form.tag: form for form in (CONSTANT_DRIFT, VARIABLE_DRIFT, STRAIGHT_BOUNDARY)}
"""Closed forms by the tag that a config records."""


def closed_form(tag: str) -> ClosedForm:
    """The closed form of that tag."""
    return FORMS[tag]
