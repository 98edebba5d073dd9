"""What every model is: parameters, choices, trials that can be drawn, and what is known of its density."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import check_name, check_text, explain, unknown
from pymc_lan.models.density import Density, Views
from pymc_lan.models.labels import Labels
from pymc_lan.models.parameters import Parameter, Simulator, Variability
from pymc_lan.numerics.mass import Panel
from pymc_lan.numerics.passage import Theta

Float = NDArray[np.float64]

# When decisions fall of which nothing is known.
ANY_TIME = (Panel(0.0, 1e-3, 1.0), Panel(0.0, 1.0, 1e3))


class Model(ABC):
    """A model of decisions, as frozen data: the root of a closed family.

    Its classes are abstract, or final and frozen dataclasses, shown by name and parameters (``repr=False``).
    Methods say what a model is; what an upper floor does with it is said there, by `functools.singledispatch`.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order of positional arguments.
    description, reference : str
    choices : tuple of int
        The response codes.
    """

    __slots__ = ()

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    reference: str
    choices: tuple[int, ...]

    # What to do instead, where an argument is given that this kind has no place for.
    _instead: ClassVar[str] = "leave it out"

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Refuse what the kind would pass over, in a sentence."""
        known = [each.name for each in fields(cls)]  # type: ignore[arg-type]
        for name in given:
            if name not in known:
                raise ValueError(explain(f"of a {cls.__name__} only {', '.join(known)}", name, cls._instead))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Refuse names that could not be used or shown, or that repeat, and what cannot be told apart."""
        check_name("model", self.name)
        given: Any = self.parameters
        if isinstance(given, list):
            object.__setattr__(self, "parameters", tuple(given))
        if not (isinstance(given, tuple | list) and all(isinstance(p, Parameter) for p in given)):
            remedy = "write parameters=(pl.Parameter(name, bounds, unit, meaning), ...)"
            raise ValueError(explain(f"a tuple of Parameter in {self.name!r}", f"{given!r:.80}", remedy))
        if missing := [name for name in self.needs if name not in self.names]:
            expected = f"the parameters {', '.join(self.needs)} of model {self.name!r}"
            found = f"no {' and no '.join(missing)} among {', '.join(self.names) or 'none'}"
            remedy = "name them so; a z of 0.5 or a t of 0 is a parameter that distributions are given as a constant"
            raise ValueError(explain(expected, found, remedy))
        check_text(f"the description of {self.name}", self.description)
        check_text(f"the reference of {self.name}", self.reference)
        if len({*self.names}) < len(self.names):
            raise ValueError(explain("each name once", ", ".join(self.names), "rename the parameter that repeats"))
        if self.shift is not None and self.shift not in self.names:
            raise ValueError(unknown("shift", self.shift, self.names, of=f"model {self.name!r}"))
        try:
            hash(self)
        except TypeError as error:
            # What is found of a model is kept, so it has to be known again.
            expected = f"functions and values with a hash in model {self.name!r}, which tells it from others"
            remedy = "write tuples for lists; make an object that is called a function, or its class a frozen dataclass"
            raise ValueError(explain(expected, str(error), remedy)) from error

    @property
    def needs(self) -> tuple[str, ...]:
        """The parameters that its density looks up by name."""
        return ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}: {', '.join(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in positional order."""
        return tuple(p.name for p in self.parameters)

    def parameter(self, name: str, also: Sequence[str] = ()) -> Parameter:
        """The parameter of that name; ValueError with the nearest name, of those in `also`, too, otherwise."""
        for p in self.parameters:
            if p.name == name:
                return p
        raise ValueError(unknown("parameter", name, self.names, also=also, of=f"model {self.name!r}"))

    @property
    def shift(self) -> str | None:
        """The parameter that does nothing but move every response time, the non-decision time; None without times."""
        return "t" if self.times else None

    @property
    def times(self) -> bool:
        """Whether its trials have response times."""
        return True

    @property
    def omissions(self) -> bool:
        """Whether some of the trials that it draws have no response."""
        return False

    @property
    def order(self) -> tuple[str, str] | None:
        """Two parameters of which the first is not to exceed the second, if there are such."""
        return None

    @property
    def variability(self) -> tuple[Variability, ...]:
        """What varies across trials."""
        return ()

    @property
    def simulator(self) -> Simulator | None:
        """The function that draws its trials, of a model that is known by one."""
        return None

    @property
    def views(self) -> Views | None:
        """How networks see its trials; None of a model that takes no network."""
        return None

    def as_seen(self, tag: str) -> Model:
        """The model as networks of another version see it, whose configs call that by a name; else itself."""
        return self

    @property
    def exact(self) -> Density | None:
        """Its density without networks, in closed form."""
        return None

    @property
    def log_choices(self) -> Callable[[Any, Theta], list[Any]] | None:
        """Log probability of each choice, of a model of responses alone that has them in closed form."""
        return None

    @property
    def labels(self) -> Labels | None:
        """True densities: to learn from, to measure and to check against."""
        return None

    @property
    def untrained(self) -> Model:
        """The model as it is before its networks are trained."""
        return self

    @abstractmethod
    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Draw one trial for each set of parameters.

        Parameters
        ----------
        rng : numpy.random.Generator
        theta : mapping of str to ndarray, shape (n,)

        Returns
        -------
        rt, response : ndarray of float64, shape (n,)
            Seconds, inf of a trial that is never decided; a choice, and anything where there is none.
        """

    @property
    def escapes(self) -> bool:
        """Whether a decision that never comes means that boundaries ran away, not that something holds every trial."""
        return True

    @property
    def collapses(self) -> bool:
        """Whether boundaries may meet, so that responses have a sharp latest edge of their own."""
        return False

    @property
    def decides(self) -> bool:
        """Whether every trial is known to be decided some time, so that what is left by a deadline is the rest."""
        return False

    def typical(self, theta: Theta) -> Any:
        """When a decision of the last choice is typically made [s]: where a sampler's trials start.

        A quarter of the mean without drift, of a model with a boundary a: near the mode, and before boundaries have
        collapsed. Others decide in half a second.
        """
        z = theta.get("z", 0.5)
        return theta["a"] ** 2 * z * (1 - z) if "a" in theta else 0.5

    def earliest(self, theta: Theta) -> Any:
        """Before which no decision time falls [s], counted from the (mean) non-decision time."""
        return 0.0

    def panels(self, xp: Any, response: Any, theta: Theta) -> tuple[Panel, ...]:
        """Decision times [s] between which a response practically falls, wherever it does."""
        return ANY_TIME

    def check_values(self, theta: Mapping[str, Any]) -> None:  # noqa: B027 - most kinds have nothing to refuse
        """Refuse, with a ValueError, numbers that do not go together; what is left out is not looked at."""


def check_model(spec: Any) -> None:
    """Refuse what is no model, such as a name, with a ValueError."""
    if not isinstance(spec, Model):
        remedy = "give what pl.get_model finds, or what pl.ModelSpec or pl.simulator_spec makes"
        raise ValueError(explain("spec as a model", f"a {type(spec).__name__}", remedy))


def shift(model: Model, theta: Theta) -> Any:
    """By how much every response time of a model comes later than the decision [s]."""
    return 0.0 if model.shift is None else theta[model.shift]


def seen(model: Model) -> list[Parameter]:
    """The parameters that the decision depends on: all but the shift."""
    return [p for p in model.parameters if p.name != model.shift]


def spread(model: Model, parameter: str, theta: Theta) -> Any:
    """How far a parameter varies across trials; None where it does not."""
    for each in model.variability:
        if each.parameter == parameter:
            return theta[each.spread]
    return None


def require_exact(model: Model) -> Density:
    """The density of a model in closed form; ValueError where it has none."""
    if model.exact is None:
        raise ValueError(explain("a model with a closed form", f"{model.name!r}", "use likelihood='lan'"))
    return model.exact


def require_views(model: Model) -> Views:
    """How the networks of a model see its trials; ValueError of a model that takes none."""
    if model.views is None:
        found = f"{model.name!r}, a closed form"
        raise ValueError(explain("a model with a network, or one to train", found, "use likelihood='exact'"))
    return model.views


def require_labels(model: Model) -> Labels:
    """The true densities of a model; ValueError where they are not known."""
    if model.labels is None:
        found = f"{model.name!r}, of which only a simulator or a network is known"
        raise ValueError(explain("a model whose density is known, to take labels from", found, "choose another"))
    return model.labels


def bind(model: Model, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Match arguments to a model's parameters, by position and by name, and fill in defaults.

    Parameters
    ----------
    model : Model
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
    >>> from pymc_lan.models.catalogue import MODELS
    >>> from pymc_lan.models.model import bind
    >>> bind(MODELS["ddm"], (1.0, 1.2), {"t": 0.3})
    {'v': 1.0, 'a': 1.2, 'z': 0.5, 't': 0.3}
    """
    if len(positional) > len(model.names):
        raise ValueError(
            explain(
                f"at most the {len(model.names)} parameters {', '.join(model.names)} of model {model.name!r}",
                f"{len(positional)} positional arguments",
                "give everything else by name",
            )
        )
    given = dict(zip(model.names, positional, strict=False))
    for name, value in named.items():
        model.parameter(name)
        if name in given:
            raise ValueError(explain(f"{name} once", f"{name} by position and by name", f"give {name} by name only"))
        given[name] = value
    bound = {p.name: given.get(p.name, p.default) for p in model.parameters}
    if missing := [name for name, value in bound.items() if value is None]:
        raise ValueError(
            explain(
                f"the parameters {', '.join(model.names)} of model {model.name!r}",
                f"no {missing[0]}",
                f"give {model.parameter(missing[0]).keyword}=...",
            )
        )
    return bound
