"""A model of which is asked, where a trial has no response, whether anything was decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from pymc_lan.data.observation import Silence
from pymc_lan.models.delegate import Delegate
from pymc_lan.models.density import DeadlineView, Density, DensityView, Network, Views
from pymc_lan.models.model import Model, require_views


@final
@dataclass(frozen=True, slots=True)
class WatchedViews(Views):
    """The views of a model, with its survivor network in the place of the choice/deadline network.

    Parameters
    ----------
    views : Views
    """

    views: Views

    @property
    def tag(self) -> str:  # type: ignore[override]
        """That of the views."""
        return self.views.tag

    @property
    def symbolic(self) -> bool:
        """As the views."""
        return self.views.symbolic

    @property
    def n_inputs(self) -> dict[str, int]:
        """Those of the likelihood and of the survivor network."""
        takes = self.views.n_inputs
        return {"lan": takes["lan"], "choice": takes["survivor"]}

    @property
    def lan(self) -> DensityView | None:
        """That of the likelihood network."""
        return self.views.lan

    @property
    def choice(self) -> DeadlineView | None:
        """That of the survivor network."""
        return self.views.survivor

    def density(self, lan: Network, choice: Network | None) -> Density:
        """The density that the likelihood network gives."""
        return self.views.density(lan, None)


@final
@dataclass(frozen=True, slots=True, repr=False)
class Watched(Delegate):
    """A model whose trials without a response are omissions.

    Parameters
    ----------
    known : Model
    """

    known: Model

    @property
    def views(self) -> Views:
        """With the survivor network in the place of the choice/deadline network."""
        return WatchedViews(require_views(self.known))


def watched(spec: Model, choice: Any, silence: Silence | None) -> Model:
    """The model as an observation sees it, to which `choice` is the network that says how likely no response is."""
    views = spec.views
    own = choice is not None and silence is Silence.OMISSION and views is not None and views.survivor is not None
    return Watched(spec) if own else spec
