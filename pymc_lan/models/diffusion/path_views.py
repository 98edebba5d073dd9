"""How networks see a diffusion by functions: known without JAX as far as it can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from pymc_lan.models.density import DensityView, Network, Views
from pymc_lan.models.diffusion.structure import Process, deadline_inputs, density_inputs, structure_of
from pymc_lan.models.residual import CorrectedDensity, ResidualDeadline


@final
@dataclass(frozen=True, slots=True)
class PathViews(Views):
    """Networks that correct formulas of drift and boundary, which are written in `jax.numpy`.

    Parameters
    ----------
    process : Process
    """

    process: Process
    tag: str = "path"

    @property
    def symbolic(self) -> bool:
        """PyTensor does not know the functions."""
        return False

    @property
    def n_inputs(self) -> dict[str, int]:
        """How many inputs each network has: without JAX, where the process says what it depends on."""
        kind = structure_of(self.process)
        return {"lan": density_inputs(kind), "choice": deadline_inputs(kind)}

    @property
    def lan(self) -> DensityView:
        """That of the likelihood network."""
        from pymc_lan.models.diffusion.path_view import PathView  # loads JAX

        return PathView(self.process)

    @property
    def choice(self) -> ResidualDeadline:
        """That of the choice/deadline network."""
        from pymc_lan.models.diffusion.path_deadline import PathDeadline  # loads JAX

        return PathDeadline(self.process)

    def density(self, lan: Network, choice: Network | None) -> CorrectedDensity:
        """The density that the networks give."""
        return CorrectedDensity(self.lan, lan)
