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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymc_lan.errors import explain
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.diffusion.closed_deadline import softplus
from pymc_lan.models.diffusion.closed_view import ONSET_MAX
from pymc_lan.models.diffusion.kinds import unknown_dynamics
from pymc_lan.models.spec import POSITIVE, Model, Parameter
from pymc_lan.numerics.passage import Namespace, Theta

# Values of `Model.view`, by what the network of trials without a response is: a CPN (or none), or an OPN.
PLAIN, PLAIN_OMISSION = "plain", "plain_omission"
VIEWS = (PLAIN, PLAIN_OMISSION)

Bounds = Mapping[str, tuple[float, float]]


def is_plain(spec: Model) -> bool:
    """Whether the networks of a model see trials as they are."""
    return spec.view in VIEWS


@dataclass(frozen=True, slots=True)
class PlainLAN:
    """What stands for a `Transform` where the network gives the log density itself.

    Parameters
    ----------
    spec : Model
    """

    spec: Model

    @property
    def n_inputs(self) -> int:
        """The parameters, rt and the response."""
        return len(self.spec.names) + 2

    def baseline(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """Nothing: the network corrects no closed form."""
        return 0.0

    def inputs(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """The trial in the order of HSSM's networks."""
        return (*(theta[name] for name in self.spec.names), theta["t"] + d, response)

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """From rt = t downwards, where HSSM has a floor at -66.1, a nat is lost in each millisecond."""
        return 0.0, 1 / ONSET_MAX


@dataclass(frozen=True, slots=True)
class PlainChoice:
    """What stands for a `ChoiceTransform` where the network gives the logit of no response itself.

    Parameters
    ----------
    spec : Model
    """

    spec: Model

    @property
    def n_inputs(self) -> int:
        """The parameters and, of an OPN, the deadline."""
        return len(self.spec.names) + (self.spec.view == PLAIN_OMISSION)

    def log_go(self, xp: Namespace, network: Callable[..., Any], horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of a response, and of none. A CPN knows no deadline: distributions allow none with it."""
        deadline = (theta["t"] + horizon,) if self.spec.view == PLAIN_OMISSION else ()
        logit = network((*(theta[name] for name in self.spec.names), *deadline))
        return -softplus(xp, logit), -softplus(xp, -logit)


def plain_spec(model: str | Model, bounds: Bounds, choices: Sequence[int] | None, view: str) -> Model:
    """The spec of a network that others trained.

    Parameters
    ----------
    model : str or Model
        The name of a model known here, or of any other.
    bounds : mapping of str to tuple of float
        Where the network was trained: of some parameters of a known model, of every one of another, in order.
    choices : sequence of int, optional
        The response codes; needed for a model that is not known here.
    view : str
        One of `VIEWS`.

    Raises
    ------
    ValueError
        For a parameter that a known model does not have, bounds that are none, or too little about another model.
    """
    known = MODELS.get(model) if isinstance(model, str) else model
    if known is None:
        return _spec_of_network(str(model), bounds, choices, view)
    if choices is not None and tuple(choices) != known.choices:
        raise ValueError(explain(f"the responses {known.choices} of {known.name!r}", f"{choices}", "leave choices out"))
    for name in bounds:
        known.parameter(name)
    ranges = {p.name: p.bounds for p in known.parameters} | {**bounds}
    parameters = tuple(replace(p, bounds=_pair(ranges[p.name])) for p in known.parameters)
    return replace(known, parameters=parameters, view=view)


def _pair(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    return float(low), float(high)


def _spec_of_network(name: str, bounds: Bounds, choices: Sequence[int] | None, view: str) -> Model:
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
        Parameter(key, _pair(pair), "", "", domain=domain.get(key, (-math.inf, math.inf)))
        for key, pair in bounds.items()
    )
    return Model(
        name=name,
        parameters=parameters,
        drift=unknown_dynamics,
        boundary=unknown_dynamics,
        description=f"A model of which only a network is known, {name}.",
        reference="unknown",
        choices=tuple(choices),
        view=view,
    )
