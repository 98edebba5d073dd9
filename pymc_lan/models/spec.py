"""What a model is: its parameters, choices and dynamics, as frozen data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pymc_lan.errors import check_name, check_text, explain, unknown
from pymc_lan.models.diffusion.kinds import check_kind
from pymc_lan.numerics.passage import Boundary, Drift

# Arguments of every PyMC distribution, and of those of this package.
RESERVED = {
    *("name", "dims", "shape", "size", "rng", "return_next_rng", "initval", "observed", "total_size", "transform"),
    *("default_transform", "model", "likelihood", "weights", "deadline", "trial_type", "v_nogo"),
    *("p_lapse", "lapse_go", "lapse_window"),
}

# What distributions know of the task beside a model's parameters.
TASK = frozenset({"p_lapse", "lapse_go", "lapse_window", "deadline"})

# A domain of parameters.
POSITIVE = (0.0, math.inf)


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
        low, high = self.bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            found = f"{low!r:.40} and {high!r:.40}"
            raise ValueError(explain(f"bounds of {self.name} as finite (low, high)", found, "give the trained range"))

    @property
    def keyword(self) -> str:
        """What the argument of a distribution is called: the name, with an underscore where it means something else."""
        return f"{self.name}_" if self.name in RESERVED else self.name


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


class Structure(NamedTuple):
    """What the functions of a diffusion depend on.

    Parameters
    ----------
    positional : bool
        Whether the drift depends on position.
    varying : bool
        Whether the drift depends on time.
    moving : bool
        Whether the boundary does.
    linear : bool
        Whether the drift is linear in the position, with a slope that does not change.
    """

    positional: bool
    varying: bool
    moving: bool
    linear: bool = True


Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A network of one hidden layer, from scaled parameters to location, log spread and logit of each choice.

    Of a symmetric model, to those of one choice; parameters as each other choice sees them give the rest.

    Parameters
    ----------
    inner : tuple of tuple of float
        For each hidden unit its weights and, last, its bias.
    outer : tuple of tuple of float
        The same for each output; outputs are ordered by choice, then location, log spread and logit.
    """

    inner: tuple[Row, ...]
    outer: tuple[Row, ...]

    def __call__(self, xp: Any, inputs: Sequence[Any]) -> list[Any]:
        """Evaluate all outputs, elementwise."""
        hidden = []
        for row in self.inner:
            x = _affine(row, inputs)
            hidden.append((x + xp.sqrt(x * x + 1)) / 2)
        return [_affine(row, hidden) for row in self.outer]

    def as_lists(self) -> dict[str, list[list[float]]]:
        """The weights as a config stores them."""
        return {"inner": [list(row) for row in self.inner], "outer": [list(row) for row in self.outer]}

    @classmethod
    def from_lists(cls, stored: Mapping[str, Sequence[Sequence[float]]]) -> Reference:
        """Rebuild it from a config."""
        return cls(*(tuple(tuple(float(x) for x in row) for row in stored[key]) for key in ("inner", "outer")))


def _affine(row: Row, inputs: Sequence[Any]) -> Any:
    return row[-1] + sum(w * x for w, x in zip(row[:-1], inputs, strict=True))


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


@dataclass(frozen=True, slots=True)
class Model:
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
        Name of the network inputs and baseline in `pymc_lan.models.diffusion.closed_view.TRANSFORMS`; ``"path"`` makes
        them from `drift` and `boundary`; of a race, name of its accumulators in `pymc_lan.models.race.race.RACES`,
        which then stand in for drift and boundary.
    exact : bool
        Whether the transform's passage is the whole of the density, in closed form.
    variability : tuple of Variability
        What varies across trials.
    closes : callable, optional
        ``closes(theta)``: for boundaries that collapse, the time in seconds by which they have practically met.
        After it the log density goes on in a straight line down.
    structure : Structure, optional
        What the functions depend on; read off from them where it is not given.
    view : str
        How its networks see a trial: ``"residual"`` ones through `transform`; others are in `pymc_lan.models.imported`.
    shift : str, optional
        The parameter that does nothing but move every response time: the non-decision time.
    simulator : object, optional
        What draws trials of a model that has neither drift nor boundary; made by `pymc_lan.simulator_spec`.
    omissions : bool
        Whether some of its trials have no response.
    mirror : tuple of str
        Of such a model with two choices: parameters that, turned about the middle of their bounds, make the choices
        change places.
    exchange : tuple of tuple of str
        Of such a model with accumulators that differ in nothing but parameters: groups of one parameter for each
        choice, in their order. When these are moved on by one, so are the choices.
    baseline : Reference, optional
        The density that networks of such a model correct; fitted when it is trained.

    Examples
    --------
    >>> from pymc_lan.models.catalogue import get_model
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
    transform: str = "path"
    exact: bool = False
    variability: tuple[Variability, ...] = ()
    closes: Callable[[Mapping[str, Any]], Any] | None = None
    structure: Structure | None = None
    view: str = "residual"
    shift: str | None = "t"
    simulator: Simulator | None = None
    omissions: bool = False
    mirror: tuple[str, ...] = ()
    exchange: tuple[tuple[str, ...], ...] = ()
    baseline: Reference | None = None

    def __post_init__(self) -> None:
        """Refuse names that could not be used or shown or that repeat, and what its kind would pass over."""
        check_name("model", self.name)
        check_text(f"the description of {self.name}", self.description)
        check_text(f"the reference of {self.name}", self.reference)
        if len({*self.names}) < len(self.names):
            raise ValueError(explain("each name once", ", ".join(self.names), "rename the parameter that repeats"))
        check_kind(self)

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


def shift(spec: Model, theta: Mapping[str, Any]) -> Any:
    """By how much every response time of a model comes later than the decision [s]."""
    return 0.0 if spec.shift is None else theta[spec.shift]


def seen(spec: Model) -> list[Parameter]:
    """The parameters that the decision depends on: all but the shift."""
    return [p for p in spec.parameters if p.name != spec.shift]


def bind(spec: Model, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Match arguments to a model's parameters, by position and by name, and fill in defaults.

    Parameters
    ----------
    spec : Model
    positional : sequence
        In the order of `Model.names`.
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
    >>> from pymc_lan.models.catalogue import get_model
    >>> from pymc_lan.models.spec import bind
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
                f"give {spec.parameter(missing[0]).keyword}=...",
            )
        )
    return bound


ModelSpec = Model
