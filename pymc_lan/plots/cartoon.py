"""The picture of a model: paths between boundaries, and the response times they make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
    in_order,
    is_known,
    parameter_arrays,
    some_trials,
)
from pymc_lan.plots.process import OF_PATHS, Shown, draw_process
from pymc_lan.plots.statistics import interval
from pymc_lan.plots.style import BAND, colour_of, given_axes, pyplot, wide
from pymc_lan.plots.trials import thin
from pymc_lan.registry.sources import AnyModel

Float = NDArray[np.float64]
Theta = Mapping[str, Float]

LABELS = {1: "upper, +1", -1: "lower, -1"}
# Of go/no-go trials, where nothing is seen of the lower boundary.
PRESSES = {1: "press", -1: "no press"}
N_BINS = 60
# Share of the response times that the picture reaches.
SHOWN = 0.975
# Decision times over which a density is followed to find that share.
LONGEST, N_TIMES = 20.0, 2000
# Heights of densities and process, and the space between them, as shares.
HEIGHTS, SPACE = (1, 2, 1), 0.03
# Of a race, whose densities are all in one panel; from one line of text to the next in it.
OF_RACES, LINE = (2, 2), 0.13
# How much is left of what lies beyond a deadline.
FADED = 0.35
# Height of a figure over its width: at 85 mm the labels of the densities need it.
ASPECT = 0.85


def cartoon(
    model: AnyModel,
    params: Any,
    *,
    trials: Any = None,
    choices: Mapping[int, str] | None = None,
    go_nogo: bool = False,
    deadline: float | None = None,
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
    is known by its simulator, or a race, they are trials: a line for each, which ends at its response. Above and below
    are the densities of the two responses on one scale, of more or other responses all above; percentages are their
    shares.

    Of go/no-go trials nothing is seen of the lower boundary: its density is dotted, and its share that of trials
    without a press. Beyond a deadline everything is faded; shares are those by then, and of trials without a response.

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
    choices : mapping of int to str, optional
        What to call the responses, by their codes.
    go_nogo : bool
        Whether the upper boundary is a press, and the lower one none.
    deadline : float, optional
        When the response window ends [s].
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
        One, which is divided, or three: upper density, process, lower density; of a race two. Without it, a new figure.

    Returns
    -------
    ndarray of Axes, shape (3,)
        Upper density, process, lower density; of a race densities and process, shape (2,).

    Raises
    ------
    ValueError
        For an unknown or missing parameter, draws that do not match, a model without times, or without the two choices
        of go/no-go trials.
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
    task = Task(go_nogo, math.inf if deadline is None else deadline)
    _check(spec, go_nogo=go_nogo)
    draws = parameter_arrays(bind(spec, (), _values(spec, params)))
    mean = {name: np.atleast_1d(x.mean()) for name, x in draws.items()}
    some = {name: thin(x, n_draws) for name, x in draws.items()} if next(iter(draws.values())).size > 1 else None
    observed = None if trials is None else _observed(trials, spec, task)
    rng = as_generator(seed)
    shares, usual = _shares(spec, network, mean, rng, task.deadline) if observed is None else _seen(observed, spec)
    if go_nogo:
        shares[-1] = 1 - shares[1]
    last = float(np.ceil(10 * max(usual, deadline or 0.0)) / 10) if last is None else last
    if not last > (onset := float(np.max(shift(spec, mean)))):
        raise ValueError(explain(f"last beyond t = {onset:g} s", f"last={last}", "give a larger number"))
    if not 0 <= n_paths <= OF_PATHS:
        raise ValueError(explain(f"n_paths from 0 to {OF_PATHS}", f"n_paths={n_paths}", "give another number"))
    axes = _divided(ax, HEIGHTS if _has_two_boundaries(spec) else OF_RACES)
    rt = np.linspace(0, last, 600)[1:]
    bands = None if some is None else densities(spec, network, some, rt, rng)
    _draw_densities(axes, spec, densities(spec, network, mean, rt, rng), bands, prob, rt, observed, task)
    _write(axes, spec, shares, _names(spec, choices, go_nogo=go_nogo), task)
    draw_process(spec, axes[1], Shown(mean, some, prob, last, n_paths), as_generator(seed))
    _finish(axes, spec, mean, some, prob, last)
    if deadline is not None:
        _fade(axes, deadline, last)
    return axes


class Task(NamedTuple):
    """What is seen of trials: whether the lower boundary is not, and until when anything is [s]."""

    go_nogo: bool
    deadline: float


def _has_two_boundaries(spec: Model) -> bool:
    return {*spec.choices} == {*LABELS}


def _check(spec: Model, *, go_nogo: bool) -> None:
    """Refuse models without times, and go/no-go trials of one without two boundaries."""
    if go_nogo:
        check_two_choices(spec)
    elif not spec.times:
        raise ValueError(explain("a model of response times", f"{spec.name!r}, without times", "choose another"))


def _names(spec: Model, choices: Mapping[int, str] | None, *, go_nogo: bool) -> Mapping[int, str]:
    """What the responses are called."""
    if choices is not None:
        return choices
    plain = {code: f"{code}" for code in spec.choices}
    return PRESSES if go_nogo else LABELS if _has_two_boundaries(spec) else plain


def _observed(trials: Any, spec: Model, task: Task) -> Float:
    """The rows of observed trials."""
    ends = task.deadline if math.isfinite(task.deadline) else None
    two: Any = (-1, 1) if _has_two_boundaries(spec) else spec.choices
    late = ends is not None and not task.go_nogo
    return as_observed(trials, choices=two, go_nogo=task.go_nogo, omissions=late, deadline=ends)


def _seen(observed: Float, spec: Model) -> tuple[dict[int, float], float]:
    """Share of each response among observed trials, and the time by which SHOWN of those have come [s]."""
    answered = np.isfinite(observed[:, 0])
    shares = {code: float((answered & (observed[:, 1] == code)).mean()) for code in in_order(spec)}
    return shares, float(np.quantile(observed[answered, 0], SHOWN))


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
    spec: Model, network: Network | None, theta: Theta, rng: np.random.Generator, deadline: float
) -> tuple[dict[int, float], float]:
    """Share of each response by the deadline, and the time by which SHOWN of all have come [s]."""
    if network is None and not is_known(spec):
        rt, response = some_trials(spec, theta, rng)
        shares = {code: float(((response == code) & (rt <= deadline)).mean()) for code in in_order(spec)}
        return shares, float(np.quantile(rt[np.isfinite(rt)], SHOWN))
    start = shift(spec, theta) + spec.earliest(theta)
    rt = start + np.geomspace(1e-4, LONGEST, N_TIMES)
    steps, found = np.diff(rt), densities(spec, network, theta, rt, rng)
    by_then = {code: np.cumsum(steps * (f[0, 1:] + f[0, :-1]) / 2) for code, f in found.items()}
    all_by_then = sum(by_then.values(), np.zeros(steps.shape))
    total = 1.0 if spec.omissions else all_by_then[-1]
    shares = {code: float(np.interp(deadline, rt[1:], x) / total) for code, x in by_then.items()}
    return shares, float(rt[1:][all_by_then >= SHOWN * all_by_then[-1]][0])


def _divided(ax: Any, heights: Sequence[int]) -> Any:
    """Axes for densities and process, one below the other."""
    n = len(heights)
    if ax is None:
        plt = pyplot()
        width = plt.rcParams["figure.figsize"][0]
        _, ax = plt.subplots(
            n,
            1,
            figsize=(width, ASPECT * width),
            sharex=True,
            height_ratios=heights,
            layout="constrained",
            gridspec_kw={"hspace": 0.02},
        )
    if np.size(ax) != 1:
        return np.array(given_axes(ax, n), dtype=object)
    (whole,) = given_axes(ax, 1)
    whole.set_axis_off()
    height = (1 - (n - 1) * SPACE) / sum(heights)
    axes = np.empty(n, dtype=object)
    bottom = 1.0
    for k, share in enumerate(heights):
        bottom -= share * height
        axes[k] = whole.inset_axes((0, max(bottom, 0), 1, share * height))
        bottom -= SPACE
    for each in axes[:-1]:
        each.sharex(axes[-1])
        each.tick_params(labelbottom=False)
    return axes


def _draw_densities(
    axes: Any,
    spec: Model,
    mean: Densities,
    draws: Densities | None,
    prob: float,
    rt: Float,
    observed: Float | None,
    task: Task,
) -> None:
    """Draw the times of all responses on axes that share their scale, those of a lower boundary upside down."""
    edges = np.linspace(0, rt[-1], N_BINS + 1)
    highest = 0.0
    for response, (density,) in mean.items():
        hidden = task.go_nogo and response < 0
        ax, colour = _axes_of(axes, spec, response), colour_of(response, spec.choices)
        if observed is not None and not hidden:
            counts, _ = np.histogram(observed[observed[:, 1] == response, 0], edges)
            shares = counts / (len(observed) * np.diff(edges))
            ax.stairs(shares, edges, fill=True, color=colour, alpha=0.25, lw=0)
            highest = max(highest, shares.max())
        if draws is not None:
            low, _, high = interval(draws[response], prob)
            ax.fill_between(rt, low, high, color=colour, alpha=BAND, lw=0)
            highest = max(highest, high.max())
        ax.plot(rt, density, color=colour, lw=wide(1.6), ls=":" if hidden else "-")
        highest = max(highest, density.max())
    axes[0].set(ylim=(0, 1.3 * highest), ylabel="density [1/s]")
    if len(axes) > len(OF_RACES):
        axes[2].set(ylim=(1.3 * highest, 0), ylabel="density [1/s]")


def _axes_of(axes: Any, spec: Model, response: int) -> Any:
    """Where a response is drawn: that of a lower boundary below the process."""
    return axes[2] if _has_two_boundaries(spec) and response < 0 else axes[0]


def _write(axes: Any, spec: Model, shares: Mapping[int, float], names: Mapping[int, str], task: Task) -> None:
    """Write what responses are called, and their shares, beside their densities."""
    above = [code for code in shares if _axes_of(axes, spec, code) is axes[0]]
    lines = [(f"{names[code]}: {shares[code]:.0%}", colour_of(code, spec.choices)) for code in above]
    if math.isfinite(task.deadline) and not task.go_nogo:
        lines.append((f"no response: {1 - sum(shares.values()):.0%}", "0.35"))
    step = LINE if len(axes) == len(OF_RACES) else 2 * LINE
    place: dict[str, Any] = {"ha": "right", "va": "center", "zorder": 4}
    for k, (text, colour) in enumerate(lines):
        axes[0].text(0.99, 0.9 - k * step, text, color=colour, transform=axes[0].transAxes, **place)
    for code in shares.keys() - {*above}:
        text = f"{names[code]}: {shares[code]:.0%}"
        axes[2].text(0.99, 0.1, text, color=colour_of(code, spec.choices), transform=axes[2].transAxes, **place)


def _fade(axes: Any, deadline: float, last: float) -> None:
    """Mark the deadline, and fade what lies beyond it."""
    for ax in axes:
        ax.axvspan(deadline, max(last, deadline), color="white", alpha=1 - FADED, lw=0, zorder=2.5)
        ax.axvline(deadline, color="0.45", lw=0.8, ls=":", zorder=3)


def _finish(axes: Any, spec: Model, mean: Theta, draws: Theta | None, prob: float, last: float) -> None:
    """Shade the non-decision time, in full where it is certain, and clear away what axes in a column do not need."""
    if spec.shift is not None:
        _shade(axes, spec.shift, -float(np.ravel(spec.earliest(mean))[0]), mean, draws, prob)
    for ax in axes:
        ax.spines[["top", "right", "bottom"]].set_visible(False)
        ax.tick_params(bottom=False)
    axes[-1].spines["bottom"].set_visible(True)
    axes[-1].tick_params(bottom=True)
    axes[-1].set(xlim=(0, last), xlabel="response time [s]")
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
