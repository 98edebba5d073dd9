"""Pictures compared with baselines, at a resolution and without type, so that fonts and their versions do not matter.

    PYMC_LAN_NEW_BASELINES=1 python -m pytest tests/test_plots.py

writes the baselines anew: look at each before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib import image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

BASELINES = Path(__file__).parent / "data" / "plots"
DPI = 40
# Root mean square difference of the colours, of 255. Between matplotlib 3.9.2 and 3.11.2 it is 0.0 for every picture;
# between two seeds of the data it is at least 5.3.
TOLERANCE = 1.0


def render(figure: Figure) -> NDArray[np.float64]:
    """Colours of a figure without its type, shape (height, width, 3)."""
    for ax in figure.findobj(lambda artist: hasattr(artist, "xaxis")):
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(NullFormatter())
    # A legend is as large as its type.
    for legend in figure.findobj(Legend):
        legend.set_visible(False)
    for text in figure.findobj(Text):
        text.set_text("")
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.float64)[..., :3]


def difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Root mean square difference of two pictures' colours, of 255; infinite where sizes differ."""
    return float(np.sqrt(np.mean((a - b) ** 2))) if a.shape == b.shape else np.inf


def keep(name: str, picture: NDArray[np.float64]) -> None:
    """Make a picture the baseline, if new ones were asked for."""
    if os.environ.get("PYMC_LAN_NEW_BASELINES"):
        BASELINES.mkdir(parents=True, exist_ok=True)
        image.imsave(BASELINES / f"{name}.png", picture.astype(np.uint8), metadata={"Software": None})


def baseline(name: str) -> NDArray[np.float64]:
    """The picture that was looked at and kept under a name."""
    return np.round(255 * image.imread(BASELINES / f"{name}.png")[..., :3].astype(np.float64))
