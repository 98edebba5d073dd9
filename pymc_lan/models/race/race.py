"""Races of independent accumulators: the first to finish decides.

The density of a response is that of the winner's finishing time, times the probabilities that the others have not
finished. So a model is two functions of *one* accumulator, its log density and its log survivor, which make a race of
any number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, refuse
from pymc_lan.models.density import Density, Network, Survivor, Views
from pymc_lan.models.diffusion.closed_view import ONSET_MIN
from pymc_lan.models.labels import Labels
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import Parameter
from pymc_lan.models.race.accumulator import Accumulator, split
from pymc_lan.models.race.reflected_labels import RaceLabels
from pymc_lan.models.race.reflected_view import LAN, SURVIVOR
from pymc_lan.models.race.uniform_start import LEAST
from pymc_lan.numerics.mass import Panel
from pymc_lan.numerics.passage import Namespace, Theta

Float = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True, repr=False)
class Race(Model):
    """A race of accumulators of one kind, one for each choice, in ascending order.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order of positional arguments; those that each accumulator has for itself carry its number.
    accumulator : Accumulator
    description, reference : str
    choices : tuple of int
    """

    name: str
    parameters: tuple[Parameter, ...]
    accumulator: Accumulator
    description: str
    reference: str
    choices: tuple[int, ...] = (-1, 1)

    @property
    def order(self) -> tuple[str, str] | None:
        """Two parameters of which the first is not to exceed the second."""
        return self.accumulator.order

    @property
    def views(self) -> Views | None:
        """Networks of one accumulator, where it is learned."""
        return RaceViews(self) if self.accumulator.learned else None

    @property
    def exact(self) -> Density | None:
        """The race of closed forms, where they are."""
        return None if self.accumulator.learned else RaceDensity(self, (), ())

    @property
    def labels(self) -> Labels | None:
        """From the equation of one accumulator, where it is learned."""
        return RaceLabels(self, self.accumulator) if self.accumulator.learned else None

    def draw(self, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
        """Draw one trial for each set of parameters."""
        times = self.accumulator.draw(rng, self.split({name: theta[name] for name in self.names}))
        response = np.asarray(self.choices, np.float64)[times.argmin(axis=0)]
        return theta["t"] + times.min(axis=0), response

    def check_values(self, theta: Mapping[str, Any]) -> None:
        """Refuse, with a ValueError, numbers of which the first exceeds the second where it is not to."""
        if self.order is None or not set(self.order) <= theta.keys():
            return
        low, high = self.order
        pairs = np.broadcast_arrays(*np.atleast_1d(theta[low], theta[high]))
        refuse(
            pairs[0] > pairs[1],
            dict(zip(self.order, pairs, strict=True)),
            expected=f"{high} of {self.name!r} to be at least {low}",
            found="less",
            remedy=f"lower {low} or raise {high}",
        )

    def panels(self, xp: Any, response: Any, theta: Theta) -> tuple[Panel, ...]:
        """From when one may have finished until one has."""
        each = self.split(theta)
        lows, highs = zip(*(self.accumulator.window(xp, one) for one in each), strict=True)
        first, last = reduce(xp.minimum, lows), reduce(xp.minimum, highs)
        bulks = [self.accumulator.bulk(xp, one) for one in each]
        # Where one may take very long, most is over much earlier; else where the latest to begin may have finished.
        begins = [xp.where(low < last, low, first) for low in lows]
        inner = reduce(xp.maximum, begins) if any(x is None for x in bulks) else reduce(xp.minimum, bulks)
        middle = xp.maximum(xp.minimum(inner, last), first)
        return Panel(0.0, first, middle), Panel(0.0, middle, last)

    def split(self, theta: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The parameters of each accumulator, by their names without number."""
        return split(self.accumulator, len(self.choices), theta)


@final
@dataclass(frozen=True, slots=True)
class RaceDensity(Density):
    """The density of a race, from that and the survivor of one accumulator.

    Parameters
    ----------
    race : Race
    of_density, of_survivor : tuple of callable
        The network of each, of accumulators that are learned; else none.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> from pymc_lan.numerics.passage import NUMPY
    >>> density = pl.get_model("lba2").exact
    >>> theta = {"A": 0.3, "b": 0.5, "v0": 0.5, "v1": 0.5}
    >>> float(density.log_density(NUMPY, 0.7, 1, theta).round(4))
    -0.215
    """

    race: Race
    of_density: tuple[Callable[..., Any], ...]
    of_survivor: tuple[Callable[..., Any], ...]

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)`` of the winner."""
        thetas = self.race.split(theta)
        winner = dict(thetas[-1])
        for name in self.race.accumulator.own:
            for code, one in zip(self.race.choices[-2::-1], thetas[-2::-1], strict=True):
                winner[name] = xp.where(response <= code, one[name], winner[name])
        d_min, slope = self.race.accumulator.onset(xp, winner)
        return d_min, xp.maximum(slope, 1 / d_min)

    def log_density(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """Log density of decision time and response; over all responses it integrates to one."""
        race, accumulator = self.race, self.race.accumulator
        names = [name for name in race.names if name != "t"]
        d, response, *values = xp.broadcast_arrays(d, response, *(theta[name] for name in names))
        thetas = race.split(dict(zip(names, values, strict=True)))
        winner, losers = dict(thetas[-1]), dict(thetas[0])
        for name in accumulator.own:
            each = [one[name] for one in thetas]
            for code, x in zip(race.choices[-2::-1], each[-2::-1], strict=True):
                winner[name] = xp.where(response <= code, x, winner[name])
            # The losers in their order, the winner left out.
            pairs = zip(race.choices[:-1], each[:-1], each[1:], strict=True)
            left = [xp.where(response > code, before, after) for code, before, after in pairs]
            losers[name] = xp.stack(left) if left else None
        total = accumulator.log_density(xp, d, winner, *self.of_density)
        if len(thetas) > 1:
            total = total + accumulator.log_survivor(xp, d, losers, *self.of_survivor).sum(axis=0)
        # Of what was given, before it was broadcast: usually numbers.
        some = accumulator.log_some(xp, race.split(theta))
        return total if some is None else total - some

    @property
    def log_survivor(self) -> Survivor:
        """Log probability that none has finished within a horizon: the product of the survivors."""
        return self._log_survivor

    def _log_survivor(self, xp: Namespace, horizon: Any, theta: Theta) -> Any:
        race, accumulator = self.race, self.race.accumulator
        started, ends = horizon > ONSET_MIN, horizon < math.inf
        d = xp.where(started & ends, horizon, 1.0)
        thetas = race.split(theta)
        total = sum(accumulator.log_survivor(xp, d, one, *self.of_survivor) for one in thetas)
        some, never = accumulator.log_some(xp, thetas), accumulator.log_never(xp, thetas)
        if some is not None:
            # Of the trials in which one finishes at some time, those in which none has yet.
            total = total - some + xp.log(xp.maximum(-xp.expm1(never - total), LEAST))
        return xp.where(started, xp.where(ends, total, -math.inf), 0.0)


@final
@dataclass(frozen=True, slots=True)
class RaceViews(Views):
    """Networks of one accumulator, the same in every race.

    Parameters
    ----------
    race : Race
    """

    race: Race

    @property
    def tag(self) -> str:  # type: ignore[override]
        """What a config calls it."""
        return self.race.accumulator.tag

    @property
    def n_inputs(self) -> dict[str, int]:
        """How many inputs each network has, by its name in a config."""
        return {"lan": LAN.n_inputs, "choice": SURVIVOR.n_inputs}

    def density(self, lan: Network, choice: Network | None) -> Density:
        """The density of the race; a ValueError without either network."""
        if choice is None:
            expected = f"the two networks of {self.race.name!r}"
            raise ValueError(explain(expected, "one of them", "load them with pl.load_network"))
        return RaceDensity(self.race, (lan,), (choice,))
