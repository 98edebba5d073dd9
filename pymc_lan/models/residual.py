"""Networks that correct a baseline: of a density, and of the probability that nothing is seen by a deadline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

from pymc_lan.data.observation import Silence
from pymc_lan.models.density import Density, DensityView, HorizonView, Network, Views
from pymc_lan.numerics.passage import Namespace, Theta, softplus


@final
@dataclass(frozen=True, slots=True)
class CorrectedDensity(Density):
    """A baseline and the network that corrects it.

    Parameters
    ----------
    view : DensityView
    lan : callable
    """

    view: DensityView
    lan: Network

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)`` as the view has it."""
        return self.view.onset(xp, d, response, theta)

    def log_density(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """The baseline and its correction."""
        residual = self.lan(self.view.inputs(xp, d, response, theta))
        return self.view.baseline(xp, d, response, theta) + residual


class ResidualDeadline(HorizonView):
    """A network of the logit of P(seen by the deadline) less that of a closed form.

    Where it is known which boundary is reached, and only there, the network's logit is that of reaching the upper one
    in time if it is reached at all, so that both probabilities are right without a deadline whatever the network says.
    A deadline after which practically nothing happens counts as that time.
    """

    __slots__ = ()
    # Whether what is still undecided at `latest` counts, where the choice is known: nobody waits for all.
    waits: ClassVar[bool] = False

    @property
    def log_choice(self) -> Callable[[Namespace, Theta], tuple[Any, Any]] | None:
        """``(xp, theta)`` to log P(upper) and log P(lower), where they are known."""
        return None

    @final
    def log_split(self, xp: Namespace, network: Network, horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of reaching the upper boundary within `horizon` seconds (may be inf), and of the rest."""
        latest, possible = self.latest(xp, theta), horizon > self.begins(theta)
        inner = xp.maximum(xp.minimum(horizon, latest), self.least(xp, theta))
        logit = self.baseline(xp, inner, theta) + network(self.inputs(xp, inner, theta))
        if self.log_choice is None:
            log_go, log_rest = -softplus(xp, -logit), -softplus(xp, logit)
        else:
            log_upper, log_lower = self.log_choice(xp, theta)
            ends = horizon < (math.inf if self.waits else latest)
            log_go = log_upper + xp.where(ends, -softplus(xp, -logit), 0.0)
            log_rest = xp.where(ends, xp.logaddexp(log_lower, log_upper - softplus(xp, logit)), log_lower)
        return xp.where(possible, log_go, -math.inf), xp.where(possible, log_rest, 0.0)


class ResidualSurvivor(HorizonView):
    """A network of the logit of P(nothing is decided by the deadline) less that of a closed form.

    Small probabilities are right in relative terms, which a difference of those of both boundaries from one is not.
    """

    __slots__ = ()
    silence: ClassVar[Silence] = Silence.OMISSION

    @final
    def log_split(self, xp: Namespace, network: Network, horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of any response within `horizon` seconds (may be inf), and of none."""
        latest, possible, ends = self.latest(xp, theta), horizon > self.begins(theta), horizon < math.inf
        inner = xp.maximum(xp.minimum(horizon, latest), self.least(xp, theta))
        logit = self.baseline(xp, inner, theta) + network(self.inputs(xp, inner, theta))
        log_seen = xp.where(possible, xp.where(ends, -softplus(xp, logit), 0.0), -math.inf)
        return log_seen, xp.where(possible, xp.where(ends, -softplus(xp, -logit), -math.inf), 0.0)


@final
@dataclass(frozen=True, slots=True)
class ResidualViews(Views):
    """Networks of a diffusion that correct baselines of its density and of its go probabilities.

    Parameters
    ----------
    tag : str
    lan_view : DensityView
    deadline : ResidualDeadline
    undecided : ResidualSurvivor, optional
    symbolic : bool
    """

    tag: str
    lan_view: DensityView
    deadline: ResidualDeadline
    undecided: ResidualSurvivor | None = None
    symbolic: bool = True

    @property
    def n_inputs(self) -> dict[str, int]:
        """How many inputs each network has, by its name in a config."""
        takes = {"lan": self.lan_view.n_inputs, "choice": self.deadline.n_inputs}
        return takes if self.undecided is None else takes | {"survivor": self.undecided.n_inputs}

    @property
    def lan(self) -> DensityView:
        """That of the likelihood network."""
        return self.lan_view

    @property
    def choice(self) -> ResidualDeadline:
        """That of the choice/deadline network."""
        return self.deadline

    @property
    def survivor(self) -> ResidualSurvivor | None:
        """That of the survivor network, where its probability has no closed form."""
        return self.undecided

    def density(self, lan: Network, choice: Network | None) -> Density:
        """The density that the networks give."""
        return CorrectedDensity(self.lan, lan)
