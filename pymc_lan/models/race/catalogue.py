"""Races of accumulators, as data: models of two and more choices."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from typing import Any

from pymc_lan.models.parameters import POSITIVE, Parameter
from pymc_lan.models.race.lba import LBA
from pymc_lan.models.race.log_normal import LogNormal
from pymc_lan.models.race.poisson import PoissonCounter
from pymc_lan.models.race.race import Race
from pymc_lan.models.race.racing_diffusion import RacingDiffusion
from pymc_lan.models.race.reflected import Reflected, ReflectedNoBias
from pymc_lan.models.race.wald import Wald


def _A(high: float) -> Parameter:
    meaning = "upper end of the starting points, which are uniform from 0"
    return Parameter("A", (0.0, high), "evidence", meaning, domain=POSITIVE, closed=True)


def _b(low: float, high: float) -> Parameter:
    return Parameter("b", (low, high), "evidence", "threshold, A or more", domain=POSITIVE)


def _drifts(n: int, high: float, meaning: str, **kwargs: Any) -> tuple[Parameter, ...]:
    return _each(n, Parameter("v", (0.0, high), "evidence/s", meaning, **kwargs))


def _each(n: int, p: Parameter) -> tuple[Parameter, ...]:
    """A parameter of each accumulator, with its number where there are several."""
    if n == 1:
        return (p,)
    return tuple(replace(p, name=f"{p.name}{i}", meaning=f"{p.meaning} of accumulator {i}") for i in range(n))


def _t(default: float | None = None) -> Parameter:
    return Parameter("t", (0.0, 2.0), "s", "non-decision time", default=default, domain=POSITIVE, closed=True)


@cache
def lba(n: int) -> Race:
    """Linear ballistic accumulators, n of them."""
    return Race(
        name=f"lba{n}",
        parameters=(_A(1.0), _b(0.2, 1.0), *_drifts(n, 1.1, "mean drift"), _t(default=0.0)),
        description=f"Linear ballistic accumulators, {n} choices: evidence grows in straight lines from starting "
        "points that are uniform on 0 to A, at drifts that are normal across trials with standard deviation 0.1, of "
        "which one at least is positive. The first to reach b decides.",
        reference="Brown & Heathcote (2008), Cognitive Psychology 57, 153-178.",
        choices=tuple(range(n)),
        accumulator=LBA(),
    )


@cache
def racing_diffusion(n: int) -> Race:
    """Racing diffusions, n of them."""
    return Race(
        name=f"rdm{n}",
        parameters=(_A(1.0), _b(0.5, 3.0), *_drifts(n, 2.5, "drift", domain=POSITIVE), _t()),
        description=f"Racing diffusions, {n} choices: unit noise, constant positive drifts, starting points that are "
        "uniform on 0 to A. The first to reach b decides.",
        reference="Tillman, Van Zandt & Logan (2020), Psychonomic Bulletin & Review 27, 911-936.",
        choices=tuple(range(n)),
        accumulator=RacingDiffusion(),
    )


@cache
def log_normal_race(n: int) -> Race:
    """Log-normal race of n accumulators."""
    return Race(
        name=f"lnr{n}",
        parameters=(
            *_each(n, Parameter("m", (-3.0, 2.0), "log s", "mean of the log finishing time")),
            *_each(
                n, Parameter("s", (0.05, 2.0), "1", "standard deviation of the log finishing time", domain=POSITIVE)
            ),
            _t(),
        ),
        description=f"Log-normal race, {n} choices: finishing times whose logs are normal. The first decides.",
        reference="Rouder, Province, Morey, Gomez & Heathcote (2015), Psychometrika 80, 491-513.",
        choices=tuple(range(n)),
        accumulator=LogNormal(),
    )


SHIFTED_WALD_SPEC = Race(
    name="shifted_wald",
    parameters=(
        Parameter("v", (0.1, 6.0), "evidence/s", "drift towards the boundary", domain=POSITIVE),
        Parameter("a", (0.2, 4.0), "evidence", "distance to the boundary", domain=POSITIVE),
        _t(),
    ),
    description="Shifted Wald: one response, when evidence with unit noise and a positive drift first comes to its one "
    "boundary, t seconds added.",
    reference="Heathcote (2004), Behavior Research Methods, Instruments, & Computers 36, 678-694; Anders, Alario & Van "
    "Maanen (2016), Psychological Methods 21, 309-327.",
    choices=(1,),
    accumulator=Wald(),
)


def _counter(name: str, low: float, unit: str, meaning: str) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(f"{name}{i}", (low, 20.0), unit, f"{meaning} of counter {i}", domain=POSITIVE) for i in (1, 2)
    )


POISSON_RACE_SPEC = Race(
    name="poisson_race",
    parameters=(
        *_counter("r", 1e-3, "1/s", "rate of events"),
        *_counter("k", 1.0, "1", "number of events, whole or not, that end the race,"),
        _t(),
    ),
    description="Poisson race, two choices: counter 1 (response -1) and counter 2 (response +1) each wait for their "
    "k-th event, at constant rates, which takes a gamma distributed time. The first to have it decides.",
    reference="Townsend & Ashby (1983), Stochastic Modeling of Elementary Psychological Processes; Smith & Van Zandt "
    "(2000), British Journal of Mathematical and Statistical Psychology 53, 293-315.",
    accumulator=PoissonCounter(),
)

_WALL = "unit noise, constant drifts, evidence that cannot fall below 0. The first to reach the boundary decides"


@cache
def reflected(n: int) -> Race:
    """Race of n reflected diffusions."""
    return Race(
        name=f"race_{n}",
        parameters=(
            *_drifts(n, 2.5, "drift"),
            Parameter("a", (1.0, 3.0), "evidence", "boundary", domain=POSITIVE),
            *_each(n, _Z),
            _t(),
        ),
        description=f"Race of {n} reflected diffusions: {_WALL}.",
        reference=_SSMS,
        choices=tuple(range(n)),
        accumulator=Reflected(),
    )


@cache
def reflected_angle(n: int) -> Race:
    """Race of n reflected diffusions whose boundary collapses."""
    return Race(
        name=f"race_no_bias_angle_{n}",
        parameters=(
            *_drifts(n, 2.5, "drift"),
            Parameter("a", (1.0, 3.0), "evidence", "boundary when the decision starts", domain=POSITIVE),
            replace(_Z, meaning=f"{_Z.meaning} of all accumulators"),
            _t(),
            Parameter(
                "theta",
                (-0.1, 1.45),
                "rad",
                "angle at which the boundary falls: it is at a - d tan(theta) after d seconds of decision",
                domain=(-math.pi / 2, math.pi / 2),
            ),
        ),
        description=f"Race of {n} reflected diffusions with a boundary that collapses in a straight line: {_WALL}.",
        reference=_SSMS,
        choices=tuple(range(n)),
        accumulator=ReflectedNoBias(),
    )


_Z = Parameter("z", (0.0, 0.9), "1", "relative starting point, z a,", domain=(0.0, 1.0), closed=True)
_SSMS = (
    "Usher & McClelland (2001), Psychological Review 108, 550-592, without leak and inhibition; ssm-simulators "
    "(Fengler, Govindarajan, Chen & Frank 2021, eLife 10, e65074)."
)

RACE_SPECS = (
    *(lba(n) for n in (2, 3, 4)),
    racing_diffusion(3),
    POISSON_RACE_SPEC,
    SHIFTED_WALD_SPEC,
    *(make(n) for make in (reflected, reflected_angle) for n in (3, 4)),
)
"""The races of this release."""

_OF_ANY_NUMBER = {
    "lba": lba,
    "rdm": racing_diffusion,
    "lnr": log_normal_race,
    "race_": reflected,
    "race_no_bias_angle_": reflected_angle,
}


def race_of_name(name: str) -> Race | None:
    """The race whose name ends in its number of accumulators, ``"lba5"``; None for another name."""
    found = re.fullmatch(r"([a-z_]+?)([1-9][0-9]?)", name)
    return None if found is None or found[1] not in _OF_ANY_NUMBER else _OF_ANY_NUMBER[found[1]](int(found[2]))
