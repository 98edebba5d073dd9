"""A model as networks of another kind see it: everything else is that of the model itself."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.density import Density
from pymc_lan.models.labels import Labels
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import Parameter, Simulator, Variability
from pymc_lan.numerics.mass import Panel
from pymc_lan.numerics.passage import Theta

Float = NDArray[np.float64]


class Delegate(Model, ABC):
    """A model that is another one, but for its views.

    Parameters
    ----------
    known : Model
    """

    __slots__ = ()

    known: Model

    def __post_init__(self) -> None:
        """Nothing is left to check: the model is known."""

    @property
    def name(self) -> str:  # type: ignore[override]
        """That of the model."""
        return self.known.name

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """Those of the model, within the bounds of the networks."""
        return self.known.parameters

    @property
    def description(self) -> str:  # type: ignore[override]
        """That of the model."""
        return self.known.description

    @property
    def reference(self) -> str:  # type: ignore[override]
        """That of the model."""
        return self.known.reference

    @property
    def choices(self) -> tuple[int, ...]:  # type: ignore[override]
        """Those of the model."""
        return self.known.choices

    @property
    def shift(self) -> str | None:
        """That of the model."""
        return self.known.shift

    @property
    def variability(self) -> tuple[Variability, ...]:
        """What varies across trials in the model."""
        return self.known.variability

    @property
    def simulator(self) -> Simulator | None:
        """The model's."""
        return self.known.simulator

    @property
    def exact(self) -> Density | None:
        """The model's density in closed form."""
        return self.known.exact

    @property
    def labels(self) -> Labels | None:
        """The model's."""
        return self.known.labels

    @property
    def escapes(self) -> bool:
        """Whether a decision of the model that never comes means that boundaries ran away."""
        return self.known.escapes

    @property
    def collapses(self) -> bool:
        """Whether boundaries of the model may meet."""
        return self.known.collapses

    @property
    def decides(self) -> bool:
        """Whether every trial of the model is known to be decided some time."""
        return self.known.decides

    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Draw one trial of the model for each set of parameters."""
        return self.known.draw(rng, theta)

    def typical(self, theta: Theta) -> Any:
        """When a decision of the model is typically made [s]."""
        return self.known.typical(theta)

    def panels(self, xp: Any, response: Any, theta: Theta) -> tuple[Panel, ...]:
        """When a response of the model practically falls."""
        return self.known.panels(xp, response, theta)

    def earliest(self, theta: Theta) -> Any:
        """Before which no decision time of the model falls [s]."""
        return self.known.earliest(theta)

    def check_values(self, theta: Mapping[str, Any]) -> None:
        """Refuse numbers that the model refuses."""
        self.known.check_values(theta)
