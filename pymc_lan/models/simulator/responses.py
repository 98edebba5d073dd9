"""Models of responses alone, without their times: any task whose trials end in one of a few outcomes.

What a simulator of such a task says is learned as the logits of its choices, of which the first is the measure of the
others, so that the probabilities add up to one whatever the network says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pymc_lan.errors import explain
from pymc_lan.models.simulator.view import scaled
from pymc_lan.models.spec import Model, seen
from pymc_lan.numerics.passage import Namespace, Theta

# The transform of a spec whose network gives the logits of its choices.
RESPONSES = "responses"


@dataclass(frozen=True, slots=True)
class ResponseTransform:
    """What stands for a `pymc_lan.models.diffusion.closed_view.Transform` where there are no times.

    Parameters
    ----------
    spec : Model
    """

    spec: Model

    @property
    def n_inputs(self) -> int:
        """Those of the parameters."""
        return len(seen(self.spec))

    @property
    def n_outputs(self) -> int:
        """One less than there are choices."""
        return len(self.spec.choices) - 1

    def log_probabilities(self, xp: Namespace, network: Callable[..., Any], theta: Theta) -> list[Any]:
        """Log probability of each choice, from a network that gives a list of its outputs."""
        logits = [0.0, *network(tuple(scaled(xp, self.spec, theta)))]
        largest = reduce(xp.maximum, logits)
        total = largest + xp.log(sum(xp.exp(x - largest) for x in logits))
        return [x - total for x in logits]

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """Refuse, with a ValueError, to give a density of response times."""
        raise ValueError(without_times(self.spec))


def without_times(spec: Model) -> str:
    """Word the error for a model of responses alone where response times are needed."""
    expected = "a model of response times"
    return explain(expected, f"{spec.name!r}, a model of responses alone", "use ChoiceDist and network.probabilities")


def refuse_responses(spec: Model) -> None:
    """Refuse, with a ValueError, a model of responses alone."""
    if spec.transform == RESPONSES:
        raise ValueError(without_times(spec))
