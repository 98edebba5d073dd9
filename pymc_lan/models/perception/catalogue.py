"""Tasks of perception, as data."""

from __future__ import annotations

import math

from pymc_lan.models.parameters import POSITIVE, Parameter
from pymc_lan.models.perception.alternatives import ThreeAlternatives, TwoAlternatives
from pymc_lan.models.perception.oddity import OddityInAPlane, OddityOnALine

_EVERYWHERE = (-math.inf, math.inf)
# How far parameters go in which accuracy has been measured.
_FAR, _UNEQUAL = (-100.0, 100.0), (1e-3, 1e3)


def _d(name: str, what: str) -> Parameter:
    return Parameter(name, _FAR, "standard deviations", f"displacement of the comparison{what}", domain=_EVERYWHERE)


def _k(name: str, what: str) -> Parameter:
    return Parameter(
        name, _UNEQUAL, "1", f"variance of the comparison over that of the reference{what}", domain=POSITIVE
    )


_ODDITY = (
    "two percepts are normal around a reference, one around a comparison, and the answer is right (1) where the two "
    "are the closest of the three pairs, in squared Mahalanobis distance by the mean covariance "
    "(2 reference + comparison) / 3"
)
_HONG = "Hong, Bouhassira, Chow, Sanders, Shvartsman, Guan, Williams & Brainard (2026), eLife 14, RP108943."
_GREEN = (
    "Green & Swets (1966), Signal Detection Theory and Psychophysics; Owen (1956), Ann. Math. Statist. 27, 1075-1090."
)

ODDITY_LINE = OddityOnALine(
    name="oddity_1d",
    parameters=(_d("d", ", in those of the mean covariance"), _k("k", "")),
    description=f"Oddity task in one dimension: {_ODDITY}.",
    reference=_HONG,
)
ODDITY_PLANE = OddityInAPlane(
    name="oddity_2d",
    parameters=tuple(
        parameter
        for i in (1, 2)
        for parameter in (
            _d(f"d{i}", f" along axis {i} of both covariances, in those of the mean covariance"),
            _k(f"k{i}", f" along axis {i}"),
        )
    ),
    description=f"Oddity task in two dimensions: {_ODDITY}.",
    reference=_HONG,
)
TWO_ALTERNATIVES = TwoAlternatives(
    name="two_alternatives",
    parameters=(_d("d", ", in those of the difference of two percepts"), _k("k", " along the displacement")),
    description="Two-alternative discrimination: of a reference and a comparison that which lies farther in the known "
    "direction of the comparison is chosen.",
    reference=_GREEN,
)
THREE_ALTERNATIVES = ThreeAlternatives(
    name="three_alternatives",
    parameters=TWO_ALTERNATIVES.parameters,
    description="Three-alternative discrimination: of two references and a comparison that which lies farthest in the "
    "known direction of the comparison is chosen.",
    reference=_GREEN,
)

TASK_SPECS = (ODDITY_PLANE,)
"""Those that a network is trained for, and so known by name."""
