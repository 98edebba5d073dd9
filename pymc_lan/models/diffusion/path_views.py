"""How networks see a diffusion by functions: known without JAX as far as it can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from pymc_lan.models.density import DensityView, Network, Views
from pymc_lan.models.diffusion.structure import (
    CURVED,
    CURVED_INPUTS,
    Process,
    deadline_inputs,
    density_inputs,
    structure_of,
)
from pymc_lan.models.residual import CorrectedDensity, ResidualDeadline, ResidualSurvivor


@final
@dataclass(frozen=True, slots=True)
class PathViews(Views):
    """Networks that correct formulas of drift and boundary, which are written in `jax.numpy`.

    Parameters
    ----------
    process : Process
    tag : str
        The first view of a path, of versions below 2.0, or the second.
    """

    process: Process
    tag: str = CURVED

    @property
    def symbolic(self) -> bool:
        """PyTensor does not know the functions."""
        return False

    @property
    def n_inputs(self) -> dict[str, int]:
        """How many inputs each network has: without JAX, where the process says what it depends on."""
        kind = structure_of(self.process)
        curved = CURVED_INPUTS * (kind.moving and self.tag == CURVED)
        return {
            "lan": density_inputs(kind) + curved,
            "choice": deadline_inputs(kind),
            "survivor": deadline_inputs(kind) + 1,
        }

    @property
    def lan(self) -> DensityView:
        """That of the likelihood network."""
        from pymc_lan.models.diffusion.path_view import CurvedView, PathView  # loads JAX

        return CurvedView(self.process) if self.tag == CURVED else PathView(self.process)

    @property
    def choice(self) -> ResidualDeadline:
        """That of the choice/deadline network."""
        from pymc_lan.models.diffusion.path_deadline import PathDeadline  # loads JAX

        return PathDeadline(self.process)

    @property
    def survivor(self) -> ResidualSurvivor:
        """That of the survivor network."""
        from pymc_lan.models.diffusion.path_deadline import PathSurvivor  # loads JAX

        return PathSurvivor(self.process)

    def density(self, lan: Network, choice: Network | None) -> CorrectedDensity:
        """The density that the networks give."""
        return CorrectedDensity(self.lan, lan)
