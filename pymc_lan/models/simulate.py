"""Random trials of a model: what posterior prediction draws, and what `pymc_lan.simulate` returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pymc_lan.data.guesses import NO_RESPONSE
from pymc_lan.data.observation import Observation, of_choices
from pymc_lan.data.observed import as_dataframe, check_deadlines
from pymc_lan.data.partly_seen import Truncated, check_limits, two_limits
from pymc_lan.data.tables import as_numbers, row_labels
from pymc_lan.errors import check_count, check_length, explain, refuse
from pymc_lan.models.diffusion.trajectories import as_diffusion, draw_trajectories
from pymc_lan.models.model import Model, bind, seen
from pymc_lan.numerics.seeds import as_generator

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Float = NDArray[np.float64]

# How often a trial that is never decided is drawn again, where the next one may be.
ATTEMPTS = 100
# How often a trial that would not be recorded is drawn again.
RECORDINGS = 1000
# Trials of a simulation at most: their table alone takes 24 bytes for each.
MOST = 1_000_000_000
# Paths of a simulation at most: each takes 8 kB for each second.
MOST_PATHS = 10_000


def simulate_trials(
    spec: Model,
    params: Mapping[str, ArrayLike],
    n: int | None = None,
    seed: int | None = None,
    deadline: ArrayLike | None = None,
    truncation: tuple[Any, Any] | None = None,
) -> pd.DataFrame:
    """Simulate trials of a model; see `pymc_lan.simulate`."""
    rng, values = as_generator(seed), _values(spec, params, n)
    if deadline is None and truncation is None:
        return _as_table(spec, _draw_decisions(spec, rng, values, never=False))
    if not spec.times:
        expected = "a model of response times, for a deadline or truncation"
        raise ValueError(explain(expected, f"{spec.name!r}, a model of responses alone", "leave them out"))
    size = next(iter(values.values())).size
    extras, silent = {"p_lapse": np.zeros(size)}, deadline is not None or spec.omissions
    if silent:
        extras["deadline"] = check_deadlines(np.inf if deadline is None else deadline, (size,))
    seen = of_choices(spec.choices, omissions=silent)
    if truncation is not None:
        for name, x in zip(Truncated(seen).extras[-2:], two_limits(truncation), strict=True):
            given = as_numbers("truncation", x)
            check_length("truncation", given, (size,))
            extras[name] = np.broadcast_to(given, size)
        check_limits(extras["truncation_low"], extras["truncation_high"])
        seen = Truncated(seen)
    table = _as_table(spec, draw_trials(spec, rng, values | extras, seen))
    return table if deadline is None else table.assign(deadline=extras["deadline"])


def simulate_with_paths(
    spec: Model, params: Mapping[str, ArrayLike], k: int, n: int | None = None, seed: int | None = None
) -> tuple[pd.DataFrame, xr.DataArray]:
    """Simulate trials, the first `k` of them with their paths; see `pymc_lan.simulate`."""
    import xarray as xr

    diffusion, values = as_diffusion(spec), _values(spec, params, n)
    size = next(iter(values.values())).size
    k = check_count("trajectories", k, most=min(size, MOST_PATHS))
    rng = as_generator(seed)
    trials = _draw_decisions(spec, rng, values, never=False)
    found = draw_trajectories(diffusion, rng.spawn(1)[0], {name: x[:k] for name, x in values.items()})
    trials[:k, 0], trials[:k, 1] = found.rt, found.response
    table = _as_table(spec, trials)
    paths = xr.DataArray(
        found.x, {"trial": table["trial"].to_numpy()[:k], "time": found.times}, ("trial", "time"), "evidence"
    )
    return table, paths


def _as_table(spec: Model, trials: Float) -> pd.DataFrame:
    table = as_dataframe(trials)
    return table if spec.times else table.drop(columns="rt")


def _values(spec: Model, params: Mapping[str, ArrayLike], n: int | None) -> dict[str, Float]:
    """Every parameter of each trial, checked."""
    if not hasattr(params, "items"):
        found = f"a {type(params).__name__}"
        raise ValueError(explain("parameters by name", found, "give a dict, such as {'v': 1.0, ...}"))
    table = None if row_labels(params) is None else params
    theta = {name: as_numbers(name, value, table) for name, value in bind(spec, (), params).items()}
    lengths = {x.size for x in theta.values() if x.ndim}
    n = max(lengths, default=1) if n is None else check_count("n", n, most=MOST)
    if 0 in lengths or lengths - {1, n} or any(x.ndim > 1 for x in theta.values()):
        raise ValueError(
            explain(
                f"parameters that are scalar or one for each of {n or 'the'} trials",
                ", ".join(f"{name} of shape {x.shape}" for name, x in theta.items()),
                "give every parameter that varies the same length, and n either that length or not at all",
            )
        )
    _check_domain(spec, theta)
    return {name: np.broadcast_to(x, n) for name, x in theta.items()}


def _check_domain(spec: Model, theta: Mapping[str, Float]) -> None:
    for p in spec.parameters:
        x = theta[p.name]
        # A duration may be zero.
        above = (x > p.domain[0]) | ((x == p.domain[0]) & (p.closed or p.unit == "s"))
        if not np.all(above & (x < p.domain[1])):
            raise ValueError(
                explain(
                    f"{p.name} strictly between {p.domain[0]:g} and {p.domain[1]:g}",
                    f"{x}",
                    f"check {p.name}",
                )
            )
    spec.check_values(theta)
    for each in spec.variability:
        low, high = spec.parameter(each.parameter).domain
        x, reach = theta[each.parameter], theta[each.spread]
        if each.distribution == "uniform" and not np.all((x - reach >= low) & (x + reach <= high)):
            raise ValueError(
                explain(
                    f"{each.parameter} less and plus {each.spread} between {low:g} and {high:g}",
                    f"{each.parameter} = {x} and {each.spread} = {reach}",
                    f"lower {each.spread}",
                )
            )


def draw_trials(spec: Model, rng: np.random.Generator, values: Mapping[str, Float], observation: Observation) -> Float:
    """Draw one trial for each set of parameters.

    Parameters
    ----------
    spec : Model
    rng : numpy.random.Generator
    values : mapping of str to ndarray, shape (n,)
        The model's parameters, and the observation's extras.
    observation : Observation
        What is seen of a trial.

    Returns
    -------
    ndarray, shape (n, 2)
        Rows ``[rt, response]``; ``[inf, 0]`` without a response.
    """
    trials, left = np.empty((len(values["p_lapse"]), 2)), np.arange(len(values["p_lapse"]))
    for _ in range(RECORDINGS):
        some = {name: x[left] for name, x in values.items()}
        trials[left] = _draw_with_guesses(spec, rng, some, observation)
        left = left[~observation.recorded(trials[left], some)]
        if not left.size:
            break
    lacking = np.zeros(len(trials), bool)
    lacking[left] = True
    refuse(
        lacking,
        {p.name: values[p.name] for p in spec.parameters},
        expected=f"trials of {spec.name!r} that are recorded",
        found=f"{RECORDINGS} in a row that are not",
        remedy="give wider limits of truncation, or parameters under which responses lie between them",
    )
    return observation.hide(trials, values)


def _draw_with_guesses(
    spec: Model, rng: np.random.Generator, values: Mapping[str, Float], observation: Observation
) -> Float:
    """What happens in trials, whether anybody sees it or not."""
    trials = _draw_decisions(spec, rng, values, never=observation.silent)
    guess = rng.random(trials.shape[0]) < values["p_lapse"]
    if guess.any():
        trials[guess] = observation.draw_guesses(rng, {name: x[guess] for name, x in values.items()})
    return trials


def _draw_decisions(spec: Model, rng: np.random.Generator, values: Mapping[str, Float], *, never: bool) -> Float:
    """Trials that are decided or, where that may `never` be and is an outcome, ``[inf, 0]``."""
    for p in seen(spec):
        low, high = p.domain
        x = values[p.name]
        refuse(
            ~((x >= low) & (x <= high) & np.isfinite(x)),
            {p.name: x},
            expected=f"a finite {p.name} from {low:g} to {high:g}, to draw trials of {spec.name!r}",
            found="another one",
            remedy=f"give {p.name} a prior that ends there, such as a truncated one",
        )
    spec.check_values(values)
    trials = _draw_once(spec, rng, values)
    for _ in range(ATTEMPTS):
        undecided = np.isinf(trials[:, 0])
        if never or spec.omissions or not undecided.any() or not spec.escapes:
            break
        trials[undecided] = _draw_once(spec, rng, {name: values[name][undecided] for name in spec.names})
    undecided = np.isinf(trials[:, 0])
    trials[undecided, 1] = NO_RESPONSE
    refuse(
        undecided & (not never and not spec.omissions),
        {p.name: values[p.name] for p in seen(spec)},
        expected=f"trials of {spec.name!r} that are decided at some time",
        found="boundaries that run away or a drift that holds evidence between them",
        remedy="give parameters priors without such values, or use the go/no-go form, where that is no press",
    )
    refuse(
        trials[:, 0] < 0,
        {"rt": trials[:, 0]},
        expected=f"an rt of 0 or more of {spec.name!r}",
        found="a negative one, from a negative non-decision time",
        remedy="give it a prior above 0",
    )
    return trials


def _draw_once(spec: Model, rng: np.random.Generator, values: Mapping[str, Float]) -> Float:
    """Draw trials; rt is inf where a decision never comes."""
    return np.column_stack(spec.draw(rng, {name: values[name] for name in spec.names})).astype(np.float64)
