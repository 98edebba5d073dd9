"""The kinds of models that are known by a function that draws trials: with response times, and without."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.models.density import Density, Network, Views
from pymc_lan.models.model import seen
from pymc_lan.models.parameters import Parameter, Simulator
from pymc_lan.models.residual import CorrectedDensity
from pymc_lan.models.simulator.calls import run_simulator
from pymc_lan.models.simulator.logits import LogitViews
from pymc_lan.models.simulator.lognormal import PER_CHOICE, LogNormalView, OmissionView
from pymc_lan.models.simulator.reference import Reference
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.models.simulator.symmetry import Symmetry
from pymc_lan.numerics.passage import Theta

Float = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True, repr=False)
class SimulatedTimes(Simulated):
    """A model of choices and times that is known by its simulator; made by `pymc_lan.simulator_spec`.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order of positional arguments.
    description, reference : str
    choices : tuple of int
    simulator : Simulator, optional
        None where only the networks were loaded.
    shift : str, optional
        The parameter that does nothing but move every response time: the non-decision time.
    symmetry : Symmetry, optional
    omissions : bool
        Whether some of its trials have no response.
    baseline : Reference, optional
        The density that its networks correct; fitted when it is trained.
    """

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    reference: str
    choices: tuple[int, ...] = (-1, 1)
    simulator: Simulator | None = None
    shift: str | None = "t"
    symmetry: Symmetry | None = None
    omissions: bool = False
    baseline: Reference | None = None

    def __post_init__(self) -> None:
        """Refuse a baseline or a symmetry that does not go together with the parameters and choices."""
        Simulated.__post_init__(self)
        n, names = len(self.choices), {p.name for p in seen(self)}
        if self.symmetry is not None and not (set(self.symmetry.named) <= names and self.symmetry.fits(n)):
            expected = (
                f"symmetries of the model's own parameters and choices, {', '.join(self.names)} and {self.choices}"
            )
            found = f"{self.symmetry.word} {self.symmetry.stored}"
            raise ValueError(explain(expected, found, "correct it, and train the model anew"))
        if self.baseline is not None:
            outputs = PER_CHOICE * (1 if self.symmetry is not None else n)
            rows = (self.baseline.inner, self.baseline.outer)
            units, lengths = len(rows[0]), tuple([len(row) for row in part] for part in rows)
            finite = all(math.isfinite(x) for part in rows for row in part for x in row)
            if lengths != ([len(names) + 1] * units, [units + 1] * outputs) or not finite:
                expected = f"a baseline of {len(names)} inputs and {outputs} outputs, all finite"
                raise ValueError(explain(expected, f"rows of {lengths}", "train it anew"))

    @property
    def untrained(self) -> SimulatedTimes:
        """The model without the baseline that belongs to its networks."""
        return replace(self, baseline=None)

    @property
    def views(self) -> Views:
        """Networks that correct log-normal densities."""
        return SimulatedViews(self)

    @property
    def decides(self) -> bool:
        """Whether the simulator ends every trial with a response."""
        return not self.omissions

    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Draw one trial for each set of parameters, by the simulator."""
        return run_simulator(self, np.column_stack([np.asarray(theta[name], np.float64) for name in self.names]), rng)

    def typical(self, theta: Theta) -> Any:
        """Half a second: nobody knows what the parameters of a simulator mean."""
        return 0.5


@final
@dataclass(frozen=True, slots=True)
class SimulatedViews(Views):
    """Networks that correct log-normal densities, and say how likely a trial without a response is.

    Parameters
    ----------
    model : SimulatedTimes
    """

    model: SimulatedTimes
    tag: str = "simulated"

    @property
    def n_inputs(self) -> dict[str, int]:
        """How many inputs each network has, by its name in a config."""
        return {"lan": self.lan.n_inputs, "choice": self.choice.n_inputs}

    @property
    def lan(self) -> LogNormalView:
        """That of the likelihood network."""
        return LogNormalView(self.model)

    @property
    def choice(self) -> OmissionView:
        """That of the network of omissions."""
        return OmissionView(self.model)

    def density(self, lan: Network, choice: Network | None) -> Density:
        """The density that the networks give."""
        return CorrectedDensity(self.lan, lan)

    def stored(self) -> dict[str, Any]:
        """The baseline, the shift and the symmetry."""
        symmetry, baseline = self.model.symmetry, self.model.baseline
        found: dict[str, Any] = {} if baseline is None else {"baseline": baseline.as_lists()}
        return found | {"shift": self.model.shift} | ({symmetry.word: symmetry.stored} if symmetry is not None else {})


@final
@dataclass(frozen=True, slots=True, repr=False)
class SimulatedResponses(Simulated):
    """A model of responses alone that is known by its simulator; made by `pymc_lan.simulator_spec`.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order of positional arguments.
    description, reference : str
    choices : tuple of int
    simulator : Simulator, optional
        None where only the network was loaded.
    """

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    reference: str
    choices: tuple[int, ...] = (0, 1)
    simulator: Simulator | None = None

    @property
    def times(self) -> bool:
        """None of its trials has one."""
        return False

    @property
    def views(self) -> LogitViews:
        """A network of the logits of the choices."""
        return LogitViews(self)

    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Draw one response for each set of parameters, by the simulator; the times are 0."""
        return run_simulator(self, np.column_stack([np.asarray(theta[name], np.float64) for name in self.names]), rng)
