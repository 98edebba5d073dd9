"""Stop-signal trials: a go process races a stop process that starts at the signal.

With F and f the distribution function and density of finishing times, S = 1 - F, and p the share of signals that
trigger nothing, a response at rt has the density ``f_go(rt) (p + (1 - p) S_stop(rt - ssd))``, and no response by T the
probability

    p S_go(T) + (1 - p) [S_go(T) S_stop(T - ssd) + integral of f_stop(u) S_go(ssd + u) du over 0 to T - ssd]

(Logan & Cowan 1984; Matzke, Love & Heathcote 2017, Behavior Research Methods 49, 267-281). The integral is taken by
Gauss rules in the log of the decision time of the stop process: where no go accumulator can have finished, where some
may have, and where any may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observation import Silence
from pymc_lan.models.density import Density, Survivor
from pymc_lan.models.likelihood import Likelihood, mix_lapses
from pymc_lan.models.model import Model, shift
from pymc_lan.models.parameters import Parameter
from pymc_lan.models.race.race import Race
from pymc_lan.numerics.passage import Namespace, Theta
from pymc_lan.numerics.wiener import log_add

Float = NDArray[np.float64]

# What stands before the names of the parameters of the stop process.
STOP = "stop_"
# The delay of a trial without a signal [s]: nothing comes that late.
NO_SIGNAL = 1e6
# Of each rule.
_POINTS, WEIGHTS = (0.5 * x for x in np.polynomial.legendre.leggauss(32))
NODES = _POINTS + 0.5
# Rounding may leave of a positive number nothing; its log is taken of this.
LEAST = 1e-300

TRIGGER_FAILURE = Parameter(
    "trigger_failure",
    (0.0, 1.0),
    "1",
    "share of signals without effect",
    default=0.0,
    domain=(0.0, 1.0),
    closed=True,
)
SSD = Parameter("ssd", (0.0, NO_SIGNAL), "s", "delay of the stop signal", domain=(0.0, 10 * NO_SIGNAL), closed=True)


def closed_race(model: Model) -> Race | None:
    """The model as a go or a stop process: a race in closed form; None for others."""
    return model if isinstance(model, Race) and model.exact is not None else None


@final
@dataclass(frozen=True, slots=True, repr=False)
class StopSignalRace(Model):
    """A go process and a stop process, each a race; see `pymc_lan.StopSignal`.

    Parameters
    ----------
    go, stop : Race
        The stop process has one accumulator, whose finishing times are bounded by `Accumulator.window`.
    """

    go: Race
    stop: Race

    @property
    def name(self) -> str:  # type: ignore[override]
        """Of both."""
        return f"stop_signal_{self.go.name}_{self.stop.name}"

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """Those of the go process, those of the stop process, and what is known of the signal."""
        words = "{} of the stop process"
        stop = (replace(p, name=f"{STOP}{p.name}", meaning=words.format(p.meaning)) for p in self.stop.parameters)
        return (*self.go.parameters, *stop, TRIGGER_FAILURE, SSD)

    @property
    def description(self) -> str:  # type: ignore[override]
        """In words."""
        return f"Stop-signal race. Go: {self.go.description} Stop: {self.stop.description}"

    @property
    def reference(self) -> str:  # type: ignore[override]
        """Of the race."""
        return "Logan & Cowan (1984), Psychological Review 91, 295-327."

    @property
    def choices(self) -> tuple[int, ...]:  # type: ignore[override]
        """Those of the go process."""
        return self.go.choices

    @property
    def shift(self) -> str | None:
        """None: each process has its own non-decision time."""
        return None

    @property
    def omissions(self) -> bool:
        """Where the stop process wins there is no response."""
        return True

    @property
    def order(self) -> tuple[str, str] | None:
        """That of the go process."""
        return self.go.order

    @property
    def exact(self) -> Density:
        """By quadrature."""
        return StopSignalDensity(self)

    def split(self, theta: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The parameters of the go and of the stop process, by their own names."""
        return {n: theta[n] for n in self.go.names}, {n: theta[f"{STOP}{n}"] for n in self.stop.names}

    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Draw one trial for each set of parameters; rt is inf where it was stopped."""
        go, stop = self.split(theta)
        rt, response = self.go.draw(rng, go)
        triggered = rng.random(rt.size) >= theta["trigger_failure"]
        stopped = triggered & (theta["ssd"] + self.stop.draw(rng, stop)[0] < rt)
        return np.where(stopped, np.inf, rt), response

    def typical(self, theta: Theta) -> Any:
        """When the go process typically finishes."""
        return shift(self.go, theta) + self.go.typical(theta)

    def check_values(self, theta: Mapping[str, Any]) -> None:
        """As the go process."""
        self.go.check_values(theta)


@final
@dataclass(frozen=True, slots=True)
class StopSignalDensity(Density):
    """The density of responses, and the probability of none.

    Parameters
    ----------
    model : StopSignalRace
    """

    model: StopSignalRace

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """Nothing: the go process has its own."""
        return 0.0, 0.0

    def log_density(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """Log density of a response at d seconds after the stimulus."""
        go, stop = self.model.split(theta)
        free = self._stop.log_none(xp, d - theta["ssd"], stop)
        return self._go.log_density(xp, d, response, go) + mix_lapses(xp, free, theta["trigger_failure"], 0.0)

    @property
    def log_survivor(self) -> Survivor:
        """Log probability that there is no response by a time."""
        return self._log_survivor

    @property
    def _go(self) -> Likelihood:
        return Likelihood(self.model.go, silence=Silence.OMISSION)

    @property
    def _stop(self) -> Likelihood:
        return Likelihood(self.model.stop, silence=Silence.OMISSION)

    def _log_survivor(self, xp: Namespace, horizon: Any, theta: Theta) -> Any:
        go, stop = self.model.split(theta)
        undecided = self._go.log_none(xp, horizon, go)
        neither = undecided + self._stop.log_none(xp, horizon - theta["ssd"], stop)
        stopped = log_add(xp, neither, self._log_stopped(xp, horizon, theta["ssd"], go, stop))
        return mix_lapses(xp, stopped, theta["trigger_failure"], undecided)

    def _log_stopped(self, xp: Namespace, horizon: Any, ssd: Any, go: Theta, stop: Theta) -> Any:
        """Log probability that the stop process finishes first, and before the horizon."""
        names = [*go, *(f"{STOP}{name}" for name in stop)]
        wide = xp.broadcast_arrays(horizon, ssd, *go.values(), *stop.values())
        (horizon, ssd), values = wide[:2], dict(zip(names, wide[2:], strict=True))
        go, stop = self.model.split(values)
        low, high = self.model.stop.accumulator.window(xp, stop)
        begins, until = ssd + shift(self.model.stop, stop), xp.maximum(horizon, 0.0)
        *between, last = (end - begins for end in self._window(xp, go))
        high = xp.maximum(low, reduce(xp.minimum, (high, until - begins, last)))
        ends = [xp.log(end) for end in (low, *(xp.minimum(xp.maximum(x, low), high) for x in between), high)]
        nodes, weights = (x.reshape(-1, *[1] * low.ndim) for x in (NODES, WEIGHTS))
        total = 0.0
        for start, end in pairwise(ends):
            y = start + (end - start) * nodes
            d = xp.exp(y)
            log_f = self.model.stop.accumulator.log_density(xp, d, stop) + y
            log_s = self._go.log_none(xp, begins + d, go)
            total = total + (end - start) * (weights * xp.exp(log_f + log_s)).sum(axis=0)
        return xp.log(xp.maximum(total, LEAST))

    def _window(self, xp: Namespace, go: Theta) -> list[Any]:
        """Before which no go response comes, from when on it may be any, and after which there is one."""
        windows = [self.model.go.accumulator.window(xp, one) for one in self.model.go.split(go)]
        lows, highs = zip(*windows, strict=True)
        last = reduce(xp.minimum, highs)
        return [shift(self.model.go, go) + x for x in (reduce(xp.minimum, lows), reduce(xp.maximum, lows), last)]
