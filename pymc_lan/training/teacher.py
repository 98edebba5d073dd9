"""Who teaches a model's networks: from true densities, or from simulated trials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pymc_lan.errors import explain
from pymc_lan.models.model import Model
from pymc_lan.networks.network import Network
from pymc_lan.networks.program import AnyNetwork
from pymc_lan.training.recipes import Recipe, SimulationRecipe
from pymc_lan.training.simulated.offline import Paths

if TYPE_CHECKING:
    from pymc_lan.training.simulated.loop import Fitted


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of a training beside its model; each teacher takes what is its own, and refuses the rest.

    Parameters
    ----------
    lan_recipe, choice_recipe : Recipe, optional
        Of networks that learn from labels.
    simulation_recipe : SimulationRecipe, optional
        Of networks that learn from simulations.
    simulations : path or sequence of path, optional
        Files to learn from.
    report : bool
        Whether to write a report of the training.
    scheduler : str, optional
        The address of a Dask scheduler.
    """

    lan_recipe: Recipe | None = None
    choice_recipe: Recipe | None = None
    simulation_recipe: SimulationRecipe | None = None
    simulations: Paths | None = None
    report: bool = False
    scheduler: str | None = None

    def __post_init__(self) -> None:
        """Refuse recipes that are none, or another's."""
        kinds = {"lan_recipe": Recipe, "choice_recipe": Recipe, "simulation_recipe": SimulationRecipe}
        for name, kind in kinds.items():
            given = getattr(self, name)
            if given is not None and not isinstance(given, kind):
                found = f"a {type(given).__name__}"
                raise ValueError(explain(f"{name} as a {kind.__name__}", found, f"write pl.{kind.__name__}(...)"))


class Learned(NamedTuple):
    """Networks, and how they came about.

    Parameters
    ----------
    spec : Model
        With the baseline that was learned, where there is one.
    lan : MLP or Program
    choice : MLP or Program, optional
    training : dict of str to object
        What ``config.json`` says of it, beside the seed and the time that it took.
    fitted : Fitted, optional
        The course of a training on simulations, for its report.
    survivor : MLP or Program, optional
    """

    spec: Model
    lan: AnyNetwork
    choice: AnyNetwork | None
    training: dict[str, Any]
    fitted: Fitted | None = None
    survivor: AnyNetwork | None = None


class Teacher(ABC):
    """How networks of a model learn, and how they are measured."""

    @classmethod
    @abstractmethod
    def of(cls, spec: Model, wishes: Wishes, seed: int) -> Self:
        """The teacher of a model; what is not asked for is as usual.

        Raises
        ------
        ValueError
            If something is asked for that this teacher cannot do.
        """

    @property
    @abstractmethod
    def labels(self) -> str:
        """What the networks learn from, in words."""

    @property
    @abstractmethod
    def outcome(self) -> str:
        """What a trial of the model is, in words."""

    @abstractmethod
    def learn(self, checkpoints: Path | None, *, progress: bool) -> Learned:
        """Train the networks.

        Parameters
        ----------
        checkpoints : Path, optional
            Where states are saved, in a folder for each run: called again it goes on from there.
        progress : bool
            Whether to draw progress bars.
        """

    @abstractmethod
    def measure(self, network: Network, n: int | None) -> dict[str, Any]:
        """The accuracy of a network, on `n` other trials than it learned from, or as many as is usual."""

    @abstractmethod
    def report(self, out: Path, network: Network, learned: Learned) -> None:
        """Write what was asked for beside the version, which is there by now."""


def refuse_recipe(recipe: Recipe | SimulationRecipe | None, spec: Model, wanted: str) -> None:
    """Refuse a recipe that is for another kind of model.

    Parameters
    ----------
    recipe : Recipe or SimulationRecipe, optional
    spec : Model
    wanted : str
        What such a model takes.

    Raises
    ------
    ValueError
        If there is one.
    """
    if recipe is not None:
        found = f"a {type(recipe).__name__} for another kind of model than {spec.name!r}"
        raise ValueError(explain(f"{wanted} only", found, f"give {wanted}, or none"))


def refuse_simulations(wishes: Wishes, spec: Model) -> None:
    """Refuse what only a training on simulations has: files of them, and a report.

    Parameters
    ----------
    wishes : Wishes
    spec : Model

    Raises
    ------
    ValueError
        If there is either.
    """
    if wishes.simulations is not None or wishes.report:
        found, remedy = f"simulations or a report for {spec.name!r}", "leave simulations and report out"
        raise ValueError(explain("a model with a simulator, to train from files or to report on", found, remedy))


def refuse_scheduler(scheduler: str | None, found: str) -> None:
    """Refuse a scheduler that would have nothing to do.

    Parameters
    ----------
    scheduler : str, optional
    found : str
        Why there is nothing to do.

    Raises
    ------
    ValueError
        If there is one.
    """
    if scheduler is not None:
        raise ValueError(explain("something for a cluster to do", found, "leave out scheduler"))
