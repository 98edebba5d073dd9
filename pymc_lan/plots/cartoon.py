"""The picture of a model: paths between boundaries, and the response times they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pymc_lan.data.observed import as_observed
from pymc_lan.errors import explain
from pymc_lan.models.model import Model, bind, shift
from pymc_lan.networks.network import Network
from pymc_lan.numerics.seeds import as_generator
from pymc_lan.plots.densities import (
    Densities,
    check_two_choices,
    densities,
    find,
    is_known,
    parameter_arrays,
    some_trials,
)
from pymc_lan.plots.process import OF_PATHS, Shown, draw_process
from pymc_lan.plots.statistics import interval
from pymc_lan.plots.style import BAND, OF_RESPONSE, given_axes, pyplot, wide
from pymc_lan.plots.trials import thin
from pymc_lan.registry.sources import AnyModel

Float = NDArray[np.float64]
Theta = Mapping[str, Float]

LABELS = {1: "upper, +1", -1: "lower, -1"}
N_BINS = 60
# Share of the response times that the picture reaches.
SHOWN = 0.975
# Decision times over which a density is followed to find that share.
LONGEST, N_TIMES = 20.0, 2000
# Heights of densities and process, and the space between them, as shares.
HEIGHTS, SPACE = (1, 2, 1), 0.03
# Height of a figure over its width: at 85 mm the labels of the densities need it.
ASPECT = 0.85


def cartoon(
    model: AnyModel,
    params: Any,
    *,
    trials: Any = None,
    choices: Mapping[int, str] = LABELS,
    last: float | None = None,
    n_paths: int = 8,
    n_draws: int = 100,
    prob: float = 0.9,
    seed: int = 3,
    ax: Any = None,
) -> Any:
    """Plot how a model decides: simulated paths between its boundaries, and the density of each response.

    In the middle are the boundaries, paths in the colour of their response (grey: none yet), the path without noise
    (dashed), the starting point and, shaded, the non-decision time. Of a model that is no diffusion, such as one that
    is known by its simulator, they are trials: a line for each, which ends at its response. Above and below are the
    densities of the two responses on one scale; percentages are their shares.

    Where `params` are posterior draws, all of this is drawn at the posterior mean, with the central `prob` of the draws
    as bands around densities, boundaries and the path without noise, as a whisker on the starting point, and as a
    lighter end of the shading of the non-decision time.

    Parameters
    ----------
    model : str, path, Model or Network
        A name such as ``"ddm"`` or ``"ddm@1.0"``, a version's folder, a model of your own, or a network. Densities are
        those of its network or, without one, in closed form or solved for; of a simulator alone, a histogram of
        trials.
    params : mapping of str to array_like, DataTree or InferenceData
        Each parameter of the model by name: a number, or posterior draws of any shape, as many of one as of the others;
        those with a default may be left out. Or what `pymc.sample` returns, if its variables have these names and no
        dimensions besides chain and draw.
    trials : DataFrame, optional
        With columns rt [s] and response, drawn as bars: data, or what `pymc_lan.simulate` returns.
    choices : mapping of int to str
        What to call the responses +1 and -1.
    last : float, optional
        Where the axis of times ends [s]; by default where 97.5 % of the response times lie.
    n_paths : int
        Paths, or trials, to draw, at most 400.
    n_draws : int
        Posterior draws to use, evenly spaced.
    prob : float
        Of bands and whiskers.
    seed : int
        Of the paths or trials.
    ax : Axes or three Axes, optional
        One, which is divided, or three: upper density, process, lower density. Without it, a new figure.

    Returns
    -------
    ndarray of Axes, shape (3,)
        Upper density, process, lower density.

    Raises
    ------
    ValueError
        For an unknown or missing parameter, draws that do not match, or a model without two choices.
    RegistryError
        For an unknown name.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> upper, process, lower = pl.plots.cartoon("ddm", dict(v=1.0, a=1.2, t=0.3))
    >>> process.get_ylabel()
    'evidence'
    """
    spec, network = find(model)
    check_two_choices(spec)
    draws = parameter_arrays(bind(spec, (), _values(spec, params)))
    mean = {name: np.atleast_1d(x.mean()) for name, x in draws.items()}
    some = {name: thin(x, n_draws) for name, x in draws.items()} if next(iter(draws.values())).size > 1 else None
    observed = None if trials is None else as_observed(trials)
    rng = as_generator(seed)
    shares, usual = _shares(spec, network, mean, rng)
    if observed is not None:
        shares = {code: float((observed[:, 1] == code).mean()) for code in LABELS}
        usual = float(np.quantile(observed[:, 0], SHOWN))
    last = float(np.ceil(10 * usual) / 10) if last is None else last
    if not last > (onset := float(np.max(shift(spec, mean)))):
        raise ValueError(explain(f"last beyond t = {onset:g} s", f"last={last}", "give a larger number"))
    if not 0 <= n_paths <= OF_PATHS:
        raise ValueError(explain(f"n_paths from 0 to {OF_PATHS}", f"n_paths={n_paths}", "give another number"))
    axes = _three_axes(ax)
    rt = np.linspace(0, last, 600)[1:]
    bands = None if some is None else densities(spec, network, some, rt, rng)
    _draw_densities(axes[0], axes[2], densities(spec, network, mean, rt, rng), bands, prob, rt, observed)
    for where, code in ((axes[0], 1), (axes[2], -1)):
        _name(where, code, f"{choices[code]}: {shares[code]:.0%}")
    draw_process(spec, axes[1], Shown(mean, some, prob, last, n_paths), as_generator(seed))
    _finish(axes, spec, mean, some, prob, last)
    return axes


def _values(spec: Model, params: Any) -> Mapping[str, ArrayLike]:
    """The parameters by name, taken from the posterior where that is what was given."""
    if isinstance(params, Mapping) and not hasattr(params, "groups"):
        return params
    posterior = getattr(params, "posterior", None)
    if posterior is None:
        raise ValueError(
            explain(
                "parameters by name, or an object with a group posterior",
                f"neither in a {type(params).__name__}",
                "give a dict, or what pm.sample returns",
            )
        )
    found = {p.name: posterior[p.keyword] for p in spec.parameters if p.keyword in posterior}
    for name, x in found.items():
        if more := [str(dim) for dim in x.dims if dim not in ("chain", "draw")]:
            raise ValueError(
                explain(
                    f"one value of {name} per draw",
                    f"the dimensions {', '.join(more)}",
                    f"choose: dict({name}=idata.posterior['{name}'].sel({more[0]}=...), ...)",
                )
            )
    return found


def _shares(
    spec: Model, network: Network | None, theta: Theta, rng: np.random.Generator
) -> tuple[dict[int, float], float]:
    """Share of each response, and the time by which SHOWN of all have come [s]."""
    if network is None and not is_known(spec):
        rt, response = some_trials(spec, theta, rng)
        shares = {code: float((response == code).mean()) for code in LABELS}
        return shares, float(np.quantile(rt[np.isfinite(rt)], SHOWN))
    start = shift(spec, theta) + spec.earliest(theta)
    rt = start + np.geomspace(1e-4, LONGEST, N_TIMES)
    found = {code: f[0] for code, f in densities(spec, network, theta, rt, rng).items()}
    both = sum(found.values())
    steps = np.diff(rt)
    by_then = np.cumsum(steps * (both[1:] + both[:-1]) / 2)
    total = by_then[-1]
    shares = {code: float(np.sum(steps * (f[1:] + f[:-1]) / 2) / total) for code, f in found.items()}
    return shares, float(rt[1:][by_then >= SHOWN * total][0])


def _three_axes(ax: Any) -> Any:
    """Axes for upper density, process and lower density."""
    if ax is None:
        plt = pyplot()
        width = plt.rcParams["figure.figsize"][0]
        _, ax = plt.subplots(
            3,
            1,
            figsize=(width, ASPECT * width),
            sharex=True,
            height_ratios=HEIGHTS,
            layout="constrained",
            gridspec_kw={"hspace": 0.02},
        )
    if np.size(ax) != 1:
        return np.array(given_axes(ax, 3), dtype=object)
    (whole,) = given_axes(ax, 1)
    whole.set_axis_off()
    height = (1 - 2 * SPACE) / sum(HEIGHTS)
    axes = np.empty(3, dtype=object)
    bottom = 1.0
    for k, share in enumerate(HEIGHTS):
        bottom -= share * height
        axes[k] = whole.inset_axes((0, max(bottom, 0), 1, share * height))
        bottom -= SPACE
    for each in axes[:2]:
        each.sharex(axes[2])
        each.tick_params(labelbottom=False)
    return axes


def _draw_densities(
    upper: Any, lower: Any, mean: Densities, draws: Densities | None, prob: float, rt: Float, observed: Float | None
) -> None:
    """Draw both responses' times on axes that share their scale, the lower response upside down."""
    edges = np.linspace(0, rt[-1], N_BINS + 1)
    highest = 0.0
    for response, (density,) in mean.items():
        ax, colour = (upper if response > 0 else lower), OF_RESPONSE[response]
        if observed is not None:
            counts, _ = np.histogram(observed[observed[:, 1] == response, 0], edges)
            shares = counts / (len(observed) * np.diff(edges))
            ax.stairs(shares, edges, fill=True, color=colour, alpha=0.25, lw=0)
            highest = max(highest, shares.max())
        if draws is not None:
            low, _, high = interval(draws[response], prob)
            ax.fill_between(rt, low, high, color=colour, alpha=BAND, lw=0)
            highest = max(highest, high.max())
        ax.plot(rt, density, color=colour, lw=wide(1.6))
        highest = max(highest, density.max())
    upper.set(ylim=(0, 1.3 * highest), ylabel="density [1/s]")
    lower.set(ylim=(1.3 * highest, 0), ylabel="density [1/s]")


def _name(ax: Any, code: int, text: str) -> None:
    where = {"transform": ax.transAxes, "ha": "right", "va": "center"}
    ax.text(0.99, 0.5 + 0.4 * code, text, color=OF_RESPONSE[code], **where)


def _finish(axes: Any, spec: Model, mean: Theta, draws: Theta | None, prob: float, last: float) -> None:
    """Shade the non-decision time, in full where it is certain, and clear away what three axes do not need."""
    if spec.shift is not None:
        _shade(axes, spec.shift, -float(np.ravel(spec.earliest(mean))[0]), mean, draws, prob)
    for ax in axes:
        ax.spines[["top", "right", "bottom"]].set_visible(False)
        ax.tick_params(bottom=False)
    axes[2].spines["bottom"].set_visible(True)
    axes[2].tick_params(bottom=True)
    axes[2].set(xlim=(0, last), xlabel="response time [s]")
    axes[0].figure.align_ylabels(list(axes))


def _shade(axes: Any, name: str, reach: float, mean: Theta, draws: Theta | None, prob: float) -> None:
    """Shade the non-decision time on all axes; it varies by `reach` across trials."""
    begin, end = mean[name][0] - reach, mean[name][0] + reach
    if draws is not None:
        low, _, high = interval(draws[name], prob)
        begin, end = float(low) - reach, float(high) + reach
    for ax in axes:
        ax.axvspan(0, begin, color="0.9", lw=0, zorder=0)
        ax.axvspan(begin, end, color="0.95", lw=0, zorder=0)
    size = 1.1 * float(pyplot().rcParams["font.size"])
    where = {"transform": axes[1].get_xaxis_transform(), "ha": "center", "va": "center"}
    axes[1].text(begin / 2, 0.5, f"$\\mathit{{{name}}}$".replace("_", "\\_"), **where, color="0.35", size=size)
