"""Choices among options by their utilities, in closed form and without times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import Parameter
from pymc_lan.numerics.passage import Namespace, Theta

Float = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True, repr=False)
class UtilityChoice(Model):
    """An option is chosen with probability proportional to ``exp(beta * utility)``.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        Utilities, in the order of the choices, and beta.
    description, reference : str
    choices : tuple of int
    """

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    reference: str
    choices: tuple[int, ...]

    @property
    def times(self) -> bool:
        """None of its trials has one."""
        return False

    @property
    def log_choices(self) -> Callable[[Namespace, Theta], list[Any]]:
        """Log probability of each choice."""
        return self._log_choices

    def _log_choices(self, xp: Namespace, theta: Theta) -> list[Any]:
        *utilities, beta = (theta[name] for name in self.names)
        logits = [beta * x for x in utilities]
        most = reduce(xp.maximum, logits)
        total = most + xp.log(sum(xp.exp(x - most) for x in logits))
        return [x - total for x in logits]

    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Draw one choice for each set of parameters; the times are 0."""
        log_p = np.stack(self._log_choices(np, theta))
        chosen = (log_p + rng.gumbel(size=log_p.shape)).argmax(axis=0)
        return np.zeros(chosen.shape), np.asarray(self.choices, np.float64)[chosen]


@cache
def softmax(n: int) -> UtilityChoice:
    """The choice among n options."""
    if n < 2:
        raise ValueError(explain("the utilities of two options or more", f"{n}", "give one for each option"))
    utilities = (Parameter(f"utilities{i}", (-10.0, 10.0), "1", f"utility of option {i}") for i in range(n))
    beta = Parameter("beta", (0.0, 20.0), "1", "how much utilities count", default=1.0)
    return UtilityChoice(
        name=f"softmax{n}",
        parameters=(*utilities, beta),
        description=f"Choice among {n} options with probabilities proportional to exp(beta * utility).",
        reference="Luce (1959), Individual Choice Behavior; McFadden (1974), Frontiers in Econometrics, 105-142.",
        choices=tuple(range(n)),
    )
