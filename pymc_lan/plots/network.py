"""A network against simulated trials and the true density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import RegistryError, check_count, explain
from pymc_lan.models.model import Model, bind
from pymc_lan.models.simulate import simulate_trials
from pymc_lan.networks.network import Network
from pymc_lan.plots.cartoon import SHOWN
from pymc_lan.plots.densities import check_two_choices, find, is_known, network_densities, true_densities
from pymc_lan.plots.statistics import defective_density
from pymc_lan.plots.style import DATA_FILL, DATA_LINE, OF_RESPONSE, panel_axes, tidy
from pymc_lan.plots.trials import CHOICES
from pymc_lan.registry.sources import AnyModel

Float = NDArray[np.float64]

N_BINS, N_TIMES = 40, 800
# Errors of log f are counted where the density is at least this share of its greatest value: elsewhere there are no
# data.
COUNTED = 0.01


def network(
    model: AnyModel,
    params: Mapping[str, float],
    sweep: str,
    values: Sequence[float] | None = None,
    *,
    n: int = 20_000,
    seed: int = 1,
    last: float | None = None,
    ax: Any = None,
) -> Any:
    """Plot a network's densities over values of one parameter, against simulated trials and the true density.

    A panel for each value, the upper response upwards, the lower one upside down: the grey histogram is simulated, the
    coloured line is the network's, and the dashed black line is the true density, in closed form or solved for. Where
    it covers the network's, the network is right; the number in the corner is the mean error of log f, in nats, over
    times at which the density is at least 1 % of its greatest value. Of a model that is known by its simulator there is
    no such line and no such number: the histogram is what there is to compare with.

    Parameters
    ----------
    model : str, path, Model or Network
        A name such as ``"ddm"`` or ``"ddm@1.0"``, a version's folder, a model, or its network.
    params : mapping of str to float
        The other parameters; those with a default may be left out.
    sweep : str
        The parameter that changes.
    values : sequence of float, optional
        Its values; by default four, evenly spaced inside its trained bounds.
    n : int
        Trials to simulate for each value.
    seed : int
        Of the simulation.
    last : float, optional
        Where the axis of times ends [s]; by default where 97.5 % of all simulated times lie.
    ax : Axes or array of Axes, optional
        One for each value.

    Returns
    -------
    ndarray of Axes, shape (values,)

    Raises
    ------
    ValueError
        For an unknown or missing parameter, values outside the trained bounds, or a model without two choices.
    RegistryError
        For a model without a network.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> axes = pl.plots.network("ddm", dict(a=1.0, t=0.3), "v", [0.0, 2.0], n=1000)
    >>> [ax.get_title() for ax in axes]
    ['v = 0', 'v = 2']
    """
    spec, found = find(model)
    check_two_choices(spec)
    if found is None:
        raise RegistryError(
            explain(f"a network of {spec.name!r}", "none", "pass the network itself, or name it with pl.register")
        )
    low, high = spec.parameter(sweep).bounds
    steps = np.linspace(low, high, 6)[1:-1] if values is None else np.asarray(values, np.float64)
    if steps.ndim != 1 or not steps.size:
        raise ValueError(explain("a list of values", f"shape {steps.shape}", "give values=[...]"))
    sets = [bind(spec, (), {**params, sweep: value}) for value in steps]
    check_bounds(spec, sets)
    seed = check_count("seed", seed, 0)
    trials = [simulate_trials(spec, theta, n, seed + k).dropna(subset="rt") for k, theta in enumerate(sets)]
    if last is None:
        last = float(np.ceil(10 * np.quantile(np.concatenate([each["rt"] for each in trials]), SHOWN)) / 10)
    axes = panel_axes(ax, (len(sets),))
    heights = [
        _draw(where, spec, found, theta, each["rt"].to_numpy(), each["response"].to_numpy(), last)
        for where, theta, each in zip(axes, sets, trials, strict=True)
    ]
    up, down = (1.1 * max(height[code] for height in heights) for code in (1, -1))
    for where, value in zip(axes, steps, strict=True):
        where.axhline(0, color="black", lw=0.6)
        where.set(title=f"{sweep} = {value:g}", xlim=(0, last), ylim=(-down, up))
        where.yaxis.set_major_formatter(lambda y, _: f"{abs(y):g}")
    tidy(axes, "response time [s]", "density [1/s]", own=ax is None)
    return axes


def check_bounds(spec: Model, sets: Sequence[Mapping[str, Any]]) -> None:
    """Refuse, with a ValueError, parameters outside the trained bounds."""
    for p in spec.parameters:
        outside = [float(theta[p.name]) for theta in sets if not p.bounds[0] <= theta[p.name] <= p.bounds[1]]
        if outside:
            raise ValueError(
                explain(
                    f"{p.name} within its trained bounds, {p.bounds[0]:g} to {p.bounds[1]:g}",
                    f"{outside[0]:g}",
                    f"give a {p.name} within them, where the network says what it learned",
                )
            )


def mean_error(found: Mapping[int, Float], truth: Mapping[int, Float]) -> float:
    """Mean absolute difference of log densities, over both responses, where the density counts.

    Parameters
    ----------
    found, truth : mapping of int to ndarray
        Densities by response.
    """
    floor = COUNTED * max(f.max() for f in truth.values())
    off = [np.abs(np.log(found[code][f > floor] / f[f > floor])) for code, f in truth.items()]
    return float(np.concatenate(off).mean())


def _draw(
    ax: Any, spec: Model, net: Network, theta: Mapping[str, Any], rt: Float, response: Any, last: float
) -> dict[int, float]:
    """Draw one panel; return its greatest height by response."""
    times, edges = np.linspace(0, last, N_TIMES + 1)[1:], np.linspace(0, last, N_BINS + 1)
    arrays = {name: np.atleast_1d(np.asarray(x, np.float64)) for name, x in theta.items()}
    found = {code: f[0] for code, f in network_densities(net, arrays, times).items()}
    truth = {code: f[0] for code, f in true_densities(spec, arrays, times).items()} if is_known(spec) else {}
    for code, name in CHOICES.items():
        bars = defective_density(rt, response == code, edges)
        ax.stairs(code * bars, edges, fill=True, color=DATA_FILL, lw=0)
        ax.stairs(code * bars, edges, color=DATA_LINE, lw=0.6, label="simulated" if code > 0 else None)
        ax.plot(times, code * found[code], color=OF_RESPONSE[code], lw=2, label=f"network, {name}")
        # The last one names them, so that it stands last in the legend.
        if truth:
            label = "true" if code < 0 else None
            ax.plot(times, code * truth[code], color="black", lw=0.8, ls=(0, (3, 2)), label=label)
    if truth:
        ax.text(0.98, 0.97, f"{mean_error(found, truth):.1g} nats", transform=ax.transAxes, ha="right", va="top")
    return {code: float(max(found[code].max(), truth.get(code, found[code]).max())) for code in CHOICES}
