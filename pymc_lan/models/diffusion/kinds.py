"""The kinds of diffusions between two boundaries: in closed form, by functions, and with what varies across trials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, unknown
from pymc_lan.models.density import Density, Views
from pymc_lan.models.diffusion.closed_forms import (
    ClosedDensity,
    ClosedForm,
    constant_boundary,
    constant_drift,
    draw_constant,
    straight_boundary,
)
from pymc_lan.models.diffusion.closed_labels import ClosedLabels, draw_decisions
from pymc_lan.models.diffusion.closed_view import ClosedView, relative_distances
from pymc_lan.models.diffusion.mixture_view import MixtureDeadline, MixtureSurvivor, MixtureView
from pymc_lan.models.diffusion.path_views import PathViews
from pymc_lan.models.diffusion.solved_labels import MixtureLabels, PathLabels
from pymc_lan.models.diffusion.structure import CURVED, PATH_TAGS, Structure, structure_of
from pymc_lan.models.labels import Labels
from pymc_lan.models.model import Model, spread
from pymc_lan.models.parameters import Parameter, Variability
from pymc_lan.models.residual import ResidualViews
from pymc_lan.numerics.mass import Panel
from pymc_lan.numerics.passage import Boundary, Drift, Namespace, Theta

Float = NDArray[np.float64]

_BY_FUNCTIONS = (
    "for a diffusion by functions of your own write pl.ModelSpec(name=..., parameters=..., drift=..., boundary=..., "
    "description=..., reference=...), with the parameters of another model if you like, and train it"
)
_VARYING = (
    "take ddm_sdv, ddm_st or full_ddm, or let the function of a pl.simulator_spec draw what varies from trial to trial"
)


# In units of the squared distance from start to boundary: before, the density is below exp(-50) of its scale, or
# exp(-20) where the boundary has come halfway by then. In units of a squared: after it, nothing is undecided.
EARLY, LATE = 0.005, 40.0
# A relative distance of the start to a boundary that is looked at.
NEAREST = 1e-3

# Of functions by which boundaries of the catalogue close, what they are in any namespace.
CLOSES: dict[Callable[[Theta], Any], Callable[[Namespace, Theta], Any]] = {}


class Diffusion(Model, ABC):
    """A diffusion between two boundaries, with unit noise.

    The process starts at ``-b + 2 b z`` where ``b = boundary(0, theta)``, moves with ``drift(time, position, theta)``
    and responds +1 at ``+boundary(time, theta)``, -1 at ``-boundary(time, theta)``; the response time adds the
    non-decision time ``t``.
    """

    __slots__ = ()

    drift: Drift
    boundary: Boundary

    @abstractmethod
    def _decide(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Decision times and responses, at given values of what varies across trials."""

    @final
    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Draw one trial for each set of parameters."""
        varied = vary(self, rng, theta)
        time, response = self._decide(rng, {name: varied[name] for name in self.names})
        return varied["t"] + time, response

    def panels(self, xp: Any, response: Any, theta: Theta) -> tuple[Panel, ...]:
        """From when a path may have come to the nearer start's boundary until none is left between a and -a."""
        if "a" not in theta:
            return Model.panels(self, xp, response, theta)
        reach = spread(self, "z", theta)
        w, _ = relative_distances(xp, response, theta["z"])
        w = w if reach is None else w - reach
        squared = (2 * theta["a"] * xp.maximum(w, NEAREST)) ** 2
        first = EARLY * squared
        last = xp.maximum(self._latest(xp, theta), 2 * first)
        window = spread(self, "t", theta)
        if window is None:
            return (Panel(0.0, first, last),)
        # The density falls again where even the latest trials have begun.
        return Panel(-window, first, 2 * window + first), Panel(window, first, last)

    def _latest(self, xp: Any, theta: Theta) -> Any:
        """When practically everything is decided [s]."""
        return LATE * theta["a"] ** 2


def vary(model: Model, rng: np.random.Generator, theta: Mapping[str, Float]) -> dict[str, Float]:
    """Draw what varies across trials."""
    varied = dict(theta)
    for each in model.variability:
        n = theta[each.parameter].size
        unit = rng.standard_normal(n) if each.distribution == "normal" else rng.uniform(-1, 1, n)
        varied[each.parameter] = theta[each.parameter] + theta[each.spread] * unit
    return varied


@final
@dataclass(frozen=True, slots=True, repr=False)
class ClosedDiffusion(Diffusion):
    """A diffusion whose density is a closed form, from which drift and boundary follow.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order of positional arguments.
    form : ClosedForm
    description, reference : str
    choices : tuple of int
    """

    name: str
    parameters: tuple[Parameter, ...]
    form: ClosedForm
    description: str
    reference: str
    choices: tuple[int, ...] = (-1, 1)

    _instead: ClassVar[str] = _BY_FUNCTIONS

    @property
    def drift(self) -> Drift:  # type: ignore[override]
        """That of the closed form."""
        return self.form.drift

    @property
    def boundary(self) -> Boundary:  # type: ignore[override]
        """That of the closed form."""
        return self.form.boundary

    @property
    def needs(self) -> tuple[str, ...]:
        """The parameters that the closed form looks up."""
        return self.form.needs

    @property
    def variability(self) -> tuple[Variability, ...]:
        """What varies across trials in the closed form."""
        return self.form.variability

    @property
    def collapses(self) -> bool:
        """Whether the boundaries of the closed form may meet."""
        return self.form.boundary is straight_boundary

    @property
    def views(self) -> Views:
        """Networks that correct the leading terms of the closed form."""
        return ResidualViews(self.form.tag, ClosedView(self.form.passage), self.form.deadline)

    @property
    def exact(self) -> Density:
        """The closed form."""
        return ClosedDensity(self.form)

    @property
    def labels(self) -> Labels:
        """From the closed form."""
        return ClosedLabels(self, self.form)

    def _latest(self, xp: Any, theta: Theta) -> Any:
        return self.form.deadline.latest(xp, theta)

    def _decide(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        if self.form.draw is not None:
            return self.form.draw(rng, theta)
        return draw_decisions(self.form, rng, {name: x for name, x in theta.items() if name != "t"})


@final
@dataclass(frozen=True, slots=True, repr=False)
class ModelSpec(Diffusion):
    """A diffusion between two boundaries that is given by its functions.

    The process has unit noise and starts at ``-b + 2 b z`` where ``b = boundary(0, theta)``, moves with
    ``drift(time, position, theta)`` and responds +1 at ``+boundary(time, theta)``, -1 at
    ``-boundary(time, theta)``; the response time adds the non-decision time ``t``.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order of positional arguments; a starting point ``z`` and a non-decision time ``t`` among them.
    drift, boundary : callable
        ``drift(time, position, theta)`` and ``boundary(time, theta)`` written with ``jax.numpy``
        or plain arithmetic; ``theta`` maps parameter names to numbers.
    description, reference : str
        For the model's card.
    choices : tuple of int
        -1 and 1.
    closes : callable, optional
        ``closes(theta)``: for boundaries that collapse, the time in seconds by which they have practically met.
        After it the log density goes on in a straight line down.
    structure : Structure, optional
        What the functions depend on; read off from them where it is not given.
    seen : {"curved", "path"}
        By which formulas networks see a trial: ``"path"`` is that of versions below 2.0.

    Raises
    ------
    ValueError
        For names that cannot be used or that repeat, no ``z`` or ``t``, other choices, or arguments of other kinds of
        models.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> ddm = pl.get_model("ddm")
    >>> steep = pl.ModelSpec(
    ...     name="steep",
    ...     parameters=ddm.parameters,
    ...     drift=lambda time, position, theta: 3 * theta["v"],
    ...     boundary=lambda time, theta: theta["a"],
    ...     description="A drift three times as strong.",
    ...     reference="unpublished",
    ... )
    >>> steep.names
    ('v', 'a', 'z', 't')
    """

    name: str
    parameters: tuple[Parameter, ...]
    drift: Drift
    boundary: Boundary
    description: str
    reference: str
    choices: tuple[int, ...] = (-1, 1)
    closes: Callable[[Theta], Any] | None = None
    structure: Structure | None = None
    seen: str = CURVED

    _instead: ClassVar[str] = f"leave it out; where parameters are to vary, {_VARYING}"

    def __post_init__(self) -> None:
        """Refuse what is no diffusion by functions between two boundaries."""
        Model.__post_init__(self)
        for what in ("drift", "boundary", *(["closes"] if self.closes is not None else [])):
            if not callable(getattr(self, what)):
                found = type(getattr(self, what)).__name__
                raise ValueError(explain(f"a function as the {what} of model {self.name!r}", found, "give one"))
        if self.choices != (-1, 1):
            expected = f"the choices (-1, 1) of the boundaries of model {self.name!r}"
            raise ValueError(explain(expected, f"{self.choices}", "leave choices out, and code the data so"))
        given: Any = self.structure
        if not isinstance(given, Structure | None):
            expected = f"a Structure of model {self.name!r}, or None"
            raise ValueError(explain(expected, f"{given!r:.80}", "leave it out, and it is read off"))
        if self.seen not in PATH_TAGS:
            raise ValueError(unknown("view", f"{self.seen}", PATH_TAGS, of=f"model {self.name!r}"))

    @property
    def needs(self) -> tuple[str, ...]:
        """Those that are not looked up by its own functions."""
        return ("z", "t")

    @property
    def views(self) -> Views:
        """Networks that correct a formula of drift and boundary."""
        return PathViews(self, self.seen)

    def as_seen(self, tag: str) -> Model:
        """The diffusion as networks of another version see it."""
        return replace(self, seen=tag) if tag in PATH_TAGS else self

    @property
    def labels(self) -> Labels:
        """From the equations of Volterra or of Fokker and Planck."""
        return PathLabels(self)

    @property
    def collapses(self) -> bool:
        """Whether boundaries meet, as the spec says."""
        return self.closes is not None

    @property
    def decides(self) -> bool:
        """Whether nothing holds a trial, and boundaries do not move: they may run away."""
        kind = structure_of(self)
        return not (kind.positional or kind.moving)

    @property
    def escapes(self) -> bool:
        """Whether boundaries may run away: a drift that depends on position may hold a trial for ever."""
        return structure_of(self).moving

    def _latest(self, xp: Any, theta: Theta) -> Any:
        latest = Diffusion._latest(self, xp, theta)
        meets = None if self.closes is None else CLOSES.get(self.closes)
        return latest if meets is None else xp.minimum(latest, meets(xp, theta))

    def _decide(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        from pymc_lan.models.diffusion.path_draws import draw_passages  # loads JAX

        return draw_passages(self, rng, theta)


@final
@dataclass(frozen=True, slots=True, repr=False)
class MixtureDiffusion(Diffusion):
    """A diffusion with constant drift and boundaries, some of whose parameters vary across trials.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order of positional arguments.
    variability : tuple of Variability
        What varies: v normally, z and t uniformly.
    description, reference : str
    choices : tuple of int
    """

    name: str
    parameters: tuple[Parameter, ...]
    variability: tuple[Variability, ...] = ()
    description: str = ""
    reference: str = ""
    choices: tuple[int, ...] = (-1, 1)

    _instead: ClassVar[str] = _BY_FUNCTIONS
    _varies: ClassVar[Mapping[str, str]] = {"z": "uniform", "v": "normal", "t": "uniform"}

    def __post_init__(self) -> None:
        """Refuse what its quadrature does not know."""
        Model.__post_init__(self)
        found = [(each.parameter, each.distribution, each.spread) for each in self.variability]
        known = all(self._varies.get(name) == how and by in self.names for name, how, by in found)
        if not known or not found or len({name for name, _, _ in found}) < len(found):
            may = ", ".join(f"{name} ({how}, by a parameter)" for name, how in self._varies.items())
            has = ", ".join(f"{name} ({how}, by {by})" for name, how, by in found) or "none"
            expected = f"variability of {may} across trials in model {self.name!r}, which knows no other"
            raise ValueError(explain(expected, has, _VARYING))

    @property
    def drift(self) -> Drift:  # type: ignore[override]
        """At the values of a trial, constant."""
        return constant_drift

    @property
    def boundary(self) -> Boundary:  # type: ignore[override]
        """At the values of a trial, constant."""
        return constant_boundary

    @property
    def needs(self) -> tuple[str, ...]:
        """The parameters of the closed form that is averaged."""
        return ("v", "a", "z", "t")

    @property
    def decides(self) -> bool:
        """Always: boundaries are constant."""
        return True

    @property
    def views(self) -> Views:
        """Networks that correct a mean by a few nodes."""
        return ResidualViews("spread", MixtureView(self), MixtureDeadline(self), MixtureSurvivor(self))

    @property
    def labels(self) -> Labels:
        """From the same mean by many nodes."""
        return MixtureLabels(self)

    def earliest(self, theta: Theta) -> Any:
        """Before which no decision time falls [s], counted from the mean non-decision time."""
        window = spread(self, "t", theta)
        return 0.0 if window is None else -window

    def _decide(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        return draw_constant(rng, theta)
