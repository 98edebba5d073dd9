"""Networks that others trained: they see a trial as it is, and nothing is added to what they say.

A plain likelihood network maps the parameters, rt and the response to the log density. Beside it there may be one of
two networks of trials without a response, as HSSM publishes them. Both end in a log-sigmoid, so the log of the
complement is as accurate:

* a choice probability network (CPN) maps the parameters to the log probability of the lower boundary, which is that of
  no press where there is no deadline;
* an omission probability network (OPN) maps the parameters and the deadline to the log probability that neither
  boundary is reached in time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observation import Silence
from pymc_lan.errors import explain
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.delegate import Delegate
from pymc_lan.models.density import DeadlineView, Density, Network, Views
from pymc_lan.models.diffusion.closed_view import ONSET_MAX
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import POSITIVE, Parameter, as_bounds, as_choices
from pymc_lan.models.residual import CorrectedDensity
from pymc_lan.numerics.mass import Panel
from pymc_lan.numerics.passage import Namespace, Theta, softplus

Float = NDArray[np.float64]
Bounds = Mapping[str, tuple[float, float]]

# Tags of a config, by what the network of trials without a response is: a CPN (or none), or an OPN.
PLAIN, PLAIN_OMISSION = "plain", "plain_omission"
TAGS = (PLAIN, PLAIN_OMISSION)

# When decisions fall of which ssm-simulators drew trials: it ends them after 20 s.
ANY_SIMULATED = (Panel(0.0, 1e-3, 1.0), Panel(0.0, 1.0, 20.0))


@final
@dataclass(frozen=True, slots=True)
class PlainView:
    """How a network sees a trial that gives the log density itself.

    Parameters
    ----------
    names : tuple of str
        Of the parameters, in the order of its inputs.
    """

    names: tuple[str, ...]

    @property
    def n_inputs(self) -> int:
        """The parameters, rt and the response."""
        return len(self.names) + 2

    def baseline(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """Nothing: the network corrects no closed form."""
        return 0.0

    def inputs(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """The trial in the order of HSSM's networks."""
        return (*(theta[name] for name in self.names), theta["t"] + d, response)

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """From rt = t downwards, where HSSM has a floor at -66.1, a nat is lost in each millisecond."""
        return 0.0, 1 / ONSET_MAX


@final
@dataclass(frozen=True, slots=True)
class ChoiceNetwork(DeadlineView):
    """A CPN: the logit of the lower boundary, which is that of no press; it knows no deadline.

    Parameters
    ----------
    names : tuple of str
        Of the parameters, in the order of its inputs.
    """

    names: tuple[str, ...]
    deadlines: ClassVar[bool] = False

    @property
    def n_inputs(self) -> int:
        """The parameters."""
        return len(self.names)

    def log_split(self, xp: Namespace, network: Network, horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of the upper boundary, and of the lower; distributions allow no deadline with it."""
        logit = network(tuple(theta[name] for name in self.names))
        return -softplus(xp, logit), -softplus(xp, -logit)


@final
@dataclass(frozen=True, slots=True)
class OmissionNetwork(DeadlineView):
    """An OPN: the logit of no decision by a deadline.

    Parameters
    ----------
    names : tuple of str
        Of the parameters, in the order of its inputs.
    """

    names: tuple[str, ...]
    silence: ClassVar[Silence] = Silence.OMISSION
    no_press: ClassVar[tuple[str, str]] = (
        "an OPN, which knows trials without any decision but not those decided at the lower boundary",
        "import the CPN (cpn=...) instead",
    )

    @property
    def n_inputs(self) -> int:
        """The parameters and the deadline."""
        return len(self.names) + 1

    def log_split(self, xp: Namespace, network: Network, horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of a decision by the deadline, and of none."""
        logit = network((*(theta[name] for name in self.names), theta["t"] + horizon))
        return -softplus(xp, logit), -softplus(xp, -logit)


@final
@dataclass(frozen=True, slots=True)
class PlainViews(Views):
    """Networks that see a trial as it is.

    Parameters
    ----------
    names : tuple of str
        Of the parameters, in the order of their inputs.
    tag : str
        One of `TAGS`.
    """

    names: tuple[str, ...]
    tag: str

    @property
    def n_inputs(self) -> dict[str, int]:
        """How many inputs each network has, by its name in a config."""
        return {"lan": self.lan.n_inputs, "choice": self.choice.n_inputs}

    @property
    def lan(self) -> PlainView:
        """That of the likelihood network."""
        return PlainView(self.names)

    @property
    def choice(self) -> ChoiceNetwork | OmissionNetwork:
        """That of the CPN or OPN."""
        return ChoiceNetwork(self.names) if self.tag == PLAIN else OmissionNetwork(self.names)

    def density(self, lan: Network, choice: Network | None) -> Density:
        """The density that the networks give."""
        return CorrectedDensity(self.lan, lan)


@final
@dataclass(frozen=True, slots=True, repr=False)
class Imported(Delegate):
    """A model as networks see it that others trained.

    Parameters
    ----------
    known : Model
        With the bounds that they were trained on.
    tag : str
        One of `TAGS`.
    """

    known: Model
    tag: str

    @property
    def decides(self) -> bool:
        """Always: all that such networks were trained on are trials with a response."""
        return True

    @property
    def views(self) -> Views:
        """Trials as they are."""
        return PlainViews(self.names, self.tag)


@final
@dataclass(frozen=True, slots=True, repr=False)
class UnknownProcess(Model):
    """A model of which nothing but a network is known.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order of the network's inputs.
    description, reference : str
    choices : tuple of int
    """

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    reference: str
    choices: tuple[int, ...]

    def panels(self, xp: Any, response: Any, theta: Theta) -> tuple[Panel, ...]:
        """Any time that others simulate; beyond it networks say anything."""
        return ANY_SIMULATED

    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Refuse, with a ValueError: nobody knows the process."""
        expected = f"a model whose process is known, to draw trials of {self.name!r}"
        found = "one of which only a network was imported"
        raise ValueError(explain(expected, found, "give a ModelSpec as model when importing, or do not draw from it"))


def imported_model(model: Any, bounds: Any, choices: Sequence[int] | None, tag: str) -> Imported:
    """The model of networks that others trained.

    Parameters
    ----------
    model : str or Model
        The name of a model known here, or of any other.
    bounds : mapping of str to tuple of float
        Where the network was trained: of some parameters of a known model, of every one of another, in order.
    choices : sequence of int, optional
        The response codes; needed for a model that is not known here.
    tag : str
        One of `TAGS`.

    Raises
    ------
    ValueError
        For a parameter that a known model does not have, bounds that are none, or too little about another model.
    """
    if not isinstance(model, str | Model):
        expected, found = "a model or its name, to import networks of", f"a {type(model).__name__}"
        raise ValueError(explain(expected, found, "give a name such as 'ddm'"))
    if not isinstance(bounds, Mapping):
        remedy = "give a dict, such as {'v': (-3, 3), ...}, in the order of the network's inputs"
        raise ValueError(explain("bounds by the names of parameters", f"a {type(bounds).__name__}", remedy))
    known: Any = MODELS.get(model) if isinstance(model, str) else model
    if known is None:
        return Imported(_unknown(f"{model}", bounds, choices), tag)
    if isinstance(known, Imported):
        known = known.known
    if choices is not None and as_choices(choices) != known.choices:
        raise ValueError(explain(f"the responses {known.choices} of {known.name!r}", f"{choices}", "leave choices out"))
    for name in bounds:
        known.parameter(name)
    ranges = {p.name: p.bounds for p in known.parameters} | {**bounds}
    return Imported(within(known, ranges), tag)


def within(model: Model, bounds: Bounds) -> Model:
    """A model within other bounds of all its parameters."""
    if isinstance(model, Imported):
        return Imported(within(model.known, bounds), model.tag)
    parameters = tuple(replace(p, bounds=as_bounds(p.name, bounds[p.name])) for p in model.parameters)
    return replace(model, parameters=parameters)  # type: ignore[type-var]


def _unknown(name: str, bounds: Bounds, choices: Sequence[int] | None) -> UnknownProcess:
    if not bounds or choices is None or "t" not in bounds:
        raise ValueError(
            explain(
                f"one of the models {', '.join(MODELS)}, or bounds of every parameter (t among them) and choices",
                f"model {name!r} with bounds of {', '.join(bounds) or 'none'} and choices {choices}",
                "give bounds={'v': (-3, 3), ...} in the order of the network's inputs, and choices=(-1, 1)",
            )
        )
    domain = {"t": POSITIVE}
    parameters = tuple(
        Parameter(key, as_bounds(key, pair), "", "", domain=domain.get(key, (-math.inf, math.inf)))
        for key, pair in bounds.items()
    )
    about = f"A model of which only a network is known, {name}."
    return UnknownProcess(name, parameters, about, "unknown", as_choices(choices))
