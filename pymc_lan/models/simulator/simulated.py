"""What models have in common that are known by a function that draws trials."""

from __future__ import annotations

from abc import ABC

from pymc_lan.models.model import Model
from pymc_lan.models.simulator.reference import Reference
from pymc_lan.models.simulator.symmetry import Symmetry


class Simulated(Model, ABC):
    """A model that is known by a function that draws trials, which its networks are trained on.

    Its `simulator` is None where only the networks were loaded.
    """

    __slots__ = ()

    @property
    def symmetry(self) -> Symmetry | None:
        """What holds of one choice and, with other parameters, of the others."""
        return None

    @property
    def baseline(self) -> Reference | None:
        """The density that its networks correct, which is fitted when it is trained."""
        return None
