"""How networks see the trials of a model that is known by its simulator alone.

Nothing is known of the density but trials, so the baseline is fitted first: for each choice a log-normal density of
decision times, times the chance of the choice. Its locations, spreads and chances depend on the parameters through a
small network of one hidden layer, whose weights are part of the model that the network is of (`baseline`). The
likelihood network corrects it, and sees decision times in its units, in which all parameter sets look nearly alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, final

from pymc_lan.data.observation import Silence
from pymc_lan.models.density import DeadlineView, Network
from pymc_lan.models.model import seen
from pymc_lan.models.parameters import Parameter
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.numerics.passage import LOG_SQRT_2PI, Namespace, Theta, softplus

# A parameter whose bounds are positive and this many times apart is seen on a logarithmic scale.
WIDE_RATIO = 4.0
# So many standard deviations before the typical decision, the log density goes on in a straight line ...
ONSET_DEVIATIONS = 5.0
# ... and the shortest decision time that is looked at [s]: a tenth of what any clock of an experiment resolves.
SHORTEST = 1e-4
# Standard deviations of log decision times are never smaller or larger than this, and no trial is seen farther out.
LEAST_SPREAD, MOST_SPREAD, FARTHEST = 0.01, 10.0, 20.0
# Numbers of the baseline for each choice: location, log spread, logit.
PER_CHOICE = 3


def scaled(xp: Namespace, model: Simulated, theta: Theta) -> list[Any]:
    """The parameters as networks see them, from -1 to 1 over the bounds, without a shift."""
    linear = model.symmetry.linear if model.symmetry is not None else ()
    return [_scaled(xp, p, theta[p.name], linear=p.name in linear) for p in seen(model)]


def _scaled(xp: Namespace, p: Parameter, x: Any, *, linear: bool) -> Any:
    low, high = p.bounds
    if not linear and low > 0 and high / low >= WIDE_RATIO:
        low, high, x = math.log(low), math.log(high), xp.log(x)
    return (x - (low + high) / 2) * (2 / (high - low))


def as_seen(xp: Namespace, model: Simulated, theta: Theta) -> list[list[Any]]:
    """The scaled parameters as each choice of a symmetric model sees them, its own first; else the only view."""
    found = {p.name: x for p, x in zip(seen(model), scaled(xp, model, theta), strict=True)}
    return [[*found.values()]] if model.symmetry is None else model.symmetry.views(found, len(model.choices))


def _is(xp: Namespace, response: Any, code: int) -> Any:
    """Whether a response is that choice; PyTensor's variables know no ``==``."""
    return xp.abs(response - code) < 0.5


@dataclass(frozen=True, slots=True)
class LogNormalView:
    """How a likelihood network sees a trial, in units of a log-normal density.

    Parameters
    ----------
    model : Simulated
        With its `baseline`.
    """

    model: Simulated

    @property
    def n_inputs(self) -> int:
        """Three of the time, those of the parameters and, without symmetry, one less than there are choices."""
        return 3 + len(seen(self.model)) + (0 if self.model.symmetry is not None else len(self.model.choices) - 1)

    def _chosen(self, xp: Namespace, response: Any, values: Sequence[Any]) -> Any:
        """The value of the choice that was made; that of the last for any other code."""
        pairs = list(zip(self.model.choices, values, strict=True))
        return reduce(lambda rest, each: xp.where(_is(xp, response, each[0]), each[1], rest), pairs[:-1], pairs[-1][1])

    def _units(self, xp: Namespace, response: Any, theta: Theta) -> tuple[Any, Any, Any]:
        """Location and spread of the log decision time, and log chance, of the choice that was made."""
        assert self.model.baseline is not None  # networks are built with it
        out = [x for view in as_seen(xp, self.model, theta) for x in self.model.baseline(xp, view)]
        location, log_spread, logit = (self._chosen(xp, response, out[k::PER_CHOICE]) for k in range(PER_CHOICE))
        low, high = math.log(LEAST_SPREAD), math.log(MOST_SPREAD)
        log_chance = logit - reduce(xp.logaddexp, out[2::PER_CHOICE])
        return location, xp.exp(xp.minimum(xp.maximum(log_spread, low), high)), log_chance

    def _told(self, xp: Namespace, response: Any, theta: Theta) -> list[Any]:
        """What the network sees of response and parameters: with symmetry, parameters as the choice made sees them."""
        if self.model.symmetry is None:
            codes = [xp.where(_is(xp, response, code), 1.0, -1.0) for code in self.model.choices[1:]]
            return [*codes, *scaled(xp, self.model, theta)]
        columns = zip(*as_seen(xp, self.model, theta), strict=True)
        return [x[0] if all(each is x[0] for each in x) else self._chosen(xp, response, x) for x in columns]

    def look(self, xp: Namespace, log_d: Any, response: Any, theta: Theta) -> tuple[tuple[Any, ...], Any]:
        """Network inputs, and the baseline as a log density of the logarithm of the decision time."""
        location, spread, log_chance = self._units(xp, response, theta)
        s = (log_d - location) / spread
        near = xp.minimum(xp.maximum(s, -FARTHEST), FARTHEST)
        late, early = xp.exp(near), xp.exp(-near)
        inputs = (near, late / (1 + 0.1 * late), early / (1 + 0.1 * early), *self._told(xp, response, theta))
        return inputs, log_chance - xp.log(spread) - LOG_SQRT_2PI - s * s / 2

    def baseline(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """The reference's log density, which the network corrects."""
        log_d = xp.log(xp.maximum(d, SHORTEST))
        return self.look(xp, log_d, response, theta)[1] - log_d

    def inputs(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""
        return self.look(xp, xp.log(xp.maximum(d, SHORTEST)), response, theta)[0]

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)`` as for closed forms, `ONSET_DEVIATIONS` before the typical decision."""
        location, spread, _ = self._units(xp, response, theta)
        d_min = xp.maximum(xp.exp(location - ONSET_DEVIATIONS * spread), SHORTEST)
        return d_min, xp.maximum(ONSET_DEVIATIONS / spread - 1, 1.0) / d_min


@final
@dataclass(frozen=True, slots=True)
class OmissionView(DeadlineView):
    """A network that gives the logit of a trial without a response.

    Parameters
    ----------
    model : Simulated
    """

    model: Simulated
    silence: ClassVar[Silence] = Silence.OMISSION
    deadlines: ClassVar[bool] = False
    no_press: ClassVar[tuple[str, str]] = (
        "a model known by its simulator",
        "return rt = inf where nothing is pressed, give choices=[1] and omissions=True, and use LANDist",
    )

    @property
    def n_inputs(self) -> int:
        """Those of the parameters."""
        return len(seen(self.model))

    def log_split(self, xp: Namespace, network: Network, horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of a response, and of none; a deadline, where there is one, is a parameter."""
        logit = network(tuple(scaled(xp, self.model, theta)))
        return -softplus(xp, logit), -softplus(xp, -logit)
