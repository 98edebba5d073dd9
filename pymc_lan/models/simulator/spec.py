"""`simulator_spec`: a model from a function that draws trials, with all that is said of it checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pymc_lan.errors import explain, unknown
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.parameters import POSITIVE, Parameter, Simulator, as_bounds, as_choices
from pymc_lan.models.simulator.kinds import SimulatedResponses, SimulatedTimes
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.models.simulator.symmetry import Exchange, Mirror, Symmetry

LIBRARIES = ("numpy", "jax")
REMEDY = "leave shift and omissions out, and code a missing response as one more choice"

Ranges = Mapping[str, tuple[float, float]] | Sequence[Parameter]


def simulator_spec(
    name: str,
    function: Callable[[Any, Any], Any],
    parameters: Ranges,
    *,
    choices: Sequence[int] = (-1, 1),
    times: bool = True,
    shift: str | None = None,
    mirror: Sequence[str] = (),
    exchange: Sequence[Sequence[str]] = (),
    omissions: bool = False,
    context: Ranges | None = None,
    vectorised: bool = True,
    library: str = "numpy",
    description: str = "",
    reference: str = "unpublished",
) -> Simulated:
    """Describe a model by a function that draws trials: what `pymc_lan.train` makes a likelihood of.

    Parameters
    ----------
    name : str
    function : callable
        ``(theta, rng)`` to ``(rt, response)``: `theta` of shape (n, p) has a row for each trial and a column for each
        parameter, then each column of `context`, in their order; rt of shape (n,) is in seconds, inf where there was
        no response; response of shape (n,) holds `choices`, and anything where there was none. All randomness comes
        from `rng`.
    parameters : mapping of str to tuple of float, or sequence of Parameter
        Names and bounds, in the order of the columns.
    choices : sequence of int
        The response codes: -1 and 1, or 0 to n - 1.
    times : bool
        False for a function that returns the response alone, in any task: the network then learns the probability of
        each choice, for `pymc_lan.ChoiceDist`.
    shift : str, optional
        The parameter, if there is one, that does nothing but move every response time: the non-decision time. The
        network then need not learn it. `pymc_lan.train` checks that it is true.
    mirror : sequence of str
        Parameters that, turned about the middle of their bounds, do nothing but make the two choices change places: a
        drift of either sign, a bias. Every trial then teaches both. `pymc_lan.train` checks that it is true.
    exchange : sequence of sequence of str
        Groups of one parameter for each choice, in their order, such as the inputs of accumulators: when those of
        every group are moved on by one, so are the choices, and nothing else. Every trial then teaches all choices.
        `pymc_lan.train` checks that it is true.
    omissions : bool
        Whether trials may have no response, rt = inf. Their probability is then learned too.
    context : as `parameters`, optional
        What is known of each trial and not estimated: a deadline, the strength of a stimulus. Distributions take them
        as further parameters.
    vectorised : bool
        False for a function of one trial: `theta` of shape (p,) to two numbers. Training runs it in parallel processes.
    library : {"numpy", "jax"}
        Whether `rng` is a `numpy.random.Generator`, or a key of `jax.random` for a function that `jax.jit` can compile.
    description, reference : str
        For the model's card.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        For a name that a model of this release has, bounds that are none, names that repeat, an unknown `shift`,
        `mirror` or `library`, a mirror of other than two choices, groups to `exchange` that have not a parameter with
        the same bounds for each choice; without times, for a `shift`, a `mirror`, an `exchange`, `omissions` or a
        single choice.

    Examples
    --------
    Responses that may come after the end of the trial:

    >>> import numpy as np, pymc_lan as pl
    >>> def draw(theta, rng):
    ...     rate, limit = theta.T
    ...     rt = 0.2 + rng.gamma(3.0, 1 / rate)
    ...     return np.where(rt < limit, rt, np.inf), np.ones(len(rt))
    >>> spec = pl.simulator_spec(
    ...     "timed", draw, {"rate": (2.0, 20.0)}, choices=[1], omissions=True, context={"limit": (0.5, 2.0)}
    ... )
    >>> pl.simulate(spec, {"rate": 3.0, "limit": 0.8}, n=4, seed=1).columns.tolist()
    ['trial', 'rt', 'response']

    Responses alone:

    >>> def detect(theta, rng):
    ...     return rng.normal(theta[:, 0], 1.0) > theta[:, 1]
    >>> spec = pl.simulator_spec(
    ...     "yes_no", detect, {"d": (0.0, 4.0), "criterion": (-1.0, 5.0)}, choices=[0, 1], times=False
    ... )
    >>> pl.simulate(spec, {"d": 1.0, "criterion": 0.5}, n=4, seed=1).columns.tolist()
    ['trial', 'response']
    """
    if name in MODELS:
        raise ValueError(explain("a name that no model of this release has", f"{name!r}", "choose another"))
    _check_function(name, function)
    every = (*_parameters(parameters, ""), *_parameters(context or {}, "context, known of each trial"))
    if not every:
        raise ValueError(
            explain(f"parameters of {name!r}", "none", "give names and bounds, as in {'rate': (2.0, 20.0)}")
        )
    names = [p.name for p in every]
    if shift is not None and shift not in names:
        raise ValueError(unknown("parameter", shift, names))
    if taken := {"rt", "response"} & {*names}:
        raise ValueError(explain("names of parameters that no column of data has", f"{taken.pop()!r}", "rename it"))
    if library not in LIBRARIES:
        raise ValueError(unknown("library", library, LIBRARIES))
    choices = as_choices(choices)
    decisive = {p.name: p for p in every if p.name != shift}
    _check_mirror(mirror, decisive, choices)
    _check_exchange(exchange, decisive, choices, mirror)
    if not times and (shift is not None or mirror or exchange or omissions or len(choices) < 2):
        given = {"choices": choices, "shift": shift, "mirror": mirror, "exchange": exchange}
        found = ", ".join(f"{k}={x!r}" for k, x in given.items()) + f" and omissions={omissions}"
        expected = "two choices or more, and neither shift, mirror, exchange nor omissions, without times"
        raise ValueError(explain(expected, found, REMEDY))
    about: dict[str, Any] = {
        "name": name,
        "parameters": every,
        "description": description or f"A model known by its simulator, {name}.",
        "reference": reference,
        "choices": choices,
        "simulator": Simulator(function, vectorised, library),
    }
    if not times:
        return SimulatedResponses(**about)
    symmetry: Symmetry | None = Mirror(tuple(mirror)) if mirror else None
    if exchange:
        symmetry = Exchange(tuple(map(tuple, exchange)))
    return SimulatedTimes(**about, shift=shift, symmetry=symmetry, omissions=omissions)


def _check_function(name: str, function: Any) -> None:
    if not callable(function):
        found, remedy = type(function).__name__, "give a function of (theta, rng)"
        raise ValueError(explain(f"a function that draws trials of {name!r}", found, remedy))


def _check_mirror(mirror: Sequence[str], known: Mapping[str, Parameter], choices: tuple[int, ...]) -> None:
    if isinstance(mirror, str):
        raise ValueError(explain("names of parameters for mirror", f"{mirror!r}", f"give mirror=[{mirror!r}]"))
    for name in mirror:
        if name not in known:
            raise ValueError(unknown("parameter", name, [*known]))
    if mirror and len(choices) != 2:
        raise ValueError(explain("two choices that can change places", f"{choices}", "leave out mirror"))


def _check_exchange(
    groups: Sequence[Sequence[str]], known: Mapping[str, Parameter], choices: tuple[int, ...], mirror: Sequence[str]
) -> None:
    if not groups:
        return
    if any(isinstance(group, str) for group in (groups, *groups)):
        remedy = "give exchange=[['v0', 'v1', 'v2']]"
        raise ValueError(explain("groups of names of parameters for exchange", f"{groups!r}", remedy))
    named = [name for group in groups for name in group]
    for name in named:
        if name not in known:
            raise ValueError(unknown("parameter", name, [*known]))
    wanted = "groups of exchange with one parameter for each choice, all with the same bounds, each in one group"
    alike = all(len(group) == len(choices) and len({known[name].bounds for name in group}) == 1 for group in groups)
    if mirror or len(choices) < 2 or not alike or len(set(named)) < len(named):
        told = ", ".join("(" + ", ".join(f"{name} {known[name].bounds}" for name in group) + ")" for group in groups)
        found = f"{told} for choices {choices}" + (" and a mirror" if mirror else "")
        raise ValueError(explain(wanted, found, "correct the groups, or leave out exchange"))


def _parameters(given: Any, meaning: str) -> list[Parameter]:
    if isinstance(given, Mapping):
        return [_parameter(name, bounds, meaning) for name, bounds in given.items()]
    listed = [*given] if isinstance(given, Iterable) else [given]
    if all(isinstance(each, Parameter) for each in listed):
        return listed
    expected, remedy = "names and bounds of parameters, or Parameters", "give {'rate': (2.0, 20.0), ...}"
    raise ValueError(explain(expected, f"{given!r:.80}", remedy))


def _parameter(name: str, bounds: Any, meaning: str) -> Parameter:
    # Non-decision times have this name wherever one looks.
    domain, unit = (POSITIVE, "s") if name == "t" else ((-math.inf, math.inf), "")
    return Parameter(name, as_bounds(name, bounds), unit, meaning, domain=domain)
