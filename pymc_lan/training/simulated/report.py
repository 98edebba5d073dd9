"""The report of a training on simulations: one HTML file with everything in it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.files import write_whole, writing
from pymc_lan.models.simulator.run import draw_trials_of_sets
from pymc_lan.networks.network import Network
from pymc_lan.plots.training import Density, calibration, densities, error_map, losses
from pymc_lan.registry.card import write_card
from pymc_lan.training.simulated.loop import Fitted
from pymc_lan.training.simulated.review import Review, review

Float = NDArray[np.float64]

# Held-out sets whose densities are drawn, by the rank of their error, and trials that are simulated of each.
RANKS, N_TRIALS = (0.02, 0.25, 0.5, 0.75, 0.95, 1.0), 20_000
N_BINS, N_TIMES = 50, 400
# Of the trials that a histogram shows, this share; the slowest would squeeze all others.
SHOWN = 0.99
DPI = 150

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222; }}
figure {{ margin: 1.5em 0; }}
img {{ max-width: 100%; }}
figcaption {{ color: #555; max-width: 50em; }}
pre {{ background: #f5f5f5; padding: 1em; overflow-x: auto; font-size: 13px; }}
</style>
</head>
<body>
<h1>{title}</h1>
{figures}
<h2>Card</h2>
<pre>{card}</pre>
</body>
</html>
"""
_FIGURE = """<h2>{title}</h2>
<figure>
<img alt="{title}" src="data:image/png;base64,{data}">
<figcaption>{caption}</figcaption>
</figure>
"""

_CAPTIONS = {
    "Loss": "Mean loss of each chunk's steps, and on parameter sets that nothing was trained on; beside it how far "
    "those sets' trials are from the network, in nats, less what chance brings. The dotted line is the chunk whose "
    "weights were kept.",
    "Error over the parameters": "The same error of each held-out set: mean and two standard errors over each "
    "parameter, and means over each pair; of more than five parameters, pairs are drawn of the five over which the "
    "error changes most, and the others stand below, each alone. Where it is large, more simulations are needed "
    "(rounds), or a wider network.",
    "Densities": "Fresh simulated trials (grey) and the network's density, of held-out parameter sets from one that "
    "fits among the best to the one that fits worst.",
    "Calibration": "How often each outcome was simulated in held-out sets, against its probability, in groups of equal "
    "size; the bars are two standard deviations of chance.",
}


def report_path(out: Path, network: Network) -> Path:
    """Where the report of a version lies: beside its folder, which holds nothing but what the registry lists."""
    return out / network.spec.name / f"{network.version}-report.html"


def write_report(out: Path, network: Network, fitted: Fitted, seed: int = 0) -> Path:
    """Write the report of a training.

    Parameters
    ----------
    out : path
        The registry.
    network : Network
        As it was written, of a spec with a simulator.
    fitted : Fitted
        What the training returned.
    seed : int
        Of the trials that are drawn.

    Returns
    -------
    Path

    Raises
    ------
    ImportError
        Without matplotlib.
    OSError
        If it cannot be written; the version is there by then.
    """
    spec, found = network.spec, review(fitted)
    bounds = [p.bounds for p in spec.parameters]
    figures = {
        "Loss": losses(np.asarray(fitted.history, np.float64), fitted.best),
        "Error over the parameters": error_map(spec.names, bounds, found.theta, found.errors),
    }
    if spec.times:
        figures["Densities"] = densities(_examples(network, found, seed), spec.choices)
    figures["Calibration"] = calibration(spec.choices, found.predicted, found.found, found.n)
    path = report_path(Path(out), network)
    with writing(path):
        write_whole(path, _page(network.name, figures, write_card(network.config)).encode())
    return path


def _page(name: str, figures: Mapping[str, Any], card: str) -> str:
    blocks = []
    for title, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
        data = base64.b64encode(buffer.getvalue()).decode()
        blocks.append(_FIGURE.format(title=title, data=data, caption=_CAPTIONS[title]))
    return _PAGE.format(title=html.escape(f"Training of {name}"), figures="\n".join(blocks), card=html.escape(card))


def _examples(network: Network, found: Review, seed: int) -> list[Density]:
    """Densities of some held-out sets, and trials simulated anew."""
    spec, order = network.spec, np.argsort(found.errors, kind="stable")
    rows = [order[round(rank * (len(order) - 1))] for rank in RANKS]
    rt, response = draw_trials_of_sets(spec, found.theta[rows], N_TRIALS, [seed, 11])
    result = []
    for row, times, codes in zip(rows, rt, response, strict=True):
        theta = dict(zip(spec.names, found.theta[row].tolist(), strict=True))
        responded = times[np.isfinite(times)]
        first, last = (responded.min(), np.quantile(responded, SHOWN)) if len(responded) else (0.0, 1.0)
        edges = np.linspace(max(first - (last - first) / 10, 0.0), last, N_BINS + 1)
        grid, scale = np.linspace(edges[0], last, N_TIMES), N_TRIALS * (edges[1] - edges[0])
        counted = [np.histogram(times[codes == code], edges)[0] / scale for code in spec.choices]
        density = [np.exp(network.logpdf(grid, code, **theta)) for code in spec.choices]
        # With a space between name and value at which no line is broken.
        title = ", ".join(f"{name}\N{NO-BREAK SPACE}{x:.3g}" for name, x in theta.items())
        result.append(Density(title, edges, np.array(counted), grid, np.array(density)))
    return result
