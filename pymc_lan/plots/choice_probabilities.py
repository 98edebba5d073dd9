"""How likely no press is over values of two parameters: network, true probability and simulated trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observation import Silence
from pymc_lan.errors import RegistryError, check_count, explain
from pymc_lan.models.model import Model, bind, require_labels, require_views, shift
from pymc_lan.networks.network import Network
from pymc_lan.numerics.seeds import as_generator
from pymc_lan.plots.densities import find, is_known
from pymc_lan.plots.network import check_bounds
from pymc_lan.plots.style import COLOURS, DATA_LINE, MARKERS, panel_axes, result, tidy, wide
from pymc_lan.registry.sources import AnyModel

Float = NDArray[np.float64]

# Values of the parameter along the axis at which curves are computed; every so-many-th is simulated.
N_VALUES, OF_VALUES = 49, 4
# Standard errors of a simulated share that its whisker has to either side.
WHISKER = 2.0


def choice_probabilities(
    model: AnyModel,
    params: Mapping[str, float] | None = None,
    sweep: str = "v",
    by: str = "a",
    *,
    values: Sequence[float] | None = None,
    levels: Sequence[float] | None = None,
    deadline: float | None = None,
    n: int = 2000,
    seed: int = 1,
    ax: Any = None,
) -> Any:
    """Plot the probability of no press over one parameter, with a curve for each value of another.

    Coloured lines are the network's, dashed black ones the true probability, in closed form or solved for: where they
    cover the network's, it is right. Symbols are shares of simulated trials, with two standard errors to either side.
    Of a model of which nothing but a network is known there are lines alone.

    Parameters
    ----------
    model : str, path, Model or Network
        One whose network knows how likely no press is, as go/no-go distributions need it.
    params : mapping of str to float, optional
        The other parameters; those with a default may be left out.
    sweep, by : str
        The parameters along the axis, and of which each curve has a value.
    values : sequence of float, optional
        The ends of the axis or more values of `sweep`; by default over its trained bounds.
    levels : sequence of float, optional
        Values of `by`; by default three, inside its trained bounds.
    deadline : float, optional
        Seconds; by default none, so that no press is the lower boundary.
    n : int
        Trials to simulate for each symbol; 0 for no symbols.
    seed : int
        Of the simulation.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For an unknown or missing parameter, values outside the trained bounds, a deadline that is not positive or that
        the network does not know, or a network that does not know how likely no press is.
    RegistryError
        For a model without a network.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> ax = pl.plots.choice_probabilities("ddm", dict(t=0.3), levels=[0.6, 1.2], n=200)
    >>> ax.get_ylabel()
    'P(no press)'
    """
    spec, network = find(model)
    if network is None:
        remedy = "pass the network itself, or name it with pl.register"
        raise RegistryError(explain(f"a network of {spec.name!r}", "none", remedy))
    _check_view(network)
    if sweep == by:
        raise ValueError(explain("two parameters as sweep and by", f"{sweep!r} twice", "name another one"))
    n, rng = check_count("n", n, 0), as_generator(check_count("seed", seed, 0))
    along = _values(spec, sweep, values, "values", np.array(spec.parameter(sweep).bounds))
    if along.size == 2:
        along = np.linspace(along[0], along[1], N_VALUES)
    low, high = spec.parameter(by).bounds
    curves = _values(spec, by, levels, "levels", np.linspace(low, high, 5)[1:-1])
    theta = [bind(spec, (), {**(params or {}), sweep: along[0], by: level}) for level in curves]
    check_bounds(spec, [each | {sweep: x} for each in theta for x in (along.min(), along.max())])
    axes = panel_axes(ax, ())
    where = axes.item()
    for k, (level, each) in enumerate(zip(curves, theta, strict=True)):
        sets = {name: np.broadcast_to(np.asarray(x, np.float64), along.shape) for name, x in each.items()}
        sets |= {sweep: along}
        found = network.probabilities(**sets, deadline=deadline)[..., 0]
        where.plot(along, found, color=COLOURS[k % len(COLOURS)], lw=wide(2), label=f"{by} = {level:g}")
        if n and is_known(spec):
            bars = _draw_simulated(where, spec, rng, sets, along, deadline, n, MARKERS[k % len(MARKERS)])
            bars.set_label("_" if k else "simulated")
        if is_known(spec):
            # Solving for a probability takes a while: where it has to be, as few as are simulated.
            some = slice(None) if require_labels(spec).quick else _some(along)
            truth = _truth(spec, {name: x[some] for name, x in sets.items()}, deadline)
            label = "true" if k == curves.size - 1 else None
            where.plot(along[some], truth, color="black", lw=wide(0.8), ls=(0, (3, 2)), label=label)
    where.set_ylim(-0.03, 1.03)
    tidy(axes, sweep, "P(no press)" if deadline is None else f"P(no press by {deadline:g} s)", own=ax is None)
    return result(axes)


def _check_view(network: Network) -> None:
    """Refuse a network that does not know how likely no press is."""
    view = None if network.choice is None else require_views(network.spec).choice
    expected = f"a network that knows how likely no press is, of {network.spec.name!r}"
    if view is not None and view.silence is not Silence.NO_PRESS:
        raise ValueError(explain(expected, *view.no_press))
    if view is None:
        raise ValueError(explain(expected, "none", "train one, or import one with its CPN"))


def _values(spec: Model, name: str, given: Sequence[float] | None, argument: str, usual: Float) -> Float:
    found = usual if given is None else np.asarray(given, np.float64)
    spec.parameter(name)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise ValueError(explain(f"a list of finite values of {name}", f"{given!r:.80}", f"give {argument}=[...]"))
    return found


def _some(along: Float) -> slice:
    """Which values are simulated: all of a few."""
    return slice(None, None, OF_VALUES if along.size >= N_VALUES else 1)


def _truth(spec: Model, theta: Mapping[str, Float], deadline: float | None) -> Float:
    """The probability of no press by the labels of a model; NaN where there is no trusted one."""
    n = next(iter(theta.values())).size
    horizon = np.full(n, np.inf) if deadline is None else deadline - np.broadcast_to(shift(spec, theta), n)
    sets = {name: x for name, x in theta.items() if name != spec.shift}
    begun = np.where(horizon > spec.earliest(theta), horizon, 1.0)
    log_rest = require_labels(spec).at(sets, np.arange(n), np.full(n, np.inf), np.ones(n), begun)
    return np.where(horizon > spec.earliest(theta), np.exp(log_rest), 1.0)


def _draw_simulated(
    ax: Any,
    spec: Model,
    rng: np.random.Generator,
    theta: Mapping[str, Float],
    along: Float,
    deadline: float | None,
    n: int,
    marker: str,
) -> Any:
    """Draw shares of simulated trials with their errors."""
    some = _some(along)
    rt, response = spec.draw(rng, {name: np.repeat(x[some], n) for name, x in theta.items()})
    pressed = (response > 0) & (rt <= (np.finfo(float).max if deadline is None else deadline))
    share = 1 - pressed.reshape(-1, n).mean(axis=1)
    error = WHISKER * np.sqrt(share * (1 - share) / n)
    return ax.errorbar(
        along[some], share, error, fmt=marker, color=DATA_LINE, mfc="white", ms=wide(4), lw=wide(0.8), zorder=3
    )
