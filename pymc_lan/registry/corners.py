"""How far networks of this release are off in the corners of their boxes, by model; races share their weights."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from typing import Any

# Kinds of parameter sets that are measured, as a table names them.
KINDS = {
    "uniform": "uniform over the bounds",
    "ends": "half of the parameters within 4 % of an end",
    "corners": "all of them",
}
UNKNOWN = {"mass": {"max": math.nan}, "choice": {"max": math.nan}}


@cache
def _measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("pymc_lan.registry") / "corners.json").read_text("utf-8"))
    return found


def _of(model: str, sha256: str) -> dict[str, Any] | None:
    """The figures of a model with these weights, and no others."""
    found: dict[str, Any] = _measured().get(model, {})
    return found if found.get("sha256") == sha256 else None


def largest_in_corners(model: str, sha256: str) -> tuple[float, float]:
    """The largest errors of mass and of a choice's probability in corners; NaN where they were not measured.

    Parameters
    ----------
    model : str
    sha256 : str
        Of its weights.
    """
    corners = (_of(model, sha256) or {"corners": UNKNOWN})["corners"]
    return corners["mass"]["max"], corners["choice"]["max"]


def corner_lines(model: str, sha256: str) -> list[str]:
    """What a card says of them, as lines of Markdown; none where they were not measured.

    Parameters
    ----------
    model : str
    sha256 : str
        Of its weights.
    """
    measured = _of(model, sha256)
    if measured is None:
        return []
    rows = []
    for kind, label in KINDS.items():
        mass, choice = measured[kind]["mass"], measured[kind]["choice"]
        rows.append(f"| {label} | {mass['median']:g} | {mass['max']:g} | {choice['median']:g} | {choice['max']:g} |")
    return [
        "## Corners",
        "",
        f"Absolute errors of the total probability and of that of a choice, over {measured['sets']} parameter sets of",
        "each kind. A fit that ends in a corner can be trusted for no more.",
        "",
        "| parameters | total probability, median | largest | P of a choice, median | largest |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
