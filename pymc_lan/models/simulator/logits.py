"""How the network of a model of responses alone, without their times, sees a trial.

What a simulator of such a task says is learned as the logits of its choices, of which the first is the measure of the
others, so that the probabilities add up to one whatever the network says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, final

from pymc_lan.errors import explain
from pymc_lan.models.density import Density, Network, Views
from pymc_lan.models.model import Model, seen
from pymc_lan.models.simulator.lognormal import scaled
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.numerics.passage import Namespace, Theta


@final
@dataclass(frozen=True, slots=True)
class LogitViews(Views):
    """A network of the logits of the choices.

    Parameters
    ----------
    model : Simulated
    """

    model: Simulated
    tag: str = "responses"

    @property
    def n_inputs(self) -> dict[str, int]:
        """Those of the parameters."""
        return {"lan": len(seen(self.model))}

    @property
    def n_outputs(self) -> int:
        """One less than there are choices."""
        return len(self.model.choices) - 1

    def log_probabilities(self, xp: Namespace, network: Network, theta: Theta) -> list[Any]:
        """Log probability of each choice, from a network that gives a list of its outputs."""
        logits = [0.0, *network(tuple(scaled(xp, self.model, theta)))]
        largest = reduce(xp.maximum, logits)
        total = largest + xp.log(sum(xp.exp(x - largest) for x in logits))
        return [x - total for x in logits]

    def density(self, lan: Network, choice: Network | None) -> Density:
        """Refuse, with a ValueError, to give a density of response times."""
        raise ValueError(without_times(self.model))


def without_times(model: Model) -> str:
    """Word the error for a model of responses alone where response times are needed."""
    found = f"{model.name!r}, a model of responses alone"
    return explain("a model of response times", found, "use ChoiceDist and network.probabilities")


def require_times(model: Model) -> None:
    """Refuse, with a ValueError, a model of responses alone."""
    if not model.times:
        raise ValueError(without_times(model))
