"""What all plots share: colours, sizes for print, grids of panels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_lan.errors import explain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008), told apart with every kind of colour vision; blue and vermilion first, being the furthest apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
UPPER, LOWER = COLOURS[:2]
OF_RESPONSE = {1: UPPER, -1: LOWER}
# Data are grey, so that colour means the model; the outline keeps them apart from a band in print.
DATA_FILL, DATA_LINE = "0.87", "0.45"
BAND = 0.3
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

MM_PER_INCH = 25.4
# What journals call one and two columns [mm].
WIDTHS = {"single": 85.0, "double": 180.0}
# Few journals take type below 6 points.
PAPER = {
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.labelsize": 7.0,
    "xtick.labelsize": 6.0,
    "ytick.labelsize": 6.0,
    "legend.fontsize": 6.0,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "savefig.dpi": 300,
}
# Height of a panel over its width, and the least and greatest height of one [inch].
ASPECT, LOWEST, HIGHEST = 0.8, 1.2, 3.2
# Panels side by side before a new row begins, and the least width of one that has labels of its own [inch].
WRAP, NARROWEST = 4, 1.5


def colour_of(code: int, codes: Collection[int]) -> str:
    """The colour of a response: of two boundaries, or of accumulators from 0 on."""
    return OF_RESPONSE[code] if {*codes} <= {*OF_RESPONSE} else COLOURS[sorted(codes).index(code) % len(COLOURS)]


def pyplot() -> Any:
    """``matplotlib.pyplot``; an ImportError that names the extra where it is missing."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            explain("the package matplotlib, which draws", "none", "pip install 'pymc-lan[plots]'")
        ) from error
    return plt


@contextmanager
def paper(width: str | float = "single") -> Iterator[None]:
    """Sizes for print: within this context plots are as wide as a column, with type of 6 to 7 points.

    Draw and save within it: matplotlib reads some sizes only when it saves.

    Parameters
    ----------
    width : {"single", "double"} or float
        Of the figure: 85 mm, 180 mm, or a number of mm.

    Raises
    ------
    ValueError
        For another word.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import pymc_lan as pl
    >>> with pl.plots.paper("double"):
    ...     print(round(plt.rcParams["figure.figsize"][0] * 25.4), plt.rcParams["font.size"])
    180 7.0
    """
    if isinstance(width, str) and width not in WIDTHS:
        raise ValueError(explain("a width of 'single', 'double' or a number of mm", repr(width), "give one of these"))
    inches = (WIDTHS[width] if isinstance(width, str) else width) / MM_PER_INCH
    with pyplot().rc_context(PAPER | {"figure.figsize": (inches, inches * ASPECT)}):
        yield


def wide(points: float) -> float:
    """A line's width, or a mark's size, in proportion to matplotlib's setting, whose own default is 1.5 points."""
    return points * float(pyplot().rcParams["lines.linewidth"]) / 1.5


def given_axes(ax: Any, n: int) -> list[Axes]:
    """The axes a user gave, which have to be as many as there are panels."""
    flat = list(np.asarray(ax, dtype=object).ravel())
    if len(flat) != n:
        raise ValueError(
            explain(
                f"as many axes as panels, {n}",
                f"{len(flat)} in ax",
                "leave ax out, or make them with matplotlib.pyplot.subplots",
            )
        )
    return flat


def new_axes(n_rows: int, n_cols: int, aspect: float, *, share: bool) -> Any:
    """A figure as wide as matplotlib's setting says, with a grid of axes; `share` for common scales."""
    plt = pyplot()
    width = plt.rcParams["figure.figsize"][0]
    height = float(np.clip(aspect * width / n_cols, LOWEST, HIGHEST))
    size = (width, n_rows * height + 0.35)
    _, axes = plt.subplots(
        n_rows, n_cols, figsize=size, layout="constrained", sharex=share, sharey=share, squeeze=False
    )
    return axes


def panel_axes(ax: Any, shape: tuple[int, ...], aspect: float = ASPECT, *, share: bool = True) -> Any:
    """Axes for panels, as an array of the given shape: the user's, or those of a new figure.

    Parameters
    ----------
    ax : Axes, array of Axes or None
    shape : tuple of int
        (): one panel. (n,): n of them, in rows of at most four. (m, n): m rows.
    aspect : float
        Height of a panel over its width.
    share : bool
        Whether panels of a new figure have common scales.
    """
    n = int(np.prod(shape))
    if ax is not None:
        flat = given_axes(ax, n)
    else:
        fit = WRAP if share else int(np.clip(pyplot().rcParams["figure.figsize"][0] / NARROWEST, 1, WRAP))
        n_rows, n_cols = shape if len(shape) == 2 else _wrapped(n, fit)
        axes = new_axes(n_rows, n_cols, aspect, share=share)
        flat = list(axes.flat[:n])
        for empty in range(n, axes.size):
            axes.flat[empty].set_visible(False)
            axes.flat[empty - n_cols].tick_params(labelbottom=True)
    array = np.empty(n, dtype=object)
    array[:] = flat
    return array.reshape(shape)


def _wrapped(n: int, most: int) -> tuple[int, int]:
    """Rows and columns of n panels, at most so many side by side: as few rows as can be, of nearly the same length."""
    n_rows = -(-n // most)
    return n_rows, -(-n // n_rows)


def result(axes: Any) -> Any:
    """What a plot returns: the axes themselves where there is one panel without a name, else the array."""
    return axes.item() if axes.shape == () else axes


def tidy(axes: Any, x: str, y: str, *, together: int = 1, own: bool = True) -> None:
    """Label the outer axes, and give the legend of all panels a place: above a figure of ours, else in the first panel.

    Parameters
    ----------
    axes : ndarray of Axes
    x, y : str
        Labels.
    together : int
        So many entries of the legend stay in one column, one below the other.
    own : bool
        Whether the figure is ours.
    """
    flat = list(axes.flat)
    for each in flat:
        each.spines[["top", "right"]].set_visible(False)
        spec = each.get_subplotspec()
        if not own or spec is None or spec.is_first_col():
            each.set_ylabel(y)
        if not own or spec is None or each.xaxis.get_tick_params().get("labelbottom", True):
            each.set_xlabel(x)
    told: dict[str, Any] = {}
    for each in flat:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            told.setdefault(label, handle)
    handles, labels = [*told.values()], [*told]
    if labels and own:
        _legend_above(flat[0].figure, handles, labels, together)
    elif labels:
        flat[0].legend(handles, labels, frameon=False)


def _legend_above(figure: Any, handles: list[Any], labels: list[str], together: int) -> None:
    """A legend in as many columns as the figure is wide enough for."""
    groups = -(-len(labels) // together)
    for columns in range(groups if together > 1 else min(groups, WRAP), 0, -1):
        # Columns are filled one after the other, in equal parts: empty entries keep together what belongs together.
        empty = columns * together * -(-groups // columns) - len(labels)
        blank = pyplot().Line2D([], [], ls="none")
        legend = figure.legend(
            handles + [blank] * empty, labels + [""] * empty, loc="outside upper center", ncols=columns, frameon=False
        )
        if legend.get_window_extent().width <= figure.bbox.width or columns == 1:
            return
        legend.remove()


def listed(values: Sequence[Any]) -> str:
    """Values in a sentence."""
    return ", ".join(str(value) for value in values)
