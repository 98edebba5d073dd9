"""Integrals of what is known at evenly spaced points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def running_integral(y: Float) -> Float:
    """Integral up to each point of unit steps, along the last axis: of a cubic through four points around each step."""
    padded = np.pad(y, ((0, 0), (1, 1)), mode="reflect", reflect_type="odd")
    pieces = (-padded[:, :-3] + 13 * padded[:, 1:-2] + 13 * padded[:, 2:-1] - padded[:, 3:]) / 24
    return np.pad(np.cumsum(pieces.clip(0), axis=1), ((0, 0), (1, 0)))
